"""Maps that a drawing follows: what they show, that they lie on the photo, and that they are seen before their use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Step
from pipelines.core.models import Profile
from pipelines.models import nets
from pipelines.models.diffusion import loader
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families import FAMILIES
from pipelines.models.families.control_nets import ControlNetFamily
from pipelines.models.families.stable_diffusion import StableDiffusionModel
from pipelines.models.model_cache import ModelCache
from pipelines.models.nets import control_annotators
from pipelines.models.nets.control_annotators import (
    ANNOTATORS,
    MAP_EDGES,
    MAP_LINES,
    MAP_POSE,
    POSE_LITE,
    AnnotatorFamily,
)
from pipelines.models.nets.pose_landmarks import Joints, PersonLocation
from pipelines.tools.style import MAP_NOTICE
from tests.models.support import family_checks
from tests.models.support.family_checks import noise_photo
from tests.models.support.tiny_checkpoints import VERBS, tiny_sdxl, tiny_union
from tests.models.support.tiny_control_nets import annotator_row, tiny_depth, tiny_vitpose
from tests.support.examples import load_example
from tests.support.real_studio import RealStudio

# diffusers' Euler scheduler hands a torch tensor to np.array in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]


def whole(image: Image) -> PersonLocation:
    return PersonLocation((0, 0, image.shape[1], image.shape[0]))


@pytest.mark.parametrize("row", [MAP_EDGES, MAP_LINES], ids=lambda row: row.id)
def test_edges_and_lines_lie_on_the_photo_and_on_black(row: Any) -> None:
    image = np.full((300, 417, 3), 220, np.uint8)
    image[100:200, 150:300] = 30
    net = ANNOTATORS.load(row, "cpu")
    made = net.draw_map(image, whole(image))
    assert made.shape == image.shape
    assert np.array_equal(made, net.draw_map(image, whole(image)))
    assert np.median(made) == 0
    rows, columns = np.nonzero(made.max(axis=2) > 100)
    assert 140 < columns.min() < 160
    assert 290 < columns.max() < 310
    assert 90 < rows.min() < 110
    assert 190 < rows.max() < 210


@pytest.mark.parametrize("size", [(300, 417), (640, 512), (1100, 801)])
def test_edges_are_those_of_controlnet_aux(size: tuple[int, int]) -> None:
    canny: Any = control_annotators._import_controlnet_aux("canny")
    image = noise_photo(3, size)
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 6), np.uint8) if size[0] > 512 else image
    theirs = cv2.resize(np.asarray(canny.CannyDetector()(image)), size, interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(ANNOTATORS.load(MAP_EDGES, "cpu").draw_map(image, whole(image)), theirs)


def test_edges_wait_for_no_import_of_controlnet_aux() -> None:
    code = (
        "import sys, numpy; from pipelines.models.nets.control_annotators import ANNOTATORS, MAP_EDGES;"
        "ANNOTATORS.load(MAP_EDGES, 'cpu').draw_map(numpy.zeros((64, 64, 3), numpy.uint8), None);"
        "print({'controlnet_aux', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_module_of_controlnet_aux_comes_without_those_beside_it() -> None:
    control_annotators._import_controlnet_aux.cache_clear()
    module = control_annotators._import_controlnet_aux("lineart_standard")
    assert sys.modules["controlnet_aux.lineart_standard"] is module
    # Nor does half of the package stay for somebody who wants it whole.
    assert not {"controlnet_aux", "controlnet_aux.zoe"} & set(sys.modules)


# ---------------------------------------------------------------- poses


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_the_shipped_net_finds_head_and_shoulders_where_they_are(name: str) -> None:
    image = load_example(name)
    face = nets.load(nets.FACE_MESH, "cpu").find_faces(image)[0]
    net: Any = ANNOTATORS.load(POSE_LITE, "cpu")
    joints: Joints | None = net.find_joints(image, PersonLocation(whole(image).box, face))
    assert joints is not None
    nose, right, left, right_eye, left_eye = (np.array(joints[n]) for n in (0, 2, 5, 14, 15))
    far = face.eye_distance
    assert np.hypot(*((right_eye + left_eye) / 2 - face.eye_midpoint)) < 0.35 * far
    assert np.hypot(*(nose - face.landmarks[1])) < 0.6 * far
    # The person's right is the photo's left; shoulders are below the chin and wider than the head.
    assert right[0] < nose[0] < left[0]
    assert left[0] - right[0] > 1.8 * far
    assert min(right[1], left[1]) > face.chin[1] - 0.3 * far


def test_a_pose_is_drawn_as_controlnet_aux_draws_it() -> None:
    pose: Any = control_annotators._import_controlnet_aux("open_pose")
    joints: Any = (*(((n + 1) * 25.0, 100.0 + n * 7) for n in range(16)), None, None)
    points: Any = [None if joint is None else pose.body.Keypoint(joint[0] / 512, joint[1] / 640) for joint in joints]
    assert np.array_equal(
        control_annotators.draw_skeleton(joints, (512, 640)),
        pose.util.draw_bodypose(np.zeros((640, 512, 3), np.uint8), points),
    )


def test_nobody_has_no_pose() -> None:
    image = load_example("coffee")
    with pytest.raises(BadInput, match="Nobody") as refused:
        ANNOTATORS.load(POSE_LITE, "cpu").draw_map(image, whole(image))
    assert refused.value.code == "no_subject"


def test_what_lies_outside_the_photo_is_left_out() -> None:
    image = load_example("hopper")
    face = nets.load(nets.FACE_MESH, "cpu").find_faces(image)[0]
    net: Any = ANNOTATORS.load(POSE_LITE, "cpu")
    joints = net.find_joints(image, PersonLocation(whole(image).box, face))
    assert [joints[n] for n in (9, 10, 12, 13)] == [None] * 4  # knees and ankles of a portrait


# ---------------------------------------------------------------- nets of the hub


def test_depth_is_what_transformers_sees_near_in_white(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForDepthEstimation, DPTImageProcessor

    folder, image = tiny_depth(tmp_path / "depth"), noise_photo(3, (160, 120))
    row = annotator_row("depth", folder)
    made = AnnotatorFamily((row,)).load(row, "cpu").draw_map(image, whole(image))
    processor: Any = DPTImageProcessor.from_pretrained(folder)
    net: Any = AutoModelForDepthEstimation.from_pretrained(folder)
    with torch.no_grad():
        seen: Any = net(**processor(images=image, return_tensors="pt"))
    depth = processor.post_process_depth_estimation(seen, target_sizes=[(120, 160)])[0]["predicted_depth"].numpy()
    assert made.shape == image.shape
    assert made[..., 0].ravel()[depth.argmax()] == 255
    assert (made.min(), made.max()) == (0, 255)
    assert np.corrcoef(made[..., 0].ravel(), depth.ravel())[0, 1] > 0.999


def test_vitpose_is_asked_for_the_box_and_its_joints_are_ordered(tmp_path: Path) -> None:
    row = annotator_row("pose", tiny_vitpose(tmp_path / "pose"))
    net: Any = AnnotatorFamily((row,)).load(row, "cpu")
    image, asked = noise_photo(3, (160, 120)), []
    processor = net._processor

    class Sure:
        """The processor, sure of every joint: a net of random weights is of none."""

        def __call__(self, **inputs: Any) -> Any:
            asked.append(inputs["boxes"][0].tolist())
            return processor(**inputs)

        def post_process_pose_estimation(self, seen: Any, boxes: Any) -> Any:
            (people,) = processor.post_process_pose_estimation(seen, boxes=boxes)
            assert people[0]["keypoints"].shape == (17, 2)
            rows = people[0]["keypoints"].new_tensor([[10.0 + n, 20.0 + n] for n in range(17)])
            return [[{"keypoints": rows, "scores": people[0]["scores"] * 0 + 1}]]

    net._processor = Sure()
    joints = net.find_joints(image, PersonLocation((10, 10, 100, 110)))
    assert asked == [[[10, 10, 90, 100]]]
    assert joints[0] == (10, 20)
    assert joints[1] == (15.5, 25.5)  # the neck, between COCO's shoulders 5 and 6
    assert joints[14:] == ((12, 22), (11, 21), (14, 24), (13, 23))
    assert net.draw_map(image, PersonLocation((10, 10, 100, 110))).any()


def test_the_net_of_the_hub_reads_poses_only_where_it_lies_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> Any:
        raise ModelUnavailable("not here")

    monkeypatch.setattr(loader, "ensure_checkpoint", absent)
    assert control_annotators.best_pose_id() == POSE_LITE.id
    monkeypatch.setattr(loader, "ensure_checkpoint", lambda *_, **__: None)
    assert control_annotators.best_pose_id() == MAP_POSE.id


def test_a_model_that_is_no_pipeline_is_asked_for_by_its_files() -> None:
    names = ("config.json", "preprocessor_config.json", "model.safetensors")
    assert loader.list_sources(MAP_POSE) == ((MAP_POSE.repo, "", names),)


# ---------------------------------------------------------------- through the tool


PROFILE = Profile("tiny", {"image": "tiny-stable_diffusion", "control": "tiny-stable_diffusion"}, "Tiny")


class ControlStudio(RealStudio):
    """A studio with a tiny model that follows maps."""

    def __init__(self, root: Path) -> None:
        net = family_checks.control_net_row(tiny_union(root / "tiny-union"), "ControlNetUnionModel")
        row = family_checks.tiny_row(
            "stable_diffusion", str(tiny_sdxl(root / "xl")), (*VERBS, "control"), control_net=net.id
        )
        families = (*FAMILIES, CheckpointFamily(StableDiffusionModel, (row,)), ControlNetFamily((net,)))
        super().__init__(root, cache=ModelCache(families), profile=PROFILE)

    def make_style_job(self, *, draft: bool = False, **params: Any) -> Job:
        """A style in words along a map."""
        form = {"prompt": "ink on paper", "size": 256, "face_lock": False, **params}
        return self.create_job("style", draft=draft, **{"seed": 3, **form})


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlStudio]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with ControlStudio(tmp_path_factory.mktemp("control")) as studio:
        yield studio
    torch.set_num_threads(threads)


def test_the_map_is_seen_before_the_first_step_and_changes_the_picture(studio: ControlStudio) -> None:
    source = studio.add_image(load_example("hopper"))
    pictures = []
    for follow in ("edges", "pose", "nothing"):
        events = list(studio.jobs.submit_and_watch(studio.make_style_job(photo=source, follow=follow)))
        shown = [event for event in events if isinstance(event, Step) and event.preview]
        if follow != "nothing":
            assert shown[0].stage == "What the drawing follows"
        result: Any = events[-1]
        pictures.append(studio.files.open_image(result.files[0].id))
        models = [row["id"] for row in result.receipt["models"]]
        assert ({"edges": "map-edges", "pose": "pose-lite"}.get(follow, models[0])) in models
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_a_draft_is_the_map_and_draws_nothing(studio: ControlStudio) -> None:
    source = studio.add_image(load_example("hopper"))
    events = list(studio.jobs.submit_and_watch(studio.make_style_job(photo=source, follow="lines", draft=True)))
    result: Any = events[-1]
    assert result.receipt["notices"] == [MAP_NOTICE]
    assert [row["id"] for row in result.receipt["models"]] == ["map-lines"]
    assert isinstance(events[-2], Step)
    assert events[-2].preview


def test_a_map_without_words_asks_for_them(studio: ControlStudio) -> None:
    source = studio.add_image(load_example("hopper"))
    with pytest.raises(BadInput, match="in words"):
        studio.run_job(studio.make_style_job(photo=source, follow="edges", prompt=""))


def test_a_depth_that_is_not_here_is_said(studio: ControlStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    source = studio.add_image(load_example("hopper"))
    with pytest.raises(ModelUnavailable, match=r"Depth.*Depth-Anything"):
        studio.run_job(studio.make_style_job(photo=source, follow="depth"))
