"""Character Creator: a figure composed from CC0 parts or drawn by a model; each trait is locked or random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pipelines.avatars.art_packs import ART_PACKS, ArtPack
from pipelines.avatars.character_request import CharacterRequest, read_character_request
from pipelines.avatars.character_sheet import View, compose_sheet, portrait_side, view_side
from pipelines.avatars.outfits import ROLES
from pipelines.avatars.prompt_text import describe_character, find_covering, find_dyed_shade
from pipelines.avatars.svg_renderer import (
    backdrop_colour,
    choose_parts,
    clothing_colour,
    cover_head,
    css_colours,
    dye_hair,
    omission_notices,
    render_figure,
    render_layers,
    shows_hair_colour,
    skin_colour,
)
from pipelines.avatars.traits import ANY, MOODS, TRAITS, Character, parse_character, roll_character
from pipelines.codecs.containers import Layer, encode_layer_files
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Alpha, Colour, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    MAX_SEED,
    DrawnWords,
    Params,
    choice_field,
    colour_field,
    flag_field,
    picture_field,
    prompt_field,
    seed_field,
)
from pipelines.core.rendering import (
    CC0_LICENCE,
    FONT_ASSET,
    Asset,
    Backdrop,
    EncodedFile,
    RenderedImages,
    RenderRequest,
    ToolOutput,
)
from pipelines.core.tools import Tool, ToolContext
from pipelines.imaging.palette import extract_main_colours, lightest_colour, most_colourful, name_colour
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.picture_operations import to_rgba

PresetId = Literal[
    "astronaut", "chef", "detective", "superhero", "mage", "firefighter", "farmer", "teacher", "artist", "pilot",
    "scientist", "doctor", "anyone",
]  # fmt: skip
ArtId = Literal["peeps", "lorelei", "notionists", "pixel", "thumbs", "model"]
Anew = Literal[
    "nothing", "all", "face", "hair", "hair_colour", "skin", "figure", "age", "build", "beard", "glasses", "outfit",
    "mood", "palette", "pose",
]  # fmt: skip
SHEET_WIDTH_PX = 1600
_DRAFT_SHEET_WIDTH_PX = 768
NO_MODEL_MESSAGE = (
    "'Drawn by a model' needs a model for words, which this studio does not run. "
    "The other arts are composed from parts and work everywhere."
)
SMALL_MODEL_ID = "mini"
_DEFAULT_ROLE, _DEFAULT_ART = "astronaut", "peeps"
_SMALL_TAIL_NOTICE = "The small model draws one figure or thing, no action and no place. It leaves out or misses: '{}'."
_HIDDEN_HAIR_NOTICE = "Hair colour: under this hair or hat it is hardly seen."
_TAKES_NOTICE = "This model turns no figure that it drew: the takes come from the same words, alike, not the same."
_SEEDS_PER_VARIATION = 12  # tried until a variation differs from those before
_POSES_NOT_ON_SHEET = ("still", "okay")  # so that the sheet has twelve views, which fill the page
TAKE_COUNT = 4
_MODEL_MOODS = ("happy", "laughing", "surprised", "angry")
_POSE_LABELS = {
    "still": "Still", "wave": "Waving", "point": "Pointing", "okay": "Okay", "phone": "Phone", "open": "Both hands",
}  # fmt: skip


def _label_values(*values: str) -> dict[str, str]:
    return {value: value.replace("_", " ").capitalize() for value in values}


def _trait_field(label: str, name: str, help: str, *, advanced: bool = True) -> Any:
    labels = {ANY: "Any", **_label_values(*TRAITS[name]), **(_POSE_LABELS if name == "pose" else {})}
    return choice_field(label, help, ANY, labels=labels, advanced=advanced)


class Creator(Params):
    """The form. A trait at `any` is chosen by the seed; any other value is locked."""

    preset: PresetId = choice_field(
        "Role",
        "Clothes, hat and tools in one.",
        "astronaut",
        labels={**{key: row.title for key, row in ROLES.items()}, "anyone": "No role"},
        tiles=True,
    )
    art: ArtId = choice_field(
        "Art",
        "Composed from parts: people only. A model: animals and things too; the small one draws no actions, places or "
        "groups.",
        "peeps",
        labels={**{key: art.title for key, art in ART_PACKS.items()}, "model": "Drawn by a model"},
    )
    skin: Literal["any", "light", "medium-light", "medium", "medium-dark", "dark"] = _trait_field(
        "Skin", "skin", "Any: at random. Anything else stays, as with every trait.", advanced=False
    )
    hair: Literal["any", "short", "long", "curly", "tied", "bald", "covered", "wild"] = _trait_field(
        "Hair", "hair", "Covered: hijab, turban or cap."
    )
    mood: Literal["any", "happy", "calm", "laughing", "serious", "surprised", "sad", "angry", "playful"] = _trait_field(
        "Mood", "mood", "The face it makes."
    )
    layout: Literal["portrait", "sheet"] = choice_field(
        "Layout",
        "One picture, or every mood and pose on one page.",
        "portrait",
        labels={"portrait": "Portrait", "sheet": "Sheet of moods and poses"},
    )
    anew: Anew = choice_field(
        "Roll anew",
        "After 'Apply settings again': only this changes, all else stays as it was.",
        "nothing",
        advanced=True,
        labels={"nothing": "Nothing", "all": "All but the locked", **_label_values(*TRAITS)},
    )
    size: int = form_fields.size_field()
    variations: int = form_fields.variations_field("Other characters from the same choices.")
    prompt: str = prompt_field(
        "In words",
        "Role, traits and colours are taken out of them, and what is not understood is said. What Ink has no parts "
        "for, such as animals, a model draws.",
        max_length=300,
        advanced=True,
    )
    character: str = prompt_field(
        "Saved character",
        "One that you keep, or the line of a receipt (How it was made): it comes back as it was. Traits that "
        "are not Any change it.",
        max_length=600,
        advanced=True,
        saved_kind="character",
    )
    figure: Literal["any", "woman", "man", "person"] = _trait_field(
        "Figure", "figure", "In composed arts it changes only the beard."
    )
    age: Literal["any", "adult", "senior"] = _trait_field("Age", "age", "Seniors have grey or white hair.")
    build: Literal["any", "average", "slim", "broad"] = _trait_field("Build", "build", "Shoulders; in Ink only.")
    hair_colour: Literal["any", "black", "brown", "blond", "red", "grey", "white", "dyed"] = _trait_field(
        "Hair colour", "hair_colour", "In Ink most kinds of hair are black only; others are taken where it is locked."
    )
    beard: Literal["any", "none", "moustache", "beard"] = _trait_field("Beard", "beard", "At random, only men get one.")
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
        "Behind",
        "The palette's colour, or nothing.",
        "colour",
        advanced=True,
        labels={"colour": "Colour", "transparent": "Transparent"},
    )
    behind_colour: str | None = colour_field("Colour behind", "Takes the palette's place.", advanced=True)
    reference: str | None = picture_field(
        "Reference",
        "Its colours become clothes and ground; a model that edits draws the character after it.",
        advanced=True,
    )
    backdrop: str | None = form_fields.backdrop_field()
    name: DrawnWords = prompt_field("Name", "Heads the sheet.", max_length=40, advanced=True, is_drawn=True)
    layers: bool = form_fields.layers_field()
    look: str = form_fields.look_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = flag_field("I have this person's permission and they are 18 or over", form_fields.CONSENT_HELP)


@dataclass(frozen=True)
class Figure:
    """A drawn character: H x W x 4 where it has transparency, else H x W x 3."""

    image: Image

    @property
    def alpha(self) -> Alpha | None:
        """Its alpha, None where it has no transparency."""
        return np.asarray(self.image[..., 3] / 255, np.float32) if self.image.shape[2] == 4 else None

    def composite_on_backdrop(self, backdrop: Image) -> Image:
        """Composite it on a picture of its size, H x W x 3."""
        if self.alpha is None:
            return self.image
        background = backdrop.astype(np.float32)
        return (background + self.alpha[..., None] * (self.image[..., :3] - background) + 0.5).astype(np.uint8)

    def composite_on_colour(self, colour: Colour) -> Image:
        """Composite it on one colour, H x W x 3."""
        return self.composite_on_backdrop(np.full((*self.image.shape[:2], 3), colour, np.uint8))


def run(params: Creator, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Choose the traits that are not locked, draw the figures, composite them on their ground or lay out a sheet."""
    if params.art == "model" and not context.has_verb("text"):
        raise ModelUnavailable(NO_MODEL_MESSAGE, param="art")
    params, word_notices = _fill_from_words(params, context)
    cast = _draw_cast(params, context)
    scheme = _choose_colours(params, context, cast[0].character)
    if params.layout == "sheet":
        output = _FigureArtist(params, context, cast[0], scheme, emit).draw_sheet()
    else:
        output = _draw_portraits(params, context, cast, scheme, emit)
    notices = [*word_notices, *(notice for member in cast for notice in member.notices), *output.notices]
    assets = [FONT_ASSET] if params.layout == "sheet" else []
    if params.art != "model":
        credit = ART_PACKS[params.art].credit
        notices.append(f"Parts: {credit}, CC0; hats and tools: DesignerBox. Commercial use is free.")
        assets.insert(0, Asset("parts", params.art, CC0_LICENCE))
    return replace(
        output,
        notices=tuple(dict.fromkeys(notices)),
        exact=False,
        is_procedural=params.art != "model",
        assets=tuple(assets),
        resolved_params={
            "character": cast[0].character.code,
            "anew": "nothing",
            "preset": params.preset,
            "art": params.art,
        },
    )


