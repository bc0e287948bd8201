"""What a character is made of: traits, how they are drawn from a seed, and the one line that keeps them; draws nothing.

A trait has a value out of a short list, and a pick: a number that decides what the value leaves open, such as which of
twelve kinds of short hair. Both are drawn by a die of their own, so that a trait can be rolled anew without any other
changing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipelines.core.errors import BadInput

ANY = "any"
# Every trait with its values, more often the more often it stands there. `face` is what no list of words says: nose,
# eyes, the shape of the head.
TRAITS: dict[str, tuple[str, ...]] = {
    "figure": ("woman", "man", "person"),
    "age": ("adult", "adult", "adult", "senior"),
    "build": ("average", "average", "slim", "broad"),
    "skin": ("light", "medium-light", "medium", "medium-dark", "dark"),
    "hair": ("short", "short", "long", "long", "curly", "curly", "tied", "tied", "bald", "covered", "wild"),
    "hair_colour": (
        "black",
        "black",
        "black",
        "brown",
        "brown",
        "brown",
        "blond",
        "blond",
        "red",
        "red",
        "grey",
        "white",
        "dyed",
    ),
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
# Moods that a character may be met in by chance; the others are asked for.
_CHANCE_MOODS = ("happy", "happy", "calm", "laughing", "playful", "serious")
_CODE_PATTERN = re.compile(r"[a-z0-9-]{1,20}(?: [a-z_]{1,12}=[a-z-]{1,16}\.\d{1,10}){1,16}")


class Trait(NamedTuple):
    """A value and what it leaves open."""

    value: str
    pick: int


@dataclass(frozen=True)
class Character:
    """Who somebody is: the art they are drawn in, and every trait."""

    art: str
    traits: Mapping[str, Trait]

    def __getitem__(self, trait: str) -> str:
        return self.traits[trait].value

    def random_pick(self, trait: str, *more: str) -> int:
        """The trait's pick, another for every further word."""
        return self.traits[trait].pick if not more else _hash_pick(self.traits[trait].pick, *more)

    def with_value(self, trait: str, value: str) -> Character:
        """The same somebody with another value of one trait."""
        return replace(self, traits={**self.traits, trait: Trait(value, self.traits[trait].pick)})

    @property
    def code(self) -> str:
        """All of it in one line, which `read` takes."""
        return " ".join([self.art, *(f"{name}={value}.{pick}" for name, (value, pick) in self.traits.items())])


def parse_character(code: str) -> Character:
    """The character that a line keeps. Raises `BadInput` with the param `character` for a line that keeps none."""
    text = " ".join(code.split())
    rows = re.findall(r"([a-z_]+)=([a-z-]+)\.(\d+)", text) if _CODE_PATTERN.fullmatch(text) else []
    traits = {name: Trait(value, int(pick)) for name, value, pick in rows}
    known = all(value in TRAITS.get(name, ()) and pick < PICK_COUNT for name, (value, pick) in traits.items())
    if set(traits) != set(TRAITS) or not known:
        raise BadInput("This is no character: paste the line that a receipt gave, or the name of one you kept.",
                       param="character")  # fmt: skip
    return Character(text.split(" ", 1)[0], {name: traits[name] for name in TRAITS})


def roll_character(
    art: str,
    seed: int,
    locked: Mapping[str, str],
    offered_values: Callable[[str], tuple[str, ...]],
    previous: Character | None = None,
    reroll: str = "",
) -> Character:
    """A character in `art` whose parts have the values `offers(trait)`.

    `locked` traits have the value given and stay; the others are `kept`'s; what is left is drawn from `seed`. `anew`
    is a trait of `kept` that is drawn again, "all" every one that is not locked; it is never what it was.
    """
    traits: dict[str, Trait] = {}
    for name in TRAITS:
        old = previous.traits.get(name) if previous is not None and reroll != "all" else None
        roll = _hash_pick(seed, name) if old is None else _hash_pick(seed, name, str(old.pick))
        again = name == reroll
        if name in locked:
            same = old is not None and not again and locked[name] == old.value
            traits[name] = Trait(locked[name], old.pick if old is not None and same else roll)
        elif old is not None and not again:
            traits[name] = old
        else:
            values = _candidate_values(name, offered_values(name), traits)
            others = [value for value in values if again and old is not None and value != old.value] or list(values)
            traits[name] = Trait(others[roll % len(others)], _hash_pick(roll, "pick"))
    return Character(art, traits)


def _candidate_values(name: str, offered: tuple[str, ...], so_far: Mapping[str, Trait]) -> tuple[str, ...]:
    """What may come by chance: what the parts have, and what goes with the traits drawn before."""
    values = TRAITS[name] if name != "mood" else _CHANCE_MOODS
    if name == "beard" and so_far["figure"].value != "man":
        values = ("none",)
    if name == "hair_colour" and so_far["age"].value == "senior":
        values = ("grey", "white")
    fit = tuple(value for value in values if value in offered)
    return fit or offered


def _hash_pick(seed: int, *words: str) -> int:
    """A number below 2^32 that follows from the seed and the words alone, on every machine and Python."""
    digest = hashlib.sha256("/".join([str(seed), *words]).encode()).digest()
    return int.from_bytes(digest[:4], "big")
