"""Z-Image Turbo: its rows, and what its pipelines want; knows no drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import Render
from pipelines.models.diffusion.loader import Checkpoints
from pipelines.models.diffusion.pipeline import Embeds, Painter, drawn_as, hole, pillow, sides, start, words
from pipelines.models.diffusion.resolution import Canvas
from pipelines.models.pinned_revisions import PINS

GB = 10**9

VERBS: tuple[Verb, ...] = ("backdrop", "text", "image", "inpaint", "control")
_CLASSES: Mapping[Verb, str] = {"text": "", "image": "Img2Img", "inpaint": "Inpaint", "control": "ControlNet"}

_TRANSFORMER, _TEXT, _VAE, _UNION = 2 * 6_154_908_736, 2 * 4_022_468_096, 2 * 83_819_683, 3_100_000_000
_TEXT_INT8 = 3_633_315_840 + 5 * 1_105_920 + 2 * 389_152_256  # the same encoder as klein's

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
    bytes=_TRANSFORMER + _TEXT + _VAE + _UNION,
    min_vram=30 * GB,
)
_WHOLE = tuple(row for row in Z_IMAGE.options if row[0] != "lighter")
Z_IMAGE_INT8 = replace(
    Z_IMAGE,
    id="z-image-turbo-int8",
    options=(*_WHOLE, ("text_encoder", "int8"), ("package", "torchao"), ("lighter", "z-image-turbo-streamed")),
    bytes=_TRANSFORMER + _TEXT_INT8 + _VAE + _UNION,
    min_vram=25 * GB,
    fetched=Z_IMAGE.bytes,
)
Z_IMAGE_STREAMED = replace(
    Z_IMAGE,
    id="z-image-turbo-streamed",
    options=(*_WHOLE, ("text_encoder", "streamed")),
    bytes=_TRANSFORMER + _VAE + _UNION,
    min_vram=20 * GB,
    beside=_TEXT,
)

# The layout of the first Union, whose file says nothing of it.
_UNION_LAYOUT = {"control_layers_places": [0, 5, 10, 15, 20, 25], "control_in_dim": 16}


class ZImagePainter(Painter):
    """Z-Image with its ControlNet, where the row has one."""

    multiple = 16

    def class_of(self, verb: Verb) -> str:
        """As `Painter.class_of`."""
        return f"ZImage{_CLASSES[verb]}Pipeline"

    def inputs(self, render: Render, laid: Canvas) -> dict[str, Any]:
        """As `Painter.inputs`. The start is given once a seed, else its noise would be the first seed's for all."""
        verb = drawn_as(render)
        if verb == "text":
            return sides(laid)
        if verb == "control":
            assert render.control is not None
            return {**sides(laid), "control_image": pillow(laid.lay(render.control))}
        begin = {**sides(laid), "image": [start(render, laid)] * len(render.seeds), "strength": self.strength(render)}
        return begin if verb == "image" else {**begin, "mask_image": hole(render, laid)}

    def is_guided(self, render: Render) -> bool:
        """As `Painter.is_guided`; Z-Image counts its scale from 0."""
        return self.guidance(render) > 0

    def read(self, view: Any, render: Render, laid: Canvas) -> Embeds:
        """As `Painter.read`. The lists are our own: the pipeline writes into those it is given."""
        import torch

        words_, unwanted = view.encode_prompt(
            prompt=[words(render)],
            device=torch.device(self._device),
            do_classifier_free_guidance=self.is_guided(render),
            negative_prompt=[render.negative_prompt],
        )
        return {"prompt_embeds": words_, "negative_prompt_embeds": unwanted}


def _union(path: Path, common: Mapping[str, Any]) -> Any:
    """The ControlNet from a folder as diffusers writes it, or from the single file that its makers publish."""
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel

    kind: Any = ZImageControlNetModel
    return kind.from_pretrained(path, **common) if path.is_dir() else _from_file(kind, path, common)


def _from_file(kind: Any, path: Path, common: Mapping[str, Any]) -> Any:
    import torch
    from safetensors.torch import load_file

    with torch.device("meta"):
        net = kind(**_UNION_LAYOUT)
    try:
        net.load_state_dict(load_file(path, device=common["device_map"]), assign=True)
    except RuntimeError as error:
        raise ModelUnavailable(f"{path.name} is not the ControlNet that this version knows.") from error
    return net.to(common["dtype"]).eval()


class ZImage(Checkpoints):
    """The family."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        super().__init__(specs, ZImagePainter, ("ZImagePipeline",), net=_union)


Z_IMAGE_FAMILY = ZImage((Z_IMAGE, Z_IMAGE_INT8, Z_IMAGE_STREAMED))
