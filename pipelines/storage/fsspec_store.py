"""Stores that several machines reach, by their fsspec URL: what is written there, and what their failures are told as.

Quotes neither the URL nor what a store says: passwords stand in both.
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
"""Stores that show an object once all of it is there; on any other it is written beside and moved."""


def open_filesystem(url: str) -> tuple[Any, str]:
    """The filesystem of an fsspec URL, and the path on it. Raises `BadInput` where it, or its package, is unknown."""
    from fsspec.core import url_to_fs

    with StoreErrorTranslator():
        try:
            fs, path = url_to_fs(url)
        except ImportError as error:
            raise BadInput(f"A package is missing for this store: {error}.") from None
        except ValueError:
            raise BadInput("This is no address of a store: it is a folder, or a URL that fsspec knows.") from None
    fs.dircache.use_listings_cache = False  # others write there too
    return fs, path.rstrip("/")


def write_file(fs: Any, path: str, data: bytes, part: str) -> None:
    """Write `data` at `path`, whole or not at all; at `part` before, where a store shows what is half written."""
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
    """Whether nobody sees half of what is being written there."""
    return not _ATOMIC_SCHEMES.isdisjoint({fs.protocol} if isinstance(fs.protocol, str) else fs.protocol)


class StoreErrorTranslator:
    """Whatever a store raises becomes `UNREACHABLE`; with `missing`, what is not there becomes `not_found`.

    Each kind of store has errors of its own that share no base. The log gets their kinds and nothing that they say.
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
