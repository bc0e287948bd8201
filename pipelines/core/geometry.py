"""Types for images, alpha mattes, faces, cut-outs, frames and crops.

Arrays are numpy. An `Image` is uint8, H x W x 3, sRGB. An `Alpha` is float32, H x W, 0 to 1.
A colour is an sRGB triple of 0 to 255. A `Size` is (width, height) in pixels, as in Pillow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
Uint16Array: TypeAlias = npt.NDArray[np.uint16]
PixelArray: TypeAlias = npt.NDArray[np.uint8 | np.uint16]
IndexArray: TypeAlias = npt.NDArray[np.intp]

Size: TypeAlias = tuple[int, int]

Window: TypeAlias = tuple[int, int, int, int]

Area: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the photo, 0 to 1."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""

Colour: TypeAlias = tuple[int, int, int]

Side = Literal["left", "right", "none"]

DOUBTFUL_UNCERTAINTY = 0.2
"""Share of the subject that is not settled, above which a cut-out is to be looked at: a fifth of its area."""
UNCLEAR_UNCERTAINTY = 0.5
"""Above it 67 of 71 cut-outs were wrong (`docs/figures.md`): then it is said that this one probably is."""


@dataclass(frozen=True)
class Face:
    """One face in pixels of the photo.

    `landmarks` are x, y of 468 points (float32, 468 x 2). `box` is left, top, right, bottom of the head. `roll` is in
    degrees, positive when the head leans clockwise. `score` is the detector's confidence, 0 to 1.
    """

    landmarks: npt.NDArray[np.float32]
    box: tuple[float, float, float, float]
    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    chin: tuple[float, float]
    roll: float
    score: float

    def scaled(self, scale: float) -> Face:
        """Return the face in a copy of the photo that is `scale` times as large."""
        left, top, right, bottom = (side * scale for side in self.box)
        left_eye, right_eye, chin = ((x * scale, y * scale) for x, y in (self.left_eye, self.right_eye, self.chin))
        landmarks, box = self.landmarks * np.float32(scale), (left, top, right, bottom)
        return Face(landmarks, box, left_eye, right_eye, chin, self.roll, self.score)

    @property
    def eye_midpoint(self) -> tuple[float, float]:
        """The point in the middle between the eyes."""
        return (self.left_eye[0] + self.right_eye[0]) / 2, (self.left_eye[1] + self.right_eye[1]) / 2

    @property
    def eye_distance(self) -> float:
        """Pixels between the centres of the eyes."""
        return float(np.hypot(self.right_eye[0] - self.left_eye[0], self.right_eye[1] - self.left_eye[1]))


@dataclass(frozen=True)
class Cutout:
    """A subject without its background, at the size of the photo.

    `colour` is the estimated foreground, equal to the photo byte for byte where alpha >= 250/255. `alpha` is its
    opacity. `notices` are sentences for the user, such as "check this edge". `uncertainty` is the share of the subject
    that could not be settled, 0 to 1. `doubt_boxes` says, of notices that speak of places, where they lie, the largest
    first: ratios of the photo, 0 to 1. `has_background`: the photo shows one; an upload with its own transparency does
    not, it is only flattened on white.
    """

    colour: Image
    alpha: Alpha
    notices: tuple[str, ...] = ()
    uncertainty: float = 0.0
    doubt_boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict[str, "tuple[Box, ...]"])
    has_background: bool = True

    @property
    def is_doubtful(self) -> bool:
        """Whether somebody should look at it before it is praised."""
        return bool(self.notices) or self.uncertainty > DOUBTFUL_UNCERTAINTY


@dataclass(frozen=True)
class Frame:
    """The similarity transform that places a cut-out in the picture, and the size of that picture.

    `matrix` is 2 x 3 float64 from photo to frame pixels, as cv2.warpAffine takes it; `scale` is its factor and `roll`
    its rotation in degrees. `is_native_scale`: the transform shifts by whole pixels, so nothing is resampled.
    `box` is the rectangle of the photo in frame pixels: left, top, right, bottom. `notices` are sentences for the user;
    `doubts` those of them that say what of the framing should be looked at; `better_shape` is the aspect ratio that
    would not cut the subject as this one does, "" where none is known. `own_enlargement` is how many times the photo
    itself looks enlarged, since it was or since it is blurred; 1 where it has fine detail of its own.
    """

    matrix: npt.NDArray[np.float64]
    size: Size
    scale: float
    roll: float
    is_native_scale: bool
    box: tuple[float, float, float, float]
    eye_line: float | None = None
    notices: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    better_shape: str = ""
    own_enlargement: int = 1


@dataclass(frozen=True)
class PlacedSubject:
    """A cut-out resampled once into its frame: `colour` and `alpha` have the size of the frame.

    `doubt_boxes` says, of the cut-out's notices that speak of places, where they lie: ratios of the frame, 0 to 1;
    none of those that lie outside. `has_background` is the cut-out's.
    """

    colour: Image
    alpha: Alpha
    frame: Frame
    doubt_boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict[str, "tuple[Box, ...]"])
    has_background: bool = True


@dataclass(frozen=True)
class Crop:
    """The part of the photo that a picture shows, and where it lies in the picture.

    `box` is that part as ratios of the photo, `placed_box` its place as ratios of the picture; each is left, top,
    right, bottom, 0 to 1. `visible_ratio` is how much of a face or product is inside the box, 0 to 1, for the one that
    is cut most; None where the photo shows none. `words` is where a headline stands to the photo, "" without one, and
    `words_contrast` its WCAG contrast with the least favourable ground under it, 1 to 21.
    """

    box: tuple[float, float, float, float]
    placed_box: tuple[float, float, float, float]
    visible_ratio: float | None = None
    words: Literal["", "over", "beside", "below", "above"] = ""
    words_contrast: float | None = None
