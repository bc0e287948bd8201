"""U2-Net: salient object segmentation (Qin et al., 2020), for matting.

Preprocessing as its authors give it: RGB, 320 x 320, divided by its largest value, ImageNet mean and deviation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from pipelines.core.geometry import Image
from pipelines.models.nets.matting_net import OnnxMattingNet

CHANNEL_MEANS = np.array((0.485, 0.456, 0.406), np.float32)
CHANNEL_DEVIATIONS = np.array((0.229, 0.224, 0.225), np.float32)


class U2Net(OnnxMattingNet):
    """A loaded U2-Net, small or large."""

    input_side_px = 320

    def _to_input(self, image: Image) -> npt.NDArray[np.float32]:
        size = (self.input_side_px, self.input_side_px)
        small = Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS, reducing_gap=2.0)
        pixels = np.asarray(small, np.float32)
        pixels = (pixels / max(float(pixels.max()), 1.0) - CHANNEL_MEANS) / CHANNEL_DEVIATIONS
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
