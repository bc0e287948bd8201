"""Character Creator: composed from CC0 parts or drawn by the profile's own model; any trait rolled anew by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pipelines.avatars.art_packs import ART_PACKS, ArtPack
from pipelines.avatars.character_sheet import View, compose_sheet, portrait_side, view_side
from pipelines.avatars.outfits import ROLES
from pipelines.avatars.prompt_text import describe_character, parse_traits
from pipelines.avatars.svg_renderer import (
    backdrop_colour,
    choose_parts,
    clothing_colour,
    css_colours,
    omission_notices,
    render_figure,
    render_layers,
    skin_colour,
)
from pipelines.avatars.traits import ANY, MOODS, TRAITS, Character, parse_character, roll_character
from pipelines.codecs.containers import Layer, encode_openraster, encode_png_layers
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Alpha, Colour, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    MAX_SEED,
    Params,
    choice_field,
    colour_field,
    flag_field,
    picture_field,
    prompt_field,
    seed_field,
)
from pipelines.core.rendering import Backdrop, EncodedFile, RenderedImages, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.imaging.palette import extract_main_colours, lightest_colour, most_colourful, name_colour
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
SHEET_WIDTH_PX = 1600  # pixels across
NO_MODEL_MESSAGE = (
    "'Drawn by a model' needs a model for words, which this studio does not run. "
    "The other arts are composed from parts and work everywhere."
)
_TAKES_NOTICE = "This model turns no figure that it drew: the takes come from the same words, alike, not the same."
_SEEDS_PER_VARIATION = 12  # seeds looked at for each variation, until it differs from those before
_POSES_NOT_ON_SHEET = ("still", "okay")  # twelve views fill a page, thirteen do not
TAKE_COUNT = 4
_MODEL_MOODS = ("happy", "laughing", "surprised", "angry")
_POSE_LABELS = {
    "still": "Still", "wave": "Waving", "point": "Pointing", "okay": "Okay", "phone": "Phone", "open": "Both hands",
}  # fmt: skip


def _value_labels(*values: str) -> dict[str, str]:
    return {value: value.replace("_", " ").capitalize() for value in values}


def _trait_field(label: str, name: str, help: str, *, more: bool = True) -> Any:
    """A choice of `ANY` and the trait's values."""
    labels = {ANY: "Any", **_value_labels(*TRAITS[name]), **(_POSE_LABELS if name == "pose" else {})}
    return choice_field(label, help, ANY, labels=labels, advanced=more)


