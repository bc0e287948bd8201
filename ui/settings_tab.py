"""The settings tab for administrators: active profile, models in memory and on disk, and downloads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeAlias

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.batch.format_amounts import format_bytes, format_duration
from pipelines.core.errors import BadInput, ModelUnavailable, StudioError
from pipelines.core.models import ModelSpec, Profile
from pipelines.engines.multi_gpu import CombinedModels
from pipelines.models import hub
from pipelines.models.devices import detect_machine
from pipelines.models.families.fashn.model import DWPOSE_FAMILY
from pipelines.models.families.hub_nets import FILL_NETS, GENERAL, LAMA, LITE, MIGAN, PORTRAIT, SAM2, VITMATTE
from pipelines.models.hub import DownloadManager, DownloadProgress
from pipelines.models.lora import LoraLibrary
from pipelines.models.model_cache import ModelCache, ResidentModel
from pipelines.models.nets import control_annotators, matting_choice, text_reader
from pipelines.models.probes import cpu_precision
from pipelines.models.profiles import (
    EMBEDDED,
    PROFILES,
    choose_lighter_twins,
    download_bytes,
    is_cached,
    profile_control_nets,
    profile_models,
    read_saved_choice,
    save_choice,
)
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.components.event_options import PRIVATE_EVENT
from ui.components.model_names import name_model
from ui.components.tables import render_table
from ui.tool_tab import text as tool_tab_text

TITLE = "Settings"
EMBEDDED_TITLE = "What ships with the studio"
BEST_TITLE = "The best for this machine"
INTRO_TEXT = "What this studio makes pictures with, and which larger models you can add."
LOADED_TEXT = "A model in memory works at once; any other is loaded first, which takes some seconds."
MORE_MODELS_TEXT = (
    "Larger models draw new scenes and change pictures by words. They need a graphics card. "
    "Choose a set to see its licence, its size and the memory that it needs."
)
ADMIN_ONLY_TEXT = "Settings are for whoever runs this studio."
AT_START_TEXT = "The choice takes effect when the studio is started again."
FLAG_FIRST_TEXT = "--profile {} was given at the start and comes first while it is."
CHOSEN_TEXT = "From the next start on: {}."
NOT_SAVED_TEXT = "The choice could not be written into the data folder."
BUSY_TEXT = "This model is in use or not loaded. Try again later."
CHOOSE_TEXT = "Choose a set of models first."
ONE_DOWNLOAD_TEXT = "One download at a time: wait for the one that runs, or stop it."
CAP_TEXT = "Commercial use below {} only"
CONFIRM_FIRST_TEXT = "Confirm first that you are below the limit of this licence."
CONFIRMED_TEXT = "Confirmed. The model may draw now."
NOT_CONFIRMED_TEXT = "The confirmation could not be written into the data folder."
NETS_INFO = "Each does one thing better than what ships with the studio, and can be added to the others."
NET_TITLES = {
    LITE.id: "Whole subjects: BiRefNet lite",
    GENERAL.id: "Whole subjects, slower: BiRefNet",
    PORTRAIT.id: "People alone: BiRefNet portrait",
    VITMATTE.id: "Hair and other edges: ViTMatte",
    SAM2.id: "What you point at: SAM 2",
    LAMA.id: "Retouch, large places: LaMa",
    MIGAN.id: "Retouch, a smaller file: MI-GAN",
}
_SUBJECT_USE_TEXT = (
    "It cuts out hair, leaves and lattice better. A finished picture uses the best BiRefNet that is here; drafts do "
    "not wait for it."
)
OFFERED_NETS = (*matting_choice.HUB_NETS, *FILL_NETS.specs)
_FILL_USE_TEXT = "It draws where something large was erased, and the file says so; drafts do not wait for it."
NET_USE_TEXTS = {
    LAMA.id: _FILL_USE_TEXT,
    MIGAN.id: _FILL_USE_TEXT,
    VITMATTE.id: "It draws a finished picture's edges anew. A large photo takes longer; drafts do not wait for it.",
    SAM2.id: "It finds what you point at. The first click on a photo takes this long, every other a moment.",
}
NET_HERE_TEXT = "On this machine: used from now on."
NET_TOO_LARGE_TEXT = "It takes {} of memory: too much for this machine, which has {}."
NET_OFFER_TEXT = "Better cut-outs: {}, {}, about {} a photo here."
NET_OFFER_UNTIMED_TEXT = "Better cut-outs: {}, {}."
NET_MEMORY_TEXT = (
    "It needs no graphics card, works beside the models that ship with the studio, and takes {} of memory meanwhile."
)
LABEL_CHECK_TEXT = "The words on a product's label are read in the photo and in each picture; a change is told."
NO_LABEL_CHECK_TEXT = (
    "The words on a label are not compared: that needs the package of requirements-ocr.txt, which is not installed."
)
FILL_OFFER_TEXT = "Drawn in place of what was erased: {}, {}, about {} a place here."
FILL_OFFER_UNTIMED_TEXT = "Drawn in place of what was erased: {}, {}."
FILL_MEMORY_TEXT = "It needs no graphics card and takes {} of memory meanwhile."
Updates: TypeAlias = dict[Any, Any]
POLL_SECONDS = 0.5
"""Interval at which the progress of a download is shown."""


def build_tab(gradio_tab: gr.Tab, service: StudioService, access: AccessControl) -> None:
    """Build the settings tab inside `gradio_tab` and attach its listeners."""
    SettingsTab(service, access).wire(gradio_tab)


@dataclass(frozen=True)
class DownloadPanel:
    """The part of a section that shows its download."""

    alerts: gr.HTML
    start: gr.Button
    stop: gr.Button
    progress: gr.HTML


class SettingsTab:
    """Components and listeners of the tab. Every handler checks that the visitor may administer."""

    def __init__(self, service: StudioService, access: AccessControl, downloads: DownloadManager | None = None) -> None:
        self.service = service
        self.access = access
        self.downloads = downloads or service.downloads
        gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{INTRO_TEXT}</p></header>')
        self.admin_only = gr.HTML(f"<p>{escape(ADMIN_ONLY_TEXT)}</p>", elem_id="settings-not-yours", visible=False)
        with gr.Row(elem_classes=["dbx-access"], visible=False) as self.admin_row:
            with gr.Column(scale=6, min_width=320):
                self._build_memory_section()
            with gr.Column(scale=6, min_width=320, elem_classes=["dbx-form"]):
                self._lay_out_nets()
                self._lay_out_downloads()

    def _build_memory_section(self) -> None:
        self.about_html = gr.HTML("", elem_id="settings-about")
        gr.HTML(f"<h2>In memory now</h2><p>{LOADED_TEXT}</p>")
        self.loaded_models = gr.HTML("", elem_id="settings-resident")
        self.model_choice = gr.Dropdown(
            [],
            label="Free up memory",
            info="Nothing is lost: the next picture that needs the model loads it again.",
            elem_id="settings-which",
        )
        self.alerts = gr.HTML("", elem_classes=["dbx-alerts"])
        self.unload = gr.Button("Remove from memory", interactive=False, elem_id="settings-unload")
        gr.HTML("<h2>Downloaded</h2>")
        self.disk_models = gr.HTML("", elem_id="settings-disk")

    def _lay_out_nets(self) -> None:
        gr.HTML("<h2>Better cut-outs and erasing</h2>")
        choices = [(NET_TITLES[spec.id], spec.id) for spec in OFFERED_NETS]
        self.net = gr.Radio(choices, label="Model", info=NETS_INFO, value=LITE.id, elem_id="settings-net")
        self.net_offer_html = gr.HTML("", elem_id="settings-net-offer")
        self.net_panel = _lay_out_panel("settings-net-")
        text = LABEL_CHECK_TEXT if text_reader.is_installed() else NO_LABEL_CHECK_TEXT
        gr.HTML(f"<h2>Label check</h2><p>{text}</p>", elem_id="settings-label")

    def _lay_out_downloads(self) -> None:
        gr.HTML(f"<h2>Larger models</h2><p>{MORE_MODELS_TEXT}</p>")
        choices = [
            (row.title, row.id) for row in list_downloadable_profiles(commercial=self.access.settings.commercial)
        ]
        served = self.service.profile.id
        chosen = served if served in [value for _, value in choices] else None
        self.profile = gr.Radio(choices, label="Set of models", value=chosen, elem_id="settings-profile")
        self.offer_html = gr.HTML("", elem_id="settings-offer")
        self.confirm = gr.Button("We are below this limit", visible=False, elem_id="settings-confirm")
        self.panel = _lay_out_panel("settings-")
        settings = self.access.settings
        info = FLAG_FIRST_TEXT.format(settings.profile) if settings.profile else AT_START_TEXT
        starts, now = [(BEST_TITLE, ""), (EMBEDDED_TITLE, EMBEDDED.id), *choices], read_saved_choice(settings.data)
        self._start_titles = {profile_id: title for title, profile_id in starts}
        self.start_profile = gr.Dropdown(
            starts,
            value=now if now in self._start_titles else "",
            label="Use from the next start on",
            info=info,
            elem_id="settings-start",
        )
        self.start_status = gr.HTML("", elem_classes=["dbx-alerts"])

    def wire(self, gradio_tab: gr.Tab) -> None:
        """Attach the listeners."""
        memory: list[Any] = [
            self.about_html,
            self.loaded_models,
            self.model_choice,
            self.alerts,
            self.disk_models,
            self.unload,
        ]
        panel, net_panel = self.panel, self.net_panel
        download: list[Any] = [self.offer_html, self.confirm, panel.alerts, panel.progress, panel.stop]
        net: list[Any] = [self.net_offer_html, net_panel.alerts, net_panel.progress, net_panel.start, net_panel.stop]
        self.model_choice.input(
            None,
            [self.model_choice],
            [self.unload],
            js="(id) => ({ interactive: Boolean(id), __type__: 'update' })",
            api_visibility="private",
        )
        gradio_tab.select(
            self.refresh,
            [self.profile, self.net],
            [self.admin_only, self.admin_row, *memory, *net, *download],
            **PRIVATE_EVENT,
        )
        self.net.input(self.choose_net, [self.net], net, **PRIVATE_EVENT)
        net_panel.start.click(self.download_net, [self.net], net, **PRIVATE_EVENT)
        net_panel.stop.click(self.stop_download, [], [], **PRIVATE_EVENT)
        self.unload.click(self.unload_model, [self.model_choice], memory, **PRIVATE_EVENT)
        self.profile.input(self.choose_profile, [self.profile], download, **PRIVATE_EVENT)
        self.confirm.click(self.confirm_cap, [self.profile], download, **PRIVATE_EVENT)
        panel.start.click(self.download_profile, [self.profile], download, **PRIVATE_EVENT)
        panel.stop.click(self.stop_download, [], [], **PRIVATE_EVENT)
        self.start_profile.input(self.choose_start_profile, [self.start_profile], [self.start_status], **PRIVATE_EVENT)

    # ------------------------------------------------------------ handlers

    async def refresh(self, request: gr.Request, profile_id: str | None, net_id: str) -> AsyncIterator[Updates]:
        """Fill the tab, follow a running download, and say how long a better cut-out takes here, which is measured."""
        allowed = self.access.may_administer(request)
        shown: Updates = {self.admin_row: gr.update(visible=allowed), self.admin_only: gr.update(visible=not allowed)}
        if not allowed:
            yield shown
            return
        offer = {**self._show_offer(profile_id), self.panel.alerts: ""}
        yield {
            **shown,
            **await run_in_threadpool(self._show_memory),
            **offer,
            **self._show_net(net_id),
            **self._show_progress(self.downloads.current),
        }
        async for updates in self._follow_download():
            yield updates
        yield await run_in_threadpool(self._show_net, net_id, is_timed=True)

    def unload_model(self, request: gr.Request, spec_id: str | None) -> Updates:
        """Unload one model, unless a job uses it."""
        self._require_admin(request)
        model_cache = self._find_model_cache()
        done = model_cache is not None and spec_id is not None and model_cache.unload_model(spec_id)
        return {
            **self._show_memory(),
            self.alerts: "" if done else tool_tab_text.render_alert(BUSY_TEXT, "settings-which"),
        }

    def choose_profile(self, request: gr.Request, profile_id: str) -> Updates:
        """Show the models of a profile with size and licence, without a request to the hub."""
        self._require_admin(request)
        return {**self._show_offer(profile_id), self.panel.alerts: ""}

    def choose_net(self, request: gr.Request, net_id: str) -> Updates:
        """Show what a better net for cut-outs needs, without a request to the hub."""
        self._require_admin(request)
        return {**self._show_net(net_id, is_timed=True), self.net_panel.alerts: ""}

    async def download_net(self, request: gr.Request, net_id: str) -> AsyncIterator[Updates]:
        """Download a better net for cut-outs, and show the progress; what is kept takes it from then on."""
        self._require_admin(request)
        if not self.downloads.start_download(_find_net(net_id)):
            text = tool_tab_text.render_alert(ONE_DOWNLOAD_TEXT, self.net_panel.start.elem_id or "")
            yield {self.net_panel.alerts: text}
            return
        async for updates in self._follow_download():
            yield updates
        offer = await run_in_threadpool(self._show_net, net_id, is_timed=True)
        yield {**offer, **self._show_progress(self.downloads.current)}

    def confirm_cap(self, request: gr.Request, profile_id: str | None) -> Updates:
        """Note that whoever runs the studio is below the caps of a profile's licences."""
        self._require_admin(request)
        if profile_id is None:
            return {self.panel.alerts: tool_tab_text.render_alert(CHOOSE_TEXT, "settings-profile")}
        try:
            for model in self.service.licences.list_unconfirmed(list_hub_models(_find_model_profile(profile_id))):
                self.service.licences.confirm_cap(model)
        except (OSError, StudioError):
            return {self.panel.alerts: tool_tab_text.render_alert(NOT_CONFIRMED_TEXT, "settings-confirm")}
        return {**self._show_offer(profile_id), self.panel.alerts: tool_tab_text.render_status(CONFIRMED_TEXT)}

    async def download_profile(self, request: gr.Request, profile_id: str | None) -> AsyncIterator[Updates]:
        """Download the missing models of a profile one after the other, and show the progress."""
        self._require_admin(request)
        if profile_id is None:
            yield {self.panel.alerts: tool_tab_text.render_alert(CHOOSE_TEXT, "settings-profile")}
            return
        if self.service.licences.list_unconfirmed(list_hub_models(_find_model_profile(profile_id))):
            yield {self.panel.alerts: tool_tab_text.render_alert(CONFIRM_FIRST_TEXT, "settings-confirm")}
            return
        for model in list_hub_models(_find_model_profile(profile_id)):
            if not self.downloads.start_download(model):
                yield {self.panel.alerts: tool_tab_text.render_alert(ONE_DOWNLOAD_TEXT, "settings-download")}
                return
            async for updates in self._follow_download():
                yield updates
            if self.downloads.current is None or self.downloads.current.state != "done":
                break
        yield {
            self.offer_html: render_offer(_find_model_profile(profile_id)),
            **self._show_progress(self.downloads.current),
        }

    def stop_download(self, request: gr.Request) -> None:
        """Stop the running download; whoever follows it shows its end."""
        self._require_admin(request)
        self.downloads.stop_download()

    def choose_start_profile(self, request: gr.Request, profile_id: str) -> Updates:
        """Use this profile from the next start on. The active profile does not change: open forms depend on it."""
        self._require_admin(request)
        try:
            if profile_id not in self._start_titles:
                raise BadInput(f"There is no profile {profile_id!r}.")
            if profile_id:
                self.service.licences.require_confirmed(*profile_models(_find_model_profile(profile_id)))
            save_choice(self.access.settings.data, profile_id)
        except (BadInput, ModelUnavailable) as error:  # for example a missing package, or a cap to be confirmed
            return {self.start_status: tool_tab_text.render_alert(error.message, "settings-start")}
        except OSError:
            return {self.start_status: tool_tab_text.render_alert(NOT_SAVED_TEXT, "settings-start")}
        return {self.start_status: tool_tab_text.render_status(CHOSEN_TEXT.format(self._start_titles[profile_id]))}

    # ------------------------------------------------------------ private

    async def _follow_download(self) -> AsyncIterator[Updates]:
        while (now := self.downloads.current) is not None and now.state == "running":
            yield {self._find_download_panel(now).alerts: "", **self._show_progress(now)}
            await asyncio.sleep(POLL_SECONDS)

    def _show_progress(self, current: DownloadProgress | None) -> Updates:
        panel, is_running = self._find_download_panel(current), current is not None and current.state == "running"
        shown = render_progress(current, panel.start.elem_id or "")
        return {panel.progress: shown, panel.stop: gr.Button(interactive=is_running)}

    def _find_download_panel(self, current: DownloadProgress | None) -> DownloadPanel:
        return self.net_panel if current is not None and current.spec_id in NET_TITLES else self.panel

    def _show_net(self, net_id: str, *, is_timed: bool = False) -> Updates:
        net = _find_net(net_id)
        is_offered = not is_cached(net) and matting_choice.fits_memory(net)
        seconds = matting_choice.estimate_run_seconds(net) if is_offered and is_timed else None
        return {
            self.net_offer_html: render_net_offer(net, seconds),
            self.net_panel.start: gr.Button(interactive=is_offered),
        }

    def _show_offer(self, profile_id: str | None) -> Updates:
        models = list_hub_models(_find_model_profile(profile_id)) if profile_id else ()
        is_open = bool(self.service.licences.list_unconfirmed(models))
        return {
            self.offer_html: render_offer(_find_model_profile(profile_id)) if profile_id else "",
            self.confirm: gr.update(visible=is_open),
        }

    def _require_admin(self, request: gr.Request) -> None:
        if not self.access.may_administer(request):
            raise BadInput(ADMIN_ONLY_TEXT)

    def _find_model_cache(self) -> ModelCache | CombinedModels | None:
        """Find the models of an engine in this process; None for any other engine."""
        return getattr(self.service.jobs.engine, "cache", None)

    def _show_memory(self) -> Updates:
        model_cache = self._find_model_cache()
        rows = model_cache.resident_models() if model_cache is not None else []
        free = [row["id"] for row in rows if not row["in_use"]]
        return {
            self.about_html: render_about(self.service.profile, model_cache),
            self.loaded_models: render_loaded(rows),
            self.model_choice: gr.update(
                choices=[(name_model(each), each) for each in free], value=None, interactive=bool(free)
            ),
            self.alerts: "",
            self.unload: gr.Button(interactive=False),
            self.disk_models: render_disk(hub.list_cached_repositories()) + render_loras(self.service.loras),
        }


