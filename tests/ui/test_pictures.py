"""Pictures reach the page as they are, and show what a brush is for."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from gradio.components.gallery import GalleryImage
from gradio.data_classes import ImageData

from pipelines.core.errors import BadInput
from pipelines.runtime.progress import encode_preview
from tests.support.examples import load_example
from ui.components import pictures
from ui.tool_tab import mask_editor, multi_upload


def test_what_is_painted_on_shows_what_is_dropped() -> None:
    photo = load_example("coffee")
    alpha = np.zeros(photo.shape[:2], np.float32)
    alpha[:, :300] = 1
    ground = mask_editor.render_canvas(photo, alpha)
    np.testing.assert_array_equal(ground[:, :298], photo[:, :298])
    assert np.ptp(ground[:, 302:].astype(int), axis=2).max() <= 1


def test_what_is_painted_already_comes_in_the_brushs_colour() -> None:
    mask = np.zeros((1200, 2400, 3), np.uint8)
    mask[:, :1200] = 255
    data = mask_editor.encode_painted(mask)
    with PIL.Image.open(io.BytesIO(base64.b64decode(data.removeprefix("data:image/png;base64,")))) as painted:
        assert painted.size == (1024, 512)
        assert painted.getpixel((100, 100)) == (0, 150, 130, 255)
        assert painted.convert("RGBA").getchannel("A").getpixel((1000, 100)) == 0


def test_a_file_is_served_byte_for_byte_under_its_visible_name(tmp_path: Path) -> None:
    stored = tmp_path / "file-0123.png"
    stored.write_bytes(b"bytes of a picture")
    path = Path(pictures.publish_file(pictures.NamedFile(stored, "headshot-park-1.png"), str(tmp_path / "cache")))
    assert path.name == "headshot-park-1.png"
    assert path.read_bytes() == stored.read_bytes()
    assert pictures.publish_file(pictures.NamedFile(stored, path.name), str(tmp_path / "cache")) == str(path)
    assert path.samefile(stored), "a second name, no second copy"
    assert [row.name for row in path.parent.iterdir()] == [path.name]


def test_an_upload_is_gone_once_it_was_read(tmp_path: Path) -> None:
    sent = tmp_path / "its own folder" / "photo.jpg"
    sent.parent.mkdir()
    sent.write_bytes(b"with GPS inside")
    assert pictures.read_upload(str(sent)) == b"with GPS inside"
    assert not sent.parent.exists()
    with pytest.raises(BadInput, match="no longer here"):
        pictures.read_upload(str(sent))


def test_several_pictures_come_back_in_order_and_uploads_are_told_from_earlier_ones() -> None:
    photos = pictures.PhotosUpload(render=False)
    tiles = [pictures.PictureTile(b"jpeg", "file-1"), pictures.PictureTile(b"jpeg", "file-2")]
    data: Any = photos.postprocess(tiles)  # pyrefly: ignore[bad-argument-type]
    data.root.insert(1, GalleryImage(image=ImageData(path="/tmp/new.png", orig_name="new.png")))
    sent = [("", "file-1"), ("/tmp/new.png", ""), ("", "file-2")]
    assert photos.preprocess(data) == sent
    assert photos.preprocess(None) == []


def test_an_upload_that_is_sent_twice_is_taken_once(tmp_path: Path) -> None:
    file = tmp_path / "its own folder" / "new.png"
    takes: list[bytes] = []

    def take(data: bytes, owner: str, name: str) -> tuple[str, tuple[str, ...]]:
        takes.append(data)
        return f"file-{len(takes)}", ()

    async def send() -> None:
        uploads = multi_upload.UploadDeduplicator(take)
        file.parent.mkdir()
        file.write_bytes(b"first")
        both = await asyncio.gather(uploads.ingest_once(str(file), "me"), uploads.ingest_once(str(file), "me"))
        assert both == [("file-1", ()), ("file-1", ())]
        assert await uploads.ingest_once(str(file), "me") == ("file-1", ())  # its file is gone already
        with pytest.raises(BadInput):
            await uploads.ingest_once(str(file), "somebody else")
        file.parent.mkdir()
        file.write_bytes(b"second")  # the same file, chosen once more
        assert (await uploads.ingest_once(str(file), "me"))[0] == "file-2"

    asyncio.run(send())
    assert takes == [b"first", b"second"]


def test_before_lies_where_the_result_shows_the_photo() -> None:
    photo = load_example("astronaut")
    receipt = {"placement": {"box": [-100.0, 50.0, 924.0, 1074.0], "scale": 2.0}}
    laid = pictures.render_before(photo, receipt, (800, 1000))
    shown = np.asarray(PIL.Image.open(io.BytesIO(laid)))
    assert shown.shape == (1000, 800, 3)
    enlarged = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    assert np.abs(shown[60:, 10:790].astype(int) - enlarged[10:950, 110:890]).mean() < 4
    assert np.abs(shown[:40].astype(int) - 128).mean() < 3


def test_before_lies_where_each_crop_shows_its_window_of_the_photo() -> None:
    photo = load_example("astronaut")
    whole, beside = {"box": [0.25, 0.5, 0.75, 1.0], "at": [0, 0, 1, 1]}, {"box": [0, 0, 1, 1], "at": [0.5, 0, 1, 1]}
    for number, size, part, columns in ((0, (512, 512), photo[256:, 128:384], 0), (1, (1024, 512), photo, 512)):
        shown = PIL.Image.open(io.BytesIO(pictures.render_before(photo, {"crops": [whole, beside]}, size, number)))
        expected = cv2.resize(part, (size[0] - columns, size[1]), interpolation=cv2.INTER_LINEAR)
        assert np.abs(np.asarray(shown)[:, columns:].astype(int) - expected)[6:-6, 6:-6].mean() < 4


@pytest.mark.parametrize("size", [(512, 512), (300, 300), (640, 512)])
def test_where_nothing_was_placed_before_is_the_whole_photo_as_large_as_fits(size: tuple[int, int]) -> None:
    photo = load_example("astronaut")
    shown = np.asarray(PIL.Image.open(io.BytesIO(pictures.render_before(photo, {"placement": {"box": None}}, size))))
    left = (size[0] - size[1]) // 2
    scaled = cv2.resize(photo, (size[1], size[1]), interpolation=cv2.INTER_AREA)
    assert np.abs(shown[:, left : left + size[1]].astype(int) - scaled).mean() < 4
    assert np.abs(shown[:, : max(left - 8, 0)].astype(int) - 128).sum() < 3 * max(shown[:, : max(left - 8, 0)].size, 1)


def test_no_component_writes_beside_its_source() -> None:
    assert not list(Path(pictures.__file__).parent.glob("*.pyi"))


def test_a_transparent_draft_keeps_its_alpha_and_an_opaque_one_is_a_jpeg() -> None:
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, 32:] = (200, 40, 30, 255)
    url = pictures.encode_data_url(encode_preview(picture))
    head, _, body = url.partition(",")
    assert head == "data:image/webp;base64"
    shown = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(body))))
    assert (shown[:, :32, 3] == 0).all()
    assert (shown[:, 32:, 3] == 255).all()
    assert np.abs(shown[:, 36:, :3].astype(int) - (200, 40, 30)).mean() < 8
    assert pictures.encode_data_url(encode_preview(picture[..., :3].copy())).startswith("data:image/jpeg;base64,")
