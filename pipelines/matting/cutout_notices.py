"""Say in words what may be wrong with a cut-out, and where: a part, old background, an edge, or the choice of subject.

Places of parts are told by the subject's own box, as a tool may move the subject; places of subjects by the photo's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np

from pipelines.core.geometry import DOUBTFUL_UNCERTAINTY, Alpha, Box, Cutout, Face, Image, Mask
from pipelines.imaging.resize import dilate_mask, resize_map, size_within
from pipelines.matting.holes import GROUND_ALPHA, HoleFinder
from pipelines.matting.leftover_ground import TOLD_LIMITS, cover_heads, find_leftover_ground
from pipelines.matting.mask_parts import EDGE_WIDTH_PX, find_parts_at, label_parts, list_parts, open_mask
from pipelines.matting.net_agreement import Doubt
from pipelines.matting.subject_selection import WORK_SIDE_PX, mask_extent, scaled_slice
from pipelines.matting.sure_regions import SureRegions

SOFT_PATCH_RATIO = 0.02  # of the subject's height: a half-transparent disc as wide as this is told
WIDE_PATCH_RATIO = 0.08  # of the subject's height: one as wide is no edge
NAMED_REGION_RATIO = 0.01  # of the subject's pixels: a smaller region is not told
RIVAL_RATIO = 0.25  # of the subject's pixels: another thing as large as this stands out as well
UNSETTLED_NOTICE = "Check the cut-out: parts of it may be wrong."
LEFT_GROUND = "Background may be left"
FOREIGN_PART = "Doubtful part"
DETACHED_PART = "A part stands alone"
BROUGHT_GROUND = "brought in what looks like background"
MISSING_PART = "A part may be missing"
TAKEN_PART = "took a part that looks like the subject"
DOUBTED_OPENING = "Check the opening"
SOFT_EDGE = "it is half transparent, and a part may be missing"  # of 47 such of people 34 are theirs, 5 ground
MARKED_PLACE_COUNT = 3
MARK_MARGIN_RATIO = 0.02  # of the photo's sides, around a place of doubt: a finger is no needle
MAX_JUDGED_PLACE_RATIO = 0.25  # of the photo's sides: a mark judges no larger place
LEFT_GROUND_SIDE_PX = 384  # longer side of the copy on which left ground is looked for
MAX_LEFT_RATIO = 0.01  # of the photo: what is larger and of the ground's colour is clothes more often
MIN_TORN_RATIO = 0.3  # of the outline of what marks took: less lies beside what is left where it is another thing
MARKED_PLACE_RATIO = 0.7
"""Of the picture's shorter extent: a doubtful place that reaches this far both ways is not marked."""

DETACHED_RATIOS = (0.005, 0.15)
"""Of the largest part's pixels: a smaller part beside it is a crumb, a larger one a second thing."""

GUESS_SIDE_PX = 384  # longer side of the copy on which half-seen patches are looked for
GUESS_ALPHAS = 0.15, 0.85  # of the nets' matte: no net's edge is that soft over a patch
GUESS_RATIO = 0.01  # of the subject's pixels, from which a patch is told

WHOLE_PHOTO: Box = (0.0, 0.0, 1.0, 1.0)
_PLACE_WORDS = re.compile(r"in the middle|at the (?:left|right|(?:top|bottom)(?: left| right)?)")


def name_doubts(alpha: Alpha, doubt: Doubt, heads: Sequence[Box]) -> dict[str, tuple[Box, ...]]:
    """Return what may be wrong with the cut-out `alpha` (H x W), by kind and place; `heads`: boxes in its pixels.

    Each sentence has the boxes of its places, in ratios of the photo: a picture may not show them.
    A region in doubt is told before an edge. Of 109 such regions on pictures with truth 44 were wrong in the cut-out.
    """
    taken = resize_map(alpha, doubt.regions.shape[::-1]) > 0.5
    is_doubtful = doubt.uncertainty > DOUBTFUL_UNCERTAINTY
    border = _name_border(doubt.split, taken) if doubt.split.any() else {}
    suspects = (doubt.unsettled, open_mask(doubt.differing)) if is_doubtful else (doubt.unsettled,)
    for suspect in suspects:
        if regions := _name_regions(suspect, taken):
            return border | regions
    notices = border | soft_patch_notices(alpha, heads)
    return _name_edge(doubt.differing, taken) if is_doubtful and not notices else notices


