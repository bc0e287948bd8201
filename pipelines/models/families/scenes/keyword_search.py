"""Find the built-in scene that free words in English or German ask for, or say that there is none.

A scene is found when it covers what the words ask for: every noun and every word that changes a picture (night, snow,
autumn) has to be one of its words, a part of a compound, or near in meaning. One word in common is not enough.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from pipelines.core.geometry import Colour
from pipelines.core.rendering import SceneMatch
from pipelines.models.families.scenes.catalog.places import PLACES
from pipelines.models.families.scenes.catalog.plates import PHOTOGRAPHS, SETS
from pipelines.models.families.scenes.catalog.studio import STUDIO
from pipelines.models.families.scenes.catalog.surfaces import SURFACES
from pipelines.models.families.scenes.paper_colors import read_paper_colour
from pipelines.models.families.scenes.scene_types import Scene
from pipelines.models.families.scenes.word_vectors import word_similarity


def _check_unique_ids(scenes: tuple[Scene, ...]) -> tuple[Scene, ...]:
    ids = [scene.id for scene in scenes]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ValueError(f"scenes declared twice: {', '.join(twice)}")
    return scenes


SCENES: tuple[Scene, ...] = _check_unique_ids((*STUDIO, *SURFACES, *SETS, *PHOTOGRAPHS, *PLACES))
DEFAULT_SCENE_IDS = {"person": "studio-grey", "product": "studio-light", "any": "studio-grey"}
PAPER_SCENE_ID = "studio-colour"
WHITE_SCENE_ID = "pure-white"
CLOSEST_COUNT = 3
# Three very different scenes, suggested when the words are close to nothing.
SUGGESTED_TITLES = {
    "person": ("Studio Grey", "Lobby", "Park"),
    "product": ("Light Grey", "Oak", "Marble"),
    "any": ("Studio Grey", "Forest", "Night"),
}
MIN_COVERAGE_RATIO = 0.72
"""Share of what the words ask for that a scene has to cover; tuned on the half of tests/data/scene_wishes.json."""
SAME_WORD_COSINE = 0.80
"""Cosine of two words from which one stands for the other: sea and ocean have 0.83, but snow and winter 0.78."""
MIN_WORD_COSINE = 0.5  # cosine from which a word is related, which only ranks the scenes
_RELATED_COVER = 0.6  # most that a related word counts: no scene is found by related words alone
_COMPOUND_HEAD_COVER, _COMPOUND_START_COVER = 0.6, 0.4
"""What one part of a German compound counts: the last is the thing, the first tells it apart, and both are needed."""
_UNSUITED_SHARE = 0.93  # of the score, for a scene that is made for another kind of subject
_TITLE_BONUS, _PLACE_BONUS = 0.10, 0.05  # break ties: words of the title, and words that come first

_STOP_WORD_TEXT = (
    "a an and as at background backdrop behind by for from front in inside into is near next of on or out over the to"
    " under with without very my some hintergrund im am an auf aus bei beim das dem den der des die ein eine einem"
    " einen einer eines fur hinter in ins mit neben oder und unter von vom vor zu zum zur als focus unscharf blurred"
    " blurry photo foto picture bild scene szene style stil product produkt person"
)
_STOP_WORDS = frozenset(_STOP_WORD_TEXT.split())
# Praise and moods change nothing that a picture of a place can be held to.
_MOOD_TEXT = (
    "beautiful nice pretty cozy cosy modern elegant luxury luxurious professional clean simple minimal minimalist big"
    " large small huge tiny old new rustic stylish cool great perfect real realistic high quality aesthetic natural"
    " soft warm bright light airy moody calm busy empty schon schone schoner gemutlich gemutliches modern modernes"
    " moderner elegant edel luxurios professionell schlicht gross grosse grosser klein kleine alt alte alter neu helles"
    " heller helle hell weich warm warmes warme leer ruhig stilvoll echt"
    " quiet silent peaceful serene tranquil still lovely gorgeous stunning amazing wonderful magnificent breathtaking"
    " spectacular dreamy romantic magical enchanting relaxing inviting friendly welcoming charming idyllic picturesque"
    " scenic typical classic classical traditional contemporary trendy chic fancy premium exclusive sophisticated sleek"
    " tidy neat spacious open wide endless vast lonely remote secluded deserted famous ordinary usual random generic"
    " leise still friedlich wunderschon herrlich traumhaft romantisch magisch verzaubert einladend freundlich charmant"
    " idyllisch malerisch typisch klassisch traditionell zeitgenossisch exklusiv hochwertig aufgeraumt geraumig"
    " weit endlos einsam abgelegen verlassen beruhmt gewohnlich"
    " walk walking stroll spaziergang spazieren surface texture grain oberflache"
)
_TIME_TEXT = (
    "morning noon afternoon day daylight sunny sunlight sun mist misty fog foggy cloudy evening hour light"
    " lights morgen morgens vormittag mittag nachmittag tag sonnig sonne sonnenlicht nebel neblig"
    " bewolkt abend abends licht lichter view ausblick"
    " reflection reflections spiegelung leaves tree trees"
)
_LOOK_TEXT = (
    "dark green blue brown white grey gray black red yellow golden"
    " dunkel dunkle dunkler dunkles grun grune gruner grunes"
    " blau blaue braun braune weiss weisse weisser weisses grau graue schwarz schwarzer schwarze rot rote rotes gelb"
)
_MOOD_WEIGHT, _TIME_WEIGHT, _LOOK_WEIGHT = 0.12, 0.3, 0.6
"""Weights of those words in what is asked for; any other word counts 1."""
_STEMS_BY_WORD = {"wooden": "holz"}
"""Words that are no form of what their stem means: a wooden table is not of the woods."""
_MATERIAL_PATTERN = r"\bwood (background|backdrop|surface|texture|grain|table|tabletop|board|plank|panel)"
"""Wood before these words is no forest."""
_SUFFIXES = ("ings", "ing", "ies", "ern", "est", "es", "en", "er", "em", "ed", "ly", "e", "s", "n", "y")


@dataclass(frozen=True)
class SceneChoice:
    """The scene to draw for a wish, a sentence about it, the paper's colour if the wish is one, and how close it is."""

    scene: Scene
    notice: str = ""
    colour: Colour | None = None
    match: SceneMatch | None = None


