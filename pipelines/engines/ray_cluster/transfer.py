"""What crosses between the studio and the workers of a cluster: a job with its pictures, its outcome with its files.

A file travels as bytes, or as a URL on a store that both sides reach (any fsspec URL: a mounted folder, S3, …).
"""

from __future__ import annotations

import hashlib
import posixpath
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from pipelines.core.errors import StudioError, error_from_json, error_to_json
from pipelines.core.job import Job, Result
from pipelines.models.model_cache import ResidentModel
from pipelines.runtime.context import iter_pictures
from pipelines.security.audit_log import AuditVerdict
from pipelines.storage.file_index import PUBLIC_OWNER, FileIndex, FileInfo
from pipelines.storage.fsspec_store import open_filesystem, write_file

Refusal = tuple[AuditVerdict, str, tuple[str, ...]]  # the arguments of `AuditLog.record_refusal`

_BYTES_AS_BASE64 = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@dataclass(frozen=True)
class PackedFile:
    """A stored file: its row, its bytes or the URL where they lie, and the provenance that it came with."""

    __pydantic_config__ = _BYTES_AS_BASE64

    info: FileInfo
    data: bytes | str
    is_example: bool = False
    provenance: bytes | None = None
    placed_provenance: bytes | None = None
    wide_copy: bytes | None = None


@dataclass(frozen=True)
class WorkerState:
    """A worker process: its device, the models it holds, loads and steps since it started."""

    pid: int
    device: str
    budget_bytes: int | None
    resident: tuple[ResidentModel, ...]
    load_counts: dict[str, int]
    steps: int


@dataclass(frozen=True)
class JobOutcome:
    """The end of a job: its result and files, or its error with the traceback for the log."""

    state: WorkerState
    result: Result | None = None
    files: tuple[PackedFile, ...] = ()
    error: BaseException | None = None
    trace: str = ""
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class JobPackage:
    """A job as a row of a data set: with where its pictures lie, as JSON. Nothing here is unpickled."""

    job: Job
    inputs: tuple[PackedFile, ...]


@dataclass(frozen=True)
class _OutcomeRow:
    """`JobOutcome` as JSON; its files lie on the store. `error` is that of `error_to_json`, empty for a bug."""

    job_id: str
    state: dict[str, Any]
    result: Result | None
    files: tuple[PackedFile, ...]
    error: dict[str, Any] | None
    trace: str
    refusals: tuple[Refusal, ...]


JOB_PACKAGE_ADAPTER = TypeAdapter(JobPackage)
"""Writes a job and its inputs, whose data must be URLs, as JSON, and reads it."""
_OUTCOME_ADAPTER = TypeAdapter(_OutcomeRow)


def outcome_to_json(outcome: JobOutcome, job_id: str) -> bytes:
    """Write an outcome, whose files must lie on the store, as JSON."""
    error = error_to_json(outcome.error) if isinstance(outcome.error, StudioError) else {} if outcome.error else None
    row = (job_id, vars(outcome.state), outcome.result, outcome.files, error, outcome.trace, outcome.refusals)
    return _OUTCOME_ADAPTER.dump_json(_OutcomeRow(*row))


def outcome_from_json(data: bytes) -> tuple[str, JobOutcome]:
    """Rebuild the job's id and the outcome that `outcome_to_json` wrote; a bug comes back as a `RuntimeError`."""
    row = _OUTCOME_ADAPTER.validate_json(data)
    error = None if row.error is None else error_from_json(row.error) if row.error else RuntimeError(row.trace)
    state = WorkerState(**row.state | {"resident": tuple(row.state["resident"])})
    return row.job_id, JobOutcome(state, row.result, row.files, error, row.trace, row.refusals)


class FileTransport:
    """Packs files of `files` and unpacks those of the other side, by way of the store at `url` if there is one.

    On the store each job has a folder of its own.
    """

    def __init__(self, files: FileIndex, url: str) -> None:
        self._files = files
        self._url = url.rstrip("/")

    def pack_files(self, file_ids: Iterable[str], job: Job, *, by_path: bool = False) -> tuple[PackedFile, ...]:
        """Pack files of `job`; `by_path` sends where they lie, if workers read this folder too. Raises `NotFound`."""
        return tuple(self._pack_file(file_id, job, by_path) for file_id in file_ids)

    def unpack_files(self, packed: tuple[PackedFile, ...], job: Job) -> None:
        """Import files of `job` from the other side."""
        for file in packed:
            data = file.data
            if isinstance(data, str):
                fs, path = open_filesystem(data)
                data = fs.cat_file(path)
            self._files.import_file(file.info, data, defer_sync=job.waited)
            if file.is_example:
                self._files.import_file(replace(file.info, owner=PUBLIC_OWNER), b"", defer_sync=job.waited)
            if file.provenance is not None:
                self._files.save_provenance(file.info.id, job.owner, file.provenance, file.placed_provenance)
            if file.wide_copy is not None:
                self._files.save_wide_copy(file.info.id, job.owner, file.wide_copy)

    def save_outcome(self, outcome: JobOutcome, job_id: str) -> None:
        """Write the outcome of a job to the store."""
        self._write(posixpath.join(self._url, job_id, "outcome.json"), outcome_to_json(outcome, job_id))

    def load_outcome(self, job_id: str) -> JobOutcome | None:
        """The outcome that `save_outcome` wrote, None if there is none."""
        fs, path = open_filesystem(posixpath.join(self._url, job_id, "outcome.json"))
        return outcome_from_json(fs.cat_file(path))[1] if fs.exists(path) else None

    def delete_job(self, job_id: str) -> None:
        """Delete everything of this job from the store."""
        if self._url:
            fs, path = open_filesystem(posixpath.join(self._url, job_id))
            if fs.exists(path):
                fs.rm(path, recursive=True)

    def _pack_file(self, file_id: str, job: Job, by_path: bool) -> PackedFile:
        info = self._files.get_info(file_id, job.owner)
        if by_path:
            data = f"file://{self._files.local_path(file_id, job.owner).resolve()}"
        else:
            data = self._files.read_bytes(file_id, job.owner)
            if self._url:
                data = self._write(posixpath.join(self._url, job.id, hashlib.sha256(data).hexdigest()), data)
        past = (self._files.load_provenance(file_id, job.owner, as_component=placed) for placed in (False, True))
        wide_copy = self._files.load_wide_copy(file_id, job.owner) if info.role == "upload" else None
        return PackedFile(info, data, self._files.is_example(file_id), *past, wide_copy=wide_copy)

    def _write(self, url: str, data: bytes) -> str:
        fs, path = open_filesystem(url)
        write_file(fs, path, data, f"{path}.{uuid.uuid4().hex}")
        return url


def list_picture_ids(job: Job) -> tuple[str, ...]:
    """The ids of the pictures that the form of `job` names."""
    return tuple(dict.fromkeys(file_id for _, file_id in iter_pictures(job.params)))
