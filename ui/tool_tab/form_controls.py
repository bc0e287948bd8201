"""One field of a tool's Params becomes one Gradio component; knows no tool, and reads everything from the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import annotated_types
import gradio as gr
from gradio.components import Component
from gradio.events import EventListener
from pydantic.fields import FieldInfo

from pipelines.core.params import FieldKind, Params, Subject
from ui.components.pictures import PhotosUpload, PhotoUpload
from ui.tool_tab import text

MAX_RADIO_OPTION_COUNT = 6
"""More choices than this, without tiles, are a dropdown."""
MAX_SEGMENT_COUNT = 5
"""A whole number of so few values is a row of segments: one tap, no sliding."""


@dataclass(frozen=True)
class FormField:
    """What a Params field says about its widget."""

    name: str
    kind: FieldKind
    label: str
    help: str
    default: Any
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

    @property
    def holds_pictures(self) -> bool:
        """Whether its value is one or several pictures."""
        return self.kind in ("picture", "pictures", "mask")

    def is_missing(self, value: Any) -> bool:
        """Whether pictures that the field requires are still missing."""
        return self.required and (len(value or ()) < self.min_length if self.kind == "pictures" else value is None)


@dataclass(frozen=True)
class Control:
    """A field on the page. `value` is what a form reads and writes; `shown` is what the visitor sees.

    They differ for pictures: there `value` is a state that holds the file's id, or a tuple of ids, `shown` the
    pictures themselves.
    `locked` says why the field cannot be used, else it is empty.
    """

    field: FormField
    value: Component
    display: Component
    lock_reason: str = ""


def list_form_fields(params: type[Params]) -> tuple[FormField, ...]:
    """Every field, in order of declaration."""
    return tuple(_read_field(params, name, info) for name, info in params.model_fields.items())


def _read_field(params: type[Params], name: str, info: FieldInfo) -> FormField:
    extra = params.schema_extra(name)
    low, high = _read_bounds(info)
    return FormField(
        name=name,
        kind=params.kind_of(name),
        label=info.title or name,
        help=info.description or "",
        default=None if info.is_required() else info.default,
        required=info.is_required(),
        is_advanced=bool(extra.get("x-more")),
        has_tiles=bool(extra.get("x-tiles")),
        options=_read_options(info, extra.get("x-labels", {})),
        minimum=low,
        maximum=high,
        step=extra.get("x-step", 1),
        unit=extra.get("x-unit", ""),
        max_length=next((m.max_length for m in info.metadata if isinstance(m, annotated_types.MaxLen)), None),
        saved_kind=extra.get("x-kept", ""),
        min_length=next((m.min_length for m in info.metadata if isinstance(m, annotated_types.MinLen)), 0),
    )


def _read_bounds(info: FieldInfo) -> tuple[float, float]:
    low: Any = next((m.ge for m in info.metadata if isinstance(m, annotated_types.Ge)), 0)
    high: Any = next((m.le for m in info.metadata if isinstance(m, annotated_types.Le)), 0)
    return low, high


def _read_options(info: FieldInfo, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(words shown, value) for a `Literal`."""
    values = [value for value in get_args(info.annotation) if isinstance(value, str)]
    return tuple((labels.get(value, value), value) for value in values)


def build_control(field: FormField, prefix: str, lock_reason: str = "", *, tile_images: bool = False) -> Control:
    """Make the component(s) of `field` in the layout that is open. `prefix` makes the HTML ids unique.

    `pictured` makes room for a picture on each option of a field with tiles.
    """
    made = _BUILDERS[field.kind](field, f"{prefix}-{field.name}", lock_reason)
    if tile_images:
        made.elem_classes = [*made.elem_classes, "pictured"]
    if field.holds_pictures:
        return Control(field, gr.State(() if field.kind == "pictures" else None), made, lock_reason)
    return Control(field, made, made, lock_reason)


def to_param_value(field: FormField, value: Any) -> Any:
    """A component's value as Params takes it: empty text is nothing where the field's default is nothing."""
    if isinstance(value, str):
        value = value.strip()
    if field.kind == "pictures":
        return tuple(value or ())
    if field.kind == "seed" and isinstance(value, str) and value.isdecimal():
        return int(value)
    if field.kind == "choice":
        return field.default if value is None else value
    if field.kind == "number":
        # A number field that was emptied; and a slider hands a whole number back as it likes.
        value = field.default if value is None else value
        return int(value) if isinstance(field.default, int) and float(value).is_integer() else value
    return None if value == "" and field.default is None else value


def to_component_value(field: FormField, value: Any) -> Any:
    """A Params value as the component takes it: a radio of numbers holds texts, and so does a seed."""
    return str(value) if (_is_segmented(field) or field.kind == "seed") and value is not None else value


def list_change_events(made: Control) -> tuple[EventListener, ...]:
    """The events by which a visitor (never the program) has finished changing this field."""
    shown: Any = made.display
    names = {gr.Slider: ("release",), gr.Textbox: ("submit", "blur")}
    if made.field.holds_pictures:
        return ()
    return tuple(getattr(shown, name) for name in names.get(type(shown), ("input",)))


# ---------------------------------------------------------------- one maker a kind


def _help_text(field: FormField, lock_reason: str) -> str | None:
    return lock_reason or field.help or None


