"""Every interface returns signed, unchanged files, and nothing at all without a working content filter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, choice_field, number_field, picture_field, prompt_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.engines import local
from pipelines.models import bundled_weights
from pipelines.models.nets.open_nsfw import OpenNsfw
from pipelines.settings import Settings
from tests.support.download_doors import (
    BASE64_PICTURE_PREFIXES,
    DOWNLOADS,
    Download,
    DownloadRefused,
    StudioClient,
    call_gradio_endpoint,
    read_validation_state,
)
from tests.support.examples import make_noise
from tests.support.served_app import ServedApp, serve_app, serve_page

# Gradio leaves event loops and their sockets to the collector, and asks pandas for what is going away.
pytestmark = pytest.mark.filterwarnings("ignore")
SIDE = 64


class Form(Params):
    """What the images API fills too."""

    prompt: str = prompt_field("Words", "Any.")
    size: int = number_field("Size", "Side.", SIDE, ge=32, le=4096)
    format: str = choice_field("File", "Kind.", "png")
    photo: str | None = picture_field("Photo", "Any.")


def _run(params: Form, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    for n in range(3):
        emit("Drawing", n + 1, 3, make_noise(SIDE, SIDE, seed=n))
    return ToolOutput(images=(make_noise(SIDE, SIDE, seed=9),), exact=False)


TOOLS = tuple(Tool(name, name.title(), "For tests.", Form, _run) for name in ("background", "character"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ServedApp]]:
    root = tmp_path_factory.mktemp("leaving")
    with serve_page(root, Settings(data=root), TOOLS) as (url, house, _):
        yield url, house


@pytest.fixture
def visitor(house: tuple[str, ServedApp]) -> Iterator[StudioClient]:
    with httpx.Client(base_url=house[0], timeout=60) as http:
        yield StudioClient(http, house[0])


@pytest.mark.parametrize("door", DOWNLOADS, ids=lambda door: door.__name__)
def test_what_leaves_is_signed_shows_a_changed_byte_and_is_what_was_written(
    house: tuple[str, ServedApp], visitor: StudioClient, door: Download
) -> None:
    out = list(door(visitor, "background", {"prompt": "a forest"}))
    assert out
    for each in out:
        assert read_validation_state(each.data, each.mime) == "Valid"
        middle = len(each.data) * 3 // 4
        changed = each.data[:middle] + bytes([each.data[middle] ^ 1]) + each.data[middle + 1 :]
        assert read_validation_state(changed, each.mime) in ("Invalid", "unreadable")
        if each.file_id:
            assert each.data == house[1].service.files.local_path(each.file_id).read_bytes()
        elif not each.is_copy:
            assert each.data in [path.read_bytes() for path in house[1].service.files.root.rglob("*") if path.is_file()]


# ---------------------------------------------------------------- closed


def _remove_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundled_weights, "MODELS_FOLDER", tmp_path / "nowhere")


def _disable_filter(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setattr(local, "ContentFilter", lambda *_: None)


def _crash_filter(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    def scores(*_: Any) -> Any:
        raise RuntimeError("the net fell over")

    monkeypatch.setattr(OpenNsfw, "score_images", scores)


def _block_everything(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setattr(OpenNsfw, "score_images", lambda _, images: (0.9,) * len(images))


@pytest.fixture(scope="module")
def closed_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ServedApp]]:
    """A house with a page, of which nothing ever leaves: for faults that begin when a picture is looked at."""
    root = tmp_path_factory.mktemp("closed")
    with serve_page(root, Settings(data=root), TOOLS) as (url, house, _):
        yield url, house


@contextmanager
def _serve_doors(
    request: pytest.FixtureRequest, root: Path, *, with_page: bool
) -> Iterator[tuple[str, ServedApp, tuple[Download, ...]]]:
    if with_page:
        yield *request.getfixturevalue("closed_house"), DOWNLOADS
    else:
        with serve_app(root, tools=TOOLS) as house:
            yield house.url, house, tuple(door for door in DOWNLOADS if door is not call_gradio_endpoint)


def _list_files(house: ServedApp) -> list[str]:
    """The names of the files of a house, without those that tell what was refused."""
    return sorted(path.name for path in house.service.files.root.iterdir() if path.suffix != ".jsonl")


@pytest.mark.parametrize(
    ("fault", "with_page"),
    # The page takes half a second to build, and its door is told of a failed job, whatever it failed for.
    [(_disable_filter, False), (_remove_model, False), (_crash_filter, True), (_block_everything, True)],
    ids=lambda value: value.__name__[1:] if callable(value) else "",
)
def test_where_the_gate_is_off_missing_crashes_or_blocks_nothing_leaves_by_any_door(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Any, with_page: bool
) -> None:
    fault(monkeypatch, tmp_path)
    with (
        _serve_doors(request, tmp_path, with_page=with_page) as (url, house, doors),
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        before = _list_files(house)
        for door in doors:
            with pytest.raises(DownloadRefused) as caught:
                list(door(StudioClient(http, url), "background", {"prompt": "a forest"}))
            assert not [head for head in BASE64_PICTURE_PREFIXES if head in str(caught.value)], door.__name__
        assert {row.status for row in house.service.jobs.list_jobs("local", 100)} == {"failed"}
        assert all(row.step is None or row.step.preview is None for row in house.service.jobs.list_jobs("local", 100))
        assert _list_files(house) == before
