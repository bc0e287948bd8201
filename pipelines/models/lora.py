"""LoRAs: applies them to a loaded pipeline for one drawing and removes them again; finds and checks their files.

LoRAs are attached to modules that every view of a pipeline shares, so a drawing with LoRAs has the model to itself, and
drawings without any run side by side. Nothing is fused: after removal the weights are as before, bit for bit. On a
compiled model the adapter of one LoRA stays, switched off, and the weights of the next one are swapped in (hotswap), so
that nothing is compiled again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.rendering import Adapter
from pipelines.models import checkpoint, pinned_revisions

_FILE_NAME_PATTERN = re.compile(r"[\w][\w .()+-]*\.safetensors")
_HUB_ID_PATTERN = re.compile(r"[\w][\w.-]*/[\w][\w.-]*(::[\w][\w./ -]*\.safetensors)?")
_SLOT_NAME = "place"
_MAX_HOTSWAP_RANK = 128  # rank of the largest LoRA that a compiled model takes without being compiled again


class LoraSlots:
    """The LoRAs on one pipeline, which may be `compiled`. Safe from any thread."""

    def __init__(self, *, compiled: bool = False) -> None:
        self._is_compiled = compiled
        self._has_slot = False
        self._condition = threading.Condition()
        self._shared_count = 0
        self._is_exclusive = False
        self._waiting_count = 0

    @contextmanager
    def applied(self, pipe: Any, adapters: Sequence[Adapter]) -> Iterator[None]:
        """Apply exactly these LoRAs to `pipe` in the context. Raises `BadInput` for a misfit, `ModelUnavailable`."""
        if not adapters:
            with self._shared_access():
                yield
            return
        files = [find_lora_file(adapter.source) for adapter in adapters]
        with self._exclusive_access():
            swaps, is_complete = self._is_compiled and len(files) == 1, False
            try:
                self._hotswap_first(pipe, adapters[0], files[0]) if swaps else self._load_all(pipe, adapters, files)
                is_complete = True
                yield
            finally:
                self._remove_all(pipe, keep_slot=swaps and is_complete)

    def _load_all(self, pipe: Any, adapters: Sequence[Adapter], files: Sequence[Path]) -> None:
        if self._has_slot:
            pipe.unload_lora_weights()
            self._has_slot = False
        names = [f"lora-{number}" for number in range(len(files))]
        for name, file in zip(names, files, strict=True):
            _load_adapter(pipe, file, name)
        pipe.set_adapters(names, [adapter.weight for adapter in adapters])

    def _hotswap_first(self, pipe: Any, adapter: Adapter, file: Path) -> None:
        """Load the first LoRA with room for larger ranks; copy the weights of later ones over it."""
        if not self._has_slot:
            net = getattr(pipe, "transformer", None) or pipe.unet
            net.enable_lora_hotswap(target_rank=_MAX_HOTSWAP_RANK, check_compiled="ignore")
        else:
            pipe.enable_lora()
        _load_adapter(pipe, file, _SLOT_NAME, hotswap=self._has_slot)
        self._has_slot = True
        pipe.set_adapters([_SLOT_NAME], [adapter.weight])

    def _remove_all(self, pipe: Any, *, keep_slot: bool) -> None:
        """Remove the LoRAs; with `keep_slot` only switch off the one adapter of a compiled model."""
        if keep_slot:
            pipe.disable_lora()
            return
        pipe.unload_lora_weights()
        self._has_slot = False

    @contextmanager
    def _shared_access(self) -> Iterator[None]:
        with self._condition:
            # Threads that wait for exclusive access go first, else they might wait for ever.
            self._condition.wait_for(lambda: not self._is_exclusive and not self._waiting_count)
            self._shared_count += 1
        try:
            yield
        finally:
            with self._condition:
                self._shared_count -= 1
                self._condition.notify_all()

    @contextmanager
    def _exclusive_access(self) -> Iterator[None]:
        with self._condition:
            self._waiting_count += 1
            self._condition.wait_for(lambda: not self._is_exclusive and not self._shared_count)
            self._waiting_count -= 1
            self._is_exclusive = True
        try:
            yield
        finally:
            with self._condition:
                self._is_exclusive = False
                self._condition.notify_all()


class LoraLibrary:
    """The LoRAs that a form may name: files of one folder, and the repositories of `pinned_revisions`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list_names(self) -> tuple[str, ...]:
        """List the file names in the folder, sorted."""
        return tuple(sorted(file.name for file in self.folder.glob("*.safetensors"))) if self.folder.is_dir() else ()

    def resolve_source(self, name: str) -> str:
        """Return the `Adapter.source` for a file name or hub id. Raises `BadInput` where it is not available."""
        if _FILE_NAME_PATTERN.fullmatch(name) and (self.folder / name).is_file():
            return str(self.folder / name)
        if not _HUB_ID_PATTERN.fullmatch(name):
            raise BadInput(
                "A style file (LoRA) is a .safetensors file in the studio's loras folder, or its name at Hugging Face."
            )
        if name.partition("::")[0] not in pinned_revisions.PINS:
            raise BadInput(f"The style file {name} is not known here: lay it into the studio's loras folder.")
        return name


def find_lora_file(source: str) -> Path:
    """Find a LoRA's safetensors: a path, `owner/name` or `owner/name::file`. Raises `BadInput`, `ModelUnavailable`."""
    repo, _, name = source.partition("::")
    path = Path(repo)
    if path.is_file() and not name:
        return _check_safetensors(path)
    if not path.is_dir() and repo.count("/") != 1:
        raise BadInput("A style file (LoRA) is a .safetensors file, or its name at Hugging Face (owner/name).")
    if name and not name.endswith(".safetensors"):
        raise BadInput("Style files (LoRA) are taken as .safetensors only.")
    folder = _find_folder(repo, name or "*.safetensors")
    files = [folder / name] if name else sorted(folder.glob("*.safetensors"))
    if len(files) != 1 or not files[0].is_file():
        names = ", ".join(file.name for file in files) or "none"
        raise ModelUnavailable(f"{repo} must hold one style file (LoRA), or the file be named; found: {names}.")
    return _check_safetensors(files[0])


def _find_folder(repo: str, pattern: str) -> Path:
    """Find the folder of a LoRA; download it only where it is not on this machine."""
    try:
        folder = checkpoint.fetch_snapshot(repo, "", [pattern], offline=True)
    except ModelUnavailable:
        folder = None
    return folder if folder and any(folder.glob(pattern)) else checkpoint.fetch_snapshot(repo, "", [pattern])


def _check_safetensors(file: Path) -> Path:
    if file.suffix != ".safetensors" or not checkpoint.is_safetensors(file):
        raise BadInput("Style files (LoRA) are taken as .safetensors only.")
    return file


def _load_adapter(pipe: Any, file: Path, name: str, *, hotswap: bool = False) -> None:
    more = {"hotswap": True} if hotswap else {}
    try:
        pipe.load_lora_weights(file.parent, weight_name=file.name, adapter_name=name, use_safetensors=True, **more)
    except (ValueError, RuntimeError, LookupError) as error:
        raise BadInput(f"The style file (LoRA) {file.name} does not fit this model.") from error
    if not any(name in names for names in pipe.get_list_adapters().values()):
        raise BadInput(f"The style file (LoRA) {file.name} does not fit this model.")
