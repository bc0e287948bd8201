"""`python -m tests.bench [NAME …]`: one JSON object a line; exit status 1 when a figure misses its bound."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Sequence

from tests.bench.rows import Row

MODULES = ("house", "matte", "models", "mini", "doors", "tools", "page")


def measured(names: Sequence[str]) -> Iterator[Row]:
    """Rows of the modules named, or of all."""
    for name in names or MODULES:
        yield from importlib.import_module(f"tests.bench.{name}").rows()


def main(names: Sequence[str]) -> int:
    """Print as they come."""
    good = True
    for measurement in measured(names):
        print(json.dumps(measurement), flush=True)
        good &= measurement["ok"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
