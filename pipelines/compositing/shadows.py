"""Contact and cast shadows, and the light that a ground throws back at what stands on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

pass
from pipelines.core.geometry import Alpha, Image, PlacedSubject, Side
from pipelines.framing.camera_pitch import View
from pipelines.imaging.color import LinearImage, to_linear

BOUNCE_RATIO, BOUNCE_RADIUS_RATIO = 0.25, 0.05  # of the light that falls on the subject; and of its width

ENLARGED_BLUR_PX = 0.5  # pixels of an enlarged photo: so soft it is by then, and so is the scene behind it


@dataclass(frozen=True)
class Shadow:
    """How a subject touches the ground. `contact` and `cast` are darkenings of 0 to 1; `squash` flattens the cast one.

    `tilt` is how far it falls to the side per height, away from the key light. `drop` is for what is seen from above:
    the shadow lies beside the whole outline, as far as this share of the subject's width. `toward` is where it falls
    in that picture, right and down, as long as it is dark (0 to 1); without it, away from the key light.
    """

    contact: float = 0.58
    cast: float = 0.22
    squash: float = 0.16
    tilt: float = 0.35
    drop: float = 0.0
    toward: tuple[float, float] | None = None


# The higher the camera, the longer a shadow on the ground looks; from above it is the outline beside itself.
_SHADOW_SHAPES = {"front": (0.14, 0.35, 0.0), "three-quarter": (0.45, 0.28, 0.0), "above": (1.0, 0.06, 0.18)}


def shadow_for_view(shadow: Shadow, view: View) -> Shadow:
    """`shadow` as a camera at that height sees it."""
    squash, tilt, drop = _SHADOW_SHAPES[view]
    return replace(shadow, squash=squash, tilt=tilt, drop=drop)


def blur_quickly(values: LinearImage, radius: float) -> LinearImage:
    """A wide blur, made at a quarter of the size where that loses nothing."""
    step = 4 if radius >= 6 else 1
    height, width = values.shape[:2]
    small = cv2.resize(values, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), radius / step)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def soften_plate(plate: Image, placed: PlacedSubject) -> Image:
    """The scene no sharper than a photo that was enlarged."""
    more = ENLARGED_BLUR_PX * float(np.sqrt(max(placed.frame.scale**2 - 1, 0)))
    return plate if more < 0.3 else np.asarray(cv2.GaussianBlur(plate, (0, 0), more), np.uint8)


def shadow_map(alpha: Alpha, shadow: Shadow, key: Side) -> npt.NDArray[np.float32]:
    """What the ground keeps of its light, H x W, 0 to 1: a tight contact shadow and a soft cast one, both in one."""
    step = max(1, alpha.shape[0] // 512)
    height, width = alpha.shape
    small = np.asarray(cv2.resize(alpha, (width // step, height // step), interpolation=cv2.INTER_AREA), np.float32)
    mask = small > 0.5
    if not mask.any():
        return np.ones_like(alpha)
    columns = np.nonzero(mask.any(axis=0))[0]
    across = float(columns[-1] - columns[0] + 1)
    base = int(np.nonzero(mask.any(axis=1))[0][-1])
    if shadow.drop:
        dark = _top_view_shadow(small, shadow, key, across)
        return np.asarray(1 - cv2.resize(dark, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    dark = 1 - (1 - shadow.contact * _contact_shadow(small, across, base)) * (
        1 - _cast_shadow(small, shadow, key, across, base)
    )
    return np.asarray(1 - cv2.resize(dark, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def bounce_light(placed: PlacedSubject) -> LinearImage:
    """What the subject throws of its own colour on the ground beside it, H x W x 3, in shares of the ground's light.

    White paper under a red saucer is a little red, and its shadow more so: there is no other light.
    """
    across = np.flatnonzero((placed.alpha > 0.5).any(axis=0))
    if not len(across):
        return np.zeros_like(placed.colour, np.float32)
    lit = to_linear(placed.colour) * placed.alpha[..., None]
    return np.float32(BOUNCE_RATIO) * blur_quickly(
        lit, max(1.0, BOUNCE_RADIUS_RATIO * float(across[-1] - across[0] + 1))
    )


def _contact_shadow(alpha: Alpha, across: float, base: int) -> npt.NDArray[np.float32]:
    """A band under the lowest points of the outline, 2 % of the subject's width soft."""
    height = alpha.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    mask = alpha > 0.5
    lowest = np.where(mask.any(axis=0), height - 1 - np.argmax(mask[::-1], axis=0), -height).astype(np.float32)
    # What hangs above the ground does not touch it: contact fades over 6 % of the width.
    near = np.exp(-((np.maximum(base - lowest, 0) / (0.06 * across)) ** 2)).astype(np.float32)
    soft = max(0.8, 0.02 * across)
    band = np.exp(-(((rows - lowest[None]) / soft) ** 2)) * near[None]
    band = cv2.GaussianBlur(band.astype(np.float32), (0, 0), sigmaX=soft, sigmaY=0.35 * soft)
    return np.clip(band / max(float(band.max()), 1e-6), 0, 1)


