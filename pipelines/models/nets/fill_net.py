"""Nets that fill a hole in a photo: LaMa (Suvorov et al., 2022) and MI-GAN (Sargsyan et al., 2023), from the hub.

Both see a square of 512 x 512. LaMa's file wants RGB from 0 to 1 and a mask with 1 in the hole, and gives 0 to 255; the
file of MI-GAN wants bytes and a mask with 255 outside the hole, and gives bytes. They run on the processor, whichever
device draws.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Image, Mask
from pipelines.core.models import ModelSpec
from pipelines.models.families.hub_nets import LAMA
from pipelines.models.nets.hub_file import find_known_file

_RUN_SLOT = threading.BoundedSemaphore(1)  # a run takes all cores, also where each GPU has its own net


class FillNet:
    """A loaded net, which sees a square of `side_px`. No two run at once."""

    side_px = 512

    def __init__(self, spec: ModelSpec) -> None:
        path = find_known_file(spec)
        self.spec = spec
        options = ort.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        options.enable_mem_pattern = False
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._run_options = ort.RunOptions()
        # Else the session keeps the memory of its largest run.
        self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        names = {node.name for node in self._session.get_inputs()}
        if names != {"image", "mask"}:
            raise ModelUnavailable(f"The inputs of {path} are {', '.join(sorted(names))}, not an image and a mask.")

    def fill_hole_in_square(self, image: Image, hole: Mask) -> Image:
        """Fill the `hole` of a square; what the net gives outside the hole may differ a little."""
        inputs = self._make_inputs(image, hole)
        with _RUN_SLOT:
            output = np.asarray(self._session.run(None, inputs, self._run_options)[0], np.float32)
        pixels = output.reshape(3, self.side_px, self.side_px).transpose(1, 2, 0)
        return np.ascontiguousarray(np.clip(pixels + np.float32(0.5), 0, 255).astype(np.uint8))

    def _make_inputs(self, image: Image, hole: Mask) -> Mapping[str, npt.NDArray[Any]]:
        raise NotImplementedError

    def close(self) -> None:
        """Free the session and its memory."""
        del self._session


class LaMa(FillNet):
    """Big LaMa: Fourier convolutions, which see the whole square at once."""

    def _make_inputs(self, image: Image, hole: Mask) -> Mapping[str, npt.NDArray[Any]]:
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        return {"image": pixels, "mask": hole[None, None].astype(np.float32)}


class MiGan(FillNet):
    """MI-GAN, made for phones: a seventh of LaMa's size."""

    def _make_inputs(self, image: Image, hole: Mask) -> Mapping[str, npt.NDArray[Any]]:
        known = np.where(hole, 0, 255).astype(np.uint8)
        return {"image": np.ascontiguousarray(image.transpose(2, 0, 1)[None]), "mask": known[None, None]}


def open_fill_net(spec: ModelSpec) -> FillNet:
    """Open the net of `spec`. Raises `ModelUnavailable`."""
    return LaMa(spec) if spec.id == LAMA.id else MiGan(spec)
