"""Erasing: outside the mask every byte stays, inside nothing of what was there; OpenAI's masks mean the same."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openai
import PIL.Image
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Image
from pipelines.core.rendering import RenderedImages, RenderRequest
from pipelines.imaging.inpaint import inpaint
from pipelines.tools import retouch
from tests.support.examples import Recorder, blob, example, noisy
from tests.support.served_app import served


def spot(image: Image, centre: tuple[int, int] = (60, 50), radius: int = 12) -> Alpha:
    canvas = np.zeros(image.shape[:2], np.float32)
    cv2.circle(canvas, centre, radius, 1.0, -1)
    return canvas


def wall() -> Image:
    """Grainy, brighter to the right."""
    slope = np.linspace(0, 60, 120)[None, :, None]
    return np.clip(noisy(100, 120, 90, 5).astype(float) + slope, 0, 255).astype(np.uint8)


def test_a_spot_on_a_wall_goes_and_tone_and_grain_run_on() -> None:
    clean, hole = wall(), spot(wall())
    marked = clean.copy()
    marked[hole > 0] = (200, 20, 20)
    out = inpaint(marked, hole, 1)
    inside, grain = hole > 0, out.astype(float) - cv2.GaussianBlur(out, (0, 0), 2)
    assert abs(out[inside].astype(float).mean() - clean[inside].astype(float).mean()) < 3
    assert grain[inside].std() == pytest.approx(grain[~inside].std(), rel=0.5)
    assert (out[~inside] == marked[~inside]).all()


def test_same_seed_same_fill_and_an_empty_mask_changes_nothing() -> None:
    image = wall()
    assert (inpaint(image, spot(image), 4) == inpaint(image, spot(image), 4)).all()
    assert (inpaint(image, np.zeros(image.shape[:2], np.float32), 4) == image).all()


def test_a_hole_at_the_border_is_filled_from_inside() -> None:
    image = wall()
    image[:, 110:] = (255, 0, 0)
    out = inpaint(image, (np.arange(120)[None] >= 108).repeat(100, axis=0).astype(np.float32), 1)
    assert out[:, 110:, 0].mean() < 200


def test_nothing_to_take_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        inpaint(wall(), np.ones((100, 120), np.float32), 1)


# ---------------------------------------------------------------- the tool


class Room:
    """As much of a studio as the tool touches."""

    seed = 5
    draft = False

    def __init__(self, image: Image, mask: Alpha, *, model: bool = False) -> None:
        self.image, self.alpha, self.model = image, mask, model
        self.renders: list[RenderRequest] = []

    def open_image(self, _: str) -> Image:
        return self.image

    def open_mask(self, _: str) -> Alpha:
        return self.alpha

    def cut_out_subject(self, *_) -> Cutout:
        return Cutout(self.image, self.alpha)

    def has_verb(self, verb: str) -> bool:
        return self.model and verb == "inpaint"

    def draw(self, render: RenderRequest, _) -> RenderedImages:
        self.renders.append(render)
        return RenderedImages((np.full_like(self.image, 7),))


def make(room: Room, **values):
    return retouch.run(retouch.Retouch(photo="x", **values), room, Recorder())  # pyright: ignore[reportArgumentType]


def test_outside_the_mask_every_byte_stays() -> None:
    room = Room(example("coffee"), spot(example("coffee"), (355, 285), 30))
    out = make(room, mask="m").images[0]
    assert (out[room.alpha == 0] == room.image[room.alpha == 0]).all()
    assert (out[room.alpha > 0] != room.image[room.alpha > 0]).any(axis=-1).mean() > 0.9


def test_without_a_mask_the_subject_that_is_picked_goes() -> None:
    image = wall()

    class Two(Room):
        def cut_out_subject(self, *asked: Any) -> Cutout:
            return Cutout(self.image, spot(image, (30, 50) if asked[0].pick == 0 else (90, 50)))

    for pick, (gone, stays) in enumerate(((30, 90), (90, 30))):
        changed = (make(Two(image, spot(image)), pick=pick).images[0] != image).any(axis=-1)
        assert changed[45:55, gone - 5 : gone + 5].mean() > 0.9
        assert not changed[45:55, stays - 5 : stays + 5].any()


def test_growing_changes_more_and_a_mask_of_another_size_is_stretched() -> None:
    image = wall()
    small = np.asarray(cv2.resize(spot(image), (60, 50)), np.float32)
    plain, grown = (make(Room(image, small), mask="m", grow=g).images[0] for g in (0, 5))
    changed = [(i != image).any(axis=-1).sum() for i in (plain, grown)]
    assert changed[1] > 1.3 * changed[0] > 0


def test_without_a_mask_the_subject_goes() -> None:
    image = wall()
    image[spot(image, radius=19) > 0] = (200, 20, 20)
    out = make(Room(image, blob(100, 120, (60, 50), (20, 20)))).images[0]
    assert out[45:55, 55:65, 1].mean() > 80


def test_words_reach_a_model_that_draws_and_are_never_lost_in_silence() -> None:
    image = wall()
    able = Room(image, spot(image), model=True)
    out = make(able, mask="m", prompt="a clock")
    assert able.renders[0].verb == "inpaint"
    assert able.renders[0].prompt == "a clock"
    assert (out.images[0][spot(image) > 0] == 7).all()
    assert (out.images[0][spot(image) == 0] == image[spot(image) == 0]).all()
    assert make(Room(image, spot(image)), mask="m", prompt="a clock").notices == (retouch.WORDS_UNUSED_NOTICE,)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_an_empty_mask_and_one_over_everything_are_refused_by_name(level: float) -> None:
    with pytest.raises(BadInput) as caught:
        make(Room(wall(), np.full((100, 120), level, np.float32)), mask="m")
    assert caught.value.param == "mask"


def test_openais_edit_erases_where_the_mask_is_transparent(tmp_path: Path) -> None:
    image = wall()
    image[spot(image) > 0] = (250, 0, 0)
    rgba = np.dstack([image, np.where(spot(image) > 0, 0, 255).astype(np.uint8)])
    with (
        served(tmp_path, tools=(retouch.TOOL,)) as studio,
        openai.OpenAI(base_url=f"{studio.url}/v1", api_key="any", max_retries=0) as client,
    ):
        answer = client.images.edit(image=png(image), mask=png(rgba), prompt="the bare wall")
    assert answer.data is not None
    assert answer.data[0].b64_json is not None
    with PIL.Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json))) as picture:
        out = np.asarray(picture)
    assert (out[spot(image) == 0] == image[spot(image) == 0]).all()
    assert out[spot(image) > 0, 0].mean() < 200


def png(image: Image) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return "a.png", buffer.getvalue()
