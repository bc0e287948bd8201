"""Engine for Hugging Face ZeroGPU: model calls run on a GPU that is lent for the seconds of one call.

Checkpoints are loaded before the page opens, while the `spaces` package emulates a GPU. Each call of the one decorated
generator runs in a forked process that has the GPU and the loaded checkpoints. Only plain data crosses between the
processes: the request, steps with a small JPEG, images as arrays, an error that may be shown. The rest of a job
(matting, faces, compositing, writing) runs in this process on the CPU.
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
from typing import Any, TypeAlias, cast

import cv2
import numpy as np

from pipelines.core.errors import JobCancelled, ModelUnavailable, QueueFull, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Step
from pipelines.core.models import ControllableModel, ControlNet, Model, ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.core.stream import Stream
from pipelines.core.tools import Tool
from pipelines.engines.local import LocalEngine
from pipelines.engines.visitor_tokens import VisitorTokens, call_for_visitor
from pipelines.models import oom_fallback
from pipelines.models.batch_size_tuner import BatchSizeTuner, CallKind
from pipelines.models.devices import Machine
from pipelines.models.hub_download import OnFileProgress
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.one_module import MovableModel
from pipelines.runtime.progress import PREVIEW_INTERVAL_SECONDS, encode_preview
from pipelines.storage.file_index import FileIndex
from pipelines.tools import TOOLS

log = logging.getLogger("designerbox")

GpuEvent: TypeAlias = "Step | float | RenderedImages | StudioError"
"""A step, the seconds that drawing took, and the result or an error at the end."""
GpuDraw: TypeAlias = Callable[[str, RenderRequest, bool], Generator[GpuEvent, None, None]]

GPU_MEMORY_BYTES = 40 * 10**9
"""Memory that a profile may need. Less than the GPU has, since all placed models move to it at the start of a call."""
_MIN_LEASE_SECONDS = 20
_MAX_LEASE_SECONDS = 120  # Seconds that are requested of the quota. What is not used is not counted.
_MOVING_SECONDS = 10  # for moving the weights, beside what drawing was measured to take
_PACE_MARGIN_RATIO = 1.5  # of the slowest measured drawing: a call that takes longer than its lease is ended
SLOT_COUNT = 6
"""Jobs that run at once: the service lends several GPUs, and a visitor's token expires while their job waits."""
_PACE_TUNER = BatchSizeTuner()
"""Seconds that drawing took, without moving the weights."""


_PLACED_MODELS: dict[str, MovableModel] = {}
"""Models and ControlNets by spec id. Filled before the page opens and only read later: no lock is held at a fork."""


def is_zerogpu_space() -> bool:
    """Whether this is a Space with ZeroGPU."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def zerogpu_machine() -> Machine:
    """The machine that a profile is chosen for on such a Space."""
    return Machine("cuda", GPU_MEMORY_BYTES, "ZeroGPU lends a GPU for each drawing.", GPU_MEMORY_BYTES)


class ZeroGpuEngine(LocalEngine):
    """A `LocalEngine` whose checkpoints draw in the process that has the GPU.

    cache: serves the embedded models on the CPU and knows how to load the checkpoints. placed: ids of the checkpoints
    to load now, which may download and take minutes. device: where to place them.
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
        self.slots = SLOT_COUNT
        self._tokens = VisitorTokens()
        self._running = threading.local()
        self._device = device
        self._draw_on_gpu = decorated_gpu_draw()
        for spec_id in placed:
            _PLACED_MODELS[spec_id] = _place_model(cache, spec_id, device)
            log.info("%s is placed for ZeroGPU", spec_id)

    def keep_visitor(self, job_id: str) -> None:
        self._tokens.store_request_token(job_id)

    def run_blocking(self, job: Job, stream: Stream) -> Result:
        self._running.token = self._tokens.take_token(job.id)
        return super().run_blocking(job, stream)

    def make_draw(self, stream: Stream, on_file: OnFileProgress | None = None) -> oom_fallback.DrawFn:
        """See `LocalEngine.make_draw`: placed checkpoints draw on the GPU, other models in this process."""
        draw_locally = super().make_draw(stream, on_file)
        token = getattr(self._running, "token", "")  # this is the thread of the job

        def draw(
            spec_id: str, render: RenderRequest, on_step: oom_fallback.OnStep, on_begin: Callable[[ModelSpec], None]
        ) -> RenderedImages:
            if spec_id not in _PLACED_MODELS:
                return draw_locally(spec_id, render, on_step, on_begin)
            on_begin(_PLACED_MODELS[spec_id].spec)
            with self._cpu_slots.release_while(stream), call_for_visitor(token):
                images, seconds = _collect_images(self._draw_on_gpu(spec_id, render, stream.is_watched), on_step)
            _PACE_TUNER.record_call_seconds(_call_kind(spec_id, render), len(render.seeds), seconds)
            return images

        return draw

    def describe_state(self) -> dict[str, Any]:
        """See `Engine.describe_state`. Placed checkpoints count as resident."""
        state = super().describe_state()
        return {**state, "device": self._device, "resident": [*_PLACED_MODELS, *state["resident"]]}

    def close(self) -> None:
        """Free every model."""
        while _PLACED_MODELS:
            _PLACED_MODELS.popitem()[1].close()
        super().close()


