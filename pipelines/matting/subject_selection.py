"""Which part of a matte is the subject, and whether it is whole: no speck, no hole, no ghost; knows no colours."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

WORK_SIDE = 640
PART = 0.001  # of the map's pixels: a smaller detached part is not offered as a subject
SMALL_HOLE = 0.0015  # of the subject's pixels: a smaller hole is a mistake of the net, not a handle
SPECK = 0.0005  # of the subject's pixels
HAZE = 0.3  # alpha: what is paler, and far from anything that is not, is haze
BETWEEN = 0.6  # alpha between locks, with hair on all sides
FADE = 0.008  # of the photo's longer side: a lock of hair may fade out over this much
GHOST = 0.03  # of the subject's height: half-transparent matter farther from anything solid is dropped
LIKELY = (
    0.65  # alpha from which a doubtful patch is the subject's: lower ones let things behind it in, on photo and bench
)
DEEP = 0.03  # of the subject's height: what is more than half opaque and lies deeper inside is opaque
HAIR = 0.03  # of the head's height: hair may be soft over this much
PATCH = 0.02  # of the subject's height: a half-transparent disc as wide as this is worth a look


def one_subject(alpha: Alpha, pick: int, face: Face | None) -> Alpha:
    """`alpha` (H x W) with only the subject left, whole: the part under `face`, else number `pick` by size.

    Decided on a small copy, since the net's map holds no finer truth. Raises `BadInput` (`no_subject`).
    """
    scale = min(1.0, WORK_SIDE / max(alpha.shape))
    small = _resize(alpha, (max(round(alpha.shape[1] * scale), 1), max(round(alpha.shape[0] * scale), 1)))
    doubt = _doubt(small, face, scale)
    small = _decided(small, doubt)
    solid = _part(small, pick, face, scale)
    keep = _reach(small, solid, face, scale)
    opaque = _opaque(small, solid)
    size = (alpha.shape[1], alpha.shape[0])
    return np.maximum(_decided(alpha, _resize(doubt, size)) * _resize(keep, size), _resize(opaque, size))


def tidy(alpha: Alpha) -> Alpha:
    """`alpha` without the haze and specks beside the subject and the pinholes in it that are too small to be meant."""
    result = swept(alpha)
    solid = (alpha > 0.5).astype(np.uint8)
    least = SPECK * float(solid.sum())
    pale = _small_parts(alpha < 0.9, least) & (_closed(solid) > 0)
    result[pale | _grown(_small_parts(solid == 0, least), 1)] = 1
    return result


def dimmed(alpha: Alpha) -> Alpha:
    """`alpha` whose pinholes in hair are no holes any more, and half transparent still: ground shows in them."""
    solid = alpha > 0.5
    holes = _small_parts(~solid, SPECK * float(solid.sum()))
    return np.where(holes, np.maximum(alpha, np.float32(BETWEEN)), alpha).astype(np.float32)


def swept(alpha: Alpha) -> Alpha:
    """`alpha` without the haze and specks beside the subject."""
    solid = (alpha > 0.5).astype(np.uint8)
    least = SPECK * float(solid.sum())
    large = _large_parts(solid, least)
    specks = _small_parts(alpha > HAZE, least) & ~large
    kept = (alpha > HAZE) & ~specks
    result = alpha.copy()
    result[(_grown(specks, 1) & ~kept) | ~_grown(kept, max(round(FADE * max(alpha.shape)), 3))] = 0
    result[_small_parts(result > 0.1, least) & ~large] = 0
    return result


def soft_patch(alpha: Alpha, heads: Sequence[Box]) -> tuple[str, ...]:
    """The notice to check an edge, when a half-transparent patch is wide and lies in none of the head boxes."""
    scale = min(1.0, WORK_SIDE / max(alpha.shape))
    small = _resize(alpha, (max(round(alpha.shape[1] * scale), 1), max(round(alpha.shape[0] * scale), 1)))
    soft = ((small > 0.1) & (small < 0.9)).astype(np.uint8)
    for left, top, right, bottom in heads:
        soft[_span(top, bottom, scale, 0.15), _span(left, right, scale, 0.15)] = 0
    wide = max(PATCH * _tall((small > 0.5).astype(np.uint8)), 2)
    y, x = np.nonzero(cv2.distanceTransform(np.pad(soft, 1), cv2.DIST_L2, 5)[1:-1, 1:-1] * 2 > wide + 1)
    if not len(x):
        return ()
    where = _place(float(np.median(x)) / soft.shape[1], float(np.median(y)) / soft.shape[0])
    return (f"Check this edge: the cut-out is half transparent {where}. The brush mends it.",)


def _resize(values: npt.NDArray[np.float32], size: tuple[int, int]) -> Alpha:
    shrinks = size[0] < values.shape[1]
    return np.asarray(
        cv2.resize(values, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.float32
    )


def _doubt(small: Alpha, face: Face | None, scale: float) -> Alpha:
    """1 in wide half-transparent patches, falling to 0 around them; at the head, where hair is soft, only in wider."""
    soft = ((small > 0.06) & (small < 0.94)).astype(np.uint8)
    wide = np.full(small.shape, max(PATCH * _tall((small > 0.5).astype(np.uint8)), 3), np.float32)
    if face is not None:
        left, top, right, bottom = face.box
        head = wide[_span(top, bottom, scale, 0.15), _span(left, right, scale, 0.15)]
        np.maximum(head, HAIR * (bottom - top) * scale, out=head)
    inner = (cv2.distanceTransform(np.pad(soft, 1), cv2.DIST_L2, 5)[1:-1, 1:-1] * 2 > wide).astype(np.uint8)
    if not inner.any():
        return np.zeros(small.shape, np.float32)
    return np.clip(2 - cv2.distanceTransform(1 - inner, cv2.DIST_L2, 5) / wide, 0, 1).astype(np.float32)


def _decided(alpha: Alpha, doubt: Alpha) -> Alpha:
    """`alpha` made nearly all or nothing where there is doubt: a ghost of a flag is worse than none."""
    hard = np.clip((alpha - LIKELY) * 6 + 0.5, 0, 1)
    return (alpha + doubt * (hard - alpha)).astype(np.float32)


def _part(small: Alpha, pick: int, face: Face | None, scale: float) -> Bytes:
    """The solid part that is meant, 0 or 1."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((small > 0.5).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not count - 1 or areas.max() < PART * small.size:
        raise BadInput("Nothing stands out in this photo. Choose one with a clear subject.", code="no_subject")
    if face is not None:
        return (labels == _nearest(np.asarray(labels, np.int32), face, scale)).astype(np.uint8)
    order = [int(i) + 1 for i in np.argsort(-areas, kind="stable") if areas[i] >= PART * small.size]
    if pick >= len(order):
        count_text = "one subject" if len(order) == 1 else f"{len(order)} subjects"
        raise BadInput(f"There are only {count_text} in this photo.", code="no_subject", param="pick")
    return (labels == order[pick]).astype(np.uint8)


