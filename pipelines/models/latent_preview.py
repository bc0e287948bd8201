"""Latent previews: turns the latents of a running denoising loop into a small picture.

The clean estimate (x0) is shown: it is the picture that the model predicts at that step, without the noise.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Image

if TYPE_CHECKING:
    import torch

MAX_PREVIEW_PX = 512  # longer side of a preview
_MIN_DECODED_PX = 256  # longer side: halving a smaller picture would save nothing and show nothing

ColourFactors = npt.NDArray[np.float64]


class CleanEstimateRecorder:
    """A private copy of a scheduler that records the clean estimate (x0) of its last step; results are bit-equal."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = type(scheduler).from_config(scheduler.config)
        self.clean_estimate: Callable[[], torch.Tensor] | None = None
        self.after_step: Callable[[torch.Tensor], object] | None = None  # called with the latents
        step = self.scheduler.step

        @functools.wraps(step)  # pipelines read the signature of `step`
        def recording_step(model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
            output = step(model_output, timestep, sample, *args, **kwargs)
            self.clean_estimate = _make_clean_estimate(self.scheduler, output, model_output, timestep, sample)
            if self.after_step is not None:
                self.after_step(output[0])
            return output

        self.scheduler.step = recording_step


def _make_clean_estimate(
    scheduler: Any, output: Any, predicted: Any, timestep: Any, sample: Any
) -> Callable[[], torch.Tensor]:
    """Return a function for x0 as each scheduler gives it: returned (Euler, DDIM, LCM), kept (DPM++), or solved for."""
    if not hasattr(scheduler, "alphas_cumprod"):
        # Flow matching: the sample is (1 - sigma) x0 + sigma noise, and the model predicts noise - x0.
        sigma = scheduler.sigmas[scheduler.step_index - 1]
        return lambda: sample.float() - sigma * predicted.float()
    if len(output) > 1:
        return lambda: output[1]
    outputs = getattr(scheduler, "model_outputs", None)
    if outputs and outputs[-1] is not None:
        estimate = outputs[-1]
        return lambda: estimate
    return lambda: _solve_for_clean(scheduler, predicted, timestep, sample)


def _solve_for_clean(scheduler: Any, predicted: torch.Tensor, timestep: Any, sample: torch.Tensor) -> torch.Tensor:
    """Solve for x0 of a variance-preserving step from noise, velocity or sample (DDIM, Song et al. 2021, eq. 12)."""
    alpha = float(scheduler.alphas_cumprod[int(timestep)])
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return predicted
    if kind == "v_prediction":
        return alpha**0.5 * sample - (1 - alpha) ** 0.5 * predicted
    return (sample - (1 - alpha) ** 0.5 * predicted) / alpha**0.5


def preview_with_factors(latents: torch.Tensor, factors: ColourFactors) -> Image:
    """Make a preview at almost no cost: each latent pixel becomes one colour by `factors`. latents: C x h x w."""
    values = latents.detach().float().cpu().numpy()
    colours = np.tensordot(values, factors[:-1], axes=(0, 0)) + factors[-1]
    small = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
    return _enlarge_preview(small)


def preview_with_decoder(latents: torch.Tensor, decoder: Any) -> Image:
    """Make a preview of latents, C x h x w, by an `AutoencoderTiny` at half size (a quarter of the cost), to 512 px."""
    import torch

    scale = 2 ** (len(decoder.config.decoder_block_out_channels) - 1)
    side = max(_MIN_DECODED_PX // scale, min(MAX_PREVIEW_PX // scale, max(latents.shape[-2:]) // 2))
    with torch.no_grad():
        batch = _shrink_latents(latents.detach()[None].to(decoder.dtype), side) / decoder.config.scaling_factor
        # In this memory format the convolutions take a third of the time on a CPU; the decoder is not changed.
        batch = batch.contiguous(memory_format=torch.channels_last)
        pixels = decoder.decode(batch).sample[0].float().cpu().permute(1, 2, 0).numpy()
    return (np.clip(pixels / 2 + 0.5, 0, 1) * 255).round().astype(np.uint8)


def fit_factors(latents: npt.NDArray[np.float32], images: npt.NDArray[np.float32]) -> ColourFactors:
    """Fit the linear map from latent pixels to the mean colour under them, by least squares.

    latents: N x C x h x w. images: N x H x W x 3, 0 to 1, H and W whole multiples of h and w. Returns (C + 1) x 3, the
    last row being the offset. Each checkpoint needs its own, because it has its own latent space.
    """
    count, channels, height, width = latents.shape
    tiles = images.reshape(count, height, images.shape[1] // height, width, images.shape[2] // width, 3)
    colours = tiles.mean(axis=(2, 4)).reshape(-1, 3)
    rows = latents.transpose(0, 2, 3, 1).reshape(-1, channels)
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    return np.linalg.lstsq(rows.astype(np.float64), colours.astype(np.float64), rcond=None)[0]


def fit_vae_factors(vae: Any) -> ColourFactors:
    """Fit an autoencoder's factors on latents of pictures with a photo's spectrum, scaled as while denoising."""
    import torch

    if vae.dtype == torch.float16:  # in which the encoder of SDXL overflows; the original is shared
        vae = copy.deepcopy(vae).float()
    images = make_pink_noise(8, 128)
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1).to(vae.device, vae.dtype)
    if vae.config.get("in_channels") == 4:  # with an opacity
        pixels = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=1)
    # An autoencoder for video takes a picture as one frame.
    video = hasattr(vae, "temperal_downsample")
    with torch.no_grad():
        latents = vae.encode(pixels[:, :, None] if video else pixels).latent_dist.mode().float().cpu()
    latents = latents[:, :, 0] if video else latents
    scaled = (latents - (vae.config.get("shift_factor") or 0)) * vae.config.get("scaling_factor", 1)
    return fit_factors(scaled.numpy(), images)


def make_pink_noise(count: int, side: int) -> npt.NDArray[np.float32]:
    """Make `count` colour pictures with a 1/f spectrum, always the same: N x side x side x 3, float32, 0 to 1."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1 / side
    noise = np.fft.rfft2(rng.standard_normal((count, 3, side, side))) / frequency
    waves = np.fft.irfft2(noise, s=(side, side))
    waves /= waves.std(axis=(1, 2, 3), keepdims=True)
    # The three channels share a grey part: photographs vary more in lightness than in colour.
    waves = 0.5 * waves + 0.5 * waves.mean(axis=1, keepdims=True)
    means = rng.uniform(0.2, 0.8, (count, 3, 1, 1))
    return np.clip(means + 0.25 * waves, 0, 1).transpose(0, 2, 3, 1).astype(np.float32)


def _shrink_latents(latents: torch.Tensor, side: int) -> torch.Tensor:
    import torch

    longest = max(latents.shape[-2:])
    if longest <= side:
        return latents
    height, width = (max(1, n * side // longest) for n in latents.shape[-2:])
    return torch.nn.functional.adaptive_avg_pool2d(latents, (height, width))


def _enlarge_preview(small: Image) -> Image:
    """Enlarge with bicubic interpolation, at most 8 times, no side over 512 px."""
    height, width = small.shape[:2]
    scale = min(8.0, MAX_PREVIEW_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
