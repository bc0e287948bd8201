"""Professional Headshots: one portrait, framed by head height and eye line, before a scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipelines.codecs.color_profiles import ColorSpace
from pipelines.codecs.containers import encode_layers
from pipelines.compositing.compose import composite_subject
from pipelines.compositing.head_restoration import move_face
from pipelines.compositing.light_estimation import estimate_key_side, with_photo_constraints
from pipelines.compositing.relighting import relight_subject
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Colour, Face, Image, PlacedSubject, Side
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject, choice_field, flag_field, pictures_field, prompt_field, seed_field
from pipelines.core.rendering import Backdrop, Caption, EncodedFile, RenderedImages, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.framings import get_framing, size_for_ratio
from pipelines.framing.head_framing import find_torn_matte_row, frame_head
from pipelines.framing.placement import missing_body_mask
from pipelines.framing.resample import composite_on_grey, place_subject, resample
from pipelines.quality.portrait_ranking import rank_portraits, ranking_notices
from pipelines.quality.softness import describe_softness
from pipelines.quality.subject_checks import NO_FACE_MESSAGE, check_face, count_people
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.dressing import EDITED_NOTICE, draw_with_head_kept
from pipelines.tools.shared.picture_operations import blend_into
from pipelines.tools.shared.scene_request import consecutive_seeds, scene_caption, scene_prompt, with_form_scene

PresetId = Literal[
    "linkedin", "corporate-grey", "executive-dark", "lobby", "creative-colour", "academic", "medical-white", "actor",
    "park", "black-and-white", "nude-tones", "badge",
]  # fmt: skip
FramingId = Literal["auto", "tight", "square", "classic", "wide", "actor", "badge"]
SetId = Literal["one", "four", "all"]
DRESSED_PROMPT = "fully clothed, shoulders covered"  # added to every prompt that draws on a person
COMPLETED_NOTICE = "What your photo cuts off was drawn by a model, around your own pixels, which are unchanged."
NO_LAYERS_NOTICE = "No layers: a model drew over the finished picture."


@dataclass(frozen=True)
class Look:
    """A preset: a scene, a framing, a prompt for a model that draws, and whether it is black and white."""

    title: str
    scene_id: str
    framing: str
    words: str
    colour: Colour | None = None
    is_monochrome: bool = False


LOOKS: dict[str, Look] = {
    "linkedin": Look("LinkedIn", "studio-light", "tight", "soft light grey studio background"),
    "corporate-grey": Look("Corporate Grey", "studio-grey", "classic", "seamless mid grey studio paper"),
    "executive-dark": Look(
        "Executive Dark", "studio-dark", "classic", "dark charcoal studio background, a soft spot of light"
    ),
    "lobby": Look("Lobby", "lobby", "classic", "bright modern office lobby, out of focus"),
    "creative-colour": Look("Creative Colour", "studio-colour", "tight", "seamless teal studio paper", (28, 122, 128)),
    "academic": Look("Academic", "canvas", "classic", "hand-painted brown canvas backdrop"),
    "medical-white": Look("Medical", "studio-white", "classic", "clean white studio background"),
    "actor": Look("Actor", "spotlight", "actor", "dark grey studio background with a spot behind the head"),
    "park": Look("Park", "park", "classic", "green park in soft daylight, out of focus"),
    "black-and-white": Look(
        "Black & White", "studio-grey", "classic", "seamless grey studio paper", is_monochrome=True
    ),
    "nude-tones": Look("Nude Tones", "nude-tones", "classic", "beige and taupe studio paper, neutral styling"),
    "badge": Look("Badge", "studio-badge", "badge", "plain pale blue background"),
}


LOOK_SETS: dict[str, tuple[str, ...]] = {
    "one": (),
    "four": ("linkedin", "corporate-grey", "lobby", "executive-dark"),
    "all": tuple(key for key, look in LOOKS.items() if not look.is_monochrome),
}


class Headshot(Subject):
    """The form."""

    preset: PresetId = choice_field(
        "Look",
        "Backdrop, framing and light in one.",
        "linkedin",
        labels={key: look.title for key, look in LOOKS.items()},
        tiles=True,
    )
    framing: FramingId = choice_field(
        "Framing",
        "How much of you is seen. Each has its own head height and eye line. Auto: as in the look.",
        "auto",
        labels={
            "auto": "Auto",
            "tight": "Tight 1:1",
            "square": "Shoulders 1:1",
            "classic": "Classic 4:5",
            "wide": "Wide 3:2",
            "actor": "Actor 8×10",
            "badge": "Badge",
        },
    )
    photos: tuple[str, ...] = pictures_field(
        "More photos to choose from",
        "Of the same person: the best of all is taken, and you are told why.",
        min_count=0,
        max_count=11,
        advanced=True,
    )
    looks: SetId = choice_field(
        "Set",
        "Several looks of one person, in one crop, one eye line and one light.",
        "one",
        advanced=True,
        labels={"one": "This look", "four": "Four looks", "all": "All colour looks"},
    )
    zoom_out: bool = flag_field(
        "Complete the frame",
        "Where the photo ends before the framing does: what is missing of you is drawn, around "
        "your own pixels. Without it the framing comes closer.",
        needs=("inpaint",),
    )
    background: str = form_fields.scene_words_field(
        "Takes the place of the look's backdrop, for example: workshop, forest, night."
    )
    expression: str = prompt_field(
        "Expression", "For example: a calm smile.", max_length=80, advanced=True, needs=("edit",)
    )
    outfit: str = prompt_field(
        "Outfit",
        "For example: a navy blazer over a white shirt. Your face and hair are laid back.",
        max_length=120,
        needs=("edit",),
    )
    size: int = form_fields.size_field(largest=form_fields.LARGE_SIDE_PX)
    variations: int = form_fields.variations_field()
    backdrop: str | None = form_fields.backdrop_field()
    colour: str | None = form_fields.scene_colour_field()
    blur: float = form_fields.blur_field()
    light: form_fields.Light = form_fields.subject_light_field()
    model_words: str = form_fields.model_words_field()
    layers: bool = form_fields.layers_field()
    look: str = form_fields.look_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    master: form_fields.MasterFile = form_fields.master_field()
    master_profile: ColorSpace = form_fields.master_profile_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.consent_field()


def run(params: Headshot, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Take the best photo, cut out, frame, set the scene, compose."""
    params, ranking = _choose_best_photo(params, context, emit)
    photo = context.open_image(params.photo)
    face = _find_face(params, context)
    check_face(face, photo)
    cutout = context.cut_out_subject(params, emit)
    emit("Cutting out", 2, 2, lambda: composite_on_grey(cutout.colour, cutout.alpha))

    look = LOOKS[params.preset]
    framing = get_framing(look.framing if params.framing == "auto" else params.framing)
    size = size_for_ratio(framing.ratio, form_fields.DRAFT_SIDE_PX if context.draft else params.size)
    completes = params.zoom_out and not context.draft
    frame = frame_head(cutout, face, framing, size, params, hide_cuts=not completes)
    if not (context.draft and params.zoom_out):  # its draft is enlarged more than what is kept
        frame = describe_softness(frame, photo, face.box, params.size)
    placed = place_subject(photo, cutout, frame)
    missing = np.zeros(placed.alpha.shape, np.float32)
    if completes:
        missing = missing_body_mask(cutout.alpha, frame, find_torn_matte_row(cutout.alpha, face))
    emit("Framing", 1, 1, lambda: composite_on_grey(placed.colour, placed.alpha))

    key = estimate_key_side(photo, face)
    images: list[Image] = []
    layers: list[EncodedFile] = []
    people = count_people(context.detect_faces(params.photo), params.pick)
    notices = [*ranking, *people, *cutout.notices, *frame.notices]
    names = _look_names(params, context)
    is_edited, is_completed = bool(params.expression or params.outfit), bool(missing.any())
    has_layers = params.layers and not (context.draft or is_edited or is_completed)
    subject = placed
    for name in dict.fromkeys(names):
        scenes = context.draw(_make_scene_request(params, context, LOOKS[name], placed, photo, key), emit)
        notices += scenes.notices
        for plate in scenes.images:
            number = len(images)
            if params.light == "relit" and number == 0:  # by the first scene alone, so that a set has one light
                subject = replace(placed, colour=relight_subject(placed, plate))
            image = composite_subject(subject, plate, seed=context.seed + number, key_side=key)
            if has_layers:
                layers += _export_layers(context, LOOKS[name], image, subject, plate, key, number)
            if is_completed:
                image = _fill_missing_portrait(params, context, image, photo, placed, missing, emit)
            image = _to_monochrome(image) if LOOKS[name].is_monochrome else image
            edited = _edit_portrait(params, context, image, placed.alpha, move_face(face, frame.matrix), emit)
            images += edited.images
            notices += edited.notices
            emit("Composing", len(images), len(names), images[-1])
    notices += [COMPLETED_NOTICE] if is_completed else []
    notices += [NO_LAYERS_NOTICE] if params.layers and not (has_layers or context.draft) else []
    is_set = params.looks != "one"
    return ToolOutput(
        images=tuple(images),
        source=placed,
        alphas=() if is_edited or is_completed else (placed.alpha,),
        notices=tuple(dict.fromkeys(notices)),
        exact=params.light == "exact" and not look.is_monochrome and not is_edited,
        names=names if is_set else (),
        archive_name="set" if is_set and not context.draft else "",
        extras=tuple(layers),
        resolved_params={"photo": params.photo, "photos": []} if ranking else {},
        draft_part="first" if context.draft and (is_set or params.variations > 1) else None,
    )


