"""Render contact and cast shadows in the scene's ambient light, and what a ground reflects of the subject's colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.compositing.stance import find_stance
from pipelines.core.geometry import Alpha, Float32Array, Image, PlacedSubject, Side
from pipelines.core.rendering import SceneGround
from pipelines.framing.camera_pitch import View
from pipelines.imaging.color import LinearImage, to_linear

ENLARGED_BLUR_PX = 0.5  # blur sigma in pixels of an enlarged photo; the scene behind it gets the same
_WORK_SIDE_PX = 512  # longer side, about, of the maps that shadows and reflections are made on: all of them are soft
_LAYER_HEIGHTS = (0.4, 0.6, 0.8, 1.0)  # of `drop`: the heights whose outlines make up a shadow seen from above
_PHOTO_DARKNESS_RANGE = (0.5, 0.95)  # darkness of a shadow whose direction was measured in the photo
_PHOTO_HARDNESS = 0.65  # how much sharper such a shadow is when it is black
_RIM_HEIGHT = 0.54  # of `drop`: mean height of its layers
_TOP_VIEW_CAST_FACTOR = 3.9  # over `cast`: seen from the side, half of a shadow is hidden behind the subject
_THICKNESS_RATIO = 0.45  # of the subject's width: how deep it is taken to be where a set's light falls on it
_MAX_THICKNESS_RATIO = 0.5  # of its height: what is low and wide is a car or several things in a row
_SHADOW_BANDS = 6  # bands of height whose shadows are blurred each as much as it is high
_REFLECTION_DEPTH_RATIO = 0.45  # of the subject's width: depth at which a reflection has faded to a third
_MAX_CUT_RATIO = 0.1  # of the subject's width, on the picture's bottom edge: more means that the picture cuts it there
_UNDERSIDE_FACTOR = 1.3  # over `contact`: under a low thing it is darker than beside what touches the ground
_UNDERSIDE_GAP_RATIO = 0.1  # of the subject's width: gap to the ground at which hardly any light is missing there
_AMBIENT_FACTOR = 0.65  # over `contact`: what a subject hides of the light from all around, beside its foot
_AMBIENT_RATIOS = 0.07, 0.1  # of the subject's size: how far from the foot that is seen; the gap with a third of it
_CONTACT_RATIOS = 0.02, 0.06  # the same of the contact shadow
_SLENDER_RATIO = 0.35  # of the height: what is narrower, such as a standing person, is taken to be this wide
_BOUNCE_RATIO = 0.25  # of the light that falls on the subject: what it reflects on the ground
_BOUNCE_RADIUS_RATIO = 0.05  # of the subject's width
_MIN_PART_RATIO = 0.01  # of the largest part's area: a smaller one is a scrap, which throws no shadow and is no foot
# Squash, tilt and drop by view: the higher the camera, the longer a shadow on the ground looks.
_SHADOW_SHAPES = {"front": (0.14, 0.35, 0.0), "three-quarter": (0.45, 0.28, 0.0), "above": (1.0, 0.06, 0.18)}


@dataclass(frozen=True)
class Shadow:
    """A subject's shadow on the ground; `contact` and `cast` are darkenings of 0 to 1.

    `squash` flattens the cast shadow, `tilt` is how far it falls to the side per height, away from the key light.
    `drop` is for the view from above: the shadow lies beside the whole outline, as far as this share of the subject's
    width. `toward` is a vector there (right, down) whose length is the shadow's darkness, 0 to 1; without it, the
    shadow falls away from the key light. `ground` is that of a set: then its key light casts the shadow, and nothing of
    the above but `contact` is used.
    """

    contact: float = 0.58
    cast: float = 0.22
    squash: float = 0.16
    tilt: float = 0.35
    drop: float = 0.0
    toward: tuple[float, float] | None = None
    ground: SceneGround | None = None


def shadow_for_view(shadow: Shadow, view: View) -> Shadow:
    """Return `shadow` as seen by a camera at that height."""
    squash, tilt, drop = _SHADOW_SHAPES[view]
    return replace(shadow, squash=squash, tilt=tilt, drop=drop)


def with_scene_ground(shadow: Shadow, grounds: Sequence[SceneGround | None], n: int) -> Shadow:
    """Return `shadow` as it falls on the ground of picture `n`, where that is known."""
    return replace(shadow, ground=grounds[n]) if n < len(grounds) else shadow


def blur_quickly(values: LinearImage, radius: float) -> LinearImage:
    """Blur widely, at a quarter of the size where that loses nothing."""
    factor = 4 if radius >= 6 else 1
    height, width = values.shape[:2]
    small = cv2.resize(values, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), radius / factor)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def soften_plate(plate: Image, placed: PlacedSubject) -> Image:
    """Blur the scene so that it is no sharper than an enlarged photo."""
    sigma = ENLARGED_BLUR_PX * float(np.sqrt(max(placed.frame.scale**2 - 1, 0)))
    return plate if sigma < 0.3 else np.asarray(cv2.GaussianBlur(plate, (0, 0), sigma), np.uint8)


def compute_ground_light_share(alpha: Alpha, shadow: Shadow, key_side: Side) -> Float32Array:
    """Return what the ground keeps of its light (H x W, 0 to 1) under a tight contact shadow and a soft cast shadow."""
    factor = max(1, round(max(alpha.shape) / _WORK_SIDE_PX))
    height, width = alpha.shape
    small = np.asarray(cv2.resize(alpha, (width // factor, height // factor), interpolation=cv2.INTER_AREA), np.float32)
    if not (small > 0.5).any():
        return np.ones_like(alpha)
    small = _remove_scraps(small)
    mask = small > 0.5
    columns = np.nonzero(mask.any(axis=0))[0]
    width_px = float(columns[-1] - columns[0] + 1)
    used_rows = np.nonzero(mask.any(axis=1))[0]
    base = int(used_rows[-1])
    if shadow.drop:
        dark = _top_view_shadow(small, shadow, key_side, width_px)
        return np.asarray(1 - cv2.resize(dark, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    if np.count_nonzero(mask[-1]) > _MAX_CUT_RATIO * width_px:
        return np.ones_like(alpha)  # the picture ends above the feet, and with it the ground
    stance = find_stance(mask, width_px)
    # Each column is moved down until its foot stands on the base; afterwards the shadows are moved up again.
    level = _move_columns(small, stance.drops)
    ground = base - stance.leg_gaps
    size_px = max(width_px, _SLENDER_RATIO * float(base - used_rows[0] + 1))
    contact = 1 - (
        (1 - shadow.contact * _band_below(level, size_px, ground, _CONTACT_RATIOS))
        * (1 - _AMBIENT_FACTOR * shadow.contact * _band_below(level, size_px, ground, _AMBIENT_RATIOS))
        * (1 - min(1.0, _UNDERSIDE_FACTOR * shadow.contact) * _underside_shadow(level, stance.feet, width_px, base))
    )

    def cast_shadow(part: Alpha, part_px: float, bands: int) -> Float32Array:
        if shadow.ground is None:
            return _cast_shadow(part, shadow, key_side, part_px, base)
        return (1 - float(np.mean(shadow.ground.ambient))) * _key_shadow(part, shadow.ground, part_px, base, bands)

    rows = np.arange(len(small), dtype=np.float32)[:, None]
    body = _move_columns(small, stance.body_drops)
    if stance.body_drops is not stance.drops:
        body = body * (rows <= base).astype(np.float32)
    cast = _move_columns(cast_shadow(body, stance.body_px, _SHADOW_BANDS), stance.drops - stance.body_drops)
    if stance.leg_columns.any():
        # The legs that do not end at the body's line throw their own shadow, which fades with their height.
        fading = np.clip(1 - (base - rows) / stance.leg_px, 0, 1) * stance.leg_columns
        legs = np.asarray(_move_columns(small, stance.own_drops) * fading, np.float32)
        leg_px = float(np.count_nonzero((legs > 0.3).any(axis=0)))
        if (legs > 0.5).any():
            cast = np.maximum(cast, _move_columns(cast_shadow(legs, leg_px, 1), stance.drops - stance.own_drops))
    dark = _move_columns(np.asarray(1 - (1 - contact) * (1 - cast), np.float32), -stance.drops)
    return np.asarray(1 - cv2.resize(dark, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def tint_shadow(ground: SceneGround, light: Float32Array) -> LinearImage:
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
    radius = max(1.0, _BOUNCE_RADIUS_RATIO * float(columns[-1] - columns[0] + 1))
    return np.float32(_BOUNCE_RATIO) * blur_quickly(lit, radius)


def _remove_scraps(alpha: Alpha) -> Alpha:
    """Return the map without parts that are tiny beside the largest one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    tiny = 1 + np.flatnonzero(areas < _MIN_PART_RATIO * areas.max())
    if count <= 2 or not len(tiny):
        return alpha
    kept = cv2.dilate((np.isin(labels, tiny, invert=True) & (labels > 0)).astype(np.uint8), np.ones((5, 5), np.uint8))
    scraps = cv2.dilate(np.isin(labels, tiny).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.where((scraps > 0) & (kept == 0), np.float32(0), alpha)


def _move_columns(values: Alpha, rows: Float32Array) -> Alpha:
    """Move each column of a map down by so many rows; what comes in from outside is 0."""
    if not rows.any():
        return values
    y, x = np.mgrid[0 : values.shape[0], 0 : values.shape[1]].astype(np.float32)
    return np.asarray(cv2.remap(values, x, y - rows[None], cv2.INTER_LINEAR), np.float32)


def _underside_shadow(alpha: Alpha, feet: Float32Array, width_px: float, base: int) -> Float32Array:
    """Return how much light is missing on the ground under what is near it between the feet, 0 to 1."""
    height, width = alpha.shape
    mask = alpha > 0.5
    rows = np.arange(height, dtype=np.float32)[:, None]
    lowest = np.where(mask.any(axis=0), height - 1 - np.argmax(mask[::-1], axis=0), -height).astype(np.float32)
    is_between = (np.arange(width) >= feet[0, 0]) & (np.arange(width) <= feet[-1, 0])
    nearness = np.exp(-((np.maximum(base - lowest, 0) / (_UNDERSIDE_GAP_RATIO * width_px)) ** 2)) * is_between
    under = ((rows >= lowest - 1) & (rows <= base)) * nearness
    sigma = max(0.8, 0.012 * width_px)
    return np.asarray(cv2.GaussianBlur(under.astype(np.float32), (0, 0), sigma), np.float32)


def _band_below(alpha: Alpha, size_px: float, ground: Float32Array, ratios: tuple[float, float]) -> Float32Array:
    """Return a soft band along the lower outline, 0 to 1, that fades where it rises over the ground.

    `ground` is the row of the ground in each column; `ratios` are width of the band and that gap over `size_px`.
    """
    sigma, gap = (ratio * size_px for ratio in ratios)
    height = alpha.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    mask = alpha > 0.5
    lowest = np.where(mask.any(axis=0), height - 1 - np.argmax(mask[::-1], axis=0), -height).astype(np.float32)
    nearness = np.exp(-((np.maximum(ground - lowest, 0) / gap) ** 2)).astype(np.float32)
    sigma = max(0.8, sigma)
    band = np.exp(-(((rows - lowest[None]) / sigma) ** 2)) * nearness[None]
    band = cv2.GaussianBlur(band.astype(np.float32), (0, 0), sigmaX=sigma, sigmaY=0.35 * sigma)
    return np.clip(band / max(float(band.max()), 1e-6), 0, 1)


def _cast_shadow(alpha: Alpha, shadow: Shadow, key_side: Side, width_px: float, base: int) -> Float32Array:
    """Return the outline laid flat on the ground, away from the key light, softer with distance."""
    height, width = alpha.shape
    lean = {"left": shadow.tilt, "right": -shadow.tilt, "none": 0.0}[key_side]
    # (x, y) of the outline falls to (x + lean * h, base - squash * h), h its height over the ground.
    matrix = np.array([[1, -lean, lean * base], [0, shadow.squash, base * (1 - shadow.squash)]], np.float64)
    flat = cv2.warpAffine(alpha, matrix, (width, height), flags=cv2.INTER_LINEAR)
    near = cv2.GaussianBlur(flat, (0, 0), max(0.8, 0.012 * width_px))
    far = cv2.GaussianBlur(flat, (0, 0), max(1.0, 0.05 * width_px))
    reach = max(1.0, shadow.squash * base)
    distance = np.clip((base - np.arange(height, dtype=np.float32)) / reach, 0, 1)[:, None]
    soft = near * (1 - distance) + far * distance
    spread = cv2.GaussianBlur(flat, (0, 0), sigmaX=max(1.0, 0.06 * width_px), sigmaY=max(1.0, 0.02 * width_px))
    return np.asarray(np.clip(shadow.cast * np.maximum(soft * (1 - 0.55 * distance), 0.8 * spread), 0, 1), np.float32)


def _key_shadow(alpha: Alpha, ground: SceneGround, width_px: float, base: int, bands: int) -> Float32Array:
    """Return what a set's key light does not reach of the ground, 0 to 1, with a penumbra that grows with height.

    The subject is a card as thick as `_THICKNESS_RATIO` of its width. A point at height h hides the light at the ground
    h / tan(elevation) away, and the penumbra there is as wide as the distance times the light's angle.
    """
    height, width = alpha.shape
    right, away, up = ground.key
    up = max(up, 0.12 * float(np.hypot(np.hypot(right, away), up)))
    pitch = np.radians(np.clip(ground.pitch, 3.0, 80.0))
    across = float(right / up / np.cos(pitch))
    along = float(away / up * np.tan(pitch))
    reach_per_px = float(np.sqrt((right / up) ** 2 + (away / up) ** 2 + 1) / np.cos(pitch))
    spread = 2 * float(np.tan(np.radians(np.clip(ground.diameter, 0.5, 90.0)) / 2)) * reach_per_px
    top = int(np.nonzero((alpha > 0.5).any(axis=1))[0][0])
    thick_px = min(_THICKNESS_RATIO * width_px, _MAX_THICKNESS_RATIO * (base - top))
    depth_px = thick_px * float(np.sin(pitch))
    # The lowest row of the outline is the front of the foot; the card stands in its middle.
    base -= round(depth_px / 2)
    tall = max(base - top, 1)
    rows = np.arange(height, dtype=np.float32)[:, None]
    edges = np.geomspace(0.06, 1.0, bands) if bands > 1 else [1.0]
    # Laid flat, a short leg is still as high as two rows, or the map would show pieces of it.
    flattest = 0.02 if bands > 1 else max(0.02, 2 / tall)
    hidden = np.zeros_like(alpha)
    for n, edge in enumerate(edges):
        low = 0.0 if n == 0 else float(edges[n - 1])
        part = alpha * ((base - rows <= edge * tall) & (base - rows >= (low - 0.02) * tall))
        middle = 0.5 * (low + float(edge)) * tall
        # (x, y) at height p over the base falls to (x - across * p, base + along * p).
        matrix = np.array([[1, across, -across * base], [0, -along, base * (1 + along)]], np.float64)
        if abs(along) < flattest:
            matrix[1] = (0, flattest, base * (1 - flattest))
        fallen = cv2.warpAffine(part, matrix, (width, height), flags=cv2.INTER_LINEAR)
        thick = max(3, round(depth_px * (1.0 + 0.4 * float(edge)))) | 1
        fallen = cv2.dilate(fallen, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thick, thick)))
        # A disc's standard deviation is 0.25 to 0.29 of its diameter.
        blur = max(0.8, 0.1 * depth_px, 0.29 * spread * middle)
        flat = max(0.6, blur * (float(np.sin(pitch)) + 0.15))
        fallen = cv2.GaussianBlur(fallen, (0, 0), sigmaX=blur, sigmaY=flat)
        hidden = np.maximum(hidden, fallen) + 0.5 * np.minimum(hidden, fallen)
    return np.clip(hidden, 0, 1).astype(np.float32)


