"""IS-Net: dichotomous image segmentation (Qin et al., 2022), trained for general use.

It sees ten times the pixels that U2-Net sees: leaves, lattice, stems and antennae. Preprocessing as given with the
weights: RGB, 1024 x 1024 bilinear, less 128, divided by 256.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Image
from pipelines.models.nets.matting_net import OnnxMattingNet


class IsNet(OnnxMattingNet):
    """A loaded IS-Net."""

    input_side_px = 1024
    keeps_run_memory = False  # 400 MB, and what follows needs as much; a run takes a twentieth longer

    def _to_input(self, image: Image) -> npt.NDArray[np.float32]:
        size = (self.input_side_px, self.input_side_px)
        pixels = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.float32)
        return np.ascontiguousarray(((pixels - 128) / np.float32(256)).transpose(2, 0, 1)[None])
