"""A scene that an edit model draws around the subject, whose own pixels are pasted over it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.codecs.containers import encode_layers
from pipelines.compositing.registration import is_aligned, paste_subject
from pipelines.compositing.relighting import relight_subject
from pipelines.core.geometry import Image, PlacedSubject
from pipelines.core.job import ProgressCallback
from pipelines.core.params import flag_field
from pipelines.core.rendering import EncodedFile, RenderRequest
from pipelines.core.tools import ToolContext
from pipelines.framing.resample import resample

EDIT_PROMPT = (
    "The same subject, unchanged, in the same place and at the same size, in another place: {}. Light, contact and "
    "shadows on the ground as that place has them."
)
DRAWN_NOTICE = "A model drew the scene around the subject; the subject's own pixels were laid over it again."
NOT_ALIGNED_NOTICE = (
    "In {} the subject could not be found where your photo has it, even after what the model had moved was put back: "
    "there the scene was set behind it instead."
)
OWN_BACKDROP_NOTICE = (
    "A picture or colour of your own is laid behind the subject as it is: nothing was drawn around it."
)


@dataclass(frozen=True)
class SceneEdit:
    """One finished picture, and the plate: what the model drew, registered with the photo."""

    image: Image
    plate: Image


def around_field() -> Any:
    """Whether an edit model draws the scene, `bool`."""
    return flag_field(
        "Draw the scene around the subject",
        "A model draws place, light and contact from the photo and the words; "
        "then your own pixels are laid over it again.",
        needs=("edit",),
    )


def draw_scene_around_subject(
    context: ToolContext,
    emit: ProgressCallback,
    photo: Image,
    placed: PlacedSubject,
    words: str,
    seeds: Sequence[int],
    *,
    relit: bool = False,
) -> tuple[SceneEdit | None, ...]:
    """Draw a scene for each seed; None where the subject is not where it was, even after drift was undone."""
    # Outside the photo its last pixels are repeated: black, as a frame at native scale has it, would be drawn as black.
    photo_in_frame = resample(photo, replace(placed.frame, is_native_scale=False))
    # Products that stand beside this one, and what was mended, are not in the photo.
    start = paste_subject(photo_in_frame, placed.colour, placed.alpha)
    prompt = EDIT_PROMPT.format(words)
    render = RenderRequest(
        "edit", prompt, placed.frame.size, tuple(seeds), images=(start,), preserved_mask=placed.alpha
    )
    return tuple(
        _paste_subject(placed, plate, relit=relit) if is_aligned(start, plate, placed.alpha) else None
        for plate in context.draw(render, emit).images
    )


def edit_notices(edits: Sequence[SceneEdit | None]) -> tuple[str, ...]:
    """Say how the scenes were made, and in how many the subject was not found again."""
    failed_count = sum(edit is None for edit in edits)
    which = "the picture" if len(edits) == 1 else f"{failed_count} of {len(edits)} pictures"
    drawn = (DRAWN_NOTICE,) if failed_count < len(edits) else ()
    return (*drawn, *((NOT_ALIGNED_NOTICE.format(which),) if failed_count else ()))


def export_layers(edit: SceneEdit, placed: PlacedSubject, *, relit: bool, name: str) -> tuple[EncodedFile, ...]:
    """Encode the picture as layers: what the model drew, and the subject."""
    return encode_layers(edit.image, placed, edit.plate, seed=0, relit=relit, clean=True, name=name)


def _paste_subject(placed: PlacedSubject, plate: Image, *, relit: bool) -> SceneEdit:
    colour = relight_subject(placed, plate) if relit else placed.colour
    return SceneEdit(paste_subject(plate, colour, placed.alpha), plate)
