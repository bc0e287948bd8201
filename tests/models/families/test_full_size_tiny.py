"""What `tests/gpu` does on a GPU is done here with tiny parts on the CPU: the first GPU should meet no slip of ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.models.diffusion.pipeline import DiffusionModel
from pipelines.models.one_module import OneModuleModel
from tests.gpu import __main__ as page
from tests.gpu import sizes
from tests.gpu import test_full_size as full
from tests.models.support.tiny_checkpoints import tiny_sdxl, tiny_union
from tests.models.support.tiny_flow_checkpoints import tiny_klein, tiny_z_control, tiny_z_image

# diffusers' Euler scheduler hands a torch tensor to np.array in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def parts(name: str, folder: Path) -> tuple[Any, Any]:
    """A tiny pipeline of the class that `name` has at full size, and its ControlNet."""
    import diffusers
    from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel

    kind = getattr(diffusers, full.CASES[name][2].pipeline_class)
    if name == "klein":
        return kind.from_pretrained(tiny_klein(folder / "klein")), None
    if name == "sdxl":
        net = ControlNetUnionModel.from_pretrained(tiny_union(folder / "union"))
        return kind.from_pretrained(tiny_sdxl(folder / "xl")), net
    z_net: Any = ZImageControlNetModel
    net = z_net.from_pretrained(tiny_z_control(folder / "z-net"))
    return kind.from_pretrained(tiny_z_image(folder / "z")), net


@pytest.fixture(scope="module", params=list(full.CASES))
def painter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiffusionModel]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spec, kind, _ = full.CASES[request.param]
    small = {**dict(spec.defaults), "side": 96, "side_min": 64, "num_inference_steps": 2}
    pipe, net = parts(request.param, tmp_path_factory.mktemp("tiny"))
    made = full.assemble_model(replace(spec, defaults=tuple(small.items())), kind, pipe, "cpu")
    with made.using_control_net(OneModuleModel(spec, net, "cpu")):
        yield made
    made.close()
    torch.set_num_threads(threads)


@pytest.fixture
def allocated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the allocator of a GPU that is not there says: the one number in this list."""
    import torch

    says = [0]
    for name in ("synchronize", "reset_peak_memory_stats", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    for name in ("memory_allocated", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda: says[0])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "no GPU")
    monkeypatch.setattr(full, "SIDE_PX", 96)
    return says


def test_the_drawing_test_runs(
    painter: DiffusionModel, allocated: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    allocated[0] = painter.spec.bytes
    full.test_it_draws_alike_watched_or_not_and_says_what_it_takes(painter)
    assert f"{painter.spec.id} 96 px on no GPU: weights {painter.spec.bytes / 1e9:.2f} GB" in capsys.readouterr().out


def test_the_moving_test_runs(
    painter: DiffusionModel, allocated: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    full.test_it_goes_to_the_host_and_comes_back_faster_than_a_picture_is_drawn(painter)
    assert "GB/s" in capsys.readouterr().out


def test_the_tiles_test_runs(painter: DiffusionModel, allocated: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    full.test_tiles_take_less_memory(painter)
    assert "in tiles" in capsys.readouterr().out


class TinyArchitecture:
    """Stands for an architecture at full size, with the tiny parts of `parts`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build_pipeline(self, device: str, *, shared_layers: bool, mapped: Path | None) -> tuple[Any, Any]:
        assert shared_layers
        assert mapped is None
        return parts("sdxl", self._folder)


def test_the_page_of_figures_names_machine_verbs_and_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, kind, _ = full.CASES["sdxl"]
    monkeypatch.setattr(page, "CASES", {"sdxl": (spec, kind, TinyArchitecture(tmp_path))})
    out = tmp_path / "page.md"
    flags = ["--device", "cpu", "--side", "96", "--steps", "2", "--shared-layers", "--out", str(out)]
    assert page.main(["sdxl", *flags]) == 0
    first, _, _, _, *rows = out.read_text().splitlines()
    assert "torch 2." in first
    assert [row.split("|")[3].strip() for row in rows] == ["text", "image", "inpaint", "control"]
    assert all(row.startswith("| sdxl-lightning | random, shared layers |") for row in rows)
    for row in rows:
        seconds, of_net, preview, stop, beside = (float(word) for word in row.split("|")[6:-1])
        assert 0 <= preview <= seconds
        assert min(of_net, stop, beside) >= 0


def test_layers_of_one_shape_share_their_weights() -> None:
    import torch

    layers = sizes._make_with_shared_layers(
        "cpu", lambda: torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in "abc"))
    )
    assert len({each.data_ptr() for each in layers.parameters()}) == 2
    assert sum(each.numel() for each in layers.parameters()) == 64 * 64 + 64
    assert layers(torch.ones(1, 64, dtype=torch.bfloat16)).isfinite().all()


def test_mapped_weights_are_each_its_own_and_their_file_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(sizes, "_NOISE_COUNT", 2**13 - 2**7)  # of which 70 is no divisor either; the file has two
    layers = sizes._make_mapped(
        tmp_path, lambda: torch.nn.Sequential(torch.nn.LayerNorm(70), *(torch.nn.Linear(70, 70) for _ in "abc"))
    )
    assert list(tmp_path.iterdir()) == []
    weights = [each.weight for each in layers[1:]]
    assert len({each.data_ptr() for each in weights}) == 3
    assert not torch.equal(weights[0], weights[1])
    assert all(each.data_ptr() % 64 == 0 and 0.01 < float(each.std()) < 0.03 for each in weights)
    assert torch.equal(layers[0].weight, torch.ones(70, dtype=torch.bfloat16))
    assert layers(torch.ones(1, 70, dtype=torch.bfloat16)).isfinite().all()


def test_memory_is_counted_at_its_peak_beside_files(tmp_path: Path) -> None:
    gauge = page.HostMemoryGauge()
    before = gauge.reset_peak()
    held = np.ones(140_000_000, np.uint8)  # so large that it is no memory that was freed before
    for _ in range(1000):
        if gauge._peak - before > 100_000_000:
            break
        time.sleep(0.01)
    del held
    assert gauge.peak_bytes() - before > 100_000_000


@pytest.mark.parametrize("verb", ["edit", "image", "inpaint", "control"])
def test_the_verbs_test_runs(
    painter: DiffusionModel, allocated: list[int], verb: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    if verb not in painter.spec.verbs:
        return
    full.test_every_other_verb_draws(painter, verb)
    assert f"{painter.spec.id} {verb} 512 px" in capsys.readouterr().out
