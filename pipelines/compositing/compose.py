"""Subject onto scene in linear light: wrap, grain, shadows, the exact core; knows no tool and no model."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.compositing.shadows import Shadow, blur_quickly, bounce_light, shadow_map, soften_plate
from pipelines.core.geometry import Alpha, Image, Mask, PlacedSubject, Side
from pipelines.imaging.color import LinearImage, measure_lightness, to_linear, to_srgb
from pipelines.imaging.film_grain import measure_grain, measure_noise, synthesize_grain
from pipelines.matting.cutout import core_mask

WRAP_STRENGTH = 0.12  # more of it draws a grey line round a black coat: linear light counts for much in the dark

WRAP_RADIUS_RATIO = 0.012  # of the frame's height

WRAP_THRESHOLD = 0.75  # of white, in linear light: what is no brighter spills nothing, and white all of that

WRAP_FADE_PX = 1.5  # pixels outside the core over which that light comes in

MAX_LIGHTNESS_SHIFT = 4.0

MAX_CHROMA_SHIFT = 1.5

_TOUCH = 0.16  # of the subject's width: round feet and saucers rise that far before they leave the ground


def composite_subject(
    placed: PlacedSubject, plate: Image, *, seed: int, key: Side = "none", shadow: Shadow | None = None, relit: bool = False,
    clean: bool = False,
) -> Image:  # fmt: skip
    """Lay the placed subject on `plate` (same size). In the core its pixels stay the user's own, byte for byte.

    `clean` leaves out wrap and grain, for backgrounds that must stay one value. `relit` fits the subject to the scene
    within bounds (L* moves at most 4) and gives the exactness up.
    """
    if not clean:
        plate = soften_plate(plate, placed)
    scene = to_linear(plate)
    core = core_mask(placed.alpha)
    if shadow is not None:
        kept = shadow_map(placed.alpha, shadow, key)[..., None]
        scene = scene * (kept if clean else kept + bounce_light(placed))
    own = relight_subject(placed, plate) if relit else placed.colour
    subject = to_linear(own)
    alpha = placed.alpha[..., None]
    if not clean:
        subject = add_light_wrap(subject, scene, placed.alpha, core)
    values = to_srgb(scene + alpha * (subject - scene))
    if not clean:
        values += _match_scene_grain(placed, plate, core, seed) * (1 - alpha)
    out = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    out[core] = own[core]
    return out


def add_background_grain(placed: PlacedSubject, plate: Image, *, seed: int, clean: bool = False) -> Image:
    """The scene as `compose` lays it behind the subject: with its grain, without a shadow; whole, also behind it."""
    if clean:
        return plate
    plate = soften_plate(plate, placed)
    values = plate + _match_scene_grain(placed, plate, core_mask(placed.alpha), seed)
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def add_light_wrap(subject: LinearImage, scene: LinearImage, alpha: Alpha, core: Mask) -> LinearImage:
    """Light of the scene that spills over the subject's edge, up to its core, where the scene is brighter."""
    # It fades to nothing at the core, which is never touched: a step there would show as a line.
    fading = np.clip(1 - 2 * cv2.GaussianBlur(core.astype(np.float32), (0, 0), WRAP_FADE_PX), 0, 1)
    edge = (fading > 0) & ~core & (alpha > 0)
    radius = max(1.0, WRAP_RADIUS_RATIO * alpha.shape[0])
    weight = blur_quickly(1 - alpha, radius)[edge]
    light = blur_quickly(scene * (1 - alpha[..., None]), radius)[edge] / np.maximum(weight, 1e-3)[:, None]
    # A window spills; grey paper hardly does, and would draw a pale line round a dark coat.
    shining = np.clip((light.mean(axis=1) - WRAP_THRESHOLD) / (1 - WRAP_THRESHOLD), 0, 1)
    share = (WRAP_STRENGTH * np.minimum(2 * weight, 1.0) * fading[edge] * shining)[:, None]
    lit = subject.copy()
    lit[edge] += share * np.maximum(light - subject[edge], 0)
    return lit


def _match_scene_grain(placed: PlacedSubject, plate: Image, core: Mask, seed: int) -> LinearImage:
    """Noise for the scene, so that it has the subject's; the scene's own counts."""
    # The old ground lies beside the subject, and often tells the grain best. What is mixed of both does not.
    scale, (left, top, right, bottom) = placed.frame.scale, placed.frame.box
    told = np.zeros(core.shape, np.bool_)
    told[max(round(top), 0) : max(round(bottom), 0), max(round(left), 0) : max(round(right), 0)] = True
    told &= core | (cv2.dilate((placed.alpha > 0).astype(np.uint8), np.ones((15, 15), np.uint8)) == 0)
    return synthesize_grain(measure_grain(placed.colour, told, scale), plate, measure_noise(plate, ~core), scale, seed)


def relight_subject(placed: PlacedSubject, plate: Image, *, shift_lightness: bool = True) -> Image:
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
        0.15 * (float(scene[:, 0].mean()) - float(measure_lightness(placed.colour)[inside].mean())),
        -MAX_LIGHTNESS_SHIFT,
        MAX_LIGHTNESS_SHIFT,
    )
    move_l = move_l if shift_lightness else 0.0
    move_ab = np.clip(0.12 * bright[:, 1:].mean(axis=0), -MAX_CHROMA_SHIFT, MAX_CHROMA_SHIFT)
    # Black stays black and white stays white: the move is largest at mid grey.
    lab[..., 0] += move_l * np.sin(np.pi * np.clip(lab[..., 0], 0, 100) / 100)
    lab[..., 1:] += move_ab.astype(np.float32)
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8)
