"""Lookbook: one photo in a season's scene, graded and laid out; with a model, drawn people who wear the garment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipelines.codecs.containers import encode_pdf
from pipelines.compositing.compose import composite_subject
from pipelines.compositing.head_restoration import move_face
from pipelines.compositing.light_estimation import estimate_key_side, with_photo_constraints
from pipelines.compositing.shadows import Shadow
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Face, Image, PlacedSubject, Side, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    DrawnWords,
    Subject,
    choice_field,
    number_field,
    picture_field,
    prompt_field,
    seed_field,
)
from pipelines.core.rendering import FONT_ASSET, Backdrop, Caption, EncodedFile, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.framings import size_for_ratio
from pipelines.framing.head_framing import find_torn_matte_row
from pipelines.framing.placement import find_bounds, find_cut_sides, frame_subject
from pipelines.framing.resample import composite_on_grey, place_subject
from pipelines.imaging.color import LUMINANCE_WEIGHTS, from_lab, to_lab
from pipelines.imaging.text import PixelBox, TextBlock, draw_text, fit_text, shade_and_choose_ink
from pipelines.models.families.scenes.keyword_search import is_place
from pipelines.quality.subject_checks import bears_face, count_people, is_face_missing
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.dressing import (
    DRESSED_PROMPT,
    GARMENT_GREY_LEVEL,
    GARMENT_LABELS,
    Garment,
    GarmentKind,
    dress_person,
    open_garment,
)
from pipelines.tools.shared.people_casting import POSES, choose_cast, draw_pose_map
from pipelines.tools.shared.scene_request import consecutive_seeds, scene_caption, scene_prompt, with_form_scene

PresetId = Literal[
    "clean-grey", "spring", "summer", "autumn", "winter", "street", "evening", "editorial-bw", "flat-lay", "cover",
]  # fmt: skip
RatioId = Literal["4:5", "2:3", "1:1", "9:16"]
PoseId = Literal["varied", "standing", "walking", "hand-on-hip", "arms-crossed", "turned", "seated"]
RgbOffset = tuple[float, float, float]
_NO_OFFSET: RgbOffset = (0.0, 0.0, 0.0)
NO_WEARER_MESSAGE = (
    "No face was found in this photo. Where the face is not seen, point at the person, or at the clothes; for clothes "
    "by themselves there is the look Flat Lay."
)
UPRIGHT_LOOK = "clean-grey"  # in place of Flat Lay, where a person is the subject
NO_FLAT_LAY_NOTICE = (
    "Flat Lay shows clothes by themselves from straight above. A person is in your photo: this is Clean Grey."
)
NO_FLAT_LAY_PAGE_NOTICE = (
    "Flat Lay shows clothes by themselves from straight above. A person is in your photo: the PDF leaves that look out."
)


@dataclass(frozen=True)
class Grade:
    """A colour grade: 8-bit offsets of shadows and lights per channel, contrast, saturation."""

    shadows: RgbOffset = _NO_OFFSET
    lights: RgbOffset = _NO_OFFSET
    contrast: float = 0.0
    saturation: float = 1.0


@dataclass(frozen=True)
class Season:
    """A preset: scene, prompt, grade (`green_rotation_degrees`: hue of the greens), flat lay or cover."""

    title: str
    scene_id: str
    words: str
    grade: Grade
    green_rotation_degrees: float = 0.0
    is_flat_lay: bool = False
    is_cover: bool = False


SEASONS: dict[str, Season] = {
    "clean-grey": Season("Clean Grey", "studio-grey", "seamless grey studio paper", Grade(contrast=0.06)),
    "spring": Season("Spring", "park", "park in spring, fresh green, soft light",
                     Grade((2, 5, 3), (4, 5, -3), -0.04, 1.08)),
    "summer": Season("Summer", "sky", "open landscape under a summer sky", Grade((5, 2, -3), (8, 4, -6), 0.06, 1.12)),
    "autumn": Season("Autumn", "autumn-wood", "autumn forest in warm light",
                     Grade((4, 0, -6), (10, 3, -10), 0.05, 0.96), green_rotation_degrees=58),
    "winter": Season("Winter", "winter-light", "pale winter morning", Grade((-4, 0, 7), (-3, 1, 6), 0.03, 0.80)),
    "street": Season("Street", "city", "city street in daylight", Grade((-3, 2, 6), (5, 1, -3), 0.10, 0.94)),
    "evening": Season("Evening", "night", "city lights in the evening", Grade((-3, -1, 6), (7, 1, -4), 0.10, 1.02)),
    "editorial-bw": Season("Editorial B&W", "studio-dark", "dark studio", Grade(contrast=0.22, saturation=0.0)),
    "flat-lay": Season("Flat Lay", "linen", "natural linen cloth seen from straight above", Grade(contrast=0.03),
                       is_flat_lay=True),
    "cover": Season("Cover", "studio-light", "light studio background", Grade((0, 0, 2), (3, 1, -2), 0.05),
                    is_cover=True),
}  # fmt: skip


class Fashion(Subject):
    """The form."""

    preset: PresetId = choice_field(
        "Look",
        "Scene, colours and layout in one.",
        "clean-grey",
        labels={key: row.title for key, row in SEASONS.items()},
        tiles=True,
    )
    title: DrawnWords = prompt_field(
        "Title", "On the cover, and under the other looks where there is one.", max_length=40, is_drawn=True
    )
    background: str = form_fields.scene_words_field(
        "Takes the place of the look's scene, for example: Venice, workshop, spotlight.", advanced=True
    )
    ratio: RatioId = choice_field("Shape", "Width to height.", "4:5")
    size: int = form_fields.size_field(1280)
    variations: int = form_fields.variations_field()
    pdf: Literal["none", "look", "book"] = choice_field(
        "PDF",
        "Pages to print or to send: this look, or every look there is with the cover first.",
        "none",
        advanced=True,
        labels={"none": "None", "look": "This look", "book": "All ten looks"},
    )
    pdf_colours: Literal["rgb", "cmyk"] = choice_field(
        "Colours of the PDF",
        "CMYK is for a print shop: offset on coated paper (FOGRA39).",
        "rgb",
        advanced=True,
        labels={"rgb": "RGB", "cmyk": "CMYK"},
    )
    garment_photo: str | None = picture_field(
        "Garment to wear",
        "A photo of it by itself, lying flat or on a hanger: a model draws it on the person; face and hair are laid "
        "back.",
        advanced=True,
        needs=("tryon", "edit"),
        needs_any=True,
    )
    garment_kind: GarmentKind = choice_field(
        "Kind of garment",
        "What it takes the place of.",
        "tops",
        labels=GARMENT_LABELS,
        advanced=True,
        needs=("tryon", "edit"),
        needs_any=True,
    )
    models: int = number_field(
        "On models",
        "So many drawn people wear it; 0: the photo as it is. Who they are is stated on the result, and "
        "read from no photo.",
        0,
        ge=0,
        le=4,
        needs=("edit", "control"),
        needs_any=True,
        advanced=False,
    )
    who: str = prompt_field(
        "Who wears it",
        "Empty: a cast balanced in gender, age, complexion and build.",
        max_length=160,
        advanced=True,
        needs=("edit", "control"),
        needs_any=True,
    )
    garment: str = prompt_field(
        "The garment in words",
        "Needed where the model follows poses and cannot wear what is in a photo.",
        max_length=160,
        advanced=True,
        needs=("edit", "control"),
        needs_any=True,
    )
    pose: PoseId = choice_field(
        "Pose",
        "Some models follow it exactly, others read it in words.",
        "varied",
        advanced=True,
        labels={"varied": "A different one each", **{key: row.title for key, row in POSES.items()}},
        needs=("edit", "control"),
        needs_any=True,
    )
    grading: int = number_field("Colour mood", "0: the colours as they are.", 100, ge=0, le=100, unit="%")
    backdrop: str | None = form_fields.backdrop_field()
    colour: str | None = form_fields.scene_colour_field()
    blur: float = form_fields.blur_field()
    model_words: str = form_fields.model_words_field()
    look: str = form_fields.look_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.consent_field()


@dataclass(frozen=True)
class LookPhoto:
    """What every look has in common: `garment` is to be worn; `shows_person`: no thing beside a face or with one."""

    photo: Image
    cutout: Cutout
    faces: tuple[Face, ...]
    light_side: Side
    shows_person: bool
    garment: Garment | None = None


def run(params: Fashion, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out, frame, set the season, grade, add the title; then the PDF. Or draw people in the garment."""
    photo = context.open_image(params.photo)
    cutout = context.cut_out_subject(params, emit)
    faces = context.detect_faces(params.photo)
    is_chosen = params.is_pointed or params.matte is not None or SEASONS[params.preset].is_flat_lay
    if not faces and not is_chosen and not params.models:
        raise BadInput(NO_WEARER_MESSAGE, code="no_face", param="photo")
    emit("Cutting out", 1, 1)
    if params.garment_photo is not None:
        _require_wearer(params, faces)
    if params.models and not context.draft:
        return _draw_garment_on_people(params, cutout, context, emit)
    garment = None
    if params.garment_photo is not None and not context.draft:
        garment = open_garment(context, params.garment_photo, params.garment_kind, emit)
    light_side = estimate_key_side(photo, faces[0]) if faces else "none"
    source = LookPhoto(photo, cutout, faces, light_side, _shows_person(params, cutout.alpha, faces), garment)
    upright = _choose_look(params, source)
    images, placed, look_notices = _draw_look(upright, source, context, emit)
    return ToolOutput(
        images=images,
        source=placed,
        assets=(FONT_ASSET,) if params.title else (),
        alphas=(placed.alpha,) if garment is None else (),
        notices=(
            *cutout.notices,
            *count_people(faces, params.pick),
            *placed.frame.notices,
            *look_notices,
            *_flat_lay_notices(params, source, context),
        ),
        exact=False,
        resolved_params={} if upright is params else {"preset": upright.preset},
        extras=_make_pdf(upright, images, source, context, emit),
        draft_part="first" if context.draft and params.variations > 1 else None,
    )


