"""Procedural materials of the sets, at real scale: texture coordinates are metres of the object."""

from __future__ import annotations

from typing import Any

import bpy

Colour = tuple[float, float, float]


class Graph:
    """Builds a node tree: `add` makes a node, its keyword arguments are values or sockets to link."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()
        self.out = self.tree.nodes.new("ShaderNodeOutputMaterial")

    def add(self, kind: str, inputs: dict[str | int, Any] | None = None, **settings: Any) -> bpy.types.Node:
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for key, value in settings.items():
            setattr(node, key, value)
        for key, value in (inputs or {}).items():
            self.feed(node.inputs[key], value)
        return node

    def feed(self, socket: bpy.types.NodeSocket, value: Any) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif isinstance(value, tuple) and len(value) == 3 and len(socket.default_value) == 4:
            socket.default_value = (*value, 1.0)
        else:
            socket.default_value = value

    def coords(self, scale: Colour = (1, 1, 1), shift: Any = None, turn: float = 0.0) -> bpy.types.NodeSocket:
        """Object coordinates in metres, scaled; `shift` is a socket that moves them by an object's random number."""
        at = self.add("TexCoord").outputs["Object"]
        if shift is not None:
            random = self.add("ObjectInfo").outputs["Random"]
            moved = self.add("VectorMath", {0: (37.0, 11.0, 5.0), "Scale": random}, operation="SCALE")
            at = self.add("VectorMath", {0: at, 1: moved.outputs[0]}, operation="ADD").outputs[0]
        node = self.add("Mapping", {"Vector": at, "Scale": scale})
        node.inputs["Rotation"].default_value[2] = turn
        return node.outputs[0]

    def noise(self, at: Any, scale: float, detail: float = 6.0, rough: float = 0.55, warp: float = 0.0) -> Any:
        inputs = {"Vector": at, "Scale": scale, "Detail": detail, "Roughness": rough, "Distortion": warp}
        return self.add("TexNoise", inputs).outputs[0]

    def ramp(self, value: Any, *stops: tuple[float, Colour]) -> Any:
        node = self.add("ValToRGB", {0: value})
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, (*colour, 1.0)
        return node.outputs[0]

    def level(self, value: Any, low: float, high: float, to_low: float = 0.0, to_high: float = 1.0) -> Any:
        inputs = {0: value, 1: low, 2: high, 3: to_low, 4: to_high}
        return self.add("MapRange", inputs).outputs[0]

    def mix(self, share: Any, a: Any, b: Any, kind: str = "MIX") -> Any:
        node = self.add("MixRGB", {0: share, 1: a, 2: b}, blend_type=kind)
        return node.outputs[0]

    def maths(self, kind: str, a: Any, b: Any = 0.0) -> Any:
        return self.add("Math", {0: a, 1: b}, operation=kind).outputs[0]

    def bump(self, height: Any, distance: float, strength: float = 1.0, normal: Any = None) -> Any:
        inputs = {"Height": height, "Distance": distance, "Strength": strength}
        if normal is not None:
            inputs["Normal"] = normal
        return self.add("Bump", inputs).outputs[0]

    def surface(self, colour: Any, rough: Any = 0.5, normal: Any = None, **extra: Any) -> bpy.types.Material:
        """Finish with a principled surface and return the material."""
        inputs: dict[str | int, Any] = {"Base Color": colour, "Roughness": rough}
        if normal is not None:
            inputs["Normal"] = normal
        inputs.update({key.replace("_", " "): value for key, value in extra.items()})
        shader = self.add("BsdfPrincipled", inputs)
        self.tree.links.new(shader.outputs[0], self.out.inputs["Surface"])
        return self.material


def paint(colour: Colour, rough: float = 0.5, wear: float = 0.03, **extra: Any) -> bpy.types.Material:
    """Paint, plastic, ceramic: one colour with faint stains and smears in its gloss."""
    g = Graph("paint")
    at = g.coords()
    stain = g.noise(at, 7.0, 8)
    tone = g.mix(g.level(stain, 0.3, 0.7, 0, wear * 3), colour, tuple(c * 0.72 for c in colour))
    gloss = g.level(g.noise(at, 30.0, 4), 0.3, 0.7, rough * 0.85, min(1.0, rough * 1.15))
    return g.surface(tone, gloss, g.bump(g.noise(at, 260.0, 3), 0.0002, 0.25), **extra)


