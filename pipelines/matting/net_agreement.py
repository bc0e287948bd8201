"""Make one matte of two nets' mattes: what they agree on is settled, regions in which they differ are decided.

The detailed net is right more often. The other one is followed in a region whose colours, whose edges and both nets'
sureness speak for it, and in a shadow that it leaves out; a smooth shadow that it alone sees speaks against it. Where
there are faces, what a net that knows people sees counts too. What speaks for neither is uncertain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from scipy import ndimage

from pipelines.core.geometry import Alpha, Area, Face, Float32Array, Image, Mask, Uint8Array
from pipelines.imaging.resize import dilate_mask, outline_band, resize_image, resize_map, size_within
from pipelines.matting.leftover_ground import cover_heads, find_leftover_ground
from pipelines.matting.mask_parts import EDGE_WIDTH_PX, label_parts, list_parts, open_mask
from pipelines.matting.subject_selection import UNSEEN_ALPHA
from pipelines.matting.thin_parts import measure_thinness, share_between

WORK_SIDE_PX = 384  # longer side of the copy on which mattes are compared; lengths below are its pixels
MIN_REGION_RATIO = 0.001  # of the copy's pixels
COLOUR_BIN_COUNT = 12  # of each of the three channels of Lab
MAX_COLOUR_EVIDENCE = 3.0  # logarithm of how much more often a colour is the subject's than the background's
RIM_PX = 3  # width of the rim of a region whose edges are compared
CONTRAST_LEVELS = 12.0  # Lab levels: a difference of edges that is noise
SHADOW_REACH_PX = 16  # how far around a region it is compared with the ground and the subject
MIN_NEIGHBOUR_COUNT = 20  # pixels beside a region, with fewer of which it is not compared
SHADOW_DEPTHS = 0.25, 0.6, 3.2  # logarithm of how much darker: no shadow yet, surely one, too dark for one
SHADOW_TINT = 0.06  # logarithm: how differently a shadow darkens red, green and blue
SUBJECT_TINT = 0.3  # the same between a shadow and the subject beside it, from which they are of two colours
SHADOW_VARIATION = 0.3, 0.1  # logarithm: how much more than the ground it varies, with its soft edge: none, surely one
SHADOW_EVENNESS = 0.6, 0.4  # the same of how much less: what is even on uneven ground is a thing
SMOOTH_SHADOW_DEPTHS = 0.3, 0.9, 3.1, 3.4  # as above of a smooth one: none yet, surely; as dark as one gets, too dark
SMOOTH_SHADOW_TINT = 0.05, 0.08  # logarithm, and more for each one of depth: another light fills a deep shadow
SMOOTH_SHADOW_SPREAD = 0.45, 0.25  # logarithm: how much it varies at all, none, surely one
SMOOTH_SHADOW_STEP = 0.12, 0.05  # the same of the change from pixel to pixel, beyond the ground's
SMOOTH_SHADOW_RIM_PX = 3  # of a region, in which its own edge lies
LIGHT_LOGARITHMS = np.log(((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4 + 0.004).astype(np.float32)
PEOPLE_MARGIN_RATIO = 0.15  # of the box of all that stands out, around it: what the net that knows people looks at
TRUST_OFFSET, TRUST_WEIGHTS = 0.9, (1.3, 0.7, 1.8, 6.0, -5.0, 2.5, 2.2, 3.0)
"""Of the logistic model of a region: fitted on half of the truth set (tests/bench/pictures) and some photographs.

