"""The one tool tab, laid out from a tool's Params; knows no particular tool, and starts nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from pipelines.codecs.encode import STILL_FORMATS
from pipelines.core.params import Params, Subject, Verb
from pipelines.core.tools import Tool
from pipelines.models.profiles import list_offers
from pipelines.service.form_checks import verb_conjunction
from pipelines.service.orders import StudioService
from pipelines.service.uploads import Example
from ui.components.pictures import LivePicture
from ui.tool_tab import code_panel, text
from ui.tool_tab.code_panel import CodePanel
from ui.tool_tab.form_controls import Control, FormField, build_control, list_form_fields

TILES_FOLDER = Path(__file__).parents[2] / "assets" / "tiles"
TILES_URL = "assets/tiles"
OUTPUT_SIDES_PX = (512, 768, 1024, 1536, 2048)
"""Sizes offered beside a finished picture."""
PAIRED_FIELDS = {"size", "variations"}
DRAG_CLASSES = {"placement_x": "", "place_x": "photo-moves", "focus_x": "crop-moves"}
"""What dragging the picture moves, told by a field of the form: "" is the subject."""
DRAG_RESET_LABELS = {
    "placement_x": "Automatic placement",
    "place_x": "In the middle again",
    "focus_x": "Automatic crop",
}
"""The button by which page.js puts back what was dragged."""
NEEDS_PROFILE_TEXT = "Needs {title} ({size:.0f} GB download, {vram:.0f} GB GPU)."
NEEDS_VERBS_TEXT = "Needs a model that can {verbs}."

BRUSH_OPACITY = 0.6
"""Opacity of the brush, so that the photo shows through."""
KEEP_COLOUR, REMOVE_COLOUR = "rgb(0, 150, 130)", "rgb(210, 40, 40)"
CONSENT_FIELD = "consent"
"""The field that is asked for beside the photo; the others keep their order."""
CUTOUT_TOOL = "cutout"
"""The tool whose matte the brush starts from: it keeps the photo's own size when it does not trim."""


@dataclass
class TabState:
    """What one visitor's open tab is busy with; one per tool and browser tab, kept in the session.

    `job` is the full job that waits or runs, `draft` the draft that does, `shown` the job whose result is in the box.
    `turn` counts what was asked for, `uploads` what was added to a field of several pictures; `unseen` are those of its
    uploads that the page has not been seen to hold, from path to file id, "" while one is taken. `opened` once the tab
    was looked at; `refused` while the last upload's complaint is to be read. `asked` is when Generate was last clicked,
    on the monotonic clock. `sketch` is what the last picture was made of, its seed in it; while it is a `draft`'s,
    Generate makes that picture large.
    """

    job_id: str = ""
    draft_id: str = ""
    shown_job_id: str = ""
    request_number: int = 0
    upload_number: int = 0
    unconfirmed_uploads: dict[str, str] = field(default_factory=dict[str, str])
    was_opened: bool = False
    upload_refused: bool = False
    generate_clicked_at: float = 0.0
    last_request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    last_was_draft: bool = False

    def record_request(self, values: dict[str, Any], seed: int, *, draft: bool) -> None:
        """The picture of `form` was ordered with `seed`."""
        self.last_request = {**values, "seed": seed} if "seed" in values else {}
        self.last_was_draft = draft

    def with_last_seed(self, values: dict[str, Any], reblends: Collection[str] = ()) -> dict[str, Any]:
        """The form with the last picture's seed, where it says none and asks for that picture.

        It does where nothing else changed but `reblends`, or where nothing changed and that picture was a draft, which
        is made large. Whoever liked a draft gets it; whoever asks again gets another.
        """
        if not self.last_request or values.get("seed", 0) is not None:
            return values
        changed = {name for name, value in values.items() if name != "seed" and value != self.last_request.get(name)}
        again = changed <= set(reblends) if changed else self.last_was_draft
        return {**values, "seed": self.last_request["seed"]} if again else values


class TabHandoff(NamedTuple):
    """What another tab, the first page or a link hands to a tool: a picture, settings, or both.

    `at` tells two alike apart. `values` are by field, as Params takes them, without pictures.
    """

    photo: str | None
    created_at: float
    values: Mapping[str, Any] = {}


@dataclass(frozen=True)
class ResultPanel:
    """The right side: the box, what it says, and what can be done with what is in it."""

    status: gr.HTML
    picture: gr.Image
    comparison: gr.HTML
    variation_tiles: gr.HTML
    variation: gr.Radio
    compare_with: gr.Radio
    download: gr.DownloadButton
    reuse_settings: gr.Button
    send_to: gr.Dropdown
    api_code: gr.Code
    receipt: gr.Code
    other_files: gr.Files
    settings_link: gr.Textbox
    file_format: gr.Dropdown
    apply_to_folder: gr.Button
    image_size: gr.Dropdown

    def components(self) -> list[Component]:
        """Every component of it."""
        return list(vars(self).values())


