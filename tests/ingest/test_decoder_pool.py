"""Tests of the decoder pool: thirty bad inputs, results of good ones, and no input stops it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pytest
from pebble import ProcessFuture, ProcessPool

from pipelines.codecs import file_signatures
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image
from pipelines.ingest import decode, decoder_pool
from pipelines.ingest.decoder_pool import DecoderPool, IngestedPicture
from pipelines.storage.file_index import encode_png
from tests.support import hostile_pictures
from tests.support.hostile_pictures import ACCEPTED, HOSTILE_PICTURES, HostilePicture, encode_picture, make_photo


@pytest.fixture(scope="module")
def ingest() -> Iterator[DecoderPool]:
    door = DecoderPool(workers=1)
    yield door
    door.close()


@pytest.fixture
def own() -> Iterator[DecoderPool]:
    door = DecoderPool(workers=1)
    yield door
    door.close()


def decode_outcome(ingest: DecoderPool, data: bytes) -> str:
    try:
        ingest.decode_picture(data)
    except BadInput as error:
        return error.code if error.message.endswith(".") else f"no sentence: {error.message}"
    return ACCEPTED


def workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]


def largest_difference(image: Image, wanted: Image) -> float:
    """Mean distance of two pictures of one shape, in levels."""
    assert image.shape == wanted.shape
    return float(np.abs(image.astype(float) - wanted).mean())


PHOTO = np.asarray(make_photo())
GOOD = encode_picture(make_photo(), "PNG")
REFUSALS = (
    "corrupt_image",
    "image_too_large",
    "invalid_request",
    "nothing_visible",
    "too_many_pixels",
    "unsupported_image",
)
LARGE = (6400, 5000)
BUSY = 50 << 20  # bytes that a decoder holds only in the middle of a large picture

# ---------------------------------------------------------------- the thirty


@pytest.mark.parametrize("row", HOSTILE_PICTURES, ids=[row.id for row in HOSTILE_PICTURES])
def test_bad_input_gets_its_code(ingest: DecoderPool, row: HostilePicture) -> None:
    assert decode_outcome(ingest, row.data()) in row.outcomes


def test_the_list_of_thirty_is_whole() -> None:
    assert {row.number for row in HOSTILE_PICTURES} == set(range(1, 31))
    assert len({row.id for row in HOSTILE_PICTURES}) == len(HOSTILE_PICTURES)


def test_bit_flips_are_of_both_kinds(ingest: DecoderPool) -> None:
    flips = [decode_outcome(ingest, row.data()) for row in HOSTILE_PICTURES if row.number == 16]
    assert ACCEPTED in flips
    assert len(set(flips)) > 1


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
def test_flipped_bits_never_get_past_the_door(ingest: DecoderPool, format: str) -> None:
    data = encode_picture(make_photo(), format)
    outcomes: set[str] = set()
    for seed in range(8):
        rng, copy = np.random.default_rng(seed), bytearray(data)
        copy[int(rng.integers(len(copy)))] ^= 1 << int(rng.integers(8))
        outcomes.add(decode_outcome(ingest, bytes(copy)))
        outcomes.add(decode_outcome(ingest, data[: int(rng.integers(len(data)))]))
    assert "corrupt_image" in outcomes
    assert outcomes <= {ACCEPTED, *REFUSALS}


# ---------------------------------------------------------------- what comes out


def test_pixels_of_a_png_stay_the_same(ingest: DecoderPool) -> None:
    image = ingest.decode_picture(GOOD).image
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, PHOTO)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_every_format_shows_the_same_picture(ingest: DecoderPool, format: str) -> None:
    assert largest_difference(ingest.decode_picture(encode_picture(make_photo(), format, quality=95)).image, PHOTO) < 6


def test_an_iphone_photo_is_read(ingest: DecoderPool) -> None:
    assert largest_difference(ingest.decode_picture(hostile_pictures.make_heic()).image, PHOTO) < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_comes_upright(ingest: DecoderPool, orientation: int) -> None:
    upright = ingest.decode_picture(
        encode_picture(make_photo(), "PNG", exif=hostile_pictures.make_exif(orientation))
    ).image
    mirrored, quarters = ((0, 0), (1, 0), (0, 2), (1, 2), (1, 1), (0, 3), (1, 3), (0, 1))[orientation - 1]
    np.testing.assert_array_equal(upright, np.rot90(PHOTO[:, ::-1] if mirrored else PHOTO, quarters))


def test_an_unknown_orientation_changes_nothing(ingest: DecoderPool) -> None:
    np.testing.assert_array_equal(
        ingest.decode_picture(encode_picture(make_photo(), "PNG", exif=hostile_pictures.make_exif(99))).image, PHOTO
    )


def test_place_and_text_are_gone(ingest: DecoderPool) -> None:
    data = hostile_pictures.make_rotated_jpeg()
    assert b"a secret" in data
    kept = encode_png(ingest.decode_picture(data).image)
    assert b"a secret" not in kept
    assert b"eXIf" not in kept


def test_what_follows_a_picture_is_not_read(ingest: DecoderPool) -> None:
    for data in (GOOD + b"<script>alert(1)</script>", hostile_pictures.make_polyglot()):
        plain = GOOD if data.startswith(GOOD) else encode_picture(make_photo(), "JPEG")
        np.testing.assert_array_equal(ingest.decode_picture(data).image, ingest.decode_picture(plain).image)


def test_a_zip_behind_a_jpeg_is_no_scan_bomb() -> None:
    assert file_signatures.count_jpeg_scans(encode_picture(make_photo(), "JPEG") + b"\xff\xda" * 1000) == 1
    assert file_signatures.count_jpeg_scans(hostile_pictures.make_scan_bomb(200)) > 200


@pytest.mark.parametrize("mode", ["L", "1", "CMYK"])
def test_other_modes_become_rgb(ingest: DecoderPool, mode: str) -> None:
    image = make_photo().convert(mode)
    data = encode_picture(image, "JPEG" if mode == "CMYK" else "PNG", **({"quality": 95} if mode == "CMYK" else {}))
    assert largest_difference(ingest.decode_picture(data).image, np.asarray(image.convert("RGB"))) < 6


def test_only_real_transparency_has_a_fourth_channel(ingest: DecoderPool) -> None:
    def shape(data: bytes) -> tuple[int, ...]:
        return ingest.decode_picture(data).image.shape

    assert shape(encode_picture(hostile_pictures.make_transparent(255), "PNG")) == (64, 96, 3)
    assert shape(encode_picture(hostile_pictures.make_transparent(254), "PNG")) == (64, 96, 4)
    assert ingest.decode_picture(hostile_pictures.make_palette_png()).image[30, 40, 3] == 0


def test_sixteen_bits_are_scaled_not_clipped(ingest: DecoderPool) -> None:
    ramp = ingest.decode_picture(hostile_pictures.make_16_bit_grey()).image
    np.testing.assert_array_equal(ramp[0, :, 0], np.linspace(0, 65535, 96).astype(np.uint16) >> 8)
    np.testing.assert_array_equal(ramp[..., 0], ramp[..., 2])


@pytest.mark.parametrize("alpha", [False, True])
def test_colours_go_through_the_profile(ingest: DecoderPool, alpha: bool) -> None:
    red = hostile_pictures.make_transparent(100).copy() if alpha else make_photo().copy()
    red.paste((255, 0, 0, 100) if alpha else (255, 0, 0), (0, 0, *red.size))
    pixel = ingest.decode_picture(
        encode_picture(red, "PNG", icc_profile=hostile_pictures.make_swapped_profile())
    ).image[5, 5]
    np.testing.assert_allclose(pixel, (0, 255, 0, 100)[: 4 if alpha else 3], atol=3)


def test_an_srgb_profile_changes_no_pixel(ingest: DecoderPool) -> None:
    np.testing.assert_array_equal(
        ingest.decode_picture(encode_picture(make_photo(), "PNG", icc_profile=hostile_pictures.SRGB_PROFILE)).image,
        PHOTO,
    )


@pytest.mark.parametrize(
    "profile", [b"\x00garbage" * 40, hostile_pictures.SRGB_PROFILE[:200]], ids=["garbage", "cut short"]
)
def test_a_garbage_profile_is_ignored(ingest: DecoderPool, profile: bytes) -> None:
    np.testing.assert_array_equal(
        ingest.decode_picture(encode_picture(make_photo(), "PNG", icc_profile=profile)).image, PHOTO
    )


@pytest.mark.parametrize("format", ["WEBP", "PNG", "AVIF"])
def test_an_animation_gives_its_first_frame_and_says_so(ingest: DecoderPool, format: str) -> None:
    got = ingest.decode_picture(hostile_pictures.make_animation(format))
    assert "first frame" in got.notices[0]
    assert largest_difference(got.image, PHOTO) < 20


def test_a_still_picture_has_no_notice(ingest: DecoderPool) -> None:
    assert ingest.decode_picture(GOOD).notices == ()


def test_a_phone_photo_of_50_megapixels_passes_the_size_check() -> None:
    for size in ((4032, 3024), (8064, 6048), (8160, 6120), (decode.MAX_SIDE_PX, 6144)):
        decode.check_size(*size)
    with pytest.raises(file_signatures.RejectedImage, match="too large"):
        decode.check_size(decode.MAX_SIDE_PX, 6145)


# ---------------------------------------------------------------- nothing kills it


def test_no_worker_before_the_first_picture_a_small_one_then_and_none_after_close(own: DecoderPool) -> None:
    before = workers()
    assert decode_outcome(own, bytes(25_000_001)) == "image_too_large"
    assert workers() == before
    own.decode_picture(GOOD)
    (worker,) = (p for p in workers() if p not in before)
    loaded = " ".join(m.path for m in worker.memory_maps())
    assert "PIL" in loaded
    assert not any(name in loaded for name in ("numpy", "torch", "cv2", "pydantic"))
    own.close()
    assert workers() == before
    assert decode_outcome(own, GOOD) == ACCEPTED


def test_a_picture_that_takes_too_long_is_refused_and_the_next_works() -> None:
    door = DecoderPool(workers=1, seconds=0.05)
    try:
        with pytest.raises(BadInput, match="too long"):
            door.decode_picture(hostile_pictures.make_png(*LARGE))
        door.seconds = 10
        assert decode_outcome(door, GOOD) == ACCEPTED
    finally:
        door.close()


def test_a_picture_that_eats_memory_is_refused_and_the_next_works() -> None:
    door = DecoderPool(workers=1, memory=200 << 20)
    try:
        assert decode_outcome(door, hostile_pictures.make_png(*LARGE)) in ("too_many_pixels", "corrupt_image")
        assert decode_outcome(door, GOOD) == ACCEPTED
    finally:
        door.close()


def decode_while_killing(own: DecoderPool, times: int) -> str:
    """What becomes of a slow picture whose decoder dies over it so many times."""
    before = {p.pid for p in workers()}
    own.decode_picture(GOOD)
    with ThreadPoolExecutor(1) as other:
        doomed = other.submit(decode_outcome, own, hostile_pictures.make_png(*LARGE))
        for _ in range(times):
            _kill_at_work(before, doomed.done)
        return doomed.result()


def _kill_at_work(before: set[int], over: Callable[[], bool]) -> None:
    """Kill the worker that is new, once it is in the middle of a large picture."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not over():
        with contextlib.suppress(psutil.Error):
            for worker in workers():
                if worker.pid not in before and worker.memory_info().rss > BUSY:
                    before.add(worker.pid)
                    return worker.kill()
        time.sleep(0.005)


