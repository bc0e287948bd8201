"""The receipt says why a picture is as it is, and under which licences its parts stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.tools import find_tool
from tests.support.real_studio import RealStudio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    tools = tuple(find_tool(tool) for tool in ("background", "cutout", "character"))
    with RealStudio(Path(tmp_path_factory.mktemp("studio")), tools, matting="small") as made:
        yield made


@pytest.mark.parametrize(
    ("tool", "values", "sentences", "assets"),
    [
        (
            "background",
            {"photo": "coffee", "prompt": "forest", "size": 256},
            ("own pixels: 0 of its core", "'Forest' fits the words 'forest' best"),
            [{"kind": "scene", "id": "forest", "licence": "CC0-1.0"}],
        ),
        (
            "background",
            {"photo": "coffee", "prompt": "office", "size": 256},
            ("own pixels: 0 of its core", "fits the words 'office' best"),
            [{"kind": "scene", "id": "office", "licence": "CC0-1.0"}],
        ),
        (
            "cutout",
            {"photo": "coffee", "master": "png", "master_profile": "p3"},
            ("own pixels: 0 of its core", "no background"),
            [{"kind": "profile", "id": "DisplayP3-v4.icc", "licence": "CC0-1.0"}],
        ),
        (
            "character",
            {"size": 256, "art": "thumbs"},
            ("drawn by rules", "no scene of ours"),
            [{"kind": "parts", "id": "thumbs", "licence": "CC0-1.0"}],
        ),
    ],
)
def test_a_receipt_says_why_and_under_which_licences(
    studio: RealStudio, tool: str, values: dict[str, Any], sentences: tuple[str, str], assets: list[dict[str, str]]
) -> None:
    asked: dict[str, Any] = {**values, **({"photo": studio.photos[values["photo"]]} if "photo" in values else {})}
    receipt = studio.make(tool, **asked).receipt
    assert len(receipt["why"]) == 3
    assert all(part in sentence for part, sentence in zip(sentences, receipt["why"], strict=False))
    assert receipt["assets"] == assets
    assert all(row["licence"] for row in receipt["models"])
