"""Seasons: places outdoors where a person stands, seen at the height of the eyes, out of focus."""

from __future__ import annotations

import math
import random

import materials as m
import props as p
from rooms import EYE
from stage import KeyLight, Stage, add_sun, set_sky, set_world

BARK = (0.075, 0.055, 0.042)


def ground(colour: tuple[float, float, float], dark: tuple[float, float, float], size: float = 0.02) -> None:
    """Uneven ground to the horizon."""
    height = lambda x, y: 0.08 * math.sin(0.7 * x + 0.4 * y) + 0.05 * math.sin(1.9 * x - 1.1 * y)  # noqa: E731
    p.sheet(m.grains(colour, dark, size), width=70, depth=60, at=(0, 26, -0.06), cells=150, height=height)


def trees(seed: int, count: int, near: float, far: float, bark: object, wide: float = 7.0) -> list[tuple[float, float]]:
    """Trunks at random places that leave the middle free; returns where they stand."""
    rng = random.Random(seed)
    places = []
    for _ in range(count):
        y = rng.uniform(near, far)
        x = rng.uniform(-wide, wide) * (0.35 + y / far)
        if abs(x) < 0.5:
            x += 0.9
        p.trunk((x, y, -0.1), bark, rng.uniform(0.10, 0.26), rng.uniform(6, 9), rng.uniform(-0.05, 0.05))
        places.append((x, y))
    return places


