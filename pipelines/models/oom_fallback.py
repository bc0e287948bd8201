"""Draws within the memory there is: measures, makes room, tries once more with less; knows no family and no tool."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np

from pipelines.core.errors import OutOfMemory
from pipelines.core.geometry import Image, Size
from pipelines.core.models import BatchingModel, Model, ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.models.devices import MemoryGauge, create_memory_gauge, is_out_of_memory
from pipelines.models.hub_download import OnFileProgress
from pipelines.models.model_cache import ModelCache

log = logging.getLogger("designerbox")

T = TypeVar("T")
OnStep = Callable[[ModelStep], None]
OnSteps = Callable[[Sequence[ModelStep]], None]
MIN_SIDE_PX = 256
"""Nothing is drawn smaller than this to save memory."""


class DrawFn(Protocol):
    """Where an order is drawn: here, or where a GPU is lent. `begun` is told the model's row before the first step."""

    def __call__(
        self, spec_id: str, render: RenderRequest, on_step: OnStep, begun: Callable[[ModelSpec], None]
    ) -> RenderedImages: ...


@runtime_checkable
class LowMemoryMode(Protocol):
    """A model that can draw with less memory and more time, such as with its decoder in tiles."""

    def low_memory(self) -> AbstractContextManager[None]:
        """While it is open."""
        ...


def local_executor(cache: ModelCache, on_file: OnFileProgress | None = None) -> DrawFn:
    """Draws with the models of `cache`; `on_file` as `Cache.borrow` has it."""

    def draws(
        spec_id: str, render: RenderRequest, on_step: OnStep, begun: Callable[[ModelSpec], None]
    ) -> RenderedImages:
        with cache.borrow_model(spec_id, on_file) as model:
            begun(model.spec)
            return draw_with_fallback(cache, model, render, on_step)

    return draws


def draw_with_fallback(
    cache: ModelCache, model: Model, render: RenderRequest, on_step: OnStep, meter: MemoryGauge | None = None
) -> RenderedImages:
    """What `model.draw` gives; `model` is borrowed from `cache`.

    Idle models leave until what this took before is free. Where memory gives out all the same, everything idle leaves
    and the drawing is tried again with less: one picture at a time, then at half the area and enlarged. The images'
    notices say so. Raises `OutOfMemory` when that does not help either.
    """
    meter = meter or create_memory_gauge(cache.device)
    try:
        return _draw_measured(cache, model, render, on_step, meter)
    except (MemoryError, RuntimeError, OutOfMemory) as error:
        # The error holds the frames that hold the memory: nothing can be freed before it is gone.
        if not is_out_of_memory(error):
            raise
    log.warning("memory gave out while %s drew: trying again with less", model.spec.id)
    freed = cache.evict_idle()
    for size in _fallback_sizes(render, repeat_size=freed or len(render.seeds) > 1 or isinstance(model, LowMemoryMode)):
        try:
            return _draw_one_by_one(model, render, size, on_step)
        except (MemoryError, RuntimeError, OutOfMemory) as error:
            if not is_out_of_memory(error):
                raise
    raise OutOfMemory(_too_large_message(render))


def draw_batch(
    cache: ModelCache, model: BatchingModel, family: str, renders: Sequence[RenderRequest], on_step: OnSteps
) -> list[RenderedImages]:
    """What `model.draw_all` gives, room made for it as in `draw`. Where memory gives out: whatever the model raises."""
    return _run_measured(
        cache, family, renders, lambda: model.draw_batch(renders, on_step), create_memory_gauge(cache.device)
    )


def _draw_measured(
    cache: ModelCache, model: Model, render: RenderRequest, on_step: OnStep, meter: MemoryGauge | None
) -> RenderedImages:
    return _run_measured(cache, model.spec.family, (render,), lambda: model.draw(render, on_step), meter)


def _run_measured(
    cache: ModelCache, family: str, renders: Sequence[RenderRequest], call: Callable[[], T], meter: MemoryGauge | None
) -> T:  # fmt: skip
    """What `call` gives, idle models having left for what such a call took before; what it takes is remembered."""
    width, height = renders[0].size
    need = family, width * height, sum(len(render.seeds) for render in renders)
    cache.reserve_for_drawing(cache.peak_memory.peak_bytes(need))
    if meter is None:
        return call()
    since = meter.reset_peak()
    made = call()
    cache.peak_memory.record_peak(need, meter.peak_bytes() - since)
    return made


def _fallback_sizes(render: RenderRequest, *, repeat_size: bool) -> Iterator[Size]:
    """What to try: the size asked for if anything else is less now, then half its area."""
    scale = max(math.sqrt(0.5), MIN_SIDE_PX / min(render.size))
    # A repaired picture keeps its own bytes around the repair, which an enlarged one would not.
    fixed = render.verb == "inpaint" or scale >= 1
    if repeat_size or fixed:
        yield render.size
    if not fixed:
        yield round(render.size[0] * scale), round(render.size[1] * scale)


def _draw_one_by_one(model: Model, render: RenderRequest, size: Size, on_step: OnStep) -> RenderedImages:
    with model.low_memory() if isinstance(model, LowMemoryMode) else contextlib.nullcontext():
        drawn = [model.draw(replace(render, seeds=(seed,), size=size), on_step) for seed in render.seeds]
    notices = dict.fromkeys(notice for images in drawn for notice in images.notices)
    pictures = tuple(_enlarge_to(image, render.size) for images in drawn for image in images.images)
    return RenderedImages(pictures, (*notices, _fallback_notice(render, size)))


def _fallback_notice(render: RenderRequest, size: Size) -> str:
    if size != render.size:
        return f"Memory gave out: this was drawn at {size[0]} × {size[1]} px and enlarged."
    if len(render.seeds) > 1:
        return "Memory gave out: the variations were drawn one at a time."
    return "Memory gave out once: this was drawn with everything else put aside."


def _enlarge_to(image: Image, size: Size) -> Image:
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4), np.uint8)


def _too_large_message(render: RenderRequest) -> str:
    width, height = render.size
    return (
        f"There is not enough memory to draw {width} × {height} px, even with everything else put aside. "
        "Choose a smaller size or a smaller profile."
    )
