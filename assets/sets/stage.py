"""Stage of a set: scale, camera, light, plates. All lengths are metres; x is right, y is away, z is up.

The subject stands at the origin. Run with a Python that has Blender's module (PyPI `bpy` 4.5): it is no requirement of
the studio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import bpy
from mathutils import Vector

SCENES_FOLDER = Path(__file__).resolve().parents[1] / "scenes"
SENSOR_MM = 36.0
MAX_BOUNCES = 4


@dataclass
class Camera:
    """A camera that looks at the origin from `distance` and `pitch` degrees above it.

    `focal` is the focal length in picture heights. `contact` is the height in the picture, from the top, at which the
    origin appears: the lens is shifted to it, so that the pitch at the contact line is the camera's. `disc` is the
    diameter of the blur disc of what is infinitely far away, as a share of the height. `eye` lifts the point that is
    looked at and focused: for people, who are seen at the height of their eyes.
    """

    pitch: float = 14.0
    distance: float = 1.05
    focal: float = 2.3
    contact: float = 0.78
    disc: float = 0.032
    eye: float = 0.0


@dataclass
class KeyLight:
    """The light that casts the shadow: direction that it comes from (x, y, z), colour, angular diameter in degrees.

    `share` is its part of all light on the contact plane, measured by rendering the plane with and without it.
    """

    direction: tuple[float, float, float]
    diameter: float
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    share: float = 0.5


@dataclass
class Stage:
    """What a set's script has built, and what compositing has to know about it."""

    camera: Camera = field(default_factory=Camera)
    key: KeyLight = field(default_factory=lambda: KeyLight((-0.6, 0.3, 0.7), 20.0))
    reflection: float = 0.0
    exposure: float = 0.0
    keys: list[bpy.types.Object] = field(default_factory=list)


def clear() -> None:
    """Start from an empty file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


def link(name: str, data: bpy.types.ID | None) -> bpy.types.Object:
    """Add an object to the scene."""
    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def set_world(
    name: str, *, strength: float = 1.0, turn: float = 0.0, seen: float | None = None, saturation: float = 0.35
) -> None:
    """Light the set with a panorama of assets/scenes turned by `turn` degrees.

    `seen` is its strength to the camera. A room's walls mix the sky's colour, so that a `saturation` under 1 is usual.
    """
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()
    coords, mapping = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Rotation"].default_value[2] = math.radians(turn)
    picture, background = tree.nodes.new("ShaderNodeTexEnvironment"), tree.nodes.new("ShaderNodeBackground")
    picture.image = bpy.data.images.load(str(SCENES_FOLDER / f"{name}.exr"))
    picture.interpolation = "Cubic"
    background.inputs["Strength"].default_value = strength
    out = tree.nodes.new("ShaderNodeOutputWorld")
    tree.links.new(coords.outputs["Generated"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], picture.inputs["Vector"])
    grey = tree.nodes.new("ShaderNodeHueSaturation")
    grey.inputs["Saturation"].default_value = saturation
    tree.links.new(picture.outputs["Color"], grey.inputs["Color"])
    tree.links.new(grey.outputs["Color"], background.inputs["Color"])
    if seen is None:
        tree.links.new(background.outputs[0], out.inputs["Surface"])
        return
    shown, path, mix = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("Background", "LightPath", "MixShader"))
    shown.inputs["Strength"].default_value = seen
    tree.links.new(picture.outputs["Color"], shown.inputs["Color"])
    tree.links.new(path.outputs["Is Camera Ray"], mix.inputs[0])
    tree.links.new(background.outputs[0], mix.inputs[1])
    tree.links.new(shown.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], out.inputs["Surface"])


def set_sky(colour: tuple[float, float, float], strength: float = 1.0) -> None:
    """Light the set with an even sky."""
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs[0].default_value = (*colour, 1)
    background.inputs[1].default_value = strength


def add_area(
    at: tuple[float, float, float],
    to: tuple[float, float, float],
    size: tuple[float, float],
    power: float,
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    seen: bool = False,
) -> bpy.types.Object:
    """Add a rectangular lamp at `at` that shines towards `to`: size in metres, power in watts."""
    data = bpy.data.lights.new("area", "AREA")
    data.shape, data.size, data.size_y, data.energy, data.color = "RECTANGLE", *size, power, colour
    obj = link("area", data)
    obj.location = at
    obj.rotation_euler = (Vector(to) - Vector(at)).to_track_quat("-Z", "Y").to_euler()
    obj.visible_camera = seen
    return obj


def add_sun(
    direction: tuple[float, float, float],
    strength: float,
    colour: tuple[float, float, float] = (1.0, 0.95, 0.88),
    diameter: float = 0.6,
) -> bpy.types.Object:
    """Add a sun that comes from `direction`: irradiance in W/m2, angular diameter in degrees."""
    data = bpy.data.lights.new("sun", "SUN")
    data.energy, data.color, data.angle = strength, colour, math.radians(diameter)
    obj = link("sun", data)
    obj.rotation_euler = (-Vector(direction)).to_track_quat("-Z", "Y").to_euler()
    return obj


def place_camera(camera: Camera, size: tuple[int, int]) -> bpy.types.Object:
    """Place the camera of a plate of `size` (width, height) and set its lens and aperture."""
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_height = "VERTICAL", SENSOR_MM
    data.lens = camera.focal * SENSOR_MM
    data.shift_y = (camera.contact - 0.5) * size[1] / max(size)
    obj = link("camera", data)
    pitch = math.radians(camera.pitch)
    aim = Vector((0, 0, camera.eye))
    obj.location = aim + camera.distance * Vector((0, -math.cos(pitch), math.sin(pitch)))
    obj.rotation_euler = (aim - obj.location).to_track_quat("-Z", "Y").to_euler()
    data.dof.use_dof = camera.disc > 0
    data.dof.focus_distance = camera.distance
    aperture_mm = 1000 * camera.disc * camera.distance / camera.focal
    data.dof.aperture_fstop = data.lens / max(aperture_mm, 1e-3)
    data.dof.aperture_blades = 0
    bpy.context.scene.camera = obj
    return obj


def set_render(size: tuple[int, int], samples: int, threads: int = 2) -> None:
    """Set up Cycles: few samples, Intel's denoiser with albedo and normals, standard sRGB without a film curve."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.render.threads_mode, scene.render.threads = "FIXED", threads
    cycles = scene.cycles
    cycles.device, cycles.samples = "CPU", samples
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = samples > 1
    cycles.denoiser, cycles.denoising_input_passes = "OPENIMAGEDENOISE", "RGB_ALBEDO_NORMAL"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = MAX_BOUNCES, 2, 2
    cycles.transmission_bounces, cycles.transparent_max_bounces = 4, 8
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 6.0
    cycles.seed = 1
    scene.view_settings.view_transform = "Standard"
    scene.render.film_transparent = False
