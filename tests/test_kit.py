"""Every format in its own size; nothing that must stay whole is cut; words and logo can be read."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipelines.parts.crop import Keep, cropped, kept, moved, window
from pipelines.parts.lettering import (
    CONTRAST,
    FONTS,
    Box,
    badge,
    contrast,
    contrast_on,
    fitted,
    laid,
    made_legible,
    write,
)
from pipelines.tools import kit
from pipelines.types import BadInput, Cutout, Face, Image
from tests.watching import Recorder, noisy


@pytest.mark.parametrize("shape", [(400, 600), (600, 400), (500, 500)])
@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.0, 1.9, 4.0])
def test_a_crop_holds_all_that_must_stay_whole_or_there_is_none(shape: tuple[int, int], ratio: float) -> None:
    rng = np.random.default_rng(round(ratio * 10))
    for _ in range(40):
        x, y = np.sort(rng.uniform(0, shape[1], 2)), np.sort(rng.uniform(0, shape[0], 2))
        keep = Keep(x[0], y[0], x[1], y[1], face=bool(rng.integers(2)))
        box = window(shape, keep, ratio, aside=rng.uniform(-0.3, 0.3))
        if box is None:
            width = min(shape[1], int(shape[0] * ratio))
            assert keep.width > width or keep.height > min(shape[0], round(width / ratio))
            continue
        left, top, right, bottom = box
        assert 0 <= left < right <= shape[1]
        assert 0 <= top < bottom <= shape[0]
        assert (right - left) / (bottom - top) == pytest.approx(ratio, rel=0.02)
        assert left <= keep.left + 1
        assert top <= keep.top + 1
        assert right >= keep.right - 1
        assert bottom >= keep.bottom - 1


def test_what_is_kept_moves_with_its_crop() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[40:60, 90:110] = 255
    box = window(image.shape, Keep(90, 40, 110, 60), 1.0)
    assert box is not None
    out = cropped(image, box, (300, 300))
    keep = moved(Keep(90, 40, 110, 60), box, (300, 300))
    assert out[int(keep.top) + 3 : int(keep.bottom) - 3, int(keep.left) + 3 : int(keep.right) - 3].min() > 200


# ---------------------------------------------------------------- words


def test_contrast_is_wcags() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("level", range(0, 256, 17))
def test_there_is_a_legible_ink_for_every_colour(level: int) -> None:
    for ground in ((level, level, level), (level, 90, 200), (255 - level, level, 30)):
        sheet = np.full((30, 40, 3), ground, np.uint8)
        assert contrast(made_legible(sheet, Box(5, 5, 20, 10)), ground) >= CONTRAST
        assert (sheet == ground).all(), "a plain colour needs no shade"


@pytest.mark.parametrize("seed", range(6))
def test_words_on_any_picture_reach_the_contrast_and_shade_only_where_it_is_needed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.asarray(rng.integers(0, 256, (12, 16, 3), np.uint8).repeat(20, axis=0).repeat(20, axis=1))
    before, box = image.copy(), Box(60, 150, 200, 60)
    ink = made_legible(image, box)
    assert contrast_on(ink, box.of(image)) >= CONTRAST
    assert (image[:60] == before[:60]).all()
    plain = np.full((100, 100, 3), 20, np.uint8)
    made_legible(plain, Box(10, 10, 50, 20))
    assert (plain == 20).all(), "black needs no shade under white words"


@pytest.mark.parametrize(
    "text", ["Hello", "One two three four five six seven eight nine ten", "Größe, façade, Привет, Ωμέγα"]
)
def test_words_stay_in_their_box(text: str) -> None:
    made = fitted(text, 220, 120, 80)
    assert made.width <= 220
    assert made.height <= 120
    image, box = np.zeros((200, 300, 3), np.uint8), Box(40, 30, 220, 120)
    write(image, made, box, (255, 255, 255), "centre")
    outside = image.copy()
    box.of(outside)[...] = 0
    assert image.any()
    assert not outside.any()


def test_the_font_comes_with_its_licence() -> None:
    assert "SIL Open Font License" in (FONTS / "LICENSE").read_text("utf-8")


def test_a_logo_lies_in_its_box_with_its_transparency_and_on_a_plate_where_it_would_vanish() -> None:
    layer = np.zeros((20, 40, 4), np.uint8)
    layer[5:15, 5:35] = (10, 10, 10, 255)
    light, dark, box = np.full((80, 120, 3), 250, np.uint8), np.full((80, 120, 3), 12, np.uint8), Box(30, 20, 40, 20)
    laid(light, layer, box)
    assert (light[box.y, box.x] == 250).all()
    assert light[30, 50, 0] < 20
    badge(dark, layer, box)
    assert dark[box.y, box.x, 0] == 255


# ---------------------------------------------------------------- the tool


def face(x: float, y: float, half: float) -> Face:
    box = x - half, y - half, x + half, y + half
    return Face(np.zeros((468, 2), np.float32), box, (x - 5, y), (x + 5, y), (x, y), 0.0, 1.0)


class Room:
    """A photo with a red square as its face or product; the logo is blue."""

    seed, draft = 1, False

    def __init__(self, *, head: bool, at: tuple[int, int] = (400, 130), half: int = 60) -> None:
        self.image = noisy(400, 600, 90, 20)
        x, y = at
        self.image[y - half : y + half, x - half : x + half] = (255, 0, 0)
        self.found = (face(x, y, half),) if head else ()
        self.alpha = (self.image == (255, 0, 0)).all(axis=-1).astype(np.float32)

    def open(self, _: str) -> Image:
        return self.image

    def faces(self, _: str) -> tuple[Face, ...]:
        return self.found

    def cutout(self, *_) -> Cutout:
        if not self.alpha.any():
            raise BadInput("Nothing.", code="no_subject")
        return Cutout(self.image, self.alpha)

    def layer(self, _: str) -> Image:
        return np.full((40, 80, 4), (0, 0, 255, 255), np.uint8)


def make(room: Room, **values):
    return kit.run(kit.Kit(photo="x", **values), room, Recorder())  # pyright: ignore[reportArgumentType]


def red(image: Image) -> np.ndarray:
    return (image[..., 0] > 200) & (image[..., 1] < 60) & (image[..., 2] < 60)


@pytest.mark.parametrize("headline", ["", "A few good words"])
@pytest.mark.parametrize("room", [Room(head=True), Room(head=False), Room(head=False, at=(300, 200), half=170)],
                         ids=["face", "product", "large"])  # fmt: skip
def test_all_formats_come_in_their_sizes_and_cut_nothing(room: Room, headline: str) -> None:
    draft = make(room, headline=headline)
    assert [(i.shape[1], i.shape[0]) for i in draft.images] == [row.size for row in kit.FORMATS.values()]
    for image, name in zip(draft.images, kit.FORMATS, strict=True):
        ys, xs = np.nonzero(red(image))
        assert np.ptp(xs) == pytest.approx(np.ptp(ys), rel=0.03), f"{name}: the square is whole"
        covered = red(image)[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].mean()
        assert covered > 0.98, f"{name}: nothing lies on it"


def test_words_and_logo_are_in_the_picture_or_the_notices_say_why() -> None:
    room = Room(head=True)
    bare, full = make(room), make(room, headline="Spring sale", logo="l", colour="#204060")
    for before, after, (_, row) in zip(bare.images, full.images, kit.FORMATS.items(), strict=True):
        assert (before != after).any()
        blue = (after[..., 2] > 200) & (after[..., 0] < 60) & (after[..., 1] < 60)
        assert blue.any() or any(re.match(re.escape(row.title), notice) for notice in full.notices)


def test_one_platform_is_one_file_and_a_landscape_needs_no_subject() -> None:
    room = Room(head=False)
    room.alpha = np.zeros_like(room.alpha)
    assert [i.shape for i in make(room, preset="x").images] == [(900, 1600, 3)]


def test_heads_are_kept_and_bodies_may_be_cut() -> None:
    heads = kept((400, 600), (face(100, 100, 30), face(300, 120, 40)), None)
    assert (heads.left, heads.right) < (71, 351)
    assert heads.bottom < 200


def test_all_formats_come_together_and_are_named_by_their_platform() -> None:
    draft = make(Room(head=False))
    assert draft.names == tuple(kit.FORMATS)
    assert draft.archive == "all"
    alone = make(Room(head=False), preset="x")
    assert (alone.names, alone.archive) == (("x",), "")
