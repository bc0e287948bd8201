"""Linear light of the scenes: sRGB transfer, white balance, lightness, highlight roll-off, dithering to 8 bits."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Colour, Image
from pipelines.imaging.color import LUMINANCE_WEIGHTS, to_linear

# float32 wherever memory matters. NumPy's types cannot express this through arithmetic.
LinearLight = npt.NDArray[np.floating]

MAX_WHITE_DISTANCE_MIRED = 30.0  # most that the white point of a scene may differ from that of the photo
_WHITE_MARGIN_MIRED = 4.0  # the white point measured in a picture differs a little from that of its scene
MAX_WHITE_SHIFT_MIRED = 45.0
"""Most that a scene's white point follows that of the photo: from noon to a living room's lamp."""
HIGHLIGHT_KNEE = 0.72
"""Light above which highlights are rolled off towards 1, so that a window keeps its shape instead of a clipped edge."""
STRIP_ROWS = 64  # rows that are developed at once, so that they stay within the processor's cache

_XYZ_TO_RGB = np.array(
    ((3.2404542, -1.5371385, -0.4985314), (-0.9692660, 1.8760108, 0.0415560), (0.0556434, -0.2040259, 1.0572252))
)


def linear_colour(colour: Colour) -> LinearLight:
    """Convert an sRGB colour to linear light: three floats, 0 to 1."""
    return to_linear(np.array(colour, np.uint8))


def encode_srgb(light: LinearLight) -> LinearLight:
    """Convert linear light to sRGB values of 0 to 1, clipped."""
    value = np.clip(light, 0.0, 1.0)
    curve = np.asarray(cv2.pow(value, 1 / 2.4), np.float32).reshape(value.shape)
    return np.where(value <= 0.0031308, value * np.float32(12.92), curve * np.float32(1.055) - np.float32(0.055))


def roll_off_highlights(light: LinearLight) -> LinearLight:
    """Compress light above `HIGHLIGHT_KNEE` smoothly towards 1; colours bleach as on film."""
    over = np.maximum(light - HIGHLIGHT_KNEE, 0)
    room = np.float32(1 - HIGHLIGHT_KNEE)
    return np.minimum(light, HIGHLIGHT_KNEE) + room * (1 - np.exp(-over / room))


def relative_luminance(light: LinearLight) -> LinearLight:
    """Compute relative luminance Y of linear sRGB; the last axis is dropped."""
    return np.asarray(light @ LUMINANCE_WEIGHTS, np.float32)


def cie_lightness(y: LinearLight | float) -> npt.NDArray[np.float32]:
    """Convert relative luminance to CIE L*, 0 to 100."""
    y = np.asarray(y, np.float32)
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y).astype(np.float32)


def limit_white_mired(own: float, wanted: float | None) -> float:
    """The white point that a scene is drawn at: near that of the photo, `wanted`, or the subject would look pasted."""
    if wanted is None:
        return own
    near = MAX_WHITE_DISTANCE_MIRED - _WHITE_MARGIN_MIRED
    followed = own + np.clip(wanted - own, -MAX_WHITE_SHIFT_MIRED, MAX_WHITE_SHIFT_MIRED)
    return float(np.clip(followed, wanted - near, wanted + near))


def white_balance_gains(own: float, target: float) -> LinearLight:
    """Linear factors from `own` to `target` mired at one luminance (locus: Kim et al. 2002; von Kries in sRGB)."""
    factors = _white_point_rgb(target) / _white_point_rgb(own)
    return (factors / (factors @ LUMINANCE_WEIGHTS)).astype(np.float32)


def _white_point_rgb(mired: float) -> npt.NDArray[np.float64]:
    """The linear sRGB colour of a black body of at most 250 mired: no photo's or scene's light is warmer here."""
    t = mired / 1000.0  # 1e3 / kelvin
    x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    rgb = _XYZ_TO_RGB @ np.array((x / y, 1.0, (1 - x - y) / y))
    return np.maximum(rgb, 0.05)


def develop_image(light: LinearLight, size: tuple[int, int], seed: int) -> Image:
    """Develop linear light to an `Image` of `size` (width, height): roll-off, sRGB, dithering against banding.

    `light` may be smaller than `size`. The dither is triangular noise of one step (Lipshitz and others 1992), the same
    for the same seed and different in each channel.
    """
    width, height = size
    smaller = light.shape[:2] != (height, width)
    encoded = light
    if smaller:
        encoded = np.asarray(
            cv2.resize(encode_srgb(roll_off_highlights(light)), size, interpolation=cv2.INTER_CUBIC), np.float32
        )
    generator = np.random.default_rng(seed)
    noise = generator.random((2, height + 16, width + 16), np.float32)
    flat = noise[0] - noise[1] + np.float32(0.5)
    out = np.empty((height, width, 3), np.uint8)
    for first in range(0, height, STRIP_ROWS):
        rows = encoded[first : first + STRIP_ROWS]
        rows = (rows if smaller else encode_srgb(roll_off_highlights(rows))) * np.float32(255)
        for channel, shift in enumerate((0, 7, 13)):
            grain = flat[first + shift : first + shift + len(rows), shift : shift + width]
            out[first : first + STRIP_ROWS, :, channel] = np.clip(rows[..., channel] + grain, 0, 255)
    return out
