"""Lens blur: convolution with a disc, the shape of an open aperture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.models.families.scenes.tone_mapping import LinearLight

MIN_DISC_PX = 22.0  # diameter that a disc needs to look round when the picture is enlarged again


def disc_kernel(diameter: float) -> npt.NDArray[np.float32]:
    """Make a kernel of odd side, a disc of `diameter` pixels with antialiased edge that sums to 1."""
    reach = int(np.ceil(diameter / 2 + 0.5))
    fine = 8
    side = (2 * reach + 1) * fine
    at = (np.arange(side) + 0.5) / fine - (reach + 0.5)
    inside = (at[:, None] ** 2 + at[None, :] ** 2 <= (diameter / 2) ** 2).astype(np.float32)
    kernel = inside.reshape(2 * reach + 1, fine, 2 * reach + 1, fine).mean(axis=(1, 3))
    return kernel / kernel.sum()


def blur_with_disc(light: LinearLight, diameter: float) -> LinearLight:
    """Blur `light`, H x W x 2 to 4, with a disc of `diameter` pixels and mirrored borders; large ones on a copy."""
    if diameter < 1.2:
        return light
    height, width = light.shape[:2]
    factor = max(1.0, diameter / MIN_DISC_PX)
    small = (max(8, round(width / factor)), max(8, round(height / factor)))
    work = light if factor == 1.0 else cv2.resize(light, small, interpolation=cv2.INTER_AREA)
    kernel = disc_kernel(diameter * work.shape[0] / height)
    out = cv2.filter2D(work, -1, kernel, borderType=cv2.BORDER_REFLECT)
    if out.shape[:2] != (height, width):
        out = cv2.resize(out, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.maximum(out, 0), np.float32)


def blur_with_discs(light: LinearLight, diameters: npt.NDArray[np.float32]) -> LinearLight:
    """Blur each pixel of `light` with a disc of its own diameter in pixels (H x W or H x 1), mixed from discs of
    doubling size."""
    largest = float(diameters.max())
    if largest < 1.2:
        return light
    steps = [0.0, *[largest / 2**n for n in range(4, -1, -1) if largest / 2**n >= 1.2]]
    at = np.interp(diameters, steps, np.arange(len(steps)))
    out = np.zeros_like(light)
    for index, step in enumerate(steps):
        share = np.clip(1 - np.abs(at - index), 0, 1).astype(np.float32)
        rows = np.flatnonzero(share.any(axis=1))
        if rows.size:
            first, last = int(rows[0]), int(rows[-1]) + 1
            margin = int(np.ceil(step)) + 2
            top, bottom = max(0, first - margin), min(len(light), last + margin)
            level = blur_with_disc(light[top:bottom], step)[first - top : last - top]
            out[first:last] += level * share[first:last, :, None]
    return out
