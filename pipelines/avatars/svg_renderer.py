"""A character to pixels: parts, colours and garments become SVG, and that becomes layers; knows no seed and no page."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import resvg_py

from pipelines.avatars.art_packs import ART_PACKS, HAIR_COLOURS, PALETTES, SKIN_COLOURS, AnchorName, ArtPack, Palette
from pipelines.avatars.outfits import ROLES, RoleOutfit
from pipelines.avatars.traits import Character
from pipelines.codecs.containers import Layer
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Colour, Image
from pipelines.imaging.text import relative_luminance

PARTS_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "characters"
T = TypeVar("T")
_PLACEHOLDER = re.compile(r"\{\{(@?)(\w+)\}\}")
_BUILD_WIDTH_RATIO = {"slim": 0.9, "average": 1.0, "broad": 1.12}
# What an editor's list of layers calls them; neighbours of one name are one layer.
_LAYER_NAMES = {
    "base": "body", "body": "body", "clothing": "body", "shape": "body", "back": "behind", "torso": "outfit",
    "head": "head", "hair": "hair", "lips": "face", "nose": "face", "eyes": "face", "brows": "face", "mouth": "face",
    "facialHair": "face", "beard": "face", "accessories": "face", "glasses": "face", "hairAccessories": "flowers",
}  # fmt: skip


def render_layers(
    character: Character, art: ArtPack, role: str, side: int, outfit: Colour | None = None
) -> tuple[Layer, ...]:
    """The figure taken apart, from the ground up: RGBA, side x side, straight alpha; together they are `figure`."""
    groups: list[tuple[str, str]] = []
    for name, svg in _svg_layers(character, art, role, outfit):
        word = _LAYER_NAMES.get(name, name)
        if svg and groups and groups[-1][0] == word:
            svg = groups.pop()[1] + svg
        if svg:
            groups.append((word, svg))
    words = [word for word, _ in groups]
    again = [words[:n].count(word) + 1 for n, word in enumerate(words)]
    names = [word if nth == 1 else f"{word} {nth}" for word, nth in zip(words, again, strict=True)]
    return tuple(
        Layer(name, _rasterize_svg(svg, art, side, art.view_box)) for name, (_, svg) in zip(names, groups, strict=True)
    )


def render_figure(
    character: Character, art: ArtPack, role: str, side: int, outfit: Colour | None = None, *, head_only: bool = False
) -> Image:
    """RGBA, side x side, straight alpha. `outfit` is the colour of the clothes, else the role's or the palette's.

    `close` shows the head only, where the art has more.
    """
    svg = "".join(svg for _, svg in _svg_layers(character, art, role, outfit))
    return _rasterize_svg(svg, art, side, (art.head_view_box or art.view_box) if head_only else art.view_box)


def css_colours(character: Character, art: ArtPack, role: str, outfit: Colour | None = None) -> dict[str, str]:
    """The colours of a character by the names its parts use, as CSS."""
    palette, worn = _palette_of(character), outfit or clothing_colour(character, role)
    clothes = "#{:02x}{:02x}{:02x}".format(*worn)
    hair, skin = _pick_shade(character, "hair_colour", HAIR_COLOURS), _pick_shade(character, "skin", SKIN_COLOURS)
    dark = art.feature_colour if "skin" in art.colours else _contrast_colour(worn)
    return {
        "skin": skin, "hair": hair, "headContrast": hair, "clothing": clothes, "accessories": palette.accent,
        "hat": palette.accent, "earrings": palette.accent, "hairAccessories": palette.accent, "shape": clothes,
        "eyebrows": _darken_colour(hair), "freckles": _darken_colour(skin), "glasses": "#26262b",
        "mouth": art.mouth_colour or dark, "nose": dark, "eyes": dark,
    }  # fmt: skip


def backdrop_colour(character: Character) -> Colour:
    """The colour its palette puts behind it."""
    return _parse_hex(_palette_of(character).ground)


def clothing_colour(character: Character, role: str) -> Colour:
    """The colour of the clothes: the role's, else the palette's."""
    garment = ROLES.get(role)
    return _parse_hex(
        garment.clothing_colour if garment is not None and garment.clothing_colour else _palette_of(character).outfit
    )


def skin_colour(character: Character) -> Colour:
    """The colour of the skin."""
    return _parse_hex(_pick_shade(character, "skin", SKIN_COLOURS))


def omission_notices(character: Character, art: ArtPack, role: str) -> tuple[str, ...]:
    """Sentences on what of the role this art or this hair cannot show."""
    garment = ROLES.get(role)
    if garment is None:
        return ()
    if garment.hat and not _wears_hat(character, art, garment):
        return (f"{garment.title}: with this hair the hat is left out.",)
    if "torso" not in art.anchors and not (art.is_pixel_art or garment.hat or garment.mask):
        return (f"{garment.title}: {art.title} shows the head only, and this role is told by its clothes.",)
    return ()


# ---------------------------------------------------------------- which parts


def choose_parts(character: Character, art: ArtPack, role: str) -> dict[str, str]:
    """The part of every group that is seen, by group."""
    garment = ROLES.get(role)
    chosen = {group: _pick_part(character, group, rows) for group, rows in art.always_parts.items()}
    for group, (share, rows) in art.optional_parts.items():
        if character.random_pick("face", group, "there") / 2**32 < share:
            chosen[group] = _pick_part(character, group, rows)
    for trait, groups in art.parts_by_trait.items():
        for group, by_value in groups.items():
            rows = by_value.get(_requested_value(character, trait, garment, by_value), ())
            rows = _suitable_parts(rows, trait, character, art)
            if rows:
                chosen[group] = rows[character.random_pick(trait, group) % len(rows)]
    return {group: part for group, part in chosen.items() if part}


def _requested_value(
    character: Character, trait: str, garment: RoleOutfit | None, by_value: Mapping[str, object]
) -> str:
    value = character[trait]
    if trait == "outfit" and garment is not None and garment.outfit:
        return garment.outfit
    if trait == "glasses" and garment is not None and garment.glasses and "none" in (value, garment.glasses):
        return garment.glasses
    return value if value in by_value else next(iter(by_value)) if trait != "mood" else value


def _suitable_parts(rows: tuple[str, ...], trait: str, character: Character, art: ArtPack) -> tuple[str, ...]:
    """Of the parts that show a value, those that take the hair's colour; all, where none does."""
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


