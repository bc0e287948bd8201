"""Checks that every family of diffusion models must pass; the tests of each family call them with its own models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import JobCancelled
from pipelines.core.geometry import Alpha, Image, Size
from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import Adapter, ModelStep, RenderRequest
from pipelines.models.diffusion.pipeline import DiffusionModel
from pipelines.models.families.control_nets import ControlNetFamily

Pictures = list[Image]

SIDE_PX = 96
STEP_COUNT = 2
"""Steps of a tiny checkpoint where nothing else is asked for: a first one, and one that follows."""
WATCHED_STEP_COUNT = 3
"""Steps of a run that is compared with diffusers' own: a scheduler may look back at two."""
SIZE: Size = (96, 64)  # multiples of what every family needs, and no larger than it draws


def noise_photo(seed: int, size: Size = SIZE) -> Image:
    """Noise that stands for a photo."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def right_half_mask(size: Size = SIZE) -> Alpha:
    """1 in the right half."""
    alpha = np.zeros((size[1], size[0]), np.float32)
    alpha[:, size[0] // 2 :] = 1
    return alpha


def make_request(verb: Verb, *seeds: int, prompt: str = "a red cup", size: Size = SIZE, **more: Any) -> RenderRequest:
    """A render with all that `verb` needs."""
    pictures: dict[str, Any] = {}
    if verb in ("image", "edit", "inpaint", "video"):
        pictures["images"] = (noise_photo(7, size),)
    if verb == "inpaint":
        pictures["mask"] = right_half_mask(size)
    if verb == "control":
        pictures["control"] = noise_photo(8, size)
    if verb == "tryon":
        pictures = {"images": (noise_photo(7, size), noise_photo(9, (50, 40))), "control": noise_photo(8, size)}
        pictures["garment_kind"] = "tops"
    return RenderRequest(verb, prompt, size, seeds or (1,), **{**pictures, **more})


def tiny_row(
    family: str,
    repo: str,
    verbs: Sequence[Verb],
    *options: tuple[str, str],
    guidance: float = 1.0,
    control_net: str = "",
) -> ModelSpec:
    """A spec of a tiny checkpoint that takes `STEP_COUNT` steps."""
    defaults = (
        ("num_inference_steps", STEP_COUNT),
        ("guidance_scale", guidance),
        ("strength", 0.8),
        ("side", SIDE_PX),
        ("side_min", 64),
    )
    return ModelSpec(
        f"tiny-{family}",
        family,
        tuple(verbs),
        "Apache-2.0",
        repo=repo,
        defaults=defaults,
        options=options,
        control_net=control_net,
    )


def control_net_row(folder: Path, kind: str, *options: tuple[str, str]) -> ModelSpec:
    """A spec of the tiny ControlNet of class `kind` in `folder`; its id is the folder's name."""
    files = ("files", "config.json,diffusion_pytorch_model.safetensors")
    given = (files, ("class", kind), *options)
    return ModelSpec(folder.name, "control_net", (), "Apache-2.0", repo=str(folder), options=given)


@contextmanager
def with_control_net(model: DiffusionModel, folder: Path, kind: str) -> Iterator[None]:
    """Lend `model` the tiny ControlNet in `folder`, as the cache does for `control`."""
    row = control_net_row(folder, kind)
    with model.using_control_net(ControlNetFamily((row,)).load(row, "cpu")):
        yield


def ignore_step(step: ModelStep) -> None:
    """Ignore a step: nobody watches."""


def draw_pictures(
    model: DiffusionModel, render: RenderRequest, on_step: Callable[[ModelStep], None] = ignore_step
) -> Pictures:
    """Draw a request and return its pictures."""
    return list(model.draw(render, on_step).images)


