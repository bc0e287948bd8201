"""What shops and surfaces ask of a product picture, as rows, and whether a picture keeps to it; draws nothing.

Marketplace numbers are from secondary pages, read in 2026: rows of data, easy to correct.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.compositing.shadows import Shadow
from pipelines.core.geometry import Alpha, Size
from pipelines.framing.placement import bounds

_SOFT, _FULL = Shadow(contact=0.52, cast=0.13), Shadow()


@dataclass(frozen=True)
class Rule:
    """A preset. `fill` is the product's longer side over the frame's shorter one.

    `least` and `most` are the shop's bounds for it, `size` the longer side it asks for; `least` 0 is no shop's rule.
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
    least: float = 0.0
    most: float = 1.0


RULES: dict[str, Rule] = {
    "amazon": Rule("Amazon", "pure-white", 0.87, 2000, pure=True, least=0.85),
    "google": Rule("Google", "pure-white", 0.82, 1500, shadow=_SOFT, least=0.75, most=0.90),
    "ebay": Rule("eBay", "pure-white", 0.85, 1600, shadow=_SOFT, least=0.80, most=0.90),
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


def ruled(rule: Rule, alpha: Alpha, size: Size, *, plain: bool) -> tuple[str, ...]:
    """One sentence on a shop's rule, kept or broken, as measured; none where no shop asks.

    `alpha` (H x W) is where the products are; `plain` says that the rule's own ground is behind them.
    """
    if not rule.least:
        return ()
    left, top, right, bottom = bounds(alpha)
    fill = max(right - left, bottom - top) / min(size)
    asked = f"{rule.least:.0%} or more" if rule.most >= 1 else f"{rule.least:.0%} to {rule.most:.0%}"
    broken = []
    if not rule.least - 0.005 <= fill <= rule.most + 0.005:
        broken.append(f"a product of {asked} of the frame, and this one has {fill:.0%}")
    if not plain:
        broken.append("a white ground")
    if max(size) < rule.size:
        broken.append(f"{rule.size} pixels, and this picture has {max(size)}")
    if broken:
        return (f"{rule.title} asks for {'; for '.join(broken)}.",)
    return (f"{rule.title}'s rule is kept: the product has {fill:.0%} of the frame (asked: {asked}), on white.",)
