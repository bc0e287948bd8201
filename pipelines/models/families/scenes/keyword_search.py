"""Keyword search: finds the built-in scene closest to free words in English or German."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from pipelines.models.families.scenes.catalog_places import PLACES
from pipelines.models.families.scenes.catalog_studio import STUDIO
from pipelines.models.families.scenes.catalog_surfaces import SURFACES
from pipelines.models.families.scenes.scene_types import Scene


def _check_unique_ids(scenes: tuple[Scene, ...]) -> tuple[Scene, ...]:
    ids = [scene.id for scene in scenes]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ValueError(f"scenes declared twice: {', '.join(twice)}")
    return scenes


SCENES: tuple[Scene, ...] = _check_unique_ids((*STUDIO, *SURFACES, *PLACES))
DEFAULT_SCENE_IDS = {"person": "studio-grey", "product": "studio-light", "any": "studio-grey"}
# Three very different scenes, suggested when no keyword matches.
SUGGESTED_TITLES = {
    "person": ("Studio Grey", "Lobby", "Park"),
    "product": ("Light Grey", "Oak", "Marble"),
    "any": ("Studio Grey", "Forest", "Night"),
}

_STOP_WORD_TEXT = (
    "a an and at background backdrop behind by for from front in into of on or out the to with very my hintergrund im"
    " am auf aus bei das dem den der die ein eine einem einen einer fur hinter mit neben oder und unter vom von"
    " vor zum zur focus unscharf blurred photo foto picture bild scene szene style"
)
_STOP_WORDS = frozenset(_STOP_WORD_TEXT.split())
# Words that say little about a scene: "dark studio" means dark.
_WEAK_KEYWORDS = frozenset(("studio", "modern", "soft", "light", "warm"))
_SUFFIXES = ("ings", "ing", "ies", "ern", "est", "es", "en", "er", "em", "ed", "ly", "e", "s", "n", "y")


def find_scene(scene_id: str) -> Scene:
    """Return the scene of this id. Raises `KeyError`."""
    return _SCENES_BY_ID[scene_id]


_SCENES_BY_ID = {row.id: row for row in SCENES}


def choose_scene(words: str, subject: str = "any") -> tuple[Scene, str]:
    """Choose the scene closest to free `words` in English or German. Returns it with a notice.

    `subject` is person, product or any. It breaks ties and decides the default when nothing matches. Empty words give
    the default and no notice.
    """
    fallback = find_scene(DEFAULT_SCENE_IDS.get(subject, "studio-grey"))
    query = " ".join(words.split())
    if not query:
        return fallback, ""
    for row in SCENES:
        if _normalize_text(row.title) == _normalize_text(query):
            return row, _choice_notice(query, row)
    query_stems = _stem_words(query)
    scores = [
        (_score_scene(row, query_stems) * (1.0 if subject in row.suited_subjects else 0.9), row) for row in SCENES
    ]
    best, row = max(scores, key=lambda pair: pair[0])
    if best < 0.9:
        a, b, c = SUGGESTED_TITLES.get(subject, SUGGESTED_TITLES["any"])
        return fallback, (
            f"No built-in scene is close to '{_shorten_words(query)}': {fallback.title} was taken. "
            f"Try {a}, {b} or {c}, or use My backdrop."
        )
    return row, _choice_notice(query, row)


def _choice_notice(query: str, row: Scene) -> str:
    return f"Closest built-in scene to '{_shorten_words(query)}': {row.title}. Chosen, not drawn."


def _shorten_words(query: str) -> str:
    return query if len(query) <= 60 else query[:57] + "..."


def _score_scene(row: Scene, query_stems: tuple[str, ...]) -> float:
    """Weigh the words in common: of the title double, exact stems 1, a part of a compound such as Holztisch 0.7."""
    title, keys = _scene_keywords(row)
    total = 0.0
    for word in query_stems:
        if word in _WEAK_KEYWORDS:
            total += 0.3 if word in title or word in keys else 0.0
        elif word in title:
            total += 2.5
        elif word in keys:
            total += 1.0 + keys[word]
        else:
            total += max((0.7 for key in title if _is_compound_part(key, word)), default=0.0) * 2
            total += max((0.7 for key in keys if _is_compound_part(key, word)), default=0.0) * 1.5
    return total


def _is_compound_part(key: str, word: str) -> bool:
    return len(key) >= 4 and len(word) > len(key) + 1 and (word.startswith(key) or word.endswith(key))


@lru_cache(maxsize=256)
def _scene_keywords(row: Scene) -> tuple[frozenset[str], dict[str, float]]:
    """The stems of the title, and those of the keywords with a bonus of up to 0.3 that falls with their position."""
    keys: dict[str, float] = {}
    for language in (row.english, row.german):
        stems = _stem_words(language)
        for place, stem in enumerate(stems):
            keys[stem] = max(keys.get(stem, 0.0), 0.3 * (1 - place / len(stems)))
    return frozenset(_stem_words(row.title)), keys


def _stem_words(words: str) -> tuple[str, ...]:
    """Split `words` into stems: lower case, accents folded, suffixes cut, stop words dropped."""
    found = (word for word in re.findall(r"[a-z0-9]+", _normalize_text(words)) if word not in _STOP_WORDS)
    return tuple(_strip_suffix(word) for word in found)


def _normalize_text(words: str) -> str:
    plain = words.lower().replace("ß", "ss").replace("ä", "a").replace("ö", "o").replace("ü", "u")
    plain = plain.replace("ae", "a").replace("oe", "o").replace("ue", "u")
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()


def _strip_suffix(word: str) -> str:
    for ending in _SUFFIXES:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
