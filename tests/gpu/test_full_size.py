"""The real architectures at full size with random weights: their bytes, memory and time, and equal drawings.

`python -m pytest tests/gpu -s` prints a line for each; without a GPU only the counting runs.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.core.models import ModelSpec
from pipelines.core.rendering import ModelStep, RenderRequest
from pipelines.models import latent_preview
from pipelines.models.diffusion import loader
from pipelines.models.diffusion.pipeline import DiffusionModel
from pipelines.models.families import flux2, qwen_image, stable_diffusion, z_image
from pipelines.models.one_module import OneModuleModel
from pipelines.models.registry import get_spec
from tests.gpu import sizes
from tests.gpu.sizes import count_bytes
from tests.models.support.family_checks import noise_photo

DEVICE = "cuda"
SIDE_PX = 1024
CASES: dict[str, tuple[ModelSpec, type[DiffusionModel], sizes.Architecture]] = {
    "sdxl": (stable_diffusion.SDXL_LIGHTNING, stable_diffusion.StableDiffusionModel, sizes.SDXL),
    "klein": (flux2.KLEIN, flux2.Flux2Model, sizes.KLEIN),
    "z-image": (z_image.Z_IMAGE, z_image.ZImageModel, sizes.Z_IMAGE),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_row_knows_on_meta_what_its_checkpoint_weighs(name: str) -> None:
    spec, _, architecture = CASES[name]
    assert abs(spec.bytes / sum(map(count_bytes, architecture.components.values())) - 1) < 0.005
    if architecture.make_control_net is not None:
        net = get_spec(spec.control_net)
        assert abs(net.bytes / count_bytes(architecture.make_control_net) - 1) < 0.005


def test_the_row_of_qwen_knows_on_meta_what_stays_on_the_device() -> None:
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

    counted = sum(map(count_bytes, (sizes.make_qwen_transformer, AutoencoderKLQwenImage)))
    assert abs(qwen_image.QWEN_EDIT_LIGHTER[1].bytes / counted - 1) < 0.005


@pytest.fixture(params=list(CASES))
def model(request: pytest.FixtureRequest) -> Iterator[DiffusionModel]:
    import torch

    spec, kind, architecture = CASES[request.param]
    if torch.cuda.get_device_properties(0).total_memory < spec.min_vram:
        pytest.skip(f"{spec.id} needs {spec.min_vram / 1e9:.0f} GB")
    pipe, net = architecture.build_pipeline(DEVICE)
    made = assemble_model(spec, kind, pipe, DEVICE)
    with made.using_control_net(OneModuleModel(spec, net, DEVICE)):
        yield made
    made.close()
    del pipe, net, made
    gc.collect()
    torch.cuda.empty_cache()


def assemble_model(spec: ModelSpec, kind: type[DiffusionModel], pipe: Any, device: str) -> DiffusionModel:
    """Assemble a model as `CheckpointFamily.load` does, from components that were made and not read."""
    if "vae_dtype" in dict(spec.options):
        pipe.vae.float()
    loader._configure_vae(pipe.vae, replace(spec, dtype="bfloat16"))
    if device == "cpu" and hasattr(pipe, "unet"):
        loader.use_cpu_layers(pipe.unet)
    return kind(spec, pipe, device, preview_factors=latent_preview.fit_vae_factors(pipe.vae))


def time_drawing(
    model: DiffusionModel, render: RenderRequest, on_step: Callable[[ModelStep], None]
) -> tuple[Any, float]:
    import torch

    torch.cuda.synchronize()
    since = time.perf_counter()
    (picture,) = model.draw(render, on_step).images
    torch.cuda.synchronize()
    return picture, time.perf_counter() - since


def test_it_draws_alike_watched_or_not_and_says_what_it_takes(model: DiffusionModel) -> None:
    import torch

    render = RenderRequest("text", "a red cup on a table", (SIDE_PX, SIDE_PX), (1,))
    seen: list[Any] = []

    def watching(step: ModelStep) -> None:
        assert step.preview is not None
        seen.append(step.preview())

    weights = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    first, cold = time_drawing(model, render, lambda _: None)
    peak = torch.cuda.max_memory_allocated() - weights
    runs = [time_drawing(model, render, lambda _: None) for _ in range(3)]
    watched, slow = time_drawing(model, render, watching)
    assert np.array_equal(first, watched)
    assert all(np.array_equal(first, picture) for picture, _ in runs)
    assert seen
    assert max(seen[0].shape) <= 512
    warm = min(seconds for _, seconds in runs)
    print(  # noqa: T201
        f"\n{model.spec.id} {SIDE_PX} px on {torch.cuda.get_device_name()}: weights {weights / 1e9:.2f} GB, drawing "
        f"{peak / 1e9:.2f} GB more, {warm:.2f} s a picture (first {cold:.2f}, watched {slow:.2f})"
    )
    assert abs(weights / model.spec.bytes - 1) < 0.05


def test_it_goes_to_the_host_and_comes_back_faster_than_a_picture_is_drawn(model: DiffusionModel) -> None:
    import torch

    render = RenderRequest("text", "a red cup on a table", (512, 512), (1,))
    before, _ = time_drawing(model, render, lambda _: None)
    since = time.perf_counter()
    model.to_host()
    away = time.perf_counter() - since
    left = torch.cuda.memory_allocated()
    since = time.perf_counter()
    model.to_device()
    back = time.perf_counter() - since
    after, _ = time_drawing(model, render, lambda _: None)
    assert np.array_equal(before, after)
    assert left < 0.05 * model.spec.bytes
    rate = model.spec.bytes / back / 1e9
    print(f"\n{model.spec.id}: to the host {away:.2f} s, back {back:.2f} s ({rate:.0f} GB/s)")  # noqa: T201


def test_tiles_take_less_memory(model: DiffusionModel) -> None:
    import torch

    render = RenderRequest("text", "a red cup on a table", (SIDE_PX, SIDE_PX), (1,))
    model.draw(render, lambda _: None)
    peaks = []
    for sparing in (False, True):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        if sparing:
            with model.saving_memory():
                model.draw(render, lambda _: None)
        else:
            model.draw(render, lambda _: None)
        peaks.append(torch.cuda.max_memory_allocated())
    print(f"\n{model.spec.id}: whole {peaks[0] / 1e9:.2f} GB, in tiles {peaks[1] / 1e9:.2f} GB")  # noqa: T201
    assert peaks[1] <= peaks[0]


@pytest.mark.parametrize("verb", ["edit", "image", "inpaint", "control"])
def test_every_other_verb_draws(model: DiffusionModel, verb: Any) -> None:
    if verb not in model.spec.verbs:
        pytest.skip(f"{model.spec.id} has no {verb}")
    mask = np.zeros((512, 512), np.float32)
    mask[:, 256:] = 1
    pictures = (
        {"images": (noise_photo(7, (512, 512)),)} if verb != "control" else {"control": noise_photo(8, (512, 512))}
    )
    if verb == "inpaint":
        pictures["mask"] = mask  # pyrefly: ignore[unsupported-operation]
    render = RenderRequest(verb, "a red cup", (512, 512), (1,), **pictures)  # pyrefly: ignore[bad-argument-type]
    picture, seconds = time_drawing(model, render, lambda _: None)
    assert picture.shape == (512, 512, 3)
    print(f"\n{model.spec.id} {verb} 512 px: {seconds:.2f} s")  # noqa: T201
