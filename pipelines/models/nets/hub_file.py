"""The file of a net from the hub that is one ONNX file."""

from __future__ import annotations

from pathlib import Path

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models import pinned_revisions
from pipelines.models.bundled_weights import compute_sha256
from pipelines.models.diffusion import loader


def find_known_file(spec: ModelSpec) -> Path:
    """Find the file of `spec` and compare its digest. Raises `ModelUnavailable` for a missing or another file."""
    name = dict(spec.options)["files"]
    path = loader.ensure_checkpoint(spec).folder / name
    if compute_sha256(path) != pinned_revisions.FILE_SHA256[spec.repo, name]:
        raise ModelUnavailable(f"{path} is damaged or another file than the one that is known: delete it.")
    return path
