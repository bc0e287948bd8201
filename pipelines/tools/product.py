"""Product Photos: products on clean ground or a surface, by a marketplace's rules; nothing floats or is invented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from pipelines.codecs.containers import encode_animation, encode_layers
from pipelines.compositing.compose import composite_subject
from pipelines.compositing.light_estimation import estimate_shadow_direction, with_photo_constraints
from pipelines.compositing.shadows import Shadow, shadow_for_view
from pipelines.compositing.turntable import SetDeviation, match_exposure, match_frame, measure_deviation, measure_extent
from pipelines.core.geometry import Cutout, Image, PlacedSubject, Side
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject, choice_field, number_field, pictures_field, seed_field
from pipelines.core.rendering import Backdrop, EncodedFile, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.camera_pitch import DEFAULT_VIEW, estimate_pitch, estimate_view, is_flat_scene
from pipelines.framing.framings import size_for_ratio
from pipelines.framing.product_placement import ASIDE_FILL_RATIO, CENTRED_FLOOR, PlacementId, arrange_products
from pipelines.framing.resample import composite_on_grey, place_subject
from pipelines.quality.marketplace_rules import PRODUCT_PRESETS, ProductPreset, marketplace_notices
from pipelines.quality.output_checks import CheckInput, run_checks
from pipelines.tools.shared import form_fields, scene_edit

PresetId = Literal[
    "amazon", "google", "ebay", "etsy", "shopify", "marble", "oak", "concrete", "linen", "podium", "brand-colour",
    "transparent",
]  # fmt: skip
RatioId = Literal["auto", "1:1", "4:5", "4:3", "16:9", "9:16"]
RATIOS: dict[str, tuple[int, int]] = {"1:1": (1, 1), "4:5": (4, 5), "4:3": (4, 3), "16:9": (16, 9), "9:16": (9, 16)}
# Where products touch the ground, in shares of the height; the podium's top lies higher.
_SURFACE_HEIGHT_RATIO, _SCENE_FLOOR_RATIOS = 0.84, {"podium": 0.80}
SPIN_SIDE_PX = 1024
SIDE_PROMPTS = {
    "left": "seen from its left side, the camera 45 degrees further to the left at the same height",
    "right": "seen from its right side, the camera 45 degrees further to the right at the same height",
    "behind": "seen from behind, the camera at the same height",
    "above": "seen from above, the camera 60 degrees higher",
}
INVENTED_NOTICE = (
    "The angles named 'invented' were drawn by a model from one photo: what that photo does not show is a guess. "
    "Compare them with the product before you sell with them."
)
SPIN_FPS = 4.0
PLAIN_GROUND_NOTICE = "This look promises its ground as it is: nothing was drawn around the product."
ANGLES_SHARE_GROUND_NOTICE = "Other sides of one set stand on one ground: nothing was drawn around the product."

CAMERA_ABOVE_NOTICE = (
    "Your photo looks down on the product, and this scene does not: a surface such as Oak, Marble or Linen, which can "
    "be seen from above, suits it better."
)


class Product(Subject):
    """The form."""

    preset: PresetId = choice_field(
        "Look", "A marketplace's rules, a surface, a colour, or no background.", "shopify",
        labels={key: rule.title for key, rule in PRODUCT_PRESETS.items()}, tiles=True,
    )  # fmt: skip
    ratio: RatioId = choice_field("Shape", "Width to height.", "auto", labels={"auto": "As the look asks"})
    seen_from: Literal["auto", "front", "three-quarter", "above"] = choice_field(
        "Seen from", "Tilts the surface to the photo's camera height.", "auto",
        labels={"auto": "As the photo", "front": "Front", "three-quarter": "Three-quarter", "above": "Above"},
    )  # fmt: skip
    background: str = form_fields.scene_words_field(
        "Takes the place of the look's scene, for example: marble, workshop, forest."
    )
    around: bool = scene_edit.around_field()
    size: int = form_fields.size_field(0)
    variations: int = form_fields.variations_field()
    placement: PlacementId = choice_field(
        "Placement", "Where it stands; aside leaves room for words.", "centre", advanced=True,
        labels={"centre": "Centre", "left": "Left third", "right": "Right third", "top": "High", "bottom": "Low",
                "lower-left": "Low left", "lower-right": "Low right"},
    )  # fmt: skip
    beside: tuple[str, ...] = pictures_field(
        "More products", "Photos of other products, to stand beside this one at the same height.", min_count=0,
        max_count=4, advanced=True,
    )  # fmt: skip
    angles: tuple[str, ...] = pictures_field(
        "Other sides", "Your photos of the same product from other sides: a set of one scale, baseline and exposure, "
        "and a spin.", min_count=0, max_count=7, advanced=True,
    )  # fmt: skip
    invent: int = number_field(
        "Invented angles", "Other sides of it, drawn by a model from this one photo, and labelled so.", 0, ge=0, le=4,
        needs=("edit",),
    )  # fmt: skip
    colour: str | None = form_fields.scene_colour_field()
    fill: float = number_field(
        "Fill", "The product's longer side in percent of the frame; 0: as the look asks.", 0.0, ge=0, le=100, unit="%"
    )
    shadow: Literal["auto", "none"] = choice_field(
        "Shadow", "Contact and cast shadow.", "auto", labels={"auto": "As the look asks", "none": "None"}, advanced=True
    )
    key: Literal["auto", "left", "right"] = choice_field(
        "Light from", "The side the light comes from in your photo.", "auto",
        labels={"auto": "As the photo's shadow says", "left": "Left", "right": "Right"}, advanced=True,
    )  # fmt: skip
    backdrop: str | None = form_fields.backdrop_field()
    blur: float = form_fields.blur_field()
    light: form_fields.Light = form_fields.light_field()
    layers: bool = form_fields.layers_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.optional_consent_field()


@dataclass(frozen=True)
class SourcePhoto:
    """One photo, and its product freed from it."""

    photo: Image
    cutout: Cutout


def run(params: Product, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out, fit to the rule, set the ground, compose with shadows; then other sides, spin and layers."""
    taken = [SourcePhoto(context.open_image(params.photo), context.cut_out_subject(params, emit))]
    taken += [_read_photo(file_id, context, emit) for file_id in params.beside]
    first = taken[0]
    emit("Cutting out", 2, 2, lambda: composite_on_grey(first.cutout.colour, first.cutout.alpha))

    rule = PRODUCT_PRESETS[params.preset]
    fell = estimate_shadow_direction(first.photo, first.cutout.alpha) if params.key == "auto" else None
    params, unlike = _resolve_camera(_resolve_light(params, fell), rule, first.cutout)
    size = size_for_ratio(
        RATIOS[rule.ratio if params.ratio == "auto" else params.ratio],
        512 if context.draft else params.size or rule.longer_side_px,
    )
    stands = not (params.seen_from == "above" or rule.pure_white or not (rule.on_surface or rule.shadow))
    floor = (
        _SCENE_FLOOR_RATIOS.get(rule.scene, _SURFACE_HEIGHT_RATIO)
        if rule.on_surface
        else CENTRED_FLOOR
        if stands
        else None
    )
    fill = params.fill / 100 or (
        rule.fill_ratio if params.placement == "centre" else min(rule.fill_ratio, ASIDE_FILL_RATIO)
    )
    frames = arrange_products([each.cutout.alpha for each in taken], size, fill, params.placement, floor, params)
    group = [place_subject(each.photo, each.cutout, frame) for each, frame in zip(taken, frames, strict=True)]
    placed = _merge_placed(group)
    emit("Framing", 1, 1, lambda: composite_on_grey(placed.colour, placed.alpha))

    ground = _draw_ground(params, context, emit, rule, placed, first, fell)
    images = [ground.compose_picture(placed, n) for n in range(len(ground.plates))]
    emit("Composing", 1, 1, images[-1])
    said = [note for each in taken for note in each.cutout.notices]
    said += [
        *frames[0].notices,
        *unlike,
        *ground.notices,
        *marketplace_notices(rule, placed.alpha, size, plain=ground.is_rule_ground),
    ]
    said += _check_cores(images, taken, group) if len(group) > 1 else []
    draft = ToolOutput(
        images=tuple(images),
        source=group[0],
        alphas=(placed.alpha,),
        notices=tuple(said),
        exact=params.light == "exact",
        transparent=ground.is_transparent,
    )
    if context.draft:
        return draft
    if params.layers and not ground.is_transparent:
        draft = replace(
            draft, extras=tuple(e for n, image in enumerate(images) for e in ground.export_layers(image, placed, n))
        )
    draft = _add_angles(draft, params, context, emit, first, group[0], ground) if params.angles else draft
    return _add_invented_angles(draft, params, context, emit) if params.invent else draft


