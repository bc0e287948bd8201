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

from pipelines.avatars.art_packs import ARTS, HAIR, PALETTES, SKIN, Art, Palette, Where
from pipelines.avatars.outfits import ROLES, Garment
from pipelines.avatars.traits import Character
from pipelines.codecs.containers import Layer
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Colour, Image
from pipelines.imaging.text import luminance

PARTS = Path(__file__).resolve().parents[2] / "assets" / "characters"
T = TypeVar("T")
_HOLE = re.compile(r"\{\{(@?)(\w+)\}\}")
_BUILD = {"slim": 0.9, "average": 1.0, "broad": 1.12}
# What an editor's list of layers calls them; neighbours of one name are one layer.
_LAYERS = {
    "base": "body", "body": "body", "clothing": "body", "shape": "body", "back": "behind", "torso": "outfit",
    "head": "head", "hair": "hair", "lips": "face", "nose": "face", "eyes": "face", "brows": "face", "mouth": "face",
    "facialHair": "face", "beard": "face", "accessories": "face", "glasses": "face", "hairAccessories": "flowers",
}  # fmt: skip


def layers(character: Character, art: Art, role: str, side: int, outfit: Colour | None = None) -> tuple[Layer, ...]:
    """The figure taken apart, from the ground up: RGBA, side x side, straight alpha; together they are `figure`."""
    groups: list[tuple[str, str]] = []
    for name, svg in _drawn(character, art, role, outfit):
        word = _LAYERS.get(name, name)
        if svg and groups and groups[-1][0] == word:
            svg = groups.pop()[1] + svg
        if svg:
            groups.append((word, svg))
    words = [word for word, _ in groups]
    again = [words[:n].count(word) + 1 for n, word in enumerate(words)]
    names = [word if nth == 1 else f"{word} {nth}" for word, nth in zip(words, again, strict=True)]
    return tuple(Layer(name, _raster(svg, art, side, art.box)) for name, (_, svg) in zip(names, groups, strict=True))


def figure(
    character: Character, art: Art, role: str, side: int, outfit: Colour | None = None, *, close: bool = False
) -> Image:
    """RGBA, side x side, straight alpha. `outfit` is the colour of the clothes, else the role's or the palette's.

    `close` shows the head only, where the art has more.
    """
    svg = "".join(svg for _, svg in _drawn(character, art, role, outfit))
    return _raster(svg, art, side, (art.close or art.box) if close else art.box)


def colours(character: Character, art: Art, role: str, outfit: Colour | None = None) -> dict[str, str]:
    """The colours of a character by the names its parts use, as CSS."""
    palette, worn = _palette(character), outfit or clothing(character, role)
    clothes = "#{:02x}{:02x}{:02x}".format(*worn)
    hair, skin = _of(character, "hair_colour", HAIR), _of(character, "skin", SKIN)
    dark = art.dark if "skin" in art.colours else _seen_on(worn)
    return {
        "skin": skin, "hair": hair, "headContrast": hair, "clothing": clothes, "accessories": palette.accent,
        "hat": palette.accent, "earrings": palette.accent, "hairAccessories": palette.accent, "shape": clothes,
        "eyebrows": _darker(hair), "freckles": _darker(skin), "glasses": "#26262b",
        "mouth": art.mouth or dark, "nose": dark, "eyes": dark,
    }  # fmt: skip


def ground(character: Character) -> Colour:
    """The colour its palette puts behind it."""
    return _rgb(_palette(character).ground)


def clothing(character: Character, role: str) -> Colour:
    """The colour of the clothes: the role's, else the palette's."""
    garment = ROLES.get(role)
    return _rgb(garment.clothing if garment is not None and garment.clothing else _palette(character).outfit)


def skin_of(character: Character) -> Colour:
    """The colour of the skin."""
    return _rgb(_of(character, "skin", SKIN))


def left_out(character: Character, art: Art, role: str) -> tuple[str, ...]:
    """Sentences on what of the role this art or this hair cannot show."""
    garment = ROLES.get(role)
    if garment is None:
        return ()
    if garment.hat and not _wears_hat(character, art, garment):
        return (f"{garment.title}: with this hair the hat is left out.",)
    if "torso" not in art.anchors and not (art.pixels or garment.hat or garment.mask):
        return (f"{garment.title}: {art.title} shows the head only, and this role is told by its clothes.",)
    return ()


