"""Diffusers checkpoints on disk and at the hub: finds their files and computes the bytes they will take.

A checkpoint is a folder as diffusers writes it: `model_index.json` and one folder per component.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pipelines.core.errors import ModelUnavailable, StudioError
from pipelines.models import pinned_revisions

# Types of the safetensors format, and bytes per element: floats are cast to one type on loading, the others are not.
_FLOAT_TYPES = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}
_OTHER_TYPE_BYTES = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
_WEIGHTLESS_COMPONENTS = ("scheduler", "tokenizer", "processor", "text_processor")
_LOADED_TYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
# Names of weights that are not quantized where linear layers are read in 8 bits.
_UNQUANTIZED_NAMES = re.compile(r"embed|lm_head|shared")
_SCALES_PER_ROW_COUNT = 1  # numbers of the loaded type beside each row of a float8 weight
_INT8_ROW_EXTRA_BYTES = 5  # bytes beside each row of an 8-bit weight: a float32 scale and an int8 zero point


PUBLIC_HUB_URL = "https://huggingface.co"


def hub_url() -> str:
    """Return the address that weights come from: HF_ENDPOINT, else the public hub."""
    return os.environ.get("HF_ENDPOINT") or PUBLIC_HUB_URL


def fetch_snapshot(repo: str, revision: str, patterns: Sequence[str], *, offline: bool = False) -> Path:
    """Return the folder of `repo`: itself when it is a folder, else its snapshot, downloaded where it is not cached.

    With `offline` only the cache is searched. Raises `ModelUnavailable` when it is neither cached nor reachable, and
    for a repository or commit that `pinned_revisions` does not allow.
    """
    if Path(repo).is_dir():
        return Path(repo)
    commit = pinned_revisions.pinned_commit(repo, revision)
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repo, revision=commit, allow_patterns=list(patterns), local_files_only=offline, endpoint=hub_url()
        )
    except hub_client_errors() as error:
        if says_disk_full(error):
            raise StudioError(f"The disk is full: the files of {repo} have no room on it.", code="disk_full") from error
        raise ModelUnavailable(f"The files of {repo} are not on this machine and could not be downloaded.") from error
    return Path(folder)


def hub_client_errors() -> tuple[type[Exception], ...]:
    """List what the hub's client raises: its own errors, those of its HTTP library, and the RuntimeError of hf_xet.

    The HTTP library is httpx or httpx2, by the version of huggingface_hub; its own error names the one in use.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (*HfHubHTTPError.__bases__, OSError, RuntimeError)


