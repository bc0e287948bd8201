"""The real tools on real photos through the real engine: what a person would hold in their hands."""

from __future__ import annotations

import io
import json
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from pipelines.core.errors import BadInput, InvalidParams, ModelUnavailable, PolicyRefusal, StudioError
from pipelines.core.geometry import Frame, PlacedSubject
from pipelines.core.job import Result, Step
from pipelines.core.params import Subject
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool
from pipelines.framing.framings import FRAMINGS
from pipelines.framing.placement import find_bounds, frame_photo
from pipelines.framing.resample import place_subject
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.models.nets.face_mesh import FaceMesh
from pipelines.provenance.c2pa import read_receipt
from pipelines.quality.output_checks import CHECKS, CheckInput, explain_checks, run_checks
from pipelines.runtime.receipt import FACES_NOT_SEARCHED_NOTICE
from pipelines.tools import TOOLS
from tests.support.examples import load_example, make_blob, make_cutout, make_noise
from tests.support.real_studio import RealStudio
from ui.api.documentation.openapi_docs import build_examples

# Fields that keep a picture small where its size does not matter, by tool.
SMALL: dict[str, dict[str, Any]] = {
    **{tool.id: {"size": 256} for tool in TOOLS if "size" in tool.params.model_fields and tool.id != "retouch"},
    "kit": {"preset": "post"},
}


def open_matte(studio: RealStudio, result: Result) -> np.ndarray:
    matte = next(file for file in result.files if file.role == "matte")
    return studio.files.open_image(matte.id)[..., 0].astype(np.float32) / 255


@pytest.mark.parametrize(("photo", "size"), [("astronaut", 256), ("astronaut", 512), ("hopper", 720)])
def test_no_pixel_of_the_core_changes_at_any_size(studio: RealStudio, photo: str, size: int) -> None:
    result = studio.make("headshot", photo=studio.photos[photo], size=size)
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    assert result.receipt["checks"]["core_share"] >= 0.8
    assert max(result.files[0].width, result.files[0].height) == size


@pytest.mark.parametrize("tool", ["product", "background"])
def test_no_pixel_of_the_core_changes_in_any_tool(studio: RealStudio, tool: str) -> None:
    result = studio.make(tool, photo=studio.photos["coffee"])
    assert result.receipt["checks"]["core_changed_pixels"] == 0


def test_a_tampered_core_would_be_seen() -> None:
    photo, alpha = make_noise(100, 100), make_blob(100, 100, (50, 50), (30, 30))
    placed = place_subject(photo, make_cutout(photo, alpha), frame_photo(alpha, (100, 100), Subject(photo="x")))
    image = placed.colour.copy()
    image[50, 50] ^= 1
    checks = run_checks(CheckInput(image, ToolOutput(images=(image,), source=placed), photo))
    assert checks["core_changed_pixels"] == 1


def test_the_contrast_of_an_outline_is_that_of_the_greys_beside_it() -> None:
    alpha = make_blob(200, 200, (100, 100), (60, 60))
    frame = Frame(np.eye(2, 3), (200, 200), 1.0, 0.0, True, (0, 0, 200, 200))
    for inside, outside, steps in ((119, 255, 50.0), (0, 119, 50.0), (119, 119, 0.0)):  # 119 is L* 50
        image = np.where(alpha[..., None] > 0.5, inside, outside).astype(np.uint8).repeat(3, axis=2)
        checks = run_checks(
            CheckInput(image, ToolOutput((image,), source=PlacedSubject(image, alpha, frame), exact=False), image)
        )
        assert checks["outline_contrast"] == pytest.approx(steps, abs=0.2)
        assert f"by {checks['outline_contrast']:.0f} of 100" in explain_checks(checks)["outline_contrast"]


