"""Face detection and landmarks: BlazeFace and the MediaPipe face mesh. No face is recognised.

Anchors and crops after Bazarevsky et al., "BlazeFace" (2019) and Kartynnik et al., "Real-time Facial Surface Geometry"
(2019). The detector takes 128 x 128 pixels, so it gets a photo whole, with a margin around it, and in tiles.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import read_tflite, verify_files
from pipelines.models.nets.rotated_crop import Points, RotatedSquare, crop_to_photo_matrix, extract_crop

DETECTOR_SIDE_PX = 128
MESH_SIDE_PX = 192
MIN_DETECTOR_SCORE = 0.5  # the detector's own threshold; the score of the mesh decides
MIN_FACE_SCORE = 0.94  # faces of photos and drawings reach 0.95 when badly blurred; clouds, foxes and cats stay below
MIN_STEADY_SCORE = 0.75  # mean score of the crops beside a face; see `_SECOND_LOOKS`
MARGIN_WINDOW_RATIO = 1.8  # side of the window with a margin around the photo: it shows a face that fills the photo
MAIN_HEAD_RATIO = 0.3  # head height as a share of the photo from which no smaller faces are searched
QUARTER_TILES_MIN_PX = 900  # longer side below which quarter tiles would only be enlarged
# Landmark numbers of the mesh; left and right as a viewer sees an upright face.
LEFT_EYE = (33, 133, 159, 145)
RIGHT_EYE = (263, 362, 386, 374)
FOREHEAD, CHIN, LEFT_CHEEK, RIGHT_CHEEK = 10, 152, 234, 454
# Margins of the head around the mesh, as shares of the face's height (forehead to chin) and width (cheek to cheek).
HEAD_ABOVE_RATIO, HEAD_BELOW_RATIO, HEAD_BESIDE_RATIO = 0.36, 0.04, 0.18

# The crops in which a face is looked at again: size, shift to the right and down (each as a share of the fitted crop's
# side), turn in radians. What only happens to look like a face from one crop does not from those beside it.
_SECOND_LOOKS = (
    (1.25, 0.0, 0.0, 0.0), (0.8, 0.0, 0.0, 0.0), (1.0, 0.1, 0.0, 0.0), (1.0, -0.1, 0.0, 0.0),
    (1.0, 0.0, 0.1, 0.0), (1.0, 0.0, -0.1, 0.0), (1.0, 0.0, 0.0, 0.26), (1.0, 0.0, 0.0, -0.26),
)  # fmt: skip


@dataclass(frozen=True)
class _PyramidLevel:
    """The photo `scale` times smaller, and the windows of it that the detector searches."""

    image: Image
    scale: float
    windows: list[RotatedSquare]


class FaceMesh:
    """The loaded detector and mesh. Safe from any thread; one photo is processed at a time."""

    def __init__(self, spec: ModelSpec) -> None:
        detector, mesh = verify_files(spec)
        self.spec = spec
        self._detector, self._mesh = read_tflite(detector), read_tflite(mesh)
        self._lock = threading.Lock()

    def find_faces(self, image: Image) -> tuple[Face, ...]:
        """Find the faces, largest first, in pixels of `image` (H x W x 3)."""
        with self._lock:
            faces: list[Face] = []
            for level in _pyramid_levels(image):
                for region in self._detect_regions(level):
                    self._add_face(image, region, faces)
                if any(_head_height(face) > MAIN_HEAD_RATIO * max(image.shape) for face in faces):
                    break
            return tuple(sorted(faces, key=_head_height, reverse=True))

    def close(self) -> None:
        """Free both nets."""
        del self._detector, self._mesh

    def _detect_regions(self, level: _PyramidLevel) -> Iterator[RotatedSquare]:
        """Yield the regions in which the detector sees faces, in pixels of the photo."""
        for window in level.windows:
            crop = extract_crop(level.image, window, DETECTOR_SIDE_PX)
            self._detector.setInput(cv2.dnn.blobFromImage(crop, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
            boxes, scores = self._detector.forward(["regressors", "classificators"])
            logits = np.asarray(scores, np.float32).reshape(-1)
            rows = np.flatnonzero(logits > np.log(MIN_DETECTOR_SCORE / (1 - MIN_DETECTOR_SCORE)))
            rows = rows[np.argsort(-logits[rows])]
            decoded = _decode_boxes(np.asarray(boxes, np.float32).reshape(len(logits), -1)[rows], _ANCHORS[rows])
            yield from (_detection_region(box, window, level.scale) for box in _suppress_overlaps(decoded))

    def _add_face(self, image: Image, region: RotatedSquare, faces: list[Face]) -> None:
        if any(_is_known_face(region, face) for face in faces):
            return
        face = self._fit_mesh(image, region)
        if face is None or any(_is_same_face(face, other) for other in faces):
            return
        if self._is_steady(image, face):
            faces.append(face)

    def _fit_mesh(self, image: Image, region: RotatedSquare) -> Face | None:
        """Run the mesh twice, the second time on the crop by the first result, as in its training; None if no face."""
        points, score = self._predict_landmarks(image, region)
        if score < MIN_FACE_SCORE:
            return None
        points, score = self._predict_landmarks(image, _fit_square_to_mesh(points))
        return _to_face(points, score) if score >= MIN_FACE_SCORE else None

    def _is_steady(self, image: Image, face: Face) -> bool:
        """Tell whether the mesh sees the face in crops beside the fitted one, too: a logo or a fist it does not."""
        fitted = _fit_square_to_mesh(face.landmarks)
        lost, left, allowed = 0.0, len(_SECOND_LOOKS), (1 - MIN_STEADY_SCORE) * len(_SECOND_LOOKS)
        for size, right, down, turn in _SECOND_LOOKS:
            x, y = fitted.x + right * fitted.side, fitted.y + down * fitted.side
            crop = RotatedSquare(x, y, size * fitted.side, fitted.angle + turn)
            lost += 1 - self._predict_landmarks(image, crop)[1]
            left -= 1
            if lost > allowed or lost + left <= allowed:  # whatever the crops that are left show
                break
        return lost <= allowed

    def _predict_landmarks(self, image: Image, region: RotatedSquare) -> tuple[Points, float]:
        crop = extract_crop(image, region, MESH_SIDE_PX)
        self._mesh.setInput(cv2.dnn.blobFromImage(crop, 1 / 255))
        mesh, flag = self._mesh.forward(["conv2d_21", "conv2d_31"])
        points = np.asarray(mesh, np.float32).reshape(-1, 3)[:, :2]
        score = 1 / (1 + np.exp(-float(np.asarray(flag).reshape(-1)[0])))
        in_photo = cv2.transform(points[None], crop_to_photo_matrix(region, MESH_SIDE_PX))[0]
        return in_photo.astype(np.float32), float(score)


def _pyramid_levels(image: Image) -> Iterator[_PyramidLevel]:
    """Yield levels from coarse to fine: the whole photo, also with a margin; half tiles; quarter tiles if large."""
    longer_side = max(image.shape[:2])
    for tiles in (1, 2, 4):
        if tiles == 4 and longer_side < QUARTER_TILES_MIN_PX:
            return
        scale = max(longer_side / (DETECTOR_SIDE_PX * tiles), 1.0)
        size = (max(round(image.shape[1] / scale), 1), max(round(image.shape[0] / scale), 1))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        windows = list(_window_grid(*size, max(size) / tiles))
        if tiles == 1:
            windows.append(RotatedSquare(size[0] / 2, size[1] / 2, max(size) * MARGIN_WINDOW_RATIO, 0.0))
        yield _PyramidLevel(small, scale, windows)


def _window_grid(width: int, height: int, side: float) -> Iterator[RotatedSquare]:
    for y in _window_centres(height, side):
        for x in _window_centres(width, side):
            yield RotatedSquare(x, y, side, 0.0)


def _window_centres(length: int, side: float) -> list[float]:
    """List the centres of half-overlapping windows that cover `length`."""
    if length <= side:
        return [length / 2]
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return [float(x) for x in np.linspace(side / 2, length - side / 2, count)]


def _make_anchors() -> Points:
    """Compute the centres of the 896 anchors, 0 to 1: two per cell of 16 x 16, six per cell of 8 x 8. 896 x 2."""
    layers = [
        np.repeat((np.indices((cells, cells))[::-1].reshape(2, -1).T + 0.5) / cells, per_cell, axis=0)
        for cells, per_cell in ((16, 2), (8, 6))
    ]
    return np.concatenate(layers, dtype=np.float32)


_ANCHORS = _make_anchors()


def _decode_boxes(raw: Points, anchors: Points) -> Points:
    """Decode detector output to rows of x, y, width, height, then x, y of both eyes, in units of the window."""
    raw = np.asarray(raw / DETECTOR_SIDE_PX, np.float32)
    return np.concatenate(
        (raw[:, 0:2] + anchors, raw[:, 2:4], raw[:, 4:6] + anchors, raw[:, 6:8] + anchors), axis=1
    ).astype(np.float32)


def _suppress_overlaps(rows: Points) -> list[Points]:
    """Suppress boxes that a stronger one overlaps; `rows` are sorted, strongest first."""
    kept: list[Points] = []
    for row in rows:
        reach = [max(other[2], row[2]) * 0.4 for other in kept]
        if all(np.hypot(*(row[:2] - other[:2])) > near for other, near in zip(kept, reach, strict=True)):
            kept.append(row)
    return kept


def _detection_region(row: Points, window: RotatedSquare, scale: float) -> RotatedSquare:
    """Return the mesh's crop of a detection: its box, enlarged by half, levelled by the eyes."""
    left, top = window.x - window.side / 2, window.y - window.side / 2
    x, y, width, height = (float(value) for value in row[:4] * window.side)
    turn = float(np.arctan2(row[7] - row[5], row[6] - row[4]))
    return RotatedSquare((left + x) * scale, (top + y) * scale, 1.5 * max(width, height) * scale, turn)