def mirror_in_ground(placed: PlacedSubject, ground: SceneGround) -> tuple[LinearImage, Float32Array]:
    """Return the mirror image in polished ground (H x W x 3 linear) and its opacity (H x W), falling with height."""
    factor = max(1, round(max(placed.alpha.shape) / _WORK_SIDE_PX))
    rows, columns = placed.alpha.shape[0] // factor, placed.alpha.shape[1] // factor
    alpha = _remove_scraps(
        np.asarray(cv2.resize(placed.alpha, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    )
    colour = cv2.resize(to_linear(placed.colour), (columns, rows), interpolation=cv2.INTER_AREA) * alpha[..., None]
    mask = alpha > 0.5
    base = int(np.nonzero(mask.any(axis=1))[0][-1])
    wide = float(np.count_nonzero(mask.any(axis=0)))
    lowest = np.where(mask.any(axis=0), rows - 1 - np.argmax(mask[::-1], axis=0), 0).astype(np.float32)
    # Where the outline ends high above the ground, nothing touches it: the mirror lies at the ground line there.
    round_foot = 0.5 * wide * float(np.sin(np.radians(ground.pitch))) + 2
    stance = find_stance(mask, wide)
    floor = base - stance.drops - stance.leg_gaps
    line = np.where(floor - lowest <= round_foot, lowest, floor)
    line = cv2.GaussianBlur(line[None].astype(np.float32), (0, 0), max(1.0, 0.01 * wide))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    source = 2 * line - y + 1
    mirrored = cv2.remap(np.dstack([colour, alpha]), x, source, cv2.INTER_LINEAR, borderValue=(0, 0, 0, 0))
    depth = np.maximum(y - line, 0)
    soft = cv2.GaussianBlur(mirrored, (0, 0), sigmaX=max(0.8, 0.012 * wide), sigmaY=max(0.8, 0.02 * wide))
    near = np.exp(-depth / (0.06 * wide))[..., None]
    mirrored = mirrored * near + soft * (1 - near)
    fade = ground.reflection * np.exp(-depth / (_REFLECTION_DEPTH_RATIO * wide)) * (y >= line)
    share = np.asarray(mirrored[..., 3] * fade, np.float32)
    light = mirrored[..., :3] / np.maximum(mirrored[..., 3:], 1e-3)
    size = (placed.alpha.shape[1], placed.alpha.shape[0])
    return (
        np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_LINEAR), np.float32),
        np.asarray(cv2.resize(share, size, interpolation=cv2.INTER_LINEAR), np.float32),
    )