def test_an_outline_shows_as_much_as_the_colours_beside_it_differ_and_a_cut_by_the_frame_is_none() -> None:
    alpha = np.maximum(make_blob(200, 200, (100, 100), (60, 60)), np.indices((200, 200))[0] > 150).astype(np.float32)
    frame = Frame(np.eye(2, 3), (200, 200), 1.0, 0.0, True, (0, 0, 200, 200))
    # CIE76 by hand: L* 50 to 100; pure red (53.2, 80.1, 67.2) to that grey; and the same grey.
    for inside, outside, apart in (
        ((119,) * 3, (255,) * 3, 50.0),
        ((255, 0, 0), (119,) * 3, 104.6),
        ((9,) * 3,) * 2 + (0.0,),
    ):
        image = np.where(alpha[..., None] > 0.5, inside, outside).astype(np.uint8)
        checks = run_checks(
            CheckInput(image, ToolOutput((image,), source=PlacedSubject(image, alpha, frame), exact=False), image)
        )
        assert checks["outline_delta_e"] == pytest.approx(apart, abs=1.0)
    image = np.full((200, 200, 3), 200, np.uint8)
    whole = PlacedSubject(image, np.ones((200, 200), np.float32), frame)
    assert run_checks(CheckInput(image, ToolOutput((image,), source=whole, exact=False), image))["outline_delta_e"] == 0


def test_every_number_of_a_check_is_explained_in_one_sentence(studio: RealStudio) -> None:
    told = explain_checks({check.id: 0.5 for check in CHECKS})
    assert all(sentence.endswith(".") and sentence.count(". ") == 0 for sentence in told.values())
    assert len(set(told.values())) == len(CHECKS)
    receipt = studio.make("headshot", photo=studio.photos["hopper"], size=256).receipt
    assert receipt["explained"].keys() == receipt["checks"].keys() - {"content_score"}
    assert receipt["explained"]["core_changed_pixels"].startswith("Inside what was cut out 0 pixels differ")


def test_a_protected_face_is_enlarged_more_plainly_and_nothing_else_is_touched(studio: RealStudio) -> None:
    small = np.asarray(cv2.resize(load_example("astronaut")[30:230, 130:330], (120, 120)), np.uint8)
    photo = studio.add_image(small)
    safe, free = (
        studio.open_result(studio.make("upscale", photo=photo, consent=True, protect_faces=protect)).astype(float)
        for protect in (True, False)
    )
    plain = cv2.resize(small, (240, 240), interpolation=cv2.INTER_CUBIC)
    with ModelCache(FAMILIES).borrow_model("face-mesh") as net:
        points = 2 * net.find_faces(small)[0].landmarks
    (left, top), (right, bottom) = points.min(axis=0).astype(int), points.max(axis=0).astype(int)
    across, down = (right - left) // 3, (bottom - top) // 3
    middle = np.s_[top + down : bottom - down, left + across : right - across]
    assert np.abs(free - plain)[middle].mean() > 1
    assert np.abs(safe - plain)[middle].mean() < 0.7 * np.abs(free - plain)[middle].mean()
    assert (safe[:, -12:] == free[:, -12:]).all()


@pytest.mark.parametrize("photo", ["astronaut", "hopper"])
@pytest.mark.parametrize("row", FRAMINGS, ids=lambda row: row.id)
def test_examples_meet_the_table_or_say_that_the_photo_ends(studio: RealStudio, photo: str, row: Any) -> None:
    result = studio.make("headshot", photo=studio.photos[photo], framing=row.id, size=256)
    alpha = open_matte(studio, result)
    notices = " ".join(result.receipt["notices"])
    box = result.receipt["placement"]["box"]
    # Where the photo's lower border cuts the body, that border lies on or under the frame's.
    assert box[3] >= alpha.shape[0] - 0.5
    top = find_bounds(alpha)[1] / alpha.shape[0]
    assert top >= 0.01, "the crown is in the picture"
    assert ("closer" in notices) or top == pytest.approx(row.eyes - _crown_over_eyes(photo, row.head), abs=0.05)


def _crown_over_eyes(photo: str, head: float) -> float:
    """Share of the height between crown and eyes; measured on the photos: hats and hair stand higher."""
    return head * {"astronaut": 0.56, "hopper": 0.62}[photo]


def test_same_params_and_seed_give_the_same_pixels(studio: RealStudio) -> None:
    one, two = (
        studio.make("headshot", photo=studio.photos["hopper"], preset="park", seed=11, size=256).files[0]
        for _ in range(2)
    )
    assert one.pixels_sha256 == two.pixels_sha256


