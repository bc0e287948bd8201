"""Rows about every still tool on the embedded profile, warm: seconds of a megapixel, of a style, of its strength."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipelines.core.geometry import Image
from pipelines.styles import STYLES
from tests.bench.rows import Row, make_row
from tests.support.real_studio import RealStudio

RUN_COUNT = 3
# One megapixel: 1024 x 1024, or what the tool makes by itself. Tools whose picture has the photo's size take a photo
# of that size, made by Upscale first.
STILLS: dict[str, tuple[str, dict[str, Any]]] = {
    "headshot": ("astronaut", {"preset": "park", "framing": "tight", "size": 1024}),
    "product": ("coffee", {"preset": "oak", "ratio": "1:1", "size": 1024}),
    "background": ("astronaut", {"preset": "forest", "ratio": "1:1", "size": 1024}),
    "style": ("astronaut", {"preset": "oil", "size": 1024}),
    "fashion": ("astronaut", {"preset": "autumn", "ratio": "1:1", "size": 1024}),
    "business": ("hopper", {"preset": "lobby", "layout": "portraits", "framing": "tight", "size": 1024}),
    "kit": ("coffee", {"preset": "post", "headline": "Good morning"}),
    "cutout": ("large", {"trim": False}),
    "upscale": ("astronaut", {"factor": "2"}),
    "expand": ("large", {"ratio": "16:9"}),
    "retouch": ("large", {"mask": "spot"}),
    "character": ("", {"size": 1024}),
    "character_sheet": ("", {"layout": "sheet"}),
}
MAX_STYLE_SECONDS, MAX_STILL_SECONDS, MAX_STRENGTH_MS = 1.5, 5.0, 100.0
FAST_STYLE_COUNT = 10


def rows() -> Iterator[Row]:
    """Every row of this module."""
    with tempfile.TemporaryDirectory() as data:
        studio = RealStudio(Path(data), owner="bench")
        studio.photos["large"] = studio.make("upscale", photo=studio.photos["astronaut"], factor="2").files[0].id
        studio.photos["spot"] = studio.files.add_image(_make_spot_mask(), "bench", "upload")
        try:
            yield from _measure_stills(studio)
            yield from _measure_styles(studio)
            yield make_row("style_strength_ms", round(_time_strength_change(studio), 1), "ms", MAX_STRENGTH_MS)
        finally:
            studio.close()


def _make_spot_mask() -> Image:
    """A mask over the model rocket beside the astronaut: a twentieth of the picture."""
    canvas = np.zeros((1024, 1024), np.uint8)
    cv2.ellipse(canvas, (880, 260), (100, 170), 0, 0, 360, 255, -1)
    return np.repeat(canvas[..., None], 3, axis=2)


def _measure_stills(studio: RealStudio) -> Iterator[Row]:
    """Each tool, the median of a few runs with nothing remembered but the models."""
    for tool, (photo, values) in STILLS.items():
        taken = _time_tool(studio, tool.removesuffix("_sheet"), photo, values)
        yield make_row(f"still_seconds_{tool}", round(taken, 2), "s", MAX_STILL_SECONDS)


def _time_tool(studio: RealStudio, tool: str, photo: str, values: dict[str, Any]) -> float:
    values = {key: studio.photos[value] if key == "mask" else value for key, value in values.items()}
    if photo:
        values |= {"photos": [studio.photos[photo]]} if tool == "business" else {"photo": studio.photos[photo]}
    taken = []
    for _ in range(RUN_COUNT + 1):
        studio.engine.resources.results.clear()
        since = time.perf_counter()
        studio.make(tool, **values)
        taken.append(time.perf_counter() - since)
    return statistics.median(taken[1:])


def _measure_styles(studio: RealStudio) -> Iterator[Row]:
    """The tenth fastest style at one megapixel: ten must be under the bound."""
    taken = sorted(_time_tool(studio, "style", "astronaut", {"preset": each.id, "size": 1024}) for each in STYLES)
    yield make_row("tenth_style_seconds", round(taken[FAST_STYLE_COUNT - 1], 2), "s", MAX_STYLE_SECONDS)


def _time_strength_change(studio: RealStudio) -> float:
    """Milliseconds from the order to a draft of another strength of a style that is kept."""
    taken = []
    for strength in (100, 80, 60, 40, 20, 50, 70):
        since = time.perf_counter()
        studio.make("style", photo=studio.photos["astronaut"], preset="oil", strength=strength, seed=1, draft=True)
        taken.append(1000 * (time.perf_counter() - since))
    return statistics.median(taken[1:])
