"""A larger frame: the photo's own bytes lie in it, and what is added is said."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Face, Image
from pipelines.core.rendering import RenderedImages, RenderRequest, ToolOutput
from pipelines.matting.cutout import core_mask
from pipelines.tools import expand
from pipelines.tools.shared.form_fields import ASPECT_RATIOS
from tests.support.examples import Recorder, blob, noisy


class Room:
    """A noisy photo with a subject in its middle."""

    seed, draft = 2, False

    def __init__(self, *, model: bool = False, alpha: Alpha | None = None) -> None:
        self.image, self.model = noisy(90, 120, 130, 20), model
        self.alpha = blob(90, 120, (60, 45), (25, 25)) if alpha is None else alpha
        self.renders: list[RenderRequest] = []

    def open_image(self, _: str) -> Image:
        return self.image

    def cut_out_subject(self, *_) -> Cutout:
        return Cutout(self.image, self.alpha)

    def detect_faces(self, _: str) -> tuple[Face, ...]:
        return ()

    def has_verb(self, verb: str) -> bool:
        return self.model or verb == "backdrop"

    def draw(self, render: RenderRequest, _) -> RenderedImages:
        self.renders.append(render)
        return RenderedImages((np.full((render.size[1], render.size[0], 3), 9, np.uint8),))


def make(room: Room, **values) -> ToolOutput:
    return expand.run(expand.Expand(photo="x", **values), room, Recorder())  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("ratio", ["1:1", "4:5", "3:2", "16:9", "9:16", "all-round"])
@pytest.mark.parametrize("model", [False, True])
def test_the_photo_lies_in_the_new_shape_byte_for_byte(ratio: str, model: bool) -> None:
    room = Room(model=model)
    draft = make(room, ratio=ratio)
    height, width = draft.images[0].shape[:2]
    if ratio in ASPECT_RATIOS:
        across, down = ASPECT_RATIOS[ratio]
        assert width / height == pytest.approx(across / down, rel=0.02)
    x, y = round((width - 120) / 2), round((height - 90) / 2)
    assert (draft.images[0][y : y + 90, x : x + 120] == room.image).all()
    assert draft.notices


def test_the_blur_invents_nothing_and_says_so() -> None:
    draft = make(Room())
    assert draft.notices == (expand.BLUR_NOTICE,)
    rim = draft.images[0][:, :8].astype(float)
    assert np.abs(np.diff(rim, axis=0)).mean() < 0.3 * np.abs(np.diff(Room().image.astype(float), axis=0)).mean()


def test_a_model_draws_only_outside() -> None:
    room = Room(model=True)
    image = make(room, prompt="a garden").images[0]
    assert (room.renders[0].verb, room.renders[0].prompt) == ("inpaint", "a garden")
    assert (image[:, 0] == 9).all()


def test_a_scene_stands_behind_a_whole_subject_and_never_round_a_cut_one() -> None:
    whole = make(Room(), preset="scene", scene="oak")
    assert whole.source is not None
    core = core_mask(whole.source.alpha)
    assert (whole.images[0][core] == whole.source.colour[core]).all()
    cut = blob(90, 120, (110, 45), (30, 30))
    with pytest.raises(BadInput, match="right") as caught:
        make(Room(alpha=cut), preset="scene")
    assert caught.value.param == "preset"
    assert make(Room(alpha=cut), preset="scene", place_x=1).images[0].shape[1] == 160


def test_drawing_without_a_model_is_refused_by_name() -> None:
    with pytest.raises(BadInput) as caught:
        make(Room(), preset="draw")
    assert caught.value.param == "preset"
