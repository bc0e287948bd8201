"""The attacks of docs/attacks.md on a studio that strangers can reach, each with what becomes of it.

The hostile pictures are in tests/ingest, words and pictures of nudity in test_content_filter.py. `python -m tests.bench
siege` sends most of these at once, from fifty clients, at a studio that has honest work to do.
"""

from __future__ import annotations

import ast
import gc
import io
import json
import os
import pickle
import re
import shlex
import signal
import socket
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import PIL.Image
import pytest
from gradio.state_holder import StateHolder
from PIL.PngImagePlugin import PngInfo
from sqlalchemy import update
from starlette.datastructures import Headers

from pipelines.batch.manifest import escape_spreadsheet_formula
from pipelines.batch.picture_source import ZipSource
from pipelines.codecs.encode import PixelOrigin, build_xmp, encode_image
from pipelines.core.errors import BadInput, ModelUnavailable, QueueFull
from pipelines.core.job import Job, Result
from pipelines.core.rendering import Adapter
from pipelines.core.stream import wait_for_result
from pipelines.core.tools import Tool
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES, DecoderPool
from pipelines.jobs.queue import JobRow
from pipelines.models import checkpoint, pinned_revisions
from pipelines.provenance.c2pa import CredentialReport, verify_credentials
from pipelines.security import ssrf_guard
from pipelines.security.abuse_reports import MAX_REPORTS_PER_HOUR, AbuseReports
from pipelines.security.audit_log import AuditLog
from pipelines.service import teams as teams_service
from pipelines.service.settings_link import build_link
from pipelines.service.teams import Team, TeamMember
from pipelines.settings import Settings
from pipelines.storage.schema import TEAMS
from pipelines.tools import TOOLS, find_tool
from pipelines.tools.shared import precision_benchmark
from tests.api import conftest as api_fixtures
from tests.api.support.calls import FOREVER, RUN, make_noise_png, read_failure
from tests.api.support.portraits import make_cat, make_portrait, send_portrait
from tests.support.download_doors import DOWNLOADS, StudioClient, call_gradio_endpoint
from tests.support.download_doors import Download as Leaving
from tests.support.download_doors import DownloadRefused as Blocked
from tests.support.examples import make_noise
from tests.support.hostile_pictures import HOSTILE_FILE_NAMES, make_png, make_polyglot, make_text_bomb
from tests.support.page_client import list_events, list_picture_inputs, submit_event
from tests.support.served_app import ServedApp, serve_app, serve_public_page, wait_until
from tests.support.shared_resources import take_decoder_pool
from ui.api.auth.access import AccessControl, ConnectionInfo
from ui.api.auth.invite_links import InviteLinks, LinkKind
from ui.api.auth.visitor_cookie import COOKIE_NAME
from ui.api.documentation.code_snippets import make_snippet_request, write_curl
from ui.api.routes import join_page
from ui.gradio_patches import session_memory
from ui.library_tab.layout import render_facts
from ui.tool_tab import text as tool_tab_text

ROOT = Path(__file__).parents[2]
# Gradio leaves event loops and their sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
here, client = api_fixtures.here, api_fixtures.client
XSS = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with serve_app(tmp_path_factory.mktemp("rest"), waiting=4) as built:
        yield built


