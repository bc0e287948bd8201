"""A field of several pictures: uploads come in one by one and in order, any can be taken out; knows no tool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.types import BadInput, StudioError
from ui import words
from ui.events import Events
from ui.pictures import Sent, read_upload
from ui.screen import Updates
from ui.tab import Seat
from ui.widgets import Control

TOO_MANY = "At most {most} pictures fit here; those after number {most} were left out."
GONE = "This upload is no longer here: please add it again."
TOGETHER = 1.0
"""Seconds within which a removal and a click on Generate are one wish."""
REMEMBERED = 256
"""Uploads whose file ids are remembered; the oldest is forgotten."""

Taken: TypeAlias = tuple[str, tuple[str, ...]]


class Uploads:
    """Takes each upload once, although the page sends it again with every later one until it has the first answer."""

    def __init__(self, take: Callable[[bytes, str], Taken]) -> None:
        self._take = take
        self._known: dict[tuple[str, str], asyncio.Future[Taken]] = {}

    async def taken(self, path: str, owner: str) -> Taken:
        """File id and notices of the upload at `path`; waits where it is being taken. Raises `BadInput`."""
        known = self._known.get((owner, path))
        if known is None or (known.done() and Path(path).exists()):
            known = self._known[owner, path] = asyncio.ensure_future(run_in_threadpool(self._read, path, owner))
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
        return await asyncio.shield(known)

    def _read(self, path: str, owner: str) -> Taken:
        try:
            data = read_upload(path)
        except FileNotFoundError as error:
            raise BadInput(GONE) from error
        return self._take(data, owner)


class GalleryEvents:
    """Uploads and removals of one field, wired through the tab's own events, so that a draft follows."""

    def __init__(self, made: Control, events: Events) -> None:
        self.made = made
        self.events = events
        self.uploads = Uploads(events.desk.take)

    def wire(self) -> None:
        """Attach the two listeners."""
        tab, shown = self.events.tab, self.made.shown
        gallery: Any = shown
        everything = [shown, tab.seat, *tab.values()]
        self.events.on(gallery.upload, self.take, everything)
        self.events.on(gallery.change, self.drop, everything)

    async def take(self, request: gr.Request, sent: Sequence[Sent], seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """Ingest what is new. One bad picture among many is said, and the others stay."""
        owner = self.events.access.visitor(request)
        seat.uploads += 1
        turn = seat.uploads
        file_ids, said, refused = await self._ingest(sent, owner)
        if seat.uploads != turn:  # more came meanwhile, together with these
            yield self.events.screen.same()
            return
        target = self.events.screen.element(self.made.field.name)
        note = words.alert(" ".join(refused), target) if refused else words.notice(said, target)
        async for updates in self.events.place(self.made, file_ids, request, seat, values, note):
            yield updates

    async def _ingest(self, sent: Sequence[Sent], owner: str) -> tuple[tuple[str, ...], list[str], list[str]]:
        """File ids in order, remarks, and complaints."""
        most = self.made.field.max_length or len(sent)
        file_ids: list[str] = []
        said: list[str] = []
        refused = [TOO_MANY.format(most=most)] if len(sent) > most else []
        for path, file_id in sent[:most]:
            try:
                notices: tuple[str, ...] = ()
                if path:
                    file_id, notices = await self.uploads.taken(path, owner)
                file_ids.append(file_id)
                said += [notice for notice in notices if notice not in said]
            except StudioError as error:
                refused.append(f"{Path(path).name}: {error.message}")
        for path, _ in sent[most:]:
            if path:  # what is left out is not kept either
                Path(path).unlink(missing_ok=True)
        return tuple(file_ids), said, refused

    async def drop(self, request: gr.Request, sent: Sequence[Sent], seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """Forget what was taken out on the page, which shows it already; fresh uploads are `take`'s work."""
        held = self.events.form(values)[self.made.field.name]
        left = tuple(file_id for path, file_id in sent if not path)
        if len(left) < len(sent) or left == held:
            yield self.events.screen.same()
            return
        yield {self.made.value: left, self.events.tab.alert: ""}
        fresh = (left if part is self.made.value else old for part, old in self._pairs(values))
        # The page tells of the removal and of a click on Generate right after it in any order.
        clicked = time.monotonic() - seat.asked < TOGETHER
        follow = self.events.again if clicked else self.events.draft
        async for updates in follow(request, seat, *fresh):
            yield updates

    def _pairs(self, values: Sequence[Any]) -> zip[tuple[Any, Any]]:
        return zip(self.events.tab.values(), values, strict=True)
