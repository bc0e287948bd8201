"""The first page's photo: dropped, it becomes three drafts, each the door to its tool; knows a form's looks alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import Cancelled, StudioError
from pipelines.core.job import Result, Step
from pipelines.core.params import Params
from pipelines.core.tools import Tool
from pipelines.service.orders import Desk
from ui.api.auth.access import Access
from ui.components.pictures import Live, Photo, read_upload
from ui.tool_tab import text
from ui.tool_tab.form_controls import fields_of
from ui.tool_tab.layout import Handed
from ui.tool_tab.updates import Updates

DRAFTS = 3
PATIENCE = 1.0
"""Seconds for which further looks are tried: a model that draws scenes is slow, and three are enough."""
OUTLINE = "outline_delta_e"
"""The check by which looks are weighed: the lower, the less of a cut is seen."""
STANDS_OUT = 12.0
CHOSEN = "Of {} looks tried, the cut-out shows least in these."
COUNTS = "background"
"""The tool whose receipt says how many faces there are; it looks for them only with consent."""
ASKS = "If a person is in it: I have their permission and they are 18 or over"
DROP = "Drop a photo here, paste it, or click to choose"
WAITING = "Looking at your photo"
UNASKED = "Three product photos to start from. If a person is in it, tick the box under the photo:"
WAITS = "If a person is in it, tick the box under the photo."


@dataclass(frozen=True)
class Suggestion:
    """What a photo with so many faces is taken for."""

    tool: str
    at_least: int
    at_most: int
    sentence: str


SUGGESTIONS: tuple[Suggestion, ...] = (
    Suggestion("headshot", 1, 1, "One person. Three headshots to start from:"),
    Suggestion("business", 2, 99, "Several people. Business photos set everybody alike, one portrait each:"),
    Suggestion("headshot", 2, 99, "Several people. Three headshots of the one in front:"),
    Suggestion("product", 0, 0, "Nobody in it. Three product photos to start from:"),
)


@dataclass(frozen=True)
class Tried:
    """A draft in one look, and how much of a cut its outline shows: infinite where that is not measured."""

    picture: bytes | None
    look: dict[str, str]
    shows: float


@dataclass
class Shown:
    """What one visitor's first page holds: the photo, what was made of it, and whose turn it is."""

    photo: str = ""
    faces: int = 0
    tool: str = ""
    settings: list[dict[str, Any]] = field(default_factory=list)
    turn: int = 0
    jobs: set[str] = field(default_factory=set)


def suggested(faces: int, tools: Sequence[Tool]) -> Suggestion | None:
    """The first suggestion for so many faces whose tool is there."""
    there = {tool.id for tool in tools}
    fits = [row for row in SUGGESTIONS if row.at_least <= faces <= row.at_most and row.tool in there]
    return fits[0] if fits else None


