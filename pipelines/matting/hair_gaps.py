"""Open gaps in hair: ground between dark curls and strands that the nets take for hair.

Nets draw hair as one mass. Where the hair has one colour and the ground beside it another, each pixel between both
tells how much of it is hair. Of a coloured ground its hue alone tells, also where the hair shades it or a hat covers
the hair above the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Face, Float32Array, Image, Mask
from pipelines.imaging.resize import dilate_mask, resize_image, resize_map, size_within
from pipelines.matting.edge_colors import estimate_side_colours, refine_edge_alpha
from pipelines.matting.mask_parts import find_parts_at, label_parts

# Lengths are ratios of the face's height, from forehead to chin.
REACH_RATIO = 0.16  # from the ground, within which gaps are looked for
NEAR_RATIO = 0.32  # side of the window in which the colours around a gap are counted
HEAD_REACH_RATIO = 0.12  # from the mass of hair above the face, within which a colour like it is hair
WINDOW_RATIOS = (1.3, 1.2, 1.3, 1.0)  # beyond the face's left, top, right and bottom, of its width or height
HAIR_ROW_RATIOS = (0.4, 0.06)  # above the face: rows in which the hair's colour is read
MAX_GAP_SIDE_RATIO = 0.15  # side of a square as large as a gap: a larger one may be a white ribbon before a white wall
STRAND_RATIO = 0.02  # side of a square that does not fit between strands
MIN_HAIR_SHARE = 0.7  # of the solid pixels around a gap that are not mixtures with the ground
MIN_HAIR_COVER = 0.01  # of the window
MAX_GAP_SHARE = 0.6  # of hair in a pixel of a gap
MIN_SHARE_LOSS = 0.15  # of alpha, from which colours are believed against the nets
MAX_MIXTURE_ERROR = 25.0  # levels from the line between hair and ground, up to which a colour is a mixture of both
MIN_CONTRAST = 100.0  # levels between hair and ground, from which colours tell
MAX_HAIR_DEVIATION = 30.0  # levels: hair, or a scarf, of several colours is left as it is
HAIR_DISTANCE, SKIN_DISTANCE = 12.0, 12.0  # squared, in deviations, up to which a colour is hair's or skin's
MIN_SKIN_DISTANCE = 20.0  # of the face's colour from the hair's: of fair hair colours cannot be told from skin
MIN_HAIR_PIXELS = 50
OPAQUE_ALPHA, KNOWN_ALPHA_MARGIN = 0.95, 0.02
MIN_GROUND_CHROMA = 50.0  # levels of the ground's colour from grey, from which its hue tells
MAX_SKIN_LIKENESS = 0.5  # cosine between the ground's hue and skin's, up to which it tells
MAX_HUE_ERROR = 20.0  # levels from the ground's hue
GROUND_LIGHT_RANGE = (0.35, 0.85)  # of a gap's brightest: up to the first a pixel is hair, from the second ground
MIN_GAP_LIGHT = 0.45  # of the ground's chroma, from which a pixel is a gap: what shines on a hat has up to 0.35
MAX_DARK_LEVEL = 100  # brightest channel of dark hair, which has less of the ground's light than a gap
MAX_HUE_SIDE_PX = 1200  # longer side of the copy in which hues are looked at
GAP_RATIO = 0.012  # side of a square that fits into a gap: the rim of a hat shines with the ground's light
_HAIR_NOISE, _SKIN_NOISE = 8.0, 12.0  # least deviations in levels
_OUTLIER_LEVELS = 60.0  # from the median: jewels and lights in the hair
_OPEN_ALPHA = 0.3  # up to which a gap is open
_STRIP_ROWS = 512
_SAMPLE_STEP = 4  # pixels, of which one is looked at for whether the ground has a colour at all
_MIN_COLOURED_SHARE = 0.05  # of the ground in the window
_MIXED_PX = 2  # around open gaps: pixels of which the colours say the share anew
_ISLAND_ALPHA = 0.1  # from which pixels hang together
_MIN_ISLAND_HAIR_SHARE = 0.2  # of a part that gaps cut off: with less it is ground, too


@dataclass(frozen=True)
class _ColourCloud:
    """Mean (3) and inverse covariance (3 x 3) of a thing's colours, and their largest deviation, in levels."""

    mean: Float32Array
    precision: Float32Array
    deviation: float

    def measure_distances(self, pixels: Image | Float32Array) -> Float32Array:
        """Return how far colours (... x 3) are from it, squared, in deviations."""
        distances = np.empty(pixels.shape[:-1], np.float32)
        for first in range(0, len(pixels), _STRIP_ROWS):  # all rows of a large photo would be held three times
            offset = pixels[first : first + _STRIP_ROWS].astype(np.float32) - self.mean
            distances[first : first + _STRIP_ROWS] = ((offset @ self.precision) * offset).sum(axis=-1)
        return distances


