"""Every format in its own size; nothing that must stay whole is cut; words and logo can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Colour, Face, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.rendering import RenderedImages, RenderRequest, ToolOutput
from pipelines.framing.crop import (
    CropFocus,
    ProtectedArea,
    build_crop,
    crop_image,
    crop_notices,
    find_crop_window,
    find_protected_area,
    project_area,
)
from pipelines.framing.social_layout import Layout, LayoutRequest, plan_layout
from pipelines.framing.words_on_photo import (
    LETTER_SIZES,
    MIN_LETTERS_RATIO,
    PhotoView,
    TextHeight,
    compute_equal_square_side,
    view_photo,
)
from pipelines.imaging.fonts import FONT_FOLDER
from pipelines.imaging.text import (
    BLACK_INK,
    MIN_TEXT_CONTRAST,
    WHITE_INK,
    WORST_SHARE,
    PixelBox,
    contrast_ratio,
    draw_layer,
    draw_logo,
    draw_scrim_and_choose_ink,
    draw_text,
    fit_headline,
    fit_text,
    list_line_breaks,
    shade_and_choose_ink,
    worst_contrast,
)
from pipelines.quality.softness import ENLARGED_BEFORE_NOTICE
from pipelines.tools import social_kit
from tests.support.examples import Recorder, make_noise
from tests.support.fake_context import FakeContext


@pytest.mark.parametrize("shape", [(400, 600), (600, 400), (500, 500)])
@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.0, 1.9, 4.0])
def test_a_crop_holds_all_that_must_stay_whole_or_there_is_none(shape: tuple[int, int], ratio: float) -> None:
    rng = np.random.default_rng(round(ratio * 10))
    for _ in range(40):
        x, y = np.sort(rng.uniform(0, shape[1], 2)), np.sort(rng.uniform(0, shape[0], 2))
        keep = ProtectedArea(x[0], y[0], x[1], y[1], has_face=bool(rng.integers(2)))
        box = find_crop_window(shape, keep, ratio, offset=rng.uniform(-0.3, 0.3))
        if box is None:
            width = min(shape[1], int(shape[0] * ratio))
            assert keep.width > width or keep.height > min(shape[0], round(width / ratio))
            continue
        left, top, right, bottom = box
        assert 0 <= left < right <= shape[1]
        assert 0 <= top < bottom <= shape[0]
        assert (right - left) / (bottom - top) == pytest.approx(ratio, rel=0.02)
        assert left <= keep.left + 1
        assert top <= keep.top + 1
        assert right >= keep.right - 1
        assert bottom >= keep.bottom - 1


def test_what_is_kept_moves_with_its_crop() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[40:60, 90:110] = 255
    box = find_crop_window(image.shape, ProtectedArea(90, 40, 110, 60), 1.0)
    assert box is not None
    out = crop_image(image, box, (300, 300))
    keep = project_area(ProtectedArea(90, 40, 110, 60), box, (300, 300))
    assert out[int(keep.top) + 3 : int(keep.bottom) - 3, int(keep.left) + 3 : int(keep.right) - 3].min() > 200


BY_HAND = [(0.5, 0.5, 1.0), (0.3, 0.6, 2.0), (0.9, 0.1, 1.5), (0.02, 1.0, 4.0)]


@pytest.mark.parametrize("shape", [(400, 600), (600, 400), (1500, 1000)])
@pytest.mark.parametrize(("x", "y", "zoom"), BY_HAND)
def test_the_focus_is_in_the_middle_of_every_format_as_far_as_the_photo_goes(
    shape: tuple[int, int], x: float, y: float, zoom: float
) -> None:
    keep = find_protected_area(shape, (make_face(90, 90, 30),), None)
    for row in social_kit.FORMATS.values():
        ratio = row.size[0] / row.size[1]
        left, top, right, bottom = find_crop_window(shape, keep, ratio, focus=CropFocus(x, y, zoom)) or (0, 0, 0, 0)
        assert (right - left) / (bottom - top) == pytest.approx(ratio, rel=0.06)
        for focus, first, last, side in ((x, left, right, shape[1]), (y, top, bottom, shape[0])):
            half = (last - first) / 2
            assert (first + last) / 2 == pytest.approx(np.clip(focus * side, half, side - half), abs=1)


@pytest.mark.parametrize("zoom", [1.5, 2.0, 3.0])
def test_a_zoom_makes_the_window_so_many_times_smaller_and_keeps_a_face_whole_while_it_fits(zoom: float) -> None:
    shape, keep = (1200, 1800), find_protected_area((1200, 1800), (make_face(1500, 200, 60),), None)
    for ratio in (0.8, 1.0, 16 / 9):
        large, small = (
            find_crop_window(shape, keep, ratio),
            find_crop_window(shape, keep, ratio, focus=CropFocus(zoom=zoom)),
        )
        assert large is not None
        assert small is not None
        assert (large[2] - large[0]) / (small[2] - small[0]) == pytest.approx(zoom, rel=0.01)
        assert (large[3] - large[1]) / (small[3] - small[1]) == pytest.approx(zoom, rel=0.01)
        assert build_crop(shape, keep, small, (0, 0, 100, 100), (100, 100)).visible_ratio == 1
        middle = (small[1] + small[3]) / 2
        assert small[0] <= 1440
        assert small[2] >= 1560
        assert middle == pytest.approx(max(200 + 0.08 * (small[3] - small[1]), (small[3] - small[1]) / 2), abs=1)


def test_a_crop_says_how_much_of_what_is_cut_most_it_shows() -> None:
    keep = find_protected_area((400, 600), (make_face(100, 100, 50), make_face(500, 100, 50)), None)
    both, half, one = (0, 0, 600, 200), (0, 0, 500, 200), (0, 0, 300, 200)
    assert [build_crop((400, 600), keep, box, (0, 0, 9, 9), (9, 9)).visible_ratio for box in (both, half, one)] == [
        1,
        pytest.approx(0.5, abs=0.02),
        0,
    ]
    assert crop_notices(keep, {"A": both, "B": half, "C": one}) == [
        "Your crop cuts a face: B.",
        "Your crop leaves out a face: C.",
    ]
    landscape = find_protected_area((400, 600), (), None)
    assert build_crop((400, 600), landscape, one, (0, 0, 9, 9), (9, 9)).visible_ratio is None
    assert crop_notices(landscape, {"C": one}) == []


# ---------------------------------------------------------------- words


def test_contrast_is_wcags() -> None:
    assert contrast_ratio((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast_ratio((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("level", range(0, 256, 17))
def test_there_is_a_legible_ink_for_every_colour(level: int) -> None:
    for ground in ((level, level, level), (level, 90, 200), (255 - level, level, 30)):
        sheet = np.full((30, 40, 3), ground, np.uint8)
        assert contrast_ratio(shade_and_choose_ink(sheet, PixelBox(5, 5, 20, 10)), ground) >= MIN_TEXT_CONTRAST
        assert (sheet == ground).all(), "a plain colour needs no shade"


@pytest.mark.parametrize("seed", range(6))
def test_words_on_any_picture_reach_the_contrast_and_shade_only_where_it_is_needed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.asarray(rng.integers(0, 256, (12, 16, 3), np.uint8).repeat(20, axis=0).repeat(20, axis=1))
    before, box = image.copy(), PixelBox(60, 150, 200, 60)
    ink = shade_and_choose_ink(image, box)
    assert worst_contrast(ink, box.view(image)) >= MIN_TEXT_CONTRAST
    assert (image[:60] == before[:60]).all()
    plain = np.full((100, 100, 3), 20, np.uint8)
    shade_and_choose_ink(plain, PixelBox(10, 10, 50, 20))
    assert (plain == 20).all(), "black needs no shade under white words"


@pytest.mark.parametrize(
    "text", ["Hello", "One two three four five six seven eight nine ten", "Größe, façade, Привет, Ωμέγα"]
)
def test_words_stay_in_their_box(text: str) -> None:
    made = fit_text(text, 220, 120, 80)
    assert made.width <= 220
    assert made.height <= 120
    image, box = np.zeros((200, 300, 3), np.uint8), PixelBox(40, 30, 220, 120)
    draw_text(image, made, box, (255, 255, 255), "centre")
    outside = image.copy()
    box.view(outside)[...] = 0
    assert image.any()
    assert not outside.any()


def test_the_font_comes_with_its_licence() -> None:
    assert "SIL Open Font License" in (FONT_FOLDER / "LICENSE").read_text("utf-8")


def test_a_logo_lies_in_its_box_with_its_transparency_and_on_a_plate_where_it_would_vanish() -> None:
    layer = np.zeros((20, 40, 4), np.uint8)
    layer[5:15, 5:35] = (10, 10, 10, 255)
    light, dark, box = (
        np.full((80, 120, 3), 250, np.uint8),
        np.full((80, 120, 3), 12, np.uint8),
        PixelBox(30, 20, 40, 20),
    )
    draw_layer(light, layer, box)
    assert (light[box.y, box.x] == 250).all()
    assert light[30, 50, 0] < 20
    draw_logo(dark, layer, box)
    assert dark[box.y, box.x, 0] == 255


# ---------------------------------------------------------------- the tool


def make_face(x: float, y: float, half: float) -> Face:
    box = x - half, y - half, x + half, y + half
    turns = np.linspace(0, 2 * np.pi, 468)
    outline = np.stack([x + half * np.cos(turns), y + half * np.sin(turns)], axis=1).astype(np.float32)
    return Face(outline, box, (x - 5, y), (x + 5, y), (x, y), 0.0, 1.0)


class DiscNet:
    """A net that sees the sticker's disc where the model drew no transparency."""

    def predict_alpha(self, image: Image) -> Alpha:
        return np.asarray(cv2.circle(np.full(image.shape[:2], 0.1, np.float32), (256, 256), 200, 0.9, -1), np.float32)


