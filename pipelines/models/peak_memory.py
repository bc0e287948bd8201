"""Remembers what drawing was seen to take, over restarts where a file is given; knows no model and no device."""

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
Need = tuple[str, int, int]
"""Family, pixels of a picture, pictures at once."""


class Peaks:
    """Bytes that drawing took beside the weights, the most that was seen. Safe from any thread."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen = dict(read_rows(file, _parsed)) if file is not None else {}

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
                write_rows(self._file, [_plain(*each) for each in sorted(self._seen.items())])


def read_rows(file: Path, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """What was written down; nothing where that cannot be read, since it is measured anew."""
    try:
        return [parse(row) for row in json.loads(file.read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AssertionError) as error:
        log.warning("%s is not read, and begun anew: %s", file, error)
        return []


def write_rows(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Whole or not at all; a full disk costs the memory of it, not the picture."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(json.dumps(rows, indent=1), "utf-8")
        os.replace(part, file)
    except OSError as error:
        log.warning("%s could not be written: %s", file, error)


def _parsed(row: Mapping[str, Any]) -> tuple[Need, int]:
    return (str(row["family"]), int(row["pixels"]), int(row["batch"])), int(row["bytes"])


def _plain(need: Need, taken: int) -> dict[str, object]:
    return {"family": need[0], "pixels": need[1], "batch": need[2], "bytes": taken}
