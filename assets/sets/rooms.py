"""Rooms: places where a person stands, seen at the height of the eyes, out of focus."""

from __future__ import annotations

import math
import random

import materials as m
import props as p
from stage import Camera, KeyLight, Stage, add_area, add_sun, set_sky, set_world
from tables import OAK, OAK_DARK, WALNUT, WALNUT_DARK, WARM

EYE = Camera(pitch=0.0, distance=2.3, focal=2.0, contact=0.38, disc=0.034, eye=1.55)
WHITE = (0.72, 0.71, 0.69)


def shell(floor: object, wall: object, ceiling: object | None, *, wide: float, deep: float, high: float = 2.8) -> None:
    """Floor, side and back walls and ceiling of a room in which the subject stands near the front."""
    p.box((0, deep / 2 - 2, -0.05), (wide, deep + 8, 0.05), floor, bevel=0)
    p.box((0, deep + 0.05, 0), (wide, 0.1, high), wall, bevel=0)
    for side in (-1, 1):
        p.box((side * (wide / 2 + 0.05), deep / 2 - 1, 0), (0.1, deep + 2, high), wall, bevel=0)
    if ceiling is not None:
        p.box((0, deep / 2 - 1, high), (wide, deep + 2, 0.1), ceiling, bevel=0)


def panels(rows: list[tuple[float, float]], high: float, power: float, size: tuple[float, float] = (0.6, 1.2)) -> None:
    """Lamps in the ceiling at (x, y): a shining plate that the camera sees, and the light that it gives."""
    lit = m.glow((1.0, 0.97, 0.92), 5.0)
    for x, y in rows:
        p.box((x, y, high - 0.02), (*size, 0.015), lit, bevel=0).visible_shadow = False
        add_area((x, y, high - 0.04), (x, y, 0), size, power, (1.0, 0.97, 0.92))


def workplace(x: float, y: float, turn: float, top: object, dark: object, screen: object) -> None:
    """A desk with a screen and a chair."""
    p.box((x, y, 0.70), (1.5, 0.75, 0.03), top, turn=turn)
    for dx in (-0.68, 0.68):
        p.box(
            (x + dx * math.cos(math.radians(turn)), y + dx * math.sin(math.radians(turn)), 0),
            (0.05, 0.6, 0.7),
            dark,
            turn=turn,
        )
    p.box((x, y + 0.15, 0.88), (0.62, 0.025, 0.36), dark, turn=turn)
    p.box((x, y + 0.13, 0.895), (0.59, 0.004, 0.33), screen, bevel=0, turn=turn)
    p.box((x, y + 0.17, 0.73), (0.06, 0.04, 0.16), dark, turn=turn)
    p.chair((x + 0.1, y - 0.65, 0.02), m.paint((0.12, 0.14, 0.16), 0.7), dark, turn + 190)


def office() -> Stage:
    """A bright open office: a window front, desks, screens, plants."""
    set_world("park", strength=0.5, turn=30)
    shell(m.concrete((0.30, 0.295, 0.285), 0.5), m.plaster((0.70, 0.69, 0.67)), m.paint(WHITE, 0.9), wide=8, deep=9.5)
    frame, out = m.paint((0.10, 0.105, 0.11), 0.4), m.outdoors(2.4)
    p.box((-3.96, 4.2, 0.5), (0.01, 10, 2.2), out, bevel=0)
    for n in range(9):
        p.box((-3.92, -0.6 + 1.2 * n, 0.4), (0.06, 0.06, 2.4), frame)
    p.box((-3.92, 4.2, 0.45), (0.1, 10, 0.06), frame)
    sun = add_area((-3.85, 3.0, 1.7), (0, 1.5, 1.2), (6.0, 2.0), 420, (0.95, 0.98, 1.0))
    panels([(0.4, 2.5), (0.4, 5.0), (0.4, 7.5), (2.6, 3.5), (2.6, 6.5)], 2.8, 22)
    top, dark = m.paint((0.70, 0.68, 0.64), 0.5), m.paint((0.06, 0.062, 0.066), 0.45)
    screen = m.glow((0.36, 0.46, 0.58), 0.8)
    for x, y, turn in ((-1.6, 4.0, 4), (-1.5, 6.4, -3), (1.7, 4.6, 2), (1.6, 7.0, 0)):
        workplace(x, y, turn, top, dark, screen)
    pot = m.paint((0.62, 0.60, 0.56), 0.7)
    for x, y, tall in ((0.75, 5.4, 1.1), (-2.9, 5.2, 1.5), (3.2, 8.2, 1.3)):
        p.lathe((x, y, 0), [(0.16, 0), (0.2, 0.4), (0.19, 0.4), (0.15, 0.3), (0, 0.3)], pot)
        p.plant(
            (x, y, 0.3),
            m.leaf((0.07, 0.17, 0.04)),
            height=tall,
            leaves=90,
            length=0.26,
            width=0.10,
            seed=round(tall * 10),
        )
    p.box((1.2, 9.3, 0), (3.2, 0.3, 2.0), m.wood(OAK, OAK_DARK))
    covers = [m.paint(c, 0.7) for c in ((0.5, 0.5, 0.5), (0.2, 0.3, 0.4), (0.6, 0.4, 0.2), (0.7, 0.7, 0.68))]
    p.books((-0.2, 9.1, 1.2), 2.2, covers, seed=4, height=0.3)
    return Stage(camera=EYE, key=KeyLight((-1.0, 0.3, 0.35), 60), keys=[sun], reflection=0.05)


