"""Mask editor: repair the automatic cut-out or paint a mask with a brush, or upload one."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from typing import Any

import cv2
import gradio as gr
import numpy as np
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import BadInput, StudioError
from pipelines.core.geometry import Alpha, Image
from pipelines.core.job import Job, Result
from pipelines.imaging.color import flatten_on_white
from pipelines.imaging.resize import size_within
from pipelines.runtime.progress import encode_data_url, encode_preview
from pipelines.storage.file_index import FileIndex
from ui.components.brush_panel import render_closing, render_no_thing, render_opening, render_staying, render_thing
from ui.components.pictures import read_upload
from ui.tool_tab.brush_strokes import Stroke, apply_strokes, paints_anything, parse_strokes
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import CUTOUT_TOOL, MASK_COLOUR, MaskEditor
from ui.tool_tab.state import TabState
from ui.tool_tab.text import PAINT_FIRST_TEXT, PAINT_LABEL, REPAIR_LABEL
from ui.tool_tab.updates import Updates

LOG = logging.getLogger(__name__)
THING_TOOL = "thing"
CANVAS_SIDE_PX = 1024
"""Longer side of the picture that is painted on; the matte of a cut-out keeps the photo's full size."""
MASK_SIDE_PX = 2048
"""Longer side of a painted mask at most: the tool enlarges it to the photo, where a brush has no finer edge."""
MAX_ASPECT_DIFFERENCE_RATIO = 0.02
"""Largest difference of aspect ratio between an uploaded matte and the photo; programs round."""


def render_canvas(photo: Image, matte: Alpha) -> Image:
    """Render what is painted on to repair a cut-out: the photo, greyed where the matte removes it.

    `matte` is float32, 0 to 1, at the photo's size.
    """
    size = size_within(photo.shape, CANVAS_SIDE_PX)
    background = cv2.resize(flatten_on_white(photo), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    weight = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)[..., None]
    removed = 190 + 0.18 * background.mean(axis=2, keepdims=True)
    return np.rint(background * weight + removed * (1 - weight)).astype(np.uint8)


