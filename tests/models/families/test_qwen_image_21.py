"""Qwen-Image 2.1 on a tiny random checkpoint: it draws what diffusers draws, is watched, and can be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families import qwen_image_21
from pipelines.models.families.qwen_image_21 import QWEN_21, VERBS, Qwen21Model
from tests.models.support import family_checks
from tests.models.support.family_checks import SIZE, draw_pictures, make_request, noise_photo
from tests.models.support.tiny_flow_checkpoints import tiny_qwen_21
from tests.models.test_lora import write_lora


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """An edit has a megapixel whatever it is given; here the area of 96 x 96."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qwen_image_21, "EDIT_SIDE_PX", 96)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFamily:
    folder = tiny_qwen_21(tmp_path_factory.mktemp("qwen21"))
    return CheckpointFamily(Qwen21Model, (family_checks.tiny_row("qwen_image_21", str(folder), VERBS),))


@pytest.fixture(scope="module")
def model(family: CheckpointFamily) -> Qwen21Model:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, Qwen21Model)
    return model


def make_edit(*seeds: int, **more: Any) -> RenderRequest:
    """An edit of a square photo, which has the area that the pipeline draws."""
    return make_request("edit", *seeds, size=(96, 96), **more)


def on_white(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """What diffusers drew with an opacity, composited as numbers of 8 bits."""
    return [
        (each[..., :3] / 255 * (each[..., 3:] / 255) + (1 - each[..., 3:] / 255)) * 255
        for each in (picture.astype(np.float64) for picture in pictures)
    ]


def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, model: Qwen21Model) -> None:
    family_checks.check_size_estimate(family, model)


@pytest.fixture(scope="module")
def plain_pipe(family: CheckpointFamily) -> Any:
    """The pipeline of diffusers on components of its own."""
    from diffusers.pipelines.qwenimage21.pipeline_qwenimage21 import QwenImage21Pipeline

    return QwenImage21Pipeline.from_pretrained(family.specs[0].repo)


@pytest.mark.parametrize("verb", ["text", "edit"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_it_draws_what_diffusers_draws_on_white(
    model: Qwen21Model, plain_pipe: Any, verb: Verb, guidance: float
) -> None:
    photo: dict[str, Any] = {"image": Pillow.fromarray(noise_photo(7, (96, 96))), "output_resolution": 96}
    render = make_edit(5, 6) if verb == "edit" else make_request("text", 5, 6)
    plain = family_checks.draw_with_diffusers(
        plain_pipe,
        (5, 6),
        prompt="a red cup",
        negative_prompt=" " if guidance > 1 else None,
        true_cfg_scale=guidance,
        width=render.size[0],
        height=render.size[1],
        **(photo if verb == "edit" else {}),
    )
    assert plain[0].shape[2] == 4
    steps = family_checks.WATCHED_STEP_COUNT
    drawn = draw_pictures(model, replace(render, guidance_scale=guidance, num_inference_steps=steps))
    assert max(np.abs(a - b).max() for a, b in zip(drawn, on_white(plain), strict=True)) <= 1.6
    assert not np.array_equal(drawn[0], drawn[1])


def test_seeds_words_previews_and_cancel(model: Qwen21Model) -> None:
    text = family_checks.check_seeds(model, make_request("text"))
    edited = family_checks.check_seeds(model, make_edit())
    family_checks.check_prompt_encoded_once(model, make_request("text"))
    family_checks.check_cancel(model, make_edit(2), edited)
    renders = [make_request("text", 2), make_edit(3, prompt="a boat")]
    family_checks.check_threads(model, renders, meet=False, alone=[text])


@pytest.mark.parametrize("verb", ["text", "edit"])
def test_previews_end_with_the_picture(model: Qwen21Model, verb: Verb) -> None:
    def decode(latents: Any) -> Any:
        pixels = model.pipe.vae.decode(latents[None, :, None]).sample[0, :, 0] / 2 + 0.5
        pixels = pixels.clamp(0, 1)
        return (pixels[:3] * pixels[3:] + 1 - pixels[3:]) * 2 - 1

    family_checks.check_last_estimate(model, make_edit(3) if verb == "edit" else make_request("text", 3), decode)


def test_an_edit_reads_every_picture_at_one_scale(model: Qwen21Model, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    encode = model.pipe.vae.encode

    def watched(pixels: Any, *args: Any) -> Any:
        seen.append((pixels[0, :, 0].permute(1, 2, 0).numpy() + 1) * 127.5)
        return encode(pixels, *args)

    monkeypatch.setattr(model.pipe.vae, "encode", watched)
    render = make_request("edit", 1, size=(70, 90))
    two = replace(render, images=(*render.images, noise_photo(9, (50, 100))))
    assert draw_pictures(model, two)[0].shape == (90, 70, 3)
    assert len(seen) == 2
    assert np.allclose(seen[0][..., :3], model.canvas_for(render).pad_onto(render.images[0]), atol=0.01)
    assert (seen[0][..., 3] == 255).all()
    assert seen[1].shape[0] > seen[1].shape[1]


def test_loras_come_and_go(model: Qwen21Model, tmp_path: Any) -> None:
    from pipelines.core.rendering import Adapter

    before = draw_pictures(model, make_request("text", 1))
    file = write_lora(model.pipe.transformer, tmp_path / "a", "transformer", 5)
    worn = draw_pictures(model, make_request("text", 1, adapters=(Adapter(str(file), 1.0),)))
    assert not family_checks.are_identical(before, worn)
    assert family_checks.are_identical(before, draw_pictures(model, make_request("text", 1)))


def test_its_pictures_may_not_be_sold_and_its_scene_has_the_size_asked_for(model: Qwen21Model) -> None:
    assert QWEN_21.licence_state == "not-commercial"
    assert draw_pictures(model, make_request("backdrop", 1))[0].shape == (SIZE[1], SIZE[0], 3)
