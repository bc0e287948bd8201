"""BlazeFace and the MediaPipe face mesh: where the faces are and how they are turned; recognises nobody.

Anchors and crops after Bazarevsky et al., "BlazeFace" (2019) and Kartynnik et al., "Real-time Facial Surface Geometry"
(2019). The detector sees 128 x 128 pixels, so a photo is shown to it whole, with room around, and in tiles.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import verified
from pipelines.models.nets.rotated_crop import Points, Region, crop_of, to_photo

DETECT_SIDE = 128
MESH_SIDE = 192
DETECTED = 0.5  # the detector's own threshold; the mesh has the last word
IS_FACE = 0.94  # faces of photos and drawings reach 0.95 when badly blurred; clouds, foxes and cats stay below
ROOM = 1.8  # a face that fills the photo is found when there is room around it
TALL = 0.3  # a head as tall as this share of the photo is the one that is meant: smaller ones are not looked for
SMALL_TILES_FROM = 900  # a longer side in pixels: below it a quarter tile would be enlarged, and shows nothing new
# Points of the mesh, as a viewer sees an upright face.
LEFT_EYE = (33, 133, 159, 145)
RIGHT_EYE = (263, 362, 386, 374)
FOREHEAD, CHIN, LEFT_CHEEK, RIGHT_CHEEK = 10, 152, 234, 454
# The head around the mesh, as shares of the face's height (forehead to chin) and width (cheek to cheek).
ABOVE, BELOW, BESIDE = 0.36, 0.04, 0.18


@dataclass(frozen=True)
class _Level:
    """The photo `scale` times smaller, and the windows of it that the detector looks into."""

    image: Image
    scale: float
    windows: list[Region]


class FaceMesh:
    """Detector and mesh; one photo at a time, whoever calls."""

    def __init__(self, spec: ModelSpec) -> None:
        detector, mesh = verified(spec)
        self.spec = spec
        # The newer engine of OpenCV 5 knows only one output of these files.
        self._detector = cv2.dnn.readNetFromTFLite(str(detector), cv2.dnn.ENGINE_CLASSIC)
        self._mesh = cv2.dnn.readNetFromTFLite(str(mesh), cv2.dnn.ENGINE_CLASSIC)
        self._lock = threading.Lock()

    def faces(self, image: Image) -> tuple[Face, ...]:
        """Faces by size, largest first, in pixels of `image` (H x W x 3); empty when there is none."""
        with self._lock:
            found: list[Face] = []
            for level in _levels(image):
                for region in self._detected(level):
                    self._add(image, region, found)
                if any(_tall(face) > TALL * max(image.shape) for face in found):
                    break
            return tuple(sorted(found, key=_tall, reverse=True))

    def close(self) -> None:
        """Lets go of both nets."""
        del self._detector, self._mesh

    def _detected(self, level: _Level) -> Iterator[Region]:
        """Where the detector sees faces, in pixels of the photo."""
        for window in level.windows:
            crop = crop_of(level.image, window, DETECT_SIDE)
            self._detector.setInput(cv2.dnn.blobFromImage(crop, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
            boxes, scores = self._detector.forward(["regressors", "classificators"])
            logits = np.asarray(scores, np.float32).reshape(-1)
            rows = np.flatnonzero(logits > np.log(DETECTED / (1 - DETECTED)))
            rows = rows[np.argsort(-logits[rows])]
            decoded = _decode(np.asarray(boxes, np.float32).reshape(len(logits), -1)[rows], _ANCHORS[rows])
            yield from (_place(box, window, level.scale) for box in _strongest(decoded))

    def _add(self, image: Image, region: Region, found: list[Face]) -> None:
        if any(_again(region, face) for face in found):
            return
        face = self._face(image, region)
        if face is not None and not any(_same(face, other) for other in found):
            found.append(face)

    def _face(self, image: Image, region: Region) -> Face | None:
        """The mesh twice: the second time on the crop that the first one found, which is the one it was trained on."""
        points, score = self._landmarks(image, region)
        if score < IS_FACE:
            return None
        points, score = self._landmarks(image, _around(points))
        return _as_face(points, score) if score >= IS_FACE else None

    def _landmarks(self, image: Image, region: Region) -> tuple[Points, float]:
        crop = crop_of(image, region, MESH_SIDE)
        self._mesh.setInput(cv2.dnn.blobFromImage(crop, 1 / 255))
        mesh, flag = self._mesh.forward(["conv2d_21", "conv2d_31"])
        points = np.asarray(mesh, np.float32).reshape(-1, 3)[:, :2]
        score = 1 / (1 + np.exp(-float(np.asarray(flag).reshape(-1)[0])))
        return cv2.transform(points[None], to_photo(region, MESH_SIDE))[0].astype(np.float32), float(score)


def _levels(image: Image) -> Iterator[_Level]:
    """From coarse to fine: the whole photo, also with room around it; half tiles; quarter tiles of a large photo."""
    long = max(image.shape[:2])
    for tiles in (1, 2, 4):
        if tiles == 4 and long < SMALL_TILES_FROM:
            return
        scale = max(long / (DETECT_SIDE * tiles), 1.0)
        size = (max(round(image.shape[1] / scale), 1), max(round(image.shape[0] / scale), 1))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        windows = list(_grid(*size, max(size) / tiles))
        if tiles == 1:
            windows.append(Region(size[0] / 2, size[1] / 2, max(size) * ROOM, 0.0))
        yield _Level(small, scale, windows)


def _grid(width: int, height: int, side: float) -> Iterator[Region]:
    for y in _centres(height, side):
        for x in _centres(width, side):
            yield Region(x, y, side, 0.0)


def _centres(length: int, side: float) -> list[float]:
    """Centres of half-overlapping windows that cover `length`."""
    if length <= side:
        return [length / 2]
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return [float(x) for x in np.linspace(side / 2, length - side / 2, count)]


def _anchors() -> Points:
    """Centres of the 896 anchors in units of the detector's input: two a cell on 16 x 16, six a cell on 8 x 8."""
    layers = [
        np.repeat((np.indices((cells, cells))[::-1].reshape(2, -1).T + 0.5) / cells, a_cell, axis=0)
        for cells, a_cell in ((16, 2), (8, 6))
    ]
    return np.concatenate(layers, dtype=np.float32)


