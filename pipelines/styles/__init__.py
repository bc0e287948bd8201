"""The twelve embedded styles, an explicit tuple: a new one is a function of picture and `Hand`, and one row here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from pipelines.core.geometry import Face, Image
from pipelines.styles import film, line_art, mosaic, painting, printmaking
from pipelines.styles.face_lock import face_mask, locked
from pipelines.styles.primitives import Hand

Draw: TypeAlias = Callable[[Image, Hand], Image]

__all__ = ["STYLES", "Draw", "Hand", "Style", "drawn", "style"]


@dataclass(frozen=True)
class Style:
    """`draw` takes and gives H x W x 3 of one size. `natural`: the photo's own colours are meant to stay.

    Under face lock `finer` is the brush for faces, as a factor (1: the same), and `lock` how much of the photo's own
    drawing a face takes after that; `pieces`: the style is made of whole pieces, which a soft mask would cut.
    """

    id: str
    title: str
    draw: Draw
    natural: bool = False
    lock: float = 0.8
    finer: float = 1.0
    pieces: bool = False


STYLES: tuple[Style, ...] = (
    Style("oil", "Oil", painting.oil, natural=True),
    Style("watercolour", "Watercolour", painting.watercolour, natural=True),
    Style("ink", "Ink", line_art.ink_pen, lock=0.5, finer=0.55),
    Style("pencil", "Pencil", line_art.pencil, lock=0.7, finer=0.7),
    Style("charcoal", "Charcoal", line_art.charcoal, lock=0.9, finer=0.6),
    Style("halftone", "Halftone", printmaking.halftone, natural=True, lock=0.65, finer=0.6),
    Style("pop-art", "Pop Art", printmaking.pop_art, lock=0.75, finer=0.6),
    Style("riso", "Riso", printmaking.riso, lock=0.8, finer=0.7),
    Style("mosaic", "Mosaic", mosaic.mosaic, natural=True, lock=0.6, finer=0.45, pieces=True),
    Style("pixel", "Pixel", mosaic.pixel, natural=True, lock=0.4, finer=0.4, pieces=True),
    Style("film", "Film", film.film, natural=True),
    Style("noir", "Noir", film.noir),
)


def drawn(image: Image, row: Style, hand: Hand, faces: Sequence[Face] = ()) -> Image:
    """`image` (H x W x 3) in the style; `faces` (in pixels of `image`) are drawn finer and keep their features."""
    styled = row.draw(image, hand)
    if not faces:
        return styled
    if row.finer < 1:
        fine = row.draw(image, replace(hand, detail=max(hand.detail, 0.7), brush=hand.brush * row.finer))
        mask = face_mask(faces, image.shape, hard=row.pieces)[..., None]
        styled = np.asarray(styled + mask * (fine.astype(np.float32) - styled) + 0.5, np.uint8)
    return locked(image, styled, faces, row.lock, natural=row.natural)


def style(style_id: str) -> Style:
    """The row of `STYLES`."""
    return next(row for row in STYLES if row.id == style_id)
