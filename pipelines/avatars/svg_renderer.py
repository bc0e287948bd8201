"""Render an avatar: fill the SVG templates of an art pack with parts, colours and outfit, and rasterise them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import resvg_py

from pipelines.avatars.art_packs import ART_PACKS, HAIR_COLOURS, PALETTES, SKIN_COLOURS, AnchorName, ArtPack, Palette
from pipelines.avatars.outfits import ROLES, RoleOutfit
from pipelines.avatars.traits import PICK_COUNT, Character, Trait
from pipelines.codecs.containers import Layer
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Colour, Image
from pipelines.imaging.text import relative_luminance

PARTS_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "characters"
T = TypeVar("T")
_PLACEHOLDER = re.compile(r"\{\{(@?)(\w+)\}\}")
_PICK_ATTEMPT_COUNT = 100
_COVERING_PARTS = {"turban": frozenset(("turban",)), "beanie": frozenset(("hatBeanie", "hat"))}
_LOOK_SIDE_PX = 80  # of the picture in which visible hair is measured
_SEEN_HAIR_RATIO = 0.008  # of the picture, from which a hair colour is seen
_BUILD_WIDTH_RATIO = {"slim": 0.9, "average": 1.0, "broad": 1.12}
# Layer names in exported files. Neighbours with the same name become one layer.
_LAYER_NAMES = {
    "base": "body", "body": "body", "clothing": "body", "shape": "body", "back": "behind", "torso": "outfit",
    "head": "head", "hair": "hair", "lips": "face", "nose": "face", "eyes": "face", "brows": "face", "mouth": "face",
    "facialHair": "face", "beard": "face", "accessories": "face", "glasses": "face", "hairAccessories": "flowers",
}  # fmt: skip


def render_layers(
    character: Character, art: ArtPack, role: str, side: int, outfit: Colour | None = None
) -> tuple[Layer, ...]:
    """Render the layers from back to front (side x side x 4, straight alpha). Composited they equal `render_figure`."""
    drawn = [(_LAYER_NAMES.get(name, name), svg) for name, svg in _svg_layers(character, art, role, outfit) if svg]
    layers: list[Layer] = []
    counts: Counter[str] = Counter()
    for word, group in groupby(drawn, key=lambda pair: pair[0]):
        counts[word] += 1
        name = word if counts[word] == 1 else f"{word} {counts[word]}"
        svg = "".join(piece for _, piece in group)
        layers.append(Layer(name, _rasterize_svg(svg, art, side, art.view_box)))
    return tuple(layers)


def render_figure(
    character: Character, art: ArtPack, role: str, side: int, outfit: Colour | None = None, *, head_only: bool = False
) -> Image:
    """Render the figure, side x side x 4, straight alpha; `outfit` colours the clothes, by default the role's do."""
    svg = "".join(svg for _, svg in _svg_layers(character, art, role, outfit))
    return _rasterize_svg(svg, art, side, (art.head_view_box or art.view_box) if head_only else art.view_box)


def css_colours(character: Character, art: ArtPack, role: str, outfit: Colour | None = None) -> dict[str, str]:
    """Return the CSS colours of a character by the names that parts use."""
    palette, clothes_colour = _palette_of(character), outfit or clothing_colour(character, role)
    clothes = "#{:02x}{:02x}{:02x}".format(*clothes_colour)
    hair, skin = _pick_shade(character, "hair_colour", HAIR_COLOURS), _pick_shade(character, "skin", SKIN_COLOURS)
    dark = art.feature_colour if "skin" in art.colours else _contrast_colour(clothes_colour)
    return {
        "skin": skin, "hair": hair, "headContrast": hair, "clothing": clothes, "accessories": palette.accent,
        "hat": palette.accent, "earrings": palette.accent, "hairAccessories": palette.accent, "shape": clothes,
        "eyebrows": _darken_colour(hair), "freckles": _darken_colour(skin), "glasses": "#26262b",
        "mouth": art.mouth_colour or dark, "nose": dark, "eyes": dark,
    }  # fmt: skip


def backdrop_colour(character: Character) -> Colour:
    """Return the background colour of its palette."""
    return _parse_hex(_palette_of(character).ground)


