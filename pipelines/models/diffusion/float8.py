"""Weights in 8 bits: linear layers of a transformer that keep float8 (E4M3) numbers and compute in their own type.

diffusers can do the same (`enable_layerwise_casting`), but it casts a layer in place before it computes and back
afterwards: two threads that draw at once would break each other's layers, PEFT would make LoRAs of float8, and every
layer would be rounded once more in each step. Which layers are left as they are is taken from diffusers.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import ModelUnavailable

if TYPE_CHECKING:
    import torch

MIN_CAPABILITY = (8, 9)  # of NVIDIA's Ada; Hopper is (9, 0)
_MAX_VALUE = 448.0  # largest number of the type; what is larger would become NaN
REFUSAL_MESSAGE = (
    "--speed fp8 keeps weights in 8 bits on NVIDIA GPUs of the generations Ada, Hopper or newer, and not on {}: leave "
    "it out."
)


def require_float8_device(device: str) -> None:
    """Raise `ModelUnavailable` for a device whose weights are not kept in float8."""
    if not device.startswith("cuda"):
        raise ModelUnavailable(REFUSAL_MESSAGE.format("a processor" if device == "cpu" else device))
    import torch

    if torch.version.hip is not None or torch.cuda.get_device_capability(device) < MIN_CAPABILITY:
        raise ModelUnavailable(REFUSAL_MESSAGE.format(torch.cuda.get_device_name(device)))


def store_weights(net: Any) -> None:
    """Store the weights of the linear layers of a diffusers transformer in float8, with a scale for each row.

    Norms, embeddings and what else `find_skipped_names` matches stay as they are.
    """
    import torch

    skipped, kind = find_skipped_names(type(net)), _float8_linear_class()
    for name, layer in net.named_modules():
        if type(layer) is not torch.nn.Linear or skipped.search(name):
            continue
        weight = layer.weight.data
        scale = (weight.abs().amax(dim=1, keepdim=True) / _MAX_VALUE).clamp_min(torch.finfo(weight.dtype).tiny)
        del layer.weight
        # Buffers move with the layer as parameters do, and diffusers reads a net's own type from its parameters.
        layer.register_buffer("float8_weight", (weight / scale).to(torch.float8_e4m3fn))
        layer.register_buffer("row_scale", scale)
        layer.__class__ = kind


def find_skipped_names(kind: type) -> re.Pattern[str]:
    """Return what matches the names of the layers that diffusers leaves in their type for this class of transformer."""
    from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN

    own = getattr(kind, "_skip_layerwise_casting_patterns", None) or ()
    kept = getattr(kind, "_keep_in_fp32_modules", None) or ()
    return re.compile("|".join((*DEFAULT_SKIP_MODULES_PATTERN, *own, *kept)))


@functools.cache
def _float8_linear_class() -> type[torch.nn.Linear]:
    """Make the class of such a layer, a function's own because torch is imported with the first model."""
    import torch

    class Float8Linear(torch.nn.Linear):
        """A linear layer whose weight is computed from float8 whenever it is read."""

        float8_weight: torch.Tensor
        row_scale: torch.Tensor

        @property
        def weight(self) -> torch.Tensor:  # pyrefly: ignore[bad-override]
            """The weight, in the type of its scale."""
            return self.float8_weight.to(self.row_scale.dtype) * self.row_scale

    return Float8Linear
