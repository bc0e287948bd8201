"""What nets see of a subject in a third colour stays; what is the ground's colour, or a mixture with it, stays away."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import Alpha, Image
from pipelines.matting.cutout import cut_out_subject, refine_alpha
from pipelines.matting.pointing import Pointing
from pipelines.matting.seen_detail import restore_seen_detail, restore_sure_parts
from tests.support.examples import make_noise

NO_HAIR = np.zeros((400, 400), np.bool_)


class FixedNet:
    """A net that sees one map."""

    def __init__(self, alpha: Alpha) -> None:
        self.alpha = alpha

    def predict_alpha(self, image: Image) -> Alpha:
        return self.alpha * np.float32(0.8) + np.float32(0.1)


def draw_lamp(wall: int) -> tuple[Image, Alpha]:
    """A black lamp with a silver chain before a wall, and the truth."""
    image, truth = make_noise(400, 400, wall, 3).copy(), np.zeros((400, 400), np.float32)
    image[60:180, 100:300] = 12
    image[180:300, 198:200] = 250
    image[180:300, 200:202] = 70
    image[180:300, 202:204] = 235
    truth[60:180, 100:300] = 1
    truth[180:300, 198:204] = 1
    return image, truth


def see(truth: Alpha) -> Alpha:
    """What a net sees of it: softer, and a little wider."""
    return np.clip(1.25 * cv2.GaussianBlur(truth, (0, 0), 2.0), 0, 1).astype(np.float32)


@pytest.mark.parametrize("wall", [120, 150, 165])
def test_a_silver_chain_of_a_black_lamp_is_not_bleached_to_the_wall(wall: int) -> None:
    image, truth = draw_lamp(wall)
    seen, chain = see(truth), np.s_[190:290, 198:204]
    refined = refine_alpha(image, seen)
    assert refined[chain].mean() < 0.6, "colours alone take it for the wall"
    restored = restore_seen_detail(image, refined, seen, seen, NO_HAIR)
    assert restored[chain].mean() > 0.8
    assert restored[chain].min() > 0.5
    assert restored[190:290, 210:260].max() == refined[190:290, 210:260].max()
    assert restored[190:290, 193:196].mean() < 0.35, "no wall comes back with it"
    for dropped in ((), ((0.05, 0.9),)):  # a mark on the wall takes no part of the lamp away
        kept = cut_out_subject(image, FixedNet(seen), detail_nets=[FixedNet(seen)], pointing=Pointing(drop=dropped))
        assert kept.alpha[chain].mean() > 0.8


def test_what_one_net_alone_sees_what_is_the_wall_and_what_is_hairy_does_not_come_back() -> None:
    image, truth = draw_lamp(150)
    seen, chain = see(truth), np.s_[190:290, 198:204]
    refined = refine_alpha(image, seen)
    body = see(np.asarray(truth * (np.arange(400) < 180)[:, None], np.float32))
    assert (restore_seen_detail(image, refined, seen, body, NO_HAIR)[chain] == refined[chain]).all()
    assert (restore_seen_detail(image, refined, seen, seen, ~NO_HAIR) == refined).all()
    bare = image.copy()
    bare[180:, 190:212] = make_noise(400, 400, 150, 3)[180:, 190:212]
    refined = refine_alpha(bare, seen)
    assert restore_seen_detail(bare, refined, seen, seen, NO_HAIR)[200:290].max() < 0.3, "a gap stays a gap"


def draw_shoe() -> tuple[Alpha, Alpha]:
    """A leg with a shoe: what both nets see of it, and what colours leave of it on ground like the shoe."""
    seen, refined = np.zeros((400, 400), np.float32), np.zeros((400, 400), np.float32)
    seen[40:300, 180:220] = refined[40:300, 180:220] = 1
    seen[300:330, 180:260], refined[300:330, 180:260] = 0.8, 0.2
    return seen, refined


def test_a_part_of_which_both_nets_are_sure_comes_back_where_its_ground_is_like_it() -> None:
    seen, refined = draw_shoe()
    shoe = np.s_[303:327, 183:257]
    given = restore_sure_parts(refined, seen, np.minimum(seen * 2, 1), ())
    assert given[shoe].min() > 0.75
    assert (given[:, :176] == 0).all()
    assert (given[336:] == 0).all()


def test_a_part_of_which_one_net_is_not_sure_an_edge_and_a_head_stay_as_colours_have_them() -> None:
    seen, refined = draw_shoe()
    sure = np.minimum(seen * 2, 1)
    unsure, above = np.where(refined == 0.2, np.float32(0.5), seen), (190.0, 320.0, 250.0, 380.0)
    strand = np.maximum(seen, 0)
    strand[100:300, 240:242] = 0.9
    assert (restore_sure_parts(refined, unsure, sure, ()) == refined).all()
    assert (restore_sure_parts(refined, seen, unsure, ()) == refined).all()
    assert (restore_sure_parts(refined, seen, sure, [above]) == refined).all(), "hair above a face has gaps"
    assert (restore_sure_parts(refined, strand, strand, ())[100:290, 230:] == 0).all(), "a strand is no part"


def test_shoes_of_the_grounds_colour_are_in_the_cut_out() -> None:
    image = make_noise(400, 400, 120, 14).copy()
    image[40:300, 180:220] = 20
    truth = np.zeros((400, 400), np.float32)
    truth[40:300, 180:220] = truth[300:330, 180:260] = 1
    quick, detailed = see(truth), see(truth)
    detailed[296:334, 176:264] = np.minimum(detailed[296:334, 176:264], 0.7)
    refined = refine_alpha(image, detailed)
    shoe = np.s_[306:324, 224:254]
    assert refined[shoe].mean() < 0.4, "colours alone take it for the ground"
    cut = cut_out_subject(image, FixedNet(quick), detail_nets=[FixedNet(detailed)])
    assert cut.alpha[shoe].min() > 0.6
