"""Layout of the batch tab: dropped files, settings for all rows, progress, and the contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import Timer
from gradio.components.dataframe import DataframeData
from gradio.data_classes import FileData, ListFiles

from pipelines.service.studio_service import StudioService
from ui.batch_tab import text
from ui.components.pictures import make_component
from ui.components.row_commands import DEFAULT_SET_ASIDE, SessionLock
from ui.components.zip_downloads import build_file_carrier
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.form_controls import list_form_fields

POLL_SECONDS = 2.0
"""Interval at which a running batch is refreshed."""
CONSENT_LABEL = "I have these people's permission and they are 18 or over"
OPTIONAL_CONSENT_LABEL = "If people are in them: I have their permission and they are 18 or over"
SET_ASIDE_HELP = (
    "How much the studio doubts a picture's cut-out: 0 not at all, 1 wholly. Above this it counts as probably wrong "
    "and lies in the ZIP's folder set-aside, so that nobody uses it unseen. 1: none does."
)
ZIP_TEXT = "The ZIP also holds a table of all results and a signed proof of where they were made."
HELP_TEXT = "Add pictures, a ZIP of them, or a table (CSV). Each picture or row becomes one result."


class _AnyFiles:
    """Passes any files on as paths with their original names, without reading them."""

    def get_block_name(self) -> str:
        return "file"

    def preprocess(self, payload: ListFiles | FileData | None) -> list[tuple[str, str]]:
        """Return (path, name) of each file."""
        files = [] if payload is None else list(payload) if isinstance(payload, ListFiles) else [payload]
        return [(file.path, file.orig_name or Path(file.path).name) for file in files]

    def postprocess(self, value: Sequence[tuple[str, str]] | None) -> ListFiles | None:
        """Show files by (path, name), which were uploaded before."""
        if not value:
            return None
        return ListFiles([FileData(path=path, orig_name=name, size=Path(path).stat().st_size) for path, name in value])


FileDrop = make_component("Drop", _AnyFiles, gr.File)


class _NoRowsAtFirst:
    """Leaves Gradio's own code, which imports pandas, a second of work, until there are rows."""

    headers: list[str]

    def get_block_name(self) -> str:
        return "dataframe"

    def postprocess(self, value: Any) -> DataframeData:
        """Return the rows as the page takes them; without any the heads alone."""
        if value is None:
            return DataframeData(headers=self.headers, data=[], metadata=None)
        return super().postprocess(value)  # pyrefly: ignore[missing-attribute]


CutoutTable = make_component("CutoutTable", _NoRowsAtFirst, gr.Dataframe)


@dataclass
class BatchTabState:
    """Session state of the batch tab in one browser tab.

    `first_picture` is the index of the contact sheet's first picture; `sent_sheet` identifies the sheet that was sent
    last, at the monotonic time `sent_at`; `zip_label` is the label that the download's button was sent last. Cut-outs
    that are more uncertain than `set_aside` (0 to 1) are set aside. `last_command_at` is when the last command
    that was followed was given, in milliseconds on the browser's clock; `commands_lock` is held by the handler that
    follows some. `sent_count` counts what was sent of the sheet, `changed_rows` are the rows that were sent again since
    the whole sheet was, with that count. `shows_failures`: the report lists rows that failed. `started_files` are
    (path, name) of what the last Start took, for batch `started_batch_id`.
    """

    first_picture: int = 0
    sent_sheet: str = ""
    sent_at: float = 0.0
    set_aside: float = DEFAULT_SET_ASIDE
    zip_label: str = text.DOWNLOAD_LABEL
    last_command_at: int = 0
    commands_lock: SessionLock = field(default_factory=SessionLock)
    sent_count: int = 0
    changed_rows: dict[int, int] = field(default_factory=dict[int, int])
    shows_failures: bool = False
    started_files: Sequence[tuple[str, str]] = ()
    started_batch_id: str = ""

    def has_started_files(self) -> bool:
        """Whether the files of the last Start are there: uploads are deleted after a day."""
        return bool(self.started_files) and all(Path(path).is_file() for path, _ in self.started_files)