def autumn_wood() -> Stage:
    """A wood in autumn: golden leaves on trees and ground, low sun."""
    set_sky((0.62, 0.68, 0.78), 0.75)
    ground((0.20, 0.10, 0.035), (0.07, 0.035, 0.015), 0.05)
    trees(5, 34, 4.5, 24, m.paint(BARK, 0.95))
    for seed, colour, count in (
        (1, (0.62, 0.30, 0.03), 2600),
        (2, (0.55, 0.14, 0.02), 1700),
        (3, (0.45, 0.36, 0.05), 1800),
    ):
        leaf = m.leaf(colour, 0.45)
        p.foliage(leaf, (-11, 7, 1.6), (22, 16, 4.5), count, 0.30, 0.17, seed)
        p.foliage(leaf, (-2.6, 3.6, 2.0), (5.2, 2.0, 1.0), count // 12, 0.12, 0.07, seed + 20)
        p.foliage(leaf, (-7, 2.5, -0.06), (14, 16, 0.05), count, 0.14, 0.08, seed + 10)
    sun = add_sun((0.85, 0.75, 0.5), 4.2, (1.0, 0.80, 0.52), 1.0)
    return Stage(camera=EYE, key=KeyLight((0.85, 0.75, 0.5), 2, (1.0, 0.80, 0.52)), keys=[sun])


def winter_light() -> Stage:
    """A snowy clearing before a dark wood, pale low sun."""
    set_sky((0.62, 0.74, 0.98), 0.85)
    ground((0.80, 0.82, 0.86), (0.70, 0.74, 0.82), 0.004)
    bark, white = m.paint((0.10, 0.09, 0.085), 0.95), m.paint((0.82, 0.84, 0.88), 0.9)
    trees(12, 40, 9, 30, bark)
    rng = random.Random(8)
    needle = m.leaf((0.025, 0.055, 0.03), 0.4)
    for _ in range(20):
        x, y, tall = rng.uniform(-9, 9), rng.uniform(9, 20), rng.uniform(2.5, 6)
        for k in range(11):
            t = k / 11
            r = 0.26 * tall * (1 - t) * rng.uniform(0.85, 1.15)
            for paint, up, share in ((needle, 0.0, 1.0), (white, 0.012, 0.82)):
                cone = [(r * share, up * tall), (r * share * 0.5, (0.06 + up) * tall), (0.0, (0.13 + up) * tall)]
                p.lathe((x, y, tall * (0.1 + 0.88 * t)), cone, paint, steps=11, turn=rng.uniform(0, 6))
    frost = m.leaf((0.70, 0.74, 0.80), 0.2)
    p.foliage(frost, (-4.2, 4.5, 1.8), (8.4, 2.5, 1.6), 900, 0.10, 0.012, 4)
    sun = add_sun((-0.9, 0.7, 0.38), 3.0, (1.0, 0.84, 0.68), 0.9)
    return Stage(camera=EYE, key=KeyLight((-0.9, 0.7, 0.38), 1.5, (1.0, 0.84, 0.68)), keys=[sun])


def spring_garden() -> Stage:
    """A garden in spring: blossoming trees, fresh green, a gravel path."""
    set_world("park", strength=0.9, turn=20, saturation=0.6)
    ground((0.10, 0.19, 0.035), (0.05, 0.10, 0.02), 0.03)
    p.box((0.4, 12, -0.02), (1.2, 22, 0.1), m.grains((0.52, 0.46, 0.38), (0.36, 0.30, 0.24), 0.012), bevel=0)
    bark = m.paint(BARK, 0.95)
    rng = random.Random(31)
    petals = [m.leaf(c, 0.15) for c in ((0.82, 0.58, 0.64), (0.85, 0.76, 0.78), (0.78, 0.42, 0.52))]
    for n in range(12):
        y = 5.0 + 1.5 * n
        x = (-1) ** n * rng.uniform(1.5, 2.8) * (0.8 + 0.06 * n)
        p.trunk((x, y, 0), bark, 0.11, 2.4, rng.uniform(-0.1, 0.1))
        for k in range(3):
            p.foliage(petals[k], (x - 1.5, y - 1.3, 1.35), (3.0, 2.6, 2.3), 380, 0.11, 0.09, 50 + 3 * n + k, crown=True)
    green = m.leaf((0.13, 0.26, 0.04), 0.5)
    p.foliage(green, (-7, 8, 0), (14, 10, 1.1), 2600, 0.16, 0.06, 7)
    p.foliage(green, (-12, 18, 0), (24, 8, 5), 2600, 0.4, 0.2, 9)
    for colour in ((0.80, 0.62, 0.08), (0.78, 0.14, 0.12), (0.74, 0.70, 0.72)):
        bloom = m.paint(colour, 0.6)
        for _ in range(40):
            side = rng.choice((-1, 1))
            at = (0.4 + side * rng.uniform(0.75, 1.5), rng.uniform(3.5, 10), rng.uniform(0.15, 0.4))
            p.lathe(at, [(0, 0), (0.035, 0.02), (0.04, 0.06), (0.03, 0.07), (0, 0.03)], bloom, steps=8)
    sun = add_sun((-0.8, -0.1, 0.85), 2.5, (1.0, 0.94, 0.84), 1.2)
    return Stage(camera=EYE, key=KeyLight((-0.8, -0.1, 0.85), 2, (1.0, 0.94, 0.84)), keys=[sun])


def summer_wall() -> Stage:
    """A sunlit lime-washed wall with the shadows of leaves and a climbing plant in bloom."""
    set_sky((0.46, 0.64, 0.95), 0.7)
    p.box((0, 2, -0.05), (14, 12, 0.05), m.concrete((0.46, 0.42, 0.36)), bevel=0)
    p.box((0, 2.75, 0), (14, 0.3, 4.5), m.plaster((0.72, 0.67, 0.58), 2.2), bevel=0)
    sun = add_sun((-0.85, -0.75, 0.8), 3.3, (1.0, 0.90, 0.74), 1.4)
    leaf = m.leaf((0.08, 0.19, 0.03), 0.6)
    p.foliage(leaf, (0.75, 2.25, 1.0), (1.6, 0.35, 1.9), 560, 0.10, 0.06, 3)
    p.foliage(m.leaf((0.75, 0.10, 0.36), 0.3), (0.8, 2.2, 1.2), (1.5, 0.25, 1.6), 330, 0.07, 0.06, 5)
    rng = random.Random(17)
    places = []
    for _ in range(9):
        root = (-3.6 + rng.uniform(-0.4, 0.4), -0.4 + rng.uniform(-0.7, 0.7), 4.1 + rng.uniform(-0.6, 0.7))
        turn = rng.uniform(-0.7, 0.7)
        for n in range(17):
            t, side = n / 16 * 1.9, 1 if n % 2 else -1
            at = (root[0] + t * math.cos(turn), root[1] + t * math.sin(turn), root[2] - 0.2 * t * t)
            places.append((at, (0.4 * side, 0.3, turn + side * 0.8), rng.uniform(0.8, 1.2)))
    p.scatter(p.leaf_mesh(0.5, 0.11), leaf, places)
    return Stage(camera=EYE, key=KeyLight((-0.85, -0.75, 0.8), 2, (1.0, 0.90, 0.74)), keys=[sun])


SETS = {
    "autumn-wood": autumn_wood,
    "winter-light": winter_light,
    "spring-garden": spring_garden,
    "summer-wall": summer_wall,
}
