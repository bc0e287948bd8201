"""What the page says is exact, escaped and complete."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from pipelines.core.job import CLOSER_LOOK_STAGE, FIRST_LOOK_STAGE, File, Job, QueuePosition, Result, Step
from pipelines.core.models import Profile
from pipelines.core.tools import Tool
from pipelines.matting.cutout_notices import UNSETTLED_NOTICE
from pipelines.models.families.scenes.keyword_search import SCENES
from pipelines.quality.subject_checks import UNCLEAR_NOTICE
from pipelines.tools import TOOLS
from tests.support.shipped_tools import SHIPPED_TOOL_IDS
from ui.batch_tab.text import SheetPicture, render_faults, render_sheet
from ui.home_tab import cards as home_tab_cards
from ui.i18n import is_translated
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.form_controls import list_form_fields
from ui.tool_tab.layout import HEADLINE_FIELDS, TILES_FOLDER

JOB = Job(
    id="job-1",
    tool="headshot",
    params={
        "photo": "file-1",
        "preset": "park",
        "background": "it's & <b>",
        "seed": None,
        "consent": True,
        "size": 1024,
        "matte": None,
    },
    seed=7,
    profile="embedded",
    specs={"backdrop": "backdrops"},
    owner="me",
    created=0.0,
)


def make_result(mode: str = "exact", changed: int = 0, models: tuple[str, ...] = ("backdrops",)) -> Result:
    receipt = {
        "mode": mode,
        "checks": {"core_changed_pixels": changed},
        "models": [{"id": name} for name in models],
        "notices": ["Check this <edge>."],
    }
    return Result((File("f", "result", 820, 1024, "png", "0"),), receipt, 1.23)


def test_what_was_measured_is_told_under_the_result() -> None:
    made = make_result()
    assert "Measured" not in tool_tab_text.render_result_status(JOB, made, 0)
    made.receipt["explained"] = {"core_share": "90 % is the photo's <own>."}
    assert "photo&#x27;s &lt;own&gt;" in tool_tab_text.render_result_status(JOB, made, 0)


def test_a_shape_that_cuts_is_offered_another() -> None:
    cut = {"framing_doubts": ["1:1 cuts the subject (left)."]}
    assert 'data-shape="16:9"' in tool_tab_text.render_doubt({**cut, "better_shape": "16:9"})
    assert "data-shape" not in tool_tab_text.render_doubt(cut)


def test_the_line_on_the_picture_is_the_first_doubt_without_what_to_do() -> None:
    assert tool_tab_text.describe_doubt({"cutout_uncertainty": 0.1, "cutout_doubts": []}) == ""
    doubts = ["A part may be missing at the left. Point at it, or paint it in.", "Another."]
    told = tool_tab_text.describe_doubt({"cutout_uncertainty": 0.3, "cutout_doubts": doubts})
    assert told == "A part may be missing at the left."
    assert tool_tab_text.describe_doubt({"cutout_uncertainty": 0.3}) == UNSETTLED_NOTICE
    assert tool_tab_text.describe_doubt({"cutout_uncertainty": 0.3, "cutout_doubts": []}) == "", "not in the picture"


def test_the_lines_on_the_picture_tell_what_to_do_about_its_framing() -> None:
    framing = "The photo cuts the top of the head. Use a photo with more room around it."
    receipt = {"cutout_doubts": ["A part may be missing at the left. Point at it."], "framing_doubts": [framing]}
    assert f'data-doubt="A part may be missing at the left.\n{framing}"' in tool_tab_text.render_doubt(receipt)
    assert tool_tab_text.render_doubt({"cutout_doubts": []}) == ""


def test_what_the_sheet_calls_a_small_doubt_is_told_quietly_in_the_tool() -> None:
    told = ["A part may be missing at the left."]
    for receipt, is_small in (
        ({"cutout_doubts": told, "cutout_uncertainty": 0.1}, True),
        ({"cutout_doubts": told, "cutout_uncertainty": 0.9}, False),
        ({"cutout_doubts": told, "framing_doubts": ["The photo cuts the top of the head."]}, False),
    ):
        assert ("data-small" in tool_tab_text.render_doubt(receipt)) is is_small


def test_a_first_look_tells_no_doubt_since_one_net_cannot_say_how_sure_it_is() -> None:
    made = make_result()
    made.receipt["cutout_doubts"] = ["A part may be missing at the left."]
    assert "data-doubt" in tool_tab_text.render_draft_status(made, "headshot")
    first = tool_tab_text.render_draft_status(made, "headshot", is_first_look=True)
    assert "data-doubt" not in first
    assert tool_tab_text.FIRST_LOOK_MARK in first


def test_a_doubt_that_is_there_after_marks_is_said_to_be_there_still() -> None:
    told: dict[str, Any] = {"cutout_doubts": ["A part may be missing at the left."], "cutout_uncertainty": 0.1}
    marks: dict[str, Any]
    for marks, tag in (
        ({"keep": [], "drop": [], "box": None}, "Small doubt"),
        ({"keep": [[0.5, 0.5]]}, "Still doubtful"),
        ({"box": [0.1, 0.1, 0.9, 0.9]}, "Still doubtful"),
    ):
        assert f'data-tag="{tag}"' in tool_tab_text.render_doubt({**told, "params": marks})
    beside = {"framing_doubts": ["The photo cuts the top of the head."], "params": {"keep": [[0.5, 0.5]]}}
    assert "data-tag" not in tool_tab_text.render_doubt(beside), "no mark mends it"


@pytest.mark.parametrize(
    ("told", "mode"),
    [
        ("Background may be left at the bottom. Point at it, or wipe it away.", "drop"),
        ("Doubtful part at the bottom: too much or too little may be taken. Point at it, or wipe it away.", "ask"),
        ("Check the edge at the top: it is half transparent, and a part may be missing.", "keep"),
        ("Check the edge at the top: it may be wrong.", ""),
        ("What you marked brought in what looks like background at the left. Look at it.", "drop"),
        ("What you marked took a part that looks like the subject at the left. Look at it.", "keep"),
        ("A part may be missing at the left. Point at it, or paint it in.", "keep"),
        ("Check the opening at the left: all in it counts as background.", "keep"),
    ],
)
def test_a_doubt_says_which_marks_mend_it(told: str, mode: str) -> None:
    said = tool_tab_text.render_doubt({"cutout_doubts": [told, "Another."]})
    assert re.findall(r'data-mode="(\w+)"', said) == ([mode] if mode else [])


def test_the_place_of_the_doubt_that_is_told_is_marked_in_the_picture_that_shows_it() -> None:
    told, place = "A part may be missing at the left.", [0.1, 0.2, 0.3, 0.4]
    placement = {"doubts": [{"doubt": "Another.", "boxes": [[0, 0, 0.1, 0.1]]}, {"doubt": told, "boxes": [place]}]}
    receipt = {"cutout_doubts": [told, "Another."], "placement": placement}
    assert f'data-boxes="[{place}]"' in tool_tab_text.render_doubt(receipt)
    several = {**receipt, "placements": [None, placement]}
    assert "data-boxes" not in tool_tab_text.render_doubt(several, 0)
    assert "data-boxes" in tool_tab_text.render_doubt(several, 1)
    filled = {"fill_doubts": ["A fill."], "fill_places": [place]}
    assert f'data-boxes="[{place}]"' in tool_tab_text.render_doubt(filled)
    assert f'data-boxes="[{place}, {place}]"' in tool_tab_text.render_doubt(receipt | filled)
    placement["doubts"][1]["boxes"] = [[0.0, 0.1, 1.0, 1.0]]
    assert "data-boxes" not in tool_tab_text.render_doubt(receipt), "it would say nothing"


@pytest.mark.parametrize("part", ["middle", "first"])
def test_a_draft_says_of_what_it_is_a_part(part: str) -> None:
    made = make_result()
    assert tool_tab_text.FINISHED_DRAFT_TEXT in tool_tab_text.render_draft_status(made, "kit")
    made.receipt["draft_part"] = part
    told = html.unescape(tool_tab_text.render_draft_status(made, "kit"))
    assert tool_tab_text.DRAFT_PART_TEXTS[part] in told
    assert is_translated(tool_tab_text.DRAFT_PART_TEXTS[part])


def test_a_draft_that_does_not_stand_for_its_picture_is_called_a_sketch() -> None:
    made = make_result()
    assert "sketch" not in tool_tab_text.render_draft_status(made, "background")
    made.receipt["sketch"] = True
    assert tool_tab_text.SKETCH_TEXT in tool_tab_text.render_draft_status(made, "background")
    assert is_translated(tool_tab_text.SKETCH_TEXT)


def test_no_word_of_a_visitor_becomes_markup() -> None:
    said = (
        tool_tab_text.render_alert("<script>", "a")
        + tool_tab_text.render_notice(["<script>"], "a")
        + tool_tab_text.render_status("<script>", notes=["<script>"])
    )
    assert "<script>" not in said
    assert said.count("&lt;script&gt;") == 4


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (QueuePosition(1), "next in line"),
        (QueuePosition(3), "place 3 in line"),
        (Step(2, 4, "Drawing"), "Drawing · step 2 of 4"),
    ],
)
def test_the_stage_line_says_place_stage_and_step(event: QueuePosition | Step, text: str) -> None:
    assert text in tool_tab_text.render_progress(event, draft=False)


def test_the_time_left_is_said_where_it_is_known_and_worth_saying() -> None:
    assert "about 7 s left" in tool_tab_text.render_progress(Step(2, 4, "Drawing"), draft=False, seconds_left=7.2)
    assert "left" not in tool_tab_text.render_progress(Step(2, 4, "Drawing"), draft=False, seconds_left=1.2)
    assert "left" not in tool_tab_text.render_progress(Step(2, 4, "Drawing"), draft=False, seconds_left=-3)


def test_unchanged_is_said_only_where_it_was_measured() -> None:
    assert "Your pixels unchanged; the background was fitted to you." in tool_tab_text.render_result_status(
        JOB, make_result(), 0
    )
    assert tool_tab_text.CREDENTIALS_NOTE in tool_tab_text.render_result_status(JOB, make_result(), 0)
    assert "unchanged" not in tool_tab_text.render_result_status(JOB, make_result(changed=1), 0)
    assert "unchanged" not in tool_tab_text.render_result_status(JOB, make_result(mode="redrawn"), 0)
    assert "background" not in tool_tab_text.render_result_status(JOB, make_result(models=()), 0)
    assert "Turned" not in tool_tab_text.render_result_status(JOB, make_result(), 0)
    turned = make_result()
    turned.receipt["placement"] = {"roll": -3.14}
    assert "Turned by 3.1° so that the eyes are level." in tool_tab_text.render_result_status(JOB, turned, 0)
    enlarged = make_result()
    enlarged.receipt["placement"] = {"enlarged_too_far": True}
    line = tool_tab_text.render_result_status(JOB, enlarged, 0)
    assert "unchanged" not in line
    assert "enlarged, not redrawn" in line


def test_relit_is_said_only_where_it_was_asked_for_and_there_is_a_scene() -> None:
    relit = JOB.model_copy(update={"params": {**JOB.params, "light": "relit"}})
    assert "Relit" in tool_tab_text.render_result_status(relit, make_result(mode="relit"), 0)
    assert "Relit" not in tool_tab_text.render_result_status(relit, make_result(mode="relit", models=()), 0)
    assert "Relit" not in tool_tab_text.render_result_status(JOB, make_result(mode="relit"), 0)


def test_per_cent_takes_the_place_of_the_step_where_it_is_known() -> None:
    shown = tool_tab_text.render_progress(Step(2, 4, "Drawing"), draft=False, share=0.42)
    assert "Drawing · 42 %" in shown
    assert "step" not in shown
    assert "--share:0.420" in shown
    assert "Draft · Draft" not in tool_tab_text.render_progress(Step(1, 1, "Draft"), draft=True)


def test_the_line_says_what_counts_for_a_stranger_and_the_rest_is_folded() -> None:
    line, details = tool_tab_text.render_result_status(JOB, make_result(), 0).split("<details", 1)
    assert "Seed" not in line
    assert "credentials" not in line
    assert f"Seed {JOB.seed}:" in details


def test_home_links_every_tool_and_says_that_no_gpu_is_used() -> None:
    text = home_tab_cards.render_cards(TOOLS, Profile("embedded", {}, "Embedded"))
    assert re.findall(r'<h3><a href="#([^"]+)"', text) == [*(tool.id for tool in TOOLS), "batch", "api"]
    assert home_tab_cards.EMBEDDED_BANNER in text


PROMISED = {
    "headshot": (
        "AI-powered generation",
        "Consistent character",
        "Photorealism",
        "High resolution",
        "Maintains ethnicity",
        "Nude tones",
        "Zoom out",
    ),
    "product": ("Commercial quality", "Clean backgrounds", "Multiple angles", "High resolution", "Brand consistency"),
    "background": ("Custom environments", "Seamless blending", "Any style or theme", "High resolution", "Fast"),
    "style": ("Artistic filters", "Multiple styles", "Preserves details", "Creative control", "Batch"),
    "character": ("Unique designs", "Customizable traits", "Multiple poses", "Consistent style", "Commercial use"),
    "fashion": ("Lifestyle imagery", "Brand alignment", "Model variety", "Seasonal themes", "High-fashion looks"),
    "business": ("Professional settings", "Corporate style", "Team photos", "Office environments", "Brand consistency"),
}


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.id in PROMISED], ids=lambda tool: tool.id)
def test_every_promised_tick_is_on_its_card(tool: Tool) -> None:
    features = [*tool.strengths, *(feature for feature, _ in tool.model_strengths)]
    for tick in PROMISED[tool.id]:
        assert any(feature.startswith(tick) for feature in features), tick


def test_nothing_that_needs_a_model_is_said_to_be_here() -> None:
    text = home_tab_cards.render_cards(TOOLS, Profile("embedded", {}, "Embedded"))
    assert "<li class=gpu>Model variety<em>graphics card</em></li>" in text
    here = re.findall(r"<li>([^<]*)<em>here</em></li>", text)
    assert len(here) > 60
    assert [feature for feature in here if re.search(r"\b(GPU|model)\b", feature, re.I)] == []
    drawn = home_tab_cards.render_cards(TOOLS, Profile("big", {"edit": "a", "control": "b"}, "Big"))
    assert "<li>Model variety<em>here</em></li>" in drawn


def test_every_shipped_card_has_its_picture_and_every_cross_that_stays_is_a_limit() -> None:
    shipped = [tool for tool in TOOLS if tool.id in SHIPPED_TOOL_IDS]
    text = home_tab_cards.render_cards(shipped, Profile("embedded", {}, "Embedded"))
    cards = text.split('<li class="dbx-card')[1:]
    assert len(cards) == len(shipped) + 2
    for card in cards:
        (source,) = re.findall(r'<img src="([^"]+)" alt="[^"]+', card)
        assert (TILES_FOLDER.parent.parent / source).stat().st_size < 40_000
    for card in (card for card in cards if "#batch" in card or "#api" in card):
        assert card.split('aria-label="Limits"')[1].count("<li>") == 2


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_at_most_six_controls_come_before_more_beside_the_photo_and_whose_it_is(tool: Tool) -> None:
    first = {row.name for row in list_form_fields(tool.params) if not row.is_advanced} - {"photo", "photos", "consent"}
    first.difference_update(HEADLINE_FIELDS)  # they are seen once there is a headline
    assert len(first) <= 6, sorted(first)


def test_a_wish_without_a_scene_shows_three_pictures_to_click() -> None:
    titles = {"library": "Library", "loft": "Brick <Loft>", "oak": "Oak"}
    closest = [{"id": scene_id, "title": title} for scene_id, title in titles.items()]
    match = {"wish": "snowy village", "found": False, "closest": closest}
    receipt = {"tool": "background", "params": {"seed": 3, "prompt": " snowy  village"}, "scene_match": match}
    made = tool_tab_text.render_closest_scenes(receipt)
    assert made.count("<button") == 3
    assert 'data-field="background-prompt"' in made
    assert "Brick &lt;Loft&gt;" in made
    assert (TILES_FOLDER / "scenes" / "library.webp").is_file()
    assert (
        tool_tab_text.render_closest_scenes({**receipt, "scene_match": {**match, "found": True, "closest": []}}) == ""
    )
    assert tool_tab_text.render_closest_scenes({"tool": "background", "params": {"prompt": ""}}) == ""


def test_every_scene_has_a_picture_to_click() -> None:
    assert {path.stem for path in (TILES_FOLDER / "scenes").glob("*.webp")} == {row.id for row in SCENES}


def test_a_batch_marks_every_picture_that_is_doubted_and_says_why() -> None:
    why = ("Check the edge at the <top>: it may be wrong.", "Another.")
    sheet = render_sheet([SheetPicture(1, "1 a<b", b"x"), SheetPicture(2, "2 cup", b"y", why, size=(640, 480))])
    assert sheet.count(" px") == 1
    assert sheet.index('title="2 cup"') < sheet.index("640 × 480 px")
    assert sheet.count("<b>Check</b>") == 1
    assert sheet.index("Row 1 a&lt;b") < sheet.index("<b>Check</b>") < sheet.index('title="2 cup"')
    assert 'data-words="open 2"' in sheet
    assert 'title="Check the edge at the &lt;top&gt;: it may be wrong. · Another."' in sheet


@pytest.mark.parametrize("stage", [FIRST_LOOK_STAGE, CLOSER_LOOK_STAGE])
@pytest.mark.parametrize("draft", [True, False])
def test_a_cutout_of_the_small_net_says_that_it_may_still_change(stage: str, draft: bool) -> None:
    assert tool_tab_text.FIRST_LOOK_MARK in tool_tab_text.render_progress(Step(1, 2, stage), draft=draft)
    assert tool_tab_text.FIRST_LOOK_MARK not in tool_tab_text.render_progress(Step(2, 2, "Cutting out"), draft=draft)


def test_faults_of_pictures_have_no_columns_and_those_of_a_table_name_theirs() -> None:
    def read_cells(html_text: str) -> list[str]:
        return [html.unescape(cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", html_text)]

    dark, wrong = ("3 · cup.jpg", "photo", "The photo is dark."), ("4", "steps", "At most 8.")
    assert read_cells(render_faults([dark])) == ["Picture", "What is wrong", "3 · cup.jpg", "The photo is dark."]
    heads = ["Row", "Column", "What is wrong"]
    assert read_cells(render_faults([dark, wrong])) == [*heads, *dark, *wrong]
    assert "<button>Repair</button></td>" in render_faults([dark], ["<button>Repair</button>"])


def test_what_doubts_a_whole_cutout_is_told_with_the_first_place() -> None:
    places = ["A part may be missing at the left. Point at it.", "Check the opening at the top."]
    told = tool_tab_text.list_doubts({"cutout_uncertainty": 0.8, "cutout_doubts": [UNCLEAR_NOTICE, *places]})
    assert told == [UNCLEAR_NOTICE.split(". ")[0] + ".", "A part may be missing at the left."]
    assert tool_tab_text.list_doubts({"cutout_uncertainty": 0.4, "cutout_doubts": places}) == [told[1]]
