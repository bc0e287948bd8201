"""The small model that ships: it obeys words, its previews are its picture, and a batch is its singles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from assets.models.mini.judge import seam_ratio
from pipelines.core.errors import JobCancelled
from pipelines.core.geometry import Image
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.models.families.mini import model as mini_model
from pipelines.models.families.mini.model import MINI, MiniModel, split_background
from pipelines.models.families.mini.postprocess import remove_patch_seams

WORDS = "a woman firefighter with dark skin, teal background"


@pytest.fixture(scope="module")
def model() -> Iterator[MiniModel]:
    loaded = mini_model.load(MINI, "cpu")
    yield loaded
    loaded.close()


def ignore_step(step: ModelStep) -> None:
    """Nobody watches."""


def make_request(prompt: str = WORDS, seeds: tuple[int, ...] = (7,), **changed: Any) -> RenderRequest:
    return replace(RenderRequest("text", prompt, (256, 256), seeds, num_inference_steps=2), **changed)


Draw = Callable[..., RenderedImages]
SEEDS = (0, 1, 2)
DARK, LIGHT = (f"a woman with {tone} skin" for tone in ("dark", "light"))
COOK = "a man cook with light skin"


@pytest.fixture(scope="module")
def draw_once(model: MiniModel) -> Draw:
    """Returns what `make_request` of these words, and seeds, draws, drawn at the first call."""
    return functools.cache(lambda *asked: model.draw(make_request(*asked), ignore_step))


def test_same_seed_same_picture_and_another_seed_another(model: MiniModel, draw_once: Draw) -> None:
    assert np.array_equal(draw_once(WORDS).images[0], model.draw(make_request(), ignore_step).images[0])
    one, other, _ = draw_once(DARK, SEEDS).images
    assert not np.array_equal(one, other)


def test_a_batch_of_three_is_three_singles(model: MiniModel, draw_once: Draw) -> None:
    for seed, picture in zip(SEEDS, draw_once(DARK, SEEDS).images, strict=True):
        single = model.draw(make_request(DARK, (seed,)), ignore_step).images[0]
        assert np.abs(single.astype(int) - picture).max() <= 1


def test_the_background_has_the_colour_that_was_named_exactly(draw_once: Draw) -> None:
    drawn = draw_once(WORDS)
    empty = drawn.alphas[0] == 0
    assert 0.1 < empty.mean() < 0.9
    assert (drawn.images[0][empty] == mini_model.BACKGROUND_COLOURS["teal"]).all()


def test_skin_follows_the_words(draw_once: Draw) -> None:
    """Mean lightness of the figure's lower half of the face: dark is darker than light, whatever the seed."""
    faces = [[image[110:150, 110:146].mean() for image in draw_once(words, SEEDS).images] for words in (DARK, LIGHT)]
    assert all(dark < light - 30 for dark, light in zip(*faces, strict=True))


def test_previews_become_the_picture(model: MiniModel) -> None:
    frames: list[Image] = []

    def keep_preview(step: ModelStep) -> None:
        preview = step.preview() if step.preview else None
        assert preview is not None
        frames.append(preview)

    final = model.draw(make_request(num_inference_steps=4), keep_preview).images[0]
    away = [np.abs(frame.astype(int) - final).mean() for frame in frames]
    assert len(frames) == 4
    assert away[-1] < away[0] / 2


def test_more_strength_goes_further_from_the_picture(model: MiniModel, draw_once: Draw) -> None:
    source = draw_once(COOK).images[0]
    away = []
    for strength in (0.25, 0.6, 1.0):
        made = model.draw(make_request("a dog", verb="image", images=(source,), strength=strength), ignore_step).images[
            0
        ]
        away.append(np.abs(made.astype(int) - source).mean())
    assert away == sorted(away)


def test_inpaint_keeps_what_the_mask_leaves(model: MiniModel, draw_once: Draw) -> None:
    source = draw_once(COOK).images[0]
    mask = np.zeros((256, 256), np.float32)
    mask[:128] = 1
    made = model.draw(
        make_request("a red hat", verb="inpaint", images=(source,), mask=mask, strength=1.0), ignore_step
    ).images[0]
    gone = np.abs(made.astype(int) - source).mean(axis=2)
    assert gone[140:].mean() < gone[:120].mean() / 2


