"""Register an edited image to its source: measure by how much it shifted and zoomed, and undo that.

An edit model that is asked to change a jacket also shifts the picture by some pixels and enlarges it by a few per cent.
Features that both images still share tell by how much.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Float32Array, Float64Array, Image, Mask, Uint8Array
from pipelines.core.lru_cache import LruCache
from pipelines.matting.cutout import core_mask

WORK_SIDE_PX = 1024  # longer side at which larger images are measured; the fit is good to a tenth of a pixel
MIN_MATCH_COUNT = 16  # matches that agree; fewer may agree by chance
MAX_MATCH_RATIO = 0.8  # distance of a match over that of the second best (Lowe, 2004)
_MATCH_ROW_COUNT = 256  # descriptors that are compared at once: 3 MB of distances
RANSAC_THRESHOLD_PX = 2.0  # at the work side
MAX_ROTATION_RADIANS = 0.03  # an image that is rotated more was composed anew, which is no drift
ZOOM_RANGE = (0.75, 1.3)  # beyond, another framing was asked for
MIN_SHIFT_PX = 0.5  # a smaller shift is not undone: resampling would cost more sharpness than it gains
MIN_ZOOM_CHANGE = 0.003  # a smaller change of scale is not undone
ALIGNED_RATIO = 0.003  # of the shorter side: outlines so near to each other differ within a cut-out's soft edge
MAX_RIM_DIFFERENCE_LEVELS = 14.0  # 8-bit levels along the uncovered rim up to which edit and photo show the same place
MAX_CUT_SHARE = 0.07  # of a person that an enlarged edit may cut off; what is mirrored in its place shows beyond that
STRETCHED_WORDS = "this was undone at the head, and what is around it was stretched to the edges"
MIN_WHOLE_SHARE = 0.99  # of a drift, from which it counts as undone everywhere
SOFT_RATIO = 0.01  # of the shorter side, over which stretching a picture sets in
CUT_NOTICE = "The model enlarged the picture and cut off a part of the person: it is shown as it was drawn."
ASPECT_TOLERANCE_RATIO = 0.02  # by which the ratio of the sides may differ
FEATHER_RATIO = 0.015  # of the shorter side


@dataclass(frozen=True)
class Drift:
    """Shift of the source's centre in pixels (right, down), and zoom."""

    dx: float
    dy: float
    zoom: float

    @property
    def shift(self) -> float:
        """Length of the shift in pixels."""
        return float(np.hypot(self.dx, self.dy))

    @property
    def is_visible(self) -> bool:
        """Whether it is large enough to be undone."""
        return self.shift >= MIN_SHIFT_PX or abs(self.zoom - 1) >= MIN_ZOOM_CHANGE

    def affine_matrix(self, width: int, height: int) -> Float64Array:
        """Return the 2 x 3 matrix from source to edit pixels, as `cv2.warpAffine` takes it, for images of this size."""
        x, y = (width - 1) / 2, (height - 1) / 2
        return np.array([[self.zoom, 0, x + self.dx - self.zoom * x], [0, self.zoom, y + self.dy - self.zoom * y]])


@dataclass(frozen=True)
class AlignedEdit:
    """An edit aligned with its source; `source` at the edit's size, None where the two cannot be compared."""

    image: Image
    source: Image | None = None
    notice: str = ""


def measure_drift(source: Image, edited: Image, alpha: Alpha | None = None) -> Drift | None:
    """Measure the drift from `source` to `edited`, of one size; None when too little in them matches.

    `alpha` is the part of the source that should have stayed, where that is known. SIFT features (Lowe, 2004), RANSAC,
    then least squares over the inliers: within 0.15 px and 0.03 % for shifts to 40 px and zooms to 20 %, whatever
    became of colours and of the background. Raises `ValueError` when the sizes differ.
    """
    if source.shape != edited.shape:
        raise ValueError("source and edit must have one size")
    scale = min(1.0, WORK_SIDE_PX / max(source.shape[:2]))
    before, after = _to_equalized_grey(source, scale), _to_equalized_grey(edited, scale)
    height, width = before.shape
    mask = None if alpha is None else np.asarray(_fit_mask(alpha, width, height) > 0.5, np.uint8)
    pairs = _match_features(before, after, mask)
    if pairs is None:
        return None
    found = _fit_drift(*pairs, np.array([(width - 1) / 2, (height - 1) / 2]))
    return found and replace(found, dx=found.dx / scale, dy=found.dy / scale)