def _resolve_camera(params: Product, rule: ProductPreset, cutout: Cutout) -> tuple[Product, tuple[str, ...]]:
    """With the camera's height read from the photo where it is not said; a place is never seen from above."""
    if params.seen_from != "auto":
        return params, ()
    view = estimate_view(cutout.alpha)
    flat = not params.background or is_flat_scene(params.background)
    level = view == "above" and not (flat and params.backdrop is None)
    params = params.model_copy(update={"seen_from": "three-quarter" if level else view})
    return params, (CAMERA_ABOVE_NOTICE,) if level else ()


def _resolve_light(params: Product, fell: tuple[float, float] | None) -> Product:
    """With the side of the light read from where the product's own shadow `fell`; else from the left."""
    if params.key != "auto":
        return params
    return params.model_copy(update={"key": "right" if fell and fell[0] < 0 else "left"})


def _read_photo(file_id: str, context: ToolContext, emit: ProgressCallback) -> SourcePhoto:
    return SourcePhoto(context.open_image(file_id), context.cut_out_subject(Subject(photo=file_id), emit))


# ---------------------------------------------------------------- where they stand


def _merge_placed(group: Sequence[PlacedSubject]) -> PlacedSubject:
    """Several placed products as one: whoever is more opaque is seen."""
    colour, alpha = group[0].colour, group[0].alpha
    for each in group[1:]:
        nearer = each.alpha > alpha
        colour = np.where(nearer[..., None], each.colour, colour)
        alpha = np.maximum(alpha, each.alpha)
    return PlacedSubject(colour, alpha, group[0].frame)