class SquareNet:
    """A net that sees the red square."""

    def predict_alpha(self, image: Image) -> Alpha:
        return (image[..., 0] > 200).astype(np.float32)


class KitContext(FakeContext):
    """A photo with a red square as its face or product, a blue logo, and a model that draws green stickers."""

    def __init__(self, *, head: bool, at: tuple[int, int] = (400, 130), half: int = 60) -> None:
        image, alpha = make_noise(400, 600, 90, 20), np.zeros((400, 600), np.float32)
        x, y = at
        square = np.s_[y - half : y + half, x - half : x + half]
        image[square], alpha[square] = (255, 0, 0), 1
        super().__init__(image, alpha, (make_face(x, y, half),) if head else ())
        self.draws_alpha = True
        self.net: DiscNet | SquareNet = DiscNet()

    def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
        self.renders.append(render)
        disc = np.asarray(cv2.circle(np.zeros((512, 512), np.float32), (256, 256), 200, 1, -1), np.float32)
        green = np.full((512, 512, 3), (0, 200, 0), np.uint8)
        return RenderedImages((green,), alphas=(disc,) if self.draws_alpha else ())

    def spec_for_role(self, role: str) -> str:
        return "mini" if role == "text" and self.draws_alpha else role

    @contextmanager
    def borrow_model(self, spec_id: str) -> Iterator[DiscNet | SquareNet]:
        yield self.net

    def open_image_with_alpha(self, file_id: str) -> Image:
        return np.full((40, 80, 4), (0, 0, 255, 255), np.uint8)


