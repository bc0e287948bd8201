"""A matting net of ONNX Runtime: what U2-Net and IS-Net share."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pipelines.core.geometry import Alpha, Image
from pipelines.core.models import ModelSpec
from pipelines.imaging.resize import resize_net_map
from pipelines.models.bundled_weights import verify_files

THREAD_COUNT: int = 2


class OnnxMattingNet:
    """A loaded net that sees a photo as a square. Safe from any thread; no more run at once than the cores can take."""

    input_side_px: int
    thread_count = 0  # of one run; 0: THREAD_COUNT
    keeps_run_memory = True  # between runs, which makes them faster

    def __init__(self, spec: ModelSpec) -> None:
        (path,) = self._find_files(spec)
        self.spec = spec
        threads = self.thread_count or THREAD_COUNT
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # The memory arena makes a run a third faster; the memory pattern would cost 200 MB for nothing.
        options.enable_mem_pattern = False
        # A thread that waits for the other one by spinning costs a fifth of small U2-Net's processor time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Weights of 8 bit become float once, when the net is loaded, and not in every run.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._run_options = ort.RunOptions()
        if not self.keeps_run_memory:
            self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        # Each concurrent run takes memory that the session never frees, and is no faster than one after the other.
        self._run_slots = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // threads))
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def predict_map(self, image: Image) -> Alpha:
        """Predict the raw map as the net sees the photo: a square, float32, 0 to 1."""
        pixels = self._to_input(image)
        with self._run_slots:
            (output,) = self._session.run([self._output], {self._input: pixels}, self._run_options)
        return np.asarray(output, np.float32).reshape(self.input_side_px, self.input_side_px)

    def predict_alpha(self, image: Image) -> Alpha:
        """Predict the raw map, H x W, float32, 0 to 1; stretching it, as its authors do, makes subjects of noise."""
        return resize_net_map(self.predict_map(image), image.shape)

    def _find_files(self, spec: ModelSpec) -> Sequence[Path]:
        """Return the verified file of the net. Raises `ModelUnavailable`."""
        return verify_files(spec)

    def _to_input(self, image: Image) -> npt.NDArray[np.float32]:
        raise NotImplementedError

    def close(self) -> None:
        """Free the session and its memory."""
        del self._session
