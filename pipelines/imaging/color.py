"""Reading light: a photo's white point, the side its key light comes from; and linear light itself."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Image

LinearImage = npt.NDArray[np.float32]

_WITHIN, _DARK = 0.7, 0.75  # cosine of what lies that way, and the quantile there that tells how dark it is

D65_MIRED = 153.8

# A scene lit by candles or by open shade is still a scene; beyond this the estimate is of objects, not of light.
_SCENE_MIRED_RANGE = (114.0, 200.0)

_KELVIN_RANGE = (4000.0, 8800.0)

_MIN_WHITE_RATIO, _WHITE_MAX_CHROMA = (
    0.04,
    30.0,
)  # of a thing's pixels so many of at most that chroma are white under some lamp

_MIN_GREY_RATIO = 0.02  # of a photo's pixels: as much of it bright and nearly grey tells the light

_SRGB_CODES = np.arange(256, dtype=np.float64) / 255

_LINEAR_BY_CODE = np.where(_SRGB_CODES <= 0.04045, _SRGB_CODES / 12.92, ((_SRGB_CODES + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)

_SRGB_TABLE_SIZE = 1 << 14

_LINEAR_VALUES = np.linspace(0, 1, _SRGB_TABLE_SIZE + 1)

_SRGB_BY_LINEAR = (
    255 * np.where(_LINEAR_VALUES <= 0.0031308, 12.92 * _LINEAR_VALUES, 1.055 * _LINEAR_VALUES ** (1 / 2.4) - 0.055)
).astype(np.float32)


def to_linear(image: Image) -> LinearImage:
    """sRGB bytes to linear light, 0 to 1."""
    return _LINEAR_BY_CODE[image]


def to_srgb(light: npt.NDArray[np.floating]) -> LinearImage:
    """Linear light to sRGB values of 0 to 255, not yet rounded."""
    return np.asarray(_SRGB_BY_LINEAR[(np.clip(light, 0, 1) * _SRGB_TABLE_SIZE + 0.5).astype(np.int32)], np.float32)


def measure_lightness(image: Image) -> npt.NDArray[np.float32]:
    """CIE L*, 0 to 100, of an RGB picture."""
    scaled = image.astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[..., 0], np.float32)


def estimate_white_point(image: Image, alpha: Alpha | None = None) -> float:
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
    grey = _find_near_grey(small)
    if alpha is not None:
        own = cv2.resize(alpha, (128, 128), interpolation=cv2.INTER_AREA) > 0.9
        white = own & _find_near_grey(small, _WHITE_MAX_CHROMA) & (small.max(axis=2) < 250)
        if white.sum() >= _MIN_WHITE_RATIO * own.sum() > 0:
            return _to_mired(to_linear(small)[white].astype(np.float64).mean(axis=0))
    mired = float(np.clip(_to_mired(np.power(np.power(usable, 6).mean(axis=0), 1 / 6)), *_SCENE_MIRED_RANGE))
    return D65_MIRED + 0.5 * float(np.clip(grey.mean() / _MIN_GREY_RATIO, 0.5, 1)) * (mired - D65_MIRED)


def _find_near_grey(image: Image, most: float = 22.0) -> npt.NDArray[np.bool_]:
    """Where a picture is bright and has a chroma below `most`."""
    lab = cv2.cvtColor(np.asarray(image, np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray((lab[..., 0] > 60) & (np.hypot(lab[..., 1], lab[..., 2]) < most))


def _to_mired(light: npt.NDArray[np.float64]) -> float:
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
    return 1e6 / float(np.clip(kelvin, *_KELVIN_RANGE))
