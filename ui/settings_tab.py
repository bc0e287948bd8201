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
from pipelines.engines.multi_gpu import Caches
from pipelines.models import hub
from pipelines.models.hub import Downloads, Progress
from pipelines.models.lora import Shelf
from pipelines.models.model_cache import Cache, Resident
from pipelines.models.nets import control_annotators
from pipelines.models.profiles import EMBEDDED, PROFILES, is_cached, keep, kept
from pipelines.models.registry import spec
from pipelines.service.orders import Desk
from ui.api.auth.access import Access
from ui.tool_tab import text as tool_tab_text

TITLE = "Settings"
LEDE = "What serves here and why, what lies in memory and on disk, and what could be downloaded."
NOT_YOURS = "Settings are for whoever runs this studio."
AT_START = "Takes effect when the studio is started again."
FLAG_FIRST = "--profile {} was given at the start and comes first while it is."
CHOSEN = "From the next start on: {}."
NOT_KEPT = "The choice could not be written into the data folder."
BUSY = "This model is at work or not loaded: try again when it rests."
ONE_AT_A_TIME = "One download at a time: wait for the one that runs, or stop it."
Updates: TypeAlias = dict[Any, Any]
BEAT = 0.5  # seconds between two looks at a download


@runtime_checkable
class Keeps(Protocol):
    """An engine in this process, whose models can be looked at."""

    @property
    def cache(self) -> Cache | Caches: ...


def fill(page: gr.Tab, desk: Desk, access: Access) -> None:
    """Lay the page out in its tab, and wire it."""
    SettingsPage(desk, access).wire(page)


