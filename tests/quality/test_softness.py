"""A picture says that it is soft where its photo is enlarged much, or was enlarged before."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Frame, Image
from pipelines.framing.resample import place_subject
from pipelines.quality.softness import (
    ENLARGED_BEFORE_NOTICE,
    SAMPLE_PX,
    SOFT_NOTICE,
    THIN_PART_NOTICE,
    describe_softness,
    measure_own_enlargement,
    thin_part_notices,
)
from pipelines.tools.upscale import SOFT_FACES_NOTICE
from tests.support.examples import load_example, make_cutout, make_noise
from tests.support.real_studio import RealStudio


def whole(photo: Image) -> tuple[float, float, float, float]:
    return 0, 0, photo.shape[1], photo.shape[0]


def enlarge(photo: Image, factor: float, resampling: int = cv2.INTER_CUBIC) -> Image:
    return np.asarray(cv2.resize(photo, None, fx=factor, fy=factor, interpolation=resampling), np.uint8)


def make_frame(photo: Image, scale: float, notices: tuple[str, ...] = ()) -> Frame:
    matrix = np.array([[scale, 0, 0], [0, scale, 0]], np.float64)
    return Frame(matrix, (1024, 1024), scale, 0.0, False, (0, 0, 1024, 1024), notices=notices)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    with RealStudio(tmp_path_factory.mktemp("softness")) as made:
        yield made


@pytest.mark.parametrize("name", ["astronaut", "hopper", "coffee", "chelsea"])
def test_a_photo_is_told_from_its_enlargement(name: str) -> None:
    photo = load_example(name)
    assert measure_own_enlargement(photo, whole(photo)) == 1
    for resampling in (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4):
        twice, four_times = enlarge(photo, 2, resampling), enlarge(photo, 4, resampling)
        assert measure_own_enlargement(twice, whole(twice)) == 2
        assert measure_own_enlargement(four_times, whole(four_times)) == 4
    half = enlarge(photo, 0.5, cv2.INTER_AREA)
    assert measure_own_enlargement(half, whole(half)) == 1


def test_a_plain_wall_and_a_speck_are_no_enlargements() -> None:
    wall = np.full((200, 200, 3), 140, np.uint8)
    assert measure_own_enlargement(wall, whole(wall)) == 1
    photo = enlarge(load_example("hopper"), 2)
    assert measure_own_enlargement(photo, (100, 100, 130, 130)) == 1


def test_of_a_large_photo_pieces_are_measured_in_little_memory() -> None:
    photo = np.tile(load_example("coffee"), (6, 6, 1))
    twice = enlarge(photo[: photo.shape[0] // 2, : photo.shape[1] // 2], 2)
    for picture, own in ((photo, 1), (twice, 2)):
        assert min(picture.shape[:2]) > 3 * SAMPLE_PX
        tracemalloc.start()
        try:
            assert measure_own_enlargement(picture, whole(picture)) == own
            assert tracemalloc.get_traced_memory()[1] < 24 * SAMPLE_PX**2
        finally:
            tracemalloc.stop()


def test_one_plain_sentence_takes_the_place_of_the_technical_one() -> None:
    photo = load_example("hopper")
    soft = describe_softness(
        make_frame(photo, 3.4, ("Enlarged 3.4 times: a larger photo would be sharper.",)), photo, whole(photo), 1024
    )
    assert soft.notices == soft.doubts == (SOFT_NOTICE.format("3.4"),)
    for scale in (0.8, 2.5):
        frame = make_frame(photo, scale, ("Other.",))
        assert describe_softness(frame, photo, whole(photo), 1024).notices == ("Other.",)
    large = enlarge(photo, 4)
    assert describe_softness(make_frame(large, 0.8), large, whole(large), 1024).doubts == (ENLARGED_BEFORE_NOTICE,)
    shrunk = describe_softness(make_frame(large, 0.4), large, whole(large), 1024)
    assert shrunk.doubts == (), "what is shrunk again is sharp"
    draft = describe_softness(make_frame(photo, 1.7), photo, whole(photo), 2048)
    assert draft.doubts == (SOFT_NOTICE.format("3.4"),), "told before the large picture is made"


def test_a_chain_that_is_lost_in_a_large_picture_is_told() -> None:
    photo, alpha = make_noise(200, 200, 90, 8), np.zeros((200, 200), np.float32)
    alpha[40:100, 40:160] = 1
    for width, is_told in ((1, True), (12, False)):
        chained = alpha.copy()
        chained[100:160, 100 : 100 + width] = 0.75
        placed = place_subject(photo, make_cutout(photo, chained), make_frame(photo, 4.0))
        assert (thin_part_notices(chained, placed) == (THIN_PART_NOTICE,)) is is_told
        as_it_is = place_subject(photo, make_cutout(photo, chained), make_frame(photo, 1.0))
        assert thin_part_notices(chained, as_it_is) == ()


def test_headshot_kit_and_upscale_say_that_an_enlarged_face_is_soft(studio: RealStudio) -> None:
    photo = load_example("hopper")
    large = studio.add_image(enlarge(enlarge(photo, 0.5, cv2.INTER_AREA), 4))
    receipt = studio.make("headshot", photo=large, consent=True, size=1024).receipt
    assert receipt["framing_doubts"] == [ENLARGED_BEFORE_NOTICE]
    assert ENLARGED_BEFORE_NOTICE in receipt["notices"]
    assert receipt["placement"]["enlarged_too_far"] is True
    kit = studio.make("kit", photo=large, consent=True, preset="post").receipt
    assert ENLARGED_BEFORE_NOTICE in kit["notices"]


@pytest.mark.usefixtures("repeated_pixels")
def test_upscale_says_of_small_faces_alone_that_they_are_soft(studio: RealStudio) -> None:
    photo = load_example("hopper")
    small = studio.add_image(enlarge(photo, 0.5, cv2.INTER_AREA))
    assert SOFT_FACES_NOTICE in studio.make("upscale", photo=small, consent=True).receipt["notices"]
    large = studio.add_image(np.ascontiguousarray(photo[:320, 100:420]))
    receipt = studio.make("upscale", photo=large, consent=True).receipt
    assert receipt["notices"]
    assert SOFT_FACES_NOTICE not in receipt["notices"]


def test_a_face_that_upscale_is_advised_for_is_taken_once_it_is_enlarged(studio: RealStudio) -> None:
    small = studio.add_image(enlarge(load_example("hopper"), 0.24, cv2.INTER_AREA))
    with pytest.raises(BadInput, match="Enlarge it 2 times with Upscale"):
        studio.make("headshot", photo=small, consent=True, draft=True)
    large = studio.add_image(studio.open_result(studio.make("upscale", photo=small, consent=True)))
    (doubt,) = studio.make("headshot", photo=large, consent=True, draft=True).receipt["framing_doubts"]
    # The net draws detail in, so that the photo may pass for one that was not enlarged: soft it is called either way.
    assert doubt.startswith("This picture is soft at its full size: your photo is")