def undo_drift(
    edited: Image, drift: Drift, source: Image, alpha: Alpha | None = None, weight: Float32Array | None = None
) -> Image:
    """Return `edited` with `drift` taken back, to the share that `weight` (H x W, 0 to 1) says for each place.

    An edit that was enlarged lacks its rim. There the photo is shown, fitted in colour, where it continues the edit;
    with `alpha`, the part that should have stayed, that is decided for each part of the rim. Where the edit shows
    another place, its own rim is mirrored, or its last pixels are repeated where the mirror would show `alpha` again.
    """
    height, width = edited.shape[:2]
    matrix = drift.affine_matrix(width, height)
    take_back = partial(_warp_evenly, matrix) if weight is None else _make_weighted_warp(matrix, weight)

    moved = np.asarray(take_back(edited, cv2.BORDER_REFLECT_101), np.uint8)
    covered = take_back(np.full((height, width), 255, np.uint8), cv2.BORDER_CONSTANT) >= 254
    if alpha is not None and not covered.all():
        moved_alpha = cv2.warpAffine(alpha, matrix, (width, height))
        mirrored_subject = take_back(moved_alpha, cv2.BORDER_REFLECT_101) > 0.01
        moved = np.where((mirrored_subject & ~covered)[..., None], take_back(edited, cv2.BORDER_REPLICATE), moved)
    return moved if covered.all() else _fill_uncovered_rim(moved, source, covered, alpha)


def _warp_evenly(matrix: Float64Array, image: Any, border: int) -> Any:
    """Take `matrix`, from source to edit pixels, back in the whole of an image of the edit."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, image.shape[1::-1], flags=flags, borderMode=border)


def _make_weighted_warp(matrix: Float64Array, weight: Float32Array) -> Callable[[Any, int], Any]:
    """Return what takes `matrix` back in an image of the edit, to the share `weight` (H x W) at each place."""
    rows, columns, right, down = _measure_displacement(matrix, weight.shape)
    x, y = np.asarray(columns + weight * right, np.float32), np.asarray(rows + weight * down, np.float32)
    return lambda image, border: cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=border)


def _measure_displacement(matrix: Float64Array, shape: tuple[int, ...]) -> tuple[Float32Array, ...]:
    """Return row, column and how far right and down `matrix` moves each place of an image (H x W), in pixels."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    right, down = (matrix[0, 0] - 1) * columns + matrix[0, 2], (matrix[1, 1] - 1) * rows + matrix[1, 2]
    return rows, columns, np.asarray(right, np.float32), np.asarray(down, np.float32)


def paste_subject(edited: Image, colour: Image, alpha: Alpha) -> Image:
    """Paste the subject's own pixels (`PlacedSubject`) over an aligned edit: the core byte for byte, the edge mixed."""
    soft = alpha[..., None]
    mixed = np.clip(soft * colour + (1 - soft) * edited + 0.5, 0, 255).astype(np.uint8)
    core = core_mask(alpha)
    mixed[core] = colour[core]
    return mixed


