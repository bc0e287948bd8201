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

from pipelines.core.errors import Cancelled, ModelUnavailable, StudioError
from pipelines.core.job import Step
from pipelines.core.models import Joining, ModelSpec
from pipelines.core.rendering import Images, ModelStep, Render
from pipelines.core.stream import Stream
from pipelines.engines.cpu_slots import LOOKS, Hands
from pipelines.models import oom_fallback
from pipelines.models.batch_size_tuner import Kind
from pipelines.models.devices import named
from pipelines.models.hub_download import OnFile
from pipelines.models.model_cache import Cache
from pipelines.runtime.progress import WAITS

MOST_TOKENS = 8192
"""Tokens of a step above which one more picture never pays: there every GPU computes and none waits for its memory."""
LITTLE_TOKENS = 512
"""Tokens of a step up to which one more picture pays on any device, even on a processor."""
CLOSING = "The studio is closing."


@dataclass(eq=False)
class Order:
    """One drawing that a job waits for; `drawn` grows call by call until every seed has its picture."""

    spec_id: str
    render: Render
    on_step: oom_fallback.OnStep
    begun: Callable[[ModelSpec], None]
    on_file: OnFile | None
    done: Future[Images] = field(default_factory=lambda: Future[Images]())
    drawn: list[Images] = field(default_factory=list[Images])
    alone: bool = False
    """A call that it shared failed: the next one is its own."""

    @property
    def left(self) -> tuple[int, ...]:
        """Seeds that have no picture yet."""
        return self.render.seeds[sum(len(each.images) for each in self.drawn) :]

    def told(self, step: ModelStep, pictures: int) -> None:
        """A step of a call that draws so many of its pictures, told as one of all the steps that it will take."""
        calls = -(-len(self.left) // pictures) + len(self.drawn)
        self.on_step(ModelStep(len(self.drawn) * step.total + step.index, calls * step.total, step.preview))

    def fail(self, error: BaseException) -> None:
        """It ends so, unless it has ended."""
        with suppress(InvalidStateError):  # its job's thread and the device's may both say so
            self.done.set_exception(error)

    def take(self, images: Images) -> None:
        """Pictures for its next seeds."""
        self.drawn.append(images)
        if not self.left:
            with suppress(InvalidStateError):
                self.done.set_result(_joined(self.drawn))


class Gathering:
    """The calls of the models of `cache`, one at a time, in a thread of its own. At most `most` pictures share one.

    With a `most` of 0 nothing is measured: then the same order is drawn in the same calls each time, and so to the same
    bytes.
    """

    def __init__(self, cache: Cache, most: int, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._cache = cache
        self._most = most
        self._clock = clock
        self._lock = threading.RLock()  # a call may be over before anybody was told to listen for its end
        self._line: list[Order] = []
        """Orders that have not ended, in the order in which they came."""
        self._busy = self._closed = False
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")

    def draws(self, stream: Stream, on_file: OnFile | None, hands: Hands) -> oom_fallback.Draws:
        """Draws for the job of `stream`, which puts its hand at rest meanwhile."""

        def draws(
            spec_id: str, render: Render, on_step: oom_fallback.OnStep, begun: Callable[[ModelSpec], None]
        ) -> Images:  # fmt: skip
            order = Order(spec_id, render, on_step, begun, on_file)
            with hands.resting(stream):
                if self._stand(order):
                    stream.put(Step(0, 1, WAITS))
                return self._result(order, stream)

        return draws

    def close(self) -> None:
        """Wait for the call that runs; what waits is told that the studio is closing."""
        with self._lock:
            self._closed = True
        self._device.shutdown(cancel_futures=True)
        for order in self._line:
            order.fail(ModelUnavailable(CLOSING))

    # ------------------------------------------------------------ a job's own thread

    def _stand(self, order: Order) -> bool:
        """Put `order` in line; whether it has to wait."""
        with self._lock:
            if self._closed:
                raise ModelUnavailable(CLOSING)
            self._line.append(order)
            waits, self._busy = self._busy, True
            if not waits:
                self._call()
        return waits

    def _result(self, order: Order, stream: Stream) -> Images:
        while True:
            try:
                return order.done.result(LOOKS)
            except TimeoutError:
                if stream.closed.is_set():
                    order.fail(Cancelled())

    # ------------------------------------------------------------ the device's thread

    def _call(self) -> None:
        """Have the next call made; its end, however it ends, asks for the one after it. The lock is held."""
        members: list[Order] = []
        self._device.submit(self._next, members).add_done_callback(lambda future: self._ended(members, future))

    def _ended(self, members: Sequence[Order], future: Future[None]) -> None:
        """Each member of a call that failed is drawn alone; one that was alone failed itself."""
        try:
            error = future.exception()
        except CancelledError:  # the device was shut down before it began
            return
        if error is not None:
            for order in members:
                order.alone = True
            if len(members) == 1:
                members[0].fail(error)
        with self._lock:
            self._line = [order for order in self._line if not order.done.done()]
            self._busy = bool(self._line) and not self._closed
            if self._busy:
                self._call()

    def _next(self, members: list[Order]) -> None:
        """One call: the oldest order, and of those that are alike as many as pay. `members` are who is in it."""
        with self._lock:
            line = [order for order in self._line if not order.done.done()]
        if not line:
            return
        members.append(head := line[0])
        with self._cache.borrow(head.spec_id, head.on_file) as model:
            found = _alike(model, head.render)
            if found is None:
                self._draw(model, members, [head.left])
                return
            key, tokens = found
            with self._lock:  # once more, since the model may have been a while in coming
                beside = [order for order in self._line if order is not head and self._joins(order, head, key, model)]
            kind = head.spec_id, named(self._cache.device), repr(key)
            waiting = sum(len(order.left) for order in (head, *beside))
            shares = _shared([head, *beside], self._pictures(kind, waiting, tokens))
            members += beside[: len(shares) - 1]
            self._timed(model, members, shares, kind)

    def _joins(self, order: Order, head: Order, key: Hashable, model: Any) -> bool:
        if head.alone or order.alone or order.spec_id != head.spec_id or order.done.done():
            return False
        found = _alike(model, order.render)
        return found is not None and found[0] == key

    def _pictures(self, kind: Kind, waiting: int, tokens: int) -> int:
        """How many of those that wait share the call."""
        if self._most:
            return self._cache.paces.pays(kind, waiting, min(self._most, MOST_TOKENS // tokens))
        return max(1, min(waiting, LITTLE_TOKENS // tokens))

    def _timed(self, model: Any, members: Sequence[Order], shares: Sequence[tuple[int, ...]], kind: Kind) -> None:
        pictures = sum(len(seeds) for seeds in shares)
        since = self._clock()
        aside = 0.0
        try:
            aside = self._draw(model, members, shares)
        except (MemoryError, RuntimeError, StudioError) as error:
            if len(members) > 1 and oom_fallback.gave_out(error):
                self._cache.paces.refuse(kind, pictures)
            raise
        self._cache.paces.note(kind, pictures, self._clock() - since - aside)

    def _draw(self, model: Any, members: Sequence[Order], shares: Sequence[tuple[int, ...]]) -> float:
        """Draw those seeds of each; the seconds that telling of steps took."""
        telling = _Telling(members, shares, self._clock)
        for order in members:
            order.begun(model.spec)
        renders = [replace(order.render, seeds=seeds) for order, seeds in zip(members, shares, strict=True)]
        if len(members) == 1:
            drawn = [oom_fallback.draw(self._cache, model, renders[0], lambda step: telling([step]))]
        else:
            drawn = oom_fallback.draw_all(self._cache, model, model.spec.family, renders, telling)
        pictures = sum(len(seeds) for seeds in shares)
        for order, images in zip(members, drawn, strict=True):
            order.take(replace(images, together=pictures))
        return telling.seconds


class _Telling:
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
            if order.done.done():
                continue
            try:
                order.told(step, pictures)
            except (Cancelled, StudioError) as error:
                order.fail(error)
        self.seconds += self._clock() - since
        if all(order.done.done() for order, _ in self._members):
            raise Cancelled


def _alike(model: Any, render: Render) -> tuple[Hashable, int] | None:
    return model.alike(render) if isinstance(model, Joining) else None


def _shared(orders: Sequence[Order], pictures: int) -> list[tuple[int, ...]]:
    """The seeds that each of the first orders has drawn in a call of so many pictures."""
    shares: list[tuple[int, ...]] = []
    for order in orders:
        if pictures < 1:
            break
        shares.append(order.left[:pictures])
        pictures -= len(shares[-1])
    return shares


def _joined(drawn: Sequence[Images]) -> Images:
    """What several calls drew of one order."""
    if len(drawn) == 1:
        return drawn[0]
    notices = dict.fromkeys(notice for images in drawn for notice in images.notices)
    return replace(
        drawn[0],
        images=tuple(image for images in drawn for image in images.images),
        alphas=tuple(alpha for images in drawn for alpha in images.alphas),
        notices=tuple(notices),
        together=max(images.together for images in drawn),
    )
