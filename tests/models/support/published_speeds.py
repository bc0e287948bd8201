"""A fake model whose steps take as long as published figures say, by tokens and pictures in the call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from pipelines.core.geometry import Image
from pipelines.core.job import ProgressCallback
from pipelines.core.models import ModelSpec
from pipelines.core.params import Params, number_field, prompt_field
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest, ToolOutput
from pipelines.core.tools import Tool, ToolContext

BATCH_SPEEDUPS = {1: 1.0, 2: 1.8, 4: 2.8, 8: 3.1}
"""Speed-up by pictures in a call, at 512 px on an H200."""
SATURATED_SPEEDUP = 1.02
"""Speed-up at 1024 px, where one picture keeps the whole device busy."""
SPEC = ModelSpec("published", "published", ("text",), "Apache-2.0", defaults=(("num_inference_steps", 4),))
STEPS = 4


def step_seconds(tokens: int, pictures: int) -> float:
    """Return the time of a step in units of a step of one picture at 512 px."""
    if tokens > 1024:
        return tokens / 1024 * pictures / (SATURATED_SPEEDUP if pictures > 1 else 1)
    return pictures / float(np.interp(pictures, list(BATCH_SPEEDUPS), list(BATCH_SPEEDUPS.values())))


def plain_picture(seed: int, size: tuple[int, int]) -> Image:
    """Return the picture of a seed."""
    return np.full((size[1], size[0], 3), seed % 256, np.uint8)


@dataclass
class TimedModel:
    """A `BatchingModel` model. `unit`: seconds of a step of one picture at 512 px. `calls`: the seeds of each call."""

    spec: ModelSpec = SPEC
    unit: float = 0.0
    calls: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    step: Callable[[int], object] | None = None
    """Called in every step with its index: tests wait or raise there."""
    busy: threading.Lock = field(default_factory=threading.Lock)

    def batch_key(self, render: RenderRequest) -> tuple[Hashable, int] | None:
        if render.images:
            return None
        return (render.size, render.num_inference_steps), render.size[0] * render.size[1] // 256

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        return self.draw_batch([render], lambda steps: on_step(steps[0]))[0]

    def draw_batch(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[RenderedImages]:
        assert self.busy.acquire(blocking=False), "two calls at once"
        try:
            self.calls.append(tuple(seed for render in renders for seed in render.seeds))
            tokens = renders[0].size[0] * renders[0].size[1] // 256
            for n in range(1, STEPS + 1):
                if self.step is not None:
                    self.step(n)
                time.sleep(self.unit * step_seconds(tokens, len(self.calls[-1])))
                on_step([ModelStep(n, STEPS, partial(plain_picture, each.seeds[0], (8, 8))) for each in renders])
        finally:
            self.busy.release()
        return [RenderedImages(tuple(plain_picture(seed, each.size) for seed in each.seeds)) for each in renders]

    def close(self) -> None: ...


class TimedFamily:
    """A family that returns the same model at every load."""

    def __init__(self, model: TimedModel, *ids: str) -> None:
        self.model = model
        self.specs = tuple(replace(SPEC, id=each) for each in ids or (SPEC.id,))

    def load(self, spec: ModelSpec, device: str) -> TimedModel:
        return self.model

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return 0


class TimedParams(Params):
    """The form: a prompt and a size."""

    words: str = prompt_field("Words", "Any.")
    side: int = number_field("Side", "Pixels.", 512, ge=8, le=2048)
    variations: int = number_field("Variations", "How many.", 1, ge=1, le=8)


def timed_tool() -> Tool:
    """Return a tool of id `asked` that only draws."""
    return Tool("asked", "Asked", "For tests.", TimedParams, _run)


def _run(params: TimedParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    seeds = tuple(context.seed + n for n in range(params.variations))
    return ToolOutput(
        images=context.draw(RenderRequest("text", params.words, (params.side, params.side), seeds), emit).images
    )
