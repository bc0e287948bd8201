"""The sheet of a batch after a press, and the line of a row in its tool."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from sqlalchemy import update

from pipelines.batch.batch_service import BatchOptions, BatchService, open_jobs_source
from pipelines.batch.batch_table import RowState
from pipelines.batch.jobs_file import MANIFEST_NAME
from pipelines.batch.manifest import save_manifest
from pipelines.batch.row_values import BatchPlan
from pipelines.core.job import Result, result_to_json
from pipelines.core.stream import wait_for_result
from pipelines.jobs.queue import JobRow
from pipelines.quality.subject_checks import STILL_UNCLEAR_NOTICE
from pipelines.settings import Settings
from pipelines.storage.schema import JOBS
from tests.support.batch_rows import OWNER, TintTool, write_picture
from tests.support.gradio_loop import build_parts
from tests.support.real_studio import RealStudio
from tests.support.served_app import run_studio, wait_until
from ui.batch_tab import contact_sheet
from ui.batch_tab.events import BatchTabEvents
from ui.batch_tab.layout import BatchTab, BatchTabState, build_look_choice
from ui.components.pictures import UPLOAD_GONE_MESSAGE
from ui.components.row_commands import JobToShow
from ui.library_tab.events import LibraryTabEvents
from ui.server.factory import RunningStudio
from ui.tool_tab.batch_row import ALL_SEEN_TEXT, PUT_LABEL, BatchRowLine
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import ToolTab
from ui.tool_tab.state import TabState
from ui.tool_tab.text import RowDoubt
from ui.tool_tab.updates import TabView

LOCAL: Any = None
"""No request: the visitor is the owner of this machine."""
ROW_COUNT = 4


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    """Each test makes batches of its own in it, of which the last is its own, too."""
    with run_studio(Settings(data=tmp_path_factory.mktemp("data")), [TintTool().make_tool()]) as built:
        yield built


@pytest.fixture(scope="module")
def events(studio: RunningStudio) -> BatchTabEvents:
    def build() -> BatchTabEvents:
        with gr.Blocks():
            return BatchTabEvents(BatchTab(studio.service), studio.service, studio.access)

    return build_parts(build)


def run_doubted_batch(studio: RunningStudio, batches: BatchService, folder: Path) -> str:
    """The id of a batch that is done, whose cut-outs are all said to be uncertain."""
    for n in range(ROW_COUNT):
        write_picture(folder / "in" / f"{n}.png", 40 + n)
    jobs = open_jobs_source(folder / "in", studio.service, "tint")
    batch = batches.create_batch(
        BatchPlan("tint", {}), jobs.read_rows(), OWNER, BatchOptions(seed=7, source=jobs.pictures)
    )
    batches.start(batch.id)
    wait_until(lambda: batches.get_batch(batch.id, OWNER).state == "done", 60)
    for n in range(1, ROW_COUNT + 1):
        change_receipt(studio, batches, batch.id, n, cutout_uncertainty=0.9)
    return batch.id


def change_receipt(studio: RunningStudio, batches: BatchService, batch_id: str, row: int, **values: object) -> None:
    """Write `values` into the receipt of a row's job."""
    job = studio.service.jobs.get_job(batches.get_row(batch_id, row, OWNER).job_id or "")
    assert job is not None
    assert job.result is not None
    job.result.receipt.update(values)
    told = {"result": json.dumps(result_to_json(job.result))}
    studio.service.jobs.table.db.execute(update(JOBS).where(JOBS.c.id == job.job.id).values(told))


def read_cells(cells: str) -> dict[int, bool]:
    """Whether each row of the rendered cells is marked as fine."""
    found = [(re.search(r'data-words="open (\d+) ', cell), cell) for cell in cells.split("<li")[1:]]
    return {int(row[1]): "Marked as fine" in cell for row, cell in found if row}