class Creator(Params):
    """The form. A trait at `any` is drawn from the seed; any other value is locked."""

    preset: PresetId = choice_field(
        "Role", "Clothes, hat and tools in one.", "astronaut",
        labels={**{key: row.title for key, row in ROLES.items()}, "anyone": "No role"}, tiles=True,
    )  # fmt: skip
    art: ArtId = choice_field(
        "Art", "Composed from parts, or drawn by a model.", "peeps",
        labels={**{key: art.title for key, art in ART_PACKS.items()}, "model": "Drawn by a model"},
    )  # fmt: skip
    skin: Literal["any", "light", "medium-light", "medium", "medium-dark", "dark"] = _trait_field(
        "Skin", "skin", "Any: drawn. Else locked, as every trait.", more=False
    )  # fmt: skip
    hair: Literal["any", "short", "long", "curly", "tied", "bald", "covered", "wild"] = _trait_field(
        "Hair", "hair", "Covered: hijab, turban or cap."
    )
    mood: Literal[
        "any", "happy", "calm", "laughing", "serious", "surprised", "sad", "angry", "playful"
    ] = _trait_field("Mood", "mood", "The face it makes.")  # fmt: skip
    layout: Literal["portrait", "sheet"] = choice_field(
        "Layout", "One picture, or every mood and pose on one page.", "portrait",
        labels={"portrait": "Portrait", "sheet": "Sheet of moods and poses"},
    )  # fmt: skip
    anew: Anew = choice_field(
        "Roll anew", "After 'Apply settings again': only this changes, all else stays as it was.", "nothing", advanced=True,
        labels={"nothing": "Nothing", "all": "All but the locked", **_value_labels(*TRAITS)},
    )  # fmt: skip
    size: int = form_fields.size_field()
    variations: int = form_fields.variations_field()
    prompt: str = prompt_field(
        "In words", "The composer takes the traits that it knows out of them; a model reads them whole.",
        max_length=300, advanced=True,
    )  # fmt: skip
    character: str = prompt_field(
        "Kept character", "One that you keep, or the line that a receipt gives: it comes back as it was. Traits that "
        "are not Any change it.", max_length=600, advanced=True, saved_kind="character",
    )  # fmt: skip
    figure: Literal["any", "woman", "man", "person"] = _trait_field("Figure", "figure", "Parts know it by beards only.")
    age: Literal["any", "adult", "senior"] = _trait_field("Age", "age", "Seniors have grey or white hair.")
    build: Literal["any", "average", "slim", "broad"] = _trait_field("Build", "build", "Shoulders; in Ink only.")
    hair_colour: Literal["any", "black", "brown", "blond", "red", "grey", "white", "dyed"] = _trait_field(
        "Hair colour", "hair_colour", "In Ink most kinds of hair are black only; others are taken where it is locked."
    )
    beard: Literal["any", "none", "moustache", "beard"] = _trait_field("Beard", "beard", "By chance men only.")
    glasses: Literal["any", "none", "glasses", "sunglasses"] = _trait_field(
        "Glasses", "glasses", "A mask takes them off."
    )
    outfit: Literal["any", "plain", "shirt", "jacket", "pattern", "hoodie"] = _trait_field(
        "Outfit", "outfit", "In Notebook and Pixel; a role brings its own."
    )
    pose: Literal["any", "still", "wave", "point", "okay", "phone", "open"] = _trait_field(
        "Pose", "pose", "In Notebook."
    )
    palette: Literal["any", "warm", "cool", "pastel", "vivid", "earth", "mono"] = _trait_field(
        "Palette", "palette", "Clothes, accent and ground that go together."
    )
    colour: str | None = colour_field("Clothes", "In this colour, exactly.", advanced=True)
    behind: Literal["colour", "transparent"] = choice_field(
        "Behind", "The palette's colour, or nothing.", "colour", advanced=True,
        labels={"colour": "Colour", "transparent": "Transparent"},
    )  # fmt: skip
    behind_colour: str | None = colour_field("Colour behind", "Takes the palette's place.", advanced=True)
    reference: str | None = picture_field(
        "Reference", "Its colours become clothes and ground; a model that edits draws the character after it.",
        advanced=True,
    )  # fmt: skip
    backdrop: str | None = form_fields.backdrop_field()
    name: str = prompt_field("Name", "Heads the sheet.", max_length=40, advanced=True)
    layers: bool = form_fields.layers_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = flag_field(
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

    def composite_on(self, plate: Image) -> Image:
        """Laid on a picture of its size (H x W x 3)."""
        if self.alpha is None:
            return self.image
        flat = plate.astype(np.float32)
        return (flat + self.alpha[..., None] * (self.image[..., :3] - flat) + 0.5).astype(np.uint8)


def run(params: Creator, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Draw lots for what is not locked, draw the figures, lay them on their ground or on a page."""
    if params.art == "model" and not context.has_verb("text"):
        raise ModelUnavailable(NO_MODEL_MESSAGE, param="art")
    cast = _draw_cast(params, context)
    look = _choose_colours(params, context, cast[0].character)
    if params.layout == "sheet":
        made = _draw_sheet(params, context, cast[0], look, emit)
    else:
        made = _draw_portraits(params, context, cast, look, emit)
    said = [note for lot in cast for note in lot.notices]
    return replace(
        made,
        notices=tuple(dict.fromkeys((*said, *made.notices, *_licence_notices(params)))),
        exact=False,
        is_procedural=params.art != "model",
        resolved_params={"character": cast[0].character.code, "anew": "nothing"},
    )


# ---------------------------------------------------------------- who it is


@dataclass(frozen=True)
class CastMember:
    """One character, the traits that somebody named, and what there is to say about it."""

    character: Character
    named_traits: frozenset[str]
    notices: tuple[str, ...]


def _draw_cast(params: Creator, context: ToolContext) -> list[CastMember]:
    """One character a variation; where nothing is left to chance they would be alike, and there is one."""
    count = 1 if context.draft or params.layout == "sheet" else params.variations
    rows: list[CastMember] = []
    seen: list[object] = []
    for n in range(count * _SEEDS_PER_VARIATION):
        lot = _draw_member(params, context.seed + n)
        if (looks := _visible_traits(params, lot.character)) not in seen and len(rows) < count:
            seen.append(looks)
            rows.append(lot)
    if len(rows) < count:
        rows[0] = replace(rows[0], notices=(*rows[0].notices, "A kept character is one: roll something anew to vary."))
    return rows


def _visible_traits(params: Creator, character: Character) -> object:
    """What makes two characters differ to the eye."""
    art = ART_PACKS.get(params.art)
    if art is None:
        return character.code
    return (
        choose_parts(character, art, params.preset),
        css_colours(character, art, params.preset),
        backdrop_colour(character),
    )


def _draw_member(params: Creator, seed: int) -> CastMember:
    art = ART_PACKS.get(params.art)
    words = parse_traits(params.prompt)
    named = {name: value for name in TRAITS if (value := getattr(params, name, ANY)) != ANY}
    locked = {**words, **named}
    kept = parse_character(params.character) if params.character else None
    notices = []
    for name in [name for name in locked if art is not None and name in (named if kept else locked)]:
        assert art is not None
        if locked[name] not in art.offered_values(name):
            label = Creator.model_fields[name].title
            notices.append(f"{label}: {art.title} has no parts for '{locked[name]}'.")
    drawn_ = roll_character(
        params.art, seed % (MAX_SEED + 1), named if kept and params.anew != "all" else locked,
        lambda trait: TRAITS[trait] if art is None else art.offered_values(trait) or TRAITS[trait],
        kept, "" if params.anew == "nothing" else params.anew,
    )  # fmt: skip
    if art is not None:
        notices += omission_notices(drawn_, art, params.preset)
    return CastMember(drawn_, frozenset(locked), tuple(notices))


# ---------------------------------------------------------------- colours and ground


@dataclass(frozen=True)
class ColourScheme:
    """The clothes' colour, None: the role's or the palette's; the ground's colour."""

    clothes: Colour | None
    ground: Colour


def _choose_colours(params: Creator, context: ToolContext, character: Character) -> ColourScheme:
    clothes, behind = form_fields.parse_rgb(params.colour), form_fields.parse_rgb(params.behind_colour)
    if params.reference is not None:
        found = extract_main_colours(context.open_image(params.reference))
        clothes = clothes or most_colourful(found)
        behind = behind or lightest_colour(found)
    return ColourScheme(clothes, behind or backdrop_colour(character))


def _draw_backdrop(
    params: Creator, context: ToolContext, look: ColourScheme, side: int, emit: ProgressCallback
) -> RenderedImages:
    """What lies behind, side x side."""
    if params.backdrop is None:
        return RenderedImages((np.full((side, side, 3), look.ground, np.uint8),))
    asked = Backdrop(picture=context.open_image(params.backdrop), subject="person")
    return context.draw(RenderRequest("backdrop", "", (side, side), (context.seed,), backdrop=asked), emit)


# ---------------------------------------------------------------- pictures


def _draw_portraits(
    params: Creator, context: ToolContext, cast: list[CastMember], look: ColourScheme, emit: ProgressCallback
) -> ToolOutput:
    side = 512 if context.draft else params.size
    clear = params.behind == "transparent" and params.backdrop is None
    plate = RenderedImages(()) if clear else _draw_backdrop(params, context, look, side, emit)
    images, alphas, notices = [], [], list(plate.notices)
    for n, lot in enumerate(cast, 1):
        each = look if n == 1 else _choose_colours(params, context, lot.character)
        made, said = _draw_figure(params, context, lot, each, side, emit)
        notices += said
        under = plate.images[0] if plate.images and params.backdrop else np.full((side, side, 3), each.ground, np.uint8)
        images.append(made.image if clear else made.composite_on(under))
        alphas += [made.alpha] if made.alpha is not None else []
        emit("Drawing", n, len(cast), made.composite_on(under))
    if clear and not alphas:
        notices.append("This model draws no transparency: cut it out with 'Cut-out'.")
    extras = ()
    if params.layers and not context.draft and params.art != "model":
        under = plate.images[0] if plate.images else None
        extras = _export_layers(params, cast[0].character, look, side, under)
    return ToolOutput(
        images=tuple(images), alphas=tuple(alphas), notices=tuple(notices), transparent=clear, extras=extras
    )  # fmt: skip


def _draw_figure(
    params: Creator,
    context: ToolContext,
    lot: CastMember,
    look: ColourScheme,
    side: int,
    emit: ProgressCallback,
    *,
    close: bool = False,
) -> tuple[Figure, tuple[str, ...]]:
    if params.art != "model":
        return Figure(
            render_figure(lot.character, ART_PACKS[params.art], params.preset, side, look.clothes, head_only=close)
        ), ()
    made, said = _draw_with_model(params, context, lot, look, side, (lot.character.random_pick("face"),), emit)
    return made[0], said


def _draw_with_model(
    params: Creator,
    context: ToolContext,
    lot: CastMember,
    look: ColourScheme,
    side: int,
    seeds: tuple[int, ...],
    emit: ProgressCallback,
) -> tuple[list[Figure], tuple[str, ...]]:
    """One figure a seed, by the profile's model; after the reference where it can edit."""
    role = ROLES[params.preset].prompt_words if params.preset in ROLES else ""
    clothes = form_fields.parse_rgb(params.colour)
    own = ", ".join(part for part in (params.prompt, f"{name_colour(clothes)} clothes" if clothes else "") if part)
    words = describe_character(
        lot.character, role, lot.named_traits, own, name_colour(look.ground), styled=not params.prompt
    )
    render = RenderRequest("text", words, (side, side), seeds)
    if params.reference is not None and context.has_verb("edit"):
        render = RenderRequest("edit", words, (side, side), seeds, images=(context.open_image(params.reference),))
    made = context.draw(render, emit)
    if not made.alphas:
        return [Figure(image) for image in made.images], made.notices
    levels = [(alpha * 255 + 0.5).astype(np.uint8) for alpha in made.alphas]
    figures = [Figure(np.dstack([image, level])) for image, level in zip(made.images, levels, strict=True)]
    return figures, made.notices


def _export_layers(
    params: Creator, character: Character, look: ColourScheme, side: int, plate: Image | None
) -> tuple[EncodedFile, ...]:
    """The first picture taken apart, as OpenRaster and as PNG layers."""
    rows = render_layers(character, ART_PACKS[params.art], params.preset, side, look.clothes)
    whole = Figure(render_figure(character, ART_PACKS[params.art], params.preset, side, look.clothes))
    flat = whole.image
    if plate is not None:
        opaque = np.full(plate.shape[:2], 255, np.uint8)
        rows = (Layer("backdrop", np.dstack([plate, opaque])), *rows)
        flat = whole.composite_on(plate)
    frames = (flat,) if plate is None else (flat, plate)
    return (
        EncodedFile("layers", "ora", encode_openraster(rows, flat), frames, "layers"),
        EncodedFile("layers", "zip", encode_png_layers(rows), frames, "layers"),
    )


# ---------------------------------------------------------------- the sheet


def _draw_sheet(
    params: Creator, context: ToolContext, lot: CastMember, look: ColourScheme, emit: ProgressCallback
) -> ToolOutput:
    """Every mood, then every pose, that the art can show; by a model what it can do with one somebody."""
    width = 768 if context.draft else SHEET_WIDTH_PX
    main, said = _draw_figure(params, context, lot, look, portrait_side(width), emit)
    views, notices = _draw_views(params, context, lot, look, main, width, emit)
    title = params.name or (ROLES[params.preset].title if params.preset in ROLES else "Character")
    swatches = _list_swatches(params, lot.character, look, main)
    image = compose_sheet(main.image, views, swatches, title, _describe_traits(params, lot), width)
    emit("Laying out", 1, 1, image)
    return ToolOutput(images=(image,), notices=(*said, *notices), names=("sheet",))


def _draw_views(
    params: Creator,
    context: ToolContext,
    lot: CastMember,
    look: ColourScheme,
    main: Figure,
    width: int,
    emit: ProgressCallback,
) -> tuple[list[View], tuple[str, ...]]:
    if params.art == "model":
        return _edit_moods(context, lot, look, main, width, emit) if context.has_verb("edit") else _draw_takes(
            params, context, lot, look, width, emit
        )  # fmt: skip
    turns = _list_turns(ART_PACKS[params.art], lot.character)
    side, views = view_side(len(turns), width), []
    for n, (word, who) in enumerate(turns, 1):
        close = who["pose"] == "still"
        views.append(
            View(
                word, _draw_figure(params, context, replace(lot, character=who), look, side, emit, close=close)[0].image
            )
        )
        emit("Drawing", n, len(turns))
    return views, ()


def _edit_moods(
    context: ToolContext, lot: CastMember, look: ColourScheme, main: Figure, width: int, emit: ProgressCallback
) -> tuple[list[View], tuple[str, ...]]:
    """The large picture with other faces, by a model that edits."""
    flat = main.composite_on(np.full((*main.image.shape[:2], 3), look.ground, np.uint8))
    side, seeds, views, said = view_side(len(_MODEL_MOODS), width), (lot.character.random_pick("face"),), [], []
    for mood in _MODEL_MOODS:
        made = context.draw(
            RenderRequest("edit", f"the same character, {mood} face", (side, side), seeds, images=(flat,)), emit
        )
        views.append(View(mood.capitalize(), made.images[0]))
        said += made.notices
    return views, tuple(said)


def _draw_takes(
    params: Creator, context: ToolContext, lot: CastMember, look: ColourScheme, width: int, emit: ProgressCallback
) -> tuple[list[View], tuple[str, ...]]:
    """The same words four times more, where a model cannot turn a picture that it drew."""
    seeds = tuple((lot.character.random_pick("face") + n) % (MAX_SEED + 1) for n in range(1, TAKE_COUNT + 1))
    made, said = _draw_with_model(params, context, lot, look, view_side(TAKE_COUNT, width), seeds, emit)
    return [View(f"Take {n}", each.image) for n, each in enumerate(made, 2)], (*said, _TAKES_NOTICE)


def _list_turns(art: ArtPack, character: Character) -> list[tuple[str, Character]]:
    """What a word says, and the character doing it."""
    moods = [mood for mood in MOODS if mood in art.offered_values("mood")]
    poses = [pose for pose in _POSE_LABELS if pose in art.offered_values("pose") and pose not in _POSES_NOT_ON_SHEET]
    faces = [(mood.capitalize(), character.with_value("mood", mood).with_value("pose", "still")) for mood in moods]
    return faces + [(_POSE_LABELS[pose], character.with_value("pose", pose)) for pose in poses]


def _list_swatches(params: Creator, character: Character, look: ColourScheme, main: Figure) -> tuple[Colour, ...]:
    """The colours that were chosen, or what a model's picture is made of; the ground's last."""
    art = ART_PACKS.get(params.art)
    if art is None:
        flat = main.composite_on(np.full((*main.image.shape[:2], 3), look.ground, np.uint8))
        return (*extract_main_colours(flat)[1:3], look.ground)
    skin = (skin_colour(character),) if "skin" in art.colours else ()
    return (*skin, look.clothes or clothing_colour(character, params.preset), look.ground)


def _describe_traits(params: Creator, lot: CastMember) -> str:
    """Who it is, for whoever draws it next: what the art shows, or what a model was told."""
    art, told = ART_PACKS.get(params.art), {"figure", "skin", *lot.named_traits}
    shown = [name for name in TRAITS if name not in ("face", "mood", "pose")]
    shown = [name for name in shown if (name in told if art is None else art.offered_values(name))]
    return ", ".join(f"{name.replace('_', ' ')} {lot.character[name]}" for name in shown)


def _licence_notices(params: Creator) -> tuple[str, ...]:
    """What may be done with it."""
    if params.art == "model":
        return ()
    return (f"Parts: {ART_PACKS[params.art].credit}, CC0; hats and tools: DesignerBox. Commercial use is free.",)


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
