"""Product Photos: products on clean ground or a surface, by a marketplace's rules; nothing floats or is invented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from pipelines.codecs.containers import animation, layered
from pipelines.compositing.compose import compose
from pipelines.compositing.light_estimation import fallen, measured
from pipelines.compositing.shadows import Shadow, seen_from
from pipelines.compositing.turntable import Apart, apart, exposed, like, stand
from pipelines.core.geometry import Cutout, Image, PlacedSubject, Side
from pipelines.core.job import Emit
from pipelines.core.params import Subject, choice, number, pictures, seed
from pipelines.core.rendering import Backdrop, Draft, Extra, Render
from pipelines.core.tools import Studio, Tool
from pipelines.framing.camera_pitch import UNTOLD, lies_flat, pitch_of, view_of
from pipelines.framing.framings import size_of
from pipelines.framing.product_placement import ASIDE, CENTRED, PlacementId, arranged
from pipelines.framing.resample import over, place
from pipelines.quality.marketplace_rules import RULES, Rule, ruled
from pipelines.quality.output_checks import Look, run_checks
from pipelines.tools.shared import form_fields, scene_edit

PresetId = Literal[
    "amazon", "google", "ebay", "etsy", "shopify", "marble", "oak", "concrete", "linen", "podium", "brand-colour",
    "transparent",
]  # fmt: skip
RatioId = Literal["auto", "1:1", "4:5", "4:3", "16:9", "9:16"]
RATIOS: dict[str, tuple[int, int]] = {"1:1": (1, 1), "4:5": (4, 5), "4:3": (4, 3), "16:9": (16, 9), "9:16": (9, 16)}
# Where products touch the ground, in shares of the height; the podium's top lies higher.
_SURFACE, _FLOORS = 0.84, {"podium": 0.80}
SPIN_SIDE = 1024
SIDES = {
    "left": "seen from its left side, the camera 45 degrees further to the left at the same height",
    "right": "seen from its right side, the camera 45 degrees further to the right at the same height",
    "behind": "seen from behind, the camera at the same height",
    "above": "seen from above, the camera 60 degrees higher",
}
INVENTED = (
    "The angles named 'invented' were drawn by a model from one photo: what that photo does not show is a guess. "
    "Compare them with the product before you sell with them."
)
SPIN_FPS = 4.0
PLAIN = "This look promises its ground as it is: nothing was drawn around the product."
ONE_GROUND = "Other sides of one set stand on one ground: nothing was drawn around the product."

FROM_ABOVE = (
    "Your photo looks down on the product, and this scene does not: a surface such as Oak, Marble or Linen, which can "
    "be seen from above, suits it better."
)


class Product(Subject):
    """The form."""

    preset: PresetId = choice(
        "Look", "A marketplace's rules, a surface, a colour, or no background.", "shopify",
        labels={key: rule.title for key, rule in RULES.items()}, tiles=True,
    )  # fmt: skip
    ratio: RatioId = choice("Shape", "Width to height.", "auto", labels={"auto": "As the look asks"})
    seen_from: Literal["auto", "front", "three-quarter", "above"] = choice(
        "Seen from", "Tilts the surface to the photo's camera height.", "auto",
        labels={"auto": "As the photo", "front": "Front", "three-quarter": "Three-quarter", "above": "Above"},
    )  # fmt: skip
    background: str = form_fields.words("Takes the place of the look's scene, for example: marble, workshop, forest.")
    around: bool = scene_edit.field()
    size: int = form_fields.size(0)
    variations: int = form_fields.variations()
    placement: PlacementId = choice(
        "Placement", "Where it stands; aside leaves room for words.", "centre", more=True,
        labels={"centre": "Centre", "left": "Left third", "right": "Right third", "top": "High", "bottom": "Low",
                "lower-left": "Low left", "lower-right": "Low right"},
    )  # fmt: skip
    beside: tuple[str, ...] = pictures(
        "More products", "Photos of other products, to stand beside this one at the same height.", at_least=0,
        at_most=4, more=True,
    )  # fmt: skip
    angles: tuple[str, ...] = pictures(
        "Other sides", "Your photos of the same product from other sides: a set of one scale, baseline and exposure, "
        "and a spin.", at_least=0, at_most=7, more=True,
    )  # fmt: skip
    invent: int = number(
        "Invented angles", "Other sides of it, drawn by a model from this one photo, and labelled so.", 0, ge=0, le=4,
        needs=("edit",),
    )  # fmt: skip
    colour: str | None = form_fields.scene_colour()
    fill: float = number(
        "Fill", "The product's longer side in percent of the frame; 0: as the look asks.", 0.0, ge=0, le=100, unit="%"
    )
    shadow: Literal["auto", "none"] = choice(
        "Shadow", "Contact and cast shadow.", "auto", labels={"auto": "As the look asks", "none": "None"}, more=True
    )
    key: Literal["auto", "left", "right"] = choice(
        "Light from", "The side the light comes from in your photo.", "auto",
        labels={"auto": "As the photo's shadow says", "left": "Left", "right": "Right"}, more=True,
    )  # fmt: skip
    backdrop: str | None = form_fields.my_backdrop()
    blur: float = form_fields.blur()
    light: form_fields.Light = form_fields.light()
    layers: bool = form_fields.layers()
    brand: str = form_fields.brand()
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    seed: int | None = seed()
    consent: bool = form_fields.consent_if()


@dataclass(frozen=True)
class Taken:
    """One photo, and its product freed from it."""

    photo: Image
    cutout: Cutout


def run(params: Product, studio: Studio, emit: Emit) -> Draft:
    """Cut out, fit to the rule, set the ground, compose with shadows; then other sides, spin and layers."""
    taken = [Taken(studio.open(params.photo), studio.cutout(params, emit))]
    taken += [_taken(file_id, studio, emit) for file_id in params.beside]
    first = taken[0]
    emit("Cutting out", 2, 2, lambda: over(first.cutout.colour, first.cutout.alpha))

    rule = RULES[params.preset]
    fell = fallen(first.photo, first.cutout.alpha) if params.key == "auto" else None
    params, unlike = _seen(_lit(params, fell), rule, first.cutout)
    size = size_of(
        RATIOS[rule.ratio if params.ratio == "auto" else params.ratio],
        512 if studio.draft else params.size or rule.size,
    )
    stands = not (params.seen_from == "above" or rule.pure or not (rule.surface or rule.shadow))
    floor = _FLOORS.get(rule.scene, _SURFACE) if rule.surface else CENTRED if stands else None
    fill = params.fill / 100 or (rule.fill if params.placement == "centre" else min(rule.fill, ASIDE))
    frames = arranged([each.cutout.alpha for each in taken], size, fill, params.placement, floor, params)
    group = [place(each.photo, each.cutout, frame) for each, frame in zip(taken, frames, strict=True)]
    placed = _together(group)
    emit("Framing", 1, 1, lambda: over(placed.colour, placed.alpha))

    ground = _ground(params, studio, emit, rule, placed, first, fell)
    images = [ground.under(placed, n) for n in range(len(ground.plates))]
    emit("Composing", 1, 1, images[-1])
    said = [note for each in taken for note in each.cutout.notices]
    said += [*frames[0].notices, *unlike, *ground.notices, *ruled(rule, placed.alpha, size, plain=ground.own)]
    said += _proof(images, taken, group) if len(group) > 1 else []
    draft = Draft(
        images=tuple(images),
        source=group[0],
        alphas=(placed.alpha,),
        notices=tuple(said),
        exact=params.light == "exact",
        transparent=ground.transparent,
    )
    if studio.draft:
        return draft
    if params.layers and not ground.transparent:
        draft = replace(
            draft, extras=tuple(e for n, image in enumerate(images) for e in ground.layers(image, placed, n))
        )
    draft = _turned(draft, params, studio, emit, first, group[0], ground) if params.angles else draft
    return _invented(draft, params, studio, emit) if params.invent else draft


def _seen(params: Product, rule: Rule, cutout: Cutout) -> tuple[Product, tuple[str, ...]]:
    """With the camera's height read from the photo where it is not said; a place is never seen from above."""
    if params.seen_from != "auto":
        return params, ()
    view = view_of(cutout.alpha)
    flat = not params.background or lies_flat(params.background)
    level = view == "above" and not (flat and params.backdrop is None)
    params = params.model_copy(update={"seen_from": "three-quarter" if level else view})
    return params, (FROM_ABOVE,) if level else ()


