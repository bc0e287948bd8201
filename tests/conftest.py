"""What every test run has to itself: the folder that Gradio keeps uploads and downloads in."""

from __future__ import annotations

import os

# Before anything imports numpy, torch or OpenCV: the nets of the tests are small, and threads that wait for one another
# burn twice the processor time. Commands that the tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import each_database as each_database
from tests.support.postgres import only_in_a_file as only_in_a_file


@pytest.fixture(scope="session", autouse=True)
def _own_folder() -> Iterator[None]:
    """Two runs on one machine would take each other's files: they lie there by their content."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder).resolve())
        yield
        del os.environ["GRADIO_TEMP_DIR"]
