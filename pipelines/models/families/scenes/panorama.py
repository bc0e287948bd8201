"""Photographed places as backdrops: the view of a long, wide-open lens from an HDRI panorama, by day or night.

The panoramas are small (512 x 256), so a place is always out of focus. Three things make it look like a lens and not
like an enlarged thumbnail: light is summed before it is blurred, the blur is a disc, and lamps are drawn as points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.lens_blur import MIN_DISC_PX, disc_kernel
from pipelines.models.families.scenes.scene_types import PanoramaPlace
from pipelines.models.families.scenes.tone_mapping import LinearLight, relative_luminance

MAX_RADIANCE = 6.0  # radiance at which light is clamped, 1 being white
MIN_BLUR_SOURCE_PX = 2.5  # least diameter of the blur disc in pixels of the panorama
_OVERSAMPLING = 4
_SOURCE_MARGIN_PX = 4  # pixels of the panorama around the view that interpolation needs
FIELD_OF_VIEW_DEGREES = {"person": 38.0, "product": 46.0, "any": 46.0}
MAX_FIELD_DEGREES = 84.0  # of a room that is small; what is wider bends
MIN_FLOOR_DROP_RATIO = 0.2  # of the height, of the feet below the horizon
FLOOR_MARGIN_RATIO = 1.2  # how much nearer than the wall whoever stands in a room stands, at least
BRIGHT_SIDE_RATIO = 1.08  # light of one side over that of the other from which the key light has a side
_NIGHT_TINT = np.array((0.52, 0.66, 1.0), np.float32)
_WARM_LIGHT = np.array((1.0, 0.58, 0.22), np.float32)
_WHITE_LIGHT = np.array((1.0, 0.92, 0.78), np.float32)
_RED_LIGHT = np.array((1.0, 0.08, 0.04), np.float32)
_SIGN_COLOURS = np.array(
    ((1.0, 0.62, 0.28), (1.0, 0.75, 0.5), (0.2, 0.75, 1.0), (1.0, 0.2, 0.55), (0.3, 1.0, 0.65), (1.0, 0.85, 0.65)),
    np.float32,
)


@dataclass(frozen=True)
class Lens:
    """A lens. `yaw` and `field` in degrees: yaw 0 is the panorama's centre, `field` spans the shorter side.

    `size`: (width, height) of the picture, of which only the aspect ratio counts. `horizon` and `blur` (the diameter of
    the disc): shares of the height.
    """

    yaw: float
    field: float
    size: tuple[int, int]
    horizon: float
    blur: float

    @property
    def focal_length(self) -> float:
        """Focal length in picture heights."""
        return 0.5 / np.tan(np.radians(self.field) / 2) * min(1.0, self.size[0] / self.size[1])

    def blur_diameter(self, columns: int) -> float:
        """Diameter of the blur disc as a share of the height, for a panorama of `columns`."""
        return max(self.blur, MIN_BLUR_SOURCE_PX * 2 * np.pi / columns * self.focal_length)


@dataclass(frozen=True)
class Lamp:
    """A small light: angles right of and above the optical axis in radians, energy in source pixels x linear RGB."""

    right: float
    up: float
    energy: npt.NDArray[np.float32]


def read_panorama(path: Path) -> LinearLight:
    """Read the panorama at `path`: float32, H x 2H x 3, linear sRGB, not negative."""
    import OpenEXR  # its import costs time that a studio backdrop need not pay

    with OpenEXR.File(str(path)) as file:
        pixels = np.asarray(file.channels()["RGB"].pixels, np.float32)
    return fill_ringing_holes(pixels[..., :3])


def fill_ringing_holes(pixels: LinearLight) -> LinearLight:
    """Fill the black holes in the sun and beside lamps that the ringing of the downscaling filter left."""
    floor = 0.02 * float(np.median(pixels.max(axis=2)))
    hole = (pixels.min(axis=2) < floor) & (cv2.dilate(pixels.max(axis=2), np.ones((5, 5), np.uint8)) > 200 * floor)
    known = np.maximum(pixels, 0) * ~hole[..., None]
    weight = cv2.blur((~hole).astype(np.float32), (5, 5))
    filled = cv2.blur(known, (5, 5)) / np.maximum(weight, 0.04)[..., None]
    return np.where(hole[..., None], filled, np.maximum(pixels, 0)).astype(np.float32)


def measure_light_side_ratio(panorama: LinearLight, yaw: float) -> float:
    """Light from the right over light from the left at `yaw`: above 1 the key light comes from the right."""
    height, width = panorama.shape[:2]
    weight = np.cos((np.arange(height) + 0.5) / height * np.pi - np.pi / 2).astype(np.float32)
    columns = (np.minimum(relative_luminance(panorama), 60.0) * weight[:, None]).sum(axis=0)
    angle = (np.arange(width) + 0.5) / width * 2 * np.pi - np.pi - np.radians(yaw)
    side = np.sin(angle)
    return float((columns * np.maximum(side, 0)).sum() / (columns * np.maximum(-side, 0)).sum())


def render_view(panorama: LinearLight, lens: Lens, extra: tuple[Lamp, ...] = (), *, points: bool = True) -> LinearLight:
    """Render what the lens sees: linear light, H x W x 3, at a size that the blur can carry (see `MIN_DISC_PX`).

    `panorama` is exposed already: 1 is white. `extra` lamps are added. With `points` the panorama's own lamps, small
    bright places, are drawn as points too, so that each becomes a disc.
    """
    width, height = lens.size
    diameter = lens.blur_diameter(panorama.shape[1])
    rows = max(int(np.ceil(MIN_DISC_PX / diameter)), 24)
    columns = max(int(np.ceil(rows * width / height)), 24)
    margin = int(np.ceil(diameter * rows / 2)) + 2
    # Rotated by whole columns: the blur hides the rest.
    turn = -round(lens.yaw / 360 * panorama.shape[1])
    ahead = np.roll(np.minimum(panorama, MAX_RADIANCE), turn, axis=1)
    smooth, lamps = _separate_lamps(ahead) if points else (ahead, [])
    right = (np.arange(-margin, columns + margin, dtype=np.float32) + 0.5 - columns / 2) / rows
    up = lens.horizon - (np.arange(-margin, rows + margin, dtype=np.float32) + 0.5) / rows
    # The horizon is shifted as with a shift lens, not tilted, so that walls stay upright.
    work = _sample_view(smooth, *np.meshgrid(right, up), lens.focal_length)
    pixel = (2 * np.pi / panorama.shape[1] * lens.focal_length * rows) ** 2
    for lamp in (*lamps, *extra):
        x = np.tan(lamp.right) * lens.focal_length
        y = np.tan(lamp.up) * np.hypot(x, lens.focal_length)
        _splat_point(work, x * rows + columns / 2 + margin, (lens.horizon - y) * rows + margin, lamp.energy * pixel)
    seen = cv2.filter2D(work, -1, disc_kernel(diameter * rows), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.maximum(seen[margin:-margin, margin:-margin], 0), np.float32)


def _sample_view(light: LinearLight, x: LinearLight, y: LinearLight, focal: float) -> LinearLight:
    height, width = light.shape[:2]
    across = np.arctan2(x, np.float32(focal))
    along = np.arctan2(y, np.hypot(x, np.float32(focal)))
    u = (across / (2 * np.pi) + 0.5) * width
    v = (0.5 - along / np.pi) * height
    left, right = max(int(u.min()) - _SOURCE_MARGIN_PX, 0), min(int(u.max()) + _SOURCE_MARGIN_PX + 1, width)
    top, bottom = max(int(v.min()) - _SOURCE_MARGIN_PX, 0), min(int(v.max()) + _SOURCE_MARGIN_PX + 1, height)
    # Square roots are interpolated: a cubic through linear light would ring around every lamp.
    root = np.sqrt(light[top:bottom, left:right])
    fine = cv2.resize(root, None, fx=_OVERSAMPLING, fy=_OVERSAMPLING, interpolation=cv2.INTER_CUBIC)
    # A box as wide as a source pixel removes the pixel grid, which would show through the blur.
    fine = cv2.blur(cv2.blur(fine, (_OVERSAMPLING + 1, _OVERSAMPLING + 1)), (3, 3))
    u, v = (u - left) * _OVERSAMPLING - 0.5, (v - top) * _OVERSAMPLING - 0.5
    seen = cv2.remap(fine, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(np.maximum(seen, 0) ** 2, np.float32)


def _separate_lamps(light: LinearLight) -> tuple[LinearLight, list[Lamp]]:
    """Separate `light` into a smooth rest and small lamps: what a morphological opening with a 5 pixel disc removes."""
    height, width = light.shape[:2]
    grey = relative_luminance(light)
    opened = cv2.morphologyEx(grey, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    above = grey - opened
    top = (above > 0.9) & (opened < 1.2) & (grey >= cv2.dilate(grey, np.ones((5, 5), np.uint8)))
    smooth, lamps = light.copy(), []
    for row, column in np.argwhere(top[4:-4, 4:-4]) + 4:
        patch = slice(row - 2, row + 3), slice(column - 2, column + 3)
        share = (above[patch] / np.maximum(grey[patch], 1e-6))[..., None]
        part = smooth[patch] * share
        weight = relative_luminance(part)
        if weight.sum() < 0.9 or not _is_isolated_peak(grey, row, column):
            continue  # its light went to a neighbour, or it is the end of a tube or the corner of a window
        at = np.average(np.mgrid[-2:3, -2:3].reshape(2, -1), axis=1, weights=weight.ravel())
        smooth[patch] -= part
        right = ((column + at[1] + 0.5) / width - 0.5) * 2 * np.pi
        if abs(right) < 1.2:
            up = (0.5 - (row + at[0] + 0.5) / height) * np.pi
            lamps.append(Lamp(float(right), float(up), np.asarray(part.sum(axis=(0, 1)), np.float32)))
    return smooth, lamps


def _is_isolated_peak(grey: LinearLight, row: int, column: int) -> bool:
    """Whether the ring 3 to 4 pixels around a peak is dark compared with it."""
    ring = grey[row - 4 : row + 5, column - 4 : column + 5].copy()
    ring[2:7, 2:7] = 0
    return float(ring.max()) < 0.6 * float(grey[row, column])


def _splat_point(work: LinearLight, x: float, y: float, energy: npt.NDArray[np.float32]) -> None:
    """Add a point at pixel position (x, y), divided among its four pixels; nothing if it lies outside `work`."""
    column, row = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
    if not (0 <= column < work.shape[1] - 1 and 0 <= row < work.shape[0] - 1):
        return
    fx, fy = x - 0.5 - column, y - 0.5 - row
    share = np.outer((1 - fy, fy), (1 - fx, fx)).astype(np.float32)
    work[row : row + 2, column : column + 2] += share[..., None] * energy


def choose_lens(look: PanoramaPlace, request: Backdrop, size: Size, variant: int) -> Lens:
    """The lens through which variation `variant` of a place is seen."""
    yaw = look.yaws[variant % len(look.yaws)]
    field, horizon = FIELD_OF_VIEW_DEGREES[request.subject], request.horizon_ratio
    if look.floor_degrees and request.floor_ratio is not None and request.subject != "product":
        # Seen through a longer lens the feet would stand on the wall.
        steepness = FLOOR_MARGIN_RATIO * float(np.tan(np.radians(look.floor_degrees)))
        drop = max(request.floor_ratio - horizon, MIN_FLOOR_DROP_RATIO)
        room_field = 2 * float(np.degrees(np.arctan(0.5 * steepness / drop * min(1.0, size[0] / size[1]))))
        field = min(max(field, room_field), MAX_FIELD_DEGREES)
        # Of a small figure the camera is held higher instead.
        focal_length = Lens(yaw, field, size, horizon, request.blur_ratio).focal_length
        horizon = min(horizon, request.floor_ratio - steepness * focal_length)
    return Lens(yaw, field, size, horizon, request.blur_ratio)


def render_place(
    look: PanoramaPlace, panorama: LinearLight, request: Backdrop, size: Size, variant: int, seed: int
) -> LinearLight:
    """Render a place out of focus in linear light, mirrored if its key light would come from the wrong side."""
    lens = choose_lens(look, request, size, variant)
    light = np.minimum(panorama * np.float32(look.exposure), np.float32(look.brightest))
    if look.night:
        light = _darken_to_night(light, look.night)
    seen = render_view(
        light, lens, street_lamps(variant, seed) if look.has_street_lamps else (), points=look.has_point_lights
    )
    return np.ascontiguousarray(seen[:, ::-1]) if needs_mirroring(panorama, lens.yaw, request) else seen


def needs_mirroring(panorama: LinearLight, yaw: float, request: Backdrop) -> bool:
    """Whether the place at `yaw` is mirrored so that its light comes from the requested side."""
    ratio = measure_light_side_ratio(panorama, yaw)
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


def _make_lamp(x: float, y: float, colour: LinearLight, energy: float) -> Lamp:
    return Lamp(float(np.arctan(x)), float(np.arctan(y)), colour * np.float32(energy))