def _check_cores(images: Sequence[Image], taken: Sequence[SourcePhoto], group: Sequence[PlacedSubject]) -> list[str]:
    """The check of the first product, made for each of the others as well."""
    changed = 0.0
    for image in images:
        for each, placed in zip(taken, group, strict=True):
            look = CheckInput(image, ToolOutput(images=(image,), source=placed), each.photo)
            changed += run_checks(look)["core_changed_pixels"]
    return [f"{len(group)} products at one height; pixels changed in their cores: {changed:.0f}."]


# ---------------------------------------------------------------- what they stand on


@dataclass(frozen=True)
class Ground:
    """The scenes behind the products, and how products are laid on them. No plates: nothing is behind them.

    `made` are pictures that a model drew around them, None for each scene that they are laid on.
    """

    plates: tuple[Image | None, ...]
    notices: tuple[str, ...]
    rule: ProductPreset
    params: Product
    shadow: Shadow | None
    seed: int
    is_rule_ground: bool  # the rule's own ground, not words or a picture
    scene_edits: tuple[scene_edit.SceneEdit | None, ...] = ()

    @property
    def is_transparent(self) -> bool:
        """Whether nothing is behind the products."""
        return self.plates[0] is None

    @property
    def is_clean_white(self) -> bool:
        """White as asked: no grain, no light from the scene."""
        return self.is_rule_ground and self.rule.scene == "pure-white"

    def compose_picture(self, placed: PlacedSubject, n: int) -> Image:
        """The finished picture on plate `n`."""
        if made := self._scene_edit(n):
            return made.image
        plate, relit = self.plates[n], self.params.light == "relit"
        if plate is None:
            return _to_rgba(placed)
        image = composite_subject(
            placed,
            plate,
            seed=self.seed + n,
            key=_light_side(self.params),
            shadow=self.shadow,
            relit=relit,
            clean=self.is_clean_white,
        )
        return _whiten_outside(image, placed) if self.is_rule_ground and self.rule.pure_white else image

    def export_layers(self, image: Image, placed: PlacedSubject, n: int) -> tuple[EncodedFile, ...]:
        """Picture `n` taken apart."""
        plate, relit, name = self.plates[n], self.params.light == "relit", f"layers-{n + 1}"
        if made := self._scene_edit(n):
            return scene_edit.export_layers(made, placed, relit=relit, name=name)
        return () if plate is None else encode_layers(
            image, placed, plate, seed=self.seed + n, key=_light_side(self.params), shadow=self.shadow,
            relit=relit, clean=self.is_clean_white, name=name,
        )  # fmt: skip

    def _scene_edit(self, n: int) -> scene_edit.SceneEdit | None:
        return self.scene_edits[n] if self.scene_edits else None


