"""Tables: places where a thing of a hand's size stands."""

from __future__ import annotations

import math
import random

import materials as m
import props as p
from stage import Camera, KeyLight, Stage, add_area, add_sun, set_sky, set_world

OAK, OAK_DARK = (0.56, 0.36, 0.185), (0.36, 0.20, 0.09)
WALNUT, WALNUT_DARK = (0.175, 0.082, 0.038), (0.055, 0.023, 0.011)
WARM, COOL = (1.0, 0.74, 0.46), (0.80, 0.90, 1.0)


def oak_window() -> Stage:
    """Oak boards by a window in the morning, a plant and a cup behind."""
    set_world("park", strength=0.35, turn=40)
    p.boards(m.wood(OAK, OAK_DARK), far=0.62, count=6, seed=3)
    white = m.paint((0.78, 0.76, 0.72), 0.5)
    p.wall(m.plaster((0.70, 0.66, 0.60)), 2.1)
    p.window((-0.52, 2.02, 0.02), (0.95, 1.5), white, m.outdoors(2.0), panes=(2, 2))
    p.box((-0.52, 1.95, -0.06), (1.2, 0.22, 0.035), white, bevel=0.006)
    leaf = m.leaf((0.10, 0.20, 0.045))
    p.vase((0.34, 1.1, 0), m.paint((0.66, 0.60, 0.52), 0.7), 0.085, 0.2)
    p.plant((0.34, 1.1, 0.16), leaf, height=0.5, leaves=70, length=0.17, width=0.055, seed=5)
    p.box((0, 1.2, -0.03), (2.6, 1.1, 0.028), m.wood(OAK, OAK_DARK), bevel=0.003)
    p.cup((-0.3, 0.85, 0), m.paint((0.62, 0.60, 0.56), 0.3), 0.045, 0.085)
    p.box((-0.02, 0.95, 0), (0.24, 0.17, 0.03), m.paint((0.12, 0.20, 0.24), 0.7), turn=14)
    p.box((-0.01, 0.95, 0.03), (0.22, 0.16, 0.022), m.paint((0.52, 0.32, 0.2), 0.7), turn=-4)
    lamp = add_area((-1.7, 1.25, 1.35), (0, 0, 0.05), (1.1, 1.3), 75, (1.0, 0.95, 0.88))
    return Stage(key=KeyLight((-1.7, 1.25, 1.3), 30), reflection=0.04, keys=[lamp])


def walnut_evening() -> Stage:
    """Dark walnut in the evening, a lamp and bottles behind."""
    set_world("apartment", strength=0.10, turn=90)
    p.boards(m.wood(WALNUT, WALNUT_DARK, gloss=0.3), far=0.7, count=5, seed=8)
    p.wall(m.plaster((0.16, 0.11, 0.08)), 2.6)
    shelf = m.wood(WALNUT, WALNUT_DARK)
    for z in (0.12, 0.55, 0.98):
        p.box((0.25, 2.35, z), (2.4, 0.24, 0.03), shelf)
    rng = random.Random(4)
    amber, green, clear = m.glass((0.85, 0.38, 0.08)), m.glass((0.25, 0.5, 0.2)), m.glass((0.9, 0.95, 1.0))
    for z in (0.15, 0.58):
        for n in range(13):
            x = -0.9 + 0.165 * n + rng.uniform(-0.02, 0.02)
            p.bottle(
                (x, 2.33 + rng.uniform(-0.04, 0.04), z),
                rng.choice((amber, green, clear)),
                rng.uniform(0.03, 0.045),
                rng.uniform(0.22, 0.33),
            )
    for x in (-0.75, -0.1, 0.55, 1.2):
        add_area((x, 2.2, 0.53), (x, 2.36, 0.15), (0.3, 0.04), 2.2, WARM)
        add_area((x, 2.2, 0.96), (x, 2.36, 0.58), (0.3, 0.04), 2.2, WARM)
    p.pendant((-0.42, 1.25, 0.42), m.paint((0.03, 0.03, 0.03), 0.35), m.glow(WARM, 14), 0.15)
    add_area((-0.42, 1.25, 0.44), (-0.42, 1.2, 0), (0.2, 0.2), 9, WARM)
    p.lathe(
        (0.3, 0.95, 0), [(0.035, 0), (0.038, 0.07), (0.035, 0.07), (0.03, 0.01), (0, 0.01)], m.glass((1.0, 0.9, 0.8))
    )
    p.lathe((0.3, 0.95, 0.01), [(0.0, 0), (0.028, 0.0), (0.028, 0.04), (0.0, 0.045)], m.glow((1.0, 0.55, 0.2), 2.5))
    lamp = add_area((-0.95, 0.25, 1.0), (0, 0, 0.03), (0.45, 0.45), 30, (1.0, 0.80, 0.56))
    return Stage(key=KeyLight((-0.95, 0.25, 1.0), 24, (1.0, 0.80, 0.56)), reflection=0.09, keys=[lamp])


