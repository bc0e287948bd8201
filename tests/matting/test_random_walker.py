"""The random walker: an unknown region joins the side that it reaches without crossing an edge."""

from __future__ import annotations

import numpy as np

from pipelines.matting.random_walker import random_walker_alpha


def test_an_unknown_stripe_joins_the_side_that_it_continues() -> None:
    lab = np.full((40, 60, 3), (200, 128, 128), np.uint8)
    lab[:15], lab[15:25] = 20, 110  # dark above, a stripe of another grey, a pale ground below
    prior = np.zeros((40, 60), np.float32)
    prior[:15], prior[15:25, 40:] = 1, 1
    where = np.zeros(prior.shape, np.bool_)
    where[12:28, :40] = True
    told = random_walker_alpha(lab, prior, np.full(prior.shape, 1e-3, np.float32), where)
    assert told[16:24, 15:40].min() > 0.7
    prior[15:25, 40:] = 0  # now the stripe goes on into the ground
    assert random_walker_alpha(lab, prior, np.full(prior.shape, 1e-3, np.float32), where)[16:24, 15:40].max() < 0.3


def test_known_pixels_stay() -> None:
    rng = np.random.default_rng(0)
    prior = rng.random((20, 20), np.float32)
    where = rng.random((20, 20)) > 0.5
    lab = rng.integers(0, 255, (20, 20, 3)).astype(np.uint8)
    told = random_walker_alpha(lab, prior, np.ones_like(prior), where)
    assert np.array_equal(told[~where], prior[~where])
    assert told.min() >= 0
    assert told.max() <= 1
    assert random_walker_alpha(lab, prior, np.ones_like(prior), np.zeros_like(where)) is prior
