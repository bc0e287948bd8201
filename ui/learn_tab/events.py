"""The page on inference: the visitor's own last picture made once more, step by step, and what steps cost; no tool.

What it shows is told by the same stream and the same receipts that every tool has, so any tool's steps can be scrubbed.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import Cancelled, NotFound, StudioError
from pipelines.core.job import File, Job, Result, Step
from pipelines.core.stream import Stream
from pipelines.jobs.queue import Row
from pipelines.service.orders import Desk
from ui.api.auth.access import Access
from ui.components.pictures import data_url, small
from ui.learn_tab import text
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.layout import TILES_URL
from ui.tool_tab.updates import pictures

TITLE = text.TITLE
FRAMES = 40
"""Pictures kept for the slider; of more steps, evenly chosen ones."""
SIDE = 384
LOOKED_AT = 20
"""Jobs among which the last one with a picture is looked for."""
EXAMPLE = ("headshot", {"preset": "lobby", "seed": 1}, "astronaut")
EXAMPLE_MADE = f"{TILES_URL}/headshot/card.webp"
Updates = dict[Any, Any]


def fill(page: gr.Tab, desk: Desk, access: Access) -> None:
    """The page, wired, in its tab."""
    Learn(desk, access).wire(page)


class Learn:
    """Layout and listeners; what is shown is found anew at every look."""

    def __init__(self, desk: Desk, access: Access) -> None:
        self.desk = desk
        self.access = access
        gr.HTML(text.head())
        self.way = gr.HTML("", elem_id="learn-way")
        with gr.Row(elem_classes=["dbx-tool", "dbx-learn"]):
            with gr.Column(scale=6, min_width=320):
                gr.HTML("<h2>Its steps</h2>")
                self.run = gr.Button("Make it again and keep every step", variant="primary", elem_id="learn-run")
                self.stage = gr.HTML(
                    tool_tab_text.line("The same settings and seed: the same picture."), elem_classes=["dbx-stage"],
                    elem_id="learn-stage",
                )  # fmt: skip
                self.film = gr.HTML("", elem_id="learn-film")
            with gr.Column(scale=6, min_width=320):
                self.spent = gr.HTML("", elem_id="learn-spent")
                gr.HTML("<h2>Smaller numbers, several at once</h2>")
                self.measure = gr.Button("Measure on this machine", elem_id="learn-measure")
                self.told = gr.HTML("", elem_id="learn-measured")
        gr.HTML(f"<h2>Another device</h2>{text.devices()}", elem_classes=["dbx-learn"])
        gr.HTML(f"<h2>Why it matters</h2>{text.cards(text.WHY)}", elem_classes=["dbx-learn"])
        gr.HTML(f"<h2>How it is made faster</h2>{text.cards(text.FASTER)}", elem_classes=["dbx-learn"])

    def wire(self, page: gr.Tab) -> None:
        """Attach the listeners; all are private to the page."""
        shown = [self.way, self.run, self.stage, self.film, self.spent, self.measure, self.told]
        for listener, handler in (
            (page.select, self.look), (self.run.click, self.again), (self.measure.click, self.measured),
        ):  # fmt: skip
            listener(
                handler, [], shown, api_visibility="private", concurrency_limit=None, show_progress="hidden",
            )  # fmt: skip

    # ------------------------------------------------------------ what happens

    def look(self, request: gr.Request) -> Updates:
        """The visitor's last picture, and where its time went."""
        row = self._last(self.access.visitor(request))
        if row is None or row.result is None:
            before = data_url(small(self.desk.files.open(self._example()), SIDE))
            return {self.way: text.way(before, EXAMPLE_MADE, ["u2netp", "backdrops"], text.STAY)}
        return {self.way: self._way(row.job, row.result), self.spent: text.spent(row.result.receipt["timings"])}

    async def again(self, request: gr.Request) -> AsyncIterator[Updates]:
        """The last picture once more, from the beginning; every preview that is made on the way is kept."""
        owner = self.access.visitor(request)
        yield {self.run: gr.update(interactive=False), self.stage: tool_tab_text.line(tool_tab_text.STARTED, busy=True)}
        try:
            job, stream = await run_in_threadpool(self._ordered, owner)
        except StudioError as error:
            yield self._ended(error.message)
            return
        frames: list[text.Frame] = []
        since = time.monotonic()
        try:
            async for event in stream:
                if isinstance(event, Result):
                    yield await run_in_threadpool(self._shown, job, event, frames)
                    continue
                if isinstance(event, Step) and event.preview is not None:
                    seconds = time.monotonic() - since
                    frames.append(text.Frame(event.stage, event.index, event.total, seconds, data_url(event.preview)))
                yield {self.stage: tool_tab_text.working(event, draft=False)}
        except Cancelled:
            yield self._ended(tool_tab_text.STOPPED)
        except StudioError as error:
            yield self._ended(error.message)
        finally:
            stream.close()
            self.desk.jobs.cancel(job.id)  # nobody else waits for it

    async def measured(self, request: gr.Request) -> AsyncIterator[Updates]:
        """The matte of the same photo, timed in each way."""
        owner = self.access.visitor(request)
        yield {self.measure: gr.update(value="Measuring", interactive=False)}
        said = ""
        job, stream = await run_in_threadpool(self._submitted, self._measuring(owner))
        try:
            async for event in stream:
                if isinstance(event, Result):
                    said = text.measured(event.receipt["params"]["measured"])
        except Cancelled:
            said = tool_tab_text.line(tool_tab_text.STOPPED)
        except StudioError as error:
            said = tool_tab_text.line(error.message)
        finally:
            stream.close()
            self.desk.jobs.cancel(job.id)
        yield {self.measure: gr.update(value="Measure again", interactive=True), self.told: said}

    # ------------------------------------------------------------ what is ordered

    def _ordered(self, owner: str) -> tuple[Job, Stream]:
        row = self._last(owner)
        if row is None:
            tool, values, _ = EXAMPLE
            job = self.desk.order(tool, {**values, "photo": self._example()}, owner)
        else:
            seeded = "seed" in self.desk.tool(row.job.tool).params.model_fields
            job = self.desk.order(row.job.tool, {**row.job.params, **({"seed": row.job.seed} if seeded else {})}, owner)
        return self._submitted(job.model_copy(update={"helper": True}))

    def _submitted(self, job: Job) -> tuple[Job, Stream]:
        return job, self.desk.jobs.follow(job)

    def _measuring(self, owner: str) -> Job:
        row = self._last(owner)
        photo = self._photo(row.job) if row is not None else None
        return self.desk.help("measure", {"photo": photo or self._example()}, owner)

    def _last(self, owner: str) -> Row | None:
        """The visitor's newest picture whose tool and photo are still there."""
        there = {tool.id for tool in self.desk.tools}
        rows = self.desk.jobs.list(owner, LOOKED_AT)
        return next((row for row in rows if row.job.tool in there and row.result and pictures(row.result)), None)

    def _example(self) -> str:
        return next(row.file_id for row in self.desk.examples() if row.name == EXAMPLE[2])

    def _photo(self, job: Job) -> str | None:
        """The first picture that went in; None where there was none, or it is gone."""
        names = self.desk.tool(job.tool).params.fields_of_kind("picture", "pictures")
        values = [job.params.get(name) for name in names[:1]]
        flat = [each for value in values for each in (value if isinstance(value, list | tuple) else [value]) if each]
        with suppress(NotFound):
            return self.desk.files.info(str(flat[0])).id if flat else None
        return None

    # ------------------------------------------------------------ what is shown

    def _shown(self, job: Job, result: Result, frames: list[text.Frame]) -> Updates:
        step = max(1, -(-len(frames) // FRAMES))
        kept = frames[::-step][::-1]
        told = f"{len(frames)} pictures on the way, {result.seconds:.1f} s. Move the slider."
        return {
            **self._ended(told),
            self.film: text.film(kept),
            self.spent: text.spent(result.receipt["timings"]),
            self.way: self._way(job, result),
        }

    def _ended(self, sentence: str) -> Updates:
        return {self.run: gr.update(interactive=True), self.stage: tool_tab_text.line(sentence)}

    def _way(self, job: Job, result: Result) -> str:
        files = pictures(result)
        after = self._small(files[0]) if files else ""
        photo = self._photo(job)
        before = data_url(small(self.desk.files.open(photo), SIDE)) if photo else after
        models = [str(row["id"]) for row in result.receipt["models"]] or ["arithmetic alone"]
        title = self.desk.tool(job.tool).title
        return text.way(before, after, models, f"{title}, in {result.seconds:.1f} s.")

    def _small(self, file: File) -> str:
        try:
            return data_url(small(self.desk.files.open(file.id), SIDE))
        except NotFound:
            return ""