def _fill_from_words(params: Creator, context: ToolContext) -> tuple[Creator, tuple[str, ...]]:
    """Let the words choose role, art and colours where the form leaves them at their defaults; say what they cannot."""
    asked = read_character_request(params.prompt)
    if not params.prompt.strip():
        return params, ()
    role, art, notices = params.preset, params.art, list[str]()
    if asked.role and role in (_DEFAULT_ROLE, "anyone"):
        role = asked.role
    elif asked.role and asked.role != role:
        notices.append(f"Role: {ROLES[role].title} is chosen, so '{asked.role_word}' of the words is left out.")
    elif not asked.role and role == _DEFAULT_ROLE:
        role = "anyone"
        notices.append("Role: the words name none, so there is none.")
    is_small = context.spec_for_role("text") == SMALL_MODEL_ID
    may_change_art = art == _DEFAULT_ART and not params.character and context.has_verb("text")
    if asked.subject and may_change_art and (asked.is_drawn_small or not is_small):
        notices = [f"Art: a model draws this, for Ink has no parts for '{asked.subject}'."]
        role, art = "anyone", "model"
    if art == "model":
        notices += [_SMALL_TAIL_NOTICE.format(asked.tail)] if is_small and asked.tail else []
    else:
        notices += _unknown_word_notices(asked, ART_PACKS[art])
    changes = {
        "preset": role,
        "art": art,
        "colour": params.colour or _to_hex(asked.clothes),
        "behind_colour": params.behind_colour or _to_hex(asked.ground),
    }
    return params.model_copy(update=changes), tuple(notices)


