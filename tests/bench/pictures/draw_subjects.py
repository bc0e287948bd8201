"""Draw subjects with exact alpha that are made of strands: animals under fur, heads with loose hair.

    python -m tests.bench.pictures.draw_subjects FOLDER

Strands are drawn one by one at twice the size, so that each is thinner than a pixel, as in a photograph.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from pipelines.core.geometry import Float64Array, Image

SUBJECT_COUNT = 4
SIDE_PX, SUPERSAMPLING = 900, 2
FUR_STRAND_COUNT, HAIR_STRAND_COUNT = 26000, 5200
COAT_COLOURS = ((150, 105, 60), (225, 215, 195), (45, 40, 38), (190, 120, 50))
HAIR_COLOURS = ((28, 20, 16), (110, 70, 35), (190, 150, 85), (150, 60, 30))
SKIN_COLOURS = ((224, 180, 150), (120, 80, 58), (198, 150, 118), (84, 54, 40))
CLOTH_COLOURS = ((40, 60, 110), (150, 40, 50), (225, 220, 210), (60, 90, 60))


def draw_fur(number: int) -> Image:
    """Draw an animal, uint8, H x W x 4."""
    random = np.random.default_rng(number)
    canvas = _new_canvas()
    coat = np.array(COAT_COLOURS[number % 4], np.float64)
    long = random.uniform(0.03, 0.07)
    lean = random.uniform(-0.06, 0.06)
    parts = [  # centre, radii; what lies in front comes last
        ((0.74 + lean, 0.78), (0.17, 0.05)),
        ((0.5, 0.72), (0.22, 0.24)),
        ((0.42 + lean, 0.19), (0.05, 0.09)),
        ((0.62 + lean, 0.19), (0.05, 0.09)),
        ((0.52 + lean, 0.35), (0.17, 0.16)),
    ]
    total = sum(rx * ry for _, (rx, ry) in parts)
    for centre, radii in parts:
        _draw_ellipse(canvas, centre, (radii[0] * 0.97, radii[1] * 0.97), coat * 0.6)
        count = round(FUR_STRAND_COUNT * radii[0] * radii[1] / total)
        turn, depth = random.uniform(0, 2 * np.pi, count), np.sqrt(random.uniform(0, 1, count))
        way = np.stack((np.cos(turn), np.sin(turn)), axis=1) * depth[:, None]
        roots = np.array(centre) + way * radii
        drift = way * 1.2 + np.array((0, 0.5)) + random.normal(0, 0.35, (count, 2))
        drift *= (long * random.uniform(0.5, 1.2, count) / np.maximum(np.linalg.norm(drift, axis=1), 0.2))[:, None]
        light = 0.8 + 0.35 * (-way[:, 1]) + random.normal(0, 0.13, count)
        for n in np.argsort(depth)[::-1] if number % 2 else range(count):
            bend = random.normal(0, 0.25, 2) * long
            _draw_strand(
                canvas,
                np.stack((roots[n], roots[n] + drift[n] * 0.55 + bend * 0.4, roots[n] + drift[n])),
                coat * light[n],
            )
    for x in (0.46, 0.58):
        _draw_ellipse(canvas, (x + lean, 0.34), (0.016, 0.018), np.array((15, 12, 10)))
    _draw_ellipse(canvas, (0.52 + lean, 0.42), (0.025, 0.018), np.array((30, 22, 22)))
    return _shrink(canvas)


def draw_hair(number: int) -> Image:
    """Draw a head and shoulders with loose hair, uint8, H x W x 4."""
    random = np.random.default_rng(100 + number)
    canvas = _new_canvas()
    skin, cloth = (np.array(each[number % 4], np.float64) for each in (SKIN_COLOURS, CLOTH_COLOURS))
    hair = np.array(HAIR_COLOURS[(number + number // 2) % 4], np.float64)
    long, curl = random.uniform(0.25, 0.5), random.uniform(0.004, 0.02)
    _draw_hair(canvas, random, hair * 0.7, long, curl, HAIR_STRAND_COUNT // 2)
    _draw_ellipse(canvas, (0.5, 1.02), (0.4, 0.3), cloth)
    _draw_ellipse(canvas, (0.5, 0.72), (0.085, 0.14), skin * 0.85)
    _draw_ellipse(canvas, (0.5, 0.45), (0.15, 0.2), skin)
    _draw_ellipse(canvas, (0.56, 0.47), (0.08, 0.15), skin * 0.94)
    for x in (0.44, 0.56):
        _draw_ellipse(canvas, (x, 0.42), (0.024, 0.011), np.array((240, 238, 235)))
        _draw_ellipse(canvas, (x, 0.42), (0.01, 0.011), np.array((45, 30, 20)))
        _draw_ellipse(canvas, (x, 0.385), (0.03, 0.006), hair * 0.8)
    _draw_ellipse(canvas, (0.5, 0.5), (0.018, 0.035), skin * 0.9)
    _draw_ellipse(canvas, (0.5, 0.57), (0.045, 0.012), np.array((165, 75, 75)))
    _draw_hair(canvas, random, hair, long * 0.7, curl, HAIR_STRAND_COUNT // 2, in_front=True)
    return _shrink(canvas)


def _draw_hair(
    canvas: Image,
    random: np.random.Generator,
    colour: Float64Array,
    long: float,
    curl: float,
    count: int,
    *,
    in_front: bool = False,
) -> None:
    """Draw strands from the scalp: they fall to both sides and curl; one of twelve stands off."""
    for _ in range(count):
        turn = random.uniform(-2.9, -0.24) if in_front else random.uniform(-3.3, 0.16)
        root = np.array((0.5 + 0.155 * np.cos(turn), 0.40 + 0.2 * np.sin(turn)))
        if in_front and root[1] > 0.34:
            root[0] += np.sign(root[0] - 0.5) * 0.012
        stray = random.random() < 1 / 12
        steps = np.linspace(0, 1, 9)
        out = np.array((np.cos(turn), np.sin(turn))) * random.uniform(0.02, 0.1) * (1.8 if stray else 1)
        length = long * random.uniform(0.6, 1.15)
        fall = np.stack((np.sign(np.cos(turn)) * 0.09 * np.abs(np.cos(turn)) * steps, length * steps**1.5), axis=1)
        line = root + out * np.sin(steps * np.pi * 0.6)[:, None] + fall * (0.35 if stray else 1)
        waves = np.sin(steps * random.uniform(6, 14) + random.uniform(0, 6)) * curl * steps * random.uniform(0.5, 2)
        line[:, 0] += waves
        shade = 0.8 + 0.4 * max(-np.sin(turn), 0) + random.normal(0, 0.15)
        _draw_strand(canvas, line, colour * shade)


def _new_canvas() -> Image:
    return np.zeros((SIDE_PX * SUPERSAMPLING, SIDE_PX * SUPERSAMPLING, 4), np.uint8)


def _draw_strand(canvas: Image, line: Float64Array, colour: npt.NDArray[np.floating]) -> None:
    """Draw a line through points (N x 2, 0 to 1) over premultiplied pixels."""
    points = np.rint(line * len(canvas) * 16).astype(np.int32)
    cv2.polylines(canvas, [points], False, (*np.clip(colour, 0, 255).tolist(), 255), 1, cv2.LINE_AA, 4)


def _draw_ellipse(
    canvas: Image, centre: tuple[float, float], radii: tuple[float, float], colour: npt.NDArray[np.floating]
) -> None:
    """Fill an ellipse, lighter at its top left as round things are."""
    side = len(canvas)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    at, axes = (tuple(round(16 * side * value) for value in pair) for pair in (centre, radii))
    cv2.ellipse(mask, at, axes, 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
    y, x = np.nonzero(mask)
    cover = mask[y, x, None] / 255
    slope = (x / side - centre[0]) / radii[0] * -0.12 + (y / side - centre[1]) / radii[1] * -0.15
    fill = np.concatenate((np.clip(colour * (1 + slope[:, None]), 0, 255), np.full((len(y), 1), 255)), axis=1)
    canvas[y, x] = np.rint(canvas[y, x] * (1 - cover) + fill * cover).astype(np.uint8)


def _shrink(canvas: Image) -> Image:
    """Shrink the premultiplied canvas and divide by alpha, as PNG stores it."""
    small = np.asarray(cv2.resize(canvas, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.float32)
    small[..., :3] /= np.maximum(small[..., 3:], 1) / 255
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


DRAWN_KINDS: dict[str, Callable[[int], Image]] = {"fur": draw_fur, "hair": draw_hair}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for kind, draw in DRAWN_KINDS.items():
        for number in range(SUBJECT_COUNT):
            Pillow.fromarray(draw(number)).save(folder / f"{kind}-{number}.png")
