"""Lanes work the queue off, one per engine slot, and chores are done beside them; does not know what a job does."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from pipelines.core.errors import Cancelled, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Status
from pipelines.core.stream import Stream
from pipelines.jobs.subscribers import PLACES, Watchers
from pipelines.jobs.table import Table
from pipelines.storage.database import GONE, Unwritable

log = logging.getLogger(__name__)

T = TypeVar("T")
BUG = "Something broke inside the studio. The job's id is in the log."
BEAT = 5.0
"""Seconds between two looks at leases, by a lane that waits or works."""
CHANGE = 0.5
"""Seconds between two looks while something waits that an engine would rather run later."""
LOOKED_AT = 32
"""Jobs at the head of the line among which an engine may choose."""
LEASE = 60.0
"""Seconds after which a job of another machine that was not renewed is taken over."""
GAP = 0.005
"""Seconds within which steps travel together; far less than anybody sees."""
HOLDING = ("disk_full", "storage_unavailable")
"""Codes that hold a whole batch: no row can be kept until somebody makes room, or the store of files is back."""
AHEAD = 3
"""Batch rows that wait in line, or two a lane; more are fetched when fewer do, so that no batch lies there whole."""


class Engine(Protocol):
    """Runs one job at once; keeps no queue."""

    slots: int

    def run(self, job: Job) -> Stream: ...

    def admit(self, image: Image, owner: str, sha256: str) -> None:
        """The content check of a picture that comes in, `sha256` that of its pixels. Raises `Refused`, and whatever
        keeps the check from being made.
        """
        ...

    def about(self) -> dict[str, Any]:
        """`engine`, `device` and `resident` (ids of loaded models), as `/healthz` shows them."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Choosing(Protocol):
    """An engine of several places that has a say in who comes next."""

    def choose(self, line: Sequence[Job]) -> str | None:
        """The id of the job to run next, a place being kept for it; None where it is better to wait."""
        ...

    def forget(self, job_id: str) -> None:
        """That job will not be run: its place is free."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """An engine with more slots than devices, whose jobs share what a device can do."""

    devices: int


class Feeder(Protocol):
    """Knows the rows of batches that do not stand in line yet."""

    def more(self) -> bool:
        """Submit the next row; False when there is none."""
        ...

    def hold(self, job_id: str, error: StudioError) -> None:
        """This row could not be kept: put it back and pause what runs. Called under the queue's lock."""
        ...


