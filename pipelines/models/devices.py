"""What the machine has to compute with, found without importing torch; knows nothing of models or profiles."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

from pipelines.core.errors import OutOfMemory

Device = Literal["cuda", "mps", "cpu"]


@dataclass(frozen=True)
class Machine:
    """`device` as torch names it (AMD cards are "cuda" too).

    `memory` of that device in bytes, and `free` what of it nobody else takes now; 0 when unknown.
    """

    device: Device
    memory: int
    reason: str = ""
    free: int = 0

    @property
    def room(self) -> int:
        """What of it there is to be had now, as far as that is known."""
        return self.free or self.memory


@lru_cache(maxsize=1)
def find_machine() -> Machine:
    """The best device here and why it was taken."""
    memory = ram()
    if _torch_is_for("mps"):
        return Machine("mps", memory, "Apple GPU found.")
    gpu, free = _nvidia_memory() if _has_nvidia() else _amd_memory()
    if not gpu:
        return Machine("cpu", memory, "No GPU was found.")
    if not _torch_is_for("cuda"):
        return Machine("cpu", memory, "A GPU was found, but the installed torch is a CPU build.")
    return Machine("cuda", gpu, f"GPU with {gpu / 2**30:.0f} GB found.", free)


def cards() -> tuple[Machine, ...]:
    """The NVIDIA cards that torch may compute on, by their CUDA number where `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`.

    A card with less than half of the largest one's memory ends the row: it is there for the screen.
    """
    found = _visible(_nvidia_cards())
    largest = max((total for total, _ in found), default=0)
    small = next((n for n, (total, _) in enumerate(found) if 2 * total < largest), len(found))
    return tuple(
        Machine("cuda", total, f"GPU with {total / 2**30:.0f} GB found.", free) for total, free in found[:small]
    )


def _visible(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that `CUDA_VISIBLE_DEVICES` lets a program see, in its order; what it names by UUID counts as the next."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return found
    seen = []
    for n, name in enumerate(part.strip() for part in named.split(",")):
        number = int(name) if name.lstrip("-").isdigit() else n
        if not name or not 0 <= number < len(found):
            break  # what stands behind is not seen by the driver either
        seen.append(found[number])
    return seen


@dataclass(frozen=True)
class Share:
    """Bytes for models on the device (None: unknown, no limit), for drawing beside them, and for models on the host."""

    budget: int | None
    reserve: int
    host: int


def share(machine: Machine) -> Share:
    """How the memory of `machine` is divided.

    On a GPU drawing gets 15 % of what is free, 1 to 4 GB, until it is known what it takes; models that leave the GPU
    may take 40 % of the host's memory. Where the device computes in the host's own memory half of that is for models,
    and there is nowhere to move them.
    """
    if machine.device != "cuda":
        return Share(machine.memory // 2 or None, 0, 0)
    free = machine.room
    reserve = int(min(max(0.15 * free, 2**30), 4 * 2**30))
    return Share(max(free - reserve, 1) if free else None, reserve, int(0.4 * ram()))


@lru_cache(maxsize=8)
def best_dtype(device: str) -> str:
    """The floating type to compute in: bfloat16 where the hardware has it, else float16 on a GPU, float32 on a CPU."""
    if device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    if device.startswith("mps"):
        return "float16"
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & _cpu_flags() else "float32"


@lru_cache(maxsize=16)
def named(device: str) -> str:
    """What computes there, so that what was measured on one card is not taken for another's."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)


def gave_out(error: BaseException) -> bool:
    """Whether this error says that memory gave out; torch says it on some devices with a plain `RuntimeError`."""
    if isinstance(error, MemoryError | OutOfMemory):
        return True
    words = str(error).lower()
    said = "out of memory" in words or "can't allocate memory" in words
    return isinstance(error, RuntimeError) and (said or type(error).__name__ == "OutOfMemoryError")


def release(device: str) -> None:
    """Give back to the device what torch keeps for later."""
    gc.collect()
    torch = sys.modules.get("torch")  # what was never imported keeps nothing
    if torch is None:
        return
    if device.startswith("cuda") and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    elif device.startswith("mps"):
        torch.mps.empty_cache()


class Gauge(Protocol):
    """Measures the memory that computing takes on one device."""

    def start(self) -> int:
        """Bytes taken now; the peak begins anew here."""
        ...

    def peak(self) -> int:
        """The most bytes taken since `start`."""
        ...


class CudaGauge:
    """What torch's own allocator counts on a CUDA or ROCm device."""

    def __init__(self, device: str) -> None:
        self._device = device

    def start(self) -> int:
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)
        return torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        import torch

        return torch.cuda.max_memory_allocated(self._device)


def gauge(device: str) -> Gauge | None:
    """How to measure on `device`; None where torch does not count."""
    return CudaGauge(device) if device.startswith("cuda") else None


def _torch_is_for(kind: Device) -> bool:
    if kind == "mps":
        return platform.system() == "Darwin" and platform.machine() == "arm64"
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    version = Path(found.origin).with_name("version.py")
    return version.is_file() and bool(re.search(r"^(cuda|hip)\b.*=\s*['\"]", version.read_text(), re.MULTILINE))


def ram() -> int:
    """Bytes of the host's memory, or of what its container may take; 0 when unknown."""
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


def _has_nvidia() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _nvidia_memory() -> tuple[int, int]:
    """Bytes, all and free, of the NVIDIA card that torch calls the first."""
    return next(iter(_visible(_nvidia_cards())), (0, 0))


def _nvidia_cards() -> list[tuple[int, int]]:
    """Bytes, all and free, of every NVIDIA card, by the library that comes with its driver (NVML)."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    count = ctypes.c_uint()
    if nvml.nvmlInit_v2() != 0 or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return []
    found = []
    for number in range(count.value):
        card, memory = ctypes.c_void_p(), _NvmlMemory()
        if nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(card)) != 0:
            break
        if nvml.nvmlDeviceGetMemoryInfo(card, ctypes.byref(memory)) != 0:
            break
        found.append((int(memory.total), int(memory.free)))
    return found


def _amd_memory() -> tuple[int, int]:
    """Bytes, all and free, of the largest AMD card that torch could compute on."""
    if not Path("/dev/kfd").exists():
        return 0, 0
    cards = [file.parent for file in Path("/sys/class/drm").glob("card*/device/mem_info_vram_total")]
    return max((_amd_card(card) for card in cards), default=(0, 0))


def _amd_card(card: Path) -> tuple[int, int]:
    total, used = (int((card / f"mem_info_vram_{name}").read_text()) for name in ("total", "used"))
    return total, total - used


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(flags.group(1).split()) if flags else frozenset()
