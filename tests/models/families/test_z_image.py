"""Z-Image on a tiny random checkpoint: every verb is what diffusers draws, and each seed starts from its own noise."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.errors import ModelUnavailable, OutOfMemory
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families.control_nets import ControlNetFamily
from pipelines.models.families.z_image import VERBS, Z_IMAGE, ZImageModel
from pipelines.models.model_cache import CacheOptions, ModelCache
from tests.models.support import family_checks
from tests.models.support.family_checks import (
    SIZE,
    are_identical,
    draw_pictures,
    make_request,
    noise_photo,
    right_half_mask,
)
from tests.models.support.tiny_flow_checkpoints import tiny_z_control, tiny_z_image

PLAIN = ("text", "image", "inpaint", "control")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckpointFamily]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("z-image")
    tiny_z_control(root / "net")
    yield CheckpointFamily(
        ZImageModel, (family_checks.tiny_row("z_image", str(tiny_z_image(root / "model")), VERBS, guidance=0.0),)
    )
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(family: CheckpointFamily) -> Iterator[ZImageModel]:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, ZImageModel)
    with family_checks.with_control_net(model, net_folder(family), "ZImageControlNetModel"):
        yield model


def net_folder(family: CheckpointFamily) -> Path:
    return Path(family.specs[0].repo).with_name("net")


@functools.cache
def load_plain_parts(repo: str) -> Mapping[str, Any]:
    """Return the components of Z-Image as diffusers alone reads them."""
    from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline

    return ZImagePipeline.from_pretrained(repo).components


def plain(family: CheckpointFamily, verb: Any, *seeds: int, guidance: float = 0.0) -> family_checks.Pictures:
    """Diffusers' own pipeline on components of its own, one seed a call."""
    import diffusers
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel

    names = {"text": "", "image": "Img2Img", "inpaint": "Inpaint", "control": "ControlNet"}
    parts: dict[str, Any] = {**load_plain_parts(family.specs[0].repo)}
    picture = Pillow.fromarray(noise_photo(7))
    arguments: dict[str, Any] = {"width": SIZE[0], "height": SIZE[1]}
    if verb in ("image", "inpaint"):
        arguments |= {"image": picture, "strength": 0.8}
    if verb == "inpaint":
        arguments["mask_image"] = Pillow.fromarray((right_half_mask() * 255).astype(np.uint8))
    if verb == "control":
        kind: Any = ZImageControlNetModel
        parts["controlnet"] = kind.from_pretrained(net_folder(family))
        arguments["control_image"] = Pillow.fromarray(noise_photo(8))
    pipe = getattr(diffusers, f"ZImage{names[verb]}Pipeline")(**parts)
    pictures = [
        family_checks.draw_with_diffusers(pipe, (seed,), prompt="a red cup", guidance_scale=guidance, **arguments)[0]
        for seed in seeds
    ]
    if verb == "inpaint":
        return [np.where(right_half_mask()[..., None] > 0, drawn, noise_photo(7)) for drawn in pictures]
    return pictures


DISTILLED_SIGMAS = [1, 0.955, 0.9, 0.833, 0.75, 0.643, 0.5, 0.3, 0]
"""The noise levels that Z-Image Turbo was distilled for: a shift of 3 over eight equal steps."""


def test_the_steps_of_the_row_are_those_that_the_checkpoint_was_distilled_for(
    model: ZImageModel, monkeypatch: pytest.MonkeyPatch
):
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    views: list[Any] = []
    build = model.build_view

    def build_view(verb: Any, scheduler: Any) -> Any:
        views.append(build(verb, scheduler))
        return views[-1]

    monkeypatch.setattr(model, "build_view", build_view)
    monkeypatch.setattr(model.pipe, "scheduler", FlowMatchEulerDiscreteScheduler(shift=3.0))
    steps = int(dict(Z_IMAGE.defaults)["num_inference_steps"])
    draw_pictures(model, make_request("text", num_inference_steps=steps))
    assert views[0].scheduler.sigmas.tolist() == pytest.approx(DISTILLED_SIGMAS, abs=0.001)


def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, model: ZImageModel):
    family_checks.check_size_estimate(family, model)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "backdrop"])  # which is drawn as text
def test_same_seed_same_picture(model: ZImageModel, verb: Any):
    family_checks.check_seeds(model, make_request(verb))


@pytest.mark.parametrize("verb", PLAIN)
def test_a_watched_run_is_byte_equal_to_plain_diffusers(model: ZImageModel, family: CheckpointFamily, verb: Any):
    family_checks.check_watched_run(model, make_request(verb, 5), plain(family, verb, 5))


