"""torch's threads sleep soon when they wait for each other, unless the environment says otherwise."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOADED = """
import ctypes, sys
from pipelines.core.thread_waiting import limit_spinning
limit_spinning()
ctypes.CDLL(sys.argv[1])
"""
NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="torch brings GNU's OpenMP on Linux alone")
@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, "GOMP_SPINCOUNT = '3000'"),
        ({"GOMP_SPINCOUNT": "77"}, "GOMP_SPINCOUNT = '77'"),
        ({"OMP_WAIT_POLICY": "active"}, "GOMP_SPINCOUNT = '30000000000'"),
    ],
)
def test_the_library_reads_it_when_torch_is_loaded(given: dict[str, str], read: str) -> None:
    torch = importlib.util.find_spec("torch")
    assert torch is not None
    libraries = list(Path(str(torch.origin)).parent.parent.glob("torch*/**/libgomp*.so*"))
    if not libraries:
        pytest.skip("this torch brings another OpenMP")
    env = {name: value for name, value in os.environ.items() if name not in NAMES}
    env |= {"OMP_DISPLAY_ENV": "verbose", **given}
    run = subprocess.run(
        [sys.executable, "-c", LOADED, str(libraries[0])], capture_output=True, text=True, check=True, env=env
    )
    assert read in run.stderr
