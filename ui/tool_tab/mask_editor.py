"""Repairing a cut-out by hand: the automatic one to start from, a brush that keeps and one that drops; or an upload."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import cv2
import gradio as gr
import numpy as np
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import BadInput, StudioError
from pipelines.core.geometry import Alpha, Image
from pipelines.core.job import Result
from pipelines.storage.file_index import FileIndex
from ui.components.pictures import flatten_on_white, read_upload
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import BRUSH_OPACITY, CUTOUT_TOOL, MaskEditor, TabState
from ui.tool_tab.text import PAINT_LABEL, REPAIR_LABEL
from ui.tool_tab.updates import Updates

CANVAS_SIDE_PX = 1024
"""Longer side of what is painted on; the rest of the matte keeps the photo's full size."""


def render_canvas(photo: Image, matte: Alpha) -> Image:
    """What is painted on: the photo, greyed where the matte (the photo's size, 0 to 1) drops it."""
    scale = min(1.0, CANVAS_SIDE_PX / max(photo.shape[:2]))
    size = max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale))
    ground = cv2.resize(flatten_on_white(photo), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    kept = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)[..., None]
    grey = 190 + 0.18 * ground.mean(axis=2, keepdims=True)
    return np.rint(ground * kept + grey * (1 - kept)).astype(np.uint8)