def clothing_colour(character: Character, role: str) -> Colour:
    """Return the colour of the clothes: the role's, else the palette's."""
    garment = ROLES.get(role)
    return _parse_hex(_palette_of(character).outfit if garment is None else garment.clothing_colour)


def skin_colour(character: Character) -> Colour:
    """Return the colour of the skin."""
    return _parse_hex(_pick_shade(character, "skin", SKIN_COLOURS))


def omission_notices(character: Character, art: ArtPack, role: str) -> tuple[str, ...]:
    """Return notices about parts of the role that this art pack or hair cannot show."""
    garment = ROLES.get(role)
    if garment is None:
        return ()
    if garment.hat and not _wears_hat(character, art):
        return (f"{garment.title}: with this hair the hat is left out.",)
    if "torso" not in art.anchors and not (art.is_pixel_art or garment.hat or garment.mask):
        return (f"{garment.title}: {art.title} shows the head only, and this role is told by its clothes.",)
    return ()


def shows_hair_colour(character: Character, art: ArtPack, role: str) -> bool:
    """Say whether enough hair or beard is visible, under the role's hat, to show its colour."""
    if character["hair_colour"] == "black" and art.tinted_parts:  # black parts of such art have no colour of their own
        return character["hair"] not in ("covered", "bald")
    svg = "".join(svg for _, svg in _svg_layers(character, art, role, None))
    paint = css_colours(character, art, role)["hair"]
    shown, marked = (
        _rasterize_svg(text, art, _LOOK_SIDE_PX, art.view_box).astype(int) for text in (svg, svg.replace(paint, "#f0f"))
    )
    return float((np.abs(shown - marked).max(axis=2) > 40).mean()) > _SEEN_HAIR_RATIO


def dye_hair(character: Character, shade: int) -> Character:
    """Return the character with that shade of `HAIR_COLOURS["dyed"]`."""
    wanted = HAIR_COLOURS["dyed"][shade]
    return _pick_again(character, "hair_colour", lambda one: _pick_shade(one, "hair_colour", HAIR_COLOURS) == wanted)


def cover_head(character: Character, art: ArtPack, covering: str) -> Character:
    """Return the character with a "hijab", "turban" or "beanie" where the art has one; "" changes nothing."""
    if not covering:
        return character
    if covering == "hijab" and character["figure"] == "man":
        character = character.with_value("figure", "person")  # veils are left out for men
    parts = art.veil_parts if covering == "hijab" else _COVERING_PARTS.get(covering, frozenset())
    return _pick_again(character, "hair", lambda one: bool(parts.intersection(choose_parts(one, art, "").values())))


def _pick_again(character: Character, trait: str, is_wanted: Callable[[Character], bool]) -> Character:
    """Return the character with the next pick of `trait` that is wanted, the same where none comes."""
    first = character.traits[trait]
    for pick in range(first.pick, min(first.pick + _PICK_ATTEMPT_COUNT, PICK_COUNT)):
        one = replace(character, traits={**character.traits, trait: Trait(first.value, pick)})
        if is_wanted(one):
            return one
    return character


def choose_parts(character: Character, art: ArtPack, role: str) -> dict[str, str]:
    """Choose the visible part of each group."""
    garment = ROLES.get(role)
    chosen = {group: _pick_part(character, group, rows) for group, rows in art.always_parts.items()}
    for group, (share, rows) in art.optional_parts.items():
        if character.random_pick("face", group, "there") / 2**32 < share:
            chosen[group] = _pick_part(character, group, rows)
    for trait, groups in art.parts_by_trait.items():
        for group, by_value in groups.items():
            rows = by_value.get(_requested_value(character, trait, garment, by_value), ())
            rows = _list_suitable_parts(rows, trait, character, art)
            if rows:
                chosen[group] = rows[character.random_pick(trait, group) % len(rows)]
    return {group: part for group, part in chosen.items() if part}


def _requested_value(
    character: Character, trait: str, garment: RoleOutfit | None, by_value: Mapping[str, object]
) -> str:
    """Return the value of a trait, as changed by the role's outfit and by what the group of parts has."""
    value = character[trait]
    if trait == "outfit" and garment is not None:
        return "plain"
    if trait == "glasses" and garment is not None and garment.glasses and "none" in (value, garment.glasses):
        return garment.glasses
    return value if value in by_value else next(iter(by_value)) if trait != "mood" else value


