"""What the small text-to-image model that ships costs: time of a picture, time and memory of loading it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from pipelines.core.rendering import ModelStep, RenderRequest
from tests.bench.rows import Row, make_row

PROMPT = "a woman firefighter with dark skin, teal background"
# In a process of its own: what loading adds is not seen where torch and diffusers are loaded already, as in a studio
# that has drawn before.
_LOADING_SCRIPT = """
import psutil, time, diffusers, torch
from diffusers import PRXPixelPipeline
from pipelines.core.rendering import RenderRequest
from pipelines.models.families.mini import model as mini
me = psutil.Process()
before, since = me.memory_full_info().pss, time.monotonic()
model = mini.load(mini.MINI, "cpu")
seconds = time.monotonic() - since
model.draw(RenderRequest("text", "a cat", (512, 512), (1,)), lambda step: None)
print(seconds, (me.memory_full_info().pss - before) / 2**20)
"""


def rows() -> Iterator[Row]:
    """Every row of this module."""
    from pipelines.models.families.mini import model as mini_model

    runs = [
        subprocess.run([sys.executable, "-c", _LOADING_SCRIPT], capture_output=True, text=True, check=True)
        for _ in "123"
    ]
    told = [[float(word) for word in run.stdout.split()[-2:]] for run in runs]
    yield make_row("mini_load_seconds", round(statistics.median(seconds for seconds, _ in told), 2), "s", 2.0)
    yield make_row("mini_memory_mb", round(statistics.median(memory for _, memory in told)), "MB", 400)

    model = mini_model.load(mini_model.MINI, "cpu")

    def watched(step: ModelStep) -> None:
        if step.preview is not None:
            step.preview()

    taken = []
    for seed in range(6):
        since = time.monotonic()
        model.draw(RenderRequest("text", PROMPT, (512, 512), (seed,)), watched)
        taken.append(time.monotonic() - since)
    model.close()
    yield make_row("mini_seconds_512", round(statistics.median(taken[1:]), 2), "s", 2.5)
