"""Calls of the page's events over HTTP, as the page's own script makes them."""

from __future__ import annotations

from typing import Any

import httpx


def submit_event(browser: httpx.Client, event: int, data: list[Any], session: str) -> str:
    """Call an event by its number; everything that comes back."""
    body = {"fn_index": event, "data": data, "session_hash": session, "event_data": None, "trigger_id": None}
    answer = browser.post("/gradio_api/queue/join", json=body)
    if answer.status_code != 200:
        return answer.text
    text = ""
    with browser.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}, timeout=20) as stream:
        for line in stream.iter_lines():
            text += line + "\n"
            if "process_completed" in line or "close_stream" in line or "unexpected_error" in line:
                break
    return text


def list_events(browser: httpx.Client) -> list[dict[str, Any]]:
    """Every event of the page."""
    return browser.get("/config").json()["dependencies"]


def list_picture_inputs(browser: httpx.Client) -> list[tuple[int, int, int]]:
    """Events that are handed a picture: number, the picture's place among the inputs, how many there are."""
    parts = browser.get("/config").json()["components"]
    pictures = {row["id"] for row in parts if row["type"] == "image" and row["props"].get("interactive") is not False}
    rows = [(row["id"], row["inputs"]) for row in list_events(browser) if row["backend_fn"]]
    return [(n, inputs.index(i), len(inputs)) for n, inputs in rows for i in inputs if i in pictures]