def kitchen_counter() -> Stage:
    """A white worktop before glazed tiles, kitchen things out of focus."""
    set_world("lobby", strength=0.45, turn=60)
    p.slab(m.marble((0.72, 0.71, 0.69), (0.50, 0.49, 0.47), 0.2), far=0.62)
    p.wall(m.tiles((0.74, 0.74, 0.71), (0.56, 0.55, 0.53), 0.15, 0.075), 0.62)
    p.lathe(
        (0.30, 0.42, 0),
        [(0.055, 0), (0.06, 0.004), (0.06, 0.15), (0.057, 0.15), (0.055, 0.01), (0, 0.01)],
        m.paint((0.62, 0.56, 0.48), 0.6),
    )
    spoon = m.wood(OAK, OAK_DARK)
    for n, (x, lean) in enumerate(((-0.02, -9), (0.01, 4), (0.03, 12))):
        obj = p.box((0.30 + x, 0.42, 0.03), (0.016, 0.008, 0.27), spoon, bevel=0.003)
        obj.rotation_euler[1] = math.radians(lean)
        obj.rotation_euler[0] = math.radians(4 * n - 4)
    p.box((-0.34, 0.52, 0.0), (0.30, 0.025, 0.38), m.wood(WALNUT, WALNUT_DARK), bevel=0.008, tilt=-8)
    p.bowl((-0.22, 0.36, 0), m.paint((0.70, 0.69, 0.66), 0.25), 0.10, 0.06)
    lemon = m.paint((0.80, 0.58, 0.05), 0.42)
    for x, y, z in ((-0.25, 0.36, 0.055), (-0.19, 0.34, 0.055), (-0.21, 0.40, 0.058)):
        body = p.lathe(
            (x, y, z - 0.02),
            [(0.0, 0), (0.008, 0.004), (0.022, 0.018), (0.028, 0.036), (0.022, 0.054), (0.009, 0.068), (0, 0.073)],
            lemon,
        )
        body.rotation_euler = (1.3, 0.3, x * 30)
    p.plant((0.12, 0.48, 0.08), m.leaf((0.09, 0.22, 0.04)), height=0.17, leaves=80, length=0.055, width=0.028, seed=2)
    p.lathe(
        (0.12, 0.48, 0),
        [(0.045, 0), (0.055, 0.09), (0.052, 0.09), (0.045, 0.08), (0, 0.08)],
        m.paint((0.46, 0.24, 0.15), 0.8),
    )
    lamp = add_area((1.5, -0.2, 1.3), (0, 0.1, 0.05), (1.0, 1.2), 30, (1.0, 0.97, 0.93))
    add_area((0, 0.35, 1.0), (0, 0.45, 0), (1.6, 0.1), 10, (1.0, 0.93, 0.82))
    return Stage(key=KeyLight((1.5, -0.2, 1.3), 30), reflection=0.10, keys=[lamp])


