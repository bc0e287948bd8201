"""Layers computed by products on a processor give what torch's give, but for rounding, and only where they gain."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.rendering import Adapter
from pipelines.models.diffusion import cpu_layers
from pipelines.models.diffusion.loader import CheckpointFamily, use_cpu_layers
from pipelines.models.families.stable_diffusion import StableDiffusionModel
from pipelines.models.probes import cpu_precision
from pipelines.models.probes.cpu_precision import CpuPrecision, measure_product_gains
from tests.models.support.family_checks import draw_pictures, make_request, tiny_row
from tests.models.support.tiny_checkpoints import tiny_decoder, tiny_lora, tiny_sd


def relative_error(found: Any, exact: Any) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def make_noise(*shape: int, seed: int = 0) -> Any:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """A function that sets what attention and convolutions are said to gain on this processor."""

    def set_gains(attention: float, convolution: float) -> None:
        here = CpuPrecision(lambda: (2.0, 1.0), lambda dtype: (attention, convolution))
        monkeypatch.setattr(cpu_precision, "THIS_PROCESSOR", here)

    return set_gains


@pytest.mark.parametrize("block", [2**20, 3 * 20, 1])
def test_attention_is_that_of_torch_whatever_the_size_of_a_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(cpu_layers, "_BLOCK_SCORE_COUNT", block)
    heads = 3
    query, key, value = make_noise(2, 50, 24), make_noise(2, 20, 24, seed=1), make_noise(2, 20, 24, seed=2)
    split = [each.double().unflatten(2, (heads, -1)).transpose(1, 2) for each in (query, key, value)]
    exact = torch.nn.functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
    with torch.inference_mode():
        whole = cpu_layers.attend(query, key, value, heads)
        rounded = cpu_layers.attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), heads)
    assert relative_error(whole, exact) < 1e-6
    assert rounded.dtype == torch.bfloat16
    assert relative_error(rounded, exact) < 0.01


def test_memory_that_holds_no_numbers_does_not_reach_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    empty = torch.empty

    def broken(*shape: Any, **options: Any) -> Any:
        return empty(*shape, **options).fill_(float("nan"))

    monkeypatch.setattr(torch, "empty", broken)
    tokens = make_noise(1, 40, 16).bfloat16()
    with torch.inference_mode():
        assert cpu_layers.attend(tokens, tokens, tokens, 2).isfinite().all()


@pytest.mark.parametrize("side", [1, 4, 12])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_convolution_is_that_of_torch_with_few_pixels_and_with_many(side: int, *, with_bias: bool) -> None:
    import torch

    pixels, weight = make_noise(2, 16, side, side + 1), make_noise(320, 16, 3, 3, seed=1)
    bias = make_noise(320, seed=2) if with_bias else None
    with torch.inference_mode():
        found = cpu_layers.convolve(pixels, weight, bias)
        wide = None if bias is None else bias.double()
        exact = torch.nn.functional.conv2d(pixels.double(), weight.double(), wide, padding=1)
    assert found.shape == exact.shape
    assert relative_error(found, exact) < 1e-6


def make_unet(channels: int) -> Any:
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(0)
    kind: Any = UNet2DConditionModel
    return kind(
        sample_size=8,
        block_out_channels=(32, channels),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
    ).to(torch.bfloat16)


def run_unet(net: Any) -> Any:
    import torch

    with torch.inference_mode():
        latents, words = make_noise(1, 4, 8, 8).to(net.dtype), make_noise(1, 20, 32, seed=1).to(net.dtype)
        return net(latents, torch.tensor(500), encoder_hidden_states=words).sample.double()


@pytest.fixture(scope="module")
def wide_unet() -> tuple[Any, Any, Any]:
    """A UNet as torch computes it, what it gives, and what it gives in double precision."""
    net = make_unet(640)
    return net, run_unet(net), run_unet(copy.deepcopy(net).double())


@pytest.mark.parametrize(("attention", "convolution"), [(2.0, 1.0), (1.0, 2.0), (2.0, 2.0), (1.0, 1.0)])
def test_a_unet_computes_by_products_what_gains_and_nothing_else(
    attention: float,
    convolution: float,
    wide_unet: tuple[Any, Any, Any],
    gains: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gains(attention, convolution)
    whole, before, exact = wide_unet
    net, called = copy.deepcopy(whole), set[str]()
    for name in ("attend", "convolve"):
        own = getattr(cpu_layers, name)
        monkeypatch.setattr(cpu_layers, name, lambda *args, name=name, own=own: called.add(name) or own(*args))
    use_cpu_layers(net)
    after = run_unet(net)
    wanted = {name for name, gain in (("attend", attention), ("convolve", convolution)) if gain > 1}
    assert called == wanted
    assert (relative_error(after, before) == 0) == (not wanted)
    assert relative_error(after, exact) < 1.25 * relative_error(before, exact), "as exact as torch's own layers"


def test_nothing_is_measured_for_a_net_that_has_no_such_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure() -> tuple[float, float]:
        raise AssertionError

    monkeypatch.setattr(cpu_precision, "THIS_PROCESSOR", CpuPrecision(measure))
    use_cpu_layers(make_unet(64).float())


def test_masks_and_gradients_are_left_to_torch(gains: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    gains(2, 1)
    net, latents, words = make_unet(64), make_noise(1, 4, 8, 8).bfloat16(), make_noise(1, 20, 32).bfloat16()
    mask = torch.ones(1, 20)
    mask[:, 10:] = 0
    with torch.inference_mode():
        before = net(latents, torch.tensor(5), encoder_hidden_states=words, encoder_attention_mask=mask).sample
    use_cpu_layers(net)
    with torch.inference_mode():
        after = net(latents, torch.tensor(5), encoder_hidden_states=words, encoder_attention_mask=mask).sample
    assert relative_error(after, before.double()) < 0.02
    net(latents, torch.tensor(5), encoder_hidden_states=words).sample.sum().backward()
    assert next(net.parameters()).grad is not None


def test_a_checkpoint_draws_alike_with_and_without_products_and_with_a_lora(
    tmp_path: Path, gains: Callable[..., None]
) -> None:
    folder = tiny_sd(tmp_path / "sd")
    lora = tiny_lora(folder, tmp_path / "lora") / "pytorch_lora_weights.safetensors"
    decoder = ("decoder", str(tiny_decoder(tmp_path / "decoder")))
    spec = replace(tiny_row("stable_diffusion", str(folder), ("text",), decoder, guidance=5.0), dtype="bfloat16")
    drawn: list[Any] = []
    for gain in (1.0, 2.0):
        gains(gain, gain)
        model = CheckpointFamily(StableDiffusionModel, (spec,)).load(spec, "cpu")
        adapted = make_request("text", 1, adapters=(Adapter(str(lora), 1.0),))
        drawn.append([draw_pictures(model, each)[0].astype(int) for each in (make_request("text", 1), adapted)])
        model.close()
    for own, product in zip(*drawn, strict=True):
        assert np.abs(own - product).mean() < 2
    assert np.abs(drawn[0][0] - drawn[0][1]).mean() > 2 * np.abs(drawn[0][1] - drawn[1][1]).mean()


def test_what_products_gain_is_measured_in_both_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_precision, "_ROUND_COUNT", 1)
    for dtype in ("float32", "bfloat16"):
        assert min(measure_product_gains(dtype)) > 0
