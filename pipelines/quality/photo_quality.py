"""Assess a source photo (blur, size, exposure, cropping, outline) and fix exposure and softness.

Blur is measured on the subject as it is placed in the picture, because a large soft photo may be sharp when small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Colour, Face, Image, PlacedSubject
from pipelines.framing.framings import MAX_ENLARGEMENT
from pipelines.framing.placement import find_bounds, find_cut_sides
from pipelines.imaging.color import LUMINANCE_WEIGHTS, lift_exposure, to_lab, to_linear
from pipelines.imaging.resize import size_within
from pipelines.matting.cutout import core_mask

BLUR_LIMIT = 0.60  # of `measure_blur`: sharp photos have 0.2 to 0.3, enlarged twice 0.3 to 0.43, sigma 2 blur more
SMALL_SUBJECT_PX = 320  # a subject shorter than this in the photo is not enlarged much
SMALL_SUBJECT_MAX_ENLARGEMENT = 1.25
DIM_LIGHT = 0.16  # linear light: a photo is dim if only 2 % of its pixels exceed this (two stops under white)
TARGET_LIGHT = 0.62  # linear light to which the brightest 2 % of a dim photo are raised
MAX_GAIN = 4.0  # two stops: with more, an 8-bit photo shows banding
BURNT_RATIO = 0.06  # share of white pixels (255) in the subject
FACE_BURNT_RATIO = 0.12  # the same in a face
SAME_COLOUR_DELTA_E = 8.0  # CIE76 below which both sides of an outline have the same colour
EDGELESS_RATIO = 0.10  # share of the outline without an edge. Correct cut-outs have 0 to 0.04
OUTLINE_COPY_PX = 512  # longer side of the copy on which the outline is examined
HIGHLIGHT_KNEE = 0.8  # linear light from which lifted highlights are compressed instead of clipped
SHARPEN_AMOUNT = 0.9  # factor of the unsharp mask
_SHARPEN_SIGMA_PX = 1.4  # blur of the unsharp mask
_CROSS_KERNEL = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True)
class Finding:
    """A fault of the photo as a sentence. `fixed_sentence` is shown once it is corrected, "" if it cannot be."""

    id: str
    sentence: str
    fixed_sentence: str = ""


def assess_photo(photo: Image, alpha: Alpha, placed: PlacedSubject, faces: Sequence[Face] = ()) -> tuple[Finding, ...]:
    """Return the faults of `photo` (with its `alpha`) as the source of a picture with the subject `placed`."""
    findings = (
        _check_blur(placed),
        _check_size(alpha, placed),
        _check_exposure(photo),
        _check_highlights(photo, alpha, faces),
        _check_cropping(alpha, faces),
        _check_outline(photo, alpha),
    )
    return tuple(finding for finding in findings if finding is not None)


def correct_exposure_and_softness(placed: PlacedSubject, photo: Image, findings: Sequence[Finding]) -> PlacedSubject:
    """Return the placed subject with the fixable faults fixed: exposure raised, softness sharpened."""
    ids = {finding.id for finding in findings if finding.fixed_sentence}
    colour = placed.colour
    if "dim" in ids:
        colour = lift_exposure(colour, _exposure_gain(photo), HIGHLIGHT_KNEE)
    if "blur" in ids:
        colour = sharpen_lightness(colour)
    return placed if colour is placed.colour else replace(placed, colour=colour)


def fix_background(colour: Colour, photo: Image, findings: Sequence[Finding]) -> Colour:
    """Return a colour of the photo's background as exposed in `correct_exposure_and_softness`."""
    if not any(finding.id == "dim" and finding.fixed_sentence for finding in findings):
        return colour
    r, g, b = lift_exposure(np.array([[colour]], np.uint8), _exposure_gain(photo), HIGHLIGHT_KNEE)[0, 0]
    return int(r), int(g), int(b)


