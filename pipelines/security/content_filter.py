"""NSFW content filter for input pictures, previews and results.

It fails closed: a missing or damaged net raises an error, and an invalid score blocks the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipelines.core.errors import PolicyRefusal
from pipelines.core.geometry import Image
from pipelines.core.lru_cache import LruCache
from pipelines.imaging.color import flatten_on_white
from pipelines.models.model_cache import ModelCache
from pipelines.security.audit_log import AuditLog

NSFW_MODEL_ID = "open-nsfw"
NSFW_SCORE_LIMIT = 0.5
"""Lowest score that is blocked. The net's authors call less than 0.2 safe and more than 0.8 certain. The highest of 185
harmless test pictures is 0.31."""
COMPOSED_SCORE_LIMIT = 0.8
"""Lowest score that is blocked of a result that no model drew, from pictures that passed. The net reads the same person
anew before each ground: of 57 photographs of people and things, seven plain grounds took one from 0.13 to 0.54 and one
from 0.00 to 0.88."""
MAX_REMEMBERED_COUNT = 100_000  # scores of accepted pictures that are remembered (about 20 MB)
INPUT_REFUSED = (
    "The content check reads this picture as nudity, so it is not worked on. It can be wrong, as with a mannequin: "
    "another photo of it may pass."
)
RESULT_REFUSED = "The content check reads the finished picture as nudity, so it was not kept."


class ContentFilter:
    """Scores pictures with Open-NSFW. Every method may raise `ModelUnavailable` or `OutOfMemory`.

    `is_result` tells of the SHA-256 of a picture's pixels and an owner whether they have it as a result.
    """

    def __init__(
        self, cache: ModelCache, audit: AuditLog, is_result: Callable[[str, str], bool] = lambda *_: False
    ) -> None:
        self._cache = cache
        self._audit = audit
        self._is_result = is_result
        self._passed = LruCache[str, float](MAX_REMEMBERED_COUNT)

    def check_input(self, image: Image, owner: str, sha256: str) -> float:
        """Return the score of an input picture (H x W x 3 or 4), remembered by its `sha256`. Raises `PolicyRefusal`.

        A result that its owner has kept passes again, such as to erase more from it.
        """
        if (score := self._passed.get(sha256)) is not None:
            return score
        views = [flatten_on_white(image)]
        if image.shape[2] == 4:
            views.append(np.ascontiguousarray(image[..., :3]))
        worst = self._highest_score(views)
        if not worst < NSFW_SCORE_LIMIT:
            # What is hidden under transparency was not scored when the result was made.
            is_kept = worst < COMPOSED_SCORE_LIMIT and self._is_result(sha256, owner)
            if is_kept and all(self._highest_score([hidden]) < NSFW_SCORE_LIMIT for hidden in views[1:]):
                return worst
            self._audit.record_refusal("input", owner, [sha256])
            raise PolicyRefusal(INPUT_REFUSED)
        self._passed.put(sha256, worst)
        return worst

    def check_results(
        self, images: Sequence[Image], owner: str, inputs: Sequence[str], *, is_composed: bool = False
    ) -> float:
        """Return the highest score of the results (H x W x 3 or 4). Raises `PolicyRefusal` if it is too high.

        `is_composed`: they show only what the pictures with these SHA-256 `inputs` show, which passed, and scenes.
        """
        worst = self._highest_score([flatten_on_white(image) for image in images])
        if not worst < (COMPOSED_SCORE_LIMIT if is_composed else NSFW_SCORE_LIMIT):
            self._audit.record_refusal("result", owner, inputs)
            raise PolicyRefusal(RESULT_REFUSED)
        return worst

    def allows_preview(self, image: Image) -> bool:
        """Return whether a preview may be shown."""
        return self._highest_score([flatten_on_white(image)]) < NSFW_SCORE_LIMIT

    def _highest_score(self, images: Sequence[Image]) -> float:
        with self._cache.borrow_model(NSFW_MODEL_ID) as net:
            scores = net.score_images(images)
        # max() may ignore a NaN, but a sum does not. NaN counts as too high.
        return max(scores) if sum(scores) == sum(scores) else float("nan")
