"""Expand: a larger frame around an exact photo; what is added is a scene, a blur that says so, or drawn by a model."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.compositing.compose import compose
from pipelines.compositing.light_estimation import measured
from pipelines.compositing.shadows import Shadow
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Frame, Image, Size
from pipelines.core.job import Emit
from pipelines.core.params import MAX_SIDE, Params, Subject, choice, mask, number, picture, prompt, seed
from pipelines.core.rendering import Backdrop, Draft, Render
from pipelines.core.tools import Studio, Tool
from pipelines.framing.placement import bounds, sides_cut
from pipelines.framing.resample import place
from pipelines.tools.shared import form_fields

PresetId = Literal["auto", "blur", "scene", "draw"]
RatioId = Literal["1:1", "4:5", "3:2", "16:9", "9:16", "all-round"]
Line = npt.NDArray[np.float32]
RATIOS: dict[str, tuple[int, int]] = {"1:1": (1, 1), "4:5": (4, 5), "3:2": (3, 2), "16:9": (16, 9), "9:16": (9, 16)}
BLURRED = "What lies outside your photo is its own border, out of focus: nothing was invented."
_ROUND = 0.25  # of each side, added all round
_FOLD = 0.045  # of the longer side, what is seen of the border again outside it
_SEAM = 0.012  # of the longer side, over which a drawn rim meets the photo, outside it


class Expand(Params):
    """The form."""

    photo: str = picture("Photo", "The picture that stays as it is.", required=True)
    ratio: RatioId = choice(
        "Shape", "The new frame; the photo is not cut.", "16:9", labels={"all-round": "A quarter more all round"}
    )
    preset: PresetId = choice(
        "Fill with", "What lies outside the photo.", "auto",
        labels={"auto": "What suits", "blur": "Its own blur", "scene": "A scene behind the subject", "draw": "Drawn"},
    )  # fmt: skip
    prompt: str = prompt("In words", "What lies outside, for a model that draws.", more=True, needs=("inpaint",))
    scene: str = form_fields.words("The scene behind the subject, for example: studio, forest, lobby.")
    place_x: float = number("Photo to the right", "0: left, 1: right.", 0.5, ge=0, le=1, step=0.05)
    place_y: float = number("Photo down", "0: top, 1: bottom.", 0.5, ge=0, le=1, step=0.05)
    matte: str | None = mask("Cut-out", "White keeps, black drops: replaces the automatic cut-out.")
    pick: int = number("Subject", "0: main subject or largest face; 1, 2, …: the next by size.", 0, ge=0, le=15)
    brand: str = form_fields.brand()
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    seed: int | None = seed()
    consent: bool = form_fields.consent_if()


def run(params: Expand, studio: Studio, emit: Emit) -> Draft:
    """Lay the photo in the new frame at its own pixels; then draw, set a scene, or blur around it."""
    photo = _small(studio.open(params.photo), 384) if studio.draft else studio.open(params.photo)
    size = _size(photo, params.ratio)
    at = round(params.place_x * (size[0] - photo.shape[1])), round(params.place_y * (size[1] - photo.shape[0]))
    emit("Reading the photo", 1, 1)
    if params.preset == "draw" and not studio.has("inpaint"):
        raise BadInput(
            "Nothing here can draw what lies outside. Choose a scene or the photo's own blur.", param="preset"
        )
    if studio.has("inpaint") and params.preset in ("auto", "draw"):
        image, notices = _drawn(params, studio, emit, photo, size, at)
    elif params.preset == "scene" or (params.preset == "auto" and params.scene):
        return _in_scene(params, studio, emit, photo, size, at)
    else:
        image, notices = _blurred(photo, size, at), (BLURRED,)
    emit("Expanding", 1, 1, image)
    return Draft(images=(image,), exact=False, notices=notices)


def _small(photo: Image, longer: int) -> Image:
    scale = min(1.0, longer / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def _size(photo: Image, ratio: str) -> Size:
    """The smallest frame of this shape that holds the photo. Raises `BadInput` where it would be too large."""
    rows, columns = photo.shape[:2]
    if ratio == "all-round":
        size = round(columns * (1 + 2 * _ROUND)), round(rows * (1 + 2 * _ROUND))
    else:
        across, down = RATIOS[ratio]
        size = max(columns, round(rows * across / down)), max(rows, round(columns * down / across))
    if max(size) > 2 * MAX_SIDE:
        raise BadInput(f"The frame would be larger than {2 * MAX_SIDE} pixels. Take a smaller photo.", param="ratio")
    return size


def _laid(ground: Image, photo: Image, at: tuple[int, int]) -> Image:
    """The photo's own bytes in the frame."""
    image = ground.copy()
    image[at[1] : at[1] + photo.shape[0], at[0] : at[0] + photo.shape[1]] = photo
    return image


def _outside(photo: Image, size: Size, at: tuple[int, int]) -> Alpha:
    """1 outside the photo."""
    outside = np.ones((size[1], size[0]), np.float32)
    outside[at[1] : at[1] + photo.shape[0], at[0] : at[0] + photo.shape[1]] = 0
    return outside


