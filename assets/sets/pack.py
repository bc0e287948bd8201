"""Make the studio's files of what `render.py` wrote: a WebP of each plate, its depth, and plates.json.

    python -m assets.sets.pack RENDERED

Exposes each plate (linear light has no exposure of its own), takes part of a tint out, and encodes at the studio's own
tone curve. Needs OpenEXR, which the studio has.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import OpenEXR

from pipelines.models.families.scenes.tone_mapping import (
    LinearLight,
    encode_srgb,
    relative_luminance,
    roll_off_highlights,
)

PLATES = Path(__file__).parent / "plates"
QUALITY = 92  # WebP; some 40 to 150 KB a plate
MIN_SIDE_PX = 1248  # a room out of focus loses nothing by being rendered smaller and enlarged here
WHITE_QUANTILE, WHITE_LUMINANCE = 0.95, 0.78  # a bright set is exposed so that so much of it is so light
# Dark sets are dark on purpose: stops from the exposure that would make them bright.
DARKER_STOPS = {
    "walnut-evening": -1.2, "slate-rim": -1.6, "cafe-bar": -0.8, "stage": -1.2, "library": -0.5, "autumn-wood": -0.5,
    "studio-room": -0.7, "loft": -0.7, "concrete-leaves": -0.2, "garden-stone": -0.3,
}  # fmt: skip
TINT_KEPT_RATIO = 0.35  # of a set's tint; evening light keeps most of it
WARM_TINT_KEPT_RATIO = 0.8
WARM_SETS = frozenset(
    (
        "walnut-evening",
        "cafe-bar",
        "library",
        "linen-morning",
        "sand",
        "snow",
        "autumn-wood",
        "winter-light",
        "slate-rim",
        "stage",
    )
)
REFLECTIONS = {"snow": 0.0}


def read_light(path: Path) -> LinearLight:
    """Read linear light from an OpenEXR file, H x W x 3."""
    with OpenEXR.File(str(path)) as file:
        channels = file.channels()
        return np.asarray(channels["RGBA" if "RGBA" in channels else "RGB"].pixels, np.float32)[..., :3]


def expose(light: LinearLight, name: str, ball: dict[str, list[float]]) -> LinearLight:
    """Return the light with part of its tint taken out, exposed for its kind."""
    seen = np.mean([ball[side] for side in ("left", "right", "above", "front")], axis=0)
    grey = float(seen @ np.array((0.2126, 0.7152, 0.0722)))
    kept = WARM_TINT_KEPT_RATIO if name in WARM_SETS else TINT_KEPT_RATIO
    light = light * ((grey / seen) ** (1 - kept)).astype(np.float32)
    white = float(np.quantile(relative_luminance(light), WHITE_QUANTILE))
    return light * np.float32(WHITE_LUMINANCE / white * 2 ** DARKER_STOPS.get(name, 0.0))


def pack_plate(folder: Path, name: str) -> dict[str, object]:
    """Write one plate and its depth; return its row of plates.json."""
    row = json.loads((folder / f"{name}.json").read_text())
    camera = row["camera"]
    light = expose(read_light(folder / f"{name}.exr"), name, row["ball"])
    if light.shape[0] < MIN_SIDE_PX and camera["eye"]:
        light = np.maximum(cv2.resize(light, (MIN_SIDE_PX, MIN_SIDE_PX), interpolation=cv2.INTER_CUBIC), 0)
    noise = np.random.default_rng(1).normal(0, 0.35, light.shape)  # breaks the bands of 8 bits
    image = np.clip(encode_srgb(roll_off_highlights(light)) * 255 + noise + 0.5, 0, 255).astype(np.uint8)
    path = PLATES / f"{name}.webp"
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    depth = np.maximum(read_light(folder / f"{name}-depth.exr")[..., 0], 0)
    ratio = np.where(depth > 1e-3, camera["distance"] / np.maximum(depth, 1e-3), 0)
    cv2.imwrite(str(PLATES / f"{name}-depth.png"), np.clip(ratio * 127.5 + 0.5, 0, 255).astype(np.uint8))
    right, away, up = row["key"]["direction"]
    length = math.hypot(right, away, up)
    return {
        "id": name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "horizon": camera["contact"] if camera["eye"] else row["horizon"],
        **({} if camera["eye"] else {"contact": camera["contact"]}),
        "pitch": camera["pitch"],
        "disc": camera["disc"],
        "key": [round(part / length, 3) for part in (right, away, up)],
        "diameter": row["key"]["diameter"],
        "ambient": row["shadow"],
        "reflection": row["reflection"],
        "depth": True,
        "ball": row["ball"],
    }


def main(folder: Path) -> None:
    """Pack every set that was rendered into `folder`."""
    PLATES.mkdir(exist_ok=True)
    known = (
        {row["id"]: row for row in json.loads((PLATES / "plates.json").read_text())}
        if (PLATES / "plates.json").exists()
        else {}
    )
    for path in sorted(folder.glob("*.json")):
        known[path.stem] = pack_plate(folder, path.stem)
        print(path.stem, (PLATES / f"{path.stem}.webp").stat().st_size // 1024, "KB")
    (PLATES / "plates.json").write_text(json.dumps([known[name] for name in sorted(known)], indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
