"""A store of files by name, in a folder of this machine."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.core.errors import NotFound
from pipelines.storage.disk_space import translate_disk_full

FILE_GONE_MESSAGE = "The stored file is no longer there."


@contextmanager
def translate_missing_file() -> Iterator[None]:
    """Turn the error of a file that was deleted from the disk into `not_found`."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(FILE_GONE_MESSAGE) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and move it into place at the end, never partial. Raises `disk_full`."""
    part = path.with_name(f".part-{uuid.uuid4().hex}")
    with translate_disk_full():
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, defer_sync: bool = False) -> None:
    """Write a whole file or nothing; `defer_sync` does not wait for the disk. Raises `disk_full`."""
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(data)
        file.flush()
        if not defer_sync:
            os.fsync(file.fileno())  # without it a power cut leaves the name without the bytes


class LocalStore:
    """A folder with whole files; each name begins with the file's id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._unsynced: set[Path] = set()
        """Files that were written but not synced to the disk."""

    def put(self, name: str, data: bytes, *, defer_sync: bool = False) -> Path:
        """Store bytes and return their path. `defer_sync` leaves the sync to `flush_to_disk`. Raises `disk_full`."""
        path = self.folder / name
        write_atomically(path, data, defer_sync=defer_sync)
        if defer_sync:
            self._unsynced.add(path)
        return path

    def fetch(self, name: str, size: int | None = None) -> Path:
        """Return a path of the file on this machine; `size` is its length where known. Raises `not_found`."""
        path = self.folder / name
        if not path.exists():
            raise NotFound(FILE_GONE_MESSAGE)
        return path

    def read_if_present(self, name: str) -> bytes | None:
        """Return the bytes, or None when there is no file of that name."""
        with suppress(NotFound), translate_missing_file():
            return self.fetch(name).read_bytes()
        return None

    def delete_all_of(self, file_id: str) -> None:
        """Delete all files whose name begins with this id."""
        for path in (*self.folder.glob(f"{file_id}.*"), *self.folder.glob(f"{file_id}-*")):
            path.unlink(missing_ok=True)

    def delete_one(self, name: str) -> None:
        """Delete the file of this name, if it exists."""
        (self.folder / name).unlink(missing_ok=True)

    def is_lost(self, name: str, size: int) -> bool:
        """Say whether the file is missing or incomplete for good, as after a power cut."""
        path = self.folder / name
        return not path.exists() or path.stat().st_size != size

    def flush_to_disk(self) -> int:
        """Sync files that were written with `defer_sync`; return how many."""
        paths: list[Path] = []
        with suppress(KeyError):  # other threads may add files meanwhile
            while True:
                paths.append(self._unsynced.pop())
        for path in paths:
            with suppress(FileNotFoundError), path.open("rb") as file:  # deleted meanwhile
                os.fsync(file.fileno())
        return len(paths)

    def delete_stale_files(self, seconds: float, is_known: Callable[[str], bool]) -> None:
        """Delete partial files older than `seconds`. `is_known` says whether a file id is in the index."""
        for part in self.folder.glob(".part-*"):
            if part.stat().st_mtime < time.time() - seconds:
                part.unlink(missing_ok=True)
