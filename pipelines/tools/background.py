"""Background Generator: the subject stays, the world behind it changes; without a photo, the scene alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.codecs.containers import encode_layers
from pipelines.compositing.compose import composite_subject
from pipelines.compositing.light_estimation import estimate_key_side, estimate_shadow_direction, with_photo_constraints
from pipelines.compositing.shadows import Shadow, shadow_for_view
from pipelines.compositing.team_pages import Brand, Label, draw_sheet
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Cutout, Image, PlacedSubject, Side, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import MAX_SIDE, Subject, choice_field, flag_field, picture_field, seed_field
from pipelines.core.rendering import Backdrop, EncodedFile, RenderedImages, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.camera_pitch import DEFAULT_VIEW, estimate_pitch, estimate_view, is_flat_scene
from pipelines.framing.framings import size_for_ratio
from pipelines.framing.head_framing import find_body_end
from pipelines.framing.placement import find_bounds, find_cut_sides, frame_photo
from pipelines.framing.resample import place_subject
from pipelines.quality.photo_quality import assess_photo, fix_subject
from pipelines.tools.shared import form_fields, scene_edit

CAMERA_ABOVE_NOTICE = "Your photo looks down on the subject, and this scene does not: Studio Grey suits it better."
SHEET_SCENE_COUNT = 4
SHEET_WIDTH_PX = 1600  # pixels across the contact sheet
PresetId = Literal[
    "studio-grey", "spotlight", "apartment", "lobby", "workshop", "forest", "park", "night", "sunset", "venice",
    "my-backdrop",
]  # fmt: skip
RatioId = Literal["photo", "1:1", "4:5", "2:3", "3:2", "16:9", "9:16"]
RATIOS: dict[str, tuple[int, int]] = {
    "1:1": (1, 1), "4:5": (4, 5), "2:3": (2, 3), "3:2": (3, 2), "16:9": (16, 9), "9:16": (9, 16),
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A preset: a built-in scene, and the words for a model that draws."""

    title: str
    scene_id: str
    words: str


SCENES: dict[str, Scene] = {
    "studio-grey": Scene("Studio Grey", "studio-grey", "seamless grey studio paper"),
    "spotlight": Scene("Spotlight", "spotlight", "dark studio with a soft spot of light on the wall"),
    "apartment": Scene("Apartment", "apartment", "bright apartment, out of focus"),
    "lobby": Scene("Lobby", "lobby", "modern lobby, out of focus"),
    "workshop": Scene("Workshop", "workshop", "workshop with tools, out of focus"),
    "forest": Scene("Forest", "forest", "green forest, out of focus"),
    "park": Scene("Park", "park", "park in daylight, out of focus"),
    "night": Scene("Night", "night", "city street at night with lights, out of focus"),
    "sunset": Scene("Sunset", "sunset", "open landscape at sunset, out of focus"),
    "venice": Scene("Venice", "venice", "Venice at dusk, out of focus"),
    "my-backdrop": Scene("My Backdrop", "", ""),
}


