"""What `tests/gpu` does on a GPU is done here with tiny parts on the CPU: the first GPU should meet no slip of ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.models.diffusion.pipeline import DiffusionModel
from pipelines.models.families.control_nets import ControlNet
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
    with made.using_control_net(ControlNet(spec, net, "cpu")):
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

    def build_pipeline(self, device: str, *, shared_layers: bool) -> tuple[Any, Any]:
        assert shared_layers
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


def test_layers_of_one_shape_share_their_weights() -> None:
    import torch

    layers = sizes._make_with_shared_layers(
        "cpu", lambda: torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in "abc"))
    )
    assert len({each.data_ptr() for each in layers.parameters()}) == 2
    assert sum(each.numel() for each in layers.parameters()) == 64 * 64 + 64
    assert layers(torch.ones(1, 64, dtype=torch.bfloat16)).isfinite().all()


@pytest.mark.parametrize("verb", ["edit", "image", "inpaint", "control"])
def test_the_verbs_test_runs(
    painter: DiffusionModel, allocated: list[int], verb: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    if verb not in painter.spec.verbs:
        return
    full.test_every_other_verb_draws(painter, verb)
    assert f"{painter.spec.id} {verb} 512 px" in capsys.readouterr().out