def _to_hex(colour: Colour | None) -> str | None:
    return "#{:02x}{:02x}{:02x}".format(*colour) if colour else None


def _unknown_word_notices(asked: CharacterRequest, art: ArtPack) -> tuple[str, ...]:
    """Name the words that no part shows, and say whom the art draws where the figure itself is among them."""
    if not asked.unknown:
        return ()
    words = ", ".join(f"'{word}'" for word in asked.unknown)
    whom = (f"{art.title} draws people in twelve roles, and no role takes the place of '{asked.subject}'.",)
    return (f"Not understood: {words}.", *(whom if asked.subject else ()))


@dataclass(frozen=True)
class CastMember:
    """One character, the traits that the form or its words named, and notices about it."""

    character: Character
    named_traits: frozenset[str]
    notices: tuple[str, ...]


def _draw_cast(params: Creator, context: ToolContext) -> list[CastMember]:
    """Choose one character a variation, each different to the eye; fewer where too little is left to chance."""
    count = 1 if context.draft or params.layout == "sheet" else params.variations
    cast: list[CastMember] = []
    seen: list[object] = []
    hidden: list[CastMember] = []  # of those whose hair does not show the colour that was asked for
    for n in range(count * _SEEDS_PER_VARIATION):
        member = _draw_member(params, context.seed + n)
        if len(cast) == count:
            break
        if (traits := _visible_traits(params, member.character)) in seen:
            continue
        seen.append(traits)
        (cast if _shows_named_hair(params, member) else hidden).append(member)
    if not cast:
        cast = [replace(member, notices=(*member.notices, _HIDDEN_HAIR_NOTICE)) for member in hidden[:count]]
    if len(cast) < count:
        cast[0] = replace(cast[0], notices=(*cast[0].notices, "A kept character is one: roll something anew to vary."))
    return cast