def apply_strokes(strokes: Image, matte: Alpha) -> Alpha:
    """The matte after painting: it changes only under a stroke, so that fine edges elsewhere stay as they are.

    `strokes` is H x W x 4 at any size of the same shape: greener than red keeps, redder than green drops. `matte` is
    float32, 0 to 1, at the photo's size, and so is the result.
    """
    size = matte.shape[1], matte.shape[0]
    weight = np.clip(strokes[..., 3] / np.float32(255 * BRUSH_OPACITY), 0, 1)
    keeps = weight * (strokes[..., 1] > strokes[..., 0])
    weight = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR)
    keeps = cv2.resize(keeps.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(matte * (1 - weight) + keeps, np.float32)


class MaskEditorEvents:
    """Start, use, drop: wired through the tab's own events, so that a draft follows."""

    def __init__(self, brush: MaskEditor, events: ToolTabEvents) -> None:
        self.editor = brush
        self.events = events
        self._start_label = REPAIR_LABEL if brush.is_cutout else PAINT_LABEL

    def wire(self) -> None:
        """Attach the listeners."""
        tab, brush = self.events.tab, self.editor
        everything = [tab.state, *tab.value_components()]
        self.events.listen(brush.start.click, self.open_editor, everything, brush.components())
        used = self.events.listen(
            brush.use.click, self.use_painting, [brush.editor, brush.base_matte, *everything], brush.components()
        )
        dropped = self.events.listen(brush.discard.click, self.discard_matte, [], brush.components())
        sent = self.events.listen(brush.upload.upload, self.use_upload, [brush.upload, *everything], brush.components())
        # A draft in an event of its own: previews do not reach the page in one that also folds the editor away.
        for done in (used, dropped, sent):
            self.events.listen(done.then, self.draw_draft, everything)

    async def open_editor(self, request: gr.Request, seat: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Cut the photo out, unless there is a matte already, and lay it on the photo to paint on."""
        screen, form = self.events.view, self.events.read_form(values)
        owner = self.events.access.visitor(request)
        yield {self.editor.start: gr.update(value="Cutting out …", interactive=False)}
        try:
            matte_id = form[self.editor.mask.field.name] or await self._create_base_matte(form, owner)
        except StudioError as error:
            yield {
                **screen.show_error(error, "photo"),
                self.editor.start: gr.update(value=self._start_label, interactive=True),
            }
            return
        value = await run_in_threadpool(self._load_canvas, form["photo"], matte_id)
        shown = gr.update(visible=True)
        yield {
            self.editor.base_matte: matte_id,
            self.editor.start: gr.update(value=self._start_label, interactive=True, visible=False),
            self.editor.editor: gr.update(value=value, visible=True),
            self.editor.hint: shown,
            self.editor.use: shown,
            self.editor.discard: shown,
        }

    async def _create_base_matte(self, form: dict[str, Any], owner: str) -> str:
        if not form.get("photo"):
            raise BadInput("Add a photo first.", param="photo")
        if self.editor.is_cutout:
            return await self._cut_out_photo(form, owner)
        return await run_in_threadpool(self._store_empty_mask, form["photo"], owner)

    def _store_empty_mask(self, photo_id: str, owner: str) -> str:
        files = self.events.service.files
        return files.add_image(np.zeros_like(flatten_on_white(files.open_image(photo_id))), owner, "upload")

    async def _cut_out_photo(self, form: dict[str, Any], owner: str) -> str:
        """The automatic matte at the photo's own size, made by the cut-out tool in the one queue."""
        service = self.events.service
        wanted = {"photo": form["photo"], "trim": False, "pick": form.get("pick", 0)}
        job = await run_in_threadpool(service.create_job, CUTOUT_TOOL, wanted, owner)
        job = job.model_copy(update={"helper": True})
        await run_in_threadpool(service.jobs.submit, job)
        stream = service.jobs.watch(job.id)
        try:
            async for event in stream:
                if isinstance(event, Result):
                    return next(file.id for file in event.files if file.role == "matte")
        finally:
            stream.close()
        raise BadInput("The cut-out ended without a matte.", param="photo")

    def _load_canvas(self, photo_id: str, matte_id: str) -> Image:
        files = self.events.service.files
        photo = files.open_image(photo_id)
        matte = fit_matte(files.open_image(matte_id), photo)
        # A mask greys what it holds, a cut-out what it drops.
        return render_canvas(photo, matte if self.editor.is_cutout else 1 - matte)

    def use_painting(
        self, request: gr.Request, drawn: dict[str, Any] | None, base: str | None, seat: TabState, *values: Any
    ) -> Updates:
        """Keep what was painted as the photo's matte."""
        layers, photo_id = (drawn or {}).get("layers") or [], self.events.read_form(values)["photo"]
        if base is None or not layers or not photo_id:
            return self.events.view.no_change()
        matte_id = self._store_painting(layers[0], photo_id, base, self.events.access.visitor(request))
        return {**self._close_editor(), **self.events.view.set_picture(self.editor.mask, matte_id)}

    def _store_painting(self, layer: Image, photo_id: str, base: str, owner: str) -> str:
        files = self.events.service.files
        return self._store_matte(
            apply_strokes(layer, fit_matte(files.open_image(base), files.open_image(photo_id))), owner
        )

    def _store_matte(self, matte: Alpha, owner: str) -> str:
        grey = np.rint(matte * 255).astype(np.uint8)
        return self.events.service.files.add_image(np.repeat(grey[..., None], 3, axis=2), owner, "upload")

    def use_upload(self, request: gr.Request, path: str | None, seat: TabState, *values: Any) -> Updates:
        """Take an upload as the photo's matte; it is grey, or its opacity counts."""
        name, screen = self.editor.mask.field.name, self.events.view
        if path is None:
            return screen.no_change()
        try:
            data, photo_id = read_upload(path), self.events.read_form(values)["photo"]
            if not photo_id:
                raise BadInput("Add a photo first.", param="photo")
            owner = self.events.access.visitor(request)
            photo = self.events.service.files.open_image(photo_id)
            matte_id = self._store_matte(
                read_uploaded_matte(
                    self.events.service.uploads.ingest_picture(data, owner)[0], photo, self.events.service.files
                ),
                owner,
            )
        except StudioError as error:
            seat.upload_refused = True
            return {**screen.show_error(error, name), self.editor.upload: None}
        back = {self.editor.discard: gr.update(visible=True), self.editor.upload: None, self.events.tab.alerts: ""}
        return {**self._close_editor(), **screen.set_picture(self.editor.mask, matte_id), **back}

    async def draw_draft(self, request: gr.Request, seat: TabState, *values: Any) -> AsyncIterator[Updates]:
        """A draft of what the photo is now, unless an upload was refused: a draft takes old complaints away."""
        if seat.upload_refused:
            seat.upload_refused = False
            yield self.events.view.no_change()
            return
        async for updates in self.events.draw_draft(request, seat, *values):
            yield updates

    def discard_matte(self) -> Updates:
        """Back to the automatic cut-out."""
        return {**self._close_editor(), **self.events.view.set_picture(self.editor.mask, None)}

    def _close_editor(self) -> Updates:
        away, brush = gr.update(visible=False), self.editor
        editor = gr.update(value=None, visible=False)
        start = gr.update(value=self._start_label, visible=True)
        return {brush.start: start, brush.editor: editor, brush.hint: away, brush.use: away, brush.discard: away}


MAX_ASPECT_DIFFERENCE_RATIO = 0.02
"""Share by which an uploaded matte's shape may differ from the photo's: a program rounds."""


def read_uploaded_matte(file_id: str, photo: Image, files: FileIndex) -> Alpha:
    """An uploaded picture as a matte at the photo's size. Raises `BadInput` for one of another shape."""
    sent = files.open_image(file_id)
    shapes = [image.shape[1] / image.shape[0] for image in (sent, photo)]
    if abs(shapes[0] / shapes[1] - 1) > MAX_ASPECT_DIFFERENCE_RATIO:
        raise BadInput("This has another shape than the photo: it must lie over all of it.")
    see_through = sent.shape[2] == 4 and bool((sent[..., 3] < 255).any())
    grey = sent[..., 3] if see_through else np.rint(sent[..., :3].mean(axis=2)).astype(np.uint8)
    return fit_matte(grey[..., None], photo)


def fit_matte(matte: Image, photo: Image) -> Alpha:
    """A stored matte, grey, as float32 0 to 1 at the photo's size."""
    grey = np.asarray(matte[..., 0] / np.float32(255), np.float32)
    size = photo.shape[1], photo.shape[0]
    return grey if (grey.shape[1], grey.shape[0]) == size else np.asarray(cv2.resize(grey, size), np.float32)