def measure_blur(image: Image, inside: np.ndarray) -> float:
    """Measure blur as 0 (sharp) to 1 by how little another blur changes (Crete-Roffet et al. 2007).

    Measured inside the mask `inside` (H x W). Returns 0 if it is too small. The sharper of the two directions counts,
    so that a striped shirt in focus is not called soft.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    findings = []
    for axis, size in ((0, (1, 9)), (1, (9, 1))):
        fine = np.abs(np.diff(grey, axis=axis))
        coarse = np.abs(np.diff(cv2.blur(grey, size), axis=axis))
        band = inside[1:] if axis == 0 else inside[:, 1:]
        total = float(fine[band].sum())
        if band.sum() < 400 or total < band.sum() * 0.05:
            return 0.0
        findings.append(1 - float(np.maximum(fine - coarse, 0)[band].sum()) / total)
    return min(findings)


def _check_blur(placed: PlacedSubject) -> Finding | None:
    soft = measure_blur(placed.colour, core_mask(placed.alpha))
    if soft < BLUR_LIMIT:
        return None
    return Finding(
        "blur",
        f"Your photo is not sharp at this size ({100 * soft:.0f} of 100 on the blur scale, "
        f"{100 * BLUR_LIMIT:.0f} is the limit): a smaller size hides it, and 'Mend the photo' sharpens it a little.",
        "The photo was not sharp and was sharpened a little; detail that is not in it cannot come back.",
    )


def _check_size(alpha: Alpha, placed: PlacedSubject) -> Finding | None:
    left, top, right, bottom = find_bounds(alpha)
    longer, scale = max(right - left, bottom - top), placed.frame.scale
    if scale <= (MAX_ENLARGEMENT if longer >= SMALL_SUBJECT_PX else SMALL_SUBJECT_MAX_ENLARGEMENT):
        return None
    return Finding(
        "size",
        f"The subject is only {longer} pixels long in your photo and is enlarged {scale:.1f} times: "
        "use Upscale first, or a smaller size.",
    )


def brightest_light(photo: Image) -> float:
    """Return the linear light (0 to 1) that 2 % of the pixels exceed."""
    small = np.asarray(cv2.resize(photo, size_within(photo.shape[:2], 256), interpolation=cv2.INTER_AREA), np.uint8)
    return float(np.quantile(to_linear(small) @ LUMINANCE_WEIGHTS, 0.98))


def _exposure_gain(photo: Image) -> float:
    return float(np.clip(TARGET_LIGHT / max(brightest_light(photo), 1e-3), 1.0, MAX_GAIN))


def _check_exposure(photo: Image) -> Finding | None:
    light = brightest_light(photo)
    if light >= DIM_LIGHT:
        return None
    stops = float(np.log2(TARGET_LIGHT / max(light, 1e-3)))
    return Finding(
        "dim",
        f"Your photo is too dark, by about {stops:.1f} stops: nothing in it is bright. 'Mend the photo' helps.",
        f"The photo was too dark and was made lighter, by {np.log2(_exposure_gain(photo)):.1f} stops.",
    )


def _check_highlights(photo: Image, alpha: Alpha, faces: Sequence[Face]) -> Finding | None:
    white = photo.min(axis=2) >= 252
    subject = alpha > 0.5
    if faces:
        oval = np.zeros(alpha.shape, np.uint8)
        cv2.fillConvexPoly(oval, cv2.convexHull(faces[0].landmarks).astype(np.int32), 1)
        share, limit, part = float(white[oval > 0].mean()) if oval.any() else 0.0, FACE_BURNT_RATIO, "the face"
    else:
        # White paper and white cups may be white. Only wide white areas count as burnt out.
        wide = cv2.morphologyEx(white.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
        share, limit, part = float(wide[subject].mean()) if subject.any() else 0.0, 2 * BURNT_RATIO, "the subject"
    if share < limit:
        return None
    return Finding(
        "burnt", f"{100 * share:.0f} % of {part} is burnt out to white in your photo; that cannot be brought back."
    )


def _check_cropping(alpha: Alpha, faces: Sequence[Face]) -> Finding | None:
    sides = find_cut_sides(alpha)
    if faces:
        sides = tuple(side for side in sides if not _is_portrait_cut(side, sides, alpha, faces[0]))
    if not sides:
        return None
    name = "the person" if faces else "the subject"
    return Finding(
        "cut",
        f"Your photo cuts {name} at the {' and '.join(sides)}: that side stays on the picture's edge, where it is not "
        "seen as cut.",
    )


def _is_portrait_cut(side: str, sides: Sequence[str], alpha: Alpha, face: Face) -> bool:
    """Return whether a cut is normal in portraits: at the bottom, or at the sides below the chin."""
    if side in ("top", "bottom"):
        return side == "bottom"
    edge = alpha[:, 0] if side == "left" else alpha[:, -1]
    return "bottom" in sides and bool(np.nonzero(edge > 0.5)[0].min() > face.chin[1])


def measure_edgeless_outline(photo: Image, alpha: Alpha) -> float:
    """Return the share (0 to 1) of the outline where the photo has the same colour on both sides."""
    size = size_within(alpha.shape, OUTLINE_COPY_PX)
    lab = to_lab(cv2.resize(photo, size, interpolation=cv2.INTER_AREA))
    solid = (cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > 0.5).astype(np.uint8)
    near = np.ones((5, 5), np.uint8)
    sides = [side.astype(np.float32) for side in (cv2.erode(solid, near), 1 - cv2.dilate(solid, near))]
    weights = [cv2.GaussianBlur(side, (0, 0), 3.0) for side in sides]
    line = cv2.morphologyEx(solid, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    line &= (weights[0] > 0.02) & (weights[1] > 0.02)
    line[:4], line[-4:], line[:, :4], line[:, -4:] = False, False, False, False
    if not line.any():
        return 0.0
    inner, outer = (
        cv2.GaussianBlur(lab * cv2.merge((side, side, side)), (0, 0), 3.0)[line] / weight[line][:, None]
        for side, weight in zip(sides, weights, strict=True)
    )
    return float((np.linalg.norm(inner - outer, axis=1) < SAME_COLOUR_DELTA_E).mean())


def _check_outline(photo: Image, alpha: Alpha) -> Finding | None:
    share = measure_edgeless_outline(photo, alpha)
    if share < EDGELESS_RATIO:
        return None
    return Finding(
        "outline",
        f"Check the cut-out: along {100 * share:.0f} % of its outline your photo has no edge, so part of the subject "
        "may be missing. The brush mends it.",
    )


def sharpen_lightness(image: Image) -> Image:
    """Apply an unsharp mask to L* only, so that no colour fringes appear, with limited overshoot."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    light = lab[..., 0].astype(np.float32)
    fine = light - cv2.GaussianBlur(light, (0, 0), _SHARPEN_SIGMA_PX)
    low, high = (
        cv2.GaussianBlur(part, (0, 0), 0.5)
        for part in (cv2.erode(light, _CROSS_KERNEL), cv2.dilate(light, _CROSS_KERNEL))
    )
    lab[..., 0] = np.clip(np.clip(light + SHARPEN_AMOUNT * fine, low - 3, high + 3) + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)
