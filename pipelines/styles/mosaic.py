"""Styles Mosaic and Pixel: pictures made of small pieces."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Float32Array, Float64Array, Image, Int32Array
from pipelines.styles.primitives import (
    Field,
    FlowField,
    Picture,
    StyleSettings,
    adjust_saturation,
    bilateral_smooth,
    compute_luma,
    diagonal_slope,
    edge_tangent_flow,
    fractal_noise,
    from_lab,
    gaussian_blur,
    to_float,
    to_lab,
    to_uint8,
    value_noise,
)

_LLOYD_ROUND_COUNT = 3  # rounds of Lloyd's relaxation


def draw_mosaic(image: Image, settings: StyleSettings) -> Image:
    """Draw square stones with bevelled borders in grout, along edges: centroidal Voronoi cells (Hausner 2001)."""
    rng = settings.make_rng()
    picture = adjust_saturation(to_float(image), 1.12)
    step = (19 - 10 * settings.detail) * settings.brush_unit_px
    lines = edge_tangent_flow(compute_luma(to_float(bilateral_smooth(image, 4 * settings.unit_px))), 0.5 * step, rng)
    seeds, owners, gap = _relax_seeds(image.shape[:2], step, lines, rng)
    colour = _stone_colours(picture, owners, len(seeds), rng)
    stone = colour[owners]
    sand = 1 + 0.05 * value_noise(gap.shape, 1.6 * settings.unit_px, rng)
    grout = np.array([0.80, 0.77, 0.72], np.float32) * sand[..., None]
    joint = 0.075 * step
    face = np.clip((gap - joint) / max(joint * 0.9, 0.8) + 0.5, 0, 1)
    lit = _bevel_light(gap, step, joint) + 0.02 * fractal_noise(gap.shape, 3 * settings.unit_px, rng, 2)
    shadow = 1 - 0.35 * (1 - face) * np.float32(1.0)
    out = grout * shadow[..., None] * (1 - face[..., None]) + face[..., None] * stone * (1 + lit)[..., None]
    return to_uint8(np.asarray(out, np.float32))


def _relax_seeds(
    shape: tuple[int, int], step: float, lines: FlowField, rng: np.random.Generator
) -> tuple[Float32Array, Int32Array, Field]:
    """Relax the seeds by Lloyd's algorithm: seeds (N x 2), each pixel's seed (H x W) and distance to the joint."""
    rows, columns = max(2, round(shape[0] / step)), max(2, round(shape[1] / step))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    cell = np.array([shape[1] / columns, shape[0] / rows], np.float32)
    grid_points = (np.stack([x, y], axis=-1) + 0.5) * cell
    seeds = np.asarray(grid_points + rng.uniform(-0.3, 0.3, grid_points.shape) * cell, np.float32)
    coarse = max(1, int(step / 7))
    for _ in range(_LLOYD_ROUND_COUNT):
        owners, _ = _nearest_seeds(seeds, cell, shape, lines, coarse)
        centroids = _cell_centroids(owners, seeds, coarse)
        seeds = np.asarray(np.clip(centroids, grid_points - 0.48 * cell, grid_points + 0.48 * cell), np.float32)
    owners, gap = _nearest_seeds(seeds, cell, shape, lines, 1)
    return seeds.reshape(-1, 2), owners, gap


def _nearest_seeds(
    seeds: Float32Array, cell: Float32Array, shape: tuple[int, int], lines: FlowField, coarse: int
) -> tuple[Int32Array, Field]:
    """Find each pixel's nearest seed in its rotated square metric, and half the gap to the second nearest distance."""
    rows, columns = seeds.shape[:2]
    y = (np.arange(0, shape[0], coarse, dtype=np.float32) + np.float32(coarse / 2))[:, None]
    x = (np.arange(0, shape[1], coarse, dtype=np.float32) + np.float32(coarse / 2))[None]
    row = np.clip((y / cell[1]).astype(np.int32), 0, rows - 1)
    column = np.clip((x / cell[0]).astype(np.int32), 0, columns - 1)
    index = np.clip(seeds.astype(np.int32), 0, [shape[1] - 1, shape[0] - 1])
    at = index[..., 1], index[..., 0]
    table = np.dstack([seeds, lines.x[at], lines.y[at]]).reshape(-1, 4)
    best = np.full((y.size, x.size), 1e9, np.float32)
    second, owners = best.copy(), np.zeros(best.shape, np.int32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            name = np.clip(row + down, 0, rows - 1) * columns + np.clip(column + right, 0, columns - 1)
            seed = table[name]
            dx, dy = x - seed[..., 0], y - seed[..., 1]
            u, v = dx * seed[..., 2] + dy * seed[..., 3], dy * seed[..., 2] - dx * seed[..., 3]
            # A mix of square and circle metric, because pure squares leave long slivers.
            distance = np.maximum(np.abs(u), np.abs(v)) * np.float32(0.75) + np.hypot(dx, dy) * np.float32(0.25)
            is_owner = name == owners
            is_nearer = distance < best
            second = np.where(is_nearer & ~is_owner, best, np.where(is_owner, second, np.minimum(second, distance)))
            owners = np.where(is_nearer, name, owners)
            best = np.minimum(best, distance)
    return owners, np.asarray((second - best) / 2, np.float32)


def _cell_centroids(owners: Int32Array, seeds: Float32Array, coarse: int) -> Float32Array:
    y, x = np.indices(owners.shape, np.float32)
    mean = _mean_by_owner(owners, np.dstack([x, y]), seeds.shape[0] * seeds.shape[1])
    return ((mean + 0.5) * coarse).reshape(seeds.shape).astype(np.float32)


def _mean_by_owner(owners: Int32Array, values: Float32Array, count: int) -> Float64Array:
    """Return the mean of values (H x W x C) over each owner's pixels, `count` x C."""
    flat = owners.ravel()
    size = np.maximum(np.bincount(flat, minlength=count), 1)
    return np.stack(
        [np.bincount(flat, channel.ravel(), count) / size for channel in np.moveaxis(values, -1, 0)], axis=1
    )


def _stone_colours(picture: Picture, owners: Int32Array, count: int, rng: np.random.Generator) -> Float32Array:
    """Return the mean colour of each stone (N x 3), with random variation like real stones."""
    mean = _mean_by_owner(owners, picture, count)
    spread = rng.normal(0, 0.028, (count, 1)) + rng.normal(0, 0.010, (count, 3))
    return np.clip(mean + spread, 0, 1).astype(np.float32)


def _bevel_light(gap: Field, step: float, joint: float) -> Field:
    height = np.minimum(gaussian_blur(gap, 0.05 * step), np.float32(joint + 0.16 * step))
    return np.clip(diagonal_slope(np.asarray(height, np.float32), 0.125) * np.float32(0.12), -0.12, 0.16)


_PALETTE_COLOUR_COUNT = 24
_BAYER_MATRIX = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32) / 16 - 0.47


