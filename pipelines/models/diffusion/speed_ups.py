"""Speed-ups of diffusion models that `--speed` names: each changes pictures, or gains on some machines only.

- `channels-last`: the UNet and an autoencoder for pictures keep their numbers channel by channel for each pixel, which
  is how a GPU's convolutions in 16 bits compute
- `step-cache`: of models that take 16 steps or more, a step whose first block changes little reuses what the others
  gave in the step before (First Block Cache); a step is then cheaper, and the picture another
- `tf32`: products of float32 matrices on an NVIDIA GPU round their factors to 10 bits
- `fp8`: a transformer's weights are kept in float8, on NVIDIA GPUs of the kinds Ada and Hopper (see `float8`)
- `parallel-loading`: the files of a component are read by several threads
- `attention=NAME`: attention by another library, which must be installed

They are options of a spec, by which the loader applies them. None is on without being named.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from pipelines.core.errors import ModelUnavailable

log = logging.getLogger("designerbox")

NAMES = ("channels-last", "step-cache", "tf32", "parallel-loading", "fp8")
# Of those that diffusers knows, the ones that run what is installed: others fetch code from the hub.
ATTENTION_BACKENDS = (
    "native", "_native_cudnn", "_native_efficient", "_native_flash", "_native_math", "flash", "_flash_3", "sage",
    "xformers",
)  # fmt: skip
_MIN_CACHED_STEPS = 16  # below them each step changes too much
_CHANGE_BOUND = 0.05  # mean change of the first block's residual, as a share of it, up to which a step is reused


def parse_speed_ups(text: str) -> tuple[tuple[str, str], ...]:
    """Return the options that a value of `--speed` stands for, such as "channels-last,attention=sage".

    Raises `ValueError` that names what there is.
    """
    options = dict[str, str]()
    for word in filter(None, (each.strip().lower() for each in text.split(","))):
        name, _, backend = word.partition("=")
        if name == "attention" and backend in ATTENTION_BACKENDS:
            options["attention"] = backend
        elif word in NAMES:
            options[name.replace("-", "_")] = "on"
        else:
            known = ", ".join((*NAMES, *(f"attention={each}" for each in ATTENTION_BACKENDS)))
            raise ValueError(f"there is no speed-up {word!r}; there are: {known}")
    return tuple(options.items())


def check_speed_ups(text: str) -> str:
    """Return `text`, or raise `ValueError` as `parse_speed_ups` does."""
    parse_speed_ups(text)
    return text


def prepare_process(text: str) -> None:
    """Set what a library reads when it is imported. Call it before the first model; what is set already stays."""
    if "parallel_loading" in dict(parse_speed_ups(text)):
        os.environ.setdefault("HF_ENABLE_PARALLEL_LOADING", "1")


def apply_speed_ups(pipe: Any, options: Mapping[str, str], device: str, steps: int, *, draws_exclusively: bool) -> None:
    """Apply to a loaded pipeline what `options` name, as far as it has what they need.

    `steps` is the number that it takes by default, `draws_exclusively` whether one thread draws at a time. Raises
    `ModelUnavailable` where the package of an attention is missing or does not run here.
    """
    net = getattr(pipe, "transformer", None) or pipe.unet
    if "channels_last" in options:
        _use_channels_last(pipe)
    if "tf32" in options and device.startswith("cuda"):
        import torch

        torch.set_float32_matmul_precision("high")
    if "attention" in options:
        _use_attention(net, options["attention"])
    # The cache holds the state of one drawing.
    if "step_cache" in options and steps >= _MIN_CACHED_STEPS and draws_exclusively and hasattr(net, "enable_cache"):
        from diffusers.hooks.first_block_cache import FirstBlockCacheConfig

        net.enable_cache(FirstBlockCacheConfig(threshold=_CHANGE_BOUND))


def is_picture_autoencoder(vae: Any) -> bool:
    """Tell whether an autoencoder is made for pictures: those for video have convolutions in time, and a state."""
    return not hasattr(vae, "temperal_downsample")


def _use_channels_last(pipe: Any) -> None:
    import torch

    if hasattr(pipe, "unet"):
        pipe.unet.to(memory_format=torch.channels_last)
    if is_picture_autoencoder(pipe.vae):
        pipe.vae.to(memory_format=torch.channels_last)


def _use_attention(net: Any, backend: str) -> None:
    try:
        net.set_attention_backend(backend)
    except (RuntimeError, ImportError, ValueError) as error:
        raise ModelUnavailable(f"--speed attention={backend} does not run here: {error}") from error
