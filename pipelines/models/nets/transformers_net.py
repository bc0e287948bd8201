"""A net of transformers with its image processor, from the hub: what annotators, ViTMatte and SAM 2 share."""

from __future__ import annotations

from typing import Any

from pipelines.core.models import ModelSpec
from pipelines.models.diffusion import loader
from pipelines.models.diffusion.pipeline import LOADING_LOCK


class TransformersNet:
    """A loaded net and its processor, by the names of their classes, on the device. Raises `ModelUnavailable`."""

    def __init__(self, spec: ModelSpec, kind: str, processor: str, device: str) -> None:
        import transformers

        folder = loader.ensure_checkpoint(spec).folder
        self.spec = loader.with_loaded_revision(spec, folder)
        self._device = device
        with LOADING_LOCK:
            self._processor: Any = getattr(transformers, processor).from_pretrained(folder)
            net = getattr(transformers, kind).from_pretrained(folder, use_safetensors=True)
        self._net: Any = net.eval().to(device)

    def close(self) -> None:
        """Free the net."""
        del self._net

    def _run_net(self, **inputs: Any) -> Any:
        import torch

        with torch.no_grad():
            return self._net(**{name: value.to(self._device) for name, value in inputs.items()})
