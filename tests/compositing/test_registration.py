"""An edit that slid or grew is found out and put back, whatever became of its colours and of its background."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.compositing.registration import Drift, align_edit, measure_drift, paste_subject, undo_drift
from pipelines.core.geometry import Alpha, Face, Image
from pipelines.core.job import Job
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest, ToolOutput
from pipelines.core.stream import Stream
from pipelines.imaging.color import to_srgb
from pipelines.matting.cutout import core_mask
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.provenance.signing_key import SigningKeyStore
from pipelines.quality.face_similarity import ciede2000, face_geometry_change, skin_delta_e
from pipelines.quality.output_checks import CHECKS, CheckInput, ModelEdit, run_checks, worst_results
from pipelines.runtime.context import JobContext, ResultCache
from pipelines.runtime.progress import StreamProgress
from pipelines.security.audit_log import AuditLog
from pipelines.security.content_filter import ContentFilter
from pipelines.storage.file_index import FileIndex
from pipelines.tools import style
from tests.support.examples import blob, example

SCENES = Path(__file__).parents[2] / "assets" / "scenes"
NAMES = ("astronaut", "chelsea", "coffee", "hopper", "city", "forest", "park", "venice", "lobby", "workshop")
# Pixels, directions in degrees, zooms: 2 to 40 px, 1 to 20 %; each photo takes two.
PLANTED = ((2, 40, 1.01), (40, 200, 1.2), (20, 310, 0.8), (9, 120, 1.05), (31, 250, 1.1))


@cache
def photo(name: str) -> Image:
    """An example, or a photographed panorama."""
    if (SCENES / f"{name}.exr").exists():
        import OpenEXR

        with OpenEXR.File(str(SCENES / f"{name}.exr")) as file:
            light = np.asarray(file.channels()["RGB"].pixels, np.float32)
        return to_srgb(light / np.quantile(light, 0.95)).astype(np.uint8)
    return example(name)


def planted(image: Image, shift: float, degrees: float, zoom: float) -> tuple[Image, Drift]:
    """`image` moved and enlarged around its centre, and by how much."""
    height, width = image.shape[:2]
    angle = np.radians(degrees)
    truth = Drift(shift * np.cos(angle), shift * np.sin(angle), zoom)
    matrix = truth.affine_matrix(width, height)
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8), truth


def same(image: Image) -> Image:
    return image


def recoloured(image: Image) -> Image:
    """Warmer, darker, harder."""
    return np.clip(255 * (image / 255) ** 1.5 * (1.15, 0.95, 0.7), 0, 255).astype(np.uint8)


def elsewhere(image: Image) -> Image:
    """The middle of the picture before another photo."""
    height, width = image.shape[:2]
    other = photo("chelsea" if image.shape != photo("chelsea").shape else "hopper")
    ground = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA)
    soft = middle(image)[..., None]
    return np.asarray(soft * image + (1 - soft) * ground, np.uint8)


def middle(image: Image) -> Alpha:
    height, width = image.shape[:2]
    return blob(height, width, (width / 2, height / 2), (0.3 * width, 0.36 * height))


def off(found: Drift | None, truth: Drift) -> tuple[float, float]:
    """Errors in pixels and per cent."""
    assert found is not None
    return float(np.hypot(found.dx - truth.dx, found.dy - truth.dy)), 100 * abs(found.zoom / truth.zoom - 1)


@pytest.mark.parametrize("name", NAMES)
def test_planted_shift_and_zoom_are_found_and_undone(name: str) -> None:
    source, turn = photo(name), NAMES.index(name)
    for change, row in ((elsewhere, turn), ((same, recoloured)[turn % 2], turn + 2)):
        edited, truth = planted(change(source), *PLANTED[row % len(PLANTED)])
        found = measure_drift(source, edited)
        pixels, percent = off(found, truth)
        assert pixels < 0.5
        assert percent < 0.3
        assert found is not None
        pixels, percent = off(measure_drift(source, undo_drift(edited, found, source)), Drift(0, 0, 1))
        assert pixels < 0.5
        assert percent < 0.3


@pytest.mark.parametrize("change", [same, recoloured])
def test_what_is_undone_shows_the_photo_again_where_it_was(change: Callable[[Image], Image]) -> None:
    source = photo("coffee")
    edited, _ = planted(change(source), 17, 75, 1.06)
    back = align_edit(source, edited)
    before = np.abs(edited.astype(int) - change(source)).mean()
    after = np.abs(back.image.astype(int) - change(source))
    assert after.mean() < 0.2 * before
    # The rim that the edit had lost is the photo's own, not a mirrored strip.
    assert after[:, :12].mean() < 5
    assert "moved the picture by 17.0 px" in back.notice
    assert "enlarged it by 6.0%" in back.notice


def test_a_subject_near_the_edge_is_not_mirrored_into_the_rim() -> None:
    source = photo("coffee")
    height, width = source.shape[:2]
    alpha = blob(height, width, (width / 2, height / 2), (0.35 * width, 0.46 * height))
    ground = np.full_like(source, (40, 160, 60))
    drawn = np.asarray(alpha[..., None] * source + (1 - alpha[..., None]) * ground, np.uint8)
    back = align_edit(source, planted(drawn, 0, 0, 1.08)[0], alpha)
    assert "enlarged it by 8.0%" in back.notice
    assert np.abs(back.image.astype(int) - ground)[alpha == 0].max(axis=-1).mean() < 1


def test_a_picture_that_did_not_move_is_left_alone_to_the_byte() -> None:
    source = photo("hopper")
    back = align_edit(source, recoloured(source))
    assert np.array_equal(back.image, recoloured(source))
    assert back.notice == ""
    assert back.source is source


def test_large_pictures_are_measured_in_their_own_pixels() -> None:
    source = np.asarray(cv2.resize(photo("astronaut"), (1536, 1536), interpolation=cv2.INTER_CUBIC), np.uint8)
    edited, truth = planted(source, 30, 10, 1.03)
    pixels, percent = off(measure_drift(source, edited), truth)
    assert pixels < 0.5
    assert percent < 0.1


def test_pictures_of_different_things_have_no_drift() -> None:
    source = photo("hopper")
    for other in ("astronaut", "coffee"):
        unlike = np.asarray(cv2.resize(photo(other), source.shape[1::-1]), np.uint8)
        assert measure_drift(source, unlike) is None
        assert np.array_equal(align_edit(source, unlike).image, unlike)
    assert measure_drift(source, np.full_like(source, 128)) is None


def test_another_shape_or_framing_is_no_drift() -> None:
    source = photo("astronaut")
    assert align_edit(source, source[:400]).source is None
    turned = np.asarray(np.rot90(source), np.uint8)
    assert measure_drift(source, turned) is None
    assert measure_drift(source, planted(source, 0, 0, 1.6)[0]) is None


def test_a_known_subject_is_registered_before_a_ground_that_moved_otherwise() -> None:
    source = photo("astronaut")
    ground, _ = planted(source, 30, 90, 1.0)
    subject, truth = planted(source, 6, 0, 1.02)
    soft = planted(np.repeat(middle(source)[..., None] * 255, 3, 2).astype(np.uint8), 6, 0, 1.02)[0] / 255
    edited = np.asarray(soft * subject + (1 - soft) * ground, np.uint8)
    pixels, _ = off(measure_drift(source, edited, middle(source)), truth)
    assert pixels < 0.5


def test_pasted_subject_is_the_photo_s_own_in_the_core_and_the_edit_outside() -> None:
    source, alpha = photo("astronaut"), middle(photo("astronaut"))
    edited = recoloured(source)
    mixed = paste_subject(edited, source, alpha)
    core = core_mask(alpha)
    assert np.array_equal(mixed[core], source[core])
    assert np.array_equal(mixed[alpha == 0], edited[alpha == 0])


# ---------------------------------------------------------------- the studio does it for every tool


class Sliding:
    """A family of one edit model that warms the picture, moves it by 9 px and enlarges it by 3 %."""

    specs = (ModelSpec("sliding", "sliding", ("edit",), "MIT"),)

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return 1

    def load(self, spec: ModelSpec, device: str) -> Sliding:
        return self

    @property
    def spec(self) -> ModelSpec:
        return self.specs[0]

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        on_step(ModelStep(1, 1))
        return RenderedImages((planted(recoloured(render.images[0]), 9, 0, 1.03)[0],))

    def close(self) -> None:
        pass


def test_an_edit_comes_back_to_the_tool_registered_and_the_receipt_tells(tmp_path: Path) -> None:
    files = FileIndex(tmp_path)
    job = Job(id="job-1", tool="style", params={}, seed=1, profile="test", specs={"edit": "sliding"}, owner="me",
              created=0.0)  # fmt: skip
    emit = StreamProgress(Stream())
    models = ModelCache((*FAMILIES, Sliding()))
    studio = JobContext(
        job, models, files, ResultCache(), emit, SigningKeyStore(tmp_path), ContentFilter(models, AuditLog(tmp_path))
    )
    source = photo("astronaut")
    drawn = studio.draw(RenderRequest("edit", "warmer", (512, 512), (1,), images=(source,)), emit)
    pixels, percent = off(measure_drift(source, drawn.images[0]), Drift(0, 0, 1))
    assert pixels < 0.5
    assert percent < 0.3
    receipt = studio.finish(ToolOutput(drawn.images, notices=drawn.notices, exact=False), lambda: 1.0).receipt
    files.close()
    assert receipt["notices"] == ["The model moved the picture by 9.0 px and enlarged it by 3.0%; this was undone."]
    assert receipt["checks"]["drift_shift_px"] < 0.5
    assert receipt["checks"]["skin_delta_e"] > 5


def test_a_kept_edit_is_checked_and_told_in_every_job_that_shows_it(tmp_path: Path) -> None:
    files, memo, models = FileIndex(tmp_path), ResultCache(), ModelCache((*FAMILIES, Sliding()))
    upload = files.add_image(photo("astronaut"), "me", "upload")
    values: dict[str, Any] = {"prompt": "ink", "size": 512, "face_lock": False, "photo": upload}

    def receipt(strength: int) -> dict[str, Any]:
        job = Job(id="job-1", tool="style", params=values, seed=1, profile="test",
                  specs={"edit": "sliding", "matte": "u2netp"}, owner="me", created=0.0, consent=1.0)  # fmt: skip
        emit = StreamProgress(Stream())
        studio = JobContext(
            job, models, files, memo, emit, SigningKeyStore(tmp_path), ContentFilter(models, AuditLog(tmp_path))
        )
        draft = style.run(style.Style(**values, strength=strength), studio, emit)
        made = studio.finish(draft, lambda: 1.0).receipt
        del made["checks"]["content_score"]  # of another picture
        return made

    first, mixed = receipt(100), receipt(30)
    files.close()
    assert "this was undone" in first["notices"][0], "though the tool hands on no notice of a drawing"
    assert {"sliding", "face-mesh"} <= {each["id"] for each in first["models"]}
    assert {"drift_shift_px", "skin_delta_e"} <= first["checks"].keys()
    assert [mixed[name] for name in ("notices", "models", "checks")] == [
        first[name] for name in ("notices", "models", "checks")
    ]


# ---------------------------------------------------------------- what is reported


def faces_in(image: Image) -> tuple[Face, ...]:
    with _cache().borrow_model("face-mesh") as net:
        return net.find_faces(image)


@cache
def _cache() -> ModelCache:
    return ModelCache(FAMILIES)


def measured(source: Image, *results: Image) -> dict[str, float]:
    edits = tuple(ModelEdit(source, result, faces_in) for result in results)
    return run_checks(CheckInput(results[0], ToolOutput(results), None, edits))


def test_checks_tell_what_is_left_of_shift_zoom_skin_and_face() -> None:
    source = photo("astronaut")
    moved = measured(source, planted(source, 5, 0, 1.02)[0])
    assert moved["drift_shift_px"] == pytest.approx(5, abs=0.2)
    assert moved["drift_zoom_percent"] == pytest.approx(2, abs=0.1)
    still = measured(source, source)
    assert still == {"drift_shift_px": 0, "drift_zoom_percent": 0, "skin_delta_e": 0, "face_geometry_percent": 0}
    tanned = measured(source, recoloured(source))
    assert tanned["skin_delta_e"] > 5
    # A tan is no new face, a narrowed one is.
    narrow = np.asarray(cv2.resize(source, None, fx=0.85, fy=1.0, interpolation=cv2.INTER_AREA), np.uint8)
    (slim,), (own,) = faces_in(narrow)[:1], faces_in(source)[:1]
    assert tanned["face_geometry_percent"] < 0.6 * face_geometry_change(own, slim)


def test_a_look_without_edits_has_no_drift_to_report() -> None:
    source = photo("coffee")
    assert run_checks(CheckInput(source, ToolOutput((source,)), None)) == {}
    assert measured(source, source).keys() == {"drift_shift_px", "drift_zoom_percent"}


def test_of_several_variations_the_worst_is_told() -> None:
    source = photo("coffee")
    assert measured(source, source, planted(source, 5, 0, 1.0)[0])["drift_shift_px"] > 4.5
    rows = [{"drift_shift_px": 1.0, "core_share": 0.9}, {"drift_shift_px": 3.0, "core_share": 0.7}]
    assert worst_results(rows) == {"drift_shift_px": 3.0, "core_share": 0.7}
    assert len({check.id for check in CHECKS}) == len(CHECKS)


def test_face_geometry_does_not_see_where_a_face_is_how_large_or_how_turned() -> None:
    (face,) = faces_in(photo("astronaut"))[:1]
    turn = np.array([[0.9, -0.2], [0.2, 0.9]], np.float32)
    moved = Face((face.landmarks @ turn.T + 40).astype(np.float32), face.box, face.left_eye, face.right_eye,
                 face.chin, face.roll, face.score)  # fmt: skip
    assert face_geometry_change(face, moved) < 0.01


def test_skin_is_compared_at_the_face_alone() -> None:
    source = photo("astronaut")
    (face,) = faces_in(source)[:1]
    painted = source.copy()
    left, top, right, bottom = (int(side) for side in face.box)
    painted[:top], painted[bottom:] = 0, 0
    assert skin_delta_e(source, painted, face) == 0
    painted[top:bottom, left:right] = 255 - painted[top:bottom, left:right]
    assert skin_delta_e(source, painted, face) > 20


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [  # Sharma, Wu and Dalal 2005, table 1
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (56, -27, -3), 31.9030),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
        ((50, 0, 0), (50, 0, 0), 0.0),
    ],
)
def test_ciede2000_is_the_published_one(first: tuple[float], second: tuple[float], difference: float) -> None:
    assert ciede2000(np.array(first), np.array(second)) == pytest.approx(difference, abs=1e-4)
    assert ciede2000(np.array(second), np.array(first)) == pytest.approx(difference, abs=1e-4)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="size"):
        measure_drift(photo("coffee"), photo("hopper"))
