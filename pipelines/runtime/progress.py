"""Progress of one job: stage, step, timings, and previews that are small, at most five a second, and filtered."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from pipelines.core.errors import JobCancelled
from pipelines.core.geometry import Image
from pipelines.core.job import Preview, Step
from pipelines.core.stream import Stream
from pipelines.imaging.resize import size_within
from pipelines.models.hub_download import HubFile

PREVIEW_SIDE_PX = 512
PREVIEW_INTERVAL_SECONDS = 0.2  # five frames a second; more only fill the browser's queue
TEXT_INTERVAL_SECONDS = 0.5
LOADING_STAGE = "Loading the model"  # the stage of a job whose checkpoint is read, which takes up to a minute
COMPILING_STAGE = "Preparing the model"  # until the first step of a model with `--compile`, which takes a minute
WAITING_STAGE = "Waiting for the model"  # the stage of a job whose model draws for others, or is on its way
_JPEG_OPTIONS = [cv2.IMWRITE_JPEG_QUALITY, 80]
_WEBP_OPTIONS = [cv2.IMWRITE_WEBP_QUALITY, 80]


class StreamProgress:
    """A `ProgressCallback` that writes to a stream and adds up the seconds of each stage in `timings`.

    While `preview_filter` is set only previews that it allows are sent: until a first picture has passed the content
    filter, and while a generative model draws.
    """

    def __init__(self, stream: Stream, *, interval: float = PREVIEW_INTERVAL_SECONDS) -> None:
        self.timings: dict[str, float] = {}
        self.step_count = 0
        self.preview_filter: Callable[[Image], bool] | None = None
        self._stream = stream
        self._interval = interval
        self._last_frame = self._last_words = float("-inf")
        self._since = time.monotonic()

    def __call__(self, stage: str, index: int, total: int, preview: Preview = None) -> None:
        """Report that step `index` of `total` of `stage` is done. Raises `JobCancelled` once the stream is closed."""
        now = self._advance_clock(stage)
        self.step_count += 1
        frame = None
        if preview is not None and self._stream.is_watched and now - self._last_frame >= self._interval:
            self._last_frame = now
            image = preview() if callable(preview) else preview
            frame = encode_preview(image) if self.preview_filter is None or self.preview_filter(image) else None
        self._stream.put(Step(index, total, stage, frame))

    def report_download(self, files: Sequence[HubFile], current: int) -> None:
        """Report that file `current` (0-based) of a model comes from the hub, at most twice a second.

        Raises `JobCancelled` once closed.
        """
        if (now := self._advance_clock("Downloading")) - self._last_words < TEXT_INTERVAL_SECONDS:
            return
        self._last_words = now
        file, total_bytes = files[current], max(sum(each.total_bytes for each in files), 1)
        unit, size = ("GB", 1e9) if file.total_bytes >= 1e8 else ("MB", 1e6)
        words = f"Downloading {file.name}, {file.done_bytes / size:.1f} of {file.total_bytes / size:.1f} {unit}"
        done_ratio = sum(each.done_bytes for each in files) / total_bytes
        self._stream.put(Step(round(100 * done_ratio), 100, words))

    def _advance_clock(self, stage: str) -> float:
        """Add the time since the last call to `stage`; the time now. Raises `JobCancelled` if the stream is closed."""
        if self._stream.close_requested.is_set():
            raise JobCancelled
        return self.record_elapsed(stage)

    def record_elapsed(self, stage: str) -> float:
        """Add the time since the last call to `stage` without an event; the time now."""
        now = time.monotonic()
        self.timings[stage] = round(self.timings.get(stage, 0.0) + now - self._since, 4)
        self._since = now
        return now

    def send_draft(self, frame: bytes) -> None:
        """Send a draft: a preview that no interval may hold back."""
        self._stream.put(Step(1, 1, "Draft", frame))


def encode_preview(image: Image, side: int = PREVIEW_SIDE_PX) -> bytes:
    """Encode an H x W x 3 picture as a small JPEG, H x W x 4 as WebP with alpha; longer side at most `side` pixels."""
    if max(image.shape[:2]) > side:
        image = np.asarray(cv2.resize(image, size_within(image.shape, side), interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[2] == 4:  # what shows transparency depends on the visitor's theme, so the page draws it
        return cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA), _WEBP_OPTIONS)[1].tobytes()
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _JPEG_OPTIONS)[1].tobytes()


def encode_data_url(preview: bytes) -> str:
    """Encode a JPEG or WebP as a data URL, which needs no second request and no file on disk."""
    media_type = "image/webp" if preview.startswith(b"RIFF") else "image/jpeg"
    return f"data:{media_type};base64,{base64.b64encode(preview).decode()}"
