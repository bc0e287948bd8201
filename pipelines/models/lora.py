"""Puts LoRAs on a loaded pipeline for one drawing and takes them off again; knows neither families nor jobs.

LoRAs sit on modules that every view shares, so a drawing that wears some has the model to itself, and drawings without
any run side by side. Nothing is fused: what is taken off leaves the weights as they were, bit for bit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.models import checkpoint
from pipelines.types import Adapter, BadInput, ModelUnavailable


class Closet:
    """Who wears what on one pipeline. Safe from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bare = 0
        self._worn = False
        self._waiting = 0

    @contextmanager
    def wearing(self, pipe: Any, adapters: Sequence[Adapter]) -> Iterator[None]:
        """`pipe` with exactly these LoRAs, and with none afterwards, whatever happens in between.

        Raises `BadInput` for one that does not fit the model, `ModelUnavailable` for one that cannot be had.
        """
        if not adapters:
            with self._shared():
                yield
            return
        files = [find(adapter.source) for adapter in adapters]
        with self._alone():
            try:
                _put_on(pipe, adapters, files)
                yield
            finally:
                pipe.unload_lora_weights()

    @contextmanager
    def _shared(self) -> Iterator[None]:
        with self._changed:
            # Those who wait to be alone go first, else they might wait for ever.
            self._changed.wait_for(lambda: not self._worn and not self._waiting)
            self._bare += 1
        try:
            yield
        finally:
            with self._changed:
                self._bare -= 1
                self._changed.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._worn and not self._bare)
            self._waiting -= 1
            self._worn = True
        try:
            yield
        finally:
            with self._changed:
                self._worn = False
                self._changed.notify_all()


def find(source: str) -> Path:
    """The safetensors file of a LoRA: a path, or a hub id as `owner/name` or `owner/name::file.safetensors`.

    Other formats are refused, since they may carry code. Raises `BadInput` or `ModelUnavailable`.
    """
    repo, _, name = source.partition("::")
    path = Path(repo)
    if path.is_file() and not name:
        return _checked(path)
    if not path.is_dir() and repo.count("/") != 1:
        raise BadInput("A LoRA is a .safetensors file, or a hub id such as owner/name.")
    if name and not name.endswith(".safetensors"):
        raise BadInput("Only LoRAs in the safetensors format are taken.")
    folder = checkpoint.fetch(repo, "", [name or "*.safetensors"])
    files = [folder / name] if name else sorted(folder.glob("*.safetensors"))
    if len(files) != 1 or not files[0].is_file():
        names = ", ".join(file.name for file in files) or "none"
        raise ModelUnavailable(f"{repo} must hold the one LoRA, or its file be named; found: {names}.")
    return _checked(files[0])


def _checked(file: Path) -> Path:
    if file.suffix != ".safetensors" or not checkpoint.is_safetensors(file):
        raise BadInput("Only LoRAs in the safetensors format are taken.")
    return file


def _put_on(pipe: Any, adapters: Sequence[Adapter], files: Sequence[Path]) -> None:
    names = [f"lora-{number}" for number in range(len(files))]
    for name, file in zip(names, files, strict=True):
        try:
            pipe.load_lora_weights(file.parent, weight_name=file.name, adapter_name=name, use_safetensors=True)
        except (ValueError, RuntimeError, KeyError) as error:
            raise BadInput(f"The LoRA {file.name} does not fit this model.") from error
        if not any(name in worn for worn in pipe.get_list_adapters().values()):
            raise BadInput(f"The LoRA {file.name} does not fit this model.")
    pipe.set_adapters(names, [adapter.weight for adapter in adapters])