def marble_bath() -> Stage:
    """Polished marble in a bright bathroom, towels and a mirror's edge behind."""
    set_world("lobby", strength=0.4, turn=-30)
    p.slab(m.marble(), far=0.5)
    p.wall(m.tiles((0.70, 0.71, 0.69), (0.60, 0.60, 0.58), 0.3, 0.6, rough=0.08), 1.15)
    p.box((0, 0.85, -0.03), (2.4, 0.6, 0.028), m.marble(), bevel=0.003)
    towel = m.cloth((0.74, 0.72, 0.68), 0.004, 2.0)
    for n in range(3):
        p.box((0.31, 0.82, 0.055 * n), (0.34 - 0.01 * n, 0.22, 0.052), towel, bevel=0.022, turn=3 - 4 * n)
    amber = m.glass((0.75, 0.30, 0.06))
    p.bottle((-0.26, 0.74, 0), amber, 0.032, 0.17)
    p.lathe(
        (-0.36, 0.80, 0),
        [(0.04, 0), (0.04, 0.13), (0.012, 0.14), (0.012, 0.17), (0.0, 0.17)],
        m.paint((0.70, 0.69, 0.66), 0.4),
    )
    p.vase((0.05, 0.95, 0), m.glass((0.92, 0.97, 0.95)), 0.05, 0.2)
    p.plant(
        (0.05, 0.95, 0.13),
        m.leaf((0.10, 0.19, 0.07)),
        height=0.42,
        leaves=46,
        length=0.10,
        width=0.04,
        seed=9,
        spread=0.8,
    )
    p.lathe(
        (-0.62, 1.0, 0.05), [(0.0, 0), (0.17, 0.0), (0.17, 0.012), (0.0, 0.012)], m.metal((0.75, 0.62, 0.4), 0.2)
    ).rotation_euler = (1.5, 0, 0.2)
    lamp = add_area((-1.3, 0.7, 1.5), (0, 0, 0), (1.2, 1.2), 70, (1.0, 0.98, 0.95))
    return Stage(key=KeyLight((-1.3, 0.7, 1.5), 34), reflection=0.14, keys=[lamp])


def cafe_bar() -> Stage:
    """A cafe's bar: oiled wood, glasses, hanging lamps and shelves out of focus."""
    set_world("esplanade", strength=0.22, turn=120)
    p.slab(m.wood((0.30, 0.15, 0.065), (0.12, 0.05, 0.02), gloss=0.25), far=0.5)
    p.wall(m.bricks(), 3.4)
    counter = m.wood(WALNUT, WALNUT_DARK)
    p.box((0, 2.6, -0.9), (3.0, 0.6, 0.92), counter)
    steel = m.metal((0.62, 0.62, 0.62), 0.25)
    p.box((0.42, 2.55, 0.02), (0.62, 0.42, 0.36), steel, bevel=0.03)
    p.box((0.42, 2.34, 0.24), (0.56, 0.1, 0.1), m.paint((0.05, 0.05, 0.05), 0.3), bevel=0.02)
    for n in range(4):
        p.cup((0.22 + 0.12 * n, 2.55, 0.38), m.paint((0.72, 0.70, 0.66), 0.25), 0.042, 0.07)
    for z in (0.62, 0.95):
        p.box((-0.45, 3.25, z), (1.5, 0.24, 0.035), counter)
    rng = random.Random(11)
    jars = (
        m.paint((0.65, 0.6, 0.5), 0.4),
        m.glass((0.7, 0.4, 0.15)),
        m.paint((0.15, 0.28, 0.25), 0.4),
        m.paint((0.5, 0.2, 0.1), 0.5),
    )
    for z in (0.655, 0.985):
        for n in range(9):
            x = -1.1 + 0.155 * n + rng.uniform(-0.02, 0.02)
            p.lathe(
                (x, 3.25, z),
                [(0.05, 0), (0.055, 0.02), (0.055, rng.uniform(0.1, 0.2)), (0.03, 0.21), (0, 0.215)],
                rng.choice(jars),
            )
    for x, z in ((-0.55, 0.78), (0.1, 0.86), (0.75, 0.78)):
        p.pendant((x, 2.0, z), m.paint((0.05, 0.07, 0.065), 0.3), m.glow(WARM, 22), 0.13)
        add_area((x, 2.0, z), (x, 2.0, 0), (0.2, 0.2), 12, WARM)
    p.cup((-0.34, 0.62, 0), m.paint((0.70, 0.68, 0.62), 0.25), 0.043, 0.065, m.paint((0.06, 0.025, 0.01), 0.15))
    p.lathe(
        (-0.34, 0.62, 0),
        [(0.04, 0), (0.075, 0.012), (0.073, 0.015), (0.03, 0.004), (0, 0.004)],
        m.paint((0.70, 0.68, 0.62), 0.25),
    )
    lamp = add_area((1.15, 0.35, 1.05), (0, 0, 0.03), (0.55, 0.7), 27, (1.0, 0.88, 0.72))
    return Stage(key=KeyLight((1.15, 0.35, 1.05), 26, (1.0, 0.88, 0.72)), reflection=0.10, keys=[lamp])


