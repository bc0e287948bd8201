"""ZIPs that a page hands over: where they lie, and when they go; knows nothing of what is in them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipelines.batch.manifest import write_beside

KEEP_SECONDS = 3600.0
"""Seconds that a ZIP stays: long enough to be fetched on a slow line, and made again with one click."""
SWEEP_SECONDS = 600.0
"""Seconds between two looks for those that are too old."""
FOLDER_NAME = "designerbox-zips"


class ZipDownloads:
    """The ZIPs under Gradio's folder `cache`, each in a folder whose name nobody can guess."""

    def __init__(self, cache: str | Path) -> None:
        self._folder = Path(cache) / FOLDER_NAME

    def create_zip(self, key: str, name: str, write: Callable[[Path], None]) -> Path:
        """A ZIP of that name, whole or not at all; another of the same `key`, a secret, gives way to it."""
        path = self._folder / key / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_beside(path, write)
        except BaseException:
            with suppress(OSError):  # an older one is there still
                path.parent.rmdir()
            raise
        return path

    def delete_zip(self, key: str) -> None:
        """Let the one of this `key` go; whoever is fetching it gets it whole."""
        if key:
            shutil.rmtree(self._folder / key, ignore_errors=True)

    def delete_expired(self) -> None:
        """Let those go that were made more than an hour ago."""
        for folder in self._folder.iterdir() if self._folder.exists() else ():
            with suppress(FileNotFoundError):
                if folder.stat().st_mtime < time.time() - KEEP_SECONDS:
                    self.delete_zip(folder.name)
