"""Redraw a smooth outline that has a few teeth, as an active contour.

Before a background of its own colour the rim of a smooth object is wrong here and there by a pixel or two. The line is
a snake solved by dynamic programming (Amini et al., "Using Dynamic Programming for Solving Variational Problems in
Vision", 1990): it follows the photo's edges, bends little, and stays near the given outline.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Float64Array, Image, Int32Array
from pipelines.imaging.resize import resize_map, size_within

WORK_SIDE_PX = 1024  # longer side of the copy on which the line is found; all lengths below are its pixels
CONTOUR_SUPERSAMPLING = 4  # factor by which that copy is enlarged to read the given outline
PADDING_PX = 12  # border around the photo, so that a shape cut by the photo has a closed outline too
MAX_REMAP_ROW_COUNT = 8192  # points that are sampled at a time: OpenCV's maps have no side over 32,767
MIN_OUTLINE_POINT_COUNT = 60  # a shorter outline is not changed
BASE_LINE_SIGMA_PX = 6.0  # smoothing of the outline from which offsets are measured
SEARCH_RADIUS_PX = 5.0  # how far to both sides of the base line the new line may lie
SEARCH_STEP_PX = 0.5  # how finely the new line is placed
COMPARE_DEPTH_PX = 1.5  # depth to both sides over which colours are averaged and compared
WEAK_EDGE_DELTA_E = 12.0  # CIE76 difference at which an edge attracts the line in full
STRONG_EDGE_DELTA_E = 60.0  # CIE76 difference up to which it attracts a little more
STRONG_EDGE_WEIGHT = 0.3  # that little: just enough to find the middle of a wide edge
OFFSET_COST_PER_PX = 0.35  # cost of a distance from the given outline
MAX_OFFSET_PX = 2.5  # distance from which that cost grows no more
BEND_COST = 3.0  # cost of a change of offset by a pixel from one point to the next, squared
MATCH_TOLERANCE_PX = 0.8  # distance from the line within which the given outline is right
MIN_TOOTH_PX = 0.3  # distance at which a tooth begins; it counts in full at twice that
MIN_MATCH_RATIO = 0.985  # of the outline must be right, else the teeth are its shape
DRAWN_EDGE_SIGMA_PX = 0.5  # blur of the drawn line: as soft as a photo in focus
MAX_EDGE_WIDTH_PX = 6.0  # an edge that rises over more is too soft to be redrawn
MAX_CORNER_OFFSET_PX = 4.0  # an outline farther from its smoothed self turns a corner there


def smooth_contour(image: Image, alpha: Alpha) -> Alpha:
    """Remove the teeth of smooth outlines of `alpha`; `image` is its photo."""
    size = size_within(alpha.shape, WORK_SIDE_PX)
    scale = size[0] / alpha.shape[1]
    small = _pad_border(resize_map(alpha, size))
    small[[0, -1]] = small[:, [0, -1]] = 0
    small_image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lab = _pad_border(np.asarray(cv2.cvtColor(small_image, cv2.COLOR_RGB2LAB), np.float32))
    polygons: list[Int32Array] = []
    tooth_map = np.zeros(small.shape, np.float32)
    for points in _trace_outlines(small):
        line, inward, teeth = (
            _fit_smooth_line(points, lab, small)
            if len(points) >= MIN_OUTLINE_POINT_COUNT
            else (points, np.zeros(2), np.zeros(0))
        )
        for places in (points, line) if teeth.any() else ():
            x, y = np.clip(np.rint(places).astype(np.intp).T, 0, np.array(small.shape[::-1])[:, None] - 1)
            np.maximum.at(tooth_map, (y, x), teeth.astype(np.float32))
        # OpenCV fills half a pixel more than the shape.
        polygon = (line - PADDING_PX + 0.5) / scale - 0.5 + 0.5 * inward
        polygons.append(np.rint(16 * polygon).astype(np.int32))
    if not tooth_map.any():
        return alpha
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))
    weight = cv2.GaussianBlur(cv2.dilate(tooth_map, disc), (0, 0), 1.5)[PADDING_PX:-PADDING_PX, PADDING_PX:-PADDING_PX]
    weight = cv2.resize(weight, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    filled = np.zeros(alpha.shape, np.uint8)
    cv2.fillPoly(filled, polygons, (255,), cv2.LINE_AA, 4)
    drawn = cv2.GaussianBlur(filled.astype(np.float32) / 255, (0, 0), DRAWN_EDGE_SIGMA_PX * max(0.8 / scale, 1))
    return np.clip(alpha + weight * (drawn - alpha), 0, 1).astype(np.float32)


def _pad_border(values: Float32Array) -> Float32Array:
    """Extend a map (H x W, or with channels) by its last pixels."""
    padded = cv2.copyMakeBorder(values, PADDING_PX, PADDING_PX, PADDING_PX, PADDING_PX, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.float32)


def _trace_outlines(alpha: Alpha) -> list[Float64Array]:
    """Return points (x, y; N x 2) a pixel apart along each closed line where `alpha` is 0.5."""
    enlarged = cv2.resize(
        alpha, None, fx=CONTOUR_SUPERSAMPLING, fy=CONTOUR_SUPERSAMPLING, interpolation=cv2.INTER_LINEAR
    )
    contours, _ = cv2.findContours((enlarged > 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    result: list[Float64Array] = []
    for contour in contours:
        line = (contour[:, 0].astype(np.float64) + 0.5) / CONTOUR_SUPERSAMPLING - 0.5
        line = np.vstack([line, line[:1]])
        distances = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        positions = np.linspace(0, distances[-1], max(round(float(distances[-1])), 3), endpoint=False)
        result.append(np.stack([np.interp(positions, distances, line[:, axis]) for axis in (0, 1)], axis=1))
    return result


def _fit_smooth_line(
    points: Float64Array, lab: Float32Array, alpha: Alpha
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Find the smooth line beside N points: N x 2, the inward normals, and how much of a tooth each is (0 to 1)."""
    base_line = _smooth_closed_curve(points, BASE_LINE_SIGMA_PX)
    tangents = np.roll(base_line, -2, axis=0) - np.roll(base_line, 2, axis=0)
    tangents /= np.maximum(np.hypot(*tangents.T), 1e-6)[:, None]
    normals = np.stack([tangents[:, 1], -tangents[:, 0]], axis=1)
    offsets = np.arange(-SEARCH_RADIUS_PX, SEARCH_RADIUS_PX + SEARCH_STEP_PX / 2, SEARCH_STEP_PX)
    sample_offsets = np.arange(
        -SEARCH_RADIUS_PX - 2 * COMPARE_DEPTH_PX,
        SEARCH_RADIUS_PX + 2 * COMPARE_DEPTH_PX + SEARCH_STEP_PX / 2,
        SEARCH_STEP_PX,
    )
    places = (base_line[:, None] + sample_offsets[:, None] * normals[:, None]).astype(np.float32)
    parts = np.array_split(places, len(places) // MAX_REMAP_ROW_COUNT + 1)
    colours, alphas = (np.concatenate([_sample_at(values, part) for part in parts]) for values in (lab, alpha))
    own_offsets = ((points - base_line) * normals).sum(axis=1)
    path = _find_cheapest_path(_edge_strengths(colours, len(offsets)), own_offsets, offsets)
    line_offsets = _smooth_closed_curve(path[:, None], 2.0)[:, 0]
    at_border = (np.minimum(points, np.array(alpha.shape[::-1]) - 1 - points) < PADDING_PX + 2).any(axis=1)
    is_soft = ((alphas > 0.1) & (alphas < 0.9)).sum(axis=1) * SEARCH_STEP_PX > MAX_EDGE_WIDTH_PX
    is_clear = ~(at_border | is_soft | (np.abs(own_offsets) > MAX_CORNER_OFFSET_PX))
    deviation = np.abs(line_offsets - own_offsets)
    if (deviation[is_clear] < MATCH_TOLERANCE_PX).sum() + (~is_clear).sum() < MIN_MATCH_RATIO * len(points):
        return points, np.zeros_like(points), np.zeros(len(points))
    teeth = np.clip(deviation / MIN_TOOTH_PX - 1, 0, 1)
    widened = np.asarray(cv2.dilate(teeth[:, None], np.ones((5, 1))), np.float64)
    teeth = np.clip(_smooth_closed_curve(widened, 1.5)[:, 0], 0, 1)
    teeth *= np.clip(3 * _smooth_closed_curve(is_clear[:, None].astype(np.float64), 3.0)[:, 0] - 2, 0, 1)
    inward = normals if alphas[:, -4:].mean() > alphas[:, :4].mean() else -normals
    return points + (teeth * (line_offsets - own_offsets))[:, None] * normals, inward, teeth


def _sample_at(values: Float32Array, places: Float32Array) -> Float32Array:
    """Sample `values` (H x W, or with channels) at N x M places (x, y) in pixels."""
    x, y = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR), np.float32)


