"""Places as a backdrop: which way the lens looks, which way the light falls, day or night; knows no files."""

from __future__ import annotations

import numpy as np

from pipelines.core.geometry import Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.panorama import Lamp, Lens, brighter_side, view
from pipelines.models.families.scenes.scene_types import Place
from pipelines.models.families.scenes.tone_mapping import Linear, luminance

FIELD = {"person": 38.0, "product": 46.0, "any": 46.0}
# A side is brighter when it gets this much more light; below it the key light has no side.
SIDED = 1.08
_NIGHT = np.array((0.52, 0.66, 1.0), np.float32)


def place(look: Place, panorama: Linear, asked: Backdrop, size: Size, variant: int, seed: int) -> Linear:
    """The place out of focus, linear light, mirrored where its key light would come from the wrong side."""
    yaw = look.yaws[variant % len(look.yaws)]
    lens = Lens(yaw, FIELD[asked.subject], size, asked.horizon, asked.blur)
    light = np.minimum(panorama * np.float32(look.exposure), np.float32(look.brightest))
    if look.night:
        light = _at_night(light, look.night)
    seen = view(light, lens, street_lamps(variant, seed) if look.lamps else (), points=look.points)
    return np.ascontiguousarray(seen[:, ::-1]) if turned(panorama, yaw, asked) else seen


def turned(panorama: Linear, yaw: float, asked: Backdrop) -> bool:
    """Whether the place at `yaw` is mirrored so that its light comes from the side asked."""
    ratio = brighter_side(panorama, yaw)
    side = "right" if ratio > SIDED else "left" if ratio < 1 / SIDED else "none"
    return "none" not in (side, asked.key) and side != asked.key


def _at_night(light: Linear, night: float) -> Linear:
    """Daylight turned down to `night`'s end: bluer and with less colour, and a warm haze over the roofs."""
    grey = np.minimum(luminance(light), 1.6)[..., None]
    dim = (grey * 0.55 + np.minimum(light, 1.6) * 0.45) * _NIGHT * np.float32(0.16)
    up = (0.5 - (np.arange(light.shape[0], dtype=np.float32) + 0.5) / light.shape[0]) * np.float32(np.pi)
    haze = 0.055 * np.exp(-(((up - 0.04) / 0.16) ** 2)).astype(np.float32)[:, None, None] * _WARM
    return np.asarray(light * (1 - night) * 0.2 + night * (dim + haze), np.float32)


def street_lamps(variant: int, seed: int) -> tuple[Lamp, ...]:
    """Lights of a street at night, as seen down its length: lamps overhead, cars below, signs and windows beside."""
    rng = np.random.default_rng(seed % 1009 * 8 + variant)
    lean = float(rng.uniform(-0.12, 0.12))
    lamps: list[Lamp] = []
    for far in np.geomspace(13, 90, 7):
        for side in (-1, 1):
            x, y = side * rng.normal(8.0, 0.5) / far, rng.normal(6.0, 0.4) / far
            lamps.append(_lamp(lean + x, y, _WARM, 13 * rng.uniform(0.7, 1.2)))
    for far in np.geomspace(16, 70, 7) * rng.uniform(0.85, 1.15, 7):
        for colour, side, power in ((_RED, 1, 7.0), (_WHITE, -1, 11.0)):
            middle = side * rng.normal(4.2, 1.4)
            for beside in (-0.75, 0.75):
                lamps.append(_lamp(lean + (middle + beside) / far, -1.0 / far, colour, power * rng.uniform(0.6, 1.2)))
    for _ in range(64):
        x = lean + rng.choice((-1, 1)) * rng.uniform(0.06, 0.66)
        colour = _SIGNS[rng.integers(len(_SIGNS))]
        lamps.append(_lamp(x, rng.triangular(-0.02, 0.05, 0.36), colour, rng.uniform(1.2, 8.0)))
    return tuple(lamps)


_WARM = np.array((1.0, 0.58, 0.22), np.float32)
_WHITE = np.array((1.0, 0.92, 0.78), np.float32)
_RED = np.array((1.0, 0.08, 0.04), np.float32)
_SIGNS = np.array(
    ((1.0, 0.62, 0.28), (1.0, 0.75, 0.5), (0.2, 0.75, 1.0), (1.0, 0.2, 0.55), (0.3, 1.0, 0.65), (1.0, 0.85, 0.65)),
    np.float32,
)


def _lamp(x: float, y: float, colour: Linear, energy: float) -> Lamp:
    return Lamp(float(np.arctan(x)), float(np.arctan(y)), colour * np.float32(energy))
