"""What marks changed, and where its edges are looked for."""

from __future__ import annotations

import numpy as np

from pipelines.core.geometry import Alpha, Image
from pipelines.imaging.resize import resize_map
from pipelines.matting.cutout import finish_alpha
from pipelines.matting.marked_edges import (
    draw_marks,
    find_dropped_detail,
    find_marked_change,
    follow_preview,
    measure_nearness,
)
from tests.support.examples import make_noise


def draw_shoe() -> tuple[Image, Alpha, Alpha]:
    """A pale box with a brown shadow at its left on a white ground; the box, and what a net sees: the shadow too."""
    image = make_noise(400, 400, 235, 2).copy()
    truth = np.zeros((400, 400), np.float32)
    truth[100:300, 160:320] = 1
    image[100:300, 160:320] = make_noise(200, 160, 150, 2)
    image[180:300, 80:160] = np.clip(make_noise(120, 80, 90, 2).astype(int) - (0, 15, 30), 0, 255)
    seen = truth.copy()
    seen[180:300, 80:160] = 1
    return image, truth, seen


def test_where_a_dropped_region_ends_roughly_the_colours_say_where_the_edge_runs() -> None:
    image, truth, seen = draw_shoe()
    selected = truth.copy()
    teeth = np.arange(180, 300) % 8 < 4
    selected[180:300, 158:162] = np.where(teeth, 1.0, 0.0)[:, None]  # as pixels of the small copy end
    selected[180:300, 162:] = truth[180:300, 162:]
    wide = finish_alpha(image, selected, seen, None, is_pointed=True)
    narrow = finish_alpha(image, selected, seen, None, is_pointed=False)
    edge = np.s_[185:295, 150:170]
    assert np.abs(wide - truth)[edge].mean() < 0.6 * np.abs(narrow - truth)[edge].mean()
    assert wide[185:295, 85:150].max() < 0.02, "nothing that was dropped comes back"


def test_what_was_changed_is_told_from_what_nets_see() -> None:
    _image, truth, seen = draw_shoe()
    change = find_marked_change(truth, seen)
    assert np.array_equal(change.took, seen > truth)
    assert not change.brought.any()
    edge = change.find_edge(truth)
    assert edge[200:290, 159].all()
    left = truth.copy()
    left[200:280, 77:79] = 0.2
    rims = change.find_leftover_rims(left, truth)
    assert rims[200:280, 77:79].all(), "the outline of what is gone"
    left[200:280, 74:77] = 0.6
    assert not change.find_leftover_rims(left, truth)[200:280].any(), "of a thin part"
    assert not edge[:, 300:].any(), "far from the mark it runs as ever"
    assert not find_marked_change(seen, seen).find_edge(seen).any()
    assert not find_marked_change(seen, seen).find_surroundings().any()
    assert draw_marks([(1.0, 0.0)], (40, 60))[0, 59]


def test_what_colours_draw_at_a_dropped_point_is_gone_and_the_edge_beside_it_stays() -> None:
    _image, truth, _seen = draw_shoe()
    drawn = truth.copy()
    drawn[200:203, 60:160] = 0.8  # a dark line behind the subject, which hangs on it
    drawn[200:203, 20:40] = 0.8  # the same, which nobody has pointed at
    gone = find_dropped_detail(drawn, truth, [(0.3, 0.503)])
    assert gone[200:203, 110:130].all()
    assert not gone[:, 160:].any()
    assert not gone[:, :40].any()
    assert not gone[250:, 158].any()
    assert not find_dropped_detail(drawn, truth, []).any()


def test_small_islands_near_a_mark_where_little_is_selected_are_scraps() -> None:
    _image, truth, seen = draw_shoe()
    change = find_marked_change(truth, seen)
    drawn, selected = truth.copy(), truth.copy()
    for column, own in ((70, 0.2), (140, 0.9)):  # beside what was taken: the colours' own, and one that is selected
        drawn[220:226, column : column + 6] = 0.7
        selected[220:226, column : column + 6] = own
    drawn[20:26, 380:386] = 0.7  # far from it
    scraps = change.find_scraps(drawn, selected, [])
    assert scraps[220:226, 70:76].all()
    assert not scraps[:, 130:].any()
    assert change.find_scraps(drawn, selected, [(0.95, 0.1)])[20:26, 380:386].all(), "near a mark"
    assert not find_marked_change(truth, truth).find_scraps(drawn, selected, []).any(), "nobody has marked anything"


