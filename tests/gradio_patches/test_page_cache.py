from __future__ import annotations

import gzip

import anyio
import brotli
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ui.gradio_patches.page_cache import CACHED_PAGE_COUNT, PageCache


class CountingApp:
    """An app that says where it was asked, and counts."""

    def __init__(self, cookie: bool = False, status: int = 200) -> None:
        self.asked = 0
        self.cookie, self.status = cookie, status

    async def answer(self, request: Request) -> HTMLResponse:
        self.asked += 1
        answer = HTMLResponse(f"<p>{request.url} " + "x" * 2000, self.status)
        if self.cookie:
            answer.set_cookie("who", "ann")
        return answer


def send_requests(behind: CountingApp, *calls: tuple[str, dict[str, str]]) -> list[httpx.Response]:
    app = PageCache(Starlette(routes=[Route("/", behind.answer), Route("/other", behind.answer)]))

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://studio") as client:
            return [await client.get(path, headers=headers) for path, headers in calls]

    return anyio.run(ask)


def test_it_is_written_once_and_says_the_same_packed_and_plain() -> None:
    behind = CountingApp()
    codings = ("identity", "gzip", "gzip, deflate, br, zstd")
    answers = send_requests(behind, *(("/", {"accept-encoding": coding}) for coding in codings for _ in range(2)))
    assert behind.asked == len(codings)
    assert len({answer.text for answer in answers}) == 1
    assert [answer.headers.get("content-encoding") for answer in answers] == [None, None, "gzip", "gzip", "br", "br"]
    assert int(answers[2].headers["content-length"]) == len(gzip.compress(answers[0].content, 6))
    assert int(answers[4].headers["content-length"]) == len(brotli.compress(answers[0].content, quality=9))
    assert all(answer.headers["vary"] == "Accept-Encoding" for answer in answers)


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [("gzip;q=0.5, br;q=0", "gzip"), ("br; q=0.1", "br"), ("gzip; q=0.0", None), ("sbr", None), ("BR", "br")],
)
def test_a_refused_compression_is_not_sent(accepted: str, chosen: str | None) -> None:
    (answer,) = send_requests(CountingApp(), ("/", {"accept-encoding": accepted}))
    assert answer.headers.get("content-encoding") == chosen


@pytest.mark.parametrize("header", ["host", "x-forwarded-host", "x-forwarded-proto"])
def test_another_address_has_a_page_of_its_own(header: str) -> None:
    behind = CountingApp()
    send_requests(behind, ("/", {header: "a"}), ("/", {header: "b"}), ("/", {header: "a"}))
    assert behind.asked == 2


@pytest.mark.parametrize(
    ("path", "behind"),
    [
        ("/other", CountingApp()),
        ("/?deep_link=1", CountingApp()),
        ("/", CountingApp(cookie=True)),
        ("/", CountingApp(status=500)),
    ],
)
def test_what_may_differ_is_asked_for_each_time(path: str, behind: CountingApp) -> None:
    send_requests(behind, (path, {}), (path, {}))
    assert behind.asked == 2


def test_a_caller_who_invents_addresses_fills_no_memory() -> None:
    behind = CountingApp()
    calls = [("/", {"host": f"h{n}"}) for n in range(CACHED_PAGE_COUNT + 1)]
    send_requests(behind, *calls, calls[-1], calls[0])
    assert behind.asked == CACHED_PAGE_COUNT + 2
