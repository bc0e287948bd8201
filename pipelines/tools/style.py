"""Style Transfer: the photo redrawn in a medium by image operations; faces keep their features, nothing is invented."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face, Image
from pipelines.core.job import Emit
from pipelines.core.params import Params, Subject, choice, flag, mask, number, picture, prompt, seed
from pipelines.core.rendering import Draft, Render
from pipelines.core.tools import Studio, Tool
from pipelines.framing.framings import size_of
from pipelines.styles import STYLES, Hand, drawn, style
from pipelines.styles.face_lock import locked, shifted
from pipelines.styles.reference_transfer import from_reference
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.control_maps import LABELS, FollowId, control_map, follow

PresetId = Literal[
    "oil", "watercolour", "ink", "pencil", "charcoal", "halftone", "pop-art", "riso", "mosaic", "pixel", "film", "noir",
]  # fmt: skip
MAP_SHOWN = "This is the map that the drawing will follow; nothing is drawn yet."
_LARGEST = 2.0  # times the photo: beyond, a style would be drawn over pixels that are not there
_LOCK_DRAWN = 0.6  # of the photo's drawing in faces that a model or a reference changed


class Style(Params):
    """The form."""

    photo: str = picture("Photo", "The picture to redraw.", required=True)
    preset: PresetId = choice(
        "Style", "The medium.", "oil", labels={row.id: row.title for row in STYLES}, tiles=True
    )  # fmt: skip
    reference: str | None = picture(
        "Style from a picture", "Its colours and its surface take the place of the style above; its shapes do not."
    )
    strength: int = number("Strength", "0 is the photo, 100 the style.", 100, ge=0, le=100, unit="%", more=False)
    face_lock: bool = flag(
        "Face lock", "Faces keep their features and, in colour styles, their skin.", True, more=False
    )
    where: Literal["all", "subject", "background"] = choice(
        "Where", "The whole picture, or only one side of the cut-out.", "all",
        labels={"all": "Everywhere", "subject": "Subject only", "background": "Background only"},
    )  # fmt: skip
    size: int = form_fields.size()
    prompt: str = prompt(
        "Style in words",
        "Drawn by a model, in place of the style above.",
        more=True,
        needs=("edit", "image"),
        any_of=True,
    )
    follow: FollowId = choice(
        "Follow", "What of the photo a style in words keeps to. A draft shows the map before anything is drawn.",
        "nothing", labels=LABELS, more=True, needs=("control",),
    )  # fmt: skip
    detail: int = number("Detail", "How much of the small things is drawn.", 50, ge=0, le=100, unit="%")
    brush: float = number(
        "Brush", "Width of strokes, dots and tiles; 1 is the style's own.", 1.0, ge=0.5, le=2.0, step=0.05
    )
    adapter: str = form_fields.adapter()
    adapter_weight: float = form_fields.adapter_weight()
    matte: str | None = mask("Cut-out", "White keeps, black drops: replaces the automatic cut-out.")
    pick: int = number("Subject", "0: main subject or largest face; 1, 2, …: the next by size.", 0, ge=0, le=15)
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    seed: int | None = seed()
    consent: bool = form_fields.consent_if()


def run(params: Style, studio: Studio, emit: Emit) -> Draft:
    """Bring to size, draw, lock faces, keep to the cut-out's side, blend by strength."""
    original = studio.open(params.photo)
    photo, scale, notices = _sized(original, 512 if studio.draft else params.size)
    if params.follow != "nothing" and not params.prompt:
        raise BadInput("Say in words what is to be drawn along the map.", param="prompt")
    if params.follow != "nothing" and studio.draft:
        return Draft(images=(_map(params, studio, emit, photo),), exact=False, notices=(MAP_SHOWN,))
    faces = [shifted(face, 0, 0, scale) for face in studio.faces(params.photo)] if params.face_lock else []
    # The map is what is to be seen first, where one is followed.
    emit("Reading the photo", 1, 1, photo if params.follow == "nothing" else None)
    styled = studio.keep(_key(params, studio, photo), lambda: _styled(params, studio, emit, photo, faces))
    emit("Drawing the style", 1, 1, styled)
    share = np.full(photo.shape[:2], params.strength / 100, np.float32)
    if params.where != "all":
        share *= _side(params, studio, emit, photo)
    image = _blended(photo, styled, share)
    emit("Blending", 1, 1, image)
    return Draft(images=(image,), exact=False, notices=notices)


