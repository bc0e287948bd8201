"""BiRefNet from the hub: its file, what it sees and says, and which one a job takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ModelUnavailable
from pipelines.models import pinned_revisions
from pipelines.models.families.hub_nets import BIREFNET_FAMILY, GENERAL, LITE, PORTRAIT
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.nets import matting_choice
from pipelines.models.nets.matting_choice import choose_hub_nets
from pipelines.models.nets.u2net import CHANNEL_DEVIATIONS, CHANNEL_MEANS
from tests.models.support import tiny_birefnet


def test_the_net_sees_the_photo_as_it_was_trained_to_and_says_a_probability(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_birefnet.put_into_cache(LITE, tmp_path, monkeypatch)
    net = BIREFNET_FAMILY.load(LITE, "cuda")  # it takes no GPU, where one draws
    colour = np.array((250, 90, 20), np.uint8)
    alpha = net.predict_alpha(np.full((40, 60, 3), colour, np.uint8))
    logit = tiny_birefnet.WEIGHTS.ravel() @ ((colour / 255 - CHANNEL_MEANS) / CHANNEL_DEVIATIONS)
    assert alpha.shape == (40, 60)
    assert alpha == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    net.close()


def test_a_file_that_is_not_the_known_one_is_never_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tiny_birefnet.put_into_cache(LITE, tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes() + b"?")
    with pytest.raises(ModelUnavailable, match="damaged or another file"):
        BIREFNET_FAMILY.load(LITE, "cpu")


def test_each_file_has_a_known_digest() -> None:
    for spec in BIREFNET_FAMILY.specs:
        assert len(pinned_revisions.FILE_SHA256[spec.repo, dict(spec.options)["files"]]) == 64


def test_the_best_net_that_is_here_and_fits_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**12)
    assert choose_hub_nets(for_portrait=True) == {}
    for spec, of_things, of_people in ((LITE, LITE, LITE), (PORTRAIT, LITE, PORTRAIT), (GENERAL, GENERAL, PORTRAIT)):
        tiny_birefnet.put_into_cache(spec, tmp_path, monkeypatch)
        assert choose_hub_nets(for_portrait=False) == {"matte-hub": of_things.id}
        assert choose_hub_nets(for_portrait=True) == {"matte-hub": of_people.id}
    memory = matting_choice.run_bytes(GENERAL) / matting_choice.RUN_MEMORY_RATIO - 1
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: memory)
    assert choose_hub_nets(for_portrait=True) == {"matte-hub": LITE.id}


def test_on_a_gpu_the_net_takes_nothing_of_its_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny_birefnet.put_into_cache(LITE, tmp_path, monkeypatch)
    for device, size in (("cpu:1", 0), ("cpu", LITE.bytes)):
        cache = ModelCache((BIREFNET_FAMILY,), CacheOptions(device=device, budget_bytes=size))
        with cache.borrow_model(LITE.id):
            assert [row["bytes"] for row in cache.resident_models()] == [size]


def test_the_seconds_of_a_run_are_estimated_from_a_net_that_is_here() -> None:
    seconds = [matting_choice.estimate_run_seconds(spec) for spec in (LITE, GENERAL, PORTRAIT)]
    assert 0 < seconds[0] < seconds[1] == seconds[2]
