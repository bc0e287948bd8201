"""Animate a photo as two planes, subject and inpainted backdrop, seen by a slightly moving camera (parallax).

Near things move more across a picture than far ones. The backdrop is inpainted behind the subject, of which only a
narrow band along the outline is ever visible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.compositing.compose import mix_by_matte
from pipelines.core.geometry import Alpha, Cutout, Float32Array, Image, Mask, Size
from pipelines.imaging.inpaint import inpaint
from pipelines.imaging.resize import resize_image, resize_map, size_within

FPS = 20.0  # frames per second
_HOLE_MARGIN_RATIO = 0.012  # of the height, around the subject, where its colour may tint the backdrop
_MAX_SHIFT_RATIO = 0.016  # of the width: the subject's largest shift to either side at full depth
_BACKDROP_SHIFT_FACTOR = -0.35  # of the subject's shift: the camera keeps aiming between both planes
_MAX_ZOOM_RATIO = 0.075  # enlargement of the subject at full depth
_BACKDROP_ZOOM_FACTOR = 0.4  # of the subject's enlargement
_MIRROR_RIM_RATIOS = 0.045, 0.08  # of the width, into the hole: mirrored up to the first, inpainted from the second
_FOOT_RATIO = 0.2  # of the subject's height: a lower outline within it is its foot, or something that hides the rest
_SIDE_FADE_RATIO = 0.03  # of the width: soft sides of things in front of the subject
_INPAINT_SIDE_PX = 288  # longer side of the copy that is inpainted: hardly more than its rim is visible


@dataclass(frozen=True)
class CameraMove:
    """The camera's way over one loop: to the side, up and forwards, each -1 to 1 of full depth."""

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
    """The inpainted backdrop and the subject in sRGB values, and its alpha; all of the frame's size."""

    back: Float32Array
    front: Float32Array
    alpha: Alpha


def split_planes(photo: Image, cutout: Cutout, size: Size, seed: int) -> Planes:
    """Split the photo into planes of `size`, which has its shape."""
    small, colour = resize_image(photo, size), resize_image(cutout.colour, size)
    interpolation = cv2.INTER_AREA if size[0] < photo.shape[1] else cv2.INTER_CUBIC
    alpha = np.clip(np.asarray(cv2.resize(cutout.alpha, size, interpolation=interpolation), np.float32), 0, 1)
    occluders = _find_occluders(alpha)
    front = np.where((occluders > alpha)[..., None], small, colour)
    alpha = np.maximum(alpha, occluders)
    return Planes(_inpaint_backdrop(small, alpha, seed).astype(np.float32), front.astype(np.float32), alpha)


def make_single_plane(photo: Image, size: Size) -> Planes:
    """Take the whole photo as one plane of `size`, which has its shape: a landscape, or what is not cut out surely."""
    plane = resize_image(photo, size).astype(np.float32)
    return Planes(plane, plane, np.ones((size[1], size[0]), np.float32))


def _find_occluders(alpha: Alpha) -> Alpha:
    """Return 1 in front of the subject's feet and 0 elsewhere: a lectern or a table's edge moves with the subject."""
    rows = np.arange(len(alpha))[:, None]
    solid = alpha > 0.95  # below soft edges nothing is added: both sides move alike there
    lowest = np.where(solid.any(axis=0), len(alpha) - 1 - np.argmax(solid[::-1], axis=0), -1)
    inside = np.flatnonzero(solid.any(axis=1))
    if not len(inside):
        return np.zeros_like(alpha)
    foot = inside[-1] - _FOOT_RATIO * (inside[-1] - inside[0])
    in_front = (rows > lowest) & (lowest >= foot)
    # Blur the sides, where the ground is only cut; not beside the subject, which moves alike.
    kernel = (2 * round(_SIDE_FADE_RATIO * alpha.shape[1]) + 1, 1)
    soft_sides, soft_without_subject = (
        np.asarray(cv2.blur(part.astype(np.float32), kernel), np.float32) for part in (in_front, in_front | solid)
    )
    return np.where(in_front, soft_without_subject, soft_sides)


