"""Open-NSFW: how likely pictures show nudity, 0 to 1; decides nothing and does not know why it is asked.

The net of Yahoo (2016). Input as its authors give it: 256 x 256 bilinear, once through a JPEG (the artefacts are part
of what it was trained on), the middle 224 x 224, BGR less the mean.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image as Pillow

from pipelines.core.geometry import Image
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import verified

SIDE = 256
MIDDLE = slice(16, 240)
THREADS = 2
REMEMBERED = 256
"""Pictures, as the few kilobytes that the net is told of each, whose scores are kept."""
MEAN = np.array((104, 117, 123), np.float32)  # blue, green, red


class OpenNsfw:
    """The loaded net; may be called from several threads."""

    def __init__(self, spec: ModelSpec) -> None:
        (path,) = verified(spec)
        self.spec = spec
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.enable_mem_pattern = False
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._scored = lru_cache(maxsize=REMEMBERED)(self._score)

    def scores(self, images: Sequence[Image]) -> tuple[float, ...]:
        """One probability a picture; each is H x W x 3, of any size."""
        # One by one: a batch of four is no faster on two cores, and takes four times the memory.
        return tuple(self._scored(_as_jpeg(image)) for image in images)

    def _score(self, jpeg: bytes) -> float:
        (found,) = self._session.run(None, {self._input: _input(jpeg)})
        return float(np.asarray(found)[0, 1])

    def close(self) -> None:
        """Lets go of the session and its memory."""
        self._scored.cache_clear()
        del self._session


def _as_jpeg(image: Image) -> bytes:
    """All that the net is told of a picture; whoever goes back and forth between two settings sends it again."""
    picture = Pillow.fromarray(_near(image)).resize((SIDE, SIDE), Pillow.Resampling.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    return buffer.getvalue()


def _input(jpeg: bytes) -> npt.NDArray[np.float32]:
    with Pillow.open(io.BytesIO(jpeg)) as decoded:
        pixels = np.asarray(decoded, np.float32)[MIDDLE, MIDDLE, ::-1] - MEAN
    return np.ascontiguousarray(pixels[None])


def _near(image: Image) -> Image:
    """A large photo halved until it is near: the exact filter then takes a millisecond instead of thirty."""
    while min(image.shape[:2]) >= 4 * SIDE:
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    return image
