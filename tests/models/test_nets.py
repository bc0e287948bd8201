"""The embedded nets: verified files, face detection, super-resolution without seams."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from assets import fetch
from pipelines.core.errors import JobCancelled, ModelUnavailable
from pipelines.core.geometry import Colour, Image, PixelArray
from pipelines.core.models import ModelSpec
from pipelines.models import bundled_weights, nets
from pipelines.models.families.mini import model as mini
from pipelines.models.nets import control_annotators, face_mesh, matting_net, real_esrgan
from pipelines.models.nets.face_mesh import FaceMesh
from pipelines.models.nets.person_net import PersonNet
from pipelines.models.nets.real_esrgan import RealEsrgan
from pipelines.models.nets.rotated_crop import RotatedSquare, extract_crop
from pipelines.models.nets.u2net import U2Net

ASSETS = Path(__file__).resolve().parents[2] / "assets"
DRAWING = ASSETS.parent / "tests" / "data" / "truth" / "objects" / "1f427.webp"
SHIPPED = (
    nets.U2NETP,
    nets.ISNET,
    nets.FACE_MESH,
    nets.PERSON_NET,
    control_annotators.POSE_LITE,
    nets.REALESR_X4,
    nets.OPEN_NSFW,
)
ROWS = (*nets.specs, control_annotators.POSE_LITE)


def load_example(name: str) -> Image:
    return np.asarray(Pillow.open(ASSETS / "examples" / f"{name}.jpg").convert("RGB"))


def ignore_tile(index: int, total: int) -> None:
    """Ignore a tile."""


@pytest.fixture(scope="module")
def matting() -> Iterator[U2Net]:
    net = nets.load(nets.U2NETP, "cpu")
    assert isinstance(net, U2Net)
    yield net
    net.close()


@pytest.fixture(scope="module")
def mesh() -> Iterator[FaceMesh]:
    net = nets.load(nets.FACE_MESH, "cpu")
    assert isinstance(net, FaceMesh)
    yield net
    net.close()


@pytest.fixture(scope="module")
def enlarger() -> Iterator[RealEsrgan]:
    net = nets.load(nets.REALESR_X4, "cpu")
    assert isinstance(net, RealEsrgan)
    yield net
    net.close()


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.id)
def test_what_ships_is_whole_and_has_its_licence(spec: ModelSpec) -> None:
    for path in bundled_weights.verify_files(spec):
        assert (path.parent / "LICENSE").read_text().strip()


def test_rows_and_manifest_tell_the_same_checksums() -> None:
    manifest = json.loads((ASSETS / "models" / "manifest.json").read_text())
    assert {path: sha256 for spec in ROWS for path, sha256 in spec.files}.items() <= manifest.items()


def test_a_missing_file_is_a_sentence_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundled_weights, "MODELS_FOLDER", tmp_path)
    with pytest.raises(ModelUnavailable, match=r"missing.*assets/fetch\.py u2netp"):
        nets.load(nets.U2NETP, "cpu")


@pytest.mark.parametrize("spec", [nets.REALESR_X4, *mini.specs], ids=lambda spec: spec.id)
def test_of_a_missing_net_that_was_trained_here_it_says_that_the_repository_has_it(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bundled_weights, "MODELS_FOLDER", tmp_path)
    with pytest.raises(ModelUnavailable, match=r"missing.*git checkout"):
        bundled_weights.verify_files(spec)


def test_a_damaged_file_is_never_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / nets.U2NETP.files[0][0]
    damaged.parent.mkdir()
    damaged.write_bytes((bundled_weights.MODELS_FOLDER / nets.U2NETP.files[0][0]).read_bytes()[:-1] + b"?")
    monkeypatch.setattr(bundled_weights, "MODELS_FOLDER", tmp_path)
    with pytest.raises(ModelUnavailable, match="damaged") as caught:
        nets.load(nets.U2NETP, "cpu")
    assert caught.value.code == "model_unavailable"


def test_the_large_net_is_taken_only_when_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundled_weights, "MODELS_FOLDER", tmp_path)
    assert nets.best_matting_id() == "u2netp"
    large = tmp_path / nets.U2NET.files[0][0]
    large.parent.mkdir()
    large.touch()
    assert nets.best_matting_id() == "u2net"


def test_the_fetch_script_knows_every_net() -> None:
    trained_here, first_weights = {nets.REALESR_X4.id}, {"realesr-anime-x4"}
    assert set(fetch.MAKERS) == {spec.id for spec in ROWS} - trained_here | first_weights
    assert set(fetch.SHIPPED) == {spec.id for spec in SHIPPED} - trained_here


# ---------------------------------------------------------------- people


def test_a_person_is_seen_and_what_stands_around_is_not() -> None:
    net = nets.load(nets.PERSON_NET, "cpu")
    assert isinstance(net, PersonNet)
    astronaut = net.predict_map(load_example("astronaut"))
    net.close()
    assert astronaut.shape == (256, 256)
    assert astronaut.dtype == np.float32
    assert astronaut[45:85, 95:130].mean() > 0.95, "the face"
    assert astronaut[:40, 200:].max() < 0.1, "the shuttle"


# ---------------------------------------------------------------- matting


def test_runs_beside_one_another_are_no_more_than_the_cores_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    monkeypatch.setattr(matting_net, "THREAD_COUNT", 2)
    net = U2Net(nets.U2NETP)
    inside, most, whole, lock = 0, 0, net._session, threading.Lock()

    class Counted:
        def run(self, *asked: object) -> object:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            try:
                time.sleep(0.1)  # long enough for the next one to come
                return whole.run(*asked)
            finally:
                with lock:
                    inside -= 1

    monkeypatch.setattr(net, "_session", Counted())
    photos = [load_example(name) for name in ("astronaut", "chelsea", "coffee")]
    with monkeypatch.context() as context, ThreadPoolExecutor(3) as crowd:
        context.setattr(whole, "asks_anew", True)
        alphas = list(crowd.map(net.predict_alpha, photos))
    assert most == 2  # two threads each on five cores
    alone = [net.predict_alpha(photo) for photo in photos]  # recorded
    assert all(np.allclose(one, other, atol=0.01) for one, other in zip(alphas, alone, strict=True))


def test_alpha_has_the_photos_size_and_stays_between_0_and_1(matting: U2Net) -> None:
    alpha = matting.predict_alpha(load_example("coffee"))
    assert alpha.shape == (400, 600)
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert alpha[200, 280] > 0.9
    assert alpha[10, 10] < 0.1


def test_nothing_stands_out_of_an_even_picture(matting: U2Net) -> None:
    assert matting.predict_alpha(np.full((200, 300, 3), 128, np.uint8)).max() < 0.1


# ---------------------------------------------------------------- faces


@pytest.mark.parametrize(("name", "eyes"), [("astronaut", (225, 102)), ("hopper", (265, 188))])
def test_a_face_is_found_where_it_is(mesh: FaceMesh, name: str, eyes: tuple[int, int]) -> None:
    (face,) = mesh.find_faces(load_example(name))
    assert face.landmarks.shape == (468, 2)
    assert np.hypot(face.eye_midpoint[0] - eyes[0], face.eye_midpoint[1] - eyes[1]) < 0.15 * face.eye_distance
    assert face.left_eye[0] < face.right_eye[0]
    assert face.chin[1] > face.eye_midpoint[1] + face.eye_distance
    assert face.box[0] < face.landmarks[:, 0].min()
    assert face.box[2] > face.landmarks[:, 0].max()
    assert face.box[1] < face.landmarks[:, 1].min()


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_neither_a_cup_nor_a_cat_has_a_face(mesh: FaceMesh, name: str) -> None:
    assert mesh.find_faces(load_example(name)) == ()


Leaf = tuple[int, int, int, int, int]


def draw_emblem(ground: Colour, ink: Colour, oval: tuple[int, int], leaves: list[Leaf], bars: list[Leaf]) -> Image:
    """Draw three leaves over bars in an oval, as on a shoe: from one crop alone they look like eyes and a mouth."""
    emblem = np.full((320, 320, 3), ground, np.uint8)
    cv2.ellipse(emblem, (160, 160), oval, 0, 0, 360, ink, 4, cv2.LINE_AA)
    for x, y, width, height, turn in leaves:
        cv2.ellipse(emblem, (x, y), (width, height), turn, 0, 360, ink, -1, cv2.LINE_AA)
    for left, right, y, thickness, _ in bars:
        cv2.line(emblem, (left, y), (right, y), ink, thickness, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(emblem, (0, 0), 1.2), np.uint8)


EMBLEMS = {
    "light": draw_emblem(
        (193, 151, 139), (6, 8, 14), (105, 100),
        [(134, 124, 13, 31, -35), (160, 118, 17, 26, 0), (185, 143, 17, 27, 35)],
        [(100, 220, 175, 6, 0), (112, 208, 185, 4, 0), (124, 196, 203, 7, 0)],
    ),
    "green": draw_emblem(
        (135, 164, 101), (57, 7, 63), (90, 79),
        [(123, 132, 8, 27, -35), (160, 121, 9, 28, 0), (183, 124, 14, 22, 35)],
        [(100, 220, 175, 7, 0), (112, 208, 187, 5, 0), (124, 196, 197, 6, 0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EMBLEMS)
def test_an_emblem_that_one_crop_shows_as_a_face_is_none(
    mesh: FaceMesh, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emblem = EMBLEMS[name]
    assert mesh.find_faces(emblem) == ()
    monkeypatch.setattr(face_mesh, "MIN_STEADY_SCORE", 0.0)
    another = emblem.copy()
    another[0, 0] = 0  # what is found in a picture is remembered
    assert len(mesh.find_faces(another)) == 1, "or the second look has nothing to say here"


@pytest.mark.parametrize("centre", [(-900.0, 50.0), (900.0, 50.0), (50.0, -900.0), (50.0, 900.0)])
def test_a_crop_beside_the_photo_is_black(centre: tuple[float, float]) -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    assert extract_crop(white, RotatedSquare(*centre, 600, 0.2), 96).max() == 0


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_a_face_that_is_small_blurred_or_dark_is_still_one(mesh: FaceMesh, name: str) -> None:
    photo = load_example(name)
    small = cv2.resize(photo, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    for worse in (small, cv2.GaussianBlur(photo, (0, 0), 3), 255 * (photo / 255) ** 2.2, photo[:, ::-1]):
        assert len(mesh.find_faces(np.ascontiguousarray(worse, np.uint8))) == 1


def test_small_faces_of_a_large_photo_are_found_largest_first(mesh: FaceMesh) -> None:
    photo = np.full((1600, 2400, 3), 120, np.uint8)
    photo[1000:1400, 100:500] = cv2.resize(load_example("astronaut"), (400, 400), interpolation=cv2.INTER_AREA)
    photo[100:700, 1700:2212] = load_example("hopper")[:600]
    first, second = mesh.find_faces(photo)
    assert first.eye_midpoint[0] > 1700
    assert second.eye_midpoint[1] > 1000


def test_a_face_that_fills_the_photo_is_found(mesh: FaceMesh) -> None:
    close = cv2.resize(load_example("astronaut")[60:190, 160:280], (480, 520), interpolation=cv2.INTER_CUBIC)
    (face,) = mesh.find_faces(np.asarray(close, np.uint8))
    assert face.eye_distance > 150


@pytest.mark.parametrize("turn", [-25, 20])
def test_roll_is_how_far_the_head_leans_clockwise(mesh: FaceMesh, turn: int) -> None:
    photo = load_example("astronaut")
    (level,) = mesh.find_faces(photo)
    matrix = cv2.getRotationMatrix2D((256, 256), -turn, 1)
    (leaning,) = mesh.find_faces(
        np.asarray(cv2.warpAffine(photo, matrix, (512, 512), borderValue=(120,) * 3), np.uint8)
    )
    assert leaning.roll - level.roll == pytest.approx(turn, abs=2)


# ---------------------------------------------------------------- enlarging


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarged_and_reduced_is_the_same_picture(enlarger: RealEsrgan, factor: real_esrgan.UpscaleFactor) -> None:
    small = np.ascontiguousarray(load_example("astronaut")[60:140, 170:270])
    large = enlarger.enlarge(small, factor, ignore_tile)
    assert large.shape == (80 * factor, 100 * factor, 3)
    back = cv2.resize(large, (100, 80), interpolation=cv2.INTER_AREA)
    assert np.abs(back.astype(int) - small).mean() < 4


def _psnr(image: PixelArray, truth: Image) -> float:
    return float(10 * np.log10(255**2 / np.mean((image.astype(float) - truth) ** 2)))


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("quality", [None, 80])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "1f427"])
def test_a_picture_comes_back_nearer_than_by_lanczos(
    enlarger: RealEsrgan, name: str, quality: int | None, factor: real_esrgan.UpscaleFactor
) -> None:
    """Photographs, and a drawing."""
    whole = load_example(name) if name != "1f427" else np.asarray(Pillow.open(DRAWING).convert("RGB"))
    truth = np.ascontiguousarray(whole[20:212, 28:220])
    size = (192 // factor, 192 // factor)
    small = np.asarray(cv2.resize(truth, size, interpolation=cv2.INTER_AREA), np.uint8)
    if quality is not None:
        _, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
        small = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    lanczos = np.asarray(cv2.resize(small, (192, 192), interpolation=cv2.INTER_LANCZOS4), np.uint8)
    assert _psnr(enlarger.enlarge(small, factor, ignore_tile), truth) > _psnr(lanczos, truth) + 0.3


def test_tiles_leave_no_seam(enlarger: RealEsrgan, monkeypatch: pytest.MonkeyPatch) -> None:
    small = np.ascontiguousarray(load_example("astronaut")[60:150, 170:270])
    whole = enlarger.enlarge(small, 4, ignore_tile)
    monkeypatch.setattr(real_esrgan, "TILE_PX", 48)
    assert np.abs(enlarger.enlarge(small, 4, ignore_tile).astype(int) - whole).max() <= 1


def test_a_tick_before_every_tile_can_stop_the_work(enlarger: RealEsrgan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_esrgan, "TILE_PX", 16)
    seen: list[tuple[int, int]] = []

    def tick(index: int, total: int) -> None:
        seen.append((index, total))
        if index == 3:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        enlarger.enlarge(np.zeros((32, 48, 3), np.uint8), 2, tick)
    assert seen == [(1, 6), (2, 6), (3, 6)]


def test_two_precisions_that_are_timed_give_nearly_the_same_picture(enlarger: RealEsrgan) -> None:
    tile = np.ascontiguousarray(load_example("hopper")[100:164, 100:196])
    single, seconds = enlarger.time_tile(tile, 32, 2)
    half, _ = enlarger.time_tile(tile, 16, 1)
    assert seconds > 0
    assert single.shape == (256, 384, 3)
    assert np.array_equal(single, enlarger._run_net(tile))
    assert 0 < np.abs(half.astype(int) - single).mean() < 4
