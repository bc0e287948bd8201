"""What inference costs here: a piece of a photo enlarged in two precisions and two batches, timed; keeps nothing."""

from __future__ import annotations

import statistics
from typing import Literal

import numpy as np

from pipelines.types import Draft, Emit, Image, Params, Studio, Tool, picture

NET = "realesr-x4"
SIDE = 96
"""Pixels of the piece: a step small enough that measuring takes seconds on two cores."""
ROUNDS = 3
CASES: tuple[tuple[Literal[32, 16], int], ...] = ((32, 1), (16, 1), (32, 4), (16, 4))


class Measure(Params):
    """The form."""

    photo: str = picture("Photo", "A piece of it is enlarged.", required=True)


def run(params: Measure, studio: Studio, emit: Emit) -> Draft:
    """Each case once to warm up, then all in turn, so that whatever else the machine does falls on all alike.

    `settled["measured"]` has, per case, the middle of the seconds for one piece, and how far the two precisions' pixels
    lie apart on average, of 255.
    """
    piece = _middle(studio.open(params.photo))
    seconds: dict[tuple[int, int], list[float]] = {case: [] for case in CASES}
    made: dict[int, Image] = {}
    with studio.borrow(NET) as net:
        for n in range(ROUNDS + 1):
            for bits, batch in CASES:
                made[bits], taken = net.timed(piece, bits, batch)
                if n:
                    seconds[bits, batch].append(taken)
                emit(f"{bits} bits, {batch} at a time", n + 1, ROUNDS + 1, made[bits])
    cases = [
        {"bits": bits, "batch": batch, "seconds": statistics.median(taken)} for (bits, batch), taken in seconds.items()
    ]
    apart = float(np.abs(made[32].astype(np.float32) - made[16]).mean())
    return Draft(images=(made[16],), settled={"measured": {"cases": cases, "difference": round(apart, 3)}})


def _middle(photo: Image) -> Image:
    height, width = photo.shape[:2]
    top, left = max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2)
    return photo[top : top + SIDE, left : left + SIDE]


TOOL = Tool(
    id="measure",
    title="Inference, measured",
    summary="The page on inference orders it: what a model costs on this machine.",
    params=Measure,
    run=run,
)
