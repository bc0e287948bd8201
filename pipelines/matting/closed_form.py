"""A matte solved in closed form: in every small window of a photo alpha is a linear function of colour; knows no nets.

Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting" (2008); their Laplacian is applied by box
filters and never built (He, Sun and Tang, "Fast Matting Using Large Kernel Matting Laplacian Matrices", 2010).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.core.geometry import Alpha, Image
from pipelines.matting.conjugate_gradient import Floats, descended

WINDOW = (3, 3)
EVEN = 1e-4  # of white, squared: colours that vary by less than that about a window's mean are one colour
STEPS = 80
NEAR = 3e-4  # the largest residual at which more steps are seen by nobody
NONE, ALL = 0.04, 0.97  # shares nearer to none or all are grain
WORK_SIDE = 400  # of the copy that is solved; what is finer follows the photo's colours


def solved(image: Image, prior: Alpha, weight: Floats) -> Alpha:
    """The alpha nearest to `prior` (H x W, 0 to 1) that follows the colours of `image` (H x W x 3).

    `weight` (H x W) is how firmly `prior` is held: 10 is settled, 0.001 is a hint.
    """
    scale = min(1.0, WORK_SIDE / max(prior.shape))
    if scale == 1.0:
        return _clip(_descended(_Windows(image), prior, weight))
    size = (max(round(prior.shape[1] * scale), 1), max(round(prior.shape[0] * scale), 1))
    small, held, firm = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (image, prior, weight))
    windows = _Windows(np.asarray(small, np.uint8))
    slope, offset = windows.fitted(_descended(windows, np.asarray(held, np.float32), np.asarray(firm, np.float32)))
    wide = (prior.shape[1], prior.shape[0])
    slope, offset = (cv2.resize(each, wide, interpolation=cv2.INTER_LINEAR) for each in (slope, offset))
    return _clip(_along(slope, _unit(image)) + offset)


class _Windows:
    """Every 3 x 3 window's colours: their mean, and the inverse of their covariance."""

    def __init__(self, image: Image) -> None:
        self.light = _unit(image)
        self.mean = _box(self.light)
        products = self.light[..., (0, 0, 0, 1, 1, 2)] * self.light[..., (0, 1, 2, 1, 2, 2)]
        spread = np.dstack([_box(np.ascontiguousarray(products[..., at : at + 3])) for at in (0, 3)])
        spread -= self.mean[..., (0, 0, 0, 1, 1, 2)] * self.mean[..., (0, 1, 2, 1, 2, 2)]
        spread[..., (0, 3, 5)] += EVEN
        self.inverse = _inverse(spread)

    def fitted(self, alpha: Floats) -> tuple[Floats, Floats]:
        """At each pixel the mean of the linear functions of its windows: slope (H x W x 3) and offset (H x W)."""
        mean = _box(alpha)
        x, y, z = np.moveaxis(_box(self.light * alpha[..., None]) - self.mean * mean[..., None], 2, 0)
        a, b, c, d, e, f = self.inverse
        slope = np.dstack((a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z))
        return _box(slope), _box(mean - _along(slope, self.mean))

    def laplacian(self, alpha: Floats) -> Floats:
        """How far each pixel is from what its windows say of it."""
        slope, offset = self.fitted(alpha)
        return np.asarray(alpha - _along(slope, self.light) - offset, np.float32)


def _descended(windows: _Windows, prior: Alpha, weight: Floats) -> Floats:
    """Each pixel scaled by how firmly it is held."""
    return descended(
        lambda alpha: windows.laplacian(alpha) + weight * alpha, weight * prior, prior, 1 + weight, STEPS,
        lambda residual: float(np.abs(residual).max()) < NEAR,
    )  # fmt: skip


def _inverse(spread: Floats) -> tuple[Floats, ...]:
    """The upper triangles of the inverses of symmetric 3 x 3 matrices, H x W x 6."""
    a, b, c, d, e, f = np.moveaxis(spread.astype(np.float64), 2, 0)
    parts = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    whole = a * parts[0] + b * parts[1] + c * parts[2]
    return tuple((part / whole).astype(np.float32) for part in parts)


def _along(slope: Floats, colour: Floats) -> Floats:
    """The sum over the channels of two pictures' product, H x W; NumPy sums rows of three slowly."""
    return np.einsum("ijk,ijk->ij", slope, colour)


def _unit(image: Image) -> Floats:
    return image.astype(np.float32) / np.float32(255)


def _box(values: Floats) -> Floats:
    return np.asarray(cv2.blur(np.ascontiguousarray(values), WINDOW, borderType=cv2.BORDER_REFLECT_101), np.float32)


def _clip(alpha: npt.NDArray[np.floating]) -> Alpha:
    return np.clip((alpha - NONE) / (ALL - NONE), 0, 1).astype(np.float32)
