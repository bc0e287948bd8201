"""The benchmark behind "What is inference?": a tile of a photo enlarged in two precisions and two batch sizes."""

from __future__ import annotations

import statistics
from typing import Literal

import numpy as np

from pipelines.core.geometry import Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, picture_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.models.nets import REALESR_X4
from pipelines.tools.shared.picture_operations import crop_centre

TILE_SIDE_PX = 128
ROUND_COUNTS = {1: 3, 4: 1}  # rounds by batch size: one call with four copies takes as long as four calls with one
CASES: tuple[tuple[Literal[32, 16], int], ...] = ((32, 1), (16, 1), (32, 4), (16, 4))
"""Bits of a number, and batch size."""


class Measure(Params):
    """The form."""

    photo: str = picture_field("Photo", "A square from its centre is enlarged.", required=True)


def run(params: Measure, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Time each case with real calls of Real-ESRGAN in torch.

    Both precisions run once to warm up; then all cases take turns, so that other work of the machine affects all alike.
    `resolved_params["measured"]` has the median seconds per copy of each case, and the mean absolute difference
    between the results of the two precisions, of 255.
    """
    tile = crop_centre(context.open_image(params.photo), TILE_SIDE_PX)
    seconds: dict[tuple[int, int], list[float]] = {case: [] for case in CASES}
    results: dict[int, Image] = {}
    emit("Making the 16-bit copy", 1, 1)
    with context.borrow_model(REALESR_X4.id) as net:
        for bits, _ in CASES[:2]:
            results[bits], _ = net.time_tile(tile, bits, 1)
        for n in range(max(ROUND_COUNTS.values())):
            for bits, batch in CASES:
                if n < ROUND_COUNTS[batch]:
                    emit(f"{bits} bits, {batch} at a time", n + 1, ROUND_COUNTS[batch], results[bits])
                    seconds[bits, batch].append(net.time_tile(tile, bits, batch)[1])
    cases = [
        {"bits": bits, "batch": batch, "seconds": statistics.median(times)} for (bits, batch), times in seconds.items()
    ]
    difference = float(np.abs(results[32].astype(np.float64) - results[16]).mean())
    measured = {"cases": cases, "difference": round(difference, 3)}
    return ToolOutput(images=(results[16],), resolved_params={"measured": measured})


TOOL = Tool(
    id="measure",
    title="Inference, measured",
    summary="The page on inference orders it: what a model costs on this machine.",
    params=Measure,
    run=run,
)
