"""Nets from the hub that work beside the models that draw: they cut out (BiRefNet, ViTMatte, SAM 2) and fill a hole.

All run on the processor. Memory and time were measured on graphs rebuilt with random weights of the published sizes.
"""

from __future__ import annotations

from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.models.pinned_revisions import PINS


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
PORTRAIT = replace(
    GENERAL,
    id="birefnet-portrait",
    repo="onnx-community/BiRefNet-portrait-ONNX",
    revision=PINS["onnx-community/BiRefNet-portrait-ONNX"],
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


class HubNetFamily:
    """A family of such nets, the best first; tests give it nets of their own.

    `opener` is the class of the nets, or the function that opens one, as `module:name`: none is imported before a load.
    """

    def __init__(self, specs: tuple[ModelSpec, ...], opener: str) -> None:
        self.specs = specs
        self._opener = opener

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that the net takes between runs, measured beforehand."""
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> Any:
        """Load the net of `spec` onto the processor, whatever `device` is. Raises `ModelUnavailable`."""
        return resolve_name(self._opener)(spec)


BIREFNET_FAMILY = HubNetFamily((LITE, GENERAL, PORTRAIT), "pipelines.models.nets.birefnet:BiRefNet")
VITMATTE_FAMILY = HubNetFamily((VITMATTE,), "pipelines.models.nets.vitmatte:ViTMatte")
SAM2_FAMILY = HubNetFamily((SAM2,), "pipelines.models.nets.sam2:Sam2")
FILL_NETS = HubNetFamily((LAMA, MIGAN), "pipelines.models.nets.fill_net:open_fill_net")
