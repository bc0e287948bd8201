"""The words on a label before and after: with a reader that names colours, and with the real one where it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Crop, Image
from pipelines.core.models import ModelSpec
from pipelines.models.families.text_reader import TEXT_READER
from pipelines.models.nets import text_reader
from pipelines.quality import label_words
from pipelines.quality.label_words import (
    LabelWords,
    compare_label,
    describe_label_changes,
    find_label_mask,
    place_photo_crop,
    read_label,
)
from pipelines.quality.output_checks import explain_checks
from tests.support.real_studio import RealStudio

GREY = 120
WORDS: dict[tuple[int, int, int], tuple[str, float]] = {
    (255, 0, 0): ("FRESH Oat Milk", 0.99),
    (0, 255, 0): ("fresh oat-milk", 0.99),
    (0, 0, 255): ("FRESH 0at Silk", 0.9),
    (255, 255, 0): ("FRESH", 0.9),
    (255, 0, 255): ("ab", 0.99),
    (0, 255, 255): ("blurred", 0.6),
}
RED, GREEN, BLUE, YELLOW, PINK, CYAN = WORDS
BLANK = (GREY, GREY, GREY)


class ColourReader:
    """Every full colour is a line of text; `read_count` lines were read."""

    def __init__(self, spec: ModelSpec = TEXT_READER) -> None:
        self.spec = spec
        self.read_count = 0

    def find_text_lines(self, image: Image) -> npt.NDArray[np.float32]:
        quads: list[list[tuple[int, int]]] = []
        for colour in WORDS:
            shape = cv2.inRange(image, np.subtract(colour, 59), np.add(colour, 59))
            count, _, boxes, _ = cv2.connectedComponentsWithStats(shape)
            for left, top, width, height, area in boxes[1:count]:
                if area >= 1000:
                    quads.append([(left, top), (left + width, top), (left + width, top + height), (left, top + height)])
        return np.array(quads, np.float32).reshape(-1, 4, 2)

    def read_text_lines(self, lines: Sequence[Image]) -> list[tuple[str, float]]:
        self.read_count += len(lines)
        read: list[tuple[str, float]] = []
        for line in lines:
            middle = line[line.shape[0] // 2, line.shape[1] // 2].astype(int)
            near = [colour for colour in WORDS if np.abs(middle - colour).max() < 60]
            read.append(WORDS[near[0]] if near else ("", 0.0))
        return read

    def close(self) -> None:
        pass


def paint(colour: tuple[int, int, int], *, at: tuple[int, int] = (40, 60), size: tuple[int, int] = (60, 20)) -> Image:
    """Paint a grey picture of 160 x 120 with a line of text in `colour`."""
    image = np.full((120, 160, 3), GREY, np.uint8)
    image[at[1] : at[1] + size[1], at[0] : at[0] + size[0]] = colour
    return image


def compare(before: Image, after: Image, area: npt.NDArray[np.bool_] | None = None) -> LabelWords:
    reader = ColourReader()
    area = np.ones(before.shape[:2], bool) if area is None else area
    return compare_label(reader, read_label(reader, before, area), after)


@pytest.mark.parametrize(
    ("after", "changes", "kept"),
    [
        (GREEN, [], 1.0),  # case and signs are often read differently
        (BLUE, [("Oat", "0at"), ("Milk", "Silk")], 1 / 3),
        (YELLOW, [("Oat", ""), ("Milk", "")], 1 / 3),
        (BLANK, [("FRESH", ""), ("Oat", ""), ("Milk", "")], 0.0),
    ],
)
def test_words_are_compared_one_by_one(
    after: tuple[int, int, int], changes: list[tuple[str, str]], kept: float
) -> None:
    words = compare(paint(RED), paint(after))
    assert words.before == ("FRESH Oat Milk",)
    assert words.list_changes() == changes
    assert words.kept_ratio == pytest.approx(kept)
    assert bool(describe_label_changes([words])) == bool(changes)


@pytest.mark.parametrize("colour", [PINK, CYAN])
def test_what_is_not_surely_read_in_the_photo_does_not_count(colour: tuple[int, int, int]) -> None:
    assert compare(paint(colour), paint(RED)) == LabelWords((), ())


def test_the_same_pixels_are_not_read_again() -> None:
    reader = ColourReader()
    photo = paint(RED)
    label = read_label(reader, photo, np.ones(photo.shape[:2], bool))
    count = reader.read_count
    assert compare_label(reader, label, photo).list_changes() == []
    assert reader.read_count == count


def test_words_beside_the_subject_do_not_count_and_those_in_a_hole_of_its_cutout_do() -> None:
    alpha = np.zeros((120, 160), np.float32)
    alpha[20:100, 30:110] = 1
    alpha[63:67, 45:60] = 0  # the cut-out lost a part of the label
    area = find_label_mask(alpha)
    assert compare(paint(RED), paint(BLANK), area).before == ("FRESH Oat Milk",)
    beside = paint(RED, at=(112, 60), size=(45, 20))
    assert compare(beside, paint(BLANK), area).before == ()
    assert compare(beside, paint(BLANK), np.zeros_like(area)).before == ()


def test_a_line_that_stands_upright_is_read_lying() -> None:
    class Recorder(ColourReader):
        shapes: list[tuple[int, ...]] = []

        def read_text_lines(self, lines: Sequence[Image]) -> list[tuple[str, float]]:
            self.shapes += [line.shape for line in lines]
            return super().read_text_lines(lines)

    photo = paint(RED, at=(60, 20), size=(20, 80))
    label = read_label(Recorder(), photo, np.ones(photo.shape[:2], bool))
    assert label.texts == ("FRESH Oat Milk",)
    assert all(columns > rows for rows, columns, _ in Recorder.shapes)


def test_a_crop_of_the_photo_is_laid_where_the_picture_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = paint(RED)
    laid, area = place_photo_crop(photo, Crop((0, 0, 1, 1), (0.5, 0, 1, 0.5)), (240, 320, 3))
    assert (laid[:120, 160:] == photo).all()
    assert area.sum() == 120 * 160
    assert area[:120, 160:].all()
    monkeypatch.setattr(label_words, "LABEL_SIDE_PX", 1024)
    large, _ = place_photo_crop(photo, Crop((0, 0, 1, 1), (0, 0, 1, 1)), (1500, 2000, 3))
    assert large.shape == (768, 1024, 3)
    enlarged = np.asarray(cv2.resize(paint(RED), (2000, 1500), interpolation=cv2.INTER_NEAREST), np.uint8)
    assert compare(large, enlarged).list_changes() == []


def test_the_sentence_names_at_most_five_words() -> None:
    words = LabelWords(("one two three four five six seven",), ("",))
    told = describe_label_changes([words, words])
    assert told.count("“") == 5
    assert "and 2 more" in told
    assert describe_label_changes([LabelWords(("one",), ("0ne",))]) == (
        "Words on the label may have changed: “one” reads “0ne”. Look at them."
    )


# ------------------------------------------------------------ whole jobs


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    with RealStudio(tmp_path_factory.mktemp("label"), default_size_px=512) as made:
        yield made


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, studio: RealStudio) -> ColourReader:
    """A reader that is installed; in this test alone."""
    made = ColourReader()
    studio.cache.unload_model(TEXT_READER.id)
    monkeypatch.setattr(text_reader, "is_installed", lambda: True)
    monkeypatch.setattr(text_reader, "TextReader", lambda spec: made)
    return made


def labelled_cup(studio: RealStudio, colour: tuple[int, int, int] = RED) -> str:
    """Store the example's cup with a line of text on it."""
    image = studio.files.open_image(studio.photos["coffee"])[..., :3].copy()
    image[230:265, 220:330] = colour
    return studio.add_image(image)


