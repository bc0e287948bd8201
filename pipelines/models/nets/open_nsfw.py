"""Open-NSFW: the probability that a picture shows nudity, by the net of Yahoo (2016).

Preprocessing as its authors give it: 256 x 256 bilinear, encoded as JPEG and decoded (it was trained with the
artefacts), the centre 224 x 224, BGR minus the channel means.
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
from pipelines.models.bundled_weights import verify_files

RESIZED_SIDE_PX = 256
CENTRE_CROP = slice(16, 240)
THREAD_COUNT: int = 2
REMEMBERED_SCORE_COUNT = 256  # scores that are remembered, by the small JPEG of each picture
CHANNEL_MEANS = np.array((104, 117, 123), np.float32)  # blue, green, red


class OpenNsfw:
    """The loaded net; may be called from several threads."""

    def __init__(self, spec: ModelSpec) -> None:
        (path,) = verify_files(spec)
        self.spec = spec
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREAD_COUNT
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.disable_quant_qdq", "1")  # 8-bit kernels become float32 once
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._score_once = lru_cache(maxsize=REMEMBERED_SCORE_COUNT)(self._score_jpeg)

    def score_images(self, images: Sequence[Image]) -> tuple[float, ...]:
        """Return one probability for each picture, 0 to 1; each is H x W x 3, of any size."""
        # One by one: a batch of four is no faster on two cores, and takes four times the memory.
        return tuple(self._score_once(_encode_jpeg(image)) for image in images)

    def _score_jpeg(self, jpeg: bytes) -> float:
        (probabilities,) = self._session.run(None, {self._input: _net_input(jpeg)})
        return float(np.asarray(probabilities)[0, 1])

    def close(self) -> None:
        """Free the session and its memory."""
        self._score_once.cache_clear()
        del self._session


def _encode_jpeg(image: Image) -> bytes:
    """Encode a picture as the 256 x 256 JPEG that the net gets, which is also the key of the remembered score."""
    picture = Pillow.fromarray(_halve_large_image(image)).resize(
        (RESIZED_SIDE_PX, RESIZED_SIDE_PX), Pillow.Resampling.BILINEAR
    )
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    return buffer.getvalue()


def _net_input(jpeg: bytes) -> npt.NDArray[np.float32]:
    with Pillow.open(io.BytesIO(jpeg)) as decoded:
        pixels = np.asarray(decoded, np.float32)[CENTRE_CROP, CENTRE_CROP, ::-1] - CHANNEL_MEANS
    return np.ascontiguousarray(pixels[None])


def _halve_large_image(image: Image) -> Image:
    """Halve a large image until it is near 256 px: the exact filter then takes one millisecond instead of thirty."""
    while min(image.shape[:2]) >= 4 * RESIZED_SIDE_PX:
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    return image
