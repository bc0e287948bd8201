"""Prompt blocklist for nudity and minors, in English and German.

Accents, look-alike letters, digits in place of letters, and dots or spaces between letters make no difference. The
content filter still checks the finished picture.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

UNDRESS_REFUSED = "Words about nudity or sex are not taken here: people stay fully clothed."
MINORS_REFUSED = "Words about children are not taken here: this tool is for pictures of adults."

_LOOKALIKES = str.maketrans("аеорсухіѕјһкмнтвԁոαεουνικτρᴀᴅᴇᴋɴᴜᴛɑǝıøłđ", "aeopcyxisjhkmhtbdnaeouvikrpadeknutaeiold")
_DIGIT_LETTERS = str.maketrans("0134578@$!|€+", "oieastbasiiet")
_COLOUR_WORDS = (
    r"tone|tones|toned\s+palette|ton|toene|tonen|farben?|farbton|farbtoene|farbig\w*|farbene?[nrs]?|colou?rs?|colou?red|"
    r"shades?|palette|hues?|tints?|beige|pink|rose|brown|lipstick|lips?|lippenstift|make\s?-?up|nails?|nagellack|heels?|"
    r"pumps|shoes?|schuhe?|paper|wall|backdrop|background|hintergrund"
)
# "Nude" as the name of a colour in make-up and fashion: a pale brown.
_NUDE_AS_COLOUR = re.compile(rf"\bnude[\s-]*(?:{_COLOUR_WORDS})\b")
_NUDE_WORD = re.compile(r"nude(?!l)", re.IGNORECASE)  # not "Nudel", German for noodle

_SEXUAL_WORDS = (
    r"nudes?|nudity|nudist\w*|nudis[mt]us|nacktheit|naked(?!\s+(?:eye|cake|flame|bulb))|nackt\w*|\w+nackt\w*|nackig\w*|"
    r"aktfoto\w*|aktbild\w*|aktmodell\w*|entblo(?:e)?sst\w*|unbekleidet\w*|hullenlos\w*|huellenlos\w*|"
    r"undress\w*|unclothed|disrob\w*|(?:without|no|w/o)\s+(?:any\s+)?cloth(?:es|ing)|ohne\s+(?:kleid(?:ung|er)|klamotten)|"
    r"(?:takes?|taking)\s+off\s+(?:her|his|their|all|the)?\s*cloth(?:es|ing)|auszieh(?:en|t)|ausgezogen\w*|"
    r"porno?\w*|erotic\w*|erotisch\w*|erotik\w*|sex|sexy|sexual\w*|sexuell\w*|sexualis\w*|nsfw|hentai|fetish\w*|fetisch\w*|"
    r"bdsm|orgasm\w*|orgie\w*|striptease|strippers?|deep\s?nudes?|onlyfans|genital\w*|penis\w*|vagina\w*|vulva|nipples?|"
    r"brustwarze\w*|boobs?|tits|titten|bottomless|topless|oben\s+ohne|unten\s+ohne"
)
_REVEALING_WORDS = (
    r"lingerie|dessous|underwear|unterwasche|unterwaesche|panties|thongs?|g\s?string|bra|bh|negligee|see\s?-?through|"
    r"breasts?|bruste|brueste|busen|cleavage|freizugig\w*|freizuegig\w*|seductive\w*|lasziv\w*"
)
_MINOR_WORDS = (
    r"child|children|childs|childlike|kids?|toddlers?|infants?|newborns?|bab(?:y|ies)(?!\s+(?:blue|pink))|preteens?|"
    r"tweens?|teens?|teenagers?|teenaged?|underaged?|minors|schoolgirls?|schoolboys?|little\s+(?:girl|boy)s?|"
    r"young\s+(?:girl|boy)s?|loli\w*|shota\w*|minderjahrig\w*|minderjaehrig\w*|jugendliche\w*|kinder|kindern|kindes|"
    r"kleinkind\w*|sauglinge?\w*|saeuglinge?\w*|schulkind\w*|schulmadchen|schulmaedchen|schuljungen?|"
    r"(?:ein|das|kleines|junges|als|mein|unser|dieses|nacktes)\s+kind|(?:kleine[sn]?|junge[sn]?)\s+mae?dchen"
)
_NUMBER_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "ein zwei drei vier funf fuenf sechs sieben acht neun zehn elf zwolf zwoelf dreizehn vierzehn funfzehn fuenfzehn "
    "sechzehn siebzehn"
).replace(" ", "|")
_MINOR_AGE = (
    rf"(?<![\d.,])(?:1[0-7]|0?\d|{_NUMBER_WORDS})[\s-]*"
    r"(?:(?:years?|yrs?|jahre?)[\s-]*(?:old|alt)|y/?o|ja(?:e)?hrige?[nrs]?)"
)


def _word_pattern(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b")


_ANYWHERE_PATTERN = _word_pattern(_SEXUAL_WORDS)
_PEOPLE_PATTERN = _word_pattern(_SEXUAL_WORDS, _REVEALING_WORDS)
_MINOR_PATTERN = _word_pattern(_MINOR_WORDS)
_AGE_PATTERN = _word_pattern(_MINOR_AGE)


def find_refusal_message(text: str, *, people: bool) -> str | None:
    """Return the sentence that refuses `text`, or None if it is accepted.

    Nudity and sex are always refused. `people` means that the tool makes pictures of people: then revealing clothes and
    children are refused, too. "Nude" as the name of a colour ("nude tones") is accepted.
    """
    undress = _PEOPLE_PATTERN if people else _ANYWHERE_PATTERN
    readings = list(_iter_deobfuscated(text))
    if any(undress.search(reading) for reading in readings):
        return UNDRESS_REFUSED
    if people and (
        _AGE_PATTERN.search(fold_letters(text)) or any(_MINOR_PATTERN.search(reading) for reading in readings)
    ):
        return MINORS_REFUSED
    return None


def neutralize_prompt(text: str) -> str:
    """Return the text for a model: the colour nude becomes beige, because models would misunderstand it."""
    replaced = _NUDE_WORD.sub("beige", text)
    folded = fold_letters(replaced)
    return _NUDE_WORD.sub("beige", folded) if _NUDE_WORD.search(folded) else replaced


def fold_letters(text: str) -> str:
    """Return lower-case plain letters: no accents, no look-alikes of other alphabets, no invisible characters."""
    normalized = unicodedata.normalize("NFKD", text).casefold().translate(_LOOKALIKES)
    return "".join(c for c in normalized if unicodedata.category(c) not in ("Mn", "Me", "Cf"))


def _iter_deobfuscated(text: str) -> Iterator[str]:
    """Yield readings of `text`: as it is, digits as letters, without characters between letters, without repetition."""
    plain = fold_letters(text)
    for letters in (plain, plain.translate(_DIGIT_LETTERS)):
        normalized = _NUDE_AS_COLOUR.sub(" beige ", letters)
        yield normalized
        # "n u d e", "n.u.d.e"
        yield re.sub(r"(?<=\b[^\W\d])[\W_]+(?=[^\W\d]\b)", "", normalized)
        # "na-ked", "n*ude"
        yield re.sub(r"(?<=\w)[^\w\s]+(?=\w)|_", "", normalized)
        yield re.sub(r"([^\W\d])\1+", r"\1", normalized)
