"""The tab "What is inference?": repeats the visitor's last job step by step, and shows what its steps cost.

It uses the event stream and the receipts of ordinary jobs, so it can show the steps of any tool.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import JobCancelled, NotFound, StudioError
from pipelines.core.job import Job, Result, Step
from pipelines.jobs.queue import JobRow
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.components.event_options import PRIVATE_EVENT
from ui.components.pictures import encode_data_url, encode_page_jpeg
from ui.learn_tab import text
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.layout import TILES_URL
from ui.tool_tab.updates import Updates, list_result_pictures

TITLE = text.TITLE
FRAME_COUNT = 40
"""Pictures on the slider at most; of more steps, evenly spaced ones are kept."""
PICTURE_SIDE_PX = 384
SEARCHED_JOB_COUNT = 20
"""Newest jobs that are searched for one with a picture."""
EXAMPLE = ("headshot", {"preset": "lobby", "seed": 1}, "astronaut")
EXAMPLE_RESULT_URL = f"{TILES_URL}/headshot/card.webp"


def build_tab(gradio_tab: gr.Tab, service: StudioService, access: AccessControl) -> None:
    """Build the tab inside `gradio_tab` and attach its listeners."""
    LearnTab(service, access).wire(gradio_tab)


class LearnTab:
    """Components and listeners of the tab. Every handler finds the visitor's last job anew."""

    def __init__(self, service: StudioService, access: AccessControl) -> None:
        self.service = service
        self.access = access
        gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{text.INTRO_TEXT}</p></header>')
        self.pipeline = gr.HTML("", elem_id="learn-way")
        with gr.Row(elem_classes=["dbx-tool", "dbx-learn"]):
            with gr.Column(scale=6, min_width=320):
                gr.HTML("<h2>Its steps</h2>")
                self.run = gr.Button("Make it again and keep every step", variant="primary", elem_id="learn-run")
                self.status = gr.HTML(
                    tool_tab_text.render_status("The same settings and seed: the same picture."),
                    elem_classes=["dbx-stage"],
                    elem_id="learn-stage",
                )
                self.steps = gr.HTML("", elem_id="learn-film")
            with gr.Column(scale=6, min_width=320):
                self.timings = gr.HTML("", elem_id="learn-spent")
                gr.HTML("<h2>Smaller numbers, several at once</h2>")
                self.measure = gr.Button("Measure on this machine", elem_id="learn-measure")
                self.measurements = gr.HTML("", elem_id="learn-measured")
        gr.HTML(f"<h2>Another device</h2>{text.render_devices()}", elem_classes=["dbx-learn"])
        gr.HTML(f"<h2>Why it matters</h2>{text.render_cards(text.WHY_CARDS)}", elem_classes=["dbx-learn"])
        gr.HTML(f"<h2>How it is made faster</h2>{text.render_cards(text.FASTER_CARDS)}", elem_classes=["dbx-learn"])

    def wire(self, gradio_tab: gr.Tab) -> None:
        """Attach the listeners."""
        outputs = [self.pipeline, self.run, self.status, self.steps, self.timings, self.measure, self.measurements]
        for listener, handler in (
            (gradio_tab.select, self.show_last_picture),
            (self.run.click, self.repeat_last_job),
            (self.measure.click, self.measure_speed),
        ):
            listener(handler, [], outputs, **PRIVATE_EVENT)

    # ------------------------------------------------------------ handlers

    def show_last_picture(self, request: gr.Request) -> Updates:
        """Show the visitor's last picture and its timings."""
        row = self._find_latest_picture_job(self.access.identify_visitor(request))
        if row is None or row.result is None:
            before = self._encode_picture(self._find_example())
            models = ["u2netp", "backdrops"]
            return {self.pipeline: text.render_pipeline(before, EXAMPLE_RESULT_URL, models, text.EXAMPLE_NOTE)}
        return {
            self.pipeline: self._render_pipeline(row.job, row.result),
            self.timings: text.render_timings(row.result.receipt["timings"]),
        }

    async def repeat_last_job(self, request: gr.Request) -> AsyncIterator[Updates]:
        """Repeat the job of the last picture, and keep every preview."""
        owner = self.access.identify_visitor(request)
        yield {
            self.run: gr.update(interactive=False),
            self.status: tool_tab_text.render_status(tool_tab_text.STARTED_TEXT, busy=True),
        }
        try:
            job = await run_in_threadpool(self._create_repeat, owner)
            stream = await run_in_threadpool(self.service.jobs.submit_and_watch, job)
        except StudioError as error:
            yield self._show_end(error.message)
            return
        frames: list[text.Frame] = []
        since = time.monotonic()
        try:
            async for event in stream:
                if isinstance(event, Result):
                    yield await run_in_threadpool(self._show_steps, job, event, frames)
                    continue
                if isinstance(event, Step) and event.preview is not None:
                    seconds = time.monotonic() - since
                    frames.append(
                        text.Frame(event.stage, event.index, event.total, seconds, encode_data_url(event.preview))
                    )
                yield {self.status: tool_tab_text.render_progress(event, draft=False)}
        except JobCancelled:
            yield self._show_end(tool_tab_text.STOPPED_TEXT)
        except StudioError as error:
            yield self._show_end(error.message)
        finally:
            stream.close()
            self.service.jobs.cancel(job.id)  # nobody else waits for it

    async def measure_speed(self, request: gr.Request) -> AsyncIterator[Updates]:
        """Time the enlargement of a part of the same photo in each precision and batch size."""
        owner = self.access.identify_visitor(request)
        yield {self.measure: gr.update(value="Measuring", interactive=False)}
        message = ""
        job = self._create_measurement(owner)
        try:
            stream = await run_in_threadpool(self.service.jobs.submit_and_watch, job)
            try:
                async for event in stream:
                    if isinstance(event, Result):
                        message = text.render_measurements(event.receipt["params"]["measured"])
            finally:
                stream.close()
                self.service.jobs.cancel(job.id)
        except JobCancelled:
            message = tool_tab_text.render_status(tool_tab_text.STOPPED_TEXT)
        except StudioError as error:
            message = tool_tab_text.render_status(error.message)
        yield {self.measure: gr.update(value="Measure again", interactive=True), self.measurements: message}

    # ------------------------------------------------------------ jobs

    def _create_repeat(self, owner: str) -> Job:
        row = self._find_latest_picture_job(owner)
        if row is None:
            tool, values, _ = EXAMPLE
            job = self.service.create_job(tool, {**values, "photo": self._find_example()}, owner)
        else:
            has_seed = "seed" in self.service.find_tool(row.job.tool).params.model_fields
            seed = {"seed": row.job.seed} if has_seed else {}
            job = self.service.create_job(row.job.tool, {**row.job.params, **seed}, owner)
        return job.model_copy(update={"helper": True})

    def _create_measurement(self, owner: str) -> Job:
        row = self._find_latest_picture_job(owner)
        photo = self._find_input_photo(row.job) if row is not None else None
        return self.service.create_helper_job("measure", {"photo": photo or self._find_example()}, owner)

    def _find_latest_picture_job(self, owner: str) -> JobRow | None:
        """Return the visitor's newest job with a picture whose tool is still available."""
        tool_ids = {tool.id for tool in self.service.tools}
        rows = self.service.jobs.list_jobs(owner, SEARCHED_JOB_COUNT)
        return next(
            (row for row in rows if row.job.tool in tool_ids and row.result and list_result_pictures(row.result)), None
        )

    def _find_example(self) -> str:
        return next(row.file_id for row in self.service.uploads.list_examples() if row.name == EXAMPLE[2])

    def _find_input_photo(self, job: Job) -> str | None:
        """Return the file id of the job's first input picture; None if it had none or the file is deleted."""
        names = self.service.find_tool(job.tool).params.fields_of_kind("picture", "pictures")
        values = [job.params.get(name) for name in names[:1]]
        photos = [each for value in values for each in (value if isinstance(value, list | tuple) else [value]) if each]
        with suppress(NotFound):
            return self.service.files.get_info(str(photos[0])).id if photos else None
        return None

    # ------------------------------------------------------------ updates

    def _show_steps(self, job: Job, result: Result, frames: list[text.Frame]) -> Updates:
        step = max(1, -(-len(frames) // FRAME_COUNT))
        kept = frames[::-step][::-1]
        message = f"{len(frames)} pictures on the way, {result.seconds:.1f} s. Move the slider."
        if files := list_result_pictures(result):  # its end, which no step shows where the cut-out is known already
            kept.append(text.Frame("The finished picture", 1, 1, result.seconds, self._encode_picture(files[0].id)))
        return {
            **self._show_end(message),
            self.steps: text.render_steps(kept),
            self.timings: text.render_timings(result.receipt["timings"]),
            self.pipeline: self._render_pipeline(job, result),
        }

    def _show_end(self, sentence: str) -> Updates:
        return {self.run: gr.update(interactive=True), self.status: tool_tab_text.render_status(sentence)}

    def _render_pipeline(self, job: Job, result: Result) -> str:
        files = list_result_pictures(result)
        after = self._encode_picture(files[0].id) if files else ""
        photo = self._find_input_photo(job)
        before = self._encode_picture(photo) if photo else after
        models = [str(row["id"]) for row in result.receipt["models"]] or ["calculation alone, no model"]
        title = self.service.find_tool(job.tool).title
        return text.render_pipeline(before, after, models, f"{title}, in {result.seconds:.1f} s.")

    def _encode_picture(self, file_id: str) -> str:
        try:
            return encode_data_url(encode_page_jpeg(self.service.files.open_image(file_id), PICTURE_SIDE_PX))
        except NotFound:
            return ""
