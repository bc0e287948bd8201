"""Draws with a loaded Stable Diffusion or SDXL checkpoint: text, image, inpaint; knows neither hub nor cache nor jobs.

Each drawing builds a view of its verb's pipeline class on the shared weights with a scheduler of its own, so that any
number of threads may draw at once. A view is made from the class's own signature, components and config alike.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pipelines.models import preview
from pipelines.types import (
    BadInput,
    Image,
    Images,
    ModelSpec,
    ModelStep,
    ModelUnavailable,
    OutOfMemory,
    Render,
    Size,
    Verb,
)

if TYPE_CHECKING:
    import torch

VERBS: tuple[Verb, ...] = ("backdrop", "text", "image", "inpaint")

_EMBEDS = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")


class Painter:
    """A loaded checkpoint. Safe from several threads: what they share is never changed after loading."""

    def __init__(self, spec: ModelSpec, pipe: Any, factors: preview.Factors | None, device: str) -> None:
        import torch

        self.spec = spec
        self.pipe: Any = pipe
        self._factors = factors
        self._device = device
        self._defaults = dict(spec.defaults)
        self._embeds: OrderedDict[tuple[object, ...], dict[str, torch.Tensor]] = OrderedDict()
        self._lock = threading.Lock()
        # In float16 SDXL's pipelines cast the shared VAE to float32 and back, so there one thread draws at a time.
        upcasts = pipe.vae.dtype == torch.float16 and pipe.vae.config.get("force_upcast", False)
        self._alone = threading.Lock() if upcasts else contextlib.nullcontext()

    def draw(self, render: Render, on_step: Callable[[ModelStep], None]) -> Images:
        """One picture per seed, at `render.size`, drawn at the checkpoint's own area and enlarged or shrunk to it.

        `backdrop` is `text`. `image` starts from `images[0]`; `inpaint` redraws where `mask` is 1 and leaves the bytes
        of `images[0]` where it is 0. What `on_step` raises ends the drawing within the step and leaves the model clean.
        Raises `BadInput` for a missing picture or mask, `ModelUnavailable` for another verb, `OutOfMemory`.
        """
        if (kept := _own_backdrop(render)) is not None:
            return kept
        _check(render, self.spec)
        with self._alone:
            drawn = self._draw_within_memory(render, on_step)
        return Images(tuple(_finished(picture, render) for picture in drawn), self._notices(render))

    def close(self) -> None:
        """Give the memory back."""
        import torch

        self.pipe = None
        self._embeds.clear()
        gc.collect()
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def view(self, verb: Verb, scheduler: Any) -> Any:
        """The pipeline class of `verb` on the shared weights, with this scheduler."""
        kind = _view_classes(self.pipe)[verb]
        wanted = inspect.signature(kind.__init__).parameters
        parts = {**self.pipe.config, **self.pipe.components, "scheduler": scheduler, "add_watermarker": False}
        view = kind(**{name: part for name, part in parts.items() if name in wanted})
        view.set_progress_bar_config(disable=True)
        return view

    # ------------------------------------------------------------ private

    def _draw_within_memory(self, render: Render, on_step: Callable[[ModelStep], None]) -> list[Image]:
        """All seeds in one call; when that is too much for the device, one by one."""
        import torch

        try:
            return self._call(render, on_step)
        except torch.OutOfMemoryError:
            pass
        try:
            return [self._call(replace(render, seeds=(seed,)), on_step)[0] for seed in render.seeds]
        except torch.OutOfMemoryError as error:
            raise OutOfMemory("The device ran out of memory, even one picture at a time.") from error

    def _call(self, render: Render, on_step: Callable[[ModelStep], None]) -> list[Image]:
        """One call of a pipeline; pictures at the drawn size."""
        import torch

        tap = preview.Tap(self.pipe.scheduler)
        view = self.view(_verb(render), tap.scheduler)

        def on_step_end(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            on_step(ModelStep(index + 1, pipe.num_timesteps, self._preview(tap)))
            return tensors

        try:
            drawn = view(
                **self._inputs(render),
                **self._embed(view, render),
                num_images_per_prompt=len(render.seeds),
                # Noise from the CPU's generator is the same on every device.
                generator=[torch.Generator().manual_seed(seed) for seed in render.seeds],
                num_inference_steps=self._steps(render),
                guidance_scale=self._guidance(render),
                callback_on_step_end=on_step_end,
                output_type="np",
            ).images
        finally:
            view.maybe_free_model_hooks()
        return [(picture * 255).round().astype(np.uint8) for picture in drawn]

    def _preview(self, tap: preview.Tap) -> Callable[[], Image] | None:
        """The first picture's clean estimate, made only when somebody asks for it."""
        clean = tap.clean
        if clean is None:
            return None
        if self._factors is None:
            return lambda: preview.decoded(clean()[0], self.pipe.vae)
        factors = self._factors
        return lambda: preview.linear(clean()[0], factors)

    def _inputs(self, render: Render) -> dict[str, Any]:
        """What the pipeline of the verb takes apart from words and noise."""
        size = drawn_size(render.size, int(self._defaults["side"]))
        verb = _verb(render)
        sides = {"width": size[0], "height": size[1]}
        if verb == "text":
            return sides
        start = {"image": _pillow(cover(_start(render), size)), "strength": self._strength(render)}
        if verb == "image":
            return start
        assert render.mask is not None
        mask = _pillow((cover(render.mask, size) * 255).round().astype(np.uint8))
        return {**start, **sides, "mask_image": mask}

    def _embed(self, view: Any, render: Render) -> dict[str, torch.Tensor]:
        """The words as the text encoders read them; the last 32 are kept, since a tab asks for the same words again."""
        import torch

        guided = self._guidance(render) > 1 and view.unet.config.time_cond_proj_dim is None
        key = (words(render), render.negative_prompt, guided)
        with self._lock:
            if key in self._embeds:
                self._embeds.move_to_end(key)
                return self._embeds[key]
        with torch.no_grad():
            tensors = view.encode_prompt(
                prompt=words(render),
                device=torch.device(self._device),
                num_images_per_prompt=1,
                do_classifier_free_guidance=guided,
                negative_prompt=render.negative_prompt or None,
            )
        embeds = {name: tensor for name, tensor in zip(_EMBEDS, tensors, strict=False) if tensor is not None}
        with self._lock:
            self._embeds[key] = embeds
            while len(self._embeds) > 32:
                self._embeds.popitem(last=False)
        return embeds

    def _steps(self, render: Render) -> int:
        """At least one step is left after `strength` has skipped its share."""
        steps = render.num_inference_steps or int(self._defaults["num_inference_steps"])
        return steps if _verb(render) == "text" else max(steps, math.ceil(1 / self._strength(render)))

    def _guidance(self, render: Render) -> float:
        return self._defaults["guidance_scale"] if render.guidance_scale is None else render.guidance_scale

    def _strength(self, render: Render) -> float:
        strength = self._defaults["strength"] if render.strength is None else render.strength
        return float(np.clip(strength, 0.01, 1.0))

    def _notices(self, render: Render) -> tuple[str, ...]:
        read = self.pipe.tokenizer.model_max_length
        if len(self.pipe.tokenizer(words(render), verbose=False).input_ids) <= read:
            return ()
        return (f"The model reads the first {read - 2} tokens of a prompt; the words after them had no effect.",)


