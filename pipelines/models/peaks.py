"""Remembers what drawing was seen to take, over restarts where a file is given; knows no model and no device."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

log = logging.getLogger("designerbox")

Need = tuple[str, int, int]
"""Family, pixels of a picture, pictures at once."""


class Peaks:
    """Bytes that drawing took beside the weights, the most that was seen. Safe from any thread."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen = {} if file is None else _read(file)

    def get(self, need: Need) -> int:
        """The most that was seen, 0 where nothing was."""
        return self._seen.get(need, 0)

    def note(self, need: Need, taken: int) -> None:
        """A drawing took `taken` bytes; written down where that is more than ever."""
        with self._lock:
            if taken <= self._seen.get(need, 0):
                return
            self._seen = {**self._seen, need: taken}
            if self._file is not None:
                _write(self._file, self._seen)


def _read(file: Path) -> dict[Need, int]:
    """What was written down; nothing where that cannot be read, since it is measured anew."""
    try:
        rows = json.loads(file.read_text("utf-8"))
        return {(str(row["family"]), int(row["pixels"]), int(row["batch"])): int(row["bytes"]) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s is not read, and begun anew: %s", file, error)
        return {}


def _write(file: Path, seen: dict[Need, int]) -> None:
    """Whole or not at all; a full disk costs the memory of it, not the picture."""
    rows = [{"family": n[0], "pixels": n[1], "batch": n[2], "bytes": taken} for n, taken in sorted(seen.items())]
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(json.dumps(rows, indent=1), "utf-8")
        os.replace(part, file)
    except OSError as error:
        log.warning("%s could not be written: %s", file, error)
