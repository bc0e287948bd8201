"""Form controls: builds the Gradio component of a Params field from the field alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

import gradio as gr
from annotated_types import Ge, Le, MaxLen, MinLen
from gradio.components import Component
from gradio.events import EventListener
from pydantic.fields import FieldInfo

from pipelines.core.params import POINTED_KINDS, FieldKind, Params, Subject
from ui.components.pictures import PhotosUpload, build_photo_upload
from ui.tool_tab import text

MAX_RADIO_OPTION_COUNT = 7
"""Choices in a radio; a field with more choices and no tiles becomes a dropdown."""
MAX_SEGMENT_COUNT = 5
"""Values of a whole number that are shown as a row of segments; more become a slider."""


@dataclass(frozen=True)
class FormField:
    """What a Params field declares about its form control. An empty form has `start`; elsewhere none is `default`."""

    name: str
    kind: FieldKind
    label: str
    help: str
    default: Any
    start: Any
    required: bool
    is_advanced: bool
    has_tiles: bool
    options: tuple[tuple[str, str], ...] = ()
    minimum: float = 0
    maximum: float = 0
    step: float = 1
    unit: str = ""
    max_length: int | None = None
    min_length: int = 0
    saved_kind: str = ""
    in_place_of: str = ""
    is_drawn: bool = False

    @property
    def holds_pictures(self) -> bool:
        """Whether the value is one or several pictures."""
        return self.kind in ("picture", "pictures", "mask")

    def is_missing(self, value: Any) -> bool:
        """Whether required pictures are missing from `value`."""
        return self.required and (len(value or ()) < self.min_length if self.kind == "pictures" else value is None)


@dataclass(frozen=True)
class Control:
    """A field on the page. The form reads and writes `value`; the visitor sees `display`.

    They differ for pictures: `value` is a gr.State with the file id or a tuple of ids, `display` shows the pictures.
    `lock_reason` says why the field cannot be used; it is empty if it can.
    """

    field: FormField
    value: Component
    display: Component
    lock_reason: str = ""


def list_form_fields(params: type[Params]) -> tuple[FormField, ...]:
    """List the fields in order of declaration."""
    return tuple(_read_field(params, name, info) for name, info in params.model_fields.items())


def _read_field(params: type[Params], name: str, info: FieldInfo) -> FormField:
    extra = params.schema_extra(name)
    bounds = [asdict(each) for each in info.metadata if isinstance(each, (Ge, Le, MinLen, MaxLen))]
    limits = {kind: value for bound in bounds for kind, value in bound.items()}
    labels = extra.get("x-labels", {})
    return FormField(
        name=name,
        kind=params.kind_of(name),
        label=info.title or name,
        help=info.description or "",
        default=None if info.is_required() else info.default,
        start=None if info.is_required() else extra.get("x-start", info.default),
        required=info.is_required(),
        is_advanced=bool(extra.get("x-more")),
        has_tiles=bool(extra.get("x-tiles")),
        options=tuple((labels.get(each, each), each) for each in get_args(info.annotation) if isinstance(each, str)),
        minimum=limits.get("ge", 0),
        maximum=limits.get("le", 0),
        step=extra.get("x-step", 1),
        unit=extra.get("x-unit", ""),
        max_length=limits.get("max_length"),
        saved_kind=extra.get("x-kept", ""),
        in_place_of=extra.get("x-in-place-of", ""),
        is_drawn=bool(extra.get("x-drawn")),
        min_length=limits.get("min_length", 0),
    )


def build_control(field: FormField, prefix: str, lock_reason: str = "", *, tile_images: bool = False) -> Control:
    """Build the component(s) of `field` inside the open Gradio layout. `prefix` makes the HTML ids unique.

    `tile_images` leaves space for a picture on each option of a field with tiles.
    """
    display = _BUILDERS[field.kind](field, _common_arguments(field, f"{prefix}-{field.name}", lock_reason))
    if tile_images:
        display.elem_classes = [*display.elem_classes, "pictured"]
    if field.holds_pictures:
        return Control(field, gr.State(() if field.kind == "pictures" else None), display, lock_reason)
    return Control(field, display, display, lock_reason)


def to_param_value(field: FormField, value: Any) -> Any:
    """Convert a component's value to what Params takes. Empty text becomes None if the field's default is None."""
    if isinstance(value, str):
        value = value.strip()
    if field.kind == "pictures":
        return tuple(value or ())
    if field.kind == "seed" and isinstance(value, str) and value.isdecimal():
        return int(value)
    if field.kind == "choice":
        return field.default if value is None else value
    if field.kind == "number":
        # The field may be empty, and a slider returns whole numbers as int or float.
        value = field.default if value is None else value
        return int(value) if isinstance(field.default, int) and float(value).is_integer() else value
    if field.kind == "points":
        return value or ()
    if field.kind == "cut":
        return value or field.default
    return None if value == "" and field.default is None else value


def to_component_value(field: FormField, value: Any) -> Any:
    """Convert a Params value to what the component takes: seeds, marks and the numbers of a radio are text there."""
    if field.kind in ("points", "box"):
        return json.dumps(value) if value else ""
    if field.kind == "cut":
        return "" if value == field.default else value
    return str(value) if (_is_segmented(field) or field.kind == "seed") and value is not None else value


def list_change_events(control: Control) -> tuple[EventListener, ...]:
    """List the events with which a visitor, never the program, finishes a change of this field."""
    display: Any = control.display
    names = {gr.Slider: ("release",), gr.Textbox: ("submit", "blur")}
    if control.field.holds_pictures or control.field.kind in POINTED_KINDS:
        return ()
    return tuple(getattr(display, name) for name in names.get(type(display), ("input",)))


# ---------------------------------------------------------------- one builder a kind


def _common_arguments(field: FormField, elem_id: str, lock_reason: str) -> dict[str, Any]:
    """Return the arguments that most components share."""
    return {
        "label": f"{field.label} ({field.unit})" if field.unit else field.label,
        "info": lock_reason or field.help or None,
        "interactive": not lock_reason,
        "elem_id": elem_id,
    }


def _build_prompt(field: FormField, common: dict[str, Any]) -> Component:
    if field.saved_kind:  # its choices are filled in when the tab is opened
        return gr.Dropdown([], value="", allow_custom_value=True, **common)
    # Without the browser's own limit, which cuts what is pasted in silence: page.js counts, the form check refuses.
    counted = [f"dbx-count-{field.max_length}"] if field.max_length else []
    # page.css tells by the placeholder whether something is written: what goes with words that are drawn is shown then.
    placeholder = field.help if field.is_drawn else None
    return gr.Textbox(value="", lines=2, max_lines=4, placeholder=placeholder, elem_classes=counted, **common)


def _build_picture(field: FormField, common: dict[str, Any]) -> Component:
    if not common["interactive"]:  # a picture has no place for the reason
        return gr.Textbox(value="", **common)
    if field.required or field.name == "photo":
        placeholder, css_classes = "Drop a photo, paste it, or click to choose", ()
    else:
        placeholder, css_classes = "Drop a picture, or click to choose", ("dbx-small-photo",)
    return build_photo_upload(field.label, placeholder, common["elem_id"], *css_classes)


def _build_pictures(field: FormField, common: dict[str, Any]) -> Component:
    return PhotosUpload(
        label=f"{field.label} ({_describe_count(field)})",
        file_types=["image"],
        buttons=[],
        columns=4,
        height="auto",
        object_fit="cover",
        allow_preview=False,
        fit_columns=False,
        elem_id=common["elem_id"],
        elem_classes=["dbx-photos"],
        interactive=common["interactive"],
    )


def _describe_count(field: FormField) -> str:
    most = f"up to {field.max_length}" if field.max_length else "any number"
    return f"{field.min_length} to {field.max_length}" if field.min_length > 1 and field.max_length else most


def _build_mask(field: FormField, common: dict[str, Any]) -> Component:
    return gr.HTML(describe_mask(field, False), elem_id=common["elem_id"])


def describe_mask(field: FormField, is_own: bool) -> str:
    """Say which mask is in use. A `Subject`'s mask has an automatic cut-out, any other starts empty."""
    return text.render_mask_status(is_own, field.name in Subject.model_fields)


