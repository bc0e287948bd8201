"""Layout of a tool's tab: Gradio components made from the fields of the tool's Params."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr
from gradio.components import Component

from pipelines.codecs.encode import STILL_FORMATS
from pipelines.core.params import POINTED_KINDS, Params, Subject, Verb
from pipelines.core.tools import Tool
from pipelines.models.profiles import list_offers
from pipelines.service.form_checks import verb_conjunction
from pipelines.service.form_filling import list_untouched_fields
from pipelines.service.studio_service import StudioService
from pipelines.service.teams import PAGE_TOOL_ID
from pipelines.service.uploads import Example
from ui.components.brush_panel import BrushPanel
from ui.components.pictures import build_live_picture
from ui.components.pointing_panel import ERASED_FIELD, build_pointing_panel, render_closing
from ui.components.team_panel import TeamPanel
from ui.tool_tab import text
from ui.tool_tab.code_panel import CodePanel
from ui.tool_tab.form_controls import Control, FormField, build_control, list_form_fields, to_param_value
from ui.tool_tab.state import TabState

TILES_FOLDER = Path(__file__).parents[2] / "assets" / "tiles"
TILES_URL = "assets/tiles"
OUTPUT_SIDES_PX = (512, 768, 1024, 1536, 2048, 3000)
"""Longer sides offered beside a finished picture."""
PAIRED_FIELDS = {"size", "variations"}
"""Fields that share one row."""
HEADLINE_FIELDS = ("headline_colour", "headline_place", "layout", "headline_size")
"""Fields that share rows under the headline, and are seen once there is one."""
DRAG_CLASSES = {"placement_x": "", "place_x": "photo-moves", "focus_x": "crop-moves"}
"""CSS class of the result box that tells page.js what dragging moves, by a field of the form; "" is the subject."""
DRAG_RESET_LABELS = {
    "placement_x": "Place it automatically",
    "place_x": "Back to the centre",
    "focus_x": "Crop it automatically",
}
"""Label of the button with which page.js undoes dragging, by the same field."""
NEEDS_PROFILE_TEXT = "For a studio with a graphics card: {title}, {size:.0f} GB to download, {vram:.0f} GB on the card."
NEEDS_VERBS_TEXT = "Needs a model that can {verbs}."
MASK_COLOUR = (0, 150, 130)
"""The brush's colour, as in brush.js."""
EXAMPLES_TEXT = "No photo at hand? Try one of these."
ONE_EXAMPLE_TEXT = "No photo at hand? Try this one."
WORDS_FOR_FEW = {"background", "outfit"}
"""Fields of words that most visitors leave empty; they follow size and variations."""
CONSENT_FIELD = "consent"
"""The field that is placed beside the photo; the others keep their order."""
CUTOUT_TOOL = "cutout"
"""The tool that makes the matte where repairing starts; without trimming, its matte has the photo's size."""


