"""Nets from the hub that work beside the models that draw: they cut out (BiRefNet, ViTMatte, SAM 2) and fill a hole.

All run on the processor. Memory and time were measured on graphs rebuilt with random weights of the published sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.models.pinned_revisions import PINS

if TYPE_CHECKING:
    from pipelines.models.nets.birefnet import BiRefNet
    from pipelines.models.nets.fill_net import FillNet
    from pipelines.models.nets.sam2 import Sam2
    from pipelines.models.nets.vitmatte import ViTMatte

Net = TypeVar("Net")


def _make_row(
    id: str,
    family: str,
    licence: str,
    repo: str,
    files: str,
    *,
    file_bytes: int,
    loaded_bytes: int,
    run_bytes: int,
    u2net_runs: int,
    verbs: tuple[Verb, ...] = (),
) -> ModelSpec:
    """Make a row; `run_bytes` is what a run takes at its highest, `u2net_runs` its time in runs of small U2-Net."""
    options = (("files", files), ("runs_on", "cpu"), ("run_bytes", str(run_bytes)), ("u2net_runs", str(u2net_runs)))
    return ModelSpec(
        id,
        family,
        verbs,
        licence,
        repo,
        PINS[repo],
        options=options,
        bytes=loaded_bytes,
        download_bytes=file_bytes,
    )


# Better matting than the nets that ship, and slower; the authors' ONNX files, as onnx-community keeps them. Their
# HR-matting net (2048 px) is not here: no known publisher has it in ONNX, and a run of it takes more than 20 GB.
LITE = _make_row(
    "birefnet-lite",
    "birefnet",
    "MIT",
    "onnx-community/BiRefNet_lite-ONNX",
    "onnx/model.onnx",
    file_bytes=224_005_088,
    loaded_bytes=510_000_000,
    run_bytes=6_100_000_000,
    u2net_runs=40,
)
GENERAL = _make_row(
    "birefnet-general",
    "birefnet",
    "MIT",
    "onnx-community/BiRefNet-ONNX",
    "onnx/model.onnx",
    file_bytes=972_666_916,
    loaded_bytes=2_840_000_000,
    run_bytes=9_000_000_000,
    u2net_runs=83,
)
PORTRAIT = _make_row(
    "birefnet-portrait",
    "birefnet",
    "MIT",
    "onnx-community/BiRefNet-portrait-ONNX",
    "onnx/model.onnx",
    file_bytes=972_666_916,
    loaded_bytes=2_840_000_000,
    run_bytes=9_000_000_000,
    u2net_runs=83,
)

# Draws the edges of a cut-out anew from a photo and what is settled in it. Time of 7 tiles, as for a megapixel.
VITMATTE = _make_row(
    "vitmatte-small",
    "vitmatte",
    "Apache-2.0",
    "hustvl/vitmatte-small-composition-1k",
    "config.json,preprocessor_config.json,model.safetensors",
    file_bytes=103_295_693,
    loaded_bytes=110_000_000,
    run_bytes=800_000_000,
    u2net_runs=46,
)

# Finds what somebody points at. Time of embedding a photo; a click after that takes a fraction.
SAM2 = _make_row(
    "sam2-tiny",
    "sam2",
    "Apache-2.0",
    "facebook/sam2.1-hiera-tiny",
    "config.json,preprocessor_config.json,model.safetensors",
    file_bytes=155_914_445,
    loaded_bytes=260_000_000,
    run_bytes=1_000_000_000,
    u2net_runs=18,
)

# Fill a hole in a photo.
LAMA = _make_row(
    "lama",
    "fill-nets",
    "Apache-2.0",
    "Carve/LaMa-ONNX",
    "lama_fp32.onnx",
    file_bytes=208_044_816,
    loaded_bytes=460_000_000,
    run_bytes=800_000_000,
    u2net_runs=12,
    verbs=("inpaint",),
)
MIGAN = _make_row(
    "migan",
    "fill-nets",
    "MIT",
    "andraniksargsyan/migan",
    "migan_pipeline_v2.onnx",
    file_bytes=28_079_181,
    loaded_bytes=70_000_000,
    run_bytes=700_000_000,
    u2net_runs=4,
    verbs=("inpaint",),
)


class HubNetFamily(Generic[Net]):
    """A family of such nets, the best first, which `open_net` opens; tests give it nets of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...], open_net: Callable[[ModelSpec], Net]) -> None:
        self.specs = specs
        self._open_net = open_net

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that the net takes between runs, measured beforehand."""
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> Net:
        """Load the net of `spec` onto the processor, whatever `device` is. Raises `ModelUnavailable`."""
        return self._open_net(spec)


def _open_birefnet(spec: ModelSpec) -> BiRefNet:
    from pipelines.models.nets.birefnet import BiRefNet

    return BiRefNet(spec)


def _open_vitmatte(spec: ModelSpec) -> ViTMatte:
    from pipelines.models.nets.vitmatte import ViTMatte

    return ViTMatte(spec)


def _open_sam2(spec: ModelSpec) -> Sam2:
    from pipelines.models.nets.sam2 import Sam2

    return Sam2(spec)


def _open_fill_net(spec: ModelSpec) -> FillNet:
    from pipelines.models.nets.fill_net import LaMa, MiGan

    return LaMa(spec) if spec.id == LAMA.id else MiGan(spec)


BIREFNET_FAMILY = HubNetFamily((LITE, GENERAL, PORTRAIT), _open_birefnet)
VITMATTE_FAMILY = HubNetFamily((VITMATTE,), _open_vitmatte)
SAM2_FAMILY = HubNetFamily((SAM2,), _open_sam2)
FILL_NETS = HubNetFamily((LAMA, MIGAN), _open_fill_net)
