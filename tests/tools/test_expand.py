"""A larger frame: the photo's own bytes lie in it, and what is added is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha
from pipelines.core.rendering import ToolOutput
from pipelines.matting.cutout import core_mask
from pipelines.tools import expand
from pipelines.tools.shared.form_fields import ASPECT_RATIOS
from tests.support.examples import Recorder, make_blob, make_noise
from tests.support.fake_context import FakeContext

ALPHA = make_blob(90, 120, (60, 45), (25, 25))


def make_context(*, model: bool = False, alpha: Alpha = ALPHA) -> FakeContext:
    """A noisy photo with a subject in its middle, and a model that paints almost black where there is one."""
    verbs = ("backdrop", "inpaint") if model else ("backdrop",)
    return FakeContext(make_noise(90, 120, 130, 20), alpha, verbs=verbs, colour=9, seed=2)


def run_expand(context: FakeContext, **values: Any) -> ToolOutput:
    return expand.run(expand.Expand(photo="x", **values), context, Recorder())


@pytest.mark.parametrize("ratio", ["1:1", "4:5", "3:2", "16:9", "9:16", "all-round"])
@pytest.mark.parametrize("model", [False, True])
def test_the_photo_lies_in_the_new_shape_byte_for_byte(ratio: str, model: bool) -> None:
    context = make_context(model=model)
    draft = run_expand(context, ratio=ratio)
    height, width = draft.images[0].shape[:2]
    if ratio in ASPECT_RATIOS:
        across, down = ASPECT_RATIOS[ratio]
        assert width / height == pytest.approx(across / down, rel=0.02)
    x, y = round((width - 120) / 2), round((height - 90) / 2)
    assert (draft.images[0][y : y + 90, x : x + 120] == context.image).all()
    assert draft.notices


def test_the_blur_invents_nothing_and_says_so() -> None:
    draft = run_expand(make_context())
    assert draft.notices == (expand.BLUR_NOTICE,)
    rim = draft.images[0][:, :8].astype(float)
    assert (
        np.abs(np.diff(rim, axis=0)).mean() < 0.3 * np.abs(np.diff(make_context().image.astype(float), axis=0)).mean()
    )


def test_a_model_draws_only_outside() -> None:
    context = make_context(model=True)
    image = run_expand(context, prompt="a garden").images[0]
    assert (context.renders[0].verb, context.renders[0].prompt) == ("inpaint", "a garden")
    assert (image[:, 0] == 9).all()


def test_a_scene_stands_behind_a_whole_subject_and_never_round_a_cut_one() -> None:
    whole = run_expand(make_context(), preset="scene", scene="oak")
    assert whole.source is not None
    core = core_mask(whole.source.alpha)
    assert (whole.images[0][core] == whole.source.colour[core]).all()
    cut = make_blob(90, 120, (110, 45), (30, 30))
    with pytest.raises(BadInput, match="right") as caught:
        run_expand(make_context(alpha=cut), preset="scene")
    assert caught.value.param == "preset"
    assert run_expand(make_context(alpha=cut), preset="scene", place_x=1).images[0].shape[1] == 160


def test_drawing_without_a_model_is_refused_by_name() -> None:
    with pytest.raises(BadInput) as caught:
        run_expand(make_context(), preset="draw")
    assert caught.value.param == "preset"