def meeting_room() -> Stage:
    """A meeting room behind glass: a long table, chairs, a screen on the wall."""
    set_world("lobby", strength=0.35, turn=0)
    shell(m.paint((0.17, 0.175, 0.18), 0.85), m.plaster((0.62, 0.62, 0.60)), m.paint(WHITE, 0.9), wide=7, deep=8.5)
    frame, pane = m.paint((0.05, 0.05, 0.055), 0.35), m.glass((0.93, 0.97, 0.96))
    for n in range(7):
        p.box((-3.0 + n, 2.6, 0), (0.045, 0.06, 2.8), frame)
    for z in (0.0, 2.1, 2.74):
        p.box((0, 2.6, z), (7, 0.05, 0.05), frame)
    p.box((0, 2.6, 0.05), (6.9, 0.012, 2.7), pane, bevel=0)
    p.box((0.2, 5.2, 0.70), (1.3, 3.2, 0.05), m.wood(WALNUT, WALNUT_DARK, gloss=0.3), bevel=0.01)
    p.box((0.2, 5.2, 0), (0.5, 2.2, 0.7), frame)
    seat = m.paint((0.30, 0.20, 0.13), 0.6)
    for n in range(4):
        p.chair((-0.75, 4.0 + 0.8 * n, 0), seat, frame, 90)
        p.chair((1.15, 4.0 + 0.8 * n, 0), seat, frame, -90)
    p.box((0.2, 8.4, 1.0), (2.2, 0.05, 1.25), frame)
    p.box((0.2, 8.37, 1.03), (2.14, 0.01, 1.19), m.glow((0.20, 0.34, 0.52), 1.0), bevel=0)
    panels([(0.2, 4.2), (0.2, 6.2), (-2.2, 5.2), (2.4, 5.2)], 2.8, 34)
    lamp = add_area((2.6, -0.3, 2.5), (0, 0, 1.4), (1.6, 1.2), 120, (1.0, 0.96, 0.9))
    p.box((-3.45, 6, 0.9), (0.02, 3.6, 1.7), m.outdoors(2.2), bevel=0)
    p.plant((2.7, 7.6, 0.3), m.leaf((0.06, 0.15, 0.04)), height=1.3, leaves=80, length=0.3, width=0.1, seed=6)
    return Stage(camera=EYE, key=KeyLight((2.6, -0.3, 1.0), 35), keys=[lamp], reflection=0.03)


