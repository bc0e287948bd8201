"""A head is laid back over an edit of the clothes: in its place, with its own pixels, without a seam, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import pytest

from pipelines.compositing.head_restoration import MAX_ERROR_PX, find_head_alpha, move_face, restore_head
from pipelines.compositing.registration import (
    CUT_NOTICE,
    STRETCHED_WORDS,
    Drift,
    align_edit,
    measure_drift,
    spread_undoing,
)
from pipelines.core.geometry import Alpha, Face, Image
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from tests.support.examples import load_example, make_noise

SIDE_PX = 400


@dataclass(frozen=True)
class Portrait:
    """An example photo with its person's alpha and face."""

    image: Image
    alpha: Alpha
    face: Face


@cache
def load_portrait(name: str) -> Portrait:
    photo = load_example(name)
    scale = SIDE_PX / max(photo.shape[:2])
    image = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    models = ModelCache(FAMILIES)
    with models.borrow_model("face-mesh") as faces, models.borrow_model("u2netp") as matting:
        face, alpha = faces.find_faces(image)[0], np.clip((matting.predict_alpha(image) - 0.1) / 0.8, 0, 1)
    return Portrait(image, np.asarray(alpha, np.float32), face)


def dress(portrait: Portrait, *, skin: tuple[float, float, float] = (3.0, 3.0, -2.6)) -> Image:
    """Draw a checked garment below the chin and turn all colours by about 5 delta E, as an edit model does."""
    height, width = portrait.alpha.shape
    rows, columns = np.mgrid[:height, :width]
    top = portrait.face.chin[1] + 0.35 * portrait.face.eye_distance
    weight = (portrait.alpha * np.clip((rows - top) / 8, 0, 1))[..., None]
    check = (0.8 + 0.2 * np.sin(columns / 7) * np.cos(rows / 9))[..., None]
    dressed = portrait.image * (1 - weight) + np.array((40, 60, 150)) * check * weight
    lab = cv2.cvtColor((dressed / 255).astype(np.float32), cv2.COLOR_RGB2LAB) + np.array(skin, np.float32)
    return np.asarray(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255 + 0.5, 0, 255), np.uint8)


def drift(image: Image, shift: float, degrees: float, zoom: float) -> Image:
    height, width = image.shape[:2]
    angle = np.radians(degrees)
    matrix = Drift(shift * np.cos(angle), shift * np.sin(angle), zoom).affine_matrix(width, height)
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)


def lay_back(portrait: Portrait, edit: Image) -> Image | None:
    """As the headshot does: register by the head, then restore it."""
    head = find_head_alpha(portrait.face, portrait.alpha)
    aligned = align_edit(portrait.image, edit, head, portrait.alpha).image
    return restore_head(portrait.image, aligned, portrait.alpha, portrait.face)


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("astronaut", (2, 40, 1.0)),
        ("astronaut", (20, 310, 0.8)),
        ("hopper", (20, 250, 1.05)),
        ("hopper", (40, 270, 1.0)),
    ],
)
def test_the_head_is_back_in_its_place_with_its_own_pixels(name: str, planted: tuple[float, float, float]) -> None:
    portrait = load_portrait(name)
    restored = lay_back(portrait, drift(dress(portrait), *planted))
    assert restored is not None
    head = find_head_alpha(portrait.face, portrait.alpha)
    whole = head >= 1
    assert whole.sum() > 3 * portrait.face.eye_distance**2
    assert (restored[whole] == portrait.image[whole]).all()
    left = measure_drift(portrait.image, restored, np.asarray((portrait.alpha > 0.5) & (head < 1), np.float32))
    assert left is None or left.shift < MAX_ERROR_PX, "what shows beside the head stands where the photo has it"
    chest = portrait.alpha * (np.arange(len(head))[:, None] > portrait.face.chin[1] + portrait.face.eye_distance) > 0.9
    changed = np.abs(restored[chest].astype(int) - portrait.image[chest]).mean()
    assert changed > 20, "the garment is the model's"


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_beside_a_head_that_the_edit_had_cut_off_its_ground_reaches_the_rim(name: str) -> None:
    portrait = load_portrait(name)
    edit = drift(dress(portrait), 25, 260, 1.04)
    head = find_head_alpha(portrait.face, portrait.alpha)
    aligned = align_edit(portrait.image, edit, head, portrait.alpha).image
    far = cv2.distanceTransform(np.asarray(portrait.alpha < 0.02, np.uint8), cv2.DIST_L2, 5)[0] > 40
    apart = np.abs(aligned[0].astype(int) - edit[0])[far].mean(axis=1)
    assert np.median(apart) < 8, "the highest row is the edit's: no streaks, and nothing mirrored"