# ---------------------------------------------------------------- which parts


def parts_of(character: Character, art: Art, role: str) -> dict[str, str]:
    """The part of every group that is seen, by group."""
    garment = ROLES.get(role)
    chosen = {group: _pick(character, group, rows) for group, rows in art.always.items()}
    for group, (share, rows) in art.chance.items():
        if character.pick("face", group, "there") / 2**32 < share:
            chosen[group] = _pick(character, group, rows)
    for trait, groups in art.groups.items():
        for group, by_value in groups.items():
            rows = by_value.get(_asked(character, trait, garment, by_value), ())
            rows = _fitting(rows, trait, character, art)
            if rows:
                chosen[group] = rows[character.pick(trait, group) % len(rows)]
    return {group: part for group, part in chosen.items() if part}


def _asked(character: Character, trait: str, garment: Garment | None, by_value: Mapping[str, object]) -> str:
    value = character[trait]
    if trait == "outfit" and garment is not None and garment.outfit:
        return garment.outfit
    if trait == "glasses" and garment is not None and garment.glasses and "none" in (value, garment.glasses):
        return garment.glasses
    return value if value in by_value else next(iter(by_value)) if trait != "mood" else value


def _fitting(rows: tuple[str, ...], trait: str, character: Character, art: Art) -> tuple[str, ...]:
    """Of the parts that show a value, those that take the hair's colour; all, where none does."""
    if character["figure"] == "man":
        rows = tuple(row for row in rows if row not in art.veils)
    if trait in ("hair", "beard") and art.tinted and character["hair_colour"] != "black":
        rows = tuple(row for row in rows if row in art.tinted) or rows
    return rows


def _pick(character: Character, group: str, rows: tuple[str, ...]) -> str:
    return rows[character.pick("face", group) % len(rows)]


def _of(character: Character, trait: str, table: Mapping[str, tuple[T, ...]]) -> T:
    rows = table[character[trait]]
    return rows[character.pick(trait, "shade") % len(rows)]


# ---------------------------------------------------------------- SVG


def _drawn(character: Character, art: Art, role: str, outfit: Colour | None) -> list[tuple[str, str]]:
    """(layer, SVG) from the ground up."""
    source = _source(art.file)
    garment = _garment(character, art, role)
    paint = colours(character, art, role, outfit)
    chosen = parts_of(character, art, role)
    mask = garment.get("mask", "")
    wide = _BUILD[character["build"]] if art.build else 1.0
    made = []
    for name in art.order:
        if name in garment:
            svg = garment[name]
        else:
            svg = _filled(source["layers"].get(name, ""), source["parts"], chosen, paint, character, art, mask)
            svg = mask + svg if name == art.eyes else svg
        if name in ("head", "hair") and "hat" in garment:
            svg = _under(svg, art, ROLES[role])
        if name in ("base", "torso") and wide != 1.0:
            middle = art.anchors["torso"].x
            svg = f'<g transform="translate({middle * (1 - wide):.2f} 0) scale({wide} 1)">{svg}</g>'
        made.append((name, svg))
    return made


def _under(svg: str, art: Art, garment: Garment) -> str:
    """A head with hair as a hat leaves it to be seen: nothing above the brim, or nothing outside the helmet."""
    if not garment.covers or (art.pixels and garment.around):
        return svg
    left, top, width, height = art.box
    hole = f'<rect x="{left}" y="{art.brim}" width="{width}" height="{top + height - art.brim}"/>'
    if garment.around:
        x, y, unit, _ = art.anchors["head"]
        hole = f'<circle cx="{x + 4 * unit}" cy="{y + 26 * unit}" r="{74 * unit}"/>'
    return f'<clipPath id="under">{hole}</clipPath><g clip-path="url(#under)">{svg}</g>'


def _filled(
    template: str, parts: Mapping[str, Mapping[str, str]], chosen: Mapping[str, str], paint: Mapping[str, str],
    character: Character, art: Art, mask: str,
) -> str:  # fmt: skip
    def fill(hole: re.Match[str]) -> str:
        if not hole[1]:
            return paint.get(hole[2], "#000")
        part = chosen.get(hole[2], "")
        under = mask if hole[2] == art.eyes and hole[2] not in art.order else ""
        return under + _HOLE.sub(fill, _repainted(parts[hole[2]][part], hole[2], character, art)) if part else under

    return _HOLE.sub(fill, template)


