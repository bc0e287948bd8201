"""Maps are replaced by newly recorded ones at the end of a run that passed, and stay as they were else."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import record_maps
from tests.support import recorded_maps


@pytest.mark.parametrize(("status", "left"), [(0, "new.png"), (1, "old.png"), (2, "old.png")])
def test_a_run_that_fails_leaves_the_maps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, left: str
) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "old.png").write_bytes(b"old")

    def run(command: list[str], *, env: dict[str, str], check: bool) -> subprocess.CompletedProcess[Any]:
        assert (maps / "old.png").exists()
        Path(env[recorded_maps.RECORDING_VARIABLE], "new.png").write_bytes(b"new")
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(recorded_maps, "MAPS_FOLDER", maps)
    monkeypatch.setattr(subprocess, "run", run)
    assert record_maps.main() == status
    assert [path.name for path in maps.iterdir()] == [left]


def test_a_run_that_records_reads_no_map_and_writes_to_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = tmp_path / "isnet.onnx"
    weights.write_bytes(b"weights")
    shown, said = [np.zeros((1, 3, 4, 4), np.float32)], np.full((1, 1, 4, 4), 0.5, np.float32)
    maps = recorded_maps.RecordedMaps(str(weights))
    monkeypatch.setenv(recorded_maps.RECORDING_VARIABLE, str(tmp_path))
    maps.record(shown, said)
    (written,) = tmp_path.glob("isnet-*.png")
    listed = {written.stem.rpartition("-")[2]: written}
    monkeypatch.setattr(recorded_maps, "_list_recorded", lambda: listed)
    assert maps.find_map(shown) is None
    monkeypatch.delenv(recorded_maps.RECORDING_VARIABLE)
    found = maps.find_map(shown)
    assert found is not None
    assert np.abs(found - said).max() < 1 / recorded_maps.RECORDED_LEVELS
