"""Brand kits and characters that a visitor keeps: made, looked through, handed to a tool; makes no picture itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import BadInput, StudioError
from pipelines.service.orders import CHARACTER, Desk
from pipelines.service.saved_items import BrandKit, Keepsake
from ui.api.auth.access import Access
from ui.api.routes.saved_items import FORMAT, brought_back, passport
from ui.components.pictures import data_url, read_upload, small
from ui.tool_tab import text
from ui.tool_tab.events import Events
from ui.tool_tab.form_controls import Control, control, fields_of, plain
from ui.tool_tab.layout import Handed
from ui.tool_tab.updates import Updates

TITLE = "Brand and characters"
LEDE = (
    "What stays the same from picture to picture. Name a brand kit in any tool, under More; send a kept character to a "
    "tool, or name it there and over the API."
)
NO_CHARACTERS = "Make one in Character Creator, then keep it here under a name."
NO_KITS = "No kit yet."
KEPT = "'{name}' is kept."
RECENT = 8
PREFIX = "kept"


class KeptPage:
    """The tab's parts and what happens when they are touched. Every handler asks anew who is there."""

    def __init__(self, desk: Desk, access: Access) -> None:
        self.desk = desk
        self.access = access
        gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{LEDE}</p></header>')
        with gr.Row(elem_classes=["dbx-tool"]):
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
                self._lay_out_kits()
            with gr.Column(scale=7, min_width=320, elem_classes=["dbx-form"]):
                self._lay_out_characters()

    def _lay_out_kits(self) -> None:
        gr.HTML("<h2>Brand kit</h2>")
        self.name = gr.Textbox(label="Name", max_length=60, elem_id=f"{PREFIX}-brand-name")
        self.fields: dict[str, Control] = {row.name: control(row, PREFIX) for row in fields_of(BrandKit)}
        self.save = gr.Button("Save the kit", variant="primary", elem_id=f"{PREFIX}-brand-save")
        self.said = gr.HTML("", elem_classes=["dbx-alerts"], elem_id=f"{PREFIX}-brand-said")
        self.kits = gr.Dropdown([], label="Saved kits", info="Choose one to change or delete it.", value=None,
                                elem_id=f"{PREFIX}-brands")  # fmt: skip
        self.drop = gr.Button("Delete this kit", size="sm", elem_id=f"{PREFIX}-brand-drop")

    def _lay_out_characters(self) -> None:
        gr.HTML("<h2>Characters</h2>")
        self.shown = gr.HTML("", elem_id=f"{PREFIX}-characters")
        with gr.Row():
            self.recent = gr.Dropdown([], label="Made lately", info="The newest first.", value=None,
                                      elem_id=f"{PREFIX}-recent")  # fmt: skip
            self.called = gr.Textbox(label="Name", max_length=60, elem_id=f"{PREFIX}-character-name")
        self.keep = gr.Button("Keep this character", variant="primary", elem_id=f"{PREFIX}-character-keep")
        self.told = gr.HTML("", elem_classes=["dbx-alerts"], elem_id=f"{PREFIX}-character-said")
        with gr.Row():
            self.whom = gr.Dropdown([], label="Kept characters", value=None, elem_id=f"{PREFIX}-whom")
            tools = [(tool.title, tool.id) for tool in self.desk.tools if _takes(tool.params)]
            self.to = gr.Dropdown(tools, label="Send to", value=None, elem_id=f"{PREFIX}-to")
        with gr.Row():
            self.passport = gr.DownloadButton("Passport", interactive=False, elem_id=f"{PREFIX}-passport")
            self.bring = gr.UploadButton("Bring a passport back", file_types=[".json"], elem_id=f"{PREFIX}-bring")
            self.forget = gr.Button("Delete this character", elem_id=f"{PREFIX}-forget")

    # ------------------------------------------------------------ listeners

    def wire(self, opened: gr.Tab, tabs: gr.Tabs, events: Sequence[Events]) -> None:
        """Attach the listeners, all private to the page."""
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
        form = [made.value for made in self.fields.values()]
        kit = [self.name, *form, *self._pictures(), self.said, self.kits]
        people = [self.shown, self.recent, self.called, self.told, self.whom, self.passport]
        opened.select(self.look, [], [*kit, *people], **quiet)
        for made in self.fields.values():
            if made.field.pictured:
                shown: Any = made.shown
                shown.upload(self._taker(made), [made.shown], [made.value, made.shown, self.said], **quiet)
                shown.clear(lambda: None, [], [made.value], **quiet)
        self.save.click(self.saved, [self.name, *form], kit, **quiet)
        self.kits.input(self.opened, [self.kits], kit, **quiet)
        self.drop.click(self.dropped, [self.kits], kit, **quiet)
        self.keep.click(self.kept, [self.recent, self.called], people, **quiet)
        self.whom.input(self.chosen, [self.whom], people, **quiet)
        self.forget.click(self.forgotten, [self.whom], people, **quiet)
        self.bring.upload(self.brought, [self.bring], people, **quiet)
        incoming = {each.tab.tool.id: each.tab.incoming for each in events}
        self.to.input(self._sender(tabs, incoming), [self.whom, self.to], [tabs, self.to, *incoming.values()], **quiet)

    def _pictures(self) -> list[Any]:
        return [made.shown for made in self.fields.values() if made.field.pictured]

    # ------------------------------------------------------------ brand kits

    async def look(self, request: gr.Request) -> Updates:
        """Fill the tab with what the visitor keeps."""
        owner = self.access.visitor(request)
        return await run_in_threadpool(lambda: {**self._kits(owner), **self._people(owner)})

    def _taker(self, made: Control) -> Callable[..., Any]:
        async def take(request: gr.Request, path: str | None) -> Updates:
            if path is None:
                return {self.said: ""}
            try:
                owner = self.access.visitor(request)
                file_id, _ = await run_in_threadpool(lambda: self.desk.take(read_upload(path), owner))
            except StudioError as error:
                return {made.value: None, made.shown: None, self.said: text.alert(error.message, PREFIX)}
            return {made.value: file_id, made.shown: small(self.desk.files.open(file_id)), self.said: ""}

        return take

    def saved(self, request: gr.Request, name: str, *values: Any) -> Updates:
        """Keep the form as a kit."""
        owner = self.access.visitor(request)
        pairs = zip(self.fields.items(), values, strict=True)
        form = {field: plain(made.field, value) for (field, made), value in pairs}
        try:
            row = self.desk.keep_brand(name, form, owner)
        except StudioError as error:
            return {self.said: text.alert(error.message, f"{PREFIX}-{error.param or 'brand-name'}")}
        return {**self._kits(owner, row.id), self.said: text.notice([KEPT.format(name=row.name)], "")}

    def opened(self, request: gr.Request, key: str | None) -> Updates:
        """A kit in the form."""
        owner = self.access.visitor(request)
        if not key:
            return {self.said: ""}
        row = self.desk.kept.get(owner, "brand", key)
        filled: Updates = {self.name: row.name, self.said: ""}
        for field, made in self.fields.items():
            value = row.value.get(field)
            if made.field.pictured:
                filled[made.shown] = small(self.desk.files.open(value)) if value else None
                filled[made.value] = value
            else:
                filled[made.value] = "" if value is None else value
        return filled

    def dropped(self, request: gr.Request, key: str | None) -> Updates:
        """Forget a kit."""
        owner = self.access.visitor(request)
        if key:
            self.desk.kept.drop(owner, "brand", key)
        return {**self._kits(owner), self.said: ""}

    def _kits(self, owner: str, chosen: str | None = None) -> Updates:
        rows = [(row.name, row.id) for row in self.desk.kept.list(owner, "brand")]
        info = "Choose one to change or delete it." if rows else NO_KITS
        return {self.kits: gr.update(choices=rows, value=chosen, info=info)}

    # ------------------------------------------------------------ characters

    def kept(self, request: gr.Request, job_id: str | None, name: str) -> Updates:
        """Keep the character of a job."""
        owner = self.access.visitor(request)
        try:
            row = self.desk.keep_character(job_id or "", name, owner)
        except StudioError as error:
            field = "recent" if error.param != "name" else "character-name"
            return {self.told: text.alert(error.message, f"{PREFIX}-{field}")}
        return {**self._people(owner, row.id), self.told: text.notice([KEPT.format(name=row.name)], "")}

    def chosen(self, request: gr.Request, key: str | None) -> Updates:
        """The chosen character's passport is ready to take home."""
        owner = self.access.visitor(request)
        return {**self._people(owner, key), self.told: ""}

    def forgotten(self, request: gr.Request, key: str | None) -> Updates:
        """Forget a character."""
        owner = self.access.visitor(request)
        if key:
            self.desk.kept.drop(owner, "character", key)
        return {**self._people(owner), self.told: ""}

    async def brought(self, request: gr.Request, path: str) -> Updates:
        """Keep the character of a passport that was taken home before."""
        owner = self.access.visitor(request)
        try:
            row = await run_in_threadpool(self._read, path, owner)
        except StudioError as error:
            return {self.told: text.alert(error.message, f"{PREFIX}-bring")}
        return {**self._people(owner, row.id), self.told: text.notice([KEPT.format(name=row.name)], "")}

    def _read(self, path: str, owner: str) -> Keepsake:
        try:
            sent = from_json(read_upload(path))
        except ValueError as error:
            raise BadInput("This is no passport of a character.") from error
        if not isinstance(sent, dict) or sent.get("format") != FORMAT:
            raise BadInput("This is no passport of a character.")
        return brought_back(sent, owner, self.desk)

    def _people(self, owner: str, chosen: str | None = None) -> Updates:
        rows = self.desk.kept.list(owner, "character")
        jobs = self.desk.jobs.list(owner, RECENT, tool=CHARACTER)
        made = [(_called(row.job.params, row.job.created), row.job.id) for row in jobs if row.result is not None]
        known = [(row.name, row.id) for row in rows]
        home = next((row for row in rows if row.id == chosen), None)
        return {
            self.shown: self._gallery(rows),
            self.recent: gr.update(choices=made, value=made[0][1] if made else None),
            self.called: "",
            self.whom: gr.update(choices=known, value=chosen),
            self.passport: gr.update(value=self._file(home, owner) if home else None, interactive=home is not None),
        }

    def _gallery(self, rows: Sequence[Keepsake]) -> str:
        if not rows:
            return f'<p class="dbx-hint">{NO_CHARACTERS}</p>'
        tiles = [
            f'<figure><img src="{data_url(small(self.desk.files.open(row.value["picture"]), 192))}" '
            f'alt="{escape(row.name)}"><figcaption>{escape(row.name)}</figcaption></figure>'
            for row in rows
        ]
        return f'<div class="dbx-kept">{"".join(tiles)}</div>'

    def _file(self, row: Keepsake, owner: str) -> str:
        """The passport where Gradio may serve it; its folder is the character's id, which nobody can guess."""
        target = Path(self.passport.GRADIO_CACHE) / row.id / "passport.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(passport(row, owner, self.desk))
        return str(target)

    def _sender(self, tabs: gr.Tabs, incoming: Mapping[str, gr.State]) -> Callable[..., dict[Any, Any]]:
        def send(request: gr.Request, key: str | None, to: str | None) -> dict[Any, Any]:
            if not key or to is None or to not in incoming:
                return {self.to: None}
            row = self.desk.kept.get(self.access.visitor(request), "character", key)
            back = to == CHARACTER  # there it comes back with all its traits, elsewhere as a picture
            settings, picture = (row.value["params"], None) if back else ({}, row.value["picture"])
            handed = Handed(picture, time.time(), settings)
            return {tabs: gr.Tabs(selected=to), self.to: None, incoming[to]: handed}

        return send


def _takes(params: Any) -> bool:
    return bool(params.fields_of_kind("picture", "pictures"))


def _called(params: Mapping[str, Any], created: float) -> str:
    role = str(params.get("preset", "")).capitalize()
    return f"{params.get('name') or role}, {time.strftime('%H:%M', time.localtime(created))}"