def name_openings(holes: HoleFinder, alpha: Alpha) -> dict[str, tuple[Box, ...]]:
    """Return the notice of openings in the cut-out `alpha` (H x W) that may not be open, and their boxes."""
    openings = holes.find_doubtful_holes(alpha)
    if not openings:
        return {}
    taken = resize_map(alpha, openings[0].shape[::-1]) > 0.5
    notice = f"{DOUBTED_OPENING} {_place_in(openings[0], taken)}: all in it counts as background."
    return {notice: tuple(_box_around(opening) for opening in openings)}


def name_leftover_ground(image: Image, alpha: Alpha, quick: Alpha, heads: Sequence[Box]) -> dict[str, tuple[Box, ...]]:
    """Return the notice of small parts in the cut-out `alpha` that are like the ground beside them, and their boxes.

    `quick` is the map of the net that sees no subject there (H x W each), as of a wall in the slot of a table's leg.
    `heads` are boxes of faces in pixels of the photo; hair is told elsewhere.
    """
    size = size_within(alpha.shape, LEFT_GROUND_SIDE_PX)
    small, seen = resize_map(alpha, size), resize_map(quick, size)
    taken = small > 0.5
    unseen = taken & (seen < 0.5) & ~cover_heads(taken.shape, heads, size[0] / alpha.shape[1])
    found = find_leftover_ground(image, unseen, seen, taken & ~unseen, small < GROUND_ALPHA, TOLD_LIMITS)
    parts = [part for part in list_parts(found) if part.sum() < MAX_LEFT_RATIO * part.size]
    if not parts:
        return {}
    notice = f"{LEFT_GROUND} {_place_in(parts[0], taken)}. Point at it, or wipe it away."
    return {notice: tuple(_box_around(part) for part in parts)}


def name_detached_parts(alpha: Alpha) -> dict[str, tuple[Box, ...]]:
    """Return the notice of small parts of the cut-out `alpha` (H x W) that nothing joins to the rest, and their boxes.

    Of 42 cut-outs of photographs two had such parts without any other doubt: a rack beside a loaf, a string in the air.
    """
    taken = resize_map(alpha, size_within(alpha.shape, WORK_SIDE_PX)) > 0.5
    parts = list_parts(taken)
    least, most = (ratio * float(parts[0].sum()) if parts else 0.0 for ratio in DETACHED_RATIOS)
    detached = [part for part in parts[1:] if least <= part.sum() <= most]
    if not detached:
        return {}
    notice = f"{DETACHED_PART} {_place_in(detached[0], taken)}: it may not belong. Point at it, or wipe it away."
    return {notice: tuple(_box_around(part) for part in detached)}


def name_guess(selected: Alpha) -> dict[str, tuple[Box, ...]]:
    """Return the notice of a patch that the nets half saw in `selected` (H x W), wherever its colours put it; its box.

    The limits were set on the detailed net's maps of 42 photographs, 1600 px wide. One of them had such a patch and no
    other doubt, and all its pictures needed retouching there.
    """
    small = resize_map(selected, size_within(selected.shape, GUESS_SIDE_PX))
    half_seen = open_mask((small > GUESS_ALPHAS[0]) & (small < GUESS_ALPHAS[1]))
    patches = _list_large_parts(half_seen, GUESS_RATIO * float((small > 0.5).sum()))
    if not patches:
        return {}
    return {f"Check the cut-out {_place_in(patches[0], small > 0.5)}: it is a guess there.": (_box_around(patches[0]),)}


def locate_parts(mask: Alpha) -> tuple[Box, ...]:
    """Return the boxes around the connected parts of `mask` (H x W, over 0.5), in ratios of it, the largest first."""
    small = resize_map(mask, size_within(mask.shape, WORK_SIDE_PX)) > 0.5
    return tuple(_box_around(part) for part in list_parts(small))


