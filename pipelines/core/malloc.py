"""Gives back to the system what the C library keeps of freed memory; knows no model and no picture.

glibc keeps the free pieces between those in use, for each thread anew. After a thousand pictures of every size that
is several hundred megabytes that nobody uses (`mallopt(3)`, `malloc_trim(3)`).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

M_ARENA_MAX = -8
MAX_ARENA_COUNT = 8


def limit_arenas() -> None:
    """Have threads take their memory from as many heaps as there are cores, at most `MOST_ARENAS`; before any starts.

    glibc lets each thread have its own, up to eight a core: what is freed in one serves no other, and a crowd of
    visitors leaves holes in all of them. `MALLOC_ARENA_MAX` in the environment goes first.
    """
    if (option := _glibc_function("mallopt")) is not None and "MALLOC_ARENA_MAX" not in os.environ:
        option(M_ARENA_MAX, min(MAX_ARENA_COUNT, max(2, os.cpu_count() or 1)))


def trim_heap() -> None:
    """Once in a while: it takes some milliseconds. Does nothing where the C library is another one."""
    if (trim := _glibc_function("malloc_trim")) is not None:
        trim(0)


@lru_cache(maxsize=2)
def _glibc_function(name: str) -> Callable[..., Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    # Another C library may have the first by name and not the second.
    library = ctypes.CDLL(None)
    return getattr(library, name, None) if hasattr(library, "malloc_trim") else None
