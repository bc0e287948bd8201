"""The family of ViTMatte: a net that draws the edges of a cut-out anew, from a photo and what is settled in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.models import ModelSpec
from pipelines.models.pinned_revisions import PINS

if TYPE_CHECKING:
    from pipelines.models.nets.vitmatte import ViTMatte

REPO = "hustvl/vitmatte-small-composition-1k"
# Memory and time (of 7 tiles, as a photo of a megapixel has) were measured with random weights of the same sizes.
VITMATTE = ModelSpec(
    "vitmatte-small",
    "vitmatte",
    (),
    "Apache-2.0",
    REPO,
    PINS[REPO],
    options=(
        ("files", "config.json,preprocessor_config.json,model.safetensors"),
        ("runs_on", "cpu"),
        ("run_bytes", "800000000"),
        ("u2net_runs", "46"),
    ),
    bytes=110_000_000,
    download_bytes=103_295_693,
)


class ViTMatteFamily:
    """The model family. `specs` are its nets; tests give it nets of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self.specs = specs

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that the net takes between runs, measured beforehand."""
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> ViTMatte:
        """Load the net of `spec` onto the processor, whatever `device` is. Raises `ModelUnavailable`."""
        from pipelines.models.nets.vitmatte import ViTMatte

        return ViTMatte(spec)


VITMATTE_FAMILY = ViTMatteFamily((VITMATTE,))
