"""Jobs, the events of their stream, and the result with its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.geometry import Image
from pipelines.core.params import MAX_SEED

FileRole = Literal["result", "matte", "layers", "master"]
"""`master`: a picture once more, for print and editors."""
JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]


class Job(BaseModel):
    """Everything that affects one picture, as plain JSON.

    `specs` maps each verb, and `matte`, to the id of a model spec. `consent` is the Unix time at which the owner said
    that the person in the photo agrees. `notices` are sentences about the uploads, for the receipt. `helper`: the page
    ordered it for its own use, so no list shows it. `watermark`: pictures that are not Exact get the invisible mark.
    `closer`: a draft that waits for every net, so that its cut-out is that of the finished picture.
    `waited`: the caller waits on the connection, so a power cut ends both and no write has to reach the disk at once.
    `label` is what the photo was called, in safe characters, for the names of the files. `for_row` is the batch and the
    row whose picture was open on the page when this one was ordered, so that it can take that one's place.
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
    closer: bool = False
    batch: bool = False
    helper: bool = False
    watermark: bool = False
    adapters: dict[str, float] = Field(default_factory=dict)
    waited: bool = False
    label: str = ""
    for_row: tuple[str, int] | None = None


@dataclass(frozen=True)
class QueuePosition:
    """The job waits; at `position` 1 it is next."""

    position: int


FIRST_LOOK_STAGE, CLOSER_LOOK_STAGE = "First look", "Looking closer"
"""Stages in which a cut-out is shown that may still change: the small net's, alone and while the large one looks."""


@dataclass(frozen=True)
class Step:
    """The job made progress: step `index` of `total`, from 1; `preview` is a small JPEG or None."""

    index: int
    total: int
    stage: str
    preview: bytes | None = None


@dataclass(frozen=True)
class File:
    """One written file of a job; `name` is its name for a download, "" where the tool gives none.

    An animation or a document has the width, height and `pixels_sha256` of its first frame. They stay the same when the
    job runs again, while the bytes carry a new signature each time.
    """

    id: str
    role: FileRole
    width: int
    height: int
    format: str
    pixels_sha256: str
    name: str = ""


@dataclass(frozen=True)
class Result:
    """The files and the receipt of a job that succeeded. `seconds` is the time from claim to done."""

    files: tuple[File, ...]
    receipt: dict[str, Any]
    seconds: float


def result_to_json(result: Result) -> dict[str, Any]:
    """Return the result as plain JSON. `dataclasses.asdict` would copy the whole receipt."""
    return {"files": [vars(file) for file in result.files], "receipt": result.receipt, "seconds": result.seconds}


def result_from_json(data: dict[str, Any]) -> Result:
    """Rebuild the result that `result_to_json` wrote."""
    return Result(tuple(File(**file) for file in data["files"]), data["receipt"], data["seconds"])


Event: TypeAlias = "QueuePosition | Step | Result"

Preview: TypeAlias = "Image | Callable[[], Image] | None"


class ProgressCallback(Protocol):
    """Reports one step of a job. Raises `JobCancelled` when the job was cancelled, which is how a tool stops.

    `preview` may be a function: it is called only when somebody watches and the next preview is due.
    """

    def __call__(self, stage: str, index: int, total: int, preview: Preview = None) -> None: ...
