"""What the machine has to compute with, found without importing torch; knows nothing of models or profiles."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

Device = Literal["cuda", "mps", "cpu"]


@dataclass(frozen=True)
class Machine:
    """`device` as torch names it (AMD cards are "cuda" too), `memory` of that device in bytes, 0 when unknown."""

    device: Device
    memory: int
    reason: str = ""


@lru_cache(maxsize=1)
def find_machine() -> Machine:
    """The best device here and why it was taken."""
    memory = _ram()
    if _torch_is_for("mps"):
        return Machine("mps", memory, "Apple GPU found.")
    gpu = _nvidia_memory() if Path("/dev/nvidia0").exists() else _amd_memory() if Path("/dev/kfd").exists() else 0
    if not gpu:
        return Machine("cpu", memory, "No GPU was found.")
    if not _torch_is_for("cuda"):
        return Machine("cpu", memory, "A GPU was found, but the installed torch is a CPU build.")
    return Machine("cuda", gpu, f"GPU with {gpu / 2**30:.0f} GB found.")


def budget() -> int | None:
    """Bytes that models may take together: what a drawing itself needs is left free. None when memory is unknown."""
    machine = find_machine()
    share = 0.5 if machine.device in ("cpu", "mps") else 0.85
    return int(machine.memory * share) or None


@lru_cache(maxsize=8)
def best_dtype(device: str) -> str:
    """The floating type to compute in: bfloat16 where the hardware has it, else float16 on a GPU, float32 on a CPU."""
    if device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    if device.startswith("mps"):
        return "float16"
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & _cpu_flags() else "float32"


def _torch_is_for(kind: Device) -> bool:
    if kind == "mps":
        return platform.system() == "Darwin" and platform.machine() == "arm64"
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    version = Path(found.origin).with_name("version.py")
    return version.is_file() and bool(re.search(r"^(cuda|hip)\b.*=\s*['\"]", version.read_text(), re.MULTILINE))


def _ram() -> int:
    if not hasattr(os, "sysconf"):
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class _NvmlMemory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


def _nvidia_memory() -> int:
    """Bytes of the first NVIDIA card by its driver's own library (NVML), which is there wherever the driver is."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 0
    card, memory = ctypes.c_void_p(), _NvmlMemory()
    known = (
        nvml.nvmlInit_v2() == 0
        and nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(card)) == 0
        and nvml.nvmlDeviceGetMemoryInfo(card, ctypes.byref(memory)) == 0
    )
    return int(memory.total) if known else 0


def _amd_memory() -> int:
    totals = [int(file.read_text()) for file in Path("/sys/class/drm").glob("card*/device/mem_info_vram_total")]
    return max(totals, default=0)


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(flags.group(1).split()) if flags else frozenset()
