"""The words every room shares: Params, Job, Event, Draft, Result, errors; knows no torch, no HTTP, no files.

Arrays are numpy. An `Image` is uint8, H x W x 3, sRGB. An `Alpha` is float32, H x W, 0 to 1.
A colour is an sRGB triple of 0 to 255. A `Size` is (width, height) in pixels, as in Pillow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Image: TypeAlias = npt.NDArray[np.uint8]
Alpha: TypeAlias = npt.NDArray[np.float32]
Size: TypeAlias = tuple[int, int]
Window: TypeAlias = tuple[int, int, int, int]
Colour: TypeAlias = tuple[int, int, int]
JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

Verb = Literal["backdrop", "text", "edit", "image", "inpaint", "control"]
Kind = Literal["prompt", "picture", "pictures", "mask", "choice", "colour", "seed", "number", "flag"]
Side = Literal["left", "right", "none"]
Status = Literal["queued", "running", "done", "failed", "cancelled"]

MAX_SEED = 2**32 - 1
MAX_SIDE = 2048

# ---------------------------------------------------------------- errors

STATUS_OF_CODE: Mapping[str, int] = {
    "invalid_request": 400,
    "unsupported_image": 400,
    "corrupt_image": 400,
    "too_many_pixels": 400,
    "nothing_visible": 400,
    "no_subject": 400,
    "no_face": 400,
    "consent_required": 400,
    "content_policy": 400,
    "invalid_api_key": 401,
    "permission_denied": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "image_too_large": 413,
    "queue_full": 429,
    "rate_limited": 429,
    "model_unavailable": 503,
    "out_of_memory": 503,
    "disk_full": 503,
    "storage_unavailable": 503,
    "internal_error": 500,
}


class StudioError(Exception):
    """A failure whose message is safe to show and whose code is part of the outside contract."""

    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        if self.code not in STATUS_OF_CODE:
            raise ValueError(f"unknown error code {self.code!r}")

    @property
    def status(self) -> int:
        """The HTTP status of the contract."""
        return 422 if isinstance(self, InvalidParams) else STATUS_OF_CODE[self.code]


class BadInput(StudioError):
    """The request cannot be carried out as it stands; the sentence says what to change."""

    code = "invalid_request"


class InvalidParams(BadInput):
    """A value is out of its field's bounds or of the wrong type: 422 where other bad input is 400."""


class NotFound(StudioError):
    """No such job, file or tool, or none that this owner may see."""

    code = "not_found"


class Refused(StudioError):
    """The request could be carried out and will not be: consent is missing, or the content gate said no."""

    code = "content_policy"


class ModelUnavailable(StudioError):
    """A field or tool needs a model that this profile does not have."""

    code = "model_unavailable"


class OutOfMemory(StudioError):
    """The device ran out of memory and one retry at a lower setting did not help."""

    code = "out_of_memory"


class Busy(StudioError):
    """As many jobs wait as may wait."""

    code = "queue_full"


class Cancelled(Exception):
    """The stream was closed by whoever owns the job. Not an error, and never shown as one."""


# ---------------------------------------------------------------- params

# A field declares bounds, default, help, widget and needs once; tab, REST schema, CSV header and docs derive from it.


def _field(
    kind: Kind,
    help: str,
    default: object,
    *,
    label: str,
    more: bool,
    needs: tuple[Verb, ...] = (),
    any_of: bool = False,
    extra: Mapping[str, object] | None = None,
    bounds: Mapping[str, float] | None = None,
) -> Any:
    schema: dict[str, Any] = {"x-kind": kind, **(extra or {})}
    if more:
        schema["x-more"] = True
    if needs:
        schema["x-needs"] = list(needs)
    if any_of:
        schema["x-needs-any"] = True
    return Field(default=default, title=label, description=help, json_schema_extra=schema, **dict(bounds or {}))  # pyright: ignore[reportCallIssue, reportArgumentType]


def prompt(
    label: str, help: str, *, max_length: int = 400, more: bool = False, needs: tuple[Verb, ...] = (),
    any_of: bool = False, kept: str = "",
) -> Any:  # fmt: skip
    """Free words, `str`, empty by default. With `any_of` one of the verbs that it `needs` is enough.

    `kept`: the words are the name of a thing of that kind which its owner keeps.
    """
    return _field(
        "prompt", help, "", label=label, more=more, needs=needs, any_of=any_of,
        extra={"x-kept": kept} if kept else {}, bounds={"max_length": max_length},
    )  # fmt: skip


