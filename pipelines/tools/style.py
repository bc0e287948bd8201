"""Style Transfer: the photo redrawn in a medium by image filters, or by a model; faces keep their features."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from pipelines.codecs.file_names import name_by_words
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    Params,
    Points,
    SubjectBox,
    choice_field,
    drop_field,
    flag_field,
    keep_field,
    number_field,
    picture_field,
    prompt_field,
    seed_field,
    subject_box_field,
    subject_of,
)
from pipelines.core.rendering import RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.framings import size_for_ratio
from pipelines.styles import STYLES, StyleSettings, apply_style
from pipelines.styles.face_lock import lock_faces
from pipelines.styles.reference_transfer import transfer_style
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.control_maps import CONTROL_LABELS, CONTROL_MAPS, ControlId, make_control_map

PresetId = Literal[
    "oil", "watercolour", "ink", "pencil", "charcoal", "halftone", "pop-art", "riso", "mosaic", "pixel", "film", "noir",
]  # fmt: skip
MAP_NOTICE = "This is what the drawing will follow; nothing is drawn yet."
_MAX_ENLARGEMENT = 2.0  # times the photo; beyond, there is too little detail to draw over
_DRAWN_FACE_LOCK_RATIO = 0.6  # share of the photo in faces that a model or a reference changed


class Style(Params):
    """The form."""

    photo: str = picture_field("Photo", "The picture to redraw.", required=True)
    preset: PresetId = choice_field(
        "Style", "The medium.", "oil", labels={row.id: row.title for row in STYLES}, tiles=True
    )
    reference: str | None = picture_field(
        "Style from a picture", "Its colours and its surface take the place of the style above; its shapes do not."
    )
    strength: int = number_field(
        "Strength", "0 is the photo, 100 the style.", 100, ge=0, le=100, unit="%", advanced=False
    )
    face_lock: bool = flag_field(
        "Face lock", "Faces keep their features and, in colour styles, their skin.", True, advanced=False
    )
    where: Literal["all", "subject", "background"] = choice_field(
        "Where",
        "The whole picture, or only one side of the cut-out.",
        "all",
        labels={"all": "Everywhere", "subject": "Subject only", "background": "Background only"},
    )
    size: int = form_fields.size_field()
    prompt: str = prompt_field(
        "Style in words",
        "Drawn by a model, in place of the style above.",
        advanced=True,
        needs=("edit", "image"),
        needs_any=True,
    )
    follow: ControlId = choice_field(
        "Follow",
        "What of the photo a style in words keeps to. A draft shows that alone before anything is drawn.",
        "nothing",
        labels=CONTROL_LABELS,
        advanced=True,
        needs=("control",),
    )
    detail: int = number_field("Detail", "How much of the small things is drawn.", 50, ge=0, le=100, unit="%")
    brush: float = number_field(
        "Brush", "Width of strokes, dots and tiles; 1 is the style's own.", 1.0, ge=0.5, le=2.0, step=0.05
    )
    adapter: str = form_fields.adapter_field()
    adapter_weight: float = form_fields.adapter_weight_field()
    matte: str | None = form_fields.matte_field()
    pick: int = form_fields.pick_field()
    keep: Points = keep_field()
    drop: Points = drop_field()
    box: SubjectBox = subject_box_field()
    look: str = form_fields.look_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Style, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Resize, draw, lock faces, limit to one side of the cut-out, blend by strength."""
    original = context.open_image(params.photo)
    photo, scale, notices = _fit_to_size(original, form_fields.DRAFT_SIDE_PX if context.draft else params.size)
    if params.follow != "nothing" and not params.prompt:
        raise BadInput("Say in words what is to be drawn.", param="prompt")
    if params.follow != "nothing" and context.draft:
        return ToolOutput(images=(_make_map(params, context, emit, photo),), exact=False, notices=(MAP_NOTICE,))
    faces = context.detect_faces(params.photo) if params.face_lock else ()
    faces = [face.scaled(scale) for face in faces]
    # Where a map is followed it must be the first preview.
    emit("Reading the photo", 1, 1, photo if params.follow == "nothing" else None)
    styled = context.memoize(
        _cache_key(params, context, photo), lambda: _draw_style(params, context, emit, photo, faces)
    )
    emit("Drawing the style", 1, 1, styled)
    weight = np.full(photo.shape[:2], params.strength / 100, np.float32)
    if params.where != "all":
        weight *= _style_mask(params, context, emit, photo)
    image = _blend_by_weight(photo, styled, weight)
    emit("Blending", 1, 1, image)
    named_by = params.prompt or ("reference" if params.reference else "")  # in place of the preset, which is not used
    names = name_by_words(named_by, 1) if named_by else ()
    return ToolOutput(images=(image,), exact=False, notices=notices, names=names, keeps_words=True)


