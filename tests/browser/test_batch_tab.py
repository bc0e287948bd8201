from __future__ import annotations

import csv
import io
import json
import re
import threading
import zipfile
from pathlib import Path

import PIL.Image
import pytest
from gradio.utils import get_upload_folder
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from sqlalchemy import text, update

from pipelines.batch.batch_service import BatchOptions, BatchService
from pipelines.batch.batch_table import Batch, RowState
from pipelines.batch.jobs_file import ParsedRow
from pipelines.batch.row_values import BatchPlan
from pipelines.codecs.encode import C2PA_MIME_TYPES
from pipelines.core.job import result_to_json
from pipelines.service.studio_service import StudioService
from pipelines.storage.schema import BATCH_ROWS, JOBS
from tests.browser.studio_page import (
    ServedPage,
    delete_visitor_jobs,
    find_progress_line,
    open_browser_page,
    open_menu,
    open_tool,
)
from tests.jobs.test_webhooks import receiving
from tests.support.batch_rows import write_picture
from tests.support.download_doors import read_validation_state
from tests.support.examples import EXAMPLES, make_noise
from tests.support.served_app import wait_until
from ui.batch_tab import events
from ui.components.pictures import UPLOAD_GONE_MESSAGE
from ui.i18n import translate
from ui.tool_tab.text import describe_doubt

TOOL_IDS = ("cutout", "product")


def choose_tool(page: Page, title: str | re.Pattern[str]) -> None:
    """Choose what to make of all rows."""
    page.locator("#batch-which input").click()
    page.get_by_role("option", name=title).click()


def drop_table(page: Page, studio: ServedPage, folder: Path, table: str) -> None:
    """The tab with a table and two pictures in it, for the tool whose steps wait."""
    paths = [write_picture(folder / f"{n}.png", 40 * n) for n in (1, 2)]
    (folder / "jobs.csv").write_text(table)
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    page.locator("#batch-which input").click()
    start = page.locator("#batch-start")
    expect(start).not_to_have_class(re.compile(r"\bprimary\b"))  # there is nothing to start yet
    page.get_by_role("option", name="Slow Motion").click()
    expect(start).to_have_class(re.compile(r"\bprimary\b"))
    page.locator("#batch-files input[type=file]").first.set_input_files([folder / "jobs.csv", *paths])
    expect(page.locator("#batch-files")).to_contain_text("jobs")
    page.wait_for_timeout(300)


