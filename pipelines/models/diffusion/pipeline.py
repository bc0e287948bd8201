"""Diffusion models: draws with a loaded diffusers checkpoint of any family, from several threads at once.

Each drawing builds a view: the pipeline class of its verb on the shared weights, with its own scheduler. A view gets
components and config by the signature of the class. A family overrides the methods that come first in `DiffusionModel`
where its pipelines differ.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import math
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Image, Size
from pipelines.core.lru_cache import LruCache
from pipelines.core.models import ControlNet, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.models import latent_preview, pinned_memory
from pipelines.models.diffusion.resolution import Canvas, plan_canvas, resize_to_cover
from pipelines.models.diffusion.vae_tiling import enable_tiled_decoding
from pipelines.models.lora import LoraSlots
from pipelines.models.one_module import MovableModel

if TYPE_CHECKING:
    import torch

PromptEmbeds = Mapping[str, Any]

LOADING_LOCK = threading.RLock()
"""Held while a library builds a model: `accelerate` patches `register_parameter` for the whole process meanwhile, so a
model that another thread builds, or joins with a ControlNet, would get its parameters on "meta"."""
_VERBS_FROM_IMAGE: tuple[Verb, ...] = ("image", "inpaint")
_LOW_MEMORY_TILE_PX = 512  # a quarter of the memory of a megapixel decoded at once, and no visible seams
_REMEMBERED_PROMPT_COUNT = 32


class DiffusionModel(MovableModel):
    """A loaded checkpoint. Safe from several threads: only LoRAs change shared weights, and then one draws alone.

    preview_factors, preview_decoder: one of them makes the previews.
    """

    # Names of the pipeline classes that a checkpoint may have. The last one draws, unless `pipeline_class` says which.
    pipeline_classes: ClassVar[tuple[str, ...]]
    # Arguments of the pipeline in place of components that are not loaded.
    omitted_components: ClassVar[Mapping[str, Any]] = {}
    size_multiple: ClassVar[int] = 8
    guidance_argument: ClassVar[str] = "guidance_scale"
    # True where a component keeps state while it draws, so that one thread draws at a time.
    draws_exclusively: ClassVar[bool] = False
    # False where the pipeline class has no way to load a LoRA.
    takes_lora: ClassVar[bool] = True

    def __init__(
        self,
        spec: ModelSpec,
        pipe: Any,
        device: str,
        *,
        preview_factors: latent_preview.ColourFactors | None = None,
        preview_decoder: Any = None,
    ) -> None:
        import torch

        super().__init__(spec, device)
        self.pipe: Any = pipe
        self._preview_factors = preview_factors
        self._preview_decoder = preview_decoder
        self._defaults = dict(spec.defaults)
        self._embeds = LruCache[Hashable, PromptEmbeds](_REMEMBERED_PROMPT_COUNT)
        self._lora_slots = LoraSlots(compiled="compile" in dict(spec.options))
        self._thread_state = threading.local()
        # In float16 SDXL's pipelines cast the shared VAE to float32 and back, so there one thread draws at a time.
        upcasts = pipe.vae.dtype == torch.float16 and pipe.vae.config.get("force_upcast", False)
        self._draw_lock = threading.Lock() if upcasts or self.draws_exclusively else contextlib.nullcontext()

    # ------------------------------------------------------------ methods that a family overrides

    def pipeline_class(self, verb: Verb) -> str:
        """Return the name of the diffusers pipeline class that serves `verb` with the loaded components."""
        return self.pipeline_classes[-1]

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        """Return the arguments of the pipeline besides prompt, noise, steps and guidance."""
        raise NotImplementedError

    def encode_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        """Encode the prompt; return embeddings by argument name. Called once for the same `prompt_key`."""
        raise NotImplementedError

    def prompt_key(self, render: RenderRequest) -> Hashable:
        """Return what the result of `encode_prompt` depends on."""
        return prompt_text(render), render.negative_prompt, self.is_guided(render)

    def is_guided(self, render: RenderRequest) -> bool:
        """Tell whether the pipeline uses classifier-free guidance, which doubles the time."""
        return self.guidance_scale(render) > 1

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """Choose the size at which the picture is drawn."""
        max_side = int(self._defaults["side"])
        min_side = int(self._defaults.get("side_min", max_side))
        return plan_canvas(render.size, max_side=max_side, min_side=min_side, multiple=self.size_multiple)

    def guidance_arguments(self, render: RenderRequest) -> dict[str, Any]:
        """Return the pipeline's argument for guidance."""
        return {self.guidance_argument: self.guidance_scale(render)}

    def count_arguments(self, count: int) -> dict[str, Any]:
        """Return the pipeline's argument for the number of pictures that it draws from the words of one request."""
        return {"num_images_per_prompt": count}

    def read_output(self, output: Any) -> Any:
        """Return the pictures of a pipeline's output, as many for each seed: N x H x W x 3, float, 0 to 1."""
        return output.images

    def preview_latents(self, clean: torch.Tensor, canvas: Canvas) -> torch.Tensor:
        """Return the first picture's clean estimate, C x h x w, in the space in which preview factors are fitted."""
        return clean[0]

    def model_notices(self, render: RenderRequest) -> tuple[str, ...]:
        """Return the model's notices about the request."""
        return ()

    # ------------------------------------------------------------ methods that all families share

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        """Draw one picture per seed at a size that suits the checkpoint, and scale it to `render.size`.

        `backdrop` is drawn as `text`. `image` starts from `images[0]`; `inpaint` redraws where `mask` is 1 and keeps
        the bytes of `images[0]` where it is 0; `edit` changes `images[0]` by the prompt, the other images being
        references; `control` follows the map `control`; `video` lets `images[0]` move for `frame_count` pictures, those
        of one seed after those of another. `adapters` are applied for this drawing only. What `on_step`
        raises ends the drawing within the step and leaves the model usable. Raises `BadInput` for a missing picture or
        mask, `ModelUnavailable` for a verb that the spec does not have or numbers that are no picture, torch's own
        error when out of memory (see `oom_fallback`).
        """
        if (unchanged := _unchanged_backdrop(render)) is not None:
            return unchanged
        _check_request(render, self.spec)
        if render.adapters and not self.takes_lora:
            raise BadInput("The model in use takes no style file (LoRA).", param="adapter")
        with self._draw_lock, self._lora_slots.applied(self.pipe, render.adapters):
            (drawn,) = self._run_pipeline([render], lambda steps: on_step(steps[0]))
        return self._finish_images(render, drawn)

    def batch_key(self, render: RenderRequest) -> tuple[Hashable, int] | None:
        """See `BatchingModel.batch_key`: only requests without pictures can share a call."""
        if _unchanged_backdrop(render) is not None or effective_verb(render) != "text":
            return None
        _check_request(render, self.spec)
        width, height = self.canvas_for(render).padded_size
        tokens = max(1, width * height // 256) * (2 if self.is_guided(render) else 1)
        return ((width, height), self._step_count(render), self.guidance_scale(render), render.adapters), tokens

    def draw_batch(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[RenderedImages]:
        with self._draw_lock, self._lora_slots.applied(self.pipe, renders[0].adapters):
            drawn = self._run_pipeline(renders, on_step)
        return [self._finish_images(render, pictures) for render, pictures in zip(renders, drawn, strict=True)]

    @contextlib.contextmanager
    def saving_memory(self) -> Iterator[None]:
        """Decode what this thread draws in small tiles, with a view's own copy of the VAE that shares the weights."""
        self._thread_state.saving_memory = True
        try:
            yield
        finally:
            self._thread_state.saving_memory = False

    @contextlib.contextmanager
    def using_control_net(self, net: ControlNet) -> Iterator[None]:
        """Follow control maps with `net` in what this thread draws."""
        self._thread_state.control_net = net.module
        try:
            yield
        finally:
            self._thread_state.control_net = None

    def streamed_bytes(self) -> int:
        return pinned_memory.count_pinned_bytes(getattr(self.pipe, name) for name in streamed_components(self.spec))

    def _list_movable_parts(self) -> Sequence[object]:
        """List every component but those that are streamed, which are in main memory anyway."""
        kept = streamed_components(self.spec)
        return [*(part for name, part in self.pipe.components.items() if name not in kept), self._preview_decoder]

    def close(self) -> None:
        self.pipe = self._preview_decoder = None
        self._embeds.clear()
        super().close()

    def build_view(self, verb: Verb, scheduler: Any) -> Any:
        """Build the pipeline of `verb` on the shared weights, with this scheduler."""
        import diffusers

        kind = getattr(diffusers, self.pipeline_class(verb))
        wanted = inspect.signature(kind.__init__).parameters
        parts = {**self.pipe.config, **self.pipe.components, "scheduler": scheduler, "add_watermarker": False}
        parts["controlnet"] = getattr(self._thread_state, "control_net", None)
        if getattr(self._thread_state, "saving_memory", False):
            parts["vae"] = enable_tiled_decoding(copy.copy(parts["vae"]), _LOW_MEMORY_TILE_PX)
        given = {name: part for name, part in parts.items() if name in wanted}
        # A pipeline of a ControlNet registers parameters of the model in it.
        with LOADING_LOCK if given.get("controlnet") is not None else contextlib.nullcontext():
            view = kind(**given)
        view.set_progress_bar_config(disable=True)
        return view

    def guidance_scale(self, render: RenderRequest) -> float:
        """Return the requested guidance scale, else the checkpoint's default."""
        return self._defaults["guidance_scale"] if render.guidance_scale is None else render.guidance_scale

    def effective_strength(self, render: RenderRequest) -> float:
        """Return the denoising strength, 0.01 to 1: the requested one, else the checkpoint's default."""
        strength = self._defaults["strength"] if render.strength is None else render.strength
        return float(np.clip(strength, 0.01, 1.0))

    def _run_pipeline(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[list[Image]]:
        """Call a pipeline once for requests of one `batch_key`; return the pictures of each at the drawn size."""
        import torch

        first = renders[0]
        canvas = self.canvas_for(first)
        recorder = latent_preview.CleanEstimateRecorder(self.pipe.scheduler)
        view = self.build_view(effective_verb(first), recorder.scheduler)
        counts = [len(render.seeds) for render in renders]
        starts = [sum(counts[:n]) for n in range(len(counts))]

        last_latents: list[Any] = []

        def on_step_end(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            last_latents[:] = [tensors["latents"]] if "latents" in tensors else []
            on_step([ModelStep(index + 1, pipe.num_timesteps, self._preview_of(recorder, canvas, n)) for n in starts])
            return tensors

        callback: dict[str, Any] = {"callback_on_step_end": on_step_end}
        if "callback_on_step_end" not in inspect.signature(view.__call__).parameters:
            steps, callback = itertools.count(), {}
            recorder.after_step = lambda latents: on_step_end(view, next(steps), None, {"latents": latents})
        embeds = [self._embed_prompt(view, render, canvas) for render in renders]
        try:
            output = view(
                **self.pipeline_inputs(first, canvas),
                **(embeds[0] if len(renders) == 1 else _concatenate_embeds(embeds, counts)),
                **self.guidance_arguments(first),
                **self.count_arguments(counts[0] if len(renders) == 1 else 1),
                # Noise from the CPU's generator is the same on every device.
                generator=[torch.Generator().manual_seed(seed) for render in renders for seed in render.seeds],
                num_inference_steps=self._step_count(first),
                output_type="np",
                **callback,
            )
        finally:
            # Without this, a cancelled drawing would leave the hooks of an offloaded model to the next one.
            view.maybe_free_model_hooks()
        drawn = self.read_output(output)
        if not np.isfinite(drawn).all():
            raise ModelUnavailable(self._explain_broken_numbers(last_latents))
        pictures = [(picture * 255).round().astype(np.uint8) for picture in drawn]
        each = len(pictures) // sum(counts)
        return [pictures[start * each : (start + count) * each] for start, count in zip(starts, counts, strict=True)]

    def _explain_broken_numbers(self, last_latents: Sequence[torch.Tensor]) -> str:
        """Say where the numbers of a picture left the range of their type: NaN would be saved as black."""
        came_whole = all(bool(each.isfinite().all()) for each in last_latents)
        return (
            f"Model {self.spec.id} computed no picture on {self._device}: the numbers left the range of "
            f"{self.spec.dtype} {'while the picture was decoded' if came_whole else 'while it was drawn'}. "
            "Choose another set of models, or report this with the name of the graphics card."
        )

    def _finish_images(self, render: RenderRequest, drawn: Sequence[Image]) -> RenderedImages:
        canvas = self.canvas_for(render)
        contents = (canvas.cut_out_content(picture, render.size) for picture in drawn)
        pictures = tuple(_restore_outside_mask(content, render) for content in contents)
        return RenderedImages(pictures, (*self.model_notices(render), *self._unread_prompt_notice(render)))

    def _preview_of(
        self, recorder: latent_preview.CleanEstimateRecorder, canvas: Canvas, n: int
    ) -> Callable[[], Image] | None:
        """Return a function that makes the preview of picture `n` of the call; None where there is no estimate."""
        clean = recorder.clean_estimate
        if clean is None:
            return None
        if self._preview_decoder is not None:
            return lambda: latent_preview.preview_with_decoder(clean()[n], self._preview_decoder)
        factors = self._preview_factors
        assert factors is not None
        return lambda: latent_preview.preview_with_factors(self.preview_latents(clean()[n : n + 1], canvas), factors)

    def _embed_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> PromptEmbeds:
        """Encode the prompt, or return the remembered result: a tab often sends the same prompt again."""
        import torch

        def encode() -> PromptEmbeds:
            with torch.no_grad():
                return _move_embeds(self.encode_prompt(view, render, canvas), "cpu")

        # On the host, since 32 prompts of klein take a quarter of a gigabyte. A LoRA may change the text encoder too.
        kept = self._embeds.get_or_create((self.prompt_key(render), render.adapters), encode)
        return _move_embeds(kept, self._device)

    def _step_count(self, render: RenderRequest) -> int:
        """Return the number of steps; at least one is left after `strength` has skipped its share."""
        steps = render.num_inference_steps or int(self._defaults["num_inference_steps"])
        if effective_verb(render) not in _VERBS_FROM_IMAGE:
            return steps
        return max(steps, math.ceil(1 / self.effective_strength(render)))

    def _unread_prompt_notice(self, render: RenderRequest) -> tuple[str, ...]:
        if not render.negative_prompt or self.is_guided(render):
            return ()
        return ("This model cannot be told what to leave out: what the picture should not show was not read.",)


def _move_embeds(embeds: PromptEmbeds, device: str) -> PromptEmbeds:
    """Copy embeddings to a device: tensors or lists of tensors by argument name. Lists are new ones each time."""

    def move(value: Any) -> Any:
        return [each.to(device) for each in value] if isinstance(value, list) else value.to(device)

    return {name: move(value) for name, value in embeds.items()}


def _concatenate_embeds(embeds: Sequence[PromptEmbeds], counts: Sequence[int]) -> PromptEmbeds:
    """Concatenate the embeddings of several requests, each repeated once per picture: tensors or lists."""
    import torch

    def concatenate(name: str) -> Any:
        if isinstance(embeds[0][name], list):
            return [row for each, count in zip(embeds, counts, strict=True) for row in each[name] * count]
        rows = [each[name].repeat_interleave(n, dim=0) for each, n in zip(embeds, counts, strict=True)]
        return torch.cat(rows)

    return {name: concatenate(name) for name in embeds[0]}


def streamed_components(spec: ModelSpec) -> tuple[str, ...]:
    """List the components that stay in main memory and are copied to the device as they run."""
    options = dict(spec.options)
    return tuple(name for name in ("text_encoder", "transformer") if options.get(name) == "streamed")


def is_tiny_autoencoder(vae: Any) -> bool:
    """Tell whether the VAE is an AutoencoderTiny, which is cheap enough to make the previews, too."""
    return type(vae).__name__ == "AutoencoderTiny"


def prompt_text(render: RenderRequest) -> str:
    """Return the prompt; for a backdrop without a caption its scene's name where it has none, and without people."""
    backdrop = render.backdrop
    if render.verb != "backdrop" or backdrop is None or render.caption is not None:
        return render.prompt
    scene = render.prompt or backdrop.scene.replace("-", " ") or "plain photo studio"
    # A blur of 0 leaves it to the scene: behind a person that is a shallow depth of field.
    soft = backdrop.blur_ratio > 0.03 or (backdrop.blur_ratio == 0 and backdrop.subject == "person")
    return f"{scene}, empty background photograph without people{', out of focus' if soft else ''}"


def effective_verb(render: RenderRequest) -> Verb:
    """Return the verb to draw: `text` for a backdrop, or `image` where it starts from the user's own picture."""
    if render.verb != "backdrop":
        return render.verb
    return "text" if render.backdrop is None or render.backdrop.picture is None else "image"


def start_image(render: RenderRequest, canvas: Canvas) -> Any:
    """Return the picture to start from, padded onto the canvas, as a Pillow image."""
    own = render.backdrop.picture if render.backdrop is not None else None
    return to_pillow(canvas.pad_onto(own if own is not None else render.images[0]))


def mask_image(render: RenderRequest, canvas: Canvas) -> Any:
    """Return the mask, padded onto the canvas, as a Pillow image: white where the picture is redrawn."""
    assert render.mask is not None
    return to_pillow((canvas.pad_onto(render.mask) * 255).round().astype(np.uint8))


def unpack_tokens(tokens: Any, canvas: Canvas) -> Any:
    """Unpack the tokens of a picture, L x 4C, each a square of 2 x 2 latent pixels of 8 pixels: C x h x w."""
    height, width = canvas.padded_size[1] // 16, canvas.padded_size[0] // 16
    patches = tokens.reshape(height, width, -1, 2, 2)
    return patches.permute(2, 0, 3, 1, 4).reshape(-1, 2 * height, 2 * width)


def size_arguments(canvas: Canvas) -> dict[str, Any]:
    """Return the pipeline's arguments for the size to draw."""
    return {"width": canvas.padded_size[0], "height": canvas.padded_size[1]}


def restore_latent_scale(grid: Any, vae: Any) -> Any:
    """Undo the normalisation by the autoencoder's recorded mean and deviation of each channel; C x h x w."""
    import torch

    mean, deviation = (
        torch.tensor(row).to(grid)[:, None, None] for row in (vae.config.latents_mean, vae.config.latents_std)
    )
    return grid * deviation + mean


def pad_input_images(render: RenderRequest, canvas: Canvas, choose_canvas: Callable[[Size], Canvas]) -> list[Any]:
    """Return the photo and the references as Pillow images, each padded to a size that its pipeline does not rescale.

    `choose_canvas` chooses that size for a picture that is not of the shape of `canvas`.
    """

    def pad_picture(picture: Image) -> Image:
        return choose_canvas((picture.shape[1], picture.shape[0])).pad_onto(picture)

    first, *others = render.images
    photo = canvas.pad_onto(first) if canvas.has_shape_of(first) else pad_picture(first)
    return [to_pillow(photo), *(to_pillow(pad_picture(other)) for other in others)]


def to_pillow(picture: Any) -> Any:
    """Convert H x W or H x W x 3, uint8, to a Pillow image."""
    from PIL import Image as Pillow

    return Pillow.fromarray(picture)


def _unchanged_backdrop(render: RenderRequest) -> RenderedImages | None:
    """Return the user's own backdrop, unless a strength was requested; None where something is to be drawn."""
    own = render.backdrop.picture if render.backdrop is not None else None
    if own is None or render.verb != "backdrop" or render.strength is not None:
        return None
    return RenderedImages(
        (resize_to_cover(own, render.size),) * len(render.seeds), ("Your own backdrop was kept as it is.",)
    )


def _check_request(render: RenderRequest, spec: ModelSpec) -> None:
    if render.verb not in spec.verbs or effective_verb(render) not in spec.verbs:
        raise ModelUnavailable(f"Model {spec.id} cannot serve '{render.verb}'.")
    if render.verb in ("image", "inpaint", "edit", "video") and not render.images:
        raise BadInput("This needs a picture to start from.")
    if render.verb == "inpaint" and render.mask is None:
        raise BadInput("Nothing is marked: paint over what is to be drawn anew.", param="mask")
    if render.verb == "control" and render.control is None:
        raise BadInput("This needs something to follow, such as edges or a pose.")


def _restore_outside_mask(drawn: Image, render: RenderRequest) -> Image:
    """Restore the bytes of the original picture outside the mask."""
    if render.verb != "inpaint" or render.mask is None:
        return drawn
    alpha = resize_to_cover(render.mask, render.size)[..., None]
    mixed = alpha * drawn + (1 - alpha) * resize_to_cover(render.images[0], render.size)
    return mixed.round().astype(np.uint8)