@contextmanager
def listening() -> Iterator[tuple[str, socket.socket]]:
    """An address that nobody should ask."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret", server


def was_never_called(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except TimeoutError:
        return True
    return False


# ---------------------------------------------------------------- addresses and names


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "%2e%2e%2fkeys.sqlite3", "....//keys", "file-..%2Fsigning"])
def test_01_an_id_is_never_a_path(client: httpx.Client, name: str) -> None:
    for path in (f"/v1/files/{name}/content", f"/v1/files/{name}", f"/v1/jobs/{name}", f"/v1/jobs/{name}/events"):
        assert read_failure(client.get(path))[:2] == (404, "not_found")


@pytest.mark.parametrize("field", ["photo", "mask"])
def test_03_an_address_is_not_fetched(client: httpx.Client, field: str) -> None:
    with listening() as (url, server):
        for value in (url, f"file://{__file__}", url.replace("http", "gopher"), f"data:image/svg+xml,{url}"):
            assert read_failure(client.post(RUN, json={field: value}))[:2] == (400, "invalid_request")
        assert was_never_called(server)


def test_05_an_address_inside_a_picture_is_not_fetched() -> None:
    ingest = take_decoder_pool()
    with listening() as (url, server):
        packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d provenance="{url}"/>c2pa</x:xmpmeta>'.encode()
        data = encode_image(make_noise(40, 40), "png", packet)
        ingest.decode_picture(data)
        ingest.read_ingredient_archive(data)
        ingest.verify_credentials(data, "")
        assert was_never_called(server)


def test_06_of_a_polyglot_only_pixels_are_kept(here: ServedApp, client: httpx.Client) -> None:
    assert zipfile.is_zipfile(io.BytesIO(make_polyglot()))
    sent = client.post("/v1/files", files={"file": ("a.jpg", make_polyglot())}).json()
    kept = client.get(f"/v1/files/{sent['id']}/content")
    assert not zipfile.is_zipfile(io.BytesIO(kept.content))
    assert (kept.headers["content-type"], kept.headers["x-content-type-options"]) == ("image/png", "nosniff")


def test_07_no_header_is_made_of_what_was_sent(client: httpx.Client) -> None:
    evil = "a.png\r\nSet-Cookie: stolen=1"
    answers = [
        client.post("/v1/files", files={"file": (evil, make_noise_png())}),
        client.get(f"/v1/files/{quote(evil)}/content"),
    ]
    answers.append(client.get("/v1/jobs", params={"after": evil}))
    for answer in answers:
        assert "set-cookie" not in answer.headers
        assert "stolen" not in str(answer.headers)


@pytest.mark.parametrize("name", HOSTILE_FILE_NAMES, ids=lambda name: name[:24])
def test_18_a_file_s_name_is_not_repeated_anywhere(client: httpx.Client, name: str) -> None:
    job = client.post(RUN, files={"photo": (name, make_noise_png())})
    sent = client.post("/v1/files", files={"file": (name, make_noise_png())})
    assert name[-20:] not in job.text + sent.text
    assert "onerror" not in job.text + sent.text


# ---------------------------------------------------------------- other sites


FOREIGN = ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"})


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_08_a_foreign_page_reads_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    ask = {**headers, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for answer in (client.get("/v1/jobs", headers=headers), client.options("/v1/jobs", headers=ask)):
        assert answer.status_code in (401, 405)
        assert not [name for name in answer.headers if name.startswith("access-control-allow")]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_09_a_foreign_form_starts_no_job(here: ServedApp, client: httpx.Client, headers: dict[str, str]) -> None:
    before = here.gate.entered
    assert client.post(RUN, data={"prompt": "x"}, headers=headers).status_code == 401
    assert client.post(RUN, files={"photo": ("a.png", make_noise_png())}, headers=headers).status_code == 401
    assert client.delete("/v1/jobs/job-x", headers=headers).status_code == 401
    assert here.gate.entered == before


def test_10_a_name_pointed_at_this_machine_opens_nothing(client: httpx.Client) -> None:
    assert client.get("/v1/jobs", headers={"Host": "evil.example"}).status_code == 401


@pytest.mark.parametrize("where", [{"api_key": "KEY"}, {"key": "KEY"}, {"access_token": "KEY"}], ids=str)
def test_23_a_key_in_the_address_is_no_key(tmp_path: Path, where: dict[str, str]) -> None:
    with serve_app(tmp_path, settings=Settings(data=tmp_path, require_key=True)) as locked:
        key = locked.keys.create_key("ann")
        params = {name: value.replace("KEY", key) for name, value in where.items()}
        assert httpx.get(f"{locked.url}/v1/tools", params=params).status_code == 401


# ---------------------------------------------------------------- too much


def test_11_a_flood_is_told_to_come_back_and_the_queue_drains(here: ServedApp, client: httpx.Client) -> None:
    here.gate.open.clear()
    answers = [client.post(RUN, json={"prompt": str(n)}, params={"wait": "false"}) for n in range(12)]
    full = [answer for answer in answers if answer.status_code == 429]
    assert len(full) == 12 - 5
    assert all(read_failure(answer)[1] == "queue_full" and answer.headers["retry-after"] for answer in full)
    here.gate.open.set()
    wait_until(here.is_idle)
    assert client.post(RUN, json={"prompt": "after"}).status_code == 200


def test_12_slow_uploads_do_not_close_the_door_to_others(here: ServedApp, client: httpx.Client) -> None:
    host, port = here.url.removeprefix("http://").split(":")
    head = f"POST {RUN} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    with ExitStack() as stack:
        for _ in range(60):
            slow = stack.enter_context(socket.create_connection((host, int(port))))
            slow.sendall(f"{head}Content-Length: 9000000\r\n\r\n--b\r\n".encode())
        assert client.get("/healthz").status_code == 200
        assert client.post(RUN, files={"photo": ("a.png", make_noise_png())}).status_code == 200


def test_13_hoarded_event_streams_block_nobody_and_are_let_go(here: ServedApp, client: httpx.Client) -> None:
    here.gate.open.clear()
    job = client.post(RUN, json=FOREVER, params={"wait": "false"}).json()["id"]
    live = here.service.jobs._subscribers.live_jobs[job]
    limits = httpx.Limits(max_connections=None)
    with ExitStack() as stack:
        hoarder = stack.enter_context(here.open_client(limits=limits))
        for _ in range(80):
            stack.enter_context(hoarder.stream("GET", f"/v1/jobs/{job}/events"))
        wait_until(lambda: len(live.streams) == 80)
        assert client.get("/v1/tools").status_code == 200
        assert client.post("/v1/files", files={"file": ("a.png", make_noise_png())}).status_code == 200
    here.gate.open.set()
    wait_until(lambda: not live.streams)
    assert client.delete(f"/v1/jobs/{job}").status_code == 200


BODIES = {
    "deep": b'{"prompt":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep object": b'{"prompt":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "a long number": b'{"seed":' + b"9" * 300_000 + b"}",
    "a large exponent": b'{"strength":1e999999999}',
    "many fields": json.dumps({f"f{n}": n for n in range(20_000)}).encode(),
    "a long word": json.dumps({"prompt": "x" * 5_000_000}).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_14_a_monstrous_body_is_a_quick_sentence(client: httpx.Client, body: bytes) -> None:
    answer = client.post(RUN, content=body, headers={"Content-Type": "application/json"}, timeout=30)
    assert read_failure(answer)[:2] in ((400, "invalid_request"), (422, "invalid_request"))
    assert len(answer.content) < 1000


def test_15_a_picture_that_unpacks_to_gigabytes_is_refused(client: httpx.Client) -> None:
    for data, code in (
        (make_png(30000, 30000, depth=1, colour=0), "too_many_pixels"),
        (make_text_bomb(), "corrupt_image"),
    ):
        assert read_failure(client.post(RUN, files={"photo": ("a.png", data)}))[1] == code


def test_26_many_ranges_give_one_whole_file(client: httpx.Client) -> None:
    sent = client.post("/v1/files", files={"file": ("a.png", make_noise_png())}).json()
    ranges = "bytes=" + ",".join(f"{n}-" for n in range(2000))
    answer = client.get(f"/v1/files/{sent['id']}/content", headers={"Range": ranges[:60_000]})
    assert (answer.status_code, len(answer.content)) == (200, sent["bytes"])


# ---------------------------------------------------------------- words that are code elsewhere


def test_16_a_prompt_is_text_on_the_page() -> None:
    shown = "".join(
        (
            tool_tab_text.render_status(XSS, notes=[XSS]),
            tool_tab_text.render_alert(XSS, f'"{XSS}'),
            tool_tab_text.render_notice([XSS], XSS),
            tool_tab_text.render_comparison("data:,", f'"{XSS}'),
        )
    )
    assert "<img src=x" not in shown
    assert 'data-for=""' not in shown


def test_17_a_prompt_stays_one_word_of_a_copied_command() -> None:
    evil = "'; rm -rf ~; echo $(id) `id` \n\\"
    what = make_snippet_request(find_tool("background"), {"prompt": evil}, lambda _: False)
    parts = shlex.split(write_curl(what, ConnectionInfo("http://127.0.0.1")))
    assert parts[parts.index("--form-string") + 1] == f"prompt={evil}"
    assert not {"rm", ";", "id"} & set(parts)


def test_19_metadata_of_a_picture_does_not_pass_the_door(client: httpx.Client) -> None:
    info = PngInfo()
    for name in ("Comment", "parameters", "XML:com.adobe.xmp"):
        info.add_itxt(name, XSS)
    data = io.BytesIO()
    PIL.Image.fromarray(make_noise(40, 40)).save(data, "PNG", pnginfo=info)
    sent = client.post("/v1/files", files={"file": ("a.png", data.getvalue())})
    assert b"onerror" not in client.get(f"/v1/files/{sent.json()['id']}/content").content
    assert "onerror" not in sent.text


def test_27_a_forged_receipt_is_not_taken_for_ours() -> None:
    forged = encode_image(make_noise(40, 40), "png", build_xmp({"tool": "headshot"}, PixelOrigin(photographed=True)))
    found = verify_credentials(forged)
    assert isinstance(found, CredentialReport)
    assert (found.status, found.signer) == ("none", "")


def test_28_an_error_tells_nothing_of_the_inside(client: httpx.Client) -> None:
    answer = client.post(RUN, json={"fault": "bug"})
    assert answer.status_code == 500
    assert not [word for word in ("Traceback", "ZeroDivision", ".py", str(ROOT)) if word in answer.text]


# ---------------------------------------------------------------- the page, with strangers in front of it


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ServedApp, AccessControl]]:
    """The real page as on a Space: open, each visitor somebody."""
    with pytest.MonkeyPatch.context() as patch, serve_public_page(tmp_path_factory.mktemp("page")) as opened:
        patch.setattr(precision_benchmark, "TILE_SIDE_PX", 16)  # an event that anybody may call measures a net
        yield opened


PATHS = ["/etc/passwd", "../../../../etc/passwd", "KEYS", "SIGNING", "C:\\windows\\win.ini", "%2e%2e/%2e%2e/etc/passwd"]


@pytest.mark.parametrize("path", PATHS)
def test_02_the_page_serves_no_file_but_its_own(page: tuple[str, ServedApp, AccessControl], path: str) -> None:
    url, house, _ = page
    data = house.service.settings.data
    path = path.replace("KEYS", str(data / "keys.sqlite3")).replace("SIGNING", str(data / "visitors.secret"))
    for address in (f"/gradio_api/file={path}", f"/file={path}", f"/gradio_api/file/{path}", f"/assets/tiles/{path}"):
        answer = httpx.get(url + address)
        assert answer.status_code in (400, 403, 404, 405, 422), address
        assert b"root:" not in answer.content


@pytest.mark.filterwarnings("ignore")
def test_04_an_upload_that_names_a_path_or_an_address_is_not_read(page: tuple[str, ServedApp, AccessControl]) -> None:
    url, house, _ = page
    with httpx.Client(base_url=url, timeout=20) as browser, listening() as (address, server):
        assert list_picture_inputs(browser)
        before = {path.name for path in house.service.files.root.iterdir()}
        for event, place, count in list_picture_inputs(browser):
            for given in ({"path": "/etc/passwd"}, {"path": address, "url": address}, {"url": address, "path": None}):
                data: list[Any] = [None] * count
                data[place] = {**given, "meta": {"_type": "gradio.FileData"}}
                text = submit_event(browser, event, data, f"s{time.time_ns()}")
                # Without a path there is no picture, and the address beside it is not looked at.
                assert given["path"] is None or '"success":false' in text or "detail" in text
                assert "root:" not in text
        assert was_never_called(server)
        assert {path.name for path in house.service.files.root.iterdir()} == before


def plans_of_ann(house: ServedApp) -> tuple[str, str]:
    """A stranger's upload, and the id of what was made of it with words of hers."""
    mine = house.service.files.add_image(make_noise(64, 64, seed=77), "visitor:ann", "upload")
    job = house.service.create_job("note", {"photo": mine, "note": "the plans of ann"}, "visitor:ann")
    result = wait_for_result(house.service.jobs.watch(house.service.jobs.submit(job)))
    return mine, result.files[0].id


