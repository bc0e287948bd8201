"""Patches of Gradio. Each module says what it changes and why, and lists the private names that it uses."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from inspect import isfunction
from typing import Any

CHECKED_VERSION = "6.31.0"
"""Gradio version with which all patches were checked."""
_MODULES = (
    "coalesce_updates",
    "stream_keeper",
    "frontend_script",
    "full_updates",
    "light_start",
    "log_redirect",
    "page_template",
    "session_memory",
    "upload_folders",
)


def assert_patched_names_exist() -> None:
    """Check that the installed Gradio has every private name that a patch uses. Raises `RuntimeError`."""
    missing = [name for name in _list_patched_names() if not _patched_name_exists(name)]
    if missing:
        version = import_module("gradio").__version__
        raise RuntimeError(
            f"Gradio {version} has no {', '.join(missing)}, which ui/gradio_patches needs. Install {CHECKED_VERSION}."
        )


def _list_patched_names() -> Iterator[str]:
    for module in _MODULES:
        yield from import_module(f"{__name__}.{module}").PATCHED_NAMES


def _patched_name_exists(name: str) -> bool:
    """Whether `package.module:owner.attribute` exists, as an attribute or set by a method of the class `owner`."""
    module_name, _, path = name.partition(":")
    *owners, attribute = path.split(".")
    owner: Any = import_module(module_name)
    for each in owners:
        owner = getattr(owner, each, None)
    methods = [member for member in vars(owner).values() if isfunction(member)] if isinstance(owner, type) else []
    return hasattr(owner, attribute) or any(attribute in method.__code__.co_names for method in methods)
