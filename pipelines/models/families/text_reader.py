"""The family of the reader of words, which checks labels where its package is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.models import ModelSpec
from pipelines.models.families.hub_nets import HubNetFamily

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


def _open_text_reader(spec: ModelSpec) -> TextReader:
    from pipelines.models.nets.text_reader import TextReader

    return TextReader(spec)


TEXT_READER_FAMILY = HubNetFamily((TEXT_READER,), _open_text_reader)
