"""Background Generator: another scene behind the same subject; without a photo, the scene alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipelines.codecs.color_profiles import ColorSpace
from pipelines.codecs.containers import encode_layers
from pipelines.codecs.file_names import name_by_words
from pipelines.compositing.compose import composite_subject
from pipelines.compositing.light_estimation import estimate_key_side, estimate_shadow_direction, with_photo_constraints
from pipelines.compositing.shadows import Shadow, shadow_for_view, with_scene_ground
from pipelines.compositing.team_pages import Brand, Label, draw_sheet
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Cutout, Image, PlacedSubject, Side, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject, choice_field, flag_field, picture_field, seed_field
from pipelines.core.rendering import (
    Backdrop,
    Caption,
    EncodedFile,
    RenderedImages,
    RenderRequest,
    SceneMatch,
    ToolOutput,
)
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.camera_pitch import DEFAULT_VIEW, estimate_pitch, estimate_view, is_flat_scene
from pipelines.framing.framings import PLACE_GROUND_RATIO, size_for_ratio
from pipelines.framing.head_framing import find_torn_matte_row, shows_whole_figure
from pipelines.framing.placement import find_bounds, find_cut_sides, frame_photo
from pipelines.framing.resample import place_subject
from pipelines.models.families.scenes.keyword_search import choose_scene, is_place, list_closest_scenes
from pipelines.quality.photo_quality import assess_photo, correct_exposure_and_softness, fix_background
from pipelines.quality.subject_checks import count_people
from pipelines.tools.shared import form_fields, scene_edit
from pipelines.tools.shared.scene_request import consecutive_seeds, scene_caption, scene_prompt, with_form_scene

CAMERA_ABOVE_NOTICE = "Your photo looks down on the subject, and this scene does not: Studio Grey suits it better."
SCENES_MODEL_ID = "backdrops"
SHEET_SCENE_COUNT = 4
SHEET_WIDTH_PX = 1600
PresetId = Literal[
    "studio-grey", "spotlight", "apartment", "lobby", "workshop", "forest", "park", "night", "sunset", "venice",
    "my-backdrop",
]  # fmt: skip
RatioId = Literal["photo", "1:1", "4:5", "2:3", "3:2", "16:9", "9:16"]


@dataclass(frozen=True)
class Scene:
    """A preset: a built-in scene, and a prompt for a model that draws."""

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
    "night": Scene("Night", "skyline-night", "city street at night with lights, out of focus"),
    "sunset": Scene("Sunset", "city-sunset", "open landscape at sunset, out of focus"),
    "venice": Scene("Venice", "venice", "Venice at dusk, out of focus"),
    "my-backdrop": Scene("My Backdrop", "", ""),
}


class Background(Subject):
    """The form. `photo` may be left out: then only the scene is drawn."""

    photo: str | None = picture_field(  # pyrefly: ignore[bad-override]
        "Photo", "Your subject. Without one, only the scene is drawn."
    )
    prompt: str = form_fields.scene_words_field(
        "What stands behind the subject, for example: Tokyo at night, autumn forest, office."
    )
    preset: PresetId = choice_field(
        "Scene",
        "Used when there are no words.",
        "studio-grey",
        labels={key: scene.title for key, scene in SCENES.items()},
        tiles=True,
    )
    backdrop: str | None = picture_field("My backdrop", "Your own picture as the scene.")
    ratio: RatioId = choice_field("Shape", "Width to height.", "photo", labels={"photo": "As the photo"})
    size: int = form_fields.size_field(1280, form_fields.LARGE_SIDE_PX)
    variations: int = form_fields.variations_field()
    contact_sheet: bool = flag_field(
        "Contact sheet of four",
        "Four scenes to choose from on one page, and each as a picture. With words: the closest, best first.",
    )
    around: bool = scene_edit.around_field()
    mend: bool = flag_field(
        "Mend the photo",
        "Lifts a photo that is too dark and sharpens one that is soft, where the check found it so. "
        "Your pixels change then.",
    )
    colour: str | None = form_fields.scene_colour_field()
    blur: float = form_fields.blur_field()
    light: form_fields.Light = form_fields.subject_light_field()
    look: str = form_fields.look_field()
    brand: str = form_fields.brand_field()
    adapter: str = form_fields.adapter_field()
    adapter_weight: float = form_fields.adapter_weight_field()
    format: form_fields.FileFormat = form_fields.format_field()
    model_words: str = form_fields.model_words_field()
    layers: bool = form_fields.layers_field()
    quality: int = form_fields.quality_field()
    master: form_fields.MasterFile = form_fields.master_field()
    master_profile: ColorSpace = form_fields.master_profile_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Background, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out, keep the place, check the photo, set the scenes, compose; then the contact sheet."""
    if params.preset == "my-backdrop" and params.backdrop is None and not params.prompt:
        raise BadInput("Choose a picture for 'My backdrop', or another scene.", param="backdrop")
    if params.photo is None:
        return _draw_scenes_only(params, context, emit)

    photo = context.open_image(params.photo)
    cutout = context.cut_out_subject(params, emit, together=True)
    emit("Cutting out", 2, 2)
    size = _photo_size(params, context, photo)
    faces = context.detect_faces(params.photo)
    people = () if params.is_pointed or params.matte else count_people(faces, params.pick, together=params.pick == 0)
    end = find_torn_matte_row(cutout.alpha, faces[params.pick]) if params.pick < len(faces) else None
    is_standing = shows_whole_figure(cutout.alpha, faces[0]) if faces else "bottom" not in find_cut_sides(cutout.alpha)
    on_ground = is_standing and _is_level_scene(params) and (bool(faces) or estimate_pitch(cutout.alpha) is None)
    ground = PLACE_GROUND_RATIO if on_ground and params.backdrop is None else 0.0
    frame = frame_photo(cutout.alpha, size, params, body_end=end, stands=is_standing, highest_ground=ground)
    placed = place_subject(photo, cutout, frame)
    key: Side = estimate_key_side(photo, faces[0]) if faces else "none"
    findings = assess_photo(photo, cutout.alpha, placed, faces[params.pick : params.pick + 1])
    is_fixed = params.mend and any(finding.fixed_sentence for finding in findings)
    subject = correct_exposure_and_softness(placed, photo, findings) if is_fixed else placed

    scene_notices: list[str] = []
    backdrop = _constrain_backdrop(subject, photo, cutout, key, is_person=bool(faces), is_standing=is_standing)
    if is_fixed and backdrop.original_background is not None:
        backdrop = replace(backdrop, original_background=fix_background(backdrop.original_background, photo, findings))
    if is_standing and backdrop.seen_from == "above" and _is_level_scene(params):
        backdrop = replace(backdrop, seen_from=DEFAULT_VIEW)
        scene_notices.append(CAMERA_ABOVE_NOTICE)
    if on_ground and not faces:
        # Cups, pots and boxes have a round or straight foot and belong on a table; who stands on legs or wheels stands
        # on the ground of the place.
        backdrop = replace(backdrop, subject="any")
    is_relit = params.light == "relit"
    shadow = replace(shadow_for_view(Shadow(), backdrop.seen_from), toward=backdrop.shadow_direction)
    plans, titles = _plan_scenes(params, context, backdrop)
    match: SceneMatch | None = None
    images: list[Image] = []
    layers: list[EncodedFile] = []
    for plan in plans:
        edits = _draw_around(plan.form, context, emit, photo, subject, plan.count)
        scenes = _draw_scenes(plan, context, emit, size, backdrop) if None in edits else RenderedImages(())
        match = match or scenes.scene_match
        scene_notices += [*scenes.notices, *_around_notices(plan.form, context, edits)]
        for n, edit in enumerate(edits):
            seed, name = context.seed + len(images), f"layers-{len(images) + 1}"
            cast = with_scene_ground(shadow, scenes.grounds, n) if is_standing else None
            light: dict[str, Any] = {"key_side": backdrop.key_light_side, "shadow": cast, "relit": is_relit}
            images.append(edit.image if edit else composite_subject(subject, scenes.images[n], seed=seed, **light))
            if params.layers and not context.draft and edit:
                layers += scene_edit.export_layers(edit, subject, relit=is_relit, name=name)
            elif params.layers and not context.draft:
                layers += encode_layers(images[-1], subject, scenes.images[n], seed=seed, **light, name=name)
            emit("Composing", len(images), len(titles), images[-1])
    photo_notices = (each.fixed_sentence if is_fixed and each.fixed_sentence else each.sentence for each in findings)
    output = ToolOutput(
        images=tuple(images),
        source=placed,
        alphas=(placed.alpha,),
        notices=(*cutout.notices, *people, *frame.notices, *photo_notices, *dict.fromkeys(scene_notices)),
        exact=params.light == "exact" and not is_fixed,
        extras=tuple(layers),
        names=_name_pictures(params, match, len(images)),
        keeps_words=True,
        draft_part="first" if context.draft and (params.contact_sheet or params.variations > 1) else None,
    )
    return _add_contact_sheet(output, params, context, titles)


