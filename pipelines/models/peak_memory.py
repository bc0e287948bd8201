"""Peak memory of drawings, measured and remembered over restarts, by family, picture size and batch."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

log = logging.getLogger("designerbox")

T = TypeVar("T")
DrawingKey = tuple[str, int, int]  # family, pixels of a picture, pictures in the call


class PeakMemory:
    """The most bytes that drawing took beside the weights. Safe from any thread."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._peaks = dict(read_rows(file, _from_row)) if file is not None else {}

    def peak_bytes(self, key: DrawingKey) -> int:
        """Return the most bytes that were measured, 0 where nothing was."""
        return self._peaks.get(key, 0)

    def record_peak(self, key: DrawingKey, taken: int) -> None:
        """Note that a drawing took `taken` bytes; saved where that is a new maximum."""
        with self._lock:
            if taken <= self._peaks.get(key, 0):
                return
            self._peaks = {**self._peaks, key: taken}
            if self._file is not None:
                write_rows(self._file, [_to_row(*each) for each in sorted(self._peaks.items())])


def read_rows(file: Path, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """Read the rows of a JSON file; none where it is missing or damaged, since everything is measured again."""
    try:
        return [parse(row) for row in json.loads(file.read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AssertionError) as error:
        log.warning("%s could not be read and is started anew: %s", file, error)
        return []


def write_rows(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the rows atomically; a full disk is logged and does not stop the drawing."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(json.dumps(rows, indent=1), "utf-8")
        os.replace(part, file)
    except OSError as error:
        log.warning("%s could not be written: %s", file, error)


def _from_row(row: Mapping[str, Any]) -> tuple[DrawingKey, int]:
    return (str(row["family"]), int(row["pixels"]), int(row["batch"])), int(row["bytes"])


def _to_row(key: DrawingKey, taken: int) -> dict[str, object]:
    return {"family": key[0], "pixels": key[1], "batch": key[2], "bytes": taken}
