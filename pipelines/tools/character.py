"""Character Creator: composed from CC0 parts or drawn by the profile's own model; any trait rolled anew by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pipelines.avatars.art_packs import ARTS, Art
from pipelines.avatars.character_sheet import View, main_side, page, view_side
from pipelines.avatars.outfits import ROLES
from pipelines.avatars.prompt_text import described, heard
from pipelines.avatars.svg_renderer import clothing, colours, figure, ground, layers, left_out, parts_of, skin_of
from pipelines.avatars.traits import ANY, MOODS, TRAITS, Character, drawn, read
from pipelines.codecs.containers import Layer, openraster, png_layers
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Alpha, Colour, Image
from pipelines.core.job import Emit
from pipelines.core.params import MAX_SEED, Params, choice, flag, picture, seed
from pipelines.core.params import colour as colour_field
from pipelines.core.params import prompt as words_field
from pipelines.core.rendering import Backdrop, Draft, Extra, Images, Render
from pipelines.core.tools import Studio, Tool
from pipelines.imaging.palette import colourful, lightest, main_colours, name_of
from pipelines.tools.shared import form_fields

PresetId = Literal[
    "astronaut", "chef", "detective", "superhero", "mage", "firefighter", "farmer", "teacher", "artist", "pilot",
    "scientist", "doctor", "anyone",
]  # fmt: skip
ArtId = Literal["peeps", "lorelei", "notionists", "pixel", "thumbs", "model"]
Anew = Literal[
    "nothing", "all", "face", "hair", "hair_colour", "skin", "figure", "age", "build", "beard", "glasses", "outfit",
    "mood", "palette", "pose",
]  # fmt: skip
SHEET = 1600  # pixels across
NO_MODEL = (
    "'Drawn by a model' needs a model for words, which this studio does not run. "
    "The other arts are composed from parts and work everywhere."
)
_ALIKE = "This model turns no figure that it drew: the takes come from the same words, alike, not the same."
_TRIES = 12  # seeds looked at for each variation, until it differs from those before
_NO_POSE = ("still", "okay")  # twelve views fill a page, thirteen do not
TAKES = 4
_DRAWN_MOODS = ("happy", "laughing", "surprised", "angry")
_MOTION = {
    "still": "Still", "wave": "Waving", "point": "Pointing", "okay": "Okay", "phone": "Phone", "open": "Both hands",
}  # fmt: skip


def _words(*values: str) -> dict[str, str]:
    return {value: value.replace("_", " ").capitalize() for value in values}


def _trait(label: str, name: str, help: str, *, more: bool = True) -> Any:
    """A choice of `ANY` and the trait's values."""
    labels = {ANY: "Any", **_words(*TRAITS[name]), **(_MOTION if name == "pose" else {})}
    return choice(label, help, ANY, labels=labels, more=more)


