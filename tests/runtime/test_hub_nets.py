"""ViTMatte and SAM 2 in jobs: what they say reaches the cut-out and the receipt, once they are on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from transformers import Sam2Model

from pipelines.core.geometry import Alpha, Uint8Array
from pipelines.core.job import Result, Step
from pipelines.models.families.hub_nets import SAM2, VITMATTE
from pipelines.models.nets import matting_choice
from pipelines.models.nets.isnet import IsNet
from pipelines.models.nets.sam2 import Sam2
from pipelines.models.nets.u2net import U2Net
from tests.models.support import tiny_hub_nets
from tests.support.examples import make_blob, make_noise
from tests.support.real_studio import RealStudio

HEIGHT, WIDTH = 200, 300


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    with RealStudio(Path(tmp_path_factory.mktemp("studio")), matting="both") as made:
        yield made


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both nets that ship with the studio see the same thing at the left, on any machine."""

    def predict_map(net: object, image: object) -> Alpha:
        return np.asarray(cv2.resize(make_blob(HEIGHT, WIDTH, (90, 100), (60, 70)), (320, 320)), np.float32)

    for kind in (U2Net, IsNet):
        monkeypatch.setattr(kind, "predict_map", predict_map)
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**12)


def open_alpha(studio: RealStudio, result: Result) -> Uint8Array:
    return studio.open_result(result)[..., 3]


def named(result: Result) -> set[str]:
    return {row["id"] for row in result.receipt["models"]}


def test_what_is_kept_takes_its_edges_from_vitmatte_and_nothing_else(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = studio.add_image(make_noise(HEIGHT, WIDTH, seed=1))
    plain = open_alpha(studio, studio.make("cutout", photo=photo, trim=False))
    tiny_hub_nets.put_into_cache(VITMATTE, tmp_path, monkeypatch)
    assert VITMATTE.id not in named(studio.make("cutout", photo=photo, trim=False, draft=True))
    events = list(studio.jobs.submit_and_watch(studio.create_job("cutout", photo=photo, trim=False)))
    result = events[-1]
    assert isinstance(result, Result)
    assert {"id": VITMATTE.id, "revision": VITMATTE.revision, "licence": "Apache-2.0"} in result.receipt["models"]
    assert "Drawing the edges" in {event.stage for event in events if isinstance(event, Step)}
    alpha = open_alpha(studio, result)
    assert alpha[100, 90] == 255
    assert alpha[100, 250] == plain[100, 250] == 0
    edge = (plain > 100) & (plain < 155)
    assert edge.any()
    assert np.median(alpha[edge]) == pytest.approx(255 * tiny_hub_nets.VITMATTE_ANSWER, abs=15)


def plant_sam2(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let SAM 2's decoder see a disc at the first point, or the upper half of a box; list the embedded photos."""
    embedded: list[int] = []
    embed = Sam2.encode_photo

    def count(net: Sam2, image: Any) -> Any:
        embedded.append(1)
        return embed(net, image)

    def forward(net: object, **prompts: Any) -> SimpleNamespace:
        canvas = np.full((32, 32), -20, np.float32)
        if "input_boxes" in prompts:
            left, top, right, bottom = (round(each / 4) for each in prompts["input_boxes"][0, 0].tolist())
            canvas[top : (top + bottom) // 2, left:right] = 20
        else:
            x, y = (round(each / 4) for each in prompts["input_points"][0, 0, 0].tolist())
            cv2.circle(canvas, (x, y), 5, 20, -1)
        return SimpleNamespace(pred_masks=torch.from_numpy(canvas)[None, None, None], iou_scores=torch.ones(1, 1, 1))

    monkeypatch.setattr(Sam2, "encode_photo", count)
    monkeypatch.setattr(Sam2Model, "forward", forward)
    return embedded


def test_what_sam2_sees_at_a_point_or_in_a_box_is_the_cutout_and_a_photo_is_embedded_once(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = studio.add_image(make_noise(HEIGHT, WIDTH, seed=2))
    point = [0.8, 0.5]
    before = studio.make("cutout", photo=photo, trim=False, draft=True, keep=[point])
    assert SAM2.id not in named(before)
    tiny_hub_nets.put_into_cache(SAM2, tmp_path, monkeypatch)
    embedded = plant_sam2(monkeypatch)
    for draft in (True, False):
        result = studio.make("cutout", photo=photo, trim=False, draft=draft, keep=[point])
        assert {"id": SAM2.id, "revision": SAM2.revision, "licence": "Apache-2.0"} in result.receipt["models"]
    alpha = open_alpha(studio, result)
    assert alpha[100, [90, 240, 210, 270]].min() > 250  # the thing at the left, and the disc
    assert alpha[[100, 20], [180, 240]].max() == 0
    dropped = open_alpha(studio, studio.make("cutout", photo=photo, trim=False, drop=[[0.3, 0.5]]))
    assert dropped[100, [60, 90, 120]].max() == 0
    assert dropped[50, 90] > 250
    box = open_alpha(studio, studio.make("cutout", photo=photo, trim=False, box=[0.6, 0.2, 0.9, 0.8]))
    assert box[60, 225] > 250
    assert box[[140, 100], [225, 90]].max() == 0
    assert len(embedded) == 1
    assert SAM2.id not in named(studio.make("cutout", photo=photo, trim=False, draft=True))
