"""The scene fitted to the subject: white point, black, enough difference in lightness; knows no scene's drawing."""

from __future__ import annotations

import numpy as np

from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.scene_types import Scene
from pipelines.models.families.scenes.tone_mapping import (
    LinearLight,
    cie_lightness,
    limit_white_mired,
    linear_colour,
    luminance_from_lightness,
    relative_luminance,
    white_balance_gains,
)

MIN_LIGHTNESS_DIFFERENCE = 12.0
_LIGHTNESS_MARGIN = 1.0  # the outline lies before another part of the scene than the one measured here
DARK_QUANTILE = 0.02  # of a scene's pixels
BLACK_SHIFT_RATIO, MAX_CONTRAST_GAIN = 0.5, 2.0  # of the way to the subject's black; and how much contrast that may add
PLACE_MEAN_LUMINANCE = 0.19  # linear: half of what a lit face reflects
MIN_PLACE_GAIN = 0.42
MAX_PRODUCT_LIGHTNESS_SHIFT = 5.0  # a shop's ground is to be light
DARK_SCENE_LIGHTNESS, WHITE_SCENE_LIGHTNESS, MAX_WHITE_LIGHTNESS_SHIFT = 50.0, 90.0, 3.0  # L*
LIGHTNESS_SHIFT_RATIO, MAX_LIGHTNESS_SHIFT = 0.5, 9.0  # of the way, and L* at most: light grey stays light grey
SHADOW_DARKNESS_RANGE = (0.5, 0.9)  # how dark a shadow is in a bright room, and under one lamp alone
LAMP_STRENGTH = {"surface": 0.8, "studio": 0.4}
# In picture heights: how far over the contact line the lamp's pool lies, how far towards the lamp, and its half width.
POOL_HEIGHT_RATIO, POOL_SHIFT_RATIO, POOL_RADIUS_RATIO = 0.3, 0.12, 0.55
# By how much a scene may be made darker or lighter. A studio's lamp has a dial; a place has a time of day.
GAIN_RANGE = {"studio": (0.02, 12.0), "surface": (0.55, 1.5), "place": (0.45, 2.0)}


def match_white_point(light: LinearLight, scene: Scene, asked: Backdrop) -> LinearLight:
    """`light` with the scene's white point moved within 30 mired of the photo's, where it may be."""
    if scene.keeps_white_point or asked.white_point_mired is None:
        return light
    target = limit_white_mired(scene.mired, asked.white_point_mired)
    return light if target == scene.mired else light * white_balance_gains(scene.mired, target)


def match_black_point(light: LinearLight, scene: Scene, asked: Backdrop) -> LinearLight:
    """`light` of a place with its darkest parts nearer to the subject's, the mean as it was.

    A small panorama out of focus has no black left, and a studio's flash has: a subject cut from one lies before the
    other like a print before fog.
    """
    if scene.kind != "place" or asked.shadow_lightness is None or asked.picture is not None:
        return light
    seen = np.maximum(relative_luminance(light), 1e-5)
    dark, mean = float(np.quantile(seen, DARK_QUANTILE)), float(np.minimum(seen, 1.0).mean())
    own = float(cie_lightness(dark))
    if own <= asked.shadow_lightness:
        return light
    wanted = luminance_from_lightness(own - BLACK_SHIFT_RATIO * (own - asked.shadow_lightness))
    fog = (dark - wanted) / max(1 - wanted / max(mean, 1e-4), 1e-2)
    steep = mean / max(mean - fog, 1e-4)
    clear = np.where(seen > dark, np.minimum(steep, MAX_CONTRAST_GAIN) * (seen - dark) + wanted, seen * (wanted / dark))
    return np.asarray(light * (clear / seen)[..., None], np.float32)


def add_lamp_pool(light: LinearLight, scene: Scene, asked: Backdrop) -> LinearLight:
    """`light` of a table or a paper as one near lamp lights it: brightest behind a thing, fading to the corners.

    As much as the thing's own shadow is darker than a bright room leaves one. Even light beside it is another room's.
    """
    if (
        asked.shadow_direction is None
        or scene.kind == "place"
        or asked.picture is not None
        or asked.subject != "product"
    ):
        return light
    dark = float(np.hypot(*asked.shadow_direction))
    strength = LAMP_STRENGTH[scene.kind] * float(
        np.clip((dark - SHADOW_DARKNESS_RANGE[0]) / (SHADOW_DARKNESS_RANGE[1] - SHADOW_DARKNESS_RANGE[0]), 0, 1)
    )
    if not strength:
        return light
    rows, columns = light.shape[:2]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / rows
    floor = asked.floor_ratio if asked.floor_ratio is not None else 0.8
    x -= np.float32(asked.centre_ratio * columns / rows - POOL_SHIFT_RATIO * asked.shadow_direction[0])
    y -= np.float32(floor - POOL_HEIGHT_RATIO - POOL_SHIFT_RATIO * asked.shadow_direction[1])
    fading = (1 + strength * (x * x + y * y) / np.float32(POOL_RADIUS_RATIO**2)) ** np.float32(-1.5)
    return np.asarray(light * (fading * (1 + 0.25 * strength))[..., None], np.float32)


