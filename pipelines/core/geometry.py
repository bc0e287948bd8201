"""Array types and what describes where a subject lies: faces, cut-outs, frames, crops.

Arrays are numpy. An `Image` is uint8, H x W x 3, sRGB. An `Alpha` is float32, H x W, 0 to 1.
A colour is an sRGB triple of 0 to 255. A `Size` is (width, height) in pixels, as in Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
Alpha: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]
Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
FloatArray: TypeAlias = npt.NDArray[np.floating]
Int32Array: TypeAlias = npt.NDArray[np.int32]
Uint8Array: TypeAlias = npt.NDArray[np.uint8]
IndexArray: TypeAlias = npt.NDArray[np.intp]

Size: TypeAlias = tuple[int, int]

Window: TypeAlias = tuple[int, int, int, int]

Colour: TypeAlias = tuple[int, int, int]

Side = Literal["left", "right", "none"]


@dataclass(frozen=True)
class Face:
    """One face in pixels of the photo: x, y of 468 landmarks (float32, 468 x 2), head box and eyes.

    `crown` and `chin` are y in the *levelled* photo's direction, as distances along the face's own up axis; use
    `parts.frame` rather than reading them. `roll` in degrees, positive when the head leans clockwise.
    """

    landmarks: npt.NDArray[np.float32]
    box: tuple[float, float, float, float]
    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    chin: tuple[float, float]
    roll: float
    score: float

    @property
    def eye_midpoint(self) -> tuple[float, float]:
        """The point between the eyes."""
        return (self.left_eye[0] + self.right_eye[0]) / 2, (self.left_eye[1] + self.right_eye[1]) / 2

    @property
    def eye_distance(self) -> float:
        """Pixels between the eyes' centres."""
        return float(np.hypot(self.right_eye[0] - self.left_eye[0], self.right_eye[1] - self.left_eye[1]))


@dataclass(frozen=True)
class Cutout:
    """A subject freed from its background at the photo's own size.

    `colour` is the estimated foreground (Image; equal to the photo byte for byte wherever alpha >= 250/255),
    `alpha` its opacity, `notices` sentences such as "check this edge".
    """

    colour: Image
    alpha: Alpha
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """Where a cut-out goes: a similarity from photo pixels to frame pixels, and the frame's size.

    `matrix` is 2 x 3 float64 as cv2.warpAffine takes it (photo -> frame); `scale` its factor, `roll` its turn in
    degrees. `native` is true when it is a whole-pixel shift, so that no resampling happens.
    `box` is the photo's rectangle seen in the frame: left, top, right, bottom in frame pixels.
    """

    matrix: npt.NDArray[np.float64]
    size: Size
    scale: float
    roll: float
    is_native_scale: bool
    box: tuple[float, float, float, float]
    eye_line: float | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlacedSubject:
    """A cut-out after the one stated resampling: `colour` and `alpha` have the frame's size."""

    colour: Image
    alpha: Alpha
    frame: Frame


@dataclass(frozen=True)
class Crop:
    """What of the photo a picture shows: `box`, as shares of the photo, and `at`, where that lies, as shares of the
    picture; each left, top, right, bottom, 0 to 1.

    `whole` is how much of what must not be cut is in the box, 0 to 1, of the thing that is cut most; None where the
    photo shows no such thing.
    """

    box: tuple[float, float, float, float]
    placed_box: tuple[float, float, float, float]
    visible_ratio: float | None = None
