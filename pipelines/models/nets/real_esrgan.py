"""Super-resolution: the small Real-ESRGAN in torch enlarges a picture 2 or 4 times, tile by tile.

Architecture: SRVGGNetCompact of Real-ESRGAN (Wang et al., 2021): 3 x 3 convolutions with PReLU, a pixel shuffle, and
the enlarged input added at the end. The weights are Real-ESRGAN's for drawings, trained further on photographs by
`assets/models/train_enlarger.py`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from pipelines.core.geometry import Image, PixelArray
from pipelines.core.models import ModelSpec
from pipelines.imaging.wide_gamut import to_eight_bits, to_sixteen_bits
from pipelines.models.bundled_weights import verify_files

if TYPE_CHECKING:
    import torch

NET_FACTOR = 4
TILE_PX = 192  # side of a tile of the input
TILE_OVERLAP_PX = 18  # 18 convolutions see 18 pixels far: with so many pixels around a tile there are no seams
NET_SHARE = 0.85
"""Of the net, the rest Lanczos: nearest to the truth on photographs; what was tried is in `docs/figures.md`."""

Box = tuple[int, int, int, int]
UpscaleFactor = Literal[2, 4]


class RealEsrgan:
    """The loaded net on one device."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        from torch import nn

        (path,) = verify_files(spec)
        self.spec = spec
        self._net = load_compact_layers(path).append(nn.PixelShuffle(NET_FACTOR)).to(device).eval()
        self._device = device

    def enlarge(
        self, image: Image, factor: UpscaleFactor, on_tile: Callable[[int, int], None], *, deep: bool = False
    ) -> PixelArray:
        """Enlarge H x W x 3 by `factor`, to uint8 or, `deep`, to uint16 as exact as the net is.

        `on_tile(index, total)` is called before each tile and may raise.
        """
        height, width = image.shape[:2]
        plain = to_sixteen_bits(image) if deep else image
        result = cv2.resize(plain, (width * factor, height * factor), interpolation=cv2.INTER_LANCZOS4)
        boxes = list(_tile_boxes(width, height))
        for index, box in enumerate(boxes, start=1):
            on_tile(index, len(boxes))
            left, top, right, bottom = (edge * factor for edge in box)
            part = result[top:bottom, left:right]
            part[:] = cv2.addWeighted(self._enlarge_tile(image, box, factor, deep), NET_SHARE, part, 1 - NET_SHARE, 0)
        return np.asarray(result, plain.dtype)

    def time_tile(self, tile: Image, bits: Literal[32, 16], batch: int) -> tuple[Image, float]:
        """Enlarge copies of a tile (H x W x 3) in one call; return one result (4H x 4W x 3) and seconds per copy."""
        import torch

        dtype = torch.float32 if bits == 32 else torch.bfloat16
        net = self._net if bits == 32 else copy.deepcopy(self._net).to(dtype)  # about one megabyte
        with torch.inference_mode():
            pixels = self._to_tensor(tile)
            inputs = pixels.to(dtype).repeat(batch, 1, 1, 1)
            start = time.perf_counter()
            residual = net(inputs)[:1].float().cpu()  # copying the result waits for a GPU
            seconds = (time.perf_counter() - start) / batch
            return to_eight_bits(self._to_image(pixels.cpu(), residual)), seconds

    def close(self) -> None:
        """Free the weights."""
        del self._net

    def _enlarge_tile(self, image: Image, box: Box, factor: int, deep: bool) -> PixelArray:
        """Enlarge the pixels of `box`, with the overlap around it as context."""
        left, top, right, bottom = box
        x, y = max(left - TILE_OVERLAP_PX, 0), max(top - TILE_OVERLAP_PX, 0)
        large = self._run_net(image[y : bottom + TILE_OVERLAP_PX, x : right + TILE_OVERLAP_PX], deep)
        large = large[
            (top - y) * NET_FACTOR : (bottom - y) * NET_FACTOR, (left - x) * NET_FACTOR : (right - x) * NET_FACTOR
        ]
        if factor == NET_FACTOR:
            return large
        size = ((right - left) * factor, (bottom - top) * factor)
        return np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), large.dtype)

    def _run_net(self, tile: Image, deep: bool = False) -> PixelArray:
        import torch

        with torch.inference_mode():
            pixels = self._to_tensor(tile)
            return self._to_image(pixels, self._net(pixels), deep)

    def _to_tensor(self, tile: Image) -> torch.Tensor:
        """Convert a tile to 1 x 3 x H x W, float32, 0 to 1."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(tile)).to(self._device)
        return pixels.permute(2, 0, 1)[None].float().div_(255)

    @staticmethod
    def _to_image(pixels: torch.Tensor, found: torch.Tensor, deep: bool = False) -> PixelArray:
        """Add the residual of the net to the enlarged input and convert it to an image of 8 or 16 bits."""
        import torch
        from torch.nn.functional import interpolate

        large = found + interpolate(pixels, scale_factor=NET_FACTOR, mode="nearest")
        large = large.clamp_(0, 1).mul_(65535 if deep else 255).round_().to(torch.int32 if deep else torch.uint8)
        pixels_of_tile = large[0].permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(pixels_of_tile.astype(np.uint16) if deep else pixels_of_tile)


def _tile_boxes(width: int, height: int) -> Iterator[Box]:
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            yield left, top, min(left + TILE_PX, width), min(top + TILE_PX, height)


def load_compact_layers(path: str | Path) -> torch.nn.Sequential:
    """Load the layers of an SRVGGNetCompact (Real-ESRGAN, 2021), which its weights describe, as float32."""
    from safetensors.torch import load_file
    from torch import nn

    weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    layers: list[nn.Module] = []
    for index in range(sum(name.endswith(".weight") for name in weights)):
        weight = weights[f"{index}.weight"]
        layers.append(
            nn.PReLU(len(weight)) if weight.ndim == 1 else nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        )
    net = nn.Sequential(*layers)
    net.load_state_dict(weights)
    return net
