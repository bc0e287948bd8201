"""LaMa and MI-GAN from the hub: their files, what they see and give, and which one a job takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models import pinned_revisions
from pipelines.models.families.hub_nets import FILL_NETS, LAMA, MIGAN
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.nets import matting_choice
from pipelines.models.nets.matting_choice import find_fill_net
from tests.models.support import tiny_birefnet, tiny_fill_nets
from tests.support.examples import make_noise


@pytest.mark.parametrize("spec", FILL_NETS.specs, ids=lambda spec: spec.id)
def test_a_net_fills_the_hole_and_gives_the_rest_back(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_fill_nets.put_into_cache(spec, tmp_path, monkeypatch)
    net = FILL_NETS.load(spec, "cuda")  # it takes no GPU, where one draws
    image, hole = make_noise(512, 512, 120, 30), np.zeros((512, 512), np.bool_)
    hole[100:300, 50:90] = True
    filled = net.fill_hole_in_square(image, hole)
    assert (filled[~hole] == image[~hole]).all()
    assert filled[hole].mean(axis=0) == pytest.approx(255 * np.array(tiny_fill_nets.COLOUR), abs=1)
    net.close()


@pytest.mark.parametrize("spec", FILL_NETS.specs, ids=lambda spec: spec.id)
def test_a_file_that_is_not_the_known_one_is_never_loaded(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tiny_fill_nets.put_into_cache(spec, tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelUnavailable, match="damaged or another file"):
        FILL_NETS.load(spec, "cpu")
    path.unlink()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else the real file would be fetched
    with pytest.raises(ModelUnavailable):
        FILL_NETS.load(spec, "cpu")


def test_a_net_with_other_inputs_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny_fill_nets.put_into_cache(LAMA, tmp_path, monkeypatch, tiny_birefnet.make_file())
    with pytest.raises(ModelUnavailable, match="input_image, not an image and a mask"):
        FILL_NETS.load(LAMA, "cpu")


def test_each_file_has_a_known_digest_and_commit() -> None:
    for spec in FILL_NETS.specs:
        assert len(pinned_revisions.FILE_SHA256[spec.repo, dict(spec.options)["files"]]) == 64
        assert len(spec.revision) == 40


def test_the_best_net_that_is_here_and_fits_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**12)
    assert find_fill_net() is None
    for spec in (MIGAN, LAMA):
        tiny_fill_nets.put_into_cache(spec, tmp_path, monkeypatch)
        assert find_fill_net() == spec
    memory = matting_choice.run_bytes(LAMA) / matting_choice.RUN_MEMORY_RATIO - 1
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: memory)
    assert find_fill_net() == MIGAN


def test_on_a_gpu_the_net_takes_nothing_of_its_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny_fill_nets.put_into_cache(MIGAN, tmp_path, monkeypatch)
    for device, size in (("cpu:1", 0), ("cpu", MIGAN.bytes)):
        cache = ModelCache((FILL_NETS,), CacheOptions(device=device, budget_bytes=size))
        with cache.borrow_model(MIGAN.id):
            assert [row["bytes"] for row in cache.resident_models()] == [size]
