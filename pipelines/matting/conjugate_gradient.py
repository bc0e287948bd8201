"""Conjugate gradients for a matrix that is applied and never built; knows no pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]  # float32 throughout; NumPy's types cannot promise it through arithmetic
Apply = Callable[[Floats], Floats]


def descended(
    apply: Apply, right: Floats, start: Floats, scale: Floats, steps: int, settled: Callable[[Floats], bool]
) -> Floats:
    """x of `apply(x) = right`, from `start`, in at most `steps` steps or until the residual is `settled`.

    `apply` is symmetric and positive, and about `scale` times its argument at each place (all arrays of one shape).
    """
    x = start.copy()
    residual = right - apply(x)
    scaled = residual / scale
    step, energy = scaled, _dot(residual, scaled)
    for _ in range(steps):
        if settled(residual):
            break
        pulled = apply(step)
        length = np.float32(energy / max(_dot(step, pulled), 1e-12))
        x, residual = x + length * step, residual - length * pulled
        scaled = residual / scale
        before, energy = energy, _dot(residual, scaled)
        step = scaled + np.float32(energy / max(before, 1e-12)) * step
    return x


def _dot(one: Floats, other: Floats) -> float:
    return float(np.vdot(one, other))