def plaster(colour: Colour, grain: float = 1.0) -> bpy.types.Material:
    """A plastered wall: broad cloudy tone, trowel marks, fine grain."""
    g = Graph("plaster")
    at = g.coords()
    cloud = g.noise(at, 1.3, 7, 0.6)
    dark = tuple(c * 0.86 for c in colour)
    tone = g.mix(g.level(cloud, 0.35, 0.7), colour, dark)
    marks = g.noise(g.coords((1, 1, 2.2)), 9.0, 5, 0.6, 0.8)
    normal = g.bump(marks, 0.004 * grain, 0.5, g.bump(g.noise(at, 220.0, 3), 0.0006 * grain, 0.6))
    return g.surface(tone, 0.92, normal)


def wood(light: Colour, dark: Colour, *, gloss: float = 0.42, knots: float = 1.0, scale: float = 1.0) -> Any:
    """Sawn and oiled wood along x: growth rings, fibres, pores, a shade and a shift of its own for each board."""
    g = Graph("wood")
    at = g.coords((0.55 * scale, 5.5 * scale, 5.5 * scale), shift=True)
    bend = g.noise(g.coords((0.5 * scale, 2.2 * scale, 2.2 * scale), shift=True), 2.4 * knots, 3, 0.5, 0.4)
    rings = g.maths("FRACT", g.maths("MULTIPLY", g.maths("ADD", bend, g.noise(at, 0.8, 2)), 5.0))
    rings = g.level(g.maths("PINGPONG", rings, 0.5), 0.0, 0.5)
    fibre = g.noise(g.coords((5 * scale, 260 * scale, 260 * scale), shift=True), 1.0, 5, 0.65)
    pores = g.noise(g.coords((14 * scale, 520 * scale, 520 * scale), shift=True), 1.0, 3, 0.5)
    tone = g.ramp(
        rings, (0.0, dark), (0.35, tuple(0.5 * (a + b) for a, b in zip(light, dark, strict=True))), (1.0, light)
    )
    tone = g.mix(g.level(fibre, 0.3, 0.75, 0.0, 0.55), tone, tuple(c * 0.62 for c in dark))
    tone = g.mix(g.level(pores, 0.62, 0.72, 0.0, 0.5), tone, tuple(c * 0.4 for c in dark))
    random = g.add("ObjectInfo").outputs["Random"]
    shade = g.level(random, 0, 1, 0.82, 1.12)
    tone = g.add(
        "HueSaturation", {"Color": tone, "Value": shade, "Saturation": g.level(random, 0, 1, 1.08, 0.9)}
    ).outputs[0]
    wet = g.noise(g.coords(), 6.0, 6)
    rough = g.maths("ADD", g.level(fibre, 0.2, 0.8, gloss * 0.85, gloss * 1.25), g.level(wet, 0.35, 0.7, -0.06, 0.08))
    normal = g.bump(pores, 0.0006, 0.35, g.bump(fibre, 0.0007, 0.3))
    return g.surface(tone, rough, normal)


def marble(base: Colour = (0.80, 0.79, 0.77), vein: Colour = (0.26, 0.27, 0.29), rough: float = 0.12) -> Any:
    """Polished veined stone: clouds, thick warped veins, a web of thin ones, smears in the polish."""
    g = Graph("marble")
    at = g.coords(turn=0.6)
    warp = g.add(
        "VectorMath",
        {0: g.add("TexNoise", {"Vector": at, "Scale": 2.2, "Detail": 6.0}).outputs[1], "Scale": 0.55},
        operation="SCALE",
    )
    bent = g.add("VectorMath", {0: at, 1: warp.outputs[0]}, operation="ADD").outputs[0]

    def veins(scale: float, width: float) -> Any:
        ridge = g.maths("ABSOLUTE", g.maths("SUBTRACT", g.noise(bent, scale, 5, 0.5), 0.5))
        return g.level(ridge, 0.0, width, 1.0, 0.0)

    cloud = g.level(g.noise(bent, 2.6, 8, 0.6), 0.35, 0.72)
    mask = g.level(g.noise(at, 3.0, 3), 0.4, 0.65)
    tone = g.mix(
        g.maths("MULTIPLY", cloud, 0.35), base, tuple(0.55 * a + 0.45 * b for a, b in zip(base, vein, strict=True))
    )
    tone = g.mix(g.maths("MULTIPLY", g.maths("POWER", veins(2.1, 0.035), 1.6), mask), tone, vein)
    tone = g.mix(g.maths("MULTIPLY", veins(5.5, 0.014), g.maths("MULTIPLY", mask, 0.6)), tone, vein)
    gloss = g.level(g.noise(g.coords(), 14.0, 6), 0.3, 0.75, rough * 0.7, rough * 1.7)
    return g.surface(tone, gloss, g.bump(g.noise(at, 40.0, 4), 0.0003, 0.1))


