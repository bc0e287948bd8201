"""Composite a subject onto a scene: shadows and light wrap in linear light, the matte in sRGB, an exact core."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.compositing.relighting import relight_subject
from pipelines.compositing.shadows import (
    Shadow,
    blur_quickly,
    compute_ground_light_share,
    mirror_in_ground,
    reflect_subject_colour,
    soften_plate,
    tint_shadow,
)
from pipelines.core.geometry import Alpha, Float32Array, Image, Mask, PlacedSubject, Side
from pipelines.imaging.color import LinearImage, to_linear, to_srgb
from pipelines.imaging.film_grain import measure_grain, measure_noise, synthesize_grain
from pipelines.imaging.resize import dilate_mask
from pipelines.matting.cutout import core_mask

WRAP_STRENGTH = 0.12  # of the scene's light at the edge; more draws a grey line around a black coat
WRAP_RADIUS_RATIO = 0.012  # of the frame's height
WRAP_THRESHOLD = 0.75  # linear light from which a scene spills over the edge; white spills in full
WRAP_FADE_PX = 1.5  # pixels outside the core over which the wrap fades in


def composite_subject(
    placed: PlacedSubject,
    plate: Image,
    *,
    seed: int,
    key_side: Side = "none",
    shadow: Shadow | None = None,
    relit: bool = False,
    clean: bool = False,
) -> Image:
    """Composite the placed subject on `plate` (same size). In the core its pixels stay the user's own, byte for byte.

    `clean` leaves out wrap and grain, for backgrounds that must stay one value. `relit` fits the subject to the
    scene's light, so that the core is not exact. `key_side` is where the key light comes from.
    """
    if not clean:
        plate = soften_plate(plate, placed)
    scene = to_linear(plate)
    core = core_mask(placed.alpha)
    if shadow is not None:
        scene = _cast_shadow_on_ground(scene, placed, shadow, key_side, clean=clean)
    own = relight_subject(placed, plate) if relit else placed.colour
    subject = own.astype(np.float32) if clean else add_light_wrap(own, scene, placed.alpha, core)
    values = mix_by_matte(subject, to_srgb(scene), placed.alpha)
    if not clean:
        values += _spread_channels(_match_scene_grain(placed, plate, core, seed)[..., 0] * (1 - placed.alpha))
    values += np.float32(0.5)
    out = np.clip(values, 0, 255, out=values).astype(np.uint8)
    out[core] = own[core]
    return out


def mix_by_matte(subject: Float32Array, scene: Float32Array, alpha: Alpha) -> Float32Array:
    """Mix the subject over the scene, both in sRGB values, H x W x 3. Overwrites both, and returns the scene's array.

    A matte says how sRGB values are mixed, not light: mixed in light, dark edges and dark hair become pale.
    """
    subject -= scene
    subject *= _spread_channels(alpha)
    scene += subject
    return scene


def _spread_channels(values: Float32Array) -> Float32Array:
    """Return a map (H x W) once for each of three channels: NumPy takes three times as long to spread it itself."""
    return np.asarray(cv2.merge((values, values, values)), np.float32)


def _cast_shadow_on_ground(
    scene: LinearImage, placed: PlacedSubject, shadow: Shadow, key_side: Side, *, clean: bool
) -> LinearImage:
    """Darken the scene by the subject's shadow; without `clean`, add what the ground reflects of the subject."""
    light = compute_ground_light_share(placed.alpha, shadow, key_side)
    ground = shadow.ground
    shaded = scene * (light[..., None] if ground is None else tint_shadow(ground, light))
    if not clean:
        # Where hardly any light comes in, hardly any comes off the subject either: the contact stays dark.
        shaded = shaded + shaded * reflect_subject_colour(placed)
    if ground is not None and ground.reflection and (placed.alpha > 0.5).any():
        mirrored, share = mirror_in_ground(placed, ground)
        shaded = shaded + share[..., None] * (mirrored - shaded)
    return shaded  # pyrefly: ignore[bad-return]


def add_background_grain(placed: PlacedSubject, plate: Image, *, seed: int, clean: bool = False) -> Image:
    """Return the scene as `composite_subject` shows it behind the subject: with its grain, without shadow, uncut."""
    if clean:
        return plate
    plate = soften_plate(plate, placed)
    values = plate + _match_scene_grain(placed, plate, core_mask(placed.alpha), seed)
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def add_light_wrap(subject: Image, scene: LinearImage, alpha: Alpha, core: Mask) -> Float32Array:
    """Return the subject's sRGB values with the scene's light over its edge, up to its core, where that is brighter."""
    # Fade to nothing at the core, which is never changed: a step there would show as a line.
    fading = np.clip(1 - 2 * cv2.GaussianBlur(core.astype(np.float32), (0, 0), WRAP_FADE_PX), 0, 1)
    edge = (fading > 0) & ~core & (alpha > 0)
    radius = max(1.0, WRAP_RADIUS_RATIO * alpha.shape[0])
    weight = blur_quickly(1 - alpha, radius)[edge]
    spill = blur_quickly(scene * _spread_channels(1 - alpha), radius)[edge] / np.maximum(weight, 1e-3)[:, None]
    # Only bright places such as windows spill: grey paper would draw a pale line around a dark coat.
    brightness = np.clip((spill.mean(axis=1) - WRAP_THRESHOLD) / (1 - WRAP_THRESHOLD), 0, 1)
    share = (WRAP_STRENGTH * np.minimum(2 * weight, 1.0) * fading[edge] * brightness)[:, None]
    light = to_linear(subject[edge])
    values = subject.astype(np.float32)
    values[edge] = to_srgb(light + share * np.maximum(spill - light, 0))
    return values


def _match_scene_grain(placed: PlacedSubject, plate: Image, core: Mask, seed: int) -> LinearImage:
    """Make noise that gives the scene the subject's grain, less the grain it has."""
    # The old background beside the subject often shows the grain best; mixed pixels at the edge do not.
    scale, (left, top, right, bottom) = placed.frame.scale, placed.frame.box
    measured = np.zeros(core.shape, np.bool_)
    measured[max(round(top), 0) : max(round(bottom), 0), max(round(left), 0) : max(round(right), 0)] = True
    measured &= core | ~dilate_mask(placed.alpha > 0, 7)
    return synthesize_grain(
        measure_grain(placed.colour, measured, scale), plate, measure_noise(plate, ~core), scale, seed
    )
