"""Error of the matte against exact truth: objects with known alpha composited on backgrounds.

`matte_mae` is the mean absolute error of alpha. `edge_error_ratio` is the error within 10 pixels of the true edge over
that of the same net without any of the cut-out's work: its map, clipped as the recipe says, plainly enlarged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from pipelines.core.geometry import Alpha, Image
from pipelines.matting.cutout import cut_out_subject, rescale_net_alpha
from pipelines.models import nets
from pipelines.models.nets.u2net import U2Net
from tests.bench.rows import Row, make_row

TRUTH_FOLDER = Path(__file__).resolve().parents[2] / "data" / "truth"
EDGE_BAND_PX = 10
SCALES = (1.0, 1.25, 1.5, 1.75)
BLUR_SIGMAS_PX = (0.0, 1.5, 3.0, 5.0)


@dataclass(frozen=True)
class Composite:
    """An object on a ground: the picture (H x W x 3), the exact alpha and the exact colour under it."""

    name: str
    image: Image
    alpha: Alpha
    colour: Image


@dataclass(frozen=True)
class MatteScore:
    """Errors of one composite: of alpha everywhere, of alpha in the edge band, of the plain net there, of colour."""

    name: str
    mae: float
    edge: float
    plain: float
    colour: float


def rows() -> Iterator[Row]:
    """`matte_mae`, `edge_error_ratio` and `edge_colour_error` over all composites, with the net that ships."""
    scores = list(score_all())
    yield make_row("matte_mae", _mean_of(score.mae for score in scores), "alpha", 0.006)
    yield make_row(
        "edge_error_ratio", _mean_of(s.edge for s in scores) / _mean_of(s.plain for s in scores), "ratio", 0.8
    )
    yield make_row("edge_colour_error", _mean_of(score.colour for score in scores), "levels", 4.0)


def score_all() -> Iterator[MatteScore]:
    """The score of every composite."""
    net = nets.load(nets.U2NETP, "cpu")
    assert isinstance(net, U2Net)
    for composite in make_composites():
        yield score_composite(composite, net)
    net.close()


def make_composites(wanted: slice = slice(None)) -> Iterator[Composite]:
    """Every object once: sizes, places and grounds go round, so that the set is the same every time.

    `wanted`: those of them alone.
    """
    grounds = sorted((TRUTH_FOLDER / "grounds").glob("*.webp"))
    for index, path in list(enumerate(sorted((TRUTH_FOLDER / "objects").glob("*.webp"))))[wanted]:
        ground = make_ground(index, grounds[index % len(grounds)])
        yield composite_object(path, ground, SCALES[index % 4], index)


def score_composite(composite: Composite, net: U2Net) -> MatteScore:
    """The errors of one composite."""
    truth = composite.alpha
    cut = cut_out_subject(composite.image, net)
    band = _edge_band(truth)
    plain = rescale_net_alpha(net.predict_alpha(composite.image))
    seen = band & (truth > 0.1)
    return MatteScore(
        composite.name,
        mae=float(np.abs(cut.alpha - truth).mean()),
        edge=float(np.abs(cut.alpha - truth)[band].mean()),
        plain=float(np.abs(plain - truth)[band].mean()),
        colour=float(np.abs(cut.colour.astype(np.float32) - composite.colour)[seen].mean()),
    )


def _mean_of(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))


def _edge_band(alpha: Alpha) -> npt.NDArray[np.bool_]:
    """Pixels at most BAND from the true edge."""
    size = 2 * EDGE_BAND_PX + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    solid = (alpha > 0.5).astype(np.uint8)
    return cv2.dilate(solid, disc) != cv2.erode(solid, disc)


def make_ground(index: int, path: Path) -> Image:
    """Two of three are photographs, more or less out of focus; the third is a gradient with grain."""
    if index % 3 == 2:
        return _make_gradient(index)
    pixels = np.asarray(Pillow.open(path).convert("RGB"))
    sigma = BLUR_SIGMAS_PX[(index // 3) % len(BLUR_SIGMAS_PX)]
    return pixels if sigma == 0 else np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def _make_gradient(index: int, side: int = 640) -> Image:
    random = np.random.default_rng(index)
    top, bottom = random.uniform(30, 225, (2, 3))
    share = np.linspace(0, 1, side)[:, None, None]
    pixels = top * (1 - share) + bottom * share + random.normal(0, 3, (side, side, 1))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def composite_object(path: Path, ground: Image, scale: float, index: int) -> Composite:
    """The object `scale` times larger, somewhere on the ground, with a grain over all that no photo is without."""
    rgba = np.asarray(Pillow.open(path).convert("RGBA"), np.float32) / 255
    rgba[..., :3] *= rgba[..., 3:]
    side = round(rgba.shape[0] * scale)
    rgba = np.clip(cv2.resize(rgba, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)
    random = np.random.default_rng(1000 + index)
    left, top = random.integers(0, ground.shape[0] - side + 1, 2)
    layer = np.zeros((*ground.shape[:2], 4), np.float32)
    layer[top : top + side, left : left + side] = rgba
    alpha = layer[..., 3]
    mixed = layer[..., :3] * 255 + ground * (1 - alpha[..., None])
    mixed += random.normal(0, 1.5, mixed.shape)
    colour = layer[..., :3] / np.maximum(alpha, 1e-3)[..., None] * 255
    return Composite(
        path.stem, np.clip(mixed, 0, 255).astype(np.uint8), alpha, np.clip(colour, 0, 255).astype(np.uint8)
    )
