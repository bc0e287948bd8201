"""Gives back to the system what the C library keeps of freed memory; knows no model and no picture.

glibc keeps the free pieces between those in use, for each thread anew. After a thousand pictures of every size that
is several hundred megabytes that nobody uses (`mallopt(3)`, `malloc_trim(3)`).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache


def give_back() -> None:
    """Once in a while: it takes some milliseconds. Does nothing where the C library is another one."""
    if (trim := _trim()) is not None:
        trim(0)


@lru_cache(maxsize=1)
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
