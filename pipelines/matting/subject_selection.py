"""Select the subject in a matte: remove other parts and half-transparent ghosts."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face, Int32Array, Mask, Uint8Array
from pipelines.imaging.resize import dilate_mask, resize_map, size_within
from pipelines.matting.mask_parts import find_parts_at

WORK_SIDE_PX = 640  # longer side of the copy on which parts are decided
MIN_PART_RATIO = 0.001  # of the copy's pixels: a smaller detached part is not offered as a subject
JOINED_GAP_PX = 4  # of the copy: parts with a narrower gap between them are one
SEPARATE_RATIO = 0.1  # of the largest part: a smaller one belongs to the subject beside it
FRAGMENT_DISTANCE_RATIO = 0.25  # of the subject's longer side: small parts farther away are not the subject's
LONE_FRAGMENT_GAP_RATIO = 0.03  # of the subject's longer side: nearer parts may be strands that one net alone sees
UNSEEN_ALPHA = 0.1  # mean of a net's map on a part, below which the net does not see the part
SPECK_RATIO = 0.0003  # of the subject's pixels: a smaller detached part is a speck
PINHOLE_RATIO = 0.001  # of the subject's pixels: a smaller hole is none that a thing would have
SCRAP_RATIO = 0.003  # of a head's height, squared: a smaller part beside the head is a scrap, an earring is larger
SCRAP_GAP_RATIO = 0.025  # of a head's height: scraps are farther from anything larger; strands and earrings are nearer
HEAD_ABOVE_RATIO, HEAD_BESIDE_RATIO = 0.6, 0.4  # of a face's height: how far its head reaches beyond it
SURE_ALPHA, LOST_ALPHA = 0.9, 0.3  # of the nets' matte and of the refined one, where a head was clipped
CLIPPED_HEAD_RATIO = 0.004  # of a face's height, squared: a head that lost more was clipped
VISIBLE_ALPHA = 0.1  # what is less opaque is not seen
GHOST_DISTANCE_RATIO = 0.03  # of the subject's height: half-transparent parts farther from anything solid are removed
OPAQUE_DEPTH_RATIO = 0.03  # of the subject's height: pixels over 0.5 deeper inside become opaque
NOTHING_STANDS_OUT_MESSAGE = (
    "Nothing stands out in this photo. Point at your subject or draw a box around it; if it fills the photo, around "
    "all of it."
)


def select_subject(alpha: Alpha, pick: int, face: Face | None) -> Alpha:
    """Keep only the subject in `alpha`, with the small parts that lie beside it; deep inside it is opaque.

    The subject is the one under `face`, else number `pick` by size. Raises `no_subject`.
    """
    scale = min(1.0, WORK_SIDE_PX / max(alpha.shape))
    small = resize_map(alpha, size_within(alpha.shape, WORK_SIDE_PX))
    solid, others = _pick_component(small, pick, face, scale)
    keep, opaque = _subject_weight(small, solid, others, face, scale), _opaque_interior(solid)
    keep, opaque = (resize_map(each, alpha.shape[::-1]) for each in (keep, opaque))
    return np.maximum(alpha * keep, opaque)


def remove_unconfirmed_fragments(alpha: Alpha, other: Alpha) -> Alpha:
    """Remove parts beside the subject of `alpha` that another net's map does not show at all (both H x W, 0 to 1).

    On photographs such parts are scraps of the ground: a petal, a lamp behind. A part that a gap in the matte separated
    from its subject, such as the wheel of a car, is seen by both nets.
    """
    size = size_within(alpha.shape, WORK_SIDE_PX)
    small, seen = resize_map(alpha, size), resize_map(other, size)
    solid = (small > 0.5).astype(np.uint8)
    count, joined = cv2.connectedComponents(dilate_mask(solid > 0, JOINED_GAP_PX // 2).astype(np.uint8))
    labels = np.asarray(joined, np.int32) * solid
    areas = np.bincount(labels.ravel(), minlength=count)
    if count <= 2:
        return alpha
    subject = (labels == 1 + int(areas[1:].argmax())).astype(np.uint8)
    gap = cv2.distanceTransform(1 - subject, cv2.DIST_L2, 5) / max(mask_extent(subject))
    lone = np.zeros(solid.shape, bool)
    for label in range(1, count):
        part = labels == label
        if part.any() and gap[part].min() > LONE_FRAGMENT_GAP_RATIO and seen[part].mean() < UNSEEN_ALPHA:
            lone |= part
    if not lone.any():
        return alpha
    return alpha * (1 - resize_map(dilate_mask(lone, JOINED_GAP_PX).astype(np.float32), alpha.shape[::-1]))


def remove_specks(alpha: Alpha) -> Alpha:
    """Remove specks beside the subject and pinholes in it that are smaller than anything somebody would look for."""
    result = alpha.copy()
    subject = float((alpha > 0.5).sum())
    result[_small_components(alpha > VISIBLE_ALPHA, SPECK_RATIO * subject)] = 0
    result[_small_components(alpha < 0.9, PINHOLE_RATIO * subject)] = 1
    return result


def remove_scraps(alpha: Alpha, faces: Sequence[Face]) -> Alpha:
    """Remove small parts that float beside a head, up to a head's height away: scraps of the ground.

    Anywhere else a part of that size is hardly seen, or is the subject's.
    """
    result = alpha.copy()
    for left, top, right, bottom in (face.box for face in faces):
        head = bottom - top
        near = result[
            max(0, round(top - head)) : max(0, round(bottom + head)),
            max(0, round(left - head)) : max(0, round(right + head)),
        ]
        if not near.size:
            continue
        visible = near > VISIBLE_ALPHA
        # What leaves the window may be large.
        framed = np.pad(visible, 1, constant_values=True)
        small = _small_components(framed, SCRAP_RATIO * head**2)[1:-1, 1:-1]
        gap = cv2.distanceTransform(1 - (visible & ~small).astype(np.uint8), cv2.DIST_L2, 5)
        scraps = small & ~find_parts_at(small, gap <= SCRAP_GAP_RATIO * head)
        near[dilate_mask(scraps, 1)] = 0
    return result


def restore_clipped_heads(alpha: Alpha, selected: Alpha, faces: Sequence[Face]) -> Alpha:
    """Give back the outline of heads from which colours took what the nets are sure of in `selected` (H x W each).

    Short dark hair before a dark arch is a mixture to the colours, and the skull was cut into. Of 32 heads of
    photographs one lost more than `CLIPPED_HEAD_RATIO`, four times as much as the next: no net is sure of loose hair.
    """
    result = alpha
    for left, top, right, bottom in (face.box for face in faces):
        head = bottom - top
        rows = slice(max(0, round(top - HEAD_ABOVE_RATIO * head)), max(0, round(bottom)))
        columns = slice(max(0, round(left - HEAD_BESIDE_RATIO * head)), max(0, round(right + HEAD_BESIDE_RATIO * head)))
        near, sure = alpha[rows, columns], selected[rows, columns]
        if ((sure > SURE_ALPHA) & (near < LOST_ALPHA)).sum() > CLIPPED_HEAD_RATIO * head**2:
            result = alpha.copy() if result is alpha else result
            result[rows, columns] = np.maximum(near, sure)
    return result


def _pick_component(small: Alpha, pick: int, face: Face | None, scale: float) -> tuple[Uint8Array, Uint8Array]:
    """Return the chosen subject with what belongs to it, and all else that is solid, 0 or 1 each."""
    solid = (small > 0.5).astype(np.uint8)
    # What a bar or a leaf that the net did not see would join is one.
    count, joined = cv2.connectedComponents(dilate_mask(solid > 0, JOINED_GAP_PX // 2).astype(np.uint8))
    labels = np.asarray(joined, np.int32) * solid
    areas = np.bincount(labels.ravel(), minlength=count)[1:]
    if not count - 1 or areas.max() < MIN_PART_RATIO * small.size:
        raise BadInput(NOTHING_STANDS_OUT_MESSAGE, code="no_subject", param="photo")
    min_area = max(MIN_PART_RATIO * small.size, SEPARATE_RATIO * float(areas.max()))
    order = [int(i) + 1 for i in np.argsort(-areas, kind="stable") if areas[i] >= min_area]
    if face is not None:
        chosen = _component_at_face(np.asarray(labels, np.int32), face, scale)
    elif pick < len(order):
        chosen = order[pick]
    else:
        counted = "is only one subject" if len(order) == 1 else f"are only {len(order)} subjects"
        raise BadInput(f"There {counted} in this photo.", code="no_subject", param="pick")
    own = (labels == chosen).astype(np.uint8)
    rivals = np.isin(labels, [label for label in order if label != chosen]).astype(np.uint8)
    near = cv2.distanceTransform(1 - own, cv2.DIST_L2, 5) <= FRAGMENT_DISTANCE_RATIO * max(mask_extent(own))
    if rivals.any():  # a small part belongs to the subject that it is nearest to
        near &= cv2.distanceTransform(1 - own, cv2.DIST_L2, 5) < cv2.distanceTransform(1 - rivals, cv2.DIST_L2, 5)
    fragments = np.unique(labels[near & (solid > 0) & (rivals == 0)])
    own |= np.isin(labels, fragments[fragments > 0]).astype(np.uint8)
    return own, solid & (1 - own)


def _component_at_face(labels: Int32Array, face: Face, scale: float) -> int:
    """Return the label under most of the face's box, else the one nearest to its middle."""
    left, top, right, bottom = face.box
    labels_under_face = labels[scaled_slice(top, bottom, scale), scaled_slice(left, right, scale)]
    labels_under_face = labels_under_face[labels_under_face > 0]
    if labels_under_face.size:
        return int(np.bincount(labels_under_face).argmax())
    y, x = np.nonzero(labels)
    distance = np.hypot(x - (left + right) / 2 * scale, y - (top + bottom) / 2 * scale)
    return int(labels[y[distance.argmin()], x[distance.argmin()]])