class Creator(Params):
    """The form. A trait at `any` is drawn from the seed; any other value is locked."""

    preset: PresetId = choice(
        "Role", "Clothes, hat and tools in one.", "astronaut",
        labels={**{key: row.title for key, row in ROLES.items()}, "anyone": "No role"}, tiles=True,
    )  # fmt: skip
    art: ArtId = choice(
        "Art", "Composed from parts, or drawn by a model.", "peeps",
        labels={**{key: art.title for key, art in ARTS.items()}, "model": "Drawn by a model"},
    )  # fmt: skip
    skin: Literal["any", "light", "medium-light", "medium", "medium-dark", "dark"] = _trait(
        "Skin", "skin", "Any: drawn. Else locked, as every trait.", more=False
    )  # fmt: skip
    hair: Literal["any", "short", "long", "curly", "tied", "bald", "covered", "wild"] = _trait(
        "Hair", "hair", "Covered: hijab, turban or cap."
    )
    mood: Literal[
        "any", "happy", "calm", "laughing", "serious", "surprised", "sad", "angry", "playful"
    ] = _trait("Mood", "mood", "The face it makes.")  # fmt: skip
    layout: Literal["portrait", "sheet"] = choice(
        "Layout", "One picture, or every mood and pose on one page.", "portrait",
        labels={"portrait": "Portrait", "sheet": "Sheet of moods and poses"},
    )  # fmt: skip
    anew: Anew = choice(
        "Roll anew", "After 'Apply settings again': only this changes, all else stays as it was.", "nothing", more=True,
        labels={"nothing": "Nothing", "all": "All but the locked", **_words(*TRAITS)},
    )  # fmt: skip
    size: int = form_fields.size()
    variations: int = form_fields.variations()
    prompt: str = words_field(
        "In words", "The composer takes the traits that it knows out of them; a model reads them whole.",
        max_length=300, more=True,
    )  # fmt: skip
    character: str = words_field(
        "Kept character", "One that you keep, or the line that a receipt gives: it comes back as it was. Traits that "
        "are not Any change it.", max_length=600, more=True, kept="character",
    )  # fmt: skip
    figure: Literal["any", "woman", "man", "person"] = _trait("Figure", "figure", "Parts know it by beards only.")
    age: Literal["any", "adult", "senior"] = _trait("Age", "age", "Seniors have grey or white hair.")
    build: Literal["any", "average", "slim", "broad"] = _trait("Build", "build", "Shoulders; in Ink only.")
    hair_colour: Literal["any", "black", "brown", "blond", "red", "grey", "white", "dyed"] = _trait(
        "Hair colour", "hair_colour", "In Ink most kinds of hair are black only; others are taken where it is locked."
    )
    beard: Literal["any", "none", "moustache", "beard"] = _trait("Beard", "beard", "By chance men only.")
    glasses: Literal["any", "none", "glasses", "sunglasses"] = _trait("Glasses", "glasses", "A mask takes them off.")
    outfit: Literal["any", "plain", "shirt", "jacket", "pattern", "hoodie"] = _trait(
        "Outfit", "outfit", "In Notebook and Pixel; a role brings its own."
    )
    pose: Literal["any", "still", "wave", "point", "okay", "phone", "open"] = _trait("Pose", "pose", "In Notebook.")
    palette: Literal["any", "warm", "cool", "pastel", "vivid", "earth", "mono"] = _trait(
        "Palette", "palette", "Clothes, accent and ground that go together."
    )
    colour: str | None = colour_field("Clothes", "In this colour, exactly.", more=True)
    behind: Literal["colour", "transparent"] = choice(
        "Behind", "The palette's colour, or nothing.", "colour", more=True,
        labels={"colour": "Colour", "transparent": "Transparent"},
    )  # fmt: skip
    behind_colour: str | None = colour_field("Colour behind", "Takes the palette's place.", more=True)
    reference: str | None = picture(
        "Reference", "Its colours become clothes and ground; a model that edits draws the character after it.",
        more=True,
    )  # fmt: skip
    backdrop: str | None = form_fields.my_backdrop()
    name: str = words_field("Name", "Heads the sheet.", max_length=40, more=True)
    layers: bool = form_fields.layers()
    brand: str = form_fields.brand()
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    seed: int | None = seed()
    consent: bool = flag(
        "I have this person's permission and they are 18 or over", "Needed for pictures of people that you send."
    )


@dataclass(frozen=True)
class Figure:
    """A drawn character: H x W x 4 where what is behind it is known to be nothing, else H x W x 3."""

    image: Image

    @property
    def alpha(self) -> Alpha | None:
        """Its opacity, None where nothing is known of it."""
        return np.asarray(self.image[..., 3] / 255, np.float32) if self.image.shape[2] == 4 else None

    def on(self, plate: Image) -> Image:
        """Laid on a picture of its size (H x W x 3)."""
        if self.alpha is None:
            return self.image
        flat = plate.astype(np.float32)
        return (flat + self.alpha[..., None] * (self.image[..., :3] - flat) + 0.5).astype(np.uint8)


