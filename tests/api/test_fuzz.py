"""Whatever is sent to `/v1`: no bug, no status that is not documented, nothing without a key. The short version.

`python -m tests.bench fuzz` is the long one.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

pytest.importorskip("schemathesis", reason="schemathesis is in requirements-dev.txt")

from tests.api.support.api_fuzzer import fuzz_api, serve_every_tool

OPEN = {"/docs", "/openapi.json"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("keys", "count"), [(False, 2), (True, 2)], ids=["keys off", "keys on"])
def test_no_request_finds_a_bug_or_an_undocumented_status(tmp_path: Path, keys: bool, count: int) -> None:
    with serve_every_tool(tmp_path, keys=keys) as (here, key):
        found = fuzz_api(here, key, count)
    assert found.failures == []
    assert len(found.by_operation) > 30
    assert found.count_fewest_requests() >= count
    assert {200, 400, 404, 422} <= set(found.statuses)


def test_without_a_key_every_operation_is_401(tmp_path: Path) -> None:
    with serve_every_tool(tmp_path, keys=True) as (here, _), httpx.Client(base_url=f"{here.url}/v1") as client:
        paths = client.get("/openapi.json").json()["paths"]
        asked = [(method, path) for path, routes in paths.items() for method in routes]
        assert len(asked) > 30
        for method, path in asked:
            for body in (b"", b"{bad", b'{"name": ' + b"[" * 5000, b"--x", b"\xff\x00"):
                for kind in ("application/json", "multipart/form-data; boundary=x"):
                    address = f"{path.replace('{', '').replace('}', '')}?limit=nothing"
                    answer = client.request(method, address, content=body, headers={"Content-Type": kind})
                    assert answer.status_code == 401, (method, path, body[:10], kind)
