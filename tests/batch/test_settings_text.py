"""Settings that go from a finished picture to a folder: what differs, one a line, as the batch form reads it."""

from __future__ import annotations

import pytest

from pipelines.batch.row_values import rows_from_pictures
from pipelines.core.errors import BadInput
from pipelines.tools import business, character, headshot, product, social_kit
from ui.batch_tab.text import format_settings, list_setting_choices, split_settings


def test_only_what_differs_is_written_and_no_photo_no_consent_no_look() -> None:
    params = headshot.Headshot(photo="file-a", preset="park", blur=2.5, backdrop="file-b", consent=True)
    assert format_settings(headshot.Headshot, {**params.model_dump(), "seed": 7}) == (
        "backdrop = file-b\nblur = 2.5\nseed = 7"
    )


def test_a_folder_is_bound_to_the_photo_and_to_nothing_else() -> None:
    rows = [line.cells for line in rows_from_pictures(social_kit.TOOL, iter(["a.jpg", "b.jpg"]))]
    assert rows == [{"photo": "a.jpg"}, {"photo": "b.jpg"}]
    for tool in (business.TOOL, character.TOOL):  # which have a logo, a backdrop, a reference, and no one photo
        with pytest.raises(BadInput, match="table"):
            list(rows_from_pictures(tool, iter(["a.jpg"])))


def test_names_on_several_lines_become_one_line_that_the_tool_reads_alike() -> None:
    names = "Ada King, Engineer\nGrace Hopper, Admiral"
    (line,) = format_settings(business.Business, {"names": names}).splitlines()
    assert line == "names = Ada King, Engineer; Grace Hopper, Admiral"


def test_what_is_written_gives_the_same_values_back() -> None:
    params = headshot.Headshot(photo="x", framing="wide", looks="four", size=768, light="relit", quality=80)
    rows = dict(row.split(" = ", 1) for row in format_settings(headshot.Headshot, params.model_dump()).splitlines())
    assert headshot.Headshot.model_validate({"photo": "x", **rows}) == params


def test_what_may_be_added_names_every_option_but_the_usual_one() -> None:
    choices = dict(list_setting_choices(product.Product))
    assert choices["Shape → 4:5"] == "ratio = 4:5"
    assert "Shape → Auto" not in choices
    assert choices["Draw the scene around the subject → on"] == "around = true"
    assert choices["Size → 2048 px"] == "size = 2048"
    assert choices["Variations → 3"] == "variations = 3"
    assert "Variations → 1" not in choices, "the usual one"
    assert choices["Background in words → type it below"] == "background ="
    fields = {line.partition(" =")[0] for line in choices.values()}
    assert not fields & {"photo", "preset", "consent", "keep", "brand", "pick", "placement_x"}, (
        "each row has its own, or the form has it beside"
    )
    for line in choices.values():
        name, _, value = line.partition(" = ")
        assert not value or product.Product.model_validate({"photo": "x", name: value})


def test_settings_of_a_picture_are_options_where_there_is_one_and_else_lines() -> None:
    chosen, lines = split_settings(product.Product, "ratio = 4:5\nsize = 1000\n\nbackground = an oak table\nmargin = 9")
    assert chosen == ["ratio = 4:5"]
    assert lines == "size = 1000\nbackground = an oak table\nmargin = 9"