def are_identical(one: Sequence[Image], other: Sequence[Image]) -> bool:
    """Tell whether two lists of pictures are equal, byte for byte."""
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def draw_with_diffusers(
    pipe: Any, seeds: Sequence[int], *, steps: int = WATCHED_STEP_COUNT, **arguments: Any
) -> Pictures:
    """Draw with a pipeline of diffusers itself, several pictures decoded one by one as ours are."""
    import torch

    pipe.vae.enable_slicing()
    pipe.set_progress_bar_config(disable=True)
    generator = [torch.Generator().manual_seed(seed) for seed in seeds]
    pictures = pipe(
        num_images_per_prompt=len(seeds), generator=generator, num_inference_steps=steps, output_type="np", **arguments
    ).images
    return [(picture * 255).round().astype(np.uint8) for picture in pictures]


# ---------------------------------------------------------------- checks


def check_size_estimate(family: Any, model: DiffusionModel) -> None:
    """The size estimated from file headers is what loading `model` took."""
    parts = model.pipe.components.values()
    weights = {
        tensor.data_ptr(): tensor.nbytes
        for part in parts
        if hasattr(part, "parameters")
        for tensor in (*part.parameters(), *part.state_dict().values())
    }
    assert family.estimate_bytes(model.spec) == sum(weights.values()) > 0


def check_seeds(model: DiffusionModel, render: RenderRequest) -> Pictures:
    """Same seed same picture, another seed another, and each of several is nearly what it would be alone.

    Returns what was drawn of seed 2 alone.
    """
    pictures = draw_pictures(model, replace(render, seeds=(1, 2)))
    assert are_identical(pictures, draw_pictures(model, replace(render, seeds=(1, 2))))
    assert not np.array_equal(pictures[0], pictures[1])
    alone = draw_pictures(model, replace(render, seeds=(2,)))
    assert np.abs(pictures[1].astype(int) - alone[0]).max() <= 1
    return alone


def check_watched_run(model: DiffusionModel, render: RenderRequest, plain: Pictures) -> None:
    """A watched run is what diffusers draws by itself, bit for bit; its previews change from step to step."""
    seen: Pictures = []
    render = replace(render, num_inference_steps=WATCHED_STEP_COUNT)

    def on_step(step: ModelStep) -> None:
        assert step.preview is not None
        seen.append(step.preview())

    assert are_identical(draw_pictures(model, render, on_step), plain)
    assert len(seen) >= 2
    assert max(seen[0].shape) <= 512
    assert not np.array_equal(seen[0], seen[-1])


def check_last_estimate(model: DiffusionModel, render: RenderRequest, decode: Callable[[Any], Any]) -> None:
    """The clean estimate of the last step is the picture itself, so previews show what is being drawn."""
    import torch

    from pipelines.models import latent_preview

    held: list[Any] = []
    laid = model.canvas_for(render)

    def looks(step: ModelStep) -> None:
        assert step.preview is not None
        step.preview()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            latent_preview, "preview_with_factors", lambda latents, factors: held.append(latents) or noise_photo(0)
        )
        picture = draw_pictures(model, render, looks)[0]
    with torch.no_grad():
        pixels = decode(held[-1]).float().permute(1, 2, 0).numpy()
    shown = laid.cut_out_content((np.clip(pixels / 2 + 0.5, 0, 1) * 255).round().astype(np.uint8), render.size)
    assert np.abs(shown.astype(int) - picture).max() <= 1


def check_cancel(model: DiffusionModel, render: RenderRequest, before: Pictures | None = None) -> None:
    """What the callback raises ends the drawing, and the next drawing is right: as `before`, or as one drawn first."""
    before, steps = before or draw_pictures(model, render), list[int]()

    def stop(step: ModelStep) -> None:
        steps.append(step.index)
        if step.index == min(2, step.total):  # a scheduler remembers the first one
            raise JobCancelled

    with pytest.raises(JobCancelled):
        draw_pictures(model, replace(render, seeds=(9,)), stop)
    assert len(steps) == steps[-1]
    assert are_identical(before, draw_pictures(model, render))


