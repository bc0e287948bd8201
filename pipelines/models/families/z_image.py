"""Z-Image Turbo: its rows, and what its pipelines want; knows no drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
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
from pipelines.models.pinned_revisions import PINS

GB = 10**9

VERBS: tuple[Verb, ...] = ("backdrop", "text", "image", "inpaint", "control")
_PIPELINE_SUFFIXES: Mapping[Verb, str] = {"text": "", "image": "Img2Img", "inpaint": "Inpaint", "control": "ControlNet"}

_TRANSFORMER_BYTES, _TEXT_ENCODER_BYTES, _VAE_BYTES, _CONTROLNET_BYTES = (
    2 * 6_154_908_736,
    2 * 4_022_468_096,
    2 * 83_819_683,
    3_100_000_000,
)
_TEXT_ENCODER_INT8_BYTES = 3_633_315_840 + 5 * 1_105_920 + 2 * 389_152_256  # the same encoder as klein's

Z_IMAGE = ModelSpec(
    id="z-image-turbo",
    family="z_image",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="Tongyi-MAI/Z-Image-Turbo",
    revision=PINS["Tongyi-MAI/Z-Image-Turbo"],
    # Nine steps are eight evaluations that matter: the last goes from almost nothing to nothing.
    defaults=(
        ("num_inference_steps", 9),
        ("guidance_scale", 0.0),
        ("strength", 0.7),
        ("side", 1024),
        ("side_min", 512),
    ),
    options=(
        (
            "controlnet",
            "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union::Z-Image-Turbo-Fun-Controlnet-Union.safetensors",
        ),
        ("preview", "madebyollin/taef1"),
        ("lighter", "z-image-turbo-int8"),
    ),
    dtype="auto",
    bytes=_TRANSFORMER_BYTES + _TEXT_ENCODER_BYTES + _VAE_BYTES + _CONTROLNET_BYTES,
    min_vram=30 * GB,
)
_BASE_OPTIONS = tuple(row for row in Z_IMAGE.options if row[0] != "lighter")
Z_IMAGE_INT8 = replace(
    Z_IMAGE,
    id="z-image-turbo-int8",
    options=(*_BASE_OPTIONS, ("text_encoder", "int8"), ("package", "torchao"), ("lighter", "z-image-turbo-streamed")),
    bytes=_TRANSFORMER_BYTES + _TEXT_ENCODER_INT8_BYTES + _VAE_BYTES + _CONTROLNET_BYTES,
    min_vram=25 * GB,
    download_bytes=Z_IMAGE.bytes,
)
Z_IMAGE_STREAMED = replace(
    Z_IMAGE,
    id="z-image-turbo-streamed",
    options=(*_BASE_OPTIONS, ("text_encoder", "streamed")),
    bytes=_TRANSFORMER_BYTES + _VAE_BYTES + _CONTROLNET_BYTES,
    min_vram=20 * GB,
    host_bytes=_TEXT_ENCODER_BYTES,
)

# The layout of the first Union, whose file says nothing of it.
_CONTROLNET_LAYOUT = {"control_layers_places": [0, 5, 10, 15, 20, 25], "control_in_dim": 16}


class ZImageModel(DiffusionModel):
    """Z-Image with its ControlNet, where the row has one."""

    size_multiple = 16

    def pipeline_class(self, verb: Verb) -> str:
        """As `Painter.class_of`."""
        return f"ZImage{_PIPELINE_SUFFIXES[verb]}Pipeline"

    def pipeline_inputs(self, render: RenderRequest, laid: Canvas) -> dict[str, Any]:
        """As `Painter.inputs`. The start is given once a seed, else its noise would be the first seed's for all."""
        verb = effective_verb(render)
        if verb == "text":
            return size_arguments(laid)
        if verb == "control":
            assert render.control is not None
            return {**size_arguments(laid), "control_image": to_pillow(laid.pad_onto(render.control))}
        begin = {
            **size_arguments(laid),
            "image": [start_image(render, laid)] * len(render.seeds),
            "strength": self.effective_strength(render),
        }
        return begin if verb == "image" else {**begin, "mask_image": mask_image(render, laid)}

    def is_guided(self, render: RenderRequest) -> bool:
        """As `Painter.is_guided`; Z-Image counts its scale from 0."""
        return self.guidance_scale(render) > 0

    def encode_prompt(self, view: Any, render: RenderRequest, laid: Canvas) -> PromptEmbeds:
        """As `Painter.read`. The lists are our own: the pipeline writes into those it is given."""
        import torch

        words_, unwanted = view.encode_prompt(
            prompt=[prompt_text(render)],
            device=torch.device(self._device),
            do_classifier_free_guidance=self.is_guided(render),
            negative_prompt=[render.negative_prompt],
        )
        return {"prompt_embeds": words_, "negative_prompt_embeds": unwanted}


def _load_controlnet(path: Path, common: Mapping[str, Any]) -> Any:
    """The ControlNet from a folder as diffusers writes it, or from the single file that its makers publish."""
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel

    kind: Any = ZImageControlNetModel
    return kind.from_pretrained(path, **common) if path.is_dir() else _load_single_file(kind, path, common)


def _load_single_file(kind: Any, path: Path, common: Mapping[str, Any]) -> Any:
    import torch
    from safetensors.torch import load_file

    with torch.device("meta"):
        net = kind(**_CONTROLNET_LAYOUT)
    try:
        net.load_state_dict(load_file(path, device=common["device_map"]), assign=True)
    except RuntimeError as error:
        raise ModelUnavailable(f"{path.name} is not the ControlNet that this version knows.") from error
    return net.to(common["dtype"]).eval()


class ZImageFamily(CheckpointFamily):
    """The family."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        super().__init__(specs, ZImageModel, ("ZImagePipeline",), load_control_net=_load_controlnet)


Z_IMAGE_FAMILY = ZImageFamily((Z_IMAGE, Z_IMAGE_INT8, Z_IMAGE_STREAMED))
