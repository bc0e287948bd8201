from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from pipelines.codecs.encode import Origin, encode, origin_of, read_receipt, source_type, xmp
from tests.support.examples import noisy

RECEIPT = {"tool": "headshot", "seed": 7, "params": {"background": 'Tōkyō <b> & "night"', "x": None}}


@pytest.mark.parametrize(("format", "quality"), [("png", 95), ("webp", 100)])
@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_files_hold_the_same_pixels(format: str, quality: int, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 47, channels), np.uint8)
    data = encode(image, format, xmp(RECEIPT, Origin(photographed=True)), quality)  # pyright: ignore[reportArgumentType]
    with PIL.Image.open(io.BytesIO(data)) as picture:
        assert np.array_equal(np.asarray(picture), image)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_the_receipt_travels_inside_the_file(format: str) -> None:
    data = encode(noisy(40, 40), format, xmp(RECEIPT, Origin(photographed=True)))  # pyright: ignore[reportArgumentType]
    assert read_receipt(data) == RECEIPT


def test_a_picture_of_others_has_no_receipt() -> None:
    out = io.BytesIO()
    PIL.Image.fromarray(noisy(8, 8)).save(out, "PNG")
    assert read_receipt(out.getvalue()) is None


@pytest.mark.parametrize(
    ("generative", "photographed", "computed", "kind"),
    [
        (False, False, False, "algorithmicMedia"),
        (False, False, True, "algorithmicMedia"),
        (False, True, False, "compositeCapture"),
        (False, True, True, "compositeSynthetic"),
        (True, False, False, "trainedAlgorithmicMedia"),
        (True, False, True, "trainedAlgorithmicMedia"),
        (True, True, False, "compositeWithTrainedAlgorithmicMedia"),
        (True, True, True, "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_a_picture_names_all_that_made_it(generative: bool, photographed: bool, computed: bool, kind: str) -> None:
    origin = Origin(generative, photographed, computed)
    assert source_type(origin).rpartition("/")[2] == kind
    assert f"/{kind}<" in xmp({}, origin).decode()
    assert source_type(origin_of(kind)) == source_type(origin)


def test_what_was_worked_on_twice_keeps_what_made_it_first() -> None:
    for first in (False, True):
        for second in (False, True):
            both = Origin(first, True) | Origin(second, computed=True)
            assert both == Origin(first or second, True, True)


def test_jpeg_lays_transparency_on_white() -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    with PIL.Image.open(io.BytesIO(encode(clear, "jpeg", b""))) as picture:
        assert np.asarray(picture).min() > 250
