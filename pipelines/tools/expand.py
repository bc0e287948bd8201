"""Expand: a larger frame around an unchanged photo; the rest is a scene, a blur, or drawn by a model (outpainting)."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.compositing.compose import composite_subject
from pipelines.compositing.light_estimation import with_photo_constraints
from pipelines.compositing.shadows import Shadow
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Frame, Image, Size
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    MAX_SIDE,
    Params,
    Points,
    SubjectBox,
    choice_field,
    drop_field,
    keep_field,
    number_field,
    picture_field,
    prompt_field,
    seed_field,
    subject_box_field,
    subject_of,
)
from pipelines.core.rendering import Backdrop, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.placement import find_bounds, find_cut_sides
from pipelines.framing.resample import place_subject
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.picture_operations import blend_into, shrink_to_side

PresetId = Literal["auto", "blur", "scene", "draw"]
RatioId = Literal["1:1", "4:5", "3:2", "16:9", "9:16", "all-round"]
Coordinates = npt.NDArray[np.float32]
Position = tuple[int, int]  # left and top edge of the photo in the frame, in pixels
BLUR_NOTICE = "What lies outside your photo is its own border, out of focus: nothing was invented."
_DRAFT_SIDE_PX = 384
_ALL_ROUND_RATIO = 0.25  # of each side, added on every side
_FOLD_RATIO = 0.045  # of the longer side, how deep into the photo its border is repeated outside
_BLUR_RATIOS = (0.002, 0.006, 0.02, 0.045)  # of the longer side, radii of the blurs, each used farther out


class Expand(Params):
    """The form."""

    photo: str = picture_field("Photo", "The picture that stays as it is.", required=True)
    ratio: RatioId = choice_field(
        "Shape", "The new frame; the photo is not cut.", "16:9", labels={"all-round": "A quarter more all round"}
    )
    preset: PresetId = choice_field(
        "Fill with", "What lies outside the photo.", "auto",
        labels={"auto": "What suits", "blur": "Its own blur", "scene": "A scene behind the subject", "draw": "Drawn"},
    )  # fmt: skip
    prompt: str = prompt_field(
        "In words", "What lies outside, for a model that draws.", advanced=True, needs=("inpaint",)
    )
    scene: str = form_fields.scene_words_field("The scene behind the subject, for example: studio, forest, lobby.")
    place_x: float = number_field("Photo to the right", "0: left, 1: right.", 0.5, ge=0, le=1, step=0.05)
    place_y: float = number_field("Photo down", "0: top, 1: bottom.", 0.5, ge=0, le=1, step=0.05)
    matte: str | None = form_fields.matte_field()
    pick: int = form_fields.pick_field()
    keep: Points = keep_field()
    drop: Points = drop_field()
    box: SubjectBox = subject_box_field()
    look: str = form_fields.look_field()
    brand: str = form_fields.brand_field()
    format: form_fields.FileFormat = form_fields.format_field()
    quality: int = form_fields.quality_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.optional_consent_field()


def run(params: Expand, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Place the photo in the new frame at its own size; then draw around it, set a scene, or blur its borders."""
    photo = context.open_image(params.photo)
    photo = shrink_to_side(photo, _DRAFT_SIDE_PX) if context.draft else photo
    size = _frame_size(photo, params.ratio)
    at = round(params.place_x * (size[0] - photo.shape[1])), round(params.place_y * (size[1] - photo.shape[0]))
    emit("Reading the photo", 1, 1)
    if params.preset == "draw" and not context.has_verb("inpaint"):
        raise BadInput(
            "Nothing here can draw what lies outside. Choose a scene or the photo's own blur.", param="preset"
        )
    if context.has_verb("inpaint") and params.preset in ("auto", "draw"):
        image, notices = _draw_outside(params, context, emit, photo, size, at)
    elif params.preset == "scene" or (params.preset == "auto" and params.scene):
        return _set_in_scene(params, context, emit, photo, size, at)
    else:
        image, notices = _extend_with_blur(photo, size, at), (BLUR_NOTICE,)
    emit("Expanding", 1, 1, image)
    return ToolOutput(images=(image,), exact=False, notices=notices)


def _frame_size(photo: Image, ratio: str) -> Size:
    """Compute the smallest frame of this shape that holds the photo. Raises `BadInput` where it is too large."""
    rows, columns = photo.shape[:2]
    if ratio == "all-round":
        size = round(columns * (1 + 2 * _ALL_ROUND_RATIO)), round(rows * (1 + 2 * _ALL_ROUND_RATIO))
    else:
        across, down = form_fields.ASPECT_RATIOS[ratio]
        size = max(columns, round(rows * across / down)), max(rows, round(columns * down / across))
    if max(size) > 2 * MAX_SIDE:
        raise BadInput(f"The frame would be larger than {2 * MAX_SIDE} pixels. Take a smaller photo.", param="ratio")
    return size


def _outside_mask(photo: Image, size: Size, at: Position) -> Alpha:
    """Build the mask of the frame, H x W: 1 outside the photo, 0 inside."""
    outside = np.ones((size[1], size[0]), np.float32)
    outside[at[1] : at[1] + photo.shape[0], at[0] : at[0] + photo.shape[1]] = 0
    return outside