# ---------------------------------------------------------------- SVG


def _svg_layers(character: Character, art: ArtPack, role: str, outfit: Colour | None) -> list[tuple[str, str]]:
    """(layer, SVG) from the ground up."""
    source = _load_art_pack(art.file)
    garment = _outfit_layers(character, art, role)
    paint = css_colours(character, art, role, outfit)
    chosen = choose_parts(character, art, role)
    mask = garment.get("mask", "")
    wide = _BUILD_WIDTH_RATIO[character["build"]] if art.has_build else 1.0
    made = []
    for name in art.layer_order:
        if name in garment:
            svg = garment[name]
        else:
            svg = _fill_template(source["layers"].get(name, ""), source["parts"], chosen, paint, character, art, mask)
            svg = mask + svg if name == art.eye_group else svg
        if name in ("head", "hair") and "hat" in garment:
            svg = _clip_below_hat(svg, art, ROLES[role])
        if name in ("base", "torso") and wide != 1.0:
            middle = art.anchors["torso"].x
            svg = f'<g transform="translate({middle * (1 - wide):.2f} 0) scale({wide} 1)">{svg}</g>'
        made.append((name, svg))
    return made


def _clip_below_hat(svg: str, art: ArtPack, garment: RoleOutfit) -> str:
    """A head with hair as a hat leaves it to be seen: nothing above the brim, or nothing outside the helmet."""
    if not garment.covers_hair or (art.is_pixel_art and garment.encloses_head):
        return svg
    left, top, width, height = art.view_box
    hole = f'<rect x="{left}" y="{art.brim_y}" width="{width}" height="{top + height - art.brim_y}"/>'
    if garment.encloses_head:
        x, y, unit, _ = art.anchors["head"]
        hole = f'<circle cx="{x + 4 * unit}" cy="{y + 26 * unit}" r="{74 * unit}"/>'
    return f'<clipPath id="under">{hole}</clipPath><g clip-path="url(#under)">{svg}</g>'


def _fill_template(
    template: str, parts: Mapping[str, Mapping[str, str]], chosen: Mapping[str, str], paint: Mapping[str, str],
    character: Character, art: ArtPack, mask: str,
) -> str:  # fmt: skip
    def fill(hole: re.Match[str]) -> str:
        if not hole[1]:
            return paint.get(hole[2], "#000")
        part = chosen.get(hole[2], "")
        under = mask if hole[2] == art.eye_group and hole[2] not in art.layer_order else ""
        return (
            under + _PLACEHOLDER.sub(fill, _repaint_part(parts[hole[2]][part], hole[2], character, art))
            if part
            else under
        )

    return _PLACEHOLDER.sub(fill, template)


def _repaint_part(svg: str, group: str, character: Character, art: ArtPack) -> str:
    """The part with its plain black and white in the places of colours, where its art was drawn without any."""
    for where, plain, name in art.repaint:
        if where == group and not (plain == "#000" and "#fff" in svg):
            name = "hat" if group == "hair" and character["hair"] == "covered" else name
            svg = svg.replace(f'fill="{plain}"', f'fill="{{{{{name}}}}}"')
    return svg


