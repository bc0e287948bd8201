"""Settings: what serves and why, memory, disk and downloads, for whoever administers; changes no picture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from html import escape
from typing import Any, Protocol, TypeAlias, runtime_checkable

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import BadInput
from pipelines.core.models import ModelSpec, Profile
from pipelines.engines.multi_gpu import CombinedModels
from pipelines.models import hub
from pipelines.models.hub import DownloadManager, DownloadProgress
from pipelines.models.lora import LoraLibrary
from pipelines.models.model_cache import ModelCache, ResidentModel
from pipelines.models.nets import control_annotators
from pipelines.models.profiles import EMBEDDED, PROFILES, is_cached, read_saved_choice, save_choice
from pipelines.models.registry import get_spec
from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.tool_tab import text as tool_tab_text

TITLE = "Settings"
LEDE = "What serves here and why, what lies in memory and on disk, and what could be downloaded."
ADMIN_ONLY_TEXT = "Settings are for whoever runs this studio."
AT_START_TEXT = "Takes effect when the studio is started again."
FLAG_FIRST_TEXT = "--profile {} was given at the start and comes first while it is."
CHOSEN_TEXT = "From the next start on: {}."
NOT_SAVED_TEXT = "The choice could not be written into the data folder."
BUSY_TEXT = "This model is at work or not loaded: try again when it rests."
ONE_DOWNLOAD_TEXT = "One download at a time: wait for the one that runs, or stop it."
Updates: TypeAlias = dict[Any, Any]
POLL_SECONDS = 0.5  # seconds between two looks at a download


@runtime_checkable
class HasModelCache(Protocol):
    """An engine in this process, whose models can be looked at."""

    @property
    def cache(self) -> ModelCache | CombinedModels: ...


def build_tab(page: gr.Tab, service: StudioService, access: Access) -> None:
    """Lay the page out in its tab, and wire it."""
    SettingsTab(service, access).wire(page)


class SettingsTab:
    """The tab's parts and what happens when they are touched. Every handler asks anew who is there."""

    def __init__(self, service: StudioService, access: Access, downloads: DownloadManager | None = None) -> None:
        self.service = service
        self.access = access
        self.downloads = downloads or DownloadManager()
        gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{LEDE}</p></header>')
        self.admin_only = gr.HTML(f"<p>{escape(ADMIN_ONLY_TEXT)}</p>", elem_id="settings-not-yours", visible=False)
        with gr.Row(elem_classes=["dbx-access"], visible=False) as self.admin_row:
            with gr.Column(scale=6, min_width=320):
                self._lay_out_memory()
            with gr.Column(scale=6, min_width=320, elem_classes=["dbx-form"]):
                self._lay_out_downloads()

    def _lay_out_memory(self) -> None:
        self.about_html = gr.HTML("", elem_id="settings-about")
        gr.HTML("<h2>In memory</h2>")
        self.loaded_models = gr.HTML("", elem_id="settings-resident")
        self.model_choice = gr.Dropdown([], label="Unload a model", info="Its memory is free at once; the next job reads it.",
                                 elem_id="settings-which")  # fmt: skip
        self.alerts = gr.HTML("", elem_classes=["dbx-alerts"])
        self.unload = gr.Button("Unload", elem_id="settings-unload")
        gr.HTML("<h2>On disk</h2>")
        self.disk_models = gr.HTML("", elem_id="settings-disk")

    def _lay_out_downloads(self) -> None:
        gr.HTML("<h2>Profiles</h2>")
        choices = [
            (row.title, row.id) for row in list_downloadable_profiles(commercial=self.access.settings.commercial)
        ]
        self.profile = gr.Radio(choices, label="Profile", value=choices[0][1], elem_id="settings-profile")
        self.offer_html = gr.HTML("", elem_id="settings-offer")
        self.download_alerts = gr.HTML("", elem_classes=["dbx-alerts"])
        with gr.Row():
            self.download = gr.Button("Download", variant="primary", elem_id="settings-download")
            self.stop = gr.Button("Stop", variant="stop", elem_id="settings-stop")
        self.progress = gr.HTML("", elem_id="settings-progress")
        settings = self.access.settings
        told = FLAG_FIRST_TEXT.format(settings.profile) if settings.profile else AT_START_TEXT
        starts, now = (
            [("The best that fits", ""), (EMBEDDED.title, EMBEDDED.id), *choices],
            read_saved_choice(settings.data),
        )
        self.start_profile = gr.Dropdown(
            starts, value=now if now in [value for _, value in starts] else "", label="Start with", info=told,
            elem_id="settings-start",
        )  # fmt: skip
        self.start_status = gr.HTML("", elem_classes=["dbx-alerts"])

    def wire(self, opened: gr.Tab) -> None:
        """Attach the listeners, all private to the page."""
        memory: list[Any] = [self.about_html, self.loaded_models, self.model_choice, self.alerts, self.disk_models]
        bringing: list[Any] = [self.offer_html, self.download_alerts, self.progress]
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
        opened.select(self.refresh, [self.profile], [self.admin_only, self.admin_row, *memory, *bringing], **quiet)
        self.unload.click(self.unload_model, [self.model_choice], memory, **quiet)
        self.profile.input(self.choose_profile, [self.profile], bringing, **quiet)
        self.download.click(self.download_profile, [self.profile], bringing, **quiet)
        self.stop.click(self.stop_download, [], bringing, **quiet)
        self.start_profile.input(self.choose_start_profile, [self.start_profile], [self.start_status], **quiet)

    # ------------------------------------------------------------ what is touched

    async def refresh(self, request: gr.Request, profile_id: str) -> AsyncIterator[Updates]:
        """Fill the tab, and follow a download that runs."""
        allowed = self.access.administers(request)
        shown: Updates = {self.admin_row: gr.update(visible=allowed), self.admin_only: gr.update(visible=not allowed)}
        if not allowed:
            yield shown
            return
        offered = {self.offer_html: render_offer(_find_profile(profile_id)), self.download_alerts: ""}
        yield {
            **shown,
            **await run_in_threadpool(self._show_memory),
            **offered,
            self.progress: render_progress(self.downloads.current),
        }
        async for updates in self._follow_download():
            yield updates

    def unload_model(self, request: gr.Request, spec_id: str | None) -> Updates:
        """Unload one model, unless a job uses it."""
        self._require_admin(request)
        cache = self._find_cache()
        done = cache is not None and spec_id is not None and cache.unload_model(spec_id)
        return {
            **self._show_memory(),
            self.alerts: "" if done else tool_tab_text.render_alert(BUSY_TEXT, "settings-which"),
        }

    def choose_profile(self, request: gr.Request, profile_id: str) -> Updates:
        """What this profile would bring, and under which licence, before anything is asked of the hub."""
        self._require_admin(request)
        return {self.offer_html: render_offer(_find_profile(profile_id)), self.download_alerts: ""}

    async def download_profile(self, request: gr.Request, profile_id: str) -> AsyncIterator[Updates]:
        """Download what the profile lacks, one model after the other, and show how far it is."""
        self._require_admin(request)
        for row in list_hub_models(_find_profile(profile_id)):
            if not self.downloads.start_download(row):
                yield {self.download_alerts: tool_tab_text.render_alert(ONE_DOWNLOAD_TEXT, "settings-download")}
                return
            async for updates in self._follow_download():
                yield updates
            if self.downloads.current is None or self.downloads.current.state != "done":
                break
        yield {
            self.offer_html: render_offer(_find_profile(profile_id)),
            self.progress: render_progress(self.downloads.current),
        }

    def stop_download(self, request: gr.Request) -> Updates:
        """Stop the download that runs."""
        self._require_admin(request)
        self.downloads.stop_download()
        return {self.download_alerts: ""}

    def choose_start_profile(self, request: gr.Request, profile_id: str) -> Updates:
        """Start with this profile from the next start on; which one serves now is settled in every open form."""
        self._require_admin(request)
        allowed = {
            "",
            EMBEDDED.id,
            *(row.id for row in list_downloadable_profiles(commercial=self.access.settings.commercial)),
        }
        try:
            if profile_id not in allowed:
                raise BadInput(f"There is no profile {profile_id!r}.")
            save_choice(self.access.settings.data, profile_id)
        except BadInput as error:  # one whose package is missing says which
            return {self.start_status: tool_tab_text.render_alert(error.message, "settings-start")}
        except OSError:
            return {self.start_status: tool_tab_text.render_alert(NOT_SAVED_TEXT, "settings-start")}
        title = _find_profile(profile_id).title if profile_id else "the best that fits"
        return {self.start_status: tool_tab_text.render_status(CHOSEN_TEXT.format(title))}

    # ------------------------------------------------------------ private

    async def _follow_download(self) -> AsyncIterator[Updates]:
        while (now := self.downloads.current) is not None and now.state == "running":
            yield {self.download_alerts: "", self.progress: render_progress(now)}
            await asyncio.sleep(POLL_SECONDS)

    def _require_admin(self, request: gr.Request) -> None:
        if not self.access.administers(request):
            raise BadInput(ADMIN_ONLY_TEXT)

    def _find_cache(self) -> ModelCache | CombinedModels | None:
        engine = self.service.jobs.engine
        return engine.cache if isinstance(engine, HasModelCache) else None

    def _show_memory(self) -> Updates:
        cache = self._find_cache()
        rows = cache.resident_models() if cache is not None else []
        free = [row["id"] for row in rows if not row["in_use"]]
        return {
            self.about_html: render_about(self.service.profile, cache),
            self.loaded_models: render_loaded(rows),
            self.model_choice: gr.update(choices=free, value=None),
            self.alerts: "",
            self.disk_models: render_disk(hub.list_cached_repositories()) + render_loras(self.service.loras),
        }


