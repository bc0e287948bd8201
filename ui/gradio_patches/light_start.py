"""Starts Gradio with less work: a third of the time until `/healthz` answers was spent on what nobody uses.

- pandas is imported when something first asks for it. Gradio imports it for tables and plots; the one table of this
  page is filled long after the start.
- Gradio's own MCP server is left without the package `mcp`. The studio has a server of its own, which imports it when
  an agent comes.
- No stub file (`.pyi`) is written for each component. Gradio parses the source of all of them for that.
- `Blocks.__exit__` makes no app and no config: `launch` makes both anew.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

PATCHED_NAMES = (
    "gradio.routes:App.create_app",
    "gradio.blocks:Blocks.get_config_file",
    "gradio.component_meta:create_or_modify_pyi",
)


def import_gradio() -> None:
    """Import Gradio, if nobody has, without pandas, without mcp and without writing stub files."""
    if "gradio" in sys.modules:
        return
    _defer_import("pandas")
    hide_mcp = "mcp" not in sys.modules
    if hide_mcp:
        sys.modules["mcp"] = None  # pyright: ignore[reportArgumentType]  to import it is an ImportError now
    find_file = inspect.getfile
    inspect.getfile = _find_no_file  # Gradio writes no stub for a class without a file
    try:
        importlib.import_module("gradio")
    finally:
        inspect.getfile = find_file
        if hide_mcp:
            del sys.modules["mcp"]


@contextmanager
def build_without_app() -> Iterator[None]:
    """Build pages inside: closing a `gr.Blocks` makes neither app nor config. `launch` afterwards does."""
    from gradio.blocks import Blocks
    from gradio.routes import App

    make_app, make_config = App.create_app, Blocks.get_config_file
    App.create_app = staticmethod(lambda *_, **__: None)  # pyright: ignore[reportAttributeAccessIssue]
    Blocks.get_config_file = lambda self: {}  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        App.create_app, Blocks.get_config_file = staticmethod(make_app), make_config  # pyright: ignore[reportAttributeAccessIssue]


def _defer_import(name: str) -> None:
    """Put a stand-in for the module `name` into `sys.modules`, which imports it when an attribute is asked for.

    `importlib.util.LazyLoader` would import it at the next `import` statement already.
    """
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None:
        return
    stand_in = ModuleType(name)
    stand_in.__spec__ = spec

    def load_attribute(attribute: str) -> Any:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    stand_in.__getattr__ = load_attribute  # pyright: ignore[reportAttributeAccessIssue]
    sys.modules[name] = stand_in


def _find_no_file(_: Any) -> str:
    raise OSError("no stub file is wanted")