def check_prompt_encoded_once(model: DiffusionModel, render: RenderRequest) -> None:
    """The text encoder reads the same words once."""
    calls: list[int] = []
    hook = model.pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        render = replace(render, prompt=f"a tall vase for {render.verb}")
        first = draw_pictures(model, render)
        read = len(calls)
        assert read >= 1
        assert are_identical(first, draw_pictures(model, render))
        assert len(calls) == read
        assert not are_identical(first, draw_pictures(model, replace(render, prompt=f"two boats for {render.verb}")))
        assert len(calls) > read
    finally:
        hook.remove()


def check_threads(
    model: DiffusionModel,
    renders: Sequence[RenderRequest],
    *,
    meet: bool = True,
    alone: Sequence[Pictures] = (),
    lend: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Two threads on one model draw what each would alone; `meet`: they are seen in the middle of it together.

    `alone` is what the first of `renders` gave, where they were drawn before. `lend` is entered in each thread, as the
    cache lends a ControlNet to the thread that borrows it.
    """
    alone = [*alone, *(draw_pictures(model, render) for render in renders[len(alone) :])]
    together = threading.Barrier(len(renders))

    def run(render: RenderRequest) -> Pictures:
        met: list[int] = []

        def on_step(step: ModelStep) -> None:
            if meet and not met:
                met.append(together.wait(20))

        with lend():
            return draw_pictures(model, render, on_step)

    with ThreadPoolExecutor(len(renders)) as pool:
        assert all(are_identical(a, b) for a, b in zip(alone, pool.map(run, renders), strict=True))


def check_inpaint(model: DiffusionModel) -> None:
    """Bytes outside the mask stay, and inside something else is drawn."""
    size = (90, 70)
    for picture in draw_pictures(model, make_request("inpaint", 1, 2, size=size)):
        assert np.array_equal(picture[:, :45], noise_photo(7, size)[:, :45])
        assert not np.array_equal(picture[:, 45:], noise_photo(7, size)[:, 45:])


def check_batched_like_alone(model: DiffusionModel) -> None:
    """Orders of several users in one call give each what it gives alone, to 1 of 255, and its own previews."""
    orders = [
        make_request("text", 3, prompt="a red cup"),
        make_request("text", 5, 6, prompt="a much longer sentence about two green chairs in a white room"),
        make_request("backdrop", 9, prompt=""),
    ]
    assert len({model.batch_key(each) for each in orders}) == 1
    seen: list[list[Image]] = []

    def looked_at(steps: Sequence[ModelStep]) -> None:
        assert all(step.preview is not None for step in steps)
        seen.append([step.preview() for step in steps if step.preview is not None])

    together = model.draw_batch(orders, looked_at)
    for n, each in enumerate(orders):
        own: list[Image] = []
        alone = draw_pictures(model, each, lambda step, own=own: own.append(step.preview()) if step.preview else None)
        assert _are_close(together[n].images, alone, 1)
        assert _are_close([previews[n] for previews in seen], own, 8)
    assert not _are_close(together[0].images, together[2].images, 8)


def check_batch_keys(model: DiffusionModel, verbs: Sequence[Verb]) -> None:
    """No order with a picture of its owner's shares a call, nor one of another size, length, guidance or adapter."""
    assert [model.batch_key(make_request(verb)) for verb in verbs] == [None] * len(verbs)
    words = make_request("text")
    others = [
        replace(words, size=(64, 96)),
        replace(words, num_inference_steps=STEP_COUNT + 1),
        replace(words, guidance_scale=3.5),
        replace(words, adapters=(Adapter("some/lora", 0.5),)),
    ]
    assert len({model.batch_key(each) for each in (words, *others)}) == 5


def _are_close(one: Sequence[Image], other: Sequence[Image], most: int) -> bool:
    """A preview may be drawn larger than it was computed, which strengthens a difference."""
    pairs = zip(one, other, strict=True)
    return all(np.abs(a.astype(int) - b.astype(int)).max() <= most for a, b in pairs)
