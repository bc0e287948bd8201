"""Tests of the watermark: what it survives, how little it changes, and where it is never embedded."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from pipelines.core.geometry import Image
from pipelines.provenance.watermark import KNOWN_BIT_COUNT, MAX_CHANGE_LEVELS, detect_watermark, embed_watermark
from pipelines.settings import Settings
from tests.provenance.conftest import SignedStudio
from tests.support.examples import EXAMPLES, make_noise

ROOT = Path(__file__).parents[2]
ID = 0xB0C5
# Photographs and what is made of them: a flat drawing has too little in it for JPEG at 50.
FLAT = ("character", "batch", "api")
CARDS = (path for path in sorted(ROOT.glob("assets/tiles/*/card.webp")) if path.parent.name not in FLAT)
PICTURES = [*sorted(EXAMPLES.glob("*.jpg")), *CARDS]


@cache
def photo(path: Path) -> Image:
    with PIL.Image.open(path) as opened:
        picture = opened.convert("RGB")
        picture.thumbnail((1024, 1024))
        return np.asarray(picture)


@cache
def marked(path: Path) -> Image:
    return embed_watermark(photo(path), ID)


def reencode_image(image: Image, format: str, quality: int) -> Image:
    out = io.BytesIO()
    PIL.Image.fromarray(image).save(out, format, quality=quality)
    with PIL.Image.open(out) as opened:
        return np.asarray(opened.convert("RGB"))


def resize_by(image: Image, by: float) -> Image:
    how = cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=by, fy=by, interpolation=how), np.uint8)


WAYS: dict[str, Callable[[Image], Image]] = {
    "as it is": lambda image: image,
    "JPEG 70": lambda image: reencode_image(image, "JPEG", 70),
    "JPEG 50": lambda image: reencode_image(image, "JPEG", 50),
    "0.75 of its size": lambda image: resize_by(image, 0.75),
    "1.4 of its size": lambda image: resize_by(image, 1.4),
    "0.75 of its size, then JPEG 70": lambda image: reencode_image(resize_by(image, 0.75), "JPEG", 70),
    "half its size": lambda image: resize_by(image, 0.5),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_it_is_found_again(way: Callable[[Image], Image]) -> None:
    for path in PICTURES:
        mark = detect_watermark(way(marked(path)))
        assert mark is not None, path.name
        assert mark.belongs_to(ID), path.name


def test_a_crop_of_a_tenth_loses_it() -> None:
    """Said on the page and in the receipt: whoever relies on it has to know."""
    assert not [path for path in PICTURES if detect_watermark(marked(path)[60:-60, 60:-60]) is not None]


def test_no_picture_without_one_has_one() -> None:
    for path in (*PICTURES, *ROOT.glob("assets/tiles/*/*.webp")):
        assert detect_watermark(photo(path)) is None, path.name
    assert detect_watermark(make_noise(300, 300)) is None
    assert detect_watermark(np.zeros((64, 64, 3), np.uint8)) is None


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_it_changes_little(path: Path) -> None:
    image = photo(path)
    change = marked(path).astype(float) - image
    assert np.abs(change).max() <= MAX_CHANGE_LEVELS + 1
    assert 10 * np.log10(255**2 / np.mean(change**2)) > 39
    assert abs(change.mean()) < 0.2


def test_what_is_see_through_stays_so() -> None:
    image = np.dstack([photo(PICTURES[0]), np.full(photo(PICTURES[0]).shape[:2], 9, np.uint8)])
    out = embed_watermark(image, ID)
    assert (out[..., 3] == 9).all()
    assert detect_watermark(out) is not None


@pytest.mark.parametrize("id", [0, 1, 0x8000, 0xFFFF])
def test_every_id_comes_back(id: int) -> None:
    mark = detect_watermark(embed_watermark(photo(PICTURES[0]), id))
    assert mark is not None
    assert (mark.id, round(mark.match_ratio * KNOWN_BIT_COUNT)) == (id, KNOWN_BIT_COUNT)


# ---------------------------------------------------------------- in the studio


def run_tool(studio: SignedStudio, tool: str, **values: Any) -> tuple[dict[str, Any], bytes]:
    service = studio.service
    service.settings = service.settings.model_copy(update={"watermark": True})
    try:
        result = studio.make(tool, size=512, **values)
    finally:
        service.settings = service.settings.model_copy(update={"watermark": False})
    return result.receipt, studio.read_files(result)[0]


def test_a_relit_portrait_carries_it_and_verify_says_so(studio: SignedStudio) -> None:
    receipt, data = run_tool(studio, "headshot", photo=studio.photos["hopper"], light="relit")
    assert "invisible mark" in " ".join(receipt["notices"])
    assert studio.service.uploads.verify_picture(data).watermark == "ours"
    assert studio.service.uploads.verify_picture(data).status == "ours"
    with PIL.Image.open(io.BytesIO(data)) as opened:
        bare = reencode_image(np.asarray(opened.convert("RGB")), "JPEG", 80)
    out = io.BytesIO()
    PIL.Image.fromarray(bare).save(out, "JPEG", quality=80)
    assert studio.service.uploads.verify_picture(out.getvalue()).status == "none"
    assert studio.service.uploads.verify_picture(out.getvalue()).watermark == "ours"


def test_exact_never_carries_it(studio: SignedStudio) -> None:
    receipt, data = run_tool(studio, "headshot", photo=studio.photos["hopper"])
    assert receipt["checks"]["core_changed_pixels"] == 0
    assert "watermark" not in receipt
    assert studio.service.uploads.verify_picture(data).watermark == ""


def test_it_is_off_unless_the_owner_wants_it(studio: SignedStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Settings.from_args([]).watermark
    assert Settings.from_args(["--watermark"]).watermark
    monkeypatch.setenv("DESIGNERBOX_WATERMARK", "1")
    assert Settings.from_args([]).watermark
    result = studio.make("headshot", photo=studio.photos["hopper"], light="relit", size=256)
    assert studio.service.uploads.verify_picture(studio.read_files(result)[0]).watermark == ""
