"""Rows of one checkpoint that take less memory on the device, by how its weights are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pipelines.core.models import ModelSpec

Mode = Literal["int8", "streamed", "offloaded"]
_INT8_OPTIONS = (("text_encoder", "int8"), ("package", "torchao"))
_STREAMED_OPTIONS = (("text_encoder", "streamed"),)


def make_lighter_rows(
    row: ModelSpec, text_encoder_bytes: int, min_vram: Mapping[Mode, int], *, int8_bytes: int = 0, vae_bytes: int = 0
) -> tuple[ModelSpec, ...]:
    """Make a row for each mode of `min_vram`, each of which names the next one as lighter; `row` names the first.

    A text encoder is large and needed only briefly, so it may be quantized to `int8_bytes` or stay in main memory
    (`streamed`). Of an `offloaded` checkpoint the transformer stays there too, so that `vae_bytes` are on the device.
    """
    ids = [f"{row.id}-{mode}" for mode in min_vram]
    kept = tuple(option for option in row.options if option[0] != "lighter")
    drawing_bytes = row.bytes - text_encoder_bytes
    modes: dict[Mode, tuple[tuple[tuple[str, str], ...], dict[str, Any]]] = {
        "int8": (
            _INT8_OPTIONS,
            {"bytes": drawing_bytes + int8_bytes, "download_bytes": row.download_bytes or row.bytes},
        ),
        "streamed": (_STREAMED_OPTIONS, {"bytes": drawing_bytes, "host_bytes": text_encoder_bytes}),
        "offloaded": (
            (*_STREAMED_OPTIONS, ("transformer", "streamed")),
            {"bytes": vae_bytes, "host_bytes": row.bytes - vae_bytes},
        ),
    }
    rows: list[ModelSpec] = []
    for n, (mode, least) in enumerate(min_vram.items(), 1):
        options, memory = modes[mode]
        lighter = tuple(("lighter", each) for each in ids[n : n + 1])
        rows.append(replace(row, id=ids[n - 1], options=(*kept, *options, *lighter), min_vram=least, **memory))
    return tuple(rows)
