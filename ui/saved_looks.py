"""The looks on the tab "Brand and characters": a visitor's own settings of tools, opened, exported and imported."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import BadInput, StudioError
from pipelines.core.tools import Tool
from pipelines.service.saved_items import SavedItem
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.api.routes.looks import LOOKS_FORMAT, import_looks, make_look_link, serialize_looks
from ui.components.event_options import PRIVATE_EVENT
from ui.components.pictures import read_upload
from ui.tool_tab import text
from ui.tool_tab.state import TabHandoff
from ui.tool_tab.updates import Updates

NO_LOOKS_TEXT = "In any tool, in the menu ··· beside Download: save the form as a look of yours."
IMPORTED_TEXT = "Looks imported: {count}"
NOT_LOOKS_TEXT = "This is no file of looks."
PREFIX = "kept-look"


class SavedLooks:
    """Components and listeners of the looks. Every handler reads only the looks of the request's owner."""

    def __init__(self, service: StudioService, access: AccessControl) -> None:
        self.service = service
        self.access = access
        gr.HTML("<h2>My looks</h2>")
        self.tiles = gr.HTML("", elem_id=f"{PREFIX}s")
        self.alerts = gr.HTML("", elem_classes=["dbx-alerts"], elem_id=f"{PREFIX}-said")
        self.choice = gr.Dropdown([], label="Saved looks", value=None, elem_id=f"{PREFIX}-choice")
        with gr.Row():
            self.open_button = gr.Button("Open in its tool", interactive=False, elem_id=f"{PREFIX}-open")
            self.delete_button = gr.Button("Delete this look", interactive=False, elem_id=f"{PREFIX}-drop")
        with gr.Row():
            self.export = gr.DownloadButton("Export all looks", interactive=False, elem_id=f"{PREFIX}-export")
            self.upload = gr.UploadButton("Import looks", file_types=[".json"], elem_id=f"{PREFIX}-import")

    def list_outputs(self) -> list[Any]:
        """List the components that show the looks."""
        return [self.tiles, self.alerts, self.choice, self.export, self.open_button, self.delete_button]

    def wire(self, tabs: gr.Tabs, handoffs: Mapping[str, gr.State]) -> None:
        """Attach the listeners."""
        outputs = self.list_outputs()
        self.choice.input(self._enable_actions, [self.choice], [self.open_button, self.delete_button], **PRIVATE_EVENT)
        self.delete_button.click(self.delete_look, [self.choice], outputs, **PRIVATE_EVENT)
        self.upload.upload(self.import_looks, [self.upload], outputs, **PRIVATE_EVENT)

        def open_look(request: gr.Request, key: str | None) -> dict[Any, Any]:
            if not key:
                return {self.alerts: ""}
            row = self.service.saved_items.find_item(self.access.identify_visitor(request), "look", key)
            tool = row.value["tool"]
            if tool not in handoffs:
                return {self.alerts: text.render_alert(f"There is no tool '{tool}' here.", "")}
            handoff = TabHandoff(None, time.time(), row.value["params"])
            return {self.alerts: "", tabs: gr.Tabs(selected=tool), handoffs[tool]: handoff}

        self.open_button.click(open_look, [self.choice], [self.alerts, tabs, *handoffs.values()], **PRIVATE_EVENT)

    def _enable_actions(self, key: str | None) -> Updates:
        return dict.fromkeys((self.open_button, self.delete_button), gr.Button(interactive=bool(key)))

    def show_looks(self, owner: str) -> Updates:
        """Show the owner's looks, and offer them as one file."""
        rows = self.service.saved_items.list_items(owner, "look")
        titles = {tool.id: tool.title for tool in self.service.tools}
        choices = [(f"{row.name}: {titles.get(row.value['tool'], row.value['tool'])}", row.id) for row in rows]
        return {
            self.tiles: _render_tiles(rows, self.service.tools),
            self.choice: gr.update(choices=choices, value=None, interactive=bool(choices)),
            **self._enable_actions(None),
            self.export: gr.update(value=self._write_file(owner) if rows else None, interactive=bool(rows)),
            self.alerts: "",
        }

    def delete_look(self, request: gr.Request, key: str | None) -> Updates:
        """Delete a look."""
        owner = self.access.identify_visitor(request)
        if not key:
            return {self.alerts: ""}
        self.service.saved_items.delete_item(owner, "look", key)
        return self.show_looks(owner)

    async def import_looks(self, request: gr.Request, path: str) -> Updates:
        """Save the looks of an uploaded file."""
        owner = self.access.identify_visitor(request)
        try:
            rows = await run_in_threadpool(self._read_file, path, owner)
        except StudioError as error:
            return {self.alerts: text.render_alert(error.message, f"{PREFIX}-import")}
        notice = text.render_notice([IMPORTED_TEXT.format(count=len(rows))], "")
        return {**self.show_looks(owner), self.alerts: notice}

    def _read_file(self, path: str, owner: str) -> list[SavedItem]:
        return import_looks(read_uploaded_json(path, LOOKS_FORMAT, NOT_LOOKS_TEXT), owner, self.service)

    def _write_file(self, owner: str) -> str:
        """Write the file of looks into Gradio's folder, under a path that holds a secret; return its path."""
        folder = Path(self.export.GRADIO_CACHE) / "dbx-looks" / secrets.token_hex(16)
        folder.mkdir(parents=True)
        target = folder / "looks.json"
        target.write_text(serialize_looks(owner, self.service))
        return str(target)


def read_uploaded_json(path: str, file_format: str, refusal: str) -> dict[str, Any]:
    """Read an uploaded file that says it is of `file_format`. Raises `BadInput` with the sentence `refusal`."""
    try:
        file = from_json(read_upload(path))
    except ValueError as error:
        raise BadInput(refusal) from error
    if not isinstance(file, dict) or file.get("format") != file_format:
        raise BadInput(refusal)
    return file


def _render_tiles(rows: Sequence[SavedItem], tools: Sequence[Tool]) -> str:
    if not rows:
        return f'<p class="dbx-hint">{NO_LOOKS_TEXT}</p>'
    tiles: list[str] = []
    for row in rows:
        name, picture = escape(row.name), row.value["picture"]
        shown = f'<img src="{escape(picture)}" alt="{name}">' if picture else ""
        link = escape(make_look_link(row, tools))
        tiles.append(f'<figure><a href="{link}">{shown}<figcaption>{name}</figcaption></a></figure>')
    return f'<div class="dbx-kept">{"".join(tiles)}</div>'
