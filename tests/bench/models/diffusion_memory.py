"""Gain of residency, weight views, previews and the CPU path of diffusion models, on random weights.

Random weights cost what trained ones cost. Two rows on residency use checkpoints of about 0.3 GB; previews and the
picture on a CPU use the sizes of SD-Turbo (866 M parameters in the UNet), which take 9 GB of RAM.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipelines.core.errors import JobCancelled
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import ModelStep, RenderRequest
from pipelines.models import latent_preview
from pipelines.models.devices import best_dtype
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel
from pipelines.models.families.stable_diffusion import StableDiffusionModel
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.runtime.progress import encode_preview
from tests.bench.rows import Row, make_row
from tests.engines.support.crowded_device import run_many_jobs, start_crowded_studio
from tests.models.support.tiny_checkpoints import VERBS, byte_tokenizer, tiny_text_encoder

NEEDED_BYTES = 9 * 10**9
SPEC_OPTIONS = (("num_inference_steps", 1.0), ("guidance_scale", 0.0), ("strength", 0.6), ("side", 512.0))
PROMPT = "a quiet harbour at dawn"


def rows() -> Iterator[Row]:
    """Every row of this module; where memory is short for those of real size a row fails in their place."""
    with tempfile.TemporaryDirectory() as folder:
        yield from measure_residency(Path(folder))
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        yield from measure_crowd(Path(folder))
    gc.collect()
    free = psutil.virtual_memory().available
    yield make_row("real_size_memory_gb", round(free / 1e9, 1), "GB", NEEDED_BYTES / 1e9, at_most=False)
    if free > NEEDED_BYTES:
        with tempfile.TemporaryDirectory() as folder:
            yield from measure_real_size(Path(folder))


# ---------------------------------------------------------------- residency


def measure_residency(folder: Path) -> Iterator[Row]:
    """Two checkpoints resident: switching to the other against loading it; bytes with three views over one's own."""
    family = CheckpointFamily(
        StableDiffusionModel,
        tuple(_make_spec(name, _make_medium_checkpoint(folder / name)) for name in ("one", "other")),
    )
    cache = ModelCache((family,), CacheOptions(device="cpu"))
    loads = [_measure_seconds(lambda name=name: _borrow_model(cache, name)) for name in ("one", "other")]
    switches = [_measure_seconds(lambda name=name: _borrow_model(cache, name)) for name in ("one", "other") * 5]
    yield make_row("switch_over_load", round(statistics.median(switches) / min(loads), 6), "x", 0.02)
    with cache.borrow_model("one") as model:
        yield make_row("view_bytes", round(_measure_view_bytes(model), 4), "x", 1.05)
    cache.close()


def _borrow_model(cache: ModelCache, name: str) -> None:
    """Borrow, and make the view that a drawing starts with."""
    with cache.borrow_model(name) as model:
        model.build_view("text", latent_preview.CleanEstimateRecorder(model.pipe.scheduler).scheduler)


def _measure_view_bytes(model: DiffusionModel) -> float:
    """Bytes of all tensors that the model and its views of three verbs hold, over the model's own."""
    views = [
        model.build_view(verb, latent_preview.CleanEstimateRecorder(model.pipe.scheduler).scheduler)
        for verb in ("text", "image", "inpaint")
    ]
    known = _list_tensors(model.pipe)
    held = dict(known)
    for view in views:
        held.update(_list_tensors(view))
    return sum(held.values()) / sum(known.values())


def _list_tensors(pipe: Any) -> dict[int, int]:
    parts = [part for part in pipe.components.values() if hasattr(part, "parameters")]
    return {tensor.data_ptr(): tensor.nbytes for part in parts for tensor in part.parameters()}


# ---------------------------------------------------------------- a hundred jobs


def measure_crowd(folder: Path) -> Iterator[Row]:
    """A hundred jobs over four checkpoints and two seats, in bad weather: wrong pictures, memory before and after."""
    with start_crowded_studio(folder) as here:
        right = {n: here.draw_picture(n) for n in range(4)}
        run_many_jobs(here, right, 40)  # what only grows once has grown then
        before = _count_kept_bytes()
        ends = run_many_jobs(here, right, 100)
        after = _count_kept_bytes()
    yield make_row("hundred_jobs_wrong", ends["wrong"] + 100 - ends.total(), "jobs", 0)
    yield make_row("hundred_jobs_memory", round(after / before, 4), "x", 1.03)


