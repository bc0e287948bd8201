"""Render the plates of a set with Cycles and measure what compositing needs.

    python assets/sets/render.py OUT SET... [--size 1600] [--samples 48] [--pitch 14]

Writes OUT/<set>.exr (linear light), OUT/<set>-depth.exr, and OUT/<set>.json; `pack.py` makes the studio's files of
them. Needs PyPI `bpy` 4.5, which is no requirement of the studio.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import materials
import props
import rooms
import seasons
import stage
import tables

SETS = {**tables.SETS, **rooms.SETS, **seasons.SETS}
DEPTH_SIDE_PX = 400
PROBE_SIDE_PX = 96


def render_to(path: Path) -> np.ndarray:
    """Render into an OpenEXR file and return its pixels, H x W x 4 from the top."""
    scene = bpy.context.scene
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "16"
    scene.render.image_settings.exr_codec = "DWAA"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    pixels = np.array(image.pixels[:], np.float32).reshape(image.size[1], image.size[0], 4)[::-1]
    bpy.data.images.remove(image)
    return pixels


def measure_depth(path: Path, camera: stage.Camera, size: tuple[int, int]) -> None:
    """Render distance from the camera in metres as a small picture: emission by ray length, without depth of field."""
    scene = bpy.context.scene
    small = (DEPTH_SIDE_PX * size[0] // max(size), DEPTH_SIDE_PX * size[1] // max(size))
    stage.set_render(small, 4)
    scene.cycles.use_denoising = False
    scene.camera.data.dof.use_dof = False
    graph = materials.Graph("depth")
    view = graph.add("CameraData").outputs["View Z Depth"]
    shader = graph.add("Emission", {0: graph.add("CombineColor", {0: view, 1: view, 2: view}).outputs[0]})
    graph.tree.links.new(shader.outputs[0], graph.out.inputs["Surface"])
    layer = bpy.context.view_layer
    layer.material_override = graph.material
    world = scene.world.node_tree
    background = [node for node in world.nodes if node.type == "BACKGROUND"]
    kept = [node.inputs["Strength"].default_value for node in background]
    lamps = [obj for obj in scene.objects if obj.type == "LIGHT"]
    for lamp in lamps:
        lamp.hide_render = True
    for node in background:
        node.inputs["Strength"].default_value = 0.0
    render_to(path)
    layer.material_override = None
    for node, strength in zip(background, kept, strict=True):
        node.inputs["Strength"].default_value = strength
    for lamp in lamps:
        lamp.hide_render = False


def measure_ball(work: Path, built: stage.Stage, radius: float) -> dict[str, list[float]]:
    """Render a grey ball where the subject stands; its colours from the left, right, above, below and the front."""
    grey = materials.paint((0.5, 0.5, 0.5), 0.9, wear=0.0)
    profile = [(radius * math.sin(math.pi * n / 32), radius * (1 - math.cos(math.pi * n / 32))) for n in range(33)]
    ball = props.lathe((0, 0, built.camera.eye), profile, grey)
    scene = bpy.context.scene
    data = scene.camera.data
    kept = data.lens, data.shift_y
    data.lens, data.shift_y = data.sensor_height * built.camera.distance / (2.6 * radius), 0.0
    target = ball.location.copy()
    target.z += radius
    turn = scene.camera.rotation_euler.copy()
    scene.camera.rotation_euler = (target - scene.camera.location).to_track_quat("-Z", "Y").to_euler()
    stage.set_render((PROBE_SIDE_PX, PROBE_SIDE_PX), 24)
    pixels = render_to(work)[..., :3]
    scene.camera.rotation_euler = turn
    data.lens, data.shift_y = kept
    bpy.data.objects.remove(ball)
    reach = PROBE_SIDE_PX / 2.6 * 0.8
    middle = PROBE_SIDE_PX / 2
    found = {}
    for name, (x, y) in {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1), "front": (0, 0)}.items():
        row, column = round(middle + reach * y), round(middle + reach * x)
        patch = pixels[row - 4 : row + 5, column - 4 : column + 5]
        found[name] = [round(float(part), 4) for part in patch.mean(axis=(0, 1))]
    return found


def measure_shadow(work: Path, built: stage.Stage, radius: float) -> list[float]:
    """Share of the light on the contact plane that stays where the key light is hidden: linear red, green, blue."""
    patch = props.box(
        (0, 0, built.camera.eye + 0.0005),
        (radius * 4, radius * 4, 0.001),
        materials.paint((0.5, 0.5, 0.5), 1.0, 0.0),
        bevel=0,
    )
    stage.set_render((48, 48), 24)
    scene = bpy.context.scene
    data = scene.camera.data
    kept = data.lens, data.shift_y
    data.lens, data.shift_y = data.sensor_height * built.camera.distance / (2 * radius), 0.0
    means = []
    for hidden in (False, True):
        for lamp in built.keys:
            lamp.hide_render = hidden
        means.append(render_to(work)[18:30, 18:30, :3].mean(axis=(0, 1)))
    for lamp in built.keys:
        lamp.hide_render = False
    data.lens, data.shift_y = kept
    bpy.data.objects.remove(patch)
    return [round(float(part), 4) for part in np.clip(means[1] / np.maximum(means[0], 1e-5), 0, 1)]


def render_set(name: str, out: Path, size: tuple[int, int], samples: int, pitch: float | None, *, truth: bool) -> None:
    """Build one set and write its files."""
    stage.clear()
    built = SETS[name]()
    if pitch is not None:
        built.camera.pitch = pitch
    stage.place_camera(built.camera, size)
    stage.set_render(size, samples)
    label = name if pitch is None else f"{name}-{pitch:.0f}"
    light = render_to(out / f"{label}.exr")
    row: dict[str, object] = {"id": label, "size": size, "camera": dataclasses.asdict(built.camera)}
    c = built.camera
    row["horizon"] = round(c.contact - c.focal * math.tan(math.radians(c.pitch)), 4)
    key = built.key
    row["key"] = {"direction": key.direction, "diameter": key.diameter, "colour": key.colour}
    row["reflection"] = built.reflection
    row["exposure"] = built.exposure
    row["mean"] = [round(float(part), 4) for part in light[..., :3].mean(axis=(0, 1))]
    if truth:
        radius = 0.06 * c.distance
        row["shadow"] = measure_shadow(out / f"{label}-probe.exr", built, radius)
        row["ball"] = measure_ball(out / f"{label}-probe.exr", built, radius)
        measure_depth(out / f"{label}-depth.exr", c, size)
        (out / f"{label}-probe.exr").unlink()
    (out / f"{label}.json").write_text(json.dumps(row, indent=1))


def main() -> None:
    """Render the sets that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("sets", nargs="*")
    parser.add_argument("--size", type=int, default=1600)
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--pitch", type=float)
    parser.add_argument("--preview", action="store_true", help="the picture alone")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets or SETS:
        render_set(name, args.out, (args.size, args.size), args.samples, args.pitch, truth=not args.preview)
        print("rendered", name, flush=True)


if __name__ == "__main__":
    main()
