"""One call of a model (`RenderRequest` to `RenderedImages`), and the output of a tool (`ToolOutput`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pipelines.core.geometry import Alpha, Box, Colour, Crop, Image, PlacedSubject, Side, Size, Uint16Array
from pipelines.core.params import Verb


@dataclass(frozen=True)
class Backdrop:
    """The request for a backdrop, apart from size, seed and prompt.

    `scene` is the id of a built-in scene, or "" to choose it by the prompt. `picture` is the user's own backdrop and
    wins over both. `blur_ratio` is the diameter of the blur disc as a ratio of the height; 0 is the scene's own.
    `horizon_ratio` (eye line) and `floor_ratio` (contact line) are ratios of the height from the top.

    These fit the scene to the photo: `key_light_side` is the side that the light comes from. `white_point_mired` is the
    photo's white point; the scene stays within 30 mired of it. The backdrop differs from `outline_colour`, the typical
    colour of the subject's outline. The scene is exposed towards the lightness of `original_background`, the photo's
    colour beside the subject. The dark parts of a photographed place are brought towards `shadow_lightness`, the L* of
    the subject's darkest parts. With a `monochrome` photo the scene has no colour, unless `colour` or `picture` asks
    for one. `camera_pitch` is how far the photo's camera looked down, in degrees; a surface seen from above uses it.
    `shadow_direction` points right and down the way the subject's shadow fell in the photo; its length is how dark
    that shadow is, 0 to 1. The light of a lamp with dark shadows fades around the subject accordingly.
    `subject_lightness` is the subject's mean L*, which tells a subject in flash before a scene at dusk;
    `subject_lights` the L* of its lightest parts, which tells one in more light than the scene has.
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
    outline_colour: Colour | None = None
    original_background: Colour | None = None
    shadow_lightness: float | None = None
    monochrome: bool = False
    shadow_direction: tuple[float, float] | None = None
    subject_lightness: float | None = None
    subject_lights: float | None = None


ControlKind = Literal["pose", "depth", "soft-edges", "edges", "normal", "segments"]


@dataclass(frozen=True)
class Adapter:
    """A LoRA for one call: a .safetensors file, or a hub id (`owner/name`, `owner/name::file.safetensors`)."""

    source: str
    weight: float = 1.0


@dataclass(frozen=True)
class Caption:
    """What a form says that a picture shows, part by part; what it does not say is empty.

    `own` are the words of whoever ordered the picture, which come first and take the place of `place`, those of the
    chosen look. `purpose` says what the picture is the background of. `view` is where the camera stands, `light_side`
    and `free_side` are sides of the picture, `colour` is a name or #rrggbb. `changes` are an edit's, as (what, words),
    and `kept` a sentence about what it leaves as it is. `side` is that of a product which an edit is to show.
    """

    own: str = ""
    place: str = ""
    purpose: Literal["", "portrait", "product", "picture"] = ""
    view: str = ""
    is_blurred: bool = False
    light_side: Literal["", "left", "right"] = ""
    free_side: str = ""
    colour: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    kept: str = ""
    side: Literal["", "left", "right", "rear"] = ""

    @property
    def words(self) -> str:
        """The user's own words, else those of the look."""
        return self.own or self.place


@dataclass(frozen=True)
class RenderRequest:
    """One call of a model. `seeds` has one entry for each picture, or clip; `size` is (width, height).

    `frame_count` is the number of pictures in a clip that `video` draws; `images[0]` is the first of them. `tryon`
    dresses the person of `images[0]`, whose pose `control` shows, in the garment of `images[1]`, of `garment_kind`.

    `caption` says the same as `prompt` part by part, for models that are given long descriptions; `model_words`, where
    they are not empty, are given to such a model instead.

    `control` is a control map of kind `control_kind`. `adapters` apply to this call alone. An edit that `recomposes`
    the picture moves everything, so nothing is pasted back. `preserved_mask` marks what an edit should leave in its
    place in the first image, because the tool composites the original over it afterwards. Of `whole_mask` an edit may
    cut off little: one that was enlarged further stays as the model drew it.
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
    whole_mask: Alpha | None = None
    caption: Caption | None = None
    model_words: str = ""
    frame_count: int = 1
    garment_kind: Literal["", "tops", "bottoms", "one-piece"] = ""


@dataclass(frozen=True)
class ModelStep:
    """One denoising step is done; `preview` decodes the current estimate of the clean image."""

    index: int
    total: int
    preview: Callable[[], Image] | None = None


Scenery = Literal["plain", "computed", "photographed", "mixed"]


@dataclass(frozen=True)
class SceneGround:
    """The ground of a scene at the line where a subject stands, as its renderer measured it.

    `key` is the direction that the key light comes from (right, away, up), `diameter` how large that light is seen, in
    degrees, `ambient` the share of light that stays in its shadow (linear red, green, blue). `reflection` is what the
    ground mirrors, 0 to 1, and `pitch` how far the camera looks down, in degrees.
    """

    key: tuple[float, float, float]
    diameter: float
    ambient: tuple[float, float, float]
    reflection: float
    pitch: float


@dataclass(frozen=True)
class SceneMatch:
    """How a wish in words was answered by the built-in scenes.

    `found` is False if no scene is close: then `scene` is a neutral paper and `closest` has the id and title of the
    three nearest scenes. `score` is the share of the wish, 0 to 1, that the best scene covers.
    """

    wish: str
    found: bool
    scene: str
    title: str
    score: float
    closest: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RenderedImages:
    """The images that a model drew.

    `notices` are sentences such as which scene was chosen and why. `alphas` are the opacities of drawn figures, one for
    each image. `scenery` says what a built-in scene is: one colour, computed, a photograph, or a mix of both.
    `batch_size` is the largest number of pictures in one call that drew any of these. `scene_match`: how words were
    answered, where they chose the scene. `grounds`: the ground in each image where it is known, else empty.
    """

    images: tuple[Image, ...]
    notices: tuple[str, ...] = ()
    alphas: tuple[Alpha, ...] = ()
    scenery: Scenery | None = None
    batch_size: int = 1
    scene_match: SceneMatch | None = None
    grounds: tuple[SceneGround | None, ...] = ()


class Asset(NamedTuple):
    """Something of the program's own stock that is in a picture, such as a font, and its SPDX licence."""

    kind: str
    id: str
    licence: str


