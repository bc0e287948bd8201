"""Dynamic batching of the model calls of one device: requests of several jobs share a call where that is faster.

A free device starts at once with the oldest request and those in the queue that are compatible with it; it never waits
for more. A single user is therefore served as fast as without batching, and calls get fuller as the queue grows. The
number of images of a call is what `BatchSizeTuner` measured to be best, within a bound on the tokens of a step.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor, TimeoutError
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.core.errors import JobCancelled, ModelUnavailable, StudioError
from pipelines.core.job import Step
from pipelines.core.models import BatchingModel, ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.core.stream import Stream
from pipelines.engines.cpu_slots import CANCEL_POLL_SECONDS, CpuSlots
from pipelines.models import loading_progress, oom_fallback
from pipelines.models.batch_size_tuner import CallKind
from pipelines.models.devices import device_name, make_device_current
from pipelines.models.hub_download import OnFileProgress
from pipelines.models.model_cache import ModelCache
from pipelines.runtime.progress import COMPILING_STAGE, LOADING_STAGE, WAITING_STAGE

MAX_STEP_TOKENS = 8192
"""Tokens of a step above which one more image is never faster: there every GPU is bound by compute, not by memory."""
CHEAP_STEP_TOKENS = 512  # tokens of a step up to which one more image is faster on any device, even on a processor
CLOSING_MESSAGE = "The studio is closing."


@dataclass(eq=False)
class QueuedRender:
    """One render request that a job waits for. `parts` grows call by call until every seed has its image."""

    spec_id: str
    render: RenderRequest
    on_step: oom_fallback.OnStep
    on_begin: Callable[[ModelSpec], None]
    on_file: OnFileProgress | None
    on_compile: Callable[[], None] = lambda: None
    on_load: loading_progress.OnPart = lambda done, total: None
    future: Future[RenderedImages] = field(default_factory=lambda: Future[RenderedImages]())
    parts: list[RenderedImages] = field(default_factory=list[RenderedImages])
    must_draw_alone: bool = False  # whether a shared call failed, so that the next one is not shared

    @property
    def remaining_seeds(self) -> tuple[int, ...]:
        """Seeds that have no image yet."""
        return self.render.seeds[sum(len(part.images) for part in self.parts) :]

    def report_step(self, step: ModelStep, image_count: int) -> None:
        """Report a step of a call that draws `image_count` of its images, counted over all calls that it will need."""
        calls = -(-len(self.remaining_seeds) // image_count) + len(self.parts)
        self.on_step(ModelStep(len(self.parts) * step.total + step.index, calls * step.total, step.preview))

    def fail(self, error: BaseException) -> None:
        """End it with `error`, unless it has ended."""
        with suppress(InvalidStateError):  # the thread of its job and that of the device may both end it
            self.future.set_exception(error)

    def add_images(self, images: RenderedImages) -> None:
        """Add the images of its next seeds; the last ones end it."""
        self.parts.append(images)
        if not self.remaining_seeds:
            with suppress(InvalidStateError):
                self.future.set_result(_merge_images(self.parts))


class DynamicBatcher:
    """Runs the model calls of `cache` one at a time in a thread of its own. At most `max_images` share a call.

    With `max_images` 0 nothing is measured: a request is always drawn in the same calls, hence to the same bytes.
    """

    def __init__(self, cache: ModelCache, max_images: int, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._cache = cache
        self._max_images = max_images
        self._clock = clock
        self._lock = threading.RLock()  # re-entrant: a call may end while `_submit_call` adds the callback of its end
        self._queue: list[QueuedRender] = []
        """Requests that have not ended, oldest first."""
        self._is_busy = self._closed = False
        self._compiled = weakref.WeakSet[Any]()  # models whose blocks were compiled as they drew first
        self._device_thread = ThreadPoolExecutor(1, thread_name_prefix="device")

    def make_draw(self, stream: Stream, on_file: OnFileProgress | None, slots: CpuSlots) -> oom_fallback.DrawFn:
        """Make the function that draws for the job of `stream`, which gives up its CPU slot while it waits."""

        def draw(
            spec_id: str, render: RenderRequest, on_step: oom_fallback.OnStep, on_begin: Callable[[ModelSpec], None]
        ) -> RenderedImages:
            request = QueuedRender(
                spec_id,
                render,
                on_step,
                on_begin,
                on_file,
                lambda: stream.put(Step(0, 1, COMPILING_STAGE)),
                lambda done, total: stream.put(Step(done, total, LOADING_STAGE)),
            )
            with slots.release_while(stream):
                must_load = self._cache.must_load(spec_id)
                if self._enqueue(request):
                    stream.put(Step(0, 1, WAITING_STAGE))
                elif must_load:
                    stream.put(Step(0, 1, LOADING_STAGE))
                return self._wait_for_images(request, stream)

        return draw

    def close(self) -> None:
        """Wait for the call that runs and fail the requests that wait."""
        with self._lock:
            self._closed = True
        self._device_thread.shutdown(cancel_futures=True)
        for request in self._queue:
            request.fail(ModelUnavailable(CLOSING_MESSAGE))

    # ------------------------------------------------------------ in the job's thread

    def _enqueue(self, request: QueuedRender) -> bool:
        """Append `request` to the queue. Returns whether it has to wait."""
        with self._lock:
            if self._closed:
                raise ModelUnavailable(CLOSING_MESSAGE)
            self._queue.append(request)
            must_wait, self._is_busy = self._is_busy, True
            if not must_wait:
                self._submit_call()
        return must_wait

    def _wait_for_images(self, request: QueuedRender, stream: Stream) -> RenderedImages:
        while True:
            try:
                return request.future.result(CANCEL_POLL_SECONDS)
            except TimeoutError:
                if stream.close_requested.is_set():
                    request.fail(JobCancelled())

    # ------------------------------------------------------------ in the device's thread

    def _submit_call(self) -> None:
        """Submit the next call, whose end submits the one after it. The lock is held."""
        members: list[QueuedRender] = []
        self._device_thread.submit(self._run_next_call, members).add_done_callback(
            lambda future: self._finish_call(members, future)
        )

    def _finish_call(self, members: Sequence[QueuedRender], future: Future[None]) -> None:
        """After a failed call each member is drawn alone; a request that was alone fails."""
        try:
            error = future.exception()
        except CancelledError:  # the thread was shut down before the call began
            return
        if error is not None:
            for request in members:
                request.must_draw_alone = True
            if len(members) == 1:
                members[0].fail(error)
        with self._lock:
            self._queue = [request for request in self._queue if not request.future.done()]
            self._is_busy = bool(self._queue) and not self._closed
            if self._is_busy:
                self._submit_call()

    def _run_next_call(self, members: list[QueuedRender]) -> None:
        """Draw the oldest request and as many compatible ones as is fastest. `members` is filled with them."""
        with self._lock:
            waiting = [request for request in self._queue if not request.future.done()]
        if not waiting:
            return
        members.append(head := waiting[0])
        borrowed = self._cache.borrow_for_verb(head.spec_id, head.render.verb, head.on_file)
        with make_device_current(self._cache.device), ExitStack() as stack:
            with loading_progress.listen_to_parts(lambda done, total: self._report_loading(head.spec_id, done, total)):
                model = stack.enter_context(borrowed)
            found = _batch_key(model, head.render)
            if found is None:
                self._draw_call(model, members, [head.remaining_seeds])
                return
            key, tokens = found
            with self._lock:  # read the queue again, since loading the model may have taken a while
                others = [
                    request
                    for request in self._queue
                    if request is not head and self._can_join(request, head, key, model)
                ]
            kind = head.spec_id, device_name(self._cache.device), repr(key)
            image_count = sum(len(request.remaining_seeds) for request in (head, *others))
            shares = _share_seeds([head, *others], self._batch_size(kind, image_count, tokens))
            members += others[: len(shares) - 1]
            self._draw_timed(model, members, shares, kind)

    def _report_loading(self, spec_id: str, done: int, total: int) -> None:
        """Tell those who wait for a model how much of it was read; raises `JobCancelled` where nobody waits."""
        with self._lock:
            waiting = [each for each in self._queue if each.spec_id == spec_id and not each.future.done()]
        if not waiting:
            raise JobCancelled
        for request in waiting:
            request.on_load(done, total)

    def _can_join(self, request: QueuedRender, head: QueuedRender, key: Hashable, model: Any) -> bool:
        if head.must_draw_alone or request.must_draw_alone:
            return False
        if request.spec_id != head.spec_id or request.future.done():
            return False
        found = _batch_key(model, request.render)
        return found is not None and found[0] == key

    def _batch_size(self, kind: CallKind, image_count: int, tokens: int) -> int:
        """How many of the `image_count` images that wait are drawn in the call."""
        if self._max_images:
            max_size = min(self._max_images, MAX_STEP_TOKENS // tokens)
            return self._cache.batch_tuner.best_batch_size(kind, image_count, max_size)
        return max(1, min(image_count, CHEAP_STEP_TOKENS // tokens))

    def _draw_timed(
        self, model: Any, members: Sequence[QueuedRender], shares: Sequence[tuple[int, ...]], kind: CallKind
    ) -> None:
        """Draw and tell the tuner how long it took, without the time that callbacks took."""
        image_count = sum(len(seeds) for seeds in shares)
        start = self._clock()
        callback_seconds = 0.0
        try:
            callback_seconds = self._draw_call(model, members, shares)
        except (MemoryError, RuntimeError, StudioError) as error:
            if len(members) > 1 and oom_fallback.is_out_of_memory(error):
                self._cache.batch_tuner.record_failure(kind, image_count)
            raise
        self._cache.batch_tuner.record_call_seconds(kind, image_count, self._clock() - start - callback_seconds)

    def _draw_call(self, model: Any, members: Sequence[QueuedRender], shares: Sequence[tuple[int, ...]]) -> float:
        """Draw the seeds in `shares` of each member. Returns the seconds that the callbacks of its steps took."""
        dispatcher = StepDispatcher(members, shares, self._clock)
        compiles = "compile" in dict(model.spec.options) and model not in self._compiled
        for request in members:
            request.on_begin(model.spec)
            if compiles:
                request.on_compile()
        renders = [replace(request.render, seeds=seeds) for request, seeds in zip(members, shares, strict=True)]
        if len(members) == 1:
            drawn = [oom_fallback.draw_with_fallback(self._cache, model, renders[0], lambda step: dispatcher([step]))]
        else:
            drawn = oom_fallback.draw_batch(self._cache, model, model.spec.family, renders, dispatcher)
        if compiles:
            self._compiled.add(model)
        image_count = sum(len(seeds) for seeds in shares)
        for request, images in zip(members, drawn, strict=True):
            request.add_images(replace(images, batch_size=image_count))
        return dispatcher.seconds


class StepDispatcher:
    """Reports each step of a call to its members. A cancelled member is skipped; with all cancelled the call ends."""

    def __init__(
        self, members: Sequence[QueuedRender], shares: Sequence[tuple[int, ...]], clock: Callable[[], float]
    ) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._members = tuple(zip(members, (len(seeds) for seeds in shares), strict=True))

    def __call__(self, steps: Sequence[ModelStep]) -> None:
        start = self._clock()
        for (request, image_count), step in zip(self._members, steps, strict=True):
            if request.future.done():
                continue
            try:
                request.report_step(step, image_count)
            except (JobCancelled, StudioError) as error:
                request.fail(error)
        self.seconds += self._clock() - start
        if all(request.future.done() for request, _ in self._members):
            raise JobCancelled


def _batch_key(model: Any, render: RenderRequest) -> tuple[Hashable, int] | None:
    return model.batch_key(render) if isinstance(model, BatchingModel) else None


def _share_seeds(requests: Sequence[QueuedRender], image_count: int) -> list[tuple[int, ...]]:
    """The seeds of each of the first requests that fit a call of `image_count` images."""
    shares: list[tuple[int, ...]] = []
    for request in requests:
        if image_count < 1:
            break
        shares.append(request.remaining_seeds[:image_count])
        image_count -= len(shares[-1])
    return shares


def _merge_images(parts: Sequence[RenderedImages]) -> RenderedImages:
    """The images of one request that several calls drew."""
    if len(parts) == 1:
        return parts[0]
    notices = dict.fromkeys(notice for part in parts for notice in part.notices)
    return replace(
        parts[0],
        images=tuple(image for part in parts for image in part.images),
        alphas=tuple(alpha for part in parts for alpha in part.alphas),
        notices=tuple(notices),
        batch_size=max(part.batch_size for part in parts),
    )