def concrete(colour: Colour = (0.36, 0.355, 0.345), rough: float = 0.78) -> Any:
    """Cast concrete: clouds, stains, fine sand, pores, hairline scratches."""
    g = Graph("concrete")
    at = g.coords()
    cloud, sand = g.noise(at, 2.4, 9, 0.62), g.noise(at, 420.0, 4, 0.7)
    tone = g.ramp(
        cloud, (0.28, tuple(c * 0.62 for c in colour)), (0.5, colour), (0.75, tuple(min(c * 1.3, 1) for c in colour))
    )
    tone = g.mix(g.level(sand, 0.35, 0.7, 0.0, 0.32), tone, tuple(c * 0.5 for c in colour))
    stain = g.level(g.noise(at, 5.0, 6, 0.6, 1.2), 0.58, 0.68, 0.0, 0.4)
    tone = g.mix(stain, tone, tuple(c * 0.6 for c in colour))
    cells = g.add("TexVoronoi", {"Vector": at, "Scale": 75.0}).outputs["Distance"]
    chosen = g.level(g.noise(at, 18.0, 2), 0.52, 0.58)
    pore = g.maths("MULTIPLY", g.level(cells, 0.06, 0.14, 1.0, 0.0), chosen)
    tone = g.mix(g.maths("MULTIPLY", pore, 0.75), tone, tuple(c * 0.22 for c in colour))
    height = g.maths("SUBTRACT", g.maths("MULTIPLY", sand, 0.25), pore)
    normal = g.bump(height, 0.0012, 0.7, g.bump(cloud, 0.004, 0.2))
    return g.surface(tone, g.level(cloud, 0.3, 0.7, rough * 0.9, min(1, rough * 1.1)), normal)


def slate(colour: Colour = (0.030, 0.032, 0.036)) -> Any:
    """Split slate: layers with steps, dust in the hollows, faint sheen."""
    g = Graph("slate")
    at = g.coords()
    layer = g.noise(at, 5.5, 10, 0.66, 0.5)
    steps = g.maths("SNAP", layer, 0.06)
    fine = g.noise(at, 90.0, 8, 0.7)
    tone = g.ramp(layer, (0.3, tuple(c * 0.6 for c in colour)), (0.7, tuple(c * 1.9 for c in colour)))
    tone = g.mix(g.level(fine, 0.55, 0.8, 0.0, 0.25), tone, (0.16, 0.16, 0.155))
    normal = g.bump(g.maths("ADD", steps, g.maths("MULTIPLY", fine, 0.12)), 0.006, 0.7)
    return g.surface(tone, g.level(fine, 0.3, 0.7, 0.34, 0.62), normal)


def cloth(colour: Colour, thread: float = 0.0011, slub: float = 1.0, sheen: float = 0.15) -> Any:
    """Woven cloth: warp and weft of `thread` metres with thick and thin threads."""
    g = Graph("cloth")
    at = g.coords()
    split = g.add("SeparateXYZ", {0: at})
    uneven = g.level(g.noise(g.coords((3, 160, 1)), 1.0, 3), 0.2, 0.8, -0.9 * slub, 0.9 * slub)
    uneven2 = g.level(g.noise(g.coords((160, 3, 1)), 1.0, 3), 0.2, 0.8, -0.9 * slub, 0.9 * slub)
    count = 6.2832 / thread
    across = g.maths("SINE", g.maths("ADD", g.maths("MULTIPLY", split.outputs[1], count), uneven))
    along = g.maths("SINE", g.maths("ADD", g.maths("MULTIPLY", split.outputs[0], count), uneven2))
    weave = g.maths("MAXIMUM", across, along)
    low = tuple(c * 0.66 for c in colour)
    tone = g.mix(g.level(weave, -0.4, 1.0), low, colour)
    flecks = g.noise(g.coords((4, 220, 1)), 1.0, 4)
    tone = g.mix(g.level(flecks, 0.6, 0.75, 0.0, 0.3), tone, tuple(min(1, c * 1.15) for c in colour))
    tone = g.mix(g.level(g.noise(at, 3.0, 5), 0.35, 0.7, 0.0, 0.12), tone, low)
    return g.surface(tone, 0.95, g.bump(weave, 0.0004, 0.6), Sheen_Weight=sheen)


