"""How the settings of a run reach the parts that are built from them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipelines.core.models import Profile
from pipelines.engines.local import LocalEngine
from pipelines.models.families.hub_nets import LITE, SAM2, VITMATTE
from pipelines.models.profiles import EMBEDDED, KLEIN
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from ui.server import factory


def test_an_unused_model_goes_after_as_long_as_the_flag_says(tmp_path: Path) -> None:
    settings = Settings.from_args(["--data", str(tmp_path), "--idle", "30"])
    engine = factory._build_local_engine(settings, FileIndex(tmp_path), "cpu", EMBEDDED)
    assert isinstance(engine, LocalEngine)
    assert engine.cache._options.idle_seconds == 30


@pytest.mark.parametrize(
    ("profile", "device", "matting", "fetched"),
    [
        (KLEIN, "cuda", "both", [LITE.id, VITMATTE.id, SAM2.id]),
        (KLEIN, "cpu", "both", []),
        (EMBEDDED, "cuda", "both", []),
        (KLEIN, "cuda", "small", []),
    ],
)
def test_where_a_gpu_draws_the_smallest_better_nets_for_cutouts_come_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: Profile, device: str, matting: Any, fetched: list[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(factory, "fits_memory", lambda _: True)
    started: list[str] = []
    downloads = SimpleNamespace(start_download=lambda *specs: started.extend(spec.id for spec in specs))
    service = SimpleNamespace(profile=profile, settings=Settings(matting=matting), downloads=downloads)
    factory.fetch_better_nets(cast(StudioService, service), device)
    assert started == fetched
