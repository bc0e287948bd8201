"""Headshots: the best of several photos, one crop through a set, and what a model would have to draw."""

from __future__ import annotations

import zipfile
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from pipelines.codecs.containers import Layer, merge_layers
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Face
from pipelines.core.job import ProgressCallback, Result
from pipelines.core.rendering import RenderedImages, RenderRequest, ToolOutput
from pipelines.matting.cutout import core_mask
from pipelines.tools import headshot
from pipelines.tools.shared import dressing
from tests.support.examples import Recorder, load_example, make_blob, make_noise
from tests.support.fake_context import FakeContext
from tests.support.real_studio import RealStudio


def make_headshot(studio: RealStudio, photo: str, **values: Any) -> Result:
    asked: dict[str, Any] = {"photo": photo, "consent": True, "seed": 1, **values}
    return studio.make("headshot", **asked)


@pytest.fixture(scope="module")
def man(studio: RealStudio) -> Result:
    """The portrait of a photo that ends nowhere near the head."""
    return make_headshot(studio, studio.add_image(load_example("hopper")))


def test_the_sharp_photo_is_taken_and_the_receipt_replays_it_alone(studio: RealStudio) -> None:
    woman = load_example("astronaut")
    blurred = studio.add_image(np.asarray(cv2.GaussianBlur(woman, (0, 0), 3), np.uint8))
    sharp = studio.add_image(woman)
    chosen, alone = make_headshot(studio, blurred, photos=[sharp]), make_headshot(studio, sharp)
    assert chosen.files[0].pixels_sha256 == alone.files[0].pixels_sha256
    assert chosen.receipt["params"] == alone.receipt["params"]
    assert [row["id"] for row in chosen.receipt["inputs"]] == [sharp]
    assert chosen.receipt["checks"]["core_changed_pixels"] == 0
    told = " ".join(chosen.receipt["notices"])
    assert "Taken: photo 2" in told
    assert "photo 1" in told
    assert "not sharp" in told


def test_relit_tells_how_far_skin_and_face_moved(studio: RealStudio, team: list[str]) -> None:
    checks = make_headshot(studio, team[0], light="relit", preset="park").receipt["checks"]
    assert 0 < checks["skin_delta_e"] < 5
    assert checks["face_geometry_percent"] < 3
    assert "skin_delta_e" not in make_headshot(studio, team[0]).receipt["checks"]


def test_a_relit_set_has_one_light(studio: RealStudio, team: list[str]) -> None:
    result = make_headshot(studio, team[0], light="relit", looks="four", size=256)
    shown = [
        studio.files.open_image(file.id) for file in result.files if file.role == "result" and file.format == "png"
    ]
    matte = next(file for file in result.files if file.role == "matte")
    core = core_mask(np.asarray(studio.files.open_image(matte.id)[..., 0] / 255, np.float32))
    assert len(shown) == 4
    assert all((image[core] == shown[0][core]).all() for image in shown[1:])
    assert result.receipt["checks"]["skin_delta_e"] > 0


def test_layers_come_with_the_pictures_that_were_composed(studio: RealStudio, team: list[str]) -> None:
    result = make_headshot(studio, team[0], layers=True, preset="black-and-white")
    files = [file for file in result.files if file.role == "layers"]
    assert [file.format for file in files] == ["ora", "zip"]
    with zipfile.ZipFile(studio.files.local_path(files[1].id)) as packed:
        rows = [
            Layer(name, np.asarray(PIL.Image.open(packed.open(name)).convert("RGBA")))
            for name in sorted(packed.namelist())
            if name.endswith(".png")
        ]
    assert len(rows) == 3
    laid, picture = merge_layers(rows), studio.files.open_image(result.files[0].id)
    assert np.abs(laid.astype(int) - picture).max() <= 1
    assert (laid[..., 0] == laid[..., 2]).all(), "black and white in every layer"


def test_a_zoom_out_stops_where_the_photo_cuts_the_body_and_says_so(studio: RealStudio, team: list[str]) -> None:
    made = make_headshot(studio, team[1], framing="wide")
    receipt = made.receipt
    assert any("the photo ends there" in notice for notice in receipt["notices"])
    assert receipt["placement"]["box"][3] >= 0.66 * made.files[0].height


def test_a_photo_that_cuts_the_head_is_a_doubt_in_the_receipt(studio: RealStudio, man: Result) -> None:
    receipt = make_headshot(studio, studio.add_image(load_example("hopper")[60:])).receipt
    told = "The photo cuts the top of the head. Use a photo with more room around it."
    assert told in receipt["framing_doubts"]
    assert told in receipt["notices"]
    assert "framing_doubts" not in man.receipt


def test_a_photo_with_too_few_pixels_is_told_by_the_receipt(studio: RealStudio, man: Result) -> None:
    large = make_headshot(studio, studio.add_image(load_example("hopper")), size=1024)
    for receipt, is_told in ((man.receipt, False), (large.receipt, True)):
        assert receipt["placement"]["enlarged_too_far"] == is_told
        assert any(notice.startswith("Enlarged ") for notice in receipt["notices"]) == is_told


def test_without_an_edit_model_expression_and_outfit_are_refused_by_name(studio: RealStudio, team: list[str]) -> None:
    for name in ("expression", "outfit"):
        with pytest.raises(ModelUnavailable) as caught:
            make_headshot(studio, team[0], **{name: "a calm smile"})
        assert caught.value.param == name


