"""Checkpoint loader: finds, measures and loads the components of a diffusers checkpoint as its spec names them.

Options of a spec that are read here:

- `variant`: of the weight files
- `scheduler`, `scheduler_config`: replace the checkpoint's scheduler
- `adapter`: a LoRA to fuse into the weights
- `decoder`: an AutoencoderTiny in place of the VAE; `preview`: one beside it, for previews
- `text_encoder`: `streamed` (it stays in main memory and is copied to the device layer by layer) or `int8` (its linear
  layers are quantized as they are read; needs the package torchao)
- `transformer`: `streamed` (it stays in main memory, and its blocks are copied to the device one after the other)
- `vae_dtype`: the type of the VAE, where it is another than that of the other components
- `package`: a Python package that must be installed
- `files`: the files of a model that is no pipeline
- `compile`: a backend of `torch.compile`
- those of `speed_ups`

A component is given as a repository or folder, or as one file of it: `repo::file`.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable, OutOfMemory
from pipelines.core.models import ModelSpec
from pipelines.models import checkpoint, latent_preview, loading_progress, pinned_memory
from pipelines.models.devices import total_host_bytes
from pipelines.models.diffusion import cpu_layers, float8, speed_ups
from pipelines.models.diffusion.pipeline import (
    LOADING_LOCK,
    DiffusionModel,
    is_tiny_autoencoder,
    streamed_components,
)
from pipelines.models.diffusion.vae_tiling import enable_tiled_decoding
from pipelines.models.probes import cpu_precision

_COMPONENTS = ("text_encoder", "text_encoder_2", "transformer", "unet", "vae")
_OPTION_PARTS = ("adapter", "decoder", "preview")
_VAE_TILE_PX = 1280  # side of a tile: 1.6 megapixels
_MODEL_FILE_NAMES = ("config.json", "diffusion_pytorch_model.safetensors")


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of a spec: its checkpoint, its other parts by option (a file or a folder), the weights by component."""

    folder: Path
    parts: Mapping[str, Path]
    weights: Mapping[str, tuple[Path, ...]]