def concrete_leaves() -> Stage:
    """Concrete before a concrete wall, with the shadows of leaves in hard sun."""
    set_sky((0.62, 0.74, 0.92), 0.42)
    p.slab(m.concrete((0.42, 0.41, 0.395)), near=-1.0, far=0.55)
    p.wall(m.plaster((0.50, 0.48, 0.455), 1.4), 0.55, base=-0.05)
    sun = add_sun((-0.9, -0.55, 0.85), 3.2, (1.0, 0.90, 0.76), 0.9)
    leaf = m.leaf((0.10, 0.2, 0.05))
    rng = random.Random(21)
    places = []
    for branch in range(7):
        root = (-1.0 + rng.uniform(-0.15, 0.15), -0.62 + 0.13 * branch, 0.72 + rng.uniform(-0.1, 0.25))
        turn = rng.uniform(-0.5, 0.5)
        for n in range(13):
            t = n / 12 * 0.8
            side = 1 if n % 2 else -1
            at = (root[0] + t * math.cos(turn), root[1] + t * math.sin(turn), root[2] - 0.25 * t * t)
            places.append((at, (0.3 * side, 0.2, turn + side * 0.8), rng.uniform(0.8, 1.15)))
    p.scatter(p.leaf_mesh(0.17, 0.05), leaf, places)
    return Stage(key=KeyLight((-0.9, -0.55, 0.85), 1.2, (1.0, 0.90, 0.76)), reflection=0.0, keys=[sun])


def linen_morning() -> Stage:
    """A linen cloth in soft folds by morning light, a jug and dried stems behind."""
    set_world("sunrise", strength=0.16, turn=10)

    def folds(x: float, y: float) -> float:
        far = min(1.0, max(0.0, (abs(x) - 0.13) / 0.25) + max(0.0, (y - 0.10) / 0.25))
        wave = 0.010 * math.sin(7 * x + 3.2 * math.sin(2.1 * y + 0.8)) + 0.006 * math.sin(
            13 * y + 5 * x + 2 * math.sin(4 * x)
        )
        return far * (wave + 0.008 * math.sin(21 * x - 9 * y)) + 0.0012 * math.sin(17 * x + 11 * y)

    p.sheet(m.cloth((0.66, 0.60, 0.51)), width=2.4, depth=1.7, at=(0, 0.05, 0), cells=420, height=folds)
    p.box((0, 1.2, -0.03), (2.4, 0.7, 0.03), m.wood(OAK, OAK_DARK))
    p.wall(m.plaster((0.62, 0.56, 0.48)), 1.9)
    p.vase((0.33, 0.95, 0), m.paint((0.60, 0.55, 0.47), 0.85), 0.085, 0.24)
    rng = random.Random(3)
    stem = m.paint((0.45, 0.33, 0.18), 0.9)
    for _ in range(16):
        obj = p.lathe(
            (0.33, 0.95, 0.2),
            [(0.0015, 0), (0.0012, 0.42), (0.006, 0.43), (0.009, 0.47), (0.006, 0.54), (0.0, 0.57)],
            stem,
            steps=8,
        )
        obj.rotation_euler = (rng.uniform(-0.35, 0.35), rng.uniform(-0.4, 0.4), 0)
    p.bowl((-0.36, 0.80, 0), m.paint((0.48, 0.45, 0.40), 0.8), 0.12, 0.07)
    sun = add_sun((-1.0, 0.35, 0.62), 2.6, (1.0, 0.83, 0.62), 3.0)
    bars = m.paint((0.7, 0.68, 0.64))
    p.window((-1.55, 0.35, 0.25), (1.7, 1.6), bars, None, panes=(3, 2), turn=90)
    add_area((-1.6, 0.4, 0.9), (0, 0.2, 0), (1.5, 1.4), 24, (0.95, 0.97, 1.0))
    return Stage(key=KeyLight((-1.0, 0.35, 0.62), 4, (1.0, 0.83, 0.62)), reflection=0.0, keys=[sun])


