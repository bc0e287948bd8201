"""What a tool's tab shows of its jobs: drafts as the finished picture will be, and the end once more."""

from __future__ import annotations

import asyncio
import io
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
import PIL.Image
import pytest

from pipelines.core.stream import wait_for_result
from pipelines.core.tools import Tool
from pipelines.jobs.queue import JobRow
from pipelines.jobs.search import JobFilter, find_page
from pipelines.models.nets.isnet import IsNet
from pipelines.models.nets.u2net import U2Net
from pipelines.models.profiles import EMBEDDED
from pipelines.settings import Settings
from pipelines.tools import background, business, cutout, retouch, social_kit, style
from tests.examples import sepia
from tests.support.examples import make_blob, make_noise
from tests.support.gradio_loop import build_parts
from tests.support.served_app import run_studio
from ui.server.factory import RunningStudio
from ui.tool_tab import job_follower, look_choice, text
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import ToolTab
from ui.tool_tab.look_choice import LOOK_COUNT
from ui.tool_tab.state import GivenPhoto, TabHandoff, TabState

LOCAL: Any = None
"""No request: the visitor is the owner of this machine."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    with run_studio(Settings(data=tmp_path_factory.mktemp("studio")), [sepia.TOOL]) as built:
        yield built


def build_tab(studio: RunningStudio, tool: Tool) -> ToolTab:
    def build() -> ToolTab:
        with gr.Blocks():
            return ToolTab(tool, studio.service)

    return build_parts(build)


@pytest.fixture(scope="module")
def tab(studio: RunningStudio) -> ToolTab:
    return build_tab(studio, sepia.TOOL)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    """A studio with tools that are shipped; each test looks at tabs and forms of its own."""
    tools = [style.TOOL, background.TOOL, business.TOOL, retouch.TOOL]
    with run_studio(Settings(data=tmp_path_factory.mktemp("shipped")), tools, EMBEDDED) as built:
        yield built


def make_picture(studio: RunningStudio, name: str = "") -> str:
    """A finished job on a small plain photo whose file was called `name`; its id."""
    png = io.BytesIO()
    PIL.Image.fromarray(np.full((40, 60, 3), len(name), np.uint8)).save(png, "PNG")
    photo, _ = studio.service.uploads.ingest_picture(png.getvalue(), "local", name)
    job = studio.service.create_job("sepia", {"photo": photo}, "local")
    wait_for_result(studio.service.jobs.submit_and_watch(job))
    return job.id


def test_the_finished_picture_is_shown_again_with_its_buttons(studio: RunningStudio, tab: ToolTab) -> None:
    job_id = make_picture(studio)
    follower = ToolTabEvents(tab, studio.service, studio.access).follower
    shown = follower.update_actions(LOCAL, TabState(shown_job_id=job_id), None)
    row = studio.service.jobs.get_job(job_id)
    assert row is not None
    assert row.result is not None
    assert shown[tab.result.picture].path == studio.service.files.local_path(row.result.files[0].id)
    assert shown[tab.result.download]["interactive"] is True
    while_another_runs = follower.update_actions(LOCAL, TabState(shown_job_id=job_id, job_id="job-2"), None)
    assert tab.result.picture not in while_another_runs
    assert tab.result.picture not in follower.update_actions(LOCAL, TabState(), None)


def test_the_picture_that_stands_there_again_after_stop_is_doubted_as_before(
    studio: RunningStudio, tab: ToolTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = ToolTabEvents(tab, studio.service, studio.access).follower
    row = studio.service.jobs.get_job(make_picture(studio))
    assert row is not None
    assert row.result is not None
    row.result.receipt["cutout_doubts"] = ["A part may be missing."]
    monkeypatch.setattr(follower, "find_own_job", lambda job_id, request: row if job_id else None)
    status = follower.show_stopped(LOCAL, TabState(shown_job_id=row.job.id), None)[tab.result.status]
    assert text.STOPPED_TEXT in status
    assert 'data-doubt="A part may be missing."' in status
    assert "data-doubt" not in follower.show_stopped(LOCAL, TabState(), None)[tab.result.status]


def test_the_photos_name_is_searched_for(studio: RunningStudio) -> None:
    job_id = make_picture(studio, "Green apple.png")
    make_picture(studio, "pear.png")
    found, _ = find_page(studio.service.jobs.table, "local", JobFilter(text="green apple"))
    assert found == [job_id]


def test_settings_that_are_used_again_leave_the_same_photo_alone(studio: RunningStudio, tab: ToolTab) -> None:
    job_id = make_picture(studio)
    row = studio.service.jobs.get_job(job_id)
    assert row is not None
    reuse = ToolTabEvents(tab, studio.service, studio.access).results.reuse_settings
    photo = tab.controls["photo"]
    for held, is_filled in ((row.job.params["photo"], False), (None, True)):
        values = [held if control is photo else control.value.value for control in tab.controls.values()]
        filled = reuse(LOCAL, TabState(shown_job_id=job_id), *values)
        assert (photo.value in filled, photo.display in filled) == (is_filled, is_filled)
        assert tab.controls["amount"].value in filled


def test_the_last_job_fills_a_new_form_and_leaves_what_it_has_no_say_in(studio: RunningStudio, tab: ToolTab) -> None:
    """On a slow page a visitor types before the last job has come: its defaults do not empty what was typed."""
    view = ToolTabEvents(tab, studio.service, studio.access).view
    amount, photo = tab.controls["amount"], tab.controls["photo"]
    row = studio.service.jobs.get_job(make_picture(studio))
    assert row is not None
    params = {**row.job.params, "amount": amount.field.default}
    filled = view.fill_new_form(params, row.job.seed)
    assert amount.value not in filled
    assert filled[photo.value] == row.job.params["photo"]
    other = {**params, "amount": amount.field.minimum}
    assert amount.value in view.fill_new_form(other, row.job.seed)


def test_a_choice_that_changes_nothing_in_the_draft_says_so(tmp_path: Path) -> None:
    with run_studio(Settings(data=tmp_path, matting="small"), [social_kit.TOOL]) as studio:
        tab = build_tab(studio, social_kit.TOOL)
        follower, state = ToolTabEvents(tab, studio.service, studio.access).follower, TabState()
        photo = studio.service.files.add_image(make_noise(300, 240), "local", "upload")

        async def draw(**form: Any) -> str:
            form = {"photo": photo, "preset": "post", **form}
            values = [form.get(name, control.value.value) for name, control in tab.controls.items()]
            drawn = [each async for each in follower.draw_draft(LOCAL, state, *values)]
            return next(str(each[tab.result.status]) for each in reversed(drawn) if tab.result.status in each)

        same = "It looks the same as before."
        assert same not in asyncio.run(draw())
        assert same in asyncio.run(draw(headline_colour="black")), "there is no headline"
        assert same not in asyncio.run(draw(headline_colour="black", headline="Words"))
        assert same not in asyncio.run(draw(headline_colour="white", headline="Words"))
        assert same not in asyncio.run(draw(headline_colour="white", headline="Words", format="jpeg"))


def measure_subject(picture: PIL.Image.Image) -> float:
    """The share of a see-through picture that is the subject."""
    return float((np.asarray(picture)[..., 3] > 127).mean())


def test_a_closer_draft_shows_what_will_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for net, radius in ((U2Net, 50), (IsNet, 80)):
        seen = np.asarray(cv2.resize(make_blob(300, 300, (150, 150), (radius, radius)), (320, 320)), np.float32)
        monkeypatch.setattr(net, "predict_map", lambda _net, _image, seen=seen: seen)
    with run_studio(Settings(data=tmp_path, matting="both"), [cutout.TOOL]) as studio:
        tab, service = build_tab(studio, cutout.TOOL), studio.service
        follower = ToolTabEvents(tab, service, studio.access).follower
        form = {"photo": service.files.add_image(make_noise(300, 300), "local", "upload"), "trim": False}
        values = [form.get(name, control.value.value) for name, control in tab.controls.items()]

        async def list_drafts() -> list[float]:
            drawn = [each async for each in follower.draw_draft(LOCAL, TabState(), *values)]
            shown = [each for each in drawn if "Draft, small for speed" in str(each.get(tab.result.status))]
            return [measure_subject(PIL.Image.open(io.BytesIO(each[tab.result.picture]))) for each in shown]

        first, closer = asyncio.run(list_drafts())
        made = wait_for_result(service.jobs.submit_and_watch(service.create_job("cutout", form, "local")))
        with PIL.Image.open(service.files.local_path(made.files[0].id)) as picture:
            kept = measure_subject(picture)
        assert closer == pytest.approx(kept, abs=0.01)
        assert abs(first - kept) > 0.1
        assert asyncio.run(list_drafts()) == [closer], "what both nets have seen is drawn once"


def test_a_late_draft_of_the_form_that_was_made_leaves_the_finished_picture_alone(
    studio: RunningStudio, tab: ToolTab
) -> None:
    """The page may say that somebody left a field after Generate, which they pressed next, has ended."""
    follower = ToolTabEvents(tab, studio.service, studio.access).follower
    state, photo = TabState(), studio.service.files.add_image(make_noise(60, 40), "local", "upload")

    async def follow(handler: Any, photo: str) -> list[dict[Any, Any]]:
        values = [photo if name == "photo" else row.value.value for name, row in tab.controls.items()]
        return [update async for update in handler(gr.Request(), state, *values)]

    asyncio.run(follow(follower.generate, photo))
    shown = state.shown_job_id
    assert shown
    late = asyncio.run(follow(follower.draw_draft, photo))
    assert not any(tab.result.picture in update for update in late)
    assert state.shown_job_id == shown
    assert state.generated is not None
    _, form, photo_number = state.generated
    for other_job, generated in (
        (make_picture(studio), (shown, form, photo_number)),  # another one was opened
        ("job-gone", ("job-gone", form, photo_number)),  # it was deleted
        (shown, (shown, form, photo_number - 1)),  # the same photo was put in again
    ):
        state.shown_job_id, state.generated = other_job, generated
        assert any(tab.result.picture in update for update in asyncio.run(follow(follower.draw_draft, photo)))
    asyncio.run(follow(follower.generate, photo))
    other = studio.service.files.add_image(make_noise(40, 60), "local", "upload")
    changed = asyncio.run(follow(follower.draw_draft, other))
    assert any(tab.result.picture in update for update in changed)
    assert state.shown_job_id == ""


def test_an_earlier_picture_gives_way_to_what_was_begun_while_it_was_read(
    studio: RunningStudio, tab: ToolTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower, state = ToolTabEvents(tab, studio.service, studio.access).follower, TabState()
    row = studio.service.jobs.get_job(make_picture(studio))
    assert row is not None
    assert row.result is not None
    assert tab.result.picture in follower.show_found_result(row, row.result, state, gr.Request())
    show = follower.view.show_result

    def show_while_a_draft_begins(*arguments: Any) -> dict[Any, Any]:
        follower.begin_request(state)
        state.shown_job_id = ""
        return show(*arguments)

    monkeypatch.setattr(follower.view, "show_result", show_while_a_draft_begins)
    assert tab.result.picture not in follower.show_found_result(row, row.result, state, gr.Request())
    assert state.shown_job_id == ""


@pytest.mark.parametrize("has_photo", [True, False])
def test_generate_that_gives_way_to_a_photo_can_be_pressed_again(
    studio: RunningStudio, tab: ToolTab, has_photo: bool
) -> None:
    follower, state = ToolTabEvents(tab, studio.service, studio.access).follower, TabState()
    photo = studio.service.files.add_image(make_noise(40, 60), "local", "upload") if has_photo else None
    values = tuple(photo if name == "photo" else row.value.value for name, row in tab.controls.items())

    async def generate_while_a_photo_comes() -> list[dict[Any, Any]]:
        making = follower.generate(gr.Request(), state, *values)
        started = await anext(making)
        assert state.job_id
        follower.begin_request(state)  # as placing a photo does, and removing it
        state.note_photo(has_photo=has_photo)
        return [started, *[update async for update in making]]

    shown = asyncio.run(generate_while_a_photo_comes())
    assert state.job_id == "", "else it would wait for that order for ever"
    told = text.PHOTO_READY_TEXT if has_photo else text.ADD_PHOTO_TEXT
    assert any(told in str(update.get(tab.result.status)) for update in shown[1:])


def test_a_photo_that_is_removed_before_its_draft_begins_gets_none(studio: RunningStudio, tab: ToolTab) -> None:
    uploads, state = ToolTabEvents(tab, studio.service, studio.access).uploads, TabState()
    photo = studio.service.files.add_image(make_noise(40, 60), "local", "upload")
    values = tuple(photo if name == "photo" else row.value.value for name, row in tab.controls.items())

    async def place_then_clear() -> list[dict[Any, Any]]:
        placing = uploads.place_pictures(tab.photo_control, photo, gr.Request(), state, values)
        placed = await anext(placing)
        await uploads.make_clear_handler(tab.photo_control)(gr.Request(), state, *values)
        return [placed, *[update async for update in placing]]

    placed, *later = asyncio.run(place_then_clear())
    assert placed[tab.photo_control.value] == photo
    assert not any(tab.result.status in update for update in later)
    assert not state.job_id


def test_beside_a_plain_ground_three_places_are_offered_on_the_visitors_photo(
    shipped: RunningStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = np.asarray(cv2.resize(make_blob(300, 300, (150, 150), (60, 60)), (320, 320)), np.float32)
    for net in (U2Net, IsNet):
        monkeypatch.setattr(net, "predict_map", lambda _net, _image: seen)
    tab = build_tab(shipped, background.TOOL)
    follower = ToolTabEvents(tab, shipped.service, shipped.access).follower
    photo = shipped.service.files.add_image(make_noise(300, 300), "local", "upload")

    async def read_last_status(state: TabState, **form: Any) -> str:
        values = [{"photo": photo, **form}.get(name, row.value.value) for name, row in tab.controls.items()]
        drawn = [each async for each in follower.draw_draft(LOCAL, state, *values)]
        last = {key: value for each in drawn for key, value in each.items()}
        return f"{last[tab.result.status]}{last[tab.result.suggested_looks]}"

    state = TabState()
    offered = asyncio.run(read_last_status(state))
    assert "Draft, small for speed" in offered
    labels = re.findall(
        r"<button[^>]*data-press=\"([^\"]+)\"><img src=\"data:image/jpeg[^>]*>([^<]+)</button>", offered
    )
    places = [background.SCENES[look].title for look in background.TOOL.place_looks]
    assert len({label for _, label in labels} & set(places)) == LOOK_COUNT
    titles = [scene.title for scene in background.SCENES.values()]
    assert labels == [
        (f"#background-preset label:nth-of-type({titles.index(label) + 1}) input", label) for _, label in labels
    ]
    assert state.draft_id == ""
    for chosen in ({"preset": "forest"}, {"prompt": "library"}, {"photo": None}):
        assert "dbx-closest" not in asyncio.run(read_last_status(TabState(), **chosen)), chosen


def test_the_looks_tiles_are_drawn_of_the_photo_until_it_is_taken_away(
    shipped: RunningStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_follower, "LOOK_TILES_PAUSE_SECONDS", 0)
    monkeypatch.setattr(job_follower, "MAX_TILE_SECONDS", 60)
    tab = build_tab(shipped, style.TOOL)
    follower = ToolTabEvents(tab, shipped.service, shipped.access).follower
    photo = shipped.service.files.add_image(make_noise(40, 60), "local", "upload")
    looks = [value for _, value in tab.controls["preset"].field.options]
    state = TabState()

    async def read(handler: Any, given: str | None = photo) -> list[dict[Any, Any]]:
        values = [given if name == "photo" else row.value.value for name, row in tab.controls.items()]
        return [each async for each in handler(LOCAL, state, *values)]

    def read_tiles(told: list[dict[Any, Any]]) -> list[int]:
        shown = [each[tab.result.look_tiles] for each in told if tab.result.look_tiles in each]
        return [each.count("url(data:image/jpeg") for each in shown if isinstance(each, str)]

    (due,) = (
        each[tab.result.tiles_due] for each in asyncio.run(read(follower.draw_draft)) if tab.result.tiles_due in each
    )
    assert due == state.request_number
    assert read_tiles(asyncio.run(read(follower.draw_look_tiles))) == [3, 6, 9, 12]
    assert list(state.look_tiles) == looks
    assert not any(tab.result.tiles_due in each for each in asyncio.run(read(follower.draw_draft)))  # all are there
    state.look_tiles_of = (*state.look_tiles_of[:1], ("[[0.5, 0.5]]",))  # there were marks, which are gone
    due_again = [each for each in asyncio.run(read(follower.draw_draft)) if tab.result.tiles_due in each]
    assert due_again, "each look is to be drawn without them"
    assert list(state.look_tiles) == looks, "and until then its tile stays"
    assert read_tiles(asyncio.run(read(follower.draw_look_tiles))) == [12, 12, 12, 12]
    assert state.stale_looks == set()
    job = shipped.service.create_job("style", {"photo": photo}, "local")
    wait_for_result(shipped.service.jobs.submit_and_watch(job))
    row = shipped.service.jobs.get_job(job.id)
    assert row is not None

    async def attach(row: JobRow) -> list[dict[Any, Any]]:
        return [each async for each in follower.attach_job(row, state, gr.Request())]

    opened = asyncio.run(attach(row))
    assert any(each.get(tab.result.tiles_due) == state.request_number for each in opened), "of the photo of that job"
    assert read_tiles(asyncio.run(read(follower.draw_draft, None))) == [0]
    assert state.look_tiles == {}

    asyncio.run(read(follower.draw_draft))

    def shrink_while_it_is_taken_away(draft: bytes) -> bytes:
        follower.begin_request(state)
        state.note_photo()
        return look_choice.shrink_to_tile(draft)

    monkeypatch.setattr(job_follower, "shrink_to_tile", shrink_while_it_is_taken_away)
    assert read_tiles(asyncio.run(read(follower.draw_look_tiles))) == []
    assert state.look_tiles == {}


def test_the_looks_tiles_give_way_after_a_while_and_no_query_is_on_the_event_loop(
    shipped: RunningStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LOOK_TILES_PAUSE", 0), ("QUIET_POLL", 0.01), ("MAX_QUIET_WAIT", 0.1)):
        monkeypatch.setattr(job_follower, f"{name}_SECONDS", seconds)
    tab = build_tab(shipped, style.TOOL)
    follower = ToolTabEvents(tab, shipped.service, shipped.access).follower
    photo = shipped.service.files.add_image(make_noise(40, 60), "local", "upload")
    values = [photo if name == "photo" else row.value.value for name, row in tab.controls.items()]
    state, asked_by = TabState(), list[int]()

    def count_others_jobs() -> tuple[int, int]:
        asked_by.append(threading.get_ident())
        return 1, 0

    async def read(handler: Any) -> list[dict[Any, Any]]:
        return [each async for each in handler(LOCAL, state, *values)]

    asyncio.run(read(follower.draw_draft))
    with monkeypatch.context() as while_others_work:
        while_others_work.setattr(shipped.service.jobs, "count_jobs", count_others_jobs)
        asyncio.run(read(follower.draw_look_tiles))
    assert len(asked_by) > 2
    assert threading.get_ident() not in asked_by
    assert state.look_tiles == {}
    assert any(tab.result.tiles_due in each for each in asyncio.run(read(follower.draw_draft)))  # tried once more


def test_the_look_that_was_chosen_on_home_stays_when_the_tab_opens_after_it(shipped: RunningStudio) -> None:
    """The tab's own opening knows the form of before: it would bring Home's photo once more, in the usual look."""
    tab = build_tab(shipped, style.TOOL)
    events = ToolTabEvents(tab, shipped.service, shipped.access)
    photo = shipped.service.files.add_image(make_noise(40, 60), "local", "upload")
    chosen = next(value for _, value in tab.controls["preset"].field.options[1:])
    before = [row.value.value for row in tab.controls.values()]
    state, given = TabState(), GivenPhoto(photo, time.monotonic())
    handoff = TabHandoff(photo, time.time(), {"preset": chosen}, is_new=True)

    async def open_both() -> None:
        _ = [each async for each in events.uploads.receive_handoff(LOCAL, handoff, state, *before)]
        _ = [each async for each in events.open_tab(LOCAL, given, 5.0, state, *before)]

    asyncio.run(open_both())
    assert state.drafted_form["preset"] == chosen
    assert state.drafted_form["photo"] == photo


@pytest.mark.parametrize("stays_in_row", [False, True])
def test_a_photo_from_home_leaves_the_row_whose_pictures_it_replaces(
    shipped: RunningStudio, *, stays_in_row: bool
) -> None:
    tab = build_tab(shipped, business.TOOL)
    events = ToolTabEvents(tab, shipped.service, shipped.access)
    old, new = (shipped.service.files.add_image(make_noise(40, side), "local", "upload") for side in (60, 61))
    field = tab.photo_control.field
    assert field.kind == "pictures"
    before = [(old,) if name == field.name else row.value.value for name, row in tab.controls.items()]
    state = TabState(batch_row=("batch", 1), last_request={"seed": 1})
    handoff = TabHandoff(new, time.time(), is_new=True, stays_in_row=stays_in_row)

    async def receive() -> dict[Any, Any]:
        return await anext(events.uploads.receive_handoff(LOCAL, handoff, state, *before))

    assert asyncio.run(receive())[tab.photo_control.value] == (), "the field begins anew"
    assert state.batch_row == (("batch", 1) if stays_in_row else None)


def test_no_tile_is_tried_of_a_photo_whose_draft_failed(shipped: RunningStudio) -> None:
    tab = build_tab(shipped, background.TOOL)
    follower = ToolTabEvents(tab, shipped.service, shipped.access).follower
    plain = shipped.service.files.add_image(np.full((512, 512, 3), 128, np.uint8), "local", "upload")
    state = TabState(look_tiles={"park": b"jpeg"})

    async def draw() -> list[dict[Any, Any]]:
        values = [plain if name == "photo" else row.value.value for name, row in tab.controls.items()]
        return [each async for each in follower.draw_draft(LOCAL, state, *values)]

    told = asyncio.run(draw())
    assert any("Nothing stands out" in str(each) for each in told)
    assert not any(tab.result.tiles_due in each for each in told)
    assert state.look_tiles == {}


def test_a_job_leaves_a_greyed_field_empty(shipped: RunningStudio) -> None:
    """Nobody could empty it, and each picture would say again that its words were not used."""
    tab = build_tab(shipped, retouch.TOOL)
    words = tab.controls["prompt"]
    assert words.lock_reason
    view = ToolTabEvents(tab, shipped.service, shipped.access).view
    for fill in (view.fill_form, view.fill_new_form):
        assert fill({"prompt": "blue sky"}, 1)[words.value] == ""