def run(params: Creator, studio: Studio, emit: Emit) -> Draft:
    """Draw lots for what is not locked, draw the figures, lay them on their ground or on a page."""
    if params.art == "model" and not studio.has("text"):
        raise ModelUnavailable(NO_MODEL, param="art")
    cast = _cast(params, studio)
    look = _look(params, studio, cast[0].character)
    if params.layout == "sheet":
        made = _sheet(params, studio, cast[0], look, emit)
    else:
        made = _portraits(params, studio, cast, look, emit)
    said = [note for lot in cast for note in lot.notices]
    return replace(
        made,
        notices=tuple(dict.fromkeys((*said, *made.notices, *_terms(params)))),
        exact=False,
        computed=params.art != "model",
        settled={"character": cast[0].character.code, "anew": "nothing"},
    )


# ---------------------------------------------------------------- who it is


@dataclass(frozen=True)
class Lot:
    """One character, the traits that somebody named, and what there is to say about it."""

    character: Character
    named: frozenset[str]
    notices: tuple[str, ...]


def _cast(params: Creator, studio: Studio) -> list[Lot]:
    """One character a variation; where nothing is left to chance they would be alike, and there is one."""
    count = 1 if studio.draft or params.layout == "sheet" else params.variations
    rows: list[Lot] = []
    seen: list[object] = []
    for n in range(count * _TRIES):
        lot = _lot(params, studio.seed + n)
        if (looks := _looks(params, lot.character)) not in seen and len(rows) < count:
            seen.append(looks)
            rows.append(lot)
    if len(rows) < count:
        rows[0] = replace(rows[0], notices=(*rows[0].notices, "A kept character is one: roll something anew to vary."))
    return rows


def _looks(params: Creator, character: Character) -> object:
    """What makes two characters differ to the eye."""
    art = ARTS.get(params.art)
    if art is None:
        return character.code
    return parts_of(character, art, params.preset), colours(character, art, params.preset), ground(character)


def _lot(params: Creator, seed: int) -> Lot:
    art = ARTS.get(params.art)
    words = heard(params.prompt)
    named = {name: value for name in TRAITS if (value := getattr(params, name, ANY)) != ANY}
    locked = {**words, **named}
    kept = read(params.character) if params.character else None
    notices = []
    for name in [name for name in locked if art is not None and name in (named if kept else locked)]:
        assert art is not None
        if locked[name] not in art.offers(name):
            label = Creator.model_fields[name].title
            notices.append(f"{label}: {art.title} has no parts for '{locked[name]}'.")
    drawn_ = drawn(
        params.art, seed % (MAX_SEED + 1), named if kept and params.anew != "all" else locked,
        lambda trait: TRAITS[trait] if art is None else art.offers(trait) or TRAITS[trait],
        kept, "" if params.anew == "nothing" else params.anew,
    )  # fmt: skip
    if art is not None:
        notices += left_out(drawn_, art, params.preset)
    return Lot(drawn_, frozenset(locked), tuple(notices))


# ---------------------------------------------------------------- colours and ground


@dataclass(frozen=True)
class Look:
    """The clothes' colour, None: the role's or the palette's; the ground's colour."""

    clothes: Colour | None
    ground: Colour


def _look(params: Creator, studio: Studio, character: Character) -> Look:
    clothes, behind = form_fields.rgb(params.colour), form_fields.rgb(params.behind_colour)
    if params.reference is not None:
        found = main_colours(studio.open(params.reference))
        clothes = clothes or colourful(found)
        behind = behind or lightest(found)
    return Look(clothes, behind or ground(character))


def _plate(params: Creator, studio: Studio, look: Look, side: int, emit: Emit) -> Images:
    """What lies behind, side x side."""
    if params.backdrop is None:
        return Images((np.full((side, side, 3), look.ground, np.uint8),))
    asked = Backdrop(picture=studio.open(params.backdrop), subject="person")
    return studio.draw(Render("backdrop", "", (side, side), (studio.seed,), backdrop=asked), emit)


# ---------------------------------------------------------------- pictures


