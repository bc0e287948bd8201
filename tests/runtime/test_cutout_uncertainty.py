"""How sure a cut-out is: two nets for what is kept, one for a draft, and the value that the receipt names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.real_studio import RealStudio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    with RealStudio(Path(tmp_path_factory.mktemp("studio")), matting="both") as made:
        yield made


def test_a_draft_waits_for_the_small_net_alone_and_what_is_kept_for_both(studio: RealStudio) -> None:
    photo = studio.photos["coffee"]
    draft = studio.make("cutout", photo=photo, draft=True).receipt
    assert "u2netp" in {row["id"] for row in draft["models"]}
    assert studio.cache.load_counts["isnet"] == 0
    kept = studio.make("cutout", photo=photo).receipt
    assert {row["id"] for row in kept["models"]} >= {"u2netp", "isnet"}
    assert 0 <= kept["cutout_uncertainty"] < 0.1
    again = studio.make("product", photo=photo, preset="transparent").receipt
    assert again["cutout_uncertainty"] == kept["cutout_uncertainty"]
    assert studio.cache.load_counts["isnet"] == 1


def test_a_matte_of_ones_own_is_not_doubted(studio: RealStudio) -> None:
    photo = studio.photos["coffee"]
    matte = next(file.id for file in studio.make("cutout", photo=photo).files if file.role == "matte")
    assert "cutout_uncertainty" not in studio.make("cutout", photo=photo, matte=matte, trim=False).receipt
