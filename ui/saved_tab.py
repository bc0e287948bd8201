"""The tab "Brand and characters": saved brand kits, characters and looks of a visitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.service.saved_items import CHARACTER_TOOL_ID, BrandKit, SavedItem
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.api.routes.saved_items import PASSPORT_FORMAT, import_passport, write_passport
from ui.components.event_options import PRIVATE_EVENT
from ui.components.pictures import encode_data_url, encode_page_jpeg, read_upload
from ui.saved_looks import SavedLooks, read_uploaded_json
from ui.tool_tab import text
from ui.tool_tab.form_controls import Control, build_control, list_form_fields, to_param_value
from ui.tool_tab.layout import takes_picture
from ui.tool_tab.state import TabHandoff
from ui.tool_tab.updates import Updates

TITLE = "Brand and characters"
INTRO_TEXT = (
    "What stays the same from picture to picture: brand kits, which most tools offer in their forms, and characters, "
    "which you send to a tool from here."
)
KIT_TEXT = "Your colours, logo, backdrop and light under one name. Choose it in a tool, and its pictures look alike."
NO_CHARACTERS_TEXT = "Make one in Character Creator, then save it here under a name."
NO_KITS_TEXT = "No kit yet."
SAVED_TEXT = "'{name}' is saved."
RECENT_JOB_COUNT = 8
TILE_SIDE_PX = 192
PREFIX = "kept"
"""First part of the HTML ids."""


class SavedTab:
    """Components and listeners of the tab. Every handler reads only the items of the request's owner."""

    def __init__(self, service: StudioService, access: AccessControl) -> None:
        self.service = service
        self.access = access
        gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{INTRO_TEXT}</p></header>')
        with gr.Row(elem_classes=["dbx-tool"]):
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
                self._build_kit_column()
            with gr.Column(scale=7, min_width=320, elem_classes=["dbx-form"]):
                self._build_character_column()
                self.looks = SavedLooks(service, access)

    def _build_kit_column(self) -> None:
        gr.HTML(f'<h2>Brand kit</h2><p class="dbx-hint">{KIT_TEXT}</p>')
        self.name = gr.Textbox(label="Name", max_length=60, elem_id=f"{PREFIX}-brand-name")
        self.fields: dict[str, Control] = {row.name: build_control(row, PREFIX) for row in list_form_fields(BrandKit)}
        self.save_kit_button = gr.Button("Save the kit", variant="primary", elem_id=f"{PREFIX}-brand-save")
        self.kit_alerts = gr.HTML("", elem_classes=["dbx-alerts"], elem_id=f"{PREFIX}-brand-said")
        self.kits = gr.Dropdown(
            [], label="Saved kits", info="Choose one to change or delete it.", value=None, elem_id=f"{PREFIX}-brands"
        )
        self.delete_kit_button = gr.Button(
            "Delete this kit", size="sm", interactive=False, elem_id=f"{PREFIX}-brand-drop"
        )

    def _build_character_column(self) -> None:
        gr.HTML("<h2>Characters</h2>")
        self.character_tiles = gr.HTML("", elem_id=f"{PREFIX}-characters")
        with gr.Row():
            self.recent = gr.Dropdown(
                [], label="Recently made", info="The newest first.", value=None, elem_id=f"{PREFIX}-recent"
            )
            self.character_name = gr.Textbox(label="Name", max_length=60, elem_id=f"{PREFIX}-character-name")
        self.save_character_button = gr.Button(
            "Save this character", variant="primary", interactive=False, elem_id=f"{PREFIX}-character-keep"
        )
        self.character_alerts = gr.HTML("", elem_classes=["dbx-alerts"], elem_id=f"{PREFIX}-character-said")
        with gr.Row():
            self.character_choice = gr.Dropdown([], label="Saved characters", value=None, elem_id=f"{PREFIX}-whom")
            tools = [(tool.title, tool.id) for tool in self.service.tools if takes_picture(tool)]
            self.send_to = gr.Dropdown(tools, label="Send to", value=None, elem_id=f"{PREFIX}-to")
        with gr.Row():
            self.passport = gr.DownloadButton("Export this character", interactive=False, elem_id=f"{PREFIX}-passport")
            self.passport_upload = gr.UploadButton(
                "Import a character", file_types=[".json"], elem_id=f"{PREFIX}-bring"
            )
            self.delete_character_button = gr.Button(
                "Delete this character", interactive=False, elem_id=f"{PREFIX}-forget"
            )

    # ------------------------------------------------------------ listeners

    def wire(self, gradio_tab: gr.Tab, tabs: gr.Tabs, handoffs: Mapping[str, gr.State]) -> None:
        """Attach the listeners. `handoffs` are the tools' hand-off states, by tool id."""
        form = [control.value for control in self.fields.values()]
        kit_outputs = [
            self.name,
            *form,
            *(control.display for control in self.fields.values() if control.field.holds_pictures),
            self.kit_alerts,
            self.kits,
            self.delete_kit_button,
        ]
        character_outputs = [
            self.character_tiles,
            self.recent,
            self.save_character_button,
            self.character_name,
            self.character_alerts,
            self.character_choice,
            self.passport,
            self.delete_character_button,
        ]
        everything = [*kit_outputs, *character_outputs, *self.looks.list_outputs()]
        gradio_tab.select(self.refresh, [], everything, **PRIVATE_EVENT)
        for control in self.fields.values():
            if control.field.holds_pictures:
                display: Any = control.display
                display.upload(
                    self._make_upload_handler(control),
                    [control.display],
                    [control.value, control.display, self.kit_alerts],
                    **PRIVATE_EVENT,
                )
                display.clear(lambda: None, [], [control.value], **PRIVATE_EVENT)
        self.save_kit_button.click(self.save_kit, [self.name, *form], kit_outputs, **PRIVATE_EVENT)
        self.kits.input(self.open_kit, [self.kits], kit_outputs, **PRIVATE_EVENT)
        self.delete_kit_button.click(self.delete_kit, [self.kits], kit_outputs, **PRIVATE_EVENT)
        self.save_character_button.click(
            self.save_character, [self.recent, self.character_name], character_outputs, **PRIVATE_EVENT
        )
        self.character_choice.input(self.choose_character, [self.character_choice], character_outputs, **PRIVATE_EVENT)
        self.delete_character_button.click(
            self.delete_character, [self.character_choice], character_outputs, **PRIVATE_EVENT
        )
        self.passport_upload.upload(self.restore_character, [self.passport_upload], character_outputs, **PRIVATE_EVENT)
        self.looks.wire(tabs, handoffs)

        def send(request: gr.Request, key: str | None, tool_id: str | None) -> dict[Any, Any]:
            if not key or tool_id is None or tool_id not in handoffs:
                return {self.send_to: None}
            row = self.service.saved_items.find_item(self.access.identify_visitor(request), "character", key)
            to_creator = tool_id == CHARACTER_TOOL_ID  # it gets all traits, other tools get the picture
            settings, picture = (row.value["params"], None) if to_creator else ({}, row.value["picture"])
            handoff = TabHandoff(picture, time.time(), settings)
            return {tabs: gr.Tabs(selected=tool_id), self.send_to: None, handoffs[tool_id]: handoff}

        inputs = [self.character_choice, self.send_to]
        self.send_to.input(send, inputs, [tabs, self.send_to, *handoffs.values()], **PRIVATE_EVENT)

    # ------------------------------------------------------------ brand kits

    async def refresh(self, request: gr.Request) -> Updates:
        """Fill the tab with the visitor's saved items."""
        owner = self.access.identify_visitor(request)
        return await run_in_threadpool(
            lambda: {**self._show_kits(owner), **self._show_characters(owner), **self.looks.show_looks(owner)}
        )

    def _make_upload_handler(self, control: Control) -> Callable[..., Any]:
        async def receive_upload(request: gr.Request, path: str | None) -> Updates:
            if path is None:
                return {self.kit_alerts: ""}
            try:
                owner = self.access.identify_visitor(request)
                file_id, _ = await run_in_threadpool(
                    lambda: self.service.uploads.ingest_picture(read_upload(path), owner)
                )
            except StudioError as error:
                alert = text.render_alert(error.message, PREFIX)
                return {**self._show_picture(control, None), self.kit_alerts: alert}
            return {**self._show_picture(control, file_id), self.kit_alerts: ""}

        return receive_upload

    def _show_picture(self, control: Control, file_id: str | None) -> Updates:
        jpeg = encode_page_jpeg(self.service.files.open_image(file_id)) if file_id else None
        return {control.value: file_id, control.display: jpeg}

    def save_kit(self, request: gr.Request, name: str, *values: Any) -> Updates:
        """Save the form as a brand kit."""
        owner = self.access.identify_visitor(request)
        pairs = zip(self.fields.items(), values, strict=True)
        form = {field: to_param_value(control.field, value) for (field, control), value in pairs}
        try:
            row = self.service.saved_items.save_brand_kit(name, form, owner)
        except StudioError as error:
            return {self.kit_alerts: text.render_alert(error.message, f"{PREFIX}-{error.param or 'brand-name'}")}
        return {
            **self._show_kits(owner, row.id),
            self.kit_alerts: text.render_notice([SAVED_TEXT.format(name=row.name)], ""),
        }

    def open_kit(self, request: gr.Request, item_id: str | None) -> Updates:
        """Show a brand kit in the form."""
        owner = self.access.identify_visitor(request)
        if not item_id:
            return {self.kit_alerts: ""}
        row = self.service.saved_items.find_item(owner, "brand", item_id)
        filled: Updates = {
            self.name: row.name,
            self.kit_alerts: "",
            self.delete_kit_button: gr.Button(interactive=True),
        }
        for field, control in self.fields.items():
            value = row.value.get(field)
            if control.field.holds_pictures:
                filled |= self._show_picture(control, value)
            else:
                filled[control.value] = "" if value is None else value
        return filled

    def delete_kit(self, request: gr.Request, item_id: str | None) -> Updates:
        """Delete a brand kit."""
        owner = self.access.identify_visitor(request)
        if not item_id:
            return {self.kit_alerts: ""}
        self.service.saved_items.delete_item(owner, "brand", item_id)
        return {**self._show_kits(owner), self.kit_alerts: ""}

    def _show_kits(self, owner: str, chosen: str | None = None) -> Updates:
        rows = [(row.name, row.id) for row in self.service.saved_items.list_items(owner, "brand")]
        info = "Choose one to change or delete it." if rows else NO_KITS_TEXT
        return {
            self.kits: gr.update(choices=rows, value=chosen, info=info, interactive=bool(rows)),
            self.delete_kit_button: gr.Button(interactive=chosen is not None),
        }

    # ------------------------------------------------------------ characters

    def save_character(self, request: gr.Request, job_id: str | None, name: str) -> Updates:
        """Save the character of a job."""
        owner = self.access.identify_visitor(request)
        try:
            row = self.service.saved_items.save_character(job_id or "", name, owner)
        except StudioError as error:
            field = "recent" if error.param != "name" else "character-name"
            return {self.character_alerts: text.render_alert(error.message, f"{PREFIX}-{field}")}
        return self._show_saved_character(owner, row)

    def choose_character(self, request: gr.Request, item_id: str | None) -> Updates:
        """Choose a character, and offer its passport as a download."""
        owner = self.access.identify_visitor(request)
        return {**self._show_characters(owner, item_id), self.character_alerts: ""}

    def delete_character(self, request: gr.Request, item_id: str | None) -> Updates:
        """Delete a character."""
        owner = self.access.identify_visitor(request)
        if not item_id:
            return {self.character_alerts: ""}
        self.service.saved_items.delete_item(owner, "character", item_id)
        return {**self._show_characters(owner), self.character_alerts: ""}

    async def restore_character(self, request: gr.Request, path: str) -> Updates:
        """Save the character of an uploaded passport."""
        owner = self.access.identify_visitor(request)
        try:
            row = await run_in_threadpool(self._read_passport, path, owner)
        except StudioError as error:
            return {self.character_alerts: text.render_alert(error.message, f"{PREFIX}-bring")}
        return self._show_saved_character(owner, row)

    def _show_saved_character(self, owner: str, row: SavedItem) -> Updates:
        notice = text.render_notice([SAVED_TEXT.format(name=row.name)], "")
        return {**self._show_characters(owner, row.id), self.character_alerts: notice}

    def _read_passport(self, path: str, owner: str) -> SavedItem:
        passport = read_uploaded_json(path, PASSPORT_FORMAT, "This is no file of a character.")
        return import_passport(passport, owner, self.service)

    def _show_characters(self, owner: str, chosen: str | None = None) -> Updates:
        rows = self.service.saved_items.list_items(owner, "character")
        jobs = self.service.jobs.list_jobs(owner, RECENT_JOB_COUNT, tool=CHARACTER_TOOL_ID)
        recent = [(_label_job(row.job.params, row.job.created), row.job.id) for row in jobs if row.result is not None]
        saved = [(row.name, row.id) for row in rows]
        chosen_row = next((row for row in rows if row.id == chosen), None)
        return {
            self.character_tiles: self._render_characters(rows),
            self.recent: gr.update(choices=recent, value=recent[0][1] if recent else None, interactive=bool(recent)),
            self.save_character_button: gr.Button(interactive=bool(recent)),
            self.character_name: "",
            self.character_choice: gr.update(choices=saved, value=chosen, interactive=bool(saved)),
            self.passport: gr.update(
                value=self._write_character_file(chosen_row, owner) if chosen_row else None,
                interactive=chosen_row is not None,
            ),
            self.delete_character_button: gr.Button(interactive=chosen_row is not None),
        }

    def _render_characters(self, rows: Sequence[SavedItem]) -> str:
        if not rows:
            return f'<p class="dbx-hint">{NO_CHARACTERS_TEXT}</p>'
        tiles = [
            f'<figure><img src="{self._encode_tile(row)}" alt="{escape(row.name)}">'
            f"<figcaption>{escape(row.name)}</figcaption></figure>"
            for row in rows
        ]
        return f'<div class="dbx-kept">{"".join(tiles)}</div>'

    def _encode_tile(self, row: SavedItem) -> str:
        picture = self.service.files.open_image(row.value["picture"])
        return encode_data_url(encode_page_jpeg(picture, TILE_SIDE_PX))

    def _write_character_file(self, row: SavedItem, owner: str) -> str:
        """Write the passport into Gradio's folder; return its path, which contains the character's secret id."""
        target = Path(self.passport.GRADIO_CACHE) / row.id / "passport.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(write_passport(row, owner, self.service))
        return str(target)


def _label_job(params: Mapping[str, Any], created: float) -> str:
    role = str(params.get("preset", "")).capitalize()
    return f"{params.get('name') or role}, {time.strftime('%H:%M', time.localtime(created))}"
