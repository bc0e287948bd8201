"""Pinned host memory: what weights on the host really take, and how torch is kept from rounding it up.

torch rounds each pinned block up to a power of two, so that a model of 41 GB takes 65 (pytorch issue 150517). Versions
that know `pinned_max_round_threshold_mb` leave larger blocks as they are.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.models.devices import total_host_bytes

if TYPE_CHECKING:
    import torch

HOST_SHARE_RATIO = 0.4  # of the host's memory that weights may be pinned in, as in `devices.divide_memory`
_SETTING = "pinned_max_round_threshold_mb"
_ENV_NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
_ROUNDED_BYTES = 2**20  # size of a block up to which it is still rounded
_LIBRARY_NAMES = ("libc10.so", "c10.dll", "libc10.dylib")


def limit_rounding() -> None:
    """Tell torch, before it is imported, to round small pinned blocks only; nothing where it cannot."""
    if not any(name in os.environ for name in _ENV_NAMES) and _torch_knows_setting():
        os.environ["PYTORCH_ALLOC_CONF"] = f"{_SETTING}:{_ROUNDED_BYTES // 2**20}"


def count_pinned_bytes(modules: Iterable[torch.nn.Module]) -> int:
    """Count the bytes of the host's memory that the weights of these modules take once they are pinned."""
    is_limited = any(_SETTING in os.environ.get(name, "") for name in _ENV_NAMES)
    tensors = {id(each): each for module in modules for each in (*module.parameters(), *module.buffers())}
    return sum(_round_block(each.nbytes, is_limited=is_limited) for each in tensors.values())


def fits_host(size: int) -> bool:
    """Tell whether `size` bytes may be pinned on this host."""
    return size <= HOST_SHARE_RATIO * total_host_bytes()


def _round_block(size: int, *, is_limited: bool) -> int:
    if is_limited and size > _ROUNDED_BYTES:
        return size
    return 1 << (size - 1).bit_length() if size else 0


@lru_cache(maxsize=1)
def _torch_knows_setting() -> bool:
    """Tell whether the installed torch has the setting: older ones refuse a name that they do not know."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    folder = Path(found.origin).with_name("lib")
    files = [folder / name for name in _LIBRARY_NAMES if (folder / name).is_file()]
    return any(_SETTING.encode() in file.read_bytes() for file in files)
