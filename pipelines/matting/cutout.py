"""Cut a subject out of a photo: choose it, estimate its alpha and its own colours.

The nets say what stands out, and the colours on both sides of the edge say where the edge runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Box, Cutout, Face, Image, Mask
from pipelines.imaging.resize import dilate_mask, outline_band
from pipelines.matting.cutout_notices import (
    name_detached_parts,
    name_doubts,
    name_guess,
    name_leftover_ground,
    name_openings,
    name_rivals,
    soft_patch_notices,
)
from pipelines.matting.edge_band import find_band
from pipelines.matting.edge_colors import OPAQUE_ALPHA, estimate_mixture, refine_edge_alpha
from pipelines.matting.foreground_estimation import estimate_foreground, suppress_colour_spill
from pipelines.matting.hair_gaps import open_hair_gaps
from pipelines.matting.holes import HoleFinder
from pipelines.matting.marked_edges import (
    draw_marks,
    find_dropped_detail,
    find_marked_change,
    follow_preview,
    measure_nearness,
)
from pipelines.matting.mask_parts import open_mask
from pipelines.matting.net_agreement import (
    PredictPeople,
    ReconciledMatte,
    compare_mattes,
    measure_doubt,
    reconcile_mattes,
    remove_unseen_ghosts,
    remove_unseen_patches,
)
from pipelines.matting.pointing import NOTHING_POINTED, Pointing, exclude_marked_regions
from pipelines.matting.seen_detail import restore_seen_detail, restore_sure_parts
from pipelines.matting.settled_marks import settle_marks
from pipelines.matting.subject_selection import (
    NOTHING_STANDS_OUT_MESSAGE,
    remove_scraps,
    remove_specks,
    remove_unconfirmed_fragments,
    restore_clipped_heads,
    select_subject,
)

KNOWN_ALPHA_MARGIN = 0.02  # alpha within this of 0 or 1 is known
MIN_FACE_ALPHA = 0.3  # mean alpha over a face's box below which the net saw another subject
UNSURE_BAND_RATIO = 0.002  # of the longer side: band along the outline that is always estimated again
WIDE_EDGE_WINDOW_RATIO = 0.02  # of the longer side: window in which mixed pixels are counted
WIDE_EDGE_SHARE = 0.35  # of a window's pixels that are mixed, from which its edge is one of fur or loose hair
WIDE_EDGE_SEPARATION = 16.0  # squared separation of both sides' colours, in deviations, that tells strands from noise
WIDE_EDGE_MARGIN_RATIO = 0.008  # of the longer side, around such edges: strands that the net did not see
HAIR_LINE_RATIO = 0.25  # of the head, from its top: above it is hair, below it a face
LOOSE_WIDTH_RATIO = 0.012  # of the longer side: what is opaque in a half-transparent zone and no wider is not known
MIN_SUBJECT_RATIO = 0.002  # of the photo's pixels: less is not a subject


SelectSubject = Callable[[Alpha, int, Face | None], Alpha]
"""Selects the subject in a map: the part of that number, or the one under a face."""
DrawPreview = Callable[[Alpha, Alpha | None], Alpha]
"""Returns the copy on which marks were shown, from what all nets see and the alpha without marks, or None."""
RedrawBand = Callable[[Image, Alpha, Mask], Alpha]
"""Returns the alpha of a photo with that of a better net for edges in a band."""


class MattingNet(Protocol):
    """A matting net as the cut-out needs it."""

    def predict_alpha(self, image: Image) -> Alpha: ...


@dataclass(frozen=True)
class PredictedSubjects:
    """What nets see in a photo (H x W each): `first` the quick one, `alpha` all of them.

    `reconciled` tells where they differed, None of a quick net alone.
    """

    first: Alpha
    alpha: Alpha
    reconciled: ReconciledMatte | None


def cut_out_subject(
    image: Image,
    net: MattingNet,
    *,
    detail_nets: Sequence[MattingNet] = (),
    doubter: MattingNet | None = None,
    is_quick: bool = True,
    matte: Image | Alpha | None = None,
    pick: int = 0,
    faces: Sequence[Face] = (),
    on_first_alpha: Callable[[Alpha], None] | None = None,
    select: SelectSubject = select_subject,
    pointing: Pointing = NOTHING_POINTED,
    select_unmarked: Callable[[Alpha], Alpha] | None = None,
    draw_preview: DrawPreview | None = None,
    redraw: RedrawBand | None = None,
    predict_people: PredictPeople | None = None,
    is_one_of_all: bool = False,
) -> Cutout:
    """Cut the subject of `image` out at the photo's own size.

    `net` is the quick one, unless `is_quick` is False; `detail_nets`, each better than the one before, are asked for
    what is kept. Each is reconciled with what those before it say, and where the last differs from that by region the
    cut-out is uncertain. Where `net` cuts out alone, `doubter` is another that only tells how sure that is.
    `matte` (H x W or H x W x 1, 3 or 4; uint8 or float 0 to 1; of any size) replaces the nets.
    `pick` chooses the subject: the face of that number when there are `faces` (by size, as the face mesh gives them),
    else the detached part of that number by size. `on_first_alpha` is called once with a first alpha to show meanwhile;
    never with a user's matte, which needs no net. `select` selects the subject in the nets' map, as `pointing` says,
    and marks have the last word over what the colours say. `select_unmarked` does the same without marks: far from them
    the cut-out is as without them.
    `draw_preview` draws the copy on which the marks were shown: what belongs is decided there.
    `redraw` draws the edges anew. `predict_people` helps to decide between the nets where there are `faces`. Other
    things that stand out are told, unless one was chosen by `pick` or pointed at, or it `is_one_of_all`.

    Raises `BadInput`: `no_subject` when nothing stands out, or when there is no subject of that number (with `param`
    "pick").
    """
    if matte is not None:
        alpha = _matte_to_alpha(matte, image)
        _require_visible_subject(alpha)
        return Cutout(estimate_foreground(image, alpha), alpha)
    face, is_pointed = _pick_face(faces, pick), bool(pointing)
    part = 0 if face else pick

    def show_first(alpha: Alpha) -> None:
        if on_first_alpha is not None:
            on_first_alpha(select(alpha, part, face))

    seen = predict_subjects(image, (net, *detail_nets), faces, face, show_first, predict_people, is_quick=is_quick)
    reconciled = seen.reconciled
    selected = select(seen.alpha, part, face)
    if reconciled is not None and not is_pointed:
        selected = remove_unconfirmed_fragments(selected, seen.first)
    first, holes = None if reconciled is None else seen.first, HoleFinder(image)
    alpha = finish_alpha(image, selected, seen.alpha, first, faces, pointing.drop, is_pointed=is_pointed, holes=holes)
    known = None
    if select_unmarked is not None and is_pointed and pointing.box is None:
        known = finish_unmarked(image, seen.alpha, first, select_unmarked, faces)
        alpha = keep_unmarked_parts(alpha, selected, pointing, known)
    if redraw is not None:
        doubtful = None if reconciled is None or is_pointed else reconciled.regions
        alpha = redraw(image, alpha, find_band(alpha, doubtful) | _find_wide_edges(alpha))
    if draw_preview is not None and is_pointed:
        alpha = follow_preview(image, alpha, draw_preview(seen.alpha, None if known is None else known.alpha))
    alpha = settle_marks(image, alpha, pointing.keep, pointing.drop)
    _require_visible_subject(alpha)
    heads, is_chosen = [face.box for face in faces], is_pointed or is_one_of_all or pick > 0
    rivals = () if is_chosen else name_rivals(seen.alpha, selected, faces)
    colour = estimate_foreground(image, alpha)
    if reconciled is None:
        boxes = soft_patch_notices(alpha, heads)
        uncertainty = 0.0
        if doubter is not None:
            other = doubter.predict_alpha(image)
            detailed, quick = (other, seen.alpha) if is_quick else (seen.alpha, rescale_net_alpha(other))
            compared = compare_mattes(image, detailed, quick, seen.alpha, faces, predict_people)
            compared = exclude_marked_regions(compared, alpha, pointing) if is_pointed else compared
            uncertainty = measure_doubt(selected, compared, is_pointed=is_pointed).uncertainty
        return Cutout(colour, alpha, (*rivals, *boxes), uncertainty, boxes)
    reconciled = exclude_marked_regions(reconciled, alpha, pointing) if is_pointed else reconciled
    doubt = measure_doubt(selected, reconciled, is_pointed=is_pointed)
    boxes = name_doubts(alpha, doubt, heads) | name_openings(holes, alpha)
    boxes |= {} if is_one_of_all else name_detached_parts(alpha)
    if not is_pointed:
        boxes = name_leftover_ground(image, alpha, seen.first, heads) | boxes
    boxes = boxes or ({} if is_pointed else name_guess(selected))
    return Cutout(colour, alpha, (*rivals, *boxes), doubt.uncertainty, boxes)


def predict_subjects(
    image: Image,
    nets: Sequence[MattingNet],
    faces: Sequence[Face] = (),
    face: Face | None = None,
    on_first_alpha: Callable[[Alpha], None] | None = None,
    predict_people: PredictPeople | None = None,
    *,
    is_quick: bool = True,
) -> PredictedSubjects:
    """Ask `nets` what stands out in `image`, and reconcile their answers; the first is the quick one if `is_quick`.

    `face` is that of the subject, whose body the quick net looks at alone where it saw something else.
    """
    first = seen = _predict_alpha(image, nets[0], face, rescale_net_alpha if is_quick else _keep_net_alpha)
    if on_first_alpha is not None:
        on_first_alpha(first)
    reconciled = None
    for detail_net in nets[1:]:
        reconciled = reconcile_mattes(image, detail_net.predict_alpha(image), seen, faces, predict_people)
        seen = reconciled.alpha
    return PredictedSubjects(first, seen, reconciled)


def finish_alpha(
    image: Image,
    selected: Alpha,
    seen: Alpha,
    first: Alpha | None,
    faces: Sequence[Face] = (),
    dropped: Sequence[tuple[float, float]] = (),
    *,
    is_pointed: bool,
    holes: HoleFinder | None = None,
) -> Alpha:
    """Return the alpha that colours and nets together give the `selected` subject of `image` (H x W each).

    `seen` is what all nets see, `first` what the quick one does, None where no other was asked. Where the subject
    `is_pointed` at, the edges of what marks changed are looked for farther out, and only by the colours; no hole is
    filled in which a `dropped` point lies. `holes` finds those of `image`.
    """
    change = find_marked_change(selected, seen) if is_pointed else None
    marked_edge = None if change is None else change.find_edge(selected)
    alpha = refine_alpha(image, selected, faces, marked_edge)
    if first is not None:
        unsettled = _find_wide_edges(alpha)
        if change is not None:  # a region ends only roughly where it was marked: what colours took there is its ground
            unsettled |= change.find_surroundings()
        alpha = restore_seen_detail(image, alpha, selected, first, unsettled)
        alpha = remove_unseen_patches(alpha, selected, first)
        alpha = remove_unseen_ghosts(alpha, selected, first)
    alpha = open_hair_gaps(image, alpha, faces)
    if change is not None:
        alpha = np.where(change.find_leftover_rims(alpha, selected), np.float32(0), alpha)
        alpha = np.where(change.find_crumbs(alpha, selected, seen), np.float32(0), alpha)
        alpha = np.where(find_dropped_detail(alpha, selected, dropped), np.float32(0), alpha)
        alpha = np.where(change.find_scraps(alpha, selected, dropped), np.float32(0), alpha)
        alpha = change.smooth_line(image, alpha, selected)
    else:
        alpha = restore_clipped_heads(alpha, selected, faces)
        if first is not None:
            alpha = restore_sure_parts(alpha, selected, first, [face.box for face in faces])
    alpha = remove_scraps(suppress_colour_spill(image, alpha), faces)
    kept_open = None if change is None else change.took | draw_marks(dropped, alpha.shape)
    return (holes or HoleFinder(image)).fill_foreign_holes(alpha, kept_open)


@dataclass(frozen=True)
class UnmarkedSubject:
    """The subject without marks (H x W each): `chosen` as the nets see it, `confirmed`, and its finished `alpha`.

    `confirmed` is it without the parts that one net alone sees.
    """

    chosen: Alpha
    confirmed: Alpha
    alpha: Alpha


def finish_unmarked(
    image: Image,
    seen: Alpha,
    first: Alpha | None,
    select_unmarked: Callable[[Alpha], Alpha],
    faces: Sequence[Face] = (),
    known: Alpha | None = None,
) -> UnmarkedSubject | None:
    """Return what the cut-out of `image` is without marks; None where there is no subject then.

    `seen` and `first` as for `finish_alpha`. `known` is the finished alpha (H x W), where it is known.
    """
    try:
        chosen = select_unmarked(seen)
    except BadInput:  # all of it was pointed at
        return None
    confirmed = chosen if first is None else remove_unconfirmed_fragments(chosen, first)
    alpha = finish_alpha(image, confirmed, seen, first, faces, is_pointed=False) if known is None else known
    return UnmarkedSubject(chosen, confirmed, alpha)


def keep_unmarked_parts(alpha: Alpha, selected: Alpha, pointing: Pointing, unmarked: UnmarkedSubject | None) -> Alpha:
    """Return the finished `alpha` near what marks changed, and elsewhere what it is without marks (H x W each).

    `selected` as for `finish_alpha`. A box says what all of the subject is, so nothing stays because of it.
    """
    if unmarked is None or pointing.box is not None or not pointing:
        return alpha
    nearness = measure_nearness(selected, unmarked.chosen, unmarked.confirmed, pointing.keep, pointing.drop)
    return np.asarray(unmarked.alpha + nearness * (alpha - unmarked.alpha), np.float32)


def refine_alpha(image: Image, alpha: Alpha, faces: Sequence[Face] = (), doubtful: Mask | None = None) -> Alpha:
    """Estimate the half-transparent pixels of `alpha` (H x W) and those along its outline again from the colours.

    Of the hair above `faces` also what is opaque and loose, and what is `doubtful` (H x W).
    """
    unknown = (alpha > KNOWN_ALPHA_MARGIN) & (alpha < 1 - KNOWN_ALPHA_MARGIN)
    unknown |= outline_band(alpha, max(1, round(UNSURE_BAND_RATIO * max(alpha.shape))), cv2.MORPH_RECT)
    unknown |= _find_loose_hair(alpha, faces)
    if doubtful is not None:
        unknown |= doubtful
    refined = refine_edge_alpha(image, alpha, unknown)
    # Fur reaches farther than the net's edge: what lies around it is estimated from the colours beyond it as well.
    wide = _find_wide_edges(refined)
    if wide.any():
        wide[wide] = estimate_mixture(image, refined, wide).separation > WIDE_EDGE_SEPARATION
    return remove_specks(refine_edge_alpha(image, refined, wide))


def _find_loose_hair(alpha: Alpha, faces: Sequence[Face]) -> Mask:
    """Return opaque pixels of which strands and islands in half-transparent hair are made (H x W), above `faces`.

    The net takes the sky between two strands for hair here and there; as a known colour of the subject it would make
    the whole sky around it opaque.
    """
    window = max(3, round(WIDE_EDGE_WINDOW_RATIO * max(alpha.shape))) | 1
    side = max(3, round(LOOSE_WIDTH_RATIO * max(alpha.shape))) | 1
    margin = window + side  # pixels around the hair that decide about it
    loose = np.zeros(alpha.shape, np.bool_)
    for left, top, right, bottom in (face.box for face in faces):
        head = bottom - top
        rows = slice(max(0, round(top - head)), max(0, round(top + HAIR_LINE_RATIO * head)))
        columns = slice(max(0, round(left - 0.5 * head)), max(0, round(right + 0.5 * head)))
        first_row, first_column = max(0, rows.start - margin), max(0, columns.start - margin)
        near = alpha[first_row : rows.stop + margin, first_column : columns.stop + margin]
        if not near.size:
            continue
        opaque = near >= 1 - KNOWN_ALPHA_MARGIN
        soft = ((near > KNOWN_ALPHA_MARGIN) & ~opaque).astype(np.float32)
        found = (cv2.blur(soft, (window, window)) > WIDE_EDGE_SHARE) & opaque & ~open_mask(opaque, side)
        inside = np.asarray(found)[rows.start - first_row :, columns.start - first_column :]
        part = loose[rows, columns]
        part |= inside[: part.shape[0], : part.shape[1]]
    return loose


def _find_wide_edges(alpha: Alpha) -> Mask:
    """Return where mixed pixels lie so densely that the edge is no line, with a margin (H x W)."""
    window = max(3, round(WIDE_EDGE_WINDOW_RATIO * max(alpha.shape))) | 1
    mixed = ((alpha > 0.1) & (alpha < 0.9)).astype(np.float32)
    dense = cv2.blur(mixed, (window, window)) > WIDE_EDGE_SHARE
    return dilate_mask(dense, max(1, round(WIDE_EDGE_MARGIN_RATIO * max(alpha.shape))))


def rescale_net_alpha(raw: Alpha) -> Alpha:
    """Stretch U2-Net's map: it rises late at an edge and is never quite 0 or 1."""
    return np.clip((raw - np.float32(0.1)) / np.float32(0.8), 0, 1)