@dataclass(frozen=True)
class MaskEditor:
    """The parts of one mask's editor; `base` is the id of the matte that painting started from.

    `cut_out` says that the mask is a cut-out, so that there is an automatic one to start from; else painting starts
    from nothing.
    """

    mask: Control
    base_matte: gr.State
    start: gr.Button
    upload: gr.UploadButton
    editor: gr.ImageEditor
    hint: gr.HTML
    use: gr.Button
    discard: gr.Button
    is_cutout: bool = True

    def components(self) -> list[Component]:
        """What its events change."""
        return [self.base_matte, self.start, self.upload, self.editor, self.hint, self.use, self.discard]


@dataclass(frozen=True)
class ToolTab:
    """One tool's tab. `incoming` takes what is `Handed` to it."""

    tool: Tool
    state: gr.State
    handoff: gr.State
    controls: Mapping[str, Control]
    alerts: gr.HTML
    generate: gr.Button
    stop: gr.Button
    result: ResultPanel
    code_panel: CodePanel
    examples: tuple[tuple[Example, gr.Button], ...] = ()
    send_targets: tuple[Tool, ...] = ()
    mask_editors: tuple[MaskEditor, ...] = ()

    def value_components(self) -> list[Component]:
        """What the form's values are read from, in the order of the fields."""
        return [made.value for made in self.controls.values()]

    def output_components(self) -> list[Component]:
        """Everything an event of this tab may change."""
        shown = [made.display for made in self.controls.values() if made.display is not made.value]
        return [*self.value_components(), *shown, self.alerts, self.generate, self.stop, *self.result.components()]


def build_tool_tab(tool: Tool, service: StudioService) -> ToolTab:
    """The tab's components, in the layout that is open."""
    gr.HTML(_header_html(tool))
    seat, incoming = gr.State(TabState()), gr.State(None)
    with gr.Row(elem_classes=["dbx-tool"], elem_id=f"{tool.id}-tool"):
        with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
            controls, examples, brushes = _build_form(tool, service)
            alert = gr.HTML("", elem_classes=["dbx-alerts"])
            with gr.Row(elem_classes=["dbx-go"]):
                generate = gr.Button("Generate", variant="primary", elem_id=f"{tool.id}-generate", scale=3)
                stop = gr.Button("Stop", variant="stop", elem_id=f"{tool.id}-stop", interactive=False, scale=1)
            panel = code_panel.build_code_panel(tool)
        with gr.Column(scale=7, min_width=320, elem_classes=["dbx-side"]):
            others = tuple(other for other in service.tools if other.id != tool.id and takes_picture(other))
            board = _build_result_panel(tool, others)
    return ToolTab(tool, seat, incoming, controls, alert, generate, stop, board, panel, examples, others, brushes)


def takes_picture(tool: Tool) -> bool:
    return bool(tool.params.fields_of_kind("picture", "pictures"))


def _header_html(tool: Tool) -> str:
    return f'<header class="dbx-head"><h1>{tool.title}</h1><p>{tool.summary}</p></header>'


def _build_form(
    tool: Tool, service: StudioService
) -> tuple[dict[str, Control], tuple[tuple[Example, gr.Button], ...], tuple[MaskEditor, ...]]:
    """The fields in three groups: always seen, "Adjust subject", "More"; in the mapping, the order of the Params."""
    rows = {row.name: row for row in list_form_fields(tool.params)}
    first, subject, more = _group_fields(tool.params, tuple(rows.values()))
    made: dict[str, Control] = {}
    brushes: list[MaskEditor] = []
    cuts_out = any(other.id == CUTOUT_TOOL for other in service.tools)

    def add(row: FormField) -> None:
        made[row.name] = build_control(
            row, tool.id, _lock_reason(service, tool.params, row.name), tile_images=_has_tile_images(tool, row)
        )
        if row.kind == "mask" and (cuts_out or row.name not in Subject.model_fields):
            brushes.append(_build_mask_editor(made[row.name], tool.id))

    photo = [row for row in first if row.kind in ("picture", "pictures")][:1]
    for row in photo:
        add(row)
    examples = _build_example_buttons(tool, service)
    for row in [row for row in first if row.name == CONSENT_FIELD]:
        add(row)
    rest = [row for row in first if row.name not in made]
    pair = [row for row in rest if row.name in PAIRED_FIELDS]
    for row in [row for row in rest if row not in pair]:
        add(row)
    if pair:
        with gr.Row(elem_classes=["dbx-pair"]):
            for row in pair:
                add(row)
    for title, group in (("Adjust subject", subject), ("More", more)):
        if group:
            with gr.Accordion(title, open=False, elem_classes=["dbx-more"], elem_id=f"{tool.id}-{_slugify(title)}"):
                for row in group:
                    add(row)
    return {name: made[name] for name in rows}, examples, tuple(brushes)


