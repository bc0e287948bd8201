"""A scene that a model draws around the subject: what it moved is put back, and the subject's own pixels stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Image
from pipelines.core.job import Result
from pipelines.core.models import ModelFamily, ModelSpec, Verb
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.imaging.color import flatten_on_white
from pipelines.matting.cutout import core_mask
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families import FAMILIES
from pipelines.models.families.flux2 import Flux2Model
from pipelines.models.model_cache import ModelCache
from pipelines.models.profiles import EMBEDDED
from pipelines.tools import background, product
from pipelines.tools.shared.clothes_edit import DRAWN_NOTICE
from tests.compositing.test_registration import apply_drift, change_colours
from tests.models.support import family_checks
from tests.models.support.tiny_flow_checkpoints import tiny_klein
from tests.support.examples import load_example
from tests.support.real_studio import RealStudio

# As the words say it: pixels, direction in degrees, zoom.
SLIDES: dict[str, tuple[float, float, float]] = {"near": (9, 30, 1.03), "far": (26, 200, 0.93), "gone": (0, 0, 1.6)}


class SlidingModel:
    """An edit model that draws a forest around a subject, which it tans, moves and enlarges as the words say."""

    specs = (ModelSpec("sliding", "sliding", ("edit",), "MIT"),)

    def __init__(self) -> None:
        self.renders: list[RenderRequest] = []

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return 1

    def load(self, spec: ModelSpec, device: str) -> SlidingModel:
        return self

    @property
    def spec(self) -> ModelSpec:
        return self.specs[0]

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        self.renders.append(render)
        on_step(ModelStep(1, 1))
        return RenderedImages(tuple(self._draw_one(render, seed) for seed in render.seeds))

    def _draw_one(self, render: RenderRequest, seed: int) -> Image:
        assert render.preserved_mask is not None
        photo = render.images[0]
        height, width = photo.shape[:2]
        ground = np.asarray(cv2.resize(load_example("coffee"), (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        soft = render.preserved_mask[..., None]
        drawn = np.asarray(soft * change_colours(photo) + (1 - soft) * np.roll(ground, seed, axis=1), np.uint8)
        words = next(word for word in SLIDES if word in render.prompt)
        return apply_drift(drawn, *SLIDES[words])[0]

    def close(self) -> None:
        pass


class EditStudio(RealStudio):
    """A studio whose profile has an edit model, or not."""

    def __init__(self, root: Path, specs: dict[Verb, str], family: ModelFamily | None = None) -> None:
        self.model = SlidingModel()
        cache = ModelCache((*FAMILIES, family or self.model))
        profile = replace(EMBEDDED, specs={**EMBEDDED.specs, **specs})
        super().__init__(root, (background.TOOL, product.TOOL), cache=cache, profile=profile)
        self.photo = self.add_image(load_example("astronaut"))

    def edit(self, tool: str = "background", **values: Any) -> Result:
        """Make a picture with the default photo and consent."""
        asked: dict[str, Any] = {"photo": self.photo, "seed": 1, "size": 256, "consent": True, **values}
        return self.make(tool, **asked)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EditStudio]:
    with EditStudio(tmp_path_factory.mktemp("around"), {"edit": "sliding"}) as studio:
        yield studio


def read_undone_move(result: Result) -> tuple[float, float]:
    """Pixels and the zoom that the receipt says were undone."""
    (said,) = [note for note in result.receipt["notices"] if "this was undone" in note]
    found = re.search(r"by ([\d.]+) px and (enlarged|shrank) it by ([\d.]+)%", said)
    assert found is not None
    return float(found[1]), 1 + (1 if found[2] == "enlarged" else -1) * float(found[3]) / 100


@pytest.fixture(scope="module")
def near(studio: EditStudio) -> tuple[Result, RenderRequest]:
    """The default photo in its own size before what the model drew, and what the model was asked."""
    result = studio.edit(prompt="near", around=True, size=512)
    return result, studio.model.renders[-1]


@pytest.mark.parametrize("words", ["near", "far"])
def test_what_the_model_moved_is_told_and_undone_and_every_pixel_of_the_subject_is_the_photo_s(
    studio: EditStudio, near: tuple[Result, RenderRequest], words: str
) -> None:
    result = near[0] if words == "near" else studio.edit(prompt=words, around=True, size=320)
    shift, _, zoom = SLIDES[words]
    pixels, factor = read_undone_move(result)
    assert pixels == pytest.approx(shift, abs=0.5)
    assert factor == pytest.approx(zoom, abs=0.003)
    checks = result.receipt["checks"]
    assert checks["core_changed_pixels"] == 0
    assert result.receipt["mode"] == "exact"
    # Of the picture that leaves: the model had tanned the skin, and that is not seen any more.
    assert checks["drift_shift_px"] < 0.1
    assert checks["drift_zoom_percent"] < 0.1
    assert checks["skin_delta_e"] < 1
    assert checks["face_geometry_percent"] < 1
    assert "sliding" in {row["id"] for row in result.receipt["models"]}
    assert background.scene_edit.DRAWN_NOTICE in result.receipt["notices"]


def test_the_scene_around_the_subject_is_what_the_model_drew(
    studio: EditStudio, near: tuple[Result, RenderRequest]
) -> None:
    image, alpha = flatten_on_white(studio.open_result(near[0])).astype(int), near[1].preserved_mask
    assert alpha is not None
    assert np.array_equal(image[core_mask(alpha)], load_example("astronaut")[core_mask(alpha)])
    ground = np.roll(cv2.resize(load_example("coffee"), (512, 512), interpolation=cv2.INTER_AREA), 1, axis=1)
    # Two resamplings stand between; at the rim the model's own picture ends.
    outside = (cv2.dilate((alpha > 0).astype(np.uint8), np.ones((25, 25), np.uint8)) == 0)[40:-40, 40:-40]
    assert np.abs(image - ground)[40:-40, 40:-40][outside].mean() < 6


def test_a_subject_that_cannot_be_put_back_gets_the_plain_scene_and_a_notice(studio: EditStudio) -> None:
    astray, plain = studio.edit(prompt="gone forest", around=True), studio.edit(prompt="gone forest")
    assert astray.files[0].pixels_sha256 == plain.files[0].pixels_sha256
    assert astray.receipt["checks"]["core_changed_pixels"] == 0
    assert any("could not be found where your photo has it" in note for note in astray.receipt["notices"])
    assert background.scene_edit.DRAWN_NOTICE not in astray.receipt["notices"]


def test_variations_layers_and_another_shape_are_drawn_around_it_too(studio: EditStudio) -> None:
    result = studio.edit(prompt="near", around=True, variations=2, layers=True, ratio="16:9")
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    assert [file.format for file in result.files if file.role == "layers"] == ["ora", "zip"] * 2
    assert result.files[0].pixels_sha256 != result.files[1].pixels_sha256
    start = studio.model.renders[-1].images[0]
    assert start.shape == (144, 256, 3)
    assert start[:, :4].std() > 1, "the photo's last pixels go on to the edge: no black bars"


def test_a_sheet_reports_the_pictures_that_are_on_it(studio: EditStudio) -> None:
    result = studio.edit(prompt="near", around=True, contact_sheet=True, size=256)
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    assert result.receipt["checks"]["skin_delta_e"] < 1
    assert len(studio.model.renders[-1].seeds) == 4


def test_products_together_keep_every_pixel_before_what_the_model_drew(studio: EditStudio) -> None:
    cup = studio.add_image(load_example("coffee"))
    result = studio.edit(
        "product", photo=cup, beside=[studio.photo], background="near", around=True, layers=True, ratio="16:9"
    )
    shift, _, zoom = SLIDES["near"]
    assert read_undone_move(result) == (pytest.approx(shift, abs=0.5), pytest.approx(zoom, abs=0.003))
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    notices = result.receipt["notices"]
    assert not any("pixels changed inside them" in note for note in notices), "no praise beside a doubtful cut-out"
    assert background.scene_edit.DRAWN_NOTICE in notices
    assert [file.format for file in result.files if file.role == "layers"] == ["ora", "zip"]


def test_a_product_that_cannot_be_put_back_stands_on_the_plain_scene(studio: EditStudio) -> None:
    astray, plain = (
        studio.edit("product", background="gone forest", around=asked, photo=studio.photo) for asked in (True, False)
    )
    assert astray.files[0].pixels_sha256 == plain.files[0].pixels_sha256
    assert any("could not be found where your photo has it" in note for note in astray.receipt["notices"])


@pytest.mark.parametrize("values", [{"preset": "amazon"}, {"preset": "transparent"}, {"preset": "brand-colour"}])
def test_a_ground_that_is_promised_is_not_drawn_over(studio: EditStudio, values: dict[str, str]) -> None:
    drawn = len(studio.model.renders)
    assert product.PLAIN_GROUND_NOTICE in studio.edit("product", around=True, **values).receipt["notices"]
    assert len(studio.model.renders) == drawn


def test_one_s_own_backdrop_is_laid_as_it_is_and_a_live_preview_waits_for_no_model(studio: EditStudio) -> None:
    own = studio.add_image(load_example("coffee"))
    drawn = len(studio.model.renders)
    result = studio.edit(backdrop=own, around=True)
    assert background.scene_edit.OWN_BACKDROP_NOTICE in result.receipt["notices"]
    receipt = studio.edit(preset="studio-grey", colour="#204060", around=True).receipt
    assert background.scene_edit.OWN_BACKDROP_NOTICE in receipt["notices"]
    form = {"photo": studio.photo, "prompt": "near", "around": True}
    studio.make("background", draft=True, **form)
    assert len(studio.model.renders) == drawn


def test_a_checkpoint_of_the_real_classes_is_asked_and_its_noise_is_not_pasted_on(tmp_path: Path) -> None:
    row = family_checks.tiny_row("flux2", str(tiny_klein(tmp_path / "klein")), ("edit",))
    studio = EditStudio(tmp_path / "data", {"edit": row.id}, CheckpointFamily(Flux2Model, (row,)))
    result, plain = (studio.edit(prompt="forest", around=asked, size=256) for asked in (True, False))
    assert row.id in {each["id"] for each in result.receipt["models"]}
    assert result.files[0].pixels_sha256 == plain.files[0].pixels_sha256
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    assert any("could not be found where your photo has it" in note for note in result.receipt["notices"])
    assert_garment_is_drawn(studio, row.id)
    studio.close()


def assert_garment_is_drawn(studio: EditStudio, model_id: str) -> None:
    """A garment by itself is called drawn, and the receipt has its words."""
    made = studio.edit("product", clothes="ghost-mannequin", garment="the orange suit", preset="amazon", size=256)
    assert model_id in {each["id"] for each in made.receipt["models"]}
    assert made.receipt["mode"] == "redrawn"
    assert made.receipt["words"][0].startswith("Show only the garment in the photo (the orange suit), ")
    assert "core_changed_pixels" not in made.receipt["checks"]
    assert DRAWN_NOTICE in made.receipt["notices"]


def test_without_an_edit_model_it_is_locked_with_the_sentence_of_every_such_field(tmp_path: Path) -> None:
    studio = EditStudio(tmp_path, {})
    with pytest.raises(ModelUnavailable, match="Draw the scene around the subject"):
        studio.edit(prompt="near", around=True)
    with pytest.raises(ModelUnavailable, match="'Clothes' needs a model for: edit"):
        studio.edit("product", clothes="flat-lay")
    assert studio.edit(prompt="forest", size=256).receipt["checks"]["core_changed_pixels"] == 0
    studio.close()
