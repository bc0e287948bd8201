"""Product Photos: products on clean ground or a surface, by a marketplace's rules, with contact shadows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from pipelines.codecs.color_profiles import ColorSpace
from pipelines.codecs.containers import encode_animation, encode_layers
from pipelines.compositing.compose import composite_subject
from pipelines.compositing.light_estimation import estimate_shadow_direction, with_photo_constraints
from pipelines.compositing.shadows import Shadow, shadow_for_view, with_scene_ground
from pipelines.compositing.turntable import SetDeviation, match_exposure, match_frame, measure_deviation, measure_extent
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Cutout, Frame, Image, PlacedSubject, Side, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    MAX_SIDE,
    Subject,
    choice_field,
    number_field,
    pictures_field,
    prompt_field,
    seed_field,
)
from pipelines.core.rendering import Backdrop, Caption, EncodedFile, RenderRequest, SceneGround, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.camera_pitch import View, estimate_pitch, estimate_view, is_flat_scene
from pipelines.framing.framings import size_for_ratio
from pipelines.framing.placement import find_bounds
from pipelines.framing.product_placement import (
    ASIDE_FILL_RATIO,
    CENTRED_FLOOR,
    PlacementId,
    arrange_products,
    describe_shape_cuts,
    find_shape_cuts,
    unfollowed_notices,
)
from pipelines.framing.resample import PREVIEW_GREY_LEVEL, composite_on_grey, place_subject
from pipelines.imaging.color import flatten_on_white
from pipelines.quality.marketplace_rules import PRODUCT_PRESETS, ProductPreset, marketplace_notices, white_edge_notices
from pipelines.quality.output_checks import CheckInput, run_checks
from pipelines.quality.softness import describe_softness, thin_part_notices
from pipelines.quality.subject_checks import check_scenery, count_people
from pipelines.tools.shared import form_fields, scene_edit
from pipelines.tools.shared.clothes_edit import CLOTHES_LABELS, ClothesId, draw_clothes
from pipelines.tools.shared.picture_operations import merge_most_opaque, shrink_to_side, to_rgba
from pipelines.tools.shared.scene_request import consecutive_seeds, scene_caption, scene_prompt, with_form_scene

PresetId = Literal[
    "white", "amazon", "google", "ebay", "etsy", "shopify", "marble", "oak", "concrete", "linen", "podium",
    "brand-colour", "transparent",
]  # fmt: skip
RatioId = Literal["auto", "1:1", "4:5", "4:3", "16:9", "9:16"]
_SURFACE_FLOOR_RATIO = 0.84  # of the height, where products touch a surface
_SCENE_FLOOR_RATIOS = {"podium": 0.80}  # the same in scenes whose surface lies higher
_BRAND_COLOUR = (28, 122, 128)
SPIN_SIDE_PX = 1024
_VIEW_WORDS = {
    "front": "the front, from just above the surface",
    "three-quarter": "slightly above, at a three-quarter angle",
    "above": "above, at a steep angle",
}
_FREE_SIDES = {
    "left": "right side", "right": "left side", "top": "lower part", "bottom": "upper part",
    "lower-left": "upper right", "lower-right": "upper left",
}  # fmt: skip
"""What a placement leaves free for words."""
SIDE_PROMPTS = {
    "left": "seen from its left side, the camera 45 degrees further to the left at the same height",
    "right": "seen from its right side, the camera 45 degrees further to the right at the same height",
    "behind": "seen from behind, the camera at the same height",
    "above": "seen from above, the camera 60 degrees higher",
}
_SIDE_NAMES: dict[str, Literal["", "left", "right", "rear"]] = {"left": "left", "right": "right", "behind": "rear"}
INVENTED_NOTICE = (
    "The angles named 'invented' were drawn by a model from one photo: what that photo does not show is a guess. "
    "Compare them with the product before you sell with them."
)
SPIN_FPS = 4.0
PLAIN_GROUND_NOTICE = "This look promises its ground as it is: nothing was drawn around the product."
ANGLES_SHARE_GROUND_NOTICE = "Other sides of one set stand on one ground: nothing was drawn around the product."
CLOTHES_IN_SET_MESSAGE = "Other sides of a set are photos as they are: leave them out, or 'Clothes' as photographed."

CAMERA_ABOVE_NOTICE = (
    "Your photo looks down on the product, and this scene does not: a surface such as Oak, Marble or Linen, which can "
    "be seen from above, suits it better."
)


class Product(Subject):
    """The form."""

    preset: PresetId = choice_field(
        "Look",
        "White, grey or linen by a marketplace's rules, a surface, a colour, or no background.",
        "shopify",
        labels={key: rule.label for key, rule in PRODUCT_PRESETS.items()},
        tiles=True,
        start="white",
    )
    ratio: RatioId = choice_field("Shape", "Width to height. Auto: as in the look.", "auto", labels={"auto": "Auto"})
    seen_from: Literal["auto", "front", "three-quarter", "above"] = choice_field(
        "Seen from",
        "Tilts the surface to the photo's camera height.",
        "auto",
        labels={"auto": "As the photo", "front": "Front", "three-quarter": "Three-quarter", "above": "Above"},
    )
    background: str = form_fields.scene_words_field(
        "Takes the place of the look's scene, for example: marble, workshop, forest."
    )
    around: bool = scene_edit.around_field()
    size: int = form_fields.size_field(0, form_fields.LARGE_SIDE_PX)
    variations: int = form_fields.variations_field()
    placement: PlacementId = choice_field(
        "Placement",
        "Where it stands; aside leaves room for words.",
        "centre",
        advanced=True,
        labels={
            "centre": "Centre",
            "left": "Left third",
            "right": "Right third",
            "top": "High",
            "bottom": "Low",
            "lower-left": "Low left",
            "lower-right": "Low right",
        },
    )
    beside: tuple[str, ...] = pictures_field(
        "More products",
        "Photos of other products, to stand beside this one at the same height.",
        min_count=0,
        max_count=4,
        advanced=True,
    )
    angles: tuple[str, ...] = pictures_field(
        "Other sides",
        "Your photos of the same product from other sides: a set of one scale, baseline and exposure, and a spin.",
        min_count=0,
        max_count=7,
        advanced=True,
    )
    invent: int = number_field(
        "Invented angles",
        "Other sides of it, drawn by a model from this one photo, and labelled so.",
        0,
        ge=0,
        le=4,
        needs=("edit",),
    )
    clothes: ClothesId = choice_field(
        "Clothes",
        "A model draws a garment by itself, after your photo of it worn, on a hanger or on a mannequin.",
        "as-photographed",
        labels=CLOTHES_LABELS,
        advanced=True,
        needs=("edit",),
    )
    garment: str = prompt_field(
        "Which garment",
        "Where the photo shows several, for example: the blue jacket.",
        max_length=80,
        advanced=True,
        needs=("edit",),
    )
    colour: str | None = form_fields.scene_colour_field()
    fill: float = number_field(
        "Fill", "The product's longer side in percent of the frame; 0: as in the look.", 0.0, ge=0, le=100, unit="%"
    )
    shadow: Literal["auto", "none"] = choice_field(
        "Shadow",
        "Under it, and the one that it throws. Auto: as in the look.",
        "auto",
        labels={"auto": "Auto", "none": "None"},
        advanced=True,
    )
    key: Literal["auto", "left", "right"] = choice_field(
        "Light from",
        "The side the light comes from in your photo.",
        "auto",
        labels={"auto": "As the photo's shadow says", "left": "Left", "right": "Right"},
        advanced=True,
    )
    backdrop: str | None = form_fields.backdrop_field()
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
    consent: bool = form_fields.optional_consent_field()


@dataclass(frozen=True)
class Viewpoint:
    """Camera and light of the photo, or what the form says instead."""

    view: View
    light_side: Side
    shadow_direction: tuple[float, float] | None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProductPhoto:
    """One photo and the product cut out of it."""

    photo: Image
    cutout: Cutout


def run(params: Product, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out, fit to the preset's rule, draw the ground, compose with shadows; then other angles, spin and layers."""
    sources = [ProductPhoto(context.open_image(params.photo), context.cut_out_subject(params, emit))]
    sources += [_read_photo(file_id, context, emit) for file_id in params.beside]
    first = sources[0]
    faces = context.detect_faces(params.photo)
    if not params.is_pointed and params.matte is None:
        check_scenery(first.cutout.alpha, faces, has_searched_faces=params.consent)
    preset = PRODUCT_PRESETS[params.preset]
    level = 255 if preset.pure_white else PREVIEW_GREY_LEVEL
    emit("Cutting out", 2, 2, lambda: composite_on_grey(first.cutout.colour, first.cutout.alpha, level))

    shape = preset.ratio if params.ratio == "auto" else params.ratio
    longer_px = params.size or preset.longer_side_px
    side = form_fields.DRAFT_SIDE_PX if context.draft else longer_px
    size = size_for_ratio(form_fields.ASPECT_RATIOS[shape], side)
    clothes_notices: tuple[str, ...] = ()
    is_redrawn = params.clothes != "as-photographed" and not context.draft
    if is_redrawn:
        params, first, clothes_notices = _draw_clothes(params, first, size, context, emit)
        sources[0] = first
    viewpoint = _find_viewpoint(params, first)
    shoot = _ProductShoot(params, context, emit, preset, first, viewpoint)
    frames = list(shoot.arrange(sources, size))
    if len(sources) == 1:
        frames[0] = shoot.add_cut_notices(frames[0], shape)
    frames = _describe_softness_of_each(frames, sources, longer_px)
    group = [place_subject(each.photo, each.cutout, frame) for each, frame in zip(sources, frames, strict=True)]
    merged = merge_most_opaque((each.colour, each.alpha) for each in group)
    placed = PlacedSubject(*merged, group[0].frame, has_background=group[0].has_background)
    emit("Framing", 1, 1, lambda: composite_on_grey(placed.colour, placed.alpha, level))

    ground = shoot.draw_ground(placed)
    images = tuple(ground.compose_picture(placed, n) for n in range(len(ground.plates)))
    emit("Composing", 1, 1, images[-1])
    notices = [notice for each in sources for notice in each.cutout.notices]
    notices += count_people(faces, params.pick)
    notices += [*frames[0].notices, *viewpoint.notices, *ground.notices]
    is_doubtful = any(each.cutout.is_doubtful for each in sources)
    is_plain = ground.is_preset_ground
    notices += marketplace_notices(
        preset, placed.alpha, size, longer_px=longer_px, plain=is_plain, doubtful=is_doubtful
    )
    notices += [
        notice
        for each, alone in zip(sources, group, strict=True)
        for notice in thin_part_notices(each.cutout.alpha, alone)
    ]
    notices += white_edge_notices(placed) if preset.pure_white and is_plain else ()
    notices += _check_cores(images, sources, group) if len(group) > 1 and not is_doubtful and not is_redrawn else []
    output = ToolOutput(
        images=images,
        source=group[0],
        alphas=(placed.alpha,),
        notices=(*clothes_notices, *notices),
        exact=params.light == "exact" and not is_redrawn,
        transparent=ground.is_transparent,
        keeps_words=not is_redrawn,
        is_sketch=context.draft and params.clothes != "as-photographed",
        draft_part="first" if context.draft and (params.angles or params.invent or params.variations > 1) else None,
    )
    if context.draft:
        return output
    if params.layers and not ground.is_transparent:
        layers = [file for n, image in enumerate(images) for file in ground.export_layers(image, placed, n)]
        output = replace(output, extras=tuple(layers))
    output = shoot.add_angles(output, group[0], ground) if params.angles else output
    output = shoot.add_invented_angles(output) if params.invent else output
    # The photo's own garment is nowhere in the picture, so that no place of it can be compared.
    return replace(output, source=None, sources=()) if is_redrawn else output


