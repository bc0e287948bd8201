"""Lookbook: the clothes and the face stay, the season and the words are added; black and white is neutral."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import pytest

from pipelines.models.families.scenes.words import SCENES
from pipelines.parts.cutout import core_of
from pipelines.parts.lettering import CONTRAST, contrast
from pipelines.tools import fashion
from pipelines.types import Cutout, Draft, Face, Image, Images, Render
from tests.watching import Recorder, blob, noisy


class Room:
    """A studio whose scenes are plain green, and whose photo is noise with a person in the middle."""

    seed, draft = 3, False

    def __init__(self, *, head: bool = True) -> None:
        self.image = noisy(500, 400, 120, 14)
        self.head = head
        self.render: Render | None = None

    def open(self, _: str) -> Image:
        return self.image

    def cutout(self, *_) -> Cutout:
        return Cutout(self.image, blob(500, 400, (200, 240), (110, 200)))

    def faces(self, _: str) -> tuple[Face, ...]:
        points = np.array([200, 120]) + np.random.default_rng(0).normal(0, 20, (468, 2))
        face = Face(points.astype(np.float32), (150, 60, 250, 180), (180, 120), (220, 120), (200, 170), 0.0, 1.0)
        return (face,) if self.head else ()

    def draw(self, render: Render, _) -> Images:
        self.render = render
        width, height = render.size
        return Images(tuple(np.full((height, width, 3), (60, 140, 60), np.uint8) for _ in render.seeds))


def make(room: Room, **values) -> Draft:
    return fashion.run(fashion.Fashion(photo="x", **{"size": 512, **values}), room, Recorder())  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("preset", get_args(fashion.PresetId))
def test_every_look_has_a_scene_of_ours_and_the_size_that_was_asked_for(preset: str) -> None:
    room = Room()
    draft = make(room, preset=preset, ratio="2:3")
    assert draft.images[0].shape[:2] == (512, 342)
    assert room.render is not None
    assert room.render.backdrop is not None
    assert room.render.backdrop.scene in {scene.id for scene in SCENES}


def test_without_grading_the_core_is_the_photo_and_with_it_it_moves_a_little() -> None:
    plain, warm = (make(Room(), preset="autumn", grading=share) for share in (0, 100))
    assert plain.source is not None
    core = core_of(plain.source.alpha)
    assert (plain.images[0][core] == plain.source.colour[core]).all()
    moved = np.abs(warm.images[0][core].astype(int) - plain.images[0][core])
    assert 0 < moved.mean() < 12


def test_autumn_turns_green_leaves_and_not_the_subject() -> None:
    draft = make(Room(), preset="autumn", grading=0)
    r, g, _ = draft.images[0][4, 4].astype(int)
    assert r > g


def test_black_and_white_is_neutral() -> None:
    image = make(Room(), preset="editorial-bw").images[0].astype(int)
    assert np.ptp(image, axis=2).max() <= 1


def test_a_masthead_stands_behind_the_subject() -> None:
    bare, titled = (make(Room(), preset="cover", title=t) for t in ("", "Vogue-ish"))
    assert titled.source is not None
    core = core_of(titled.source.alpha)
    assert (titled.images[0] != bare.images[0]).any()
    assert (titled.images[0][core] == bare.images[0][core]).all()


def test_a_title_can_be_read() -> None:
    bare, titled = (make(Room(head=False), preset="summer", title=t).images[0].astype(int) for t in ("", "Linen"))
    letters = np.abs(titled - bare).sum(axis=2) > 250
    assert letters.any()
    changed = np.abs(titled - bare).sum(axis=2) > 0
    around = cv2.dilate(letters.astype(np.uint8), np.ones((9, 9), np.uint8)) > cv2.dilate(
        letters.astype(np.uint8), np.ones((5, 5), np.uint8)
    )
    assert changed.mean() < 0.25
    ground = np.median(titled[around], axis=0)
    ink = np.median(titled[letters], axis=0)
    r, g, b = (int(v) for v in ink)
    gr, gg, gb = (int(v) for v in ground)
    assert contrast((r, g, b), (gr, gg, gb)) >= CONTRAST


def test_same_seed_same_picture() -> None:
    assert (make(Room(), preset="street").images[0] == make(Room(), preset="street").images[0]).all()


def test_it_says_that_it_dresses_nobody_and_asks_for_consent() -> None:
    assert "dresses nobody" in fashion.TOOL.summary
    assert fashion.TOOL.person
    assert "consent" in fashion.Fashion.model_fields


def test_a_look_is_a_page_for_each_picture_and_a_book_begins_with_its_cover() -> None:
    room = Room()
    draft = make(room, preset="winter", pdf="look", variations=2)
    (look,) = draft.extras
    assert (look.format, look.role, look.name) == ("pdf", "result", "winter")
    assert len(look.frames) == 2
    assert all(page is image for page, image in zip(look.frames, draft.images, strict=True))
    (book,) = make(room, preset="winter", pdf="book", size=256, title="Mine").extras
    assert len(book.frames) == len(fashion.SEASONS)
    assert (book.frames[0] == make(room, preset="cover", size=256, title="Mine").images[0]).all()
    assert make(room, preset="winter").extras == ()
