"""One measured figure as the bench prints it."""

from __future__ import annotations

from typing import TypedDict


class Row(TypedDict):
    """A line of `python -m tests.bench`."""

    name: str
    value: float
    unit: str
    bound: float
    ok: bool


def make_row(name: str, value: float, unit: str, bound: float, at_most: bool = True) -> Row:
    """The row of a figure that must be at most (or, otherwise, at least) its bound."""
    return Row(name=name, value=value, unit=unit, bound=bound, ok=value <= bound if at_most else value >= bound)
