"""Relight a subject: fit its exposure, blacks and colours to the light of the scene that it is laid into."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.compositing.light_estimation import are_grey
from pipelines.core.geometry import Float32Array, Image, Mask, PlacedSubject
from pipelines.imaging.color import LUMINANCE_WEIGHTS, from_lab, measure_lightness, to_lab, to_linear, to_srgb

MAX_SKIN_LIGHTNESS_SHIFT = 4.0  # L* by which relighting may move skin
MAX_SKIN_HUE_SHIFT = 3.0  # degrees by which it may turn skin's hue in Lab
MIN_SKIN_RATIO = 0.003  # of the subject's pixels that look like skin, from which those bounds hold
MAX_DARKENING_STOPS = 1.0
MAX_BRIGHTENING_STOPS = 0.1  # a subject that is darker than its place is in shadow there: nobody doubts it
EXPOSURE_SHIFT_RATIO = 0.5  # of the way, in stops, to the scene's mean light
MAX_KEY_LUMINANCE = 0.25  # of a photo: a white paper behind a thing does not say that the thing is overexposed
SIDE_SHIFT_RATIO = 0.5  # of what one side of the scene is lighter than the other, in stops
MAX_SIDE_STOPS = 0.25  # at the outline; the middle stays
BLACK_LIFT_RATIO = 0.5  # of the way to the scene's black: with more, tyres look washed out
MAX_BLACK_LIFT = 6.0  # L*
MAX_HAZE_LIGHTNESS = 35.0  # L* of a scene's black: where nothing is darker, as on paper and sand, that is no haze
COLOUR_SHIFT_RATIO = 0.25  # of the way to the colour of the scene's light
MAX_COLOUR_RATIO = 1.12  # of one channel to the luminance: more looks tinted
MAX_BOUNCE_SHIFT = 1.5  # a* and b* towards the scene's colours, where lightness stays
_BOUNCE_RATIO = 0.12  # of those colours
_LIGHTS_QUANTILE = 0.7  # of a scene's lightness: what lies above tells the colour of its light
_BLACK_QUANTILE = 0.01  # of the pixels' lightness that is a picture's black
_SCENE_SIDE_PX = 64  # of the small copy that the scene is measured on
_DARKEST_LUMINANCE = 0.004  # darker pixels count as this in a mean of logarithms
# Skin under any light that a photo is taken in, from dark to fair, in Lab: lightness, chroma, hue in degrees.
_SKIN_LIGHTNESS, _SKIN_CHROMA, _SKIN_HUE = (10.0, 96.0), (4.0, 60.0), (0.0, 90.0)
_TONE_LIGHTNESS = 15.0  # L* of the steps in which skin, and what looks like it, is told apart
_HUE_CHROMA = 10.0  # chroma from which a hue is seen
_STRIP_ROWS = 512
_MAX_SAMPLE_COUNT = 200_000  # of the subject's pixels that are measured


@dataclass(frozen=True)
class _LightChange:
    """What a scene's light changes.

    Linear factors (3), by how many stops each column gets lighter (W), and by how many levels black rises to the
    scene's: mid grey rises by a quarter of it, and white stays.
    """

    gains: Float32Array
    stops: Float32Array
    haze: np.float32

    def apply(self, pixels: Image, columns: npt.NDArray[np.int64]) -> Float32Array:
        """Return pixels (H x N x 3) of these columns (N) in that light: sRGB of 0 to 255, not yet rounded."""
        light = to_linear(pixels)
        light *= self.gains * np.exp2(self.stops[columns])[None, :, None]
        relit = to_srgb(light)
        return _add_haze(relit, self.haze) if self.haze else relit


def relight_subject(placed: PlacedSubject, plate: Image, *, shift_lightness: bool = True) -> Image:
    """Return the subject's colours (H x W x 3) fitted to the scene `plate` of the same size.

    A subject that is lit more than its scene gets darker by up to a stop, its blacks rise to the scene's haze, its
    colours go towards the scene's light, and the side of more light gets lighter. What looks like skin moves by at most
    4 L* and turns by at most 3 degrees, never towards a target tone. Without `shift_lightness` the colours alone
    change, by at most 1.5 in a* and b*.
    """
    inside = placed.alpha > 0.5
    if not inside.any():
        return placed.colour
    scene = np.asarray(cv2.resize(plate, (_SCENE_SIDE_PX,) * 2, interpolation=cv2.INTER_AREA), np.uint8)
    if not shift_lightness:
        return _tint_subject(placed.colour, scene)
    some = _sample_pixels(inside)
    own = placed.colour[some]
    light = _measure_light_change(placed, inside, scene, own)
    share = np.float32(_allow_for_skin(own, light.apply(own[None], some[1])[0]))
    result, columns = np.empty_like(placed.colour), np.arange(inside.shape[1])
    for first in range(0, len(result), _STRIP_ROWS):  # a large picture would be held several times as numbers
        strip = placed.colour[first : first + _STRIP_ROWS].astype(np.float32)
        relit = light.apply(placed.colour[first : first + _STRIP_ROWS], columns)
        relit -= strip
        relit *= share
        relit += strip
        relit += np.float32(0.5)
        result[first : first + _STRIP_ROWS] = np.clip(relit, 0, 255, out=relit)
    return result


def _sample_pixels(inside: Mask) -> tuple[npt.NDArray[np.int64], ...]:
    """Return rows and columns of the subject's pixels, evenly spread where there are many."""
    rows, columns = np.nonzero(inside)
    step = max(1, len(rows) // _MAX_SAMPLE_COUNT)
    return rows[::step], columns[::step]


def _measure_light_change(placed: PlacedSubject, inside: Mask, scene: Image, own: Image) -> _LightChange:
    """Return what the light of `scene`, a small copy, changes; `own` are some of the subject's pixels (N x 3)."""
    gains, stops = _measure_colour_gains(scene), _measure_stops(placed, inside, scene)
    # Each change by itself as far as skin allows it: a coloured light does not forbid a darker one.
    tinted, exposed = (to_srgb(to_linear(own) * factor) for factor in (gains, np.float32(2**stops)))
    gains = np.power(gains, np.float32(_allow_for_skin(own, tinted)))
    stops *= _allow_for_skin(own, exposed)
    haze = _measure_haze(own, scene)
    haze *= np.float32(_allow_for_skin(own, _add_haze(own.astype(np.float32), haze)))
    return _LightChange(gains, np.maximum(stops + _spread_side_stops(inside, scene), -MAX_DARKENING_STOPS), haze)


def _measure_haze(own: Image, scene: Image) -> np.float32:
    """Return by how many levels black rises to that of the scene."""
    haze = _measure_black(scene)
    lift = BLACK_LIFT_RATIO * (haze - _measure_black(own[None]))
    return np.float32(2.55 * np.clip(lift, 0, MAX_BLACK_LIFT) * (haze <= MAX_HAZE_LIGHTNESS))


def _add_haze(pixels: Float32Array, haze: np.float32) -> Float32Array:
    """Return pixels (... x 3, 0 to 255) whose black rises by `haze` levels."""
    return pixels + haze * np.square(1 - pixels / 255)


def _measure_stops(placed: PlacedSubject, inside: Mask, scene: Image) -> float:
    """Return by how many stops the subject gets lighter, from the mean light of its photo and of the scene."""
    shown = placed.colour[_sample_pixels(inside)][None]
    if placed.has_background:
        left, top, right, bottom = (max(round(edge), 0) for edge in placed.frame.box)
        photo = placed.colour[top:bottom, left:right]
        shown = cv2.resize(photo, (_SCENE_SIDE_PX,) * 2, interpolation=cv2.INTER_AREA) if photo.size else shown
    own = min(_measure_key(np.asarray(shown, np.uint8)), MAX_KEY_LUMINANCE)
    stops = EXPOSURE_SHIFT_RATIO * float(np.log2(_measure_key(scene) / own))
    return float(np.clip(stops, -MAX_DARKENING_STOPS, MAX_BRIGHTENING_STOPS))


def _measure_key(image: Image) -> float:
    """Return the mean luminance of a picture as the eye takes it, by its logarithm; 0 to 1."""
    luminance = to_linear(image) @ LUMINANCE_WEIGHTS
    return float(np.exp(np.log(np.maximum(luminance, _DARKEST_LUMINANCE)).mean()))


def _spread_side_stops(inside: Mask, scene: Image) -> Float32Array:
    """Return by how many stops each column gets lighter, as one side of the scene is lighter; 0 in the middle."""
    third = _SCENE_SIDE_PX // 3
    left, right = (_measure_key(part) for part in (scene[:, :third], scene[:, -third:]))
    side = float(np.clip(SIDE_SHIFT_RATIO * np.log2(right / left), -MAX_SIDE_STOPS, MAX_SIDE_STOPS))
    columns = np.flatnonzero(inside.any(axis=0))
    first, last = int(columns[0]), int(columns[-1])
    along = (np.arange(inside.shape[1]) - (first + last) / 2) / max((last - first) / 2, 1)
    return np.asarray(side * np.clip(along, -1, 1), np.float32)


def _measure_colour_gains(scene: Image) -> Float32Array:
    """Return linear factors for red, green and blue towards the colour of the scene's light, at one luminance."""
    light = to_linear(scene).reshape(-1, 3)
    luminance = light @ LUMINANCE_WEIGHTS
    bright = light[luminance >= np.quantile(luminance, _LIGHTS_QUANTILE)].mean(axis=0) + 1e-3
    gains = np.power(bright / float(bright @ LUMINANCE_WEIGHTS), COLOUR_SHIFT_RATIO)
    gains = np.clip(gains, 1 / MAX_COLOUR_RATIO, MAX_COLOUR_RATIO)
    return np.asarray(gains / float(gains @ LUMINANCE_WEIGHTS), np.float32)


def _measure_black(image: Image) -> float:
    """Return the L* of a picture's darkest pixels."""
    return float(np.quantile(measure_lightness(image), _BLACK_QUANTILE))


def _allow_for_skin(before: Image, after: Float32Array) -> float:
    """Return the share of a change of colours (N x 3) that moves skin no more than it may, 0 to 1.

    In black and white all that is neither black nor white may be skin.
    """
    lab = _to_lab(before)
    is_grey = are_grey(lab)
    skin = (lab[:, 0] > _SKIN_LIGHTNESS[0]) & (lab[:, 0] < _SKIN_LIGHTNESS[1]) if is_grey else _looks_like_skin(lab)
    if skin.mean() < MIN_SKIN_RATIO:
        return 1.0
    old, new = lab[skin], _to_lab(after[skin])
    lightness, turn = 0.0, 0.0
    tones = (old[:, 0] / _TONE_LIGHTNESS).astype(np.int32)
    for tone in np.flatnonzero(np.bincount(tones) >= 0.5 * MIN_SKIN_RATIO * len(lab)):  # a face beside a brown coat
        first, second = old[tones == tone], new[tones == tone]
        lightness = max(lightness, abs(float(np.median(second[:, 0] - first[:, 0]))))
        turn = max(turn, 0.0 if is_grey else _measure_turn(first, second))
    return min(1.0, MAX_SKIN_LIGHTNESS_SHIFT / max(lightness, 1e-6), MAX_SKIN_HUE_SHIFT / max(turn, 1e-6))


def _measure_turn(old: Float32Array, new: Float32Array) -> float:
    """Return by how many degrees the hue of one tone turns (N x 3, Lab); 0 where it has none."""
    seen = np.hypot(old[:, 1], old[:, 2]) > _HUE_CHROMA
    if not seen.any():
        return 0.0
    first, second = (np.arctan2(each[seen, 2], each[seen, 1]) for each in (old, new))
    turns = (second - first + np.pi) % (2 * np.pi) - np.pi
    return abs(float(np.degrees(np.median(turns))))


def _looks_like_skin(lab: Float32Array) -> Mask:
    """Return which colours (N x 3, Lab) may be skin's; wood and fur may look like it, and are then bounded, too."""
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    values = (lab[:, 0], np.hypot(lab[:, 1], lab[:, 2]), hue)
    ranges = (_SKIN_LIGHTNESS, _SKIN_CHROMA, _SKIN_HUE)
    within = [(low <= value) & (value <= high) for value, (low, high) in zip(values, ranges, strict=True)]
    return np.asarray(np.logical_and.reduce(within))


def _to_lab(colours: Float32Array | Image) -> Float32Array:
    """Convert sRGB of 0 to 255 (N x 3) to Lab."""
    values = np.clip(np.asarray(colours, np.float32)[None] / 255, 0, 1)
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_RGB2LAB)[0], np.float32)


def _tint_subject(colour: Image, scene: Image) -> Image:
    """Move a* and b* a little towards the colours of the scene's lights; lightness stays."""
    lab = to_lab(colour)
    lights = _to_lab(scene.reshape(-1, 3))
    lights = lights[lights[:, 0] >= np.quantile(lights[:, 0], _LIGHTS_QUANTILE)]
    lab[..., 1:] += np.clip(_BOUNCE_RATIO * lights[:, 1:].mean(axis=0), -MAX_BOUNCE_SHIFT, MAX_BOUNCE_SHIFT)
    return from_lab(lab)
