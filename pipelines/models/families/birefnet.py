"""The family of BiRefNet: matting nets from the hub, better than those that ship with the project, and slower.

The files are those that the authors published in ONNX, as onnx-community keeps them. Their HR-matting net (2048 px) is
not among them: no repository of a known publisher has it in ONNX, and a run of it takes more than 20 GB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.models import ModelSpec
from pipelines.models.pinned_revisions import PINS

if TYPE_CHECKING:
    from pipelines.models.nets.birefnet import BiRefNet


def _make_row(
    id: str, repo: str, *, file_bytes: int, loaded_bytes: int, run_bytes: int, u2net_runs: float
) -> ModelSpec:
    """Make a row; `run_bytes` is what a run takes at its highest, `u2net_runs` its time in runs of small U2-Net."""
    options = (
        ("files", "onnx/model.onnx"),
        ("runs_on", "cpu"),
        ("run_bytes", str(run_bytes)),
        ("u2net_runs", str(u2net_runs)),
    )
    return ModelSpec(
        id, "birefnet", (), "MIT", repo, PINS[repo], options=options, bytes=loaded_bytes, download_bytes=file_bytes
    )


# Memory and time were measured on graphs rebuilt with random weights.
LITE = _make_row(
    "birefnet-lite",
    "onnx-community/BiRefNet_lite-ONNX",
    file_bytes=224_005_088,
    loaded_bytes=510_000_000,
    run_bytes=6_100_000_000,
    u2net_runs=40,
)
GENERAL = _make_row(
    "birefnet-general",
    "onnx-community/BiRefNet-ONNX",
    file_bytes=972_666_916,
    loaded_bytes=2_840_000_000,
    run_bytes=9_000_000_000,
    u2net_runs=83,
)
PORTRAIT = _make_row(
    "birefnet-portrait",
    "onnx-community/BiRefNet-portrait-ONNX",
    file_bytes=972_666_916,
    loaded_bytes=2_840_000_000,
    run_bytes=9_000_000_000,
    u2net_runs=83,
)


class BiRefNetFamily:
    """The model family. `specs` are its nets; tests give it nets of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self.specs = specs

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that the net takes between runs, measured beforehand."""
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> BiRefNet:
        """Load the net of `spec` onto the processor, whatever `device` is. Raises `ModelUnavailable`."""
        from pipelines.models.nets.birefnet import BiRefNet

        return BiRefNet(spec)


BIREFNET_FAMILY = BiRefNetFamily((LITE, GENERAL, PORTRAIT))
