"""Quick start on the home tab: a dropped photo becomes three drafts, each of which opens its tool."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.core.geometry import UNCLEAR_UNCERTAINTY
from pipelines.core.job import Job, Result
from pipelines.core.tools import Tool
from pipelines.service.studio_service import StudioService
from pipelines.service.uploads import Example
from ui.api.auth.access import AccessControl
from ui.components.event_options import PRIVATE_EVENT
from ui.components.pictures import build_live_picture, build_photo_upload, encode_page_jpeg, read_upload
from ui.tool_tab import text
from ui.tool_tab.form_controls import list_form_fields
from ui.tool_tab.layout import EXAMPLES_TEXT
from ui.tool_tab.look_choice import (
    EXTRA_LOOKS_SECONDS,
    LOOK_COUNT,
    TriedDraft,
    find_tile_field,
    is_rough,
    measure_edge_visibility,
    select_least_visible,
    spread_indices,
    wait_for_draft,
)
from ui.tool_tab.state import GivenPhoto, TabHandoff
from ui.tool_tab.updates import Updates

DRAFT_COUNT = LOOK_COUNT
CHOSEN_TEXT = "Of {} looks tried: the usual one, and those in which the edge of the cut-out is least visible."
FACE_COUNT_TOOL = "background"
"""The tool whose receipt has the number of faces; it detects faces only with consent."""
CONSENT_LABEL = "Is somebody in the photo?"
UNSURE_HELP = "Not sure of their age, or that they agree? The other tools below need no answer."
PERMISSION, NOBODY, TO_ERASE = "permission", "nobody", "erase"
CONSENT_CHOICES = (
    ("Yes: me, or somebody who agreed (18 or over)", PERMISSION),
    ("No, or only people far away", NOBODY),
    ("Somebody I want to take out", TO_ERASE),
)
ERASE_TOOL = "retouch"
"""The tool that opens at once with a photo of somebody who is to go."""
DROP_LABEL = "Drop a photo here, paste it, or click to choose"
DRAWING_LABEL, OPEN_LABEL = "Making a look", "Go on with: {}"
READING_TEXT, WAITING_TEXT = "Reading your photo …", "Looking at your photo"
OTHER_TOOLS: tuple[tuple[str, str], ...] = (
    (ERASE_TOOL, "Erase a thing"),
    ("kit", "Posts with a headline"),
    ("cutout", "Remove the background"),
    ("upscale", "Enlarge it"),
)
"""What else is often wanted of a photo: the tool, which opens with it, and what it is called there."""
NOTE_VISIT_JS = "(at) => at === null ? 0 : Date.now()"
"""The first visit is the opening of the page, which gives no photo back."""
OTHER_TOOLS_TEXT = "This photo in another tool:"
WHOLE_PHOTO_TOOLS = (("style", "Turn it into a painting"), ("expand", "Make it wider"))
"""What cuts nothing out, offered beside a cut-out that is probably wrong; others of that kind are `OTHER_TOOLS`."""
WHOLE_PHOTO_TEXT = "The whole photo, without a cut-out:"
ONE_THING = ("product", "Product photo of one thing")
"""Offered too of somebody without a face: a bag on a back may be meant."""
SCENERY_TOOLS: tuple[tuple[str, str], ...] = (*OTHER_TOOLS, ("expand", "Make it wider"), ONE_THING)
"""The same where no subject stands out. None of those that are there already moves."""
ONE_OF_SEVERAL = ("headshot", "Headshot of one person")
"""Offered too of a photo of several people."""
OPEN_LOOK_TEXT = "Press a picture, then Repair."


@dataclass(frozen=True)
class Suggestion:
    """The tool that is suggested for a photo with a number of faces."""

    tool: str
    min_faces: int
    max_faces: int
    sentence: str
    with_people: bool = False


SUGGESTIONS: tuple[Suggestion, ...] = (
    Suggestion("headshot", 1, 1, "One person. Three headshots to start from:"),
    Suggestion("business", 2, 99, "Several people. Business photos set everybody alike, one portrait each:"),
    Suggestion("headshot", 2, 99, "Several people. Three headshots of the one in front:"),
    # Somebody who is seen from behind or from the side: the visitor has said that a person is in it.
    Suggestion(
        "background",
        0,
        0,
        "No face was found, and a headshot needs one from the front. Three backgrounds to start from:",
        with_people=True,
    ),
    Suggestion("product", 0, 0, "Nobody in it. Three product photos to start from:"),
)

SCENERY_SUGGESTION = Suggestion("style", 0, 99, "No single subject stands out. Three styles of the whole photo:")
"""For a landscape or a pattern, of which the suggested tool finds nothing to cut out, or finds only at first sight."""


@dataclass
class QuickStartState(GivenPhoto):
    """Session state of the quick start: the photo, its drafts, and the number of the newest request.

    `is_rough`: the last draft was cut out by the small net alone. `doubt` is what its cut-out is told with, as HTML.
    `has_no_subject`: the last draft found nothing to cut out.
    """

    face_count: int = 0
    tool_id: str = ""
    settings: list[dict[str, Any]] = field(default_factory=list)
    request_number: int = 0
    job_ids: set[str] = field(default_factory=set)
    is_rough: bool = False
    doubt: str = ""
    has_no_subject: bool = False


def suggest_tool(face_count: int, has_consent: bool, tools: Sequence[Tool]) -> Suggestion | None:
    """Return the first suggestion for this number of faces whose tool is available."""
    tool_ids = {tool.id for tool in tools}
    rows = [row for row in SUGGESTIONS if row.tool in tool_ids and (has_consent or not row.with_people)]
    return next((row for row in rows if row.min_faces <= face_count <= row.max_faces), None)


def _to_tried_draft(draft: tuple[bytes | None, Result], look: Mapping[str, str]) -> TriedDraft:
    picture, result = draft
    return TriedDraft(picture, look, measure_edge_visibility(result), result.receipt["seed"])


def render_other_tools(
    tools: Sequence[Tool], suggestion: Suggestion | None = None, *, without: Collection[str] = ()
) -> str:
    """Render links to tools that open with the photo, beside the three drafts of `suggestion`, `without` some ids."""
    offered = SCENERY_TOOLS if suggestion is SCENERY_SUGGESTION else OTHER_TOOLS
    if suggestion and suggestion.tool == "business":
        offered = (*OTHER_TOOLS, ONE_OF_SEVERAL)
    elif suggestion and suggestion.with_people:
        offered = (*OTHER_TOOLS, ONE_THING)
    return _render_tool_links([tool for tool in tools if tool.id not in without], offered, OTHER_TOOLS_TEXT)


def _render_tool_links(tools: Sequence[Tool], offered: Sequence[tuple[str, str]], sentence: str) -> str:
    ids = {tool.id for tool in tools}
    rows = "".join(f'<li><a href="#{tool}">{title}</a></li>' for tool, title in offered if tool in ids)
    return f'<div class="dbx-also"><p>{sentence}</p><ul>{rows}</ul></div>' if rows else ""


def render_draft_doubt(receipt: Mapping[str, Any], tools: Sequence[Tool]) -> str:
    """Render what may be wrong with the cut-out in all drafts, and where it is mended; "" where nothing is.

    Where it is probably wrong, tools that cut nothing out are offered too.
    """
    doubt = text.describe_doubt(receipt)
    css_class = "dbx-draft-doubt small" if text.is_small_doubt(receipt) else "dbx-draft-doubt"
    if not doubt:
        return ""
    is_guess = (receipt.get("cutout_uncertainty") or 0.0) > UNCLEAR_UNCERTAINTY
    others = _render_tool_links(tools, WHOLE_PHOTO_TOOLS, WHOLE_PHOTO_TEXT) if is_guess else ""
    return f'<p class="{css_class}"><span>{escape(doubt)}</span> <span>{OPEN_LOOK_TEXT}</span></p>{others}'


def spread_looks(tool: Tool) -> list[dict[str, str]]:
    """List every option of the form's first choice with tiles; the first `DRAFT_COUNT` are spread over all options."""
    field = find_tile_field(tool)
    if field is None:
        return [{}]
    return [{field.name: field.options[n][1]} for n in spread_indices(len(field.options))]


