"""What is pointed at counts in every tool with a subject: through the service, over REST, and in a row of a table."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from pipelines.core.errors import InvalidParams
from pipelines.core.geometry import Alpha, Face, Image, Mask
from pipelines.core.job import Step
from pipelines.core.params import subject_of
from pipelines.imaging.packed_masks import differs_at, holds_at, is_same_matte, pack_matte
from pipelines.imaging.resize import size_within
from pipelines.matting import cutout
from pipelines.tools import TOOLS
from pipelines.tools.shared import form_fields, point_preview
from tests.support.examples import load_example
from tests.support.real_studio import OWNER, RealStudio

MARKED_TOOLS = [tool for tool in TOOLS if "pick" in tool.params.model_fields]


@pytest.mark.parametrize("tool", MARKED_TOOLS, ids=lambda tool: tool.id)
def test_every_tool_with_a_subject_takes_points_and_a_box(tool) -> None:
    values = {"photo": "file-x", "keep": "[[0.2, 0.3]]", "drop": [[0.5, 0.5]], "box": "[0, 0, 1, 0.5]"}
    params = tool.params.model_validate(values)
    subject = subject_of(params)
    assert (subject.keep, subject.drop, subject.box) == (((0.2, 0.3),), ((0.5, 0.5),), (0, 0, 1, 0.5))
    assert subject.is_pointed


@pytest.mark.parametrize(
    ("name", "value"), [("keep", "[[0.5]]"), ("keep", "here"), ("drop", [[0.5, 1.5]]), ("box", [0.6, 0, 0.4, 1])]
)
def test_marks_outside_the_photo_are_refused_by_name(studio: RealStudio, name: str, value: Any) -> None:
    with pytest.raises(InvalidParams) as refused:
        studio.create_job("cutout", photo=studio.photos["coffee"], **{name: value})
    assert refused.value.param == name


def test_points_move_the_cut_out_and_stand_in_the_receipt(studio: RealStudio) -> None:
    photo = studio.add_image(load_example("coffee"))
    plain = studio.make("cutout", photo=photo, trim=False)
    pointed = studio.make("cutout", photo=photo, trim=False, drop=[[0.6, 0.45]], keep=[[0.02, 0.02]])
    before, after = studio.open_result(plain)[..., 3], studio.open_result(pointed)[..., 3]
    assert before[180, 360] == 255
    assert after[180, 360] < 30
    assert after[8, 12] > 200
    assert pointed.receipt["params"]["keep"] == [[0.02, 0.02]]


def test_one_net_alone_cuts_out_where_somebody_prefers_it(tmp_path: Path) -> None:
    with RealStudio(tmp_path, matting="both") as studio:
        photo, sent = studio.photos["coffee"], []
        for cut_by in ("all", "careful", "quick"):
            studio.make("cutout", draft=True, photo=photo, trim=False, cut_by=cut_by)  # as on the page
            made = studio.make("cutout", photo=photo, trim=False, cut_by=cut_by)
            used = {row["id"] for row in made.receipt["models"]}
            assert {"u2netp", "isnet"} <= used, "the other one tells how sure the cut-out is"
            assert 0 < made.receipt["cutout_uncertainty"] < 0.5
            sent.append(studio.open_result(made)[..., 3])
        assert not np.array_equal(sent[1], sent[2])
        draft = studio.make("cutout", draft=True, photo=photo, cut_by="careful")
        assert "isnet" in {row["id"] for row in draft.receipt["models"]}, "a draft shows what was chosen"
        shown = studio.service.create_helper_job("point", {"photo": photo, "cut_by": "quick"}, OWNER, for_tool="cutout")
        kept = studio.run_job(shown).receipt["params"]["kept"]
        small = cv2.resize(sent[2], (512, 341), interpolation=cv2.INTER_AREA) / np.float32(255)
        assert is_same_matte(kept, pack_matte(np.asarray(small, np.float32)))
        with pytest.raises(InvalidParams) as refused:
            studio.create_job("cutout", photo=photo, cut_by="best")
        assert refused.value.param == "cut_by"


def test_a_mark_that_takes_what_all_nets_are_sure_of_is_told_in_the_receipt(tmp_path: Path) -> None:
    with RealStudio(tmp_path, matting="both") as studio:
        photo = studio.add_image(load_example("coffee"))
        assert not studio.make("cutout", photo=photo, trim=False).receipt["cutout_doubts"]
        torn = studio.make("cutout", photo=photo, trim=False, drop=[[0.3, 0.75]]).receipt
        notice = "What you marked took a part that looks like the subject at the bottom left. Look at it."
        assert torn["cutout_doubts"][0] == notice
        assert notice in torn["notices"]
        assert [row["doubt"] for row in torn["placement"]["doubts"]] == [notice]
        beside = studio.make("cutout", photo=photo, trim=False, keep=[[0.95, 0.95]]).receipt
        assert not beside["cutout_doubts"]


def show_pointing(studio: RealStudio, **values: Any) -> Image:
    """The preview of what `values` point at in coffee."""
    job = studio.service.create_helper_job("point", values, studio.owner, for_tool="cutout")
    previews = [event.preview for event in studio.jobs.submit_and_watch(job) if isinstance(event, Step)]
    with PIL.Image.open(io.BytesIO(previews[-1] or b"")) as preview:
        return np.asarray(preview.convert("RGB"))


def test_the_preview_of_pointing_covers_what_is_dropped(studio: RealStudio) -> None:
    shown = show_pointing(studio, photo=studio.photos["coffee"], box=[0.1, 0.0, 1.0, 1.0])
    photo = cv2.resize(load_example("coffee"), shown.shape[1::-1], interpolation=cv2.INTER_AREA)
    outside = np.abs(shown.astype(int) - photo)[:, : round(0.08 * shown.shape[1])]
    assert outside.mean() > 20


@pytest.mark.parametrize("level", [8, 128, 245])
def test_what_is_dropped_of_a_grey_photo_is_seen_as_dropped(level: int) -> None:
    photo, alpha = np.full((256, 320, 3), level, np.uint8), np.zeros((256, 320), np.float32)
    alpha[60:200, 80:240] = 1.0
    shown = point_preview.draw_chequer(photo, alpha).astype(int)
    assert (shown[70:190, 90:230] == level).all()
    beside = shown[:, :70].reshape(-1, 3)
    assert np.ptp(beside.mean(axis=1)) > 30, "a pattern, which no even ground has"
    assert np.ptp(beside, axis=1).mean() > 10, "a tint, which no grey has"


def test_a_white_thing_on_a_white_table_is_found_under_the_pattern() -> None:
    photo = np.full((256, 320, 3), 240, np.uint8)
    photo[60:200, 80:240] = 250
    photo = photo - np.random.default_rng(1).integers(0, 3, photo.shape, np.uint8)
    shown = point_preview.draw_chequer(photo, np.zeros((256, 320), np.float32)).mean(axis=2)
    assert shown[70:190, 90:230].mean() - shown[:50].mean() > 3.5


def test_a_bright_part_that_is_dropped_is_a_change_and_an_edge_that_moves_is_none() -> None:
    alpha = np.zeros((512, 400), np.float32)
    alpha[100:400, 100:300] = 1.0
    moved, dropped = alpha.copy(), alpha.copy()
    moved[100:400, 300:303] = 1.0
    dropped[150:180, 150:180] = 0.0
    before = pack_matte(alpha)
    assert is_same_matte(before, pack_matte(moved))
    assert not is_same_matte(before, pack_matte(dropped))
    assert not is_same_matte("", before), "nothing was shown before"
    assert not is_same_matte(before, pack_matte(np.ascontiguousarray(alpha.T)))
    assert len(before) < 2000


def test_what_lies_under_a_mark_differs_however_small_it_is_and_not_beside_it() -> None:
    alpha = np.zeros((512, 400), np.float32)
    alpha[100:400, 100:300] = 1.0
    notched = alpha.copy()
    notched[200:204, 200:204] = 0.0
    before, after = pack_matte(alpha), pack_matte(notched)
    assert is_same_matte(before, after), "hardly anything for the whole picture"
    assert differs_at(before, after, [[0.9, 0.1], [202 / 400, 202 / 512]])
    assert not differs_at(before, after, [[0.9, 0.1], [240 / 400, 202 / 512], [1.0, 1.0]])
    assert not differs_at(before, after, [])


def test_half_of_something_that_goes_is_a_change_and_no_place_of_it_is_settled() -> None:
    alpha = np.zeros((512, 400), np.float32)
    alpha[100:400, 100:300] = 1.0
    alpha[150:250, 150:250] = 0.4  # under one half before and after
    dropped = alpha.copy()
    dropped[150:250, 150:250] = 0.0
    before, after = pack_matte(alpha), pack_matte(dropped)
    soft, kept, outside = [0.5, 0.4], [0.5, 0.7], [0.1, 0.1]
    assert not is_same_matte(before, after)
    assert differs_at(before, after, [soft])
    assert not any(holds_at(before, [soft], is_kept=is_kept) for is_kept in (True, False))
    assert holds_at(after, [soft, outside], is_kept=False)
    assert holds_at(before, [kept], is_kept=True)
    assert not holds_at(before, [kept, outside], is_kept=True)


def test_pointing_begins_with_the_cut_out_that_was_made(studio: RealStudio) -> None:
    photo, marks = studio.add_image(load_example("coffee")), {"drop": [[0.6, 0.45]]}
    made = studio.open_result(studio.make("cutout", photo=photo, trim=False, drop=marks["drop"]))
    shown = show_pointing(studio, photo=photo, **marks).astype(int)
    size = shown.shape[1::-1]
    photo_pixels = cv2.resize(load_example("coffee"), size, interpolation=cv2.INTER_AREA).astype(int)
    alpha, square = cv2.resize(made[..., 3], size, interpolation=cv2.INTER_AREA), np.ones((9, 9))
    kept, dropped = (cv2.erode(each.astype(np.uint8), square) > 0 for each in (alpha > 250, alpha < 5))
    assert np.abs(shown - photo_pixels)[kept].mean() < 4
    assert np.abs(shown - photo_pixels)[dropped].mean() > 20, "covered"


def test_pointing_begins_with_what_was_made_also_after_a_batch_of_large_photos(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, shown = studio.add_image(load_example("coffee")), []
    made = studio.open_result(studio.make("cutout", photo=photo, trim=False))[..., 3]
    studio.engine.resources.results.clear()  # they drive its cut-out and what the nets saw out of the cache

    def note_alpha(picture: Image, alpha: Alpha) -> Image:
        shown.append(alpha)
        return picture

    monkeypatch.setattr(point_preview, "draw_chequer", note_alpha)
    monkeypatch.setattr(cutout, "refine_alpha", lambda *_: pytest.fail("estimated again"))
    show_pointing(studio, photo=photo)
    size = size_within(made.shape, form_fields.DRAFT_SIDE_PX)  # in which the matte is kept, and shown larger
    alpha, seen = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (made / np.float32(255), shown[0]))
    assert shown[0].shape == made.shape, "as large as the photo, up to a limit"
    assert np.abs(seen - alpha).max() < 0.25
    assert np.abs(seen - alpha).mean() < 0.002


def test_a_row_of_a_table_takes_points_as_text(studio: RealStudio) -> None:
    params = studio.create_job("cutout", photo=studio.photos["coffee"], keep=json.dumps([[0.5, 0.5]])).params
    assert params["keep"] == [[0.5, 0.5]]


def test_what_pointing_shows_is_what_is_made_of_it(studio: RealStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, shown = studio.add_image(load_example("coffee")), []

    def note_alpha(picture: Image, alpha: Alpha) -> Image:
        shown.append(alpha)
        return picture

    monkeypatch.setattr(point_preview, "draw_chequer", note_alpha)
    studio.make("cutout", photo=photo, trim=False)
    tried: tuple[dict[str, Any], ...] = ({"drop": [[0.3, 0.75]]}, {"keep": [[0.15, 0.85]]}, {"drop": [[0.5, 0.5]]})
    for marks in tried:
        show_pointing(studio, photo=photo, **marks)
        made = studio.open_result(studio.make("cutout", photo=photo, trim=False, **marks))[..., 3]
        alpha = cv2.resize(made, shown[-1].shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        assert (np.abs(shown[-1] - alpha) > 0.3).mean() < 0.0025, "of the picture"


def test_hair_is_shown_as_it_is_kept_by_the_faces_of_the_photo(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def note_faces(image: Image, alpha: Alpha, faces: Sequence[Face] = (), doubtful: Mask | None = None) -> Alpha:
        seen.append(len(faces))
        return alpha

    monkeypatch.setattr(cutout, "refine_alpha", note_faces)
    show_pointing(studio, photo=studio.add_image(load_example("astronaut")), consent=True, drop=[[0.1, 0.1]])
    assert {*seen} == {1}, "with the mark and, where it is not known, without it"
