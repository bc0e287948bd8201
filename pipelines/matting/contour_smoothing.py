"""Draws an outline anew where it is one smooth line but for a few teeth; knows no nets and no faces.

Before wood of its own colour the rim of a saucer is told wrong here and there, by a pixel or two, and a smooth thing
with teeth looks cut out. The line is a snake (Amini et al., "Using Dynamic Programming for Solving Variational Problems
in Vision", 1990): along the photo's edges, bending little, and near the outline that was given.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Image
from pipelines.imaging.resize import shrunk

Floats = npt.NDArray[np.float64]
Maps = npt.NDArray[np.float32]

WORK_SIDE = 1024  # pixels of the copy on which the line is found; all lengths below are its pixels
FINER = 4  # times as fine is the copy on which the given outline is read
MARGIN = 12  # around the photo, so that what its border cuts has a closed outline too
MOST = 8192  # points that are looked up at a time: no side of OpenCV's maps is longer than 32,767
LEAST = 60  # points: a shorter outline stays
SMOOTH = 6.0  # of the outline from which the line is measured
REACH, STEP = 5.0, 0.5  # how far to both sides of it the line may lie, and how finely it is placed
DEEP = 1.5  # so far to both sides colours are compared
PLAIN = 12.0  # CIE76 between them: a plainer edge draws no more
PLAINEST, MIDDLE = 60.0, 0.3  # and from here none at all; so little more that it only says where an edge's middle is
STAY, FAR = 0.35, 2.5  # what it costs to lie a pixel off the given outline, and from where it costs no more
BEND = 3.0  # and to change by a pixel from one point to the next, squared
SAME, TOOTH = 0.8, 0.3  # nearer to the line the outline is right; from here on a tooth, in full at twice that
WHOLE = 0.985  # of the outline has to be right for the rest to be teeth and not its shape
BLUR = 0.5  # of the line that is drawn, as soft as a photo in focus
SOFT = 6.0  # an edge that rises over more is no line
CORNER = 4.0  # farther from its smoothed self the outline turns


def drawn(image: Image, alpha: Alpha) -> Alpha:
    """`alpha` (H x W, 0 to 1) with the teeth of its smooth outlines taken away; `image` is its photo, H x W x 3."""
    size = shrunk(alpha.shape, WORK_SIDE)
    scale = size[0] / alpha.shape[1]
    small = _framed(np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32))
    small[[0, -1]] = small[:, [0, -1]] = 0
    seen = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lab = _framed(np.asarray(cv2.cvtColor(seen, cv2.COLOR_RGB2LAB), np.float32))
    shapes: list[npt.NDArray[np.int32]] = []
    changed = np.zeros(small.shape, np.float32)
    for points in _outlines(small):
        line, inward, teeth = _line(points, lab, small) if len(points) >= LEAST else (points, np.zeros(2), np.zeros(0))
        for at in (points, line) if teeth.any() else ():
            x, y = np.clip(np.rint(at).astype(np.intp).T, 0, np.array(small.shape[::-1])[:, None] - 1)
            np.maximum.at(changed, (y, x), teeth.astype(np.float32))
        # OpenCV fills half a pixel more than the shape.
        whole = (line - MARGIN + 0.5) / scale - 0.5 + 0.5 * inward
        shapes.append(np.rint(16 * whole).astype(np.int32))
    if not changed.any():
        return alpha
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))
    weight = cv2.GaussianBlur(cv2.dilate(changed, disc), (0, 0), 1.5)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    weight = cv2.resize(weight, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    filled = np.zeros(alpha.shape, np.uint8)
    cv2.fillPoly(filled, shapes, (255,), cv2.LINE_AA, 4)
    even = cv2.GaussianBlur(filled.astype(np.float32) / 255, (0, 0), BLUR * max(0.8 / scale, 1))
    return np.clip(alpha + weight * (even - alpha), 0, 1).astype(np.float32)


def _framed(values: Maps) -> Maps:
    wide = cv2.copyMakeBorder(values, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
    return np.asarray(wide, np.float32)


def _outlines(alpha: Alpha) -> list[Floats]:
    """N x 2 each: x and y of points a pixel apart along the closed lines where `alpha` is a half."""
    finer = cv2.resize(alpha, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_LINEAR)
    found, _ = cv2.findContours((finer > 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    result: list[Floats] = []
    for raw in found:
        line = (raw[:, 0].astype(np.float64) + 0.5) / FINER - 0.5
        line = np.vstack([line, line[:1]])
        along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        at = np.linspace(0, along[-1], max(round(float(along[-1])), 3), endpoint=False)
        result.append(np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], axis=1))
    return result


def _line(points: Floats, lab: Maps, alpha: Alpha) -> tuple[Floats, Floats, Floats]:
    """The smooth line beside an outline, N x 2; which way is inward, N x 2; how much of a tooth each point is."""
    base = _evened(points, SMOOTH)
    along = np.roll(base, -2, axis=0) - np.roll(base, 2, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-6)[:, None]
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)
    offsets = np.arange(-REACH, REACH + STEP / 2, STEP)
    wide = np.arange(-REACH - 2 * DEEP, REACH + 2 * DEEP + STEP / 2, STEP)
    at = (base[:, None] + wide[:, None] * across[:, None]).astype(np.float32)
    parts = np.array_split(at, len(at) // MOST + 1)
    colours, alphas = (np.concatenate([_at(values, part) for part in parts]) for values in (lab, alpha))
    own = ((points - base) * across).sum(axis=1)
    line = _evened(_path(_steps(colours, len(offsets)), own, offsets)[:, None], 2.0)[:, 0]
    edge = (np.minimum(points, np.array(alpha.shape[::-1]) - 1 - points) < MARGIN + 2).any(axis=1)
    soft = ((alphas > 0.1) & (alphas < 0.9)).sum(axis=1) * STEP > SOFT
    told = ~(edge | soft | (np.abs(own) > CORNER))
    off = np.abs(line - own)
    if (off[told] < SAME).sum() + (~told).sum() < WHOLE * len(points):
        return points, np.zeros_like(points), np.zeros(len(points))
    teeth = np.clip(off / TOOTH - 1, 0, 1)
    wider = np.asarray(cv2.dilate(teeth[:, None], np.ones((5, 1))), np.float64)
    teeth = np.clip(_evened(wider, 1.5)[:, 0], 0, 1)
    teeth *= np.clip(3 * _evened(told[:, None].astype(np.float64), 3.0)[:, 0] - 2, 0, 1)
    inward = across if alphas[:, -4:].mean() > alphas[:, :4].mean() else -across
    return points + (teeth * (line - own))[:, None] * across, inward, teeth


def _at(values: Maps, places: Maps) -> Maps:
    """`values` (H x W, or with channels) at N x M places, x and y in pixels."""
    x, y = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR), np.float32)


def _steps(colours: Maps, count: int) -> Floats:
    """N x `count`: how plainly the colours on both sides of each place differ, from 0."""
    deep = round(DEEP / STEP)
    first = round(2 * DEEP / STEP)
    sums = np.cumsum(np.pad(colours, ((0, 0), (1, 0), (0, 0))), axis=1)
    at = np.arange(first, first + count)
    after, before = sums[:, at + deep + 1] - sums[:, at + 1], sums[:, at] - sums[:, at - deep]
    apart = np.linalg.norm(after - before, axis=2).astype(np.float64) / deep
    return np.minimum(apart / PLAIN, 1) + MIDDLE * np.minimum(apart / PLAINEST, 1)


def _path(steps: Floats, own: Floats, offsets: Floats) -> Floats:
    """N offsets: the closed path over the plainest steps that bends little and stays near its `own`."""
    cost = STAY * np.minimum(np.abs(offsets - own[:, None]), FAR) - steps
    # Once round before and after: where a closed line begins must not matter.
    more = min(len(cost), 100)
    cost = np.concatenate([cost[-more:], cost, cost[:more]])
    move = BEND * (offsets[:, None] - offsets) ** 2
    total, came = cost[0], np.zeros(cost.shape, np.intp)
    for n in range(1, len(cost)):
        ways = total + move
        came[n] = ways.argmin(axis=1)
        total = ways.min(axis=1) + cost[n]
    path, at = np.zeros(len(cost), np.intp), int(total.argmin())
    for n in range(len(cost) - 1, -1, -1):
        path[n] = at
        at = int(came[n, at])
    return offsets[path[more : len(cost) - more]]


def _evened(values: Floats, sigma: float) -> Floats:
    """`values` (N x C) along a closed line, smoothed."""
    reach = min(int(4 * sigma) + 1, len(values))
    kernel = cv2.getGaussianKernel(2 * reach + 1, sigma)[:, 0]
    ring = np.concatenate([values[-reach:], values, values[:reach]])
    return np.stack([np.convolve(ring[:, c], kernel, "valid") for c in range(ring.shape[1])], axis=1)
