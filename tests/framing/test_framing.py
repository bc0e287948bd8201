from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Cutout, Face
from pipelines.core.params import Subject
from pipelines.framing.framings import FRAMINGS, PLACE_GROUND_RATIO, get_framing, size_for_ratio
from pipelines.framing.head_framing import find_torn_matte_row, frame_head, shows_whole_figure
from pipelines.framing.placement import find_bounds, frame_photo, frame_subject
from pipelines.framing.product_placement import CENTRED_FLOOR, PRODUCT_MARGIN_RATIO, arrange_products, subject_box
from pipelines.framing.resample import place_subject, resample
from pipelines.matting.cutout import core_mask
from pipelines.matting.foreground_estimation import estimate_foreground
from tests.support.examples import make_blob, make_cutout, make_noise

HERE = Subject(photo="file-x")


def _make_face(x: float, y: float, width: float, roll: float = 0.0) -> Face:
    """A face whose eyes are at (x, y) and whose cheeks are `width` apart; chin 0.9 widths below the eyes."""
    angle = np.radians(roll)
    along = np.array([np.cos(angle), np.sin(angle)])
    down = np.array([-np.sin(angle), np.cos(angle)])
    points = np.zeros((468, 2), np.float32)
    eyes = np.array([x, y])
    points[234], points[454] = eyes - along * width / 2, eyes + along * width / 2
    points[10] = eyes - down * 0.55 * width
    left, right = eyes - along * width / 4, eyes + along * width / 4
    chin = eyes + down * 0.9 * width
    box = (x - width, y - width, x + width, y + width)
    return Face(points, box, tuple(left), tuple(right), tuple(chin), roll, 1.0)


def _make_person(size: int = 1000) -> tuple[Cutout, Face]:
    """Head 300 high (crown 150, chin 450) at the middle, shoulders down to the photo's lower border."""
    alpha = np.maximum(make_blob(size, size, (500, 300), (110, 150)), 0)
    alpha[430:, 250:750] = 1
    return make_cutout(make_noise(size, size), alpha), _make_face(500, 290, 178)


@pytest.mark.parametrize("row", FRAMINGS, ids=lambda row: row.id)
def test_heads_follow_the_table(row) -> None:
    cutout, face = _make_person()
    size = size_for_ratio(row.ratio, 1024)
    frame = frame_head(cutout, face, row, size, HERE)
    head = (450 - 150) * frame.scale / size[1]
    eyes = (frame.matrix @ np.array([*face.eye_midpoint, 1]))[1] / size[1]
    centre = (frame.matrix @ np.array([*face.eye_midpoint, 1]))[0] / size[0]
    closer = any("closer" in notice for notice in frame.notices)
    assert eyes == pytest.approx(row.eyes, abs=0.02)
    assert centre == pytest.approx(0.5, abs=0.015)
    assert head >= row.head - 0.03
    assert closer == (head > row.head * 1.02 + 0.01)
    if row.id != "wide":
        assert head == pytest.approx(row.head, abs=0.03)


def test_a_turned_head_close_by_is_not_cut_by_the_frames_side() -> None:
    alpha = make_blob(376, 300, (155, 170), (120, 145))
    alpha[340:] = 1
    frame = frame_head(
        make_cutout(make_noise(376, 300), alpha), _make_face(112, 160, 150), get_framing("classic"), (800, 1000), HERE
    )
    seen = np.flatnonzero(np.clip(resample(alpha, frame), 0, 1)[360] > 0.5)
    assert seen[0] > 0
    assert seen[-1] < 799
    assert frame.box[0] <= 0
    assert frame.box[2] >= 800


def _make_turned_person(columns: int = 1000, *, top: int = 150, face_x: float = 560) -> tuple[Cutout, Face]:
    """As `_make_person`, but the face is at the right of the head, whose crown is at `top`."""
    alpha = make_blob(1000, columns, (500, 300), (150, 300 - top))
    alpha[430:, 330:670] = 1
    return make_cutout(make_noise(1000, columns), alpha), _make_face(face_x, 290, 178)


def test_a_turned_head_gets_room_on_both_sides() -> None:
    for shift in (0, 60):  # the second would be cut by the frame, the first touches its edge
        cutout, face = _make_turned_person(face_x=560 + shift)
        frame = frame_head(cutout, face, get_framing("actor"), size_for_ratio((4, 5), 1000), HERE)
        columns = np.flatnonzero(np.clip(resample(cutout.alpha, frame), 0, 1)[350] > 0.5)
        left, right = columns[0] / 800, 1 - columns[-1] / 800
        assert min(left, right) > 0.04
        assert min(left, right) > 0.4 * max(left, right)
        assert frame.doubts == ()