def _inpaint_backdrop(photo: Image, alpha: Alpha, seed: int) -> Image:
    """Inpaint the backdrop behind the subject on a small copy; hardly more than its rim is ever visible."""
    height, width = alpha.shape
    reach = max(3, round(_HOLE_MARGIN_RATIO * height))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    hole = np.asarray(cv2.dilate((alpha > 0.02).astype(np.float32), kernel), np.float32)
    size = size_within(alpha.shape, _INPAINT_SIDE_PX)
    small_photo, small_hole = resize_image(photo, size), (resize_map(hole, size) > 0.01).astype(np.float32)
    if small_hole.mean() > 0.95:
        return photo
    inpainted = cv2.resize(inpaint(small_photo, small_hole, seed), (width, height), interpolation=cv2.INTER_CUBIC)
    return _mirror_rim(photo, hole > 0.5, np.asarray(inpainted, np.uint8))


def _mirror_rim(photo: Image, hole: Mask, inpainted: Image) -> Image:
    """Fill the hole's rim with a mirror of what lies outside, so that stripes go on; further in use `inpainted`."""
    height, width = hole.shape
    distance, labels = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label = np.asarray(labels, np.intp)
    outside = np.argwhere(~hole)
    nearest_outside = np.zeros((int(label.max()) + 1, 2), np.float32)
    nearest_outside[label[~hole]] = outside
    positions = np.indices(hole.shape, np.float32).transpose(1, 2, 0)
    # Smooth the offsets, else every step of the outline would be a step in the mirror.
    mirrored_positions = positions + 2 * cv2.GaussianBlur(
        nearest_outside[label] - positions, (0, 0), 0.004 * width + 0.5
    )
    x, y = np.clip(mirrored_positions[..., 1], 0, width - 1), np.clip(mirrored_positions[..., 0], 0, height - 1)
    rim = cv2.remap(photo, x, y, cv2.INTER_LINEAR)
    # Leave out what the mirror would take from the subject itself.
    subject_share = cv2.remap(hole.astype(np.float32), x, y, cv2.INTER_LINEAR)
    start, end = _MIRROR_RIM_RATIOS
    weight = np.clip((end * width - distance) / ((end - start) * width), 0, 1) * (1 - subject_share)
    soft = cv2.GaussianBlur(weight.astype(np.float32), (0, 0), 1.5)[..., None]
    filled = inpainted + np.where(hole[..., None], soft, 0) * (rim.astype(np.float32) - inpainted)
    return np.where(hole[..., None], np.clip(filled + 0.5, 0, 255), photo).astype(np.uint8)


def render_frames(planes: Planes, move: CameraMove, depth: float, seconds: float) -> Iterator[Image]:
    """Render one loop, `FPS` frames a second; `depth` 0 to 1. The last frame leads back to the first."""
    count = round(seconds * FPS)
    for n in range(count):
        yield render_frame(planes, move, depth, n / count)


def render_frame(planes: Planes, move: CameraMove, depth: float, phase: float) -> Image:
    """Render what the camera sees at `phase`, 0 to 1 of its loop."""
    shift = depth * _MAX_SHIFT_RATIO * move.across * math.sin(2 * math.pi * phase)
    lift = depth * _MAX_SHIFT_RATIO * move.up * math.cos(2 * math.pi * phase)
    zoom = depth * _MAX_ZOOM_RATIO * move.ahead * (1 - math.cos(2 * math.pi * phase)) / 2
    # Enlarge both planes as far as they move, so that no border of the photo is ever visible.
    base_scale = 1 + 2.2 * depth * _MAX_SHIFT_RATIO * max(abs(move.across), abs(move.up))
    back = _warp_plane(
        planes.back,
        base_scale + _BACKDROP_ZOOM_FACTOR * zoom,
        _BACKDROP_SHIFT_FACTOR * shift,
        _BACKDROP_SHIFT_FACTOR * lift,
    )
    matrix = (base_scale + zoom, shift, lift)
    front, alpha = _warp_plane(planes.front, *matrix), np.clip(_warp_plane(planes.alpha, *matrix), 0, 1)
    return np.clip(mix_by_matte(front, back, alpha) + 0.5, 0, 255).astype(np.uint8)


def _warp_plane(plane: Float32Array, scale: float, across: float, up: float) -> Float32Array:
    """Enlarge a plane about its middle and move it by shares of its width."""
    height, width = plane.shape[:2]
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[scale, 0, x - scale * x + across * width], [0, scale, y - scale * y + up * width]])
    drawn = cv2.warpAffine(plane, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.float32)