MarkMode = Literal["drop", "keep", "ask", ""]


def choose_mark_mode(notice: str) -> MarkMode:
    """Return which marks mend what a notice doubts: of ground in the cut-out, or of what it lacks; "" for either.

    "ask" where it is a part that may belong as well: who sees it decides.
    """
    if notice.startswith(FOREIGN_PART):
        return "ask"
    is_too_much = notice.startswith((LEFT_GROUND, DETACHED_PART))
    if is_too_much or BROUGHT_GROUND in notice:
        return "drop"
    is_too_little = notice.startswith((MISSING_PART, DOUBTED_OPENING)) or TAKEN_PART in notice or SOFT_EDGE in notice
    return "keep" if is_too_little else ""


def choose_marked_boxes(boxes_by_notice: Mapping[str, Iterable[Sequence[float]]]) -> list[list[float]]:
    """Choose which places of doubt are marked on the picture: left, top, right, bottom, ratios of it.

    In the order of the notices, of each the largest first; none of a notice that speaks of the whole photo, and none
    that is nearly all of the picture.
    """
    boxes = [box for notice, each in boxes_by_notice.items() if notice != UNSETTLED_NOTICE for box in each]
    marked = [list(box) for box in boxes if min(box[2] - box[0], box[3] - box[1]) < MARKED_PLACE_RATIO]
    return marked[:MARKED_PLACE_COUNT]


def drop_marked_doubts(cutout: Cutout, marks: Sequence[tuple[float, float]]) -> Cutout:
    """Return the cut-out without doubts of small places that have a mark: whoever put it there has looked at them.

    `marks` are points (x, y), ratios of the photo. A notice goes with the last of its places, and names the first that
    is left. A wide place stays: a mark in it may be about anything. Where the cut-out is uncertain, a doubt of the
    whole takes the last one's place.
    """

    def has_mark(box: Box) -> bool:
        left, top, right, bottom = box
        margin, is_small = MARK_MARGIN_RATIO, max(right - left, bottom - top) <= MAX_JUDGED_PLACE_RATIO
        return is_small and any(
            left - margin <= x <= right + margin and top - margin <= y <= bottom + margin for x, y in marks
        )

    judged = {notice: tuple(box for box in boxes if not has_mark(box)) for notice, boxes in cutout.doubt_boxes.items()}
    names = {notice: notice for notice, boxes in judged.items() if boxes}
    for notice in names:
        if judged[notice][0] != cutout.doubt_boxes[notice][0]:
            place = _place_of_box(judged[notice][0], _box_around(cutout.alpha > 0.5))
            names[notice] = _PLACE_WORDS.sub(place, notice, count=1)
    left = {name: judged[notice] for notice, name in names.items()}
    notices = tuple(names.get(notice, notice) for notice in cutout.notices if judged.get(notice, True))
    if cutout.doubt_boxes and not left and cutout.uncertainty > DOUBTFUL_UNCERTAINTY:
        notices, left = (*notices, UNSETTLED_NOTICE), {UNSETTLED_NOTICE: (WHOLE_PHOTO,)}
    return replace(cutout, notices=notices, doubt_boxes=left)


def add_sure_change_doubts(
    cutout: Cutout, before: Alpha, sure: SureRegions, marks: Sequence[tuple[float, float]]
) -> Cutout:
    """Return the cut-out with doubts, told first, of what marks took or brought that all nets are `sure` of.

    `before` (H x W) is the subject without the marks, `marks` are points (x, y), ratios of the photo. Silent about a
    small part in which a mark lies: that is what somebody marked.
    """
    size = sure.subject.shape[::-1]
    was, taken = resize_map(before, size) > 0.5, resize_map(cutout.alpha, size) > 0.5
    min_area = NAMED_REGION_RATIO * float(was.sum())
    lost = [
        part
        for part in list_parts(open_mask(sure.subject & was & ~taken))
        if part.sum() >= min_area and _share_of_rim(part, taken) > MIN_TORN_RATIO
    ]
    brought = [part for part in list_parts(open_mask(sure.ground & ~was & taken)) if part.sum() >= min_area]
    told: dict[str, tuple[Box, ...]] = {}
    kinds = (lost, TAKEN_PART), (brought, BROUGHT_GROUND)
    for parts, words in kinds:
        left = [part for part in parts if not _is_small_and_marked(part, marks)]
        if left:
            notice = f"What you marked {words} {_place_in(left[0], was | taken)}. Look at it."
            told[notice] = tuple(_box_around(part) for part in left)
    return replace(cutout, notices=(*told, *cutout.notices), doubt_boxes=told | dict(cutout.doubt_boxes))


