"""The family of SAM 2: a net that finds what somebody points at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.models import ModelSpec
from pipelines.models.pinned_revisions import PINS

if TYPE_CHECKING:
    from pipelines.models.nets.sam2 import Sam2

REPO = "facebook/sam2.1-hiera-tiny"
# Memory and time (of embedding a photo) were measured with random weights of the same sizes.
SAM2 = ModelSpec(
    "sam2-tiny",
    "sam2",
    (),
    "Apache-2.0",
    REPO,
    PINS[REPO],
    options=(
        ("files", "config.json,preprocessor_config.json,model.safetensors"),
        ("runs_on", "cpu"),
        ("run_bytes", "1000000000"),
        ("u2net_runs", "18"),
    ),
    bytes=260_000_000,
    download_bytes=155_914_445,
)


class Sam2Family:
    """The model family. `specs` are its nets; tests give it nets of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self.specs = specs

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that the net takes between runs, measured beforehand."""
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> Sam2:
        """Load the net of `spec` onto the processor, whatever `device` is. Raises `ModelUnavailable`."""
        from pipelines.models.nets.sam2 import Sam2

        return Sam2(spec)


SAM2_FAMILY = Sam2Family((SAM2,))
