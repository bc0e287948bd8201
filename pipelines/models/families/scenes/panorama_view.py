"""Photographed places as backdrops: direction of view, side of the key light, day or night."""

from __future__ import annotations

import numpy as np

from pipelines.core.geometry import Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.panorama import Lamp, Lens, light_side_ratio, render_view
from pipelines.models.families.scenes.scene_types import PanoramaPlace
from pipelines.models.families.scenes.tone_mapping import LinearLight, relative_luminance

FIELD_OF_VIEW_DEGREES = {"person": 38.0, "product": 46.0, "any": 46.0}
BRIGHT_SIDE_RATIO = 1.08
"""Light of one side over that of the other from which the key light has a side."""
_NIGHT_TINT = np.array((0.52, 0.66, 1.0), np.float32)


def render_place(
    look: PanoramaPlace, panorama: LinearLight, request: Backdrop, size: Size, variant: int, seed: int
) -> LinearLight:
    """Render a place out of focus in linear light, mirrored if its key light would come from the wrong side."""
    yaw = look.yaws[variant % len(look.yaws)]
    lens = Lens(yaw, FIELD_OF_VIEW_DEGREES[request.subject], size, request.horizon_ratio, request.blur_ratio)
    light = np.minimum(panorama * np.float32(look.exposure), np.float32(look.brightest))
    if look.night:
        light = _darken_to_night(light, look.night)
    seen = render_view(
        light, lens, street_lamps(variant, seed) if look.has_street_lamps else (), points=look.has_point_lights
    )
    return np.ascontiguousarray(seen[:, ::-1]) if is_mirrored(panorama, yaw, request) else seen


def is_mirrored(panorama: LinearLight, yaw: float, request: Backdrop) -> bool:
    """Whether the place at `yaw` is mirrored so that its light comes from the requested side."""
    ratio = light_side_ratio(panorama, yaw)
    side = "right" if ratio > BRIGHT_SIDE_RATIO else "left" if ratio < 1 / BRIGHT_SIDE_RATIO else "none"
    return "none" not in (side, request.key_light_side) and side != request.key_light_side


def _darken_to_night(light: LinearLight, night: float) -> LinearLight:
    """Darken daylight by `night`, 0 to 1: bluer, less colour, and a warm haze above the horizon."""
    grey = np.minimum(relative_luminance(light), 1.6)[..., None]
    dim = (grey * 0.55 + np.minimum(light, 1.6) * 0.45) * _NIGHT_TINT * np.float32(0.16)
    up = (0.5 - (np.arange(light.shape[0], dtype=np.float32) + 0.5) / light.shape[0]) * np.float32(np.pi)
    haze = 0.055 * np.exp(-(((up - 0.04) / 0.16) ** 2)).astype(np.float32)[:, None, None] * _WARM_LIGHT
    return np.asarray(light * (1 - night) * 0.2 + night * (dim + haze), np.float32)


def street_lamps(variant: int, seed: int) -> tuple[Lamp, ...]:
    """The lights of a street at night, seen along it: lamps above, cars below, signs and windows at the sides."""
    rng = np.random.default_rng(seed % 1009 * 8 + variant)
    lean = float(rng.uniform(-0.12, 0.12))
    lamps: list[Lamp] = []
    for far in np.geomspace(13, 90, 7):
        for side in (-1, 1):
            x, y = side * rng.normal(8.0, 0.5) / far, rng.normal(6.0, 0.4) / far
            lamps.append(_make_lamp(lean + x, y, _WARM_LIGHT, 13 * rng.uniform(0.7, 1.2)))
    for far in np.geomspace(16, 70, 7) * rng.uniform(0.85, 1.15, 7):
        for colour, side, power in ((_RED_LIGHT, 1, 7.0), (_WHITE_LIGHT, -1, 11.0)):
            middle = side * rng.normal(4.2, 1.4)
            for beside in (-0.75, 0.75):
                lamps.append(
                    _make_lamp(lean + (middle + beside) / far, -1.0 / far, colour, power * rng.uniform(0.6, 1.2))
                )
    for _ in range(64):
        x = lean + rng.choice((-1, 1)) * rng.uniform(0.06, 0.66)
        colour = _SIGN_COLOURS[rng.integers(len(_SIGN_COLOURS))]
        lamps.append(_make_lamp(x, rng.triangular(-0.02, 0.05, 0.36), colour, rng.uniform(1.2, 8.0)))
    return tuple(lamps)


_WARM_LIGHT = np.array((1.0, 0.58, 0.22), np.float32)
_WHITE_LIGHT = np.array((1.0, 0.92, 0.78), np.float32)
_RED_LIGHT = np.array((1.0, 0.08, 0.04), np.float32)
_SIGN_COLOURS = np.array(
    ((1.0, 0.62, 0.28), (1.0, 0.75, 0.5), (0.2, 0.75, 1.0), (1.0, 0.2, 0.55), (0.3, 1.0, 0.65), (1.0, 0.85, 0.65)),
    np.float32,
)


def _make_lamp(x: float, y: float, colour: LinearLight, energy: float) -> Lamp:
    return Lamp(float(np.arctan(x)), float(np.arctan(y)), colour * np.float32(energy))
