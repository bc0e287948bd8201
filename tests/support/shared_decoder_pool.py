"""One pool of decoders for all studios of a test run: a process for each of a hundred studios takes ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.ingest.decoder_pool import DecoderPool


class _SharedDecoderPool(DecoderPool):
    def close(self) -> None:
        """Leave the worker to the next studio."""

    def stop(self) -> None:
        """Stop the worker."""
        super().close()


_shared: list[_SharedDecoderPool] = []


@contextmanager
def share_decoder_pool() -> Iterator[None]:
    """Let the studios of this process share one pool until the end of the block."""
    _shared.append(_SharedDecoderPool(workers=1))
    try:
        yield
    finally:
        _shared.pop().stop()


def take_decoder_pool() -> DecoderPool:
    """Return the shared pool; a new one in a process of its own, which ends when its studio is closed."""
    return _shared[-1] if _shared else DecoderPool(workers=1)