def _shows_named_hair(params: Creator, member: CastMember) -> bool:
    art = ART_PACKS.get(params.art)
    if art is None or "hair_colour" not in member.named_traits or "hair_colour" not in art.colours:
        return True
    return shows_hair_colour(member.character, art, params.preset)


def _visible_traits(params: Creator, character: Character) -> object:
    """What makes two characters differ to the eye, to be compared."""
    art = ART_PACKS.get(params.art)
    if art is None:
        return character.code
    return (
        choose_parts(character, art, params.preset),
        css_colours(character, art, params.preset),
        backdrop_colour(character),
    )


def _draw_member(params: Creator, seed: int) -> CastMember:
    """Choose one character: traits that are named stay locked, the others come from the seed."""
    art = ART_PACKS.get(params.art)
    named = {name: value for name in TRAITS if (value := getattr(params, name, ANY)) != ANY}
    locked = {**read_character_request(params.prompt).traits, **named}
    saved = parse_character(params.character) if params.character else None
    notices: list[str] = []
    if art is not None:
        asked = named if saved else locked
        notices += [
            f"{Creator.model_fields[name].title}: {art.title} has no parts for '{locked[name]}'."
            for name in locked
            # A figure has no parts: it decides beard and veil.
            if name in asked and locked[name] not in art.offered_values(name) and (name != "figure" or name in named)
        ]
    character = roll_character(
        params.art,
        seed % (MAX_SEED + 1),
        named if saved and params.anew != "all" else locked,
        lambda trait: _chance_values(trait, art, shows_hair="hair_colour" in locked or bool(params.prompt.strip())),
        saved,
        "" if params.anew == "nothing" else params.anew,
    )
    shade = find_dyed_shade(params.prompt) if saved is None and "hair_colour" not in named else None
    if shade is not None and character["hair_colour"] == "dyed":
        character = dye_hair(character, shade)
    if art is not None and saved is None and character["hair"] == "covered":
        character = cover_head(character, art, find_covering(params.prompt))
    if art is not None:
        notices += omission_notices(character, art, params.preset)
    return CastMember(character, frozenset(locked), tuple(notices))


def _chance_values(trait: str, art: ArtPack | None, *, shows_hair: bool) -> tuple[str, ...]:
    """Return the values among which chance chooses; with `shows_hair` no head that is bald or covered."""
    values = TRAITS[trait] if art is None else art.offered_values(trait) or TRAITS[trait]
    if trait == "hair" and shows_hair:
        return tuple(value for value in values if value not in ("bald", "covered"))
    return values


@dataclass(frozen=True)
class ColourScheme:
    """Colours of the clothes (None: the role's or the palette's) and of the ground."""

    clothes: Colour | None
    ground: Colour


def _choose_colours(params: Creator, context: ToolContext, character: Character) -> ColourScheme:
    """Choose colours: the form's, else the reference's, else the palette's."""
    clothes, ground = form_fields.parse_rgb(params.colour), form_fields.parse_rgb(params.behind_colour)
    if params.reference is not None:
        colours = extract_main_colours(context.open_image(params.reference))
        clothes = clothes or most_colourful(colours)
        ground = ground or lightest_colour(colours)
    return ColourScheme(clothes, ground or backdrop_colour(character))


def _draw_backdrop(
    params: Creator, context: ToolContext, scheme: ColourScheme, side: int, emit: ProgressCallback
) -> RenderedImages:
    """Draw what is behind the figure, side x side: the user's picture, else the ground's colour."""
    if params.backdrop is None:
        return RenderedImages((np.full((side, side, 3), scheme.ground, np.uint8),))
    backdrop = Backdrop(picture=context.open_image(params.backdrop), subject="person")
    return context.draw(RenderRequest("backdrop", "", (side, side), (context.seed,), backdrop=backdrop), emit)


