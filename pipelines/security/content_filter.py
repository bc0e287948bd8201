"""The content gate: which pictures may come in, be shown and go out; knows no job.

It fails closed: a net that is missing or damaged raises, an odd score blocks, and nothing is shown or kept then.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from pipelines.core.errors import Refused
from pipelines.core.geometry import Image
from pipelines.models.model_cache import Cache
from pipelines.security.audit_log import Audit

NET = "open-nsfw"
LIMIT = 0.5
"""Blocks from here on. Its authors call less than 0.2 safe and more than 0.8 certain; the highest of 185 harmless
pictures tried here is 0.31."""
REMEMBERED = 100_000
"""Pictures that passed, some 20 MB of their hashes."""
INPUT_REFUSED = "The content check reads this picture as nudity, so it is not worked on."
RESULT_REFUSED = "The content check reads the finished picture as nudity, so it was not kept."


class Gate:
    """Scores pictures with the net of the cache. Every method may raise `ModelUnavailable` or `OutOfMemory`."""

    def __init__(self, cache: Cache, audit: Audit) -> None:
        self._cache = cache
        self._audit = audit
        self._lock = threading.Lock()
        self._passed: OrderedDict[str, float] = OrderedDict()

    def admit(self, image: Image, owner: str, sha256: str) -> float:
        """The score of a picture that came in (H x W x 3 or 4), looked at once as long as it is remembered by its
        pixels' `sha256`. Raises `Refused`.
        """
        with self._lock:
            if sha256 in self._passed:
                return self._passed[sha256]
        views = [flat(image)] if image.shape[2] == 3 else [flat(image), np.ascontiguousarray(image[..., :3])]
        worst = self._worst(views)
        if not worst < LIMIT:
            self._audit.refused("input", owner, [sha256])
            raise Refused(INPUT_REFUSED)
        with self._lock:
            self._passed[sha256] = worst
            if len(self._passed) > REMEMBERED:
                self._passed.popitem(last=False)
        return worst

    def release(self, images: Sequence[Image], owner: str, inputs: Sequence[str]) -> float:
        """The highest score of the pictures that would go out. Raises `Refused` for all when one is too high."""
        worst = self._worst([flat(image) for image in images])
        if not worst < LIMIT:
            self._audit.refused("result", owner, inputs)
            raise Refused(RESULT_REFUSED)
        return worst

    def shows(self, image: Image) -> bool:
        """Whether a preview may be seen."""
        return self._worst([flat(image)]) < LIMIT

    def _worst(self, images: Sequence[Image]) -> float:
        with self._cache.borrow(NET) as net:
            scores = net.scores(images)
        # max() would drop a NaN or keep it by its place; a sum keeps it, and it compares as too high.
        return max(scores) if sum(scores) == sum(scores) else float("nan")


def flat(image: Image) -> Image:
    """H x W x 3; what is see-through lies on white."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.asarray(image[..., :3] * alpha + 255 * (1 - alpha) + 0.5, np.uint8)
