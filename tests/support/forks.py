"""Processes that are forked from one fresh interpreter, which has imported the studio as `python app.py` does.

Importing Gradio and the studio anew takes each process three seconds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.support.started_studio", "tests.support.kill_loop", "tests.support.batch_rows"])


def call_forked(function: Callable[Arguments, Returned], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
    """Call the function of a module in a fork, and return or raise what it did."""
    with ProcessPoolExecutor(1, mp_context=FORKS) as pool:
        return pool.submit(function, *args, **kwargs).result()


def stop_fork_server() -> None:
    """Stop the interpreter that is forked, if there is one."""
    forkserver._forkserver._stop()  # pyrefly: ignore[missing-attribute]