def test_a_dry_run_names_what_will_fail_and_start_does_the_rest_with_a_manifest(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    before = [row.job.id for row in studio.service.jobs.list_jobs("local")]
    drop_table(page, studio, tmp_path, "photo,steps\n1.png,2\n2.png,2\n3.png,2\n1.png,9999\n")
    page.locator("#batch-check").click()
    expect(page.locator("#batch-told")).to_contain_text("4 checked: 2 can be done, 2 cannot.")
    expect(page.locator("#batch-told")).to_contain_text("There is no picture '3.png'")
    expect(page.locator("#batch-told")).to_contain_text("4 · 1.png")
    expect(page.locator("#batch-told")).to_contain_text("are free")
    assert page.locator("#batch-told th").all_inner_texts() == ["Row", "Column", "What is wrong"]
    expect(page.locator("#batch-told")).not_to_contain_text("invalid_request")  # for programs
    about_zip = page.get_by_text("The ZIP also holds a table")
    expect(about_zip).to_be_hidden()
    assert [row.job.id for row in studio.service.jobs.list_jobs("local")] == before

    page.locator("#batch-start").click()
    expect(page.locator("#batch-stage")).to_contain_text("Done: 2 of 4 · 2 failed")
    expect(page.locator("#batch-sheet img")).to_have_count(2)
    expect(about_zip).to_be_visible()
    with page.expect_download() as caught:
        page.locator("#batch-save").click()
    assert read_validation_state(Path(caught.value.path()).read_bytes(), C2PA_MIME_TYPES["zip"]) == "Valid"
    with zipfile.ZipFile(caught.value.path()) as out:
        rows = list(csv.DictReader(io.StringIO(out.read("manifest.csv").decode("utf-8-sig"))))
        assert [row["status"] for row in rows] == ["done", "done", "failed", "failed"]
        assert all(row["file"] in out.namelist() for row in rows[:2])

    write_picture(tmp_path / "next.png", 40)
    page.locator("#batch-files input[type=file]").first.set_input_files(tmp_path / "next.png")
    expect(page.locator("#batch-stage")).to_contain_text("1 file.")
    expect(page.locator("#batch-sheet img")).to_have_count(0)
    expect(page.locator("#batch-save")).to_be_disabled()
    page.reload()
    expect(page.locator("#batch-sheet img")).to_have_count(2)


def test_a_waiting_row_shows_its_own_photo_small_until_its_picture_is_there(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    drop_table(page, studio, tmp_path, "photo,steps\n1.png,2\n2.png,2\n")
    studio.gate.open.clear()
    page.locator("#batch-start").click()
    photos = page.locator("#batch-sheet i[style*='--dbx-file']")
    expect(photos).to_have_count(2)
    shown = photos.evaluate_all("all => all.map((photo) => photo.style.cssText)")
    assert shown[0] != shown[1]
    expect(page.locator("#batch-sheet span")).to_have_text(["1 · 1.png", "2 · 2.png"])
    page.locator("#batch-files input[type=file]").first.set_input_files(write_picture(tmp_path / "new" / "1.png", 200))
    expect(page.locator("#batch-files .filename")).to_have_attribute("style", re.compile("--dbx-file"))
    sheet = page.locator("#batch-sheet ul")
    before = sheet.get_attribute("data-sent")
    page.goto(f"{studio.url}/#home")
    page.goto(f"{studio.url}/#batch")
    expect(sheet).not_to_have_attribute("data-sent", before or "")  # it came anew
    for n in (0, 1):  # not another photo of that name
        expect(page.locator("#batch-sheet i").nth(n)).to_have_attribute("style", shown[n])
    studio.gate.open.set()
    expect(page.locator("#batch-sheet img")).to_have_count(2)
    expect(page.locator("#batch-sheet i")).to_have_count(0)


def test_a_batch_is_paused_found_again_after_a_refresh_resumed_and_cancelled(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    studio.gate.pause = 0.25
    drop_table(page, studio, tmp_path, "photo,steps\n" + "1.png,3\n2.png,3\n" * 80)  # two minutes, of which few pass
    page.locator("#batch-start").click()
    expect(page.locator("#batch-stage")).to_contain_text("Working")
    expect(page.locator("#batch-stage")).to_contain_text("a minute")
    page.locator("#batch-pause").click()
    expect(page.locator("#batch-stage")).to_contain_text("Paused")
    wait_until(studio.is_idle, 60)

    page.reload()
    expect(page.locator("#batch-stage")).to_contain_text("Paused")
    expect(page.locator("#batch-sheet li")).to_have_count(48)  # what is done, then the names of what waits
    expect(page.locator("#batch-sheet li:has(> i)").last).to_contain_text("png")
    page.locator("#batch-pause").click()
    expect(page.locator("#batch-stage")).to_contain_text("Working")
    page.locator("#batch-cancel").click()
    expect(page.locator("#batch-stage")).to_contain_text("Cancelled")
    expect(page.locator("#batch-sheet i")).to_have_count(0)
    begun = studio.gate.entered
    wait_until(studio.is_idle, 60)
    assert studio.gate.entered <= begun + 1  # the step that was under way was the last


COPIED = "owner, status, draft, batch, created, started, finished, result, batch_id, tool, profile, helper, said"


def run_batch(studio: ServedPage, folder: Path, rows: int) -> str:
    """A batch whose rows are all done: one is drawn, and the others are told to have become the same picture."""
    batches = BatchService(studio.service)
    photo = studio.service.uploads.ingest_picture(write_picture(folder / "p.png").read_bytes(), "local")[0]
    lines = (ParsedRow(n, {"photo": photo, "steps": 1}) for n in range(1, rows + 1))
    batch = batches.create_batch(BatchPlan("slow", {}), lines, "local", BatchOptions(seed=1))
    first = studio.service.create_job("slow", {"photo": photo, "steps": 1}, "local", batch=True)
    studio.service.jobs.submit(first, (batch.id, 1))
    wait_until(lambda: (row := studio.service.jobs.get_job(first.id)) is not None and row.status == "done", 60)
    db = studio.service.jobs.table.db
    with batches.jobs.table.db.transaction():
        for n in range(2, rows + 1):
            copied = text(
                f"INSERT INTO jobs (id, job, batch_row, {COPIED}) SELECT :id, replace(job, id, :id), :row, {COPIED} "
                "FROM jobs WHERE id = :first"
            )
            db.execute(copied, {"id": f"job-{n}-{batch.id}", "row": n, "first": first.id})
        db.execute(update(BATCH_ROWS).where(BATCH_ROWS.c.batch == batch.id).values(state="given"))
        batches.table.set_state(batch.id, "done")
    return batch.id


def test_of_a_batch_that_was_deleted_nothing_is_told(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    run_batch(studio, tmp_path, 2)
    page.goto(f"{studio.url}/#batch")
    expect(page.locator("#batch-stage")).to_contain_text("Done: 2 of 2")
    delete_visitor_jobs(studio)
    page.goto(f"{studio.url}/#library")
    page.goto(f"{studio.url}/#batch")
    expect(page.locator("#batch-stage")).to_contain_text("Add pictures")
    expect(page.locator("#batch-sheet img")).to_have_count(0)
    expect(page.locator("#batch-save")).to_be_disabled()


def test_a_large_batch_is_looked_at_page_by_page_until_another_is_begun_elsewhere(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    run_batch(studio, tmp_path, 100)
    page.goto(f"{studio.url}/#batch")
    expect(page.locator("#batch-stage")).to_contain_text("Done: 100 of 100")
    seen = []
    for shown in ("1–48 of 100", "49–96 of 100", "97–100 of 100"):
        expect(page.locator("#batch-where")).to_contain_text(shown)
        seen += page.locator("#batch-sheet span").all_inner_texts()
        if shown[0] != "9":
            page.locator("#batch-forth").click()
    assert seen == [str(n) for n in range(1, 101)]
    expect(page.locator("#batch-forth")).to_be_disabled()
    page.locator("#batch-back").click()
    expect(page.locator("#batch-where")).to_contain_text("49–96 of 100")

    studio.gate.open.clear()
    batches = BatchService(studio.service)
    photo = studio.service.uploads.ingest_picture((tmp_path / "p.png").read_bytes(), "local")[0]
    batch = batches.create_batch(
        BatchPlan("slow", {}),
        (ParsedRow(n, {"photo": photo, "steps": 1}) for n in (1, 2)),
        "local",
        BatchOptions(seed=1),
    )
    batches.start(batch.id)
    expect(page.locator("#batch-stage")).to_contain_text("of 2")  # begun elsewhere while the tab is looked at
    studio.gate.open.set()
    expect(page.locator("#batch-stage")).to_contain_text("Done: 2 of 2")


def test_what_cannot_be_read_is_a_sentence_and_the_form_stays(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    drop_table(page, studio, tmp_path, "photo,photo\n1.png,1.png\n")
    page.locator("#batch-start").click()
    expect(page.locator("#batch-stage")).to_contain_text("Two columns are called 'photo'")


def test_apply_to_a_folder_fills_in_the_batch_form(page: Page, studio: ServedPage) -> None:
    open_tool(page, studio, "slow")
    page.locator("#slow-example-coffee").click()
    expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
    page.locator("#slow-mood input[value=loud]").check()
    expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
    page.locator("#slow-generate").click()
    expect(page.locator("#slow-folder")).to_be_enabled()
    open_menu(page, "slow")
    page.locator("#slow-folder").click()
    expect(page.locator("#batch-start")).to_be_visible()
    expect(page.locator("#batch-which input")).to_have_value("Slow Motion")
    page.get_by_text("More settings for all").click()
    filled = page.locator("#batch-more textarea")
    expect(page.locator("#batch-add")).to_contain_text("Mood → loud")
    expect(filled).to_have_value(re.compile(r"seed = \d+"))


def test_a_setting_for_all_is_chosen_from_a_list(page: Page, studio: ServedPage) -> None:
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    page.locator("#batch-tool .dbx-more > button").first.click()
    expect(page.locator("#batch-add")).to_be_hidden()
    choose_tool(page, "Product Photos")
    lines = page.locator("#batch-more textarea")
    lines.fill("size = 700\nratio = 1:1")
    added, chosen = page.locator("#batch-add input"), page.locator("#batch-add .token")
    for name in ("Shape → 4:5", "Shape → 16:9"):
        added.click()
        page.get_by_role("option", name=name).click()
        expect(chosen).to_have_text([name])  # one of a field: the last
        expect(lines).to_have_value("size = 700")
    added.click()
    page.get_by_role("option", name="Background in words → type it below").click()  # which are typed
    expect(lines).to_have_value("size = 700\nbackground =")
    expect(chosen).to_have_text(["Shape → 16:9"])
    added.click()
    page.get_by_role("option", name="Size → 512 px").click()
    expect(lines).to_have_value("background =")
    choose_tool(page, "Cut-out")  # which has no shape
    expect(chosen).to_have_count(0)


DOUBTED = ("astronaut", "chelsea")  # by the small nets, both with less than half of the subject unsettled
DOUBTED_SIDE_PX = 512
BADGES = ["Small doubt", "Check"]
"""What the sheet marks them with: the first has an uncertainty of 0.17, the other of 0.49."""


def run_doubted_batch(page: Page, studio: ServedPage, side: int = DOUBTED_SIDE_PX) -> list[str]:
    """Two rows of the first tool, whose cut-outs are doubted, done and on the sheet; returns what is said of each."""
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    choose_tool(page, re.compile("Product Photos|Produktfotos"))
    page.locator("#batch-files input[type=file]").first.set_input_files([EXAMPLES / f"{name}.jpg" for name in DOUBTED])
    expect(page.locator("#batch-files")).to_contain_text(DOUBTED[1])
    page.locator("#batch-tool .dbx-more > button").first.click()
    page.locator("#batch-more textarea").fill(f"size = {side}")
    page.locator("#batch-start").click()
    return read_doubts(page, studio)


def read_doubts(page: Page, studio: ServedPage) -> list[str]:
    """Wait for both rows on the sheet, and return what is said of each."""
    expect(page.locator("#batch-sheet li > button:first-child")).to_have_count(2)
    wait_until(studio.is_idle, 60)
    jobs = studio.service.jobs.list_jobs("local", 2, tool="product")
    told = [describe_doubt(row.result.receipt) for row in sorted(jobs, key=lambda row: row.job.label) if row.result]
    assert all(told)
    return told


def find_doubted_batch(studio: ServedPage) -> Batch | None:
    """The batch that the tests at the end share, unless one of them has left another picture in it."""
    batches = BatchService(studio.service)
    for newest in batches.list_batches("local", 1):
        is_shared = newest.tool == "product" and newest.shared.get("size") == str(DOUBTED_SIDE_PX)
        if is_shared and not batches.table.list_replacements(newest.id):
            return newest
    return None


def open_doubted_batch(page: Page, studio: ServedPage) -> list[str]:
    """As `run_doubted_batch`, with the rows of the test before where they are still there."""
    if find_doubted_batch(studio) is None:
        return run_doubted_batch(page, studio)
    page.goto(f"{studio.url}/#batch")
    return read_doubts(page, studio)


@pytest.fixture
def _delete_jobs(studio: ServedPage) -> None:
    """Leave only the doubted batch, as if nobody had looked at it: each row costs as much as a page."""
    batches, shared = BatchService(studio.service), find_doubted_batch(studio)
    shared_id = shared.id if shared else ""
    delete_visitor_jobs(studio, kept={row.job_id for row in batches.iter_rows(shared_id)})
    for row in batches.table.list_approvals(shared_id):
        batches.table.withdraw_approval(shared_id, row)


def test_a_row_in_which_nothing_stands_out_is_repaired_and_put_into_the_batch(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    PIL.Image.fromarray(make_noise(300, 400, 120, 4)).save(tmp_path / "wall.png")
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    choose_tool(page, "Product Photos")
    page.locator("#batch-files input[type=file]").first.set_input_files([tmp_path / "wall.png"])
    expect(page.locator("#batch-files")).to_contain_text("wall")
    page.locator("#batch-start").click()
    expect(page.locator("#batch-told")).to_contain_text("Nothing stands out")
    page.locator("#batch-told").get_by_role("button", name="Repair").click()
    box, layer = page.locator("#product-box"), page.locator("#product-box .dbx-point-layer")
    expect(box.locator(".dbx-point-bar")).to_be_visible()
    expect(box.locator(".dbx-point-bar")).not_to_have_attribute("aria-busy", "true")
    box.locator("[data-do=area]").click()
    frame = read_box(layer)
    page.mouse.move(frame["x"] + 1, frame["y"] + 1)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] - 2, frame["y"] + frame["height"] - 2, steps=8)
    page.mouse.up()
    expect(box.locator(".dbx-point-bar")).not_to_have_attribute("aria-busy", "true")
    box.locator("[data-do=done]").click()
    expect(find_progress_line(page, "product")).to_contain_text("Done in ")  # no draft, which could not go into it
    expect(page.locator("#product-put")).to_have_text("Put it into the batch")
    page.locator("#product-put").click()
    expect(page.locator("#product-batch-row")).to_contain_text("Now in your batch, row 1")
    expect(page.locator("#product-put")).to_be_hidden()  # an error cannot be put back
    page.go_back()
    expect(page.locator("#batch-stage")).to_contain_text("Done: 1 of 1")
    expect(page.locator("#batch-told")).not_to_contain_text("Nothing stands out")


def repair_by_pointing(page: Page, tool: str, x: float, y: float, *, is_finished: bool = True) -> None:
    """Point at what belongs, once, and close the panel where `is_finished`."""
    box = page.locator(f"#{tool}-box")
    box.locator("[data-do=start]").click()
    expect(box.locator(".dbx-point-bar")).not_to_have_attribute("aria-busy", "true")
    box.locator("[data-do=keep]").click()  # where background may be left it opens in Drop, and near the place
    farther = box.locator(".dbx-point-zoom [data-do=farther]")
    while farther.is_enabled():
        farther.click()
    frame = box.locator(".dbx-point-layer").bounding_box()
    assert frame is not None
    page.mouse.click(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
    expect(box.locator(".dbx-point-bar")).not_to_have_attribute("aria-busy", "true")
    if is_finished:
        box.locator("[data-do=done]").click()


def read_box(part: Locator) -> FloatRect:
    expect(part).to_be_visible()
    box = part.bounding_box()
    assert box is not None
    return box


def download_rows(page: Page) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """The pictures of the ZIP by name, and the manifest's rows."""
    with page.expect_download() as caught:
        page.locator("#batch-save").click()
    assert re.fullmatch(r"[a-z-]+-20\d\d-\d\d-\d\d\.zip", caught.value.suggested_filename)
    with zipfile.ZipFile(caught.value.path()) as out:
        rows = csv.DictReader(io.StringIO(out.read("manifest.csv").decode("utf-8-sig")))
        return {name: out.read(name) for name in out.namelist() if name.endswith(".png")}, list(rows)


PRESS_AND_TAKE_BACK_JS = """fine => {
  fine.click();
  fine.dataset.words = fine.dataset.words.replace("approve", "doubt");
  fine.click();
}"""
"""Two presses at once: the page sends both before one is answered."""


PRESS_AND_PRESS_THE_NEXT_JS = """fine => {
  const place = { bubbles: true, clientX: 9, clientY: 9 };
  const press = (detail) => fine.dispatchEvent(new MouseEvent("click", { ...place, detail }));
  press(1);
  fine.dataset.words = fine.dataset.words.replace(/ 1/, " 2");
  press(2);
}"""
"""A double click whose second press meets the next picture's button, at the same place."""


PUT_AND_PRESS_THE_NEXT_JS = """fine => {
  const place = { bubbles: true, clientX: 9, clientY: 9 };
  const put = document.body.appendChild(Object.assign(document.createElement("button"), { id: "some-put" }));
  put.dispatchEvent(new MouseEvent("click", { ...place, detail: 1 }));
  put.remove();
  fine.dispatchEvent(new MouseEvent("click", { ...place, detail: 2 }));
}"""
"""A double click that puts a picture into the batch, whose second press meets the next picture's button."""


def test_chosen_files_are_shown_small_with_name_and_size_and_any_can_be_taken_out(
    browser: Browser, studio: ServedPage, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("photo\na.png\n")
    (tmp_path / "phone.heic").write_bytes(b"no browser shows it")
    many = [write_picture(tmp_path / f"{n:03d}.png", 2 * n) for n in range(100)]
    for width, is_phone in ((1280, False), (390, True)):
        with open_browser_page(browser, studio, width=width, height=844, phone=is_phone) as page:
            page.goto(f"{studio.url}/#batch")
            page.locator("#batch-start").wait_for()
            chooser, rows = page.locator("#batch-files input[type=file]").first, page.locator("#batch-files tr.file")
            photos = [EXAMPLES / f"{name}.jpg" for name in DOUBTED]
            chooser.set_input_files([*photos, tmp_path / "rows.csv", tmp_path / "phone.heic"])
            shown = re.compile(r"--dbx-file: url\(.?data:image/jpeg")
            for n in (0, 1):
                expect(rows.nth(n).locator(".filename")).to_have_attribute("style", shown)
                expect(rows.nth(n)).to_contain_text(re.compile(rf"{DOUBTED[n]}.*KB"))
            first, second = (rows.nth(n).locator(".filename").get_attribute("style") for n in (0, 1))
            assert first != second
            for n in (2, 3):  # a plain sign
                expect(rows.nth(n).locator(".filename")).not_to_have_attribute("style", shown)
            for row in rows.all():
                box, remove = row.bounding_box(), row.get_by_label("Remove this file").bounding_box()
                assert box is not None
                assert remove is not None
                assert remove["x"] + remove["width"] <= box["x"] + box["width"] <= width
            rows.nth(0).get_by_label("Remove this file").click()
            expect(rows).to_have_count(3)
            expect(page.locator("#batch-stage")).to_contain_text("3 files.")
            expect(rows.nth(0).locator(".filename")).to_have_attribute("style", second or "")
            page.locator("#batch-files").get_by_label("Clear").click()
            chooser.set_input_files(many)
            expect(rows).to_have_count(100)
            expect(rows.nth(0).locator(".filename")).to_have_attribute("style", shown)
            page.wait_for_timeout(1000)
            assert page.locator("#batch-files td.filename[style]").count() < 30  # only what is in view is read
            rows.nth(99).scroll_into_view_if_needed()
            expect(rows.nth(99).locator(".filename")).to_have_attribute("style", shown)


def test_pictures_that_are_smaller_than_their_photos_say_how_to_get_more(page: Page, studio: ServedPage) -> None:
    run_doubted_batch(page, studio, 256)
    expect(page.locator("#batch-sheet li p")).to_have_text(["256 × 256 px"] * 2)
    made = [row.result for row in studio.service.jobs.list_jobs("local", 2, tool="product") if row.result]
    scales = [each.receipt["placement"]["scale"] for each in made]  # a part of the photo is shown, at this scale
    assert max(scales) < 1
    larger = max(round(256 / scale) for scale in scales)
    expect(page.locator("#batch-aside")).to_contain_text("Some photos have the pixels for larger pictures")
    page.get_by_role("button", name=f"Make them again with up to {larger} px").click()
    expect(page.locator("#batch-more textarea")).to_have_value(f"size = {larger}")
    expect(page.locator("#batch-sheet li p").first).to_contain_text(str(larger))  # of the photos of the last Start
    wait_until(studio.is_idle, 60)
    (newest,) = BatchService(studio.service).list_batches("local", 1)
    assert newest.shared["size"] == str(larger)


def test_the_photos_of_the_last_start_can_be_taken_again_for_another_tool(page: Page, studio: ServedPage) -> None:
    again, rows = page.get_by_role("button", name="Take the same photos again"), page.locator("#batch-files tr.file")
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    expect(again).to_be_hidden()
    run_doubted_batch(page, studio, 256)
    expect(page.locator("#batch-stage")).to_contain_text("Done: 2 of 2")  # one that runs keeps its place
    expect(rows).to_have_count(0)
    again.click()
    expect(rows).to_have_count(2)
    expect(again).to_be_hidden()
    for n, name in enumerate(DOUBTED):
        expect(rows.nth(n)).to_contain_text(name)
    expect(page.locator("#batch-stage")).to_contain_text("2 files.")
    choose_tool(page, re.compile("Cut-out"))
    expect(page.locator("#batch-preset")).to_be_hidden()  # answered: Gradio loses a press while fields come and go
    page.locator("#batch-more textarea").fill("")
    page.locator("#batch-start").click()
    expect(page.locator("#batch-sheet li > button:first-child")).to_have_count(2)
    wait_until(studio.is_idle, 60)
    (newest,) = BatchService(studio.service).list_batches("local", 1)
    assert newest.tool == "cutout"


def test_what_is_set_aside_is_counted_and_said_where_it_lies(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    batch_id = run_batch(studio, tmp_path, 3)
    jobs = studio.service.jobs
    for row, uncertainty in ((1, 0.2), (2, 0.7), (3, 0.9)):
        job = jobs.get_job(BatchService(studio.service).get_row(batch_id, row, "local").job_id or "")
        assert job is not None
        assert job.result is not None
        job.result.receipt["cutout_uncertainty"] = uncertainty
        told = {"result": json.dumps(result_to_json(job.result))}
        jobs.table.db.execute(update(JOBS).where(JOBS.c.id == job.job.id).values(told))
    page.goto(f"{studio.url}/#batch")
    stage = page.locator("#batch-stage")
    expect(stage).to_contain_text("Done: 3 of 3 · 2 probably wrong")
    expect(page.locator("#batch-aside")).to_contain_text("2 probably wrong. In the ZIP they are in")
    expect(page.locator("#batch-sheet button b")).to_have_text(["Probably wrong", "Probably wrong"])
    page.get_by_role("button", name="When a picture counts as probably wrong").click()
    threshold = page.locator("#batch-set-aside input")
    expect(threshold).to_have_value("0.5")
    threshold.fill("0.1")
    threshold.blur()
    expect(stage).to_contain_text("3 probably wrong")
    assert sorted(name.split("/")[0] for name in download_rows(page)[0]) == ["set-aside"] * 3
    tile, line = page.locator("#batch-sheet li img").first, page.locator(".dbx-from-batch:visible")
    fine, to_next = (line.get_by_role("button", name=name) for name in ("Picture is fine", "Next to check"))
    tile.click()
    expect(to_next).to_be_visible()
    expect(fine).to_be_visible()  # as on the sheet
    line.locator("a").click()
    threshold.fill("1")
    threshold.blur()
    expect(stage).not_to_contain_text("probably wrong")
    tile.click()
    expect(fine).to_have_count(0)
    expect(to_next).to_be_visible()
    line.locator("a").click()
    expect(page.locator("#batch-aside")).to_have_text(re.compile("Press a picture to repair it"))


def test_the_list_of_tools_finds_by_letters_and_nothing_moves_when_files_come(
    browser: Browser, studio: ServedPage, tmp_path: Path
) -> None:
    for locale, typed, found in (("en-US", "remove", "Cut-out: remove"), ("de-DE", "hintergrund ent", "Freisteller:")):
        with open_browser_page(browser, studio, locale=locale) as page:
            page.goto(f"{studio.url}/#batch")
            field = page.locator("#batch-which input")
            field.click()
            page.get_by_role("option").nth(2).wait_for()
            page.keyboard.type(typed)
            page.keyboard.press("Enter")
            expect(field).to_have_value(re.compile(found))
            before = field.bounding_box()
            page.locator("#batch-files input[type=file]").first.set_input_files(write_picture(tmp_path / "a.png", 40))
            expect(page.locator("#batch-files .filename").first).to_be_visible()
            assert field.bounding_box() == before


CLEARED = re.compile("Add pictures|Done:")
"""What stands there once the files are gone: nothing yet, or the batch before."""


def test_no_tool_is_chosen_for_anybody_and_start_asks_for_one(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    expect(page.locator("#batch-which input")).to_have_value("Choose what to make")
    expect(page.locator("#batch-consent")).to_be_hidden()
    picture = write_picture(tmp_path / "a.png", 40)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(picture, "a.png")
    for path in (picture, tmp_path / "a.zip"):
        page.locator("#batch-files input[type=file]").first.set_input_files(path)
        expect(page.locator("#batch-stage")).to_contain_text(
            "1 file. Choose a tool: Product Photos for people or things"
        )
        page.locator("#batch-start").click()
        expect(page.locator("#batch-stage")).to_contain_text("Choose a tool first")
        page.locator("#batch-files").get_by_label("Clear").click()
        expect(page.locator("#batch-stage")).to_contain_text(CLEARED)
    page.locator("#batch-files input[type=file]").first.set_input_files(picture)
    expect(page.locator("#batch-stage")).to_contain_text("1 file. Choose a tool")
    choose_tool(page, "Slow Motion")
    expect(page.locator("#batch-stage")).to_contain_text("1 file. Start makes the pictures")
    for upload in Path(get_upload_folder()).rglob(picture.name):
        upload.unlink()  # as a day later
    page.locator("#batch-start").click()
    expect(page.locator("#tab-batch")).to_contain_text(UPLOAD_GONE_MESSAGE)
    choose_tool(page, "Choose what to make")
    expect(page.locator("#batch-stage")).to_contain_text("1 file. Choose a tool")
    page.locator("#batch-files").get_by_label("Clear").click()
    expect(page.locator("#batch-stage")).to_contain_text(CLEARED)
    (tmp_path / "jobs.csv").write_text("photo,tool,steps\na.png,slow,1\na.png,,1\n")
    page.locator("#batch-files input[type=file]").first.set_input_files([tmp_path / "jobs.csv", picture])
    expect(page.locator("#batch-files")).to_contain_text("jobs")
    page.locator("#batch-check").click()
    expect(page.locator("#batch-told")).to_contain_text("2 checked: 1 can be done, 1 cannot.")
    expect(page.locator("#batch-told")).to_contain_text("This row names no tool, and none was chosen for all rows.")


def drop_files(page: Page, where: str, *paths: Path) -> None:
    """Files or folders dragged in from outside the browser and let go over that element."""
    box = page.locator(where).bounding_box()
    assert box is not None
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    client = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        client.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def test_a_dropped_folder_is_its_pictures_and_those_of_the_folders_in_it(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    shoot = tmp_path / "shoot"
    (shoot / "more").mkdir(parents=True)
    for n in range(120):  # a browser reads a hundred entries at once
        write_picture(shoot / f"{n:03d}.png", n)
    write_picture(shoot / "more" / "last.png", 200)
    (shoot / ".DS_Store").write_bytes(b"a system's own")
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    page.locator("#batch-which input").click()
    page.get_by_role("option", name="Slow Motion").click()
    drop_files(page, "#batch-files", shoot)
    expect(page.locator("#batch-files")).to_contain_text("last")
    page.locator("#batch-check").click()
    expect(page.locator("#batch-told")).to_contain_text("121 checked: 121 can be done")


def test_a_dropped_file_is_taken_once(page: Page, studio: ServedPage, tmp_path: Path) -> None:
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    drop_files(page, "#batch-files", write_picture(tmp_path / "only.png", 40))
    expect(page.locator("#batch-files")).to_contain_text("only")
    expect(page.locator("#batch-files .file-preview tr")).to_have_count(1)


def test_one_brand_kit_is_chosen_for_all_rows_where_the_tool_takes_one(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.service.saved_items.save_brand_kit("Acme", {"colour": "#112233"}, "local")
    page.goto(f"{studio.url}/#batch")
    page.locator("#batch-start").wait_for()
    for title, has_kit in (("Product Photos", True), ("Slow Motion", False)):
        choose_tool(page, title)
        expect(page.locator("#batch-kit")).to_be_visible(visible=has_kit)
    was_asked, was_chosen, build = threading.Event(), threading.Event(), events.build_look_choice

    def build_late(service: StudioService, tool_id: str) -> object:
        was_asked.set()
        assert tool_id != "cutout" or was_chosen.wait(30)
        return build(service, tool_id)

    monkeypatch.setattr(events, "build_look_choice", build_late)
    choose_tool(page, "Cut-out")
    wait_until(was_asked.is_set, 60)
    choose_tool(page, "Product Photos")  # before the choice before it was answered
    page.wait_for_timeout(300)
    was_chosen.set()
    page.locator("#batch-kit input").click()
    page.get_by_role("option", name="Acme").click()
    page.locator("#batch-files input[type=file]").first.set_input_files([EXAMPLES / "coffee.jpg"])
    expect(page.locator("#batch-files")).to_contain_text("coffee")
    page.locator("#batch-start").click()
    expect(page.locator("#batch-stage")).to_contain_text("Done: 1 of 1")
    assert studio.service.jobs.list_jobs("local", 1, tool="product")[0].job.params["colour"] == "#112233"


def test_what_the_page_orders_is_told_to_the_default_address_and_drafts_are_not(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    with receiving() as receiver:
        assert page.request.put(f"{studio.url}/v1/webhooks", data={"url": receiver.url}).ok
        try:
            open_tool(page, studio, "slow")
            page.locator("#slow-example-coffee").click()
            expect(find_progress_line(page, "slow")).to_contain_text("Draft, small for speed")
            page.locator("#slow-generate").click()
            expect(find_progress_line(page, "slow")).to_contain_text("Done in")
            wait_until(lambda: len(receiver.got) == 1, 60)
            drop_table(page, studio, tmp_path, "photo,steps\n1.png,2\n")
            page.locator("#batch-start").click()
            expect(page.locator("#batch-stage")).to_contain_text("Done: 1 of 1")
            wait_until(lambda: len(receiver.got) == 2, 60)
        finally:
            page.request.put(f"{studio.url}/v1/webhooks", data={"url": None})
    told = [json.loads(body) for _, body in receiver.got]
    assert [row["type"] for row in told] == ["job.done", "batch.completed"]
    assert told[0]["data"]["id"] == studio.service.jobs.list_jobs("local", 9, tool="slow")[-1].job.id


def test_every_doubted_row_has_a_badge_that_opens_its_picture_and_a_repair_that_opens_it_ready_to_be_marked(
    page: Page, studio: ServedPage
) -> None:
    told = open_doubted_batch(page, studio)
    expect(page.locator("#batch-sheet button b")).to_have_text(BADGES)
    for n, open_by in ((0, "mouse"), (1, "key"), (0, "again")):
        button = page.locator("#batch-sheet li > button:first-child").nth(n)
        if open_by == "key":
            button.focus()
            page.keyboard.press("Enter")
        else:
            button.click()
        expect(page.locator("#product-box .dbx-doubt.told")).to_contain_text(told[n])
        expect(page.locator("#product-box .dbx-doubt [data-do=start]")).to_be_visible()
        marks = page.locator("#product-box .dbx-doubt-place i")
        page.mouse.move(5, 5)
        expect(marks.first).to_have_css("opacity", "0")  # after some seconds
        page.locator("#product-box .dbx-doubt").hover()
        expect(marks.first).to_have_css("opacity", "1")
        place, picture = marks.first.bounding_box(), page.locator("#product-box").bounding_box()
        assert place is not None
        assert picture is not None
        assert picture["y"] <= place["y"] < place["y"] + place["height"] <= picture["y"] + picture["height"]
        expect(find_progress_line(page, "product")).to_contain_text("Done in")
        page.go_back()
        expect(page.locator("#batch-sheet li > button:first-child").first).to_be_visible()

    line, bar = page.locator("#product-batch-row"), page.locator("#product-box .dbx-point-bar")
    for n, name in ((1, "chelsea"), (0, "astronaut")):
        page.locator("#batch-sheet li").nth(n).get_by_role("button", name="Repair").click()
        expect(line).to_contain_text(f"{name}.jpg")
        expect(bar).to_be_visible()
        expect(bar).not_to_have_attribute("aria-busy", "true")
        page.go_back()
    page.locator("#batch-sheet li > button:first-child").first.click()  # to look at it
    expect(line).to_contain_text("astronaut.jpg")
    expect(page.locator("#product-box .dbx-doubt [data-do=start]")).to_be_visible()
    expect(bar).to_be_hidden()


@pytest.mark.usefixtures("_delete_jobs")
def test_a_doubted_row_is_opened_by_a_finger_in_german(browser: Browser, studio: ServedPage) -> None:
    with open_browser_page(browser, studio, width=390, height=844, locale="de-DE", phone=True) as page:
        told = open_doubted_batch(page, studio)
        expect(page.locator("#batch-stage")).to_contain_text("Fertig: 2 von 2")
        expect(page.locator("#batch-tool .dbx-go")).to_have_css("position", "static")  # it covers no results
        page.locator("#batch-sheet button b").nth(1).tap()
        expect(page.locator("#product-box .dbx-doubt.told")).to_contain_text(translate(told[1]))
        page.locator("#product-box .dbx-doubt [data-do=start]").tap()
        expect(page.locator("#product-box .dbx-point-bar")).to_be_visible()
        where = page.locator("#product-box .dbx-point-layer i.doubt").first  # to mark
        expect(where).to_be_visible()
        assert where.evaluate("frame => getComputedStyle(frame, '::after').content") == '"Hier nachsehen"'
        page.locator("#product-box [data-do=done]").tap()
        page.locator("#product-batch-row a").tap()
        expect(page.locator("#batch-stage")).to_be_in_viewport()
        expect(page.locator("#batch-files")).not_to_be_in_viewport()  # a second tap would choose files


def test_repair_closes_where_the_next_row_comes_and_cancel_gives_back_its_picture(
    page: Page, studio: ServedPage
) -> None:
    open_doubted_batch(page, studio)
    box, line = page.locator("#product-box"), page.locator("#product-batch-row")
    bar, dropped = box.locator(".dbx-point-bar"), page.locator("#product-drop-marks").locator("textarea, input")

    def mark() -> None:
        box.locator(".dbx-doubt [data-do=start]").click()
        expect(bar).not_to_have_attribute("aria-busy", "true")
        box.locator("[data-do=drop]").click()
        box.locator(".dbx-point-layer").click()
        expect(bar).not_to_have_attribute("aria-busy", "true")
        assert dropped.input_value()

    page.locator("#batch-sheet li > button:first-child").nth(1).click()
    mark()
    expect(line).to_be_hidden()  # the marks are applied first, or left
    page.go_back()
    page.locator("#batch-sheet li > button:first-child").first.click()
    expect(line).to_contain_text("row 1 of 2 · astronaut.jpg")
    expect(bar).to_be_hidden()
    expect(box.locator(".dbx-point-layer")).to_be_hidden()
    expect(dropped).to_have_value("")
    mark()
    box.locator("[data-do=cancel]").click()
    expect(bar).to_be_hidden()
    wait_until(studio.is_idle, 60)
    expect(find_progress_line(page, "product")).to_contain_text("Done in")
    expect(line.get_by_role("button", name="Picture is fine")).to_be_visible()
    line.get_by_role("button", name="Picture is fine").click()
    expect(line).to_contain_text("row 2 of 2 · chelsea.jpg · row 1 marked as fine")
    expect(bar).to_be_hidden()


def test_a_rows_buttons_stay_in_place_and_a_small_doubt_is_told_more_quietly_than_a_check(
    page: Page, studio: ServedPage
) -> None:
    open_doubted_batch(page, studio)
    line, told = page.locator("#product-batch-row"), page.locator("#product-box .dbx-doubt.told")
    fine, to_next = (line.get_by_role("button", name=name) for name in ("Picture is fine", "Next to check"))
    page.locator("#batch-sheet li > button:first-child").first.click()
    places: list[tuple[FloatRect, ...]] = []
    for name, is_small in (("astronaut", True), ("chelsea", False)):
        expect(line).to_contain_text(f"{name}.jpg")
        places.append((read_box(fine), read_box(to_next)))
        expect(told.get_by_text("Small doubt", exact=True)).to_have_count(int(is_small))
        expect(told).to_have_css("background-color", "rgb(255, 255, 255)" if is_small else "rgb(255, 207, 102)")
        if is_small:
            to_next.click()
    assert places[0] == places[1]
    assert places[0][0]["y"] == places[0][1]["y"], "in one line"
    assert places[0][1]["height"] < 44
    fine.click()
    expect(line).to_contain_text("astronaut.jpg")
    expect(to_next).to_have_count(0)
    assert read_box(fine) == places[0][0]
    line.locator("a").click()
    page.locator("#batch-sheet li > button:first-child").nth(1).click()
    expect(line.get_by_role("button", name="Check it again")).to_be_visible()
    assert read_box(to_next) == places[0][1]


def test_what_is_found_right_is_doubted_no_more_and_one_after_the_other_is_looked_at(
    page: Page, studio: ServedPage
) -> None:
    open_doubted_batch(page, studio)
    tiles, line = page.locator("#batch-sheet li"), page.locator("#product-batch-row")
    for n in (0, 1):  # the second before the first was answered
        tiles.nth(n).get_by_role("button", name="Picture is fine").click()
    expect(tiles.locator("em")).to_have_text(["Marked as fine", "Marked as fine"])
    expect(page.locator("#batch-stage")).to_contain_text("the doubtful ones were checked")
    assert [bool(row["approved"]) for row in download_rows(page)[1]] == [True, True]
    for n in (0, 1):
        tiles.nth(n).locator("img").click()
        expect(line).to_contain_text(f"row {n + 1}")
        line.get_by_role("button", name="Check it again").click()
        expect(line.get_by_role("button", name="Picture is fine")).to_be_visible()
        line.locator("a").click()
        expect(page.locator("#batch-stage")).to_contain_text("1 to check · " * n + "1 with a small doubt")
    tiles.nth(0).locator("img").click()
    expect(line).to_contain_text("row 1")
    line.get_by_role("button", name="Next to check").click()
    expect(line).to_contain_text("row 2")
    line.get_by_role("button", name="Picture is fine").click()
    expect(line).to_contain_text("row 1")
    expect(line.get_by_role("button", name="Picture is fine")).to_be_visible()
    expect(line.get_by_role("button", name="Next to check")).to_have_count(0)  # nothing else is to be checked
    line.locator("a").click()
    expect(tiles.nth(1).locator("em")).to_have_text("Marked as fine")
    expect(page.locator("#batch-stage")).to_contain_text("2 of 2 · 1 with a small doubt")


def test_a_press_changes_its_row_alone_and_the_later_of_two_holds(page: Page, studio: ServedPage) -> None:
    open_doubted_batch(page, studio)
    tiles, fine = page.locator("#batch-sheet li"), page.get_by_role("button", name="Picture is fine")
    tiles.evaluate_all("all => all.forEach((cell) => { cell.seenBefore = true; })")
    pictures = tiles.locator("img").evaluate_all("all => all.map((image) => image.src)")
    fine.first.focus()
    page.keyboard.press("Enter")
    expect(tiles.nth(0).locator("em")).to_have_text("Marked as fine")
    assert tiles.evaluate_all("all => all.map((cell) => Boolean(cell.seenBefore))") == [False, True]
    expect(tiles.nth(0).locator("button").first).to_be_focused()
    fine.evaluate(PRESS_AND_TAKE_BACK_JS)
    wait_until(lambda: "doubt" in page.locator("#batch-open textarea").input_value(), 20)
    expect(tiles.nth(1).locator("b")).to_have_text("Check")
    page.wait_for_timeout(1000)
    expect(tiles.nth(1).locator("b")).to_have_text("Check")
    expect(page.locator("#batch-stage")).to_contain_text("1 to check")
    fine.click()
    expect(tiles.locator("em")).to_have_text(["Marked as fine", "Marked as fine"])
    assert tiles.locator("img").evaluate_all("all => all.map((image) => image.src)") == pictures


def test_a_double_click_finds_one_picture_right_and_not_the_next_that_comes_under_it(
    page: Page, studio: ServedPage
) -> None:
    open_doubted_batch(page, studio)
    page.locator("#batch-sheet li img").first.click()
    line = page.locator("#product-batch-row")
    fine = line.get_by_role("button", name="Picture is fine")
    expect(line).to_contain_text("row 1")
    fine.evaluate(PRESS_AND_PRESS_THE_NEXT_JS)
    expect(line).to_contain_text("row 2")
    wait_until(studio.is_idle, 60)
    page.wait_for_timeout(700)
    fine.evaluate(PUT_AND_PRESS_THE_NEXT_JS)
    page.wait_for_timeout(700)
    expect(fine).to_be_visible()
    line.locator("a").click()
    expect(page.locator("#batch-stage")).to_contain_text("1 to check")
    page.locator("#batch-sheet li").nth(1).get_by_role("button", name="Picture is fine").click()
    expect(page.locator("#batch-stage")).to_contain_text("the doubtful ones were checked")


def test_presses_while_one_is_answered_are_all_followed_and_keep_no_other_visitor_waiting(
    browser: Browser, page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_doubted_batch(page, studio)
    approve, entered, released = BatchService.approve_row, threading.Event(), threading.Event()
    held_rows: list[int] = []

    def approve_slowly(self: BatchService, batch_id: str, row: int, *args: str, is_approved: bool = True) -> RowState:
        held_rows.append(row)
        if len(held_rows) == 1:
            entered.set()
            assert released.wait(30)
        return approve(self, batch_id, row, *args, is_approved=is_approved)

    monkeypatch.setattr(BatchService, "approve_row", approve_slowly)
    tiles = page.locator("#batch-sheet li")
    tiles.nth(0).get_by_role("button", name="Picture is fine").click()
    wait_until(entered.is_set, 20)
    tiles.nth(1).get_by_role("button", name="Picture is fine").click()
    with open_browser_page(browser, studio) as other:
        other.goto(f"{studio.url}/#batch")
        other.locator("#batch-sheet li").nth(1).get_by_role("button", name="Picture is fine").click()
        expect(other.locator("#batch-sheet em")).to_have_text("Marked as fine")
    assert held_rows == [1, 2]
    released.set()
    expect(tiles.locator("em")).to_have_text(["Marked as fine", "Marked as fine"])
    wait_until(lambda: held_rows == [1, 2, 2], 20)  # the other page's and this one's second


def test_a_row_is_repaired_on_the_whole_width_and_on_the_whole_screen_of_a_phone(
    page: Page, studio: ServedPage
) -> None:
    open_doubted_batch(page, studio)
    page.locator("#batch-sheet li > button:first-child").first.click()
    box, form = page.locator("#product-box"), page.locator("#product-tool .dbx-form")
    expect(page.locator("#product-batch-row p").first).to_contain_text("row 1 of 2")
    wait_until(studio.is_idle, 60)
    box.locator("[data-do=start]").click()
    expect(form).to_be_hidden()
    assert read_box(box)["width"] > 1000
    assert read_box(box)["height"] > 0.8 * 800
    expect(page.locator("#product-bar, #product-batch-row")).to_have_count(2)
    for element_id in ("product-bar", "product-batch-row"):  # the picture takes their room
        expect(page.locator(f"#{element_id}")).to_be_hidden()
    name = box.locator(".dbx-point-row")
    expect(name).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(name).to_have_text("From your batch, row 1 of 2 · astronaut.jpg")
    expect(name).to_be_visible()
    assert read_box(box)["height"] == 844
    box.locator("[data-do=cancel]").click()
    expect(name).to_be_hidden()  # the next row's picture has another name
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(form).to_be_visible()


def test_the_line_of_a_row_goes_with_its_photo_and_with_new(page: Page, studio: ServedPage) -> None:
    open_doubted_batch(page, studio)
    line = page.locator("#product-batch-row p")
    for leave in ("#product-example-coffee", "#product-new"):
        page.goto(f"{studio.url}/#batch")
        page.locator("#batch-sheet li > button:first-child").first.click()
        expect(line).to_be_visible()
        expect(page.locator("#product-new")).to_be_enabled()
        page.locator(leave).click()
        expect(line).to_have_count(0)
        expect(page.locator("#product-tool .dbx-from-batch")).to_be_hidden()
        wait_until(studio.is_idle, 60)


def test_each_check_says_why_to_eyes_and_ears_and_is_back_once_dropped_files_are_taken_out(
    page: Page, studio: ServedPage
) -> None:
    told = open_doubted_batch(page, studio)
    expect(page.locator("#batch-sheet li p")).to_have_text([re.compile(r"^\d+ × 512 px|^512 × \d+ px")] * 2)
    expect(page.locator("#batch-aside")).not_to_contain_text("are larger")  # the photos have no more
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        for words in page.locator("#batch-sheet small").all():
            assert words.evaluate("e => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth"), "whole"
    page.set_viewport_size({"width": 1280, "height": 800})
    for n, button in enumerate(page.locator("#batch-sheet li > button:first-child").all()):
        expect(button.locator("small")).to_contain_text(told[n])
        expect(button).to_have_attribute("title", re.compile(re.escape(told[n])))
        expect(button).to_have_accessible_name(re.compile(rf"{DOUBTED[n]}\.jpg {BADGES[n]} {re.escape(told[n])}"))
    expect(page.locator("#batch-stage")).to_contain_text("1 to check · 1 with a small doubt")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("#batch-sheet b").last).to_have_css("color", "rgb(61, 42, 0)")  # on yellow
    page.locator("#batch-files input[type=file]").first.set_input_files(EXAMPLES / "coffee.jpg")
    expect(page.locator("#batch-stage")).to_contain_text("file")
    expect(page.locator("#batch-sheet li")).to_have_count(0)
    page.locator("#batch-files").get_by_label("Clear").click()
    expect(page.locator("#batch-sheet li")).to_have_count(2)
    expect(page.locator("#batch-stage")).to_contain_text("Done: 2 of 2")


def test_a_repaired_picture_takes_its_rows_place_in_sheet_zip_and_manifest_and_back(
    page: Page, studio: ServedPage
) -> None:
    open_doubted_batch(page, studio)
    before, _ = download_rows(page)
    old_ids = {row.job.id for row in studio.service.jobs.list_jobs("local", 9)}
    page.locator("#batch-sheet li > button:first-child").first.click()
    line, put = page.locator("#product-batch-row"), page.locator("#product-put")
    expect(line).to_contain_text("From your batch, row 1 of 2 · astronaut.jpg")
    expect(put).to_be_hidden()  # the shown picture is the one in the batch
    wait_until(studio.is_idle, 60)
    repair_by_pointing(page, "product", 0.3, 0.8)  # the finished picture is made anew at full size
    expect(put).to_have_text("Put it into the batch")
    repair_by_pointing(page, "product", 0.7, 0.3, is_finished=False)
    expect(put).to_be_hidden()  # it would take the picture without the newest mark
    page.locator("#product-box [data-do=cancel]").click()
    expect(put).to_be_visible()
    expect(find_progress_line(page, "product")).to_contain_text("Done in")
    page.locator("#product-ratio label:not(:has(:checked))").first.click()
    expect(find_progress_line(page, "product")).to_contain_text("Draft, small for speed")
    expect(put).to_be_hidden()  # a draft is no picture for a batch
    wait_until(studio.is_idle, 60)
    page.locator("#product-generate").click()
    expect(put).to_have_text("Put it into the batch")
    page.reload()
    expect(put).to_have_text("Put it into the batch")  # a reload forgets nothing
    put.dblclick()  # the second click does not take the first one back
    # The tab of batches is not open on this page.
    expect(line).to_contain_text("row 2 of 2 · chelsea.jpg · row 1 replaced, still to check")
    expect(put).to_be_hidden()
    line.get_by_role("button", name="Back to row 1").click()
    expect(line).to_contain_text("Now in your batch, row 1")
    expect(put).to_have_text("Put the earlier one back")
    line.get_by_role("button", name="Next to check").click()
    expect(line).to_contain_text("From your batch, row 2")
    line.locator("a").click()
    expect(page.locator("#batch-sheet li").first.locator("em")).to_have_text("Replaced, still to check")
    expect(page.locator("#batch-sheet em")).to_have_count(1)
    expect(page.locator("#batch-sheet button b")).to_have_text(BADGES)  # the new one has a doubt, as the old one had
    after, rows = download_rows(page)
    new, _ = (row for row in studio.service.jobs.list_jobs("local", 9) if row.job.id not in old_ids)
    assert new.result is not None
    assert after["00001-astronaut.png"] == studio.service.files.local_path(new.result.files[0].id).read_bytes()
    assert after["00001-astronaut.png"] != before["00001-astronaut.png"]
    assert after["00002-chelsea.png"] == before["00002-chelsea.png"]
    assert [bool(row["replaced"]) for row in rows] == [True, False]
    assert old_ids <= {row.job.id for row in studio.service.jobs.list_jobs("local", 9)}  # in the Library

    page.locator("#batch-sheet li > button:first-child").first.click()
    expect(line).to_contain_text("row 1")
    shown = page.locator("#product-live img").first
    replacement = shown.get_attribute("src")
    wait_until(studio.is_idle, 60)
    marks = page.locator("#product-keep-marks").locator("textarea, input")
    said = json.loads(marks.input_value())
    repair_by_pointing(page, "product", 0.7, 0.3, is_finished=False)
    assert json.loads(marks.input_value()) != said
    page.locator("#product-box [data-do=cancel]").click()
    put.click()
    expect(line).to_contain_text("the earlier one is back")
    expect(page.locator("#product-box .dbx-point-layer")).to_be_hidden()
    assert json.loads(marks.input_value()) == said
    expect(shown).not_to_have_attribute("src", replacement or "")
    expect(put).to_be_hidden()  # the shown picture is the one in the batch
    expect(line.get_by_role("button", name="Picture is fine")).to_be_visible()
    line.locator("a").click()
    expect(page.locator("#batch-sheet em")).to_have_count(0)
    assert download_rows(page)[0] == before