def garden_stone() -> Stage:
    """A weathered stone slab in a garden, leaves and flowers out of focus."""
    set_world("park", strength=0.75, turn=-20)
    p.slab(m.concrete((0.30, 0.285, 0.25)), near=-0.8, far=0.42, thick=0.06, bevel=0.012)
    p.sheet(
        m.grains((0.045, 0.085, 0.018), (0.02, 0.035, 0.008), 0.01),
        width=16,
        depth=14,
        at=(0, 7.2, -0.25),
        cells=60,
        height=lambda x, y: 0.05 * math.sin(x * 2) * math.sin(y * 3),
    )
    leaf = m.leaf((0.10, 0.23, 0.03), 0.7)
    p.foliage(leaf, (-2.6, 1.7, -0.25), (5.2, 1.2, 0.75), 3600, 0.11, 0.045, 1)
    p.foliage(leaf, (-5.0, 4.5, -0.25), (10.0, 2.0, 2.6), 4200, 0.24, 0.11, 2)
    rng = random.Random(6)
    for colour in ((0.75, 0.10, 0.16), (0.78, 0.62, 0.72), (0.80, 0.55, 0.08)):
        petals = m.paint(colour, 0.6)
        for _ in range(16):
            p.lathe(
                (rng.uniform(-1.5, 1.5), rng.uniform(1.5, 2.3), rng.uniform(0.12, 0.5)),
                [(0.0, 0), (0.03, 0.012), (0.034, 0.024), (0.0, 0.014)],
                petals,
                steps=10,
            )
    sun = add_sun((0.85, 0.25, 1.0), 2.7, (1.0, 0.92, 0.78), 1.5)
    p.foliage(leaf, (0.9, -0.3, 1.1), (0.9, 1.1, 0.6), 120, 0.14, 0.06, 4)
    return Stage(key=KeyLight((0.85, 0.25, 1.0), 2, (1.0, 0.92, 0.78)), reflection=0.0, keys=[sun])


def sand() -> Stage:
    """Rippled sand in low sun, dunes behind."""
    set_sky((0.50, 0.66, 0.92), 0.5)
    rng = random.Random(5)
    phase = [(rng.uniform(2, 9), rng.uniform(0, 6.28), rng.uniform(-3, 3)) for _ in range(6)]

    def ripples(x: float, y: float) -> float:
        bend = sum(math.sin(f * x + q * y + s) for f, s, q in phase[:3]) * 0.35
        crest = math.sin(56 * (y + 0.06 * x) + 2.2 * bend + 1.2 * math.sin(3 * x))
        flat = min(1.0, max(0.12, (math.hypot(x, y * 0.8) - 0.08) / 0.35))
        return flat * 0.0055 * (crest + 0.25 * crest * crest) + 0.004 * sum(
            math.sin(f * x * 0.7 + q * y + s) for f, s, q in phase[3:]
        )

    fine = m.grains((0.58, 0.40, 0.235), (0.34, 0.21, 0.11), 0.0008)
    p.sheet(fine, width=2.6, depth=2.0, at=(0, 0.3, 0), cells=700, height=ripples)
    p.sheet(
        fine,
        width=60,
        depth=40,
        at=(0, 21.2, -0.02),
        cells=90,
        height=lambda x, y: max(0.0, y - 3) * 0.05 * (1 + math.sin(0.3 * x + 0.35 * y)) * 0.55,
    )
    for _ in range(26):
        p.lathe(
            (rng.uniform(-0.8, 0.8), rng.uniform(0.3, 1.2), 0.0),
            [(0, -0.004), (0.012, 0), (0.010, 0.006), (0, 0.009)],
            m.paint((0.5, 0.42, 0.34), 0.7),
            steps=9,
        )
    sun = add_sun((-1.0, 0.3, 0.55), 3.6, (1.0, 0.84, 0.62), 0.8)
    return Stage(key=KeyLight((-1.0, 0.3, 0.55), 1.2, (1.0, 0.84, 0.62)), reflection=0.0, keys=[sun])


