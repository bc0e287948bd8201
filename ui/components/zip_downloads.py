"""Temporary ZIP downloads: stored in Gradio's folder, and deleted after an hour."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.storage.local_store import atomic_write

KEEP_SECONDS = 3600.0
"""Time that a ZIP is kept: long enough for a download on a slow connection."""
SWEEP_SECONDS = 600.0
"""Interval at which expired ZIPs are deleted."""
FOLDER_NAME = "designerbox-zips"
SAVE_FILE_JS = "(file) => window.dbxSaveFile(file)"
"""Saves the file of a hidden `gr.DownloadButton`, so that one click packs and downloads."""


def build_file_carrier(elem_id: str) -> gr.DownloadButton:
    """Build a hidden button whose value is the file that `download_carried_file` saves."""
    return gr.DownloadButton("ZIP", visible="hidden", elem_id=elem_id)


def download_carried_file(event: Any, carrier: gr.DownloadButton) -> None:
    """Let the browser save the carrier's file when `event` has ended."""
    event.then(None, [carrier], None, js=SAVE_FILE_JS, api_visibility="private", show_progress="hidden", queue=False)


class ZipDownloads:
    """ZIPs in Gradio's folder `cache`, each in a folder with a secret name."""

    def __init__(self, cache: str | Path) -> None:
        self._folder = Path(cache) / FOLDER_NAME

    def create_zip(self, key: str, name: str, write: Callable[[Path], None]) -> Path:
        """Write a ZIP of that name atomically, replacing an older one of the same secret `key`; return its path."""
        path = self._folder / key / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_write(path) as part:
                write(part)
        except BaseException:
            with suppress(OSError):  # an older ZIP is still there
                path.parent.rmdir()
            raise
        return path

    def delete_zip(self, key: str) -> None:
        """Delete the ZIP of this `key`. A download that has started is not interrupted."""
        if key:
            shutil.rmtree(self._folder / key, ignore_errors=True)

    def delete_expired(self) -> None:
        """Delete the ZIPs that are older than `KEEP_SECONDS`."""
        for folder in self._folder.iterdir() if self._folder.exists() else ():
            with suppress(FileNotFoundError):
                if folder.stat().st_mtime < time.time() - KEEP_SECONDS:
                    self.delete_zip(folder.name)
