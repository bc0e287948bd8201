"""Tests that need a CUDA or ROCm device; they are skipped with a reason where there is none."""

from __future__ import annotations

import pytest

from pipelines.models.devices import detect_machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    machine = detect_machine()
    if machine.device == "cuda":
        return
    reason = f"{machine.reason} Architectures at full size are drawn with on a GPU only."
    for item in items:
        if "tests/gpu" in item.path.as_posix() and "on_meta" not in item.name:
            item.add_marker(pytest.mark.skip(reason=reason))
