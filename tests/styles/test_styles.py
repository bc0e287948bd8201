"""Tests of the styles: distinct, deterministic, and face lock keeps features."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Face, Image
from pipelines.core.stream import wait_for_result
from pipelines.models.nets.face_mesh import FaceMesh
from pipelines.models.registry import get_spec
from pipelines.settings import Settings
from pipelines.styles import STYLES, StyleSettings, apply_style
from pipelines.styles.reference_transfer import transfer_style
from pipelines.tools import style
from tests.support.examples import Recorder, load_example
from tests.support.fake_context import FakeContext
from tests.support.served_app import run_studio
from ui.tool_tab.state import TabState

SIDE = 384
rows = pytest.mark.parametrize("row", STYLES, ids=lambda row: row.id)


@pytest.fixture(scope="module")
def mesh() -> Iterator[FaceMesh]:
    net = FaceMesh(get_spec("face-mesh"))
    yield net
    net.close()


def make_settings(seed: int = 1, side: int = SIDE) -> StyleSettings:
    return StyleSettings(0.5, 1.0, side / 1024, seed)


@cache
def photo(name: str = "astronaut", side: int = SIDE) -> Image:
    image = load_example(name)
    scale = side / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def lab_pixels(image: Image, inside: np.ndarray) -> np.ndarray:
    """Mean colour in Lab."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[inside].mean(axis=0)


def face_oval(face: Face, shape: tuple[int, ...]) -> np.ndarray:
    canvas = np.zeros(shape[:2], np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(face.landmarks.astype(np.int32)), 1)
    return canvas > 0


@pytest.fixture(scope="module")
def cups() -> dict[str, Image]:
    """A small photo in every style, by the style's id."""
    return {row.id: row.draw(photo("coffee", 128), make_settings(3, 128)) for row in STYLES}


@rows
def test_a_style_is_a_picture_of_the_same_size_and_not_the_photo(row, cups: dict[str, Image]) -> None:
    image, out = photo("coffee", 128), cups[row.id]
    assert (out.shape, out.dtype) == (image.shape, np.uint8)
    assert np.abs(out.astype(int) - image).mean() > 2
    assert out.std() > 20, "there is a picture in it"


@rows
def test_same_seed_same_picture_and_another_seed_another(row, cups: dict[str, Image]) -> None:
    image = photo("coffee", 128)
    assert (cups[row.id] == row.draw(image, make_settings(3, 128))).all()
    if row.id != "pixel":  # its palette is the picture's, nothing in it is drawn by lot
        assert (cups[row.id] != row.draw(image, make_settings(4, 128))).any()


def test_every_style_differs_from_every_other(cups: dict[str, Image]) -> None:
    pictures = [cv2.GaussianBlur(picture, (0, 0), 0.6).astype(int) for picture in cups.values()]
    gaps = [np.abs(a - b).mean() for n, a in enumerate(pictures) for b in pictures[:n]]
    assert min(gaps) > 2


@rows
def test_a_locked_face_keeps_its_features_and_natural_skin_its_colour(row, mesh: FaceMesh) -> None:
    image = np.ascontiguousarray(load_example("astronaut")[:300, 70:370])  # what is around the face, as large as ever
    face = mesh.find_faces(image)[0]
    out = apply_style(image, row, make_settings(1, 512), (face,))
    found = mesh.find_faces(out)[0]
    moved = np.hypot(*(found.landmarks - face.landmarks).T).mean()
    assert moved < 1.5, f"landmarks moved {moved:.2f} px at 512 px"
    if row.photo_colours:
        inside = face_oval(face, image.shape)
        assert np.linalg.norm(lab_pixels(out, inside) - lab_pixels(image, inside)) < 3


@pytest.mark.parametrize("style_id", ["halftone", "pop-art", "mosaic"])
def test_the_lock_is_what_keeps_it(style_id: str, mesh: FaceMesh) -> None:
    row = next(row for row in STYLES if row.id == style_id)
    image = photo(side=256)
    face = mesh.find_faces(image)[0]
    inside = face_oval(face, image.shape)

    def lab_error(out: Image) -> float:
        # Features are what is finer than a cheek: broad tones are the style's own affair.
        fine = [g - cv2.GaussianBlur(g, (0, 0), 12) for g in (out.mean(axis=2), image.mean(axis=2))]
        return float(1 - np.corrcoef(fine[0][inside], fine[1][inside])[0, 1])

    settings = make_settings(side=256)
    assert lab_error(apply_style(image, row, settings, (face,))) < 0.5 * lab_error(row.draw(image, settings))