def test_a_user_who_moves_a_turned_head_is_obeyed() -> None:
    cutout, face = _make_turned_person(face_x=620)
    moved = Subject(photo="x", placement_x=0.001)
    frame = frame_head(cutout, face, get_framing("actor"), size_for_ratio((4, 5), 1000), moved)
    assert (frame.matrix @ np.array([*face.eye_midpoint, 1]))[0] == pytest.approx(400.8, abs=1)


def test_a_head_that_the_photo_cuts_is_told_with_what_to_do() -> None:
    cutout, face = _make_turned_person(top=-40)
    cut = frame_head(cutout, face, get_framing("tight"), (800, 800), HERE)
    advice = "Use a photo with more room around it."
    assert cut.doubts[0] == f"The photo cuts the top of the head. {advice}"
    assert set(cut.doubts) <= set(cut.notices)
    whole = _make_turned_person()[0]
    narrow = make_cutout(whole.colour[:, 440:], np.ascontiguousarray(whole.alpha[:, 440:]))
    face = _make_face(180, 290, 178)
    beside = frame_head(narrow, face, get_framing("actor"), (800, 1000), HERE)
    assert f"The photo cuts the left of the head. {advice}" in beside.doubts
    assert frame_head(narrow, face, get_framing("actor"), (800, 1000), HERE, hide_cuts=False).doubts == ()


def test_a_head_at_the_frames_edge_is_told_with_what_to_do() -> None:
    alpha = make_blob(1000, 1000, (420, 300), (330, 200))  # a hat as wide as the frame
    frame = frame_head(
        make_cutout(make_noise(1000, 1000), alpha), _make_face(700, 290, 178), get_framing("tight"), (800, 800), HERE
    )
    assert frame.doubts == ("The head stands at the picture's left edge. Use a photo with more room around it.",)


@pytest.mark.parametrize("row", FRAMINGS, ids=lambda row: row.id)
def test_no_border_of_the_photo_shows_inside(row) -> None:
    cutout, face = _make_person()
    frame = frame_head(cutout, face, row, size_for_ratio(row.ratio, 800), HERE)
    alpha = np.clip(resample(cutout.alpha, frame), 0, 1)
    assert frame.box[3] >= frame.size[1]
    assert alpha[-1].max() > 0.99


@pytest.mark.parametrize("roll", [-7.0, -3.0, 3.0, 7.0])
def test_a_slight_lean_is_levelled(roll: float) -> None:
    cutout, _ = _make_person()
    face = _make_face(500, 290, 178, roll)
    frame = frame_head(cutout, face, get_framing("classic"), (800, 1000), HERE)
    left, right = (frame.matrix @ np.array([*eye, 1]) for eye in (face.left_eye, face.right_eye))
    assert left[1] == pytest.approx(right[1], abs=0.01)


@pytest.mark.parametrize("roll", [-7.5, 7.5])
def test_a_leaning_head_in_the_middle_of_a_wide_photo_comes_out_centred(roll: float) -> None:
    rows, columns, y = 1400, 2000, 900  # levelling turns about the photo's corner: so low, it moves by 120 px
    alpha = np.maximum(make_blob(rows, columns, (1000, y + 10), (110, 150)), 0)
    alpha[y + 140 :, 750:1250] = 1
    frame = frame_head(
        make_cutout(make_noise(rows, columns), alpha),
        _make_face(1000, y, 178, roll),
        get_framing("actor"),
        size_for_ratio((4, 5), 1000),
        HERE,
    )
    head = np.flatnonzero(np.clip(resample(alpha, frame), 0, 1)[350] > 0.5)
    assert (frame.matrix @ np.array([1000, y, 1]))[0] == pytest.approx(400, abs=1)
    assert (head[0] + head[-1]) / 2 == pytest.approx(400, abs=12)
    assert frame.doubts == ()


@pytest.mark.parametrize("roll", [0.5, 15.0])
def test_a_pose_is_left_alone(roll: float) -> None:
    cutout, _ = _make_person()
    assert frame_head(cutout, _make_face(500, 290, 178, roll), get_framing("classic"), (800, 1000), HERE).roll == 0


