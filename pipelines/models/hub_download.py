"""Downloads the files of a model from the hub, one by one, and reports the bytes that have come.

A large file comes by plain HTTP into a partial file beside its place, so that a download that broke off or was stopped
goes on there. The hub's faster transport (hf_xet) cannot do that: a file of 10 GB would begin anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable, StudioError
from pipelines.core.models import ModelSpec
from pipelines.models import pinned_revisions
from pipelines.models.bundled_weights import compute_sha256
from pipelines.models.checkpoint import hub_client_errors, hub_url, says_disk_full
from pipelines.models.diffusion import loader
from pipelines.models.profiles import is_cached

log = logging.getLogger("designerbox")

RESUMED_FILE_BYTES = 10_000_000  # size from which a file is resumed; smaller ones come whole or not at all
_PARTIAL_SUFFIX = ".part"
_LOCK_POLL_SECONDS = 0.5
_SHA256_PATTERN = re.compile(r"[0-9a-f]{64}", re.ASCII)

OnBytes = Callable[[int], None]
"""Called with the bytes that have come; what it raises ends the download, and the bytes so far are kept."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository, and how much of it is here; `revision` is what was asked for, `path` its place."""

    repo: str
    revision: str
    name: str
    total_bytes: int
    done_bytes: int = 0
    path: Path = Path()


OnFileProgress = Callable[[Sequence[HubFile], int], None]
"""Called with every file of a model and the index of the one that comes now."""


def download_missing_files(spec: ModelSpec, on_file: OnFileProgress, is_reachable: Callable[[], bool]) -> None:
    """Download every file of `spec` that is not on this machine.

    `is_reachable` tells whether the hub answers: it is called first, since a client tries for half a minute. Raises
    `ModelUnavailable`, `disk_full`, and whatever `on_file` raises.
    """
    if is_cached(spec):
        return
    if not is_reachable():
        raise ModelUnavailable(
            f"The files of {spec.repo} are not on this machine, and {hub_url()} cannot be reached from it now."
        )
    log.info("downloading %s (%s) from %s", spec.id, spec.licence, hub_url())
    download_files(spec, list_model_files(spec), on_file)


def download_files(
    spec: ModelSpec, files: Sequence[HubFile], on_file: OnFileProgress, folder: Path | None = None
) -> None:
    """Download what is missing of `files`, those of `spec`, one by one; raises as `download_missing_files` does."""
    check_disk_space(spec, files)
    now = list(files)
    for index, file in enumerate(files):

        def report_bytes(done_bytes: int, index: int = index) -> None:
            now[index] = replace(now[index], done_bytes=done_bytes)
            on_file(now, index)

        if file.done_bytes < file.total_bytes:
            download_file(file, report_bytes, folder)


def list_model_files(spec: ModelSpec, folder: Path | None = None) -> tuple[HubFile, ...]:
    """List every file that loading `spec` reads, with the bytes of each that are here already.

    Only safetensors, JSON and ONNX, never code and never pickles. `folder` is the hub's own cache unless given. Raises
    `ModelUnavailable` without the hub.
    """
    files: list[HubFile] = []
    for repo, revision, patterns in loader.list_sources(spec):
        for row in download_snapshot(repo, revision, patterns, lambda _: None, folder, dry_run=True):
            size, path = row.file_size or 0, Path(row.local_path)
            files.append(
                HubFile(repo, revision, row.filename, size, size if row.is_cached else _partial_bytes(path), path)
            )
    return tuple(files)


def check_disk_space(spec: ModelSpec, files: Sequence[HubFile]) -> None:
    """Raise `disk_full` where what is missing of `files` does not fit the disk that they go to."""
    missing = {file.path: file.total_bytes - file.done_bytes for file in files if file.done_bytes < file.total_bytes}
    if not missing:
        return
    wanted, place = sum(missing.values()), _existing_folder(next(iter(missing)))
    free = shutil.disk_usage(place).free
    if wanted > free:
        raise StudioError(
            f"There is no room for {spec.id}: {wanted / 1e9:.1f} GB are to come, and {free / 1e9:.1f} GB are free "
            f"in {place}. Free some, or set HF_HOME to a folder on another disk.",
            code="disk_full",
        )


def download_file(file: HubFile, on_bytes: OnBytes, folder: Path | None = None) -> None:
    """Download one file; a large one goes on where it broke off.

    Raises `ModelUnavailable`, `disk_full`, and whatever `on_bytes` raises.
    """
    done = file.done_bytes

    def add_bytes(count: int) -> None:
        nonlocal done
        done = min(done + count, file.total_bytes)
        on_bytes(done)

    add_bytes(0)
    if file.total_bytes >= RESUMED_FILE_BYTES:
        _fetch_resumed(file, on_bytes, folder)  # the call below only notes the file in the hub's cache then
    download_snapshot(file.repo, file.revision, (file.name,), add_bytes, folder)
    on_bytes(file.total_bytes)
    log.info("downloaded %s of %s, %.1f MB", file.name, file.repo, file.total_bytes / 1e6)