def library() -> Stage:
    """An old library: high oak shelves full of books, lamps with warm light."""
    set_world("apartment", strength=0.12, turn=0)
    shell(m.wood(WALNUT, WALNUT_DARK, gloss=0.3), m.plaster((0.35, 0.26, 0.18)), None, wide=6.4, deep=9.0, high=4.0)
    oak = m.wood((0.30, 0.16, 0.075), (0.15, 0.07, 0.03), gloss=0.35)
    colours = (
        (0.28, 0.07, 0.05),
        (0.08, 0.13, 0.09),
        (0.10, 0.11, 0.2),
        (0.42, 0.28, 0.12),
        (0.2, 0.12, 0.07),
        (0.5, 0.42, 0.3),
    )
    covers = [m.paint(c, 0.55) for c in colours]
    for z in [0.15 + 0.36 * n for n in range(8)]:
        p.box((0, 8.3, z - 0.03), (5.6, 0.32, 0.03), oak)
        p.books((-2.7, 8.25, z), 5.4, covers, seed=round(z * 100), height=0.3)
        for side in (-1, 1):
            for y in (3.4, 5.9):
                p.box((side * 2.45, y + 1.0, z - 0.03), (0.34, 2.1, 0.03), oak)
                row = random.Random(round(z * 100) + side + round(y))
                at = y
                while at < y + 1.95:
                    thick = row.uniform(0.025, 0.06)
                    p.box(
                        (side * 2.40, at, z),
                        (row.uniform(0.15, 0.22), thick * 0.95, 0.3 * row.uniform(0.7, 1.0)),
                        row.choice(covers),
                    )
                    at += thick
    for side in (-1, 1):
        for y in (3.35, 5.55, 8.0):
            p.box((side * 2.45, y, 0), (0.36, 0.08, 3.1), oak)
    for x in (-2.7, -0.9, 0.9, 2.7):
        p.box((x, 8.25, 0), (0.08, 0.36, 3.1), oak)
    for x, y in ((-1.2, 5.0), (1.25, 6.2), (-0.9, 7.4)):
        p.pendant((x, y, 2.05), m.paint((0.05, 0.16, 0.10), 0.25), m.glow(WARM, 18), 0.2)
        add_area((x, y, 2.0), (x, y + 0.3, 0.8), (0.35, 0.35), 55, WARM)
    for y in (4.4, 6.9):
        add_area((0, y, 3.6), (0, y + 0.4, 0), (3.0, 1.0), 70, (1.0, 0.80, 0.56))
    lamp = add_area((-1.7, -0.7, 2.5), (0, 0, 1.4), (0.9, 0.9), 62, (1.0, 0.84, 0.64))
    return Stage(camera=EYE, key=KeyLight((-1.7, -0.7, 1.1), 28, (1.0, 0.84, 0.64)), keys=[lamp])


def loft() -> Stage:
    """A brick loft: a wall of old bricks, steel windows, a leather sofa, a plant."""
    set_world("sky", strength=0.4, turn=60)
    p.box((0, 3, -0.05), (12, 16, 0.05), m.wood((0.36, 0.22, 0.12), (0.18, 0.09, 0.04)), bevel=0)
    p.box((0, 6.05, 0), (12, 0.1, 4.2), m.bricks(), bevel=0)
    frame, out = m.paint((0.03, 0.032, 0.035), 0.4), m.glow((0.86, 0.93, 1.0), 3.2)
    p.box((-2.85, 5.99, 0.85), (1.7, 0.02, 2.5), out, bevel=0)
    for n in range(5):
        p.box((-3.7 + 0.425 * n, 5.95, 0.85), (0.035, 0.05, 2.5), frame)
    for n in range(7):
        p.box((-2.85, 5.95, 0.85 + 0.415 * n), (1.75, 0.05, 0.035), frame)
    leather = m.paint((0.24, 0.105, 0.045), 0.42)
    p.box((1.55, 5.2, 0.18), (2.0, 0.85, 0.26), leather, bevel=0.07)
    p.box((1.55, 5.58, 0.40), (2.0, 0.22, 0.48), leather, bevel=0.09)
    for x in (0.55, 2.55):
        p.box((x, 5.2, 0.3), (0.2, 0.85, 0.36), leather, bevel=0.08)
    p.box((1.25, 5.42, 0.46), (0.42, 0.14, 0.4), m.cloth((0.55, 0.50, 0.40), 0.005), bevel=0.06, tilt=-14, turn=6)
    p.lathe(
        (-0.35, 5.5, 0),
        [(0.17, 0), (0.2, 0.42), (0.19, 0.42), (0.15, 0.34), (0, 0.34)],
        m.paint((0.50, 0.47, 0.42), 0.8),
    )
    p.plant((-0.35, 5.5, 0.36), m.leaf((0.06, 0.15, 0.035)), height=1.5, leaves=90, length=0.34, width=0.16, seed=14)
    p.box((1.35, 5.98, 1.45), (0.95, 0.03, 0.7), frame)
    p.box((1.35, 5.96, 1.5), (0.85, 0.01, 0.6), m.plaster((0.62, 0.52, 0.40), 2.0), bevel=0)
    for x in (0.6, 2.3):
        p.pendant((x, 4.6, 2.25), frame, m.glow(WARM, 16), 0.19)
        add_area((x, 4.6, 2.25), (x, 4.9, 0), (0.3, 0.3), 60, WARM)
    key = add_area((-3.4, 1.8, 2.4), (0, 0.4, 1.2), (2.2, 2.0), 330, (0.94, 0.97, 1.0))
    return Stage(camera=EYE, key=KeyLight((-3.4, 1.8, 1.2), 36), keys=[key])


