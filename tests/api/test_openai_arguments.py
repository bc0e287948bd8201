"""Every argument of the official client's images API, with every value that its types name."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import httpx
import numpy as np
import openai
import PIL.Image
import pytest
from openai.types.image_edit_params import ImageEditParamsBase
from openai.types.image_generate_params import ImageGenerateParamsBase

from pipelines.codecs.containers import encode_gif
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params
from pipelines.core.rendering import EncodedFile, ToolOutput
from pipelines.core.tools import ToolContext
from pipelines.tools import TOOLS
from tests.api.support.calls import make_noise_png
from tests.support.served_app import ServedApp, serve_app

EXAMPLES: dict[str, tuple[Any, ...]] = {
    "prompt": ("a forest",), "model": ("gpt-image-2.5-sunburst", "chatgpt-image-latest", "background"),
    "n": (1, 3), "size": ("auto", "1024x1024", "1536x864", "1600x1000"), "user": ("ann",),
    "safety_identifier": ("f00",), "output_compression": (0, 80), "partial_images": (0, 3), "frame_count": (9,),
    "frame_duration_ms": (400,), "svg": ({"model": "gpt-6"},),
}  # fmt: skip
"""Values of the arguments whose types name none."""
REFUSED = {
    ("output_format", "svg"): "output_format",
    ("svg", "{'model': 'gpt-6'}"): "svg",
    ("frame_count", "9"): "frame_count",
    ("frame_duration_ms", "400"): "frame_duration_ms",
    ("model", "dall-e-2"): "model",
    ("model", "dall-e-3"): "model",
}
"""What this studio does not do, and the argument that its sentence names."""
REFUSED_BY_CALL = {
    "generate": {("background", "transparent"): "background", ("output_format", "gif"): "output_format"},
    "edit": {("output_format", "gif"): "consent"},  # a face moves with permission only
}


def _draw_blank(params: Params, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    emit("Drawing", 1, 1)
    return ToolOutput(images=(np.zeros((32, 32, 3), np.uint8),))


def _draw_gif(params: Params, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    values = params.model_dump()
    frames = tuple(np.full((32, 32, 3), 9 * n, np.uint8) for n in range(values["gif_frames"]))
    return ToolOutput((), extras=(EncodedFile("result", "gif", encode_gif(frames, values["seconds"]), frames, "a"),))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    tools = [replace(row, run=_draw_gif if row.id == "motion" else _draw_blank) for row in TOOLS]
    with serve_app(tmp_path_factory.mktemp("arguments"), tools=tools) as served:
        yield served


@pytest.fixture(scope="module")
def client(here: ServedApp) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{here.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def list_values(params: type, name: str) -> list[Any]:
    """The literals of an argument's type, or its examples."""
    found: list[Any] = list(EXAMPLES.get(name, ()))
    waiting = [get_type_hints(params, include_extras=False)[name]]
    while waiting:
        kind = waiting.pop()
        found += [value for value in get_args(kind) if isinstance(value, str)]
        waiting += [value for value in get_args(kind) if not isinstance(value, str | list | tuple)]
    return found


ARGUMENTS = [
    (kind, name, value)
    for kind, params in (("generate", ImageGenerateParamsBase), ("edit", ImageEditParamsBase))
    for name in get_type_hints(params)
    if name not in ("image", "mask", "markup")
    for value in list_values(params, name)
]


@pytest.mark.parametrize(("kind", "name", "value"), ARGUMENTS, ids=str)
def test_an_argument_of_the_typed_signature_is_taken_or_refused_by_its_name(
    client: openai.OpenAI, kind: str, name: str, value: Any
) -> None:
    call: Any = client.images.generate if kind == "generate" else client.images.edit
    arguments = {"prompt": "a forest", **({"image": make_noise_png()} if kind == "edit" else {}), name: value}
    refused = {**REFUSED, **REFUSED_BY_CALL[kind]}
    if (name, str(value)) not in refused:
        answer = call(**arguments)
        assert answer.data
        assert answer.quality in ("low", "medium", "high", "xhigh", "max")
        return
    with pytest.raises(openai.APIStatusError) as caught:
        call(**arguments)
    assert caught.value.param == refused[name, str(value)]
    assert len(caught.value.message) > 20


def test_every_argument_has_a_value_here() -> None:
    assert all(
        list_values(params, name)
        for params in (ImageGenerateParamsBase, ImageEditParamsBase)
        for name in get_type_hints(params)
        if name not in ("image", "mask", "markup")
    )


def as_data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def draw_overlay(*, painted: bool) -> bytes:
    """A PNG of 32 x 32 whose upper half is opaque, as a markup is painted, or transparent, as a mask says it."""
    overlay = np.zeros((32, 32, 4), np.uint8)
    overlay[:16, :, 3] = 255
    out = io.BytesIO()
    PIL.Image.fromarray(overlay if painted else 255 - overlay).save(out, "PNG")
    return out.getvalue()


