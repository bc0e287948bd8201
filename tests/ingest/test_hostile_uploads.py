"""Thirty bad and odd pictures uploaded by page and REST: the answer is an error code or a picture, never a failure."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.bench.security.pillow_images import Send, open_uploads
from tests.support.hostile_pictures import ACCEPTED, HOSTILE_PICTURES, HostilePicture

# Gradio leaves event loops and their sockets to the collector, and asks pandas for what is going away.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Send]]:
    with open_uploads(tmp_path_factory.mktemp("incoming")) as (doors, up):
        yield doors
        assert up()


@pytest.mark.parametrize("row", HOSTILE_PICTURES, ids=[row.id for row in HOSTILE_PICTURES])
@pytest.mark.parametrize("door", ["page", "rest"])
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