@dataclass(frozen=True)
class _Word:
    """A word of the wish as it was typed, its stem, and its weight."""

    text: str
    stem: str
    weight: float


def find_scene(scene_id: str) -> Scene:
    """Return the scene of this id. Raises `KeyError`."""
    return _SCENES_BY_ID[scene_id]


def is_place(scene_id: str) -> bool:
    """Whether there is such a scene, and it is a place: no paper and no table."""
    return scene_id in _SCENES_BY_ID and _SCENES_BY_ID[scene_id].kind == "place"


_SCENES_BY_ID = {row.id: row for row in SCENES}


def choose_scene(words: str, subject: str = "any") -> SceneChoice:
    """Choose the scene that free `words` in English or German ask for.

    `subject` is person, product or any. It breaks ties and decides the scene where nothing matches: a neutral paper,
    which no one takes for the place that was asked for, with the three closest scenes named. Empty words give it
    without a notice. Colour words and hex codes alone give that paper.
    """
    query = " ".join(words.split())
    if not query:
        return SceneChoice(_default_scene(subject))
    for row in SCENES:
        if _normalize_text(row.title) == _normalize_text(query):
            return _accept_scene(query, row, 1.0)
    if (colour := read_paper_colour(query)) is not None:
        return _choose_paper(query, colour)
    ranked = _rank_scenes(query, subject)
    score, row = ranked[0]
    return _accept_scene(query, row, score) if score >= MIN_COVERAGE_RATIO else _refuse_query(query, subject, ranked)


