"""How many harmless pictures the content gate refuses; asked for by name, over a folder of pictures of one's own.

`HARMLESS=DIR python -m tests.bench harmless`. What was measured: renders of @lobehub/fluent-emoji-3d (npm), half
of people of every skin tone, avatars of the @dicebear styles on skin-coloured grounds, and the photographs that come
with scikit-learn and scikit-image. `tests/test_safety.py` does the same with what lies in this repository.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image

from pipelines.models.families import nets
from pipelines.models.families.nsfw import OpenNsfw
from pipelines.parts.safety import LIMIT, flat
from tests.bench.rows import Row, row

AT_LEAST = 100


def rows() -> Iterator[Row]:
    """How many were looked at, how many would be refused, and the highest score."""
    net = OpenNsfw(nets.OPEN_NSFW)
    scores = {path.name: _score(net, path) for path in sorted(Path(os.environ["HARMLESS"]).iterdir())}
    for name, score in sorted(scores.items(), key=lambda pair: -pair[1])[:5]:
        print(f"{score:.3f} {name}", file=sys.stderr)
    yield row("harmless_pictures", len(scores), "pictures", AT_LEAST, at_most=False)
    yield row("harmless_refused", sum(score >= LIMIT for score in scores.values()), "pictures", len(scores) // 100)
    yield row("harmless_highest_score", round(max(scores.values()), 3), "of 1", 1)


def _score(net: OpenNsfw, path: Path) -> float:
    """The higher of the two views that the door looks at: on white, and with what transparency hides."""
    with PIL.Image.open(path) as opened:
        image = np.asarray(opened.convert("RGBA" if opened.mode in ("RGBA", "P", "LA") else "RGB"))
    views = [flat(image)] if image.shape[2] == 3 else [flat(image), np.ascontiguousarray(image[..., :3])]
    return max(net.scores(views))
