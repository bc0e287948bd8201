"""The creation tools: a new tool is one file in this package and one line in `_MODULES`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from pipelines.core.errors import NotFound
from pipelines.core.tools import Tool
from pipelines.tools.shared import point_preview, portrait_check, precision_benchmark, thing_outline

# Modules of this package, in the order of the tabs.
_MODULES = (
    "headshot",
    "product",
    "background",
    "style",
    "character",
    "fashion",
    "business",
    "social_kit",
    "motion",
    "cutout",
    "retouch",
    "expand",
    "upscale",
)


def _load_tools(modules: Sequence[str]) -> tuple[Tool, ...]:
    tools: tuple[Tool, ...] = tuple(import_module(f"{__name__}.{module}").TOOL for module in modules)
    ids = [tool.id for tool in tools]
    if len(set(ids)) != len(ids):
        raise ValueError(f"two tools share an id: {ids}")
    return tools


TOOLS = _load_tools(_MODULES)

HELPERS: tuple[Tool, ...] = (precision_benchmark.TOOL, point_preview.TOOL, portrait_check.TOOL, thing_outline.TOOL)
"""Tools that pages use themselves: without a tab, a route or a place in any list."""


def find_tool(tool_id: str, rows: Sequence[Tool] = TOOLS) -> Tool:
    """Find the tool with this id. Raises `NotFound`."""
    for row in rows:
        if row.id == tool_id:
            return row
    raise NotFound("There is no such tool.")