def says_disk_full(error: BaseException) -> bool:
    """Tell whether a download failed for want of space; hf_xet says that in words only."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return bool(re.search(r"no space left|not enough space on the disk|disk quota exceeded", str(error), re.IGNORECASE))


def file_patterns(components: Iterable[str], variant: str = "") -> tuple[str, ...]:
    """List the file patterns of a checkpoint with these components: no second copy in another type or format."""
    rows = ["model_index.json", "scheduler/*.json", "tokenizer*/*", "processor/*", "text_processor/*"]
    for component in components:
        rows.append(f"{component}/*.json")
        rows.extend(f"{component}/{name}" for name in _weight_file_patterns(variant))
    return tuple(rows)


def find_weight_files(folder: Path, components: Iterable[str], variant: str = "") -> tuple[Path, ...]:
    """List the safetensors files that loading will read; raises `ModelUnavailable` when a component lacks any."""
    files: list[Path] = []
    for component in components:
        names = sorted(filter(is_here, (folder / component).glob("*.safetensors")))
        wanted = [file for file in names if any(fnmatch(file.name, name) for name in _weight_file_patterns(variant))]
        if not wanted or _is_missing_shards(wanted):
            raise ModelUnavailable(f"The checkpoint {folder.name} lacks the weights of its {component}.")
        files.extend(wanted)
    return tuple(files)


def is_here(path: Path) -> bool:
    """Tell whether a file is on this machine.

    On ZeroGPU `spaces` deletes weights from the hub's cache once it has packed them for the GPU, which leaves a link to
    nothing: the model is here all the same.
    """
    was_packed = path.is_symlink() and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return path.is_file() or was_packed


def check_config_files(folder: Path, components: Iterable[str]) -> None:
    """Raise `ModelUnavailable` where files of a component without weights are missing, as in a partial download."""
    for component in components:
        if component.startswith(_WEIGHTLESS_COMPONENTS) and not any((folder / component).glob("*.json")):
            raise ModelUnavailable(f"The checkpoint {folder.name} lacks the files of its {component}.")


def is_safetensors(file: Path) -> bool:
    """Tell by its header whether a file is a safetensors file: such a file can hold numbers only, and no code."""
    try:
        return bool(_read_tensor_types(file))
    except (OSError, SafetensorError):
        return False


def read_model_index(folder: Path) -> dict[str, object]:
    """Read `model_index.json` of a checkpoint, without the components that are switched off."""
    path = folder / "model_index.json"
    if not path.is_file():
        raise ModelUnavailable(f"{folder.name} is not a diffusers checkpoint: model_index.json is missing.")
    return {key: value for key, value in json.loads(path.read_text("utf-8")).items() if value != [None, None]}


def find_component_class(folder: Path, name: str) -> tuple[str, str]:
    """Return library and class of a component; raises `ModelUnavailable` unless diffusers or transformers has it."""
    found = read_model_index(folder).get(name)
    match found:
        case ["diffusers" | "transformers" as library, str(class_name)]:
            return library, class_name
        case _:
            raise ModelUnavailable(f"The {name} of {folder.name} is of a kind that is not loaded: {found}.")


def compute_loaded_bytes(
    files: Iterable[Path], dtype: str, *, int8: bool = False, unless_float8: re.Pattern[str] | None = None
) -> int:
    """Compute the bytes that the tensors of these safetensors files take once loaded as `dtype`; reads headers only.

    `int8`: the weights of linear layers are quantized to 8 bits, with a scale for each row. `unless_float8`: they are
    stored in float8 so, unless their layer's name matches. Raises `ModelUnavailable` for a damaged file.
    """
    total = 0
    for file in files:
        try:
            total += _compute_tensor_bytes(
                _read_tensor_types(file), _LOADED_TYPE_BYTES[dtype], int8=int8, unless_float8=unless_float8
            )
        except (OSError, SafetensorError) as error:
            raise ModelUnavailable(f"The file {file.name} of {file.parent.name} is damaged: delete it.") from error
    return total


def _is_missing_shards(files: Sequence[Path]) -> bool:
    """Tell whether some shards of a sharded file are missing, as in a partial download."""
    counts = [int(file.stem.rpartition("-of-")[2]) for file in files if "-of-" in file.stem]
    return bool(counts) and len(counts) < max(counts)


def _weight_file_patterns(variant: str) -> tuple[str, ...]:
    dot = f".{variant}" if variant else ""
    stems = ("diffusion_pytorch_model", "model")
    return tuple(f"{stem}{dot}{rest}.safetensors" for stem in stems for rest in ("", "-?????-of-?????"))


def _read_tensor_types(file: Path) -> dict[str, tuple[str, list[int]]]:
    """Read the type and the shape of every tensor of a safetensors file, by its name; reads no weights.

    Raises `OSError` for a file that cannot be opened, and `SafetensorError` for one that is damaged, cut off or of
    another format.
    """
    with safe_open(file, "numpy") as tensors:
        slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
    return {name: (each.get_dtype(), each.get_shape()) for name, each in slices.items()}


def _compute_tensor_bytes(
    tensors: dict[str, tuple[str, list[int]]],
    float_bytes: int,
    *,
    int8: bool,
    unless_float8: re.Pattern[str] | None,
) -> int:
    total = 0
    for name, (kind, shape) in tensors.items():
        is_linear = len(shape) == 2 and name.endswith(".weight")
        if kind not in _FLOAT_TYPES:
            total += math.prod(shape) * _OTHER_TYPE_BYTES[kind]
        elif int8 and is_linear and not _UNQUANTIZED_NAMES.search(name):
            total += shape[0] * (shape[1] + _INT8_ROW_EXTRA_BYTES)
        elif unless_float8 is not None and is_linear and not unless_float8.search(name.removesuffix(".weight")):
            total += shape[0] * (shape[1] + _SCALES_PER_ROW_COUNT * float_bytes)
        else:
            total += math.prod(shape) * float_bytes
    return total
