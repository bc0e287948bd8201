"""The network of FASHN VTON 1.5: a diffusion transformer on pixels, with streams for person and garment.

It computes what its authors' class does (github.com/fashn-AI/fashn-vton-1.5, Apache-2.0), written anew with the names
that the published weights have. The blocks are those of FLUX.1 (Black Forest Labs, 2024): attention over both streams
with weights of their own, then over their joined tokens. Each patch of pixels is one token; nothing is encoded before.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

KIND_NUMBERS = {"tops": 1, "bottoms": 2, "one-piece": 3}
"""The rows of the embedding of kinds; 0 is for no condition."""
_TIME_CHANNEL_COUNT = 256
_TIME_SCALE, _TIME_PERIOD, _ROPE_PERIOD = 1000.0, 10000.0, 10000.0
_RMS_EPSILON = _NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class TryOnLayout:
    """The sizes of the network. `rotary_channels` are those of a head that turn by stream, row and column."""

    width: int = 576
    height: int = 864
    patch_px: int = 12
    channels: int = 1280
    head_count: int = 10
    mixer_depth: int = 4
    double_depth: int = 8
    single_depth: int = 16
    rotary_channels: tuple[int, int, int] = (16, 56, 56)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.height // self.patch_px, self.width // self.patch_px


@dataclass(frozen=True)
class TryOnInputs:
    """What the picture is drawn from, each 1 x C x H x W from -1 to 1; `kind` is of `KIND_NUMBERS`.

    `person` and `garment` have three channels, their poses one.
    """

    person: torch.Tensor
    person_pose: torch.Tensor
    garment: torch.Tensor
    garment_pose: torch.Tensor
    kind: int


def build_network(layout: TryOnLayout) -> Any:
    """Build the module, whose call is `predict_velocity`, with random weights on torch's default device."""
    import torch
    from torch import nn

    channels, patch = layout.channels, layout.patch_px

    class TryOnNetwork(nn.ModuleDict):
        def forward(self, noisy: torch.Tensor, time: float, inputs: TryOnInputs | None) -> torch.Tensor:
            return predict_velocity(self, layout, noisy, time, inputs)

    def make_patch_embedder(inputs: int) -> nn.Module:
        return nn.ModuleDict({"proj": nn.Conv2d(inputs, channels, patch, patch)})

    time_layers = OrderedDict[str, nn.Module](
        in_layer=nn.Linear(_TIME_CHANNEL_COUNT, channels), silu=nn.SiLU(), out_layer=nn.Linear(channels, channels)
    )
    network = TryOnNetwork(
        {
            "t_embedder": nn.ModuleDict({"mlp": nn.Sequential(time_layers)}),
            "y_embedder": nn.Embedding(len(KIND_NUMBERS) + 1, channels),
            "x_embedder": make_patch_embedder(3 + 3 + 1),
            "garment_embedder": make_patch_embedder(3 + 1),
            "x_patch_mixer": nn.ModuleList(_single_block(layout) for _ in range(layout.mixer_depth)),
            "double_blocks": nn.ModuleList(_double_block(layout) for _ in range(layout.double_depth)),
            "single_blocks": nn.ModuleList(_single_block(layout) for _ in range(layout.single_depth)),
            "final_layer": nn.ModuleDict(
                {
                    "linear": nn.Linear(channels, 3 * patch**2),
                    "adaLN_modulation": nn.Sequential(nn.SiLU(), nn.Linear(channels, 2 * channels)),
                }
            ),
        }
    )
    network.register_buffer("patch_mixer_token", torch.zeros(1, 1, 3 * patch**2))  # in the file, and used in training
    return network


