"""Mosaic and pixel art: pictures of small pieces; knows no faces."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Float32Array, Image
from pipelines.styles.primitives import (
    Field,
    FlowField,
    Picture,
    StyleSettings,
    adjust_saturation,
    bilateral_smooth,
    compute_luma,
    edge_tangent_flow,
    fractal_noise,
    gaussian_blur,
    to_float,
    to_uint8,
    value_noise,
)

# ---------------------------------------------------------------- mosaic

_LLOYD_ROUND_COUNT = 3  # of Lloyd's relaxation


def draw_mosaic(image: Image, settings: StyleSettings) -> Image:
    """Square stones that turn with the picture's edges, set in grout, each lit a little from its own side.

    Centroidal Voronoi cells in a turned square metric after Hausner 2001.
    """
    rng = settings.make_rng()
    picture = adjust_saturation(to_float(image), 1.12)
    step = (19 - 10 * settings.detail) * settings.brush_unit_px
    lines = edge_tangent_flow(compute_luma(to_float(bilateral_smooth(image, 4 * settings.unit_px))), 0.5 * step, rng)
    seeds, owner, gap = _relax_seeds(image.shape[:2], step, lines, rng)
    colour = _stone_colours(picture, owner, len(seeds), rng)
    stone = colour[owner]
    grout = (
        np.array([0.80, 0.77, 0.72], np.float32)
        * (1 + 0.05 * value_noise(gap.shape, 1.6 * settings.unit_px, rng))[..., None]
    )
    joint = 0.075 * step
    face = np.clip((gap - joint) / max(joint * 0.9, 0.8) + 0.5, 0, 1)
    lit = _bevel_light(gap, step, joint) + 0.02 * fractal_noise(gap.shape, 3 * settings.unit_px, rng, 2)
    shadow = 1 - 0.35 * (1 - face) * np.float32(1.0)
    out = grout * shadow[..., None] * (1 - face[..., None]) + face[..., None] * stone * (1 + lit)[..., None]
    return to_uint8(np.asarray(out, np.float32))


def _relax_seeds(
    shape: tuple[int, int], step: float, lines: FlowField, rng: np.random.Generator
) -> tuple[Float32Array, npt.NDArray[np.int32], Field]:
    """Seeds pushed apart, the owner of every pixel, and its distance to the joint; rounds on a coarse copy."""
    rows, columns = max(2, round(shape[0] / step)), max(2, round(shape[1] / step))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    cell = np.array([shape[1] / columns, shape[0] / rows], np.float32)
    home = (np.stack([x, y], axis=-1) + 0.5) * cell
    seeds = np.asarray(home + rng.uniform(-0.3, 0.3, home.shape) * cell, np.float32)
    coarse = max(1, int(step / 7))
    for _ in range(_LLOYD_ROUND_COUNT):
        owner, _ = _nearest_seeds(seeds, cell, shape, lines, coarse)
        seeds = np.asarray(
            np.clip(_cell_centroids(owner, seeds, coarse), home - 0.48 * cell, home + 0.48 * cell), np.float32
        )
    owner, gap = _nearest_seeds(seeds, cell, shape, lines, 1)
    return seeds.reshape(-1, 2), owner, gap


def _nearest_seeds(
    seeds: Float32Array, cell: Float32Array, shape: tuple[int, int], lines: FlowField, coarse: int
) -> tuple[npt.NDArray[np.int32], Field]:
    """The nearest seed of each (coarse) pixel in the seed's own turned square metric, and half the lead of it."""
    rows, columns = seeds.shape[:2]
    y = (np.arange(0, shape[0], coarse, dtype=np.float32) + np.float32(coarse / 2))[:, None]
    x = (np.arange(0, shape[1], coarse, dtype=np.float32) + np.float32(coarse / 2))[None]
    row = np.clip((y / cell[1]).astype(np.int32), 0, rows - 1)
    column = np.clip((x / cell[0]).astype(np.int32), 0, columns - 1)
    at = np.clip(seeds.astype(np.int32), 0, [shape[1] - 1, shape[0] - 1])
    table = np.concatenate(
        [seeds, np.stack([lines.x[at[..., 1], at[..., 0]], lines.y[at[..., 1], at[..., 0]]], axis=-1)], axis=-1
    ).reshape(-1, 4)
    best = np.full((y.size, x.size), 1e9, np.float32)
    second, owner = best.copy(), np.zeros(best.shape, np.int32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            name = np.clip(row + down, 0, rows - 1) * columns + np.clip(column + right, 0, columns - 1)
            seed = table[name]
            dx, dy = x - seed[..., 0], y - seed[..., 1]
            u, v = dx * seed[..., 2] + dy * seed[..., 3], dy * seed[..., 2] - dx * seed[..., 3]
            # Half way between a square and a circle: pure squares leave long slivers.
            far = np.maximum(np.abs(u), np.abs(v)) * np.float32(0.75) + np.hypot(dx, dy) * np.float32(0.25)
            again = name == owner
            closer = far < best
            second = np.where(closer & ~again, best, np.where(again, second, np.minimum(second, far)))
            owner = np.where(closer, name, owner)
            best = np.minimum(best, far)
    return owner, np.asarray((second - best) / 2, np.float32)


def _cell_centroids(owner: npt.NDArray[np.int32], seeds: Float32Array, coarse: int) -> Float32Array:
    count = seeds.shape[0] * seeds.shape[1]
    y, x = np.indices(owner.shape, np.float32)
    flat = owner.ravel()
    size = np.maximum(np.bincount(flat, minlength=count), 1)
    mean = np.stack([np.bincount(flat, v.ravel(), count) / size for v in (x, y)], axis=1)
    return ((mean + 0.5) * coarse).reshape(seeds.shape).astype(np.float32)


def _stone_colours(
    picture: Picture, owner: npt.NDArray[np.int32], count: int, rng: np.random.Generator
) -> Float32Array:
    """The mean colour of each stone, with the spread of real stones."""
    flat = owner.ravel()
    size = np.maximum(np.bincount(flat, minlength=count), 1)
    mean = np.stack([np.bincount(flat, picture[..., c].ravel(), count) / size for c in range(3)], axis=1)
    spread = rng.normal(0, 0.028, (count, 1)) + rng.normal(0, 0.010, (count, 3))
    return np.clip(mean + spread, 0, 1).astype(np.float32)


def _bevel_light(gap: Field, step: float, joint: float) -> Field:
    """Light from the upper left on rounded edges, flat in the middle."""
    height = np.minimum(gaussian_blur(gap, 0.05 * step), np.float32(joint + 0.16 * step))
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125) + cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125)
    return np.clip(np.asarray(slope, np.float32) * np.float32(0.12), -0.12, 0.16)


