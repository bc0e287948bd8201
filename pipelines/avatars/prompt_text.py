"""Describe a character as a prompt, and read traits from a prompt."""

from __future__ import annotations

import re
from collections.abc import Collection

from pipelines.avatars.traits import TRAITS, Character

# Trait and value of each word, English and German. The first word in a prompt counts.
_WORD_TRAITS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("woman", "lady", "female", "frau", "dame"), ("figure", "woman")),
    **dict.fromkeys(("man", "male", "guy", "gentleman", "mann", "herr"), ("figure", "man")),
    **dict.fromkeys(("person", "somebody", "mensch"), ("figure", "person")),
    **dict.fromkeys(("old", "older", "elderly", "senior", "alt"), ("age", "senior")),
    **dict.fromkeys(("young", "adult", "jung", "erwachsen"), ("age", "adult")),
    **dict.fromkeys(("slim", "thin", "schlank"), ("build", "slim")),
    **dict.fromkeys(("broad", "strong", "stocky", "kräftig", "stark"), ("build", "broad")),
    **dict.fromkeys(("curly", "curls", "afro", "dreadlocks", "dreads", "locken", "lockig"), ("hair", "curly")),
    **dict.fromkeys(("bald", "glatze", "kahl"), ("hair", "bald")),
    **dict.fromkeys(
        ("bun", "ponytail", "braids", "braid", "pigtails", "dutt", "zopf", "zöpfe", "pferdeschwanz"), ("hair", "tied")
    ),
    **dict.fromkeys(("hijab", "headscarf", "turban", "kopftuch", "beanie", "mütze"), ("hair", "covered")),
    **dict.fromkeys(("mohawk", "punk", "irokese", "irokesenschnitt"), ("hair", "wild")),
    **dict.fromkeys(("blond", "blonde", "blondes"), ("hair_colour", "blond")),
    **dict.fromkeys(("redhead", "redheaded", "ginger", "rothaarig"), ("hair_colour", "red")),
    **dict.fromkeys(("beard", "bearded", "bart", "vollbart", "bärtig"), ("beard", "beard")),
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
    **dict.fromkeys(("hoodie", "kapuzenpulli"), ("outfit", "hoodie")),
    **dict.fromkeys(("jacket", "jacke"), ("outfit", "jacket")),
    **dict.fromkeys(("shirt", "tshirt", "hemd"), ("outfit", "shirt")),
    "pastel": ("palette", "pastel"),
    "vivid": ("palette", "vivid"),
    "colourful": ("palette", "vivid"),
}
_SKIN_PATTERNS = (
    (r"medium[- ]dark", "skin", "medium-dark"),
    (r"medium[- ]light", "skin", "medium-light"),
    (r"(?:light|fair|pale|hell\w*)", "skin", "light"),
    (r"(?:dark|dunkl\w*|black)", "skin", "dark"),
    (r"medium", "skin", "medium"),
)
_HAIR_COLOUR_WORDS = {
    "black": "black", "schwarze": "black", "brown": "brown", "braune": "brown", "blond": "blond", "blonde": "blond",
    "red": "red", "rote": "red", "grey": "grey", "gray": "grey", "graue": "grey", "white": "white", "weisse": "white",
    "weiße": "white", "blue": "dyed", "pink": "dyed", "green": "dyed", "purple": "dyed",
    "violet": "dyed", "teal": "dyed", "turquoise": "dyed", "blaue": "dyed", "rosa": "dyed", "grüne": "dyed",
    "lila": "dyed",
    "weiß": "white", "weiss": "white", "silver": "grey",
}  # fmt: skip
# The index of each in `HAIR_COLOURS["dyed"]`.
_DYED_SHADES = {
    "pink": 0, "rosa": 0, "blue": 1, "blaue": 1, "green": 2, "grüne": 2, "teal": 2, "turquoise": 2, "purple": 3,
    "violet": 3, "lila": 3,
}  # fmt: skip
_COVERING_WORDS = {
    "hijab": "hijab", "headscarf": "hijab", "kopftuch": "hijab", "turban": "turban", "beanie": "beanie",
    "mütze": "beanie",
}  # fmt: skip
_ELDER_FIGURES = {
    **dict.fromkeys(("grandmother", "grandma", "granny", "oma", "großmutter"), "woman"),
    **dict.fromkeys(("grandfather", "grandpa", "opa", "großvater"), "man"),
}
_ABSENCE_PATTERNS = (
    ("beard|facial hair|bart|vollbart|moustache|mustache|schnurrbart", "beard", "none"),
    ("glasses|spectacles|sunglasses|brille|sonnenbrille", "glasses", "none"),
    ("hair|haare?", "hair", "bald"),
)
_BLACK_PERSON_WORDS = "chef|doctor|teacher|artist|pilot|scientist|farmer|firefighter|detective|astronaut"
_GERMAN_ENDINGS = ("e", "er", "es", "en", "em", "n")
# Also a beard takes the colour of the hair.
_HAIR_STYLE_WORDS = (
    "mohawk|afro|curls|locken|bun|ponytail|braids?|pigtails|dreadlocks|dreads|dutt|zopf|zöpfe[n]?|irokesen?|"
    "beard|moustache|mustache|bart|schnurrbart"
)
_HAIR_KIND_PATTERN = "(?:long|short|curly|langen?|kurzen?|lockigen?)"
_HAIR_PATTERN = "(?:hair(?:ed)?|haare?n?)"
STYLE_PREFIX = "3d icon of "
_MOOD_WORDS = {"playful": "winking", "calm": "calm, eyes closed"}