class BatchTab:
    """All components of the tab, built inside the open Gradio layout. `batch_id` holds the id of the shown batch."""

    def __init__(self, service: StudioService) -> None:
        self.batch_id = gr.State("")
        self.state = gr.State(BatchTabState())
        self.timer = Timer(POLL_SECONDS, active=False)
        gr.HTML(f'{text.STYLE_HTML}<header class="dbx-head"><h1>Batch Processing</h1><p>{HELP_TEXT}</p></header>')
        with gr.Row(elem_classes=["dbx-tool"], elem_id="batch-tool"):
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
                self._build_form(service)
            with gr.Column(scale=7, min_width=320, elem_classes=["dbx-side"]):
                self._build_results()

    def _build_form(self, service: StudioService) -> None:
        """Build the fields of a new batch and the buttons that start or check it."""
        with gr.Column(elem_id="batch-drop"):
            self.files = FileDrop(
                label="Pictures, a ZIP or a table", file_count="multiple", elem_id="batch-files", height=266
            )
            self.use_same_photos = gr.Button(text.SAME_PHOTOS_LABEL, size="sm", visible=False, elem_id="batch-same")
        self.tool = gr.Dropdown(
            text.list_tool_options(service.tools),
            value="",
            label="Tool",
            filterable=False,  # Gradio's filter knows English alone; batch.js finds by letters that are typed
            elem_id="batch-which",
        )
        self.preset = build_look_choice(service, "", elem_id="batch-preset")
        self.brand_kit = build_brand_kit_choice(service, "", elem_id="batch-kit")
        self.consent = build_consent_box(service, "", elem_id="batch-consent")
        with gr.Accordion("More settings for all", open=False, elem_classes=["dbx-more"]):
            self.seeds = gr.Radio(
                [("Same for all", "same"), ("Different for each", "row")],
                value="same",
                label="Variation",
                info="Same keeps one look: all pictures start from one number, the seed.",
                elem_id="batch-seeds",
                elem_classes=["dbx-segments"],
            )
            self.setting_choice = build_setting_choice(service, "")
            self.more_settings = gr.Textbox(
                label="Other settings, one per line: name = value",
                lines=3,
                placeholder="size = 1400",
                elem_id="batch-more",
                info="Each line is a field = its value. The template names every field. What a table says of "
                "its own row comes first.",
            )
            self.template = gr.DownloadButton(
                "Template for this tool (CSV)", size="sm", visible=False, elem_id="batch-template"
            )
        with gr.Row(elem_classes=["dbx-go"]):
            self.start = gr.Button("Start", elem_id="batch-start", scale=2)
            self.dry_run = gr.Button("Check only", elem_id="batch-check", scale=1)

    def _build_results(self) -> None:
        """Build the status, the buttons of a running batch, and the contact sheet."""
        self.status = gr.HTML(
            tool_tab_text.render_status(text.IDLE_TEXT), elem_classes=["dbx-stage"], elem_id="batch-stage"
        )
        with gr.Row(elem_classes=["dbx-acts"]):
            self.pause = gr.Button("Pause", size="sm", interactive=False, elem_id="batch-pause")
            self.cancel = gr.Button("Cancel", size="sm", variant="stop", interactive=False, elem_id="batch-cancel")
            self.retry = gr.Button("Retry failed", size="sm", interactive=False, elem_id="batch-retry")
            self.make_zip = gr.Button(
                text.DOWNLOAD_LABEL, variant="primary", size="sm", interactive=False, elem_id="batch-save"
            )
        self.download = build_file_carrier("batch-zip")
        gr.HTML(f"<p>{ZIP_TEXT}</p>", elem_id="batch-zip-note")
        self.aside = gr.HTML("", elem_id="batch-aside")
        self.use_larger_size = gr.Button("", size="sm", visible=False, elem_id="batch-larger")
        self.report = gr.HTML("", elem_id="batch-told")
        with gr.Row(elem_classes=["dbx-pages"]):
            self.previous = gr.Button("Previous", size="sm", visible=False, elem_id="batch-back", min_width=80)
            self.position = gr.HTML("", elem_id="batch-where")
            self.next = gr.Button("Next", size="sm", visible=False, elem_id="batch-forth", min_width=80)
        self.sheet = gr.HTML("", elem_id="batch-sheet")
        self.changed_cells = gr.HTML("", elem_id="batch-cells", elem_classes=["dbx-unseen"])
        self._build_set_aside_fold()
        self.refresh = gr.Button("Look again", elem_id="batch-again", elem_classes=["dbx-again"])

    def _build_set_aside_fold(self) -> None:
        """Build the threshold from which a picture counts as probably wrong, and the list of all by their doubt."""
        with gr.Accordion(
            "When a picture counts as probably wrong",
            open=False,
            elem_classes=["dbx-more"],
            elem_id="batch-doubts",
        ) as self.set_aside_fold:
            self.set_aside = gr.Number(
                DEFAULT_SET_ASIDE,
                minimum=0,
                maximum=1,
                step=0.05,
                label="Probably wrong above a doubt of",
                info=SET_ASIDE_HELP,
                elem_id="batch-set-aside",
            )
            self.list_cutouts = gr.Button("List all, the most doubtful first", size="sm", elem_id="batch-cutouts")
            self.cutouts = CutoutTable(
                headers=["Row", "Picture", "Doubt", "Probably wrong"],
                datatype=["number", "str", "number", "str"],
                interactive=False,
                visible=False,
                show_label=False,
                elem_id="batch-cutout-table",
            )

    def list_components(self) -> list[Any]:
        """List all components of the tab."""
        return list(vars(self).values())