def _shows_person(params: Fashion, alpha: Alpha, faces: tuple[Face, ...]) -> bool:
    if params.pick >= len(faces):
        return False
    face = faces[params.pick]
    return not is_face_missing(alpha, face) and not bears_face(alpha, face)


def _choose_look(params: Fashion, source: LookPhoto) -> Fashion:
    """Return the form with `UPRIGHT_LOOK` in place of Flat Lay, where a person is to be seen."""
    if not SEASONS[params.preset].is_flat_lay or not source.shows_person:
        return params
    return params.model_copy(update={"preset": UPRIGHT_LOOK})


def _flat_lay_notices(params: Fashion, source: LookPhoto, context: ToolContext) -> tuple[str, ...]:
    """Say that a person is in no flat lay, where one was asked for: as the look, or in the book."""
    if not source.shows_person:
        return ()
    has_book = params.pdf == "book" and not context.draft
    look = (NO_FLAT_LAY_NOTICE,) if SEASONS[params.preset].is_flat_lay else ()
    return (*look, NO_FLAT_LAY_PAGE_NOTICE) if has_book else look


def _require_wearer(params: Fashion, faces: tuple[Face, ...]) -> None:
    if params.models:
        raise BadInput(
            "'On models' draws people who wear what is in your photo; 'Garment to wear' dresses the person of your "
            "photo. Choose one of them.",
            param="models",
        )
    if not faces and not params.is_pointed and params.matte is None:
        raise BadInput(NO_WEARER_MESSAGE, code="no_face", param="photo")