def _draw_ground(
    params: Product, context: ToolContext, emit: ProgressCallback, rule: ProductPreset, placed: PlacedSubject, first: SourcePhoto,
    fell: tuple[float, float] | None,
) -> Ground:  # fmt: skip
    own = not params.background and params.backdrop is None
    if params.preset == "transparent" and own:
        return Ground((None,), (PLAIN_GROUND_NOTICE,) if params.around else (), rule, params, None, context.seed, own)
    seeds = tuple(context.seed + n for n in range(1 if context.draft or params.angles else params.variations))
    made, said = _draw_around(params, context, emit, rule, placed, first.photo, seeds)
    render = RenderRequest(
        verb="backdrop",
        prompt=params.background or ("" if params.backdrop else rule.prompt_words),
        size=placed.frame.size,
        seeds=seeds,
        backdrop=with_photo_constraints(
            _backdrop_constraints(params, context, rule, placed, fell), first.photo, placed, first.cutout.alpha
        ),
    )
    shadow = None if params.shadow == "none" or (rule.pure_white and own) else rule.shadow or Shadow()
    if shadow is not None:
        shadow = shadow_for_view(shadow, DEFAULT_VIEW if params.seen_from == "auto" else params.seen_from)
        shadow = replace(shadow, toward=fell)
    if made and all(made):
        plates = tuple(each.plate for each in made if each)
        return Ground(plates, said, rule, params, shadow, context.seed, own, made)
    scenes = context.draw(render, emit)
    return Ground(scenes.images, (*scenes.notices, *said), rule, params, shadow, context.seed, own, made)


def _draw_around(
    params: Product, context: ToolContext, emit: ProgressCallback, rule: ProductPreset, placed: PlacedSubject, photo: Image, seeds: tuple[int, ...]
) -> tuple[tuple[scene_edit.SceneEdit | None, ...], tuple[str, ...]]:  # fmt: skip
    """Pictures that an edit model draws around the products, and what is to be said; empty where nothing is drawn."""
    if not params.around or context.draft:
        return (), ()
    if params.backdrop or (params.colour and not params.background):
        return (), (scene_edit.OWN_BACKDROP_NOTICE,)
    if params.angles:
        return (), (ANGLES_SHARE_GROUND_NOTICE,)
    if not params.background and (rule.scene == "pure-white" or params.preset == "brand-colour"):
        return (), (PLAIN_GROUND_NOTICE,)
    words = params.background or rule.prompt_words
    made = scene_edit.draw_scene_around_subject(
        context, emit, photo, placed, words, seeds, relit=params.light == "relit"
    )
    return made, scene_edit.edit_notices(made)


def _backdrop_constraints(
    params: Product, context: ToolContext, rule: ProductPreset, placed: PlacedSubject, fell: tuple[float, float] | None
) -> Backdrop:  # fmt: skip
    height = placed.frame.size[1]
    rows = np.nonzero((placed.alpha > 0.5).any(axis=1))[0]
    floor = float(rows[-1] + 1) / height if len(rows) else 0.86
    return Backdrop(
        scene="" if params.background else rule.scene,
        colour=form_fields.parse_rgb(params.colour) or ((28, 122, 128) if params.preset == "brand-colour" else None),
        picture=context.open_image(params.backdrop) if params.backdrop else None,
        blur_ratio=params.blur / 100,
        horizon_ratio=max(0.05, floor - 0.45),
        floor_ratio=floor,
        key_light_side=_light_side(params),
        seen_from="three-quarter" if params.seen_from == "auto" else params.seen_from,
        camera_pitch=estimate_pitch(placed.alpha),
        shadow_direction=fell,
        subject="product",
    )


def _light_side(params: Product) -> Side:
    return "left" if params.key == "auto" else params.key


def _whiten_outside(image: Image, placed: PlacedSubject) -> Image:
    """Every pixel outside the matte is 255, as the rule asks."""
    image = image.copy()
    image[placed.alpha < 1 / 255] = 255
    return image