def _fit_to_size(photo: Image, longer_px: int) -> tuple[Image, float, tuple[str, ...]]:
    """Resize the photo to the result's size; the picture, the scale and notices."""
    rows, columns = photo.shape[:2]
    largest = round(_MAX_ENLARGEMENT * max(rows, columns))
    notices = ()
    if longer_px > largest:
        notices = (f"Drawn at {largest} px: the photo has too few pixels for {longer_px}.",)
        longer_px = largest
    scale = longer_px / max(rows, columns)
    if longer_px == max(rows, columns):
        return photo, 1.0, notices
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(photo, size_for_ratio((columns, rows), longer_px), interpolation=interpolation)
    return np.asarray(resized, np.uint8), scale, notices


def _cache_key(params: Style, context: ToolContext, photo: Image) -> tuple[object, ...]:
    """All that the full-strength picture depends on; strength and side only change the blend."""
    drawing = (params.preset, params.reference, params.prompt, params.detail, params.brush)
    constraints = (params.face_lock, params.follow)
    subject = () if params.follow == "nothing" else (params.matte, params.pick)  # whose pose is followed
    return ("style", params.photo, photo.shape, *drawing, *constraints, *subject, context.seed)


def _draw_style(params: Style, context: ToolContext, emit: ProgressCallback, photo: Image, faces: list[Face]) -> Image:
    settings = StyleSettings(params.detail / 100, params.brush, max(photo.shape[:2]) / 1024, context.seed)
    if params.prompt:
        styled = _restyle_by_words(params, context, emit, photo)
    elif params.reference is not None:
        styled = transfer_style(photo, context.open_image(params.reference), settings)
    else:
        row = next(row for row in STYLES if row.id == params.preset)
        return apply_style(photo, row, settings, faces)
    return lock_faces(photo, styled, faces, _DRAWN_FACE_LOCK_RATIO, photo_colours=False)


def _restyle_by_words(params: Style, context: ToolContext, emit: ProgressCallback, photo: Image) -> Image:
    """Let a model redraw the photo by words: along a control map, as an edit, or image-to-image by detail."""
    size = (photo.shape[1], photo.shape[0])
    if params.follow != "nothing":
        control, kind = _make_map(params, context, emit, photo), CONTROL_MAPS[params.follow].kind
        render = RenderRequest("control", params.prompt, size, (context.seed,), control=control, control_kind=kind)
    elif context.has_verb("edit"):
        words = f"The same picture, with everything and everybody where it is, redrawn in this style: {params.prompt}."
        render = RenderRequest("edit", words, size, (context.seed,), images=(photo,))
    else:
        strength = 0.8 - params.detail / 250
        render = RenderRequest("image", params.prompt, size, (context.seed,), images=(photo,), strength=strength)
    return context.draw(render, emit).images[0]


def _make_map(params: Style, context: ToolContext, emit: ProgressCallback, photo: Image) -> Image:
    subject = subject_of(params)
    return make_control_map(context, subject, (photo.shape[1], photo.shape[0]), CONTROL_MAPS[params.follow], emit)


def _style_mask(params: Style, context: ToolContext, emit: ProgressCallback, photo: Image) -> Alpha:
    """Cut out the side that is styled: 1 where the style goes, H x W."""
    subject = subject_of(params)
    alpha = context.cut_out_subject(subject, emit).alpha
    if alpha.shape != photo.shape[:2]:
        alpha = cv2.resize(alpha, (photo.shape[1], photo.shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(alpha if params.where == "subject" else 1 - alpha, np.float32)


def _blend_by_weight(photo: Image, styled: Image, weight: Alpha) -> Image:
    values = photo + weight[..., None] * (styled.astype(np.float32) - photo)
    return np.asarray(values + 0.5, np.uint8)


TOOL = Tool(
    id="style",
    title="Style Transfer",
    summary="Oil, ink, riso, film and more, over the drawing of your own photo.",
    params=Style,
    run=run,
    is_edit=True,
    strengths=(
        "Artistic filters",
        "Multiple styles",
        "Preserves details",
        "Creative control",
        "Style from a picture",
        "Face lock",
        "Batch",
    ),
    limits=("Redraws what is there; styles in words need a graphics card",),
    model_strengths=(("Styles in words", "image"),),
    examples=("astronaut", "hopper", "coffee", "chelsea"),
    blend_only_fields=("strength", "where", "size"),
)