def core_mask(alpha: Alpha) -> Mask:
    """Return the core (H x W), in which Exact keeps the photo's own pixels: alpha >= 250/255, eroded by two pixels."""
    opaque = (alpha >= OPAQUE_ALPHA).astype(np.uint8)
    return cv2.erode(opaque, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE) > 0


def core_share(alpha: Alpha) -> float:
    """Return the core's share of the pixels with alpha > 0.5, 0 to 1; 0 when there are none. DESIGN promises 0.8."""
    count = int((alpha > 0.5).sum())
    return float(core_mask(alpha).sum() / count) if count else 0.0


def _require_visible_subject(alpha: Alpha) -> None:
    """Raise `BadInput` when next to nothing is opaque."""
    if (alpha > 0.5).mean() < MIN_SUBJECT_RATIO:
        raise BadInput(NOTHING_STANDS_OUT_MESSAGE, code="no_subject", param="photo")


def _pick_face(faces: Sequence[Face], pick: int) -> Face | None:
    """Return the face of that number, or None without faces; raise `BadInput` when there are fewer."""
    if not faces:
        return None
    if pick >= len(faces):
        counted = "is only one face" if len(faces) == 1 else f"are only {len(faces)} faces"
        raise BadInput(f"There {counted} in this photo.", code="no_subject", param="pick")
    return faces[pick]


