"""Business Photos: one person or a team from single portraits, one crop, one eye line, one backdrop; sheets beside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipelines.compositing.compose import composite_subject, relight_subject
from pipelines.compositing.group_photo import EYE_LINE_RATIO, composite_group, place_members, plan_group
from pipelines.compositing.team_matching import (
    TeamMember,
    TeamStandard,
    brighten_portrait,
    exposure_gain,
    find_team_standard,
    frame_member,
    light_side_notice,
    lightness_to_luminance,
    luminance_to_lightness,
    measure_eye_white,
    measure_skin_lightness,
)
from pipelines.compositing.team_pages import Brand, Label, draw_logo_wall, draw_sheet, draw_speaker_card, parse_labels
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image, PlacedSubject, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    Params,
    Subject,
    choice_field,
    colour_field,
    number_field,
    picture_field,
    pictures_field,
    prompt_field,
    seed_field,
)
from pipelines.core.rendering import Backdrop, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.framings import get_framing, size_for_ratio
from pipelines.framing.resample import composite_on_grey, place_subject
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
PAGE_WIDTH_PX = 1600  # pixels across a sheet
CARD_WIDTH_PX = 1200


@dataclass(frozen=True)
class Look:
    """A preset: a setting, words for a model that draws, and what is laid out from the portraits."""

    title: str
    scene_id: str
    words: str
    layout: str = "grid"
    is_brand_wall: bool = False


LOOKS: dict[str, Look] = {
    "team-grid": Look("Team Grid", "studio-light", "soft light grey studio background"),
    "company-page": Look("Company Page", "studio-grey", "seamless mid grey studio paper", "page"),
    "speaker-card": Look("Speaker Card", "studio-dark", "dark charcoal studio background, soft spot", "cards"),
    "press-kit": Look("Press Kit", "studio-white", "clean white studio background", "grid"),
    "lobby": Look("Lobby", "lobby", "bright modern office lobby, out of focus"),
    "hall": Look("Hall", "hall", "conference hall, out of focus"),
    "lab": Look("Lab", "lab", "laboratory, out of focus"),
    "remote": Look("Remote", "apartment", "tidy apartment in daylight, out of focus"),
    "brand-wall": Look("Brand Wall", "studio-colour", "wall in one colour", is_brand_wall=True),
}
BRAND_WALL_COLOUR = (28, 64, 104)
_SETTING_LABELS = {
    "auto": "As the look suggests", "studio-light": "Light grey", "studio-grey": "Grey", "studio-dark": "Dark",
    "studio-white": "White", "lobby": "Lobby", "hall": "Hall", "lab": "Lab", "apartment": "Apartment",
    "bridge": "Glass bridge", "city": "City", "workshop": "Workshop", "warehouse": "Warehouse", "park": "Park",
}  # fmt: skip


class Business(Params):
    """The form."""

    photos: tuple[str, ...] = pictures_field(
        "Photos", "One portrait a person, in the order of the names.", max_count=12
    )
    preset: PresetId = choice_field(
        "Look", "Setting and layout in one.", "team-grid",
        labels={key: look.title for key, look in LOOKS.items()}, tiles=True,
    )  # fmt: skip
    names: str = prompt_field("Names", "One line a person: name, role. In the photos' order.", max_length=1200)
    company: str = prompt_field("Company", "Heads the page, or stands on the card.", max_length=60)
    logo: str | None = picture_field("Logo", "Best with a transparent background.")
    colour: str | None = colour_field("Company colour", "Head of the page, ground of the card, the brand wall.")
    layout: LayoutId = choice_field(
        "Layout", "Beside one picture per person.", "auto", advanced=True,
        labels={"auto": "As the look suggests", "portraits": "Portraits only", "grid": "Team grid",
                "page": "Company page", "cards": "Speaker cards", "group": "One group picture"},
    )  # fmt: skip
    setting: SettingId = choice_field(
        "Setting", "Where everybody stands.", "auto", labels=_SETTING_LABELS, advanced=True
    )
    background: str = form_fields.scene_words_field(
        "Takes the place of the setting, for example: workshop, forest, night.", more=True
    )
    framing: FramingId = choice_field(
        "Framing", "How much of each person is seen.", "classic", advanced=True,
        labels={"classic": "Classic 4:5", "tight": "Tight 1:1", "wide": "Wide 3:2"},
    )  # fmt: skip
    size: int = form_fields.size_field()
    head: float = number_field(
        "Head height", "Share of the picture's height; 0: the framing's, or closer where a photo ends. A receipt says "
        "what it was, so that a colleague who joins later looks the same.",
        0.0, ge=0, le=75, step=0.1, unit="%",
    )  # fmt: skip
    eyes: float = number_field("Eye line", "From the top; 0: the framing's.", 0.0, ge=0, le=60, step=0.1, unit="%")
    brightness: float = number_field(
        "Light level", "Relit: lightness of the whites of the eyes; 0: the team's middle. A receipt says what it was.",
        0.0, ge=0, le=100, step=0.1,
    )  # fmt: skip
    backdrop: str | None = form_fields.backdrop_field()
    blur: float = form_fields.blur_field()
    light: form_fields.Light = form_fields.light_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.consent_field()


def run(params: Business, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out everybody, find the one framing that suits all, draw the backdrop once, compose, lay out."""
    members, notices = _read_members(params, context, emit)
    row = get_framing(params.framing)
    size = size_for_ratio(row.ratio, 384 if context.draft else params.size)
    standard = _choose_standard(params, members, size)
    placed = [_place_member(member, standard, params, size) for member in members]
    notices += [note for each in placed for note in each.frame.notices]

    look = LOOKS[params.preset]
    plate, said = _draw_backdrop(params, context, look, size, standard.eyes, emit)
    target, lights = _measure_light_gains(params, members)
    portraits = []
    for n, (member, each) in enumerate(zip(members, placed, strict=True)):
        portraits.append(_compose_portrait(params, context, member, each, plate, lights))
        emit("Composing", n + 1, len(members), portraits[-1])

    sheets, told = _make_sheets(params, context, look, members, portraits, emit)
    notices += [*said, *told, light_side_notice(members)]
    images = (*sheets.images, *portraits)
    sources = (*(None for _ in sheets.images), *zip(params.photos, placed, strict=True))
    names = (*sheets.names, *_file_names(params, len(portraits)))
    return ToolOutput(
        images=images[:1] if context.draft else images,
        notices=tuple(dict.fromkeys(note for note in notices if note)),
        exact=params.light == "exact",
        sources=sources[:1] if context.draft else sources,
        resolved_params=_applied_standard(params, standard, target),
        names=names[:1] if context.draft else names,
        archive_name="team" if len(images) > 1 and not context.draft else "",
    )


