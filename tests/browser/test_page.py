"""What a visitor can do with the page, in a real browser."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import Download, Page, TimeoutError, expect

from pipelines.core.errors import StudioError
from pipelines.core.job import Job
from pipelines.core.stream import wait_for_result
from tests.browser.studio_page import SETTLED_JS, ServedPage, find_progress_line, open_menu, open_tool, show_tab
from tests.support.examples import EXAMPLES
from tests.support.served_app import wait_until

TOOL_IDS = ("headshot", "product", "background", "cutout")


def upload_photo(page: Page, tool: str, path: Path) -> None:
    page.locator(f"#{tool}-photo input[type=file]").set_input_files(path)


def test_a_photo_becomes_a_draft_by_itself_and_a_file_by_generate(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    open_tool(page, studio, "headshot")
    upload_photo(page, "headshot", EXAMPLES / "hopper.jpg")
    # Hopper's portrait, sent from a visitor's disk, is the very picture we ship, so consent is not asked; see below.
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    assert (page.locator("#headshot-live img").get_attribute("src") or "").startswith("data:image/jpeg")

    page.locator("#headshot-generate").click()
    expect(page.locator("#headshot-save")).to_be_enabled()
    expect(find_progress_line(page, "headshot")).to_contain_text("1024 × 1024 px · PNG")
    assert page.locator("#headshot-live img").get_attribute("alt")
    assert page.locator("#headshot-before img").get_attribute("alt")

    with page.expect_download() as download:
        page.locator("#headshot-save").click()
    assert download.value.suggested_filename == "hopper_headshot-linkedin-1.png"
    download.value.save_as(tmp_path / "saved.png")
    result = studio.service.jobs.list_jobs("local", 1, tool="headshot")[0].result
    assert result is not None
    assert (tmp_path / "saved.png").read_bytes() == studio.service.files.local_path(result.files[0].id).read_bytes()


def test_download_beside_a_draft_makes_the_full_size_and_saves_it(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "headshot")
    page.locator("#headshot-example-hopper").click()
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    expect(page.locator("#headshot-save")).to_be_hidden()
    with page.expect_download() as download:
        page.locator("#headshot-stage").get_by_role("button", name="Generate and download").click()
    assert download.value.suggested_filename == "hopper_headshot-linkedin-1.png"
    with PIL.Image.open(download.value.path()) as picture:
        assert picture.size == (1024, 1024)
    expect(page.locator("#headshot-save")).to_be_visible()


def test_download_beside_a_draft_saves_nothing_once_it_was_stopped_and_a_refresh_finds_the_running_job_again(
    page: Page, studio: ServedPage
) -> None:
    saved: list[Download] = []
    page.on("download", lambda download: saved.append(download))  # Playwright marks what it is given
    open_tool(page, studio, "slow")
    page.locator("#slow-example-coffee").click()
    expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)
    studio.gate.open.clear()
    page.locator("#slow-stage").get_by_role("button", name="Generate and download").click()
    expect(page.locator("#slow-stop")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(find_progress_line(page, "slow")).to_contain_text("Stopped")
    studio.gate.open.set()
    wait_until(studio.is_idle, 60)
    page.locator("#slow-generate").click()
    expect(find_progress_line(page, "slow")).to_contain_text("Done in")
    expect(page.locator("#slow-save")).to_be_enabled()
    page.wait_for_timeout(500)
    assert not saved

    page.locator("#slow-note textarea").fill("keep this")
    page.locator("#slow-note textarea").blur()
    expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle)
    studio.gate.open.clear()
    page.locator("#slow-generate").click()
    expect(page.locator("#slow-stop")).to_be_enabled()

    page.reload()
    expect(page.locator("#slow-stop")).to_be_enabled()
    assert not studio.is_idle()
    studio.gate.open.set()
    expect(page.locator("#slow-save")).to_be_enabled()
    expect(page.locator("#slow-note textarea")).to_have_value("keep this")
    expect(page.locator("#slow-photo img")).to_be_visible()


def test_an_error_about_no_field_lies_over_the_picture_until_another_look_draws_a_new_draft(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_tool(page, studio, "headshot")
    page.locator("#headshot-example-hopper").click()
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")

    def refuse(*args: object, **options: object) -> Job:
        raise StudioError("Nobody draws that here.", code="content_policy")

    with monkeypatch.context() as patched:
        patched.setattr(studio.service, "create_job", refuse)
        page.locator("#headshot-generate").click()
        alert = page.locator(".block:has(> * .dbx-stage, > .dbx-stage) > .dbx-alert.placed:visible").first
        expect(alert).to_contain_text("Nobody draws that here.")
        expect(alert).to_be_in_viewport()
    before = page.locator("#headshot-live img").get_attribute("src")
    page.locator("#headshot-preset input").first.focus()
    page.keyboard.press("ArrowRight")  # the tiles are a radio, so arrow keys choose
    expect(page.locator("#headshot-preset input").nth(1)).to_be_checked()
    expect(page.locator("#headshot-live img")).not_to_have_attribute("src", before or "")
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    expect(alert).to_have_count(0)


def test_a_shape_that_cuts_the_product_is_changed_on_the_picture(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    with PIL.Image.open(EXAMPLES / "coffee.jpg") as cup:
        width, height = cup.size
        cup.crop((0, int(0.35 * height), width, int(0.75 * height))).save(tmp_path / "low.jpg", quality=95)
    open_tool(page, studio, "product")
    upload_photo(page, "product", tmp_path / "low.jpg")
    expect(find_progress_line(page, "product")).to_contain_text("Draft, small for speed")
    doubt = page.locator("#product-box .dbx-doubt")
    expect(doubt).to_contain_text("1:1 cuts the subject")
    use = doubt.get_by_role("button", name=re.compile(r"Use \d+:\d+"))
    shape = use.inner_text().removeprefix("Use ")
    wait_until(studio.is_idle, 60)
    drafted = page.locator("#product-live img").get_attribute("src")
    use.click()
    expect(page.locator("#product-ratio label", has_text=shape).locator("input")).to_be_checked()
    expect(page.locator("#product-live img")).not_to_have_attribute("src", str(drafted))
    expect(find_progress_line(page, "product")).to_contain_text("Draft, small for speed")
    expect(doubt).not_to_contain_text("cuts the subject")


def test_previews_arrive_while_the_work_goes_on_and_stop_is_felt_at_once(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "slow")
    page.locator("#slow-example-coffee").click()
    expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
    studio.gate.pause = 0.1
    page.locator("#slow-steps input[type=number]").fill("150")
    page.keyboard.press("Control+Enter")
    expect(find_progress_line(page, "slow")).to_contain_text("of 150")
    first = page.locator("#slow-live img").get_attribute("src") or ""
    assert first.startswith("data:image/jpeg")
    expect(page.locator("#slow-live img")).not_to_have_attribute("src", first)

    studio.gate.open.clear()  # from here on a step lasts for ever, and Stop is felt all the same
    time.sleep(3 * studio.gate.pause)
    begun = studio.gate.entered
    page.keyboard.press("Escape")
    expect(find_progress_line(page, "slow")).to_contain_text("Stopped")
    expect(page.locator("#slow-generate")).to_be_enabled()
    assert studio.gate.entered == begun
    assert not studio.is_idle()
    studio.gate.open.set()
    wait_until(studio.is_idle, 60)
    assert studio.gate.entered == begun  # the step that was under way was the last


def test_a_text_renamed_png_is_a_sentence_in_its_field_and_nothing_entered_is_lost(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    fake = tmp_path / "fake.png"
    fake.write_text("This is no picture.\n" * 50)
    open_tool(page, studio, "headshot")
    page.locator("#headshot-background textarea").fill("forest")
    upload_photo(page, "headshot", fake)
    alert = page.locator("#headshot-photo [role=alert]")
    expect(alert).to_be_visible()
    assert len(alert.inner_text()) > 20
    expect(page.locator("#headshot-background textarea")).to_have_value("forest")
    upload_photo(page, "headshot", EXAMPLES / "hopper.jpg")
    expect(alert).to_be_hidden()


def test_a_strangers_photo_asks_for_consent_beside_the_box(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    with PIL.Image.open(EXAMPLES / "hopper.jpg") as picture:
        picture.convert("RGB").transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "own.png")
    open_tool(page, studio, "headshot")
    upload_photo(page, "headshot", tmp_path / "own.png")
    alert = page.locator("#headshot-consent [role=alert]")
    expect(alert).to_contain_text("permission")
    page.locator("#headshot-consent input").check()
    expect(alert).to_be_hidden()
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")


def test_a_refused_picture_does_not_bring_back_that_of_another_photo(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    with PIL.Image.open(EXAMPLES / "hopper.jpg") as picture:
        picture.convert("RGB").crop((9, 0, *picture.size)).save(tmp_path / "own.png")
    open_tool(page, studio, "headshot")
    page.locator("#headshot-example-astronaut").click()
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle, 60)
    page.locator("#headshot-generate").click()
    expect(page.locator("#headshot-save")).to_be_enabled()
    page.locator("#headshot-photo").get_by_label("Remove Image").click()
    page.locator("#headshot-photo input[type=file]").set_input_files(tmp_path / "own.png")
    expect(page.locator("#headshot-consent [role=alert]")).to_contain_text("permission")
    with page.expect_response(lambda response: "/queue/join" in response.url):
        page.locator("#headshot-generate").click()
    page.wait_for_timeout(1500)  # as long as the answer and the buttons after it take
    expect(page.locator("#headshot-save")).to_be_disabled()
    expect(page.locator("#headshot-live img")).to_have_count(0)


@pytest.fixture
def was_changed(studio: ServedPage, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until it is set, no photo is read."""
    event, uploads = threading.Event(), studio.service.uploads
    ingest = uploads.ingest_picture
    monkeypatch.setattr(uploads, "ingest_picture", lambda *args: event.wait(30) and ingest(*args))
    return event


