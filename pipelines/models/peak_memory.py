"""Peak memory of drawings, measured and remembered over restarts, and which drawings ran out of memory."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

log = logging.getLogger("designerbox")

T = TypeVar("T")


class PeakMemoryKey(NamedTuple):
    """What the memory of a drawing depends on. `sparing`: one picture at a time, its decoder in small tiles."""

    family: str
    verb: str
    references: int  # pictures in the request
    pixels: int  # of a picture that is drawn
    batch: int  # pictures in the call; a clip counts its frames
    sparing: bool = False


class PeakMemory:
    """The most bytes that drawings took beside the weights, and those that ran out. Safe from any thread."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        rows = read_rows(file, _peak_from_row) if file is not None else []
        self._peaks = {key: taken for key, taken in rows if taken is not None}
        self._shortages = {key for key, taken in rows if taken is None}

    def peak_bytes(self, key: PeakMemoryKey) -> int:
        """Return the most bytes that were measured, 0 where nothing was."""
        return self._peaks.get(key, 0)

    def record_peak(self, key: PeakMemoryKey, taken: int) -> None:
        """Note that a drawing took `taken` bytes; saved where that is a new maximum."""
        with self._lock:
            if taken <= self._peaks.get(key, 0):
                return
            self._peaks = {**self._peaks, key: taken}
            self._save()

    def ran_out(self, key: PeakMemoryKey) -> bool:
        """Tell whether such a drawing ran out of memory before, so that it need not be tried again."""
        return key in self._shortages

    def record_shortage(self, key: PeakMemoryKey) -> None:
        """Note that a drawing ran out of memory; after a restart a sparing one is tried again."""
        with self._lock:
            self._shortages = {*self._shortages, key}
            self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        lasting: list[PeakMemoryKey] = sorted(key for key in self._shortages if not key.sparing)
        rows = [_peak_to_row(*each) for each in sorted(self._peaks.items())] + [
            _peak_to_row(key, None) for key in lasting
        ]
        write_rows(self._file, rows)


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


def _peak_from_row(row: Mapping[str, Any]) -> tuple[PeakMemoryKey, int | None]:
    references, pixels, batch = (int(row[name]) for name in ("references", "pixels", "batch"))
    key = PeakMemoryKey(str(row["family"]), str(row["verb"]), references, pixels, batch, bool(row["sparing"]))
    return key, None if row["bytes"] is None else int(row["bytes"])


def _peak_to_row(key: PeakMemoryKey, taken: int | None) -> dict[str, object]:
    """Make a row of the file; `taken` None for a drawing that ran out of memory."""
    return {**key._asdict(), "bytes": taken}
