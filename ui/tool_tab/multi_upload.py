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
from ui.components.pictures import Sent, read_upload
from ui.tool_tab import text
from ui.tool_tab.events import Events
from ui.tool_tab.form_controls import Control
from ui.tool_tab.layout import Seat
from ui.tool_tab.updates import Updates

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

    async def take(
        self, request: gr.Request, told: gr.EventData, sent: Sequence[Sent], seat: Seat, *values: Any
    ) -> AsyncIterator[Updates]:
        """Ingest what is new. One bad picture among many is said, and the others stay."""
        owner = self.events.access.visitor(request)
        # An answer that comes as an upload ends takes its picture out of the field before the page reads the field.
        there = {row.path for row in sent}
        sent = [*sent, *(Sent(path, "") for path in self._came(told) if path not in there)]
        seat.uploads += 1
        turn = seat.uploads
        file_ids, said, refused = await self._ingest(_whole(sent, seat), owner, seat)
        if seat.uploads != turn:  # more came meanwhile, and those take these along
            yield self.events.screen.same()
            return
        target = self.events.screen.element(self.made.field.name)
        note = text.alert(" ".join(refused), target) if refused else text.notice(said, target)
        async for updates in self.events.place(self.made, file_ids, request, seat, values, note):
            yield updates

    def _came(self, told: gr.EventData) -> list[str]:
        """The uploads that the page tells of: its claim, so that only files in the folder for uploads count."""
        folder = Path(self.made.shown.GRADIO_CACHE).resolve()
        images = [row.get("image") for row in told._data or () if isinstance(row, dict)]
        paths = [Path(str(image.get("path") or "")) for image in images if isinstance(image, dict)]
        return [str(path) for path in paths if not path.is_dir() and path.resolve().is_relative_to(folder)]

    async def _ingest(
        self, sent: Sequence[Sent], owner: str, seat: Seat
    ) -> tuple[tuple[str, ...], list[str], list[str]]:
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
                    seat.unseen[path] = file_id
                file_ids.append(file_id)
                said += [notice for notice in notices if notice not in said]
            except StudioError as error:
                refused.append(f"{Path(path).name}: {error.message}")
                seat.unseen.pop(path, None)
        for path, _ in sent[most:]:
            if path:  # what is left out is not kept either
                Path(path).unlink(missing_ok=True)
                seat.unseen.pop(path, None)
        return tuple(file_ids), said, refused

    async def drop(self, request: gr.Request, sent: Sequence[Sent], seat: Seat, *values: Any) -> AsyncIterator[Updates]:
        """Forget what was taken out on the page, which shows it already; fresh uploads are `take`'s work."""
        held = self.events.form(values)[self.made.field.name]
        _saw(sent, seat)
        unseen = [file_id for file_id in held if file_id in seat.unseen.values()]
        left = (*(file_id for path, file_id in sent if not path), *unseen)
        if any(path for path, _ in sent) or left == held:
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


def _whole(sent: Sequence[Sent], seat: Seat) -> list[Sent]:
    """What the page sent, and the uploads just before that it did not know any more, or not yet, in their order.

    While it is empty its field is replaced by what comes, and each answer replaces it too: a second upload begun before
    the first is answered stands there without it.
    """
    _saw(sent, seat)
    there = {row.path for row in sent}
    missing = [Sent(path, "") for path in seat.unseen if path not in there]
    seat.unseen |= {row.path: seat.unseen.get(row.path, "") for row in sent if row.path}
    first = next((place for place, row in enumerate(sent) if row.path), len(sent))
    return [*sent[:first], *missing, *sent[first:]]


def _saw(sent: Sequence[Sent], seat: Seat) -> None:
    """The page holds these by their ids: from here on, what it does not hold was taken out."""
    seen = {row.file_id for row in sent if not row.path}
    seat.unseen = {path: file_id for path, file_id in seat.unseen.items() if file_id not in seen}