def test_where_both_sides_have_one_colour_the_line_is_smooth_and_elsewhere_it_is_the_colours_own() -> None:
    image, truth, seen = draw_shoe()
    change = find_marked_change(truth, seen)
    bitten = truth.copy()
    for y in range(190, 290, 12):
        bitten[y, 160:164] = 0  # bites into the box
        bitten[y + 6, 157:160] = 1  # and crumbs beside it
    one_colour = np.full_like(image, 20)
    image[180:300, 80:160] = 10
    edge = np.s_[190:285, 150:170]
    assert np.abs(change.smooth_line(image, bitten, truth) - bitten)[edge].max() < 0.01
    smooth = change.smooth_line(one_colour, bitten, truth)
    assert smooth[190:285, :158].max() == 0, "no crumb is farther out than a pixel"
    assert smooth[190:285, 162:318].min() == 1, "and no bite deeper in"
    far = np.s_[:, 180:]
    assert np.array_equal(smooth[far], bitten[far])


def test_crumbs_of_what_was_dropped_go_with_it() -> None:
    _image, truth, seen = draw_shoe()
    change = find_marked_change(truth, seen)
    alpha = truth.copy()
    alpha[200:212, 100:112] = 0.9
    assert change.find_crumbs(alpha, truth, seen)[200:212, 100:112].all(), "an island"
    alpha[206, 112:160] = 0.4
    assert change.find_crumbs(alpha, truth, seen)[200:212, 100:112].all(), "one that hangs by a thread"
    assert not change.find_crumbs(alpha, truth, seen)[:, 160:].any(), "never of the rest"
    alpha[200:212, 112:160] = 0.9
    assert not change.find_crumbs(alpha, truth, seen).any(), "a part of the rest"


def test_what_only_looks_like_a_crumb_stays() -> None:
    _image, truth, seen = draw_shoe()
    change = find_marked_change(truth, seen)
    island = truth.copy()
    island[200:212, 100:112] = 0.9
    assert not change.find_crumbs(island, island + np.float32(0.05), seen).any(), "what marks left"
    assert not change.find_crumbs(island, truth, seen * np.float32(0.6)).any(), "what no net saw for sure"
    assert not find_marked_change(seen, seen).find_crumbs(island, seen, seen).any(), "where nothing was dropped"
    line = truth.copy()
    line[206, 100:160] = 0.4
    assert not change.find_crumbs(line, truth, seen).any(), "a hair"
    line[185:295, 90:150] = 0.9
    assert not change.find_crumbs(line, truth, seen).any(), "most of what was dropped"
    island[:, 160:] = 0
    assert not change.find_crumbs(island, truth, seen).any(), "where it is all that is left"


def test_what_went_far_from_a_dropped_point_stays_and_what_came_far_from_a_kept_one_comes() -> None:
    unmarked = np.zeros((400, 400), np.float32)
    unmarked[100:300, 60:340] = 1
    selected = unmarked.copy()
    selected[100:160, 60:120] = 0  # at the mark
    selected[240:300, 280:340] = 0  # the same colour again, on the other side
    selected[320:380, 300:360] = 1
    near = measure_nearness(selected, unmarked, unmarked, (), ((90 / 400, 130 / 400),))
    assert near[130, 90] > 0.99
    assert near[100:160, 60:120].min() > 0.5, "all of the part that was dropped"
    assert near[245:290, 285:335].max() < 0.01
    assert near[330:370, 310:350].min() > 0.99


def test_a_region_is_that_of_the_preview_with_an_edge_of_the_photos_size_and_else_nothing_changes() -> None:
    image = make_noise(1024, 1024, 235, 2).copy()
    finished = np.zeros((1024, 1024), np.float32)
    for part in (np.s_[200:800, 500:900], np.s_[300:500, 100:300]):
        finished[part], image[part] = 1.0, make_noise(1024, 1024, 90, 2)[part]
    shown = finished.copy()
    shown[300:500, 100:300] = 0.0  # it was dropped there, and the colours brought it back
    preview = resize_map(shown, (512, 512))
    followed = follow_preview(image, finished, preview)
    assert followed[280:520, 80:320].max() < 0.05
    assert np.array_equal(followed[:, 400:], finished[:, 400:])
    came = follow_preview(image, shown, resize_map(finished, (512, 512)))
    assert np.abs(came - finished)[290:510, 90:310].mean() < 0.01
    moved = np.roll(preview, 1, axis=1)
    assert np.array_equal(follow_preview(image, shown, moved), shown), "an edge that differs by a pixel is no region"