def _portraits(params: Creator, studio: Studio, cast: list[Lot], look: Look, emit: Emit) -> Draft:
    side = 512 if studio.draft else params.size
    clear = params.behind == "transparent" and params.backdrop is None
    plate = Images(()) if clear else _plate(params, studio, look, side, emit)
    images, alphas, notices = [], [], list(plate.notices)
    for n, lot in enumerate(cast, 1):
        each = look if n == 1 else _look(params, studio, lot.character)
        made, said = _figure(params, studio, lot, each, side, emit)
        notices += said
        under = plate.images[0] if plate.images and params.backdrop else np.full((side, side, 3), each.ground, np.uint8)
        images.append(made.image if clear else made.on(under))
        alphas += [made.alpha] if made.alpha is not None else []
        emit("Drawing", n, len(cast), made.on(under))
    if clear and not alphas:
        notices.append("This model draws no transparency: cut it out with 'Cut-out'.")
    extras = ()
    if params.layers and not studio.draft and params.art != "model":
        under = plate.images[0] if plate.images else None
        extras = _layered(params, cast[0].character, look, side, under)
    return Draft(
        images=tuple(images), alphas=tuple(alphas), notices=tuple(notices), transparent=clear, extras=extras
    )  # fmt: skip


def _figure(
    params: Creator, studio: Studio, lot: Lot, look: Look, side: int, emit: Emit, *, close: bool = False
) -> tuple[Figure, tuple[str, ...]]:
    if params.art != "model":
        return Figure(figure(lot.character, ARTS[params.art], params.preset, side, look.clothes, close=close)), ()
    made, said = _drawn(params, studio, lot, look, side, (lot.character.pick("face"),), emit)
    return made[0], said


def _drawn(
    params: Creator, studio: Studio, lot: Lot, look: Look, side: int, seeds: tuple[int, ...], emit: Emit
) -> tuple[list[Figure], tuple[str, ...]]:
    """One figure a seed, by the profile's model; after the reference where it can edit."""
    role = ROLES[params.preset].words if params.preset in ROLES else ""
    clothes = form_fields.rgb(params.colour)
    own = ", ".join(part for part in (params.prompt, f"{name_of(clothes)} clothes" if clothes else "") if part)
    words = described(lot.character, role, lot.named, own, name_of(look.ground), styled=not params.prompt)
    render = Render("text", words, (side, side), seeds)
    if params.reference is not None and studio.has("edit"):
        render = Render("edit", words, (side, side), seeds, images=(studio.open(params.reference),))
    made = studio.draw(render, emit)
    if not made.alphas:
        return [Figure(image) for image in made.images], made.notices
    levels = [(alpha * 255 + 0.5).astype(np.uint8) for alpha in made.alphas]
    figures = [Figure(np.dstack([image, level])) for image, level in zip(made.images, levels, strict=True)]
    return figures, made.notices


def _layered(params: Creator, character: Character, look: Look, side: int, plate: Image | None) -> tuple[Extra, ...]:
    """The first picture taken apart, as OpenRaster and as PNG layers."""
    rows = layers(character, ARTS[params.art], params.preset, side, look.clothes)
    whole = Figure(figure(character, ARTS[params.art], params.preset, side, look.clothes))
    flat = whole.image
    if plate is not None:
        opaque = np.full(plate.shape[:2], 255, np.uint8)
        rows = (Layer("backdrop", np.dstack([plate, opaque])), *rows)
        flat = whole.on(plate)
    frames = (flat,) if plate is None else (flat, plate)
    return (
        Extra("layers", "ora", openraster(rows, flat), frames, "layers"),
        Extra("layers", "zip", png_layers(rows), frames, "layers"),
    )


# ---------------------------------------------------------------- the sheet


def _sheet(params: Creator, studio: Studio, lot: Lot, look: Look, emit: Emit) -> Draft:
    """Every mood, then every pose, that the art can show; by a model what it can do with one somebody."""
    width = 768 if studio.draft else SHEET
    main, said = _figure(params, studio, lot, look, main_side(width), emit)
    views, notices = _views(params, studio, lot, look, main, width, emit)
    title = params.name or (ROLES[params.preset].title if params.preset in ROLES else "Character")
    swatches = _swatches(params, lot.character, look, main)
    image = page(main.image, views, swatches, title, _line(params, lot), width)
    emit("Laying out", 1, 1, image)
    return Draft(images=(image,), notices=(*said, *notices), names=("sheet",))


