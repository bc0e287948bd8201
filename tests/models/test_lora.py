"""LoRAs are applied for one drawing: A, none and B are each what a fresh load gives, and a cancel leaves nothing."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import BadInput, JobCancelled, ModelUnavailable
from pipelines.core.models import Profile
from pipelines.core.rendering import Adapter, ModelStep
from pipelines.jobs.table import JobTable
from pipelines.models import lora
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel
from pipelines.models.families.flux2 import Flux2Model
from pipelines.models.families.stable_diffusion import StableDiffusionModel
from pipelines.models.families.z_image import ZImageModel
from pipelines.models.profiles import EMBEDDED
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from tests.models.support import family_checks, tiny_checkpoints, tiny_flow_checkpoints
from tests.models.support.family_checks import SIZE, are_identical, draw_pictures, make_request

# Several at once are what is wanted, whatever peft says of it.
pytestmark = pytest.mark.filterwarnings("ignore:Already found a .peft_config.:UserWarning")

FAMILIES = ("stable_diffusion", "flux2", "z_image")


@dataclass(frozen=True)
class LoraCase:
    """A model, its plain pipeline class, the parts of one, and two LoRAs for the net of that name."""

    model: DiffusionModel
    kind: str
    plain_parts: Mapping[str, Any]
    net_name: str
    guidance: float
    a: Path
    b: Path
    drawn: dict[tuple[tuple[Path, float], ...], family_checks.Pictures] = field(default_factory=dict)

    def draw_with_diffusers(self, *adapters: tuple[Path, float]) -> family_checks.Pictures:
        """Draw once with what diffusers alone loads, on a net that is a copy for these LoRAs."""
        if adapters not in self.drawn:
            self.drawn[adapters] = self._draw_anew(*adapters)
        return self.drawn[adapters]

    def _draw_anew(self, *adapters: tuple[Path, float]) -> family_checks.Pictures:
        import diffusers

        pipe = getattr(diffusers, self.kind)(
            **{**self.plain_parts, self.net_name: copy.deepcopy(self.plain_parts[self.net_name])}
        )
        for number, (file, _) in enumerate(adapters):
            pipe.load_lora_weights(file.parent, weight_name=file.name, adapter_name=f"own-{number}")
        if adapters:
            pipe.set_adapters([f"own-{n}" for n in range(len(adapters))], [weight for _, weight in adapters])
        sides = {"width": SIZE[0], "height": SIZE[1]}
        return family_checks.draw_with_diffusers(
            pipe,
            (1, 2),
            steps=family_checks.STEP_COUNT,
            prompt="a red cup",
            guidance_scale=self.guidance,
            **sides,
        )

    def draw_with_loras(self, *adapters: tuple[Path, float]) -> family_checks.Pictures:
        rows = tuple(Adapter(str(file), weight) for file, weight in adapters)
        return draw_pictures(self.model, make_request("text", 1, 2, adapters=rows))


def write_lora(net: Any, folder: Path, prefix: str, seed: int) -> Path:
    """Write a LoRA of rank 2 for the attention of `net`, strong enough to be visible."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    rows: dict[str, Any] = {}
    for name, module in net.named_modules():
        if name.endswith(("to_q", "to_v")):
            rows[f"{prefix}.{name}.lora_A.weight"] = torch.randn(2, module.in_features, generator=generator)
            rows[f"{prefix}.{name}.lora_B.weight"] = torch.randn(module.out_features, 2, generator=generator)
    folder.mkdir()
    file = folder / "any-name.safetensors"
    save_file(rows, file)
    return file


@pytest.fixture(scope="module", params=FAMILIES)
def wardrobe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoraCase]:
    import diffusers
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("lora")
    build, model_class, kind, prefix, guidance = {
        "stable_diffusion": (tiny_checkpoints.tiny_sd, StableDiffusionModel, "StableDiffusionPipeline", "unet", 5.0),
        "flux2": (tiny_flow_checkpoints.tiny_klein, Flux2Model, "Flux2KleinPipeline", "transformer", 1.0),
        "z_image": (tiny_flow_checkpoints.tiny_z_image, ZImageModel, "ZImagePipeline", "transformer", 0.0),
    }[request.param]
    spec = family_checks.tiny_row(request.param, str(build(root / "model")), ("text",), guidance=guidance)
    model = CheckpointFamily(model_class, (spec,)).load(spec, "cpu")
    net = getattr(model.pipe, prefix)
    plain_parts = getattr(diffusers, kind).from_pretrained(spec.repo).components
    a, b = (write_lora(net, root / name, prefix, ord(name)) for name in "ab")
    yield LoraCase(model, kind, plain_parts, prefix, guidance, a, b)
    torch.set_num_threads(threads)