def _draw_scenes_only(params: Background, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    backdrop = Backdrop(subject="any")
    plans, titles = _plan_scenes(params, context, backdrop)
    size = _scene_size(params, context)
    drawn = [_draw_scenes(plan, context, emit, size, backdrop) for plan in plans]
    images = tuple(image for each in drawn for image in each.images)
    notices = dict.fromkeys(notice for each in drawn for notice in each.notices)
    match = next((each.scene_match for each in drawn if each.scene_match), None)
    names = _name_pictures(params, match, len(images))
    return _add_contact_sheet(ToolOutput(images=images, notices=tuple(notices), names=names), params, context, titles)


def _name_pictures(params: Background, match: SceneMatch | None, count: int) -> tuple[str, ...]:
    """Name the pictures after their scene where that is not the preset's: the user's picture, or what words chose."""
    if params.backdrop is None and not params.prompt:
        return ()
    return name_by_words("my-backdrop" if params.backdrop else match.scene if match else params.prompt, count)


@dataclass(frozen=True)
class ScenePlan:
    """A form to draw `count` scenes of; `scene_id` is a built-in scene in place of its words."""

    form: Background
    count: int = 1
    scene_id: str = ""


def _plan_scenes(
    params: Background, context: ToolContext, backdrop: Backdrop
) -> tuple[list[ScenePlan], tuple[str, ...]]:
    """List the forms to draw, and a title for every scene."""
    has_sheet = params.contact_sheet and not context.draft
    if has_sheet and not (params.prompt or params.backdrop):
        names = list_next_scenes(params.preset)
        plans = [ScenePlan(params.model_copy(update={"preset": name})) for name in names]
        return plans, tuple(SCENES[name].title for name in names)
    if has_sheet and _chooses_by_words(params, context):
        near = list_closest_scenes(params.prompt, backdrop.subject, SHEET_SCENE_COUNT)
        chosen = choose_scene(params.prompt, backdrop.subject).scene  # drawn by the words: the receipt says how close
        if near:
            plans = [ScenePlan(params, 1, "" if row is chosen else row.id) for row in near]
            return plans, tuple(row.title for row in near)
    # A model that draws, a picture or a paper: the sheet shows variations of that one.
    count = SHEET_SCENE_COUNT if has_sheet else 1 if context.draft else params.variations
    return [ScenePlan(params, count)], tuple(str(n + 1) for n in range(count))


def _chooses_by_words(params: Background, context: ToolContext) -> bool:
    """Whether words choose among the built-in scenes, and no model draws what they say."""
    is_drawn = params.around and context.has_verb("edit")
    return not is_drawn and params.backdrop is None and context.spec_for_role("backdrop") == SCENES_MODEL_ID


def list_next_scenes(preset: str) -> tuple[str, ...]:
    """List the scene and those that follow it, four in all; after the last comes the first."""
    names = [name for name, scene in SCENES.items() if scene.scene_id]
    start = names.index(preset)
    return tuple(names[(start + step) % len(names)] for step in range(SHEET_SCENE_COUNT))


def _draw_scenes(
    plan: ScenePlan, context: ToolContext, emit: ProgressCallback, size: Size, constraints: Backdrop
) -> RenderedImages:
    params = plan.form
    scene, colour = SCENES[params.preset], form_fields.parse_rgb(params.colour)
    wish = "" if plan.scene_id else params.prompt
    backdrop = with_form_scene(constraints, params, context, wish, plan.scene_id or scene.scene_id, colour)
    words, seeds = scene_prompt(params, wish, scene.words), consecutive_seeds(context, plan.count)
    render = RenderRequest(
        verb="backdrop",
        prompt=words,
        size=size,
        seeds=seeds,
        backdrop=backdrop,
        caption=_scene_caption(params),
        model_words=params.model_words,
    )
    return context.draw(render, emit)


def _scene_caption(params: Background) -> Caption:
    return scene_caption(params, params.prompt, SCENES[params.preset].words, "picture")


def _draw_around(
    params: Background, context: ToolContext, emit: ProgressCallback, photo: Image, placed: PlacedSubject, count: int
) -> tuple[scene_edit.SceneEdit | None, ...]:
    """Let an edit model draw around the subject; None for each scene that is to be set behind it instead."""
    if not params.around or context.draft or _uses_own_backdrop(params):
        return (None,) * count
    words = params.prompt or SCENES[params.preset].words
    seeds = consecutive_seeds(context, count)
    return scene_edit.draw_scene_around_subject(
        context, emit, photo, placed, words, seeds, relit=params.light == "relit"
    )


def _around_notices(
    params: Background, context: ToolContext, edits: Sequence[scene_edit.SceneEdit | None]
) -> tuple[str, ...]:
    if not params.around or context.draft:
        return ()
    return (scene_edit.OWN_BACKDROP_NOTICE,) if _uses_own_backdrop(params) else scene_edit.edit_notices(edits)


def _uses_own_backdrop(params: Background) -> bool:
    """Whether the user's picture or colour is the scene, so that nothing may be drawn."""
    return params.backdrop is not None or (params.colour is not None and not params.prompt)


def _add_contact_sheet(
    output: ToolOutput, params: Background, context: ToolContext, titles: tuple[str, ...]
) -> ToolOutput:
    """Put a contact sheet before the pictures that are on it, and all of them in one archive."""
    if context.draft or not params.contact_sheet:
        return output
    page = draw_sheet(
        output.images, [Label(title) for title in titles], Brand(), SHEET_WIDTH_PX, headed=False, columns=2
    )
    own = None if output.source is None or params.photo is None else (params.photo, output.source)
    names = (f"{n}-{title.lower().replace(',', '').replace(' ', '-')}" for n, title in enumerate(titles, 1))
    return replace(
        output,
        images=(page, *output.images),
        sources=() if own is None else (None, *(own for _ in output.images)),
        names=("contact-sheet", *names),
        archive_name="scenes",
    )


def _constrain_backdrop(
    placed: PlacedSubject, photo: Image, cutout: Cutout, key: Side, *, is_person: bool, is_standing: bool
) -> Backdrop:
    """Read from the photo what the scene must fit; only a subject that is whole in the photo stands on something."""
    height = placed.alpha.shape[0]
    _, top, _, bottom = find_bounds(placed.alpha)
    shadow_direction = estimate_shadow_direction(photo, cutout.alpha) if is_standing else None
    if shadow_direction is not None:
        key = "right" if shadow_direction[0] < 0 else "left"
    backdrop = Backdrop(
        horizon_ratio=(top + 0.2 * (bottom - top)) / height if is_person else 0.45,
        floor_ratio=bottom / height if is_standing else None,
        key_light_side=key,
        seen_from=estimate_view(cutout.alpha) if is_standing and not is_person else "front",
        camera_pitch=estimate_pitch(cutout.alpha) if is_standing and not is_person else None,
        shadow_direction=shadow_direction,
        subject="person" if is_person else "product",
    )
    return with_photo_constraints(backdrop, photo, placed, None if is_person else cutout.alpha)


def _is_level_scene(params: Background) -> bool:
    """Whether the scene is a place, or a picture of one, which a camera does not look down on."""
    if params.prompt and not params.backdrop:
        return not is_flat_scene(params.prompt)
    return bool(params.backdrop or params.preset not in ("studio-grey", "spotlight"))


def _scene_size(params: Background, context: ToolContext) -> Size:
    ratio = form_fields.ASPECT_RATIOS.get(params.ratio, (1, 1))
    return size_for_ratio(ratio, form_fields.DRAFT_SIDE_PX if context.draft else params.size)


def _photo_size(params: Background, context: ToolContext, photo: Image) -> Size:
    """The photo's own size where its shape is kept and it is not too large, so that nothing is resampled."""
    if params.ratio != "photo":
        return _scene_size(params, context)
    rows, columns = photo.shape[:2]
    longer = form_fields.DRAFT_SIDE_PX if context.draft else params.size
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
    limits=("Invented scenes need a graphics card; without one a built-in scene is chosen",),
    model_strengths=(("Invented scenes", "image"), ("Scenes drawn around the subject", "edit")),
    examples=("astronaut", "hopper", "coffee"),
    caption=_scene_caption,
    place_looks=tuple(key for key, scene in SCENES.items() if is_place(scene.scene_id)),
)
