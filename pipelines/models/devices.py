"""Devices to compute on: the choice among what the probe of the GPUs found, memory, and the type to compute in."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import psutil

from pipelines.core.errors import OutOfMemory
from pipelines.models.probes import cpu_precision, gpu_probe, gpu_refusals, gpu_signs

_UNIFIED_MEMORY_RATIO = 0.75  # share of the host's free memory that a GPU in it may take; the system needs the rest

DeviceKind = Literal["cuda", "mps", "cpu"]


@dataclass(frozen=True)
class Machine:
    """The device to compute on, as torch names it (AMD cards are "cuda" too), and its memory.

    `memory_bytes` is all of that device's memory, `free_bytes` what other programs leave of it now; 0 when unknown.
    `number` is torch's number of one GPU of several. `is_unified`: the GPU computes in the host's own memory.
    `is_refused`: there is a GPU, but it cannot be used; `reason` says why and what to do.
    """

    device: DeviceKind
    memory_bytes: int
    reason: str = ""
    free_bytes: int = 0
    number: int | None = None
    is_unified: bool = False
    is_refused: bool = False

    @property
    def available_bytes(self) -> int:
        """Bytes that can be used now: the free ones where they are known, else all."""
        return self.free_bytes or self.memory_bytes

    @property
    def torch_device(self) -> str:
        """The device by torch's full name: "cuda:1" for the second of several GPUs."""
        return self.device if self.number is None else f"{self.device}:{self.number}"


def detect_machine() -> Machine:
    """Find the best device of this machine and the reason for the choice: of several GPUs that with most free memory.

    The first call takes seconds where there are signs of a GPU; see `start_detection`.
    """
    return max(_find_machines(), key=lambda machine: machine.available_bytes)


def find_cuda_devices() -> tuple[Machine, ...]:
    """List the GPUs that torch can compute on, in its order, without those that are for the screen.

    Such a GPU has less than half of the largest one's memory.
    """
    machines = [machine for machine in _find_machines() if machine.device == "cuda"]
    largest = max((machine.memory_bytes for machine in machines), default=0)
    return tuple(machine for machine in machines if 2 * machine.memory_bytes >= largest)


@lru_cache(maxsize=1)
def start_detection() -> gpu_probe.RunningProbe | None:
    """Start to look for GPUs in a process of its own, beside the caller; None where there is no sign of any."""
    question = gpu_probe.choose_torch_question(gpu_signs.find_signs(), gpu_signs.read_torch_build(), _is_gpu_hidden())
    if not question:
        return None
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # the probe's numbers are those of this process, too
    return gpu_probe.start_probe(question)


@lru_cache(maxsize=1)
def _find_machines() -> tuple[Machine, ...]:
    """Wait for the probe and return every usable GPU, or the processor alone with the reason."""
    probe = start_detection()
    report = probe.wait() if probe is not None else gpu_probe.ProbeReport()
    return list_usable_gpus(report, gpu_signs.read_torch_build(), gpu_signs.largest_amd_bytes())


def list_usable_gpus(report: gpu_probe.ProbeReport, build: gpu_signs.TorchBuild, amd_bytes: int) -> tuple[Machine, ...]:
    """List the GPUs of a report on which a kernel ran, or the processor alone, with the reason.

    `amd_bytes` is the memory of the largest AMD GPU, which torch does not see unless it was built for it.
    """
    usable = [card for card in report.cards if not card.error and report.backend != "xpu"]
    if not usable:
        reason = gpu_refusals.describe_missing_support(report, build, amd_bytes)
        if not reason and report.driver_cards and _is_gpu_hidden():
            reason = gpu_refusals.HIDDEN_SENTENCE
        reason = reason or gpu_refusals.describe_failure(report)
        return (
            Machine("cpu", total_host_bytes(), reason or "No graphics card (GPU) was found.", is_refused=bool(reason)),
        )
    kind: DeviceKind = "mps" if report.backend == "mps" else "cuda"
    others = [card for card in (*report.cards, report.trying) if card is not None and card not in usable]
    left_out = "".join(f" Left out: {gpu_refusals.describe_left_out(report, card)}" for card in others)
    return tuple(_make_machine(report, card, kind, len(usable), left_out) for card in usable)


def _make_machine(
    report: gpu_probe.ProbeReport, card: gpu_probe.ProbedCard, kind: DeviceKind, usable_count: int, left_out: str
) -> Machine:
    is_unified = card.is_unified or (card.name, 0) in report.driver_cards
    free = card.free_bytes
    if is_unified and kind == "cuda":
        # CUDA counts as used what Linux keeps of files and gives back when it is needed.
        free = max(free, int(_UNIFIED_MEMORY_RATIO * psutil.virtual_memory().available))
    name = f"{card.name} with {card.total_bytes / 2**30:.0f} GB{' shared with the processor' if is_unified else ''}"
    reason = f"{name} found." if usable_count == 1 else f"{usable_count} GPUs found, the best is {name}."
    number = card.number if len(report.cards) > 1 else None
    return Machine(kind, card.total_bytes, reason + left_out, free, number=number, is_unified=is_unified)


def _is_gpu_hidden() -> bool:
    """Tell whether the environment hides every NVIDIA GPU from programs."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "NoDevFiles")


@dataclass(frozen=True)
class MemoryShare:
    """Bytes for models on the device (None: unknown, no limit), for drawing beside them, and for models on the host."""

    model_bytes: int | None
    drawing_bytes: int
    host_bytes: int


def divide_memory(machine: Machine) -> MemoryShare:
    """Divide the memory of `machine` between models and drawing.

    On a GPU, drawing gets 15 % of what is free, 1 to 4 GB, until its real need is measured; models that leave the GPU
    may take 40 % of the host's memory, unless it is the same memory. On a processor half of it is for models.
    """
    if machine.device == "cpu":
        return MemoryShare(machine.memory_bytes // 2 or None, 0, 0)
    free = machine.available_bytes
    reserve = int(min(max(0.15 * free, 2**30), 4 * 2**30))
    host_bytes = 0 if machine.is_unified else int(0.4 * total_host_bytes())
    return MemoryShare(max(free - reserve, 1) if free else None, reserve, host_bytes)


@lru_cache(maxsize=8)
def best_dtype(device: str) -> str:
    """Choose the type to compute in: on a GPU bfloat16 where it has that, else float16; on a CPU the measured one."""
    if device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    if device.startswith("mps"):
        return "float16"
    return cpu_precision.THIS_PROCESSOR.choose_dtype()


def make_device_current(device: str) -> AbstractContextManager[object]:
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
            torch._C._host_emptyCache()
    elif device.startswith("mps"):
        torch.mps.empty_cache()


class MemoryGauge:
    """Measures the memory that computing takes on a CUDA or ROCm device, by torch's own allocator."""

    def __init__(self, device: str) -> None:
        self._device = device

    def reset_peak(self) -> int:
        """Start a new measurement; return the bytes that are in use now."""
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)
        return torch.cuda.memory_allocated(self._device)

    def peak_bytes(self) -> int:
        """Return the most bytes that were in use since `reset_peak`."""
        import torch

        return torch.cuda.max_memory_allocated(self._device)


def create_memory_gauge(device: str) -> MemoryGauge | None:
    """Return a gauge for `device`; None where torch does not count memory."""
    return MemoryGauge(device) if device.startswith("cuda") else None


def total_host_bytes() -> int:
    """Return the bytes of the host's memory, or the limit of its container."""
    whole = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text("utf-8").strip()
    except OSError:
        return whole
    return min(whole, int(limit)) if limit.isdigit() else whole
