"""Out-of-memory fallback: measures what drawing takes, frees memory for it, and retries with less after an error."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
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
from pipelines.models.peak_memory import PeakMemoryKey

log = logging.getLogger("designerbox")

T = TypeVar("T")
OnStep = Callable[[ModelStep], None]
OnSteps = Callable[[Sequence[ModelStep]], None]
MIN_SIDE_PX = 256  # shorter side, in pixels, below which the fallback does not shrink a picture


class DrawFn(Protocol):
    """Draws a request, here or where a GPU is lent. `on_begin` is called with the spec before the first step."""

    def __call__(
        self, spec_id: str, render: RenderRequest, on_step: OnStep, on_begin: Callable[[ModelSpec], None]
    ) -> RenderedImages: ...


@runtime_checkable
class LowMemoryMode(Protocol):
    """A model that can draw with less memory and more time, such as with its decoder in tiles."""

    def saving_memory(self) -> AbstractContextManager[None]:
        """Save memory while the context is open."""
        ...


def local_executor(cache: ModelCache, on_file: OnFileProgress | None = None) -> DrawFn:
    """Make a function that draws with the models of `cache`; `on_file` as in `ModelCache.borrow_model`."""

    def draw(
        spec_id: str, render: RenderRequest, on_step: OnStep, on_begin: Callable[[ModelSpec], None]
    ) -> RenderedImages:
        with cache.borrow_for_verb(spec_id, render.verb, on_file) as model:
            on_begin(model.spec)
            return draw_with_fallback(cache, model, render, on_step)

    return draw


def draw_with_fallback(
    cache: ModelCache, model: Model, render: RenderRequest, on_step: OnStep, gauge: MemoryGauge | None = None
) -> RenderedImages:
    """Call `model.draw`, with less memory after an out-of-memory error; `model` is borrowed from `cache`.

    First, idle models are evicted until the memory that such a drawing took before is free. After an out-of-memory
    error everything idle is evicted and the drawing is tried again with less: one picture at a time, then at half the
    area and enlarged. What ran out once begins with less the next time. The notices of the images say so. Raises
    `OutOfMemory` when that does not help either.
    """
    gauge, peaks = gauge or create_memory_gauge(cache.device), cache.peak_memory
    key = _peak_memory_key(model.spec.family, (render,))
    known_shortage = peaks.ran_out(key)
    if not known_shortage:
        try:
            return _run_measured(cache, key, lambda: model.draw(render, on_step), gauge)
        except (MemoryError, RuntimeError, OutOfMemory) as error:
            # The error refers to frames that hold the memory: nothing can be freed before the error is deleted.
            if not is_out_of_memory(error):
                raise
        log.warning("out of memory while %s drew: trying again with less", model.spec.id)
        peaks.record_shortage(key)
    can_repeat = known_shortage or cache.evict_idle() or len(render.seeds) > 1 or isinstance(model, LowMemoryMode)
    sizes = list(_fallback_sizes(render, repeat_size=can_repeat))
    if known_shortage and len(sizes) == 1:
        sizes *= 2  # what begins with less has a second try as well, after everything idle is evicted
    for size in sizes:
        sparing = key._replace(pixels=size[0] * size[1], batch=render.frame_count, sparing=True)
        if peaks.ran_out(sparing) and size != sizes[-1]:
            continue
        draw = partial(_draw_one_by_one, model, render, size, on_step, known_shortage=known_shortage)
        try:
            return _run_measured(cache, sparing, draw, gauge)
        except (MemoryError, RuntimeError, OutOfMemory) as error:
            if not is_out_of_memory(error):
                raise
        peaks.record_shortage(sparing)
        cache.evict_idle()
    raise OutOfMemory(_too_large_message(render))


def draw_batch(
    cache: ModelCache, model: BatchingModel, family: str, renders: Sequence[RenderRequest], on_step: OnSteps
) -> list[RenderedImages]:
    """Call `model.draw_batch`, with memory freed as in `draw_with_fallback`; an out-of-memory error is not handled."""
    key = _peak_memory_key(family, renders)
    return _run_measured(cache, key, lambda: model.draw_batch(renders, on_step), create_memory_gauge(cache.device))


def _peak_memory_key(family: str, renders: Sequence[RenderRequest]) -> PeakMemoryKey:
    first = renders[0]
    batch = sum(len(render.seeds) * render.frame_count for render in renders)
    return PeakMemoryKey(family, first.verb, len(first.images), first.size[0] * first.size[1], batch)


def _run_measured(cache: ModelCache, key: PeakMemoryKey, call: Callable[[], T], gauge: MemoryGauge | None) -> T:
    """Free the memory that such a call took before, run `call`, and record the memory that it takes."""
    cache.reserve_for_drawing(cache.peak_memory.peak_bytes(key))
    if gauge is None:
        return call()
    bytes_before = gauge.reset_peak()
    result = call()
    cache.peak_memory.record_peak(key, gauge.peak_bytes() - bytes_before)
    return result


def _fallback_sizes(render: RenderRequest, *, repeat_size: bool) -> Iterator[Size]:
    """Yield the sizes to try: the requested size where repeating it can help, then half its area."""
    scale = max(math.sqrt(0.5), MIN_SIDE_PX / min(render.size))
    # Inpainting keeps the bytes outside the mask; an enlarged picture would not.
    is_fixed = render.verb == "inpaint" or scale >= 1
    if repeat_size or is_fixed:
        yield render.size
    if not is_fixed:
        yield round(render.size[0] * scale), round(render.size[1] * scale)


def _draw_one_by_one(
    model: Model, render: RenderRequest, size: Size, on_step: OnStep, *, known_shortage: bool
) -> RenderedImages:
    with model.saving_memory() if isinstance(model, LowMemoryMode) else contextlib.nullcontext():
        drawn = [model.draw(replace(render, seeds=(seed,), size=size), on_step) for seed in render.seeds]
    notices = dict.fromkeys(notice for images in drawn for notice in images.notices)
    pictures = tuple(_enlarge_to(image, render.size) for images in drawn for image in images.images)
    return RenderedImages(pictures, (*notices, _fallback_notice(render, size, known_shortage=known_shortage)))


def _fallback_notice(render: RenderRequest, size: Size, *, known_shortage: bool) -> str:
    if size != render.size:
        return f"Memory gave out: this was drawn at {size[0]} × {size[1]} px and enlarged."
    if len(render.seeds) > 1:
        return "Memory gave out: the variations were drawn one at a time."
    if known_shortage:
        return "Memory gave out at this size before: this was drawn with less of it."
    return "Memory gave out once: this was drawn with everything else put aside."


def _enlarge_to(image: Image, size: Size) -> Image:
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4), np.uint8)


def _too_large_message(render: RenderRequest) -> str:
    width, height = render.size
    return (
        f"There is not enough memory to draw {width} × {height} px, even with everything else put aside. "
        "Choose a smaller size or a smaller set of models."
    )
