"""A scene that an edit model draws around the subject, whose own pixels are laid over it again; knows no form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.codecs.containers import layered
from pipelines.compositing.compose import relight
from pipelines.compositing.registration import lies, paste
from pipelines.core.geometry import Image, PlacedSubject
from pipelines.core.job import Emit
from pipelines.core.params import flag
from pipelines.core.rendering import Extra, Render
from pipelines.core.tools import Studio
from pipelines.framing.resample import resample

ASKED = (
    "The same subject, unchanged, in the same place and at the same size, in another place: {}. Light, contact and "
    "shadows on the ground as that place has them."
)
DRAWN = "A model drew the scene around the subject; the subject's own pixels were laid over it again."
ASTRAY = (
    "In {} the subject could not be found where your photo has it, even after what the model had moved was put back: "
    "there the scene was set behind it instead."
)
OWN = "A picture or colour of your own is laid behind the subject as it is: nothing was drawn around it."


@dataclass(frozen=True)
class Around:
    """One finished picture, and what the model drew for it, put back to where the photo has the subject."""

    image: Image
    plate: Image


def field() -> Any:
    """`bool`."""
    return flag(
        "Draw the scene around the subject", "A model draws place, light and contact from the photo and the words; "
        "then your own pixels are laid over it again.", needs=("edit",),
    )  # fmt: skip


def drawn(
    studio: Studio, emit: Emit, photo: Image, placed: PlacedSubject, words: str, seeds: Sequence[int], *, relit: bool = False
) -> tuple[Around | None, ...]:  # fmt: skip
    """A picture for each seed; None where the subject does not lie where it did, even after drift was undone."""
    # Where the photo ends its last pixels go on: black, as a native frame has it there, would be drawn as black.
    seen = resample(photo, replace(placed.frame, native=False))
    start = paste(
        seen, placed.colour, placed.alpha
    )  # others that stand beside it, and what was mended, are in no photo
    asked = Render("edit", ASKED.format(words), placed.frame.size, tuple(seeds), images=(start,), stays=placed.alpha)
    return tuple(
        _laid(placed, plate, relit=relit) if lies(start, plate, placed.alpha) else None
        for plate in studio.draw(asked, emit).images
    )


def notices(pictures: Sequence[Around | None]) -> tuple[str, ...]:
    """What is to be said of these pictures."""
    good, astray = sum(each is not None for each in pictures), sum(each is None for each in pictures)
    which = "the picture" if len(pictures) == 1 else f"{astray} of {len(pictures)} pictures"
    return ((DRAWN,) if good else ()) + ((ASTRAY.format(which),) if astray else ())


def layers(made: Around, placed: PlacedSubject, *, relit: bool, name: str) -> tuple[Extra, ...]:
    """The picture taken apart: what the model drew, and the subject."""
    return layered(made.image, placed, made.plate, seed=0, relit=relit, clean=True, name=name)


def _laid(placed: PlacedSubject, plate: Image, *, relit: bool) -> Around:
    colour = relight(placed, plate) if relit else placed.colour
    return Around(paste(plate, colour, placed.alpha), plate)
