"""Upload field for several pictures: ingests uploads in order, and removes single pictures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.core.lru_cache import LruCache
from ui.components.pictures import SentPicture, delete_upload, read_upload
from ui.tool_tab import text
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.form_controls import Control
from ui.tool_tab.state import TabState
from ui.tool_tab.updates import Updates

TOO_MANY_TEXT = "At most {most} pictures fit here; those after number {most} were left out."
SAME_CLICK_SECONDS = 1.0
"""Longest time between a click on Generate and a removal that still counts for that click."""
REMEMBERED_UPLOAD_COUNT = 256
"""Uploads whose file ids are remembered; the least recently used is forgotten first."""

IngestedUpload: TypeAlias = tuple[str, tuple[str, ...]]
"""File id and notices."""


class UploadDeduplicator:
    """Ingest each upload once. Gradio's page sends an upload again with every later one until it gets an answer."""

    def __init__(self, ingest: Callable[[bytes, str, str], IngestedUpload]) -> None:
        self._ingest = ingest
        self._ingested = LruCache[tuple[str, str], asyncio.Future[IngestedUpload]](REMEMBERED_UPLOAD_COUNT)

    async def ingest_once(self, path: str, owner: str) -> IngestedUpload:
        """Ingest the upload at `path`, or wait for its running ingest. Raises `BadInput`."""
        upload = self._ingested.get((owner, path))
        if upload is None or (upload.done() and Path(path).exists()):
            upload = asyncio.ensure_future(run_in_threadpool(self._ingest_file, path, owner))
            self._ingested.put((owner, path), upload)
        return await asyncio.shield(upload)

    def _ingest_file(self, path: str, owner: str) -> IngestedUpload:
        return self._ingest(read_upload(path), owner, path)


