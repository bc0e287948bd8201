"""Colours in words and hex codes: a wish that names a colour and nothing else is answered with that very paper."""

from __future__ import annotations

import re

from pipelines.core.geometry import Colour

_HEX_PATTERN = re.compile(r"#?([0-9a-f]{6})\b|#([0-9a-f]{3})\b", re.IGNORECASE)
# sRGB of dyed paper, not of a lamp: pure #ff0000 is on no paper's swatch card.
PAPER_COLOURS: dict[str, Colour] = {
    "white weiss weisser weisse weisses weissem": (255, 255, 255),
    "black schwarz schwarzer schwarze schwarzes": (20, 20, 22),
    "grey gray grau grauer graue graues": (131, 134, 138),
    "silver silber silbern": (190, 192, 196), "charcoal anthracite anthrazit": (58, 61, 66),
    "red rot roter rote rotes": (179, 38, 42), "crimson burgundy bordeaux weinrot wine": (108, 26, 44),
    "coral koralle korallenrot": (232, 112, 88), "salmon lachs lachsfarben": (240, 150, 128),
    "orange oranger oranges": (236, 128, 44), "peach pfirsich apricot aprikose": (248, 198, 160),
    "yellow gelb gelber gelbe gelbes": (239, 201, 61), "mustard senf senfgelb": (222, 170, 58),
    "gold golden goldener goldene goldenes": (206, 162, 72), "ochre ocker": (198, 142, 60),
    "cream creme ivory elfenbein": (246, 238, 220), "beige": (220, 203, 176), "sand tan": (208, 180, 140),
    "brown braun brauner braune braunes": (112, 76, 52), "chocolate schokolade": (78, 50, 36),
    "terracotta terrakotta": (190, 104, 76), "rust rost rostrot": (164, 82, 44),
    "green gruen gruener gruene gruenes grun gruner grune grunes": (70, 136, 80),
    "emerald smaragd smaragdgruen smaragdgrun": (30, 122, 85), "olive oliv olivgruen olivgrun": (112, 116, 62),
    "sage salbei salbeigruen salbeigrun": (164, 178, 148), "mint mintgruen mintgrun minze": (181, 223, 202),
    "lime limette": (174, 206, 74), "khaki": (156, 146, 104),
    "teal petrol": (28, 122, 128), "turquoise tuerkis turkis": (64, 190, 184), "cyan aqua": (82, 200, 218),
    "blue blau blauer blaue blaues": (58, 104, 176), "navy marineblau nachtblau dunkelblau": (31, 42, 72),
    "azure himmelblau": (120, 184, 228), "indigo": (62, 56, 128), "cobalt kobalt kobaltblau": (28, 72, 160),
    "purple violet violett lila lilafarben": (120, 84, 164), "lavender lavendel flieder lilac": (200, 186, 226),
    "plum pflaume aubergine": (86, 46, 84), "magenta fuchsia": (194, 44, 122),
    "pink rosa rosafarben": (240, 160, 184), "blush rose altrosa": (228, 190, 186),
}  # fmt: skip
_COLOURS: dict[str, Colour] = {name: colour for names, colour in PAPER_COLOURS.items() for name in names.split()}
# What may stand beside a colour without asking for a place.
_PAPER_TEXT = (
    "studio wall walls paper papers backdrop background backgrounds seamless solid plain flat uniform colour color"
    " coloured colored single screen board card clean matte matt wand waende wande hintergrund papier karton"
    " fotohintergrund einfarbig einfarbiger einfarbige uni farbe farben farbig ton"
    " a an the in of with on and very my as please ein eine einen der die das mit von und vor als bitte"
)
_PAPER_WORDS = frozenset(_PAPER_TEXT.split())
_LIGHTER_RATIO, _DARKER_RATIO = 0.5, 0.42  # share of the way to white and to black
_SHADE_TEXTS = {
    "light pale pastel soft bright hell heller helle helles zart zartes blass pastellfarben": _LIGHTER_RATIO,
    "dark deep dunkel dunkler dunkle dunkles tief tiefes": -_DARKER_RATIO,
}
_SHADES = {word: shade for words, shade in _SHADE_TEXTS.items() for word in words.split()}
_PREFIXES = {"hell": _LIGHTER_RATIO, "pastell": _LIGHTER_RATIO, "zart": _LIGHTER_RATIO, "dunkel": -_DARKER_RATIO}


def read_paper_colour(words: str) -> Colour | None:
    """Read the paper that `words` ask for: "#f4c2c2", "red studio wall", "hellblaues Papier"; None if they ask for
    anything beside it."""
    found = _HEX_PATTERN.search(words)
    rest = words[: found.start()] + " " + words[found.end() :] if found else words
    colour = _parse_hex(found) if found else None
    shade = 0.0
    for word in re.findall(
        r"\w+", rest.lower().replace("ß", "ss").replace("ä", "a").replace("ö", "o").replace("ü", "u")
    ):
        if word in _PAPER_WORDS:
            continue
        if word in _SHADES:
            shade = _SHADES[word]
            continue
        if (named := _read_colour_word(word)) is None:
            return None
        colour = colour or named
    return None if colour is None else _shade_colour(colour, shade)


def _read_colour_word(word: str) -> Colour | None:
    if word in _COLOURS:
        return _COLOURS[word]
    for prefix, shade in _PREFIXES.items():
        if word.startswith(prefix) and word[len(prefix) :] in _COLOURS:
            return _shade_colour(_COLOURS[word[len(prefix) :]], shade)
    return None


def _parse_hex(found: re.Match[str]) -> Colour:
    digits = found.group(1) or "".join(2 * digit for digit in found.group(2))
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def _shade_colour(colour: Colour, shade: float) -> Colour:
    """Move `colour` towards white by a positive share and towards black by a negative one."""
    end = 255 if shade > 0 else 0
    r, g, b = (round(part + (end - part) * abs(shade)) for part in colour)
    return r, g, b
