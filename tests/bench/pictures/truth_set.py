"""A set of composites with exact alpha that resembles photographs, made from code, renders and CC0 photographs.

    python -m tests.bench.pictures.truth_set SUBJECTS GROUNDS FOLDER

`SUBJECTS` are the renders of `render_subjects.py`, `GROUNDS` photographs such as those of Debian's `budgie-backgrounds`
(CC0; those of `GROUND_NAMES` are taken where they are there). Writes `NAME.png`, or `NAME.jpg` where compression is
what is tried, and `NAME-alpha.png` into `FOLDER`; nothing of it is part of the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from pipelines.core.geometry import Alpha, Float32Array, Image

SUBJECT_KINDS = ("leaves", "lattice", "fur", "hair", "glass", "group", "object", "thin")
EFFECT_KINDS = ("frame", "motion", "jpeg", "dark")
COMPOSITE_COUNT = 10  # of each kind
GROUND_NAMES = (
    "beacon-street-sunset", "casa-mila", "extreme-desert-hike", "waves-midnight", "lake-sherburne", "ocean-waves",
    "piazza-gae-aulenti", "roman-colosseum", "singaporean-cityscape", "tea-gardens", "valley-midnight",
)  # fmt: skip
MEGAPIXELS = (1.0, 1.2, 1.0, 2.0, 1.0, 1.5, 1.0, 4.0, 1.2, 1.0)
RATIOS = (1.0, 1.5, 0.8, 0.67, 1.33)  # width over height
GROUND_BLUR_RATIOS = (0.0, 0.002, 0.006, 0.0, 0.012)  # of the longer side: how far out of focus the ground is
SUBJECT_RATIOS = (0.55, 0.9)  # of the shorter side: the smallest and the largest subject
GRAIN_LEVELS = 1.5  # standard deviation of a grain that no photo is without
MOTION_RATIO = 0.02  # of the longer side: the way of a moving subject
JPEG_QUALITY = 60
DARK_EXPOSURE, DARK_GRAIN_LEVELS = 0.18, 5.0


@dataclass(frozen=True)
class TruthPhoto:
    """A composite (H x W x 3) with its exact alpha (H x W); `kind` is what is difficult in it."""

    name: str
    kind: str
    image: Image
    alpha: Alpha


def make_truth_photos(subjects: Path, grounds: Path) -> Iterator[TruthPhoto]:
    """Yield every composite, the same each time. Raises `SystemExit` where files are missing."""
    places = [path for name in GROUND_NAMES for path in sorted(grounds.glob(f"{name}.*"))]
    places = places or sorted(path for path in grounds.iterdir() if path.suffix in (".jpg", ".png", ".webp"))
    renders = {kind: sorted(subjects.glob(f"{kind}-*.png")) for kind in SUBJECT_KINDS}
    if not places or not all(renders.values()):
        raise SystemExit("there are no photographs for the grounds, or not every kind of subject is rendered")
    for k, kind in enumerate((*SUBJECT_KINDS, *EFFECT_KINDS)):
        for n in range(COMPOSITE_COUNT):
            # Effects are tried on subjects of every kind.
            taken = renders[kind if kind in renders else SUBJECT_KINDS[(n + k) % len(SUBJECT_KINDS)]]
            random = np.random.default_rng(1000 * k + n)
            place = _make_ground(places[(3 * k + n) % len(places)], random, n)
            subject = _open_subject(taken[n % len(taken)], random, is_mirrored=n >= len(taken))
            yield _composite(f"{kind}-{n}", kind, subject, place, random)


def open_truth_photos(folder: Path) -> Iterator[TruthPhoto]:
    """Yield the composites that `write_truth_photos` wrote."""
    for path in sorted(folder.glob("*-alpha.png")):
        name = path.name.removesuffix("-alpha.png")
        (picture,) = (each for each in folder.glob(f"{name}.*") if each.suffix in (".png", ".jpg"))
        image = np.asarray(Pillow.open(picture).convert("RGB"))
        yield TruthPhoto(
            name, name.rsplit("-", 1)[0], image, np.asarray(Pillow.open(path), np.float32) / np.float32(255)
        )


def write_truth_photos(photos: Iterator[TruthPhoto], folder: Path) -> None:
    """Write pictures and alphas, losslessly but for those that stand for JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        picture = Pillow.fromarray(photo.image)
        if photo.kind == "jpeg":
            picture.save(folder / f"{photo.name}.jpg", quality=JPEG_QUALITY)
        else:
            picture.save(folder / f"{photo.name}.png", compress_level=1)
        Pillow.fromarray(np.rint(photo.alpha * 255).astype(np.uint8)).save(folder / f"{photo.name}-alpha.png")