def _export_layers(
    context: ToolContext, look: Look, image: Image, subject: PlacedSubject, plate: Image, key: Side, number: int
) -> tuple[EncodedFile, ...]:
    if look.is_monochrome:
        subject = replace(subject, colour=_to_monochrome(subject.colour))
        image, plate = _to_monochrome(image), _to_monochrome(plate)
    return encode_layers(image, subject, plate, seed=context.seed + number, key_side=key, name=f"layers-{number + 1}")


def _look_names(params: Headshot, context: ToolContext) -> tuple[str, ...]:
    """List the look of every picture: one look in its variations, or the looks of the set, the chosen one first."""
    if context.draft:
        return (params.preset,)
    if params.looks == "one":
        return (params.preset,) * params.variations
    return tuple(dict.fromkeys((params.preset, *LOOK_SETS[params.looks])))


def _choose_best_photo(
    params: Headshot, context: ToolContext, emit: ProgressCallback
) -> tuple[Headshot, tuple[str, ...]]:
    """Return the form with the best of several photos (the first if it has a matte by hand), and the ranking."""
    if not params.photos or params.matte is not None:
        return params, ()
    ids = tuple(dict.fromkeys((params.photo, *params.photos)))
    photos: list[tuple[Image, tuple[Face, ...]]] = []
    for number, file_id in enumerate(ids, 1):
        photos.append((context.open_image(file_id), context.detect_faces(file_id)))
        emit("Comparing the photos", number, len(ids))
    ranking = rank_portraits(photos)
    best = ids[ranking[0].number - 1]
    return params.model_copy(update={"photo": best, "photos": ()}), ranking_notices(ranking)