def call_endpoint(browser: httpx.Client, name: str, data: list[Any]) -> str:
    """Call an event by name, without the page; what comes back. Gradio breaks off over a name that it does not know."""
    try:
        answer = browser.post(f"/gradio_api/call/{name}", json={"data": data})
        if answer.status_code >= 400:
            return ""
        return browser.get(f"/gradio_api/call/{name}/{answer.json()['event_id']}").text
    except httpx.TransportError:
        return ""


@pytest.mark.filterwarnings("ignore")
def test_20_an_event_called_by_name_gives_a_stranger_nothing(page: tuple[str, ServedApp, AccessControl]) -> None:
    """Gradio hides private events and lets everybody call them: each must treat its caller as a stranger."""
    url, house, _ = page
    mine, made = plans_of_ann(house)
    with httpx.Client(base_url=url, timeout=20) as browser:
        listed = browser.get("/gradio_api/info").json()
        assert (set(listed["named_endpoints"]), listed["unnamed_endpoints"]) == ({"/note"}, {})
        browser.get("/")
        rows = [row for row in list_events(browser) if row["backend_fn"]]
        told = "".join(call_endpoint(browser, row["api_name"], [mine] * len(row["inputs"])) for row in rows)
    assert "event:" in told
    assert "plans of ann" not in told
    assert made not in told


