"""Read a wish for a character: its role, traits and colours, and by their words what is not understood."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipelines.avatars.prompt_text import list_stems, take_traits
from pipelines.core.geometry import Colour
from pipelines.imaging.palette import COLOUR_NAMES

_CAPTION_WORDS_FILE = Path(__file__).resolve().parents[2] / "assets" / "models" / "mini" / "words.json"

# Words of each role, English and German; the German ones also as stems before "in".
_ROLE_WORDS: dict[str, str] = {
    **dict.fromkeys(("astronaut", "cosmonaut", "spaceman", "raumfahrer"), "astronaut"),
    **dict.fromkeys(("chef", "cook", "koch", "köch", "küchenchef"), "chef"),
    **dict.fromkeys(("detective", "sleuth", "detektiv"), "detective"),
    **dict.fromkeys(("superhero", "superheroine", "superheld"), "superhero"),
    **dict.fromkeys(("mage", "wizard", "sorcerer", "magier", "zauberer", "zauber"), "mage"),
    **dict.fromkeys(("firefighter", "fireman", "firewoman", "feuerwehrmann", "feuerwehrfrau"), "firefighter"),
    **dict.fromkeys(("farmer", "bauer", "bäuer", "landwirt"), "farmer"),
    **dict.fromkeys(("teacher", "lehrer"), "teacher"),
    **dict.fromkeys(("artist", "painter", "künstler", "maler"), "artist"),
    **dict.fromkeys(("pilot", "aviator"), "pilot"),
    **dict.fromkeys(("scientist", "wissenschaftler", "forscher"), "scientist"),
    **dict.fromkeys(("doctor", "physician", "arzt", "ärzt"), "doctor"),
}
_ROLE_FIGURES = {
    "superheroine": "woman", "firewoman": "woman", "feuerwehrfrau": "woman", "fireman": "man", "spaceman": "man",
    "feuerwehrmann": "man",
}  # fmt: skip
# Words that add nothing to look at.
_FILLER_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a an the and with of in on at to as for is who has have her his their its it my me i want please draw show
        make create character figure avatar portrait picture image face head hair colour color coloured skin wearing
        wears very
        ein eine einen einem einer eines der die das den dem und mit von im am auf als ist sein seine ihr ihre bitte
        zeichne zeig mir mal bild figur charakter gesicht kopf haar haare haaren haut farbe trägt sehr""",
    )
)
_GROUP_WORDS = frozenset(
    re.findall(r"\w+", "two three four five several many couple pair group team friends people family")
)
# What the figure itself is ends before one of these: then comes what it wears, does, and where.
_TAIL_PATTERN = re.compile(
    r"[,;.:]|\b(?:with|without|in|on|at|under|near|by|from|wearing|who|that|while|no|(?!king|being)[a-z]{3,}ing(?= |$)|"
    r"mit|ohne|im|am|auf|unter|bei|vor|aus|beim|der|die|das)\b"
)
_COLOUR_WORDS_DE = {
    "weiß": "white", "weiss": "white", "schwarz": "black", "grau": "grey", "gray": "grey", "rot": "red",
    "gelb": "yellow", "grün": "green", "türkis": "teal", "blau": "blue", "lila": "purple", "violett": "purple",
    "violet": "purple", "rosa": "pink", "braun": "brown",
}  # fmt: skip
_COLOURS = "|".join(sorted((*COLOUR_NAMES, *_COLOUR_WORDS_DE), key=len, reverse=True))
_GROUND_PATTERN = re.compile(
    rf"(?:\b(?:on|before|against|auf|vor)\s+)?(?:(?:a|an|the|einem|einer)\s+)?\b({_COLOURS})(?:e[mnrs]?)?\s+"
    r"(?:background|backdrop|ground|wall|hintergrund|grund|wand)\b"
)
_CLOTHES_PATTERN = re.compile(
    rf"\b({_COLOURS})(?:e[mnrs]?)?\s+"
    r"(?=(?:clothes|clothing|jacket|shirt|hoodie|sweater|pullover|jumper|kleidung|jacke|hemd|t-?shirt)\b)"
)
_CLOTHES_WORDS = re.compile(r"\b(?:clothes|clothing|kleidung)\b")
# German words that the small model draws under their English name.
_ENGLISH_WORDS = {
    "drache": "dragon", "drachen": "dragon", "hund": "dog", "katze": "cat", "kater": "cat", "fuchs": "fox",
    "bär": "bear", "löwe": "lion", "tiger": "tiger", "hase": "rabbit", "kaninchen": "rabbit", "pferd": "horse",
    "wolf": "wolf", "eule": "owl", "vogel": "bird", "fisch": "fish", "maus": "mouse", "kuh": "cow", "schwein": "pig",
    "affe": "monkey", "elefant": "elephant", "pinguin": "penguin", "frosch": "frog", "einhorn": "unicorn",
    "hexe": "witch", "vampir": "vampire", "roboter": "robot", "pirat": "pirate", "piratin": "pirate", "fee": "fairy",
    "elf": "elf", "elfe": "elf", "meerjungfrau": "mermaid", "prinzessin": "princess", "prinz": "prince",
    "könig": "king", "königin": "queen", "polizist": "police officer", "polizistin": "woman police officer",
    "krankenschwester": "nurse", "junge": "boy", "mädchen": "girl", "kind": "child", "baby": "baby", "auto": "car",
    "haus": "house", "pilz": "mushroom", "weihnachtsmann": "santa claus", "geist": "ghost", "engel": "angel",
}  # fmt: skip


