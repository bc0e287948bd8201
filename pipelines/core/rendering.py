"""One call of a model: what is asked of it (`Render`), what it drew (`Images`), and what a tool hands over (`Draft`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelines.core.geometry import Alpha, Colour, Crop, Image, PlacedSubject, Side, Size
from pipelines.core.params import Verb


@dataclass(frozen=True)
class Backdrop:
    """What is asked of the `backdrop` verb, apart from size, seed and prompt.

    `scene` is a built-in scene's id, or "" to let the words choose; `picture` is My backdrop and wins over both.
    `blur` is the disc's diameter as a share of the height, 0: the scene's own. `horizon` (eye line) and `floor`
    (contact line) are shares of the height from the top. `key` is the side the light comes from. `mired` is the
    photo's white point; the scene is held within 30 mired of it. `avoid` is the typical colour of the subject's
    outline, which the backdrop differs from; `behind` is that of the photo's own ground beside it, towards whose
    lightness the scene is exposed; `black` is the lightness (L*) of the subject's darkest parts, towards which those of
    a place are brought. Where the photo is `monochrome` the scene has no colour either, unless it was asked for by
    `colour` or `picture`. `pitch` is how far the photo's camera looked down, in degrees, where that was read: a surface
    seen from above is drawn from there. `fallen` is which way the subject's own shadow fell in the photo, right and
    down, as long as it is dark (0 to 1): what a lamp that throws dark shadows lights fades around the subject.
    """

    scene: str = ""
    colour: Colour | None = None
    picture: Image | None = None
    blur_ratio: float = 0.0
    horizon_ratio: float = 0.4
    floor_ratio: float | None = None
    key_light_side: Side = "none"
    white_point_mired: float | None = None
    seen_from: Literal["front", "three-quarter", "above"] = "front"
    camera_pitch: float | None = None
    subject: Literal["person", "product", "any"] = "any"
    centre_ratio: float = 0.5
    outline_colour: Colour | None = None
    original_background: Colour | None = None
    shadow_lightness: float | None = None
    monochrome: bool = False
    shadow_direction: tuple[float, float] | None = None
    light_level: float = 1.0


ControlKind = Literal["pose", "depth", "soft-edges", "edges", "normal", "segments"]


@dataclass(frozen=True)
class Adapter:
    """A LoRA for one drawing: a .safetensors file, or a hub id (`owner/name`, `owner/name::file.safetensors`)."""

    source: str
    weight: float = 1.0


@dataclass(frozen=True)
class RenderRequest:
    """One call of a model. `seeds` has one entry per picture wanted; `size` is (width, height).

    `control` is a map of `control_kind` that the picture follows; `adapters` are worn for this call alone. An edit that
    is composed `anew` keeps nothing in its place, so nothing is put back there. `stays` is what of the first image an
    edit should leave where it is, as the tool lays just that over it again.
    """

    verb: Verb
    prompt: str
    size: Size
    seeds: tuple[int, ...]
    negative_prompt: str = ""
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    images: tuple[Image, ...] = ()
    mask: Alpha | None = None
    strength: float | None = None
    control: Image | None = None
    control_kind: ControlKind = "edges"
    backdrop: Backdrop | None = None
    adapters: tuple[Adapter, ...] = ()
    recomposes: bool = False
    preserved_mask: Alpha | None = None


@dataclass(frozen=True)
class ModelStep:
    """One denoising step done; `preview` makes the clean estimate when somebody wants to see it."""

    index: int
    total: int
    preview: Callable[[], Image] | None = None


Scenery = Literal["plain", "computed", "photographed", "mixed"]


@dataclass(frozen=True)
class RenderedImages:
    """What a model drew. `notices` says, say, which scene was taken and why; `alphas` what of each is figure.

    `scenery` says what a built-in scene is: one colour, computed, a photograph, or a photograph with computed parts.
    `together`: pictures in the fullest call that drew some of them.
    """

    images: tuple[Image, ...]
    notices: tuple[str, ...] = ()
    alphas: tuple[Alpha, ...] = ()
    scenery: Scenery | None = None
    batch_size: int = 1


@dataclass(frozen=True)
class EncodedFile:
    """A finished file that is not one still picture: an animation, a film, pages, layers, an archive.

    `data` are its bytes before credentials are put in. `frames` are the pictures inside that differ, at least one: the
    content gate looks at all of them, the first stands for the file in sizes and in `pixels_sha256`. `name` is a word
    for the file's name, in letters, digits and hyphens.
    """

    role: Literal["result", "layers"]
    format: Literal["webp", "mp4", "pdf", "zip", "ora"]
    data: bytes
    frames: tuple[Image, ...]
    name: str


@dataclass(frozen=True)
class ToolOutput:
    """What a tool hands to `finish`. `source` and `alphas` belong to the placed subject.

    `computed` says that what the tool drew itself was drawn by rules; pictures and scenes that went in say their own.
    Where each image has a photo of its own `sources` has one row an image: the file's id and the placed subject, None
    for a sheet that has no one subject. `settled` are values of Params fields that the tool found out: with them in the
    form the next job is made like this one, so they stand among the receipt's params.
    `images` may be empty where there are `extras`. `names` has a word for each image's file name, or is empty; with
    `archive` the finished images are handed over together as well, in one ZIP of that name. `markable` is False where
    bytes are promised to stay although the picture is not exact: no invisible mark goes in there. `crops` has one row
    an image where each is a window of the photo.
    """

    images: tuple[Image, ...]
    source: PlacedSubject | None = None
    alphas: tuple[Alpha, ...] = ()
    notices: tuple[str, ...] = ()
    exact: bool = True
    transparent: bool = False
    is_procedural: bool = False
    extras: tuple[EncodedFile, ...] = ()
    names: tuple[str, ...] = ()
    archive_name: str = ""
    sources: tuple[tuple[str, PlacedSubject] | None, ...] = ()
    resolved_params: Mapping[str, object] = field(default_factory=dict[str, object])
    allows_watermark: bool = True
    crops: tuple[Crop, ...] = ()