# ---------------------------------------------------------------- with a fake context


class PortraitContext(FakeContext):
    """A person in front of noise, and a model that paints each picture in another grey."""

    def __init__(self) -> None:
        alpha = make_blob(500, 400, (200, 150), (60, 80))
        alpha[220:, 60:340] = 1
        points = np.array([200, 150]) + np.random.default_rng(0).normal(0, 20, (468, 2))
        points[234], points[454], points[10] = (150, 150), (250, 150), (200, 95)
        face = Face(points.astype(np.float32), (150, 60, 250, 230), (178, 140), (222, 140), (200, 215), 0.0, 1.0)
        super().__init__(make_noise(500, 400, 120, 14), alpha, (face,), seed=3)

    def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
        self.renders.append(render)
        return self.paint(render, {"inpaint": 200, "edit": 90}.get(render.verb, 60 + 12 * len(self.renders)))


def run_headshot(context: FakeContext, **values: Any) -> ToolOutput:
    asked: dict[str, Any] = {"photo": "x", "size": 320, **values}
    return headshot.run(headshot.Headshot(**asked), context, Recorder())


@pytest.mark.parametrize(("looks", "count"), [("four", 4), ("all", 11)])
def test_a_set_is_one_crop_of_one_person_before_other_scenes(looks: str, count: int) -> None:
    draft = run_headshot(PortraitContext(), looks=looks)
    assert len(draft.images) == len(set(draft.names)) == count
    assert draft.names[0] == "linkedin"
    assert draft.source is not None
    core = core_mask(draft.source.alpha)
    assert all((image[core] == draft.images[0][core]).all() for image in draft.images)
    assert len({image[2, 2].tobytes() for image in draft.images}) > 1
    assert draft.exact


def test_the_chosen_look_comes_first_and_once() -> None:
    assert run_headshot(PortraitContext(), looks="four", preset="lobby").names == (
        "lobby",
        "linkedin",
        "corporate-grey",
        "executive-dark",
    )


def test_one_look_asks_for_its_variations_in_one_call() -> None:
    context = PortraitContext()
    assert len(run_headshot(context, variations=3).images) == 3
    assert [len(render.seeds) for render in context.renders] == [3]


@pytest.mark.parametrize("preset", ["linkedin", "nude-tones"])
def test_what_a_model_draws_on_a_person_is_dressed_and_told(preset: str) -> None:
    context = PortraitContext()
    draft = run_headshot(context, preset=preset, outfit="a beige blazer", expression="a calm smile")
    (edit,) = (render for render in context.renders if render.verb == "edit")
    assert headshot.DRESSED_PROMPT in edit.prompt
    assert "a beige blazer" in edit.prompt
    assert "a calm smile" in edit.prompt
    assert not any("nude" in render.prompt.lower() for render in context.renders)
    assert (draft.exact, draft.alphas) == (False, ())
    assert any("the receipt says how far" in notice for notice in draft.notices)


def test_an_outfit_alone_keeps_the_head_or_says_that_it_could_not() -> None:
    context = PortraitContext()
    draft = run_headshot(context, outfit="a beige blazer")
    (edit,) = (render for render in context.renders if render.verb == "edit")
    assert edit.preserved_mask is not None
    assert edit.preserved_mask.shape == draft.images[0].shape[:2]
    assert 0 < edit.preserved_mask.mean() < 0.3
    assert dressing.HEAD_LOST_NOTICE in draft.notices, "one grey has no head"
    smiling = PortraitContext()
    notices = run_headshot(smiling, expression="a calm smile").notices
    assert smiling.renders[-1].preserved_mask is None
    assert not {dressing.HEAD_LOST_NOTICE, dressing.HEAD_KEPT_NOTICE} & set(notices)


def test_nothing_is_drawn_on_a_person_who_did_not_ask() -> None:
    context = PortraitContext()
    assert run_headshot(context).exact
    assert {render.verb for render in context.renders} == {"backdrop"}


def test_a_zoom_out_completes_the_frame_around_pixels_that_stay() -> None:
    context = PortraitContext()
    close, whole = run_headshot(context, framing="wide"), run_headshot(context, framing="wide", zoom_out=True)
    (render,) = (each for each in context.renders if each.verb == "inpaint")
    assert close.source is not None
    assert whole.source is not None
    assert whole.source.frame.scale < close.source.frame.scale
    assert whole.source.frame.box[3] < whole.source.frame.size[1] - 10, "the photo ends inside the frame"
    core, image, mask = core_mask(whole.source.alpha), whole.images[0], render.mask
    assert mask is not None
    assert (image[core] == whole.source.colour[core]).all()
    assert (image[mask > 0.5] == 200).mean() > 0.6, "but for the seam"
    assert not core[mask > 0.5].any()
    assert mask[-5:].all()
    assert headshot.DRESSED_PROMPT in render.prompt
    assert any("drawn by a model" in notice for notice in whole.notices)


def test_nothing_is_completed_where_the_photo_fills_the_frame() -> None:
    context = PortraitContext()
    draft = run_headshot(context, framing="tight", zoom_out=True)
    assert not any("drawn by a model" in notice for notice in draft.notices)
    assert {render.verb for render in context.renders} == {"backdrop"}
