"""Master files: each kind's profile, bits, size on paper and credentials, and colours outside sRGB from end to end."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import c2pa
import cv2
import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from pipelines.codecs.color_profiles import display_p3_profile
from pipelines.codecs.encode import C2PA_MIME_TYPES
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Float32Array, Image
from pipelines.core.job import File, Result
from pipelines.imaging.wide_gamut import to_display_p3, to_eight_bits
from pipelines.runtime.master_pictures import DEEP_CUTOUT_NOTICE, PLAIN_P3_NOTICE, WIDE_P3_NOTICE
from pipelines.tools import find_tool
from tests.support.real_studio import RealStudio

SIZE = (128, 160)


def make_vivid_photo() -> Image:
    """A photo in Display P3: every hue, from grey to what sRGB has not."""
    columns, rows = np.meshgrid(np.linspace(0, 1, SIZE[1]), np.linspace(0, 1, SIZE[0]))
    hsv = np.dstack([columns * 179, rows * 255, np.full(SIZE, 230)]).astype(np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


VIVID = make_vivid_photo()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    tools = tuple(find_tool(tool) for tool in ("cutout", "upscale"))
    with RealStudio(Path(tmp_path_factory.mktemp("studio")), tools) as made:
        yield made


@pytest.fixture(scope="module")
def photo(studio: RealStudio) -> str:
    out = io.BytesIO()
    PIL.Image.fromarray(VIVID).save(out, "PNG", icc_profile=display_p3_profile())
    file_id, notices = studio.service.uploads.ingest_picture(out.getvalue(), studio.owner, "vivid.png")
    assert notices == (), "a word about it would move the form under the visitor's hand"
    return file_id


@pytest.fixture(scope="module")
def matte(studio: RealStudio) -> str:
    grey = np.zeros(SIZE, np.float32)
    grey[16:-16, 16:-16] = 255
    blurred = np.asarray(cv2.GaussianBlur(grey, (0, 0), 3), np.uint8)
    return studio.add_image(np.repeat(blurred[..., None], 3, axis=2))


def make_cutout(studio: RealStudio, photo: str, matte: str, **values: Any) -> tuple[Result, File, bytes]:
    result = studio.make("cutout", photo=photo, matte=matte, trim=False, **values)
    (master,) = [file for file in result.files if file.role == "master"]
    return result, master, studio.files.read_bytes(master.id, studio.owner)


def read_pixels(data: bytes) -> np.ndarray:
    if data[4:12] == b"ftypavif":  # OpenCV reads none
        with PIL.Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture)
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert raw is not None
    return np.asarray(cv2.cvtColor(raw, cv2.COLOR_BGRA2RGBA if raw.shape[2] == 4 else cv2.COLOR_BGR2RGB))


def to_lab(pixels: Image) -> Float32Array:
    lab = ImageCms.profileToProfile(
        PIL.Image.fromarray(pixels), io.BytesIO(display_p3_profile()), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    planes = [np.asarray(band).astype(np.float32) for band in lab.split()]
    signed = [np.where(plane > 127, plane - 256, plane) for plane in planes[1:]]
    return np.dstack([planes[0] / 2.55, *signed])


@pytest.mark.parametrize(
    ("kind", "format", "bits"),
    [
        ("png", "png", 8),
        ("jpeg", "jpeg", 8),
        ("avif", "avif", 8),
        ("tiff", "tiff", 8),
        ("png16", "png", 16),
        ("tiff16", "tiff", 16),
    ],
)
def test_each_kind_says_profile_and_size_on_paper_and_is_signed(
    studio: RealStudio, photo: str, matte: str, kind: str, format: str, bits: int
) -> None:
    result, master, data = make_cutout(studio, photo, matte, master=kind, master_profile="p3")
    assert (master.format, master.width, master.height) == (format, SIZE[1], SIZE[0])
    assert read_pixels(data).dtype.itemsize * 8 == bits
    with PIL.Image.open(io.BytesIO(data)) as picture:
        assert picture.info["icc_profile"] == display_p3_profile()
        exif = picture.getexif()
        assert picture.info.get("dpi", (exif.get(282), exif.get(283))) == pytest.approx((300, 300), abs=0.01)
    with c2pa.Reader(C2PA_MIME_TYPES[format], io.BytesIO(data)) as reader:
        assert reader.get_validation_state() == "Valid"
    assert WIDE_P3_NOTICE in result.receipt["notices"]
    assert (DEEP_CUTOUT_NOTICE in result.receipt["notices"]) == (bits == 16)
    name = studio.files.get_info(master.id).download_name
    assert name == f"vivid_cutout-master.{ {'jpeg': 'jpg', 'tiff': 'tif'}.get(format, format) }"


def test_a_photo_in_display_p3_comes_out_as_it_went_in(studio: RealStudio, photo: str, matte: str) -> None:
    _, _, data = make_cutout(studio, photo, matte, master="png", master_profile="p3")
    inside = read_pixels(data)[24:-24, 24:-24, :3]
    difference = np.linalg.norm(to_lab(inside) - to_lab(VIVID[24:-24, 24:-24]), axis=2)
    assert difference.max() < 1
    clipped = to_eight_bits(to_display_p3(studio.files.open_image(photo)))[24:-24, 24:-24]
    assert np.linalg.norm(to_lab(clipped) - to_lab(VIVID[24:-24, 24:-24]), axis=2).mean() > 1


def test_sixteen_bits_are_in_the_edge(studio: RealStudio, photo: str, matte: str) -> None:
    _, _, data = make_cutout(studio, photo, matte, master="tiff16", master_profile="p3")
    assert len(np.unique(read_pixels(data)[..., :3])) > 256


def test_an_enlargement_has_sixteen_bits_and_the_wide_colours(studio: RealStudio, photo: str) -> None:
    result = studio.make("upscale", photo=photo, factor="2", master="png16", master_profile="p3")
    (master,) = [file for file in result.files if file.role == "master"]
    pixels = read_pixels(studio.files.read_bytes(master.id, studio.owner))
    assert (pixels.dtype, pixels.shape) == (np.uint16, (2 * SIZE[0], 2 * SIZE[1], 3))
    assert (pixels % 257 != 0).mean() > 0.9
    wanted = cv2.resize(VIVID, (2 * SIZE[1], 2 * SIZE[0]), interpolation=cv2.INTER_CUBIC)
    assert np.abs(to_eight_bits(pixels).astype(int) - wanted).mean() < 3


def test_cmyk_is_a_pdf_that_names_its_paper(studio: RealStudio, photo: str, matte: str) -> None:
    _, master, data = make_cutout(studio, photo, matte, master="cmyk")
    assert master.format == "pdf"
    assert b"/DeviceCMYK" in data
    assert b"(FOGRA39)" in data
    assert b"/OutputIntents" in data


def test_a_plain_photo_says_that_p3_has_no_more(studio: RealStudio, matte: str) -> None:
    plain = studio.add_image(np.full((*SIZE, 3), (200, 120, 80), np.uint8))
    result, _, _ = make_cutout(studio, plain, matte, master="png", master_profile="p3")
    assert PLAIN_P3_NOTICE in result.receipt["notices"]


def test_a_master_file_is_no_photo(studio: RealStudio, photo: str, matte: str) -> None:
    _, master, _ = make_cutout(studio, photo, matte, master="png", master_profile="p3")
    with pytest.raises(BadInput, match="master file"):
        studio.create_job("upscale", photo=master.id)
