from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipelines.compositing.compose import composite_subject
from pipelines.compositing.light_estimation import (
    estimate_shadow_direction,
    measure_background_colour,
    with_photo_constraints,
)
from pipelines.compositing.shadows import Shadow, compute_ground_light_share, mirror_in_ground, tint_shadow
from pipelines.core.geometry import Alpha, Cutout, Frame, Image, PlacedSubject, Side, Size
from pipelines.core.params import Subject
from pipelines.core.rendering import Backdrop, SceneGround
from pipelines.framing.placement import frame_photo
from pipelines.framing.resample import place_subject
from pipelines.imaging.color import D65_MIRED, estimate_white_point, measure_lightness, to_linear, to_srgb
from pipelines.imaging.film_grain import measure_noise
from pipelines.matting.cutout import core_mask
from pipelines.matting.foreground_estimation import estimate_foreground
from tests.support.examples import load_example, make_blob, make_cutout, make_noise


def _placed_subject(level: float = 90) -> PlacedSubject:
    photo = make_noise(400, 400, level)
    alpha = make_blob(400, 400, (200, 220), (100, 130))
    return place_subject(photo, make_cutout(photo, alpha), frame_photo(alpha, (400, 400), Subject(photo="x")))


PLATE = np.full((400, 400, 3), (200, 210, 190), np.uint8)


def test_linear_light_and_back_is_the_same_byte() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(np.round(to_srgb(to_linear(every))).astype(np.uint8), every)


@pytest.mark.parametrize("shadow", [None, Shadow()])
def test_the_core_is_untouched(shadow: Shadow | None) -> None:
    placed = _placed_subject()
    core = core_mask(placed.alpha)
    assert np.array_equal(composite_subject(placed, PLATE, seed=1, shadow=shadow)[core], placed.colour[core])


def test_far_from_the_subject_the_scene_is_the_scene() -> None:
    out = composite_subject(_placed_subject(), PLATE, seed=1)
    assert np.abs(out[:40].astype(float).mean(axis=(0, 1)) - PLATE[0, 0]).max() < 1


