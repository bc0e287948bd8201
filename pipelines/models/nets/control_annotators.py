"""ControlNet annotators: turn a photo into a map of edges, lines, depth or a pose that a drawing follows.

Edges are OpenCV's; lines are made by controlnet-aux, without weights too. Depth and the better pose are transformers
models from the hub; where the latter is not downloaded, the pose net that ships with the project replaces it.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import warnings
from functools import lru_cache
from types import ModuleType

import cv2
import numpy as np

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Image, Size
from pipelines.core.models import ModelSpec
from pipelines.models import cpu_offload
from pipelines.models.diffusion import loader
from pipelines.models.nets.pose_landmarks import (
    COCO_SHOULDERS,
    COCO_TO_OPENPOSE,
    BlazePose,
    Joints,
    PersonLocation,
    to_openpose_order,
)
from pipelines.models.nets.transformers_net import TransformersNet

MIB = 2**20
MAP_SIDE_PX = 512
"""Shorter side, in pixels, at which maps are computed and bodies drawn, as in the training of ControlNets."""
NO_BODY_MESSAGE = "Nobody's pose was found: follow something else, or take a photo that shows a body."
_MIN_JOINT_COUNT = 4  # with fewer joints there is no pose to follow
_MODEL_FILES_OPTION = ("files", "config.json,preprocessor_config.json,model.safetensors")


def _map_spec(id: str, makes: str, bytes: int, repo: str = "") -> ModelSpec:
    options = (("makes", makes), *((_MODEL_FILES_OPTION,) if repo else ()))
    return ModelSpec(id, "maps", (), "Apache-2.0", repo=repo, options=options, bytes=bytes)


MAP_EDGES = _map_spec("map-edges", "edges", MIB)
MAP_LINES = _map_spec("map-lines", "lines", MIB)
MAP_DEPTH = _map_spec("map-depth", "depth", 4 * 24_785_089, "depth-anything/Depth-Anything-V2-Small-hf")
MAP_POSE = _map_spec("map-pose", "pose", 4 * 85_812_881, "usyd-community/vitpose-base-simple")
POSE_LITE = ModelSpec(
    id="pose-lite",
    family="maps",
    verbs=(),
    licence="Apache-2.0",
    files=(
        ("pose-lite/pose_landmark_lite.tflite", "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61"),
    ),
    options=(("makes", "pose"),),
    bytes=20 * MIB,
)


class CannyAnnotator:
    """Canny edges (Canny, 1986): thin, white on black."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def draw_map(self, image: Image, person: PersonLocation) -> Image:
        """Draw the map at the photo's size, H x W x 3."""
        height, width = image.shape[:2]
        scale = MAP_SIDE_PX / min(height, width)
        # The same map as controlnet-aux's CannyDetector, whose import takes ten seconds.
        size = round(width * scale / 64) * 64, round(height * scale / 64) * 64
        small = cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA)
        edges = np.asarray(cv2.cvtColor(cv2.Canny(small, 100, 200), cv2.COLOR_GRAY2RGB), np.uint8)
        return _resize_map(edges, image)

    def close(self) -> None:
        """Do nothing: there are no weights to free."""


class LineArtAnnotator(CannyAnnotator):
    """Soft lines where the picture is darker than its surroundings, as drawn by hand."""

    def draw_map(self, image: Image, person: PersonLocation) -> Image:
        detector = _import_controlnet_aux("lineart_standard").LineartStandardDetector()
        return _resize_map(detector(image, detect_resolution=MAP_SIDE_PX, output_type="np"), image)


class TransformersAnnotator(TransformersNet):
    """An annotator with a transformers model and its processor, on the device."""

    def to_host(self) -> None:
        cpu_offload.move_to_host([self._net])

    def to_device(self) -> None:
        cpu_offload.move_to_device([self._net], self._device)


