"""Encode master files for print and editors: PNG, TIFF, JPEG, AVIF and PDF in CMYK, in sRGB or Display P3."""

from __future__ import annotations

import struct
import zlib
from itertools import accumulate
from typing import Literal

import numpy as np
from PIL import TiffImagePlugin

from pipelines.codecs.color_profiles import ColorSpace, get_profile
from pipelines.codecs.containers import encode_pdf
from pipelines.codecs.encode import PRINT_DPI, encode_image, encode_png
from pipelines.core.geometry import PixelArray
from pipelines.imaging.color import flatten_on_white

MasterKind = Literal["png", "jpeg", "avif", "tiff", "cmyk", "png16", "tiff16"]
_PNG_HEADER_BYTES = 33  # signature and IHDR
_INCHES_PER_METRE = 39.3701
_TIFF_STRIP_ROWS = 64
_TIFF_DEFLATE, _TIFF_RGB, _TIFF_INCH, _TIFF_DIFFERENCES, _TIFF_STRAIGHT_ALPHA = 8, 2, 2, 2, 2
_XMP_TAG, _ICC_TAG = 700, 34675


def master_format(kind: MasterKind) -> Literal["png", "jpeg", "avif", "tiff", "pdf"]:
    """Return the file format of a kind, whatever its bits."""
    if kind == "cmyk":
        return "pdf"
    return "png" if kind == "png16" else "tiff" if kind == "tiff16" else kind


def has_sixteen_bits(kind: MasterKind) -> bool:
    """Say whether a kind holds 16 bits a channel."""
    return kind in ("png16", "tiff16")


def encode_master(image: PixelArray, kind: MasterKind, space: ColorSpace, packet: bytes, quality: int) -> bytes:
    """Encode H x W x 3 or 4 with straight alpha, uint16 for the kinds of 16 bits and uint8 for the others.

    Each has `PRINT_DPI`, the profile of `space` and the XMP `packet`; `quality` is JPEG's and AVIF's. A PDF is in
    CMYK, on white.
    """
    if kind == "cmyk":
        return encode_pdf([flatten_on_white(np.asarray(image, np.uint8))], "DesignerBox", PRINT_DPI, cmyk_from=space)
    profile = get_profile(space)
    if kind == "png" or kind == "jpeg" or kind == "avif":
        return encode_image(np.asarray(image, np.uint8), kind, packet, quality, profile)
    if kind == "png16":
        return _encode_deep_png(image, profile, packet)
    return encode_tiff(image, profile, packet)


def _encode_deep_png(image: PixelArray, profile: bytes, packet: bytes) -> bytes:
    data = encode_png(image)
    dots = round(PRINT_DPI * _INCHES_PER_METRE)
    chunks = (
        _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)),
        _png_chunk(b"pHYs", struct.pack(">IIB", dots, dots, 1)),
        _png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet),
    )
    return data[:_PNG_HEADER_BYTES] + b"".join(chunks) + data[_PNG_HEADER_BYTES:]


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def encode_tiff(image: PixelArray, profile: bytes, packet: bytes) -> bytes:
    """Encode H x W x 3 or 4 (uint8 or uint16, straight alpha) as a little-endian TIFF 6.0, deflated in strips.

    Pillow writes no TIFF with 16 bits and several channels, and OpenCV none with a profile.
    """
    height, width, channels = image.shape
    strips = [_deflate_rows(image[top : top + _TIFF_STRIP_ROWS]) for top in range(0, height, _TIFF_STRIP_ROWS)]
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    bits = 8 * image.dtype.itemsize
    tags[256], tags[257], tags[258], tags[259] = width, height, (bits,) * channels, _TIFF_DEFLATE
    tags[262], tags[274], tags[277], tags[278] = _TIFF_RGB, 1, channels, _TIFF_STRIP_ROWS
    tags[282] = tags[283] = TiffImagePlugin.IFDRational(PRINT_DPI)
    tags[284], tags[296], tags[305], tags[317] = 1, _TIFF_INCH, "DesignerBox", _TIFF_DIFFERENCES
    if channels == 4:
        tags[338] = (_TIFF_STRAIGHT_ALPHA,)
    tags.tagtype[_XMP_TAG], tags[_XMP_TAG] = 1, packet
    tags.tagtype[_ICC_TAG], tags[_ICC_TAG] = 7, profile
    tags.tagtype[273] = tags.tagtype[279] = 4
    tags[279] = tuple(len(strip) for strip in strips)
    tags[273] = tuple(accumulate(map(len, strips[:-1]), initial=0))  # Pillow adds where the strips begin
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + b"".join(strips)


def _deflate_rows(rows: PixelArray) -> bytes:
    """Return rows as TIFF's predictor 2 writes them, each value less its left neighbour's, compressed."""
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.astype(rows.dtype.newbyteorder("<")).tobytes(), 6)