def _blurred(photo: Image, size: Size, at: tuple[int, int]) -> Image:
    """Each border goes on outwards, softer the farther: no second eye, no mirrored shoulder, only tones and grain."""
    ground = _folded(photo, size, at)
    away = cv2.distanceTransform((_outside(photo, size, at) > 0).astype(np.uint8), cv2.DIST_L2, 5)
    out = ground.astype(np.float32)
    # Wider and wider blurs, each taking over farther out.
    for share in (0.002, 0.006, 0.02, 0.045):
        reach = share * max(size)
        step = max(1, round(reach / 4))
        small = cv2.resize(ground, (max(2, size[0] // step), max(2, size[1] // step)), interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(small.astype(np.float32), (0, 0), reach / step)
        weight = np.clip(away / (2 * reach), 0, 1)[..., None]
        out += weight * (cv2.resize(soft, size, interpolation=cv2.INTER_CUBIC) - out)
    return _laid(np.clip(out + 0.5, 0, 255).astype(np.uint8), photo, at)


def _folded(photo: Image, size: Size, at: tuple[int, int]) -> Image:
    """The photo folded outwards at its border, slower and slower: texture goes on, and nothing from deeper inside than
    `_FOLD` is seen twice.
    """
    deep = _FOLD * max(size)
    rows, columns = photo.shape[:2]
    x, y = (_fold(np.arange(length, dtype=np.float32) - start, side, deep)
            for length, start, side in ((size[0], at[0], columns), (size[1], at[1], rows)))  # fmt: skip
    across, down = np.meshgrid(x, y)
    return np.asarray(cv2.remap(photo, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _fold(place: Line, side: int, deep: float) -> Line:
    """Where each place along a side of the frame is taken from, in the photo's pixels."""
    before, after = np.maximum(-place, 0), np.maximum(place - (side - 1), 0)
    inwards = deep * (1 - np.exp(-(before + after) / deep))
    there = np.where(before > 0, inwards, np.where(after > 0, side - 1 - inwards, place))
    return np.asarray(np.clip(there, 0, side - 1), np.float32)


def _drawn(
    params: Expand, studio: Studio, emit: Emit, photo: Image, size: Size, at: tuple[int, int]
) -> tuple[Image, tuple[str, ...]]:  # fmt: skip
    """The model sees the photo in its blur and draws the rest; the photo's own bytes are put back."""
    start = _blurred(photo, size, at)
    words = params.prompt or params.scene or "the same place, continuing beyond the frame"
    render = Render(
        "inpaint", words, size, (studio.seed,), images=(start,), mask=_outside(photo, size, at), strength=1.0
    )
    drawn = studio.draw(render, emit)
    away = cv2.distanceTransform((_outside(photo, size, at) > 0).astype(np.uint8), cv2.DIST_L2, 5)
    weight = np.clip(away / (_SEAM * max(size)), 0, 1)[..., None]
    image = start + weight * (drawn.images[0].astype(np.float32) - start)
    return _laid(np.asarray(image + 0.5, np.uint8), photo, at), ("What lies outside your photo was drawn by a model.",)


def _in_scene(params: Expand, studio: Studio, emit: Emit, photo: Image, size: Size, at: tuple[int, int]) -> Draft:
    """The subject before a scene that fills the frame, where the photo shows the whole of it."""
    cutout = studio.cutout(Subject(photo=params.photo, matte=params.matte, pick=params.pick), emit)
    scale = photo.shape[1] / cutout.alpha.shape[1]
    inner = _cuts_inside(cutout.alpha, photo, size, at)
    if inner:
        sides = ", ".join(inner)
        raise BadInput(f"The photo cuts the subject ({sides}), so it cannot stand free there. Choose the blur, or move "
                       "the photo to that edge.", param="preset")  # fmt: skip
    frame = Frame(
        matrix=np.array([[scale, 0, at[0]], [0, scale, at[1]]], np.float64), size=size, scale=scale, roll=0.0,
        native=scale == 1.0, box=(at[0], at[1], at[0] + photo.shape[1], at[1] + photo.shape[0]),
    )  # fmt: skip
    placed = place(studio.open(params.photo), cutout, frame)
    faces = studio.faces(params.photo)
    floor = bounds(placed.alpha)[3] / size[1]
    stands = not faces and "bottom" not in sides_cut(cutout.alpha)
    backdrop = Backdrop(
        scene="" if params.scene else "studio-grey", horizon=max(0.05, floor - 0.45),
        floor=floor if stands else None, seen_from="three-quarter" if stands else "front",
        subject="person" if faces else "product",
    )  # fmt: skip
    backdrop = measured(backdrop, photo, placed)
    scenes = studio.draw(Render("backdrop", params.scene, size, (studio.seed,), backdrop=backdrop), emit)
    shadow = Shadow(squash=0.45) if stands else None  # nothing floats
    image = compose(placed, scenes.images[0], seed=studio.seed, shadow=shadow)
    return Draft(
        images=(image,), source=placed, alphas=(placed.alpha,),
        notices=(*cutout.notices, *scenes.notices),
    )  # fmt: skip


def _cuts_inside(alpha: Alpha, photo: Image, size: Size, at: tuple[int, int]) -> tuple[str, ...]:
    """Sides on which the photo cuts the subject and the new frame goes on."""
    room = {
        "left": at[0], "top": at[1], "right": size[0] - at[0] - photo.shape[1],
        "bottom": size[1] - at[1] - photo.shape[0],
    }  # fmt: skip
    return tuple(side for side in sides_cut(alpha) if room[side] > 1)


TOOL = Tool(
    id="expand",
    title="Expand",
    summary="A larger frame around your photo, which stays pixel for pixel.",
    params=Expand,
    run=run,
    strengths=("Your photo unchanged", "Any shape", "A scene behind the subject", "Says what was added"),
    limits=("Without a GPU model nothing is invented: what is added is blur or a scene",),
    with_model=(("Invented surroundings", "inpaint"),),
    examples=("chelsea", "coffee", "astronaut"),
)