@pytest.mark.filterwarnings("ignore")
def test_21_another_visitor_s_picture_stays_his(page: tuple[str, ServedApp, AccessControl]) -> None:
    """Every event of the page, called by number with a stranger's file id and job id in every place."""
    url, house, _ = page
    mine, made = plans_of_ann(house)
    before = len(house.service.jobs.list_jobs("visitor:ann"))
    with httpx.Client(base_url=url, timeout=20) as browser:
        browser.get("/")
        told = ""
        for row in list_events(browser):
            if row["backend_fn"]:
                told += submit_event(browser, row["id"], [mine] * len(row["inputs"]), f"t{row['id']}")
        assert told.count("process_completed") >= 10
        assert "plans of ann" not in told
        assert made not in told
    wait_until(house.is_idle)
    assert len(house.service.jobs.list_jobs("visitor:ann")) == before


def test_22_a_forged_cookie_is_nobody(page: tuple[str, ServedApp, AccessControl]) -> None:
    url, _, access = page
    for forged in (
        "visitor:ann",
        "visitor:ann.",
        f"visitor:ann.{'0' * 64}",
        f"visitor:ann.{access._cookies.make_cookie('visitor:bob', Headers()).split(';')[0].rpartition('.')[2]}",
    ):
        answer = httpx.get(url, headers={"Cookie": f"{COOKIE_NAME}={forged}"})
        assert answer.cookies[COOKIE_NAME].partition(".")[0] != "visitor:ann"