class MultiUploadEvents:
    """Listeners for uploads and removals in one field; each change is followed by a draft."""

    def __init__(self, control: Control, events: ToolTabEvents) -> None:
        self.control = control
        self.events = events
        self.uploads = UploadDeduplicator(events.service.uploads.ingest_picture)

    def wire(self) -> None:
        """Attach the two listeners."""
        tab, shown = self.events.tab, self.control.display
        gallery: Any = shown
        everything = [shown, tab.state, *tab.value_components()]
        upload = self.events.listen(gallery.upload, self.add_pictures, everything)
        self.events.draft_after_upload(self.control, upload, everything[1:])
        self.events.listen(gallery.change, self.remove_pictures, everything)

    async def add_pictures(
        self, request: gr.Request, event: gr.EventData, pictures: Sequence[SentPicture], state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Ingest the new uploads. Errors of single pictures are shown; the other pictures stay."""
        owner = self.events.access.identify_visitor(request)
        # If another answer replaces the field's value just before, the page sends the value without the new upload;
        # the event data still has it.
        paths = {row.path for row in pictures}
        pictures = [
            *pictures,
            *(SentPicture(path, "") for path in self._list_reported_uploads(event) if path not in paths),
        ]
        if self.control is self.events.tab.photo_control:
            state.use_home_photo()
        state.upload_number += 1
        number = state.upload_number
        yield self.events.uploads.show_reading(self.control, state)
        file_ids, remarks, errors = await self._ingest_pictures(_restore_missing_uploads(pictures, state), owner, state)
        if state.upload_number != number:  # a later event has these uploads too
            yield self.events.view.no_change()
            return
        element_id = self.events.view.field_element_id(self.control.field.name)
        note = text.render_alert(" ".join(errors), element_id) if errors else text.render_notice(remarks, element_id)
        async for updates in self.events.uploads.place_pictures(self.control, file_ids, request, state, values, note):
            yield updates

    def _list_reported_uploads(self, event: gr.EventData) -> list[str]:
        """List the uploads in the event's data. The page could name any file, so others than uploads are left out."""
        folder = Path(self.control.display.GRADIO_CACHE).resolve()
        images = [row.get("image") for row in event._data or () if isinstance(row, dict)]
        paths = [Path(str(image.get("path") or "")) for image in images if isinstance(image, dict)]
        return [str(path) for path in paths if not path.is_dir() and path.resolve().is_relative_to(folder)]

    async def _ingest_pictures(
        self, pictures: Sequence[SentPicture], owner: str, state: TabState
    ) -> tuple[tuple[str, ...], list[str], list[str]]:
        """Ingest the pictures; return file ids in order, remarks, and errors."""
        max_count = self.control.field.max_length or len(pictures)
        file_ids: list[str] = []
        remarks: list[str] = []
        errors = [TOO_MANY_TEXT.format(most=max_count)] if len(pictures) > max_count else []
        for path, file_id in pictures[:max_count]:
            try:
                notices: tuple[str, ...] = ()
                if path:
                    file_id, notices = await self.uploads.ingest_once(path, owner)
                    state.unconfirmed_uploads[path] = file_id
                file_ids.append(file_id)
                remarks += [notice for notice in notices if notice not in remarks]
            except StudioError as error:
                errors.append(f"{Path(path).name}: {error.message}")
                state.unconfirmed_uploads.pop(path, None)
        for path, _ in pictures[max_count:]:
            if path:  # delete uploads that are left out
                delete_upload(path)
                state.unconfirmed_uploads.pop(path, None)
        return tuple(file_ids), remarks, errors

    async def remove_pictures(
        self, request: gr.Request, pictures: Sequence[SentPicture], state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Remove what the visitor removed on the page. New uploads are left to `add_pictures`."""
        present = self.events.tab.read_form(values)[self.control.field.name]
        _confirm_uploads(pictures, state)
        unconfirmed = [file_id for file_id in present if file_id in state.unconfirmed_uploads.values()]
        remaining = (*(file_id for path, file_id in pictures if not path), *unconfirmed)
        if any(path for path, _ in pictures) or remaining == present:
            yield self.events.view.no_change()
            return
        forgotten = self.events.follower.forget_look_tiles(state)
        if not remaining and self.control is self.events.tab.photo_control:
            state.note_photo()
        yield {self.control.value: remaining, self.events.tab.alerts: "", **forgotten}
        new_values = self.events.tab.replace_values(values, {self.control.value: remaining})
        # A removal and a click on Generate right after it may arrive in any order.
        generate_clicked = time.monotonic() - state.generate_clicked_at < SAME_CLICK_SECONDS
        restart_or_draft = (
            self.events.follower.cancel_and_generate if generate_clicked else self.events.follower.draw_draft
        )
        async for updates in restart_or_draft(request, state, *new_values):
            yield updates


def _restore_missing_uploads(pictures: Sequence[SentPicture], state: TabState) -> list[SentPicture]:
    """Return the page's pictures with the recent uploads that its field lost, in order.

    An upload to an empty field replaces the field's value, and so does each answer: a second upload that starts before
    the first is answered arrives without the first.
    """
    _confirm_uploads(pictures, state)
    paths = {row.path for row in pictures}
    missing = [SentPicture(path, "") for path in state.unconfirmed_uploads if path not in paths]
    state.unconfirmed_uploads |= {row.path: state.unconfirmed_uploads.get(row.path, "") for row in pictures if row.path}
    first_upload = next((index for index, row in enumerate(pictures) if row.path), len(pictures))
    return [*pictures[:first_upload], *missing, *pictures[first_upload:]]


def _confirm_uploads(pictures: Sequence[SentPicture], state: TabState) -> None:
    """Forget the uploads that the page shows by file id: if one is missing later, the visitor removed it."""
    confirmed = {row.file_id for row in pictures if not row.path}
    state.unconfirmed_uploads = {
        path: file_id for path, file_id in state.unconfirmed_uploads.items() if file_id not in confirmed
    }
