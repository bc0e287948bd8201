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
from pipelines.models.profiles import hub, is_cached

log = logging.getLogger("designerbox")

Count = Callable[[int], None]
"""Told the bytes of a file that are here; what it raises ends the download, and what came so far stays."""


@dataclass(frozen=True)
class Item:
    """One file of a repository: `bytes` whole, `done` of them here; `revision` is what was asked for."""

    repo: str
    revision: str
    name: str
    bytes: int
    done: int = 0


OnFile = Callable[[Sequence[Item], int], None]
"""Told every file of a model and which of them comes just now."""


def bring(spec: ModelSpec, on_file: OnFile, reachable: Callable[[], bool]) -> None:
    """Every file of `spec` that is not on this machine. Raises `ModelUnavailable`, and whatever `on_file` raises.

    `reachable` tells whether the hub answers: it is asked first, since a client tries for half a minute.
    """
    if is_cached(spec):
        return
    if not reachable():
        raise ModelUnavailable(
            f"The weights of {spec.repo} are not on this machine, and {hub()} cannot be reached from it now."
        )
    log.info("downloading %s (%s) from %s", spec.id, spec.licence, hub())
    items = list(wanted(spec))
    for number, item in enumerate(items):

        def count(done: int, number: int = number) -> None:
            items[number] = replace(items[number], done=done)
            on_file(items, number)

        if item.done < item.bytes:
            fetch(item, count)


def wanted(spec: ModelSpec, folder: Path | None = None) -> tuple[Item, ...]:
    """Every file that loading `spec` reads, those that are here already with all their bytes done.

    Safetensors and JSON: never code and never pickles. Raises `ModelUnavailable` without the hub. `folder` is the
    hub's own cache unless given.
    """
    items: list[Item] = []
    for repo, revision, patterns in loader.sources(spec):
        rows = snapshot(repo, revision, patterns, lambda _: None, folder, dry_run=True)
        sizes = [(row.filename, row.file_size or 0, row.is_cached) for row in rows]
        items += [Item(repo, revision, name, size, size if here else 0) for name, size, here in sizes]
    return tuple(items)


def fetch(item: Item, count: Count, folder: Path | None = None) -> None:
    """One file, from where it broke off. Raises `ModelUnavailable`, and whatever `count` raises."""
    done = item.done

    def more(bytes_: int) -> None:
        nonlocal done
        done = min(done + bytes_, item.bytes)
        count(done)

    more(0)
    snapshot(item.repo, item.revision, (item.name,), more, folder)
    count(item.bytes)
    log.info("downloaded %s of %s, %.1f MB", item.name, item.repo, item.bytes / 1e6)


def snapshot(
    repo: str, revision: str, patterns: tuple[str, ...], count: Count, folder: Path | None, *, dry_run: bool = False
) -> Any:
    """What `huggingface_hub.snapshot_download` gives; `count` is told how many bytes came since it was last told."""
    import httpx
    from huggingface_hub import snapshot_download

    commit = pinned_revisions.commit(repo, revision)
    try:
        return snapshot_download(
            repo, revision=commit, allow_patterns=list(patterns), cache_dir=folder,
            endpoint=hub(), tqdm_class=_bar(count), max_workers=1, dry_run=dry_run,
        )  # fmt: skip
    except (OSError, httpx.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{hub()} did not give out {repo}: {reason}") from error


def _bar(count: Count) -> type:
    """What huggingface_hub takes for a progress bar: it shows nothing, and counts bytes."""
    from tqdm.auto import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("unit") == "B"  # another bar counts files
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            if self._counts:
                count(int(n or 0))

    return Bar
