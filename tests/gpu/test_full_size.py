"""The real architectures at full size with random weights: what they weigh, take and need, and that they draw alike.

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
from tests.gpu import sizes
from tests.models.support.family_checks import noise_photo

DEVICE = "cuda"
SIDE = 1024
ROWS: dict[str, tuple[ModelSpec, type[DiffusionModel], sizes.Architecture]] = {
    "sdxl": (stable_diffusion.SDXL_LIGHTNING, stable_diffusion.StableDiffusionModel, sizes.SDXL),
    "klein": (flux2.KLEIN, flux2.Flux2Model, sizes.KLEIN),
    "z-image": (z_image.Z_IMAGE, z_image.ZImageModel, sizes.Z_IMAGE),
}


def weight(*makes: Callable[[], Any]) -> int:
    """Bytes in bfloat16, counted without memory."""
    import torch

    with torch.device("meta"):
        return sum(2 * sum(row.numel() for row in make().parameters()) for make in makes)


@pytest.mark.parametrize("name", list(ROWS))
def test_a_row_knows_on_meta_what_its_checkpoint_weighs(name: str) -> None:
    spec, _, architecture = ROWS[name]
    counted = weight(*architecture.parts.values(), *architecture.extra.values())
    assert abs(spec.bytes / counted - 1) < 0.005


def test_the_row_of_qwen_knows_on_meta_what_stays_on_the_device() -> None:
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

    counted = weight(sizes.qwen_transformer, AutoencoderKLQwenImage)
    assert abs(qwen_image.QWEN_EDIT.bytes / counted - 1) < 0.005


@pytest.fixture(params=list(ROWS))
def painter(request: pytest.FixtureRequest) -> Iterator[DiffusionModel]:
    import torch

    spec, kind, architecture = ROWS[request.param]
    if torch.cuda.get_device_properties(0).total_memory < spec.min_vram:
        pytest.skip(f"{spec.id} needs {spec.min_vram / 1e9:.0f} GB")
    pipe, extra = architecture.pipe(DEVICE)
    made = assembled(spec, kind, pipe, extra, DEVICE)
    yield made
    made.close()
    del pipe, extra, made
    gc.collect()
    torch.cuda.empty_cache()


def assembled(
    spec: ModelSpec, kind: type[DiffusionModel], pipe: Any, extra: dict[str, Any], device: str
) -> DiffusionModel:
    """As `driver.Checkpoints.load` has it, from parts that were made and not read."""
    loader._configure_vae(pipe.vae, replace(spec, dtype="bfloat16"))
    return kind(spec, pipe, device, preview_factors=latent_preview.fit_vae_factors(pipe.vae), extra_components=extra)


def timed(painter: DiffusionModel, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> tuple[Any, float]:
    import torch

    torch.cuda.synchronize()
    since = time.perf_counter()
    (picture,) = painter.draw(render, on_step).images
    torch.cuda.synchronize()
    return picture, time.perf_counter() - since


def test_it_draws_alike_watched_or_not_and_says_what_it_takes(painter: DiffusionModel) -> None:
    import torch

    render = RenderRequest("text", "a red cup on a table", (SIDE, SIDE), (1,))
    seen: list[Any] = []

    def watching(step: ModelStep) -> None:
        assert step.preview is not None
        seen.append(step.preview())

    weights = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    first, cold = timed(painter, render, lambda _: None)
    peak = torch.cuda.max_memory_allocated() - weights
    runs = [timed(painter, render, lambda _: None) for _ in range(3)]
    watched, slow = timed(painter, render, watching)
    assert np.array_equal(first, watched)
    assert all(np.array_equal(first, picture) for picture, _ in runs)
    assert seen
    assert max(seen[0].shape) <= 512
    warm = min(seconds for _, seconds in runs)
    print(  # noqa: T201
        f"\n{painter.spec.id} {SIDE} px on {torch.cuda.get_device_name()}: weights {weights / 1e9:.2f} GB, drawing "
        f"{peak / 1e9:.2f} GB more, {warm:.2f} s a picture (first {cold:.2f}, watched {slow:.2f})"
    )
    assert abs(weights / painter.spec.bytes - 1) < 0.05


def test_it_goes_to_the_host_and_comes_back_faster_than_a_picture_is_drawn(painter: DiffusionModel) -> None:
    import torch

    render = RenderRequest("text", "a red cup on a table", (512, 512), (1,))
    before, _ = timed(painter, render, lambda _: None)
    since = time.perf_counter()
    painter.to_host()
    away = time.perf_counter() - since
    left = torch.cuda.memory_allocated()
    since = time.perf_counter()
    painter.to_device()
    back = time.perf_counter() - since
    after, _ = timed(painter, render, lambda _: None)
    assert np.array_equal(before, after)
    assert left < 0.05 * painter.spec.bytes
    rate = painter.spec.bytes / back / 1e9
    print(f"\n{painter.spec.id}: to the host {away:.2f} s, back {back:.2f} s ({rate:.0f} GB/s)")  # noqa: T201


def test_tiles_take_less_memory(painter: DiffusionModel) -> None:
    import torch

    render = RenderRequest("text", "a red cup on a table", (SIDE, SIDE), (1,))
    painter.draw(render, lambda _: None)
    peaks = []
    for sparing in (False, True):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        if sparing:
            with painter.low_memory():
                painter.draw(render, lambda _: None)
        else:
            painter.draw(render, lambda _: None)
        peaks.append(torch.cuda.max_memory_allocated())
    print(f"\n{painter.spec.id}: whole {peaks[0] / 1e9:.2f} GB, in tiles {peaks[1] / 1e9:.2f} GB")  # noqa: T201
    assert peaks[1] <= peaks[0]


@pytest.mark.parametrize("verb", ["edit", "image", "inpaint", "control"])
def test_every_other_verb_draws(painter: DiffusionModel, verb: Any) -> None:
    if verb not in painter.spec.verbs:
        pytest.skip(f"{painter.spec.id} has no {verb}")
    mask = np.zeros((512, 512), np.float32)
    mask[:, 256:] = 1
    pictures = (
        {"images": (noise_photo(7, (512, 512)),)} if verb != "control" else {"control": noise_photo(8, (512, 512))}
    )
    if verb == "inpaint":
        pictures["mask"] = mask  # pyright: ignore[reportArgumentType]
    render = RenderRequest(verb, "a red cup", (512, 512), (1,), **pictures)  # pyright: ignore[reportArgumentType]
    picture, seconds = timed(painter, render, lambda _: None)
    assert picture.shape == (512, 512, 3)
    print(f"\n{painter.spec.id} {verb} 512 px: {seconds:.2f} s")  # noqa: T201
