"""Tiny checkpoints that are written once in a test run: who asks for the same again gets a copy of the files."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


@functools.cache
def _make_kept_folder() -> tempfile.TemporaryDirectory[str]:
    """Make the folder of what was written, which goes with the process."""
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def copy_when_written(write: Callable[..., Path]) -> Callable[..., Path]:
    """Let `write` of the same arguments run once: building a net and saving it takes ten times as long as a copy."""
    kept: dict[str, Path] = {}

    @functools.wraps(write)
    def write_or_copy(folder: Path, *arguments: Any, **options: Any) -> Path:
        key = repr((arguments, sorted(options.items())))
        if key not in kept:
            kept[key] = write(Path(_make_kept_folder().name, f"{write.__name__}-{len(kept)}"), *arguments, **options)
        shutil.copytree(kept[key], folder, dirs_exist_ok=True)
        return folder

    return write_or_copy