def _edge_strengths(colours: Float32Array, count: int) -> Float64Array:
    """Rate how strongly colours on both sides of each of `count` offsets differ; N x `count`, from 0."""
    depth = round(COMPARE_DEPTH_PX / SEARCH_STEP_PX)
    first = round(2 * COMPARE_DEPTH_PX / SEARCH_STEP_PX)
    sums = np.cumsum(np.pad(colours, ((0, 0), (1, 0), (0, 0))), axis=1)
    centres = np.arange(first, first + count)
    after, before = sums[:, centres + depth + 1] - sums[:, centres + 1], sums[:, centres] - sums[:, centres - depth]
    difference = np.linalg.norm(after - before, axis=2).astype(np.float64) / depth
    weak, strong = (np.minimum(difference / limit, 1) for limit in (WEAK_EDGE_DELTA_E, STRONG_EDGE_DELTA_E))
    return weak + STRONG_EDGE_WEIGHT * strong


def _find_cheapest_path(strengths: Float64Array, own_offsets: Float64Array, offsets: Float64Array) -> Float64Array:
    """Find the closed path of N offsets over strong edges that bends little and stays near `own_offsets`."""
    cost = OFFSET_COST_PER_PX * np.minimum(np.abs(offsets - own_offsets[:, None]), MAX_OFFSET_PX) - strengths
    # Repeat both ends, so that it does not matter where a closed line begins.
    overlap = min(len(cost), 100)
    cost = np.concatenate([cost[-overlap:], cost, cost[:overlap]])
    bend_cost = BEND_COST * (offsets[:, None] - offsets) ** 2
    total, came_from = cost[0], np.zeros(cost.shape, np.intp)
    for n in range(1, len(cost)):
        options = total + bend_cost
        came_from[n] = options.argmin(axis=1)
        total = options.min(axis=1) + cost[n]
    path, state = np.zeros(len(cost), np.intp), int(total.argmin())
    for n in range(len(cost) - 1, -1, -1):
        path[n] = state
        state = int(came_from[n, state])
    return offsets[path[overlap : len(cost) - overlap]]


def _smooth_closed_curve(values: Float64Array, sigma: float) -> Float64Array:
    """Smooth `values` (N x C) along a closed line."""
    radius = min(int(4 * sigma) + 1, len(values))
    kernel = cv2.getGaussianKernel(2 * radius + 1, sigma)[:, 0]
    ring = np.concatenate([values[-radius:], values, values[:radius]])
    return np.stack([np.convolve(ring[:, c], kernel, "valid") for c in range(ring.shape[1])], axis=1)