def _list_suitable_parts(rows: tuple[str, ...], trait: str, character: Character, art: ArtPack) -> tuple[str, ...]:
    """Return the parts that can take the hair colour (all if none can), without veils for men."""
    if character["figure"] == "man":
        rows = tuple(row for row in rows if row not in art.veil_parts)
    if trait in ("hair", "beard") and art.tinted_parts and character["hair_colour"] != "black":
        rows = tuple(row for row in rows if row in art.tinted_parts) or rows
    return rows


def _pick_part(character: Character, group: str, rows: tuple[str, ...]) -> str:
    return rows[character.random_pick("face", group) % len(rows)]


def _pick_shade(character: Character, trait: str, table: Mapping[str, tuple[T, ...]]) -> T:
    rows = table[character[trait]]
    return rows[character.random_pick(trait, "shade") % len(rows)]


def _svg_layers(character: Character, art: ArtPack, role: str, outfit: Colour | None) -> list[tuple[str, str]]:
    """Return (layer, SVG) from back to front.

    In the templates `{{name}}` is a colour of `css_colours`, and `{{@group}}` the chosen part of the group.
    """
    source = _load_art_pack(art.file)
    garment = _outfit_layers(character, art, role)
    paint = css_colours(character, art, role, outfit)
    chosen = choose_parts(character, art, role)
    mask = garment.get("mask", "")
    width_ratio = _BUILD_WIDTH_RATIO[character["build"]] if art.has_build else 1.0

    def fill_placeholder(match: re.Match[str]) -> str:
        is_group, name = match.groups()
        if not is_group:
            return paint.get(name, "#000")
        svg = mask if name == art.eye_group and name not in art.layer_order else ""
        if part := chosen.get(name, ""):
            svg += _PLACEHOLDER.sub(fill_placeholder, _repaint_part(source["parts"][name][part], name, character, art))
        return svg

    svg_layers = []
    for name in art.layer_order:
        if name in garment:
            svg = garment[name]
        else:
            svg = _PLACEHOLDER.sub(fill_placeholder, source["layers"].get(name, ""))
            svg = mask + svg if name == art.eye_group else svg
        if name in ("head", "hair") and "hat" in garment:
            svg = _clip_below_hat(svg, art, ROLES[role])
        if name in ("base", "torso") and width_ratio != 1.0:
            center_x = art.anchors["torso"].x
            svg = f'<g transform="translate({center_x * (1 - width_ratio):.2f} 0) scale({width_ratio} 1)">{svg}</g>'
        svg_layers.append((name, svg))
    return svg_layers


def _clip_below_hat(svg: str, art: ArtPack, garment: RoleOutfit) -> str:
    """Clip head and hair to what the hat leaves visible: below the brim, or inside the helmet."""
    if not garment.covers_hair or (art.is_pixel_art and garment.encloses_head):
        return svg
    left, top, width, height = art.view_box
    clip_shape = f'<rect x="{left}" y="{art.brim_y}" width="{width}" height="{top + height - art.brim_y}"/>'
    if garment.encloses_head:
        x, y, unit, _ = art.anchors["head"]
        clip_shape = f'<circle cx="{x + 4 * unit}" cy="{y + 26 * unit}" r="{74 * unit}"/>'
    return f'<clipPath id="under">{clip_shape}</clipPath><g clip-path="url(#under)">{svg}</g>'


def _repaint_part(svg: str, group: str, character: Character, art: ArtPack) -> str:
    """Replace plain black and white in a part by placeholders for colours, if its art pack has no colours."""
    for target_group, colour, name in art.repaint:
        if target_group == group and not (colour == "#000" and "#fff" in svg):
            name = "hat" if group == "hair" and character["hair"] == "covered" else name
            svg = svg.replace(f'fill="{colour}"', f'fill="{{{{{name}}}}}"')
    return svg


def _outfit_layers(character: Character, art: ArtPack, role: str) -> dict[str, str]:
    """Return the role's SVG pieces by layer, in the art pack's units."""
    garment = ROLES.get(role)
    if garment is None:
        return {}
    pieces = _pixel_pieces(garment, art) if art.is_pixel_art else _vector_pieces(garment, art)
    if not _wears_hat(character, art):
        pieces.pop("hat", None)
        if garment.encloses_head:
            pieces.pop("back", None)
    if "pose" in art.parts_by_trait and character["pose"] != "still":
        pieces.pop("prop", None)  # the hands are busy
    return pieces


