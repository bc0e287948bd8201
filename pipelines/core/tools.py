"""The row that declares a creation tool, and the protocol of what its `run` is handed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipelines.core.geometry import Alpha, Cutout, Face, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, Subject, Verb
from pipelines.core.rendering import RenderedImages, RenderRequest, ToolOutput

P = TypeVar("P", bound=Params)


class ToolContext(Protocol):
    """What a tool is handed. Every model and every file is reached through it."""

    seed: int
    draft: bool

    def open_image(self, file_id: str) -> Image:
        """The ingested picture, H x W x 3; alpha, where it has one, is laid on white."""
        ...

    def cut_out_subject(self, params: Subject, emit: ProgressCallback) -> Cutout:
        """The subject of `params.photo`; kept by content hash, the second call is free; raises `no_subject`."""
        ...

    def detect_faces(self, file_id: str) -> tuple[Face, ...]:
        """Faces by size, largest first; empty when there is none, and when nobody said that they agree."""
        ...

    def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
        """Runs the profile's model for `render.verb`; raises `ModelUnavailable` when it has none."""
        ...

    def open_image_with_alpha(self, file_id: str) -> Image:
        """The ingested picture with its transparency, H x W x 4; opaque where it has none."""
        ...

    def open_mask(self, file_id: str) -> Alpha:
        """A picture read as a mask, at its own size: brightness times opacity."""
        ...

    def memoize(self, key: tuple[object, ...], make: Callable[[], Image]) -> Image:
        """`make()`, kept by `key` for a while, so that a change which does not touch the key is free."""
        ...

    def has_verb(self, verb: Verb) -> bool:
        """Whether the profile serves `verb`."""
        ...

    def borrow_model(self, spec_id: str) -> AbstractContextManager[Any]:
        """Any spec of the cache: matting, face, upscale."""
        ...

    def spec_for_role(self, role: str) -> str:
        """The id of the spec that was settled for `role` when the job was made, else `role` itself."""
        ...


class ToolFunction(Protocol):
    def __call__(self, params: Any, context: ToolContext, emit: ProgressCallback) -> ToolOutput: ...


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
    run: ToolFunction
    strengths: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    person: bool = False
    popular: bool = False
    examples: tuple[str, ...] = ()
    model_strengths: tuple[tuple[str, Verb], ...] = ()
    blend_only_fields: tuple[str, ...] = ()