def hallway() -> Stage:
    """A long bright hallway with doors, lamps in the ceiling and a polished floor."""
    set_sky((0.9, 0.95, 1.0), 0.25)
    shell(
        m.concrete((0.42, 0.41, 0.39), 0.16),
        m.plaster((0.66, 0.65, 0.62)),
        m.paint(WHITE, 0.9),
        wide=2.9,
        deep=16,
        high=2.7,
    )
    door, frame = m.wood(OAK, OAK_DARK), m.paint((0.16, 0.165, 0.17), 0.4)
    for side in (-1, 1):
        for n in range(6):
            y = 2.5 + 2.4 * n + (0.9 if side > 0 else 0)
            p.box((side * 1.44, y, 0), (0.05, 1.05, 2.15), frame)
            p.box((side * 1.41, y, 0), (0.04, 0.92, 2.08), door)
            p.lathe((side * 1.36, y + 0.36, 1.02), [(0.0, 0), (0.016, 0.0), (0.016, 0.05), (0, 0.05)], m.metal())
        p.box((side * 1.43, 7, 0), (0.03, 18, 0.1), frame)
    p.box((0, 15.95, 0.9), (1.6, 0.02, 1.7), m.glow((0.88, 0.94, 1.0), 4.0), bevel=0)
    panels([(0, 1.5 + 2.2 * n) for n in range(7)], 2.7, 26, (0.5, 1.1))
    lamp = add_area((1.2, -0.9, 2.4), (0, 0, 1.5), (0.9, 0.9), 48, (1.0, 0.97, 0.93))
    return Stage(camera=EYE, key=KeyLight((1.2, -0.9, 0.9), 34), keys=[lamp], reflection=0.12)


def studio_room() -> Stage:
    """A sweep of warm grey paper lit by one large softbox: the falloff of a real lamp."""
    set_sky((1.0, 1.0, 1.0), 0.06)
    paper = m.paint((0.42, 0.40, 0.38), 0.95, wear=0.01)

    def sweep(x: float, y: float) -> float:
        along = max(0.0, min(y - 1.2, 1.9))
        return 1.9 - math.sqrt(1.9**2 - along**2) + 40 * max(0.0, y - 3.1)

    p.sheet(paper, width=9, depth=9, at=(0, -1.28, 0), cells=260, height=sweep)
    lamp = add_area((-1.7, -1.1, 2.3), (0, 0.6, 1.3), (1.2, 1.6), 200, (1.0, 0.985, 0.96))
    add_area((0.9, 1.2, 3.1), (0.35, 3.0, 1.5), (0.25, 0.25), 60, (1.0, 0.97, 0.93))
    return Stage(camera=EYE, key=KeyLight((-1.7, -1.1, 0.9), 40), keys=[lamp])


