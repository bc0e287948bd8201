"""Tests of audit log and abuse reports: a changed line is detected, and everybody who sees a picture can report it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import app
from pipelines.core.errors import InvalidParams, PolicyRefusal, QueueFull
from pipelines.security.abuse_reports import MAX_REPORTS_PER_HOUR, REASONS, AbuseReports
from pipelines.security.audit_log import AuditLog
from tests.api import test_share_links
from tests.api.support.calls import RUN, read_failure
from tests.support.served_app import ServedApp
from ui.tool_tab import text

Lines = list[bytes]


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    made = AuditLog(tmp_path)
    for n in range(6):
        made.record_refusal("words" if n % 2 else "input", f"owner {n}", [f"{n:064x}"])
    return made


def test_an_untouched_log_is_whole(audit: AuditLog) -> None:
    state = audit.verify_chain()
    assert (state.entry_count, state.broken_line) == (6, None)
    assert state.last_link == list(audit.read_entries())[-1]["link"]


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    assert AuditLog(tmp_path).verify_chain().entry_count == 0


def _change_line(lines: Lines) -> Lines:
    return [*lines[:2], lines[2].replace(b'"input"', b'"words"'), *lines[3:]]


def _backdate_line(lines: Lines) -> Lines:
    row = json.loads(lines[2])
    return [*lines[:2], json.dumps({**row, "time": row["time"] - 9e5}).encode(), *lines[3:]]


EDITS: dict[str, Callable[[Lines], Lines]] = {
    "changed": _change_line,
    "backdated": _backdate_line,
    "taken out": lambda lines: [*lines[:2], *lines[3:]],
    "the first taken out": lambda lines: lines[1:],
    "moved": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "put in twice": lambda lines: [*lines[:3], *lines[2:]],
    "made up": lambda lines: [*lines[:2], json.dumps({"time": 1, "verdict": "words", "link": "0" * 64}).encode()],
    "garbage": lambda lines: [*lines[:2], b"\xff[[[", *lines[2:]],
    "another kind of line": lambda lines: [*lines[:2], b"[1]", *lines[2:]],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_a_log_that_was_touched_says_where(audit: AuditLog, tmp_path: Path, edit: Callable[[Lines], Lines]) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"\n".join(edit(path.read_bytes().splitlines())) + b"\n")
    broken = audit.verify_chain().broken_line
    assert broken is not None
    assert broken <= 4


def test_a_log_that_was_cut_short_ends_in_another_link(audit: AuditLog, tmp_path: Path) -> None:
    noted = audit.verify_chain().last_link
    path = tmp_path / "audit.log"
    path.write_bytes(b"\n".join(path.read_bytes().splitlines()[:4]) + b"\n")
    assert audit.verify_chain().broken_line is None
    assert audit.verify_chain().last_link != noted


def test_another_s_secret_makes_no_valid_line(audit: AuditLog, tmp_path: Path) -> None:
    (tmp_path / "audit.secret").write_bytes(bytes(32))
    AuditLog(tmp_path).record_refusal("words", "ann", [])
    assert audit.verify_chain().broken_line == 1


def test_many_write_at_once_and_no_line_is_lost(tmp_path: Path) -> None:
    """Threads of two studios, and another process, as the command line's batch is."""
    code = (
        "import sys; from pathlib import Path; from pipelines.security.audit_log import AuditLog\n"
        "for n in range(40): AuditLog(Path(sys.argv[1])).record_refusal('words', 'other', [])"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(app.__file__).parent)
    first, second = AuditLog(tmp_path), AuditLog(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (first if n % 2 else second).record_refusal("input", "ann", [f"{n:064x}"]), range(80)))
    assert other.wait(60) == 0
    assert (first.verify_chain().entry_count, first.verify_chain().broken_line) == (120, None)


