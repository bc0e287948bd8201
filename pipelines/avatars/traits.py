"""Traits of an avatar: random values from a seed, and their text form (the character code).

A trait has a value from a short list and a pick, a number that decides what the value leaves open, such as which of
twelve kinds of short hair. Each trait has its own random numbers, so that one can be changed without the others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipelines.core.errors import BadInput

ANY = "any"
# Values of each trait; repeated ones are more likely. `face` has no words: its pick decides nose, eyes and head shape.
TRAITS: dict[str, tuple[str, ...]] = {
    "figure": ("woman", "man", "person"),
    "age": ("adult", "adult", "adult", "senior"),
    "build": ("average", "average", "slim", "broad"),
    "skin": ("light", "medium-light", "medium", "medium-dark", "dark"),
    "hair": ("short", "short", "long", "long", "curly", "curly", "tied", "tied", "bald", "covered", "wild"),
    "hair_colour": ("black",) * 3 + ("brown",) * 3 + ("blond", "blond", "red", "red", "grey", "white", "dyed"),
    "beard": ("none", "none", "moustache", "beard"),
    "glasses": ("none", "none", "none", "glasses", "sunglasses"),
    "outfit": ("plain", "shirt", "jacket", "pattern", "hoodie"),
    "mood": ("happy", "happy", "calm", "laughing", "serious", "surprised", "sad", "angry", "playful"),
    "palette": ("warm", "cool", "pastel", "vivid", "earth", "mono"),
    "pose": ("still", "still", "wave", "point", "okay", "phone", "open"),
    "face": ("own",),
}
MOODS: tuple[str, ...] = tuple(dict.fromkeys(TRAITS["mood"]))
PICK_COUNT = 2**32
# Moods that are chosen at random. The others must be requested.
_CHANCE_MOODS = ("happy", "happy", "calm", "laughing", "playful", "serious")
_CODE_PATTERN = re.compile(r"[a-z0-9-]{1,20}(?: [a-z_]{1,12}=[a-z-]{1,16}\.\d{1,10}){1,16}")


class Trait(NamedTuple):
    """A value, and the number that decides what it leaves open."""

    value: str
    pick: int


@dataclass(frozen=True)
class Character:
    """An avatar: the id of its art pack, and its traits."""

    art: str
    traits: Mapping[str, Trait]

    def __getitem__(self, trait: str) -> str:
        return self.traits[trait].value

    def random_pick(self, trait: str, *more: str) -> int:
        """Return the trait's pick, or with further words another number that follows from it."""
        return self.traits[trait].pick if not more else _hash_pick(self.traits[trait].pick, *more)

    def with_value(self, trait: str, value: str) -> Character:
        """Return the same character with another value of one trait."""
        return replace(self, traits={**self.traits, trait: Trait(value, self.traits[trait].pick)})

    @property
    def code(self) -> str:
        """The character as one line of text, which `parse_character` reads."""
        return " ".join([self.art, *(f"{name}={value}.{pick}" for name, (value, pick) in self.traits.items())])


def parse_character(code: str) -> Character:
    """Return the character of a code. Raises `BadInput` with the param `character` if it is invalid."""
    text = " ".join(code.split())
    rows = re.findall(r"([a-z_]+)=([a-z-]+)\.(\d+)", text) if _CODE_PATTERN.fullmatch(text) else []
    traits = {name: Trait(value, int(pick)) for name, value, pick in rows}
    known = all(value in TRAITS.get(name, ()) and pick < PICK_COUNT for name, (value, pick) in traits.items())
    if set(traits) != set(TRAITS) or not known:
        message = "This is no character: paste the line of a receipt (How it was made), or the name of one you kept."
        raise BadInput(message, param="character")
    return Character(text.split(" ", 1)[0], {name: traits[name] for name in TRAITS})


def roll_character(
    art: str,
    seed: int,
    locked: Mapping[str, str],
    offered_values: Callable[[str], tuple[str, ...]],
    previous: Character | None = None,
    reroll: str = "",
) -> Character:
    """Return a character for the art pack `art`, which has the values `offered_values(trait)`.

    `locked` traits get the given value. The others come from `previous`, the rest is random from `seed`. `reroll` names
    a trait of `previous` that gets another random value, "all" means every trait that is not locked.
    """
    traits: dict[str, Trait] = {}
    for name in TRAITS:
        old = previous.traits.get(name) if previous is not None and reroll != "all" else None
        kept = old if name != reroll else None
        roll = _hash_pick(seed, name) if old is None else _hash_pick(seed, name, str(old.pick))
        if name in locked:
            traits[name] = kept if kept is not None and kept.value == locked[name] else Trait(locked[name], roll)
        elif kept is not None:
            traits[name] = kept
        else:
            values = _candidate_values(name, offered_values(name), traits)
            if old is not None:
                values = tuple(value for value in values if value != old.value) or values
            traits[name] = Trait(values[roll % len(values)], _hash_pick(roll, "pick"))
    return Character(art, traits)


def _candidate_values(name: str, offered: tuple[str, ...], so_far: Mapping[str, Trait]) -> tuple[str, ...]:
    """Return the values that may be chosen at random: those that are offered and fit the traits before."""
    values = TRAITS[name] if name != "mood" else _CHANCE_MOODS
    if name == "beard" and so_far["figure"].value != "man":
        values = ("none",)
    if name == "hair_colour" and so_far["age"].value == "senior":
        values = ("grey", "white")
    fitting = tuple(value for value in values if value in offered)
    return fitting or offered


def _hash_pick(seed: int, *words: str) -> int:
    """Return a number below 2^32 that depends on seed and words only, on every machine and Python version."""
    digest = hashlib.sha256("/".join([str(seed), *words]).encode()).digest()
    return int.from_bytes(digest[:4], "big")
