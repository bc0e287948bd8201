"""Evaluation of the small model: does a drawing look like its prompt?

    python -m assets.models.mini.judge WORK [SHEET.png]

Draws every role x gender x tone that was held out of training on five backgrounds, and 100 animals and objects, and
searches the nearest render of the whole set, held-out ones included, by the distance of the 64 px pixels. Renders that
may be mirrored in training (`RenderRow.turns`) are searched both ways. SHEET gets the `SHEET_PROMPTS` with the seeds 0,
1, 2, ..., not selected.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from assets.models.mini import data
from pipelines.core.rendering import ModelStep, RenderRequest
from pipelines.models.families.mini.model import BACKGROUND_COLOURS, MINI, MiniModel

SIDE_PX = 64
SHEET_PROMPTS = (
    "a woman firefighter with dark skin, teal background", "a man cook with light skin, cream background",
    "a woman scientist with medium-dark skin, lavender background", "a man farmer with medium skin, mint background",
    "a woman judge with light skin", "a man astronaut with dark skin, navy background",
    "a lady doctor with medium-light skin, sky blue background", "a man police officer with medium skin",
    "a woman artist with dark skin, pink background", "a man mechanic with medium-light skin, grey background",
    "a woman pilot with medium skin, light blue background", "a man student with medium-dark skin",
    "a woman teacher with dark skin, light green background", "a man singer with light skin, purple background",
    "a woman technologist with medium-light skin", "a man factory worker with dark skin, orange background",
    "a woman construction worker with medium skin, yellow background", "a man guard with light skin, red background",
    "a woman detective with medium-dark skin, brown background", "a man office worker with medium skin",
    "a woman chef with dark skin, coral background", "a software developer, man, light skin, teal background",
    "a woman mage with medium skin, violet background", "a man superhero with dark skin, blue background",
    "a woman superhero with light skin", "a man supervillain with medium skin", "a fairy with medium-light skin",
    "a man vampire with light skin, dark blue background", "a mermaid with medium skin, turquoise background",
    "a man elf with light skin, dark green background", "a santa claus with dark skin, red background",
    "a princess with medium-dark skin, pink background", "a man with red hair and light skin",
    "a woman with curly hair and dark skin", "a bald man with medium skin", "a woman with white hair and light skin",
    "a man with a beard, medium-dark skin", "an old woman with medium skin", "an old man with dark skin",
    "a girl with medium skin, yellow background", "a boy with light skin, light blue background",
    "a woman with a headscarf, medium skin", "a man wearing a turban, dark skin", "a woman shrugging with dark skin",
    "a man raising his hand with light skin", "a woman facepalming with medium skin",
    "a smiling face", "a sad face", "a face with sunglasses", "a cat face", "a dog face", "a fox", "a lion", "a panda",
    "a penguin", "an octopus", "a red apple", "a pizza", "a burger", "a rocket", "a guitar", "a house", "a crown",
    "a rose",
)  # fmt: skip


def compute_features(figures: np.ndarray) -> np.ndarray:
    """Compute rows from N x S x S x 4 figures on grey, slightly blurred so that a shift by a pixel does not count."""
    rows = []
    for figure in figures:
        small = (
            cv2.resize(np.asarray(figure), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        )
        flat = np.dstack([small[..., :3] * small[..., 3:], small[..., 3]])
        rows.append(cv2.GaussianBlur(flat, (0, 0), 1.0).ravel())
    return np.stack(rows)


def draw_figures(model: MiniModel, prompts: list[str], first: int = 0, steps: int | None = None) -> np.ndarray:
    """Draw figures, N x 256 x 256 x 4, with seeds counting up from `first`."""
    out = []
    for n, prompt in enumerate(prompts):
        made = model.draw(
            RenderRequest("text", prompt, (256, 256), (first + n,), num_inference_steps=steps), _ignore_step
        )
        out.append(np.dstack([made.images[0], (made.alphas[0] * 255).astype(np.uint8)]))
    return np.stack(out)


def _ignore_step(step: ModelStep) -> None:
    pass


def evaluate_model(work: Path, sheet: Path | None) -> None:
    renders, rows = data.load_dataset(work)
    both = [n for n, row in enumerate(rows) if row.turns]
    truth = np.concatenate((compute_features(renders), compute_features(np.stack([renders[n][:, ::-1] for n in both]))))
    shown = rows + [rows[n] for n in both]
    model = MiniModel(MINI, "cpu")
    asked = [row for row in rows if row.held_out] * 5
    colours = list(BACKGROUND_COLOURS)
    behind = [colours[n % len(colours)] for n in range(len(asked))]
    prompts = [
        f"a {row.gender} {row.role} with {row.tone} skin, {colour} background"
        for row, colour in zip(asked, behind, strict=True)
    ]
    figures = draw_figures(model, prompts)
    pairs = list(zip(asked, (shown[n] for n in _find_nearest(compute_features(figures), truth)), strict=True))
    print(f"held out, {len(pairs)} combinations: nearest render has")
    for name in ("role", "tone", "gender"):
        print(f"  the {name} {np.mean([getattr(a, name) == getattr(h, name) for a, h in pairs]):.3f}")
    print(f"  all three {np.mean([(a.role, a.tone, a.gender) == (h.role, h.tone, h.gender) for a, h in pairs]):.3f}")
    away = [
        _background_delta_e(figure, BACKGROUND_COLOURS[colour]) for figure, colour in zip(figures, behind, strict=True)
    ]
    print(f"  a background within delta E 6 {np.mean(np.array(away) < 6):.3f}")
    print(f"gradient across patch borders over that inside patches: {seam_ratio(figures):.3f}")
    things = [row for row in rows if row.group in (3, 4, 5, 7) and not row.tone]
    things = things[:: max(1, len(things) // 100)][:100]
    others = draw_figures(model, [row.label for row in things], first=1000)
    near = [shown[n] for n in _find_nearest(compute_features(others), truth)]
    print(f"things, {len(things)}: {np.mean([a.label == h.label for a, h in zip(things, near, strict=True)]):.3f}")
    if sheet is not None:
        _write_sheet(draw_figures(model, list(SHEET_PROMPTS)), list(SHEET_PROMPTS), sheet)


def seam_ratio(figures: np.ndarray, patch: int = 32) -> float:
    """Divide the mean colour step across patch borders by that between other neighbours, inside figures."""
    steps: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for turned in (figures, figures.transpose(0, 2, 1, 3)):
        colour, solid = turned[..., :3].astype(np.float32), turned[..., 3] > 250
        step = np.abs(np.diff(colour, axis=2)).mean(-1)
        inside = solid[:, :, 1:] & solid[:, :, :-1]
        border = (np.arange(1, colour.shape[2]) % patch) == 0
        for on in (True, False):
            steps[on].append(step[:, :, border == on][inside[:, :, border == on]])
    return float(np.concatenate(steps[True]).mean() / np.concatenate(steps[False]).mean())


def _background_delta_e(figure: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Compute the delta E (CIE 1976) between the background and `colour`."""
    empty = figure[figure[..., 3] == 0][:, :3].mean(0)
    pair = np.float32([[empty], [colour]]) / 255
    lab = cv2.cvtColor(pair, cv2.COLOR_RGB2Lab)[:, 0]
    return float(np.linalg.norm(lab[0] - lab[1]))


def _find_nearest(asked: np.ndarray, truth: np.ndarray) -> np.ndarray:
    squares = (asked**2).sum(1)[:, None] + (truth**2).sum(1)[None] - 2 * asked @ truth.T
    return squares.argmin(1)


def _write_sheet(cells: np.ndarray, words: list[str], path: Path) -> None:
    tiles = []
    for cell, text in zip(cells, words, strict=True):
        tile = cv2.resize(cell[..., :3], (160, 160), interpolation=cv2.INTER_AREA)
        tile = np.vstack([tile, np.full((16, 160, 3), 255, np.uint8)])
        cv2.putText(tile, text[:30], (2, 171), cv2.FONT_HERSHEY_SIMPLEX, 0.28, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    rows = [np.hstack(tiles[n : n + 8]) for n in range(0, len(tiles), 8)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    _, work, *rest = sys.argv
    evaluate_model(Path(work), Path(rest[0]) if rest else None)
