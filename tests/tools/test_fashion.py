"""Lookbook: the clothes and the face stay, the season and the words are added; black and white is neutral."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from pipelines.compositing.head_restoration import find_head_alpha
from pipelines.compositing.registration import align_edit
from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Face, Image
from pipelines.core.job import ProgressCallback
from pipelines.core.rendering import RenderedImages, RenderRequest, ToolOutput
from pipelines.imaging.text import MIN_TEXT_CONTRAST, contrast_ratio
from pipelines.matting.cutout import core_mask
from pipelines.models.diffusion.captions import write_caption
from pipelines.models.families.scenes.keyword_search import SCENES
from pipelines.models.nets.pose_landmarks import PersonLocation
from pipelines.tools import fashion
from pipelines.tools.shared import dressing
from pipelines.tools.shared.people_casting import CAST, POSES, Pose, choose_cast, compute_joint_positions, draw_pose_map
from tests.compositing.test_head_restoration import dress, drift, load_portrait
from tests.support.examples import Recorder, make_blob, make_noise
from tests.support.fake_context import FakeContext
from ui.i18n import is_translated


def make_context(*, person: bool = True, verbs: tuple[str, ...] = ()) -> FakeContext:
    """Noise with a person or a garment in the middle, and a model that paints plain green."""
    points = np.array([200, 120]) + np.random.default_rng(0).normal(0, 20, (468, 2))
    face = Face(points.astype(np.float32), (150, 60, 250, 180), (180, 120), (220, 120), (200, 170), 0.0, 1.0)
    alpha = make_blob(500, 400, (200, 240), (110, 200))
    faces = (face,) if person else ()
    return FakeContext(make_noise(500, 400, 120, 14), alpha, faces, verbs, colour=(60, 140, 60), seed=3)


def run_fashion(context: FakeContext, **values: Any) -> ToolOutput:
    asked: dict[str, Any] = {"photo": "x", "size": 288, **values}
    return fashion.run(fashion.Fashion(**asked), context, Recorder())


@pytest.mark.parametrize("preset", ["street", "flat-lay"])
@pytest.mark.parametrize("scale", [0.8, 1.3])
def test_whoever_sizes_the_subject_gets_that_size(preset: str, scale: float) -> None:
    plain, sized = (
        run_fashion(make_context(person=preset == "street"), preset=preset, **more)
        for more in ({}, {"placement_scale": scale})
    )
    assert plain.source is not None
    assert sized.source is not None
    assert sized.source.frame.scale == pytest.approx(scale * plain.source.frame.scale)


@pytest.mark.parametrize("preset", get_args(fashion.PresetId))
def test_every_look_has_a_scene_of_ours_and_the_size_that_was_asked_for(preset: str) -> None:
    context = make_context()
    draft = run_fashion(context, preset=preset, ratio="2:3")
    assert draft.images[0].shape[:2] == (288, 192)
    backdrop = context.renders[-1].backdrop
    assert backdrop is not None
    assert backdrop.scene in {scene.id for scene in SCENES}


def test_without_grading_the_core_is_the_photo_and_with_it_it_moves_a_little() -> None:
    plain, warm = (run_fashion(make_context(), preset="autumn", grading=share) for share in (0, 100))
    assert plain.source is not None
    core = core_mask(plain.source.alpha)
    assert (plain.images[0][core] == plain.source.colour[core]).all()
    moved = np.abs(warm.images[0][core].astype(int) - plain.images[0][core])
    assert 0 < moved.mean() < 12


def test_autumn_turns_green_leaves_and_not_the_subject() -> None:
    draft = run_fashion(make_context(), preset="autumn", grading=0)
    r, g, _ = draft.images[0][4, 4].astype(int)
    assert r > g


def test_black_and_white_is_neutral() -> None:
    image = run_fashion(make_context(), preset="editorial-bw").images[0].astype(int)
    assert np.ptp(image, axis=2).max() <= 1


def test_a_photo_without_a_face_is_asked_for_a_point_and_not_told_that_nobody_is_there() -> None:
    with pytest.raises(BadInput, match=r"^No face was found in this photo\.") as caught:
        run_fashion(make_context(person=False), preset="street")
    assert (caught.value.code, caught.value.param) == ("no_face", "photo")
    assert is_translated(caught.value.message)
    assert run_fashion(make_context(person=False), preset="street", keep=[[0.5, 0.5]]).images


def test_a_person_is_in_no_flat_lay_and_that_is_said() -> None:
    flat, grey = (run_fashion(make_context(), preset=preset) for preset in ("flat-lay", fashion.UPRIGHT_LOOK))
    assert (flat.images[0] == grey.images[0]).all()
    assert (flat.resolved_params, grey.resolved_params) == ({"preset": fashion.UPRIGHT_LOOK}, {})
    assert set(flat.notices) - set(grey.notices) == {fashion.NO_FLAT_LAY_NOTICE}
    assert fashion.SEASONS[fashion.UPRIGHT_LOOK].title in fashion.NO_FLAT_LAY_NOTICE
    book = run_fashion(make_context(), pdf="book", size=256)
    assert fashion.NO_FLAT_LAY_PAGE_NOTICE in book.notices
    for notice in (fashion.NO_FLAT_LAY_NOTICE, fashion.NO_FLAT_LAY_PAGE_NOTICE):
        assert is_translated(notice)


@pytest.mark.parametrize("faces", ["none", "beside", "printed"])
def test_clothes_alone_with_a_face_beside_or_on_them_are_laid_flat(faces: str) -> None:
    context = make_context(person=faces != "none")
    if faces == "beside":
        context.alpha = make_blob(500, 400, (200, 380), (110, 90))
    elif faces == "printed":
        context.faces = tuple(replace(face.scaled(0.5), box=(170, 200, 230, 260)) for face in context.faces)
        context.faces = tuple(replace(face, landmarks=np.add(face.landmarks, (100, 170))) for face in context.faces)
    laid = run_fashion(context, preset="flat-lay", keep=[[0.5, 0.7]])
    assert fashion.NO_FLAT_LAY_NOTICE not in laid.notices
    backdrop = context.renders[-1].backdrop
    assert backdrop is not None
    assert (backdrop.seen_from, backdrop.subject) == ("above", "product")


def test_a_masthead_stands_behind_the_subject() -> None:
    bare, titled = (run_fashion(make_context(), preset="cover", title=t) for t in ("", "Vogue-ish"))
    assert titled.source is not None
    core = core_mask(titled.source.alpha)
    assert (titled.images[0] != bare.images[0]).any()
    assert (titled.images[0][core] == bare.images[0][core]).all()


def test_a_title_can_be_read() -> None:
    values = {"preset": "summer", "keep": [[0.5, 0.5]]}
    bare, titled = (
        run_fashion(make_context(person=False), title=t, **values).images[0].astype(int) for t in ("", "Linen")
    )
    letters = np.abs(titled - bare).sum(axis=2) > 250
    assert letters.any()
    changed = np.abs(titled - bare).sum(axis=2) > 0
    around = cv2.dilate(letters.astype(np.uint8), np.ones((9, 9), np.uint8)) > cv2.dilate(
        letters.astype(np.uint8), np.ones((5, 5), np.uint8)
    )
    assert changed.mean() < 0.25
    ground = np.median(titled[around], axis=0)
    ink = np.median(titled[letters], axis=0)
    r, g, b = (int(v) for v in ink)
    gr, gg, gb = (int(v) for v in ground)
    assert contrast_ratio((r, g, b), (gr, gg, gb)) >= MIN_TEXT_CONTRAST


def test_same_seed_same_picture() -> None:
    assert (
        run_fashion(make_context(), preset="street").images[0] == run_fashion(make_context(), preset="street").images[0]
    ).all()


def test_it_says_that_it_dresses_nobody_and_asks_for_consent() -> None:
    assert "needs a graphics card" in fashion.TOOL.summary
    assert fashion.TOOL.person
    assert "consent" in fashion.Fashion.model_fields


def test_a_look_is_a_page_for_each_picture_and_a_book_begins_with_its_cover() -> None:
    context = make_context()
    draft = run_fashion(context, preset="winter", pdf="look", variations=2)
    (look,) = draft.extras
    assert (look.format, look.role, look.name) == ("pdf", "result", "winter")
    assert len(look.frames) == 2
    assert all(page is image for page, image in zip(look.frames, draft.images, strict=True))
    (book,) = run_fashion(context, preset="winter", pdf="book", size=256, title="Mine").extras
    assert len(book.frames) == len(fashion.SEASONS) - 1, "a person is in no flat lay"
    assert (book.frames[0] == run_fashion(context, preset="cover", size=256, title="Mine").images[0]).all()
    assert run_fashion(context, preset="winter").extras == ()


# ---------------------------------------------------------------- on models


def make_garment_context(verb: str) -> FakeContext:
    """A garment without a person, and a model with one verb."""
    return make_context(person=False, verbs=(verb,))


def test_a_garment_from_a_photo_is_worn_by_as_many_as_asked_each_stated() -> None:
    context = make_garment_context("edit")
    draft = run_fashion(context, models=4, preset="street")
    assert draft.names == ("model-1", "model-2", "model-3", "model-4")
    assert draft.archive_name == "models"
    assert (draft.source, draft.alphas, draft.exact) == (None, (), False)
    for n, render in enumerate(context.renders):
        person = CAST[n].words
        assert person in render.prompt
        assert f"{n + 1}: {person}" in draft.notices[0]
        assert (render.verb, render.recomposes, fashion.DRESSED_PROMPT in render.prompt) == ("edit", True, True)
        assert render.images[0].shape == context.image.shape
        assert (render.images[0][0, 0] == 236).all(), "the room behind the garment is not shown to the model"
    assert len({render.seeds for render in context.renders}) == 4
    assert any("compare cut" in notice for notice in draft.notices)


def test_a_control_model_follows_the_poses_map_and_needs_the_garment_in_words() -> None:
    with pytest.raises(BadInput, match="in words") as caught:
        run_fashion(make_garment_context("control"), models=1)
    assert caught.value.param == "garment"
    context = make_garment_context("control")
    draft = run_fashion(context, models=2, garment="a navy wool coat", pose="seated")
    for render in context.renders:
        assert (render.verb, render.control_kind) == ("control", "pose")
        assert "a navy wool coat" in render.prompt
        assert render.control is not None
        assert (render.control == draw_pose_map(POSES["seated"], render.size)).all()
    assert any("from your words" in notice for notice in draft.notices)


def test_who_is_described_is_who_is_asked_for() -> None:
    context = make_garment_context("edit")
    draft = run_fashion(context, models=2, who="a man in his seventies with a grey beard")
    assert all("a man in his seventies with a grey beard" in render.prompt for render in context.renders)
    assert "1: a man in his seventies" in draft.notices[0]


def test_the_models_pictures_are_bound_as_pages() -> None:
    (book,) = run_fashion(make_garment_context("edit"), models=2, pdf="look").extras
    assert (book.format, len(book.frames)) == ("pdf", 2)


@pytest.mark.parametrize("seed", range(4))
def test_a_cast_of_four_has_every_age_complexion_and_build_once_and_both_genders_twice(seed: int) -> None:
    people = choose_cast(4, seed)
    for trait in ("age", "complexion", "build"):
        assert len({getattr(person, trait) for person in people}) == 4
    assert sorted(person.gender for person in people) == ["man", "man", "woman", "woman"]


def test_no_trait_of_the_cast_stands_for_another() -> None:
    for one, other in (("complexion", "gender"), ("complexion", "age"), ("gender", "age"), ("gender", "build")):
        pairs = {(getattr(person, one), getattr(person, other)) for person in CAST}
        assert len(pairs) > len({getattr(person, one) for person in CAST})
    assert all("in her " in person.words or "in his " in person.words for person in CAST)


@pytest.mark.parametrize("pose", POSES.values(), ids=POSES.keys())
@pytest.mark.parametrize("size", [(512, 768), (768, 768), (432, 768)])
def test_a_pose_map_is_a_whole_figure_that_stands_on_one_floor(pose: Pose, size: tuple[int, int]) -> None:
    drawn = draw_pose_map(pose, size).max(axis=2) > 20
    rows, columns = np.nonzero(drawn.any(axis=1))[0], np.nonzero(drawn.any(axis=0))[0]
    assert rows[0] > 0
    assert rows[-1] / size[1] == pytest.approx(0.94, abs=0.02)
    assert columns[0] > 0
    assert columns[-1] < size[0] - 1
    points = np.array(compute_joint_positions(pose))
    assert len(points) == 18
    assert points[0, 1] < points[1, 1] < points[8, 1] < points[10, 1], "nose, neck, hip, ankle"


def test_poses_differ_and_a_seated_figure_is_shorter() -> None:
    maps = [draw_pose_map(pose, (256, 384)).astype(int) for pose in POSES.values()]
    assert min(np.abs(a - b).mean() for n, a in enumerate(maps) for b in maps[:n]) > 1
    tall = {key: np.ptp([y for _, y in compute_joint_positions(pose)]) for key, pose in POSES.items()}
    assert tall["seated"] < 0.9 * tall["standing"]


# ---------------------------------------------------------------- a garment on the photo's person


class PoseNet:
    """Draws one pose for everybody and notes where it was asked to look."""

    def __init__(self) -> None:
        self.boxes: list[tuple[float, float, float, float]] = []

    def draw_map(self, image: Image, person: PersonLocation) -> Image:
        self.boxes.append(person.box)
        return np.full((90, 60, 3), 120, np.uint8)


@dataclass(eq=False)
class DressingContext(FakeContext):
    """A context whose model changes the lower half of the person's picture alone."""

    net: PoseNet = field(default_factory=PoseNet)
    reads_several: bool = True

    def paint(self, render: RenderRequest, colour: int | tuple[int, int, int]) -> RenderedImages:
        if render.verb not in ("tryon", "edit"):
            return super().paint(render, colour)
        dressed = render.images[0].copy()
        dressed[len(dressed) // 2 :] = (20, 40, 160)
        return RenderedImages((dressed,))

    def reads_several_pictures(self, verb: str) -> bool:
        return self.reads_several

    @contextmanager
    def borrow_model(self, spec_id: str) -> Iterator[Any]:
        assert spec_id == dressing.POSE_SPEC_ID
        yield self.net


def make_dressing(*, verbs: tuple[str, ...] = ("tryon",), **values: Any) -> DressingContext:
    plain = make_context(person=values.pop("person", True), verbs=verbs)
    return DressingContext(plain.image, plain.alpha, plain.faces, verbs, colour=(60, 140, 60), seed=3, **values)


def test_a_garment_is_drawn_on_the_person_in_the_scene_and_what_did_not_change_stays() -> None:
    context = make_dressing()
    plain = run_fashion(make_context(), preset="street", grading=0)
    dressed = run_fashion(context, preset="street", grading=0, garment_photo="y", garment_kind="bottoms")
    render = context.renders[-1]
    assert (render.verb, render.garment_kind, render.seeds) == ("tryon", "bottoms", (3,))
    assert np.array_equal(render.images[0], plain.images[0]), "the look's picture, before its grade"
    assert render.control is not None
    left, top, right, bottom = context.net.boxes[0]
    assert 0 <= left < right <= render.size[0]
    assert 0 <= top < bottom <= render.size[1]
    top_of_it = slice(0, round(0.4 * render.size[1]))
    assert np.array_equal(dressed.images[0][top_of_it], plain.images[0][top_of_it])
    assert np.abs(dressed.images[0][-20:].astype(int) - (20, 40, 160)).max() <= 1
    assert (dressed.exact, dressed.alphas) == (False, ())
    notices = " ".join(dressed.notices)
    assert dressing.GARMENT_NOTICE in notices
    assert "576 x 864" in notices
    assert dressing.WORN_NOTICE in notices, "the context finds its face in every photo"
    assert "grading" not in notices


def test_an_edit_model_gets_both_pictures_and_words_for_the_kind() -> None:
    context = make_dressing(verbs=("edit",))
    draft = run_fashion(context, preset="street", garment_photo="y", garment_kind="one-piece")
    render = context.renders[-1]
    assert (render.verb, len(render.images)) == ("edit", 2)
    assert render.preserved_mask is not None
    assert render.caption is not None
    words = write_caption(render.caption, "qwen_image")
    for part in ("dress or suit of the second picture", "face, hair, hands, pose", "fully clothed"):
        assert part in words
        assert part in render.prompt or part == "face, hair, hands, pose"
    assert any("includes the look's colours" in notice for notice in draft.notices)
    assert dressing.WORN_NOTICE not in draft.notices


def test_who_cannot_be_dressed_is_told_why() -> None:
    with pytest.raises(BadInput, match="Choose one of them") as caught:
        run_fashion(make_dressing(), garment_photo="y", models=2)
    assert caught.value.param == "models"
    with pytest.raises(BadInput, match="No face was found"):
        run_fashion(make_dressing(person=False), garment_photo="y", preset="flat-lay")
    context = make_dressing(verbs=("edit",), reads_several=False)
    with pytest.raises(ModelUnavailable, match="reads one picture"):
        run_fashion(context, garment_photo="y")
    assert all(render.verb == "backdrop" for render in context.renders), "nothing is drawn in vain"


def test_somebody_seen_from_behind_is_dressed_and_a_draft_is_not() -> None:
    draft = run_fashion(make_dressing(person=False), garment_photo="y", keep=[[0.5, 0.5]])
    assert dressing.GARMENT_NOTICE in draft.notices
    assert not {dressing.HEAD_KEPT_NOTICE, dressing.HEAD_LOST_NOTICE} & set(draft.notices)
    context = make_dressing()
    context.draft = True
    run_fashion(context, garment_photo="y")
    assert all(render.verb == "backdrop" for render in context.renders)


def test_every_look_of_a_book_is_dressed() -> None:
    context = make_dressing()
    run_fashion(context, garment_photo="y", pdf="book", size=256)
    assert sum(render.verb == "tryon" for render in context.renders) == len(fashion.SEASONS)


def test_the_head_of_a_dressed_person_is_the_picture_s_own_though_the_model_draws_soft_and_shifted() -> None:
    portrait = load_portrait("astronaut")
    height, width = portrait.alpha.shape
    small = cv2.resize(drift(dress(portrait, skin=(2, 2, -2)), 3, 30, 1.004), None, fx=0.7, fy=0.7)
    drawn = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)

    class SoftContext(DressingContext):
        def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
            return RenderedImages((align_edit(render.images[0], drawn, render.preserved_mask).image,))

    context = SoftContext(portrait.image, portrait.alpha, (portrait.face,), ("tryon",))
    garment = dressing.Garment(make_noise(90, 60, 120, 9), "tops")
    dressed = dressing.dress_person(context, garment, portrait.image, portrait.alpha, portrait.face, 1, Recorder())
    head = find_head_alpha(portrait.face, portrait.alpha) >= 1
    assert dressing.HEAD_KEPT_NOTICE in dressed.notices
    assert np.array_equal(dressed.images[0][head], portrait.image[head])
    assert np.array_equal(dressed.images[0][: height // 12], portrait.image[: height // 12])
    chest = portrait.alpha * (np.arange(height)[:, None] > 0.75 * height) > 0.9
    assert np.abs(dressed.images[0][chest].astype(int) - portrait.image[chest]).mean() > 20
