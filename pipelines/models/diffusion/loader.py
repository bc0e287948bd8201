"""Finds, measures and loads the parts of a diffusers checkpoint as its row names them; knows no family and no drawing.

Options of a row that are read here: `variant` of the files, `scheduler` and `scheduler_config`, `adapter` (a LoRA fused
in), `decoder` (an AutoencoderTiny in place of the VAE), `preview` (one beside it), `controlnet`, `text_encoder` =
`streamed` (it stays in main memory and goes through the device layer by layer) or `int8` (its linear layers are
quantized as they are read; needs the package torchao), `package` (what must be installed),
`files` (the whole of a model that is no pipeline), `compile` (a backend of `torch.compile`).
A part is a repository or folder, or one file of it as `repo::file`.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable, OutOfMemory
from pipelines.core.models import ModelSpec
from pipelines.models import checkpoint, latent_preview
from pipelines.models.diffusion.pipeline import DiffusionModel, is_tiny_autoencoder
from pipelines.models.diffusion.vae_tiling import enable_tiled_decoding

_COMPONENTS = ("text_encoder", "text_encoder_2", "transformer", "unet", "vae")
_OPTION_PARTS = ("adapter", "decoder", "preview", "controlnet")
_VAE_TILE_PX = 1280  # pixels a side: 1.6 megapixels
_MODEL_FILE_NAMES = ("config.json", "diffusion_pytorch_model.safetensors")

ControlNetLoader = Callable[[Path, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class CheckpointFiles:
    """Where a spec lies: its checkpoint, its other parts by option (a file or a folder), the weights by component."""

    folder: Path
    parts: Mapping[str, Path]
    weights: Mapping[str, tuple[Path, ...]]


class CheckpointFamily:
    """A family of diffusers checkpoints. `specs` are its rows; tests give it rows of their own.

    kinds: names of the pipeline classes that a checkpoint may be of. without: arguments for what is not loaded.
    net: reads a ControlNet from its file or folder.
    """

    def __init__(
        self,
        specs: tuple[ModelSpec, ...],
        model_class: type[DiffusionModel],
        pipeline_classes: tuple[str, ...],
        *,
        omitted_components: Mapping[str, Any] | None = None,
        load_control_net: ControlNetLoader | None = None,
    ) -> None:
        self.specs = specs
        self._model_class = model_class
        self._pipeline_classes = pipeline_classes
        self._omitted_components = omitted_components or {}
        self._load_control_net = load_control_net
        self._factors: dict[Path, latent_preview.ColourFactors] = {}

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Bytes of the weights as they will lie on the device, by their headers; brings what is not on this machine."""
        reads = _text_encoder_mode(spec)
        rows = find_checkpoint(spec).weights.items()
        # A fused adapter takes no room of its own.
        return sum(
            checkpoint.compute_loaded_bytes(files, spec.dtype, int8=reads == "int8" and name == "text_encoder")
            for name, files in rows if name != "adapter" and not (reads == "streamed" and name == "text_encoder")
        )  # fmt: skip

    def load(self, spec: ModelSpec, device: str) -> DiffusionModel:
        """The checkpoint on `device` in its final state. Raises `ModelUnavailable` or `OutOfMemory`."""
        import torch

        _check_package(spec)
        found = find_checkpoint(spec)
        try:
            pipe = self._load_pipeline(found, spec, device)
            decoder = self._load_preview_decoder(found, spec, device) or (
                pipe.vae if is_tiny_autoencoder(pipe.vae) else None
            )
            factors = None if decoder is not None else self._preview_factors(found.folder, pipe)
            extra = self._load_extra_components(found, spec, device)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(f"There was not enough memory on {device} to load model {spec.id}.") from error
        return self._model_class(
            with_loaded_revision(spec, found.folder),
            pipe,
            device,
            preview_factors=factors,
            preview_decoder=decoder,
            extra_components=extra,
        )

    # ------------------------------------------------------------ private

    def _load_pipeline(self, found: CheckpointFiles, spec: ModelSpec, device: str) -> Any:
        import diffusers

        options, common = dict(spec.options), _loading_arguments(spec, device)
        kind = str(checkpoint.read_model_index(found.folder)["_class_name"])
        if kind not in self._pipeline_classes:
            raise ModelUnavailable(f"{found.folder.name} holds a {kind}, which is not of the family {spec.family}.")
        wanted = inspect.signature(getattr(diffusers, kind).__init__).parameters
        parts = {name: value for name, value in self._omitted_components.items() if name in wanted}
        if "decoder" in found.parts:
            parts["vae"] = _load_tiny_autoencoder(found.parts["decoder"], common)
        if _text_encoder_mode(spec) == "streamed":
            parts["text_encoder"] = _load_streamed_encoder(found.folder, spec, device)
        elif _text_encoder_mode(spec) == "int8":
            parts["text_encoder"] = _load_int8_encoder(found.folder, spec, device)
        pipe = getattr(diffusers, kind).from_pretrained(
            found.folder, variant=options.get("variant"), use_safetensors=True, **common, **parts
        )
        if "adapter" in found.parts:
            _fuse_lora(pipe, found.parts["adapter"])
        _replace_scheduler(pipe, options)
        _configure_vae(pipe.vae, spec)
        if "compile" in options:
            _compile_blocks(pipe, options["compile"])
        return pipe

    def _load_preview_decoder(self, found: CheckpointFiles, spec: ModelSpec, device: str) -> Any:
        return (
            _load_tiny_autoencoder(found.parts["preview"], _loading_arguments(spec, device))
            if "preview" in found.parts
            else None
        )

    def _load_extra_components(self, found: CheckpointFiles, spec: ModelSpec, device: str) -> dict[str, Any]:
        if "controlnet" not in found.parts:
            return {}
        assert self._load_control_net is not None
        return {"controlnet": self._load_control_net(found.parts["controlnet"], _loading_arguments(spec, device))}

    def _preview_factors(self, folder: Path, pipe: Any) -> latent_preview.ColourFactors:
        """Fitted once per checkpoint, not once per load."""
        if folder not in self._factors:
            self._factors[folder] = latent_preview.fit_vae_factors(pipe.vae)
        return self._factors[folder]


