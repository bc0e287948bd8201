"""Tests of container formats: merged layers equal the flat picture, and other programs can read the files."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
import zipfile

import cv2
import numpy as np
import PIL.Image
import pytest

from pipelines.codecs import containers
from pipelines.codecs.color_profiles import srgb_profile
from pipelines.codecs.containers import (
    encode_animation,
    encode_gif,
    encode_layer_files,
    encode_layers,
    encode_pdf,
    encode_video,
    merge_layers,
)
from pipelines.codecs.encode import encode_png
from pipelines.compositing.compose import composite_subject
from pipelines.compositing.shadows import Shadow
from pipelines.core.geometry import Image, PlacedSubject
from pipelines.core.params import Subject
from pipelines.framing.placement import frame_photo
from pipelines.framing.resample import place_subject
from tests.support.examples import make_blob, make_cutout, make_noise

SIZE = (160, 120)


def make_subject(level: float = 120) -> PlacedSubject:
    alpha = make_blob(SIZE[1], SIZE[0], (80, 60), (40, 45))
    photo = make_noise(SIZE[1], SIZE[0], level, 20)
    return place_subject(photo, make_cutout(photo, alpha), frame_photo(alpha, SIZE, Subject(photo="x")))


def unzip_files(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def decode_pixels(data: bytes) -> Image:
    with PIL.Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


def composite_layers(names: list[str], files: dict[str, bytes]) -> Image:
    """What any editor shows: Pillow's "over", one layer after the other."""
    with PIL.Image.open(io.BytesIO(files[names[0]])) as ground:
        out = ground.convert("RGBA")
    for name in names[1:]:
        with PIL.Image.open(io.BytesIO(files[name])) as layer:
            out = PIL.Image.alpha_composite(out, layer.convert("RGBA"))
    return np.asarray(out.convert("RGB"))


@pytest.mark.parametrize("level", [20, 128, 240])
@pytest.mark.parametrize("ground", [10, 128, 250])
@pytest.mark.parametrize("shadow", [None, Shadow()], ids=["bare", "shadow"])
@pytest.mark.parametrize("relit", [False, True], ids=["exact", "relit"])
def test_layers_laid_on_each_other_are_the_picture(level: int, ground: int, shadow: Shadow | None, relit: bool) -> None:
    subject, plate = make_subject(level), make_noise(SIZE[1], SIZE[0], ground, 3, seed=1)
    flat = composite_subject(subject, plate, seed=1, key_side="left", shadow=shadow, relit=relit)
    ora, png = encode_layers(flat, subject, plate, seed=1, key_side="left", shadow=shadow, relit=relit)
    for data, names in (
        (png.data, sorted(unzip_files(png.data))),
        (ora.data, [name for name in unzip_files(ora.data) if name.startswith("data/")]),
    ):
        assert len(names) == (3 if shadow is None else 4)
        # Pillow rounds after each layer, so it may be one step further off than the sum itself.
        assert np.abs(composite_layers(names, unzip_files(data)).astype(int) - flat).max() <= 2
    images = [decode_pixels(unzip_files(png.data)[name]) for name in sorted(unzip_files(png.data))]
    assert np.abs(merge_images(images).astype(int) - flat).max() <= 1


def test_the_gate_is_shown_the_backdrop_that_the_subject_hides() -> None:
    subject, plate = make_subject(), make_noise(SIZE[1], SIZE[0], 40, 3, seed=1)
    flat = composite_subject(subject, plate, seed=1)
    for extra in encode_layers(flat, subject, plate, seed=1):
        assert [frame is flat or frame is plate for frame in extra.frames] == [True, True]
        assert extra.frames[0] is flat  # which stands for the file


def merge_images(images: list[Image]) -> Image:
    from pipelines.codecs.containers import Layer

    return merge_layers([Layer("x", image) for image in images])


def test_the_subject_layer_is_the_subject_and_the_light_layer_leaves_its_core_alone() -> None:
    subject, plate = make_subject(), make_noise(SIZE[1], SIZE[0], 40, 3, seed=1)
    flat = composite_subject(subject, plate, seed=1)
    files = unzip_files(encode_layers(flat, subject, plate, seed=1)[1].data)
    cutout, light = decode_pixels(files["02-subject.png"]), decode_pixels(files["03-light.png"])
    assert (cutout[..., :3] == subject.colour).all()
    assert np.abs(cutout[..., 3] / 255 - subject.alpha).max() <= 0.5 / 255 + 1e-6
    assert (light[50:70, 70:90, 3] == 0).all()


