"""Erasing: outside the mask every byte stays, inside nothing of what was there; OpenAI's masks mean the same."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openai
import PIL.Image
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Image, Mask
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import FILL_ROLE
from pipelines.imaging import patch_fill
from pipelines.imaging.fill_by_net import inpaint_by_net
from pipelines.imaging.inpaint import inpaint
from pipelines.imaging.patch_fill import continue_surroundings
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


def test_a_lattice_is_continued_where_tones_would_smear() -> None:
    """Structure that repeats comes back; the truth is known."""
    y, x = np.mgrid[:128, :160]
    bars = (np.abs((x + y) % 24 - 12) < 3) | (np.abs((x - y) % 24 - 12) < 3)
    truth = np.repeat(np.where(bars, 40, 190).astype(np.uint8)[..., None], 3, axis=2)
    hole = make_spot(truth, (80, 64), 26)
    marked = truth.copy()
    marked[hole > 0] = (200, 20, 20)
    made, tones = continue_surroundings(marked, hole, 1), inpaint(marked, hole, 1)
    errors = [np.abs(each[hole > 0].astype(float) - truth[hole > 0]).mean() for each in (made, tones)]
    assert errors[0] < 0.3 * errors[1]
    assert (made[hole == 0] == truth[hole == 0]).all()
    assert (made == continue_surroundings(marked, hole, 1)).all()


def test_what_cannot_be_continued_is_an_error_and_a_hole_at_the_border_is_none() -> None:
    busy = np.kron(make_noise(12, 16, 128, 50), np.ones((10, 10, 1), np.uint8))
    with pytest.raises(ValueError, match="nothing is left"):
        continue_surroundings(busy, np.ones(busy.shape[:2], np.float32), 1)
    assert (continue_surroundings(busy, np.zeros(busy.shape[:2], np.float32), 1) == busy).all()
    marked, hole = busy.copy(), np.zeros(busy.shape[:2], np.float32)
    hole[:, 110:] = 1
    marked[hole > 0] = (255, 0, 255)
    made = continue_surroundings(marked, hole, 1)
    assert (made[hole == 0] == busy[hole == 0]).all()
    assert not (made[hole > 0] == (255, 0, 255)).all(axis=1).any(), "nothing of what was erased comes back"
    busy = np.ascontiguousarray(busy[:60, :80])
    comb = np.zeros(busy.shape[:2], np.float32)
    comb[:, ::2] = 1
    assert (continue_surroundings(busy, comb, 1) == inpaint(busy, comb, 1)).all(), "no whole patch is left"


def test_a_large_hole_is_searched_on_small_copies_and_copied_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_fill, "MAX_SEARCHED_PIXELS", 200)
    monkeypatch.setattr(patch_fill, "_BLOCK_PIXELS", 1000)
    stripes = np.repeat(np.where(np.arange(300) // 20 % 2, 60, 180).astype(np.uint8)[None], 240, axis=0)
    truth = np.repeat(stripes[..., None], 3, axis=2)
    hole = make_spot(truth, (150, 120), 60)
    marked = truth.copy()
    marked[hole > 0] = (200, 20, 20)
    made = continue_surroundings(marked, hole, 1)
    assert (made[hole == 0] == truth[hole == 0]).all()
    levels = np.unique(made[hole > 0][:, 1])
    assert levels.min() >= 55  # tones may be corrected a little
    assert levels.max() <= 185
    wrong = np.abs(made[hole > 0].astype(float) - truth[hole > 0]).mean()
    assert wrong < np.abs(inpaint(marked, hole, 1)[hole > 0].astype(float) - truth[hole > 0]).mean()


RED = (200, 20, 20)


def draw_table(right_edge: int) -> tuple[Image, Alpha, Alpha]:
    """A mottled table with a red thing from the left to that column, a hole beside it, and where the thing is."""
    grey = make_noise(40, 54, 128, 50)[..., :1]
    image = np.kron(grey, np.ones((6, 6, 3), np.uint8))[:, :320]
    thing = np.zeros(image.shape[:2], np.float32)
    thing[106:134, :right_edge] = 1
    image[thing > 0] = RED
    return image, make_spot(image, (160, 120), 40), thing


def count_red(image: Image, hole: Alpha) -> int:
    return int((image[hole > 0][:, 0].astype(int) - image[hole > 0][:, 1] > 120).sum())


def test_nothing_is_copied_from_what_is_avoided_while_enough_is_left() -> None:
    image, hole, thing = draw_table(124)
    plain = continue_surroundings(image, hole, 1)
    assert count_red(plain, hole) > 100
    assert count_red(continue_surroundings(image, hole, 1, thing > 0), hole) == 0
    nearly_all = np.ones_like(thing) > 0
    assert (continue_surroundings(image, hole, 1, nearly_all) == plain).all()


# ---------------------------------------------------------------- the tool


CENTRE = [[0.5, 0.5]]


def run_retouch(context: FakeContext, **values: Any) -> ToolOutput:
    return retouch.run(retouch.Retouch(photo="x", **values), context, Recorder())


@pytest.mark.parametrize(("right_edge", "is_continued"), [(124, False), (320, True)], ids=["beside", "on it"])
def test_a_thing_beside_the_mask_is_not_continued_and_one_under_it_is(right_edge: int, is_continued: bool) -> None:
    image, hole, thing = draw_table(right_edge)
    out = run_retouch(FakeContext(image, hole, seen=thing), mask="m", grow=0).images[0]
    assert (count_red(out, hole) > 100) is is_continued


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


def test_a_point_beside_the_main_subject_erases_the_thing_there_and_not_the_subject() -> None:
    image = make_wall()

    class TwoSubjects(FakeContext):
        def cut_out_things_coarsely(self, params: Subject, side_px: int) -> tuple[Image, Alpha]:
            return image, make_spot(image, (90 if params.keep[0][0] > 0.5 else 30, 50))

    context = TwoSubjects(image, make_spot(image, (30, 50)))
    for mark, (gone, stays) in (((0.75, 0.5), (90, 30)), ((0.25, 0.5), (30, 90))):
        changed = (run_retouch(context, keep=[mark]).images[0] != image).any(axis=-1)
        assert changed[45:55, gone - 5 : gone + 5].mean() > 0.9
        assert not changed[45:55, stays - 5 : stays + 5].any()


def test_a_point_on_a_small_thing_that_the_subject_holds_erases_that_alone() -> None:
    image = make_wall()

    class BirdOnIceberg(FakeContext):
        def cut_out_things_coarsely(self, params: Subject, side_px: int) -> tuple[Image, Alpha]:
            return image, make_spot(image, radius=5 if len(params.keep) == 1 else 24)

    context = BirdOnIceberg(image, make_spot(image, radius=25))
    for keep, erased_share in ((CENTRE, 0.02), (CENTRE * 2, 0.15)):
        changed = (run_retouch(context, keep=keep).images[0] != image).any(axis=-1)
        assert 0.3 * erased_share < changed.mean() < 1.5 * erased_share


def test_a_point_given_again_where_nothing_larger_is_erases_nothing_in_its_place() -> None:
    class NothingLarger(FakeContext):
        def cut_out_things_coarsely(self, params: Subject, side_px: int) -> tuple[Image, Alpha]:
            raise BadInput("Nothing larger is here.", code="no_subject", param="keep")

    context = NothingLarger(make_wall(), make_spot(make_wall()))
    with pytest.raises(BadInput, match="Nothing larger"):
        run_retouch(context, keep=CENTRE * 3)
    assert (run_retouch(context, keep=CENTRE).images[0] != context.image).any(), "the main subject is cut out with care"


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


def test_what_is_pointed_at_goes_with_its_rim_and_shadow_but_for_what_is_dropped_or_outside_the_box() -> None:
    image = make_noise(200, 300, 120, 4)
    thing = make_spot(image, (150, 100), 30)
    for values, margins in (
        ({"keep": CENTRE}, (6, 6, 10)),  # 2 % of 300 px, and 1.5 % below
        ({"keep": CENTRE, "drop": [(0.05, 0.05)]}, (3, 3, 3)),
        ({"keep": CENTRE, "box": (0.4, 0.35, 0.6, 0.6)}, (0, 0, -10)),
    ):
        (mask,) = run_retouch(FakeContext(image, thing), **values).alphas
        rows, columns = (np.flatnonzero((mask > 0).any(axis=axis)) for axis in (1, 0))
        found = (120 - columns[0], columns[-1] - 180, rows[-1] - 130)
        assert found == pytest.approx(margins, abs=1.5)
    wire = np.zeros(image.shape[:2], np.float32)
    wire[:, 150] = 1
    assert retouch.measure_erase_margins(wire) == pytest.approx((3, 1)), "a wire has no wide shadow"


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
    PIL.Image.fromarray(image).save(buffer, "PNG", compress_level=0)
    return "a.png", buffer.getvalue()


@pytest.mark.parametrize(("radius", "is_told"), [(3, False), (6, True), (30, True)])
def test_a_fill_that_continues_texture_before_a_busy_place_is_told(radius: int, is_told: bool) -> None:
    """What stood behind it is not known; a plain wall is continued at any size."""
    busy = np.kron(make_noise(15, 20, 128, 60), np.ones((10, 10, 1), np.uint8))
    context = FakeContext(busy, make_spot(busy, (100, 75), radius))
    output = run_retouch(context, mask="m")
    assert (retouch.CONTINUED_NOTICE in output.notices) is is_told
    assert output.fill_doubts == ((retouch.CONTINUED_DOUBT,) if is_told else ())
    assert [left <= 0.5 <= right and top <= 0.5 <= bottom for left, top, right, bottom in output.fill_places] == (
        [True] * is_told
    )
    wall = np.full_like(busy, 150)
    assert run_retouch(FakeContext(wall, make_spot(wall, (100, 75), radius)), mask="m").notices == ()


class WithNet(FakeContext):
    """A context with a net from the hub, which draws green stripes."""

    def spec_for_role(self, role: str) -> str:
        return "lama" if role == FILL_ROLE else role

    @contextmanager
    def borrow_model(self, spec_id: str) -> Iterator[Any]:
        assert spec_id == "lama"
        yield DrawGreenStripes()


class DrawGreenStripes:
    side_px = 64

    def fill_hole_in_square(self, image: Image, hole: Mask) -> Image:
        assert image.shape == (64, 64, 3)
        assert hole.any()
        stripes = np.full_like(image, 128)
        stripes[..., 1] = np.where(np.arange(64) // 8 % 2, 230, 30)
        return np.where(hole[..., None], stripes, image)


def test_a_net_that_is_here_draws_in_a_large_place_and_only_there() -> None:
    busy = np.kron(make_noise(15, 20, 128, 60), np.ones((10, 10, 1), np.uint8))
    mask = make_spot(busy, (100, 75), 30)
    made = run_retouch(WithNet(busy, mask), mask="m")
    assert made.notices == (retouch.NET_NOTICE,)
    assert (made.images[0][mask == 0] == busy[mask == 0]).all()
    spread = made.images[0][60:90, 85:115].astype(float).std(axis=(0, 1))
    assert spread[1] > 2 * spread[0]
    small = run_retouch(WithNet(busy, make_spot(busy, (100, 75), 3)), mask="m")
    assert small.notices == (), "patches fill a small place, and the file need not name a net"
    draft = run_retouch(WithNet(busy, mask, draft=True), mask="m")
    assert draft.notices == (retouch.DRAFT_NOTICE,)


def test_a_draft_fills_as_the_picture_does_or_says_that_it_is_a_sketch() -> None:
    fine = np.kron(make_noise(64, 128, 128, 60), np.ones((8, 8, 1), np.uint8))
    mask = make_spot(fine, (512, 256), 40)
    whole, draft = (run_retouch(FakeContext(fine, mask, draft=is_draft), mask="m") for is_draft in (False, True))
    assert (whole.is_sketch, draft.is_sketch) == (False, True)
    plain = make_noise(512, 1024, 128, 6)
    draft = run_retouch(FakeContext(plain, make_spot(plain, (512, 256), 40), draft=True), mask="m")
    assert not draft.is_sketch
    small = np.ascontiguousarray(fine[:256, :512])
    assert not run_retouch(FakeContext(small, make_spot(small, (200, 90), 20), draft=True), mask="m").is_sketch


def test_holes_that_lie_apart_are_drawn_one_by_one_and_no_square_sees_what_was_there() -> None:
    photo = np.full((300, 500, 3), 120, np.uint8)
    mask = np.maximum(make_spot(photo, (80, 80), 40), make_spot(photo, (420, 220), 30))
    photo[mask > 0] = (250, 0, 0)
    seen: list[Image] = []

    def fill(image: Image, hole: Mask) -> Image:
        seen.append(image[~hole])
        return np.where(hole[..., None], np.uint8(120), image)

    pictures = list(inpaint_by_net(photo, mask, fill, 64, 1))
    assert len(pictures) == 2
    assert (pictures[0][mask == 0] == 120).all()
    assert np.abs(pictures[1].astype(int) - 120).max() <= 2
    assert max(int(np.abs(pixels.astype(int) - 120).max()) for pixels in seen) <= 2
    many = np.zeros((300, 500), np.float32)
    many[10::40, 10::40] = 1
    assert len(list(inpaint_by_net(photo, many, fill, 64, 1))) == 1