# ---------------------------------------------------------------- texts


def list_downloadable_profiles(*, commercial: bool) -> tuple[Profile, ...]:
    """List the profiles with models to download; with `commercial`, only those that may be used commercially."""
    offered = ((profile, list_hub_models(profile)) for profile in PROFILES)
    return tuple(
        profile
        for profile, models in offered
        if models and (not commercial or all(model.commercial_ok for model in models))
    )


def list_hub_models(profile: Profile) -> tuple[ModelSpec, ...]:
    """List a profile's models on the hub; for the verb `control` also its ControlNet and the nets for the maps."""
    specs = [*profile_models(profile), *profile_control_nets(profile)]
    specs += control_annotators.ANNOTATORS.specs if "control" in profile.specs else ()
    specs += DWPOSE_FAMILY.specs if "tryon" in profile.specs else ()
    return tuple(each for each in specs if each.repo)


def render_about(profile: Profile, model_cache: ModelCache | CombinedModels | None) -> str:
    """Render what pictures are made with and why; device and memory in a fold."""
    title = EMBEDDED_TITLE if profile.id == EMBEDDED.id else profile.title
    lines: list[str] = []
    if model_cache is not None:
        budget = model_cache.budget_bytes
        share = "as much memory as there is" if budget is None else f"up to {format_bytes(budget)}"
        lines.append(f"Device <code>{escape(model_cache.device)}</code>, models may take {share}.")
        if model_cache.device == "cpu":
            lines.append(escape(cpu_precision.THIS_PROCESSOR.describe_choice()))
    details = "".join(f"<p>{line}</p>" for line in (f"Profile <code>{escape(profile.id)}</code>", *lines))
    return (
        f'<div class="dbx-facts"><p><b>{escape(title)}</b></p><p>{escape(profile.reason)}</p>'
        f"<details><summary>Technical details</summary>{details}</details></div>"
    )


