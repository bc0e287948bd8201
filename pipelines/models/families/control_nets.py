"""ControlNets: models of their own in the cache, so that only a request that follows a map brings and loads them.

A model names its ControlNet by `ModelSpec.control_net`; `ModelCache.borrow_for_verb` lends both together.

Options of a spec that are read here: `files` (see `loader`), `class` of diffusers, and `layout`, the configuration in
JSON where the file comes without one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models import checkpoint
from pipelines.models.diffusion import loader
from pipelines.models.diffusion.pipeline import LOADING_LOCK
from pipelines.models.one_module import OneModuleModel
from pipelines.models.pinned_revisions import PINS

SDXL_UNION = ModelSpec(
    id="sdxl-union",
    family="control_net",
    verbs=(),
    licence="Apache-2.0",
    repo="xinsir/controlnet-union-sdxl-1.0",
    revision=PINS["xinsir/controlnet-union-sdxl-1.0"],
    options=(("files", "config.json,diffusion_pytorch_model.safetensors"), ("class", "ControlNetUnionModel")),
    dtype="auto",
    bytes=2 * 1_255_000_000,
)
Z_IMAGE_UNION = ModelSpec(
    id="z-image-union",
    family="control_net",
    verbs=(),
    licence="Apache-2.0",
    repo="alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union",
    revision=PINS["alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union"],
    options=(
        ("files", "Z-Image-Turbo-Fun-Controlnet-Union.safetensors"),
        ("class", "ZImageControlNetModel"),
        # The configuration of the first Union ControlNet, which its file does not contain.
        ("layout", '{"control_layers_places": [0, 5, 10, 15, 20, 25], "control_in_dim": 16}'),
    ),
    dtype="auto-bfloat16",
    bytes=3_101_000_000,
)
# Fifteen blocks beside the transformer's thirty, and two beside its refiner; it also takes a mask and a picture.
Z_IMAGE_UNION_2_1 = replace(
    Z_IMAGE_UNION,
    id="z-image-union-2.1",
    repo="alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1",
    revision=PINS["alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1"],
    options=(
        ("files", "Z-Image-Turbo-Fun-Controlnet-Union-2.1-2602-8steps.safetensors"),
        ("class", "ZImageControlNetModel"),
        (
            "layout",
            '{"control_layers_places": [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28], '
            '"control_refiner_layers_places": [0, 1], "control_in_dim": 33, '
            '"add_control_noise_refiner": "control_noise_refiner"}',
        ),
    ),
    bytes=6_712_451_584,
)


class ControlNetFamily:
    """The ControlNets. Tests give it `specs` of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self.specs = specs

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Compute the bytes of the weights from the file headers; downloads what is not here."""
        return checkpoint.compute_loaded_bytes(loader.ensure_checkpoint(spec).weights["model"], spec.dtype)

    def load(self, spec: ModelSpec, device: str) -> OneModuleModel:
        """Load the ControlNet to `device`; a view of its model takes its `module`. Raises `ModelUnavailable`."""
        import diffusers

        options = dict(spec.options)
        files, kind = loader.ensure_checkpoint(spec), getattr(diffusers, options["class"])
        if "layout" in options:
            module = _load_single_file(kind, files.weights["model"][0], json.loads(options["layout"]), spec, device)
        else:
            with LOADING_LOCK:
                module = kind.from_pretrained(files.folder, **loader.loading_arguments(spec, device))
        if device == "cpu":
            loader.use_cpu_layers(module)
        return OneModuleModel(loader.with_loaded_revision(spec, files.folder), module, device)


def _load_single_file(kind: Any, path: Path, layout: dict[str, Any], spec: ModelSpec, device: str) -> Any:
    import torch
    from accelerate import init_empty_weights
    from safetensors.torch import load_file

    with LOADING_LOCK, init_empty_weights(include_buffers=False):
        net = kind(**layout)
    weights = load_file(path, device=device)  # out of memory is no fault of the file
    try:
        net.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ModelUnavailable(f"{path.name} is not the ControlNet that this version knows.") from error
    return net.to(getattr(torch, spec.dtype)).eval()


CONTROL_NETS = ControlNetFamily((SDXL_UNION, Z_IMAGE_UNION, Z_IMAGE_UNION_2_1))