def download_snapshot(
    repo: str,
    revision: str,
    patterns: tuple[str, ...],
    on_bytes: OnBytes,
    folder: Path | None,
    *,
    dry_run: bool = False,
) -> Any:
    """Call `snapshot_download`; `on_bytes` gets the bytes since its last call. Raises `ModelUnavailable`."""
    from huggingface_hub import snapshot_download

    commit = pinned_revisions.pinned_commit(repo, revision)
    with _hub_errors_explained(repo):
        return snapshot_download(
            repo,
            revision=commit,
            allow_patterns=list(patterns),
            cache_dir=folder,
            endpoint=hub_url(),
            tqdm_class=_byte_counting_bar(on_bytes),
            max_workers=1,
            dry_run=dry_run,
        )


def _fetch_resumed(file: HubFile, on_bytes: OnBytes, folder: Path | None) -> None:
    """Fetch a file to `file.path` by way of its partial file, which may have a beginning already."""
    from filelock import FileLock, Timeout
    from huggingface_hub import constants

    part = _partial_path(file.path)
    with _hub_errors_explained(file.repo):
        part.parent.mkdir(parents=True, exist_ok=True)
        locks = Path(folder or constants.HF_HUB_CACHE) / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"designerbox-{hashlib.sha256(str(part).encode()).hexdigest()[:32]}.lock")
        while True:
            try:
                with lock.acquire(timeout=_LOCK_POLL_SECONDS):
                    if not file.path.exists():
                        _append_missing_bytes(file, part, on_bytes)
                    return
            except Timeout:  # another thread or process fetches it: its progress is shown
                on_bytes(_partial_bytes(file.path))


def _append_missing_bytes(file: HubFile, part: Path, on_bytes: OnBytes) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    commit = pinned_revisions.pinned_commit(file.repo, file.revision)
    url = hf_hub_url(file.repo, file.name, revision=commit, endpoint=hub_url())
    sha256 = get_hf_file_metadata(url, endpoint=hub_url()).etag or ""
    if sha256 != pinned_revisions.FILE_SHA256.get((file.repo, file.name), sha256):
        raise ModelUnavailable(f"{file.name} of {file.repo} is another file than the one that is known.")
    if _partial_bytes(file.path) > file.total_bytes:
        part.unlink()
    with part.open("ab") as stream:
        done = stream.tell()

        def add_bytes(count: int) -> None:
            nonlocal done
            done += count
            on_bytes(min(done, file.total_bytes))

        http_get(
            url,
            stream,
            resume_size=done,
            headers=build_hf_headers(),
            expected_size=file.total_bytes,
            tqdm_class=_byte_counting_bar(add_bytes),
        )
    if _SHA256_PATTERN.fullmatch(sha256) and compute_sha256(part) != sha256:
        part.unlink()
        raise ModelUnavailable(f"{file.name} of {file.repo} arrived damaged and was deleted. Please try again.")
    os.replace(part, file.path)


def _partial_path(path: Path) -> Path:
    return path.with_name(path.name + _PARTIAL_SUFFIX)


def _partial_bytes(path: Path) -> int:
    """Return the bytes of a file that came before its download broke off."""
    try:
        return _partial_path(path).stat().st_size
    except OSError:
        return 0


def _existing_folder(path: Path) -> Path:
    return next(folder for folder in path.absolute().parents if folder.is_dir())


@contextmanager
def _hub_errors_explained(repo: str) -> Iterator[None]:
    """Turn what the hub's client raises into `ModelUnavailable` or `disk_full`, with its first line as the reason."""
    try:
        yield
    except hub_client_errors() as error:
        if says_disk_full(error):
            raise StudioError(
                f"The disk is full. What came of {repo} stays, and another try goes on there.", code="disk_full"
            ) from error
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelUnavailable(
            f"{hub_url()} did not give out {repo}: {reason.rstrip('.')}. Another try goes on where this one ended."
        ) from error


def _byte_counting_bar(on_bytes: OnBytes) -> type:
    """Make a progress bar class for huggingface_hub that shows nothing and counts bytes."""
    from tqdm.auto import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("unit") == "B"  # there is a second bar, which counts files
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            if self._counts:
                on_bytes(int(n or 0))

    return Bar
