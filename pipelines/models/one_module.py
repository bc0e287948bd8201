"""Loaded models whose weights can move between the device and main memory, with what the model cache asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.core.models import ModelSpec
from pipelines.models import cpu_offload, pinned_memory
from pipelines.models.devices import release_cached_memory


class MovableModel:
    """Base of models of torch modules; see `OffloadableModel` and `HostMemoryModel`."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        self.spec = spec
        self._device = device

    def _list_movable_parts(self) -> Sequence[object]:
        """List what moves; what is no torch module is left out."""
        raise NotImplementedError

    @property
    def device(self) -> str:
        """The device that it draws on."""
        return self._device

    def to_host(self) -> None:
        """Move the weights to main memory."""
        cpu_offload.move_to_host(self._list_movable_parts())

    def to_device(self) -> None:
        """Move the weights back to the device."""
        cpu_offload.move_to_device(self._list_movable_parts(), self._device)

    def place_on_device(self, device: str) -> None:
        """Move the weights to `device` for good, before anything is drawn."""
        for module in cpu_offload.select_modules(self._list_movable_parts()):
            module.to(device)
        self._device = device

    def host_bytes(self) -> int:
        """Return the bytes that the weights take in main memory once they have moved."""
        return pinned_memory.count_pinned_bytes(cpu_offload.select_modules(self._list_movable_parts()))

    def streamed_bytes(self) -> int:
        """Return the bytes that are in main memory always: 0 where nothing is streamed."""
        return 0

    def close(self) -> None:
        """Free the memory."""
        release_cached_memory(self._device)


class OneModuleModel(MovableModel):
    """Holds one torch module."""

    def __init__(self, spec: ModelSpec, module: Any, device: str) -> None:
        super().__init__(spec, device)
        self.module: Any = module

    def _list_movable_parts(self) -> Sequence[object]:
        return [self.module]

    def close(self) -> None:
        self.module = None
        super().close()
