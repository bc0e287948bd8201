"""The brush on the large picture: what is painted stays, is where it was seen, and costs the page little."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from pipelines.batch.batch_service import BatchOptions, BatchService
from pipelines.batch.jobs_file import ParsedRow
from pipelines.batch.row_values import BatchPlan
from pipelines.core.params import JSON
from pipelines.jobs.queue import JobRow
from tests.browser.studio_page import ServedPage, delete_visitor_jobs, find_progress_line, open_browser_page, open_tool
from tests.browser.walks import draw_stroke
from tests.support.examples import EXAMPLES, make_noise
from tests.support.served_app import wait_until

TOOL_IDS = ("retouch", "cutout")
MAX_SENT_BYTES = 20_000
"""Of one request that takes a stroke along: the form and its strokes, no picture."""
MARKED_TEXT = "Marked. Press again for more, then Preview."
GENERATE_HEIGHT_PX = 57 + 66
"""Of a phone's window: its navigation and Generate above that."""
COUNT_PAINT_JS = """layer => {
  const { data } = layer.getContext("2d").getImageData(0, 0, layer.width, layer.height);
  return data.reduce((sum, value, n) => sum + (n % 4 === 3 && value > 127), 0) / (layer.width * layer.height);
}"""
"""The share of the photo that is painted."""
LATE_ANSWER_JS = """layer => {
  const box = layer.getBoundingClientRect(), told = document.querySelector("#retouch-brush-message [data-brush]");
  const at = { clientX: box.left + 0.783 * box.width, clientY: box.top + box.height / 2, pointerId: 1, bubbles: true };
  layer.setPointerCapture = () => {};
  for (const name of ["pointerdown", "pointerup"]) layer.dispatchEvent(new PointerEvent(name, at));
  Object.assign(told.dataset, { brush: "thing", number: "1", press: "0", outline: "[[0, 0], [1, 0], [1, 1]]" });
}"""
"""Press on the photo, and give the answer to an earlier press before that press's own."""


def find_layer(page: Page) -> Locator:
    """What the strokes are on."""
    return page.locator("#retouch-editor canvas")


def open_brush(page: Page, studio: ServedPage, photo: Path = EXAMPLES / "coffee.jpg") -> Locator:
    """The brush on this photo, ready to paint."""
    open_tool(page, studio, "retouch")
    page.locator("#retouch-photo input[type=file]").set_input_files(photo)
    layer = find_layer(page)
    layer.wait_for()
    layer.scroll_into_view_if_needed()
    return layer


def count_paint(page: Page) -> float:
    """The share of the photo that is painted."""
    return float(find_layer(page).evaluate(COUNT_PAINT_JS))


def generate(page: Page, studio: ServedPage) -> np.ndarray[Any, Any]:
    """Generate, and read the mask that came of the strokes: true where it erases."""

    def list_finished() -> list[JobRow]:
        return [row for row in studio.service.jobs.list_jobs("local", 9, tool="retouch") if row.status == "done"]

    before = len(list_finished())
    page.locator("#retouch-generate").click()
    wait_until(lambda: len(list_finished()) > before, 60)
    expect(page.locator("#retouch-save")).to_be_enabled()
    return studio.service.files.open_image(list_finished()[0].job.params["mask"])[..., 0] > 127


