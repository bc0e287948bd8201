"""What a handler told a moment ago is told again with its next word, so that a page that joins them loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr
import pytest

from ui import telling
from ui.telling import joined, whole


def told(handler: Callable[..., Any]) -> list[Any]:
    async def drain() -> list[Any]:
        return [updates async for updates in whole(handler)()]

    return asyncio.run(drain())


def test_an_earlier_word_stands_in_the_next_one_too() -> None:
    async def handler() -> AsyncIterator[dict[str, Any]]:
        yield {"row": gr.update(visible=True), "line": "Looking"}
        yield {"one": b"picture"}
        yield {"line": "Done"}
        yield {"line": gr.skip()}

    words = told(handler)
    assert words[-1] == {"row": gr.update(visible=True), "line": "Done", "one": b"picture"}
    assert words[1]["line"] == "Looking"
    assert len(words) == 3, "no change at once would hide the last word"


def test_what_was_told_long_ago_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "HELD", 0.05)
    monkeypatch.setattr(telling, "SETTLED", 0.05)

    async def handler() -> AsyncIterator[dict[str, Any]]:
        yield {"field": "forest"}
        await asyncio.sleep(0.1)
        yield {"line": "Step 2"}
        await asyncio.sleep(0.1)
        yield {"line": gr.skip()}

    assert told(handler) == [{"field": "forest"}, {"line": "Step 2"}, {"line": gr.skip()}]


def test_whoever_only_says_no_change_says_it() -> None:
    async def handler() -> AsyncIterator[dict[str, Any]]:
        yield {"line": gr.skip()}

    assert told(handler) == [{"line": gr.skip()}]


@pytest.mark.parametrize(
    ("old", "new", "both"),
    [
        ("a", "b", "b"),
        ("a", gr.update(visible=True), gr.update(visible=True, value="a")),
        (gr.update(visible=True, value="a"), "b", gr.update(visible=True, value="b")),
        (gr.update(visible=True), gr.update(value=None), gr.update(visible=True, value=None)),
        (gr.update(value="a"), gr.update(value="b"), gr.update(value="b")),
    ],
)
def test_two_words_on_one_component_are_one(old: Any, new: Any, both: Any) -> None:
    assert joined(old, new) == both
