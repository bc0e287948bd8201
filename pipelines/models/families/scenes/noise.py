"""Smooth noise at any scale for painted, grown and poured materials."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.floating]
_LATTICE_PX = 512


@lru_cache(maxsize=1)
def _make_noise_field() -> Plane:
    """Make a fixed lattice of normal deviates, enlarged four times, about as smooth as a B-spline, of unit deviation.

    It wraps at its borders, of which 2 pixels before and 4 behind are padding. Each use takes another part of it.
    """
    fine = 4
    lattice = np.random.default_rng(20240229).standard_normal((_LATTICE_PX, _LATTICE_PX)).astype(np.float32)
    wide = cv2.copyMakeBorder(lattice, 4, 4, 4, 4, cv2.BORDER_WRAP)
    large = cv2.resize(wide, None, fx=fine, fy=fine, interpolation=cv2.INTER_CUBIC)
    large = cv2.GaussianBlur(large, (0, 0), 0.55 * fine)[4 * fine : -4 * fine, 4 * fine : -4 * fine]
    smooth = np.ascontiguousarray(large / large.std(), np.float32)
    return np.asarray(cv2.copyMakeBorder(smooth, 2, 4, 2, 4, cv2.BORDER_WRAP), np.float32)


def sample_noise(u: Plane, v: Plane, seed: int) -> Plane:
    """Sample noise of unit deviation, with features about one unit across, at the coordinates (u, v), H x W."""
    dx, dy = np.random.default_rng(seed).integers(0, _LATTICE_PX, 2)
    at_u, at_v = _wrap_coordinates(u, int(dx)), _wrap_coordinates(v, int(dy))
    return np.asarray(cv2.remap(_make_noise_field(), at_u, at_v, cv2.INTER_LINEAR), np.float32)


def _wrap_coordinates(at: Plane, shift: int) -> Plane:
    """Coordinates on the padded field. cv2.remap wraps wrongly outside int16, and np.mod is twenty times slower."""
    turns = (at + np.float32(shift)) * np.float32(1 / _LATTICE_PX)
    turns -= np.floor(turns)
    turns *= np.float32(_LATTICE_PX * 4)
    turns += np.float32(2)
    return turns


def fractal_noise(
    u: Plane, v: Plane, seed: int, octaves: int = 4, *, fall: float = 0.5, grain: Plane | float = 0.0
) -> Plane:
    """Sum octaves of noise to unit deviation, each half the size and `fall` the height; finer than `grain` fade out."""
    total = np.zeros(u.shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        frequency, height = np.float32(2.03**octave), fall**octave
        power += height**2
        visible = np.atleast_2d(detail_visibility(grain, float(frequency)))
        shown = np.flatnonzero(np.broadcast_to(visible.any(axis=1), len(u)))
        if not shown.size:
            continue
        rows = slice(int(shown[0]), int(shown[-1]) + 1)  # where all of it is too fine, nothing is computed
        # Each octave is rotated, so that the lattices do not line up.
        angle = 0.7 * octave
        c, s = np.float32(np.cos(angle) * frequency), np.float32(np.sin(angle) * frequency)
        layer = sample_noise(u[rows] * c - v[rows] * s, u[rows] * s + v[rows] * c, seed * 31 + octave)
        total[rows] += layer * (np.float32(height) * np.broadcast_to(visible, u.shape)[rows])
    return total / np.float32(np.sqrt(power))


def detail_visibility(grain: Plane | float, frequency: float) -> Plane | np.float32:
    """Visibility of details of size 1 / `frequency` if a pixel is `grain` wide: 1 up to a third of it, then less."""
    return np.clip(np.float32(1.6) - np.asarray(grain, np.float32) * np.float32(1.6 * frequency), 0, 1)


def scatter_spots(
    u: Plane, v: Plane, cell: float, radii: tuple[float, float], seed: int, grain: Plane | float
) -> Plane:
    """Scatter round spots of random position and size, at most one in a cell: 1 inside, soft at the rim, 0 outside."""
    column, row = np.floor(u / np.float32(cell)), np.floor(v / np.float32(cell))
    table = np.random.default_rng(seed).random((4, 256, 256), np.float32)
    i, j = row.astype(np.int64) & 255, column.astype(np.int64) & 255
    place_x, place_y, size, shown = (plane[i, j] for plane in table)
    least, most = radii
    radius = np.float32(least) + np.float32(most - least) * size**3
    room = np.float32(most / cell)
    x = u / np.float32(cell) - column - (room + (1 - 2 * room) * place_x)
    y = v / np.float32(cell) - row - (room + (1 - 2 * room) * place_y)
    away = np.hypot(x, y) * np.float32(cell)
    soft = np.maximum(np.asarray(grain, np.float32), np.float32(0.25) * radius)
    weight = np.clip(radius / np.maximum(np.asarray(grain, np.float32), 1e-9), 0, 1) ** 2
    return (np.clip((radius - away) / soft + 0.5, 0, 1) * (shown < 0.38) * weight).astype(np.float32)
