"""How true results stay to their photos: `python -m tests.bench fidelity --images FOLDER --results FOLDER`.

It measures anybody's pictures: a result has its photo's name, or begins with it and a separator (`cup.jpg`,
`cup-2.png`), also as this studio names its downloads (`Red Mug.jpg`, `Red-Mug_product-amazon-1.png`).
Each result is registered to its photo by what both show of the subject: shift, zoom and rotation, so that another crop
or size costs nothing. What is compared is the subject's core, the pixels that the matte calls opaque.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipelines.codecs.file_names import make_label
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Face, Float64Array, Image, Mask, Uint8Array
from pipelines.ingest.decode import DecodedImage, decode_image
from pipelines.matting.cutout import cut_out_subject
from pipelines.models import nets
from pipelines.models.nets.face_mesh import FaceMesh
from pipelines.models.nets.u2net import U2Net
from pipelines.quality.face_similarity import ciede2000, face_geometry_change, skin_delta_e
from tests.bench.rows import Row, make_row

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic")
NAME_SEPARATORS = ("-", "_", " ", ".", "(")
MIN_MATCH_COUNT = 12
VISIBLE_DELTA_E = 2.3
"""CIEDE2000 that is just seen beside one another (Mahy, Van Eycken and Oosterlinck, 1994)."""
CORE_MARGIN_PX = 3
EDGE_BAND_PX = 6
COMPARED_SIGMA_PX = 2.0
"""Blur before colours are compared: two resamplings of one photo differ less than that."""
MAX_SIDE_PX = 1600


@dataclass(frozen=True)
class Fidelity:
    """What was measured of one result. Faces have their figures where both pictures show one.

    `changed`: share of the core whose colour visibly differs. `drift_px`: median distance of matching points after the
    best shift, zoom and rotation, for a result of 1024 px. `detail`: fine contrast of the result over the photo's.
    """

    name: str
    changed: float
    core_delta_e: float
    edge_delta_e: float
    drift_px: float
    detail: float
    skin_delta_e: float | None = None
    face_geometry_percent: float | None = None


def rows(images: str, results: str) -> Iterator[Row]:
    """Print a line for each result, then yield the medians, and how many results could not be compared."""
    net = nets.load(nets.U2NETP, "cpu")
    assert isinstance(net, U2Net)
    measured: list[Fidelity] = []
    lost = 0
    for photo_path, result_path in find_pairs(Path(images), Path(results)):
        try:
            found = measure_fidelity(result_path.name, _read(photo_path), _read(result_path), net)
        except BadInput as error:  # a photo without a subject, a file that is no picture
            print(f"{result_path.name} of {photo_path.name}: {error.message}")
            lost += 1
            continue
        if found is None:
            print(f"{result_path.name}: the photo's subject was not found in it")
            lost += 1
            continue
        print(found)
        measured.append(found)
    yield make_row("fidelity_results", len(measured), "pictures", 1, at_most=False)
    yield make_row("fidelity_not_found", lost, "pictures", 0)
    for field, unit, bound in (
        ("changed", "share of core", 0.05),
        ("core_delta_e", "CIEDE2000", VISIBLE_DELTA_E),
        ("edge_delta_e", "CIEDE2000", 2 * VISIBLE_DELTA_E),
        ("drift_px", "px of 1024", 0.7),
        ("skin_delta_e", "CIEDE2000", VISIBLE_DELTA_E),
        ("face_geometry_percent", "% of eyes' distance", 2.0),
    ):
        values = [value for row in measured if (value := getattr(row, field)) is not None]
        if values:
            yield make_row(f"fidelity_{field}", float(np.median(values)), unit, bound)


def find_pairs(images: Path, results: Path) -> list[tuple[Path, Path]]:
    """Pair results with their photos, and print those that have none. Raises `SystemExit` where there is no pair."""
    photos: dict[str, Path] = {}
    for path in _list_pictures(images):
        photos |= {name: path for name in (path.stem, make_label(path.name)) if name}
    pairs: list[tuple[Path, Path]] = []
    for path in _list_pictures(results):
        heads = tuple(path.stem[:end] for end, sign in enumerate(path.stem) if sign in NAME_SEPARATORS)
        if stems := [stem for stem in photos if stem in (path.stem, *heads)]:
            pairs.append((photos[max(stems, key=len)], path))
        else:
            print(f"{path.name}: no photo has its name")
    if not pairs:
        raise SystemExit(f"No picture of {results} has the name of one of {images}.")
    return pairs


def _list_pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder.")
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURE_SUFFIXES]


def _read(path: Path) -> Image:
    decoded = decode_image(path.read_bytes())
    if not isinstance(decoded, DecodedImage):
        raise BadInput(f"{path.name}: {decoded.message}", code=decoded.code)
    shape = (decoded.height, decoded.width, decoded.channels)
    image = np.frombuffer(decoded.pixels, np.uint8).reshape(shape)[..., :3].copy()
    scale = MAX_SIDE_PX / max(shape[:2])
    small = image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def measure_fidelity(name: str, photo: Image, result: Image, net: U2Net) -> Fidelity | None:
    """Measure a result (H x W x 3) against its photo; None if the photo's subject is not found in it."""
    alpha = cut_out_subject(photo, net).alpha
    subject: Uint8Array = np.where(alpha > 0.5, 255, 0).astype(np.uint8)
    fit = _register(photo, result, subject)
    if fit is None:
        return None
    matrix, drift = fit
    size = (result.shape[1], result.shape[0])
    moved = cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    expected = np.asarray(moved, np.uint8)
    shown = cv2.warpAffine((alpha > 0.99).astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    core = cv2.erode(shown, _disc(CORE_MARGIN_PX), borderValue=1) > 0
    if not core.any():
        return None
    edge = core & (cv2.erode(shown, _disc(CORE_MARGIN_PX + EDGE_BAND_PX), borderValue=1) == 0)
    difference = ciede2000(_to_lab(expected), _to_lab(result))
    faces = _compare_faces(expected, result)
    return Fidelity(
        name,
        changed=round(float((difference[core] > VISIBLE_DELTA_E).mean()), 4),
        core_delta_e=round(float(np.median(difference[core])), 2),
        edge_delta_e=round(float(np.median(difference[edge])), 2) if edge.any() else 0.0,
        drift_px=round(drift * 1024 / max(size), 2),
        detail=round(_fine_contrast(result, core) / max(_fine_contrast(expected, core), 1e-6), 2),
        skin_delta_e=None if faces is None else round(skin_delta_e(expected, result, faces[0]), 2),
        face_geometry_percent=None if faces is None else round(face_geometry_change(*faces), 2),
    )


def _register(photo: Image, result: Image, subject: Uint8Array) -> tuple[Float64Array, float] | None:
    """Fit shift, zoom and rotation from photo to result by SIFT features of the subject (Lowe, 2004), and RANSAC.

    Returns the 2 x 3 matrix and the median distance of the matches from it in pixels.
    """
    finder = cv2.SIFT.create(4000, contrastThreshold=0.01)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (photo, result)]
    points, words = finder.detectAndCompute(grey[0], subject)
    others, their_words = finder.detectAndCompute(grey[1], None)
    if words is None or their_words is None or len(points) < MIN_MATCH_COUNT or len(others) < 2:
        return None
    matches = cv2.BFMatcher().knnMatch(words, their_words, k=2)
    good = [pair[0] for pair in matches if len(pair) == 2 and pair[0].distance < 0.8 * pair[1].distance]
    if len(good) < MIN_MATCH_COUNT:
        return None
    before = np.array([points[match.queryIdx].pt for match in good])
    after = np.array([others[match.trainIdx].pt for match in good])
    matrix, inliers = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=4.0, maxIters=5000)
    if matrix is None or inliers.sum() < MIN_MATCH_COUNT:
        return None
    kept = inliers.ravel() > 0
    distances = np.linalg.norm(before[kept] @ matrix[:, :2].T + matrix[:, 2] - after[kept], axis=1)
    return np.asarray(matrix, np.float64), float(np.median(distances))


def _to_lab(image: Image) -> Float64Array:
    soft = cv2.GaussianBlur(image.astype(np.float32) / 255, (0, 0), COMPARED_SIGMA_PX)
    return cv2.cvtColor(soft, cv2.COLOR_RGB2LAB).astype(np.float64)


def _fine_contrast(image: Image, core: Mask) -> float:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2))[core].mean())


def _compare_faces(expected: Image, result: Image) -> tuple[Face, Face] | None:
    finder = nets.load(nets.FACE_MESH, "cpu")
    assert isinstance(finder, FaceMesh)
    before, after = finder.find_faces(expected), finder.find_faces(result)
    finder.close()
    return (before[0], after[0]) if before and after else None


def _disc(radius: int) -> Uint8Array:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
