"""Asking for the hub never hangs."""

from __future__ import annotations

import http.server
import socket
import threading
import time

import pytest

from pipelines.engines.hub import reachable


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


class Refusing(http.server.BaseHTTPRequestHandler):
    """A hub that is there and lets nobody in."""

    def do_HEAD(self) -> None:
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_hub_that_answers_anything_is_there():
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert reachable(f"http://127.0.0.1:{server.server_port}")


def test_a_hub_that_does_not_answer_costs_no_more_than_its_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        assert not reachable(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=1.0)
        assert time.monotonic() - start < 2.0


def test_a_hub_that_refuses_the_connection_is_not_reachable():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not reachable(f"http://127.0.0.1:{port}")


def test_offline_asks_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not reachable("http://127.0.0.1:9")
