"""Device detection and memory measurement: finds the GPU and its memory without importing torch."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import os
import platform
import re
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

from pipelines.core.errors import OutOfMemory

DeviceKind = Literal["cuda", "mps", "cpu"]


@dataclass(frozen=True)
class Machine:
    """The device to compute on, as torch names it (AMD cards are "cuda" too), and its memory.

    `memory_bytes` is all of that device's memory, `free_bytes` what other programs leave of it now; 0 when unknown.
    """

    device: DeviceKind
    memory_bytes: int
    reason: str = ""
    free_bytes: int = 0

    @property
    def available_bytes(self) -> int:
        """Bytes that can be used now: the free ones where they are known, else all."""
        return self.free_bytes or self.memory_bytes


@lru_cache(maxsize=1)
def detect_machine() -> Machine:
    """Find the best device of this machine and the reason for the choice."""
    memory = total_host_bytes()
    if _torch_supports("mps"):
        return Machine("mps", memory, "Apple GPU found.")
    gpu, free = _nvidia_memory() if _has_nvidia_device() else _amd_memory()
    if not gpu:
        return Machine("cpu", memory, "No GPU was found.")
    if not _torch_supports("cuda"):
        return Machine("cpu", memory, "A GPU was found, but the installed torch is a CPU build.")
    return Machine("cuda", gpu, f"GPU with {gpu / 2**30:.0f} GB found.", free)


def find_cuda_devices() -> tuple[Machine, ...]:
    """List the NVIDIA cards that torch may compute on, by their CUDA number where `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`.

    The list ends before the first card with less than half of the largest one's memory: such a card is for the screen.
    """
    cards = _filter_visible_devices(_nvidia_cards())
    largest = max((total for total, _ in cards), default=0)
    count = next((n for n, (total, _) in enumerate(cards) if 2 * total < largest), len(cards))
    return tuple(
        Machine("cuda", total, f"GPU with {total / 2**30:.0f} GB found.", free) for total, free in cards[:count]
    )


def _filter_visible_devices(cards: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep the cards that `CUDA_VISIBLE_DEVICES` names, in its order; one named by UUID counts as the next number."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return cards
    visible = []
    for n, name in enumerate(part.strip() for part in named.split(",")):
        number = int(name) if name.lstrip("-").isdigit() else n
        if not name or not 0 <= number < len(cards):
            break  # the driver ignores what follows an invalid entry, too
        visible.append(cards[number])
    return visible


@dataclass(frozen=True)
class MemoryShare:
    """Bytes for models on the device (None: unknown, no limit), for drawing beside them, and for models on the host."""

    model_bytes: int | None
    drawing_bytes: int
    host_bytes: int


def divide_memory(machine: Machine) -> MemoryShare:
    """Divide the memory of `machine` between models and drawing.

    On a GPU, drawing gets 15 % of what is free, 1 to 4 GB, until its real need is measured; models that leave the GPU
    may take 40 % of the host's memory. Where the device computes in the host's own memory, half of that is for models,
    and there is nowhere to offload them to.
    """
    if machine.device != "cuda":
        return MemoryShare(machine.memory_bytes // 2 or None, 0, 0)
    free = machine.available_bytes
    reserve = int(min(max(0.15 * free, 2**30), 4 * 2**30))
    return MemoryShare(max(free - reserve, 1) if free else None, reserve, int(0.4 * total_host_bytes()))


@lru_cache(maxsize=8)
def best_dtype(device: str) -> str:
    """Choose the type to compute in: bfloat16 where the hardware has it, else float16 on a GPU, float32 on a CPU."""
    if device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    if device.startswith("mps"):
        return "float16"
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & _cpu_flags() else "float32"


def enter_device(device: str) -> AbstractContextManager[object]:
    """Make one of several GPUs the current one of this thread: Triton's kernels and new streams go to that one."""
    if not device.startswith("cuda:"):
        return contextlib.nullcontext()
    import torch

    return torch.cuda.device(device)