def grains(colour: Colour, dark: Colour, size: float = 0.0009, sparkle: float = 0.0) -> Any:
    """Sand or snow: grains of `size` metres, each with its own tone; `sparkle` are facets that mirror the light."""
    g = Graph("grains")
    at = g.coords()
    cells = g.add("TexVoronoi", {"Vector": at, "Scale": 1 / size})
    speck = g.add("SeparateColor", {0: cells.outputs["Color"]}).outputs[0]
    cloud = g.noise(at, 9.0, 7, 0.6)
    tone = g.mix(g.level(speck, 0.0, 1.0, 0.0, 0.6), colour, dark)
    tone = g.mix(
        g.level(cloud, 0.35, 0.7, 0.0, 0.35), tone, tuple(0.6 * a + 0.4 * b for a, b in zip(colour, dark, strict=True))
    )
    height = g.maths("ADD", speck, g.maths("MULTIPLY", g.noise(at, 70.0, 5, 0.6), 2.0))
    rough = g.level(speck, 1 - sparkle - 1e-3, 1 - sparkle, 0.95, 0.25) if sparkle else 0.95
    return g.surface(tone, rough, g.bump(height, size * 0.9, 0.7))


def tiles(colour: Colour, grout: Colour, width: float, height: float, *, rough: float = 0.16) -> Any:
    """Glazed tiles on a wall in the x-z plane, each slightly turned and of its own shade, with sandy grout."""
    g = Graph("tiles")
    split = g.add("SeparateXYZ", {0: g.coords()})
    flat = g.add("CombineXYZ", {0: split.outputs[0], 1: split.outputs[2]}).outputs[0]
    inputs = {
        "Vector": flat,
        "Color1": (0.0, 0.0, 0.0),
        "Color2": (1.0, 1.0, 1.0),
        "Mortar": (0.5, 0.5, 0.5),
        "Scale": 1.0,
        "Mortar Size": 0.0016,
        "Mortar Smooth": 0.3,
        "Brick Width": width,
        "Row Height": height,
    }
    bricks = g.add("TexBrick", inputs)
    random = g.add("SeparateColor", {0: bricks.outputs[0]}).outputs[0]
    joint = bricks.outputs[1]
    tone = g.mix(g.level(random, 0, 1, 0.0, 0.25), colour, tuple(c * 0.8 for c in colour))
    tone = g.mix(joint, tone, grout)
    wavy = g.noise(flat, 16.0, 3, 0.5)
    tilt = g.maths("ADD", g.maths("MULTIPLY", wavy, 0.5), g.maths("MULTIPLY", random, 0.4))
    normal = g.bump(g.maths("SUBTRACT", tilt, g.maths("MULTIPLY", joint, 1.5)), 0.002, 0.5)
    return g.surface(tone, g.level(joint, 0, 1, rough, 0.85), normal)


def bricks(colour: Colour = (0.33, 0.13, 0.08), joint: Colour = (0.42, 0.38, 0.34)) -> Any:
    """A brick wall in the x-z plane: bricks of their own shade, pitted, with rough joints."""
    g = Graph("bricks")
    split = g.add("SeparateXYZ", {0: g.coords()})
    flat = g.add("CombineXYZ", {0: split.outputs[0], 1: split.outputs[2]}).outputs[0]
    uneven = g.add(
        "VectorMath",
        {0: g.add("TexNoise", {"Vector": flat, "Scale": 22.0}).outputs[1], "Scale": 0.006},
        operation="SCALE",
    )
    bent = g.add("VectorMath", {0: flat, 1: uneven.outputs[0]}, operation="ADD").outputs[0]
    inputs = {
        "Vector": bent,
        "Color1": (0.0, 0.0, 0.0),
        "Color2": (1.0, 1.0, 1.0),
        "Mortar": (0.5, 0.5, 0.5),
        "Scale": 1.0,
        "Mortar Size": 0.006,
        "Mortar Smooth": 0.25,
        "Brick Width": 0.24,
        "Row Height": 0.075,
    }
    wall = g.add("TexBrick", inputs)
    random = g.add("SeparateColor", {0: wall.outputs[0]}).outputs[0]
    tone = g.ramp(
        random,
        (0.0, tuple(c * 0.45 for c in colour)),
        (0.4, colour),
        (0.8, tuple(min(1, c * 1.45) for c in colour)),
        (1.0, (0.42, 0.24, 0.16)),
    )
    pits = g.noise(flat, 60.0, 8, 0.7)
    tone = g.mix(g.level(pits, 0.5, 0.75, 0.0, 0.5), tone, tuple(c * 0.5 for c in colour))
    tone = g.mix(wall.outputs[1], tone, g.mix(g.level(pits, 0.3, 0.7), joint, tuple(c * 0.7 for c in joint)))
    wash = g.level(g.noise(flat, 1.6, 6, 0.6), 0.52, 0.7, 0.0, 0.4)
    tone = g.mix(wash, tone, (0.5, 0.45, 0.4))
    height = g.maths("SUBTRACT", g.maths("MULTIPLY", pits, 0.35), wall.outputs[1])
    return g.surface(tone, 0.9, g.bump(height, 0.008, 0.8))


