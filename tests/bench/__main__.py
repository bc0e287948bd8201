"""`python -m tests.bench [NAME [NUMBER] …]`: one JSON object a line; exit status 1 when a figure misses its bound.

A number, a path with a slash in it, or `--option VALUE` goes to the module named before it, which says what it means.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Iterator, Sequence

from pipelines.core.thread_waiting import limit_spinning
from pipelines.models.probes.cpu_precision import processor_name
from tests.bench.rows import Row

MODULES = {
    "house": "service.single_job",
    "matte": "pictures.matte_error",
    "models": "models.diffusion_memory",
    "mini": "models.mini_model",
    "doors": "service.event_stream",
    "tools": "pictures.tool_speed",
    "page": "page.page_load",
    # The rest runs only by name: it takes minutes, or needs root, packages or a network.
    "coalescing": "models.dynamic_batching",
    "examples": "service.api_examples",
    "fidelity": "pictures.fidelity",
    "full_disk": "batch.full_disk",
    "fuzz": "security.api_fuzz",
    "growing": "page.long_use",
    "harmless": "security.harmless_pictures",
    "leaving": "security.signed_downloads",
    "pillow": "security.pillow_images",
    "point": "pictures.pointing",
    "ray_data": "batch.ray_data",
    "returning": "page.page_reconnect",
    "siege": "security.siege",
    "stores": "service.file_stores",
    "survival": "batch.server_kills",
    "thousand": "batch.large_batch",
    "twenty": "pictures.blind_test",
    "wishes": "pictures.scene_wishes",
    "workers": "service.ray_workers",
}
"""The module in `tests.bench` of each name."""
DEFAULT_NAMES = ("house", "matte", "models", "mini", "doors", "tools", "page")


def measure_modules(names: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of the modules named, by default of those that need no more than this machine."""
    asked: list[tuple[str, list[float | str], dict[str, str]]] = []
    words = iter(names or DEFAULT_NAMES)
    for word in words:
        is_name = not (word.startswith("--") or "/" in word or word[0].isdigit())
        if is_name:
            asked.append((word, [], {}))
        elif not asked:
            raise SystemExit(f"{word} stands before the name of a bench. There are: {', '.join(MODULES)}.")
        elif word.startswith("--"):
            asked[-1][2][word.removeprefix("--")] = next(words, "")
        elif "/" in word:
            asked[-1][1].append(word)
        else:
            asked[-1][1].append(int(word) if word.isdigit() else float(word))
    if unknown := [name for name, _, _ in asked if name not in MODULES]:
        raise SystemExit(f"No bench is called {unknown[0]}. There are: {', '.join(MODULES)}.")
    for name, values, options in asked:
        measure = importlib.import_module(f"tests.bench.{MODULES[name]}").rows
        try:
            inspect.signature(measure).bind(*values, **options)
        except TypeError as error:
            raise SystemExit(f"{name}: {error}. It takes {inspect.signature(measure)}.") from None
        yield from measure(*values, **options)


def main(names: Sequence[str]) -> int:
    """Print each row as it comes; return the exit status."""
    good = True
    limit_spinning()  # as app.py does
    for measurement in measure_modules(names):
        print(json.dumps({**measurement, "processor": processor_name()}), flush=True)
        good &= measurement["ok"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