def _lit(params: Product, fell: tuple[float, float] | None) -> Product:
    """With the side of the light read from where the product's own shadow `fell`; else from the left."""
    if params.key != "auto":
        return params
    return params.model_copy(update={"key": "right" if fell and fell[0] < 0 else "left"})


def _taken(file_id: str, studio: Studio, emit: Emit) -> Taken:
    return Taken(studio.open(file_id), studio.cutout(Subject(photo=file_id), emit))


# ---------------------------------------------------------------- where they stand


def _together(group: Sequence[PlacedSubject]) -> PlacedSubject:
    """Several placed products as one: whoever is more opaque is seen."""
    colour, alpha = group[0].colour, group[0].alpha
    for each in group[1:]:
        nearer = each.alpha > alpha
        colour = np.where(nearer[..., None], each.colour, colour)
        alpha = np.maximum(alpha, each.alpha)
    return PlacedSubject(colour, alpha, group[0].frame)


def _proof(images: Sequence[Image], taken: Sequence[Taken], group: Sequence[PlacedSubject]) -> list[str]:
    """The check of the first product, made for each of the others as well."""
    changed = 0.0
    for image in images:
        for each, placed in zip(taken, group, strict=True):
            look = Look(image, Draft(images=(image,), source=placed), each.photo)
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
    rule: Rule
    params: Product
    shadow: Shadow | None
    seed: int
    own: bool  # the rule's own ground, not words or a picture
    made: tuple[scene_edit.Around | None, ...] = ()

    @property
    def transparent(self) -> bool:
        """Whether nothing is behind the products."""
        return self.plates[0] is None

    @property
    def clean(self) -> bool:
        """White as asked: no grain, no light from the scene."""
        return self.own and self.rule.scene == "pure-white"

    def under(self, placed: PlacedSubject, n: int) -> Image:
        """The finished picture on plate `n`."""
        if made := self._made(n):
            return made.image
        plate, relit = self.plates[n], self.params.light == "relit"
        if plate is None:
            return _cut(placed)
        image = compose(
            placed, plate, seed=self.seed + n, key=_side(self.params), shadow=self.shadow, relit=relit, clean=self.clean
        )
        return _pure(image, placed) if self.own and self.rule.pure else image

    def layers(self, image: Image, placed: PlacedSubject, n: int) -> tuple[Extra, ...]:
        """Picture `n` taken apart."""
        plate, relit, name = self.plates[n], self.params.light == "relit", f"layers-{n + 1}"
        if made := self._made(n):
            return scene_edit.layers(made, placed, relit=relit, name=name)
        return () if plate is None else layered(
            image, placed, plate, seed=self.seed + n, key=_side(self.params), shadow=self.shadow,
            relit=relit, clean=self.clean, name=name,
        )  # fmt: skip

    def _made(self, n: int) -> scene_edit.Around | None:
        return self.made[n] if self.made else None


