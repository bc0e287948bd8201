"""Cut a subject out of a photo: choose it, estimate its alpha and its own colours.

The net says roughly what stands out (it sees 320 x 320 pixels), a second prediction on the head is better for hair, and
the colours on both sides of the edge say where the edge runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Face, Image, Mask, Window
from pipelines.imaging.resize import outline_band
from pipelines.matting.border_cleanup import remove_border_strays
from pipelines.matting.boundary_refinement import KNOWN_ALPHA_MARGIN, refine_boundary
from pipelines.matting.contour_smoothing import smooth_contour
from pipelines.matting.edge_colors import OPAQUE_ALPHA, match_edge_softness, refine_edge_alpha
from pipelines.matting.foreground_estimation import estimate_foreground, suppress_colour_spill
from pipelines.matting.hair import refine_hair_alpha
from pipelines.matting.net_agreement import compare_mattes
from pipelines.matting.subject_selection import (
    NOTHING_STANDS_OUT_MESSAGE,
    remove_haze,
    remove_specks_and_holes,
    select_subject,
    soft_patch_notices,
    soften_pinholes,
)
from pipelines.matting.tiled_refinement import needs_tiles, refine_outline_in_tiles

HEAD_REMOVAL_BAND_RATIO = 0.02  # of the head crop: its prediction may remove subject only this near the edge
HEAD_CROP_SCALE = 1.6  # size of the head crop in head boxes
LOWER_STRIP_RATIO = 0.08  # of the height: strip at the bottom where a body close by is cut
BORDER_STRIP_RATIO = 0.02  # of the longer side: strip along the border
MAX_UNCERTAIN_RATIO = 0.2  # of either strip that may be half transparent
MIN_FACE_ALPHA = 0.3  # mean alpha over a face's box below which the net saw another subject
UNSURE_BAND_RATIO = 0.002  # of the longer side: band along the outline that is always estimated again
MIN_SUBJECT_RATIO = 0.002  # of the photo's pixels: less is not a subject


SelectSubject = Callable[[Alpha, int, Face | None], Alpha]
"""Selects the subject in a map: the part of that number, or the one under a face."""


class MattingNet(Protocol):
    """A matting net as the cut-out needs it."""

    def predict_alpha(self, image: Image) -> Alpha: ...


def cut_out_subject(
    image: Image,
    net: MattingNet,
    *,
    detail_net: MattingNet | None = None,
    matte: Image | Alpha | None = None,
    pick: int = 0,
    faces: Sequence[Face] = (),
    on_tile_progress: Callable[[int, int], None] | None = None,
    on_first_alpha: Callable[[Alpha], None] | None = None,
    select: SelectSubject = select_subject,
) -> Cutout:
    """Cut the subject of `image` out at the photo's own size.

    `net` is quick; `detail_net`, which sees more of a photo, is asked for what is kept, and where both differ by region
    the cut-out says how much of it is uncertain. `matte` (H x W or H x W x 1, 3 or 4; uint8 or float 0 to 1; of any
    size) replaces the nets. `pick`
    chooses the subject: the face of that number when there are `faces` (by size, as the face mesh gives them), else the
    detached part of that number by size. `on_first_alpha` is called once with a first alpha to show meanwhile; never
    with a user's matte, which needs no net. With `on_tile_progress` a large photo's outline is predicted again in
    tiles, which takes as long as some ten predictions; it gets the number of finished tiles and of all. `select`
    selects the subject in the nets' map, where somebody pointed at it.

    Raises `BadInput`: `no_subject` when nothing stands out, or when there is no subject of that number (with `param`
    "pick").
    """
    if matte is not None:
        alpha = _matte_to_alpha(matte, image)
        _require_visible_subject(alpha)
        return Cutout(estimate_foreground(image, alpha), alpha)
    face = _pick_face(faces, pick)
    part = 0 if face else pick
    rough = _predict_alpha(image, net, face)
    if on_first_alpha is not None:
        on_first_alpha(select(rough, part, face))
    agreement = None
    if detail_net is not None:
        detailed = detail_net.predict_alpha(image)
        agreement = compare_mattes(detailed, rough)
        rough, net = detailed, detail_net
    if face is not None:
        rough = _refine_head(image, net, rough, _scale_head_box(face, HEAD_CROP_SCALE, image))
        rough = _add_body_below(image, net, rough, face)
    alpha = remove_border_strays(image, select(rough, part, face))
    confidence = None
    if on_tile_progress is not None and needs_tiles(image):
        alpha, confidence = refine_outline_in_tiles(
            image, alpha, lambda tile: rescale_net_alpha(net.predict_alpha(tile)), on_tile_progress
        )
    alpha = _refine_alpha(image, alpha, face, confidence)
    alpha = suppress_colour_spill(image, match_edge_softness(image, alpha))
    _require_visible_subject(alpha)
    notices = soft_patch_notices(alpha, [face.box for face in faces])
    colour = estimate_foreground(image, alpha)
    if agreement is None:
        return Cutout(colour, alpha, notices)
    return Cutout(colour, alpha, notices, agreement.uncertainty, agreement.regions)


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


def _refine_alpha(image: Image, alpha: Alpha, face: Face | None, confidence: Alpha | None = None) -> Alpha:
    """Refine the net's alpha by the photo's colours along the outline, in unknown pixels and in hair."""
    refined = refine_boundary(image, alpha, confidence)
    unknown = (refined.alpha > KNOWN_ALPHA_MARGIN) & (refined.alpha < 1 - KNOWN_ALPHA_MARGIN)
    unknown |= outline_band(refined.alpha, max(1, round(UNSURE_BAND_RATIO * max(alpha.shape))), cv2.MORPH_RECT)
    alpha = refine_edge_alpha(image, refined.alpha, unknown, refined.uncertainty)
    alpha = remove_specks_and_holes(alpha)
    if face is None:
        return smooth_contour(image, alpha)
    return soften_pinholes(remove_haze(refine_hair_alpha(image, alpha, face)))


def _predict_alpha(image: Image, net: MattingNet, face: Face | None) -> Alpha:
    """Predict the alpha of the whole photo, or around the face when the net saw another subject."""
    alpha = rescale_net_alpha(net.predict_alpha(image))
    if face is None and _is_uncertain_at_border(alpha):
        return np.maximum(alpha, _predict_with_reflect_padding(image, net))
    if face is None or _mean_alpha_in(alpha, _scale_head_box(face, 1.0, image)) >= MIN_FACE_ALPHA:
        return alpha
    return _predict_in_box(image, net, _body_box(face, image))


def _is_uncertain_at_border(alpha: Alpha) -> bool:
    """Tell whether the net is unsure of a subject that the photo cuts, such as the chest under a head close by."""
    width = max(2, round(BORDER_STRIP_RATIO * max(alpha.shape)))
    strip = np.ones(alpha.shape, np.bool_)
    strip[width:-width, width:-width] = False
    return float(((alpha[strip] > 0.1) & (alpha[strip] < 0.9)).mean()) > MAX_UNCERTAIN_RATIO


def _predict_with_reflect_padding(image: Image, net: MattingNet) -> Alpha:
    """Predict on the photo padded with its reflections, in which nothing ends at the border."""
    height, width = image.shape[:2]
    down, right = height // 2, width // 2
    padded = cv2.copyMakeBorder(image, down, down, right, right, cv2.BORDER_REFLECT_101)
    alpha = rescale_net_alpha(net.predict_alpha(np.asarray(padded, np.uint8)))
    return alpha[down : down + height, right : right + width]


def _mean_alpha_in(alpha: Alpha, box: Window) -> float:
    """Return the mean alpha inside a box."""
    left, top, right, bottom = box
    return float(alpha[top:bottom, left:right].mean())


def _scale_head_box(face: Face, factor: float, image: Image) -> Window:
    """Return the head box `factor` times larger, in whole pixels inside the photo."""
    left, top, right, bottom = face.box
    x, y = (left + right) / 2, (top + bottom) / 2
    half = max(right - left, bottom - top) * factor / 2
    return _clip_box((x - half, y - half, x + half, y + half), image)


def _body_box(face: Face, image: Image) -> Window:
    """Return the box a face's body may reach: one and a half heads to each side, six down."""
    left, top, right, bottom = face.box
    head = bottom - top
    return _clip_box((left - 1.5 * head, top - 0.5 * head, right + 1.5 * head, bottom + 6 * head), image)


