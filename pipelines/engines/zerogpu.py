"""Draws on a GPU that Hugging Face lends for the seconds of one call; knows no queue, no tool and no page.

Checkpoints are placed before the page opens, while the `spaces` package stands in for a GPU that is not there yet. A
call of the one decorated generator then runs in a forked process that has the GPU and finds them there. What crosses
over is plain: the order, steps with a small JPEG, pictures as arrays, an error that may be shown. Everything else of a
job (matting, faces, compositing, writing) stays in this process, on the CPU.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import cv2
import numpy as np

from pipelines.core.errors import JobCancelled, ModelUnavailable, QueueFull, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Step
from pipelines.core.models import Model, ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.core.stream import Stream
from pipelines.core.tools import Tool
from pipelines.engines.local import LocalEngine
from pipelines.models import oom_fallback
from pipelines.models.devices import Machine
from pipelines.models.hub_download import OnFileProgress
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.runtime.progress import PREVIEW_INTERVAL_SECONDS, encode_preview
from pipelines.storage.file_index import FileIndex
from pipelines.tools import TOOLS

log = logging.getLogger("designerbox")

GpuEvent: TypeAlias = "Step | RenderedImages | StudioError"
GpuDraw: TypeAlias = Callable[[str, RenderRequest, bool], Generator[GpuEvent, None, None]]

GPU_MEMORY_BYTES = 40 * 10**9
"""What a profile may need: everything placed moves to the GPU at the start of a call, so less than the card has."""
_MIN_LEASE_SECONDS, _MAX_LEASE_SECONDS = 20, 120  # seconds that are asked for; what is not used is not counted
_PLACED_MODELS: dict[str, Model] = {}
"""By spec id. Filled before the page opens and only read afterwards: a forked process finds no lock that is held."""


@runtime_checkable
class Placeable(Protocol):
    """A model that can be moved once and for all, before anything is drawn."""

    def place(self, device: str) -> None: ...


def is_zerogpu_space() -> bool:
    """Whether this is a Space with ZeroGPU."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def zerogpu_machine() -> Machine:
    """What a profile is chosen by on such a Space."""
    return Machine("cuda", GPU_MEMORY_BYTES, "ZeroGPU lends a GPU for each drawing.", GPU_MEMORY_BYTES)


class ZeroGpuEngine(LocalEngine):
    """A `LocalEngine` whose checkpoints draw in the process that has the GPU.

    cache serves the embedded models, on the CPU, and says how checkpoints are loaded. placed: ids of the checkpoints
    to place now, which may download and take minutes. device: where to.
    """

    name = "zerogpu"

    def __init__(
        self,
        cache: ModelCache,
        files: FileIndex,
        tools: Sequence[Tool] = TOOLS,
        *,
        placed: Sequence[str] = (),
        device: str = "cuda",
    ) -> None:
        super().__init__(cache, files, tools)
        self._device = device
        self._lent = decorated_gpu_draw()
        for spec_id in placed:
            _PLACED_MODELS[spec_id] = _place_model(cache, spec_id, device)
            log.info("%s is placed for ZeroGPU", spec_id)

    def make_draw(self, stream: Stream, on_file: OnFileProgress | None = None) -> oom_fallback.DrawFn:
        """Checkpoints draw where the GPU is, the rest here."""
        here = super().make_draw(stream, on_file)

        def draws(
            spec_id: str, render: RenderRequest, on_step: oom_fallback.OnStep, begun: Callable[[ModelSpec], None]
        ) -> RenderedImages:
            if spec_id not in _PLACED_MODELS:
                return here(spec_id, render, on_step, begun)
            begun(_PLACED_MODELS[spec_id].spec)
            return _collect_images(self._lent(spec_id, render, stream.is_watched), on_step)

        return draws

    def describe_state(self) -> dict[str, Any]:
        """As `LocalEngine.about`; what is placed counts as resident."""
        about = super().describe_state()
        return {**about, "device": self._device, "resident": [*_PLACED_MODELS, *about["resident"]]}

    def close(self) -> None:
        """Free every model."""
        while _PLACED_MODELS:
            _PLACED_MODELS.popitem()[1].close()
        super().close()


