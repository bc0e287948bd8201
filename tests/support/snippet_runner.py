"""Runs code snippets as a reader would: in a folder of their own, with the pictures that they name beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.tools import TOOLS, find_tool
from tests.support.served_app import ServedApp

COMMAND_BY_LANGUAGE = {
    "shell": ("sh", "-c"),
    "python": (sys.executable, "-c"),
    "javascript": ("node", "--input-type=module", "-e"),
}
KEPT_VARIABLES = ("PATH", "OMP_NUM_THREADS", "DESIGNERBOX_MATTING", "SSL_CERT_DIR")
"""The last three spare processor time; `tests/conftest.py` sets them."""
_FIELDS = {name for row in TOOLS for name in row.params.fields_of_kind("picture", "pictures", "mask")}
PICTURE_NAMES = ("portrait.jpg", *(f"{name}{n}.png" for name in sorted(_FIELDS) for n in ("", "-1", "-2")))


def make_quick_tools(names: Sequence[str] = ("headshot", "background", "business", "style")) -> list[Tool]:
    """These tools with their own forms; each opens every picture it was given and draws a small one."""
    return [replace(find_tool(name), run=_run_quick) for name in names]


def _run_quick(params: Params, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    for name in params.fields_of_kind("picture", "pictures", "mask"):
        value = getattr(params, name)
        for file_id in value if isinstance(value, tuple) else [value] if value else []:
            context.open_image(file_id)
    for n in range(3):
        time.sleep(0.05)  # whoever watches has come by then
        emit("Drawing", n + 1, 3, np.full((32, 32, 3), 200, np.uint8))
    return ToolOutput(images=(np.full((64, 64, 3), 200, np.uint8),))


def run_snippet(language: str, text: str, folder: Path, key: str = "", *, fails: bool = False) -> str:
    """What it printed, where it `fails` what it said of it too; skips where the language is not installed."""
    command = COMMAND_BY_LANGUAGE[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    for name in PICTURE_NAMES:
        PIL.Image.fromarray(np.full((48, 64, 3), 128, np.uint8)).save(folder / name)
    env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | {
        "HOME": str(folder),
        "GRADIO_TEMP_DIR": str(folder),
    }
    done = subprocess.run(
        [*command, text],
        cwd=folder,
        env={**env, "DESIGNERBOX_KEY": key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr[-2000:]
    return done.stdout + done.stderr if fails else done.stdout


def read_finished_params(house: ServedApp, tool_id: str, owner: str) -> dict[str, Any]:
    """The params of the owner's newest job of this tool, which is done."""
    row = house.service.jobs.list_jobs(owner, 1, tool=tool_id)[0]
    assert row.status == "done"
    assert row.result is not None
    return row.result.receipt["params"]