def match_monochrome(light: LinearLight, asked: Backdrop) -> LinearLight:
    """`light` without colour where the photo has none: a grey person before green grass is from another picture."""
    if not asked.monochrome or asked.picture is not None:
        return light
    return np.asarray(np.repeat(relative_luminance(light)[..., None], 3, axis=2), np.float32)


def exposure_gain(light: LinearLight, scene: Scene, asked: Backdrop) -> float:
    """The factor on `light` that a photographer would expose it by; 1.0 where nothing tells.

    Behind a person a place is about a stop darker than the face, which is what the light is set up for. Everything else
    is turned towards the lightness of the photo's own ground: what of it is left in hair and at edges is seen least,
    and a cup from a dim bar stands on no table in the sun.
    """
    seen = float(np.minimum(relative_luminance(light), 1.0).mean())
    if scene.kind == "place" and asked.subject == "person":
        return (
            1.0
            if scene.keeps_white_point
            else float(np.clip(PLACE_MEAN_LUMINANCE / max(seen, 1e-4), MIN_PLACE_GAIN, 1.0))
        )
    if scene.kind == "place" or asked.original_background is None:
        return 1.0
    own, old = (
        float(cie_lightness(seen)),
        float(cie_lightness(float(relative_luminance(linear_colour(asked.original_background))))),
    )
    # A dark look stays dark, a white one white, and a table in the sun is never asked for.
    far = MAX_LIGHTNESS_SHIFT if asked.subject == "person" else MAX_PRODUCT_LIGHTNESS_SHIFT
    most = far if scene.kind == "studio" and own > DARK_SCENE_LIGHTNESS else 0.0
    least = far if own < WHITE_SCENE_LIGHTNESS else MAX_WHITE_LIGHTNESS_SHIFT
    turned = float(np.clip(LIGHTNESS_SHIFT_RATIO * (old - own), -least, most))
    return luminance_from_lightness(own + turned) / max(seen, 1e-4)


def separation_gain(light: LinearLight, scene: Scene, asked: Backdrop) -> float:
    """The factor on `light` that sets it 12 L* apart from the subject's outline along 80 % of it; 1.0 when it is.

    Darker or lighter, whichever takes less. 1.0 as well where neither can be had within the scene's range.
    """
    if asked.outline_colour is None:
        return 1.0
    height, width = light.shape[:2]
    left = int(np.clip((asked.centre_ratio - 0.32) * width, 0, width - 1))
    right = max(left + 1, int(np.clip((asked.centre_ratio + 0.32) * width, 1, width)))
    behind = np.minimum(relative_luminance(light[height // 12 :, left:right]), 1.0)
    subject = float(cie_lightness(float(relative_luminance(linear_colour(asked.outline_colour)))))
    seen = cie_lightness(behind)
    if float((np.abs(seen - subject) >= MIN_LIGHTNESS_DIFFERENCE).mean()) >= 0.8:
        return 1.0
    dark, bright = (float(np.quantile(behind, share)) for share in (0.85, 0.15))
    least, most = GAIN_RANGE[scene.kind]
    options = []
    if subject - MIN_LIGHTNESS_DIFFERENCE - _LIGHTNESS_MARGIN > 4:
        options.append(
            luminance_from_lightness(subject - MIN_LIGHTNESS_DIFFERENCE - _LIGHTNESS_MARGIN) / max(dark, 1e-4)
        )
    if subject + MIN_LIGHTNESS_DIFFERENCE + _LIGHTNESS_MARGIN < 95:
        options.append(
            luminance_from_lightness(subject + MIN_LIGHTNESS_DIFFERENCE + _LIGHTNESS_MARGIN) / max(bright, 1e-4)
        )
    options = [gain for gain in options if least <= gain <= most]
    return min(options, key=lambda gain: abs(np.log(gain)), default=1.0)