class SettingsPage:
    """The tab's parts and what happens when they are touched. Every handler asks anew who is there."""

    def __init__(self, desk: Desk, access: Access, downloads: Downloads | None = None) -> None:
        self.desk = desk
        self.access = access
        self.downloads = downloads or Downloads()
        gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{LEDE}</p></header>')
        self.refused = gr.HTML(f"<p>{escape(NOT_YOURS)}</p>", elem_id="settings-not-yours", visible=False)
        with gr.Row(elem_classes=["dbx-access"], visible=False) as self.room:
            with gr.Column(scale=6, min_width=320):
                self._lay_out_memory()
            with gr.Column(scale=6, min_width=320, elem_classes=["dbx-form"]):
                self._lay_out_downloads()

    def _lay_out_memory(self) -> None:
        self.about = gr.HTML("", elem_id="settings-about")
        gr.HTML("<h2>In memory</h2>")
        self.resident = gr.HTML("", elem_id="settings-resident")
        self.which = gr.Dropdown([], label="Unload a model", info="Its memory is free at once; the next job reads it.",
                                 elem_id="settings-which")  # fmt: skip
        self.alert = gr.HTML("", elem_classes=["dbx-alerts"])
        self.unload = gr.Button("Unload", elem_id="settings-unload")
        gr.HTML("<h2>On disk</h2>")
        self.disk = gr.HTML("", elem_id="settings-disk")

    def _lay_out_downloads(self) -> None:
        gr.HTML("<h2>Profiles</h2>")
        choices = [(row.title, row.id) for row in offered(commercial=self.access.settings.commercial)]
        self.profile = gr.Radio(choices, label="Profile", value=choices[0][1], elem_id="settings-profile")
        self.offer = gr.HTML("", elem_id="settings-offer")
        self.notice = gr.HTML("", elem_classes=["dbx-alerts"])
        with gr.Row():
            self.download = gr.Button("Download", variant="primary", elem_id="settings-download")
            self.stop = gr.Button("Stop", variant="stop", elem_id="settings-stop")
        self.progress = gr.HTML("", elem_id="settings-progress")
        settings = self.access.settings
        told = FLAG_FIRST.format(settings.profile) if settings.profile else AT_START
        starts, now = [("The best that fits", ""), (EMBEDDED.title, EMBEDDED.id), *choices], kept(settings.data)
        self.start = gr.Dropdown(
            starts, value=now if now in [value for _, value in starts] else "", label="Start with", info=told,
            elem_id="settings-start",
        )  # fmt: skip
        self.started = gr.HTML("", elem_classes=["dbx-alerts"])

    def wire(self, opened: gr.Tab) -> None:
        """Attach the listeners, all private to the page."""
        memory: list[Any] = [self.about, self.resident, self.which, self.alert, self.disk]
        bringing: list[Any] = [self.offer, self.notice, self.progress]
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
        opened.select(self.look, [self.profile], [self.refused, self.room, *memory, *bringing], **quiet)
        self.unload.click(self.free, [self.which], memory, **quiet)
        self.profile.input(self.choose, [self.profile], bringing, **quiet)
        self.download.click(self.bring, [self.profile], bringing, **quiet)
        self.stop.click(self.halt, [], bringing, **quiet)
        self.start.input(self.start_with, [self.start], [self.started], **quiet)

    # ------------------------------------------------------------ what is touched

    async def look(self, request: gr.Request, profile_id: str) -> AsyncIterator[Updates]:
        """Fill the tab, and follow a download that runs."""
        allowed = self.access.administers(request)
        shown: Updates = {self.room: gr.update(visible=allowed), self.refused: gr.update(visible=not allowed)}
        if not allowed:
            yield shown
            return
        offered = {self.offer: offer(_profile(profile_id)), self.notice: ""}
        yield {**shown, **await run_in_threadpool(self._memory), **offered, self.progress: told(self.downloads.now)}
        async for updates in self._follow():
            yield updates

    def free(self, request: gr.Request, spec_id: str | None) -> Updates:
        """Unload one model, unless a job uses it."""
        self._check(request)
        cache = self._cache()
        done = cache is not None and spec_id is not None and cache.unload(spec_id)
        return {**self._memory(), self.alert: "" if done else tool_tab_text.alert(BUSY, "settings-which")}

    def choose(self, request: gr.Request, profile_id: str) -> Updates:
        """What this profile would bring, and under which licence, before anything is asked of the hub."""
        self._check(request)
        return {self.offer: offer(_profile(profile_id)), self.notice: ""}

    async def bring(self, request: gr.Request, profile_id: str) -> AsyncIterator[Updates]:
        """Download what the profile lacks, one model after the other, and show how far it is."""
        self._check(request)
        for row in models_of(_profile(profile_id)):
            if not self.downloads.start(row):
                yield {self.notice: tool_tab_text.alert(ONE_AT_A_TIME, "settings-download")}
                return
            async for updates in self._follow():
                yield updates
            if self.downloads.now is None or self.downloads.now.state != "done":
                break
        yield {self.offer: offer(_profile(profile_id)), self.progress: told(self.downloads.now)}

    def halt(self, request: gr.Request) -> Updates:
        """Stop the download that runs."""
        self._check(request)
        self.downloads.stop()
        return {self.notice: ""}

    def start_with(self, request: gr.Request, profile_id: str) -> Updates:
        """Start with this profile from the next start on; which one serves now is settled in every open form."""
        self._check(request)
        allowed = {"", EMBEDDED.id, *(row.id for row in offered(commercial=self.access.settings.commercial))}
        try:
            if profile_id not in allowed:
                raise BadInput(f"There is no profile {profile_id!r}.")
            keep(self.access.settings.data, profile_id)
        except BadInput as error:  # one whose package is missing says which
            return {self.started: tool_tab_text.alert(error.message, "settings-start")}
        except OSError:
            return {self.started: tool_tab_text.alert(NOT_KEPT, "settings-start")}
        title = _profile(profile_id).title if profile_id else "the best that fits"
        return {self.started: tool_tab_text.line(CHOSEN.format(title))}

    # ------------------------------------------------------------ private

    async def _follow(self) -> AsyncIterator[Updates]:
        while (now := self.downloads.now) is not None and now.state == "running":
            yield {self.notice: "", self.progress: told(now)}
            await asyncio.sleep(BEAT)

    def _check(self, request: gr.Request) -> None:
        if not self.access.administers(request):
            raise BadInput(NOT_YOURS)

    def _cache(self) -> Cache | Caches | None:
        engine = self.desk.jobs.engine
        return engine.cache if isinstance(engine, Keeps) else None

    def _memory(self) -> Updates:
        cache = self._cache()
        rows = cache.resident() if cache is not None else []
        free = [row["id"] for row in rows if not row["in_use"]]
        return {
            self.about: about(self.desk.profile, cache),
            self.resident: listed(rows),
            self.which: gr.update(choices=free, value=None),
            self.alert: "",
            self.disk: stored(hub.cached()) + worn(self.desk.loras),
        }


# ---------------------------------------------------------------- words


def offered(*, commercial: bool) -> tuple[Profile, ...]:
    """The profiles that would bring something; `commercial`: nothing whose licence forbids it."""
    rows = tuple(profile for profile in PROFILES if models_of(profile))
    return tuple(row for row in rows if not commercial or all(model.commercial_ok for model in models_of(row)))


