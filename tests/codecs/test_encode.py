from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from pipelines.codecs.encode import STILL_FORMATS, PixelOrigin, build_xmp, encode_image, parse_origin, source_type_uri
from pipelines.core.errors import StudioError
from pipelines.provenance.c2pa import read_receipt
from tests.support.examples import make_noise

RECEIPT = {"tool": "headshot", "seed": 7, "params": {"background": 'Tōkyō <b> & "night"', "x": None}}


@pytest.mark.parametrize(("format", "quality"), [("png", 95), ("webp", 100)])
@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_files_hold_the_same_pixels(format: str, quality: int, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 47, channels), np.uint8)
    data = encode_image(image, format, build_xmp(RECEIPT, PixelOrigin(photographed=True)), quality)  # pyrefly: ignore[bad-argument-type]
    with PIL.Image.open(io.BytesIO(data)) as picture:
        assert np.array_equal(np.asarray(picture), image)


@pytest.mark.parametrize("format", STILL_FORMATS)
def test_the_receipt_travels_inside_the_file(format: str) -> None:
    data = encode_image(make_noise(40, 40), format, build_xmp(RECEIPT, PixelOrigin(photographed=True)))  # pyrefly: ignore[bad-argument-type]
    assert read_receipt(data) == RECEIPT


def test_a_picture_of_others_has_no_receipt() -> None:
    out = io.BytesIO()
    PIL.Image.fromarray(make_noise(8, 8)).save(out, "PNG")
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
@pytest.mark.parametrize("enhanced", [False, True])
def test_a_picture_names_all_that_made_it(
    generative: bool, photographed: bool, computed: bool, kind: str, enhanced: bool
) -> None:
    origin = PixelOrigin(generative, photographed, computed, enhanced)
    kind = "algorithmicallyEnhanced" if enhanced and not generative else kind
    assert source_type_uri(origin).rpartition("/")[2] == kind
    assert f"/{kind}<" in build_xmp({}, origin).decode()
    assert source_type_uri(parse_origin(kind)) == source_type_uri(origin)


def test_what_was_worked_on_twice_keeps_what_made_it_first() -> None:
    for first in (False, True):
        for second in (False, True):
            both = PixelOrigin(first, True) | PixelOrigin(second, computed=True)
            assert both == PixelOrigin(first or second, True, True)


def test_jpeg_lays_transparency_on_white() -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    with PIL.Image.open(io.BytesIO(encode_image(clear, "jpeg", b""))) as picture:
        assert np.asarray(picture).min() > 250


@pytest.mark.parametrize("format", STILL_FORMATS)
def test_a_file_says_its_colour_space_and_its_size_on_paper(format: str) -> None:
    image = make_noise(24, 32)
    data = encode_image(image, format, b"<x/>", 100)  # pyrefly: ignore[bad-argument-type]
    assert data == encode_image(image, format, b"<x/>", 100)  # pyrefly: ignore[bad-argument-type]
    with PIL.Image.open(io.BytesIO(data)) as picture:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        dpi = picture.info.get("dpi") or (picture.getexif()[282], picture.getexif()[283])
        shown = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"))
        assert dpi == pytest.approx((300, 300), abs=0.01)
        assert shown is not None
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(picture)).max() <= 1


def test_an_avif_keeps_opacity_exactly_and_colours_nearly() -> None:
    image = np.dstack([make_noise(64, 64), np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))])
    with PIL.Image.open(io.BytesIO(encode_image(image, "avif", b"<x/>", 100))) as picture:
        written = np.asarray(picture)
    assert np.array_equal(written[..., 3], image[..., 3])
    assert np.abs(written[..., :3].astype(int) - image[..., :3]).max() <= 2


def test_a_pillow_without_avif_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.codecs.encode.features.check", lambda name: name != "avif")
    with pytest.raises(StudioError, match="writes no AVIF"):
        encode_image(make_noise(8, 8), "avif", b"<x/>")