def _make_scene_request(
    params: Headshot, context: ToolContext, look: Look, placed: PlacedSubject, photo: Image, key: Side
) -> RenderRequest:
    eye_line = placed.frame.eye_line or 0.4 * placed.frame.size[1]
    colour = form_fields.parse_rgb(params.colour) or (None if params.background else look.colour)
    constraints = Backdrop(horizon_ratio=eye_line / placed.frame.size[1], key_light_side=key, subject="person")
    backdrop = with_form_scene(constraints, params, context, params.background, look.scene_id, colour)
    return RenderRequest(
        verb="backdrop",
        prompt=scene_prompt(params, params.background, look.words),
        size=placed.frame.size,
        seeds=consecutive_seeds(context, 1 if context.draft or params.looks != "one" else params.variations),
        backdrop=with_photo_constraints(backdrop, photo, placed),
        caption=_scene_caption(params, look),
        model_words=params.model_words if params.looks == "one" else "",
    )


def _scene_caption(params: Headshot, look: Look) -> Caption:
    return scene_caption(params, params.background, look.words, "portrait")


def _edit_caption(params: Headshot) -> Caption:
    """Say what is changed, and what stays: no face where its expression is to be another."""
    changes = (("facial expression", params.expression), ("outfit", params.outfit))
    face = "identity" if params.expression else "face, expression"
    outfit, dressed = ("", f" The person is {DRESSED_PROMPT}.") if params.outfit else ("outfit, ", "")
    return Caption(
        changes=tuple((what, words) for what, words in changes if words),
        kept=f"Keep the same person, {face}, hair, {outfit}pose, framing, light and background as they are.{dressed}",
    )


