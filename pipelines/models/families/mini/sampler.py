"""The denoiser of the embedded model: noise schedule, text encoder, and the sampling loop with RePaint inpainting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image
from pipelines.core.rendering import RenderRequest
from pipelines.models.families.mini.postprocess import SIDE_PX, remove_patch_seams

if TYPE_CHECKING:
    import torch

MIN_STRENGTH = 0.05

OnEstimate = Callable[[int, int, "Callable[[], torch.Tensor]"], None]
"""Step, number of steps, and a function that gives the clean estimate, N x 4 x 64 x 64."""


class FigureSampler:
    """The text encoder and the denoiser. Several threads may sample at once: each call has its own scheduler."""

    def __init__(self, folder: Path, device: str, defaults: dict[str, float]) -> None:
        import torch
        from diffusers import PRXPixelPipeline

        self.device = torch.device(device)
        self._defaults = defaults
        # diffusers annotates its tensors more narrowly than it takes them.
        pipe: Any = PRXPixelPipeline.from_pretrained(folder, dtype=torch.float32)
        # With guidance the pipeline passes two timesteps whatever the batch, which fits only a batch of one picture.
        pipe.transformer.register_forward_pre_hook(_keep_first_timestep, with_kwargs=True)
        self._pipe = pipe.to(self.device)

    def guidance_scale(self, render: RenderRequest) -> float:
        """The scale that was asked for, else the model's own."""
        return render.guidance_scale or self._defaults["guidance_scale"]

    def timesteps(self, render: RenderRequest) -> list[float]:
        """The noise levels of the steps, from 1 or the strength to above 0, shifted towards 1 where the shape forms."""
        steps = render.num_inference_steps or int(self._defaults["num_inference_steps"])
        shift = self._defaults["shift"]
        even = np.linspace(1, 0, steps + 1)[:-1]
        times = shift * even / (1 + (shift - 1) * even)
        if render.verb == "text":
            return times.tolist()
        strength = self._defaults["strength"] if render.strength is None else render.strength
        return (times * max(strength, MIN_STRENGTH)).tolist()

    def denoise(
        self, renders: Sequence[RenderRequest], prompts: Sequence[str], on_estimate: OnEstimate
    ) -> torch.Tensor:
        """Sample one figure per seed of all `renders` in one call: N x 4 x 64 x 64, premultiplied, -1 to 1.

        Verb, size, steps, guidance and source are those of the first. Raises `BadInput` for an inpainting without mask,
        and whatever `on_estimate` raises.
        """
        import torch
        from diffusers import PRXPixelPipeline

        first, counts = renders[0], [len(render.seeds) for render in renders]
        # Noise from the CPU's generator is the same on every device. Each picture has a generator of its own.
        generators = [torch.Generator().manual_seed(seed) for render in renders for seed in render.seeds]
        noise = torch.cat([torch.randn(1, 4, SIDE_PX, SIDE_PX, generator=generator) for generator in generators])
        times = self.timesteps(first)
        begin, held = noise, None
        if first.verb != "text":
            source = _read_source(first.images[0])[None]
            begin = (1 - times[0]) * source + times[0] * noise
            if first.verb == "inpaint":
                held = source, noise, _read_mask(first)
        recorder = StepRecorder(self._pipe.scheduler, times, held)
        encoded = self._encode_prompts([*prompts, *(render.negative_prompt for render in renders)])
        wanted, unwanted = (_repeat(half, counts) for half in (encoded[: len(renders)], encoded[len(renders) :]))

        def on_step_end(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            clean = recorder.clean
            on_estimate(index + 1, len(times), lambda: recorder.remove_seams(clean))
            return tensors

        view: Any = PRXPixelPipeline(
            **{**self._pipe.components, "scheduler": recorder.scheduler},
            default_sample_size=SIDE_PX,
            prompt_max_tokens=self._pipe.config.prompt_max_tokens,
            noise_scale=1.0,
        )
        view.set_progress_bar_config(disable=True)
        drawn = view(
            prompt_embeds=wanted[0],
            prompt_attention_mask=wanted[1],
            negative_prompt_embeds=unwanted[0],
            negative_prompt_attention_mask=unwanted[1],
            latents=begin,
            num_inference_steps=len(times),
            guidance_scale=max(1.0, self.guidance_scale(first)),
            height=SIDE_PX,
            width=SIDE_PX,
            use_resolution_binning=False,
            output_type="pt",
            callback_on_step_end=on_step_end,
        ).images.clamp(-1, 1)
        return recorder.remove_seams(drawn)

    def embed_words(self, words: list[str]) -> torch.Tensor:
        """Unit vectors of `words`, N x D: the mean of the token embeddings of each."""
        import torch

        table = self._pipe.text_encoder.get_input_embeddings().weight.detach().float()
        ids = [self._pipe.tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
        return torch.nn.functional.normalize(torch.stack([table[row].mean(0) for row in ids]), dim=1)

    def is_one_token(self, word: str) -> bool:
        """Whether the tokenizer knows `word` as a whole."""
        return len(self._pipe.tokenizer.tokenize(word)) == 1

    def _encode_prompts(self, texts: list[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Each text's embedding (1 x T x D) and attention mask (1 x T)."""
        import torch

        length = self._pipe.config.prompt_max_tokens
        tokens = self._pipe.tokenizer(
            texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            states = self._pipe.text_encoder(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).last_hidden_state
        seen = tokens["attention_mask"].bool()
        return [(states[n : n + 1].clone(), seen[n : n + 1].clone()) for n in range(len(texts))]


class StepRecorder:
    """The scheduler of one drawing: records the clean estimate of each step and restores what inpainting must keep.

    `held` is source, noise and mask: where the mask is 0 the source is restored, at the noise level of the step
    (RePaint, Lugmayr and others 2022).
    """

    def __init__(
        self, scheduler: Any, times: list[float], held: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None
    ) -> None:
        self.scheduler = type(scheduler).from_config(scheduler.config)
        self.clean: Any = None
        self._held = held
        next_times = dict(zip((round(1000 * t, 3) for t in times), [*times[1:], 0.0], strict=True))
        step, set_times = self.scheduler.step, self.scheduler.set_timesteps
        # The pipeline would pass times without sigmas, of which the scheduler warns at every drawing.
        self.scheduler.set_timesteps = lambda *_, device=None: set_times(sigmas=times, device=device)

        def record_step(velocity: Any, timestep: Any, sample: Any) -> Any:
            out = step(velocity, timestep, sample)
            self.clean = sample - float(timestep) / 1000 * velocity
            if held is not None:
                source, noise, mask = held
                t = next_times[round(float(timestep), 3)]
                out.prev_sample = mask * out.prev_sample + (1 - mask) * ((1 - t) * source + t * noise)
                self.clean = mask * self.clean + (1 - mask) * source
            return out

        self.scheduler.step = record_step

    def remove_seams(self, pixels: torch.Tensor) -> torch.Tensor:
        """Apply `remove_patch_seams` where the picture was drawn, not where the source was held."""
        smooth = remove_patch_seams(pixels)
        if self._held is None:
            return smooth
        mask = self._held[2]
        return mask * smooth + (1 - mask) * pixels


def _keep_first_timestep(net: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Keep the first timestep, which the denoiser broadcasts: all pictures of a batch have the same."""
    return args, {**kwargs, "timestep": kwargs["timestep"][:1]}


def _repeat(encoded: Sequence[tuple[torch.Tensor, torch.Tensor]], counts: Sequence[int]) -> tuple[Any, Any]:
    """Embeddings and masks of the prompts, each once for every picture of its request."""
    import torch

    embeds = [states.expand(n, -1, -1) for (states, _), n in zip(encoded, counts, strict=True)]
    masks = [seen.expand(n, -1) for (_, seen), n in zip(encoded, counts, strict=True)]
    return torch.cat(embeds), torch.cat(masks)


def _read_source(picture: Image) -> torch.Tensor:
    """The middle square of `picture`, H x W x 3 or 4, as 4 x 64 x 64, premultiplied, -1 to 1; opaque without alpha."""
    import torch

    rows, columns = picture.shape[:2]
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    small = cv2.resize(picture[top : top + side, left : left + side], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    full = small.astype(np.float32) / 127.5 - 1
    alpha = full[..., 3:] if full.shape[2] == 4 else np.ones((SIDE_PX, SIDE_PX, 1), np.float32)
    pixels = np.dstack([full[..., :3] * (alpha + 1) / 2, alpha])
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _read_mask(render: RenderRequest) -> torch.Tensor:
    """The mask as 1 x 1 x 64 x 64, 0 to 1."""
    import torch

    if render.mask is None:
        raise BadInput("Nothing is marked: paint over what is to be drawn anew.", param="mask")
    mask = cv2.resize(render.mask, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.asarray(mask, np.float32))[None, None]
