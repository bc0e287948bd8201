"""Where a diffusion checkpoint lies, on disk or at the hub, and how many bytes it will take; knows no torch.

A checkpoint is a folder as diffusers writes it: `model_index.json` and one folder per component.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelUnavailable
from pipelines.models import pinned_revisions

# Bytes per element of the types of the safetensors format; floating ones are cast on loading, the others stay.
_FLOAT_TYPES = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}
_OTHER_TYPE_BYTES = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
_MAX_HEADER_BYTES = 100 * 2**20  # as the format says
_WEIGHTLESS_COMPONENTS = ("scheduler", "tokenizer", "processor")
_LOADED_TYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
# What stays as it is where linear layers are read in 8 bits.
_UNQUANTIZED_NAMES = re.compile(r"embed|lm_head|shared")
_INT8_ROW_EXTRA_BYTES = 5  # bytes beside each row of an 8-bit weight: a float32 scale and an int8 zero point


def fetch_snapshot(repo: str, revision: str, patterns: Sequence[str], *, offline: bool = False) -> Path:
    """The folder of `repo`: itself when it is one, else its snapshot, brought from the hub where it is not cached.

    `offline` looks only at what is cached. Raises `ModelUnavailable` when it is neither here nor reachable, and for
    what `allowed` does not have.
    """
    if Path(repo).is_dir():
        return Path(repo)
    commit = pinned_revisions.pinned_commit(repo, revision)
    import httpx
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            repo, revision=commit, allow_patterns=list(patterns), local_files_only=offline, endpoint=_hub_endpoint()
        )
    except (OSError, httpx.HTTPError) as error:
        raise ModelUnavailable(
            f"The weights of {repo} are not on this machine and could not be fetched from the hub."
        ) from error
    return Path(found)


def pending(repo: str, revision: str, patterns: Sequence[str]) -> int:
    """Bytes of `repo` that are not on this machine yet, as the hub tells; raises `ModelUnavailable` without the hub."""
    if Path(repo).is_dir():
        return 0
    commit = pinned_revisions.pinned_commit(repo, revision)
    import httpx
    from huggingface_hub import snapshot_download

    try:
        rows = snapshot_download(
            repo, revision=commit, allow_patterns=list(patterns), dry_run=True, endpoint=_hub_endpoint()
        )
    except (OSError, httpx.HTTPError) as error:
        raise ModelUnavailable(f"The hub did not say what {repo} would take.") from error
    return sum(row.file_size or 0 for row in rows if row.will_download)


def file_patterns(components: Iterable[str], variant: str = "") -> tuple[str, ...]:
    """What a checkpoint of these components needs from its repository: no second copy in another type or format."""
    rows = ["model_index.json", "scheduler/*.json", "tokenizer*/*", "processor/*"]
    for component in components:
        rows.append(f"{component}/*.json")
        rows.extend(f"{component}/{name}" for name in _weight_file_patterns(variant))
    return tuple(rows)


def find_weight_files(folder: Path, components: Iterable[str], variant: str = "") -> tuple[Path, ...]:
    """The safetensors files that loading will read; raises `ModelUnavailable` when a component has none."""
    files: list[Path] = []
    for component in components:
        names = sorted((folder / component).glob("*.safetensors"))
        wanted = [file for file in names if any(fnmatch(file.name, name) for name in _weight_file_patterns(variant))]
        if not wanted or _is_missing_shards(wanted):
            raise ModelUnavailable(f"The checkpoint {folder.name} lacks the weights of its {component}.")
        files.extend(wanted)
    return tuple(files)


def check_config_files(folder: Path, components: Iterable[str]) -> None:
    """Raises `ModelUnavailable` where the files of a component without weights are missing: a download broke off."""
    for component in components:
        if component.startswith(_WEIGHTLESS_COMPONENTS) and not any((folder / component).glob("*.json")):
            raise ModelUnavailable(f"The checkpoint {folder.name} lacks the files of its {component}.")


def is_safetensors(file: Path) -> bool:
    """Whether a file is what its ending says, by its header: such a file can hold numbers only, and no code."""
    try:
        return bool(_read_header(file))
    except (OSError, ValueError, struct.error):
        return False


def read_model_index(folder: Path) -> dict[str, object]:
    """What `model_index.json` says, without the components that are switched off."""
    path = folder / "model_index.json"
    if not path.is_file():
        raise ModelUnavailable(f"{folder.name} is not a diffusers checkpoint: model_index.json is missing.")
    return {key: value for key, value in json.loads(path.read_text()).items() if value != [None, None]}


def compute_loaded_bytes(files: Iterable[Path], dtype: str, *, int8: bool = False) -> int:
    """Bytes that the tensors of these safetensors files take once loaded as `dtype`; reads their headers only.

    `int8`: the weights of linear layers are quantized to 8 bits, with a scale for each row. Raises `ModelUnavailable`
    for a file that is none.
    """
    total = 0
    for file in files:
        try:
            total += _compute_tensor_bytes(_read_header(file), _LOADED_TYPE_BYTES[dtype], int8=int8)
        except (OSError, ValueError, struct.error) as error:
            raise ModelUnavailable(f"The file {file.name} of {file.parent.name} is damaged: delete it.") from error
    return total


def _hub_endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _is_missing_shards(files: Sequence[Path]) -> bool:
    """Whether some of the pieces that one file was cut into are missing, as after a download that broke off."""
    counts = [int(file.stem.rpartition("-of-")[2]) for file in files if "-of-" in file.stem]
    return bool(counts) and len(counts) < max(counts)


def _weight_file_patterns(variant: str) -> tuple[str, ...]:
    dot = f".{variant}" if variant else ""
    stems = ("diffusion_pytorch_model", "model")
    return tuple(f"{stem}{dot}{rest}.safetensors" for stem in stems for rest in ("", "-?????-of-?????"))


def _read_header(file: Path) -> dict[str, dict[str, Any]]:
    """The JSON header of a safetensors file: 8 bytes of length, little-endian, then that many bytes."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > _MAX_HEADER_BYTES:
            raise ValueError("not a safetensors file")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    return header


def _compute_tensor_bytes(header: dict[str, dict[str, Any]], loaded: int, *, int8: bool) -> int:
    return sum(
        shape[0] * (shape[1] + _INT8_ROW_EXTRA_BYTES) if int8 and kind in _FLOAT_TYPES and _is_linear_weight(name, shape)
        else math.prod(shape) * (loaded if kind in _FLOAT_TYPES else _OTHER_TYPE_BYTES[kind])
        for name, kind, shape in ((name, tensor["dtype"], tensor["shape"]) for name, tensor in header.items())
    )  # fmt: skip


def _is_linear_weight(name: str, shape: Sequence[int]) -> bool:
    return len(shape) == 2 and name.endswith(".weight") and not _UNQUANTIZED_NAMES.search(name)
