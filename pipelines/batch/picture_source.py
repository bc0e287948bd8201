"""Pictures by name from a folder or a ZIP that a stranger made: nothing outside it, nothing endless; decodes nothing.

A ZIP is never unpacked to disk: an entry is read into memory, no further than a picture may be long.
"""

from __future__ import annotations

import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from pipelines.core.errors import BadInput
from pipelines.ingest.decoder_pool import MAX_BYTES

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif")
MAX_NAME = 255
MAX_ENTRIES = 100_000
_HIDDEN = ("__MACOSX", ".")


class Shelf(Protocol):
    """Where a batch's pictures are."""

    def names(self) -> Iterator[str]:
        """Every picture, by name, in order."""
        ...

    def read(self, name: str) -> bytes:
        """The file. Raises `BadInput` when there is none, or none that may be read."""
        ...

    def close(self) -> None: ...


def shelf(path: Path | None) -> Shelf:
    """A folder, a ZIP, what is left of one that was deleted, or nothing at all. Raises `BadInput`."""
    if path is None:
        return Nothing()
    if not path.exists():
        return Gone()
    return Folder(path) if path.is_dir() else Zip(path)


def checked(name: str) -> str:
    """A name as a path below the shelf. Raises `BadInput` for anything that could leave it."""
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or len(name) > MAX_NAME or "\x00" in name:
        raise BadInput(f"A picture's name has 1 to {MAX_NAME} characters.")
    if plain.startswith("/") or ".." in parts or ":" in parts[0]:
        raise BadInput("A picture's name must lie below the jobs file: no '..', no absolute path, no address.")
    return "/".join(part for part in parts if part != ".")


class Nothing:
    """No pictures: rows that need none, or name file ids."""

    def names(self) -> Iterator[str]:
        return iter(())

    def read(self, name: str) -> bytes:
        raise BadInput(f"There is no picture '{checked(name)[:60]}'.")

    def close(self) -> None: ...


class Gone(Nothing):
    """What was sent was deleted when the batch ended."""

    def read(self, name: str) -> bytes:
        raise BadInput(f"'{checked(name)[:60]}' was deleted when the batch ended. Send it in another batch.")


class Folder:
    """Files below one folder; links that lead out of it are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def names(self) -> Iterator[str]:
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and _is_picture(name):
                yield name

    def read(self, name: str) -> bytes:
        path = (self.root / checked(name)).resolve()
        try:
            if not path.is_relative_to(self.root) or not stat.S_ISREG(path.stat().st_mode):
                raise FileNotFoundError
            with path.open("rb") as file:
                return _bounded(file)
        except OSError as error:
            raise BadInput(f"There is no picture '{name[:60]}'.") from error

    def close(self) -> None: ...


class Zip:
    """Entries of one ZIP; a name without its folder will do where only one entry has it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise BadInput("This is no ZIP that can be read.") from error
        rows = [row for row in self._zip.infolist() if not row.is_dir() and not _hidden(row.filename)]
        if len(rows) > MAX_ENTRIES:
            raise BadInput(f"A ZIP has at most {MAX_ENTRIES} files.")
        self._rows = {row.filename.replace("\\", "/"): row for row in reversed(rows)}
        self._short: dict[str, list[str]] = {}
        for name in self._rows:
            self._short.setdefault(PurePosixPath(name).name, []).append(name)

    def names(self) -> Iterator[str]:
        return iter(sorted(name for name in self._rows if _is_picture(name)))

    def tables(self, suffixes: tuple[str, ...]) -> list[str]:
        """Entries with these suffixes."""
        return sorted(name for name in self._rows if name.lower().endswith(suffixes))

    def open(self, name: str) -> BinaryIO:
        """An entry to stream from. Raises `BadInput`."""
        return self._open(self._rows[name])

    def read(self, name: str) -> bytes:
        name = checked(name)
        found = [name] if name in self._rows else self._short.get(PurePosixPath(name).name, [])
        if not found:
            raise BadInput(f"There is no picture '{name[:60]}' in the ZIP.")
        if len(found) > 1:
            raise BadInput(f"The ZIP has '{name[:60]}' in several folders: name the folder too.")
        row = self._rows[found[0]]
        checked(row.filename)
        if row.file_size > MAX_BYTES:
            raise BadInput(f"The file is larger than {MAX_BYTES // 10**6} MB.", code="image_too_large")
        try:
            with self._lock, self._open(row) as file:
                return _bounded(file)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise BadInput("This entry of the ZIP is damaged.", code="corrupt_image") from error

    def _open(self, row: zipfile.ZipInfo) -> BinaryIO:
        try:
            return self._zip.open(row)  # pyright: ignore[reportReturnType]
        except (RuntimeError, NotImplementedError) as error:  # a password, a compression of its own
            raise BadInput("This entry of the ZIP is locked or packed in an unknown way.") from error

    def close(self) -> None:
        self._zip.close()


def _bounded(file: BinaryIO) -> bytes:
    data = file.read(MAX_BYTES + 1)  # what an entry says of its own size is not believed
    if len(data) > MAX_BYTES:
        raise BadInput(f"The file is larger than {MAX_BYTES // 10**6} MB.", code="image_too_large")
    return data


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not _hidden(name)


def _hidden(name: str) -> bool:
    return any(part.startswith(_HIDDEN) for part in name.replace("\\", "/").split("/"))
