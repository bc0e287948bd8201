"""Signs of a GPU that cost nothing: device files, driver libraries and the build of torch. No driver is called."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

# Device files that NVIDIA's drivers make: on a PC, and on a Jetson, whose driver has names of its own.
_NVIDIA_FILE_PATTERNS = ("dev/nvidia[0-9]*", "dev/nvhost-gpu", "dev/nvgpu", "dev/nvmap")
# Under WSL2 a GPU of any make has this file, and an NVIDIA card has no other.
_WSL_FILE = "dev/dxg"
_AMD_FILE = "dev/kfd"
_NVIDIA_WINDOWS_LIBRARIES = ("nvml.dll", "nvcuda.dll")


@dataclass(frozen=True)
class TorchBuild:
    """What the installed torch was built for, read from its files; a version is empty where it was not."""

    is_installed: bool = False
    cuda: str = ""
    hip: str = ""
    xpu: str = ""


@dataclass(frozen=True)
class GpuSigns:
    """Makers of which there may be a GPU: its driver has left a file. `wsl`: a GPU of any make, passed through."""

    nvidia: bool = False
    wsl: bool = False
    amd: bool = False
    apple: bool = False


def find_signs(root: Path = Path("/"), system: str = "", machine: str = "") -> GpuSigns:
    """Look for the files of GPU drivers below `root`; `system`, `machine`: as of `platform`, default: this one's."""
    system, machine = system or platform.system(), machine or platform.machine()
    if system == "Darwin":
        return GpuSigns(apple=machine == "arm64")
    if system == "Windows":
        folder = Path(os.environ.get("SYSTEMROOT", "C:/Windows")) if root == Path("/") else root
        return GpuSigns(nvidia=any((folder / "System32" / name).exists() for name in _NVIDIA_WINDOWS_LIBRARIES))
    return GpuSigns(
        nvidia=any(any(root.glob(pattern)) for pattern in _NVIDIA_FILE_PATTERNS),
        wsl=(root / _WSL_FILE).exists(),
        amd=(root / _AMD_FILE).exists(),
    )


def read_torch_build() -> TorchBuild:
    """Read what the installed torch was built for, without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return TorchBuild()
    file = Path(spec.origin).with_name("version.py")
    rows = re.findall(
        r"^(cuda|hip|xpu)\b.*=\s*['\"](.*)['\"]", file.read_text("utf-8") if file.is_file() else "", re.MULTILINE
    )
    return TorchBuild(is_installed=True, **dict(rows))


def largest_amd_bytes(root: Path = Path("/")) -> int:
    """Return the memory of the largest AMD GPU by Linux's own count; 0 without one."""
    files = root.glob("sys/class/drm/card*/device/mem_info_vram_total")
    return max((int(file.read_text("utf-8")) for file in files), default=0)
