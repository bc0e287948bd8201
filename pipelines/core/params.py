"""Form fields of the tools. Each field declares its bounds, default, help text, widget and required verbs once.

The tool's tab, its REST schema, the CSV header and the docs are derived from these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypedDict, Unpack

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import from_json

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

Verb = Literal["backdrop", "text", "edit", "image", "inpaint", "control", "video", "tryon"]

FieldKind = Literal[
    "prompt", "picture", "pictures", "mask", "choice", "colour", "seed", "number", "flag", "points", "box", "cut"
]
POINTED_KINDS: tuple[FieldKind, ...] = ("points", "box", "cut")
"""Kinds of fields that say of one photo what its subject is; the page sets them by pointing."""
CutBy = Literal["all", "careful", "quick"]
"""Which nets cut out: all of them together, the most careful one alone, or the quick one alone."""

MAX_SEED = 2**32 - 1

MAX_SIDE = 2048

MAX_POINT_COUNT = 400  # of one field: a stroke is sent as the points along it


def _parse_marks(value: object) -> object:
    """Read marks that a multipart part, a table's cell or the page sends as text; anything else passes unchanged."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError:
        raise ValueError("write it as JSON, for example [[0.5, 0.3], [0.2, 0.8]]") from None


def _parse_points(value: object) -> object:
    """Read points; none are an empty tuple, so that JSON's null and an empty cell mean the default."""
    parsed = _parse_marks(value)
    return () if parsed is None else parsed


