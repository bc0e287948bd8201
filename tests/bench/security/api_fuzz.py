"""Rows about `/v1` under whatever its documentation allows and forbids: at least six hundred requests an operation."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.api.support.api_fuzzer import fuzz_api, serve_every_tool
from tests.bench.rows import Row, make_row

EXAMPLES = 600


def rows() -> Iterator[Row]:
    """Keys off and on: requests, how many the operation got that got fewest, and answers that should not have been."""
    for keys in (False, True):
        with tempfile.TemporaryDirectory() as data, serve_every_tool(Path(data), keys=keys) as (here, key):
            found = fuzz_api(here, key, EXAMPLES)
        for line in found.failures[:20]:
            print(line, file=sys.stderr)
        word = "keys_on" if keys else "keys_off"
        yield make_row(f"fuzz_requests_{word}", found.request_count, "requests", 30 * EXAMPLES, at_most=False)
        yield make_row(
            f"fuzz_least_{word}", found.count_fewest_requests(), "requests an operation", EXAMPLES, at_most=False
        )
        yield make_row(f"fuzz_failures_{word}", len(found.failures), "failures", 0)
