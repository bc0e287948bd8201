"""Things of the sets: boards, walls, windows, plants, cups, books. Sizes in metres; each has bevelled edges."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import bmesh
import bpy
from stage import link

Point = tuple[float, float, float]


def finish(obj: bpy.types.Object, material: Any, bevel: float = 0.0, smooth: bool = False) -> bpy.types.Object:
    """Give an object its material, worn edges of `bevel` metres and smooth shading."""
    obj.data.materials.append(material)
    if bevel:
        modifier = obj.modifiers.new("bevel", "BEVEL")
        modifier.width, modifier.segments, modifier.limit_method = bevel, 3, "ANGLE"
        modifier.harden_normals = False
    if smooth or bevel:
        for polygon in obj.data.polygons:
            polygon.use_smooth = smooth
    return obj


def from_bmesh(name: str, build: Callable[[bmesh.types.BMesh], None]) -> bpy.types.Object:
    """Add a mesh that `build` fills."""
    shape = bmesh.new()
    build(shape)
    mesh = bpy.data.meshes.new(name)
    shape.to_mesh(mesh)
    shape.free()
    return link(name, mesh)


def box(at: Point, size: Point, material: Any, *, bevel: float = 0.002, turn: float = 0.0, tilt: float = 0.0) -> Any:
    """A box: `at` is the middle of its lower face, `turn` is around z and `tilt` around x, in degrees."""

    def build(shape: bmesh.types.BMesh) -> None:
        bmesh.ops.create_cube(shape, size=1.0)
        for vertex in shape.verts:
            vertex.co.x *= size[0]
            vertex.co.y *= size[1]
            vertex.co.z = (vertex.co.z + 0.5) * size[2]

    obj = from_bmesh("box", build)
    obj.location = at
    obj.rotation_euler = (math.radians(tilt), 0, math.radians(turn))
    return finish(obj, material, bevel)


def lathe(at: Point, profile: list[tuple[float, float]], material: Any, *, steps: int = 64, turn: float = 0.0) -> Any:
    """A turned body such as a cup, a vase, a bottle: `profile` are (radius, height) from the bottom up."""

    def build(shape: bmesh.types.BMesh) -> None:
        rings = []
        for radius, height in profile:
            ring = []
            for n in range(steps):
                angle = 2 * math.pi * n / steps
                ring.append(shape.verts.new((radius * math.cos(angle), radius * math.sin(angle), height)))
            rings.append(ring)
        for low, high in itertools.pairwise(rings):
            for n in range(steps):
                shape.faces.new((low[n], low[(n + 1) % steps], high[(n + 1) % steps], high[n]))
        if profile[0][0] > 0:
            shape.faces.new(list(reversed(rings[0])))
        if profile[-1][0] > 0:
            shape.faces.new(rings[-1])

    obj = from_bmesh("lathe", build)
    obj.location, obj.rotation_euler = at, (0, 0, turn)
    obj.data.materials.append(material)
    for polygon in obj.data.polygons:
        polygon.use_smooth = True
    modifier = obj.modifiers.new("edges", "EDGE_SPLIT")
    modifier.split_angle = math.radians(50)
    return obj


def cup(at: Point, material: Any, radius: float = 0.04, height: float = 0.08, drink: Any = None) -> None:
    """A cup without a handle, with a wall of 3 mm and perhaps a drink in it."""
    r, h = radius, height
    lathe(
        at,
        [
            (r * 0.62, 0),
            (r * 0.75, 0.004),
            (r, h * 0.55),
            (r, h),
            (r - 0.003, h + 0.001),
            (r - 0.0035, h * 0.5),
            (r * 0.6, 0.006),
            (0.0, 0.006),
        ],
        material,
    )
    if drink is not None:
        lathe((at[0], at[1], at[2] + h * 0.78), [(r - 0.003, 0), (0.0, 0.0005)], drink)


def bottle(at: Point, material: Any, radius: float = 0.035, height: float = 0.26) -> None:
    """A bottle with shoulders and a neck."""
    r, h = radius, height
    lathe(
        at,
        [
            (r * 0.9, 0),
            (r, 0.006),
            (r, h * 0.6),
            (r * 0.85, h * 0.68),
            (r * 0.36, h * 0.8),
            (r * 0.34, h * 0.97),
            (r * 0.4, h * 0.975),
            (r * 0.4, h),
            (0, h),
        ],
        material,
    )


def vase(at: Point, material: Any, radius: float = 0.06, height: float = 0.2) -> None:
    """A bellied vase."""
    r, h = radius, height
    points = [
        (0.55, 0),
        (0.72, 0.06),
        (0.98, 0.3),
        (1.0, 0.45),
        (0.82, 0.7),
        (0.42, 0.88),
        (0.4, 0.94),
        (0.5, 1.0),
        (0.46, 1.0),
        (0.36, 0.94),
        (0.36, 0.7),
    ]
    lathe(at, [(r * x, h * y) for x, y in points], material)


def bowl(at: Point, material: Any, radius: float = 0.11, height: float = 0.06) -> None:
    """A wide bowl."""
    r, h = radius, height
    points = [(0.4, 0), (0.45, 0.08), (0.8, 0.45), (1.0, 1.0), (0.97, 1.0), (0.76, 0.5), (0.4, 0.16), (0.0, 0.12)]
    lathe(at, [(r * x, h * y) for x, y in points], material)


def boards(
    material: Any,
    *,
    width: float = 2.4,
    near: float = -0.7,
    far: float = 0.55,
    count: int = 7,
    thick: float = 0.03,
    gap: float = 0.0012,
    seed: int = 1,
    across: bool = False,
) -> None:
    """A table top of boards along x (along y with `across`), none of exactly the same height."""
    rng = random.Random(seed)
    span = far - near
    at = near
    for n in range(count):
        wide = span / count * (rng.uniform(0.9, 1.1) if n < count - 1 else 1.0)
        wide = min(wide, far - at) if n < count - 1 else far - at
        top = rng.uniform(-0.0006, 0.0)
        obj = box(
            (rng.uniform(-0.2, 0.2), at + wide / 2, top - thick), (width, wide - gap, thick), material, bevel=0.0016
        )
        obj.rotation_euler[2] = rng.uniform(-0.0004, 0.0004)
        at += wide
    if across:
        for obj in list(bpy.context.scene.collection.objects)[-count:]:
            obj.location = (obj.location.y, obj.location.x, obj.location.z)
            obj.rotation_euler[2] += math.pi / 2


def slab(
    material: Any,
    *,
    width: float = 2.4,
    near: float = -0.8,
    far: float = 0.55,
    thick: float = 0.03,
    bevel: float = 0.003,
) -> Any:
    """A table top of one piece; its far edge is `far` behind the subject."""
    return box((0, (near + far) / 2, -thick), (width, far - near, thick), material, bevel=bevel)


def sheet(
    material: Any,
    *,
    width: float,
    depth: float,
    at: Point = (0, 0, 0),
    cells: int = 160,
    height: Callable[[float, float], float],
    smooth: bool = True,
) -> Any:
    """A sheet of `height(x, y)` metres, such as cloth, sand, snow, lawn."""
    columns, rows = cells, max(2, round(cells * depth / width))

    def build(shape: bmesh.types.BMesh) -> None:
        grid = []
        for j in range(rows + 1):
            y = depth * (j / rows - 0.5) + at[1]
            grid.append(
                [
                    shape.verts.new((x, y, at[2] + height(x, y)))
                    for x in (width * (i / columns - 0.5) + at[0] for i in range(columns + 1))
                ]
            )
        for j in range(rows):
            for i in range(columns):
                shape.faces.new((grid[j][i], grid[j][i + 1], grid[j + 1][i + 1], grid[j + 1][i]))

    return finish(from_bmesh("sheet", build), material, smooth=smooth)


def wall(material: Any, y: float, *, width: float = 8.0, height: float = 4.0, base: float = -0.8) -> Any:
    """A wall across the picture at distance `y`."""
    return box((0, y + 0.05, base), (width, 0.1, height), material, bevel=0)


def window(
    at: Point,
    size: tuple[float, float],
    frame: Any,
    outside: Any | None = None,
    *,
    panes: tuple[int, int] = (2, 2),
    turn: float = 0.0,
    bar: float = 0.05,
) -> None:
    """A window in the x-z plane (turned by `turn` degrees around z): `at` is the middle of its lower edge."""
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def put(x: float, y: float, z: float, wide: float, deep: float, tall: float) -> None:
        box(
            (at[0] + c * x - s * y, at[1] + s * x + c * y, at[2] + z), (wide, deep, tall), frame, bevel=0.004, turn=turn
        )

    width, height = size
    for n in range(panes[0] + 1):
        put(-width / 2 + width * n / panes[0], 0, 0, bar if n in (0, panes[0]) else bar * 0.6, 0.06, height)
    for n in range(panes[1] + 1):
        put(0, 0, height * n / panes[1] - bar / 2, width + bar, 0.06, bar if n in (0, panes[1]) else bar * 0.6)
    if outside is not None:
        y = 0.035
        box((at[0] - s * y, at[1] + c * y, at[2]), (width, 0.004, height), outside, bevel=0, turn=turn)


def leaf_mesh(length: float, width: float, fold: float = 0.15) -> bpy.types.Mesh:
    """A pointed leaf along x, folded along its rib and bent down."""
    shape = bmesh.new()
    steps = 7
    rib, left, right = [], [], []
    for n in range(steps + 1):
        t = n / steps
        half = width / 2 * math.sin(math.pi * t) ** 0.8 * (1.15 - 0.3 * t)
        x, z = length * t, -0.25 * length * t * t
        rib.append(shape.verts.new((x, 0, z)))
        left.append(shape.verts.new((x, half, z + fold * half)))
        right.append(shape.verts.new((x, -half, z + fold * half)))
    for n in range(steps):
        shape.faces.new((rib[n], rib[n + 1], left[n + 1], left[n]))
        shape.faces.new((rib[n], right[n], right[n + 1], rib[n + 1]))
    bmesh.ops.remove_doubles(shape, verts=shape.verts, dist=1e-6)
    mesh = bpy.data.meshes.new("leaf")
    shape.to_mesh(mesh)
    shape.free()
    for polygon in mesh.polygons:
        polygon.use_smooth = True
    return mesh


def scatter(mesh: bpy.types.Mesh, material: Any, places: list[tuple[Point, Point, float]]) -> None:
    """Put copies of one mesh, sharing its memory: place, Euler angles and scale of each."""
    if not mesh.materials:
        mesh.materials.append(material)
    for at, angles, scale in places:
        obj = link(mesh.name, mesh)
        obj.location, obj.rotation_euler, obj.scale = at, angles, (scale, scale, scale)


def plant(
    at: Point,
    material: Any,
    *,
    height: float = 0.4,
    leaves: int = 40,
    length: float = 0.16,
    width: float = 0.06,
    seed: int = 1,
    spread: float = 0.9,
) -> None:
    """A leafy plant that grows from `at`."""
    rng = random.Random(seed)
    places, stems = [], []
    for _ in range(leaves):
        turn, up = rng.uniform(0, 2 * math.pi), rng.uniform(0.15, 1.0)
        reach = spread * height * 0.35 * rng.uniform(0.1, 1.0) * (0.4 + up)
        point = (at[0] + reach * math.cos(turn), at[1] + reach * math.sin(turn), at[2] + height * up)
        places.append((point, (rng.uniform(-0.4, 0.4), rng.uniform(-0.9, 0.5), turn), rng.uniform(0.6, 1.2)))
        stems.append(point)
    grow_stems(at, stems, material, 0.006 * height)
    scatter(leaf_mesh(length, width), material, places)


def grow_stems(root: Point, tips: list[Point], material: Any, thick: float) -> None:
    """Thin stems from `root` that bend up to each of `tips`, as one mesh."""

    def build(shape: bmesh.types.BMesh) -> None:
        for tip in tips:
            last = None
            for n in range(6):
                t = n / 5
                x, y = (root[k] + (tip[k] - root[k]) * t * t for k in (0, 1))
                z = root[2] + (tip[2] - root[2]) * (2 * t - t * t) / 1.0
                r = thick * (1 - 0.6 * t)
                ring = [shape.verts.new((x + r * math.cos(a), y + r * math.sin(a), z)) for a in (0, 2.1, 4.2)]
                if last:
                    for k in range(3):
                        shape.faces.new((last[k], last[(k + 1) % 3], ring[(k + 1) % 3], ring[k]))
                last = ring

    finish(from_bmesh("stems", build), material, smooth=True)


def foliage(
    material: Any,
    corner: Point,
    size: Point,
    count: int,
    length: float,
    width: float,
    seed: int = 1,
    *,
    crown: bool = False,
) -> None:
    """A cloud of leaves in a box, such as a hedge, or with `crown` in an uneven ball in it."""
    rng = random.Random(seed)
    places = []
    while len(places) < count:
        at = [rng.random() for _ in range(3)]
        uneven = 0.85 + 0.3 * math.sin(9 * at[0] + seed) * math.sin(11 * at[2])
        if crown and sum((2 * part - 1) ** 2 for part in at) > uneven:
            continue
        point = tuple(corner[axis] + size[axis] * at[axis] for axis in range(3))
        angles = (rng.uniform(-1.2, 1.2), rng.uniform(-1.2, 1.2), rng.uniform(0, 6.283))
        places.append((point, angles, rng.uniform(0.6, 1.3)))
    scatter(leaf_mesh(length, width), material, places)


def trunk(at: Point, material: Any, radius: float, height: float, lean: float = 0.0) -> Any:
    """A tree trunk with an uneven outline."""
    rng = random.Random(round(at[0] * 1000 + at[1] * 77))
    profile = [
        (radius * (1.35 - 0.35 * min(1, t * 6)) * (1 - 0.35 * t) * rng.uniform(0.94, 1.06), height * t)
        for t in (n / 16 for n in range(17))
    ]
    obj = lathe(at, profile, material, steps=24)
    obj.rotation_euler = (0, lean, rng.uniform(0, 6))
    return obj


def books(at: Point, length: float, covers: list[Any], *, seed: int = 1, axis: str = "x", height: float = 0.24) -> None:
    """A row of books that stands on a shelf, along x from `at`; some lean, one gap."""
    rng = random.Random(seed)
    x = 0.0
    while x < length:
        thick, tall, deep = rng.uniform(0.018, 0.05), height * rng.uniform(0.72, 1.0), rng.uniform(0.13, 0.19)
        if rng.random() < 0.07:
            x += rng.uniform(0.02, 0.08)
        box(
            (at[0] + x + thick / 2, at[1] + rng.uniform(0, 0.025), at[2]),
            (thick * 0.96, deep, tall),
            rng.choice(covers),
            bevel=0.002,
            turn=rng.uniform(-1.5, 1.5),
        )
        x += thick


def pendant(at: Point, shade: Any, bulb: Any, radius: float = 0.16) -> None:
    """A hanging lamp with a metal shade."""
    lathe(
        at,
        [
            (radius, 0),
            (radius * 0.97, 0.01),
            (radius * 0.6, radius * 0.7),
            (radius * 0.2, radius),
            (radius * 0.08, radius * 1.3),
            (0.0, radius * 1.3),
        ],
        shade,
    )
    lathe(
        (at[0], at[1], at[2] + radius * 0.1),
        [(0.0, 0), (radius * 0.28, radius * 0.15), (radius * 0.3, radius * 0.35), (0.0, radius * 0.6)],
        bulb,
    )


def chair(at: Point, seat: Any, frame: Any, turn: float = 0.0) -> None:
    """A simple chair: four legs, seat, back."""
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def put(x: float, y: float, z: float, size: Point, material: Any, tilt: float = 0.0) -> None:
        box(
            (at[0] + c * x - s * y, at[1] + s * x + c * y, at[2] + z), size, material, bevel=0.006, turn=turn, tilt=tilt
        )

    for x in (-0.19, 0.19):
        for y in (-0.19, 0.19):
            put(x, y, 0, (0.03, 0.03, 0.44), frame)
    put(0, 0, 0.44, (0.44, 0.43, 0.045), seat)
    for x in (-0.18, 0.18):
        put(x, 0.2, 0.46, (0.03, 0.03, 0.42), frame, -7)
    put(0, 0.235, 0.66, (0.42, 0.03, 0.2), seat, -7)


def arch(at: Point, radius: float, thick: float, deep: float, material: Any, steps: int = 48) -> Any:
    """A half ring that stands upright in the x-z plane."""

    def build(shape: bmesh.types.BMesh) -> None:
        rings = []
        for n in range(steps + 1):
            angle = math.pi * n / steps
            c, s = math.cos(angle), math.sin(angle)
            corners = ((radius, -deep / 2), (radius + thick, -deep / 2), (radius + thick, deep / 2), (radius, deep / 2))
            rings.append([shape.verts.new((r * c, y, r * s)) for r, y in corners])
        for low, high in itertools.pairwise(rings):
            for k in range(4):
                shape.faces.new((low[k], low[(k + 1) % 4], high[(k + 1) % 4], high[k]))
        shape.faces.new(list(reversed(rings[0])))
        shape.faces.new(rings[-1])

    obj = from_bmesh("arch", build)
    obj.location = at
    return finish(obj, material, 0.003)