def picture(label: str, help: str, *, required: bool = False, more: bool = False) -> Any:
    """One file id; `str` when required (`...`), else `str | None`."""
    return _field("picture", help, ... if required else None, label=label, more=more)


def pictures(label: str, help: str, *, at_most: int, at_least: int = 1, more: bool = False) -> Any:
    """Several file ids, `tuple[str, ...]`."""
    default: object = ... if at_least else ()
    bounds = {"min_length": at_least, "max_length": at_most}
    return _field("pictures", help, default, label=label, more=more, bounds=bounds)


def mask(label: str, help: str, *, more: bool = True) -> Any:
    """One optional file id of a grey or RGBA picture read as a mask, `str | None`."""
    return _field("mask", help, None, label=label, more=more)


def choice(
    label: str,
    help: str,
    default: str,
    *,
    labels: Mapping[str, str] | None = None,
    more: bool = False,
    tiles: bool = False,
    needs: tuple[Verb, ...] = (),
    any_of: bool = False,
) -> Any:
    """One of the `Literal` that annotates the field; `labels` are the words shown, `tiles` dresses it with pictures."""
    extra: dict[str, object] = {"x-labels": dict(labels or {})}
    if tiles:
        extra["x-tiles"] = True
    return _field("choice", help, default, label=label, more=more, needs=needs, any_of=any_of, extra=extra)


def colour(label: str, help: str, *, more: bool = False) -> Any:
    """`#rrggbb` or None, `str | None`."""
    return _field("colour", help, None, label=label, more=more, bounds={"pattern": "^#[0-9a-fA-F]{6}$"})  # pyright: ignore[reportArgumentType]


def seed() -> Any:
    """`int | None`, 0 to 2^32-1; None is drawn when the job is made and kept in the receipt."""
    return _field(
        "seed", "Same settings and seed give the same picture. Empty: a new one.", None,
        label="Seed", more=True, bounds={"ge": 0, "le": MAX_SEED},
    )  # fmt: skip


def number(
    label: str, help: str, default: float, *, ge: float, le: float, step: float = 1, unit: str = "", more: bool = True,
    needs: tuple[Verb, ...] = (), any_of: bool = False,
) -> Any:  # fmt: skip
    """A bounded `int` or `float`."""
    extra: dict[str, object] = {"x-step": step}
    if unit:
        extra["x-unit"] = unit
    bounds = {"ge": ge, "le": le}
    return _field(
        "number", help, default, label=label, more=more, needs=needs, any_of=any_of, extra=extra, bounds=bounds
    )


def flag(label: str, help: str, default: bool = False, *, more: bool = True, needs: tuple[Verb, ...] = ()) -> Any:
    """A `bool`."""
    return _field("flag", help, default, label=label, more=more, needs=needs)


