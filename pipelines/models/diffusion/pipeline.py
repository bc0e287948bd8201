"""Draws with a loaded diffusers checkpoint of any family; knows neither hub nor cache nor jobs, nor which family it is.

Each drawing builds a view of its verb's pipeline class on the shared weights with a scheduler of its own, so that any
number of threads may draw at once. A view is made from the class's own signature, components and config alike. What
the pipelines of a family want otherwise, its painter says in the methods that stand first.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import inspect
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Image
from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.models import cpu_offload, latent_preview
from pipelines.models.diffusion.resolution import Canvas, plan_canvas, resize_to_cover
from pipelines.models.diffusion.vae_tiling import enable_tiled_decoding
from pipelines.models.lora import LoraSlots

if TYPE_CHECKING:
    import torch

PromptEmbeds = Mapping[str, Any]

_VERBS_FROM_IMAGE: tuple[Verb, ...] = ("image", "inpaint")
_LOW_MEMORY_TILE_PX = 512  # pixels: a quarter of the memory of a megapixel decoded at once, and seams no eye finds


class DiffusionModel:
    """A loaded checkpoint. Safe from several threads: what they share is changed only by adapters, which draw alone.

    extra: components that only some views take, such as a ControlNet. factors, decoder: how previews are made.
    """

    size_multiple: ClassVar[int] = 8
    # Whether a component keeps what it is doing in itself, so that drawings have to take turns.
    draws_exclusively: ClassVar[bool] = False

    def __init__(
        self,
        spec: ModelSpec,
        pipe: Any,
        device: str,
        *,
        preview_factors: latent_preview.ColourFactors | None = None,
        preview_decoder: Any = None,
        extra_components: Mapping[str, Any] | None = None,
    ) -> None:
        import torch

        self.spec = spec
        self.pipe: Any = pipe
        self._device = device
        self._preview_factors = preview_factors
        self._preview_decoder = preview_decoder
        self._extra_components = dict(extra_components or {})
        self._defaults = dict(spec.defaults)
        self._embeds: OrderedDict[Hashable, PromptEmbeds] = OrderedDict()
        self._lock = threading.Lock()
        self._lora_slots = LoraSlots(compiled="compile" in dict(spec.options))
        self._thread_state = threading.local()
        # In float16 SDXL's pipelines cast the shared VAE to float32 and back, so there one thread draws at a time.
        upcasts = pipe.vae.dtype == torch.float16 and pipe.vae.config.get("force_upcast", False)
        self._draw_lock = threading.Lock() if upcasts or self.draws_exclusively else contextlib.nullcontext()

    # ------------------------------------------------------------ what a family says otherwise

    def pipeline_class(self, verb: Verb) -> str:
        """The name of the diffusers pipeline class that serves `verb`, on the components that were loaded."""
        raise NotImplementedError

    def pipeline_inputs(self, render: RenderRequest, laid: Canvas) -> dict[str, Any]:
        """What the pipeline of the verb takes apart from words, noise, steps and guidance."""
        raise NotImplementedError

    def encode_prompt(self, view: Any, render: RenderRequest, laid: Canvas) -> PromptEmbeds:
        """The words as the text encoder reads them, by argument name; called once for the same `reading`."""
        raise NotImplementedError

    def prompt_key(self, render: RenderRequest) -> Hashable:
        """What `read` depends on."""
        return prompt_text(render), render.negative_prompt, self.is_guided(render)

    def is_guided(self, render: RenderRequest) -> bool:
        """Whether the pipeline compares with a negative prompt, at twice the time."""
        return self.guidance_scale(render) > 1

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """Where the picture lies on what is drawn."""
        most = int(self._defaults["side"])
        least = int(self._defaults.get("side_min", most))
        return plan_canvas(render.size, max_side=most, min_side=least, multiple=self.size_multiple)

    def guidance_arguments(self, render: RenderRequest) -> dict[str, Any]:
        """The pipeline's argument for guidance."""
        return {"guidance_scale": self.guidance_scale(render)}

    def preview_latents(self, clean: torch.Tensor, laid: Canvas) -> torch.Tensor:
        """The first picture's clean estimate, C x h x w, in the space that preview factors are fitted in."""
        return clean[0]

    def model_notices(self, render: RenderRequest) -> tuple[str, ...]:
        """What the model had to say about the order."""
        return ()

    # ------------------------------------------------------------ what is the same for all

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        """One picture per seed, at `render.size`, drawn at a size the checkpoint draws well and scaled to it.

        `backdrop` is `text`. `image` starts from `images[0]`; `inpaint` redraws where `mask` is 1 and leaves the bytes
        of `images[0]` where it is 0; `edit` changes `images[0]` as the words say, the other images being references;
        `control` follows the map `control`. `adapters` are worn for this drawing alone. What `on_step` raises ends the
        drawing within the step and leaves the model clean. Raises `BadInput` for a missing picture or mask,
        `ModelUnavailable` for a verb that the spec has not; where memory gives out, torch's own error (see `thrift`).
        """
        if (kept := _unchanged_backdrop(render)) is not None:
            return kept
        _check_request(render, self.spec)
        with self._draw_lock, self._lora_slots.applied(self.pipe, render.adapters):
            (drawn,) = self._run_pipeline([render], lambda steps: on_step(steps[0]))
        return self._finish_images(render, drawn)

    def batch_key(self, render: RenderRequest) -> tuple[Hashable, int] | None:
        """As `Joining.alike`: words alone. Whoever gives a picture, to edit or to follow, is drawn alone."""
        if _unchanged_backdrop(render) is not None or effective_verb(render) != "text":
            return None
        _check_request(render, self.spec)
        sides_ = self.canvas_for(render).padded_size
        guided = self.is_guided(render)
        tokens = max(1, sides_[0] * sides_[1] // 256) * (2 if guided else 1)
        return (sides_, self._step_count(render), self.guidance_scale(render), render.adapters), tokens

    def draw_batch(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[RenderedImages]:
        """As `Joining.draw_all`."""
        with self._draw_lock, self._lora_slots.applied(self.pipe, renders[0].adapters):
            drawn = self._run_pipeline(renders, on_step)
        return [self._finish_images(render, pictures) for render, pictures in zip(renders, drawn, strict=True)]

    @contextlib.contextmanager
    def low_memory(self) -> Iterator[None]:
        """What this thread draws meanwhile is decoded in small tiles: a view's own copy of the VAE, weights shared."""
        self._thread_state.low_memory = True
        try:
            yield
        finally:
            self._thread_state.low_memory = False

    def to_host(self) -> None:
        """Weights to main memory; see `Movable`. What was read of prompts stays, a few megabytes."""
        cpu_offload.move_to_host(self._offloadable_components())

    def to_device(self) -> None:
        """Weights back to the device."""
        cpu_offload.move_to_device(self._offloadable_components(), self._device)

    def place_on_device(self, device: str) -> None:
        """Weights to `device` once and for all, before anything is drawn."""
        for part in self._offloadable_components():
            if hasattr(part, "parameters"):
                part.to(device)  # pyright: ignore[reportAttributeAccessIssue]
        self._device = device

    @property
    def device(self) -> str:
        """Where it draws."""
        return self._device

    def _offloadable_components(self) -> list[object]:
        """Every component but a text encoder that lives in main memory anyway."""
        streamed = dict(self.spec.options).get("text_encoder") == "streamed"
        parts = {name: part for name, part in self.pipe.components.items() if not (streamed and name == "text_encoder")}
        return [*parts.values(), *self._extra_components.values(), self._preview_decoder]

    def close(self) -> None:
        """Give the memory back."""
        import torch

        self.pipe = self._preview_decoder = None
        self._extra_components.clear()
        self._embeds.clear()
        gc.collect()
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def build_view(self, verb: Verb, scheduler: Any) -> Any:
        """The pipeline class of `verb` on the shared weights, with this scheduler."""
        import diffusers

        kind = getattr(diffusers, self.pipeline_class(verb))
        wanted = inspect.signature(kind.__init__).parameters
        parts = {**self.pipe.config, **self.pipe.components, **self._extra_components, "scheduler": scheduler}
        parts["add_watermarker"] = False
        if getattr(self._thread_state, "low_memory", False):
            parts["vae"] = enable_tiled_decoding(copy.copy(parts["vae"]), _LOW_MEMORY_TILE_PX)
        view = kind(**{name: part for name, part in parts.items() if name in wanted})
        view.set_progress_bar_config(disable=True)
        return view

    def guidance_scale(self, render: RenderRequest) -> float:
        """The scale of guidance: what was asked for, else the checkpoint's own."""
        return self._defaults["guidance_scale"] if render.guidance_scale is None else render.guidance_scale

    def effective_strength(self, render: RenderRequest) -> float:
        """How much of the start is drawn anew, 0.01 to 1."""
        strength = self._defaults["strength"] if render.strength is None else render.strength
        return float(np.clip(strength, 0.01, 1.0))

    # ------------------------------------------------------------ private

    def _run_pipeline(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[list[Image]]:  # fmt: skip
        """One call of a pipeline; pictures of each order at the drawn size. Several orders are `alike`."""
        import torch

        first = renders[0]
        laid = self.canvas_for(first)
        tap = latent_preview.CleanEstimateRecorder(self.pipe.scheduler)
        view = self.build_view(effective_verb(first), tap.scheduler)
        counts = [len(render.seeds) for render in renders]
        begins = [sum(counts[:n]) for n in range(len(counts))]

        def on_step_end(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            on_step([ModelStep(index + 1, pipe.num_timesteps, self._preview_of(tap, laid, n)) for n in begins])
            return tensors

        embeds = [self._embed_prompt(view, render, laid) for render in renders]
        try:
            drawn = view(
                **self.pipeline_inputs(first, laid),
                **(embeds[0] if len(renders) == 1 else _concatenate_embeds(embeds, counts)),
                **self.guidance_arguments(first),
                num_images_per_prompt=counts[0] if len(renders) == 1 else 1,
                # Noise from the CPU's generator is the same on every device.
                generator=[torch.Generator().manual_seed(seed) for render in renders for seed in render.seeds],
                num_inference_steps=self._step_count(first),
                callback_on_step_end=on_step_end,
                output_type="np",
            ).images
        finally:
            # A drawing that was cut off would else leave the hooks of an offloaded model to the next one.
            view.maybe_free_model_hooks()
        pictures = [(picture * 255).round().astype(np.uint8) for picture in drawn]
        return [pictures[begin : begin + count] for begin, count in zip(begins, counts, strict=True)]

    def _finish_images(self, render: RenderRequest, drawn: Sequence[Image]) -> RenderedImages:
        laid = self.canvas_for(render)
        pictures = tuple(_restore_outside_mask(laid.cut_out_content(picture, render.size), render) for picture in drawn)
        return RenderedImages(pictures, (*self.model_notices(render), *self._unread_prompt_notice(render)))

    def _preview_of(
        self, tap: latent_preview.CleanEstimateRecorder, laid: Canvas, n: int
    ) -> Callable[[], Image] | None:
        """The clean estimate of picture `n` of the call, made only when somebody asks for it."""
        clean = tap.clean_estimate
        if clean is None:
            return None
        if self._preview_decoder is not None:
            return lambda: latent_preview.preview_with_decoder(clean()[n], self._preview_decoder)
        factors = self._preview_factors
        assert factors is not None
        return lambda: latent_preview.preview_with_factors(self.preview_latents(clean()[n : n + 1], laid), factors)

    def _embed_prompt(self, view: Any, render: RenderRequest, laid: Canvas) -> PromptEmbeds:
        """What `read` gives; the last 32 are kept, since a tab asks for the same words again."""
        import torch

        # An adapter may change the text encoder too.
        key = self.prompt_key(render), render.adapters
        with self._lock:
            if key in self._embeds:
                self._embeds.move_to_end(key)
                return self._embeds[key]
        with torch.no_grad():
            embeds = self.encode_prompt(view, render, laid)
        with self._lock:
            self._embeds[key] = embeds
            while len(self._embeds) > 32:
                self._embeds.popitem(last=False)
        return embeds

    def _step_count(self, render: RenderRequest) -> int:
        """At least one step is left after `strength` has skipped its share."""
        steps = render.num_inference_steps or int(self._defaults["num_inference_steps"])
        return (
            max(steps, math.ceil(1 / self.effective_strength(render)))
            if effective_verb(render) in _VERBS_FROM_IMAGE
            else steps
        )

    def _unread_prompt_notice(self, render: RenderRequest) -> tuple[str, ...]:
        if not render.negative_prompt or self.is_guided(render):
            return ()
        return ("This model draws without guidance: what the picture should not show was not read.",)


def _concatenate_embeds(embeds: Sequence[PromptEmbeds], counts: Sequence[int]) -> PromptEmbeds:
    """What was read of several orders' words, each as often as it has pictures: tensors, or lists of one a picture."""
    import torch

    def joined(name: str) -> Any:
        if isinstance(embeds[0][name], list):
            return [row for each, count in zip(embeds, counts, strict=True) for row in each[name] * count]
        rows = [each[name].repeat_interleave(n, dim=0) for each, n in zip(embeds, counts, strict=True)]
        return torch.cat(rows)

    return {name: joined(name) for name in embeds[0]}


def is_tiny_autoencoder(vae: Any) -> bool:
    """Whether the decoder is cheap enough to make the previews too."""
    return type(vae).__name__ == "AutoencoderTiny"


# ---------------------------------------------------------------- pictures and words


def prompt_text(render: RenderRequest) -> str:
    """The prompt; a backdrop without one is asked for by its scene's name, and always without people."""
    backdrop = render.backdrop
    if render.verb != "backdrop" or backdrop is None:
        return render.prompt
    scene = render.prompt or backdrop.scene.replace("-", " ") or "plain photo studio"
    # A blur of 0 leaves it to the scene: behind a person that is a lens wide open.
    soft = backdrop.blur_ratio > 0.03 or (backdrop.blur_ratio == 0 and backdrop.subject == "person")
    return f"{scene}, empty background photograph without people{', out of focus' if soft else ''}"


def effective_verb(render: RenderRequest) -> Verb:
    """The verb that is drawn: a backdrop is text, unless it starts from the user's own picture."""
    if render.verb != "backdrop":
        return render.verb
    return "text" if render.backdrop is None or render.backdrop.picture is None else "image"


def start_image(render: RenderRequest, laid: Canvas) -> Any:
    """The picture to start from, as Pillow, laid on the canvas."""
    own = render.backdrop.picture if render.backdrop is not None else None
    return to_pillow(laid.pad_onto(own if own is not None else render.images[0]))


def mask_image(render: RenderRequest, laid: Canvas) -> Any:
    """The mask, as Pillow, laid on the canvas: white where the picture is drawn anew."""
    assert render.mask is not None
    return to_pillow((laid.pad_onto(render.mask) * 255).round().astype(np.uint8))


def size_arguments(laid: Canvas) -> dict[str, Any]:
    """The size that a pipeline is to draw."""
    return {"width": laid.padded_size[0], "height": laid.padded_size[1]}


def to_pillow(picture: Any) -> Any:
    """H x W or H x W x 3, uint8, as a Pillow picture."""
    from PIL import Image as Pillow

    return Pillow.fromarray(picture)


def _unchanged_backdrop(render: RenderRequest) -> RenderedImages | None:
    """My backdrop stays as it is unless a strength was asked for: it is the user's own picture."""
    own = render.backdrop.picture if render.backdrop is not None else None
    if own is None or render.verb != "backdrop" or render.strength is not None:
        return None
    return RenderedImages(
        (resize_to_cover(own, render.size),) * len(render.seeds), ("Your own backdrop was kept as it is.",)
    )


def _check_request(render: RenderRequest, spec: ModelSpec) -> None:
    if render.verb not in spec.verbs or effective_verb(render) not in spec.verbs:
        raise ModelUnavailable(f"Model {spec.id} cannot serve '{render.verb}'.")
    if render.verb in ("image", "inpaint", "edit") and not render.images:
        raise BadInput("This needs a picture to start from.")
    if render.verb == "inpaint" and render.mask is None:
        raise BadInput("This needs a mask: paint over what is to be drawn anew.", param="mask")
    if render.verb == "control" and render.control is None:
        raise BadInput("This needs a map to follow, such as edges or a pose.")


def _restore_outside_mask(grown: Image, render: RenderRequest) -> Image:
    """The picture; outside a mask the bytes of the picture it started from."""
    if render.verb != "inpaint" or render.mask is None:
        return grown
    alpha = resize_to_cover(render.mask, render.size)[..., None]
    mixed = alpha * grown + (1 - alpha) * resize_to_cover(render.images[0], render.size)
    return mixed.round().astype(np.uint8)
