"""Thirty bad and odd pictures uploaded by page and REST: the answer is an error code or a picture, never a failure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from tests.bench.security.pillow_images import Send, open_uploads
from tests.support.hostile_pictures import ACCEPTED, HOSTILE_PICTURES, HostilePicture, claim_jpeg_size

# Gradio leaves event loops and their sockets to the collector, and asks pandas for what is going away.
pytestmark = pytest.mark.filterwarnings("ignore")
LEFT_TO_THE_DECODER = {f"JPEG bit flips {n}" for n in range(2, 8)}
"""The doors get two of the eight damaged copies: `test_decoder_pool.py` has them all, and a door sees a code."""
PICTURES = [
    # 9 megapixels to decode there, 4 to keep, to score and to show here.
    replace(row, data=lambda: claim_jpeg_size(2000)) if row.number == 10 else row
    for row in HOSTILE_PICTURES
    if row.name not in LEFT_TO_THE_DECODER
]
PAGE_PICTURES = [
    row for place, row in enumerate(PICTURES) if row.number not in {each.number for each in PICTURES[:place]}
]
"""The page gets the first of each number: it asks the same decoder as REST, and others of a number have its code."""


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Send]]:
    with open_uploads(tmp_path_factory.mktemp("incoming")) as (doors, up):
        yield doors
        assert up()


@pytest.mark.parametrize(
    ("door", "row"),
    [*(("page", row) for row in PAGE_PICTURES), *(("rest", row) for row in PICTURES)],
    ids=lambda part: part if isinstance(part, str) else part.id,
)
def test_every_door_takes_or_refuses_as_the_list_of_thirty_says(
    doors: dict[str, Send], door: str, row: HostilePicture
) -> None:
    try:
        answer = doors[door](f"picture{row.number}.png", row.data())
    except httpx.WriteError:  # the server hung up over a body that was too long
        answer = "refused"
    taken = {"taken"} if ACCEPTED in row.outcomes else set[str]()
    refused = {"refused", "upload 413"} if set(row.outcomes) - {ACCEPTED} else set[str]()
    assert answer in taken | refused