def encode_painted(mask: Image) -> str:
    """Encode what a stored grey mask covers as a data URL of a PNG in the brush's colour, else transparent."""
    size = size_within(mask.shape, CANVAS_SIDE_PX)
    painted = np.zeros((size[1], size[0], 4), np.uint8)
    painted[..., :3] = MASK_COLOUR[::-1]  # OpenCV writes BGR
    painted[..., 3] = cv2.resize(mask[..., 0], size, interpolation=cv2.INTER_AREA)
    png = cv2.imencode(".png", painted)[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


class MaskEditorEvents:
    """Listeners of one mask editor; each change is followed by a draft."""

    def __init__(self, editor: MaskEditor, events: ToolTabEvents) -> None:
        self.editor = editor
        self.events = events
        self._start_label = REPAIR_LABEL if editor.is_cutout else PAINT_LABEL

    def wire(self) -> None:
        """Attach the listeners."""
        tab, editor = self.events.tab, self.editor
        form_inputs = [tab.state, *tab.value_components()]
        self.events.listen(editor.start.click, self.open_editor, form_inputs, editor.components())
        photo: Any = tab.photo_control.value
        if editor.is_cutout:  # what is painted belongs to the photo before
            self.events.listen(photo.change, self.leave_old_photo, [], editor.components())
        else:
            self.events.listen(photo.change, self.take_new_photo, form_inputs, editor.components())
        panel = editor.panel
        painting_inputs = [panel.strokes, editor.base_matte, *form_inputs]
        used = self.events.listen(panel.use.click, self.apply_painting, painting_inputs, editor.components())
        used_to_generate = self.events.listen(
            panel.use_and_generate.click, self.use_painting, painting_inputs, editor.components()
        )
        self.events.generate_on(used_to_generate.then, self.generate_painted)
        discarded = self.events.listen(panel.discard.click, self.discard_matte, [], editor.components())
        uploaded = self.events.listen(
            editor.upload.upload, self.use_upload, [editor.upload, *form_inputs], editor.components()
        )
        # The draft is a second event: what is painted stays in sight until its first picture comes.
        self.events.listen(used.then, self.draw_draft_of_painting, form_inputs)
        for done in (discarded, uploaded):
            self.events.listen(done.then, self.draw_draft, form_inputs)
        if not editor.is_cutout:
            self.events.listen(panel.look.click, self.outline_thing, [panel.pressed, *form_inputs], [panel.message])
            # Nothing can be made without a mask: the next one is painted.
            self.events.listen(discarded.then, self.take_new_photo, form_inputs, editor.components())

    async def open_editor(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Open the editor with the present matte, or with a new cut-out of the photo."""
        view, form = self.events.view, self.events.tab.read_form(values)
        owner = self.events.access.identify_visitor(request)
        waiting = "Cutting out …" if self.editor.is_cutout else "Opening …"
        yield {self.editor.start: gr.update(value=waiting, interactive=False)}
        try:
            matte_id = form[self.editor.mask.field.name] or await self._create_base_matte(form, owner)
            opening = await run_in_threadpool(self._render_opening, form, matte_id)
        except StudioError as error:
            yield {
                **view.show_error(error, "photo"),
                self.editor.start: gr.update(value=self._start_label, interactive=True),
            }
            return
        yield {
            self.editor.base_matte: matte_id,
            self.editor.start: gr.update(value=self._start_label, interactive=True),
            self.editor.panel.message: opening,
        }

    async def take_new_photo(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Open the editor for a new photo on which nothing is painted, and close it for any other and for none."""
        form = self.events.tab.read_form(values)
        if form.get("photo") and self.events.tab.awaits_mask(values):
            async for updates in self.open_editor(request, state, *values):
                yield updates
            await run_in_threadpool(self._look_ahead, form, request)
        else:
            yield self._close_editor()
        yield self.events.view.no_change()

    async def outline_thing(
        self, request: gr.Request, pressed: str | None, state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Answer a press with the outline of the whole thing there, or with why there is none."""
        press, _, points = (pressed or "").partition(" ")
        try:
            outline = await self._find_outline(self.events.tab.read_form(values), request, points)
            yield {self.editor.panel.message: render_thing(outline, press)}
        except StudioError as error:
            yield {self.editor.panel.message: render_no_thing(error.message, press)}

    async def _find_outline(self, form: dict[str, Any], request: gr.Request, pressed: str) -> list[list[float]]:
        job = await run_in_threadpool(self._create_outline_job, form, request, keep=pressed)
        result = await self._run_job(job)
        if result is None:
            raise BadInput("The photo could not be looked at. Please try again.", param="photo")
        return list(result.receipt["params"]["outline"])

    async def _run_job(self, job: Job) -> Result | None:
        stream = await run_in_threadpool(self.events.service.jobs.submit_and_watch, job)
        try:
            async for event in stream:
                if isinstance(event, Result):
                    return event
        finally:
            stream.close()
        return None

    def _create_outline_job(self, form: dict[str, Any], request: gr.Request, **values: str) -> Job:
        """Make the job that finds a thing; what it finds is erased as it is, so it asks two nets."""
        values = {name: form[name] for name in ("photo", "consent") if name in form} | values
        owner = self.events.access.identify_visitor(request)
        tool_id = self.events.tab.tool.id
        job = self.events.service.create_helper_job(THING_TOOL, values, owner, for_tool=tool_id)
        return job.model_copy(update={"closer": True})

    def _look_ahead(self, form: dict[str, Any], request: gr.Request) -> None:
        """Let the nets look at a new photo while somebody looks at it too, so that the first press is quick."""
        try:
            self.events.service.jobs.submit(self._create_outline_job(form, request))
        except StudioError as error:  # the queue is full: the first press waits for the nets
            LOG.debug("not looked ahead: %s", error.message)

    async def _create_base_matte(self, form: dict[str, Any], owner: str) -> str | None:
        if not form.get("photo"):
            raise BadInput("Add a photo first.", param="photo")
        return await self._cut_out_photo(form, owner) if self.editor.is_cutout else None

    async def _cut_out_photo(self, form: dict[str, Any], owner: str) -> str:
        """Make the automatic matte at the photo's size with a job of the cut-out tool; return its file id."""
        params = {"photo": form["photo"], "trim": False, "pick": form.get("pick", 0)}
        job = await run_in_threadpool(self.events.service.create_job, CUTOUT_TOOL, params, owner)
        result = await self._run_job(job.model_copy(update={"helper": True}))
        if result is None:
            raise BadInput("The cut-out came to nothing. Please try again.", param="photo")
        return next(file.id for file in result.files if file.role == "matte")

    def _render_opening(self, form: dict[str, Any], matte_id: str | None) -> str:
        files = self.events.service.files
        if matte_id is None:
            return render_opening(can_cancel=False)  # without a mask there is nothing to go back to
        if not self.editor.is_cutout:
            return render_opening(painted=encode_painted(files.open_image(matte_id)), can_cancel=True)
        photo = files.open_image(form["photo"])
        canvas = render_canvas(photo, fit_matte(files.open_image(matte_id), photo.shape[1::-1]))
        return render_opening(encode_data_url(encode_preview(canvas, CANVAS_SIDE_PX)), can_cancel=True)

    def use_painting(
        self, request: gr.Request, sent: str | None, base_id: str | None, state: TabState, *values: Any
    ) -> Updates:
        """Store the painted matte and use it; without a stroke close the editor, unless a mask is needed."""
        photo_id = self.events.tab.read_form(values)["photo"]
        if not photo_id or (base_id is None and self.editor.is_cutout):
            return self._close_editor()
        try:
            strokes = parse_strokes(sent)
            if not paints_anything(strokes):
                awaits_mask = self.events.tab.awaits_mask(values)
                return {self.editor.panel.message: render_staying()} if awaits_mask else self._close_editor()
            matte_id = self._store_painted_matte(
                strokes, photo_id, base_id, self.events.access.identify_visitor(request)
            )
        except StudioError as error:  # too many strokes, or a photo that has been deleted meanwhile
            state.skips_draft = True
            return {**self.events.view.show_error(error), self.editor.panel.message: render_staying()}
        return {
            **self._close_editor(awaits_picture=True),
            self.editor.panel.strokes: "",
            **self.events.view.set_picture(self.editor.mask, matte_id),
        }

    def apply_painting(
        self, request: gr.Request, sent: str | None, base_id: str | None, state: TabState, *values: Any
    ) -> Updates:
        """Do the same; without a stroke the picture stays as it is, too."""
        updates = self.use_painting(request, sent, base_id, state, *values)
        if self.editor.mask.value in updates and not self.events.follower.draws_drafts:
            updates |= self._close_editor()  # no picture comes
        is_unchanged = self.editor.mask.value not in updates and not self.events.tab.awaits_mask(values)
        state.skips_draft = state.skips_draft or is_unchanged
        return updates

    async def generate_painted(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Generate, unless what was painted was refused: its sentence stays."""
        if state.skips_draft:
            state.skips_draft = False
            yield self.events.view.no_change()
            return
        async for updates in self.events.follower.generate(request, state, *values):
            yield updates

    def _store_painted_matte(self, strokes: tuple[Stroke, ...], photo_id: str, base_id: str | None, owner: str) -> str:
        files = self.events.service.files
        info = files.get_info(photo_id)
        size = size_within((info.height, info.width), MASK_SIDE_PX)
        if self.editor.is_cutout and base_id is not None:
            base = fit_matte(files.open_image(base_id), (info.width, info.height))
        elif base_id is not None:
            own = files.open_image(base_id)
            base = fit_matte(own, max(size, own.shape[1::-1]))  # one that is larger was uploaded
        else:
            base = np.zeros(size[::-1], np.float32)
        return self._store_matte(apply_strokes(strokes, base, size), owner)

    def _store_matte(self, matte: Alpha, owner: str) -> str:
        grey = np.rint(matte * 255).astype(np.uint8)
        return self.events.service.files.add_image(np.repeat(grey[..., None], 3, axis=2), owner, "upload")

    def use_upload(self, request: gr.Request, path: str | None, state: TabState, *values: Any) -> Updates:
        """Use an uploaded picture as the photo's matte: its opacity if it has transparency, else its grey values."""
        field, view = self.editor.mask.field.name, self.events.view
        if path is None:
            return view.no_change()
        try:
            data, photo_id = read_upload(path), self.events.tab.read_form(values)["photo"]
            if not photo_id:
                raise BadInput("Add a photo first.", param="photo")
            owner = self.events.access.identify_visitor(request)
            service = self.events.service
            upload_id, _ = service.uploads.ingest_picture(data, owner)
            matte = read_uploaded_matte(upload_id, service.files.open_image(photo_id), service.files)
            matte_id = self._store_matte(matte, owner)
        except StudioError as error:
            state.skips_draft = True
            return {**view.show_error(error, field), self.editor.upload: None}
        back = {self.editor.upload: None, self.events.tab.alerts: ""}
        return {**self._close_editor(), **view.set_picture(self.editor.mask, matte_id), **back}

    async def draw_draft(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Draw a draft, unless nothing was changed, or an upload was refused: a draft would clear its alert."""
        if state.skips_draft:
            state.skips_draft = False
            yield self.events.view.no_change()
            return
        async for updates in self.events.follower.draw_draft(request, state, *values):
            yield updates

    async def draw_draft_of_painting(
        self, request: gr.Request, state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Draw a draft, or say that nothing is painted where a mask is needed."""
        if self.events.tab.awaits_mask(values) and not state.skips_draft:
            yield self.events.view.show_error(BadInput(PAINT_FIRST_TEXT, param="mask"))
            yield self.events.view.no_change()
            return
        async for updates in self.draw_draft(request, state, *values):
            yield updates

    def leave_old_photo(self) -> Updates:
        """Close the brush: the photo that was painted on is no longer in the form."""
        return {**self._close_editor(), self.editor.base_matte: None}

    def discard_matte(self) -> Updates:
        """Return to the automatic cut-out."""
        return {**self._close_editor(), **self.events.view.set_picture(self.editor.mask, None)}

    def _close_editor(self, *, awaits_picture: bool = False) -> Updates:
        return {
            self.editor.start: gr.update(value=self._start_label, interactive=True),
            self.editor.panel.message: render_closing(awaits_picture=awaits_picture),
        }


def read_uploaded_matte(file_id: str, photo: Image, files: FileIndex) -> Alpha:
    """Read an uploaded picture as a matte at the photo's size. Raises `BadInput` for another aspect ratio."""
    upload = files.open_image(file_id)
    aspects = [image.shape[1] / image.shape[0] for image in (upload, photo)]
    if abs(aspects[0] / aspects[1] - 1) > MAX_ASPECT_DIFFERENCE_RATIO:
        raise BadInput("This has another shape than the photo: it must lie over all of it.")
    has_transparency = upload.shape[2] == 4 and bool((upload[..., 3] < 255).any())
    grey = upload[..., 3] if has_transparency else np.rint(upload[..., :3].mean(axis=2)).astype(np.uint8)
    return fit_matte(grey[..., None], photo.shape[1::-1])


def fit_matte(matte: Image, size: tuple[int, ...]) -> Alpha:
    """Convert a stored grey matte to float32, 0 to 1, at `size` (width, height)."""
    grey = np.asarray(matte[..., 0] / np.float32(255), np.float32)
    return grey if grey.shape[1::-1] == size else np.asarray(cv2.resize(grey, size[:2]), np.float32)
