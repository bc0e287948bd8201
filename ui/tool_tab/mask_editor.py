"""Mask editor: repair the automatic cut-out or paint a mask with two brushes, or upload one."""

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
from pipelines.imaging.color import flatten_on_white
from pipelines.storage.file_index import FileIndex
from ui.components.pictures import read_upload
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import BRUSH_OPACITY, CUTOUT_TOOL, MASK_COLOUR, MaskEditor
from ui.tool_tab.state import TabState
from ui.tool_tab.text import PAINT_FIRST_TEXT, PAINT_LABEL, REPAIR_LABEL
from ui.tool_tab.updates import Updates

CANVAS_SIDE_PX = 1024
"""Longer side of the picture in the editor; the matte itself keeps the photo's full size."""
MAX_ASPECT_DIFFERENCE_RATIO = 0.02
"""Largest difference of aspect ratio between an uploaded matte and the photo; programs round."""


def render_canvas(photo: Image, matte: Alpha, colour: tuple[int, int, int] | None = None) -> Image:
    """Render the editor's background: the photo, where the matte removes it greyed, or painted in `colour`.

    `matte` is float32, 0 to 1, at the photo's size; `colour` is 8-bit RGB.
    """
    scale = min(1.0, CANVAS_SIDE_PX / max(photo.shape[:2]))
    size = max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale))
    background = cv2.resize(flatten_on_white(photo), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    weight = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)[..., None]
    removed = 190 + 0.18 * background.mean(axis=2, keepdims=True)
    if colour is not None:
        removed = BRUSH_OPACITY * np.array(colour, np.float32) + (1 - BRUSH_OPACITY) * background
    return np.rint(background * weight + removed * (1 - weight)).astype(np.uint8)