CC0_LICENCE = "CC0-1.0"
OWN_LICENCE = "Apache-2.0"
FONT_ASSET = Asset("font", "Source Sans Pro, Noto", "OFL-1.1")


@dataclass(frozen=True)
class EncodedFile:
    """A finished file that is not one still picture: an animation, a film, pages, layers, an archive.

    `data` are its bytes before Content Credentials are added. `frames` are the different pictures inside, at least one:
    the content filter checks all of them, and the first gives the file's size and `pixels_sha256`. `name` becomes part
    of the file name and has letters, digits and hyphens.
    """

    role: Literal["result", "layers"]
    format: Literal["webp", "gif", "mp4", "pdf", "zip", "ora"]
    data: bytes
    frames: tuple[Image, ...]
    name: str


DraftPart = Literal["middle", "first"]


@dataclass(frozen=True)
class ToolOutput:
    """The output of a tool, before checks, watermark, encoding and receipt.

    `source` and `alphas` belong to the placed subject. `sources` has an entry for each image where every image has its
    own photo: the file's id and the placed subject, or None for a sheet of several. `exact`: the subject keeps its
    pixels. `is_procedural`: what the tool drew itself was drawn by rules, not by a model. `is_enhanced`: a trained net
    added fine detail to all of it, and drew nothing new. `extras` are files that are no still pictures; `images` may be
    empty then. `resolved_params` are form values that the tool chose; the receipt lists them, so that the next job can
    repeat this one. `names` has a part of the file name for each image, or is empty. With `archive_name` the images are
    also packed into one ZIP of that name. `allows_watermark` is False where the pixels must stay although the picture
    is not exact. `crops` has an entry for each image that is a crop of the photo. `deep` has each image with 16 bits a
    channel, where the job asks for them and the tool has them. `keeps_colours`: each place of the picture has the
    colour of the photo's same place, so that those outside sRGB can be laid over it. `assets` are those of the
    program's stock that the tool itself used; scenes are recorded elsewhere. `keeps_words`: words on the
    photo's subject, or in a photo without one, should be read in each picture; they are compared where a reader is
    installed. `is_sketch`: a draft that shows where something is drawn, but not how the picture that is kept shows it.
    `fill_doubts` say in sentences why a place that was filled should be looked at, `fill_places` where it lies, as
    boxes in ratios of the picture, the largest first. `layout_doubts` say the same of words on a photo. `draft_part`
    says what of the whole a draft shows, where that is not all of it: the photo's middle, or the first of several
    pictures.
    """

    images: tuple[Image, ...]
    source: PlacedSubject | None = None
    alphas: tuple[Alpha, ...] = ()
    notices: tuple[str, ...] = ()
    exact: bool = True
    transparent: bool = False
    is_procedural: bool = False
    is_enhanced: bool = False
    extras: tuple[EncodedFile, ...] = ()
    names: tuple[str, ...] = ()
    archive_name: str = ""
    sources: tuple[tuple[str, PlacedSubject] | None, ...] = ()
    resolved_params: Mapping[str, object] = field(default_factory=dict[str, object])
    allows_watermark: bool = True
    crops: tuple[Crop, ...] = ()
    deep: tuple[Uint16Array, ...] = ()
    keeps_colours: bool = False
    assets: tuple[Asset, ...] = ()
    keeps_words: bool = False
    is_sketch: bool = False
    fill_doubts: tuple[str, ...] = ()
    fill_places: tuple[Box, ...] = ()
    layout_doubts: tuple[str, ...] = ()
    draft_part: DraftPart | None = None
