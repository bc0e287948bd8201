"""The figures: what was answered, what runs, what is loaded, and who may read them."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from pipelines.settings import Settings
from tests.api.support.calls import RUN, read_failure
from tests.support.served_app import ServedApp, serve_app, wait_until
from ui.api.metrics import Metrics


def figures(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    rows = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(row.name, tuple(sorted(row.labels.items()))): row.value for row in rows}


def read(client: httpx.Client, name: str, **labels: str) -> float:
    found = figures(client.get("/metrics").text)
    return found.get((f"designerbox_{name}", tuple(sorted(labels.items()))), 0.0)


def test_steps_errors_and_answers_are_counted(studio: ServedApp) -> None:
    with studio.open_client() as client:
        client.post(RUN, json={"steps": 5})
        client.post(RUN, json={"fault": "no_face"})
        client.get("/v1/nothing")
        assert read(client, "steps_total") >= 5
        assert read(client, "errors_total", code="no_face") == 1
        assert read(client, "errors_total", code="not_found") == 1
        assert read(client, "requests_total", method="POST", route=RUN, status="200") == 1
        assert read(client, "request_seconds_count", route=RUN) == 2
        assert read(client, "memory_bytes") > 1e7
        loads = [name for name in figures(client.get("/metrics").text) if name[0] == "designerbox_cache_loads_total"]
        assert loads  # the content gate's network at least


def test_every_way_to_fail_is_counted_by_its_code(studio: ServedApp) -> None:
    openai_s = {"prompt": "x", "fault": "no_face"}
    with studio.open_client() as client:
        before = {code: read(client, "errors_total", code=code) for code in ("no_face", "not_found")}
        failed = read(client, "jobs_failed_total", code="no_face", tool="background")
        assert "event: error" in client.post(f"{RUN}?stream=true", json={"fault": "no_face"}).text
        assert "event: error" in client.post("/v1/images/generations", json={**openai_s, "stream": True}).text
        wait_until(lambda: read(client, "errors_total", code="no_face") == before["no_face"] + 2)
        assert client.post(f"{RUN}?wait=false", json={"fault": "no_face"}).status_code == 202
        wait_until(lambda: read(client, "jobs_failed_total", code="no_face", tool="background") == failed + 3)
        assert read(client, "errors_total", code="no_face") == before["no_face"] + 2, "nobody was told of the third"
        client.get("/s/none")
        client.get("/report?share=none")
        assert read(client, "errors_total", code="not_found") == before["not_found"] + 2


def test_the_queue_is_told_as_it_stands(studio: ServedApp) -> None:
    studio.gate.open.clear()
    with studio.open_client() as client:
        for _ in range(3):
            client.post(f"{RUN}?wait=false", json={})
        wait_until(lambda: read(client, "jobs", state="running") == 1)
        assert read(client, "jobs", state="waiting") == 2
        assert read(client, "queue_limit") == 16
        studio.gate.open.set()
        wait_until(studio.is_idle)
        assert read(client, "jobs", state="waiting") == 0


def test_no_id_and_no_invented_word_becomes_a_label(studio: ServedApp) -> None:
    with studio.open_client() as client:
        job = client.post(RUN, json={"prompt": "plans of ann"}).json()
        client.get(f"/v1/jobs/{job['id']}")
        for n in range(20):
            client.get(f"/v1/made-up-{n}")
            client.get(f"/made-up-{n}")
            client.request(f"VERB{n}", "/v1/jobs")
        text = client.get("/metrics").text
    assert "made-up" not in text
    assert "VERB" not in text
    assert job["id"] not in text
    assert "plans" not in text
    assert 'route="/v1/jobs/{job_id}"' in text


def test_where_a_key_is_needed_the_figures_need_one_that_administers(tmp_path: Path) -> None:
    with (
        serve_app(tmp_path, settings=Settings(data=tmp_path, require_key=True)) as locked,
        locked.open_client() as client,
    ):
        assert read_failure(client.get("/metrics"))[:2] == (401, "invalid_api_key")
        usual = {"X-API-Key": locked.keys.create_key("usual")}
        assert read_failure(client.get("/metrics", headers=usual))[:2] == (403, "permission_denied")
        admin = {"X-API-Key": locked.keys.create_key("admin", ("admin",))}
        told = figures(client.get("/metrics", headers=admin).text)
        for code in ("invalid_api_key", "permission_denied"):
            assert told["designerbox_errors_total", (("code", code),)] == 1


def test_two_studios_do_not_share_their_figures(studio: ServedApp) -> None:
    one, two = Metrics(studio.service), Metrics(studio.service)
    one.count_answer("GET", "/", 200, 0.1)
    assert b'route="/"' in one.render_text()
    assert b'route="/"' not in two.render_text()
