"""docs/first-day.md: each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "first-day.md").read_text("utf-8")


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE))
    assert len(named) > 40
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text("utf-8")]
    assert not missing


def test_every_fault_has_one() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("| **")]
    assert len(rows) > 20
    assert all("::test_" in row.split(" | ")[-1] for row in rows)
