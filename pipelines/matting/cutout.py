"""Frees a subject from its background: which subject, its alpha, its own colour; knows no tools and no files.

The net says roughly what stands out (it sees 320 x 320 pixels), a second look at the head says it better for hair, and
the colours on both sides of the edge say where the edge runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Face, Image
from pipelines.matting.border_cleanup import without_strays
from pipelines.matting.boundary_refinement import KNOWN_ALPHA_MARGIN, refine_boundary
from pipelines.matting.contour_smoothing import drawn
from pipelines.matting.edge_colors import OPAQUE, refined, softened
from pipelines.matting.foreground_estimation import foreground, freed
from pipelines.matting.hair import combed
from pipelines.matting.subject_selection import dimmed, one_subject, soft_patch, swept, tidy
from pipelines.matting.tiled_refinement import closer, shows_more

Mask = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]

CARVED = 0.02  # of the second look: so far from the edge it may take away
HEAD_LOOK = 1.6  # the second look: this much of the head box
BODY, RIM = 0.08, 0.02  # the lowest share of a photo, and its rim: where what is close by is cut
DOUBTED = 0.2  # how much of either may be half seen
COVERED = 0.3  # mean alpha over a face's box below which the net looked at something else
BESIDE = 0.002  # of the longer side: so near its edge the net is not sure, whatever it says
LEAST = 0.002  # of the photo's pixels: less is not a subject


class Net(Protocol):
    """What is asked of a matting net."""

    def alpha(self, image: Image) -> Alpha: ...


def cutout(
    image: Image,
    net: Net,
    *,
    matte: Image | Alpha | None = None,
    pick: int = 0,
    faces: Sequence[Face] = (),
    closely: Callable[[int, int], None] | None = None,
    seen: Callable[[Alpha], None] | None = None,
) -> Cutout:
    """The subject of `image` (H x W x 3) at the photo's own size.

    `matte` (H x W or H x W x 1, 3 or 4; uint8 or float 0 to 1; of any size) replaces all that the net would say.
    `pick` chooses the subject: the face of that number when there are `faces` (by size, as the face mesh gives them),
    else the detached part of that number by size. `seen` is called once, after the first look of the net, with a first
    alpha to show meanwhile; never with a user's matte, which needs no net. With `closely` a large photo's outline is
    looked at again in tiles, which takes as long as some ten looks; it is told how many of how many are done. Raises
    `BadInput`: `no_subject` when nothing stands out, or when there is no subject of that number (with `param` "pick").
    """
    if matte is not None:
        alpha = _own_matte(matte, image)
        _must_show(alpha)
        return Cutout(foreground(image, alpha), alpha)
    face = _picked(faces, pick)
    number = 0 if face else pick
    rough = _first_look(image, net, face)
    if seen is not None:
        seen(one_subject(rough, number, face))
    if face is not None:
        rough = _below(image, net, _second_look(image, net, rough, _grown(face, HEAD_LOOK, image)), face)
    alpha = without_strays(image, one_subject(rough, number, face))
    heard = None
    if closely is not None and shows_more(image):
        alpha, heard = closer(image, alpha, lambda tile: clipped(net.alpha(tile)), closely)
    alpha = _weighed(image, alpha, face, heard)
    alpha = freed(image, softened(image, alpha))
    _must_show(alpha)
    return Cutout(foreground(image, alpha), alpha, soft_patch(alpha, [face.box for face in faces]))


def clipped(raw: Alpha) -> Alpha:
    """The recipe of U2-Net: its map rises late at an edge and is never quite 0 or 1."""
    return np.clip((raw - np.float32(0.1)) / np.float32(0.8), 0, 1)


def core_of(alpha: Alpha) -> Mask:
    """H x W: where Exact promises the photo's own pixels: alpha >= 250/255, two pixels in from its edge."""
    opaque = (alpha >= OPAQUE).astype(np.uint8)
    return cv2.erode(opaque, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE) > 0


def core_share(alpha: Alpha) -> float:
    """The core's share of the pixels with alpha > 0.5, 0 to 1; the house promises 0.8. 0 when there are none."""
    seen = int((alpha > 0.5).sum())
    return float(core_of(alpha).sum() / seen) if seen else 0.0


