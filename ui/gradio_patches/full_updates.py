"""Each word of a handler reaches the page whole, whatever else comes in the same moment; knows no handler.

Gradio tells the difference to the word before, and its page changes that word in place. A page that was busy finds
several words at once, and all of them say what the last one says: a draft was gone with the next word, which was about
another component and "no change" to this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction
    from gradio.blocks import Blocks


def send_full_updates(page: Blocks) -> Blocks:
    """From here on; what has not changed since the word before is still not sent again."""
    differences = page.handle_streaming_diffs

    def told(
        block_fn: BlockFunction,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        streams = page.pending_diff_streams.get(session_hash, {}) if session_hash is not None else {}
        before = list(streams[run]) if run is not None and run in streams else None
        words = differences(block_fn, data, session_hash, run, final, simple_format=True)
        if before is None or final or simple_format:
            return words
        return [[] if old == new else [["replace", [], new]] for old, new in zip(before, words, strict=True)]

    page.handle_streaming_diffs = told
    return page
