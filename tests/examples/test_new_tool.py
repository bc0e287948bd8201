"""A tool is one short file and one row: its tab, route, columns and docs follow, and no other file is touched."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pipelines.batch.jobs_file import csv_template
from pipelines.tools import find_tool
from tests.examples import sepia
from tests.support.examples import load_example
from tests.support.gradio_loop import build_parts
from tests.support.served_app import ServedApp, serve_app
from ui import page
from ui.api.auth.access import AccessControl

FIELDS = list(sepia.Sepia.model_fields)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with serve_app(tmp_path_factory.mktemp("new"), tools=(find_tool("cutout"), sepia.TOOL)) as here:
        yield here


def test_the_file_is_short() -> None:
    assert len(Path(sepia.__file__).read_text().splitlines()) <= 40


def test_its_route_makes_a_picture(here: ServedApp) -> None:
    photo = io.BytesIO()
    PIL.Image.fromarray(load_example("coffee")).save(photo, "PNG", compress_level=0)
    with here.open_client() as http:
        answer = http.post(
            "/v1/tools/sepia", data={"preset": "cold", "amount": "100"}, files={"photo": photo.getvalue()}
        )
        assert answer.status_code == 200
        job = answer.json()
        with PIL.Image.open(io.BytesIO(http.get(job["files"][0]["url"]).content)) as picture:
            image = np.asarray(picture.convert("RGB")).astype(int)
    assert (job["tool"], job["receipt"]["params"]["amount"]) == ("sepia", 100)
    assert np.median(image[..., 2] - image[..., 0]) == 24


def test_its_bounds_and_names_are_checked_at_the_door(here: ServedApp) -> None:
    with here.open_client() as http:
        answer = http.post("/v1/tools/sepia", json={"photo": "file-x", "amount": 101})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "amount")


def test_its_docs_say_every_field_with_its_help(here: ServedApp) -> None:
    with here.open_client() as http:
        rows = {row["id"]: row for row in http.get("/v1/tools").json()["data"]}
        document = http.get("/v1/openapi.json").json()
    assert list(rows["sepia"]["params"]["properties"]) == FIELDS
    assert rows["sepia"]["params"]["properties"]["amount"]["x-kind"] == "number"
    route = document["paths"]["/tools/sepia"]["post"]
    assert "0 is grey." in str(route) + str(document["components"])
    assert "multipart/form-data" in route["requestBody"]["content"]


def test_its_columns_are_those_of_a_batch() -> None:
    header, row = csv.reader(io.StringIO(csv_template(sepia.TOOL)))
    assert header[1:] == FIELDS
    assert dict(zip(header, row, strict=True))["amount"] == "60"


def test_its_tab_has_a_component_for_every_field(here: ServedApp) -> None:
    made = build_parts(lambda: page.build_page(here.service, AccessControl(here.service.settings, here.keys)))
    config: Any = made.get_config_file()
    shown = {part["props"].get("elem_id") for part in config["components"]}
    assert {"tab-sepia", "sepia-generate", *(f"sepia-{name}" for name in FIELDS)} <= shown
