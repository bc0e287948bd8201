"""Downloads the files of a model from the hub, one by one, and reports the bytes that have come."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models import pinned_revisions
from pipelines.models.checkpoint import hub_url
from pipelines.models.diffusion import loader
from pipelines.models.profiles import is_cached

log = logging.getLogger("designerbox")

OnBytes = Callable[[int], None]
"""Called with the bytes that have come; what it raises ends the download, and the bytes so far are kept."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository, and how much of it is here; `revision` is what was asked for."""

    repo: str
    revision: str
    name: str
    total_bytes: int
    done_bytes: int = 0


OnFileProgress = Callable[[Sequence[HubFile], int], None]
"""Called with every file of a model and the index of the one that comes now."""


def download_missing_files(spec: ModelSpec, on_file: OnFileProgress, is_reachable: Callable[[], bool]) -> None:
    """Download every file of `spec` that is not on this machine.

    `is_reachable` tells whether the hub answers: it is called first, since a client tries for half a minute. Raises
    `ModelUnavailable`, and whatever `on_file` raises.
    """
    if is_cached(spec):
        return
    if not is_reachable():
        raise ModelUnavailable(
            f"The weights of {spec.repo} are not on this machine, and {hub_url()} cannot be reached from it now."
        )
    log.info("downloading %s (%s) from %s", spec.id, spec.licence, hub_url())
    files = list(list_model_files(spec))
    for index, file in enumerate(files):

        def report_bytes(done_bytes: int, index: int = index) -> None:
            files[index] = replace(files[index], done_bytes=done_bytes)
            on_file(files, index)

        if file.done_bytes < file.total_bytes:
            download_file(file, report_bytes)


def list_model_files(spec: ModelSpec, folder: Path | None = None) -> tuple[HubFile, ...]:
    """List every file that loading `spec` reads; files that are here already have all their bytes done.

    Only safetensors and JSON, never code and never pickles. `folder` is the hub's own cache unless given. Raises
    `ModelUnavailable` without the hub.
    """
    files: list[HubFile] = []
    for repo, revision, patterns in loader.list_sources(spec):
        rows = download_snapshot(repo, revision, patterns, lambda _: None, folder, dry_run=True)
        sizes = [(row.filename, row.file_size or 0, row.is_cached) for row in rows]
        files += [HubFile(repo, revision, name, size, size if here else 0) for name, size, here in sizes]
    return tuple(files)


def download_file(file: HubFile, on_bytes: OnBytes, folder: Path | None = None) -> None:
    """Download one file and resume a partial one. Raises `ModelUnavailable`, and whatever `on_bytes` raises."""
    done = file.done_bytes

    def add_bytes(count: int) -> None:
        nonlocal done
        done = min(done + count, file.total_bytes)
        on_bytes(done)

    add_bytes(0)
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
    import httpx
    from huggingface_hub import snapshot_download

    commit = pinned_revisions.pinned_commit(repo, revision)
    try:
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
    except (OSError, httpx.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{hub_url()} did not give out {repo}: {reason}") from error


def _byte_counting_bar(on_bytes: OnBytes) -> type:
    """Make a progress bar class for huggingface_hub that shows nothing and counts bytes."""
    from tqdm.auto import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("unit") == "B"  # there is a second bar, which counts files
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            if self._counts:
                on_bytes(int(n or 0))

    return Bar
