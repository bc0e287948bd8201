"""Business Photos: a team is one set, whoever joins later matches it, and what cannot be is said with the photo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import PIL.Image
import pytest

from pipelines.compositing.team_matching import (
    brighten_portrait,
    exposure_gain,
    measure_eye_white,
    measure_skin_lightness,
)
from pipelines.compositing.team_pages import (
    Brand,
    Label,
    draw_sheet,
    draw_speaker_card,
    parse_labels,
    secondary_text_colour,
    text_colour_on,
)
from pipelines.core.errors import StudioError
from pipelines.core.geometry import Face, Image
from pipelines.core.job import Result
from pipelines.core.stream import wait_for_result
from pipelines.core.tools import Tool
from pipelines.engines.local import LocalEngine
from pipelines.imaging.color import to_linear, to_srgb
from pipelines.imaging.text import MIN_TEXT_CONTRAST, contrast_ratio
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.jobs.queue import JobQueue
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.profiles import choose_profile
from pipelines.service.orders import StudioService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from pipelines.tools import business
from tests.support.examples import example, noisy

OWNER = "me"
GAINS = (1.0, 0.9, 1.1, 0.95)


class Room:
    """A service with one tool, and a team of four photos that differ in size, side and exposure."""

    def __init__(self, root: Any, row: Tool = business.TOOL) -> None:
        self.files, self.ingest = FileIndex(root), DecoderPool(workers=1)
        profile, device = choose_profile("embedded")
        self.cache = ModelCache(FAMILIES, CacheOptions(device=device))
        self.jobs = JobQueue(root, LocalEngine(self.cache, self.files, (row,)))
        self.service = StudioService(Settings(data=root), self.jobs, self.files, profile, self.ingest, (row,))
        woman, admiral = example("astronaut"), example("hopper")
        self.pictures = [
            woman,
            _lit(admiral, 0.9),
            _lit(np.ascontiguousarray(woman[12:, ::-1]), 1.1),
            _lit(woman, 0.95),
        ]
        self.team = [self.add(picture) for picture in self.pictures]

    def add(self, picture: Image) -> str:
        return self.files.add_image(picture, OWNER, "upload")

    def make(self, photos: list[str], **values: Any) -> Result:
        values = {"photos": photos, "consent": True, "seed": 1, "size": 512, **values}
        return wait_for_result(self.jobs.watch(self.jobs.submit(self.service.create_job("business", values, OWNER))))

    def images(self, result: Result) -> dict[str, Image]:
        """Result pictures by the word in their name."""
        found = {}
        for file in result.files:
            if file.format == "png" and file.role == "result":
                with PIL.Image.open(self.files.local_path(file.id)) as picture:
                    found[file.name.removeprefix("business-").removesuffix(".png")] = np.asarray(picture)
        return found

    def find_faces(self, image: Image) -> tuple[Face, ...]:
        with self.cache.borrow_model("face-mesh") as net:
            return net.find_faces(image)


def _lit(image: Image, gain: float) -> Image:
    return np.clip(to_srgb(to_linear(image) * np.float32(gain)) + 0.5, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("business"))
    yield room
    room.jobs.close()
    room.ingest.close()
    room.files.close()


@pytest.fixture(scope="module")
def team(room: Room) -> Result:
    return room.make(room.team, names="Ada King, Engineer\nGrace Hopper, Rear Admiral")


def test_eye_lines_of_a_team_agree_within_a_hundredth_of_the_height(room: Room, team: Result) -> None:
    portraits = [image for name, image in room.images(team).items() if name != "team-grid"]
    lines = [room.find_faces(image)[0].eye_midpoint[1] / image.shape[0] for image in portraits]
    assert len(lines) == 4
    assert max(lines) - min(lines) <= 0.01
    assert np.mean(lines) == pytest.approx(team.receipt["params"]["eyes"] / 100, abs=0.01)


@pytest.mark.parametrize(
    ("preset", "shown"), [("company-page", "company-page"), ("speaker-card", "card-1"), ("brand-wall", "1")]
)
def test_the_logo_is_seen_on_page_card_and_wall(room: Room, preset: str, shown: str) -> None:
    logo = np.zeros((40, 80, 4), np.uint8)
    logo[4:-4, 4:-4] = (255, 0, 255, 255)
    logo[12:-12, 20:-20, 3] = 0  # and seen through

    def pink(**values: Any) -> int:
        images = room.images(room.make(room.team[:1], preset=preset, **values))
        picture = next(image for name, image in images.items() if name.startswith(shown)).astype(int)
        return int(((picture[..., 0] > 180) & (picture[..., 1] < 80) & (picture[..., 2] > 180)).sum())

    assert pink() == 0
    assert pink(logo=room.add(logo)) > 200


def test_heads_have_the_stated_height_within_three_per_cent(room: Room, team: Result) -> None:
    """Measured on the finished portraits: from the chin to where the backdrop ends and the hair or the hat begins."""
    stated = team.receipt["params"]["head"] / 100
    empty = room.images(room.make(room.team[:1], setting="studio-white", head=30, layout="portraits"))["1"][2, 2]
    images = room.images(room.make(room.team, setting="studio-white", layout="portraits"))
    for image in images.values():
        face = room.find_faces(image)[0]
        x = int(face.eye_midpoint[0])
        column = np.abs(image[: int(face.eye_midpoint[1]), x - 30 : x + 30].astype(int) - empty).max(axis=2) > 40
        crown = int(np.argmax(column.mean(axis=1) > 0.2))
        assert (face.chin[1] - crown) / image.shape[0] == pytest.approx(stated, rel=0.03)


def test_no_pixel_of_anybody_changes_in_exact(team: Result) -> None:
    assert team.receipt["checks"]["core_changed_pixels"] == 0
    assert team.receipt["mode"] == "exact"


def test_faces_of_one_person_lit_differently_come_within_four_per_cent_in_relit(room: Room) -> None:
    woman = example("astronaut")
    photos = [room.add(_lit(woman, gain)) for gain in GAINS]
    spread = {}
    for light in ("exact", "relit"):
        images = room.images(room.make(photos, light=light, layout="portraits"))
        levels = [_face_light(image, room.find_faces(image)[0]) for image in images.values()]
        spread[light] = max(levels) / min(levels) - 1
    assert spread["exact"] > 0.15
    assert spread["relit"] <= 0.04


def _face_light(image: Image, face: Face) -> float:
    left, top, right, bottom = *face.landmarks.min(axis=0), *face.landmarks.max(axis=0)
    x, y = (right - left) / 4, (bottom - top) / 4
    part = image[int(top + y) : int(bottom - y), int(left + x) : int(right - x)]
    return float((to_linear(part) @ np.array([0.2126, 0.7152, 0.0722], np.float32)).mean())


@pytest.mark.parametrize("light", ["exact", "relit"])
def test_who_joins_later_is_framed_and_lit_like_the_team(room: Room, light: str) -> None:
    """The receipt of the team's run, with one photo in place of four, gives that photo's portrait to the byte."""
    first = room.make(room.team, light=light, layout="portraits")
    params = {**first.receipt["params"], "photos": [room.team[0]], "seed": first.receipt["seed"]}
    later = room.make(params.pop("photos"), **params)
    assert later.files[0].pixels_sha256 == first.files[0].pixels_sha256
    assert later.receipt["placements"][0] == first.receipt["placements"][0]


def test_one_photo_alone_is_one_portrait(room: Room) -> None:
    assert list(room.images(room.make(room.team[:1]))) == ["1"]


def test_files_are_named_after_the_people_and_come_in_one_archive(team: Result, room: Room) -> None:
    assert list(room.images(team)) == ["team-grid", "1-ada-king", "2-grace-hopper", "3", "4"]
    assert [file.name for file in team.files if file.format == "zip"] == ["business-team.zip"]


def test_a_photo_without_a_face_is_named(room: Room) -> None:
    with pytest.raises(StudioError, match="photo 2") as caught:
        room.make([room.team[0], room.add(example("coffee"))])
    assert (caught.value.code, caught.value.param) == ("no_face", "photos")


def test_a_photo_that_ends_too_soon_is_named_and_does_not_pull_in_the_others(room: Room) -> None:
    close = room.add(np.ascontiguousarray(example("astronaut")[10:200, 130:320]))
    alone, mixed = (room.make(photos, layout="portraits") for photos in ([room.team[0]], [room.team[0], close]))
    assert any("Photo 2: cropped too closely" in notice for notice in mixed.receipt["notices"])
    assert mixed.files[0].pixels_sha256 == alone.files[0].pixels_sha256


def test_no_group_where_the_light_disagrees_but_the_grid_and_the_reason(room: Room) -> None:
    result = room.make([room.team[0], room.team[2]], layout="group")
    assert "team-grid" in room.images(result)
    notices = " ".join(result.receipt["notices"])
    assert "No group picture" in notices
    assert "The light comes from" in notices


def test_a_draft_of_a_team_leaves_no_file(room: Room) -> None:
    values = {"photos": room.team[:2], "consent": True}
    job = room.service.create_job("business", values, OWNER, draft=True)
    assert wait_for_result(room.jobs.watch(room.jobs.submit(job))).files == ()


@pytest.mark.parametrize("preset", get_args(business.PresetId))
def test_every_look_makes_something_of_one_photo_and_a_name(room: Room, preset: str) -> None:
    result = room.make(room.team[:1], preset=preset, names="Ada King, Engineer", size=256)
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    assert len(room.images(result)) == 2


# ---------------------------------------------------------------- light


def test_the_whites_of_the_eyes_follow_the_lamp_and_not_the_skin(room: Room) -> None:
    woman = example("astronaut")
    face = room.find_faces(woman)[0]
    plain, dim = measure_eye_white(woman, face), measure_eye_white(_lit(woman, 0.8), face)
    assert plain is not None
    assert dim == pytest.approx(0.8 * plain, rel=0.03)
    darker = _skin_darker(woman, face)
    assert measure_skin_lightness(darker, face) < measure_skin_lightness(woman, face) - 10
    assert measure_eye_white(darker, face) == pytest.approx(plain, rel=0.03)


def _skin_darker(image: Image, face: Face) -> Image:
    """Everything but the eyes' openings at half the light."""
    dark = _lit(image, 0.5)
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
    brighter = brighten_portrait(ramp, 1.3)[0, :, 0].astype(int)
    assert (np.diff(brighter) >= 0).all()
    assert len(set(brighter[200:])) > 15
    assert (brighten_portrait(ramp, 1.0)[0, :200] == ramp[0, :200]).all()