def _clip_box(box: tuple[float, float, float, float], image: Image) -> Window:
    """Clip a box to the photo, in whole pixels; at least one pixel wide and tall."""
    height, width = image.shape[:2]
    left, right = (int(np.clip(x, 0, width)) for x in (box[0], box[2] + 1))
    top, bottom = (int(np.clip(y, 0, height)) for y in (box[1], box[3] + 1))
    return min(left, width - 1), min(top, height - 1), max(right, left + 1), max(bottom, top + 1)


def _predict_in_box(image: Image, net: MattingNet, box: Window) -> Alpha:
    """Predict the alpha inside `box` alone; 0 around it."""
    left, top, right, bottom = box
    alpha = np.zeros(image.shape[:2], np.float32)
    alpha[top:bottom, left:right] = rescale_net_alpha(
        net.predict_alpha(np.ascontiguousarray(image[top:bottom, left:right]))
    )
    return alpha


def _add_body_below(image: Image, net: MattingNet, alpha: Alpha, face: Face) -> Alpha:
    """Add the body under a face at the lower border, which the net sees once the last row is repeated below."""
    height, width = alpha.shape
    strip = alpha[round((1 - LOWER_STRIP_RATIO) * height) :]
    if ((strip > 0.1) & (strip < 0.9)).mean() < MAX_UNCERTAIN_RATIO:
        return alpha
    side, below = width // 5, round(0.4 * height)
    extended = cv2.copyMakeBorder(image, 0, below, side, side, cv2.BORDER_REPLICATE)
    predicted = rescale_net_alpha(net.predict_alpha(np.asarray(extended, np.uint8)))[:height, side : side + width]
    top, bottom = face.box[1], min(face.box[3], height)
    weight = np.clip((np.arange(height) - (bottom - 0.3 * (bottom - top))) / max(0.1 * (bottom - top), 1), 0, 1)
    return np.asarray(np.maximum(alpha, predicted * weight[:, None]), np.float32)