def scaled_slice(low: float, high: float, scale: float, margin: float = 0.0) -> slice:
    """Return the pixels from `low` to `high`, widened by a `margin` share, on the small copy."""
    extra = (high - low) * margin
    return slice(max(int((low - extra) * scale), 0), max(int((high + extra) * scale) + 1, 1))


def mask_extent(solid: Uint8Array) -> tuple[int, int]:
    """Return the height and width of what a mask touches, at least 1 each."""
    lines = (np.flatnonzero(solid.any(axis=axis)) for axis in (1, 0))
    height, width = (int(line[-1] - line[0] + 1) if len(line) else 1 for line in lines)
    return height, width


def _subject_weight(small: Alpha, solid: Uint8Array, others: Uint8Array, face: Face | None, scale: float) -> Alpha:
    """Return 1 on the subject and near it, where hair and soft edges may be, falling to 0 farther away."""
    reach = np.full(small.shape, max(GHOST_DISTANCE_RATIO * mask_extent(solid)[0], 4), np.float32)
    if face is not None:
        left, top, right, bottom = face.box
        reach[scaled_slice(top, bottom, scale, 0.3), scaled_slice(left, right, scale, 0.3)] *= 3
    distance = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
    weight = np.clip(2 - distance / reach, 0, 1)
    weight[dilate_mask(others > 0, 2)] = 0
    weight[solid > 0] = 1
    return weight.astype(np.float32)


def _opaque_interior(solid: Uint8Array) -> Alpha:
    """Return 1 deep inside the subject, where nothing shines through; 0 near its edge and its holes."""
    distance = cv2.distanceTransform(np.pad(solid, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth = max(OPAQUE_DEPTH_RATIO * mask_extent(solid)[0], 3)
    return np.clip(distance / depth * 2 - 1, 0, 1).astype(np.float32)


def _small_components(mask: Mask, min_area: float) -> Mask:
    """Return the connected parts of `mask` with fewer than `min_area` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    small = np.asarray(stats[:, cv2.CC_STAT_AREA] < min_area)
    small[0] = False
    return small[np.asarray(labels, np.int32)]
