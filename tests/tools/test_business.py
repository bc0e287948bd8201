"""Business Photos: a team is one set, whoever joins later matches it, and what cannot be is said with the photo."""

from __future__ import annotations

from typing import Any, get_args

import cv2
import numpy as np
import pytest

from pipelines.compositing.team_matching import (
    HIGHLIGHT_KNEE,
    exposure_gain,
    measure_eye_white,
    measure_skin_lightness,
)
from pipelines.compositing.team_pages import (
    PAPER,
    Brand,
    Label,
    draw_sheet,
    draw_speaker_card,
    parse_name_labels,
    secondary_text_colour,
    text_colour_on,
)
from pipelines.core.errors import PolicyRefusal, StudioError
from pipelines.core.geometry import Face, Image
from pipelines.core.job import Result
from pipelines.imaging.color import lift_exposure, to_linear
from pipelines.imaging.text import MIN_TEXT_CONTRAST, contrast_ratio
from pipelines.security.content_filter import INPUT_REFUSED
from pipelines.tools import business
from tests.support.examples import change_exposure, load_example, make_noise
from tests.support.fake_context import FakeContext
from tests.support.real_studio import RealStudio
from ui.i18n import is_translated


def make_business(studio: RealStudio, photos: list[str], **values: Any) -> Result:
    asked: dict[str, Any] = {"photos": photos, "consent": True, "seed": 1, **values}
    return studio.make("business", **asked)


def open_named_pictures(studio: RealStudio, result: Result) -> dict[str, Image]:
    """Result pictures by the word in their name."""
    return {
        file.name.removeprefix("business-").removesuffix(".png"): studio.open_result(result, n)
        for n, file in enumerate(result.files)
        if file.format == "png" and file.role == "result"
    }


@pytest.fixture(scope="module")
def team_result(studio: RealStudio, team: list[str]) -> Result:
    return make_business(studio, team, names="Ada King, Engineer\nGrace Hopper, Rear Admiral")


@pytest.fixture(scope="module")
def alone(studio: RealStudio, team: list[str]) -> Result:
    """One photo's portrait, which is asked for as a set of portraits."""
    return make_business(studio, team[:1], layout="portraits")


@pytest.fixture(scope="module")
def pairs(studio: RealStudio, team: list[str]) -> dict[str, Result]:
    """One person in two lights, by how they are lit."""
    return {
        light: make_business(studio, [team[0], team[3]], light=light, layout="portraits")
        for light in ("exact", "relit")
    }


@pytest.fixture(scope="module")
def looks(studio: RealStudio, team: list[str]) -> dict[str, Result]:
    """What every look makes of one photo and a name."""
    return {preset: _make_look(studio, team, preset) for preset in get_args(business.PresetId)}


def _make_look(studio: RealStudio, team: list[str], preset: str, **values: Any) -> Result:
    return make_business(studio, team[:1], preset=preset, names="Ada King, Engineer", size=256, **values)


def test_a_page_without_company_logo_or_colour_has_no_empty_head() -> None:
    portraits, labels, context = [make_noise(50, 40)] * 2, [Label("A"), Label("B")], FakeContext(make_noise(8, 8))
    bare, named = (
        business._lay_out_sheets("page", portraits, labels, brand, context).images[0]
        for brand in (Brand(), Brand(title="Harbour"))
    )
    assert (bare[:20] == PAPER).all()
    assert not (named[:20] == PAPER).all()
    assert bare.shape[0] < named.shape[0]


def test_eye_lines_of_a_team_agree_within_a_hundredth_of_the_height(studio: RealStudio, team_result: Result) -> None:
    portraits = [image for name, image in open_named_pictures(studio, team_result).items() if name != "team-grid"]
    lines = [studio.find_faces(image)[0].eye_midpoint[1] / image.shape[0] for image in portraits]
    assert len(lines) == 4
    assert max(lines) - min(lines) <= 0.01
    assert np.mean(lines) == pytest.approx(team_result.receipt["params"]["eyes"] / 100, abs=0.01)


