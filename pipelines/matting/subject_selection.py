"""Select the subject in a matte and repair it: remove other parts, specks, holes and half-transparent ghosts."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face, Int32Array, Mask, Uint8Array
from pipelines.imaging.resize import dilate_mask, resize_map, size_within

WORK_SIDE_PX = 640  # longer side of the copy on which parts are decided
MIN_PART_RATIO = 0.001  # of the copy's pixels: a smaller detached part is not offered as a subject
SMALL_HOLE_RATIO = 0.0015  # of the subject's pixels: a smaller hole is an error of the net, not a handle
SPECK_RATIO = 0.0005  # of the subject's pixels: smaller parts and holes are removed
HAZE_ALPHA = 0.3  # alpha: paler pixels far from any denser one are haze
PINHOLE_ALPHA = 0.6  # alpha given to pinholes between locks of hair
HAIR_FADE_RATIO = 0.008  # of the photo's longer side: a lock of hair may fade out over this much
GHOST_DISTANCE_RATIO = 0.03  # of the subject's height: half-transparent parts farther from anything solid are removed
SUBJECT_ALPHA = 0.65  # alpha from which an uncertain patch becomes the subject's; lower values let things behind in
OPAQUE_DEPTH_RATIO = 0.03  # of the subject's height: pixels over 0.5 deeper inside become opaque
HAIR_PATCH_RATIO = 0.03  # of the head's height: hair may be soft over this much
SOFT_PATCH_RATIO = 0.02  # of the subject's height: a half-transparent disc as wide as this is reported
NOTHING_STANDS_OUT_MESSAGE = (
    "Nothing stands out in this photo. Point at your subject or draw a box around it; if it fills the photo, around "
    "all of it."
)


def select_subject(alpha: Alpha, pick: int, face: Face | None) -> Alpha:
    """Keep only the subject in `alpha`, whole: under `face`, else number `pick` by size. Raises `no_subject`."""
    scale = min(1.0, WORK_SIDE_PX / max(alpha.shape))
    small = resize_map(alpha, size_within(alpha.shape, WORK_SIDE_PX))
    patches = _find_wide_soft_patches(small, face, scale)
    small = _harden_alpha(small, patches)
    solid = _pick_component(small, pick, face, scale)
    keep = _subject_weight(small, solid, face, scale)
    opaque = _opaque_interior(small, solid)
    patches, keep, opaque = (resize_map(each, alpha.shape[::-1]) for each in (patches, keep, opaque))
    return np.maximum(_harden_alpha(alpha, patches) * keep, opaque)


def remove_specks_and_holes(alpha: Alpha) -> Alpha:
    """Remove haze and specks beside the subject, and pinholes in it that are too small to be meant."""
    result = remove_haze(alpha)
    solid = (alpha > 0.5).astype(np.uint8)
    min_area = SPECK_RATIO * float(solid.sum())
    pale_specks = _small_components(alpha < 0.9, min_area) & (_close_notches(solid) > 0)
    result[pale_specks | dilate_mask(_small_components(solid == 0, min_area), 1)] = 1
    return result


def soften_pinholes(alpha: Alpha) -> Alpha:
    """Fill pinholes in hair so that they are half transparent: background shows in them."""
    solid = alpha > 0.5
    holes = _small_components(~solid, SPECK_RATIO * float(solid.sum()))
    return np.where(holes, np.maximum(alpha, np.float32(PINHOLE_ALPHA)), alpha).astype(np.float32)


def remove_haze(alpha: Alpha) -> Alpha:
    """Remove haze and specks beside the subject."""
    solid = (alpha > 0.5).astype(np.uint8)
    min_area = SPECK_RATIO * float(solid.sum())
    large = (solid > 0) & ~_small_components(solid > 0, min_area)
    specks = _small_components(alpha > HAZE_ALPHA, min_area) & ~large
    dense = (alpha > HAZE_ALPHA) & ~specks
    result = alpha.copy()
    reach = max(round(HAIR_FADE_RATIO * max(alpha.shape)), 3)
    result[(dilate_mask(specks, 1) & ~dense) | ~dilate_mask(dense, reach)] = 0
    result[_small_components(result > 0.1, min_area) & ~large] = 0
    return result


def soft_patch_notices(alpha: Alpha, heads: Sequence[tuple[float, float, float, float]]) -> tuple[str, ...]:
    """Return the notice to check an edge when a half-transparent patch is wide and lies in none of the head boxes."""
    scale = min(1.0, WORK_SIDE_PX / max(alpha.shape))
    small = resize_map(alpha, size_within(alpha.shape, WORK_SIDE_PX))
    soft = ((small > 0.1) & (small < 0.9)).astype(np.uint8)
    for left, top, right, bottom in heads:
        soft[_scaled_slice(top, bottom, scale, 0.15), _scaled_slice(left, right, scale, 0.15)] = 0
    min_width = max(SOFT_PATCH_RATIO * _mask_height((small > 0.5).astype(np.uint8)), 2)
    y, x = np.nonzero(cv2.distanceTransform(np.pad(soft, 1), cv2.DIST_L2, 5)[1:-1, 1:-1] * 2 > min_width + 1)
    if not len(x):
        return ()
    position = _describe_position(float(np.median(x)) / soft.shape[1], float(np.median(y)) / soft.shape[0])
    return (f"Check this edge: the cut-out is half transparent {position}. The brush mends it.",)


def _find_wide_soft_patches(small: Alpha, face: Face | None, scale: float) -> Alpha:
    """Return 1 in wide half-transparent patches, falling to 0 around them; in hair only the wider ones count."""
    soft = ((small > 0.06) & (small < 0.94)).astype(np.uint8)
    height = _mask_height((small > 0.5).astype(np.uint8))
    min_width = np.full(small.shape, max(SOFT_PATCH_RATIO * height, 3), np.float32)
    if face is not None:
        left, top, right, bottom = face.box
        head = min_width[_scaled_slice(top, bottom, scale, 0.15), _scaled_slice(left, right, scale, 0.15)]
        np.maximum(head, HAIR_PATCH_RATIO * (bottom - top) * scale, out=head)
    core = (cv2.distanceTransform(np.pad(soft, 1), cv2.DIST_L2, 5)[1:-1, 1:-1] * 2 > min_width).astype(np.uint8)
    if not core.any():
        return np.zeros(small.shape, np.float32)
    return np.clip(2 - cv2.distanceTransform(1 - core, cv2.DIST_L2, 5) / min_width, 0, 1).astype(np.float32)


def _harden_alpha(alpha: Alpha, patches: Alpha) -> Alpha:
    """Make `alpha` nearly 0 or 1 in `patches`: a half-transparent ghost looks worse than none."""
    hard = np.clip((alpha - SUBJECT_ALPHA) * 6 + 0.5, 0, 1)
    return (alpha + patches * (hard - alpha)).astype(np.float32)


def _pick_component(small: Alpha, pick: int, face: Face | None, scale: float) -> Uint8Array:
    """Return the chosen solid part, 0 or 1."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((small > 0.5).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not count - 1 or areas.max() < MIN_PART_RATIO * small.size:
        raise BadInput(NOTHING_STANDS_OUT_MESSAGE, code="no_subject", param="photo")
    if face is not None:
        return (labels == _component_at_face(np.asarray(labels, np.int32), face, scale)).astype(np.uint8)
    order = [int(i) + 1 for i in np.argsort(-areas, kind="stable") if areas[i] >= MIN_PART_RATIO * small.size]
    if pick >= len(order):
        counted = "is only one subject" if len(order) == 1 else f"are only {len(order)} subjects"
        raise BadInput(f"There {counted} in this photo.", code="no_subject", param="pick")
    return (labels == order[pick]).astype(np.uint8)


