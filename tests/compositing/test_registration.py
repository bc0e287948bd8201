"""Registration: an edit that shifted or zoomed is aligned, whatever became of its colours and background."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.compositing.registration import WORK_SIDE_PX, Drift, align_edit, measure_drift, paste_subject, undo_drift
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
from pipelines.runtime.context import EngineResources, JobContext
from pipelines.runtime.finalize import Finalizer
from pipelines.runtime.progress import StreamProgress
from pipelines.security.audit_log import AuditLog
from pipelines.security.content_filter import ContentFilter
from pipelines.storage.file_index import FileIndex
from pipelines.tools import style
from tests.support.examples import load_example, make_blob

SCENES = Path(__file__).parents[2] / "assets" / "scenes"
NAMES = ("astronaut", "chelsea", "venice")
# Pixels, directions in degrees, zooms: 2 to 40 px, 1 to 20 %; each photo takes two, and each is taken.
PLANTED = ((2, 40, 1.01), (40, 200, 1.2), (20, 310, 0.8), (9, 120, 1.05), (31, 250, 1.1))


@cache
def load_photo(name: str) -> Image:
    """An example, or a photographed panorama."""
    if (SCENES / f"{name}.exr").exists():
        import OpenEXR

        with OpenEXR.File(str(SCENES / f"{name}.exr")) as file:
            light = np.asarray(file.channels()["RGB"].pixels, np.float32)
        return to_srgb(light / np.quantile(light, 0.95)).astype(np.uint8)
    return load_example(name)


def apply_drift(image: Image, shift: float, degrees: float, zoom: float) -> tuple[Image, Drift]:
    """`image` moved and enlarged around its centre, and by how much."""
    height, width = image.shape[:2]
    angle = np.radians(degrees)
    truth = Drift(shift * np.cos(angle), shift * np.sin(angle), zoom)
    matrix = truth.affine_matrix(width, height)
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8), truth


def change_nothing(image: Image) -> Image:
    return image


def change_colours(image: Image) -> Image:
    """Warmer, darker, harder."""
    return np.clip(255 * (image / 255) ** 1.5 * (1.15, 0.95, 0.7), 0, 255).astype(np.uint8)


def change_background(image: Image) -> Image:
    """The middle of the picture before another photo."""
    height, width = image.shape[:2]
    other = load_photo("chelsea" if image.shape != load_photo("chelsea").shape else "hopper")
    ground = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA)
    soft = centre_alpha(image)[..., None]
    return np.asarray(soft * image + (1 - soft) * ground, np.uint8)


def centre_alpha(image: Image) -> Alpha:
    height, width = image.shape[:2]
    return make_blob(height, width, (width / 2, height / 2), (0.3 * width, 0.36 * height))


def drift_error(found: Drift | None, truth: Drift) -> tuple[float, float]:
    """Errors in pixels and per cent."""
    assert found is not None
    return float(np.hypot(found.dx - truth.dx, found.dy - truth.dy)), 100 * abs(found.zoom / truth.zoom - 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_known_shift_and_zoom_are_measured_and_undone(name: str) -> None:
    source, turn = load_photo(name), NAMES.index(name)
    edited, found = source, None
    for change, row in ((change_background, turn), ((change_nothing, change_colours)[turn % 2], turn + 2)):
        edited, truth = apply_drift(change(source), *PLANTED[row % len(PLANTED)])
        found = measure_drift(source, edited)
        pixels, percent = drift_error(found, truth)
        assert pixels < 0.5
        assert percent < 0.3
    assert found is not None
    pixels, percent = drift_error(measure_drift(source, undo_drift(edited, found, source)), Drift(0, 0, 1))
    assert pixels < 0.5
    assert percent < 0.3


def test_an_undone_edit_matches_the_photo_again() -> None:
    source = load_photo("coffee")
    changed = change_colours(source)
    edited, _ = apply_drift(changed, 17, 75, 1.06)
    back = align_edit(source, edited)
    before = np.abs(edited.astype(int) - changed).mean()
    after = np.abs(back.image.astype(int) - changed)
    assert after.mean() < 0.2 * before
    # The rim that the edit had lost is the photo's own, not a mirrored strip.
    assert after[:, :12].mean() < 5
    assert "moved the picture by 17.0 px" in back.notice
    assert "enlarged it by 6.0%" in back.notice


def test_a_subject_near_the_edge_is_not_mirrored_into_the_rim() -> None:
    source = load_photo("coffee")
    height, width = source.shape[:2]
    alpha = make_blob(height, width, (width / 2, height / 2), (0.35 * width, 0.46 * height))
    ground = np.full_like(source, (40, 160, 60))
    drawn = np.asarray(alpha[..., None] * source + (1 - alpha[..., None]) * ground, np.uint8)
    back = align_edit(source, apply_drift(drawn, 0, 0, 1.08)[0], alpha)
    assert "enlarged it by 8.0%" in back.notice
    assert np.abs(back.image.astype(int) - ground)[alpha == 0].max(axis=-1).mean() < 1


def test_an_edit_without_drift_stays_byte_for_byte() -> None:
    source = load_photo("hopper")
    back = align_edit(source, change_colours(source))
    assert np.array_equal(back.image, change_colours(source))
    assert back.notice == ""
    assert back.source is source


def test_large_pictures_are_measured_in_their_own_pixels() -> None:
    strip = load_photo("astronaut")[64:192]
    source = np.asarray(cv2.resize(strip, (1280, 320), interpolation=cv2.INTER_CUBIC), np.uint8)
    assert max(source.shape) > WORK_SIDE_PX
    edited, truth = apply_drift(source, 30, 10, 1.03)
    pixels, percent = drift_error(measure_drift(source, edited), truth)
    assert pixels < 0.5
    assert percent < 0.1


def test_pictures_of_different_things_have_no_drift() -> None:
    source = load_photo("hopper")
    astronaut = np.asarray(cv2.resize(load_photo("astronaut"), source.shape[1::-1]), np.uint8)
    assert measure_drift(source, astronaut) is None
    back = align_edit(source, astronaut)
    assert np.array_equal(back.image, astronaut)
    assert back.notice == ""
    assert measure_drift(source, np.full_like(source, 128)) is None


def test_another_shape_or_framing_is_no_drift() -> None:
    source = load_photo("astronaut")
    assert align_edit(source, source[:400]).source is None
    turned = np.asarray(np.rot90(source), np.uint8)
    assert measure_drift(source, turned) is None
    assert measure_drift(source, apply_drift(source, 0, 0, 1.6)[0]) is None


def test_a_known_subject_is_registered_before_a_background_that_moved_differently() -> None:
    source = load_photo("astronaut")
    ground, _ = apply_drift(source, 30, 90, 1.0)
    subject, truth = apply_drift(source, 6, 0, 1.02)
    soft = apply_drift(np.repeat(centre_alpha(source)[..., None] * 255, 3, 2).astype(np.uint8), 6, 0, 1.02)[0] / 255
    edited = np.asarray(soft * subject + (1 - soft) * ground, np.uint8)
    pixels, _ = drift_error(measure_drift(source, edited, centre_alpha(source)), truth)
    assert pixels < 0.5


def test_pasted_subject_is_the_photo_s_own_in_the_core_and_the_edit_outside() -> None:
    source, alpha = load_photo("astronaut"), centre_alpha(load_photo("astronaut"))
    edited = change_colours(source)
    mixed = paste_subject(edited, source, alpha)
    core = core_mask(alpha)
    assert np.array_equal(mixed[core], source[core])
    assert np.array_equal(mixed[alpha == 0], edited[alpha == 0])


# ---------------------------------------------------------------- the studio does it for every tool


class DriftingModel:
    """A family of one edit model that warms the picture, moves it by 9 px and enlarges it by 3 %."""

    specs = (ModelSpec("sliding", "sliding", ("edit",), "MIT"),)

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return 1

    def load(self, spec: ModelSpec, device: str) -> DriftingModel:
        return self

    @property
    def spec(self) -> ModelSpec:
        return self.specs[0]

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        on_step(ModelStep(1, 1))
        return RenderedImages((apply_drift(change_colours(render.images[0]), 9, 0, 1.03)[0],))

    def close(self) -> None:
        pass


def make_resources(root: Path, models: ModelCache, files: FileIndex) -> EngineResources:
    return EngineResources(models, files, ContentFilter(models, AuditLog(root)), SigningKeyStore(root))


def test_a_tool_gets_an_aligned_edit_and_the_receipt_says_so(tmp_path: Path) -> None:
    files = FileIndex(tmp_path)
    job = Job(
        id="job-1", tool="style", params={}, seed=1, profile="test", specs={"edit": "sliding"}, owner="me", created=0.0
    )
    emit = StreamProgress(Stream())
    models = ModelCache((*FAMILIES, DriftingModel()))
    context = JobContext(job, make_resources(tmp_path, models, files), emit)
    source = load_photo("astronaut")
    drawn = context.draw(RenderRequest("edit", "warmer", (512, 512), (1,), images=(source,)), emit)
    pixels, percent = drift_error(measure_drift(source, drawn.images[0]), Drift(0, 0, 1))
    assert pixels < 0.5
    assert percent < 0.3
    output = ToolOutput(drawn.images, notices=drawn.notices, exact=False)
    receipt = Finalizer(context, output).finish(lambda: 1.0).receipt
    files.close()
    assert receipt["notices"] == ["The model moved the picture by 9.0 px and enlarged it by 3.0%; this was undone."]
    assert receipt["checks"]["drift_shift_px"] < 0.5
    assert receipt["checks"]["skin_delta_e"] > 5


def test_a_cached_edit_is_checked_and_reported_in_every_job_that_shows_it(tmp_path: Path) -> None:
    files, models = FileIndex(tmp_path), ModelCache((*FAMILIES, DriftingModel()))
    shared = make_resources(tmp_path, models, files)
    upload = files.add_image(load_photo("astronaut"), "me", "upload")
    values: dict[str, Any] = {"prompt": "ink", "size": 512, "face_lock": False, "photo": upload}

    def receipt(strength: int) -> dict[str, Any]:
        job = Job(
            id="job-1",
            tool="style",
            params=values,
            seed=1,
            profile="test",
            specs={"edit": "sliding", "matte": "u2netp"},
            owner="me",
            created=0.0,
            consent=1.0,
        )
        emit = StreamProgress(Stream())
        context = JobContext(job, shared, emit)
        draft = style.run(style.Style(**values, strength=strength), context, emit)
        made = Finalizer(context, draft).finish(lambda: 1.0).receipt
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


def check_edits(source: Image, *results: Image) -> dict[str, float]:
    edits = tuple(ModelEdit(source, result, faces_in) for result in results)
    return run_checks(CheckInput(results[0], ToolOutput(results), None, edits))


def test_checks_report_the_remaining_shift_zoom_skin_and_face_changes() -> None:
    source = load_photo("astronaut")
    moved = check_edits(source, apply_drift(source, 5, 0, 1.02)[0])
    assert moved["drift_shift_px"] == pytest.approx(5, abs=0.2)
    assert moved["drift_zoom_percent"] == pytest.approx(2, abs=0.1)
    still = check_edits(source, source)
    assert still == {"drift_shift_px": 0, "drift_zoom_percent": 0, "skin_delta_e": 0, "face_geometry_percent": 0}
    tanned = check_edits(source, change_colours(source))
    assert tanned["skin_delta_e"] > 5
    # A tan is no new face, a narrowed one is.
    narrow = np.asarray(cv2.resize(source, None, fx=0.85, fy=1.0, interpolation=cv2.INTER_AREA), np.uint8)
    (slim,), (own,) = faces_in(narrow)[:1], faces_in(source)[:1]
    assert tanned["face_geometry_percent"] < 0.6 * face_geometry_change(own, slim)


def load_small_cup() -> Image:
    return np.asarray(cv2.resize(load_photo("coffee"), (300, 200), interpolation=cv2.INTER_AREA), np.uint8)


def test_a_style_without_edits_reports_no_drift() -> None:
    source = load_small_cup()
    assert run_checks(CheckInput(source, ToolOutput((source,)), None)) == {}
    assert check_edits(source, source).keys() == {"drift_shift_px", "drift_zoom_percent"}


def test_the_worst_of_several_variations_is_reported() -> None:
    source = load_small_cup()
    assert check_edits(source, source, apply_drift(source, 5, 0, 1.0)[0])["drift_shift_px"] > 4.5
    rows = [{"drift_shift_px": 1.0, "core_share": 0.9}, {"drift_shift_px": 3.0, "core_share": 0.7}]
    assert worst_results(rows) == {"drift_shift_px": 3.0, "core_share": 0.7}
    assert len({check.id for check in CHECKS}) == len(CHECKS)


def test_face_geometry_does_not_see_where_a_face_is_how_large_or_how_turned() -> None:
    (face,) = faces_in(load_photo("astronaut"))[:1]
    turn = np.array([[0.9, -0.2], [0.2, 0.9]], np.float32)
    moved = Face(
        (face.landmarks @ turn.T + 40).astype(np.float32),
        face.box,
        face.left_eye,
        face.right_eye,
        face.chin,
        face.roll,
        face.score,
    )
    assert face_geometry_change(face, moved) < 0.01


def test_skin_is_compared_at_the_face_alone() -> None:
    source = load_photo("astronaut")
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
        measure_drift(load_photo("coffee"), load_photo("hopper"))