def is_tiny(vae: Any) -> bool:
    """Whether the decoder is cheap enough to make the previews too."""
    return type(vae).__name__ == "AutoencoderTiny"


def _view_classes(pipe: Any) -> Mapping[Verb, Any]:
    """The pipeline class of each verb, for the flavour that was loaded."""
    import diffusers

    stem = type(pipe).__name__.removesuffix("Pipeline")
    names: dict[Verb, str] = {"text": "", "image": "Img2Img", "inpaint": "Inpaint"}
    return {verb: getattr(diffusers, f"{stem}{name}Pipeline") for verb, name in names.items()}


# ---------------------------------------------------------------- pictures and words


def drawn_size(size: Size, side: int) -> Size:
    """The size to draw at for a picture of `size`: its shape, the area side x side, whole multiples of 8."""
    scale = side / math.sqrt(size[0] * size[1])
    return max(8, round(size[0] * scale / 8) * 8), max(8, round(size[1] * scale / 8) * 8)


def cover(picture: Any, size: Size) -> Any:
    """`picture` (H x W or H x W x 3) scaled to cover `size` and cut to it around its centre; untouched if it fits."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = max(size[0] / width, size[1] / height)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4
    grown = cv2.resize(
        picture, (max(size[0], round(width * scale)), max(size[1], round(height * scale))), None, 0, 0, kind
    )
    top, left = (grown.shape[0] - size[1]) // 2, (grown.shape[1] - size[0]) // 2
    cut = grown[top : top + size[1], left : left + size[0]]
    return np.clip(cut, 0, 1) if picture.dtype == np.float32 else cut


def words(render: Render) -> str:
    """The prompt; a backdrop without one is asked for by its scene's name, and always without people."""
    backdrop = render.backdrop
    if render.verb != "backdrop" or backdrop is None:
        return render.prompt
    scene = render.prompt or backdrop.scene.replace("-", " ") or "plain photo studio"
    # A blur of 0 leaves it to the scene: behind a person that is a lens wide open.
    soft = backdrop.blur > 0.03 or (backdrop.blur == 0 and backdrop.subject == "person")
    return f"{scene}, empty background photograph without people{', out of focus' if soft else ''}"


def _verb(render: Render) -> Verb:
    if render.verb != "backdrop":
        return render.verb
    return "text" if render.backdrop is None or render.backdrop.picture is None else "image"


def _start(render: Render) -> Image:
    """The picture to start from."""
    own = render.backdrop.picture if render.backdrop is not None else None
    return own if own is not None else render.images[0]


def _own_backdrop(render: Render) -> Images | None:
    """My backdrop stays as it is unless a strength was asked for: it is the user's own picture."""
    own = render.backdrop.picture if render.backdrop is not None else None
    if own is None or render.verb != "backdrop" or render.strength is not None:
        return None
    return Images((cover(own, render.size),) * len(render.seeds), ("Your own backdrop was kept as it is.",))


def _check(render: Render, spec: ModelSpec) -> None:
    if render.verb not in VERBS:
        raise ModelUnavailable(f"Model {spec.id} cannot serve '{render.verb}'.")
    if render.verb in ("image", "inpaint") and not render.images:
        raise BadInput("This needs a picture to start from.")
    if render.verb == "inpaint" and render.mask is None:
        raise BadInput("This needs a mask: paint over what is to be drawn anew.", param="mask")


def _finished(drawn: Image, render: Render) -> Image:
    """The picture at the size asked for; outside a mask the bytes of the picture it started from."""
    grown = cover(drawn, render.size)
    if render.verb != "inpaint" or render.mask is None:
        return grown
    alpha = cover(render.mask, render.size)[..., None]
    mixed = alpha * grown + (1 - alpha) * cover(render.images[0], render.size)
    return mixed.round().astype(np.uint8)


def _pillow(picture: Any) -> Any:
    from PIL import Image as Pillow

    return Pillow.fromarray(picture)
