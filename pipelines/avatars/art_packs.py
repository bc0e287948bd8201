"""Art packs of the avatars: tables of which CC0 part (assets/characters) shows which value of a trait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pipelines.avatars.traits import TRAITS

PartNames = tuple[str, ...]
AnchorName = Literal["head", "eyes", "torso"]


class Anchor(NamedTuple):
    """Where an outfit piece goes in an art pack's view box: origin, length of a unit, rotation in degrees."""

    x: float
    y: float
    unit: float
    turn: float = 0.0


@dataclass(frozen=True)
class ArtPack:
    """One art pack. `parts_by_trait` maps trait, group of parts and value to the parts that show it ("": no part).

    `view_box` is left, top, width and height in the pack's units, and `head_view_box` the same around the head.
    `layer_order` lists the layers from back to front, with those of outfits (back, torso, hat, prop). A mask is drawn
    before the group `eye_group`. A hat hides what is above `brim_y`. `repaint` is (group, colour, name): that colour in
    the parts of the group becomes the named colour. If not all parts can take a hair colour, `tinted_parts` can.
    `veil_parts` are not used for men. `line_width` is in head units.
    """

    id: str
    title: str
    file: str
    view_box: tuple[float, float, float, float]
    layer_order: tuple[str, ...]
    parts_by_trait: Mapping[str, Mapping[str, Mapping[str, PartNames]]]
    anchors: Mapping[AnchorName, Anchor]
    eye_group: str = ""
    head_view_box: tuple[float, float, float, float] | None = None
    line_width: float = 3.5
    colours: tuple[str, ...] = ("skin", "hair_colour", "palette")
    always_parts: Mapping[str, PartNames] = field(default_factory=dict[str, PartNames])
    optional_parts: Mapping[str, tuple[float, PartNames]] = field(default_factory=dict[str, tuple[float, PartNames]])
    repaint: tuple[tuple[str, str, str], ...] = ()
    brim_y: float = 0.0
    tinted_parts: frozenset[str] = frozenset()
    veil_parts: frozenset[str] = frozenset()
    is_pixel_art: bool = False
    feature_colour: str = "#16110f"
    mouth_colour: str = ""
    has_build: bool = False
    credit: str = ""

    def offered_values(self, trait: str) -> tuple[str, ...]:
        """Return the values of a trait that this art pack can show, () if it cannot show the trait."""
        if trait in self.parts_by_trait:
            return tuple(sorted({value for values in self.parts_by_trait[trait].values() for value in values}))
        is_shown = {"build": self.has_build, "age": "hair_colour" in self.colours}.get(trait, trait in self.colours)
        return tuple(dict.fromkeys(TRAITS[trait])) if is_shown else ()


def _parts(prefix: str, *numbers: int) -> PartNames:
    """Return part names: the prefix and a number of two digits (short for the tables below)."""
    return tuple(f"{prefix}{n:02d}" for n in numbers)


def _v(*numbers: int) -> PartNames:
    """Return names of parts that are called variant and a number."""
    return _parts("variant", *numbers)


PEEPS = ArtPack(
    id="peeps",
    brim_y=232,
    title="Ink",
    file="open-peeps",
    view_box=(-127, -104, 1034, 1034),
    head_view_box=(30, -104, 730, 730),
    layer_order=("back", "base", "torso", "head", "face", "facialHair", "accessories", "hat", "prop"),
    parts_by_trait={
        "hair": {"head": {
            "short": ("pomp", "short1", "short2", "short4", "short5", "grayShort", "shaved2", "flatTop"),
            "long": ("long", "longBangs", "medium1", "medium2", "medium3", "mediumBangs", "mediumBangs3",
                     "mediumStraight", "bangs", "bangs2", "grayMedium"),
            "curly": ("afro", "dreads1", "dreads2", "longAfro", "longCurly", "short3", "twists", "twists2",
                      "mediumBangs2"),
            "tied": ("bun", "bun2", "buns", "grayBun", "cornrows", "cornrows2", "bantuKnots"),
            "bald": ("noHair1", "noHair2", "noHair3"),
            "covered": ("hijab", "turban", "hatBeanie"),
            "wild": ("mohawk", "mohawk2", "shaved1", "shaved3", "flatTopLong"),
        }},
        "mood": {"face": {
            "happy": ("smile", "cute", "eatingHappy"),
            "calm": ("calm", "contempt"),
            "laughing": ("smileLOL", "smileBig"),
            "serious": ("serious", "driven"),
            "surprised": ("awe", "explaining", "hectic"),
            "sad": ("solemn", "concerned", "tired"),
            "angry": ("veryAngry", "rage"),
            "playful": ("cheeky", "suspicious"),
        }},
        "beard": {"facialHair": {
            "none": ("",),
            "moustache": ("moustache2", "moustache5", "moustache6", "moustache7", "moustache9"),
            "beard": ("chin", "full", "full2", "full3", "full4", "goatee1", "goatee2"),
        }},
        "glasses": {"accessories": {
            "none": ("",),
            "glasses": ("glasses", "glasses2", "glasses3", "glasses4", "glasses5"),
            "sunglasses": ("sunglasses", "sunglasses2"),
        }},
    },
    anchors={
        "head": Anchor(390, 246, 3.5, 2),
        "eyes": Anchor(464, 356, 2.36),
        "torso": Anchor(385, 668, 5.3),
    },
    eye_group="face",
    line_width=3.6,
    tinted_parts=frozenset((
        "bangs", "grayBun", "grayMedium", "grayShort", "mediumBangs2", "mohawk", "mohawk2", "noHair3", "short4",
        "moustache9", "full4",
    )),
    veil_parts=frozenset(("hijab",)),
    has_build=True,
    credit="Open Peeps by Pablo Stanley",
)  # fmt: skip