def list_closest_scenes(words: str, subject: str, count: int) -> tuple[Scene, ...]:
    """List `count` scenes for free `words`, the closest first; that of `choose_scene` is one. None for a paper."""
    choice = choose_scene(words, subject)
    if choice.match is None or choice.colour is not None:
        return ()
    ranked = _rank_scenes(" ".join(words.split()), subject)
    closest = [find_scene(scene_id) for scene_id, _ in choice.match.closest]
    near = _list_near_scenes(ranked, subject)
    return tuple(dict.fromkeys((*closest, choice.scene, *near, *(row for _, row in ranked))))[:count]


def _default_scene(subject: str) -> Scene:
    return find_scene(DEFAULT_SCENE_IDS.get(subject, "studio-grey"))


def _accept_scene(query: str, row: Scene, score: float) -> SceneChoice:
    notice = f"Closest built-in scene to '{_truncate_query(query)}': {row.title}. Chosen, not drawn."
    return SceneChoice(row, notice, match=SceneMatch(query, True, row.id, row.title, round(min(score, 1.0), 3)))


def _choose_paper(query: str, colour: Colour) -> SceneChoice:
    row = find_scene(WHITE_SCENE_ID if colour == (255, 255, 255) else PAPER_SCENE_ID)
    code = "#{:02x}{:02x}{:02x}".format(*colour)
    notice = f"'{_truncate_query(query)}' is paper in {code}."
    return SceneChoice(row, notice, colour, SceneMatch(query, True, row.id, f"Paper {code}", 1.0))


def _list_near_scenes(ranked: list[tuple[float, Scene]], subject: str) -> list[Scene]:
    """List the three closest scenes, or three very different ones if none is close.

    What is less than half as close as the best comes after others of the best one's kind: no paper before a place.
    """
    best_score, best = ranked[0]
    close = [(score < best_score / 2 and row.kind != best.kind, row) for score, row in ranked if score > 0.05]
    near = [row for _, row in sorted(close, key=lambda pair: pair[0])][:CLOSEST_COUNT]
    for title in SUGGESTED_TITLES.get(subject, SUGGESTED_TITLES["any"]):
        if len(near) < CLOSEST_COUNT and title not in {row.title for row in near}:
            near.append(next(row for row in SCENES if row.title == title))
    return near


def _refuse_query(query: str, subject: str, ranked: list[tuple[float, Scene]]) -> SceneChoice:
    """Answer with the neutral paper and the three closest scenes."""
    near = _list_near_scenes(ranked, subject)
    fallback = _default_scene(subject)
    titles = tuple(row.title for row in near)
    notice = (
        f"No such scene here: '{_truncate_query(query)}'. Closest three: {titles[0]}, {titles[1]}, {titles[2]}. "
        f"Until you choose, {fallback.title} stands in."
    )
    closest = tuple((row.id, row.title) for row in near)
    match = SceneMatch(query, False, fallback.id, fallback.title, round(max(ranked[0][0], 0.0), 3), closest)
    return SceneChoice(fallback, notice, match=match)


def _truncate_query(query: str) -> str:
    return query if len(query) <= 60 else query[:57] + "..."


def _rank_scenes(query: str, subject: str) -> list[tuple[float, Scene]]:
    """Score every scene, best first."""
    asked = _split_query(query)
    scores = [
        (_score_scene(row, asked) * (1.0 if subject in row.suited_subjects else _UNSUITED_SHARE), row) for row in SCENES
    ]
    return sorted(scores, key=lambda pair: -pair[0])


def _split_query(query: str) -> tuple[_Word, ...]:
    """Split the wish into words with weights; stop words are dropped unless nothing else is there."""
    plain_query = re.sub(_MATERIAL_PATTERN, r"wooden \1", _normalize_text(query))
    texts = [_drop_backdrop_word(text) for text in re.findall(r"[a-z0-9]+", plain_query)]
    plain = [text for text in texts if text not in _STOP_WORDS] or texts
    return tuple(_Word(text, _strip_suffix(text), _weigh_word(text)) for text in plain)


def _drop_backdrop_word(text: str) -> str:
    """Return what a German compound with "backdrop" says of it: Holzhintergrund asks for wood."""
    return re.sub("hintergr[a-z]*$", "", text) or text


