"""Rows about the REST door: what a streamed job costs over a bare event stream, and how soon its first step comes.

The tool does nothing, and what follows every tool is done: check, signature, file. Its picture is the same each time,
so that its content score is remembered; a new picture's takes some 15 ms, which is not the door's doing.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, number_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from tests.bench.rows import Row, make_row
from tests.support.served_app import serve_app, serve_starlette

EVENT_COUNT = 20
ROUND_COUNT_BY_CLIENTS = {10: 15, 100: 5}
"""How often so many clients call at once."""
HANDOVER_COUNT = 9


class PauseParams(Params):
    """How long to do nothing between two events."""

    pause: float = number_field("Pause", "Milliseconds.", 0, ge=0, le=100)


def _emit_events(params: PauseParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    for n in range(EVENT_COUNT):
        if params.pause:  # a sleep of nothing is a hundredth of a millisecond's wait, twenty times
            time.sleep(params.pause / 1000)
        emit("Nothing", n + 1, EVENT_COUNT)
    return ToolOutput(images=(np.zeros((32, 32, 3), np.uint8),))


async def _stream_raw_events(_request: object) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        for n in range(EVENT_COUNT):
            yield f"id: {n}\nevent: step\ndata: {{}}\n\n"
            await asyncio.sleep(0)

    return StreamingResponse(events(), media_type="text/event-stream")


async def _call_stream(client: httpx.AsyncClient, url: str, pause: float = 0) -> dict[str, float]:
    """One streamed call; when it began, when each kind of event first came, and when it ended."""
    seen = {"begun": time.perf_counter()}
    async with client.stream("POST", url, json={"pause": pause}) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                seen.setdefault(line[7:], time.perf_counter())
    return {**seen, "ended": time.perf_counter()}


def _run_with_client(work: Callable[[httpx.AsyncClient], Awaitable[float]]) -> float:
    async def whole() -> float:
        async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=None)) as client:
            return await work(client)

    return asyncio.run(whole())


def _time_parallel_calls(url: str, clients: int) -> float:
    """Median seconds of one streamed call while as many run as `clients`."""

    async def calls(client: httpx.AsyncClient) -> float:
        found = await asyncio.gather(*(_call_stream(client, url) for _ in range(clients)))
        return statistics.median(seen["ended"] - seen["begun"] for seen in found)

    return _run_with_client(calls)


def _compare_medians(ours: str, theirs: str, clients: int, rounds: int) -> float:
    """Of the medians of both, asked in turn."""
    pairs = [(_time_parallel_calls(ours, clients), _time_parallel_calls(theirs, clients)) for _ in range(rounds)]
    mine, raw = zip(*pairs, strict=True)
    return statistics.median(mine) / statistics.median(raw)


def _time_handover(url: str) -> float:
    """Seconds from the end of one streamed job to the first step of the next, which waited for it."""

    async def calls(client: httpx.AsyncClient) -> float:
        first = asyncio.create_task(_call_stream(client, url, pause=10))
        await asyncio.sleep(0.1)
        second = await _call_stream(client, url)
        return max(0.0, second["step"] - (await first)["result"])

    return _run_with_client(calls)


def _time_idle_first_step(url: str) -> float:
    """Seconds from the call to the first step where nobody waits."""

    async def calls(client: httpx.AsyncClient) -> float:
        seen = await _call_stream(client, url)
        return seen["step"] - seen["begun"]

    return _run_with_client(calls)


def rows() -> Iterator[Row]:
    """10 and 100 clients at once, ours and a raw Starlette route in turn, the worse ratio; then the first step."""
    tool = Tool("nothing", "Nothing", "For the bench.", PauseParams, _emit_events)
    raw = Starlette(routes=[Route("/raw", _stream_raw_events, methods=["POST"])])
    with (
        tempfile.TemporaryDirectory() as data,
        serve_app(Path(data), tools=[tool], waiting=200) as studio,
        serve_starlette(raw) as raw_url,
    ):
        ours, theirs = f"{studio.url}/v1/tools/nothing?stream=true", f"{raw_url}/raw"
        _time_parallel_calls(ours, 1)  # loads what is loaded once
        ratios = [_compare_medians(ours, theirs, clients, rounds) for clients, rounds in ROUND_COUNT_BY_CLIENTS.items()]
        firsts = [
            statistics.median(way(ours) for _ in range(HANDOVER_COUNT))
            for way in (_time_handover, _time_idle_first_step)
        ]
    yield make_row("stream_over_sse", round(max(ratios), 2), "x", 3)
    yield make_row("first_step_seconds", round(max(firsts), 4), "s", 0.05)
