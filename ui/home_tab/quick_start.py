"""The first page's photo: dropped, it becomes three drafts, each the door to its tool; knows a form's looks alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import JobCancelled, StudioError
from pipelines.core.job import Result, Step
from pipelines.core.params import Params
from pipelines.core.tools import Tool
from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.components.pictures import LivePicture, PhotoUpload, read_upload
from ui.tool_tab import text
from ui.tool_tab.form_controls import list_form_fields
from ui.tool_tab.layout import TabHandoff
from ui.tool_tab.updates import Updates

DRAFT_COUNT = 3
EXTRA_LOOKS_SECONDS = 1.0
"""Seconds for which further looks are tried: a model that draws scenes is slow, and three are enough."""
OUTLINE_CHECK = "outline_delta_e"
"""The check by which looks are weighed: the lower, the less of a cut is seen."""
MIN_OUTLINE_DELTA_E = 12.0
CHOSEN_TEXT = "Of {} looks tried, the cut-out shows least in these."
FACE_COUNT_TOOL = "background"
"""The tool whose receipt says how many faces there are; it looks for them only with consent."""
CONSENT_LABEL = "If a person is in it: I have their permission and they are 18 or over"
DROP_LABEL = "Drop a photo here, paste it, or click to choose"
WAITING_TEXT = "Looking at your photo"
NO_CONSENT_TEXT = "Three product photos to start from. If a person is in it, tick the box under the photo:"
ASK_CONSENT_TEXT = "If a person is in it, tick the box under the photo."


@dataclass(frozen=True)
class Suggestion:
    """What a photo with so many faces is taken for."""

    tool: str
    min_faces: int
    max_faces: int
    sentence: str


SUGGESTIONS: tuple[Suggestion, ...] = (
    Suggestion("headshot", 1, 1, "One person. Three headshots to start from:"),
    Suggestion("business", 2, 99, "Several people. Business photos set everybody alike, one portrait each:"),
    Suggestion("headshot", 2, 99, "Several people. Three headshots of the one in front:"),
    Suggestion("product", 0, 0, "Nobody in it. Three product photos to start from:"),
)


@dataclass(frozen=True)
class TriedDraft:
    """A draft in one look, and how much of a cut its outline shows: infinite where that is not measured."""

    picture: bytes | None
    settings: dict[str, str]
    edge_visibility: float


@dataclass
class QuickStartState:
    """What one visitor's first page holds: the photo, what was made of it, and whose turn it is."""

    photo_id: str = ""
    face_count: int = 0
    tool_id: str = ""
    settings: list[dict[str, Any]] = field(default_factory=list)
    request_number: int = 0
    job_ids: set[str] = field(default_factory=set)


def suggest_tool(faces: int, tools: Sequence[Tool]) -> Suggestion | None:
    """The first suggestion for so many faces whose tool is there."""
    there = {tool.id for tool in tools}
    fits = [row for row in SUGGESTIONS if row.min_faces <= faces <= row.max_faces and row.tool in there]
    return fits[0] if fits else None