def test_variations_differ_and_each_is_a_file(studio: RealStudio) -> None:
    result = studio.make("headshot", photo=studio.photos["hopper"], preset="lobby", variations=4, size=256)
    results = [file for file in result.files if file.role == "result"]
    assert len({file.pixels_sha256 for file in results}) == 4


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif"])
def test_every_file_says_what_it_is(studio: RealStudio, format: str) -> None:
    result = studio.make("headshot", photo=studio.photos["hopper"], format=format, size=256, seed=3)
    inside = read_receipt(studio.files.local_path(result.files[0].id).read_bytes())
    assert inside is not None
    assert (inside["tool"], inside["seed"]) == ("headshot", 3)
    assert inside["inputs"] == [
        {"param": "photo", "id": studio.photos["hopper"], "sha256": inside["inputs"][0]["sha256"]}
    ]
    assert any("is compressed" in notice for notice in result.receipt["notices"]) == (format != "png")


def test_what_was_written_as_avif_is_taken_as_a_photo(studio: RealStudio) -> None:
    made = studio.make("headshot", photo=studio.photos["hopper"], format="avif", size=256, seed=3).files[0]
    again = studio.make("style", photo=made.id, preset="halftone", format="avif", size=256).files[0]
    assert studio.files.open_image(again.id).shape == (made.height, made.width, 3)


@pytest.mark.usefixtures("repeated_pixels", "content_filter")
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_the_least_that_the_documentation_sends_makes_a_picture_and_says_of_what_it_is_a_part(
    studio: RealStudio, tool: Tool
) -> None:
    least = build_examples(tool, studio.service)["least"]["value"]
    order = studio.service.create_job(tool.id, least, studio.owner, draft=True)
    *events, result = studio.jobs.submit_and_watch(order)
    assert "Draft" in [event.stage for event in events if isinstance(event, Step)]
    assert isinstance(result, Result)
    parts = {"upscale": "middle", "kit": "first", "business": "first"}
    assert result.receipt.get("draft_part") == parts.get(tool.id)


# Where a tool draws words in one layout alone.
WITH_WORDS: dict[str, dict[str, Any]] = {"character": {"layout": "sheet", "art": "notionists"}}


def list_drawn_fields(tool: Tool) -> tuple[str, ...]:
    """The fields of a tool whose words stand in the picture."""
    return tuple(name for name in tool.params.model_fields if tool.params.schema_extra(name).get("x-drawn"))


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if list_drawn_fields(tool)], ids=lambda tool: tool.id)
def test_words_that_stand_in_the_picture_name_their_font(studio: RealStudio, tool: Tool) -> None:
    words: dict[str, Any] = dict.fromkeys(list_drawn_fields(tool), "Ana Lim")
    least = build_examples(tool, studio.service)["least"]["value"]
    result = studio.make(tool.id, **least | SMALL.get(tool.id, {}) | WITH_WORDS.get(tool.id, {}) | words)
    assert "font" in {asset["kind"] for asset in result.receipt["assets"]}


@pytest.fixture(scope="module")
def cup_on_oak(studio: RealStudio) -> Result:
    return studio.make("product", photo=studio.photos["coffee"], preset="oak", size=400)


def test_the_receipt_replays_the_picture(studio: RealStudio, cup_on_oak: Result) -> None:
    params = {**cup_on_oak.receipt["params"], "seed": cup_on_oak.receipt["seed"]}
    assert studio.make("product", **params).files[0].pixels_sha256 == cup_on_oak.files[0].pixels_sha256


def test_amazon_is_pure_white_outside_the_matte_and_fills_the_frame(studio: RealStudio) -> None:
    result = studio.make("product", photo=studio.photos["coffee"], preset="amazon", size=400)
    image, alpha = studio.open_result(result), open_matte(studio, result)
    assert (image[alpha < 1 / 255] == 255).all()
    left, top, right, bottom = find_bounds(alpha)
    assert max(right - left, bottom - top) / 400 >= 0.85


def test_transparent_is_the_subject_and_nothing_else(studio: RealStudio) -> None:
    image = studio.open_result(studio.make("product", photo=studio.photos["coffee"], preset="transparent"))
    assert image.shape[2] == 4
    assert image[..., 3].min() == 0
    assert image[..., 3].max() == 255


