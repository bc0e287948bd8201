"""Say no, or ask: photos from which no picture should be made, and how many people are in one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Face, Image
from pipelines.framing.placement import find_cut_sides

MIN_FACE_ALPHA = 0.6  # mean alpha inside the face's outline; whole heads have 0.97 to 1.0
MIN_EYE_DISTANCE_PX = 24  # in the photo: from less no portrait can be made
ENLARGEABLE_EYES_PX = 20  # in the photo: from here Upscale makes one that is nearly as good as the least
ENLARGE_ADVICE = "Enlarge it 2 times with Upscale and use that, or take one of {} pixels or more."
NO_ENLARGING_ADVICE = "Enlarging it does not help: take the photo from nearer, or one of {} pixels or more."
MAX_ABOVE_HEAD_RATIO = 0.75  # of the head: hats and wigs reach 0.43 above it; a print stands in the middle of its thing
MAX_BODY_HEADS = 9.0  # height of a subject over that of its head; whole people have up to 8
MIN_PHOTO_SIDE_PX = 128  # longer side: from less nothing is cut out
MAX_CHIN_TO_EYES_RATIO = 2.5  # eyes to chin over the eyes' distance; 1.2 to 1.9 from the front, more from the side
USEFUL_PHOTO_SIDE_PX = 512
FILLED_RATIO = 0.92  # of the photo, from which the subject fills it
FRONT_FACE_RATIO = 0.4  # of the largest face's eye distance: smaller ones are passers-by
MIN_SOLIDITY = 0.95  # area of a subject's outline over that of its convex hull: plates and boxes
MAX_SIDE_CONTACT_RATIO = 0.5  # of its height: a plate that both sides cut meets them along 0.4 of it, land along more
NO_FACE_MESSAGE = "No face was found. Take a photo in which the face is large enough and seen from the front."
SCENERY_MESSAGE = (
    "This looks like a view without one subject. Point at what is meant, or choose a photo of a person or a thing."
)
UNSEARCHED_SCENERY_MESSAGE = (
    "This looks like a view without one subject. If a person is in it, tick that they agreed; else point at what is "
    "meant, or choose another photo."
)
FILLED_NOTICE = "The subject fills this photo: it is taken whole. Point at what does not belong to it."
UNCLEAR_NOTICE = (
    "This cut-out is probably wrong: the studio is not sure where the subject ends. Point at what belongs to it, or "
    "draw a box around it."
)
STILL_UNCLEAR_NOTICE = (
    "Even with your marks, this cut-out is probably still wrong. Look at it; the brush, or a cut-out of your own, "
    "does the rest."
)


def check_photo_size(photo: Image) -> None:
    """Raise `BadInput` for a photo that is too small to cut anything out of."""
    height, width = photo.shape[:2]
    if max(width, height) < MIN_PHOTO_SIDE_PX:
        raise BadInput(
            f"The photo is {width} x {height} pixels: too small. Take one of {USEFUL_PHOTO_SIDE_PX} pixels or more.",
            param="photo",
        )


def check_face(face: Face, photo: Image) -> None:
    """Raise `BadInput` (`no_face`) for a face that the photo cuts or shows too small or from the side."""
    height, width = photo.shape[:2]
    points = face.left_eye, face.right_eye, face.chin
    if not all(0 <= x < width and 0 <= y < height for x, y in points):
        raise _refuse_face(
            "The photo cuts this face: its eyes and chin must be in the picture. Take one that shows the whole head."
        )
    eyes = face.eye_distance
    if eyes >= MIN_EYE_DISTANCE_PX:
        return
    if float(np.hypot(*np.subtract(face.chin, face.eye_midpoint))) > MAX_CHIN_TO_EYES_RATIO * eyes:
        raise _refuse_face("The face is seen from the side. Take a photo in which it is seen from the front.")
    useful_px = -(-round(max(width, height) * MIN_EYE_DISTANCE_PX / max(eyes, 1.0)) // 100) * 100
    is_nearly = eyes >= ENLARGEABLE_EYES_PX
    advice = ENLARGE_ADVICE if is_nearly else NO_ENLARGING_ADVICE
    raise _refuse_face(
        f"The face is too small: {eyes:.0f} pixels between the eyes, and {MIN_EYE_DISTANCE_PX} are needed. "
        + advice.format(useful_px),
        "" if is_nearly else "upscale",
    )


def _refuse_face(sentence: str, useless_tool: str = "") -> BadInput:
    return BadInput(sentence, code="no_face", param="photo", useless_tool=useless_tool)


def is_face_missing(alpha: Alpha, face: Face) -> bool:
    """Say whether the head is not in its own cut-out (`alpha`, H x W)."""
    outline = np.zeros(alpha.shape, np.uint8)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.rint(face.landmarks).astype(np.int32)), 1)
    inside = alpha[outline > 0]
    return bool(len(inside) and float(inside.mean()) < MIN_FACE_ALPHA)


def bears_face(alpha: Alpha, face: Face) -> bool:
    """Say whether the subject (`alpha`, H x W) is a thing that shows the face, such as a printed box, and no person.

    It goes on above the head, or is taller than a body of that head.
    """
    left, top, right, bottom = face.box
    columns = alpha[:, max(0, round(left)) : max(1, round(right))] > 0.5
    middle = slice(max(0, round(top)), max(1, round(bottom)))
    if not columns[middle].size or not columns[middle].mean() > 0.5:
        return False
    above = float((columns[: max(0, round(top))].mean(axis=1) > 0.5).sum())
    tall = np.flatnonzero((alpha > 0.5).any(axis=1))
    height = bottom - top
    return above > MAX_ABOVE_HEAD_RATIO * height or float(np.ptp(tall)) > MAX_BODY_HEADS * height


def check_scenery(alpha: Alpha, faces: Sequence[Face], *, has_searched_faces: bool = True) -> None:
    """Raise `BadInput` (`no_subject`) for a cut-out from border to border, as of a landscape, without a person."""
    if not faces and is_scenery(alpha):
        message = SCENERY_MESSAGE if has_searched_faces else UNSEARCHED_SCENERY_MESSAGE
        raise BadInput(message, code="no_subject", param="photo")


def is_scenery(alpha: Alpha) -> bool:
    """Say whether what stands out (H x W) goes from border to border, as land does, and is no plate from near."""
    sides = find_cut_sides(alpha)
    is_view = {"left", "right"} <= {*sides} and not fills_photo(alpha)
    return is_view and ("bottom" in sides or not _is_convex_thing(alpha))


def _is_convex_thing(alpha: Alpha) -> bool:
    """Say whether the subject is one convex shape of which the photo's sides cut little, such as a plate from near."""
    mask = (alpha > 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = max(outlines, key=cv2.contourArea)
    height = cv2.boundingRect(outline)[3]
    is_convex = cv2.contourArea(outline) > MIN_SOLIDITY * cv2.contourArea(cv2.convexHull(outline))
    return is_convex and max(int(mask[:, 0].sum()), int(mask[:, -1].sum())) < MAX_SIDE_CONTACT_RATIO * height


def fills_photo(alpha: Alpha) -> bool:
    """Say whether the subject takes nearly all of the photo."""
    return float((alpha > 0.5).mean()) > FILLED_RATIO


def find_front_people(faces: Sequence[Face]) -> tuple[Face, ...]:
    """Return the faces (largest first) that are no passers-by."""
    return tuple(face for face in faces if face.eye_distance >= FRONT_FACE_RATIO * faces[0].eye_distance)


def count_people(faces: Sequence[Face], pick: int, *, together: bool = False) -> tuple[str, ...]:
    """Return the notice that says how many people there are and who is taken; none for one person."""
    if together and len(front := find_front_people(faces)) > 1:
        return (f"{len(front)} people; they are kept together. Point at one that does not belong, or choose one.",)
    if len(faces) < 2:
        return ()
    who = "the front one is taken" if pick == 0 else f"number {pick + 1} by size is taken"
    return (f"{len(faces)} people; {who}. Choose another, or keep all by pointing at them.",)
