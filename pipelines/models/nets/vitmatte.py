"""ViTMatte: matting by a plain vision transformer (Yao et al., 2023), from the hub: alpha from a photo and a trimap.

It runs on the processor, whichever device draws, so that the same photo gives the same edge.
"""

from __future__ import annotations

import threading

import numpy as np

from pipelines.core.geometry import Alpha, Image, Uint8Array
from pipelines.core.models import ModelSpec
from pipelines.models.nets.transformers_net import TransformersNet

_RUN_SLOT = threading.BoundedSemaphore(1)  # a run takes all cores, also where each GPU has its own net


class ViTMatte(TransformersNet):
    """A loaded ViTMatte. No two run at once."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, "VitMatteForImageMatting", "VitMatteImageProcessor", "cpu")

    def predict_alpha(self, image: Image, trimap: Uint8Array) -> Alpha:
        """Predict the alpha (h x w) of an image (h x w x 3); `trimap` (h x w) is 0, 255 or between: not settled."""
        height, width = trimap.shape
        inputs = self._processor(images=image, trimaps=trimap, return_tensors="pt")
        with _RUN_SLOT:
            alphas = self._run_net(pixel_values=inputs["pixel_values"]).alphas
        return np.ascontiguousarray(alphas[0, 0, :height, :width].numpy(), np.float32)
