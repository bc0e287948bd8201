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
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject
from pipelines.core.rendering import ToolOutput
from pipelines.imaging.inpaint import inpaint
from pipelines.tools import retouch
from tests.support.examples import Recorder, load_example, make_blob, make_noise
from tests.support.fake_context import FakeContext
from tests.support.served_app import serve_app
from ui.api.field_hints import TOOL_HINTS


def make_spot(image: Image, centre: tuple[int, int] = (60, 50), radius: int = 12) -> Alpha:
    canvas = np.zeros(image.shape[:2], np.float32)
    cv2.circle(canvas, centre, radius, 1.0, -1)
    return canvas


def make_wall() -> Image:
    """Grainy, brighter to the right."""
    slope = np.linspace(0, 60, 120)[None, :, None]
    return np.clip(make_noise(100, 120, 90, 5).astype(float) + slope, 0, 255).astype(np.uint8)


def test_a_spot_on_a_wall_goes_and_tone_and_grain_run_on() -> None:
    clean, hole = make_wall(), make_spot(make_wall())
    marked = clean.copy()
    marked[hole > 0] = (200, 20, 20)
    out = inpaint(marked, hole, 1)
    inside, grain = hole > 0, out.astype(float) - cv2.GaussianBlur(out, (0, 0), 2)
    assert abs(out[inside].astype(float).mean() - clean[inside].astype(float).mean()) < 3
    assert grain[inside].std() == pytest.approx(grain[~inside].std(), rel=0.5)
    assert (out[~inside] == marked[~inside]).all()


def test_same_seed_same_fill_and_an_empty_mask_changes_nothing() -> None:
    image = make_wall()
    assert (inpaint(image, make_spot(image), 4) == inpaint(image, make_spot(image), 4)).all()
    assert (inpaint(image, np.zeros(image.shape[:2], np.float32), 4) == image).all()


def test_a_hole_at_the_border_is_filled_from_inside() -> None:
    image = make_wall()
    image[:, 110:] = (255, 0, 0)
    out = inpaint(image, (np.arange(120)[None] >= 108).repeat(100, axis=0).astype(np.float32), 1)
    assert out[:, 110:, 0].mean() < 200


def test_nothing_to_take_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        inpaint(make_wall(), np.ones((100, 120), np.float32), 1)


# ---------------------------------------------------------------- the tool


CENTRE = [[0.5, 0.5]]


def run_retouch(context: FakeContext, **values: Any) -> ToolOutput:
    return retouch.run(retouch.Retouch(photo="x", **values), context, Recorder())


def test_outside_the_mask_every_byte_stays() -> None:
    mask = make_spot(load_example("coffee"), (355, 285), 30)
    context = FakeContext(load_example("coffee"), mask)
    out = run_retouch(context, mask="m").images[0]
    assert (out[mask == 0] == context.image[mask == 0]).all()
    assert (out[mask > 0] != context.image[mask > 0]).any(axis=-1).mean() > 0.9


def test_the_subject_that_is_picked_goes_where_somebody_points() -> None:
    image = make_wall()

    class TwoSubjects(FakeContext):
        def cut_out_subject(self, params: Subject, emit: ProgressCallback, *, together: bool = False) -> Cutout:
            return Cutout(self.image, make_spot(image, (30, 50) if params.pick == 0 else (90, 50)))

    for pick, (gone, stays) in enumerate(((30, 90), (90, 30))):
        out = run_retouch(TwoSubjects(image, make_spot(image)), pick=pick, keep=CENTRE).images[0]
        changed = (out != image).any(axis=-1)
        assert changed[45:55, gone - 5 : gone + 5].mean() > 0.9
        assert not changed[45:55, stays - 5 : stays + 5].any()


def test_growing_changes_more_and_a_mask_of_another_size_is_stretched() -> None:
    image = make_wall()
    small = np.asarray(cv2.resize(make_spot(image), (60, 50)), np.float32)
    plain, grown = (run_retouch(FakeContext(image, small), mask="m", grow=g).images[0] for g in (0, 5))
    changed = [(i != image).any(axis=-1).sum() for i in (plain, grown)]
    assert changed[1] > 1.3 * changed[0] > 0


