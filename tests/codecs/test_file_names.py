"""Names for a download: what of an upload's name stays, and how tool, look and number follow."""

from __future__ import annotations

import re

import pytest

from pipelines.codecs.file_names import (
    MAX_LABEL_CHARS,
    label_of_result,
    make_label,
    name_by_words,
    name_download,
    number_version,
    strip_label,
)
from tests.support.hostile_pictures import HOSTILE_FILE_NAMES


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Rote Tasse (2).jpg", "Rote-Tasse-2"),
        ("C:\\shop\\Größe Ärger.PNG", "Grosse-Arger"),
        ("/tmp/gradio/ab12/IMG_2041.jpeg", "IMG-2041"),
        ("image.png", ""),
        ("写真.png", ""),
        ("", ""),
    ],
)
def test_a_label_is_what_is_safe_of_the_name(name: str, label: str) -> None:
    assert make_label(name) == label


@pytest.mark.parametrize("name", HOSTILE_FILE_NAMES, ids=lambda name: name[:24])
def test_a_hostile_name_leaves_letters_digits_and_hyphens(name: str) -> None:
    assert re.fullmatch(rf"[A-Za-z0-9-]{{0,{MAX_LABEL_CHARS}}}", make_label(name))


@pytest.mark.parametrize("by_hand", [{"keep": [[0.5, 0.5]]}, {"matte": "file-1"}, {"box": [0.1, 0.1, 0.9, 0.9]}])
def test_a_picture_repaired_by_hand_has_a_name_of_its_own(by_hand: dict[str, object]) -> None:
    params = {"preset": "amazon", "matte": None, "keep": [], "drop": [], "box": None}
    assert name_download("mug", "product", params, 1, "png") == "mug_product-amazon-1.png"
    assert name_download("mug", "product", {**params, **by_hand}, 1, "png") == "mug_product-amazon-1-repaired.png"


def test_marks_that_say_what_a_crop_keeps_repair_nothing() -> None:
    params = {"preset": "instagram-post", "matte": None, "focus_x": 0.0, "box": (0.1, 0.1, 0.9, 0.9)}
    assert name_download("mug", "kit", params, 1, "png") == "mug_kit-instagram-post-1.png"
    assert name_download("", "retouch", {"mask": "m", "keep": [[0.5, 0.5]]}, 1, "png") == "retouch-picture-1.png"


def test_a_name_says_upload_tool_look_and_number() -> None:
    name = name_download("red-mug", "product", {"preset": "amazon"}, 2, "jpeg")
    assert name == "red-mug_product-amazon-2.jpg"
    assert (label_of_result(name), strip_label(name)) == ("red-mug", "product-amazon-2.jpg")
    unnamed = name_download("", "kit", {}, 1, "zip", own_name="kit-all.zip")
    assert (unnamed, label_of_result(unnamed), strip_label(unnamed)) == ("kit-all.zip", "", "kit-all.zip")


@pytest.mark.parametrize(
    ("words", "name"),
    [("A quiet café, 1950s", "a-quiet-cafe-1950s-1"), ("../../etc/passwd", "etc-passwd-1"), ("森", "words-1")],
)
def test_words_make_a_safe_part_of_a_name(words: str, name: str) -> None:
    assert name_by_words(words, 2) == (name, f"{name.removesuffix('1')}2")


def test_versions_of_one_picture_have_names_of_their_own() -> None:
    assert number_version("mug_retouch-picture-1.png", 1) == "mug_retouch-picture-1.png"
    assert number_version("mug_product-white-1-repaired.png", 2) == "mug_product-white-1-repaired-2.png"
