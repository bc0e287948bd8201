"""What every tool hands over is gated, named, signed and kept: stills, and what is no still picture."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import PIL.Image
import pytest

from pipelines.batch.manifest import result_files
from pipelines.codecs.containers import encode_animation, encode_layer_files, encode_pdf, encode_video, split_layers
from pipelines.codecs.encode import C2PA_MIME_TYPES, MIME_TYPES, STILL_FORMATS
from pipelines.core.errors import PolicyRefusal
from pipelines.core.geometry import Frame, Image, PlacedSubject
from pipelines.core.job import ProgressCallback, Result
from pipelines.core.params import Params, choice_field
from pipelines.core.rendering import EncodedFile, ToolOutput
from pipelines.core.stream import wait_for_result
from pipelines.core.tools import Tool, ToolContext
from pipelines.security.content_filter import ContentFilter
from pipelines.storage.file_index import pixels_sha256
from tests.support.examples import make_blob, make_noise
from tests.support.served_app import ServedApp, serve_app
from ui.tool_tab.updates import list_result_pictures

SIDE = 64


class Form(Params):
    """A file's kind, so that lossy ones are tried as well."""

    format: str = choice_field("File", "Kind.", "png")


def still(seed: int) -> Image:
    return make_noise(SIDE, SIDE, seed=seed)


def run(params: Form, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Two named pictures in an archive, and one of each other kind."""
    frames = tuple(still(n) for n in range(3))
    flat = still(9)
    placed = PlacedSubject(
        still(8), make_blob(SIDE, SIDE, (32, 32), (16, 20)), Frame(np.eye(2, 3), (SIDE, SIDE), 1, 0, True, (0, 0, 1, 1))
    )
    layers = split_layers(flat, still(7), placed, None)
    extras = (
        EncodedFile("result", "webp", encode_animation(frames, 20), frames, "spin"),
        EncodedFile("result", "mp4", encode_video(frames, 20), frames, "film"),
        EncodedFile("result", "pdf", encode_pdf(frames, "Book"), frames, "book"),
        encode_layer_files(layers, flat, (flat,))[0],
    )
    names = ("post", "story")
    return ToolOutput(images=(still(1), still(2)), exact=False, extras=extras, names=names, archive_name="all")


TOOL = Tool("extras", "Extras", "For tests.", Form, run)


@contextmanager
def room(root: Path, tool: Tool = TOOL) -> Iterator[ServedApp]:
    with serve_app(root, tools=(tool,)) as house:
        yield house


def make(house: ServedApp, **values: Any) -> Result:
    return wait_for_result(
        house.service.jobs.watch(house.service.jobs.submit(house.service.create_job("extras", values, "local")))
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with room(tmp_path_factory.mktemp("studio")) as made:
        yield made


@pytest.fixture(scope="module")
def made(house: ServedApp) -> Result:
    return make(house)


def test_every_kind_has_its_role_and_a_name_that_says_what_it_is(made: Result) -> None:
    assert [(file.role, file.name) for file in made.files] == [
        ("result", "extras-post.png"),
        ("result", "extras-story.png"),
        ("result", "extras-all.zip"),
        ("result", "extras-spin.webp"),
        ("result", "extras-film.mp4"),
        ("result", "extras-book.pdf"),
        ("layers", "extras-layers.ora"),
    ]


def test_the_first_frame_stands_for_a_file_and_is_the_same_when_the_job_runs_again(
    house: ServedApp, made: Result
) -> None:
    again = make(house)
    by_name = {file.name: file for file in made.files}
    assert by_name["extras-spin.webp"].pixels_sha256 == pixels_sha256(still(0))
    assert by_name["extras-layers.ora"].pixels_sha256 == pixels_sha256(still(9))
    assert [file.pixels_sha256 for file in again.files] == [file.pixels_sha256 for file in made.files]
    assert {(file.width, file.height) for file in made.files} == {(SIDE, SIDE)}


def test_every_file_carries_sound_credentials(house: ServedApp, made: Result) -> None:
    for file in made.files:
        data = house.service.files.local_path(file.id).read_bytes()
        reader = c2pa.Reader.try_create(C2PA_MIME_TYPES[file.format], io.BytesIO(data))
        assert reader is not None, file.name
        with reader:
            assert reader.get_validation_state() == "Valid", file.name


def test_the_door_says_what_each_file_is_and_what_to_call_it(house: ServedApp, made: Result) -> None:
    with house.open_client() as client:
        for file in made.files:
            answer = client.get(f"/v1/files/{file.id}/content")
            assert answer.headers["content-type"] == MIME_TYPES[file.format]
            assert answer.headers["content-disposition"].endswith(f'filename="{file.name}"')
            assert answer.content == house.service.files.local_path(file.id).read_bytes()


def test_an_archive_holds_the_very_files_under_their_names(house: ServedApp, made: Result) -> None:
    files = {file.name: house.service.files.local_path(file.id) for file in made.files}
    with zipfile.ZipFile(files["extras-all.zip"]) as packed:
        names = [name for name in packed.namelist() if not name.startswith("META-INF")]
        assert names == ["extras-post.png", "extras-story.png"]
        assert all(packed.read(name) == files[name].read_bytes() for name in names)


def test_open_raster_is_still_told_by_its_first_bytes_once_it_is_signed(house: ServedApp, made: Result) -> None:
    data = house.service.files.local_path(made.files[-1].id).read_bytes()
    assert data[30:54] == b"mimetypeimage/openraster"


def test_an_animation_keeps_its_frames_once_it_is_signed(house: ServedApp, made: Result) -> None:
    spin = next(file for file in made.files if file.name.endswith("spin.webp"))
    with PIL.Image.open(house.service.files.local_path(spin.id)) as picture:
        assert getattr(picture, "n_frames", 1) == 3
    assert house.service.files.open_image(spin.id).shape == (SIDE, SIDE, 3)


def test_the_box_shows_pictures_and_a_batch_takes_all_that_was_made(house: ServedApp, made: Result) -> None:
    assert {file.format for file in list_result_pictures(made)} <= set(STILL_FORMATS)
    assert [file.name for file in list_result_pictures(made)][:2] == ["extras-post.png", "extras-story.png"]
    row = house.service.jobs.list_jobs("local", 1)[0]
    assert len(result_files(row)) == 7


def test_a_frame_that_the_gate_refuses_stops_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skin = np.full((SIDE, SIDE, 3), 200, np.uint8)

    def bare(params: Form, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        frames = (still(0), skin)
        return ToolOutput(
            (still(1),), exact=False, extras=(EncodedFile("result", "webp", encode_animation(frames, 9), frames, "x"),)
        )

    monkeypatch.setattr(
        ContentFilter, "_highest_score", lambda _, images: float(any((image == skin).all() for image in images))
    )
    with room(tmp_path, Tool("extras", "E", "T.", Form, bare)) as house:
        with pytest.raises(PolicyRefusal):
            make(house)
        assert not [path for path in house.service.files.root.iterdir() if path.suffix in (".webp", ".png")]
