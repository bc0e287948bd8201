"""Reads words in pictures: PP-OCR, by the package rapidocr, which is not installed with the studio.

The package carries the weights, so nothing is downloaded; its own downloads are kept from starting by naming the files.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Image
from pipelines.core.models import ModelSpec

PACKAGE = "rapidocr"
THREAD_COUNT = 2
DETECTION_SIDE_PX = 1280
"""Longer side of the copy in which lines are looked for; they are read at full size."""


def is_installed() -> bool:
    """Whether words can be read on this machine; nothing is imported for the answer."""
    return importlib.util.find_spec(PACKAGE) is not None


class TextReader:
    """The loaded reader; may be called from several threads."""

    def __init__(self, spec: ModelSpec) -> None:
        try:
            import rapidocr  # an optional package
        except ImportError as error:
            raise ModelUnavailable(f"Words cannot be read: {PACKAGE} does not start ({error}).") from error
        self.spec = spec
        folder = Path(str(rapidocr.__file__)).parent / "models"
        params = {
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "EngineConfig.onnxruntime.intra_op_num_threads": THREAD_COUNT,
            "Det.model_path": str(_find_weights(folder, "det")),
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIDE_PX,
            "Rec.model_path": str(_find_weights(folder, "rec")),
        }
        self._reader: Any = rapidocr.RapidOCR(params=params)
        self._lock = threading.Lock()  # a call changes the reader's settings

    def find_text_lines(self, image: Image) -> npt.NDArray[np.float32]:
        """Find lines of text: N x 4 x 2, the corners (x, y) in pixels from the line's top left, clockwise."""
        with self._lock:
            found = self._reader(_to_bgr(image), use_det=True, use_cls=False, use_rec=False)
        boxes = getattr(found, "boxes", None)
        return np.zeros((0, 4, 2), np.float32) if boxes is None else np.asarray(boxes, np.float32).reshape(-1, 4, 2)

    def read_text_lines(self, lines: Sequence[Image]) -> list[tuple[str, float]]:
        """Read pictures of one upright line each; the text and how sure it is, 0 to 1; ("", 0) where none is."""
        return [self._read_line(line) for line in lines]

    def _read_line(self, line: Image) -> tuple[str, float]:
        with self._lock:
            read = self._reader(_to_bgr(line), use_det=False, use_cls=False, use_rec=True)
        texts, scores = getattr(read, "txts", None), getattr(read, "scores", None)
        return (str(texts[0]).strip(), float(scores[0])) if texts and scores else ("", 0.0)

    def close(self) -> None:
        """Free the reader and its memory."""
        del self._reader


def _find_weights(folder: Path, kind: str) -> Path:
    """Find the package's own weights. Raises `ModelUnavailable` where a version carries none."""
    found = sorted(folder.glob(f"*_{kind}_*.onnx"))
    if not found:
        raise ModelUnavailable(f"Words cannot be read: this version of {PACKAGE} carries no weights ({kind}).")
    return found[-1]


def _to_bgr(image: Image) -> Image:
    return np.ascontiguousarray(image[..., 2::-1])