def _wears_hat(character: Character, art: ArtPack) -> bool:
    return "hair" not in art.parts_by_trait or character["hair"] != "covered"


def _vector_pieces(garment: RoleOutfit, art: ArtPack) -> dict[str, str]:
    """Return the SVG pieces of an outfit at their anchors, by layer."""
    rows: tuple[tuple[str, str, AnchorName], ...] = (
        ("back", garment.back, "head"),
        ("hat", garment.hat, "head"),
        ("mask", garment.mask, "eyes"),
        ("torso", garment.torso, "torso"),
        ("prop", garment.prop, "torso"),
    )
    pieces = {}
    for layer, svg, target_group in rows:
        anchor = art.anchors.get(target_group)
        if layer == "back" and not garment.encloses_head and "torso" not in art.anchors:
            continue  # a cape needs a torso
        if svg and anchor is not None:
            svg = svg.replace("{{a}}", garment.colour_a).replace("{{b}}", garment.colour_b)
            svg = svg.replace("{{w}}", f"{art.line_width * art.anchors['head'].unit / anchor.unit:.2f}")
            turn = f"rotate({anchor.turn})" if anchor.turn else ""
            pieces[layer] = f'<g transform="translate({anchor.x} {anchor.y}) scale({anchor.unit}) {turn}">{svg}</g>'
    return pieces


def _pixel_pieces(garment: RoleOutfit, art: ArtPack) -> dict[str, str]:
    """Return the SVG pieces of an outfit for pixel art, by layer."""
    left, top = art.anchors["head"][:2]
    pieces: dict[str, str] = {}
    for layer, x, y, width, height, fill in garment.pixels:
        cell = f'<rect x="{left + x}" y="{top + y}" width="{width}" height="{height}" fill="{fill}"/>'
        pieces[layer] = pieces.get(layer, "") + cell
    return pieces


def _rasterize_svg(svg: str, art: ArtPack, side: int, view_box: tuple[float, float, float, float]) -> Image:
    """Rasterise SVG to side x side x 4. Pixel art keeps whole pixels, so that a margin may stay free."""
    box = " ".join(f"{edge:g}" for edge in view_box)
    inner = side - side % int(art.view_box[2]) if art.is_pixel_art else side
    edges = "crispEdges" if art.is_pixel_art else "auto"
    document = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{inner}" height="{inner}" fill="none" '
        f'shape-rendering="{edges}">{svg}</svg>'
    )
    data = resvg_py.svg_to_bytes(svg_string=document, skip_system_fonts=True)
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert raw is not None, "resvg writes PNG"
    image = np.asarray(cv2.cvtColor(raw, cv2.COLOR_BGRA2RGBA), np.uint8)
    margin = side - inner
    return np.pad(image, ((margin, 0), (margin // 2, margin - margin // 2), (0, 0))) if margin else image


@lru_cache(maxsize=len(ART_PACKS))
def _load_art_pack(file: str) -> Any:
    """Load layers and parts of an art pack and verify its checksum. Raises `ModelUnavailable`."""
    path = PARTS_FOLDER / f"{file}.json"
    try:
        data = path.read_bytes()
        known = json.loads((PARTS_FOLDER / "manifest.json").read_text("utf-8"))[path.name]
    except (OSError, KeyError) as error:
        raise ModelUnavailable(f"The parts of '{file}' are missing: python assets/characters/fetch.py.") from error
    if hashlib.sha256(data).hexdigest() != known:
        raise ModelUnavailable(f"The parts of '{file}' are damaged: python assets/characters/fetch.py.")
    art_pack = json.loads(data)
    return {"layers": dict(art_pack["layers"]), "parts": art_pack["parts"]}


def _palette_of(character: Character) -> Palette:
    return _pick_shade(character, "palette", PALETTES)


def _contrast_colour(colour: Colour) -> str:
    """Return near black or white, whichever is visible on `colour`."""
    return "#16110f" if relative_luminance(colour) > 0.18 else "#ffffff"


def _parse_hex(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _darken_colour(colour: str) -> str:
    return "#" + "".join(f"{int(int(colour[n : n + 2], 16) * 0.62):02x}" for n in (1, 3, 5))