def _top_view_shadow(alpha: Alpha, shadow: Shadow, key_side: Side, width_px: float) -> Float32Array:
    """Return the shadow seen from above: a thin dark line under the edge, and the outline cast to one side.

    The cast shadow is the sum of the outline's layers, each as far away as it is high, and as soft as it is far. All
    lie away from the light, so that only the line is left on its side: one lamp throws no even shadow all around.
    """
    right, down = {"left": 1.0, "right": -1.0, "none": 0.35}[key_side], 0.6
    layers, darkness, softness = _LAYER_HEIGHTS, _TOP_VIEW_CAST_FACTOR * shadow.cast, 1.0
    if shadow.toward is not None:
        photo_darkness = float(np.hypot(*shadow.toward))
        right, down = (float(part) / max(photo_darkness, 1e-6) for part in shadow.toward)
        darkness = float(np.clip(photo_darkness, *_PHOTO_DARKNESS_RANGE))
        # A small near lamp throws a dark and sharp shadow: bring the layers together.
        softness = 1 - _PHOTO_HARDNESS * photo_darkness
        layers = [_RIM_HEIGHT + (t - float(np.mean(_LAYER_HEIGHTS))) * softness for t in _LAYER_HEIGHTS]
    reach = shadow.drop * width_px
    # Hardly any light comes in right under the edge: that thin dark line shows that the subject touches the ground.
    rim = _shift_and_blur(alpha, 0.02 * reach * right, 0.05 * reach, max(0.8, 0.004 * width_px))
    near = _shift_and_blur(alpha, 0.10 * reach * right, 0.12 * reach, max(0.8, 0.010 * width_px))
    cast_layers = [
        _shift_and_blur(alpha, t * reach * right, t * reach * down, max(1.0, softness * (0.04 + 0.22 * t) * reach))
        for t in layers
    ]
    contact = shadow.contact * _lower_edge_weight(alpha)
    contact_light = (1 - 1.3 * contact * rim) * (1 - contact * near)
    light = contact_light * (1 - darkness * np.mean(cast_layers, axis=0))
    return np.asarray(np.clip(1 - light, 0, 1), np.float32)


def _lower_edge_weight(alpha: Alpha) -> Alpha:
    """Return 1 beside the lower part of the outline and less beside its top, where the ground behind is far away."""
    rows = np.nonzero((alpha > 0.5).any(axis=1))[0]
    down = (np.arange(len(alpha), dtype=np.float32) - rows[0]) / max(len(rows), 1)
    return np.clip(0.35 + 1.6 * down, 0.35, 1).astype(np.float32)[:, None]


def _shift_and_blur(alpha: Alpha, x: float, y: float, sigma: float) -> Alpha:
    """Move a map by (x, y) pixels and blur it."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    shifted = cv2.warpAffine(alpha, matrix, (alpha.shape[1], alpha.shape[0]), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(shifted, (0, 0), sigma), np.float32)
