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

from pipelines.core.params import Kind, Params, Subject
from ui.components.pictures import Photo, Photos
from ui.tool_tab import text

RADIO_AT_MOST = 6
"""More choices than this, without tiles, are a dropdown."""
SEGMENTS_AT_MOST = 5
"""A whole number of so few values is a row of segments: one tap, no sliding."""


@dataclass(frozen=True)
class Field:
    """What a Params field says about its widget."""

    name: str
    kind: Kind
    label: str
    help: str
    default: Any
    required: bool
    more: bool
    tiles: bool
    options: tuple[tuple[str, str], ...] = ()
    low: float = 0
    high: float = 0
    step: float = 1
    unit: str = ""
    max_length: int | None = None
    at_least: int = 0
    kept: str = ""

    @property
    def pictured(self) -> bool:
        """Whether its value is one or several pictures."""
        return self.kind in ("picture", "pictures", "mask")

    def lacks(self, value: Any) -> bool:
        """Whether pictures that the field requires are still missing."""
        return self.required and (len(value or ()) < self.at_least if self.kind == "pictures" else value is None)


@dataclass(frozen=True)
class Control:
    """A field on the page. `value` is what a form reads and writes; `shown` is what the visitor sees.

    They differ for pictures: there `value` is a state that holds the file's id, or a tuple of ids, `shown` the
    pictures themselves.
    `locked` says why the field cannot be used, else it is empty.
    """

    field: Field
    value: Component
    shown: Component
    locked: str = ""


def fields_of(params: type[Params]) -> tuple[Field, ...]:
    """Every field, in order of declaration."""
    return tuple(_field(params, name, info) for name, info in params.model_fields.items())


def _field(params: type[Params], name: str, info: FieldInfo) -> Field:
    extra = params.schema_extra(name)
    low, high = _bounds(info)
    return Field(
        name=name,
        kind=params.kind_of(name),
        label=info.title or name,
        help=info.description or "",
        default=None if info.is_required() else info.default,
        required=info.is_required(),
        more=bool(extra.get("x-more")),
        tiles=bool(extra.get("x-tiles")),
        options=_options(info, extra.get("x-labels", {})),
        low=low,
        high=high,
        step=extra.get("x-step", 1),
        unit=extra.get("x-unit", ""),
        max_length=next((m.max_length for m in info.metadata if isinstance(m, annotated_types.MaxLen)), None),
        kept=extra.get("x-kept", ""),
        at_least=next((m.min_length for m in info.metadata if isinstance(m, annotated_types.MinLen)), 0),
    )


def _bounds(info: FieldInfo) -> tuple[float, float]:
    low: Any = next((m.ge for m in info.metadata if isinstance(m, annotated_types.Ge)), 0)
    high: Any = next((m.le for m in info.metadata if isinstance(m, annotated_types.Le)), 0)
    return low, high