def render_loaded(rows: Sequence[ResidentModel]) -> str:
    """Render the loaded models, most recently used first."""
    if not rows:
        return "<p>No model is loaded.</p>"
    places = {"device": "Ready", "host": "In the computer's main memory"}
    cells = [
        (
            escape(name_model(row["id"])),
            format_bytes(row["bytes"]),
            f"In use ({row['in_use']})" if row["in_use"] else places[row["where"]],
        )
        for row in reversed(rows)
    ]
    total = format_bytes(sum(row["bytes"] for row in rows))
    return render_table(("Model", "Size", "State"), cells) + f"<p>{total} together.</p>"


def render_disk(rows: Sequence[tuple[str, int]]) -> str:
    """Render the repositories in the hub's cache."""
    if not rows:
        return "<p>Nothing was downloaded yet. What ships with the studio needs no download.</p>"
    cells = [(escape(repo), format_bytes(size)) for repo, size in rows]
    return (
        render_table(("Downloaded", "Size"), cells) + f"<p>{format_bytes(sum(size for _, size in rows))} together.</p>"
    )


def render_loras(library: LoraLibrary) -> str:
    """Render the LoRAs that a form may name, and the folder for more."""
    names = "".join(f"<li><code>{escape(name)}</code></li>" for name in library.list_names())
    folder = f"<p>Style files for them (LoRA, .safetensors) lie in</p><p><code>{escape(str(library.folder))}</code></p>"
    return (
        '<div class="dbx-facts"><details><summary>Technical details</summary>'
        f"{folder}{f'<ul>{names}</ul>' if names else ''}</details></div>"
    )


