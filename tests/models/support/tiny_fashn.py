"""FASHN VTON in small with random weights, and a net with the inputs and outputs of DWPose's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipelines.core.geometry import Float32Array
from pipelines.core.models import ModelSpec
from pipelines.models.families.fashn.model import VERBS
from pipelines.models.families.fashn.network import TryOnLayout, build_network

LAYOUT: dict[str, Any] = {
    "width": 48, "height": 72, "channels": 32, "head_count": 2, "mixer_depth": 1, "double_depth": 2, "single_depth": 2,
    "rotary_channels": (4, 6, 6),
}  # fmt: skip
CROP_WIDTH_PX, CROP_HEIGHT_PX = 288, 384
# Where DWPose's stand-in sees the 17 joints of COCO in its crop, as shares of its sides; nothing else is seen.
JOINTS = (
    (0.5, 0.15), (0.53, 0.13), (0.47, 0.13), (0.56, 0.14), (0.44, 0.14), (0.65, 0.28), (0.35, 0.28), (0.7, 0.42),
    (0.3, 0.42), (0.72, 0.55), (0.28, 0.55), (0.6, 0.55), (0.4, 0.55), (0.6, 0.75), (0.4, 0.75), (0.6, 0.95),
    (0.4, 0.95),
)  # fmt: skip


def tiny_fashn(folder: Path) -> ModelSpec:
    """Write a checkpoint as the published one is, one file without a configuration; its spec takes three steps."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = build_network(TryOnLayout(**LAYOUT))
    save_file(network.state_dict(), folder / "model.safetensors")
    options = (("files", "model.safetensors"), ("layout", json.dumps(LAYOUT)))
    defaults = (("num_inference_steps", 3), ("guidance_scale", 1.5))
    return ModelSpec("tiny-fashn", "fashn", VERBS, "Apache-2.0", repo=str(folder), defaults=defaults, options=options)


def make_pose_file(*, seen: int = len(JOINTS)) -> bytes:
    """Make a net that sees the first `seen` joints of a body in every crop."""
    bins = [np.zeros((1, 133, 2 * side), np.float32) for side in (CROP_WIDTH_PX, CROP_HEIGHT_PX)]
    for number, place in enumerate(JOINTS[:seen]):
        for axis, share in enumerate(place):
            bins[axis][0, number, round(share * bins[axis].shape[2])] = 0.9
    names = ("simcc_x", "simcc_y")
    crop = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, CROP_HEIGHT_PX, CROP_WIDTH_PX])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(each.shape))
        for name, each in zip(names, bins, strict=True)
    ]
    # What the crop shows changes nothing, but is read.
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean"] * 2, ["0"]),
    ]
    nodes += [helper.make_node("Add", [f"{name}_seen", "0"], [name]) for name in names]
    seen_bins = [numpy_helper.from_array(each, f"{name}_seen") for name, each in zip(names, bins, strict=True)]
    graph = helper.make_graph(nodes, "dwpose", [crop], outputs, seen_bins)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def random_points(seed: int) -> Float32Array:
    """133 points within a unit square."""
    return np.random.default_rng(seed).random((133, 2), np.float32)