def _must_show(alpha: Alpha) -> None:
    if (alpha > 0.5).mean() < LEAST:
        raise BadInput("Nothing stands out in this photo. Choose one with a clear subject.", code="no_subject")


def _picked(faces: Sequence[Face], pick: int) -> Face | None:
    if not faces:
        return None
    if pick >= len(faces):
        count = "one face" if len(faces) == 1 else f"{len(faces)} faces"
        raise BadInput(f"There are only {count} in this photo.", code="no_subject", param="pick")
    return faces[pick]


def _own_matte(matte: Image | Alpha, image: Image) -> Alpha:
    """The user's matte as an alpha of the photo's size; a coloured one counts by its brightness."""
    alpha = matte.astype(np.float32) / (255 if matte.dtype == np.uint8 else 1)
    if alpha.ndim == 3:
        alpha = alpha[..., 3] if alpha.shape[2] == 4 else alpha.mean(axis=2)
    if alpha.shape != image.shape[:2]:
        alpha = cv2.resize(alpha, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip(alpha, 0, 1).astype(np.float32)


def _weighed(image: Image, alpha: Alpha, face: Face | None, heard: Alpha | None = None) -> Alpha:
    """The net's `alpha` where it was sure; elsewhere, and in hair, what the colours say."""
    known = refine_boundary(image, alpha, heard)
    unsure = (known.alpha > KNOWN_ALPHA_MARGIN) & (known.alpha < 1 - KNOWN_ALPHA_MARGIN)
    solid = (known.alpha > 0.5).astype(np.uint8)
    wide = max(1, round(BESIDE * max(alpha.shape)))
    unsure |= cv2.morphologyEx(solid, cv2.MORPH_GRADIENT, np.ones((2 * wide + 1, 2 * wide + 1), np.uint8)) > 0
    alpha = refined(image, known.alpha, unsure, known.doubt)
    alpha = tidy(alpha)
    return drawn(image, alpha) if face is None else dimmed(swept(combed(image, alpha, face)))


def _first_look(image: Image, net: Net, face: Face | None) -> Alpha:
    """What the net sees in the photo, or around the face when it looked at something else."""
    alpha = clipped(net.alpha(image))
    if face is None and _half_seen(alpha):
        return np.maximum(alpha, _among_mirrors(image, net))
    if face is None or _mean_in(alpha, _grown(face, 1.0, image)) >= COVERED:
        return alpha
    return _pasted(image, net, _person(face, image))


def _half_seen(alpha: Alpha) -> bool:
    """Whether the photo cuts a subject of which the net is not sure there: a head close by whose chest is a riddle."""
    wide = max(2, round(RIM * max(alpha.shape)))
    rim = np.ones(alpha.shape, np.bool_)
    rim[wide:-wide, wide:-wide] = False
    return float(((alpha[rim] > 0.1) & (alpha[rim] < 0.9)).mean()) > DOUBTED


def _among_mirrors(image: Image, net: Net) -> Alpha:
    """What the net sees of a photo between its own reflections, where nothing ends at its border."""
    height, width = image.shape[:2]
    down, right = height // 2, width // 2
    wide = cv2.copyMakeBorder(image, down, down, right, right, cv2.BORDER_REFLECT_101)
    return clipped(net.alpha(np.asarray(wide, np.uint8)))[down : down + height, right : right + width]


def _mean_in(alpha: Alpha, box: Box) -> float:
    left, top, right, bottom = box
    return float(alpha[top:bottom, left:right].mean())


def _grown(face: Face, by: float, image: Image) -> Box:
    """The head box `by` times larger, in whole pixels inside the photo."""
    left, top, right, bottom = face.box
    x, y = (left + right) / 2, (top + bottom) / 2
    half = max(right - left, bottom - top) * by / 2
    return _inside((x - half, y - half, x + half, y + half), image)


def _person(face: Face, image: Image) -> Box:
    """Where the body of a face may reach: three heads to each side, seven down."""
    left, top, right, bottom = face.box
    tall = bottom - top
    return _inside((left - 1.5 * tall, top - 0.5 * tall, right + 1.5 * tall, bottom + 6 * tall), image)


def _inside(box: tuple[float, float, float, float], image: Image) -> Box:
    height, width = image.shape[:2]
    left, right = (int(np.clip(x, 0, width)) for x in (box[0], box[2] + 1))
    top, bottom = (int(np.clip(y, 0, height)) for y in (box[1], box[3] + 1))
    return min(left, width - 1), min(top, height - 1), max(right, left + 1), max(bottom, top + 1)


def _pasted(image: Image, net: Net, box: Box) -> Alpha:
    """The net's view of `box` alone, nothing around it."""
    left, top, right, bottom = box
    alpha = np.zeros(image.shape[:2], np.float32)
    alpha[top:bottom, left:right] = clipped(net.alpha(np.ascontiguousarray(image[top:bottom, left:right])))
    return alpha


def _below(image: Image, net: Net, alpha: Alpha, face: Face) -> Alpha:
    """`alpha` with the body under a face close to the photo's lower border, where the net half saw it.

    A strip of shoulder is no body to the net. With the last row drawn on below and beside, it is.
    """
    height, width = alpha.shape
    low = alpha[round((1 - BODY) * height) :]
    if ((low > 0.1) & (low < 0.9)).mean() < DOUBTED:
        return alpha
    beside, below = width // 5, round(0.4 * height)
    drawn_on = cv2.copyMakeBorder(image, 0, below, beside, beside, cv2.BORDER_REPLICATE)
    seen = clipped(net.alpha(np.asarray(drawn_on, np.uint8)))[:height, beside : beside + width]
    top, bottom = face.box[1], min(face.box[3], height)
    under = np.clip((np.arange(height) - (bottom - 0.3 * (bottom - top))) / max(0.1 * (bottom - top), 1), 0, 1)
    return np.asarray(np.maximum(alpha, seen * under[:, None]), np.float32)


def _second_look(image: Image, net: Net, alpha: Alpha, box: Box) -> Alpha:
    """The net's view of `box` in place of what it saw in the whole, near the edge that it saw there.

    Far from that edge the whole photo knows better: a crop shows no shoulder as part of a body.
    """
    left, top, right, bottom = box
    part = alpha[top:bottom, left:right]
    closer = clipped(net.alpha(np.ascontiguousarray(image[top:bottom, left:right])))
    reach = 0.07 * min(part.shape)
    # What the whole photo showed plainly as subject goes only right at its edge: a crop knows no arm by its hand.
    lost = _near_edge(part, CARVED * min(part.shape))
    weight = np.where(closer < part, lost, _near_edge(part, reach)) * _window(box, image)
    result = alpha.copy()
    result[top:bottom, left:right] = part + weight * (closer - part)
    return result


def _near_edge(alpha: Alpha, reach: float) -> Alpha:
    """1 at the edge of the matte, falling to 0 between `reach` and twice that."""
    solid = (alpha > 0.5).astype(np.uint8)
    away = np.maximum(cv2.distanceTransform(solid, cv2.DIST_L2, 3), cv2.distanceTransform(1 - solid, cv2.DIST_L2, 3))
    return np.clip(2 - away / max(reach, 1), 0, 1).astype(np.float32)


def _window(box: Box, image: Image) -> Alpha:
    """1 inside the box, falling to 0 over an eighth of it at each side that is not the photo's own border."""
    left, top, right, bottom = box
    rows = _rise(bottom - top, top > 0, bottom < image.shape[0])
    columns = _rise(right - left, left > 0, right < image.shape[1])
    return rows[:, None] * columns[None]


def _rise(length: int, at_start: bool, at_end: bool) -> Alpha:
    steps = np.arange(length, dtype=np.float32)
    edge = max(length / 8, 1)
    start = np.clip(steps / edge, 0, 1) if at_start else np.ones(length, np.float32)
    end = np.clip((length - 1 - steps) / edge, 0, 1) if at_end else np.ones(length, np.float32)
    return (start * end).astype(np.float32)
