"""What was freed goes back to the system, as far as the C library lets it."""

from __future__ import annotations

import sys

import psutil
import pytest

from pipelines import memory

PIECE, PIECES = 100_000, 1000


@pytest.mark.skipif(memory._trim() is None, reason="another C library than glibc keeps nothing that it could give back")
def test_what_lies_free_between_what_is_used_is_given_back() -> None:
    pieces = [bytearray(b"x" * PIECE) for _ in range(PIECES)]
    kept = pieces[::2]
    del pieces
    before = psutil.Process().memory_info().rss
    memory.give_back()
    assert before - psutil.Process().memory_info().rss > PIECE * PIECES / 4
    assert len(kept) == PIECES / 2


def test_elsewhere_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    memory._trim.cache_clear()
    memory.give_back()
    memory._trim.cache_clear()