@pytest.mark.filterwarnings("ignore")
def test_43_a_session_of_a_made_up_name_costs_little_and_there_are_not_endless_many(
    page: tuple[str, ServedApp, AccessControl],
) -> None:
    """Gradio would keep a copy of the whole page for each: 2 MB, ten thousand times."""
    url, _, _ = page
    with httpx.Client(base_url=url, timeout=20) as browser:
        browser.get("/")
        event, _, count = list_picture_inputs(browser)[0]
        for n in range(3):
            submit_event(browser, event, [None] * count, f"made-up-{n}")
    gc.unfreeze()  # what is frozen (tests/conftest.py) is not among the objects
    holders = [each for each in gc.get_objects() if type(each) is StateHolder and "made-up-2" in each]
    gc.freeze()
    assert [holder.capacity for holder in holders] == [session_memory.MAX_SESSION_COUNT]
    described = [len(holders[0][f"made-up-{n}"].config_values) for n in range(3)]
    assert max(described) < 100
    assert len(holders[0].blocks.blocks) > 200


@pytest.mark.parametrize(
    "door", [door for door in DOWNLOADS if door is not call_gradio_endpoint], ids=lambda door: door.__name__
)
def test_44_no_door_leads_past_the_content_gate(client: httpx.Client, here: ServedApp, door: Leaving) -> None:
    """`tests/provenance/test_every_door.py` tests a missing or broken gate."""
    with pytest.raises(Blocked):
        list(door(StudioClient(client, here.url), "background", {"prompt": "a naked woman"}))
    assert not here.service.jobs.count_jobs()[0]


# ---------------------------------------------------------------- checkpoints


