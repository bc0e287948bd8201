"""A loaded model whose weights are one torch module, with what the model cache asks of it."""

from __future__ import annotations

from typing import Any

from pipelines.core.models import ModelSpec
from pipelines.models import cpu_offload, pinned_memory
from pipelines.models.devices import release_cached_memory


class OneModuleModel:
    """Holds the module; see `OffloadableModel` and `HostMemoryModel`."""

    def __init__(self, spec: ModelSpec, module: Any, device: str) -> None:
        self.spec = spec
        self.module: Any = module
        self._device = device

    @property
    def device(self) -> str:
        """The device that it draws on."""
        return self._device

    def to_host(self) -> None:
        """Move the weights to main memory."""
        cpu_offload.move_to_host([self.module])

    def to_device(self) -> None:
        """Move the weights back to the device."""
        cpu_offload.move_to_device([self.module], self._device)

    def place_on_device(self, device: str) -> None:
        """Move the weights to `device` for good, before anything is drawn."""
        self.module.to(device)
        self._device = device

    def host_bytes(self) -> int:
        """Return the bytes that the weights take in main memory once they have moved."""
        return pinned_memory.count_pinned_bytes([self.module])

    def streamed_bytes(self) -> int:
        """Return 0: nothing is streamed."""
        return 0

    def close(self) -> None:
        """Free the memory."""
        self.module = None
        release_cached_memory(self._device)
