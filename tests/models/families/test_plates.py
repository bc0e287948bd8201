"""Sets and photographs as scenes: files, crops, blur, light, and what they tell the compositing."""

from __future__ import annotations

import hashlib
import weakref
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from pipelines.core.errors import ModelUnavailable
from pipelines.core.rendering import Backdrop, ModelStep, RenderedImages, RenderRequest
from pipelines.imaging.color import measure_lightness
from pipelines.models.families.scenes import model as scenes_model
from pipelines.models.families.scenes import plates
from pipelines.models.families.scenes.catalog.plates import PHOTOGRAPHS, RENDERED_IDS, SETS
from pipelines.models.families.scenes.keyword_search import SCENES, find_scene
from pipelines.models.families.scenes.scene_types import Plate
from pipelines.models.families.scenes.subject_matching import limit_gain

PRODUCT = Backdrop(floor_ratio=0.84, subject="product", key_light_side="left", seen_from="three-quarter")
PERSON = Backdrop(horizon_ratio=0.38, subject="person")
LOOKS = [row.look for row in (*SETS, *PHOTOGRAPHS) if isinstance(row.look, Plate)]
TABLES = [look for look in LOOKS if look.stands]


@pytest.fixture(scope="module")
def model():
    loaded = scenes_model.load(scenes_model.specs[0], "cpu")
    yield loaded
    loaded.close()


def drawn(model, asked: Backdrop, scene: str, size=(256, 256), seeds=(7,)) -> RenderedImages:
    request = RenderRequest("backdrop", "", size, seeds, backdrop=replace(asked, scene=scene))
    return model.draw(request, lambda step: isinstance(step, ModelStep))


def test_every_plate_ships_whole_and_is_listed_and_small():
    total = 0
    for look in LOOKS:
        path, truth = plates.PLATE_FOLDERS[look.source] / f"{look.id}.webp", plates.read_truths(look.source)[look.id]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == truth.sha256
        total += path.stat().st_size
        with PIL.Image.open(path) as picture:  # the test of what is kept decodes them all
            assert min(picture.size) >= 1000, look.id
    assert total <= 9 * 2**20
    assert {look.id for look in LOOKS if look.source == "set"} == set(plates.read_truths("set")) == RENDERED_IDS
    assert {look.id for look in LOOKS if look.source == "photo"} == set(plates.read_truths("photo"))


def test_surfaces_that_stand_in_for_sets_are_there():
    for look in TABLES:
        assert not look.surface or find_scene(look.surface).kind == "surface"
    with_sets = [row.plate.id for row in SCENES if row.plate is not None]
    assert len(with_sets) == len(set(with_sets)) == 5


def test_damaged_plate_is_unavailable(tmp_path, monkeypatch):
    look = TABLES[0]
    (tmp_path / f"{look.id}.webp").write_bytes(b"no picture")
    (tmp_path / "plates.json").write_text((plates.PLATE_FOLDERS["set"] / "plates.json").read_text())
    monkeypatch.setitem(plates.PLATE_FOLDERS, "set", tmp_path)
    with pytest.raises(ModelUnavailable, match="damaged"):
        plates.decode_plate(look)


def count_decoded_bytes(look: Plate) -> int:
    with PIL.Image.open(plates.PLATE_FOLDERS[look.source] / f"{look.id}.webp") as picture:
        return 3 * picture.width * picture.height


