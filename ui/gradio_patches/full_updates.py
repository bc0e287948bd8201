"""Patches `Blocks.handle_streaming_diffs`: every update of a handler is sent whole, not as a difference.

Gradio sends the difference to the handler's last update, and its page applies it to that update in place. A busy page
reads several updates at once, and then all of them have the value of the last one: a draft's picture disappeared when
the next update was about another component.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction
    from gradio.blocks import Blocks


PATCHED_NAMES = ("gradio.blocks:Blocks.handle_streaming_diffs", "gradio.blocks:Blocks.pending_diff_streams")


def send_full_updates(page: Blocks) -> Blocks:
    """Patch the page. Values that did not change since the last update are still not sent again."""
    gradio_diffs = page.handle_streaming_diffs

    def replace_diffs(
        block_fn: BlockFunction,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        runs = page.pending_diff_streams.get(session_hash, {}) if session_hash is not None else {}
        before = list(runs[run]) if run is not None and run in runs else None
        data = gradio_diffs(block_fn, data, session_hash, run, final, simple_format=True)
        if before is None or final or simple_format:
            return data
        return [[] if old == new else [["replace", [], new]] for old, new in zip(before, data, strict=True)]

    page.handle_streaming_diffs = replace_diffs
    return page