def _views(
    params: Creator, studio: Studio, lot: Lot, look: Look, main: Figure, width: int, emit: Emit
) -> tuple[list[View], tuple[str, ...]]:
    if params.art == "model":
        return _edits(studio, lot, look, main, width, emit) if studio.has("edit") else _takes(
            params, studio, lot, look, width, emit
        )  # fmt: skip
    turns = _turns(ARTS[params.art], lot.character)
    side, views = view_side(len(turns), width), []
    for n, (word, who) in enumerate(turns, 1):
        close = who["pose"] == "still"
        views.append(
            View(word, _figure(params, studio, replace(lot, character=who), look, side, emit, close=close)[0].image)
        )
        emit("Drawing", n, len(turns))
    return views, ()


def _edits(
    studio: Studio, lot: Lot, look: Look, main: Figure, width: int, emit: Emit
) -> tuple[list[View], tuple[str, ...]]:
    """The large picture with other faces, by a model that edits."""
    flat = main.on(np.full((*main.image.shape[:2], 3), look.ground, np.uint8))
    side, seeds, views, said = view_side(len(_DRAWN_MOODS), width), (lot.character.pick("face"),), [], []
    for mood in _DRAWN_MOODS:
        made = studio.draw(
            Render("edit", f"the same character, {mood} face", (side, side), seeds, images=(flat,)), emit
        )
        views.append(View(mood.capitalize(), made.images[0]))
        said += made.notices
    return views, tuple(said)


def _takes(
    params: Creator, studio: Studio, lot: Lot, look: Look, width: int, emit: Emit
) -> tuple[list[View], tuple[str, ...]]:
    """The same words four times more, where a model cannot turn a picture that it drew."""
    seeds = tuple((lot.character.pick("face") + n) % (MAX_SEED + 1) for n in range(1, TAKES + 1))
    made, said = _drawn(params, studio, lot, look, view_side(TAKES, width), seeds, emit)
    return [View(f"Take {n}", each.image) for n, each in enumerate(made, 2)], (*said, _ALIKE)


def _turns(art: Art, character: Character) -> list[tuple[str, Character]]:
    """What a word says, and the character doing it."""
    moods = [mood for mood in MOODS if mood in art.offers("mood")]
    poses = [pose for pose in _MOTION if pose in art.offers("pose") and pose not in _NO_POSE]
    faces = [(mood.capitalize(), character.having("mood", mood).having("pose", "still")) for mood in moods]
    return faces + [(_MOTION[pose], character.having("pose", pose)) for pose in poses]


def _swatches(params: Creator, character: Character, look: Look, main: Figure) -> tuple[Colour, ...]:
    """The colours that were chosen, or what a model's picture is made of; the ground's last."""
    art = ARTS.get(params.art)
    if art is None:
        flat = main.on(np.full((*main.image.shape[:2], 3), look.ground, np.uint8))
        return (*main_colours(flat)[1:3], look.ground)
    skin = (skin_of(character),) if "skin" in art.colours else ()
    return (*skin, look.clothes or clothing(character, params.preset), look.ground)


def _line(params: Creator, lot: Lot) -> str:
    """Who it is, for whoever draws it next: what the art shows, or what a model was told."""
    art, told = ARTS.get(params.art), {"figure", "skin", *lot.named}
    shown = [name for name in TRAITS if name not in ("face", "mood", "pose")]
    shown = [name for name in shown if (name in told if art is None else art.offers(name))]
    return ", ".join(f"{name.replace('_', ' ')} {lot.character[name]}" for name in shown)


def _terms(params: Creator) -> tuple[str, ...]:
    """What may be done with it."""
    if params.art == "model":
        return ()
    return (f"Parts: {ARTS[params.art].credit}, CC0; hats and tools: DesignerBox. Commercial use is free.",)


TOOL = Tool(
    id="character",
    title="Character Creator",
    summary="A character from a few choices: five arts, twelve roles, every trait locked or rolled anew.",
    params=Creator,
    run=run,
    strengths=("Unique designs", "Customizable traits", "Multiple poses", "Consistent style", "Commercial use"),
    limits=("Drawings, no photographs; freer figures need a GPU model",),
    person=True,
)
