"""Faster ways through two kinds of layers of a UNet on a processor, by products of matrices; only rounding differs.

- Attention in bfloat16: torch's own kernel multiplies with MKL unless the processor has AMX, and MKL does not use
  avx512_bf16 everywhere. A plain product of two matrices goes to oneDNN, which does.
- Convolutions with few pixels and many channels: oneDNN brings the weights, up to 59 MB, into its own order in each
  call, which takes longer than the arithmetic. A product reads them as they lie.

Which way is faster here is measured, see `probes.cpu_precision`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_BLOCK_SCORE_COUNT = 2**20  # scores that one thread holds at a time: 2 MB, which a core's own memory keeps
_MIN_CHANNEL_COUNT = 640  # weights of narrower layers are brought into order in no time
_CHANNELS_PER_PIXEL = 4  # a convolution with fewer output channels for each pixel is left to oneDNN


def find_attentions(net: Any) -> list[Any]:
    """List the attention layers of `net`, a UNet or ControlNet, that `attend` can compute: none but in bfloat16."""
    import torch
    from diffusers.models.attention_processor import Attention

    layers = net.modules() if net.dtype == torch.bfloat16 else ()
    return [layer for layer in layers if isinstance(layer, Attention) and _is_plain_attention(layer)]


def find_convolutions(net: Any) -> list[Any]:
    """List the convolutions of `net` that `convolve` can compute and whose weights are large enough to matter."""
    import torch

    return [layer for layer in net.modules() if type(layer) is torch.nn.Conv2d and _is_plain_convolution(layer)]


def use_attention_products(layers: Iterable[Any]) -> None:
    """Compute these layers by `attend` from now on, on a processor and without gradients."""
    for layer in layers:
        layer.set_processor(_ProductAttention(layer.processor))


def use_convolution_products(layers: Iterable[Any]) -> None:
    """Compute these layers by `convolve` from now on."""
    for layer in layers:
        layer._conv_forward = convolve


class _ProductAttention:
    """An attention processor of diffusers; what `attend` cannot compute is left to `otherwise`."""

    def __init__(self, otherwise: Any) -> None:
        self._otherwise = otherwise

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if attention_mask is not None or hidden_states.ndim != 3 or not _is_fast(hidden_states):
            return self._otherwise(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        words = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        attended = attend(attn.to_q(hidden_states), attn.to_k(words), attn.to_v(words), attn.heads)
        return attn.to_out[1](attn.to_out[0](attended))


def _is_fast(tensor: torch.Tensor) -> bool:
    import torch

    return tensor.dtype == torch.bfloat16 and tensor.device.type == "cpu" and not torch.is_grad_enabled()


def _is_plain_attention(layer: Any) -> bool:
    extras = (layer.group_norm, layer.spatial_norm, layer.norm_cross, layer.norm_q, layer.norm_k)
    return (
        type(layer.processor).__name__ == "AttnProcessor2_0"
        and not any(extras)
        and not layer.residual_connection
        and layer.rescale_output_factor == 1
    )


def _is_plain_convolution(layer: torch.nn.Conv2d) -> bool:
    shape = layer.kernel_size, layer.stride, layer.padding, layer.dilation
    is_usual = shape == ((3, 3), (1, 1), (1, 1), (1, 1)) and layer.groups == 1 and layer.padding_mode == "zeros"
    return is_usual and layer.out_channels >= _MIN_CHANNEL_COUNT


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute attention without a mask, without gradients: N x L x (heads * D) and twice N x S x (heads * D).

    The scores of some rows of one head at a time are computed, so that they stay near the core; they are rounded to the
    type of the tensors.
    """
    import torch

    attended = torch.empty_like(query)
    width, scale = query.shape[2] // heads, (query.shape[2] // heads) ** -0.5
    rows = max(1, min(query.shape[1], _BLOCK_SCORE_COUNT * torch.get_num_threads() // key.shape[1]))
    scores, shares = torch.empty((2, rows, key.shape[1]), dtype=query.dtype)
    for n in range(query.shape[0]):
        for head in range(0, query.shape[2], width):
            part = slice(head, head + width)
            keys, values = key[n, :, part].t(), value[n, :, part]
            for start in range(0, query.shape[1], rows):
                asked = query[n, start : start + rows, part]
                count = len(asked)
                torch.addmm(scores[:count], asked, keys, beta=0, alpha=scale, out=scores[:count])
                torch.softmax(scores[:count], -1, out=shares[:count])
                torch.mm(shares[:count], values, out=attended[n, start : start + rows, part])
    return attended


def convolve(pixels: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Convolve N x C x h x w with 3 x 3 weights and zeros around, by a product where there are few pixels."""
    import torch

    functional = torch.nn.functional
    count, _, height, width = pixels.shape
    if pixels.device.type != "cpu" or _CHANNELS_PER_PIXEL * count * height * width > weight.shape[0]:
        return functional.conv2d(pixels, weight, bias, padding=1)
    columns, rows = functional.unfold(pixels, 3, padding=1), weight.flatten(1)
    products = [rows @ each if bias is None else torch.addmm(bias[:, None], rows, each) for each in columns]
    return torch.stack(products).view(count, -1, height, width)