def _build_choice(field: FormField, common: dict[str, Any]) -> Component:
    options: list[Any] = list(field.options)
    if not field.has_tiles and len(options) > MAX_RADIO_OPTION_COUNT:
        return gr.Dropdown(options, value=field.start, **common)
    css_class = "dbx-tiles" if field.has_tiles else "dbx-segments"
    return gr.Radio(options, value=field.start, elem_classes=[css_class], **common)


def _build_colour(field: FormField, common: dict[str, Any]) -> Component:
    # gr.ColorPicker has no empty value; page.js adds the system's colour picker beside this text field.
    return gr.Textbox(value="", placeholder="#rrggbb, or empty", max_length=7, elem_classes=["dbx-colour"], **common)


def _build_seed(field: FormField, common: dict[str, Any]) -> Component:
    # gr.Number has no empty value: it turns to 0 when it becomes visible, and every picture would get seed 0.
    return gr.Textbox(value="", max_length=len(str(int(field.maximum))), **common)


def _build_marks(field: FormField, common: dict[str, Any]) -> Component:
    # Hidden by the page's style: pointing.js writes here what was pointed at in the picture.
    return gr.Textbox(value="", label=field.label, elem_id=f"{common['elem_id']}-marks", elem_classes=["dbx-marks"])


def _is_segmented(field: FormField) -> bool:
    """Whether the field is a whole number with few values."""
    few_values = field.maximum - field.minimum < MAX_SEGMENT_COUNT
    return field.kind == "number" and isinstance(field.default, int) and few_values


def _build_number(field: FormField, common: dict[str, Any]) -> Component:
    if _is_segmented(field):
        values = [str(n) for n in range(int(field.minimum), int(field.maximum) + 1)]
        return gr.Radio(values, value=str(field.default), elem_classes=["dbx-segments"], **common)
    return gr.Slider(field.minimum, field.maximum, value=field.default, step=field.step, buttons=[], **common)


def _build_flag(field: FormField, common: dict[str, Any]) -> Component:
    return gr.Checkbox(value=bool(field.default), **common)


_BUILDERS: Mapping[FieldKind, Callable[[FormField, dict[str, Any]], Component]] = {
    "prompt": _build_prompt,
    "picture": _build_picture,
    "pictures": _build_pictures,
    "mask": _build_mask,
    "choice": _build_choice,
    "colour": _build_colour,
    "seed": _build_seed,
    "number": _build_number,
    "flag": _build_flag,
    "points": _build_marks,
    "box": _build_marks,
    "cut": _build_marks,
}
