"""Lookbook: one photo in a season's scene, graded and laid out, dressing nobody; with a model, people who wear it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from pipelines.codecs.containers import encode_pdf
from pipelines.compositing.compose import composite_subject
from pipelines.compositing.light_estimation import estimate_key_side, with_photo_constraints
from pipelines.compositing.shadows import Shadow
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Face, Image, PlacedSubject, Side, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject, choice_field, number_field, prompt_field, seed_field
from pipelines.core.rendering import Backdrop, EncodedFile, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.framings import size_for_ratio
from pipelines.framing.head_framing import find_body_end
from pipelines.framing.placement import find_bounds, find_cut_sides, frame_subject
from pipelines.framing.resample import place_subject
from pipelines.imaging.text import Box, TextBlock, draw_text, fit_text, shade_for_text
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.model_casting import POSES, choose_cast, draw_pose_map

PresetId = Literal[
    "clean-grey", "spring", "summer", "autumn", "winter", "street", "evening", "editorial-bw", "flat-lay", "cover",
]  # fmt: skip
RatioId = Literal["4:5", "2:3", "1:1", "9:16"]
PoseId = Literal["varied", "standing", "walking", "hand-on-hip", "arms-crossed", "turned", "seated"]
RATIOS: dict[str, tuple[int, int]] = {"4:5": (4, 5), "2:3": (2, 3), "1:1": (1, 1), "9:16": (9, 16)}
RgbOffset = tuple[float, float, float]
_NO_OFFSET: RgbOffset = (0.0, 0.0, 0.0)
# Whatever a model is asked to draw on a person, this is asked with it.
DRESSED_PROMPT = "An adult, fully clothed."


@dataclass(frozen=True)
class Grade:
    """A look of the whole picture: steps of 8 bit added to shadows and to lights per channel, contrast, saturation."""

    shadows: RgbOffset = _NO_OFFSET
    lights: RgbOffset = _NO_OFFSET
    contrast: float = 0.0
    saturation: float = 1.0


@dataclass(frozen=True)
class Season:
    """A preset: a built-in scene, words for a model that draws, a grade, and whether it lies flat or is a cover.

    `turned` turns the scene's greens by so many degrees of hue: the same wood in another month.
    """

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
    "autumn": Season("Autumn", "forest", "autumn forest in warm light", Grade((4, 0, -6), (10, 3, -10), 0.05, 0.96),
                     green_rotation_degrees=58),
    "winter": Season("Winter", "dawn", "pale winter morning", Grade((-4, 0, 7), (-3, 1, 6), 0.03, 0.80)),
    "street": Season("Street", "city", "city street in daylight", Grade((-3, 2, 6), (5, 1, -3), 0.10, 0.94)),
    "evening": Season("Evening", "night", "city lights in the evening", Grade((-3, -1, 6), (7, 1, -4), 0.10, 1.02)),
    "editorial-bw": Season("Editorial B&W", "studio-dark", "dark studio", Grade(contrast=0.22, saturation=0.0)),
    "flat-lay": Season("Flat Lay", "linen", "natural linen cloth from above", Grade(contrast=0.03), is_flat_lay=True),
    "cover": Season("Cover", "studio-light", "light studio background", Grade((0, 0, 2), (3, 1, -2), 0.05), is_cover=True),
}  # fmt: skip


class Fashion(Subject):
    """The form."""

    preset: PresetId = choice_field(
        "Look", "Scene, grading and layout in one.", "clean-grey",
        labels={key: row.title for key, row in SEASONS.items()}, tiles=True,
    )  # fmt: skip
    title: str = prompt_field("Title", "On the cover, and under the other looks where there is one.", max_length=40)
    background: str = form_fields.scene_words_field(
        "Takes the place of the look's scene, for example: Venice, workshop, spotlight.", more=True
    )
    ratio: RatioId = choice_field("Shape", "Width to height.", "4:5")
    size: int = form_fields.size_field(1280)
    variations: int = form_fields.variations_field()
    pdf: Literal["none", "look", "book"] = choice_field(
        "PDF", "Pages to print or to send: this look, or every look there is with the cover first.", "none", advanced=True,
        labels={"none": "None", "look": "This look", "book": "All ten looks"},
    )  # fmt: skip
    models: int = number_field(
        "On models", "So many drawn people wear it; 0: the photo as it is. Who they are is stated on the result, and "
        "read from no photo.", 0, ge=0, le=4, needs=("edit", "control"), needs_any=True, advanced=False,
    )  # fmt: skip
    who: str = prompt_field(
        "Who wears it", "Empty: a cast balanced in gender, age, complexion and build.", max_length=160, advanced=True,
        needs=("edit", "control"), needs_any=True,
    )  # fmt: skip
    garment: str = prompt_field(
        "The garment in words", "Needed where the model follows poses and cannot wear what is in a photo.",
        max_length=160, advanced=True, needs=("edit", "control"), needs_any=True,
    )  # fmt: skip
    pose: PoseId = choice_field(
        "Pose", "Followed as a map by a control model, told in words to others.", "varied", advanced=True,
        labels={"varied": "A different one each", **{key: row.title for key, row in POSES.items()}},
        needs=("edit", "control"), needs_any=True,
    )  # fmt: skip
    grading: int = number_field("Grading", "0: the colours as they are.", 100, ge=0, le=100, unit="%")
    backdrop: str | None = form_fields.backdrop_field()
    colour: str | None = form_fields.scene_colour_field()
    blur: float = form_fields.blur_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.consent_field()


@dataclass(frozen=True)
class SourcePhoto:
    """What of the photo is the same in every look."""

    photo: Image
    cutout: Cutout
    faces: tuple[Face, ...]
    light_side: Side


def run(params: Fashion, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out, stand in the frame, set the season, grade, letter; then the pages. Or put it on models."""
    photo = context.open_image(params.photo)
    cutout = context.cut_out_subject(params, emit)
    faces = context.detect_faces(params.photo)
    emit("Cutting out", 1, 1)
    if params.models and not context.draft:
        return _draw_on_models(params, cutout, context, emit)
    taken = SourcePhoto(photo, cutout, faces, estimate_key_side(photo, faces[0]) if faces else "none")
    images, placed, said = _draw_look(params, taken, context, emit)
    return ToolOutput(
        images=images,
        source=placed,
        alphas=(placed.alpha,),
        notices=(*cutout.notices, *placed.frame.notices, *said),
        exact=False,
        extras=_make_pdf(params, images, taken, context, emit),
    )


