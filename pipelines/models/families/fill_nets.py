"""The family of the nets that fill a hole in a photo, from the hub: LaMa and MI-GAN, in published ONNX files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.models import ModelSpec
from pipelines.models.pinned_revisions import PINS

if TYPE_CHECKING:
    from pipelines.models.nets.fill_net import FillNet


def _make_row(
    id: str, licence: str, repo: str, file: str, *, file_bytes: int, loaded_bytes: int, run_bytes: int, u2net_runs: int
) -> ModelSpec:
    """Make a row; `run_bytes` is what a run takes at its highest, `u2net_runs` its time in runs of small U2-Net."""
    options = (("files", file), ("runs_on", "cpu"), ("run_bytes", str(run_bytes)), ("u2net_runs", str(u2net_runs)))
    return ModelSpec(
        id,
        "fill-nets",
        ("inpaint",),
        licence,
        repo,
        PINS[repo],
        options=options,
        bytes=loaded_bytes,
        download_bytes=file_bytes,
    )


# Memory and time were measured on graphs rebuilt with random weights.
LAMA = _make_row(
    "lama",
    "Apache-2.0",
    "Carve/LaMa-ONNX",
    "lama_fp32.onnx",
    file_bytes=208_044_816,
    loaded_bytes=460_000_000,
    run_bytes=800_000_000,
    u2net_runs=12,
)
MIGAN = _make_row(
    "migan",
    "MIT",
    "andraniksargsyan/migan",
    "migan_pipeline_v2.onnx",
    file_bytes=28_079_181,
    loaded_bytes=70_000_000,
    run_bytes=700_000_000,
    u2net_runs=4,
)


class FillNetFamily:
    """The model family. `specs` are its nets, the best first; tests give it nets of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self.specs = specs

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that the net takes between runs, measured beforehand."""
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> FillNet:
        """Load the net of `spec` onto the processor, whatever `device` is. Raises `ModelUnavailable`."""
        from pipelines.models.nets.fill_net import LaMa, MiGan

        return {LAMA.id: LaMa, MIGAN.id: MiGan}[spec.id](spec)


FILL_NETS = FillNetFamily((LAMA, MIGAN))