def _weigh_word(text: str) -> float:
    # German adjectives end as their noun does.
    forms = (text, *(text.removesuffix(ending) for ending in ("e", "er", "es", "en", "em")))
    return next((_WORD_WEIGHTS[form] for form in forms if form in _WORD_WEIGHTS), 1.0)


def _score_scene(row: Scene, asked: tuple[_Word, ...]) -> float:
    """Share of the asked weight that the scene covers, 0 to 1, and a little more for ties."""
    total = sum(word.weight for word in asked)
    covers = [_cover_word(row, word) for word in asked]
    covered = sum(word.weight * cover for word, cover in zip(asked, covers, strict=True)) / total
    title, keys = _scene_keywords(row)
    in_title = sum(word.weight for word in asked if word.stem in title) / total
    first = sum(word.weight * keys.get(word.stem, 0.0) for word in asked) / total
    return covered + covered * (_TITLE_BONUS * in_title + _PLACE_BONUS * first)


def _cover_word(row: Scene, word: _Word) -> float:
    """How well the scene covers one word: by its own words, by a compound's parts, or by meaning."""
    title, keys = _scene_keywords(row)
    if word.stem in keys or word.stem in title:
        return 1.0
    if word.stem in _collect_scene_stems():  # another scene has this very word: it is not this one
        return 0.0
    parts = _compound_cover(_stem_words(row.german), word.stem)
    return max(parts, _meaning_cover(word_similarity(word.text, row.english_words)))


def _compound_cover(keys: tuple[str, ...], stem: str) -> float:
    """How well the parts of a German compound are covered: Holztisch by wood and table, Bergdorf not by mountain."""
    parts = [key for key in keys if len(key) >= 4 and len(stem) > len(key) + 1]
    head, start = any(stem.endswith(key) for key in parts), any(stem.startswith(key) for key in parts)
    return 1.0 if head and start else _COMPOUND_HEAD_COVER if head else _COMPOUND_START_COVER if start else 0.0


def _meaning_cover(cosine: float) -> float:
    if cosine >= SAME_WORD_COSINE:
        return 1.0
    return _RELATED_COVER * max(0.0, (cosine - MIN_WORD_COSINE) / (SAME_WORD_COSINE - MIN_WORD_COSINE))


@lru_cache(maxsize=256)
def _scene_keywords(row: Scene) -> tuple[frozenset[str], dict[str, float]]:
    """The stems of the title, and those of the keywords with a weight of 0 to 1 that falls with their position."""
    keys: dict[str, float] = {}
    for language in (row.english, row.german):
        stems = _stem_words(language)
        for place, stem in enumerate(stems):
            keys[stem] = max(keys.get(stem, 0.0), 1 - place / len(stems))
    return frozenset(_stem_words(row.title)), keys


@lru_cache(maxsize=1)
def _collect_scene_stems() -> frozenset[str]:
    return frozenset(stem for row in SCENES for stem in _scene_keywords(row)[1])


@lru_cache(maxsize=512)  # the words of every scene, which each wish is compared with
def _stem_words(words: str) -> tuple[str, ...]:
    """Split `words` into stems: lower case, accents folded, suffixes cut, stop words dropped."""
    found = (word for word in re.findall(r"[a-z0-9]+", _normalize_text(words)) if word not in _STOP_WORDS)
    return tuple(_strip_suffix(word) for word in found)


def _normalize_text(words: str) -> str:
    plain = words.lower().replace("ß", "ss").replace("ä", "a").replace("ö", "o").replace("ü", "u")
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()


def _strip_suffix(word: str) -> str:
    if word in _STEMS_BY_WORD:
        return _STEMS_BY_WORD[word]
    for ending in _SUFFIXES:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


_WORD_WEIGHTS = {
    text: weight
    for words, weight in ((_MOOD_TEXT, _MOOD_WEIGHT), (_TIME_TEXT, _TIME_WEIGHT), (_LOOK_TEXT, _LOOK_WEIGHT))
    for text in words.split()
}