def test_same_seed_same_picture_and_another_seed_another_grain() -> None:
    one, two, other = (composite_subject(_placed_subject(), PLATE, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_the_scene_has_the_subjects_grain() -> None:
    placed = _placed_subject()
    out = composite_subject(placed, PLATE, seed=1)
    subject, scene = measure_noise(out, core_mask(placed.alpha)), measure_noise(out, placed.alpha == 0)
    wanted = min(subject, 4.0)
    assert scene == pytest.approx(wanted, rel=0.25)


def test_a_clean_background_stays_one_value() -> None:
    white = np.full_like(PLATE, 255)
    placed = _placed_subject()
    assert (composite_subject(placed, white, seed=1, clean=True)[placed.alpha == 0] == 255).all()


def test_black_that_is_nearly_opaque_stays_black_on_white() -> None:
    white = np.full_like(PLATE, 255)
    placed = _placed_subject(12)
    placed = replace(placed, alpha=np.minimum(placed.alpha, np.float32(0.97)))
    inside = placed.alpha == placed.alpha.max()
    inside &= cv2.erode(inside.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    out = composite_subject(placed, white, seed=1, clean=True)
    assert out[inside].mean() < placed.colour[inside].mean() + 0.03 * 255 + 1


def test_a_window_wraps_light_around_the_edge_and_grey_paper_does_not() -> None:
    placed = _placed_subject(60)
    rim = (placed.alpha > 0.5) & (placed.alpha < 0.97)
    for tone, spills in ((252, True), (200, False), (5, False)):
        scene = np.full_like(PLATE, tone)
        plain = scene + placed.alpha[..., None] * (placed.colour.astype(np.float32) - scene)
        more = float(composite_subject(placed, scene, seed=1)[rim].mean() - plain[rim].mean())
        assert more > 1 if spills else abs(more) < 1


def test_contact_is_darkest_at_the_foot_and_within_craft() -> None:
    alpha = make_blob(512, 512, (256, 300), (110, 120))
    kept = compute_ground_light_share(alpha, Shadow(), "left")
    foot = 300 + 120
    under = kept[foot : foot + 4, 250:262]
    assert 0.35 <= 1 - under.max() <= 0.75
    assert kept[40, 40] == pytest.approx(1, abs=0.01)


def make_car(rise: int) -> Alpha:
    """A long body on two wheels whose right one stands `rise` pixels higher, with a coupling that stands on nothing."""
    alpha = np.zeros((256, 256), np.float32)
    alpha[90:158, 40:220] = 1
    alpha[135:145, 25:40] = 1
    alpha[150:170, 60:85] = 1
    alpha[150 : 170 - rise, 180:205] = 1
    return alpha


@pytest.mark.parametrize("rise", [0, 12])
def test_a_car_on_a_slope_touches_the_ground_with_both_wheels(rise: int) -> None:
    light = compute_ground_light_share(make_car(rise), Shadow(cast=0), "left")
    left, right = light[171, 65:80].min(), light[171 - rise, 185:200].min()
    assert right < 0.6
    assert left < 0.6
    assert light[163 - rise // 2, 130] < 0.75, "under the body it is dark too"
    assert light[147:158, 25:33].min() > 0.85, "the coupling hangs"


def test_a_car_close_by_stands_on_a_steep_line_in_the_picture() -> None:
    alpha = make_car(0)
    alpha[90:212, 60:85] = 1
    light = compute_ground_light_share(alpha, Shadow(cast=0), "left")
    assert light[213, 65:80].min() < 0.6
    assert light[171, 185:200].min() < 0.6


def test_a_leg_farther_back_has_its_own_contact_and_what_hangs_has_none() -> None:
    table = np.zeros((256, 256), np.float32)
    table[60:80, 40:216] = 1
    for left, foot in ((40, 220), (120, 200), (200, 220), (160, 170)):
        table[80:foot, left : left + 12] = 1
    light = compute_ground_light_share(table, Shadow(cast=0), "left")
    assert light[221, 42:50].min() < 0.6
    assert light[201, 122:130].min() < 0.6, "the leg farther back"
    assert light[171:176, 162:170].min() > 0.95, "what hangs"
    assert light[201, 80:100].min() > 0.95, "between legs"


def make_figure(right_foot: int = 260) -> Alpha:
    """Somebody 220 px tall whose left foot stands at row 260."""
    figure = np.zeros((300, 300), np.float32)
    figure[40:200, 120:160] = figure[40:100, 100:180] = 1
    figure[200:260, 120:134] = figure[200:right_foot, 146:160] = 1
    return figure


def test_a_bag_and_a_raised_foot_have_no_contact_and_a_foot_a_little_farther_back_has() -> None:
    bag = make_figure()
    bag[60:180, 180:185] = bag[60:65, 160:185] = bag[180:232, 170:200] = 1
    under_bag = compute_ground_light_share(bag, Shadow(cast=0), "left")
    assert under_bag[261, 124:130].min() < 0.6
    assert under_bag[233:239, 178:192].min() > 0.95, "the bag"
    raised = compute_ground_light_share(make_figure(235), Shadow(cast=0), "left")
    assert raised[236:242, 148:158].min() > 0.95, "the raised foot"
    behind = compute_ground_light_share(make_figure(252), Shadow(cast=0), "left")
    assert behind[253, 148:158].min() < 0.6, "the foot farther back"


def test_around_the_foot_light_from_everywhere_is_hidden_and_farther_away_it_is_not() -> None:
    alpha = np.zeros((256, 256), np.float32)
    alpha[100:180, 78:178] = 1  # a box 100 px wide
    light = compute_ground_light_share(alpha, Shadow(cast=0), "left")
    assert 0.7 < light[186, 128] < 0.85, "beside the contact"
    assert light[178, 184] < 0.95, "beside its corner"
    assert light[215, 128] > 0.98


def test_a_standing_figure_has_a_contact_as_wide_as_its_height_asks_for() -> None:
    def darkness(height: int) -> float:
        alpha = np.zeros((256, 256), np.float32)
        alpha[230 - height : 230, 118:138] = 1
        return float((1 - compute_ground_light_share(alpha, Shadow(cast=0), "left"))[230:].sum())

    assert darkness(200) > 2 * darkness(40)


def test_a_scrap_is_no_foot_and_throws_no_shadow() -> None:
    alpha = np.zeros((256, 256), np.float32)
    alpha[60:180, 78:178] = 1
    clean = compute_ground_light_share(alpha, Shadow(), "left")
    alpha[196:202, 100:106] = alpha[150:156, 20:26] = 1
    assert np.array_equal(compute_ground_light_share(alpha, Shadow(), "left"), clean)


def test_a_box_seen_from_a_corner_stands_on_the_whole_edge_and_a_bowl_on_its_foot() -> None:
    box, bowl = np.zeros((2, 256, 256), np.float32)
    cv2.fillPoly(box, [np.array([(60, 90), (200, 90), (200, 180), (60, 152)])], (1.0,))
    light = compute_ground_light_share(box, Shadow(cast=0), "left")
    assert light[182 - 9, 160] < 0.6
    assert light[155, 66] < 0.6, "the far end of the edge"
    cv2.ellipse(bowl, (128, 120), (70, 45), 0, 0, 360, (1.0,), -1)
    light = compute_ground_light_share(bowl, Shadow(cast=0), "left")
    assert light[166, 128] < 0.6
    assert light[145, 72] > 0.9


def test_a_subject_that_the_picture_cuts_below_has_no_ground() -> None:
    alpha = np.zeros((256, 256), np.float32)
    alpha[60:, 80:180] = 1
    assert (compute_ground_light_share(alpha, Shadow(), "left") == 1).all()


@pytest.mark.parametrize(("key", "sign"), [("left", 1), ("right", -1)])
def test_the_cast_shadow_falls_away_from_the_key(key: str, sign: int) -> None:
    alpha = make_blob(512, 512, (256, 300), (60, 120))
    dark = 1 - compute_ground_light_share(alpha, Shadow(contact=0.0), key)  # pyrefly: ignore[bad-argument-type]
    dark[alpha > 0.02] = 0
    xs = np.arange(512)
    assert sign * ((dark.sum(axis=0) * xs).sum() / dark.sum() - 256) > 5


@pytest.mark.parametrize("key", ["left", "right"])
def test_seen_from_above_the_shadow_lies_on_one_side_and_next_to_none_towards_the_key(key: Side) -> None:
    dark = 1 - compute_ground_light_share(make_blob(512, 512, (256, 256), (120, 120)), Shadow(drop=0.15), key)
    sides = dark[256, 256 - 124], dark[256, 256 + 124]
    lit, shaded = sides if key == "left" else sides[::-1]
    assert lit < 0.03
    assert shaded > 0.5
    below = dark[256 + 122 : 256 + 200, 256]
    assert below[4] > 2 * below[16] > 0.05
    assert dark[20, 20] == pytest.approx(0, abs=0.01)


def test_seen_from_above_it_is_darkest_right_under_the_edge() -> None:
    dark = 1 - compute_ground_light_share(make_blob(512, 512, (256, 256), (160, 160)), Shadow(drop=0.15), "left")
    below = dark[256 + 160 : 256 + 200, 256]
    assert below[2] > 0.55
    assert below[2] > below[12] + 0.1 > below[30] + 0.1


def test_a_red_thing_reddens_the_ground_right_beside_it_and_white_that_must_stay_white_not() -> None:
    alpha = make_blob(512, 512, (256, 256), (120, 120))
    red = np.full((512, 512, 3), (200, 30, 20), np.uint8)
    placed = PlacedSubject(red, alpha, Frame(np.eye(2, 3), (512, 512), 1.0, 0.0, True, (0, 0, 512, 512)))
    scene = np.full((512, 512, 3), 140, np.uint8)
    for clean in (False, True):
        made = composite_subject(placed, scene, seed=1, shadow=Shadow(), clean=clean).astype(int)
        beside, far = (made[246:266, at].mean(axis=(0, 1)) for at in (np.s_[118:134], np.s_[4:40]))
        assert abs(far[0] - far[1]) < 1
        assert (beside[0] - beside[1] > 1.5) == (not clean)


def test_what_a_white_thing_reflects_leaves_its_contact_dark() -> None:
    alpha = np.zeros((256, 256), np.float32)
    alpha[60:180, 78:178] = 1
    scene = np.full((256, 256, 3), 140, np.uint8)
    contact = []
    for level in (10, 245):
        colour = np.full((256, 256, 3), level, np.uint8)
        placed = PlacedSubject(colour, alpha, Frame(np.eye(2, 3), (256, 256), 1.0, 0.0, True, (0, 0, 256, 256)))
        made = composite_subject(placed, scene, seed=1, shadow=Shadow(cast=0))
        contact.append(float(to_linear(made[180:182, 100:156]).mean()))
    assert contact[0] < contact[1] < 1.25 * contact[0]


def test_relit_changes_the_core_and_exact_does_not() -> None:
    placed = _placed_subject()
    black = np.full_like(PLATE, 8)
    core = core_mask(placed.alpha)
    exact, relit = (composite_subject(placed, black, seed=1, relit=is_relit)[core] for is_relit in (False, True))
    assert (exact == placed.colour[core]).all()
    assert measure_lightness(relit).mean() < measure_lightness(exact).mean() - 0.3


@pytest.mark.parametrize("degrees", [0, 60, 90, 135, 250])
@pytest.mark.parametrize("dirt", [0.0, 0.15])
def test_shadow_direction_is_estimated_from_the_ground_beside_it(degrees: float, dirt: float) -> None:
    right, down = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    alpha = make_blob(400, 500, (250, 200), (100, 80))
    ground = np.full((400, 500, 3), 180, np.float32)
    ground[:, :120] *= 1 - dirt  # a darker board of the table
    ground *= 1 - 0.7 * make_blob(400, 500, (round(250 + 16 * right), round(200 + 16 * down)), (100, 80))[..., None]
    photo = np.where(alpha[..., None] > 0.5, 90, ground).astype(np.uint8)
    found = estimate_shadow_direction(photo, alpha)
    assert found is not None
    dark = float(np.hypot(*found))
    assert dark == pytest.approx(0.92, abs=0.06)  # 180 x 0.3 of 180, in linear light
    assert (found[0] * right + found[1] * down) / dark > np.cos(np.radians(25))


def test_without_shadow_or_ground_there_is_no_shadow_direction() -> None:
    alpha = make_blob(400, 500, (250, 200), (100, 80))
    plain = np.full((400, 500, 3), 180, np.uint8)
    even = np.where(make_blob(400, 500, (250, 200), (112, 92))[..., None] > 0.5, 60, plain).astype(
        np.uint8
    )  # all round
    for photo, subject in ((plain, alpha), (even, alpha), (plain, np.ones_like(alpha)), (plain, np.zeros_like(alpha))):
        assert estimate_shadow_direction(photo, subject) is None


def test_seen_from_above_the_shadow_keeps_the_photos_direction() -> None:
    alpha = make_blob(512, 512, (256, 256), (120, 120))
    for right, down in ((0.0, 1.0), (-1.0, 0.0), (0.6, -0.8)):
        dark = 1 - compute_ground_light_share(alpha, Shadow(contact=0.0, drop=0.15, toward=(right, down)), "left")
        dark[alpha > 0.02] = 0
        y, x = np.indices(dark.shape) - 256
        centre = (dark * x).sum() / dark.sum(), (dark * y).sum() / dark.sum()
        assert (centre[0] * right + centre[1] * down) / np.hypot(*centre) > 0.95


def test_a_photo_of_one_flower_moves_the_white_point_less() -> None:
    flower = np.full((64, 64, 3), (230, 120, 40), np.uint8)
    beside = flower.copy()
    beside[:, :8] = (220, 205, 190)
    assert D65_MIRED < estimate_white_point(flower) < estimate_white_point(beside)


def test_white_china_shows_the_lamps_white_point() -> None:
    photo = np.full((200, 200, 3), (120, 60, 30), np.uint8)
    alpha = np.zeros((200, 200), np.float32)
    alpha[60:140, 60:140] = 1
    for cream in ((240, 214, 184), (240, 228, 214)):
        photo[60:140, 60:140] = cream
        assert estimate_white_point(photo, alpha) > estimate_white_point(photo) + 5
    assert estimate_white_point(photo, alpha) < 185


def test_the_background_colour_is_measured_beside_the_subject() -> None:
    photo = np.full((200, 200, 3), (120, 60, 30), np.uint8)
    alpha = make_blob(200, 200, (100, 100), (50, 50))
    photo[alpha > 0.01] = (250, 250, 250)
    assert measure_background_colour(photo, place_unmoved(photo, alpha)) == (120, 60, 30)
    assert measure_background_colour(photo, place_unmoved(photo, np.ones_like(alpha))) is None


def place_unmoved(photo: Image, alpha: Alpha, size: Size = (200, 200), *, has_background: bool = True) -> PlacedSubject:
    """Place a subject without resampling at the upper left of a frame of `size`."""
    frame = Frame(np.array([[1, 0, 0], [0, 1, 0]], np.float64), size, 1.0, 0.0, True, (0, 0, 200, 200))
    return place_subject(photo, Cutout(photo, alpha, has_background=has_background), frame)


def test_what_is_not_the_photo_is_not_measured_as_its_background() -> None:
    photo = np.full((200, 200, 3), (120, 60, 30), np.uint8)
    alpha = np.zeros((200, 200), np.float32)
    alpha[20:, 20:] = 1  # most of the frame around it shows no photo
    assert measure_background_colour(photo, place_unmoved(photo, alpha, (230, 230))) == (120, 60, 30)
    own = place_unmoved(photo, alpha, (230, 230), has_background=False)
    assert measure_background_colour(photo, own) is None, "an upload with its own transparency"


def test_the_background_colour_is_the_photos_where_the_matte_has_faint_traces() -> None:
    photo = np.full((200, 200, 3), (120, 60, 30), np.uint8)
    alpha = np.maximum(make_blob(200, 200, (100, 100), (50, 50)), np.float32(0.01))
    photo[alpha > 0.02] = (250, 250, 250)
    cutout = Cutout(estimate_foreground(photo, alpha), alpha)
    assert cutout.colour[100, 30].min() > 200, "the cut-out has the subject's own colour there"
    placed = place_subject(photo, cutout, frame_photo(alpha, (200, 200), Subject(photo="x")))
    assert with_photo_constraints(Backdrop(), photo, placed).original_background == (120, 60, 30)


def test_white_point_follows_the_light() -> None:
    photo = load_example("coffee").astype(float)
    warm, cool = (np.clip(photo * gain, 0, 255).astype(np.uint8) for gain in ((1, 0.85, 0.65), (0.75, 0.9, 1)))
    assert estimate_white_point(warm) > estimate_white_point(cool) + 10


MARBLE_GROUND = SceneGround((-0.6, 0.3, 0.74), 6.0, (0.2, 0.25, 0.35), 0.15, 14.0)


@pytest.mark.parametrize(("right", "side"), [(-0.6, 1), (0.6, -1)])
def test_the_key_light_of_a_set_casts_the_shadow_to_its_other_side(right, side):
    alpha = make_blob(512, 512, (256, 300), (60, 120))
    ground = replace(MARBLE_GROUND, key=(right, 0.3, 0.74))
    dark = 1 - compute_ground_light_share(alpha, Shadow(contact=0.0, ground=ground), "none")
    dark[alpha > 0.01] = 0
    left, beside = float(dark[:, :196].sum()), float(dark[:, 316:].sum())
    assert (beside - left) * side > 0
    assert dark.max() <= 1 - np.mean(ground.ambient) + 1e-3


def test_a_larger_lamp_makes_a_softer_shadow():
    alpha = make_blob(512, 512, (256, 300), (60, 120))
    steep = []
    for diameter in (2.0, 40.0):
        light = compute_ground_light_share(
            alpha, Shadow(contact=0.0, ground=replace(MARBLE_GROUND, diameter=diameter)), "none"
        )
        light[alpha > 0.01] = 1
        steep.append(float(np.abs(np.diff(light[430:, 330:], axis=1)).max()))
    assert steep[1] < 0.6 * steep[0]


def test_a_shadow_in_the_sun_takes_the_colour_of_the_sky():
    tinted = tint_shadow(MARBLE_GROUND, np.full((4, 4), 0.4, np.float32))[0, 0]
    assert tinted[2] > tinted[1] > tinted[0]
    assert tinted.mean() == pytest.approx(0.4, abs=0.01)


def test_polished_ground_mirrors_the_subject_and_leaves_its_core_alone():
    placed = _placed_subject()
    dull, polished = (
        composite_subject(placed, PLATE, seed=1, shadow=Shadow(ground=replace(MARBLE_GROUND, reflection=share)))
        for share in (0.0, 0.2)
    )
    core = core_mask(placed.alpha)
    assert np.array_equal(polished[core], placed.colour[core])
    _, share = mirror_in_ground(placed, replace(MARBLE_GROUND, reflection=0.2))
    base = int(np.flatnonzero((placed.alpha > 0.5).any(axis=1))[-1])
    assert 0.05 < share.max() <= 0.2
    assert share[base + 2 :].max() > 0.05
    assert share[: base // 2].max() == 0
    assert np.abs(polished.astype(int) - dull)[base + 2 :].max() > 1