def test_decoded_plates_are_kept_and_bounded(monkeypatch):
    decode, decoded, images = plates.decode_plate, [], []

    def decode_and_count(look: Plate):
        decoded.append(look.id)
        image = decode(look)
        images.append(weakref.ref(image))
        return image

    def count_kept_bytes():
        return sum(image.nbytes for each in images if (image := each()) is not None)

    monkeypatch.setattr(plates, "decode_plate", decode_and_count)
    monkeypatch.setattr(plates, "MAX_DECODED_BYTES", int(2.5 * max(map(count_decoded_bytes, LOOKS))))
    model = scenes_model.load(scenes_model.specs[0], "cpu")
    scenes = [row.id for row in (*SETS, *PHOTOGRAPHS)]
    for scene in scenes:
        drawn(model, PERSON, scene, size=(32, 32))
        assert count_kept_bytes() <= plates.MAX_DECODED_BYTES
    assert decoded == [look.id for look in LOOKS]
    for scene in (scenes[-1], scenes[-2]):  # kept
        drawn(model, PERSON, scene, size=(32, 32))
    assert len(decoded) == len(LOOKS)
    drawn(model, PERSON, scenes[0], size=(32, 32))  # has made room for those after it
    assert decoded[len(LOOKS) :] == [scenes[0]]
    model.close()
    assert count_kept_bytes() == 0
    drawn(model, PERSON, scenes[0], size=(32, 32))
    assert decoded[len(LOOKS) :] == [scenes[0]] * 2


@pytest.mark.parametrize("size", [(512, 512), (512, 640), (640, 360), (360, 640)])
@pytest.mark.parametrize("floor", [0.7, 0.84, 0.92])
def test_ground_in_focus_lies_where_the_product_stands(size, floor):
    for look in TABLES:
        truth = plates.read_truths("set")[look.id]
        asked = replace(PRODUCT, floor_ratio=floor)
        left, top, width, height = plates.fit_crop(look, truth, (1152, 1152), asked, size, 0)
        assert 0 <= left <= left + width <= 1 + 1e-6
        assert 0 <= top <= top + height <= 1 + 1e-6
        assert width * size[1] == pytest.approx(height * size[0])
        assert truth.contact is not None
        assert abs(top + floor * height - truth.contact) <= plates.CONTACT_SLACK_RATIO + 1e-6


def test_a_set_is_mirrored_to_the_photo_s_light_and_says_so_of_its_ground(model):
    for side, sign in (("left", -1), ("right", 1)):
        (ground,) = drawn(model, replace(PRODUCT, key_light_side=side), "oak-window").grounds
        assert ground is not None
        assert np.sign(ground.key[0]) == sign


def test_a_place_that_people_know_is_never_mirrored(model):
    left, right = (
        drawn(model, replace(PERSON, key_light_side=side), "colosseum", (192, 128)).images[0]
        for side in ("left", "right")
    )
    assert np.array_equal(left, right)


@pytest.mark.parametrize(("pitch", "is_set"), [(None, True), (14.0, True), (21.0, True), (33.0, False), (60.0, False)])
def test_a_surface_is_the_set_only_where_the_cameras_agree(model, pitch, is_set):
    (ground,) = drawn(model, replace(PRODUCT, camera_pitch=pitch), "marble").grounds
    assert (ground is not None) is is_set


def test_a_set_from_another_height_gives_way_to_the_surface_that_tilts_and_says_so(model):
    result = drawn(model, replace(PRODUCT, seen_from="above", camera_pitch=60.0), "marble-bath")
    assert result.grounds == (None,)
    assert any("Marble tilts to it" in notice for notice in result.notices)


def test_a_colour_of_one_s_own_is_no_set(model):
    assert drawn(model, replace(PRODUCT, colour=(200, 40, 40)), "podium").grounds == (None,)


def test_a_figure_stands_on_a_room_s_ground_and_a_bust_does_not(model):
    pitches = []
    for floor in (0.8, 0.92):
        (ground,) = drawn(model, replace(PERSON, floor_ratio=floor, key_light_side="left"), "hallway").grounds
        assert ground is not None
        assert ground.reflection == pytest.approx(0.12)
        pitches.append(ground.pitch)
    assert 8 < pitches[0] < pitches[1] < 20, "what stands lower is seen from farther above"
    assert drawn(model, PERSON, "hallway").grounds == (None,)
    assert drawn(model, replace(PERSON, floor_ratio=0.42), "hallway").grounds == (None,), "that is the wall"
    assert drawn(model, replace(PERSON, floor_ratio=0.92), "night-bridge").grounds == (None,), "nothing is known of it"