def test_a_small_face_and_a_large_enlargement_get_notices() -> None:
    alpha = make_blob(200, 200, (100, 60), (22, 30))
    notices = frame_head(
        make_cutout(make_noise(200, 200), alpha), _make_face(100, 58, 36), get_framing("tight"), (1024, 1024), HERE
    ).notices
    assert any("between the eyes" in notice for notice in notices)
    assert any("Enlarged" in notice for notice in notices)


@pytest.mark.parametrize("fill", [0.87, 0.82, 0.7])
def test_fill_is_the_longer_side_over_the_shorter_side(fill: float) -> None:
    frame = frame_subject(make_blob(600, 900, (400, 300), (200, 120)), (1000, 1000), fill, HERE)
    left, _, right, _ = find_bounds(np.clip(resample(make_blob(600, 900, (400, 300), (200, 120)), frame), 0, 1))
    assert (right - left) / 1000 == pytest.approx(fill, abs=0.01)


@pytest.mark.parametrize(("side", "axis", "last"), [("left", 1, 0), ("right", 1, -1), ("top", 0, 0), ("bottom", 0, -1)])
def test_a_cut_side_lies_on_the_frames_edge(side: str, axis: int, last: int) -> None:
    alpha = np.zeros((400, 400), np.float32)
    rows, columns = slice(120, 280), slice(120, 280)
    if axis == 1:
        columns = slice(0, 200) if last == 0 else slice(200, 400)
    else:
        rows = slice(0, 200) if last == 0 else slice(200, 400)
    alpha[rows, columns] = 1
    frame = frame_subject(alpha, (500, 500), 0.7, HERE)
    drawn = np.clip(resample(alpha, frame), 0, 1)
    assert np.take(drawn, last, axis=axis).max() > 0.99
    assert any(side in notice for notice in frame.notices)


CUTS = {
    "top": (slice(0, 200), slice(100, 300)),
    "bottom": (slice(200, 400), slice(100, 300)),
    "left": (slice(100, 300), slice(0, 200)),
    "right": (slice(100, 300), slice(200, 400)),
    "top left": (slice(0, 200), slice(0, 200)),
    "bottom right": (slice(200, 400), slice(200, 400)),
    "none": (slice(100, 300), slice(100, 300)),
    "left right": (slice(100, 300), slice(0, 400)),
}


def _measure_rooms(
    cut: str, size: tuple[int, int], fill: float, *, floor: float | None = None, grown: bool = True, **moved: float
) -> dict[str, float]:
    """Frame a square product that the photo cuts; the room beside it at each side, in shares of the frame."""
    alpha = np.zeros((400, 400), np.float32)
    alpha[CUTS[cut]] = 1
    params = HERE.model_copy(update=moved)
    (frame,) = arrange_products([alpha], size, fill, "centre", floor, params, fill_from_cut=grown)
    left, top, right, bottom = subject_box(alpha, frame)
    return {"left": left / size[0], "top": top / size[1], "right": 1 - right / size[0], "bottom": 1 - bottom / size[1]}


OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


@pytest.mark.parametrize("cut", ["top", "bottom", "left", "right", "top left", "bottom right"])
@pytest.mark.parametrize("floor", [None, CENTRED_FLOOR])
def test_a_side_opposite_a_cut_is_no_emptier_than_of_a_whole_product(cut: str, floor: float | None) -> None:
    size = (900, 1600) if cut in {"left", "right"} else (1600, 900)
    rooms = _measure_rooms(cut, size, 0.6, floor=floor)
    plain = _measure_rooms(cut, size, 0.6, floor=floor, grown=False)
    usual = _measure_rooms("none", size, 0.6, floor=floor)
    sides = cut.split()
    assert [rooms[side] for side in sides] == pytest.approx([0] * len(sides), abs=1e-6)
    excess = [rooms[OPPOSITE[side]] - usual[OPPOSITE[side]] for side in sides]
    assert min(excess) == pytest.approx(0, abs=1e-6)
    assert all(plain[OPPOSITE[side]] > usual[OPPOSITE[side]] + 0.1 for side in sides), "else nothing is tried here"
    assert min(room for side, room in rooms.items() if side not in sides) >= PRODUCT_MARGIN_RATIO


def test_a_product_whose_top_is_cut_stands_on_its_ground() -> None:
    assert _measure_rooms("top", (1600, 900), 0.52, floor=0.8)["bottom"] == pytest.approx(0.2)
    assert _measure_rooms("top", (1600, 900), 0.52, floor=0.8, grown=False)["bottom"] == pytest.approx(0.48)


