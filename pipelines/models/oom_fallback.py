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
from pipelines.core.models import Joining, Model, ModelSpec
from pipelines.core.rendering import Images, ModelStep, Render
from pipelines.models.devices import Gauge, gauge, gave_out
from pipelines.models.hub_download import OnFile
from pipelines.models.model_cache import Cache

log = logging.getLogger("designerbox")

T = TypeVar("T")
OnStep = Callable[[ModelStep], None]
OnSteps = Callable[[Sequence[ModelStep]], None]
LEAST_SIDE = 256
"""Nothing is drawn smaller than this to save memory."""


class Draws(Protocol):
    """Where an order is drawn: here, or where a GPU is lent. `begun` is told the model's row before the first step."""

    def __call__(self, spec_id: str, render: Render, on_step: OnStep, begun: Callable[[ModelSpec], None]) -> Images: ...


@runtime_checkable
class Sparing(Protocol):
    """A model that can draw with less memory and more time, such as with its decoder in tiles."""

    def sparing(self) -> AbstractContextManager[None]:
        """While it is open."""
        ...


def here(cache: Cache, on_file: OnFile | None = None) -> Draws:
    """Draws with the models of `cache`; `on_file` as `Cache.borrow` has it."""

    def draws(spec_id: str, render: Render, on_step: OnStep, begun: Callable[[ModelSpec], None]) -> Images:
        with cache.borrow(spec_id, on_file) as model:
            begun(model.spec)
            return draw(cache, model, render, on_step)

    return draws


def draw(cache: Cache, model: Model, render: Render, on_step: OnStep, meter: Gauge | None = None) -> Images:
    """What `model.draw` gives; `model` is borrowed from `cache`.

    Idle models leave until what this took before is free. Where memory gives out all the same, everything idle leaves
    and the drawing is tried again with less: one picture at a time, then at half the area and enlarged. The images'
    notices say so. Raises `OutOfMemory` when that does not help either.
    """
    meter = meter or gauge(cache.device)
    try:
        return _measured(cache, model, render, on_step, meter)
    except (MemoryError, RuntimeError, OutOfMemory) as error:
        # The error holds the frames that hold the memory: nothing can be freed before it is gone.
        if not gave_out(error):
            raise
    log.warning("memory gave out while %s drew: trying again with less", model.spec.id)
    freed = cache.relieve()
    for size in _sizes(render, again=freed or len(render.seeds) > 1 or isinstance(model, Sparing)):
        try:
            return _one_by_one(model, render, size, on_step)
        except (MemoryError, RuntimeError, OutOfMemory) as error:
            if not gave_out(error):
                raise
    raise OutOfMemory(_too_much(render))


def draw_all(cache: Cache, model: Joining, family: str, renders: Sequence[Render], on_step: OnSteps) -> list[Images]:
    """What `model.draw_all` gives, room made for it as in `draw`. Where memory gives out: whatever the model raises."""
    return _roomy(cache, family, renders, lambda: model.draw_all(renders, on_step), gauge(cache.device))


def _measured(cache: Cache, model: Model, render: Render, on_step: OnStep, meter: Gauge | None) -> Images:
    return _roomy(cache, model.spec.family, (render,), lambda: model.draw(render, on_step), meter)


def _roomy(
    cache: Cache, family: str, renders: Sequence[Render], call: Callable[[], T], meter: Gauge | None
) -> T:  # fmt: skip
    """What `call` gives, idle models having left for what such a call took before; what it takes is remembered."""
    width, height = renders[0].size
    need = family, width * height, sum(len(render.seeds) for render in renders)
    cache.make_room(cache.peaks.get(need))
    if meter is None:
        return call()
    since = meter.start()
    made = call()
    cache.peaks.note(need, meter.peak() - since)
    return made


def _sizes(render: Render, *, again: bool) -> Iterator[Size]:
    """What to try: the size asked for if anything else is less now, then half its area."""
    scale = max(math.sqrt(0.5), LEAST_SIDE / min(render.size))
    # A repaired picture keeps its own bytes around the repair, which an enlarged one would not.
    fixed = render.verb == "inpaint" or scale >= 1
    if again or fixed:
        yield render.size
    if not fixed:
        yield round(render.size[0] * scale), round(render.size[1] * scale)


def _one_by_one(model: Model, render: Render, size: Size, on_step: OnStep) -> Images:
    with model.sparing() if isinstance(model, Sparing) else contextlib.nullcontext():
        drawn = [model.draw(replace(render, seeds=(seed,), size=size), on_step) for seed in render.seeds]
    notices = dict.fromkeys(notice for images in drawn for notice in images.notices)
    pictures = tuple(_enlarged(image, render.size) for images in drawn for image in images.images)
    return Images(pictures, (*notices, _said(render, size)))


def _said(render: Render, size: Size) -> str:
    if size != render.size:
        return f"Memory gave out: this was drawn at {size[0]} × {size[1]} px and enlarged."
    if len(render.seeds) > 1:
        return "Memory gave out: the variations were drawn one at a time."
    return "Memory gave out once: this was drawn with everything else put aside."


def _enlarged(image: Image, size: Size) -> Image:
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4), np.uint8)


def _too_much(render: Render) -> str:
    width, height = render.size
    return (
        f"There is not enough memory to draw {width} × {height} px, even with everything else put aside. "
        "Choose a smaller size or a smaller profile."
    )
