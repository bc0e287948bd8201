"""Product Photos: one product on clean ground or a surface, by a marketplace's rules; nothing floats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipelines.parts.compose import Shadow, compose
from pipelines.parts.frame import fill_frame, over, place, size_of
from pipelines.parts.light import outline_colour, white_point
from pipelines.tools import fields
from pipelines.types import (
    Backdrop,
    Draft,
    Emit,
    Frame,
    Image,
    Placed,
    Render,
    Size,
    Studio,
    Subject,
    Tool,
    choice,
    number,
    seed,
)

PresetId = Literal[
    "amazon", "google", "ebay", "etsy", "shopify", "marble", "oak", "concrete", "linen", "podium", "brand-colour",
    "transparent",
]  # fmt: skip
RatioId = Literal["auto", "1:1", "4:5", "4:3", "16:9", "9:16"]
RATIOS: dict[str, tuple[int, int]] = {"1:1": (1, 1), "4:5": (4, 5), "4:3": (4, 3), "16:9": (16, 9), "9:16": (9, 16)}


@dataclass(frozen=True)
class Rule:
    """A preset. `fill` is the product's longer side over the frame's shorter one; `least` and `most` the rule's bounds.

    Marketplace numbers are from secondary pages, read in 2026: rows of data, easy to correct.
    """

    title: str
    scene: str
    fill: float
    size: int
    ratio: str = "1:1"
    words: str = "clean white studio background"
    shadow: Shadow | None = None
    pure: bool = False
    surface: bool = False


_SOFT = Shadow(contact=0.52, cast=0.13)
# The higher the camera, the longer a shadow on the ground looks; from above it is the outline beside itself.
_SQUASH = {"front": 0.14, "three-quarter": 0.45, "above": 1.0}
_TILT = {"front": 0.35, "three-quarter": 0.28, "above": 0.06}
_FULL = Shadow()
RULES: dict[str, Rule] = {
    "amazon": Rule("Amazon", "pure-white", 0.87, 2000, pure=True),
    "google": Rule("Google", "pure-white", 0.82, 1500, shadow=_SOFT),
    "ebay": Rule("eBay", "pure-white", 0.85, 1600, shadow=_SOFT),
    "etsy": Rule("Etsy", "linen", 0.70, 2048, "4:3", "natural linen cloth", _FULL, surface=True),
    "shopify": Rule("Shopify", "studio-light", 0.80, 2048, shadow=_FULL, words="light grey studio background"),
    "marble": Rule("Marble", "marble", 0.66, 1024, words="white marble table top", shadow=_FULL, surface=True),
    "oak": Rule("Oak", "oak", 0.66, 1024, words="oak table top", shadow=_FULL, surface=True),
    "concrete": Rule("Concrete", "concrete", 0.66, 1024, words="raw concrete surface", shadow=_FULL, surface=True),
    "linen": Rule("Linen", "linen", 0.66, 1024, words="natural linen cloth", shadow=_FULL, surface=True),
    "podium": Rule("Podium", "podium", 0.52, 1024, words="round podium in soft light", shadow=_FULL, surface=True),
    "brand-colour": Rule("Brand Colour", "studio-colour", 0.70, 1024, shadow=_FULL, words="seamless coloured paper"),
    "transparent": Rule("Transparent", "", 0.90, 1024),
}


class Product(Subject):
    """The form."""

    preset: PresetId = choice(
        "Look", "A marketplace's rules, a surface, a colour, or no background.", "shopify",
        labels={key: rule.title for key, rule in RULES.items()}, tiles=True,
    )  # fmt: skip
    ratio: RatioId = choice("Shape", "Width to height.", "auto", labels={"auto": "As the look asks"})
    seen_from: Literal["front", "three-quarter", "above"] = choice(
        "Seen from", "Tilts the surface to the photo's camera height.", "three-quarter",
        labels={"front": "Front", "three-quarter": "Three-quarter", "above": "Above"},
    )  # fmt: skip
    background: str = fields.words("Takes the place of the look's scene, for example: marble, workshop, forest.")
    size: int = fields.size(0)
    variations: int = fields.variations()
    colour: str | None = fields.scene_colour()
    fill: float = number(
        "Fill", "The product's longer side in percent of the frame; 0: as the look asks.", 0.0, ge=0, le=100, unit="%"
    )
    shadow: Literal["auto", "none"] = choice(
        "Shadow", "Contact and cast shadow.", "auto", labels={"auto": "As the look asks", "none": "None"}, more=True
    )
    key: Literal["left", "right"] = choice(
        "Light from", "The side the light comes from in your photo.", "left", labels={"left": "Left", "right": "Right"},
        more=True,
    )  # fmt: skip
    backdrop: str | None = fields.my_backdrop()
    blur: float = fields.blur()
    light: fields.Light = fields.light()
    format: fields.FileFormat = fields.file_format()
    quality: int = fields.quality()
    seed: int | None = seed()


def run(params: Product, studio: Studio, emit: Emit) -> Draft:
    """Cut out, fit to the rule, set the ground, compose with shadows."""
    photo = studio.open(params.photo)
    cutout = studio.cutout(params, emit)
    emit("Cutting out", 2, 2, lambda: over(cutout.colour, cutout.alpha))

    rule = RULES[params.preset]
    size = size_of(
        RATIOS[rule.ratio if params.ratio == "auto" else params.ratio],
        512 if studio.draft else params.size or rule.size,
    )
    frame = _fit(cutout.alpha, size, rule, params)
    placed = place(photo, cutout, frame)
    emit("Framing", 1, 1, lambda: over(placed.colour, placed.alpha))

    transparent = params.preset == "transparent" and not params.background and params.backdrop is None
    notices = [*cutout.notices, *frame.notices]
    if transparent:
        images: tuple[Image, ...] = (_cut(placed),)
    else:
        images, said = _on_ground(params, studio, emit, rule, placed, photo)
        notices += said
    return Draft(
        images=images,
        source=placed,
        alphas=(placed.alpha,),
        notices=tuple(notices),
        exact=params.light == "exact",
        transparent=transparent,
    )


def _fit(alpha: np.ndarray, size: Size, rule: Rule, params: Product) -> Frame:
    fill = params.fill / 100 or rule.fill
    if params.seen_from == "above" or rule.pure or not (rule.surface or rule.shadow):
        return fill_frame(alpha, size, fill, params)
    return fill_frame(alpha, size, fill, params, stand="floor", floor=_floor(fill, size, rule))


def _floor(fill: float, size: Size, rule: Rule) -> float:
    """The contact line: the product is centred where there is no surface, and stands lower on one."""
    if rule.surface:
        return 0.80 if rule.scene == "podium" else 0.84
    return min(0.97, 0.5 + 0.5 * fill * min(size) / size[1])


def _on_ground(
    params: Product, studio: Studio, emit: Emit, rule: Rule, placed: Placed, photo: Image
) -> tuple[tuple[Image, ...], tuple[str, ...]]:  # fmt: skip
    pure = rule.pure and not params.background and params.backdrop is None
    render = Render(
        verb="backdrop",
        prompt=params.background or ("" if params.backdrop else rule.words),
        size=placed.frame.size,
        seeds=tuple(studio.seed + n for n in range(1 if studio.draft else params.variations)),
        backdrop=_backdrop(params, studio, rule, placed, photo),
    )
    shadow = None if params.shadow == "none" or pure else rule.shadow or _FULL
    if shadow is not None:
        shadow = replace(shadow, squash=_SQUASH[params.seen_from], tilt=_TILT[params.seen_from])
    scenes = studio.draw(render, emit)
    images = []
    for n, plate in enumerate(scenes.images):
        relit = params.light == "relit"
        clean = rule.scene == "pure-white" and not params.background and params.backdrop is None
        image = compose(placed, plate, seed=render.seeds[n], key=params.key, shadow=shadow, relit=relit, clean=clean)
        images.append(_pure(image, placed) if pure else image)
        emit("Composing", n + 1, len(scenes.images), images[-1])
    return tuple(images), scenes.notices


def _backdrop(params: Product, studio: Studio, rule: Rule, placed: Placed, photo: Image) -> Backdrop:
    height = placed.frame.size[1]
    rows = np.nonzero((placed.alpha > 0.5).any(axis=1))[0]
    floor = float(rows[-1] + 1) / height if len(rows) else 0.86
    return Backdrop(
        scene="" if params.background else rule.scene,
        colour=fields.rgb(params.colour) or ((28, 122, 128) if params.preset == "brand-colour" else None),
        picture=studio.open(params.backdrop) if params.backdrop else None,
        blur=params.blur / 100,
        horizon=max(0.05, floor - 0.45),
        floor=floor,
        key=params.key,
        mired=white_point(photo),
        seen_from=params.seen_from,
        subject="product",
        avoid=outline_colour(placed.colour, placed.alpha),
    )


def _pure(image: Image, placed: Placed) -> Image:
    """Every pixel outside the matte is 255, as the rule asks."""
    image = image.copy()
    image[placed.alpha < 1 / 255] = 255
    return image


def _cut(placed: Placed) -> Image:
    alpha = np.clip(placed.alpha * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.dstack([placed.colour, alpha])


TOOL = Tool(
    id="product",
    title="Product Photos",
    summary="Clean shop pictures and surfaces with real contact shadows, from a photo on any table.",
    params=Product,
    run=run,
    strengths=("Commercial quality", "Clean backgrounds", "High resolution", "Brand consistency", "Lifestyle scenes"),
    limits=("Invented camera angles need a GPU model",),
    examples=("coffee",),
)