@dataclass(frozen=True)
class CharacterRequest:
    """What a text says of a character. `role` is an id of an outfit or "" where it names none, `role_word` its word.

    `unknown` are the words that no part shows. `subject` is what the figure itself is called, in English as far as it
    is known, where a word of it is unknown ("a dragon"), else ""; `tail` is what comes after it.
    """

    traits: dict[str, str]
    role: str = ""
    role_word: str = ""
    clothes: Colour | None = None
    ground: Colour | None = None
    unknown: tuple[str, ...] = ()
    subject: str = ""
    tail: str = ""

    @property
    def small_words(self) -> str:
        """What the embedded model is told: the subject, with hair or skin where the tail says nothing else."""
        traits, rest = take_traits(self.tail)
        is_told = bool(traits) and traits.keys() <= {"hair_colour", "skin"}
        is_all = _FILLER_WORDS.issuperset(_split_words(rest))
        return f"a {self.subject} {self.tail}" if is_told and is_all else f"a {self.subject}"

    @property
    def is_drawn_small(self) -> bool:
        """Whether the embedded model has learned every word of the subject, and it is one figure or thing."""
        words = self.subject.split()
        return bool(words) and all(word in _caption_words() and word not in _GROUP_WORDS for word in words)


def read_character_request(text: str) -> CharacterRequest:
    """Read role, traits and colours from `text`, English or German, and list the words that mean none of these."""
    lowered = " ".join(text.lower().split())
    ground, rest = _extract_colour(_GROUND_PATTERN, lowered)
    clothes, rest = _extract_colour(_CLOTHES_PATTERN, rest)
    traits, rest = take_traits(_CLOTHES_WORDS.sub(" ", rest) if clothes else rest)
    role = role_word = ""
    unknown: list[str] = []
    for word in _split_words(rest):
        found, figure = _find_role_of_word(word)
        if found and role in ("", found):
            role, role_word = found, word
            if figure:
                traits.setdefault("figure", figure)
        elif word not in _FILLER_WORDS and word not in unknown:
            unknown.append(word)
    # The shortest start of the text that ends before a word of its tail and says something.
    starts = (lowered[: found.start()] for found in _TAIL_PATTERN.finditer(lowered))
    head = next((start for start in starts if set(_split_words(start)) - _FILLER_WORDS), lowered)
    words = [word for word in _split_words(head) if word not in _FILLER_WORDS]
    subject = " ".join(map(_translate_word, words)) if set(words) & set(unknown) else ""
    return CharacterRequest(
        traits, role, role_word, clothes, ground, tuple(unknown), subject, lowered[len(head) :].strip(" ,;.:")
    )


def _split_words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


def _extract_colour(pattern: re.Pattern[str], text: str) -> tuple[Colour | None, str]:
    """Return the colour that `pattern` finds, and the text without it."""
    found = pattern.search(text)
    if found is None:
        return None, text
    name = _COLOUR_WORDS_DE.get(found[1], found[1])
    return COLOUR_NAMES[name], f"{text[: found.start()]} {text[found.end() :]}"


def _find_role_of_word(word: str) -> tuple[str, str]:
    """Return the id of the role that `word` names and the figure that the word implies; each "" for none."""
    if word in _ROLE_WORDS:
        return _ROLE_WORDS[word], _ROLE_FIGURES.get(word, "")
    stem = word.removesuffix("in")
    if stem != word and stem in _ROLE_WORDS:
        return _ROLE_WORDS[stem], "woman"
    return "", ""


def _translate_word(word: str) -> str:
    """Return the English word of a German one, else the word itself."""
    for stem in list_stems(word):
        if stem in _ENGLISH_WORDS or stem in _COLOUR_WORDS_DE:
            return _ENGLISH_WORDS.get(stem) or _COLOUR_WORDS_DE[stem]
    return word


@lru_cache(maxsize=1)
def _caption_words() -> frozenset[str]:
    """Load the words of the captions from which the embedded model learned; none where it is not installed."""
    if not _CAPTION_WORDS_FILE.is_file():
        return frozenset()
    return frozenset(json.loads(_CAPTION_WORDS_FILE.read_text("utf-8")))