def _count_kept_bytes() -> int:
    """Bytes of memory that are this process's own, after what is free was given back to the system."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_full_info().uss


# ---------------------------------------------------------------- the size of SD-Turbo


def measure_real_size(folder: Path) -> Iterator[Row]:
    """Previews against a step, and a whole picture against stock diffusers with the share of each lever; 512 px."""
    checkpoint, decoder = _make_turbo_checkpoint(folder / "turbo"), _make_decoder(folder / "decoder")
    gc.collect()
    stock = _make_stock_draw(checkpoint)
    tiny = (("decoder", str(decoder)),)
    model = _load_model(checkpoint, best_dtype("cpu"), tiny)
    _time_draw(model)  # reads the words, which a second picture of the same words does not
    # In turn, so that whatever else the machine does falls on both.
    pairs = [(_measure_cpu_seconds(stock), _time_draw(model)) for _ in range(3)]
    ratio = min(plain for plain, _ in pairs) / min(ours for _, ours in pairs)
    yield make_row("cpu_image_over_stock", round(ratio, 2), "x", 4, at_most=False)
    del stock
    gc.collect()
    yield from _measure_levers(checkpoint, model, tiny)
    yield from _measure_previews(model)
    model.close()


def _measure_levers(checkpoint: Path, model: DiffusionModel, tiny: tuple[tuple[str, str], ...]) -> Iterator[Row]:
    """How many times longer a picture takes without each of the levers, the others in place."""
    yield make_row(
        "cpu_lever_words", _compare_lever(model, lambda: _time_draw(model, fresh=True)), "x", 0.9, at_most=False
    )
    for name, dtype, options, bound in (
        ("cpu_lever_dtype", "float32", tiny, 1.0),
        ("cpu_lever_decoder", model.spec.dtype, (), 0.9),
    ):
        if (dtype, options) == (model.spec.dtype, tiny):  # float32 was measured to be the faster one: no lever
            yield make_row(name, 1.0, "x", bound, at_most=False)
            continue
        without = _load_model(checkpoint, dtype, options)
        _time_draw(without)
        yield make_row(
            name, _compare_lever(model, lambda without=without: _time_draw(without)), "x", bound, at_most=False
        )
        without.close()
        gc.collect()


def _compare_lever(model: DiffusionModel, without: Callable[[], float]) -> float:
    pairs = [(without(), _time_draw(model)) for _ in range(3)]
    return round(min(slow for slow, _ in pairs) / min(ours for _, ours in pairs), 2)


def _load_model(checkpoint: Path, dtype: str, options: tuple[tuple[str, str], ...]) -> DiffusionModel:
    spec = replace(_make_spec("turbo", checkpoint), dtype=dtype, options=options)
    return CheckpointFamily(StableDiffusionModel, (spec,)).load(spec, "cpu")


def _make_stock_draw(checkpoint: Path) -> Callable[[], object]:
    """One picture by stock diffusers: one step, full VAE, float32, as `from_pretrained` gives it."""
    import torch
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

    pipe: Any = StableDiffusionPipeline.from_pretrained(checkpoint)
    pipe.set_progress_bar_config(disable=True)

    def run() -> object:
        generator = torch.Generator().manual_seed(1)
        return pipe(PROMPT, num_inference_steps=1, guidance_scale=0.0, width=512, height=512, generator=generator)

    return run


_fresh = itertools.count()


def _time_draw(model: DiffusionModel, *, fresh: bool = False) -> float:
    """CPU seconds of one picture; `fresh`: of words that were never read."""
    render = RenderRequest("text", f"{PROMPT} {next(_fresh)}" if fresh else PROMPT, (512, 512), (1,))
    return _measure_cpu_seconds(lambda: model.draw(render, _ignore_step))


def _measure_previews(model: DiffusionModel) -> Iterator[Row]:
    """CPU seconds of each kind of preview over those of a UNet step; the first preview over reading and one step."""
    import torch

    latents = torch.randn((4, 64, 64), generator=torch.Generator().manual_seed(0)).to(model.pipe.unet.dtype)
    factors = np.random.default_rng(0).uniform(-0.2, 0.2, (5, 3))
    states = torch.randn((1, 77, 1024)).to(model.pipe.unet.dtype)

    def step() -> None:
        with torch.no_grad():
            model.pipe.unet(latents[None], torch.tensor(500), encoder_hidden_states=states)

    of_step = statistics.median(_measure_cpu_seconds(step) for _ in range(3))
    linear = statistics.median(
        _measure_cpu_seconds(lambda: latent_preview.preview_with_factors(latents, factors)) for _ in range(30)
    )
    yield make_row("preview_cost", round(linear / of_step, 5), "of a step", 0.03)
    small = statistics.median(
        _measure_cpu_seconds(lambda: latent_preview.preview_with_decoder(latents, model.pipe.vae)) for _ in range(5)
    )
    yield make_row("preview_cost_decoder", round(small / of_step, 4), "of a step", 0.08)
    pairs = [
        (_time_first_preview(model), _measure_seconds(lambda: _encode_prompt(model)) + _measure_seconds(step))
        for _ in range(5)
    ]
    ratio = statistics.median(first for first, _ in pairs) / statistics.median(ideal for _, ideal in pairs)
    yield make_row("first_preview_over_ideal", round(ratio, 3), "x", 1.15)


def _time_first_preview(model: DiffusionModel) -> float:
    """Seconds from the order, of words never read before, to a JPEG of the first step."""
    render, since, seen = RenderRequest("text", f"{PROMPT} {next(_fresh)}", (512, 512), (1,)), time.perf_counter(), []

    def on_step(step: ModelStep) -> None:
        assert step.preview is not None
        encode_preview(step.preview())
        seen.append(time.perf_counter() - since)
        raise JobCancelled

    with contextlib.suppress(JobCancelled):
        model.draw(render, on_step)
    return seen[0]


def _encode_prompt(model: DiffusionModel) -> None:
    """What reading a prompt costs, and nothing beside it."""
    import torch

    ids = model.pipe.tokenizer(PROMPT, padding="max_length", truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        model.pipe.text_encoder(ids)


# ---------------------------------------------------------------- checkpoints of random weights


def _make_spec(name: str, folder: Path) -> ModelSpec:
    return ModelSpec(name, "stable_diffusion", VERBS, "Apache-2.0", repo=str(folder), defaults=SPEC_OPTIONS)


def _make_medium_checkpoint(folder: Path) -> Path:
    """About 0.3 GB in float32: a UNet of 64 M parameters and small companions."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    kind: Any = UNet2DConditionModel
    unet = kind(
        sample_size=64,
        block_out_channels=(128, 256, 512),
        layers_per_block=2,
        cross_attention_dim=32,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )
    return _save_checkpoint(folder, unet, tiny_text_encoder(), _make_vae((32, 64, 128, 128)))


