"""A small copy of a cut-out's alpha, kept so that a press on the picture is answered without a net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Box, Size
from pipelines.imaging.resize import resize_map, size_within

MATTE_SIDE_PX = 1024


@dataclass(frozen=True)
class CachedMatte:
    """A small copy of an alpha as PNG, some 50 kB, and the `doubt_boxes` of its cut-out."""

    png: bytes
    doubt_boxes: Mapping[str, tuple[Box, ...]]

    @classmethod
    def encode(cls, alpha: Alpha, doubt_boxes: Mapping[str, tuple[Box, ...]]) -> CachedMatte:
        """Shrink `alpha` (H x W, 0 to 1) to `MATTE_SIDE_PX` and encode it."""
        small = np.rint(255 * resize_map(alpha, size_within(alpha.shape, MATTE_SIDE_PX))).astype(np.uint8)
        return cls(cv2.imencode(".png", small)[1].tobytes(), doubt_boxes)

    def decode(self, size: Size) -> Alpha:
        """Return the alpha, 0 to 1, enlarged or shrunk to `size`."""
        values = np.asarray(cv2.imdecode(np.frombuffer(self.png, np.uint8), cv2.IMREAD_GRAYSCALE), np.float32)
        return resize_map(values * np.float32(1 / 255), size)
