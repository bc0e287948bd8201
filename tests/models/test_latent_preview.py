"""Latent previews: the clean estimate is right, the factors fit, and none is larger than 512 px."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.models import latent_preview
from tests.models.support.tiny_checkpoints import tiny_decoder, tiny_sd

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCHEDULERS = ("DDIMScheduler", "EulerDiscreteScheduler", "LCMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler")


def make_scheduler(name: str, prediction: str = "epsilon") -> Any:
    import diffusers

    extra = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    if name in ("DDIMScheduler", "LCMScheduler"):
        extra = {"clip_sample": False}
    return getattr(diffusers, name)(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        steps_offset=1,
        **extra,
    )


def run_denoising(tapped: Any, truth: Any, *, steps: int) -> list[Any]:
    """Runs a loop whose model knows `truth`: the noise it predicts is exactly what stands between it and the sample."""
    import torch

    generator = torch.Generator().manual_seed(0)
    plan = tapped.scheduler
    plan.set_timesteps(steps)
    sample = torch.randn(truth.shape, generator=generator) * plan.init_noise_sigma
    estimates = []
    for timestep in plan.timesteps:
        seen = plan.scale_model_input(sample, timestep)
        alpha = plan.alphas_cumprod[int(timestep)]
        noise = (seen - alpha**0.5 * truth) / (1 - alpha) ** 0.5
        velocity = alpha**0.5 * noise - (1 - alpha) ** 0.5 * truth
        wanted = {"epsilon": noise, "v_prediction": velocity, "sample": truth}[plan.config.prediction_type]
        sample = plan.step(wanted, timestep, sample, return_dict=False)[0]
        estimates.append(tapped.clean_estimate())
    return estimates


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_clean_estimate_is_what_a_perfect_model_has_in_mind(name: str):
    import torch

    truth = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1))
    for estimate in run_denoising(latent_preview.CleanEstimateRecorder(make_scheduler(name)), truth, steps=4):
        assert torch.allclose(estimate, truth, atol=0.02)


@pytest.mark.parametrize(
    ("name", "prediction"),
    [("DDIMScheduler", "v_prediction"), ("DDIMScheduler", "sample"), ("PNDMScheduler", "v_prediction")],
)
def test_the_clean_estimate_knows_what_the_model_predicts(name: str, prediction: str):
    import torch

    truth = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1))
    for estimate in run_denoising(
        latent_preview.CleanEstimateRecorder(make_scheduler(name, prediction)), truth, steps=4
    ):
        assert torch.allclose(estimate, truth, atol=0.02)


def test_a_tap_is_private_and_changes_no_step():
    import inspect

    import torch

    original = make_scheduler("EulerDiscreteScheduler")
    one, other = latent_preview.CleanEstimateRecorder(original), latent_preview.CleanEstimateRecorder(original)
    assert len({id(original), id(one.scheduler), id(other.scheduler)}) == 3
    assert inspect.signature(one.scheduler.step) == inspect.signature(original.step)
    sample, noise = torch.ones((1, 4, 2, 2)) * 9, torch.ones((1, 4, 2, 2))
    for plan in (original, one.scheduler):
        plan.set_timesteps(3)
    first = original.timesteps[0]
    assert torch.equal(original.step(noise, first, sample)[0], one.scheduler.step(noise, first, sample)[0])
    assert other.clean_estimate is None


def test_fit_finds_the_factors_that_made_the_pairs():
    rng = np.random.default_rng(0)
    truth = rng.uniform(-0.1, 0.1, (5, 3))
    truth[-1] = 0.5
    latents = rng.standard_normal((3, 4, 6, 9)).astype(np.float32)
    colours = np.tensordot(latents, truth[:-1], axes=(1, 0)) + truth[-1]
    images = colours.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32)
    assert np.allclose(latent_preview.fit_factors(latents, images), truth, atol=1e-5)


def test_linear_preview_shows_the_fitted_colours():
    import torch

    factors = np.zeros((5, 3))
    factors[0] = (0.25, 0, 0)
    factors[-1] = (0.5, 0.5, 0.25)
    latents = torch.zeros((4, 8, 12))
    latents[0, :, 6:] = 1
    picture = latent_preview.preview_with_factors(latents, factors)
    assert picture.shape == (64, 96, 3)
    assert tuple(picture[32, 10]) == (128, 128, 64)
    assert tuple(picture[32, 86]) == (191, 128, 64)


@pytest.mark.parametrize(
    ("latent", "size", "half"),
    [
        ((64, 64), (512, 512), (256, 256)),
        ((128, 96), (512, 384), (512, 384)),
        ((8, 256), (16, 512), (16, 512)),
        ((32, 24), (256, 192), (256, 192)),
    ],
)
def test_no_preview_is_larger_than_512_and_a_decoded_one_has_half_the_sides(
    tmp_path: Path, latent: tuple[int, int], size: tuple[int, int], half: tuple[int, int]
):
    import torch
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    latents = torch.zeros((4, *latent), dtype=torch.bfloat16)
    assert latent_preview.preview_with_factors(latents, np.zeros((5, 3))).shape[:2] == size
    decoder = AutoencoderTiny.from_pretrained(tiny_decoder(tmp_path))
    picture = latent_preview.preview_with_decoder(latents, decoder)
    assert picture.shape[:2] == half
    assert picture.dtype == np.uint8


def test_a_checkpoint_s_own_encoder_makes_the_pairs(tmp_path: Path):
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    vae: Any = AutoencoderKL.from_pretrained(tiny_sd(tmp_path), subfolder="vae")
    factors = latent_preview.fit_vae_factors(vae)
    assert factors.shape == (5, 3)
    images = latent_preview.make_pink_noise(8, 128)
    with torch.no_grad():
        encoded = vae.encode(torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1).latent_dist.mode()
    scaled = (encoded * vae.config.scaling_factor).numpy()
    guesses = np.tensordot(scaled, factors[:-1], axes=(1, 0)) + factors[-1]
    small = images.reshape(8, 16, 8, 16, 8, 3).mean(axis=(2, 4))
    # Random weights keep little of a picture, yet a fit is never worse than the mean colour.
    assert np.mean((guesses - small) ** 2) < np.var(small - small.mean(axis=(0, 1, 2)))
    assert np.array_equal(factors, latent_preview.fit_vae_factors(vae))


def test_half_precision_weights_stay_as_they_are(tmp_path: Path):
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    vae: Any = AutoencoderKL.from_pretrained(tiny_sd(tmp_path), subfolder="vae", dtype=torch.float16)
    assert np.isfinite(latent_preview.fit_vae_factors(vae)).all()
    assert vae.dtype == torch.float16


def test_pink_pictures_have_the_spectrum_of_photographs():
    images = latent_preview.make_pink_noise(8, 128)
    assert images.shape == (8, 128, 128, 3)
    assert images.min() >= 0
    assert images.max() <= 1
    power = (np.abs(np.fft.rfft(images.mean(axis=3), axis=2)) ** 2).mean(axis=(0, 1))
    slope = np.polyfit(np.log(np.arange(2, 33)), np.log(power[2:33]), 1)[0]
    assert -2.6 < slope < -0.9