# ---------------------------------------------------------------- pixel

_PALETTE_COLOUR_COUNT = 24
_BAYER_MATRIX = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32) / 16 - 0.47


def draw_pixel_art(image: Image, settings: StyleSettings) -> Image:
    """Large pixels in a palette made for this picture, a sparing ordered dither, darker outlines."""
    cell = max(2, round((11 - 5 * settings.detail) * settings.brush_unit_px))
    height, width = image.shape[:2]
    rows, columns = -(-height // cell), -(-width // cell)
    padded = cv2.copyMakeBorder(image, 0, rows * cell - height, 0, columns * cell - width, cv2.BORDER_REPLICATE)
    small = cv2.resize(
        bilateral_smooth(np.asarray(padded, np.uint8), 0.8 * cell, 30), (columns, rows), interpolation=cv2.INTER_AREA
    )
    picture = adjust_saturation(to_float(np.asarray(small, np.uint8)), 1.22)
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
    picture = np.clip(picture + 0.7 * (picture - soft), 0, 1)
    lab = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), np.float32)
    colours = _kmeans_palette(lab.reshape(-1, 3), _PALETTE_COLOUR_COUNT)
    tiled = np.tile(_BAYER_MATRIX, (rows // 4 + 1, columns // 4 + 1))[:rows, :columns]
    lab[..., 0] += tiled * np.float32(7)
    away = ((lab.reshape(-1, 1, 3) - colours[None]) ** 2 * np.array([1, 1.6, 1.6], np.float32)).sum(axis=2)
    chosen = colours[away.argmin(axis=1)].reshape(lab.shape)
    rgb = to_uint8(np.asarray(cv2.cvtColor(chosen, cv2.COLOR_LAB2RGB), np.float32))
    return np.ascontiguousarray(np.repeat(np.repeat(rgb, cell, axis=0), cell, axis=1)[:height, :width])


def _kmeans_palette(points: Float32Array, count: int) -> Float32Array:
    """`count` colours of a picture: k-means from a start that depends on nothing but the picture (farthest first)."""
    sample = points[:: max(1, len(points) // 4000)]
    colours = [np.median(sample, axis=0)]
    away = ((sample - colours[0]) ** 2).sum(axis=1)
    for _ in range(count - 1):
        colours.append(sample[int(away.argmax())])
        away = np.minimum(away, ((sample - colours[-1]) ** 2).sum(axis=1))
    centres = np.stack(colours).astype(np.float32)
    for _ in range(8):
        nearest = ((sample[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        size = np.bincount(nearest, minlength=count)
        sums = np.stack([np.bincount(nearest, sample[:, c], count) for c in range(3)], axis=1)
        centres = np.where(size[:, None] > 0, sums / np.maximum(size, 1)[:, None], centres).astype(np.float32)
    return centres
