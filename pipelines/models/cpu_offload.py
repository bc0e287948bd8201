"""CPU offload: moves the weights of a loaded model to the host's memory and back to the device.

The modules and parameters stay the same objects, so every pipeline that shares them moves along.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def move_to_host(pipeline_components: Iterable[object]) -> None:
    """Move every torch module to the host, from a GPU to pinned memory. Raises `RuntimeError` without room for it."""
    import torch

    for module in select_modules(pipeline_components):
        for tensor in (*module.parameters(), *module.buffers()):
            # Quantized weights are tensor subclasses, which cannot be pinned: `module.to` moves them.
            if tensor.is_cuda and type(tensor.data) is torch.Tensor:
                pinned = torch.empty_like(tensor.data, device="cpu", pin_memory=True)
                tensor.data = pinned.copy_(tensor.data)
        module.to("cpu")


def move_to_device(pipeline_components: Iterable[object], device: str) -> None:
    """Move every torch module among `pipeline_components` to `device`; the copy is complete on return."""
    import torch

    for module in select_modules(pipeline_components):
        module.to(device, non_blocking=True)
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def select_modules(pipeline_components: Iterable[object]) -> list[torch.nn.Module]:
    """List the torch modules among `pipeline_components`."""
    import torch

    return [part for part in pipeline_components if isinstance(part, torch.nn.Module)]
