"""Model specifications and profiles as data, and the protocols of a loaded model and of a model family."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from pipelines.core.params import Verb
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest

GB = 10**9
LicenceState = Literal["commercial", "capped", "not-commercial"]
"""What a licence allows: to earn with the pictures, to do so below a cap that the owner confirms, or not to."""


@dataclass(frozen=True)
class ModelSpec:
    """A model as data. `bytes` and `min_vram` are in bytes, 0 when not known before loading.

    `files` maps a path below `assets/models` to its sha256 for models that ship with the project; otherwise `repo` and
    `revision` name a hub repository or a local folder. `dtype` "auto" is the best of the device, "auto-bfloat16" the
    same with bfloat16 where that would be float16, whose range is too small for some models. `options` are settings
    that only the family reads, such as an adapter's repository. `control_net` is the id of the spec of its ControlNet,
    which is loaded beside it for `control` alone. `revenue_cap` says in words up to what its pictures may be used
    commercially; empty where there is no such bound. `host_bytes` stay in main memory. `download_bytes` come from the
    hub, where they differ from `bytes + host_bytes`. `reads_one_picture`: an edit sees no other one beside it.
    """

    id: str
    family: str
    verbs: tuple[Verb, ...]
    licence: str
    repo: str = ""
    revision: str = ""
    files: tuple[tuple[str, str], ...] = ()
    commercial_ok: bool = True
    revenue_cap: str = ""
    defaults: tuple[tuple[str, float], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    control_net: str = ""
    dtype: str = "float32"
    bytes: int = 0
    min_vram: int = 0
    host_bytes: int = 0
    reads_one_picture: bool = False
    download_bytes: int = 0

    @property
    def licence_state(self) -> LicenceState:
        """What the licence allows."""
        if not self.commercial_ok:
            return "not-commercial"
        return "capped" if self.revenue_cap else "commercial"


class Model(Protocol):
    """A loaded model. `draw` calls `on_step` once per step; it must stay usable when that raises `JobCancelled`."""

    spec: ModelSpec

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages: ...

    def close(self) -> None: ...


@runtime_checkable
class BatchingModel(Protocol):
    """A model that draws several requests in one call; each picture is within 1 of 255 of that from a single call."""

    def batch_key(self, render: RenderRequest) -> tuple[Hashable, int] | None:
        """Return what requests must share to be drawn in one call, and a picture's tokens a step; None: alone."""
        ...

    def draw_batch(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[RenderedImages]:
        """Draw requests with the same `batch_key` in one call; `on_step` gets one step for each request."""
        ...


class ControlNet(Protocol):
    """A loaded ControlNet; `module` is its torch module."""

    module: Any


@runtime_checkable
class ControllableModel(Protocol):
    """A model that follows control maps with a ControlNet that is lent beside it."""

    def using_control_net(self, net: ControlNet) -> AbstractContextManager[None]:
        """Follow control maps with `net` in what this thread draws while the context is open."""
        ...


@runtime_checkable
class OffloadableModel(Protocol):
    """A model that can move to main memory and back to the device, faster than it can be loaded."""

    def to_host(self) -> None: ...

    def to_device(self) -> None: ...


@runtime_checkable
class HostMemoryModel(Protocol):
    """A model that knows what it takes of the host's memory."""

    def host_bytes(self) -> int:
        """Return the bytes that it takes there once it has moved."""
        ...

    def streamed_bytes(self) -> int:
        """Return the bytes that it takes there always, such as those of a text encoder that is streamed."""
        ...


class ModelFamily(Protocol):
    """A family of models, listed in `models/families`: its specs and how to load them."""

    @property
    def specs(self) -> tuple[ModelSpec, ...]: ...

    def load(self, spec: ModelSpec, device: str) -> Any: ...

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that loading will take."""
        ...


@dataclass(frozen=True)
class Profile:
    """A model spec id for each verb. `reason` says why it was chosen; `is_fallback`: the intended one cannot run."""

    id: str
    specs: Mapping[Verb, str]
    title: str
    reason: str = ""
    is_fallback: bool = False
