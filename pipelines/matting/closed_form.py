"""Closed-form matting: in every small window of a photo alpha is a linear function of colour.

Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting" (2008). Their Laplacian is applied by box
filters and never built (He, Sun and Tang, "Fast Matting Using Large Kernel Matting Laplacian Matrices", 2010).
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, FloatArray, Image
from pipelines.imaging.resize import resize_image, resize_map, size_within
from pipelines.matting.conjugate_gradient import conjugate_gradient

WINDOW_SIZE_PX = (3, 3)  # width and height of a window
COVARIANCE_EPSILON = 1e-4  # of white, squared: smaller colour variances in a window count as none
MAX_ITERATION_COUNT = 80  # conjugate-gradient steps
RESIDUAL_TOLERANCE = 3e-4  # largest residual at which further steps make no visible difference
ALPHA_BLACK_POINT = 0.04  # alpha that becomes 0: less is grain
ALPHA_WHITE_POINT = 0.97  # alpha that becomes 1
WORK_SIDE_PX = 400  # longer side of the copy that is solved; finer detail comes from the local linear model


def closed_form_alpha(image: Image, prior: Alpha, prior_weight: FloatArray) -> Alpha:
    """Return the alpha nearest to `prior` that follows the colours of `image`; weight 10 is known, 0.001 a hint."""
    if max(prior.shape) <= WORK_SIDE_PX:
        return _stretch_alpha(_solve(_LocalLinearModel(image), prior, prior_weight))
    size = size_within(prior.shape, WORK_SIDE_PX)
    model = _LocalLinearModel(resize_image(image, size))
    small_prior, small_weight = (resize_map(np.asarray(each, np.float32), size) for each in (prior, prior_weight))
    slope, offset = model.fit(_solve(model, small_prior, small_weight))
    slope, offset = (resize_map(np.asarray(each, np.float32), prior.shape[::-1]) for each in (slope, offset))
    return _stretch_alpha(_dot_channels(slope, _to_unit_range(image)) + offset)


class _LocalLinearModel:
    """The colours of every 3 x 3 window: their mean, and the inverse of their covariance."""

    def __init__(self, image: Image) -> None:
        self.colours = _to_unit_range(image)
        self.mean = _box_filter(self.colours)
        products = self.colours[..., (0, 0, 0, 1, 1, 2)] * self.colours[..., (0, 1, 2, 1, 2, 2)]
        covariance = np.dstack(
            [_box_filter(np.ascontiguousarray(products[..., channel : channel + 3])) for channel in (0, 3)]
        )
        covariance -= self.mean[..., (0, 0, 0, 1, 1, 2)] * self.mean[..., (0, 1, 2, 1, 2, 2)]
        covariance[..., (0, 3, 5)] += COVARIANCE_EPSILON
        self.inverse_covariance = _invert_symmetric(covariance)

    def fit(self, alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Fit alpha as a linear function of colour in every window; mean slope (H x W x 3) and offset (H x W)."""
        mean = _box_filter(alpha)
        x, y, z = np.moveaxis(_box_filter(self.colours * alpha[..., None]) - self.mean * mean[..., None], 2, 0)
        a, b, c, d, e, f = self.inverse_covariance
        slope = np.dstack((a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z))
        return _box_filter(slope), _box_filter(mean - _dot_channels(slope, self.mean))

    def apply_laplacian(self, alpha: FloatArray) -> FloatArray:
        """Apply the matting Laplacian: the difference between each pixel's alpha and what its windows predict."""
        slope, offset = self.fit(alpha)
        return np.asarray(alpha - _dot_channels(slope, self.colours) - offset, np.float32)


def _solve(model: _LocalLinearModel, prior: Alpha, prior_weight: FloatArray) -> FloatArray:
    """Minimise the Laplacian and the prior term with a diagonal preconditioner."""
    return conjugate_gradient(
        lambda alpha: model.apply_laplacian(alpha) + prior_weight * alpha,
        rhs=prior_weight * prior,
        x0=prior,
        preconditioner=1 + prior_weight,
        max_iterations=MAX_ITERATION_COUNT,
        converged=lambda residual: float(np.abs(residual).max()) < RESIDUAL_TOLERANCE,
    )


def _invert_symmetric(matrices: FloatArray) -> tuple[FloatArray, ...]:
    """Return the upper triangles of the inverses of symmetric 3 x 3 matrices (H x W x 6)."""
    a, b, c, d, e, f = np.moveaxis(matrices.astype(np.float64), 2, 0)
    cofactors = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2]
    return tuple((cofactor / determinant).astype(np.float32) for cofactor in cofactors)


def _dot_channels(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the dot product of two H x W x 3 arrays over channels; einsum is faster here than a sum over an axis."""
    return np.einsum("ijk,ijk->ij", one, other)


def _to_unit_range(image: Image) -> FloatArray:
    """Scale bytes to float32 of 0 to 1."""
    return image.astype(np.float32) / np.float32(255)


def _box_filter(values: FloatArray) -> FloatArray:
    """Average over every window."""
    return np.asarray(
        cv2.blur(np.ascontiguousarray(values), WINDOW_SIZE_PX, borderType=cv2.BORDER_REFLECT_101), np.float32
    )


def _stretch_alpha(alpha: FloatArray) -> Alpha:
    """Map the black and white points to 0 and 1."""
    return np.clip((alpha - ALPHA_BLACK_POINT) / (ALPHA_WHITE_POINT - ALPHA_BLACK_POINT), 0, 1).astype(np.float32)
