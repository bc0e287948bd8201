"""The model hub: a probe whether it answers, and a manager of downloads in the background."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pipelines.core import isolated_process
from pipelines.core.errors import ModelUnavailable, StudioError
from pipelines.core.models import ModelSpec
from pipelines.models import hub_download
from pipelines.models.checkpoint import hub_url
from pipelines.models.hub_download import HubFile

log = logging.getLogger("designerbox")

DownloadState = Literal["running", "done", "failed", "stopped"]

STOPPED_TEXT = "Stopped. What came so far stays, and the next download goes on there."
BROKEN_TEXT = "The download ended with an error that the studio's log describes. Another try goes on there."

_PROBE_SCRIPT = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=30)
except urllib.error.HTTPError:
    pass
"""

# Proxies and certificates; Windows opens no socket without SYSTEMROOT.
_NETWORK_ENV_NAMES = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "SYSTEMROOT",
)  # fmt: skip


def is_hub_reachable(url: str = "", timeout_seconds: float = 3.0) -> bool:
    """Tell whether the hub answers in time, with whatever status. Honours HF_ENDPOINT and HF_HUB_OFFLINE.

    The request is made in a process of its own: a DNS lookup can hang for half a minute and takes no time limit. It
    is anonymous, so the process gets no token.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "TRUE", "YES", "ON"}:
        return False
    command = [sys.executable, "-c", _PROBE_SCRIPT, url or hub_url()]
    env = isolated_process.environment_without_secrets(os.environ, *_NETWORK_ENV_NAMES)
    try:
        probe = subprocess.run(command, timeout=timeout_seconds, capture_output=True, check=False, env=env)
        return probe.returncode == 0
    except subprocess.TimeoutExpired:
        return False


@dataclass(frozen=True)
class DownloadProgress:
    """How far the download of a model is; `message` says what went wrong."""

    spec_id: str
    files: tuple[HubFile, ...] = ()
    state: DownloadState = "running"
    message: str = ""

    @property
    def total_bytes(self) -> int:
        return sum(file.total_bytes for file in self.files)

    @property
    def done_bytes(self) -> int:
        return sum(file.done_bytes for file in self.files)


class _DownloadStopped(Exception):
    """Somebody pressed Stop."""


class DownloadManager:
    """Downloads one model at a time in a thread and resumes partial ones: safetensors, JSON and ONNX, never code."""

    def __init__(self, folder: Path | None = None, is_reachable: Callable[[], bool] = is_hub_reachable) -> None:
        self._folder = folder
        self._is_reachable = is_reachable
        self._lock = threading.Lock()
        self._stop_requested = threading.Event()
        self._current: DownloadProgress | None = None

    @property
    def current(self) -> DownloadProgress | None:
        """The download that runs, or the last one; None before the first."""
        return self._current

    def list_files(self, spec: ModelSpec) -> tuple[HubFile, ...]:
        """List the files that `spec` needs, those here as done. Raises `ModelUnavailable` without the hub's answer."""
        if not self._is_reachable():
            raise ModelUnavailable(
                f"{hub_url()} cannot be reached from this machine, so nothing can be downloaded now."
            )
        return hub_download.list_model_files(spec, self._folder)

    def start_download(self, spec: ModelSpec, *later: ModelSpec) -> bool:
        """Start to download `spec` and then `later`, until one does not come; False while another download runs."""
        if not self._begin(spec):
            return False
        threading.Thread(
            target=self._run_downloads, args=(spec, *later), name=f"download-{spec.id}", daemon=True
        ).start()
        return True

    def _begin(self, spec: ModelSpec) -> bool:
        with self._lock:
            if self._current is not None and self._current.state == "running":
                return False
            self._current = DownloadProgress(spec.id)
            self._stop_requested.clear()
        return True

    def stop_download(self) -> None:
        """End the running download at its next block of bytes; what has come is kept."""
        self._stop_requested.set()

    def _run_downloads(self, spec: ModelSpec, *later: ModelSpec) -> None:
        self._run_download(spec)
        for each in later:
            if self._current is None or self._current.state != "done" or not self._begin(each):
                return
            self._run_download(each)

    def _run_download(self, spec: ModelSpec) -> None:
        log.info("downloading %s (%s) from %s", spec.id, spec.licence, hub_url())
        try:
            files = self.list_files(spec)
            self._update_progress(files=files)
            hub_download.download_files(spec, files, self._report_files, self._folder)
        except StudioError as error:
            self._update_progress(state="failed", message=error.message)
        except _DownloadStopped:
            self._update_progress(state="stopped", message=STOPPED_TEXT)
        else:
            self._update_progress(state="done")
        finally:  # a download that ends by a bug ends too: the next one must be able to start
            if self._current is not None and self._current.state == "running":
                self._update_progress(state="failed", message=BROKEN_TEXT)
        log.info("download of %s: %s", spec.id, self._current and self._current.state)

    def _report_files(self, files: Sequence[HubFile], current: int) -> None:
        if self._stop_requested.is_set():
            raise _DownloadStopped
        self._update_progress(files=tuple(files))

    def _update_progress(self, **changes: Any) -> None:
        with self._lock:
            assert self._current is not None
            self._current = replace(self._current, **changes)


def list_cached_repositories() -> tuple[tuple[str, int], ...]:
    """List the repositories in the hub's cache on this disk and the bytes of each, largest first."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return ()
    return tuple(sorted(((repo.repo_id, repo.size_on_disk) for repo in repos), key=lambda row: -row[1]))