@lru_cache(maxsize=1)
def decorated_gpu_draw() -> GpuDraw:
    """The one generator that runs where the GPU is; off such a Space `spaces` gives it back as it is."""
    import spaces

    return spaces.GPU(draw_on_gpu, duration=lease_seconds)


def lease_seconds(spec_id: str, render: RenderRequest, watched: bool) -> int:
    """How long the GPU is asked for: moving the weights, then steps by area and number of pictures."""
    steps = render.num_inference_steps or dict(_PLACED_MODELS[spec_id].spec.defaults).get("num_inference_steps", 30)
    megapixels = render.size[0] * render.size[1] / 2**20
    return round(min(_MIN_LEASE_SECONDS + 0.6 * steps * megapixels * len(render.seeds), _MAX_LEASE_SECONDS))


def draw_on_gpu(spec_id: str, render: RenderRequest, watched: bool) -> Generator[GpuEvent, None, None]:
    """Steps, with a JPEG where somebody watches and one is due, then the images, or the error that may be shown."""
    model, told = _PLACED_MODELS[spec_id], queue.SimpleQueue[Step | None]()
    stop, frames = threading.Event(), _PreviewThrottle(watched)

    def on_step(step: ModelStep) -> None:
        if stop.is_set():
            raise JobCancelled
        told.put(Step(step.index, step.total, "", frames.encode_if_due(step)))

    with ThreadPoolExecutor(1, thread_name_prefix="lent") as pool:
        # A cache of nothing: what else lies on the GPU is not this process's to move.
        drawing = pool.submit(
            oom_fallback.draw_with_fallback,
            ModelCache((), CacheOptions(device=_model_device(model))),
            model,
            render,
            on_step,
        )
        drawing.add_done_callback(lambda _: told.put(None))
        try:
            while (step := told.get()) is not None:
                yield step
        finally:
            stop.set()
    yield _images_or_error(drawing)


class _PreviewThrottle:
    """Previews as bytes, five a second."""

    def __init__(self, watched: bool) -> None:
        self._watched = watched
        self._last = float("-inf")

    def encode_if_due(self, step: ModelStep) -> bytes | None:
        now = time.monotonic()
        if not self._watched or step.preview is None or now - self._last < PREVIEW_INTERVAL_SECONDS:
            return None
        self._last = now
        return encode_preview(step.preview())


def _images_or_error(drawing: Future[RenderedImages]) -> RenderedImages | StudioError:
    """A sentence travels as a value: an exception would arrive as the name of its class."""
    error = drawing.exception()
    return error if isinstance(error, StudioError) else drawing.result()


def _collect_images(told: Generator[GpuEvent, None, None], on_step: oom_fallback.OnStep) -> RenderedImages:
    """The images that come from the other process; its steps go to `on_step`, which may raise and so ends it."""
    from gradio.exceptions import Error

    try:
        with contextlib.closing(told):
            for event in told:
                if isinstance(event, RenderedImages):
                    return event
                if isinstance(event, StudioError):
                    raise event
                on_step(ModelStep(event.index, event.total, _decode_preview(event.preview)))
    except Error as error:  # what `spaces` says where the GPU was not lent, or was taken back
        raise QueueFull(f"No GPU was lent: {_strip_html(error.message)}", code="rate_limited") from error
    raise JobCancelled


def _decode_preview(frame: bytes | None) -> Callable[[], Image] | None:
    if frame is None:
        return None

    def shown() -> Image:
        image = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    return shown


def _strip_html(message: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", message).split())


def _place_model(cache: ModelCache, spec_id: str, device: str) -> Model:
    """Loaded on the CPU, where a preview's colours can be fitted, and then moved: a move is all that is pretended."""
    row, family = cache.resolve_spec(spec_id, device)
    model: Any = family.load(row, "cpu")
    if not isinstance(model, Placeable):
        raise ModelUnavailable(f"Model {spec_id} cannot draw on a GPU that is lent.")
    model.place(device)
    return cast(Model, model)


def _model_device(model: Model) -> str:
    return getattr(model, "device", "cpu")