def terrace() -> Stage:
    """A roof terrace in summer: a wooden deck, plants in tubs, a railing, hills far away."""
    set_sky((0.42, 0.62, 0.95), 0.95)
    deck = m.wood((0.42, 0.29, 0.18), (0.24, 0.15, 0.09), gloss=0.7)
    for n in range(46):
        p.box((0, -2 + 0.15 * n, -0.03), (10, 0.142, 0.03), deck, bevel=0.004)
    rail = m.paint((0.04, 0.042, 0.045), 0.4)
    p.box((0, 4.85, 1.02), (10, 0.06, 0.04), rail)
    for n in range(80):
        p.box((-5 + 0.125 * n, 4.85, 0), (0.014, 0.014, 1.02), rail, bevel=0)
    for layer, (y, tall, tone) in enumerate(
        ((60, 4.5, (0.06, 0.12, 0.05)), (110, 10, (0.12, 0.19, 0.16)), (190, 20, (0.24, 0.33, 0.40)))
    ):
        p.sheet(
            m.paint(tone, 1.0),
            width=260,
            depth=30,
            at=(0, y + 15, -5),
            cells=130,
            height=lambda x, v, t=tall, k=layer, start=y: (
                min(1.0, (v - start) / 12)
                * t
                * (0.6 + 0.25 * math.sin(0.05 * x + k) + 0.15 * math.sin(0.13 * x + 2 * k))
            ),
        )
    leaf, pot = m.leaf((0.10, 0.20, 0.03), 0.6), m.paint((0.48, 0.24, 0.14), 0.8)
    rng = random.Random(3)
    for x, tall in ((-1.9, 1.6), (-1.15, 1.0), (1.5, 1.2), (2.3, 1.9)):
        p.lathe((x, 4.3, 0), [(0.2, 0), (0.26, 0.42), (0.24, 0.42), (0.2, 0.36), (0, 0.36)], pot)
        p.foliage(leaf, (x - 0.42, 3.95, 0.4), (0.84, 0.7, tall - 0.3), 340, 0.13, 0.055, round(tall * 10))
        for _ in range(22):
            at = (x + rng.uniform(-0.4, 0.4), 4.0 + rng.uniform(-0.1, 0.5), rng.uniform(0.6, tall))
            p.lathe(at, [(0, 0), (0.04, 0.015), (0.05, 0.03), (0, 0.02)], m.paint((0.78, 0.2, 0.35), 0.6), steps=8)
    p.chair((0.6, 3.9, 0), m.cloth((0.62, 0.60, 0.54), 0.004), rail, 30)
    sun = add_sun((0.9, -0.15, 0.75), 2.9, (1.0, 0.91, 0.76), 0.8)
    return Stage(camera=EYE, key=KeyLight((0.9, -0.15, 0.75), 1.2, (1.0, 0.91, 0.76)), keys=[sun])


def theatre_stage() -> Stage:
    """A stage: dark curtains, spots from above, lamps out of focus."""
    set_sky((0.2, 0.3, 0.5), 0.01)
    p.box((0, 4, -0.05), (14, 14, 0.05), m.wood((0.10, 0.055, 0.03), (0.04, 0.02, 0.01), gloss=0.22), bevel=0)
    velvet = m.cloth((0.20, 0.012, 0.022), 0.004, 1.0, sheen=0.8)

    def pleats(x: float, z: float) -> float:
        return 0.11 * math.sin(9 * x + 0.6 * math.sin(2 * x)) + 0.03 * math.sin(23 * x + 1.3)

    curtain = p.sheet(velvet, width=12, depth=6, cells=520, height=pleats)
    curtain.rotation_euler, curtain.location = (math.pi / 2, 0, 0), (0, 6.6, 2.8)
    bulb = m.glow((1.0, 0.86, 0.66), 60)
    rig = m.paint((0.02, 0.02, 0.02), 0.5)
    p.box((0, 5.6, 2.62), (11, 0.08, 0.08), rig)
    for n, x in enumerate((-2.1, -1.25, -0.4, 0.45, 1.3, 2.15)):
        p.box((x, 5.55, 2.4), (0.16, 0.24, 0.2), rig, tilt=-30)
        p.lathe((x, 5.38, 2.4), [(0, 0), (0.07, 0), (0.07, 0.01), (0, 0.01)], bulb).rotation_euler = (1.2, 0, 0)
        colour = ((1.0, 0.72, 0.42), (0.45, 0.6, 1.0))[n % 2]
        add_area((x, 5.5, 2.75), (x * 0.9, 6.6, 1.2), (0.18, 0.18), 50, colour)
    back = add_area((1.9, 2.6, 3.0), (0, 0, 1.5), (0.4, 0.4), 130, (0.66, 0.78, 1.0))
    key = add_area((-2.2, -1.6, 3.0), (0, 0, 1.5), (0.45, 0.45), 170, (1.0, 0.90, 0.76))
    return Stage(camera=EYE, key=KeyLight((-2.2, -1.6, 1.5), 9, (1.0, 0.90, 0.76)), keys=[key, back], reflection=0.1)


SETS = {
    "office": office,
    "meeting-room": meeting_room,
    "library": library,
    "loft": loft,
    "hallway": hallway,
    "studio-room": studio_room,
    "terrace": terrace,
    "stage": theatre_stage,
}