def _draw_clothes(
    params: Product, source: ProductPhoto, size: Size, context: ToolContext, emit: ProgressCallback
) -> tuple[Product, ProductPhoto, tuple[str, ...]]:
    """Let a model draw the garment; the form with the camera and shadow that suit it, its picture, and notices."""
    if params.angles:
        raise BadInput(CLOTHES_IN_SET_MESSAGE, param="clothes")
    size = size_for_ratio(size, min(max(size), MAX_SIDE))
    drawn, cutout, notices = draw_clothes(
        context, emit, source.photo, source.cutout, params.clothes, params.garment, size
    )
    if params.clothes == "flat-lay":
        seen_from = "above" if params.seen_from == "auto" else params.seen_from
        return params.model_copy(update={"seen_from": seen_from}), ProductPhoto(drawn, cutout), notices
    # What nobody wears stands on no ground.
    shadow = "none" if params.shadow == "auto" else params.shadow
    return params.model_copy(update={"shadow": shadow}), ProductPhoto(drawn, cutout), notices


def _find_viewpoint(params: Product, source: ProductPhoto) -> Viewpoint:
    """Read camera and light from the photo where the form leaves them open; a place is never seen from above."""
    shadow_direction, side = None, params.key
    if side == "auto":
        shadow_direction = estimate_shadow_direction(source.photo, source.cutout.alpha)
        side = "right" if shadow_direction and shadow_direction[0] < 0 else "left"
    if params.seen_from != "auto":
        return Viewpoint(params.seen_from, side, shadow_direction)
    view = estimate_view(source.cutout.alpha)
    is_place = params.backdrop is not None or (params.background and not is_flat_scene(params.background))
    if view == "above" and is_place:
        return Viewpoint("three-quarter", side, shadow_direction, (CAMERA_ABOVE_NOTICE,))
    return Viewpoint(view, side, shadow_direction)


