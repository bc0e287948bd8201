"""Reading light: a photo's white point, the side its key light comes from; and linear light itself."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.types import Alpha, Backdrop, Colour, Face, Image, Placed, Side
from pipelines.matting.boundary_refinement import shrunk

Linear = npt.NDArray[np.float32]

# Cheeks of the 468-point mesh, the subject's right one first (it lies on the left of the picture).
_CHEEKS = ((50, 101, 205), (280, 330, 425))
KEY_RATIO = 1.15
# Beside an outline, in shares of the subject's width: where its shadow lies, and where it has ended.
_RINGS = ((0.01, 0.07), (0.14, 0.3))
_WITHIN, _DARK = 0.7, 0.75  # cosine of what lies that way, and the quantile there that tells how dark it is
_GROUND_SIDE = 256  # pixels of the copy on which the ground is read
_FALLEN = 0.1  # mean darkness beside the outline, of one way minus the other
D65_MIRED = 153.8
# A scene lit by candles or by open shade is still a scene; beyond this the estimate is of objects, not of light.
_MIRED_RANGE = (114.0, 200.0)
_KELVIN = (4000.0, 8800.0)
_WHITE, _CREAM = 0.04, 30.0  # of a thing's pixels so many of at most that chroma are white under some lamp
_BLACK = 0.01
_COLOURLESS = 2.5  # chroma of Lab: JPEG's rounding makes as much of grey, and nobody sees it
_GREY = 0.02  # of a photo's pixels: as much of it bright and nearly grey tells the light

_BESIDE = (0.01, 0.05)  # of the height: there the photo's own ground is read

_codes = np.arange(256, dtype=np.float64) / 255
_TO_LINEAR = np.where(_codes <= 0.04045, _codes / 12.92, ((_codes + 0.055) / 1.055) ** 2.4).astype(np.float32)
_STEPS = 1 << 14
_light = np.linspace(0, 1, _STEPS + 1)
_TO_SRGB = (255 * np.where(_light <= 0.0031308, 12.92 * _light, 1.055 * _light ** (1 / 2.4) - 0.055)).astype(np.float32)


def to_linear(image: Image) -> Linear:
    """sRGB bytes to linear light, 0 to 1."""
    return _TO_LINEAR[image]


def to_srgb(light: npt.NDArray[np.floating]) -> Linear:
    """Linear light to sRGB values of 0 to 255, not yet rounded."""
    return np.asarray(_TO_SRGB[(np.clip(light, 0, 1) * _STEPS + 0.5).astype(np.int32)], np.float32)


def lightness(image: Image) -> npt.NDArray[np.float32]:
    """CIE L*, 0 to 100, of an RGB picture."""
    scaled = image.astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[..., 0], np.float32)


def white_point(image: Image, alpha: Alpha | None = None) -> float:
    """The light's colour temperature in mired, read from the whole photo.

    Shades of grey (Finlayson and Trezzi 2004, Minkowski norm 6) for the illuminant, McCamy 1992 for its temperature;
    half way to D65, since skin and walls pull the estimate, and a quarter where next to nothing is bright and grey: a
    photo that is all flower tells the flower's colour, not the light's. Where a thing's `alpha` is given and some of it
    is nearly white, that white tells it instead: china under a bulb looks cream.
    """
    small = np.asarray(cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
    light = to_linear(small).reshape(-1, 3).astype(np.float64)
    usable = light[(light.max(axis=1) < 0.98) & (light.max(axis=1) > 0.01)]
    if len(usable) < 100:
        return D65_MIRED
    grey = _nearly_grey(small)
    if alpha is not None:
        own = cv2.resize(alpha, (128, 128), interpolation=cv2.INTER_AREA) > 0.9
        white = own & _nearly_grey(small, _CREAM) & (small.max(axis=2) < 250)
        if white.sum() >= _WHITE * own.sum() > 0:
            return _mired(to_linear(small)[white].astype(np.float64).mean(axis=0))
    mired = float(np.clip(_mired(np.power(np.power(usable, 6).mean(axis=0), 1 / 6)), *_MIRED_RANGE))
    return D65_MIRED + 0.5 * float(np.clip(grey.mean() / _GREY, 0.5, 1)) * (mired - D65_MIRED)


def _nearly_grey(image: Image, most: float = 22.0) -> npt.NDArray[np.bool_]:
    """Where a picture is bright and has a chroma below `most`."""
    lab = cv2.cvtColor(np.asarray(image, np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray((lab[..., 0] > 60) & (np.hypot(lab[..., 1], lab[..., 2]) < most))


def _mired(light: npt.NDArray[np.float64]) -> float:
    """The correlated colour temperature of a linear sRGB colour, in mired, within what lamps and skies have."""
    r, g, b = light
    x, y, z = (
        0.4124 * r + 0.3576 * g + 0.1805 * b,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        0.0193 * r + 0.1192 * g + 0.9505 * b,
    )
    cx, cy = x / (x + y + z), y / (x + y + z)
    n = (cx - 0.3320) / (0.1858 - cy)
    kelvin = 449 * n**3 + 3525 * n**2 + 6823.3 * n + 5520.33
    return 1e6 / float(np.clip(kelvin, *_KELVIN))


def key_side(image: Image, face: Face) -> Side:
    """Which side of the picture the key light comes from: the brighter cheek's, if it is 1.15 x the other's."""
    left, right = (_cheek(image, face, points) for points in _CHEEKS)
    if max(left, right) < KEY_RATIO * min(left, right):
        return "none"
    return "left" if left > right else "right"


def fallen(image: Image, alpha: Alpha) -> tuple[float, float] | None:
    """Which way the subject's own shadow falls in the photo, right and down, as long as it is dark (0 to 1); or None.

    The ground right beside the outline against the ground farther out, all round: the shadow is where it is darker.
    """
    size = shrunk(alpha.shape, _GROUND_SIDE)
    small = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    light = to_linear(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)).mean(axis=2)
    columns = np.flatnonzero((small > 0.5).any(axis=0))
    if not len(columns):
        return None
    away = cv2.distanceTransform((small < 0.05).astype(np.uint8), cv2.DIST_L2, 5) / len(columns)
    near, far = ((away > a) & (away < b) for a, b in _RINGS)
    if min(near.sum(), far.sum()) < 48:
        return None
    smooth = np.asarray(cv2.GaussianBlur(away, (0, 0), 2.0), np.float32)
    out = np.stack([cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x)[near] for x in (1, 0)], axis=1)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    dark = np.clip(1 - light[near] / max(float(np.median(light[far])), 1e-3), 0, 1)
    # What is nearly as dark as that all round is a darker table, and a spot of dirt is no shadow.
    pull = (dark[:, None] * out).mean(axis=0)
    length = float(np.hypot(*pull))
    if length < _FALLEN:
        return None
    right, down = (float(part) / length for part in pull)
    depth = float(np.quantile(dark[out @ np.array((right, down)) > _WITHIN], _DARK))
    return right * depth, down * depth


def _cheek(image: Image, face: Face, points: tuple[int, ...]) -> float:
    x, y = face.landmarks[list(points)].mean(axis=0)
    reach = max(2, int(0.08 * face.eye_distance))
    rows = slice(max(0, int(y) - reach), int(y) + reach + 1)
    columns = slice(max(0, int(x) - reach), int(x) + reach + 1)
    patch = image[rows, columns]
    return float(to_linear(patch).mean()) + 1e-4 if patch.size else 1e-4


def outline_colour(image: Image, alpha: Alpha) -> Colour:
    """The typical colour of the subject along its outline, a band of 2 % of the height inside it.

    The median, not the mean: a dark suit and a white hat are not grey, and most of the outline must stand out.
    """
    band = max(2, int(0.02 * image.shape[0]))
    solid = (alpha > 0.9).astype(np.uint8)
    inner = cv2.erode(solid, np.ones((2 * band + 1, 2 * band + 1), np.uint8))
    rim = (solid > 0) & (inner == 0)
    if not rim.any():
        return 128, 128, 128
    r, g, b = np.median(image[rim], axis=0)
    return int(r), int(g), int(b)


def black_level(image: Image, alpha: Alpha) -> float | None:
    """The lightness, L* of 0 to 100, that one in a hundred of the subject's pixels lies below; None without any."""
    inside = alpha > 0.9
    return float(np.quantile(lightness(image)[inside], _BLACK)) if inside.any() else None


