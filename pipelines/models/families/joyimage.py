"""JoyAI-Image-Edit: its model specs, and how its diffusers pipeline differs from those of other families.

It edits a photo by words and, in the words of its authors, turns an object to one of its sides. The pipeline draws at
one of some fifty sizes of about a megapixel and crops the photo to it, which is therefore padded to it first. It draws
the photo's latents from the autoencoder's distribution with whatever numbers come next; here they are its mean, so that
the same seed gives the same picture. It has no way to load a LoRA and reads one picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Any

from pipelines.core.geometry import Size
from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.lighter_rows import make_lighter_rows
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel, PromptEmbeds, prompt_text, size_arguments, to_pillow
from pipelines.models.diffusion.resolution import Canvas, plan_fixed_area_canvas
from pipelines.models.pinned_revisions import PINS

VERBS: tuple[Verb, ...] = ("edit",)
_VAE_BYTES = 2 * 126_892_531
_DRAWING_BYTES = 2 * 16_263_675_968 + _VAE_BYTES
_TEXT_ENCODER_BYTES = 2 * 8_767_123_696  # Qwen3-VL 8B with its vision encoder
_TEXT_ENCODER_INT8_BYTES = 10_025_514_256
_BUCKET_PX = 1024  # the pipeline's list of sizes
_MAX_WORD_TOKENS = 4096  # as the pipeline has it, those of the picture among them

JOYIMAGE = ModelSpec(
    id="joyai-image-edit",
    family="joyimage",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="jdopensource/JoyAI-Image-Edit-Diffusers",
    revision=PINS["jdopensource/JoyAI-Image-Edit-Diffusers"],
    defaults=(("num_inference_steps", 40), ("guidance_scale", 4.0), ("side", 1024)),
    options=(("lighter", "joyai-image-edit-int8"),),
    reads_one_picture=True,
    dtype="auto-bfloat16",
    bytes=_DRAWING_BYTES + _TEXT_ENCODER_BYTES,
    min_vram=56 * GB,
)
JOYIMAGE_LIGHTER = make_lighter_rows(
    JOYIMAGE,
    _TEXT_ENCODER_BYTES,
    {"int8": 48 * GB, "streamed": 40 * GB, "offloaded": 16 * GB},
    int8_bytes=_TEXT_ENCODER_INT8_BYTES,
    vae_bytes=_VAE_BYTES,
)


class JoyImageModel(DiffusionModel):
    """JoyAI-Image-Edit. `images[0]` is edited."""

    pipeline_classes = ("JoyImageEditPipeline",)
    size_multiple = 64
    draws_exclusively = True  # its autoencoder, made for video, caches the previous frame
    takes_lora = False

    def __init__(self, spec: ModelSpec, pipe: Any, device: str, **previews: Any) -> None:
        super().__init__(spec, pipe, device, **previews)
        use_mean_latents(pipe.vae)

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """See `DiffusionModel.canvas_for`. It is one of the pipeline's sizes."""
        from diffusers.pipelines.joyimage import image_processor

        def sides_of(ratio: float) -> Size:
            height, width = image_processor.find_best_bucket(1, ratio, _BUCKET_PX)  # pyrefly: ignore[bad-argument-type]
            return width, height

        return plan_fixed_area_canvas(render.size, sides_of)

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        return {**size_arguments(canvas), "image": to_pillow(canvas.pad_onto(render.images[0]))}

    def prompt_key(self, render: RenderRequest) -> Hashable:
        """See `DiffusionModel.prompt_key`. The text encoder reads the photo too."""
        return super().prompt_key(render), render.size, hashlib.sha256(render.images[0].tobytes()).digest()

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        photo = to_pillow(canvas.pad_onto(render.images[0]))
        embeds = self._encode_prompt(view, prompt_text(render), photo, "")
        if self.is_guided(render):
            embeds |= self._encode_prompt(view, render.negative_prompt, photo, "negative_")
        return embeds

    def preview_latents(self, clean: Any, canvas: Canvas) -> Any:
        """See `DiffusionModel.preview_latents`. Of photo and picture, the latter, as one frame."""
        return self.pipe.denormalize_latents(clean[0, -1:])[0, :, 0]

    def model_notices(self, render: RenderRequest) -> tuple[str, ...]:
        return ("This model reads one picture: the other ones had no effect.",) if len(render.images) > 1 else ()

    def _encode_prompt(self, view: Any, words: str, photo: Any, prefix: str) -> dict[str, Any]:
        import torch

        embeds, mask = view.encode_prompt_multiple_images(
            prompt=[words], images=photo, device=torch.device(self._device), max_sequence_length=_MAX_WORD_TOKENS
        )
        return {f"{prefix}prompt_embeds": embeds, f"{prefix}prompt_embeds_mask": mask}


def use_mean_latents(vae: Any) -> None:
    """Let what is sampled from the latents of a picture be their mean: the sampler would take torch's next numbers."""
    encode = vae.encode

    def encode_to_mean(*args: Any, **arguments: Any) -> Any:
        output = encode(*args, **arguments)
        latents = output.latent_dist
        latents.sample = lambda generator=None: latents.mode()
        return output

    vae.encode = encode_to_mean


JOYIMAGE_FAMILY = CheckpointFamily(JoyImageModel, (JOYIMAGE, *JOYIMAGE_LIGHTER))
