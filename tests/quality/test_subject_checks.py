"""Say no, or ask: each kind of photo from which no picture should be made, and what is to be done about it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Face, Frame
from pipelines.models import nets
from pipelines.models.nets.face_mesh import FaceMesh
from pipelines.quality.softness import ENLARGED_BEFORE_NOTICE, describe_softness
from pipelines.quality.subject_checks import (
    bears_face,
    check_face,
    check_photo_size,
    check_scenery,
    count_people,
    fills_photo,
    is_face_missing,
)
from tests.support.examples import load_example, make_noise

SHAPE = (400, 300)
PHOTO = make_noise(400, 300, 120, 30)


def make_face(x: float = 150, y: float = 150, eyes: float = 40) -> Face:
    """A round face around (x, y)."""
    turns = np.linspace(0, 2 * np.pi, 468)
    outline = np.stack([x + eyes * np.cos(turns), y + 1.2 * eyes * np.sin(turns)], axis=1).astype(np.float32)
    box = (x - eyes, y - 1.5 * eyes, x + eyes, y + 1.3 * eyes)
    return Face(outline, box, (x - eyes / 2, y), (x + eyes / 2, y), (x, y + eyes), 0.0, 1.0)


def test_a_whole_face_of_some_size_passes() -> None:
    check_face(make_face(), PHOTO)


@pytest.mark.parametrize("place", [(10, 150), (150, 390), (150, -5)])
def test_a_face_whose_eyes_or_chin_the_photo_cuts_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="Take one that shows the whole head") as refused:
        check_face(make_face(*place), PHOTO)
    assert (refused.value.code, refused.value.param) == ("no_face", "photo")


@pytest.mark.parametrize(("eyes", "can_enlarge"), [(11, False), (19, False), (20, True), (23, True)])
def test_a_tiny_face_is_refused_with_a_size_that_works_and_whether_enlarging_helps(
    eyes: int, can_enlarge: bool
) -> None:
    size = -(-round(400 * 24 / eyes) // 100) * 100
    with pytest.raises(BadInput, match=f"one of {size} pixels or more") as refused:
        check_face(make_face(eyes=eyes), PHOTO)
    assert refused.value.code == "no_face"
    assert ("Enlarge it 2 times" in refused.value.message) is can_enlarge
    assert ("does not help" in refused.value.message) is not can_enlarge
    assert (refused.value.useless_tool == "upscale") is not can_enlarge


@pytest.mark.parametrize(
    ("name", "scale", "blur"), [("astronaut", 0.75, 0.8), ("astronaut", 0.6, 1.0), ("hopper", 0.5, 1.6)]
)
def test_a_blurred_face_is_not_refused_and_its_picture_is_called_soft(name: str, scale: float, blur: float) -> None:
    small = cv2.resize(load_example(name), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    photo = np.asarray(cv2.GaussianBlur(small, (0, 0), blur), np.uint8)
    mesh = nets.load(nets.FACE_MESH, "cpu")
    assert isinstance(mesh, FaceMesh)
    (face, *_) = mesh.find_faces(photo)
    mesh.close()
    assert face.eye_distance < 48
    check_face(face, photo)
    frame = Frame(np.eye(2, 3) * 2.5, (1024, 1024), 2.5, 0.0, False, (0, 0, 1024, 1024))
    assert describe_softness(frame, photo, face.box, 1024).doubts == (ENLARGED_BEFORE_NOTICE,)


def test_a_face_in_profile_is_refused_with_what_to_do() -> None:
    face = make_face(eyes=60)
    turned = replace(face, left_eye=(145, 150), right_eye=(155, 150))
    with pytest.raises(BadInput, match=r"from the side\. Take a photo in which it is seen from the front") as refused:
        check_face(turned, PHOTO)
    assert (refused.value.code, refused.value.param) == ("no_face", "photo")


def test_a_head_outside_its_own_cut_out_is_found() -> None:
    face, alpha = make_face(), np.zeros(SHAPE, np.float32)
    alpha[100:300, 80:220] = 1
    assert not is_face_missing(alpha, face)
    alpha[100:200] *= 0.3
    assert is_face_missing(alpha, face)


def test_a_face_in_the_middle_of_its_subject_or_on_a_far_larger_one_is_on_a_thing() -> None:
    subject = np.zeros((1200, 300), np.float32)
    subject[100:500, 60:240] = 1
    head = make_face(y=180)  # its head begins at 120, under a hat
    assert not bears_face(subject, head)
    assert bears_face(subject, make_face(y=300))
    subject[100:1190] = 1
    assert bears_face(subject, head), "nobody is ten heads tall"
    assert not bears_face(np.zeros(SHAPE, np.float32), head), "the face is not in the subject"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not bears_face(np.ones(SHAPE, np.float32), make_face(y=600)), "the face is below the picture"


def test_a_tiny_photo_is_refused_with_a_size_that_works() -> None:
    with pytest.raises(BadInput, match=r"64 x 48 pixels: too small\. Take one of 512 pixels or more"):
        check_photo_size(np.zeros((48, 64, 3), np.uint8))
    check_photo_size(np.zeros((96, 128, 3), np.uint8))


def test_a_view_from_border_to_border_is_asked_back_and_a_person_or_a_full_photo_is_not() -> None:
    hills = np.zeros(SHAPE, np.float32)
    hills[200:] = 1
    with pytest.raises(BadInput, match="Point at what is meant") as asked:
        check_scenery(hills, ())
    assert asked.value.code == "no_subject"
    with pytest.raises(BadInput, match="If a person is in it"):
        check_scenery(hills, (), has_searched_faces=False)
    check_scenery(hills, (make_face(),))
    check_scenery(np.ones(SHAPE, np.float32), ())
    assert fills_photo(np.ones(SHAPE, np.float32))
    assert not fills_photo(hills)


def test_people_are_counted_and_passers_by_are_not_kept() -> None:
    group = (make_face(eyes=40), make_face(60, 150, 30), make_face(250, 100, 10))
    assert count_people(group[:1], 0) == ()
    assert count_people(group, 0)[0].startswith("3 people; the front one is taken.")
    assert count_people(group, 1)[0].startswith("3 people; number 2 by size is taken.")
    assert count_people(group, 0, together=True)[0].startswith("2 people; they are kept together.")


def test_a_plate_that_both_sides_cut_is_a_thing_and_no_view() -> None:
    whole = np.zeros((600, 480), np.float32)
    cv2.circle(whole, (240, 300), 250, 1.0, -1)
    check_scenery(whole, ())
    ridge = np.zeros((600, 480), np.float32)
    ridge[200:400] = 1
    with pytest.raises(BadInput):
        check_scenery(ridge, ())
    whole[400:] = 1  # down to the border
    with pytest.raises(BadInput):
        check_scenery(whole, ())