def render_offer(profile: Profile) -> str:
    """Render a profile's models with licence, size and memory, and how to start with the profile."""
    cells = []
    for model in list_hub_models(profile):
        licence = escape(model.licence)
        licence += f"<br>{escape(CAP_TEXT.format(model.revenue_cap))}" if model.revenue_cap else ""
        licence += "" if model.commercial_ok else "<br>Not for commercial use"
        download = "On this machine" if is_cached(model) else f"About {format_bytes(download_bytes(model))} to download"
        memory = f"<br>Needs {format_bytes(model.min_vram)} on the graphics card" if model.min_vram else ""
        cells.append((escape(model.repo), licence, f"{download}{memory}"))
    start = f"<p><code>python app.py --profile {escape(profile.id)}</code></p>"
    return (
        render_table(("From", "Licence", "Size"), cells)
        + "<p>Download it, then choose it below for the next start.</p>"
        f'<div class="dbx-facts"><details><summary>Technical details</summary>{start}</details></div>'
    )


def render_net_offer(net: ModelSpec, seconds: float | None = None) -> str:
    """Render size, licence, seconds a run and memory of a net, or that it is here, or does not fit."""
    memory = format_bytes(matting_choice.run_bytes(net))
    fills = net in FILL_NETS.specs
    memory_text = (FILL_MEMORY_TEXT if fills else NET_MEMORY_TEXT).format(memory)
    if not matting_choice.fits_memory(net):
        lines = [NET_TOO_LARGE_TEXT.format(memory, format_bytes(matting_choice.total_host_bytes()))]
    elif is_cached(net):
        lines = [NET_HERE_TEXT, memory_text]
    else:
        timed = FILL_OFFER_TEXT if fills else NET_OFFER_TEXT
        untimed = FILL_OFFER_UNTIMED_TEXT if fills else NET_OFFER_UNTIMED_TEXT
        size, duration = format_bytes(download_bytes(net)), format_duration(seconds or 0)
        lines = [(timed if seconds else untimed).format(size, net.licence, duration), memory_text]
    lines.insert(1, NET_USE_TEXTS.get(net.id, _SUBJECT_USE_TEXT))
    return f'<div class="dbx-facts">{"".join(f"<p>{escape(line)}</p>" for line in lines)}</div>'


