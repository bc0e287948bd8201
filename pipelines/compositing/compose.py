"""Subject onto scene in linear light: wrap, grain, shadows, the exact core; knows no tool and no model."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.compositing.shadows import Shadow, _as_soft, _soft, bounce, shade
from pipelines.core.geometry import Alpha, Image, PlacedSubject, Side
from pipelines.imaging.color import Linear, lightness, to_linear, to_srgb
from pipelines.imaging.film_grain import grain, grain_of, like
from pipelines.matting.cutout import core_of

WRAP_STRENGTH = 0.12  # more of it draws a grey line round a black coat: linear light counts for much in the dark

WRAP_RADIUS = 0.012  # of the frame's height

SHINING = 0.75  # of white, in linear light: what is no brighter spills nothing, and white all of that

FADING = 1.5  # pixels outside the core over which that light comes in

RELIT_L = 4.0

RELIT_CHROMA = 1.5

_TOUCH = 0.16  # of the subject's width: round feet and saucers rise that far before they leave the ground

Mask = npt.NDArray[np.bool_]


def compose(
    placed: PlacedSubject, plate: Image, *, seed: int, key: Side = "none", shadow: Shadow | None = None, relit: bool = False,
    clean: bool = False,
) -> Image:  # fmt: skip
    """Lay the placed subject on `plate` (same size). In the core its pixels stay the user's own, byte for byte.

    `clean` leaves out wrap and grain, for backgrounds that must stay one value. `relit` fits the subject to the scene
    within bounds (L* moves at most 4) and gives the exactness up.
    """
    if not clean:
        plate = _as_soft(plate, placed)
    scene = to_linear(plate)
    core = core_of(placed.alpha)
    if shadow is not None:
        kept = shade(placed.alpha, shadow, key)[..., None]
        scene = scene * (kept if clean else kept + bounce(placed))
    own = relight(placed, plate) if relit else placed.colour
    subject = to_linear(own)
    alpha = placed.alpha[..., None]
    if not clean:
        subject = wrap(subject, scene, placed.alpha, core)
    values = to_srgb(scene + alpha * (subject - scene))
    if not clean:
        values += _scene_grain(placed, plate, core, seed) * (1 - alpha)
    out = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    out[core] = own[core]
    return out


def ground_of(placed: PlacedSubject, plate: Image, *, seed: int, clean: bool = False) -> Image:
    """The scene as `compose` lays it behind the subject: with its grain, without a shadow; whole, also behind it."""
    if clean:
        return plate
    plate = _as_soft(plate, placed)
    values = plate + _scene_grain(placed, plate, core_of(placed.alpha), seed)
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def wrap(subject: Linear, scene: Linear, alpha: Alpha, core: Mask) -> Linear:
    """Light of the scene that spills over the subject's edge, up to its core, where the scene is brighter."""
    # It fades to nothing at the core, which is never touched: a step there would show as a line.
    fading = np.clip(1 - 2 * cv2.GaussianBlur(core.astype(np.float32), (0, 0), FADING), 0, 1)
    edge = (fading > 0) & ~core & (alpha > 0)
    radius = max(1.0, WRAP_RADIUS * alpha.shape[0])
    weight = _soft(1 - alpha, radius)[edge]
    light = _soft(scene * (1 - alpha[..., None]), radius)[edge] / np.maximum(weight, 1e-3)[:, None]
    # A window spills; grey paper hardly does, and would draw a pale line round a dark coat.
    shining = np.clip((light.mean(axis=1) - SHINING) / (1 - SHINING), 0, 1)
    share = (WRAP_STRENGTH * np.minimum(2 * weight, 1.0) * fading[edge] * shining)[:, None]
    lit = subject.copy()
    lit[edge] += share * np.maximum(light - subject[edge], 0)
    return lit


def _scene_grain(placed: PlacedSubject, plate: Image, core: Mask, seed: int) -> Linear:
    """Noise for the scene, so that it has the subject's; the scene's own counts."""
    # The old ground lies beside the subject, and often tells the grain best. What is mixed of both does not.
    scale, (left, top, right, bottom) = placed.frame.scale, placed.frame.box
    told = np.zeros(core.shape, np.bool_)
    told[max(round(top), 0) : max(round(bottom), 0), max(round(left), 0) : max(round(right), 0)] = True
    told &= core | (cv2.dilate((placed.alpha > 0).astype(np.uint8), np.ones((15, 15), np.uint8)) == 0)
    return like(grain_of(placed.colour, told, scale), plate, grain(plate, ~core), scale, seed)


def relight(placed: PlacedSubject, plate: Image, *, lightness_too: bool = True) -> Image:
    """The subject fitted to the scene: L* moves at most 4 towards it, a* and b* at most 1.5 towards its light.

    Without `lightness_too` only the colour moves: for a team, whose lightness is brought together instead.
    """
    inside = placed.alpha > 0.5
    if not inside.any():
        return placed.colour
    lab = cv2.cvtColor(placed.colour.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    small = np.asarray(cv2.resize(plate, (64, 64), interpolation=cv2.INTER_AREA), np.uint8)
    scene = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    bright = scene[scene[:, 0] >= np.quantile(scene[:, 0], 0.7)]
    move_l = np.clip(
        0.15 * (float(scene[:, 0].mean()) - float(lightness(placed.colour)[inside].mean())), -RELIT_L, RELIT_L
    )
    move_l = move_l if lightness_too else 0.0
    move_ab = np.clip(0.12 * bright[:, 1:].mean(axis=0), -RELIT_CHROMA, RELIT_CHROMA)
    # Black stays black and white stays white: the move is largest at mid grey.
    lab[..., 0] += move_l * np.sin(np.pi * np.clip(lab[..., 0], 0, 100) / 100)
    lab[..., 1:] += move_ab.astype(np.float32)
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8)
