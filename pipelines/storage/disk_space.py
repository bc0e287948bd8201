"""What a full disk looks like to whoever writes, and room that is kept for saying so; knows no table and no picture."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.core.errors import StudioError
from pipelines.storage.database import Unwritable

SENTENCE = "The disk is full; nothing was written."
BALLAST = 4 << 20
"""Bytes. What is left to write once a disk is full are a few pages of a table, and its log may grow by this much."""


def is_full(error: BaseException) -> bool:
    """Whether this error says that there is no room left, or that a quota is used up."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, Unwritable) and error.full


@contextmanager
def told_when_full() -> Iterator[None]:
    """A full disk, met by a file or a table, becomes `disk_full`; every other error stays what it is."""
    try:
        yield
    except (OSError, Unwritable) as error:
        if not is_full(error):
            raise
        raise StudioError(SENTENCE, code="disk_full") from error


class Ballast:
    """Room set aside on a disk while work goes on there, and given up so that a full disk can still be told of.

    A look at the free bytes would not do: quotas are not in them, and others write meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".ballast"

    def keep(self) -> None:
        """Set the room aside, if it is not. Raises `disk_full`."""
        if self._path.exists():
            return
        part = self._path.with_name(".ballast.part")
        with told_when_full():
            try:
                part.write_bytes(os.urandom(BALLAST))  # zeros take no room on a disk that packs them
                os.replace(part, self._path)
            finally:
                part.unlink(missing_ok=True)

    def drop(self) -> None:
        """Give it up."""
        self._path.unlink(missing_ok=True)
