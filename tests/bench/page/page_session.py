"""A visitor's open tool tab without a browser: its events asked for, and timed, as the page's own script asks."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class EventTiming:
    """Seconds from the order to the first word of the handler, and to its last."""

    first_seconds: float
    last_seconds: float


class PageSession:
    """One session of the page at `tool`. Like the page it keeps one stream open for all that it asks."""

    def __init__(self, http: httpx.Client, tool: str) -> None:
        self._http = http
        http.get("/").raise_for_status()
        config = http.get("/config").json()
        self._events: list[dict[str, Any]] = config["dependencies"]
        self._parts = {row["props"].get("elem_id"): row for row in config["components"]}
        self._values = {row["id"]: row["props"].get("value") for row in config["components"] if row["type"] != "state"}
        self._tool = tool
        self._session = uuid.uuid4().hex[:12]
        self._told: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()
        self._reader: threading.Thread | None = None

    def press_button(self, name: str) -> EventTiming:
        """Click a button of the tab."""
        return self._call_event(self._find_component(name), "click")

    def choose_value(self, name: str, value: Any) -> EventTiming:
        """Set a field of the tab, which orders a draft."""
        part = self._find_component(name)
        self._values[part] = value
        return self._call_event(part, "input")

    def _find_component(self, name: str) -> int:
        return self._parts[f"{self._tool}-{name}"]["id"]

    def _call_event(self, part: int, event: str) -> EventTiming:
        asked = next(row for row in self._events if row["backend_fn"] and [part, event] in row["targets"])
        given = [self._values.get(number) for number in asked["inputs"]]
        body = {
            "fn_index": asked["id"],
            "data": given,
            "session_hash": self._session,
            "event_data": None,
            "trigger_id": part,
        }
        since = time.perf_counter()
        event_id = self._http.post("/gradio_api/queue/join", json=body).raise_for_status().json()["event_id"]
        if self._reader is None:
            self._reader = threading.Thread(target=self._read_stream, daemon=True)
            self._reader.start()
        first = None
        while True:
            when, told = self._told.get(timeout=TIMEOUT_SECONDS)
            if told.get("event_id") != event_id or told["msg"] not in ("process_generating", "process_completed"):
                continue
            if not told.get("success", True):
                raise RuntimeError(f"the page refused it: {told['output']}")
            first = when if first is None else first
            if told["msg"] == "process_completed":
                return EventTiming(first - since, when - since)

    def _read_stream(self) -> None:
        address = f"{self._http.base_url}/gradio_api/queue/data"
        asked = {"session_hash": self._session}
        with (
            suppress(httpx.HTTPError),  # the studio ends first
            httpx.stream("GET", address, params=asked, timeout=TIMEOUT_SECONDS, cookies=self._http.cookies) as told,
        ):
            for line in told.iter_lines():
                if line.startswith("data: "):
                    self._told.put((time.perf_counter(), json.loads(line.removeprefix("data: "))))


@contextmanager
def open_page_session(url: str, tool: str) -> Iterator[PageSession]:
    """The page opened at `tool`."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS) as http:
        yield PageSession(http, tool)