def test_without_a_mask_nothing_goes_unasked() -> None:
    image = make_wall()
    with pytest.raises(BadInput, match="Paint over what is to go") as asked:
        run_retouch(FakeContext(image, make_blob(100, 120, (60, 50), (20, 20))))
    assert asked.value.param == "mask"


def test_what_is_pointed_at_goes() -> None:
    image = make_wall()
    image[make_spot(image, radius=19) > 0] = (200, 20, 20)
    made = run_retouch(FakeContext(image, make_blob(100, 120, (60, 50), (20, 20))), keep=CENTRE)
    assert made.images[0][45:55, 55:65, 1].mean() > 80
    (mask,) = made.alphas
    assert ((made.images[0] != image).any(axis=-1) <= (mask > 0)).all(), "the mask tells what was erased"
    assert mask[50, 60] == 1


def test_agents_are_told_first_that_keep_marks_what_is_erased() -> None:
    assert TOOL_HINTS["retouch"].startswith("Here `keep` and `box` mark what is ERASED")
    fields = retouch.Retouch.model_fields
    assert str(fields["keep"].description).startswith("Points on what is erased (not kept)")
    assert str(fields["drop"].description).startswith("Points on what stays")


def test_words_reach_a_model_that_draws_and_are_never_lost_in_silence() -> None:
    image = make_wall()
    able = FakeContext(image, make_spot(image), verbs=("inpaint",), colour=7)
    out = run_retouch(able, mask="m", prompt="a clock")
    assert able.renders[0].verb == "inpaint"
    assert able.renders[0].prompt == "a clock"
    assert (out.images[0][make_spot(image) > 0] == 7).all()
    assert (out.images[0][make_spot(image) == 0] == image[make_spot(image) == 0]).all()
    assert run_retouch(FakeContext(image, make_spot(image)), mask="m", prompt="a clock").notices == (
        retouch.WORDS_UNUSED_NOTICE,
    )


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_an_empty_mask_and_one_over_everything_are_refused_by_name(level: float) -> None:
    with pytest.raises(BadInput) as caught:
        run_retouch(FakeContext(make_wall(), np.full((100, 120), level, np.float32)), mask="m")
    assert caught.value.param == "mask"


def test_openais_edit_erases_where_the_mask_is_transparent(tmp_path: Path) -> None:
    image = make_wall()
    image[make_spot(image) > 0] = (250, 0, 0)
    rgba = np.dstack([image, np.where(make_spot(image) > 0, 0, 255).astype(np.uint8)])
    with (
        serve_app(tmp_path, tools=(retouch.TOOL,)) as studio,
        openai.OpenAI(base_url=f"{studio.url}/v1", api_key="any", max_retries=0) as client,
    ):
        answer = client.images.edit(image=encode_upload(image), mask=encode_upload(rgba), prompt="the bare wall")
    assert answer.data is not None
    assert answer.data[0].b64_json is not None
    with PIL.Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json))) as picture:
        out = np.asarray(picture)
    assert (out[make_spot(image) == 0] == image[make_spot(image) == 0]).all()
    assert out[make_spot(image) > 0, 0].mean() < 200


def encode_upload(image: Image) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return "a.png", buffer.getvalue()


@pytest.mark.parametrize(("radius", "is_told"), [(3, False), (30, True)])
def test_a_large_fill_before_a_busy_place_is_told(radius: int, is_told: bool) -> None:
    """What stood behind it is not known; a plain wall is continued at any size."""
    busy = np.kron(make_noise(15, 20, 128, 60), np.ones((10, 10, 1), np.uint8))
    context = FakeContext(busy, make_spot(busy, (100, 75), radius))
    assert (retouch.LARGE_AREA_NOTICE in run_retouch(context, mask="m").notices) is is_told
    wall = np.full_like(busy, 150)
    assert run_retouch(FakeContext(wall, make_spot(wall, (100, 75), radius)), mask="m").notices == ()
