"""The bytes of files by name, in a folder of this machine; knows no row, no owner and no picture."""

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
    """Bytes that somebody deleted on the disk become `not_found`."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(FILE_GONE_MESSAGE) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A name beside `path` to write at, moved into place at the end, so that no half file is ever seen.

    Raises `disk_full`.
    """
    part = path.with_name(f".part-{uuid.uuid4().hex}")
    with translate_disk_full():
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, defer_sync: bool = False) -> None:
    """Write a file whole or not at all; `later` waits for no disk. Raises `disk_full`."""
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(data)
        file.flush()
        if not defer_sync:
            os.fsync(file.fileno())  # else a power cut leaves the name without the bytes


class LocalStore:
    """Each file whole under its name, which begins with the file's id, or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._unsynced: set[Path] = set()
        """Written, and not known to lie on the disk yet."""

    def put(self, name: str, data: bytes, *, defer_sync: bool = False) -> Path:
        """Keep these bytes; where they lie. `later` waits for no disk: `sync` does. Raises `disk_full`."""
        path = self.folder / name
        write_atomically(path, data, defer_sync=defer_sync)
        if defer_sync:
            self._unsynced.add(path)
        return path

    def fetch(self, name: str, size: int | None = None) -> Path:
        """Where the bytes lie on this machine, `size` of them where that is known. Raises `not_found`."""
        path = self.folder / name
        if not path.exists():
            raise NotFound(FILE_GONE_MESSAGE)
        return path

    def read_if_present(self, name: str) -> bytes | None:
        """The bytes, None where there are none of that name."""
        with suppress(NotFound), translate_missing_file():
            return self.fetch(name).read_bytes()
        return None

    def delete_all_of(self, file_id: str) -> None:
        """Delete everything whose name begins with this id."""
        for path in (*self.folder.glob(f"{file_id}.*"), *self.folder.glob(f"{file_id}-*")):
            path.unlink(missing_ok=True)

    def delete_one(self, name: str) -> None:
        """Delete what has this name, if anything has."""
        (self.folder / name).unlink(missing_ok=True)

    def is_lost(self, name: str, size: int) -> bool:
        """Whether a power cut took these bytes, or some of them, for good."""
        path = self.folder / name
        return not path.exists() or path.stat().st_size != size

    def flush_to_disk(self) -> int:
        """Bring to the disk what was written for `later`; how many files that were."""
        paths: list[Path] = []
        with suppress(KeyError):  # others may add meanwhile
            while True:
                paths.append(self._unsynced.pop())
        for path in paths:
            with suppress(FileNotFoundError), path.open("rb") as file:  # deleted meanwhile
                os.fsync(file.fileno())
        return len(paths)

    def delete_stale_files(self, seconds: float, known: Callable[[str], bool]) -> None:
        """Delete what a killed process left half written so long ago. `known`: whether a file of that id is kept."""
        for part in self.folder.glob(".part-*"):
            if part.stat().st_mtime < time.time() - seconds:
                part.unlink(missing_ok=True)
