"""Business Photos: a team from single portraits with one crop, eye line and backdrop, and sheets of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipelines.compositing.compose import composite_subject
from pipelines.compositing.group_photo import EYE_LINE_RATIO, composite_group, place_members, plan_group
from pipelines.compositing.relighting import relight_subject
from pipelines.compositing.team_matching import (
    HIGHLIGHT_KNEE,
    TeamMember,
    TeamStandard,
    exposure_gain,
    find_team_standard,
    frame_member,
    light_side_notice,
    measure_eye_white,
    measure_skin_lightness,
)
from pipelines.compositing.team_pages import (
    Brand,
    Label,
    draw_logo_wall,
    draw_sheet,
    draw_speaker_card,
    parse_name_labels,
)
from pipelines.core.errors import BadInput, PolicyRefusal, name_listed_photo
from pipelines.core.geometry import Image, PlacedSubject, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    DrawnWords,
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
from pipelines.core.rendering import FONT_ASSET, Backdrop, Caption, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.framings import get_framing, size_for_ratio
from pipelines.framing.resample import composite_on_grey, place_subject
from pipelines.imaging.color import lift_exposure, lightness_to_luminance, luminance_to_lightness
from pipelines.models.families.scenes.keyword_search import is_place
from pipelines.quality.softness import describe_softness
from pipelines.quality.subject_checks import NO_FACE_MESSAGE, check_face
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.scene_request import scene_caption, scene_prompt, with_form_scene

PresetId = Literal[
    "team-grid", "company-page", "speaker-card", "press-kit", "lobby", "hall", "lab", "remote", "brand-wall",
]  # fmt: skip
LayoutId = Literal["auto", "portraits", "grid", "page", "cards", "group"]
SettingId = Literal[
    "auto", "studio-light", "studio-grey", "studio-dark", "studio-white", "lobby", "hall", "lab", "apartment",
    "bridge", "city", "workshop", "warehouse", "park",
]  # fmt: skip
FramingId = Literal["classic", "tight", "wide"]
ONE_PORTRAIT_NOTICE = "One photo is one portrait. Add more photos, or a name, for the team grid."
PAGE_WIDTH_PX = 1600
CARD_WIDTH_PX = 1200
_DRAFT_PAGE_WIDTH_PX = 768
_DRAFT_CARD_WIDTH_PX = 640
_DRAFT_SIDE_PX = 384


@dataclass(frozen=True)
class Look:
    """A preset: a setting, a prompt for a model that draws, and the layout of the portraits."""

    title: str
    scene_id: str
    words: str
    layout: str = "grid"
    is_brand_wall: bool = False


LOOKS: dict[str, Look] = {
    "team-grid": Look("Team Grid", "studio-light", "soft light grey studio background"),
    "company-page": Look("Company Page", "studio-grey", "seamless mid grey studio paper", "page"),
    "speaker-card": Look(
        "Speaker Card", "studio-dark", "dark charcoal studio background, a soft spot of light", "cards"
    ),
    "press-kit": Look("Press Kit", "studio-white", "clean white studio background", "grid"),
    "lobby": Look("Lobby", "lobby", "bright modern office lobby, out of focus"),
    "hall": Look("Hall", "hall", "conference hall, out of focus"),
    "lab": Look("Lab", "lab", "laboratory, out of focus"),
    "remote": Look("Remote", "apartment", "tidy apartment in daylight, out of focus"),
    "brand-wall": Look("Brand Wall", "studio-colour", "wall in one colour", is_brand_wall=True),
}
BRAND_WALL_COLOUR = (28, 64, 104)
_SETTING_LABELS = {
    "auto": "Auto", "studio-light": "Light grey", "studio-grey": "Grey", "studio-dark": "Dark",
    "studio-white": "White", "lobby": "Lobby", "hall": "Hall", "lab": "Lab", "apartment": "Apartment",
    "bridge": "Glass bridge", "city": "City", "workshop": "Workshop", "warehouse": "Warehouse", "park": "Park",
}  # fmt: skip


class Business(Params):
    """The form."""

    photos: tuple[str, ...] = pictures_field(
        "Photos", "One portrait a person, in the order of the names.", max_count=12
    )
    preset: PresetId = choice_field(
        "Look",
        "Setting and layout in one.",
        "team-grid",
        labels={key: look.title for key, look in LOOKS.items()},
        tiles=True,
    )
    names: DrawnWords = prompt_field(
        "Names", "One line a person: name, role. In the photos' order.", max_length=1200, is_drawn=True
    )
    company: DrawnWords = prompt_field(
        "Company", "Heads the page, or stands on the card. Empty: no head.", max_length=60, is_drawn=True
    )
    logo: str | None = picture_field("Logo", "Best with a transparent background.")
    colour: str | None = colour_field("Company colour", "Head of the page, ground of the card, the brand wall.")
    layout: LayoutId = choice_field(
        "Layout",
        "Beside one picture per person. Auto: as in the look.",
        "auto",
        advanced=True,
        labels={
            "auto": "Auto",
            "portraits": "Portraits only",
            "grid": "Team grid",
            "page": "Company page",
            "cards": "Speaker cards",
            "group": "One group picture",
        },
    )
    setting: SettingId = choice_field(
        "Setting", "Where everybody stands. Auto: as in the look.", "auto", labels=_SETTING_LABELS, advanced=True
    )
    background: str = form_fields.scene_words_field(
        "Takes the place of the setting, for example: workshop, forest, night.", advanced=True
    )
    framing: FramingId = choice_field(
        "Framing",
        "How much of each person is seen.",
        "classic",
        advanced=True,
        labels={"classic": "Classic 4:5", "tight": "Tight 1:1", "wide": "Wide 3:2"},
    )
    size: int = form_fields.size_field()
    head: float = number_field(
        "Head height",
        "Share of the picture's height; 0: the framing's, or closer where a photo ends. The receipt (How it was "
        "made) says what it was, so that a colleague who joins later looks the same.",
        0.0,
        ge=0,
        le=75,
        step=0.1,
        unit="%",
    )
    eyes: float = number_field("Eye line", "From the top; 0: the framing's.", 0.0, ge=0, le=60, step=0.1, unit="%")
    brightness: float = number_field(
        "Light level",
        "Relit: lightness of the whites of the eyes; 0: the team's middle. The receipt (How it was made) says it.",
        0.0,
        ge=0,
        le=100,
        step=0.1,
    )
    backdrop: str | None = form_fields.backdrop_field()
    blur: float = form_fields.blur_field()
    model_words: str = form_fields.model_words_field()
    light: form_fields.Light = form_fields.subject_light_field()
    look: str = form_fields.look_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.consent_field(is_of_several=True)


def run(params: Business, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out everybody, find one framing for all, draw the backdrop once, compose, lay out the sheets."""
    members, notices = _read_members(params, context, emit)
    size = size_for_ratio(get_framing(params.framing).ratio, _DRAFT_SIDE_PX if context.draft else params.size)
    standard = _choose_standard(params, members, size)
    placed = [_place_member(member, standard, params, size) for member in members]
    notices += [notice for each in placed for notice in each.frame.notices]

    look = LOOKS[params.preset]
    plate, plate_notices = _draw_backdrop(params, context, look, size, standard.eyes, emit)
    light_level, gains = _measure_light_gains(params, members)
    portraits: list[Image] = []
    for member, each in zip(members, placed, strict=True):
        lit = _match_light(params, member, each, plate, gains)
        portraits.append(composite_subject(lit, plate, seed=context.seed))
        emit("Composing", len(portraits), len(members), portraits[-1])

    # What all portraits have in common: the receipt keeps it for a colleague who joins later.
    applied = {"head": round(100 * standard.head, 1), "eyes": round(100 * standard.eyes, 1)}
    applied |= {"brightness": light_level} if params.light == "relit" else {}
    sheets, sheet_notices = _make_sheets(params, context, look, members, portraits, emit)
    notices += [*plate_notices, *sheet_notices, light_side_notice(members)]
    images = (*sheets.images, *portraits)
    sources = (*(None for _ in sheets.images), *zip(params.photos, placed, strict=True))
    labels = parse_name_labels(params.names, len(portraits))
    names = (*sheets.names, *(f"{n}{_file_name_suffix(label)}" for n, label in enumerate(labels, 1)))
    return ToolOutput(
        images=images[:1] if context.draft else images,
        notices=tuple(dict.fromkeys(notice for notice in notices if notice)),
        exact=params.light == "exact",
        sources=sources[:1] if context.draft else sources,
        resolved_params=applied,
        names=names[:1] if context.draft else names,
        assets=(FONT_ASSET,) if params.names or params.company else (),
        archive_name="team" if len(images) > 1 and not context.draft else "",
        draft_part="first" if len(images) > 1 and context.draft else None,
    )