def test_a_product_keeps_its_words_and_the_receipt_has_them(studio: RealStudio, reader: ColourReader) -> None:
    receipt = studio.make("product", photo=labelled_cup(studio), preset="amazon").receipt
    assert receipt["label"] == [{"before": ["FRESH Oat Milk"], "after": ["FRESH Oat Milk"], "changes": []}]
    assert receipt["checks"]["label_words_kept"] == 1
    assert "100%" in explain_checks(receipt["checks"])["label_words_kept"]
    assert {"id": "pp-ocr", "revision": "PP-OCRv6 small", "licence": "Apache-2.0"} in receipt["models"]
    assert not any("label" in notice for notice in receipt["notices"])


@pytest.mark.parametrize(
    ("tool", "values"),
    [
        ("background", {"prompt": "white", "size": 512}),
        ("kit", {"formats": "LinkedIn"}),
    ],
)
def test_every_tool_that_places_the_photo_compares_its_words(
    studio: RealStudio, reader: ColourReader, tool: str, values: dict[str, Any]
) -> None:
    receipt = studio.make(tool, photo=labelled_cup(studio), **values).receipt
    assert receipt["label"]
    assert all(row["before"] == row["after"] == ["FRESH Oat Milk"] for row in receipt["label"])
    assert receipt["checks"]["label_words_kept"] == 1


