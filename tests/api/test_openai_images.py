from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator

import cv2
import numpy as np
import openai
import pytest
from PIL import Image

from pipelines.core.job import Step
from pipelines.tools import background
from tests.api.support.calls import RUN, make_noise_png, read_failure
from tests.support.served_app import ServedApp, wait_until
from ui.api import event_stream
from ui.api.routes import openai_images
from ui.api.routes.openai_mapping import _choose_ratio


@pytest.fixture
def client(here: ServedApp) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{here.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def opened(b64: str | None) -> Image.Image:
    assert b64 is not None
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def test_generate_answers_with_a_picture_of_the_size_that_was_asked_for(client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="a wall", size="96x64")
    assert answer.data is not None
    assert opened(answer.data[0].b64_json).size == (96, 64)
    assert (answer.size, answer.output_format, answer.background) == ("96x64", "png", "opaque")
    assert answer.usage is not None
    assert answer.created > 0


def test_n_pictures_come_and_they_differ(client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="a wall", n=3)
    assert answer.data is not None
    assert len({row.b64_json for row in answer.data}) == 3


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_output_format_is_the_files_format(client: openai.OpenAI, kind: str) -> None:
    answer = client.images.generate(prompt="a", output_format=kind, output_compression=80)  # pyrefly: ignore[no-matching-overload]
    assert answer.data is not None
    assert opened(answer.data[0].b64_json).format == kind.upper()


@pytest.mark.parametrize(("asked", "got"), [(0, 50), (49, 50), (100, 100)])
def test_a_compression_that_openai_permits_is_taken_at_the_nearest_that_is_drawn(
    here: ServedApp, client: openai.OpenAI, asked: int, got: int
) -> None:
    client.images.generate(prompt="a", output_format="jpeg", output_compression=asked)
    with here.open_client() as http:
        assert http.get("/v1/jobs?limit=1").json()["data"][0]["receipt"]["params"]["quality"] == got


def test_a_link_leads_to_the_picture(here: ServedApp, client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="a", response_format="url")
    assert answer.data is not None
    assert answer.data[0].b64_json is None
    assert answer.data[0].url is not None
    with here.open_client() as http:
        assert http.get(answer.data[0].url).headers["content-type"] == "image/png"


@pytest.mark.parametrize("model", [None, "auto", "gpt-image-1", "gpt-image-2-mini", "background"])
def test_models_that_openai_names_mean_the_tool_that_fits(
    here: ServedApp, client: openai.OpenAI, model: str | None
) -> None:
    client.images.generate(prompt="a", model=model)
    with here.open_client() as http:
        assert http.get("/v1/jobs?limit=1").json()["data"][0]["tool"] == "background"


def test_fields_of_the_tool_ride_along(here: ServedApp, client: openai.OpenAI) -> None:
    client.images.generate(prompt="a", extra_body={"steps": 5, "seed": 77, "strength": 0.25})
    client.images.edit(prompt="b", image=make_noise_png(), extra_body={"steps": 6, "seed": 78})
    with here.open_client() as http:
        edit, made = (job["receipt"]["params"] for job in http.get("/v1/jobs?limit=2").json()["data"])
    assert (made["num_inference_steps"], made["seed"], made["strength"], made["prompt"]) == (5, 77, 0.25, "a")
    assert (edit["num_inference_steps"], edit["seed"], edit["prompt"]) == (6, 78, "b")


def test_edit_takes_a_picture(here: ServedApp, client: openai.OpenAI) -> None:
    answer = client.images.edit(prompt="a forest", image=("me.png", make_noise_png(5)), size="64x64")
    assert answer.data is not None
    assert opened(answer.data[0].b64_json).size == (64, 64)
    with here.open_client() as http:
        job = http.get("/v1/jobs?limit=1").json()["data"][0]
    assert job["receipt"]["inputs"][0]["param"] == "photo"


def test_several_pictures_go_where_several_are_taken(here: ServedApp, client: openai.OpenAI) -> None:
    client.images.edit(prompt="a", image=[("a.png", make_noise_png(1)), ("b.png", make_noise_png(2))])
    with here.open_client() as http:
        job = http.get("/v1/jobs?limit=1").json()["data"][0]
    assert len(job["receipt"]["params"]["photos"]) == 2


def test_a_stream_sends_three_partial_pictures_then_the_whole(here: ServedApp, client: openai.OpenAI) -> None:
    here.gate.pause = 0.03
    stream = client.images.generate(prompt="a", stream=True, partial_images=3, extra_body={"steps": 30})
    told = list(stream)
    assert [event.type for event in told] == ["image_generation.partial_image"] * 3 + ["image_generation.completed"]
    assert [event.partial_image_index for event in told[:3]] == [0, 1, 2]  # pyrefly: ignore[missing-attribute]
    assert all(opened(event.b64_json).format == "JPEG" for event in told[:3])
    assert opened(told[-1].b64_json).format == "PNG"
    assert told[-1].usage.total_tokens == 0  # pyrefly: ignore[missing-attribute]


def test_an_edit_streams_as_well_and_quick_work_still_gives_three(client: openai.OpenAI) -> None:
    told = list(
        client.images.edit(prompt="a", image=make_noise_png(), stream=True, partial_images=3, extra_body={"steps": 1})
    )
    assert [event.type for event in told] == ["image_edit.partial_image"] * 3 + ["image_edit.completed"]


@pytest.mark.parametrize("partials", [None, 0, 1])
def test_no_more_partial_pictures_come_than_were_asked_for(client: openai.OpenAI, partials: int | None) -> None:
    told = list(client.images.generate(prompt="a", stream=True, partial_images=partials))
    assert len(told) == (partials or 0) + 1


def test_frames_are_spread_over_the_steps() -> None:
    due: list[int] = []
    for index in range(1, 21):
        if openai_images._is_partial_due(Step(index, 20, "Drawing"), len(due), 3):
            due.append(index)
    assert due == [1, 7, 14]


def test_closing_mid_stream_frees_the_lane(here: ServedApp, client: openai.OpenAI) -> None:
    here.gate.pause = 0.1
    for _ in range(3):
        stream = client.images.generate(prompt="a", stream=True, partial_images=3, extra_body={"steps": 1000})
        next(iter(stream))
        stream.close()
        wait_until(here.is_idle, 30)
    assert client.images.generate(prompt="a").data


def test_an_error_in_a_stream_raises_in_the_client_with_its_code(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError) as caught:
        list(client.images.generate(prompt="a", stream=True, extra_body={"fault": "no_face"}))
    assert caught.value.code == "no_face"


def test_pictures_whose_bytes_are_gone_are_not_found_streamed_or_not(here: ServedApp) -> None:
    body = {"prompt": "gone", "seed": 99}
    with here.open_client(headers={"Idempotency-Key": "gone"}) as http:
        job_id = http.post("/v1/images/generations", json=body).json()["job_id"]
        for file in http.get(f"/v1/jobs/{job_id}").json()["files"]:
            here.service.files.local_path(file["id"]).unlink()
        again = http.post("/v1/images/generations", json=body)
        assert (again.status_code, again.json()["error"]["code"]) == (404, "not_found")
        streamed = http.post("/v1/images/generations", json={**body, "stream": True, "partial_images": 1})
    assert streamed.headers["idempotent-replayed"] == "true"
    assert "completed" not in streamed.text
    error = json.loads(streamed.text.rpartition("event: error\ndata: ")[2])["error"]
    assert error["code"] == "not_found"


@pytest.mark.parametrize("path", [f"{RUN}?stream=true", "/v1/images/generations"])
def test_a_bug_in_the_middle_of_a_stream_is_its_last_event(
    here: ServedApp, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(event_stream, "make_job_object", broken)
    monkeypatch.setattr(openai_images, "_result_files", broken)
    with here.open_client() as http:
        told = http.post(path, json={"prompt": "x"} | ({} if "tools" in path else {"stream": True})).text
    assert json.loads(told.rpartition("event: error\ndata: ")[2])["error"]["code"] == "internal_error"
    assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [True]


@pytest.mark.parametrize("path", [f"{RUN}?stream=true", "/v1/images/generations"])
def test_a_line_that_is_still_is_kept_open_by_a_comment_that_no_event_is_lost_in(
    here: ServedApp, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "KEEPALIVE_SECONDS", 0.02)
    here.gate.open.clear()
    body = {"prompt": "x"} | ({} if "tools" in path else {"stream": True, "partial_images": 1})
    told = ""
    with here.open_client() as http, http.stream("POST", path, json=body) as answer:
        for part in answer.iter_text():
            told += part
            if told.count(": wait") == 3:
                here.gate.open.set()
    assert told.count(": wait") >= 3
    assert all("\ndata: " in event or event == ": queued" for event in told.rstrip().split("\n\n"))
    assert told.count("event: result") + told.count("event: image_generation.completed") == 1
    assert told.count('"stage": "Drawing"') == (3 if "tools" in path else 0)


def test_the_official_client_reads_over_the_comments(
    here: ServedApp, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "KEEPALIVE_SECONDS", 0.01)
    here.gate.pause = 0.1
    told = list(client.images.generate(prompt="a", stream=True, partial_images=1))
    assert [event.type for event in told] == ["image_generation.partial_image", "image_generation.completed"]


def test_errors_carry_code_and_param_in_the_senders_words(client: openai.OpenAI) -> None:
    for wrong, param in (
        ({"n": 9}, "n"),
        ({"size": "17x5000"}, "size"),
        ({"size": "big"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"output_compression": 101}, "output_compression"),
        ({"output_format": "gif"}, "output_format"),
        ({"response_format": "html"}, "response_format"),
        ({"background": "transparent"}, "background"),
        ({"prompt": "x" * 5000}, "prompt"),
        ({"quality": "superb"}, "quality"),
        ({"extra_body": {"partial_images": 7}}, "partial_images"),
        ({"extra_body": {"stream": "perhaps"}}, "stream"),
    ):
        with pytest.raises(openai.APIStatusError) as caught:
            client.images.generate(**{"prompt": "a", **wrong})  # pyrefly: ignore[no-matching-overload]
        assert (caught.value.code, caught.value.param) == ("invalid_request", param)
        assert caught.value.status_code in (400, 422)


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="a", model="dall-e-3")
    assert (caught.value.code, caught.value.param) == ("not_found", "model")


def test_a_bad_picture_is_named_image(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(prompt="a", image=("a.png", b"words"))
    assert (caught.value.code, caught.value.param) == ("unsupported_image", "image")


def test_a_full_queue_is_a_rate_limit_that_the_client_knows(here: ServedApp, client: openai.OpenAI) -> None:
    here.gate.open.clear()
    with here.open_client() as http:
        for _ in range(17):
            http.post("/v1/tools/background?wait=false", json={})
    with pytest.raises(openai.RateLimitError) as caught:
        client.images.generate(prompt="a")
    assert caught.value.code == "queue_full"


def test_files_and_models_are_what_the_official_client_expects(client: openai.OpenAI) -> None:
    sent = client.files.create(file=("a.png", make_noise_png(21)), purpose="vision")
    assert (sent.object, sent.status) == ("file", "processed")
    pixels = cv2.imdecode(np.frombuffer(client.files.content(sent.id).content, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (48, 64, 3)
    assert [model.id for model in client.models.list()] == ["background"]


def test_without_a_prompt_or_a_picture_the_missing_one_is_named(here: ServedApp) -> None:
    with here.open_client() as http:
        assert read_failure(http.post("/v1/images/generations", json={}))[2] == "prompt"
        assert read_failure(http.post("/v1/images/edits", data={"prompt": "a"}))[2] == "image"


def test_a_mask_without_a_tool_that_takes_one_is_said(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(prompt="a", image=make_noise_png(), mask=("m.png", make_noise_png()))
    assert caught.value.param == "mask"
    assert "retouch" in caught.value.message


def test_openais_own_sizes_come_as_asked_from_the_real_background_tool() -> None:
    sizes = ((1024, 1024), (1536, 1024), (1024, 1536))
    assert [_choose_ratio(background.TOOL.params, *size) for size in sizes] == ["1:1", "3:2", "2:3"]
