"""U2-Net: salient object segmentation (Qin et al., 2020), for matting.

Preprocessing as its authors give it: RGB, 320 x 320, divided by its largest value, ImageNet mean and deviation.
"""

from __future__ import annotations

import os
import threading

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image as Pillow

from pipelines.core.geometry import Alpha, Image
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import verify_files

INPUT_SIDE_PX = 320
THREAD_COUNT = 2
CHANNEL_MEANS = np.array((0.485, 0.456, 0.406), np.float32)
CHANNEL_DEVIATIONS = np.array((0.229, 0.224, 0.225), np.float32)


class U2Net:
    """A loaded U2-Net, small or large. Safe from any thread; no more run at once than the cores can take."""

    def __init__(self, spec: ModelSpec) -> None:
        (path,) = verify_files(spec)
        self.spec = spec
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREAD_COUNT
        # The memory arena makes a run a third faster; the memory pattern would cost 200 MB for nothing.
        options.enable_mem_pattern = False
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # Each concurrent run takes 200 MB that the session never frees, and is no faster than one after the other.
        self._run_slots = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // THREAD_COUNT))
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def predict_alpha(self, image: Image) -> Alpha:
        """Predict the raw map, H x W, float32, 0 to 1; stretching it, as its authors do, makes subjects of noise."""
        pixels = _net_input(image)
        with self._run_slots:
            (output,) = self._session.run([self._output], {self._input: pixels})
        small = np.asarray(output, np.float32).reshape(INPUT_SIDE_PX, INPUT_SIDE_PX)
        size = (image.shape[1], image.shape[0])
        enlarged = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.clip(enlarged, 0, 1), np.float32)

    def close(self) -> None:
        """Free the session and its memory."""
        del self._session


def _net_input(image: Image) -> npt.NDArray[np.float32]:
    """Convert a photo to the input of the net, 1 x 3 x 320 x 320."""
    small = Pillow.fromarray(image).resize((INPUT_SIDE_PX, INPUT_SIDE_PX), Pillow.Resampling.LANCZOS, reducing_gap=2.0)
    pixels = np.asarray(small, np.float32)
    pixels = (pixels / max(float(pixels.max()), 1.0) - CHANNEL_MEANS) / CHANNEL_DEVIATIONS
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
