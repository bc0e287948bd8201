"""Every piece of code in docs/api.md lives in `tests/examples`, and runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.served_app import ServedApp
from tests.support.snippet_runner import read_finished_params, run_snippet

ROOT = Path(__file__).parents[2]
LANGUAGES = {".sh": "shell", ".py": "python", ".mjs": "javascript"}
MADE = {
    "headshot": ("headshot.sh", "gradio_named.py"),
    "background": ("openai_stream.py", "mcp_agent.py", "browser.mjs"),
}
EXAMPLES = [ROOT / "tests" / "examples" / name for names in MADE.values() for name in names]
HERE = "http://127.0.0.1:7860"

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def read_code_blocks() -> list[str]:
    """The code of docs/api.md."""
    part = (ROOT / "docs" / "api.md").read_text("utf-8")
    return re.findall(r"```(?:bash|python|js)\n(.*?)```", part, re.DOTALL)


def test_the_page_shows_what_is_run_and_nothing_else() -> None:
    assert sorted(read_code_blocks()) == sorted(path.read_text("utf-8") for path in EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_it_runs(app: ServedApp, tmp_path: Path, path: Path) -> None:
    text = path.read_text("utf-8")
    assert HERE in text
    said = run_snippet(LANGUAGES[path.suffix], text.replace(HERE, app.url), tmp_path)
    (tool_id,) = [tool_id for tool_id, names in MADE.items() if path.name in names]
    assert said
    params = read_finished_params(app, tool_id, "local")
    assert params["preset"] == "linkedin" if tool_id == "headshot" else params["prompt"] == "forest in the morning"
