"""Hair at a head's edge, told by colour where it is told plainly: what shows between curls is background.

Knows no nets. A net sees a head of hair as one patch; before a plain wall the photo itself says where each curl ends.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.parts.edges import SMOOTH, weighing
from pipelines.types import Alpha, Face, Image

Mask = npt.NDArray[np.bool_]

AROUND = 1.5  # of the head's box: so far hair may reach
DEEP = 0.03  # of the head's height, to both sides of the edge
PLAINLY = 9.0  # squared deviations between hair and ground from which colour has a say; at twice that, all of it
WALL = 9.0  # levels by which a plain ground's colour varies around there; from twice that colour has no say
OFF = 9.0  # squared deviations off the line between both colours at which a pixel counts half
EVEN = 3.0  # pixels: one pixel that is told plainly among others that are not is chance


def combed(image: Image, alpha: Alpha, face: Face) -> Alpha:
    """`alpha` (H x W) with the edge of the hair around `face` weighed by colour (`image` H x W x 3)."""
    tall = float(face.box[3] - face.box[1])
    reach = max(2, round(DEEP * tall))
    left, top, right, bottom = _window(face, image, reach)
    window = slice(top, bottom), slice(left, right)
    part = alpha[window]
    edge = _edge(part, reach) & ~_face(face, part.shape, (left, top))
    if not edge.any():
        return alpha
    where = edge | ((part > 0.02) & (part < 0.98))
    seen = weighing(np.ascontiguousarray(image[window]), part, where)
    trust = np.zeros(part.shape, np.float32)
    plain = np.clip(seen.separation / PLAINLY - 1, 0, 1) * np.clip(2 - seen.uneven / WALL, 0, 1)
    trust[where] = plain / (1 + seen.off / OFF) * edge[where]
    trust = np.clip(np.minimum(2 * trust, 1.2 * cv2.GaussianBlur(trust, (0, 0), EVEN)), 0, 1)
    mixed = part.copy()
    mixed[where] += trust[where] * (seen.share - mixed[where])
    told = trust > 0.05
    mixed[told] = cv2.GaussianBlur(mixed, (3, 3), SMOOTH)[told]
    result = alpha.copy()
    result[window] = mixed
    return result


def _window(face: Face, image: Image, more: int) -> tuple[int, int, int, int]:
    """What lies around the head, in whole pixels inside the photo, and a little more for the colours there."""
    left, top, right, bottom = face.box
    x, y = (left + right) / 2, (top + bottom) / 2
    half = max(right - left, bottom - top) * AROUND / 2 + 2 * more
    height, width = image.shape[:2]
    return max(int(x - half), 0), max(int(y - half), 0), min(int(x + half), width), min(int(y + half), height)


def _edge(alpha: Alpha, reach: int) -> Mask:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, disc) > 0


def _face(face: Face, shape: tuple[int, ...], origin: tuple[int, int]) -> Mask:
    """The face itself: skin has its highlights, and none of them is background."""
    canvas = np.zeros(shape, np.uint8)
    points = np.asarray(face.landmarks - np.array(origin, np.float32), np.int32)
    cv2.fillConvexPoly(canvas, np.asarray(cv2.convexHull(points), np.int32), 1)
    return cv2.dilate(canvas, np.ones((5, 5), np.uint8)) > 0
