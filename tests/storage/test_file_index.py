from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.codecs.encode import STILL_FORMATS, encode_image
from pipelines.core.errors import NotFound, StudioError
from pipelines.storage.file_index import FileIndex, decode_png, pixels_sha256
from tests.support.examples import make_noise
from tests.support.file_stores import STORE_KINDS, make_store_url, open_files

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture(params=STORE_KINDS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileIndex]:
    made = open_files(tmp_path / "data", make_store_url(request.param, tmp_path))
    yield made
    made.close()


@pytest.mark.parametrize("channels", [3, 4])
def test_what_goes_in_comes_out_to_the_byte(files: FileIndex, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 30, channels), np.uint8)
    assert np.array_equal(files.open_image(files.add_image(image, "a", "upload")), image)


@pytest.mark.parametrize("format", STILL_FORMATS)
@pytest.mark.parametrize("channels", [3, 4])
def test_a_result_is_opened_in_whatever_format_it_was_written(files: FileIndex, format: Any, channels: int) -> None:
    image = np.full((24, 32, channels), 200, np.uint8)
    image[:, :16] = 40
    file_id = files.add_encoded(encode_image(image, format, b"<x/>"), image, format, "me", "result")
    opened = files.open_image(file_id)
    assert opened.shape == (24, 32, 3 if format == "jpeg" else channels)
    if format != "jpeg":
        assert np.abs(opened.astype(int) - image).mean() < 4


def test_a_result_is_known_by_its_pixels_and_an_upload_is_none(files: FileIndex) -> None:
    image, other = make_noise(20, 20), make_noise(20, 20, seed=1)
    files.add_encoded(encode_image(image, "jpeg", b"<x/>"), image, "jpeg", "me", "result")
    files.add_image(other, "me", "upload")
    assert files.is_result(pixels_sha256(image), "me")
    assert not files.is_result(pixels_sha256(image), "you")
    assert not files.is_result(pixels_sha256(other), "me")


def test_a_damaged_avif_is_no_longer_there() -> None:
    whole = np.frombuffer(encode_image(make_noise(24, 32), "avif", b"<x/>"), np.uint8)
    for damaged in (whole[:300], whole[:-400], whole[:16]):
        with pytest.raises(NotFound):
            decode_png(damaged)


def test_same_pixels_same_id_and_each_owner_sees_only_their_own(files: FileIndex) -> None:
    image = make_noise(20, 20)
    file_id = files.add_image(image, "a", "upload")
    assert files.get_info(file_id, "a").sha256 == pixels_sha256(image)
    with pytest.raises(NotFound):
        files.get_info(file_id, "b")
    assert files.add_image(image, "b", "upload") == file_id
    assert files.get_info(file_id, "b").owner == "b"


def test_everybody_sees_an_example(files: FileIndex) -> None:
    file_id = files.add_image(make_noise(20, 20), "*", "example")
    assert files.get_info(file_id, "anyone").id == file_id
    assert files.is_example(file_id)
    assert not files.is_example(files.add_image(make_noise(20, 20, seed=1), "a", "upload"))


def test_a_shape_is_part_of_the_hash() -> None:
    flat = np.zeros((4, 6, 3), np.uint8)
    assert pixels_sha256(flat) != pixels_sha256(flat.reshape(6, 4, 3))


def test_the_newest_come_first_and_page_by_page(files: FileIndex) -> None:
    ids = [files.add_image(make_noise(8, 8, seed=n), "a", "upload") for n in range(3)]
    files.add_image(make_noise(8, 8, seed=9), "b", "upload")
    assert [file.id for file in files.list_files("a", 2)] == ids[:0:-1]
    assert [file.id for file in files.list_files("a", 2, after=ids[1])] == ids[:1]
    assert files.total_bytes() == sum(
        files.get_info(file_id).bytes for file_id in (*ids, files.list_files("b", 1)[0].id)
    )


def test_a_file_stays_for_whoever_else_brought_it(files: FileIndex) -> None:
    image = make_noise(8, 8)
    file_id = files.add_image(image, "a", "upload")
    files.add_image(image, "b", "upload")
    for owner, past in (("a", b"hers"), ("b", b"his")):
        files.save_provenance(file_id, owner, past)
    files.remove_owner(file_id, "a")
    assert (files.load_provenance(file_id, "a"), files.load_provenance(file_id, "b")) == (None, b"his")
    assert np.array_equal(files.open_image(file_id), image)
    files.remove_owner(file_id, "b")
    assert files.load_provenance(file_id, "b") is None
    with pytest.raises(NotFound):
        files.open_image(file_id)
    assert not list(files.root.glob("file-*"))


def test_a_name_that_a_visitor_sees_is_kept_with_the_bytes(files: FileIndex) -> None:
    file_id = files.add_encoded(b"bytes", make_noise(8, 8), "zip", "a", "result", "looks.zip")
    assert (files.get_info(file_id).download_name, files.read_bytes(file_id, "a")) == ("looks.zip", b"bytes")
    with pytest.raises(NotFound):
        files.read_bytes(file_id, "b")


def test_a_full_disk_is_said_and_leaves_no_half_file(files: FileIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.storage.local_store.os.replace", full)
    with pytest.raises(StudioError) as caught:
        files.add_image(make_noise(20, 20), "a", "upload")
    assert (caught.value.code, caught.value.status) == ("disk_full", 503)
    monkeypatch.undo()
    assert not list(files.root.glob("*file-*"))
    assert not list(files.root.glob(".part-*"))


def test_what_may_wait_for_the_disk_is_there_at_once_and_brought_to_it(files: FileIndex) -> None:
    image = make_noise(20, 20)
    file_id = files.add_encoded(b"bytes", image, "png", "a", "result", defer_sync=True)
    assert files.local_path(file_id).read_bytes() == b"bytes"
    assert (files.flush_to_disk(), files.flush_to_disk()) == (1, 0)
    gone = files.add_encoded(b"others", image, "png", "a", "result", defer_sync=True)
    files.local_path(gone).unlink()
    assert files.flush_to_disk() == 1


@pytest.mark.usefixtures("only_in_a_file")
def test_a_file_that_a_power_cut_took_is_not_there_at_the_next_start(tmp_path: Path) -> None:
    first = FileIndex(tmp_path)
    whole, half, lost = (
        first.add_encoded(name * 9, make_noise(20, 20), "png", "a", "result", defer_sync=True)
        for name in (b"w", b"h", b"l")
    )
    first.local_path(half).write_bytes(b"")
    first.local_path(lost).unlink()
    first.close()
    second = FileIndex(tmp_path)
    assert second.get_info(whole, "a").bytes == 9
    for file_id in (half, lost):
        with pytest.raises(NotFound):
            second.get_info(file_id, "a")
    second.close()