def _share_of_rim(part: Mask, beside: Mask) -> float:
    """Return the share of the outline around `part` that lies on `beside` (h x w each)."""
    rim = dilate_mask(part, EDGE_WIDTH_PX // 2 + 1) & ~dilate_mask(part, EDGE_WIDTH_PX // 2)
    return float(beside[rim].mean()) if rim.any() else 0.0


def _is_small_and_marked(part: Mask, marks: Sequence[tuple[float, float]]) -> bool:
    left, top, right, bottom = _box_around(part)
    rows, columns = part.shape
    is_small = max(right - left, bottom - top) <= MAX_JUDGED_PLACE_RATIO
    return is_small and any(part[min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)] for x, y in marks)


def _name_border(split: Mask, taken: Mask) -> dict[str, tuple[Box, ...]]:
    """Tell where the subject was cut off something that no net tells from it."""
    notice = f"Check the border {_place_in(split, taken)}: something beside it may be taken too, or a part be missing."
    return {notice: (_box_around(split),)}


def _name_regions(suspect: Mask, taken: Mask) -> dict[str, tuple[Box, ...]]:
    """Tell the doubtful regions beside the subject and in it, the kind with the largest first, but no small ones."""
    min_area = NAMED_REGION_RATIO * float(taken.sum())
    beside = _list_large_parts(find_parts_at(suspect & ~taken, dilate_mask(taken, EDGE_WIDTH_PX)), min_area)
    inside = _list_large_parts(suspect & taken, min_area)
    told = {}
    if beside:
        place = _place_in(beside[0], taken | beside[0])
        told[f"{MISSING_PART} {place}. Point at it, or paint it in."] = beside
    if inside:
        # An arm as often as a wall: only colours say that something is background.
        place = _place_in(inside[0], taken)
        told[f"{FOREIGN_PART} {place}: too much or too little may be taken. Point at it, or wipe it away."] = inside
    by_size = sorted(told.items(), key=lambda row: -row[1][0].sum())
    return {notice: tuple(_box_around(part) for part in parts) for notice, parts in by_size}


def _name_edge(differing: Mask, taken: Mask) -> dict[str, tuple[Box, ...]]:
    """Tell the edge along most of which the nets differed."""
    edges = _list_large_parts(dilate_mask(differing, EDGE_WIDTH_PX) & dilate_mask(taken, EDGE_WIDTH_PX), 1)
    if not edges:
        return {UNSETTLED_NOTICE: (WHOLE_PHOTO,)}
    return {f"Check the edge {_place_in(edges[0], taken)}: it may be wrong.": (_box_around(edges[0]),)}