def _to_rgba(placed: PlacedSubject) -> Image:
    alpha = np.clip(placed.alpha * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.dstack([placed.colour, alpha])


# ---------------------------------------------------------------- other sides


def _add_angles(
    draft: ToolOutput, params: Product, context: ToolContext, emit: ProgressCallback, first: SourcePhoto, placed: PlacedSubject, ground: Ground
) -> ToolOutput:  # fmt: skip
    """The first picture, every other side like it, and all of them as a spin."""
    sides = [_read_photo(file_id, context, emit) for file_id in params.angles]
    light = measure_extent(placed.colour, placed.alpha).light
    group = [placed]
    for n, side in enumerate(sides, 1):
        there = place_subject(side.photo, side.cutout, match_frame(first.cutout, placed.frame, side.cutout))
        group.append(replace(there, colour=match_exposure(there.colour, there.alpha, light)))
        emit("Turning", n, len(sides), lambda there=there: composite_on_grey(there.colour, there.alpha))
    images = (draft.images[0], *(ground.compose_picture(each, 0) for each in group[1:]))
    found = measure_deviation([measure_extent(each.colour, each.alpha) for each in group], placed.frame.size[1])
    spin = EncodedFile(
        "result", "webp", encode_animation([_small(image) for image in images], SPIN_FPS), images, "spin"
    )
    notices = [note for side in sides for note in side.cutout.notices]
    return replace(
        draft,
        images=images,
        alphas=tuple(each.alpha for each in group),
        names=tuple(f"angle-{n}" for n in range(1, len(images) + 1)),
        archive_name="angles",
        extras=(spin, *draft.extras),
        notices=(*draft.notices, *notices, _angles_notice(found)),
        exact=False,
    )


def _add_invented_angles(
    draft: ToolOutput, params: Product, context: ToolContext, emit: ProgressCallback
) -> ToolOutput:
    """The first picture from sides that no photo shows, by a model; named and told as what they are."""
    seen = draft.images[0]
    alpha = seen[..., 3:].astype(np.float32) / 255 if seen.shape[2] == 4 else 1.0
    flat = np.asarray(seen[..., :3] * alpha + 255 * (1 - alpha) + 0.5, np.uint8)
    sides = tuple(SIDE_PROMPTS.items())[: params.invent]
    drawn: list[Image] = []
    for _, words in sides:
        asked = f"The same product, {words}. Its shape, colours, label and marks, the ground and the light stay."
        size = flat.shape[1], flat.shape[0]
        drawn += context.draw(
            RenderRequest("edit", asked, size, (context.seed,), images=(flat,), recomposes=True), emit
        ).images
    assert draft.source is not None
    # Of several sides only the first stands where the first photo does.
    proved = 1 if params.angles else len(draft.images)
    rows = [(params.photo, draft.source) if n < proved else None for n in range(len(draft.images))]
    names = draft.names or tuple(f"own-{n}" for n in range(1, len(draft.images) + 1))
    return replace(
        draft,
        images=(*draft.images, *drawn),
        sources=(*rows, *(None for _ in drawn)),
        names=(*names, *(f"invented-{name}" for name, _ in sides)),
        archive_name=draft.archive_name or "angles",
        notices=(*draft.notices, INVENTED_NOTICE),
    )


def _angles_notice(found: SetDeviation) -> str:
    measured = f"scale within {found.scale:.1%}, baseline {found.base:.1%} of the height, exposure {found.light:.1f} L*"
    if found.is_consistent:
        return f"Your own photos, none invented, brought to the first one's: {measured}."
    return f"These photos could not be brought together further ({measured}): one may cut the product or be too dark."


def _small(image: Image) -> Image:
    scale = min(1.0, SPIN_SIDE_PX / max(image.shape[:2]))
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


TOOL = Tool(
    id="product",
    title="Product Photos",
    summary="Clean shop pictures and surfaces with real contact shadows, from a photo on any table.",
    params=Product,
    run=run,
    strengths=(
        "Commercial quality",
        "Clean backgrounds",
        "Multiple angles, from your own photos",
        "High resolution",
        "Brand consistency",
        "Lifestyle scenes",
    ),
    limits=("Invented camera angles need a GPU model, and are labelled",),
    model_strengths=(("Scenes drawn around the subject", "edit"),),
    examples=("coffee",),
)