def build_consent_box(service: StudioService, tool_id: str, **more: Any) -> gr.Checkbox:
    """Build the box that says that the people agree, in the tool's words; hidden if the tool does not ask."""
    tool = service.find_tool(tool_id) if tool_id else None
    label = CONSENT_LABEL if tool is not None and tool.person else OPTIONAL_CONSENT_LABEL
    is_asked = tool is not None and "consent" in tool.params.model_fields
    return gr.Checkbox(label=label, visible=is_asked, **more)


def find_brand_kit_field(service: StudioService, tool_id: str) -> str:
    """Return the tool's field that takes a brand kit, "" if it has none or there is no tool."""
    fields = list_form_fields(service.find_tool(tool_id).params) if tool_id else ()
    return next((field.name for field in fields if field.saved_kind == "brand"), "")


def build_brand_kit_choice(service: StudioService, tool_id: str, owner: str | None = None, **more: Any) -> gr.Dropdown:
    """Build a dropdown of the owner's brand kits, hidden if the tool takes none."""
    rows = [] if owner is None else service.saved_items.list_items(owner, "brand")
    options = [("None", ""), *((row.name, row.id) for row in rows)]
    return gr.Dropdown(
        options,
        label="Brand kit",
        visible=bool(find_brand_kit_field(service, tool_id)),
        info="Your colours, logo and light for all pictures, as they are when the batch begins. Make one in "
        "Brand and characters.",
        **more,
    )


def build_setting_choice(service: StudioService, tool_id: str, chosen: Sequence[str] = ()) -> gr.Dropdown:
    """Build a dropdown of several settings for all, with those of `chosen` that the tool has; hidden without a tool."""
    choices = text.list_setting_choices(service.find_tool(tool_id).params) if tool_id else []
    options = {line for _, line in choices}
    return gr.Dropdown(
        choices,
        value=[line for line in chosen if line in options],
        multiselect=True,
        label=text.SETTINGS_LABEL,
        visible=bool(choices),
        elem_id="batch-add",
    )


def build_look_choice(service: StudioService, tool_id: str, *, chosen: str | None = None, **more: Any) -> gr.Dropdown:
    """Build a dropdown of the tool's looks, hidden if it has none or there is no tool; None: as the tool begins."""
    all_fields = list_form_fields(service.find_tool(tool_id).params) if tool_id else ()
    fields = [field for field in all_fields if field.name == "preset"]
    options = [(label, "" if look == field.default else look) for field in fields for label, look in field.options]
    if chosen is None:
        chosen = next((str(field.start) for field in fields), "")
    value = chosen if chosen in {look for _, look in options} else ""  # "" is the look of a row that names none
    return gr.Dropdown(options or [("", "")], value=value, label="Look", visible=bool(fields), **more)