def test_a_cut_product_that_is_as_wide_as_its_picture_keeps_a_margin_at_its_sides() -> None:
    rooms, plain = (_measure_rooms("top", (800, 1000), 0.82, grown=grown) for grown in (True, False))
    assert rooms["left"] == pytest.approx(rooms["right"])
    assert rooms["left"] == pytest.approx(PRODUCT_MARGIN_RATIO)
    assert rooms["bottom"] == pytest.approx(1 - 0.92 * 0.8)
    assert rooms["bottom"] < plain["bottom"]


@pytest.mark.parametrize("cut", ["none", "left right"])
def test_a_product_that_is_whole_or_cut_at_opposite_sides_does_not_grow(cut: str) -> None:
    rooms = _measure_rooms(cut, (1600, 900), 0.6, floor=0.84)
    assert rooms == _measure_rooms(cut, (1600, 900), 0.6, floor=0.84, grown=False)


def test_a_grown_product_is_still_scaled_and_moved_as_asked() -> None:
    grown = _measure_rooms("top", (1600, 900), 0.6)
    smaller = _measure_rooms("top", (1600, 900), 0.6, placement_scale=0.5)
    assert 1 - smaller["bottom"] == pytest.approx(0.5 * (1 - grown["bottom"]))
    moved = _measure_rooms("top", (1600, 900), 0.6, placement_x=0.1)
    assert moved["left"] - grown["left"] == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["fill", "photo", "head"])
def test_only_a_subject_moved_over_the_edge_gets_a_notice(kind: str) -> None:
    cutout, face = _make_torn_body(feet=True)

    def notices(**moved: float) -> str:
        params = Subject(photo="x", **moved)  # pyrefly: ignore[bad-argument-type]
        if kind == "fill":
            return " ".join(frame_subject(cutout.alpha, (600, 600), 0.8, params).notices)
        if kind == "photo":
            return " ".join(frame_photo(cutout.alpha, (1000, 1000), params).notices)
        return " ".join(frame_head(cutout, face, get_framing("wide"), size_for_ratio((3, 2), 900), params).notices)

    assert "Where you placed it" not in notices()
    assert "Where you placed it" not in notices(placement_x=0.01)
    assert "cuts it (left)" in notices(placement_x=-0.5)
    assert "top" in notices(placement_y=-0.5)


def test_a_figure_taller_than_the_frame_keeps_its_head() -> None:
    alpha = np.zeros((900, 400), np.float32)
    alpha[60:, 120:280], alpha[300:500] = 1, 1  # arms that the photo cuts at both sides, and no feet
    frame = frame_subject(alpha, (400, 500), 1.08, HERE, anchor="floor", floor=1.0)
    drawn = np.clip(resample(alpha, frame), 0, 1)
    left, top, right, _ = find_bounds(drawn)
    assert 0 < top < 40
    assert (left, right) == (0, 400)
    assert drawn[-1].max() > 0.9


def test_a_photo_in_its_own_frame_is_not_resampled() -> None:
    photo = make_noise(300, 400)
    alpha = make_blob(300, 400, (200, 150), (80, 90))
    frame = frame_photo(alpha, (400, 300), HERE)
    placed = place_subject(photo, make_cutout(photo, alpha), frame)
    assert frame.is_native_scale
    assert np.array_equal(placed.colour, photo)


@pytest.mark.parametrize("scale", [0.31, 0.8, 1.7])
def test_the_core_is_the_photo_after_the_one_resampling(scale: float) -> None:
    photo = make_noise(400, 400)
    alpha = make_blob(400, 400, (200, 200), (120, 150))
    estimate = photo.copy()
    estimate[alpha < 250 / 255] = (0, 255, 0)
    side = round(scale * 400)
    frame = frame_subject(alpha, (side, side), 0.75, HERE)
    placed = place_subject(photo, Cutout(estimate, alpha), frame)
    core = core_mask(placed.alpha)
    assert core.any()
    assert np.array_equal(placed.colour[core], resample(photo, frame)[core])


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    frame = frame_subject(np.ones((800, 800), np.float32), (100, 100), 0.97, HERE)
    middle = resample(stripes, frame)[20:80, 20:80].astype(float)
    assert middle.std() < 12
    assert middle.mean() == pytest.approx(127, abs=6)