def _outfit_layers(character: Character, art: ArtPack, role: str) -> dict[str, str]:
    """The role's pieces by layer, in the art's own units."""
    garment = ROLES.get(role)
    if garment is None:
        return {}
    pieces = _pixel_pieces(garment, art) if art.is_pixel_art else _vector_pieces(garment, art)
    if not _wears_hat(character, art, garment):
        pieces.pop("hat", None)
        pieces.pop("back", None) if garment.encloses_head else None
    if "pose" in art.parts_by_trait and character["pose"] != "still":
        pieces.pop("prop", None)  # the hands are busy
    return pieces


def _wears_hat(character: Character, art: ArtPack, garment: RoleOutfit) -> bool:
    return "hair" not in art.parts_by_trait or character["hair"] != "covered"


def _vector_pieces(garment: RoleOutfit, art: ArtPack) -> dict[str, str]:
    rows: tuple[tuple[str, str, AnchorName], ...] = (
        ("back", garment.back, "head"), ("hat", garment.hat, "head"), ("mask", garment.mask, "eyes"),
        ("torso", garment.torso, "torso"), ("prop", garment.prop, "torso"),
    )  # fmt: skip
    found = {}
    for layer, svg, where in rows:
        anchor = art.anchors.get(where)
        if layer == "back" and not garment.encloses_head and "torso" not in art.anchors:
            continue  # a cape needs shoulders
        if svg and anchor is not None:
            svg = svg.replace("{{a}}", garment.colour_a).replace("{{b}}", garment.colour_b)
            svg = svg.replace("{{w}}", f"{art.line_width * art.anchors['head'].unit / anchor.unit:.2f}")
            turn = f"rotate({anchor.turn})" if anchor.turn else ""
            found[layer] = f'<g transform="translate({anchor.x} {anchor.y}) scale({anchor.unit}) {turn}">{svg}</g>'
    return found


def _pixel_pieces(garment: RoleOutfit, art: ArtPack) -> dict[str, str]:
    left, top = art.anchors["head"][:2]
    found: dict[str, str] = {}
    for layer, x, y, width, height, fill in garment.pixels:
        cell = f'<rect x="{left + x}" y="{top + y}" width="{width}" height="{height}" fill="{fill}"/>'
        found[layer] = found.get(layer, "") + cell
    return found


def _rasterize_svg(svg: str, art: ArtPack, side: int, seen: tuple[float, float, float, float]) -> Image:
    """RGBA, side x side. Pixels stay whole: what does not come out even is left free around them."""
    box = " ".join(f"{edge:g}" for edge in seen)
    inner = side - side % int(art.view_box[2]) if art.is_pixel_art else side
    edges = "crispEdges" if art.is_pixel_art else "auto"
    whole = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{inner}" height="{inner}" fill="none" '
        f'shape-rendering="{edges}">{svg}</svg>'
    )
    data = resvg_py.svg_to_bytes(svg_string=whole, skip_system_fonts=True)
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert raw is not None, "resvg writes PNG"
    image = np.asarray(cv2.cvtColor(raw, cv2.COLOR_BGRA2RGBA), np.uint8)
    rest = side - inner
    return np.pad(image, ((rest, 0), (rest // 2, rest - rest // 2), (0, 0))) if rest else image


@lru_cache(maxsize=len(ART_PACKS))
def _load_art_pack(file: str) -> Any:
    """The art's layers by name and its parts by group, from disk, its checksum proven. Raises `ModelUnavailable`."""
    path = PARTS_FOLDER / f"{file}.json"
    try:
        data = path.read_bytes()
        known = json.loads((PARTS_FOLDER / "manifest.json").read_text())[path.name]
    except (OSError, KeyError) as error:
        raise ModelUnavailable(f"The parts of '{file}' are missing: python assets/characters/fetch.py.") from error
    if hashlib.sha256(data).hexdigest() != known:
        raise ModelUnavailable(f"The parts of '{file}' are damaged: python assets/characters/fetch.py.")
    made = json.loads(data)
    return {"layers": dict(made["layers"]), "parts": made["parts"]}


def _palette_of(character: Character) -> Palette:
    return _pick_shade(character, "palette", PALETTES)


def _contrast_colour(colour: Colour) -> str:
    """Near black or white: the eyes of who is all one colour."""
    return "#16110f" if relative_luminance(colour) > 0.18 else "#ffffff"


def _parse_hex(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _darken_colour(colour: str) -> str:
    return "#" + "".join(f"{int(int(colour[n : n + 2], 16) * 0.62):02x}" for n in (1, 3, 5))
