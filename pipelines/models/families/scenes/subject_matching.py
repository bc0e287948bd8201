"""Matches a scene to the subject: white point, black point, exposure, and contrast to the subject's outline."""

from __future__ import annotations

import numpy as np

from pipelines.core.geometry import Colour
from pipelines.core.rendering import Backdrop
from pipelines.imaging.color import lightness_to_luminance
from pipelines.models.families.scenes.scene_types import Plate, Scene
from pipelines.models.families.scenes.tone_mapping import (
    LinearLight,
    cie_lightness,
    limit_white_mired,
    linear_colour,
    relative_luminance,
    white_balance_gains,
)

MIN_LIGHTNESS_DIFFERENCE = 12.0
"""L* by which the scene differs from the subject's outline, along `_OUTLINE_RATIO` of it."""
MAX_EXPOSURE_RATIO = 2.0  # one stop: most that a place or a set is made lighter or darker
UNCLIPPED_QUANTILE = 0.99  # of the light of the pixels' brightest channel: what lies below it must not clip
FLASH_SUBJECT_LIGHTNESS = 58.0
"""Mean L* of a subject from which it was lit by daylight or flash: portraits at dusk lie between 25 and 45."""
SCENE_LIGHTS_QUANTILE = 0.95  # of a place's pixels: those above are windows, lamps and the sky
MAX_LIGHTS_DIFFERENCE = 25.0  # L* by which a subject's lights may be lighter than the place's: two stops
_USER_SCENE_ID = "my-backdrop"
_LIGHTNESS_MARGIN = 1.0  # L* added to it, since the outline lies before another part of the scene than was measured
_OUTLINE_RATIO = 0.8
DARK_QUANTILE = 0.02  # share of a scene's pixels that are taken for its black
BLACK_SHIFT_RATIO = 0.5  # share of the way to the subject's black that a scene's black moves
HIGH_KEY_LIGHTNESS = 35.0  # L* of a plate's black from which nothing in it is dark: sky and sand are no haze
MAX_CONTRAST_GAIN = 2.0
PLACE_MEAN_LUMINANCE = 0.19
"""Mean luminance of a place behind a person: half of what a lit face reflects, one stop darker."""
MIN_PLACE_GAIN = 0.5  # one stop
PLATE_MEAN_LUMINANCE = 0.30  # the same for a photograph or a set, which was exposed by its maker
MIN_PLATE_GAIN = 0.65
MAX_PRODUCT_LIGHTNESS_SHIFT = 5.0  # L* that a scene moves at most under a product, since shops want a light background
MAX_LIGHTNESS_SHIFT = 9.0  # L* that a scene moves at most behind a person, so that light grey stays light grey
LIGHTNESS_SHIFT_RATIO = 0.5  # share of the way to the lightness of the photo's own background that a scene moves
PLACE_SHIFT_RATIO = 0.35  # share of that way that a place moves, which has a light of its own
MAX_PLACE_LIGHTNESS_SHIFT = 8.0  # L* that a place moves at most
DARK_SCENE_LIGHTNESS = 50.0  # L* up to which a scene is a dark look and is not made lighter
WHITE_SCENE_LIGHTNESS = 90.0
"""L* from which a scene is a white look and is made darker by at most `MAX_WHITE_LIGHTNESS_SHIFT`."""
MAX_WHITE_LIGHTNESS_SHIFT = 3.0
SHADOW_DARKNESS_RANGE = (0.5, 0.9)  # darkness of a shadow in a bright room, and under a single lamp
LAMP_STRENGTH = {"surface": 0.8, "studio": 0.4}
POOL_HEIGHT_RATIO = 0.3  # distance of the lamp's pool of light above the contact line, in picture heights
POOL_SHIFT_RATIO = 0.12  # distance of the pool towards the lamp, in picture heights
POOL_RADIUS_RATIO = 0.55  # half width of the pool, in picture heights
# The factors by which a scene may be made darker or lighter. A studio's lamp has a dial; a place has a time of day.
GAIN_RANGE = {"studio": (0.02, 12.0), "surface": (0.55, 1.5), "place": (0.45, 2.0)}


def match_white_point(light: LinearLight, scene: Scene, request: Backdrop) -> LinearLight:
    """Move the white point of `light` towards that of the photo, unless the scene keeps its own."""
    if scene.keeps_white_point or request.white_point_mired is None:
        return light
    target = limit_white_mired(scene.mired, request.white_point_mired)
    return light if target == scene.mired else light * white_balance_gains(scene.mired, target)