def _edit_portrait(
    params: Headshot, context: ToolContext, image: Image, alpha: Alpha, face: Face, emit: ProgressCallback
) -> RenderedImages:
    """Let a model change expression or outfit; the portrait as it is where nothing is asked for.

    Where the expression is not to change, the head is laid back. `face` and `alpha` are those of `image`.
    """
    caption = _edit_caption(params)
    if not caption.changes or context.draft:
        return RenderedImages((image,))
    request = ", ".join(f"{what}: {words}" for what, words in caption.changes)
    words = f"The same person, face, hair, pose, light and background; change only {request}. {DRESSED_PROMPT}."
    size = image.shape[1], image.shape[0]
    render = RenderRequest("edit", words, size, (context.seed,), images=(image,), caption=caption)
    if params.expression:
        drawn = context.draw(render, emit)
        return RenderedImages(drawn.images, (EDITED_NOTICE, *drawn.notices))
    return draw_with_head_kept(context, render, alpha, face, emit)


def _fill_missing_portrait(
    params: Headshot,
    context: ToolContext,
    image: Image,
    photo: Image,
    placed: PlacedSubject,
    missing: Alpha,
    emit: ProgressCallback,
) -> Image:
    """Let a model inpaint what the photo cuts off (`missing`); none of the photo's own pixels changes."""
    is_kept = missing[..., None] == 0
    # The model starts from the photo's last rows repeated outwards, so that cloth goes on as cloth.
    start = np.where(is_kept, image, resample(photo, placed.frame))
    words = f"The same person, body and clothes continuing beyond the edge, {DRESSED_PROMPT}. {params.background}"
    size = image.shape[1], image.shape[0]
    render = RenderRequest("inpaint", words, size, (context.seed,), images=(start,), mask=missing, strength=1.0)
    drawn = context.draw(render, emit).images[0]
    return np.asarray(np.where(is_kept, image, blend_into(start, drawn, missing) + 0.5), np.uint8)


def _find_face(params: Headshot, context: ToolContext) -> Face:
    """Find the face that was chosen. Raises `no_face`."""
    faces = context.detect_faces(params.photo)
    if not faces:
        raise BadInput(NO_FACE_MESSAGE, code="no_face", param="photo")
    if params.pick >= len(faces):
        raise BadInput(f"There is no face number {params.pick + 1} in this photo.", code="no_face", param="pick")
    return faces[params.pick]


def _to_monochrome(image: Image) -> Image:
    """Convert to black and white with the weights of panchromatic film, which shows skin lighter than luma does."""
    grey = image @ np.array([0.36, 0.54, 0.10], np.float32)
    return np.repeat(np.clip(grey + 0.5, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


TOOL = Tool(
    id="headshot",
    title="Professional Headshots",
    summary="A portrait for LinkedIn, a team page or a casting, from a photo you have.",
    params=Headshot,
    run=run,
    strengths=(
        "Your own pixels, unchanged",
        "Consistent character",
        "Photorealism",
        "High resolution",
        "Maintains ethnicity",
        "Nude tones",
        "Zoom out, as far as the photo goes",
    ),
    limits=("New outfits and expressions need a graphics card",),
    person=True,
    popular=True,
    model_strengths=(
        ("AI-powered generation", "edit"),
        ("New outfits", "edit"),
        ("New expressions", "edit"),
        ("Zoom out beyond the photo", "inpaint"),
    ),
    examples=("astronaut", "hopper"),
    caption=lambda params: _scene_caption(params, LOOKS[params.preset]),
)