def _read_photo(file_id: str, context: ToolContext, emit: ProgressCallback) -> ProductPhoto:
    return ProductPhoto(context.open_image(file_id), context.cut_out_subject(Subject(photo=file_id), emit))


def _describe_softness_of_each(
    frames: Sequence[Frame], sources: Sequence[ProductPhoto], kept_side_px: int
) -> list[Frame]:
    """Return the frames with what is soft; the first one, which stands for the picture, says it of all."""
    first, *others = (
        describe_softness(frame, each.photo, find_bounds(each.cutout.alpha), kept_side_px)
        for each, frame in zip(sources, frames, strict=True)
    )
    said = [
        doubt for before, frame in zip(frames[1:], others, strict=True) for doubt in frame.doubts[len(before.doubts) :]
    ]
    new = tuple(doubt for doubt in dict.fromkeys(said) if doubt not in first.notices)
    return [replace(first, notices=(*first.notices, *new), doubts=(*first.doubts, *new)), *others]


def _check_cores(images: Sequence[Image], sources: Sequence[ProductPhoto], group: Sequence[PlacedSubject]) -> list[str]:
    """Count the changed pixels in the cores of all products, as the check of the job does for the first one."""
    changed = 0.0
    for image in images:
        for source, placed in zip(sources, group, strict=True):
            check_input = CheckInput(image, ToolOutput(images=(image,), source=placed), source.photo)
            changed += run_checks(check_input)["core_changed_pixels"]
    return [f"{len(group)} products at one height; pixels changed inside them: {changed:.0f}."]