def _build_mask_editor(mask: Control, prefix: str) -> MaskEditor:
    """The editor, folded away until it is asked for."""
    cut_out = mask.field.name in Subject.model_fields
    with gr.Row():
        start = gr.Button(
            text.REPAIR_LABEL if cut_out else text.PAINT_LABEL, elem_id=f"{prefix}-brush", size="sm", min_width=150
        )
        upload = gr.UploadButton(
            text.UPLOAD_CUTOUT_LABEL if cut_out else text.UPLOAD_MASK_LABEL, file_types=["image"], size="sm", min_width=150,
            elem_id=f"{prefix}-brush-upload",
        )  # fmt: skip
    editor = gr.ImageEditor(
        label=mask.field.label, sources=(), transforms=(), layers=False,
        brush=gr.Brush(colors=[(KEEP_COLOUR, BRUSH_OPACITY), (REMOVE_COLOUR, BRUSH_OPACITY)], color_mode="fixed", default_size=18),
        eraser=gr.Eraser(default_size=18), format="png", type="numpy", buttons=["fullscreen"], interactive=True,
        visible=False, height=460, elem_id=f"{prefix}-editor",
    )  # fmt: skip
    hint = gr.HTML(
        f"<p>{text.REPAIR_HINT if cut_out else text.PAINT_HINT}</p>", visible=False, elem_classes=["dbx-hint"]
    )
    with gr.Row():
        use = gr.Button("Use this", size="sm", visible=False, elem_id=f"{prefix}-brush-use")
        drop = gr.Button(
            "Automatic again" if cut_out else "Away with it", size="sm", visible=False, elem_id=f"{prefix}-brush-drop"
        )
    return MaskEditor(mask, gr.State(None), start, upload, editor, hint, use, drop, cut_out)


def _slugify(title: str) -> str:
    return title.lower().replace(" ", "-")


def _group_fields(
    params: type[Params], rows: tuple[FormField, ...]
) -> tuple[list[FormField], list[FormField], list[FormField]]:
    shared = set(Subject.model_fields) if issubclass(params, Subject) else set()
    first = [row for row in rows if not row.is_advanced]
    subject = [row for row in rows if row.is_advanced and row.name in shared]
    return first, subject, [row for row in rows if row.is_advanced and row.name not in shared]


def _lock_reason(service: StudioService, params: type[Params], name: str) -> str:
    missing = service.form_checks.missing_verbs(params, name)
    return describe_required_profile(missing, verb_conjunction(params, name)) if missing else ""


@cache
def describe_required_profile(verbs: tuple[Verb, ...], joined: str) -> str:
    """The first profile that serves these verbs, with its download and the memory that it needs."""
    enough = any if joined == " or " else all
    for row in list_offers():
        if not row.missing and enough(verb in row.profile.specs for verb in verbs):
            return NEEDS_PROFILE_TEXT.format(title=row.profile.title, size=row.bytes / 1e9, vram=row.min_vram / 1e9)
    return NEEDS_VERBS_TEXT.format(verbs=joined.join(verbs))


def _build_example_buttons(tool: Tool, service: StudioService) -> tuple[tuple[Example, gr.Button], ...]:
    wanted = [example for example in service.uploads.list_examples() if example.name in tool.examples]
    if not wanted:
        return ()
    with gr.Row(elem_classes=["dbx-examples"]):
        gr.HTML("<p>No photo at hand? Try one of these.</p>", elem_classes=["dbx-hint"])
        return tuple((example, _build_example_button(tool, example)) for example in wanted)


def _build_example_button(tool: Tool, example: Example) -> gr.Button:
    name = example.name.replace("-", " ").capitalize()
    return gr.Button(name, icon=str(example.path), size="sm", min_width=72, elem_id=f"{tool.id}-example-{example.name}")


