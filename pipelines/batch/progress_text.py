"""Durations, sizes and notes about a batch as text for people."""

from __future__ import annotations

NO_ROOM = "There is no room for all of it: the batch would pause where the disk is full."

GUESSED = "Time and disk of {} rows are scaled by pixels: nothing of their size was made here yet."


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size(number: float) -> str:
    """`350 kB`, `12 MB`, `3.4 GB`."""
    if number < 1e6:
        return f"{number / 1e3:.0f} kB"
    return f"{number / 1e6:.0f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"