class CheckpointFamily:
    """A family of diffusers checkpoints, which draw as `model_class` does. Tests give it `specs` of their own."""

    def __init__(self, model_class: type[DiffusionModel], specs: tuple[ModelSpec, ...]) -> None:
        self.model_class = model_class
        self.specs = specs
        self._factors: dict[Path, latent_preview.ColourFactors] = {}

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Compute the bytes of the weights on the device from the file headers; downloads what is not here."""
        mode, files = _text_encoder_mode(spec), ensure_checkpoint(spec)
        weights = dict(files.weights)
        weights.pop("adapter", None)  # a fused LoRA takes no memory of its own
        for name in streamed_components(spec):
            weights.pop(name, None)
        return sum(
            checkpoint.compute_loaded_bytes(
                paths,
                _component_dtype(spec, name),
                int8=mode == "int8" and name == "text_encoder",
                unless_float8=_float8_skipped_names(files.folder, name, spec),
            )
            for name, paths in weights.items()
        )

    def load(self, spec: ModelSpec, device: str) -> DiffusionModel:
        """Load the checkpoint to `device`. Raises `ModelUnavailable` or `OutOfMemory`."""
        import torch

        _check_package(spec)
        if _is_float8(spec, "transformer"):
            float8.require_float8_device(device)
        if spec.host_bytes > (host := total_host_bytes()):
            raise ModelUnavailable(
                f"Model {spec.id} keeps {spec.host_bytes / 1e9:.0f} GB in main memory; this machine has "
                f"{host / 1e9:.0f} GB."
            )
        files = ensure_checkpoint(spec)
        try:
            pipe = self._load_pipeline(files, spec, device)
            decoder = pipe.vae if is_tiny_autoencoder(pipe.vae) else None
            if "preview" in files.parts:
                decoder = _load_tiny_autoencoder(files.parts["preview"], loading_arguments(spec, device))
            factors = None if decoder is not None else self._preview_factors(files.folder, pipe)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(f"There was not enough memory on {device} to load model {spec.id}.") from error
        return self.model_class(
            with_loaded_revision(spec, files.folder),
            pipe,
            device,
            preview_factors=factors,
            preview_decoder=decoder,
        )

    def _load_pipeline(self, files: CheckpointFiles, spec: ModelSpec, device: str) -> Any:
        import diffusers

        options, common = dict(spec.options), loading_arguments(spec, device)
        kind = str(checkpoint.read_model_index(files.folder)["_class_name"])
        if kind not in self.model_class.pipeline_classes:
            raise ModelUnavailable(f"{files.folder.name} holds a {kind}, which is not of the family {spec.family}.")
        wanted = inspect.signature(getattr(diffusers, kind).__init__).parameters
        parts = {name: value for name, value in self.model_class.omitted_components.items() if name in wanted}
        if "decoder" in files.parts:
            parts["vae"] = _load_tiny_autoencoder(files.parts["decoder"], common)
        if _text_encoder_mode(spec) == "streamed":
            parts["text_encoder"] = _load_streamed_encoder(files.folder, spec, device)
        elif _text_encoder_mode(spec) == "int8":
            parts["text_encoder"] = _load_int8_encoder(files.folder, spec, device)
        # One by one, because a pipeline's own `device_map` takes "cuda" but no "cuda:1".
        names = [name for name in files.weights if name in _COMPONENTS and name in wanted and name not in parts]
        for number, name in enumerate(names):
            loading_progress.report_part(number, len(names))
            place = "cpu" if name in streamed_components(spec) or _is_float8(spec, name) else device
            arguments = loading_arguments(spec, place, _component_dtype(spec, name))
            parts[name] = _load_component(files.folder, name, spec, **arguments)
        with LOADING_LOCK:
            pipe = getattr(diffusers, kind).from_pretrained(files.folder, **parts)
        if "adapter" in files.parts:
            _fuse_lora(pipe, files.parts["adapter"])
        if "transformer" in parts and _is_float8(spec, "transformer"):
            float8.store_weights(pipe.transformer)
            if "transformer" not in streamed_components(spec):
                pipe.transformer.to(device)
        if "transformer" in streamed_components(spec):
            kept, grouping = [pipe.transformer, pipe.text_encoder], {"num_blocks_per_group": 1}
            _stream_module(pipe.transformer, kept, device, offload_type="block_level", **grouping)
        _replace_scheduler(pipe, options)
        _configure_vae(pipe.vae, spec)
        if "compile" in options:
            # The repeated blocks alone: most of the speed for a fraction of the compile time.
            net = getattr(pipe, "transformer", None) or pipe.unet
            net.compile_repeated_blocks(backend=options["compile"])
            if speed_ups.is_picture_autoencoder(pipe.vae):
                pipe.vae.decoder.compile(backend=options["compile"])
        elif device == "cpu" and hasattr(pipe, "unet"):
            use_cpu_layers(pipe.unet)
        steps = int(dict(spec.defaults)["num_inference_steps"])
        is_exclusive = self.model_class.draws_exclusively
        speed_ups.apply_speed_ups(pipe, options, device, steps, draws_exclusively=is_exclusive)
        return pipe

    def _preview_factors(self, folder: Path, pipe: Any) -> latent_preview.ColourFactors:
        """Fit the preview factors once per checkpoint, not once per load."""
        if folder not in self._factors:
            self._factors[folder] = latent_preview.fit_vae_factors(pipe.vae)
        return self._factors[folder]


def ensure_checkpoint(spec: ModelSpec, *, offline: bool = False) -> CheckpointFiles:
    """Find the files of `spec`; download missing ones unless `offline`. Raises `ModelUnavailable`.

    The hub is called only for files that are not here: else every load would wait for a hub that does not answer.
    """
    if offline:
        return _find_files(spec, offline=True)
    try:
        return _find_files(spec, offline=True)
    except ModelUnavailable:
        return _find_files(spec, offline=False)


def _find_files(spec: ModelSpec, *, offline: bool) -> CheckpointFiles:
    options = dict(spec.options)
    if "files" in options:
        return _find_whole_model(spec, options["files"].split(","), offline)
    variant = options.get("variant", "")
    wanted = [name for name in _COMPONENTS if not (name == "vae" and "decoder" in options)]
    folder = checkpoint.fetch_snapshot(
        spec.repo, spec.revision, checkpoint.file_patterns(wanted, variant), offline=offline
    )
    listed = checkpoint.read_model_index(folder)
    weights = {name: checkpoint.find_weight_files(folder, [name], variant) for name in wanted if name in listed}
    checkpoint.check_config_files(folder, listed)
    parts = {name: _find_part(options[name], offline) for name in _OPTION_PARTS if name in options}
    weights |= {name: (path / _MODEL_FILE_NAMES[1] if path.is_dir() else path,) for name, path in parts.items()}
    return CheckpointFiles(folder, parts, weights)


def _find_whole_model(spec: ModelSpec, names: Sequence[str], offline: bool) -> CheckpointFiles:
    """Find the files of a model that is no pipeline, all in one repository."""
    folder = checkpoint.fetch_snapshot(spec.repo, spec.revision, names, offline=offline)
    files = tuple(folder / name for name in names)
    if missing := [file.name for file in files if not checkpoint.is_here(file)]:
        raise ModelUnavailable(f"{spec.repo} lacks {', '.join(missing)}.")
    return CheckpointFiles(folder, {}, {"model": tuple(file for file in files if file.suffix == ".safetensors")})


def with_loaded_revision(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Return the spec with the revision that was loaded: a snapshot folder is named by its commit."""
    return replace(spec, revision=spec.revision if Path(spec.repo).is_dir() else folder.name)