LORELEI = ArtPack(
    id="lorelei",
    brim_y=303,
    title="Line portrait",
    file="lorelei",
    view_box=(-70, -150, 1120, 1120),
    layer_order=("back", "hair", "hairAccessories", "hat"),
    parts_by_trait={
        "hair": {"hair": {
            "short": _v(47, 44, 43, 28, 12, 11, 8, 7, 6, 4, 3, 2, 1),
            "long": _v(48, 41, 40, 32, 23, 21, 19, 17, 16, 15, 13, 10),
            "curly": _v(39, 35, 24, 22, 18, 9, 5),
            "tied": _v(46, 42, 38, 36, 33, 31, 30, 29, 26, 14),
            "bald": _v(34, 25),
            "wild": _v(45, 27, 20),
        }},
        "mood": {
            "mouth": {
                "happy": _parts("happy", 1, 2, 3, 4), "calm": _parts("happy", 14, 13),
                "laughing": _parts("happy", 5, 6, 7, 16),
                "serious": _parts("sad", 5, 9, 3), "surprised": ("sad01", "happy08"), "sad": _parts("sad", 4, 5),
                "angry": _parts("sad", 6, 7), "playful": _parts("happy", 9, 15),
            },
            "eyebrows": {
                "happy": _v(11, 9, 7, 2), "calm": _v(9, 12), "laughing": _v(7, 2, 5), "serious": _v(10,),
                "surprised": _v(7, 5), "sad": _v(1,), "angry": _v(13,), "playful": _v(12, 11),
            },
            "eyes": {"calm": _v(19,), "laughing": _v(19, 22), "playful": _v(18, 15)},
        },
        "beard": {"beard": {"none": ("",), "beard": _v(1, 2)}},
        "glasses": {"glasses": {"none": ("",), "glasses": _v(1, 3, 4, 5), "sunglasses": _v(2,)}},
    },
    anchors={"head": Anchor(500, 322, 4.75, 1), "eyes": Anchor(535, 518, 4.4)},
    eye_group="eyes",
    line_width=2.2,
    always_parts={"head": _v(1, 2, 3, 4), "nose": _v(1, 2, 3, 4, 5, 6),
            "eyes": _v(24, 23, 21, 20, 16, 14, 12, 11, 10, 8, 6, 4, 2)},
    optional_parts={"freckles": (0.15, _v(1,)), "hairAccessories": (0.06, ("flowers",)),
                    "earrings": (0.25, _v(1, 2, 3))},
    credit="Lorelei by Lisa Wischofsky",
)  # fmt: skip

