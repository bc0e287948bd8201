from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Face, Image
from pipelines.matting.hair import refine_hair_alpha

FACE_AT = (200.0, 210.0)


def _make_face(wide: float = 60) -> Face:
    turn = np.linspace(0, 2 * np.pi, 468, dtype=np.float32)
    points = np.stack([FACE_AT[0] + wide * np.cos(turn), FACE_AT[1] + wide * np.sin(turn)], axis=1).astype(np.float32)
    box = FACE_AT[0] - 100, FACE_AT[1] - 130, FACE_AT[0] + 100, FACE_AT[1] + 110
    return Face(points, box, (180.0, 190.0), (220.0, 190.0), (200.0, 280.0), 0.0, 1.0)


def _make_head(wall: tuple[int, int, int], rough: float) -> tuple[Image, Alpha]:
    """A head of dark hair whose edge is notched, before a wall; and its true alpha."""
    y, x = np.mgrid[0:400, 0:400].astype(np.float32)
    turn = np.arctan2(y - FACE_AT[1], x - FACE_AT[0])
    edge = 112 + 3 * np.sign(np.sin(24 * turn))
    truth = np.clip(edge - np.hypot(x - FACE_AT[0], y - FACE_AT[1]) + 0.5, 0, 1)
    random = np.random.default_rng(1)
    ground = np.array(wall, np.float32) + rough * cv2.resize(random.standard_normal((100, 100, 3)), (400, 400))
    hair = np.array((50, 36, 28), np.float32) + random.normal(0, 2, (400, 400, 3))
    photo = truth[..., None] * hair + (1 - truth[..., None]) * ground
    return np.clip(photo, 0, 255).astype(np.uint8), truth.astype(np.float32)


def _net_alpha(shape: tuple[int, int]) -> Alpha:
    """One round patch that covers every notch."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return np.clip(115.5 - np.hypot(x - FACE_AT[0], y - FACE_AT[1]), 0, 1).astype(np.float32)


def test_gaps_between_locks_before_a_plain_wall_are_background() -> None:
    photo, truth = _make_head((214, 216, 220), 0.5)
    seen = _net_alpha((400, 400))
    refined = refine_hair_alpha(photo, seen, _make_face())
    assert np.abs(refined - truth).sum() < 0.35 * np.abs(seen - truth).sum()


def test_before_a_patterned_wall_the_nets_alpha_stays() -> None:
    seen = _net_alpha((400, 400))
    plain, patterned = (
        np.abs(refine_hair_alpha(_make_head(wall, rough)[0], seen, _make_face()) - seen).sum()
        for wall, rough in (((214, 216, 220), 0.5), ((150, 120, 140), 60.0))
    )
    assert patterned < 0.1 * plain  # only the outline's own steps are evened


def test_the_face_never_becomes_background() -> None:
    photo, _ = _make_head((214, 216, 220), 0.5)
    seen = _net_alpha((400, 400))
    refined_at_face = refine_hair_alpha(photo, seen, _make_face(114))  # the same notches, but where the face ends
    assert (
        np.abs(refined_at_face - seen)[seen == 1].mean()
        < 0.3 * np.abs(refine_hair_alpha(photo, seen, _make_face()) - seen)[seen == 1].mean()
    )


def _head_with_single_hair(rough: float) -> tuple[Image, Alpha]:
    """The head with one fine hair that stands off it to the upper right; and the alpha of that hair."""
    photo, truth = _make_head((214, 216, 220), rough)
    canvas = np.zeros((1600, 1600), np.uint8)
    cv2.line(canvas, (1152, 552), (1180, 512), 255, 3)
    hair = 0.8 * np.asarray(cv2.resize(canvas, (400, 400), interpolation=cv2.INTER_AREA), np.float32) / 255
    lone = hair * (truth < 0.02)
    mixed = photo * (1 - lone[..., None]) + lone[..., None] * np.array((50, 36, 28))
    return np.clip(mixed, 0, 255).astype(np.uint8), lone.astype(np.float32)


def test_a_single_hair_beside_the_head_is_kept_before_a_plain_wall() -> None:
    photo, lone = _head_with_single_hair(0.5)
    seen = _net_alpha((400, 400))
    there = lone > 0.25
    assert there.sum() > 10
    found = refine_hair_alpha(photo, seen, _make_face())
    assert float(found[there].mean()) > 0.5 * float(lone[there].mean())
    beside = (cv2.dilate((lone > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0) & (seen == 0)
    assert float(found[beside].mean()) < 0.001
