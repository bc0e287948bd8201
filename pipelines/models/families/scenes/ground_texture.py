"""The ground of a place around whoever stands on it: in focus there, with detail that a blurred place lacks.

A lens that blurs a place blurs its ground less and less towards the subject's feet, and a sharp subject on an even blur
looks pasted at first sight. Panoramas have no detail to show there, so it is computed: texture on the ground that a
place has, and a terrace where a photograph shows water, roofs or the sky instead of a ground.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.core.geometry import Size
from pipelines.core.rendering import Backdrop
from pipelines.models.families.scenes.lens_blur import blur_with_discs
from pipelines.models.families.scenes.noise import Plane, fractal_noise
from pipelines.models.families.scenes.scene_types import GroundCover
from pipelines.models.families.scenes.tone_mapping import LinearLight, relative_luminance

EYE_HEIGHT_METRES = 1.5  # of whoever holds the camera
DEFAULT_FLOOR_RATIO = 0.9  # of the height, from the top: where feet are whose place is not known
MIN_SEEN_DROP_RATIO = 0.02  # of the height, below the horizon: from there on the ground is seen
MIN_FOOT_DROP_RATIO = 0.2  # of the height, of the feet below the horizon: less is a camera that lies on the ground
FOCUS_DEPTH_RATIO = 0.2  # of the way from the horizon to the feet, before and behind them, that is in focus
DETAIL_BLUR_RATIO = 0.5  # of the blur disc's diameter: smaller detail is gone
MAX_SHOWN_LINEAR_LIGHT = 4.0  # what is brighter is white at every exposure
FLOOR_FADE_RATIOS = (1.1, 1.6)  # of the distance to the feet, over which the texture of a floor fades
BLADE_METRES = 0.018  # width of a blade of grass
COARSEST_BLADE_LEVEL, FINEST_BLADE_LEVEL = 8, -1  # binary logarithm of a blade's width in pixels, as far as it is drawn
TERRACE_DEPTH_RATIO = 1.5  # of the distance to the feet: where the terrace ends
MIRROR_RATIO = 0.6  # of the light at the terrace's far edge that the place gives, mirrored
SLAB_METRES = 0.8
EVEN_WIDTH_RATIO = 0.3  # of the width, sigma of what the ground is evened to
EVEN_STEPS = 8  # pixels of the narrow copy in that sigma
EVEN_SHARE = 0.75  # of what differs from side to side
EVEN_DISTANCE_RATIOS = (3.0, 1.3)  # of the distance to the feet: none of it beyond the first, all before the second
SLAB_SHIFT_RATIO = 0.37  # of a slab: no joint runs to the middle of the picture
SLAB_TONE_DEVIATION = 0.06  # deviation between slabs, in natural logarithms of light
JOINT_HALF_WIDTH_METRES = 0.004  # half the width of a joint
JOINT_DARKNESS_RATIO = 0.5  # of the light beside it that a joint lacks
PAVING_ALBEDO_RATIO = 0.62  # over that of a grey card, since the ground faces the sky and walls do not
MIN_PAVING_LINEAR_LIGHT = 0.02  # even at night some falls on the ground


@dataclass(frozen=True)
class GroundCamera:
    """The camera that sees a place: the row of its horizon and its focal length, in picture heights."""

    horizon: float
    focal_length: float


@dataclass(frozen=True)
class GroundPlane:
    """Level ground as the camera sees it from the row `first` down.

    `right` and `away` (H x W) are a pixel's place in metres, `across` and `along` (H x 1) its size there. `blur`
    (H x 1) is the diameter of the blur disc in pixels. `feet` is how far away the subject stands, in metres.
    """

    first: int
    right: Plane
    away: Plane
    across: Plane
    along: Plane
    blur: Plane
    feet: float

    @property
    def smallest_detail(self) -> Plane:
        """Size in pixels of the smallest detail that is seen, H x 1."""
        return np.maximum(np.float32(1), np.float32(DETAIL_BLUR_RATIO) * self.blur)

    def nearer_than(self, metres: float) -> GroundPlane:
        """The part of it that is at most so far away."""
        row = int(np.argmax(self.away[:, 0] <= metres))
        parts = {name: getattr(self, name)[row:] for name in ("right", "away", "across", "along", "blur")}
        return replace(self, first=self.first + row, **parts)


def project_ground(request: Backdrop, size: Size, camera: GroundCamera) -> GroundPlane:
    """Project the ground of a picture of `size` (width, height)."""
    columns, rows = size
    floor = DEFAULT_FLOOR_RATIO if request.floor_ratio is None else request.floor_ratio
    horizon = min(camera.horizon, floor - MIN_FOOT_DROP_RATIO)
    first = max(0, int(np.ceil((horizon + MIN_SEEN_DROP_RATIO) * rows)))
    drop = ((np.arange(first, rows, dtype=np.float32) + 0.5) / rows - np.float32(horizon))[:, None]
    away = np.float32(EYE_HEIGHT_METRES * camera.focal_length) / drop
    x = (np.arange(columns, dtype=np.float32) + 0.5 - columns / 2) / rows
    # Of a plane the blur of a thin lens grows linearly with the distance from the row in focus.
    defocus = np.maximum(np.abs(1 - drop / (floor - horizon)) - FOCUS_DEPTH_RATIO, 0)
    return GroundPlane(
        first=first,
        right=np.asarray(EYE_HEIGHT_METRES / drop * x[None], np.float32),
        away=np.repeat(away, columns, axis=1),
        across=np.asarray(EYE_HEIGHT_METRES / drop / rows, np.float32),
        along=np.asarray(away / drop / rows, np.float32),
        blur=np.asarray(defocus * request.blur_ratio * rows, np.float32),
        feet=EYE_HEIGHT_METRES * camera.focal_length / (floor - horizon),
    )


def add_ground_texture(
    light: LinearLight, cover: GroundCover, request: Backdrop, size: Size, camera: GroundCamera, seed: int
) -> LinearLight:
    """Give the ground in `light` (of any size) the texture of its `cover`, sharp at the feet; returns it at `size`."""
    light = _resize_linear_light(light, size)
    ground = project_ground(request, size, camera)
    if not ground.away.size:
        return light
    light[ground.first :] = _even_ground(light[ground.first :], ground)
    light[ground.first :] *= np.exp(TEXTURES[cover](ground, seed % 997))[..., None]
    return light


def _even_ground(light: LinearLight, ground: GroundPlane) -> LinearLight:
    """Return the ground's light with less of what differs from side to side, from where the feet are on.

    The panorama has a pixel for half a metre of it: a kerb is a cloud there, on which nobody stands.
    """
    sigma = EVEN_WIDTH_RATIO * light.shape[1]
    step = max(1, int(sigma) // EVEN_STEPS)
    narrow = cv2.resize(light, (max(1, light.shape[1] // step), light.shape[0]), interpolation=cv2.INTER_AREA)
    narrow = cv2.GaussianBlur(narrow, (0, 0), sigmaX=sigma / step, sigmaY=1.0, borderType=cv2.BORDER_REPLICATE)
    even = cv2.resize(narrow, light.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    farthest, nearest = EVEN_DISTANCE_RATIOS
    share = EVEN_SHARE * np.clip((farthest - ground.away[:, :1] / ground.feet) / (farthest - nearest), 0, 1)
    return np.asarray(light + share[..., None] * (even - light), np.float32)


def _resize_linear_light(light: LinearLight, size: Size) -> LinearLight:
    """Resize linear light; square roots are interpolated, since a cubic would ring around every lamp."""
    root = np.sqrt(np.minimum(light, np.float32(MAX_SHOWN_LINEAR_LIGHT)))
    return np.asarray(np.maximum(cv2.resize(root, size, interpolation=cv2.INTER_CUBIC), 0) ** 2, np.float32)


def _texture_grass(ground: GroundPlane, seed: int) -> Plane:
    """Return blades and tufts of grass as logarithms of light.

    What stands upright does not run to the vanishing point as the ground does. So it is drawn in the picture's plane,
    at widths that double from level to level, each shown in the rows where that is about a blade's width.
    """
    level = np.log2(np.float32(BLADE_METRES) / ground.across)
    rows, columns = ground.right.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    texture = np.zeros((rows, columns), np.float32)
    for n in range(FINEST_BLADE_LEVEL, COARSEST_BLADE_LEVEL + 1):
        share = np.clip(1 - np.abs(level[:, 0] - n), 0, 1)
        shown = np.flatnonzero(share)
        if not shown.size:
            continue
        part = slice(int(shown[0]), int(shown[-1]) + 1)
        px = np.float32(2.0**n)
        grain = ground.smallest_detail[part] / px
        blades = fractal_noise(
            x[part] / px, y[part] / (3 * px), seed + 7 * (n - FINEST_BLADE_LEVEL), 3, fall=0.8, grain=grain
        )
        tufts = fractal_noise(
            x[part] / (9 * px), y[part] / (7 * px), seed + 7 * (n - FINEST_BLADE_LEVEL) + 3, 2, grain=grain / 9
        )
        # Two levels of noise are independent: their deviation stays the same if the squares of their shares sum to 1.
        texture[part] += (np.float32(0.22) * blades + np.float32(0.12) * tufts) * np.sqrt(share[part])[:, None]
    return texture


def _texture_flat(ground: GroundPlane, seed: int, width: float, strength: float, *, fall: float, octaves: int) -> Plane:
    """Return noise that lies on the ground, with features of `width` metres and smaller, as logarithms of light."""
    pixel = 0.5 * ground.across + 0.5 * np.maximum(ground.along, ground.across)
    u, v = ground.right / np.float32(width), ground.away / np.float32(width)
    grain = pixel * ground.smallest_detail / np.float32(width)
    return np.float32(strength) * fractal_noise(u, v, seed, octaves, fall=fall, grain=grain)


def _texture_earth(ground: GroundPlane, seed: int) -> Plane:
    """Earth, leaves and needles: coarse and rough."""
    return _texture_flat(ground, seed + 1, 0.09, 0.28, fall=0.8, octaves=5)


def _texture_stone(ground: GroundPlane, seed: int) -> Plane:
    """Asphalt and stone: grit, and stains."""
    grit = _texture_flat(ground, seed + 1, 0.014, 0.10, fall=0.9, octaves=3)
    return grit + _texture_flat(ground, seed + 2, 0.5, 0.05, fall=0.65, octaves=5)


def _texture_floor(ground: GroundPlane, seed: int) -> Plane:
    """A floor indoors: smooth, and worn. It ends soon behind the feet, where a wall may stand."""
    nearest, farthest = FLOOR_FADE_RATIOS
    near = ground.nearer_than(farthest * ground.feet)
    tooth = _texture_flat(near, seed + 1, 0.008, 0.045, fall=0.9, octaves=2)
    worn = tooth + _texture_flat(near, seed + 2, 0.4, 0.025, fall=0.75, octaves=6)
    texture = np.zeros_like(ground.away)
    texture[near.first - ground.first :] = worn * np.clip(
        (farthest - near.away / near.feet) / (farthest - nearest), 0, 1
    )
    return texture


TEXTURES: Mapping[GroundCover, Callable[[GroundPlane, int], Plane]] = {
    "grass": _texture_grass,
    "earth": _texture_earth,
    "stone": _texture_stone,
    "floor": _texture_floor,
}


def lay_terrace(light: LinearLight, request: Backdrop, camera: GroundCamera, seed: int) -> LinearLight:
    """Lay a terrace of slabs before a view that has no ground for the subject's feet."""
    rows, columns = light.shape[:2]
    ground = project_ground(request, (columns, rows), camera)
    if not ground.away.size:
        return light
    edge = TERRACE_DEPTH_RATIO * ground.feet
    ground = ground.nearer_than(edge)
    u = ground.right / np.float32(SLAB_METRES) + np.float32(SLAB_SHIFT_RATIO)
    v = (ground.away - np.float32(edge)) / np.float32(SLAB_METRES)
    tones = np.random.default_rng(seed).standard_normal((64, 64)).astype(np.float32)
    slab_tone = tones[np.floor(v).astype(np.int64) & 63, np.floor(u).astype(np.int64) & 63]
    joints = np.maximum(_draw_joints(u, ground.across), _draw_joints(v, ground.along))
    tone = _texture_stone(ground, seed % 997) + np.float32(SLAB_TONE_DEVIATION) * slab_tone
    view = np.minimum(light[: max(1, ground.first)], 1.5).mean(axis=(0, 1))
    lit = PAVING_ALBEDO_RATIO * np.maximum(0.6 * view + 0.4 * relative_luminance(view), MIN_PAVING_LINEAR_LIGHT)
    # Brightness and coverage are blurred together, and the far edge as much as the place behind it: else it is ruled.
    place_blur = (1 - FOCUS_DEPTH_RATIO) * request.blur_ratio * rows
    top = max(0, ground.first - int(np.ceil(place_blur)) - 2)
    above = ground.first - top
    layer = np.zeros((rows - top, columns, 2), np.float32)
    layer[above:, :, 0] = np.exp(tone) * (1 - JOINT_DARKNESS_RATIO * joints)
    layer[above:, :, 1] = 1
    below_edge = np.maximum(np.arange(rows - top, dtype=np.float32) - above, 0)
    own_blur = np.concatenate([np.full(above, ground.blur[0, 0], np.float32), ground.blur[:, 0]])
    diameters = np.maximum(own_blur, np.float32(place_blur) - 2 * below_edge)
    layer = blur_with_discs(layer, diameters[:, None])
    light = light.copy()
    glow, share = _mirror_place(light, ground.first, top)
    paved = (1 - share) * lit * layer[..., :1] + share * glow * layer[..., 1:]
    light[top:] = paved + light[top:] * (1 - layer[..., 1:])
    return light


