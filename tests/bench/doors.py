"""One row about the REST door: what a streamed job costs over a bare event stream of the same length."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import numpy as np
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from pipelines.types import Draft, Emit, Params, Studio, Tool, number
from tests.bench.rows import Row, row
from tests.serving import listening, served

EVENTS = 20
ROUNDS = 3


class Nothing(Params):
    """A form with one field."""

    size: int = number("Size", "Pixels.", 32, ge=16, le=64)


def _run(params: Nothing, studio: Studio, emit: Emit) -> Draft:
    for n in range(EVENTS):
        emit("Nothing", n + 1, EVENTS)
    return Draft(images=(np.zeros((params.size, params.size, 3), np.uint8),))


async def _raw(_request: object) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        for n in range(EVENTS):
            yield f"id: {n}\nevent: step\ndata: {{}}\n\n"
            await asyncio.sleep(0)

    return StreamingResponse(events(), media_type="text/event-stream")


async def _at_once(url: str, clients: int) -> float:
    """Median seconds of one streamed call while as many run as `clients`."""
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client:

        async def one() -> float:
            since = time.perf_counter()
            async with client.stream("POST", url, json={}) as answer:
                answer.raise_for_status()
                async for _ in answer.aiter_lines():
                    pass
            return time.perf_counter() - since

        return statistics.median(await asyncio.gather(*(one() for _ in range(clients))))


def rows() -> Iterator[Row]:
    """10 and 100 clients at once, ours and a raw Starlette route in turn; the worse of the two ratios."""
    tool = Tool("nothing", "Nothing", "For the bench.", Nothing, _run)
    raw = Starlette(routes=[Route("/raw", _raw, methods=["POST"])])
    with (
        tempfile.TemporaryDirectory() as data,
        served(Path(data), tools=[tool], waiting=200) as studio,
        listening(raw) as raw_url,
    ):
        ours, theirs = f"{studio.url}/v1/tools/nothing?stream=true", f"{raw_url}/raw"
        ratios = []
        for clients in (10, 100):
            pairs = [
                (asyncio.run(_at_once(ours, clients)), asyncio.run(_at_once(theirs, clients))) for _ in range(ROUNDS)
            ]
            ratios.append(statistics.median(mine / bare for mine, bare in pairs))
    yield row("stream_over_sse", round(max(ratios), 2), "x", 3)
