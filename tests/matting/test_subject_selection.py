"""What floats beside a subject: scraps of the ground go, what belongs to it stays."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.core.geometry import Alpha, Face, Window
from pipelines.matting.subject_selection import remove_scraps, restore_clipped_heads

HEAD = Face(np.zeros((478, 2), np.float32), (200, 100, 400, 400), (260, 220), (340, 220), (300, 340), 0.0, 1.0)
EARRING, SPECK, CUP = (433, 300, 445, 340), (500, 100, 510, 110), (460, 420, 500, 470)
FAR_SPECK = (30, 760, 40, 770)


def draw_portrait() -> Alpha:
    alpha = np.zeros((800, 700), np.float32)
    cv2.ellipse(alpha, (300, 230), (130, 180), 0, 0, 360, 1.0, -1)
    cv2.rectangle(alpha, (100, 480), (500, 799), 1.0, -1)
    cv2.rectangle(alpha, (250, 380), (350, 500), 1.0, -1)
    for left, top, right, bottom in (EARRING, SPECK, CUP, FAR_SPECK):
        alpha[top:bottom, left:right] = 1
    return alpha


def is_there(alpha: Alpha, box: Window) -> bool:
    left, top, right, bottom = box
    return bool(alpha[top:bottom, left:right].any())


def test_a_speck_that_floats_beside_the_head_goes_and_an_earring_and_a_cup_stay() -> None:
    portrait = draw_portrait()
    alpha = remove_scraps(portrait, [HEAD])
    assert not is_there(alpha, SPECK)
    assert all(is_there(alpha, box) for box in (EARRING, CUP, FAR_SPECK))
    # Of the size of a speck, but at the hair.
    touching = portrait.copy()
    touching[225:235, 434:444] = 1
    assert is_there(remove_scraps(touching, [HEAD]), (434, 225, 444, 235))
    assert (remove_scraps(portrait, []) == portrait).all()


def test_what_the_window_cuts_is_no_scrap() -> None:
    portrait = draw_portrait()
    portrait[10:20, 560:700] = 1  # from the photo's edge, most of it beyond the window around the head
    portrait[150:160, 690:700] = 1
    alpha = remove_scraps(portrait, [HEAD])
    assert is_there(alpha, (690, 150, 700, 160))
    assert is_there(alpha, (560, 10, 700, 20))


def test_a_head_that_colours_have_bitten_gets_its_outline_back_and_loose_hair_stays_loose() -> None:
    seen = draw_portrait()
    bitten, thinned = seen.copy(), seen.copy()
    cv2.circle(bitten, (400, 110), 40, 0.0, -1)  # of the skull
    assert is_there(np.asarray(seen - bitten), (370, 80, 430, 140))
    assert (restore_clipped_heads(bitten, seen, [HEAD]) == seen).all()
    thinned[60:70, 290:310] = 0  # a gap in the hair
    assert (restore_clipped_heads(thinned, seen, [HEAD]) == thinned).all()
    assert (restore_clipped_heads(bitten, seen, []) == bitten).all()
    # Nothing below the chin: hands and collars are no heads.
    bitten = seen.copy()
    bitten[420:600, 300:400] = 0
    assert (restore_clipped_heads(bitten, seen, [HEAD]) == bitten).all()