def match_black_point(light: LinearLight, scene: Scene, request: Backdrop) -> LinearLight:
    """Move the darkest parts of a place towards the subject's black; the mean stays.

    A small panorama and a room in soft light lack it. A plate that shows nothing dark is left as it is.
    """
    if scene.kind != "place" or request.shadow_lightness is None or request.picture is not None:
        return light
    seen = np.maximum(relative_luminance(light), 1e-5)
    dark, mean = float(np.quantile(seen[::3, ::3], DARK_QUANTILE)), float(np.minimum(seen, 1.0).mean())
    own = float(cie_lightness(dark))
    if own <= request.shadow_lightness or (isinstance(scene.look, Plate) and own > HIGH_KEY_LIGHTNESS):
        return light
    wanted = lightness_to_luminance(own - BLACK_SHIFT_RATIO * (own - request.shadow_lightness))
    fog = (dark - wanted) / max(1 - wanted / max(mean, 1e-4), 1e-2)
    steep = mean / max(mean - fog, 1e-4)
    clear = np.where(seen > dark, np.minimum(steep, MAX_CONTRAST_GAIN) * (seen - dark) + wanted, seen * (wanted / dark))
    return np.asarray(light * (clear / seen)[..., None], np.float32)


def add_lamp_pool(light: LinearLight, scene: Scene, request: Backdrop) -> LinearLight:
    """Light a table or a paper as a near lamp does, brightest behind the product; more so where its shadow is dark."""
    if (
        request.shadow_direction is None
        or scene.kind == "place"
        or isinstance(scene.look, Plate)
        or request.picture is not None
        or request.subject != "product"
    ):
        return light
    dark = float(np.hypot(*request.shadow_direction))
    bright_room, single_lamp = SHADOW_DARKNESS_RANGE
    strength = LAMP_STRENGTH[scene.kind] * float(np.clip((dark - bright_room) / (single_lamp - bright_room), 0, 1))
    if not strength:
        return light
    rows, columns = light.shape[:2]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / rows
    floor = request.floor_ratio if request.floor_ratio is not None else 0.8
    x -= np.float32(0.5 * columns / rows - POOL_SHIFT_RATIO * request.shadow_direction[0])
    y -= np.float32(floor - POOL_HEIGHT_RATIO - POOL_SHIFT_RATIO * request.shadow_direction[1])
    fading = (1 + strength * (x * x + y * y) / np.float32(POOL_RADIUS_RATIO**2)) ** np.float32(-1.5)
    return np.asarray(light * (fading * (1 + 0.25 * strength))[..., None], np.float32)


def match_monochrome(light: LinearLight, request: Backdrop) -> LinearLight:
    """Remove the colour of `light` if the photo is monochrome."""
    if not request.monochrome or request.picture is not None:
        return light
    return np.asarray(np.repeat(relative_luminance(light)[..., None], 3, axis=2), np.float32)


def exposure_gain(light: LinearLight, scene: Scene, request: Backdrop) -> float:
    """The factor to expose `light` by; 1.0 if nothing is known.

    Behind a person a place is about a stop darker than the face, for which the light is set up. Every scene moves
    towards the lightness of the photo's own background: remains of that in hair and at edges are then least visible,
    and a cup from a dim bar does not stand in the sun.
    """
    seen = float(np.minimum(relative_luminance(light), 1.0).mean())
    if scene.kind == "place" and request.subject == "person":
        is_plate = isinstance(scene.look, Plate)
        mean, least = (PLATE_MEAN_LUMINANCE, MIN_PLATE_GAIN) if is_plate else (PLACE_MEAN_LUMINANCE, MIN_PLACE_GAIN)
        gain = float(np.clip(mean / max(seen, 1e-4), least, 1.0))
        return 1.0 if scene.keeps_white_point else gain * _follow_background(gain * seen, request)
    if scene.kind == "place":
        return 1.0 if scene.keeps_white_point else _follow_background(seen, request)
    if request.original_background is None:
        return 1.0
    own, old = float(cie_lightness(seen)), _colour_lightness(request.original_background)
    # A dark look stays dark and a white one white; a table is never made lighter.
    max_shift = MAX_LIGHTNESS_SHIFT if request.subject == "person" else MAX_PRODUCT_LIGHTNESS_SHIFT
    most = max_shift if scene.kind == "studio" and own > DARK_SCENE_LIGHTNESS else 0.0
    least = max_shift if own < WHITE_SCENE_LIGHTNESS else MAX_WHITE_LIGHTNESS_SHIFT
    shift = float(np.clip(LIGHTNESS_SHIFT_RATIO * (old - own), -least, most))
    return lightness_to_luminance(own + shift) / max(seen, 1e-4)


