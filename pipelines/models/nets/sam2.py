"""SAM 2: what somebody points at in a photo (Ravi et al., 2024), from the hub.

A photo is embedded once, which takes nearly all the time; each set of points then costs a small decoder alone. It runs
on the processor, whichever device draws.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Image
from pipelines.core.models import ModelSpec
from pipelines.models.nets.transformers_net import TransformersNet

Embedding = tuple[Float32Array, ...]
"""What the net knows of a photo: features on three scales, 17 MB together."""
Points = tuple[tuple[float, float], ...]
_MAX_LOGIT = 30.0
_RUN_SLOT = threading.BoundedSemaphore(1)  # a run takes all cores, also where each GPU has its own net


class Sam2(TransformersNet):
    """A loaded SAM 2. No two runs at once."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, "Sam2Model", "Sam2ImageProcessor", "cpu")

    def encode_photo(self, image: Image) -> Embedding:
        """Compute what `segment` needs to know of a photo (H x W x 3)."""
        pixels = self._processor(images=image, return_tensors="pt")["pixel_values"]
        with _RUN_SLOT:
            return tuple(np.asarray(each.numpy(), np.float32) for each in self._net.get_image_embeddings(pixels))

    def segment(
        self, embedding: Embedding, keep: Points, drop: Points, box: tuple[float, float, float, float] | None
    ) -> Alpha:
        """Return how likely each pixel belongs to what the points `keep` lie on and `drop` do not (256 x 256, 0 to 1).

        Points (x, y) and the box (left, top, right, bottom) around it are shares of the photo, 0 to 1.
        """
        import torch

        side = self._net.prompt_encoder.input_image_size
        prompts: dict[str, Any] = {"image_embeddings": [torch.from_numpy(each) for each in embedding]}
        if keep or drop:
            prompts["input_points"] = side * torch.tensor([[[*keep, *drop]]], dtype=torch.float32)
            prompts["input_labels"] = torch.tensor([[[1] * len(keep) + [0] * len(drop)]])
        if box is not None:
            prompts["input_boxes"] = side * torch.tensor([[box]], dtype=torch.float32)
        # One point may mean a part or the whole: of three masks the one that the net is surest of. More are clear.
        is_ambiguous = len(keep) + len(drop) == 1 and box is None
        with _RUN_SLOT, torch.no_grad():
            outputs = self._net(**prompts, multimask_output=is_ambiguous)
        best = int(outputs.iou_scores[0, 0].argmax())
        logits = outputs.pred_masks[0, 0, best].float().clamp(-_MAX_LOGIT, _MAX_LOGIT)
        return np.asarray(torch.sigmoid(logits).numpy(), np.float32)
