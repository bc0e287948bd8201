"""How often a failed browser test runs again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.browser.conftest import RERUN_MARK, pytest_collection_modifyitems


@pytest.mark.parametrize(("said", "is_marked"), [(None, True), (0, False), (3, False)])
def test_what_the_command_line_says_of_reruns_wins_over_the_mark(said: int | None, is_marked: bool) -> None:
    marks: list[pytest.MarkDecorator] = []
    item: Any = SimpleNamespace(path=Path(__file__), fixturenames=("browser",), add_marker=marks.append)
    config: Any = SimpleNamespace(getoption=lambda name, default: said if name == "reruns" else default)
    pytest_collection_modifyitems(config, [item])
    assert (RERUN_MARK in marks) is is_marked
    assert marks, "the other marks stay"