def _label_text(field: FormField) -> str:
    return f"{field.label} ({field.unit})" if field.unit else field.label


def _build_prompt(field: FormField, elem_id: str, lock_reason: str) -> Component:
    if field.saved_kind:  # what is kept is filled in when the tab is opened
        return gr.Dropdown(
            [], value="", label=field.label, info=_help_text(field, lock_reason), allow_custom_value=True,
            interactive=not lock_reason, elem_id=elem_id,
        )  # fmt: skip
    return gr.Textbox(
        label=field.label, info=_help_text(field, lock_reason), value="", lines=2, max_lines=4, max_length=field.max_length,
        interactive=not lock_reason, elem_id=elem_id,
    )  # fmt: skip


def _build_picture(field: FormField, elem_id: str, lock_reason: str) -> Component:
    return PhotoUpload(
        label=field.label, sources=["upload"], placeholder="Drop a photo, paste it, or click to choose", buttons=[],
        height=None, elem_id=elem_id, elem_classes=["dbx-photo"], interactive=not lock_reason, alt_text=field.label,
    )  # fmt: skip


def _build_pictures(field: FormField, elem_id: str, lock_reason: str) -> Component:
    return PhotosUpload(
        label=f"{field.label} ({_describe_count(field)})", file_types=["image"], buttons=[], columns=4, height="auto",
        object_fit="cover", allow_preview=False, fit_columns=False, elem_id=elem_id, elem_classes=["dbx-photos"],
        interactive=not lock_reason,
    )  # fmt: skip


def _describe_count(field: FormField) -> str:
    most = f"up to {field.max_length}" if field.max_length else "any number"
    return f"{field.min_length} to {field.max_length}" if field.min_length > 1 and field.max_length else most


def _build_mask(field: FormField, elem_id: str, lock_reason: str) -> Component:
    return gr.HTML(describe_mask(field, False), elem_id=elem_id)


def describe_mask(field: FormField, own: bool) -> str:
    """What is said of a mask: the one that every `Subject` has is its cut-out, any other is painted from nothing."""
    return text.render_mask_status(own, field.name in Subject.model_fields)


def _build_choice(field: FormField, elem_id: str, lock_reason: str) -> Component:
    options: list[Any] = list(field.options)
    short = len(options) <= MAX_RADIO_OPTION_COUNT
    if not (field.has_tiles or short):
        return gr.Dropdown(
            options, value=field.default, label=field.label, info=_help_text(field, lock_reason), interactive=not lock_reason,
            elem_id=elem_id,
        )  # fmt: skip
    return gr.Radio(
        options, value=field.default, label=field.label, info=_help_text(field, lock_reason), interactive=not lock_reason,
        elem_id=elem_id, elem_classes=["dbx-tiles" if field.has_tiles else "dbx-segments"],
    )  # fmt: skip


def _build_colour(field: FormField, elem_id: str, lock_reason: str) -> Component:
    # Gradio's picker cannot say "none"; page.js adds the system's own picker beside this text.
    return gr.Textbox(
        label=field.label, info=_help_text(field, lock_reason), value="", placeholder="#rrggbb, or empty", max_length=7,
        interactive=not lock_reason, elem_id=elem_id, elem_classes=["dbx-colour"],
    )  # fmt: skip


def _build_seed(field: FormField, elem_id: str, lock_reason: str) -> Component:
    # Gradio's field for numbers knows no empty one: as soon as it is seen it holds 0, and every picture that seed.
    return gr.Textbox(
        label=field.label, info=_help_text(field, lock_reason), value="", max_length=len(str(int(field.maximum))),
        interactive=not lock_reason, elem_id=elem_id,
    )  # fmt: skip


def _is_segmented(field: FormField) -> bool:
    return (
        field.kind == "number" and isinstance(field.default, int) and field.maximum - field.minimum < MAX_SEGMENT_COUNT
    )


def _build_number(field: FormField, elem_id: str, lock_reason: str) -> Component:
    if _is_segmented(field):
        return gr.Radio(
            [str(n) for n in range(int(field.minimum), int(field.maximum) + 1)], value=str(field.default), label=_label_text(field),
            info=_help_text(field, lock_reason), interactive=not lock_reason, elem_id=elem_id, elem_classes=["dbx-segments"],
        )  # fmt: skip
    return gr.Slider(
        field.minimum, field.maximum, value=field.default, step=field.step, label=_label_text(field), info=_help_text(field, lock_reason),
        interactive=not lock_reason, buttons=[], elem_id=elem_id,
    )  # fmt: skip


def _build_flag(field: FormField, elem_id: str, lock_reason: str) -> Component:
    return gr.Checkbox(
        value=bool(field.default),
        label=field.label,
        info=_help_text(field, lock_reason),
        interactive=not lock_reason,
        elem_id=elem_id,
    )


_BUILDERS: Mapping[FieldKind, Callable[[FormField, str, str], Component]] = {
    "prompt": _build_prompt,
    "picture": _build_picture,
    "pictures": _build_pictures,
    "mask": _build_mask,
    "choice": _build_choice,
    "colour": _build_colour,
    "seed": _build_seed,
    "number": _build_number,
    "flag": _build_flag,
}
