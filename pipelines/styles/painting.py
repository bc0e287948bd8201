"""Styles Oil and Watercolour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Float32Array, Image, Int32Array
from pipelines.styles.primitives import (
    Field,
    FlowField,
    Picture,
    StyleSettings,
    adjust_saturation,
    bilateral_smooth,
    colour_to_float,
    compute_luma,
    diagonal_slope,
    displace,
    edge_tangent_flow,
    fractal_noise,
    gaussian_blur,
    paper_texture,
    pixel_coordinates,
    smoothstep,
    to_float,
    to_uint8,
    value_noise,
    xdog_edges,
)

_STROKE_MAP_SCALE = 2  # scale of the stroke map, which has no anti-aliasing
_PATH_POINT_COUNT = 5  # points of a stroke's path


@dataclass(frozen=True)
class StrokeLayer:
    """N strokes: path points (N x P x 2, pixels), width, direction at the middle (N x 2), colour (N x 3, 0 to 1)."""

    paths: Float32Array
    width_px: float
    direction: Float32Array
    colour: Float32Array


def draw_oil(image: Image, settings: StyleSettings) -> Image:
    """Draw curved strokes (Hertzmann 1998), broad to fine where detail is, along the flow, with bristles and relief."""
    picture = to_float(image)
    rng = settings.make_rng()
    lines = edge_tangent_flow(compute_luma(picture), 5 * settings.unit_px, rng)
    finest = 3.0 - 1.6 * settings.detail
    layers = [
        _make_stroke_layer(picture, lines, width * settings.brush_unit_px, n, settings, rng)
        for n, width in enumerate((30.0, 14.0, 7.0, finest))
    ]
    return _render_strokes(layers, picture.shape[:2], settings, rng)


def _make_stroke_layer(
    picture: Picture, lines: FlowField, width: float, layer: int, settings: StyleSettings, rng: np.random.Generator
) -> StrokeLayer:
    soft = gaussian_blur(picture, 0.5 * width)
    starts = _stroke_starts(picture, width, layer, settings, rng)
    paths, direction = _trace_strokes(soft, lines, starts, width, rng)
    middle = paths[:, _PATH_POINT_COUNT // 2].astype(np.int32)
    colour = soft[middle[:, 1], middle[:, 0]]
    # Vary the colour of strokes a little, like real paint.
    colour = colour + rng.normal(0, 0.018, (len(colour), 1)) + rng.normal(0, 0.01, colour.shape)
    return StrokeLayer(paths, width, direction, np.clip(adjust_saturation(colour.astype(np.float32), 1.12), 0, 1))


def _stroke_starts(
    picture: Picture, width: float, layer: int, settings: StyleSettings, rng: np.random.Generator
) -> Float32Array:
    """Return start points (N x 2): a jittered grid, after the first layer only where the broader brush lost detail."""
    height, columns = picture.shape[:2]
    step = max(0.8 * width, 2.0)
    y, x = np.mgrid[step / 2 : height : step, step / 2 : columns : step].astype(np.float32)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points += rng.uniform(-0.5, 0.5, points.shape).astype(np.float32) * step
    points = np.clip(points, 0, [columns - 1, height - 1]).astype(np.float32)
    if layer:
        lost = gaussian_blur(np.abs(picture - gaussian_blur(picture, 1.4 * width)).max(axis=2), width)
        index = points.astype(np.int32)
        need = (0.075, 0.055, 0.05)[layer - 1] * (1.5 - settings.detail)
        points = points[lost[index[:, 1], index[:, 0]] > need * rng.uniform(0.6, 1.2, len(points))]
    return points[rng.permutation(len(points))]


def _trace_strokes(
    soft: Picture, lines: FlowField, starts: Float32Array, width: float, rng: np.random.Generator
) -> tuple[Float32Array, Float32Array]:
    """Follow the flow both ways until the colour differs: paths (N x P x 2) and the direction at each start (N x 2)."""
    height, columns = soft.shape[:2]
    half = _PATH_POINT_COUNT // 2
    reach = (width * rng.uniform(0.7, 1.5, len(starts))).astype(np.float32)[:, None]
    index = starts.astype(np.int32)
    first = soft[index[:, 1], index[:, 0]]
    paths = np.repeat(starts[:, None], _PATH_POINT_COUNT, axis=1)
    direction = np.stack([lines.x[index[:, 1], index[:, 0]], lines.y[index[:, 1], index[:, 0]]], axis=1)
    for side in (1, -1):
        point, ahead = starts.copy(), side * direction
        alive = np.ones(len(starts), bool)
        for step in range(1, half + 1):
            point = np.where(alive[:, None], point + ahead * reach, point)
            point = np.clip(point, 0, [columns - 1, height - 1]).astype(np.float32)
            index = point.astype(np.int32)
            alive &= np.abs(soft[index[:, 1], index[:, 0]] - first).max(axis=1) < 0.11
            paths[:, half + side * step] = np.where(alive[:, None], point, paths[:, half + side * (step - 1)])
            point = paths[:, half + side * step].copy()
            new = np.stack([lines.x[index[:, 1], index[:, 0]], lines.y[index[:, 1], index[:, 0]]], axis=1)
            ahead = new * np.where((new * ahead).sum(axis=1, keepdims=True) < 0, -1, 1)
    return paths, direction


def _render_strokes(
    layers: list[StrokeLayer], shape: tuple[int, ...], settings: StyleSettings, rng: np.random.Generator
) -> Image:
    """Draw the layers of strokes over each other, lit from the upper left."""
    owner = _find_visible_strokes(layers, shape)
    direction = np.concatenate([row.direction for row in layers])
    width = np.concatenate([np.full(len(row.colour), row.width_px, np.float32) for row in layers])
    colour = to_uint8(np.concatenate([row.colour for row in layers]))
    phase = rng.uniform(0, 997, len(direction)).astype(np.float32)
    relief = _make_paint_heights(owner, direction, width, phase, rng)
    light = _relief_light(relief, settings)
    size = (shape[1], shape[0])
    paint = cv2.resize(colour[owner], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    shade = np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), np.float32)[..., None]
    gloss = np.maximum(shade - 0.09, 0) * 0.5
    weave = (1 + 0.012 * value_noise(shape, 2.5 * settings.unit_px, rng))[..., None]
    return to_uint8(np.asarray(paint * (1 + shade) * weave + gloss, np.float32))


def _find_visible_strokes(layers: list[StrokeLayer], shape: tuple[int, ...]) -> Int32Array:
    """Return the index of the visible stroke at each pixel of the enlarged map."""
    owner = np.zeros((shape[0] * _STROKE_MAP_SCALE, shape[1] * _STROKE_MAP_SCALE), np.int32)
    name = 0
    for row in layers:
        thick = max(1, round(row.width_px * _STROKE_MAP_SCALE))
        for path in np.round(row.paths * _STROKE_MAP_SCALE).astype(np.int32):
            cv2.polylines(owner, [path], False, name, thick)
            name += 1
    return owner


def _make_paint_heights(
    owner: Int32Array, direction: Float32Array, width: Float32Array, phase: Float32Array, rng: np.random.Generator
) -> Field:
    """Return the height of the paint: bristle marks along each stroke, and a random height for each stroke."""
    side = 256
    furrows = rng.standard_normal((side, side), np.float32)
    # Wrap the texture before the blur, so that it repeats without a seam.
    furrows = cv2.GaussianBlur(np.pad(furrows, 48, mode="wrap"), (0, 0), sigmaX=14, sigmaY=0.9)[48:-48, 48:-48]
    furrows = np.asarray(furrows / furrows.std(), np.float32)
    y, x = pixel_coordinates(owner.shape)
    table = np.column_stack([direction, phase, width * _STROKE_MAP_SCALE])[owner]
    scale = 14 / np.maximum(table[..., 3], 4)  # about seven bristle marks across a stroke of any width
    u = (x * table[..., 0] + y * table[..., 1]) * scale + table[..., 2]
    v = (y * table[..., 0] - x * table[..., 1]) * scale + table[..., 2]
    marks = cv2.remap(furrows, np.mod(u, side - 1), np.mod(v, side - 1), cv2.INTER_LINEAR)
    base = rng.uniform(-1, 1, len(direction)).astype(np.float32)[owner]
    return np.asarray((0.55 * marks + base) * np.sqrt(np.minimum(table[..., 3], 40)), np.float32)


def _relief_light(relief: Field, settings: StyleSettings) -> Field:
    soft = cv2.GaussianBlur(relief, (0, 0), max(0.8 * _STROKE_MAP_SCALE * settings.unit_px, 0.6))
    return np.clip(diagonal_slope(np.asarray(soft, np.float32), 0.125) * np.float32(0.075), -0.20, 0.26)


_GLAZE_COUNT = 5


def draw_watercolour(image: Image, settings: StyleSettings) -> Image:
    """Draw glazes with wet edges, granulation and blooms in pigment density, which adds (Bousseau et al. 2006)."""
    rng = settings.make_rng()
    shape = image.shape[:2]
    reach = (9 - 5 * settings.detail) * settings.brush_unit_px
    flat = to_float(_wobble_edges(bilateral_smooth(image, reach, 34), settings, rng))
    flat = adjust_saturation(flat, 1.28)
    density = -np.log(np.clip(flat * 0.93 + 0.055, 0.03, 0.97))
    total = np.asarray(density.mean(axis=2), np.float32)
    tooth = paper_texture(shape, settings.unit_px, rng)
    pigment = _glaze_density(total, settings, rng)
    clouds = fractal_noise(shape, 90 * settings.unit_px, rng, 4)
    granules = 1 + 0.10 * tooth * smoothstep(total, 0.1, 0.9) + 0.09 * clouds
    factor = pigment * granules / np.maximum(total, 0.05)
    # Fine lines restore detail that the wash lost.
    tip = _brush_tip_lines(image, settings)
    out = np.exp(-density * (factor + 0.9 * tip)[..., None] * 0.92)
    sheet = colour_to_float((250, 247, 240)) * (1 + 0.012 * np.clip(diagonal_slope(tooth, 0.25), -2.5, 2.5))[..., None]
    margin = _wash_margin(shape, settings, rng)[..., None]
    return to_uint8(np.asarray(sheet * (1 - margin + margin * out), np.float32))


def _wobble_edges(image: Image, settings: StyleSettings, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    reach = np.float32(1.6 * settings.brush_unit_px)
    dx, dy = (fractal_noise((height, width), 22 * settings.unit_px, rng, 3) * reach for _ in range(2))
    return displace(image, dx, dy)


def _glaze_density(total: Field, settings: StyleSettings, rng: np.random.Generator) -> Field:
    """Return the density in steps. Each glaze has a darker rim, where pigment gathered while drying."""
    low, high = (float(v) for v in np.percentile(total[::8, ::8], (2, 99)))
    wobble = fractal_noise(total.shape, 30 * settings.unit_px, rng, 3)
    # Steps are closer in light tones than in dark ones. The first glaze covers everything except highlights.
    steps = low + (high - low) * np.linspace(0, 1, _GLAZE_COUNT + 1) ** 1.7
    result = np.full(total.shape, 0.75 * low, np.float32)
    for n in range(_GLAZE_COUNT):
        share = float(steps[n + 1] - steps[n])
        level, soft = steps[n] + 0.45 * share, 0.30 * share + 0.012
        glaze = smoothstep(total + wobble * np.float32(0.10 * share), level - soft, level + soft)
        near, far = gaussian_blur(glaze, 2.2 * settings.brush_unit_px), gaussian_blur(glaze, 9 * settings.brush_unit_px)
        rim = np.clip(glaze * (1 - near) * 2 + 0.5 * glaze * (1 - far), 0, 1)
        result += np.float32(share) * glaze + np.float32(0.20 * share + 0.035) * rim
    # Mix the steps with the continuous tone, because steps alone look like a poster.
    return np.asarray(0.62 * result + 0.38 * total, np.float32)


def _brush_tip_lines(image: Image, settings: StyleSettings) -> Field:
    tone = compute_luma(to_float(image))
    lines = edge_tangent_flow(tone, 2.5 * settings.unit_px)
    drawn = xdog_edges(tone, lines, 1.3 * settings.brush_unit_px, 30, 0.012)
    return np.asarray(drawn * (0.25 + 0.5 * settings.detail), np.float32)


def _wash_margin(shape: tuple[int, ...], settings: StyleSettings, rng: np.random.Generator) -> Field:
    """Return 1 inside and 0 on the bare paper at the border, with a ragged edge."""
    height, width = shape[:2]
    y, x = pixel_coordinates(shape)
    away = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y)) / np.float32(settings.unit_px)
    away = away + 7 * fractal_noise(shape, 60 * settings.unit_px, rng, 4)
    return np.asarray(smoothstep(away, 17, 20) * (1 + 0.25 * np.exp(-(((away - 22) / 3.5) ** 2))), np.float32)
