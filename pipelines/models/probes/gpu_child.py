"""Asks drivers and torch about every GPU and prints a line of JSON for each answer. Runs as a process of its own.

A driver may hang, crash the process, or refuse what it promised: then the lines that came before still count. Run it by
hand to see what the studio sees: `python pipelines/models/probes/gpu_child.py`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

PROBE_SIDE = 64
NEVER, ALWAYS, WITH_NVML = "never", "always", "with-nvml"
"""When torch is asked: not at all, in any case, or where NVIDIA's driver counts a card."""


def report_gpus(ask_torch: str = ALWAYS) -> None:
    """Print what NVML says, what torch is, and one line before and after a kernel ran on each GPU."""
    cards = _report_nvml()
    if ask_torch == ALWAYS or (ask_torch == WITH_NVML and cards):
        _report_torch()
    _print_line("end")


def _print_line(kind: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **fields}) + "\n")
    sys.stdout.flush()  # what follows may never return


def _report_nvml() -> int:
    """Print NVIDIA's own count, which needs no CUDA: names, bytes (0 where memory is the host's), driver version."""
    try:
        import pynvml
    except ImportError as error:
        _print_line("nvml", error=str(error))
        return 0
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
        rows = [(_decode_text(pynvml.nvmlDeviceGetName(handle)), _nvml_bytes(pynvml, handle)) for handle in handles]
        _print_line("nvml", driver=_decode_text(pynvml.nvmlSystemGetDriverVersion()), cards=rows)
        return len(rows)
    except pynvml.NVMLError as error:
        _print_line("nvml", error=str(error))
        return 0


def _nvml_bytes(pynvml: Any, handle: object) -> int:
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError_NotSupported:
        return 0


def _decode_text(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


def _report_torch() -> None:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library that it is linked to is missing
        _print_line("torch", error=str(error))
        return
    backend = _find_backend(torch)
    arches = list(torch.cuda.get_arch_list()) if backend == "cuda" else []
    _print_line("torch", version=torch.__version__, backend=backend, arches=arches)
    try:
        names = _list_devices(torch, backend)
    except (RuntimeError, AssertionError) as error:
        _print_line("failed", error=str(error))
        return
    for number, name in enumerate(names):
        _print_line("begin", number=number, name=name)
        _print_line("card", number=number, **_try_device(torch, backend, number))


def _find_backend(torch: Any) -> str:
    if torch.backends.mps.is_built():
        return "mps"
    return "xpu" if torch.version.xpu else "cuda"


def _list_devices(torch: Any, backend: str) -> list[str]:
    """Return the names of the devices of `backend`; raises `RuntimeError` where none can be started."""
    if backend == "mps":
        return ["Apple GPU"] if torch.backends.mps.is_available() else []
    if backend == "xpu":
        return [torch.xpu.get_device_name(n) for n in range(torch.xpu.device_count())]
    if not (torch.version.cuda or torch.version.hip):
        return []
    torch.cuda.init()  # says what is wrong; `is_available` only says that something is
    return [torch.cuda.get_device_properties(n).name for n in range(torch.cuda.device_count())]


def _try_device(torch: Any, backend: str, number: int) -> dict[str, object]:
    """Measure memory and capability of a device and multiply two matrices on it."""
    found: dict[str, object] = {}
    try:
        if backend == "cuda":
            card = torch.cuda.get_device_properties(number)
            found = {
                "capability": [card.major, card.minor],
                "total": card.total_memory,
                "unified": bool(getattr(card, "is_integrated", False)),
            }
        _run_kernel(torch, "mps" if backend == "mps" else f"{backend}:{number}")
        return found | _measure_memory(torch, backend, number)
    except (RuntimeError, AssertionError, AttributeError) as error:
        return found | {"error": str(error) or type(error).__name__}


def _run_kernel(torch: Any, device: str) -> None:
    ones = torch.ones((PROBE_SIDE, PROBE_SIDE), dtype=torch.float16, device=device)
    total = float((ones @ ones).float().sum())
    if total != PROBE_SIDE**3:
        raise RuntimeError(f"a product of ones gave {total:g} and not {PROBE_SIDE**3}")


def _measure_memory(torch: Any, backend: str, number: int) -> dict[str, object]:
    """Return free and total bytes, less what this process itself took, as the studio will take the same."""
    if backend == "mps":
        import psutil

        return {"total": psutil.virtual_memory().total, "free": torch.mps.recommended_max_memory(), "unified": True}
    if backend == "xpu":
        return {"total": torch.xpu.get_device_properties(number).total_memory}
    free, total = torch.cuda.mem_get_info(number)
    return {"total": total, "free": free}


if __name__ == "__main__":
    report_gpus(*sys.argv[1:2])
