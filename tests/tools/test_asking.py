"""Photos that are refused or asked back, through the service and over REST, by a sentence that says what to do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import cv2
import httpx
import numpy as np
import PIL.Image
import pytest

from pipelines.core.errors import StudioError
from pipelines.core.geometry import Image
from pipelines.imaging.resize import resize_image
from pipelines.tools import find_tool
from tests.support.examples import load_example, make_noise
from tests.support.real_studio import RealStudio
from tests.support.served_app import ServedApp, serve_app

ASKING_TOOLS = ("headshot", "product", "cutout", "fashion", "motion", "retouch", "upscale")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with serve_app(tmp_path_factory.mktemp("served"), tools=[find_tool(name) for name in ASKING_TOOLS]) as built:
        yield built


def encode(image: Image) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def draw_hills() -> Image:
    """Green hills from border to border under a blue sky."""
    photo = make_noise(300, 480, 0, 3).astype(np.float32)
    rows = np.arange(300)[:, None]
    hill = rows > 150 + 40 * np.sin(np.arange(480) / 70)[None]
    return np.clip(photo + np.where(hill[..., None], (60, 120, 50), (120, 170, 230)), 0, 255).astype(np.uint8)


def crop_forehead() -> Image:
    """The astronaut from the eyes up."""
    return np.ascontiguousarray(load_example("astronaut")[:130, 120:330])


CASES: dict[str, tuple[str, Image, dict[str, Any], str, str]] = {
    "tiny face": ("headshot", resize_image(load_example("astronaut"), (160, 160)), {}, "no_face", "pixels or more"),
    "tiny photo": ("product", load_example("coffee")[100:164, 100:164].copy(), {}, "invalid_request", "512 pixels"),
    "an apple in Lookbook": ("fashion", load_example("coffee"), {}, "no_face", "point at them"),
    "retouch without a mask": ("retouch", load_example("coffee"), {}, "invalid_request", "Paint over what is to go"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_asked_back_by_the_service_and_over_rest(studio: RealStudio, served: ServedApp, name: str) -> None:
    tool, photo, values, code, advice = CASES[name]
    with pytest.raises(StudioError) as refused:
        studio.make(tool, draft=True, photo=studio.add_image(photo), consent=True, **values)
    assert refused.value.code == code
    assert advice in refused.value.message
    files = {"photo": ("a.png", encode(photo))}
    answer = httpx.post(f"{served.url}/v1/tools/{tool}", files=files, data={"consent": "true", **values}, timeout=120)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, code)
    assert advice in error["message"]


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
    with pytest.raises(StudioError, match="large enough: there is nothing to gain"):
        studio.make("upscale", photo=studio.add_image(wide), factor="2")


def test_two_people_are_counted_and_said(studio: RealStudio) -> None:
    one, two = load_example("astronaut")[:360, 60:420], load_example("hopper")
    two = resize_image(two, (round(two.shape[1] * 360 / two.shape[0]), 360))
    photo = studio.add_image(np.ascontiguousarray(np.hstack([one, two])))
    portrait = studio.make("headshot", draft=True, photo=photo, consent=True).receipt
    assert any(notice.startswith("2 people; the front one is taken.") for notice in portrait["notices"])
    scene = studio.make("background", draft=True, photo=photo, consent=True).receipt
    assert any(notice.startswith("2 people; they are kept together.") for notice in scene["notices"])