class WorkerPool:
    """Threads that claim, work off and settle, all under the table's lock when they touch anything shared."""

    def __init__(self, table: Table, watchers: Watchers, engine: Engine, look_around: Callable[[], None]) -> None:
        self._table = table
        self._watchers = watchers
        self._engine = engine
        self._look_around = look_around
        self._ahead = max(AHEAD, 2 * engine.slots)
        self._work = threading.Condition(table.lock)
        self.closing = False
        self.failed: Counter[tuple[str, str]] = Counter()
        """How many jobs failed since the start, by the error's code and the tool."""
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="helper")
        self._feeder: Feeder | None = None
        self._feeding = False
        self._chores: list[_Chore] = []
        self._lanes = [threading.Thread(target=self._lane, name=f"lane-{n}", daemon=True) for n in range(engine.slots)]

    def start(self) -> None:
        """Begin."""
        for lane in self._lanes:
            lane.start()

    def wake(self) -> None:
        """There is work."""
        with self._work:
            self._work.notify()

    def close(self) -> None:
        """Stop what runs, which stands in line again at the next start, and wait for the lanes."""
        with self._work:
            self.closing = True
            for live in self._watchers.live.values():
                if live.stream is not None:
                    live.stream.close()
            self._work.notify_all()
        for lane in self._lanes:
            lane.join(timeout=30)
        self._helper.shutdown(cancel_futures=True)

    # ------------------------------------------------------------ beside the lanes

    def feed(self, feeder: Feeder) -> None:
        """Where batch rows come from: asked, beside the lanes, whenever few rows wait."""
        with self._work:
            self._feeder = feeder
        self.request_refill()

    def request_refill(self) -> None:
        """There may be batch rows to fetch."""
        with self._work:
            if self._feeder is None or self._feeding or self.closing or self._table.counts()[2] >= self._ahead:
                return
            self._feeding = True
            self._helper.submit(self._feeder.more).add_done_callback(self._fed)

    def _fed(self, future: Future[bool]) -> None:
        self._feeding = False
        # A lane that is woken nudges: to wake one for nothing would ask the feeder round and round.
        if _went_well(future) and future.result():
            self.request_refill()
            self.wake()

    def every(self, seconds: float, chore: Callable[[], object]) -> None:
        """Do `chore` now and then, beside the lanes, at the earliest `seconds` after the last time."""
        with self._work:
            self._chores.append(_Chore(seconds, chore))
            self._work.notify_all()

    def _do_chores(self) -> None:
        for chore in self._chores:
            if time.monotonic() >= chore.due:
                chore.due = time.monotonic() + chore.seconds
                self._helper.submit(chore.work).add_done_callback(_went_well)

    # ------------------------------------------------------------ in a lane

    def _lane(self) -> None:
        while (job := self._claim()) is not None:
            self._work_off(job, self._engine.run(job))

    def _claim(self) -> Job | None:
        with self._work:
            waited = False
            while not self.closing:
                # A row under which the studio died is left until others could come, which may be innocent of it.
                spare = not waited and (self._feeder is None or self._feeding)
                job = self._patiently(lambda spare=spare: self._next(spare))
                self._or_later(self.request_refill)
                self._do_chores()
                if job is not None:
                    self._watchers.moved()
                    self._tell_positions()
                    return job
                waited = self._rested()
                if waited:
                    self._or_later(self._look_around)
        return None

    def _next(self, spare: bool) -> Job | None:
        """The job that comes next, leased."""
        until = time.time() + LEASE
        if not isinstance(self._engine, Choosing):
            return self._table.claim(until, spare=spare)
        job_id = self._engine.choose(self._table.heads(LOOKED_AT, spare=spare))
        if job_id is None:
            return None
        job = None
        try:
            job = self._table.claim(until, job_id=job_id)
        finally:
            if job is None:
                self._engine.forget(job_id)
        return job

    def _rested(self) -> bool:
        """Wait for work; whether a whole beat passed without any."""
        if isinstance(self._engine, Choosing) and self._or_later(lambda: self._table.heads(1)):
            self._work.wait(CHANGE)
            return False
        return not self._work.wait(BEAT)

    def _work_off(self, job: Job, stream: Stream) -> None:
        self._attach(job.id, stream)
        result: Result | None = None
        due = time.monotonic() + BEAT
        while not stream.over:
            events = stream.gathered(PLACES, GAP)
            result = next((event for event in events if isinstance(event, Result)), result)
            with self._work:
                self._watchers.publish(job.id, *(event for event in events if not isinstance(event, Result)))
                self._tell_positions()
            if time.monotonic() >= due:
                due = time.monotonic() + BEAT
                self._beat(job.id, stream)
                with self._work:
                    self._do_chores()
                    self._or_later(self._look_around)
        self._settle(job, result, stream.error)

    def _attach(self, job_id: str, stream: Stream) -> None:
        with self._work:
            live = self._watchers.expect(job_id)
            live.attach(stream)
            if live.cancelled or self.closing:
                stream.close()

    def _beat(self, job_id: str, stream: Stream) -> None:
        if self._patiently(lambda: self._table.renew(job_id, time.time() + LEASE)) is False:
            stream.close()  # somebody took us for dead and does it again
        elif self._patiently(lambda: self._table.stopped(job_id)):
            with self._work:
                self._watchers.expect(job_id).cancelled = True
            stream.close()

    def _settle(self, job: Job, result: Result | None, error: BaseException | None) -> None:
        status, shown = _outcome(job.id, result, error)
        with self._work:
            if self.closing and status == "cancelled" and not self._watchers.expect(job.id).cancelled:
                self._or_later(lambda: self._table.put_back(job.id))
            elif isinstance(shown, StudioError) and self._again(job, shown, away=isinstance(error, Unwritable)):
                live = self._watchers.live.get(job.id)
                if live is not None:
                    live.attach(None)
            else:
                told = _shape(shown) if isinstance(shown, StudioError) else None
                self._patiently(lambda: self._table.settle(job.id, status, result, told))
                if result is not None:
                    self._watchers.publish(job.id, result)
                self._watchers.end(job.id, shown)
                if isinstance(shown, StudioError):
                    self.failed[shown.code, job.tool] += 1

    def _again(self, job: Job, error: StudioError, *, away: bool) -> bool:
        """Put a batch row back in line whose error may pass; what is wrong with the row itself stays wrong.

        Any job is put back where the database was `away` when it needed it.
        """
        if not job.batch and not away:
            return False
        if error.code in HOLDING and not away and self._feeder is not None:
            feeder = self._feeder
            self._patiently(lambda: feeder.hold(job.id, error))
            return True
        if error.status < 500 or not self._patiently(lambda: self._table.spend(job.id)):
            return False
        return bool(self._patiently(lambda: self._table.put_back(job.id)))

    def _tell_positions(self) -> None:
        self._or_later(lambda: self._watchers.tell_positions(self._table.waiting))

    def _or_later(self, look: Callable[[], T]) -> T | None:
        """What is done again before long, and may be left out where the table cannot be read; then None."""
        try:
            return look()
        except Unwritable as error:
            log.error("the queue's table cannot be read: %s", error)
            return None

    def _patiently(self, change: Callable[[], T]) -> T | None:
        """Write to the table, on a full disk as soon as there is room; None when the studio is closed meanwhile."""
        with self._work:
            while True:
                try:
                    return change()
                except Unwritable as error:
                    log.error("the queue's table cannot be written: %s", error)
                    self._work.wait(1.0)
                    if self.closing:
                        return None


@dataclass
class _Chore:
    seconds: float
    work: Callable[[], object]
    due: float = 0.0


def _went_well(future: Future[Any]) -> bool:
    """Whether it did; if not the log says why, since nobody waits for the answer."""
    if future.cancelled():
        return False
    error = future.exception()
    if error is not None:
        log.error("work beside the lanes failed", exc_info=error)
    return error is None


def _outcome(job_id: str, result: Result | None, error: BaseException | None) -> tuple[Status, BaseException | None]:
    if isinstance(error, Cancelled):
        return "cancelled", error
    if isinstance(error, StudioError):
        return "failed", error
    if isinstance(error, Unwritable):
        log.error("job %s: %s", job_id, error)
        return "failed", StudioError(GONE, code="storage_unavailable")
    if error is not None or result is None:
        log.error("job %s failed", job_id, exc_info=error)
        return "failed", StudioError(BUG)
    return "done", None


def _shape(error: StudioError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "param": error.param}
