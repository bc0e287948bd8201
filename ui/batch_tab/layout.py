"""The batch tab as it is laid out: what is dropped, what all rows share, and how far it is; starts nothing."""

from __future__ import annotations

from abc import ABCMeta
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import Timer
from gradio.component_meta import ComponentMeta
from gradio.components import Component
from gradio.data_classes import FileData, ListFiles

from pipelines.service.orders import StudioService
from ui.batch_tab import text
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.form_controls import list_form_fields

POLL_SECONDS = 2.0
"""Seconds between two looks at a batch that goes on."""
HELP_TEXT = (
    "Pictures, one ZIP of them, or a CSV or JSONL whose columns are the tool's fields and whose picture columns name "
    "the other files. Every row is one job; the queue takes people's own jobs first."
)


class _AnyFiles:
    """Takes any files, unread, with the names their sender gave them."""

    def get_block_name(self) -> str:
        return "file"

    def preprocess(self, payload: ListFiles | FileData | None) -> list[tuple[str, str]]:
        """(path, name) of each."""
        files = [] if payload is None else list(payload) if isinstance(payload, ListFiles) else [payload]
        return [(file.path, file.orig_name or Path(file.path).name) for file in files]


# Made like this for the reason that `ui.components.pictures` gives.
FileDrop = ABCMeta.__new__(
    ComponentMeta, "Drop", (_AnyFiles, gr.File), {"__module__": __name__, "__doc__": _AnyFiles.__doc__}
)


@dataclass
class BatchTabState:
    """What one visitor's open tab shows of a batch; one per browser tab, kept in the session.

    `start` is the first picture of the contact sheet, `sheet` tells the sheet that was sent last from others, and
    `drawn` is when that was.
    """

    first_picture: int = 0
    sent_sheet: str = ""
    sent_at: float = 0.0


@dataclass(frozen=True)
class BatchTab:
    """Every component of the tab. `batch` holds the id of the batch that is shown."""

    batch_id: gr.State
    state: gr.State
    files: Component
    tool: gr.Dropdown
    preset: gr.Dropdown
    brand_kit: gr.Dropdown
    consent: gr.Checkbox
    more_settings: gr.Textbox
    seeds: gr.Radio
    template: gr.DownloadButton
    dry_run: gr.Button
    start: gr.Button
    pause: gr.Button
    cancel: gr.Button
    retry: gr.Button
    make_zip: gr.Button
    download: gr.DownloadButton
    status: gr.HTML
    report: gr.HTML
    previous: gr.Button
    position: gr.HTML
    next: gr.Button
    sheet: gr.HTML
    timer: Timer
    refresh: gr.Button


