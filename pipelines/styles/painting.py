"""Oil and watercolour: paint with a body and paint with water; knows no faces and no files."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Image
from pipelines.styles.primitives import (
    Field,
    Flow,
    Hand,
    Picture,
    blur,
    closed,
    clouds,
    edges,
    flow,
    grey,
    ink,
    noise,
    opened,
    paper,
    ramp,
    saturated,
    smooth,
)

_FINER = 2  # the map of strokes is drawn this much larger, since it has no half-covered pixels
_POINTS = 5  # of a stroke's path


@dataclass(frozen=True)
class Strokes:
    """N strokes: path points (N x P x 2, pixels), width in pixels, direction at the middle, colour 0 to 1."""

    paths: npt.NDArray[np.float32]
    width: float
    turn: npt.NDArray[np.float32]
    colour: npt.NDArray[np.float32]


def oil(image: Image, hand: Hand) -> Image:
    """Strokes from broad to fine that follow the picture's flow, with bristle marks and the relief of thick paint.

    Layers of curved strokes after Hertzmann 1998; fine ones only where the picture has something to say.
    """
    picture = opened(image)
    rng = hand.rng()
    lines = flow(grey(picture), 5 * hand.unit, rng)
    finest = 3.0 - 1.6 * hand.detail
    layers = []
    for n, width in enumerate((30.0, 14.0, 7.0, finest)):
        layers.append(_strokes(picture, lines, width * hand.width, n, hand, rng))
    return _painted(layers, picture.shape[:2], hand, rng)


def _strokes(picture: Picture, lines: Flow, width: float, layer: int, hand: Hand, rng: np.random.Generator) -> Strokes:
    """One layer: where strokes start, how they run, and their colour."""
    soft = blur(picture, 0.5 * width)
    starts = _starts(picture, soft, width, layer, hand, rng)
    paths, turn = _traced(soft, lines, starts, width, rng)
    middle = paths[:, _POINTS // 2].astype(np.int32)
    colour = soft[middle[:, 1], middle[:, 0]]
    # No two loads of a brush are quite the same paint.
    colour = colour + rng.normal(0, 0.018, (len(colour), 1)) + rng.normal(0, 0.01, colour.shape)
    return Strokes(paths, width, turn, np.clip(saturated(colour.astype(np.float32), 1.12), 0, 1))


def _starts(
    picture: Picture, soft: Picture, width: float, layer: int, hand: Hand, rng: np.random.Generator
) -> npt.NDArray[np.float32]:  # fmt: skip
    """A jittered grid; from the second layer on only where a broader brush would lose something."""
    height, columns = picture.shape[:2]
    step = max(0.8 * width, 2.0)
    y, x = np.mgrid[step / 2 : height : step, step / 2 : columns : step].astype(np.float32)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points += rng.uniform(-0.5, 0.5, points.shape).astype(np.float32) * step
    points = np.clip(points, 0, [columns - 1, height - 1]).astype(np.float32)
    if layer:
        lost = blur(np.abs(picture - blur(picture, 1.4 * width)).max(axis=2), width)
        at = points.astype(np.int32)
        need = (0.075, 0.055, 0.05)[layer - 1] * (1.5 - hand.detail)
        points = points[lost[at[:, 1], at[:, 0]] > need * rng.uniform(0.6, 1.2, len(points))]
    return points[rng.permutation(len(points))]


def _traced(
    soft: Picture, lines: Flow, starts: npt.NDArray[np.float32], width: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Follow the flow both ways from each start; a stroke ends where its paint would be the wrong colour."""
    height, columns = soft.shape[:2]
    half = _POINTS // 2
    reach = (width * rng.uniform(0.7, 1.5, len(starts))).astype(np.float32)[:, None]
    at = starts.astype(np.int32)
    first = soft[at[:, 1], at[:, 0]]
    paths = np.repeat(starts[:, None], _POINTS, axis=1)
    turn = np.stack([lines.x[at[:, 1], at[:, 0]], lines.y[at[:, 1], at[:, 0]]], axis=1)
    for side in (1, -1):
        point, ahead = starts.copy(), side * turn
        alive = np.ones(len(starts), bool)
        for step in range(1, half + 1):
            point = np.where(alive[:, None], point + ahead * reach, point)
            point = np.clip(point, 0, [columns - 1, height - 1]).astype(np.float32)
            at = point.astype(np.int32)
            alive &= np.abs(soft[at[:, 1], at[:, 0]] - first).max(axis=1) < 0.11
            paths[:, half + side * step] = np.where(alive[:, None], point, paths[:, half + side * (step - 1)])
            point = paths[:, half + side * step].copy()
            new = np.stack([lines.x[at[:, 1], at[:, 0]], lines.y[at[:, 1], at[:, 0]]], axis=1)
            ahead = new * np.where((new * ahead).sum(axis=1, keepdims=True) < 0, -1, 1)
    return paths, turn