@lru_cache(maxsize=1)
def decorated_gpu_draw() -> GpuDraw:
    """The generator that runs in the process with the GPU. Elsewhere `spaces` returns it undecorated."""
    import spaces

    return spaces.GPU(draw_on_gpu, duration=lease_seconds)


def lease_seconds(spec_id: str, render: RenderRequest, watched: bool) -> int:
    """Seconds to request: for moving the weights, and what such a drawing took before.

    Where none was measured they are estimated from steps, area and number of images.
    """
    if (slowest := _PACE_TUNER.find_slowest_call_seconds(_call_kind(spec_id, render), len(render.seeds))) is not None:
        return round(min(_MOVING_SECONDS + _PACE_MARGIN_RATIO * slowest, _MAX_LEASE_SECONDS))
    steps = render.num_inference_steps or dict(_PLACED_MODELS[spec_id].spec.defaults).get("num_inference_steps", 30)
    megapixels = render.size[0] * render.size[1] / 2**20
    drawn = megapixels * len(render.seeds) * max(1.0, render.frame_count / 4)  # a clip's latents hold four frames each
    return round(min(_MIN_LEASE_SECONDS + 0.6 * steps * drawn, _MAX_LEASE_SECONDS))


def _call_kind(spec_id: str, render: RenderRequest) -> CallKind:
    width, height = render.size
    asked = f"{render.verb} {width}x{height} {render.num_inference_steps} {len(render.images)}"
    asked += f" {render.frame_count}" if render.frame_count > 1 else ""
    return spec_id, "zerogpu", asked


def draw_on_gpu(spec_id: str, render: RenderRequest, watched: bool) -> Generator[GpuEvent, None, None]:
    """Yield steps, with a JPEG when one is due and somebody watches, then the images or an error that may be shown."""
    model, steps = cast(Model, _PLACED_MODELS[spec_id]), queue.SimpleQueue[Step | None]()
    begun = time.monotonic()
    stop, last_preview = threading.Event(), float("-inf")

    def on_step(step: ModelStep) -> None:
        nonlocal last_preview
        if stop.is_set():
            raise JobCancelled
        frame, now = None, time.monotonic()
        if watched and step.preview is not None and now - last_preview >= PREVIEW_INTERVAL_SECONDS:
            last_preview = now
            frame = encode_preview(step.preview())
        steps.put(Step(step.index, step.total, "", frame))

    with ThreadPoolExecutor(1, thread_name_prefix="lent") as pool:
        # An empty cache: this process must not offload the other models on the GPU.
        drawing = pool.submit(
            _draw_with_control_net,
            ModelCache((), CacheOptions(device=getattr(model, "device", "cpu"))),
            model,
            render,
            on_step,
        )
        drawing.add_done_callback(lambda _: steps.put(None))
        try:
            while (step := steps.get()) is not None:
                yield step
        finally:
            stop.set()
    yield time.monotonic() - begun
    yield _images_or_error(drawing)


def _draw_with_control_net(
    cache: ModelCache, model: Model, render: RenderRequest, on_step: oom_fallback.OnStep
) -> RenderedImages:
    """Draw in the calling thread, with the placed ControlNet where a map is followed."""
    net = _PLACED_MODELS.get(model.spec.control_net) if render.verb == "control" else None
    if net is None or not isinstance(model, ControllableModel):
        return oom_fallback.draw_with_fallback(cache, model, render, on_step)
    with model.using_control_net(cast(ControlNet, net)):
        return oom_fallback.draw_with_fallback(cache, model, render, on_step)


def _images_or_error(drawing: Future[RenderedImages]) -> RenderedImages | StudioError:
    """The result, or its error as a value: a raised exception would arrive as the name of its class only."""
    error = drawing.exception()
    return error if isinstance(error, StudioError) else drawing.result()


def _collect_images(
    events: Generator[GpuEvent, None, None], on_step: oom_fallback.OnStep
) -> tuple[RenderedImages, float]:
    """The images that the process with the GPU yields, and its seconds; `on_step` ends the call if it raises."""
    from gradio.exceptions import Error

    seconds = 0.0
    try:
        with contextlib.closing(events):
            for event in events:
                if isinstance(event, RenderedImages):
                    return event, seconds
                if isinstance(event, StudioError):
                    raise event
                if isinstance(event, float | int):
                    seconds = event
                    continue
                on_step(ModelStep(event.index, event.total, _decode_preview(event.preview)))
    except Error as error:  # `spaces` raises it if no GPU was lent or it was taken back
        message = " ".join(re.sub(r"<[^>]*>", "", error.message).split())
        raise QueueFull(f"No GPU was lent: {message}", code="rate_limited") from error
    raise JobCancelled


def _decode_preview(frame: bytes | None) -> Callable[[], Image] | None:
    if frame is None:
        return None

    def decode() -> Image:
        image = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    return decode


def _place_model(cache: ModelCache, spec_id: str, device: str) -> MovableModel:
    """Load a checkpoint on the CPU, where preview factors can be fitted, and move it: `spaces` emulates only moves."""
    row, family = cache.resolve_spec(spec_id, device)
    model: Any = family.load(row, "cpu")
    if not isinstance(model, MovableModel):
        raise ModelUnavailable(f"Model {spec_id} cannot draw on a GPU that is lent.")
    model.place_on_device(device)
    return model
