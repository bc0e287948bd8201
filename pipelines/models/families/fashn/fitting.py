"""Fit photos and maps to the sides that FASHN VTON reads and draws, as it was trained."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as Pillow

from pipelines.core.geometry import Image, Size
from pipelines.models.families.fashn.network import TryOnLayout

READ_SIDE_PX = 864
"""Longer side, in pixels, at which larger photos are read and the lines of a pose are drawn."""


@dataclass(frozen=True)
class FittedFrame:
    """Where a picture lies in the middle of the sides that the network draws, with black beside it; all in pixels."""

    layout: TryOnLayout
    size: Size
    left: int
    top: int

    @classmethod
    def fit_around(cls, picture: Image, layout: TryOnLayout) -> FittedFrame:
        """Fit a picture, H x W x 3, into the sides of `layout`."""
        height, width = picture.shape[:2]
        scale = min(layout.width / width, layout.height / height)
        size = max(1, int(scale * width)), max(1, int(scale * height))
        return cls(layout, size, (layout.width - size[0]) // 2, (layout.height - size[1]) // 2)

    def lay_in(self, picture: Image, *, is_map: bool = False) -> Image:
        """Scale a picture to the frame and lay it in; a map keeps its values."""
        enlarges = self.size[0] > picture.shape[1]
        interpolation = cv2.INTER_LANCZOS4 if enlarges else cv2.INTER_AREA
        scaled = cv2.resize(picture, self.size, interpolation=cv2.INTER_NEAREST_EXACT if is_map else interpolation)
        framed = np.zeros((self.layout.height, self.layout.width, 3), np.uint8)
        framed[self.top : self.top + self.size[1], self.left : self.left + self.size[0]] = scaled
        return framed

    def crop_to_picture(self, framed: Image) -> Image:
        """Cut the picture out of what was drawn."""
        return framed[self.top : self.top + self.size[1], self.left : self.left + self.size[0]]


def shrink_to_read(image: Image) -> Image:
    """Shrink a photo, H x W x 3, to the size at which poses are found and drawn; a smaller one stays as it is."""
    height, width = image.shape[:2]
    scale = READ_SIDE_PX / max(height, width)
    if scale >= 1:
        return image
    size = max(1, int(scale * width)), max(1, int(scale * height))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS), np.uint8)