# ---------------------------------------------------------------- the people


def _read_members(params: Business, context: ToolContext, emit: ProgressCallback) -> tuple[list[TeamMember], list[str]]:
    members, notices = [], []
    for n, file_id in enumerate(params.photos, 1):
        faces = context.detect_faces(file_id)
        if len(faces) == 0:
            raise BadInput(
                f"No face was found in photo {n}. Take one in which the face is seen from the front.",
                code="no_face", param="photos",
            )  # fmt: skip
        if len(faces) > 1:
            notices.append(f"Photo {n} shows {len(faces)} faces; the largest was taken.")
        cutout = context.cut_out_subject(Subject(photo=file_id), emit)
        notices += [f"Photo {n}: {note[0].lower()}{note[1:]}" for note in cutout.notices]
        members.append(TeamMember(n, file_id, context.open_image(file_id), cutout, faces[0]))
        emit("Cutting out", n, len(params.photos), lambda cutout=cutout: composite_on_grey(cutout.colour, cutout.alpha))
    return members, notices


def _choose_standard(params: Business, members: Sequence[TeamMember], size: Size) -> TeamStandard:
    """What the form states, else what suits everybody."""
    row = get_framing(params.framing)
    if params.head:
        return TeamStandard(params.head / 100, params.eyes / 100 or row.eyes)
    row = replace(row, eyes=params.eyes / 100) if params.eyes else row
    return find_team_standard(members, row, size)


def _place_member(member: TeamMember, standard: TeamStandard, params: Business, size: Size) -> PlacedSubject:
    return place_subject(member.photo, member.cutout, frame_member(member, standard, get_framing(params.framing), size))


# ---------------------------------------------------------------- backdrop and light


def _draw_backdrop(
    params: Business, context: ToolContext, look: Look, size: Size, eyes: float, emit: ProgressCallback
) -> tuple[Image, tuple[str, ...]]:
    """One backdrop for all, made of the form and nothing else: who joins later stands before the same."""
    scene = look.scene_id if params.setting == "auto" else params.setting
    branded = look.is_brand_wall and params.setting == "auto" and not params.background and not params.backdrop
    paint = form_fields.parse_rgb(params.colour) or BRAND_WALL_COLOUR
    backdrop = Backdrop(
        scene="" if params.background else scene,
        colour=paint if branded else None,
        picture=context.open_image(params.backdrop) if params.backdrop else None,
        blur_ratio=params.blur / 100,
        horizon_ratio=eyes,
        subject="person",
    )
    words = params.background or ("" if params.backdrop else look.words)
    drawn = context.draw(RenderRequest("backdrop", words, size, (context.seed,), backdrop=backdrop), emit)
    plate = drawn.images[0]
    if branded and params.logo is not None:
        plate = draw_logo_wall(plate, context.open_image_with_alpha(params.logo))
    return plate, drawn.notices


