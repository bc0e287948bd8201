"""`python -m tests.bench [NAME [NUMBER] …]`: one JSON object a line; exit status 1 when a figure misses its bound.

A number goes to the module named before it, which says what it means.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Sequence

from tests.bench.rows import Row

MODULES = ("house", "matte", "models", "mini", "doors", "tools", "page")


def measure_modules(names: Sequence[str]) -> Iterator[Row]:
    """Rows of the modules named, or of all."""
    asked: list[tuple[str, list[float]]] = []
    for word in names or MODULES:
        if word[0].isdigit():
            asked[-1][1].append(int(word) if word.isdigit() else float(word))
        else:
            asked.append((word, []))
    for name, numbers in asked:
        yield from importlib.import_module(f"tests.bench.{name}").rows(*numbers)


def main(names: Sequence[str]) -> int:
    """Print as they come."""
    good = True
    for measurement in measure_modules(names):
        print(json.dumps(measurement), flush=True)
        good &= measurement["ok"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
