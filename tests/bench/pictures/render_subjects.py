"""Render subjects with exact alpha in Blender's Cycles: plants, lattice, glass, groups, objects, thin things.

    python tests/bench/pictures/render_subjects.py FOLDER [KIND ...]

needs the PyPI package `bpy` (4.5, Python 3.11), which the studio itself does not. Each kind gives `SUBJECT_COUNT` files
`KIND-N.png`, RGBA with 8 bit. A file that is there already is not rendered again. `truth_set.py` lays them on
photographs.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

SUBJECT_COUNT = 4
SIDE_PX = 800
SAMPLE_COUNT = 8
THREAD_COUNT = 2


def reset_scene(seed: int) -> random.Random:
    """Empty the scene and place camera and lights by `seed`."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    draw = random.Random(seed)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", SAMPLE_COUNT
    scene.cycles.use_denoising = False
    scene.cycles.max_bounces, scene.cycles.transparent_max_bounces = 6, 16
    scene.render.threads_mode, scene.render.threads = "FIXED", THREAD_COUNT
    scene.render.film_transparent = True
    scene.cycles.film_transparent_glass = True
    scene.render.resolution_x = scene.render.resolution_y = SIDE_PX
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    scene.view_settings.view_transform = "Standard"
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    light = draw.uniform(0.5, 0.9)
    world.node_tree.nodes["Background"].inputs[0].default_value = (light, light * draw.uniform(0.95, 1), light, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.7
    scene.world = world
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle = draw.uniform(1.5, 3.5), draw.uniform(0.02, 0.3)
    lamp = bpy.data.objects.new("sun", sun)
    lamp.rotation_euler = (draw.uniform(0.3, 1.0), 0, draw.uniform(-1.2, 1.2))
    scene.collection.objects.link(lamp)
    return draw


def material(colour: tuple[float, float, float], rough: float = 0.6, *, glass: bool = False, bumps: float = 0.0) -> Any:
    """Make a material of one colour, with uneven shade where `bumps` is more than 0."""
    made = bpy.data.materials.new("material")
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    surface = nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*colour, 1)
    surface.inputs["Roughness"].default_value = 0.02 if glass else rough
    if glass:
        surface.inputs["Transmission Weight"].default_value = 1.0
    if bumps:
        noise, ramp = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeValToRGB")
        noise.inputs["Scale"].default_value = bumps
        ramp.color_ramp.elements[0].color = (*(0.55 * c for c in colour), 1)
        ramp.color_ramp.elements[1].color = (*(min(1.3 * c, 1) for c in colour), 1)
        links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
        links.new(ramp.outputs["Color"], surface.inputs["Base Color"])
    return made


def colour_of(draw: random.Random, low: float = 0.05, high: float = 0.8) -> tuple[float, float, float]:
    return draw.uniform(low, high), draw.uniform(low, high), draw.uniform(low, high)


def add_mesh(points: list[Any], faces: list[tuple[int, ...]], shade: Any, *, smooth: bool = True) -> Any:
    mesh = bpy.data.meshes.new("mesh")
    mesh.from_pydata([tuple(point) for point in points], [], faces)
    mesh.materials.append(shade)
    for polygon in mesh.polygons:
        polygon.use_smooth = smooth
    made = bpy.data.objects.new("mesh", mesh)
    bpy.context.scene.collection.objects.link(made)
    return made


def add_ball(centre: Any, radius: Any, shade: Any, *, segments: int = 48) -> Any:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=segments, ring_count=segments // 2, location=tuple(centre))
    made = bpy.context.object
    made.scale = radius if isinstance(radius, tuple) else (radius,) * 3
    made.data.materials.append(shade)
    bpy.ops.object.shade_smooth()
    return made


