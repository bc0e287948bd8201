"""Stable Diffusion and SDXL checkpoints, from the hub or a folder: their rows and how to load one; knows no drawing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.models import checkpoint, preview
from pipelines.models.families.painter import VERBS, Painter, is_tiny
from pipelines.types import ModelSpec, ModelUnavailable, OutOfMemory

GB = 10**9

# `side`: the checkpoint was trained on pictures of side x side, and draws well at that area only.
# Neither revision is pinned to a commit; the one that was loaded is kept in the loaded model's spec.
SD15_LCM = ModelSpec(
    id="sd15-lcm",
    family="stable_diffusion",
    verbs=VERBS,
    licence="OpenRAIL-M",
    repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
    revision="main",
    defaults=(("num_inference_steps", 6), ("guidance_scale", 1.0), ("strength", 0.6), ("side", 512)),
    options=(
        ("variant", "fp16"),
        ("adapter", "latent-consistency/lcm-lora-sdv1-5"),
        ("scheduler", "LCMScheduler"),
        ("decoder", "madebyollin/taesd"),
    ),
    dtype="auto",
    bytes=2 * (859_520_964 + 123_060_480 + 2_445_063),
    min_vram=4 * GB,
)
SDXL = ModelSpec(
    id="sdxl",
    family="stable_diffusion",
    verbs=VERBS,
    licence="OpenRAIL++-M",
    repo="stabilityai/stable-diffusion-xl-base-1.0",
    revision="main",
    defaults=(("num_inference_steps", 30), ("guidance_scale", 5.0), ("strength", 0.6), ("side", 1024)),
    options=(("variant", "fp16"),),
    dtype="auto",
    bytes=2 * (2_567_463_684 + 123_060_480 + 694_659_840 + 83_653_863),
    min_vram=10 * GB,
)

_ADAPTER_FILE = "pytorch_lora_weights.safetensors"
_DECODER_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
_COMPONENTS = ("text_encoder", "text_encoder_2", "unet", "vae")


class StableDiffusion:
    """The family. `specs` are its rows; tests give it rows of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self.specs = specs
        self._factors: dict[Path, preview.Factors] = {}

    def size_of(self, spec: ModelSpec) -> int:
        """Bytes of the weights as they will be loaded, by their headers; brings what is not on this machine."""
        return checkpoint.size(find(spec).weights, spec.dtype)

    def load(self, spec: ModelSpec, device: str) -> Painter:
        """The checkpoint on `device`, its adapter fused in. Raises `ModelUnavailable` or `OutOfMemory`."""
        import torch

        found = find(spec)
        try:
            pipe = _pipeline(found, spec, device)
            factors = self._preview_factors(found.folder, pipe)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(f"There was not enough memory on {device} to load model {spec.id}.") from error
        # A snapshot's folder is named by its commit: "main" in a receipt would say nothing tomorrow.
        revision = spec.revision if Path(spec.repo).is_dir() else found.folder.name
        return Painter(replace(spec, revision=revision), pipe, factors, device)

    def _preview_factors(self, folder: Path, pipe: Any) -> preview.Factors | None:
        """Fitted once per checkpoint, not once per load; None where a tiny decoder makes the previews."""
        if is_tiny(pipe.vae):
            return None
        if folder not in self._factors:
            self._factors[folder] = preview.factors_of(pipe.vae)
        return self._factors[folder]


STABLE_DIFFUSION = StableDiffusion((SD15_LCM, SDXL))


@dataclass(frozen=True)
class Found:
    """Where the parts of a spec lie: the checkpoint, its adapter and its decoder, and the weights that will be read."""

    folder: Path
    adapter: Path | None
    decoder: Path | None
    weights: tuple[Path, ...]


def find(spec: ModelSpec, *, offline: bool = False) -> Found:
    """The files of `spec`, brought from the hub unless `offline`; raises `ModelUnavailable` when one cannot be had."""
    options = dict(spec.options)
    variant = options.get("variant", "")
    wanted = [name for name in _COMPONENTS if not (name == "vae" and "decoder" in options)]
    folder = checkpoint.fetch(spec.repo, spec.revision, checkpoint.patterns(wanted, variant), offline=offline)
    adapter, decoder = (
        checkpoint.fetch(options[name], "", files, offline=offline) if name in options else None
        for name, files in (("adapter", [_ADAPTER_FILE]), ("decoder", _DECODER_FILES))
    )
    listed = checkpoint.index(folder)
    weights = checkpoint.weights(folder, [name for name in wanted if name in listed], variant)
    return Found(folder, adapter, decoder, (*weights, *([decoder / _DECODER_FILES[1]] if decoder else ())))


# ---------------------------------------------------------------- loading


def _pipeline(found: Found, spec: ModelSpec, device: str) -> Any:
    """The text pipeline of the checkpoint, weights on `device` in the spec's dtype, in its final state."""
    import diffusers
    import torch
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    options = dict(spec.options)
    # `device_map` reads each tensor straight to its place; `.to(device)` after mmap takes ten times as long.
    common = {"dtype": getattr(torch, spec.dtype), "device_map": device}
    parts = {}
    if found.decoder is not None:
        parts["vae"] = AutoencoderTiny.from_pretrained(found.decoder, **common)
    kind = checkpoint.index(found.folder)["_class_name"]
    if kind not in ("StableDiffusionPipeline", "StableDiffusionXLPipeline"):
        raise ModelUnavailable(f"{found.folder.name} holds a {kind}, which is not a Stable Diffusion checkpoint.")
    # The studio has a gate of its own, so the checkpoint's checker is neither fetched nor loaded.
    parts |= {"feature_extractor": None, "image_encoder": None}
    if kind == "StableDiffusionPipeline":
        parts |= {"safety_checker": None, "requires_safety_checker": False}
    pipe = getattr(diffusers, kind).from_pretrained(
        found.folder, variant=options.get("variant"), use_safetensors=True, **common, **parts
    )
    if found.adapter is not None:
        _fuse(pipe, found.adapter)
    if "scheduler" in options:
        pipe.scheduler = getattr(diffusers, options["scheduler"]).from_config(pipe.scheduler.config)
    if spec.dtype != "float16":
        # SDXL's pipelines cast a VAE that says so to float32 and back on every call, which only float16 needs.
        pipe.vae.register_to_config(force_upcast=False)
    if not is_tiny(pipe.vae):
        _tile_when_large(pipe.vae)
    return pipe


def _fuse(pipe: Any, adapter: Path) -> None:
    """Fold a LoRA into the weights, because an adapter that stays would be seen by every view and cost every step."""
    pipe.load_lora_weights(adapter, weight_name=_ADAPTER_FILE)
    pipe.fuse_lora()
    pipe.unload_lora_weights()


def _tile_when_large(vae: Any) -> None:
    """Decode in tiles of 1280 px where a side is longer, so that memory ends growing at about 1.5 megapixels."""
    vae.enable_tiling()
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    vae.tile_sample_min_size, vae.tile_latent_min_size = 1280, 1280 // scale