def find_middle(mask: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The middle of what the mask erases, in shares from the left and from the top."""
    rows, columns = np.nonzero(mask)
    return float(columns.mean() / mask.shape[1]), float(rows.mean() / mask.shape[0])


def test_the_file_in_place_of_painting_is_under_more_with_a_sentence(page: Page, studio: ServedPage) -> None:
    open_brush(page, studio)
    upload = page.get_by_role("button", name="Upload a black-and-white picture")
    expect(upload).to_be_hidden()
    page.locator("#retouch-more button").first.click()
    expect(upload).to_be_visible()
    expect(page.locator("#retouch-more")).to_contain_text("white is erased, black stays")
    expect(page.locator("#retouch-grow")).to_be_visible()
    expect(page.locator("#retouch-pick")).to_be_hidden()  # beside a mask it counts for nothing
    with PIL.Image.open(EXAMPLES / "coffee.jpg") as photo:
        width, height = photo.size
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 4] = 255
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask).save(buffer, "PNG")
    page.locator("#retouch-more input[type=file]").set_input_files(
        {"name": "mask.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    )
    expect(page.locator("#retouch-mask")).to_contain_text("What you marked is in use.")


def test_strokes_stay_when_the_window_changes_its_size(page: Page, studio: ServedPage) -> None:
    layer = open_brush(page, studio)
    draw_stroke(page, layer, ((0.2, 0.3), (0.3, 0.3)))
    painted = count_paint(page)
    assert painted > 0.001
    width = (layer.bounding_box() or {})["width"]
    page.set_viewport_size({"width": 820, "height": 700})
    wait_until(lambda: (layer.bounding_box() or {})["width"] != width, 30)
    assert count_paint(page) == painted
    draw_stroke(page, layer, ((0.2, 0.3), (0.3, 0.3)))  # the same place, in a smaller picture
    page.set_viewport_size({"width": 1280, "height": 900})
    assert find_middle(generate(page, studio)) == pytest.approx((0.25, 0.3), abs=0.01)


def test_what_is_painted_is_seen_until_the_first_picture_comes(page: Page, studio: ServedPage) -> None:
    layer = open_brush(page, studio)
    draw_stroke(page, layer, ((0.4, 0.4), (0.5, 0.4)))
    painted = count_paint(page)
    studio.gate.open.clear()
    page.locator("#retouch-generate").click()
    expect(page.locator("#retouch-mask")).to_contain_text("What you marked is in use.")
    expect(page.locator("#retouch-stop")).to_be_enabled()
    page.wait_for_timeout(500)  # longer than the strokes took to be gone from the form
    expect(layer).to_be_visible()
    assert count_paint(page) == painted
    expect(page.locator("#retouch-box")).to_be_hidden()
    studio.gate.open.set()
    expect(page.locator("#retouch-box img").first).to_be_visible()
    expect(page.locator("#retouch-editor")).to_be_hidden()
    expect(page.locator("#retouch-save")).to_be_enabled()
    page.locator("#retouch-mask").get_by_role("button", name="Start over").click()
    expect(layer).to_be_visible()  # the next one is painted
    assert count_paint(page) == 0


def test_what_was_erased_is_the_photo_of_which_more_is_erased(page: Page, studio: ServedPage) -> None:
    layer = open_brush(page, studio)
    names: list[str] = []

    def save() -> None:
        with page.expect_download() as caught:
            page.locator("#retouch-save").click()
        names.append(caught.value.suggested_filename)

    draw_stroke(page, layer, ((0.4, 0.4), (0.5, 0.4)))
    generate(page, studio)
    save()
    (first,) = studio.service.jobs.list_jobs("local", 1, tool="retouch")
    page.locator("#retouch-box").get_by_role("button", name="Erase more").click()
    expect(layer).to_be_visible()
    expect(page.locator("#retouch-stage")).to_contain_text("The picture just made is the photo now")
    expect(page.locator("#retouch-mask")).not_to_contain_text("in use")
    assert count_paint(page) == 0
    draw_stroke(page, layer, ((0.6, 0.6), (0.7, 0.6)))
    generate(page, studio)
    (second,) = studio.service.jobs.list_jobs("local", 1, tool="retouch")
    assert first.result is not None
    assert second.job.params["photo"] == first.result.files[0].id
    save()
    assert names == ["coffee_retouch-picture-1.png", "coffee_retouch-picture-1-2.png"], "none overwrites the other"


def list_jobs(studio: ServedPage) -> list[JobRow]:
    return studio.service.jobs.list_jobs("local", 9, tool="retouch")


def test_a_place_that_was_continued_can_be_filled_in_another_way(page: Page, studio: ServedPage) -> None:
    layer = open_brush(page, studio)
    for y in (0.3, 0.36, 0.42, 0.48):  # larger than a stain, which the tones beside it fill
        draw_stroke(page, layer, ((0.35, y), (0.6, y)))
    again = page.locator("#retouch-box").get_by_role("button", name="Another fill")
    expect(again).to_be_hidden()
    generate(page, studio)
    page.reload()  # the form has the seed of the picture then
    again.click()
    wait_until(lambda: len([row for row in list_jobs(studio) if row.status == "done"]) == 2, 60)
    expect(page.locator("#retouch-stage")).to_contain_text("the one before is below")
    second, first = list_jobs(studio)
    assert second.job.params["mask"] == first.job.params["mask"]
    assert first.result is not None
    assert second.result is not None
    pictures = [studio.service.files.open_image(row.result.files[0].id) for row in (first, second) if row.result]
    assert (pictures[0] != pictures[1]).any(axis=-1).mean() > 0.05


def test_erasing_more_of_a_rows_picture_stays_in_its_row(page: Page, studio: ServedPage) -> None:
    batches, jobs = BatchService(studio.service), studio.service.jobs
    photo, _ = studio.service.uploads.ingest_picture((EXAMPLES / "coffee.jpg").read_bytes(), "local", "coffee.jpg")
    mask = np.zeros((*studio.service.files.open_image(photo).shape[:2], 3), np.uint8)
    mask[20:60, 20:60] = 255
    values: dict[str, JSON] = {"photo": photo, "mask": studio.service.files.add_image(mask, "local", "upload")}
    batch = batches.create_batch(BatchPlan("retouch", {}), iter([ParsedRow(1, values)]), "local", BatchOptions(seed=1))
    batches.start(batch.id)
    wait_until(lambda: batches.get_row(batch.id, 1, "local").status == "done", 60)
    first = jobs.get_job(batches.get_row(batch.id, 1, "local").job_id or "")
    assert first is not None
    assert first.result is not None
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-sheet li > button:first-child").first.click()
    line, put, layer = page.locator("#retouch-batch-row"), page.locator("#retouch-put"), find_layer(page)
    expect(line).to_contain_text("From your batch, row 1")
    page.locator("#retouch-box").get_by_role("button", name="Erase more").click()
    expect(layer).to_be_visible()
    expect(line).to_contain_text("From your batch, row 1")
    expect(line.get_by_role("button")).to_have_count(0)  # they are about a picture that is not shown
    draw_stroke(page, layer, ((0.6, 0.6), (0.7, 0.6)))
    page.locator("#retouch-generate").click()
    expect(put).to_have_text("Put it into the batch")
    put.click()
    expect(line).to_contain_text("Now in your batch, row 1")
    page.locator("#retouch-box").get_by_role("button", name="Erase more").click()
    expect(line).to_contain_text("From your batch, row 1")
    expect(put).to_be_hidden()
    second = jobs.get_job(batches.get_row(batch.id, 1, "local").job_id or "")
    assert second is not None
    assert second.job.params["photo"] == first.result.files[0].id


def test_painting_a_large_photo_sends_lines_and_no_picture(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1500, 2000, 3), np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "large.jpg", quality=90)
    layer = open_brush(page, studio, tmp_path / "large.jpg")
    sent: list[int] = []

    def note(request: Request) -> None:
        sent.append(int(request.headers.get("content-length", 0)) or len(request.post_data_buffer or b""))

    page.on("request", note)
    draw_stroke(page, layer, ((0.2, 0.2), (0.4, 0.5), (0.3, 0.3)))
    assert count_paint(page) > 0.001
    assert not sent, "painting is the browser's alone"
    mask = generate(page, studio)
    page.remove_listener("request", note)
    assert sent
    assert max(sent) < MAX_SENT_BYTES
    assert mask.shape == (1500, 2000), "enlarged here"


def test_the_eraser_takes_paint_away_and_steps_go_back_and_forth(page: Page, studio: ServedPage) -> None:
    layer = open_brush(page, studio)
    bar = page.locator("#retouch-editor").get_by_role("toolbar", name="Brush")
    undo, redo = (bar.get_by_role("button", name=name) for name in ("Undo", "Redo"))
    expect(undo).to_be_disabled()
    draw_stroke(page, layer, ((0.2, 0.3), (0.4, 0.3)))
    whole = count_paint(page)
    bar.get_by_role("button", name="Eraser").click()
    draw_stroke(page, layer, ((0.3, 0.3), (0.45, 0.3)))
    part = count_paint(page)
    assert 0.3 * whole < part < 0.7 * whole
    page.keyboard.press("Control+z")
    assert count_paint(page) == pytest.approx(whole, rel=0.02)
    redo.click()
    assert count_paint(page) == pytest.approx(part, rel=0.02)
    undo.click()
    undo.click()
    assert count_paint(page) == 0
    page.locator("#retouch-generate").click()
    expect(page.locator("#tab-retouch").get_by_role("alert")).to_contain_text("Press on what should go")
    expect(layer).to_be_visible()
    redo.click()  # the strokes are still there
    redo.click()
    mask = generate(page, studio)
    columns = np.nonzero(mask.any(axis=0))[0] / mask.shape[1]
    assert 0.15 < columns.min() < 0.2
    assert 0.25 < columns.max() < 0.3, "the right half was erased"


def test_zoom_goes_to_where_the_pointer_was_and_arrow_keys_move_the_picture(page: Page, studio: ServedPage) -> None:
    layer = open_brush(page, studio)
    view, bar = page.locator("#retouch-editor .dbx-brush-view"), page.locator("#retouch-editor .dbx-brush-bar")
    frame = view.bounding_box()
    assert frame is not None
    place_in_view = """view => {
      const frame = view.getBoundingClientRect();
      const sheet = view.querySelector(".dbx-brush-sheet").getBoundingClientRect();
      return [sheet.left + 0.7 * sheet.width - frame.left, sheet.top + 0.35 * sheet.height - frame.top];
    }"""
    layer.hover(
        position={
            "x": 0.7 * layer.evaluate("each => each.clientWidth"),
            "y": 0.35 * layer.evaluate("each => each.clientHeight"),
        }
    )
    for _ in range(2):
        bar.locator("[data-do=in]").click()
    middle = (frame["width"] / 2, frame["height"] / 2)
    assert view.evaluate(place_in_view) == pytest.approx(middle, abs=3)
    expect(page.locator("#retouch-editor .dbx-brush-head p")).to_have_text("Arrow keys move the picture.")
    for key, (right, down) in {
        "ArrowLeft": (60, 0),
        "ArrowUp": (60, 60),
        "ArrowRight": (0, 60),
        "ArrowDown": (0, 0),
    }.items():
        page.keyboard.press(key)
        assert view.evaluate(place_in_view) == pytest.approx((middle[0] + right, middle[1] + down), abs=3), key


def press_on(page: Page, layer: Locator, right: float, down: float) -> str:
    """Press on a place of the photo, in shares of it; what is said when the press was answered."""
    box = layer.bounding_box()
    assert box is not None
    hint = page.locator("#retouch-editor .dbx-brush-head p")
    page.mouse.click(box["x"] + right * box["width"], box["y"] + down * box["height"])
    expect(hint).not_to_have_text("Looking for all of it …", timeout=60_000)
    return hint.inner_text()


def test_one_press_marks_the_whole_thing_and_a_press_on_nothing_leaves_a_dab(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    wall = make_noise(400, 600, 120, 4).copy()
    for centre, radius, colour in (((200, 200), 80, (190, 40, 30)), ((470, 200), 60, (40, 60, 180))):
        cv2.circle(wall, centre, radius, colour, -1, cv2.LINE_AA)
    PIL.Image.fromarray(wall).save(tmp_path / "two.png")
    layer = open_brush(page, studio, tmp_path / "two.png")
    bar = page.locator("#retouch-editor").get_by_role("toolbar", name="Brush")
    expect(bar.get_by_role("button", name="Whole thing")).to_have_attribute("aria-pressed", "true")
    bar_box, full = bar.bounding_box(), bar.get_by_role("button", name="Fullscreen").bounding_box()
    assert bar_box is not None
    assert full is not None
    assert full["y"] < bar_box["y"] + 8, "all of it is in one row"
    assert (
        press_on(page, layer, 0.05, 0.9) == "Nothing clear is here: only a dab was painted. The brush paints all of it."
    )
    dab = count_paint(page)
    assert 0 < dab < 0.01
    bar.get_by_role("button", name="Undo").click()
    ready = find_progress_line(page, "retouch").get_by_text("Photo loaded.")
    expect(ready).to_be_visible()
    assert press_on(page, layer, 470 / 600, 0.5) == MARKED_TEXT
    expect(ready).to_be_hidden()
    whole = count_paint(page)
    assert 0.065 < whole < 0.085, "the right one with a margin, and not the left one"
    assert (
        press_on(page, layer, 480 / 600, 0.5)
        == "All of this is marked already. For more, press beside it or take the brush."
    )
    assert count_paint(page) == whole
    bar.get_by_role("button", name="Eraser").click()
    draw_stroke(page, layer, ((460 / 600, 0.5), (480 / 600, 0.5)))
    assert count_paint(page) < whole
    bar.get_by_role("button", name="Whole thing").click()
    assert press_on(page, layer, 470 / 600, 0.5) == MARKED_TEXT, "what was rubbed out is marked again"
    assert count_paint(page) == pytest.approx(whole, rel=0.01)
    for _ in range(3):
        bar.get_by_role("button", name="Undo").click()
    expect(page.locator("#retouch-editor .dbx-brush-head p")).not_to_have_text(MARKED_TEXT)
    assert count_paint(page) == 0
    expect(ready).to_be_visible()
    bar.get_by_role("button", name="Redo").click()
    assert count_paint(page) == pytest.approx(whole, rel=0.01)
    mask = generate(page, studio)
    assert mask.mean() == pytest.approx(whole, rel=0.05)
    assert find_middle(mask) == pytest.approx((470 / 600, 0.5), abs=0.02)


def test_a_press_that_marks_much_of_the_photo_says_so(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    wall = make_noise(400, 600, 120, 4).copy()
    cv2.circle(wall, (300, 200), 125, (40, 60, 180), -1, cv2.LINE_AA)
    PIL.Image.fromarray(wall).save(tmp_path / "large.png")
    layer = open_brush(page, studio, tmp_path / "large.png")
    assert press_on(page, layer, 0.5, 0.5).startswith("A large part of the photo is marked. Too much?")
    assert 0.19 < count_paint(page) < 0.35


def test_a_late_answer_to_a_press_is_not_painted_for_another(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    wall = make_noise(400, 600, 120, 4).copy()
    cv2.circle(wall, (470, 200), 60, (40, 60, 180), -1, cv2.LINE_AA)
    PIL.Image.fromarray(wall).save(tmp_path / "one.png")
    layer = open_brush(page, studio, tmp_path / "one.png")
    # In one turn, so that the press's own answer cannot come before the late one.
    layer.evaluate(LATE_ANSWER_JS)
    hint = page.locator("#retouch-editor .dbx-brush-head p")
    expect(hint).to_have_text(MARKED_TEXT, timeout=60_000)
    assert 0.065 < count_paint(page) < 0.085


def test_a_stroke_on_the_enlarged_photo_is_where_it_was_seen_and_finer(page: Page, studio: ServedPage) -> None:
    layer = open_brush(page, studio)
    page.locator("#retouch-editor [data-mode=keep]").click()
    draw_stroke(page, layer, ((0.3, 0.3), (0.3, 0.3)))
    dot = count_paint(page)
    page.keyboard.press("Control+z")
    view = page.locator("#retouch-editor .dbx-brush-view").bounding_box()
    assert view is not None
    at = view["x"] + 0.25 * view["width"], view["y"] + 0.25 * view["height"]
    before = layer.bounding_box()
    assert before is not None
    there = (at[0] - before["x"]) / before["width"], (at[1] - before["y"]) / before["height"]
    page.mouse.move(*at)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    wait_until(lambda: (layer.bounding_box() or {})["width"] > 2 * before["width"], 30)
    page.mouse.down()  # what was under the pointer is there still
    page.mouse.up()
    assert 0 < count_paint(page) < 0.4 * dot
    page.locator("#retouch-editor").get_by_role("button", name="Fullscreen").click()
    page.keyboard.press("Escape")
    expect(page.locator("#retouch-editor")).to_be_visible()
    assert find_middle(generate(page, studio)) == pytest.approx(there, abs=0.01)


@pytest.fixture(scope="module")
def phone(browser: Browser, studio: ServedPage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A German phone on which a tall photo is painted on."""
    delete_visitor_jobs(studio)
    tall = tmp_path_factory.mktemp("photos") / "tall.jpg"
    with PIL.Image.open(EXAMPLES / "astronaut.jpg") as photo:
        photo.resize((450, 800)).save(tall)
    with open_browser_page(browser, studio, width=390, height=844, phone=True, locale="de-DE") as opened:
        open_brush(opened, studio, tall)
        yield opened


def test_each_control_of_the_brush_has_a_name_in_german(phone: Page) -> None:
    controls = phone.locator("#retouch-editor").locator("button:visible, input:visible")
    names = [
        control.evaluate("node => node.getAttribute('aria-label') || node.textContent.trim()")
        for control in controls.all()
    ]
    assert names == [
        "Vorschau", "Neu beginnen", "Ganzes Ding", "Pinsel", "Radierer", "Rückgängig", "Wiederholen",
        "Größe des Pinsels", "Weiter weg", "Näher heran", "Vollbild",
    ]  # fmt: skip
    titles = [control.get_attribute("title") for control in controls.all()]
    assert titles[5:] == names[5:], "an icon tells its name where it is pointed at"


def test_no_word_of_retouch_is_mask(phone: Page) -> None:
    words = phone.locator("#tab-retouch").inner_text()
    assert "übermale es ganz" in words
    assert not re.search(r"\bMask", words, re.IGNORECASE)


def test_on_a_phone_a_wide_photo_fills_its_place_and_the_brush_is_fine(
    browser: Browser, studio: ServedPage, tmp_path: Path
) -> None:
    PIL.Image.new("RGB", (1600, 900), (150, 150, 150)).save(tmp_path / "wide.png")
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        layer = open_brush(page, studio, tmp_path / "wide.png")
        view, box = page.locator("#retouch-editor .dbx-brush-view").bounding_box(), layer.bounding_box()
        assert view is not None
        assert box is not None
        assert view["height"] == pytest.approx(box["height"], abs=2), "no empty bar above it"
        assert view["width"] == pytest.approx(box["width"], abs=2), "and none beside it"
        with PIL.Image.open(io.BytesIO(page.screenshot(clip=view))) as seen:
            shown = np.asarray(seen.convert("L"))[10:-10, 10:-10]
        assert abs(shown.astype(int) - 150).max() < 10, "the photo, and no part is black"
        assert press_on(page, layer, 0.5, 0.5).startswith("Nothing clear")
        assert layer.bounding_box() == box, "a shorter sentence does not move the photo under the finger"
        size = page.locator("#retouch-editor input[type=range]")
        assert float(size.input_value()) < 0.05 * box["width"]
        assert float(size.get_attribute("min") or 9) < 0.01 * box["width"]


def test_on_a_phone_a_tall_photo_has_the_room_and_two_fingers_enlarge_it(phone: Page) -> None:
    layer, editor = find_layer(phone), phone.locator("#retouch-editor .dbx-brush")

    def is_in_view() -> bool:  # the page scrolls by itself after a photo was chosen, and that may still go on
        editor.evaluate("node => node.scrollIntoView({ block: 'nearest', behavior: 'instant' })")
        return (layer.bounding_box() or {"y": -1})["y"] >= 0

    wait_until(is_in_view, 30)
    box, bar = layer.bounding_box(), phone.locator("#retouch-editor .dbx-brush-bar").bounding_box()
    assert box is not None
    assert bar is not None
    assert box["height"] > 0.5 * 844
    assert bar["y"] + bar["height"] <= 844 - GENERATE_HEIGHT_PX, "its brushes are not under Generate"
    client = phone.context.new_cdp_session(phone)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, apart in (("touchStart", 30), ("touchMove", 50), ("touchMove", 90), ("touchEnd", 0)):
        fingers = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    wait_until(lambda: (layer.bounding_box() or {})["width"] > 2 * box["width"], 30)
    assert count_paint(phone) == 0
    phone.locator("#retouch-editor [data-do=full]").tap()
    nav = phone.locator(".dbx-nav").first
    full = phone.locator("#retouch-editor .dbx-brush").bounding_box()
    assert full == {"x": 0, "y": 0, "width": 390, "height": 844}
    expect(nav).to_be_attached()
    phone.locator("#retouch-editor [data-do=full]").tap()


def test_a_new_photo_is_not_painted_yet(page: Page, studio: ServedPage) -> None:
    layer = open_brush(page, studio)
    draw_stroke(page, layer, ((0.2, 0.3), (0.4, 0.3)))
    assert count_paint(page) > 0
    page.locator("#retouch-photo").get_by_label("Remove Image").click()
    expect(page.locator("#retouch-editor")).to_be_hidden()
    page.locator("#retouch-photo input[type=file]").set_input_files(EXAMPLES / "chelsea.jpg")
    layer.wait_for()
    assert count_paint(page) == 0
    expect(find_progress_line(page, "retouch")).to_contain_text("Photo loaded.")


def test_the_brush_of_a_cutout_leaves_with_its_photo_and_escape_leaves_full_screen_first(
    page: Page, studio: ServedPage
) -> None:
    open_tool(page, studio, "cutout")
    page.locator("#cutout-example-coffee").click()
    expect(find_progress_line(page, "cutout")).to_contain_text("Draft, small for speed")
    page.locator("#cutout-adjust-subject > button").click()
    page.locator("#cutout-brush").click()
    panel, keep = page.locator("#cutout-editor .dbx-brush"), page.locator("#cutout-editor [data-mode=keep]")
    expect(panel).to_be_visible()
    expect(keep).to_be_focused()
    page.locator("#cutout-editor").get_by_role("button", name="Fullscreen").click()
    expect(panel).to_have_class(re.compile("full"))
    page.keyboard.press("Escape")
    expect(panel).not_to_have_class(re.compile("full"))
    expect(panel).to_be_visible()
    page.locator("#cutout-photo").get_by_label("Remove Image").click()
    expect(panel).to_be_hidden()