def _nearest(labels: npt.NDArray[np.int32], face: Face, scale: float) -> int:
    """The label under most of the face's box, else the one nearest to its middle."""
    left, top, right, bottom = face.box
    under = labels[_span(top, bottom, scale), _span(left, right, scale)]
    under = under[under > 0]
    if under.size:
        return int(np.bincount(under).argmax())
    y, x = np.nonzero(labels)
    away = np.hypot(x - (left + right) / 2 * scale, y - (top + bottom) / 2 * scale)
    return int(labels[y[away.argmin()], x[away.argmin()]])


def _span(low: float, high: float, scale: float, margin: float = 0.0) -> slice:
    extra = (high - low) * margin
    return slice(max(int((low - extra) * scale), 0), max(int((high + extra) * scale) + 1, 1))


def _tall(solid: Bytes) -> int:
    rows = np.flatnonzero(solid.any(axis=1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 1


def _reach(small: Alpha, solid: Bytes, face: Face | None, scale: float) -> Alpha:
    """1 on the subject and near it, where hair and soft edges may be; 0 farther away; between them a ramp."""
    reach = np.full(small.shape, max(GHOST * _tall(solid), 4), np.float32)
    if face is not None:
        left, top, right, bottom = face.box
        reach[_span(top, bottom, scale, 0.3), _span(left, right, scale, 0.3)] *= 3
    others = ((small > 0.5) & (solid == 0)).astype(np.uint8)
    away = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
    keep = np.clip(2 - away / reach, 0, 1)
    keep[cv2.dilate(others, np.ones((5, 5), np.uint8)) > 0] = 0
    keep[solid > 0] = 1
    return keep.astype(np.float32)


def _opaque(small: Alpha, solid: Bytes) -> Alpha:
    """What must be opaque: holes too small to be meant, and whatever lies deep inside; 0 elsewhere."""
    holes = _small_parts(solid == 0, SMALL_HOLE * float(solid.sum()))
    whole = solid | holes.astype(np.uint8)
    deep = cv2.distanceTransform(np.pad(whole, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth = max(DEEP * _tall(whole), 3)
    opaque = np.clip(deep / depth * 2 - 1, 0, 1).astype(np.float32)
    opaque[holes] = 1
    return opaque


def _small_parts(mask: Mask, least: float) -> Mask:
    """The connected parts of `mask` with fewer than `least` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    small = np.asarray(stats[:, cv2.CC_STAT_AREA] < least)
    small[0] = False
    return small[np.asarray(labels, np.int32)]


def _large_parts(solid: Bytes, least: float) -> Mask:
    return (solid > 0) & ~_small_parts(solid > 0, least)


def _grown(mask: Mask, by: int) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)) > 0


def _closed(solid: Bytes) -> Bytes:
    """`solid` without its narrow notches, as where a highlight on a rim has the colour of what is behind."""
    side = max(round(0.004 * max(solid.shape)), 4) * 2 + 1
    return np.asarray(cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)), np.uint8)


def _place(x: float, y: float) -> str:
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    along = "at the top" if y < 1 / 3 else "at the bottom" if y > 2 / 3 else ""
    if not along and not across:
        return "in the middle"
    return f"{along} {across}".strip() if along else f"at the {across}"