def metal(colour: Colour = (0.56, 0.57, 0.58), rough: float = 0.28) -> Any:
    """Brushed or painted metal with smears."""
    g = Graph("metal")
    smear = g.noise(g.coords(), 12.0, 6, 0.6)
    return g.surface(colour, g.level(smear, 0.3, 0.7, rough * 0.7, rough * 1.5), Metallic=1.0)


def glass(tint: Colour = (1.0, 1.0, 1.0), rough: float = 0.0) -> Any:
    """Clear or coloured glass; shadows pass through it, so that no caustics are needed."""
    g = Graph("glass")
    clear = g.add("BsdfTransparent", {0: tuple(0.75 + 0.25 * c for c in tint)})
    solid = g.add("BsdfGlass", {"Color": tint, "Roughness": rough, "IOR": 1.45})
    mix = g.add("MixShader", {0: g.add("LightPath").outputs["Is Shadow Ray"], 1: solid.outputs[0], 2: clear.outputs[0]})
    g.tree.links.new(mix.outputs[0], g.out.inputs["Surface"])
    return g.material


def leaf(colour: Colour = (0.10, 0.22, 0.04), vary: float = 0.5) -> Any:
    """Leaves: light passes through them; each has its own shade."""
    g = Graph("leaf")
    random = g.add("ObjectInfo").outputs["Random"]
    patch = g.noise(g.coords(), 30.0, 3)
    value = g.maths("ADD", g.level(random, 0, 1, 1 - vary, 1 + vary), g.level(patch, 0.3, 0.7, -0.2, 0.2))
    hue = g.level(random, 0, 1, 0.485, 0.515)
    tone = g.add("HueSaturation", {"Color": colour, "Hue": hue, "Value": value}).outputs[0]
    shader = g.add("BsdfPrincipled", {"Base Color": tone, "Roughness": 0.45})
    through = g.add("BsdfTranslucent", {0: g.mix(1.0, tone, (1.4, 1.5, 0.6), "MULTIPLY")})
    mix = g.add("MixShader", {0: 0.45, 1: shader.outputs[0], 2: through.outputs[0]})
    g.tree.links.new(mix.outputs[0], g.out.inputs["Surface"])
    return g.material


def outdoors(strength: float = 2.2) -> Any:
    """A garden behind a window in the x-z plane, as an out-of-focus lens sees it: sky above, sunlit leaves below."""
    g = Graph("outdoors")
    at = g.coords()
    height = g.add("SeparateXYZ", {0: at}).outputs[2]
    crown = g.maths("ADD", height, g.level(g.noise(at, 2.2, 5, 0.6), 0.25, 0.75, -0.45, 0.45))
    leaves = g.ramp(
        g.noise(at, 7.0, 6, 0.65, 0.6),
        (0.3, (0.035, 0.07, 0.02)),
        (0.55, (0.20, 0.32, 0.07)),
        (0.75, (0.72, 0.78, 0.38)),
    )
    tone = g.mix(g.level(crown, 0.62, 0.95), leaves, (0.85, 0.93, 1.0))
    light = g.add("Emission", {0: tone, 1: strength})
    g.tree.links.new(light.outputs[0], g.out.inputs["Surface"])
    return g.material


def glow(colour: Colour, strength: float) -> Any:
    """A lamp, a screen, a bright sky outside: it shines by itself."""
    g = Graph("glow")
    light = g.add("Emission", {0: colour, 1: strength})
    g.tree.links.new(light.outputs[0], g.out.inputs["Surface"])
    return g.material