class Bomb:
    """Runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.ckpt", "diffusion_pytorch_model.safetensors"])
def test_24_a_pickled_checkpoint_is_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / name).write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    with pytest.raises(ModelUnavailable):
        checkpoint.compute_loaded_bytes(checkpoint.find_weight_files(tmp_path, ("unet",)), "float32")
    assert not (tmp_path / "boom").exists()


def test_25_no_code_comes_with_a_checkpoint() -> None:
    """Nothing in the studio unpickles, evaluates, or lets a repository run its own code."""
    calls, modules = {"eval", "exec"}, {"pickle", "marshal", "shelve", "dill"}
    suspects = re.compile("|".join(calls | modules))
    for path in [ROOT / "app.py", *(ROOT / "pipelines").rglob("*.py"), *(ROOT / "ui").rglob("*.py")]:
        text = path.read_text("utf-8")
        assert "trust_remote_code" not in text, path
        nodes = list(ast.walk(ast.parse(text))) if suspects.search(text) else []  # most files name none of them
        named = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not named & calls, path
        loaded = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
        assert not loaded & modules, path


# ---------------------------------------------------------------- tables, archives and addresses


def write_archive(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in entries.items():
            out.writestr(name, data)
    return path


def test_29_a_zip_s_names_lead_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    names = ["../../evil.png", "/etc/passwd", "a/../../b.png", "..\\..\\c.png", "C:\\d.png"]
    shelf = ZipSource(write_archive(inside / "a.zip", dict.fromkeys(names, make_noise_png())))
    for name in (*names, "evil.png", "b.png", "c.png"):
        with pytest.raises(BadInput):
            shelf.read_picture(name)
    shelf.close()
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_30_a_zip_s_entry_is_read_no_further_than_a_picture_is_long(tmp_path: Path) -> None:
    shelf = ZipSource(write_archive(tmp_path / "a.zip", {"a.png": bytes(MAX_FILE_BYTES + 1)}))
    with pytest.raises(BadInput) as caught:
        shelf.read_picture("a.png")
    assert caught.value.code == "image_too_large"
    shelf.close()


@pytest.mark.parametrize("cell", ['=cmd|"/c calc"!A1', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_31_a_formula_is_text_in_what_a_spreadsheet_opens(cell: str) -> None:
    assert escape_spreadsheet_formula(cell)[0] == "'"


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://127.0.0.1:1/", "http://[::1]/", "http://10.1.2.3/", "file:///etc"]
)
def test_32_a_webhook_leads_out_of_the_house_only(client: httpx.Client, url: str) -> None:
    """Each redirect is judged anew: `tests/jobs/test_webhooks.py`."""
    with pytest.raises(BadInput):
        ssrf_guard.resolve_target(url)
    assert read_failure(client.post(RUN, json={"prompt": "x"}, params={"webhook": url}))[0] == 400
    assert read_failure(client.put("/v1/webhooks", json={"url": url}))[0] == 400


def test_33_a_name_is_judged_by_every_address_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("8.8.8.8", "192.168.0.1")]

    monkeypatch.setattr(ssrf_guard.socket, "getaddrinfo", look)
    with pytest.raises(BadInput):
        ssrf_guard.resolve_target("http://rebound.example/")


# ---------------------------------------------------------------- weights


def test_34_a_lora_is_numbers_of_the_right_shape_or_nothing(tmp_path: Path) -> None:
    """One whose numbers do not fit the model is refused where it is put on: `tests/models/test_lora.py`."""
    from pipelines.models import lora

    (tmp_path / "code.safetensors").write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    (tmp_path / "code.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    (tmp_path / "long.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    (tmp_path / "odd.safetensors").write_bytes((10).to_bytes(8, "little") + b"[not json]")
    for name in ("code.safetensors", "code.pt", "long.safetensors", "odd.safetensors"):
        with pytest.raises(BadInput):
            lora.find_lora_file(str(tmp_path / name))
    assert not (tmp_path / "boom").exists()

    class Pipe:
        """Complains as peft does over shapes that differ."""

        def load_lora_weights(self, *_: object, **__: object) -> None:
            raise RuntimeError("size mismatch for lora_A: copying a param with shape [2, 999], the shape is [2, 64]")

        def unload_lora_weights(self) -> None:
            self.bare = True

    safe = tmp_path / "safe.safetensors"
    safe.write_bytes(
        (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}      ' + bytes(4)
    )
    pipe, closet = Pipe(), lora.LoraSlots()
    with pytest.raises(BadInput, match="does not fit"), closet.applied(pipe, [Adapter(str(safe))]):
        raise AssertionError("it was worn")
    assert pipe.bare


@pytest.mark.parametrize("repo", ["we/else", "stabilityai/sdxl-turbo/../../we", "STABILITYAI/sdxl-turbo", ""])
def test_35_weights_come_from_no_repository_that_nobody_listed(repo: str) -> None:
    with pytest.raises(ModelUnavailable):
        pinned_revisions.pinned_commit(repo)


# ---------------------------------------------------------------- what is kept, and who may add to it


def test_36_a_decoder_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    ingest = DecoderPool(workers=1)
    try:
        assert ingest._run_task(os.getenv, "HF_TOKEN") is None
    finally:
        ingest.close()


def test_37_a_log_of_refusals_that_was_rewritten_says_so(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    for n in range(3):
        log.record_refusal("words", f"{n}", [])
    path = tmp_path / "audit.log"
    path.write_bytes(path.read_bytes().replace(b'"words"', b'"input"', 1))
    assert log.verify_chain().broken_line == 1


def test_38_a_flood_of_reports_is_told_to_come_back(tmp_path: Path) -> None:
    reports = AbuseReports(AuditLog(tmp_path))
    for n in range(MAX_REPORTS_PER_HOUR):
        reports.submit_report("minor", f"job-{n}", "x")
    with pytest.raises(QueueFull):
        reports.submit_report("minor", "job-more", "x")


@pytest.mark.parametrize("row", TOOLS, ids=lambda row: row.id)
def test_39_no_field_of_words_is_markup_on_the_page(row: Tool) -> None:
    """In the Library, in the code to copy, in the receipt, and in the link to the settings."""
    names = row.params.fields_of_kind("prompt")
    params = dict.fromkeys(names, f"{XSS}\"'></textarea><script>alert(1)</script>")
    job = Job(id="job-x", tool=row.id, params=params, seed=1, profile="x", specs={}, owner="me", created=0.0)
    made = Result((), {"params": params, "notices": list(params.values()), "models": []}, 1.0)
    told = render_facts(JobRow(job, "done", 0, None, made, None, 0.0, 0.0, 1.0), row.title)
    told += tool_tab_text.render_status("", notes=made.receipt["notices"]) + build_link(
        "http://127.0.0.1", row, params, 1
    )
    assert "<img" not in told
    assert "<script" not in told


def test_40_a_link_that_was_made_up_shows_nothing(client: httpx.Client) -> None:
    for token in ("a" * 16 + ".9999999999." + "b" * 64, "..%2f..", "x", "%00"):
        assert client.get(f"/s/{token}").status_code == 404
        assert client.get("/report", params={"share": token}).status_code == 404


def test_41_a_decoder_that_dies_costs_its_own_picture(here: ServedApp, client: httpx.Client) -> None:
    client.post("/v1/files", files={"file": ("a.png", make_noise_png())})
    pid = here.service.uploads._decoder_pool._run_task(os.getpid)
    os.kill(pid, signal.SIGKILL)
    for side in (50, 60):  # what was read before would be known
        assert client.post("/v1/files", files={"file": ("a.png", make_noise_png(side))}).status_code == 200


def test_42_a_picture_that_takes_long_closes_the_door_to_nobody(client: httpx.Client) -> None:
    large = io.BytesIO()
    PIL.Image.new("RGB", (2000, 1500), "teal").save(large, "JPEG")
    with ThreadPoolExecutor(3) as pool:
        slow = pool.submit(client.post, "/v1/files", files={"file": ("a.jpg", large.getvalue())})
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/tools").status_code == 200
        assert slow.result(60).status_code == 200


# ---------------------------------------------------------------- links with which a team is asked for portraits


def make_team(here: ServedApp, owner: str = "local") -> Team:
    tool = find_tool("business")
    return here.service.teams.create_team(owner, tool, "Acme", days=1, brand=None, settings={})


def join_link(here: ServedApp, word: str | None, kind: LinkKind = "invite") -> str:
    assert word is not None
    return here.url + here.studio.access.invite_links.make_path(kind, word)


def ask_again(here: ServedApp, team: Team) -> TeamMember:
    """The one member of the team, whom a link of their own was made for."""
    assert send_portrait(join_link(here, team.invite)).status_code == 200
    (member,) = here.service.teams.list_members(team.id)
    return here.service.teams.decide_member(team.owner, team.id, member.id, "ask_again")


def test_45_a_team_link_that_was_made_up_opens_nothing(here: ServedApp, client: httpx.Client, tmp_path: Path) -> None:
    """Another studio's signature, another kind of link, a share link's token, and the names of what is there."""
    team = make_team(here)
    member = ask_again(here, team)
    assert team.invite is not None
    links, file = here.studio.access.invite_links, here.studio.access.share_links.create_link("local", member.photo)
    made_up = [
        InviteLinks(b"another").make_token("invite", team.invite),
        links.make_token("invite", team.invite).replace("invite", "own"),
        file.path.rpartition("/")[2],
        *(team.id, member.id, team.invite, "x", "%00", "..%2f.."),
    ]
    for token in made_up:
        answer = client.get(f"/join/{token}")
        assert answer.status_code == 404, token
        assert "Acme" not in answer.text
        assert send_portrait(f"{here.url}/join/{token}").status_code == 404
    for kind, word in (("own", team.invite), ("invite", member.own_link), ("own", member.invite), ("x", member.id)):
        assert client.get(join_link(here, word, cast(LinkKind, kind))).status_code == 410
    assert client.get(f"/s/{links.make_token('invite', team.invite)}").status_code == 404
    assert len(here.service.teams.list_members(team.id)) == 1


def test_46_a_link_for_one_portrait_takes_one(here: ServedApp) -> None:
    team = make_team(here)
    link = join_link(here, ask_again(here, team).invite)
    with ThreadPoolExecutor(3) as pool:
        sent = list(pool.map(lambda number: send_portrait(link, photo=make_portrait(number)).status_code, (1, 2, 1)))
    assert sorted(sent) == [200, 410, 410]
    (member,) = here.service.teams.list_members(team.id)
    assert send_portrait(link, "Somebody Else").status_code == 410
    assert here.service.teams.list_members(team.id) == [member]
    assert member.name == "Ada King"


def test_47_a_team_link_that_ended_tells_and_takes_nothing(here: ServedApp, client: httpx.Client) -> None:
    """Renewed, revoked, expired, or of a team that was deleted; the links of single members as well."""
    teams, owner = here.service.teams, "local"
    renewed, revoked, expired, deleted = (make_team(here) for _ in range(4))
    member = ask_again(here, revoked)
    teams.renew_invite(owner, renewed.id, 1)
    teams.revoke_invites(owner, revoked.id)
    here.service.jobs.table.db.execute(update(TEAMS).where(TEAMS.c.id == expired.id).values(expires=int(time.time())))
    teams.delete_team(owner, deleted.id)
    for word in (renewed.invite, revoked.invite, expired.invite, deleted.invite, member.invite):
        link = join_link(here, word)
        for answer in (client.get(link), send_portrait(link)):
            assert answer.status_code == 410
            assert "Acme" not in answer.text
    assert [len(teams.list_members(team.id)) for team in (renewed, revoked, expired)] == [0, 1, 0]


def test_48_a_team_of_another_owner_is_not_there(here: ServedApp, client: httpx.Client) -> None:
    """Nor does a member of another team answer under one's own."""
    theirs, mine = make_team(here, "user:other"), make_team(here)
    assert send_portrait(join_link(here, theirs.invite), photo=make_portrait(4)).status_code == 200
    (member,) = here.service.teams.list_members(theirs.id)
    for team_id in (theirs.id, mine.id):
        decided = client.post(f"/v1/teams/{team_id}/members/{member.id}", json={"action": "approve"})
        assert read_failure(decided)[:2] == (404, "not_found")
    for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/invite"), ("DELETE", "/invite"), ("POST", "/page")):
        assert client.request(method, f"/v1/teams/{theirs.id}{rest}", json={}).status_code == 404
    assert client.get(f"/v1/files/{member.photo}").status_code == 404
    assert theirs.id not in client.get("/v1/teams?limit=100").text