def snow() -> Stage:
    """Fresh snow in a low winter sun, firs out of focus."""
    set_sky((0.52, 0.68, 1.0), 0.75)
    rng = random.Random(15)
    waves = [(rng.uniform(1.5, 8), rng.uniform(-6, 6), rng.uniform(0, 6.28)) for _ in range(9)]

    def drift(x: float, y: float) -> float:
        flat = min(1.0, max(0.1, (math.hypot(x, y) - 0.1) / 0.5))
        return flat * 0.006 * sum(math.sin(a * x + b * y + s) for a, b, s in waves) + 0.0012 * sum(
            math.sin(5 * a * x - 4 * b * y + s) for a, b, s in waves[:4]
        )

    white = m.grains((0.80, 0.82, 0.86), (0.68, 0.72, 0.80), 0.0011, sparkle=0.012)
    p.sheet(white, width=2.6, depth=2.2, at=(0, 0.4, 0), cells=520, height=drift)
    p.sheet(
        white,
        width=50,
        depth=34,
        at=(0, 18.3, -0.03),
        cells=80,
        height=lambda x, y: 0.10 * math.sin(0.8 * x) * math.sin(0.6 * y) + max(0.0, y - 6) * 0.03,
    )
    needle, bark = m.leaf((0.022, 0.05, 0.025), 0.5), m.paint((0.06, 0.045, 0.035), 0.9)
    cap = m.paint((0.8, 0.82, 0.86), 0.9)
    for _n in range(15):
        x, y, tall = rng.uniform(-5.5, 5.5), rng.uniform(7, 14), rng.uniform(2.2, 5.0)
        p.trunk((x, y, 0), bark, 0.06, tall * 0.6)
        for k in range(8):
            t = k / 8
            r = 0.30 * tall * (1 - t) * rng.uniform(0.85, 1.1)
            tilt = (rng.uniform(-0.05, 0.05), rng.uniform(-0.05, 0.05), rng.uniform(0, 6))
            p.lathe(
                (x, y, tall * (0.12 + 0.85 * t)),
                [(r, 0), (r * 0.55, 0.07 * tall), (0.02, 0.16 * tall)],
                needle,
                steps=11,
            ).rotation_euler = tilt
            p.lathe(
                (x, y, tall * (0.125 + 0.85 * t)),
                [(r * 0.8, 0.012 * tall), (r * 0.5, 0.08 * tall), (0.0, 0.17 * tall)],
                cap,
                steps=9,
            ).rotation_euler = tilt
    sun = add_sun((0.9, 0.5, 0.6), 2.6, (1.0, 0.83, 0.64), 0.8)
    return Stage(key=KeyLight((0.9, 0.5, 0.6), 1.2, (1.0, 0.83, 0.64)), reflection=0.0, keys=[sun])


def slate_rim() -> Stage:
    """Dark slate with a rim light from behind, almost black around it."""
    set_sky((0.35, 0.45, 0.6), 0.035)
    p.slab(m.slate(), near=-0.9, far=1.3, bevel=0.006)
    p.wall(m.plaster((0.05, 0.053, 0.058), 1.5), 2.0)
    back = add_area((0.75, 1.25, 0.85), (0, 0, 0.05), (0.5, 0.9), 34, (0.80, 0.90, 1.0))
    add_area((-1.3, -0.3, 1.0), (0, 0.1, 0), (0.9, 0.9), 9, (1.0, 0.86, 0.7))
    add_area((-0.15, 1.7, 0.15), (-0.05, 2.05, 0.6), (0.4, 0.1), 5, (0.7, 0.82, 1.0))
    return Stage(key=KeyLight((0.75, 1.25, 0.85), 24, (0.80, 0.90, 1.0)), reflection=0.07, keys=[back])