class DepthAnnotator(TransformersAnnotator):
    """Depth Anything V2 (Yang et al., 2024): near is white."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        super().__init__(spec, "DepthAnythingForDepthEstimation", "DPTImageProcessor", device)

    def draw_map(self, image: Image, person: PersonLocation) -> Image:
        outputs = self._run_net(**self._processor(images=image, return_tensors="pt"))
        (estimate,) = self._processor.post_process_depth_estimation(outputs, target_sizes=[image.shape[:2]])
        depth = estimate["predicted_depth"].float().cpu().numpy()
        near = (depth - depth.min()) / max(float(np.ptp(depth)), float(np.finfo(np.float32).tiny))
        return np.repeat((near * 255).round().astype(np.uint8)[..., None], 3, axis=2)


class VitPoseAnnotator(TransformersAnnotator):
    """ViTPose (Xu et al., 2022): the joints of the person in a box."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        super().__init__(spec, "VitPoseForPoseEstimation", "VitPoseImageProcessor", device)

    def find_joints(self, image: Image, person: PersonLocation) -> Joints | None:
        """See `BlazePose.find_joints`. The net sees joints in anything, so those with a low score are left out."""
        left, top, right, bottom = person.box
        boxes = [np.array([[left, top, right - left, bottom - top]], np.float32)]
        outputs = self._run_net(**self._processor(images=image, boxes=boxes, return_tensors="pt"))
        (poses,) = self._processor.post_process_pose_estimation(outputs, boxes=boxes)
        points, scores = poses[0]["keypoints"].cpu().numpy(), poses[0]["scores"].cpu().numpy()
        return to_openpose_order(points, scores, COCO_TO_OPENPOSE, COCO_SHOULDERS, image)

    def draw_map(self, image: Image, person: PersonLocation) -> Image:
        return draw_body(self.find_joints(image, person), image)


class BlazePoseAnnotator(BlazePose):
    """The shipped pose net as an annotator."""

    def draw_map(self, image: Image, person: PersonLocation) -> Image:
        return draw_body(self.find_joints(image, person), image)


def draw_body(joints: Joints | None, image: Image) -> Image:
    """Draw a body on black at the photo's size, in the colours of OpenPose. Raises `BadInput` without a body."""
    if joints is None or sum(joint is not None for joint in joints) < _MIN_JOINT_COUNT:
        raise BadInput(NO_BODY_MESSAGE, code="no_subject")
    return draw_skeleton(joints, (image.shape[1], image.shape[0]))


def draw_skeleton(joints: Joints, size: Size) -> Image:
    """Draw `joints`, in pixels of a picture of `size`, like OpenPose."""
    pose = _import_controlnet_aux("open_pose")
    width, height = size
    points = [None if joint is None else pose.body.Keypoint(joint[0] / width, joint[1] / height) for joint in joints]
    scale = MAP_SIDE_PX / min(size)
    small = np.zeros((max(1, round(height * scale)), max(1, round(width * scale)), 3), np.uint8)
    drawn = pose.util.draw_bodypose(small, points)
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _resize_map(map_image: Image, image: Image) -> Image:
    """Resize a map to the photo's size, since maps are made with sides that are multiples of 64."""
    return np.asarray(cv2.resize(map_image, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)


_IMPORT_LOCK = threading.Lock()


@lru_cache(maxsize=8)
def _import_controlnet_aux(name: str) -> ModuleType:
    """Import a module of controlnet-aux without those beside it, which the package imports all: that takes seconds.

    Whoever imports the package afterwards gets it whole. What is imported warns about optional packages.
    """
    with _IMPORT_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        is_whole = "controlnet_aux" in sys.modules
        if not is_whole:
            spec = importlib.util.find_spec("controlnet_aux")
            assert spec is not None, "requirements.txt names it"
            sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        try:
            return importlib.import_module(f"controlnet_aux.{name}")
        finally:
            if not is_whole:
                del sys.modules["controlnet_aux"]


class AnnotatorFamily:
    """The model family of the annotators. `specs` are its models; tests give it models of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self.specs = specs

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that the net takes, counted beforehand."""
        return spec.bytes

    def load(
        self, spec: ModelSpec, device: str
    ) -> CannyAnnotator | DepthAnnotator | VitPoseAnnotator | BlazePoseAnnotator:
        """Load the annotator of `spec`. Raises `ModelUnavailable`."""
        makes = dict(spec.options)["makes"]
        if makes == "depth":
            return DepthAnnotator(spec, device)
        if makes == "pose":
            return VitPoseAnnotator(spec, device) if spec.repo else BlazePoseAnnotator(spec)
        return {"edges": CannyAnnotator, "lines": LineArtAnnotator}[makes](spec)


ANNOTATORS = AnnotatorFamily((MAP_EDGES, MAP_LINES, MAP_DEPTH, MAP_POSE, POSE_LITE))


def best_pose_id() -> str:
    """Return the id of the best pose net that is on this machine."""
    try:
        loader.ensure_checkpoint(MAP_POSE, offline=True)
    except ModelUnavailable:
        return POSE_LITE.id
    return MAP_POSE.id
