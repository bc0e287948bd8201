"""The content gate: which pictures may come in, be shown and go out; knows no job.

It fails closed: a net that is missing or damaged raises, an odd score blocks, and nothing is shown or kept then.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from pipelines.core.errors import PolicyRefusal
from pipelines.core.geometry import Image
from pipelines.models.model_cache import ModelCache
from pipelines.security.audit_log import AuditLog

NSFW_MODEL_ID = "open-nsfw"
NSFW_SCORE_LIMIT = 0.5
"""Blocks from here on. Its authors call less than 0.2 safe and more than 0.8 certain; the highest of 185 harmless
pictures tried here is 0.31."""
MAX_REMEMBERED_COUNT = 100_000
"""Pictures that passed, some 20 MB of their hashes."""
INPUT_REFUSED = "The content check reads this picture as nudity, so it is not worked on."
RESULT_REFUSED = "The content check reads the finished picture as nudity, so it was not kept."


class ContentFilter:
    """Scores pictures with the net of the cache. Every method may raise `ModelUnavailable` or `OutOfMemory`."""

    def __init__(self, cache: ModelCache, audit: AuditLog) -> None:
        self._cache = cache
        self._audit = audit
        self._lock = threading.Lock()
        self._passed: OrderedDict[str, float] = OrderedDict()

    def check_input(self, image: Image, owner: str, sha256: str) -> float:
        """The score of a picture that came in (H x W x 3 or 4), looked at once as long as it is remembered by its
        pixels' `sha256`. Raises `Refused`.
        """
        with self._lock:
            if sha256 in self._passed:
                return self._passed[sha256]
        views = (
            [flatten_on_white(image)]
            if image.shape[2] == 3
            else [flatten_on_white(image), np.ascontiguousarray(image[..., :3])]
        )
        worst = self._highest_score(views)
        if not worst < NSFW_SCORE_LIMIT:
            self._audit.record_refusal("input", owner, [sha256])
            raise PolicyRefusal(INPUT_REFUSED)
        with self._lock:
            self._passed[sha256] = worst
            if len(self._passed) > MAX_REMEMBERED_COUNT:
                self._passed.popitem(last=False)
        return worst

    def check_results(self, images: Sequence[Image], owner: str, inputs: Sequence[str]) -> float:
        """The highest score of the pictures that would go out. Raises `Refused` for all when one is too high."""
        worst = self._highest_score([flatten_on_white(image) for image in images])
        if not worst < NSFW_SCORE_LIMIT:
            self._audit.record_refusal("result", owner, inputs)
            raise PolicyRefusal(RESULT_REFUSED)
        return worst

    def allows_preview(self, image: Image) -> bool:
        """Whether a preview may be seen."""
        return self._highest_score([flatten_on_white(image)]) < NSFW_SCORE_LIMIT

    def _highest_score(self, images: Sequence[Image]) -> float:
        with self._cache.borrow_model(NSFW_MODEL_ID) as net:
            scores = net.score_images(images)
        # max() would drop a NaN or keep it by its place; a sum keeps it, and it compares as too high.
        return max(scores) if sum(scores) == sum(scores) else float("nan")


def flatten_on_white(image: Image) -> Image:
    """H x W x 3; what is see-through lies on white."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.asarray(image[..., :3] * alpha + 255 * (1 - alpha) + 0.5, np.uint8)