def test_a_guided_run_is_byte_equal_too_and_reads_what_is_unwanted(model: ZImageModel, family: CheckpointFamily):
    render = make_request("text", 5, guidance_scale=3.0)
    family_checks.check_watched_run(model, render, plain(family, "text", 5, guidance=3.0))
    assert not are_identical(
        draw_pictures(model, render), draw_pictures(model, replace(render, negative_prompt="cats"))
    )


def test_the_last_estimate_is_the_picture(model: ZImageModel):
    config = model.pipe.vae.config

    def decode(latents: Any) -> Any:
        return model.pipe.vae.decode(latents[None] / config.scaling_factor + config.shift_factor).sample[0]

    family_checks.check_last_estimate(model, make_request("text", 3), decode)


def test_cancel_leaves_nothing_behind(model: ZImageModel):
    family_checks.check_cancel(model, make_request("control"))


@pytest.mark.parametrize("verb", PLAIN)
def test_words_are_read_once(model: ZImageModel, verb: Any):
    family_checks.check_prompt_encoded_once(model, make_request(verb))


def test_two_threads_draw_what_one_would(model: ZImageModel, family: CheckpointFamily):
    def lend() -> AbstractContextManager[None]:
        return family_checks.with_control_net(model, net_folder(family), "ZImageControlNetModel")

    family_checks.check_threads(model, [make_request("text", 1), make_request("control", 2)], lend=lend)


def test_inpaint_keeps_the_bytes_outside_the_mask(model: ZImageModel):
    family_checks.check_inpaint(model)


def test_a_picture_follows_its_map(model: ZImageModel):
    maps = [draw_pictures(model, make_request("control", 1, control=noise_photo(seed))) for seed in (1, 2)]
    assert not are_identical(*maps)
    assert not are_identical(maps[0], draw_pictures(model, make_request("text", 1)))


def test_the_control_of_one_file_is_read_and_another_layout_refused(model: ZImageModel, family: CheckpointFamily):
    row = family_checks.control_net_row(net_folder(family), "ZImageControlNetModel", ("layout", TRUE_LAYOUT))
    row = replace(row, options=(("files", "diffusion_pytorch_model.safetensors"), *row.options[1:]))
    other = replace(row, options=(*row.options[:-1], ("layout", TRUE_LAYOUT.replace("32", "64"))))
    with pytest.raises(ModelUnavailable, match="not the ControlNet"):
        ControlNetFamily((other,)).load(other, "cpu")
    nets = ControlNetFamily((row,))
    with model.using_control_net(nets.load(row, "cpu")):
        assert are_identical(
            draw_pictures(model, make_request("control", 5, num_inference_steps=family_checks.WATCHED_STEP_COUNT)),
            plain(family, "control", 5),
        )
    assert nets.estimate_bytes(row) == nets.load(row, "cpu").module.num_parameters() * 4


@pytest.mark.parametrize("kind", ["OutOfMemoryError", "RuntimeError"])
def test_a_control_net_that_does_not_fit_into_memory_is_no_wrong_file(
    family: CheckpointFamily, monkeypatch: pytest.MonkeyPatch, kind: str
):
    import safetensors.torch
    import torch

    error_class = {"OutOfMemoryError": torch.OutOfMemoryError, "RuntimeError": RuntimeError}[kind]

    def run_out_of_memory(*_: Any, **__: Any):
        raise error_class("CUDA out of memory.")

    monkeypatch.setattr(safetensors.torch, "load_file", run_out_of_memory)
    row = family_checks.control_net_row(net_folder(family), "ZImageControlNetModel", ("layout", TRUE_LAYOUT))
    row = replace(row, options=(("files", "diffusion_pytorch_model.safetensors"), *row.options[1:]))
    cache = ModelCache((ControlNetFamily((row,)),), CacheOptions(device="cpu"))
    with pytest.raises(OutOfMemory, match="not enough memory to load"), cache.borrow_model(row.id):
        pass


TRUE_LAYOUT = (
    '{"control_layers_places": [0], "control_in_dim": 4, "dim": 32, "n_refiner_layers": 1, "n_heads": 2, '
    '"n_kv_heads": 2}'
)


def test_orders_of_several_users_in_one_call_are_each_as_alone(model: ZImageModel):
    family_checks.check_batched_like_alone(model)


def test_orders_with_pictures_are_drawn_alone(model: ZImageModel):
    family_checks.check_batch_keys(model, ("image", "inpaint", "control"))
