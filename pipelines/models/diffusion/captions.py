"""Captions by rule: writes what a form says in the way that each family of models was trained on.

FLUX.2 and Krea 2 were trained on prose whose first words weigh most (Wan and Qwen-Image 2.1 get the same), Z-Image on
long descriptions part by part, the edit models on instructions that say what changes and what stays, and Stable
Diffusion's CLIP reads 75 tokens, so that it gets key words, the important ones first. Nothing is added that the form
does not say, and a part is left out where the user's own words speak of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from pipelines.core.rendering import Caption
from pipelines.models.families.scenes.paper_colors import PAPER_COLOURS

_FOCUS_WORDS = re.compile(r"\b(focus|sharp|blur(red|ry)?|bokeh|unscharf|scharf|verschwommen)\b", re.IGNORECASE)
_LIGHT_SIDE_WORDS = re.compile(
    r"\b(backlit|backlight|overhead|(from|on|to) (the )?(left|right|behind|above|front)|gegenlicht|"
    r"von (links|rechts|hinten|oben|vorn))\b",
    re.IGNORECASE,
)
_COLOUR_NAMES = (
    r"white|black|gr[ae]y|silver|charcoal|red|orange|yellow|gold(?:en)?|cream|beige|taupe|brown|green|teal|turquoise|cyan|"
    r"blue|navy|indigo|purple|violet|magenta|pink|rose|wei(?:ß|ss)\w*|schwarz\w*|grau\w*|rot(?:e|er|es)?|gelb\w*|braun\w*|"
    r"gr(?:ü|ue)n\w*|blau\w*|lila|rosa"
)
_COLOUR_WORDS = re.compile(rf"#[0-9a-f]{{3,6}}\b|\b(?:{_COLOUR_NAMES})\b", re.IGNORECASE)
_LOOK_COLOUR_WORDS = re.compile(
    rf"\b(?:(?:soft|pale|light|mid|dark) )*(?:{_COLOUR_NAMES})(?: and (?:{_COLOUR_NAMES}))*\b ?|"
    r"coloured | in one colour",
    re.IGNORECASE,
)
_PEOPLE_WORDS = re.compile(
    r"\b(people|persons?|someone|everyone|m[ae]n|wom[ae]n|boys?|girls?|child(?:ren)?|crowds?|crowded|audience|guests|"
    r"customers|passers-by|pedestrians|team|colleagues|worker|workers|menschen(?:menge)?|leute|person(?:en)?|m(ä|ae)nner|"
    r"mann|frau(?:en)?|kind(?:er)?|publikum|g(ä|ae)ste|kunden|passanten)\b",
    re.IGNORECASE,
)
_DETERMINER_WORDS = re.compile(r"(an?|the|his|her|their|its|some|no|one|two) ", re.IGNORECASE)
"""Words that begin so can stand after "to"; "dress uniform" would be read as a verb there."""
_DYED_THING_WORDS = re.compile(
    r"\b(paper|walls?|backdrop|background|podium|studio|papier|wand|w(ä|ae)nde|hintergrund|podest)\b", re.IGNORECASE
)


def write_caption(caption: Caption, family: str) -> str:
    """Write `caption` for a family; the plain words for one without a style, such as the built-in scenes."""
    style = _STYLES.get(family)
    if style is None:
        return caption.words
    return style(_with_colour(caption, family))


def has_style(family: str) -> bool:
    """Tell whether captions are written for a family."""
    return family in _STYLES


def _write_prose(caption: Caption) -> str:
    if caption.changes or caption.kept:
        return _write_instruction(caption)
    purpose = _describe_purpose(caption)
    sentences = [caption.words, purpose and f"a {purpose}", *_list_details(caption)]
    return " ".join(_make_sentence(each) for each in sentences if each)


def _write_parts(caption: Caption) -> str:
    if caption.changes or caption.kept:
        return _write_instruction(caption)
    scene = "Scene" if caption.purpose else "Picture"
    view, focus, light, space = _list_details(caption)
    rows = {
        scene: caption.words,
        "Type": _describe_purpose(caption),
        "Camera": view,
        "Focus": focus,
        "Light": light.removeprefix("light "),
        "Composition": space,
    }
    return " ".join(f"{name}: {_make_sentence(words)}" for name, words in rows.items() if words)


def _write_tag_prompt(caption: Caption) -> str:
    changes = [f"{what}: {words}" for what, words in caption.changes]
    purpose = _describe_purpose(caption).replace(" with ", ", ").replace("nobody in it", "no people")
    words = [caption.words, *changes, purpose, *_list_details(caption)]
    return ", ".join(each.rstrip(".") for each in words if each)


def _write_instruction(caption: Caption) -> str:
    can_follow_to = all(_DETERMINER_WORDS.match(words) for _, words in caption.changes)
    between, joint = (" to ", " and ") if can_follow_to else (": ", "; ")
    changes = joint.join(f"the {what}{between}{words}" for what, words in caption.changes)
    sentences = [f"Change {changes}" if changes else caption.words, caption.kept, *_list_details(caption)]
    return " ".join(_make_sentence(each) for each in sentences if each)


def _write_spatial_instruction(caption: Caption) -> str:
    """As an instruction, but a side in the words of JoyAI's authors, which alone turn an object in their model."""
    if caption.side:
        return f"Rotate the product to show the {caption.side} side view."
    return _write_instruction(caption)