def test_the_skin_beside_the_head_takes_the_photo_s_colour() -> None:
    portrait = load_portrait("astronaut")
    edit = dress(portrait)
    restored = restore_head(portrait.image, edit, portrait.alpha, portrait.face)
    assert restored is not None
    head = find_head_alpha(portrait.face, portrait.alpha)
    seam = (head > 0) & (head < 1) & (portrait.alpha > 0.95)
    before, after = (np.abs(portrait.image[seam].astype(int) - image[seam]).mean() for image in (edit, restored))
    assert after < 0.5 * before


def test_a_body_that_an_enlarged_edit_cut_off_is_stretched_to_the_rim() -> None:
    portrait = load_portrait("hopper")
    edit = drift(dress(portrait), 9, 120, 1.04)
    restored = lay_back(portrait, edit)
    assert restored is not None
    apart = np.abs(restored[-1].astype(int) - edit[-1]).mean(axis=1)
    assert np.median(apart) < 8, "the lowest row is the edit's, not a mirrored one"
    aligned = align_edit(portrait.image, edit, find_head_alpha(portrait.face, portrait.alpha), portrait.alpha)
    assert aligned.notice.endswith(f"; {STRETCHED_WORDS}.")
    head = find_head_alpha(portrait.face, portrait.alpha)
    weight = spread_undoing(head, Drift(4.5, 8.0, 1.04))
    assert weight[head > 0.5].min() > 0.99
    assert weight[-1].max() < 0.05
    upwards = spread_undoing(head, Drift(0.0, -25.0, 1.04))
    middle = upwards.shape[1] // 2
    assert upwards[-1, middle - 15 : middle + 15].min() > 0.4 > 10 * weight[-1].max(), "nothing is missing there"


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_an_edit_that_cut_off_a_part_of_the_person_stays_as_it_was_drawn(name: str) -> None:
    portrait = load_portrait(name)
    edit = drift(dress(portrait), 40, 200, 1.2)
    head = find_head_alpha(portrait.face, portrait.alpha)
    aligned = align_edit(portrait.image, edit, head, portrait.alpha)
    assert aligned.notice == CUT_NOTICE
    assert np.array_equal(aligned.image, edit), "nothing is mirrored in place of what is missing"
    assert restore_head(portrait.image, edit, portrait.alpha, portrait.face) is None


def test_another_head_another_picture_or_another_size_is_refused() -> None:
    portrait = load_portrait("astronaut")
    height, width = portrait.alpha.shape
    other = np.asarray(cv2.resize(load_example("hopper"), (width, height)), np.uint8)
    assert lay_back(portrait, other) is None
    assert lay_back(portrait, make_noise(height, width)) is None
    assert restore_head(portrait.image, portrait.image[:-1], portrait.alpha, portrait.face) is None
    head = find_head_alpha(portrait.face, portrait.alpha)[..., None]
    inverted = np.asarray(head * (255 - portrait.image) + (1 - head) * portrait.image, np.uint8)
    assert restore_head(portrait.image, inverted, portrait.alpha, portrait.face) is None


def test_a_face_moved_by_pixels_keeps_size_and_roll_and_its_box_moves_too() -> None:
    face = load_portrait("hopper").face
    moved = move_face(face, np.array([[1.0, 0.0, -40.0], [0.0, 1.0, 25.0]]))
    left, top, right, bottom = face.box
    assert moved.box == pytest.approx((left - 40, top + 25, right - 40, bottom + 25))
    assert moved.left_eye == pytest.approx((face.left_eye[0] - 40, face.left_eye[1] + 25))
    assert moved.right_eye == pytest.approx((face.right_eye[0] - 40, face.right_eye[1] + 25))
    assert np.allclose(moved.landmarks, face.landmarks + np.array([-40, 25]), atol=0.01)
    assert (moved.roll, moved.score) == (face.roll, face.score)


def test_a_face_is_moved_as_its_photo_is() -> None:
    face = load_portrait("hopper").face
    turned = np.array([[0.0, -2.0, 900.0], [2.0, 0.0, 5.0]])
    moved = move_face(face, turned)
    assert moved.eye_distance == pytest.approx(2 * face.eye_distance)
    assert moved.chin == pytest.approx((900 - 2 * face.chin[1], 5 + 2 * face.chin[0]))
    assert moved.roll == pytest.approx(face.roll + 90)
    assert np.allclose(moved.landmarks[0], (900 - 2 * face.landmarks[0, 1], 5 + 2 * face.landmarks[0, 0]), atol=0.01)
