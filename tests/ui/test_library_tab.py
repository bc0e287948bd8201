from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from pipelines.core.job import Job
from pipelines.core.stream import wait_for_result
from pipelines.jobs.search import JobFilter, find_page
from pipelines.jobs.table import JobTable
from pipelines.storage.schema import JOBS
from tests.support.gated_tool import GatedStudio, make_gated_job
from tests.support.postgres import find_sqlite_connection
from ui.library_tab import layout

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[JobTable]:
    made = JobTable(tmp_path)
    yield made
    made.close()


def make_job(owner: str = "me", **values: object) -> Job:
    plain = {"tool": "headshot", "params": {}, "seed": 7, "created": time.time(), **values}
    return Job(id=f"job-{uuid.uuid4().hex}", profile="embedded", specs={}, owner=owner, **plain)  # pyrefly: ignore[bad-argument-type]


def insert_job(table: JobTable, owner: str = "me", status: str = "done", **values: object) -> str:
    """An ended job straight in the table; its id."""
    made = make_job(owner, **values)
    assert table.insert_job(made, None)
    table.db.execute(update(JOBS).where(JOBS.c.id == made.id).values(status=status))
    return made.id


def find_jobs(table: JobTable, owner: str = "me", **wanted: object) -> list[str]:
    return find_page(table, owner, JobFilter(**wanted))[0]  # pyrefly: ignore[bad-argument-type]


def test_words_are_found_whatever_their_case_and_field_names_are_not(table: JobTable) -> None:
    green = insert_job(table, params={"prompt": "Ein GRÜNER Becher", "preset": "linkedin", "photo": "file-abcprompt"})
    red = insert_job(table, params={"prompt": "a red mug"}, seed=4711)
    assert find_jobs(table, text="grüner becher") == [green]
    assert find_jobs(table, text="becher red") == []
    assert find_jobs(table, text="4711") == [red]
    assert find_jobs(table, text=red) == [red]
    assert find_jobs(table, text="prompt") == find_jobs(table, text="abcprompt") == []
    assert find_jobs(table, text="%") == []


def test_tool_day_and_state_narrow_it_down(table: JobTable) -> None:
    old = insert_job(table, created=1_000.0)
    failed = insert_job(table, tool="kit", status="failed", created=2_000.0)
    row = insert_job(table, batch=True, created=3_000.0)
    stopped = insert_job(table, status="cancelled")
    assert find_jobs(table) == [row, failed, old]
    assert find_jobs(table, tool="kit") == [failed]
    assert find_jobs(table, since=1_000.0, until=2_000.0) == [old]
    assert find_jobs(table, state="failed") == [failed]
    assert find_jobs(table, state="batch") == [row]
    assert find_jobs(table, state="single") == [failed, old]
    table.set_starred(old, True)
    assert find_jobs(table, state="starred") == [old]
    assert stopped not in find_jobs(table, state="all")


def test_only_the_owners_own_are_found_even_by_their_id(table: JobTable) -> None:
    insert_job(table)
    theirs = insert_job(table, owner="another")
    assert find_jobs(table, text=theirs) == []
    assert find_jobs(table, owner="nobody") == []


def test_drafts_and_what_a_page_orders_for_itself_are_in_no_list(table: JobTable) -> None:
    insert_job(table, helper=True)
    insert_job(table, draft=True)
    shown = insert_job(table)
    assert find_jobs(table) == [shown]
    assert [row.id for row in table.list_rows("me", 10, None, None)] == [shown]


def test_what_its_owner_deleted_is_in_no_list_until_it_is_restored(table: JobTable) -> None:
    first, second = insert_job(table), insert_job(table)
    table.db.execute(update(JOBS).values(finished=1.0))
    assert table.hide_jobs("another", [first]) == 0
    assert table.hide_jobs("me", [first]) == 1
    assert find_jobs(table) == [row.id for row in table.list_rows("me", 10, None, None)] == [second]
    assert table.restore_jobs("another", [first]) == 0
    assert table.restore_jobs("me", [first, second]) == 1
    assert find_jobs(table) == [second, first]


