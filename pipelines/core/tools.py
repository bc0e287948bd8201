"""The row that declares a creation tool, and the protocol of what its `run` is handed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipelines.core.geometry import Alpha, Cutout, Face, Image
from pipelines.core.job import Emit
from pipelines.core.params import Params, Subject, Verb
from pipelines.core.rendering import Draft, Images, Render

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
