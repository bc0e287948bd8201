"""What Gradio remembers of each open page, kept small and bounded; knows no page and no visitor.

Gradio makes a copy of the whole page's description for whoever calls with a session of a new name: 2 MB and a tenth of
a second for a page of 1,400 parts, for up to 10,000 names that anybody may make up. Nothing reads those copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradio.state_holder import SessionState

if TYPE_CHECKING:
    from gradio.blocks import Blocks

MAX_SESSION_COUNT = 500
"""Pages whose state is kept, some 150 kB each once they were used.

The one that was silent longest goes first, and begins anew when it is used again.
"""
_init_session = SessionState.__init__


class _PageWithoutBlocks:
    """Stands for a page and is like it in all but this: there is no part of it to describe."""

    def __init__(self, page: Blocks) -> None:
        self._page = page
        self.blocks: dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._page, name)


def _init_without_blocks(self: SessionState, blocks: Blocks) -> None:
    _init_session(self, _PageWithoutBlocks(blocks))  # pyright: ignore[reportArgumentType]


def shrink_sessions() -> None:
    """From here on sessions of this process are made without that copy."""
    SessionState.__init__ = _init_without_blocks
