"""Detection of a full disk, and space that is reserved so that a full disk can still be recorded."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.core.errors import StudioError
from pipelines.storage.database import DatabaseUnavailable

DISK_FULL_MESSAGE = "The disk is full; nothing was written."
RESERVED_BYTES = 4 << 20
"""Bytes that stay reserved: once a disk is full, some table pages and the database's log must still be written."""


def is_disk_full(error: BaseException) -> bool:
    """Say whether this error means that the disk is full or a quota is used up."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, DatabaseUnavailable) and error.full


@contextmanager
def translate_disk_full() -> Iterator[None]:
    """Turn the error of a full disk, from a file or the database, into `disk_full`. Other errors pass unchanged."""
    try:
        yield
    except (OSError, DatabaseUnavailable) as error:
        if not is_disk_full(error):
            raise
        raise StudioError(DISK_FULL_MESSAGE, code="disk_full") from error


class ReservedSpace:
    """A file that reserves disk space during work, deleted when the disk is full; free bytes would ignore quotas."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".ballast"

    def reserve(self) -> None:
        """Reserve the space, if it is not. Raises `disk_full`."""
        if self._path.exists():
            return
        part = self._path.with_name(".ballast.part")
        with translate_disk_full():
            try:
                # Random bytes, since a compressing file system stores zeros in no space.
                part.write_bytes(os.urandom(RESERVED_BYTES))
                os.replace(part, self._path)
            finally:
                part.unlink(missing_ok=True)

    def release(self) -> None:
        """Release the space."""
        self._path.unlink(missing_ok=True)
