"""Strokes of the brush: read with care, and drawn on a matte where they went and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha
from tests.support.examples import make_blob
from ui.tool_tab.brush_strokes import MAX_STROKE_COUNT, Stroke, apply_strokes, paints_anything, parse_strokes

SIZE = (600, 400)


def make_stroke(kind: Any, *points: tuple[float, float], radius: float = 0.05) -> Stroke:
    return Stroke(kind=kind, radius=radius, points=points)


def make_matte() -> Alpha:
    return make_blob(400, 600, (300, 200), (120, 90))


def test_keep_adds_drop_takes_away_and_the_rest_stays() -> None:
    was = make_matte()
    strokes = (make_stroke("keep", (0.1, 0.1), (0.2, 0.1)), make_stroke("drop", (0.5, 0.5)))
    now = apply_strokes(strokes, was, SIZE)
    assert now.dtype == np.float32
    assert (now[40, 60:120] == 1).all()
    assert now[200, 300] == 0
    beside = np.ones((400, 600), bool)
    beside[:80, :160] = beside[160:240, 260:340] = False
    np.testing.assert_array_equal(now[beside], was[beside])
    np.testing.assert_array_equal(apply_strokes((), was, SIZE), was)


def test_a_stroke_is_as_wide_as_it_was_seen() -> None:
    empty = np.zeros((400, 600), np.float32)
    dot, line = (
        apply_strokes((make_stroke("keep", *points),), empty, SIZE) > 0.5
        for points in (((0.5, 0.5),), ((0.3, 0.5), (0.7, 0.5)))
    )
    assert abs(int(dot[200].sum()) - 60) <= 1
    assert abs(int(dot[:, 300].sum()) - 60) <= 1
    assert abs(int(line[:, 300].sum()) - 60) <= 1
    assert abs(int(line[200].sum()) - 300) <= 2, "its ends are round"
    assert np.argwhere(dot).mean(axis=0) == pytest.approx((199.5, 299.5), abs=0.5)


def test_a_closed_stroke_fills_what_it_encloses() -> None:
    corners = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
    for closed, share in ((True, 0.36), (False, 0.0)):
        stroke = Stroke(kind="keep", radius=0.001, points=corners, closed=closed)
        filled = apply_strokes((stroke,), np.zeros((200, 200), np.float32), (200, 200))
        assert filled.mean() == pytest.approx(share, abs=0.02)
        assert filled[100, 100] == float(closed)


def test_the_last_stroke_counts() -> None:
    matte = make_matte()
    keep, drop, erase = (make_stroke(kind, (0.1, 0.1)) for kind in ("keep", "drop", "erase"))
    assert apply_strokes((drop, keep), matte, SIZE)[40, 60] == 1
    assert apply_strokes((keep, drop), matte, SIZE)[40, 60] == 0
    np.testing.assert_array_equal(apply_strokes((keep, drop, erase), matte, SIZE), matte)
    assert not paints_anything((erase,))
    assert paints_anything((erase, drop))


def test_strokes_of_another_size_are_brought_to_the_matte() -> None:
    stroke = make_stroke("keep", (0.1, 0.1), (0.3, 0.2))
    small, large = (apply_strokes((stroke,), np.zeros((800, 1200), np.float32), size) for size in (SIZE, (1200, 800)))
    assert small.shape == large.shape == (800, 1200)
    assert np.mean((small > 0.5) != (large > 0.5)) < 0.001


def test_what_the_page_sends_is_read() -> None:
    text = '[{"kind": "keep", "radius": 0.01, "points": [[0.25, 0.5], [-0.1, 1.2]]}]'
    assert parse_strokes(text) == (Stroke(kind="keep", radius=0.01, points=((0.25, 0.5), (-0.1, 1.2))),)
    assert parse_strokes("") == parse_strokes(None) == parse_strokes("[]") == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "fill"}, {"radius": 0}, {"radius": 1e9}, {"points": []}, {"points": [[0.1]]},
        {"points": [[0.1, 1e30]]}, {"points": [["a", 0]]}, {"more": 1},
    ],
)  # fmt: skip
def test_no_other_stroke_is_read(changed: dict[str, Any]) -> None:
    stroke = {"kind": "keep", "radius": 0.01, "points": [[0.1, 0.2]]}
    with pytest.raises(BadInput, match="cannot be read"):
        parse_strokes(json.dumps([stroke | changed]))


def test_text_that_is_no_json_and_too_many_strokes_are_refused() -> None:
    stroke = {"kind": "keep", "radius": 0.01, "points": [[0.1, 0.2]]}
    for text in ("{", "[NaN]", json.dumps([stroke] * (MAX_STROKE_COUNT + 1))):
        with pytest.raises(BadInput):
            parse_strokes(text)
    with pytest.raises(BadInput, match="too many"):
        parse_strokes(" " * 4_000_001)
    broad = {"kind": "keep", "radius": 0.5, "points": [[0, 0], [1, 1]] * 600}
    assert len(parse_strokes(json.dumps([broad]))) == 1
    with pytest.raises(BadInput, match="too many"):  # each would take seconds to draw
        parse_strokes(json.dumps([broad, broad]))