def _measure_light_gains(params: Business, members: Sequence[TeamMember]) -> tuple[float, dict[int, float]]:
    """The level of the whites of the eyes, and per photo the factor on its light that leads there; none in Exact."""
    if params.light == "exact":
        return 0.0, {}
    read = {member.number: measure_eye_white(member.photo, member.face) for member in members}
    known = {number: white for number, white in read.items() if white is not None}
    middle = round(luminance_to_lightness(float(np.median([*known.values()] or [0.0]))), 1)
    level = params.brightness or middle
    target = lightness_to_luminance(level)
    skin = {member.number: measure_skin_lightness(member.photo, member.face) for member in members}
    return level, {number: exposure_gain(target, white, skin[number]) for number, white in known.items()}


def _applied_standard(params: Business, standard: TeamStandard, level: float) -> dict[str, float]:
    """What the team was brought to: in the receipt, so that who joins later is brought to the same."""
    found = {"head": round(100 * standard.head, 1), "eyes": round(100 * standard.eyes, 1)}
    return {**found, "brightness": level} if params.light == "relit" else found


def _compose_portrait(
    params: Business,
    context: ToolContext,
    member: TeamMember,
    placed: PlacedSubject,
    plate: Image,
    lights: dict[int, float],
) -> Image:
    return composite_subject(_match_light(params, member, placed, plate, lights), plate, seed=context.seed)


def _match_light(
    params: Business, member: TeamMember, placed: PlacedSubject, plate: Image, lights: dict[int, float]
) -> PlacedSubject:
    """In Relit: the scene's colour of light, and as much of it as the others have."""
    if params.light == "exact":
        return placed
    fitted = relight_subject(placed, plate, shift_lightness=False)
    return replace(placed, colour=brighten_portrait(fitted, lights.get(member.number, 1.0)))


# ---------------------------------------------------------------- sheets


@dataclass(frozen=True)
class Sheets:
    """What is laid out from the portraits, with words for file names."""

    images: tuple[Image, ...] = ()
    names: tuple[str, ...] = ()


def _make_sheets(
    params: Business,
    context: ToolContext,
    look: Look,
    members: Sequence[TeamMember],
    portraits: Sequence[Image],
    emit: ProgressCallback,
) -> tuple[Sheets, tuple[str, ...]]:
    layout = look.layout if params.layout == "auto" else params.layout
    labels = parse_labels(params.names, len(portraits))
    brand = Brand(
        form_fields.parse_rgb(params.colour),
        context.open_image_with_alpha(params.logo) if params.logo else None,
        params.company,
    )
    if layout == "group":
        image, reasons = _compose_group(params, context, look, members, emit)
        if image is not None:
            return Sheets((image,), ("group",)), ()
        why = ("No group picture: the team grid instead.", *reasons) if len(members) > 1 else ()
        return _lay_out_sheets("grid", portraits, labels, brand, context), why
    return _lay_out_sheets(layout, portraits, labels, brand, context), ()


def _lay_out_sheets(
    layout: str, portraits: Sequence[Image], labels: Sequence[Label], brand: Brand, context: ToolContext
) -> Sheets:  # fmt: skip
    if layout == "cards":
        width = 640 if context.draft else CARD_WIDTH_PX
        made = tuple(
            draw_speaker_card(image, label, brand, width) for image, label in zip(portraits, labels, strict=True)
        )
        return Sheets(made, tuple(f"card-{n + 1}{_file_name_suffix(label)}" for n, label in enumerate(labels)))
    named = any(label.name for label in labels)
    if layout == "portraits" or (layout == "grid" and len(portraits) == 1 and not named):
        return Sheets()
    width = 768 if context.draft else PAGE_WIDTH_PX
    page = layout == "page"
    return Sheets(
        (draw_sheet(portraits, labels, brand, width, headed=page),), ("company-page" if page else "team-grid",)
    )


def _compose_group(
    params: Business, context: ToolContext, look: Look, members: Sequence[TeamMember], emit: ProgressCallback
) -> tuple[Image | None, tuple[str, ...]]:
    row, reasons = plan_group(members, 768 if context.draft else PAGE_WIDTH_PX)
    if row is None:
        return None, reasons
    plate, said = _draw_backdrop(params, context, look, row.size, EYE_LINE_RATIO, emit)
    _, lights = _measure_light_gains(params, members)
    placed = place_members(row, members)
    lit = [_match_light(params, member, each, plate, lights) for member, each in zip(members, placed, strict=True)]
    return composite_group(lit, plate, seed=context.seed), said


def _file_names(params: Business, count: int) -> tuple[str, ...]:
    return tuple(f"{n + 1}{_file_name_suffix(label)}" for n, label in enumerate(parse_labels(params.names, count)))


def _file_name_suffix(label: Label) -> str:
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