def test_a_picture_that_crashes_its_decoder_costs_itself_only(own: DecoderPool) -> None:
    assert decode_while_killing(own, 2) == "corrupt_image"
    assert decode_outcome(own, GOOD) == ACCEPTED


def test_a_picture_whose_decoder_was_killed_by_something_else_is_read_by_another(own: DecoderPool) -> None:
    """As the system kills where memory gave out."""
    assert decode_while_killing(own, 1) == ACCEPTED


def test_a_worker_that_died_between_two_pictures_is_replaced(own: DecoderPool) -> None:
    before = {p.pid for p in workers()}
    own.decode_picture(GOOD)
    for worker in workers():
        if worker.pid not in before:
            worker.kill()
    assert decode_outcome(own, GOOD) == ACCEPTED


def test_a_picture_that_a_dying_pool_forgot_is_read_by_another(
    own: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker killed between two pictures may take what was just asked along, without a word."""
    schedule, forgotten = ProcessPool.schedule, []

    def forgetful(pool: ProcessPool, *given: Any, **named: Any) -> Any:
        if not forgotten:
            forgotten.append(pool)
            pool.stop()
            return ProcessFuture()
        return schedule(pool, *given, **named)

    monkeypatch.setattr(ProcessPool, "schedule", forgetful)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(decode_outcome, own, GOOD).result(30) == ACCEPTED


def test_a_worker_that_never_answers_is_given_up(own: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule, silent = ProcessPool.schedule, []

    def mute(pool: ProcessPool, *given: Any, **named: Any) -> Any:
        if silent:
            return schedule(pool, *given, **named)
        silent.append(pool)
        own.seconds = 30
        return ProcessFuture()

    monkeypatch.setattr(ProcessPool, "schedule", mute)
    monkeypatch.setattr("pipelines.ingest.decoder_pool.WORKER_START_SECONDS", 0.0)
    own.seconds = 0.5
    assert decode_outcome(own, GOOD) == ACCEPTED
    assert not silent[0].active


def test_one_worker_s_death_does_not_touch_the_picture_beside_it() -> None:
    two = DecoderPool(workers=2)
    try:
        with ThreadPoolExecutor(2) as pool:
            slow = pool.submit(decode_outcome, two, hostile_pictures.make_png(*LARGE))
            os.kill(two._run_task(os.getpid), signal.SIGKILL)
            assert pool.submit(decode_outcome, two, GOOD).result(30) == ACCEPTED
            assert slow.result(30) == ACCEPTED
    finally:
        two.close()


def test_many_at_once_each_get_their_own(ingest: DecoderPool) -> None:
    sizes = [(20 + n, 40) for n in range(12)]

    def read(size: tuple[int, int]) -> IngestedPicture:
        return ingest.decode_picture(encode_picture(make_photo().resize(size), "PNG"))

    with ThreadPoolExecutor(4) as pool:
        assert [got.image.shape[1::-1] for got in pool.map(read, sizes)] == sizes


def test_the_main_module_is_back_after_a_start(ingest: DecoderPool) -> None:
    main, argv = sys.modules["__main__"], sys.argv
    ingest.decode_picture(GOOD)
    assert sys.modules["__main__"] is main
    assert sys.argv is argv


def test_a_busy_machine_gets_more_time_and_never_more_than_four_times_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    factors = []
    for load in (0.3, 2.0, 5.0, 90.0):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        factors.append(decoder_pool._measure_busy_factor())
    assert factors == [1.0, 1.0, 2.5, decoder_pool.MAX_BUSY_FACTOR]