def draw_pixel_art(image: Image, settings: StyleSettings) -> Image:
    """Draw large pixels in a palette made for this picture, with weak ordered dithering and darker outlines."""
    cell = max(2, round((11 - 5 * settings.detail) * settings.brush_unit_px))
    height, width = image.shape[:2]
    rows, columns = -(-height // cell), -(-width // cell)
    padded = cv2.copyMakeBorder(image, 0, rows * cell - height, 0, columns * cell - width, cv2.BORDER_REPLICATE)
    smooth = bilateral_smooth(np.asarray(padded, np.uint8), 0.8 * cell, 30)
    small = cv2.resize(smooth, (columns, rows), interpolation=cv2.INTER_AREA)
    picture = adjust_saturation(to_float(np.asarray(small, np.uint8)), 1.22)
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
    picture = np.clip(picture + 0.7 * (picture - soft), 0, 1)
    lab = to_lab(picture)
    colours = _kmeans_palette(lab.reshape(-1, 3), _PALETTE_COLOUR_COUNT)
    tiled = np.tile(_BAYER_MATRIX, (rows // 4 + 1, columns // 4 + 1))[:rows, :columns]
    lab[..., 0] += tiled * np.float32(7)
    distance = ((lab.reshape(-1, 1, 3) - colours[None]) ** 2 * np.array([1, 1.6, 1.6], np.float32)).sum(axis=2)
    chosen = colours[distance.argmin(axis=1)].reshape(lab.shape)
    rgb = to_uint8(from_lab(chosen))
    return np.ascontiguousarray(np.repeat(np.repeat(rgb, cell, axis=0), cell, axis=1)[:height, :width])


def _kmeans_palette(points: Float32Array, count: int) -> Float32Array:
    """Return `count` colours of a picture by k-means. The deterministic start picks the farthest colours first."""
    sample = points[:: max(1, len(points) // 4000)]
    colours = [np.median(sample, axis=0)]
    distance = ((sample - colours[0]) ** 2).sum(axis=1)
    for _ in range(count - 1):
        colours.append(sample[int(distance.argmax())])
        distance = np.minimum(distance, ((sample - colours[-1]) ** 2).sum(axis=1))
    centres = np.stack(colours).astype(np.float32)
    for _ in range(8):
        nearest = ((sample[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        size = np.bincount(nearest, minlength=count)
        sums = np.stack([np.bincount(nearest, sample[:, c], count) for c in range(3)], axis=1)
        centres = np.where(size[:, None] > 0, sums / np.maximum(size, 1)[:, None], centres).astype(np.float32)
    return centres
