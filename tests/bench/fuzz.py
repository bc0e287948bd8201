"""Rows about `/v1` under whatever its documentation allows and forbids: at least six hundred requests an operation."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.rows import Row, row
from tests.support.api_fuzzer import fuzzed, house

EXAMPLES = 600


def rows() -> Iterator[Row]:
    """Keys off and on: requests, how many the operation got that got fewest, and answers that should not have been."""
    for keys in (False, True):
        with tempfile.TemporaryDirectory() as data, house(Path(data), keys=keys) as (here, key):
            found = fuzzed(here, key, EXAMPLES)
        for line in found.wrong[:20]:
            print(line, file=sys.stderr)
        word = "keys_on" if keys else "keys_off"
        yield row(f"fuzz_requests_{word}", found.asked, "requests", 30 * EXAMPLES, at_most=False)
        yield row(f"fuzz_least_{word}", found.least(), "requests an operation", EXAMPLES, at_most=False)
        yield row(f"fuzz_failures_{word}", len(found.wrong), "failures", 0)