def _read_members(params: Business, context: ToolContext, emit: ProgressCallback) -> tuple[list[TeamMember], list[str]]:
    """Open, search and cut out every photo. Raises what is wrong with one, its number in the sentence.

    Faces are looked for in all of them before the first is cut out: photos without one are told together.
    """
    _require_faces(params.photos, context)
    members: list[TeamMember] = []
    notices: list[str] = []
    for n, file_id in enumerate(params.photos, 1):
        try:
            member, told = _read_member(n, file_id, context, emit)
        except (BadInput, PolicyRefusal) as error:
            raise name_listed_photo(error, n, "photos") from error
        members.append(member)
        notices += told
        cutout = member.cutout
        emit("Cutting out", n, len(params.photos), lambda cutout=cutout: composite_on_grey(cutout.colour, cutout.alpha))
    return members, notices


def _require_faces(file_ids: Sequence[str], context: ToolContext) -> None:
    """Raise `BadInput` with the numbers, from 1, of all photos in which no face is found.

    A photo that may not be shown or read is told first, by its own error.
    """
    for n, file_id in enumerate(file_ids, 1):
        try:
            context.open_image(file_id)
        except (BadInput, PolicyRefusal) as error:
            raise name_listed_photo(error, n, "photos") from error
    numbers = [n for n, file_id in enumerate(file_ids, 1) if len(context.detect_faces(file_id)) == 0]
    if numbers:
        error = BadInput(NO_FACE_MESSAGE, code="no_face", param="photo")
        raise name_listed_photo(error, ", ".join(map(str, numbers)), "photos")