def _mirror_place(light: LinearLight, edge: int, top: int) -> tuple[LinearLight, Plane]:
    """Return the place above the row `edge` as stone mirrors it, strongly blurred, from the row `top` down, and its
    share of the light there (H x 1 x 1), which falls towards the viewer."""
    rows, columns = light.shape[:2]
    below = np.clip((np.arange(top, rows, dtype=np.float32) - edge) / max(rows - edge, 1), 0, 1)[:, None, None]
    share = np.float32(MIRROR_RATIO) * (1 - below) ** 2
    if edge < 2:
        return light[top:], 0 * share
    small = cv2.resize(light[:edge], (24, 6), interpolation=cv2.INTER_AREA)[::-1]
    small = cv2.GaussianBlur(np.minimum(small, 1.5), (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
    glow = np.maximum(cv2.resize(small, (columns, rows - edge), interpolation=cv2.INTER_CUBIC), 0)
    return np.asarray(np.concatenate([np.repeat(glow[:1], edge - top, axis=0), glow]), np.float32), share


def _draw_joints(at: Plane, pixel: Plane) -> Plane:
    """Return 1 in the joints, where `at` (in slabs) is a whole number; one narrower than a pixel is paler instead."""
    near = np.abs(at - np.round(at)) * np.float32(SLAB_METRES)
    half = np.maximum(np.float32(JOINT_HALF_WIDTH_METRES), pixel * np.float32(0.8))
    return np.asarray(np.clip(1.5 - near / half, 0, 1) * np.clip(JOINT_HALF_WIDTH_METRES / half, 0.1, 1), np.float32)