def test_the_command_line_reads_it(audit: AuditLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["audit", "--data", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 6
    assert "6 entries, unbroken" in told.err
    path = tmp_path / "audit.log"
    path.write_bytes(path.read_bytes().replace(b'"input"', b'"words"', 1))
    assert app.main(["audit", "--data", str(tmp_path)]) == 1
    assert "line 1" in capsys.readouterr().err


# ---------------------------------------------------------------- reports


studio, mine = test_share_links.studio, test_share_links.mine  # fixtures


def last_entry(studio: ServedApp) -> dict[str, object]:
    return list(AuditLog(studio.service.settings.data).read_entries())[-1]


def test_a_picture_is_reported_over_http_without_names(studio: ServedApp, mine: httpx.Client) -> None:
    job = mine.post(RUN, json={"prompt": "a secret garden"}).json()
    said = mine.post("/v1/reports", json={"job_id": job["id"], "reason": "without_permission"})
    assert said.json() == {"object": "report", "subject": job["id"], "reason": "without_permission"}
    line = last_entry(studio)
    assert (line["verdict"], line["subject"], line["reason"]) == ("report", job["id"], "without_permission")
    assert line["sha256"] == [file["pixels_sha256"] for file in job["receipt"]["files"]]
    assert "garden" not in json.dumps(line)
    mine.post("/v1/reports", json={"file_id": job["files"][0]["id"], "reason": "minor"})
    assert last_entry(studio)["subject"] == job["files"][0]["id"]


def test_only_one_s_own_is_reported_over_http(studio: ServedApp, mine: httpx.Client) -> None:
    job = mine.post(RUN, json={}).json()
    with studio.open_client(headers={"X-API-Key": studio.keys.create_key("other")}) as other:
        for about in ({"job_id": job["id"]}, {"file_id": job["files"][0]["id"]}):
            assert read_failure(other.post("/v1/reports", json={**about, "reason": "minor"}))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [{"reason": "minor"}, {"reason": "a <b>", "job_id": "JOB"}, {"reason": "minor", "job_id": "a", "file_id": "b"}],
    ids=str,
)
def test_what_is_no_report_is_refused(mine: httpx.Client, body: dict[str, str]) -> None:
    job = mine.post(RUN, json={}).json()["id"]
    answer = mine.post("/v1/reports", json={name: value.replace("JOB", job) for name, value in body.items()})
    assert read_failure(answer)[:2] == (422, "invalid_request")
    assert "<b>" not in answer.text


def test_whoever_has_a_link_can_report_what_it_shows(studio: ServedApp, mine: httpx.Client) -> None:
    file_id = mine.post(RUN, json={}).json()["files"][0]["id"]
    share = mine.post("/v1/shares", json={"file_id": file_id}).json()
    with httpx.Client(base_url=studio.url) as stranger:
        assert 'rel="report"' in stranger.get(share["url"]).headers["link"]
        form = stranger.get(share["report_url"])
        assert form.status_code == 200
        assert "default-src 'none'" in form.headers["content-security-policy"]
        assert all(name in form.text for name in REASONS if name != "wrongly_refused")
        assert "Thank you" in stranger.post(share["report_url"], data={"reason": "nudity"}).text
    assert (last_entry(studio)["subject"], last_entry(studio)["reason"]) == (file_id, "nudity")


def test_the_page_s_links_lead_to_the_form(studio: ServedApp, mine: httpx.Client) -> None:
    job = mine.post(RUN, json={}).json()["id"]
    row = studio.service.jobs.get_job(job)
    assert row is not None
    assert row.result is not None
    assert f'href="report?job={job}"' in text.render_result_status(row.job, row.result, 0)
    assert 'href="report"' in text.render_error(PolicyRefusal("No."))
    assert "report" not in text.render_error(PolicyRefusal("Consent?", code="consent_required"))
    with httpx.Client(base_url=studio.url) as visitor:
        assert "without permission" in visitor.get(f"/report?job={job}").text
        assert "nothing wrong" in visitor.get("/report").text
        assert "Thank you" in visitor.post("/report", data={"reason": "wrongly_refused"}).text
    assert last_entry(studio)["subject"] == "refusal"


def test_the_form_takes_nothing_else(studio: ServedApp) -> None:
    with httpx.Client(base_url=studio.url) as stranger:
        before = AuditLog(studio.service.settings.data).verify_chain().entry_count
        assert stranger.get("/report?job=job-nobody").status_code == 404
        assert stranger.get("/report?share=forged").status_code == 404
        assert "<script>" not in stranger.get("/report?job=<script>").text
        assert stranger.post("/report", data={"reason": "x" * 9000}).status_code == 400
        assert stranger.post("/report", data={"reason": "no such"}).status_code == 422
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert stranger.post("/report", data={"reason": "wrongly_refused"}, headers=foreign).status_code == 400
        assert stranger.put("/report").status_code == 405
    assert AuditLog(studio.service.settings.data).verify_chain().entry_count == before


def test_a_flood_of_reports_ends(tmp_path: Path) -> None:
    reports = AbuseReports(AuditLog(tmp_path))
    for _ in range(3):
        reports.submit_report("minor", "job-1", "ann")
    assert AuditLog(tmp_path).verify_chain().entry_count == 1
    for n in range(2, MAX_REPORTS_PER_HOUR + 1):
        reports.submit_report("minor", f"job-{n}", "ann")
    with pytest.raises(QueueFull):
        reports.submit_report("minor", "job-x", "ann")
    with pytest.raises(InvalidParams):
        reports.submit_report("", "job-x", "ann")
    assert AuditLog(tmp_path).verify_chain().entry_count == MAX_REPORTS_PER_HOUR
