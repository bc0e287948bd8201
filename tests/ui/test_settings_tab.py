"""The settings tab: for whoever administers and nobody else; it unloads, offers with a licence, and downloads."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from typing import Any, cast

import gradio as gr
import pytest

from pipelines.batch.format_amounts import format_bytes, format_duration
from pipelines.core.errors import BadInput
from pipelines.core.models import ModelSpec
from pipelines.models import nets, profiles
from pipelines.models.families.hub_nets import FILL_NETS, GENERAL, LITE
from pipelines.models.hub import DownloadManager, DownloadProgress, HubFile
from pipelines.models.lora import LoraLibrary
from pipelines.models.model_cache import ModelCache
from pipelines.models.nets import matting_choice
from pipelines.models.profiles import EMBEDDED, FASHN, KLEIN, PROFILES
from pipelines.service.licence_caps import LicenceConfirmations
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from tests.models.support import tiny_birefnet
from tests.models.test_residency import make_cache
from tests.support.gradio_loop import build_parts
from tests.ui.test_api_tab import make_request
from ui import settings_tab
from ui.api.auth.access import AccessControl
from ui.api.auth.keys import KeyStore
from ui.components.model_names import MODEL_TITLES
from ui.i18n import is_translated
from ui.page import PAGE_TABS
from ui.server import factory
from ui.settings_tab import SettingsTab, list_hub_models, render_loaded, render_offer, render_progress

OFFERED = next(profile for profile in PROFILES if list_hub_models(profile))


@dataclass
class FakeEngine:
    cache: ModelCache


@dataclass
class FakeJobs:
    engine: FakeEngine


@dataclass
class FakeService:
    """what the page reads of a service."""

    jobs: FakeJobs
    profile: Any = field(default=EMBEDDED)
    loras: LoraLibrary = field(default_factory=lambda: LoraLibrary(Path("nowhere")))
    licences: LicenceConfirmations = field(default_factory=lambda: LicenceConfirmations(Path("nowhere")))


class FakeDownloads(DownloadManager):
    """Downloads that are over at their second look."""

    def __init__(self, end: DownloadProgress, *, busy: bool = False) -> None:
        super().__init__()
        self.end = end
        self.busy = busy
        self.started: list[str] = []
        self.looks = 0

    @property
    def current(self) -> DownloadProgress | None:
        if not self.started:
            return None
        self.looks += 1
        return self.end if self.looks > 1 else DownloadProgress(self.started[-1], self.end.files)

    def start_download(self, spec: ModelSpec, *later: ModelSpec) -> bool:
        if not self.busy:
            self.started.append(spec.id)
        return not self.busy


DONE = DownloadProgress(
    "made", (HubFile("we/made", "main", "unet/model.safetensors", 2_000_000_000, 2_000_000_000),), "done"
)


def build_tab(root: Path, downloads: DownloadManager | None = None, **settings: Any) -> SettingsTab:
    access = AccessControl(Settings(data=root, **settings), KeyStore(root))
    made = FakeService(FakeJobs(FakeEngine(make_cache("ab"))), licences=LicenceConfirmations(root))
    service = cast(StudioService, made)

    def make() -> SettingsTab:
        with gr.Blocks():
            return SettingsTab(service, access, downloads or FakeDownloads(DONE))

    return build_parts(make)


def cache_of(made: SettingsTab) -> ModelCache:
    cache = made._find_model_cache()
    assert isinstance(cache, ModelCache)
    return cache


def collect_all(updates: AsyncIterator[dict[Any, Any]]) -> list[dict[Any, Any]]:
    async def gathered() -> list[dict[Any, Any]]:
        return [each async for each in updates]

    return asyncio.run(gathered())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_tab, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(matting_choice, "_measure_u2net_seconds", lambda: 0.5)


STRANGERS: list[tuple[dict[str, Any], Any]] = [
    ({"auth": "anna:secret"}, make_request()),
    ({"spaces": True}, make_request("x.hf.space")),
    ({"host": "0.0.0.0", "require_key": True}, make_request()),
    ({}, make_request("evil.example")),
]


@pytest.mark.parametrize(("settings", "request_"), STRANGERS)
def test_a_stranger_sees_and_changes_nothing(tmp_path: Path, settings: dict[str, Any], request_: Any) -> None:
    made = build_tab(tmp_path, **settings)
    with cache_of(made).borrow_model("a"):
        pass
    (shown,) = collect_all(made.refresh(request_, OFFERED.id, LITE.id))
    assert shown[made.admin_row]["visible"] is False
    assert set(shown) == {made.admin_row, made.admin_only}
    handlers: tuple[Callable[[], Any], ...] = (
        lambda: made.unload_model(request_, "a"),
        lambda: made.choose_profile(request_, OFFERED.id),
        lambda: made.stop_download(request_),
        lambda: made.choose_start_profile(request_, "klein"),
        lambda: made.confirm_cap(request_, "krea"),
        lambda: made.choose_net(request_, LITE.id),
        lambda: collect_all(made.download_net(request_, LITE.id)),
        lambda: collect_all(made.download_profile(request_, OFFERED.id)),
    )
    for handler in handlers:
        with pytest.raises(BadInput):
            handler()
    assert [row["id"] for row in cache_of(made).resident_models()] == ["a"]
    assert cast(FakeDownloads, made.downloads).started == []
    assert not (tmp_path / "profile.txt").exists()
    assert not (tmp_path / "licences.json").exists()


def test_who_administers_sees_models_with_sizes_and_unloads_them(tmp_path: Path) -> None:
    made = build_tab(tmp_path, auth="anna:secret")
    anna = make_request("studio.example", "anna")
    with cache_of(made).borrow_model("a"):
        shown = collect_all(made.refresh(anna, OFFERED.id, LITE.id))[0]
        assert shown[made.admin_row]["visible"] is True
        assert "In use (1)" in shown[made.loaded_models]
        assert "<td>a</td>" in shown[made.loaded_models]
        assert shown[made.model_choice]["choices"] == []
        assert settings_tab.BUSY_TEXT in made.unload_model(anna, "a")[made.alerts]
    after = made.unload_model(anna, "a")
    assert after[made.alerts] == ""
    assert "No model is loaded" in after[made.loaded_models]
    assert cache_of(made).resident_models() == []


def test_models_that_ship_are_named_by_what_they_do_and_technical_words_are_folded() -> None:
    assert {each.id for each in nets.specs} <= set(MODEL_TITLES)
    shown = settings_tab.render_about(EMBEDDED, ModelCache(()))
    before, folded = shown.split("<details>")
    assert "<code>" not in before
    assert "Device" in folded


def test_a_model_that_was_put_aside_says_where_it_is() -> None:
    cache = make_cache("ab", budget=10)
    for spec_id in "ab":
        with cache.borrow_model(spec_id):
            pass
    assert "main memory" in render_loaded(cache.resident_models())


def test_licence_and_size_stand_there_before_anything_is_downloaded(tmp_path: Path) -> None:
    made = build_tab(tmp_path)
    shown = made.choose_profile(make_request(), OFFERED.id)[made.offer_html]
    for row in list_hub_models(OFFERED):
        assert row.licence in shown
        assert row.repo in shown
        assert format_bytes(row.bytes) in shown
    assert f"--profile {OFFERED.id}" in shown
    assert cast(FakeDownloads, made.downloads).started == []


def test_what_may_not_be_sold_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = ModelSpec("x", "y", ("text",), "CC-BY-NC-4.0", repo="we/closed", commercial_ok=False, bytes=3_000_000_000)
    monkeypatch.setattr(settings_tab, "list_hub_models", lambda _: (closed,))
    monkeypatch.setattr(settings_tab, "is_cached", lambda _: False)
    assert "Not for commercial use" in render_offer(OFFERED)
    assert "About 3.0 GB" in render_offer(OFFERED)


def test_a_capped_licence_is_confirmed_before_anything_is_fetched_or_started_with(tmp_path: Path) -> None:
    made = build_tab(tmp_path)
    shown = made.choose_profile(make_request(), "krea")
    assert "Commercial use below US$ 1 million of revenue a year only" in shown[made.offer_html]
    assert shown[made.confirm]["visible"] is True
    assert made.choose_profile(make_request(), "klein")[made.confirm]["visible"] is False
    (refused,) = collect_all(made.download_profile(make_request(), "krea"))
    assert settings_tab.CONFIRM_FIRST_TEXT in refused[made.panel.alerts]
    assert "confirms that once" in made.choose_start_profile(make_request(), "krea")[made.start_status]
    assert cast(FakeDownloads, made.downloads).started == []
    assert not (tmp_path / "profile.txt").exists()
    said = made.confirm_cap(make_request(), "krea")
    assert settings_tab.CONFIRMED_TEXT in said[made.panel.alerts]
    assert said[made.confirm]["visible"] is False
    assert "From the next start on" in made.choose_start_profile(make_request(), "krea")[made.start_status]
    collect_all(made.download_profile(make_request(), "krea"))
    assert cast(FakeDownloads, made.downloads).started == ["krea-2-turbo"]


def test_a_confirmation_on_a_full_disk_is_not_said_to_be_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build_tab(tmp_path)

    def fill_disk(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fill_disk)
    said = made.confirm_cap(make_request(), "krea")
    assert settings_tab.NOT_CONFIRMED_TEXT in said[made.panel.alerts]
    assert list(tmp_path.glob("licences.json")) == list(tmp_path.glob(".part-*")) == []


def test_a_download_shows_its_files_and_its_end(tmp_path: Path) -> None:
    made = build_tab(tmp_path)
    shown = collect_all(made.download_profile(make_request(), OFFERED.id))
    assert "unet/model.safetensors" in shown[0][made.panel.progress]
    assert "made is here: 2.0 GB in 1 files." in shown[-1][made.panel.progress]
    assert cast(FakeDownloads, made.downloads).started == [list_hub_models(OFFERED)[0].id]


def test_a_second_download_waits_and_a_failed_one_says_why(tmp_path: Path) -> None:
    made = build_tab(tmp_path, FakeDownloads(DONE, busy=True))
    (only,) = collect_all(made.download_profile(make_request(), OFFERED.id))
    assert settings_tab.ONE_DOWNLOAD_TEXT in only[made.panel.alerts]
    lost = build_tab(tmp_path, FakeDownloads(DownloadProgress("made", (), "failed", "The hub <is> away.")))
    shown = collect_all(lost.download_profile(make_request(), OFFERED.id))
    assert "The hub &lt;is&gt; away." in shown[-1][lost.panel.progress]


def test_better_nets_are_offered_with_size_licence_seconds_and_memory_and_come_at_a_click(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**12)
    made = build_tab(tmp_path)
    assert [choice for _, choice in made.net.choices] == [
        net.id for net in (*matting_choice.HUB_NETS, *FILL_NETS.specs)
    ]
    for net in matting_choice.HUB_NETS:
        shown = made.choose_net(make_request(), net.id)
        seconds = 0.5 * float(dict(net.options)["u2net_runs"])
        told = f"{format_bytes(net.download_bytes)}, {net.licence}, about {format_duration(seconds)} a photo here"
        assert told in shown[made.net_offer_html]
        assert format_bytes(matting_choice.run_bytes(net)) in shown[made.net_offer_html]
        words = {unescape(word).strip() for word in re.split(r"<[^>]*>", shown[made.net_offer_html])} - {""}
        assert not [word for word in words if not is_translated(word)]
    for net in FILL_NETS.specs:
        shown = made.choose_net(make_request(), net.id)
        told = f"{format_bytes(net.download_bytes)}, {net.licence}, about"
        assert told in shown[made.net_offer_html]
        words = {unescape(word).strip() for word in re.split(r"<[^>]*>", shown[made.net_offer_html])} - {""}
        assert not [word for word in words if not is_translated(word)]
    shown = collect_all(made.download_net(make_request(), LITE.id))
    assert "a photo here" in shown[-1][made.net_offer_html]
    assert cast(FakeDownloads, made.downloads).started == [LITE.id]
    assert shown[-1][made.net_panel.start].interactive is True  # this fake brings nothing
    tiny_birefnet.put_into_cache(LITE, tmp_path, monkeypatch)
    here = made.choose_net(make_request(), LITE.id)
    assert settings_tab.NET_HERE_TEXT in here[made.net_offer_html]
    assert here[made.net_panel.start].interactive is False


def test_the_progress_of_a_net_stands_where_it_was_started(tmp_path: Path) -> None:
    made = build_tab(tmp_path, FakeDownloads(replace(DONE, spec_id=LITE.id)))
    shown = collect_all(made.download_net(make_request(), LITE.id))
    assert "unet/model.safetensors" in shown[0][made.net_panel.progress]
    assert f"{LITE.id} is here" in shown[-1][made.net_panel.progress]
    assert all(made.panel.progress not in updates for updates in shown)
    busy = build_tab(tmp_path, FakeDownloads(DONE, busy=True))
    (only,) = collect_all(busy.download_net(make_request(), LITE.id))
    assert settings_tab.ONE_DOWNLOAD_TEXT in only[busy.net_panel.alerts]


def test_a_net_that_does_not_fit_the_memory_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**9)
    made = build_tab(tmp_path)
    shown = made.choose_net(make_request(), GENERAL.id)
    assert "too much for this machine, which has 1.0 GB" in shown[made.net_offer_html]
    assert is_translated(settings_tab.NET_TOO_LARGE_TEXT.format("9 GB", "1 GB"))
    assert shown[made.net_panel.start].interactive is False
    with pytest.raises(BadInput):
        made.choose_net(make_request(), "u2netp")


@pytest.mark.parametrize("sizes", [(5e5, 2e8), (5e5, 2e9), (3e6, 2e8), (3e6, 2e9), (2e9, 6e9)])
def test_progress_is_german_in_a_german_browser(sizes: tuple[float, float]) -> None:
    done, total = map(int, sizes)
    shown = render_progress(DownloadProgress(LITE.id, (HubFile("r", "", "onnx/model.onnx", total, done),)))
    line = unescape(re.search("<p>(.*?)</p>", shown)[1])  # pyrefly: ignore[unsupported-operation]
    assert is_translated(line), line


def test_progress_is_a_share_of_the_bytes() -> None:
    items = (HubFile("r", "", "a.safetensors", 3_000_000, 3_000_000), HubFile("r", "", "b.safetensors", 1_000_000, 0))
    shown = render_progress(DownloadProgress("made", items))
    assert "3 MB of 4 MB" in shown
    assert "--share:0.750" in shown
    assert render_progress(None) == ""


def test_the_page_has_the_tab() -> None:
    assert [row.build for row in PAGE_TABS if row.id == "settings"] == [settings_tab.build_tab]


def test_commercial_use_hides_what_may_not_be_used_and_can_be_switched_off(tmp_path: Path) -> None:
    for commercial in (True, False):
        made = build_tab(tmp_path, commercial=commercial)
        shown = {value for _, value in made.profile.choices}
        assert ("turbo" in shown) is not commercial
        assert "klein" in shown


def test_the_profile_chosen_on_the_page_serves_from_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory.hub, "is_hub_reachable", lambda: True)
    made = build_tab(tmp_path)
    assert made.start_profile.value == ""
    said = made.choose_start_profile(make_request(), "klein")[made.start_status]
    assert "From the next start on: FLUX.2 klein." in said
    assert build_tab(tmp_path).start_profile.value == "klein"
    assert factory._choose_profile(Settings(data=tmp_path), None)[0].id == "klein"
    # A flag comes first, and the page says so.
    flagged = Settings(data=tmp_path, profile="light")
    assert factory._choose_profile(flagged, None)[0].id == "light"
    assert "--profile light" in str(build_tab(tmp_path, profile="light").start_profile.info)
    made.choose_start_profile(make_request(), "")
    assert factory._choose_profile(Settings(data=tmp_path), None)[0].id == "embedded"


@pytest.mark.parametrize("name", ["turbo", "nonsense", "../klein"])
def test_only_what_the_page_offers_is_kept(tmp_path: Path, name: str) -> None:
    made = build_tab(tmp_path)
    assert "no profile" in made.choose_start_profile(make_request(), name)[made.start_status]
    assert profiles.read_saved_choice(tmp_path) == ""


@pytest.mark.parametrize("text", ["turbo", "nonsense", "klein-4bit", "\xff"])
def test_a_kept_profile_that_cannot_serve_never_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "profile.txt").write_text(text, "latin-1")
    profile, _ = factory._choose_profile(Settings(data=tmp_path), None)
    assert profile.id == "embedded"


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    made = build_tab(tmp_path)
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert settings_tab.NOT_SAVED_TEXT in made.choose_start_profile(make_request(), "klein")[made.start_status]


def test_a_profile_that_dresses_people_brings_the_net_for_poses() -> None:
    assert [row.id for row in list_hub_models(FASHN)] == ["klein", "fashn-vton-1.5", "dwpose"]
    assert [row.id for row in list_hub_models(KLEIN)] == ["klein"]
