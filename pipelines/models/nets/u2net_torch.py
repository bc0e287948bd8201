"""A matting net run by torch, in 32 or 16 bits and any batch, so that both can be timed alike; makes no cut-out.

ONNX Runtime has no 16-bit convolutions for processors; torch has (bfloat16, in hardware on newer ones). The net's own
file is read and its seven kinds of layers are run one after the other, so weights and answers are the cut-out's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    import torch

Bits = Literal[32, 16]
Tensors: TypeAlias = "dict[str, torch.Tensor]"
Layer: TypeAlias = "Callable[[Tensors, Tensors], torch.Tensor]"
Kind: TypeAlias = "Callable[[list[str], Mapping[str, Any], Tensors, Tensors], torch.Tensor]"
_SHAPES = ("Shape", "Constant", "Gather", "Unsqueeze", "Slice", "Cast", "Concat")
"""Layers that only say how large something is to become; the `Concat` of pictures is told apart by what it joins."""


class Trial:
    """The net at `path` (ONNX, U2-Net's layers) in both precisions."""

    def __init__(self, path: Path) -> None:
        import torch

        graph = onnx.load(str(path)).graph
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._layers = _freed(_layers(graph), self._output)
        wide = {row.name: torch.from_numpy(numpy_helper.to_array(row).copy()) for row in graph.initializer}
        self._weights = {32: wide, 16: {name: each.to(torch.bfloat16) for name, each in wide.items()}}

    def timed(self, pixels: npt.NDArray[np.float32], bits: Bits, batch: int) -> tuple[npt.NDArray[np.float32], float]:
        """The net's map of `pixels` (1 x 3 x H x W), H x W, and the seconds it took for each of `batch` at a time."""
        import torch

        weights = self._weights[bits]
        dtype = torch.float32 if bits == 32 else torch.bfloat16
        with torch.inference_mode():
            held: Tensors = {self._input: torch.from_numpy(pixels).to(dtype).repeat(batch, 1, 1, 1)}
            since = time.perf_counter()
            for name, run, done in self._layers:
                held[name] = run(held, weights)
                for each in done:
                    del held[each]
            seconds = (time.perf_counter() - since) / batch
            return held[self._output][0, 0].float().numpy(), seconds


def _freed(layers: list[tuple[str, list[str], Layer]], output: str) -> list[tuple[str, Layer, tuple[str, ...]]]:
    """Up to the layer `output`, each with the pictures that nobody needs after it: held all, they are gigabytes."""
    layers = layers[: 1 + next(n for n, (name, _, _) in enumerate(layers) if name == output)]
    last = {name: n for n, (_, names, _) in enumerate(layers) for name in names}
    return [
        (name, run, tuple(each for each in dict.fromkeys(names) if last[each] == n))
        for n, (name, names, run) in enumerate(layers)
    ]


def _layers(graph: onnx.GraphProto) -> list[tuple[str, list[str], Layer]]:
    """Each layer's output, the pictures that it takes, and how it is made.

    Raises `ValueError` for a kind that no U2-Net has.
    """
    kinds = _kinds()
    made: dict[str, onnx.NodeProto] = {node.output[0]: node for node in graph.node}
    pictures = {graph.input[0].name}
    layers: list[tuple[str, list[str], Layer]] = []
    for node in graph.node:
        if node.op_type in _SHAPES and not (node.op_type == "Concat" and node.input[0] in pictures):
            continue
        if node.op_type not in kinds:
            raise ValueError(f"no U2-Net has a layer {node.op_type}")
        names = list(node.input)
        if node.op_type == "Resize":
            names = [names[0], _like(names[0], names[3], made)]
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        taken = names[:1] if node.op_type == "Conv" else names
        layers.append((node.output[0], taken, partial(kinds[node.op_type], names, attributes)))
        pictures.add(node.output[0])
    return layers


def _like(resized: str, sizes: str, made: Mapping[str, onnx.NodeProto]) -> str:
    """The picture whose size another one is brought to: the one that is asked for its shape beside itself."""
    names, found = [sizes], list[str]()
    while names:
        node = made.get(names.pop())
        if node is not None and node.op_type == "Shape":
            found.append(node.input[0])
        elif node is not None:
            names += node.input
    return next((name for name in found if name != resized), resized)


def _kinds() -> dict[str, Kind]:
    """What each kind of layer does with the pictures of these names."""
    import torch
    from torch.nn import functional

    def conv(names: list[str], how: Mapping[str, Any], held: Tensors, weights: Tensors) -> torch.Tensor:
        # U2-Net pads alike on all sides and never strides.
        bias = weights[names[2]] if len(names) > 2 else None
        pads, wide = tuple(how["pads"][:2]), tuple(how["dilations"])
        return functional.conv2d(held[names[0]], weights[names[1]], bias, padding=pads, dilation=wide)

    def pool(names: list[str], how: Mapping[str, Any], held: Tensors, weights: Tensors) -> torch.Tensor:
        return functional.max_pool2d(held[names[0]], tuple(how["kernel_shape"]), tuple(how["strides"]), ceil_mode=True)

    def resize(names: list[str], how: Mapping[str, Any], held: Tensors, weights: Tensors) -> torch.Tensor:
        size = tuple(held[names[1]].shape[2:])
        return functional.interpolate(held[names[0]], size=size, mode="bilinear", align_corners=False)

    return {
        "Conv": conv,
        "MaxPool": pool,
        "Resize": resize,
        "Concat": lambda names, how, held, weights: torch.cat([held[name] for name in names], dim=1),
        "Relu": lambda names, how, held, weights: functional.relu(held[names[0]]),
        "Sigmoid": lambda names, how, held, weights: torch.sigmoid(held[names[0]]),
        "Add": lambda names, how, held, weights: held[names[0]] + held[names[1]],
    }