# ---------------------------------------------------------------- words


def list_downloadable_profiles(*, commercial: bool) -> tuple[Profile, ...]:
    """The profiles that would bring something; `commercial`: nothing whose licence forbids it."""
    rows = tuple(profile for profile in PROFILES if list_hub_models(profile))
    return tuple(row for row in rows if not commercial or all(model.commercial_ok for model in list_hub_models(row)))


def list_hub_models(profile: Profile) -> tuple[ModelSpec, ...]:
    """The models of a profile that come from the hub; with control, the nets that make its maps too."""
    rows = [get_spec(spec_id) for spec_id in dict.fromkeys(profile.specs.values())]
    rows += control_annotators.ANNOTATORS.specs if "control" in profile.specs else ()
    return tuple(row for row in rows if row.repo)


def render_about(profile: Profile, cache: ModelCache | CombinedModels | None) -> str:
    """Profile, reason, device and the share of memory for models."""
    lines = [f"Profile <b>{escape(profile.title)}</b>", escape(profile.reason)]
    if cache is not None:
        room = (
            "as much memory as there is" if cache.budget_bytes is None else f"up to {format_bytes(cache.budget_bytes)}"
        )
        lines.append(f"Device <code>{escape(cache.device)}</code>, models may take {room}.")
    return f'<div class="dbx-facts">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


