"""ViTMatte and SAM 2 from the hub: their real classes with random weights, loaded as a download leaves them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Sam2Model

from pipelines.models.families.hub_nets import SAM2, SAM2_FAMILY, VITMATTE, VITMATTE_FAMILY
from pipelines.models.nets import matting_choice
from pipelines.models.nets.matting_choice import choose_hub_nets
from tests.models.support import tiny_hub_nets
from tests.support.examples import make_noise


def test_vitmatte_answers_at_any_size_and_sees_photo_and_trimap(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_hub_nets.put_into_cache(VITMATTE, tmp_path, monkeypatch)
    net = VITMATTE_FAMILY.load(VITMATTE, "cuda")  # it takes no GPU, where one draws
    assert net.spec.revision == VITMATTE.revision
    trimap = np.full((75, 110), 128, np.uint8)
    trimap[:30], trimap[50:] = 0, 255
    photo = make_noise(75, 110)
    alpha = net.predict_alpha(photo, trimap)
    assert alpha.shape == (75, 110)
    assert alpha.dtype == np.float32
    assert alpha == pytest.approx(tiny_hub_nets.VITMATTE_ANSWER, abs=0.05)
    assert np.array_equal(alpha, net.predict_alpha(photo, trimap))
    assert not np.array_equal(alpha, net.predict_alpha(255 - photo, trimap))
    assert not np.array_equal(alpha, net.predict_alpha(photo, 255 - trimap))
    net.close()


def test_sam2_embeds_a_photo_once_and_each_prompt_changes_its_mask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_hub_nets.put_into_cache(SAM2, tmp_path, monkeypatch)
    net = SAM2_FAMILY.load(SAM2, "cuda")
    assert net.spec.revision == SAM2.revision
    embedding = net.encode_photo(make_noise(60, 90))
    prompts: list[Any] = [
        (((0.5, 0.5),), (), None),
        (((0.2, 0.5),), (), None),
        (((0.5, 0.5),), ((0.1, 0.1),), None),
        ((), (), (0.1, 0.2, 0.7, 0.9)),
        (((0.5, 0.5),), ((0.1, 0.1),), (0.1, 0.2, 0.7, 0.9)),
    ]
    masks = [net.segment(embedding, *prompt) for prompt in prompts]
    assert all(mask.shape == masks[0].shape and 0 <= mask.min() <= mask.max() <= 1 for mask in masks)
    for index, mask in enumerate(masks):
        assert not any(np.array_equal(mask, other) for other in masks[:index])
    net.close()


def test_sam2_gets_points_and_box_in_its_own_pixels_and_the_surest_of_its_masks_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_hub_nets.put_into_cache(SAM2, tmp_path, monkeypatch)
    net, asked = SAM2_FAMILY.load(SAM2, "cpu"), list[dict[str, Any]]()

    def forward(_: object, **prompts: Any) -> SimpleNamespace:
        asked.append(prompts)
        masks = torch.stack([torch.full((4, 4), logit) for logit in (-50.0, 0.0, 50.0)])
        return SimpleNamespace(pred_masks=masks[None, None], iou_scores=torch.tensor([[[0.1, 0.2, 0.9]]]))

    monkeypatch.setattr(Sam2Model, "forward", forward)
    embedding = net.encode_photo(make_noise(60, 90))
    assert (net.segment(embedding, ((0.5, 0.25),), (), None) > 0.99).all()
    net.segment(embedding, ((0.5, 0.25),), ((1.0, 0.0),), (0.0, 0.25, 0.5, 1.0))
    one, more = asked
    side = tiny_hub_nets.SAM2_SIDE_PX
    assert one["multimask_output"]
    assert not more["multimask_output"]
    assert "input_boxes" not in one
    assert more["input_points"].tolist() == [[[[side / 2, side / 4], [side, 0]]]]
    assert more["input_labels"].tolist() == [[[1, 0]]]
    assert more["input_boxes"].tolist() == [[[0, side / 4, side / 2, side]]]


def test_each_net_that_is_here_and_fits_serves_its_own_role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**12)
    assert choose_hub_nets(for_portrait=True) == {}
    tiny_hub_nets.put_into_cache(VITMATTE, tmp_path, monkeypatch)
    tiny_hub_nets.put_into_cache(SAM2, tmp_path, monkeypatch)
    assert choose_hub_nets(for_portrait=False) == {"matte-edge": VITMATTE.id, "point": SAM2.id}
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**9)
    assert choose_hub_nets(for_portrait=False) == {}
