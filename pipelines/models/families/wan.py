"""Wan 2.2 TI2V 5B: its model specs, and how its diffusers pipeline, which lets a photo move, differs from others.

The photo is the clip's first frame: its latents stay as they are, and time is zero for them alone (`expand_timesteps`).
One latent frame is one picture at the start and four from then on, 16 times smaller along a side. The checkpoint lies
at the hub as a pipeline that draws from words; the one that starts from a picture has the same components. Its
autoencoder computes in float32, as its authors run it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.core.geometry import Image
from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import ModelStep, RenderRequest
from pipelines.models.diffusion.lighter_rows import make_lighter_rows
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel, PromptEmbeds, prompt_text, size_arguments, to_pillow
from pipelines.models.diffusion.resolution import Canvas
from pipelines.models.pinned_revisions import PINS

VERBS: tuple[Verb, ...] = ("video",)
_TRANSFORMER_PARAMETERS = 4_999_787_712
_VAE_BYTES = 4 * 704_688_668
_DRAWING_BYTES = 2 * _TRANSFORMER_PARAMETERS + _VAE_BYTES
_TEXT_ENCODER_BYTES = 2 * 5_680_910_336  # UMT5-XXL's encoder
_MAX_WORD_TOKENS = 512
_SHOWN_MOMENTS = 4  # of a clip, in a preview of two rows
# What the authors of diffusers give against still and broken pictures, where nobody says what should not be seen.
_UNWANTED = (
    "Bright tones, overexposed, static, blurred details, subtitles, style, works, paintings, images, static, overall "
    "gray, worst quality, low quality, JPEG compression residue, ugly, incomplete, extra fingers, poorly drawn hands, "
    "poorly drawn faces, deformed, disfigured, misshapen limbs, fused fingers, still picture, messy background, three "
    "legs, many people in the background, walking backwards"
)

WAN = ModelSpec(
    id="wan-2.2-ti2v-5b",
    family="wan",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
    revision=PINS["Wan-AI/Wan2.2-TI2V-5B-Diffusers"],
    # It was trained at 1280 x 704, which is 949 squared, and draws smaller ones less well: none below 832 x 448.
    defaults=(("num_inference_steps", 50), ("guidance_scale", 5.0), ("side", 949), ("side_min", 610)),
    options=(("vae_dtype", "float32"), ("lighter", "wan-2.2-ti2v-5b-streamed")),
    dtype="auto-bfloat16",
    bytes=_DRAWING_BYTES + _TEXT_ENCODER_BYTES,
    min_vram=32 * GB,
    download_bytes=4 * _TRANSFORMER_PARAMETERS + _VAE_BYTES + _TEXT_ENCODER_BYTES,  # the transformer in float32
)
WAN_LIGHTER = make_lighter_rows(WAN, _TEXT_ENCODER_BYTES, {"streamed": 20 * GB})


class WanModel(DiffusionModel):
    """Wan 2.2. `images[0]` moves; `frame_count` is 4 n + 1, else the pipeline draws the next such number below it."""

    pipeline_classes = ("WanPipeline", "WanImageToVideoPipeline")
    size_multiple = 32
    draws_exclusively = True  # its autoencoder keeps the previous frames

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        first = to_pillow(canvas.pad_onto(render.images[0]))
        return {**size_arguments(canvas), "image": first, "num_frames": render.frame_count}

    def count_arguments(self, count: int) -> dict[str, Any]:
        """See `DiffusionModel.count_arguments`. The words of several clips come as rows of the embeddings."""
        return {}

    def read_output(self, output: Any) -> Any:
        """See `DiffusionModel.read_output`. The frames of each clip follow one another."""
        return output.frames.reshape(-1, *output.frames.shape[2:])

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        embeds = {"prompt_embeds": self._encode_prompt(view, prompt_text(render))}
        if self.is_guided(render):
            embeds["negative_prompt_embeds"] = self._encode_prompt(view, render.negative_prompt or _UNWANTED)
        return embeds

    def preview_latents(self, clean: Any, canvas: Canvas) -> Any:
        """See `DiffusionModel.preview_latents`. Four moments of the clip, from left to right and top to bottom.

        The first frame is not among them: the photo takes its place when everything is drawn.
        """
        import torch

        config = self.pipe.vae.config
        mean, deviation = (
            torch.tensor(row).to(clean)[:, None, None, None] for row in (config.latents_mean, config.latents_std)
        )
        frames = clean[0] * deviation + mean
        last = frames.shape[1] - 1
        moments = torch.linspace(min(1, last), last, _SHOWN_MOMENTS).round().long().tolist()
        tiles = [frames[:, n] for n in moments]
        rows = [torch.cat(tiles[n : n + 2], dim=2) for n in range(0, _SHOWN_MOMENTS, 2)]
        return torch.cat(rows, dim=1)

    def model_notices(self, render: RenderRequest) -> tuple[str, ...]:
        count = len(self.pipe.tokenizer(_collapse_whitespace(prompt_text(render)))["input_ids"])
        if count <= _MAX_WORD_TOKENS:
            return ()
        return (f"Too many words: the model reads the first {_MAX_WORD_TOKENS} word parts and no further.",)

    def _run_pipeline(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[list[Image]]:
        """See `DiffusionModel`. The last step is told again for each latent frame that is decoded: Stop works there."""
        last: list[ModelStep] = []

        def report_and_keep_steps(steps: Sequence[ModelStep]) -> None:
            last[:] = steps
            on_step(steps)

        hook = self.pipe.vae.decoder.register_forward_pre_hook(lambda *_: on_step(last))
        try:
            return super()._run_pipeline(renders, report_and_keep_steps)
        finally:
            hook.remove()

    def _embed_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> Mapping[str, Any]:
        embeds = super()._embed_prompt(view, render, canvas)
        return {name: rows.repeat_interleave(len(render.seeds), dim=0) for name, rows in embeds.items()}

    def _encode_prompt(self, view: Any, words: str) -> Any:
        """Embed words as the pipeline does, without the package ftfy, which it takes for granted: 1 x 512 x C."""
        read = view.tokenizer(
            [_collapse_whitespace(words)],
            padding="max_length",
            max_length=_MAX_WORD_TOKENS,
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        )
        mask = read.attention_mask.to(self._device)
        states = view.text_encoder(read.input_ids.to(self._device), mask).last_hidden_state
        return states * mask[..., None].to(states)  # zeros behind the words


def _collapse_whitespace(words: str) -> str:
    return " ".join(words.split())


WAN_FAMILY = CheckpointFamily(WanModel, (WAN, *WAN_LIGHTER))
