"""Remote file systems by fsspec URL: atomic writes and error translation.

Messages contain neither the URL nor a store's own error text, since both may contain passwords.
"""

from __future__ import annotations

import errno
import logging
import os
import posixpath
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.storage.disk_space import is_disk_full
from pipelines.storage.local_store import FILE_GONE_MESSAGE

log = logging.getLogger(__name__)

UNREACHABLE_MESSAGE = (
    "The store of the studio's files cannot be reached just now. Nothing is lost; please try again later."
)

_ATOMIC_SCHEMES = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"))
"""Protocols that show an object only when it is complete; elsewhere a file is written beside and then moved."""


def open_filesystem(url: str) -> tuple[Any, str]:
    """Return the file system of an fsspec URL and the path in it. Raises `BadInput` for an unknown one."""
    from fsspec.core import url_to_fs

    with StoreErrorTranslator():
        try:
            fs, path = url_to_fs(url)
        except ImportError as error:
            raise BadInput(f"A package is missing for this store: {error}.") from None
        except ValueError:
            raise BadInput("This is no address of a store: it is a folder, or a URL that fsspec knows.") from None
    fs.dircache.use_listings_cache = False  # other machines write there too
    return fs, path.rstrip("/")


def write_file(fs: Any, path: str, data: bytes, part: str) -> None:
    """Write all of `data` at `path` or nothing; first at `part`, where the store would show a partial file."""
    if writes_atomically(fs):
        fs.pipe_file(path, data)
        return
    for name in (path, part):
        fs.makedirs(posixpath.dirname(name), exist_ok=True)
    with fs.open(part, "wb") as file:
        file.write(data)
        if "file" in fs.protocol:
            file.flush()
            os.fsync(file.fileno())
    fs.mv(part, path)


def writes_atomically(fs: Any) -> bool:
    """Say whether the file system never shows a partial file."""
    return not _ATOMIC_SCHEMES.isdisjoint({fs.protocol} if isinstance(fs.protocol, str) else fs.protocol)


class StoreErrorTranslator:
    """Turns any error of a store into `storage_unavailable`; with `missing`, a missing file into `not_found`.

    The errors of the different stores share no base class. The log gets their types without their messages.
    """

    def __init__(self, *, missing: bool = False) -> None:
        self._missing = missing

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, StudioError) or is_disk_full(error):
            return
        if self._missing and isinstance(error, FileNotFoundError):
            raise NotFound(FILE_GONE_MESSAGE) from None
        log.error("the store of files: %s", " from ".join(_error_kinds(error)))
        raise StudioError(UNREACHABLE_MESSAGE, code="storage_unavailable") from None


def _error_kinds(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        number = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
        yield f"{type(error).__name__} {number}".strip()
        error = error.__cause__
