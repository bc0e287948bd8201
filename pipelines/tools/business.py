"""Business Photos: one person or a team from single portraits, one crop, one eye line, one backdrop; sheets beside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipelines.compositing.compose import compose, relight
from pipelines.compositing.group_photo import EYES, placed_in, row_of, together
from pipelines.compositing.team_matching import (
    Member,
    Standard,
    exposed,
    eye_white,
    framed,
    gain_to,
    light_sides,
    lightness_of,
    luminance_of,
    skin_lightness,
    standard_of,
)
from pipelines.compositing.team_pages import Brand, Label, card, labels_of, sheet, wall
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image, PlacedSubject, Size
from pipelines.core.job import Emit
from pipelines.core.params import Params, Subject, choice, colour, number, picture, pictures, prompt, seed
from pipelines.core.rendering import Backdrop, Draft, Render
from pipelines.core.tools import Studio, Tool
from pipelines.framing.framings import framing, size_of
from pipelines.framing.resample import over, place
from pipelines.tools.shared import form_fields

PresetId = Literal[
    "team-grid", "company-page", "speaker-card", "press-kit", "lobby", "hall", "lab", "remote", "brand-wall",
]  # fmt: skip
LayoutId = Literal["auto", "portraits", "grid", "page", "cards", "group"]
SettingId = Literal[
    "auto", "studio-light", "studio-grey", "studio-dark", "studio-white", "lobby", "hall", "lab", "apartment",
    "bridge", "city", "workshop", "warehouse", "park",
]  # fmt: skip
FramingId = Literal["classic", "tight", "wide"]
PAGE = 1600  # pixels across a sheet
CARD = 1200


@dataclass(frozen=True)
class Look:
    """A preset: a setting, words for a model that draws, and what is laid out from the portraits."""

    title: str
    scene: str
    words: str
    layout: str = "grid"
    branded: bool = False


LOOKS: dict[str, Look] = {
    "team-grid": Look("Team Grid", "studio-light", "soft light grey studio background"),
    "company-page": Look("Company Page", "studio-grey", "seamless mid grey studio paper", "page"),
    "speaker-card": Look("Speaker Card", "studio-dark", "dark charcoal studio background, soft spot", "cards"),
    "press-kit": Look("Press Kit", "studio-white", "clean white studio background", "grid"),
    "lobby": Look("Lobby", "lobby", "bright modern office lobby, out of focus"),
    "hall": Look("Hall", "hall", "conference hall, out of focus"),
    "lab": Look("Lab", "lab", "laboratory, out of focus"),
    "remote": Look("Remote", "apartment", "tidy apartment in daylight, out of focus"),
    "brand-wall": Look("Brand Wall", "studio-colour", "wall in one colour", branded=True),
}
BRAND_WALL = (28, 64, 104)
_SETTINGS = {
    "auto": "As the look suggests", "studio-light": "Light grey", "studio-grey": "Grey", "studio-dark": "Dark",
    "studio-white": "White", "lobby": "Lobby", "hall": "Hall", "lab": "Lab", "apartment": "Apartment",
    "bridge": "Glass bridge", "city": "City", "workshop": "Workshop", "warehouse": "Warehouse", "park": "Park",
}  # fmt: skip


class Business(Params):
    """The form."""

    photos: tuple[str, ...] = pictures("Photos", "One portrait a person, in the order of the names.", at_most=12)
    preset: PresetId = choice(
        "Look", "Setting and layout in one.", "team-grid",
        labels={key: look.title for key, look in LOOKS.items()}, tiles=True,
    )  # fmt: skip
    names: str = prompt("Names", "One line a person: name, role. In the photos' order.", max_length=1200)
    company: str = prompt("Company", "Heads the page, or stands on the card.", max_length=60)
    logo: str | None = picture("Logo", "Best with a transparent background.")
    colour: str | None = colour("Company colour", "Head of the page, ground of the card, the brand wall.")
    layout: LayoutId = choice(
        "Layout", "Beside one picture per person.", "auto", more=True,
        labels={"auto": "As the look suggests", "portraits": "Portraits only", "grid": "Team grid",
                "page": "Company page", "cards": "Speaker cards", "group": "One group picture"},
    )  # fmt: skip
    setting: SettingId = choice("Setting", "Where everybody stands.", "auto", labels=_SETTINGS, more=True)
    background: str = form_fields.words(
        "Takes the place of the setting, for example: workshop, forest, night.", more=True
    )
    framing: FramingId = choice(
        "Framing", "How much of each person is seen.", "classic", more=True,
        labels={"classic": "Classic 4:5", "tight": "Tight 1:1", "wide": "Wide 3:2"},
    )  # fmt: skip
    size: int = form_fields.size()
    head: float = number(
        "Head height", "Share of the picture's height; 0: the framing's, or closer where a photo ends. A receipt says "
        "what it was, so that a colleague who joins later looks the same.",
        0.0, ge=0, le=75, step=0.1, unit="%",
    )  # fmt: skip
    eyes: float = number("Eye line", "From the top; 0: the framing's.", 0.0, ge=0, le=60, step=0.1, unit="%")
    brightness: float = number(
        "Light level", "Relit: lightness of the whites of the eyes; 0: the team's middle. A receipt says what it was.",
        0.0, ge=0, le=100, step=0.1,
    )  # fmt: skip
    backdrop: str | None = form_fields.my_backdrop()
    blur: float = form_fields.blur()
    light: form_fields.Light = form_fields.light()
    brand: str = form_fields.brand()
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    seed: int | None = seed()
    consent: bool = form_fields.consent()


def run(params: Business, studio: Studio, emit: Emit) -> Draft:
    """Cut out everybody, find the one framing that suits all, draw the backdrop once, compose, lay out."""
    members, notices = _members(params, studio, emit)
    row = framing(params.framing)
    size = size_of(row.ratio, 384 if studio.draft else params.size)
    standard = _standard(params, members, size)
    placed = [_placed(member, standard, params, size) for member in members]
    notices += [note for each in placed for note in each.frame.notices]

    look = LOOKS[params.preset]
    plate, said = _plate(params, studio, look, size, standard.eyes, emit)
    target, lights = _lights(params, members)
    portraits = []
    for n, (member, each) in enumerate(zip(members, placed, strict=True)):
        portraits.append(_composed(params, studio, member, each, plate, lights))
        emit("Composing", n + 1, len(members), portraits[-1])

    sheets, told = _sheets(params, studio, look, members, portraits, emit)
    notices += [*said, *told, light_sides(members)]
    images = (*sheets.images, *portraits)
    sources = (*(None for _ in sheets.images), *zip(params.photos, placed, strict=True))
    names = (*sheets.names, *_file_names(params, len(portraits)))
    return Draft(
        images=images[:1] if studio.draft else images,
        notices=tuple(dict.fromkeys(note for note in notices if note)),
        exact=params.light == "exact",
        sources=sources[:1] if studio.draft else sources,
        settled=_settled(params, standard, target),
        names=names[:1] if studio.draft else names,
        archive="team" if len(images) > 1 and not studio.draft else "",
    )


# ---------------------------------------------------------------- the people


def _members(params: Business, studio: Studio, emit: Emit) -> tuple[list[Member], list[str]]:
    members, notices = [], []
    for n, file_id in enumerate(params.photos, 1):
        faces = studio.faces(file_id)
        if len(faces) == 0:
            raise BadInput(
                f"No face was found in photo {n}. Take one in which the face is seen from the front.",
                code="no_face", param="photos",
            )  # fmt: skip
        if len(faces) > 1:
            notices.append(f"Photo {n} shows {len(faces)} faces; the largest was taken.")
        cutout = studio.cutout(Subject(photo=file_id), emit)
        notices += [f"Photo {n}: {note[0].lower()}{note[1:]}" for note in cutout.notices]
        members.append(Member(n, file_id, studio.open(file_id), cutout, faces[0]))
        emit("Cutting out", n, len(params.photos), lambda cutout=cutout: over(cutout.colour, cutout.alpha))
    return members, notices


def _standard(params: Business, members: Sequence[Member], size: Size) -> Standard:
    """What the form states, else what suits everybody."""
    row = framing(params.framing)
    if params.head:
        return Standard(params.head / 100, params.eyes / 100 or row.eyes)
    row = replace(row, eyes=params.eyes / 100) if params.eyes else row
    return standard_of(members, row, size)


def _placed(member: Member, standard: Standard, params: Business, size: Size) -> PlacedSubject:
    return place(member.photo, member.cutout, framed(member, standard, framing(params.framing), size))


# ---------------------------------------------------------------- backdrop and light


def _plate(
    params: Business, studio: Studio, look: Look, size: Size, eyes: float, emit: Emit
) -> tuple[Image, tuple[str, ...]]:
    """One backdrop for all, made of the form and nothing else: who joins later stands before the same."""
    scene = look.scene if params.setting == "auto" else params.setting
    branded = look.branded and params.setting == "auto" and not params.background and not params.backdrop
    paint = form_fields.rgb(params.colour) or BRAND_WALL
    backdrop = Backdrop(
        scene="" if params.background else scene,
        colour=paint if branded else None,
        picture=studio.open(params.backdrop) if params.backdrop else None,
        blur=params.blur / 100,
        horizon=eyes,
        subject="person",
    )
    words = params.background or ("" if params.backdrop else look.words)
    drawn = studio.draw(Render("backdrop", words, size, (studio.seed,), backdrop=backdrop), emit)
    plate = drawn.images[0]
    if branded and params.logo is not None:
        plate = wall(plate, studio.layer(params.logo))
    return plate, drawn.notices


def _lights(params: Business, members: Sequence[Member]) -> tuple[float, dict[int, float]]:
    """The level of the whites of the eyes, and per photo the factor on its light that leads there; none in Exact."""
    if params.light == "exact":
        return 0.0, {}
    read = {member.number: eye_white(member.photo, member.face) for member in members}
    known = {number: white for number, white in read.items() if white is not None}
    middle = round(lightness_of(float(np.median([*known.values()] or [0.0]))), 1)
    level = params.brightness or middle
    target = luminance_of(level)
    skin = {member.number: skin_lightness(member.photo, member.face) for member in members}
    return level, {number: gain_to(target, white, skin[number]) for number, white in known.items()}


def _settled(params: Business, standard: Standard, level: float) -> dict[str, float]:
    """What the team was brought to: in the receipt, so that who joins later is brought to the same."""
    found = {"head": round(100 * standard.head, 1), "eyes": round(100 * standard.eyes, 1)}
    return {**found, "brightness": level} if params.light == "relit" else found


def _composed(
    params: Business, studio: Studio, member: Member, placed: PlacedSubject, plate: Image, lights: dict[int, float]
) -> Image:
    return compose(_lit(params, member, placed, plate, lights), plate, seed=studio.seed)


def _lit(
    params: Business, member: Member, placed: PlacedSubject, plate: Image, lights: dict[int, float]
) -> PlacedSubject:
    """In Relit: the scene's colour of light, and as much of it as the others have."""
    if params.light == "exact":
        return placed
    fitted = relight(placed, plate, lightness_too=False)
    return replace(placed, colour=exposed(fitted, lights.get(member.number, 1.0)))


