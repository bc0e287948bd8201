"""The family of the reader of words, which checks labels where its package is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.models import ModelSpec

if TYPE_CHECKING:
    from pipelines.models.nets.text_reader import TextReader

# No repository: the weights are in the package. `bytes` is the measured memory after a first run.
TEXT_READER = ModelSpec(
    "pp-ocr",
    "text-reader",
    (),
    "Apache-2.0",
    revision="PP-OCRv6 small",
    options=(("runs_on", "cpu"),),
    bytes=190_000_000,
)


class TextReaderFamily:
    """The model family."""

    specs = (TEXT_READER,)

    def estimate_bytes(self, spec: ModelSpec) -> int:
        """Return the bytes that the reader takes, measured beforehand."""
        return spec.bytes

    def load(self, spec: ModelSpec, device: str) -> TextReader:
        """Load the reader onto the processor, whatever `device` is. Raises `ModelUnavailable` without its package."""
        from pipelines.models.nets.text_reader import TextReader

        return TextReader(spec)


TEXT_READER_FAMILY = TextReaderFamily()