def _make_ground(path: Path, random: np.random.Generator, n: int) -> Float32Array:
    """Cut a window out of a photograph, more or less out of focus; H x W x 3, 0 to 255."""
    pixels = np.asarray(Pillow.open(path).convert("RGB"))
    ratio, area = RATIOS[n % len(RATIOS)], MEGAPIXELS[n % len(MEGAPIXELS)] * 1e6
    height, width = round((area / ratio) ** 0.5), round((area * ratio) ** 0.5)
    scale = max(height / pixels.shape[0], width / pixels.shape[1]) * random.uniform(1.0, 1.4)
    size = max(width, round(pixels.shape[1] * scale)), max(height, round(pixels.shape[0] * scale))
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = random.integers(0, size[1] - height + 1), random.integers(0, size[0] - width + 1)
    window = np.asarray(pixels[top : top + height, left : left + width], np.float32)
    sigma = GROUND_BLUR_RATIOS[n % len(GROUND_BLUR_RATIOS)] * max(height, width)
    return np.asarray(cv2.GaussianBlur(window, (0, 0), sigma), np.float32) if sigma else window


def _open_subject(path: Path, random: np.random.Generator, *, is_mirrored: bool) -> Float32Array:
    """Open a render as premultiplied RGBA of 0 to 1, cut to its bounds; mirrored ones get other colours too."""
    rgba = np.asarray(Pillow.open(path).convert("RGBA"), np.float32) / np.float32(255)
    y, x = np.nonzero(rgba[..., 3])
    rgba = rgba[y.min() : y.max() + 1, x.min() : x.max() + 1].copy()
    if is_mirrored:
        order = random.permutation(3)
        rgba = np.ascontiguousarray(rgba[:, ::-1][..., [*order, 3]])
    rgba[..., :3] *= rgba[..., 3:]
    return rgba


def _composite(
    name: str, kind: str, subject: Float32Array, ground: Float32Array, random: np.random.Generator
) -> TruthPhoto:
    height, width = ground.shape[:2]
    scale = random.uniform(*SUBJECT_RATIOS) * min(height / subject.shape[0], width / subject.shape[1])
    scale *= 1.5 if kind == "frame" else 1
    size = max(1, round(subject.shape[1] * scale)), max(1, round(subject.shape[0] * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    subject = np.asarray(np.clip(cv2.resize(subject, size, interpolation=interpolation), 0, 1), np.float32)
    # In a "frame" picture the border cuts the subject, mostly at the bottom as it does with people.
    left = (width - size[0]) * random.uniform(0, 1)
    top = (height - size[1]) * (1.0 if kind == "hair" else random.uniform(0.4, 1))
    top = height - 0.75 * size[1] if kind == "frame" else top
    place = np.array([[1, 0, round(left)], [0, 1, round(top)]], np.float32)
    layer = np.asarray(cv2.warpAffine(subject, place, (width, height), flags=cv2.INTER_NEAREST), np.float32)
    if kind == "motion":
        layer = _blur_along_a_line(layer, max(3, round(MOTION_RATIO * max(height, width))), random.uniform(0, 180))
    alpha = layer[..., 3]
    # The light of the place: the subject takes a part of its brightness.
    light = np.float32(0.5 + 0.5 * ground.mean() / 128)
    pixels = np.clip(layer[..., :3] * 255 * np.clip(light, 0.6, 1.2), 0, 255) + ground * (1 - alpha[..., None])
    grain = GRAIN_LEVELS
    if kind == "dark":
        pixels, grain = pixels * DARK_EXPOSURE, DARK_GRAIN_LEVELS
    pixels = np.clip(pixels + random.normal(0, grain, pixels.shape), 0, 255).astype(np.uint8)
    if kind == "jpeg":
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        pixels = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), np.uint8)
    return TruthPhoto(name, kind, pixels, np.ascontiguousarray(alpha))


def _blur_along_a_line(layer: Float32Array, length: int, degrees: float) -> Float32Array:
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), degrees, 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return np.asarray(cv2.filter2D(layer, -1, kernel / kernel.sum()), np.float32)


if __name__ == "__main__":
    write_truth_photos(make_truth_photos(Path(sys.argv[1]), Path(sys.argv[2])), Path(sys.argv[3]))