def test_pictures_are_named_by_id_by_link_and_by_data_url(here: ServedApp) -> None:
    with here.open_client() as http:
        made = http.post("/v1/images/generations", json={"prompt": "a", "response_format": "url"}).json()
        job = http.get(f"/v1/jobs/{made['job_id']}").json()
        file_id, link = job["files"][0]["id"], made["data"][0]["url"]
        for reference in (
            {"file_id": file_id},
            {"image_url": link},
            {"image_url": link.removeprefix(here.url)},
            {"image_url": as_data_url(make_noise_png()), "file_id": None},
        ):
            answer = http.post("/v1/images/edits", json={"prompt": "a", "images": [reference]})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "reference",
    [
        {"image_url": "https://example.com/a.png"},
        {"image_url": "http://127.0.0.1:1/v1/jobs/x"},
        {"image_url": "file:///etc/passwd"},
        {"file_id": "x", "image_url": "y"},
        {},
        {"file": "x"},
        {"file_id": 3},
        None,
        7,
    ],
    ids=str,
)
def test_other_addresses_and_forms_are_refused_and_nothing_is_fetched(here: ServedApp, reference: object) -> None:
    with here.open_client() as http:
        answer = http.post("/v1/images/edits", json={"prompt": "a", "images": [reference]})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]["param"] in ("images", "image", "photo")


@pytest.mark.parametrize(("name", "painted"), [("mask", False), ("markup", True)])
def test_a_mask_and_a_markup_say_where_to_edit(here: ServedApp, name: str, painted: bool) -> None:
    overlay = draw_overlay(painted=painted)
    with here.open_client() as http:
        pictures = {"images": [{"image_url": as_data_url(make_noise_png())}], name: {"image_url": as_data_url(overlay)}}
        assert http.post("/v1/images/edits", json={"prompt": "", **pictures}).status_code == 200
        sent = http.post("/v1/images/edits", data={"prompt": ""}, files={"image": make_noise_png(), name: overlay})
        assert sent.status_code == 200, sent.text
        for job in http.get("/v1/jobs?limit=2").json()["data"]:
            assert job["tool"] == "retouch"
            mask = here.service.files.open_image(job["receipt"]["params"]["mask"])
            assert (mask[:16].min(), mask[16:].max()) == (255, 0)


def test_a_markup_needs_alpha_and_no_mask_beside_it(here: ServedApp) -> None:
    with here.open_client() as http:
        for files in (
            {"image": make_noise_png(), "markup": make_noise_png()},
            {"image": make_noise_png(), "markup": draw_overlay(painted=True), "mask": draw_overlay(painted=False)},
        ):
            answer = http.post("/v1/images/edits", data={"prompt": ""}, files=files)
            assert answer.status_code in (400, 422)
            assert answer.json()["error"]["param"] == "markup"


def ask_for_gif(http: httpx.Client, **fields: object) -> httpx.Response:
    body = {"prompt": "", "model": "motion", "output_format": "gif", "consent": True, **fields}
    return http.post("/v1/images/edits", json={**body, "images": [{"image_url": as_data_url(make_noise_png())}]})


def test_motion_is_a_gif_of_as_many_frames_as_were_asked_for(here: ServedApp) -> None:
    with here.open_client() as http:
        answer = ask_for_gif(http, frame_count=8, frame_duration_ms=400, prompt="She waves").json()
        assert answer["output_format"] == "gif"
        assert any("the words were not used" in notice for notice in answer["notices"])
        (picture,) = answer["data"]
        with PIL.Image.open(io.BytesIO(base64.b64decode(picture["b64_json"]))) as gif:
            assert (gif.format, getattr(gif, "n_frames", 1), gif.info["duration"]) == ("GIF", 8, 400)
        for wrong, param in (
            ({"stream": True}, "stream"),
            ({"frame_count": 40}, "frame_count"),
            ({"frame_duration_ms": 10}, "frame_duration_ms"),
        ):
            refused = ask_for_gif(http, **wrong)
            assert refused.status_code in (400, 422)
            assert refused.json()["error"]["param"] == param


def test_a_shape_that_is_not_drawn_is_the_nearest_and_said(here: ServedApp) -> None:
    with here.open_client() as http:
        near = http.post("/v1/images/generations", json={"prompt": "a", "size": "1600x1000"}).json()
        assert "1600x1000 was asked for; the nearest shape here is 3:2." in near["notices"]
        exact = http.post("/v1/images/generations", json={"prompt": "a", "size": "1536x864"}).json()
        assert exact["notices"] == []
        far = http.post("/v1/images/generations", json={"prompt": "a", "size": "3000x500"})
        assert far.json()["error"]["param"] == "size"


def test_the_answer_repeats_the_callers_identifier(client: openai.OpenAI) -> None:
    newer = {"safety_identifier": "f00"}  # the oldest client that is allowed does not know it
    assert client.images.generate(prompt="a", user="ann", extra_body=newer).safety_identifier == "f00"
    assert client.images.generate(prompt="a", user="ann").safety_identifier == "ann"