def test_the_backdrop_is_whole_behind_the_subject() -> None:
    subject, plate = make_subject(), make_noise(SIZE[1], SIZE[0], 200, 3, seed=1)
    files = unzip_files(encode_layers(composite_subject(subject, plate, seed=1), subject, plate, seed=1)[1].data)
    behind = decode_pixels(files["01-backdrop.png"])[50:70, 70:90, :3]
    assert np.abs(behind.astype(int) - plate[50:70, 70:90]).max() <= 30


def test_open_raster_has_what_the_format_asks() -> None:
    subject, plate = make_subject(), make_noise(SIZE[1], SIZE[0], 200, 3, seed=1)
    flat = composite_subject(subject, plate, seed=1, shadow=Shadow())
    data = encode_layers(flat, subject, plate, seed=1, shadow=Shadow())[0].data
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        first = packed.infolist()[0]
        assert (first.filename, first.compress_type, packed.read("mimetype")) == ("mimetype", 0, b"image/openraster")
    files = unzip_files(data)
    root = ElementTree.fromstring(files["stack.xml"])
    assert (root.tag, root.get("w"), root.get("h")) == ("image", "160", "120")
    layers = root.findall("./stack/layer")
    assert [layer.get("name") for layer in layers] == ["light", "subject", "shadow", "backdrop"]
    assert all(decode_pixels(files[str(layer.get("src"))]).shape == (120, 160, 4) for layer in layers)
    assert (decode_pixels(files["mergedimage.png"]) == flat).all()
    assert max(decode_pixels(files["Thumbnails/thumbnail.png"]).shape[:2]) <= 256


def test_both_files_hold_the_same_pngs_each_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, plate = make_subject(), make_noise(SIZE[1], SIZE[0], 200, 3, seed=1)
    flat = composite_subject(subject, plate, seed=1)
    encoded: list[bytes] = []

    def encode_and_keep(image: Image) -> bytes:
        encoded.append(encode_png(image))
        return encoded[-1]

    monkeypatch.setattr(containers, "encode_png", encode_and_keep)
    ora, png = encode_layers(flat, subject, plate, seed=1)
    layers = unzip_files(png.data)
    assert layers == {
        name.removeprefix("data/"): data for name, data in unzip_files(ora.data).items() if name.startswith("data/")
    }
    assert len(encoded) == len(layers) + 2, "and the merged picture and its thumbnail"


def test_a_large_picture_has_a_small_thumbnail_of_its_shape() -> None:
    ora, _ = encode_layer_files((), make_noise(600, 900), ())
    thumbnail = decode_pixels(unzip_files(ora.data)["Thumbnails/thumbnail.png"])
    assert thumbnail.shape == (171, 256, 3)


# ---------------------------------------------------------------- what moves, and pages


def moving_frames(count: int = 6) -> list[Image]:
    frames = []
    for n in range(count):
        frame = np.full((96, 128, 3), (40, 90, 160), np.uint8)
        cv2.circle(frame, (24 + 14 * n, 48), 16, (230, 120, 40), -1)
        frames.append(frame)
    return frames


def test_an_animation_is_its_frames_in_order_and_loops() -> None:
    frames = moving_frames()
    with PIL.Image.open(io.BytesIO(encode_animation(frames, 20))) as picture:
        assert picture.info["icc_profile"] == srgb_profile()
        assert (getattr(picture, "n_frames", 1), picture.info["loop"]) == (6, 0)
        for n, frame in enumerate(frames):
            picture.seek(n)
            picture.load()
            assert picture.info["duration"] == 50
            assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - frame).mean() < 3


def test_a_gif_is_its_frames_in_order_and_loops() -> None:
    frames = moving_frames()
    with PIL.Image.open(io.BytesIO(encode_gif(frames, 1.2))) as picture:
        assert (getattr(picture, "n_frames", 1), picture.info["loop"]) == (6, 0)
        for n, frame in enumerate(frames):
            picture.seek(n)
            picture.load()
            assert picture.info["duration"] == 200
            assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - frame).mean() < 6


def test_a_film_is_its_frames_in_order(tmp_path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(encode_video(moving_frames(), 24))
    assert path.read_bytes()[4:8] == b"ftyp"
    reader = cv2.VideoCapture(str(path))
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(24, abs=0.1)
    for frame in moving_frames():
        there, seen = reader.read()
        assert there
        assert np.abs(cv2.cvtColor(seen, cv2.COLOR_BGR2RGB).astype(int) - frame).mean() < 4
    assert not reader.read()[0]
    reader.release()


def test_pages_are_a_pdf_with_one_picture_each_and_the_same_each_time() -> None:
    images = [make_noise(150, 120, seed=n) for n in range(3)]
    data = encode_pdf(images, "Lookbook")
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") == 3 or data.count(b"/Type /Page ") == 3
    assert data == encode_pdf(images, "Lookbook")
