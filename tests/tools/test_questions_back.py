"""Photos that are refused or asked back, on the page and over REST, by a sentence that says what to do."""

from __future__ import annotations

import asyncio
import html
import io
from collections.abc import Iterator
from typing import Any

import cv2
import gradio as gr
import httpx
import numpy as np
import PIL.Image
import pytest

from pipelines.core.errors import StudioError
from pipelines.core.geometry import Alpha, Image
from pipelines.imaging.resize import resize_image
from pipelines.models.nets.u2net import U2Net
from pipelines.quality.subject_checks import FILLED_NOTICE
from pipelines.runtime.context import HEAD_LOST_MESSAGE
from pipelines.tools import find_tool
from tests.support.examples import load_example, make_noise
from tests.support.real_studio import RealStudio
from tests.support.served_app import ServedApp, serve_app
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.job_follower import JobFollower
from ui.tool_tab.layout import ToolTab
from ui.tool_tab.state import TabState

ASKING_TOOLS = ("headshot", "product", "cutout", "fashion", "motion", "retouch", "upscale")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with serve_app(tmp_path_factory.mktemp("served"), tools=[find_tool(name) for name in ASKING_TOOLS]) as built:
        yield built
    _followers.clear()


_followers: dict[str, JobFollower] = {}


def encode(image: Image) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def draw_hills() -> Image:
    """A range of hills from border to border, with mist below it and sky above."""
    photo = make_noise(300, 480, 0, 3).astype(np.float32)
    rows, columns = np.arange(300)[:, None], np.arange(480)[None]
    hills = (rows > 110 + 20 * np.sin(columns / 50)) & (rows < 190 + 25 * np.sin(columns / 70))
    return np.clip(photo + np.where(hills[..., None], (40, 70, 40), (200, 215, 235)), 0, 255).astype(np.uint8)


def generate_on_page(served: ServedApp, tool: str, photo: Image, **values: Any) -> str:
    """Click Generate in the tool's tab; all that its handler shows, as text."""
    if tool not in _followers:  # a tab takes as long as most of the tests
        with gr.Blocks():
            tab = ToolTab(find_tool(tool), served.service)
        _followers[tool] = ToolTabEvents(tab, served.service, served.studio.access).follower
    follower = _followers[tool]
    file_id = served.service.files.add_image(photo, "local", "upload")

    async def collect() -> str:
        form: dict[str, Any] = {"photo": file_id, "consent": True, **values}
        return " ".join([str(updates) async for updates in follower.run_job(gr.Request(), TabState(), form)])

    return asyncio.run(collect())


def post(served: ServedApp, tool: str, photo: Image, **values: Any) -> httpx.Response:
    """Send the same over REST."""
    files, form = {"photo": ("a.png", encode(photo))}, {"consent": "true", **values}
    return httpx.post(f"{served.url}/v1/tools/{tool}", files=files, data=form, timeout=120)


