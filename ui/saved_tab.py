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
from pipelines.service.orders import StudioService
from pipelines.service.saved_items import CHARACTER_TOOL_ID, BrandKit, SavedItem
from ui.api.auth.access import Access
from ui.api.routes.saved_items import FORMAT, brought_back, passport
from ui.components.pictures import encode_data_url, read_upload, small
from ui.tool_tab import text
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.form_controls import Control, build_control, list_form_fields, to_param_value
from ui.tool_tab.layout import TabHandoff
from ui.tool_tab.updates import Updates

TITLE = "Brand and characters"
LEDE = (
    "What stays the same from picture to picture. Name a brand kit in any tool, under More; send a kept character to a "
    "tool, or name it there and over the API."
)
NO_CHARACTERS_TEXT = "Make one in Character Creator, then keep it here under a name."
NO_KITS_TEXT = "No kit yet."
SAVED_TEXT = "'{name}' is kept."
RECENT_JOB_COUNT = 8
PREFIX = "kept"


class SavedTab:
    """The tab's parts and what happens when they are touched. Every handler asks anew who is there."""

    def __init__(self, service: StudioService, access: Access) -> None:
        self.service = service
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
        self.fields: dict[str, Control] = {row.name: build_control(row, PREFIX) for row in list_form_fields(BrandKit)}
        self.save_kit_button = gr.Button("Save the kit", variant="primary", elem_id=f"{PREFIX}-brand-save")
        self.kit_alerts = gr.HTML("", elem_classes=["dbx-alerts"], elem_id=f"{PREFIX}-brand-said")
        self.kits = gr.Dropdown([], label="Saved kits", info="Choose one to change or delete it.", value=None,
                                elem_id=f"{PREFIX}-brands")  # fmt: skip
        self.delete_kit_button = gr.Button("Delete this kit", size="sm", elem_id=f"{PREFIX}-brand-drop")

    def _lay_out_characters(self) -> None:
        gr.HTML("<h2>Characters</h2>")
        self.character_tiles = gr.HTML("", elem_id=f"{PREFIX}-characters")
        with gr.Row():
            self.recent = gr.Dropdown([], label="Made lately", info="The newest first.", value=None,
                                      elem_id=f"{PREFIX}-recent")  # fmt: skip
            self.character_name = gr.Textbox(label="Name", max_length=60, elem_id=f"{PREFIX}-character-name")
        self.save_character_button = gr.Button(
            "Keep this character", variant="primary", elem_id=f"{PREFIX}-character-keep"
        )
        self.character_alerts = gr.HTML("", elem_classes=["dbx-alerts"], elem_id=f"{PREFIX}-character-said")
        with gr.Row():
            self.character_choice = gr.Dropdown([], label="Kept characters", value=None, elem_id=f"{PREFIX}-whom")
            tools = [(tool.title, tool.id) for tool in self.service.tools if _takes(tool.params)]
            self.send_to = gr.Dropdown(tools, label="Send to", value=None, elem_id=f"{PREFIX}-to")
        with gr.Row():
            self.passport = gr.DownloadButton("Passport", interactive=False, elem_id=f"{PREFIX}-passport")
            self.passport_upload = gr.UploadButton(
                "Bring a passport back", file_types=[".json"], elem_id=f"{PREFIX}-bring"
            )
            self.delete_character_button = gr.Button("Delete this character", elem_id=f"{PREFIX}-forget")

    # ------------------------------------------------------------ listeners

    def wire(self, opened: gr.Tab, tabs: gr.Tabs, events: Sequence[ToolTabEvents]) -> None:
        """Attach the listeners, all private to the page."""
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
        form = [made.value for made in self.fields.values()]
        kit = [self.name, *form, *self._list_picture_displays(), self.kit_alerts, self.kits]
        people = [
            self.character_tiles,
            self.recent,
            self.character_name,
            self.character_alerts,
            self.character_choice,
            self.passport,
        ]
        opened.select(self.refresh, [], [*kit, *people], **quiet)
        for made in self.fields.values():
            if made.field.holds_pictures:
                shown: Any = made.display
                shown.upload(
                    self._make_upload_handler(made),
                    [made.display],
                    [made.value, made.display, self.kit_alerts],
                    **quiet,
                )
                shown.clear(lambda: None, [], [made.value], **quiet)
        self.save_kit_button.click(self.save_kit, [self.name, *form], kit, **quiet)
        self.kits.input(self.open_kit, [self.kits], kit, **quiet)
        self.delete_kit_button.click(self.delete_kit, [self.kits], kit, **quiet)
        self.save_character_button.click(self.save_character, [self.recent, self.character_name], people, **quiet)
        self.character_choice.input(self.choose_character, [self.character_choice], people, **quiet)
        self.delete_character_button.click(self.delete_character, [self.character_choice], people, **quiet)
        self.passport_upload.upload(self.restore_character, [self.passport_upload], people, **quiet)
        incoming = {each.tab.tool.id: each.tab.handoff for each in events}
        self.send_to.input(
            self._make_send_handler(tabs, incoming),
            [self.character_choice, self.send_to],
            [tabs, self.send_to, *incoming.values()],
            **quiet,
        )

    def _list_picture_displays(self) -> list[Any]:
        return [made.display for made in self.fields.values() if made.field.holds_pictures]

    # ------------------------------------------------------------ brand kits

    async def refresh(self, request: gr.Request) -> Updates:
        """Fill the tab with what the visitor keeps."""
        owner = self.access.visitor(request)
        return await run_in_threadpool(lambda: {**self._show_kits(owner), **self._show_characters(owner)})

    def _make_upload_handler(self, made: Control) -> Callable[..., Any]:
        async def take(request: gr.Request, path: str | None) -> Updates:
            if path is None:
                return {self.kit_alerts: ""}
            try:
                owner = self.access.visitor(request)
                file_id, _ = await run_in_threadpool(
                    lambda: self.service.uploads.ingest_picture(read_upload(path), owner)
                )
            except StudioError as error:
                return {made.value: None, made.display: None, self.kit_alerts: text.render_alert(error.message, PREFIX)}
            return {
                made.value: file_id,
                made.display: small(self.service.files.open_image(file_id)),
                self.kit_alerts: "",
            }

        return take

    def save_kit(self, request: gr.Request, name: str, *values: Any) -> Updates:
        """Keep the form as a kit."""
        owner = self.access.visitor(request)
        pairs = zip(self.fields.items(), values, strict=True)
        form = {field: to_param_value(made.field, value) for (field, made), value in pairs}
        try:
            row = self.service.saved_items.save_brand_kit(name, form, owner)
        except StudioError as error:
            return {self.kit_alerts: text.render_alert(error.message, f"{PREFIX}-{error.param or 'brand-name'}")}
        return {
            **self._show_kits(owner, row.id),
            self.kit_alerts: text.render_notice([SAVED_TEXT.format(name=row.name)], ""),
        }

    def open_kit(self, request: gr.Request, key: str | None) -> Updates:
        """A kit in the form."""
        owner = self.access.visitor(request)
        if not key:
            return {self.kit_alerts: ""}
        row = self.service.saved_items.find_item(owner, "brand", key)
        filled: Updates = {self.name: row.name, self.kit_alerts: ""}
        for field, made in self.fields.items():
            value = row.value.get(field)
            if made.field.holds_pictures:
                filled[made.display] = small(self.service.files.open_image(value)) if value else None
                filled[made.value] = value
            else:
                filled[made.value] = "" if value is None else value
        return filled

    def delete_kit(self, request: gr.Request, key: str | None) -> Updates:
        """Forget a kit."""
        owner = self.access.visitor(request)
        if key:
            self.service.saved_items.delete_item(owner, "brand", key)
        return {**self._show_kits(owner), self.kit_alerts: ""}

    def _show_kits(self, owner: str, chosen: str | None = None) -> Updates:
        rows = [(row.name, row.id) for row in self.service.saved_items.list_items(owner, "brand")]
        info = "Choose one to change or delete it." if rows else NO_KITS_TEXT
        return {self.kits: gr.update(choices=rows, value=chosen, info=info)}

    # ------------------------------------------------------------ characters

    def save_character(self, request: gr.Request, job_id: str | None, name: str) -> Updates:
        """Keep the character of a job."""
        owner = self.access.visitor(request)
        try:
            row = self.service.saved_items.save_character(job_id or "", name, owner)
        except StudioError as error:
            field = "recent" if error.param != "name" else "character-name"
            return {self.character_alerts: text.render_alert(error.message, f"{PREFIX}-{field}")}
        return {
            **self._show_characters(owner, row.id),
            self.character_alerts: text.render_notice([SAVED_TEXT.format(name=row.name)], ""),
        }

    def choose_character(self, request: gr.Request, key: str | None) -> Updates:
        """The chosen character's passport is ready to take home."""
        owner = self.access.visitor(request)
        return {**self._show_characters(owner, key), self.character_alerts: ""}

    def delete_character(self, request: gr.Request, key: str | None) -> Updates:
        """Forget a character."""
        owner = self.access.visitor(request)
        if key:
            self.service.saved_items.delete_item(owner, "character", key)
        return {**self._show_characters(owner), self.character_alerts: ""}

    async def restore_character(self, request: gr.Request, path: str) -> Updates:
        """Keep the character of a passport that was taken home before."""
        owner = self.access.visitor(request)
        try:
            row = await run_in_threadpool(self._read_passport, path, owner)
        except StudioError as error:
            return {self.character_alerts: text.render_alert(error.message, f"{PREFIX}-bring")}
        return {
            **self._show_characters(owner, row.id),
            self.character_alerts: text.render_notice([SAVED_TEXT.format(name=row.name)], ""),
        }

    def _read_passport(self, path: str, owner: str) -> SavedItem:
        try:
            sent = from_json(read_upload(path))
        except ValueError as error:
            raise BadInput("This is no passport of a character.") from error
        if not isinstance(sent, dict) or sent.get("format") != FORMAT:
            raise BadInput("This is no passport of a character.")
        return brought_back(sent, owner, self.service)

    def _show_characters(self, owner: str, chosen: str | None = None) -> Updates:
        rows = self.service.saved_items.list_items(owner, "character")
        jobs = self.service.jobs.list_jobs(owner, RECENT_JOB_COUNT, tool=CHARACTER_TOOL_ID)
        made = [(_label_job(row.job.params, row.job.created), row.job.id) for row in jobs if row.result is not None]
        known = [(row.name, row.id) for row in rows]
        home = next((row for row in rows if row.id == chosen), None)
        return {
            self.character_tiles: self._render_characters(rows),
            self.recent: gr.update(choices=made, value=made[0][1] if made else None),
            self.character_name: "",
            self.character_choice: gr.update(choices=known, value=chosen),
            self.passport: gr.update(
                value=self._write_passport(home, owner) if home else None, interactive=home is not None
            ),
        }

    def _render_characters(self, rows: Sequence[SavedItem]) -> str:
        if not rows:
            return f'<p class="dbx-hint">{NO_CHARACTERS_TEXT}</p>'
        tiles = [
            f'<figure><img src="{encode_data_url(small(self.service.files.open_image(row.value["picture"]), 192))}" '
            f'alt="{escape(row.name)}"><figcaption>{escape(row.name)}</figcaption></figure>'
            for row in rows
        ]
        return f'<div class="dbx-kept">{"".join(tiles)}</div>'

    def _write_passport(self, row: SavedItem, owner: str) -> str:
        """The passport where Gradio may serve it; its folder is the character's id, which nobody can guess."""
        target = Path(self.passport.GRADIO_CACHE) / row.id / "passport.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(passport(row, owner, self.service))
        return str(target)

    def _make_send_handler(self, tabs: gr.Tabs, incoming: Mapping[str, gr.State]) -> Callable[..., dict[Any, Any]]:
        def send(request: gr.Request, key: str | None, to: str | None) -> dict[Any, Any]:
            if not key or to is None or to not in incoming:
                return {self.send_to: None}
            row = self.service.saved_items.find_item(self.access.visitor(request), "character", key)
            back = to == CHARACTER_TOOL_ID  # there it comes back with all its traits, elsewhere as a picture
            settings, picture = (row.value["params"], None) if back else ({}, row.value["picture"])
            handed = TabHandoff(picture, time.time(), settings)
            return {tabs: gr.Tabs(selected=to), self.send_to: None, incoming[to]: handed}

        return send


def _takes(params: Any) -> bool:
    return bool(params.fields_of_kind("picture", "pictures"))


def _label_job(params: Mapping[str, Any], created: float) -> str:
    role = str(params.get("preset", "")).capitalize()
    return f"{params.get('name') or role}, {time.strftime('%H:%M', time.localtime(created))}"