def test_dropped_pictures_are_rows_in_the_order_in_which_they_came(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    names = ["pear.png", "apple.png", "2.png", "10.png", "Fig.png"]
    files = [(str(write_picture(tmp_path / f"up{n}.png", 40 + n)), f"mine/{name}") for n, name in enumerate(names)]
    *_, shown = events.check_rows(LOCAL, "", BatchTabState(), files, "tint", "", "", False, [], "", "same")
    batch = events.batches.list_batches(OWNER, 1)[0]
    assert "5 checked: 5 can be done" in shown[events.tab.report]
    assert [row.cells["photo"] for row in events.batches.table.list_rows(batch.id)] == names


def test_what_was_checked_can_be_started_once_the_files_are_taken_out(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    finished_id, tab, state = run_doubted_batch(studio, events.batches, tmp_path), events.tab, BatchTabState()
    files = [(str(write_picture(tmp_path / f"up{n}.png", 60 + n)), f"{n}.png") for n in range(2)]
    dropped = events.show_files(LOCAL, finished_id, state, files, "tint")
    assert dropped[tab.batch_id] == ""
    *_, checked = events.check_rows(LOCAL, "", state, files, "tint", "", "", False, [], "", "same")
    batch = events.batches.list_batches(OWNER, 1)[0]
    taken_out = {tab.batch_id: batch.id, **checked, **events.show_files(LOCAL, batch.id, state, [], "tint")}
    assert "Checked and kept: 2. Start makes the pictures" in taken_out[tab.status]
    assert "2 can be done" in taken_out[tab.report]
    *_, started = events.start_batch(LOCAL, taken_out[tab.batch_id], state, None, "tint", "", "", False, [], "", "same")
    assert started[tab.batch_id] == batch.id
    wait_until(lambda: events.batches.get_batch(batch.id, OWNER).state == "done", 60)


def test_photos_of_the_last_start_are_taken_again_until_they_are_deleted(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    files = [(str(write_picture(tmp_path / f"up{n}.png", 80 + n)), f"mine {n}.png") for n in range(2)]
    tab, state, form = events.tab, BatchTabState(), ("tint", "", "", False, [], "", "same")
    *_, started = events.start_batch(LOCAL, "", state, files, *form)
    assert started[tab.files] is None
    taken = events.use_same_photos(LOCAL, started[tab.batch_id], state, "tint")[tab.files]
    assert taken == files
    wait_until(lambda: events.batches.get_batch(started[tab.batch_id], OWNER).state == "done", 60)
    assert "2 files." in events.show_files(LOCAL, started[tab.batch_id], state, files, "tint")[tab.status]
    shown = tab.files.postprocess(taken)
    assert shown is not None
    assert [each.orig_name for each in shown.root] == ["mine 0.png", "mine 1.png"]
    for path, _ in files:
        Path(path).unlink()
    refused = events.use_same_photos(LOCAL, started[tab.batch_id], state, "tint")
    assert UPLOAD_GONE_MESSAGE.split(".")[0] in refused[tab.status]
    assert tab.files not in refused


def test_a_tool_chosen_just_before_start_does_not_hide_the_batch_that_start_began(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.batches, "start", lambda batch_id: events.batches.table.set_state(batch_id, "running"))
    files = [(str(write_picture(tmp_path / "up.png", 84)), "one.png")]
    state = BatchTabState()
    *_, started = events.start_batch(LOCAL, "", state, files, "tint", "", "", False, [], "", "same")
    late = events.choose_tool(LOCAL, "", state, files, "tint", [])  # asked before the page knew of the batch
    assert events.tab.batch_id not in late
    assert events.tab.sheet not in late
    events.batches.cancel(started[events.tab.batch_id])


def test_the_unpacked_pictures_of_a_finished_batch_are_dropped_with_their_manifest(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    save_manifest(events.batches, run_doubted_batch(studio, events.batches, tmp_path), tmp_path / MANIFEST_NAME)
    files = [(str(tmp_path / MANIFEST_NAME), MANIFEST_NAME), (str(write_picture(tmp_path / "a.png")), "a.png")]
    form = ("tint", "", "", False, [], "", "same")
    *_, shown = events.check_rows(LOCAL, "", BatchTabState(), files, *form)
    assert "1 checked: 1 can be done" in shown[events.tab.report]
    *_, refused = events.check_rows(LOCAL, "", BatchTabState(), files[:1], *form)
    assert "manifest of a finished batch" in refused[events.tab.status]
    with zipfile.ZipFile(tmp_path / "batch.zip", "w") as out:
        out.write(tmp_path / "a.png", "a.png")
    renamed = (files[0][0], "manifest (1).csv")  # as a browser calls a second download
    for with_zip in (files[:1], [renamed], [renamed, files[0]]):
        dropped = [(str(tmp_path / "batch.zip"), "batch.zip"), *with_zip]
        *_, shown = events.check_rows(LOCAL, "", BatchTabState(), dropped, *form)
        assert "1 checked: 1 can be done" in shown[events.tab.report], with_zip
    *_, refused = events.check_rows(LOCAL, "", BatchTabState(), [*dropped, files[1]], *form)
    assert "Drop pictures, or one ZIP" in refused[events.tab.status]


def test_a_threshold_without_a_batch_is_noted_and_is_no_fault(events: BatchTabEvents) -> None:
    state = BatchTabState()
    assert events.list_uncertain_cutouts(LOCAL, "", state, 0.1), "an empty answer would be an error on the page"
    assert state.set_aside == 0.1


def test_a_batch_begins_with_the_look_with_which_the_tool_begins(tmp_path: Path) -> None:
    with RealStudio(tmp_path) as real:
        assert build_look_choice(real.service, "product").value == "white"
        assert build_look_choice(real.service, "product", chosen="").value == "", "as the batch that is done again"
        assert build_look_choice(real.service, "headshot").value == ""


def test_a_small_doubt_is_told_from_one_of_the_whole_cutout(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    place = "Check the edge at the bottom: it is half transparent, and a part may be missing."
    doubts = {
        1: (0.1, [place], {}),
        2: (0.3, [place], {}),
        3: (0.1, [], {}),
        4: (0.1, [place], {"fill_doubts": ["Two."]}),
    }
    for n, (uncertainty, told, others) in doubts.items():
        change_receipt(
            studio, events.batches, batch_id, n, cutout_uncertainty=uncertainty, cutout_doubts=told, **others
        )
    shown = events.show_last_batch(LOCAL, "", BatchTabState(), "", [])
    assert re.findall(r"<b( class=small)?>([^<]*)</b>", shown[events.tab.sheet]) == [
        (" class=small", "Small doubt"),
        ("", "Check"),
        ("", "Check"),
    ]
    assert "2 to check · 1 with a small doubt" in shown[events.tab.status]
    assert "Press a picture to repair it" in shown[events.tab.aside]
    state = BatchTabState()
    events.take_commands(LOCAL, batch_id, state, "approve 2 @10;approve 4 @11")
    assert "4 of 4 · 1 with a small doubt" in events.show_last_batch(LOCAL, "", state, "", [])[events.tab.status]


def test_a_waiting_row_says_which_photo_it_waits_with(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    run_doubted_batch(studio, events.batches, tmp_path)
    jobs = open_jobs_source(tmp_path / "in", studio.service, "tint")
    batch = events.batches.create_batch(
        BatchPlan("tint", {}), jobs.read_rows(), OWNER, BatchOptions(source=jobs.pictures)
    )
    running = replace(batch, state="running")
    shown = events.sheet.show_page(running, events.batches.get_progress(batch.id), BatchTabState())
    cells = re.findall(r'<i data-photo="([^"]+)"></i><span title="([^"]+)"', shown[events.tab.sheet])
    assert cells == [(f"{n}.png", f"{n + 1} · {n}.png") for n in range(ROW_COUNT)]
    assert f'data-batch="{batch.id}"' in shown[events.tab.sheet]


def test_a_press_sends_the_rows_that_changed_and_no_picture(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    tab, state = events.tab, BatchTabState()
    whole = events.show_last_batch(LOCAL, "", state, "", [])
    assert len(read_cells(whole[tab.sheet])) == ROW_COUNT
    one, _ = events.take_commands(LOCAL, batch_id, state, "approve 2 @10")
    assert tab.sheet not in one
    assert read_cells(one[tab.changed_cells]) == {2: True}
    assert "data:" not in one[tab.changed_cells]
    assert f"{ROW_COUNT - 1} probably wrong" in one[tab.status]
    both, _ = events.take_commands(LOCAL, batch_id, state, "approve 2 @10;approve 3 @20;doubt 2 @30")
    assert read_cells(both[tab.changed_cells]) == {2: False, 3: True}  # the page may not have read the one before
    assert tab.sheet not in events.refresh(LOCAL, batch_id, state)  # it is up to date
    forged, opened = events.take_commands(LOCAL, batch_id, state, "approve 0 @31;approve 99 @32")
    assert (forged, opened) == ({}, None)
    assert set(state.changed_rows) == {2, 3}, "only rows that there are"

    events.batches.approve_row(batch_id, 1, OWNER)  # in another window
    anew, _ = events.take_commands(LOCAL, batch_id, state, "approve 4 @40")
    assert read_cells(anew[tab.sheet]) == {1: True, 2: False, 3: True, 4: True}
    assert anew[tab.changed_cells] == ""
    numbers = [int(n) for each in (whole[tab.sheet], one[tab.changed_cells], anew[tab.sheet]) for n in _sent(each)]
    assert numbers == sorted(set(numbers)), "the page keeps what was sent later"


def _sent(html: str) -> list[str]:
    return re.findall(r'data-sent="(\d+)"', html)


def test_the_later_of_two_presses_that_come_at_once_holds(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    state = BatchTabState()
    events.show_last_batch(LOCAL, "", state, "", [])
    approve, entered, released = events.batches.approve_row, threading.Event(), threading.Event()

    def approve_late(*args: Any, is_approved: bool = True) -> RowState:
        if is_approved:
            entered.set()
            assert released.wait(30)
        return approve(*args, is_approved=is_approved)

    monkeypatch.setattr(events.batches, "approve_row", approve_late)
    sent = ("approve 1 @10", "approve 1 @10;doubt 1 @11")
    handlers = [threading.Thread(target=events.take_commands, args=(LOCAL, batch_id, state, each)) for each in sent]
    handlers[0].start()
    assert entered.wait(30)
    handlers[1].start()
    handlers[1].join(0.3)  # without the first's end it would be answered by now
    released.set()
    for handler in handlers:
        handler.join(30)
    assert events.batches.table.list_approvals(batch_id) == {}


def test_each_session_has_a_lock_of_its_own() -> None:
    first = BatchTabState()  # Gradio copies it for each session
    locks = [copy.deepcopy(first).commands_lock for _ in range(2)]
    assert len({id(lock) for lock in (first.commands_lock, *locks)}) == 3


def build_row_line(studio: RunningStudio, events: BatchTabEvents) -> BatchRowLine:
    def build() -> BatchRowLine:
        with gr.Blocks():
            tab = ToolTab(studio.service.find_tool("tint"), studio.service)
            tabs, jobs_to_show = gr.Tabs(), {"tint": gr.State()}
        return BatchRowLine(
            tab,
            events.batches,
            studio.access,
            events.sheet.find_next_row_to_check,
            tabs=tabs,
            jobs_to_show=jobs_to_show,
        )

    return build_parts(build)


def show_line(studio: RunningStudio, events: BatchTabEvents, state: TabState, job_id: str) -> tuple[str, Any]:
    """The line of the row that the tab has open, and its button."""
    line = build_row_line(studio, events)
    shown = line.show_line(state, OWNER, job_id)
    return shown[line.tab.result.batch_row], shown[line.tab.result.put_in_batch]


def upload_first_picture(studio: RunningStudio, events: BatchTabEvents, batch_id: str) -> str:
    """Upload the picture of row 1 anew; its file's id."""
    job = studio.service.jobs.get_job(events.batches.get_row(batch_id, 1, OWNER).job_id or "")
    assert job is not None
    assert job.result is not None
    files = studio.service.files
    return files.add_image(files.open_image(job.result.files[0].id), OWNER, "upload")


def test_next_to_check_is_offered_while_there_is_another_one(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    job_id = events.batches.get_row(batch_id, 1, OWNER).job_id
    assert job_id is not None
    for row, (is_offered, is_doubted) in (
        (2, (True, True)),
        (3, (True, True)),
        (4, (False, True)),
        (1, (False, False)),
    ):
        events.batches.approve_row(batch_id, row, OWNER)
        line, _ = show_line(studio, events, TabState(batch_row=(batch_id, 1)), job_id)
        assert ("Next to check" in line, "Picture is fine" in line) == (is_offered, is_doubted)


def test_while_a_batch_runs_the_rows_keep_their_order_on_one_page_and_the_newest_come_first_on_several(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    studio.service.jobs.table.db.execute(update(JOBS).where(JOBS.c.batch_row == 1).values(finished=time.time()))
    batch = replace(events.batches.get_batch(batch_id, OWNER), state="running")
    progress = events.batches.get_progress(batch_id)
    for page_count in (ROW_COUNT, ROW_COUNT - 1):
        monkeypatch.setattr(contact_sheet, "SHEET_PICTURE_COUNT", page_count)
        sheet = events.sheet.show_page(batch, progress, BatchTabState())[events.tab.sheet]
        rows = re.findall(r'data-words="open (\d)', sheet)
        assert rows[0] == "1"
        assert (rows == sorted(rows)) is (page_count == ROW_COUNT)


def test_what_is_checked_next_is_the_next_row_then_small_doubts_then_what_was_mended(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    doubts = {row: RowDoubt(has_doubt=True, is_small=row in (2, 4), uncertainty=0.1) for row in (1, 2, 3, 4, 5)}
    monkeypatch.setattr(events.sheet, "read_open_doubts", lambda *_: doubts)
    monkeypatch.setattr(events.batches.table, "list_replacements", lambda _: {5: []})
    rows = [1]
    while len(doubts) > 1:
        rows.append(events.sheet.find_next_row_to_check(batch_id, rows[-1], 0.5))
        del doubts[rows[-2]]
    assert rows == [1, 3, 4, 2, 5]
    assert events.sheet.find_next_row_to_check(batch_id, rows[-1], 0.5) == 0


def test_what_goes_on_with_a_rows_picture_can_take_its_place(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    photo = upload_first_picture(studio, events, batch_id)
    for for_row, can_put in (((batch_id, 1), True), ((batch_id, 2), False), (None, False)):
        job = studio.service.create_job("tint", {"photo": photo}, OWNER).model_copy(update={"for_row": for_row})
        wait_for_result(studio.service.jobs.submit_and_watch(job))
        line, button = show_line(studio, events, TabState(batch_row=(batch_id, 1)), job.id)
        assert "row 1" in line
        assert (button.visible, button.value == PUT_LABEL) == (can_put, True)


def test_after_a_settled_row_the_next_to_check_is_opened(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    photo = upload_first_picture(studio, events, batch_id)
    line = build_row_line(studio, events)
    opened: list[JobToShow | None] = []
    for row in (3, 1, 3, 2, 4):  # row 3 a second time: somebody has looked at it, so that nothing leads away
        job = studio.service.create_job("tint", {"photo": photo}, OWNER).model_copy(update={"for_row": (batch_id, row)})
        wait_for_result(studio.service.jobs.submit_and_watch(job))
        updates = line.swap_picture(LOCAL, TabState(batch_row=(batch_id, row), shown_job_id=job.id))
        opened.append(wanted := updates.get(line.jobs_to_show["tint"]))
        assert (line.tabs in updates) is (wanted is not None)
        if wanted is not None and row == 3:
            state = TabState(batch_row=(batch_id, 4), settled_row=wanted.settled_row)
            told, _ = show_line(studio, events, state, wanted.job_id)
            assert "row 4 of 4 · 3.png · row 3 repaired" in told
            assert re.findall(r'data-words="([a-z-]+ \d)', told) == ["approve-next 4", "next 4", "open 3"]
            change_receipt(studio, events.batches, batch_id, 3, cutout_doubts=[STILL_UNCLEAR_NOTICE])
            told, _ = show_line(studio, events, state, wanted.job_id)
            assert "row 4 of 4 · 3.png · row 3 replaced, still to check" in told
            events.batches.approve_row(batch_id, 3, OWNER)
            told, _ = show_line(studio, events, state, wanted.job_id)
            assert "row 4 of 4 · 3.png · row 3 marked as fine" in told
            events.batches.approve_row(batch_id, 3, OWNER, is_approved=False)
            change_receipt(studio, events.batches, batch_id, 3, cutout_doubts=[])
    assert [each and each.settled_row for each in opened] == [3, 1, None, 2, None]
    line.find_next_row_to_check = lambda *_: 1  # which was mended, and is doubted still
    last = events.batches.get_row(batch_id, 4, OWNER)
    assert line._open_next(events.batches.get_batch(batch_id, OWNER), last, TabState()) == {}
    shown = line.show_line(TabState(batch_row=(batch_id, 4)), OWNER, last.job_id or "")[line.tab.result.batch_row]
    assert ALL_SEEN_TEXT in shown


def test_beside_a_rows_picture_only_what_was_made_for_that_row_is_offered(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    photo = upload_first_picture(studio, events, batch_id)
    tab = build_row_line(studio, events).tab
    view, offered = TabView(tab, studio.service, studio.access), []
    for for_row in ((batch_id, 1), (batch_id, 2), (batch_id, 1), None):
        job = studio.service.create_job("tint", {"photo": photo}, OWNER).model_copy(update={"for_row": for_row})
        wait_for_result(studio.service.jobs.submit_and_watch(job))
        offered.append(len(view._offer_history(job)[tab.result.history]["choices"]))
    assert offered[:3] == [1, 1, 2]
    assert offered[3] >= 4


def test_a_mended_picture_is_to_be_checked_as_any_other_with_its_doubts_until_it_is_found_right(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    photo = upload_first_picture(studio, events, batch_id)
    for row in range(1, ROW_COUNT + 1):
        job = studio.service.create_job("tint", {"photo": photo}, OWNER)
        wait_for_result(studio.service.jobs.submit_and_watch(job))
        events.batches.replace_row(batch_id, row, job.id, OWNER)
        doubts = {2: [STILL_UNCLEAR_NOTICE], 3: ["The cut-out is half transparent at the top."]}.get(row, [])
        uncertainty = 0.9 if row == 2 else 0.1
        change_receipt(studio, events.batches, batch_id, row, cutout_uncertainty=uncertainty, cutout_doubts=doubts)
    shown = events.refresh(LOCAL, batch_id, BatchTabState())
    assert "1 with a small doubt · 1 probably wrong" in shown[events.tab.status]
    assert re.findall(r'data-words="approve (\d)', shown[events.tab.sheet]) == ["2", "3"]
    assert re.findall(r"<b[^>]*>([^<]*)</b>", shown[events.tab.sheet]) == ["Probably wrong", "Small doubt"]
    events.batches.approve_row(batch_id, 3, OWNER)
    job_id = events.batches.get_row(batch_id, 2, OWNER).job_id or ""
    assert "Picture is fine" in show_line(studio, events, TabState(batch_row=(batch_id, 2)), job_id)[0]
    events.batches.approve_row(batch_id, 2, OWNER)
    assert "the doubtful ones were checked" in events.refresh(LOCAL, batch_id, BatchTabState())[events.tab.status]
    assert "Picture is fine" not in show_line(studio, events, TabState(batch_row=(batch_id, 2)), job_id)[0]


def test_a_row_whose_earlier_picture_is_back_says_so_and_no_more_of_the_row_before(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)
    photo = upload_first_picture(studio, events, batch_id)
    job = studio.service.create_job("tint", {"photo": photo}, OWNER).model_copy(update={"for_row": (batch_id, 2)})
    wait_for_result(studio.service.jobs.submit_and_watch(job))
    earlier = events.batches.get_row(batch_id, 2, OWNER).job_id
    assert earlier is not None
    line = build_row_line(studio, events)
    state = TabState(batch_row=(batch_id, 2), shown_job_id=job.id, settled_row=1)
    line.swap_picture(LOCAL, state)
    state.row_changed_at = 0.0  # later than a double click

    def show_earlier(row: JobRow, result: Result, state: TabState, request: gr.Request) -> dict[Any, Any]:
        state.shown_job_id = row.job.id
        return {}

    line.show_result = show_earlier
    told = line.swap_picture(LOCAL, state)[line.tab.result.batch_row]
    assert state.shown_job_id == earlier
    assert "From your batch, row 2" in told
    assert "the earlier one is back" in told
    assert "repaired" not in told


def test_of_two_rows_that_come_at_once_the_later_pressed_is_opened(
    studio: RunningStudio, events: BatchTabEvents, tmp_path: Path
) -> None:
    batch_id = run_doubted_batch(studio, events.batches, tmp_path)

    service, access = studio.service, studio.access

    def build() -> Any:
        with gr.Blocks():
            tool_events = ToolTabEvents(ToolTab(service.find_tool("tint"), service), service, access)
            return LibraryTabEvents(service, access).make_show_job_handler(tool_events)

    recall = build_parts(build)
    state = TabState()

    async def open_row(row: int, pressed_at: int) -> None:
        job_id = events.batches.get_row(batch_id, row, OWNER).job_id or ""
        wanted = JobToShow(job_id, str(pressed_at), pressed_at=pressed_at)
        _ = [each async for each in recall(gr.Request(), wanted, state)]

    for row, pressed_at, opened in ((2, 20, 2), (1, 10, 2), (3, 30, 3), (4, 0, 4)):  # the last one from the Library
        asyncio.run(open_row(row, pressed_at))
        assert state.batch_row == (batch_id, opened)
