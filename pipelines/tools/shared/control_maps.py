"""Control maps: the edges, lines, depth or pose of a photo, which a control model follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from pipelines.core.errors import ModelUnavailable, StudioError
from pipelines.core.geometry import Image, Size
from pipelines.core.job import Preview, ProgressCallback
from pipelines.core.params import Subject
from pipelines.core.rendering import ControlKind
from pipelines.core.tools import ToolContext
from pipelines.framing.placement import find_bounds
from pipelines.models.nets.pose_landmarks import PersonLocation

ControlId = Literal["nothing", "edges", "lines", "depth", "pose"]


@dataclass(frozen=True)
class ControlMap:
    """A kind of map: its title, the name that control models have for it, and the role of the net that makes it."""

    id: ControlId
    title: str
    kind: ControlKind
    role: str


CONTROL_MAPS: dict[ControlId, ControlMap] = {
    "edges": ControlMap("edges", "Edges", "edges", "map-edges"),
    "lines": ControlMap("lines", "Soft lines", "soft-edges", "map-lines"),
    "depth": ControlMap("depth", "Depth", "depth", "map-depth"),
    "pose": ControlMap("pose", "Pose", "pose", "map-pose"),
}
CONTROL_LABELS = {"nothing": "Nothing but the photo", **{key: row.title for key, row in CONTROL_MAPS.items()}}


def make_control_map(
    context: ToolContext, subject: Subject, size: Size, control: ControlMap, emit: ProgressCallback
) -> Image:
    """Make and preview the map of `subject.photo`, H x W x 3. Raises `no_subject` (pose), `ModelUnavailable`."""
    photo = context.open_image(subject.photo)
    location = PersonLocation((0, 0, photo.shape[1], photo.shape[0]))
    if control.id == "pose":
        location = _locate_person(context, subject, location, emit)

    def annotate() -> Image:
        try:
            with context.borrow_model(context.spec_for_role(control.role)) as net:
                drawn = net.draw_map(photo, location)
        except ModelUnavailable as error:
            raise ModelUnavailable(f"'{control.title}' cannot be followed: {error.message}", param="follow") from error
        return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)

    key = ("map", control.id, subject.photo, subject.matte, subject.pick, size)
    control_map = context.memoize(key, annotate)
    emit("What the drawing follows", 1, 1, control_map)
    return control_map


def _locate_person(
    context: ToolContext, subject: Subject, whole_photo: PersonLocation, emit: ProgressCallback
) -> PersonLocation:
    """Locate the person by cut-out and face; where nothing can be cut out, anywhere in the photo."""
    faces = context.detect_faces(subject.photo)
    face = faces[min(subject.pick, len(faces) - 1)] if faces else None
    try:
        alpha = context.cut_out_subject(subject, _without_previews(emit)).alpha
    except StudioError as error:
        if error.code != "no_subject":
            raise
        return replace(whole_photo, face=face)
    return PersonLocation(find_bounds(alpha), face)


def _without_previews(emit: ProgressCallback) -> ProgressCallback:
    """Report steps without previews: they are limited per second, and the map itself must be seen."""

    def emit_step(stage: str, index: int, total: int, preview: Preview = None) -> None:
        emit(stage, index, total)

    return emit_step
