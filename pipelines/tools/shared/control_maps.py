"""What a drawing follows of a photo: edges, lines, depth or a pose, as a map to be looked at first; draws nothing.

Which net reads a pose is settled when the job is made, like every model.
"""

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
    """A map by what it is called, what the models of ControlNets call it, and whose spec in the job makes it."""

    id: ControlId
    title: str
    kind: ControlKind
    spec: str


CONTROL_MAPS: tuple[ControlMap, ...] = (
    ControlMap("edges", "Edges", "edges", "map-edges"),
    ControlMap("lines", "Soft lines", "soft-edges", "map-lines"),
    ControlMap("depth", "Depth", "depth", "map-depth"),
    ControlMap("pose", "Pose", "pose", "map-pose"),
)
CONTROL_LABELS = {"nothing": "Nothing but the photo", **{row.id: row.title for row in CONTROL_MAPS}}


def find_control(follow_id: str) -> ControlMap:
    """The row of `FOLLOWS`."""
    return next(row for row in CONTROL_MAPS if row.id == follow_id)


def make_control_map(
    context: ToolContext, subject: Subject, size: Size, row: ControlMap, emit: ProgressCallback
) -> Image:
    """The map of `subject.photo` at `size` (H x W x 3), shown on the way.

    Raises `no_subject` where a pose is asked for and nobody is there, `ModelUnavailable` where the net is missing.
    """
    photo = context.open_image(subject.photo)
    whole = PersonLocation((0, 0, photo.shape[1], photo.shape[0]))
    stand = _locate_subject(context, subject, whole, emit) if row.id == "pose" else whole
    key = ("map", row.id, subject.photo, subject.matte, subject.pick, size)
    made = context.memoize(key, lambda: _sized(_annotate(context, row, photo, stand), size))
    emit("The map that the drawing follows", 1, 1, made)
    return made


def _annotate(context: ToolContext, row: ControlMap, photo: Image, stand: PersonLocation) -> Image:
    try:
        with context.borrow_model(context.spec_for_role(row.spec)) as net:
            return net.draw_map(photo, stand)
    except ModelUnavailable as error:
        raise ModelUnavailable(f"'{row.title}' cannot be followed: {error.message}", param="follow") from error


def _locate_subject(
    context: ToolContext, subject: Subject, whole: PersonLocation, emit: ProgressCallback
) -> PersonLocation:
    """By the cut-out and the face; where nothing was cut out, somewhere in the photo."""
    faces = context.detect_faces(subject.photo)
    face = faces[min(subject.pick, len(faces) - 1)] if faces else None
    try:
        return PersonLocation(find_bounds(context.cut_out_subject(subject, _without_previews(emit)).alpha), face)
    except StudioError as error:
        if error.code != "no_subject":
            raise
        return replace(whole, face=face)


def _without_previews(emit: ProgressCallback) -> ProgressCallback:
    """Steps without a preview: frames are thinned, and the map is what must be seen."""

    def blind(stage: str, index: int, total: int, preview: Preview = None) -> None:
        emit(stage, index, total)

    return blind


def _sized(made: Image, size: Size) -> Image:
    return np.asarray(cv2.resize(made, size, interpolation=cv2.INTER_AREA), np.uint8)