def list_sources(spec: ModelSpec) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """List what `ensure_checkpoint` fetches, as (repository, revision, file patterns)."""
    options = dict(spec.options)
    if "files" in options:
        return ((spec.repo, spec.revision, tuple(options["files"].split(","))),)
    wanted = [name for name in _COMPONENTS if not (name == "vae" and "decoder" in options)]
    rows = [(spec.repo, spec.revision, checkpoint.file_patterns(wanted, options.get("variant", "")))]
    for name in _OPTION_PARTS:
        if name in options:
            repo, _, file = options[name].partition("::")
            rows.append((repo, "", (file,) if file else _MODEL_FILE_NAMES))
    return tuple(rows)


def _find_part(source: str, offline: bool) -> Path:
    """Find one file of a repository, or the folder of a model."""
    repo, _, file = source.partition("::")
    folder = checkpoint.fetch_snapshot(repo, "", (file,) if file else _MODEL_FILE_NAMES, offline=offline)
    path = folder / file if file else folder
    if not checkpoint.is_here(path if file else path / _MODEL_FILE_NAMES[1]):
        raise ModelUnavailable(f"{repo} lacks {file or _MODEL_FILE_NAMES[1]}.")
    return path


def loading_arguments(spec: ModelSpec, device: str, dtype: str = "") -> dict[str, Any]:
    """Return common arguments of `from_pretrained`; `device_map` is ten times as fast as `.to(device)` after mmap."""
    import torch

    return {"dtype": getattr(torch, dtype or spec.dtype), "device_map": device}


def _component_dtype(spec: ModelSpec, name: str) -> str:
    return dict(spec.options).get("vae_dtype", spec.dtype) if name == "vae" else spec.dtype


def _load_tiny_autoencoder(folder: Path, common: Mapping[str, Any]) -> Any:
    import torch
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    with LOADING_LOCK:
        decoder: Any = AutoencoderTiny.from_pretrained(folder, **common)
    for layer in decoder.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = True  # nothing else reads what it gets
    # On a processor its convolutions take a third less time in this memory format; the pictures differ by rounding.
    return decoder.to(memory_format=torch.channels_last) if common["device_map"] == "cpu" else decoder


def use_cpu_layers(net: Any) -> None:
    """Let a UNet or ControlNet on a processor compute by products of matrices what was measured to gain by them."""
    attentions, convolutions = cpu_layers.find_attentions(net), cpu_layers.find_convolutions(net)
    if not attentions and not convolutions:
        return
    times = cpu_precision.THIS_PROCESSOR.measure_once()
    if times.attends_by_products:
        cpu_layers.use_attention_products(attentions)
    if times.convolves_by_products:
        cpu_layers.use_convolution_products(convolutions)


def _check_package(spec: ModelSpec) -> None:
    package = dict(spec.options).get("package")
    if package and importlib.util.find_spec(package) is None:
        raise ModelUnavailable(f"Model {spec.id} needs the package {package}: pip install {package}.")
    if package:
        importlib.import_module(package)  # importing it registers its quantized format


