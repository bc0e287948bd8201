"""Model calls of one device: orders that may share a call do when that pays; knows no tool, no queue and no job.

A free device begins at once with the oldest order and whatever waits beside it that is alike; it never waits for more.
So one user alone is served as if nobody ever shared anything, and the fuller the line, the fuller the calls. How many
pictures a call draws is what `Paces` measured to pay, within a bound on the tokens of a step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor, TimeoutError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.core.errors import JobCancelled, ModelUnavailable, StudioError
from pipelines.core.job import Step
from pipelines.core.models import BatchingModel, ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.core.stream import Stream
from pipelines.engines.cpu_slots import CANCEL_POLL_SECONDS, CpuSlots
from pipelines.models import oom_fallback
from pipelines.models.batch_size_tuner import CallKind
from pipelines.models.devices import device_name
from pipelines.models.hub_download import OnFileProgress
from pipelines.models.model_cache import ModelCache
from pipelines.runtime.progress import WAITING_STAGE

MAX_STEP_TOKENS = 8192
"""Tokens of a step above which one more picture never pays: there every GPU computes and none waits for its memory."""
CHEAP_STEP_TOKENS = 512
"""Tokens of a step up to which one more picture pays on any device, even on a processor."""
CLOSING_MESSAGE = "The studio is closing."


@dataclass(eq=False)
class Order:
    """One drawing that a job waits for; `drawn` grows call by call until every seed has its picture."""

    spec_id: str
    render: RenderRequest
    on_step: oom_fallback.OnStep
    on_begin: Callable[[ModelSpec], None]
    on_file: OnFileProgress | None
    future: Future[RenderedImages] = field(default_factory=lambda: Future[RenderedImages]())
    parts: list[RenderedImages] = field(default_factory=list[RenderedImages])
    must_draw_alone: bool = False
    """A call that it shared failed: the next one is its own."""

    @property
    def remaining_seeds(self) -> tuple[int, ...]:
        """Seeds that have no picture yet."""
        return self.render.seeds[sum(len(each.images) for each in self.parts) :]

    def report_step(self, step: ModelStep, pictures: int) -> None:
        """A step of a call that draws so many of its pictures, told as one of all the steps that it will take."""
        calls = -(-len(self.remaining_seeds) // pictures) + len(self.parts)
        self.on_step(ModelStep(len(self.parts) * step.total + step.index, calls * step.total, step.preview))

    def fail(self, error: BaseException) -> None:
        """It ends so, unless it has ended."""
        with suppress(InvalidStateError):  # its job's thread and the device's may both say so
            self.future.set_exception(error)

    def add_images(self, images: RenderedImages) -> None:
        """Pictures for its next seeds."""
        self.parts.append(images)
        if not self.remaining_seeds:
            with suppress(InvalidStateError):
                self.future.set_result(_merge_images(self.parts))


class DynamicBatcher:
    """The calls of the models of `cache`, one at a time, in a thread of its own. At most `most` pictures share one.

    With a `most` of 0 nothing is measured: then the same order is drawn in the same calls each time, and so to the same
    bytes.
    """

    def __init__(self, cache: ModelCache, most: int, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._cache = cache
        self._max_images = most
        self._clock = clock
        self._lock = threading.RLock()  # a call may be over before anybody was told to listen for its end
        self._queue: list[Order] = []
        """Orders that have not ended, in the order in which they came."""
        self._is_busy = self._closed = False
        self._device_thread = ThreadPoolExecutor(1, thread_name_prefix="device")

    def make_draw(self, stream: Stream, on_file: OnFileProgress | None, hands: CpuSlots) -> oom_fallback.DrawFn:
        """Draws for the job of `stream`, which puts its hand at rest meanwhile."""

        def draws(
            spec_id: str, render: RenderRequest, on_step: oom_fallback.OnStep, begun: Callable[[ModelSpec], None]
        ) -> RenderedImages:  # fmt: skip
            order = Order(spec_id, render, on_step, begun, on_file)
            with hands.release_while(stream):
                if self._enqueue(order):
                    stream.put(Step(0, 1, WAITING_STAGE))
                return self._wait_for_images(order, stream)

        return draws

    def close(self) -> None:
        """Wait for the call that runs; what waits is told that the studio is closing."""
        with self._lock:
            self._closed = True
        self._device_thread.shutdown(cancel_futures=True)
        for order in self._queue:
            order.fail(ModelUnavailable(CLOSING_MESSAGE))

    # ------------------------------------------------------------ a job's own thread

    def _enqueue(self, order: Order) -> bool:
        """Put `order` in line; whether it has to wait."""
        with self._lock:
            if self._closed:
                raise ModelUnavailable(CLOSING_MESSAGE)
            self._queue.append(order)
            waits, self._is_busy = self._is_busy, True
            if not waits:
                self._submit_call()
        return waits

    def _wait_for_images(self, order: Order, stream: Stream) -> RenderedImages:
        while True:
            try:
                return order.future.result(CANCEL_POLL_SECONDS)
            except TimeoutError:
                if stream.close_requested.is_set():
                    order.fail(JobCancelled())

    # ------------------------------------------------------------ the device's thread

    def _submit_call(self) -> None:
        """Have the next call made; its end, however it ends, asks for the one after it. The lock is held."""
        members: list[Order] = []
        self._device_thread.submit(self._run_next_call, members).add_done_callback(
            lambda future: self._finish_call(members, future)
        )

    def _finish_call(self, members: Sequence[Order], future: Future[None]) -> None:
        """Each member of a call that failed is drawn alone; one that was alone failed itself."""
        try:
            error = future.exception()
        except CancelledError:  # the device was shut down before it began
            return
        if error is not None:
            for order in members:
                order.must_draw_alone = True
            if len(members) == 1:
                members[0].fail(error)
        with self._lock:
            self._queue = [order for order in self._queue if not order.future.done()]
            self._is_busy = bool(self._queue) and not self._closed
            if self._is_busy:
                self._submit_call()

    def _run_next_call(self, members: list[Order]) -> None:
        """One call: the oldest order, and of those that are alike as many as pay. `members` are who is in it."""
        with self._lock:
            line = [order for order in self._queue if not order.future.done()]
        if not line:
            return
        members.append(head := line[0])
        with self._cache.borrow_model(head.spec_id, head.on_file) as model:
            found = _batch_key(model, head.render)
            if found is None:
                self._draw_call(model, members, [head.remaining_seeds])
                return
            key, tokens = found
            with self._lock:  # once more, since the model may have been a while in coming
                beside = [
                    order for order in self._queue if order is not head and self._can_join(order, head, key, model)
                ]
            kind = head.spec_id, device_name(self._cache.device), repr(key)
            waiting = sum(len(order.remaining_seeds) for order in (head, *beside))
            shares = _share_seeds([head, *beside], self._batch_size(kind, waiting, tokens))
            members += beside[: len(shares) - 1]
            self._draw_timed(model, members, shares, kind)

    def _can_join(self, order: Order, head: Order, key: Hashable, model: Any) -> bool:
        if head.must_draw_alone or order.must_draw_alone or order.spec_id != head.spec_id or order.future.done():
            return False
        found = _batch_key(model, order.render)
        return found is not None and found[0] == key

    def _batch_size(self, kind: CallKind, waiting: int, tokens: int) -> int:
        """How many of those that wait share the call."""
        if self._max_images:
            return self._cache.batch_tuner.best_batch_size(
                kind, waiting, min(self._max_images, MAX_STEP_TOKENS // tokens)
            )
        return max(1, min(waiting, CHEAP_STEP_TOKENS // tokens))

    def _draw_timed(
        self, model: Any, members: Sequence[Order], shares: Sequence[tuple[int, ...]], kind: CallKind
    ) -> None:
        pictures = sum(len(seeds) for seeds in shares)
        since = self._clock()
        aside = 0.0
        try:
            aside = self._draw_call(model, members, shares)
        except (MemoryError, RuntimeError, StudioError) as error:
            if len(members) > 1 and oom_fallback.is_out_of_memory(error):
                self._cache.batch_tuner.record_failure(kind, pictures)
            raise
        self._cache.batch_tuner.record_time(kind, pictures, self._clock() - since - aside)

    def _draw_call(self, model: Any, members: Sequence[Order], shares: Sequence[tuple[int, ...]]) -> float:
        """Draw those seeds of each; the seconds that telling of steps took."""
        telling = StepDispatcher(members, shares, self._clock)
        for order in members:
            order.on_begin(model.spec)
        renders = [replace(order.render, seeds=seeds) for order, seeds in zip(members, shares, strict=True)]
        if len(members) == 1:
            drawn = [oom_fallback.draw_with_fallback(self._cache, model, renders[0], lambda step: telling([step]))]
        else:
            drawn = oom_fallback.draw_batch(self._cache, model, model.spec.family, renders, telling)
        pictures = sum(len(seeds) for seeds in shares)
        for order, images in zip(members, drawn, strict=True):
            order.add_images(replace(images, batch_size=pictures))
        return telling.seconds


class StepDispatcher:
    """Tells each member its steps. One whose job was stopped drops out; without any left the call ends."""

    def __init__(
        self, members: Sequence[Order], shares: Sequence[tuple[int, ...]], clock: Callable[[], float]
    ) -> None:  # fmt: skip
        self.seconds = 0.0
        self._clock = clock
        self._members = tuple(zip(members, (len(seeds) for seeds in shares), strict=True))

    def __call__(self, steps: Sequence[ModelStep]) -> None:
        since = self._clock()
        for (order, pictures), step in zip(self._members, steps, strict=True):
            if order.future.done():
                continue
            try:
                order.report_step(step, pictures)
            except (JobCancelled, StudioError) as error:
                order.fail(error)
        self.seconds += self._clock() - since
        if all(order.future.done() for order, _ in self._members):
            raise JobCancelled


def _batch_key(model: Any, render: RenderRequest) -> tuple[Hashable, int] | None:
    return model.batch_key(render) if isinstance(model, BatchingModel) else None


def _share_seeds(orders: Sequence[Order], pictures: int) -> list[tuple[int, ...]]:
    """The seeds that each of the first orders has drawn in a call of so many pictures."""
    shares: list[tuple[int, ...]] = []
    for order in orders:
        if pictures < 1:
            break
        shares.append(order.remaining_seeds[:pictures])
        pictures -= len(shares[-1])
    return shares


def _merge_images(drawn: Sequence[RenderedImages]) -> RenderedImages:
    """What several calls drew of one order."""
    if len(drawn) == 1:
        return drawn[0]
    notices = dict.fromkeys(notice for images in drawn for notice in images.notices)
    return replace(
        drawn[0],
        images=tuple(image for images in drawn for image in images.images),
        alphas=tuple(alpha for images in drawn for alpha in images.alphas),
        notices=tuple(notices),
        batch_size=max(images.batch_size for images in drawn),
    )
