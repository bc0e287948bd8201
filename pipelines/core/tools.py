"""The declaration of a tool (`Tool`), and the services that its function gets (`ToolContext`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.core.geometry import Alpha, Box, Cutout, Face, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, Subject, Verb
from pipelines.core.rendering import Caption, RenderedImages, RenderRequest, ToolOutput

FILL_ROLE = "fill"
"""The role of a net from the hub that fills a hole in a photo; a job has it where one is here."""


class ToolContext(Protocol):
    """Gives a running tool its files, models and face detector."""

    seed: int
    draft: bool

    def open_image(self, file_id: str) -> Image:
        """Return the stored picture, H x W x 3; a transparent one is composited on white."""
        ...

    def cut_out_subject(self, params: Subject, emit: ProgressCallback, *, together: bool = False) -> Cutout:
        """Cut the subject out of `params.photo`. The result is cached by content hash. Raises `no_subject`.

        `together`: where nothing else is chosen, all people in front are the subject.
        """
        ...

    def cut_out_coarsely(
        self, params: Subject, side_px: int, *, together: bool = False, as_made: bool = False
    ) -> tuple[Image, Alpha]:
        """Return the photo, its longer side at most `side_px`, and a coarse matte of what is pointed at; quickly.

        `together` as for `cut_out_subject`. Raises `no_subject`.
        """
        ...

    def cut_out_things_coarsely(self, params: Subject, side_px: int) -> tuple[Image, Alpha]:
        """Return the photo as `cut_out_coarsely` and a coarse matte of the things on which the `keep` points lie alone.

        Raises `no_subject` where nothing clear lies under a point.
        """
        ...

    def see_whole_photo(self, file_id: str) -> Alpha:
        """Return what stands out in a stored photo, as the net for drafts sees it: a square, 0 to 1."""
        ...

    def list_known_doubts(self, params: Subject, *, together: bool = False) -> Mapping[str, tuple[Box, ...]]:
        """Return where the cut-out may be wrong that a job has made already, by notice: boxes in ratios of the photo.

        Empty where none was made. It depends on what was made before, so it is only for looking at.
        """
        ...

    def detect_faces(self, file_id: str) -> tuple[Face, ...]:
        """Return the faces, largest first; empty when there is none or consent is missing."""
        ...

    def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
        """Run the profile's model for `render.verb`. Raises `ModelUnavailable` when there is none."""
        ...

    def open_image_with_alpha(self, file_id: str) -> Image:
        """Return the stored picture with its transparency, uint8, H x W x 4; opaque where it has none."""
        ...

    def open_mask(self, file_id: str) -> Alpha:
        """Return a picture read as a mask, at its own size: brightness times opacity."""
        ...

    def memoize(self, key: tuple[object, ...], make: Callable[[], Image]) -> Image:
        """Return the cached image for `key`, made by `make()` when the cache has none."""
        ...

    def has_verb(self, verb: Verb) -> bool:
        """Say whether the profile has a model for `verb`."""
        ...

    def reads_several_pictures(self, verb: Verb) -> bool:
        """Say whether the profile's model for `verb` sees other pictures beside the first one."""
        ...

    def borrow_model(self, spec_id: str) -> AbstractContextManager[Any]:
        """Borrow any model of the cache: matting, face detection, upscaling."""
        ...

    def spec_for_role(self, role: str) -> str:
        """Return the spec id that the job names for `role`, else `role` itself."""
        ...


@dataclass(frozen=True)
class Tool:
    """A tool: the texts of its card, its form, and its function.

    `strengths` hold with every profile; `model_strengths` need the verb that stands beside each. `is_edit` lists it
    under Edit, else it stands under Create. `blend_only_fields` change how a drawn picture is composited, so a change
    of these alone draws nothing anew. `caption` says what the form asks a model to draw, without looking at a picture.
    `place_looks` are those options of the first choice with tiles that show a place; where the default is a plain
    ground, the page suggests some.
    `has_photo_tiles`: its looks' tiles may show the visitor's photo; not where a look is a format, which they show.
    `fills_holes`: it borrows the model of `FILL_ROLE`, where one is here.
    """

    id: str
    title: str
    summary: str
    params: type[Params]
    run: Callable[[Any, ToolContext, ProgressCallback], ToolOutput]
    strengths: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    person: bool = False
    popular: bool = False
    is_edit: bool = False
    examples: tuple[str, ...] = ()
    model_strengths: tuple[tuple[str, Verb], ...] = ()
    blend_only_fields: tuple[str, ...] = ()
    caption: Callable[[Any], Caption] | None = None
    place_looks: tuple[str, ...] = ()
    has_photo_tiles: bool = True
    fills_holes: bool = False
