"""FLUX.2 klein on a tiny random checkpoint: references are not cut, words are read once, previews show the picture."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion import pipeline
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families.flux2 import VERBS, Flux2Model
from tests.models.support import family_checks
from tests.models.support.family_checks import (
    SIZE,
    are_identical,
    draw_pictures,
    make_request,
    noise_photo,
    right_half_mask,
)
from tests.models.support.tiny_flow_checkpoints import tiny_klein


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckpointFamily]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield CheckpointFamily(
        Flux2Model, (family_checks.tiny_row("flux2", str(tiny_klein(tmp_path_factory.mktemp("klein"))), VERBS),)
    )
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(family: CheckpointFamily) -> Flux2Model:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, Flux2Model)
    return model


@pytest.fixture(scope="module")
def load_plain(family: CheckpointFamily) -> Callable[[str], Any]:
    """Returns a pipeline of diffusers of that class on components of its own, loaded at the first call."""
    import diffusers

    return functools.cache(lambda kind: getattr(diffusers, kind).from_pretrained(family.specs[0].repo))


def draw_plain(pipe: Any, *seeds: int, **arguments: Any) -> family_checks.Pictures:
    sides = {"width": SIZE[0], "height": SIZE[1]}
    return family_checks.draw_with_diffusers(pipe, seeds, prompt="a red cup", guidance_scale=1.0, **sides, **arguments)


def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, model: Flux2Model):
    family_checks.check_size_estimate(family, model)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "backdrop"])  # which is drawn as text
def test_same_seed_same_picture(model: Flux2Model, verb: Any):
    family_checks.check_seeds(model, make_request(verb))


@pytest.mark.parametrize("verb", ["text", "edit", "image", "inpaint"])
def test_a_watched_run_is_byte_equal_to_plain_diffusers(model: Flux2Model, load_plain: Callable[[str], Any], verb: Any):
    render = make_request(verb, 1, 2)
    images = [Pillow.fromarray(picture) for picture in render.images]
    whole = np.full((SIZE[1], SIZE[0]), 255, np.uint8)
    mask = Pillow.fromarray(whole if verb == "image" else (right_half_mask() * 255).astype(np.uint8))
    if verb in ("text", "edit"):
        alone = draw_plain(load_plain("Flux2KleinPipeline"), 1, 2, **({"image": images} if images else {}))
    else:
        pipe = load_plain("Flux2KleinInpaintPipeline")
        alone = draw_plain(pipe, 1, 2, image=images[0], mask_image=mask, strength=0.8)
    if verb == "inpaint":
        alone = [np.where(right_half_mask()[..., None] > 0, picture, noise_photo(7)) for picture in alone]
    family_checks.check_watched_run(model, render, alone)


def test_the_last_estimate_is_the_picture(model: Flux2Model):
    family_checks.check_last_estimate(
        model, make_request("edit", 3), lambda latents: model.pipe.vae.decode(latents[None]).sample[0]
    )


def test_cancel_leaves_nothing_behind(model: Flux2Model):
    family_checks.check_cancel(model, make_request("edit"))


@pytest.mark.parametrize("verb", ["text", "edit", "inpaint"])
def test_words_are_read_once(model: Flux2Model, verb: Any):
    family_checks.check_prompt_encoded_once(model, make_request(verb))


@pytest.mark.parametrize("options", [(), (("text_encoder", "streamed"),)])
def test_what_would_guess_the_next_word_is_not_loaded(family: CheckpointFamily, options: tuple[tuple[str, str], ...]):
    loaded = family.load(replace(family.specs[0], options=options), "cpu")
    assert not any("lm_head" in name for name, _ in loaded.pipe.text_encoder.named_modules())
    read = []
    loaded.pipe.text_encoder.register_forward_hook(lambda *_: read.append(1))
    draw_pictures(loaded, make_request("text", 1))
    assert read == [1]


def test_what_was_read_waits_on_the_host(family: CheckpointFamily, monkeypatch: pytest.MonkeyPatch):
    moved: list[str] = []
    move = pipeline._move_embeds
    monkeypatch.setattr(pipeline, "_move_embeds", lambda embeds, to: moved.append(to) or move(embeds, to))
    other = family.load(family.specs[0], "cpu:0")
    for seed in (1, 2):
        draw_pictures(other, make_request("text", seed))
    assert moved == ["cpu", "cpu:0", "cpu:0"]


def test_two_threads_draw_what_one_would(model: Flux2Model):
    family_checks.check_threads(model, [make_request("text", 1), make_request("edit", 2)])


def test_inpaint_keeps_the_bytes_outside_the_mask(model: Flux2Model):
    family_checks.check_inpaint(model)


class Seen:
    """What reached the autoencoder, as pictures."""

    def __init__(self, model: Flux2Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pictures: list[np.ndarray] = []
        encode = model.pipe.vae.encode

        def watched(pixels: Any, *args: Any) -> Any:
            self.pictures.append((pixels[0].permute(1, 2, 0).numpy() + 1) * 127.5)
            return encode(pixels, *args)

        monkeypatch.setattr(model.pipe.vae, "encode", watched)


def test_no_pixel_of_a_reference_is_cut(model: Flux2Model, monkeypatch: pytest.MonkeyPatch):
    seen = Seen(model, monkeypatch)
    size = (90, 70)
    others = (noise_photo(2, (70, 75)), noise_photo(3, (95, 66)))
    render = make_request("edit", 1, size=size, images=(noise_photo(1, size), *others))
    assert draw_pictures(model, render)[0].shape == (70, 90, 3)
    for picture, laid in zip(render.images, seen.pictures, strict=True):
        height, width = picture.shape[:2]
        assert laid.shape[0] % 16 == laid.shape[1] % 16 == 0
        assert np.allclose(laid[:height, :width], picture, atol=0.01)


def test_small_and_thin_references_pass(model: Flux2Model):
    for size in ((20, 300), (30, 30), (700, 40)):
        references = (noise_photo(1), noise_photo(2, size))
        assert draw_pictures(model, make_request("edit", 1, images=references))[0].shape == (SIZE[1], SIZE[0], 3)


def test_each_reference_counts_and_so_does_their_order(model: Flux2Model):
    one, two, three = noise_photo(1), noise_photo(2), noise_photo(3)
    results = [
        draw_pictures(model, make_request("edit", 1, images=images))
        for images in ((one,), (one, two), (one, three, two))
    ]
    assert not are_identical(results[0], results[1])
    assert not are_identical(results[1], results[2])


def test_a_photo_larger_than_what_is_drawn_comes_back_at_its_size(model: Flux2Model):
    size = (300, 201)
    assert draw_pictures(model, make_request("edit", 1, size=size))[0].shape == (201, 300, 3)


def test_a_distilled_checkpoint_reads_no_guidance_and_says_so(model: Flux2Model):
    bare = model.draw(make_request("text", 1), family_checks.ignore_step)
    scaled = model.draw(make_request("text", 1, guidance_scale=4.0, negative_prompt="cats"), family_checks.ignore_step)
    assert are_identical(bare.images, scaled.images)
    assert bare.notices == ()
    assert "not read" in scaled.notices[0]


def test_a_checkpoint_that_was_not_distilled_is_guided(tmp_path: Path):
    spec = family_checks.tiny_row("flux2", str(tiny_klein(tmp_path, distilled=False)), VERBS, guidance=4.0)
    base = CheckpointFamily(Flux2Model, (spec,)).load(spec, "cpu")
    family_checks.check_watched_run(base, make_request("text", 1, 2), _guided(tmp_path))
    assert not are_identical(
        draw_pictures(base, make_request("text", 1)),
        draw_pictures(base, make_request("text", 1, negative_prompt="cats")),
    )


def _guided(folder: Path) -> family_checks.Pictures:
    from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline

    pipe = Flux2KleinPipeline.from_pretrained(folder)
    return family_checks.draw_with_diffusers(
        pipe, (1, 2), prompt="a red cup", guidance_scale=4.0, width=SIZE[0], height=SIZE[1]
    )


def test_a_text_encoder_that_is_streamed_reads_the_same(family: CheckpointFamily, model: Flux2Model):
    row = family.specs[0]
    streamed = replace(row, options=(("text_encoder", "streamed"),))
    assert family.estimate_bytes(streamed) < family.estimate_bytes(row)
    other = family.load(streamed, "cpu")
    for _ in range(2):
        assert are_identical(
            draw_pictures(other, make_request("text", 1)), draw_pictures(model, make_request("text", 1))
        )
    assert are_identical(
        draw_pictures(other, make_request("text", 1, prompt="oak")),
        draw_pictures(model, make_request("text", 1, prompt="oak")),
    )


def test_a_backdrop_is_drawn_as_text(model: Flux2Model):
    assert are_identical(
        draw_pictures(model, make_request("backdrop", 4)),
        draw_pictures(model, RenderRequest("text", "a red cup", SIZE, (4,))),
    )


def test_orders_of_several_users_in_one_call_are_each_as_alone(model: Flux2Model):
    family_checks.check_batched_like_alone(model)


def test_orders_with_pictures_are_drawn_alone(model: Flux2Model):
    family_checks.check_batch_keys(model, ("edit", "image", "inpaint"))
