"""Nets with the inputs and outputs of the files of LaMa and MI-GAN, in the hub's cache: they fill with one colour."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from pipelines.core.models import ModelSpec
from pipelines.models import pinned_revisions
from pipelines.models.families.hub_nets import LAMA

COLOUR = (0.25, 0.5, 0.75)
"""What they fill with, RGB, 0 to 1."""


def make_file(spec: ModelSpec) -> bytes:
    """Make a net that leaves what is outside the hole as it is, as the trained ones do."""
    return (_make_lama() if spec is LAMA else _make_migan()).SerializeToString()


def put_into_cache(spec: ModelSpec, cache: Path, monkeypatch: pytest.MonkeyPatch, data: bytes | None = None) -> Path:
    """Put a file where a download of `spec` puts it, as the one that is known; return its path."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    name, data = dict(spec.options)["files"], make_file(spec) if data is None else data
    path = cache / f"models--{spec.repo.replace('/', '--')}" / "snapshots" / pinned_revisions.PINS[spec.repo] / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    known = {**pinned_revisions.FILE_SHA256, (spec.repo, name): hashlib.sha256(data).hexdigest()}
    monkeypatch.setattr(pinned_revisions, "FILE_SHA256", known)
    return path


def _make_lama() -> onnx.ModelProto:
    """image 0 to 1 and mask with 1 in the hole to 0 to 255, all float, 512 x 512, any batch."""
    nodes = [
        helper.make_node("Sub", ["one", "mask"], ["known"]),
        helper.make_node("Mul", ["image", "known"], ["seen"]),
        helper.make_node("Mul", ["colour", "mask"], ["drawn"]),
        helper.make_node("Add", ["seen", "drawn"], ["whole"]),
        helper.make_node("Mul", ["whole", "white"], ["output"]),
    ]
    return _make_model(nodes, TensorProto.FLOAT, ("batch", 512, 512), "output", 17)


def _make_migan() -> onnx.ModelProto:
    """image and mask with 255 outside the hole, bytes of any size, to bytes; names as the authors export them."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["mask"], ["level"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["level", "white"], ["known"]),
        helper.make_node("Sub", ["one", "known"], ["gap"]),
        helper.make_node("Mul", ["pixels", "known"], ["seen"]),
        helper.make_node("Mul", ["colour", "white"], ["paint"]),
        helper.make_node("Mul", ["paint", "gap"], ["drawn"]),
        helper.make_node("Add", ["seen", "drawn"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["result"], to=TensorProto.UINT8),
    ]
    return _make_model(nodes, TensorProto.UINT8, ("batch_size", "height", "width"), "result", 12)


def _make_model(
    nodes: list[onnx.NodeProto], kind: int, sizes: tuple[str | int, ...], output: str, opset: int
) -> onnx.ModelProto:
    batch, *sides = sizes
    shapes = {"image": [batch, 3, *sides], "mask": [batch, 1, *sides], output: [batch, 3, *sides]}
    values = {name: helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()}
    constants = [
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("white", TensorProto.FLOAT, [1], [255.0]),
        helper.make_tensor("colour", TensorProto.FLOAT, [1, 3, 1, 1], COLOUR),
    ]
    graph = helper.make_graph(nodes, "fill", [values["image"], values["mask"]], [values[output]], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model
