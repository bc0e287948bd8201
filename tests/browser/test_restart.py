"""A studio that stops in the middle and starts again: the page has the job and the batch as they stood, and their end.

That an open page comes back by itself when the whole studio is killed is measured by `tests.bench survival`.
"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from pipelines.batch.batch_service import BatchOptions
from pipelines.batch.jobs_file import ParsedRow
from pipelines.batch.row_values import BatchPlan
from tests.browser.studio_page import (
    find_progress_line,
    make_slow_tool,
    open_browser_page,
    serve_browser_page,
    show_tab,
)
from tests.support.batch_rows import BatchStudio, write_picture
from tests.support.gated_tool import Gate
from tests.support.served_app import wait_until

ROWS = 6


def start_batch(root: Path, photo: Path) -> tuple[str, int]:
    """A studio that is stopped while a job runs and a batch waits behind it: the job, and the rows done by then."""
    gate = Gate(pause=0.05)
    with BatchStudio(root, tools=(make_slow_tool(gate),)) as here:
        file_id = here.service.uploads.ingest_picture(photo.read_bytes(), "local")[0]
        lines = (ParsedRow(n, {"photo": file_id, "steps": 1}) for n in range(1, ROWS + 1))
        batch = here.batches.create_batch(BatchPlan("slow", {}), lines, "local", BatchOptions(seed=1))
        here.batches.start(batch.id)
        wait_until(lambda: here.batches.get_progress(batch.id).done >= 1, 60)
        job = here.service.create_job("slow", {"photo": file_id, "steps": 200}, "local")
        here.service.jobs.submit(job)
        wait_until(lambda: (row := here.service.jobs.get_job(job.id)) is not None and row.step is not None, 60)
        done = here.batches.get_progress(batch.id).done
    return job.id, done


def test_a_page_finds_its_job_and_its_batch_under_way_again_after_the_studio_was_restarted(
    browser: Browser, tmp_path: Path
) -> None:
    job_id, done = start_batch(tmp_path / "data", write_picture(tmp_path / "p.png"))
    assert 0 < done < ROWS
    with (
        serve_browser_page(tmp_path / "data", shut=True, only=()) as studio,
        open_browser_page(browser, studio) as page,
    ):
        page.goto(f"{studio.url}/#slow")  # Stop stands in Generate's place as soon as the job is found
        expect(page.locator("#slow-stop")).to_be_enabled()
        show_tab(page, "batch")
        expect(page.locator("#batch-stage")).to_contain_text(f"Working: {done} of {ROWS}")
        studio.gate.open.set()
        expect(page.locator("#batch-stage")).to_contain_text(f"Done: {ROWS} of {ROWS}")
        show_tab(page, "slow")
        expect(find_progress_line(page, "slow")).to_contain_text("Done in")
        row = studio.service.jobs.get_job(job_id)
        assert row is not None
        assert row.status == "done"
