"""The family of the reader of words, which checks labels where its package is installed."""

from __future__ import annotations

from pipelines.core.models import ModelSpec
from pipelines.models.families.hub_nets import HubNetFamily

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
TEXT_READER_FAMILY = HubNetFamily((TEXT_READER,), "pipelines.models.nets.text_reader:TextReader")
