# ruff: noqa: N801, N802 (NVIDIA's names)
"""Stands for NVIDIA's own module in the process of the probe; answers as the file FAKE_GPU says."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

ANSWERS = json.loads(Path(os.environ["FAKE_GPU"]).read_text())


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


def nvmlInit():
    if "nvml_error" in ANSWERS:
        raise NVMLError(ANSWERS["nvml_error"])


def nvmlDeviceGetCount():
    return len(ANSWERS.get("nvml", ()))


def nvmlDeviceGetHandleByIndex(number):
    return number


def nvmlDeviceGetName(handle):
    return ANSWERS["nvml"][handle][0]


def nvmlDeviceGetMemoryInfo(handle):
    if not ANSWERS["nvml"][handle][1]:
        raise NVMLError_NotSupported("Not Supported")
    return SimpleNamespace(total=ANSWERS["nvml"][handle][1])


def nvmlSystemGetDriverVersion():
    return ANSWERS["driver"]