def list_stems(word: str) -> list[str]:
    """List the word itself, and what is left of it without each German ending."""
    return [word, *(word.removesuffix(ending) for ending in _GERMAN_ENDINGS if word.endswith(ending))]


def take_traits(text: str) -> tuple[dict[str, str], str]:
    """Return the traits that a prompt names with their values, and the prompt without their words."""
    rest = text.lower()
    found: dict[str, str] = {}

    def take(pattern: str, trait: str, value: str) -> None:
        nonlocal rest
        shortened = re.sub(pattern, " ", rest)
        if shortened != rest:
            found.setdefault(trait, value)
            rest = shortened

    for words, trait, value in _ABSENCE_PATTERNS:
        take(rf"\b(?:(?:without|no|ohne|kein(?:e[nmr]?)?)\s+(?:(?:an?|eine[nmr]?)\s+)?(?:{words}))\b", trait, value)
    take(r"\b(?:clean[- ]shaven|beardless|bartlos\w{0,2})\b", "beard", "none")
    for pattern, trait, value in _SKIN_PATTERNS:
        take(rf"\b{pattern}[- ](?:skin(?:ned)?|haut)\b", trait, value)
    for pattern, value in (("black", "dark"), ("white", "light")):
        take(rf"\b{pattern}\b(?=\s+(?:\w+\s+)?(?:woman|man|lady|guy|person|{_BLACK_PERSON_WORDS})\b)", "skin", value)
    for length, value in (("long|lange[ns]?", "long"), ("short|kurze[ns]?", "short")):
        take(rf"\b(?:{length})\b(?=(?:[ ,]+\w+)?[ -]?{_HAIR_PATTERN}\b)", "hair", value)
    for word, value in _HAIR_COLOUR_WORDS.items():
        take(_hair_colour_pattern(word), "hair_colour", value)
    rest = re.sub(rf"\b{_HAIR_PATTERN}\b", " ", rest)
    for word in re.findall(r"\w+", rest):
        pairs = _find_traits(word)
        for trait, value in pairs:
            found.setdefault(trait, value)
        if pairs:
            rest = re.sub(rf"\b{word}\b", " ", rest)
    return {name: found[name] for name in TRAITS if name in found}, rest


def _find_traits(word: str) -> tuple[tuple[str, str], ...]:
    """Return the traits and values that one word names, also with a German ending."""
    for stem in list_stems(word):
        if stem in _ELDER_FIGURES:
            return ("figure", _ELDER_FIGURES[stem]), ("age", "senior")
        if stem in _WORD_TRAITS:
            return (_WORD_TRAITS[stem],)
    return ()


def find_dyed_shade(text: str) -> int | None:
    """Return the index in `HAIR_COLOURS["dyed"]` of the hair colour that `text` names, None for no such colour."""
    for word, index in _DYED_SHADES.items():
        if re.search(_hair_colour_pattern(word), text.lower()):
            return index
    return None


def find_covering(text: str) -> str:
    """Return what covers the head by the words of `text`: "hijab", "turban" or "beanie", else ""."""
    found = re.search("|".join(_COVERING_WORDS), text.lower())
    return _COVERING_WORDS[found[0]] if found else ""


def _hair_colour_pattern(word: str) -> str:
    """Return the pattern of a colour before hair, before a way to wear it, or before a beard."""
    styles = f"{_HAIR_PATTERN}|{_HAIR_STYLE_WORDS}"
    return rf"\b{word}[a-z]{{0,2}}\b(?=(?:[ ,]+{_HAIR_KIND_PATTERN})?[ ,-]*(?:{styles})\b)"


def describe_character(
    character: Character,
    role: str,
    named: Collection[str],
    words: str,
    background: str,
    *,
    styled: bool = True,
    subject: str = "",
) -> str:
    """Return the prompt: figure, skin, and those of the other traits that were `named`.

    Traits that nobody asked for are left out, because a small model understands few words. `words` are the user's own
    text, `background` is a colour, and `styled` adds the default style. `subject`, such as "a dragon", takes the place
    of figure and role; then the skin, too, is said only where it was named.
    """
    figure = "an old " if character["age"] == "senior" and "age" in named else "a "
    figure += f"{character['figure']} {role}".strip()
    attributes = [f"{character['skin']} skin"] if "skin" in named or not subject else []
    bald = "hair" in named and character["hair"] == "bald"
    if ("hair" in named or "hair_colour" in named) and not bald:
        colour = character["hair_colour"] if "hair_colour" in named else ""
        kind = character["hair"] if character["hair"] in ("curly", "long", "short") and "hair" in named else ""
        attributes.append(f"{colour} {kind} hair".strip().replace("  ", " "))
    attributes += [f"a {character['beard']}"] if "beard" in named and character["beard"] != "none" else []
    attributes += [character["glasses"]] if "glasses" in named and character["glasses"] != "none" else []
    mood = [_MOOD_WORDS.get(character["mood"], character["mood"])] if "mood" in named else []
    own = [words.strip(" ,.;")] if words.strip() else []
    style = STYLE_PREFIX if styled else ""
    attributed = f" with {' and '.join(attributes)}" if attributes else ""
    parts = [f"{style}{subject or figure}{attributed}", *(["bald"] if bald else []), *mood, *own]
    return f"{', '.join(parts)}, {background} background"
