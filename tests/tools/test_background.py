"""Background: four scenes on one page, a source that is checked, and pixels that change only where that was asked."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.compositing.light_estimation import is_monochrome, with_photo_constraints
from pipelines.core.job import Result
from pipelines.core.rendering import Backdrop
from pipelines.imaging.color import to_linear
from pipelines.tools import background
from tests.support.examples import Recorder, load_example, make_blob, make_noise
from tests.support.fake_context import FakeContext
from tests.support.real_studio import RealStudio


def make_background(studio: RealStudio, **values: Any) -> Result:
    asked: dict[str, Any] = {"seed": 1, **values}
    return studio.make("background", **asked)


@pytest.fixture(scope="module")
def plain(studio: RealStudio, team: list[str]) -> Result:
    return make_background(studio, photo=team[0])


def list_result_names(result: Result) -> list[str]:
    return [file.name for file in result.files if file.role == "result"]


def test_a_contact_sheet_shows_four_scenes_that_are_files_as_well(studio: RealStudio, team: list[str]) -> None:
    result = make_background(studio, photo=team[0], preset="forest", contact_sheet=True)
    assert list_result_names(result) == [
        "background-contact-sheet.png",
        "background-1-forest.png",
        "background-2-park.png",
        "background-3-night.png",
        "background-4-sunset.png",
        "background-scenes.zip",
    ]
    assert len({file.pixels_sha256 for file in result.files[:5]}) == 5
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    page = studio.files.open_image(result.files[0].id)
    one = studio.files.open_image(result.files[1].id)
    quarter = cv2.resize(page, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    place = cv2.matchTemplate(quarter, cv2.resize(one, (138, 138), interpolation=cv2.INTER_AREA), cv2.TM_CCOEFF_NORMED)
    assert page.shape[1] == background.SHEET_WIDTH_PX
    assert place.max() > 0.5, "the first picture is on the page"


def test_every_scene_comes_in_layers_where_they_are_asked_for(
    studio: RealStudio, team: list[str], plain: Result
) -> None:
    result = make_background(studio, photo=team[0], preset="forest", variations=2, layers=True)
    named_layers = [(file.format, file.name) for file in result.files if file.role == "layers"]
    assert [format for format, _ in named_layers] == ["ora", "zip", "ora", "zip"]
    assert [name for _, name in named_layers][2:] == ["background-layers-2.ora", "background-layers-2.zip"]
    assert not [file for file in plain.files if file.role == "layers"]


def test_the_scenes_of_a_sheet_go_round_the_list() -> None:
    assert background.list_next_scenes("sunset") == ("sunset", "venice", "studio-grey", "spotlight")
    for preset in background.SCENES:
        if preset != "my-backdrop":
            assert len(set(background.list_next_scenes(preset))) == 4


def test_a_sheet_for_words_shows_the_closest_scenes_best_first(studio: RealStudio) -> None:
    result = make_background(studio, prompt="forest", contact_sheet=True, size=256)
    names = list_result_names(result)
    assert names[1] == "background-1-forest.png"
    assert len({name.split("-", 2)[2] for name in names[1:5]}) == 4
    assert result.receipt["scene_match"]["scene"] == "forest"
    assert any("forest" in note.lower() and "closest" in note.lower() for note in result.receipt["notices"])

    result = make_background(studio, prompt="snowy mountain village", contact_sheet=True, size=256)
    match = result.receipt["scene_match"]
    titles = [*(row["title"] for row in match["closest"]), match["title"]]
    words = [title.lower().replace(" ", "-") for title in titles]
    assert list_result_names(result)[1:5] == [f"background-{n}-{word}.png" for n, word in enumerate(words, 1)]
    assert len({file.pixels_sha256 for file in result.files[1:5]}) == 4


def test_a_sheet_for_a_colour_shows_that_paper_alone(studio: RealStudio) -> None:
    result = make_background(studio, prompt="#336699", contact_sheet=True, size=256)
    assert list_result_names(result)[1:5] == [f"background-{n}-{n}.png" for n in range(1, 5)]


def test_a_wish_without_a_scene_is_answered_with_three_that_are_here(studio: RealStudio) -> None:
    refused = make_background(studio, prompt="snowy mountain village", size=256).receipt
    match = refused["scene_match"]
    assert match["found"] is False
    assert match["scene"] == "studio-grey"
    assert len(match["closest"]) == 3
    assert all(row["title"] in refused["notices"][0] for row in match["closest"])
    made = make_background(studio, prompt="forest", size=256)
    found = made.receipt["scene_match"]
    assert (found["found"], found["scene"], found["closest"]) == (True, "forest", [])
    assert list_result_names(made) == ["background-forest-1.png"], "not after the preset, which words replace"
    assert list_result_names(make_background(studio, preset="venice", size=256)) == [""], "after the preset"


def test_a_soft_photo_is_told_and_stays_as_it_is_until_mending_is_asked_for(studio: RealStudio) -> None:
    soft = studio.add_image(np.asarray(cv2.GaussianBlur(load_example("astronaut"), (0, 0), 3), np.uint8))
    told = make_background(studio, photo=soft, size=320)
    assert any("not sharp at this size" in note for note in told.receipt["notices"])
    assert told.receipt["checks"]["core_changed_pixels"] == 0
    mended = make_background(studio, photo=soft, mend=True, size=320)
    assert any("was sharpened a little" in note for note in mended.receipt["notices"])
    assert "core_changed_pixels" not in mended.receipt["checks"], "nobody claims that these pixels are the photo's"


def test_a_mended_dim_photo_has_its_background_measured_as_mended() -> None:
    photo = make_noise(200, 200, 12, 3)
    context = FakeContext(photo, make_blob(200, 200, (100, 100), (50, 50)), seed=2)
    behind: list[int] = []
    for is_mended in (False, True):
        background.run(background.Background(photo="x", size=256, mend=is_mended), context, Recorder())
        backdrop = context.renders[-1].backdrop
        assert backdrop is not None
        assert backdrop.original_background is not None
        behind.append(backdrop.original_background[0])
    assert behind[0] == pytest.approx(12, abs=2)
    raw, mended = to_linear(np.array(behind, np.uint8))
    assert mended > 3 * raw


def test_an_upload_with_its_own_transparency_has_no_background(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Backdrop] = []

    def record(*values: Any) -> Backdrop:
        asked.append(with_photo_constraints(*values))
        return asked[-1]

    monkeypatch.setattr(background, "with_photo_constraints", record)
    subject = np.asarray(make_blob(200, 200, (100, 110), (50, 60)) > 0.5)
    photo = make_noise(200, 200, 90, 20)
    photo[~subject] = 255
    matte = np.repeat((255 * subject[..., None]).astype(np.uint8), 3, axis=2)
    make_background(studio, photo=studio.add_image(np.dstack([photo, matte[..., 0]])))
    make_background(studio, photo=studio.add_image(photo), matte=studio.add_image(matte))
    assert [each.original_background for each in asked] == [None, (255, 255, 255)]


def test_mending_leaves_a_good_photo_alone(studio: RealStudio, team: list[str], plain: Result) -> None:
    other = make_background(studio, photo=team[0], mend=True)
    assert plain.files[0].pixels_sha256 == other.files[0].pixels_sha256
    assert other.receipt["mode"] == "exact"


def test_a_cup_seen_from_above_lies_on_paper_seen_from_above(studio: RealStudio) -> None:
    cup = studio.add_image(load_example("coffee"))
    paper, place = (make_background(studio, photo=cup, preset=preset) for preset in ("studio-grey", "lobby"))
    assert not any("looks down" in note for note in paper.receipt["notices"])
    assert background.CAMERA_ABOVE_NOTICE in place.receipt["notices"]
    grey = cv2.cvtColor(studio.open_result(paper), cv2.COLOR_RGB2GRAY).astype(np.float32)
    wall, table = grey[3:20, -40:].mean(), grey[-20:-3, -40:].mean()
    assert abs(wall - table) < 14, "no bend of a wall behind what is looked down on"


def test_a_black_and_white_photo_stands_before_a_scene_without_colour(studio: RealStudio) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(load_example("astronaut"), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    matte = np.repeat(make_blob(512, 512, (220, 300), (120, 200))[..., None] * 255, 3, axis=2).astype(np.uint8)
    values = {"photo": studio.add_image(np.asarray(grey, np.uint8)), "matte": studio.add_image(matte), "consent": True}
    result = make_background(studio, preset="park", **values)
    assert is_monochrome(studio.files.open_image(result.files[0].id))
    assert not is_monochrome(load_example("astronaut"))
    coloured = make_background(studio, preset="studio-grey", colour="#1c4a80", **values)
    assert np.ptp(studio.files.open_image(coloured.files[0].id)[2, 2].astype(int)) > 30, "what was asked for is there"


def test_legs_stand_on_a_places_own_ground_and_a_pot_on_a_table(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects: list[str] = []
    draw_scenes = background._draw_scenes

    def record_subject(plan: Any, context: Any, emit: Any, size: Any, constraints: Backdrop) -> Any:
        subjects.append(constraints.subject)
        return draw_scenes(plan, context, emit, size, constraints)

    monkeypatch.setattr(background, "_draw_scenes", record_subject)
    legs, pot = np.zeros((2, 300, 300, 3), np.uint8)
    cv2.rectangle(legs, (110, 60), (190, 150), (255, 255, 255), -1)
    for left in (115, 165):
        cv2.rectangle(legs, (left, 150), (left + 20, 250), (255, 255, 255), -1)
    cv2.rectangle(pot, (100, 100), (200, 220), (255, 255, 255), -1)
    cv2.ellipse(pot, (150, 220), (50, 15), 0, 0, 180, (255, 255, 255), -1)
    for matte in (legs, pot):
        photo, matte_id = studio.add_image(make_noise(300, 300)), studio.add_image(matte)
        make_background(studio, photo=photo, matte=matte_id, preset="forest")
    assert subjects == ["any", "product"]


def test_a_thing_that_hangs_in_a_place_is_brought_down_to_its_ground(studio: RealStudio) -> None:
    matte = np.zeros((300, 300, 3), np.uint8)
    cv2.rectangle(matte, (110, 40), (190, 120), (255, 255, 255), -1)
    for left in (115, 165):
        cv2.rectangle(matte, (left, 120), (left + 20, 170), (255, 255, 255), -1)
    photo, matte_id = studio.add_image(make_noise(300, 300)), studio.add_image(matte)
    lowest = []
    for preset in ("forest", "studio-grey"):
        result = make_background(studio, photo=photo, matte=matte_id, preset=preset, size=320)
        image = studio.files.open_image(result.files[0].id).astype(int)
        # The noise of the subject is far rougher than any ground.
        lowest.append(int(np.flatnonzero(np.abs(np.diff(image[:, 110:190], axis=0)).mean(axis=(1, 2)) > 15)[-1]))
    assert lowest[0] > 0.86 * 300
    assert lowest[1] < 0.6 * 300, "paper has no horizon: there it stays"