def test_steps_between_patches_are_taken_out_and_edges_stay() -> None:
    """A slope with a small jump at every eighth pixel, and beside it a real edge at one."""
    slope = torch.linspace(-0.6, 0.6, 64).expand(1, 4, 64, 64)
    jumps = 0.1 * (torch.arange(64) // 8 % 2).expand(1, 4, 64, 64)
    mended = remove_patch_seams(slope + jumps)
    seen, wanted = mended.diff(dim=-1)[0, 0, 0], slope.diff(dim=-1)[0, 0, 0]
    assert (slope + jumps).diff(dim=-1)[0, 0, 0, 7::8].sub(wanted[0]).abs().min() > 0.09
    assert seen[7::8].sub(wanted[0]).abs().max() < 0.001
    assert torch.equal(
        remove_patch_seams(slope + jumps).transpose(2, 3), remove_patch_seams((slope + jumps).transpose(2, 3))
    )
    edge = torch.where(torch.arange(64) < 32, -0.8, 0.8).expand(1, 4, 64, 64)
    assert torch.equal(remove_patch_seams(edge), edge)


def test_no_seam_shows_in_what_is_drawn(draw_once: Draw) -> None:
    """Mean step across the borders of patches over that between other neighbours, inside figures at 64 px."""
    drawn = (draw_once(WORDS), draw_once(COOK), draw_once(DARK, SEEDS), draw_once(LIGHT, SEEDS))
    small = np.stack([cv2.resize(cut_out(each), (64, 64), interpolation=cv2.INTER_AREA) for each in drawn])
    assert seam_ratio(small, 8) < 1.15  # of four pictures; of two hundred it is in the model's own page


def cut_out(drawn: RenderedImages) -> Image:
    return np.dstack([drawn.images[0], (drawn.alphas[0] * 255).astype(np.uint8)])


def test_a_cancel_between_two_steps_leaves_the_model_clean(model: MiniModel, draw_once: Draw) -> None:
    before = draw_once(WORDS).images[0]

    def stop(step: ModelStep) -> None:
        if step.index == 2:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        model.draw(make_request(), stop)
    assert np.array_equal(model.draw(make_request(), ignore_step).images[0], before)


def test_words_that_were_never_learned_are_named(model: MiniModel) -> None:
    def read_notices(prompt: str) -> tuple[str, ...]:
        return model.draw(make_request(prompt, num_inference_steps=1), ignore_step).notices

    (sentence,) = read_notices("a Victorian lady surgeon with a zymurgical hat")
    assert sentence == "Not understood: 'victorian', 'zymurgical'."
    assert read_notices("a smiling woman chef with curly hair") == ()


@pytest.mark.parametrize(
    ("prompt", "figure", "name"),
    [
        (WORDS, "a woman firefighter with dark skin", "teal"),
        ("a cat on a light blue background", "a cat", "light blue"),
        ("pink background, a fox", "a fox", "pink"),
        ("a fox on white", "a fox", "white"),
        ("a blue bird", "a blue bird", None),
    ],
)
def test_words_for_the_background_are_told_from_the_others(prompt: str, figure: str, name: str | None) -> None:
    assert split_background(prompt) == (figure, mini_model.BACKGROUND_COLOURS[name] if name else None)


def test_figures_of_several_users_in_one_call_are_each_as_alone(model: MiniModel) -> None:
    orders = [
        RenderRequest("text", "a cat", (64, 64), (1,), num_inference_steps=2),
        RenderRequest("text", "a firefighter, teal background", (64, 64), (2, 3), num_inference_steps=2),
    ]
    assert model.batch_key(orders[0]) == model.batch_key(orders[1])
    assert model.batch_key(replace(orders[0], verb="image", images=(np.zeros((64, 64, 3), np.uint8),))) is None
    told: list[int] = []
    together = model.draw_batch(orders, lambda steps: told.extend(step.index for step in steps))
    assert told == [1, 1, 2, 2]
    for each, drawn in zip(orders, together, strict=True):
        alone = model.draw(each, ignore_step)
        for one, other in zip((*drawn.images, *drawn.alphas), (*alone.images, *alone.alphas), strict=True):
            assert np.abs(one.astype(float) - other.astype(float)).max() <= 1
    assert np.abs(together[1].images[0].astype(int) - together[1].images[1]).max() > 10