_STYLES: Mapping[str, Callable[[Caption], str]] = {
    "flux2": _write_prose,
    "krea": _write_prose,
    "z_image": _write_parts,
    "stable_diffusion": _write_tag_prompt,
    "qwen_image": _write_instruction,
    "qwen_image_21": _write_prose,
    "longcat": _write_instruction,
    "joyimage": _write_spatial_instruction,
    "wan": _write_prose,
}


def _with_colour(caption: Caption, family: str) -> Caption:
    """Say the chosen colour of a paper, a wall or a podium in place of the look's colour; a place has its own."""
    things = [match[0].lower() for match in _DYED_THING_WORDS.finditer(caption.words)]
    if not caption.colour or not things or _COLOUR_WORDS.search(caption.own):
        return caption
    colour = caption.colour if family == "flux2" else _name_colour(caption.colour)
    words = caption.own or _LOOK_COLOUR_WORDS.sub("", caption.place).strip()
    thing = "" if words.lower().endswith(things[-1]) else f", the {things[-1]}"
    dyed = f"{words}{thing} in the colour {colour}"
    if caption.own:
        return replace(caption, own=dyed)
    return replace(caption, place=dyed if family == "flux2" else f"{colour} {words}")


def _name_colour(colour: str) -> str:
    """Name a colour of the form #rrggbb by the nearest dyed paper: FLUX.2 alone reads such codes."""
    if not colour.startswith("#"):
        return colour
    wanted = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
    names = min(PAPER_COLOURS, key=lambda names: math.dist(wanted, PAPER_COLOURS[names]))
    return names.split()[0]


def _list_details(caption: Caption) -> tuple[str, str, str, str]:
    """What the form says of camera, focus, light and free space, empty where the user's words speak of it."""
    own = caption.own
    is_surface = caption.purpose == "product"
    focus = "softly blurred towards the back" if is_surface else "the whole picture is softly out of focus"
    has_side = bool(_LIGHT_SIDE_WORDS.search(own))
    return (
        f"seen from {caption.view}" if caption.view else "",
        focus if caption.is_blurred and not _FOCUS_WORDS.search(own) else "",
        f"light from the {caption.light_side}" if caption.light_side and not has_side else "",
        f"the {caption.free_side} of the picture is empty" if caption.free_side else "",
    )


def _describe_purpose(caption: Caption) -> str:
    """Say that it is a background and what stays free; the words portrait and product would draw some."""
    if not caption.purpose:
        return ""
    if caption.purpose == "product":
        return "background photograph with nothing on the surface"
    # A place in the user's own words may be full of people, but for where the subject stands.
    has_people = bool(_PEOPLE_WORDS.search(caption.own))
    return f"background photograph with {'an empty foreground' if has_people else 'nobody in it'}"


def _make_sentence(words: str) -> str:
    text = words.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