def _draw_look(
    params: Fashion, taken: SourcePhoto, context: ToolContext, emit: ProgressCallback
) -> tuple[tuple[Image, ...], PlacedSubject, tuple[str, ...]]:
    """The pictures of one look, where the subject stands in them, and what the scenes had to say."""
    alpha, person = taken.cutout.alpha, bool(taken.faces)
    season = SEASONS[params.preset]
    size = size_for_ratio(RATIOS[params.ratio], 512 if context.draft else params.size)
    lies = season.is_flat_lay and not person
    stand, fill = ("centre", 0.86) if lies else ("floor", 1.08)
    end = find_body_end(alpha, taken.faces[params.pick]) if params.pick < len(taken.faces) else None
    floor = 1.0 if end is not None else _floor_height(alpha)
    frame = frame_subject(alpha, size, fill, params, anchor=stand, floor=floor, end=end, limit_to_frame=False)
    placed = place_subject(taken.photo, taken.cutout, frame)
    render = _scene_render(params, context, season, placed, taken.photo, taken.light_side, lies=lies, person=person)
    scenes = context.draw(render, emit)

    shadow = _choose_shadow(alpha, lies=lies, person=person)
    images = []
    for n, plate in enumerate(scenes.images):
        plate = (
            rotate_greens(plate, season.green_rotation_degrees)
            if season.green_rotation_degrees and not params.background
            else plate
        )
        image = composite_subject(placed, plate, seed=context.seed + n, key=taken.light_side, shadow=shadow)
        image = apply_grade(image, season.grade, params.grading / 100)
        _draw_title(image, params, season, placed.alpha)
        images.append(image)
        emit("Composing", n + 1, len(scenes.images), image)
    return tuple(images), placed, scenes.notices


def _make_pdf(
    params: Fashion, images: tuple[Image, ...], taken: SourcePhoto, context: ToolContext, emit: ProgressCallback
) -> tuple[EncodedFile, ...]:  # fmt: skip
    """One PDF: the look's pictures, or the cover and then every other look."""
    if params.pdf == "none" or context.draft:
        return ()
    if params.pdf == "book":
        names = ["cover", *(name for name in SEASONS if name != "cover")]
        looks = [params.model_copy(update={"preset": name, "variations": 1}) for name in names]
        images = tuple(_draw_look(look, taken, context, emit)[0][0] for look in looks)
    return _bind_pages(params, images)