def _ground(
    params: Product, studio: Studio, emit: Emit, rule: Rule, placed: PlacedSubject, first: Taken,
    fell: tuple[float, float] | None,
) -> Ground:  # fmt: skip
    own = not params.background and params.backdrop is None
    if params.preset == "transparent" and own:
        return Ground((None,), (PLAIN,) if params.around else (), rule, params, None, studio.seed, own)
    seeds = tuple(studio.seed + n for n in range(1 if studio.draft or params.angles else params.variations))
    made, said = _around(params, studio, emit, rule, placed, first.photo, seeds)
    render = Render(
        verb="backdrop",
        prompt=params.background or ("" if params.backdrop else rule.words),
        size=placed.frame.size,
        seeds=seeds,
        backdrop=measured(_backdrop(params, studio, rule, placed, fell), first.photo, placed, first.cutout.alpha),
    )
    shadow = None if params.shadow == "none" or (rule.pure and own) else rule.shadow or Shadow()
    if shadow is not None:
        shadow = seen_from(shadow, UNTOLD if params.seen_from == "auto" else params.seen_from)
        shadow = replace(shadow, toward=fell)
    if made and all(made):
        plates = tuple(each.plate for each in made if each)
        return Ground(plates, said, rule, params, shadow, studio.seed, own, made)
    scenes = studio.draw(render, emit)
    return Ground(scenes.images, (*scenes.notices, *said), rule, params, shadow, studio.seed, own, made)


def _around(
    params: Product, studio: Studio, emit: Emit, rule: Rule, placed: PlacedSubject, photo: Image, seeds: tuple[int, ...]
) -> tuple[tuple[scene_edit.Around | None, ...], tuple[str, ...]]:  # fmt: skip
    """Pictures that an edit model draws around the products, and what is to be said; empty where nothing is drawn."""
    if not params.around or studio.draft:
        return (), ()
    if params.backdrop or (params.colour and not params.background):
        return (), (scene_edit.OWN,)
    if params.angles:
        return (), (ONE_GROUND,)
    if not params.background and (rule.scene == "pure-white" or params.preset == "brand-colour"):
        return (), (PLAIN,)
    words = params.background or rule.words
    made = scene_edit.drawn(studio, emit, photo, placed, words, seeds, relit=params.light == "relit")
    return made, scene_edit.notices(made)