def _sized(photo: Image, longer: int) -> tuple[Image, float, tuple[str, ...]]:
    """The photo at the size of the result, the factor, and what is to be said about it."""
    rows, columns = photo.shape[:2]
    largest = round(_LARGEST * max(rows, columns))
    notices = ()
    if longer > largest:
        notices = (f"Drawn at {largest} px: the photo has too few pixels for {longer}.",)
        longer = largest
    scale = longer / max(rows, columns)
    if longer == max(rows, columns):
        return photo, 1.0, notices
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo, size_of((columns, rows), longer), interpolation=how), np.uint8), scale, notices


def _key(params: Style, studio: Studio, photo: Image) -> tuple[object, ...]:
    """All that the full-strength picture depends on: strength and side are blended anew, at once."""
    drawing = (params.preset, params.reference, params.prompt, params.detail, params.brush)
    kept = (params.face_lock, params.follow)
    stand = () if params.follow == "nothing" else (params.matte, params.pick)  # whose pose is followed
    return ("style", params.photo, photo.shape, *drawing, *kept, *stand, studio.seed)


def _styled(params: Style, studio: Studio, emit: Emit, photo: Image, faces: list[Face]) -> Image:
    hand = Hand(params.detail / 100, params.brush, max(photo.shape[:2]) / 1024, studio.seed)
    if params.prompt:
        return locked(photo, _from_words(params, studio, emit, photo), faces, _LOCK_DRAWN, natural=False)
    if params.reference is not None:
        styled = from_reference(photo, studio.open(params.reference), hand)
        return locked(photo, styled, faces, _LOCK_DRAWN, natural=False)
    return drawn(photo, style(params.preset), hand, faces)


def _from_words(params: Style, studio: Studio, emit: Emit, photo: Image) -> Image:
    """The model sees the photo and the words. An edit model is told what stays; of an image model detail says it."""
    size = (photo.shape[1], photo.shape[0])
    if params.follow != "nothing":
        along, kind = _map(params, studio, emit, photo), follow(params.follow).kind
        render = Render("control", params.prompt, size, (studio.seed,), control=along, control_kind=kind)
        return studio.draw(render, emit).images[0]
    if studio.has("edit"):
        words = f"The same picture, with everything and everybody where it is, redrawn in this style: {params.prompt}."
        return studio.draw(Render("edit", words, size, (studio.seed,), images=(photo,)), emit).images[0]
    render = Render("image", params.prompt, size, (studio.seed,), images=(photo,), strength=0.8 - params.detail / 250)
    return studio.draw(render, emit).images[0]


def _map(params: Style, studio: Studio, emit: Emit, photo: Image) -> Image:
    """What the drawing follows, at its size."""
    subject = Subject(photo=params.photo, matte=params.matte, pick=params.pick)
    return control_map(studio, subject, (photo.shape[1], photo.shape[0]), follow(params.follow), emit)


def _side(params: Style, studio: Studio, emit: Emit, photo: Image) -> Alpha:
    """1 where the style goes."""
    subject = Subject(photo=params.photo, matte=params.matte, pick=params.pick)
    alpha = studio.cutout(subject, emit).alpha
    if alpha.shape != photo.shape[:2]:
        alpha = cv2.resize(alpha, (photo.shape[1], photo.shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(alpha if params.where == "subject" else 1 - alpha, np.float32)


def _blended(photo: Image, styled: Image, share: Alpha) -> Image:
    values = photo + share[..., None] * (styled.astype(np.float32) - photo)
    return np.asarray(values + 0.5, np.uint8)


TOOL = Tool(
    id="style",
    title="Style Transfer",
    summary="Oil, ink, riso, film and more, over the drawing of your own photo.",
    params=Style,
    run=run,
    strengths=(
        "Artistic filters",
        "Multiple styles",
        "Preserves details",
        "Creative control",
        "Style from a picture",
        "Face lock",
        "Batch",
    ),
    limits=("Redraws what is there; styles in words need a GPU model",),
    with_model=(("Styles in words", "image"),),
    examples=("astronaut", "hopper", "coffee", "chelsea"),
    reblends=("strength", "where", "size"),
)