NOTIONISTS = ArtPack(
    id="notionists",
    brim_y=568,
    title="Notebook",
    file="notionists",
    view_box=(-28, -40, 1784, 1784),
    head_view_box=(400, 150, 1010, 1010),
    layer_order=("back", "base", "body", "torso", "hair", "lips", "beard", "nose", "eyes", "glasses", "brows", "hat",
           "gesture", "prop"),
    parts_by_trait={
        "hair": {"hair": {
            "short": _v(60, 56, 55, 54, 49, 44, 38, 35, 34, 32, 27, 26, 25, 24, 21, 19, 18, 16, 15, 13, 7, 6, 5),
            "long": _v(58, 43, 41, 36, 28, 23, 10, 8, 4, 2),
            "curly": _v(40, 37, 33, 31, 22, 20, 17, 12, 9),
            "tied": _v(59, 57, 48, 47, 46, 45, 39, 30, 29),
            "covered": (*_v(63, 62, 61), "hat"),
            "wild": _v(53, 52, 51, 50),
        }},
        "mood": {
            "lips": {
                "happy": _v(23, 22, 17, 3), "calm": _v(22, 4), "laughing": _v(30, 14, 26, 25), "serious": _v(21, 13),
                "surprised": _v(15, 29), "sad": _v(19, 18), "angry": _v(27, 11), "playful": _v(12, 28),
            },
            "brows": {
                "happy": _v(1, 12), "calm": _v(12, 10), "laughing": _v(1,), "serious": _v(8, 4), "surprised": _v(1, 12),
                "sad": _v(13, 6), "angry": _v(2,), "playful": _v(11,),
            },
        },
        "beard": {"beard": {"none": ("",), "moustache": _v(11, 10, 9, 7, 3), "beard": _v(12, 8, 2, 1)}},
        "glasses": {"glasses": {"none": ("",), "glasses": _v(11, 8, 3), "sunglasses": _v(10, 9, 7, 5, 2, 1)}},
        "outfit": {"body": {
            "plain": _v(21, 14), "hoodie": _v(23, 11), "shirt": _v(25, 20, 19, 13), "jacket": _v(16, 7, 5, 9),
            "pattern": _v(24, 22, 15),
        }},
        "pose": {"gesture": {
            "still": ("",), "wave": ("waveLongArm",), "point": ("pointLongArm", "point"), "okay": ("okLongArm", "ok"),
            "phone": ("handPhone",), "open": ("waveLongArms", "waveOkLongArms", "wavePointLongArms"),
        }},
    },
    anchors={
        "head": Anchor(868, 590, 5.0, 2),
        "eyes": Anchor(940, 765, 4.1),
        "torso": Anchor(868, 1180, 8.2),
    },
    eye_group="eyes",
    line_width=2.4,
    always_parts={"base": _v(1), "nose": _v(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), "eyes": _v(1, 3, 4, 5)},
    repaint=(("base", "#fff", "skin"), ("gesture", "#fff", "skin"), ("body", "#fff", "clothing"),
             ("hair", "#fff", "clothing"), ("hair", "#000", "hair"), ("beard", "#000", "hair")),
    veil_parts=frozenset(_v(63, 62)),
    credit="Notionists by Zoish",
)  # fmt: skip

PIXEL = ArtPack(
    id="pixel",
    brim_y=3,
    title="Pixel",
    file="pixel-art",
    view_box=(-2, -4, 20, 20),
    layer_order=("back", "base", "clothing", "torso", "eyes", "glasses", "beard", "mouth", "hair", "accessories", "hat",
           "prop"),
    parts_by_trait={
        "hair": {"hair": {
            "short": _parts("short", 22, 17, 16, 14, 10, 9, 8, 6, 4, 3, 2, 1, 15),
            "long": _parts("long", 21, 20, 17, 16, 13, 12, 11, 9, 7, 4, 3, 2, 1),
            "curly": ("short13", "short11", "long15"),
            "tied": _parts("long", 19, 18, 14, 6, 5),
            "bald": ("short24", "short20", "short23"),
            "wild": _parts("short", 12, 21, 5),
        }},
        "mood": {"mouth": {
            "happy": _parts("happy", 9, 8, 7, 10), "calm": _parts("happy", 11, 5), "laughing": ("happy12", "happy06"),
            "serious": _parts("sad", 6, 5, 4), "surprised": ("happy01", "happy02"), "sad": _parts("sad", 1, 2),
            "angry": _parts("sad", 3, 9), "playful": _parts("happy", 4, 3),
        }},
        "beard": {"beard": {"none": ("",), "beard": _v(8, 6, 5, 1)}},
        "glasses": {"glasses": {"none": ("",), "glasses": _parts("light", 7, 6, 5, 2, 1),
                                "sunglasses": _parts("dark", 6, 5, 3, 2, 1)}},
        "outfit": {"clothing": {
            "plain": _v(3, 4, 8, 12, 14, 17), "shirt": _v(5, 11, 16, 18), "jacket": _v(1, 7, 23, 22),
            "pattern": _v(2, 6, 13, 20),
        }},
    },
    anchors={"head": Anchor(4, 2, 1)},
    eye_group="eyes",
    always_parts={"eyes": _v(11, 9, 8, 7, 6, 4, 3, 1)},
    optional_parts={"accessories": (0.12, _v(1, 2, 3, 4))},
    is_pixel_art=True,
    feature_colour="#2a211f",
    mouth_colour="#a2453f",
    credit="Pixel Art by DiceBear",
)  # fmt: skip

