"""Pointing on the picture: by mouse and by touch, with undo; the marks are in the form and in the picture's receipt."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import PIL.Image
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pipelines.quality.softness import ENLARGED_BEFORE_NOTICE
from pipelines.runtime.context import JobContext
from tests.browser.studio_page import ServedPage, delete_visitor_jobs, find_progress_line, open_browser_page, open_tool
from tests.browser.test_gestures import show_example
from tests.support.examples import make_noise
from tests.support.served_app import wait_until
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.pointing import PointingEvents

TOOL_IDS = ("cutout",)


def press(page: Page, action: str) -> None:
    page.locator(f"#cutout-box [data-do={action}]").click()


def point_at(page: Page, x: float, y: float, *, touch: bool = False) -> None:
    """Click or tap a share of the picture, and wait until the page shows what it makes of the cut-out."""
    layer = page.locator("#cutout-box .dbx-point-layer")
    frame = layer.bounding_box()
    assert frame is not None
    place = frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]
    page.touchscreen.tap(*place) if touch else page.mouse.click(*place)
    await_look(page)


def await_look(page: Page) -> None:
    expect(page.locator("#cutout-box .dbx-point-bar")).not_to_have_attribute("aria-busy", "true")


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#cutout-{name}-marks").locator("textarea, input")


def test_a_press_before_the_photo_is_shown_marks_nothing_and_asks_for_it_again(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    box = page.locator("#cutout-box")
    expect(box).not_to_have_class(re.compile("awaiting-photo"))
    box.evaluate("box => box.classList.add('awaiting-photo')")  # as if the look had given way to another job
    point_at(page, 0.6, 0.45)
    expect(box).not_to_have_class(re.compile("awaiting-photo"))
    expect(field(page, "keep")).to_have_value("")
    point_at(page, 0.6, 0.45)
    expect(field(page, "keep")).not_to_have_value("")


def test_where_nothing_stands_out_the_photo_is_there_to_be_pointed_at(
    page: Page, studio: ServedPage, tmp_path: Path
) -> None:
    PIL.Image.fromarray(make_noise(300, 400, 120, 4)).save(tmp_path / "wall.png")
    open_tool(page, studio, "cutout")
    page.locator("#cutout-photo input[type=file]").set_input_files(tmp_path / "wall.png")
    expect(page.locator("#tab-cutout").get_by_role("alert")).to_contain_text("Point at your subject or draw a box")
    expect(page.locator("#cutout-live img")).to_be_visible()
    press(page, "start")
    await_look(page)
    press(page, "done")  # without a mark it would be refused again
    expect(page.locator("#cutout-box .dbx-point-effect")).to_contain_text("Press on what is meant")
    press(page, "area")
    layer = page.locator("#cutout-box .dbx-point-layer")
    frame = layer.bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 1, frame["y"] + 1)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] - 2, frame["y"] + frame["height"] - 2, steps=8)
    page.mouse.up()
    await_look(page)
    press(page, "done")
    expect(find_progress_line(page, "cutout")).to_contain_text("Draft, ")
    expect(page.locator("#tab-cutout").get_by_role("alert")).to_have_count(0)


def test_clicks_strokes_and_a_box_change_the_cut_out_and_undo_takes_them_back(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    shown = page.locator("#cutout-live img")
    automatic = shown.get_attribute("src") or ""
    press(page, "drop")
    point_at(page, 0.6, 0.45)
    expect(shown).not_to_have_attribute("src", automatic)
    ((x, y),) = json.loads(field(page, "drop").input_value())
    assert (x, y) == (pytest.approx(0.6, abs=0.01), pytest.approx(0.45, abs=0.01))
    photo = page.locator("#cutout-box .dbx-point-layer img")
    press(page, "photo")
    expect(photo).to_have_js_property("complete", value=True)
    assert photo.evaluate("image => image.naturalWidth") > 0
    press(page, "photo")
    expect(photo).to_have_count(0)
    press(page, "photo")
    expect(photo).to_be_visible()
    press(page, "undo")
    await_look(page)
    expect(photo).to_have_count(0)  # what comes of the marks is seen
    expect(shown).to_have_attribute("src", automatic)
    expect(field(page, "drop")).to_have_value("")

    press(page, "area")
    frame = page.locator("#cutout-box .dbx-point-layer").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 0.1 * frame["width"], frame["y"] + 0.1 * frame["height"])
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.5 * frame["width"], frame["y"] + 0.9 * frame["height"], steps=4)
    page.mouse.up()
    await_look(page)
    assert json.loads(field(page, "box").input_value()) == pytest.approx([0.1, 0.1, 0.5, 0.9], abs=0.02)
    press(page, "done")
    expect(page.locator("#cutout-box .dbx-point-bar")).to_be_hidden()
    wait_until(studio.is_idle, 60)
    page.locator("#cutout-generate").click()
    expect(find_progress_line(page, "cutout")).to_contain_text("Done in")
    expect(page.locator("#cutout-receipt")).to_be_attached()
    (row,) = studio.service.jobs.list_jobs("local", 1, tool="cutout")
    assert row.job.params["box"] == pytest.approx([0.1, 0.1, 0.5, 0.9], abs=0.02)


def test_a_finger_points_on_a_phone_in_german(browser: Browser, studio: ServedPage) -> None:
    delete_visitor_jobs(studio)
    with open_browser_page(browser, studio, width=390, height=844, locale="de-DE", phone=True) as page:
        page.goto(f"{studio.url}/#cutout")
        page.locator("#cutout-example-coffee").click()
        expect(find_progress_line(page, "cutout")).to_contain_text("Entwurf, klein und schnell")
        wait_until(studio.is_idle, 60)
        start = page.locator("#cutout-box [data-do=start]")
        expect(start).to_have_text("Ausbessern")
        start.tap()
        await_look(page)
        screen = page.locator("#cutout-box")
        assert screen.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}, (
            "a small photo is not to be marked"
        )
        point_at(page, 0.02, 0.03, touch=True)
        expect(field(page, "keep")).to_have_value(re.compile(r"^\[\[0\.0"))
        bar = page.locator("#cutout-box .dbx-point-bar button")
        assert bar.all_inner_texts() == [
            "Dazu",
            "Weg",
            "Rahmen",
            "Freisteller 1/3",
            "Rückgängig",
            "Alle Punkte entfernen",
            "Abbrechen",
            "Anwenden",
        ]
        assert all((box := each.bounding_box()) is not None and box["height"] >= 44 for each in bar.all())
        assert all(each.evaluate("node => node.scrollWidth <= node.clientWidth") for each in bar.all())
        bar.nth(2).tap()
        for corner in ((0.9, 0.8), (0.2, 0.1)):  # nothing is dragged
            await_look(page)
            point_at(page, *corner, touch=True)
        await_look(page)
        assert json.loads(field(page, "box").input_value()) == pytest.approx([0.2, 0.1, 0.9, 0.8], abs=0.02)
        bar.nth(7).tap()
        expect(find_progress_line(page, "cutout")).to_be_in_viewport()
        place = screen.bounding_box()
        assert place is not None
        assert place["height"] < 450


@pytest.mark.parametrize("width", [920, 1280])
def test_in_german_the_buttons_have_room_and_the_words_stand_over_them(
    browser: Browser, studio: ServedPage, width: int
) -> None:
    delete_visitor_jobs(studio)
    with open_browser_page(browser, studio, width=width, height=800, locale="de-DE") as page:
        page.goto(f"{studio.url}/#cutout")
        page.locator("#cutout-example-coffee").click()
        expect(find_progress_line(page, "cutout")).to_contain_text("Entwurf, ")
        page.locator("#cutout-generate").click()
        expect(find_progress_line(page, "cutout")).to_contain_text("Fertig in")
        press(page, "start")
        await_look(page)
        done, bar = page.locator("#cutout-box [data-do=done]"), page.locator("#cutout-box .dbx-point-bar")
        expect(done).to_have_text("Anwenden")
        place = bar.bounding_box()
        assert place is not None
        assert place["height"] == (60 if width > 1279 else 104)
        fits = "node => node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight"
        assert all(each.evaluate(fits) for each in (bar, *bar.locator("button").all()))


def test_a_long_stroke_is_taken_to_its_end_and_generate_waits_beside_it(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    expect(page.locator("#cutout-generate")).to_be_visible()
    press(page, "start")
    await_look(page)
    expect(page.locator("#cutout-generate")).to_be_hidden()  # one way on while marks are made
    frame = page.locator("#cutout-box .dbx-point-layer").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 0.1 * frame["width"], frame["y"] + 0.1 * frame["height"])
    page.mouse.down()
    for turn in range(6):  # some 240 points at the distance of a short one
        x, y = 0.9 if turn % 2 == 0 else 0.1, 0.1 + 0.16 * turn
        page.mouse.move(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"], steps=60)
    page.mouse.up()
    await_look(page)
    points = json.loads(field(page, "keep").input_value())
    assert 30 <= len(points) <= 61
    assert points[0] == pytest.approx([0.1, 0.1], abs=0.02)
    assert points[-1] == pytest.approx([0.1, 0.9], abs=0.17)
    press(page, "cancel")
    expect(page.locator("#cutout-generate")).to_be_visible()


def test_a_quick_stroke_has_points_all_along_its_way(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    frame = page.locator("#cutout-box .dbx-point-layer").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 0.2 * frame["width"], frame["y"] + 0.3 * frame["height"])
    page.mouse.down()
    page.mouse.move(
        frame["x"] + 0.6 * frame["width"], frame["y"] + 0.3 * frame["height"]
    )  # one event, as of a quick finger
    page.mouse.up()
    await_look(page)
    columns = [x for x, _ in json.loads(field(page, "keep").input_value())]
    assert len(columns) >= 18
    assert max(after - before for before, after in pairwise(columns)) < 0.03


def test_a_button_goes_through_the_cut_outs_of_the_nets_and_undo_and_another_photo_go_back(
    page: Page, studio: ServedPage
) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    cut, told = page.locator("#cutout-box [data-do=cut]"), page.locator("#cutout-box .dbx-point-effect")
    for label, value in (
        ("Next cut-out 2/3", "careful"),
        ("Next cut-out 3/3", "quick"),
        ("Next cut-out 1/3", ""),
        ("Next cut-out 2/3", "careful"),
    ):
        cut.click()
        await_look(page)
        expect(cut).to_have_text(label)
        expect(field(page, "cut_by")).to_have_value(value)
        expect(told).to_contain_text("This cut-out is nearly the same.")  # these tests have one net
    press(page, "undo")
    await_look(page)
    expect(cut).to_have_text("Next cut-out 1/3")
    cut.click()
    await_look(page)
    press(page, "done")
    expect(find_progress_line(page, "cutout")).to_contain_text("Draft, ")
    press(page, "start")
    await_look(page)
    expect(cut).to_have_text("Next cut-out 2/3")  # what was applied
    press(page, "cancel")
    page.locator("#cutout-example-hopper").click()
    expect(field(page, "cut_by")).to_have_value("")


def test_another_photo_has_no_marks_of_the_last_one(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    point_at(page, 0.02, 0.03)
    press(page, "done")
    wait_until(studio.is_idle, 60)
    page.locator("#cutout-example-hopper").click()
    expect(field(page, "keep")).to_have_value("")


def test_repair_without_a_change_and_cancel_leave_the_finished_picture_as_it_was(
    page: Page, studio: ServedPage
) -> None:
    show_example(page, studio, "cutout", "coffee")
    line, shown, save = (
        find_progress_line(page, "cutout"),
        page.locator("#cutout-live img"),
        page.locator("#cutout-save"),
    )
    for marks in (0, 1):
        if not marks:
            page.locator("#cutout-generate").click()
        expect(shown).to_have_attribute("src", re.compile("/file="))  # no preview any more
        expect(line).to_contain_text("Done in")
        expect(save).to_be_enabled()
        wait_until(studio.is_idle, 60)
        said, picture, kept = line.inner_text(), shown.get_attribute("src") or "", field(page, "drop").input_value()
        count = len(studio.service.jobs.list_jobs("local"))
        for end in ("done", "cancel"):
            press(page, "start")
            await_look(page)
            expect(shown).not_to_have_attribute("src", picture)
            if end == "cancel":
                press(page, "drop")
                point_at(page, 0.5, 0.4)
                expect(field(page, "drop")).not_to_have_value(kept)
            press(page, end)
            expect(shown).to_have_attribute("src", picture)
            expect(save).to_be_enabled()
            assert line.inner_text() == said
            assert json.loads(field(page, "drop").input_value() or "[]") == json.loads(kept or "[]")
        wait_until(studio.is_idle, 60)
        expect(shown).to_have_attribute("src", picture)  # no draft comes after it
        assert len(studio.service.jobs.list_jobs("local")) == count
        if not marks:  # the second time with a mark from before
            press(page, "start")
            await_look(page)
            press(page, "drop")
            point_at(page, 0.6, 0.45)
            press(page, "done")
            expect(line).not_to_have_text(said)  # the finished picture is made anew at full size


def test_a_press_where_generate_was_does_not_stop_the_picture_that_marks_make(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    line, generate, done = (
        find_progress_line(page, "cutout"),
        page.locator("#cutout-generate"),
        page.locator("#cutout-box [data-do=done]"),
    )
    press(page, "start")
    expect(done).to_have_text("Apply")
    await_look(page)
    press(page, "cancel")
    wait_until(studio.is_idle, 60)
    generate.click()
    expect(line).to_contain_text("Done in")
    press(page, "start")
    expect(done).to_have_text("Apply")
    await_look(page)
    press(page, "drop")
    point_at(page, 0.6, 0.45)
    place = generate.bounding_box()
    assert place is not None
    studio.gate.open.clear()
    try:
        done.click()
        stop = page.locator("#cutout-stop")
        expect(stop).to_be_enabled()
        page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        expect(stop).to_be_enabled()
    finally:
        studio.gate.open.set()
    expect(line).to_contain_text("Done in")
    wait_until(studio.is_idle, 60)
    assert studio.service.jobs.list_jobs("local", 1, tool="cutout")[0].job.params["drop"]


def test_undo_reaches_the_marks_of_the_last_time_and_one_button_removes_all(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    undo, clear = (page.locator(f"#cutout-box [data-do={each}]") for each in ("undo", "clear"))
    press(page, "start")
    await_look(page)
    expect(undo).to_be_disabled()
    expect(clear).to_be_disabled()
    press(page, "drop")
    point_at(page, 0.6, 0.45)
    point_at(page, 0.2, 0.2)
    press(page, "done")
    wait_until(studio.is_idle, 60)
    for _ in range(2):  # the second time a cancelled one has undone them
        press(page, "start")
        await_look(page)
        expect(page.locator("#cutout-box [data-do=drop]")).to_have_attribute("aria-pressed", "true")  # as it was left
        for left in (1, 0):
            press(page, "undo")
            await_look(page)
            assert len(json.loads(field(page, "drop").input_value() or "[]")) == left
        expect(undo).to_be_disabled()
        press(page, "cancel")
        wait_until(studio.is_idle, 60)
        assert len(json.loads(field(page, "drop").input_value())) == 2
    press(page, "start")
    await_look(page)
    expect(clear).to_have_text("Remove all marks")
    clear.click()
    await_look(page)
    expect(field(page, "drop")).to_have_value("")
    press(page, "undo")
    await_look(page)
    assert len(json.loads(field(page, "drop").input_value())) == 2, "and back"
    press(page, "done")
    wait_until(studio.is_idle, 60)
    stroke = [[0.2, 0.2], [0.22, 0.2], [0.24, 0.2]]  # marks that the page has not seen made, as those of a recipe
    field(page, "drop").evaluate("(node, value) => { node.value = value; }", json.dumps([[0.6, 0.45], *stroke]))
    press(page, "start")
    await_look(page)
    press(page, "undo")
    await_look(page)
    assert json.loads(field(page, "drop").input_value()) == [[0.6, 0.45]], "a stroke goes as one"


def test_a_mark_that_changes_nothing_says_so_until_one_marks_zooms_or_takes_it_back(
    page: Page, studio: ServedPage
) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    unchanged = page.locator("#cutout-box .dbx-point-effect span:not([hidden])")
    point_at(page, 0.5, 0.5)  # of the cup: it is kept already
    expect(unchanged).to_be_visible()
    expect(unchanged).to_have_text("Hardly a change here, or it was so already. Come closer to see it.")
    words, picture = unchanged.bounding_box(), page.locator("#cutout-box .dbx-point-layer").bounding_box()
    bar = page.locator("#cutout-box .dbx-point-bar").bounding_box()
    assert words is not None
    assert picture is not None
    assert bar is not None
    assert picture["y"] + picture["height"] <= words["y"], "over nothing that is marked"
    assert words["y"] + words["height"] <= bar["y"]
    for taken_away_by in ("closer", "undo"):
        press(page, taken_away_by)
        await_look(page)
        page.wait_for_timeout(300)  # the words of the next look would be there
        expect(unchanged).to_have_count(0)
        if taken_away_by == "closer":
            press(page, "farther")
            point_at(page, 0.48, 0.5)
            expect(unchanged).to_be_visible()
    point_at(page, 0.5, 0.5)
    expect(unchanged).to_be_visible()
    press(page, "drop")
    frame = page.locator("#cutout-box .dbx-point-layer").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 0.6 * frame["width"], frame["y"] + 0.45 * frame["height"])
    page.mouse.down()
    expect(unchanged).to_have_count(0)
    page.mouse.up()
    await_look(page)
    page.wait_for_timeout(300)
    expect(unchanged).to_have_count(0)


def test_come_closer_and_the_mark_lies_where_it_was_put_in_the_photo(page: Page, studio: ServedPage) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    layer, live = page.locator("#cutout-box .dbx-point-layer"), page.locator("#cutout-live")
    before, frame = layer.bounding_box(), live.bounding_box()
    assert before is not None
    assert frame is not None
    expect(page.locator("#cutout-box [data-do=farther]")).to_be_disabled()
    press(page, "closer")
    press(page, "closer")
    after = layer.bounding_box()
    assert after is not None
    assert after["width"] == pytest.approx(1.6**2 * before["width"], rel=0.01)
    place = frame["x"] + 0.3 * frame["width"], frame["y"] + 0.4 * frame["height"]
    page.mouse.click(*place)
    await_look(page)
    ((x, y),) = json.loads(field(page, "keep").input_value())
    assert x == pytest.approx((place[0] - after["x"]) / after["width"], abs=0.01)
    assert y == pytest.approx((place[1] - after["y"]) / after["height"], abs=0.01)
    page.mouse.wheel(40, 0)  # moves what is looked at closely
    wait_until(lambda: (layer.bounding_box() or after)["x"] < after["x"] - 30, 10)
    press(page, "farther")
    press(page, "farther")
    expect(page.locator("#cutout-box [data-do=farther]")).to_be_disabled()
    assert layer.bounding_box() == pytest.approx(before, abs=1)
    press(page, "done")
    expect(page.locator("#cutout-box .dbx-point-zoom")).to_be_hidden()


def test_coming_closer_goes_to_the_newest_mark_and_stays_there_until_one_looks_elsewhere(
    page: Page, studio: ServedPage
) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    frame = page.locator("#cutout-live").bounding_box()
    assert frame is not None

    def measure_distance() -> float:
        dot = page.locator("#cutout-box .dbx-point-layer i.keep").last.bounding_box()
        assert dot is not None
        across = dot["x"] + dot["width"] / 2 - frame["x"] - frame["width"] / 2
        return max(abs(across), abs(dot["y"] + dot["height"] / 2 - frame["y"] - frame["height"] / 2))

    for x, y, times in ((0.35, 0.6, 2), (0.4, 0.55, 1)):  # the second one is made from nearer
        point_at(page, x, y)
        for _ in range(times):
            press(page, "closer")
        assert measure_distance() < 12, "in the middle"
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.wheel(60, 0)
    wait_until(lambda: measure_distance() > 40, 10)
    press(page, "closer")
    assert measure_distance() > 40, "what is looked at now comes closer"


def test_two_fingers_bring_the_picture_closer_and_mark_nothing(browser: Browser, studio: ServedPage) -> None:
    delete_visitor_jobs(studio)
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        page.goto(f"{studio.url}/#cutout")
        page.locator("#cutout-example-coffee").click()
        expect(find_progress_line(page, "cutout")).to_contain_text("Draft, small for speed")
        wait_until(studio.is_idle, 60)
        page.locator("#cutout-box [data-do=start]").tap()
        await_look(page)
        layer = page.locator("#cutout-box .dbx-point-layer")
        layer.scroll_into_view_if_needed()
        before = layer.bounding_box()
        assert before is not None
        middle = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
        session = page.context.new_cdp_session(page)

        def touch(kind: str, apart: float) -> None:
            ends = [{"x": middle[0] + side * apart / 2, "y": middle[1], "id": side + 1} for side in (-1, 1)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else ends})

        touch("touchStart", 60)
        for apart in (80, 100, 120):
            touch("touchMove", apart)
        touch("touchEnd", 0)
        wait_until(lambda: (layer.bounding_box() or before)["width"] > 1.8 * before["width"], 10)
        expect(field(page, "keep")).to_have_value("")
        expect(page.locator("#cutout-box .dbx-point-layer i.keep")).to_have_count(0)


def test_repair_opens_in_drop_and_near_the_place_where_background_may_be_left(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice, place = "Background may be left at the right. Point at it, or wipe it away.", (0.75, 0.6, 0.85, 0.7)
    monkeypatch.setattr(JobContext, "list_known_doubts", lambda *_, **__: {notice: (place,)})
    monkeypatch.setattr(PointingEvents, "_list_told_doubts", lambda *_: [notice])
    told = tool_tab_text.render_doubt({"cutout_doubts": [notice]})
    monkeypatch.setattr(tool_tab_text, "render_doubt", lambda *_: told)
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    drop = page.locator("#cutout-box [data-do=drop]")
    expect(drop).to_have_attribute("aria-pressed", "true")
    expect(drop).to_be_focused()
    expect(page.locator("#cutout-box .dbx-point-layer .doubt")).to_be_visible()
    seen, frame = (
        page.locator(f"#cutout-{each}").bounding_box() for each in ("box .dbx-point-layer .doubt", "box .dbx-live")
    )
    assert seen is not None
    assert frame is not None
    assert seen["width"] > 0.15 * frame["width"]  # a tenth of the photo, brought near
    assert seen["x"] >= frame["x"]
    assert seen["x"] + seen["width"] <= frame["x"] + frame["width"]
    page.mouse.click(seen["x"] + seen["width"] / 2, seen["y"] + seen["height"] / 2)
    await_look(page)
    ((x, y),) = json.loads(field(page, "drop").input_value())
    assert (x, y) == (pytest.approx(0.8, abs=0.02), pytest.approx(0.65, abs=0.02))
    expect(page.locator("#cutout-box .dbx-point-layer .doubt")).to_have_count(
        0
    )  # its frame would hide what comes of it


def test_a_part_that_may_belong_asks_which_marks_are_meant_and_move_drags_the_picture(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tool_tab_text.render_doubt(
        {"cutout_doubts": ["Doubtful part at the right: too much or too little may be taken. Point at it."]}
    )
    monkeypatch.setattr(tool_tab_text, "render_doubt", lambda *_: told)
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    chosen = page.locator("#cutout-box .dbx-point [aria-pressed=true]")
    asked = page.locator("#cutout-box [data-effect=choose]")
    move = page.locator("#cutout-box [data-do=move]")
    expect(chosen).to_have_count(0)
    expect(move).to_be_hidden()  # all of the photo is seen
    point_at(page, 0.6, 0.45)
    expect(asked).to_be_visible()
    assert [field(page, kind).input_value() for kind in ("keep", "drop")] == ["", ""]
    press(page, "drop")
    press(page, "closer")
    press(page, "move")
    layer = page.locator("#cutout-box .dbx-point-layer")
    before, frame = layer.bounding_box(), page.locator("#cutout-box .dbx-live").bounding_box()
    assert before is not None
    assert frame is not None
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y, steps=4)
    page.mouse.up()
    after = layer.bounding_box()
    assert after is not None
    assert after["x"] == pytest.approx(before["x"] - 40, abs=2)
    assert field(page, "drop").input_value() == ""
    press(page, "farther")
    expect(chosen).to_have_text("Drop")  # as before


def test_repair_opens_in_keep_where_a_part_may_be_missing(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_example(page, studio, "cutout", "coffee")
    press(page, "start")
    await_look(page)
    press(page, "drop")
    point_at(page, 0.6, 0.45)
    told = tool_tab_text.render_doubt({"cutout_doubts": ["A part may be missing at the right. Point at it."]})
    monkeypatch.setattr(tool_tab_text, "render_doubt", lambda *_: told)
    press(page, "done")
    expect(page.locator("#cutout-box .dbx-doubt.told")).to_be_visible()
    wait_until(studio.is_idle, 60)
    press(page, "start")
    expect(page.locator("#cutout-box [data-do=keep]")).to_have_attribute("aria-pressed", "true")  # Drop was used last
    await_look(page)


def test_a_doubt_that_no_repair_mends_offers_none(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tool_tab_text.render_doubt({"framing_doubts": [ENLARGED_BEFORE_NOTICE]})
    monkeypatch.setattr(tool_tab_text, "render_doubt", lambda *_: told)
    show_example(page, studio, "cutout", "coffee")
    expect(page.locator("#cutout-box .dbx-doubt.told")).to_contain_text("This picture is soft")
    repair = page.locator("#cutout-box [data-do=start]")
    expect(repair).to_be_hidden()
    press(page, "fine")
    expect(repair).to_be_visible()


def test_on_a_phone_a_small_doubt_is_folded_and_long_words_lie_across(
    browser: Browser, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = "A part stands alone at the bottom right of what is seen in this picture: it may not belong."
    told = tool_tab_text.render_doubt({"cutout_doubts": [notice], "cutout_uncertainty": 0.1})
    monkeypatch.setattr(tool_tab_text, "render_doubt", lambda *_: told)
    delete_visitor_jobs(studio)
    with open_browser_page(browser, studio, width=390, height=844, phone=True) as page:
        page.goto(f"{studio.url}/#cutout")
        page.locator("#cutout-example-coffee").click()
        line, words = page.locator("#cutout-box .dbx-doubt.told"), page.locator("#cutout-box .dbx-doubt p")
        repair = page.locator("#cutout-box [data-do=start]")
        expect(words).to_contain_text("Small doubt")
        expect(words.locator("span")).to_be_hidden()
        wait_until(studio.is_idle, 60)

        def lies_across() -> bool:
            box, beside, whole = (each.bounding_box() for each in (words, repair, line))
            assert box is not None
            assert beside is not None
            assert whole is not None
            return box["width"] > 0.85 * whole["width"] and box["y"] >= beside["y"] + beside["height"]

        assert not lies_across()
        words.tap()
        expect(words.locator("span")).to_be_visible()
        assert lies_across()
        words.tap()
        expect(words.locator("span")).to_be_hidden()
        for sentence, is_long in ((notice, True), ("Check the edge at the top: it may be wrong.", False)):
            page.evaluate(
                """sentence => {
                    const node = document.querySelector("#cutout-stage [data-doubt]");
                    delete node.dataset.small;
                    delete node.dataset.tag;
                    node.dataset.doubt = sentence;
                }""",
                sentence,
            )
            expect(words).to_have_text(sentence)
            expect(words.locator("span")).to_be_visible()
            assert lies_across() == is_long


def test_what_was_found_fine_is_not_told_of_that_photo_again(
    page: Page, studio: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tool_tab_text.render_doubt({"cutout_doubts": ["Background may be left at the right. Point at it."]})
    monkeypatch.setattr(tool_tab_text, "render_doubt", lambda *_: told)
    line, shown = page.locator("#cutout-box .dbx-doubt.told"), page.locator("#cutout-live img")
    first = show_example(page, studio, "cutout", "coffee")
    expect(line).to_be_visible()
    press(page, "fine")
    expect(line).to_have_count(0)
    expect(page.locator("#cutout-box .dbx-doubt-place")).to_be_hidden()
    page.locator("#cutout-trim input").click()
    expect(shown).not_to_have_attribute("src", first)
    wait_until(studio.is_idle, 60)
    expect(line).to_have_count(0)
    expect(page.locator("#cutout-box [data-do=start]")).to_be_visible()  # it can still be repaired
    page.locator("#cutout-example-hopper").click()
    expect(line).to_be_visible()
    press(page, "fine")
    expect(line).to_have_count(0)
    other, words = page.locator("#cutout-stage [data-doubt]"), "#cutout-stage [data-doubt]"
    wait_until(studio.is_idle, 60)
    expect(other).to_be_attached()
    page.evaluate("(words) => { document.querySelector(words).dataset.boxes = '[[0.6, 0.6, 0.9, 0.9]]'; }", words)
    page.evaluate("(words) => { const node = document.querySelector(words); node.dataset.doubt += ' '; }", words)
    expect(line).to_be_visible()  # at another place
