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
from pipelines.core.job import Emit, Preview
from pipelines.core.params import Subject
from pipelines.core.rendering import ControlKind
from pipelines.core.tools import Studio
from pipelines.framing.placement import bounds
from pipelines.models.nets.pose_landmarks import Stand

FollowId = Literal["nothing", "edges", "lines", "depth", "pose"]


@dataclass(frozen=True)
class Follow:
    """A map by what it is called, what the models of ControlNets call it, and whose spec in the job makes it."""

    id: FollowId
    title: str
    kind: ControlKind
    spec: str


FOLLOWS: tuple[Follow, ...] = (
    Follow("edges", "Edges", "edges", "map-edges"),
    Follow("lines", "Soft lines", "soft-edges", "map-lines"),
    Follow("depth", "Depth", "depth", "map-depth"),
    Follow("pose", "Pose", "pose", "map-pose"),
)
LABELS = {"nothing": "Nothing but the photo", **{row.id: row.title for row in FOLLOWS}}


def follow(follow_id: str) -> Follow:
    """The row of `FOLLOWS`."""
    return next(row for row in FOLLOWS if row.id == follow_id)


def control_map(studio: Studio, subject: Subject, size: Size, row: Follow, emit: Emit) -> Image:
    """The map of `subject.photo` at `size` (H x W x 3), shown on the way.

    Raises `no_subject` where a pose is asked for and nobody is there, `ModelUnavailable` where the net is missing.
    """
    photo = studio.open(subject.photo)
    whole = Stand((0, 0, photo.shape[1], photo.shape[0]))
    stand = _stand(studio, subject, whole, emit) if row.id == "pose" else whole
    key = ("map", row.id, subject.photo, subject.matte, subject.pick, size)
    made = studio.keep(key, lambda: _sized(_made(studio, row, photo, stand), size))
    emit("The map that the drawing follows", 1, 1, made)
    return made


def _made(studio: Studio, row: Follow, photo: Image, stand: Stand) -> Image:
    try:
        with studio.borrow(studio.serves(row.spec)) as net:
            return net.map(photo, stand)
    except ModelUnavailable as error:
        raise ModelUnavailable(f"'{row.title}' cannot be followed: {error.message}", param="follow") from error


def _stand(studio: Studio, subject: Subject, whole: Stand, emit: Emit) -> Stand:
    """By the cut-out and the face; where nothing was cut out, somewhere in the photo."""
    faces = studio.faces(subject.photo)
    face = faces[min(subject.pick, len(faces) - 1)] if faces else None
    try:
        return Stand(bounds(studio.cutout(subject, _blind(emit)).alpha), face)
    except StudioError as error:
        if error.code != "no_subject":
            raise
        return replace(whole, face=face)


def _blind(emit: Emit) -> Emit:
    """Steps without a preview: frames are thinned, and the map is what must be seen."""

    def blind(stage: str, index: int, total: int, preview: Preview = None) -> None:
        emit(stage, index, total)

    return blind


def _sized(made: Image, size: Size) -> Image:
    return np.asarray(cv2.resize(made, size, interpolation=cv2.INTER_AREA), np.uint8)