def _follow_background(seen: float, request: Backdrop) -> float:
    """The factor that brings a place of mean luminance `seen` a little nearer to the photo's own background."""
    if request.original_background is None:
        return 1.0
    own = float(cie_lightness(seen))
    shift = PLACE_SHIFT_RATIO * (_colour_lightness(request.original_background) - own)
    # A light subject before a dark background stood in more light than that: a darker place suits it less.
    is_light = request.subject_lightness is not None and request.subject_lightness >= FLASH_SUBJECT_LIGHTNESS
    shift = float(np.clip(shift, 0.0 if is_light else -MAX_PLACE_LIGHTNESS_SHIFT, MAX_PLACE_LIGHTNESS_SHIFT))
    return lightness_to_luminance(own + shift) / max(seen, 1e-4)


def limit_gain(light: LinearLight, scene: Scene, gain: float) -> float:
    """Keep a place's or a set's exposure within one stop of its own, and let nothing clip that did not clip.

    A sunset stays a sunset: a scene that keeps its own light is never made lighter.
    """
    if scene.kind == "studio" or scene.id == _USER_SCENE_ID:
        return gain
    gain = float(np.clip(gain, 1 / MAX_EXPOSURE_RATIO, MAX_EXPOSURE_RATIO))
    if gain <= 1:
        return gain
    if scene.keeps_white_point:
        return 1.0
    highest = float(np.quantile(light.max(axis=2), UNCLIPPED_QUANTILE))
    return max(1.0, min(gain, 1.0 / max(highest, 1e-3)))


def is_subject_in_more_light(light: LinearLight, scene: Scene, request: Backdrop) -> bool:
    """Whether the subject stands in more light than the scene has, which no exposure of the scene can mend.

    It was lit by daylight or flash and the scene is dim, or its lights are far lighter than those of the drawn place.
    """
    if request.picture is not None:
        return False
    if scene.is_dim and request.subject_lightness is not None and request.subject_lightness >= FLASH_SUBJECT_LIGHTNESS:
        return True
    if scene.kind != "place" or request.subject_lights is None:
        return False
    lights = float(cie_lightness(float(np.quantile(relative_luminance(light[::2, ::2]), SCENE_LIGHTS_QUANTILE))))
    return request.subject_lights - lights >= MAX_LIGHTS_DIFFERENCE


def separation_gain(light: LinearLight, scene: Scene, request: Backdrop) -> float:
    """The factor that separates `light` from the subject's outline by 12 L*; 1.0 if it is separated or cannot be."""
    if request.outline_colour is None:
        return 1.0
    height, width = light.shape[:2]
    left = int((0.5 - 0.32) * width)
    right = max(left + 1, int((0.5 + 0.32) * width))
    behind = np.minimum(relative_luminance(light[height // 12 :, left:right]), 1.0)
    subject = _colour_lightness(request.outline_colour)
    seen = cie_lightness(behind)
    if float((np.abs(seen - subject) >= MIN_LIGHTNESS_DIFFERENCE).mean()) >= _OUTLINE_RATIO:
        return 1.0
    dark, bright = (float(np.quantile(behind, share)) for share in (0.85, 0.15))
    least, most = GAIN_RANGE[scene.kind]
    darker = subject - MIN_LIGHTNESS_DIFFERENCE - _LIGHTNESS_MARGIN
    lighter = subject + MIN_LIGHTNESS_DIFFERENCE + _LIGHTNESS_MARGIN
    gains = []
    if darker > 4:
        gains.append(lightness_to_luminance(darker) / max(dark, 1e-4))
    if lighter < 95:
        gains.append(lightness_to_luminance(lighter) / max(bright, 1e-4))
    gains = [gain for gain in gains if least <= gain <= most]
    return min(gains, key=lambda gain: abs(np.log(gain)), default=1.0)


def _colour_lightness(colour: Colour) -> float:
    return float(cie_lightness(float(relative_luminance(linear_colour(colour)))))
