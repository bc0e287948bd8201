"""The bytes of files by name, in a folder of this machine; knows no row, no owner and no picture."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.core.errors import NotFound
from pipelines.storage.disk_space import told_when_full

GONE = "The stored file is no longer there."


@contextmanager
def told_when_gone() -> Iterator[None]:
    """Bytes that somebody deleted on the disk become `not_found`."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(GONE) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write at, moved into place at the end, so that no half file is ever seen.

    Raises `disk_full`.
    """
    part = path.with_name(f".part-{uuid.uuid4().hex}")
    with told_when_full():
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def write(path: Path, data: bytes, *, later: bool = False) -> None:
    """Write a file whole or not at all; `later` waits for no disk. Raises `disk_full`."""
    with whole(path) as part, part.open("wb") as file:
        file.write(data)
        file.flush()
        if not later:
            os.fsync(file.fileno())  # else a power cut leaves the name without the bytes


class Folder:
    """Each file whole under its name, which begins with the file's id, or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._later: set[Path] = set()
        """Written, and not known to lie on the disk yet."""

    def put(self, name: str, data: bytes, *, later: bool = False) -> Path:
        """Keep these bytes; where they lie. `later` waits for no disk: `sync` does. Raises `disk_full`."""
        path = self.folder / name
        write(path, data, later=later)
        if later:
            self._later.add(path)
        return path

    def fetch(self, name: str, size: int | None = None) -> Path:
        """Where the bytes lie on this machine, `size` of them where that is known. Raises `not_found`."""
        path = self.folder / name
        if not path.exists():
            raise NotFound(GONE)
        return path

    def find(self, name: str) -> bytes | None:
        """The bytes, None where there are none of that name."""
        with suppress(NotFound), told_when_gone():
            return self.fetch(name).read_bytes()
        return None

    def drop(self, file_id: str) -> None:
        """Delete everything whose name begins with this id."""
        for path in (*self.folder.glob(f"{file_id}.*"), *self.folder.glob(f"{file_id}-*")):
            path.unlink(missing_ok=True)

    def drop_one(self, name: str) -> None:
        """Delete what has this name, if anything has."""
        (self.folder / name).unlink(missing_ok=True)

    def lost(self, name: str, size: int) -> bool:
        """Whether a power cut took these bytes, or some of them, for good."""
        path = self.folder / name
        return not path.exists() or path.stat().st_size != size

    def sync(self) -> int:
        """Bring to the disk what was written for `later`; how many files that were."""
        paths: list[Path] = []
        with suppress(KeyError):  # others may add meanwhile
            while True:
                paths.append(self._later.pop())
        for path in paths:
            with suppress(FileNotFoundError), path.open("rb") as file:  # deleted meanwhile
                os.fsync(file.fileno())
        return len(paths)

    def clear(self, seconds: float, known: Callable[[str], bool]) -> None:
        """Delete what a killed process left half written so long ago. `known`: whether a file of that id is kept."""
        for part in self.folder.glob(".part-*"):
            if part.stat().st_mtime < time.time() - seconds:
                part.unlink(missing_ok=True)
