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
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif")
MAX_NAME_CHARS = 255
MAX_ENTRY_COUNT = 100_000
_HIDDEN_PREFIXES = ("__MACOSX", ".")


class PictureSource(Protocol):
    """Where a batch's pictures are."""

    def list_names(self) -> Iterator[str]:
        """Every picture, by name, in order."""
        ...

    def read_picture(self, name: str) -> bytes:
        """The file. Raises `BadInput` when there is none, or none that may be read."""
        ...

    def close(self) -> None: ...


def open_picture_source(path: Path | None) -> PictureSource:
    """A folder, a ZIP, what is left of one that was deleted, or nothing at all. Raises `BadInput`."""
    if path is None:
        return NoPictures()
    if not path.exists():
        return DeletedPictures()
    return FolderSource(path) if path.is_dir() else ZipSource(path)


def check_name(name: str) -> str:
    """A name as a path below the shelf. Raises `BadInput` for anything that could leave it."""
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or len(name) > MAX_NAME_CHARS or "\x00" in name:
        raise BadInput(f"A picture's name has 1 to {MAX_NAME_CHARS} characters.")
    if plain.startswith("/") or ".." in parts or ":" in parts[0]:
        raise BadInput("A picture's name must lie below the jobs file: no '..', no absolute path, no address.")
    return "/".join(part for part in parts if part != ".")


class NoPictures:
    """No pictures: rows that need none, or name file ids."""

    def list_names(self) -> Iterator[str]:
        return iter(())

    def read_picture(self, name: str) -> bytes:
        raise BadInput(f"There is no picture '{check_name(name)[:60]}'.")

    def close(self) -> None: ...


class DeletedPictures(NoPictures):
    """What was sent was deleted when the batch ended."""

    def read_picture(self, name: str) -> bytes:
        raise BadInput(f"'{check_name(name)[:60]}' was deleted when the batch ended. Send it in another batch.")


class FolderSource:
    """Files below one folder; links that lead out of it are not followed."""

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
    """Entries of one ZIP; a name without its folder will do where only one entry has it."""

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
        """Entries with these suffixes."""
        return sorted(name for name in self._entries if name.lower().endswith(suffixes))

    def open_table(self, name: str) -> BinaryIO:
        """An entry to stream from. Raises `BadInput`."""
        return self._open_entry(self._entries[name])

    def read_picture(self, name: str) -> bytes:
        name = check_name(name)
        found = [name] if name in self._entries else self._names_by_basename.get(PurePosixPath(name).name, [])
        if not found:
            raise BadInput(f"There is no picture '{name[:60]}' in the ZIP.")
        if len(found) > 1:
            raise BadInput(f"The ZIP has '{name[:60]}' in several folders: name the folder too.")
        row = self._entries[found[0]]
        check_name(row.filename)
        if row.file_size > MAX_FILE_BYTES:
            raise BadInput(f"The file is larger than {MAX_FILE_BYTES // 10**6} MB.", code="image_too_large")
        try:
            with self._lock, self._open_entry(row) as file:
                return _read_bounded(file)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise BadInput("This entry of the ZIP is damaged.", code="corrupt_image") from error

    def _open_entry(self, row: zipfile.ZipInfo) -> BinaryIO:
        try:
            return self._zip.open(row)  # pyright: ignore[reportReturnType]
        except (RuntimeError, NotImplementedError) as error:  # a password, a compression of its own
            raise BadInput("This entry of the ZIP is locked or packed in an unknown way.") from error

    def close(self) -> None:
        self._zip.close()


def _read_bounded(file: BinaryIO) -> bytes:
    data = file.read(MAX_FILE_BYTES + 1)  # what an entry says of its own size is not believed
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(f"The file is larger than {MAX_FILE_BYTES // 10**6} MB.", code="image_too_large")
    return data


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_SUFFIXES) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(_HIDDEN_PREFIXES) for part in name.replace("\\", "/").split("/"))