The weight of a shadow was chosen on composites whose shadows are known, that of people on half of a set of photographs
of them, that of a smooth shadow between those of either half of 488 regions that the other net alone sees: it decides
seven of them anew, all rightly. That of a thin part was chosen on 87 photographs of things, of which it brings lost
legs, a spout and a handle back in four; of 541 regions of other pictures it decides two anew, both rightly. Its widths
were enlarged by the foot of one lamp; of 205 regions of 75 more photographs that alone is decided anew.
"""
DOUBT_OFFSET, DOUBT_WEIGHTS = -2.7, (3.6, 1.0, 6.0, 0.2)
"""Of the logistic model of doubt. The weights are those of roots of unsettled, differing, half transparent, edge."""
FEATHER_PX = 2.0  # a region that is taken from the other net fades in over this much
MIN_FREE_RIM_RATIO = 0.35  # of the rim of a patch that no net saw: less lies free where it fills a gap in the subject
GHOST_ALPHA = 0.05  # of a faint part beside the subject, from which it is looked at
UNSEEN_FEATHER_PX = 1.0  # the same of a patch that no net saw, and of ground that stays in such a region
SURE_ALPHA, INSIDE_PX = 0.95, 2  # of the quick net's map: where it is sure, and how far from the edge of that
HALF_SEEN_ALPHA = 0.9  # below it a part inside is half transparent
GAP_ALPHA, MAX_GAP_SHARE = 0.1, 0.3  # below it the detailed net sees a gap, and of which share of a part at most
MIN_INNER_RIM_SHARE = 0.8  # of such a part's rim: as much lies inside as well
MAX_FILLED_RATIO = 0.02  # of the subject: a larger part is a region to be decided
SURE_GROUND_ALPHA = 0.3  # below it the detailed net's map is ground that others are compared with

PredictPeople = Callable[[Area], Alpha]
"""Returns the map of an area alone (H x W of any size, 0 to 1) by a net that knows people and nothing else."""


class Region(NamedTuple):
    """A region in which two mattes differ, and what speaks for the detailed one; each about -1 to 1.

    `shadow`, 0 to 1, speaks against it: how much like a shadow of the subject that region looks that it alone sees.
    `people` is 0 where no net that knows people was asked. `smooth_shadow`, 0 to 1, is how much like a smooth shadow on
    the ground that region looks that the other one alone sees. `thin_part` is how much it looks like a leg or a spout,
    below 0 where the other one alone sees it.
    """

    mask: Mask
    colour: float
    edge: float
    sureness: float
    face: float
    shadow: float
    people: float
    smooth_shadow: float
    thin_part: float

    @property
    def trust_probability(self) -> float:
        """How likely the detailed matte is right here, 0 to 1."""
        _mask, *evidence = self
        score = TRUST_OFFSET + float(np.dot(TRUST_WEIGHTS, np.array(evidence, np.float64)))
        return float(1 / (1 + np.exp(-score)))


@dataclass(frozen=True)
class Doubt:
    """`uncertainty`, 0 to 1, of a cut-out, and `regions` (h x w): where it is uncertain.

    `unsettled` are those of them between which the nets' evidence did not decide, `differing` is where the nets
    differed at all, `split` the subject's rim where it was cut off what stands out with it (h x w each).
    """

    uncertainty: float
    regions: Mask
    unsettled: Mask
    differing: Mask
    split: Mask


@dataclass(frozen=True)
class ReconciledMatte:
    """One matte of two (H x W).

    `regions` (h x w) is where it is uncertain, `differs` (h x w) where the two differed. `unsettled` is the share of
    the subject that nothing settled, `differing` that in which the two differed, by however little; both 0 to 1.
    """

    alpha: Alpha
    regions: Mask
    differs: Mask
    unsettled: float
    differing: float


def reconcile_mattes(
    image: Image,
    detailed: Alpha,
    quick: Alpha,
    faces: Sequence[Face] = (),
    predict_people: PredictPeople | None = None,
) -> ReconciledMatte:
    """Decide, region by region, between two mattes of `image`.

    `predict_people` is asked once, where there are `faces` and a region to decide.
    """
    size = size_within(detailed.shape, WORK_SIDE_PX)
    one, other = (resize_map(each, size) for each in (detailed, quick))
    subject = max(int(((one > 0.5) | (other > 0.5)).sum()), 1)
    uncertain, taken, doubt = np.zeros(one.shape, np.bool_), np.zeros(one.shape, np.float32), 0.0
    kept_whole = cover_heads(one.shape, [face.box for face in faces], size[0] / image.shape[1])
    for region in find_differing_regions(image, one, other, faces, predict_people):
        if region.trust_probability < 0.5:
            taken[region.mask] = 1
            if region.face or region.people:  # a strap of the wall's colour is a person's
                kept_whole |= dilate_mask(region.mask, EDGE_WIDTH_PX // 2)
        share = 1 - abs(2 * region.trust_probability - 1)
        doubt += share * float(region.mask.sum())
        uncertain |= region.mask & (share > 0.5)
    alpha, differs = detailed, (one > 0.5) != (other > 0.5)
    differing = float(differs.sum()) / subject
    if taken.any():
        rim = dilate_mask(taken > 0, EDGE_WIDTH_PX // 2) & differs
        weight = np.clip(2 * cv2.GaussianBlur(np.maximum(taken, rim.astype(np.float32)), (0, 0), FEATHER_PX), 0, 1)
        followed = ((taken > 0) | rim) & (other > 0.5)
        sure_ground = (one < SURE_GROUND_ALPHA) & ~followed
        left = find_leftover_ground(image, followed & ~kept_whole, one, (one > 0.5) | followed, sure_ground)
        settled = dilate_mask(left, EDGE_WIDTH_PX // 2)
        uncertain, differs = uncertain & ~settled, differs & ~settled
        weight *= 1 - cv2.GaussianBlur(left.astype(np.float32), (0, 0), UNSEEN_FEATHER_PX)
        weight = resize_map(np.asarray(weight, np.float32), detailed.shape[::-1])
        alpha = np.asarray(detailed + weight * (quick - detailed), np.float32)
    alpha = fill_half_seen_inside(alpha, quick)
    return ReconciledMatte(alpha, uncertain, differs, doubt / subject, differing)


def compare_mattes(
    image: Image,
    detailed: Alpha,
    quick: Alpha,
    followed: Alpha,
    faces: Sequence[Face] = (),
    predict_people: PredictPeople | None = None,
) -> ReconciledMatte:
    """Tell how far to trust a matte that is `followed` alone; arguments as for `reconcile_mattes`, H x W each.

    Where it is not what would be decided between both it is as uncertain as where nothing decides.
    """
    reconciled = reconcile_mattes(image, detailed, quick, faces, predict_people)
    size = reconciled.regions.shape[::-1]
    one, other, taken = (resize_map(each, size) > 0.5 for each in (detailed, quick, followed))
    against = open_mask(taken != (resize_map(reconciled.alpha, size) > 0.5)) & ~reconciled.regions
    share = float(against.sum()) / max(int((one | other).sum()), 1)
    return replace(
        reconciled,
        regions=reconciled.regions | against,
        differs=reconciled.differs | against,
        unsettled=min(1.0, reconciled.unsettled + share),
    )


def fill_half_seen_inside(alpha: Alpha, quick: Alpha) -> Alpha:
    """Return `alpha` as the `quick` net sees it in small parts that are half transparent deep inside of its subject.

    The detailed net half sees what is busy or shines: keys, knots, a print. Of a gap it is sure. H x W each, 0 to 1.
    """
    size = size_within(alpha.shape, WORK_SIDE_PX)
    seen, subject = resize_map(alpha, size), resize_map(quick, size) > SURE_ALPHA
    square = np.ones((3, 3), np.uint8)
    inside = cv2.erode(subject.astype(np.uint8), square, iterations=INSIDE_PX, borderValue=1) > 0
    labels = label_parts(inside & (seen < HALF_SEEN_ALPHA))
    areas = np.bincount(labels.ravel())
    if len(areas) == 1:
        return alpha
    rims = np.where(labels > 0, 0, cv2.dilate(labels.astype(np.float32), square)).astype(np.int32)
    gone, rim, inner_rim = (
        np.bincount(numbers[mask], minlength=len(areas))
        for numbers, mask in ((labels, seen < GAP_ALPHA), (rims, rims > 0), (rims, inside))
    )
    chosen = (areas <= MAX_FILLED_RATIO * subject.sum()) & (gone < MAX_GAP_SHARE * areas)
    chosen &= inner_rim > MIN_INNER_RIM_SHARE * rim
    chosen[0] = False
    if not chosen.any():
        return alpha
    filled = dilate_mask(chosen[labels], 1).astype(np.float32)
    weight = np.clip(2 * cv2.GaussianBlur(filled, (0, 0), UNSEEN_FEATHER_PX), 0, 1)
    weight = resize_map(np.asarray(weight, np.float32), alpha.shape[::-1])
    return np.maximum(alpha, np.asarray(weight * quick, np.float32))


def remove_unseen_patches(alpha: Alpha, selected: Alpha, other: Alpha) -> Alpha:
    """Remove what the colours alone made opaque in `alpha`: `selected` half saw it at most, `other` not (H x W each).

    Colours say where an edge runs. A patch wider than an edge that no net took for the subject is ground of the
    subject's colour, a dark stripe of a flag beside a dark suit, unless it fills a gap in the subject.
    """
    size = size_within(alpha.shape, WORK_SIDE_PX)
    refined, seen, seen_too = (resize_map(each, size) for each in (alpha, selected, other))
    unseen = (seen < 0.5) & (seen_too < 0.5)
    scraps = np.zeros(unseen.shape, np.bool_)
    for part in list_parts(open_mask(unseen & (refined > 0.5))):
        rim = dilate_mask(part, EDGE_WIDTH_PX - 1) & ~dilate_mask(part, EDGE_WIDTH_PX // 2)
        if seen_too[part].mean() < UNSEEN_ALPHA and (refined[rim] < 0.5).mean() > MIN_FREE_RIM_RATIO:
            scraps |= part
    if not scraps.any():
        return alpha
    patch = dilate_mask(scraps, EDGE_WIDTH_PX // 2 + 1) & unseen
    weight = cv2.GaussianBlur(patch.astype(np.float32), (0, 0), UNSEEN_FEATHER_PX)
    return alpha * (1 - resize_map(np.asarray(np.clip(2 * weight, 0, 1), np.float32), alpha.shape[::-1]))


def remove_unseen_ghosts(alpha: Alpha, selected: Alpha, other: Alpha) -> Alpha:
    """Remove faint parts of `alpha` that lie by themselves where neither `selected` nor `other` sees anything.

    All H x W. The colours make them in a net's wide soft edge: a dark fold of a curtain beside a dark head.
    """
    size = size_within(alpha.shape, WORK_SIDE_PX)
    refined, seen, seen_too = (resize_map(each, size) for each in (alpha, selected, other))
    labels = label_parts(refined > GHOST_ALPHA)
    count = int(labels.max()) + 1
    if count <= 2:
        return alpha
    most_seen = ndimage.maximum(np.maximum(seen, seen_too), labels, np.arange(count))
    is_ghost = np.asarray(most_seen) < UNSEEN_ALPHA
    is_ghost[0] = False
    if not is_ghost.any():
        return alpha
    ghosts = dilate_mask(np.asarray(is_ghost[labels]), 1).astype(np.float32)
    return alpha * (1 - resize_map(ghosts, alpha.shape[::-1]))


def measure_doubt(selected: Alpha, reconciled: ReconciledMatte, *, is_pointed: bool = False) -> Doubt:
    """Say how likely it is that a cut-out is not the subject (IoU under 0.95); `selected` is the subject's matte.

    A logistic model of the share that the nets could not settle, of where they differed at all, of wide
    half-transparent patches and of how much of the subject is edge. What part of its rim no net saw, as between people
    who touch, counts beside it, unless that is what somebody pointed at.
    """
    small = resize_map(selected, reconciled.regions.shape[::-1])
    soft = open_mask((small > 0.1) & (small < 0.9))
    subject = max(float((small > 0.5).sum()), 1.0)
    edge = float(outline_band(small, 1).sum()) / subject
    shares = (reconciled.unsettled, reconciled.differing, float(soft.sum()) / subject, edge)
    score = DOUBT_OFFSET + float(np.dot(DOUBT_WEIGHTS, np.sqrt(np.clip(np.array(shares, np.float32), 0, 1))))
    split, share = np.zeros(small.shape, np.bool_), 0.0
    if not is_pointed:
        split, share = _find_unsupported_rim(small > 0.5, resize_map(reconciled.alpha, small.shape[::-1]) > 0.5)
    uncertainty = 1 - (1 - share) * (1 - float(1 / (1 + np.exp(-score))))
    return Doubt(uncertainty, reconciled.regions | soft | split, reconciled.regions, reconciled.differs, split)


def _find_unsupported_rim(taken: Mask, seen: Mask) -> tuple[Mask, float]:
    """Return the rim of `taken` inside of what is `seen`, where no net sees an edge, and its share of the whole rim."""
    rim = taken & dilate_mask(~taken, 1)
    split = rim & dilate_mask(open_mask(seen & ~taken), EDGE_WIDTH_PX // 2)
    return split, float(split.sum()) / max(int(rim.sum()), 1)


def find_differing_regions(
    image: Image, one: Alpha, other: Alpha, faces: Sequence[Face], predict_people: PredictPeople | None = None
) -> Iterator[Region]:
    """Yield the regions in which two small mattes (h x w) of `image` differ, with what speaks for `one`.

    `predict_people` is asked once, where there are `faces` and such a region.
    """
    inside, beside = one > 0.5, other > 0.5
    masks = list(_find_differing_parts(inside, beside))
    if not masks:
        return
    small = resize_image(image, (one.shape[1], one.shape[0]))
    lab, light = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.uint8), LIGHT_LOGARITHMS[small]
    subject, ground = inside & beside, ~inside & ~beside
    evidence, contrast = colour_evidence(lab, subject, ground), local_contrast(lab)
    scale = one.shape[1] / image.shape[1]
    people = _predict_people_around(predict_people, inside, beside) if faces and predict_people is not None else None
    for mask, sign in masks:
        shadow = _shadow_evidence(light, mask, subject, ground) if sign > 0 else 0.0
        # What a quick net alone sees must have an outline in the photo.
        views = (one, other) if sign > 0 else (other, one, contrast)
        yield Region(
            mask,
            sign * float(evidence[mask].mean()) / MAX_COLOUR_EVIDENCE,
            sign * _edge_evidence(contrast, mask, subject, ground),
            float(np.abs(2 * one[mask] - 1).mean() - np.abs(2 * other[mask] - 1).mean()),
            sign * _share_of_faces(mask, faces, scale),
            shadow,
            0.0 if people is None else sign * _people_evidence(people, mask, subject, ground),
            0.0 if sign > 0 or faces else _smooth_shadow_evidence(light, mask, ground),
            0.0 if faces else sign * (1 - shadow) * measure_thinness(lab, mask, *views),
        )


def _find_differing_parts(inside: Mask, beside: Mask) -> Iterator[tuple[Mask, float]]:
    """Yield the parts in which two masks differ by more than an edge: 1 with those `inside` alone, -1 `beside`."""
    differs = open_mask(inside != beside).astype(np.uint8)
    for side, sign in ((inside, 1.0), (~inside, -1.0)):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(differs * side.astype(np.uint8))
        for label in range(1, count):
            if stats[label, cv2.CC_STAT_AREA] >= MIN_REGION_RATIO * inside.size:
                yield np.asarray(labels) == label, sign


def colour_evidence(lab: Uint8Array, subject: Mask, ground: Mask) -> Float32Array:
    """Return for each pixel the logarithm of how much more often its colour is the subject's; H x W."""
    index = (lab.astype(np.int32) * COLOUR_BIN_COUNT // 256) @ np.array((COLOUR_BIN_COUNT**2, COLOUR_BIN_COUNT, 1))
    shape = (COLOUR_BIN_COUNT,) * 3
    shares = []
    for side in (subject, ground):
        counts = np.bincount(index[side], minlength=COLOUR_BIN_COUNT**3).reshape(shape).astype(np.float64)
        for axis in range(3):  # neighbouring colours count half
            counts = ndimage.convolve1d(counts, (0.5, 1, 0.5), axis, mode="constant")
        shares.append((counts + 1e-9) / max(counts.sum(), 1e-9))
    ratio = np.log((shares[0] + 1e-4) / (shares[1] + 1e-4))
    return np.clip(ratio.ravel()[index], -MAX_COLOUR_EVIDENCE, MAX_COLOUR_EVIDENCE).astype(np.float32)


def local_contrast(lab: Uint8Array | Float32Array) -> Float32Array:
    """Return how much the colour changes around each pixel, in Lab levels; H x W."""
    smooth = cv2.GaussianBlur(lab.astype(np.float32), (0, 0), 1.0)
    x, y = (cv2.Sobel(smooth, cv2.CV_32F, *way, scale=0.125) for way in ((1, 0), (0, 1)))
    return np.sqrt((x**2 + y**2).sum(axis=2)).astype(np.float32)


def _predict_people_around(predict_people: PredictPeople, inside: Mask, beside: Mask) -> Alpha:
    """Return where people are in all that two mattes are `inside` of or `beside`, and around it; 0 elsewhere, h x w."""
    rows, columns = (_span_with_margin(np.asarray((inside | beside).any(axis=axis))) for axis in (1, 0))
    height, width = inside.shape
    seen = predict_people((columns.start / width, rows.start / height, columns.stop / width, rows.stop / height))
    people = np.zeros(inside.shape, np.float32)
    people[rows, columns] = resize_map(seen, (columns.stop - columns.start, rows.stop - rows.start))
    return people


def _people_evidence(people: Alpha, mask: Mask, subject: Mask, ground: Mask) -> float:
    """Tell how sure it is that a region is a person's, 0 to 1, by a net that knows people.

    It counts by how well that net tells apart what both mattes agree on: before a flag it may see people everywhere.
    What it does not see is no evidence: it may be a bag or a foot.
    """
    if not subject.any() or not ground.any():
        return 0.0
    told_apart = max(float(people[subject].mean() - people[ground].mean()), 0.0)
    return told_apart * max(2 * float(people[mask].mean()) - 1, 0.0) ** 2


def _span_with_margin(taken: Mask) -> slice:
    """Return the span from the first to the last that is `taken` of a row of pixels, with a margin."""
    first, last = (int(each) for each in np.flatnonzero(taken)[[0, -1]])
    margin = round(PEOPLE_MARGIN_RATIO * (last - first))
    return slice(max(first - margin, 0), min(last + 1 + margin, len(taken)))


def _edge_evidence(contrast: Float32Array, mask: Mask, subject: Mask, ground: Mask) -> float:
    """Tell by edges to which side a region belongs: 1, the subject goes on into it; -1, the background does."""
    rim = dilate_mask(mask, RIM_PX) & ~mask
    means: list[float | None] = []
    for side in (subject, ground):
        line = rim & dilate_mask(side, RIM_PX)
        means.append(float(contrast[line].mean()) if line.sum() > 2 * RIM_PX else None)
    if means[1] is None:  # enclosed by the subject and the photo's border
        return 1.0
    if means[0] is None:
        return 0.0
    return float(np.tanh((means[1] - means[0]) / CONTRAST_LEVELS))


def _shadow_evidence(light: Float32Array, mask: Mask, subject: Mask, ground: Mask) -> float:
    """Tell how much a region looks like a shadow, 0 to 1; `light` is the logarithm of linear RGB, h x w x 3.

    A shadow is the colour of the ground beside it, darkened by one factor in red, green and blue; it varies as the
    ground does; and the subject beside it is of another colour, or else it may be a dark part of the subject.
    """
    near = dilate_mask(mask, SHADOW_REACH_PX)
    on_ground, on_subject = light[near & ground], light[near & subject]
    colours = light[_erode_unless_small(mask, 1)]
    if min(len(on_ground), len(on_subject)) < MIN_NEIGHBOUR_COUNT:
        return 0.0
    depth, tint = _compare_light(colours, on_ground)
    if depth > SHADOW_DEPTHS[2]:
        return 0.0
    variation = float(colours.mean(axis=1).std() - on_ground.mean(axis=1).std())
    shares = (
        share_between(depth, SHADOW_DEPTHS[:2]),
        share_between(_compare_light(colours, on_subject)[1], (0, SUBJECT_TINT)),
        share_between(abs(variation), SHADOW_VARIATION if variation > 0 else SHADOW_EVENNESS),
    )
    return float(np.exp(-((tint / SHADOW_TINT) ** 2)) * np.prod(shares))


def _smooth_shadow_evidence(light: Float32Array, mask: Mask, ground: Mask) -> float:
    """Tell how much a region looks like a smooth shadow on the ground beside it, 0 to 1; `light` as above.

    The subject's colour does not matter: its shadow may be as dark as its sole. A dark thing has parts and an edge of
    its own, or is darker than a shadow gets; people's clothes are even too, so that it is not asked where faces are.
    """
    on_ground = light[dilate_mask(mask, SHADOW_REACH_PX) & ground]
    if len(on_ground) < MIN_NEIGHBOUR_COUNT:
        return 0.0
    colours = light[_erode_unless_small(mask, 1)]
    depth, tint = _compare_light(colours, on_ground)
    none, sure, darkest, too_dark = SMOOTH_SHADOW_DEPTHS
    if not none < depth < too_dark:
        return 0.0
    smooth = cv2.GaussianBlur(light.mean(axis=2), (0, 0), 1.0)
    step = np.hypot(*(cv2.Sobel(smooth, cv2.CV_32F, *way, scale=0.125) for way in ((1, 0), (0, 1))))
    beside = dilate_mask(mask, SHADOW_REACH_PX) & ground & ~dilate_mask(mask, SMOOTH_SHADOW_RIM_PX + 1)
    ground_step = float(np.median(step[beside])) if beside.sum() > MIN_NEIGHBOUR_COUNT else 0.0
    own_step = float(np.median(step[_erode_unless_small(mask, SMOOTH_SHADOW_RIM_PX)]))
    shares = (
        share_between(depth, (none, sure)),
        share_between(depth, (too_dark, darkest)),
        share_between(float(colours.mean(axis=1).std()), SMOOTH_SHADOW_SPREAD),
        share_between(own_step - ground_step, SMOOTH_SHADOW_STEP),
    )
    same_colour = np.exp(-((tint / (SMOOTH_SHADOW_TINT[0] + SMOOTH_SHADOW_TINT[1] * depth)) ** 2))
    return float(same_colour * np.prod(shares))


def _erode_unless_small(mask: Mask, radius_px: int) -> Mask:
    """Return `mask` without its rim, or all of it where next to nothing would be left."""
    side = 2 * radius_px + 1
    inner = cv2.erode(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    return inner if inner.sum() > MIN_NEIGHBOUR_COUNT else mask


def _compare_light(colours: Float32Array, others: Float32Array) -> tuple[float, float]:
    """Return how much darker `colours` are than `others` (N x 3 each), and how far the channels differ in that."""
    darker = np.median(others, axis=0) - np.median(colours, axis=0)
    return float(darker.mean()), float(np.abs(darker - darker.mean()).max())


def _share_of_faces(mask: Mask, faces: Sequence[Face], scale: float) -> float:
    """Return the largest share of a face that lies in the region: a face belongs to its person."""
    shares = [0.0]
    for face in faces:
        canvas = np.zeros(mask.shape, np.uint8)
        cv2.fillConvexPoly(canvas, np.asarray(cv2.convexHull(face.landmarks * np.float32(scale)), np.int32), 1)
        shares.append(float(mask[canvas > 0].mean()) if canvas.any() else 0.0)
    return max(shares)
