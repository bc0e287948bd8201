"""The colour of a shadow: the light of sky or room that still reaches the ground, and what the subject reflects on it.

The first is the set's own (`SceneGround.ambient`); without a known ground a shadow is grey.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.compositing.shadows import blur_quickly
from pipelines.core.geometry import PlacedSubject
from pipelines.core.rendering import SceneGround
from pipelines.imaging.color import LinearImage, to_linear

BOUNCE_RATIO = 0.25  # of the light that falls on the subject
BOUNCE_RADIUS_RATIO = 0.05  # of the subject's width


def tint_shadow(ground: SceneGround, light: npt.NDArray[np.float32]) -> LinearImage:
    """Return `compute_ground_light_share` in colours, H x W x 3: a shadow in the sun is as blue as the sky above it.

    `ground.ambient` is the colour of the light that reaches the shadow, measured where the set was rendered.
    """
    ambient = np.asarray(ground.ambient, np.float32)
    mean = max(float(ambient.mean()), 1e-3)
    kept = light[..., None]
    # Down to the key's shadow its colour fades in; below it, in the contact, only the sky's light is dimmed further.
    tinted = np.where(kept >= mean, 1 - (1 - kept) * (1 - ambient) / max(1 - mean, 1e-3), kept * ambient / mean)
    return np.asarray(np.clip(tinted, 0, 1), np.float32)


def reflect_subject_colour(placed: PlacedSubject) -> LinearImage:
    """Return the subject's own colour reflected on the ground beside it, as shares of the ground's light; H x W x 3."""
    columns = np.flatnonzero((placed.alpha > 0.5).any(axis=0))
    if not len(columns):
        return np.zeros_like(placed.colour, np.float32)
    lit = to_linear(placed.colour) * placed.alpha[..., None]
    radius = max(1.0, BOUNCE_RADIUS_RATIO * float(columns[-1] - columns[0] + 1))
    return np.float32(BOUNCE_RATIO) * blur_quickly(lit, radius)
