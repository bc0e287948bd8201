"""One pool of decoders for all studios of a test run: a process for each of a hundred studios takes ten seconds."""

from __future__ import annotations

from pipelines.ingest.decoder_pool import DecoderPool


class SharedDecoderPool(DecoderPool):
    """A pool that outlives the studio that closes it."""

    def close(self) -> None:
        """Leave the worker to the next studio."""

    def stop(self) -> None:
        """Stop the worker at the end of the run."""
        super().close()


SHARED_DECODER_POOL = SharedDecoderPool(workers=1)
