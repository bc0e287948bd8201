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
from pipelines.models.diffusion.pipeline import Painter, is_tiny
from pipelines.models.diffusion.vae_tiling import tiled

_COMPONENTS = ("text_encoder", "text_encoder_2", "transformer", "unet", "vae")
_PARTS = ("adapter", "decoder", "preview", "controlnet")
_TILE = 1280  # pixels a side: 1.6 megapixels
_FOLDER = ("config.json", "diffusion_pytorch_model.safetensors")

NetLoader = Callable[[Path, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Found:
    """Where a spec lies: its checkpoint, its other parts by option (a file or a folder), the weights by component."""

    folder: Path
    parts: Mapping[str, Path]
    weights: Mapping[str, tuple[Path, ...]]


class Checkpoints:
    """A family of diffusers checkpoints. `specs` are its rows; tests give it rows of their own.

    kinds: names of the pipeline classes that a checkpoint may be of. without: arguments for what is not loaded.
    net: reads a ControlNet from its file or folder.
    """

    def __init__(
        self,
        specs: tuple[ModelSpec, ...],
        painter: type[Painter],
        kinds: tuple[str, ...],
        *,
        without: Mapping[str, Any] | None = None,
        net: NetLoader | None = None,
    ) -> None:
        self.specs = specs
        self._painter = painter
        self._kinds = kinds
        self._without = without or {}
        self._net = net
        self._factors: dict[Path, latent_preview.Factors] = {}

    def size_of(self, spec: ModelSpec) -> int:
        """Bytes of the weights as they will lie on the device, by their headers; brings what is not on this machine."""
        reads = _encodes(spec)
        rows = find(spec).weights.items()
        # A fused adapter takes no room of its own.
        return sum(
            checkpoint.size(files, spec.dtype, int8=reads == "int8" and name == "text_encoder")
            for name, files in rows if name != "adapter" and not (reads == "streamed" and name == "text_encoder")
        )  # fmt: skip

    def load(self, spec: ModelSpec, device: str) -> Painter:
        """The checkpoint on `device` in its final state. Raises `ModelUnavailable` or `OutOfMemory`."""
        import torch

        _check_package(spec)
        found = find(spec)
        try:
            pipe = self._pipeline(found, spec, device)
            decoder = self._decoder(found, spec, device) or (pipe.vae if is_tiny(pipe.vae) else None)
            factors = None if decoder is not None else self._preview_factors(found.folder, pipe)
            extra = self._nets(found, spec, device)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(f"There was not enough memory on {device} to load model {spec.id}.") from error
        return self._painter(loaded(spec, found.folder), pipe, device, factors=factors, decoder=decoder, extra=extra)

    # ------------------------------------------------------------ private

    def _pipeline(self, found: Found, spec: ModelSpec, device: str) -> Any:
        import diffusers

        options, common = dict(spec.options), _common(spec, device)
        kind = str(checkpoint.index(found.folder)["_class_name"])
        if kind not in self._kinds:
            raise ModelUnavailable(f"{found.folder.name} holds a {kind}, which is not of the family {spec.family}.")
        wanted = inspect.signature(getattr(diffusers, kind).__init__).parameters
        parts = {name: value for name, value in self._without.items() if name in wanted}
        if "decoder" in found.parts:
            parts["vae"] = _tiny(found.parts["decoder"], common)
        if _encodes(spec) == "streamed":
            parts["text_encoder"] = _streamed(found.folder, spec, device)
        elif _encodes(spec) == "int8":
            parts["text_encoder"] = _in_8_bits(found.folder, spec, device)
        pipe = getattr(diffusers, kind).from_pretrained(
            found.folder, variant=options.get("variant"), use_safetensors=True, **common, **parts
        )
        if "adapter" in found.parts:
            _fuse(pipe, found.parts["adapter"])
        _reschedule(pipe, options)
        _settle_vae(pipe.vae, spec)
        if "compile" in options:
            _compile(pipe, options["compile"])
        return pipe

    def _decoder(self, found: Found, spec: ModelSpec, device: str) -> Any:
        return _tiny(found.parts["preview"], _common(spec, device)) if "preview" in found.parts else None

    def _nets(self, found: Found, spec: ModelSpec, device: str) -> dict[str, Any]:
        if "controlnet" not in found.parts:
            return {}
        assert self._net is not None
        return {"controlnet": self._net(found.parts["controlnet"], _common(spec, device))}

    def _preview_factors(self, folder: Path, pipe: Any) -> latent_preview.Factors:
        """Fitted once per checkpoint, not once per load."""
        if folder not in self._factors:
            self._factors[folder] = latent_preview.factors_of(pipe.vae)
        return self._factors[folder]


def find(spec: ModelSpec, *, offline: bool = False) -> Found:
    """The files of `spec`, brought from the hub unless `offline`; raises `ModelUnavailable` when one cannot be had.

    The hub is asked for what is not here only: else every load would wait for a hub that does not answer.
    """
    if offline:
        return _found(spec, offline=True)
    try:
        return _found(spec, offline=True)
    except ModelUnavailable:
        return _found(spec, offline=False)


def _found(spec: ModelSpec, *, offline: bool) -> Found:
    options = dict(spec.options)
    if "files" in options:
        return _found_whole(spec, options["files"].split(","), offline)
    variant = options.get("variant", "")
    wanted = [name for name in _COMPONENTS if not (name == "vae" and "decoder" in options)]
    folder = checkpoint.fetch(spec.repo, spec.revision, checkpoint.patterns(wanted, variant), offline=offline)
    listed = checkpoint.index(folder)
    weights = {name: checkpoint.weights(folder, [name], variant) for name in wanted if name in listed}
    checkpoint.check_readers(folder, listed)
    parts = {name: _part(options[name], offline) for name in _PARTS if name in options}
    weights |= {name: (path if path.is_file() else path / _FOLDER[1],) for name, path in parts.items()}
    return Found(folder, parts, weights)


def _found_whole(spec: ModelSpec, names: Sequence[str], offline: bool) -> Found:
    """A model that is no pipeline: these files of one repository."""
    folder = checkpoint.fetch(spec.repo, spec.revision, names, offline=offline)
    files = tuple(folder / name for name in names)
    if missing := [file.name for file in files if not file.is_file()]:
        raise ModelUnavailable(f"{spec.repo} lacks {', '.join(missing)}.")
    return Found(folder, {}, {"model": tuple(file for file in files if file.suffix == ".safetensors")})


def loaded(spec: ModelSpec, folder: Path) -> ModelSpec:
    """The row of what was loaded from `folder`: a snapshot is named by its commit, where "main" tells nothing later."""
    return replace(spec, revision=spec.revision if Path(spec.repo).is_dir() else folder.name)


def sources(spec: ModelSpec) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """What `find` fetches, as (repository, revision, file patterns)."""
    options = dict(spec.options)
    if "files" in options:
        return ((spec.repo, spec.revision, tuple(options["files"].split(","))),)
    wanted = [name for name in _COMPONENTS if not (name == "vae" and "decoder" in options)]
    rows = [(spec.repo, spec.revision, checkpoint.patterns(wanted, options.get("variant", "")))]
    for name in _PARTS:
        if name in options:
            repo, _, file = options[name].partition("::")
            rows.append((repo, "", (file,) if file else _FOLDER))
    return tuple(rows)


def _part(source: str, offline: bool) -> Path:
    """One file of a repository, or the folder of a model."""
    repo, _, file = source.partition("::")
    folder = checkpoint.fetch(repo, "", (file,) if file else _FOLDER, offline=offline)
    path = folder / file if file else folder
    if not (path if file else path / _FOLDER[1]).is_file():
        raise ModelUnavailable(f"{repo} lacks {file or _FOLDER[1]}.")
    return path


# ---------------------------------------------------------------- loading


def _common(spec: ModelSpec, device: str) -> dict[str, Any]:
    """`device_map` reads each tensor straight to its place; `.to(device)` after mmap takes ten times as long."""
    import torch

    return {"dtype": getattr(torch, spec.dtype), "device_map": device}


def _tiny(folder: Path, common: Mapping[str, Any]) -> Any:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    return AutoencoderTiny.from_pretrained(folder, **common)


def _check_package(spec: ModelSpec) -> None:
    package = dict(spec.options).get("package")
    if package and importlib.util.find_spec(package) is None:
        raise ModelUnavailable(f"Model {spec.id} needs the package {package}: pip install {package}.")
    if package:
        importlib.import_module(package)  # it registers how its weights are read


def _encodes(spec: ModelSpec) -> str:
    """How the text encoder is kept; empty: as the rest."""
    return dict(spec.options).get("text_encoder", "")


def _streamed(folder: Path, spec: ModelSpec, device: str) -> Any:
    """The text encoder in main memory; each layer visits the device when it is its turn."""
    import torch
    from diffusers.hooks.group_offloading import apply_group_offloading

    encoder = _encoder(folder, spec)
    apply_group_offloading(
        encoder.eval(), torch.device(device), torch.device("cpu"), offload_type="leaf_level",
        use_stream=device.startswith("cuda"),
    )  # fmt: skip
    return encoder


def _in_8_bits(folder: Path, spec: ModelSpec, device: str) -> Any:
    """The text encoder on the device, each weight of a linear layer quantized as it arrives there."""
    from torchao.quantization import Int8WeightOnlyConfig  # pyright: ignore[reportMissingImports]
    from transformers import TorchAoConfig

    return _encoder(folder, spec, device_map=device, quantization_config=TorchAoConfig(Int8WeightOnlyConfig())).eval()


def _encoder(folder: Path, spec: ModelSpec, **more: Any) -> Any:
    import torch
    import transformers

    named = checkpoint.index(folder)["text_encoder"]
    assert isinstance(named, list)
    return getattr(transformers, named[1]).from_pretrained(
        folder / "text_encoder", dtype=getattr(torch, spec.dtype), use_safetensors=True, **more
    )


def _fuse(pipe: Any, adapter: Path) -> None:
    """Fold a LoRA into the weights, because an adapter that stays would be seen by every view and cost every step."""
    pipe.load_lora_weights(adapter.parent, weight_name=adapter.name, use_safetensors=True)
    pipe.fuse_lora()
    pipe.unload_lora_weights()


def _reschedule(pipe: Any, options: Mapping[str, str]) -> None:
    import diffusers

    kind = getattr(diffusers, options["scheduler"]) if "scheduler" in options else type(pipe.scheduler)
    changed = json.loads(options.get("scheduler_config", "{}"))
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **changed)


def _compile(pipe: Any, backend: str) -> None:
    """The blocks that a net repeats, compiled once for all of them: most of the speed for a fraction of the wait."""
    net = getattr(pipe, "transformer", None) or pipe.unet
    net.compile_repeated_blocks(backend=backend)


def _settle_vae(vae: Any, spec: ModelSpec) -> None:
    """Decode in tiles of 1280 px where a side is longer, so that memory ends growing at about 1.5 megapixels."""
    if spec.dtype != "float16" and "force_upcast" in vae.config:
        # SDXL's pipelines cast a VAE that says so to float32 and back on every call, which only float16 needs.
        vae.register_to_config(force_upcast=False)
    if is_tiny(vae):
        return
    tiled(vae, _TILE)
