"""Data types of the built-in scenes, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pipelines.core.geometry import Colour

SceneKind = Literal["studio", "surface", "place"]
GroundCover = Literal["grass", "earth", "stone", "floor"]
Material = Literal["oak", "walnut", "marble", "slate", "concrete", "linen", "plaster", "podium", "blocks"]


@dataclass(frozen=True)
class StudioPaper:
    """A studio backdrop. `second` makes a vertical gradient, or with `gel` is the colour of the other lamp.

    `spot` is the strength of the pool of light behind the head (0: even light, 1: only the pool), `radius` its size as
    a share of the height, `painted` the strength of a canvas's brush strokes. `flat` is one exact colour everywhere.
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
    """A table of `material` before a wall of colour `wall`; `tint`: the colour of a material that may have any."""

    material: Material
    wall: Colour
    tint: Colour | None = None


@dataclass(frozen=True)
class PanoramaPlace:
    """A panorama of assets/scenes with directions to look in (degrees, best first) and an exposure factor.

    `table`: the material of the table that products stand on. `brightest`: radiance at which highlights are clamped, 1
    being white; lower where the edge of a lamp would show its few pixels. `night`: how far daylight is darkened towards
    blue, 0 to 1. `has_street_lamps`: lights of a street are drawn. `has_point_lights`: its small bright places are
    lamps and become discs; sunlit leaves and stones are not. `ground`: what whoever stands there stands on.
    `floor_degrees`: how far below the horizon the floor of a room begins, in the directions that are looked in.
    """

    file: str
    yaws: tuple[float, ...]
    exposure: float
    table: Material = "oak"
    brightest: float = 6.0
    night: float = 0.0
    has_street_lamps: bool = False
    has_point_lights: bool = True
    ground: GroundCover = "floor"
    floor_degrees: float = 0.0


@dataclass(frozen=True)
class Plate:
    """A picture of a place that was rendered for the studio (`set`) or photographed (`photo`); `id` names its file.

    `stands`: a product stands on its ground; else it is a place behind a person, and `table` is the material of the
    table that products stand on before it. A place that people know is not mirrored. `surface` is the computed
    surface that stands in where the photo's camera looks down otherwise than the set's. Without `has_ground` it shows
    water, roofs or a wall where feet would stand.
    """

    id: str
    source: Literal["set", "photo"] = "set"
    stands: bool = False
    table: Material = "oak"
    may_mirror: bool = True
    surface: str = ""
    has_ground: bool = True


@dataclass(frozen=True)
class Scene:
    """A scene. The type of `look` decides how it is rendered; `english` and `german` are its keywords.

    `blur`: diameter of the blur disc as a share of the height. `mired`: its own white point, which is matched to that
    of the photo unless `keeps_white_point`. `plate` is a set that is drawn for a product instead, where the photo's
    camera agrees with its camera. `is_dim`: dusk and night, before which a subject in flash looks pasted.
    """

    id: str
    title: str
    look: StudioPaper | TabletopSurface | PanoramaPlace | Plate
    english: str
    german: str
    blur: float = 0.06
    mired: float = 153.8
    keeps_white_point: bool = False
    plate: Plate | None = None
    is_dim: bool = False

    @property
    def kind(self) -> SceneKind:
        """studio, surface or place."""
        if isinstance(self.look, StudioPaper):
            return "studio"
        is_surface = isinstance(self.look, TabletopSurface) or (isinstance(self.look, Plate) and self.look.stands)
        return "surface" if is_surface else "place"

    @cached_property
    def english_words(self) -> tuple[str, ...]:
        """Its words in English, one by one."""
        return tuple(dict.fromkeys(f"{self.title} {self.english}".lower().split()))

    @property
    def suited_subjects(self) -> tuple[str, ...]:
        """The kinds of subject that it is made for."""
        return ("product",) if self.kind == "surface" else ("person", "product", "any")