def render_progress(progress: DownloadProgress | None, button_id: str = "settings-download") -> str:
    """Render the progress of a download that the button `button_id` started, file by file."""
    if progress is None:
        return ""
    if progress.state == "failed":
        return tool_tab_text.render_alert(progress.message, button_id)
    if progress.state == "stopped":
        return tool_tab_text.render_status(progress.message)
    if progress.state == "done":
        return tool_tab_text.render_status(
            f"{progress.spec_id} is here: {format_bytes(progress.total_bytes)} in {len(progress.files)} files."
        )
    if not progress.files:
        return tool_tab_text.render_status(f"Looking up {progress.spec_id}", busy=True)
    share = progress.done_bytes / max(progress.total_bytes, 1)
    text = (
        f"Downloading {progress.spec_id} · {format_bytes(progress.done_bytes)} of {format_bytes(progress.total_bytes)}"
    )
    cells = [
        (escape(item.name), format_bytes(item.total_bytes), f"{item.done_bytes / max(item.total_bytes, 1):.0%}")
        for item in progress.files
        if item.done_bytes < item.total_bytes or item.total_bytes > 1e6
    ]
    return tool_tab_text.render_status(text, busy=True, share=share) + render_table(("File", "Size", "Done"), cells)


def _find_model_profile(profile_id: str) -> Profile:
    found = next((profile for profile in PROFILES if profile.id == profile_id), None)
    if found is None:
        raise BadInput(f"There is no profile {profile_id!r}.")
    return choose_lighter_twins(found, detect_machine())


def _find_net(net_id: str) -> ModelSpec:
    found = next((spec for spec in OFFERED_NETS if spec.id == net_id), None)
    if found is None:
        raise BadInput(f"There is no net {net_id!r}.")
    return found


def _lay_out_panel(prefix: str) -> DownloadPanel:
    alerts = gr.HTML("", elem_classes=["dbx-alerts"])
    with gr.Row():
        start = gr.Button("Download", variant="primary", elem_id=f"{prefix}download")
        stop = gr.Button("Stop", variant="stop", interactive=False, elem_id=f"{prefix}stop")
    return DownloadPanel(alerts, start, stop, gr.HTML("", elem_id=f"{prefix}progress"))
