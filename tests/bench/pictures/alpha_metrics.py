"""The measures of alpha matting: SAD, MSE, MAD, Grad and Conn (Rhemann et al., "A Perceptually Motivated Online
Benchmark for Image Matting", 2009), in the whole picture and in the transition zone, and IoU."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Mask
from pipelines.imaging.resize import outline_band

ZONE_RATIO = 0.006  # of the longer side: the transition zone reaches so far from the true edge
GRADIENT_SIGMA_PX = 1.4
CONNECTED_STEP, CONNECTED_THRESHOLD = 0.1, 0.15


@dataclass(frozen=True)
class AlphaErrors:
    """Errors of one alpha: `sad`, `grad` and `conn` in thousands, `mse` and `mad` in thousandths; lower is better.

    Names with `zone_` count the transition zone alone. `iou` is that of both alphas at 0.5; higher is better.
    """

    sad: float
    mse: float
    mad: float
    grad: float
    conn: float
    zone_sad: float
    zone_mse: float
    zone_mad: float
    zone_grad: float
    zone_conn: float
    iou: float


def measure_alpha(alpha: Alpha, truth: Alpha) -> AlphaErrors:
    """Measure `alpha` against `truth` (H x W each, 0 to 1)."""
    zone = find_transition_zone(truth)
    error = np.abs(alpha - truth)
    gradient = (_gradient(alpha) - _gradient(truth)) ** 2
    connected = np.abs(_connectedness_error(alpha, truth))
    values: dict[str, float] = {}
    for prefix, part in (("", np.ones_like(zone)), ("zone_", zone)):
        count = max(int(part.sum()), 1)
        values |= {
            f"{prefix}sad": float(error[part].sum() / 1000),
            f"{prefix}mse": float((error[part] ** 2).sum() / count * 1000),
            f"{prefix}mad": float(error[part].sum() / count * 1000),
            f"{prefix}grad": float(gradient[part].sum() / 1000),
            f"{prefix}conn": float(connected[part].sum() / 1000),
        }
    return AlphaErrors(**values, iou=intersection_over_union(alpha, truth))


def mean_errors(rows: list[AlphaErrors]) -> AlphaErrors:
    """Average each measure over pictures."""
    means = {field.name: float(np.mean([getattr(row, field.name) for row in rows])) for field in fields(AlphaErrors)}
    return AlphaErrors(**means)


def intersection_over_union(alpha: Alpha, truth: Alpha) -> float:
    """Return the IoU of both alphas at 0.5, 1 where both are empty."""
    one, two = alpha > 0.5, truth > 0.5
    union = int((one | two).sum())
    return float((one & two).sum() / union) if union else 1.0


def find_transition_zone(truth: Alpha) -> Mask:
    """Return the half-transparent pixels and those near an edge (H x W)."""
    reach = max(2, round(ZONE_RATIO * max(truth.shape)))
    return ((truth > 0.02) & (truth < 0.98)) | outline_band(truth, reach)


def _gradient(alpha: Alpha) -> Float32Array:
    smooth = cv2.GaussianBlur(alpha, (0, 0), GRADIENT_SIGMA_PX)
    x, y = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.asarray(np.hypot(x, y), np.float32)


def _connectedness_error(alpha: Alpha, truth: Alpha) -> Float32Array:
    """Return by how much less a pixel of `alpha` hangs together with the rest of the subject than in `truth`."""
    level = np.full(alpha.shape, -1, np.float32)
    for step in np.arange(CONNECTED_STEP, 1 + CONNECTED_STEP / 2, CONNECTED_STEP):
        both = ((alpha >= step) & (truth >= step)).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if len(stats) > 1 else -1
        level[(level == -1) & (np.asarray(labels) != largest)] = step - CONNECTED_STEP
    level[level == -1] = 1
    parts = []
    for values in (alpha, truth):
        distance = values - level
        parts.append(1 - distance * (distance >= CONNECTED_THRESHOLD))
    return np.asarray(parts[0] - parts[1], np.float32)