def test_49_a_flood_of_portraits_is_told_to_come_back(here: ServedApp, monkeypatch: pytest.MonkeyPatch) -> None:
    team = make_team(here)
    monkeypatch.setattr(teams_service, "MAX_MEMBER_COUNT", 1)
    sent = [send_portrait(join_link(here, team.invite)) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [200, 400]
    assert len(here.service.teams.list_members(team.id)) == 1
    monkeypatch.setattr(join_page, "PORTRAITS_PER_HOUR", 1)
    assert send_portrait(join_link(here, team.invite)).status_code == 429


def test_50_a_refused_portrait_takes_no_picture_of_the_owner_away(here: ServedApp, client: httpx.Client) -> None:
    """The same pixels have one id: what a stranger sends is kept apart until it is accepted."""
    file_id = client.post("/v1/files", files={"file": ("cat.png", make_cat())}).json()["id"]
    assert send_portrait(join_link(here, make_team(here).invite), photo=make_cat()).status_code == 400
    assert client.get(f"/v1/files/{file_id}/content").status_code == 200
    other = make_team(here, "user:other")
    assert send_portrait(join_link(here, other.invite), photo=make_cat()).status_code == 400
    assert client.get(f"/v1/files/{file_id}/content").status_code == 200


def test_51_a_form_of_another_site_sends_no_portrait(here: ServedApp) -> None:
    team = make_team(here)
    answer = httpx.post(join_link(here, team.invite), data={"name": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 400
    assert here.service.teams.list_members(team.id) == []


# ---------------------------------------------------------------- the list is whole


def test_every_attack_of_the_written_list_has_its_test() -> None:
    text = (Path(__file__).parents[2] / "docs" / "attacks.md").read_text()
    listed = re.findall(r"(?m)^\| (\d+) \| [^|]+ \| `(\w+)` \|$", text)
    tested = [name for name in globals() if re.match(r"test_\d\d_", name)]
    assert [int(number) for number, _ in listed] == list(range(1, 52))
    assert sorted(name for _, name in listed) == sorted(tested)
    assert all(name.startswith(f"test_{int(number):02d}_") for number, name in listed)