def _refine_head(image: Image, net: MattingNet, alpha: Alpha, box: Window) -> Alpha:
    """Replace `alpha` near its edge by a prediction on `box` alone; far from it the whole photo is more reliable."""
    left, top, right, bottom = box
    part = alpha[top:bottom, left:right]
    predicted = rescale_net_alpha(net.predict_alpha(np.ascontiguousarray(image[top:bottom, left:right])))
    band = 0.07 * min(part.shape)
    # The crop may remove what the whole photo showed as subject only right at the edge: it may not see the whole arm.
    removal_weight = _edge_weight(part, HEAD_REMOVAL_BAND_RATIO * min(part.shape))
    weight = np.where(predicted < part, removal_weight, _edge_weight(part, band)) * _box_weight(box, image)
    result = alpha.copy()
    result[top:bottom, left:right] = part + weight * (predicted - part)
    return result


def _edge_weight(alpha: Alpha, band: float) -> Alpha:
    """Return 1 at the edge of the matte, falling to 0 between `band` and twice that."""
    solid = (alpha > 0.5).astype(np.uint8)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 3) for side in (solid, 1 - solid))
    distance = np.maximum(inside, outside)
    return np.clip(2 - distance / max(band, 1), 0, 1).astype(np.float32)


def _box_weight(box: Window, image: Image) -> Alpha:
    """Return 1 inside the box, falling to 0 over an eighth of it at each side that is not the photo's own border."""
    left, top, right, bottom = box
    rows = _trapezoid_weight(bottom - top, top > 0, bottom < image.shape[0])
    columns = _trapezoid_weight(right - left, left > 0, right < image.shape[1])
    return rows[:, None] * columns[None]


def _trapezoid_weight(length: int, fade_start: bool, fade_end: bool) -> Alpha:
    """Return a ramp from 0 to 1 at the chosen ends of a line."""
    steps = np.arange(length, dtype=np.float32)
    ramp = max(length / 8, 1)
    start = np.clip(steps / ramp, 0, 1) if fade_start else np.ones(length, np.float32)
    end = np.clip((length - 1 - steps) / ramp, 0, 1) if fade_end else np.ones(length, np.float32)
    return (start * end).astype(np.float32)
