"""Tuning of glibc's malloc: fewer arenas, and free memory returned to the system.

glibc makes up to eight arenas for each core, and memory that is freed in one serves no other. After a thousand pictures
of different sizes these hold several hundred megabytes that nothing uses (`mallopt(3)`, `malloc_trim(3)`).
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
    """Limit malloc to an arena a core, at most `MAX_ARENA_COUNT`, before threads start; `MALLOC_ARENA_MAX` wins."""
    if (option := _glibc_function("mallopt")) is not None and "MALLOC_ARENA_MAX" not in os.environ:
        option(M_ARENA_MAX, min(MAX_ARENA_COUNT, max(2, os.cpu_count() or 1)))


def trim_heap() -> None:
    """Return free memory to the system. It takes some milliseconds and does nothing without glibc."""
    if (trim := _glibc_function("malloc_trim")) is not None:
        trim(0)


@lru_cache(maxsize=2)
def _glibc_function(name: str) -> Callable[..., Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    # Another C library may have `mallopt` without `malloc_trim`.
    library = ctypes.CDLL(None)
    return getattr(library, name, None) if hasattr(library, "malloc_trim") else None
