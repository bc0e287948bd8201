"""Recognize thin parts that hang on a thing and that one net alone sees: a leg of a chair, a spout, a handle.

Their colours are often not the subject's, and where they join it is an edge, so that neither colours nor edges speak
for them. Their shape and the ground along their sides do.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Float32Array, Mask, Uint8Array
from pipelines.imaging.resize import dilate_mask

# Lengths are pixels of the small copy on which mattes are compared. Of two limits one side is no thin part, the other
# surely one.
WIDTHS_PX = 30.0, 22.0  # at its widest, which may be a foot
LENGTH_RATIOS = 1.0, 2.0  # how many times as long as wide
SEEN_ALPHAS = 0.7, 0.85  # mean of the map of the net that sees it
JOINT_SHARES = 0.4, 0.25  # of its outline that lies on the subject: a strip along an edge, a part that hangs on it
SIDE_SHARES = 0.6, 0.85  # of the ground along its sides that has another colour
RIM_LEVELS = 10.0, 20.0  # Lab levels: change of colour along the outline that a quick net draws
EVIDENCE_SHARES = 0.35, 0.5  # product of these shares
SIDE_LEVELS = 14.0  # Lab levels: two colours that differ
SIDE_PX = 2, 4  # from and up to how far beside it the ground is compared with it
CORE_PX = 1.5  # from its outline, from where its colours are its own
FREE_ALPHA = 0.3  # of both maps, up to which there is ground beside it
BORDER_PX = 2  # of the photo: what reaches it may be a line of the ground, such as skirting


def measure_thinness(
    lab: Uint8Array, part: Mask, seen: Alpha, other: Alpha, contrast: Float32Array | None = None
) -> float:
    """Tell how much `part` (h x w) is a thin part that hangs on the subject and ends within the photo, 0 to 1.

    `seen` is the map of the net that sees it, `other` of the one that does not, `lab` (h x w x 3) the colours. With
    their `contrast` (h x w), the part's outline must be one of the photo: a quick net draws what is beside it, too.
    """
    outline = dilate_mask(part, 1) & ~part
    joint = float((outline & (other > 0.5)).sum()) / max(float(outline.sum()), 1.0)
    if not joint or _touches_border(part):
        return 0.0
    depth = np.asarray(cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    width = 2 * float(depth.max())
    shares = [
        share_between(width, WIDTHS_PX),
        share_between(float(part.sum()) / width**2, LENGTH_RATIOS),
        share_between(float(seen[part].mean()), SEEN_ALPHAS),
        share_between(joint, JOINT_SHARES),
    ]
    if not all(shares):
        return 0.0
    ground = (seen < FREE_ALPHA) & (other < FREE_ALPHA)
    shares.append(share_between(_share_of_other_ground(lab, part, depth, ground), SIDE_SHARES))
    if contrast is not None:
        rim = dilate_mask(part, 1) & dilate_mask(~part, 1) & ~dilate_mask(other > 0.5, SIDE_PX[0])
        shares.append(share_between(float(np.median(contrast[rim])) if rim.any() else 0.0, RIM_LEVELS))
    return share_between(float(np.prod(shares)), EVIDENCE_SHARES)


def _share_of_other_ground(lab: Uint8Array, part: Mask, depth: Float32Array, ground: Mask) -> float:
    """Return the share of the `ground` along the sides of `part` that has another colour than the part has there.

    `depth` (h x w) is how far inside of the part each pixel lies.
    """
    core = (depth > min(CORE_PX, float(depth.max()) / 2)).astype(np.float32)
    window = (max(3, round(2 * float(depth.max()))) | 1,) * 2
    weight, colours = cv2.blur(core, window), cv2.blur(lab * core[..., None], window)
    beside = dilate_mask(part, SIDE_PX[1]) & ~dilate_mask(part, SIDE_PX[0]) & ground & (weight > 0)
    if not beside.any():
        return 0.0
    own = colours[beside] / weight[beside][:, None]
    return float((np.linalg.norm(lab[beside] - own, axis=1) > SIDE_LEVELS).mean())


def _touches_border(part: Mask) -> bool:
    near = BORDER_PX
    return bool(part[:near].any() or part[-near:].any() or part[:, :near].any() or part[:, -near:].any())


def share_between(value: float, limits: tuple[float, float]) -> float:
    """Return 0 at the first limit, 1 at the second, between them what lies on the line and beyond them the nearer."""
    return float(np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1))
