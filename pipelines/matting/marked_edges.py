"""What marks changed of what nets see, so that the edges of a marked cut-out are drawn as those of any other.

Regions at marks are decided on a small copy: where they end, the edge lies within some pixels of the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image, Int32Array, Mask
from pipelines.imaging.resize import dilate_mask, outline_band, resize_map
from pipelines.matting.edge_colors import refine_edge_alpha
from pipelines.matting.mask_parts import find_parts_at, label_parts, open_mask
from pipelines.matting.point_regions import draw_discs, find_pixels

MIN_CHANGE = 0.5  # of alpha, by which marks changed what nets see
EDGE_REACH_RATIO = 0.006  # of the longer side: so far from where a region ends its edge may lie
RIM_RATIO = 0.01  # of the longer side, around what was taken: so far its soft outline reaches
FAINT_ALPHA = 0.3  # below it a line beside what was taken is its outline, from it a thin part
GONE_ALPHA = 0.02  # up to it nothing is left of what was taken
THREAD_RATIO = 0.003  # of the longer side: half the width of a thread by which a crumb may hang on the subject
MIN_CRUMB_ALPHA = 0.05  # from it a pixel belongs to a crumb
CRUMB_SHARE = 0.8  # of a crumb's pixels that lie in or beside what was taken
MAX_CRUMB_RATIO = 0.25  # of what was taken: a larger part is no crumb of it
MAX_CRUMB_SELECTED = 0.9  # from it somewhere, marks have left a part as it was
MIN_CRUMB_SEEN = 0.7  # mean of what nets have seen: fainter is fine detail that the colours drew
SCRAP_REACH_RATIO = 0.03  # of the longer side, around what marks changed: there an island may be a scrap of it
SCRAP_REACH_AT_MARK_RATIO = 0.06  # the same around a dropped point
MAX_SCRAP_RATIO = 0.002  # of the photo's pixels: a larger island is no scrap
MIN_ISLAND_SELECTED = 0.5  # mean of what is selected, below which the colours alone have drawn an island
DROP_REACH_RATIO = 0.04  # of the longer side, around a dropped point, in which it wins over what the colours draw
DROP_EDGE_RATIO = 0.002  # of the longer side: so far from what is selected the edge of it may lie there
LINE_REACH_RATIO = 0.004  # of the longer side, around a marked edge: so far its line is drawn
LINE_WINDOW_RATIO = 0.012  # of the longer side: what is smaller than half of it is no part of the line
COLOUR_WINDOW_RATIO = 0.02  # of the longer side: in it, the subject's and the ground's colours are compared
SAME_COLOUR_DELTA_E = 25.0  # up to it they do not say where a line runs
THIN_MARGIN_PX = 3  # around thin parts, which are not smoothed
SURE_SHARE = 0.02  # of such a window that is surely subject, and surely ground
CHANGED_ALPHA = 0.1  # from it marks have changed what is selected
CHANGED_PART_ALPHA = 0.5  # from it they have changed what a pixel is, and no edge beside it alone
NEAR_CHANGE_RATIO = 0.03  # of the longer side, around what marks changed and around kept points: drawn anew
NEAR_DROP_RATIO = 0.06  # the same around dropped points
NEARNESS_SIGMA_RATIO = 0.004  # of the longer side, over which that fades
SURROUNDINGS_RATIO = 0.08  # of the longer side, around a changed region
PREVIEW_SIDE_PX = 512  # longer side of the copy on which marks are shown before they are applied
OTHER_EDGE_PX = 3  # of that copy: where it and the finished matte differ by less, they differ by an edge alone
PREVIEW_SIGMA_PX = 0.8  # of that copy, over which what follows it fades into the rest


@dataclass(frozen=True)
class MarkedChange:
    """What marks, a box or the choice of a person `brought` into a subject and `took` from it (H x W each)."""

    brought: Mask
    took: Mask

    def find_edge(self, selected: Alpha) -> Mask:
        """Find where what marks took ends beside what is left of the `selected` subject (H x W)."""
        if not self.took.any():
            return self.took
        reach = max(2, round(EDGE_REACH_RATIO * max(selected.shape)))
        return dilate_mask(self.took, reach) & outline_band(selected, reach, cv2.MORPH_RECT)

    def find_leftover_rims(self, alpha: Alpha, selected: Alpha) -> Mask:
        """Find the faint lines that the soft outline of what was taken leaves in `alpha`, far from the rest (H x W).

        Not what the colours gave back where nothing is `selected` (H x W).
        """
        if not self.took.any():
            return self.took
        reach = max(3, round(RIM_RATIO * max(alpha.shape)))
        beside = dilate_mask(self.took, reach) & ~(self.took & (selected < GONE_ALPHA))
        return beside & (alpha < FAINT_ALPHA) & ~dilate_mask(alpha > 0.5, reach)

    def find_crumbs(self, alpha: Alpha, selected: Alpha, seen: Alpha) -> Mask:
        """Find small islands in `alpha` of what was taken, which hang on the rest by a thread at most (H x W each).

        Colours that the subject has too bring them back. None where nothing else would be left.
        """
        if not self.took.any():
            return self.took
        width = 2 * max(1, round(THREAD_RATIO * max(alpha.shape))) + 1
        near = dilate_mask(self.took, max(3, round(RIM_RATIO * max(alpha.shape))))
        max_area = MAX_CRUMB_RATIO * float(self.took.sum())
        wide = label_parts(open_mask(alpha > 0.5, width))
        areas, shares = _measure_parts(wide, near)
        is_rest = (shares <= CRUMB_SHARE) | (areas > max_area)
        is_rest[0] = False
        if not is_rest.any():
            return np.zeros_like(near)
        rest = is_rest[wide]
        parts = label_parts((alpha > MIN_CRUMB_ALPHA) & ~dilate_mask(rest, width))
        areas, shares = _measure_parts(parts, near)
        joint_px = np.bincount(parts[dilate_mask(rest, width + 1)], minlength=len(areas))
        is_thread = np.bincount(parts[wide > 0], minlength=len(areas)) == 0
        is_crumb = (shares > CRUMB_SHARE) & (areas <= max_area)
        is_crumb &= (joint_px == 0) | ((joint_px <= 2 * width) & ~is_thread)
        is_crumb &= np.bincount(parts[selected >= MAX_CRUMB_SELECTED], minlength=len(areas)) == 0
        is_crumb &= np.bincount(parts.ravel(), seen.ravel()) / np.maximum(areas, 1) > MIN_CRUMB_SEEN
        is_crumb[0] = False
        return dilate_mask(is_crumb[parts], 1) & ~rest

    def find_scraps(self, alpha: Alpha, selected: Alpha, dropped: Sequence[tuple[float, float]]) -> Mask:
        """Find small islands in `alpha` near `dropped` points and changes where little is `selected` (H x W each).

        Colours that the subject has too draw them at full size; on the copy on which one points they are not seen.
        """
        changed = self.brought | self.took
        if not (changed.any() or dropped):
            return changed
        longer = max(alpha.shape)
        near = dilate_mask(changed, round(SCRAP_REACH_RATIO * longer))
        near |= draw_discs(alpha.shape, find_pixels(dropped, alpha.shape), round(SCRAP_REACH_AT_MARK_RATIO * longer))
        parts = label_parts(alpha > MIN_CRUMB_ALPHA)
        areas, shares = _measure_parts(parts, near)
        _, held = _measure_parts(parts, selected)
        is_scrap = (shares > CRUMB_SHARE) & (held < MIN_ISLAND_SELECTED) & (areas < MAX_SCRAP_RATIO * alpha.size)
        is_scrap[0] = False
        scraps = is_scrap[parts]
        return scraps | dilate_mask(scraps, 1) & (parts == 0)  # with what fades around them

    def smooth_line(self, image: Image, alpha: Alpha, selected: Alpha) -> Alpha:
        """Return `alpha` (H x W) with a smooth line where what marks took from the `selected` subject of `image` ends.

        Only where both sides have about one colour, as a black sole and the black shadow under it: there the colours
        draw bites and crumbs. Thin parts and slits of what is `selected` (H x W) stay as they are.
        """
        longer = max(alpha.shape)
        near = dilate_mask(self.find_edge(selected), max(1, round(LINE_REACH_RATIO * longer)))
        rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return alpha
        window = round(COLOUR_WINDOW_RATIO * longer) | 1
        part = np.s_[max(0, rows[0] - window) : rows[-1] + window, max(0, columns[0] - window) : columns[-1] + window]
        own = alpha[part]
        side = max(3, round(LINE_WINDOW_RATIO * longer) | 1)
        line = cv2.medianBlur(np.rint(own * 255).astype(np.uint8), side)
        solid = (selected[part] > 0.5).astype(np.uint8)
        is_thin = dilate_mask(solid != cv2.medianBlur(solid, side), THIN_MARGIN_PX)
        is_smoothed = near[part] & ~is_thin & ~_find_told_apart(image[part], own, window)
        smoothed = alpha.copy()
        smoothed[part] = np.where(is_smoothed, line.astype(np.float32) / 255, own)
        return smoothed

    def find_surroundings(self) -> Mask:
        """Find what was changed, and what lies around it (H x W)."""
        changed = self.brought | self.took
        return dilate_mask(changed, round(SURROUNDINGS_RATIO * max(changed.shape))) if changed.any() else changed


def find_dropped_detail(alpha: Alpha, selected: Alpha, dropped: Sequence[tuple[float, float]]) -> Mask:
    """Find what the colours drew in `alpha` at `dropped` points, in ratios, where nothing is `selected` (H x W each).

    Such as a dark line behind a dark neck, which hangs on it. The soft edge of what is selected stays.
    """
    if not dropped:
        return np.zeros(alpha.shape, np.bool_)
    longer = max(alpha.shape)
    drawn = (alpha > GONE_ALPHA) & ~dilate_mask(selected > 0.5, max(2, round(DROP_EDGE_RATIO * longer)))
    drawn &= draw_discs(alpha.shape, find_pixels(dropped, alpha.shape), round(DROP_REACH_RATIO * longer))
    return find_parts_at(drawn, draw_marks(dropped, alpha.shape))


def _measure_parts(parts: Int32Array, near: Mask | Alpha) -> tuple[Float32Array, Float32Array]:
    """Return the pixels of each part (H x W, numbered from 0), and the mean of `near` (H x W) in them."""
    areas = np.bincount(parts.ravel())
    shares = np.bincount(parts.ravel(), near.ravel()) / np.maximum(areas, 1)
    return areas.astype(np.float32), shares.astype(np.float32)


def _find_told_apart(image: Image, alpha: Alpha, window_px: int) -> Mask:
    """Find where the colours of subject and ground beside each other differ, or there is only one of them (H x W)."""
    lab = np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    size = window_px, window_px
    sides = [side.astype(np.float32) for side in (alpha > 0.8, alpha < 0.2)]
    shares = [cv2.blur(side, size) for side in sides]
    inner, outer = (
        cv2.blur(lab * cv2.merge((side, side, side)), size) / np.maximum(share, SURE_SHARE)[..., None]
        for side, share in zip(sides, shares, strict=True)
    )
    return (np.minimum(*shares) <= SURE_SHARE) | (np.linalg.norm(inner - outer, axis=2) >= SAME_COLOUR_DELTA_E)


def find_marked_change(selected: Alpha, seen: Alpha) -> MarkedChange:
    """Find how the `selected` subject differs from what the nets have `seen` (H x W each)."""
    return MarkedChange(selected > seen + MIN_CHANGE, selected < seen - MIN_CHANGE)


def measure_nearness(
    selected: Alpha,
    unmarked: Alpha,
    confirmed: Alpha,
    kept: Sequence[tuple[float, float]],
    dropped: Sequence[tuple[float, float]],
) -> Alpha:
    """Measure where marks, in ratios, have changed a cut-out, 0 to 1: there it is drawn anew, elsewhere it stays.

    `selected` is the subject with marks, `unmarked` without them, and `confirmed` is that without the parts that one
    net alone sees (H x W each). Such a part comes back where a mark keeps it. What marks took away counts only where it
    touches one of them.
    """
    shape, longer = selected.shape, max(selected.shape)
    at_marks = np.zeros(shape, np.bool_)
    for marks, ratio in ((kept, NEAR_CHANGE_RATIO), (dropped, NEAR_DROP_RATIO)):
        at_marks |= draw_discs(shape, find_pixels(marks, shape), round(ratio * longer))
    # What went elsewhere, as where the nets were unsure and colours of what was dropped come again, nobody meant.
    taken = find_parts_at(unmarked - selected > CHANGED_PART_ALPHA, at_marks)
    changed = taken | (selected - unmarked > CHANGED_ALPHA)
    near = at_marks | dilate_mask(changed, max(2, round(NEAR_CHANGE_RATIO * longer)))
    near |= find_parts_at(np.abs(unmarked - confirmed) > CHANGED_ALPHA, draw_marks(kept, shape))
    sigma = max(0.8, NEARNESS_SIGMA_RATIO * longer)
    return np.asarray(cv2.GaussianBlur(near.astype(np.float32), (0, 0), sigma), np.float32)


def follow_preview(image: Image, alpha: Alpha, preview: Alpha) -> Alpha:
    """Return the finished `alpha` (H x W) of `image` with the regions of the `preview` (h x w) of the same marks.

    Colours decide at the photo's own size a little otherwise than on the copy that somebody has seen and applied. There
    the copy decides, and the line is drawn at full size; where only the line differs, nothing changes.
    """
    size = preview.shape[1], preview.shape[0]
    is_other = (resize_map(alpha, size) > 0.5) != (preview > 0.5)
    regions = open_mask(is_other, OTHER_EDGE_PX)
    if not regions.any():
        return alpha
    near = dilate_mask(find_parts_at(is_other, regions), 2).astype(np.float32)  # with its soft rim
    weight = resize_map(np.asarray(cv2.GaussianBlur(near, (0, 0), PREVIEW_SIGMA_PX), np.float32), alpha.shape[::-1])
    followed = np.asarray(alpha + weight * (resize_map(preview, alpha.shape[::-1]) - alpha), np.float32)
    reach = max(2, round(EDGE_REACH_RATIO * max(alpha.shape)))
    return refine_edge_alpha(image, followed, outline_band(followed, reach, cv2.MORPH_RECT) & (weight > 0.5))


def draw_marks(marks: Sequence[tuple[float, float]], shape: tuple[int, ...]) -> Mask:
    """Draw the discs of `marks`, ratios of a photo, on a mask of `shape` (H x W)."""
    return draw_discs(shape, find_pixels(marks, shape))
