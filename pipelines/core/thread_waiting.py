"""How the threads that compute one layer together wait for each other: asleep, not by spinning."""

from __future__ import annotations

import os

_SPIN_COUNT = 3000  # some 50 microseconds, the time between two layers; GNU's default is 100 times as many


def limit_spinning() -> None:
    """Let threads of GNU's OpenMP (torch on Linux) sleep soon when they wait. Call it before torch is loaded.

    By default they spin for milliseconds. Where other programs take the cores, what is waited for does not run
    meanwhile, and a picture takes two to five times the processor's time. `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT` in the
    environment win. Processes that are started later inherit it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPIN_COUNT))