@pytest.mark.parametrize(
    ("preset", "shown"), [("company-page", "company-page"), ("speaker-card", "card-1"), ("brand-wall", "1")]
)
def test_the_logo_is_seen_on_page_card_and_wall(
    studio: RealStudio, team: list[str], looks: dict[str, Result], preset: str, shown: str
) -> None:
    logo = np.zeros((40, 80, 4), np.uint8)
    logo[4:-4, 4:-4] = (255, 0, 255, 255)
    logo[12:-12, 20:-20, 3] = 0  # and seen through

    def count_pink(result: Result) -> int:
        images = open_named_pictures(studio, result)
        picture = next(image for name, image in images.items() if name.startswith(shown)).astype(int)
        return int(((picture[..., 0] > 180) & (picture[..., 1] < 80) & (picture[..., 2] > 180)).sum())

    assert count_pink(looks[preset]) == 0
    assert count_pink(_make_look(studio, team, preset, logo=studio.add_image(logo))) > 200


def test_heads_have_the_stated_height_within_three_per_cent(
    studio: RealStudio, team: list[str], team_result: Result
) -> None:
    """Measured on the finished portraits: from the chin to where the backdrop ends and the hair or the hat begins."""
    stated = team_result.receipt["params"]["head"] / 100
    empty = open_named_pictures(
        studio, make_business(studio, team[:1], setting="studio-white", head=30, layout="portraits")
    )["1"][2, 2]
    images = open_named_pictures(studio, make_business(studio, team, setting="studio-white", layout="portraits"))
    for image in images.values():
        face = studio.find_faces(image)[0]
        x = int(face.eye_midpoint[0])
        column = np.abs(image[: int(face.eye_midpoint[1]), x - 30 : x + 30].astype(int) - empty).max(axis=2) > 40
        crown = int(np.argmax(column.mean(axis=1) > 0.2))
        assert (face.chin[1] - crown) / image.shape[0] == pytest.approx(stated, rel=0.03)


def test_no_pixel_of_anybody_changes_in_exact(team_result: Result) -> None:
    assert team_result.receipt["checks"]["core_changed_pixels"] == 0
    assert team_result.receipt["mode"] == "exact"


def test_faces_of_one_person_lit_differently_come_within_four_per_cent_in_relit(
    studio: RealStudio, pairs: dict[str, Result]
) -> None:
    spread = {}
    for light, result in pairs.items():
        images = open_named_pictures(studio, result)
        levels = [_face_light(image, studio.find_faces(image)[0]) for image in images.values()]
        spread[light] = max(levels) / min(levels) - 1
    assert spread["exact"] > 0.15
    assert spread["relit"] <= 0.04


def _face_light(image: Image, face: Face) -> float:
    left, top, right, bottom = *face.landmarks.min(axis=0), *face.landmarks.max(axis=0)
    x, y = (right - left) / 4, (bottom - top) / 4
    part = image[int(top + y) : int(bottom - y), int(left + x) : int(right - x)]
    return float((to_linear(part) @ np.array([0.2126, 0.7152, 0.0722], np.float32)).mean())


@pytest.mark.parametrize("light", ["exact", "relit"])
def test_who_joins_later_is_framed_and_lit_like_the_team(
    studio: RealStudio, team: list[str], pairs: dict[str, Result], light: str
) -> None:
    """The receipt of the team's run, with one photo in place of all, gives that photo's portrait to the byte."""
    first = pairs[light]
    params = {**first.receipt["params"], "photos": [team[0]], "seed": first.receipt["seed"]}
    later = make_business(studio, params.pop("photos"), **params)
    assert later.files[0].pixels_sha256 == first.files[0].pixels_sha256
    assert later.receipt["placements"][0] == first.receipt["placements"][0]


def test_one_photo_alone_is_one_portrait(studio: RealStudio, team: list[str], alone: Result) -> None:
    result = make_business(studio, team[:1])
    assert list(open_named_pictures(studio, result)) == ["1"]
    assert business.ONE_PORTRAIT_NOTICE in result.receipt["notices"]
    assert business.ONE_PORTRAIT_NOTICE not in alone.receipt["notices"]


def test_files_are_named_after_the_people_and_come_in_one_archive(team_result: Result, studio: RealStudio) -> None:
    assert list(open_named_pictures(studio, team_result)) == ["team-grid", "1-ada-king", "2-grace-hopper", "3", "4"]
    assert [file.name for file in team_result.files if file.format == "zip"] == ["business-team.zip"]


