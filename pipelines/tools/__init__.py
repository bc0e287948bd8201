"""The creation tools, an explicit tuple; a new tool is one file here and one line below."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.core.errors import NotFound
from pipelines.core.tools import Tool
from pipelines.tools import (
    background,
    business,
    character,
    cutout,
    expand,
    fashion,
    headshot,
    motion,
    product,
    retouch,
    social_kit,
    style,
    upscale,
)
from pipelines.tools.shared import precision_benchmark


def _refuse_duplicates(rows: Sequence[Tool]) -> tuple[Tool, ...]:
    ids = [row.id for row in rows]
    if len(set(ids)) != len(ids):
        raise ValueError(f"two tools share an id: {ids}")
    return tuple(rows)


TOOLS: tuple[Tool, ...] = _refuse_duplicates(
    [
        headshot.TOOL,
        product.TOOL,
        background.TOOL,
        style.TOOL,
        character.TOOL,
        fashion.TOOL,
        business.TOOL,
        social_kit.TOOL,
        motion.TOOL,
        cutout.TOOL,
        upscale.TOOL,
        expand.TOOL,
        retouch.TOOL,
    ]
)

HELPERS: tuple[Tool, ...] = (precision_benchmark.TOOL,)
"""What pages order for their own use: no tab, no route, no place on any list."""


def find_tool(tool_id: str, rows: Sequence[Tool] = TOOLS) -> Tool:
    """The row with this id. Raises `NotFound`."""
    for row in rows:
        if row.id == tool_id:
            return row
    raise NotFound("There is no such tool.")