def test_a_reference_gives_its_colours_and_not_its_shapes() -> None:
    image, like = photo("astronaut", 256), photo("coffee", 256)
    out = transfer_style(image, like, make_settings(1, 256))
    every = np.ones(image.shape[:2], bool)
    before, after = (
        np.linalg.norm(lab_pixels(i, every) - lab_pixels(like, np.ones(like.shape[:2], bool))) for i in (image, out)
    )
    assert after < 0.5 * before
    grey = [cv2.GaussianBlur(i.mean(axis=2), (0, 0), 4).ravel() for i in (image, out)]
    assert np.corrcoef(grey[0], grey[1])[0, 1] > 0.85


# ---------------------------------------------------------------- the tool


def make_context() -> FakeContext:
    """A cup whose left half is the subject."""
    image = photo("coffee", 256)
    alpha = np.zeros(image.shape[:2], np.float32)
    alpha[:, : image.shape[1] // 2] = 1
    return FakeContext(image, alpha, seed=5)


def make(context: FakeContext, **values) -> Image:
    return style.run(style.Style(photo="x", size=256, **values), context, Recorder()).images[0]


def test_strength_zero_is_the_photo_and_strength_blends_a_kept_picture() -> None:
    context = make_context()
    none, half, full = (make(context, preset="ink", strength=s).astype(int) for s in (0, 50, 100))
    assert (none == context.image).all()
    assert np.abs(half - (none + full) / 2).max() <= 1
    assert len(context.memoized) == 1, "the style was drawn once for three strengths"


def test_a_second_draft_that_is_only_blended_otherwise_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings = []
    styled = style._draw_style
    monkeypatch.setattr(style, "_draw_style", lambda *given: drawings.append(given) or styled(*given))
    with run_studio(Settings(data=tmp_path), (style.TOOL,)) as house:
        image = house.service.files.add_image(photo("coffee", 128), "me", "upload")
        seat, form = (
            TabState(),
            {"photo": image, "preset": "ink", "strength": 100, "where": "all", "seed": None, "size": 256},
        )
        for changed in ({}, {"strength": 60}, {"strength": 20}, {"preset": "oil"}):
            form |= changed
            job = house.service.create_job(
                "style", seat.with_last_seed(form, style.TOOL.blend_only_fields), "me", draft=True
            )
            seat.record_request(form, job.seed, draft=True)
            wait_for_result(house.service.jobs.watch(house.service.jobs.submit(job)))
    assert len(drawings) == 2, "one for each style"


def test_only_the_side_that_was_asked_for_changes() -> None:
    context = make_context()
    half = context.image.shape[1] // 2
    subject, background = make(context, where="subject"), make(context, where="background")
    assert (subject[:, half:] == context.image[:, half:]).all()
    assert (background[:, :half] == context.image[:, :half]).all()
    assert (subject[:, :half] != context.image[:, :half]).any()


def test_a_small_photo_is_drawn_at_twice_its_size_and_that_is_said() -> None:
    context = make_context()
    draft = style.run(style.Style(photo="x", size=2048, preset="film"), context, Recorder())
    assert max(draft.images[0].shape) == 512
    assert "512 px" in draft.notices[0]


def test_lines_and_dots_grow_with_the_brush() -> None:
    image = photo("coffee", 256)
    row = next(row for row in STYLES if row.id == "halftone")

    def edge_density(brush: float) -> float:
        out = row.draw(image, StyleSettings(0.5, brush, 0.5, 1)).mean(axis=2)
        return float(np.abs(np.diff(out, axis=1)).mean())

    assert edge_density(2.0) < 0.8 * edge_density(1.0)


def test_faces_scale_with_the_picture() -> None:
    face = Face(np.ones((468, 2), np.float32), (0, 0, 4, 4), (1, 1), (3, 1), (2, 4), 0.0, 1.0)
    twice = face.scaled(2.0)
    assert (twice.left_eye, twice.eye_distance) == ((2, 2), 4)