def soft_patch_notices(alpha: Alpha, heads: Sequence[Box]) -> dict[str, tuple[Box, ...]]:
    """Return the notice of half-transparent patches in `alpha` (H x W), outside of the head boxes, and their boxes."""
    scale = min(1.0, WORK_SIDE_PX / max(alpha.shape))
    small = resize_map(alpha, size_within(alpha.shape, WORK_SIDE_PX))
    soft = ((small > 0.1) & (small < 0.9)).astype(np.uint8)
    for left, top, right, bottom in heads:
        soft[scaled_slice(top, bottom, scale, 0.15), scaled_slice(left, right, scale, 0.15)] = 0
    height = mask_extent((small > 0.5).astype(np.uint8))[0]
    width = cv2.distanceTransform(np.pad(soft, 1), cv2.DIST_L2, 5)[1:-1, 1:-1] * 2
    if float(width.max()) <= max(SOFT_PATCH_RATIO * height, 2) + 1:
        return {}
    patches = width > max(SOFT_PATCH_RATIO * height, 2) + 1
    parts = list_parts(dilate_mask(patches, EDGE_WIDTH_PX))
    place, boxes = _place_in(parts[0], small > 0.5), tuple(_box_around(part) for part in parts)
    if float(width.max()) > WIDE_PATCH_RATIO * height:
        notice = f"{MISSING_PART} {place}: the cut-out is half transparent there. Point at it, or paint it in."
        return {notice: boxes}
    return {f"Check the edge {place}: {SOFT_EDGE}. Point at it, or paint it in.": boxes}


def name_rivals(seen: Alpha, selected: Alpha, faces: Sequence[Face]) -> tuple[str, ...]:
    """Return which subject was taken where others stand out as much; people are counted elsewhere.

    `seen` is what stands out in the photo, `selected` the subject in it (H x W each).
    """
    size = size_within(seen.shape, WORK_SIDE_PX)
    taken = resize_map(selected, size) > 0.5
    others = open_mask((resize_map(seen, size) > 0.5) & ~dilate_mask(taken, EDGE_WIDTH_PX))
    scale = size[0] / seen.shape[1]
    for face in faces:
        x, y = (int(each * scale) for each in face.eye_midpoint)
        if 0 <= y < others.shape[0] and 0 <= x < others.shape[1]:
            others &= ~find_parts_at(others, (y, x))
    rivals = _list_large_parts(others, RIVAL_RATIO * float(taken.sum()))
    if not rivals:
        return ()
    photo = np.ones_like(taken)
    place = _place_in(taken, photo)
    which = f"the one {place}" if place != _place_in(rivals[0], photo) else "the largest one"
    return (f"Several things stand out; {which} is taken. Choose another, or keep more by pointing at them.",)


def _list_large_parts(mask: Mask, min_area: float) -> list[Mask]:
    """List the connected parts of `mask` with at least `min_area` pixels, the largest first."""
    labels = label_parts(mask)
    areas = np.bincount(labels.ravel())
    numbers = np.flatnonzero(areas >= max(min_area, 1))
    return [np.asarray(labels == n) for n in sorted(numbers[numbers > 0], key=lambda n: -areas[n])]


def _box_around(part: Mask) -> Box:
    """Return the box around `part` in ratios of its picture."""
    xs, ys = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
    rows, columns = part.shape
    return float(xs[0] / columns), float(ys[0] / rows), float((xs[-1] + 1) / columns), float((ys[-1] + 1) / rows)


def _place_in(part: Mask, whole: Mask) -> str:
    """Put into words where the middle of `part` lies in the box around `whole`."""
    shares = []
    for axis in (0, 1):  # across, along
        own, lines = np.flatnonzero(part.any(axis=axis)), np.flatnonzero(whole.any(axis=axis))
        middle = float(np.average(own, weights=part.sum(axis=axis)[own]))
        first, last = (float(lines[0]), float(lines[-1])) if len(lines) else (0.0, float(part.shape[1 - axis]))
        shares.append((middle - first) / max(last - first, 1.0))
    return _name_place(*shares)


def _place_of_box(box: Box, whole: Box) -> str:
    """Put into words where the middle of `box` lies in `whole`, which has an extent; both in ratios of the photo."""
    x, y = (((box[n] + box[n + 2]) / 2 - whole[n]) / (whole[n + 2] - whole[n]) for n in (0, 1))
    return _name_place(x, y)


def _name_place(x: float, y: float) -> str:
    """Name the place at `x` across and `y` along, 0 to 1 each."""
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    along = "at the top" if y < 1 / 3 else "at the bottom" if y > 2 / 3 else ""
    if not along and not across:
        return "in the middle"
    return f"{along} {across}".strip() if along else f"at the {across}"
