"""The cut-out: the right subject, whole, in its own colours, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Face, Image
from pipelines.matting.border_cleanup import remove_border_strays
from pipelines.matting.boundary_refinement import KNOWN_ALPHA_MARGIN, refine_boundary
from pipelines.matting.cutout import _refine_alpha, _refine_head, core_mask, core_share, cut_out_subject
from pipelines.matting.edge_colors import OPAQUE_ALPHA, match_edge_softness, refine_edge_alpha
from pipelines.matting.foreground_estimation import estimate_foreground, suppress_colour_spill
from pipelines.matting.subject_selection import remove_specks_and_holes, select_subject, soft_patch_notices
from pipelines.models import nets
from pipelines.models.nets.face_mesh import FaceMesh
from pipelines.models.nets.u2net import U2Net
from tests.bench.pictures import matte_error as bench
from tests.support.examples import make_blob

EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"
NAMES = ("astronaut", "hopper", "coffee", "chelsea")


def example(name: str) -> Image:
    return np.asarray(Pillow.open(EXAMPLES / f"{name}.jpg").convert("RGB"))


def make_discs(*places: tuple[int, int, int], side: int = 512) -> Image:
    """Red discs (x, y, radius) on a grey ground with grain."""
    large = np.full((side * 4, side * 4, 3), 200, np.uint8)
    for x, y, radius in places:
        cv2.circle(large, (x * 4, y * 4), radius * 4, (200, 40, 30), -1)
    photo = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(0).normal(0, 2, photo.shape)
    return np.clip(photo + grain, 0, 255).astype(np.uint8)


def disc_alpha(side: int, radius: float, soft: float = 1.0) -> Alpha:
    y, x = np.indices((side, side), np.float32) - (side - 1) / 2
    return np.clip((radius - np.hypot(x, y)) / soft + 0.5, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> Iterator[U2Net]:
    loaded = nets.load(nets.U2NETP, "cpu")
    assert isinstance(loaded, U2Net)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def mesh() -> Iterator[FaceMesh]:
    loaded = nets.load(nets.FACE_MESH, "cpu")
    assert isinstance(loaded, FaceMesh)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def cuts(net: U2Net, mesh: FaceMesh) -> dict[str, Cutout]:
    return {name: cut_out_subject(example(name), net, faces=mesh.find_faces(example(name))) for name in NAMES}


# ---------------------------------------------------------------- the examples


@pytest.mark.parametrize("name", NAMES)
def test_colour_is_the_photos_own_wherever_the_subject_is_opaque(cuts: dict[str, Cutout], name: str) -> None:
    opaque = cuts[name].alpha >= OPAQUE_ALPHA
    assert opaque.mean() > 0.2
    assert np.array_equal(cuts[name].colour[opaque], example(name)[opaque])


@pytest.mark.parametrize("name", NAMES)
def test_the_core_is_most_of_the_subject(cuts: dict[str, Cutout], name: str) -> None:
    assert core_share(cuts[name].alpha) >= 0.8


@pytest.mark.parametrize("name", ["astronaut", "hopper", "coffee"])
def test_the_subject_is_one_piece_without_holes(cuts: dict[str, Cutout], name: str) -> None:
    alpha = cuts[name].alpha
    assert cv2.connectedComponents((alpha > 0.1).astype(np.uint8))[0] == 2
    _, labels = cv2.connectedComponents((alpha < 0.5).astype(np.uint8), connectivity=4)
    border = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    assert set(np.unique(labels)) <= {0, *np.unique(border)}


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        (
            "astronaut",
            [(225, 60), (60, 420), (490, 430), (380, 480), (250, 500), (30, 460), (500, 490)],
            [(60, 60), (440, 100), (15, 250), (3, 425), (8, 440), (14, 475), (20, 495)],
        ),
        (
            "hopper",
            [(260, 35), (200, 70), (40, 560), (490, 560), (250, 450), (160, 130)],
            [(40, 100), (470, 100), (40, 340), (168, 54), (167, 60), (168, 64)],
        ),
        ("chelsea", [(200, 150), (120, 280), (60, 270), (260, 290)], [(10, 60), (430, 30), (430, 280)]),
        ("coffee", [(410, 85), (90, 200), (280, 370), (220, 270)], [(20, 20), (560, 300), (40, 350)]),
    ],
)
def test_the_subjects_parts_stay_and_the_background_is_removed(
    cuts: dict[str, Cutout], name: str, inside: list[tuple[int, int]], outside: list[tuple[int, int]]
) -> None:
    alpha = cuts[name].alpha
    assert [float(alpha[y, x]) for x, y in inside] == [1.0] * len(inside)
    assert [float(alpha[y, x]) for x, y in outside] == [0.0] * len(outside)


def test_the_ring_around_a_neck_is_whole(cuts: dict[str, Cutout]) -> None:
    """Grey between black cloth and a pale wall, beside which the net sees next to nothing of it."""
    ring = [(258, 178), (262, 180), (268, 186), (276, 196)]
    assert min(float(cuts["astronaut"].alpha[y, x]) for x, y in ring) > 0.75


def test_no_sliver_of_the_flag_is_left_at_a_neck(cuts: dict[str, Cutout]) -> None:
    red = [(199, 303), (200, 306), (200, 307), (200, 308)]
    assert max(float(cuts["hopper"].alpha[y, x]) for x, y in red) < 0.35


def test_a_first_alpha_is_reported_before_the_head_is_refined(mesh: FaceMesh, net: U2Net) -> None:
    photo, told = example("astronaut"), []

    class Watched:
        def predict_alpha(self, image: Image) -> Alpha:
            told.append("look")
            return net.predict_alpha(image)

    def seen(alpha: Alpha) -> None:
        told.append("seen")
        assert alpha.shape == photo.shape[:2]
        assert alpha[100, 225] == 1
        assert alpha[60, 400] == 0

    cut_out_subject(photo, Watched(), faces=mesh.find_faces(photo), on_first_alpha=seen)
    assert told == ["look", "seen", "look"]
    cut_out_subject(photo, Watched(), matte=np.full((8, 8), 255, np.uint8), on_first_alpha=seen)
    assert len(told) == 3


def test_same_photo_same_cutout(net: U2Net, cuts: dict[str, Cutout]) -> None:
    again = cut_out_subject(example("coffee"), net)
    assert np.array_equal(again.alpha, cuts["coffee"].alpha)
    assert np.array_equal(again.colour, cuts["coffee"].colour)


def test_a_sample_of_the_bench_is_near_the_exact_truth(net: U2Net) -> None:
    scores = [bench.score_composite(composite, net) for composite in islice(bench.make_composites(), 8, 12)]
    assert np.mean([score.mae for score in scores]) <= 0.006
    assert sum(score.edge for score in scores) <= 0.8 * sum(score.plain for score in scores)
    assert np.mean([score.colour for score in scores]) <= 4


def test_a_hard_edge_rises_within_four_pixels(net: U2Net) -> None:
    alpha = cut_out_subject(make_discs((512, 512, 300), side=1024), net).alpha
    row = alpha[512, :512]
    assert np.count_nonzero((row > 0.1) & (row < 0.9)) <= 4


# ---------------------------------------------------------------- which subject


def test_a_photo_in_which_nothing_stands_out_has_no_subject(net: U2Net) -> None:
    with pytest.raises(BadInput, match="Nothing stands out") as caught:
        cut_out_subject(np.full((300, 400, 3), 90, np.uint8), net)
    assert caught.value.code == "no_subject"


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (300, 8)])
def test_the_tiniest_photo_raises_a_readable_error(net: U2Net, size: tuple[int, int]) -> None:
    with pytest.raises(BadInput):
        cut_out_subject(np.zeros((*size, 3), np.uint8), net)


def test_pick_goes_by_size_and_drops_the_others(net: U2Net) -> None:
    photo = make_discs((150, 256, 90), (390, 256, 60))
    large, small = cut_out_subject(photo, net).alpha, cut_out_subject(photo, net, pick=1).alpha
    assert large[256, 150] == 1
    assert not large[:, 330:].any()
    assert small[256, 390] == 1
    assert not small[:, :240].any()


def test_an_unknown_subject_number_raises_a_readable_error(net: U2Net) -> None:
    with pytest.raises(BadInput, match="one subject") as caught:
        cut_out_subject(make_discs((256, 256, 100)), net, pick=3)
    assert caught.value.param == "pick"


def test_pick_chooses_the_face(net: U2Net, mesh: FaceMesh) -> None:
    photo = np.full((512, 1100, 3), 170, np.uint8)
    photo[:, :440] = example("hopper")[:512, 36:476]
    photo[112:, 700:] = cv2.resize(example("astronaut"), (400, 400), interpolation=cv2.INTER_AREA)
    faces = mesh.find_faces(photo)
    assert len(faces) == 2
    for pick, face in enumerate(faces):
        alpha = cut_out_subject(photo, net, pick=pick, faces=faces).alpha
        other = faces[1 - pick]
        assert alpha[int(face.eye_midpoint[1]), int(face.eye_midpoint[0])] == 1
        assert alpha[int(other.eye_midpoint[1]), int(other.eye_midpoint[0])] == 0
    with pytest.raises(BadInput, match="2 faces"):
        cut_out_subject(photo, net, pick=2, faces=faces)


# ---------------------------------------------------------------- the user's own matte


@pytest.mark.parametrize("kind", ["bytes", "floats", "grey picture", "rgba", "small"])
def test_the_users_matte_replaces_the_nets(net: U2Net, kind: str) -> None:
    photo = example("coffee")
    left = np.zeros(photo.shape[:2], np.uint8)
    left[:, :300] = 255
    given = {
        "bytes": left,
        "floats": (left / 255).astype(np.float32),
        "grey picture": np.dstack([left] * 3),
        "rgba": np.dstack([left * 0] * 3 + [left]),
        "small": cv2.resize(left, (300, 200), interpolation=cv2.INTER_AREA),
    }[kind]
    cut = cut_out_subject(photo, net, matte=given)
    assert cut.alpha[:, :298].min() == 1
    assert cut.alpha[:, 302:].max() == 0
    assert np.array_equal(cut.colour[:, :298], photo[:, :298])


def test_an_empty_matte_is_no_subject(net: U2Net) -> None:
    with pytest.raises(BadInput) as caught:
        cut_out_subject(example("coffee"), net, matte=np.zeros((400, 600), np.uint8))
    assert caught.value.code == "no_subject"


# ---------------------------------------------------------------- the parts of it


def test_the_subjects_colour_is_estimated_under_a_soft_edge() -> None:
    alpha = disc_alpha(300, 90, soft=12)
    ground = np.array((40, 90, 200)) + np.linspace(-30, 30, 300)[:, None, None]
    own = np.array((220, 150, 60)) + np.linspace(-30, 30, 300)[None, :, None]
    mixed = (own * alpha[..., None] + ground * (1 - alpha[..., None]) + 0.5).astype(np.uint8)
    error = np.abs(estimate_foreground(mixed, alpha).astype(float) - own)
    assert error[(alpha > 0.1) & (alpha < 1)].mean() < 4
    assert np.array_equal(estimate_foreground(mixed, alpha)[alpha == 1], mixed[alpha == 1])


def test_background_hue_that_bled_into_the_edge_is_removed() -> None:
    photo, alpha = disc_before((14, 14, 16), np.full((400, 400, 3), (80, 120, 190), np.uint8))
    half = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb), (200, 200), interpolation=cv2.INTER_AREA)
    hues = cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb)
    hues[..., 1:] = cv2.resize(half, (400, 400), interpolation=cv2.INTER_LINEAR)[..., 1:]
    bled = np.asarray(cv2.cvtColor(hues, cv2.COLOR_YCrCb2RGB), np.uint8)
    blue = bled[..., 2].astype(int) - bled[..., 0]
    assert blue[alpha > 0.99].max() > 15
    mended = suppress_colour_spill(bled, alpha)
    left = estimate_foreground(bled, mended)[mended > 0.5].astype(int)
    assert (left[:, 2] - left[:, 0]).max() < 12
    assert np.array_equal(mended[core_mask(alpha)], alpha[core_mask(alpha)])
    assert np.array_equal(suppress_colour_spill(photo, alpha), alpha)


def make_stripes(side: int = 400) -> Image:
    """Red and white bands across, as a flag behind, with grain."""
    rows = np.arange(side)[:, None] // 50 % 2
    photo = np.where(rows[..., None], (150, 20, 30), (225, 222, 218)) + np.zeros((side, side, 3))
    return np.clip(photo + np.random.default_rng(0).normal(0, 2, photo.shape), 0, 255).astype(np.uint8)


def disc_before(colour: tuple[int, int, int], behind: Image, radius: float = 120) -> tuple[Image, Alpha]:
    """A disc of one colour before `behind`, and its alpha."""
    alpha = disc_alpha(len(behind), radius)
    mixed = np.array(colour) * alpha[..., None] + behind * (1 - alpha[..., None])
    return mixed.astype(np.uint8), alpha


def test_a_wide_uncertain_patch_joins_the_side_of_its_colour() -> None:
    photo, alpha = disc_before((60, 120, 70), make_stripes())
    doubted = alpha.copy()
    doubted[60:76, 190:210] = 0.4  # ground above the disc
    doubted[150:190, 190:210] = 0.4  # within it
    known = refine_boundary(photo, doubted)
    assert known.alpha[62:74, 192:208].max() < KNOWN_ALPHA_MARGIN
    assert known.alpha[152:188, 192:208].min() > 1 - KNOWN_ALPHA_MARGIN
    assert known.uncertainty[65, 200] == 1


def test_a_pale_patch_does_not_become_the_subjects_by_its_colour() -> None:
    photo, alpha = disc_before((10, 10, 10), np.full((400, 400, 3), 200, np.uint8))
    photo[55:75, 185:215] = 10
    alpha[55:75, 185:215] = 0.05
    assert refine_boundary(photo, alpha).alpha[57:73, 187:213].max() <= KNOWN_ALPHA_MARGIN
    alpha[55:75, 185:215] = 0.4
    assert refine_boundary(photo, alpha).alpha[57:73, 187:213].min() > 0.9


def test_haze_and_pale_specks_are_removed() -> None:
    alpha = disc_alpha(400, 120)
    expected = alpha.copy()
    alpha[20:40, 20:40] = 0.2
    alpha[360:362, 200:203] = 0.6
    assert np.array_equal(remove_specks_and_holes(alpha), expected)


def test_a_narrow_uncertain_band_of_background_colour_is_removed() -> None:
    photo, alpha = disc_before((60, 120, 70), make_stripes())
    doubted = alpha.copy()
    doubted[40:78, 199:202] = 0.5
    known = refine_boundary(photo, doubted)
    assert known.alpha[42:76, 198:203].max() < KNOWN_ALPHA_MARGIN
    assert not known.uncertainty.any()
    assert float(np.abs(known.alpha - alpha).mean()) < 0.003


def make_ring(thin: float) -> tuple[Image, Alpha, Alpha]:
    """Something black in a ring before a pale wall: photo, truth, and a net that half sees the ring's upper part.

    That part is `thin` pixels wide; the lower one is wider.
    """
    ring = (112, 106, 128)
    photo, black = disc_before((12, 12, 14), np.full((400, 400, 3), (205, 195, 190), np.uint8), radius=120)
    wide = (np.indices(black.shape)[0] > 150) & (disc_alpha(400, 95) < 0.5)
    photo = np.where(wide[..., None] & (black[..., None] > 0.5), np.array(ring), photo)
    truth = disc_alpha(400, 120 + thin)
    band = np.clip(truth - black, 0, 1)
    photo = photo * (1 - band[..., None]) + band[..., None] * np.array(ring)
    photo = photo * truth[..., None] + (1 - truth[..., None]) * (205, 195, 190)
    photo += np.random.default_rng(0).normal(0, 2, photo.shape)
    lost = np.clip((170 - np.arange(400)) / 40, 0, 1)[:, None]
    return np.clip(photo, 0, 255).astype(np.uint8), truth, (truth - 0.7 * band * lost).astype(np.float32)


def test_a_half_transparent_ring_that_continues_the_subject_becomes_whole() -> None:
    photo, truth, half = make_ring(3)
    found = _refine_alpha(photo, half, None)
    assert float(half[truth > 0.99].min()) < 0.35
    assert float(found[truth > 0.99].min()) > 0.8
    assert float(np.abs(found - truth).mean()) < 0.0015


def test_a_sliver_of_background_is_removed() -> None:
    photo, truth = disc_before((190, 130, 90), make_stripes())
    sliver = disc_alpha(400, 126) > 0.5
    sliver &= (truth < 0.02) & (np.indices(truth.shape)[0] < 150)  # beside the upper left and right
    taken = np.where(sliver, np.float32(0.85), truth)
    assert refine_boundary(photo, taken).alpha[sliver].mean() < 0.05
    assert float(np.abs(refine_boundary(photo, taken).alpha - truth).mean()) < 0.003


def test_a_third_colour_is_no_mixture() -> None:
    photo, alpha = disc_before((60, 60, 60), np.full((400, 400, 3), 200, np.uint8))
    photo[70:85, 195:206] = (130, 200, 20)
    alpha[70:85, 195:206] = 0.2
    unsure = (alpha > KNOWN_ALPHA_MARGIN) & (alpha < 1 - KNOWN_ALPHA_MARGIN)
    inside = (slice(72, 83), slice(197, 204))
    assert refine_edge_alpha(photo, alpha, unsure)[inside].min() > 0.3
    assert refine_edge_alpha(photo, alpha, unsure, np.ones_like(alpha))[inside].max() < 0.25


@pytest.mark.parametrize("turn", [0, 2, 3])
def test_a_piece_of_background_at_the_border_is_removed(turn: int) -> None:
    photo, alpha = disc_before((60, 120, 70), make_stripes(), 165)
    alpha[200:250, :40] = 1  # a red band that goes on to the disc
    photo, alpha = np.rot90(photo, turn).copy(), np.rot90(alpha, turn).copy()
    cleaned = np.rot90(remove_border_strays(photo, alpha), -turn)
    assert cleaned[205:245, :30].max() == 0
    assert cleaned[200:250, 45:300].min() == 1


def test_an_arm_at_the_border_stays() -> None:
    photo, alpha = disc_before((60, 120, 70), make_stripes(), 165)
    photo[205:245, :45] = photo[205:245, 150:195]
    alpha[205:245, :45] = 1
    assert np.array_equal(remove_border_strays(photo, alpha), alpha)


def test_a_body_at_the_bottom_border_stays() -> None:
    photo, alpha = disc_before((60, 120, 70), np.rot90(make_stripes()).copy(), 165)
    alpha[360:, 200:250] = 1
    assert np.array_equal(remove_border_strays(photo, alpha), alpha)


def width_of(alpha: Alpha) -> int:
    """Pixels over which the middle row of a disc rises from 10 to 90 % at its left."""
    row = alpha[alpha.shape[0] // 2, : alpha.shape[1] // 2]
    return int(((row > 0.1) & (row < 0.9)).sum())


def test_an_edge_out_of_focus_stays_soft_and_a_sharp_one_hard() -> None:
    photo, alpha = make_discs((256, 256, 150)), disc_alpha(512, 150)
    assert np.array_equal(match_edge_softness(photo, alpha), alpha)
    blurred = np.asarray(cv2.GaussianBlur(photo, (0, 0), 6), np.uint8)
    soft = match_edge_softness(blurred, alpha)
    assert width_of(alpha) <= 2
    assert 7 <= width_of(soft) <= 18
    assert soft.sum() < alpha.sum()
    assert (soft[170:340, 170:340] == 1).all()


class UnsureOfShouldersNet:
    """A net that half sees shoulders which the photo cuts, and sees them where they go on."""

    def predict_alpha(self, image: Image) -> Alpha:
        seen = np.zeros(image.shape[:2], np.float32)
        # What is drawn on keeps the shoulders' own red; a photo that ends with them does not go on so long.
        goes_on = image.shape[0] > 400
        seen[(image[..., 0] > 150) & (image[..., 1] < 100)] = 1.0 if goes_on else 0.5
        seen[(image[..., 0] > 150) & (image[..., 1] >= 100)] = 1.0
        return seen


def test_a_thin_ring_in_focus_is_not_softened() -> None:
    photo, truth, _ = make_ring(4)
    assert float(np.abs(match_edge_softness(photo, truth) - truth).max()) < 0.3


def test_shoulders_cut_by_the_photo_are_part_of_the_subject() -> None:
    photo = np.full((400, 300, 3), (60, 90, 120), np.uint8)
    cv2.ellipse(photo, (150, 180), (80, 110), 0, 0, 360, (220, 170, 150), -1)
    photo[330:, 20:280] = (200, 40, 30)
    cv2.rectangle(photo, (120, 270), (180, 335), (220, 170, 150), -1)
    middle = (150.0, 180.0)
    face = Face(np.zeros((468, 2), np.float32), (70.0, 70.0, 230.0, 290.0), middle, middle, middle, 0.0, 1.0)
    assert cut_out_subject(photo, UnsureOfShouldersNet(), faces=(face,)).alpha[360:, 40:260].min() > 0.9


def test_specks_and_pinholes_are_removed_and_a_handle_stays() -> None:
    alpha = disc_alpha(400, 150)
    alpha[disc_alpha(400, 60) > 0.5] = 0
    expected = alpha.copy()
    alpha[20:23, 20:23] = 1
    alpha[100:102, 200:202] = 0.3
    assert np.array_equal(remove_specks_and_holes(alpha), expected)
    whole = select_subject(alpha, 0, None)
    assert whole[200, 200] == 0
    assert whole[21, 21] == 0
    assert whole[101, 201] == 1


def test_a_wide_half_transparent_patch_is_hardened_and_soft_hair_is_not() -> None:
    alpha = disc_alpha(400, 120)
    alpha[195:205, 0:90] = 0.4
    assert select_subject(alpha, 0, None)[200, 70] == 0
    face = Face(np.zeros((468, 2), np.float32), (30, 0, 180, 400), (60, 200), (90, 200), (75, 245), 0, 1)
    assert select_subject(alpha, 0, face)[200, 70] > 0.2


def test_a_half_transparent_patch_is_reported_with_its_place_unless_it_is_hair() -> None:
    alpha = disc_alpha(400, 150)
    assert soft_patch_notices(alpha, []) == ()
    alpha[60:100, 160:240] = 0.5
    (notice,) = soft_patch_notices(alpha, [])
    assert notice.startswith("Check this edge")
    assert "at the top" in notice
    assert soft_patch_notices(alpha, [(140, 40, 260, 180)]) == ()


def test_the_core_lies_two_pixels_inside() -> None:
    alpha = np.zeros((20, 20), np.float32)
    alpha[5:15, 5:20] = 1
    core = core_mask(alpha)
    assert core[7:13, 7:20].all()
    assert core.sum() == 6 * 13
    assert core_share(np.zeros((4, 4), np.float32)) == 0


def test_refining_the_head_removes_no_arm_that_the_whole_photo_showed() -> None:
    class Blind:
        def predict_alpha(self, image: Image) -> Alpha:
            return np.zeros(image.shape[:2], np.float32)

    whole = make_blob(400, 400, (200, 200), (60, 90))
    whole[150:200] = 1  # arms to both sides
    seen = _refine_head(np.zeros((400, 400, 3), np.uint8), Blind(), whole, (80, 60, 320, 340))
    assert seen[170:180].min() > 0.95
    assert seen[200, 200] > 0.95