def render_loaded(rows: Sequence[ResidentModel]) -> str:
    """The loaded models, the one used last first."""
    if not rows:
        return "<p>No model is loaded. The first job that needs one reads it.</p>"
    places = {"device": "Ready", "host": "Put aside in main memory"}
    cells = [
        (
            escape(row["id"]),
            format_bytes(row["bytes"]),
            f"At work ({row['in_use']})" if row["in_use"] else places[row["where"]],
        )
        for row in reversed(rows)
    ]
    total = format_bytes(sum(row["bytes"] for row in rows))
    return _render_table(("Model", "Size", "State"), cells) + f"<p>{total} together.</p>"


def render_disk(rows: Sequence[tuple[str, int]]) -> str:
    """What the hub's cache holds."""
    if not rows:
        return "<p>Nothing was downloaded yet. What ships with the studio needs no download.</p>"
    cells = [(escape(repo), format_bytes(taken)) for repo, taken in rows]
    return (
        _render_table(("Downloaded", "Size"), cells)
        + f"<p>{format_bytes(sum(taken for _, taken in rows))} together.</p>"
    )


def render_loras(shelf: LoraLibrary) -> str:
    """The LoRAs that a form may name, and where to lay others."""
    names = "".join(f"<li><code>{escape(name)}</code></li>" for name in shelf.list_names())
    where = f"<p>LoRAs (.safetensors) lie in <code>{escape(str(shelf.folder))}</code>.</p>"
    return f'<div class="dbx-facts">{where}{f"<ul>{names}</ul>" if names else ""}</div>'


def render_offer(profile: Profile) -> str:
    """What a profile brings: size, licence, whether it may be sold with, what it takes, and how to start with it."""
    cells = []
    for row in list_hub_models(profile):
        licence = escape(row.licence) + ("" if row.commercial_ok else "<br>Not for commercial use")
        here = "On this machine" if is_cached(row) else f"About {format_bytes(row.bytes)} to download"
        needs = f"<br>Needs {format_bytes(row.min_vram)} of GPU memory" if row.min_vram else ""
        cells.append((escape(row.repo), licence, f"{here}{needs}"))
    start = f"<p>Then start with <code>python app.py --profile {escape(profile.id)}</code></p>"
    return _render_table(("From", "Licence", "Size"), cells) + f'<div class="dbx-facts">{start}</div>'


def render_progress(progress: DownloadProgress | None) -> str:
    """How far a download is, file by file."""
    if progress is None:
        return ""
    if progress.state == "failed":
        return tool_tab_text.render_alert(progress.message, "settings-download")
    if progress.state == "stopped":
        return tool_tab_text.render_status(progress.message)
    if progress.state == "done":
        return tool_tab_text.render_status(
            f"{progress.spec_id} is here: {format_bytes(progress.total_bytes)} in {len(progress.files)} files."
        )
    if not progress.files:
        return tool_tab_text.render_status(f"Asking the hub about {progress.spec_id}", busy=True)
    share = progress.done_bytes / max(progress.total_bytes, 1)
    text = (
        f"Downloading {progress.spec_id} · {format_bytes(progress.done_bytes)} of {format_bytes(progress.total_bytes)}"
    )
    cells = [
        (escape(item.name), format_bytes(item.total_bytes), f"{item.done_bytes / max(item.total_bytes, 1):.0%}")
        for item in progress.files
        if item.done_bytes < item.total_bytes or item.total_bytes > 1e6
    ]
    return tool_tab_text.render_status(text, busy=True, share=share) + _render_table(("File", "Size", "Done"), cells)


def format_bytes(amount: int) -> str:
    """Bytes in words."""
    for unit, whole in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if amount >= whole:
            return f"{amount / whole:.1f} {unit}"
    return f"{amount} bytes"


def _find_profile(profile_id: str) -> Profile:
    found = next((profile for profile in PROFILES if profile.id == profile_id), None)
    if found is None:
        raise BadInput(f"There is no profile {profile_id!r}.")
    return found


def _render_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="dbx-keys"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