def pastel_podiums() -> Stage:
    """Round podiums and an arch in pastel paint under one soft lamp."""
    set_sky((0.95, 0.93, 0.92), 0.38)
    rose, sand_, mint = (
        m.paint((0.66, 0.40, 0.36), 0.75),
        m.paint((0.70, 0.56, 0.44), 0.75),
        m.paint((0.48, 0.56, 0.48), 0.75),
    )
    p.box((0, 1.4, -0.33), (6, 6, 0.02), rose, bevel=0)
    p.wall(rose, 1.0, base=-0.4)

    def drum(x: float, y: float, top: float, radius: float, paint: object) -> None:
        edge = 0.004
        p.lathe(
            (x, y, -0.31),
            [
                (radius, 0),
                (radius, top + 0.31 - edge),
                (radius - edge * 0.3, top + 0.31 - edge * 0.3),
                (radius - edge, top + 0.31),
                (0, top + 0.31),
            ],
            paint,
            steps=160,
        )

    drum(0, 0.05, 0.0, 0.21, sand_)
    drum(-0.36, 0.42, 0.10, 0.14, mint)
    drum(0.36, 0.50, -0.09, 0.17, m.paint((0.70, 0.66, 0.60), 0.75))
    drum(0.52, 0.30, -0.2, 0.10, rose)
    p.lathe(
        (-0.36, 0.42, 0.10),
        [(0, 0), (0.03, 0.006), (0.055, 0.03), (0.062, 0.062), (0.055, 0.094), (0.03, 0.118), (0, 0.124)],
        sand_,
    )
    p.arch((0.06, 0.86, 0.12), 0.33, 0.05, 0.12, sand_)
    lamp = add_area((-1.4, -0.5, 1.6), (0, 0.2, 0), (0.7, 0.7), 62, (1.0, 0.96, 0.92))
    return Stage(camera=Camera(contact=0.74), key=KeyLight((-1.4, -0.5, 1.6), 18), reflection=0.0, keys=[lamp])


def shelf() -> Stage:
    """An oak shelf on a painted wall, books and a plant beside."""
    set_world("apartment", strength=0.6, turn=30)
    p.box((0, 0.04, -0.035), (2.4, 0.30, 0.035), m.wood(OAK, OAK_DARK), bevel=0.003)
    p.wall(m.plaster((0.30, 0.36, 0.34)), 0.20, base=-1.5)
    covers = [
        m.paint(c, 0.7)
        for c in ((0.55, 0.50, 0.42), (0.10, 0.16, 0.22), (0.42, 0.16, 0.10), (0.60, 0.42, 0.16), (0.18, 0.26, 0.20))
    ]
    p.books((-0.62, 0.07, 0), 0.30, covers, seed=7, height=0.23)
    p.plant(
        (0.36, 0.06, 0.07),
        m.leaf((0.11, 0.22, 0.06)),
        height=0.16,
        leaves=60,
        length=0.09,
        width=0.045,
        seed=12,
        spread=1.4,
    )
    p.lathe(
        (0.36, 0.06, 0),
        [(0.05, 0), (0.06, 0.09), (0.057, 0.09), (0.05, 0.075), (0, 0.075)],
        m.paint((0.64, 0.60, 0.54), 0.7),
    )
    p.box((0.20, 0.15, 0), (0.20, 0.018, 0.26), m.wood(WALNUT, WALNUT_DARK), bevel=0.002, tilt=-6)
    p.box((0.20, 0.139, 0.013), (0.165, 0.004, 0.22), m.paint((0.74, 0.72, 0.68), 0.9), bevel=0, tilt=-6)
    lamp = add_area((-1.3, -0.9, 1.1), (0, 0, 0.05), (0.7, 0.9), 42, (1.0, 0.93, 0.84))
    return Stage(
        camera=Camera(pitch=6, contact=0.80, disc=0.02),
        key=KeyLight((-1.3, -0.9, 1.1), 22),
        reflection=0.03,
        keys=[lamp],
    )


