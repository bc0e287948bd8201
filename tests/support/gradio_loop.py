"""Building Gradio's Blocks where an event loop runs: elsewhere each one makes loops of its own and leaves them open.

`build_parts` builds what is looked at and never served: Gradio makes an app for each Blocks, which takes 150 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def build_in_event_loop(make: Callable[[], T]) -> T:
    """What `make` returns, made inside a running loop that is closed afterwards."""

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_run(make))
    return make()  # Playwright's synchronous API keeps one running


async def _run(make: Callable[[], T]) -> T:
    return make()


def build_parts(make: Callable[[], T]) -> T:
    """What `make` returns, made as `build_in_event_loop` does and as the product builds its page: without an app."""
    from ui.gradio_patches.light_start import build_without_app

    def build() -> T:
        with build_without_app():
            return make()

    return build_in_event_loop(build)
