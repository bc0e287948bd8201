"""Whatever is sent to `/v1`: no bug, no status that is not documented, nothing without a key. The short version.

`python -m tests.bench fuzz` is the long one.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import httpx
import pytest

from tests.support.served_app import ServedApp

# Looked for here and imported in the tests: every worker collects this file, and one of them needs the two seconds.
pytestmark = pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is in requirements-dev.txt")

JSON, FORM = "application/json", "multipart/form-data; boundary=x"
CASE_COUNT = 2
"""Of each operation: one that its documentation allows and one that it forbids."""


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedApp, str]]:
    """A studio that wants a key, and one that opens everything."""
    from tests.api.support.api_fuzzer import serve_every_tool

    with serve_every_tool(tmp_path_factory.mktemp("locked"), keys=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedApp, str]]:
    from tests.api.support.api_fuzzer import serve_every_tool

    with serve_every_tool(tmp_path_factory.mktemp("unlocked"), keys=False) as opened:
        yield opened


@pytest.mark.filterwarnings("ignore")
def test_no_request_finds_a_bug_or_an_undocumented_status(
    unlocked: tuple[ServedApp, str], locked: tuple[ServedApp, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys off and on."""
    from hypothesis.internal.conjecture import providers

    from tests.api.support.api_fuzzer import fuzz_together

    # Constants of the product's modules would be tried too: of those that tests before this one imported.
    monkeypatch.setattr(providers, "is_local_module_file", lambda _: False)
    for found in fuzz_together([unlocked, locked], CASE_COUNT):
        assert found.failures == []
        assert len(found.by_operation) > 30
        assert found.count_fewest_requests() >= CASE_COUNT
        assert {200, 400, 404, 422} <= set(found.statuses)


def test_without_a_key_every_operation_is_401(locked: tuple[ServedApp, str]) -> None:
    bodies = ((b"", FORM), (b"{bad", JSON), (b'{"name": ' + b"[" * 5000, JSON), (b"--x", FORM), (b"\xff\x00", JSON))
    with httpx.Client(base_url=f"{locked[0].url}/v1") as client:
        paths = client.get("/openapi.json").json()["paths"]
        asked = [(method, path) for path, routes in paths.items() for method in routes]
        assert len(asked) > 30
        for method, path in asked:
            address = f"{path.replace('{', '').replace('}', '')}?limit=nothing"
            for body, kind in bodies:
                answer = client.request(method, address, content=body, headers={"Content-Type": kind})
                assert answer.status_code == 401, (method, path, body[:10], kind)