def _component_at_face(labels: Int32Array, face: Face, scale: float) -> int:
    """Return the label under most of the face's box, else the one nearest to its middle."""
    left, top, right, bottom = face.box
    labels_under_face = labels[_scaled_slice(top, bottom, scale), _scaled_slice(left, right, scale)]
    labels_under_face = labels_under_face[labels_under_face > 0]
    if labels_under_face.size:
        return int(np.bincount(labels_under_face).argmax())
    y, x = np.nonzero(labels)
    distance = np.hypot(x - (left + right) / 2 * scale, y - (top + bottom) / 2 * scale)
    return int(labels[y[distance.argmin()], x[distance.argmin()]])


def _scaled_slice(low: float, high: float, scale: float, margin: float = 0.0) -> slice:
    """Return the pixels from `low` to `high`, widened by a `margin` share, on the small copy."""
    extra = (high - low) * margin
    return slice(max(int((low - extra) * scale), 0), max(int((high + extra) * scale) + 1, 1))


def _mask_height(solid: Uint8Array) -> int:
    """Return the rows from the first to the last that a mask touches, at least 1."""
    rows = np.flatnonzero(solid.any(axis=1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 1


def _subject_weight(small: Alpha, solid: Uint8Array, face: Face | None, scale: float) -> Alpha:
    """Return 1 on the subject and near it, where hair and soft edges may be, falling to 0 farther away."""
    reach = np.full(small.shape, max(GHOST_DISTANCE_RATIO * _mask_height(solid), 4), np.float32)
    if face is not None:
        left, top, right, bottom = face.box
        reach[_scaled_slice(top, bottom, scale, 0.3), _scaled_slice(left, right, scale, 0.3)] *= 3
    others = (small > 0.5) & (solid == 0)
    distance = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
    weight = np.clip(2 - distance / reach, 0, 1)
    weight[dilate_mask(others, 2)] = 0
    weight[solid > 0] = 1
    return weight.astype(np.float32)


def _opaque_interior(small: Alpha, solid: Uint8Array) -> Alpha:
    """Return what must be opaque: holes too small to be meant, and everything deep inside; 0 elsewhere."""
    holes = _small_components(solid == 0, SMALL_HOLE_RATIO * float(solid.sum()))
    filled = solid | holes.astype(np.uint8)
    distance = cv2.distanceTransform(np.pad(filled, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth = max(OPAQUE_DEPTH_RATIO * _mask_height(filled), 3)
    opaque = np.clip(distance / depth * 2 - 1, 0, 1).astype(np.float32)
    opaque[holes] = 1
    return opaque


def _small_components(mask: Mask, min_area: float) -> Mask:
    """Return the connected parts of `mask` with fewer than `min_area` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    small = np.asarray(stats[:, cv2.CC_STAT_AREA] < min_area)
    small[0] = False
    return small[np.asarray(labels, np.int32)]


def _close_notches(solid: Uint8Array) -> Uint8Array:
    """Fill narrow notches, as where a highlight on a rim has the background's colour."""
    side = max(round(0.004 * max(solid.shape)), 4) * 2 + 1
    return np.asarray(cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)), np.uint8)


def _describe_position(x: float, y: float) -> str:
    """Put a position (shares of width and height) into words."""
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    along = "at the top" if y < 1 / 3 else "at the bottom" if y > 2 / 3 else ""
    if not along and not across:
        return "in the middle"
    return f"{along} {across}".strip() if along else f"at the {across}"
