"""What inference costs here: a photo's matte in two precisions and two batches, timed; keeps nothing."""

from __future__ import annotations

import statistics
from typing import Literal

import numpy as np

from pipelines.core.geometry import Alpha, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, picture_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext

NET = "u2netp"
ROUNDS = {1: 3, 4: 1}
"""A case of four at a time is as long as four of one, and as many photos."""
CASES: tuple[tuple[Literal[32, 16], int], ...] = ((32, 1), (16, 1), (32, 4), (16, 4))


class Measure(Params):
    """The form."""

    photo: str = picture_field("Photo", "Its subject is told from its background.", required=True)


def run(params: Measure, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Both precisions once to warm up, then all in turn, so that whatever else the machine does falls on all alike.

    `settled["measured"]` has, per case, the middle of the seconds for one photo, and how far the two
    precisions' mattes lie apart on average, of 255.
    """
    photo = context.open_image(params.photo)
    seconds: dict[tuple[int, int], list[float]] = {case: [] for case in CASES}
    mattes: dict[int, Alpha] = {}
    emit("Making the 16-bit copy", 1, 1)
    with context.borrow_model(NET) as net:
        trial, seen = net.trial(), net.seen(photo)
        for bits, _ in CASES[:2]:
            mattes[bits], _ = trial.timed(seen, bits, 1)
        for n in range(max(ROUNDS.values())):
            for bits, batch in CASES:
                if n < ROUNDS[batch]:
                    emit(f"{bits} bits, {batch} at a time", n + 1, ROUNDS[batch], _grey(mattes[bits]))
                    seconds[bits, batch].append(trial.timed(seen, bits, batch)[1])
    cases = [
        {"bits": bits, "batch": batch, "seconds": statistics.median(taken)} for (bits, batch), taken in seconds.items()
    ]
    apart = 255 * float(np.abs(mattes[32] - mattes[16]).mean())
    return ToolOutput(
        images=(_grey(mattes[16]),), resolved_params={"measured": {"cases": cases, "difference": round(apart, 3)}}
    )


def _grey(matte: Alpha) -> Image:
    """White where the subject is, H x W x 3."""
    return np.repeat(np.asarray(np.clip(matte, 0, 1) * 255 + 0.5, np.uint8)[..., None], 3, axis=2)


TOOL = Tool(
    id="measure",
    title="Inference, measured",
    summary="The page on inference orders it: what a model costs on this machine.",
    params=Measure,
    run=run,
)