class Background(Subject):
    """The form. `photo` may be left out: then only the scene is drawn."""

    photo: str | None = picture_field(  # pyright: ignore[reportIncompatibleVariableOverride]
        "Photo", "Your subject. Without one, only the scene is drawn."
    )
    prompt: str = form_fields.scene_words_field(
        "What stands behind the subject, for example: Tokyo at night, autumn forest, office."
    )
    preset: PresetId = choice_field(
        "Scene", "Used when there are no words.", "studio-grey",
        labels={key: scene.title for key, scene in SCENES.items()}, tiles=True,
    )  # fmt: skip
    backdrop: str | None = picture_field("My backdrop", "Your own picture as the scene.")
    ratio: RatioId = choice_field("Shape", "Width to height.", "photo", labels={"photo": "As the photo"})
    size: int = form_fields.size_field(1280)
    variations: int = form_fields.variations_field()
    contact_sheet: bool = flag_field(
        "Contact sheet of four", "Four scenes to choose from on one page, and each as a picture."
    )
    around: bool = scene_edit.around_field()
    mend: bool = flag_field(
        "Mend the photo", "Lifts a photo that is too dark and sharpens one that is soft, where the check found it so. "
        "Your pixels change then.",
    )  # fmt: skip
    colour: str | None = form_fields.scene_colour_field()
    blur: float = form_fields.blur_field()
    light: form_fields.Light = form_fields.light_field()
    brand: str = form_fields.brand_field()
    adapter: str = form_fields.adapter_field()
    adapter_weight: float = form_fields.adapter_weight_field()
    format: form_fields.FileFormat = form_fields.format_field()
    layers: bool = form_fields.layers_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Background, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out, keep the place, check the source, set the scenes, compose; then the contact sheet."""
    if params.preset == "my-backdrop" and params.backdrop is None and not params.prompt:
        raise BadInput("Choose a picture for 'My backdrop', or another scene.", param="backdrop")
    if params.photo is None:
        return _draw_scenes_only(params, context, emit)

    photo = context.open_image(params.photo)
    cutout = context.cut_out_subject(params, emit)
    emit("Cutting out", 2, 2)
    size = _photo_size(params, context, photo)
    faces = context.detect_faces(params.photo)
    end = find_body_end(cutout.alpha, faces[params.pick]) if params.pick < len(faces) else None
    stands = not find_cut_sides(cutout.alpha) and not faces
    frame = frame_photo(cutout.alpha, size, params, end=end, stands=stands)
    placed = place_subject(photo, cutout, frame)
    key: Side = estimate_key_side(photo, faces[0]) if faces else "none"
    found = assess_photo(photo, cutout.alpha, placed, faces[params.pick : params.pick + 1])
    mends = params.mend and any(each.fixed_sentence for each in found)
    stood = fix_subject(placed, photo, found) if mends else placed

    told: list[str] = []
    asked = _backdrop_constraints(stood, photo, cutout, key, person=bool(faces), stands=stands)
    if stands and asked.seen_from == "above" and _is_level_scene(params):
        asked, told = replace(asked, seen_from=DEFAULT_VIEW), [CAMERA_ABOVE_NOTICE]
    shadow = replace(shadow_for_view(Shadow(), asked.seen_from), toward=asked.shadow_direction) if stands else None
    laid = SceneComposer(stood, asked.key_light_side, shadow, params.light == "relit")
    lots, titles = _plan_scenes(params, context)
    images: list[Image] = []
    extras: list[EncodedFile] = []
    for form, count in lots:
        around_it = _draw_around(form, context, emit, photo, stood, count)
        scenes = _draw_scenes(form, context, emit, size, asked, count) if None in around_it else RenderedImages(())
        told += [*scenes.notices, *_around_notices(form, context, around_it)]
        for n, made in enumerate(around_it):
            lot, name = context.seed + len(images), f"layers-{len(images) + 1}"
            images.append(made.image if made else laid.compose_on(scenes.images[n], lot))
            if params.layers and not context.draft:
                extras += (
                    scene_edit.export_layers(made, stood, relit=laid.relit, name=name) if made
                    else laid.export_layers(images[-1], scenes.images[n], lot, name)
                )  # fmt: skip
            emit("Composing", len(images), len(titles), images[-1])
    said = (each.fixed_sentence if mends and each.fixed_sentence else each.sentence for each in found)
    draft = ToolOutput(
        images=tuple(images),
        source=placed,
        alphas=(placed.alpha,),
        notices=(*cutout.notices, *frame.notices, *said, *dict.fromkeys(told)),
        exact=params.light == "exact" and not mends,
        extras=tuple(extras),
    )
    return _add_contact_sheet(draft, params, context, titles)


@dataclass(frozen=True)
class SceneComposer:
    """The subject in its place, and how it is laid on a scene."""

    placed: PlacedSubject
    key: Side
    shadow: Shadow | None
    relit: bool

    def compose_on(self, plate: Image, seed: int) -> Image:
        """The finished picture."""
        return composite_subject(self.placed, plate, seed=seed, key=self.key, shadow=self.shadow, relit=self.relit)

    def export_layers(self, image: Image, plate: Image, seed: int, name: str) -> tuple[EncodedFile, ...]:
        """That picture taken apart."""
        return encode_layers(
            image, self.placed, plate, seed=seed, key=self.key, shadow=self.shadow, relit=self.relit, name=name
        )


def _draw_scenes_only(params: Background, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """The scenes alone."""
    lots, titles = _plan_scenes(params, context)
    size = _scene_size(params, context)
    drawn = [_draw_scenes(form, context, emit, size, Backdrop(subject="any"), count) for form, count in lots]
    images = tuple(image for each in drawn for image in each.images)
    notices = dict.fromkeys(notice for each in drawn for notice in each.notices)
    return _add_contact_sheet(ToolOutput(images=images, notices=tuple(notices)), params, context, titles)


def _plan_scenes(params: Background, context: ToolContext) -> tuple[list[tuple[Background, int]], tuple[str, ...]]:
    """Forms with how many scenes are drawn by each, one or four for the contact sheet; and a title for each scene."""
    sheeted = params.contact_sheet and not context.draft
    if sheeted and not (params.prompt or params.backdrop):
        names = list_next_scenes(params.preset)
        forms = [(params.model_copy(update={"preset": name}), 1) for name in names]
        return forms, tuple(SCENES[name].title for name in names)
    # What was asked for is not swapped for another place.
    count = SHEET_SCENE_COUNT if sheeted else 1 if context.draft else params.variations
    return [(params, count)], tuple(str(n + 1) for n in range(count))


def list_next_scenes(preset: str) -> tuple[str, ...]:
    """The scene and those that follow it in the list, four in all; the list goes round."""
    names = [name for name, row in SCENES.items() if row.scene_id]
    at = names.index(preset)
    return tuple(names[(at + step) % len(names)] for step in range(SHEET_SCENE_COUNT))


def _draw_scenes(
    params: Background, context: ToolContext, emit: ProgressCallback, size: Size, asked: Backdrop, count: int
) -> RenderedImages:
    scene = SCENES[params.preset]
    backdrop = replace(
        asked,
        scene="" if params.prompt else scene.scene_id,
        colour=form_fields.parse_rgb(params.colour),
        picture=context.open_image(params.backdrop) if params.backdrop else None,
        blur_ratio=params.blur / 100,
    )
    seeds = tuple(context.seed + n for n in range(count))
    words = params.prompt or ("" if params.backdrop else scene.words)
    return context.draw(RenderRequest(verb="backdrop", prompt=words, size=size, seeds=seeds, backdrop=backdrop), emit)


def _draw_around(
    params: Background, context: ToolContext, emit: ProgressCallback, photo: Image, placed: PlacedSubject, count: int
) -> tuple[scene_edit.SceneEdit | None, ...]:  # fmt: skip
    """What an edit model draws around the subject; None for each scene that is to be set behind it."""
    if not params.around or context.draft or _uses_own_backdrop(params):
        return (None,) * count
    words = params.prompt or SCENES[params.preset].words
    seeds = tuple(context.seed + n for n in range(count))
    return scene_edit.draw_scene_around_subject(
        context, emit, photo, placed, words, seeds, relit=params.light == "relit"
    )


def _around_notices(
    params: Background, context: ToolContext, drawn: Sequence[scene_edit.SceneEdit | None]
) -> tuple[str, ...]:
    if not params.around or context.draft:
        return ()
    return (scene_edit.OWN_BACKDROP_NOTICE,) if _uses_own_backdrop(params) else scene_edit.edit_notices(drawn)


def _uses_own_backdrop(params: Background) -> bool:
    """Whether a picture, or a colour that words do not replace, is to be behind the subject exactly as it is."""
    return params.backdrop is not None or (params.colour is not None and not params.prompt)


def _add_contact_sheet(
    draft: ToolOutput, params: Background, context: ToolContext, titles: tuple[str, ...]
) -> ToolOutput:
    """With the contact sheet before the pictures that are on it, and all of them in one archive."""
    if context.draft or not params.contact_sheet:
        return draft
    page = draw_sheet(
        draft.images, [Label(title) for title in titles], Brand(), SHEET_WIDTH_PX, headed=False, columns=2
    )
    own = None if draft.source is None or params.photo is None else (params.photo, draft.source)
    names = (f"{n}-{title.lower().replace(' ', '-')}" for n, title in enumerate(titles, 1))
    return replace(
        draft,
        images=(page, *draft.images),
        sources=() if own is None else (None, *(own for _ in draft.images)),
        names=("contact-sheet", *names),
        archive_name="scenes",
    )


def _backdrop_constraints(
    placed: PlacedSubject, photo: Image, cutout: Cutout, key: Side, *, person: bool, stands: bool
) -> Backdrop:
    """A table is only under what stands whole in the photo: what is cut has no foot to stand on."""
    height = placed.alpha.shape[0]
    _, top, _, bottom = find_bounds(placed.alpha)
    fell = estimate_shadow_direction(photo, cutout.alpha) if stands else None
    if fell is not None:
        key = "right" if fell[0] < 0 else "left"
    asked = Backdrop(
        horizon_ratio=(top + 0.2 * (bottom - top)) / height if person else 0.45,
        floor_ratio=bottom / height if stands else None,
        key_light_side=key,
        seen_from=estimate_view(cutout.alpha) if stands else "front",
        camera_pitch=estimate_pitch(cutout.alpha) if stands else None,
        shadow_direction=fell,
        subject="person" if person else "product",
    )
    return with_photo_constraints(asked, photo, placed, None if person else cutout.alpha)


def _is_level_scene(params: Background) -> bool:
    """Whether the scene is one that nobody looks down on: a place, or a picture of one."""
    if params.prompt and not params.backdrop:
        return not is_flat_scene(params.prompt)
    return bool(params.backdrop or params.preset not in ("studio-grey", "spotlight"))


def _scene_size(params: Background, context: ToolContext) -> Size:
    ratio = RATIOS.get(params.ratio, (1, 1))
    return size_for_ratio(ratio, 512 if context.draft else params.size)


def _photo_size(params: Background, context: ToolContext, photo: Image) -> Size:
    """The photo's own size where the shape is kept and it is no larger than asked, so that nothing is resampled."""
    if params.ratio != "photo":
        return _scene_size(params, context)
    rows, columns = photo.shape[:2]
    longer = 512 if context.draft else min(params.size, MAX_SIDE)
    if max(rows, columns) <= longer:
        return columns, rows
    return size_for_ratio((columns, rows), longer)


TOOL = Tool(
    id="background",
    title="Background Generator",
    summary="Another place behind the same subject, in the photo's own light and framing.",
    params=Background,
    run=run,
    strengths=(
        "Custom environments",
        "Seamless blending",
        "Any style or theme",
        "High resolution",
        "Fast",
        "Checks the source, and mends light and softness",
    ),
    limits=("Invented scenes need a GPU model; here they are chosen from built-in ones",),
    model_strengths=(("Invented scenes", "image"), ("Scenes drawn around the subject", "edit")),
    examples=("astronaut", "hopper", "coffee"),
)
