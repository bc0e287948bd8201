"""Brings the files of a model from the hub, one by one, and counts their bytes; knows nobody who waits for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models import pinned_revisions
from pipelines.models.diffusion import loader
from pipelines.models.profiles import hub_url, is_cached

log = logging.getLogger("designerbox")

OnBytes = Callable[[int], None]
"""Told the bytes of a file that are here; what it raises ends the download, and what came so far stays."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository: `bytes` whole, `done` of them here; `revision` is what was asked for."""

    repo: str
    revision: str
    name: str
    total_bytes: int
    done_bytes: int = 0


OnFileProgress = Callable[[Sequence[HubFile], int], None]
"""Told every file of a model and which of them comes just now."""


def download_missing_files(spec: ModelSpec, on_file: OnFileProgress, is_reachable: Callable[[], bool]) -> None:
    """Every file of `spec` that is not on this machine. Raises `ModelUnavailable`, and whatever `on_file` raises.

    `reachable` tells whether the hub answers: it is asked first, since a client tries for half a minute.
    """
    if is_cached(spec):
        return
    if not is_reachable():
        raise ModelUnavailable(
            f"The weights of {spec.repo} are not on this machine, and {hub_url()} cannot be reached from it now."
        )
    log.info("downloading %s (%s) from %s", spec.id, spec.licence, hub_url())
    items = list(list_model_files(spec))
    for number, item in enumerate(items):

        def count(done: int, number: int = number) -> None:
            items[number] = replace(items[number], done=done)
            on_file(items, number)

        if item.done_bytes < item.total_bytes:
            download_file(item, count)


def list_model_files(spec: ModelSpec, folder: Path | None = None) -> tuple[HubFile, ...]:
    """Every file that loading `spec` reads, those that are here already with all their bytes done.

    Safetensors and JSON: never code and never pickles. Raises `ModelUnavailable` without the hub. `folder` is the
    hub's own cache unless given.
    """
    items: list[HubFile] = []
    for repo, revision, patterns in loader.list_sources(spec):
        rows = download_snapshot(repo, revision, patterns, lambda _: None, folder, dry_run=True)
        sizes = [(row.filename, row.file_size or 0, row.is_cached) for row in rows]
        items += [HubFile(repo, revision, name, size, size if here else 0) for name, size, here in sizes]
    return tuple(items)


def download_file(file: HubFile, on_bytes: OnBytes, folder: Path | None = None) -> None:
    """One file, from where it broke off. Raises `ModelUnavailable`, and whatever `count` raises."""
    done = file.done_bytes

    def more(bytes_: int) -> None:
        nonlocal done
        done = min(done + bytes_, file.total_bytes)
        on_bytes(done)

    more(0)
    download_snapshot(file.repo, file.revision, (file.name,), more, folder)
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
    """What `huggingface_hub.snapshot_download` gives; `count` is told how many bytes came since it was last told."""
    import httpx
    from huggingface_hub import snapshot_download

    commit = pinned_revisions.pinned_commit(repo, revision)
    try:
        return snapshot_download(
            repo, revision=commit, allow_patterns=list(patterns), cache_dir=folder,
            endpoint=hub_url(), tqdm_class=_byte_counting_bar(on_bytes), max_workers=1, dry_run=dry_run,
        )  # fmt: skip
    except (OSError, httpx.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{hub_url()} did not give out {repo}: {reason}") from error


def _byte_counting_bar(on_bytes: OnBytes) -> type:
    """What huggingface_hub takes for a progress bar: it shows nothing, and counts bytes."""
    from tqdm.auto import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("unit") == "B"  # another bar counts files
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            if self._counts:
                on_bytes(int(n or 0))

    return Bar