class Params(BaseModel):
    """Base of every tool's form: frozen, unknown names refused, NaN and infinity refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    person: ClassVar[bool] = False

    @classmethod
    def kind_of(cls, name: str) -> Kind:
        """The widget kind of field `name`."""
        return cls.schema_extra(name)["x-kind"]

    @classmethod
    def schema_extra(cls, name: str) -> dict[str, Any]:
        """The `x-…` entries of field `name`."""
        extra = cls.model_fields[name].json_schema_extra
        return extra if isinstance(extra, dict) else {}

    @classmethod
    def fields_of_kind(cls, *kinds: Kind) -> tuple[str, ...]:
        """Names of the fields of these kinds, in order of declaration."""
        return tuple(name for name in cls.model_fields if cls.kind_of(name) in kinds)


class Subject(Params):
    """What every tool with one photo shares: the photo, its cut-out, which subject, and where it stands."""

    photo: str = picture("Photo", "The picture to work on.", required=True)
    matte: str | None = mask("Cut-out", "White keeps, black drops: replaces the automatic cut-out.")
    pick: int = number("Subject", "0: main subject or largest face; 1, 2, …: the next by size.", 0, ge=0, le=15)
    placement_x: float = number(
        "Move right", "Share of the frame's width, negative is left.", 0.0, ge=-0.5, le=0.5, step=0.01
    )
    placement_y: float = number(
        "Move down", "Share of the frame's height, negative is up.", 0.0, ge=-0.5, le=0.5, step=0.01
    )
    placement_scale: float = number("Scale", "1 is the framing's own size.", 1.0, ge=0.5, le=2.0, step=0.01)


# ---------------------------------------------------------------- jobs and events


class Job(BaseModel):
    """Everything that affects one picture, as plain JSON. `specs` maps each verb, and `matte`, to a spec's id.

    `consent` is when the owner said that the person in the photo agrees, as Unix time. `notices` are what the door had
    to say about the pictures, for the receipt. `helper`: a page ordered it for its own use, so it is in no list.
    `watermark`: pictures outside Exact get the invisible mark.
    `waited`: its caller holds the line and is gone with a power cut, so nothing of it has to lie on the disk at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tool: str
    params: dict[str, Any]
    seed: int = Field(ge=0, le=MAX_SEED)
    profile: str
    specs: dict[str, str]
    owner: str
    created: float
    consent: float | None = None
    notices: tuple[str, ...] = ()
    draft: bool = False
    batch: bool = False
    helper: bool = False
    watermark: bool = False
    adapters: dict[str, float] = Field(default_factory=dict)
    waited: bool = False


@dataclass(frozen=True)
class Queued:
    """`position` 1 is next in line."""

    position: int


@dataclass(frozen=True)
class Step:
    """Work went on: `index` of `total` (1-based), `preview` a small JPEG or None."""

    index: int
    total: int
    stage: str
    preview: bytes | None = None


@dataclass(frozen=True)
class File:
    """One written file of a job; `name` is what it should be called on disk, "" where the tool has no word for it.

    Width, height and `pixels_sha256` of an `Extra` are those of its first frame: what does not change when the same
    job runs again, where the bytes carry a new signature each time.
    """

    id: str
    role: Literal["result", "matte", "layers"]
    width: int
    height: int
    format: str
    pixels_sha256: str
    name: str = ""


@dataclass(frozen=True)
class Result:
    """The end of a job that went well. `seconds` is the time from claim to done."""

    files: tuple[File, ...]
    receipt: dict[str, Any]
    seconds: float


Event: TypeAlias = "Queued | Step | Result"
Preview: TypeAlias = "Image | Callable[[], Image] | None"


class Emit(Protocol):
    """The one way for work to report, and the one place where previews are gated, thinned and thrown away.

    Raises `Cancelled` when the job was cancelled, so that a call between two steps is what makes a tool stoppable.
    `preview` may be a callable: it is called only when somebody watches and a frame is due.
    """

    def __call__(self, stage: str, index: int, total: int, preview: Preview = None) -> None: ...


# ---------------------------------------------------------------- pictures between tool, studio and parts


@dataclass(frozen=True)
class Face:
    """One face in pixels of the photo: x, y of 468 landmarks (float32, 468 x 2), head box and eyes.

    `crown` and `chin` are y in the *levelled* photo's direction, as distances along the face's own up axis; use
    `parts.frame` rather than reading them. `roll` in degrees, positive when the head leans clockwise.
    """

    landmarks: npt.NDArray[np.float32]
    box: tuple[float, float, float, float]
    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    chin: tuple[float, float]
    roll: float
    score: float

    @property
    def eyes(self) -> tuple[float, float]:
        """The point between the eyes."""
        return (self.left_eye[0] + self.right_eye[0]) / 2, (self.left_eye[1] + self.right_eye[1]) / 2

    @property
    def eye_distance(self) -> float:
        """Pixels between the eyes' centres."""
        return float(np.hypot(self.right_eye[0] - self.left_eye[0], self.right_eye[1] - self.left_eye[1]))


