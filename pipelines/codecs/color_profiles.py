"""ICC profiles: sRGB, Display P3, and coated offset paper (FOGRA39). Imports Pillow alone, as decoders do."""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import ImageCms

ColorSpace = Literal["srgb", "p3"]
_PROFILES_DIR = Path(__file__).parents[2] / "assets" / "profiles"
_SHA256_BY_FILE = {
    "DisplayP3-v4.icc": "cb51de38e482ee974c0c76b9689e16aad04bad16e226fed2f30c842d15ff3a3d",
    "FOGRA39L_coated.icc": "b62f5c72561c15ae2e0072b92ce9df42662f76915d75fac8ca2f6be033ac74fe",
}
_ICC_DATE = slice(24, 36)  # bytes of an ICC profile's header


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return the ICC profile of sRGB, the same bytes each time: its date is that of ICC.1:2001-04."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_ICC_DATE] = struct.pack(">6H", 2001, 4, 1, 0, 0, 0)
    return bytes(profile)


def display_p3_profile() -> bytes:
    """Return the ICC profile of Display P3."""
    return _read_profile("DisplayP3-v4.icc")


def coated_paper_profile() -> bytes:
    """Return the ICC profile of FOGRA39: CMYK, offset print on coated paper."""
    return _read_profile("FOGRA39L_coated.icc")


def get_profile(space: ColorSpace) -> bytes:
    """Return the ICC profile of an RGB colour space."""
    return display_p3_profile() if space == "p3" else srgb_profile()


@lru_cache
def _read_profile(name: str) -> bytes:
    data = (_PROFILES_DIR / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != _SHA256_BY_FILE[name]:
        raise RuntimeError(f"assets/profiles/{name} is damaged: its checksum differs")
    return data