def models_of(profile: Profile) -> tuple[ModelSpec, ...]:
    """The models of a profile that come from the hub; with control, the nets that make its maps too."""
    rows = [spec(spec_id) for spec_id in dict.fromkeys(profile.specs.values())]
    rows += control_annotators.MAPS.specs if "control" in profile.specs else ()
    return tuple(row for row in rows if row.repo)


def about(profile: Profile, cache: Cache | Caches | None) -> str:
    """Profile, reason, device and the share of memory for models."""
    lines = [f"Profile <b>{escape(profile.title)}</b>", escape(profile.reason)]
    if cache is not None:
        room = "as much memory as there is" if cache.budget is None else f"up to {size(cache.budget)}"
        lines.append(f"Device <code>{escape(cache.device)}</code>, models may take {room}.")
    return f'<div class="dbx-facts">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


def listed(rows: Sequence[Resident]) -> str:
    """The loaded models, the one used last first."""
    if not rows:
        return "<p>No model is loaded. The first job that needs one reads it.</p>"
    places = {"device": "Ready", "host": "Put aside in main memory"}
    cells = [
        (escape(row["id"]), size(row["bytes"]), f"At work ({row['in_use']})" if row["in_use"] else places[row["where"]])
        for row in reversed(rows)
    ]
    total = size(sum(row["bytes"] for row in rows))
    return _table(("Model", "Size", "State"), cells) + f"<p>{total} together.</p>"


def stored(rows: Sequence[tuple[str, int]]) -> str:
    """What the hub's cache holds."""
    if not rows:
        return "<p>Nothing was downloaded yet. What ships with the studio needs no download.</p>"
    cells = [(escape(repo), size(taken)) for repo, taken in rows]
    return _table(("Downloaded", "Size"), cells) + f"<p>{size(sum(taken for _, taken in rows))} together.</p>"


def worn(shelf: Shelf) -> str:
    """The LoRAs that a form may name, and where to lay others."""
    names = "".join(f"<li><code>{escape(name)}</code></li>" for name in shelf.names())
    where = f"<p>LoRAs (.safetensors) lie in <code>{escape(str(shelf.folder))}</code>.</p>"
    return f'<div class="dbx-facts">{where}{f"<ul>{names}</ul>" if names else ""}</div>'


def offer(profile: Profile) -> str:
    """What a profile brings: size, licence, whether it may be sold with, what it takes, and how to start with it."""
    cells = []
    for row in models_of(profile):
        licence = escape(row.licence) + ("" if row.commercial_ok else "<br>Not for commercial use")
        here = "On this machine" if is_cached(row) else f"About {size(row.bytes)} to download"
        needs = f"<br>Needs {size(row.min_vram)} of GPU memory" if row.min_vram else ""
        cells.append((escape(row.repo), licence, f"{here}{needs}"))
    start = f"<p>Then start with <code>python app.py --profile {escape(profile.id)}</code></p>"
    return _table(("From", "Licence", "Size"), cells) + f'<div class="dbx-facts">{start}</div>'


def told(progress: Progress | None) -> str:
    """How far a download is, file by file."""
    if progress is None:
        return ""
    if progress.state == "failed":
        return tool_tab_text.alert(progress.sentence, "settings-download")
    if progress.state == "stopped":
        return tool_tab_text.line(progress.sentence)
    if progress.state == "done":
        return tool_tab_text.line(f"{progress.spec_id} is here: {size(progress.bytes)} in {len(progress.items)} files.")
    if not progress.items:
        return tool_tab_text.line(f"Asking the hub about {progress.spec_id}", busy=True)
    share = progress.done / max(progress.bytes, 1)
    text = f"Downloading {progress.spec_id} · {size(progress.done)} of {size(progress.bytes)}"
    cells = [
        (escape(item.name), size(item.bytes), f"{item.done / max(item.bytes, 1):.0%}")
        for item in progress.items
        if item.done < item.bytes or item.bytes > 1e6
    ]
    return tool_tab_text.line(text, busy=True, share=share) + _table(("File", "Size", "Done"), cells)


def size(amount: int) -> str:
    """Bytes in words."""
    for unit, whole in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if amount >= whole:
            return f"{amount / whole:.1f} {unit}"
    return f"{amount} bytes"


def _profile(profile_id: str) -> Profile:
    found = next((profile for profile in PROFILES if profile.id == profile_id), None)
    if found is None:
        raise BadInput(f"There is no profile {profile_id!r}.")
    return found


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="dbx-keys"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