@dataclass(frozen=True)
class Ground:
    """The scenes behind the products (None: transparent) and how products go on them; `scene_edits`: by a model."""

    plates: tuple[Image | None, ...]
    notices: tuple[str, ...]
    preset: ProductPreset
    shadow: Shadow | None
    light_side: Side
    relit: bool
    seed: int
    is_preset_ground: bool  # the preset's own ground, not words or a picture
    scene_edits: tuple[scene_edit.SceneEdit | None, ...] = ()
    scene_grounds: tuple[SceneGround | None, ...] = ()

    @property
    def is_transparent(self) -> bool:
        """Whether nothing is behind the products."""
        return self.plates[0] is None

    def compose_picture(self, placed: PlacedSubject, n: int) -> Image:
        """Composite the products on plate `n`."""
        plate = self.plates[n]
        if edit := self.scene_edits[n] if self.scene_edits else None:
            return edit.image
        if plate is None:
            return to_rgba(placed.colour, placed.alpha)
        image = composite_subject(placed, plate, **self._composite_options(n))
        if self.is_preset_ground and self.preset.pure_white:
            image = image.copy()
            image[placed.alpha < 1 / 255] = 255
        return image

    def export_layers(self, image: Image, placed: PlacedSubject, n: int) -> tuple[EncodedFile, ...]:
        """Encode picture `n` as layers."""
        plate, name = self.plates[n], f"layers-{n + 1}"
        if edit := self.scene_edits[n] if self.scene_edits else None:
            return scene_edit.export_layers(edit, placed, relit=self.relit, name=name)
        if plate is None:
            return ()
        return encode_layers(image, placed, plate, **self._composite_options(n), name=name)

    def _composite_options(self, n: int) -> dict[str, Any]:
        shadow = None if self.shadow is None else with_scene_ground(self.shadow, self.scene_grounds, n)
        light: dict[str, Any] = {"key_side": self.light_side, "shadow": shadow, "relit": self.relit}
        return {**light, "seed": self.seed + n, "clean": self.is_preset_ground and self.preset.scene == "pure-white"}