def _without_face() -> Image:
    return load_example("coffee")


def _with_tiny_face() -> Image:
    return np.asarray(cv2.resize(load_example("astronaut"), (256, 256), interpolation=cv2.INTER_AREA), np.uint8)


def _with_cut_face() -> Image:
    return np.ascontiguousarray(load_example("astronaut")[:135])


@pytest.mark.parametrize(
    ("photo", "sentence"),
    [
        (_without_face(), "No face was found"),
        (_with_tiny_face(), "The face is too small: 22 pixels between the eyes"),
        (_with_cut_face(), "The photo cuts this face"),
    ],
    ids=["none", "tiny", "cut"],
)
def test_a_photo_without_a_usable_face_is_refused_and_named(
    studio: RealStudio, team: list[str], photo: Image, sentence: str
) -> None:
    with pytest.raises(StudioError, match=f"^Photo 2: {sentence}") as caught:
        make_business(studio, [team[0], studio.add_image(photo)])
    assert (caught.value.code, caught.value.param) == ("no_face", "photos")
    assert is_translated(caught.value.message)


def test_all_photos_without_a_face_are_named_at_once_before_anything_is_cut_out(
    studio: RealStudio, team: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_out: list[object] = []
    monkeypatch.setattr("pipelines.tools.business._read_member", lambda n, *_: cut_out.append(n))
    empty = studio.add_image(_without_face())
    with pytest.raises(StudioError, match=r"^Photo 1, 3: No face was found") as caught:
        make_business(studio, [empty, team[0], empty])
    assert cut_out == []
    assert (caught.value.code, caught.value.param) == ("no_face", "photos")
    assert is_translated(caught.value.message)


def test_a_photo_that_the_content_check_refuses_is_named(
    studio: RealStudio, team: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = load_example("coffee")

    def check_input(image: Image, *_: str) -> float:
        if np.array_equal(image, refused):
            raise PolicyRefusal(INPUT_REFUSED)
        return 0.0

    monkeypatch.setattr(studio.engine.resources.content_filter, "check_input", check_input)
    with pytest.raises(StudioError) as caught:
        make_business(studio, [team[0], studio.add_image(refused)])
    assert (caught.value.code, caught.value.param) == ("content_policy", "photos")
    assert caught.value.message == f"Photo 2: {INPUT_REFUSED}"


def test_a_photo_that_ends_too_soon_is_named_and_does_not_pull_in_the_others(
    studio: RealStudio, team: list[str], alone: Result
) -> None:
    close = studio.add_image(np.ascontiguousarray(load_example("astronaut")[10:200, 130:320]))
    mixed = make_business(studio, [team[0], close], layout="portraits")
    assert any("Photo 2: cropped too closely" in notice for notice in mixed.receipt["notices"])
    assert mixed.files[0].pixels_sha256 == alone.files[0].pixels_sha256


def test_no_group_where_the_light_disagrees_but_the_grid_and_the_reason(studio: RealStudio, team: list[str]) -> None:
    result = make_business(studio, [team[0], team[2]], layout="group")
    assert "team-grid" in open_named_pictures(studio, result)
    notices = " ".join(result.receipt["notices"])
    assert "No group picture" in notices
    assert "The light comes from" in notices


@pytest.mark.parametrize("count", [1, 2])
def test_a_draft_of_a_team_leaves_no_file_and_says_that_more_is_made(
    studio: RealStudio, team: list[str], count: int
) -> None:
    draft = studio.make("business", draft=True, photos=team[:count], consent=True)
    assert draft.files == ()
    assert draft.receipt.get("draft_part") == ("first" if count > 1 else None)


@pytest.mark.parametrize("preset", get_args(business.PresetId))
def test_every_look_makes_something_of_one_photo_and_a_name(
    studio: RealStudio, looks: dict[str, Result], preset: str
) -> None:
    assert looks[preset].receipt["checks"]["core_changed_pixels"] == 0
    assert len(open_named_pictures(studio, looks[preset])) == 2


# ---------------------------------------------------------------- light


def test_the_whites_of_the_eyes_follow_the_lamp_and_not_the_skin(studio: RealStudio) -> None:
    woman = load_example("astronaut")
    face = studio.find_faces(woman)[0]
    plain, dim = measure_eye_white(woman, face), measure_eye_white(change_exposure(woman, 0.8), face)
    assert plain is not None
    assert dim == pytest.approx(0.8 * plain, rel=0.03)
    darker = _skin_darker(woman, face)
    assert measure_skin_lightness(darker, face) < measure_skin_lightness(woman, face) - 10
    assert measure_eye_white(darker, face) == pytest.approx(plain, rel=0.03)


def _skin_darker(image: Image, face: Face) -> Image:
    """Everything but the eyes' openings at half the light."""
    dark = change_exposure(image, 0.5)
    for eye in ((33, 133, 159, 145), (263, 362, 386, 374)):
        (x, y), reach = face.landmarks[list(eye)].mean(axis=0), 0.3 * face.eye_distance
        rows, columns = slice(int(y - reach), int(y + reach)), slice(int(x - reach), int(x + reach))
        dark[rows, columns] = image[rows, columns]
    return dark


@pytest.mark.parametrize("skin", [25.0, 45.0, 70.0])
@pytest.mark.parametrize("target", [0.1, 0.9])
def test_nobody_is_lit_by_more_than_four_lightness(skin: float, target: float) -> None:
    gain = exposure_gain(target, 0.4, skin)
    level = ((skin + 16) / 116) ** 3
    moved = 116 * (gain * level) ** (1 / 3) - 16 - skin
    assert abs(moved) == pytest.approx(4, abs=0.05)


def test_more_light_burns_nothing_out() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    brighter = lift_exposure(ramp, 1.3, HIGHLIGHT_KNEE)[0, :, 0].astype(int)
    assert (np.diff(brighter) >= 0).all()
    assert len(set(brighter[200:])) > 15
    assert (lift_exposure(ramp, 1.0, HIGHLIGHT_KNEE)[0, :200] == ramp[0, :200]).all()


# ---------------------------------------------------------------- sheets


def test_names_are_read_line_by_line_and_missing_ones_are_empty() -> None:
    assert parse_name_labels("Ada King, Engineer, Ph.D.; Grace", 3) == (
        Label("Ada King", "Engineer, Ph.D."),
        Label("Grace"),
        Label(),
    )
    assert parse_name_labels("a\nb\nc", 2) == (Label("a"), Label("b"))


@pytest.mark.parametrize("ground", [(250, 250, 248), (11, 92, 82), (242, 193, 78), (128, 128, 128), (255, 0, 0)])
def test_every_ink_can_be_read_on_any_company_colour(ground: tuple[int, int, int]) -> None:
    assert contrast_ratio(text_colour_on(ground), ground) >= MIN_TEXT_CONTRAST
    assert contrast_ratio(secondary_text_colour(ground), ground) >= MIN_TEXT_CONTRAST


@pytest.mark.parametrize("count", range(1, 13))
def test_every_portrait_is_on_the_sheet(count: int) -> None:
    colours = [(20 * n + 10, 250 - 20 * n, 40) for n in range(count)]
    portraits = [np.full((100, 80, 3), colour, np.uint8) for colour in colours]
    page = draw_sheet(portraits, [Label("Name", "Role")] * count, Brand(), 900, headed=False)
    assert page.shape[1] == 900
    for colour in map(np.array, colours):
        assert np.count_nonzero(cv2.inRange(page, colour - 1, colour + 1)) > 1000


def test_the_longest_name_sets_the_size_for_all_and_nothing_leaves_its_column() -> None:
    portraits = [np.full((100, 80, 3), 90, np.uint8)] * 4
    long = "Wolfeschlegelsteinhausenbergerdorff"
    page = draw_sheet(portraits, [Label("Bo"), Label(long), Label("Al"), Label("Cy")], Brand(), 900, headed=False)
    margin = page[:, :50]
    assert (margin == margin[0, 0]).all()


def test_a_card_has_a_platforms_shape_and_carries_the_colour() -> None:
    image = draw_speaker_card(
        make_noise(500, 400), Label("Ada King", "Engineer"), Brand((11, 92, 82), None, "Northwind"), 1200
    )
    assert image.shape == (627, 1200, 3)
    assert (image[300, 40] == (11, 92, 82)).all()