def _draw_look(
    params: Fashion, source: LookPhoto, context: ToolContext, emit: ProgressCallback
) -> tuple[tuple[Image, ...], PlacedSubject, tuple[str, ...]]:
    """Draw one look: its pictures, the placed subject, and the notices of its scenes and of what its person wears."""
    season = SEASONS[params.preset]
    alpha, is_flat_lay = source.cutout.alpha, season.is_flat_lay
    is_person = bool(source.faces) and not is_flat_lay
    side = form_fields.DRAFT_SIDE_PX if context.draft else params.size
    size = size_for_ratio(form_fields.ASPECT_RATIOS[params.ratio], side)
    anchor, fill = ("centre", 0.86) if is_flat_lay else ("floor", 1.08)
    has_body = is_person and params.pick < len(source.faces)
    end = find_torn_matte_row(alpha, source.faces[params.pick]) if has_body else None
    floor = 1.0 if end is not None or "bottom" in find_cut_sides(alpha) else 0.94
    frame = frame_subject(alpha, size, fill, params, anchor=anchor, floor=floor, body_end=end, limit_to_frame=False)
    placed = place_subject(source.photo, source.cutout, frame)
    scenes = context.draw(_make_scene_request(params, context, season, placed, source), emit)

    shadow = _choose_shadow(alpha, is_flat_lay=is_flat_lay, is_person=is_person)
    images: list[Image] = []
    notices = list(scenes.notices)
    for n, plate in enumerate(scenes.images):
        if season.green_rotation_degrees and not params.background:
            plate = shift_green_hues(plate, season.green_rotation_degrees)
        image = composite_subject(placed, plate, seed=context.seed + n, key_side=source.light_side, shadow=shadow)
        if source.garment is not None:
            face = move_face(source.faces[params.pick], frame.matrix) if params.pick < len(source.faces) else None
            seed = context.seed + n
            dressed = dress_person(context, source.garment, image, placed.alpha, face, seed, emit)
            image = dressed.images[0]
            notices += dressed.notices
        image = apply_grade(image, season.grade, params.grading / 100)
        _draw_title(image, params, season, placed.alpha)
        images.append(image)
        emit("Composing", n + 1, len(scenes.images), image)
    if source.garment is not None and params.grading:
        notices.append("The comparison of skin includes the look's colours.")
    return tuple(images), placed, tuple(dict.fromkeys(notices))