def spread_looks(params: type[Params]) -> list[dict[str, str]]:
    """Every setting of a form's first choice with tiles; the first `DRAFTS` from all over it, unlike each other."""
    row = next((row for row in list_form_fields(params) if row.has_tiles), None)
    if row is None:
        return [{}]
    count = len(row.options)
    few = min(DRAFT_COUNT, count)
    # Twice as dense each time: who stops early has seen some of everything.
    spread = [n * count // parts for parts in (few, 2 * few, count) for n in range(parts)]
    return [{row.name: row.options[n][1]} for n in dict.fromkeys(spread)]


def measure_edge_visibility(result: Result) -> float:
    """How much of a cut a draft's outline shows; a subject that no longer stands out is no better than an unknown."""
    measured = result.receipt.get("checks", {}).get(OUTLINE_CHECK, 0.0)
    return measured if measured >= MIN_OUTLINE_DELTA_E else float("inf")


def select_best_drafts(drafts: Sequence[TriedDraft]) -> list[TriedDraft]:
    """The `DRAFTS` that show least of a cut, the best first; of equal ones the earlier."""
    return sorted(drafts, key=lambda each: each.edge_visibility)[:DRAFT_COUNT]


class QuickStart:
    """The photo, the consent and the drafts of the first page, in the layout that is open."""

    def __init__(self, service: StudioService, access: Access, header: str) -> None:
        self.service = service
        self.access = access
        self.state = gr.State(QuickStartState())
        with gr.Row(elem_classes=["dbx-start"]):
            with gr.Column(scale=6, min_width=320):
                gr.HTML(header)
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
                self.photo = PhotoUpload(
                    label="Your photo", sources=["upload"], placeholder=DROP_LABEL, buttons=[], height=None,
                    elem_id="home-photo", elem_classes=["dbx-photo"], alt_text="Your photo",
                )  # fmt: skip
                self.consent = gr.Checkbox(label=CONSENT_LABEL, visible=False, elem_id="home-consent")
                self.alert = gr.HTML("", elem_classes=["dbx-alerts"])
        self.stage = gr.HTML("", elem_classes=["dbx-stage"], elem_id="home-stage", visible=False)
        with gr.Row(elem_classes=["dbx-drafts"], elem_id="home-drafts", visible=False) as self.row:
            self.drafts = [self._build_draft_slot(n) for n in range(1, DRAFT_COUNT + 1)]

    def _build_draft_slot(self, number: int) -> tuple[gr.Image, gr.Button]:
        with gr.Column(min_width=200):
            live = LivePicture(
                show_label=False, interactive=False, buttons=[], container=False, elem_id=f"home-draft-{number}",
                elem_classes=["dbx-live", "dbx-draft"], alt_text=f"Draft {number}", label=f"Draft {number}",
            )  # fmt: skip
            return live, gr.Button("Open", interactive=False, elem_id=f"home-open-{number}")

    def wire(self, tabs: gr.Tabs, incoming: Mapping[str, gr.State]) -> None:
        """Attach the listeners. A draft opens its tool with the photo and the draft's settings."""
        outputs = self._list_outputs()
        photo: Any = self.photo
        consent: Any = self.consent
        quiet: dict[str, Any] = {
            "api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden",
            "trigger_mode": "multiple",
        }  # fmt: skip
        photo.upload(self.receive_photo, [self.photo, self.state, self.consent], outputs, **quiet)
        photo.clear(self.clear_photo, [self.state], outputs, **quiet)
        consent.input(self.change_consent, [self.state, self.consent], outputs, **quiet)
        there = {row.tool: incoming[row.tool] for row in SUGGESTIONS if row.tool in incoming}
        for number, (_, button) in enumerate(self.drafts):
            button.click(self._make_open_handler(number, tabs, there), [self.state], [tabs, *there.values()], **quiet)

    def _list_outputs(self) -> list[Any]:
        each = [part for pair in self.drafts for part in pair]
        return [self.photo, self.consent, self.alert, self.stage, self.row, *each]

    # ------------------------------------------------------------ what happens

    async def receive_photo(
        self, request: gr.Request, path: str | None, seat: QuickStartState, agreed: bool
    ) -> AsyncIterator[Updates]:
        """A photo came: ask whether it shows somebody, and draw three drafts of what suits it."""
        if path is None:
            yield self._no_change()
            return
        owner, turn = self.access.visitor(request), self._begin_request(seat)
        try:
            file_id, notices = await run_in_threadpool(
                lambda: self.service.uploads.ingest_picture(read_upload(path), owner)
            )
        except StudioError as error:
            yield {**self._show_empty(), self.alert: text.render_error(error, "home-photo")}
            return
        seat.photo_id = file_id
        yield {
            **self._show_waiting(),
            self.consent: gr.update(visible=not self.service.files.is_example(file_id)),
            self.alert: text.render_notice(notices, "home-photo"),
        }
        async for updates in self._analyze_photo(owner, seat, agreed, turn):
            yield updates
        yield self._no_change()

    async def change_consent(self, request: gr.Request, seat: QuickStartState, agreed: bool) -> AsyncIterator[Updates]:
        """Consent was given, or taken back."""
        if seat.photo_id:
            turn = self._begin_request(seat)
            yield self._show_waiting()
            async for updates in self._analyze_photo(self.access.visitor(request), seat, agreed, turn):
                yield updates
        yield self._no_change()

    def clear_photo(self, seat: QuickStartState) -> Updates:
        """The photo was taken away."""
        self._begin_request(seat)
        seat.photo_id = ""
        return {**self._show_empty(), self.alert: ""}

    def _begin_request(self, seat: QuickStartState) -> int:
        """The newest photo wins: drafts of an older one are cancelled."""
        seat.request_number += 1
        seat.settings = []
        jobs, seat.job_ids = seat.job_ids, set()
        for job_id in jobs:
            self.service.jobs.cancel(job_id)
        return seat.request_number

    def _can_count_faces(self) -> bool:
        return any(tool.id == FACE_COUNT_TOOL for tool in self.service.tools)

    async def _analyze_photo(
        self, owner: str, seat: QuickStartState, agreed: bool, turn: int
    ) -> AsyncIterator[Updates]:
        """Faces are counted with consent and in examples; without, the photo is taken for one that shows nobody."""
        may = agreed or self.service.files.is_example(seat.photo_id)
        values = {"photo": seat.photo_id, "consent": agreed}
        counted = (
            await self._draw_draft(FACE_COUNT_TOOL, values, owner, seat) if may and self._can_count_faces() else None
        )
        if seat.request_number != turn:
            return
        seat.face_count = counted[1].receipt.get("faces", 0) if counted is not None else 0
        async for updates in self._draw_suggestion(owner, seat, agreed, turn, unasked=not may):
            yield updates

    async def _draw_suggestion(
        self, owner: str, seat: QuickStartState, agreed: bool, turn: int, *, unasked: bool
    ) -> AsyncIterator[Updates]:
        row = suggest_tool(seat.face_count, self.service.tools)
        if row is None:
            yield (
                {**self._hide_drafts(), self.stage: text.render_status(ASK_CONSENT_TEXT)}
                if unasked
                else self._show_empty()
            )
            return
        tool = self.service.find_tool(row.tool)
        sentence = NO_CONSENT_TEXT if unasked else row.sentence
        base = {self._picture_field(tool): (seat.photo_id,) if self._picture_field(tool) != "photo" else seat.photo_id}
        consent = {"consent": agreed} if "consent" in tool.params.model_fields else {}
        seat.tool_id = tool.id
        yield {**self._show_waiting(), self.stage: text.render_status(sentence, busy=True)}
        best: list[TriedDraft] = []
        tried, until = 0, float("inf")
        for look in spread_looks(tool.params):
            if len(best) == DRAFT_COUNT and (time.monotonic() > until or best[0].edge_visibility == float("inf")):
                break
            made = await self._draw_draft(tool.id, {**base, **consent, **look}, owner, seat)
            if made is None or seat.request_number != turn:
                break
            before, tried = best, tried + 1
            until = min(until, time.monotonic() + EXTRA_LOOKS_SECONDS)
            best = select_best_drafts([*best, TriedDraft(made[0], look, measure_edge_visibility(made[1]))])
            places = enumerate(zip(best, self.drafts, strict=False))
            moved: Any = {live: each.picture for n, (each, (live, _)) in places if before[n : n + 1] != [each]}
            if moved:
                yield moved
        if seat.request_number != turn:
            return
        seat.settings = [{**consent, **each.settings} for each in best]
        buttons = [button for _, button in self.drafts]
        named = [gr.update(value=self._name_look(tool, each.settings), interactive=True) for each in best]
        notes = [CHOSEN_TEXT.format(tried)] if tried > DRAFT_COUNT else []
        yield {self.stage: text.render_status(sentence, notes=notes), **dict(zip(buttons, named, strict=False))}

    async def _draw_draft(
        self, tool_id: str, values: dict[str, Any], owner: str, seat: QuickStartState
    ) -> tuple[bytes | None, Result] | None:
        """A draft's picture and its result; None where it cannot be made or was overtaken."""
        seen: bytes | None = None
        try:
            job_id, stream = await run_in_threadpool(self._submit_draft, tool_id, values, owner)
        except StudioError:  # the tool itself says why, beside its field, once it is opened
            return None
        seat.job_ids.add(job_id)
        try:
            async for event in stream:
                if isinstance(event, Result):
                    return seen, event
                seen = event.preview or seen if isinstance(event, Step) else seen
        except (JobCancelled, StudioError):
            return None
        finally:
            stream.close()
            self.service.jobs.cancel(job_id)  # a visitor who left waits for no draft
            seat.job_ids.discard(job_id)
        return None

    def _submit_draft(self, tool_id: str, values: dict[str, Any], owner: str) -> tuple[str, Any]:
        job = self.service.create_job(tool_id, values, owner, draft=True)
        return job.id, self.service.jobs.submit_and_watch(job)

    def _make_open_handler(
        self, number: int, tabs: gr.Tabs, incoming: Mapping[str, gr.State]
    ) -> Callable[[QuickStartState], Any]:
        def opened(seat: QuickStartState) -> dict[Any, Any]:
            if number >= len(seat.settings) or seat.tool_id not in incoming:
                return {tabs: gr.skip()}
            handed = TabHandoff(seat.photo_id, time.time(), seat.settings[number])
            return {tabs: gr.Tabs(selected=seat.tool_id), incoming[seat.tool_id]: handed}

        return opened

    # ------------------------------------------------------------ what is shown

    def _no_change(self) -> Updates:
        return {self.alert: gr.skip()}

    def _show_waiting(self) -> Any:
        blank: dict[Any, Any] = {}
        for live, button in self.drafts:
            blank |= {live: None, button: gr.update(value="Open", interactive=False)}
        stage = gr.update(value=text.render_status(WAITING_TEXT, busy=True), visible=True)
        return {**blank, self.row: gr.update(visible=True), self.stage: stage}

    def _hide_drafts(self) -> Any:
        return {self.row: gr.update(visible=False)}

    def _show_empty(self) -> Any:
        away = gr.update(visible=False)
        return {**self._hide_drafts(), self.photo: None, self.stage: away, self.consent: away}

    @staticmethod
    def _picture_field(tool: Tool) -> str:
        return tool.params.fields_of_kind("picture", "pictures")[0]

    @staticmethod
    def _name_look(tool: Tool, look: Mapping[str, str]) -> str:
        labels = {
            value: label for row in list_form_fields(tool.params) for label, value in row.options if row.name in look
        }
        return next((labels[value] for value in look.values()), tool.title)
