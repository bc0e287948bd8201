"""Writing and reading a picture on a store beside the studio's own folder: a mounted folder, and DESIGNERBOX_FILES."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image

from pipelines.codecs.encode import encode_png
from pipelines.core.geometry import Image
from pipelines.storage.cached_store import open_store
from pipelines.storage.local_store import LocalStore
from tests.bench.rows import Row, make_row
from tests.support.examples import EXAMPLES

SIDE_PX = 1000
"""Pixels: a picture of one megapixel, as PNG."""
REPEAT_COUNT = 50


def rows() -> Iterator[Row]:
    """Medians of `TIMES`, the stores in turns. Writing is bounded by the local one; the way to a store comes to it."""
    data = encode_png(_load_picture())
    with tempfile.TemporaryDirectory() as folder:
        urls = {"local": "", "folder": f"file://{folder}/mnt", "named": os.environ.get("DESIGNERBOX_FILES", "")}
        stores = {name: open_store(url, Path(folder, name)) for name, url in urls.items() if url or name == "local"}
        ids = [f"file-{n:040x}" for n in range(REPEAT_COUNT)]
        write = _measure_medians(stores, lambda store, n: store.put(f"{ids[n]}.png", data))
        read = _measure_medians(stores, lambda store, n: store.fetch(f"{ids[n]}.png", len(data)).read_bytes())
        for path in Path(folder).glob("*/files/file-*"):
            if path.parent.parent.name != "local":
                path.unlink()
        cold = _measure_medians(stores, lambda store, n: store.fetch(f"{ids[n]}.png", len(data)).read_bytes())
        for store in stores.values():
            for file_id in ids:
                store.delete_all_of(file_id)
    yield make_row("store_local_write_ms", write["local"] * 1e3, "ms", 50)
    for name in [name for name in stores if name != "local"]:
        yield make_row(f"store_{name}_write_over_local", write[name] / write["local"], "x", 10)
        yield make_row(f"store_{name}_read_over_local", read[name] / read["local"], "x", 1.5)
        yield make_row(f"store_{name}_fetch_ms", cold[name] * 1e3, "ms", 50)


def _load_picture() -> Image:
    with PIL.Image.open(EXAMPLES / "coffee.jpg") as picture:
        return np.asarray(picture.convert("RGB").resize((SIDE_PX, SIDE_PX)))


def _measure_medians(stores: dict[str, LocalStore], act: Callable[[LocalStore, int], object]) -> dict[str, float]:
    """Seconds for each store."""
    took: dict[str, list[float]] = {name: [] for name in stores}
    for n in range(REPEAT_COUNT):
        for name, store in stores.items():
            since = time.perf_counter()
            act(store, n)
            took[name].append(time.perf_counter() - since)
    return {name: statistics.median(seconds) for name, seconds in took.items()}