# ---------------------------------------------------------------- sheets


@dataclass(frozen=True)
class Sheets:
    """What is laid out from the portraits, with words for file names."""

    images: tuple[Image, ...] = ()
    names: tuple[str, ...] = ()


def _sheets(
    params: Business, studio: Studio, look: Look, members: Sequence[Member], portraits: Sequence[Image], emit: Emit
) -> tuple[Sheets, tuple[str, ...]]:
    layout = look.layout if params.layout == "auto" else params.layout
    labels = labels_of(params.names, len(portraits))
    brand = Brand(form_fields.rgb(params.colour), studio.layer(params.logo) if params.logo else None, params.company)
    if layout == "group":
        image, reasons = _group(params, studio, look, members, emit)
        if image is not None:
            return Sheets((image,), ("group",)), ()
        why = ("No group picture: the team grid instead.", *reasons) if len(members) > 1 else ()
        return _laid("grid", portraits, labels, brand, studio), why
    return _laid(layout, portraits, labels, brand, studio), ()


def _laid(
    layout: str, portraits: Sequence[Image], labels: Sequence[Label], brand: Brand, studio: Studio
) -> Sheets:  # fmt: skip
    if layout == "cards":
        width = 640 if studio.draft else CARD
        made = tuple(card(image, label, brand, width) for image, label in zip(portraits, labels, strict=True))
        return Sheets(made, tuple(f"card-{n + 1}{_word(label)}" for n, label in enumerate(labels)))
    named = any(label.name for label in labels)
    if layout == "portraits" or (layout == "grid" and len(portraits) == 1 and not named):
        return Sheets()
    width = 768 if studio.draft else PAGE
    page = layout == "page"
    return Sheets((sheet(portraits, labels, brand, width, headed=page),), ("company-page" if page else "team-grid",))


