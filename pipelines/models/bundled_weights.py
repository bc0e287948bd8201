"""Model files that ship with the project, and the check of their SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec

TRAINED_HERE_FOLDERS = ("mini/", "realesr-x4/")  # no package has their files
MODELS_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "models"


def are_files_present(spec: ModelSpec) -> bool:
    """Tell whether every file of `spec` is in assets/models; checksums are not compared."""
    return all((MODELS_FOLDER / path).is_file() for path, _ in spec.files)


def verify_files(spec: ModelSpec) -> tuple[Path, ...]:
    """Return the paths of the files of `spec`. Raises `ModelUnavailable` for a missing file or a wrong SHA-256."""
    return tuple(_verify_file(spec, MODELS_FOLDER / path, sha256) for path, sha256 in spec.files)


def read_tflite(file: Path) -> cv2.dnn.Net:
    """Read a TFLite net. OpenCV 5.0's newer engine knows only one output of a net; 5.1 has no other, and knows all."""
    return cv2.dnn.readNetFromTFLite(str(file), getattr(cv2.dnn, "ENGINE_CLASSIC", cv2.dnn.ENGINE_AUTO))


def _verify_file(spec: ModelSpec, path: Path, sha256: str) -> Path:
    is_trained_here = spec.files[0][0].startswith(TRAINED_HERE_FOLDERS)
    way = "git checkout assets/models" if is_trained_here else f"python assets/fetch.py {spec.id}"
    if not path.is_file():
        raise ModelUnavailable(f"The file {path.name} of model {spec.id} is missing. `{way}` brings it.")
    if compute_sha256(path) != sha256:
        raise ModelUnavailable(f"The file {path.name} of model {spec.id} is damaged. `{way}` brings it again.")
    return path


def compute_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
