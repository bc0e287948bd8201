"""Starts Gradio with less work: a third of the time until `/healthz` answers was spent on what nobody uses.

- pandas is imported when something first asks for it: for the one table of this page, long after the start.
- Gradio's own MCP server is left without the package `mcp`, which the studio's server imports when an agent comes.
- No stub file (`.pyi`) is written for each component. Gradio parses the source of all of them for that.
- `Blocks.__exit__` and `queue` make no app and no config, and `launch` makes the config once, not also for Gradio's own
  MCP server.
- The signature of a component's class is read once, and so is the schema of its value, not for each component. The
  signature of its `__init__` is remembered after the start too: Gradio reads it for every update of a component.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

PATCHED_NAMES = (
    "gradio.routes:App.create_app",
    "gradio.routes:App.setup_mcp_server",
    "gradio.blocks:Blocks.get_config_file",
    "gradio.blocks:inspect",
    "gradio.component_meta:inspect",
    "gradio.components.base:Component.api_info",
    "gradio.component_meta:create_or_modify_pyi",
)


def import_gradio() -> None:
    """Import Gradio, if nobody has, without pandas, without mcp and without writing stub files."""
    if "gradio" in sys.modules:
        return
    _defer_import("pandas")
    hide_mcp = "mcp" not in sys.modules
    if hide_mcp:
        sys.modules["mcp"] = None  # to import it is an ImportError now  # pyrefly: ignore[unsupported-operation]
    find_file = inspect.getfile
    inspect.getfile = _find_no_file  # Gradio writes no stub for a class without a file  # pyrefly: ignore[bad-assignment]
    try:
        importlib.import_module("gradio")
    finally:
        inspect.getfile = find_file
        if hide_mcp:
            del sys.modules["mcp"]


@contextmanager
def build_without_app() -> Iterator[None]:
    """Build pages inside, and call `queue`: neither makes an app or a config. `launch` afterwards does."""
    from gradio.blocks import Blocks
    from gradio.routes import App

    make_app, make_config = App.create_app, Blocks.get_config_file
    App.create_app = staticmethod(lambda *_, **__: None)  # pyrefly: ignore[bad-assignment]
    Blocks.get_config_file = lambda self: {}  # pyrefly: ignore[bad-typed-dict-key]
    try:
        with _read_signatures_once():
            yield
    finally:
        App.create_app, Blocks.get_config_file = staticmethod(make_app), make_config


@contextmanager
def launch_with_one_config() -> Iterator[None]:
    """Launch pages inside that have no MCP server of Gradio's."""
    from gradio.components.base import Component
    from gradio.route_utils import API_PREFIX
    from gradio.routes import App

    set_up, describe = App.setup_mcp_server, Component.api_info
    App.setup_mcp_server = staticmethod(lambda *_, **__: f"{API_PREFIX}/mcp")
    Component.api_info = _describe_each_class_once(describe)  # pyrefly: ignore[bad-assignment]
    try:
        with _read_signatures_once():
            yield
    finally:
        App.setup_mcp_server = staticmethod(set_up)
        Component.api_info = describe


def _describe_each_class_once(describe: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """Return `Component.api_info` with a memory: what it says follows from the model of the component's value."""
    described: dict[type, dict[str, Any]] = {}

    def describe_value(component: Any) -> dict[str, Any]:
        model = component.data_model
        if model is None:
            return describe(component)
        if model not in described:
            described[model] = describe(component)
        return copy.deepcopy(described[model])

    return describe_value


@contextmanager
def _read_signatures_once() -> Iterator[None]:
    """Give the modules of Gradio that read signatures an `inspect` that remembers them, one of them for good."""
    from gradio import blocks, component_meta

    # The type checker knows that they are none of theirs.
    setattr(component_meta, "inspect", _remembering_inspect())  # noqa: B010
    setattr(blocks, "inspect", _remembering_inspect())  # noqa: B010
    try:
        yield
    finally:
        setattr(blocks, "inspect", inspect)  # noqa: B010


@cache
def _remembering_inspect() -> SimpleNamespace:
    return SimpleNamespace(
        **{**vars(inspect), "signature": cache(inspect.signature), "getfullargspec": cache(inspect.getfullargspec)}
    )


def _defer_import(name: str) -> None:
    """Put a stand-in for the module `name` into `sys.modules`, which imports it when an attribute is asked for.

    `importlib.util.LazyLoader` would import it at the next `import` statement already.
    """
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None:
        return
    stand_in = ModuleType(name)
    stand_in.__spec__ = spec
    # `inspect` asks every module for its file when torch looks for the source of a function.
    stand_in.__file__ = spec.origin

    def load_attribute(attribute: str) -> Any:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    stand_in.__getattr__ = load_attribute  # pyrefly: ignore[bad-assignment]
    sys.modules[name] = stand_in


def _find_no_file(_: Any) -> str:
    raise OSError("no stub file is wanted")