def _bind_pages(params: Fashion, images: tuple[Image, ...]) -> tuple[EncodedFile, ...]:
    """These pictures as one PDF, where one is asked for."""
    if params.pdf == "none":
        return ()
    name = "lookbook" if params.pdf == "book" else params.preset
    return (EncodedFile("result", "pdf", encode_pdf(images, params.title or "Lookbook"), images, name),)


# ---------------------------------------------------------------- on models


def _draw_on_models(params: Fashion, cutout: Cutout, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Drawn people in the garment, one picture each, in the season's place; who was drawn is said."""
    if not context.has_verb("edit") and not params.garment:
        raise BadInput("This model follows poses and cannot wear what a photo shows: say the garment in words.",
                       param="garment")  # fmt: skip
    season, size = SEASONS[params.preset], size_for_ratio(RATIOS[params.ratio], params.size)
    people = (
        [params.who] * params.models
        if params.who
        else [each.words for each in choose_cast(params.models, context.seed)]
    )
    worn = _garment_on_grey(cutout)
    images: list[Image] = []
    for n, person in enumerate(people):
        drawn = context.draw(_model_render(params, context, season, size, person, n, worn), emit)
        image = apply_grade(drawn.images[0], season.grade, params.grading / 100)
        _draw_title(image, params, season, np.zeros(image.shape[:2], np.float32))
        images.append(image)
        emit("Dressing", n + 1, len(people), image)
    stated = "; ".join(f"{n}: {person}" for n, person in enumerate(people, 1))
    how = ("The garment was drawn after your photo: compare cut, pattern and colour before you publish."
           if context.has_verb("edit") else "The garment was drawn from your words.")  # fmt: skip
    return ToolOutput(
        images=tuple(images),
        notices=(*cutout.notices, f"The people are drawn and were asked for as {stated}.", how),
        exact=False,
        extras=_bind_pages(params, tuple(images)),
        names=tuple(f"model-{n}" for n in range(1, len(images) + 1)),
        archive_name="models" if len(images) > 1 else "",
    )


def _model_render(
    params: Fashion, context: ToolContext, season: Season, size: Size, person: str, n: int, worn: Image
) -> RenderRequest:  # fmt: skip
    """What is asked of the model: by the photo where it takes one, by a pose map where it follows one."""
    poses = tuple(POSES.values())
    pose = poses[(context.seed + n) % len(poses)] if params.pose == "varied" else POSES[params.pose]
    place = params.background or season.words
    who = f"Fashion photograph of {person}, whole figure, {pose.words}, {place}. {DRESSED_PROMPT}"
    if context.has_verb("edit"):
        words = f"{who} Wearing exactly the garment of the picture{': ' + params.garment if params.garment else ''}."
        return RenderRequest("edit", words, size, (context.seed + n,), images=(worn,), recomposes=True)
    return RenderRequest(
        "control", f"{who} Wearing {params.garment}.", size, (context.seed + n,), control=draw_pose_map(pose, size),
        control_kind="pose",
    )  # fmt: skip


def _garment_on_grey(cutout: Cutout) -> Image:
    """The garment on light grey: a model that sees no room draws none of it."""
    alpha = cutout.alpha[..., None]
    return np.asarray(cutout.colour * alpha + 236 * (1 - alpha) + 0.5, np.uint8)


def _floor_height(alpha: Alpha) -> float:
    """Whoever is cut by the photo's lower edge is cut by the frame's too; feet stand above it."""
    return 1.0 if "bottom" in find_cut_sides(alpha) else 0.94


def _choose_shadow(alpha: Alpha, *, lies: bool, person: bool) -> Shadow | None:
    if lies:
        return replace(Shadow(), squash=1.0, tilt=0.0, contact=0.4)
    return None if person or "bottom" in find_cut_sides(alpha) else Shadow()


def _scene_render(
    params: Fashion, context: ToolContext, season: Season, placed: PlacedSubject, photo: Image, key: Side, *, lies: bool,
    person: bool,
) -> RenderRequest:  # fmt: skip
    _, top, _, bottom = find_bounds(placed.alpha)
    height = placed.frame.size[1]
    seeds = tuple(context.seed + n for n in range(1 if context.draft else params.variations))
    backdrop = Backdrop(
        scene="" if params.background else season.scene_id,
        colour=form_fields.parse_rgb(params.colour),
        picture=context.open_image(params.backdrop) if params.backdrop else None,
        blur_ratio=params.blur / 100,
        horizon_ratio=(top + 0.18 * (bottom - top)) / height,
        floor_ratio=bottom / height if not person else None,
        key_light_side=key,
        seen_from="above" if lies else "front",
        subject="person" if person else "product",
    )
    words = params.background or ("" if params.backdrop else season.words)
    return RenderRequest(verb="backdrop", prompt=words, size=placed.frame.size, seeds=seeds,
                  backdrop=with_photo_constraints(backdrop, photo, placed))  # fmt: skip


def rotate_greens(plate: Image, degrees: float) -> Image:
    """Greens of the scene turned towards red by `degrees` of Lab hue, yellows and neutrals less and less."""
    lab = np.asarray(cv2.cvtColor(plate.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    angle = np.radians(-degrees * np.clip((hue - 70) / 35, 0, 1) * (hue < 190))
    chroma = np.hypot(lab[..., 1], lab[..., 2]) * 1.15
    lab[..., 1] = chroma * np.cos(np.radians(hue) + angle)
    lab[..., 2] = chroma * np.sin(np.radians(hue) + angle)
    return np.clip(np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)) * 255 + 0.5, 0, 255).astype(np.uint8)


def apply_grade(image: Image, grade: Grade, share: float) -> Image:
    """The grade on the whole picture, by `share` 0 to 1; black stays near black and white near white."""
    values = image.astype(np.float32)
    light = (values @ np.array([0.2126, 0.7152, 0.0722], np.float32))[..., None]
    values = light + (values - light) * np.float32(1 + share * (grade.saturation - 1))
    tone = np.clip(light / 255, 0, 1)
    # Each end's tint is strongest a quarter in from that end, so that paper and ink stay neutral.
    dark, bright = np.sin(np.pi * np.clip(tone * 1.4, 0, 1)), np.sin(np.pi * np.clip((tone - 0.3) / 0.7, 0, 1))
    values += np.float32(share) * (dark * np.array(grade.shadows) + bright * np.array(grade.lights)).astype(np.float32)
    bend = 255 * np.float32(grade.contrast * share / 2) * np.sin(2 * np.pi * (tone - 0.5))
    return np.clip(values + bend + 0.5, 0, 255).astype(np.uint8)


def _draw_title(image: Image, params: Fashion, season: Season, alpha: Alpha) -> None:
    """A masthead across the top, behind nobody's face; or a line at the foot. Changes `image`."""
    if not params.title:
        return
    height, width = image.shape[:2]
    edge = round(0.05 * width)
    if not season.is_cover:
        box = Box(edge, height - edge - round(0.06 * height), width - 2 * edge, round(0.06 * height))
        _write_legible(image, fit_text(params.title, box.width, box.height, round(0.045 * height), "Regular"), box)
        return
    box = Box(edge, edge, width - 2 * edge, round(0.26 * height))
    made = fit_text(params.title.upper(), box.width, box.height, round(0.40 * height))
    subject, covered = image.copy(), np.clip(alpha, 0, 1)[..., None]
    _write_legible(image, made, Box(box.x, box.y, box.width, min(box.height, made.height)))
    # The masthead stands behind the head, as on a newsstand.
    image[...] = np.asarray(image + covered * (subject.astype(np.float32) - image) + 0.5, np.uint8)


def _write_legible(image: Image, made: TextBlock, box: Box) -> None:
    draw_text(image, made, box, shade_for_text(image, box), "centre")


TOOL = Tool(
    id="fashion",
    title="Lookbook",
    summary="Your photo in a season's light, graded and laid out. It dresses nobody: the clothes are the photo's.",
    params=Fashion,
    run=run,
    strengths=(
        "Lifestyle imagery",
        "Seasonal themes",
        "High-fashion looks",
        "Brand alignment",
        "Cover layout",
        "PDF",
    ),
    limits=("Without a GPU model it dresses nobody: the clothes are the photo's",),
    model_strengths=(("Model variety", "edit"), ("Poses", "control")),
    person=True,
    examples=("astronaut", "hopper", "coffee"),
)