@pytest.mark.parametrize(
    ("tool", "values"), [("style", {"preset": "pop-art", "size": 512}), ("upscale", {"factor": "2"})]
)
def test_a_changed_word_is_told(
    studio: RealStudio,
    reader: ColourReader,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    values: dict[str, Any],
) -> None:
    """The reader is asked about the photo first; from then on it reads another word."""
    own = reader.read_text_lines

    def read(lines: Sequence[Image]) -> list[tuple[str, float]]:
        is_photo = reader.read_count == 0
        told = own(lines)
        return told if is_photo else [("FRESH Oat Silk", 0.9) for _ in lines]

    monkeypatch.setattr(reader, "read_text_lines", read)
    cup = studio.files.open_image(labelled_cup(studio))
    photo = studio.add_image(cup[215:280, 205:345] if tool == "upscale" else cup)
    receipt = studio.make(tool, photo=photo, **values).receipt
    assert receipt["label"][0]["changes"] == [{"word": "Milk", "reads": "Silk"}]
    assert receipt["checks"]["label_words_kept"] == pytest.approx(2 / 3, abs=1e-4)
    assert "Words on the label may have changed: “Milk” reads “Silk”. Look at them." in receipt["notices"]


def test_drafts_other_tools_and_a_studio_without_the_package_read_nothing(
    studio: RealStudio, reader: ColourReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    cup = labelled_cup(studio)
    assert "label" not in studio.make("product", draft=True, photo=cup, preset="amazon").receipt
    assert "label" not in studio.make("cutout", photo=cup).receipt
    monkeypatch.setattr(text_reader, "is_installed", lambda: False)
    receipt = studio.make("product", photo=cup, preset="amazon").receipt
    assert "label" not in receipt
    assert "label_words_kept" not in receipt["checks"]
    assert reader.read_count == 0


def test_a_package_that_does_not_start_is_said_and_ends_no_job(
    studio: RealStudio, reader: ColourReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(spec: ModelSpec) -> ColourReader:
        raise ModelUnavailable("It is broken.")

    monkeypatch.setattr(text_reader, "TextReader", fail)
    result = studio.make("product", photo=labelled_cup(studio), preset="amazon")
    assert "The label was not checked. It is broken." in result.receipt["notices"]
    assert result.files


# ------------------------------------------------------------ the real package

needs_reader = pytest.mark.skipif(not text_reader.is_installed(), reason="pip install -r requirements-ocr.txt")


@needs_reader
def test_the_real_reader_keeps_and_loses_words() -> None:
    reader = text_reader.TextReader(TEXT_READER)
    photo = np.full((400, 600, 3), 235, np.uint8)
    cv2.putText(photo, "ORANGE JUICE", (80, 180), cv2.FONT_HERSHEY_SIMPLEX, 2, (20, 60, 30), 4)
    cv2.putText(photo, "500 ml", (200, 300), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (20, 60, 30), 3)
    label = read_label(reader, photo, np.ones(photo.shape[:2], bool))
    assert [text.replace(" ", "") for text in label.texts] == ["ORANGEJUICE", "500ml"]
    encoded = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    assert compare_label(reader, label, np.asarray(cv2.imdecode(encoded, 1), np.uint8)).list_changes() == []
    wiped = photo.copy()
    wiped[240:320] = 235
    assert compare_label(reader, label, wiped).after[1] == ""
    blank = np.full_like(photo, 200)
    assert read_label(reader, blank, np.ones(photo.shape[:2], bool)).texts == ()
    reader.close()
