"""Models as data (`ModelSpec`, `Profile`) and the protocols of a loaded model and of a family."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pipelines.core.params import Verb
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest


@dataclass(frozen=True)
class ModelSpec:
    """A model as data. `bytes` and `min_vram` in bytes, 0 when not known before loading.

    `files` maps a path below `assets/models` to its sha256 for models that ship with the project; `repo` and
    `revision` name a hub repository or a local folder otherwise. `dtype` "auto" is the best of the device. `options`
    are words that only the family reads, such as an adapter's repository. `beside`: bytes that stay in main memory.
    `fetched`: bytes that come from the hub, where they are not those two together.
    """

    id: str
    family: str
    verbs: tuple[Verb, ...]
    licence: str
    repo: str = ""
    revision: str = ""
    files: tuple[tuple[str, str], ...] = ()
    commercial_ok: bool = True
    defaults: tuple[tuple[str, float], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    dtype: str = "float32"
    bytes: int = 0
    min_vram: int = 0
    host_bytes: int = 0
    download_bytes: int = 0


class Model(Protocol):
    """A loaded model. `draw` calls `on_step` once per step, which may raise `Cancelled` and must leave it clean."""

    spec: ModelSpec

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages: ...

    def close(self) -> None: ...


@runtime_checkable
class BatchingModel(Protocol):
    """What a model may add: drawing several orders in one call, each as it is alone to within 1 of 255."""

    def batch_key(self, render: RenderRequest) -> tuple[Hashable, int] | None:
        """What two orders must have in common to share a call, and the tokens a picture adds to a step of it.

        None for an order that is drawn alone, such as one with pictures of its owner's.
        """
        ...

    def draw_batch(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[RenderedImages]:
        """As `draw` does each; `on_step` is told a step for every order. Only for orders that are `alike`."""
        ...


@runtime_checkable
class OffloadableModel(Protocol):
    """What a model may add: leaving the device for the host's memory, and coming back faster than it was loaded."""

    def to_host(self) -> None: ...

    def to_device(self) -> None: ...


class ModelFamily(Protocol):
    """One file in `models/families`: its rows and how to load one."""

    specs: tuple[ModelSpec, ...]

    def load(self, spec: ModelSpec, device: str) -> Any: ...

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Bytes that loading will take, known before loading."""
        ...


@dataclass(frozen=True)
class Profile:
    """A spec id per verb, and the reason why this profile was taken; `fallen`: in place of one that should serve."""

    id: str
    specs: Mapping[Verb, str]
    title: str
    reason: str = ""
    is_fallback: bool = False
