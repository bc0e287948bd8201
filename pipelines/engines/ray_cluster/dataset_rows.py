"""Jobs as rows of a data set: what a worker is handed and what it hands back, as JSON; knows no cluster.

A row's key is its job's id. Who finds its end on the store already does nothing again.
"""

from __future__ import annotations

import base64
import json
import posixpath
from pathlib import PurePath
from typing import Any

from pipelines.core.errors import StudioError
from pipelines.core.job import File, Job, Result
from pipelines.engines.ray_cluster.transfer import Carrier, Kept, pack_result, unpack
from pipelines.runtime.context import iter_pictures
from pipelines.storage.file_index import FileIndex, FileInfo

Row = dict[str, str]


def handed(job: Job, files: FileIndex) -> Row:
    """`job` with where its pictures lie in the studio's folder, which workers have to see. Raises `not_found`."""
    ids = dict.fromkeys(file_id for _, file_id in iter_pictures(job.params))
    rows = [_kept(_found(file_id, job, files)) for file_id in ids]
    return {"key": job.id, "job": job.model_dump_json(), "files": json.dumps(rows)}


def _found(file_id: str, job: Job, files: FileIndex) -> Kept:
    info = files.get_info(file_id, job.owner)
    pasts = (files.load_provenance(file_id, job.owner, placed=placed) for placed in (False, True))
    where = f"file://{files.local_path(file_id, job.owner).resolve()}"
    return Kept(info, where, files.is_example(file_id), *pasts)


def opened(row: Row, files: FileIndex, carrier: Carrier) -> Job:
    """The job of a row, its pictures in `files`."""
    job = Job.model_validate_json(row["job"])
    for each in json.loads(row["files"]):
        unpack(_restored(each), files, carrier, job.owner, later=True)
    return job


def ended(job: Job, result: Result | None, error: StudioError | None, files: FileIndex, carrier: Carrier) -> str:
    """How a job ended, its files on the way."""
    kept = pack_result(result, job, files, carrier) if result is not None else ()
    return json.dumps(
        {
            "result": _plain(result) if result is not None else None,
            "error": {"code": error.code, "message": error.message, "param": error.param} if error else None,
            "files": [_kept(each) for each in kept],
        }
    )


def settled(job: Job, text: str, files: FileIndex, carrier: Carrier) -> tuple[Result | None, StudioError | None]:
    """What `ended` said, the files in the studio now."""
    told: dict[str, Any] = json.loads(text)
    for each in told["files"]:
        unpack(_restored(each), files, carrier, job.owner)
    error = StudioError(**told["error"]) if told["error"] else None
    if told["result"] is None:
        return None, error
    found = told["result"]
    return Result(tuple(File(**file) for file in found["files"]), found["receipt"], found["seconds"]), None


def note(url: str, key: str) -> str:
    """Where the end of a row is written down."""
    return posixpath.join(url, key, "ended.json")


def _plain(result: Result) -> dict[str, Any]:
    return {"files": [vars(file) for file in result.files], "receipt": result.receipt, "seconds": result.seconds}


def _kept(kept: Kept) -> dict[str, Any]:
    info = {**vars(kept.info), "path": kept.info.path.name}
    pasts = {"past": _text(kept.past), "placed": _text(kept.placed)}
    return {"info": info, "data": kept.data, "example": kept.example, **pasts}


def _restored(row: dict[str, Any]) -> Kept:
    info = FileInfo(**{**row["info"], "path": PurePath(row["info"]["path"])})
    return Kept(info, row["data"], row["example"], _bytes(row["past"]), _bytes(row["placed"]))


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
