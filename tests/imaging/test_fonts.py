"""Text of any script on a picture: a font for each sign, the reading order, and a clear answer where there is none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from pipelines.core.errors import InvalidParams
from pipelines.core.params import Params
from pipelines.imaging.fonts import FONT_FOLDER, find_missing_signs, measure_line, order_runs
from pipelines.imaging.text import PixelBox, draw_text, fit_text
from pipelines.service.form_checks import list_form_errors, validate_form
from pipelines.tools.business import Business
from pipelines.tools.character import Creator
from pipelines.tools.fashion import Fashion
from pipelines.tools.social_kit import Kit

GREETINGS = (
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते",
    "สวัสดี",
    "こんにちは世界",
    "你好",
    "안녕",
    "Good morning 🌞🍊 100% 😀",
    "Καλημέρα",
)


def _draw_sign(sign: str, font: str) -> npt.NDArray[np.uint8]:
    """Draw one sign as that font has it, H x W."""
    picture = PIL.Image.new("L", (120, 120))
    loaded = PIL.ImageFont.truetype(str(FONT_FOLDER / font), 40)
    PIL.ImageDraw.Draw(picture).text((40, 40), sign, font=loaded, fill=255)
    return np.asarray(picture)


@pytest.mark.parametrize("text", GREETINGS)
def test_every_sign_of_a_greeting_has_a_font_and_none_is_drawn_as_a_box(text: str) -> None:
    assert find_missing_signs(text) == []
    for run in order_runs(text, "Bold"):
        missing = _draw_sign("\U0010fffd", run.font)
        assert not any(np.array_equal(_draw_sign(sign, run.font), missing) for sign in run.text if not sign.isspace())
    image = np.zeros((80, 400, 3), np.uint8)
    draw_text(image, fit_text(text, 380, 60, 40), PixelBox(10, 10, 380, 60), (255, 255, 255))
    assert image.any()


def test_arabic_letters_are_joined_and_a_line_that_begins_with_them_is_read_from_the_right() -> None:
    assert measure_line("مرحبا", 40, "Bold") < sum(measure_line(sign, 40, "Bold") for sign in "مرحبا")
    assert [run.text for run in order_runs("مرحبا Hello", "Bold")] == ["Hello", " ", "مرحبا"]
    assert [run.text for run in order_runs("مرحبا, Hello", "Bold")] == ["Hello", " ,", "مرحبا"]
    assert [run.text for run in order_runs("Hello مرحبا", "Bold")] == ["Hello", " ", "مرحبا"]


def test_chinese_is_wrapped_without_spaces() -> None:
    block = fit_text("你好世界" * 8, 200, 200, 40)
    assert len(block.lines) > 1
    assert block.width <= 200
    assert "".join(block.lines) == "你好世界" * 8


@pytest.mark.parametrize(
    ("params", "name"), [(Fashion, "title"), (Business, "names"), (Business, "company"), (Creator, "name")]
)
def test_every_tool_that_writes_in_its_picture_names_a_sign_without_a_font(params: type[Params], name: str) -> None:
    photos = {"photo": "file-1", "photos": ("file-1",)}
    form = {
        **{field: photo for field, photo in photos.items() if field in params.model_fields},
        name: "Gothic \U00010330",
    }
    errors = list_form_errors(params, form)
    assert "no font here can draw: \U00010330" in next(error.message for error in errors if error.param == name)


def test_a_sign_without_a_font_is_named_and_a_headline_that_is_too_long_is_not_cut() -> None:
    assert find_missing_signs("a\U00010330b\U00010330") == ["\U00010330"]
    with pytest.raises(InvalidParams, match="'Headline' has signs that no font here can draw: \U00010330") as caught:
        validate_form(Kit, {"photo": "file-1", "headline": "Gothic \U00010330"})
    assert caught.value.param == "headline"
    (error,) = list_form_errors(Kit, {"photo": "file-1", "headline": "x" * 121})
    assert error.message == "'Headline' is too long: at most 120 characters."


def test_a_word_that_is_too_long_for_its_box_at_the_smallest_size_is_cut() -> None:
    block = fit_text("Donaudampfschifffahrtsgesellschaft", 60, 40, 40)
    assert block.width <= 60
    assert block.lines[0].startswith("Donau")
    assert block.lines[0].endswith("…")
    assert fit_text("short", 60, 40, 40).lines == ("short",)