def _cast_shadow(alpha: Alpha, shadow: Shadow, key: Side, across: float, base: int) -> npt.NDArray[np.float32]:
    """The outline laid flat on the ground, away from the key light, softer with distance."""
    height, width = alpha.shape
    lean = {"left": shadow.tilt, "right": -shadow.tilt, "none": 0.0}[key]
    # (x, y) of the outline falls to (x + lean * h, base - squash * h), h its height over the ground.
    matrix = np.array([[1, -lean, lean * base], [0, shadow.squash, base * (1 - shadow.squash)]], np.float64)
    flat = cv2.warpAffine(alpha, matrix, (width, height), flags=cv2.INTER_LINEAR)
    near = cv2.GaussianBlur(flat, (0, 0), max(0.8, 0.012 * across))
    far = cv2.GaussianBlur(flat, (0, 0), max(1.0, 0.05 * across))
    reach = max(1.0, shadow.squash * base)
    distance = np.clip((base - np.arange(height, dtype=np.float32)) / reach, 0, 1)[:, None]
    soft = near * (1 - distance) + far * distance
    spread = cv2.GaussianBlur(flat, (0, 0), sigmaX=max(1.0, 0.06 * across), sigmaY=max(1.0, 0.02 * across))
    return np.asarray(np.clip(shadow.cast * np.maximum(soft * (1 - 0.55 * distance), 0.8 * spread), 0, 1), np.float32)


def _top_view_shadow(alpha: Alpha, shadow: Shadow, key: Side, across: float) -> npt.NDArray[np.float32]:
    """From above: a thin dark line where little light comes under the edge, and the outline cast to one side.

    The cast shadow is the sum of the outline's layers, each as far away as it is high, and as soft as it is far: all
    lie away from the light, and on its side nothing is left but the line. An even glow all round is no lamp's.
    """
    right, down = {"left": 1.0, "right": -1.0, "none": 0.35}[key], 0.6
    layers, deep, soft = _LAYER_HEIGHTS, _TOP_VIEW_CAST_FACTOR * shadow.cast, 1.0
    if shadow.toward is not None:
        dark = float(np.hypot(*shadow.toward))
        right, down = (float(part) / max(dark, 1e-6) for part in shadow.toward)
        # What throws a dark shadow is small and near, and draws the rim's outline.
        layers = [
            _RIM_HEIGHT + (t - float(np.mean(_LAYER_HEIGHTS))) * (1 - _PHOTO_HARDNESS * dark) for t in _LAYER_HEIGHTS
        ]
        deep, soft = float(np.clip(dark, *_PHOTO_DARKNESS_RANGE)), 1 - _PHOTO_HARDNESS * dark
    reach = shadow.drop * across
    # Right under the edge next to no light comes in: the thin dark line by which the eye tells that something touches.
    rim = _shift_and_blur(alpha, 0.02 * reach * right, 0.05 * reach, max(0.8, 0.004 * across))
    near = _shift_and_blur(alpha, 0.10 * reach * right, 0.12 * reach, max(0.8, 0.010 * across))
    thrown = [
        _shift_and_blur(alpha, t * reach * right, t * reach * down, max(1.0, soft * (0.04 + 0.22 * t) * reach))
        for t in layers
    ]
    contact = shadow.contact * _lower_edge_weight(alpha)
    touching = (1 - 1.3 * contact * rim) * (1 - contact * near)
    kept = touching * (1 - deep * np.mean(thrown, axis=0))
    return np.asarray(np.clip(1 - kept, 0, 1), np.float32)


def _lower_edge_weight(alpha: Alpha) -> Alpha:
    """1 beside the lower part of the outline; less beside its top, which is seen before ground that lies far behind."""
    rows = np.nonzero((alpha > 0.5).any(axis=1))[0]
    down = (np.arange(len(alpha), dtype=np.float32) - rows[0]) / max(len(rows), 1)
    return np.clip(0.35 + 1.6 * down, 0.35, 1).astype(np.float32)[:, None]


def _shift_and_blur(alpha: Alpha, x: float, y: float, sigma: float) -> Alpha:
    move = np.array([[1, 0, x], [0, 1, y]], np.float64)
    there = cv2.warpAffine(alpha, move, (alpha.shape[1], alpha.shape[0]), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(there, (0, 0), sigma), np.float32)


_LAYER_HEIGHTS = (0.4, 0.6, 0.8, 1.0)  # of `drop`: a rim is at one height nearly, and its shadow has a core

_PHOTO_DARKNESS_RANGE, _PHOTO_HARDNESS = (
    (0.5, 0.95),
    0.65,
)  # how dark a photo's own shadow is made; and how much sharper a black one is

_RIM_HEIGHT = 0.54  # of `drop`: where it lies

_TOP_VIEW_CAST_FACTOR = (
    3.9  # times what is cast on ground seen from the side: there half of it is hidden behind the subject
)