def find_checkpoint(spec: ModelSpec, *, offline: bool = False) -> CheckpointFiles:
    """The files of `spec`, brought from the hub unless `offline`; raises `ModelUnavailable` when one cannot be had.

    The hub is asked for what is not here only: else every load would wait for a hub that does not answer.
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
    weights |= {name: (path if path.is_file() else path / _MODEL_FILE_NAMES[1],) for name, path in parts.items()}
    return CheckpointFiles(folder, parts, weights)


def _find_whole_model(spec: ModelSpec, names: Sequence[str], offline: bool) -> CheckpointFiles:
    """A model that is no pipeline: these files of one repository."""
    folder = checkpoint.fetch_snapshot(spec.repo, spec.revision, names, offline=offline)
    files = tuple(folder / name for name in names)
    if missing := [file.name for file in files if not file.is_file()]:
        raise ModelUnavailable(f"{spec.repo} lacks {', '.join(missing)}.")
    return CheckpointFiles(folder, {}, {"model": tuple(file for file in files if file.suffix == ".safetensors")})


def with_loaded_revision(spec: ModelSpec, folder: Path) -> ModelSpec:
    """The row of what was loaded from `folder`: a snapshot is named by its commit, where "main" tells nothing later."""
    return replace(spec, revision=spec.revision if Path(spec.repo).is_dir() else folder.name)


def list_sources(spec: ModelSpec) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """What `find` fetches, as (repository, revision, file patterns)."""
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
    """One file of a repository, or the folder of a model."""
    repo, _, file = source.partition("::")
    folder = checkpoint.fetch_snapshot(repo, "", (file,) if file else _MODEL_FILE_NAMES, offline=offline)
    path = folder / file if file else folder
    if not (path if file else path / _MODEL_FILE_NAMES[1]).is_file():
        raise ModelUnavailable(f"{repo} lacks {file or _MODEL_FILE_NAMES[1]}.")
    return path


# ---------------------------------------------------------------- loading


def _loading_arguments(spec: ModelSpec, device: str) -> dict[str, Any]:
    """`device_map` reads each tensor straight to its place; `.to(device)` after mmap takes ten times as long."""
    import torch

    return {"dtype": getattr(torch, spec.dtype), "device_map": device}


def _load_tiny_autoencoder(folder: Path, common: Mapping[str, Any]) -> Any:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    return AutoencoderTiny.from_pretrained(folder, **common)


def _check_package(spec: ModelSpec) -> None:
    package = dict(spec.options).get("package")
    if package and importlib.util.find_spec(package) is None:
        raise ModelUnavailable(f"Model {spec.id} needs the package {package}: pip install {package}.")
    if package:
        importlib.import_module(package)  # it registers how its weights are read


def _text_encoder_mode(spec: ModelSpec) -> str:
    """How the text encoder is kept; empty: as the rest."""
    return dict(spec.options).get("text_encoder", "")


def _load_streamed_encoder(folder: Path, spec: ModelSpec, device: str) -> Any:
    """The text encoder in main memory; each layer visits the device when it is its turn."""
    import torch
    from diffusers.hooks.group_offloading import apply_group_offloading

    encoder = _load_encoder(folder, spec)
    apply_group_offloading(
        encoder.eval(), torch.device(device), torch.device("cpu"), offload_type="leaf_level",
        use_stream=device.startswith("cuda"),
    )  # fmt: skip
    return encoder


def _load_int8_encoder(folder: Path, spec: ModelSpec, device: str) -> Any:
    """The text encoder on the device, each weight of a linear layer quantized as it arrives there."""
    from torchao.quantization import Int8WeightOnlyConfig  # pyright: ignore[reportMissingImports]
    from transformers import TorchAoConfig

    return _load_encoder(
        folder, spec, device_map=device, quantization_config=TorchAoConfig(Int8WeightOnlyConfig())
    ).eval()


def _load_encoder(folder: Path, spec: ModelSpec, **more: Any) -> Any:
    import torch
    import transformers

    named = checkpoint.read_model_index(folder)["text_encoder"]
    assert isinstance(named, list)
    return getattr(transformers, named[1]).from_pretrained(
        folder / "text_encoder", dtype=getattr(torch, spec.dtype), use_safetensors=True, **more
    )


def _fuse_lora(pipe: Any, adapter: Path) -> None:
    """Fold a LoRA into the weights, because an adapter that stays would be seen by every view and cost every step."""
    pipe.load_lora_weights(adapter.parent, weight_name=adapter.name, use_safetensors=True)
    pipe.fuse_lora()
    pipe.unload_lora_weights()


def _replace_scheduler(pipe: Any, options: Mapping[str, str]) -> None:
    import diffusers

    kind = getattr(diffusers, options["scheduler"]) if "scheduler" in options else type(pipe.scheduler)
    changed = json.loads(options.get("scheduler_config", "{}"))
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **changed)


def _compile_blocks(pipe: Any, backend: str) -> None:
    """The blocks that a net repeats, compiled once for all of them: most of the speed for a fraction of the wait."""
    net = getattr(pipe, "transformer", None) or pipe.unet
    net.compile_repeated_blocks(backend=backend)


def _configure_vae(vae: Any, spec: ModelSpec) -> None:
    """Decode in tiles of 1280 px where a side is longer, so that memory ends growing at about 1.5 megapixels."""
    if spec.dtype != "float16" and "force_upcast" in vae.config:
        # SDXL's pipelines cast a VAE that says so to float32 and back on every call, which only float16 needs.
        vae.register_to_config(force_upcast=False)
    if is_tiny_autoencoder(vae):
        return
    enable_tiled_decoding(vae, _VAE_TILE_PX)