def _extend_with_blur(photo: Image, size: Size, at: Position) -> Image:
    """Extend the photo by its own border, softer the farther out: tones and grain, no repeated things."""
    folded = _fold_borders(photo, size, at)
    distance = cv2.distanceTransform((_outside_mask(photo, size, at) > 0).astype(np.uint8), cv2.DIST_L2, 5)
    image = folded.astype(np.float32)
    for ratio in _BLUR_RATIOS:
        radius = ratio * max(size)
        step = max(1, round(radius / 4))
        small = cv2.resize(folded, (max(2, size[0] // step), max(2, size[1] // step)), interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(small.astype(np.float32), (0, 0), radius / step)
        weight = np.clip(distance / (2 * radius), 0, 1)[..., None]
        image += weight * (cv2.resize(blurred, size, interpolation=cv2.INTER_CUBIC) - image)
    extended = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    extended[at[1] : at[1] + photo.shape[0], at[0] : at[0] + photo.shape[1]] = photo
    return extended


def _fold_borders(photo: Image, size: Size, at: Position) -> Image:
    """Mirror the photo outwards at its borders, slower and slower, so that nothing deep inside is seen twice."""
    depth = _FOLD_RATIO * max(size)
    rows, columns = photo.shape[:2]
    x = _fold_coordinates(np.arange(size[0], dtype=np.float32) - at[0], columns, depth)
    y = _fold_coordinates(np.arange(size[1], dtype=np.float32) - at[1], rows, depth)
    map_x, map_y = np.meshgrid(x, y)
    return np.asarray(cv2.remap(photo, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _fold_coordinates(places: Coordinates, length: int, depth: float) -> Coordinates:
    """Map places along one side of the frame to where they are sampled from, in the photo's pixels."""
    before, after = np.maximum(-places, 0), np.maximum(places - (length - 1), 0)
    inwards = depth * (1 - np.exp(-(before + after) / depth))
    sampled = np.where(before > 0, inwards, np.where(after > 0, length - 1 - inwards, places))
    return np.asarray(np.clip(sampled, 0, length - 1), np.float32)


def _draw_outside(
    params: Expand, context: ToolContext, emit: ProgressCallback, photo: Image, size: Size, at: Position
) -> tuple[Image, tuple[str, ...]]:
    """Let a model inpaint the surroundings, starting from the blur; the photo's own pixels stay."""
    start, outside = _extend_with_blur(photo, size, at), _outside_mask(photo, size, at)
    words = params.prompt or params.scene or "the same place, continuing beyond the frame"
    render = RenderRequest("inpaint", words, size, (context.seed,), images=(start,), mask=outside, strength=1.0)
    drawn = context.draw(render, emit).images[0]
    image = np.asarray(blend_into(start, drawn, outside) + 0.5, np.uint8)
    return image, ("What lies outside your photo was drawn by a model.",)


def _set_in_scene(
    params: Expand, context: ToolContext, emit: ProgressCallback, photo: Image, size: Size, at: Position
) -> ToolOutput:
    """Set the subject before a scene that fills the frame. Raises `BadInput` where the photo cuts the subject."""
    cutout = context.cut_out_subject(subject_of(params), emit)
    scale = photo.shape[1] / cutout.alpha.shape[1]
    if sides := _sides_cut_inside(cutout.alpha, photo, size, at):
        raise BadInput(
            f"The photo cuts the subject ({', '.join(sides)}), so it cannot stand free there. Choose the blur, or move "
            "the photo to that edge.",
            param="preset",
        )
    frame = Frame(
        matrix=np.array([[scale, 0, at[0]], [0, scale, at[1]]], np.float64),
        size=size,
        scale=scale,
        roll=0.0,
        is_native_scale=scale == 1.0,
        box=(at[0], at[1], at[0] + photo.shape[1], at[1] + photo.shape[0]),
    )
    placed = place_subject(context.open_image(params.photo), cutout, frame)
    faces = context.detect_faces(params.photo)
    floor = find_bounds(placed.alpha)[3] / size[1]
    stands = not faces and "bottom" not in find_cut_sides(cutout.alpha)
    backdrop = Backdrop(
        scene="" if params.scene else "studio-grey",
        horizon_ratio=max(0.05, floor - 0.45),
        floor_ratio=floor if stands else None,
        seen_from="three-quarter" if stands else "front",
        subject="person" if faces else "product",
    )
    backdrop = with_photo_constraints(backdrop, photo, placed)
    scenes = context.draw(RenderRequest("backdrop", params.scene, size, (context.seed,), backdrop=backdrop), emit)
    shadow = Shadow(squash=0.45) if stands else None
    image = composite_subject(placed, scenes.images[0], seed=context.seed, shadow=shadow)
    notices = (*cutout.notices, *scenes.notices)
    return ToolOutput(images=(image,), source=placed, alphas=(placed.alpha,), notices=notices)


def _sides_cut_inside(alpha: Alpha, photo: Image, size: Size, at: Position) -> tuple[str, ...]:
    """List the sides on which the photo cuts the subject and the new frame goes on."""
    left, top = at
    right, bottom = size[0] - left - photo.shape[1], size[1] - top - photo.shape[0]
    added_px = {"left": left, "top": top, "right": right, "bottom": bottom}
    return tuple(side for side in find_cut_sides(alpha) if added_px[side] > 1)


TOOL = Tool(
    id="expand",
    title="Expand",
    summary="A larger frame around your photo, which stays pixel for pixel.",
    params=Expand,
    run=run,
    is_edit=True,
    strengths=("Your photo unchanged", "Any shape", "A scene behind the subject", "Says what was added"),
    limits=("Without a graphics card nothing is invented: what is added is blur or a scene",),
    model_strengths=(("Invented surroundings", "inpaint"),),
    examples=("chelsea", "coffee", "astronaut"),
)
