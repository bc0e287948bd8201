"""`assets/fetch.py`: what it makes from other packages' weights is what these say."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from safetensors.numpy import load, save

from assets.fetch import NCNN_HALF_TAG, quantise_kernels, read_ncnn_tensors

GRAPH = "Convolution conv 1 1 in a 0=2 1=3 6=54\nPReLU prelu 1 1 a out 0=2\n"


def test_kernels_in_eight_bits_are_a_quarter_as_large_and_compute_nearly_the_same() -> None:
    rng = np.random.default_rng(0)
    # Each output channel has a range of its own, as trained kernels do.
    kernel = (rng.normal(size=(16, 16, 3, 3)) * np.geomspace(0.01, 10, 16)[:, None, None, None]).astype(np.float32)
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "kernel"], ["y"], kernel_shape=[3, 3])],
        "net",
        [helper.make_tensor_value_info("x", floats, [1, 16, 8, 8])],
        [helper.make_tensor_value_info("y", floats, [1, 16, 6, 6])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    opset = [helper.make_opsetid("", 17)]
    whole = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    small = quantise_kernels(whole)
    assert len(small) < 0.35 * len(whole)
    x = rng.normal(size=(1, 16, 8, 8)).astype(np.float32)
    one, other = (np.asarray(onnxruntime.InferenceSession(net).run(None, {"x": x})[0]) for net in (whole, small))
    error = np.abs(one - other).mean(axis=(0, 2, 3)) / one.std(axis=(0, 2, 3))
    assert error.max() < 0.02, "an error of each channel's own range, not of the largest"


def encode_ncnn(tag: int, extra: bytes = b"") -> tuple[dict[str, np.ndarray], bytes]:
    kernel = np.arange(54, dtype="<f2").reshape(2, 3, 3, 3)
    bias, slope = np.array([1, 2], "<f4"), np.array([0.25, 0.5], "<f4")
    tensors = {"0.weight": kernel, "0.bias": bias, "1.weight": slope}
    words = np.array([tag], "<u4"), kernel, bias, slope
    return tensors, b"".join(each.tobytes() for each in words) + extra


def test_weights_of_ncnn_become_those_of_a_sequential() -> None:
    tensors, data = encode_ncnn(NCNN_HALF_TAG)
    read = load(save(read_ncnn_tensors(GRAPH, data)))
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor, strict=True)


@pytest.mark.parametrize(
    ("tag", "extra", "sentence"), [(0, b"", "half precision"), (NCNN_HALF_TAG, b"?", "do not fit")]
)
def test_other_weights_of_ncnn_are_refused(tag: int, extra: bytes, sentence: str) -> None:
    with pytest.raises(SystemExit, match=sentence):
        read_ncnn_tensors(GRAPH, encode_ncnn(tag, extra)[1])
