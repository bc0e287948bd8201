"""A scene that an edit model draws around the subject, whose own pixels are laid over it again; knows no form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.codecs.containers import encode_layers
from pipelines.compositing.compose import relight_subject
from pipelines.compositing.registration import is_aligned, paste_subject
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
    """One finished picture, and what the model drew for it, put back to where the photo has the subject."""

    image: Image
    plate: Image


def around_field() -> Any:
    """`bool`."""
    return flag_field(
        "Draw the scene around the subject", "A model draws place, light and contact from the photo and the words; "
        "then your own pixels are laid over it again.", needs=("edit",),
    )  # fmt: skip


def draw_scene_around_subject(
    context: ToolContext, emit: ProgressCallback, photo: Image, placed: PlacedSubject, words: str, seeds: Sequence[int], *, relit: bool = False
) -> tuple[SceneEdit | None, ...]:  # fmt: skip
    """A picture for each seed; None where the subject does not lie where it did, even after drift was undone."""
    # Where the photo ends its last pixels go on: black, as a native frame has it there, would be drawn as black.
    seen = resample(photo, replace(placed.frame, is_native_scale=False))
    start = paste_subject(
        seen, placed.colour, placed.alpha
    )  # others that stand beside it, and what was mended, are in no photo
    asked = RenderRequest(
        "edit", EDIT_PROMPT.format(words), placed.frame.size, tuple(seeds), images=(start,), preserved_mask=placed.alpha
    )
    return tuple(
        _paste_subject(placed, plate, relit=relit) if is_aligned(start, plate, placed.alpha) else None
        for plate in context.draw(asked, emit).images
    )


def edit_notices(pictures: Sequence[SceneEdit | None]) -> tuple[str, ...]:
    """What is to be said of these pictures."""
    good, astray = sum(each is not None for each in pictures), sum(each is None for each in pictures)
    which = "the picture" if len(pictures) == 1 else f"{astray} of {len(pictures)} pictures"
    return ((DRAWN_NOTICE,) if good else ()) + ((NOT_ALIGNED_NOTICE.format(which),) if astray else ())


def export_layers(made: SceneEdit, placed: PlacedSubject, *, relit: bool, name: str) -> tuple[EncodedFile, ...]:
    """The picture taken apart: what the model drew, and the subject."""
    return encode_layers(made.image, placed, made.plate, seed=0, relit=relit, clean=True, name=name)


def _paste_subject(placed: PlacedSubject, plate: Image, *, relit: bool) -> SceneEdit:
    colour = relight_subject(placed, plate) if relit else placed.colour
    return SceneEdit(paste_subject(plate, colour, placed.alpha), plate)