# ---------------------------------------------------------------- sheets


def test_names_are_read_line_by_line_and_missing_ones_are_empty() -> None:
    assert parse_labels("Ada King, Engineer, Ph.D.; Grace", 3) == (
        Label("Ada King", "Engineer, Ph.D."),
        Label("Grace"),
        Label(),
    )
    assert parse_labels("a\nb\nc", 2) == (Label("a"), Label("b"))


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
    for colour in colours:
        assert (np.abs(page.astype(int) - colour).max(axis=2) <= 1).sum() > 1000


def test_the_longest_name_sets_the_size_for_all_and_nothing_leaves_its_column() -> None:
    portraits = [np.full((100, 80, 3), 90, np.uint8)] * 4
    long = "Wolfeschlegelsteinhausenbergerdorff"
    page = draw_sheet(portraits, [Label("Bo"), Label(long), Label("Al"), Label("Cy")], Brand(), 900, headed=False)
    margin = page[:, :50]
    assert (margin == margin[0, 0]).all()


def test_a_card_has_a_platforms_shape_and_carries_the_colour() -> None:
    image = draw_speaker_card(
        noisy(500, 400), Label("Ada King", "Engineer"), Brand((11, 92, 82), None, "Northwind"), 1200
    )
    assert image.shape == (627, 1200, 3)
    assert (image[300, 40] == (11, 92, 82)).all()