def _make_pdf(
    params: Fashion, images: tuple[Image, ...], source: LookPhoto, context: ToolContext, emit: ProgressCallback
) -> tuple[EncodedFile, ...]:
    """Make one PDF: of the look's pictures, or of the cover and then every other look."""
    if params.pdf == "none" or context.draft:
        return ()
    if params.pdf == "book":
        shown = [name for name, row in SEASONS.items() if not (row.is_flat_lay and source.shows_person)]
        names = ["cover", *(name for name in shown if name != "cover")]
        looks = [params.model_copy(update={"preset": name, "variations": 1}) for name in names]
        images = tuple(_draw_look(look, source, context, emit)[0][0] for look in looks)
    return _bind_pages(params, images)


def _bind_pages(params: Fashion, images: tuple[Image, ...]) -> tuple[EncodedFile, ...]:
    if params.pdf == "none":
        return ()
    name = "lookbook" if params.pdf == "book" else params.preset
    data = encode_pdf(images, params.title or "Lookbook", cmyk_from="srgb" if params.pdf_colours == "cmyk" else None)
    return (EncodedFile("result", "pdf", data, images, name),)


def _draw_garment_on_people(
    params: Fashion, cutout: Cutout, context: ToolContext, emit: ProgressCallback
) -> ToolOutput:
    """Let a model draw people in the garment, one picture each; the notices say who was asked for."""
    sees_garment = context.has_verb("edit")
    if not sees_garment and not params.garment:
        raise BadInput(
            "This model follows poses and cannot wear what a photo shows: say the garment in words.", param="garment"
        )
    season, size = SEASONS[params.preset], size_for_ratio(form_fields.ASPECT_RATIOS[params.ratio], params.size)
    people = [person.words for person in choose_cast(params.models, context.seed)]
    people = [params.who] * params.models if params.who else people
    garment = composite_on_grey(cutout.colour, cutout.alpha, GARMENT_GREY_LEVEL)
    images: list[Image] = []
    for n, person in enumerate(people):
        drawn = context.draw(_model_render(params, context, season, size, person, n, garment), emit)
        image = apply_grade(drawn.images[0], season.grade, params.grading / 100)
        _draw_title(image, params, season, np.zeros(image.shape[:2], np.float32))
        images.append(image)
        emit("Dressing", n + 1, len(people), image)
    cast = "; ".join(f"{n}: {person}" for n, person in enumerate(people, 1))
    from_photo = "The garment was drawn after your photo: compare cut, pattern and colour before you publish."
    origin = from_photo if sees_garment else "The garment was drawn from your words."
    return ToolOutput(
        images=tuple(images),
        notices=(*cutout.notices, f"The people are drawn and were asked for as {cast}.", origin),
        exact=False,
        extras=_bind_pages(params, tuple(images)),
        names=tuple(f"model-{n}" for n in range(1, len(images) + 1)),
        archive_name="models" if len(images) > 1 else "",
    )


