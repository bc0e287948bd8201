"""The examples of the documentation with the real drawing: each is answered with a picture, and its first step soon.

`python -m tests.bench examples`. The suite runs the same bodies with a quick drawing.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.bench.rows import Row, make_row
from tests.support.app_process import start_app

REPEAT_COUNT = 3
"""How often each example is asked for; the later ones find its models loaded."""


def _list_example_bodies(client: httpx.Client) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in client.get("/v1/openapi.json").json()["paths"].items():
        if path.startswith("/tools/") and "post" in operations:
            examples = operations["post"]["requestBody"]["content"]["application/json"]["examples"]
            for name in ("least", "whole"):
                yield path, examples[name]["value"]


def _time_example(client: httpx.Client, path: str, body: dict[str, Any]) -> tuple[float, bool]:
    """Seconds to the first step of a streamed call, and whether a picture came that can be fetched."""
    since, first, event, urls = time.perf_counter(), 0.0, "", list[str]()
    with client.stream("POST", f"/v1{path}?stream=true", json=body) as answer:
        for line in answer.iter_lines():
            event = line[7:] if line.startswith("event: ") else event
            if line.startswith("data: ") and event == "step":
                first = first or time.perf_counter() - since
            if line.startswith("data: ") and event == "result":
                urls = [file["url"] for file in json.loads(line[6:])["files"]]
    kinds = [client.get(url).headers["content-type"] for url in urls[:1]]
    return first, bool(kinds) and kinds[0].startswith("image/")


def rows() -> Iterator[Row]:
    """How many examples brought no picture, and the slowest median from the call to the first step, nobody waiting."""
    with (
        tempfile.TemporaryDirectory() as data,
        start_app(Path(data)) as (url, _, _),
        httpx.Client(base_url=url, timeout=120) as client,
    ):
        asked = [[_time_example(client, *each) for _ in range(REPEAT_COUNT)] for each in _list_example_bodies(client)]
    yield make_row("examples_without_a_picture", sum(not there for each in asked for _, there in each), "", 0)
    yield make_row(
        "example_first_step", round(max(statistics.median(s for s, _ in each) for each in asked), 4), "s", 0.05
    )
