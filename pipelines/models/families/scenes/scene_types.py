"""What a built-in scene is, as data: frozen rows that are cheap to import; knows nothing of how one is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.core.geometry import Colour

SceneKind = Literal["studio", "surface", "place"]
Material = Literal["oak", "walnut", "marble", "slate", "concrete", "linen", "plaster", "podium", "blocks"]


@dataclass(frozen=True)
class StudioPaper:
    """A studio backdrop. `second` makes a gradient from top to bottom, or the other lamp's colour with `gel`.

    `spot` is the pool of light behind the head (0: even light, 1: nothing but the pool) and `radius` its size as a
    share of the height; `painted` the strength of a canvas's brush marks. `flat` is one colour to the last pixel.
    """

    colour: Colour
    second: Colour | None = None
    spot: float = 0.35
    radius: float = 0.75
    painted: float = 0.0
    gel: bool = False
    flat: bool = False


@dataclass(frozen=True)
class TabletopSurface:
    """A plane of `material` before a wall of colour `wall`; `tint` is the material's own colour where it may vary."""

    material: Material
    wall: Colour
    tint: Colour | None = None


@dataclass(frozen=True)
class PanoramaPlace:
    """A panorama of assets/scenes, where to look (degrees, best first) and how bright; `table` stands before it.

    `brightest` is where highlights are clamped, in whites: less where a lamp's own edge would show its few pixels.
    `points`: its small bright places are lamps, and seen as discs; sunlit leaves and stones are not.
    `lamps` draws the lights of a street; `night` is how far the light is turned down towards blue, 0 to 1.
    """

    file: str
    yaws: tuple[float, ...]
    exposure: float
    table: Material = "oak"
    brightest: float = 6.0
    night: float = 0.0
    has_street_lamps: bool = False
    has_point_lights: bool = True


@dataclass(frozen=True)
class Scene:
    """One row. `look` says by its type how it is drawn; `english` and `german` are the words that lead to it.

    `blur` is the disc's diameter as a share of the height, `mired` the white point the scene has by itself,
    `own_light` exempts it from being fitted to the photo's white point.
    """

    id: str
    title: str
    look: StudioPaper | TabletopSurface | PanoramaPlace
    english: str
    german: str
    blur: float = 0.06
    mired: float = 153.8
    keeps_white_point: bool = False

    @property
    def kind(self) -> SceneKind:
        """studio, surface or place."""
        if isinstance(self.look, StudioPaper):
            return "studio"
        return "surface" if isinstance(self.look, TabletopSurface) else "place"

    @property
    def suited_subjects(self) -> tuple[str, ...]:
        """The subjects it was made for."""
        if isinstance(self.look, TabletopSurface):
            return ("product",)
        return ("person", "product", "any")