def weight_addresses(model: DiffusionModel) -> Sequence[tuple[str, int]]:
    """List the names and memory addresses of all weights."""
    parts = {name: part for name, part in model.pipe.components.items() if hasattr(part, "named_parameters")}
    return [(f"{name}.{key}", row.data_ptr()) for name, part in parts.items() for key, row in part.named_parameters()]


def test_a_then_none_then_b_are_each_a_fresh_load(wardrobe: LoraCase):
    before = weight_addresses(wardrobe.model)
    bare, a, b = (
        wardrobe.draw_with_diffusers(),
        wardrobe.draw_with_diffusers((wardrobe.a, 1.0)),
        wardrobe.draw_with_diffusers((wardrobe.b, 0.5)),
    )
    assert not are_identical(bare, a)
    assert not are_identical(a, b)
    assert are_identical(wardrobe.draw_with_loras((wardrobe.a, 1.0)), a)
    assert are_identical(wardrobe.draw_with_loras(), bare)
    assert are_identical(wardrobe.draw_with_loras((wardrobe.b, 0.5)), b)
    assert are_identical(wardrobe.draw_with_loras(), bare)
    assert weight_addresses(wardrobe.model) == before


def test_several_are_worn_together(wardrobe: LoraCase):
    both = (wardrobe.a, 0.7), (wardrobe.b, 0.3)
    assert are_identical(wardrobe.draw_with_loras(*both), wardrobe.draw_with_diffusers(*both))


def test_a_cancel_in_the_middle_leaves_nothing(wardrobe: LoraCase):
    before, bare = weight_addresses(wardrobe.model), wardrobe.draw_with_diffusers()

    def stop(step: ModelStep) -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled):
        draw_pictures(wardrobe.model, make_request("text", 3, adapters=(Adapter(str(wardrobe.a)),)), stop)
    assert weight_addresses(wardrobe.model) == before
    assert are_identical(wardrobe.draw_with_loras(), bare)


def test_drawings_with_and_without_do_not_see_each_other(wardrobe: LoraCase):
    jobs: list[tuple[tuple[Path, float], ...]] = [(), ((wardrobe.a, 1.0),), (), ((wardrobe.b, 0.5),), ()]
    alone = {job: wardrobe.draw_with_diffusers(*job) for job in jobs}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: wardrobe.draw_with_loras(*job), jobs))
    assert all(are_identical(alone[job], drawn) for job, drawn in zip(jobs, together, strict=True))


def test_one_that_does_not_fit_is_refused_and_leaves_nothing(wardrobe: LoraCase, tmp_path: Path):
    import torch
    from safetensors.torch import save_file

    before = weight_addresses(wardrobe.model)
    name = next(key for key in _keys(wardrobe.a) if "lora_A" in key)
    for number, rows in enumerate(({"other.lora_A.weight": torch.zeros(2, 3)}, {name: torch.zeros(2, 999)})):
        file = tmp_path / f"{number}.safetensors"
        save_file(rows, file)
        with pytest.raises(BadInput, match="does not fit"):
            wardrobe.draw_with_loras((file, 1.0))
        assert weight_addresses(wardrobe.model) == before


