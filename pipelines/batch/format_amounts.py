"""Format durations and sizes, and two notes about what a batch costs, for people."""

from __future__ import annotations

NO_ROOM_NOTE = "There is no room for all of it: the batch would pause where the disk is full."

SCALED_COST_NOTE = "Time and disk of {} rows are estimated: nothing of their size was made here yet."


def format_duration(seconds: float) -> str:
    """Format seconds as `45 s`, `12 min` or `3 h 20 min`."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def format_bytes(number: float) -> str:
    """Format bytes as `350 kB`, `12 MB` or `3.4 GB`."""
    if number < 1e6:
        return f"{number / 1e3:.0f} kB"
    return f"{number / 1e6:.0f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"