def _painted(layers: list[Strokes], shape: tuple[int, ...], hand: Hand, rng: np.random.Generator) -> Image:
    """The strokes laid over each other, lit from the upper left."""
    owner = _owners(layers, shape)
    turn = np.concatenate([row.turn for row in layers])
    width = np.concatenate([np.full(len(row.colour), row.width, np.float32) for row in layers])
    colour = closed(np.concatenate([row.colour for row in layers]))
    phase = rng.uniform(0, 997, len(turn)).astype(np.float32)
    relief = _relief(owner, turn, width, phase, rng)
    light = _lit(relief, hand)
    size = (shape[1], shape[0])
    paint = cv2.resize(colour[owner], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    shade = np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), np.float32)[..., None]
    gloss = np.maximum(shade - 0.09, 0) * 0.5
    weave = (1 + 0.012 * noise(shape, 2.5 * hand.unit, rng))[..., None]
    return closed(np.asarray(paint * (1 + shade) * weave + gloss, np.float32))


def _owners(layers: list[Strokes], shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Which stroke is seen at each pixel of a finer map."""
    owner = np.zeros((shape[0] * _FINER, shape[1] * _FINER), np.int32)
    name = 0
    for row in layers:
        thick = max(1, round(row.width * _FINER))
        for path in np.round(row.paths * _FINER).astype(np.int32):
            cv2.polylines(owner, [path], False, name, thick)
            name += 1
    return owner


def _relief(
    owner: npt.NDArray[np.int32], turn: npt.NDArray[np.float32], width: npt.NDArray[np.float32],
    phase: npt.NDArray[np.float32], rng: np.random.Generator,
) -> Field:  # fmt: skip
    """Height of the paint: furrows of bristles along each stroke, each stroke at a height of its own."""
    side = 256
    furrows = rng.standard_normal((side, side), np.float32)
    # Wrapped by hand before the blur, so that the texture repeats without a seam.
    furrows = cv2.GaussianBlur(np.pad(furrows, 48, mode="wrap"), (0, 0), sigmaX=14, sigmaY=0.9)[48:-48, 48:-48]
    furrows = np.asarray(furrows / furrows.std(), np.float32)
    height, columns = owner.shape
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)[None]
    table = np.stack([turn[:, 0], turn[:, 1], phase, width * _FINER], axis=1)[owner]
    scale = 14 / np.maximum(table[..., 3], 4)  # about seven bristles a stroke, whatever its width
    u = (x * table[..., 0] + y * table[..., 1]) * scale + table[..., 2]
    v = (y * table[..., 0] - x * table[..., 1]) * scale + table[..., 2]
    marks = cv2.remap(furrows, np.mod(u, side - 1), np.mod(v, side - 1), cv2.INTER_LINEAR)
    base = rng.uniform(-1, 1, len(turn)).astype(np.float32)[owner]
    return np.asarray((0.55 * marks + base) * np.sqrt(np.minimum(table[..., 3], 40)), np.float32)


def _lit(relief: Field, hand: Hand) -> Field:
    soft = cv2.GaussianBlur(relief, (0, 0), max(0.8 * _FINER * hand.unit, 0.6))
    slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125) + cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125)
    return np.clip(np.asarray(slope, np.float32) * np.float32(0.075), -0.20, 0.26)


# ---------------------------------------------------------------- watercolour

_GLAZES = 5


def watercolour(image: Image, hand: Hand) -> Image:
    """Glazes of transparent pigment with wet edges, granulation in the paper's tooth, and blooms.

    The pigment's density is what is worked on (Bousseau et al. 2006): density adds where glazes overlap.
    """
    rng = hand.rng()
    shape = image.shape[:2]
    reach = (9 - 5 * hand.detail) * hand.width
    flat = opened(_wandered(smooth(image, reach, 34), hand, rng))
    flat = saturated(flat, 1.28)
    density = -np.log(np.clip(flat * 0.93 + 0.055, 0.03, 0.97))
    total = np.asarray(density.mean(axis=2), np.float32)
    tooth = paper(shape, hand.unit, rng)
    pigment = _glazed(total, hand, rng)
    granules = 1 + 0.10 * tooth * ramp(total, 0.1, 0.9) + 0.09 * clouds(shape, 90 * hand.unit, rng, 4)
    factor = pigment * granules / np.maximum(total, 0.05)
    # Fine drawing with the tip of the brush, last, where the wash lost it.
    tip = _tip(image, hand)
    out = np.exp(-density * (factor + 0.9 * tip)[..., None] * 0.92)
    sheet = ink((250, 247, 240)) * (1 + 0.012 * _lit_paper(tooth))[..., None]
    margin = _margin(shape, hand, rng)[..., None]
    return closed(np.asarray(sheet * (1 - margin + margin * out), np.float32))


def _wandered(image: Image, hand: Hand, rng: np.random.Generator) -> Image:
    """Edges as a wet brush leaves them: moved by a few units, back and forth."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    reach = np.float32(1.6 * hand.width)
    dx, dy = (clouds((height, width), 22 * hand.unit, rng, 3) * reach for _ in range(2))
    return np.asarray(cv2.remap(image, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8)


def _glazed(total: Field, hand: Hand, rng: np.random.Generator) -> Field:
    """Density in steps: each glaze has an edge where pigment gathered while it dried."""
    low, high = (float(v) for v in np.percentile(total[::8, ::8], (2, 99)))
    wobble = clouds(total.shape, 30 * hand.unit, rng, 3)
    # Light washes lie closer to each other than dark ones, and the first covers all: paper is left bare only in lights.
    steps = low + (high - low) * np.linspace(0, 1, _GLAZES + 1) ** 1.7
    result = np.full(total.shape, 0.75 * low, np.float32)
    for n in range(_GLAZES):
        share = float(steps[n + 1] - steps[n])
        level, soft = steps[n] + 0.45 * share, 0.30 * share + 0.012
        glaze = ramp(total + wobble * np.float32(0.10 * share), level - soft, level + soft)
        near, far = blur(glaze, 2.2 * hand.width), blur(glaze, 9 * hand.width)
        rim = np.clip(glaze * (1 - near) * 2 + 0.5 * glaze * (1 - far), 0, 1)
        result += np.float32(share) * glaze + np.float32(0.20 * share + 0.035) * rim
    # Half steps, half the tone itself: all steps would be a poster.
    return np.asarray(0.62 * result + 0.38 * total, np.float32)


def _tip(image: Image, hand: Hand) -> Field:
    tone = grey(opened(image))
    lines = flow(tone, 2.5 * hand.unit)
    drawn = edges(tone, lines, 1.3 * hand.width, 30, 0.012)
    return np.asarray(drawn * (0.25 + 0.5 * hand.detail), np.float32)


def _lit_paper(tooth: Field) -> Field:
    slope = cv2.Sobel(tooth, cv2.CV_32F, 1, 0, scale=0.25) + cv2.Sobel(tooth, cv2.CV_32F, 0, 1, scale=0.25)
    return np.clip(np.asarray(slope, np.float32), -2.5, 2.5)


def _margin(shape: tuple[int, ...], hand: Hand, rng: np.random.Generator) -> Field:
    """1 inside, 0 on the bare paper at the border, with the ragged edge of a wash."""
    height, width = shape[:2]
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    away = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y)) / np.float32(hand.unit)
    away = away + 7 * clouds(shape, 60 * hand.unit, rng, 4)
    return np.asarray(ramp(away, 17, 20) * (1 + 0.25 * np.exp(-(((away - 22) / 3.5) ** 2))), np.float32)