def open_hair_gaps(image: Image, alpha: Alpha, faces: Sequence[Face]) -> Alpha:
    """Return `alpha` (H x W, 0 to 1) without the ground of `image` (H x W x 3) in the dark hair around `faces`."""
    result = alpha
    for face in faces:
        rows, columns = _find_hair_window(face, alpha.shape)
        seen = image[rows, columns]
        if not seen.size:
            continue
        landmarks = face.landmarks - np.array((columns.start, rows.start), np.float32)
        for open_gaps in (_open_window, _open_coloured_gaps):
            opened = open_gaps(seen, result[rows, columns], landmarks)
            if opened is not None:
                result = alpha.copy() if result is alpha else result
                result[rows, columns] = opened
    return result


def _find_hair_window(face: Face, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of the photo in which a face's hair is."""
    left, top, right, bottom = _find_oval(face.landmarks)
    width, height = right - left, bottom - top
    beyond = [ratio * side for ratio, side in zip(WINDOW_RATIOS, (width, height, width, height), strict=True)]
    rows = slice(max(0, round(top - beyond[1])), max(0, min(shape[0], round(bottom + beyond[3]))))
    columns = slice(max(0, round(left - beyond[0])), max(0, min(shape[1], round(right + beyond[2]))))
    return rows, columns


def _find_oval(landmarks: Float32Array) -> tuple[float, float, float, float]:
    """Return the left, top, right and bottom of a face without its hair."""
    x, y = landmarks[:, 0], landmarks[:, 1]
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _draw_oval(shape: tuple[int, ...], landmarks: Float32Array) -> Mask:
    """Draw a face without its hair as an ellipse (H x W)."""
    left, top, right, bottom = _find_oval(landmarks)
    drawn, middle = np.zeros(shape, np.uint8), (round((left + right) / 2), round((top + bottom) / 2))
    cv2.ellipse(drawn, middle, (round((right - left) / 2), round((bottom - top) / 2)), 0, 0, 360, 1, -1)
    return drawn > 0


def _open_window(image: Image, alpha: Alpha, landmarks: Float32Array) -> Alpha | None:
    """Open the gaps in the hair around a face; None without gaps, or where no colour tells hair from the rest."""
    left, top, right, bottom = _find_oval(landmarks)
    height = bottom - top
    face = _draw_oval(alpha.shape, landmarks)
    rows = slice(*(max(0, round(top - ratio * height)) for ratio in HAIR_ROW_RATIOS))
    columns = slice(max(0, round(left)), max(0, round(right)))
    hair = _measure_cloud(image[rows, columns][alpha[rows, columns] > OPAQUE_ALPHA], _HAIR_NOISE)
    skin = _measure_cloud(image[face], _SKIN_NOISE)
    if hair is None or skin is None or hair.deviation > MAX_HAIR_DEVIATION:
        return None
    if hair.measure_distances(skin.mean[None])[0] < MIN_SKIN_DISTANCE:
        return None
    is_hair = _find_hair(image, alpha, hair, (rows, columns), height)
    distance = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    band = (distance < max(3, REACH_RATIO * height)) & (alpha > KNOWN_ALPHA_MARGIN) & ~face
    if not band.any() or (alpha > KNOWN_ALPHA_MARGIN).all():
        return None
    share, is_mixture = _unmix(image, alpha, band, hair.mean)
    gaps = is_mixture & (share < MAX_GAP_SHARE) & (alpha > share + MIN_SHARE_LOSS) & ~is_hair
    gaps[gaps] = skin.measure_distances(image[gaps]) > SKIN_DISTANCE
    window = (max(5, round(NEAR_RATIO * height)) | 1,) * 2
    solid = (alpha > 0.5) & (is_hair | ~is_mixture)
    total, hairy = (cv2.blur(each.astype(np.float32), window) for each in (solid, solid & is_hair))
    gaps &= (hairy > MIN_HAIR_SHARE * total) & (hairy > MIN_HAIR_COVER)
    gaps &= _find_small(gaps, height)
    if not gaps.any():
        return None
    opened = np.where(gaps, np.minimum(alpha, share), alpha)
    around = dilate_mask(gaps & (share < _OPEN_ALPHA), _MIXED_PX) & ~gaps
    opened = np.where(around, np.minimum(opened, refine_edge_alpha(image, opened, around)), opened)
    return _remove_new_islands(opened, alpha, is_hair)


def _open_coloured_gaps(image: Image, alpha: Alpha, landmarks: Float32Array) -> Alpha | None:
    """Open the gaps in the dark hair around a face in which the ground's hue shows; None without any.

    Hues are noisy and gaps wide, so that a smaller copy of a large photo tells as much.
    """
    size = size_within(alpha.shape, MAX_HUE_SIDE_PX)
    scale = size[0] / alpha.shape[1]
    small = resize_map(alpha, size)
    opened = _open_small_coloured_gaps(resize_image(image, size), small, landmarks * np.float32(scale))
    if opened is None:
        return None
    kept = np.where(opened < small, opened, np.float32(1))
    return np.minimum(alpha, resize_map(kept, alpha.shape[::-1]))


def _open_small_coloured_gaps(image: Image, alpha: Alpha, landmarks: Float32Array) -> Alpha | None:
    """Do the same on the copy, at its size."""
    _, top, _, bottom = _find_oval(landmarks)
    height = bottom - top
    face = _draw_oval(alpha.shape, landmarks)
    if not face.any() or not _is_coloured(image[::_SAMPLE_STEP, ::_SAMPLE_STEP], alpha[::_SAMPLE_STEP, ::_SAMPLE_STEP]):
        return None
    distance = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    band = (distance < max(3, REACH_RATIO * height)) & (alpha > KNOWN_ALPHA_MARGIN) & ~face
    if not band.any():
        return None
    skin = np.asarray(image[face].mean(axis=0), np.float32)
    light = np.zeros(alpha.shape, np.float32)
    ground = estimate_side_colours(image, alpha, band, colour_only=True)[1].mean
    light[band] = _measure_ground_light(image[band], ground, skin)
    gaps = (light > MIN_GAP_LIGHT) & (alpha > MIN_SHARE_LOSS)
    solid = (alpha > 0.5) & ~gaps
    head = dilate_mask(face, max(1, round(HEAD_REACH_RATIO * height)))
    is_hair = find_parts_at(solid & (image.max(axis=2) < MAX_DARK_LEVEL), head & ~face)
    window = (max(5, round(NEAR_RATIO * height)) | 1,) * 2
    total, hairy = (cv2.blur(each.astype(np.float32), window) for each in (solid, is_hair))
    gaps &= (hairy > MIN_HAIR_SHARE * total) & (hairy > MIN_HAIR_COVER)
    gaps &= _find_small(gaps, height)
    gaps = find_parts_at(gaps, slice(0, max(0, round(bottom))))  # clothes below may have the ground's hue
    gaps = find_parts_at(gaps, _open_by_square(gaps, GAP_RATIO * height))
    if not gaps.any():
        return None
    opened = np.minimum(alpha, 1 - _measure_openness(light, gaps))
    return _remove_new_islands(opened, alpha, is_hair)


def _is_coloured(image: Image, alpha: Alpha) -> bool:
    """Whether a part of the ground has a hue that tells; most photos have none, and nothing is to be measured."""
    ground = image[alpha <= KNOWN_ALPHA_MARGIN].astype(np.float32)
    if not len(ground):
        return False
    chroma = np.linalg.norm(ground - ground.mean(axis=1, keepdims=True), axis=1)
    return float((chroma > MIN_GROUND_CHROMA).mean()) > _MIN_COLOURED_SHARE


def _measure_ground_light(pixels: Image, ground: Float32Array, skin: Float32Array) -> Float32Array:
    """Return how much of the `ground`'s light is in N pixels (N x 3 each): 1 of its chroma, 0 of another.

    Of a ground with the hue of `skin` (3) nothing can be told: brown and fair hair have it, too.
    """
    chroma, hue = (each - each.mean(axis=1, keepdims=True) for each in (pixels.astype(np.float32), ground))
    skin_hue = skin - skin.mean()
    strength = np.linalg.norm(hue, axis=1)
    light = (chroma * hue).sum(axis=1) / np.maximum(strength, 1) ** 2
    error = np.linalg.norm(chroma - light[:, None] * hue, axis=1)
    likeness = hue @ skin_hue / np.maximum(strength * np.linalg.norm(skin_hue), 1)
    tells = (strength > MIN_GROUND_CHROMA) & (likeness < MAX_SKIN_LIKENESS)
    return np.where(tells & (error < MAX_HUE_ERROR), light, 0).astype(np.float32)


def _measure_openness(light: Float32Array, gaps: Mask) -> Float32Array:
    """Return the share of the ground (H x W, 0 to 1) in `gaps` and next to them; each is as open as its brightest."""
    labels = label_parts(gaps)
    brightest = np.zeros(int(labels.max()) + 1, np.float32)
    np.maximum.at(brightest, labels[gaps], cv2.blur(light, (3, 3))[gaps])
    reached = cv2.dilate(brightest[labels], np.ones((2 * _MIXED_PX + 1,) * 2, np.uint8))
    least, most = GROUND_LIGHT_RANGE
    openness = np.clip((light / np.clip(reached, MIN_GAP_LIGHT, 1) - least) / (most - least), 0, 1)
    return np.asarray(np.where(reached > 0, openness, 0), np.float32)


def _find_small(gaps: Mask, height: float) -> Mask:
    """Return the gaps (H x W) that are no ribbon; the fine strands at the outline that hang on one do not count."""
    labels = label_parts(gaps)
    areas = np.bincount(labels[_open_by_square(gaps, STRAND_RATIO * height)], minlength=int(labels.max()) + 1)
    return np.asarray((areas <= (MAX_GAP_SIDE_RATIO * height) ** 2)[labels] & gaps)


def _open_by_square(mask: Mask, side_px: float) -> Mask:
    """Remove what is narrower than a square."""
    side = max(3, round(side_px)) | 1
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((side, side), np.uint8)) > 0