_ANCHORS = _anchors()


def _decode(raw: Points, anchors: Points) -> Points:
    """Rows of x, y, width, height, then x, y of both eyes, in units of the window."""
    raw = np.asarray(raw / DETECT_SIDE, np.float32)
    return np.concatenate(
        (raw[:, 0:2] + anchors, raw[:, 2:4], raw[:, 4:6] + anchors, raw[:, 6:8] + anchors), axis=1
    ).astype(np.float32)


def _strongest(rows: Points) -> list[Points]:
    """Rows, strongest first, without those that another one covers."""
    kept: list[Points] = []
    for row in rows:
        reach = [max(other[2], row[2]) * 0.4 for other in kept]
        if all(np.hypot(*(row[:2] - other[:2])) > near for other, near in zip(kept, reach, strict=True)):
            kept.append(row)
    return kept


def _place(row: Points, window: Region, scale: float) -> Region:
    """The mesh's crop of a detection: its box, half as large again, levelled by the eyes."""
    left, top = window.x - window.side / 2, window.y - window.side / 2
    x, y, width, height = (float(value) for value in row[:4] * window.side)
    turn = float(np.arctan2(row[7] - row[5], row[6] - row[4]))
    return Region((left + x) * scale, (top + y) * scale, 1.5 * max(width, height) * scale, turn)


def _around(points: Points) -> Region:
    """The mesh's crop of a known mesh."""
    turn = _turn(points)
    level = cv2.transform(points[None], cv2.getRotationMatrix2D((0, 0), np.degrees(turn), 1))[0]
    low, high = level.min(axis=0), level.max(axis=0)
    back = cv2.getRotationMatrix2D((0, 0), -np.degrees(turn), 1)[:, :2]
    x, y = back @ ((low + high) / 2)
    return Region(float(x), float(y), 1.5 * float((high - low).max()), turn)


def _as_face(points: Points, score: float) -> Face:
    left, right = points[list(LEFT_EYE)].mean(axis=0), points[list(RIGHT_EYE)].mean(axis=0)
    return Face(
        landmarks=points,
        box=_head_box(points),
        left_eye=_pair(left),
        right_eye=_pair(right),
        chin=_pair(points[CHIN]),
        roll=float(np.degrees(_turn(points))),
        score=score,
    )


def _pair(point: Points) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _turn(points: Points) -> float:
    """Radians by which the line of the eyes is turned, clockwise."""
    across = points[list(RIGHT_EYE)].mean(axis=0) - points[list(LEFT_EYE)].mean(axis=0)
    return float(np.arctan2(across[1], across[0]))


def _head_box(points: Points) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the head with its hair: an upright box around the levelled estimate."""
    up = points[FOREHEAD] - points[CHIN]
    across = points[RIGHT_CHEEK] - points[LEFT_CHEEK]
    corners = np.array(
        [
            base + sign * across * (0.5 + BESIDE)
            for base in (points[FOREHEAD] + up * ABOVE, points[CHIN] - up * BELOW)
            for sign in (-1, 1)
        ]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _tall(face: Face) -> float:
    return face.box[3] - face.box[1]


def _again(region: Region, face: Face) -> bool:
    """Whether a detection is a known face again."""
    points = face.landmarks.mean(axis=0)
    return bool(np.hypot(region.x - points[0], region.y - points[1]) < face.eye_distance * 0.75)


def _same(face: Face, other: Face) -> bool:
    near = max(face.eye_distance, other.eye_distance) * 0.75
    return bool(np.hypot(face.eyes[0] - other.eyes[0], face.eyes[1] - other.eyes[1]) < near)
