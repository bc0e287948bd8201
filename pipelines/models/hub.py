"""The model hub: whether it answers, what a model would bring from it, and bringing it; knows no page and no job."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pipelines.core import isolated_process
from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models import hub_download
from pipelines.models.hub_download import Item
from pipelines.models.profiles import hub

log = logging.getLogger("designerbox")

State = Literal["running", "done", "failed", "stopped"]

_PROBE = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=30)
except urllib.error.HTTPError:
    pass
"""


# How a network is left, and whom to believe outside; SYSTEMROOT is Windows's, which opens no socket without it.
_WAY_OUT = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "SYSTEMROOT",
)  # fmt: skip


def reachable(url: str = "", seconds: float = 3.0) -> bool:
    """Whether the hub answers within `seconds`, with whatever status. Honours HF_ENDPOINT and HF_HUB_OFFLINE.

    The question is put in a process of its own: looking up a name can hang for half a minute and takes no time limit.
    It asks as nobody, so it is told no token.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "TRUE", "YES", "ON"}:
        return False
    command = [sys.executable, "-c", _PROBE, url or hub()]
    env = isolated_process.told(os.environ, *_WAY_OUT)
    try:
        return subprocess.run(command, timeout=seconds, capture_output=True, check=False, env=env).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@dataclass(frozen=True)
class Progress:
    """How far the download of a model is; `sentence` says what went wrong."""

    spec_id: str
    items: tuple[Item, ...] = ()
    state: State = "running"
    sentence: str = ""

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)

    @property
    def done(self) -> int:
        return sum(item.done for item in self.items)


class _Stopped(Exception):
    """Somebody pressed Stop."""


class Downloads:
    """Brings one model at a time from the hub into its cache, in a thread; what broke off goes on where it stopped.

    Only the files that loading reads are brought: safetensors and JSON, never code and never pickles.
    """

    def __init__(self, folder: Path | None = None, asks: Callable[[], bool] = reachable) -> None:
        self._folder = folder
        self._asks = asks
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._now: Progress | None = None

    @property
    def now(self) -> Progress | None:
        """The download that runs, or the last one."""
        return self._now

    def wanted(self, spec: ModelSpec) -> tuple[Item, ...]:
        """Every file that `spec` needs, those that are here already with all their bytes done.

        Raises `ModelUnavailable` when the hub cannot be reached or does not give the files out.
        """
        if not self._asks():
            raise ModelUnavailable(f"{hub()} cannot be reached from this machine, so nothing can be downloaded now.")
        return hub_download.wanted(spec, self._folder)

    def start(self, spec: ModelSpec) -> bool:
        """Begin to bring `spec`; False while another download runs."""
        with self._lock:
            if self._now is not None and self._now.state == "running":
                return False
            self._now = Progress(spec.id)
            self._stop.clear()
        threading.Thread(target=self._work, args=(spec,), name=f"download-{spec.id}", daemon=True).start()
        return True

    def stop(self) -> None:
        """End the download that runs within its next piece; what is here stays."""
        self._stop.set()

    def _work(self, spec: ModelSpec) -> None:
        log.info("downloading %s (%s) from %s", spec.id, spec.licence, hub())
        try:
            items = self.wanted(spec)
            self._tell(items=items)
            for number, item in enumerate(items):
                if item.done < item.bytes:
                    self._bring(number, item)
        except ModelUnavailable as error:
            self._tell(state="failed", sentence=error.message)
        except _Stopped:
            self._tell(
                state="stopped", sentence="Stopped. What came so far stays, and the next download goes on there."
            )
        else:
            self._tell(state="done")
        log.info("download of %s: %s", spec.id, self._now and self._now.state)

    def _bring(self, number: int, item: Item) -> None:
        def count(done: int) -> None:
            if self._stop.is_set():
                raise _Stopped
            self._put(number, done)

        hub_download.fetch(item, count, self._folder)

    def _put(self, number: int, done: int) -> None:
        assert self._now is not None
        items = self._now.items
        self._tell(items=(*items[:number], replace(items[number], done=done), *items[number + 1 :]))

    def _tell(self, **changes: Any) -> None:
        with self._lock:
            assert self._now is not None
            self._now = replace(self._now, **changes)


def cached() -> tuple[tuple[str, int], ...]:
    """Repositories in the hub's cache on this disk, and the bytes each takes, largest first."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return ()
    return tuple(sorted(((repo.repo_id, repo.size_on_disk) for repo in repos), key=lambda row: -row[1]))
