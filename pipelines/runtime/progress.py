"""The one place where previews are made small, thinned and thrown away; knows nothing of what they show."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from pipelines.core.errors import Cancelled
from pipelines.core.geometry import Image
from pipelines.core.job import Preview, Step
from pipelines.core.stream import Stream

PREVIEW_SIDE = 512
PREVIEW_INTERVAL = 0.2  # seconds: five frames a second, more only fill the browser's queue
WORDS_INTERVAL = 0.5
WAITS = "Waiting for the model"
"""The stage of a job whose model draws for others, or is on its way."""
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]


class Emitter:
    """An `Emit` that writes to a stream and keeps the seconds each stage took in `timings`.

    While `passes` is set a frame is seen only if it passes: until a first picture has, and while a generative model
    draws.
    """

    def __init__(self, stream: Stream, *, interval: float = PREVIEW_INTERVAL) -> None:
        self.timings: dict[str, float] = {}
        self.steps = 0
        self.passes: Callable[[Image], bool] | None = None
        self._stream = stream
        self._interval = interval
        self._last_frame = self._last_words = float("-inf")
        self._since = time.monotonic()

    def __call__(self, stage: str, index: int, total: int, preview: Preview = None) -> None:
        """Report that step `index` of `total` of `stage` is done. Raises `Cancelled` once the stream is closed."""
        now = self._passed(stage)
        self.steps += 1
        frame = None
        if preview is not None and self._stream.watched and now - self._last_frame >= self._interval:
            self._last_frame = now
            frame = self._frame(preview() if callable(preview) else preview)
        self._stream.put(Step(index, total, stage, frame))

    def waiting(self, stage: str, words: str, share: float) -> None:
        """As a call, for what is told in ever other `words`, two a second; `share` of it is done, 0 to 1."""
        if (now := self._passed(stage)) - self._last_words >= WORDS_INTERVAL:
            self._last_words = now
            self._stream.put(Step(round(100 * share), 100, words))

    def _passed(self, stage: str) -> float:
        """The time; what went by since it was last asked for belongs to `stage`. Raises `Cancelled`."""
        if self._stream.closed.is_set():
            raise Cancelled
        return self.mark(stage)

    def mark(self, stage: str) -> float:
        """What went by since the last call belongs to `stage`; nobody is told. The time."""
        now = time.monotonic()
        self.timings[stage] = round(self.timings.get(stage, 0.0) + now - self._since, 4)
        self._since = now
        return now

    def _frame(self, image: Image) -> bytes | None:
        return jpeg(image) if self.passes is None or self.passes(image) else None

    def last(self, frame: bytes) -> None:
        """A frame that must arrive: a draft is its last preview."""
        self._stream.put(Step(1, 1, "Draft", frame))


def jpeg(image: Image, side: int = PREVIEW_SIDE) -> bytes:
    """A small JPEG of an RGB picture, longer side at most `side` pixels."""
    scale = side / max(image.shape[:2])
    if scale < 1:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _QUALITY)[1].tobytes()
