"""What the nets for cutting out said in the tests, as `python -m tests.record_maps` wrote it down.

A map is found by the net's weights and by the very numbers that the net is shown: where one of them differs, nothing is
found, and the net is asked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

MAPS_FOLDER = Path(__file__).parents[1] / "data" / "net_maps"
RECORDING_VARIABLE = "DESIGNERBOX_RECORD_MAPS"
"""The folder to write to, in a run that records: such a run reads no map."""
RECORDED_LEVELS = 1023
"""Levels between 0 and 1, four to a level of a picture: files of a quarter of the size of those with exact numbers."""
_RECORDED_NETS = ("isnet", "u2netp")


class RecordedMaps:
    """What was recorded of the net in a file of weights; nothing of other nets."""

    def __init__(self, model: str | bytes) -> None:
        path = Path() if isinstance(model, bytes) else Path(model)
        self._net = path.stem
        self._weights = hashlib.blake2b(path.read_bytes()).digest() if self._net in _RECORDED_NETS else b""

    def find_map(self, inputs: Iterable[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32] | None:
        """Read the map of these inputs (1 x 1 x H x W, 0 to 1), or None where it was not recorded."""
        is_read = self._weights and RECORDING_VARIABLE not in os.environ
        path = _list_recorded().get(self._make_key(inputs)) if is_read else None
        if path is None:
            return None
        levels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        return (np.asarray(levels, np.float32) / np.float32(RECORDED_LEVELS))[None, None]

    def record(self, inputs: Iterable[npt.NDArray[np.float32]], found: npt.NDArray[np.float32]) -> None:
        """Write down what the net said, in a run that records."""
        if self._weights and RECORDING_VARIABLE in os.environ:
            levels = np.round(found.reshape(found.shape[-2:]) * RECORDED_LEVELS).astype(np.uint16)
            packed = cv2.imencode(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
            folder = Path(os.environ[RECORDING_VARIABLE])
            (folder / f"{self._net}-{self._make_key(inputs)}.png").write_bytes(packed)

    def _make_key(self, inputs: Iterable[npt.NDArray[np.float32]]) -> str:
        digest = hashlib.blake2b(self._weights, digest_size=10)
        for each in inputs:
            digest.update(np.ascontiguousarray(each).tobytes())
        return digest.hexdigest()


@cache
def _list_recorded() -> dict[str, Path]:
    return {path.stem.rpartition("-")[2]: path for path in MAPS_FOLDER.glob("*.png")}
