"""The type to compute in on a processor follows from a measurement, which is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.models.probes import cpu_precision
from pipelines.models.probes.cpu_precision import CpuPrecision, measure_layers
from ui import i18n
from ui.settings_tab import render_about


class Times:
    """Seconds in float32 and bfloat16, and how often somebody measured."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = seconds
        self.count = 0

    def __call__(self) -> tuple[float, float]:
        self.count += 1
        return self.seconds[0], self.seconds[1]


def no_gains(dtype: str) -> tuple[float, float]:
    return 1.0, 1.0


@pytest.mark.parametrize(
    ("float32", "bfloat16", "dtype", "words"),
    [
        (2.0, 1.0, "bfloat16", "in bfloat16: measured, 2.0 times as fast as float32"),
        (0.74, 1.0, "float32", "in float32: measured, 1.4 times as fast as bfloat16"),
        (1.05, 1.0, "float32", "in float32"),
    ],
)
def test_the_faster_type_is_chosen_whatever_the_processor_says_of_itself(
    float32: float, bfloat16: float, dtype: str, words: str
) -> None:
    precision = CpuPrecision(Times(float32, bfloat16), no_gains)
    assert precision.choose_dtype() == dtype
    assert words in precision.describe_choice()
    assert i18n.is_translated(precision.describe_choice())


def test_a_restart_measures_nothing_anew_and_another_processor_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, first, later = tmp_path / "precision.json", Times(2, 1), Times(1, 2)
    before = CpuPrecision(first, no_gains)
    before.remember_in(file)
    assert [before.choose_dtype() for _ in range(3)] == ["bfloat16"] * 3
    after = CpuPrecision(later, no_gains)
    after.remember_in(file)
    assert after.choose_dtype() == "bfloat16"
    assert (first.count, later.count) == (1, 0)
    monkeypatch.setattr(cpu_precision, "processor_name", lambda: "another")
    assert after.choose_dtype() == "float32"
    assert len(json.loads(file.read_text())) == 2
    file.write_text(
        '[{"processor": "another", "torch": "", "threads": 1, "float32_seconds": 0, "bfloat16_seconds": 0}]'
    )
    after.remember_in(file)
    assert after.choose_dtype() == "float32", "a damaged file is started anew"


@pytest.mark.parametrize(("gain", "used"), [(2.0, True), (1.05, False), (0.5, False)])
def test_layers_by_products_are_used_where_they_gain_in_the_chosen_type(
    gain: float, used: bool, tmp_path: Path
) -> None:
    asked: list[str] = []

    def measure_gains(dtype: str) -> tuple[float, float]:
        asked.append(dtype)
        return gain, 1 / gain

    here = CpuPrecision(Times(1, 2), measure_gains)
    here.remember_in(tmp_path / "precision.json")
    times = here.measure_once()
    assert (times.attends_by_products, times.convolves_by_products) == (used, 1 / gain >= 1.1)
    assert asked == ["float32"]
    again = CpuPrecision(Times(2, 1), measure_gains)
    again.remember_in(tmp_path / "precision.json")
    assert again.measure_once() == times


def test_layers_are_timed_in_both_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_precision, "_ROUND_COUNT", 1)
    assert min(measure_layers()) > 0


def test_settings_say_what_was_chosen_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.models.model_cache import CacheOptions, ModelCache
    from pipelines.models.profiles import EMBEDDED

    here = CpuPrecision(Times(2, 1), no_gains)
    monkeypatch.setattr(cpu_precision, "THIS_PROCESSOR", here)
    assert "which type is faster here" in render_about(EMBEDDED, ModelCache(()))
    here.choose_dtype()
    assert "in bfloat16: measured" in render_about(EMBEDDED, ModelCache(()))
    assert "bfloat16" not in render_about(EMBEDDED, ModelCache((), CacheOptions(device="cuda")))
