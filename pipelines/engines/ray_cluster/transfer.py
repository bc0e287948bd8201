"""What of a job crosses to another machine and back: the job, its pictures, its result; knows no cluster.

A file travels as its row and its bytes, or as its row and a name on a store that both sides reach (any fsspec URL: a
folder that is mounted everywhere, S3, …).
"""

from __future__ import annotations

import hashlib
import posixpath
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pipelines.core.job import Job, Result, Step
from pipelines.models.devices import Machine
from pipelines.models.model_cache import ResidentModel
from pipelines.runtime.context import iter_pictures
from pipelines.storage.file_index import PUBLIC_OWNER, FileIndex, FileInfo
from pipelines.storage.fsspec_store import open_filesystem, write_file


@dataclass(frozen=True)
class Kept:
    """A stored file as it travels. `data`: its bytes, or where they lie; `past`, `placed`: what it said of itself."""

    info: FileInfo
    data: bytes | str
    example: bool = False
    past: bytes | None = None
    placed: bytes | None = None


@dataclass(frozen=True)
class Order:
    """A job on its way to a worker. `watched`: somebody looks at its previews."""

    job: Job
    files: tuple[Kept, ...]
    watched: bool


@dataclass(frozen=True)
class State:
    """How a worker stands: what it computes on, the models that lie there, loads and steps since it began."""

    pid: int
    machine: Machine
    device: str
    budget: int | None
    resident: tuple[ResidentModel, ...]
    loads: dict[str, int]
    steps: int


@dataclass(frozen=True)
class Refusal:
    """What the content gate said no to over there, for the log of the studio."""

    what: Any
    owner: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """The end of a job: its result and files, or its error; `trace` is where a bug lies, for the log."""

    state: State
    result: Result | None = None
    files: tuple[Kept, ...] = ()
    error: BaseException | None = None
    trace: str = ""
    refusals: tuple[Refusal, ...] = ()


Told = tuple[Step, ...] | Ended


class Carrier:
    """How bytes travel: as they are, or by way of the store at `url`, where each job has a folder of its own."""

    def __init__(self, url: str = "") -> None:
        self._url = url.rstrip("/")

    def wrap(self, data: bytes, job_id: str) -> bytes | str:
        """What is sent in place of `data`."""
        if not self._url:
            return data
        url = posixpath.join(self._url, job_id, hashlib.sha256(data).hexdigest())
        self.keep(url, data)
        return url

    def keep(self, url: str, data: bytes) -> None:
        """Write it there, whole or not at all."""
        fs, path = open_filesystem(url)
        write_file(fs, path, data, f"{path}.{uuid.uuid4().hex}")

    def found(self, url: str) -> str | None:
        """The text that lies there, None where there is none."""
        fs, path = open_filesystem(url)
        return fs.cat_file(path).decode() if fs.exists(path) else None

    def open(self, sent: bytes | str) -> bytes:
        """The bytes again."""
        if isinstance(sent, bytes):
            return sent
        fs, path = open_filesystem(sent)
        return fs.cat_file(path)

    def clear(self, job_id: str) -> None:
        """Nothing of this job is needed on the store any more."""
        if self._url:
            fs, path = open_filesystem(posixpath.join(self._url, job_id))
            if fs.exists(path):
                fs.rm(path, recursive=True)


def pack_order(job: Job, files: FileIndex, carrier: Carrier, *, watched: bool) -> Order:
    """`job` with the pictures that its form names. Raises `not_found`."""
    ids = dict.fromkeys(file_id for _, file_id in iter_pictures(job.params))
    return Order(job, tuple(_pack(file_id, job, files, carrier) for file_id in ids), watched)


def pack_result(result: Result, job: Job, files: FileIndex, carrier: Carrier) -> tuple[Kept, ...]:
    """Every file of `result`."""
    return tuple(_pack(file.id, job, files, carrier) for file in result.files)


def _pack(file_id: str, job: Job, files: FileIndex, carrier: Carrier) -> Kept:
    info = files.get_info(file_id, job.owner)
    data = carrier.wrap(files.read_bytes(file_id, job.owner), job.id)
    pasts = (files.load_provenance(file_id, job.owner, placed=placed) for placed in (False, True))
    return Kept(info, data, files.is_example(file_id), *pasts)


def unpack(kept: Kept, files: FileIndex, carrier: Carrier, owner: str, *, later: bool = False) -> None:
    """Keep a file that came from the other side."""
    files.import_file(kept.info, carrier.open(kept.data), defer_sync=later)
    if kept.example:
        files.import_file(replace(kept.info, owner=PUBLIC_OWNER), b"", defer_sync=later)
    if kept.past is not None:
        files.save_provenance(kept.info.id, owner, kept.past, kept.placed)


def ids(order: Order) -> Iterator[str]:
    """Of the pictures that travel with it."""
    return (kept.info.id for kept in order.files)
