"""A camera moves before two planes: near things move more, nothing of the subject stays behind, and the loop closes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from pipelines.compositing import parallax
from pipelines.compositing.parallax import CAMERA_MOVES, render_frame, split_planes
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Cutout, Face, Image
from pipelines.core.job import ProgressCallback, Result, Step
from pipelines.core.params import Subject
from pipelines.core.rendering import RenderedImages, RenderRequest, ToolOutput
from pipelines.imaging.resize import resize_image
from pipelines.models.diffusion.captions import write_caption
from pipelines.runtime.finalize import list_output_pictures
from pipelines.tools import motion as tool
from tests.support.examples import Recorder, make_blob, make_cutout, make_noise
from tests.support.fake_context import FakeContext
from tests.support.real_studio import RealStudio

SIZE = (320, 240)
moves = pytest.mark.parametrize("move", CAMERA_MOVES.values(), ids=CAMERA_MOVES.keys())


def scene() -> tuple[Image, Cutout, Image]:
    """A green ellipse with a pattern of its own before a pattern of greys; and that pattern without the ellipse."""
    far = cv2.GaussianBlur(make_noise(SIZE[1], SIZE[0], 120, 60, seed=1), (0, 0), 2.0)
    far = np.repeat(far.mean(axis=2, keepdims=True), 3, axis=2)
    near = cv2.GaussianBlur(make_noise(SIZE[1], SIZE[0], 90, 60, seed=2), (0, 0), 2.0) * np.array([0.1, 1.6, 0.1])
    alpha = make_blob(SIZE[1], SIZE[0], (160, 120), (55, 70))
    photo = far + alpha[..., None] * (near - far)
    image = np.clip(photo + 0.5, 0, 255).astype(np.uint8)
    return image, make_cutout(image, alpha), np.clip(far + 0.5, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def seen() -> parallax.Planes:
    image, cutout, _ = scene()
    return split_planes(image, cutout, SIZE, 1)


@moves
def test_the_loop_ends_where_it_began(seen: parallax.Planes, move: parallax.CameraMove) -> None:
    assert np.abs(render_frame(seen, move, 1.0, 0.0).astype(int) - render_frame(seen, move, 1.0, 1.0)).max() <= 1


def test_near_things_move_more_than_far_ones_and_the_other_way(seen: parallax.Planes) -> None:
    one, other = (
        render_frame(seen, CAMERA_MOVES["drift"], 1.0, turn).astype(np.float32).mean(axis=2) for turn in (0.25, 0.75)
    )
    near, far = _way(one, other, slice(80, 160), slice(125, 195)), _way(one, other, slice(0, 240), slice(5, 70))
    assert abs(near) == pytest.approx(2 * parallax._MAX_SHIFT_RATIO * SIZE[0], rel=0.1)
    assert far == pytest.approx(parallax._BACKDROP_SHIFT_FACTOR * near, rel=0.2)


def _way(one: np.ndarray, other: np.ndarray, rows: slice, columns: slice) -> float:
    """How far a part went to the side, in pixels."""
    first, second = (np.ascontiguousarray(each[rows, columns]) for each in (one, other))
    return cv2.phaseCorrelate(first, second)[0][0]


def test_nothing_of_the_subject_stays_behind_it(seen: parallax.Planes) -> None:
    back = seen.back
    assert (back[..., 1] - back[..., 0]).max() < 12, "the subject is green, what is behind it is grey"


def test_what_hides_the_subjects_feet_moves_with_it_and_what_stands_beside_them_does_not() -> None:
    image, _, _ = scene()
    # A body whose lower end is not where the lectern begins, as a net sees it: a bite in it, a step beside that.
    alpha = np.zeros((SIZE[1], SIZE[0]), np.float32)
    alpha[40:200, 90:230] = 1
    alpha[180:200, 120:150] = 0
    alpha[190:200, 190:230] = 0
    seen = split_planes(image, make_cutout(image, alpha), SIZE, 1)
    assert seen.alpha[185:, 130:140].min() > 0.99
    assert seen.alpha[205:, 100:220].min() > 0.99
    low = np.s_[205:, 130:200]
    assert np.abs(seen.front[low] - image[low]).max() < 1.5, "the photo's own pixels"
    assert seen.alpha[:, :70].max() == seen.alpha[:, 250:].max() == seen.alpha[:30].max() == 0
    held = split_planes(image, make_cutout(image, np.zeros_like(alpha)), SIZE, 1)
    assert held.alpha.max() == 0


@moves
def test_what_the_move_uncovers_is_like_what_was_beside_it(seen: parallax.Planes, move: parallax.CameraMove) -> None:
    _, _, far = scene()
    for turn in (0.0, 0.25, 0.5, 0.75):
        image = render_frame(seen, move, 1.0, turn)
        grey = np.ptp(image.astype(int), axis=2) < 12
        uncovered = grey & (make_blob(SIZE[1], SIZE[0], (160, 120), (55, 70)) > 0.5)
        if uncovered.sum() > 50:
            assert image[uncovered].mean() == pytest.approx(far.mean(), abs=25)
            assert image[uncovered].std() > 0.3 * far.std(), "texture goes on, not a smear"


@pytest.fixture(scope="module")
def ramp() -> parallax.Planes:
    """A photo that grows brighter to the right and downwards."""
    tones = np.linspace(20, 235, SIZE[0])[None] / 2 + np.linspace(20, 235, SIZE[1])[:, None] / 2
    image = np.repeat(tones[..., None], 3, axis=2).astype(np.uint8)
    return split_planes(image, make_cutout(image, make_blob(SIZE[1], SIZE[0], (160, 120), (40, 50))), SIZE, 1)


@moves
def test_no_border_of_the_photo_comes_into_the_picture(ramp: parallax.Planes, move: parallax.CameraMove) -> None:
    for turn in np.linspace(0, 1, 8, endpoint=False):
        made = render_frame(ramp, move, 1.0, float(turn)).astype(int)
        # A border that was drawn out would be a run of equal pixels at the edge.
        assert (made[120, 6] > made[120, 0]).all()
        assert (made[120, -1] > made[120, -7]).all()
        assert (made[6, 160] > made[0, 160]).all()
        assert (made[-1, 20] > made[-7, 20]).all()


# ---------------------------------------------------------------- the tool


@pytest.fixture(scope="module")
def _few_frames() -> Iterator[None]:
    """Four pictures a second, each of whole milliseconds as at the real rate."""
    assert (1000 / parallax.FPS).is_integer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallax, "FPS", 4.0)
        yield


def make_motion(studio: RealStudio, photo: str, **values: Any) -> Result:
    return studio.make("motion", photo=photo, consent=True, seed=1, size=256, seconds=3, **values)


@pytest.fixture(scope="module")
def portrait(_few_frames: None, studio: RealStudio, team: list[str]) -> Result:
    return make_motion(studio, team[0], mp4=True, gif=True, gif_frames=10)


def test_a_portrait_becomes_a_loop_and_a_film_of_the_asked_length(studio: RealStudio, portrait: Result) -> None:
    loop, small, film = portrait.files
    assert (loop.format, small.format, film.format) == ("webp", "gif", "mp4")
    with PIL.Image.open(io.BytesIO(studio.files.local_path(small.id).read_bytes())) as gif:
        delays = [gif.seek(n) or gif.info["duration"] for n in range(getattr(gif, "n_frames", 1))]
    assert 5 < len(delays) <= 10, "equal frames are one, which stays longer"
    assert sum(delays) == 3000
    with PIL.Image.open(io.BytesIO(studio.files.local_path(loop.id).read_bytes())) as opened:
        picture: Any = opened
        assert picture.n_frames == round(3 * parallax.FPS)
        assert picture.info["loop"] == 0
        picture.load()
        assert picture.n_frames * picture.info["duration"] == pytest.approx(3000, abs=1)
    reader = cv2.VideoCapture(str(studio.files.local_path(film.id)))
    count = 0
    while reader.read()[0]:
        count += 1
    reader.release()
    assert count == round(3 * parallax.FPS)
    assert any("The camera moves; the person does not." in notice for notice in portrait.receipt["notices"])


def test_same_seed_same_frames(studio: RealStudio, team: list[str], portrait: Result) -> None:
    assert make_motion(studio, team[0]).files[0].pixels_sha256 == portrait.files[0].pixels_sha256


@pytest.mark.usefixtures("_few_frames")
def test_the_content_gate_is_shown_the_furthest_places_of_the_camera() -> None:
    image, cutout, _ = scene()

    params = tool.Motion(photo="x", size=256, seconds=3, depth=100)
    draft = tool.run(params, FakeContext(image, cutout.alpha), Recorder())
    first, one, other = list_output_pictures(draft)
    grey = [each.astype(np.float32).mean(axis=2) for each in (one, other)]
    assert abs(_way(grey[0], grey[1], slice(80, 110), slice(100, 150))) > 6
    assert first.shape == one.shape


@dataclass(eq=False)
class UnsureContext(FakeContext):
    """A context whose cut-out is as uncertain as `uncertainty` says."""

    uncertainty: float = 0.0

    def cut_out_subject(self, params: Subject, emit: ProgressCallback, *, together: bool = False) -> Cutout:
        return replace(super().cut_out_subject(params, emit), uncertainty=self.uncertainty)


def _draft(context: FakeContext, **values: Any) -> tuple[Image, str]:
    context.draft = True
    drawn = tool.run(tool.Motion(photo="x", size=256, depth=100, **values), context, Recorder())
    return drawn.images[0], " ".join(drawn.notices)


@pytest.mark.parametrize("case", ["unsure", "cut at two sides", "from side to side", "nothing"])
def test_what_is_not_cut_out_surely_moves_with_the_whole_photo_and_no_border_shows(case: str) -> None:
    image, cutout, _ = scene()
    alpha = cutout.alpha if case == "unsure" else np.zeros_like(cutout.alpha)
    alpha[:90, :120] = 1 if case == "cut at two sides" else alpha[:90, :120]
    alpha[150:] = 1 if case == "from side to side" else alpha[150:]
    made, said = _draft(UnsureContext(image, alpha, uncertainty=0.6 if case == "unsure" else 0.1))
    assert ("moves as a whole" if case in ("from side to side", "nothing") else "The whole photo moves") in said
    size = made.shape[1], made.shape[0]
    whole = parallax.make_single_plane(image, size)
    assert np.array_equal(made, render_frame(whole, CAMERA_MOVES["drift"], 1.0, 0.25))
    # Without scale and shift it is the photo: no pixel was filled in or mirrored.
    assert (
        np.abs(render_frame(whole, CAMERA_MOVES["drift"], 0.0, 0.25).astype(int) - resize_image(image, size)).max() <= 1
    )


def test_what_is_sure_or_pointed_at_moves_against_its_ground() -> None:
    image, cutout, _ = scene()
    sure, said = _draft(UnsureContext(image, cutout.alpha))
    pointed, _ = _draft(UnsureContext(image, cutout.alpha, uncertainty=0.9), keep=[(0.5, 0.5)])
    assert "whole" not in said
    assert np.array_equal(sure, pointed)


def test_a_draft_is_one_still_and_leaves_no_film(studio: RealStudio, team: list[str]) -> None:
    small = np.repeat(make_blob(64, 64, (32, 32), (6, 6))[..., None] * 255, 3, axis=2).astype(np.uint8)
    job = studio.create_job("motion", photo=team[0], matte=studio.add_image(small), consent=True, draft=True)
    events = list(studio.jobs.submit_and_watch(job))
    assert isinstance(events[-1], Result)
    assert events[-1].files == ()
    assert [event for event in events if isinstance(event, Step)][-1].preview


# ---------------------------------------------------------------- drawn by a model


LOW_PHOTO = make_noise(32, 256)
"""A photo of few pixels, of which films of more than a hundred pictures are made."""
FACE = Face(np.zeros((468, 2), np.float32), (10, 10, 60, 60), (25, 30), (45, 30), (35, 60), 0.0, 1.0)


@dataclass(eq=False)
class FilmContext(FakeContext):
    """A context whose model draws films each of whose pictures has a grey of its own, far from the one before."""

    def paint(self, render: RenderRequest, colour: int | tuple[int, int, int]) -> RenderedImages:
        width, height = render.size
        frames = (np.full((height, width, 3), 37 * n % 256, np.uint8) for n in range(render.frame_count))
        return RenderedImages(tuple(frames))


def _draw_film(context: FakeContext, **values: Any) -> tuple[RenderRequest, ToolOutput]:
    drawn = tool.run(tool.Motion(photo="x", size=256, drawn=True, **values), context, Recorder())
    return context.renders[-1], drawn


@pytest.mark.parametrize(("seconds", "count"), [(3, 73), (4.5, 109), (5, 121), (6, 121)])
def test_a_drawn_film_has_as_many_pictures_as_the_model_draws(seconds: float, count: int) -> None:
    render, drawn = _draw_film(FilmContext(LOW_PHOTO, verbs=("video",)), seconds=seconds, gif=seconds == 3)
    assert (render.verb, render.frame_count, render.seeds) == ("video", count, (1,))
    assert np.array_equal(render.images[0], LOW_PHOTO)
    film, *small = drawn.extras
    assert (film.name, film.format, [each.format for each in small]) == ("drawn", "webp", ["gif"] * (seconds == 3))
    with PIL.Image.open(io.BytesIO(film.data)) as opened:
        assert getattr(opened, "n_frames", 1) == count
    assert [int(frame[0, 0, 0]) for frame in film.frames] == [37 * n % 256 for n in range(count - 1, -1, -4)]
    assert not drawn.exact
    assert any("5.0 s at most" in notice for notice in drawn.notices) == (seconds == 6)


def test_words_of_a_drawn_film_are_its_owners_or_the_camera_s_and_what_would_move() -> None:
    def words_for(**values: Any) -> str:
        faces = (FACE,) if values.pop("face", False) else ()
        caption = _draw_film(FilmContext(LOW_PHOTO, None, faces, ("video",)), seconds=3, **values)[0].caption
        assert caption is not None
        return write_caption(caption, "wan")

    assert words_for() == "The scene moves gently, as in a light breeze. The camera drifts slowly to the side."
    assert words_for(face=True, preset="push").startswith("The person blinks and breathes calmly. The camera moves")
    assert words_for(prompt="she laughs", preset="rise") == "She laughs. The camera rises slowly."
    assert words_for(prompt="The camera stands still", face=True) == "The camera stands still."


def test_a_draft_of_a_drawn_film_is_the_photo_and_draws_nothing() -> None:
    image, cutout, _ = scene()
    context = FilmContext(image, cutout.alpha, verbs=("video",), draft=True)
    drawn = tool.run(tool.Motion(photo="x", size=256, drawn=True), context, Recorder())
    assert drawn.is_sketch
    assert context.renders == []
    assert max(drawn.images[0].shape) == 384


def test_without_a_video_model_no_film_is_drawn(studio: RealStudio, team: list[str]) -> None:
    with pytest.raises(ModelUnavailable, match="'Let it move \\(drawn\\)' needs a model for: video"):
        studio.create_job("motion", photo=team[0], consent=True, drawn=True)
