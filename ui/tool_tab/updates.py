"""What a tool tab shows, as updates of its components; orders nothing and follows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import gradio as gr
from gradio.components import Component

from pipelines.codecs.encode import STILLS
from pipelines.core.errors import NotFound, StudioError
from pipelines.core.job import File, Job, Queued, Result, Step
from pipelines.jobs.queue import Row
from pipelines.service.orders import Desk
from ui.api.auth.access import Access
from ui.api.code_snippets import asked, curl
from ui.components.pictures import Named, Tile, before, data_url, shelf, small
from ui.tool_tab import text
from ui.tool_tab.form_controls import Control, mask_words, words_on
from ui.tool_tab.layout import Tab, sizes_of
from ui.tool_tab.settings_link import address_of

Updates: TypeAlias = dict[Component, Any]
TILE_SIDE = 320
"""Longer side of one picture of several, in pixels."""
YOURS = "Your photo"
"""What a picture is compared with at first."""


class Screen:
    """One tab's states: the same for a job just ordered, one found again, and one that was kept."""

    def __init__(self, tab: Tab, desk: Desk, access: Access) -> None:
        self.tab = tab
        self.desk = desk
        self.access = access

    # ------------------------------------------------------------ states

    def same(self) -> Updates:
        """No change.

        Gradio empties every output of a handler that hands over nothing, and sends the last thing it was handed once
        more when the handler ends, which may be after another has spoken: so every generator ends with this.
        """
        return {self.tab.alert: gr.skip()}

    def idle(self, stage: str | None = None) -> Updates:
        """Nothing runs for this tab."""
        updates: Updates = {
            self.tab.generate: gr.update(interactive=True),
            self.tab.stop: gr.update(interactive=False),
        }
        return updates if stage is None else {**updates, self.tab.board.stage: stage}

    def at_rest(self, job: Job | None) -> Updates:
        """Nothing runs, and the box shows a picture of `job`, or none that could be taken home: the buttons alone."""
        board = self.tab.board
        actions: list[Component] = [board.save, board.reuse, board.format, board.folder]
        ready = dict.fromkeys(actions, job is not None)
        ready[board.send] = job is not None and bool(self.tab.others)
        ready[board.size] = job is not None and isinstance(job.params.get("size"), int)
        return {**self.idle(), **{part: gr.update(interactive=there) for part, there in ready.items()}}

    def buttons(self) -> list[Component]:
        """What `at_rest` changes, and what stays the `same`."""
        return [*self.at_rest(None), *self.same(), self.tab.board.stage]

    def drafting(self) -> Updates:
        """Nothing finished is in the box: its actions rest, and old complaints go."""
        board = self.tab.board
        return {
            self.tab.alert: "",
            board.stage: text.line(text.STARTED, busy=True),
            board.before: "",
            board.variation: gr.update(visible=False),
            board.versus: gr.update(visible=False),
            board.save: gr.update(interactive=False),
            board.reuse: gr.update(interactive=False),
            board.send: gr.update(interactive=False),
            board.format: gr.update(interactive=False),
            board.folder: gr.update(interactive=False),
            board.size: gr.update(interactive=False),
            board.more: gr.update(value=None, visible=False),
        }

    def started(self) -> Updates:
        """The full size is under way."""
        return {
            **self.drafting(),
            self.tab.generate: gr.update(interactive=False),
            self.tab.stop: gr.update(interactive=True),
        }

    def under_way(self, event: Queued | Step, *, draft: bool, left: float | None = None) -> Updates:
        """Stage, step, place in the queue, seconds left where they are known, and the preview when there is one."""
        updates: Updates = {self.tab.board.stage: text.working(event, draft=draft, left=left)}
        if isinstance(event, Step) and event.preview is not None:
            updates[self.tab.board.live] = event.preview
        return updates

    def refused(self, error: StudioError, param: str | None = None) -> Updates:
        """The sentence beside its field; what was entered stays."""
        target = self.element(error.param or param or "")
        return {**self.idle(text.line("")), self.tab.alert: text.refusal(error, target)}

    def element(self, name: str) -> str:
        """The HTML id of a field, "" for one that is not here."""
        return f"{self.tab.tool.id}-{name}" if name in self.tab.controls else ""

    # ------------------------------------------------------------ the form

    def fill(self, params: Mapping[str, Any], seed: int) -> Updates:
        """A job's exact settings in the form, its seed included."""
        filled: Updates = {}
        for name, made in self.tab.controls.items():
            value: Any = seed if made.field.kind == "seed" else params.get(name, made.field.default)
            filled |= self.picture(made, value) if made.shown is not made.value else self._worded(made, value)
        return filled

    def some(self, values: Mapping[str, Any]) -> Updates:
        """Only these settings; pictures are not among them, and a locked field stays as it is."""
        rows = [(self.tab.controls[name], value) for name, value in values.items() if name in self.tab.controls]
        filled: Updates = {}
        for made, value in rows:
            if made.shown is made.value and not made.locked:
                filled |= self._worded(made, value)
        return filled

    def offered(self, owner: str) -> Updates:
        """The names that the owner keeps, in the fields that take one."""
        updates: Updates = {}
        for made in self.tab.controls.values():
            if made.field.kept:
                rows = self.desk.kept.list(owner, made.field.kept)
                updates[made.value] = gr.update(choices=[("None", ""), *((row.name, row.name) for row in rows)])
        return updates

    def _worded(self, made: Control, value: Any) -> Updates:
        empty = value is None and made.field.kind in ("colour", "seed")
        return {made.value: "" if empty else words_on(made.field, value)}

    def picture(self, made: Control, file_id: Any) -> Updates:
        """A file in a picture's or a mask's field, or several in that of several; nothing where a file is gone."""
        if made.field.kind == "pictures":
            return self._pictures(made, file_id or ())
        if made.field.kind == "mask":
            return {made.value: file_id, made.shown: mask_words(made.field, file_id is not None)}
        with suppress(NotFound):
            return {made.value: file_id, made.shown: small(self.desk.files.open(file_id)) if file_id else None}
        return {made.value: None, made.shown: None}

    def _pictures(self, made: Control, file_ids: Sequence[str]) -> Updates:
        tiles: list[Tile] = []
        for file_id in file_ids:
            with suppress(NotFound):
                tiles.append(Tile(small(self.desk.files.open(file_id), TILE_SIDE), file_id))
        return {made.value: tuple(tile.file_id for tile in tiles), made.shown: tiles}

    # ------------------------------------------------------------ the finished job

    def drafted(self, result: Result, seen: bytes | None) -> Updates:
        """The draft stays in the box. Its last preview, `seen`, comes again.

        Gradio's page puts together what arrives within one frame and keeps only the latest word on each component, and
        a quick draft's last preview and its end arrive within one frame.
        """
        shown: Updates = {} if seen is None else {self.tab.board.live: seen}
        return {**shown, self.tab.board.stage: text.draft_done(result)}

    def finished(self, row: Row, result: Result, base: str) -> Updates:
        """The first picture of a job, and how many there are."""
        files, board = pictures(result), self.tab.board
        numbers = [str(n + 1) for n in range(len(files))]
        several = len(files) > 1
        return {
            **self.idle(),
            **self.show(row.job, result, 0, base),
            board.sheet: self._sheet(files) if several else "",
            board.variation: gr.update(choices=numbers, value="1", visible=several),
            board.versus: gr.update(choices=[YOURS, *numbers], value=YOURS, visible=several),
        }

    def _sheet(self, files: Sequence[File]) -> str:
        """The pictures of the contact sheet, as the style of its tiles."""
        tiles = [data_url(small(self.desk.files.open(file.id), TILE_SIDE)) for file in files]
        return text.tiled(f"{self.tab.tool.id}-variation", tiles)

    def compared(self, result: Result, variation: int, other: int | None) -> Updates:
        """Another picture of the same job over the shown one; None: the photo again."""
        files = pictures(result)
        if other is None or other >= len(files):
            return {self.tab.board.before: self._over(result, files[variation])}
        laid = data_url(small(self.desk.files.open(files[other].id)))
        numbers = str(other + 1), str(variation + 1)
        return {self.tab.board.before: text.overlay(laid, f"Variation {other + 1}", numbers, share=50)}

    def show(self, job: Job, result: Result, variation: int, base: str) -> Updates:
        """Picture number `variation` with everything that can be done with it. `base` is the page's own address."""
        board, file = self.tab.board, pictures(result)[variation]
        named = self._named(job, file, variation)
        return {
            board.live: named,
            board.before: self._over(result, file),
            board.versus: gr.update(value=YOURS),
            board.stage: text.done(job, result, variation),
            board.save: gr.update(value=shelf(named, board.save.GRADIO_CACHE), interactive=True),
            board.reuse: gr.update(interactive=True),
            board.send: gr.update(value="", interactive=bool(self.tab.others)),
            board.format: gr.update(value=file.format, interactive=True),
            board.folder: gr.update(interactive=True),
            board.size: self._size(job, file),
            board.code: self._code(job, base),
            board.link: address_of(base, self.tab.tool, job.params, job.seed),
            board.receipt: text.receipt_text(result.receipt),
            board.more: self._more(job, result),
        }

    def _size(self, job: Job, file: File) -> dict[str, Any]:
        """The size that this picture was asked for, among those it can be had in; 0 left it to the look."""
        asked, made = job.params.get("size"), max(file.width, file.height)
        if not isinstance(asked, int):
            return gr.update(interactive=False)
        labels = {**{side: side for side in sizes_of(self.tab.tool.params) if side != made}, asked: made}
        choices = [(f"{label} px", side) for side, label in sorted(labels.items(), key=lambda row: row[1])]
        return gr.update(choices=choices, value=asked, interactive=True)

    def _named(self, job: Job, file: File, number: int) -> Named:
        return Named(
            self.desk.files.path(file.id), file.name or text.file_name(job.tool, job.params, number + 1, file.format)
        )

    def _more(self, job: Job, result: Result) -> dict[str, Any]:
        """Everything else there is to take home: archives, films, pages, layers, the cut-out."""
        rows = [file for file in result.files if file not in pictures(result)]
        named = [
            Named(
                self.desk.files.path(file.id),
                file.name or text.file_name(job.tool, {"preset": file.role}, n, file.format),
            )
            for n, file in enumerate(rows, 1)
        ]
        paths = [shelf(each, self.tab.board.more.GRADIO_CACHE) for each in named]
        return gr.update(value=paths or None, visible=bool(paths))

    def _over(self, result: Result, file: File) -> str:
        """What lies over the result: the photo, to compare. Under it, a ground that shows transparency."""
        ground = text.SEE_THROUGH if self.desk.files.open(file.id).shape[2] == 4 else ""
        photo = result.receipt["params"].get("photo")
        with suppress(NotFound):
            if photo:
                number = pictures(result).index(file)
                laid = before(self.desk.files.open(photo), result.receipt, (file.width, file.height), number)
                return ground + text.overlay(data_url(laid), "Your photo, before")
        return ground

    def _code(self, job: Job, base: str) -> str:
        values = {**job.params, **({"seed": job.seed} if "seed" in job.params else {})}
        return curl(asked(self.tab.tool, values, self.desk.files.is_example), self.access.door(base))


def pictures(result: Result) -> list[File]:
    """The pictures a visitor asked for: what the box can show."""
    return [file for file in result.files if file.role == "result" and file.format in STILLS]


def address(request: gr.Request) -> str:
    """Where the visitor's browser found this page, without a slash at the end."""
    url = request.request.url if request.request else None
    return f"{url.scheme}://{url.netloc}" if url else ""
