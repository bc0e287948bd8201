"""The bench of fidelity tells pictures that kept their subject from pictures that changed it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Image
from pipelines.models import nets
from pipelines.models.nets.u2net import U2Net
from tests.bench.__main__ import measure_modules
from tests.bench.pictures.fidelity import Fidelity, find_pairs, measure_fidelity
from tests.support.examples import load_example


@pytest.fixture(scope="module")
def net() -> Iterator[U2Net]:
    loaded = nets.load(nets.U2NETP, "cpu")
    assert isinstance(loaded, U2Net)
    yield loaded
    loaded.close()


def resize(image: Image, size: tuple[int, int]) -> Image:
    way = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


@pytest.fixture(scope="module")
def photo() -> Image:
    return resize(load_example("astronaut"), (384, 384))


def crop_and_enlarge(image: Image) -> Image:
    return resize(image[20:340, 40:360], (480, 480))


def blur(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def measure(photo: Image, result: Image, net: U2Net) -> Fidelity:
    found = measure_fidelity("x", photo, result, net)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def found(photo: Image, net: U2Net) -> Fidelity:
    """What was measured of another crop and size of the same pixels."""
    return measure(photo, crop_and_enlarge(photo), net)


def test_another_crop_and_size_of_the_same_pixels_changes_nothing(found: Fidelity) -> None:
    assert found.changed < 0.01
    assert found.drift_px < 0.7
    assert found.detail == pytest.approx(1, abs=0.1)
    assert found.skin_delta_e is not None
    assert found.skin_delta_e < 1


def test_each_kind_of_change_is_found_by_its_figure(photo: Image, net: U2Net, found: Fidelity) -> None:
    warmer = np.clip(photo * np.array([1.1, 1.0, 0.85]), 0, 255).astype(np.uint8)
    coloured = measure(photo, crop_and_enlarge(warmer), net)
    assert coloured.changed > 0.5
    assert coloured.skin_delta_e is not None
    assert coloured.skin_delta_e > 3
    soft = measure(photo, crop_and_enlarge(blur(photo, 2.0)), net)
    assert soft.detail < 0.6
    y, x = np.indices(photo.shape[:2], np.float32)
    bent = np.asarray(cv2.remap(photo, x + 4 * np.sin(y / 20), y + 4 * np.sin(x / 20), cv2.INTER_CUBIC), np.uint8)
    moved = measure(photo, crop_and_enlarge(bent), net)
    assert moved.drift_px > 2 * found.drift_px + 0.5
    assert moved.face_geometry_percent is not None
    assert moved.face_geometry_percent > 2


def test_a_result_without_the_subject_is_not_compared(photo: Image, net: U2Net) -> None:
    other = resize(load_example("coffee"), (384, 256))
    assert measure_fidelity("x", photo, other, net) is None


def test_results_are_paired_by_the_photos_name(tmp_path: Path, photo: Image, capsys: pytest.CaptureFixture) -> None:
    images, results = tmp_path / "images", tmp_path / "results"
    for folder in (images, results):
        folder.mkdir()
    small = resize(photo, (256, 256))
    names = ["Red-Mug_product-amazon-1.png", "Red Mug (2).png", "Red Mugs.png"]
    for path in (
        *(results / name for name in names),
        images / "Red Mug.png",
        images / "a.png",
        images / "a-b.png",
        results / "a-b-2.png",
        results / "a.png",
        results / "c.png",
    ):
        cv2.imwrite(str(path), small[..., ::-1])
    assert [(one.name, other.name) for one, other in find_pairs(images, results)] == [
        ("Red Mug.png", "Red Mug (2).png"),
        ("Red Mug.png", "Red-Mug_product-amazon-1.png"),
        ("a-b.png", "a-b-2.png"),
        ("a.png", "a.png"),
    ]
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["Red Mugs.png", "c.png"]
    cv2.imwrite(str(images / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    for name in ("wall-1.png", "a-b-3.png"):
        (results / name).write_bytes((results / "a.png").read_bytes() if name == "wall-1.png" else b"no picture")
    command = ["fidelity", "--images", str(images), "--results", str(results)]
    measured = {row["name"]: row["value"] for row in measure_modules(command)}
    assert (measured["fidelity_results"], measured["fidelity_not_found"], measured["fidelity_changed"]) == (4, 2, 0)
    said_of = capsys.readouterr().out
    assert "a-b-2.png" in said_of
    assert "wall-1.png of wall.png: Nothing stands out" in said_of
    assert "a-b-3.png of a-b.png" in said_of
    for wrong, said in ((command[:3], "results"), ([*command, "--photos", "x"], "photos"), (command[1:], "name of a")):
        with pytest.raises(SystemExit, match=said):
            list(measure_modules(wrong))
    with pytest.raises(SystemExit, match="No picture of"):
        find_pairs(images, tmp_path)