def _draw_portraits(
    params: Creator, context: ToolContext, cast: list[CastMember], scheme: ColourScheme, emit: ProgressCallback
) -> ToolOutput:
    side = form_fields.DRAFT_SIDE_PX if context.draft else params.size
    is_transparent = params.behind == "transparent" and params.backdrop is None
    backdrop = RenderedImages(()) if is_transparent else _draw_backdrop(params, context, scheme, side, emit)
    images: list[Image] = []
    alphas: list[Alpha] = []
    notices = list(backdrop.notices)
    for n, member in enumerate(cast, 1):
        member_scheme = scheme if n == 1 else _choose_colours(params, context, member.character)
        figure, figure_notices = _FigureArtist(params, context, member, member_scheme, emit).draw_figure(side)
        notices += figure_notices
        if params.backdrop:
            picture = figure.composite_on_backdrop(backdrop.images[0])
        else:
            picture = figure.composite_on_colour(member_scheme.ground)
        images.append(figure.image if is_transparent else picture)
        alphas += [figure.alpha] if figure.alpha is not None else []
        emit("Drawing", n, len(cast), picture)
    if is_transparent and not alphas:
        notices.append("This model draws no transparency: cut it out with 'Cut-out'.")
    layers: tuple[EncodedFile, ...] = ()
    if params.layers and not context.draft and params.art != "model":
        plate = backdrop.images[0] if backdrop.images else None
        layers = _export_layers(params, cast[0].character, scheme, side, plate)
    return ToolOutput(
        images=tuple(images),
        alphas=tuple(alphas),
        notices=tuple(notices),
        transparent=is_transparent,
        extras=layers,
        draft_part="first" if context.draft and params.variations > 1 else None,
    )


@dataclass(frozen=True)
class _FigureArtist:
    """Draws one member of the cast, from parts or by the profile's model; each drawing comes with notices."""

    params: Creator
    context: ToolContext
    member: CastMember
    scheme: ColourScheme
    emit: ProgressCallback

    def draw_figure(self, side: int, *, head_only: bool = False) -> tuple[Figure, tuple[str, ...]]:
        """Compose the figure from parts, or let the profile's model draw it."""
        params, character = self.params, self.member.character
        if params.art == "model":
            figures, notices = self._draw_with_model(side, (character.random_pick("face"),))
            return figures[0], notices
        art, clothes = ART_PACKS[params.art], self.scheme.clothes
        return Figure(render_figure(character, art, params.preset, side, clothes, head_only=head_only)), ()

    def _draw_with_model(self, side: int, seeds: tuple[int, ...]) -> tuple[list[Figure], tuple[str, ...]]:
        """Let the profile's model draw a figure for each seed; after the reference where it can edit."""
        params, context, named = self.params, self.context, self.member.named_traits
        role = params.preset if params.preset in ROLES else ""
        clothes = form_fields.parse_rgb(params.colour)
        own = ", ".join(part for part in (params.prompt, f"{name_colour(clothes)} clothes" if clothes else "") if part)
        asked, subject = read_character_request(params.prompt), ""
        if asked.subject:  # the words say what it is: nobody's figure, skin or role beside them
            named = frozenset(name for name in TRAITS if getattr(params, name, ANY) != ANY)
            is_small = context.spec_for_role("text") == SMALL_MODEL_ID
            own, subject = "", asked.small_words if is_small else own
        ground, styled = name_colour(self.scheme.ground), not params.prompt
        words = describe_character(self.member.character, role, named, own, ground, styled=styled, subject=subject)
        render = RenderRequest("text", words, (side, side), seeds)
        if params.reference is not None and context.has_verb("edit"):
            render = RenderRequest("edit", words, (side, side), seeds, images=(context.open_image(params.reference),))
        drawn = context.draw(render, self.emit)
        images = drawn.images
        if drawn.alphas:
            images = tuple(to_rgba(image, alpha) for image, alpha in zip(images, drawn.alphas, strict=True))
        return [Figure(image) for image in images], drawn.notices

    def draw_sheet(self) -> ToolOutput:
        """Lay out one page with the figure, its views, colours and traits."""
        params, member = self.params, self.member
        width = _DRAFT_SHEET_WIDTH_PX if self.context.draft else SHEET_WIDTH_PX
        figure, notices = self.draw_figure(portrait_side(width))
        views, view_notices = self._draw_views(figure, width)
        title = params.name or (ROLES[params.preset].title if params.preset in ROLES else "Character")
        swatches = _list_swatches(params, member.character, self.scheme, figure)
        image = compose_sheet(figure.image, views, swatches, title, _describe_traits(params, member), width)
        self.emit("Laying out", 1, 1, image)
        return ToolOutput(images=(image,), notices=(*notices, *view_notices), names=("sheet",))

    def _draw_views(self, figure: Figure, width: int) -> tuple[list[View], tuple[str, ...]]:
        """Draw every mood and pose that the art can show; a model draws what it can of the same figure."""
        if self.params.art == "model":
            return self._edit_moods(figure, width) if self.context.has_verb("edit") else self._draw_takes(width)
        turns = _list_turns(ART_PACKS[self.params.art], self.member.character)
        side = view_side(len(turns), width)
        views: list[View] = []
        for word, character in turns:
            turned = replace(self, member=replace(self.member, character=character))
            view, _ = turned.draw_figure(side, head_only=character["pose"] == "still")
            views.append(View(word, view.image))
            self.emit("Drawing", len(views), len(turns))
        return views, ()

    def _edit_moods(self, figure: Figure, width: int) -> tuple[list[View], tuple[str, ...]]:
        flat, side = figure.composite_on_colour(self.scheme.ground), view_side(len(_MODEL_MOODS), width)
        seeds = (self.member.character.random_pick("face"),)
        views: list[View] = []
        notices: list[str] = []
        for mood in _MODEL_MOODS:
            words = f"the same character, {mood} face"
            drawn = self.context.draw(RenderRequest("edit", words, (side, side), seeds, images=(flat,)), self.emit)
            views.append(View(mood.capitalize(), drawn.images[0]))
            notices += drawn.notices
        return views, tuple(notices)

    def _draw_takes(self, width: int) -> tuple[list[View], tuple[str, ...]]:
        """Draw the same words four times more, where a model cannot edit a figure that it drew."""
        first_seed = self.member.character.random_pick("face")
        seeds = tuple((first_seed + n) % (MAX_SEED + 1) for n in range(1, TAKE_COUNT + 1))
        figures, notices = self._draw_with_model(view_side(TAKE_COUNT, width), seeds)
        return [View(f"Take {n}", figure.image) for n, figure in enumerate(figures, 2)], (*notices, _TAKES_NOTICE)


