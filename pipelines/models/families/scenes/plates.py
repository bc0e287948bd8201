"""Plates: sets rendered for the studio and photographs, each with what is known of its camera and its light.

A plate is one picture. It is cropped so that its ground, or its horizon, lies where the subject needs it, and never
drawn anew: what its light does to the subject's shadow was measured when it was made (`assets/sets/render.py`) or
marked by hand (`assets/scenes/photos`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Image, Size
from pipelines.core.rendering import Backdrop, SceneGround
from pipelines.imaging.color import to_linear
from pipelines.models.bundled_weights import compute_sha256
from pipelines.models.families.scenes.lens_blur import blur_with_disc, blur_with_discs
from pipelines.models.families.scenes.scene_types import Plate
from pipelines.models.families.scenes.tone_mapping import LinearLight

ASSETS_FOLDER = Path(__file__).resolve().parents[4] / "assets"
PLATE_FOLDERS = {"set": ASSETS_FOLDER / "sets" / "plates", "photo": ASSETS_FOLDER / "scenes" / "photos"}
MAX_ENLARGEMENT_RATIO = 1.3  # above which a plate looks softer than the subject, which a notice says
MAX_PITCH_DIFFERENCE_DEGREES = 8.0  # most that the photo's camera may look down more or less than the plate's
CONTACT_SLACK_RATIO = 0.10  # share of the plate's height around its focus in which a subject stands sharp
ROOM_FOCAL_HEIGHTS = 2.0  # focal length of the rooms' camera, in picture heights
MIN_GROUND_PITCH_DEGREES = 5.0  # less is a wall or the sky, not the ground before the camera
MAX_DECODED_BYTES = 40 * 2**20  # of decoded plates that are kept; the one used longest ago goes first
# Where the crop of each variation lies in the plate, 0 to 1 of the room there is.
VARIATION_POSITIONS = (0.5, 0.2, 0.8, 0.35)


@dataclass(frozen=True)
class PlateTruth:
    """What is known of a plate. Ratios are of its height, from the top; angles in degrees.

    `contact` is the row that is in focus and where a subject stands, None where nothing stands. `disc` is the blur that
    the plate has at infinity. `key` is the direction that the key light comes from (right, away, up), `diameter` how
    large it is seen, `ambient` the share of light that stays in its shadow (red, green, blue), `reflection` what the
    ground mirrors. `ball` are colours of a grey ball where the subject stands, seen from the camera.
    """

    id: str
    sha256: str
    horizon: float
    contact: float | None = None
    pitch: float = 0.0
    disc: float = 0.0
    key: tuple[float, float, float] = (0.0, 0.0, 1.0)
    diameter: float = 30.0
    ambient: tuple[float, float, float] = (0.5, 0.5, 0.5)
    reflection: float = 0.0
    depth: bool = False
    ball: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    @property
    def key_side(self) -> str:
        """Side that the key light comes from: left, right, or none where it comes from behind or before."""
        right, away, up = self.key
        across = right / max(float(np.hypot(np.hypot(right, away), up)), 1e-6)
        return "none" if abs(across) < 0.2 else "right" if across > 0 else "left"


@dataclass(frozen=True)
class PlateView:
    """A plate as it is seen behind the subject: linear light of the picture's size, its ground, and the row of its
    horizon in picture heights."""

    light: LinearLight
    ground: SceneGround | None
    enlargement: float
    horizon: float


@lru_cache(maxsize=4)
def read_truths(source: str) -> dict[str, PlateTruth]:
    """Read what is known of the plates of a source, `set` or `photo`, by their ids."""
    rows = json.loads((PLATE_FOLDERS[source] / "plates.json").read_text())
    pairs = ("key", "ambient")
    return {row["id"]: PlateTruth(**row | {name: tuple(row[name]) for name in pairs if name in row}) for row in rows}


def decode_plate(look: Plate) -> Image:
    """Return the pixels of a plate, H x W x 3. Raises `ModelUnavailable` for a missing or damaged file."""
    path = PLATE_FOLDERS[look.source] / f"{look.id}.webp"
    return _read_picture(path, cv2.IMREAD_COLOR_RGB, read_truths(look.source)[look.id].sha256)


def _read_picture(path: Path, flags: int, sha256: str = "") -> Image:
    is_whole = not sha256 or (path.is_file() and compute_sha256(path) == sha256)
    picture = cv2.imread(str(path), flags) if is_whole else None
    if picture is None:
        raise ModelUnavailable(
            f"The picture {path.name} of a scene is missing or damaged: get the studio's files anew."
        )
    return np.asarray(picture, np.uint8)


def agrees_with_camera(look: Plate, request: Backdrop) -> bool:
    """Whether the photo's camera looked down about as far as the plate's; a photo that does not tell agrees."""
    if request.seen_from == "above" and request.camera_pitch is None:
        return False
    pitch = read_truths(look.source)[look.id].pitch
    return request.camera_pitch is None or abs(request.camera_pitch - pitch) <= MAX_PITCH_DIFFERENCE_DEGREES


def render_plate(look: Plate, pixels: Image, request: Backdrop, size: Size, variant: int) -> PlateView:
    """Crop and blur a plate for a picture of `size` (width, height), mirrored if its key light would come from the
    wrong side."""
    truth = read_truths(look.source)[look.id]
    mirrored = look.may_mirror and "none" not in (truth.key_side, request.key_light_side)
    mirrored = mirrored and truth.key_side != request.key_light_side
    left, top, width, height = fit_crop(look, truth, pixels.shape[:2], request, size, variant)
    rows, columns = pixels.shape[:2]
    centre = ((left + width / 2) * columns - 0.5, (top + height / 2) * rows - 0.5)
    scale = size[1] / (height * rows)
    picture = _resample(pixels, centre, scale, size)
    light = to_linear(picture)
    extra = request.blur_ratio - truth.disc * height if truth.disc else request.blur_ratio
    if extra > 0:
        light = _blur_by_depth(look, truth, light, extra, (left, top, width, height))
    right, away, up = truth.key
    pitch = _find_ground_pitch(look, truth, request, top, height)
    ground = None
    if pitch is not None:
        key = (-right if mirrored else right, away, up)
        ground = SceneGround(key, truth.diameter, truth.ambient, truth.reflection, pitch)
    return PlateView(
        np.ascontiguousarray(light[:, ::-1]) if mirrored else light, ground, scale, (truth.horizon - top) / height
    )


def _find_ground_pitch(look: Plate, truth: PlateTruth, request: Backdrop, top: float, height: float) -> float | None:
    """Return how far the camera looks down on the subject's foot in degrees; None where nothing is known of the ground.

    A room is seen level: what stands lower in the picture stands nearer, and is seen from farther above.
    """
    if truth.contact is not None:
        return truth.pitch
    if look.source != "set" or request.floor_ratio is None:
        return None
    pitch = float(np.degrees(np.arctan((top + request.floor_ratio * height - truth.horizon) / ROOM_FOCAL_HEIGHTS)))
    return pitch if pitch >= MIN_GROUND_PITCH_DEGREES else None


def fit_crop(
    look: Plate, truth: PlateTruth, shape: tuple[int, int], request: Backdrop, size: Size, variant: int
) -> tuple[float, float, float, float]:
    """Return the crop's left, top, width and height as shares of the plate: as large as it can be while the ground
    lies where the request has it, and not so small that it is enlarged too far."""
    rows, columns = shape
    aspect = size[0] / size[1]
    largest = min(1.0, columns / rows / aspect)
    if look.stands and truth.contact is not None:
        wanted = float(np.clip(request.floor_ratio if request.floor_ratio is not None else 0.84, 0.05, 0.98))
        # The ground is a plane: the subject may stand a little before or behind the line in focus.
        lowest, highest = truth.contact - CONTACT_SLACK_RATIO, min(truth.contact + CONTACT_SLACK_RATIO, 0.97)
        at = float(np.clip(truth.contact, min(1 - (1 - wanted) * largest, highest), max(wanted * largest, lowest)))
        at = float(np.clip(at, lowest, highest))
        smallest = min(largest, size[1] / rows / MAX_ENLARGEMENT_RATIO)
        height = float(np.clip(min(at / wanted, (1 - at) / (1 - wanted)), smallest, largest))
    else:  # as much of a place as there is, so that it is read as that place; its horizon as near as that allows
        wanted, at, height = float(np.clip(request.horizon_ratio, 0.05, 0.95)), truth.horizon, largest
    top = float(np.clip(at - wanted * height, 0, 1 - height))
    width = height * rows * aspect / columns
    middle = 0.5 - 0.5 * width if look.stands else 0.0
    room = 1 - width
    left = middle if look.stands else room * VARIATION_POSITIONS[variant % len(VARIATION_POSITIONS)]
    return float(np.clip(left, 0, room)), top, width, height


def _resample(pixels: Image, centre: tuple[float, float], scale: float, size: Size) -> Image:
    columns, rows = size
    wide, tall = columns / scale, rows / scale
    if scale < 0.75:  # averaged, so that fine texture does not alias
        x, y = max(0, round(centre[0] + 0.5 - wide / 2)), max(0, round(centre[1] + 0.5 - tall / 2))
        part = pixels[y : y + max(1, round(tall)), x : x + max(1, round(wide))]
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    matrix = np.array(
        [[1 / scale, 0, centre[0] - (columns - 1) / 2 / scale], [0, 1 / scale, centre[1] - (rows - 1) / 2 / scale]]
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _blur_by_depth(
    look: Plate, truth: PlateTruth, light: LinearLight, extra: float, crop: tuple[float, float, float, float]
) -> LinearLight:
    """Blur more than the plate is: all of it where its depth is not known, else by the thin lens."""
    rows, columns = light.shape[:2]
    if not truth.depth:
        return blur_with_disc(light, extra * rows)
    # Half the value of a pixel is the distance in focus over its own distance.
    near = _read_picture(PLATE_FOLDERS[look.source] / f"{look.id}-depth.png", cv2.IMREAD_GRAYSCALE)
    high, wide = near.shape[:2]
    left, top, width, height = crop
    scale = rows / (height * high)
    centre = ((left + width / 2) * wide - 0.5, (top + height / 2) * high - 0.5)
    ratio = _resample(near, centre, scale, (columns, rows)).astype(np.float32) / 127.5
    return blur_with_discs(light, np.abs(1 - ratio) * np.float32(extra * rows))
