"""The settings tab: for whoever administers and nobody else; it unloads, offers with a licence, and downloads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gradio as gr
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.models import ModelSpec
from pipelines.models import profiles
from pipelines.models.hub import Downloads, Item, Progress
from pipelines.models.lora import Shelf
from pipelines.models.model_cache import Cache
from pipelines.models.profiles import EMBEDDED, PROFILES
from pipelines.service.orders import Desk
from pipelines.settings import Settings
from tests.models.test_residency import room
from tests.support.gradio_loop import in_loop
from tests.ui.test_api_tab import visiting
from ui import settings_tab
from ui.api.auth.access import Access
from ui.api.auth.keys import Keys
from ui.page import PAGES
from ui.server import serve
from ui.settings_tab import SettingsPage, listed, models_of, offer, size, told

OFFERED = next(profile for profile in PROFILES if models_of(profile))


@dataclass
class Engine:
    cache: Cache


@dataclass
class Jobs:
    engine: Engine


@dataclass
class Room:
    """What the page reads of a desk."""

    jobs: Jobs
    profile: Any = field(default=EMBEDDED)
    loras: Shelf = field(default_factory=lambda: Shelf(Path("nowhere")))


class Bringing(Downloads):
    """Downloads that are over at their second look."""

    def __init__(self, end: Progress, *, busy: bool = False) -> None:
        super().__init__()
        self.end = end
        self.busy = busy
        self.started: list[str] = []
        self.looks = 0

    @property
    def now(self) -> Progress | None:
        if not self.started:
            return None
        self.looks += 1
        return self.end if self.looks > 1 else Progress(self.started[-1], self.end.items)

    def start(self, spec: ModelSpec) -> bool:
        if not self.busy:
            self.started.append(spec.id)
        return not self.busy


DONE = Progress("made", (Item("we/made", "main", "unet/model.safetensors", 2_000_000_000, 2_000_000_000),), "done")


def page(root: Path, downloads: Downloads | None = None, **settings: Any) -> SettingsPage:
    access = Access(Settings(data=root, **settings), Keys(root))
    desk = cast(Desk, Room(Jobs(Engine(room("ab")))))

    def make() -> SettingsPage:
        with gr.Blocks():
            return SettingsPage(desk, access, downloads or Bringing(DONE))

    return in_loop(make)


def cache_of(made: SettingsPage) -> Cache:
    cache = made._cache()
    assert isinstance(cache, Cache)
    return cache


def all_of(updates: AsyncIterator[dict[Any, Any]]) -> list[dict[Any, Any]]:
    async def gathered() -> list[dict[Any, Any]]:
        return [each async for each in updates]

    return asyncio.run(gathered())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_tab, "BEAT", 0.001)


STRANGERS: list[tuple[dict[str, Any], Any]] = [
    ({"auth": "anna:secret"}, visiting()),
    ({"spaces": True}, visiting("x.hf.space")),
    ({"host": "0.0.0.0", "require_key": True}, visiting()),
    ({}, visiting("evil.example")),
]


@pytest.mark.parametrize(("settings", "request_"), STRANGERS)
def test_a_stranger_sees_and_changes_nothing(tmp_path: Path, settings: dict[str, Any], request_: Any) -> None:
    made = page(tmp_path, **settings)
    with cache_of(made).borrow("a"):
        pass
    (shown,) = all_of(made.look(request_, OFFERED.id))
    assert shown[made.room]["visible"] is False
    assert set(shown) == {made.room, made.refused}
    handlers: tuple[Callable[[], Any], ...] = (
        lambda: made.free(request_, "a"),
        lambda: made.choose(request_, OFFERED.id),
        lambda: made.halt(request_),
        lambda: made.start_with(request_, "klein"),
        lambda: all_of(made.bring(request_, OFFERED.id)),
    )
    for handler in handlers:
        with pytest.raises(BadInput):
            handler()
    assert [row["id"] for row in cache_of(made).resident()] == ["a"]
    assert cast(Bringing, made.downloads).started == []
    assert not (tmp_path / "profile.txt").exists()


def test_who_administers_sees_models_with_sizes_and_unloads_them(tmp_path: Path) -> None:
    made = page(tmp_path, auth="anna:secret")
    anna = visiting("studio.example", "anna")
    with cache_of(made).borrow("a"):
        shown = all_of(made.look(anna, OFFERED.id))[0]
        assert shown[made.room]["visible"] is True
        assert "At work (1)" in shown[made.resident]
        assert "10 bytes" in shown[made.resident]
        assert shown[made.which]["choices"] == []
        assert settings_tab.BUSY in made.free(anna, "a")[made.alert]
    after = made.free(anna, "a")
    assert after[made.alert] == ""
    assert "No model is loaded" in after[made.resident]
    assert cache_of(made).resident() == []


def test_a_model_that_was_put_aside_says_where_it_is() -> None:
    cache = room("ab", budget=10)
    for spec_id in "ab":
        with cache.borrow(spec_id):
            pass
    assert "main memory" in listed(cache.resident())


def test_licence_and_size_stand_there_before_anything_is_downloaded(tmp_path: Path) -> None:
    made = page(tmp_path)
    shown = made.choose(visiting(), OFFERED.id)[made.offer]
    for row in models_of(OFFERED):
        assert row.licence in shown
        assert row.repo in shown
        assert size(row.bytes) in shown
    assert f"--profile {OFFERED.id}" in shown
    assert cast(Bringing, made.downloads).started == []


def test_what_may_not_be_sold_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = ModelSpec("x", "y", ("text",), "CC-BY-NC-4.0", repo="we/closed", commercial_ok=False, bytes=3_000_000_000)
    monkeypatch.setattr(settings_tab, "models_of", lambda _: (closed,))
    monkeypatch.setattr(settings_tab, "is_cached", lambda _: False)
    assert "Not for commercial use" in offer(OFFERED)
    assert "About 3.0 GB" in offer(OFFERED)


def test_a_download_shows_its_files_and_its_end(tmp_path: Path) -> None:
    made = page(tmp_path)
    shown = all_of(made.bring(visiting(), OFFERED.id))
    assert "unet/model.safetensors" in shown[0][made.progress]
    assert "made is here: 2.0 GB in 1 files." in shown[-1][made.progress]
    assert cast(Bringing, made.downloads).started == [models_of(OFFERED)[0].id]


def test_a_second_download_waits_and_a_failed_one_says_why(tmp_path: Path) -> None:
    made = page(tmp_path, Bringing(DONE, busy=True))
    (only,) = all_of(made.bring(visiting(), OFFERED.id))
    assert settings_tab.ONE_AT_A_TIME in only[made.notice]
    lost = page(tmp_path, Bringing(Progress("made", (), "failed", "The hub <is> away.")))
    shown = all_of(lost.bring(visiting(), OFFERED.id))
    assert "The hub &lt;is&gt; away." in shown[-1][lost.progress]


def test_progress_is_a_share_of_the_bytes() -> None:
    items = (Item("r", "", "a.safetensors", 3_000_000, 3_000_000), Item("r", "", "b.safetensors", 1_000_000, 0))
    shown = told(Progress("made", items))
    assert "3.0 MB of 4.0 MB" in shown
    assert "--share:0.750" in shown
    assert told(None) == ""


def test_the_page_has_the_tab() -> None:
    assert [row.build for row in PAGES if row.id == "settings"] == [settings_tab.fill]


def test_commercial_use_hides_what_may_not_be_used_and_can_be_switched_off(tmp_path: Path) -> None:
    for commercial in (True, False):
        made = page(tmp_path, commercial=commercial)
        shown = {value for _, value in made.profile.choices}
        assert ("turbo" in shown) is not commercial
        assert "klein" in shown


def test_the_profile_chosen_on_the_page_serves_from_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve.hub, "reachable", lambda: True)
    made = page(tmp_path)
    assert made.start.value == ""
    said = made.start_with(visiting(), "klein")[made.started]
    assert "From the next start on: FLUX.2 klein." in said
    assert page(tmp_path).start.value == "klein"
    assert serve._profile(Settings(data=tmp_path), None)[0].id == "klein"
    # A flag comes first, and the page says so.
    flagged = Settings(data=tmp_path, profile="light")
    assert serve._profile(flagged, None)[0].id == "light"
    assert "--profile light" in str(page(tmp_path, profile="light").start.info)
    made.start_with(visiting(), "")
    assert serve._profile(Settings(data=tmp_path), None)[0].id == "embedded"


@pytest.mark.parametrize("name", ["turbo", "nonsense", "../klein"])
def test_only_what_the_page_offers_is_kept(tmp_path: Path, name: str) -> None:
    made = page(tmp_path)
    assert "no profile" in made.start_with(visiting(), name)[made.started]
    assert profiles.kept(tmp_path) == ""


@pytest.mark.parametrize("text", ["turbo", "nonsense", "klein-4bit", "\xff"])
def test_a_kept_profile_that_cannot_serve_never_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "profile.txt").write_text(text, "latin-1")
    profile, _ = serve._profile(Settings(data=tmp_path), None)
    assert profile.id == "embedded"


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    made = page(tmp_path)
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert settings_tab.NOT_KEPT in made.start_with(visiting(), "klein")[made.started]