def _measure_cloud(pixels: Image, noise: float) -> _ColourCloud | None:
    """Return the cloud of N colours (N x 3); None where they are few."""
    if len(pixels) < MIN_HAIR_PIXELS:
        return None
    values = pixels.astype(np.float32)
    near = values[np.abs(values - np.median(values, axis=0)).max(axis=1) < _OUTLIER_LEVELS]
    if len(near) < MIN_HAIR_PIXELS:
        return None
    covariance = np.cov(near.T) + np.eye(3) * noise**2
    variance = float(np.linalg.eigvalsh(covariance)[-1])
    precision = np.asarray(np.linalg.inv(covariance), np.float32)
    return _ColourCloud(np.asarray(near.mean(axis=0), np.float32), precision, variance**0.5)


def _find_hair(image: Image, alpha: Alpha, hair: _ColourCloud, sample: tuple[slice, slice], height: float) -> Mask:
    """Return pixels of the hair's colour (H x W) that hang together with the `sample` above the face, or lie by it."""
    like = (hair.measure_distances(image) < HAIR_DISTANCE) & (alpha > 0.5)
    head = find_parts_at(_open_by_square(like, STRAND_RATIO * height), sample)
    return like & dilate_mask(head, max(1, round(HEAD_REACH_RATIO * height)))