def _read_member(n: int, file_id: str, context: ToolContext, emit: ProgressCallback) -> tuple[TeamMember, list[str]]:
    """Read photo `n`: the largest face, which must be one for a portrait, and the cut-out; with the notices."""
    photo = context.open_image(file_id)
    faces = context.detect_faces(file_id)
    check_face(faces[0], photo)
    cutout = context.cut_out_subject(Subject(photo=file_id), emit)
    several = [f"Photo {n} shows {len(faces)} faces; the largest was taken."] if len(faces) > 1 else []
    notices = [*several, *(f"Photo {n}: {note[0].lower()}{note[1:]}" for note in cutout.notices)]
    return TeamMember(n, file_id, photo, cutout, faces[0]), notices


def _choose_standard(params: Business, members: Sequence[TeamMember], size: Size) -> TeamStandard:
    """Choose head height and eye line: what the form states, else what suits everybody."""
    framing = get_framing(params.framing)
    framing = replace(framing, eyes=params.eyes / 100) if params.eyes else framing
    return TeamStandard(params.head / 100, framing.eyes) if params.head else find_team_standard(members, framing, size)


def _place_member(member: TeamMember, standard: TeamStandard, params: Business, size: Size) -> PlacedSubject:
    frame = frame_member(member, standard, get_framing(params.framing), size)
    frame = describe_softness(frame, member.photo, member.face.box, params.size)
    return place_subject(member.photo, member.cutout, frame)


def _draw_backdrop(
    params: Business, context: ToolContext, look: Look, size: Size, eyes: float, emit: ProgressCallback
) -> tuple[Image, tuple[str, ...]]:
    """Draw one backdrop for all, from the form alone, so that a colleague who joins later gets the same."""
    is_brand_wall = _is_brand_wall(params)
    colour = (form_fields.parse_rgb(params.colour) or BRAND_WALL_COLOUR) if is_brand_wall else None
    scene_id = look.scene_id if params.setting == "auto" else params.setting
    constraints = Backdrop(horizon_ratio=eyes, subject="person")
    backdrop = with_form_scene(constraints, params, context, params.background, scene_id, colour)
    words = scene_prompt(params, params.background, _place_words(params))
    render = RenderRequest(
        "backdrop",
        words,
        size,
        (context.seed,),
        backdrop=backdrop,
        caption=_scene_caption(params),
        model_words=params.model_words,
    )
    drawn = context.draw(render, emit)
    plate = drawn.images[0]
    if is_brand_wall and params.logo is not None:
        plate = draw_logo_wall(plate, context.open_image_with_alpha(params.logo))
    return plate, drawn.notices


def _place_words(params: Business) -> str:
    if params.setting == "auto":
        return LOOKS[params.preset].words
    label = _SETTING_LABELS[params.setting].lower()
    return f"{label} studio background" if params.setting.startswith("studio-") else f"{label}, out of focus"


def _scene_caption(params: Business) -> Caption:
    caption = scene_caption(params, params.background, _place_words(params), "portrait")
    return caption if _is_brand_wall(params) else replace(caption, colour="")


def _is_brand_wall(params: Business) -> bool:
    has_own_scene = params.setting != "auto" or params.background or params.backdrop
    return LOOKS[params.preset].is_brand_wall and not has_own_scene


