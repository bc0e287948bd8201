"""The README's commands run as they stand; its code on the API is in `tests/examples`."""

from __future__ import annotations

import csv
import re
import shlex
import sys
from pathlib import Path

import pytest

from pipelines.settings import Settings
from tests.pages import opened
from tests.snippets import finished, quick, ran
from tests.watching import EXAMPLES
from ui.access import refusal

HERE = "http://127.0.0.1:7860"
ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")


def block(start: str) -> str:
    """The code that begins with this."""
    (found,) = [text for text in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) if text.startswith(start)]
    return found


def here(text: str) -> str:
    """The studio's commands for whoever stands in another folder."""
    return text.replace("python app.py", f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'app.py'))}")


def test_a_table_becomes_pictures_by_the_commands_that_are_shown(tmp_path: Path) -> None:
    (tmp_path / "cup.jpg").write_bytes((EXAMPLES / "coffee.jpg").read_bytes())
    (tmp_path / "jobs.csv").write_text("photo,size\ncup.jpg,512\n", "utf-8")
    assert ran("shell", "set -e\n" + here(block("python app.py batch")), tmp_path)
    with (tmp_path / "results" / "manifest.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "done"
    assert list((tmp_path / "results").rglob("*.png")) + list((tmp_path / "results").rglob("*.jpg"))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_brand_kit_is_kept_and_worn_by_the_commands_that_are_shown(tmp_path: Path) -> None:
    (tmp_path / "cup.jpg").write_bytes((EXAMPLES / "coffee.jpg").read_bytes())
    (tmp_path / "logo.png").write_bytes((EXAMPLES.parent / "tiles" / "social.jpg").read_bytes())
    with opened(tmp_path / "data", Settings(data=tmp_path / "data"), quick(("kit",))) as (url, house, _):
        ran("shell", "set -e\n" + block(f"curl -s {HERE}/v1/brands").replace(HERE, url), tmp_path)
        params = finished(house, "kit", "local")
    assert params["headline"] == "Good morning"
    assert "#0b5c52" in str(params)


def test_the_studio_opens_to_others_with_the_flags_that_are_shown_and_a_key_is_made(tmp_path: Path) -> None:
    lines = [shlex.split(line, comments=True) for line in block("python app.py --share").splitlines()]
    flags = [line[2:] for line in lines if line[2].startswith("--")]
    settings = [Settings.from_args(each, {}) for each in flags]
    assert [refusal(each) for each in settings] == [None, None]
    assert [(each.share, each.require_key) for each in settings] == [(True, False), (False, True)]
    (made,) = [" ".join(line) for line in lines if line[2] == "key"]
    assert ran("shell", here(made), tmp_path).strip()