def _text_encoder_mode(spec: ModelSpec) -> str:
    """Return how the text encoder is loaded: `streamed`, `int8`, or empty for like the other components."""
    return dict(spec.options).get("text_encoder", "")


def _is_float8(spec: ModelSpec, name: str) -> bool:
    """Tell whether weights of the component `name` are stored in float8."""
    return name == "transformer" and "fp8" in dict(spec.options)


def _float8_skipped_names(folder: Path, name: str, spec: ModelSpec) -> re.Pattern[str] | None:
    """Return what matches the layers of a component that are not stored in float8; None where none is."""
    if not _is_float8(spec, name):
        return None
    library, class_name = checkpoint.find_component_class(folder, name)
    return float8.find_skipped_names(getattr(importlib.import_module(library), class_name))


def _load_streamed_encoder(folder: Path, spec: ModelSpec, device: str) -> Any:
    """Load the text encoder to main memory; each layer is copied to the device when it runs."""
    encoder = _load_component(folder, "text_encoder", spec)
    _stream_module(encoder, [encoder], device, offload_type="leaf_level")
    return encoder


def _stream_module(module: Any, kept: Sequence[Any], device: str, **grouping: Any) -> None:
    """Let the layers or blocks of a module come from main memory as they run; `kept` are all that stay there."""
    import torch
    from diffusers.hooks.group_offloading import apply_group_offloading

    # A stream pins all of it at once. Where the host is too small for that it is copied slower, from pageable memory.
    is_pinned = device.startswith("cuda") and pinned_memory.fits_host(pinned_memory.count_pinned_bytes(kept))
    apply_group_offloading(module.eval(), torch.device(device), torch.device("cpu"), use_stream=is_pinned, **grouping)


def _load_int8_encoder(folder: Path, spec: ModelSpec, device: str) -> Any:
    """Load the text encoder to the device and quantize each weight of a linear layer to 8 bits as it arrives."""
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    quantization = TorchAoConfig(Int8WeightOnlyConfig())
    common = loading_arguments(spec, device)
    return _load_component(folder, "text_encoder", spec, **common, quantization_config=quantization).eval()


def _load_component(folder: Path, name: str, spec: ModelSpec, **arguments: Any) -> Any:
    """Load one component with weights by its own class; `arguments` as of `from_pretrained`.

    Of a text encoder that can write, only what reads: the pipelines take its hidden states, so that its last layer, 0.8
    GB in klein's, would be copied and computed for nothing.
    """
    library, class_name = checkpoint.find_component_class(folder, name)
    kind = getattr(importlib.import_module(library), class_name)
    variant = dict(spec.options).get("variant")
    with LOADING_LOCK:
        module = kind.from_pretrained(folder / name, variant=variant, use_safetensors=True, **arguments)
    return module.model if class_name == "Qwen3ForCausalLM" else module


def _fuse_lora(pipe: Any, adapter: Path) -> None:
    """Fuse a LoRA into the weights: a separate adapter would cost time in every step."""
    pipe.load_lora_weights(adapter.parent, weight_name=adapter.name, use_safetensors=True)
    pipe.fuse_lora()
    pipe.unload_lora_weights()


def _replace_scheduler(pipe: Any, options: Mapping[str, str]) -> None:
    import diffusers

    kind = getattr(diffusers, options["scheduler"]) if "scheduler" in options else type(pipe.scheduler)
    changes = json.loads(options.get("scheduler_config", "{}"))
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **changes)


def _configure_vae(vae: Any, spec: ModelSpec) -> None:
    """Decode in tiles of 1280 px where a side is longer, which limits the memory from about 1.5 megapixels on."""
    if spec.dtype != "float16" and "force_upcast" in vae.config:
        # SDXL's pipelines cast a VAE with this flag to float32 and back on every call; only float16 needs that.
        vae.register_to_config(force_upcast=False)
    vae.enable_slicing()  # several pictures are decoded one by one: that takes the memory of one, and as long
    if is_tiny_autoencoder(vae):
        return
    enable_tiled_decoding(vae, _VAE_TILE_PX)