def _export_layers(
    params: Creator, character: Character, scheme: ColourScheme, side: int, plate: Image | None
) -> tuple[EncodedFile, ...]:
    art = ART_PACKS[params.art]
    layers = render_layers(character, art, params.preset, side, scheme.clothes)
    figure = Figure(render_figure(character, art, params.preset, side, scheme.clothes))
    merged = figure.image
    if plate is not None:
        opaque = np.full(plate.shape[:2], 255, np.uint8)
        layers = (Layer("backdrop", np.dstack([plate, opaque])), *layers)
        merged = figure.composite_on_backdrop(plate)
    frames = (merged,) if plate is None else (merged, plate)
    return encode_layer_files(layers, merged, frames)


def _list_turns(art: ArtPack, character: Character) -> list[tuple[str, Character]]:
    """List the moods and poses that the art has parts for, each as a word and the character in it."""
    moods = [mood for mood in MOODS if mood in art.offered_values("mood")]
    poses = [pose for pose in _POSE_LABELS if pose in art.offered_values("pose") and pose not in _POSES_NOT_ON_SHEET]
    faces = [(mood.capitalize(), character.with_value("mood", mood).with_value("pose", "still")) for mood in moods]
    return faces + [(_POSE_LABELS[pose], character.with_value("pose", pose)) for pose in poses]


def _list_swatches(params: Creator, character: Character, scheme: ColourScheme, figure: Figure) -> tuple[Colour, ...]:
    """List the colours that were chosen, or the main ones of a model's picture; the ground's last."""
    art = ART_PACKS.get(params.art)
    if art is None:
        return (*extract_main_colours(figure.composite_on_colour(scheme.ground))[1:3], scheme.ground)
    skin = (skin_colour(character),) if "skin" in art.colours else ()
    return (*skin, scheme.clothes or clothing_colour(character, params.preset), scheme.ground)


def _describe_traits(params: Creator, member: CastMember) -> str:
    """Say in words who it is: the traits that the art shows, or that the model was told."""
    art, told = ART_PACKS.get(params.art), {"figure", "skin", *member.named_traits}
    names = [name for name in TRAITS if name not in ("face", "mood", "pose")]
    names = [name for name in names if (name in told if art is None else art.offered_values(name))]
    return ", ".join(f"{name.replace('_', ' ')} {member.character[name]}" for name in names)


TOOL = Tool(
    id="character",
    title="Character Creator",
    summary="A character from a few choices: an art style, a role, and traits that stay or are drawn anew.",
    params=Creator,
    run=run,
    strengths=("Unique designs", "Customizable traits", "Multiple poses", "Consistent style", "Commercial use"),
    limits=("Drawings, no photographs; freer figures need a graphics card",),
    person=True,
)
