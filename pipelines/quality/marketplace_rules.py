"""Product photo presets with marketplaces' rules (secondary sources, 2026), and whether a picture keeps them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.compositing.shadows import Shadow
from pipelines.core.geometry import Alpha, PlacedSubject, Size
from pipelines.framing.placement import find_bounds, find_cut_sides

WHITE_EDGE_NOTICE = (
    "Along {} of its outline the product is as white as the ground: it is all there, but that edge is hardly seen. A "
    "grey ground such as Shopify's shows it."
)
_SOLID_ALPHA = 0.9
_RIM_RATIO = 0.003  # of the longer side: width of the outline that is compared with the ground
_WHITE_LEVEL = 247  # of every channel, from which nobody tells it from white
_WHITE_EDGE_RATIO = 0.1  # of the outline, from which it is told
_SOFT_SHADOW, _FULL_SHADOW = Shadow(contact=0.52, cast=0.13), Shadow()


@dataclass(frozen=True)
class ProductPreset:
    """A preset. `fill_ratio` is the product's longer side over the frame's shorter side.

    `min_fill_ratio` and `max_fill_ratio` are the marketplace's bounds for it, and `longer_side_px` is the size that it
    asks for. `min_fill_ratio` 0 means that this is no rule of a marketplace. `mark` says what ground it is, or how it
    differs from the other white ones.
    """

    title: str
    scene: str
    fill_ratio: float
    longer_side_px: int
    ratio: str = "1:1"
    prompt_words: str = "clean white studio background"
    shadow: Shadow | None = None
    pure_white: bool = False
    on_surface: bool = False
    min_fill_ratio: float = 0.0
    max_fill_ratio: float = 1.0
    mark: str = ""

    @property
    def label(self) -> str:
        """What the form calls it: whoever wants a product on white looks for that word."""
        is_rule = self.scene == "pure-white" and bool(self.min_fill_ratio)
        return " · ".join(filter(None, ("White" if is_rule else "", self.title, self.mark)))


PRODUCT_PRESETS: dict[str, ProductPreset] = {
    "amazon": ProductPreset("Amazon", "pure-white", 0.87, 2000, pure_white=True, min_fill_ratio=0.85, mark="no shadow"),
    "google": ProductPreset(
        "Google",
        "pure-white",
        0.82,
        1500,
        shadow=_SOFT_SHADOW,
        min_fill_ratio=0.75,
        max_fill_ratio=0.90,
        mark="more room",
    ),
    "ebay": ProductPreset(
        "eBay",
        "pure-white",
        0.85,
        1600,
        shadow=_SOFT_SHADOW,
        min_fill_ratio=0.80,
        max_fill_ratio=0.90,
        mark="soft shadow",
    ),
    "white": ProductPreset("White", "pure-white", 0.82, 2048, shadow=_SOFT_SHADOW, pure_white=True, mark="no shadow"),
    "etsy": ProductPreset(
        "Etsy", "linen", 0.70, 2048, "4:3", "natural linen cloth", _FULL_SHADOW, on_surface=True, mark="linen cloth"
    ),
    "shopify": ProductPreset(
        "Shopify",
        "studio-light",
        0.80,
        2048,
        shadow=_FULL_SHADOW,
        prompt_words="light grey studio background",
        mark="light grey",
    ),
    "marble": ProductPreset(
        "Marble", "marble", 0.66, 1024, prompt_words="white marble table top", shadow=_FULL_SHADOW, on_surface=True
    ),
    "oak": ProductPreset("Oak", "oak", 0.66, 1024, prompt_words="oak table top", shadow=_FULL_SHADOW, on_surface=True),
    "concrete": ProductPreset(
        "Concrete", "concrete", 0.66, 1024, prompt_words="raw concrete surface", shadow=_FULL_SHADOW, on_surface=True
    ),
    "linen": ProductPreset(
        "Linen", "linen", 0.66, 1024, prompt_words="natural linen cloth", shadow=_FULL_SHADOW, on_surface=True
    ),
    "podium": ProductPreset(
        "Podium", "podium", 0.52, 1024, prompt_words="round podium in soft light", shadow=_FULL_SHADOW, on_surface=True
    ),
    "brand-colour": ProductPreset(
        "Brand", "studio-colour", 0.70, 1024, shadow=_FULL_SHADOW, prompt_words="seamless coloured paper"
    ),
    "transparent": ProductPreset("Transparent", "", 0.90, 1024),
}


def white_edge_notices(placed: PlacedSubject) -> tuple[str, ...]:
    """Tell that a good part of the outline is as white as a white ground: nothing is cut off, but no edge is seen."""
    solid = (placed.alpha >= _SOLID_ALPHA).astype(np.uint8)
    depth = max(1, round(_RIM_RATIO * max(placed.frame.size)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * depth + 1, 2 * depth + 1))
    rim = (solid > 0) & (cv2.erode(solid, disc, borderType=cv2.BORDER_CONSTANT, borderValue=1) == 0)
    if not rim.any():
        return ()
    share = float((placed.colour[rim].min(axis=1) >= _WHITE_LEVEL).mean())
    return (WHITE_EDGE_NOTICE.format(f"{share:.0%}"),) if share > _WHITE_EDGE_RATIO else ()


def marketplace_notices(
    preset: ProductPreset, alpha: Alpha, size: Size, *, longer_px: int, plain: bool, doubtful: bool = False
) -> tuple[str, ...]:
    """Return notices on the marketplace's rule; `alpha` covers the products, `plain`: the preset's own background.

    `longer_px` is the longer side of what is kept, where `size` is a draft's. Of a `doubtful` cut-out nobody can say
    that a rule is kept.
    """
    least, most = preset.min_fill_ratio, preset.max_fill_ratio
    if not least:
        return ()
    left, top, right, bottom = find_bounds(alpha)
    fill = max(right - left, bottom - top) / min(size)
    required = f"{least:.0%} or more" if most >= 1 else f"{least:.0%} to {most:.0%}"
    violations = []
    if not least - 0.005 <= fill <= most + 0.005:
        violations.append(f"a product of {required} of the frame, and this one has {fill:.0%}")
    if find_cut_sides(alpha):
        violations.append("the whole product, which this picture cuts")
    if not plain:
        violations.append("a white ground")
    if longer_px < preset.longer_side_px:
        violations.append(f"{preset.longer_side_px} pixels, and this picture has {longer_px}")
    if violations:
        return (f"{preset.title} asks for {'; for '.join(violations)}.",)
    if doubtful:
        return (f"Whether {preset.title}'s rule is kept depends on the cut-out: check it first.",)
    return (f"{preset.title}'s rule is kept: the product has {fill:.0%} of the frame (asked: {required}), on white.",)