def test_a_job_is_found_by_the_name_of_its_photos_file(table: JobTable) -> None:
    apple = insert_job(table, label="Apple-on-a-plate")
    shot = insert_job(table, label="IMG-2045")
    assert find_jobs(table, text="apple plate") == [apple]
    assert find_jobs(table, text="img_2045") == [shot]


def test_pages_hold_what_comes_next_and_say_how_many_there_are(table: JobTable) -> None:
    ids = [insert_job(table) for _ in range(7)][::-1]
    pages = [find_page(table, "me", JobFilter(), start, 3) for start in (0, 3, 6)]
    assert [page for page, _ in pages] == [ids[:3], ids[3:6], ids[6:]]
    assert {total for _, total in pages} == {7}


@pytest.mark.usefixtures("only_in_a_file")
def test_five_thousand_jobs_are_searched_in_few_steps_of_the_database(table: JobTable) -> None:
    receipt = json.dumps({"files": [], "receipt": {"pad": "x" * 3000}, "seconds": 1})
    with table.db.transaction():
        for n in range(5000):
            table.insert_job(make_job(params={"prompt": f"mug number {n}", "photo": "file-" + "a" * 40}), None)
        table.db.execute(update(JOBS).values(status="done", result=receipt))
    thousands = list[int]()
    find_sqlite_connection(table.db).set_progress_handler(
        lambda: thousands.append(1), 1000
    )  # after each thousand instructions
    for wanted in (JobFilter(), JobFilter(text="number 4999"), JobFilter(text="nowhere"), JobFilter(tool="kit")):
        thousands.clear()
        find_page(table, "me", wanted, 2400)
        assert len(thousands) < 300  # measured 0 to 150


@pytest.mark.parametrize(("word", "days"), [("2026-11", 30), ("2024-02", 29), ("2026-12", 31), ("2026-11-25", 1)])
def test_a_month_or_a_day_among_the_words_is_a_span_of_time(word: str, days: int) -> None:
    wanted = layout.parse_filters(f"mug {word}", "", "", "all")
    first = datetime.fromisoformat(word if len(word) == 10 else f"{word}-01")
    assert wanted.text == "mug"
    assert wanted.since == first.timestamp()
    assert wanted.until == (first + timedelta(days=days)).timestamp()


@pytest.mark.parametrize("word", ["2026", "2026-13", "2026-02-30", "v2026-11", "2026-1"])
def test_any_other_word_is_a_word(word: str) -> None:
    assert layout.parse_filters(word, None, None, None) == JobFilter(text=word)


def test_what_a_person_wrote_is_escaped(tmp_path: Path) -> None:
    with GatedStudio(tmp_path) as here:
        job_id = here.jobs.submit(make_gated_job(1, fault="<img onerror=alert(1)>"))
        wait_for_result(here.jobs.watch(job_id))
        row = here.jobs.get_job(job_id)
    assert row is not None
    assert "<img" not in layout.render_facts(row, "<b>")
    assert "&lt;img" in layout.render_facts(row, "<b>")


def test_a_tile_says_how_far_its_job_is(tmp_path: Path) -> None:
    with GatedStudio(tmp_path) as here:
        here.gate.open.clear()
        first, second = here.jobs.submit(make_gated_job(4)), here.jobs.submit(make_gated_job(4))
        while here.gate.entered < 1:
            time.sleep(0.005)
        running, waiting = here.jobs.get_job(first), here.jobs.get_job(second)
        assert running is not None
        assert waiting is not None
        assert "Working" in layout.label_tile(running, "Gate")
        assert "Waiting" in layout.label_tile(waiting, "Gate")
        here.gate.open.set()
        wait_for_result(here.jobs.watch(second))
        here.jobs.table.set_starred(first, True)
        done = here.jobs.get_job(first)
        assert done is not None
        assert layout.label_tile(done, "Gate").startswith("★ Gate · ")