def _unmix(image: Image, alpha: Alpha, band: Mask, hair: Float32Array) -> tuple[Float32Array, Mask]:
    """Return the share of `hair` in the pixels of `band` (H x W, 1 elsewhere), and which of them are such mixtures."""
    _, ground = estimate_side_colours(image, alpha, band, colour_only=True)
    towards, offset = hair - ground.mean, image[band].astype(np.float32) - ground.mean
    length = np.maximum((towards**2).sum(axis=1), 1)
    found = np.clip((offset * towards).sum(axis=1) / length, 0, 1)
    error = np.linalg.norm(offset - found[:, None] * towards, axis=1)
    share, is_mixture = np.ones(alpha.shape, np.float32), np.zeros(alpha.shape, np.bool_)
    share[band] = found
    is_mixture[band] = (error < MAX_MIXTURE_ERROR) & (length > MIN_CONTRAST**2)
    return share, is_mixture


def _remove_new_islands(opened: Alpha, before: Alpha, is_hair: Mask) -> Alpha:
    """Return `opened` (H x W) without parts inside that end at what was opened and of which hardly any is hair."""
    labels = label_parts(opened > _ISLAND_ALPHA)
    areas = np.bincount(labels.ravel())
    changed = dilate_mask(before > opened + MIN_SHARE_LOSS, 1)
    touches = np.bincount(labels[changed], minlength=len(areas)) > 0
    hairy = np.bincount(labels[is_hair], minlength=len(areas))
    is_island = touches & (hairy < _MIN_ISLAND_HAIR_SHARE * areas)
    # What reaches the window's border hangs together with the subject beyond it, such as a hand.
    is_island[np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))] = False
    is_island[0] = False
    return np.where(is_island[labels], np.float32(0), opened)