def predict_velocity(
    network: Any, layout: TryOnLayout, noisy: torch.Tensor, time: float, inputs: TryOnInputs | None
) -> torch.Tensor:
    """Predict the direction from noise (time 0) to the picture (time 1), 1 x 3 x H x W, in the type of the weights.

    Without `inputs` it is what would be drawn without a condition: zeros in their place, as in training.
    """
    import torch

    dtype = network["x_embedder"]["proj"].weight.dtype
    noisy = noisy.to(dtype)
    colour, grey = torch.zeros_like(noisy), torch.zeros_like(noisy[:, :1])
    given = inputs or TryOnInputs(colour, grey, colour, grey, 0)
    person, garment = (
        network[name]["proj"](torch.cat([each.to(noisy) for each in pictures], dim=1)).flatten(2).transpose(1, 2)
        for name, pictures in (
            ("x_embedder", (noisy, given.person, given.person_pose)),
            ("garment_embedder", (given.garment, given.garment_pose)),
        )
    )
    moment = network["t_embedder"]["mlp"](_embed_time(time, noisy))
    moment = moment + network["y_embedder"](torch.tensor([given.kind], device=noisy.device))

    turns = _rotary_turns(layout, noisy.device)
    for block in network["x_patch_mixer"]:
        person = _run_single_block(block, layout, person, moment, turns)
    both_turns = torch.cat([turns, turns])  # a patch of the garment has the place of the person's
    for block in network["double_blocks"]:
        person, garment = _run_double_block(block, layout, person, garment, moment, both_turns)
    joined = torch.cat([garment, person], dim=1)
    for block in network["single_blocks"]:
        joined = _run_single_block(block, layout, joined, moment, both_turns)

    last = network["final_layer"]
    shift, scale = last["adaLN_modulation"](moment)[:, None].chunk(2, dim=-1)
    patches = last["linear"]((1 + scale) * _normalize(joined[:, garment.shape[1] :]) + shift)
    rows, columns = layout.grid
    patches = patches.reshape(1, rows, columns, 3, layout.patch_px, layout.patch_px)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(1, 3, layout.height, layout.width)


def schedule_times(count: int, shift: float) -> list[float]:
    """Return `count` + 1 times from 0 to 1: even ones, moved towards 0 by `shift`, where a picture's shapes form."""
    even = [n / count for n in range(1, count + 1)]
    return [0.0, *(1 / (1 + math.exp(shift) * (1 / each - 1)) for each in even)]


# ---------------------------------------------------------------- blocks


def _single_block(layout: TryOnLayout) -> Any:
    from torch import nn

    channels = layout.channels
    return nn.ModuleDict(
        {
            "linear1": nn.Linear(channels, 3 * channels + 4 * channels),
            "linear2": nn.Linear(channels + 4 * channels, channels),
            "norm": _head_norms(layout),
            "modulation": nn.ModuleDict({"lin": nn.Linear(channels, 3 * channels)}),
        }
    )


def _double_block(layout: TryOnLayout) -> Any:
    from torch import nn

    channels, parts = layout.channels, dict[str, nn.Module]()
    for stream in ("img", "txt"):  # of the person and of the garment
        parts[f"{stream}_mod"] = nn.ModuleDict({"lin": nn.Linear(channels, 6 * channels)})
        parts[f"{stream}_attn"] = nn.ModuleDict(
            {
                "qkv": nn.Linear(channels, 3 * channels),
                "norm": _head_norms(layout),
                "proj": nn.Linear(channels, channels),
            }
        )
        parts[f"{stream}_mlp"] = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(approximate="tanh"), nn.Linear(4 * channels, channels)
        )
    return nn.ModuleDict(parts)


def _head_norms(layout: TryOnLayout) -> Any:
    import torch
    from torch import nn

    size = layout.channels // layout.head_count
    return nn.ModuleDict(
        {name: nn.ParameterDict({"scale": nn.Parameter(torch.ones(size))}) for name in ("query_norm", "key_norm")}
    )


def _run_single_block(
    block: Any, layout: TryOnLayout, tokens: torch.Tensor, moment: torch.Tensor, turns: torch.Tensor
) -> torch.Tensor:
    """Attention and two linear layers beside it, at once (Dehghani et al., 2023)."""
    import torch

    shift, scale, gate = _modulate(block["modulation"], moment, 3)
    mixed = block["linear1"]((1 + scale) * _normalize(tokens) + shift)
    attention, hidden = mixed.split([3 * layout.channels, 4 * layout.channels], dim=-1)
    attended = _attend(*_split_heads(attention, block["norm"], layout), turns)
    hidden = torch.nn.functional.gelu(hidden, approximate="tanh")
    return tokens + gate * block["linear2"](torch.cat([attended, hidden], dim=-1))