THUMBS = ArtPack(
    id="thumbs",
    title="Mascot",
    file="thumbs",
    view_box=(-27, -50, 154, 154),
    layer_order=("back", "shape", "torso", "hat", "prop"),
    parts_by_trait={
        "mood": {
            "eyes": {
                "happy": ("variant5W10", "variant5W14", "variant6W12", "variant8W14"),
                "calm": ("variant2W12", "variant2W14"), "laughing": ("variant3W12", "variant4W12"),
                "playful": ("variant9W12", "variant9W14"), "serious": ("variant7W12", "variant7W14"),
                "surprised": ("variant6W14", "variant6W16"),
            },
            "mouth": {
                "happy": ("variant1", "variant4"), "calm": ("variant3",), "laughing": ("variant2",),
                "playful": ("variant4",), "serious": ("variant3",), "surprised": ("variant5",),
            },
        },
    },
    anchors={"head": Anchor(50, 24, 0.72), "eyes": Anchor(21, 8, 0.62), "torso": Anchor(50, 80, 0.62)},
    eye_group="eyes",
    line_width=3.0,
    colours=("palette",),
    always_parts={"shape": ("default",), "face": ("variant1", "variant2", "variant3", "variant4", "variant5")},
    credit="Thumbs by DiceBear",
)  # fmt: skip

ART_PACKS: dict[str, ArtPack] = {art.id: art for art in (PEEPS, LORELEI, NOTIONISTS, PIXEL, THUMBS)}

# sRGB colours with evenly falling lightness and warm hues.
SKIN_COLOURS: dict[str, tuple[str, ...]] = {
    "light": ("#f7dcc9", "#f5d3bb"),
    "medium-light": ("#ecc29c", "#e6b68f"),
    "medium": ("#d09a6d", "#c88f62"),
    "medium-dark": ("#a26d45", "#96613c"),
    "dark": ("#6f452b", "#633d27"),
}
HAIR_COLOURS: dict[str, tuple[str, ...]] = {
    "black": ("#1d1a1c", "#262022"),
    "brown": ("#5b3a26", "#7a4a2c", "#44291b"),
    "blond": ("#dcb567", "#e8c98a", "#c79a4b"),
    "red": ("#b5492a", "#c75b2f", "#96371f"),
    "grey": ("#8d8f94", "#a3a5a9"),
    "white": ("#e9e7e2", "#f2f0ec"),
    "dyed": ("#c2417c", "#3f74c9", "#2f9c8c", "#7a4fc2"),
}


class Palette(NamedTuple):
    """Colours that fit together: outfit, accent, background."""

    outfit: str
    accent: str
    ground: str


PALETTES: dict[str, tuple[Palette, ...]] = {
    "warm": (Palette("#d9573f", "#f2b84b", "#fbe9d7"), Palette("#c2693a", "#8c2f39", "#f7dcc0"),
             Palette("#e0894a", "#35506b", "#fff0d9")),
    "cool": (Palette("#2f6f9f", "#f0a35e", "#d6e8f2"), Palette("#3a8f8c", "#21435c", "#d9efec"),
             Palette("#5367b5", "#e4b363", "#e0e4f7")),
    "pastel": (Palette("#a9c9e8", "#f3a6b0", "#fdf1ee"), Palette("#bfe0c6", "#9d8fc9", "#f3f8ee"),
               Palette("#f4c6d4", "#7fb3c9", "#f8f0fa")),
    "vivid": (Palette("#e8384f", "#ffd23f", "#3bceac"), Palette("#5b2be0", "#ff7a3d", "#ffd447"),
              Palette("#0a9e6b", "#f23f7c", "#ffe14d")),
    "earth": (Palette("#6b7a4b", "#b5652b", "#ece3d2"), Palette("#8a5a3c", "#44604d", "#efe6d8"),
              Palette("#7d6b57", "#c58b3a", "#e6ded0")),
    "mono": (Palette("#4a4d55", "#8f939c", "#e8e9ec"), Palette("#f4f4f5", "#2a2b30", "#c9cbd1"),
             Palette("#23252b", "#b9bcc4", "#f3f3f4")),
}  # fmt: skip