@dataclass(frozen=True)
class _ProductShoot:
    """One product's pictures: what is asked for, and the `first` photo, which the others follow."""

    params: Product
    context: ToolContext
    emit: ProgressCallback
    preset: ProductPreset
    first: ProductPhoto
    viewpoint: Viewpoint

    def arrange(self, sources: Sequence[ProductPhoto], size: Size) -> Sequence[Frame]:
        """Frame the products side by side, on the floor of the scene where it has one."""
        params, preset, floor = self.params, self.preset, None
        if preset.on_surface:
            floor = _SCENE_FLOOR_RATIOS.get(preset.scene, _SURFACE_FLOOR_RATIO)
        elif self.viewpoint.view != "above" and preset.shadow and not preset.pure_white:
            floor = CENTRED_FLOOR
        is_centred = params.placement == "centre"
        default_fill = preset.fill_ratio if is_centred else min(preset.fill_ratio, ASIDE_FILL_RATIO)
        alphas = [source.cutout.alpha for source in sources]
        # A shop's rule or the user's own number says how much is filled; a set's other sides need the first one's room.
        fill_from_cut = not (params.fill or preset.min_fill_ratio or params.angles)
        fill = params.fill / 100 or default_fill
        return arrange_products(alphas, size, fill, params.placement, floor, params, fill_from_cut=fill_from_cut)

    def add_cut_notices(self, frame: Frame, shape: str) -> Frame:
        """Return the frame with doubts of what the shape cuts and of wishes that the photo's own cuts forbid."""
        placement = {"placement": "centre", "placement_x": 0.0, "placement_y": 0.0, "placement_scale": 1.0}
        plain = replace(self, params=self.params.model_copy(update=placement))

        def frame_product(size: Size) -> Frame:
            return plain.arrange([self.first], size)[0]

        alpha, is_aside = self.first.cutout.alpha, self.params.placement != "centre"
        shapes = {name: form_fields.ASPECT_RATIOS[name] for name in get_args(RatioId) if name != "auto"}
        unfollowed = unfollowed_notices(alpha, frame, frame_product(frame.size), self.params, is_aside=is_aside)
        sides, better_shape = find_shape_cuts(alpha, shape, shapes, frame_product)
        cuts = (describe_shape_cuts(shape, sides, better_shape),) if sides else ()
        return replace(
            frame,
            notices=(*cuts, *unfollowed, *frame.notices),
            doubts=(*cuts, *unfollowed, *frame.doubts),
            better_shape=better_shape,
        )

    def draw_ground(self, placed: PlacedSubject) -> Ground:
        """Draw the scenes, by an edit model around the products where that is asked for and possible."""
        params, context, preset, viewpoint = self.params, self.context, self.preset, self.viewpoint
        is_preset_ground = not params.background and params.backdrop is None
        shadow = None
        if params.shadow != "none" and not (preset.pure_white and is_preset_ground):
            shadow = shadow_for_view(preset.shadow or Shadow(), viewpoint.view)
            shadow = replace(shadow, toward=viewpoint.shadow_direction)
        ground = Ground(
            plates=(None,),
            notices=(PLAIN_GROUND_NOTICE,) if params.around else (),
            preset=preset,
            shadow=shadow,
            light_side=viewpoint.light_side,
            relit=params.light == "relit",
            seed=context.seed,
            is_preset_ground=is_preset_ground,
        )
        if params.preset == "transparent" and is_preset_ground:
            return ground
        seeds = consecutive_seeds(context, 1 if context.draft or params.angles else params.variations)
        edits, notices = self._draw_around(placed, seeds)
        if edits and all(edits):
            plates = tuple(edit.plate for edit in edits if edit)
            return replace(ground, plates=plates, notices=notices, scene_edits=edits)
        constraints = _constrain_backdrop(placed, viewpoint)
        colour = form_fields.parse_rgb(params.colour) or (_BRAND_COLOUR if params.preset == "brand-colour" else None)
        backdrop = with_form_scene(constraints, params, context, params.background, preset.scene, colour)
        render = RenderRequest(
            verb="backdrop",
            prompt=scene_prompt(params, params.background, preset.prompt_words),
            size=placed.frame.size,
            seeds=seeds,
            backdrop=with_photo_constraints(backdrop, self.first.photo, placed, self.first.cutout.alpha),
            caption=_scene_caption(params),
            model_words=params.model_words,
        )
        scenes = context.draw(render, self.emit)
        return replace(
            ground,
            plates=scenes.images,
            notices=(*scenes.notices, *notices),
            scene_edits=edits,
            scene_grounds=scenes.grounds,
        )

    def _draw_around(
        self, placed: PlacedSubject, seeds: tuple[int, ...]
    ) -> tuple[tuple[scene_edit.SceneEdit | None, ...], tuple[str, ...]]:
        """Let an edit model draw around the products; the edits and notices, no edits where nothing may be drawn."""
        params, preset = self.params, self.preset
        if not params.around or self.context.draft:
            return (), ()
        if params.backdrop or (params.colour and not params.background):
            return (), (scene_edit.OWN_BACKDROP_NOTICE,)
        if params.angles:
            return (), (ANGLES_SHARE_GROUND_NOTICE,)
        if not params.background and (preset.scene == "pure-white" or params.preset == "brand-colour"):
            return (), (PLAIN_GROUND_NOTICE,)
        words = params.background or preset.prompt_words
        edits = scene_edit.draw_scene_around_subject(
            self.context, self.emit, self.first.photo, placed, words, seeds, relit=params.light == "relit"
        )
        return edits, scene_edit.edit_notices(edits)

    def add_angles(self, output: ToolOutput, placed: PlacedSubject, ground: Ground) -> ToolOutput:
        """Add the user's photos of other sides, matched to the first in scale and exposure, and a spin of all."""
        sources = [_read_photo(file_id, self.context, self.emit) for file_id in self.params.angles]
        light = measure_extent(placed.colour, placed.alpha).light
        group = [placed]
        for n, source in enumerate(sources, 1):
            frame = match_frame(self.first.cutout, placed.frame, source.cutout)
            side = place_subject(source.photo, source.cutout, frame)
            group.append(replace(side, colour=match_exposure(side.colour, side.alpha, light)))
            self.emit("Turning", n, len(sources), lambda side=side: composite_on_grey(side.colour, side.alpha))
        images = (output.images[0], *(ground.compose_picture(each, 0) for each in group[1:]))
        deviation = measure_deviation([measure_extent(each.colour, each.alpha) for each in group], placed.frame.size[1])
        animation = encode_animation([shrink_to_side(image, SPIN_SIDE_PX) for image in images], SPIN_FPS)
        spin = EncodedFile("result", "webp", animation, images, "spin")
        notices = [notice for source in sources for notice in source.cutout.notices]
        return replace(
            output,
            images=images,
            alphas=tuple(each.alpha for each in group),
            names=tuple(f"angle-{n}" for n in range(1, len(images) + 1)),
            archive_name="angles",
            extras=(spin, *output.extras),
            notices=(*output.notices, *notices, _angles_notice(deviation)),
            exact=False,
        )

    def add_invented_angles(self, output: ToolOutput) -> ToolOutput:
        """Add sides that no photo shows, drawn by an edit model from the first picture, and named as invented."""
        params, context = self.params, self.context
        flat = flatten_on_white(output.images[0])
        size, sides = (flat.shape[1], flat.shape[0]), tuple(SIDE_PROMPTS.items())[: params.invent]
        drawn: list[Image] = []
        for name, words in sides:
            prompt = f"The same product, {words}. Its shape, colours, label and marks, the ground and the light stay."
            caption = Caption(own=prompt, side=_SIDE_NAMES.get(name, ""))
            render = RenderRequest(
                "edit", prompt, size, (context.seed,), images=(flat,), recomposes=True, caption=caption
            )
            drawn += context.draw(render, self.emit).images
        assert output.source is not None
        # Where there are other angles only the first picture can be compared with the photo.
        compared_count = 1 if params.angles else len(output.images)
        own_count = len(output.images)
        sources = [(params.photo, output.source) if n < compared_count else None for n in range(own_count)]
        names = output.names or tuple(f"own-{n}" for n in range(1, own_count + 1))
        return replace(
            output,
            images=(*output.images, *drawn),
            sources=(*sources, *(None for _ in drawn)),
            names=(*names, *(f"invented-{name}" for name, _ in sides)),
            archive_name=output.archive_name or "angles",
            notices=(*output.notices, INVENTED_NOTICE),
        )


