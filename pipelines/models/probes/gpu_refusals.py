"""Why a GPU cannot be used: a sentence that says what was found, and what to do about it.

The names of CUDA's errors are those of `cudaGetErrorString`; torch adds its own for a driver that is too old.
"""

from __future__ import annotations

import re

from pipelines.models.probes.gpu_probe import ProbedCard, ProbeReport
from pipelines.models.probes.gpu_signs import TorchBuild

CUDA_INDEX_URL = "https://download.pytorch.org/whl/cu130"
OLD_CUDA_INDEX_URL = "https://download.pytorch.org/whl/cu126"
"""torch up to 2.14 for CUDA 12.6: the last one for drivers from 525 to 579, and for Maxwell, Pascal and Volta."""
_MIN_CUDA13_DRIVER, _MIN_CUDA12_DRIVER = 580, 525
_MIN_CUDA12_CAPABILITY, _MIN_CUDA13_CAPABILITY = (5, 0), (7, 5)
_MIN_AMD_BYTES = 4 * 10**9  # what the smallest diffusion model needs; the GPU inside a processor has less

HIDDEN_SENTENCE = "CUDA_VISIBLE_DEVICES hides the GPU of this machine from programs."


def describe_missing_support(report: ProbeReport, build: TorchBuild, amd_bytes: int) -> str:
    """Return the sentence for a GPU that the installed torch was not built for; empty where there is no such GPU."""
    if report.driver_cards and not build.cuda:
        name = report.driver_cards[0][0]
        return f"{name} was found, but the installed torch computes on the processor only. {_reinstall(CUDA_INDEX_URL)}"
    if amd_bytes >= _MIN_AMD_BYTES and not build.hip:
        return (
            f"An AMD GPU with {amd_bytes / 2**30:.0f} GB was found, but the installed torch was not built for ROCm. "
            "Install the one that https://pytorch.org/get-started/locally names for ROCm."
        )
    return ""


def describe_failure(report: ProbeReport) -> str:
    """Return the sentence for a probe that found no usable card, or ended too soon; empty where it found no card."""
    if report.trying is not None:
        return _describe_end(report, report.trying.name)
    if report.cards:
        return describe_card(report, max(report.cards, key=lambda card: card.total_bytes))
    name = report.driver_cards[0][0] if report.driver_cards else "A GPU"
    if report.end != "done" and (report.driver_cards or not report.driver_error):
        return _describe_end(report, name)
    if "mismatch" in report.driver_error.lower():
        return "The NVIDIA driver was updated while it ran. Restart the machine."
    if not report.error or (not report.driver_cards and "no nvidia driver" in report.error.lower()):
        return ""
    if not report.torch_version:
        return f"{name} was found, but torch cannot be imported: {_first_line(report.error)} Install it anew."
    return _describe_error(report, ProbedCard(0, name, error=report.error))


def describe_left_out(report: ProbeReport, card: ProbedCard) -> str:
    """Return the sentence for a card that cannot be used beside others that can."""
    return _describe_end(report, card.name) if card == report.trying else describe_card(report, card)


def describe_card(report: ProbeReport, card: ProbedCard) -> str:
    """Return the sentence for one card on which no kernel ran."""
    if report.backend == "xpu" and not card.error:
        return f"{card.name} was found. Models are drawn on GPUs of NVIDIA, AMD and Apple only."
    return _describe_error(report, card)


def _describe_error(report: ProbeReport, card: ProbedCard) -> str:
    text, name = card.error.lower(), card.name
    if "driver on your system is too old" in text or "driver version is insufficient" in text:
        return _describe_old_driver(report, name)
    if "no kernel image" in text or "kernel image is invalid" in text or "invalid device function" in text:
        return _describe_missing_kernels(report, card)
    if "out of memory" in text or "busy or unavailable" in text:
        return f"{name} was found, but other programs hold it. End them (nvidia-smi lists them) and start again."
    return f"{name} was found, but nothing can be computed on it: {_first_line(card.error)} Look at its driver."


def _describe_old_driver(report: ProbeReport, name: str) -> str:
    version = report.driver.partition(".")[0]
    needed = f"torch {report.torch_version} needs {_MIN_CUDA13_DRIVER} or newer"
    sentence = f"{name} was found, but its driver {report.driver} is too old: {needed}. Update the driver"
    if not version.isdigit() or int(version) < _MIN_CUDA12_DRIVER:
        return f"{sentence}."
    return f"{sentence}, or take an older torch: {_reinstall(OLD_CUDA_INDEX_URL)}"


def _describe_missing_kernels(report: ProbeReport, card: ProbedCard) -> str:
    major, minor = card.capability
    lacking = f"{card.name} was found, but torch {report.torch_version} has no code for it (sm_{major}{minor})."
    if card.capability < _MIN_CUDA12_CAPABILITY:
        return f"{lacking} The card is too old."
    if card.capability < _MIN_CUDA13_CAPABILITY:
        return f"{lacking} An older torch has: {_reinstall(OLD_CUDA_INDEX_URL)}"
    return f"{lacking} A newer torch may have: pip install --upgrade torch torchvision"


def _describe_end(report: ProbeReport, name: str) -> str:
    if report.end == "hung":
        return f"{name} was found, but did not answer in time. Restart the machine, or look at its driver."
    return f"{name} was found, but the test on it crashed. Update its driver."


def _reinstall(index_url: str) -> str:
    return f"Run pip uninstall -y torch torchvision, then pip install torch torchvision --index-url {index_url}"


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0][:200] if text.strip() else "no reason was given"
    return re.sub(r"\.?$", ".", line)
