"""Estimate the camera's pitch over a subject from its outline, and which scenes can be seen from above.

What stands on a round foot, or is round itself, ends below in half an ellipse: its depth over its half width is the
sine of the camera's pitch. A flat foot tells nothing, and an outline that is no ellipse is not read as one.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipelines.core.geometry import Alpha
from pipelines.framing.placement import find_bounds
from pipelines.models.families.scenes.keyword_search import choose_scene
from pipelines.models.families.scenes.scene_types import PanoramaPlace, Plate

View = Literal["front", "three-quarter", "above"]
DEFAULT_VIEW: View = "three-quarter"  # where the outline does not tell: most products are photographed so
MIN_ABOVE_SINE = 0.72  # sine of the pitch; half way between the pitches that scenes are drawn at (33 and 66 degrees)
MAX_FRONT_SINE = 0.37  # sine of the pitch; half way between 13 and 33 degrees
_MIN_DEPTH_RATIO = 0.12  # depth over half width: less is a flat foot
_SAMPLE_RATIOS = (0.5, 0.65, 0.8, 0.9)  # of the half width, to both sides
_MAX_DEPTH_SPREAD = 1.45  # largest over smallest depth of the samples: more is no ellipse


def estimate_view(alpha: Alpha) -> View:
    """Choose the view that suits the subject's lower outline."""
    depth = measure_base_depth(alpha)
    if depth is None or depth < _MIN_DEPTH_RATIO:
        return DEFAULT_VIEW
    return "above" if depth >= MIN_ABOVE_SINE else "front" if depth < MAX_FRONT_SINE else "three-quarter"


def is_flat_scene(words: str) -> bool:
    """Tell whether the product scene that `words` choose is paper or a surface, which can be seen from above."""
    look = choose_scene(words, "product").scene.look
    return not (isinstance(look, PanoramaPlace) or (isinstance(look, Plate) and not look.surface))


def estimate_pitch(alpha: Alpha) -> float | None:
    """Return how far the camera looked down on the subject in degrees; None where the outline does not tell."""
    depth = measure_base_depth(alpha)
    return None if depth is None or depth < _MIN_DEPTH_RATIO else float(np.degrees(np.arcsin(depth)))


def measure_base_depth(alpha: Alpha) -> float | None:
    """Return the lower outline's depth over its half width, 0 to 1; None where it is no half ellipse."""
    left, top, right, bottom = find_bounds(alpha)
    mask = alpha[top:bottom, left:right] > 0.5
    height, width = mask.shape
    if width < 16 or height < 16 or not mask.any():
        return None
    # Height of the outline over the lowest point in each column; empty columns do not touch the ground.
    height_above_base = np.where(mask.any(axis=0), np.argmax(mask[::-1], axis=0), height).astype(np.float64)
    half = width / 2
    depths = []
    for ratio in _SAMPLE_RATIOS:
        sides = [float(height_above_base[int(np.clip(half + side * ratio * half, 0, width - 1))]) for side in (-1, 1)]
        depths.append(float(np.mean(sides)) / half / (1 - np.sqrt(1 - ratio**2)))
    if max(depths) < _MIN_DEPTH_RATIO:
        return 0.0
    if min(depths) <= 0 or max(depths) / min(depths) > _MAX_DEPTH_SPREAD or max(depths) > 1.35:
        return None
    return min(float(np.median(depths)), 1.0)