def _model_render(
    params: Fashion, context: ToolContext, season: Season, size: Size, person: str, n: int, garment: Image
) -> RenderRequest:
    """Ask for one person: by the photo where the model takes one, by a pose map where it follows one."""
    poses = tuple(POSES.values())
    pose = poses[(context.seed + n) % len(poses)] if params.pose == "varied" else POSES[params.pose]
    place, seeds = params.background or season.words, (context.seed + n,)
    words = f"Fashion photograph of {person}, whole figure, {pose.words}, {place}. {DRESSED_PROMPT}"
    if context.has_verb("edit"):
        words += f" Wearing exactly the garment of the picture{': ' + params.garment if params.garment else ''}."
        return RenderRequest("edit", words, size, seeds, images=(garment,), recomposes=True)
    words += f" Wearing {params.garment}."
    return RenderRequest("control", words, size, seeds, control=draw_pose_map(pose, size), control_kind="pose")


def _choose_shadow(alpha: Alpha, *, is_flat_lay: bool, is_person: bool) -> Shadow | None:
    if is_flat_lay:
        return replace(Shadow(), squash=1.0, tilt=0.0, contact=0.4)
    return None if is_person or "bottom" in find_cut_sides(alpha) else Shadow()


def _make_scene_request(
    params: Fashion, context: ToolContext, season: Season, placed: PlacedSubject, source: LookPhoto
) -> RenderRequest:
    _, top, _, bottom = find_bounds(placed.alpha)
    height, is_person = placed.frame.size[1], bool(source.faces) and not season.is_flat_lay
    colour = form_fields.parse_rgb(params.colour)
    constraints = Backdrop(
        horizon_ratio=(top + 0.18 * (bottom - top)) / height,
        floor_ratio=bottom / height if not is_person else None,
        key_light_side=source.light_side,
        seen_from="above" if season.is_flat_lay else "front",
        subject="person" if is_person else "product",
    )
    backdrop = with_form_scene(constraints, params, context, params.background, season.scene_id, colour)
    return RenderRequest(
        verb="backdrop",
        prompt=scene_prompt(params, params.background, season.words),
        size=placed.frame.size,
        seeds=consecutive_seeds(context, 1 if context.draft else params.variations),
        backdrop=with_photo_constraints(backdrop, source.photo, placed),
        caption=_scene_caption(params),
        model_words=params.model_words if params.pdf != "book" else "",
    )


