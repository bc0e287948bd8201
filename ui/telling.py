"""Tells a page nothing that it could lose: what was told a moment ago comes again with the next word; knows no handler.

Gradio's page keeps, of all words on a component that come within one frame, the last, and "no change" is a word. A page
that is still being built, or draws a large picture, has frames of a second: a draft that came in one was gone with the
next word, which was about another component.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

HELD, BRIEFLY = 2.0, 0.3
"""Seconds for which a word is told again with those after it; one that carries no value, such as "greyed", briefly.

Told longer, it came after what another handler had said meanwhile: Generate stayed greyed after Stop.
"""
SETTLED = 0.5
"""Seconds after which a handler that ends says "no change"; before, Gradio repeats its last word, which still holds."""


def whole(handler: Callable[..., Any]) -> Callable[..., Any]:
    """`handler`, of which no update of a component hides another; what does not tell step by step stays as it is."""
    if not inspect.isasyncgenfunction(handler):
        return handler

    @functools.wraps(handler)
    async def told(*args: Any) -> AsyncIterator[Any]:
        kept: dict[Any, tuple[float, Any]] = {}
        quiet: dict[Any, Any] | None = None
        spoken = 0.0
        async for updates in handler(*args):
            fresh = {part: value for part, value in updates.items() if not _same(value)}
            if not fresh:
                quiet = updates
                continue
            spoken = time.monotonic()
            kept = {part: row for part, row in kept.items() if spoken - row[0] < _held(row[1])}
            for part, value in fresh.items():
                kept[part] = (spoken, joined(kept[part][1], value) if part in kept else value)
            # Copies: Gradio takes the value out of the update that it is handed.
            yield {part: dict(value) if _update(value) else value for part, (_, value) in kept.items()}
        if quiet is not None and time.monotonic() - spoken > SETTLED:
            yield quiet

    return told


def joined(old: Any, new: Any) -> Any:
    """One word that says what both said, the newer where they differ."""
    if not _update(old):
        return {**new, "value": old} if _update(new) and "value" not in new else new
    return {**old, **new} if _update(new) else {**old, "value": new}


def _held(word: Any) -> float:
    return BRIEFLY if _update(word) and "value" not in word else HELD


def _update(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update"


def _same(value: Any) -> bool:
    return _update(value) and value == gr.skip()
