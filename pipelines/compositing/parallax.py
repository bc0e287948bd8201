"""A photo as two planes, subject and filled backdrop, seen by a camera that moves a little; moves nobody in it.

Near things move more across a picture than far ones: that is the whole effect. The backdrop is continued behind the
subject (`parts.fill`), of which only a narrow band by the outline is ever seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Cutout, Image, Size
from pipelines.imaging.color import LinearImage, to_linear, to_srgb
from pipelines.imaging.inpaint import inpaint

FPS = 20.0
_HOLE_MARGIN_RATIO = 0.012  # of the height: as far round the subject, its colour may tint the backdrop
_MAX_SHIFT_RATIO = 0.016  # of the width, the subject's largest way at full depth, either side
_BACKDROP_SHIFT_FACTOR = -0.35  # of the subject's way, the backdrop's: the camera keeps aiming between the two
_MAX_ZOOM_RATIO = 0.075  # how much nearer the subject comes at full depth
_BACKDROP_ZOOM_FACTOR = 0.4  # of that, the backdrop
_MIRROR_RIM_RATIOS = (
    0.045,
    0.08,
)  # of the width, into the hole: up to the first all mirror, from the second on all filled
_FOOT_RATIO = 0.2  # of the subject's height: so far up its lower outline is its foot, or where something hides the rest
_SIDE_FADE_RATIO = 0.03  # of the width, over which what lies in front of it fades out
_INPAINT_SIDE_PX = (
    288  # pixels of the longer side at which the backdrop is continued: hardly more than its rim is ever seen
)


@dataclass(frozen=True)
class CameraMove:
    """A way of the camera over one turn of its loop: to the side, up, and forwards, each -1 to 1 of full depth."""

    title: str
    across: float = 0.0
    up: float = 0.0
    ahead: float = 0.0


CAMERA_MOVES: dict[str, CameraMove] = {
    "drift": CameraMove("Drift, side to side", across=1.0),
    "push": CameraMove("Push in and back", ahead=1.0),
    "orbit": CameraMove("Small circle", across=0.9, up=0.45, ahead=0.25),
    "rise": CameraMove("Rise and sink", up=0.8, ahead=0.2),
}


@dataclass(frozen=True)
class Planes:
    """Backdrop (continued behind the subject) and subject in linear light, and its alpha; all of the frame's size."""

    back: LinearImage
    front: LinearImage
    alpha: Alpha


def split_planes(photo: Image, cutout: Cutout, size: Size, seed: int) -> Planes:
    """The photo (H x W x 3) taken apart at `size`, which has its shape."""
    how = cv2.INTER_AREA if size[0] < photo.shape[1] else cv2.INTER_CUBIC
    small, colour = (np.asarray(cv2.resize(c, size, interpolation=how), np.uint8) for c in (photo, cutout.colour))
    alpha = np.clip(np.asarray(cv2.resize(cutout.alpha, size, interpolation=how), np.float32), 0, 1)
    below = _find_occluders(alpha)
    front = np.where((below > alpha)[..., None], small, colour)
    alpha = np.maximum(alpha, below)
    return Planes(to_linear(_inpaint_backdrop(small, alpha, seed)), to_linear(front), alpha)


def _find_occluders(alpha: Alpha) -> Alpha:
    """How far each pixel lies in front of the subject's feet, 0 to 1: a lectern or a table's edge moves with it."""
    rows = np.arange(len(alpha))[:, None]
    solid = alpha > 0.95  # a soft edge there is the photo's own, between two things that move alike
    lowest = np.where(solid.any(axis=0), len(alpha) - 1 - np.argmax(solid[::-1], axis=0), -1)
    inside = np.flatnonzero(solid.any(axis=1))
    if not len(inside):
        return np.zeros_like(alpha)
    foot = inside[-1] - _FOOT_RATIO * (inside[-1] - inside[0])
    before = (rows > lowest) & (lowest >= foot)
    # Soft at its sides, where the ground is cut and nothing ends; not beside the subject, which moves alike.
    wide = (2 * round(_SIDE_FADE_RATIO * alpha.shape[1]) + 1, 1)
    alone, beside = (
        np.asarray(cv2.blur(part.astype(np.float32), wide), np.float32) for part in (before, before | solid)
    )
    return np.where(before, beside, alone)


