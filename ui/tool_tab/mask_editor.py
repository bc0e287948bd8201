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
from pipelines.storage.file_index import Files
from ui.components.pictures import flat, read_upload
from ui.tool_tab.events import Events
from ui.tool_tab.layout import CUTS_OUT, STROKE, Brush, Seat
from ui.tool_tab.text import PAINT, REPAIR
from ui.tool_tab.updates import Updates

SIDE = 1024
"""Longer side of what is painted on; the rest of the matte keeps the photo's full size."""


def canvas(photo: Image, matte: Alpha) -> Image:
    """What is painted on: the photo, greyed where the matte (the photo's size, 0 to 1) drops it."""
    scale = min(1.0, SIDE / max(photo.shape[:2]))
    size = max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale))
    ground = cv2.resize(flat(photo), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    kept = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)[..., None]
    grey = 190 + 0.18 * ground.mean(axis=2, keepdims=True)
    return np.rint(ground * kept + grey * (1 - kept)).astype(np.uint8)


def painted(strokes: Image, matte: Alpha) -> Alpha:
    """The matte after painting: it changes only under a stroke, so that fine edges elsewhere stay as they are.

    `strokes` is H x W x 4 at any size of the same shape: greener than red keeps, redder than green drops. `matte` is
    float32, 0 to 1, at the photo's size, and so is the result.
    """
    size = matte.shape[1], matte.shape[0]
    weight = np.clip(strokes[..., 3] / np.float32(255 * STROKE), 0, 1)
    keeps = weight * (strokes[..., 1] > strokes[..., 0])
    weight = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR)
    keeps = cv2.resize(keeps.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(matte * (1 - weight) + keeps, np.float32)


class BrushEvents:
    """Start, use, drop: wired through the tab's own events, so that a draft follows."""

    def __init__(self, brush: Brush, events: Events) -> None:
        self.brush = brush
        self.events = events
        self._words = REPAIR if brush.cut_out else PAINT

    def wire(self) -> None:
        """Attach the listeners."""
        tab, brush = self.events.tab, self.brush
        everything = [tab.seat, *tab.values()]
        self.events.on(brush.start.click, self.start, everything, brush.parts())
        used = self.events.on(brush.use.click, self.use, [brush.editor, brush.base, *everything], brush.parts())
        dropped = self.events.on(brush.drop.click, self.drop, [], brush.parts())
        sent = self.events.on(brush.upload.upload, self.take, [brush.upload, *everything], brush.parts())
        # A draft in an event of its own: previews do not reach the page in one that also folds the editor away.
        for done in (used, dropped, sent):
            self.events.on(done.then, self.follow, everything)

    async def start(self, request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """Cut the photo out, unless there is a matte already, and lay it on the photo to paint on."""
        screen, form = self.events.screen, self.events.form(values)
        owner = self.events.access.visitor(request)
        yield {self.brush.start: gr.update(value="Cutting out …", interactive=False)}
        try:
            matte_id = form[self.brush.mask.field.name] or await self._start_from(form, owner)
        except StudioError as error:
            yield {**screen.refused(error, "photo"), self.brush.start: gr.update(value=self._words, interactive=True)}
            return
        value = await run_in_threadpool(self._canvas, form["photo"], matte_id)
        shown = gr.update(visible=True)
        yield {
            self.brush.base: matte_id,
            self.brush.start: gr.update(value=self._words, interactive=True, visible=False),
            self.brush.editor: gr.update(value=value, visible=True),
            self.brush.hint: shown,
            self.brush.use: shown,
            self.brush.drop: shown,
        }

    async def _start_from(self, form: dict[str, Any], owner: str) -> str:
        if not form.get("photo"):
            raise BadInput("Add a photo first.", param="photo")
        if self.brush.cut_out:
            return await self._matte(form, owner)
        return await run_in_threadpool(self._nothing, form["photo"], owner)

    def _nothing(self, photo_id: str, owner: str) -> str:
        files = self.events.desk.files
        return files.add(np.zeros_like(flat(files.open(photo_id))), owner, "upload")

    async def _matte(self, form: dict[str, Any], owner: str) -> str:
        """The automatic matte at the photo's own size, made by the cut-out tool in the one queue."""
        desk = self.events.desk
        wanted = {"photo": form["photo"], "trim": False, "pick": form.get("pick", 0)}
        job = await run_in_threadpool(desk.order, CUTS_OUT, wanted, owner)
        job = job.model_copy(update={"helper": True})
        await run_in_threadpool(desk.jobs.submit, job)
        stream = desk.jobs.watch(job.id)
        try:
            async for event in stream:
                if isinstance(event, Result):
                    return next(file.id for file in event.files if file.role == "matte")
        finally:
            stream.close()
        raise BadInput("The cut-out ended without a matte.", param="photo")

    def _canvas(self, photo_id: str, matte_id: str) -> Image:
        files = self.events.desk.files
        photo = files.open(photo_id)
        matte = fitted(files.open(matte_id), photo)
        # A mask greys what it holds, a cut-out what it drops.
        return canvas(photo, matte if self.brush.cut_out else 1 - matte)

    def use(
        self, request: gr.Request, drawn: dict[str, Any] | None, base: str | None, seat: Seat, *values: Any
    ) -> Updates:
        """Keep what was painted as the photo's matte."""
        layers, photo_id = (drawn or {}).get("layers") or [], self.events.form(values)["photo"]
        if base is None or not layers or not photo_id:
            return self.events.screen.same()
        matte_id = self._keep(layers[0], photo_id, base, self.events.access.visitor(request))
        return {**self._folded(), **self.events.screen.picture(self.brush.mask, matte_id)}

    def _keep(self, layer: Image, photo_id: str, base: str, owner: str) -> str:
        files = self.events.desk.files
        return self._kept(painted(layer, fitted(files.open(base), files.open(photo_id))), owner)

    def _kept(self, matte: Alpha, owner: str) -> str:
        grey = np.rint(matte * 255).astype(np.uint8)
        return self.events.desk.files.add(np.repeat(grey[..., None], 3, axis=2), owner, "upload")

    def take(self, request: gr.Request, path: str | None, seat: Seat, *values: Any) -> Updates:
        """Take an upload as the photo's matte; it is grey, or its opacity counts."""
        name, screen = self.brush.mask.field.name, self.events.screen
        if path is None:
            return screen.same()
        try:
            data, photo_id = read_upload(path), self.events.form(values)["photo"]
            if not photo_id:
                raise BadInput("Add a photo first.", param="photo")
            owner = self.events.access.visitor(request)
            photo = self.events.desk.files.open(photo_id)
            matte_id = self._kept(opacity(self.events.desk.take(data, owner)[0], photo, self.events.desk.files), owner)
        except StudioError as error:
            seat.refused = True
            return {**screen.refused(error, name), self.brush.upload: None}
        back = {self.brush.drop: gr.update(visible=True), self.brush.upload: None, self.events.tab.alert: ""}
        return {**self._folded(), **screen.picture(self.brush.mask, matte_id), **back}

    async def follow(self, request: gr.Request, seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """A draft of what the photo is now, unless an upload was refused: a draft takes old complaints away."""
        if seat.refused:
            seat.refused = False
            yield self.events.screen.same()
            return
        async for updates in self.events.draft(request, seat, *values):
            yield updates

    def drop(self) -> Updates:
        """Back to the automatic cut-out."""
        return {**self._folded(), **self.events.screen.picture(self.brush.mask, None)}

    def _folded(self) -> Updates:
        away, brush = gr.update(visible=False), self.brush
        editor = gr.update(value=None, visible=False)
        start = gr.update(value=self._words, visible=True)
        return {brush.start: start, brush.editor: editor, brush.hint: away, brush.use: away, brush.drop: away}


SHAPES_APART = 0.02
"""Share by which an uploaded matte's shape may differ from the photo's: a program rounds."""


def opacity(file_id: str, photo: Image, files: Files) -> Alpha:
    """An uploaded picture as a matte at the photo's size. Raises `BadInput` for one of another shape."""
    sent = files.open(file_id)
    shapes = [image.shape[1] / image.shape[0] for image in (sent, photo)]
    if abs(shapes[0] / shapes[1] - 1) > SHAPES_APART:
        raise BadInput("This has another shape than the photo: it must lie over all of it.")
    see_through = sent.shape[2] == 4 and bool((sent[..., 3] < 255).any())
    grey = sent[..., 3] if see_through else np.rint(sent[..., :3].mean(axis=2)).astype(np.uint8)
    return fitted(grey[..., None], photo)


def fitted(matte: Image, photo: Image) -> Alpha:
    """A stored matte, grey, as float32 0 to 1 at the photo's size."""
    grey = np.asarray(matte[..., 0] / np.float32(255), np.float32)
    size = photo.shape[1], photo.shape[0]
    return grey if (grey.shape[1], grey.shape[0]) == size else np.asarray(cv2.resize(grey, size), np.float32)
