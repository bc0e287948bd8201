"""Motion Portrait: a few seconds of camera movement over one photo by parallax; the person does not move.

Where a model draws clips, the photo can be let move instead: then every picture is drawn, and none is the photo.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pipelines.codecs.containers import encode_animation, encode_gif, encode_video
from pipelines.compositing import parallax
from pipelines.core.errors import BadInput
from pipelines.core.geometry import DOUBTFUL_UNCERTAINTY, UNCLEAR_UNCERTAINTY, Cutout, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import (
    SubjectSelection,
    choice_field,
    flag_field,
    number_field,
    prompt_field,
    seed_field,
    subject_of,
)
from pipelines.core.rendering import Caption, EncodedFile, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.framing.framings import size_for_ratio
from pipelines.framing.placement import find_cut_sides
from pipelines.imaging.resize import resize_image, size_within
from pipelines.quality.subject_checks import check_scenery
from pipelines.tools.shared import form_fields

MoveId = Literal["drift", "push", "orbit", "rise"]
MAX_SIZE_PX = 1280
DRAWN_FPS = 24.0  # that of the films that the model was trained on
_MAX_DRAWN_FRAMES = 121  # the longest of those films
_FRAMES_A_LATENT = 4
_DRAFT_SIDE_PX = 384
_STILL_NOTICE = "The draft is your photo: how it moves is drawn with the film itself, which takes minutes."
_CAMERA_WORDS: dict[MoveId, str] = {
    "drift": "The camera drifts slowly to the side.",
    "push": "The camera moves slowly closer.",
    "orbit": "The camera circles slowly around the subject.",
    "rise": "The camera rises slowly.",
}
_CAMERA_SAID = re.compile(r"\b(camera|zoom|pans?|dolly|kamera|schwenk)", re.IGNORECASE)
_LANDSCAPE_NOTICE = "Nothing stands out alone in this photo, so it moves as a whole."
_UNSURE_NOTICE = (
    "The whole photo moves: the cut around the subject would show. Point at the subject to move it against its ground."
)


class Motion(SubjectSelection):
    """The form: the photo as it is framed, so nothing says where the subject stands."""

    preset: MoveId = choice_field(
        "Camera",
        "How the camera moves; it ends where it began, so that the picture loops.",
        "drift",
        labels={key: move.title for key, move in parallax.CAMERA_MOVES.items()},
    )
    drawn: bool = flag_field(
        "Let it move (drawn)",
        "A video model draws every picture: people blink and turn, and nothing keeps its pixels.",
        advanced=False,
        needs=("video",),
    )
    prompt: str = prompt_field("What moves", "In words, for the drawn film.", advanced=True, needs=("video",))
    seconds: float = number_field(
        "Length", "One turn of the loop.", 4.0, ge=3, le=6, step=0.5, unit="s", advanced=False
    )
    depth: int = number_field("Depth", "How far the camera moves.", 60, ge=10, le=100, unit="%", advanced=False)
    mp4: bool = flag_field(
        "Also as MP4", "Beside the animated WebP: a video (VP9) for players and editing programs.", advanced=False
    )
    gif: bool = flag_field(
        "Also as GIF", "Beside the animated WebP: 256 colours, for mail and old programs.", advanced=False
    )
    gif_frames: int = number_field("Frames of the GIF", "Fewer make a smaller file.", 24, ge=2, le=60, advanced=True)
    size: int = number_field("Size", "Longer side.", 720, ge=256, le=MAX_SIZE_PX, step=16, unit="px")
    look: str = form_fields.look_field()
    seed: int | None = seed_field()
    consent: bool = form_fields.consent_field()


def run(params: Motion, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Cut out, continue the backdrop behind the subject, move the camera, write; or let a model draw the film."""
    if params.drawn:
        return _draw_film(params, context, emit)
    photo = context.open_image(params.photo)
    cutout, notices = _cut_out_surely(params, context, emit)
    longer = _DRAFT_SIDE_PX if context.draft else min(params.size, MAX_SIZE_PX)
    size = size_for_ratio((photo.shape[1], photo.shape[0]), longer)
    if cutout is None:
        seen = parallax.make_single_plane(photo, size)
    else:
        emit("Filling the backdrop", 1, 1)
        seen = parallax.split_planes(photo, cutout, size, context.seed)
    move, depth = parallax.CAMERA_MOVES[params.preset], params.depth / 100
    if context.draft:
        return ToolOutput(images=(parallax.render_frame(seen, move, depth, 0.25),), exact=False, notices=notices)

    count = round(params.seconds * parallax.FPS)
    made: list[Image] = []
    for frame in parallax.render_frames(seen, move, depth, params.seconds):
        made.append(frame)
        emit("Moving the camera", len(made), count, frame)
    # The camera's two furthest places show all that is ever seen.
    shown = (made[0], made[count // 4], made[3 * count // 4])
    extras = _write_films(params, made, parallax.FPS, shown, emit)
    said = f"{count / parallax.FPS:.1f} s, {count} frames. The camera moves; the person does not."
    return ToolOutput(images=(), exact=False, notices=(*notices, said), extras=extras)


def _draw_film(params: Motion, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    photo = context.open_image(params.photo)
    size = size_for_ratio((photo.shape[1], photo.shape[0]), _DRAFT_SIDE_PX if context.draft else params.size)
    if context.draft:
        return ToolOutput((resize_image(photo, size),), exact=False, notices=(_STILL_NOTICE,), is_sketch=True)
    words = (params.prompt or _describe_movement(params, context)).rstrip(". ")
    camera = "" if _CAMERA_SAID.search(words) else f". {_CAMERA_WORDS[params.preset]}"
    render = RenderRequest(
        "video",
        words,
        size,
        (context.seed,),
        images=(resize_image(photo, size_within(photo.shape, MAX_SIZE_PX)),),
        frame_count=_count_frames(params.seconds),
        caption=Caption(own=words + camera),
    )
    made = context.draw(render, emit).images
    # From the last picture back: the first one is nearly the photo, and would stand for the film of every seed.
    extras = _write_films(params, made, DRAWN_FPS, made[::-_FRAMES_A_LATENT], emit)
    seconds = len(made) / DRAWN_FPS
    said = (
        f"{seconds:.1f} s, {len(made)} frames, each drawn by a model from your photo: nobody moved like this, and a "
        "face may come out as another's. It does not end where it began."
    )
    shortened = f"The model draws {seconds:.1f} s at most." if seconds < params.seconds - 0.1 else ""
    return ToolOutput((), exact=False, notices=tuple(filter(None, (said, shortened))), extras=extras)


def _count_frames(seconds: float) -> int:
    """Count the pictures of a drawn film: one, and four for each further latent frame."""
    count = round(seconds * DRAWN_FPS / _FRAMES_A_LATENT) * _FRAMES_A_LATENT + 1
    return min(count, _MAX_DRAWN_FRAMES)


def _describe_movement(params: Motion, context: ToolContext) -> str:
    """Say what moves where nobody said it: people as people do, else only what a breeze would move."""
    if context.detect_faces(params.photo):
        return "The person blinks and breathes calmly"
    return "The scene moves gently, as in a light breeze"


def _write_films(
    params: Motion, made: Sequence[Image], fps: float, shown: tuple[Image, ...], emit: ProgressCallback
) -> tuple[EncodedFile, ...]:
    """Write the pictures as a looping WebP and as what else the form asks for; `shown` for the content filter."""
    emit("Writing the film", 1, 1)
    name = "drawn" if params.drawn else params.preset
    extras = [EncodedFile("result", "webp", encode_animation(made, fps), shown, name)]
    if params.gif:
        chosen = [made[n * len(made) // params.gif_frames] for n in range(params.gif_frames)]
        extras.append(EncodedFile("result", "gif", encode_gif(chosen, len(made) / fps), shown, name))
    if params.mp4:
        extras.append(EncodedFile("result", "mp4", encode_video(made, fps), shown, name))
    return tuple(extras)


def _cut_out_surely(
    params: Motion, context: ToolContext, emit: ProgressCallback
) -> tuple[Cutout | None, tuple[str, ...]]:
    """Cut out the subject; None where its cut would show if it moved, or where there is none; with notices.

    What was pointed at or painted moves in any case. Raises `BadInput` as cutting out does, but not for a landscape.
    """
    subject = subject_of(params)
    if subject.is_pointed or params.matte is not None:
        cutout = context.cut_out_subject(subject, emit)
        return cutout, cutout.notices
    try:
        cutout, faces = context.cut_out_subject(subject, emit), context.detect_faces(params.photo)
        check_scenery(cutout.alpha, faces)
    except BadInput as error:
        if error.code != "no_subject":
            raise
        return None, (_LANDSCAPE_NOTICE,)
    sides = find_cut_sides(cutout.alpha)
    is_doubtful = cutout.uncertainty > DOUBTFUL_UNCERTAINTY and bool(set(sides) - {"bottom"})
    if cutout.uncertainty > UNCLEAR_UNCERTAINTY or (not faces and (len(sides) > 1 or is_doubtful)):
        return None, (_UNSURE_NOTICE,)
    return cutout, cutout.notices


TOOL = Tool(
    id="motion",
    title="Motion Portrait",
    summary="A few seconds of gentle camera movement over your photo, as a loop. It moves the camera, not the person.",
    params=Motion,
    run=run,
    strengths=("3 to 6 seconds", "Real parallax from your own pixels", "Loops", "Animated WebP, GIF and MP4"),
    model_strengths=(("Drawn movement", "video"),),
    limits=("Nobody blinks, speaks or turns: that needs a video model",),
    person=True,
    examples=("astronaut", "hopper"),
)