def test_a_product_stands_on_its_ground(studio: RealStudio, cup_on_oak: Result) -> None:
    values = {"preset": "oak", "size": 400, "seed": cup_on_oak.receipt["seed"], "shadow": "none"}
    bare = studio.make("product", photo=studio.photos["coffee"], **values)
    alpha = open_matte(studio, cup_on_oak)
    bottom = find_bounds(alpha)[3]
    dark = (
        studio.open_result(bare)[bottom - 2 : bottom + 6].astype(float)
        - studio.open_result(cup_on_oak)[bottom - 2 : bottom + 6]
    )
    assert dark.max() > 25


def test_without_a_photo_only_the_scene_is_drawn(studio: RealStudio) -> None:
    result = studio.make("background", prompt="forest", size=320)
    assert [file.role for file in result.files] == ["result"]
    assert studio.open_result(result).shape == (320, 320, 3)


def test_a_photo_in_its_own_shape_keeps_every_byte_of_the_core(studio: RealStudio) -> None:
    result = studio.make("background", photo=studio.photos["astronaut"], preset="forest", size=512)
    assert result.receipt["placement"]["resampling"] == "none"
    assert result.receipt["checks"]["core_changed_pixels"] == 0


def test_a_draft_is_a_picture_within_the_stream_and_leaves_no_file(studio: RealStudio) -> None:
    job = studio.create_job("headshot", draft=True, **{"photo": studio.photos["hopper"]})
    events = list(studio.jobs.submit_and_watch(job))
    last = [event for event in events if isinstance(event, Step)][-1]
    assert last.preview is not None
    with PIL.Image.open(io.BytesIO(last.preview)) as picture:
        assert max(picture.size) == 512
    assert isinstance(events[-1], Result)
    assert events[-1].files == ()


def test_nothing_but_json_is_in_a_job(studio: RealStudio) -> None:
    job = studio.service.create_job("product", {"photo": studio.photos["coffee"]}, studio.owner)
    assert type(job).model_validate_json(json.dumps(job.model_dump())) == job


# ---------------------------------------------------------------- bad input


def test_ones_own_photo_needs_consent_and_an_example_does_not(studio: RealStudio) -> None:
    mine = studio.files.add_image(make_noise(300, 300), studio.owner, "upload")
    with pytest.raises(PolicyRefusal) as caught:
        studio.service.create_job("headshot", {"photo": mine}, studio.owner)
    assert (caught.value.code, caught.value.param) == ("consent_required", "consent")
    assert studio.service.create_job("headshot", {"photo": mine, "consent": True}, studio.owner).consent is not None
    assert studio.service.create_job("headshot", {"photo": studio.photos["hopper"]}, studio.owner).consent is None


def add_unknown_portrait(studio: RealStudio, side: int) -> str:
    """A portrait that is no example: one of ours, turned around. Faces that were found with consent are kept."""
    photo = PIL.Image.fromarray(studio.files.open_image(studio.photos["hopper"])[:, ::-1, :3])
    photo.thumbnail((side, side))
    return studio.files.add_image(np.asarray(photo), studio.owner, "upload")


