"""Jobs, the events of their stream, and the files and result at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.geometry import Image
from pipelines.core.params import MAX_SEED

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]


class Job(BaseModel):
    """Everything that affects one picture, as plain JSON. `specs` maps each verb, and `matte`, to a spec's id.

    `consent` is when the owner said that the person in the photo agrees, as Unix time. `notices` are what the door had
    to say about the pictures, for the receipt. `helper`: a page ordered it for its own use, so it is in no list.
    `watermark`: pictures outside Exact get the invisible mark.
    `waited`: its caller holds the line and is gone with a power cut, so nothing of it has to lie on the disk at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tool: str
    params: dict[str, Any]
    seed: int = Field(ge=0, le=MAX_SEED)
    profile: str
    specs: dict[str, str]
    owner: str
    created: float
    consent: float | None = None
    notices: tuple[str, ...] = ()
    draft: bool = False
    batch: bool = False
    helper: bool = False
    watermark: bool = False
    adapters: dict[str, float] = Field(default_factory=dict)
    waited: bool = False


@dataclass(frozen=True)
class QueuePosition:
    """`position` 1 is next in line."""

    position: int


@dataclass(frozen=True)
class Step:
    """Work went on: `index` of `total` (1-based), `preview` a small JPEG or None."""

    index: int
    total: int
    stage: str
    preview: bytes | None = None


@dataclass(frozen=True)
class File:
    """One written file of a job; `name` is what it should be called on disk, "" where the tool has no word for it.

    Width, height and `pixels_sha256` of an `Extra` are those of its first frame: what does not change when the same
    job runs again, where the bytes carry a new signature each time.
    """

    id: str
    role: Literal["result", "matte", "layers"]
    width: int
    height: int
    format: str
    pixels_sha256: str
    name: str = ""


@dataclass(frozen=True)
class Result:
    """The end of a job that went well. `seconds` is the time from claim to done."""

    files: tuple[File, ...]
    receipt: dict[str, Any]
    seconds: float


Event: TypeAlias = "QueuePosition | Step | Result"

Preview: TypeAlias = "Image | Callable[[], Image] | None"


class ProgressCallback(Protocol):
    """The one way for work to report, and the one place where previews are gated, thinned and thrown away.

    Raises `Cancelled` when the job was cancelled, so that a call between two steps is what makes a tool stoppable.
    `preview` may be a callable: it is called only when somebody watches and a frame is due.
    """

    def __call__(self, stage: str, index: int, total: int, preview: Preview = None) -> None: ...