def select_best_drafts(drafts: Sequence[TriedDraft]) -> list[TriedDraft]:
    """Select the first draft, whose look most people come for, and those with the least visible edge, best first.

    `DRAFT_COUNT` in all; of equal ones the earlier, and of those that look alike one.
    """
    first, *others = drafts
    return [first, *select_least_visible(others, DRAFT_COUNT - 1, beside=[first])]


class QuickStart:
    """Components and listeners for photo, consent and drafts; built inside the open Gradio layout."""

    def __init__(self, service: StudioService, access: AccessControl, header: str) -> None:
        self.service = service
        self.access = access
        self.state = gr.State(QuickStartState())
        self.visited_at = gr.Number(visible=False)
        """When the visitor last came back here, written by the browser: a request for it would slow the first page."""
        with gr.Row(elem_classes=["dbx-start"]):
            with gr.Column(scale=6, min_width=320):
                gr.HTML(header)
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
                self.photo = build_photo_upload("Your photo", DROP_LABEL, "home-photo")
                can_erase = any(tool.id == ERASE_TOOL for tool in service.tools)
                self.consent = gr.Radio(
                    [each for each in CONSENT_CHOICES if each[1] != TO_ERASE or can_erase],
                    label=CONSENT_LABEL,
                    info=UNSURE_HELP,
                    visible=False,
                    elem_id="home-consent",
                    elem_classes=["dbx-segments"],
                )
                with gr.Row(elem_classes=["dbx-examples"]) as self.example_row:
                    gr.HTML(f"<p>{EXAMPLES_TEXT}</p>", elem_classes=["dbx-hint"])
                    self.examples = [
                        (example, self._build_example_button(example)) for example in service.uploads.list_examples()
                    ]
                self.alerts = gr.HTML("", elem_classes=["dbx-alerts"])
        # Above what comes and goes: nothing may move under a finger, and who wants another tool need not wait.
        self.other_tools = gr.HTML(render_other_tools(service.tools), elem_id="home-also", visible=False)
        self.status = gr.HTML("", elem_classes=["dbx-stage"], elem_id="home-stage", visible=False)
        with gr.Row(elem_classes=["dbx-drafts"], elem_id="home-drafts", visible=False) as self.draft_row:
            self.drafts = [self._build_draft_slot(n) for n in range(1, DRAFT_COUNT + 1)]
        # Below what is pressed: it comes late.
        self.doubt = gr.HTML("", elem_id="home-doubt", visible=False)

    def _build_draft_slot(self, number: int) -> tuple[gr.Image, gr.Button]:
        with gr.Column(min_width=200):
            picture = build_live_picture(f"Draft {number}", f"home-draft-{number}", "dbx-draft", fullscreen=False)
            return picture, gr.Button(DRAWING_LABEL, interactive=False, elem_id=f"home-open-{number}")

    @staticmethod
    def _build_example_button(example: Example) -> gr.Button:
        return gr.Button(example.title, size="sm", min_width=72, elem_id=f"home-example-{example.name}")

    def wire(self, home_tab: gr.Tab, tabs: gr.Tabs, handoffs: Mapping[str, gr.State]) -> None:
        """Attach the listeners. `handoffs` are the tools' hand-off states, by tool id."""
        outputs = self._list_outputs()
        photo: Any = self.photo
        consent: Any = self.consent
        options: dict[str, Any] = {**PRIVATE_EVENT, "trigger_mode": "multiple"}
        photo.upload(self.receive_photo, [self.photo, self.state], outputs, **options)
        for example, button in self.examples:
            button.click(self._make_example_handler(example.file_id), [self.state], outputs, **options)
        photo.clear(self.clear_photo, [self.state], outputs, **options)
        consent.input(self.change_consent, [self.state, self.consent], outputs, **options)
        home_tab.select(None, [self.visited_at], [self.visited_at], js=NOTE_VISIT_JS, api_visibility="private")
        suggestions = (*SUGGESTIONS, SCENERY_SUGGESTION)
        targets = {row.tool: handoffs[row.tool] for row in suggestions if row.tool in handoffs}
        if ERASE_TOOL in handoffs:
            handoff = handoffs[ERASE_TOOL]
            erase = self._make_erase_handler(tabs, handoff)
            consent.input(erase, [self.state, self.consent], [tabs, handoff], **options)
        for number, (_, button) in enumerate(self.drafts):
            button.click(
                self._make_open_handler(number, tabs, targets), [self.state], [tabs, *targets.values()], **options
            )

    def _list_outputs(self) -> list[Any]:
        components = [component for pair in self.drafts for component in pair]
        return [
            self.photo,
            self.consent,
            self.example_row,
            self.alerts,
            self.status,
            self.draft_row,
            self.other_tools,
            self.doubt,
            *components,
        ]

    # ------------------------------------------------------------ handlers

    async def receive_photo(
        self, request: gr.Request, path: str | None, state: QuickStartState
    ) -> AsyncIterator[Updates]:
        """Ingest a photo and ask whether somebody is in it; an example is drafted at once."""
        if path is None:
            yield self._no_change()
            return
        owner, number = self.access.identify_visitor(request), self._begin_request(state)
        state.photo_id = ""  # no tool is to open with the one before
        state.reading_count += 1
        told = text.render_notice((READING_TEXT,), "home-photo")
        yield {**self._hide_drafts(), self.alerts: told, self.consent: gr.update(value=None, interactive=False)}
        try:
            file_id, notices = await run_in_threadpool(
                lambda: self.service.uploads.ingest_picture(read_upload(path), owner, path)
            )
        except StudioError as error:
            yield {**self._show_empty(), self.alerts: text.render_error(error, "home-photo")}
            return
        finally:
            state.reading_count -= 1
        if state.request_number != number:  # it was taken away meanwhile, or another one came
            yield self._no_change()
            return
        self._remember_photo(state, file_id)
        is_example = self.service.files.is_example(file_id)
        # The upload itself is deleted, and a slow page may not have fetched it yet.
        picture = await run_in_threadpool(lambda: encode_page_jpeg(self.service.files.open_image(file_id)))
        yield {
            **({self.photo: picture} if state.request_number == number else {}),
            **(self._show_waiting() if is_example else self._hide_drafts()),
            self.consent: gr.update(visible=not is_example, value=None, interactive=True),
            **self._show_examples(is_shown=is_example),
            self.other_tools: gr.update(value=render_other_tools(self.service.tools), visible=True),
            self.alerts: text.render_notice(notices, "home-photo"),
        }
        if is_example:
            async for updates in self._analyze_photo(owner, state, False, number):
                yield updates
        yield self._no_change()

    def _make_example_handler(self, file_id: str) -> Callable[..., AsyncIterator[Updates]]:
        async def use_example(request: gr.Request, state: QuickStartState) -> AsyncIterator[Updates]:
            number = self._begin_request(state)
            self._remember_photo(state, file_id)
            picture = await run_in_threadpool(lambda: encode_page_jpeg(self.service.files.open_image(file_id)))
            hidden = gr.update(visible=False)
            shown = gr.update(value=render_other_tools(self.service.tools), visible=True)
            yield {
                **self._show_waiting(),
                self.photo: picture,
                self.consent: hidden,
                self.alerts: "",
                self.other_tools: shown,
            }
            async for updates in self._analyze_photo(self.access.identify_visitor(request), state, False, number):
                yield updates
            yield self._no_change()

        return use_example

    async def change_consent(
        self, request: gr.Request, state: QuickStartState, answer: str | None
    ) -> AsyncIterator[Updates]:
        """Draw drafts once the visitor has said whether somebody is in the photo."""
        if state.photo_id and answer:
            number, owner = self._begin_request(state), self.access.identify_visitor(request)
            state.has_consent, state.is_without_people = answer == PERMISSION, answer == NOBODY
            if answer == TO_ERASE:
                yield {**self._hide_drafts(), self.alerts: ""}
                return
            yield {**self._show_waiting(), self.alerts: ""}
            async for updates in self._analyze_photo(owner, state, state.has_consent, number):
                yield updates
        yield self._no_change()

    async def clear_photo(self, state: QuickStartState) -> Updates:
        """Forget the photo and hide the drafts. The display is no output: the next photo may be there by now."""
        self._begin_request(state)
        state.photo_id = ""
        shown = {**self._show_empty(), self.alerts: ""}
        return {component: new for component, new in shown.items() if component is not self.photo}

    @staticmethod
    def _remember_photo(state: QuickStartState, file_id: str) -> None:
        """Keep the photo, also for the tools that are opened with it."""
        state.photo_id, state.given_at, state.awaits_tool = file_id, time.monotonic(), True
        state.has_consent = state.is_without_people = False

    def _begin_request(self, state: QuickStartState) -> int:
        """Cancel the drafts of older requests, and return the number of the new one."""
        state.request_number += 1
        state.settings = []
        jobs, state.job_ids = state.job_ids, set()
        for job_id in jobs:
            self.service.jobs.cancel(job_id)
        return state.request_number

    def _can_count_faces(self) -> bool:
        return any(tool.id == FACE_COUNT_TOOL for tool in self.service.tools)

    async def _analyze_photo(
        self, owner: str, state: QuickStartState, has_consent: bool, number: int
    ) -> AsyncIterator[Updates]:
        """Count faces, only with consent or in an example, then draw drafts; without consent the count is 0."""
        may_count_faces = has_consent or self.service.files.is_example(state.photo_id)
        values = {"photo": state.photo_id, "consent": has_consent}
        draft = (
            await self._draw_draft(FACE_COUNT_TOOL, values, owner, state)
            if may_count_faces and self._can_count_faces()
            else None
        )
        if state.request_number != number:
            return
        state.face_count = draft[1].receipt.get("faces", 0) if isinstance(draft, tuple) else 0
        suggestion = suggest_tool(state.face_count, has_consent, self.service.tools)
        async for updates in self._draw_suggestion(owner, state, has_consent, number, suggestion):
            yield updates

    async def _draw_suggestion(
        self, owner: str, state: QuickStartState, has_consent: bool, number: int, suggestion: Suggestion | None
    ) -> AsyncIterator[Updates]:
        """Draw three drafts of the suggested tool; of the whole photo where that tool finds no subject in it."""
        if suggestion is None:
            yield self._show_empty()
            return
        tool = self.service.find_tool(suggestion.tool)
        sentence = suggestion.sentence
        photo = {
            self._picture_field(tool): (state.photo_id,) if self._picture_field(tool) != "photo" else state.photo_id
        }
        consent = {"consent": has_consent} if "consent" in tool.params.model_fields else {}
        state.tool_id = tool.id
        others = gr.update(value=render_other_tools(self.service.tools, suggestion))
        yield {**self._show_waiting(), self.status: text.render_status(sentence, busy=True), self.other_tools: others}
        best: list[TriedDraft] = []
        refusal: StudioError | None = None
        tried_count, deadline = 0, float("inf")
        for look in spread_looks(tool):
            if len(best) == DRAFT_COUNT and (time.monotonic() > deadline or best[1].edge_visibility == float("inf")):
                break
            draft = await self._draw_draft(tool.id, {**photo, **consent, **look}, owner, state)
            if not isinstance(draft, tuple) or state.request_number != number:
                refusal = draft if isinstance(draft, StudioError) else None
                break
            previous, tried_count = best, tried_count + 1
            deadline = min(deadline, time.monotonic() + EXTRA_LOOKS_SECONDS)
            best = select_best_drafts([*best, _to_tried_draft(draft, look)])
            places = enumerate(zip(best, self.drafts, strict=False))
            changed: Any = {live: each.picture for n, (each, (live, _)) in places if previous[n : n + 1] != [each]}
            if changed:
                yield changed
        if state.request_number != number:
            return
        if not best and state.has_no_subject and self._can_show_scenery(suggestion):
            async for updates in self._draw_suggestion(owner, state, has_consent, number, SCENERY_SUGGESTION):
                yield updates
            return
        if not best:  # such as a face that is too small: no empty boxes without a word
            alert = text.render_error(refusal, "home-photo") if refusal is not None else ""
            without = (refusal.useless_tool,) if refusal is not None else ()
            others = gr.update(value=render_other_tools(self.service.tools, suggestion, without=without))
            yield {**self._hide_drafts(), self.alerts: alert, self.other_tools: others}
            return
        state.settings = [{**consent, **each.settings} for each in best]
        buttons = [button for _, button in self.drafts]
        names = [OPEN_LABEL.format(self._name_look(tool, each.settings)) for each in best]
        labels = [gr.update(value=name, interactive=True) for name in names]
        labels += [gr.update(visible=False)] * (DRAFT_COUNT - len(best))  # no more drafts come: nothing is to be opened
        notes = [CHOSEN_TEXT.format(tried_count)] if tried_count > DRAFT_COUNT else []
        status = text.render_status(sentence, notes=notes)
        mark = text.FIRST_LOOK_MARK if state.is_rough else ""
        shown: dict[Component, Any] = {self.status: status + mark, **dict(zip(buttons, labels, strict=False))}
        yield shown if state.is_rough else {**shown, self.doubt: self._show_doubt(state)}
        if state.is_rough:
            values = {**photo, **consent}
            async for updates in self._draw_closer_drafts(suggestion, values, best, owner, state):
                yield updates
            if state.request_number != number:
                return
            if state.has_no_subject and self._can_show_scenery(suggestion):
                async for updates in self._draw_suggestion(owner, state, has_consent, number, SCENERY_SUGGESTION):
                    yield updates
                return
            yield {self.status: status, self.doubt: self._show_doubt(state)}

    def _can_show_scenery(self, suggestion: Suggestion) -> bool:
        """Whether looks of the whole photo can be shown in place of those of `suggestion`."""
        has_styles = any(each.id == SCENERY_SUGGESTION.tool for each in self.service.tools)
        return has_styles and suggestion is not SCENERY_SUGGESTION

    async def _draw_closer_drafts(
        self,
        suggestion: Suggestion,
        values: dict[str, Any],
        drafts: Sequence[TriedDraft],
        owner: str,
        state: QuickStartState,
    ) -> AsyncIterator[dict[Any, Any]]:
        """Draw drafts again whose cut-out only the small net has seen, unless there is a newer request.

        No more of them once one shows that there is no subject.
        """
        number = state.request_number
        for each, (live, _) in zip(drafts, self.drafts, strict=False):
            form = {**values, **each.settings, "seed": each.seed}
            closer = await self._draw_draft(suggestion.tool, form, owner, state, closer=True)
            if state.request_number != number or (state.has_no_subject and self._can_show_scenery(suggestion)):
                return
            if isinstance(closer, tuple):
                yield {live: closer[0]}

    async def _draw_draft(
        self, tool_id: str, values: dict[str, Any], owner: str, state: QuickStartState, *, closer: bool = False
    ) -> tuple[bytes | None, Result] | StudioError | None:
        """Return a draft's picture and result; why it cannot be made; None if it was cancelled."""
        try:
            job, stream = await run_in_threadpool(self._submit_draft, tool_id, values, owner, closer)
        except StudioError as error:
            return error
        state.job_ids.add(job.id)
        try:
            drawn = await wait_for_draft(stream)
        finally:
            self.service.jobs.cancel(job.id)  # nobody waits for it if the visitor has left
            state.job_ids.discard(job.id)
        state.has_no_subject = isinstance(drawn, StudioError) and drawn.code == "no_subject"
        if isinstance(drawn, tuple):
            state.is_rough, state.doubt = (
                is_rough(job, drawn[1]),
                render_draft_doubt(drawn[1].receipt, self.service.tools),
            )
        return drawn

    def _submit_draft(self, tool_id: str, values: dict[str, Any], owner: str, closer: bool) -> tuple[Job, Any]:
        job = self.service.create_job(tool_id, values, owner, draft=True).model_copy(update={"closer": closer})
        return job, self.service.jobs.submit_and_watch(job)

    @staticmethod
    def _make_erase_handler(tabs: gr.Tabs, handoff: gr.State) -> Callable[..., dict[Any, Any]]:
        def open_eraser(state: QuickStartState, answer: str | None) -> dict[Any, Any]:
            if not state.photo_id or answer != TO_ERASE:
                return {tabs: gr.skip()}
            return {
                tabs: gr.Tabs(selected=ERASE_TOOL),
                handoff: TabHandoff(state.photo_id, time.time(), {}, is_new=True),
            }

        return open_eraser

    def _make_open_handler(
        self, number: int, tabs: gr.Tabs, handoffs: Mapping[str, gr.State]
    ) -> Callable[[QuickStartState], Any]:
        def open_draft(state: QuickStartState) -> dict[Any, Any]:
            if number >= len(state.settings) or state.tool_id not in handoffs:
                return {tabs: gr.skip()}
            handoff = TabHandoff(state.photo_id, time.time(), state.settings[number], is_new=True)
            return {tabs: gr.Tabs(selected=state.tool_id), handoffs[state.tool_id]: handoff}

        return open_draft

    # ------------------------------------------------------------ updates

    def _no_change(self) -> Updates:
        return {self.alerts: gr.skip()}

    def _show_waiting(self) -> Any:
        blank: dict[Any, Any] = {}
        for picture, button in self.drafts:
            blank |= {picture: None, button: gr.update(value=DRAWING_LABEL, interactive=False, visible=True)}
        status = gr.update(value=text.render_status(WAITING_TEXT, busy=True), visible=True)
        hidden = gr.update(visible=False)
        return {**blank, self.draft_row: gr.update(visible=True), self.status: status, self.doubt: hidden}

    @staticmethod
    def _show_doubt(state: QuickStartState) -> Any:
        return gr.update(value=state.doubt, visible=bool(state.doubt))

    def _show_examples(self, *, is_shown: bool) -> Any:
        return {self.example_row: gr.update(visible=is_shown)}

    def _hide_drafts(self) -> Any:
        return dict.fromkeys((self.draft_row, self.status, self.doubt), gr.update(visible=False))

    def _show_empty(self) -> Any:
        hidden = gr.update(visible=False)
        shown = self._show_examples(is_shown=True)
        return {**self._hide_drafts(), **shown, self.photo: None, self.consent: hidden, self.other_tools: hidden}

    @staticmethod
    def _picture_field(tool: Tool) -> str:
        return tool.params.fields_of_kind("picture", "pictures")[0]

    @staticmethod
    def _name_look(tool: Tool, look: Mapping[str, str]) -> str:
        labels = {
            value: label for row in list_form_fields(tool.params) for label, value in row.options if row.name in look
        }
        return next((labels[value] for value in look.values()), tool.title)
