"""How the settings of a run reach the parts that are built from them."""

from __future__ import annotations

from pathlib import Path

from pipelines.engines.local import LocalEngine
from pipelines.models.profiles import EMBEDDED
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from ui.server import factory


def test_an_unused_model_goes_after_as_long_as_the_flag_says(tmp_path: Path) -> None:
    settings = Settings.from_args(["--data", str(tmp_path), "--idle", "30"])
    engine = factory._build_local_engine(settings, FileIndex(tmp_path), "cpu", EMBEDDED)
    assert isinstance(engine, LocalEngine)
    assert engine.cache._options.idle_seconds == 30
