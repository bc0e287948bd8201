"""Selfie segmentation (MediaPipe): where people are in a picture that shows some.

It sees 256 x 256 pixels, so its edges are coarse: it tells which parts are people's and not where they end. It is no
detector: a cup of coffee alone it takes for a person. Input as given with the weights: RGB, stretched to a square, 0
to 1.
"""

from __future__ import annotations

import threading

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Image
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import read_tflite, verify_files

INPUT_SIDE_PX = 256


class PersonNet:
    """The loaded net. Safe from any thread; one picture is processed at a time."""

    def __init__(self, spec: ModelSpec) -> None:
        (file,) = verify_files(spec)
        self.spec = spec
        self._net = read_tflite(file)
        self._lock = threading.Lock()

    def predict_map(self, image: Image) -> Alpha:
        """Return where people are in `image` (H x W x 3): 256 x 256 whatever its shape, 0 to 1."""
        size = (INPUT_SIDE_PX, INPUT_SIDE_PX)
        pixels = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        with self._lock:
            self._net.setInput(cv2.dnn.blobFromImage(pixels, 1 / 255))
            people = np.asarray(self._net.forward(), np.float32)
        return np.clip(people.reshape(size), 0, 1)

    def close(self) -> None:
        """Free the net."""
        del self._net
