"""Reads pictures by name from a folder or a ZIP of a user, with limits on path and size.

A ZIP is never unpacked to disk: each entry is read into memory, up to the size limit of a picture.
"""

from __future__ import annotations

import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from pipelines.core.errors import BadInput
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES, check_file_size

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif")
MAX_NAME_CHARS = 255
MAX_ENTRY_COUNT = 100_000
_DAMAGED_MESSAGE = "This entry of the ZIP is damaged."
_DAMAGE_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError)
_HIDDEN_PREFIXES = ("__MACOSX", ".")


class PictureSource(Protocol):
    """The place of a batch's pictures."""

    def list_names(self) -> Iterator[str]:
        """Yield the names of all pictures, in order."""
        ...

    def read_picture(self, name: str) -> bytes:
        """Return the bytes of a file. Raises `BadInput` when it does not exist or may not be read."""
        ...

    def close(self) -> None: ...


def open_picture_source(path: Path | None) -> PictureSource:
    """Open a folder or a ZIP; a deleted one and None give sources without pictures. Raises `BadInput`."""
    if path is None:
        return NoPictures()
    if not path.exists():
        return DeletedPictures()
    return FolderSource(path) if path.is_dir() else ZipSource(path)


def check_name(name: str) -> str:
    """Return a name as a relative path. Raises `BadInput` for one that leads outside of the source."""
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or len(name) > MAX_NAME_CHARS or "\x00" in name:
        raise BadInput(f"A picture's name has 1 to {MAX_NAME_CHARS} characters.")
    if plain.startswith("/") or ".." in parts or ":" in parts[0]:
        raise BadInput("A picture's name must lie below the jobs file: no '..', no absolute path, no address.")
    return "/".join(part for part in parts if part != ".")


class NoPictures:
    """No pictures, for rows that need none or name file ids."""

    def list_names(self) -> Iterator[str]:
        return iter(())

    def read_picture(self, name: str) -> bytes:
        raise BadInput(f"There is no picture '{check_name(name)[:60]}'.")

    def close(self) -> None: ...


class DeletedPictures(NoPictures):
    """Pictures that were deleted when the batch ended."""

    def read_picture(self, name: str) -> bytes:
        raise BadInput(f"'{check_name(name)[:60]}' was deleted when the batch ended. Send it in another batch.")


class FolderSource:
    """The files below a folder; symbolic links that lead outside are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def list_names(self) -> Iterator[str]:
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and _is_picture(name):
                yield name

    def read_picture(self, name: str) -> bytes:
        path = (self.root / check_name(name)).resolve()
        try:
            if not path.is_relative_to(self.root) or not stat.S_ISREG(path.stat().st_mode):
                raise FileNotFoundError
            with path.open("rb") as file:
                return _read_bounded(file)
        except OSError as error:
            raise BadInput(f"There is no picture '{name[:60]}'.") from error

    def close(self) -> None: ...


class ZipSource:
    """The entries of a ZIP; a name without its folder is enough where only one entry has it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise BadInput("This is no ZIP that can be read.") from error
        rows = [row for row in self._zip.infolist() if not row.is_dir() and not _is_hidden(row.filename)]
        if len(rows) > MAX_ENTRY_COUNT:
            raise BadInput(f"A ZIP has at most {MAX_ENTRY_COUNT} files.")
        self._entries = {row.filename.replace("\\", "/"): row for row in reversed(rows)}
        self._names_by_basename: dict[str, list[str]] = {}
        for name in self._entries:
            self._names_by_basename.setdefault(PurePosixPath(name).name, []).append(name)

    def list_names(self) -> Iterator[str]:
        return iter(sorted(name for name in self._entries if _is_picture(name)))

    def list_tables(self, suffixes: tuple[str, ...]) -> list[str]:
        """Return the names of the entries with these suffixes."""
        return sorted(name for name in self._entries if name.lower().endswith(suffixes))

    @contextmanager
    def open_table(self, name: str) -> Iterator[BinaryIO]:
        """Open an entry for reading. Raises `BadInput`, also while it is read."""
        try:
            with self._open_entry(self._entries[name]) as file:
                yield file
        except _DAMAGE_ERRORS as error:
            raise BadInput(_DAMAGED_MESSAGE) from error

    def read_picture(self, name: str) -> bytes:
        name = check_name(name)
        found = [name] if name in self._entries else self._names_by_basename.get(PurePosixPath(name).name, [])
        if not found:
            raise BadInput(f"There is no picture '{name[:60]}' in the ZIP.")
        if len(found) > 1:
            raise BadInput(f"The ZIP has '{name[:60]}' in several folders: name the folder too.")
        row = self._entries[found[0]]
        check_name(row.filename)
        check_file_size(row.file_size)
        try:
            with self._lock, self._open_entry(row) as file:
                return _read_bounded(file)
        except _DAMAGE_ERRORS as error:
            raise BadInput(_DAMAGED_MESSAGE, code="corrupt_image") from error

    def _open_entry(self, row: zipfile.ZipInfo) -> BinaryIO:
        try:
            return self._zip.open(row)  # pyrefly: ignore[bad-return]
        except (RuntimeError, NotImplementedError) as error:  # a password, or an unknown compression
            raise BadInput("This entry of the ZIP is locked or packed in an unknown way.") from error

    def close(self) -> None:
        self._zip.close()


def _read_bounded(file: BinaryIO) -> bytes:
    data = file.read(MAX_FILE_BYTES + 1)  # an entry may declare a wrong size
    check_file_size(len(data))
    return data


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_SUFFIXES) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(_HIDDEN_PREFIXES) for part in name.replace("\\", "/").split("/"))