class ResultPanel:
    """The right side of the tab, built inside the open layout: the picture, its status line, and the actions on it."""

    def __init__(self, tool: Tool, targets: tuple[Tool, ...]) -> None:
        draggable = [name for name in DRAG_CLASSES if name in tool.params.model_fields]
        with gr.Row(elem_classes=["dbx-bar"], elem_id=f"{tool.id}-bar"):
            self.status = gr.HTML(
                text.render_status(describe_first_step(tool)), elem_classes=["dbx-stage"], elem_id=f"{tool.id}-stage"
            )
            self._build_actions(tool, targets)
            self._build_menu(tool, draggable)
        with gr.Row(elem_classes=["dbx-from-batch"]):  # hidden by style while its line is empty
            self.batch_row = gr.HTML("", elem_id=f"{tool.id}-batch-row")
            self.put_in_batch = gr.Button("", visible=False, size="sm", min_width=160, elem_id=f"{tool.id}-put")
        with gr.Column(elem_classes=["dbx-box", *(DRAG_CLASSES[name] for name in draggable)], elem_id=f"{tool.id}-box"):
            self.picture = build_live_picture(f"{tool.title}: the picture", f"{tool.id}-live")
            self.comparison = gr.HTML("", elem_classes=["dbx-wiper"], elem_id=f"{tool.id}-before")
            self.pointing = build_pointing_panel(tool)
            self.continue_here: gr.Button | None = None
            self.fill_again: gr.Button | None = None
            if ERASED_FIELD in tool.params.model_fields:
                self.continue_here, self.fill_again = (
                    gr.Button("", elem_classes=["dbx-point-told"], elem_id=f"{tool.id}-{name}")
                    for name in ("continue", "fill-again")
                )
        self.history_tiles = gr.HTML("", elem_classes=["dbx-styles"])
        self.history = gr.Radio(
            [],
            label="Earlier pictures",
            visible=False,
            elem_id=f"{tool.id}-history",
            elem_classes=["dbx-tiles", "pictured", "dbx-history"],
        )
        self.suggested_looks = gr.HTML("", elem_classes=["dbx-suggested"])
        self.look_tiles = gr.HTML("", elem_classes=["dbx-styles"])
        self.variation_tiles = gr.HTML("", elem_classes=["dbx-styles"])
        self.variation = gr.Radio(
            [],
            label="Variations",
            visible=False,
            elem_id=f"{tool.id}-variation",
            elem_classes=["dbx-tiles", "pictured"],
        )
        self.compare_with = gr.Radio(
            [], label="Compare with", visible=False, elem_id=f"{tool.id}-versus", elem_classes=["dbx-segments"]
        )
        self.other_files = gr.Files(label="More files", visible=False, interactive=False, elem_id=f"{tool.id}-also")
        with gr.Accordion("Link", open=False, elem_classes=["dbx-more"], elem_id=f"{tool.id}-code"):
            self.settings_link = gr.Textbox(
                label="Link to these settings",
                info="Opens this tool as it was, seed included. Pictures stay here.",
                interactive=False,
                buttons=["copy"],
                max_lines=3,
                elem_id=f"{tool.id}-link",
            )
        with gr.Accordion("How it was made", open=False, elem_classes=["dbx-more"], elem_id=f"{tool.id}-receipt"):
            self.receipt = gr.Code(
                "{}",
                language="json",
                label="Receipt: settings, models, checks, timings",
                interactive=False,
                max_lines=24,
            )
        self.tiles_due = gr.State(0)

    def _build_actions(self, tool: Tool, targets: tuple[Tool, ...]) -> None:
        """Build New, Send to, file format, Download, that of all, and the button that page.js opens the menu with."""
        with gr.Row(elem_classes=["dbx-actions"]):
            self.start_new = gr.Button("New", interactive=False, elem_id=f"{tool.id}-new", min_width=60)
            self.send_to = gr.Dropdown(
                [("Send to", ""), *((other.title, other.id) for other in targets)],
                value="",
                show_label=False,
                label="Send to another tool",
                interactive=False,
                container=False,
                min_width=120,
                visible=bool(targets),
                elem_id=f"{tool.id}-send",
            )
            self.file_format = gr.Dropdown(
                [(name.upper(), name) for name in STILL_FORMATS],
                value=STILL_FORMATS[0],
                show_label=False,
                label="File format",
                interactive=False,
                container=False,
                min_width=64,
                visible="format" in tool.params.model_fields,
                elem_id=f"{tool.id}-format-of-file",
                elem_classes=["dbx-format"],
            )
            self.download = gr.DownloadButton(
                "Download", variant="primary", interactive=False, elem_id=f"{tool.id}-save", min_width=110
            )
            self.download_all = gr.DownloadButton("All", visible=False, elem_id=f"{tool.id}-save-all", min_width=90)
            gr.Button(
                "More", interactive=True, elem_classes=["dbx-menu-button"], elem_id=f"{tool.id}-menu", min_width=44
            )

    def _build_menu(self, tool: Tool, draggable: Sequence[str]) -> None:
        """Build the menu: size of the file, reuse, folder, name of a look and its button.

        page.js answers the others: Copy, Share, and the reset of each field of `draggable`.
        """
        sides = list_output_sides(tool.params)
        with gr.Column(elem_classes=["dbx-menu"], elem_id=f"{tool.id}-menu-of"):
            self.image_size = gr.Dropdown(
                [(f"{side} px", side) for side in sides],
                value=sides[0] if sides else None,
                label="Size of the file",
                interactive=False,
                visible=bool(sides),
                elem_id=f"{tool.id}-size-of-file",
            )
            gr.Button("Copy image", elem_classes=["dbx-copy"], elem_id=f"{tool.id}-copy")
            gr.Button("Share", elem_classes=["dbx-share"], elem_id=f"{tool.id}-share")
            self.reuse_settings = gr.Button("Use these settings", interactive=False, elem_id=f"{tool.id}-reuse")
            self.apply_to_folder = gr.Button(
                "Apply to a folder",
                interactive=False,
                visible="photo" in tool.params.model_fields,
                elem_id=f"{tool.id}-folder",
            )
            self.look_name = gr.Textbox(label="Name of my look", max_lines=1, elem_id=f"{tool.id}-look-name")
            self.save_look = gr.Button("Save this form as a look", elem_id=f"{tool.id}-look-save")
            for name in draggable:
                gr.Button(DRAG_RESET_LABELS[name], elem_id=f"{tool.id}-back", elem_classes=["dbx-back"])

    def components(self) -> list[Component]:
        """Return all components that a job's events change."""
        pointing = [] if self.pointing is None else [self.pointing.places]
        return [*pointing, *(each for each in vars(self).values() if isinstance(each, Component))]

    def close_pointing(self) -> dict[Component, str]:
        """Close the panel in which one points at what was shown: another job is shown now."""
        return {} if self.pointing is None else {self.pointing.places: render_closing()}


