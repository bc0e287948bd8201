"""U2-Net: how much each pixel belongs to what stands out; does not know which subject is meant, nor faces.

Input as its authors give it: RGB, 320 x 320, divided by its largest value, ImageNet mean and deviation.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image as Pillow

from pipelines.core.geometry import Alpha, Image
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import verify_files

if TYPE_CHECKING:
    from pipelines.models.nets.u2net_torch import Trial

INPUT_SIDE_PX = 320
THREAD_COUNT = 2
CHANNEL_MEANS = np.array((0.485, 0.456, 0.406), np.float32)
CHANNEL_DEVIATIONS = np.array((0.229, 0.224, 0.225), np.float32)


class U2Net:
    """A loaded U2-Net, small or large; may be called from several threads, which take turns where cores are few."""

    def __init__(self, spec: ModelSpec) -> None:
        (self._path,) = verify_files(spec)
        self.spec = spec
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREAD_COUNT
        # The arena makes a run a third faster; a plan of its whole layout would cost 200 MB for nothing.
        options.enable_mem_pattern = False
        self._session = ort.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        # Each run beside another takes 200 MB that the session never gives back, and is no quicker than after it.
        self._run_slots = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // THREAD_COUNT))
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def predict_alpha(self, image: Image) -> Alpha:
        """The net's own map at the photo's size, 0 to 1: the clip of the cut-out recipe is not in it.

        Not stretched to its own minimum and maximum either, as its authors do: that makes a subject out of noise.
        """
        seen = _net_input(image)
        with self._run_slots:
            (found,) = self._session.run([self._output], {self._input: seen})
        small = np.asarray(found, np.float32).reshape(INPUT_SIDE_PX, INPUT_SIDE_PX)
        size = (image.shape[1], image.shape[0])
        enlarged = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.clip(enlarged, 0, 1), np.float32)

    def trial(self) -> Trial:
        """This net again, in 32 and 16 bits and for any batch, to be timed on what `seen` makes of a photo."""
        from pipelines.models.nets.u2net_torch import Trial  # torch costs time that no cut-out need pay

        return Trial(self._path)

    def seen(self, image: Image) -> npt.NDArray[np.float32]:
        """What the net is given of a photo, 1 x 3 x 320 x 320."""
        return _net_input(image)

    def close(self) -> None:
        """Lets go of the session and its memory."""
        del self._session


def _net_input(image: Image) -> npt.NDArray[np.float32]:
    small = Pillow.fromarray(image).resize((INPUT_SIDE_PX, INPUT_SIDE_PX), Pillow.Resampling.LANCZOS, reducing_gap=2.0)
    pixels = np.asarray(small, np.float32)
    pixels = (pixels / max(float(pixels.max()), 1.0) - CHANNEL_MEANS) / CHANNEL_DEVIATIONS
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
