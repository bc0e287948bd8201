"""Photos of one thing come to one scale, baseline and exposure, measured on changes that are known."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from pipelines.compositing.turntable import BASE_WITHIN, LIGHT_WITHIN, SCALE_WITHIN, apart, exposed, like, stand
from pipelines.core.geometry import Cutout, Image
from pipelines.core.params import Subject
from pipelines.framing.placement import fill_frame
from pipelines.framing.resample import place
from pipelines.imaging.color import lightness, to_linear, to_srgb
from pipelines.matting.cutout import cutout
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import Cache
from tests.support.examples import blob, example, noisy

SIZE = (512, 512)


def planted(scale: float, down: float, gain: float) -> Image:
    """The coffee seen from further away, lower in its photo, under another exposure."""
    photo = example("coffee")
    height, width = photo.shape[:2]
    matrix = np.array([[scale, 0, width / 2 * (1 - scale)], [0, scale, height / 2 * (1 - scale) + down]])
    moved = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    return np.clip(to_srgb(to_linear(np.asarray(moved, np.uint8)) * np.float32(gain)) + 0.5, 0, 255).astype(np.uint8)


@cache
def freed(scale: float, down: float, gain: float) -> Cutout:
    with Cache(FAMILIES).borrow("u2netp") as net:
        return cutout(planted(scale, down, gain), net)


@pytest.mark.parametrize(("scale", "down", "gain"), [(0.9, -22, 0.6), (0.8, 20, 1.25)])
def test_planted_changes_of_scale_baseline_and_exposure_are_taken_back(scale: float, down: float, gain: float) -> None:
    first, other = freed(1.0, 0.0, 1.0), freed(scale, down, gain)
    frame = fill_frame(first.alpha, SIZE, 0.7, Subject(photo="x"), stand="floor", floor=0.85)
    back = like(first, frame, other)
    # What was planted, then what took it back: together they are the first photo's own way into the frame.
    assert back.scale * scale / frame.scale == pytest.approx(1, abs=SCALE_WITHIN)
    base = stand(first.colour, first.alpha).base
    planted_base = scale * base + example("coffee").shape[0] / 2 * (1 - scale) + down
    lands, should = (f.matrix[1, 2] + f.scale * y for f, y in ((back, planted_base), (frame, base)))
    assert lands == pytest.approx(should, abs=BASE_WITHIN * SIZE[1])
    one = place(example("coffee"), first, frame)
    two = place(planted(scale, down, gain), other, back)
    light = stand(one.colour, one.alpha).light
    levelled = exposed(two.colour, two.alpha, light)
    inside = (one.alpha > 0.99) & (two.alpha > 0.99)
    assert abs(float(np.median(lightness(levelled)[inside]) - np.median(lightness(one.colour)[inside]))) < LIGHT_WITHIN
    assert apart([stand(one.colour, one.alpha), stand(levelled, two.alpha)], SIZE[1]).together


def test_what_was_not_brought_together_is_seen() -> None:
    """The measure itself: a set that differs by a little more than is allowed in one thing is no set."""
    image = noisy(400, 400, 120, 5)
    rows = {
        "same": (blob(400, 400, (200, 200), (80, 100)), image),
        "larger": (blob(400, 400, (200, 198), (80, 102)), image),
        "lower": (blob(400, 400, (200, 204), (80, 100)), image),
        "lighter": (blob(400, 400, (200, 200), (80, 100)), noisy(400, 400, 132, 5)),
    }
    stands = {name: stand(colour, alpha) for name, (alpha, colour) in rows.items()}
    assert apart([stands["same"], stands["same"]], 400).together
    for name in ("larger", "lower", "lighter"):
        assert not apart([stands["same"], stands[name]], 400).together, name
    assert apart([stands["same"], stands["lower"]], 400).base == pytest.approx(0.01, abs=1e-4)


def test_edges_are_read_to_a_third_of_a_pixel() -> None:
    image = noisy(300, 300)
    large = [blob(1200, 1200, (600, down), (240, 300)) for down in (600, 598)]
    low, up = (np.asarray(cv2.resize(a, (300, 300), interpolation=cv2.INTER_AREA), np.float32) for a in large)
    assert stand(image, low).base - stand(image, up).base == pytest.approx(0.5, abs=0.33)


def test_one_gain_and_no_more_than_two_stops() -> None:
    alpha, dark = blob(200, 200, (100, 100), (70, 70)), noisy(200, 200, 4, 1)
    lifted = exposed(dark, alpha, 60)
    assert stand(lifted, alpha).light < 20, "a photo that is lost stays lost"
    middle = noisy(200, 200, 90, 8)
    assert stand(exposed(middle, alpha, 50), alpha).light == pytest.approx(50, abs=0.5)