def _fit_square_to_mesh(points: Points) -> RotatedSquare:
    """Return the mesh's crop of known landmarks."""
    turn = _eye_line_angle(points)
    level = cv2.transform(points[None], cv2.getRotationMatrix2D((0, 0), np.degrees(turn), 1))[0]
    low, high = level.min(axis=0), level.max(axis=0)
    back = cv2.getRotationMatrix2D((0, 0), -np.degrees(turn), 1)[:, :2]
    x, y = back @ ((low + high) / 2)
    return RotatedSquare(float(x), float(y), 1.5 * float((high - low).max()), turn)


def _to_face(points: Points, score: float) -> Face:
    left, right = points[list(LEFT_EYE)].mean(axis=0), points[list(RIGHT_EYE)].mean(axis=0)
    return Face(
        landmarks=points,
        box=_head_box(points),
        left_eye=_to_pair(left),
        right_eye=_to_pair(right),
        chin=_to_pair(points[CHIN]),
        roll=float(np.degrees(_eye_line_angle(points))),
        score=score,
    )


def _to_pair(point: Points) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _eye_line_angle(points: Points) -> float:
    """Return the angle of the line of the eyes in radians, clockwise."""
    across = points[list(RIGHT_EYE)].mean(axis=0) - points[list(LEFT_EYE)].mean(axis=0)
    return float(np.arctan2(across[1], across[0]))


def _head_box(points: Points) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of the head with its hair: an upright box around the levelled estimate."""
    up = points[FOREHEAD] - points[CHIN]
    across = points[RIGHT_CHEEK] - points[LEFT_CHEEK]
    corners = np.array(
        [
            base + sign * across * (0.5 + HEAD_BESIDE_RATIO)
            for base in (points[FOREHEAD] + up * HEAD_ABOVE_RATIO, points[CHIN] - up * HEAD_BELOW_RATIO)
            for sign in (-1, 1)
        ]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _head_height(face: Face) -> float:
    return face.box[3] - face.box[1]


def _is_known_face(region: RotatedSquare, face: Face) -> bool:
    """Tell whether a detection is a face that is known already."""
    points = face.landmarks.mean(axis=0)
    return bool(np.hypot(region.x - points[0], region.y - points[1]) < face.eye_distance * 0.75)


def _is_same_face(face: Face, other: Face) -> bool:
    near = max(face.eye_distance, other.eye_distance) * 0.75
    return bool(
        np.hypot(face.eye_midpoint[0] - other.eye_midpoint[0], face.eye_midpoint[1] - other.eye_midpoint[1]) < near
    )