@pytest.mark.parametrize("scene", [look.id for look in LOOKS if not look.has_ground])
def test_feet_stand_on_a_terrace_where_a_photograph_shows_no_ground(model, scene):
    asked = replace(PERSON, floor_ratio=0.9)
    view, terrace = (drawn(model, each, scene, (320, 320)) for each in (PERSON, asked))
    assert (view.scenery, terrace.scenery) == ("photographed", "mixed")
    changed = np.abs(view.images[0].astype(int) - terrace.images[0]).max(axis=(1, 2)) > 12
    assert changed[280:].all(), "under the feet"
    above, seen = (each.images[0][:240].ravel().astype(float) for each in (view, terrace))
    assert np.corrcoef(above, seen)[0, 1] > 0.99, "the view is as it was, but for its exposure"
    paving = terrace.images[0][280:].astype(int)
    assert np.ptp(paving.mean(axis=(0, 1))) < 40, "stone, a little tinted by the view's light"


def test_whoever_stands_in_the_sand_stands_on_the_photograph_s_own(model):
    view, standing = (drawn(model, replace(PERSON, floor_ratio=floor), "sand-dunes").images[0] for floor in (None, 0.9))
    assert np.array_equal(view, standing)


def test_a_room_s_black_comes_nearer_to_the_subject_s_and_bright_sand_keeps_its_own(model):
    def black(scene: str, shadow: float | None) -> float:
        (image,) = drawn(model, replace(PERSON, shadow_lightness=shadow), scene).images
        return float(np.quantile(measure_lightness(image), 0.02))

    before, after = black("hallway", None), black("hallway", 1.0)
    assert 0.3 < (before - after) / (before - 1) < 0.7
    sand = replace(PERSON, subject="product", floor_ratio=0.85)
    plain, asked = (drawn(model, replace(sand, shadow_lightness=own), "sand-dunes").images[0] for own in (None, 1.0))
    assert np.array_equal(plain, asked)


def test_more_blur_blurs_what_is_far_and_keeps_the_ground():
    look = next(look for look in TABLES if look.id == "oak-window")
    truth = plates.read_truths("set")[look.id]
    assert truth.contact is not None
    stripes = np.zeros((400, 400, 3), np.float32)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 1
    seen = plates._blur_by_depth(look, truth, stripes, 0.04, (0.0, 0.0, 1.0, 1.0))
    contrast = seen.std(axis=(1, 2)) / 0.5
    ground = round(truth.contact * 400)
    assert contrast[ground - 8 : ground + 8].mean() > 0.9
    assert contrast[20:120].mean() < 0.3


def test_exposure_moves_a_stop_at_most_and_clips_nothing_that_did_not_clip():
    light = np.full((32, 32, 3), 0.2, np.float32)
    light[:8] = 0.8
    place, sunset = find_scene("mountain-lake"), find_scene("city-sunset")
    assert limit_gain(light, place, 3.0) == pytest.approx(1.25)
    assert limit_gain(light, place, 0.1) == 0.5
    assert limit_gain(light, sunset, 1.7) == 1.0


def test_a_subject_in_flash_before_dusk_is_told_what_to_do(model):
    def notices(scene: str, lightness: float) -> tuple[str, ...]:
        return drawn(model, replace(PERSON, subject_lightness=lightness), scene, (64, 64)).notices

    assert any("choose Subject: Relit, or a brighter scene" in notice for notice in notices("skyline-night", 70.0))
    assert not notices("skyline-night", 35.0)
    assert not notices("mountain-lake", 70.0)


def test_a_subject_in_more_light_than_a_place_has_is_told_what_to_do(model):
    def notices(lights: float) -> tuple[str, ...]:
        asked = replace(PERSON, subject_lightness=40.0, subject_lights=lights)
        return drawn(model, asked, "blue-flowers", (64, 64)).notices

    assert any("choose Subject: Relit, or a brighter scene" in notice for notice in notices(97.0))
    assert not notices(75.0)