def _inpaint_backdrop(photo: Image, alpha: Alpha, seed: int) -> Image:
    """The backdrop without the subject. Continued on a smaller copy: it lies behind, and its grain is laid on anew."""
    height, width = alpha.shape
    reach = max(3, round(_HOLE_MARGIN_RATIO * height))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    hole = np.asarray(cv2.dilate((alpha > 0.02).astype(np.float32), kernel), np.float32)
    scale = min(1.0, _INPAINT_SIDE_PX / max(width, height))
    size = (round(width * scale), round(height * scale))
    less = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
    gap = (np.asarray(cv2.resize(hole, size, interpolation=cv2.INTER_AREA), np.float32) > 0.01).astype(np.float32)
    if gap.mean() > 0.95:
        return photo
    deep = cv2.resize(inpaint(less, gap, seed), (width, height), interpolation=cv2.INTER_CUBIC)
    return _mirror_rim(photo, hole > 0.5, np.asarray(deep, np.uint8))


def _mirror_rim(photo: Image, hole: npt.NDArray[np.bool_], deep: Image) -> Image:
    """The hole's rim as a mirror of what lies outside it, so that a flag's stripes go on; further in, `deep`."""
    height, width = hole.shape
    away, labels = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label = np.asarray(labels, np.intp)
    outside = np.argwhere(~hole)
    place = np.zeros((int(label.max()) + 1, 2), np.float32)
    place[label[~hole]] = outside
    at = np.indices(hole.shape, np.float32).transpose(1, 2, 0)
    # Smoothed, else every step of the outline is a step in the mirror.
    there = at + 2 * cv2.GaussianBlur(place[label] - at, (0, 0), 0.004 * width + 0.5)
    x, y = np.clip(there[..., 1], 0, width - 1), np.clip(there[..., 0], 0, height - 1)
    rim = cv2.remap(photo, x, y, cv2.INTER_LINEAR)
    # What the mirror would take from the subject itself is not taken.
    ours = cv2.remap(hole.astype(np.float32), x, y, cv2.INTER_LINEAR)
    weight = np.clip(
        (_MIRROR_RIM_RATIOS[1] * width - away) / ((_MIRROR_RIM_RATIOS[1] - _MIRROR_RIM_RATIOS[0]) * width), 0, 1
    ) * (1 - ours)
    soft = cv2.GaussianBlur(weight.astype(np.float32), (0, 0), 1.5)[..., None]
    inside = deep + np.where(hole[..., None], soft, 0) * (rim.astype(np.float32) - deep)
    return np.where(hole[..., None], np.clip(inside + 0.5, 0, 255), photo).astype(np.uint8)


def render_frames(seen: Planes, move: CameraMove, depth: float, seconds: float) -> Iterator[Image]:
    """One turn of the loop, H x W x 3 each, `FPS` a second; `depth` 0 to 1. The last leads back to the first."""
    count = round(seconds * FPS)
    for n in range(count):
        yield render_frame(seen, move, depth, n / count)


def render_frame(seen: Planes, move: CameraMove, depth: float, turn: float) -> Image:
    """What the camera sees at `turn`, 0 to 1 of its loop."""
    side = depth * _MAX_SHIFT_RATIO * move.across * math.sin(2 * math.pi * turn)
    lift = depth * _MAX_SHIFT_RATIO * move.up * math.cos(2 * math.pi * turn)
    near = depth * _MAX_ZOOM_RATIO * move.ahead * (1 - math.cos(2 * math.pi * turn)) / 2
    # Both are enlarged as far as they move, so that no border of the photo is ever inside.
    room = 1 + 2.2 * depth * _MAX_SHIFT_RATIO * max(abs(move.across), abs(move.up))
    back = _warp_plane(
        seen.back, room + _BACKDROP_ZOOM_FACTOR * near, _BACKDROP_SHIFT_FACTOR * side, _BACKDROP_SHIFT_FACTOR * lift
    )
    matrix = (room + near, side, lift)
    front, alpha = _warp_plane(seen.front, *matrix), np.clip(_warp_plane(seen.alpha, *matrix), 0, 1)[..., None]
    return np.clip(to_srgb(back + alpha * (front - back)) + 0.5, 0, 255).astype(np.uint8)


def _warp_plane(plane: LinearImage, scale: float, across: float, up: float) -> LinearImage:
    """The plane enlarged about its middle and moved by shares of its width."""
    height, width = plane.shape[:2]
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[scale, 0, x - scale * x + across * width], [0, scale, y - scale * y + up * width]])
    drawn = cv2.warpAffine(plane, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.float32)
