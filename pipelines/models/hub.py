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
from pipelines.models.hub_download import HubFile
from pipelines.models.profiles import hub_url

log = logging.getLogger("designerbox")

DownloadState = Literal["running", "done", "failed", "stopped"]

_PROBE_SCRIPT = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=30)
except urllib.error.HTTPError:
    pass
"""


# How a network is left, and whom to believe outside; SYSTEMROOT is Windows's, which opens no socket without it.
_NETWORK_ENV_NAMES = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "SYSTEMROOT",
)  # fmt: skip


def is_hub_reachable(url: str = "", timeout_seconds: float = 3.0) -> bool:
    """Whether the hub answers within `seconds`, with whatever status. Honours HF_ENDPOINT and HF_HUB_OFFLINE.

    The question is put in a process of its own: looking up a name can hang for half a minute and takes no time limit.
    It asks as nobody, so it is told no token.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "TRUE", "YES", "ON"}:
        return False
    command = [sys.executable, "-c", _PROBE_SCRIPT, url or hub_url()]
    env = isolated_process.environment_without_secrets(os.environ, *_NETWORK_ENV_NAMES)
    try:
        return (
            subprocess.run(command, timeout=timeout_seconds, capture_output=True, check=False, env=env).returncode == 0
        )
    except subprocess.TimeoutExpired:
        return False


@dataclass(frozen=True)
class DownloadProgress:
    """How far the download of a model is; `sentence` says what went wrong."""

    spec_id: str
    files: tuple[HubFile, ...] = ()
    state: DownloadState = "running"
    message: str = ""

    @property
    def total_bytes(self) -> int:
        return sum(item.total_bytes for item in self.files)

    @property
    def done_bytes(self) -> int:
        return sum(item.done_bytes for item in self.files)


class _DownloadStopped(Exception):
    """Somebody pressed Stop."""


class DownloadManager:
    """Brings one model at a time from the hub into its cache, in a thread; what broke off goes on where it stopped.

    Only the files that loading reads are brought: safetensors and JSON, never code and never pickles.
    """

    def __init__(self, folder: Path | None = None, is_reachable: Callable[[], bool] = is_hub_reachable) -> None:
        self._folder = folder
        self._is_reachable = is_reachable
        self._lock = threading.Lock()
        self._stop_requested = threading.Event()
        self._current: DownloadProgress | None = None

    @property
    def current(self) -> DownloadProgress | None:
        """The download that runs, or the last one."""
        return self._current

    def list_files(self, spec: ModelSpec) -> tuple[HubFile, ...]:
        """Every file that `spec` needs, those that are here already with all their bytes done.

        Raises `ModelUnavailable` when the hub cannot be reached or does not give the files out.
        """
        if not self._is_reachable():
            raise ModelUnavailable(
                f"{hub_url()} cannot be reached from this machine, so nothing can be downloaded now."
            )
        return hub_download.list_model_files(spec, self._folder)

    def start_download(self, spec: ModelSpec) -> bool:
        """Begin to bring `spec`; False while another download runs."""
        with self._lock:
            if self._current is not None and self._current.state == "running":
                return False
            self._current = DownloadProgress(spec.id)
            self._stop_requested.clear()
        threading.Thread(target=self._run_download, args=(spec,), name=f"download-{spec.id}", daemon=True).start()
        return True

    def stop_download(self) -> None:
        """End the download that runs within its next piece; what is here stays."""
        self._stop_requested.set()

    def _run_download(self, spec: ModelSpec) -> None:
        log.info("downloading %s (%s) from %s", spec.id, spec.licence, hub_url())
        try:
            items = self.list_files(spec)
            self._update_progress(items=items)
            for number, item in enumerate(items):
                if item.done_bytes < item.total_bytes:
                    self._download_file(number, item)
        except ModelUnavailable as error:
            self._update_progress(state="failed", sentence=error.message)
        except _DownloadStopped:
            self._update_progress(
                state="stopped", sentence="Stopped. What came so far stays, and the next download goes on there."
            )
        else:
            self._update_progress(state="done")
        log.info("download of %s: %s", spec.id, self._current and self._current.state)

    def _download_file(self, number: int, item: HubFile) -> None:
        def count(done: int) -> None:
            if self._stop_requested.is_set():
                raise _DownloadStopped
            self._set_file_progress(number, done)

        hub_download.download_file(item, count, self._folder)

    def _set_file_progress(self, number: int, done: int) -> None:
        assert self._current is not None
        items = self._current.files
        self._update_progress(items=(*items[:number], replace(items[number], done=done), *items[number + 1 :]))

    def _update_progress(self, **changes: Any) -> None:
        with self._lock:
            assert self._current is not None
            self._current = replace(self._current, **changes)


def list_cached_repositories() -> tuple[tuple[str, int], ...]:
    """Repositories in the hub's cache on this disk, and the bytes each takes, largest first."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return ()
    return tuple(sorted(((repo.repo_id, repo.size_on_disk) for repo in repos), key=lambda row: -row[1]))
