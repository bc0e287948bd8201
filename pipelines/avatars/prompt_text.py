"""Describe a character as a prompt, and read traits from a prompt."""

from __future__ import annotations

import re
from collections.abc import Collection

from pipelines.avatars.traits import TRAITS, Character

# Trait and value of each word, English and German. The first word in a prompt counts.
_WORD_TRAITS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("woman", "lady", "female", "girl", "frau", "dame"), ("figure", "woman")),
    **dict.fromkeys(("man", "male", "guy", "mann", "herr"), ("figure", "man")),
    **dict.fromkeys(("person", "somebody", "mensch"), ("figure", "person")),
    **dict.fromkeys(("old", "older", "elderly", "senior", "grandmother", "grandfather", "alt", "alte", "alter"),
                    ("age", "senior")),
    **dict.fromkeys(("slim", "thin", "schlank"), ("build", "slim")),
    **dict.fromkeys(("broad", "strong", "stocky", "kräftig", "stark"), ("build", "broad")),
    **dict.fromkeys(("curly", "curls", "afro", "locken", "lockig"), ("hair", "curly")),
    **dict.fromkeys(("bald", "glatze", "kahl"), ("hair", "bald")),
    **dict.fromkeys(("bun", "ponytail", "braids", "dutt", "zopf"), ("hair", "tied")),
    **dict.fromkeys(("hijab", "headscarf", "turban", "kopftuch"), ("hair", "covered")),
    **dict.fromkeys(("mohawk", "punk"), ("hair", "wild")),
    **dict.fromkeys(("blond", "blonde", "blondes"), ("hair_colour", "blond")),
    **dict.fromkeys(("redhead", "ginger", "rothaarig"), ("hair_colour", "red")),
    **dict.fromkeys(("beard", "bearded", "bart"), ("beard", "beard")),
    **dict.fromkeys(("moustache", "mustache", "schnurrbart"), ("beard", "moustache")),
    **dict.fromkeys(("sunglasses", "sonnenbrille"), ("glasses", "sunglasses")),
    **dict.fromkeys(("glasses", "spectacles", "brille"), ("glasses", "glasses")),
    **dict.fromkeys(("happy", "smiling", "cheerful", "friendly", "fröhlich", "lächelnd"), ("mood", "happy")),
    **dict.fromkeys(("laughing", "laugh", "lachend"), ("mood", "laughing")),
    **dict.fromkeys(("calm", "relaxed", "ruhig"), ("mood", "calm")),
    **dict.fromkeys(("serious", "ernst"), ("mood", "serious")),
    **dict.fromkeys(("surprised", "amazed", "überrascht"), ("mood", "surprised")),
    **dict.fromkeys(("sad", "traurig"), ("mood", "sad")),
    **dict.fromkeys(("angry", "furious", "wütend"), ("mood", "angry")),
    **dict.fromkeys(("playful", "cheeky", "winking", "frech"), ("mood", "playful")),
    **dict.fromkeys(("waving", "winkt", "winkend"), ("pose", "wave")),
    **dict.fromkeys(("phone", "selfie", "handy"), ("pose", "phone")),
    "hoodie": ("outfit", "hoodie"), "jacket": ("outfit", "jacket"), "shirt": ("outfit", "shirt"),
    "pastel": ("palette", "pastel"), "vivid": ("palette", "vivid"), "colourful": ("palette", "vivid"),
}  # fmt: skip
_SKIN_PATTERNS = (
    (r"medium[- ]dark", "skin", "medium-dark"), (r"medium[- ]light", "skin", "medium-light"),
    (r"(?:light|fair|pale|hell\w*)", "skin", "light"), (r"(?:dark|dunkl\w*|black)", "skin", "dark"),
    (r"medium", "skin", "medium"),
)  # fmt: skip
_HAIR_COLOUR_WORDS = {
    "black": "black", "schwarze": "black", "brown": "brown", "braune": "brown", "blond": "blond", "blonde": "blond",
    "red": "red", "rote": "red", "grey": "grey", "gray": "grey", "graue": "grey", "white": "white", "weisse": "white",
    "weiße": "white", "blue": "dyed", "pink": "dyed", "green": "dyed", "purple": "dyed",
}  # fmt: skip
_HAIR_KIND_PATTERN = "(?:long|short|curly|langen?|kurzen?|lockigen?)"
_HAIR_PATTERN = "(?:hair(?:ed)?|haare?n?)"
STYLE_PREFIX = "3d icon of "
_MOOD_WORDS = {"playful": "winking", "calm": "calm, eyes closed"}


def parse_traits(text: str) -> dict[str, str]:
    """Return the traits that a prompt names, and their values."""
    lowered = text.lower()
    found: dict[str, str] = {}
    for pattern, trait, value in _SKIN_PATTERNS:
        if re.search(rf"\b{pattern}[- ](?:skin(?:ned)?|haut)\b", lowered):
            found.setdefault(trait, value)
    for word, value in _HAIR_COLOUR_WORDS.items():
        if re.search(rf"\b{word}[a-z]{{0,2}}(?:[ ,]+{_HAIR_KIND_PATTERN})?[ -]?{_HAIR_PATTERN}\b", lowered):
            found.setdefault("hair_colour", value)
    for length, value in (("long|lange[ns]?", "long"), ("short|kurze[ns]?", "short")):
        if re.search(rf"\b(?:{length})(?:[ ,]+\w+)?[ -]?{_HAIR_PATTERN}\b", lowered):
            found.setdefault("hair", value)
    for word in re.findall(r"\w+", lowered):
        trait, value = _WORD_TRAITS.get(word, ("", ""))
        if trait:
            found.setdefault(trait, value)
    return {name: found[name] for name in TRAITS if name in found}


def describe_character(
    character: Character, role: str, named: Collection[str], words: str, background: str, *, styled: bool = True
) -> str:
    """Return the prompt: figure, skin, and those of the other traits that were `named`.

    Traits that nobody asked for are left out, because a small model understands few words. `words` are the user's own
    text, `background` is a colour, and `styled` adds the default style.
    """
    figure = "an old " if character["age"] == "senior" and "age" in named else "a "
    figure += f"{character['figure']} {role}".strip()
    attributes, bald = [f"{character['skin']} skin"], "hair" in named and character["hair"] == "bald"
    if ("hair" in named or "hair_colour" in named) and not bald:
        colour = character["hair_colour"] if "hair_colour" in named else ""
        kind = character["hair"] if character["hair"] in ("curly", "long", "short") and "hair" in named else ""
        attributes.append(f"{colour} {kind} hair".strip().replace("  ", " "))
    attributes += [f"a {character['beard']}"] if "beard" in named and character["beard"] != "none" else []
    attributes += [character["glasses"]] if "glasses" in named and character["glasses"] != "none" else []
    mood = [_MOOD_WORDS.get(character["mood"], character["mood"])] if "mood" in named else []
    own = [words.strip(" ,.;")] if words.strip() else []
    style = STYLE_PREFIX if styled else ""
    parts = [f"{style}{figure} with {' and '.join(attributes)}", *(["bald"] if bald else []), *mood, *own]
    return f"{', '.join(parts)}, {background} background"
