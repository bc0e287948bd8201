"""The scene fitted to the subject: white point, black, enough difference in lightness; knows no scene's drawing."""

from __future__ import annotations

import numpy as np

from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.scene_types import Scene
from pipelines.models.families.scenes.tone_mapping import (
    Linear,
    gains,
    held_mired,
    lightness,
    linear,
    luminance,
    luminance_of,
)

APART = 12.0
_SPARE = 1.0  # the outline lies before another part of the scene than the one measured here
DARKEST = 0.02  # of a scene's pixels
DEEPER, STEEPEST = 0.5, 2.0  # of the way to the subject's black; and how much contrast that may add
A_STOP_DOWN = 0.19  # linear: half of what a lit face reflects
DIMMEST = 0.42
THING_FARTHEST = 5.0  # a shop's ground is to be light
DARK, WHITE, WHITE_FARTHEST = 50.0, 90.0, 3.0  # L*
TURNED, FARTHEST = 0.5, 9.0  # of the way, and L* at most: light grey stays light grey
ROOM = (0.5, 0.9)  # how dark a shadow is in a bright room, and under one lamp alone
LAMP = {"surface": 0.8, "studio": 0.4}
# In picture heights: how far over the contact line the lamp's pool lies, how far towards the lamp, and its half width.
OVER, TOWARDS, SPREAD = 0.3, 0.12, 0.55
# By how much a scene may be made darker or lighter. A studio's lamp has a dial; a place has a time of day.
RANGE = {"studio": (0.02, 12.0), "surface": (0.55, 1.5), "place": (0.45, 2.0)}


def white_balanced(light: Linear, scene: Scene, asked: Backdrop) -> Linear:
    """`light` with the scene's white point moved within 30 mired of the photo's, where it may be."""
    if scene.own_light or asked.mired is None:
        return light
    target = held_mired(scene.mired, asked.mired)
    return light if target == scene.mired else light * gains(scene.mired, target)


def deepened(light: Linear, scene: Scene, asked: Backdrop) -> Linear:
    """`light` of a place with its darkest parts nearer to the subject's, the mean as it was.

    A small panorama out of focus has no black left, and a studio's flash has: a subject cut from one lies before the
    other like a print before fog.
    """
    if scene.kind != "place" or asked.black is None or asked.picture is not None:
        return light
    seen = np.maximum(luminance(light), 1e-5)
    dark, mean = float(np.quantile(seen, DARKEST)), float(np.minimum(seen, 1.0).mean())
    own = float(lightness(dark))
    if own <= asked.black:
        return light
    wanted = luminance_of(own - DEEPER * (own - asked.black))
    fog = (dark - wanted) / max(1 - wanted / max(mean, 1e-4), 1e-2)
    steep = mean / max(mean - fog, 1e-4)
    clear = np.where(seen > dark, np.minimum(steep, STEEPEST) * (seen - dark) + wanted, seen * (wanted / dark))
    return np.asarray(light * (clear / seen)[..., None], np.float32)


def pooled(light: Linear, scene: Scene, asked: Backdrop) -> Linear:
    """`light` of a table or a paper as one near lamp lights it: brightest behind a thing, fading to the corners.

    As much as the thing's own shadow is darker than a bright room leaves one. Even light beside it is another room's.
    """
    if asked.fallen is None or scene.kind == "place" or asked.picture is not None or asked.subject != "product":
        return light
    dark = float(np.hypot(*asked.fallen))
    strength = LAMP[scene.kind] * float(np.clip((dark - ROOM[0]) / (ROOM[1] - ROOM[0]), 0, 1))
    if not strength:
        return light
    rows, columns = light.shape[:2]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / rows
    floor = asked.floor if asked.floor is not None else 0.8
    x -= np.float32(asked.centre * columns / rows - TOWARDS * asked.fallen[0])
    y -= np.float32(floor - OVER - TOWARDS * asked.fallen[1])
    fading = (1 + strength * (x * x + y * y) / np.float32(SPREAD**2)) ** np.float32(-1.5)
    return np.asarray(light * (fading * (1 + 0.25 * strength))[..., None], np.float32)


def uncoloured(light: Linear, asked: Backdrop) -> Linear:
    """`light` without colour where the photo has none: a grey person before green grass is from another picture."""
    if not asked.monochrome or asked.picture is not None:
        return light
    return np.asarray(np.repeat(luminance(light)[..., None], 3, axis=2), np.float32)


def exposed(light: Linear, scene: Scene, asked: Backdrop) -> float:
    """The factor on `light` that a photographer would expose it by; 1.0 where nothing tells.

    Behind a person a place is about a stop darker than the face, which is what the light is set up for. Everything else
    is turned towards the lightness of the photo's own ground: what of it is left in hair and at edges is seen least,
    and a cup from a dim bar stands on no table in the sun.
    """
    seen = float(np.minimum(luminance(light), 1.0).mean())
    if scene.kind == "place" and asked.subject == "person":
        return 1.0 if scene.own_light else float(np.clip(A_STOP_DOWN / max(seen, 1e-4), DIMMEST, 1.0))
    if scene.kind == "place" or asked.behind is None:
        return 1.0
    own, old = float(lightness(seen)), float(lightness(float(luminance(linear(asked.behind)))))
    # A dark look stays dark, a white one white, and a table in the sun is never asked for.
    far = FARTHEST if asked.subject == "person" else THING_FARTHEST
    most = far if scene.kind == "studio" and own > DARK else 0.0
    least = far if own < WHITE else WHITE_FARTHEST
    turned = float(np.clip(TURNED * (old - own), -least, most))
    return luminance_of(own + turned) / max(seen, 1e-4)


def apart(light: Linear, scene: Scene, asked: Backdrop) -> float:
    """The factor on `light` that sets it 12 L* apart from the subject's outline along 80 % of it; 1.0 when it is.

    Darker or lighter, whichever takes less. 1.0 as well where neither can be had within the scene's range.
    """
    if asked.avoid is None:
        return 1.0
    height, width = light.shape[:2]
    left = int(np.clip((asked.centre - 0.32) * width, 0, width - 1))
    right = max(left + 1, int(np.clip((asked.centre + 0.32) * width, 1, width)))
    behind = np.minimum(luminance(light[height // 12 :, left:right]), 1.0)
    subject = float(lightness(float(luminance(linear(asked.avoid)))))
    seen = lightness(behind)
    if float((np.abs(seen - subject) >= APART).mean()) >= 0.8:
        return 1.0
    dark, bright = (float(np.quantile(behind, share)) for share in (0.85, 0.15))
    least, most = RANGE[scene.kind]
    options = []
    if subject - APART - _SPARE > 4:
        options.append(luminance_of(subject - APART - _SPARE) / max(dark, 1e-4))
    if subject + APART + _SPARE < 95:
        options.append(luminance_of(subject + APART + _SPARE) / max(bright, 1e-4))
    options = [gain for gain in options if least <= gain <= most]
    return min(options, key=lambda gain: abs(np.log(gain)), default=1.0)
