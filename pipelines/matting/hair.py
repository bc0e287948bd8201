"""Hair at a head's edge, told by colour where it is told plainly: what shows between curls is background.

Knows no nets. A net sees a head of hair as one patch; before a plain wall the photo itself says where each curl ends.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Face, Image
from pipelines.matting.closed_form import solved
from pipelines.matting.edge_colors import evened, weighing

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

AROUND = 1.5  # of the head's box: so far hair may reach
DEEP = 0.035  # of the head's height, to both sides of the edge
PLAINLY = 9.0  # squared deviations between hair and ground from which colour has a say; at twice that, all of it
WALL = 9.0  # levels by which a plain ground's colour varies around there; from twice that colour has no say
PLAIN_WALL = 5.0  # for a single hair: before folds of cloth it is told in pieces
SHALLOW = 0.15  # of that: so far inside the ground is as plain as outside; from twice that no more
FARTHER = 1.6  # than that single hairs reach outside the outline
CHANCE = 2.5  # deviations of the wall's colour: nearer to it is the wall, and at twice that it is not
BLOCK = 4.0  # levels: no lighter or darker is chance, and at twice that it is not
FAINT = 0.05  # alpha: what is fainter joins nothing to the head
EVEN = 3.0  # pixels: one pixel that is told plainly among others that are not is chance
EVEN_LINE = 0.009  # of the head's height: teeth of an outline that are smaller are the net's
# How firmly the net's word is held: before a plain wall, elsewhere, off the edge.
HINT, HELD, SETTLED = 0.001, 1.0, 10.0


def combed(image: Image, alpha: Alpha, face: Face) -> Alpha:
    """`alpha` (H x W) with the edge of the hair around `face` solved from the colours of `image` (H x W x 3)."""
    tall = float(face.box[3] - face.box[1])
    reach = max(2, round(DEEP * tall))
    left, top, right, bottom = _window(face, image, reach)
    window = slice(top, bottom), slice(left, right)
    part, seen = alpha[window], np.ascontiguousarray(image[window])
    edge = _edge(part, reach) & ~_face(face, part.shape, (left, top))
    if not edge.any():
        return alpha
    plain, share = _plain(seen, part, edge, reach)
    firm = np.where(edge, HINT + (HELD - HINT) * (1 - plain), SETTLED).astype(np.float32)
    even = evened(part, EVEN_LINE * tall) - part
    # A notch is filled as far as its colour is the subject's: the corner of a neck is none.
    held = part + edge * np.where(even > 0, even * share, even)
    result = alpha.copy()
    result[window] = np.maximum(
        held + plain * edge * (solved(seen, part, firm) - held), _strays(seen, part, reach, round(face.box[3]) - top)
    )
    return result


def _strays(image: Image, alpha: Alpha, reach: int, chin: int) -> Alpha:
    """Single hairs outside the outline, above the row `chin`, H x W: what stands before a plain wall and is narrow."""
    near = _edge(alpha, round(FARTHER * reach)) & (alpha < 0.5)
    near[chin:] = False
    result = np.zeros(alpha.shape, np.float32)
    if not near.any():
        return result
    seen = weighing(image, alpha, near)
    # A hair is told whole or not at all: pieces of one are dirt.
    uneven = np.zeros(alpha.shape, np.float32)
    uneven[near] = seen.uneven
    uneven = cv2.dilate(uneven, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))[near]
    told = np.clip((np.sqrt(seen.away) - CHANCE) / CHANCE, 0, 1) * np.clip(2 - uneven / PLAIN_WALL, 0, 1)
    result[near] = told * seen.share * _lit_apart(image, near, reach)[near]
    # What is wide is a thing behind, or a shadow.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach | 1, reach | 1))
    result -= cv2.morphologyEx(result, cv2.MORPH_OPEN, disc)
    _, labels = cv2.connectedComponents(((result > FAINT) | (alpha > 0.5)).astype(np.uint8))
    joined = np.isin(labels, np.unique(np.asarray(labels)[alpha > 0.5]))
    return np.where(joined, result, 0).astype(np.float32)


def _lit_apart(image: Image, near: Mask, reach: int) -> Floats:
    """0 to 1, H x W: how plainly a pixel is lighter or darker than those about it of which `near` is true.

    A file's colours are kept in blocks: beside skin a wall has skin's hue, and a hair has a lightness of its own.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    weight = near.astype(np.float32)
    total, known = (cv2.blur(part, (2 * reach + 1, 2 * reach + 1)) for part in (weight * grey, weight))
    away = np.abs(grey - total / np.maximum(known, 1e-3))
    return np.clip(away / BLOCK - 1, 0, 1).astype(np.float32)


def _plain(image: Image, alpha: Alpha, edge: Mask, reach: int) -> tuple[Floats, Floats]:
    """Two maps along the `edge`, 0 to 1, H x W: how plainly its colours are told apart, and the subject's share.

    Plain is where hair and ground are two colours, and the ground is one. Just inside the outline that is seen just
    outside it: what is told of the ground there is of a place farther away.
    """
    where = edge | ((alpha > 0.02) & (alpha < 0.98))
    seen = weighing(image, alpha, where)
    beside = _from_outside(seen.uneven, where, alpha, reach)
    depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)[where]
    even = np.clip(2 - np.stack((seen.uneven, beside)) / WALL, 0, 1)
    even[1] *= np.clip(2 - depth / (SHALLOW * reach), 0, 1)
    told = np.clip(seen.separation / PLAINLY - 1, 0, 1) * even.max(axis=0)
    maps = np.zeros((*alpha.shape, 3), np.float32)
    maps[where] = np.stack((told, seen.share, np.ones_like(told)), axis=1)
    plain, share, known = np.moveaxis(cv2.GaussianBlur(maps, (0, 0), EVEN), 2, 0)
    known = np.maximum(known, 1e-3)
    return np.where(edge, np.minimum(plain / known, 1), 0).astype(np.float32), np.minimum(share / known, 1)


def _from_outside(values: Floats, where: Mask, alpha: Alpha, reach: int) -> Floats:
    """N `values` at the pixels `where`, each as the mean of those outside the outline about it."""
    maps = np.zeros((*alpha.shape, 2), np.float32)
    maps[where] = np.stack((values, np.ones_like(values)), axis=1) * (alpha[where] < 0.5)[:, None]
    total, known = np.moveaxis(cv2.GaussianBlur(maps, (0, 0), reach / 2), 2, 0)
    return np.where(known > 1e-3, total / np.maximum(known, 1e-3), WALL * 2)[where].astype(np.float32)


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