def spread_undoing(kept: Alpha, drift: Drift) -> Float32Array:
    """Return how far to undo a drift around `kept` (both H x W): 1 at it, less and less towards a rim.

    So what an enlarged edit cut off at that rim is not missing: the picture between it and `kept` is stretched by a few
    per cent. Towards a rim at which `drift` leaves nothing missing it is undone wholly.
    """
    height, width = kept.shape
    solid = kept > 0.5
    if not solid.any():
        return np.ones(kept.shape, np.float32)
    soft_px = SOFT_RATIO * min(height, width)
    apart = cv2.distanceTransform(np.asarray(~solid, np.uint8), cv2.DIST_L2, 5)
    apart = np.maximum(np.asarray(apart, np.float32) - 2 * soft_px, 0)
    rows, columns, right, down = _measure_displacement(drift.affine_matrix(width, height), kept.shape)
    to_rim = np.full(kept.shape, np.float32(height + width))
    most = np.ones(kept.shape, np.float32)
    for distance, outwards in (
        (columns, -right),
        (width - 1 - columns, right),
        (rows, -down),
        (height - 1 - rows, down),
    ):
        if (outwards > distance).any():
            to_rim = np.minimum(to_rim, distance)
            # A larger share would reach beyond the rim. It has to where there is no room between the rim and `kept`.
            outwards = np.maximum(outwards, 1)
            room = np.clip((apart + distance) / outwards - 1, 0, 1)
            most = np.minimum(most, 1 - room * (1 - np.minimum(distance / outwards, 1)))
    weight = to_rim / np.maximum(apart + to_rim, 1)
    # A line that runs from the rim to the head bends least where the share changes evenly; only its ends are rounded.
    weight = np.asarray(cv2.GaussianBlur(weight, (0, 0), soft_px), np.float32)
    return np.where(apart > 0, np.minimum(weight, most), weight)


def measure_cut_share(drift: Drift, alpha: Alpha) -> float:
    """Return which share of `alpha` (H x W, of the source) lies outside of an edit with that drift, 0 to 1."""
    height, width = alpha.shape
    matrix = drift.affine_matrix(width, height)
    inside = cv2.warpAffine(alpha, matrix, (width, height)).sum(dtype=np.float64) / drift.zoom**2
    return float(np.clip(1 - inside / max(alpha.sum(dtype=np.float64), 1), 0, 1))


