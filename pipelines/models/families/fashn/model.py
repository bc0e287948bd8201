"""FASHN VTON 1.5: dresses the person of a photo in the garment of another one; its model specs and how it draws.

Its authors (github.com/fashn-AI/fashn-vton-1.5, 2026) draw with a mask from a parser of people, or without one; here
it is without, from a garment that lies flat or was cut out, so that no parser is needed. It draws 576 x 864 pixels and
nothing is encoded, so that the estimate of a step is the picture itself. The pose of the person comes with the request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.errors import BadInput, ModelUnavailable, OutOfMemory
from pipelines.core.geometry import Image
from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.imaging.resize import resize_image, size_within
from pipelines.models import checkpoint, loading_progress
from pipelines.models.diffusion import loader
from pipelines.models.diffusion.pipeline import LOADING_LOCK
from pipelines.models.families.fashn.fitting import FittedFrame, shrink_to_read
from pipelines.models.families.fashn.network import (
    KIND_NUMBERS,
    TryOnInputs,
    TryOnLayout,
    build_network,
    schedule_times,
)
from pipelines.models.families.hub_nets import HubNetFamily
from pipelines.models.one_module import OneModuleModel
from pipelines.models.pinned_revisions import PINS

if TYPE_CHECKING:
    import torch

VERBS: tuple[Verb, ...] = ("tryon",)
_VALUE_COUNT = 971_814_240
_TIME_SHIFT = 1.5
_PREVIEW_SIDE_PX = 512

FASHN_VTON = ModelSpec(
    id="fashn-vton-1.5",
    family="fashn",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="fashn-ai/fashn-vton-1.5",
    revision=PINS["fashn-ai/fashn-vton-1.5"],
    # Its authors give 20, 30 and 50 steps as fast, balanced and good. 576 x 864 has the area of 705 squared.
    defaults=(("num_inference_steps", 30), ("guidance_scale", 1.5), ("side", 705)),
    options=(("files", "model.safetensors"), ("text_encoder", "none")),
    dtype="auto-bfloat16",
    bytes=2 * _VALUE_COUNT,
    min_vram=4 * GB,
)
DWPOSE = ModelSpec(
    id="dwpose",
    family="dwpose",
    verbs=(),
    licence="Apache-2.0",
    repo="yzd-v/DWPose",
    revision=PINS["yzd-v/DWPose"],
    options=(("files", "dw-ll_ucoco_384.onnx"), ("runs_on", "cpu")),
    bytes=134_399_116,
)


class TryOnModel(OneModuleModel):
    """The loaded network. Several threads may draw at once."""

    def __init__(self, spec: ModelSpec, layout: TryOnLayout, network: Any, device: str) -> None:
        super().__init__(spec, network, device)
        self.layout = layout
        self._defaults = dict(spec.defaults)

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        """Draw one picture per seed: `images[0]` is the person, `images[1]` the garment, `control` the person's pose.

        What `on_step` raises ends the drawing within the step and leaves the model usable. Raises `BadInput` for a
        missing picture or a LoRA, `ModelUnavailable` for another verb or numbers that are no picture, torch's own error
        when out of memory.
        """
        import torch

        if render.verb not in self.spec.verbs:
            raise ModelUnavailable(f"Model {self.spec.id} cannot serve '{render.verb}'.")
        if render.adapters:
            raise BadInput("The model in use takes no style file (LoRA).", param="adapter")
        if len(render.images) != 2 or render.control is None or render.garment_kind not in KIND_NUMBERS:
            raise BadInput("This needs a person, the person's pose, a garment and its kind.")
        with torch.inference_mode():
            return self._draw_each_seed(render, on_step)

    def _draw_each_seed(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        person, garment = (shrink_to_read(image) for image in render.images)
        frame = FittedFrame.fit_around(person, self.layout)
        inputs = self._make_inputs(render, frame, person, garment)
        steps = render.num_inference_steps or int(self._defaults["num_inference_steps"])
        pictures: list[Image] = []
        for n, seed in enumerate(render.seeds):

            def report_step(index: int, clean: torch.Tensor, done: int = n * steps) -> None:
                on_step(ModelStep(done + index, steps * len(render.seeds), lambda: _draw_preview(clean, frame)))

            drawn = self._sample(render, inputs, steps, seed, report_step)
            pictures.append(resize_image(frame.crop_to_picture(drawn), render.size))
        return RenderedImages(tuple(pictures))

    def _make_inputs(self, render: RenderRequest, frame: FittedFrame, person: Image, garment: Image) -> TryOnInputs:
        assert render.control is not None
        lying = FittedFrame.fit_around(garment, self.layout).lay_in(garment)
        pose = self._to_tensor(frame.lay_in(render.control, is_map=True))[:, :1]
        nobody = pose.new_full(pose.shape, -1.0)  # black: a garment that nobody wears has no pose
        kind = KIND_NUMBERS[render.garment_kind]
        return TryOnInputs(self._to_tensor(frame.lay_in(person)), pose, self._to_tensor(lying), nobody, kind)

    def _sample(
        self,
        render: RenderRequest,
        inputs: TryOnInputs,
        steps: int,
        seed: int,
        tell: Callable[[int, torch.Tensor], None],
    ) -> Image:
        """Go from noise to the picture in even steps along the predicted direction (Euler)."""
        import torch

        scale = self._defaults["guidance_scale"] if render.guidance_scale is None else render.guidance_scale
        # Noise from the CPU's generator is the same on every device.
        noise = torch.randn(inputs.person.shape, generator=torch.Generator().manual_seed(seed))
        picture = noise.to(inputs.person)
        times = schedule_times(steps, _TIME_SHIFT)
        for index in range(steps):
            time, next_time = times[index : index + 2]
            velocity = self.module(picture, time, inputs).float()
            if scale != 1 and index < steps - 1:  # guidance in the last step would make colours too strong
                free = self.module(picture, time, None).float()
                velocity = free + scale * (velocity - free)
            clean = picture + (1 - time) * velocity
            if not clean.isfinite().all():
                raise ModelUnavailable(
                    f"Model {self.spec.id} computed no picture on {self._device}: the numbers left the range of "
                    f"{self.spec.dtype} while it was drawn. Choose another set of models, or report this with the "
                    "name of the graphics card."
                )
            tell(index + 1, clean)
            picture = picture + (next_time - time) * velocity
        return _to_image(picture)

    def _to_tensor(self, image: Image) -> torch.Tensor:
        """Convert H x W x 3 to 1 x 3 x H x W, float32, -1 to 1."""
        import torch

        return torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(127.5) - np.float32(1)).to(self._device)


class FashnFamily:
    """The checkpoints of FASHN VTON, each one file without a configuration. Tests give it `specs` of their own.

    The option `layout` has sizes that differ from those of the published network, in JSON.
    """

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self.specs = specs

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Compute the bytes of the weights from the file headers; downloads what is not here."""
        return checkpoint.compute_loaded_bytes(loader.ensure_checkpoint(spec).weights["model"], spec.dtype)

    def load(self, spec: ModelSpec, device: str) -> TryOnModel:
        """Load the checkpoint to `device`. Raises `ModelUnavailable` or `OutOfMemory`."""
        import torch

        files = loader.ensure_checkpoint(spec)
        layout = replace(TryOnLayout(), **json.loads(dict(spec.options).get("layout", "{}")))
        loading_progress.report_part(0, 1)
        try:
            network = _load_network(files.weights["model"][0], layout, spec, device)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(f"There was not enough memory on {device} to load model {spec.id}.") from error
        return TryOnModel(loader.with_loaded_revision(spec, files.folder), layout, network, device)


def _load_network(path: Path, layout: TryOnLayout, spec: ModelSpec, device: str) -> Any:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with LOADING_LOCK, torch.device("meta"):
        network = build_network(layout)
    try:
        network.load_state_dict(load_file(path, device=device), assign=True)
    except (RuntimeError, SafetensorError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ModelUnavailable(f"{path.name} is not the network that this version knows.") from error
    return network.to(getattr(torch, spec.dtype)).eval()


def _draw_preview(clean: torch.Tensor, frame: FittedFrame) -> Image:
    picture = frame.crop_to_picture(_to_image(clean))
    return resize_image(picture, size_within(picture.shape, _PREVIEW_SIDE_PX))


def _to_image(picture: torch.Tensor) -> Image:
    """Convert 1 x 3 x H x W, -1 to 1, to H x W x 3."""
    import torch

    pixels = ((picture[0].clamp(-1, 1) + 1) * 127.5).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


FASHN_FAMILY = FashnFamily((FASHN_VTON,))
DWPOSE_FAMILY = HubNetFamily((DWPOSE,), "pipelines.models.families.fashn.whole_body_pose:DWPose")
