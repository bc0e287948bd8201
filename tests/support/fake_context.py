"""A tool context over numpy pictures: runs one tool or style without a service, an engine or a model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Box, Cutout, Face, Image
from pipelines.core.job import Preview, ProgressCallback
from pipelines.core.params import Subject
from pipelines.core.rendering import RenderedImages, RenderRequest


def _ignore_progress(stage: str, index: int, total: int, preview: Preview = None) -> None:
    pass


@dataclass(eq=False)
class FakeContext:
    """A `ToolContext` with one photo, one matte, and a model for `verbs` that paints pictures of one `colour`.

    `alpha` is the subject's matte, and what `open_mask` returns. `seen` is what stands out in the whole photo; nothing
    by default. `renders` and `memoized` record what the tool asked.
    """

    image: Image
    alpha: Alpha | None = None
    faces: tuple[Face, ...] = ()
    verbs: Collection[str] = ("backdrop",)
    colour: int | tuple[int, int, int] = 190
    seed: int = 1
    draft: bool = False
    renders: list[RenderRequest] = field(default_factory=list)
    memoized: dict[tuple[object, ...], Image] = field(default_factory=dict)
    seen: Alpha = field(default_factory=lambda: np.zeros((8, 8), np.float32))

    def see_whole_photo(self, file_id: str) -> Alpha:
        return self.seen

    def open_image(self, file_id: str) -> Image:
        return self.image

    def open_image_with_alpha(self, file_id: str) -> Image:
        return np.dstack([self.image, np.full(self.image.shape[:2], 255, np.uint8)])

    def open_mask(self, file_id: str) -> Alpha:
        assert self.alpha is not None
        return self.alpha

    def cut_out_subject(self, params: Subject, emit: ProgressCallback, *, together: bool = False) -> Cutout:
        if self.alpha is None or not self.alpha.any():
            raise BadInput("Nothing stands out in this photo.", code="no_subject", param="photo")
        return Cutout(self.image, self.alpha)

    def cut_out_coarsely(
        self, params: Subject, side_px: int, *, together: bool = False, as_made: bool = False
    ) -> tuple[Image, Alpha]:
        return self.image, self.cut_out_subject(params, _ignore_progress).alpha

    def cut_out_things_coarsely(self, params: Subject, side_px: int) -> tuple[Image, Alpha]:
        return self.cut_out_coarsely(params, side_px)

    def list_known_doubts(self, params: Subject, *, together: bool = False) -> Mapping[str, tuple[Box, ...]]:
        return {}

    def detect_faces(self, file_id: str) -> tuple[Face, ...]:
        return self.faces

    def has_verb(self, verb: str) -> bool:
        return verb in self.verbs

    def reads_several_pictures(self, verb: str) -> bool:
        return True

    def spec_for_role(self, role: str) -> str:
        return role

    def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
        self.renders.append(render)
        return self.paint(render, self.colour)

    def paint(self, render: RenderRequest, colour: int | tuple[int, int, int]) -> RenderedImages:
        """Return one picture of that colour for each seed."""
        width, height = render.size
        return RenderedImages(tuple(np.full((height, width, 3), colour, np.uint8) for _ in render.seeds))

    def memoize(self, key: tuple[object, ...], make: Callable[[], Image]) -> Image:
        if key not in self.memoized:
            self.memoized[key] = make()
        return self.memoized[key]

    @contextmanager
    def borrow_model(self, spec_id: str) -> Iterator[Any]:
        raise AssertionError(f"the tool borrows {spec_id}")
        yield
