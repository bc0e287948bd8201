"""Patches `SessionState.__init__`: a session keeps no config of the page, which nothing in this studio reads.

Gradio copies the whole config for every new session name: 2 MB and 0.1 s for a page of 1,400 components, for up to
10,000 names that any caller can invent. It also describes each component anew, with the schema of its value, whenever
an event updates it (docs/figures.md has what that cost).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradio.state_holder import SessionState

if TYPE_CHECKING:
    from gradio.blocks import Blocks

PATCHED_NAMES = (
    "gradio.state_holder:SessionState.__init__",
    "gradio.state_holder:SessionState.blocks_config",
    "gradio.blocks:Blocks.blocks",
    "gradio.blocks:BlocksConfig.config_for_block",
)
MAX_SESSION_COUNT = 500
"""Sessions whose state is kept, about 150 kB each. The least recently used one is dropped, and starts anew if used."""
_init_session = SessionState.__init__


class _PageWithoutBlocks:
    """A page without components to copy; everything else is the page's own."""

    def __init__(self, page: Blocks) -> None:
        self._page = page
        self.blocks: dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._page, name)


def _init_without_blocks(self: SessionState, blocks: Blocks) -> None:
    _init_session(self, _PageWithoutBlocks(blocks))  # pyrefly: ignore[bad-argument-type]
    self.blocks_config.config_for_block = lambda *_: {}  # pyrefly: ignore[bad-assignment]


def shrink_sessions() -> None:
    """Patch Gradio: sessions of this process are made without a config from now on."""
    SessionState.__init__ = _init_without_blocks