def _measure_light_gains(params: Business, members: Sequence[TeamMember]) -> tuple[float, dict[int, float]]:
    """Find the team's light level (L* of the whites of the eyes) and each photo's gain to it; none in Exact."""
    if params.light == "exact":
        return 0.0, {}
    measured = {member.number: measure_eye_white(member.photo, member.face) for member in members}
    eye_whites = {number: white for number, white in measured.items() if white is not None}
    median = round(luminance_to_lightness(float(np.median([*eye_whites.values()] or [0.0]))), 1)
    level = params.brightness or median
    target = lightness_to_luminance(level)
    skin = {member.number: measure_skin_lightness(member.photo, member.face) for member in members}
    return level, {number: exposure_gain(target, white, skin[number]) for number, white in eye_whites.items()}


def _match_light(
    params: Business, member: TeamMember, placed: PlacedSubject, plate: Image, gains: dict[int, float]
) -> PlacedSubject:
    """Relit: fit the subject to the colour of the scene's light, and to the team's light level."""
    if params.light == "exact":
        return placed
    relit = relight_subject(placed, plate, shift_lightness=False)
    return replace(placed, colour=lift_exposure(relit, gains.get(member.number, 1.0), HIGHLIGHT_KNEE))


@dataclass(frozen=True)
class Sheets:
    """Pages of portraits, with words for their file names."""

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
    labels = parse_name_labels(params.names, len(portraits))
    logo = context.open_image_with_alpha(params.logo) if params.logo else None
    brand = Brand(form_fields.parse_rgb(params.colour), logo, params.company)
    if layout == "group":
        image, reasons = _compose_group(params, context, look, members, emit)
        if image is not None:
            return Sheets((image,), ("group",)), ()
        notices = ("No group picture: the team grid instead.", *reasons) if len(members) > 1 else ()
        layout = "grid"
    else:
        notices = ()
    sheets = _lay_out_sheets(layout, portraits, labels, brand, context)
    return sheets, notices if sheets.images or layout == "portraits" else (*notices, ONE_PORTRAIT_NOTICE)


def _lay_out_sheets(
    layout: str, portraits: Sequence[Image], labels: Sequence[Label], brand: Brand, context: ToolContext
) -> Sheets:
    if layout == "cards":
        width = _DRAFT_CARD_WIDTH_PX if context.draft else CARD_WIDTH_PX
        cards = (draw_speaker_card(image, label, brand, width) for image, label in zip(portraits, labels, strict=True))
        return Sheets(tuple(cards), tuple(f"card-{n}{_file_name_suffix(label)}" for n, label in enumerate(labels, 1)))
    has_names = any(label.name for label in labels)
    if layout == "portraits" or (layout == "grid" and len(portraits) == 1 and not has_names):
        return Sheets()
    width = _DRAFT_PAGE_WIDTH_PX if context.draft else PAGE_WIDTH_PX
    is_page = layout == "page"
    has_head = is_page and bool(brand.title or brand.colour or brand.logo is not None)
    sheet = draw_sheet(portraits, labels, brand, width, headed=has_head)
    return Sheets((sheet,), ("company-page" if is_page else "team-grid",))


def _compose_group(
    params: Business, context: ToolContext, look: Look, members: Sequence[TeamMember], emit: ProgressCallback
) -> tuple[Image | None, tuple[str, ...]]:
    """Compose one group picture and its notices; None with the reasons where the photos do not go together."""
    row, reasons = plan_group(members, _DRAFT_PAGE_WIDTH_PX if context.draft else PAGE_WIDTH_PX)
    if row is None:
        return None, reasons
    plate, notices = _draw_backdrop(params, context, look, row.size, EYE_LINE_RATIO, emit)
    _, gains = _measure_light_gains(params, members)
    placed = place_members(row, members)
    lit = [_match_light(params, member, each, plate, gains) for member, each in zip(members, placed, strict=True)]
    return composite_group(lit, plate, seed=context.seed), notices


def _file_name_suffix(label: Label) -> str:
    """Make a suffix such as `-grace-hopper`: only letters, digits and hyphens, which every file system takes."""
    word = re.sub(r"[^a-z0-9]+", "-", label.name.lower()).strip("-")[:40]
    return f"-{word}" if word else ""


TOOL = Tool(
    id="business",
    title="Business Photos",
    summary="A team from single portraits: one crop, one eye line, one backdrop; grid, company page or speaker cards.",
    params=Business,
    run=run,
    strengths=("Professional settings", "Corporate style", "Team photos", "Office environments", "Brand consistency"),
    limits=("A group picture only where the photos' cameras and light agree", "Other clothes need a graphics card"),
    person=True,
    examples=("astronaut", "hopper"),
    caption=_scene_caption,
    place_looks=tuple(key for key, look in LOOKS.items() if is_place(look.scene_id)),
)