MaskButtons: TypeAlias = tuple[Control, gr.Button, gr.UploadButton]
"""A mask's field, the button that starts painting, and the one that takes a file."""


class MaskEditor:
    """Components of one mask's editor, built where the picture is: the brush takes its place while somebody paints.

    `base_matte` holds the file id of the matte where painting started, if any. If `is_cutout`, painting starts from
    the automatic cut-out, else from an empty mask.
    """

    def __init__(self, buttons: MaskButtons, prefix: str) -> None:
        self.mask, self.start, self.upload = buttons
        self.is_cutout = self.mask.field.name in Subject.model_fields
        hint, use, discard = (
            (text.REPAIR_HINT, "Apply", text.DISCARD_CUTOUT_LABEL)
            if self.is_cutout
            else (text.PAINT_HINT, "Preview", text.DISCARD_MASK_LABEL)
        )
        self.panel = BrushPanel(prefix, hint, use, discard, is_cutout=self.is_cutout)
        self.base_matte = gr.State(None)

    def components(self) -> list[Component]:
        """Return the components that the editor's events change."""
        return [self.base_matte, self.start, self.upload, self.panel.strokes, self.panel.message]


class ToolTab:
    """Components of one tool's tab, built inside the open Gradio layout. `handoff` holds a `TabHandoff`."""

    def __init__(self, tool: Tool, service: StudioService) -> None:
        self.tool = tool
        gr.HTML(f'<header class="dbx-head"><h1>{tool.title}</h1><p>{tool.summary}</p></header>')
        self.state, self.handoff = gr.State(TabState()), gr.State(None)
        asks = ["dbx-asks"] if tool.person else []
        fields = list_form_fields(tool.params)
        needs = ["dbx-needs-photo"] if any(each.holds_pictures and each.is_missing(None) for each in fields) else []
        with gr.Row(elem_classes=["dbx-tool", *asks, *needs], elem_id=f"{tool.id}-tool"):
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
                self.controls, self.examples, mask_buttons, self.consent_box = _build_form(tool, service)
                self.team_panel = TeamPanel(service) if tool.id == PAGE_TOOL_ID else None
                self.alerts = gr.HTML("", elem_classes=["dbx-alerts"])
                with gr.Row(elem_classes=["dbx-go"]):
                    self.generate = gr.Button("Generate", variant="primary", elem_id=f"{tool.id}-generate", scale=3)
                    self.stop = gr.Button("Stop", variant="stop", elem_id=f"{tool.id}-stop", interactive=False, scale=1)
                self.code_panel = CodePanel(tool)
            with gr.Column(scale=7, min_width=320, elem_classes=["dbx-side"]):
                self.send_targets = tuple(
                    other for other in service.tools if other.id != tool.id and takes_picture(other)
                )
                self.mask_editors = tuple(MaskEditor(buttons, tool.id) for buttons in mask_buttons)
                self.result = ResultPanel(tool, self.send_targets)

    def value_components(self) -> list[Component]:
        """Return the components that hold the form's values, in the order of the fields."""
        return [control.value for control in self.controls.values()]

    def list_overrides(self) -> list[tuple[Control, Control]]:
        """List each field of words that overrides a choice, with that choice."""
        rows = self.controls.values()
        return [(each, self.controls[each.field.in_place_of]) for each in rows if each.field.in_place_of]

    @property
    def photo_control(self) -> Control:
        """The first picture field, which other tabs and examples fill."""
        return next(control for control in self.controls.values() if control.field.kind in ("picture", "pictures"))

    def read_form(self, values: Sequence[Any]) -> dict[str, Any]:
        """Convert the values of `value_components` to what Params takes, by field."""
        rows = zip(self.controls.items(), values, strict=True)
        return {name: to_param_value(control.field, value) for (name, control), value in rows}

    def leave_out_untouched(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """Return the form without what the page began with, where it names a look: that says what is meant."""
        untouched = list_untouched_fields(self.tool.params, form)
        return {name: value for name, value in form.items() if name not in untouched}

    def replace_values(self, values: Sequence[Any], updates: Mapping[Component, Any]) -> tuple[Any, ...]:
        """Return the values of `value_components` as they are after `updates`."""
        return tuple(updates.get(each, old) for each, old in zip(self.value_components(), values, strict=True))

    def lacks_pictures(self, values: Sequence[Any]) -> bool:
        """Whether a required picture is still missing."""
        form = self.read_form(values)
        return any(control.field.is_missing(form[name]) for name, control in self.controls.items())

    def awaits_mask(self, values: Sequence[Any]) -> bool:
        """Whether nothing is painted yet, nor pointed at, where only that says what is to be made."""
        form = self.read_form(values)
        names = [editor.mask.field.name for editor in self.mask_editors if not editor.is_cutout]
        return bool(names) and not any(form.get(name) for name in (*names, "keep", "drop", "box"))

    def output_components(self) -> list[Component]:
        """Return all components that an event of this tab may change."""
        displays = [control.display for control in self.controls.values() if control.display is not control.value]
        boxes = [self.consent_box] if self.consent_box else []
        buttons = [self.generate, self.stop]
        return [*self.value_components(), *displays, *boxes, self.alerts, *buttons, *self.result.components()]


def describe_first_step(tool: Tool) -> str:
    """Say in one sentence what a visitor does first in an empty form."""
    if any(field.required and field.holds_pictures for field in list_form_fields(tool.params)):
        return text.ADD_PHOTO_TEXT
    return text.OPTIONAL_PHOTO_TEXT if "photo" in tool.params.model_fields else text.READY_TEXT


def takes_picture(tool: Tool) -> bool:
    """Whether a picture can be sent to the tool."""
    return bool(tool.params.fields_of_kind("picture", "pictures"))


def _build_form(
    tool: Tool, service: StudioService
) -> tuple[dict[str, Control], tuple[tuple[Example, gr.Button], ...], tuple[MaskButtons, ...], Any]:
    """Build the fields in three groups: always visible, "Adjust subject", "More".

    Returns the controls in the order of the Params, the example buttons, the buttons of masks, and the column of the
    consent, None in a tool without that field.
    """
    fields = list_form_fields(tool.params)
    marks = [field for field in fields if field.kind in POINTED_KINDS]
    of_subject = Subject.model_fields if issubclass(tool.params, Subject) else {}
    first = [field for field in fields if not field.is_advanced and field not in marks]
    folded = [field for field in fields if field.is_advanced and field not in marks]
    subject = [field for field in folded if field.name in of_subject]
    controls: dict[str, Control] = {}
    mask_buttons: list[MaskButtons] = []
    painted: list[tuple[Control, gr.Button]] = []
    can_cut_out = any(other.id == CUTOUT_TOOL for other in service.tools)

    def add(fields: Iterable[FormField]) -> None:
        for field in fields:
            reason = _lock_reason(service, tool.params, field.name)
            control = build_control(field, tool.id, reason, tile_images=_has_tile_images(tool, field))
            controls[field.name] = control
            if field.kind == "mask" and (can_cut_out or field.name not in Subject.model_fields):
                if field.name in Subject.model_fields:
                    with gr.Row():
                        start = _build_brush_button(text.REPAIR_LABEL, tool.id)
                        upload = _build_upload_button(text.UPLOAD_CUTOUT_LABEL, tool.id)
                    mask_buttons.append((control, start, upload))
                else:  # its file is for few, under More
                    painted.append((control, _build_brush_button(text.PAINT_LABEL, tool.id)))

    add([field for field in first if field.kind in ("picture", "pictures")][:1])
    add(marks)  # outside the folds, whose content Gradio builds when they are opened: pointing.js writes into them
    examples = _build_example_buttons(tool, service)
    consent, consent_box = [field for field in first if field.name == CONSENT_FIELD], None
    if consent:
        with gr.Column(elem_classes=["dbx-consent"]) as consent_box:
            add(consent)
    locked = [field for field in first if field.name not in controls and _lock_reason(service, tool.params, field.name)]
    # What cannot be used here is no part of the first look.
    advanced = [*(field for field in folded if field not in subject), *locked]
    rest = [field for field in first if field.name not in controls and field not in locked]
    paired = [field for field in rest if field.name in PAIRED_FIELDS]
    last = [field for field in rest if field.name in WORDS_FOR_FEW]
    headline = [field for field in rest if field.name in HEADLINE_FIELDS]
    above_headline = [field for field in rest if field.name == "preset"] or rest[-1:]
    for field in rest:
        if field not in (*paired, *last, *headline):
            add([field])
        if headline and field in above_headline:  # below the tiles, which must not move while a headline is typed
            with gr.Row(elem_classes=["dbx-pair", "dbx-headline"]):
                add(headline)
    if paired:
        with gr.Row(elem_classes=["dbx-pair"]):
            add(paired)
    add(last)
    for title, group in (("Adjust subject", subject), ("More", advanced)):
        takes_masks = painted if title == "More" else []
        if group or takes_masks:
            slug = title.lower().replace(" ", "-")
            with gr.Accordion(title, open=False, elem_classes=["dbx-more"], elem_id=f"{tool.id}-{slug}"):
                add(group)
                for control, start in takes_masks:
                    gr.HTML(f"<p>{text.UPLOAD_MASK_HELP}</p>", elem_classes=["dbx-hint"])
                    mask_buttons.append((control, start, _build_upload_button(text.UPLOAD_MASK_LABEL, tool.id)))
    return {field.name: controls[field.name] for field in fields}, examples, tuple(mask_buttons), consent_box


def _build_brush_button(label: str, prefix: str) -> gr.Button:
    return gr.Button(label, elem_id=f"{prefix}-brush", size="sm", min_width=150)


def _build_upload_button(label: str, prefix: str) -> gr.UploadButton:
    return gr.UploadButton(label, file_types=["image"], size="sm", min_width=150, elem_id=f"{prefix}-brush-upload")


def _lock_reason(service: StudioService, params: type[Params], field: str) -> str:
    missing = service.form_checks.locking_verbs(params, field)
    return describe_required_profile(missing, verb_conjunction(params, field)) if missing else ""


@cache
def describe_required_profile(verbs: tuple[Verb, ...], conjunction: str) -> str:
    """Name the first profile that serves these verbs, with its download size and GPU memory."""
    combine = any if conjunction == " or " else all
    for offer in list_offers():
        if not offer.missing and combine(verb in offer.profile.specs for verb in verbs):
            return NEEDS_PROFILE_TEXT.format(
                title=offer.profile.title, size=offer.bytes / 1e9, vram=offer.min_vram / 1e9
            )
    return NEEDS_VERBS_TEXT.format(verbs=conjunction.join(verbs))


def _build_example_buttons(tool: Tool, service: StudioService) -> tuple[tuple[Example, gr.Button], ...]:
    wanted = [example for example in service.uploads.list_examples() if example.name in tool.examples]
    if not wanted:
        return ()
    with gr.Row(elem_classes=["dbx-examples"]):
        hint = EXAMPLES_TEXT if len(wanted) > 1 else ONE_EXAMPLE_TEXT
        gr.HTML(f"<p>{hint}</p>", elem_classes=["dbx-hint"])
        return tuple((example, _build_example_button(tool, example)) for example in wanted)


def _build_example_button(tool: Tool, example: Example) -> gr.Button:
    return gr.Button(example.title, size="sm", min_width=72, elem_id=f"{tool.id}-example-{example.name}")


def list_output_sides(params: type[Params]) -> tuple[int, ...]:
    """List the longer sides in pixels that a finished picture can be remade in; none if the form has no size."""
    fields = [field for field in list_form_fields(params) if (field.name, field.kind) == ("size", "number")]
    return tuple(side for field in fields for side in OUTPUT_SIDES_PX if field.minimum <= side <= field.maximum)


def render_tile_css(tool: Tool) -> str:
    """Render CSS that gives each option of the tool's radios its picture from assets/tiles."""
    rules = []
    for field in list_form_fields(tool.params):
        for number, (_, value) in enumerate(field.options if _has_tile_images(tool, field) else (), 1):
            selector = f"#{tool.id}-{field.name} label:nth-of-type({number})::before"
            rules.append(f'{selector}{{background-image:url("{TILES_URL}/{tool.id}/{value}.webp")}}')
    return "".join(rules)


def render_example_css(examples: Iterable[Example]) -> str:
    """Render CSS that gives each example's button its picture.

    Gradio would serve the photo itself under a path that it makes from the bytes, and deletes with an upload of them.
    """
    return "".join(
        f'[id$="-example-{example.name}"]::before{{background-image:url("{TILES_URL}/examples/{example.name}.webp")}}'
        for example in examples
    )


def _has_tile_images(tool: Tool, field: FormField) -> bool:
    return field.has_tiles and any((TILES_FOLDER / tool.id / f"{value}.webp").exists() for _, value in field.options)
