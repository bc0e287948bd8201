"""What a full disk looks like to whoever writes, and room that is kept for saying so; knows no table and no picture."""

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
"""Bytes. What is left to write once a disk is full are a few pages of a table, and its log may grow by this much."""


def is_disk_full(error: BaseException) -> bool:
    """Whether this error says that there is no room left, or that a quota is used up."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, DatabaseUnavailable) and error.full


@contextmanager
def translate_disk_full() -> Iterator[None]:
    """A full disk, met by a file or a table, becomes `disk_full`; every other error stays what it is."""
    try:
        yield
    except (OSError, DatabaseUnavailable) as error:
        if not is_disk_full(error):
            raise
        raise StudioError(DISK_FULL_MESSAGE, code="disk_full") from error


class ReservedSpace:
    """Room set aside on a disk while work goes on there, and given up so that a full disk can still be told of.

    A look at the free bytes would not do: quotas are not in them, and others write meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".ballast"

    def reserve(self) -> None:
        """Set the room aside, if it is not. Raises `disk_full`."""
        if self._path.exists():
            return
        part = self._path.with_name(".ballast.part")
        with translate_disk_full():
            try:
                part.write_bytes(os.urandom(RESERVED_BYTES))  # zeros take no room on a disk that packs them
                os.replace(part, self._path)
            finally:
                part.unlink(missing_ok=True)

    def release(self) -> None:
        """Give it up."""
        self._path.unlink(missing_ok=True)
