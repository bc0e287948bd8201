"""Products stand where they should, several keep their own pixels, rules are measured, sides make one set."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject
from pipelines.core.rendering import RenderedImages, RenderRequest, ToolOutput
from pipelines.framing.placement import find_bounds
from pipelines.framing.product_placement import PLACEMENTS, PRODUCT_MARGIN_RATIO, PlacementId
from pipelines.matting.cutout import core_mask
from pipelines.models.families.scenes.keyword_search import choose_scene
from pipelines.quality.marketplace_rules import PRODUCT_PRESETS, marketplace_notices
from pipelines.quality.softness import ENLARGED_BEFORE_NOTICE
from pipelines.tools import product
from pipelines.tools.shared.clothes_edit import COLOUR_NOTICE, DRAWN_NOTICE, MOVED_NOTICE
from tests.support.examples import Recorder, make_blob, make_noise
from tests.support.fake_context import FakeContext

SIZE_PX = 224
"""Longer side where a test names none."""
# Photo size, and the product's centre and radius in it.
PHOTOS = {
    "a": ((300, 400), (200, 150), (80, 60)),
    "b": ((260, 260), (120, 140), (50, 100)),
    "c": ((500, 500), (260, 240), (90, 200)),
    "a2": ((300, 400), (190, 170), (64, 48)),
    "a3": ((300, 400), (230, 140), (72, 54)),
}
LEVEL = {"a": 110.0, "b": 90.0, "c": 150.0, "a2": 70.0, "a3": 140.0}


class ProductContext(FakeContext):
    """Photos of noise with an ellipse in each, and a model that paints plain grey."""

    def __init__(self, **options: Any) -> None:
        super().__init__(self.open_image("a"), seed=3, **options)

    def open_image(self, file_id: str) -> Image:
        (height, width), _, _ = PHOTOS[file_id]
        return make_noise(height, width, LEVEL[file_id], 8, seed=len(file_id))

    def cut_out_subject(self, params: Subject, emit: ProgressCallback, *, together: bool = False) -> Cutout:
        (height, width), centre, radius = PHOTOS[params.photo]
        alpha = make_blob(height, width, centre, radius) if self.alpha is None else self.alpha
        return Cutout(self.open_image(params.photo), alpha)

    def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
        self.renders.append(render)
        return self.paint(render, (0, 0, 200) if render.verb == "edit" else 190)


def run_product(context: FakeContext | None = None, **values: Any) -> ToolOutput:
    asked: dict[str, Any] = {"photo": "a", "size": SIZE_PX, "preset": "oak", **values}
    return product.run(product.Product(**asked), context or ProductContext(), Recorder())


def list_views(context: FakeContext) -> list[str]:
    """Which view each backdrop was asked for."""
    return [render.backdrop.seen_from for render in context.renders if render.backdrop is not None]


def find_middle(alpha: Alpha) -> tuple[float, float]:
    left, top, right, bottom = find_bounds(alpha)
    return (left + right) / 2 / alpha.shape[1], (top + bottom) / 2 / alpha.shape[0]


@pytest.mark.parametrize(
    ("placement", "preset"),
    [
        # On a surface, on a floor without one, and on no floor; nothing is the ground that has no floor either.
        *itertools.product(get_args(PlacementId), ("oak", "shopify", "amazon")),
        ("centre", "transparent"),
        ("left", "transparent"),
    ],
)
def test_seven_placements_stand_on_their_lines_and_inside(placement: str, preset: str) -> None:
    draft = run_product(placement=placement, preset=preset, ratio="16:9", size=256)
    (alpha,) = draft.alphas
    left, top, right, bottom = find_bounds(alpha)
    height, width = alpha.shape
    if placement != "centre":
        assert left >= PRODUCT_MARGIN_RATIO * width - 1
        assert right <= (1 - PRODUCT_MARGIN_RATIO) * width + 1
        assert top >= PRODUCT_MARGIN_RATIO * height - 1
        assert bottom <= (1 - PRODUCT_MARGIN_RATIO) * height + 1
    x, y = find_middle(alpha)
    assert x == pytest.approx(PLACEMENTS[placement][0], abs=0.02)
    if preset != "oak":  # on a surface it stands a little lower
        assert y == pytest.approx(PLACEMENTS[placement][1], abs=0.08)


def test_several_products_stand_on_one_line_at_one_height_and_keep_every_pixel_of_their_cores() -> None:
    draft = run_product(beside=("b", "c"), ratio="16:9", size=640)
    assert any("pixels changed inside them: 0" in note for note in draft.notices)
    (alpha,) = draft.alphas
    columns = (alpha > 0.5).any(axis=0).astype(int)
    starts, ends = np.nonzero(np.diff(columns) == 1)[0] + 1, np.nonzero(np.diff(columns) == -1)[0] + 1
    assert len(starts) == len(ends) == 3
    boxes = [find_bounds(np.ascontiguousarray(alpha[:, a:b])) for a, b in zip(starts, ends, strict=True)]
    assert np.ptp([box[3] for box in boxes]) <= 1
    assert np.ptp([box[3] - box[1] for box in boxes]) <= 2


class BlurredContext(ProductContext):
    """A context in which one of the photos is blurred."""

    def __init__(self, blurred: str) -> None:
        self.blurred = blurred
        super().__init__()

    def open_image(self, file_id: str) -> Image:
        photo = super().open_image(file_id)
        if file_id != self.blurred:
            return photo
        return np.asarray(cv2.GaussianBlur(make_noise(*photo.shape[:2], sigma=60), (0, 0), 2), np.uint8)


@pytest.mark.parametrize(("blurred", "times"), [("a", 1), ("b", 1), ("none", 0)])
def test_it_is_said_once_that_one_of_several_products_is_soft(blurred: str, times: int) -> None:
    draft = run_product(BlurredContext(blurred), beside=("b",), ratio="16:9", size=640)
    assert draft.source is not None
    assert (
        draft.notices.count(ENLARGED_BEFORE_NOTICE) == draft.source.frame.doubts.count(ENLARGED_BEFORE_NOTICE) == times
    )


def test_a_changed_pixel_in_any_products_core_would_be_counted() -> None:
    draft = run_product(beside=("b",), ratio="16:9", size=320)
    (alpha,) = draft.alphas
    context = ProductContext()
    taken = [
        product.ProductPhoto(context.open_image(n), context.cut_out_subject(Subject(photo=n), Recorder()))
        for n in ("a", "b")
    ]
    frames = product.arrange_products(
        [t.cutout.alpha for t in taken], (320, 180), 0.66, "centre", 0.84, Subject(photo="")
    )
    group = [product.place_subject(t.photo, t.cutout, f) for t, f in zip(taken, frames, strict=True)]
    image = draft.images[0].copy()
    rows, columns = np.nonzero(core_mask(group[1].alpha) & core_mask(alpha))
    image[rows[len(rows) // 2], columns[len(rows) // 2]] ^= 1
    assert product._check_cores([image], taken, group) == ["2 products at one height; pixels changed inside them: 1."]


# ---------------------------------------------------------------- rules


def test_a_shops_own_settings_keep_its_rule_and_say_so() -> None:
    (said,) = [note for note in run_product(preset="google", size=0).notices if note.startswith("Google")]
    assert "is kept" in said


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"fill": 60, "size": 400}, "60%"),
        ({"size": 800}, "2000 pixels"),
        ({"background": "marble"}, "white ground"),
        ({"placement": "left"}, "50%"),
    ],
)
def test_what_breaks_a_shops_rule_is_said_in_one_sentence(values: dict, word: str) -> None:
    (said,) = [note for note in run_product(preset="amazon", **values).notices if note.startswith("Amazon")]
    assert said.startswith("Amazon asks for")
    assert word in said


def cut_at_three_sides() -> ProductContext:
    """A wide photo that cuts the product at the top, right and bottom, and shows its left side."""
    alpha = np.zeros((300, 400), np.float32)
    alpha[:, 40:] = 1
    return ProductContext(alpha=alpha)


@pytest.mark.parametrize("preset", ["amazon", "oak"])
def test_a_shape_that_cuts_what_the_photo_shows_names_one_that_does_not(preset: str) -> None:
    told = "1:1 cuts the subject (left, right); 4:3 shows as much of it as the photo."
    cut = run_product(cut_at_three_sides(), preset=preset, ratio="1:1")
    assert told in cut.notices
    assert cut.source
    assert cut.source.frame.doubts == (told,), "it stands on the picture"
    assert cut.source.frame.better_shape == "4:3"
    for wide in ("4:3", "16:9"):
        assert "shows as much" not in " ".join(run_product(cut_at_three_sides(), preset=preset, ratio=wide).notices)
    assert "cuts the subject" not in " ".join(run_product(preset=preset, ratio="1:1").notices)


def test_a_shop_that_asks_for_the_whole_product_is_not_content_with_one_that_is_cut() -> None:
    (said,) = [note for note in run_product(cut_at_three_sides(), preset="amazon").notices if "Amazon" in note]
    assert said.startswith("Amazon asks for ")
    assert "the whole product, which this picture cuts" in said


@pytest.mark.parametrize(
    ("values", "fill"),
    [
        ({"preset": "white"}, 0.91),
        ({"preset": "white", "fill": 60}, 0.6),
        ({"preset": "white", "placement": "left"}, 0.5),
        ({"preset": "white", "angles": ("a",)}, 0.82),
        ({"preset": "amazon"}, 0.87),
        ({"preset": "google"}, 0.82),
        ({"preset": "ebay"}, 0.85),
    ],
)
def test_a_cut_product_is_larger_only_where_nothing_else_says_its_size(values: dict[str, Any], fill: float) -> None:
    alpha = np.zeros((300, 400), np.float32)
    alpha[:200, 100:300] = 1
    drawn = run_product(ProductContext(alpha=alpha), ratio="1:1", **values).alphas[0]
    left, top, right, bottom = find_bounds(drawn)
    assert top == 0
    assert (bottom - top) / SIZE_PX == pytest.approx(fill, abs=0.01)
    assert (right - left) / SIZE_PX == pytest.approx(fill, abs=0.01)


@pytest.mark.parametrize(("size", "has_enough"), [(0, True), (640, False)])
def test_a_draft_is_measured_by_the_pixels_of_what_is_kept(size: int, has_enough: bool) -> None:
    notices = run_product(ProductContext(draft=True), preset="amazon", size=size).notices
    assert ("for 2000 pixels" not in " ".join(notices) and "2000 pixels, and" not in " ".join(notices)) == has_enough


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        ({"placement_scale": 0.55}, "Scale"),
        ({"placement_y": 0.1}, "Placement"),
        ({"placement": "top", "placement_scale": 0.55}, "Scale and Placement"),
    ],
)
def test_what_the_photos_own_cuts_do_not_allow_is_said(wish: dict[str, Any], names: str) -> None:
    told = f"Not followed, because the photo cuts the subject and the cuts stay at the picture's edge: {names}."
    assert told in run_product(cut_at_three_sides(), **wish, preset="amazon").notices
    for free in (run_product(cut_at_three_sides(), preset="amazon"), run_product(**wish, preset="amazon")):
        assert "Not followed" not in " ".join(free.notices)


def test_a_look_on_white_says_so_in_its_name() -> None:
    labels = {key: preset.label for key, preset in PRODUCT_PRESETS.items()}
    white = {name for name, preset in PRODUCT_PRESETS.items() if preset.scene == "pure-white"}
    assert white == {"amazon", "google", "ebay", "white"}
    assert white == {name for name, label in labels.items() if label.startswith("White")}
    assert labels["white"] == "White · no shadow", "for whoever wants white and no shop"
    marks = [PRODUCT_PRESETS[name].mark for name in white]
    assert all(marks)
    assert len({labels[name] for name in white}) == 4
    assert [PRODUCT_PRESETS[name].shadow is None for name in ("amazon", "google", "ebay")] == [True, False, False]
    for name in white:
        output = run_product(preset=name)
        assert output.source is not None
        beside = output.images[0][output.source.alpha < 0.01]
        has_shadow = (beside.min(axis=1) < 250).mean() > 0.01  # the rest is the product's edge
        assert has_shadow != ("no shadow" in labels[name]), name
    rooms = {name: PRODUCT_PRESETS[name].fill_ratio for name in ("amazon", "google", "ebay")}
    assert min(rooms, key=rooms.__getitem__) == "google", "it says that it has more room"


def test_plain_white_is_white_around_the_product_without_a_shadow_and_no_shops_rule() -> None:
    output = run_product(preset="white")
    assert not any("rule" in notice for notice in output.notices)
    assert output.images[0][0, 0].tolist() == [255, 255, 255]
    assert output.source is not None
    core = core_mask(output.source.alpha)
    assert (output.images[0][core] == output.source.colour[core]).all()
    assert (output.images[0][output.source.alpha < 0.01].min(axis=1) < 250).mean() < 0.01, "no shadow"


@pytest.mark.parametrize(("level", "is_told"), [(254, True), (251, True), (200, False)])
def test_a_white_product_on_white_is_kept_and_that_its_edge_is_hardly_seen_is_said(level: int, is_told: bool) -> None:
    context = ProductContext()
    context.open_image = lambda file_id: np.full((300, 400, 3), level, np.uint8)
    for preset in ("white", "amazon"):
        output = run_product(context, preset=preset)
        assert any("as white as the ground" in notice for notice in output.notices) is is_told
        assert output.source is not None
        core = core_mask(output.source.alpha)
        assert (output.images[0][core] == level).all()
    assert not any("as white" in notice for notice in run_product(context, preset="shopify").notices)


def test_no_shop_no_sentence() -> None:
    assert (
        marketplace_notices(
            PRODUCT_PRESETS["oak"], make_blob(100, 100, (50, 50), (30, 30)), (100, 100), longer_px=100, plain=True
        )
        == ()
    )


def test_amazon_is_white_to_the_last_pixel_with_several_products_too() -> None:
    draft = run_product(preset="amazon", beside=("b",), size=400)
    assert (draft.images[0][draft.alphas[0] < 1 / 255] == 255).all()


# ---------------------------------------------------------------- sides and layers


def test_sides_come_as_a_set_of_one_scale_and_baseline_with_a_spin() -> None:
    draft = run_product(angles=("a2", "a3"), preset="shopify")
    assert draft.names == ("angle-1", "angle-2", "angle-3")
    assert draft.archive_name == "angles"
    (spin,) = draft.extras
    assert (spin.format, len(spin.frames), spin.name) == ("webp", 3, "spin")
    boxes = [find_bounds(alpha) for alpha in draft.alphas]
    assert np.ptp([box[3] for box in boxes]) <= 0.005 * SIZE_PX
    assert np.ptp([box[3] - box[1] for box in boxes]) <= 0.01 * SIZE_PX
    lights = [
        float(np.median(image[core_mask(alpha)])) for image, alpha in zip(draft.images, draft.alphas, strict=True)
    ]
    assert np.ptp(lights) < 6
    assert any("brought to the first one's" in note for note in draft.notices)
    assert not draft.exact


def test_the_first_side_keeps_its_pixels() -> None:
    alone, turned = run_product(preset="shopify"), run_product(angles=("a2",), preset="shopify")
    assert (alone.images[0] == turned.images[0]).all()


def test_layers_come_when_they_are_asked_for_and_not_with_a_draft() -> None:
    assert [(extra.format, extra.name) for extra in run_product(layers=True, variations=2, size=256).extras] == [
        ("ora", "layers-1"),
        ("zip", "layers-1"),
        ("ora", "layers-2"),
        ("zip", "layers-2"),
    ]
    assert run_product().extras == ()
    assert run_product(ProductContext(draft=True), layers=True, angles=("a2",)).extras == ()


# ---------------------------------------------------------------- invented sides


@pytest.mark.parametrize("preset", ["oak", "transparent"])
def test_invented_sides_are_named_and_told_and_prove_nothing(preset: str) -> None:
    context = ProductContext()
    draft = run_product(context, preset=preset, invent=3)
    assert draft.names == ("own-1", "invented-left", "invented-right", "invented-behind")
    assert [row is not None for row in draft.sources] == [True, False, False, False]
    assert any("drawn by a model from one photo" in note for note in draft.notices)
    assert all(
        render.recomposes and render.images[0].shape[2] == 3
        for render in (render for render in context.renders if render.verb == "edit")
    )
    alone = run_product(preset=preset)
    assert (draft.images[0] == alone.images[0]).all()


def test_invented_sides_stand_behind_ones_own() -> None:
    draft = run_product(ProductContext(), preset="shopify", angles=("a2",), invent=1)
    assert draft.names == ("angle-1", "angle-2", "invented-left")
    assert [row is not None for row in draft.sources] == [True, False, False]


# ---------------------------------------------------------------- clothes by themselves


class ClothesContext(ProductContext):
    """A model that draws a garment of the photo's colours on grey, and a net that finds it again."""

    garment_level = 110

    def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
        drawn = super().draw(render, emit)
        if render.verb != "edit":
            return drawn
        image = np.full_like(drawn.images[0], 236)
        image[self.predict_alpha(image) > 0.5] = self.garment_level
        return RenderedImages((image,))

    def predict_alpha(self, image: Image) -> Alpha:
        height, width = image.shape[:2]
        return make_blob(height, width, (height // 2, width // 2), (height // 4, width // 5))

    @contextmanager
    def borrow_model(self, spec_id: str) -> Iterator[Any]:
        assert spec_id == "matte"
        yield self


@pytest.mark.parametrize("clothes", ["ghost-mannequin", "flat-lay"])
def test_a_garment_is_drawn_by_itself_on_the_look_s_ground_and_is_called_drawn(clothes: str) -> None:
    context = ClothesContext()
    draft = run_product(context, preset="amazon", clothes=clothes, garment="the blue jacket")
    edit, *_ = context.renders
    assert (edit.verb, edit.recomposes) == ("edit", clothes == "flat-lay")
    assert edit.caption is not None
    assert edit.caption.words.startswith("Show only the garment in the photo (the blue jacket), ")
    assert not draft.exact
    assert draft.source is None, "no place of the photo is in the picture"
    assert (draft.images[0][draft.alphas[0] < 1 / 255] == 255).all()
    left, top, right, bottom = find_bounds(draft.alphas[0])
    assert max(right - left, bottom - top) / SIZE_PX == pytest.approx(0.87, abs=0.01), (
        "framed as a photo of it would be"
    )
    assert DRAWN_NOTICE in draft.notices
    assert COLOUR_NOTICE.format(1) in draft.notices
    assert MOVED_NOTICE in draft.notices, "a flat grey garment has nothing to be registered by"


def test_a_garment_of_colours_that_the_photo_does_not_show_is_told() -> None:
    context = ClothesContext()
    context.garment_level = 20
    assert COLOUR_NOTICE.format(0) in run_product(context, clothes="ghost-mannequin").notices


def test_a_garment_laid_flat_is_seen_from_above_and_one_that_nobody_wears_casts_no_shadow() -> None:
    laid = ClothesContext()
    run_product(laid, clothes="flat-lay", preset="linen", size=256)
    assert list_views(laid) == ["above"]
    made, plain = (
        run_product(ClothesContext(), clothes="ghost-mannequin", preset="shopify", shadow=shadow, size=256)
        for shadow in ("auto", "none")
    )
    assert (made.images[0] == plain.images[0]).all()


def test_a_draft_shows_the_photo_and_a_set_of_photos_draws_nothing() -> None:
    context = ClothesContext(draft=True)
    draft = run_product(context, clothes="flat-lay")
    assert draft.is_sketch
    assert [render.verb for render in context.renders] == ["backdrop"]
    with pytest.raises(BadInput, match="photos as they are"):
        run_product(ClothesContext(), clothes="flat-lay", angles=("a2",))


def test_what_a_model_drew_without_a_garment_is_refused() -> None:
    context = ClothesContext()
    context.predict_alpha = lambda image: np.zeros(image.shape[:2], np.float32)
    with pytest.raises(BadInput, match="drew no garment") as refusal:
        run_product(context, clothes="ghost-mannequin")
    assert refusal.value.code == "no_subject"


# ---------------------------------------------------------------- the camera's height


def make_dish(pitch: float) -> Alpha:
    """A plate seen from `pitch` degrees above the table."""
    return make_blob(300, 400, (200, 150), (100, round(100 * float(np.sin(np.radians(pitch))))))


@pytest.mark.parametrize(("pitch", "view"), [(13, "front"), (33, "three-quarter"), (66, "above"), (90, "above")])
def test_a_surface_is_seen_from_where_the_photo_saw_the_product(pitch: float, view: str) -> None:
    context = ProductContext(alpha=make_dish(pitch))
    run_product(context, preset="oak")
    assert list_views(context) == [view]


def test_an_outline_that_tells_nothing_leaves_the_usual_view_and_a_said_one_is_kept() -> None:
    box = np.zeros((300, 400), np.float32)
    box[80:260, 120:280] = 1
    stem = make_blob(300, 400, (200, 100), (90, 60))  # a bowl on a foot is no half ellipse
    stem[150:280, 190:210] = 1
    for outline in (box, stem):
        context = ProductContext(alpha=outline)
        run_product(context)
        assert list_views(context) == ["three-quarter"]
    context = ProductContext(alpha=make_dish(90))
    run_product(context, seen_from="front")
    assert list_views(context) == ["front"]


def test_a_place_is_never_seen_from_above_and_that_is_said() -> None:
    context = ProductContext(alpha=make_dish(90))
    made = run_product(context, background="workshop")
    assert list_views(context) == ["three-quarter"]
    assert product.CAMERA_ABOVE_NOTICE in made.notices
    assert product.CAMERA_ABOVE_NOTICE not in run_product(ProductContext(alpha=make_dish(90)), preset="marble").notices


def test_what_was_photographed_from_above_stands_on_a_podium_seen_from_above() -> None:
    context = ProductContext(alpha=make_dish(90))
    made = run_product(context, preset="podium")
    assert list_views(context) == ["above"]
    assert product.CAMERA_ABOVE_NOTICE not in made.notices


@pytest.mark.parametrize("words", ["blocks", "walnut", "slate", "dark marble table", "grey studio"])
def test_words_that_name_a_surface_are_seen_from_above_like_its_look(words: str) -> None:
    context = ProductContext(alpha=make_dish(90))
    made = run_product(context, background=words)
    assert list_views(context) == ["above"]
    assert product.CAMERA_ABOVE_NOTICE not in made.notices
    assert choose_scene("slate", "product").scene.id == "slate-rim"
