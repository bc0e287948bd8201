"""The pixels of a job's master files: 16 bits where there are as many, and the photo's colours outside sRGB."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from pipelines.codecs.color_profiles import ColorSpace
from pipelines.codecs.master_files import MasterKind, has_sixteen_bits
from pipelines.core.geometry import Float32Array, Image, PixelArray, Uint16Array
from pipelines.core.rendering import ToolOutput
from pipelines.framing.resample import resample
from pipelines.imaging.wide_gamut import (
    DEEP_LEVELS,
    add_residual,
    to_display_p3,
    to_eight_bits,
    to_sixteen_bits,
    wide_residual,
)
from pipelines.runtime.context import JobContext
from pipelines.storage.file_index import decode_png

PLAIN_P3_NOTICE = "The photo has no colours outside sRGB: the Display P3 file shows the same ones."
WIDE_P3_NOTICE = "The Display P3 file has the photo's colours outside sRGB."
CHANGED_P3_NOTICE = "Colours were changed here: the Display P3 file has none outside sRGB."
DEEP_CUTOUT_NOTICE = "Only the soft edge uses all 16 bits; the photo's own colours have 8."


class MasterWriter:
    """Makes the pixels of one job's master files."""

    def __init__(self, context: JobContext, output: ToolOutput, kind: MasterKind, space: ColorSpace) -> None:
        self._context = context
        self._output = output
        self._is_deep = has_sixteen_bits(kind)
        self._space = space

    def list_notices(self) -> list[str]:
        """List what is to be said about bits and colours."""
        notices = [DEEP_CUTOUT_NOTICE] if self._is_deep and self._output.exact else []
        if self._space == "p3":
            is_wide = self._context.open_wide_photo() is not None
            wide = WIDE_P3_NOTICE if self._may_lay_over else CHANGED_P3_NOTICE
            notices.append(wide if is_wide else PLAIN_P3_NOTICE)
        return notices

    @property
    def _may_lay_over(self) -> bool:
        return self._output.keeps_colours or (self._output.exact and self._output.source is not None)

    def make_pixels(self, number: int, image: Image) -> PixelArray:
        """Return picture `number`, which is written as `image`: H x W x 3 or 4, uint8 or uint16, straight alpha."""
        picture: PixelArray = image
        if self._is_deep:
            picture = self._add_deep_bits(number, image)
        if self._space == "p3":
            picture = np.dstack([self._convert_to_p3(number, picture), to_sixteen_bits(picture[..., 3:])])
        return picture if self._is_deep else to_eight_bits(picture)

    def _add_deep_bits(self, number: int, image: Image) -> Uint16Array:
        """Return the tool's 16 bits, with what was embedded in `image` afterwards."""
        if not self._output.deep:
            return to_sixteen_bits(image)
        deep = self._output.deep[number]
        if image is self._output.images[number]:
            return deep
        mark = image.astype(np.int32) - self._output.images[number]
        return np.clip(deep + mark * DEEP_LEVELS, 0, 65535).astype(np.uint16)

    def _convert_to_p3(self, number: int, picture: PixelArray) -> Uint16Array:
        """Convert to Display P3 and lay the photo's own wide colours over it where its pixels are seen."""
        converted = to_display_p3(picture[..., :3])
        residual = self._residual if self._may_lay_over else None
        if residual is None:
            return converted
        if self._output.keeps_colours:
            size = (converted.shape[1], converted.shape[0])
            return add_residual(
                converted, np.asarray(cv2.resize(residual, size, interpolation=cv2.INTER_CUBIC), np.float32)
            )
        placed = self._output.source
        if self._output.sources:
            source = self._output.sources[number]
            placed = source[1] if source is not None and source[0] == self._context.job.params.get("photo") else None
        if placed is None:
            return converted
        return add_residual(converted, resample(residual, placed.frame) * placed.alpha[..., None])

    @cached_property
    def _residual(self) -> Float32Array | None:
        wide = self._context.open_wide_photo()
        if wide is None:
            return None
        photo = self._context.open_image(str(self._context.job.params["photo"]))
        return wide_residual(photo, decode_png(np.frombuffer(wide, np.uint8)))
