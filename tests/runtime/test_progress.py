"""Frames are small and few, whatever a tool sends, and none is made when nobody watches."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from pipelines.core.errors import JobCancelled
from pipelines.core.geometry import Image
from pipelines.core.job import Event, Step
from pipelines.core.stream import Stream
from pipelines.models.hub_download import HubFile
from pipelines.runtime import progress
from pipelines.runtime.progress import PREVIEW_INTERVAL_SECONDS, PREVIEW_SIDE_PX, StreamProgress


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Drawing:
    """A preview that counts how often it is made."""

    def __init__(self, width: int = 64, height: int = 64) -> None:
        self.made = 0
        self.size = height, width

    def __call__(self) -> Image:
        self.made += 1
        return np.full((*self.size, 3), 90, np.uint8)


class Kept(Stream):
    """A stream that keeps what was put, previews and all."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Event] = []

    def put(self, event: Event, event_id: int | None = None) -> None:
        self.all.append(event)
        super().put(event, event_id)

    def frames(self) -> list[bytes]:
        return [event.preview for event in self.all if isinstance(event, Step) and event.preview is not None]


@pytest.mark.parametrize("pause", [0.001, 0.03, 0.19, 0.2, 0.21, 1.0])
def test_there_are_at_most_five_frames_a_second_and_every_step_is_told(clock: Clock, pause: float) -> None:
    stream, drawing, steps = Kept(), Drawing(), 100
    emitter, since = StreamProgress(stream), clock.now
    for n in range(steps):
        emitter("Drawing", n + 1, steps, drawing)
        clock.now += pause
    frames = stream.frames()
    assert len(stream.all) == steps
    assert drawing.made == len(frames), "none was made in vain"
    assert 1 <= len(frames) <= 1 + (clock.now - since) / PREVIEW_INTERVAL_SECONDS
    assert 1 / PREVIEW_INTERVAL_SECONDS == 5
    if pause > PREVIEW_INTERVAL_SECONDS:
        assert len(frames) == steps


def test_nobody_who_watches_no_frame_made(clock: Clock) -> None:
    stream, drawing = Kept(), Drawing()
    stream.is_watched = False
    emitter = StreamProgress(stream)
    for n in range(10):
        emitter("Drawing", n + 1, 10, drawing)
        clock.now += 1
    assert drawing.made == 0
    assert stream.frames() == []
    stream.is_watched = True
    emitter("Drawing", 10, 10, drawing)
    assert drawing.made == len(stream.frames()) == 1, "who comes later sees the next one"


@pytest.mark.parametrize(("width", "height"), [(2048, 1024), (700, 2000), (513, 513), (64, 48), (4000, 3)])
def test_no_frame_is_larger_than_512_and_none_is_enlarged(clock: Clock, width: int, height: int) -> None:
    stream = Kept()
    StreamProgress(stream)("Drawing", 1, 1, Drawing(width, height))
    (frame,) = stream.frames()
    size = PIL.Image.open(io.BytesIO(frame)).size
    assert PREVIEW_SIDE_PX == 512
    assert max(size) == min(PREVIEW_SIDE_PX, max(width, height))
    assert size[0] / width == pytest.approx(size[1] / height, abs=1 / min(width, height))


def test_words_that_change_are_told_twice_a_second_under_one_name(clock: Clock) -> None:
    stream = Kept()
    emitter = StreamProgress(stream)
    for n in range(101):
        emitter.report_download([HubFile("", "", "a file", 100, n)], 0)
        clock.now += 0.125
    told = [(event.index, event.total) for event in stream.all if isinstance(event, Step)]
    assert told == [(n, 100) for n in range(0, 101, 4)]
    assert emitter.timings == {"Downloading": pytest.approx(12.5)}
    stream.close()
    with pytest.raises(JobCancelled):
        emitter.report_download([HubFile("", "", "a file", 100, 100)], 0)