def _check_subject_box(box: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
    """Refuse a box without an inside."""
    if box is not None and not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError("left comes before right, top before bottom")
    return box


Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Point: TypeAlias = tuple[Share, Share]
"""A point of the photo: shares of its width, from the left, and of its height, from the top."""
Points: TypeAlias = Annotated[tuple[Point, ...], BeforeValidator(_parse_points)]
SubjectBox: TypeAlias = Annotated[
    tuple[Share, Share, Share, Share] | None, BeforeValidator(_parse_marks), AfterValidator(_check_subject_box)
]
"""Left, top, right, bottom, as shares of the photo."""
DrawnWords: TypeAlias = Annotated[str, AfterValidator(str.strip)]
"""Words that stand in the picture; blanks alone are none."""


def _drop_empty(entries: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in entries.items() if value}


class _FieldConditions(TypedDict, total=False):
    """What any field may have: it is `advanced`, and `needs` models with these verbs; `needs_any`: one is enough."""

    advanced: bool
    needs: tuple[Verb, ...]
    needs_any: bool


def _build_field(
    kind: FieldKind,
    label: str,
    help: str,
    default: object,
    extra: Mapping[str, object] | None = None,
    bounds: Mapping[str, float] | None = None,
    **conditions: Unpack[_FieldConditions],
) -> Any:
    marks: dict[str, Any] = {
        "x-more": conditions.get("advanced"),
        "x-needs": list(conditions.get("needs", ())),
        "x-needs-any": conditions.get("needs_any"),
    }
    schema: dict[str, Any] = {"x-kind": kind, **(extra or {}), **_drop_empty(marks)}
    return Field(default=default, title=label, description=help, json_schema_extra=schema, **dict(bounds or {}))  # pyrefly: ignore[no-matching-overload]


def prompt_field(
    label: str,
    help: str,
    *,
    max_length: int = 400,
    saved_kind: str = "",
    is_drawn: bool = False,
    in_place_of: str = "",
    followed_by: tuple[Verb, ...] = (),
    **conditions: Unpack[_FieldConditions],
) -> Any:
    """Declare free text, `str`. `saved_kind`: it names a saved item.

    `followed_by`: only models with one of these verbs follow the words. Without one the page greys the field, and the
    API takes the words and says that they were not used. `is_drawn`: the words stand in the picture, so that each sign
    needs a font. `in_place_of` is the choice that these words override; on the page the one that was chosen or written
    last counts, and the other one is empty.
    """
    extra = {"x-kept": saved_kind, "x-in-place-of": in_place_of, "x-drawn": is_drawn, "x-followed-by": [*followed_by]}
    return _build_field("prompt", label, help, "", _drop_empty(extra), {"max_length": max_length}, **conditions)


def picture_field(label: str, help: str, *, required: bool = False, **conditions: Unpack[_FieldConditions]) -> Any:
    """Declare one file id; `str` when required (`...`), else `str | None`."""
    return _build_field("picture", label, help, ... if required else None, **conditions)


def pictures_field(label: str, help: str, *, max_count: int, min_count: int = 1, advanced: bool = False) -> Any:
    """Declare several file ids, `tuple[str, ...]`."""
    default: object = ... if min_count else ()
    bounds = {"min_length": min_count, "max_length": max_count}
    return _build_field("pictures", label, help, default, advanced=advanced, bounds=bounds)


def mask_field(label: str, help: str, *, advanced: bool = True) -> Any:
    """Declare one optional file id of a grey or RGBA picture read as a mask, `str | None`."""
    return _build_field("mask", label, help, None, advanced=advanced)


def choice_field(
    label: str,
    help: str,
    default: str,
    *,
    labels: Mapping[str, str] | None = None,
    tiles: bool = False,
    start: str = "",
    **conditions: Unpack[_FieldConditions],
) -> Any:
    """Declare one value of the `Literal` that annotates the field. `labels` are shown; `tiles` adds pictures.

    `start` is what the page has chosen at first, where that is not the default of the API.
    """
    extra = {"x-labels": dict(labels or {}), **_drop_empty({"x-tiles": tiles, "x-start": start})}
    return _build_field("choice", label, help, default, extra, **conditions)


def colour_field(label: str, help: str, *, advanced: bool = False) -> Any:
    """Declare a colour, `#rrggbb` or None, `str | None`."""
    return _build_field("colour", label, help, None, advanced=advanced, bounds={"pattern": "^#[0-9a-fA-F]{6}$"})  # pyrefly: ignore[bad-assignment]


def seed_field() -> Any:
    """Declare a seed, `int | None`, 0 to 2^32-1; None is replaced by a random seed when the job is made."""
    help = "The number that a picture starts from: same settings and seed, same picture. Empty: a new one."
    return _build_field("seed", "Seed", help, None, advanced=True, bounds={"ge": 0, "le": MAX_SEED})


def number_field(
    label: str,
    help: str,
    default: float,
    *,
    ge: float,
    le: float,
    step: float = 1,
    unit: str = "",
    **conditions: Unpack[_FieldConditions],
) -> Any:
    """Declare a bounded `int` or `float`; an advanced field unless said otherwise."""
    extra, bounds = {"x-step": step, **_drop_empty({"x-unit": unit})}, {"ge": ge, "le": le}
    conditions.setdefault("advanced", True)
    return _build_field("number", label, help, default, extra, bounds, **conditions)


def flag_field(label: str, help: str, default: bool = False, **conditions: Unpack[_FieldConditions]) -> Any:
    """Declare a `bool`; an advanced field unless said otherwise."""
    conditions.setdefault("advanced", True)
    return _build_field("flag", label, help, default, **conditions)


def points_field(label: str, help: str) -> Any:
    """Declare points of the photo, `Points`; empty by default."""
    return _build_field("points", label, help, (), advanced=True, bounds={"max_length": MAX_POINT_COUNT})


def keep_field() -> Any:
    """Points that belong to the subject, `Points`."""
    return points_field("Belongs to it", "Points of the photo that belong to the subject, each [x, y] from 0 to 1.")


def drop_field() -> Any:
    """Points that do not belong to the subject, `Points`."""
    return points_field("Does not belong", "Points that do not belong to the subject, each [x, y] from 0 to 1.")


def subject_box_field(
    help: str = "[left, top, right, bottom] from 0 to 1: nothing outside it is the subject.",
) -> Any:
    """Declare the box around the subject, `SubjectBox`; None by default."""
    return _build_field("box", "Box around it", help, None, advanced=True)


def cut_by_field() -> Any:
    """Declare which nets cut out, `CutBy`."""
    help = "Which nets cut out: `all` together, or `careful` or `quick` alone, where that looks better."
    return _build_field("cut", "Cut out by", help, "all", advanced=True)


class Params(BaseModel):
    """Base of every tool's form: frozen; unknown names, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    person: ClassVar[bool] = False

    @classmethod
    def kind_of(cls, name: str) -> FieldKind:
        """Return the widget kind of the field `name`."""
        return cls.schema_extra(name)["x-kind"]

    @classmethod
    def schema_extra(cls, name: str) -> dict[str, Any]:
        """Return the `x-…` entries in the schema of the field `name`."""
        extra = cls.model_fields[name].json_schema_extra
        return extra if isinstance(extra, dict) else {}

    @classmethod
    def fields_of_kind(cls, *kinds: FieldKind) -> tuple[str, ...]:
        """Return the names of the fields of these kinds, in the order of declaration."""
        return tuple(name for name in cls.model_fields if cls.kind_of(name) in kinds)


@lru_cache(maxsize=64)
def read_form_schema(params: type[Params]) -> dict[str, Any]:
    """Return the JSON schema of a form, which is made once, since pydantic takes milliseconds: nobody may change it."""
    return params.model_json_schema()


class SubjectSelection(Params):
    """The form fields that say what is cut out of one photo."""

    photo: str = picture_field("Photo", "The picture to work on.", required=True)
    matte: str | None = mask_field("Cut-out", "White keeps, black drops: replaces the automatic cut-out.")
    pick: int = number_field("Subject", "0: main subject or largest face; 1, 2, …: the next by size.", 0, ge=0, le=15)
    keep: Points = keep_field()
    drop: Points = drop_field()
    box: SubjectBox = subject_box_field()
    cut_by: CutBy = cut_by_field()

    @property
    def is_pointed(self) -> bool:
        """Whether points or a box say what the subject is."""
        return bool(self.keep or self.drop or self.box)


class Subject(SubjectSelection):
    """The form fields that most tools with one photo share: what is cut out, and its placement."""

    placement_x: float = number_field(
        "Move right", "Part of the picture's width; below 0 is to the left.", 0.0, ge=-0.5, le=0.5, step=0.01
    )
    placement_y: float = number_field(
        "Move down", "Part of the picture's height; below 0 is up.", 0.0, ge=-0.5, le=0.5, step=0.01
    )
    placement_scale: float = number_field("Scale", "1 is the framing's own size.", 1.0, ge=0.5, le=2.0, step=0.01)


def subject_of(params: Params) -> Subject:
    """Make the `Subject` of a form that shares only some of its fields: what is cut out, without a placement."""
    return Subject(
        **{name: getattr(params, name) for name in SubjectSelection.model_fields if name in type(params).model_fields}
    )
