"""What the first page offers for a photo: looks from all over a form, and of those tried the least cut out."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from pipelines.core.errors import BadInput, error_from_json, error_to_json
from pipelines.core.geometry import UNCLEAR_UNCERTAINTY
from pipelines.core.job import Result
from pipelines.models import profiles
from pipelines.models.nets.isnet import IsNet
from pipelines.models.nets.u2net import U2Net
from pipelines.settings import Settings
from pipelines.tools import TOOLS, headshot, product, style
from tests.support.examples import make_blob, make_noise
from tests.support.gradio_loop import build_parts
from tests.support.served_app import run_studio
from ui.home_tab.quick_start import (
    DRAFT_COUNT,
    SCENERY_SUGGESTION,
    QuickStart,
    QuickStartState,
    render_draft_doubt,
    render_other_tools,
    select_best_drafts,
    spread_looks,
    suggest_tool,
)
from ui.tool_tab.look_choice import OUTLINE_CHECK, TriedDraft, measure_edge_visibility
from ui.tool_tab.text import FIRST_LOOK_MARK

LOCAL: Any = None
UNKNOWN = float("inf")


def make_result(**checks: float) -> Result:
    receipt: dict[str, Any] = {"checks": checks}
    return Result((), receipt, 0.1)


def test_the_first_looks_come_from_all_over_and_every_look_comes_once() -> None:
    names = [look["preset"] for look in spread_looks(headshot.TOOL)]
    assert names[:DRAFT_COUNT] == ["linkedin", "creative-colour", "park"]
    assert sorted(names) == sorted(headshot.LOOKS)


@pytest.mark.parametrize(
    ("checks", "how_much"), [({OUTLINE_CHECK: 31.0}, 31.0), ({OUTLINE_CHECK: 5.0}, UNKNOWN), ({}, UNKNOWN)]
)
def test_what_is_lost_in_the_scene_or_not_measured_is_offered_last(checks: dict[str, float], how_much: float) -> None:
    assert measure_edge_visibility(make_result(**checks)) == how_much


def test_three_stay_that_show_least_and_equal_ones_stay_as_they_came() -> None:
    tried = [TriedDraft(None, {"preset": str(n)}, much) for n, much in enumerate((UNKNOWN, 40.0, 20.0, 40.0, 60.0))]
    best: list[TriedDraft] = []
    for each in tried:
        best = select_best_drafts([*best, each])
    assert [each.settings["preset"] for each in best] == ["0", "2", "1"], "the usual look, then the best of the others"


@pytest.mark.parametrize(
    ("faces", "has_consent", "tool"),
    [(0, False, "product"), (0, True, "background"), (1, True, "headshot"), (3, True, "business")],
)
def test_a_photo_in_which_a_person_is_said_to_be_is_no_product(faces: int, has_consent: bool, tool: str) -> None:
    suggestion = suggest_tool(faces, has_consent, TOOLS)
    assert suggestion is not None
    assert suggestion.tool == tool


def test_enlarging_is_not_offered_beside_a_face_that_it_does_not_help() -> None:
    refused = BadInput("The face is too small.", code="no_face", param="photo", useless_tool="upscale")
    helped = BadInput("The face is too small.", code="no_face", param="photo")
    assert error_from_json(error_to_json(refused)).useless_tool == "upscale"
    assert error_from_json(error_to_json(helped)).useless_tool == ""
    assert 'href="#upscale"' in render_other_tools(TOOLS)
    assert 'href="#upscale"' not in render_other_tools(TOOLS, without=("upscale",))


@pytest.mark.parametrize(("is_scenery", "tool"), [(False, "product"), (True, "style")], ids=["thing", "scenery"])
def test_first_looks_are_drawn_again_with_the_finer_cutout_and_where_it_finds_no_subject_the_whole_photo_is_styled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_scenery: bool, tool: str
) -> None:
    small, large = (make_blob(320, 320, (160, 170), (radius, radius)) for radius in (50, 85))
    hills = np.zeros((320, 320), np.float32)
    hills[150:] = 1
    for net, seen in ((U2Net, small), (IsNet, hills if is_scenery else large)):
        monkeypatch.setattr(net, "predict_map", lambda _net, _image, seen=seen: seen)
    profile = profiles.choose_profile("embedded")[0]
    with run_studio(Settings(data=tmp_path, matting="both"), [product.TOOL, style.TOOL], profile) as studio:

        def build() -> QuickStart:
            with gr.Blocks():
                return QuickStart(studio.service, studio.access, "")

        page = build_parts(build)
        state = QuickStartState(photo_id=studio.service.files.add_image(make_noise(300, 300), "local", "upload"))

        async def list_updates() -> list[dict[Any, Any]]:
            return [each async for each in page.change_consent(LOCAL, state, "nobody")]

        shown = asyncio.run(list_updates())
    assert state.tool_id == tool
    assert len(state.settings) == DRAFT_COUNT
    sentences = [str(each[page.status]) for each in shown if page.status in each]
    assert "Nobody in it." in sentences[1], "the first look comes soon"
    assert ("No single subject stands out." in sentences[-1]) == (tool == "style")
    if not is_scenery:
        marks = [FIRST_LOOK_MARK in sentence for sentence in sentences]
        assert marks[-2:] == [True, False], "they say that they are first looks, until closer ones stand there"
        pictures = [[each[live] for each in shown if isinstance(each.get(live), bytes)] for live, _ in page.drafts]
        assert all(len(each) > 1 and each[-1] != each[-2] for each in pictures)


def test_beside_styles_of_the_whole_photo_stands_more_and_nothing_moves() -> None:
    offered = re.findall(r'href="#(\w+)"', render_other_tools(TOOLS, SCENERY_SUGGESTION))
    assert offered == ["retouch", "kit", "cutout", "upscale", "expand", "product"]


def test_a_thing_on_somebodys_back_may_be_meant_where_no_face_is_seen() -> None:
    suggestion = suggest_tool(0, True, TOOLS)
    assert suggestion is not None
    assert suggestion.tool == "background"
    assert 'href="#product"' in render_other_tools(TOOLS, suggestion)
    assert 'href="#product"' not in render_other_tools(TOOLS, suggest_tool(1, True, TOOLS))


def test_what_may_be_wrong_with_the_cut_out_of_the_first_looks_is_told_beside_them() -> None:
    doubt = "A part may be missing at the left."
    assert render_draft_doubt({"cutout_uncertainty": 0.1, "cutout_doubts": []}, TOOLS) == ""
    for uncertainty, css_class in ((0.1, "dbx-draft-doubt small"), (0.6, "dbx-draft-doubt")):
        receipt = {"cutout_uncertainty": uncertainty, "cutout_doubts": [doubt + " Point at it."]}
        told = render_draft_doubt(receipt, TOOLS)
        assert f'<p class="{css_class}"><span>{doubt}</span>' in told
        offered = ["style", "expand"] if uncertainty > UNCLEAR_UNCERTAINTY else []
        assert re.findall(r'href="#(\w+)"', told) == offered, "what needs no cut-out"
