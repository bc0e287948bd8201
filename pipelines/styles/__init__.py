"""The twelve embedded styles. A new one is a function of picture and `StyleSettings`, and one row here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.styles import film, line_art, mosaic, painting, printmaking
from pipelines.styles.face_lock import face_mask, lock_faces
from pipelines.styles.primitives import StyleSettings

__all__ = ["STYLES", "Style", "StyleSettings", "apply_style"]


@dataclass(frozen=True)
class Style:
    """One style. `draw` takes and returns H x W x 3 of one size. `photo_colours`: the photo's colours stay.

    For face lock, `face_brush` scales the brush on faces (1: no change), and `lock_weight` (0 to 1) is how much of the
    photo's own detail a face gets afterwards. `hard_mask`: a soft mask would cut the pieces of this style.
    """

    id: str
    title: str
    draw: Callable[[Image, StyleSettings], Image]
    photo_colours: bool = False
    lock_weight: float = 0.8
    face_brush: float = 1.0
    hard_mask: bool = False


STYLES: tuple[Style, ...] = (
    Style("oil", "Oil", painting.draw_oil, photo_colours=True),
    Style("watercolour", "Watercolour", painting.draw_watercolour, photo_colours=True),
    Style("ink", "Ink", line_art.draw_ink, lock_weight=0.5, face_brush=0.55),
    Style("pencil", "Pencil", line_art.draw_pencil, lock_weight=0.7, face_brush=0.7),
    Style("charcoal", "Charcoal", line_art.draw_charcoal, lock_weight=0.9, face_brush=0.6),
    Style("halftone", "Halftone", printmaking.draw_halftone, photo_colours=True, lock_weight=0.65, face_brush=0.6),
    Style("pop-art", "Pop Art", printmaking.draw_pop_art, lock_weight=0.75, face_brush=0.6),
    Style("riso", "Riso", printmaking.draw_riso, lock_weight=0.8, face_brush=0.7),
    Style("mosaic", "Mosaic", mosaic.draw_mosaic, photo_colours=True, lock_weight=0.6, face_brush=0.45, hard_mask=True),
    Style("pixel", "Pixel", mosaic.draw_pixel_art, photo_colours=True, lock_weight=0.4, face_brush=0.4, hard_mask=True),
    Style("film", "Film", film.draw_film, photo_colours=True),
    Style("noir", "Noir", film.draw_noir),
)


def apply_style(image: Image, row: Style, settings: StyleSettings, faces: Sequence[Face] = ()) -> Image:
    """Draw `image` (H x W x 3) in a style. `faces`, in its pixels, are drawn finer and keep their features."""
    styled = row.draw(image, settings)
    if not faces:
        return styled
    if row.face_brush < 1:
        detail, brush_ratio = max(settings.detail, 0.7), settings.brush_ratio * row.face_brush
        fine = row.draw(image, replace(settings, detail=detail, brush_ratio=brush_ratio))
        mask = face_mask(faces, image.shape, hard=row.hard_mask)[..., None]
        styled = np.asarray(styled + mask * (fine.astype(np.float32) - styled) + 0.5, np.uint8)
    return lock_faces(image, styled, faces, row.lock_weight, photo_colours=row.photo_colours)