@lru_cache(maxsize=16)
def device_name(device: str) -> str:
    """Return the name of the card, so that times measured on one card are not used for another."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means out of memory; on some devices torch raises a plain `RuntimeError` for that."""
    if isinstance(error, MemoryError | OutOfMemory):
        return True
    message = str(error).lower()
    says_so = "out of memory" in message or "can't allocate memory" in message
    return isinstance(error, RuntimeError) and (says_so or type(error).__name__ == "OutOfMemoryError")


def release_cached_memory(device: str) -> None:
    """Give the memory that torch caches back to the device."""
    gc.collect()
    torch = sys.modules.get("torch")  # where torch was never imported, it caches nothing
    if torch is None:
        return
    if device.startswith("cuda") and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        if hasattr(torch._C, "_host_emptyCache"):  # pinned blocks are kept too
            torch._C._host_emptyCache()  # pyright: ignore[reportAttributeAccessIssue]
    elif device.startswith("mps"):
        torch.mps.empty_cache()


class MemoryGauge(Protocol):
    """Measures the memory that computing takes on one device."""

    def reset_peak(self) -> int:
        """Start a new measurement; return the bytes that are in use now."""
        ...

    def peak_bytes(self) -> int:
        """Return the most bytes that were in use since `reset_peak`."""
        ...


class CudaMemoryGauge:
    """Reads torch's own allocator on a CUDA or ROCm device."""

    def __init__(self, device: str) -> None:
        self._device = device

    def reset_peak(self) -> int:
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)
        return torch.cuda.memory_allocated(self._device)

    def peak_bytes(self) -> int:
        import torch

        return torch.cuda.max_memory_allocated(self._device)


def create_memory_gauge(device: str) -> MemoryGauge | None:
    """Return a gauge for `device`; None where torch does not count memory."""
    return CudaMemoryGauge(device) if device.startswith("cuda") else None


def _torch_supports(kind: DeviceKind) -> bool:
    if kind == "mps":
        return platform.system() == "Darwin" and platform.machine() == "arm64"
    torch_spec = importlib.util.find_spec("torch")
    if torch_spec is None or torch_spec.origin is None:
        return False
    version = Path(torch_spec.origin).with_name("version.py")
    return version.is_file() and bool(re.search(r"^(cuda|hip)\b.*=\s*['\"]", version.read_text(), re.MULTILINE))


def total_host_bytes() -> int:
    """Return the bytes of the host's memory, or the limit of its container; 0 when unknown."""
    if not hasattr(os, "sysconf"):
        return 0
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return whole
    return min(whole, int(limit)) if limit.isdigit() else whole


class _NvmlMemory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


def _has_nvidia_device() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _nvidia_memory() -> tuple[int, int]:
    """Return the total and free bytes of the NVIDIA card that is torch's first; zeros where there is none."""
    return next(iter(_filter_visible_devices(_nvidia_cards())), (0, 0))


def _nvidia_cards() -> list[tuple[int, int]]:
    """List the total and free bytes of every NVIDIA card, by the library that comes with its driver (NVML)."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    count = ctypes.c_uint()
    if nvml.nvmlInit_v2() != 0 or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return []
    cards = []
    for number in range(count.value):
        card, memory = ctypes.c_void_p(), _NvmlMemory()
        if nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(card)) != 0:
            break
        if nvml.nvmlDeviceGetMemoryInfo(card, ctypes.byref(memory)) != 0:
            break
        cards.append((int(memory.total), int(memory.free)))
    return cards


def _amd_memory() -> tuple[int, int]:
    """Return the total and free bytes of the largest AMD card that torch could compute on; zeros without one."""
    if not Path("/dev/kfd").exists():
        return 0, 0
    cards = [file.parent for file in Path("/sys/class/drm").glob("card*/device/mem_info_vram_total")]
    return max((_amd_card_memory(card) for card in cards), default=(0, 0))


def _amd_card_memory(card: Path) -> tuple[int, int]:
    total, used = (int((card / f"mem_info_vram_{name}").read_text()) for name in ("total", "used"))
    return total, total - used


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(flags.group(1).split()) if flags else frozenset()