@dataclass(frozen=True)
class Cutout:
    """A subject freed from its background at the photo's own size.

    `colour` is the estimated foreground (Image; equal to the photo byte for byte wherever alpha >= 250/255),
    `alpha` its opacity, `notices` sentences such as "check this edge".
    """

    colour: Image
    alpha: Alpha
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """Where a cut-out goes: a similarity from photo pixels to frame pixels, and the frame's size.

    `matrix` is 2 x 3 float64 as cv2.warpAffine takes it (photo -> frame); `scale` its factor, `roll` its turn in
    degrees. `native` is true when it is a whole-pixel shift, so that no resampling happens.
    `box` is the photo's rectangle seen in the frame: left, top, right, bottom in frame pixels.
    """

    matrix: npt.NDArray[np.float64]
    size: Size
    scale: float
    roll: float
    native: bool
    box: tuple[float, float, float, float]
    eye_line: float | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """A cut-out after the one stated resampling: `colour` and `alpha` have the frame's size."""

    colour: Image
    alpha: Alpha
    frame: Frame


@dataclass(frozen=True)
class Crop:
    """What of the photo a picture shows: `box`, as shares of the photo, and `at`, where that lies, as shares of the
    picture; each left, top, right, bottom, 0 to 1.

    `whole` is how much of what must not be cut is in the box, 0 to 1, of the thing that is cut most; None where the
    photo shows no such thing.
    """

    box: tuple[float, float, float, float]
    at: tuple[float, float, float, float]
    whole: float | None = None


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
    blur: float = 0.0
    horizon: float = 0.4
    floor: float | None = None
    key: Side = "none"
    mired: float | None = None
    seen_from: Literal["front", "three-quarter", "above"] = "front"
    pitch: float | None = None
    subject: Literal["person", "product", "any"] = "any"
    centre: float = 0.5
    avoid: Colour | None = None
    behind: Colour | None = None
    black: float | None = None
    monochrome: bool = False
    fallen: tuple[float, float] | None = None
    light: float = 1.0


ControlKind = Literal["pose", "depth", "soft-edges", "edges", "normal", "segments"]


@dataclass(frozen=True)
class Adapter:
    """A LoRA for one drawing: a .safetensors file, or a hub id (`owner/name`, `owner/name::file.safetensors`)."""

    source: str
    weight: float = 1.0


@dataclass(frozen=True)
class Render:
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
    anew: bool = False
    stays: Alpha | None = None


@dataclass(frozen=True)
class ModelStep:
    """One denoising step done; `preview` makes the clean estimate when somebody wants to see it."""

    index: int
    total: int
    preview: Callable[[], Image] | None = None


Scenery = Literal["plain", "computed", "photographed", "mixed"]


@dataclass(frozen=True)
class Images:
    """What a model drew. `notices` says, say, which scene was taken and why; `alphas` what of each is figure.

    `scenery` says what a built-in scene is: one colour, computed, a photograph, or a photograph with computed parts.
    `together`: pictures in the fullest call that drew some of them.
    """

    images: tuple[Image, ...]
    notices: tuple[str, ...] = ()
    alphas: tuple[Alpha, ...] = ()
    scenery: Scenery | None = None
    together: int = 1


@dataclass(frozen=True)
class Extra:
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
class Draft:
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
    source: Placed | None = None
    alphas: tuple[Alpha, ...] = ()
    notices: tuple[str, ...] = ()
    exact: bool = True
    transparent: bool = False
    computed: bool = False
    extras: tuple[Extra, ...] = ()
    names: tuple[str, ...] = ()
    archive: str = ""
    sources: tuple[tuple[str, Placed] | None, ...] = ()
    settled: Mapping[str, object] = field(default_factory=dict[str, object])
    markable: bool = True
    crops: tuple[Crop, ...] = ()


# ---------------------------------------------------------------- models