def _group(
    params: Business, studio: Studio, look: Look, members: Sequence[Member], emit: Emit
) -> tuple[Image | None, tuple[str, ...]]:
    row, reasons = row_of(members, 768 if studio.draft else PAGE)
    if row is None:
        return None, reasons
    plate, said = _plate(params, studio, look, row.size, EYES, emit)
    _, lights = _lights(params, members)
    placed = placed_in(row, members)
    lit = [_lit(params, member, each, plate, lights) for member, each in zip(members, placed, strict=True)]
    return together(lit, plate, seed=studio.seed), said


def _file_names(params: Business, count: int) -> tuple[str, ...]:
    return tuple(f"{n + 1}{_word(label)}" for n, label in enumerate(labels_of(params.names, count)))


def _word(label: Label) -> str:
    """`-grace-hopper`: letters, digits and hyphens of a name, nothing that a path could mind."""
    word = re.sub(r"[^a-z0-9]+", "-", label.name.lower()).strip("-")[:40]
    return f"-{word}" if word else ""


TOOL = Tool(
    id="business",
    title="Business Photos",
    summary="A team from single portraits: one crop, one eye line, one backdrop; grid, company page or speaker cards.",
    params=Business,
    run=run,
    strengths=(
        "Professional settings",
        "Corporate style",
        "Team photos",
        "Office environments",
        "Brand consistency",
    ),
    limits=("A group picture only where the photos' cameras and light agree", "Other clothes need a GPU model"),
    person=True,
    examples=("astronaut", "hopper"),
)
