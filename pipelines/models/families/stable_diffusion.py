"""Stable Diffusion and SDXL: their model specs, and how their pipelines differ from those of other families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import ControlKind, RenderRequest
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import (
    DiffusionModel,
    PromptEmbeds,
    effective_verb,
    mask_image,
    prompt_text,
    size_arguments,
    start_image,
    to_pillow,
)
from pipelines.models.diffusion.resolution import Canvas
from pipelines.models.families.control_nets import SDXL_UNION
from pipelines.models.pinned_revisions import PINS

VERBS: tuple[Verb, ...] = ("backdrop", "text", "image", "inpaint")
VERBS_WITH_CONTROL: tuple[Verb, ...] = (*VERBS, "control")

_PREVIEW_DECODER = ("preview", "madebyollin/taesdxl")

_LCM_OPTIONS = (
    ("variant", "fp16"),
    ("adapter", "latent-consistency/lcm-lora-sdv1-5::pytorch_lora_weights.safetensors"),
    ("scheduler", "LCMScheduler"),
)

# `side`: the checkpoint was trained on pictures of side x side and draws well only at that area.
SD15_LCM = ModelSpec(
    id="sd15-lcm",
    family="stable_diffusion",
    verbs=VERBS,
    licence="OpenRAIL-M",
    repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
    revision=PINS["stable-diffusion-v1-5/stable-diffusion-v1-5"],
    defaults=(("num_inference_steps", 6), ("guidance_scale", 1.0), ("strength", 0.6), ("side", 512)),
    options=(
        *_LCM_OPTIONS,
        ("preview", "madebyollin/taesd"),
        ("on_cpu", "sd15-lcm-tiny"),
    ),
    dtype="auto",
    bytes=2 * (859_520_964 + 123_060_480 + 83_653_863),
    min_vram=4 * GB,
)
# On a processor the VAE takes longer than all steps, so the pictures come from the decoder of the previews.
SD15_LCM_TINY = replace(
    SD15_LCM,
    id="sd15-lcm-tiny",
    options=(*_LCM_OPTIONS, ("decoder", "madebyollin/taesd")),
    bytes=2 * (859_520_964 + 123_060_480 + 2_445_063),
)
SDXL = ModelSpec(
    id="sdxl",
    family="stable_diffusion",
    verbs=VERBS_WITH_CONTROL,
    licence="OpenRAIL++-M, control: Apache-2.0",
    repo="stabilityai/stable-diffusion-xl-base-1.0",
    revision=PINS["stabilityai/stable-diffusion-xl-base-1.0"],
    defaults=(("num_inference_steps", 30), ("guidance_scale", 5.0), ("strength", 0.6), ("side", 1024)),
    options=(("variant", "fp16"), _PREVIEW_DECODER),
    dtype="auto",
    bytes=2 * (2_567_463_684 + 123_060_480 + 694_659_840 + 83_653_863),
    min_vram=10 * GB,
    control_net=SDXL_UNION.id,
)
SDXL_LIGHTNING = replace(
    SDXL,
    id="sdxl-lightning",
    defaults=(("num_inference_steps", 4), ("guidance_scale", 0.0), ("strength", 0.6), ("side", 1024)),
    options=(
        ("variant", "fp16"),
        ("adapter", "ByteDance/SDXL-Lightning::sdxl_lightning_4step_lora.safetensors"),
        ("scheduler", "EulerDiscreteScheduler"),
        ("scheduler_config", '{"timestep_spacing": "trailing"}'),
        _PREVIEW_DECODER,
    ),
)
SDXL_TURBO = replace(
    SDXL,
    id="sdxl-turbo",
    verbs=VERBS,
    licence="Stability AI Non-Commercial Research Community",
    commercial_ok=False,
    repo="stabilityai/sdxl-turbo",
    revision=PINS["stabilityai/sdxl-turbo"],
    defaults=(("num_inference_steps", 2), ("guidance_scale", 0.0), ("strength", 0.6), ("side", 512)),
    min_vram=9 * GB,
    control_net="",
)

_EMBEDDING_NAMES = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_PIPELINE_SUFFIXES: Mapping[Verb, str] = {
    "text": "",
    "image": "Img2Img",
    "inpaint": "Inpaint",
    "control": "ControlNetUnion",
}
# The index of each control type, in the order in which ControlNetUnion was trained.
_CONTROL_MODES: Mapping[ControlKind, int] = {
    "pose": 0, "depth": 1, "soft-edges": 2, "edges": 3, "normal": 4, "segments": 5,
}  # fmt: skip


class StableDiffusionModel(DiffusionModel):
    """A Stable Diffusion or SDXL checkpoint, without its safety checker: the content filter checks all images."""

    pipeline_classes = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
    omitted_components = {
        **dict.fromkeys(("feature_extractor", "image_encoder", "safety_checker")),
        "requires_safety_checker": False,
    }

    def pipeline_class(self, verb: Verb) -> str:
        return f"{type(self.pipe).__name__.removesuffix('Pipeline')}{_PIPELINE_SUFFIXES[verb]}Pipeline"

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        verb = effective_verb(render)
        if verb == "text":
            return size_arguments(canvas)
        if verb == "control":
            assert render.control is not None
            image = to_pillow(canvas.pad_onto(render.control))
            mode = _CONTROL_MODES[render.control_kind]
            return {**size_arguments(canvas), "control_image": [image], "control_mode": [mode]}
        inputs = {"image": start_image(render, canvas), "strength": self.effective_strength(render)}
        if verb == "image":
            return inputs
        return {**inputs, **size_arguments(canvas), "mask_image": mask_image(render, canvas)}

    def is_guided(self, render: RenderRequest) -> bool:
        """See `DiffusionModel.is_guided`. A UNet that was distilled with guidance needs no negative prompt."""
        return self.guidance_scale(render) > 1 and self.pipe.unet.config.time_cond_proj_dim is None

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        import torch

        tensors = view.encode_prompt(
            prompt=prompt_text(render),
            device=torch.device(self._device),
            num_images_per_prompt=1,
            do_classifier_free_guidance=self.is_guided(render),
            negative_prompt=render.negative_prompt or None,
        )
        return {name: tensor for name, tensor in zip(_EMBEDDING_NAMES, tensors, strict=False) if tensor is not None}

    def model_notices(self, render: RenderRequest) -> tuple[str, ...]:
        """See `DiffusionModel.model_notices`. CLIP reads the first 75 tokens."""
        max_tokens = self.pipe.tokenizer.model_max_length
        if len(self.pipe.tokenizer(prompt_text(render), verbose=False).input_ids) <= max_tokens:
            return ()
        return (f"Too many words: the model reads the first {max_tokens - 2} word parts and no further.",)


STABLE_DIFFUSION_FAMILY = CheckpointFamily(
    StableDiffusionModel, (SD15_LCM, SD15_LCM_TINY, SDXL, SDXL_LIGHTNING, SDXL_TURBO)
)