def _make_turbo_checkpoint(folder: Path) -> Path:
    """The sizes of SD-Turbo: UNet 866 M, text encoder 340 M, VAE 84 M; saved in float32 as the hub has it."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    kind: Any = UNet2DConditionModel
    unet = kind(
        sample_size=64, cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True
    )
    config = CLIPTextConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=23,
        num_attention_heads=16,
        hidden_act="gelu",
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return _save_checkpoint(folder, unet, CLIPTextModel(config), _make_vae((128, 256, 512, 512), layers=2))


def _make_vae(channels: tuple[int, ...], layers: int = 1) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    kind: Any = AutoencoderKL
    return kind(
        block_out_channels=channels,
        layers_per_block=layers,
        latent_channels=4,
        sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def _make_decoder(folder: Path) -> Path:
    """An `AutoencoderTiny` of its usual size, 2.4 M parameters."""
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    AutoencoderTiny().save_pretrained(folder)
    return folder


def _save_checkpoint(folder: Path, unet: Any, text: Any, vae: Any) -> Path:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    kind: Any = StableDiffusionPipeline
    scheduler = EulerDiscreteScheduler(steps_offset=1, timestep_spacing="trailing")
    kind(
        vae=vae,
        text_encoder=text,
        tokenizer=byte_tokenizer(),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


# ---------------------------------------------------------------- clocks


def _ignore_step(step: ModelStep) -> None:
    pass


def _measure_seconds(work: Callable[[], object]) -> float:
    since = time.perf_counter()
    work()
    return time.perf_counter() - since


def _measure_cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of the whole process, because torch's work happens in threads of its own."""
    since = time.process_time()
    work()
    return time.process_time() - since
