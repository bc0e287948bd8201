"""Stands for torch in the process of the probe; answers as the file FAKE_GPU says."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

ANSWERS = json.loads(Path(os.environ["FAKE_GPU"]).read_text())
if "import_error" in ANSWERS:
    raise ImportError(ANSWERS["import_error"])
CARDS = ANSWERS.get("cards", [])
BUILD = ANSWERS["build"]

__version__ = "2.15.0"
float16 = "float16"
version = SimpleNamespace(**BUILD)


class Ones:
    def __init__(self, count):
        self.count = count

    def __matmul__(self, other):
        return self

    def float(self):
        return self

    def sum(self):
        return self

    def __float__(self):
        return float(self.count)


def ones(shape, dtype, device):
    card = CARDS[int(device.partition(":")[2] or 0)]
    if card.get("crash"):
        os.abort()
    if "error" in card:
        raise RuntimeError(card["error"])
    return Ones(shape[0] ** 3)


def init():
    if "init_error" in ANSWERS:
        raise RuntimeError(ANSWERS["init_error"])


def get_device_properties(number):
    card = CARDS[number]
    major, minor = card.get("capability", (8, 9))
    return SimpleNamespace(
        name=card["name"],
        major=major,
        minor=minor,
        total_memory=card["total"],
        is_integrated=int(card.get("integrated", False)),
    )


def mem_get_info(number):
    return CARDS[number]["free"], CARDS[number]["total"]


cuda = SimpleNamespace(
    init=init,
    device_count=lambda: len(CARDS),
    get_arch_list=lambda: ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"],
    get_device_properties=get_device_properties,
    mem_get_info=mem_get_info,
)
xpu = SimpleNamespace(
    device_count=lambda: len(CARDS),
    get_device_name=lambda number: CARDS[number]["name"],
    get_device_properties=get_device_properties,
)
is_apple = "recommended" in ANSWERS
backends = SimpleNamespace(mps=SimpleNamespace(is_built=lambda: is_apple, is_available=lambda: is_apple))
mps = SimpleNamespace(recommended_max_memory=lambda: ANSWERS["recommended"])
