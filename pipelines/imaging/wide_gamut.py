"""Display P3: convert from sRGB, and lay a photo's colours outside sRGB over what was made of it."""

from __future__ import annotations

import numpy as np

from pipelines.core.geometry import Float32Array, Image, PixelArray, Uint16Array

DEEP_LEVELS = 257
"""Steps of 16 bits in one step of 8 bits."""
_BAND_ROWS = 256  # rows converted at once, so that memory does not grow with the picture
# Linear sRGB to linear Display P3; both have the white of D65 (SMPTE EG 432-1, IEC 61966-2-1).
_SRGB_TO_P3 = np.array(
    [[0.82246197, 0.17753803, 0.0], [0.03319420, 0.96680580, 0.0], [0.01708263, 0.07239744, 0.91051993]], np.float32
)


def to_display_p3(image: PixelArray) -> Uint16Array:
    """Convert sRGB (H x W x 3, uint8 or uint16) to Display P3, uint16, in bands of rows."""
    out = np.empty(image.shape, np.uint16)
    top_level = np.float32(np.iinfo(image.dtype).max)
    for top in range(0, len(image), _BAND_ROWS):
        codes = image[top : top + _BAND_ROWS].astype(np.float32) / top_level
        linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4) @ _SRGB_TO_P3.T
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
        out[top : top + _BAND_ROWS] = np.clip(encoded, 0, 1) * 65535 + 0.5
    return out


def wide_residual(photo: Image, wide: Image) -> Float32Array:
    """Return by how much `wide` (Display P3) differs from `photo` (sRGB), H x W x 3: float32, in steps of 16 bits."""
    return wide.astype(np.float32) * DEEP_LEVELS - to_display_p3(photo)


def add_residual(picture: Uint16Array, residual: Float32Array) -> Uint16Array:
    """Add a residual of the same shape to a picture in Display P3, within 0 to 65535."""
    for top in range(0, len(picture), _BAND_ROWS):
        band = picture[top : top + _BAND_ROWS]
        band[:] = np.clip(band + residual[top : top + _BAND_ROWS], 0, 65535) + 0.5
    return picture


def to_sixteen_bits(image: PixelArray) -> Uint16Array:
    """Return 8 bits as 16 with the same meaning; 16 bits stay."""
    deep = image.astype(np.uint16, copy=False)
    return deep if image.dtype == np.uint16 else deep * np.uint16(DEEP_LEVELS)


def to_eight_bits(image: PixelArray) -> Image:
    """Return 16 bits rounded to 8; 8 bits stay."""
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    return ((image.astype(np.uint32) + DEEP_LEVELS // 2) // DEEP_LEVELS).astype(np.uint8)