def _build_result_panel(tool: Tool, others: tuple[Tool, ...]) -> ResultPanel:
    needs = any(row.required and row.holds_pictures for row in list_form_fields(tool.params))
    begin = text.ADD_PHOTO_TEXT if needs else text.READY_TEXT
    stage = gr.HTML(text.render_status(begin), elem_classes=["dbx-stage"], elem_id=f"{tool.id}-stage", render=False)
    moves = [name for name in DRAG_CLASSES if name in tool.params.model_fields]
    with gr.Column(elem_classes=["dbx-box", *(DRAG_CLASSES[name] for name in moves)], elem_id=f"{tool.id}-box"):
        live = LivePicture(
            show_label=False, interactive=False, buttons=["fullscreen"], container=False, elem_id=f"{tool.id}-live",
            elem_classes=["dbx-live"], alt_text=f"{tool.title}: the picture", label=f"{tool.title}: the picture",
        )  # fmt: skip
        before = gr.HTML("", elem_classes=["dbx-wiper"], elem_id=f"{tool.id}-before")
    stage.render()
    sheet = gr.HTML("", elem_classes=["dbx-styles"])
    variation = gr.Radio(
        [], label="Variations", visible=False, elem_id=f"{tool.id}-variation", elem_classes=["dbx-tiles", "pictured"]
    )
    versus = gr.Radio(
        [], label="Compare with", visible=False, elem_id=f"{tool.id}-versus", elem_classes=["dbx-segments"]
    )
    with gr.Row(elem_classes=["dbx-actions"]):
        save = gr.DownloadButton(
            "Download", variant="primary", interactive=False, elem_id=f"{tool.id}-save", min_width=120
        )
        kind = gr.Dropdown(
            [(f"As {name.upper()}", name) for name in STILL_FORMATS], value=STILL_FORMATS[0], show_label=False, label="File format",
            interactive=False, container=False, min_width=110, visible="format" in tool.params.model_fields,
            elem_id=f"{tool.id}-format-of-file",
        )  # fmt: skip
        sizes = list_output_sides(tool.params)
        size = gr.Dropdown(
            [(f"{side} px", side) for side in sizes], value=sizes[0] if sizes else None, label="Size of the file",
            show_label=False, interactive=False, container=False, min_width=110, visible=bool(sizes),
            elem_id=f"{tool.id}-size-of-file",
        )  # fmt: skip
        reuse = gr.Button("Apply settings again", interactive=False, elem_id=f"{tool.id}-reuse", min_width=120)
        send = gr.Dropdown(
            [("Send to …", ""), *((other.title, other.id) for other in others)], value="", show_label=False,
            label="Send to another tool", interactive=False, container=False, min_width=140, elem_id=f"{tool.id}-send",
        )  # fmt: skip
        folder = gr.Button(
            "Apply to a folder", interactive=False, visible="photo" in tool.params.model_fields,
            elem_id=f"{tool.id}-folder", min_width=120,
        )  # fmt: skip
        for name in moves:
            gr.Button(DRAG_RESET_LABELS[name], elem_id=f"{tool.id}-back", elem_classes=["dbx-back"], min_width=120)
    more = gr.Files(label="Also made", visible=False, interactive=False, elem_id=f"{tool.id}-also")
    with gr.Accordion("Link and code", open=False, elem_classes=["dbx-more"], elem_id=f"{tool.id}-code"):
        link = gr.Textbox(
            label="Link to these settings", info="Opens this tool as it was, seed included. Pictures stay here.",
            interactive=False, buttons=["copy"], max_lines=3, elem_id=f"{tool.id}-link",
        )  # fmt: skip
        code = gr.Code("# Generate a picture first.", language="shell", label="The same picture through the API",
                       interactive=False)  # fmt: skip
    with gr.Accordion("Receipt", open=False, elem_classes=["dbx-more"], elem_id=f"{tool.id}-receipt"):
        receipt = gr.Code("{}", language="json", label="Settings, models, checks, timings", interactive=False,
                          max_lines=24)  # fmt: skip
    return ResultPanel(
        stage, live, before, sheet, variation, versus, save, reuse, send, code, receipt, more, link, kind, folder, size
    )


def list_output_sides(params: type[Params]) -> tuple[int, ...]:
    """Longer sides that a finished picture can be had in beside its own; none where the form asks for no size."""
    row = next((row for row in list_form_fields(params) if row.name == "size" and row.kind == "number"), None)
    return tuple(side for side in OUTPUT_SIDES_PX if row is not None and row.minimum <= side <= row.maximum)


def render_tile_css(tool: Tool) -> str:
    """CSS that dresses a radio's options with their pictures in assets/tiles."""
    rules = []
    for row in list_form_fields(tool.params):
        for place, (_, value) in enumerate(row.options if _has_tile_images(tool, row) else (), 1):
            option = f"#{tool.id}-{row.name} label:nth-of-type({place})::before"
            rules.append(f'{option}{{background-image:url("{TILES_URL}/{tool.id}/{value}.webp")}}')
    return "".join(rules)


def _has_tile_images(tool: Tool, row: FormField) -> bool:
    return row.has_tiles and any((TILES_FOLDER / tool.id / f"{value}.webp").exists() for _, value in row.options)