def _options(info: FieldInfo, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(words shown, value) for a `Literal`."""
    values = [value for value in get_args(info.annotation) if isinstance(value, str)]
    return tuple((labels.get(value, value), value) for value in values)


def control(field: Field, prefix: str, locked: str = "", *, pictured: bool = False) -> Control:
    """Make the component(s) of `field` in the layout that is open. `prefix` makes the HTML ids unique.

    `pictured` makes room for a picture on each option of a field with tiles.
    """
    made = _MAKERS[field.kind](field, f"{prefix}-{field.name}", locked)
    if pictured:
        made.elem_classes = [*made.elem_classes, "pictured"]
    if field.pictured:
        return Control(field, gr.State(() if field.kind == "pictures" else None), made, locked)
    return Control(field, made, made, locked)


def plain(field: Field, value: Any) -> Any:
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


def words_on(field: Field, value: Any) -> Any:
    """A Params value as the component takes it: a radio of numbers holds texts, and so does a seed."""
    return str(value) if (_segmented(field) or field.kind == "seed") and value is not None else value


def changes(made: Control) -> tuple[EventListener, ...]:
    """The events by which a visitor (never the program) has finished changing this field."""
    shown: Any = made.shown
    names = {gr.Slider: ("release",), gr.Textbox: ("submit", "blur")}
    if made.field.pictured:
        return ()
    return tuple(getattr(shown, name) for name in names.get(type(shown), ("input",)))


# ---------------------------------------------------------------- one maker a kind


def _help(field: Field, locked: str) -> str | None:
    return locked or field.help or None


def _label(field: Field) -> str:
    return f"{field.label} ({field.unit})" if field.unit else field.label


def _prompt(field: Field, elem_id: str, locked: str) -> Component:
    if field.kept:  # what is kept is filled in when the tab is opened
        return gr.Dropdown(
            [], value="", label=field.label, info=_help(field, locked), allow_custom_value=True,
            interactive=not locked, elem_id=elem_id,
        )  # fmt: skip
    return gr.Textbox(
        label=field.label, info=_help(field, locked), value="", lines=2, max_lines=4, max_length=field.max_length,
        interactive=not locked, elem_id=elem_id,
    )  # fmt: skip


def _picture(field: Field, elem_id: str, locked: str) -> Component:
    return Photo(
        label=field.label, sources=["upload"], placeholder="Drop a photo, paste it, or click to choose", buttons=[],
        height=None, elem_id=elem_id, elem_classes=["dbx-photo"], interactive=not locked, alt_text=field.label,
    )  # fmt: skip


def _pictures(field: Field, elem_id: str, locked: str) -> Component:
    return Photos(
        label=f"{field.label} ({_how_many(field)})", file_types=["image"], buttons=[], columns=4, height="auto",
        object_fit="cover", allow_preview=False, fit_columns=False, elem_id=elem_id, elem_classes=["dbx-photos"],
        interactive=not locked,
    )  # fmt: skip


def _how_many(field: Field) -> str:
    most = f"up to {field.max_length}" if field.max_length else "any number"
    return f"{field.at_least} to {field.max_length}" if field.at_least > 1 and field.max_length else most


def _mask(field: Field, elem_id: str, locked: str) -> Component:
    return gr.HTML(mask_words(field, False), elem_id=elem_id)


def mask_words(field: Field, own: bool) -> str:
    """What is said of a mask: the one that every `Subject` has is its cut-out, any other is painted from nothing."""
    return text.mask(own, field.name in Subject.model_fields)


def _choice(field: Field, elem_id: str, locked: str) -> Component:
    options: list[Any] = list(field.options)
    short = len(options) <= RADIO_AT_MOST
    if not (field.tiles or short):
        return gr.Dropdown(
            options, value=field.default, label=field.label, info=_help(field, locked), interactive=not locked,
            elem_id=elem_id,
        )  # fmt: skip
    return gr.Radio(
        options, value=field.default, label=field.label, info=_help(field, locked), interactive=not locked,
        elem_id=elem_id, elem_classes=["dbx-tiles" if field.tiles else "dbx-segments"],
    )  # fmt: skip


def _colour(field: Field, elem_id: str, locked: str) -> Component:
    # Gradio's picker cannot say "none"; page.js adds the system's own picker beside this text.
    return gr.Textbox(
        label=field.label, info=_help(field, locked), value="", placeholder="#rrggbb, or empty", max_length=7,
        interactive=not locked, elem_id=elem_id, elem_classes=["dbx-colour"],
    )  # fmt: skip


def _seed(field: Field, elem_id: str, locked: str) -> Component:
    # Gradio's field for numbers knows no empty one: as soon as it is seen it holds 0, and every picture that seed.
    return gr.Textbox(
        label=field.label, info=_help(field, locked), value="", max_length=len(str(int(field.high))),
        interactive=not locked, elem_id=elem_id,
    )  # fmt: skip


def _segmented(field: Field) -> bool:
    return field.kind == "number" and isinstance(field.default, int) and field.high - field.low < SEGMENTS_AT_MOST


def _number(field: Field, elem_id: str, locked: str) -> Component:
    if _segmented(field):
        return gr.Radio(
            [str(n) for n in range(int(field.low), int(field.high) + 1)], value=str(field.default), label=_label(field),
            info=_help(field, locked), interactive=not locked, elem_id=elem_id, elem_classes=["dbx-segments"],
        )  # fmt: skip
    return gr.Slider(
        field.low, field.high, value=field.default, step=field.step, label=_label(field), info=_help(field, locked),
        interactive=not locked, buttons=[], elem_id=elem_id,
    )  # fmt: skip


def _flag(field: Field, elem_id: str, locked: str) -> Component:
    return gr.Checkbox(
        value=bool(field.default), label=field.label, info=_help(field, locked), interactive=not locked, elem_id=elem_id
    )


_MAKERS: Mapping[Kind, Callable[[Field, str, str], Component]] = {
    "prompt": _prompt,
    "picture": _picture,
    "pictures": _pictures,
    "mask": _mask,
    "choice": _choice,
    "colour": _colour,
    "seed": _seed,
    "number": _number,
    "flag": _flag,
}