def looks(params: type[Params]) -> list[dict[str, str]]:
    """Every setting of a form's first choice with tiles; the first `DRAFTS` from all over it, unlike each other."""
    row = next((row for row in fields_of(params) if row.tiles), None)
    if row is None:
        return [{}]
    count = len(row.options)
    few = min(DRAFTS, count)
    # Twice as dense each time: who stops early has seen some of everything.
    spread = [n * count // parts for parts in (few, 2 * few, count) for n in range(parts)]
    return [{row.name: row.options[n][1]} for n in dict.fromkeys(spread)]


def shows(result: Result) -> float:
    """How much of a cut a draft's outline shows; a subject that no longer stands out is no better than an unknown."""
    measured = result.receipt.get("checks", {}).get(OUTLINE, 0.0)
    return measured if measured >= STANDS_OUT else float("inf")


def least(drafts: Sequence[Tried]) -> list[Tried]:
    """The `DRAFTS` that show least of a cut, the best first; of equal ones the earlier."""
    return sorted(drafts, key=lambda each: each.shows)[:DRAFTS]


class Start:
    """The photo, the consent and the drafts of the first page, in the layout that is open."""

    def __init__(self, desk: Desk, access: Access, header: str) -> None:
        self.desk = desk
        self.access = access
        self.seat = gr.State(Shown())
        with gr.Row(elem_classes=["dbx-start"]):
            with gr.Column(scale=6, min_width=320):
                gr.HTML(header)
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
                self.photo = Photo(
                    label="Your photo", sources=["upload"], placeholder=DROP, buttons=[], height=None,
                    elem_id="home-photo", elem_classes=["dbx-photo"], alt_text="Your photo",
                )  # fmt: skip
                self.consent = gr.Checkbox(label=ASKS, visible=False, elem_id="home-consent")
                self.alert = gr.HTML("", elem_classes=["dbx-alerts"])
        self.stage = gr.HTML("", elem_classes=["dbx-stage"], elem_id="home-stage", visible=False)
        with gr.Row(elem_classes=["dbx-drafts"], elem_id="home-drafts", visible=False) as self.row:
            self.drafts = [self._place(n) for n in range(1, DRAFTS + 1)]

    def _place(self, number: int) -> tuple[gr.Image, gr.Button]:
        with gr.Column(min_width=200):
            live = Live(
                show_label=False, interactive=False, buttons=[], container=False, elem_id=f"home-draft-{number}",
                elem_classes=["dbx-live", "dbx-draft"], alt_text=f"Draft {number}", label=f"Draft {number}",
            )  # fmt: skip
            return live, gr.Button("Open", interactive=False, elem_id=f"home-open-{number}")

    def wire(self, tabs: gr.Tabs, incoming: Mapping[str, gr.State]) -> None:
        """Attach the listeners. A draft opens its tool with the photo and the draft's settings."""
        outputs = self._outputs()
        photo: Any = self.photo
        consent: Any = self.consent
        quiet: dict[str, Any] = {
            "api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden",
            "trigger_mode": "multiple",
        }  # fmt: skip
        photo.upload(self.take, [self.photo, self.seat, self.consent], outputs, **quiet)
        photo.clear(self.clear, [self.seat], outputs, **quiet)
        consent.input(self.agree, [self.seat, self.consent], outputs, **quiet)
        there = {row.tool: incoming[row.tool] for row in SUGGESTIONS if row.tool in incoming}
        for number, (_, button) in enumerate(self.drafts):
            button.click(self._opener(number, tabs, there), [self.seat], [tabs, *there.values()], **quiet)

    def _outputs(self) -> list[Any]:
        each = [part for pair in self.drafts for part in pair]
        return [self.photo, self.consent, self.alert, self.stage, self.row, *each]

    # ------------------------------------------------------------ what happens

    async def take(self, request: gr.Request, path: str | None, seat: Shown, agreed: bool) -> AsyncIterator[Updates]:
        """A photo came: ask whether it shows somebody, and draw three drafts of what suits it."""
        if path is None:
            yield self._same()
            return
        owner, turn = self.access.visitor(request), self._turn(seat)
        try:
            file_id, notices = await run_in_threadpool(lambda: self.desk.take(read_upload(path), owner))
        except StudioError as error:
            yield {**self._empty(), self.alert: text.refusal(error, "home-photo")}
            return
        seat.photo = file_id
        yield {
            **self._looking(),
            self.consent: gr.update(visible=not self.desk.files.is_example(file_id)),
            self.alert: text.notice(notices, "home-photo"),
        }
        async for updates in self._looked(owner, seat, agreed, turn):
            yield updates
        yield self._same()

    async def agree(self, request: gr.Request, seat: Shown, agreed: bool) -> AsyncIterator[Updates]:
        """Consent was given, or taken back."""
        if seat.photo:
            turn = self._turn(seat)
            yield self._looking()
            async for updates in self._looked(self.access.visitor(request), seat, agreed, turn):
                yield updates
        yield self._same()

    def clear(self, seat: Shown) -> Updates:
        """The photo was taken away."""
        self._turn(seat)
        seat.photo = ""
        return {**self._empty(), self.alert: ""}

    def _turn(self, seat: Shown) -> int:
        """The newest photo wins: drafts of an older one are cancelled."""
        seat.turn += 1
        seat.settings = []
        jobs, seat.jobs = seat.jobs, set()
        for job_id in jobs:
            self.desk.jobs.cancel(job_id)
        return seat.turn

    def _counts(self) -> bool:
        return any(tool.id == COUNTS for tool in self.desk.tools)

    async def _looked(self, owner: str, seat: Shown, agreed: bool, turn: int) -> AsyncIterator[Updates]:
        """Faces are counted with consent and in examples; without, the photo is taken for one that shows nobody."""
        may = agreed or self.desk.files.is_example(seat.photo)
        values = {"photo": seat.photo, "consent": agreed}
        counted = await self._drafted(COUNTS, values, owner, seat) if may and self._counts() else None
        if seat.turn != turn:
            return
        seat.faces = counted[1].receipt.get("faces", 0) if counted is not None else 0
        async for updates in self._suggest(owner, seat, agreed, turn, unasked=not may):
            yield updates

    async def _suggest(
        self, owner: str, seat: Shown, agreed: bool, turn: int, *, unasked: bool
    ) -> AsyncIterator[Updates]:
        row = suggested(seat.faces, self.desk.tools)
        if row is None:
            yield {**self._away(), self.stage: text.line(WAITS)} if unasked else self._empty()
            return
        tool = self.desk.tool(row.tool)
        sentence = UNASKED if unasked else row.sentence
        base = {self._field(tool): (seat.photo,) if self._field(tool) != "photo" else seat.photo}
        consent = {"consent": agreed} if "consent" in tool.params.model_fields else {}
        seat.tool = tool.id
        yield {**self._looking(), self.stage: text.line(sentence, busy=True)}
        best: list[Tried] = []
        tried, until = 0, float("inf")
        for look in looks(tool.params):
            if len(best) == DRAFTS and (time.monotonic() > until or best[0].shows == float("inf")):
                break
            made = await self._drafted(tool.id, {**base, **consent, **look}, owner, seat)
            if made is None or seat.turn != turn:
                break
            before, tried = best, tried + 1
            until = min(until, time.monotonic() + PATIENCE)
            best = least([*best, Tried(made[0], look, shows(made[1]))])
            places = enumerate(zip(best, self.drafts, strict=False))
            moved: Any = {live: each.picture for n, (each, (live, _)) in places if before[n : n + 1] != [each]}
            if moved:
                yield moved
        if seat.turn != turn:
            return
        seat.settings = [{**consent, **each.look} for each in best]
        buttons = [button for _, button in self.drafts]
        named = [gr.update(value=self._named(tool, each.look), interactive=True) for each in best]
        notes = [CHOSEN.format(tried)] if tried > DRAFTS else []
        yield {self.stage: text.line(sentence, notes=notes), **dict(zip(buttons, named, strict=False))}

    async def _drafted(
        self, tool_id: str, values: dict[str, Any], owner: str, seat: Shown
    ) -> tuple[bytes | None, Result] | None:
        """A draft's picture and its result; None where it cannot be made or was overtaken."""
        seen: bytes | None = None
        try:
            job_id, stream = await run_in_threadpool(self._submit, tool_id, values, owner)
        except StudioError:  # the tool itself says why, beside its field, once it is opened
            return None
        seat.jobs.add(job_id)
        try:
            async for event in stream:
                if isinstance(event, Result):
                    return seen, event
                seen = event.preview or seen if isinstance(event, Step) else seen
        except (Cancelled, StudioError):
            return None
        finally:
            stream.close()
            self.desk.jobs.cancel(job_id)  # a visitor who left waits for no draft
            seat.jobs.discard(job_id)
        return None

    def _submit(self, tool_id: str, values: dict[str, Any], owner: str) -> tuple[str, Any]:
        job = self.desk.order(tool_id, values, owner, draft=True)
        return job.id, self.desk.jobs.follow(job)

    def _opener(self, number: int, tabs: gr.Tabs, incoming: Mapping[str, gr.State]) -> Callable[[Shown], Any]:
        def opened(seat: Shown) -> dict[Any, Any]:
            if number >= len(seat.settings) or seat.tool not in incoming:
                return {tabs: gr.skip()}
            handed = Handed(seat.photo, time.time(), seat.settings[number])
            return {tabs: gr.Tabs(selected=seat.tool), incoming[seat.tool]: handed}

        return opened

    # ------------------------------------------------------------ what is shown

    def _same(self) -> Updates:
        return {self.alert: gr.skip()}

    def _looking(self) -> Any:
        blank: dict[Any, Any] = {}
        for live, button in self.drafts:
            blank |= {live: None, button: gr.update(value="Open", interactive=False)}
        stage = gr.update(value=text.line(WAITING, busy=True), visible=True)
        return {**blank, self.row: gr.update(visible=True), self.stage: stage}

    def _away(self) -> Any:
        return {self.row: gr.update(visible=False)}

    def _empty(self) -> Any:
        away = gr.update(visible=False)
        return {**self._away(), self.photo: None, self.stage: away, self.consent: away}

    @staticmethod
    def _field(tool: Tool) -> str:
        return tool.params.fields_of_kind("picture", "pictures")[0]

    @staticmethod
    def _named(tool: Tool, look: Mapping[str, str]) -> str:
        labels = {value: label for row in fields_of(tool.params) for label, value in row.options if row.name in look}
        return next((labels[value] for value in look.values()), tool.title)