def monochrome(image: Image) -> bool:
    """Whether a photo is black and white: next to none of its pixels has a colour that is seen."""
    small = np.asarray(cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA), np.float32)
    lab = cv2.cvtColor(small / 255, cv2.COLOR_RGB2LAB)
    return float(np.quantile(np.hypot(lab[..., 1], lab[..., 2]), 0.99)) < _COLOURLESS


def ground_colour(image: Image, alpha: Alpha) -> Colour | None:
    """The typical colour of the photo's own ground beside the subject's outline; None where next to nothing is there.

    A ring of 1 to 5 % of the height outside the outline.
    """
    away = cv2.distanceTransform((alpha < 0.02).astype(np.uint8), cv2.DIST_L2, 5) / image.shape[0]
    ring = (away > _BESIDE[0]) & (away < _BESIDE[1])
    if ring.mean() < _GREY:
        return None
    r, g, b = np.median(image[ring], axis=0)
    return int(r), int(g), int(b)


def measured(backdrop: Backdrop, photo: Image, placed: Placed, alpha: Alpha | None = None) -> Backdrop:
    """`backdrop` with what a scene has to fit: the photo's white, without the subject's `alpha` where its own colour
    would be taken for light, whether it has colours, and the subject's outline, its ground and its black.
    """
    return replace(
        backdrop,
        mired=white_point(photo, alpha),
        avoid=outline_colour(placed.colour, placed.alpha),
        behind=ground_colour(placed.colour, placed.alpha),
        black=black_level(placed.colour, placed.alpha),
        monochrome=monochrome(photo),
    )
