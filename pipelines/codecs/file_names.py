"""Names of files for a download: from the upload's name, the tool and the look."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pipelines.codecs.encode import FILE_EXTENSIONS

LABEL_SEPARATOR = "_"
"""Stands between label and tool, and in no label, so that a result's name tells its label."""
MAX_LABEL_CHARS = 40
_MAX_READ_CHARS = 400
_UNSAFE_CHARS = re.compile(r"[^A-Za-z0-9]+")
_ASCII_TABLE = str.maketrans(
    {"ß": "ss", "Æ": "Ae", "æ": "ae", "Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d"}
)
_REPAIR_FIELDS = ("matte", "keep", "drop", "box")
"""Fields of a cut-out that somebody set by hand."""
_GENERIC_LABELS = {
    "blob",
    "clipboard",
    "download",
    "file",
    "image",
    "picture",
    "photo",
    "unnamed",
    "untitled",
    "upload",
}
"""Names that programs give to a picture without a name."""


def make_label(upload_name: str) -> str:
    """Return the upload's name without folder and ending, in ASCII letters, digits and hyphens, "" where none is left.

    `C:\\shop\\Rote Tasse.jpg` becomes `Rote-Tasse`. The label never holds `LABEL_SEPARATOR`.
    """
    label = _to_safe_word(PurePosixPath(upload_name[-_MAX_READ_CHARS:].replace("\\", "/")).stem)
    return "" if label.lower() in _GENERIC_LABELS else label


def name_by_words(words: str, count: int) -> tuple[str, ...]:
    """Name `count` pictures that were made by words: `a-quiet-harbour-1` …; `words-1` where no letter is left."""
    word = _to_safe_word(words[:_MAX_READ_CHARS]).lower() or "words"
    return tuple(f"{word}-{n}" for n in range(1, count + 1))


def _to_safe_word(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.translate(_ASCII_TABLE)).encode("ascii", "ignore").decode()
    return _UNSAFE_CHARS.sub("-", plain)[:MAX_LABEL_CHARS].strip("-")


def name_download(
    label: str, tool: str, params: Mapping[str, Any], number: int, format: str, *, own_name: str = ""
) -> str:
    """Return a name such as `red-mug_product-amazon-1.png`; `own_name` is the name that the tool gave the file.

    A picture whose cut-out was repaired by hand is called `red-mug_product-amazon-1-repaired.png`; where a tool crops,
    marks say what stays whole and repair nothing.
    """
    look = _UNSAFE_CHARS.sub("-", str(params.get("preset") or "picture"))
    name = own_name or f"{tool}-{look}-{number}.{FILE_EXTENSIONS.get(format, format)}"
    is_cut_out = "matte" in params and "focus_x" not in params
    if is_cut_out and any(params.get(field) for field in _REPAIR_FIELDS):
        stem, dot, ending = name.rpartition(".")
        name = f"{stem}-repaired{dot}{ending}"
    return f"{label}{LABEL_SEPARATOR}{name}" if label else name


def number_version(name: str, version: int) -> str:
    """Return a download's name with the number of its version before the ending; the first one has none."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{version}{dot}{ending}" if version > 1 else name


def label_of_result(download_name: str) -> str:
    """Return the label in the name of a result, "" where it has none."""
    return download_name.partition(LABEL_SEPARATOR)[0] if LABEL_SEPARATOR in download_name else ""


def strip_label(download_name: str) -> str:
    """Return a result's name without its label, for whoever need not know what the photo was called."""
    return download_name.rpartition(LABEL_SEPARATOR)[2]
