"""The commands of README and docs/tools.md run as they are written; the code of docs/api.md is in `tests/examples`."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import httpx
import pytest

from app import main as run_app
from pipelines.settings import Settings
from tests.support.examples import EXAMPLES
from tests.support.served_app import ServedApp, serve_page
from tests.support.snippet_runner import make_quick_tools, read_finished_params, run_snippet
from ui.api.auth.access import find_unsafe_setting

HERE = "http://127.0.0.1:7860"
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
TOOLS_PAGE = (ROOT / "docs" / "tools.md").read_text("utf-8")
README_MOST_BYTES = 12_000


def read_block(start: str, page: str = README) -> str:
    """The one code block of `page` that begins with `start`."""
    (found,) = [text for text in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if text.startswith(start)]
    return found


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= README_MOST_BYTES


ZEROGPU_PYTHON = ("3.10", "3.12")
ZEROGPU_TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0")
"""As huggingface.co/docs/hub/spaces-zerogpu listed them in August 2026."""


def test_a_space_is_built_with_a_python_and_a_torch_that_zerogpu_lists() -> None:
    front = README.split("---\n")[1]
    assert re.findall(r'^python_version: "(.*)"$', front, re.MULTILINE)[0] in ZEROGPU_PYTHON
    pinned = (ROOT / "pre-requirements.txt").read_text("utf-8")
    assert re.findall(r"^torch==(.*)$", pinned, re.MULTILINE)[0] in ZEROGPU_TORCH


def test_every_link_of_the_pages_leads_to_a_file() -> None:
    for page in (ROOT / "README.md", ROOT / "DESIGN.md", *sorted((ROOT / "docs").glob("*.md"))):
        links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text("utf-8"))
        named = [a or b for a, b in links if not (a or b).startswith("http")]
        assert [name for name in named if not (page.parent / name).exists()] == [], page.name


def test_a_table_becomes_pictures_by_the_commands_that_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cup.jpg").write_bytes((EXAMPLES / "coffee.jpg").read_bytes())
    (tmp_path / "jobs.csv").write_text("photo,size\ncup.jpg,512\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    for line in read_block("python app.py batch").splitlines():
        assert run_app(shlex.split(line, comments=True)[2:]) == 0
    with (tmp_path / "results" / "manifest.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "done"
    assert list((tmp_path / "results").rglob("*.png")) + list((tmp_path / "results").rglob("*.jpg"))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_brand_kit_is_kept_and_used_by_the_commands_that_are_shown(app: ServedApp, tmp_path: Path) -> None:
    (tmp_path / "cup.jpg").write_bytes((EXAMPLES / "coffee.jpg").read_bytes())
    (tmp_path / "logo.png").write_bytes((EXAMPLES.parent / "tiles" / "social.jpg").read_bytes())
    run_snippet(
        "shell", "set -e\n" + read_block(f"curl -s {HERE}/v1/brands", TOOLS_PAGE).replace(HERE, app.url), tmp_path
    )
    params = read_finished_params(app, "kit", "local")
    assert params["headline"] == "Good morning"
    assert "#0b5c52" in str(params)


def test_the_studio_opens_to_others_by_the_commands_that_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Served without the command's process, because a test opens no link to itself."""
    lines = [shlex.split(line, comments=True) for line in read_block("python app.py --share").splitlines()]
    shared, hosted = (line[2:] for line in lines if line[2].startswith("--"))
    (made,) = (line[2:] for line in lines if line[2] == "key")
    data = tmp_path / "data"
    assert run_app([*made, "--data", str(data)]) == 0
    key = capsys.readouterr().out
    started: list[Settings] = []
    monkeypatch.setattr("app.run_server", lambda settings: started.append(settings) or 0)
    for flags, folder in ((hosted, data), (shared, tmp_path / "shared")):
        assert run_app([*flags, "--data", str(folder)]) == 0
        assert find_unsafe_setting(started[-1]) is None
    assert [(settings.host, settings.share) for settings in started] == [("0.0.0.0", False), ("127.0.0.1", True)]
    for settings, expected in zip(started, ([200, 401, 401, 200], [200, 401, 401, 401]), strict=True):
        with serve_page(settings.data, settings, make_quick_tools(("kit",))) as (url, _, _):
            assert ask_for_status_codes(url, key.strip()) == expected


def ask_for_status_codes(url: str, key: str) -> list[int]:
    """What a studio answers to one who wants its form to log in, its page, its tools; then its tools with `key`."""
    asked = [httpx.get(f"{url}{path}") for path in ("/", "/config", "/v1/tools")]
    keyed = httpx.get(f"{url}/v1/tools", headers={"Authorization": f"Bearer {key}"})
    return [each.status_code for each in (*asked, keyed)]