def _run_double_block(
    block: Any,
    layout: TryOnLayout,
    person: torch.Tensor,
    garment: torch.Tensor,
    moment: torch.Tensor,
    turns: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    streams = (("txt", garment), ("img", person))
    modulations = [_modulate(block[f"{name}_mod"], moment, 6) for name, _ in streams]
    heads: list[tuple[torch.Tensor, ...]] = []
    for (name, tokens), (shift, scale, *_) in zip(streams, modulations, strict=True):
        layers = block[f"{name}_attn"]
        mixed = layers["qkv"]((1 + scale) * _normalize(tokens) + shift)
        heads.append(_split_heads(mixed, layers["norm"], layout))
    query, key, value = (torch.cat(parts, dim=2) for parts in zip(*heads, strict=True))
    attended = _attend(query, key, value, turns).split([garment.shape[1], person.shape[1]], dim=1)
    results: list[torch.Tensor] = []
    for (name, tokens), part, (_, _, gate, *rest) in zip(streams, attended, modulations, strict=True):
        shift, scale, last_gate = rest
        tokens = tokens + gate * block[f"{name}_attn"]["proj"](part)
        results.append(tokens + last_gate * block[f"{name}_mlp"]((1 + scale) * _normalize(tokens) + shift))
    return results[1], results[0]


def _modulate(part: Any, moment: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    """Return shift, scale and gate (twice, with a `count` of 6), each 1 x 1 x channels."""
    import torch

    return part["lin"](torch.nn.functional.silu(moment))[:, None].chunk(count, dim=-1)


def _normalize(tokens: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.functional.layer_norm(tokens, tokens.shape[-1:], eps=_NORM_EPSILON)


def _split_heads(
    tokens: torch.Tensor, norms: Any, layout: TryOnLayout
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Split 1 x L x 3 channels into query, key and value, 1 x heads x L x D; query and key have length one."""
    query, key, value = tokens.reshape(*tokens.shape[:2], 3, layout.head_count, -1).permute(2, 0, 3, 1, 4)
    return _scale_to_unit(query, norms["query_norm"]), _scale_to_unit(key, norms["key_norm"]), value


def _scale_to_unit(heads: torch.Tensor, norm: Any) -> torch.Tensor:
    import torch

    values = heads.float()
    values = values * torch.rsqrt(values.square().mean(dim=-1, keepdim=True) + _RMS_EPSILON)
    return values.to(heads) * norm["scale"]


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    import torch

    query, key = _rotate_heads(query, turns).to(value), _rotate_heads(key, turns).to(value)
    attended = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    return attended.transpose(1, 2).flatten(2)


def _rotate_heads(heads: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn each pair of channels by the angle of its token (Su et al., 2021)."""
    import torch

    pairs = torch.view_as_complex(heads.float().reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)


def _rotary_turns(layout: TryOnLayout, device: torch.device) -> torch.Tensor:
    """Return the turns of each patch, L x D / 2, complex: by row and by column; both streams have number 0."""
    import torch

    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in layout.grid), indexing="ij")
    angles = [
        place.flatten()[:, None] * _ROPE_PERIOD ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        for place, size in zip((torch.zeros_like(rows), rows, columns), layout.rotary_channels, strict=True)
    ]
    joined = torch.cat(angles, dim=1)
    return torch.polar(torch.ones_like(joined), joined).to(torch.complex64).to(device)


def _embed_time(time: float, like: torch.Tensor) -> torch.Tensor:
    """Embed a time as cosines and sines, 1 x 256, with the rounding that the type of `like` gives the time itself."""
    import torch

    scaled = _TIME_SCALE * torch.full((1,), time, dtype=like.dtype, device=like.device)
    half = _TIME_CHANNEL_COUNT // 2
    rates = torch.exp(-math.log(_TIME_PERIOD) * torch.arange(half, dtype=torch.float32, device=like.device) / half)
    angles = scaled.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1).to(like)
