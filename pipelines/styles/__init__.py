"""The twelve embedded styles, an explicit tuple: a new one is a function of picture and `Hand`, and one row here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.styles import film, line_art, mosaic, painting, printmaking
from pipelines.styles.face_lock import face_mask, lock_faces
from pipelines.styles.primitives import StyleSettings

DrawFn: TypeAlias = Callable[[Image, StyleSettings], Image]

__all__ = ["STYLES", "DrawFn", "StyleSettings", "Style", "apply_style", "get_style"]


@dataclass(frozen=True)
class Style:
    """`draw` takes and gives H x W x 3 of one size. `natural`: the photo's own colours are meant to stay.

    Under face lock `finer` is the brush for faces, as a factor (1: the same), and `lock` how much of the photo's own
    drawing a face takes after that; `pieces`: the style is made of whole pieces, which a soft mask would cut.
    """

    id: str
    title: str
    draw: DrawFn
    keeps_photo_colours: bool = False
    face_lock_weight: float = 0.8
    face_brush_ratio: float = 1.0
    has_hard_pieces: bool = False


STYLES: tuple[Style, ...] = (
    Style("oil", "Oil", painting.draw_oil, keeps_photo_colours=True),
    Style("watercolour", "Watercolour", painting.draw_watercolour, keeps_photo_colours=True),
    Style("ink", "Ink", line_art.draw_ink, face_lock_weight=0.5, face_brush_ratio=0.55),
    Style("pencil", "Pencil", line_art.draw_pencil, face_lock_weight=0.7, face_brush_ratio=0.7),
    Style("charcoal", "Charcoal", line_art.draw_charcoal, face_lock_weight=0.9, face_brush_ratio=0.6),
    Style(
        "halftone",
        "Halftone",
        printmaking.draw_halftone,
        keeps_photo_colours=True,
        face_lock_weight=0.65,
        face_brush_ratio=0.6,
    ),
    Style("pop-art", "Pop Art", printmaking.draw_pop_art, face_lock_weight=0.75, face_brush_ratio=0.6),
    Style("riso", "Riso", printmaking.draw_riso, face_lock_weight=0.8, face_brush_ratio=0.7),
    Style(
        "mosaic",
        "Mosaic",
        mosaic.draw_mosaic,
        keeps_photo_colours=True,
        face_lock_weight=0.6,
        face_brush_ratio=0.45,
        has_hard_pieces=True,
    ),
    Style(
        "pixel",
        "Pixel",
        mosaic.draw_pixel_art,
        keeps_photo_colours=True,
        face_lock_weight=0.4,
        face_brush_ratio=0.4,
        has_hard_pieces=True,
    ),
    Style("film", "Film", film.draw_film, keeps_photo_colours=True),
    Style("noir", "Noir", film.draw_noir),
)


def apply_style(image: Image, row: Style, settings: StyleSettings, faces: Sequence[Face] = ()) -> Image:
    """`image` (H x W x 3) in the style; `faces` (in pixels of `image`) are drawn finer and keep their features."""
    styled = row.draw(image, settings)
    if not faces:
        return styled
    if row.face_brush_ratio < 1:
        fine = row.draw(
            image,
            replace(
                settings, detail=max(settings.detail, 0.7), brush_ratio=settings.brush_ratio * row.face_brush_ratio
            ),
        )
        mask = face_mask(faces, image.shape, hard=row.has_hard_pieces)[..., None]
        styled = np.asarray(styled + mask * (fine.astype(np.float32) - styled) + 0.5, np.uint8)
    return lock_faces(image, styled, faces, row.face_lock_weight, keeps_photo_colours=row.keeps_photo_colours)


def get_style(style_id: str) -> Style:
    """The row of `STYLES`."""
    return next(row for row in STYLES if row.id == style_id)