def align_edit(source: Image, edited: Image, alpha: Alpha | None = None, whole: Alpha | None = None) -> AlignedEdit:
    """Undo the drift of `edited` (`alpha` as in `measure_drift`); images of another aspect ratio stay as they are.

    So does an edit that cuts off more than `MAX_CUT_SHARE` of `whole`, a person whose head is `alpha`; of one that cuts
    off less the body is stretched to the picture's rim.
    """
    (source_height, source_width), (height, width) = source.shape[:2], edited.shape[:2]
    if abs(source_width * height / (source_height * width) - 1) > ASPECT_TOLERANCE_RATIO:
        return AlignedEdit(edited)
    if source.shape != edited.shape:
        source = np.asarray(cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    alpha = None if alpha is None else _fit_mask(alpha, width, height)
    drift = measure_drift(source, edited, alpha)
    if drift is None or not drift.is_visible:
        return AlignedEdit(edited, source)
    if whole is not None and measure_cut_share(drift, _fit_mask(whole, width, height)) > MAX_CUT_SHARE:
        return AlignedEdit(edited, source, CUT_NOTICE)
    weight = spread_undoing(alpha, drift) if whole is not None and alpha is not None else None
    is_stretched = weight is not None and bool(weight.min() < MIN_WHOLE_SHARE)
    return AlignedEdit(undo_drift(edited, drift, source, alpha, weight), source, drift_notice(drift, is_stretched))


def _fit_mask(mask: Alpha, width: int, height: int) -> Alpha:
    if mask.shape == (height, width):
        return mask
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def is_aligned(source: Image, edited: Image, alpha: Alpha) -> bool:
    """Tell whether `edited` shows the subject where `source` has it; False too where that cannot be measured."""
    drift = measure_drift(source, edited, alpha) if source.shape == edited.shape else None
    if drift is None:
        return False
    side = min(alpha.shape)
    return drift.shift + abs(drift.zoom - 1) * side / 2 <= ALIGNED_RATIO * side


def drift_notice(drift: Drift, is_stretched: bool = False) -> str:
    """Describe what was undone, for the receipt; `is_stretched`: at the head alone."""
    parts = [f"moved the picture by {drift.shift:.1f} px"] if drift.shift >= MIN_SHIFT_PX else []
    if abs(drift.zoom - 1) >= MIN_ZOOM_CHANGE:
        parts.append(f"{'enlarged' if drift.zoom > 1 else 'shrank'} it by {abs(drift.zoom - 1):.1%}")
    undone = STRETCHED_WORDS if is_stretched else "this was undone"
    return f"The model {' and '.join(parts)}; {undone}."


def _to_equalized_grey(image: Image, scale: float) -> Uint8Array:
    """Convert to grey with equalised contrast, so that night and fog have features too."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.createCLAHE(3.0, (8, 8)).apply(grey), np.uint8)


def _match_features(
    before: Uint8Array, after: Uint8Array, mask: Uint8Array | None
) -> tuple[Float64Array, Float64Array] | None:
    """Match SIFT features: points of `before` and the points of `after` that look like them, N x 2 each."""
    points, descriptors = _find_features(before, mask)
    other_points, other_descriptors = _find_features(after, None)
    if min(len(points), len(other_points)) < MIN_MATCH_COUNT:
        return None
    nearest, distances, next_distances = _find_nearest(descriptors, other_descriptors)
    is_match = distances < MAX_MATCH_RATIO * next_distances
    if is_match.sum() < MIN_MATCH_COUNT:
        return None
    return points[is_match], other_points[nearest[is_match]]


def _find_nearest(
    descriptors: Float32Array, others: Float32Array
) -> tuple[npt.NDArray[np.intp], Float64Array, Float64Array]:
    """Return the nearest of `others` for each descriptor, how far it is, and how far the second nearest is.

    SIFT's numbers are whole and small, so that products in float32 are exact, and take a third of the time of comparing
    each with each.
    """
    nearest = np.zeros(len(descriptors), np.intp)
    squared = np.zeros((2, len(descriptors)))
    other_squares = (others * others).sum(axis=1)
    for start in range(0, len(descriptors), _MATCH_ROW_COUNT):
        rows = slice(start, start + _MATCH_ROW_COUNT)
        some = descriptors[rows]
        apart = other_squares - 2 * (some @ others.T)  # less each row's own square
        index = np.arange(len(some))
        nearest[rows] = first = apart.argmin(axis=1)
        own = (some * some).sum(axis=1)
        squared[0, rows] = own + apart[index, first]
        apart[index, first] = np.inf
        squared[1, rows] = own + apart.min(axis=1)
    distances, next_distances = np.sqrt(squared)
    return nearest, distances, next_distances


def _find_features(grey: Uint8Array, mask: Uint8Array | None) -> tuple[Float64Array, Any]:
    """Find SIFT features: their points, N x 2, and their descriptors; those of the last images are remembered.

    A photo is measured against each of its edits, before and after the edit is moved back.
    """

    def find() -> tuple[Float64Array, Any]:
        sift: Any = cv2.SIFT.create(nfeatures=3000, contrastThreshold=0.02)
        keypoints, descriptors = sift.detectAndCompute(grey, mask)
        return np.array([each.pt for each in keypoints], np.float64).reshape(-1, 2), descriptors

    digest = hashlib.sha256(grey.tobytes() + (b"" if mask is None else mask.tobytes())).digest()
    return _remembered_features.get_or_create((grey.shape, mask is None, digest), find)


_remembered_features = LruCache[tuple[Any, ...], tuple[Float64Array, Any]](8)  # about 1.5 MB each


def _fit_drift(before: Float64Array, after: Float64Array, centre: Float64Array) -> Drift | None:
    """Fit the shift and zoom that most matches agree on, seen from `centre`."""
    matrix, inside = cv2.estimateAffinePartial2D(
        before, after, method=cv2.RANSAC, ransacReprojThreshold=RANSAC_THRESHOLD_PX, maxIters=5000, confidence=0.999
    )
    if matrix is None or abs(np.arctan2(matrix[1, 0], matrix[0, 0])) > MAX_ROTATION_RADIANS:
        return None
    inliers = inside.ravel() > 0
    p, q = before[inliers] - centre, after[inliers] - centre
    fit = _fit_shift_and_zoom(p, q)
    for _ in range(2):
        distance = np.hypot(*(q - fit[2] * p - fit[:2]).T)
        near = distance <= max(2.5 * float(np.median(distance)), 0.1)
        p, q = p[near], q[near]
        if len(p) < MIN_MATCH_COUNT:
            return None
        fit = _fit_shift_and_zoom(p, q)
    if not ZOOM_RANGE[0] <= fit[2] <= ZOOM_RANGE[1]:
        return None
    return Drift(float(fit[0]), float(fit[1]), float(fit[2]))


def _fit_shift_and_zoom(p: Float64Array, q: Float64Array) -> Float64Array:
    """Return dx, dy, zoom that minimise |q - zoom p - d| in the least-squares sense."""
    p0, q0 = p.mean(axis=0), q.mean(axis=0)
    zoom = ((p - p0) * (q - q0)).sum() / ((p - p0) ** 2).sum()
    return np.array([*(q0 - zoom * p0), zoom])


def _fill_uncovered_rim(moved: Image, source: Image, covered: Mask, alpha: Alpha | None) -> Image:
    """Show the photo where the edit does not reach, if they show the same place along that rim (see `undo_drift`)."""
    reach = max(2.0, FEATHER_RATIO * min(covered.shape))
    distance = cv2.distanceTransform(covered.astype(np.uint8), cv2.DIST_L2, 5)
    band = covered & (distance < 2 * reach)
    kept = None if alpha is None else covered & (alpha > 0.9)
    has_kept = alpha is not None and kept is not None and bool(kept.any())
    # Fit the edit's colours as gain and offset of the photo's, where both surely show the same, or along the rim.
    fitted_at = kept if kept is not None and has_kept else band
    photo, edit = source[fitted_at].astype(np.float32), moved[fitted_at].astype(np.float32)
    middle = photo.mean(axis=0)
    gain = ((photo - middle) * (edit - edit.mean(axis=0))).sum(axis=0) / (((photo - middle) ** 2).sum(axis=0) + 1)
    offset = edit.mean(axis=0) - gain * middle
    if gain.min() <= 0:
        return moved
    fitted = gain * source + offset
    difference = np.asarray(np.abs(fitted - moved).mean(axis=2), np.float32)
    likeness: float | Float32Array
    if alpha is not None and has_kept:
        likeness = _spread_rim_likeness(difference, band & (alpha <= 0.01), reach)
    else:
        likeness = float(difference[band].mean() <= MAX_RIM_DIFFERENCE_LEVELS)
    weight = (1 - (1 - np.clip(distance / reach, 0, 1)) * likeness)[..., None]
    mixed = weight * moved + (1 - weight) * fitted
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def _spread_rim_likeness(difference: Float32Array, band: Mask, reach: float) -> Float32Array:
    """Return 1 where the nearest part of the rim shows the same place in photo and edit, 0 where not, soft between.

    `difference` is in 8-bit levels, H x W; only that in the `band` counts.
    """
    if not band.any():
        return np.zeros(band.shape, np.float32)
    inside = band.astype(np.float32)
    total = cv2.GaussianBlur(inside, (0, 0), reach)
    mean = cv2.GaussianBlur(difference * inside, (0, 0), reach) / np.maximum(total, 1e-3)
    elsewhere = np.asarray(~band, np.uint8)
    _, found = cv2.distanceTransformWithLabels(elsewhere, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels = np.asarray(found, np.int32)
    alike = np.zeros(int(labels.max()) + 1, np.float32)
    alike[labels[band]] = mean[band] <= MAX_RIM_DIFFERENCE_LEVELS
    return np.asarray(cv2.GaussianBlur(alike[labels], (0, 0), reach / 2), np.float32)
