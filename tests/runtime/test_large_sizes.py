"""Pictures beyond 2048 px: scenes are drawn at that and enlarged, and the photo's pixels are counted."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.params import MAX_SIDE
from pipelines.core.rendering import Backdrop, RenderedImages, RenderRequest
from pipelines.framing.placement import enlargement_notices
from pipelines.runtime import context
from pipelines.tools import find_tool


@pytest.mark.parametrize(
    ("request_", "drawn"),
    [
        (RenderRequest("backdrop", "", (3000, 2400), (1,), backdrop=Backdrop()), (2048, 1638)),
        (RenderRequest("backdrop", "", (2048, 1024), (1,), backdrop=Backdrop()), (2048, 1024)),
        (RenderRequest("edit", "", (3000, 2400), (1,)), (3000, 2400)),
        (
            RenderRequest("backdrop", "", (3000, 2400), (1,), backdrop=Backdrop(picture=np.zeros((9, 9, 3), np.uint8))),
            (3000, 2400),
        ),
    ],
    ids=["a scene", "a scene that fits", "an edit", "the user's own picture"],
)
def test_only_a_drawn_scene_is_drawn_smaller(request_: RenderRequest, drawn: tuple[int, int]) -> None:
    assert context._limit_drawn_size(request_).size == drawn


def test_a_scene_comes_in_the_size_that_was_asked_for() -> None:
    small = RenderedImages((np.full((20, 30, 3), 90, np.uint8),), alphas=(np.ones((20, 30), np.float32),))
    large = context._enlarge_drawn(small, (60, 40))
    assert (large.images[0].shape, large.alphas[0].shape) == ((40, 60, 3), (40, 60))
    assert context._enlarge_drawn(small, (30, 20)) is small


def test_a_large_picture_says_where_the_photo_has_fewer_pixels() -> None:
    assert enlargement_notices(1.5, MAX_SIDE) == ()
    assert enlargement_notices(1.5, 3000) == ("Enlarged 1.5 times: a larger photo would be sharper.",)
    assert enlargement_notices(1.0, 3000) == ()


@pytest.mark.parametrize("tool", ["product", "headshot", "background"])
def test_the_tools_that_keep_the_photos_pixels_take_3000(tool: str) -> None:
    form = find_tool(tool).params
    assert form.model_validate({"photo": "file-x", "size": 3000}).model_dump()["size"] == 3000
