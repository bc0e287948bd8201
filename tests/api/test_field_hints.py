"""What the page calls the brush or pointing, programs are told by the names of the fields."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.job import Job, Result
from pipelines.jobs.queue import JobRow
from pipelines.matting.cutout_notices import soft_patch_notices
from ui.api.errors import describe_error
from ui.api.field_hints import hint_fields
from ui.api.job_object import make_job_object

POINTS = "`keep` and `drop` (points [x, y] from 0 to 1)"


def read_notices(notices: list[str], params: dict[str, object]) -> list[str]:
    """The notices of a finished job with these, as every API answers them."""
    job = Job(id="job-1", tool="x", params=params, seed=1, profile="", specs={}, owner="ann", created=0.0)
    row = JobRow(job, "done", 0, None, Result((), {"notices": notices}, 1.0), None, 0.0, 0.0, 1.0)
    return make_job_object(row)["receipt"]["notices"]


def test_a_soft_edge_names_the_fields_that_mend_it() -> None:
    alpha = np.zeros((200, 200), np.float32)
    alpha[40:160, 40:160] = 1
    alpha[80:120, 154:160] = 0.5
    notices = list(soft_patch_notices(alpha, []))
    first, last = read_notices(notices, {"keep": [], "drop": [], "box": None, "pick": 0, "matte": None})
    assert "Point at it" in notices[0]
    assert first == notices[0]
    assert last == f"The fields for that: {POINTS}, `box`, `pick`, `matte` (a mask of your own)."
    first, last = read_notices(notices, {"photos": []})
    assert "mend" not in first
    assert last.startswith("No field here does that: run `cutout` on the photo first")


@pytest.mark.parametrize("notice", ["Choose another, or keep all by pointing at them.", "Point at what is meant."])
def test_a_gesture_is_followed_by_its_fields_once(notice: str) -> None:
    assert hint_fields([notice, notice], ("keep", "pick")) == [
        notice,
        notice,
        f"The fields for that: {POINTS}, `pick`.",
    ]
    assert hint_fields(["The points are earned."]) == ["The points are earned."]


@pytest.mark.parametrize(("fields", "name"), [(("prompt", "keep"), "prompt"), (("background", "keep"), "background")])
def test_whoever_asked_for_a_scene_that_is_not_here_is_told_how_to_choose_one(
    fields: tuple[str, ...], name: str
) -> None:
    told = hint_fields(
        ["No such scene here: 'x'. Closest three: Oak, Park, Hall. Until you choose, Park stands in."], fields
    )
    assert told[1:] == [f"Give the name of one of the three as `{name}` to have it."]


def test_an_error_names_them_too() -> None:
    told = describe_error(BadInput("Paint over what is to go, or point at it.", param="mask"))
    assert str(told["message"]).endswith(f"The fields for that: `mask`, {POINTS}, `box`.")
    assert describe_error(BadInput("Too small."))["message"] == "Too small."
