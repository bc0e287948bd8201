"""Ten tasks that an agent does by MCP alone: every argument that it needs is listed, described, and does what is said.

Each task's arguments are checked against the listed schema first, as an agent's client does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import numpy as np
import pytest
from starlette.applications import Starlette

from pipelines.core.geometry import Image
from pipelines.models.profiles import EMBEDDED
from pipelines.settings import Settings
from pipelines.tools import TOOLS
from tests.api.test_mcp import asked, run
from tests.support.gated_tool import Gate
from tests.support.served_app import ServedApp, run_studio, serve_starlette

Check = Callable[[ServedApp, dict[str, Any], list[Image]], bool]


@dataclass(frozen=True)
class Task:
    """What somebody asks for, the call that does it, and how it is seen that it was done; `photo` is an example's."""

    words: str
    tool: str
    photo: str
    values: Mapping[str, Any]
    is_done: Check


def _border(image: Image) -> Image:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


TASKS = (
    Task(
        "Make the cup a main image for Amazon.",
        "product",
        "coffee",
        {"preset": "amazon", "size": 512},
        lambda house, job, images: images[0].shape == (512, 512, 3) and bool((_border(images[0]) == 255).all()),
    ),
    Task(
        "Make a LinkedIn portrait of him, 512 pixels, as a JPEG. He agreed.",
        "headshot",
        "hopper",
        {"preset": "linkedin", "size": 512, "format": "jpeg", "consent": True},
        lambda house, job, images: max(images[0].shape) == 512 and job["files"][0]["format"] == "jpeg",
    ),
    Task(
        "Give me the cup without its background, in the photo's size.",
        "cutout",
        "coffee",
        {"trim": False},
        lambda house, job, images: images[0].shape[2] == 4 and 0.05 < (images[0][..., 3] > 128).mean() < 0.95,
    ),
    Task(
        "Only the lower right quarter of this photo is the subject: cut it out.",
        "cutout",
        "coffee",
        {"trim": False, "box": [0.5, 0.5, 1, 1]},
        lambda house, job, images: not images[0][: images[0].shape[0] // 2 - 4, :, 3].any(),
    ),
    Task(
        "Turn the cat into a watercolour, 256 pixels.",
        "style",
        "chelsea",
        {"preset": "watercolour", "size": 256},
        lambda house, job, images: max(images[0].shape) == 256 and job["receipt"]["mode"] == "redrawn",
    ),
    Task(
        "Put the cup on paper of the colour #336699.",
        "background",
        "coffee",
        {"prompt": "#336699", "ratio": "1:1", "size": 256},
        lambda house, job, images: bool(np.abs(images[0][2, 2].astype(int) - (0x33, 0x66, 0x99)).max() < 40),
    ),
    Task(
        "A post for Instagram and nothing else, with the words Good morning.",
        "kit",
        "coffee",
        {"preset": "post", "headline": "Good morning"},
        lambda house, job, images: len(images) == 1 and job["receipt"]["params"]["headline"] == "Good morning",
    ),
    Task(
        "Draw a happy character in a green jacket, transparent behind.",
        "character",
        "",
        {"mood": "happy", "outfit": "jacket", "colour": "#2f7d4f", "behind": "transparent", "size": 256},
        lambda house, job, images: images[0].shape[2] == 4 and images[0][..., 3].min() == 0,
    ),
    Task(
        "Make the photo 16:9 without cutting anything off or inventing anything.",
        "expand",
        "chelsea",
        {"ratio": "16:9", "preset": "blur"},
        lambda house, job, images: abs(images[0].shape[1] / images[0].shape[0] - 16 / 9) < 0.02,
    ),
    Task(
        "Give me the cup's cut-out for the printer: a TIFF with 16 bits.",
        "cutout",
        "coffee",
        {"trim": True, "margin": 10, "master": "tiff16"},
        lambda house, job, images: "tiff" in [row["format"] for row in job["files"] if row["role"] == "master"],
    ),
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    settings, wanted = Settings(data=tmp_path_factory.mktemp("tasks"), matting="small"), {task.tool for task in TASKS}
    with run_studio(settings, [tool for tool in TOOLS if tool.id in wanted], EMBEDDED) as studio:
        app = Starlette(routes=studio.build_routes(), middleware=studio.build_middleware())
        with serve_starlette(app) as url:
            yield ServedApp(url, studio.service, Gate(), studio.access.keys, studio)


@pytest.fixture(scope="module")
def listed(house: ServedApp) -> dict[str, dict[str, Any]]:
    rows = asked(house, lambda client: client.list_tools()).model_dump(mode="json", by_alias=True)["tools"]
    return {row["name"]: row for row in rows}


@pytest.fixture(scope="module")
def examples(house: ServedApp) -> dict[str, str]:
    """The photos that `list_pictures` offers, by name."""
    text = run(house, "list_pictures", {})["content"][0]["text"]
    rows = [line.split(": example ") for line in text.splitlines() if ": example " in line]
    return {name.strip("'"): file_id for file_id, name in rows}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.words)
def test_an_agent_does_it_with_what_is_described(
    house: ServedApp, listed: dict[str, dict[str, Any]], examples: dict[str, str], task: Task
) -> None:
    schema = listed[task.tool]["inputSchema"]
    values = {**({"photo": examples[task.photo]} if task.photo else {}), **task.values}
    jsonschema.validate(values, schema)
    for name in values:
        assert len(schema["properties"][name]["description"]) > 10, name
    answer = run(house, task.tool, values)
    assert not answer["isError"], answer["content"]
    job = answer["structuredContent"]
    jsonschema.validate(job["receipt"]["params"], schema)  # what was done is a call that can be sent again
    stills = [row["id"] for row in job["files"] if row["role"] == "result" and row["format"] in ("png", "jpeg", "webp")]
    images = [house.service.files.open_image(file_id) for file_id in stills]
    assert task.is_done(house, job, images)