def build_batch_tab(service: StudioService) -> BatchTab:
    """The tab's components, in the layout that is open."""
    gr.HTML(f'{text.STYLE_HTML}<header class="dbx-head"><h1>Batch Processing</h1><p>{HELP_TEXT}</p></header>')
    options = [(tool.title, tool.id) for tool in service.tools]
    first = service.tools[0]
    with gr.Row(elem_classes=["dbx-tool"], elem_id="batch-tool"):
        with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
            files = FileDrop(
                label="Pictures, ZIP, CSV or JSONL", file_count="multiple", elem_id="batch-files", height=150
            )
            tool = gr.Dropdown(options, value=first.id, label="Tool", elem_id="batch-which")
            preset = build_look_choice(service, first.id, elem_id="batch-preset")
            kit = build_brand_kit_choice(service, first.id, elem_id="batch-kit")
            consent = gr.Checkbox(
                label="I have these people's permission and they are 18 or over", elem_id="batch-consent",
                visible=needs_consent(service, first.id),
            )  # fmt: skip
            seeds = gr.Radio(
                [("One for all rows", "same"), ("The next for each row", "row")], value="same", label="Seed",
                info="One seed gives all rows one look.", elem_id="batch-seeds", elem_classes=["dbx-segments"],
            )  # fmt: skip
            with gr.Accordion("More settings for all rows", open=False, elem_classes=["dbx-more"]):
                more = gr.Textbox(
                    label="Field = value, one a line", lines=4, placeholder="size = 1024", elem_id="batch-more",
                    info="A row's own cell comes first. The template names every field.",
                )  # fmt: skip
                form = gr.DownloadButton("Template for this tool (CSV)", size="sm", elem_id="batch-template")
            with gr.Row(elem_classes=["dbx-go"]):
                start = gr.Button("Start", variant="primary", elem_id="batch-start", scale=2)
                check = gr.Button("Dry run", elem_id="batch-check", scale=1)
        with gr.Column(scale=7, min_width=320, elem_classes=["dbx-side"]):
            line = gr.HTML(
                tool_tab_text.render_status(text.IDLE_TEXT), elem_classes=["dbx-stage"], elem_id="batch-stage"
            )
            with gr.Row(elem_classes=["dbx-acts"]):
                pause = gr.Button("Pause", size="sm", interactive=False, elem_id="batch-pause")
                cancel = gr.Button("Cancel", size="sm", variant="stop", interactive=False, elem_id="batch-cancel")
                retry = gr.Button("Retry failed", size="sm", interactive=False, elem_id="batch-retry")
                pack = gr.Button("Make ZIP", size="sm", interactive=False, elem_id="batch-pack")
            save = gr.DownloadButton("Download ZIP", variant="primary", visible=False, elem_id="batch-save")
            told = gr.HTML("", elem_id="batch-told")
            with gr.Row(elem_classes=["dbx-pages"]):
                back = gr.Button("Previous", size="sm", visible=False, elem_id="batch-back", min_width=80)
                where = gr.HTML("", elem_id="batch-where")
                forth = gr.Button("Next", size="sm", visible=False, elem_id="batch-forth", min_width=80)
            sheet = gr.HTML("", elem_id="batch-sheet")
            again = gr.Button("Look again", elem_id="batch-again", elem_classes=["dbx-again"])
    return BatchTab(
        gr.State(""), gr.State(BatchTabState()), files, tool, preset, kit, consent, more, seeds, form, check, start, pause,
        cancel, retry, pack, save, line, told, back, where, forth, sheet, Timer(POLL_SECONDS, active=False),
        again,
    )  # fmt: skip


def needs_consent(service: StudioService, tool_id: str) -> bool:
    """Whether the tool asks for consent."""
    return "consent" in service.find_tool(tool_id).params.model_fields


def find_brand_kit_field(service: StudioService, tool_id: str) -> str:
    """The tool's field that takes a brand kit, "" where it has none."""
    return next(
        (row.name for row in list_form_fields(service.find_tool(tool_id).params) if row.saved_kind == "brand"), ""
    )


def build_brand_kit_choice(service: StudioService, tool_id: str, owner: str | None = None, **more: Any) -> gr.Dropdown:
    """The owner's brand kits, where the tool takes one; hidden where it does not."""
    rows = [] if owner is None else service.saved_items.list_items(owner, "brand")
    options = [("None", ""), *((row.name, row.id) for row in rows)]
    return gr.Dropdown(
        options, label="Brand kit", visible=bool(find_brand_kit_field(service, tool_id)),
        info="For all rows, as it is when the batch begins. Kits are made under Brand and characters.", **more,
    )  # fmt: skip


def build_look_choice(service: StudioService, tool_id: str, *, chosen: str = "", **more: Any) -> gr.Dropdown:
    """The tool's looks, where it has a choice of them; hidden where it has none."""
    rows = [row for row in list_form_fields(service.find_tool(tool_id).params) if row.name == "preset"]
    options = [("As each row says, else the tool's own", ""), *(option for row in rows for option in row.options)]
    return gr.Dropdown(options, value=chosen, label="Look", visible=bool(rows), **more)
