"""A field becomes the component that suits it, and its value goes there and back unchanged."""

from __future__ import annotations

from typing import Any, Literal
from unittest.mock import Mock

import gradio as gr
import pytest

from pipelines.core import params as core_params
from pipelines.core import tools
from pipelines.core.params import Params
from pipelines.service.form_checks import FormChecks
from pipelines.tools import TOOLS, social_kit
from pipelines.tools.headshot import Headshot
from pipelines.tools.retouch import Retouch
from tests.support.gradio_loop import build_parts
from ui.tool_tab.form_controls import (
    Control,
    build_control,
    list_change_events,
    list_form_fields,
    to_component_value,
    to_param_value,
)


class SampleForm(Params):
    photo: str = core_params.picture_field("Photo", "A picture.", required=True)
    team: tuple[str, ...] = core_params.pictures_field("Team", "Some pictures.", min_count=2, max_count=12)
    matte: str | None = core_params.mask_field("Cut-out", "White keeps.")
    look: Literal["a", "b"] = core_params.choice_field("Look", "One.", "a", labels={"a": "Plain"}, tiles=True)
    many: Literal["1", "2", "3", "4", "5", "6", "7", "8"] = core_params.choice_field("Many", "One of eight.", "3")
    note: str = core_params.prompt_field("Note", "Words.", max_length=40)
    count: int = core_params.number_field("Count", "Few.", 1, ge=1, le=4)
    blur: float = core_params.number_field("Blur", "Much.", 0.5, ge=0, le=15, step=0.1, unit="%")
    paper: str | None = core_params.colour_field("Paper", "A colour.")
    agree: bool = core_params.flag_field("Agree", "Yes or no.")
    seed: int | None = core_params.seed_field()


def build_controls(params: type[Params], locked: str = "") -> dict[str, Control]:
    def make() -> dict[str, Control]:
        with gr.Blocks():
            return {field.name: build_control(field, "form", locked) for field in list_form_fields(params)}

    return build_parts(make)


@pytest.fixture
def made() -> dict[str, Control]:
    return build_controls(SampleForm)


def test_a_logo_takes_less_room_than_the_photo_and_is_called_a_picture() -> None:
    made = build_controls(social_kit.TOOL.params)
    photo: Any = made["photo"].display
    logo: Any = made["logo"].display
    assert "dbx-small-photo" in logo.elem_classes
    assert "dbx-small-photo" not in photo.elem_classes
    assert (photo.placeholder, logo.placeholder) == (
        "Drop a photo, paste it, or click to choose",
        "Drop a picture, or click to choose",
    )


def test_each_kind_has_its_component(made: dict[str, Control]) -> None:
    kinds = {name: type(each.display).__name__ for name, each in made.items()}
    assert kinds == {
        "photo": "Photo",
        "team": "Photos",
        "matte": "HTML",
        "look": "Radio",
        "many": "Dropdown",
        "note": "Textbox",
        "count": "Radio",
        "blur": "Slider",
        "paper": "Textbox",
        "agree": "Checkbox",
        "seed": "Textbox",
    }


def test_bounds_default_and_words_come_from_the_field(made: dict[str, Control]) -> None:
    blur: Any = made["blur"].display
    assert (blur.minimum, blur.maximum, blur.step, blur.value, blur.label) == (0, 15, 0.1, 0.5, "Blur (%)")
    look: Any = made["look"].display
    assert look.choices == [("Plain", "a"), ("b", "b")]
    assert "dbx-tiles" in look.elem_classes


def test_a_picture_is_an_id_beside_what_is_shown(made: dict[str, Control]) -> None:
    assert isinstance(made["photo"].value, gr.State)
    assert made["note"].value is made["note"].display


def test_several_pictures_are_ids_in_order_and_say_how_many_fit(made: dict[str, Control]) -> None:
    team = made["team"]
    assert isinstance(team.value, gr.State)
    assert team.display.label == "Team (2 to 12)"
    assert to_param_value(team.field, ["file-b", "file-a"]) == ("file-b", "file-a")
    assert to_param_value(team.field, None) == ()
    assert team.field.is_missing(("file-b",))
    assert not team.field.is_missing(("file-b", "file-a"))


@pytest.mark.parametrize(
    ("name", "shown", "value"),
    [
        ("count", "3", 3),
        ("blur", 2, 2),
        ("paper", "", None),
        ("paper", " #a0b1c2 ", "#a0b1c2"),
        ("note", " hi ", "hi"),
        ("look", None, "a"),
        ("seed", None, None),
        ("seed", "", None),
        ("seed", "7", 7),
        ("agree", True, True),
    ],
)
def test_what_a_component_hands_over_is_what_params_take(name: str, shown: object, value: object) -> None:
    field = next(field for field in list_form_fields(SampleForm) if field.name == name)
    assert to_param_value(field, shown) == value
    given = {"photo": "file-x", "team": ("file-x", "file-y")}
    assert getattr(SampleForm.model_validate({**given, name: to_param_value(field, shown)}), name) == value


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_an_untouched_form_of_every_tool_is_valid(tool: tools.Tool) -> None:
    controls = list(build_controls(tool.params).values())
    values = {each.field.name: to_param_value(each.field, getattr(each.value, "value", None)) for each in controls}
    for each in controls:
        if each.field.required:
            few = ("file-x",) * each.field.min_length
            values[each.field.name] = few if each.field.kind == "pictures" else "file-x"
    params = tool.params.model_validate(values)
    for each in controls:
        assert (
            to_param_value(each.field, to_component_value(each.field, getattr(params, each.field.name)))
            == values[each.field.name]
        )


def test_a_locked_field_says_why_and_cannot_be_touched() -> None:
    each: Any = build_controls(SampleForm, "Needs a GPU.")["note"]
    assert each.display.interactive is False
    assert each.display.info == "Needs a GPU."


def test_only_a_visitors_own_change_counts(made: dict[str, Control]) -> None:
    names = {name: [listener.event_name for listener in list_change_events(each)] for name, each in made.items()}
    assert names["blur"] == ["release"]
    assert names["note"] == ["submit", "blur"]
    assert names["look"] == ["input"]
    assert names["photo"] == names["team"] == []


@pytest.mark.parametrize(("verbs", "is_greyed"), [((), True), (("edit",), True), (("inpaint",), False)])
def test_words_that_no_model_here_follows_are_greyed_though_the_api_takes_them(
    verbs: tuple[str, ...], is_greyed: bool
) -> None:
    checks = FormChecks(Mock(), Mock(specs=dict.fromkeys(verbs, "model")), Mock())
    assert checks.locking_verbs(Retouch, "prompt") == (("inpaint",) if is_greyed else ())
    checks.check_verbs(Retouch(photo="file-1", prompt="grass"))
    assert checks.locking_verbs(Headshot, "outfit") == checks.missing_verbs(Headshot, "outfit")
