"""A field of several pictures: uploads come in one by one and in order, any can be taken out; knows no tool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import BadInput, StudioError
from ui.components.pictures import SentPicture, read_upload
from ui.tool_tab import text
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.form_controls import Control
from ui.tool_tab.layout import TabState
from ui.tool_tab.updates import Updates

TOO_MANY_TEXT = "At most {most} pictures fit here; those after number {most} were left out."
UPLOAD_GONE_TEXT = "This upload is no longer here: please add it again."
SAME_CLICK_SECONDS = 1.0
"""Seconds within which a removal and a click on Generate are one wish."""
REMEMBERED_UPLOAD_COUNT = 256
"""Uploads whose file ids are remembered; the oldest is forgotten."""

IngestedUpload: TypeAlias = tuple[str, tuple[str, ...]]


class UploadDeduplicator:
    """Takes each upload once, although the page sends it again with every later one until it has the first answer."""

    def __init__(self, take: Callable[[bytes, str], IngestedUpload]) -> None:
        self._ingest = take
        self._ingested: dict[tuple[str, str], asyncio.Future[IngestedUpload]] = {}

    async def ingest_once(self, path: str, owner: str) -> IngestedUpload:
        """File id and notices of the upload at `path`; waits where it is being taken. Raises `BadInput`."""
        known = self._ingested.get((owner, path))
        if known is None or (known.done() and Path(path).exists()):
            known = self._ingested[owner, path] = asyncio.ensure_future(
                run_in_threadpool(self._ingest_file, path, owner)
            )
            if len(self._ingested) > REMEMBERED_UPLOAD_COUNT:
                del self._ingested[next(iter(self._ingested))]
        return await asyncio.shield(known)

    def _ingest_file(self, path: str, owner: str) -> IngestedUpload:
        try:
            data = read_upload(path)
        except FileNotFoundError as error:
            raise BadInput(UPLOAD_GONE_TEXT) from error
        return self._ingest(data, owner)


class MultiUploadEvents:
    """Uploads and removals of one field, wired through the tab's own events, so that a draft follows."""

    def __init__(self, made: Control, events: ToolTabEvents) -> None:
        self.control = made
        self.events = events
        self.uploads = UploadDeduplicator(events.service.uploads.ingest_picture)

    def wire(self) -> None:
        """Attach the two listeners."""
        tab, shown = self.events.tab, self.control.display
        gallery: Any = shown
        everything = [shown, tab.state, *tab.value_components()]
        self.events.listen(gallery.upload, self.add_pictures, everything)
        self.events.listen(gallery.change, self.remove_pictures, everything)

    async def add_pictures(
        self, request: gr.Request, told: gr.EventData, sent: Sequence[SentPicture], seat: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Ingest what is new. One bad picture among many is said, and the others stay."""
        owner = self.events.access.visitor(request)
        # An answer that comes as an upload ends takes its picture out of the field before the page reads the field.
        there = {row.path for row in sent}
        sent = [*sent, *(SentPicture(path, "") for path in self._list_reported_uploads(told) if path not in there)]
        seat.upload_number += 1
        turn = seat.upload_number
        file_ids, said, refused = await self._ingest_pictures(_restore_missing_uploads(sent, seat), owner, seat)
        if seat.upload_number != turn:  # more came meanwhile, and those take these along
            yield self.events.view.no_change()
            return
        target = self.events.view.field_element_id(self.control.field.name)
        note = text.render_alert(" ".join(refused), target) if refused else text.render_notice(said, target)
        async for updates in self.events.place_pictures(self.control, file_ids, request, seat, values, note):
            yield updates

    def _list_reported_uploads(self, told: gr.EventData) -> list[str]:
        """The uploads that the page tells of: its claim, so that only files in the folder for uploads count."""
        folder = Path(self.control.display.GRADIO_CACHE).resolve()
        images = [row.get("image") for row in told._data or () if isinstance(row, dict)]
        paths = [Path(str(image.get("path") or "")) for image in images if isinstance(image, dict)]
        return [str(path) for path in paths if not path.is_dir() and path.resolve().is_relative_to(folder)]

    async def _ingest_pictures(
        self, sent: Sequence[SentPicture], owner: str, seat: TabState
    ) -> tuple[tuple[str, ...], list[str], list[str]]:
        """File ids in order, remarks, and complaints."""
        most = self.control.field.max_length or len(sent)
        file_ids: list[str] = []
        said: list[str] = []
        refused = [TOO_MANY_TEXT.format(most=most)] if len(sent) > most else []
        for path, file_id in sent[:most]:
            try:
                notices: tuple[str, ...] = ()
                if path:
                    file_id, notices = await self.uploads.ingest_once(path, owner)
                    seat.unconfirmed_uploads[path] = file_id
                file_ids.append(file_id)
                said += [notice for notice in notices if notice not in said]
            except StudioError as error:
                refused.append(f"{Path(path).name}: {error.message}")
                seat.unconfirmed_uploads.pop(path, None)
        for path, _ in sent[most:]:
            if path:  # what is left out is not kept either
                Path(path).unlink(missing_ok=True)
                seat.unconfirmed_uploads.pop(path, None)
        return tuple(file_ids), said, refused

    async def remove_pictures(
        self, request: gr.Request, sent: Sequence[SentPicture], seat: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Forget what was taken out on the page, which shows it already; fresh uploads are `take`'s work."""
        held = self.events.read_form(values)[self.control.field.name]
        _confirm_uploads(sent, seat)
        unseen = [file_id for file_id in held if file_id in seat.unconfirmed_uploads.values()]
        left = (*(file_id for path, file_id in sent if not path), *unseen)
        if any(path for path, _ in sent) or left == held:
            yield self.events.view.no_change()
            return
        yield {self.control.value: left, self.events.tab.alerts: ""}
        fresh = (left if part is self.control.value else old for part, old in self._pairs(values))
        # The page tells of the removal and of a click on Generate right after it in any order.
        clicked = time.monotonic() - seat.generate_clicked_at < SAME_CLICK_SECONDS
        follow = self.events.restart if clicked else self.events.draw_draft
        async for updates in follow(request, seat, *fresh):
            yield updates

    def _pairs(self, values: Sequence[Any]) -> zip[tuple[Any, Any]]:
        return zip(self.events.tab.value_components(), values, strict=True)


def _restore_missing_uploads(sent: Sequence[SentPicture], seat: TabState) -> list[SentPicture]:
    """What the page sent, and the uploads just before that it did not know any more, or not yet, in their order.

    While it is empty its field is replaced by what comes, and each answer replaces it too: a second upload begun before
    the first is answered stands there without it.
    """
    _confirm_uploads(sent, seat)
    there = {row.path for row in sent}
    missing = [SentPicture(path, "") for path in seat.unconfirmed_uploads if path not in there]
    seat.unconfirmed_uploads |= {row.path: seat.unconfirmed_uploads.get(row.path, "") for row in sent if row.path}
    first = next((place for place, row in enumerate(sent) if row.path), len(sent))
    return [*sent[:first], *missing, *sent[first:]]


def _confirm_uploads(sent: Sequence[SentPicture], seat: TabState) -> None:
    """The page holds these by their ids: from here on, what it does not hold was taken out."""
    seen = {row.file_id for row in sent if not row.path}
    seat.unconfirmed_uploads = {
        path: file_id for path, file_id in seat.unconfirmed_uploads.items() if file_id not in seen
    }
