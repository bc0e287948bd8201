"""A net with the inputs and outputs of BiRefNet's ONNX files and random weights, in the hub's cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipelines.core.geometry import Float32Array
from pipelines.core.models import ModelSpec
from pipelines.models import pinned_revisions

WEIGHTS: Float32Array = np.random.default_rng(22).normal(0, 2, (1, 3, 1, 1)).astype(np.float32)


def make_file() -> bytes:
    """Make a net that weighs the three channels: a convolution of one pixel, which gives logits."""
    pixels = helper.make_tensor_value_info("input_image", TensorProto.FLOAT, [1, 3, 1024, 1024])
    logits = helper.make_tensor_value_info("output_image", TensorProto.FLOAT, [1, 1, 1024, 1024])
    node = helper.make_node("Conv", ["input_image", "weights"], ["output_image"])
    graph = helper.make_graph([node], "birefnet", [pixels], [logits], [numpy_helper.from_array(WEIGHTS, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def put_into_cache(spec: ModelSpec, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the file where a download of `spec` puts it, as the one that is known; return its path."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    name, data = dict(spec.options)["files"], make_file()
    path = cache / f"models--{spec.repo.replace('/', '--')}" / "snapshots" / pinned_revisions.PINS[spec.repo] / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    known = {**pinned_revisions.FILE_SHA256, (spec.repo, name): hashlib.sha256(data).hexdigest()}
    monkeypatch.setattr(pinned_revisions, "FILE_SHA256", known)
    return path