def _scene_caption(params: Fashion) -> Caption:
    season = SEASONS[params.preset]
    return scene_caption(params, params.background, season.words, "product" if season.is_flat_lay else "portrait")


def shift_green_hues(plate: Image, degrees: float) -> Image:
    """Rotate greens towards red by `degrees` of hue in CIELAB, yellows and neutrals less and less."""
    lab = to_lab(plate)
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    angle = np.radians(-degrees * np.clip((hue - 70) / 35, 0, 1) * (hue < 190))
    chroma = np.hypot(lab[..., 1], lab[..., 2]) * 1.15
    lab[..., 1] = chroma * np.cos(np.radians(hue) + angle)
    lab[..., 2] = chroma * np.sin(np.radians(hue) + angle)
    return from_lab(lab)


def apply_grade(image: Image, grade: Grade, strength: float) -> Image:
    """Grade the whole picture by `strength`, 0 to 1; black stays near black and white near white."""
    values = image.astype(np.float32)
    light = (values @ LUMINANCE_WEIGHTS)[..., None]
    values = light + (values - light) * np.float32(1 + strength * (grade.saturation - 1))
    tone = np.clip(light / 255, 0, 1)
    # Each tint is strongest a quarter of the range in from its end, so that white paper and black ink stay neutral.
    shadow_weight = np.sin(np.pi * np.clip(tone * 1.4, 0, 1))
    light_weight = np.sin(np.pi * np.clip((tone - 0.3) / 0.7, 0, 1))
    tint = shadow_weight * np.array(grade.shadows) + light_weight * np.array(grade.lights)
    values += np.float32(strength) * tint.astype(np.float32)
    contrast_curve = 255 * np.float32(grade.contrast * strength / 2) * np.sin(2 * np.pi * (tone - 0.5))
    return np.clip(values + contrast_curve + 0.5, 0, 255).astype(np.uint8)


def _draw_title(image: Image, params: Fashion, season: Season, alpha: Alpha) -> None:
    """Draw the title: a masthead behind the subject on a cover, else a line at the foot. Changes `image`."""
    if not params.title:
        return
    height, width = image.shape[:2]
    edge = round(0.05 * width)
    if not season.is_cover:
        box = PixelBox(edge, height - edge - round(0.06 * height), width - 2 * edge, round(0.06 * height))
        _write_legible(image, fit_text(params.title, box.width, box.height, round(0.045 * height), "Regular"), box)
        return
    box = PixelBox(edge, edge, width - 2 * edge, round(0.26 * height))
    text = fit_text(params.title.upper(), box.width, box.height, round(0.40 * height))
    untitled, weight = image.copy(), np.clip(alpha, 0, 1)[..., None]
    _write_legible(image, text, PixelBox(box.x, box.y, box.width, min(box.height, text.height)))
    image[...] = np.asarray(image + weight * (untitled.astype(np.float32) - image) + 0.5, np.uint8)


def _write_legible(image: Image, text: TextBlock, box: PixelBox) -> None:
    draw_text(image, text, box, shade_and_choose_ink(image, box), "centre")


TOOL = Tool(
    id="fashion",
    title="Fashion Photos",
    summary="Your photo in a season's light and colours, laid out. Changing clothes needs a graphics card.",
    params=Fashion,
    run=run,
    strengths=("Lifestyle imagery", "Seasonal themes", "High-fashion looks", "Brand alignment", "Cover layout", "PDF"),
    limits=(
        "Without a graphics card it dresses nobody: the clothes are the photo's",
        "Garment to wear: no trained model was seen drawing it yet",
    ),
    model_strengths=(("Model variety", "edit"), ("Poses", "control"), ("Dresses people", "tryon")),
    person=True,
    examples=("astronaut", "hopper"),
    caption=_scene_caption,
    place_looks=tuple(key for key, season in SEASONS.items() if is_place(season.scene_id)),
)
