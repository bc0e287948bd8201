"""What is measured on every picture before it leaves: a tuple of checks; knows pictures, not tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.parts.cutout import core_of, core_share
from pipelines.parts.frame import resample
from pipelines.parts.light import lightness
from pipelines.types import Draft, Image


@dataclass(frozen=True)
class Look:
    """What a check may look at: the finished picture, the draft it came from and the user's own photo."""

    image: Image
    draft: Draft
    photo: Image | None


@dataclass(frozen=True)
class Check:
    """`applies` says when, `measure` gives the number that stands in the receipt."""

    id: str
    applies: Callable[[Look], bool]
    measure: Callable[[Look], float]


def _exact(look: Look) -> bool:
    return look.draft.exact and look.draft.source is not None and look.photo is not None


def _core_changed_pixels(look: Look) -> float:
    """Pixels of the core that differ from the user's photo after the one stated resampling, made anew here."""
    source, photo = look.draft.source, look.photo
    if source is None or photo is None:
        raise ValueError("applies() was not asked")
    core = core_of(source.alpha)
    expected = resample(photo, source.frame)
    return int(np.any(look.image[..., :3][core] != expected[core], axis=-1).sum())


def _core_share(look: Look) -> float:
    """The core's share of the subject, 0 to 1; at least 0.8 of a subject with ordinary edges."""
    if look.draft.source is None:
        raise ValueError("applies() was not asked")
    return round(core_share(look.draft.source.alpha), 4)


def _outline_contrast(look: Look) -> float:
    """Median difference in L* between the subject's outline and the scene just outside it."""
    if look.draft.source is None:
        raise ValueError("applies() was not asked")
    alpha = look.draft.source.alpha
    light = lightness(look.image[..., :3])
    inside, outside = _bands(alpha)
    if not inside.any() or not outside.any():
        return 0.0
    return round(abs(float(np.median(light[inside])) - float(np.median(light[outside]))), 1)


def _bands(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = max(2, alpha.shape[0] // 100)
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    solid, any_ = (alpha > 0.95).astype(np.uint8), (alpha > 0.02).astype(np.uint8)
    inside = (solid > 0) & (cv2.erode(solid, kernel) == 0)
    outside = (any_ == 0) & (cv2.dilate(any_, kernel) > 0)
    return inside, outside


CHECKS: tuple[Check, ...] = (
    Check("core_changed_pixels", _exact, _core_changed_pixels),
    Check("core_share", _exact, _core_share),
    Check(
        "outline_contrast",
        lambda look: look.draft.source is not None and not look.draft.transparent,
        _outline_contrast,
    ),
)


def run_checks(look: Look) -> dict[str, float]:
    """Every check that applies, by id."""
    return {check.id: check.measure(look) for check in CHECKS if check.applies(look)}
