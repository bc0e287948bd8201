from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from pipelines.parts.write import encode, read_receipt, xmp
from tests.watching import noisy

RECEIPT = {"tool": "headshot", "seed": 7, "params": {"background": 'Tōkyō <b> & "night"', "x": None}}


@pytest.mark.parametrize(("format", "quality"), [("png", 95), ("webp", 100)])
@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_files_hold_the_same_pixels(format: str, quality: int, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 47, channels), np.uint8)
    data = encode(image, format, xmp(RECEIPT, generative=False, subject=True), quality)  # pyright: ignore[reportArgumentType]
    with PIL.Image.open(io.BytesIO(data)) as picture:
        assert np.array_equal(np.asarray(picture), image)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_the_receipt_travels_inside_the_file(format: str) -> None:
    data = encode(noisy(40, 40), format, xmp(RECEIPT, generative=False, subject=True))  # pyright: ignore[reportArgumentType]
    assert read_receipt(data) == RECEIPT


def test_a_picture_of_others_has_no_receipt() -> None:
    out = io.BytesIO()
    PIL.Image.fromarray(noisy(8, 8)).save(out, "PNG")
    assert read_receipt(out.getvalue()) is None


@pytest.mark.parametrize(
    ("generative", "subject", "kind"),
    [
        (False, True, "compositeCapture"),
        (True, True, "compositeWithTrainedAlgorithmicMedia"),
        (True, False, "/trainedAlgorithmicMedia"),
    ],
)
def test_only_a_drawing_model_makes_trained_media(generative: bool, subject: bool, kind: str) -> None:
    assert kind in xmp({}, generative=generative, subject=subject).decode()


def test_jpeg_lays_transparency_on_white() -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    with PIL.Image.open(io.BytesIO(encode(clear, "jpeg", b""))) as picture:
        assert np.asarray(picture).min() > 250
