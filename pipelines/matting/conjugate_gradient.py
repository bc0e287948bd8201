"""Preconditioned conjugate gradients for a matrix that is applied and never built."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipelines.core.geometry import FloatArray


def conjugate_gradient(
    matvec: Callable[[FloatArray], FloatArray],
    rhs: FloatArray,
    x0: FloatArray,
    preconditioner: FloatArray,
    max_iterations: int,
    converged: Callable[[FloatArray], bool],
) -> FloatArray:
    """Solve `matvec(x) = rhs` from `x0`, in at most `max_iterations` or until the residual has `converged`.

    `matvec` is a symmetric positive-definite matrix times its argument, and `preconditioner` about its diagonal
    (Jacobi). All arrays are float32 and of one shape.
    """
    x = x0.copy()
    residual = rhs - matvec(x)
    scaled = residual / preconditioner
    direction, energy = scaled, float(np.vdot(residual, scaled))
    for _ in range(max_iterations):
        if converged(residual):
            break
        product = matvec(direction)
        length = np.float32(energy / max(float(np.vdot(direction, product)), 1e-12))
        x, residual = x + length * direction, residual - length * product
        scaled = residual / preconditioner
        before, energy = energy, float(np.vdot(residual, scaled))
        direction = scaled + np.float32(energy / max(before, 1e-12)) * direction
    return x