# ---------------------------------------------------------------- torn bodies


def _make_torn_body(feet: bool = False) -> tuple[Cutout, Face]:
    """A body whose matte ends in rags at row 880 of 1000; with `feet` a whole small figure."""
    if feet:
        alpha = np.maximum(make_blob(1000, 1000, (500, 150), (50, 65)), 0)
        alpha[205:880, 440:560] = 1
        return make_cutout(make_noise(1000, 1000), alpha), _make_face(500, 145, 80)
    cutout, face = _make_person()
    alpha = cutout.alpha.copy()
    alpha[880:] = 0
    alpha[850:, 250:330], alpha[865:, 600:] = 0, 0
    return make_cutout(make_noise(1000, 1000), alpha), face


def test_a_torn_body_ends_where_most_of_it_is_left_and_a_whole_figure_stands() -> None:
    cutout, face = _make_torn_body()
    assert find_torn_matte_row(cutout.alpha, face) == pytest.approx(849, abs=2)
    figure, small = _make_torn_body(feet=True)
    assert find_torn_matte_row(figure.alpha, small) is None
    whole, face = _make_person()
    assert find_torn_matte_row(whole.alpha, face) is None, "the photo itself cuts it"


@pytest.mark.parametrize("kind", ["photo", "fill", "head"])
def test_no_torn_edge_of_a_body_is_inside_the_frame(kind: str) -> None:
    cutout, face = _make_torn_body()
    size, end = (1000, 1000), find_torn_matte_row(cutout.alpha, face)
    if kind == "photo":
        frame = frame_photo(cutout.alpha, size, HERE, body_end=end)
        assert frame.is_native_scale, "moved by whole pixels"
    elif kind == "fill":
        frame = frame_subject(cutout.alpha, size, 0.8, HERE, anchor="floor", floor=1.0, body_end=end)
    else:
        frame = frame_head(cutout, face, get_framing("wide"), size_for_ratio((3, 2), 1000), HERE)
    alpha = place_subject(make_noise(1000, 1000), cutout, frame).alpha
    lowest = (alpha[-1] > 0.5).sum() / max((alpha[-60:] > 0.5).sum(axis=1).max(), 1)
    assert lowest > 0.8, "the body goes on beyond the frame"


# ---------------------------------------------------------------- another shape than the photo's


@pytest.mark.parametrize("size", [(600, 900), (900, 600), (900, 506)])
def test_a_person_too_tall_for_the_frame_keeps_the_head(size: tuple[int, int]) -> None:
    alpha = np.maximum(make_blob(1000, 440, (220, 130), (60, 80)), 0)
    alpha[200:, 60:380] = 1
    photo = make_noise(1000, 440)
    placed = place_subject(photo, make_cutout(photo, alpha), frame_photo(alpha, size, HERE))
    top = find_bounds(placed.alpha)[1] / size[1]
    assert 0 <= top <= 0.12
    there = placed.frame.matrix @ np.array([220, 130, 1])
    assert 0 < there[1] < 0.6 * size[1]


@pytest.mark.parametrize("size", [(600, 400), (400, 700), (900, 300)])
@pytest.mark.parametrize("stands", [False, True])
def test_a_whole_subject_stays_whole_and_stands_on_the_ground(size: tuple[int, int], stands: bool) -> None:
    alpha = make_blob(400, 600, (300, 200), (225, 190))
    photo = make_noise(400, 600)
    placed = place_subject(photo, make_cutout(photo, alpha), frame_photo(alpha, size, HERE, stands=stands))
    left, top, right, bottom = find_bounds(placed.alpha)
    assert 0 < left < right < size[0]
    assert 0 < top < bottom < size[1]
    if stands:
        assert bottom / size[1] <= 0.945


def test_in_a_place_a_thing_comes_down_to_the_ground_by_whole_pixels() -> None:
    alpha = make_blob(400, 600, (300, 150), (120, 90))
    frame = frame_photo(alpha, (600, 400), HERE, stands=True, highest_ground=PLACE_GROUND_RATIO)
    placed = place_subject(make_noise(400, 600), make_cutout(make_noise(400, 600), alpha), frame)
    assert frame.is_native_scale
    assert PLACE_GROUND_RATIO - 0.005 <= find_bounds(placed.alpha)[3] / 400 <= 0.945
    moved = frame_photo(alpha, (600, 400), Subject(photo="x", placement_y=-0.1), stands=True, highest_ground=0.88)
    assert moved.matrix[1, 2] + 240 == pytest.approx(250, abs=1), "where the user put it, it stays"


