"""BiRefNet: bilateral reference for dichotomous image segmentation (Zheng et al., 2024), from the hub.

Preprocessing and sigmoid as its authors give them, by the ports of their code: RGB, 1024 x 1024 bilinear, ImageNet mean
and deviation. It runs on the processor, whichever device draws.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from pipelines.core.geometry import Alpha, Image
from pipelines.core.models import ModelSpec
from pipelines.models.nets.hub_file import find_known_file
from pipelines.models.nets.matting_net import OnnxMattingNet
from pipelines.models.nets.u2net import CHANNEL_DEVIATIONS, CHANNEL_MEANS

_RUN_SLOT = threading.BoundedSemaphore(1)  # a run takes all cores and gigabytes, also where each GPU has its own net


class BiRefNet(OnnxMattingNet):
    """A loaded BiRefNet. No two run at once."""

    input_side_px = 1024
    thread_count = os.cpu_count() or 1
    keeps_run_memory = False

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self._run_slots = _RUN_SLOT

    def _find_files(self, spec: ModelSpec) -> Sequence[Path]:
        return (find_known_file(spec),)

    def predict_map(self, image: Image) -> Alpha:
        """See `OnnxMattingNet.predict_map`; the net itself gives logits."""
        logits = super().predict_map(image)
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)

    def _to_input(self, image: Image) -> npt.NDArray[np.float32]:
        size = (self.input_side_px, self.input_side_px)
        pixels = np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.BILINEAR), np.float32)
        pixels = (pixels / np.float32(255) - CHANNEL_MEANS) / CHANNEL_DEVIATIONS
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