def _repainted(svg: str, group: str, character: Character, art: Art) -> str:
    """The part with its plain black and white in the places of colours, where its art was drawn without any."""
    for where, plain, name in art.repaint:
        if where == group and not (plain == "#000" and "#fff" in svg):
            name = "hat" if group == "hair" and character["hair"] == "covered" else name
            svg = svg.replace(f'fill="{plain}"', f'fill="{{{{{name}}}}}"')
    return svg


def _garment(character: Character, art: Art, role: str) -> dict[str, str]:
    """The role's pieces by layer, in the art's own units."""
    garment = ROLES.get(role)
    if garment is None:
        return {}
    pieces = _cells(garment, art) if art.pixels else _pieces(garment, art)
    if not _wears_hat(character, art, garment):
        pieces.pop("hat", None)
        pieces.pop("back", None) if garment.around else None
    if "pose" in art.groups and character["pose"] != "still":
        pieces.pop("prop", None)  # the hands are busy
    return pieces


def _wears_hat(character: Character, art: Art, garment: Garment) -> bool:
    return "hair" not in art.groups or character["hair"] != "covered"


def _pieces(garment: Garment, art: Art) -> dict[str, str]:
    rows: tuple[tuple[str, str, Where], ...] = (
        ("back", garment.back, "head"), ("hat", garment.hat, "head"), ("mask", garment.mask, "eyes"),
        ("torso", garment.torso, "torso"), ("prop", garment.prop, "torso"),
    )  # fmt: skip
    found = {}
    for layer, svg, where in rows:
        anchor = art.anchors.get(where)
        if layer == "back" and not garment.around and "torso" not in art.anchors:
            continue  # a cape needs shoulders
        if svg and anchor is not None:
            svg = svg.replace("{{a}}", garment.a).replace("{{b}}", garment.b)
            svg = svg.replace("{{w}}", f"{art.line * art.anchors['head'].unit / anchor.unit:.2f}")
            turn = f"rotate({anchor.turn})" if anchor.turn else ""
            found[layer] = f'<g transform="translate({anchor.x} {anchor.y}) scale({anchor.unit}) {turn}">{svg}</g>'
    return found


def _cells(garment: Garment, art: Art) -> dict[str, str]:
    left, top = art.anchors["head"][:2]
    found: dict[str, str] = {}
    for layer, x, y, width, height, fill in garment.pixels:
        cell = f'<rect x="{left + x}" y="{top + y}" width="{width}" height="{height}" fill="{fill}"/>'
        found[layer] = found.get(layer, "") + cell
    return found


def _raster(svg: str, art: Art, side: int, seen: tuple[float, float, float, float]) -> Image:
    """RGBA, side x side. Pixels stay whole: what does not come out even is left free around them."""
    box = " ".join(f"{edge:g}" for edge in seen)
    inner = side - side % int(art.box[2]) if art.pixels else side
    edges = "crispEdges" if art.pixels else "auto"
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


@lru_cache(maxsize=len(ARTS))
def _source(file: str) -> Any:
    """The art's layers by name and its parts by group, from disk, its checksum proven. Raises `ModelUnavailable`."""
    path = PARTS / f"{file}.json"
    try:
        data = path.read_bytes()
        known = json.loads((PARTS / "manifest.json").read_text())[path.name]
    except (OSError, KeyError) as error:
        raise ModelUnavailable(f"The parts of '{file}' are missing: python assets/characters/fetch.py.") from error
    if hashlib.sha256(data).hexdigest() != known:
        raise ModelUnavailable(f"The parts of '{file}' are damaged: python assets/characters/fetch.py.")
    made = json.loads(data)
    return {"layers": dict(made["layers"]), "parts": made["parts"]}


def _palette(character: Character) -> Palette:
    return _of(character, "palette", PALETTES)


def _seen_on(colour: Colour) -> str:
    """Near black or white: the eyes of who is all one colour."""
    return "#16110f" if luminance(colour) > 0.18 else "#ffffff"


def _rgb(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _darker(colour: str) -> str:
    return "#" + "".join(f"{int(int(colour[n : n + 2], 16) * 0.62):02x}" for n in (1, 3, 5))