def choose_photo(page: Page, tool: str, path: Path) -> None:
    """Add a photo and return once the studio was told of it."""
    with page.expect_request(lambda request: "/queue/join" in request.url and path.name in (request.post_data or "")):
        page.locator(f"#{tool}-photo input[type=file]").set_input_files(path)


def test_consent_or_a_field_changed_while_the_photo_is_still_being_read_is_heard(
    page: Page, studio: ServedPage, tmp_path: Path, was_changed: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PIL.Image.open(EXAMPLES / "hopper.jpg") as picture:
        picture.convert("RGB").crop((8, 0, *picture.size)).save(tmp_path / "own.png")
    open_tool(page, studio, "headshot")
    choose_photo(page, "headshot", tmp_path / "own.png")
    with page.expect_request("**/queue/join**"):
        page.locator("#headshot-consent input").check()
    was_changed.set()
    expect(find_progress_line(page, "headshot")).to_contain_text("Draft, small for speed")
    expect(page.locator("#headshot-consent [role=alert]")).to_be_hidden()
    wait_until(studio.is_idle, 60)

    jobs, submit = [], studio.service.jobs.submit_and_watch
    monkeypatch.setattr(studio.service.jobs, "submit_and_watch", lambda job: (jobs.append(job), submit(job))[1])
    was_changed.clear()
    show_tab(page, "cutout")
    page.evaluate(SETTLED_JS)
    choose_photo(page, "cutout", EXAMPLES / "coffee.jpg")
    with page.expect_request("**/queue/join**"):
        page.locator("#cutout-trim input").uncheck()
    was_changed.set()
    wait_until(lambda: bool(jobs) and not jobs[-1].params["trim"], 60)
    wait_until(studio.is_idle, 60)


def test_a_result_is_sent_to_another_tool_and_its_settings_come_back(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "cutout")
    page.locator("#cutout-example-coffee").click()
    expect(find_progress_line(page, "cutout")).to_contain_text("Draft, small for speed")
    page.locator("#cutout-trim input").uncheck()
    wait_until(studio.is_idle)
    page.locator("#cutout-generate").click()
    expect(page.locator("#cutout-save")).to_be_enabled()
    expect(page.locator("#cutout-stage")).to_contain_text("600 × 400 px")

    page.locator("#cutout-photo .icon-button-wrapper button").last.click()  # take the photo away
    expect(page.locator("#cutout-photo img")).to_be_hidden()
    open_menu(page, "cutout")
    page.locator("#cutout-reuse").click()
    expect(page.locator("#cutout-photo img")).to_be_visible()
    expect(page.locator("#cutout-trim input")).not_to_be_checked()

    page.evaluate("scrollTo(0, 200)")
    page.locator("#cutout-send input").click()
    page.get_by_role("option", name="Product Photos").click()
    expect(page.locator("#product-photo img")).to_be_visible()
    assert page.evaluate("scrollY") == 0, "the picture stands above the form"
    expect(find_progress_line(page, "product")).to_contain_text("Draft, small for speed")
    expect(page).to_have_url(f"{studio.url}/#product")


def draw_by_touch(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A line with a finger."""
    client = page.context.new_cdp_session(page)
    client.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for n in range(9):
        x, y = (start[axis] + (end[axis] - start[axis]) * n / 8 for axis in (0, 1))
        kind = "touchMove" if n else "touchStart"
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    client.send("Emulation.setTouchEmulationEnabled", {"enabled": False})


def draw_by_mouse(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A line with the mouse."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=8)
    page.mouse.up()


def test_a_finger_paints_a_stroke_is_undone_and_one_is_erased(page: Page, studio: ServedPage) -> None:
    photo = next(row.file_id for row in studio.service.uploads.list_examples() if row.name == "coffee")
    cut = wait_for_result(
        studio.service.jobs.watch(
            studio.service.jobs.submit(studio.service.create_job("cutout", {"photo": photo, "trim": False}, "local"))
        )
    )
    automatic = studio.service.files.open_image(next(file.id for file in cut.files if file.role == "matte"))[..., 0]
    open_tool(page, studio, "product")
    page.locator("#product-example-coffee").click()
    expect(find_progress_line(page, "product")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle)
    drafted = page.locator("#product-live img").get_attribute("src") or ""
    page.locator("#product-adjust-subject > button").click()
    page.locator("#product-brush").click()
    editor = page.locator("#product-editor")
    editor.locator("canvas").first.wait_for()
    page.locator("#product-brush-use").scroll_into_view_if_needed()

    def at(right: float, down: float) -> tuple[float, float]:
        box = editor.locator("canvas").first.bounding_box()  # a click on a tool may have scrolled
        assert box is not None
        return box["x"] + box["width"] * right, box["y"] + box["height"] * down

    draw_by_mouse(page, at(0.1, 0.7), at(0.16, 0.7))
    editor.get_by_role("button", name="Undo").click()
    draw_by_touch(page, at(0.1, 0.28), at(0.34, 0.28))
    editor.get_by_role("button", name="Eraser").click()
    draw_by_mouse(page, at(0.22, 0.28), at(0.36, 0.28))
    page.locator("#product-brush-use").click()
    expect(page.locator("#product-matte")).to_contain_text("Your own cut-out")
    expect(page.locator("#product-live img")).not_to_have_attribute("src", drafted)
    matte = studio.service.files.open_image(studio.service.files.list_files("local", 1)[0].id)[..., 0]
    rows, columns = np.nonzero(np.abs(matte.astype(int) - automatic) > 40)
    assert len(rows) > 200, "the finger's stroke is in the matte"
    assert rows.max() < 0.5 * matte.shape[0], "the stroke below was undone"
    left, right = ((columns > low) & (columns < low + 50) for low in (40, 130))  # the eraser leaves a soft rim
    assert right.sum() < 0.3 * left.sum(), "the stroke's right half was erased"


def test_a_brush_that_painted_nothing_leaves_the_picture_and_a_cut_out_may_be_uploaded_and_given_up_again(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    open_tool(page, studio, "product")
    page.locator("#product-example-coffee").click()
    expect(find_progress_line(page, "product")).to_contain_text("Draft, small for speed")
    wait_until(studio.is_idle)
    page.locator("#product-generate").click()
    expect(page.locator("#product-save")).to_be_enabled()
    wait_until(studio.is_idle)
    picture = page.locator("#product-live img").get_attribute("src") or ""
    page.locator("#product-adjust-subject > button").click()
    for close in ("use", "cancel"):
        page.locator("#product-brush").click()
        page.locator("#product-editor canvas").first.wait_for()
        page.locator("#product-brush-use").scroll_into_view_if_needed()
        if close == "cancel":
            box = page.locator("#product-editor canvas").first.bounding_box()
            assert box is not None
            x, y = box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.4
            draw_by_mouse(page, (x, y), (x - 40, y - 20))
        page.locator(f"#product-brush-{close}").click()
        expect(page.locator("#product-editor")).to_be_hidden()
        page.wait_for_timeout(500)  # a draft would have begun by now
        wait_until(studio.is_idle)
        expect(find_progress_line(page, "product")).to_contain_text("Done in")
        expect(page.locator("#product-live img")).to_have_attribute("src", picture)
        expect(page.locator("#product-save")).to_be_enabled()
        expect(page.locator("#product-matte")).to_contain_text("automatic")

    automatic = page.locator("#product-live img").get_attribute("src") or ""
    PIL.Image.new("L", (300, 300), 255).save(tmp_path / "square.png")
    sent = page.locator("#product-adjust-subject input[type=file]").first
    sent.set_input_files(tmp_path / "square.png")
    refused = page.locator("#product-matte [role=alert]")
    expect(refused).to_contain_text("another shape")
    page.wait_for_timeout(500)  # a draft would have taken the sentence away by now
    expect(refused).to_contain_text("another shape")
    left = PIL.Image.new("RGBA", (300, 200), (9, 9, 9, 0))
    left.paste((9, 9, 9, 255), (60, 20, 150, 180))
    left.save(tmp_path / "left.png")
    sent.set_input_files(tmp_path / "left.png")
    expect(page.locator("#product-matte")).to_contain_text("Your own cut-out")
    expect(page.locator("#product-live img")).not_to_have_attribute("src", automatic)
    matte = studio.service.files.open_image(studio.service.files.list_files("local", 1)[0].id)
    assert matte.shape == (400, 600, 3), "the photo's size"
    assert [int(matte[200, x, 0]) for x in (60, 210, 450)] == [0, 255, 0], "its opacity, not its colour"
    page.locator("#product-matte").get_by_role("button", name="Back to automatic").click()
    expect(page.locator("#product-matte")).to_contain_text("The automatic cut-out is in use")


def write_plates(folder: Path, *colours: tuple[int, int, int]) -> list[Path]:
    """A plain picture of each colour, on disk."""
    paths = [folder / f"plate-{n}.png" for n in range(len(colours))]
    for path, colour in zip(paths, colours, strict=True):
        PIL.Image.new("RGB", (96, 96), colour).save(path)
    return paths


def test_several_pictures_keep_their_order_and_any_can_be_taken_out(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    open_tool(page, studio, "album")
    red, green, blue = write_plates(tmp_path, (200, 0, 0), (0, 200, 0), (0, 0, 200))
    album = page.locator("#album-photos")
    album.locator("input[type=file]").set_input_files([red])
    expect(album.locator("img")).to_have_attribute("src", re.compile("^data:"))  # taken in: no hand is quicker
    expect(album.locator("img")).to_have_count(1)
    album.locator("input[type=file]").set_input_files([green, blue])
    expect(album.locator("img")).to_have_count(3)
    expect(find_progress_line(page, "album")).to_contain_text("Draft, small for speed")
    album.locator(".thumbnail-item").nth(1).hover()
    album.get_by_label("Remove picture 2").click()
    expect(album.locator("img")).to_have_count(2)
    page.locator("#album-generate").click()  # at once: what the click asks for is made without the one taken out
    wait_until(lambda: len(studio.service.jobs.list_jobs("local", 9, tool="album")) > 0 and studio.is_idle())
    expect(page.locator("#album-save")).to_be_enabled()

    row = studio.service.jobs.list_jobs("local", 1, tool="album")[0]
    assert row.result is not None
    made = studio.service.files.open_image(row.result.files[0].id)
    assert [made[0, 0].tolist(), made[0, -1].tolist()] == [[200, 0, 0], [0, 0, 200]]

    fake = tmp_path / "fake.png"
    fake.write_text("This is no picture.")
    album.locator("input[type=file]").set_input_files([fake, green])
    expect(album.locator("[role=alert]")).to_contain_text("fake.png")
    expect(album.locator("img")).to_have_count(3)


def paste_picture(page: Page, plate: Path) -> None:
    """The picture leaves the browser; a field that is being drawn anew just then hears nothing, and is asked again."""
    for _ in range(5):
        with suppress(TimeoutError), page.expect_request(lambda asked: "/upload" in asked.url, timeout=10_000):
            page.locator("#album-photos input[type=file]").set_input_files([plate])
            return
    raise AssertionError(f"{plate.name} never left the browser")


def test_uploads_right_after_another_are_kept_in_their_order(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]
    open_tool(page, studio, "album")
    album = page.locator("#album-photos")
    for n, plate in enumerate(write_plates(tmp_path, *colours)):
        paste_picture(page, plate)
        page.wait_for_timeout(60 * n)  # the second comes before the first is taken in, the others about then
    expect(album.locator("img[src^='data:']")).to_have_count(len(colours))
    wait_until(studio.is_idle)
    page.locator("#album-generate").click()
    expect(page.locator("#album-save")).to_be_enabled()
    row = studio.service.jobs.list_jobs("local", 1, tool="album")[0]
    assert row.result is not None
    made = studio.service.files.open_image(row.result.files[0].id)
    assert [made[0, x].tolist() for x in (0, 64, 128, 192)] == [list(colour) for colour in colours]


def test_a_key_is_made_on_the_api_tab_and_shown_once(page: Page, studio: ServedPage) -> None:
    page.goto(f"{studio.url}/#api")
    page.locator("#api-name input, #api-name textarea").fill("laptop")
    page.locator("#api-new").click()
    secret = page.locator("#api-secret input, #api-secret textarea")
    expect(secret).to_have_value(re.compile("^sk-dbx-"))
    headers = {"Authorization": f"Bearer {secret.input_value()}"}
    assert page.request.get(f"{studio.url}/v1/tools", headers=headers).status == 200
    expect(page.locator("#api-keys")).to_contain_text("laptop")
    page.reload()
    expect(page.locator("#api-keys")).to_contain_text("laptop")
    expect(secret).to_be_hidden()


def test_a_link_opens_its_tool_with_its_settings_and_a_refresh_does_not_bring_them_back(
    page: Page, studio: ServedPage
) -> None:
    page.goto(f"{studio.url}/?tool=headshot&preset=park&size=768&background=forest&nonsense=1")
    expect(page.locator("#headshot-preset label:has(input:checked)")).to_have_text("Park")
    expect(page.locator("#headshot-size input[type=number]")).to_have_value("768")
    expect(page.locator("#headshot-background textarea")).to_have_value("forest")
    expect(page).to_have_url(f"{studio.url}/#headshot")


def test_the_same_picture_comes_as_another_kind_of_file_and_with_a_link(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "cutout")
    page.locator("#cutout-example-coffee").click()
    expect(find_progress_line(page, "cutout")).to_contain_text("Draft, small for speed")
    page.locator("#cutout-generate").click()
    expect(find_progress_line(page, "cutout")).to_contain_text("PNG")
    for kind in ("webp", "avif"):
        studio.gate.open.clear()
        page.locator("#cutout-format-of-file input").click()
        page.get_by_role("option", name=kind.upper()).click()
        save = page.locator("#cutout-save")
        expect(save).to_be_disabled()
        place = save.bounding_box()
        assert place is not None
        page.mouse.click(place["x"] + 20, place["y"] + 20)  # the file is not made yet
        expect(save).to_have_attribute("data-told", "awaited")
        with page.expect_download() as download:
            studio.gate.open.set()
        expect(find_progress_line(page, "cutout")).to_contain_text(kind.upper())
        expect(save).to_have_attribute("data-told", "saved")
        assert download.value.suggested_filename.endswith(f".{kind}")
        with PIL.Image.open(download.value.path()) as picture:
            assert (picture.format, picture.mode) == (kind.upper(), "RGBA")
    page.locator("#cutout-code > button").click()
    expect(page.locator("#cutout-link textarea, #cutout-link input")).to_have_value(
        re.compile(r"/\?tool=cutout.*format=avif")
    )