@pytest.mark.usefixtures("repeated_pixels")
@pytest.mark.parametrize("tool", [row.id for row in TOOLS if not row.person])
def test_no_tool_looks_for_a_face_in_ones_own_photo_before_consent(
    studio: RealStudio, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(FaceMesh, "find_faces", lambda *_: looked.append(1) or ())
    values: dict[str, Any] = {"preset": "scene", "ratio": "4:5"} if tool == "expand" else SMALL.get(tool, {})
    try:
        studio.make(tool, photo=add_unknown_portrait(studio, 160), **values)
    except BadInput:
        assert tool in ("expand", "retouch"), "a portrait fills its frame; they say so once it is cut out"
    assert looked == []


@pytest.mark.parametrize(("tool", "values"), [("background", {"contact_sheet": True}), ("product", {"variations": 2})])
def test_a_draft_of_several_pictures_says_that_it_is_the_first(
    studio: RealStudio, tool: str, values: dict[str, Any]
) -> None:
    photo = studio.add_image(load_example("coffee"))
    assert studio.make(tool, draft=True, photo=photo, **values).receipt["draft_part"] == "first"


@pytest.mark.usefixtures("repeated_pixels")
@pytest.mark.parametrize("tool", ["upscale", "style", "kit", "background"])
def test_with_consent_faces_are_looked_for_and_without_it_is_said_that_they_were_not(
    studio: RealStudio, tool: str
) -> None:
    photo, small = add_unknown_portrait(studio, 160), SMALL.get(tool, {})
    without, agreed = studio.make(tool, photo=photo, **small), studio.make(tool, photo=photo, consent=True, **small)
    assert FACES_NOT_SEARCHED_NOTICE in without.receipt["notices"]
    assert "faces" not in without.receipt
    assert agreed.receipt["faces"] == 1
    assert agreed.receipt["consent"] is not None
    assert FACES_NOT_SEARCHED_NOTICE not in agreed.receipt["notices"]
    again = studio.make(tool, photo=photo, **small).receipt
    assert again.get("faces") is None, "nor is what was found with consent used without"


def test_the_face_lock_is_drawn_anew_once_there_is_consent(studio: RealStudio) -> None:
    photo = add_unknown_portrait(studio, 256)
    pictures = [
        studio.open_result(studio.make("style", photo=photo, preset="halftone", size=256, seed=3, **agreed))
        for agreed in ({}, {"consent": True})
    ]
    assert (pictures[0] != pictures[1]).any()


def test_a_style_taken_from_a_picture_is_not_named_after_the_preset(studio: RealStudio) -> None:
    photo = studio.photos["coffee"]
    made = studio.make("style", photo=photo, reference=photo, size=256, seed=1)
    assert [file.name for file in made.files] == ["style-reference-1.png"]


def test_no_face_is_a_sentence_beside_the_photo(studio: RealStudio) -> None:
    with pytest.raises(StudioError) as caught:
        studio.make("headshot", photo=studio.photos["coffee"])
    assert (caught.value.code, caught.value.param) == ("no_face", "photo")


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({}, "photo"),
        ({"photo": "file-x", "size": 5000}, "size"),
        ({"photo": "file-x", "size": float("nan")}, "size"),
        ({"photo": "file-x", "preset": "nonsense"}, "preset"),
        ({"photo": "file-x", "colour": "red"}, "colour"),
        ({"photo": "file-x", "seed": 2**32}, "seed"),
        ({"photo": "file-x", "unheard": 1}, None),
        ({"photo": "file-x", "background": "x" * 401}, "background"),
    ],
)
def test_a_value_out_of_bounds_names_its_field(studio: RealStudio, values: dict[str, Any], param: str | None) -> None:
    with pytest.raises(InvalidParams) as caught:
        studio.service.create_job("headshot", values, studio.owner)
    assert (caught.value.param, caught.value.status) == (param, 422)


def test_a_field_that_a_tool_does_not_have_lists_those_it_has(studio: RealStudio) -> None:
    with pytest.raises(InvalidParams, match=r"Its fields: photo, .*preset") as caught:
        studio.service.create_job("product", {"photo": "file-x", "colours": "oak"}, studio.owner)
    assert "colours" not in caught.value.message, "what was sent is not repeated"


def test_someone_elses_picture_is_no_picture(studio: RealStudio) -> None:
    theirs = studio.files.add_image(make_noise(64, 64, seed=9), "somebody", "upload")
    with pytest.raises(BadInput) as caught:
        studio.service.create_job("product", {"photo": theirs}, studio.owner)
    assert caught.value.param == "photo"


@pytest.mark.parametrize("row", TOOLS, ids=lambda row: row.id)
def test_every_field_declares_a_kind_a_label_and_help(row: Any) -> None:
    for name, field in row.params.model_fields.items():
        assert row.params.kind_of(name)
        assert field.title
        assert field.description


def test_a_profile_without_a_verb_says_so(studio: RealStudio) -> None:
    job = studio.service.create_job("background", {"prompt": "forest", "size": 256}, studio.owner)
    with pytest.raises(ModelUnavailable):
        studio.run_job(job.model_copy(update={"specs": {"matte": "u2netp"}}))