@dataclass(frozen=True)
class ModelSpec:
    """A model as data. `bytes` and `min_vram` in bytes, 0 when not known before loading.

    `files` maps a path below `assets/models` to its sha256 for models that ship with the project; `repo` and
    `revision` name a hub repository or a local folder otherwise. `dtype` "auto" is the best of the device. `options`
    are words that only the family reads, such as an adapter's repository. `beside`: bytes that stay in main memory.
    `fetched`: bytes that come from the hub, where they are not those two together.
    """

    id: str
    family: str
    verbs: tuple[Verb, ...]
    licence: str
    repo: str = ""
    revision: str = ""
    files: tuple[tuple[str, str], ...] = ()
    commercial_ok: bool = True
    defaults: tuple[tuple[str, float], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    dtype: str = "float32"
    bytes: int = 0
    min_vram: int = 0
    beside: int = 0
    fetched: int = 0


class Model(Protocol):
    """A loaded model. `draw` calls `on_step` once per step, which may raise `Cancelled` and must leave it clean."""

    spec: ModelSpec

    def draw(self, render: Render, on_step: Callable[[ModelStep], None]) -> Images: ...

    def close(self) -> None: ...


@runtime_checkable
class Joining(Protocol):
    """What a model may add: drawing several orders in one call, each as it is alone to within 1 of 255."""

    def alike(self, render: Render) -> tuple[Hashable, int] | None:
        """What two orders must have in common to share a call, and the tokens a picture adds to a step of it.

        None for an order that is drawn alone, such as one with pictures of its owner's.
        """
        ...

    def draw_all(self, renders: Sequence[Render], on_step: Callable[[Sequence[ModelStep]], None]) -> list[Images]:
        """As `draw` does each; `on_step` is told a step for every order. Only for orders that are `alike`."""
        ...


@runtime_checkable
class Movable(Protocol):
    """What a model may add: leaving the device for the host's memory, and coming back faster than it was loaded."""

    def to_host(self) -> None: ...

    def to_device(self) -> None: ...


class Family(Protocol):
    """One file in `models/families`: its rows and how to load one."""

    specs: tuple[ModelSpec, ...]

    def load(self, spec: ModelSpec, device: str) -> Any: ...

    def size_of(self, spec: ModelSpec) -> int:
        """Bytes that loading will take, known before loading."""
        ...


@dataclass(frozen=True)
class Profile:
    """A spec id per verb, and the reason why this profile was taken; `fallen`: in place of one that should serve."""

    id: str
    specs: Mapping[Verb, str]
    title: str
    reason: str = ""
    fallen: bool = False


# ---------------------------------------------------------------- tools

P = TypeVar("P", bound=Params)


class Studio(Protocol):
    """What a tool is handed. Every model and every file is reached through it."""

    seed: int
    draft: bool

    def open(self, file_id: str) -> Image:
        """The ingested picture, H x W x 3; alpha, where it has one, is laid on white."""
        ...

    def cutout(self, params: Subject, emit: Emit) -> Cutout:
        """The subject of `params.photo`; kept by content hash, the second call is free; raises `no_subject`."""
        ...

    def faces(self, file_id: str) -> tuple[Face, ...]:
        """Faces by size, largest first; empty when there is none, and when nobody said that they agree."""
        ...

    def draw(self, render: Render, emit: Emit) -> Images:
        """Runs the profile's model for `render.verb`; raises `ModelUnavailable` when it has none."""
        ...

    def layer(self, file_id: str) -> Image:
        """The ingested picture with its transparency, H x W x 4; opaque where it has none."""
        ...

    def mask(self, file_id: str) -> Alpha:
        """A picture read as a mask, at its own size: brightness times opacity."""
        ...

    def keep(self, key: tuple[object, ...], make: Callable[[], Image]) -> Image:
        """`make()`, kept by `key` for a while, so that a change which does not touch the key is free."""
        ...

    def has(self, verb: Verb) -> bool:
        """Whether the profile serves `verb`."""
        ...

    def borrow(self, spec_id: str) -> AbstractContextManager[Any]:
        """Any spec of the cache: matting, face, upscale."""
        ...

    def serves(self, role: str) -> str:
        """The id of the spec that was settled for `role` when the job was made, else `role` itself."""
        ...


class Run(Protocol):
    def __call__(self, params: Any, studio: Studio, emit: Emit) -> Draft: ...


@dataclass(frozen=True)
class Tool:
    """A row in `TOOLS`: what the card says, the form, and the one function.

    `strengths` hold everywhere; `with_model` are further ones, each with the verb that a profile needs for it.
    `reblends` are the fields that lay a drawn picture otherwise: who moves only those sees the same drawing again.
    """

    id: str
    title: str
    summary: str
    params: type[Params]
    run: Run
    strengths: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    person: bool = False
    popular: bool = False
    examples: tuple[str, ...] = ()
    with_model: tuple[tuple[str, Verb], ...] = ()
    reblends: tuple[str, ...] = ()
