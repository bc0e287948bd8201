"""Colour conversions: sRGB, linear light, CIE lightness; and a photo's white point."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Float32Array, Float64Array, FloatArray, Image, Mask

LinearImage = Float32Array  # linear light, H x W x 3

LUMINANCE_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear R, G, B (Rec. 709)
D65_MIRED = 153.8  # reciprocal megakelvin of daylight
_SCENE_MIRED_RANGE = (114.0, 200.0)  # from open shade to candles; beyond, the estimate tells objects' colours
_KELVIN_RANGE = (4000.0, 8800.0)  # colour temperatures of lamps and skies
_MIN_WHITE_RATIO = 0.04  # of a thing's pixels: so many white ones tell the light
_WHITE_MAX_CHROMA = 30.0  # chroma of white things under any lamp
_BAND_ROWS = 512
_MIN_GREY_RATIO = 0.02  # of a photo's pixels: so many bright and nearly grey ones tell the light

_SRGB_CODES = np.arange(256, dtype=np.float64) / 255
_LINEAR_CODES = np.where(_SRGB_CODES <= 0.04045, _SRGB_CODES / 12.92, ((_SRGB_CODES + 0.055) / 1.055) ** 2.4)
_LINEAR_BY_CODE = _LINEAR_CODES.astype(np.float32)
_SRGB_TABLE_SIZE = 1 << 14  # steps of the table from linear light to sRGB
_LINEAR_VALUES = np.linspace(0, 1, _SRGB_TABLE_SIZE + 1)
_SRGB_VALUES = np.where(
    _LINEAR_VALUES <= 0.0031308, 12.92 * _LINEAR_VALUES, 1.055 * _LINEAR_VALUES ** (1 / 2.4) - 0.055
)
_SRGB_BY_LINEAR = (255 * _SRGB_VALUES).astype(np.float32)


def to_linear(image: Image) -> LinearImage:
    """Convert sRGB bytes to linear light of 0 to 1, float32."""
    return _LINEAR_BY_CODE.take(image)


def to_srgb(light: FloatArray) -> LinearImage:
    """Convert linear light to sRGB values of 0 to 255, float32, not yet rounded."""
    steps = np.clip(light, 0, 1)
    steps *= _SRGB_TABLE_SIZE
    steps += 0.5
    return _SRGB_BY_LINEAR.take(steps.astype(np.int32))


def lift_exposure(image: Image, gain: float, knee: float) -> Image:
    """Return `image` as if exposed `gain` times longer; linear light above `knee` is compressed and not clipped."""
    light = to_linear(image) * np.float32(gain)
    over = light > knee
    light[over] = knee + (1 - knee) * np.tanh((light[over] - knee) / (1 - knee))
    return np.clip(to_srgb(light) + 0.5, 0, 255).astype(np.uint8)


def flatten_on_white(image: Image) -> Image:
    """Composite an H x W x 3 or 4 picture on white. Returns H x W x 3."""
    if image.shape[2] == 3:
        return image
    flat = np.empty((*image.shape[:2], 3), np.uint8)
    for top in range(0, len(image), _BAND_ROWS):  # so that memory does not grow with the picture
        band = image[top : top + _BAND_ROWS]
        alpha = band[..., 3:].astype(np.float32) / 255
        flat[top : top + _BAND_ROWS] = band[..., :3] * alpha + 255 * (1 - alpha) + 0.5
    return flat


def to_lab(image: npt.ArrayLike) -> Float32Array:
    """Convert sRGB of 0 to 255 (H x W x 3) to CIELAB, float32 (L* 0 to 100)."""
    return np.asarray(cv2.cvtColor(np.asarray(image, np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def from_lab(lab: npt.ArrayLike) -> Image:
    """Convert CIELAB (H x W x 3) to sRGB bytes."""
    light = cv2.cvtColor(np.asarray(lab, np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(light * 255 + 0.5, 0, 255).astype(np.uint8)


def measure_lightness(pixels: Image) -> Float32Array:
    """Return CIE L* (0 to 100, float32) of an image (H x W x 3) or of single pixels (N x 3)."""
    if not pixels.size:  # OpenCV takes no empty picture
        return np.zeros(pixels.shape[:-1], np.float32)
    return to_lab(pixels.reshape(1, -1, 3))[..., 0].reshape(pixels.shape[:-1])


def lightness_to_luminance(lightness: float) -> float:
    """Return CIE Y (0 to 1) of a CIE L* (0 to 100)."""
    return ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness / 903.3


def luminance_to_lightness(luminance: float) -> float:
    """Return CIE L* (0 to 100) of a CIE Y (0 to 1)."""
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def estimate_white_point(image: Image, alpha: Alpha | None = None) -> float:
    """Estimate the light's colour temperature in mired from the whole photo.

    Shades of grey (Finlayson and Trezzi, 2004, Minkowski norm 6) for the illuminant, McCamy (1992) for its temperature.
    The result is half way to D65, since skin and walls pull the estimate, and a quarter where next to nothing is bright
    and grey, where the subject's own colour would be taken for the light's. Where a thing's `alpha` is given and some
    of it is nearly white, that white is measured instead: china under a bulb looks cream.
    """
    small = np.asarray(cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
    light = to_linear(small).reshape(-1, 3).astype(np.float64)
    usable = light[(light.max(axis=1) < 0.98) & (light.max(axis=1) > 0.01)]
    if len(usable) < 100:
        return D65_MIRED
    grey = _find_near_grey(small)
    if alpha is not None:
        inside = cv2.resize(alpha, (128, 128), interpolation=cv2.INTER_AREA) > 0.9
        white = inside & _find_near_grey(small, _WHITE_MAX_CHROMA) & (small.max(axis=2) < 250)
        if white.sum() >= _MIN_WHITE_RATIO * inside.sum() > 0:
            return _to_mired(to_linear(small)[white].astype(np.float64).mean(axis=0))
    mired = float(np.clip(_to_mired(np.power(np.power(usable, 6).mean(axis=0), 1 / 6)), *_SCENE_MIRED_RANGE))
    return D65_MIRED + 0.5 * float(np.clip(grey.mean() / _MIN_GREY_RATIO, 0.5, 1)) * (mired - D65_MIRED)


def _find_near_grey(image: Image, max_chroma: float = 22.0) -> Mask:
    """Return where an image is bright and has a chroma below `max_chroma`; H x W."""
    lab = to_lab(image)
    return np.asarray((lab[..., 0] > 60) & (np.hypot(lab[..., 1], lab[..., 2]) < max_chroma))


def _to_mired(light: Float64Array) -> float:
    """Return the correlated colour temperature of a linear sRGB colour in mired, limited to lamps and skies."""
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