def _backdrop(
    params: Product, studio: Studio, rule: Rule, placed: PlacedSubject, fell: tuple[float, float] | None
) -> Backdrop:  # fmt: skip
    height = placed.frame.size[1]
    rows = np.nonzero((placed.alpha > 0.5).any(axis=1))[0]
    floor = float(rows[-1] + 1) / height if len(rows) else 0.86
    return Backdrop(
        scene="" if params.background else rule.scene,
        colour=form_fields.rgb(params.colour) or ((28, 122, 128) if params.preset == "brand-colour" else None),
        picture=studio.open(params.backdrop) if params.backdrop else None,
        blur=params.blur / 100,
        horizon=max(0.05, floor - 0.45),
        floor=floor,
        key=_side(params),
        seen_from="three-quarter" if params.seen_from == "auto" else params.seen_from,
        pitch=pitch_of(placed.alpha),
        fallen=fell,
        subject="product",
    )


def _side(params: Product) -> Side:
    return "left" if params.key == "auto" else params.key


def _pure(image: Image, placed: PlacedSubject) -> Image:
    """Every pixel outside the matte is 255, as the rule asks."""
    image = image.copy()
    image[placed.alpha < 1 / 255] = 255
    return image


def _cut(placed: PlacedSubject) -> Image:
    alpha = np.clip(placed.alpha * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.dstack([placed.colour, alpha])


# ---------------------------------------------------------------- other sides


def _turned(
    draft: Draft, params: Product, studio: Studio, emit: Emit, first: Taken, placed: PlacedSubject, ground: Ground
) -> Draft:  # fmt: skip
    """The first picture, every other side like it, and all of them as a spin."""
    sides = [_taken(file_id, studio, emit) for file_id in params.angles]
    light = stand(placed.colour, placed.alpha).light
    group = [placed]
    for n, side in enumerate(sides, 1):
        there = place(side.photo, side.cutout, like(first.cutout, placed.frame, side.cutout))
        group.append(replace(there, colour=exposed(there.colour, there.alpha, light)))
        emit("Turning", n, len(sides), lambda there=there: over(there.colour, there.alpha))
    images = (draft.images[0], *(ground.under(each, 0) for each in group[1:]))
    found = apart([stand(each.colour, each.alpha) for each in group], placed.frame.size[1])
    spin = Extra("result", "webp", animation([_small(image) for image in images], SPIN_FPS), images, "spin")
    notices = [note for side in sides for note in side.cutout.notices]
    return replace(
        draft,
        images=images,
        alphas=tuple(each.alpha for each in group),
        names=tuple(f"angle-{n}" for n in range(1, len(images) + 1)),
        archive="angles",
        extras=(spin, *draft.extras),
        notices=(*draft.notices, *notices, _set(found)),
        exact=False,
    )


def _invented(draft: Draft, params: Product, studio: Studio, emit: Emit) -> Draft:
    """The first picture from sides that no photo shows, by a model; named and told as what they are."""
    seen = draft.images[0]
    alpha = seen[..., 3:].astype(np.float32) / 255 if seen.shape[2] == 4 else 1.0
    flat = np.asarray(seen[..., :3] * alpha + 255 * (1 - alpha) + 0.5, np.uint8)
    sides = tuple(SIDES.items())[: params.invent]
    drawn: list[Image] = []
    for _, words in sides:
        asked = f"The same product, {words}. Its shape, colours, label and marks, the ground and the light stay."
        size = flat.shape[1], flat.shape[0]
        drawn += studio.draw(Render("edit", asked, size, (studio.seed,), images=(flat,), anew=True), emit).images
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
        archive=draft.archive or "angles",
        notices=(*draft.notices, INVENTED),
    )


def _set(found: Apart) -> str:
    measured = f"scale within {found.scale:.1%}, baseline {found.base:.1%} of the height, exposure {found.light:.1f} L*"
    if found.together:
        return f"Your own photos, none invented, brought to the first one's: {measured}."
    return f"These photos could not be brought together further ({measured}): one may cut the product or be too dark."


def _small(image: Image) -> Image:
    scale = min(1.0, SPIN_SIDE / max(image.shape[:2]))
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
    with_model=(("Scenes drawn around the subject", "edit"),),
    examples=("coffee",),
)