CASES: dict[str, tuple[str, Image, dict[str, Any], str, str]] = {
    "tiny face": ("headshot", resize_image(load_example("astronaut"), (160, 160)), {}, "no_face", "pixels or more"),
    "chin cut off": ("headshot", load_example("astronaut")[:160].copy(), {}, "no_face", "The photo cuts this face"),
    "eyes cut off": ("headshot", load_example("hopper")[205:].copy(), {}, "no_face", "shows the whole head"),
    "tiny photo": ("product", load_example("coffee")[100:164, 100:164].copy(), {}, "invalid_request", "512 pixels"),
    "scenery": ("product", draw_hills(), {}, "no_subject", "a view without one subject"),
    "nothing": ("cutout", make_noise(200, 200), {}, "no_subject", "if it fills the photo, around all of it"),
    "an apple in Lookbook": (
        "fashion",
        load_example("coffee"),
        {},
        "no_face",
        "point at the person, or at the clothes",
    ),
    "retouch without a mask": ("retouch", load_example("coffee"), {}, "invalid_request", "Paint over what is to go"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_asked_back_on_the_page_and_over_rest(served: ServedApp, name: str) -> None:
    tool, photo, values, code, advice = CASES[name]
    assert advice in generate_on_page(served, tool, photo, **values)
    answer = post(served, tool, photo, **values)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, code)
    assert advice in error["message"]


def test_a_subject_that_fills_its_photo_is_taken_whole_and_said(served: ServedApp) -> None:
    cloth, whole = make_noise(200, 200), "[0, 0, 1, 1]"
    job = post(served, "cutout", cloth, box=whole).json()
    assert FILLED_NOTICE in job["receipt"]["notices"]
    assert FILLED_NOTICE in generate_on_page(served, "cutout", cloth, box=whole)


def test_a_head_that_the_net_loses_is_asked_for(served: ServedApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A net that sees nothing in the upper half of any picture: what is left has no head."""
    predict_map = U2Net.predict_map

    def predict_without_heads(net: U2Net, image: Image) -> Alpha:
        raw = predict_map(net, image)
        raw[: len(raw) // 2] = 0
        return raw

    monkeypatch.setattr(U2Net, "predict_map", predict_without_heads)
    photo = load_example("astronaut")
    assert HEAD_LOST_MESSAGE in html.unescape(generate_on_page(served, "headshot", photo))
    error = post(served, "headshot", photo).json()["error"]
    assert error["code"] == "no_subject"
    assert error["message"].startswith(f"{HEAD_LOST_MESSAGE} The fields for that: `keep`")


def test_half_transparent_border_pixels_are_no_cut_out(studio: RealStudio) -> None:
    photo = load_example("coffee")
    rgba = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
    rgba[:2, :, 3] = 0
    result = studio.open_result(studio.make("cutout", photo=studio.add_image(rgba), trim=False, draft=False))
    assert (result[..., 3] == 0).mean() > 0.2


def test_a_real_cut_out_keeps_its_own_transparency(studio: RealStudio) -> None:
    photo = load_example("coffee")
    alpha = np.zeros(photo.shape[:2], np.uint8)
    cv2.circle(alpha, (350, 180), 120, 255, -1)
    result = studio.open_result(studio.make("cutout", photo=studio.add_image(np.dstack([photo, alpha])), trim=False))
    assert (result[..., 3] == alpha).all()


def test_points_come_through_rest_and_stand_in_the_receipt(served: ServedApp) -> None:
    files = {"photo": ("a.png", encode(load_example("coffee")))}
    form = {"keep": "[[0.55, 0.45]]", "drop": "[[0.02, 0.02]]", "box": "[0.1, 0, 1, 1]", "trim": "false"}
    job = httpx.post(f"{served.url}/v1/tools/cutout", files=files, data=form, timeout=120).json()
    assert job["receipt"]["params"]["keep"] == [[0.55, 0.45]]
    assert job["receipt"]["params"]["box"] == [0.1, 0, 1, 1]
    picture = httpx.get(f"{served.url}{job['files'][0]['url']}").content
    with PIL.Image.open(io.BytesIO(picture)) as opened:
        assert np.asarray(opened)[:, :30, 3].max() == 0


def test_too_large_a_result_is_refused_with_what_is_left_to_do(studio: RealStudio) -> None:
    wide = make_noise(40, 6000)
    with pytest.raises(StudioError, match=r"too large for that; .* up to 2048 pixels for 2 ×"):
        studio.make("upscale", photo=studio.add_image(wide), factor="2")
    with pytest.raises(StudioError, match=r"Choose 2 ×; .* up to 1024 pixels for 4 ×"):
        studio.make("upscale", photo=studio.add_image(make_noise(40, 1500)), factor="4")


def test_two_people_are_counted_and_said(studio: RealStudio) -> None:
    one, two = load_example("astronaut")[:360, 60:420], load_example("hopper")
    two = resize_image(two, (round(two.shape[1] * 360 / two.shape[0]), 360))
    photo = studio.add_image(np.ascontiguousarray(np.hstack([one, two])))
    for tool in ("headshot", "product", "cutout"):
        notices = studio.make(tool, draft=True, photo=photo, consent=True).receipt["notices"]
        assert any(notice.startswith("2 people; the front one is taken.") for notice in notices), tool
    scene = studio.make("background", draft=True, photo=photo, consent=True).receipt
    assert any(notice.startswith("2 people; they are kept together.") for notice in scene["notices"])