def test_a_whole_figure_is_told_from_a_bust() -> None:
    figure, small = _make_torn_body(feet=True)
    assert shows_whole_figure(figure.alpha, small)
    beside = figure.alpha.copy()
    beside[100:140, : beside.shape[1] // 2] = 1
    assert shows_whole_figure(beside, small), "what the photo cuts at a side stands all the same"
    bust, face = _make_person()
    assert not shows_whole_figure(bust.alpha, face), "the photo cuts it"
    torn, face = _make_torn_body()
    assert not shows_whole_figure(torn.alpha, face)


def test_a_photo_in_its_own_shape_is_not_resampled_for_a_subject_that_has_room() -> None:
    alpha = make_blob(400, 600, (300, 190), (150, 120))
    assert frame_photo(alpha, (600, 400), HERE, stands=True).is_native_scale


def test_a_cut_out_keeps_every_pixel_of_a_subject_that_fills_its_photo() -> None:
    alpha = np.zeros((400, 300), np.float32)
    cv2.fillConvexPoly(alpha, np.array([[150, 0], [299, 200], [150, 399], [0, 200]]), 1.0)
    assert frame_photo(alpha, (300, 400), HERE).is_native_scale


def test_an_enlarged_edge_is_smooth_and_shows_no_old_background() -> None:
    y, x = np.mgrid[0:120, 0:120]
    alpha = (x * 0.37 + y < 75).astype(np.float32)  # decided pixel by pixel, with stairs along a slope
    photo = np.where(alpha[..., None] > 0, 40, 250).astype(np.uint8).repeat(3, axis=2)
    frame = frame_photo(alpha, (360, 360), HERE)
    placed = place_subject(photo, Cutout(estimate_foreground(photo, alpha), alpha), frame)
    inner = placed.alpha[60:-60, 60:-60]
    rises = [(column > 0.1).sum() - (column > 0.9).sum() for column in inner.T]
    assert 3 <= np.median(rises) <= 12  # one to four pixels of the photo
    line = np.array([np.interp(0.5, column[::-1], np.arange(len(column))[::-1]) for column in inner.T])
    assert np.abs(line - np.poly1d(np.polyfit(np.arange(len(line)), line, 1))(np.arange(len(line)))).max() < 1.2
    seen = placed.alpha[..., None] * placed.colour.astype(float) + (1 - placed.alpha[..., None]) * 40
    assert seen.max() < 60


def test_a_head_that_the_photo_cuts_keeps_its_cut_on_the_frames_edge() -> None:
    alpha = make_blob(500, 400, (200, 150), (120, 170))
    alpha[320:] = 1
    frame = frame_head(
        make_cutout(make_noise(500, 400), alpha), _make_face(200, 180, 150), get_framing("classic"), (800, 1000), HERE
    )
    assert frame.scale < 3.2
    assert frame.matrix[1, 2] <= 0  # the photo's first row lies on the frame's edge or outside


@pytest.mark.parametrize("side", ["left", "right"])
def test_beside_somebody_cut_at_one_side_and_below_is_no_more_room_than_usual(side: str) -> None:
    alpha = np.zeros((800, 600), np.float32)
    alpha[100:, 300:] = 1  # a body at the right edge
    alpha = alpha if side == "right" else np.ascontiguousarray(alpha[:, ::-1])

    def measure(cut: Alpha, *, grown: bool = True) -> tuple[float, float, float, float]:
        (frame,) = arrange_products([cut], (500, 500), 0.85, "centre", None, HERE, fill_from_cut=grown)
        return subject_box(cut, frame)

    left, top, right, bottom = measure(alpha)
    assert bottom >= 500
    usual = 0.85 * 500 * 300 / 700
    assert right - left == pytest.approx((500 + usual) / 2, abs=3), "with the usual room opposite"
    assert top == pytest.approx(0.04 * 500, abs=3), "the head stays"
    left, _, right, _ = measure(alpha, grown=False)
    assert right - left == pytest.approx(usual, abs=3), "a rule's or the form's fill is followed"
    tall = np.zeros((800, 600), np.float32)
    tall[20:, 500:] = 1
    left, top, right, _ = measure(tall)
    assert top > 0
    assert right - left < 0.3 * 500, "most of the body stays too"