def shrink_formats(patch: pytest.MonkeyPatch, factor: int) -> None:
    """Give every format its shape with so many times smaller sides: enough for what a test says in ratios."""
    small = {
        name: replace(row, size=(row.size[0] // factor, row.size[1] // factor))
        for name, row in social_kit.FORMATS.items()
    }
    patch.setattr(social_kit, "FORMATS", small)


@pytest.fixture
def halved_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at a subject's edge."""
    shrink_formats(monkeypatch, 2)


@pytest.fixture
def small_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all other tests."""
    shrink_formats(monkeypatch, 3)


def make_kit(context: FakeContext, **values: Any) -> ToolOutput:
    return social_kit.run(social_kit.Kit(photo="x", **values), context, Recorder())


def red_pixels(image: Image) -> np.ndarray:
    return (image[..., 0] > 225) & (image[..., 1] < 60) & (image[..., 2] < 60)


@pytest.mark.parametrize("headline", ["", "A few good words"])
@pytest.mark.parametrize(
    "context",
    [KitContext(head=True), KitContext(head=False), KitContext(head=False, at=(300, 200), half=170)],
    ids=["face", "product", "large"],
)
def test_all_formats_come_in_their_sizes_and_cut_nothing(
    context: FakeContext, headline: str, request: pytest.FixtureRequest
) -> None:
    if headline or not context.faces:  # in their own sizes once
        request.getfixturevalue("halved_formats")
    draft = make_kit(context, headline=headline)
    assert [(i.shape[1], i.shape[0]) for i in draft.images] == [row.size for row in social_kit.FORMATS.values()]
    for image, name in zip(draft.images, social_kit.FORMATS, strict=True):
        red = red_pixels(image)
        ys, xs = np.nonzero(red)
        assert np.ptp(xs) == pytest.approx(np.ptp(ys), rel=0.03), f"{name}: the square is whole"
        covered = red[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].mean()
        assert covered > 0.98, f"{name}: nothing lies on it"


@pytest.mark.parametrize(("y", "is_thing"), [(230, True), (75, False)])
@pytest.mark.usefixtures("small_formats")
def test_a_thing_with_a_face_on_it_stays_whole_and_a_body_may_be_cut(y: int, is_thing: bool) -> None:
    context = KitContext(head=False, at=(300, 200), half=170)
    context.faces = (make_face(300, y, 45),)
    context.net = SquareNet()
    red = {name: red_pixels(image) for name, image in zip(social_kit.FORMATS, make_kit(context).images, strict=True)}
    ratios = {name: np.ptp(np.nonzero(seen)[1]) / np.ptp(np.nonzero(seen)[0]) for name, seen in red.items()}
    cut = {name for name, ratio in ratios.items() if abs(ratio - 1) > 0.03}
    assert bool(cut) is not is_thing


@pytest.mark.usefixtures("small_formats")
def test_a_product_beside_somebodys_face_stays_whole() -> None:
    context = KitContext(head=False, at=(350, 200), half=170)
    context.faces = (make_face(60, 60, 30),)
    context.net = SquareNet()
    for image in make_kit(context).images:
        rows, columns = np.nonzero(red_pixels(image))
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), rel=0.03)


@pytest.mark.parametrize("chosen", [{"keep": [[0.5, 0.6]]}, {"box": [0.2, 0.05, 0.8, 0.95]}, {"matte": "m"}])
@pytest.mark.usefixtures("small_formats")
def test_a_body_that_was_chosen_stays_whole(chosen: dict[str, Any]) -> None:
    context = KitContext(head=False, at=(300, 200), half=170)
    context.faces = (make_face(300, 75, 45),)
    context.net = SquareNet()
    for image in make_kit(context, **chosen).images:
        rows, columns = np.nonzero(red_pixels(image))
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), rel=0.03)


@pytest.mark.usefixtures("small_formats")
def test_words_and_logo_are_in_the_picture_or_the_notices_say_why() -> None:
    context = KitContext(head=True)
    bare, full = make_kit(context), make_kit(context, headline="Spring sale", logo="l", colour="#204060")
    for before, after, (_, row) in zip(bare.images, full.images, social_kit.FORMATS.items(), strict=True):
        assert (before != after).any()
        blue = (after[..., 2] > 200) & (after[..., 0] < 60) & (after[..., 1] < 60)
        assert blue.any() or any(re.match(re.escape(row.title), notice) for notice in full.notices)


@pytest.mark.parametrize("layout", ["over", "beside"])
@pytest.mark.parametrize("letters", ["bold", "regular"])
def test_the_headline_has_the_colour_and_font_that_were_chosen_and_can_be_read(layout: str, letters: str) -> None:
    inks = {"white": (255, 255, 255), "black": (0, 0, 0), "brand": (32, 64, 200)}
    for colour, ink in inks.items():
        values = {"headline": "A few good words", "preset": "post", "colour": "#2040c8", "layout": layout}
        made = make_kit(KitContext(head=True), headline_colour=colour, headline_font=letters, **values)
        assert (made.crops[0].words_contrast or 0) >= 4.5
        drawn = cv2.inRange(made.images[0], np.array(ink) - 2.0, np.array(ink) + 2.0).mean() / 255
        assert drawn > 0.005, "of the picture are letters of that colour"


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("layout", ["auto", "over", "beside"])
@pytest.mark.usefixtures("small_formats")
def test_the_headline_stands_at_the_height_that_was_chosen(
    head: bool, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    monkeypatch.setattr(
        social_kit, "draw_text", lambda image, _, box, *rest: drawn.append((box.y + box.height / 2) / len(image))
    )
    values = {"headline": "Spring sale", "formats": "Instagram, Pinterest, Facebook", "layout": layout}
    for place, first, last in (("top", 0, 0.4), ("middle", 0.35, 0.65), ("bottom", 0.6, 1)):
        drawn.clear()
        made = make_kit(tall_context(head=head), headline_place=place, **values)
        assert len(drawn) == len(made.images) == 4
        assert all(first <= at <= last for at in drawn), f"{place}: {drawn}"
    drawn.clear()
    values["headline"] = "Summer sale now on in every one of our shops until Sunday"
    make_kit(tall_context(head=head), headline_place="middle", **values)
    assert all(0.35 <= at <= 0.65 for at in drawn), f"a long one in the middle: {drawn}"


@pytest.mark.parametrize("layout", ["over", "beside", "below"])
@pytest.mark.usefixtures("small_formats")
def test_the_headline_is_aligned_as_chosen_in_its_place(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float, str]] = []

    def note_place(image: Image, _: object, box: PixelBox, __: object, align: str) -> None:
        drawn.append((box.x / image.shape[1], (box.x + box.width) / image.shape[1], align))

    monkeypatch.setattr(social_kit, "draw_text", note_place)
    values = {"headline": "Spring sale", "preset": "story", "layout": layout}
    for align in ("left", "centre", "right"):
        make_kit(tall_context(head=False), headline_align=align, **values)
    make_kit(tall_context(head=False), **values)
    make_kit(tall_context(head=False), **{**values, "preset": "banner"})
    left, center, right, default, wide = drawn
    assert default == center, "upright formats are centred where nothing is said"
    assert wide[2] == "left"
    assert [each[2] for each in drawn[:3]] == ["left", "centre", "right"]
    assert left[0] < center[0] < right[0]
    assert left[1] < center[1] < right[1]
    if layout != "beside":  # there the panel alone is their room
        assert center[0] + center[1] == pytest.approx(1, abs=0.02)
        assert left[0] == pytest.approx(1 - right[1], abs=0.02)


@pytest.mark.usefixtures("small_formats")
def test_a_headline_below_says_that_its_place_is_not_followed() -> None:
    for place, layout, is_said in (
        ("top", "below", True),
        ("middle", "below", True),
        ("bottom", "below", False),
        ("top", "auto", False),
    ):
        made = make_kit(tall_context(head=False), headline="Words", headline_place=place, layout=layout, preset="post")
        assert (social_kit.PLACE_UNUSED_NOTICE in made.notices) is is_said


@pytest.mark.usefixtures("small_formats")
def test_a_headline_of_blanks_is_none() -> None:
    blank, none = (make_kit(tall_context(head=False), preset="post", headline=words) for words in (" \n", ""))
    assert (blank.images[0] == none.images[0]).all()


def test_a_headline_at_the_top_has_its_panel_above_the_photo() -> None:
    tall, keep = np.full((300, 400, 3), 128, np.uint8), ProtectedArea(5, 5, 395, 295, boxes=((5, 5, 395, 295),))
    cases: tuple[tuple[TextHeight, str, int | None], ...] = (
        ("top", "above", 0),
        ("bottom", "below", None),
        ("auto", "below", None),
    )
    for height, side, y in cases:
        layout = plan_layout(tall.shape, keep, (400, 600), LayoutRequest("Words", height=height), see(tall, keep))
        assert (layout.words_side, layout.panel is not None) == (side, True)
        assert layout.panel is None or layout.panel.y == (layout.photo_position[3] if y is None else y)
        assert layout.photo_position[1] == (layout.panel.height if layout.panel and y == 0 else 0)
    named = LayoutRequest("Words", layout="below", height="top")
    assert plan_layout(tall.shape, keep, (400, 600), named, see(tall, keep)).words_side == "below", "as it is called"


@pytest.mark.usefixtures("small_formats")
def test_regular_letters_are_thinner_and_the_default_is_bold() -> None:
    values = {"headline": "A few good words", "preset": "post", "layout": "beside", "colour": "#000000"}
    default, bold, regular = (
        make_kit(KitContext(head=True), **values, **font).images[0]
        for font in ({}, {"headline_font": "bold"}, {"headline_font": "regular"})
    )
    assert (default == bold).all()
    inked = [(image > 250).all(axis=2).sum() for image in (bold, regular)]
    assert inked[1] < 0.85 * inked[0]


@pytest.mark.usefixtures("small_formats")
def test_a_brand_colour_that_is_missing_is_said() -> None:
    for colour, is_said in ((None, True), ("#2040c8", False)):
        made = make_kit(KitContext(head=True), headline="Words", preset="post", headline_colour="brand", colour=colour)
        assert (social_kit.NO_BRAND_COLOUR_NOTICE in made.notices) == is_said


@pytest.mark.parametrize(
    ("clear", "values"),
    [(True, {"headline": "Spring sale", "logo": "l"}), (False, {})],
    ids=["transparent, with words and logo", "cut out, alone"],
)
def test_a_sticker_lies_in_a_free_corner_of_every_format_with_its_white_edge(clear: bool, values) -> None:
    context = KitContext(head=True)
    context.draws_alpha = clear
    bare, full = make_kit(context, **values), make_kit(context, sticker="a rocket", **values)
    stuck_on = 0
    for before, after, (_, row) in zip(bare.images, full.images, social_kit.FORMATS.items(), strict=True):
        ys, xs = np.nonzero((before != after).any(axis=-1))
        stuck_on += 1
        assert max(np.ptp(ys), np.ptp(xs)) < 0.31 * min(row.size)
        patch = after[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].astype(int)
        green = (patch[..., 1] > 150) & (patch[..., 0] < 60)
        white = np.asarray((patch > 245).all(axis=-1))
        assert green.mean() > 0.5
        assert white[: white.shape[0] // 6, white.shape[1] // 2].any(), "the edge is over the figure"
        assert not red_pixels(before)[ys, xs].any(), "nothing that must stay is under it"
    assert stuck_on == 8
    make_kit(context, sticker="a rocket", zoom=1.5, preset="x")
    assert len(context.renders) == 1, "one drawing for all formats and for another crop"
    # Our own model draws figures alone and does not know the word.
    assert ("sticker" in context.renders[0].prompt) is not clear


@pytest.mark.usefixtures("small_formats")
def test_a_sticker_that_has_no_room_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    context = KitContext(head=True)
    bare = make_kit(context, preset="x")
    monkeypatch.setattr(social_kit, "find_sticker_corner", lambda *_: None)
    full = make_kit(context, preset="x", sticker="a rocket")
    assert set(full.notices) - set(bare.notices) == {"X: no corner is free for the sticker, so it was left out."}
    assert np.array_equal(full.images[0], bare.images[0])


def test_one_platform_is_one_file_and_a_landscape_needs_no_subject() -> None:
    context = KitContext(head=False)
    context.alpha = None
    assert [i.shape for i in make_kit(context, preset="x").images] == [(900, 1600, 3)]


@pytest.mark.parametrize(
    ("part", "is_cut"),
    [(np.s_[200:, :], True), (np.s_[100:300, 180:], True), (np.s_[100:300, 60:590], False), (np.s_[:, :], True)],
    ids=["land", "half a car", "a whole car", "all"],
)
@pytest.mark.usefixtures("small_formats")
def test_a_crop_may_cut_land_and_what_the_photo_cuts_at_its_side(part: tuple[slice, slice], is_cut: bool) -> None:
    context = KitContext(head=False)
    context.alpha = np.zeros((400, 600), np.float32)
    context.alpha[part] = 1
    assert (social_kit.OUT_OF_FOCUS_NOTICE not in make_kit(context, preset="story").notices) is is_cut
    chosen = make_kit(context, preset="story", keep=[[0.8, 0.7]])
    assert social_kit.OUT_OF_FOCUS_NOTICE in chosen.notices, "what was chosen stays whole"


def test_heads_are_kept_and_bodies_may_be_cut() -> None:
    heads = find_protected_area((400, 600), (make_face(100, 100, 30), make_face(300, 120, 40)), None)
    assert (heads.left, heads.right) < (71, 351)
    assert heads.bottom < 200


@pytest.mark.usefixtures("small_formats")
def test_all_formats_come_together_and_are_named_by_their_platform() -> None:
    draft = make_kit(KitContext(head=False))
    assert draft.names == tuple(social_kit.FORMATS)
    assert draft.archive_name == "all"
    alone = make_kit(KitContext(head=False), preset="x")
    assert (alone.names, alone.archive_name) == (("x",), "")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("Instagram", ("post", "story")),
        ("Instagram stories and LinkedIn", ("story", "linkedin")),
        ("LinkedIn banner, LinkedIn post", ("linkedin", "banner")),
        ("TikTok; X post", ("story", "x")),
        ("pinterest & YouTube thumbnail", ("youtube", "pin")),
        ("post", ("post",)),
    ],
)
def test_formats_are_found_by_their_platforms_names(words: str, names: tuple[str, ...]) -> None:
    assert social_kit.find_formats(words) == names


@pytest.mark.usefixtures("small_formats")
def test_the_usual_formats_are_three_shapes_that_the_page_chooses_and_the_api_only_when_asked() -> None:
    made = make_kit(KitContext(head=False), preset="usual")
    assert made.names == ("post", "story", "facebook")
    assert made.archive_name == "formats"
    assert social_kit.Kit(photo="x").preset == "all", "old requests get what they got"
    assert social_kit.Kit.schema_extra("preset")["x-start"] == "usual"


@pytest.mark.parametrize("preset", social_kit.FORMAT_SETS)
def test_the_tile_of_several_formats_says_how_many_pictures_it_makes(preset: str) -> None:
    label = social_kit.Kit.schema_extra("preset")["x-labels"][preset]
    assert f"{len(social_kit.FORMAT_SETS[preset])} pictures" in label


@pytest.mark.usefixtures("small_formats")
def test_several_platforms_take_the_place_of_the_preset() -> None:
    made = make_kit(KitContext(head=False), preset="x", formats="Facebook, YouTube")
    assert (made.names, made.archive_name) == (("facebook", "youtube"), "formats")
    with pytest.raises(BadInput, match="No format is called 'myspace'"):
        make_kit(KitContext(head=False), formats="Facebook, MySpace")


@pytest.mark.usefixtures("small_formats")
def test_nothing_moved_is_the_automatic_crop_byte_for_byte() -> None:
    plain, rest = make_kit(KitContext(head=True)), make_kit(KitContext(head=True), focus_x=0.0, focus_y=0.0, zoom=1.0)
    assert all((one == other).all() for one, other in zip(plain.images, rest.images, strict=True))
    assert all(crop.visible_ratio == 1 for crop in plain.crops)
    assert not any("crop" in notice for notice in plain.notices)


@pytest.mark.usefixtures("small_formats")
def test_a_crop_by_hand_is_done_in_every_format_and_what_it_cuts_is_said() -> None:
    context = KitContext(head=True)
    aside = make_kit(context, focus_x=0.2, zoom=2.0)
    assert "Your crop leaves out a face: " in aside.notices[0]
    assert {crop.visible_ratio for crop in aside.crops} == {0.0}
    assert not any(red_pixels(image).any() for image in aside.images)
    half = make_kit(KitContext(head=False), focus_x=400 / 600, focus_y=130 / 400, zoom=4.0)
    assert half.notices[0].startswith("Your crop cuts the subject: Instagram post, ")
    assert all(0 < (crop.visible_ratio or 0) < 1 for crop in half.crops)
    assert all(crop.box[2] - crop.box[0] <= 0.26 for crop in half.crops)


def test_a_product_that_no_window_holds_stands_by_a_panel_and_grows_with_the_zoom_until_the_format_is_full() -> None:
    context = KitContext(head=False, at=(300, 200), half=170)
    crops = {zoom: make_kit(context, preset="banner", focus_x=0.4, zoom=zoom).crops[0] for zoom in (1.0, 1.5, 2.0, 4.0)}
    assert {zoom: crop.placed_box[2] - crop.placed_box[0] for zoom, crop in crops.items()} == pytest.approx(
        {1.0: 0.375, 1.5: 0.5625, 2.0: 0.75, 4.0: 1.0}, abs=0.002
    )
    assert {zoom: crop.box[3] - crop.box[1] for zoom, crop in crops.items()} == pytest.approx(
        {1.0: 1.0, 1.5: 0.667, 2.0: 0.5, 4.0: 0.25}, abs=0.01
    )
    assert crops[1.0].visible_ratio == 1
    full = make_kit(context, preset="banner", zoom=4.0).notices
    assert full[0] == "Your crop cuts the subject: Banner 4:1."
    assert not any("out of focus" in notice for notice in full), "nothing is left beside it"


def test_a_draft_says_of_every_format_what_a_crop_by_hand_cuts() -> None:
    context = KitContext(head=False)
    context.draft = True
    draft = make_kit(context, focus_x=400 / 600, focus_y=130 / 400, zoom=4.0)
    assert len(draft.images) == 1
    assert all(row.title in draft.notices[0] for row in social_kit.FORMATS.values())


TALL_SHAPE = (1600, 1200)


def see(photo: Image, keep: ProtectedArea) -> PhotoView:
    """How a photo is seen whose subject fills the area."""
    alpha = np.zeros(photo.shape[:2], np.float32)
    for left, top, right, bottom in keep.boxes:
        alpha[int(top) : int(bottom), int(left) : int(right)] = 1
    return view_photo(photo, keep.boxes if keep.has_face else (), alpha)


def test_words_beside_a_tall_subject_stand_where_they_are_large() -> None:
    tall = ProtectedArea(20, 55, 530, 761, boxes=((40, 85, 510, 761),))
    photo = make_noise(761, 550, 120, 5)
    layout = plan_layout(photo.shape, tall, (1080, 1350), LayoutRequest("Slow mornings"), see(photo, tall))
    assert layout.panel is not None
    block = fit_headline("Slow mornings", layout.panel.width - 118, layout.panel.height - 118, 162)
    assert block.lines == ("Slow mornings",)
    assert block.size > 90, "it was 40 in a panel at the side"
    shown = layout.photo_window
    assert shown[1] <= 85
    assert shown[3] == 761


HEADLINES = (
    "Open day",
    "Meet our new flight director",
    "Barcelona in three days: what to see and where to eat",
    "Weihnachtsmarkteröffnung",
    "Frühlingsspaziergang im Naturschutzgebiet",
)


@pytest.fixture(scope="module")
def tall_views() -> list[tuple[ProtectedArea, PhotoView]]:
    """What must stay of a tall photo, a face or a thing, and how the photo is seen then."""
    photo = make_noise(*TALL_SHAPE, 120, 30)
    areas = (
        find_protected_area(photo.shape, (make_face(600, 480, 170),), None),
        ProtectedArea(100, 700, 500, 1350, boxes=((120, 720, 480, 1330),)),
    )
    return [(keep, see(photo, keep)) for keep in areas]


@pytest.mark.parametrize("headline", HEADLINES)
@pytest.mark.parametrize("name", social_kit.FORMATS)
def test_a_tall_photo_fills_its_post_and_no_words_stand_on_what_is_kept(
    tall_views: list[tuple[ProtectedArea, PhotoView]], name: str, headline: str
) -> None:
    size = social_kit.FORMATS[name].size
    for keep, view in tall_views:
        layout = plan_layout((*TALL_SHAPE, 3), keep, size, LayoutRequest(headline), view)
        if layout.words is None:
            assert size[0] > 1.5 * size[1] or not keep.has_face, "only a wide format has no room for a tall photo"
            continue
        assert layout.photo_position == (0, 0, *size)
        seen = project_area(keep.without_margin(), layout.photo_window, size)
        box = layout.words.box
        assert not box.overlaps(seen.left, seen.top, seen.right, seen.bottom)
        assert 0 < box.x < box.x + box.width < size[0]
        assert 0 < box.y < box.y + box.height < size[1]
        assert layout.words.letters >= MIN_LETTERS_RATIO * compute_equal_square_side(size)
        assert not layout.words.is_thin
    assert all(keep.boxes for keep, _ in tall_views)


@pytest.mark.parametrize("headline", HEADLINES)
def test_lines_of_a_headline_have_two_words_or_one_long_one(headline: str) -> None:
    for width, height in ((960, 300), (420, 900), (300, 120)):
        block = fit_headline(headline, width, height, 160)
        assert block.width <= width
        assert block.height <= height
        words = headline.split()
        assert " ".join(block.lines) == headline
        assert len(block.lines) <= max(-(-len(words) // 2), len(headline) // 9, 1)
        greedy = fit_text(headline, width, height, 160)
        assert block.size >= 0.85 * greedy.size or len(block.lines) < len(greedy.lines)


def test_one_word_a_line_is_left_for_where_words_would_be_too_small_else() -> None:
    assert fit_headline("Big sale today", 200, 400, 100).lines == ("Big sale", "today")
    assert fit_headline("Big sale", 120, 400, 100, smallest=45).lines == ("Big", "sale")


@pytest.mark.parametrize(
    ("headline", "lines"),
    [
        ("Autumn sale, 20 % off", ("Autumn sale,", "20 % off")),
        ("Only 49 € until Sunday. Come and see!", ("Only 49 € until Sunday.", "Come and see!")),
        ("Running shoes $49.90", ("Running", "shoes $49.90")),
        ("Warm boots now $129.90", ("Warm boots", "now $129.90")),
        ("Now € 49", ("Now", "€ 49")),
        ("秋天的新咖啡，每天早上", ("秋天的新咖啡，", "每天早上")),
    ],
)
def test_a_headline_breaks_where_it_pauses_and_keeps_amounts_and_signs_whole(
    headline: str, lines: tuple[str, ...]
) -> None:
    assert list_line_breaks(headline)[1].lines == lines


@pytest.mark.parametrize("level", [0, 60, 128, 200, 255])
@pytest.mark.parametrize("sigma", [0, 20, 60])
def test_words_on_a_photo_reach_the_contrast_with_a_shade_that_leaves_the_subject_alone(level: int, sigma: int) -> None:
    image = make_noise(500, 400, level, sigma).copy()
    before, words = image.copy(), PixelBox(22, 380, 250, 98)
    unshaded = np.zeros((50, 40), np.float32)
    unshaded[10:25, 10:30] = 1
    ink = draw_scrim_and_choose_ink(image, words, unshaded)
    assert worst_contrast(ink, words.view(image), WORST_SHARE) >= MIN_TEXT_CONTRAST
    assert (image[110:240, 110:290] == before[110:240, 110:290]).all()
    assert (image[:60] == before[:60]).all()
    if sigma == 0 and level in (0, 255):
        assert (image == before).all(), "what has the contrast needs no shade"
    jumps = np.abs(np.diff(cv2.blur(image.astype(np.float32) - before, (9, 9)).mean(axis=2), axis=0))
    assert jumps.max() < 12, "a gradient and no plate"


@pytest.mark.parametrize(
    ("top", "bottom", "ink"),
    [
        ((60, 120, 190), (145, 185, 228), WHITE_INK),  # black would need no shade, but looks heavy
        ((150, 190, 230), (210, 225, 240), BLACK_INK),
        ((205, 205, 205), (205, 205, 205), BLACK_INK),
    ],
    ids=["blue sky", "haze", "light grey"],
)
def test_letters_on_a_blue_sky_are_white_and_on_light_ground_black(top: Colour, bottom: Colour, ink: Colour) -> None:
    words = PixelBox(22, 20, 350, 200)
    image = np.repeat(np.linspace(top, bottom, 240, dtype=np.uint8)[:, None], 400, axis=1)
    assert draw_scrim_and_choose_ink(image, words, None) == ink
    assert worst_contrast(ink, words.view(image), WORST_SHARE) >= MIN_TEXT_CONTRAST


def tall_context(*, head: bool) -> KitContext:
    """A photo of 3:4 with calm ground, and its subject on the left."""
    context = KitContext(head=head)
    context.image, context.alpha = make_noise(800, 600, 150, 12), np.zeros((800, 600), np.float32)
    context.image[240:430, 60:250], context.alpha[240:430, 60:250] = (255, 0, 0), 1
    context.faces = (make_face(155, 335, 95),) if head else ()
    return context


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.usefixtures("halved_formats")
def test_a_layout_is_chosen_by_the_photo_or_by_its_name_and_told(head: bool) -> None:
    formats = "Instagram, Pinterest, Facebook"
    made = {
        name: make_kit(tall_context(head=head), headline="Meet our new flight director", formats=formats, layout=name)
        for name in ("auto", "over", "beside", "below")
    }
    for name, output in made.items():
        told = {crop.words for crop in output.crops}
        assert told <= ({name} if name != "auto" else {"over", "beside"})
        assert all((crop.words_contrast or 0) >= MIN_TEXT_CONTRAST for crop in output.crops)
    assert {crop.words for crop in made["auto"].crops[:3]} == {"over"}, "post, story, pin"
    for output in made.values():
        for image, crop in zip(output.images, output.crops, strict=True):
            red = red_pixels(image)
            ys, xs = np.nonzero(red)
            assert crop.visible_ratio == 1
            assert red[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].mean() > 0.98
    assert {crop.words for crop in make_kit(tall_context(head=head), formats=formats).crops} == {""}


@pytest.mark.parametrize("layout", ["over", "below"])
def test_a_headline_is_as_large_as_one_chose(layout: str) -> None:
    heights = []
    for size in ("small", "auto", "large"):
        values = {"headline": "Words", "layout": layout, "preset": "post", "headline_colour": "white"}
        (image,) = make_kit(tall_context(head=False), headline_size=size, **values).images
        rows = np.flatnonzero((image.min(axis=2) > 250).sum(axis=1) > 2)
        heights.append(int(rows[-1] - rows[0]))
    assert heights[0] < 0.7 * heights[1] < 0.7 * heights[2]


@pytest.mark.parametrize(
    ("headline", "size", "told"), [("A" * 90, "large", True), ("A" * 90, "auto", False), ("A", "large", False)]
)
def test_large_words_without_room_are_told(headline: str, size: str, told: bool) -> None:
    values = {"headline": headline, "layout": "below", "preset": "post", "headline_size": size}
    notices = make_kit(tall_context(head=False), **values).notices
    assert any(social_kit.SMALL_WORDS_NOTICE.split(":")[1] in notice for notice in notices) == told


def test_words_that_would_be_small_in_a_corner_stand_on_a_panel() -> None:
    size = social_kit.FORMATS["post"].size
    photo = make_noise(900, 1600, 120, 8)
    keep = ProtectedArea(450, 10, 1150, 890, boxes=((450, 10, 1150, 700), (450, 700, 800, 890)))
    shape, view = photo.shape, see(photo, keep)
    over = plan_layout(shape, keep, size, LayoutRequest("Open all weekend", layout="over"), view)
    assert over.words is not None
    assert MIN_LETTERS_RATIO < over.words.letters / compute_equal_square_side(size) < LETTER_SIZES["auto"].least_ratio
    free = plan_layout(shape, keep, size, LayoutRequest("Open all weekend"), view)
    assert (free.words, free.words_side) == (None, "below")


@pytest.mark.parametrize(
    ("side", "values", "is_measured", "own", "notices"),
    [
        (4000, {}, False, 4, set()),
        (4000, {"zoom": 2.0}, True, 4, {ENLARGED_BEFORE_NOTICE}),
        (1200, {}, True, 4, {ENLARGED_BEFORE_NOTICE}),
        (1200, {}, True, 1, set()),
        (600, {}, False, 4, {social_kit.FEW_PIXELS_NOTICE}),
    ],
)
def test_a_photo_is_looked_at_for_softness_only_where_that_can_be_seen(
    monkeypatch: pytest.MonkeyPatch,
    side: int,
    values: dict[str, float],
    is_measured: bool,
    own: int,
    notices: set[str],
) -> None:
    context, looked = KitContext(head=False), []
    context.image, context.alpha = np.full((side, side, 3), 90, np.uint8), np.zeros((side, side), np.float32)
    monkeypatch.setattr(social_kit, "measure_own_enlargement", lambda photo, box: looked.append(box) or own)
    made = make_kit(context, preset="post", **values)
    assert bool(looked) is is_measured
    assert set(made.notices) & {ENLARGED_BEFORE_NOTICE, social_kit.FEW_PIXELS_NOTICE} == notices


def test_words_lie_on_the_end_of_what_the_photo_cuts_before_the_photo_becomes_a_card_and_that_is_said() -> None:
    context = tall_context(head=False)
    context.image[80:, 20:580] = (255, 0, 0)
    context.alpha = (context.image == (255, 0, 0)).all(axis=-1).astype(np.float32)
    made = make_kit(context, headline="Open day", preset="post")
    assert made.notices[0] == social_kit.LOWER_END_NOTICE.format("Instagram post")
    assert made.crops[0].words == "over"
    assert made.crops[0].placed_box == (0, 0, 1, 1)
    is_ink = (made.images[0] > 250).all(axis=2)
    assert np.nonzero(is_ink)[0].min() > 0.7 * 1350, "only its lower end is covered"
    context.alpha = np.zeros((800, 600), np.float32)
    context.alpha[80:760, 20:580] = 1
    assert make_kit(context, headline="Open day", preset="post").crops[0].words != "over", "the photo shows all of it"


def test_words_that_were_asked_for_on_the_photo_cover_the_least_and_that_is_said() -> None:
    context = KitContext(head=False, at=(300, 200), half=190)
    made = make_kit(context, headline="Open day", preset="story", layout="over")
    assert made.notices[0] == social_kit.COVERED_NOTICE.format("Instagram story")
    assert made.layout_doubts == made.notices[:1], "it is told on the picture"
    assert made.crops[0].placed_box == (0, 0, 1, 1)


@pytest.mark.parametrize("is_calm", [True, False])
def test_a_photo_between_two_panels_goes_on_where_it_is_calm_or_lies_before_itself(is_calm: bool) -> None:
    """Half of a seam looks like a fault: a photo with a busy lower edge keeps all its edges and casts a shadow."""
    photo = np.full((200, 300, 3), (120, 150, 180), np.uint8)
    if not is_calm:
        photo[170:] = make_noise(30, 300, 120, 40)
    keep = ProtectedArea(10, 60, 290, 140, boxes=((20, 70, 280, 130),))
    layout = plan_layout(photo.shape, keep, (300, 900), LayoutRequest())
    _, y, _, bottom = layout.photo_position
    assert 0 < y < bottom < 900
    image = social_kit._lay_out_photo(photo, layout, None, has_words=False).astype(float)
    if is_calm:
        assert np.ptp(image.reshape(-1, 3), axis=0).max() <= 1
        return
    assert np.array_equal(image[y:bottom], photo), "nothing of the photo fades"
    above = image[:y].mean(axis=(1, 2))
    assert above[-1] < 0.85 * above[: y // 2].mean() < 0.85 * photo[:100].mean(), "shadow at the edge, and darker"


def test_what_stands_at_the_photos_side_does_not_fade_into_the_panel() -> None:
    photo = np.full((300, 200, 3), 150, np.uint8)
    photo[100:200, 30:60] = 0  # beside the subject, and no part of it
    keep = ProtectedArea(80, 10, 140, 290, boxes=((90, 20, 130, 280),))
    layout = plan_layout(photo.shape, keep, (900, 300), LayoutRequest())
    x = layout.photo_position[0]
    image = social_kit._lay_out_photo(photo, layout, None, has_words=False)
    assert image[150, x + 32 : x + 58].max() < 40


def test_the_whole_photo_is_no_card_where_its_ground_is_continued() -> None:
    photo = make_noise(575, 500, 200, 3)
    keep = ProtectedArea(340, 200, 740, 700, boxes=((360, 220, 720, 680),))
    x, right, bottom = 129, 951, 945  # as where the words stand below
    layout = Layout((1080, 1350), keep, (0, 0, 500, 575), (x, 0, right, bottom))
    image = social_kit._lay_out_photo(photo, layout, None).astype(float)
    assert np.abs(image[: bottom - 8, :x].mean() - photo.mean()) < 4
    assert np.abs(image[: bottom - 8, right:].mean() - photo.mean()) < 4


def test_a_subject_that_fills_its_format_needs_no_strip_for_its_margin() -> None:
    tall = ProtectedArea(120, 55, 450, 761, boxes=((140, 85, 430, 761),))
    assert plan_layout((761, 550), tall, (1080, 1350), LayoutRequest()).panel is None


@pytest.mark.parametrize("size", [(900, 300), (300, 450)], ids=["side", "below"])
def test_calm_ground_goes_on_without_a_strip_and_busy_ground_does_not(size: tuple[int, int]) -> None:
    calm = np.full((300, 300, 3), (120, 150, 180), np.uint8)
    keep = ProtectedArea(30, 30, 270, 270, boxes=((40, 40, 260, 260),))
    request = LayoutRequest("Words", layout="below" if size[1] > size[0] else "beside")
    layout = plan_layout(calm.shape, keep, size, request, see(calm, keep))
    assert layout.panel is not None
    image = social_kit._lay_out_photo(calm, layout, None)
    assert np.ptp(image.reshape(-1, 3), axis=0).max() <= 1
    busy = make_noise(300, 300, 120, 40)
    image = social_kit._lay_out_photo(busy, layout, None)
    assert layout.panel.view(image).mean() < 0.7 * busy.mean(), "darker and blurred, so that words can be read"
    near = replace(layout, protected=replace(layout.protected, left=layout.photo_position[0] + 2.0, bottom=299.0))
    assert np.ptp(social_kit._lay_out_photo(calm, near, None).reshape(-1, 3), axis=0).max() > 30, "it is kept whole"
    colour = social_kit._lay_out_photo(calm, layout, (0, 0, 255))
    assert (layout.panel.view(colour) == (0, 0, 255)).all()


def test_stripes_that_run_into_the_panel_fade_in_it() -> None:
    stripes = np.zeros((300, 300, 3), np.uint8)
    stripes[:] = (120 + 40 * np.sin(np.arange(300) / 6))[:, None, None]
    keep = ProtectedArea(60, 30, 240, 270, boxes=((70, 40, 230, 260),))
    layout = plan_layout(stripes.shape, keep, (900, 300), LayoutRequest("Words", layout="beside"), see(stripes, keep))
    image = social_kit._lay_out_photo(stripes, layout, None).astype(float)
    seam = int(layout.photo_position[0])
    at_seam, at_end = image[:, seam - 3].std(), image[:, 0].std()
    assert at_end < 0.3 * at_seam


def test_stripes_do_not_run_down_into_a_panel() -> None:
    stripes = np.zeros((300, 300, 3), np.uint8)
    stripes[:] = (120 + 40 * np.sin(np.arange(300) / 6))[None, :, None]
    keep = ProtectedArea(30, 30, 270, 200, boxes=((40, 40, 260, 190),))
    layout = plan_layout(stripes.shape, keep, (300, 450), LayoutRequest("Words", layout="below"), see(stripes, keep))
    image = social_kit._lay_out_photo(stripes, layout, None).astype(float)
    seam = int(layout.photo_position[3])
    assert image[seam - 1].std() > 25 > 5 > image[seam + 2].std()


@pytest.mark.usefixtures("small_formats")
def test_words_stand_where_a_crop_by_hand_leaves_room_and_never_on_the_face() -> None:
    for values in ({"focus_x": 0.9}, {"focus_x": 0.2, "zoom": 1.4}, {"focus_y": 0.9, "zoom": 1.3}):
        context = KitContext(head=True)
        bare, full = make_kit(context, **values), make_kit(context, headline="Spring sale", **values)
        for image, page, crop in zip(bare.images, full.images, full.crops, strict=True):
            assert (image != page).any()
            if crop.visible_ratio == 1:
                red = red_pixels(page)
                ys, xs = np.nonzero(red)
                assert red[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].mean() > 0.98