def _keys(file: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return list(opened.keys())


# ---------------------------------------------------------------- where they come from


def test_only_safetensors_are_taken(tmp_path: Path):
    for name in ("lora.bin", "lora.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
        with pytest.raises(BadInput, match="safetensors"):
            lora.find_lora_file(str(tmp_path / name))
    with pytest.raises(BadInput, match="safetensors"):
        lora.find_lora_file("owner/name::lora.bin")
    with pytest.raises(BadInput, match="Hugging Face"):
        lora.find_lora_file("nothing")


def test_a_folder_holds_one_or_names_it(tmp_path: Path):
    import torch
    from safetensors.torch import save_file

    for name in ("a", "b"):
        save_file({"x": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    assert lora.find_lora_file(f"{tmp_path}::a.safetensors").name == "a.safetensors"
    with pytest.raises(ModelUnavailable, match=r"a\.safetensors, b\.safetensors"):
        lora.find_lora_file(str(tmp_path))
    (tmp_path / "b.safetensors").unlink()
    assert lora.find_lora_file(str(tmp_path)).name == "a.safetensors"


def test_a_hub_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="ByteDance/SDXL-Lightning"):
        lora.find_lora_file("ByteDance/SDXL-Lightning::none.safetensors")


def test_a_repository_that_is_on_no_list_is_not_asked():
    with pytest.raises(ModelUnavailable, match="list of known"):
        lora.find_lora_file("owner/name")


# ---------------------------------------------------------------- on compiled blocks


@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0:RuntimeWarning")  # torch's, of 3.13.0 alone
def test_compiled_blocks_go_on_as_they_are_when_loras_are_exchanged(tmp_path: Path):
    """The backend only traces: what is compiled, and how often, is what is to be seen, not how fast it is."""
    import torch
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    folder = tiny_flow_checkpoints.tiny_klein(tmp_path / "model")
    spec = family_checks.tiny_row("flux2", str(folder), ("text",))
    bare, traced = (
        CheckpointFamily(Flux2Model, (spec,)).load(each, "cpu")
        for each in (spec, replace(spec, options=(("compile", "eager"),)))
    )
    a, b = (write_lora(bare.pipe.transformer, tmp_path / name, "transformer", ord(name)) for name in "ab")

    def worn(model: DiffusionModel, *files: Path) -> family_checks.Pictures:
        adapters = tuple(Adapter(str(file), 0.8) for file in files)
        return draw_pictures(model, make_request("text", 1, adapters=adapters, num_inference_steps=1))

    plain = functools.cache(lambda *files: worn(bare, *files))
    before = traced.pipe.transformer
    traced.pipe.vae.decoder._compiled_call_impl = None  # no LoRA is for it; `test_speed_ups` traces one
    first = [are_close(worn(traced, *files), plain(*files)) for files in ((), (a,), ())]
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    assert all(first)
    assert all(are_close(worn(traced, *files), plain(*files)) for files in ((b,), (), (a,), (b,)))
    assert counters["stats"]["unique_graphs"] == graphs
    assert traced.pipe.transformer is before
    # Several at once take the place down, and are right as well; what is traced of a block without it was seen above.
    with torch.compiler.set_stance("force_eager"):
        assert are_close(worn(traced, a, b), plain(a, b))
        assert are_close(worn(traced), plain())
    torch._dynamo.reset()


def are_close(one: family_checks.Pictures, other: family_checks.Pictures) -> bool:
    """Equal but for rounding: the place of a LoRA has more rows than the LoRA, all of them zero."""
    return all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(one, other, strict=True))


# ---------------------------------------------------------------- by name, from the page and the API


def test_a_name_is_a_file_of_the_folder_or_a_known_hub_id_and_no_path(tmp_path: Path):
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras" / "ink.safetensors").write_bytes(b"")
    (tmp_path / "other.safetensors").write_bytes(b"")
    shelf = lora.LoraLibrary(tmp_path / "loras")
    assert shelf.resolve_source("ink.safetensors") == str(tmp_path / "loras" / "ink.safetensors")
    assert shelf.resolve_source("ByteDance/SDXL-Lightning::a.safetensors") == "ByteDance/SDXL-Lightning::a.safetensors"
    assert shelf.list_names() == ("ink.safetensors",)
    for name in ("../other.safetensors", str(tmp_path / "other.safetensors"), "no.safetensors", "a/b/c", "owner/../x"):
        with pytest.raises(BadInput):
            shelf.resolve_source(name)
    with pytest.raises(BadInput, match="not known here"):
        shelf.resolve_source("owner/name")


def test_the_door_settles_where_a_lora_lies_and_says_which_field_is_wrong(tmp_path: Path):
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras" / "ink.safetensors").write_bytes(b"")
    draws = Profile("tiny", {"backdrop": "any", "image": "any"}, "Tiny")
    table = JobTable(tmp_path)
    nobody: Any = SimpleNamespace(table=table)
    files = FileIndex(tmp_path)
    service = StudioService(Settings(data=tmp_path), nobody, files, draws, nobody)
    values = {"prompt": "a harbour", "adapter": "ink.safetensors", "adapter_weight": 0.5}
    assert service.create_job("background", values, "me").adapters == {str(tmp_path / "loras" / "ink.safetensors"): 0.5}
    assert service.create_job("background", {"prompt": "a harbour"}, "me").adapters == {}
    with pytest.raises(BadInput) as wrong:
        service.create_job("background", {**values, "adapter": "../ink.safetensors"}, "me")
    assert wrong.value.param == "adapter"
    with pytest.raises(ModelUnavailable) as lacking:
        StudioService(Settings(data=tmp_path), nobody, files, EMBEDDED, nobody).create_job("background", values, "me")
    assert lacking.value.param == "adapter"
    table.close()
    files.close()
