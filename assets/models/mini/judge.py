"""Measures the small model: does what it draws look like what was asked for? Trains nothing.

    python -m assets.models.mini.judge WORK [SHEET.png]

Draws every role x gender x tone that was held out of training with five seeds, and 100 animals and objects, and looks
for the nearest render of the whole set, held-out ones included, by the distance of the 64 px pixels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from assets.models.mini import data
from pipelines.models.families.mini import MINI, Mini
from pipelines.types import ModelStep, Render

SIDE = 64


def features(figures: np.ndarray) -> np.ndarray:
    """Unit-free rows of N x S x S x 4 figures on grey, a little blurred so that a pixel's shift is no difference."""
    rows = []
    for figure in figures:
        small = cv2.resize(np.asarray(figure), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        flat = np.dstack([small[..., :3] * small[..., 3:], small[..., 3]])
        rows.append(cv2.GaussianBlur(flat, (0, 0), 1.0).ravel())
    return np.stack(rows)


def drawn(model: Mini, prompts: list[str], first: int = 0, steps: int | None = None) -> np.ndarray:
    """N x 256 x 256 x 4, seeds counting up from `first`."""
    out = []
    for n, prompt in enumerate(prompts):
        made = model.draw(Render("text", prompt, (256, 256), (first + n,), num_inference_steps=steps), _nothing)
        out.append(np.dstack([made.images[0], (made.alphas[0] * 255).astype(np.uint8)]))
    return np.stack(out)


def _nothing(step: ModelStep) -> None:
    pass


def main(work: Path, sheet: Path | None, repeats: int) -> None:
    renders, rows = data.load(work)
    truth = features(renders)
    model = Mini(MINI, "cpu")
    asked = [row for row in rows if row.held_out] * repeats
    prompts = [f"a {row.gender} {row.role} with {row.tone} skin" for row in asked]
    figures = drawn(model, prompts)
    hits = [rows[n] for n in _nearest(features(figures), truth)]
    pairs = list(zip(asked, hits, strict=True))
    role = np.mean([a.role == h.role for a, h in pairs])
    print(f"held out, {len(pairs)}: role {role:.3f}", end=" ")
    print(f"tone {np.mean([a.tone == h.tone for a, h in pairs]):.3f}", end=" ")
    print(f"gender {np.mean([a.gender == h.gender for a, h in pairs]):.3f}", end=" ")
    print(f"all {np.mean([(a.role, a.tone, a.gender) == (h.role, h.tone, h.gender) for a, h in pairs]):.3f}")
    things = [row for row in rows if row.group in (3, 4, 5, 7) and not row.tone]
    things = things[:: max(1, len(things) // 100)][:100]
    others = drawn(model, [row.label for row in things], first=1000)
    near = [rows[n] for n in _nearest(features(others), truth)]
    print(f"things, {len(things)}: {np.mean([a.label == h.label for a, h in zip(things, near, strict=True)]):.3f}")
    if sheet is not None:
        cells = np.concatenate([figures[:40], others[:40]])
        _sheet(cells, [*prompts[:40], *(row.label for row in things[:40])], sheet)


def _nearest(asked: np.ndarray, truth: np.ndarray) -> np.ndarray:
    squares = (asked**2).sum(1)[:, None] + (truth**2).sum(1)[None] - 2 * asked @ truth.T
    return squares.argmin(1)


def _sheet(cells: np.ndarray, words: list[str], path: Path) -> None:
    tiles = []
    for cell, text in zip(cells, words, strict=True):
        tile = cv2.resize(cell[..., :3], (160, 160), interpolation=cv2.INTER_AREA)
        tile = np.vstack([tile, np.full((16, 160, 3), 255, np.uint8)])
        cv2.putText(tile, text[:30], (2, 171), cv2.FONT_HERSHEY_SIMPLEX, 0.28, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    rows = [np.hstack(tiles[n : n + 8]) for n in range(0, len(tiles) - 7, 8)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    _, work, *rest = sys.argv
    main(Path(work), Path(rest[0]) if rest else None, int(rest[1]) if len(rest) > 1 else 5)