def _matte_to_alpha(matte: Image | Alpha, image: Image) -> Alpha:
    """Turn the user's matte into an alpha of the photo's size; a coloured matte counts by its brightness."""
    alpha = matte.astype(np.float32) / (255 if matte.dtype == np.uint8 else 1)
    if alpha.ndim == 3:
        alpha = alpha[..., 3] if alpha.shape[2] == 4 else alpha.mean(axis=2)
    if alpha.shape != image.shape[:2]:
        alpha = cv2.resize(alpha, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip(alpha, 0, 1).astype(np.float32)


def _keep_net_alpha(raw: Alpha) -> Alpha:
    return raw


def _predict_alpha(image: Image, net: MattingNet, face: Face | None, rescale: Callable[[Alpha], Alpha]) -> Alpha:
    """Predict the alpha of the whole photo, or around the face when the net saw another subject."""
    alpha = rescale(net.predict_alpha(image))
    if face is None or float(alpha[_clip_box(face.box, image)].mean()) >= MIN_FACE_ALPHA:
        return alpha
    around = _find_body(face, image)
    alpha = np.zeros(image.shape[:2], np.float32)
    alpha[around] = rescale(net.predict_alpha(np.ascontiguousarray(image[around])))
    return alpha


def _find_body(face: Face, image: Image) -> tuple[slice, slice]:
    """Return the rows and columns that a face's body may reach: one and a half heads to each side, six down."""
    left, top, right, bottom = face.box
    head = bottom - top
    return _clip_box((left - 1.5 * head, top - 0.5 * head, right + 1.5 * head, bottom + 6 * head), image)


def _clip_box(box: Box, image: Image) -> tuple[slice, slice]:
    """Return the rows and columns of a box in the photo, at least one pixel each."""
    height, width = image.shape[:2]
    left, right = (int(np.clip(x, 0, width)) for x in (box[0], box[2] + 1))
    top, bottom = (int(np.clip(y, 0, height)) for y in (box[1], box[3] + 1))
    return slice(min(top, height - 1), max(bottom, top + 1)), slice(min(left, width - 1), max(right, left + 1))
