"""A tool whose steps wait at a gate that tests open and shut, a studio with it, an engine without content filter."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image
from pipelines.core.job import Job, ProgressCallback
from pipelines.core.params import Params, number_field, prompt_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.engines.local import LocalEngine
from pipelines.models.model_cache import ModelCache
from pipelines.security.audit_log import AuditLog
from pipelines.security.content_filter import ContentFilter as ContentGate
from pipelines.storage.file_index import FileIndex
from pipelines.tools import TOOLS
from tests.support.real_studio import RealStudio


class HarmlessFilter(ContentGate):
    """Calls every picture harmless without the net."""

    def _highest_score(self, images: Sequence[Image]) -> float:
        return 0.0


class UnfilteredEngine(LocalEngine):
    """For tests that count memory or time, in which the content gate's net would take part."""

    def __init__(
        self, cache: ModelCache, files: FileIndex, tools: Sequence[Tool] = TOOLS, *, together: int = 0
    ) -> None:
        super().__init__(cache, files, tools, together=together)
        self.resources = replace(self.resources, content_filter=HarmlessFilter(cache, AuditLog(files.data)))


class GatedParams(Params):
    """How many steps, and what goes wrong."""

    steps: int = number_field("Steps", "How many.", 3, ge=1, le=1000)
    fault: str = prompt_field("Fault", "none, bad or bug.")


@dataclass
class Gate:
    """Open by default. While shut, a step waits; `entered` counts steps that began. `seen`: a preview need not wait."""

    open: threading.Event = field(default_factory=threading.Event)
    seen: threading.Event = field(default_factory=threading.Event)
    pause: float = 0.0
    entered: int = 0
    ended: list[str] = field(default_factory=list)
    order: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()
        self.seen.set()

    def reset(self) -> None:
        """Make it as it was at first, for the next test of a studio that several share."""
        self.open.set()
        self.seen.set()
        self.pause, self.entered = 0.0, 0
        self.ended.clear()
        self.order.clear()

    def make_tool(self) -> Tool:
        """The tool row, id `gate`."""
        return Tool(id="gate", title="Gate", summary="For tests.", params=GatedParams, run=self._run)

    def _run(self, params: GatedParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        self.order.append(context.seed)
        if params.fault == "bad":
            raise BadInput("This was asked for.", param="fault")
        if params.fault == "bug":
            raise ZeroDivisionError
        image = np.full((64, 64, 3), 120, np.uint8)
        try:
            for n in range(params.steps):
                self.entered += 1
                self.open.wait(timeout=30)
                time.sleep(self.pause)
                emit("Waiting", n + 1, params.steps, image)
        finally:
            self.ended.append(threading.current_thread().name)
        return ToolOutput(images=(image,))


def make_gated_job(steps: int = 3, owner: str = "me", seed: int = 0, **values: object) -> Job:
    """A job for the gate tool."""
    return Job(
        id=f"job-{uuid.uuid4().hex}",
        tool="gate",
        params={"steps": steps, **values},
        seed=seed,
        profile="embedded",
        specs={"matte": "u2netp"},
        owner=owner,
        created=time.time(),
    )


class GatedStudio(RealStudio):
    """A studio whose only tool is the gate's. Closing it opens the gate."""

    def __init__(self, root: Path, *, max_waiting: int = 16, database: str = "") -> None:
        self.gate = Gate()
        super().__init__(root, (self.gate.make_tool(),), max_waiting=max_waiting, database=database)

    def close(self) -> None:
        self.gate.open.set()
        super().close()