def add_box(centre: Any, size: tuple[float, float, float], shade: Any, turn: float = 0.0) -> Any:
    bpy.ops.mesh.primitive_cube_add(size=1, location=tuple(centre), rotation=(0, 0, turn))
    made = bpy.context.object
    made.scale = size
    made.data.materials.append(shade)
    bevel = made.modifiers.new("bevel", "BEVEL")
    bevel.width, bevel.segments = 0.03, 3
    return made


def add_tube(points: list[Any], radius: float, shade: Any, *, taper: bool = False) -> Any:
    """Add a round tube through the points; with `taper` it ends in a tip."""
    curve = bpy.data.curves.new("tube", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 3
    curve.use_fill_caps = True
    line = curve.splines.new("POLY")
    line.points.add(len(points) - 1)
    for n, point in enumerate(points):
        line.points[n].co = (*point, 1)
        line.points[n].radius = 1 - 0.8 * n / max(len(points) - 1, 1) if taper else 1
    curve.materials.append(shade)
    made = bpy.data.objects.new("tube", curve)
    bpy.context.scene.collection.objects.link(made)
    return made


def add_lathe(profile: list[tuple[float, float]], shade: Any, *, steps: int = 64) -> Any:
    """Turn a profile of (radius, height) around the upright axis."""
    points = [
        (r * math.cos(2 * math.pi * n / steps), r * math.sin(2 * math.pi * n / steps), z)
        for r, z in profile
        for n in range(steps)
    ]
    faces: list[tuple[int, ...]] = [
        (row * steps + n, row * steps + (n + 1) % steps, (row + 1) * steps + (n + 1) % steps, (row + 1) * steps + n)
        for row in range(len(profile) - 1)
        for n in range(steps)
    ]
    return add_mesh(points, faces, shade)


def make_leaves(draw: random.Random, number: int) -> None:
    """Make a potted plant: stems that bend, leaves that spread."""
    radius = draw.uniform(0.35, 0.6)
    add_lathe(
        [
            (0, 0),
            (radius * 0.8, 0),
            (radius, 0.9),
            (radius * 1.08, 0.9),
            (radius * 1.08, 1),
            (radius * 0.95, 1),
            (radius * 0.9, 0.85),
            (0, 0.85),
        ],
        material(colour_of(draw), bumps=draw.choice((0, 4))),
    )
    green = [
        material((draw.uniform(0.03, 0.25), draw.uniform(0.2, 0.5), draw.uniform(0.02, 0.15)), 0.4, bumps=6)
        for _ in range(3)
    ]
    long, wide = draw.uniform(0.35, 0.9), draw.uniform(0.06, 0.22)
    for _ in range(draw.randint(7, 14)):
        turn, lean, tall = draw.uniform(0, 6.3), draw.uniform(0.15, 1.0), draw.uniform(1.0, 2.3)
        stem = [
            Vector(
                (math.cos(turn) * lean * t * t, math.sin(turn) * lean * t * t, 0.85 + tall * t * (1 - 0.25 * lean * t))
            )
            for t in (n / 8 for n in range(9))
        ]
        add_tube(stem, 0.014, green[0])
        for n in range(2, 9):
            for side in (-1, 1):
                if draw.random() < 0.8:
                    add_leaf(
                        draw,
                        stem[n],
                        turn + side * draw.uniform(0.5, 1.6),
                        long * draw.uniform(0.6, 1.1),
                        wide,
                        draw.choice(green),
                    )


def add_leaf(draw: random.Random, root: Any, turn: float, long: float, wide: float, shade: Any) -> None:
    points, faces = [], []
    rise, fall = draw.uniform(0.0, 0.7), draw.uniform(0.3, 1.0)
    out, across = Vector((math.cos(turn), math.sin(turn), 0)), Vector((-math.sin(turn), math.cos(turn), 0))
    for n in range(9):
        t = n / 8
        middle = root + out * long * t + Vector((0, 0, long * (rise * t - fall * t * t)))
        half = wide * math.sin(math.pi * min(t * 0.95 + 0.05, 1)) ** 0.8
        points += [middle - across * half, middle + Vector((0, 0, -0.15 * half)), middle + across * half]
    for n in range(8):
        faces += [(3 * n, 3 * n + 1, 3 * n + 4, 3 * n + 3), (3 * n + 1, 3 * n + 2, 3 * n + 5, 3 * n + 4)]
    add_mesh(points, faces, shade)


def make_lattice(draw: random.Random, number: int) -> None:
    """Make a lattice mast, a wheel with spokes, a cage or a wire chair."""
    shade = material(draw.choice(((0.5, 0.5, 0.52), (0.6, 0.15, 0.08), (0.08, 0.08, 0.09), (0.7, 0.6, 0.2))), 0.4)
    kind = number % 3
    if kind == 0:
        levels, base, top = draw.randint(6, 9), draw.uniform(0.55, 0.9), draw.uniform(0.08, 0.2)
        rings = []
        for level in range(levels + 1):
            width = base + (top - base) * (level / levels) ** 0.8
            rings.append(
                [Vector((x * width, y * width, 3.4 * level / levels)) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
            )
        for low, high in itertools.pairwise(rings):
            for n in range(4):
                for a, b in (
                    (low[n], high[n]),
                    (low[n], high[(n + 1) % 4]),
                    (low[(n + 1) % 4], high[n]),
                    (high[n], high[(n + 1) % 4]),
                ):
                    add_tube([a, b], 0.022 if a is low[n] and b is high[n] else 0.014, shade)
        add_tube([Vector((0, 0, 3.4)), Vector((0, 0, 4.0))], 0.015, shade)
    elif kind == 1:
        for centre in ((-0.9, 0, 1), (0.9, 0, 1)) if draw.random() < 0.6 else ((0, 0, 1),):
            hub = Vector(centre)
            rim = [
                hub + Vector((0.85 * math.cos(a), 0, 0.85 * math.sin(a)))
                for a in (2 * math.pi * n / 64 for n in range(65))
            ]
            add_tube(rim, 0.035, material((0.04, 0.04, 0.04)))
            add_ball(hub, 0.07, shade, segments=16)
            for n in range(0, 64, draw.choice((2, 4))):
                add_tube([hub, rim[n]], 0.006, shade)
        frame = [(-0.9, 0, 1), (-0.45, 0, 1.9), (0.5, 0, 1.85), (0.9, 0, 1)]
        for a, b in (
            (frame[0], frame[1]),
            (frame[1], frame[2]),
            (frame[2], frame[3]),
            ((0, 0, 0.95), frame[1]),
            ((0, 0, 0.95), frame[2]),
            ((0, 0, 0.95), frame[0]),
        ):
            add_tube([Vector(a), Vector(b)], 0.035, material((0.5, 0.05, 0.05), 0.3))
    else:
        bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=3, radius=1.1, location=(0, 0, 1.2))
        made = bpy.context.object
        made.scale = (draw.uniform(0.7, 1), draw.uniform(0.7, 1), draw.uniform(0.8, 1.2))
        wire = made.modifiers.new("wire", "WIREFRAME")
        wire.thickness = draw.uniform(0.03, 0.06)
        made.data.materials.append(shade)
        add_ball((0, 0, 0.9), 0.3, material(colour_of(draw)))
        add_tube([Vector((0, 0, 2.3)), Vector((0, 0, 2.9))], 0.02, shade)


def make_glass(draw: random.Random, number: int) -> None:
    """Make a glass or a vase with something in it: a thin rim, a body that the ground shines through."""
    clear = material((draw.uniform(0.85, 1), draw.uniform(0.9, 1), draw.uniform(0.9, 1)), glass=True)
    wide, tall = draw.uniform(0.4, 0.75), draw.uniform(0.9, 1.5)
    if draw.random() < 0.5:
        outer = [
            (0.5, 0),
            (0.5, 0.04),
            (0.06, 0.1),
            (0.05, 0.8),
            (wide * 0.7, 1.0),
            (wide, 1.0 + tall * 0.5),
            (wide * 0.85, 1.0 + tall),
        ]
        inner = [
            (wide * 0.85 - 0.03, 1.0 + tall),
            (wide - 0.03, 1.0 + tall * 0.5),
            (wide * 0.7 - 0.03, 1.04),
            (0, 0.95),
        ]
        level = [(0, 1.06), (wide * 0.7 - 0.05, 1.06), (wide - 0.05, 1.0 + tall * 0.5), (0, 1.0 + tall * 0.5)]
    else:
        outer = [(wide * 0.8, 0), (wide, tall), (wide, tall * 1.6)]
        inner = [(wide - 0.04, tall * 1.6), (wide - 0.04, tall), (wide * 0.8 - 0.04, 0.1), (0, 0.1)]
        level = [(0, 0.12), (wide * 0.8 - 0.06, 0.12), (wide - 0.06, tall), (0, tall)]
    add_lathe([*outer, *inner], clear)
    add_lathe(
        level, material(draw.choice(((0.4, 0.01, 0.03), (0.8, 0.45, 0.05), (0.7, 0.3, 0.3), (0.2, 0.1, 0.04))), 0.1)
    )


def add_person(draw: random.Random, x: float, y: float, size: float, *, embrace: float = 0.0) -> None:
    """Add a figure of capsules; `embrace` lifts one arm to that side."""
    skin = material(draw.choice(((0.75, 0.5, 0.38), (0.35, 0.2, 0.12), (0.6, 0.38, 0.25), (0.12, 0.07, 0.05))), 0.5)
    shirt, legs = material(colour_of(draw), bumps=draw.choice((0, 0, 10))), material(colour_of(draw, 0.02, 0.4))
    hair, shoe = (
        material(draw.choice(((0.02, 0.015, 0.01), (0.2, 0.09, 0.03), (0.6, 0.42, 0.16)))),
        material((0.03, 0.03, 0.03)),
    )
    at = lambda dx, dy, z: Vector((x + size * dx, y + size * dy, size * z))  # noqa: E731
    step = draw.uniform(0, 0.2)
    for side in (-1, 1):
        knee, foot = at(side * 0.16, -side * step * 0.5, 0.55), at(side * (0.18 + step), side * step, 0.06)
        add_tube([at(side * 0.13, 0, 1.05), knee, foot], 0.11 * size, legs)
        add_ball(foot + Vector((0, -0.08 * size, 0)), (0.09 * size, 0.18 * size, 0.07 * size), shoe)
        shoulder = at(side * 0.3, 0, 1.62)
        if embrace * side > 0:
            elbow, hand = at(side * 0.6, -0.05, 1.65), at(side * 0.95, -0.15, 1.6)
        else:
            elbow, hand = (
                at(side * draw.uniform(0.38, 0.6), draw.uniform(-0.2, 0.1), 1.25),
                at(side * draw.uniform(0.2, 0.8), -0.25, draw.uniform(0.8, 1.5)),
            )
        add_tube([shoulder, elbow], 0.085 * size, shirt)
        add_tube([elbow, hand], 0.06 * size, skin)
        add_ball(elbow, 0.085 * size, shirt, segments=16)
        add_ball(hand, 0.085 * size, skin, segments=16)
    add_ball(at(0, 0, 1.35), (0.3 * size, 0.19 * size, 0.42 * size), shirt)
    add_ball(at(0, 0, 1.0), (0.24 * size, 0.17 * size, 0.2 * size), legs)
    add_tube([at(0, 0, 1.65), at(0, 0, 1.85)], 0.09 * size, skin)
    add_ball(at(0, -0.02, 1.98), (0.15 * size, 0.18 * size, 0.21 * size), skin)
    add_ball(at(0, 0.04, 2.04), (0.165 * size, 0.18 * size, 0.19 * size), hair)


def make_group(draw: random.Random, number: int) -> None:
    """Make two to six figures side by side, some arm over arm."""
    count = draw.choice((2, 2, 3, 4, 5, 6))
    space = draw.uniform(0.72, 1.0)
    for n in range(count):
        embrace = 1.0 if n + 1 < count and draw.random() < 0.6 else 0.0
        add_person(
            draw, (n - (count - 1) / 2) * space, draw.uniform(-0.25, 0.25), draw.uniform(0.85, 1.1), embrace=embrace
        )


def make_object(draw: random.Random, number: int) -> None:
    """Make one solid thing: a mug, a vase, a toy car, a monkey's head, a stack of boxes, a lamp."""
    kind = number % 6
    shade = material(colour_of(draw), draw.uniform(0.1, 0.7), bumps=draw.choice((0, 0, 5)))
    if kind == 0:
        add_lathe([(0, 0), (0.6, 0), (0.65, 1.3), (0.58, 1.3), (0.53, 0.1), (0, 0.1)], shade)
        add_tube(
            [
                Vector((0.6 + 0.4 * math.sin(a), 0, 0.65 + 0.4 * math.cos(a)))
                for a in (math.pi * n / 12 for n in range(13))
            ],
            0.07,
            shade,
        )
    elif kind == 1:
        add_lathe(
            [(0, 0)]
            + [(0.35 + 0.3 * math.sin(2.2 * z + draw.uniform(0, 0.05)), z) for z in (n / 12 for n in range(25))],
            shade,
        )
    elif kind == 2:
        add_box((0, 0, 0.55), (2.4, 1.0, 0.5), shade)
        add_box((-0.1, 0, 0.98), (1.3, 0.9, 0.45), material((0.05, 0.06, 0.08), 0.1))
        for x in (-0.75, 0.75):
            for y in (-0.5, 0.5):
                add_ball((x, y, 0.32), (0.3, 0.12, 0.3), material((0.03, 0.03, 0.03)))
    elif kind == 3:
        bpy.ops.mesh.primitive_monkey_add(size=2, location=(0, 0, 1.2), rotation=(0, 0, draw.uniform(-0.6, 0.6)))
        bpy.ops.object.shade_smooth()
        bpy.context.object.modifiers.new("smooth", "SUBSURF").render_levels = 2
        bpy.context.object.data.materials.append(shade)
    elif kind == 4:
        z = 0.0
        for _ in range(draw.randint(2, 4)):
            tall = draw.uniform(0.3, 0.8)
            add_box(
                (draw.uniform(-0.1, 0.1), 0, z + tall / 2),
                (draw.uniform(0.8, 1.5), 0.9, tall),
                material(colour_of(draw), bumps=draw.choice((0, 6))),
                draw.uniform(-0.5, 0.5),
            )
            z += tall
    else:
        add_lathe([(0, 0), (0.5, 0), (0.5, 0.08), (0.06, 0.14), (0.06, 1.4)], material(colour_of(draw), 0.2))
        add_lathe([(0.75, 1.2), (0.4, 2.0), (0.38, 2.0), (0.72, 1.2)], shade)


def make_thin(draw: random.Random, number: int) -> None:
    """Make something with thin limbs: an insect, a music stand, flowers on stems."""
    shade = material(colour_of(draw, 0.02, 0.5), 0.3)
    kind = number % 3
    if kind == 0:
        add_ball((0, 0, 1.0), (0.75, 0.4, 0.35), shade)
        add_ball((0.85, 0, 1.15), 0.32, shade)
        for side in (-1, 1):
            for n in range(3):
                root = Vector((0.35 - 0.35 * n, side * 0.3, 0.95))
                knee = root + Vector((0.3 - 0.35 * n, side * 0.6, 0.5))
                add_tube([root, knee, knee + Vector((0.15 - 0.2 * n, side * 0.5, -1.35))], 0.03, shade, taper=True)
            add_tube(
                [
                    Vector((1.0, side * 0.12, 1.4)) + Vector((0.7 * t, side * 0.35 * t, 0.9 * t - 0.4 * t * t))
                    for t in (k / 8 for k in range(9))
                ],
                0.018,
                shade,
                taper=True,
            )
    elif kind == 1:
        for n in range(3):
            turn = 2.1 * n + draw.uniform(0, 1)
            add_tube([Vector((0, 0, 0.7)), Vector((0.8 * math.cos(turn), 0.8 * math.sin(turn), 0))], 0.025, shade)
        add_tube([Vector((0, 0, 0.5)), Vector((0, 0, 2.2))], 0.03, shade)
        for z in (2.1, 2.35, 2.6, 2.85):
            add_tube([Vector((-0.7, 0, z)), Vector((0.7, 0, z))], 0.018, shade)
        for x in (-0.7, -0.25, 0.25, 0.7):
            add_tube([Vector((x, 0, 2.1)), Vector((x, 0, 2.85))], 0.018, shade)
    else:
        green = material((0.08, 0.3, 0.06), 0.5)
        for _ in range(draw.randint(4, 8)):
            turn, lean, tall = draw.uniform(0, 6.3), draw.uniform(0.1, 0.8), draw.uniform(1.6, 2.8)
            stem = [
                Vector((math.cos(turn) * lean * t * t, math.sin(turn) * lean * t * t, tall * t))
                for t in (k / 8 for k in range(9))
            ]
            add_tube(stem, 0.018, green)
            bloom = material(colour_of(draw, 0.2, 0.9))
            add_ball(stem[-1], 0.07, material((0.8, 0.6, 0.05)), segments=16)
            for k in range(7):
                a = 2 * math.pi * k / 7
                made = add_ball(
                    stem[-1] + Vector((0.15 * math.cos(a), 0, 0.15 * math.sin(a))),
                    (0.11, 0.03, 0.06),
                    bloom,
                    segments=16,
                )
                made.rotation_euler = (0, -a, 0)


KINDS: dict[str, Callable[[random.Random, int], None]] = {
    "leaves": make_leaves,
    "lattice": make_lattice,
    "glass": make_glass,
    "group": make_group,
    "object": make_object,
    "thin": make_thin,
}


def place_camera(draw: random.Random) -> None:
    """Point a camera at everything in the scene, from in front and a little above, so that it fills the picture."""
    bpy.context.view_layer.update()
    corners = [
        made.matrix_world @ Vector(corner)
        for made in bpy.context.scene.objects
        if made.type in ("MESH", "CURVE")
        for corner in made.bound_box
    ]
    low = Vector([min(corner[n] for corner in corners) for n in range(3)])
    high = Vector([max(corner[n] for corner in corners) for n in range(3)])
    middle, reach = (low + high) / 2, max(high.x - low.x, high.z - low.z, 0.8 * (high.y - low.y)) / 2
    turn, rise = draw.uniform(-0.5, 0.5), draw.uniform(0.02, 0.3)
    camera = bpy.data.cameras.new("camera")
    camera.lens = 70
    away = Vector((math.sin(turn) * math.cos(rise), -math.cos(turn) * math.cos(rise), math.sin(rise)))
    made = bpy.data.objects.new("camera", camera)
    made.location = middle + away * (reach * 1.02 / math.tan(camera.angle / 2) + reach * 0.5)
    made.rotation_euler = (-away).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(made)
    bpy.context.scene.camera = made


def render_subject(kind: str, number: int, folder: Path) -> None:
    """Render the subject of that kind and number into `folder`, unless it is there."""
    path = folder / f"{kind}-{number}.png"
    if path.exists():
        return
    draw = reset_scene(1000 * list(KINDS).index(kind) + number)
    KINDS[kind](draw, number)
    place_camera(draw)
    bpy.context.scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(SUBJECT_COUNT):
        for kind in sys.argv[2:] or KINDS:
            render_subject(kind, number, folder)
