"""Speed-ups that `--speed` names: what each changes in a picture, on tiny random checkpoints."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import JobCancelled, ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import Adapter, ModelStep, RenderRequest
from pipelines.engines import factory
from pipelines.models import loading_progress
from pipelines.models.devices import Machine
from pipelines.models.diffusion import float8, loader, speed_ups
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel
from pipelines.models.diffusion.speed_ups import ATTENTION_BACKENDS, parse_speed_ups, prepare_process
from pipelines.models.families.flux2 import Flux2Model
from pipelines.models.families.stable_diffusion import StableDiffusionModel
from pipelines.models.families.wan import WanModel
from pipelines.settings import Settings
from tests.models.support import family_checks
from tests.models.support.family_checks import are_identical, draw_pictures, make_request
from tests.models.support.tiny_checkpoints import tiny_sdxl
from tests.models.support.tiny_flow_checkpoints import tiny_klein, tiny_wan
from tests.models.test_lora import write_lora
from ui.server import factory as server_factory

# diffusers' Euler scheduler hands a torch tensor to np.array in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Load = Callable[..., DiffusionModel]
MODELS: dict[str, tuple[type[DiffusionModel], Callable[[Path], Path], Any]] = {
    "stable_diffusion": (StableDiffusionModel, tiny_sdxl, "text"),
    "flux2": (Flux2Model, tiny_klein, "text"),
    "wan": (WanModel, tiny_wan, "video"),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModelSpec]]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("speed")
    yield {
        name: family_checks.tiny_row(name, str(write(root / name)), (verb,))
        for name, (_, write, verb) in MODELS.items()
    }
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def load(rows: dict[str, ModelSpec]) -> Load:
    def load_with(name: str, speed: str = "", *, steps: int = 3, compile: bool = False) -> DiffusionModel:
        defaults = (("num_inference_steps", steps), *rows[name].defaults[1:])
        options = (*parse_speed_ups(speed), *((("compile", "eager"),) if compile else ()))
        row = replace(rows[name], defaults=defaults, options=options)
        return CheckpointFamily(MODELS[name][0], (row,)).load(row, "cpu")

    return load_with


@pytest.fixture(scope="module")
def load_plain(load: Load) -> Callable[[str], DiffusionModel]:
    """Returns a model without speed-ups, which nobody changes, loaded at the first call."""
    return functools.cache(lambda name: load(name))


def largest_difference(one: DiffusionModel, other: DiffusionModel, render: RenderRequest) -> int:
    pairs = zip(draw_pictures(one, render), draw_pictures(other, render), strict=True)
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)


def test_a_name_that_is_unknown_is_refused_with_those_that_there_are() -> None:
    assert parse_speed_ups(" Channels-Last, attention=sage,") == (("channels_last", "on"), ("attention", "sage"))
    assert parse_speed_ups("") == ()
    for wrong in ("fast", "attention", "attention=flash_hub", "tf32=on"):
        with pytest.raises(ValueError, match="there are: channels-last, step-cache"):
            parse_speed_ups(wrong)


def test_attention_is_computed_by_nothing_that_is_fetched() -> None:
    from diffusers.models.attention_dispatch import AttentionBackendName

    assert set(ATTENTION_BACKENDS) <= {each.value for each in AttentionBackendName}
    assert not [name for name in ATTENTION_BACKENDS if "hub" in name]


@pytest.mark.parametrize("name", ["stable_diffusion", "flux2"])
def test_channels_last_changes_the_order_of_the_numbers_and_a_picture_by_rounding(
    load: Load, load_plain: Load, name: str
) -> None:
    import torch

    plain, ordered = load_plain(name), load(name, "channels-last")
    net = ordered.pipe.vae if name == "flux2" else ordered.pipe.unet
    weights = [each for each in net.parameters() if each.ndim == 4 and min(each.shape) > 1]
    assert weights
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in weights)
    assert largest_difference(plain, ordered, make_request("text", 1)) <= 1


def test_channels_last_in_bfloat16_beside_products_of_matrices(
    rows: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = SimpleNamespace(attends_by_products=True, convolves_by_products=True)
    monkeypatch.setattr(loader.cpu_precision.THIS_PROCESSOR, "measure_once", lambda: times)
    plain = replace(rows["stable_diffusion"], dtype="bfloat16")
    one, other = (
        CheckpointFamily(StableDiffusionModel, (row,)).load(row, "cpu")
        for row in (plain, replace(plain, options=parse_speed_ups("channels-last")))
    )
    assert largest_difference(one, other, make_request("text", 1)) <= 8


def test_the_autoencoder_of_a_video_model_keeps_its_order(load: Load, load_plain: Load) -> None:
    plain, ordered = load_plain("wan"), load("wan", "channels-last")
    assert largest_difference(plain, ordered, make_request("video", 1, frame_count=5)) == 0


def test_another_attention_draws_the_same_but_for_rounding(load: Load, load_plain: Load) -> None:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry

    before = _AttentionBackendRegistry.get_active_backend()[0]
    plain, other = load_plain("flux2"), load("flux2", "attention=_native_math")
    try:
        used = {each._attention_backend.value for each in other.pipe.transformer.attn_processors.values()}
        assert used == {"_native_math"}
        assert largest_difference(plain, other, make_request("text", 1)) <= 1
    finally:
        _AttentionBackendRegistry.set_active_backend(before)


def test_an_attention_whose_package_is_missing_ends_with_a_sentence(load: Load) -> None:
    with pytest.raises(ModelUnavailable, match=r"--speed attention=sage does not run here: .*sageattention"):
        load("flux2", "attention=sage")


@pytest.mark.parametrize(("device", "asked"), [("cpu", []), ("cuda:1", ["high"])])
def test_tf32_is_for_nvidia_alone(
    load_plain: Load, monkeypatch: pytest.MonkeyPatch, device: str, asked: list[str]
) -> None:
    import torch

    seen: list[str] = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", seen.append)
    speed_ups.apply_speed_ups(load_plain("flux2").pipe, {"tf32": "on"}, device, 4, draws_exclusively=False)
    assert seen == asked


def test_a_step_cache_skips_blocks_draws_the_same_again_and_nothing_of_a_stopped_one(
    load: Load, load_plain: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        speed_ups, "_CHANGE_BOUND", 0.4
    )  # random weights change more from step to step than trained ones
    plain, cached = load_plain("wan"), load("wan", "step-cache", steps=16)
    render = replace(make_request("video", 1, frame_count=5), guidance_scale=1.0, num_inference_steps=16)
    computed: list[int] = []
    hook = cached.pipe.transformer.blocks[1].ffn.register_forward_hook(lambda *_: computed.append(1))
    first = draw_pictures(cached, render)
    assert 1 <= len(computed) < 16
    hook.remove()

    def stop(step: ModelStep) -> None:
        if step.index == 3:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        draw_pictures(cached, replace(render, seeds=(2,)), stop)
    assert are_identical(draw_pictures(cached, render), first)
    apart = [np.abs(a.astype(int) - b).mean() for a, b in zip(first, draw_pictures(plain, render), strict=True)]
    assert max(apart) < 10


def test_a_step_cache_leaves_models_of_few_steps_and_those_that_draw_for_several_alone(load: Load) -> None:
    few, shared = load("wan", "step-cache", steps=15), load("flux2", "step-cache", steps=30)
    assert not few.pipe.transformer.is_cache_enabled
    assert not shared.pipe.transformer.is_cache_enabled
    assert load("wan", "step-cache", steps=16).pipe.transformer.is_cache_enabled


def test_files_that_several_threads_read_hold_the_same(
    rows: dict[str, ModelSpec], load_plain: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers.models import modeling_utils

    load_plain("flux2").pipe.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list((tmp_path / "transformer").glob("*.safetensors"))) > 1
    row = replace(rows["flux2"], repo=str(tmp_path))
    pictures = []
    for is_parallel in (False, True):
        monkeypatch.setattr(modeling_utils, "HF_ENABLE_PARALLEL_LOADING", is_parallel)
        pictures.append(draw_pictures(CheckpointFamily(Flux2Model, (row,)).load(row, "cpu"), make_request("text", 1)))
    assert are_identical(*pictures)
    monkeypatch.setenv("HF_ENABLE_PARALLEL_LOADING", "")
    prepare_process("parallel-loading")
    assert os.environ["HF_ENABLE_PARALLEL_LOADING"] == "", "what the owner set stays"
    monkeypatch.delenv("HF_ENABLE_PARALLEL_LOADING")
    prepare_process("tf32")
    assert "HF_ENABLE_PARALLEL_LOADING" not in os.environ
    prepare_process("parallel-loading")
    assert os.environ["HF_ENABLE_PARALLEL_LOADING"] == "1"


def count_bytes(net: Any) -> int:
    return sum(each.nbytes for each in (*net.parameters(), *net.buffers()))


def test_weights_in_float8_take_a_quarter_of_float32_and_change_a_picture_a_little_with_a_lora_too(
    rows: dict[str, ModelSpec], load: Load, load_plain: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(float8, "require_float8_device", lambda device: None)
    plain, small = load_plain("flux2"), load("flux2", "fp8")
    before, after = count_bytes(plain.pipe.transformer), count_bytes(small.pipe.transformer)
    assert 0.25 < after / before < 0.35
    row = replace(rows["flux2"], options=parse_speed_ups("fp8"))
    family = CheckpointFamily(Flux2Model, (row,))
    assert family.estimate_bytes(rows["flux2"]) - family.estimate_bytes(row) == before - after
    assert small.pipe.transformer.dtype == torch.float32, "pipelines compute in the type that the net says"
    adapted = make_request("text", 1)
    lora = write_lora(plain.pipe.transformer, tmp_path / "a", "transformer", 5)
    with_lora = replace(adapted, adapters=(Adapter(str(lora), 1.0),))
    bare = draw_pictures(small, adapted)
    for render in (adapted, with_lora):
        assert 1 <= largest_difference(plain, small, render) <= 24
    assert are_identical(draw_pictures(small, adapted), bare), "a LoRA leaves nothing behind"
    assert are_identical(draw_pictures(load("flux2", "fp8"), adapted), bare)


def test_float8_is_refused_with_a_sentence_where_the_device_is_of_another_kind(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    with pytest.raises(ModelUnavailable, match=r"Ada, Hopper or newer, and not on a processor: leave it out"):
        load("flux2", "fp8")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    for capability, is_taken in (((8, 0), False), ((8, 9), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        with nullcontext() if is_taken else pytest.raises(ModelUnavailable, match="not on NVIDIA A100"):
            float8.require_float8_device("cuda:0")


@pytest.mark.parametrize("name", ["stable_diffusion", "wan"])  # klein's blocks are traced in test_lora.py
def test_compiled_parts_are_traced_whole_and_draw_the_same(load: Load, load_plain: Load, name: str) -> None:
    """The backend only traces; a break would cost most of the speed."""
    import torch
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    plain, traced = load_plain(name), load(name, compile=True)
    render = replace(make_request(MODELS[name][2], 1), num_inference_steps=1)
    assert largest_difference(plain, traced, render) <= 1
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["graph_break"], counters["graph_break"]
    assert (traced.pipe.vae.decoder._compiled_call_impl is not None) == (name != "wan")
    torch._dynamo.reset()


def test_flags_reach_the_models_and_what_was_compiled_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    settings = Settings.from_args(["--data", str(tmp_path), "--compile", "--speed", "channels-last,tf32"])
    server_factory._prepare_libraries(settings)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled")
    cache = factory.make_cache(Machine("cpu", 8 << 30), "cpu", compile=settings.compile, speed=settings.speed)
    added = dict(cache.resolve_spec("klein")[0].options)
    assert added.items() >= {"compile": "inductor", "channels_last": "on", "tf32": "on"}.items()
    with pytest.raises(SystemExit):
        Settings.from_args(["--speed", "fast"])
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    server_factory._prepare_libraries(settings)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine"


def test_loading_tells_its_parts_and_ends_where_nobody_waits(load: Load) -> None:
    seen: list[tuple[int, int]] = []
    with loading_progress.listen_to_parts(lambda done, total: seen.append((done, total))):
        load("stable_diffusion")
    assert seen == [(n, 4) for n in range(4)]

    def leave(done: int, total: int) -> None:
        if done == 2:
            raise JobCancelled

    with loading_progress.listen_to_parts(leave), pytest.raises(JobCancelled):
        load("stable_diffusion")
    load("stable_diffusion")
    assert len(seen) == 4
