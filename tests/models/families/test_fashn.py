"""FASHN VTON with random weights: its file, what it sees, previews and cancelling, and the tool's jobs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput, JobCancelled, ModelUnavailable
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Step
from pipelines.core.rendering import Adapter, ModelStep, RenderRequest
from pipelines.core.stream import wait_for_result
from pipelines.models.families import FAMILIES
from pipelines.models.families.fashn import whole_body_pose
from pipelines.models.families.fashn.fitting import FittedFrame, shrink_to_read
from pipelines.models.families.fashn.model import (
    DWPOSE,
    DWPOSE_FAMILY,
    FASHN_VTON,
    FashnFamily,
    TryOnModel,
)
from pipelines.models.families.fashn.network import TryOnLayout, build_network, schedule_times
from pipelines.models.families.fashn.whole_body_pose import WholeBodyPose, draw_pose
from pipelines.models.model_cache import ModelCache
from pipelines.models.nets.pose_landmarks import PersonLocation
from pipelines.models.profiles import download_bytes
from pipelines.provenance.c2pa import names_generative_model
from tests.models.support import family_checks, tiny_fashn, tiny_fill_nets
from tests.models.support.family_checks import are_identical, draw_pictures, ignore_step, make_request, noise_photo
from tests.models.test_recorded_hub import make_on_meta, read_record
from tests.support.examples import load_example
from tests.support.gated_tool import UnfilteredEngine
from tests.support.real_studio import RealStudio

SIZE = (64, 80)


def make_try_on(*seeds: int, **more: Any) -> RenderRequest:
    return make_request("tryon", *seeds, prompt="", size=SIZE, **more)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FashnFamily]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield FashnFamily((tiny_fashn.tiny_fashn(tmp_path_factory.mktemp("fashn")),))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(family: FashnFamily) -> TryOnModel:
    return family.load(family.specs[0], "cpu")


# ---------------------------------------------------------------- the network and its file


@pytest.fixture(scope="module")
def full_network() -> Any:
    """The network at full size, without memory."""
    return make_on_meta(lambda: build_network(TryOnLayout()))


def test_at_full_size_it_has_the_values_that_were_published(full_network: Any) -> None:
    """The figures of the published file, as several projects that checked its digest give them."""
    state = full_network.state_dict()
    count = sum(each.numel() for each in state.values())
    assert (len(state), count) == (366, 971_814_240)
    assert FASHN_VTON.bytes == download_bytes(FASHN_VTON) == 2 * count
    listed = read_record(FASHN_VTON.repo, "files.json")["model.safetensors"]
    assert 0 < listed - 2 * count < 50_000, "what is left is the file's header"
    assert FASHN_VTON.licence_state == DWPOSE.licence_state == "commercial"


def test_at_full_size_it_draws_576_by_864(full_network: Any) -> None:
    import torch

    layout = TryOnLayout()
    assert full_network(torch.zeros(1, 3, 864, 576, device="meta"), 0.5, None).shape == (1, 3, 864, 576)
    assert layout.grid == (72, 48)


def test_size_from_headers_is_the_bytes_loaded(family: FashnFamily, model: TryOnModel) -> None:
    loaded = sum(each.nbytes for each in model.module.state_dict().values())
    assert family.estimate_bytes(family.specs[0]) == loaded > 0


def test_a_file_with_other_names_or_sizes_is_not_loaded(family: FashnFamily, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    kept = load_file(f"{family.specs[0].repo}/model.safetensors")
    for change in ("missing", "other", "damaged"):
        state = {**kept}
        if change == "missing":
            del state["final_layer.linear.bias"]
        else:
            state["final_layer.linear.bias"] = state["final_layer.linear.bias"][:-1].clone()
        save_file(state, tmp_path / "model.safetensors")
        if change == "damaged":
            (tmp_path / "model.safetensors").write_bytes(b"nothing")
        with pytest.raises(ModelUnavailable, match="is not the network that this version knows"):
            family.load(replace(family.specs[0], repo=str(tmp_path)), "cpu")


def test_times_go_from_noise_to_the_picture_and_linger_at_the_beginning() -> None:
    times = schedule_times(30, 1.5)
    assert (times[0], times[-1], len(times)) == (0.0, 1.0, 31)
    assert times == sorted(times)
    assert times[15] == pytest.approx(1 / (1 + np.exp(1.5)))  # published: time_shift with mu = -1.5


# ---------------------------------------------------------------- drawing


def test_seeds_previews_cancel_and_threads(model: TryOnModel) -> None:
    checked: Any = model
    alone = family_checks.check_seeds(checked, make_try_on())
    family_checks.check_cancel(checked, make_try_on(2), alone)
    family_checks.check_threads(checked, [make_try_on(2), make_try_on(1)], alone=[alone])
    previews: list[Image] = []
    steps: list[tuple[int, int]] = []

    def look(step: ModelStep) -> None:
        assert step.preview is not None
        previews.append(step.preview())
        steps.append((step.index, step.total))

    drawn = draw_pictures(checked, make_try_on(5, 6), look)
    assert are_identical(drawn, draw_pictures(checked, make_try_on(5, 6)))
    assert steps == [(n, 6) for n in range(1, 7)]
    assert not np.array_equal(previews[0], previews[1])
    for last, picture in ((previews[2], drawn[0]), (previews[5], drawn[1])):
        shown = cv2.resize(last, SIZE, interpolation=cv2.INTER_CUBIC)
        assert np.abs(shown.astype(int) - picture).max() <= 1, "the last estimate is the picture"


@pytest.mark.parametrize(
    "change",
    [
        {"garment_kind": "bottoms"},
        {"images": (noise_photo(7, SIZE), noise_photo(10, (50, 40)))},
        {"images": (noise_photo(8, SIZE), noise_photo(9, (50, 40)))},
        {"control": np.zeros((80, 64, 3), np.uint8)},
        {"guidance_scale": 1.0},
    ],
    ids=["kind", "garment", "person", "pose", "guidance"],
)
def test_all_that_it_is_given_has_an_effect(model: TryOnModel, change: dict[str, Any]) -> None:
    checked: Any = model
    before, after = draw_pictures(checked, make_try_on()), draw_pictures(checked, make_try_on(**change))
    assert not are_identical(before, after)


def test_what_reaches_the_network_is_the_photo_in_the_middle_and_black_beside_it(model: TryOnModel) -> None:
    seen: list[Any] = []
    hook = model.module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    model.draw(make_try_on(), ignore_step)
    hook.remove()
    assert [times for _, times, _ in seen] == [t for t in schedule_times(3, 1.5)[:2] for _ in (0, 1)] + [
        schedule_times(3, 1.5)[2]
    ], "guidance in all steps but the last"
    given = seen[0][2]
    assert seen[1][2] is None
    person = np.asarray((given.person[0].permute(1, 2, 0) + 1) * 127.5)
    photo = cv2.resize(noise_photo(7, SIZE), (48, 60), interpolation=cv2.INTER_AREA)
    assert np.abs(person[6:66] - photo).max() < 0.01
    assert (person[:6] == 0).all()
    assert (person[66:] == 0).all()
    assert given.person_pose.shape == (1, 1, 72, 48)
    assert (given.person_pose[0, 0, 6:66] > -1).any()
    assert (given.garment_pose == -1).all(), "nobody wears the garment"
    assert (given.garment[0, :, :17] == -1).all(), "50 x 40 lies across the middle"


def test_what_it_cannot_draw_is_refused_with_a_sentence(model: TryOnModel) -> None:
    for change in ({"images": (noise_photo(7, SIZE),)}, {"control": None}, {"garment_kind": ""}):
        with pytest.raises(BadInput, match="a person, the person's pose, a garment and its kind"):
            model.draw(make_try_on(**change), ignore_step)
    with pytest.raises(BadInput, match="LoRA"):
        model.draw(make_try_on(adapters=(Adapter("some/lora", 1.0),)), ignore_step)
    with pytest.raises(ModelUnavailable, match="cannot serve 'edit'"):
        model.draw(replace(make_try_on(), verb="edit"), ignore_step)


def test_numbers_that_are_no_picture_end_it_with_a_sentence(model: TryOnModel) -> None:
    import torch

    weight = model.module["final_layer"]["linear"].weight
    kept = weight.data
    weight.data = torch.full_like(kept, torch.nan)
    try:
        with pytest.raises(ModelUnavailable, match="the numbers left the range of float32 while it was drawn"):
            model.draw(make_try_on(), ignore_step)
    finally:
        weight.data = kept


def test_put_aside_it_comes_back_the_same_and_in_bfloat16_it_draws(family: FashnFamily, model: TryOnModel) -> None:
    checked: Any = model
    before = draw_pictures(checked, make_try_on())
    model.to_host()
    model.to_device()
    assert are_identical(draw_pictures(checked, make_try_on()), before)
    half: Any = family.load(replace(family.specs[0], dtype="bfloat16"), "cpu")
    assert np.abs(draw_pictures(half, make_try_on())[0].astype(int) - before[0]).mean() < 8


@pytest.mark.parametrize("size", [(576, 864), (600, 300), (1000, 3000), (5, 7)])
def test_a_picture_is_cut_out_where_it_was_laid_in(size: tuple[int, int]) -> None:
    layout, photo = TryOnLayout(), np.full((size[1], size[0], 3), 200, np.uint8)
    frame = FittedFrame.fit_around(photo, layout)
    framed = frame.lay_in(photo)
    assert framed.shape == (864, 576, 3)
    assert (frame.crop_to_picture(framed) == 200).all()
    assert (framed == 200).sum() == 3 * frame.size[0] * frame.size[1]
    assert max(576 - frame.size[0], 864 - frame.size[1]) == 0 or min(576 - frame.size[0], 864 - frame.size[1]) <= 1


# ---------------------------------------------------------------- the pose


@pytest.fixture
def dwpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    tiny_fill_nets.put_into_cache(DWPOSE, tmp_path, monkeypatch, tiny_fashn.make_pose_file())
    return DWPOSE_FAMILY.load(DWPOSE, "cpu")


def test_joints_are_found_where_they_are_in_the_photo(dwpose: Any) -> None:
    pose = dwpose.find_pose(np.zeros((600, 500, 3), np.uint8), (100, 50, 340, 450))
    width, height = 1.25 * 300, 1.25 * 400  # the box, made as high as the crop's 3 to 4 asks, and its margin
    expected = [(220 + (x - 0.5) * width, 250 + (y - 0.5) * height) for x, y in tiny_fashn.JOINTS]
    assert np.abs(pose.points[:17] - expected).max() <= 0.5 * height / tiny_fashn.CROP_HEIGHT_PX
    joints = pose.joints()
    assert None not in joints
    assert joints[1] == pytest.approx(np.mean(expected[5:7], axis=0), abs=0.5), "the neck is between the shoulders"


def test_a_pose_is_drawn_at_the_size_at_which_photos_are_read(dwpose: Any) -> None:
    drawn = dwpose.draw_map(np.zeros((1728, 1200, 3), np.uint8), PersonLocation((300, 200, 900, 1700)))
    assert drawn.shape == (864, 600, 3)
    assert (drawn[..., 0] == drawn[..., 1]).all()
    assert drawn.max() == 255
    assert 0.002 < (drawn > 0).mean() < 0.1


def test_a_photo_without_a_body_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_fill_nets.put_into_cache(DWPOSE, tmp_path, monkeypatch, tiny_fashn.make_pose_file(seen=3))
    net = DWPOSE_FAMILY.load(DWPOSE, "cpu")
    with pytest.raises(BadInput, match="Nobody was found") as caught:
        net.draw_map(np.zeros((90, 60, 3), np.uint8), PersonLocation((0, 0, 60, 90)))
    assert caught.value.code == "no_subject"
    net.close()


def test_another_file_is_not_taken_for_the_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_fill_nets.put_into_cache(DWPOSE, tmp_path, monkeypatch, tiny_fashn.make_pose_file())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelUnavailable, match="damaged or another file"):
        DWPOSE_FAMILY.load(DWPOSE, "cpu")


def test_hands_and_face_are_drawn_where_they_are_seen() -> None:
    points = 40 + 100 * tiny_fashn.random_points(3)
    nothing = np.zeros(133, np.float32)
    assert not draw_pose(WholeBodyPose(points, nothing), (200, 200)).any()
    for rows, grey in ((whole_body_pose._FACE_ROWS, 200), (whole_body_pose._HAND_ROWS[0], 240)):
        scores = nothing.copy()
        scores[rows] = 0.5
        drawn = draw_pose(WholeBodyPose(points, scores), (200, 200))
        assert drawn.max() == grey
    scores[whole_body_pose._HAND_ROWS[0].start] = 0
    assert (draw_pose(WholeBodyPose(points, scores), (200, 200)) > 0).sum() < (drawn > 0).sum()


def test_only_larger_photos_are_shrunk() -> None:
    small = noise_photo(1, (60, 40))
    assert shrink_to_read(small) is small
    assert shrink_to_read(noise_photo(1, (1000, 500))).shape == (432, 864, 3)


# ---------------------------------------------------------------- through the tool


@pytest.fixture(scope="module")
def studio(family: FashnFamily, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    root = tmp_path_factory.mktemp("studio")
    with pytest.MonkeyPatch.context() as patch:
        tiny_fill_nets.put_into_cache(DWPOSE, root / "hub", patch, tiny_fashn.make_pose_file())
        with RealStudio(root, cache=ModelCache((*FAMILIES, family)), engine=UnfilteredEngine) as studio:
            yield studio


def make_job(studio: RealStudio, seed: int = 3) -> Job:
    photo = np.asarray(cv2.resize(load_example("hopper"), (256, 300), interpolation=cv2.INTER_AREA), np.uint8)
    garment = np.full((360, 300, 3), 240, np.uint8)
    garment[60:300, 60:240] = (160, 30, 40)
    pictures = {"photo": studio.add_image(photo), "garment_photo": studio.add_image(garment)}
    return Job(
        id=f"job-{uuid.uuid4().hex}",
        tool="fashion",
        params={**pictures, "garment_kind": "tops", "size": 256, "grading": 0},
        seed=seed,
        profile="tiny",
        specs={"backdrop": "backdrops", "tryon": "tiny-fashn", "matte": "u2netp"},
        owner="me",
        created=time.time(),
        consent=time.time(),
    )


def run_to_steps(studio: RealStudio, job: Job) -> tuple[Result, list[Step]]:
    *steps, result = studio.engine.run(job)
    assert isinstance(result, Result)
    return result, [step for step in steps if isinstance(step, Step)]


@contextmanager
def slowed_network(studio: RealStudio) -> Iterator[None]:
    """Let each pass through the network take 0.15 s more."""
    with studio.cache.borrow_model("tiny-fashn") as model:
        slow = model.module.register_forward_hook(lambda *_: time.sleep(0.15))
    yield
    slow.remove()


def test_a_person_is_dressed_and_the_receipt_says_by_what(studio: RealStudio) -> None:
    with slowed_network(studio):
        result, steps = run_to_steps(studio, make_job(studio))
    drawing = [step for step in steps if step.stage == "Drawing"]
    assert [(step.index, step.total) for step in drawing] == [(1, 3), (2, 3), (3, 3)]
    assert any(step.preview for step in drawing), "five a second are shown"
    rows = {row["id"]: row for row in result.receipt["models"]}
    assert rows["tiny-fashn"]["licence"] == rows["dwpose"]["licence"] == "Apache-2.0"
    assert rows["dwpose"]["revision"] == DWPOSE.revision
    assert result.receipt["mode"] == "redrawn"
    notices = " ".join(result.receipt["notices"])
    assert "compare cut, pattern and colour" in notices
    assert "576 x 864" in notices
    assert "face_geometry_percent" in result.receipt["checks"] or "head could not be laid back" in notices
    assert names_generative_model(studio.files.read_bytes(result.files[0].id, "me"))
    again, _ = run_to_steps(studio, make_job(studio))
    other, _ = run_to_steps(studio, make_job(studio, seed=4))
    assert again.files[0].pixels_sha256 == result.files[0].pixels_sha256 != other.files[0].pixels_sha256
    assert studio.cache.load_counts["tiny-fashn"] == 1


def test_a_dressing_stops_within_a_step(studio: RealStudio) -> None:
    with slowed_network(studio):
        watch = studio.jobs.watch(job_id := studio.jobs.submit(make_job(studio)))
        step = next(event for event in watch if isinstance(event, Step) and event.stage == "Drawing")
        assert step.index < step.total
        studio.jobs.cancel(job_id)
        with pytest.raises(JobCancelled):
            wait_for_result(watch)


def test_without_a_model_nobody_is_dressed(studio: RealStudio) -> None:
    job = make_job(studio)
    with pytest.raises(ModelUnavailable, match="'Garment to wear' needs a model for: tryon or edit"):
        studio.create_job("fashion", **{**job.params, "consent": True})
