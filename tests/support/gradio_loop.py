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
    made: list[T] = []

    async def run() -> None:
        # Not returned: `asyncio.run` describes its task in words when it ends, which takes 50 ms for a whole page.
        made.append(make())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(run())
        return made[0]
    return make()  # Playwright's synchronous API keeps one running


def build_parts(make: Callable[[], T]) -> T:
    """What `make` returns, made as `build_in_event_loop` does and as the product builds its page: without an app."""
    from ui.gradio_patches.light_start import build_without_app

    def build() -> T:
        with build_without_app():
            return make()

    return build_in_event_loop(build)