def desk() -> Stage:
    """A desk in a bright study: screen, notebook, lamp, shelves out of focus."""
    set_world("lab", strength=0.16, turn=0)
    p.slab(m.wood((0.60, 0.43, 0.26), (0.40, 0.26, 0.13), gloss=0.5), far=0.75)
    p.wall(m.plaster((0.68, 0.68, 0.66)), 1.9)
    dark = m.paint((0.03, 0.032, 0.035), 0.4)
    p.box((-0.22, 0.66, 0.11), (0.52, 0.018, 0.31), dark, bevel=0.006)
    p.box((-0.22, 0.649, 0.122), (0.50, 0.002, 0.286), m.glow((0.30, 0.42, 0.58), 0.55), bevel=0)
    p.box((-0.22, 0.69, 0), (0.05, 0.03, 0.2), m.metal(), bevel=0.004)
    p.box((-0.22, 0.68, 0), (0.2, 0.16, 0.008), m.metal(), bevel=0.003)
    p.box((0.27, 0.42, 0), (0.15, 0.21, 0.014), m.paint((0.32, 0.12, 0.08), 0.7), turn=-14)
    p.box((0.27, 0.42, 0.014), (0.145, 0.205, 0.004), m.paint((0.75, 0.73, 0.68), 0.9), bevel=0, turn=-12)
    p.box((-0.16, 0.40, 0), (0.40, 0.12, 0.012), m.paint((0.66, 0.66, 0.66), 0.5), bevel=0.004, turn=3)
    p.cup((0.40, 0.62, 0), m.paint((0.15, 0.27, 0.32), 0.3), 0.042, 0.095)
    metal = m.metal((0.72, 0.56, 0.28), 0.25)
    p.lathe((0.52, 0.70, 0), [(0.08, 0), (0.08, 0.012), (0.008, 0.02), (0.008, 0.36), (0, 0.36)], metal)
    p.pendant((0.44, 0.68, 0.32), metal, m.glow(WARM, 9), 0.085)
    for z in (0.32, 0.68):
        p.box((0.35, 1.78, z), (1.3, 0.24, 0.03), m.wood(OAK, OAK_DARK))
    covers = [
        m.paint(c, 0.7)
        for c in (
            (0.60, 0.56, 0.5),
            (0.10, 0.2, 0.3),
            (0.55, 0.25, 0.12),
            (0.65, 0.55, 0.3),
            (0.2, 0.3, 0.25),
            (0.4, 0.4, 0.42),
        )
    ]
    p.books((-0.2, 1.74, 0.35), 0.75, covers, seed=3)
    p.books((0.1, 1.74, 0.71), 0.6, covers, seed=5)
    p.plant((-0.16, 1.74, 0.78), m.leaf(), height=0.22, leaves=50, length=0.10, width=0.05, seed=8, spread=1.3)
    lamp = add_area((1.6, 0.5, 1.2), (0, 0, 0.05), (1.0, 1.3), 72, (0.96, 0.98, 1.0))
    return Stage(key=KeyLight((1.6, 0.5, 1.2), 32), reflection=0.04, keys=[lamp])


SETS = {
    "oak-window": oak_window,
    "walnut-evening": walnut_evening,
    "kitchen-counter": kitchen_counter,
    "marble-bath": marble_bath,
    "cafe-bar": cafe_bar,
    "concrete-leaves": concrete_leaves,
    "linen-morning": linen_morning,
    "garden-stone": garden_stone,
    "sand": sand,
    "snow": snow,
    "slate-rim": slate_rim,
    "pastel-podiums": pastel_podiums,
    "shelf": shelf,
    "desk": desk,
}
