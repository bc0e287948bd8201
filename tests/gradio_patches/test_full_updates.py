"""A page that reads several words of a handler at once reads each as it was said."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from ui.gradio_patches.full_updates import send_full_updates

NO_CHANGE = gr.skip()


@pytest.fixture
def page() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as made:
        row, line = gr.Textbox(), gr.Textbox()
        gr.Button().click(lambda: None, [], [row, line])
    return send_full_updates(made)


def send_updates(page: gr.Blocks, *words: list[Any], simple: bool = False) -> list[list[Any]]:
    """What goes to the page for these words of one run, and for its end."""
    (event,) = page.fns.values()
    told = [page.handle_streaming_diffs(event, list(word), "ann", "run", False, simple) for word in words]
    return [*told, page.handle_streaming_diffs(event, [None, None], "ann", "run", True, simple)]


def apply_updates(told: list[list[Any]]) -> list[list[Any]]:
    """What Gradio's page makes of them when it is handed all at once: it changes what is there in place."""
    held, seen = told[0], [told[0]]
    for word in told[1:-1]:
        held = [old if not edits else edits[0][2] for old, edits in zip(held, word, strict=True)]
        seen.append(held)
    return [*seen, told[-1]]


def test_no_word_is_told_as_an_edit_of_the_one_before(page: gr.Blocks) -> None:
    words = [
        [{"visible": True, **NO_CHANGE}, "Looking"],
        [NO_CHANGE, "Step 1"],
        [NO_CHANGE, "Step 1 of 2"],
        [NO_CHANGE, NO_CHANGE],
    ]
    told = send_updates(page, *words)
    assert all(edits in ([], [["replace", [], edits[0][2]]]) for word in told[1:-1] for edits in word if edits)
    assert apply_updates(told) == [*words, words[-1]]


def test_what_is_the_same_is_not_sent_again(page: gr.Blocks) -> None:
    _, second, _ = send_updates(page, ["a picture", "one"], ["a picture", "two"])
    assert second == [[], [["replace", [], "two"]]]


def test_each_run_begins_anew(page: gr.Blocks) -> None:
    send_updates(page, ["a", "b"])
    assert send_updates(page, ["a", "b"])[0] == ["a", "b"]


def test_whoever_asks_for_whole_words_gets_them(page: gr.Blocks) -> None:
    assert send_updates(page, ["a", "b"], ["c", "b"], simple=True)[1] == ["c", "b"]