def apply_strokes(strokes: Image, matte: Alpha) -> Alpha:
    """Return the matte with the strokes applied; it does not change where no stroke is.

    `strokes` is uint8, H x W x 4, at any size of the same aspect ratio: more green than red keeps, less removes.
    `matte` and the result are float32, 0 to 1, at the photo's size.
    """
    size = matte.shape[1], matte.shape[0]
    weight = np.clip(strokes[..., 3] / np.float32(255 * BRUSH_OPACITY), 0, 1)
    kept = weight * (strokes[..., 1] > strokes[..., 0])
    weight = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR)
    kept = cv2.resize(kept.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(matte * (1 - weight) + kept, np.float32)


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
        if not editor.is_cutout:
            photo: Any = tab.photo_control.value
            self.events.listen(photo.change, self.take_new_photo, form_inputs, editor.components())
        painting_inputs = [editor.editor, editor.base_matte, *form_inputs]
        used = self.events.listen(editor.use.click, self.apply_painting, painting_inputs, editor.components())
        used_to_generate = self.events.listen(
            editor.use_and_generate.click, self.use_painting, painting_inputs, editor.components()
        )
        self.events.listen_to_generate(used_to_generate.then)
        self.events.listen(editor.cancel.click, self._close_editor, [], editor.components())
        discarded = self.events.listen(editor.discard.click, self.discard_matte, [], editor.components())
        uploaded = self.events.listen(
            editor.upload.upload, self.use_upload, [editor.upload, *form_inputs], editor.components()
        )
        # The draft is a second event: Gradio's page shows no previews during an event that also hides the editor.
        self.events.listen(used.then, self.draw_draft_of_painting, form_inputs)
        for done in (discarded, uploaded):
            self.events.listen(done.then, self.draw_draft, form_inputs)
        if not editor.is_cutout:  # nothing can be made without a mask: the next one is painted
            self.events.listen(discarded.then, self.take_new_photo, form_inputs, editor.components())

    async def open_editor(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Open the editor with the present matte, or with a new cut-out of the photo."""
        view, form = self.events.view, self.events.tab.read_form(values)
        owner = self.events.access.identify_visitor(request)
        waiting = "Cutting out …" if self.editor.is_cutout else "Opening …"
        yield {self.editor.start: gr.update(value=waiting, interactive=False)}
        try:
            matte_id = form[self.editor.mask.field.name] or await self._create_base_matte(form, owner)
        except StudioError as error:
            yield {
                **view.show_error(error, "photo"),
                self.editor.start: gr.update(value=self._start_label, interactive=True),
            }
            return
        value = await run_in_threadpool(self._load_canvas, form["photo"], matte_id)
        visible = gr.update(visible=True)
        yield {
            self.editor.base_matte: matte_id,
            self.editor.start: gr.update(value=self._start_label, interactive=True, visible=False),
            self.editor.editor: gr.update(value=value, visible=True),
            self.editor.hint: visible,
            self.editor.use: visible,
            # Without a mask there is nothing to go back to.
            self.editor.cancel: gr.update(visible=self.editor.is_cutout or bool(form[self.editor.mask.field.name])),
            self.editor.discard: visible,
        }

    async def take_new_photo(self, request: gr.Request, state: TabState, *values: Any) -> AsyncIterator[Updates]:
        """Open the editor for a new photo on which nothing is painted, and close it for one that is gone."""
        form = self.events.tab.read_form(values)
        if form.get("photo") and self.events.tab.awaits_mask(values):
            async for updates in self.open_editor(request, state, *values):
                yield updates
        elif not form.get("photo"):
            yield self._close_editor()
        yield self.events.view.no_change()

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
        """Make the automatic matte at the photo's size with a job of the cut-out tool; return its file id."""
        service = self.events.service
        params = {"photo": form["photo"], "trim": False, "pick": form.get("pick", 0)}
        job = await run_in_threadpool(service.create_job, CUTOUT_TOOL, params, owner)
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
        # A cut-out is greyed where it removes the photo, a mask is seen as it was painted.
        return render_canvas(photo, matte) if self.editor.is_cutout else render_canvas(photo, 1 - matte, MASK_COLOUR)

    def use_painting(
        self, request: gr.Request, drawn: dict[str, Any] | None, base_id: str | None, state: TabState, *values: Any
    ) -> Updates:
        """Store the painted matte and use it; without a stroke close the editor, unless a mask is needed."""
        layers, photo_id = (drawn or {}).get("layers") or [], self.events.tab.read_form(values)["photo"]
        if base_id is None or not photo_id:
            return self.events.view.no_change()
        if not layers or not layers[0][..., 3].any():
            return self.events.view.no_change() if self.events.tab.awaits_mask(values) else self._close_editor()
        matte_id = self._store_painting(layers[0], photo_id, base_id, self.events.access.identify_visitor(request))
        return {**self._close_editor(), **self.events.view.set_picture(self.editor.mask, matte_id)}

    def apply_painting(
        self, request: gr.Request, drawn: dict[str, Any] | None, base_id: str | None, state: TabState, *values: Any
    ) -> Updates:
        """Do the same; without a stroke the picture stays as it is, too."""
        updates = self.use_painting(request, drawn, base_id, state, *values)
        state.skips_draft = self.editor.mask.value not in updates and not self.events.tab.awaits_mask(values)
        return updates

    def _store_painting(self, layer: Image, photo_id: str, base_id: str, owner: str) -> str:
        files = self.events.service.files
        base = fit_matte(files.open_image(base_id), files.open_image(photo_id))
        return self._store_matte(apply_strokes(layer, base), owner)

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
        back = {self.editor.discard: gr.update(visible=True), self.editor.upload: None, self.events.tab.alerts: ""}
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
        if self.events.tab.awaits_mask(values):
            yield self.events.view.show_error(BadInput(PAINT_FIRST_TEXT, param="mask"))
            yield self.events.view.no_change()
            return
        async for updates in self.draw_draft(request, state, *values):
            yield updates

    def discard_matte(self) -> Updates:
        """Return to the automatic cut-out."""
        return {**self._close_editor(), **self.events.view.set_picture(self.editor.mask, None)}

    def _close_editor(self) -> Updates:
        hidden, editor = gr.update(visible=False), self.editor
        cleared = gr.update(value=None, visible=False)
        start = gr.update(value=self._start_label, visible=True)
        return {
            editor.start: start,
            editor.editor: cleared,
            editor.hint: hidden,
            editor.use: hidden,
            editor.cancel: hidden,
            editor.discard: hidden,
        }


def read_uploaded_matte(file_id: str, photo: Image, files: FileIndex) -> Alpha:
    """Read an uploaded picture as a matte at the photo's size. Raises `BadInput` for another aspect ratio."""
    upload = files.open_image(file_id)
    aspects = [image.shape[1] / image.shape[0] for image in (upload, photo)]
    if abs(aspects[0] / aspects[1] - 1) > MAX_ASPECT_DIFFERENCE_RATIO:
        raise BadInput("This has another shape than the photo: it must lie over all of it.")
    has_transparency = upload.shape[2] == 4 and bool((upload[..., 3] < 255).any())
    grey = upload[..., 3] if has_transparency else np.rint(upload[..., :3].mean(axis=2)).astype(np.uint8)
    return fit_matte(grey[..., None], photo)


def fit_matte(matte: Image, photo: Image) -> Alpha:
    """Convert a stored grey matte to float32, 0 to 1, at the photo's size."""
    grey = np.asarray(matte[..., 0] / np.float32(255), np.float32)
    size = photo.shape[1], photo.shape[0]
    return grey if (grey.shape[1], grey.shape[0]) == size else np.asarray(cv2.resize(grey, size), np.float32)
