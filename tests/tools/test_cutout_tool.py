"""Cut-out of several subjects: each once, every pixel its own, one file or one each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Subject
from pipelines.core.rendering import ToolOutput
from pipelines.quality.output_checks import CheckInput, run_checks
from pipelines.runtime.receipt import FLATTENED_NOTICE
from pipelines.tools import cutout as tool
from tests.support.examples import Recorder, make_blob, make_noise
from tests.support.fake_context import FakeContext
from tests.support.real_studio import RealStudio

SHAPE = (200, 360)
CENTRES = ((80, 100), (190, 110), (290, 90))
PHOTO = make_noise(*SHAPE, 120, 14)


class ThreeSubjects(FakeContext):
    """A photo of three ellipses; the third look finds the second once more."""

    def cut_out_subject(self, params: Subject, emit: ProgressCallback, *, together: bool = False) -> Cutout:
        if params.pick > 3:
            raise BadInput("There are only 4 subjects in this photo.", code="no_subject", param="pick")
        return Cutout(self.image, make_alpha((0, 1, 1, 2)[params.pick]), (f"look {params.pick}",))


def make_alpha(n: int) -> Alpha:
    return make_blob(*SHAPE, CENTRES[n], (40, 60))


def run_cutout(**values: Any) -> ToolOutput:
    return tool.run(tool.CutOut(photo="x", **values), ThreeSubjects(PHOTO), Recorder())


def test_each_subject_is_a_file_of_its_own_and_comes_once() -> None:
    draft = run_cutout(subjects="each")
    assert draft.names == ("subject-1", "subject-2", "subject-3")
    assert draft.archive_name == "subjects"
    assert "3 subjects." in draft.notices
    for image, matte, row in zip(draft.images, draft.alphas, draft.sources, strict=True):
        assert row is not None
        assert image.shape[2] == 4
        assert (image[..., 3] == np.clip(matte * 255 + 0.5, 0, 255).astype(np.uint8)).all()
        checks = run_checks(CheckInput(image, ToolOutput(images=(image,), source=row[1]), PHOTO))
        assert checks["core_changed_pixels"] == 0


def test_a_preview_is_as_transparent_as_the_picture() -> None:
    previews: list[Any] = []
    tool.run(
        tool.CutOut(photo="x"),
        ThreeSubjects(PHOTO),
        lambda stage, index, total, preview=None: previews.append(preview() if callable(preview) else preview),
    )
    assert (previews[-1][..., 3] == np.clip(make_alpha(0) * 255 + 0.5, 0, 255).astype(np.uint8)).all()


def test_one_subject_is_not_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "_cut_out_each", lambda *given: [Cutout(PHOTO, make_alpha(0))])
    assert "1 subject." in run_cutout(subjects="all").notices


def test_all_together_are_one_picture_in_their_places() -> None:
    draft = run_cutout(subjects="all", trim=False)
    (image,) = draft.images
    every = np.maximum(np.maximum(make_alpha(0), make_alpha(1)), make_alpha(2))
    assert (image[..., 3] == np.clip(every * 255 + 0.5, 0, 255).astype(np.uint8)).all()
    assert (image[every > 0.99][:, :3] == PHOTO[every > 0.99]).all()
    assert draft.names == ()


def test_the_main_one_is_as_it_always_was() -> None:
    draft = run_cutout()
    assert len(draft.images) == 1
    assert draft.notices == ("look 0",)


def test_a_matte_of_ones_own_is_all_there_is() -> None:
    assert len(run_cutout(subjects="each", matte="m").images) == 1


def test_a_photo_with_nothing_in_it_is_refused_as_before() -> None:
    with pytest.raises(BadInput, match="Nothing stands out"):
        tool.run(tool.CutOut(photo="x", subjects="all"), FakeContext(PHOTO), Recorder())


@pytest.mark.parametrize("moved", [{"placement_x": 0.4}, {"placement_y": -0.5}, {"placement_scale": 1.5}])
def test_what_is_trimmed_is_whole_wherever_it_was_moved(moved: dict[str, float]) -> None:
    draft = run_cutout(margin=0, **moved)
    assert run_checks(CheckInput(draft.images[0], draft, PHOTO))["core_changed_pixels"] == 0
    plain, other = run_cutout(margin=0).alphas[0], draft.alphas[0]
    scale = moved.get("placement_scale", 1.0)
    assert other.shape == pytest.approx(tuple(scale * side for side in plain.shape), abs=2)
    assert other.sum() == pytest.approx(scale**2 * plain.sum(), rel=0.05)


def test_a_cut_out_as_jpeg_says_that_it_is_on_white(studio: RealStudio) -> None:
    photo = studio.photos["coffee"]
    assert FLATTENED_NOTICE in studio.make("cutout", photo=photo, format="jpeg").receipt["notices"]
    assert FLATTENED_NOTICE not in studio.make("cutout", photo=photo, format="webp").receipt["notices"]
    product = studio.make("product", photo=photo, preset="amazon", format="jpeg")
    assert FLATTENED_NOTICE not in product.receipt["notices"]
