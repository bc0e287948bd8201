"""What 150 wishes that people type are answered with: `python -m tests.bench wishes` prints the shares.

`tests/data/scene_wishes.json` holds them with all answers that would be right: ids of scenes, `#rrggbb` for paper of
about that colour, none where no scene here shows it. Half were drawn by lot and kept aside while the words of the
scenes and the threshold were tuned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypedDict

from pipelines.models.families.scenes.keyword_search import SceneChoice, choose_scene
from tests.bench.rows import Row, make_row

WISHES_FILE = Path(__file__).resolve().parents[2] / "data" / "scene_wishes.json"
SAME_PAPER_VALUE = 48  # largest difference of an sRGB channel at which a paper is the colour that was meant
Verdict = Literal["right", "refused", "wrong"]


class Wish(TypedDict):
    """A wish and its right answers; `aside` is kept away from tuning."""

    wish: str
    answers: list[str]
    aside: bool


def judge_wish(row: Wish) -> Verdict:
    """Say whether a wish is answered with what was meant, refused with three other scenes, or answered wrongly."""
    choice = choose_scene(row["wish"])
    if choice.match is not None and not choice.match.found:
        return "refused"
    return "right" if choice.scene.id in row["answers"] or _is_meant_paper(choice, row["answers"]) else "wrong"


def _is_meant_paper(choice: SceneChoice, answers: list[str]) -> bool:
    if choice.colour is None:
        return False
    meant = ([int(code[n : n + 2], 16) for n in (1, 3, 5)] for code in answers if code.startswith("#"))
    return any(
        max(abs(a - b) for a, b in zip(choice.colour, colour, strict=True)) < SAME_PAPER_VALUE for colour in meant
    )


def rows() -> Iterator[Row]:
    """Yield the share that is right or refused, and the share that is right, for each half in percent."""
    wishes: list[Wish] = json.loads(WISHES_FILE.read_text(encoding="utf-8"))
    for name, aside in (("tuned", False), ("aside", True)):
        verdicts = [judge_wish(row) for row in wishes if row["aside"] is aside]
        honest = 100 * (1 - verdicts.count("wrong") / len(verdicts))
        yield make_row(f"wishes_{name}_right_or_refused", honest, "%", 90, at_most=False)
        yield make_row(f"wishes_{name}_right", 100 * verdicts.count("right") / len(verdicts), "%", 60, at_most=False)
