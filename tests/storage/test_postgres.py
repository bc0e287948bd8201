"""Several studios on one Postgres database: who does what, who stops what, and what happens when the server is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Float, Integer, MetaData, Table, Text, insert, select, text

import pipelines.jobs.workers
import pipelines.storage.database
from app import create_key
from pipelines.batch.batch_table import Batch, BatchRow, BatchTable
from pipelines.core.errors import JobCancelled, NotFound
from pipelines.core.job import Result
from pipelines.core.stream import Stream
from pipelines.jobs.table import JobTable
from pipelines.settings import Settings
from pipelines.storage.connect import check_url, open_postgres
from pipelines.storage.database import Database, DatabaseUnavailable
from tests.support.app_process import find_free_port
from tests.support.gated_tool import GatedStudio, make_gated_job
from tests.support.postgres import make_database_url, needs_postgres, start_shared_server
from ui.api.errors import to_studio_error
from ui.server.serve import serve_studio

pytestmark = needs_postgres
THINGS = Table("things", MetaData(), Column("n", Integer, primary_key=True), Column("at", Float), Column("word", Text))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return make_database_url(tmp_path)


@pytest.fixture
def two(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[GatedStudio, GatedStudio]]:
    """Two studios with a folder each and one database, that look around oftener than they would."""
    monkeypatch.setattr(pipelines.jobs.workers, "HEARTBEAT_SECONDS", 0.2)
    with GatedStudio(tmp_path / "a", database=url) as first, GatedStudio(tmp_path / "b", database=url) as second:
        yield first, second


def until(happened: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def ended(watch: Stream) -> Result | BaseException | None:
    result = None
    try:
        for event in watch:
            result = event if isinstance(event, Result) else result
    except JobCancelled as error:
        return error
    return result


def test_what_one_studio_is_too_busy_for_another_does_and_whoever_asked_is_told(
    two: tuple[GatedStudio, GatedStudio],
) -> None:
    first, second = two
    first.gate.open.clear()
    held = first.jobs.submit(make_gated_job(seed=1))
    until(lambda: first.gate.order == [1] or second.gate.order == [1])
    if second.gate.order:  # it was quicker: then the other way round
        first, second = second, first
        first.gate.open.clear()
        second.gate.open.set()
    given = [first.jobs.submit(make_gated_job(seed=n)) for n in range(2, 6)]
    results = [ended(first.jobs.watch(each)) for each in given]
    assert all(isinstance(result, Result) for result in results)
    first.gate.open.set()
    assert isinstance(ended(first.jobs.watch(held)), Result)
    assert sorted(first.gate.order + second.gate.order) == [1, 2, 3, 4, 5], "something was done twice"
    assert {row.job.id for row in second.jobs.list_jobs("me")} == {held, *given}


def test_a_job_is_stopped_from_whichever_studio(two: tuple[GatedStudio, GatedStudio]) -> None:
    first, second = two
    for each in two:
        each.gate.pause = 0.05
    running = first.jobs.submit(make_gated_job(steps=1000))
    until(lambda: first.gate.entered or second.gate.entered)
    watch = first.jobs.watch(running)
    (second if first.gate.entered else first).jobs.cancel(running)
    assert isinstance(ended(watch), JobCancelled)
    assert [row.status for row in second.jobs.list_jobs("me")] == ["cancelled"]


def test_a_claim_whose_answer_got_lost_is_put_back_when_its_lease_is_over(tmp_path: Path, url: str) -> None:
    table = JobTable(tmp_path, url)
    for until_when in (time.time() - 1, time.time() + 60):
        table.insert_job(make_gated_job(), None)
        table.claim_next_job(until_when)
    held = make_gated_job()
    table.insert_job(held, None)
    table.claim_next_job(time.time() - 1)
    assert table.requeue_abandoned([held.id]) == 1
    assert table.count_jobs() == (2, 1, 0)
    table.close()


def test_a_studio_that_starts_takes_nothing_from_one_that_works(tmp_path: Path, url: str) -> None:
    table = JobTable(tmp_path / "a", url)
    store = BatchTable(table, "a")
    store.insert_batch(batch("batch-read", "reading", None))
    draft = make_gated_job().model_copy(update={"draft": True})
    table.insert_job(draft, None)
    other = JobTable(tmp_path / "b", url)
    BatchTable(other, "b")
    other.drop_drafts()
    assert other.list_waiting() == [draft.id]
    assert store.list_ids("reading") == ["batch-read"]
    other.close()
    table.close()


def test_rows_whose_pictures_lie_in_one_studios_folder_are_its_own(tmp_path: Path, url: str) -> None:
    table = JobTable(tmp_path, url)
    here, there = BatchTable(table, "here"), BatchTable(table, "there")
    for name, source in (("batch-mine", "/pictures"), ("batch-anybodys", None)):
        here.insert_batch(batch(name, "running", source))
        here.insert_rows(name, [BatchRow(1, "1", "gate", {})])
    found = there.take_next_row()
    assert found is not None
    assert found[0].id == "batch-anybodys"
    there.mark_submitted("batch-anybodys", 1)
    assert there.take_next_row() is None
    mine = here.take_next_row()
    assert mine is not None
    assert mine[0].id == "batch-mine"
    table.close()


def batch(batch_id: str, state: str, source: str | None) -> Batch:
    return Batch(batch_id, "me", "gate", "", state, "", {}, 2**32 - 1, "same", source, {}, time.time())  # pyrefly: ignore[bad-argument-type]


def test_a_server_that_stops_holds_the_work_and_loses_none(tmp_path: Path, url: str) -> None:
    with GatedStudio(tmp_path, database=url) as here:
        here.gate.open.clear()
        running = here.jobs.submit(make_gated_job(steps=1, seed=1))
        waiting = here.jobs.submit(make_gated_job(steps=1, seed=2))
        until(lambda: here.gate.entered)
        watch = here.jobs.watch(waiting)
        start_shared_server().stop()
        try:
            here.gate.open.set()
            with pytest.raises(DatabaseUnavailable) as caught:
                here.jobs.list_jobs("me")
        finally:
            start_shared_server().start()
        assert isinstance(ended(watch), Result)
        until(lambda: [row.status for row in here.jobs.list_jobs("me")] == ["done", "done"])
        assert here.gate.order in ([1, 2], [1, 1, 2]), "the one that could not be kept is done again, no other"
        assert {row.job.id for row in here.jobs.list_jobs("me")} == {running, waiting}
    told = to_studio_error(caught.value, {"method": "GET", "path": "/v1/jobs", "state": {}})
    assert (told.code, told.status) == ("storage_unavailable", 503)
    assert "try again" in told.message


def test_whoever_comes_first_after_the_server_is_back_is_answered(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines.storage.database, "IDLE_CHECK_SECONDS", 0.0)
    db = open_postgres(url)
    start_shared_server().stop()
    start_shared_server().start()
    assert db.fetch_rows(text("SELECT 1 AS n"))[0].n == 1
    db.close()


def test_changes_that_are_made_whole_are_made_or_none_is(url: str) -> None:
    db = open_postgres(url)
    db.create_tables([THINGS])
    with pytest.raises(NotFound), db.transaction():
        _add_and_fail(db)
    with db.transaction():
        db.execute(insert(THINGS).values(n=2, at=1795675043.5149837))
    assert db.fetch_rows(select(THINGS.c.n, THINGS.c.at)) == [(2, 1795675043.5149837)]
    db.close()


def _add_and_fail(db: Database) -> None:
    db.execute(insert(THINGS).values(n=1, at=1795675043.5149837))
    raise NotFound("after all")


def test_a_character_that_postgres_knows_no_text_with_finds_nothing(url: str) -> None:
    db = open_postgres(url)
    db.create_tables([THINGS])
    db.execute(insert(THINGS), [{"n": n, "word": word} for n, word in enumerate(("a", "b\0"))])
    assert db.fetch_rows(select(THINGS).where(THINGS.c.word == "a\0")) == []
    assert db.fetch_rows(select(THINGS.c.word).where(THINGS.c.n == 1)) == [("b\ufffd",)]
    db.close()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("mysql://me:hush@host/db", "postgresql://USER:PASSWORD@HOST"),
        ("postgresql://me:hush@host", "DATABASE"),
        ("postgresql://me:hush@host/db?sslmode=maybe", "sslmode is"),
        ("postgresql://me:hush@host/db?schema=A;B", "schema"),
        ("postgresql://me:hush@host/db?options=1", "not options"),
    ],
)
def test_a_wrong_url_is_refused_with_a_sentence_and_without_its_password(
    wrong: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=told):
        check_url(wrong)
    with pytest.raises(SystemExit):
        Settings.from_args(["--database", wrong])
    said = capsys.readouterr().err
    assert told.split()[0] in said
    assert "hush" not in said


# pg8000 closes the socket of a refused connection before the stream over it, so that 3.13 calls it unclosed.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_a_start_without_the_database_or_its_package_ends_with_a_sentence(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data=tmp_path, port=find_free_port(), database=url.replace("of-the-tests", "wrong-one"))
    assert serve_studio(settings) == 2
    assert create_key(settings, "me") == 2
    assert "The database refused the studio" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install -r requirements-postgres\.txt"):
        check_url(url)


def test_the_password_is_in_no_text_of_the_settings_or_of_a_refusal(url: str) -> None:
    assert "of-the-tests" not in repr(Settings.from_args(["--database", url]))
    with pytest.raises(DatabaseUnavailable, match="refused the studio") as caught:
        open_postgres(url.replace("of-the-tests", "wrong-one")).run("SELECT 1")
    assert "wrong-one" not in str(caught.value)
