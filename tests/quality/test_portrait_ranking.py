"""Tests of portrait ranking: the better photo wins, and the notice names the faults of the others."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Face, Image
from pipelines.imaging.color import to_linear, to_srgb
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.quality import portrait_ranking
from pipelines.quality.portrait_ranking import (
    eye_openness,
    head_turn_ratio,
    measure_sharpness,
    rank_portraits,
    ranking_notices,
    score_portrait,
)
from tests.support.examples import load_example, make_noise


@pytest.fixture(scope="module")
def cache() -> ModelCache:
    return ModelCache(FAMILIES, CacheOptions(device="cpu"))


@pytest.fixture(scope="module", params=["astronaut", "hopper"])
def photo(request: pytest.FixtureRequest, cache: ModelCache) -> tuple[Image, Face]:
    image = load_example(request.param)
    with cache.borrow_model("face-mesh") as net:
        return image, net.find_faces(image)[0]


def _change_exposure(image: Image, gain: float) -> Image:
    return np.clip(to_srgb(to_linear(image) * np.float32(gain)) + 0.5, 0, 255).astype(np.uint8)


def _close_eyes(face: Face) -> Face:
    """The same face with the lids together."""
    points = face.landmarks.copy()
    for up, down in ((160, 144), (159, 145), (158, 153), (387, 373), (386, 374), (385, 380)):
        points[up] = points[down] + 0.2 * (points[up] - points[down])
    return replace(face, landmarks=points)


def _turn_head(face: Face) -> Face:
    """The same face with the nose near one cheek, as when the head is turned."""
    points = face.landmarks.copy()
    points[1] += 0.35 * (points[454] - points[234])
    return replace(face, landmarks=points)


def test_a_blurred_photo_comes_after_the_sharp_one_and_is_told_so(photo: tuple[Image, Face]) -> None:
    image, face = photo
    blurred = cv2.GaussianBlur(image, (0, 0), 0.035 * face.eye_distance)
    best, other = rank_portraits([(np.asarray(blurred, np.uint8), (face,)), (image, (face,))])
    assert (best.number, other.number) == (2, 1)
    assert "not sharp" in other.summary
    assert "not sharp" not in best.summary


@pytest.mark.parametrize(
    ("spoiled", "words"), [(_close_eyes, "eyes nearly closed"), (_turn_head, "turned away")], ids=["shut", "aside"]
)
def test_shut_eyes_and_a_turned_head_come_last(photo: tuple[Image, Face], spoiled, words: str) -> None:
    image, face = photo
    best, other = rank_portraits([(image, (spoiled(face),)), (image, (face,))])
    assert best.number == 2
    assert words in other.summary


@pytest.mark.parametrize("gain", [0.03, 4.0])
def test_too_little_and_too_much_light_are_told(photo: tuple[Image, Face], gain: float) -> None:
    image, face = photo
    plain, spoiled = score_portrait(1, image, face), score_portrait(2, _change_exposure(image, gain), face)
    assert spoiled.light < 0.6 < plain.light
    assert "light" in spoiled.summary


def test_dark_skin_in_good_light_is_not_called_dark(photo: tuple[Image, Face]) -> None:
    """A third of the light that pale skin gives back is what dark skin gives back in the same light."""
    image, face = photo
    assert score_portrait(1, _change_exposure(image, 0.33), face).light >= 0.6


def test_measures_do_not_depend_on_the_photos_size(photo: tuple[Image, Face]) -> None:
    image, face = photo
    double = np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    larger = replace(face, landmarks=face.landmarks * 2)
    assert eye_openness(larger) == pytest.approx(eye_openness(face), rel=1e-4)
    assert head_turn_ratio(larger) == pytest.approx(head_turn_ratio(face), abs=1e-4)
    assert score_portrait(1, double, larger).light == pytest.approx(score_portrait(1, image, face).light, abs=0.05)


def test_a_photo_without_a_face_is_last_and_says_so(photo: tuple[Image, Face]) -> None:
    image, face = photo
    order = rank_portraits([(make_noise(100, 100), ()), (image, (face,))])
    assert [each.number for each in order] == [2, 1]
    assert order[1].summary == "no face was found"
    told = ranking_notices(order)
    assert told[0].startswith("Taken: photo 2")
    assert "photo 1 (0): no face was found" in told[1]


def test_one_photo_needs_no_ranking(photo: tuple[Image, Face]) -> None:
    image, face = photo
    assert ranking_notices(rank_portraits([(image, (face,))])) == ()


def test_each_face_is_measured_once(photo: tuple[Image, Face], monkeypatch: pytest.MonkeyPatch) -> None:
    image, face = photo
    measured: list[float] = []

    def measure_and_count(small: Image) -> float:
        measured.append(measure_sharpness(small))
        return measured[-1]

    monkeypatch.setattr(portrait_ranking, "measure_sharpness", measure_and_count)
    rank_portraits([(image, (face,))] * 3)
    assert len(measured) == 3


def test_equal_photos_keep_their_order(photo: tuple[Image, Face]) -> None:
    image, face = photo
    assert [each.number for each in rank_portraits([(image, (face,))] * 3)] == [1, 2, 3]
