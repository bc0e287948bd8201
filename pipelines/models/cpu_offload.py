"""Takes the weights of a loaded model to the host's memory and back; knows neither cache nor family.

A model stays the same object with the same parameters, so every view that shares them moves along.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def to_host(parts: Iterable[object]) -> None:
    """Every torch module among `parts` to the host, in pinned memory where a GPU will fetch it again.

    Pinned memory is read by the GPU itself, several times as fast. Raises `RuntimeError` when the host has none left.
    """
    import torch

    for module in _modules(parts):
        for tensor in _tensors(module):
            # Quantized weights are tensors of other classes, which cannot be pinned: `module.to` takes them.
            if tensor.is_cuda and type(tensor.data) is torch.Tensor:
                kept = torch.empty_like(tensor.data, device="cpu", pin_memory=True)
                tensor.data = kept.copy_(tensor.data)
        module.to("cpu")


def to_device(parts: Iterable[object], device: str) -> None:
    """Every torch module among `parts` to `device`, done when this returns."""
    import torch

    for module in _modules(parts):
        module.to(device, non_blocking=True)
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _modules(parts: Iterable[object]) -> list[torch.nn.Module]:
    import torch

    return [part for part in parts if isinstance(part, torch.nn.Module)]


def _tensors(module: torch.nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]