def _constrain_backdrop(placed: PlacedSubject, viewpoint: Viewpoint) -> Backdrop:
    height = placed.frame.size[1]
    rows = np.nonzero((placed.alpha > 0.5).any(axis=1))[0]
    floor = float(rows[-1] + 1) / height if len(rows) else 0.86
    return Backdrop(
        horizon_ratio=max(0.05, floor - 0.45),
        floor_ratio=floor,
        key_light_side=viewpoint.light_side,
        seen_from=viewpoint.view,
        camera_pitch=estimate_pitch(placed.alpha),
        shadow_direction=viewpoint.shadow_direction,
        subject="product",
    )


def _scene_caption(params: Product) -> Caption:
    """Say what the form asks of the scene, with camera, light and the side that is left for words."""
    return replace(
        scene_caption(params, params.background, PRODUCT_PRESETS[params.preset].prompt_words, "product"),
        view=_VIEW_WORDS.get(params.seen_from, ""),
        light_side="" if params.key == "auto" else params.key,
        free_side=_FREE_SIDES.get(params.placement, ""),
    )


def _angles_notice(deviation: SetDeviation) -> str:
    measured = (
        f"scale within {deviation.scale:.1%}, baseline {deviation.base:.1%} of the height, exposure "
        f"{deviation.light:.1f} L*"
    )
    if deviation.is_consistent:
        return f"Your own photos, none invented, brought to the first one's: {measured}."
    return f"These photos could not be brought together further ({measured}): one may cut the product or be too dark."


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
    limits=("Invented camera angles need a graphics card, and are labelled",),
    model_strengths=(("Scenes drawn around the subject", "edit"), ("Ghost mannequin and flat lay", "edit")),
    examples=("coffee",),
    caption=_scene_caption,
)
