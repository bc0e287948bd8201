"""The listeners of a tool tab: which component calls which handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.batch.batch_service import BatchService
from pipelines.core.errors import BadInput
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.components.event_options import PRIVATE_EVENT
from ui.tool_tab import text
from ui.tool_tab.batch_row import BatchRowLine, NextRowFinder
from ui.tool_tab.form_controls import Control, list_change_events
from ui.tool_tab.job_follower import JobFollower
from ui.tool_tab.layout import CONSENT_FIELD, ToolTab, takes_picture
from ui.tool_tab.look_choice import find_tile_field
from ui.tool_tab.result_actions import ResultActions
from ui.tool_tab.state import GivenPhoto, TabHandoff, TabState
from ui.tool_tab.updates import TabView, Updates
from ui.tool_tab.upload_handlers import UploadHandlers

READING_POLL_SECONDS = 0.05


class ToolTabEvents:
    """All listeners of one tab, and the handlers that they call."""

    def __init__(self, tab: ToolTab, service: StudioService, access: AccessControl) -> None:
        self.tab = tab
        self.service = service
        self.access = access
        self.view = TabView(tab, service, access)
        self.follower = JobFollower(tab, service, access, self.view)
        self.uploads = UploadHandlers(self.follower)
        self.results = ResultActions(self.follower)
        self.draft_events: list[Any] = []
        """The events that end when a change of the form has been answered, by a draft where drafts are drawn."""
        self.generated: Any = None
        """The event after Generate, with the picture shown."""

    def offer_batch_rows(
        self,
        batches: BatchService,
        find_next_row_to_check: NextRowFinder,
        tabs: gr.Tabs,
        jobs_to_show: Mapping[str, gr.State],
    ) -> None:
        """Let a picture that was opened from a batch be replaced by a better one, and the next one be opened."""
        self.follower.row_line = BatchRowLine(
            self.tab, batches, self.access, find_next_row_to_check, tabs=tabs, jobs_to_show=jobs_to_show
        )
        self.follower.row_line.show_result = self.follower.show_found_result
        self.follower.row_line.wire()

    def wire(self) -> None:
        """Attach every listener. All are private to the page, and none waits for another."""
        tab = self.tab
        form_inputs = [tab.state, *tab.value_components()]
        self.generated = self.generate_on(tab.generate.click)
        self.update_actions_after(
            self.listen(tab.stop.click, self.follower.stop_job, [tab.state]), self.follower.show_stopped
        )
        self.listen(tab.result.variation.input, self.results.show_variation, [tab.state, tab.result.variation])
        history: Any = tab.result.history
        self.update_actions_after(self.listen(history.input, self.results.show_earlier, [tab.state, history]))
        compare_with: Any = tab.result.compare_with
        self.listen(
            compare_with.input,
            self.results.show_comparison,
            [tab.state, tab.result.variation, tab.result.compare_with],
        )
        for name, component in (("format", tab.result.file_format), ("size", tab.result.image_size)):
            choice: Any = component
            self.update_actions_after(
                self.listen(choice.input, self.results.make_remake_handler(name), [tab.state, component])
            )
        if tab.result.fill_again is not None:
            self.update_actions_after(
                self.listen(tab.result.fill_again.click, self.results.fill_place_again, [tab.state])
            )
        self.listen(tab.result.start_new.click, self.follower.clear_tab, [tab.state])
        self.listen(tab.result.reuse_settings.click, self.results.reuse_settings, form_inputs)
        self.listen(tab.result.save_look.click, self.results.save_look, [tab.result.look_name, *form_inputs])
        self.listen(tab.handoff.change, self.uploads.receive_handoff, [tab.handoff, *form_inputs])
        for control in tab.controls.values():
            self._wire_picture_field(control, form_inputs)
        self._wire_model_words()
        if self.follower.draws_drafts and (changes := self.list_form_changes()):
            # One listener for all fields: Gradio's page goes through every listener once for each component.
            self.draft_events.append(self.listen(partial(gr.on, changes), self.follower.draw_draft, form_inputs))
        if self.follower.draws_drafts and find_tile_field(tab.tool) is not None and takes_picture(tab.tool):
            due: Any = tab.result.tiles_due  # not in the draft's own event: what follows a draft would wait for them
            due.change(self.follower.draw_look_tiles, form_inputs, [tab.result.look_tiles], **PRIVATE_EVENT, queue=True)
        for written, chosen in tab.list_overrides():
            self._wire_override(written, chosen, form_inputs)
        for example, button in tab.examples:
            self.listen(button.click, self.uploads.make_example_handler(example.file_id), form_inputs)

    async def open_tab(
        self, request: gr.Request, given: GivenPhoto, home_visited_at: float | None, state: TabState, *values: Any
    ) -> AsyncIterator[Updates]:
        """Bring the photo that was given to the home tab meanwhile; else show the last job, when first opened."""
        given.note_visit(home_visited_at)
        state.home_photo = given
        if given.reading_count and self.uploads.takes_photo():
            yield self.uploads.show_reading(self.tab.photo_control, state)
            while given.reading_count:
                await asyncio.sleep(READING_POLL_SECONDS)
            if not given.photo_id and not state.job_id:  # it was none: Home says so
                yield {self.tab.result.status: text.render_status(text.ADD_PHOTO_TEXT)}
        if not self.uploads.awaits_photo(given, state, values):
            if self.tab.consent_box:  # Home may have been told meanwhile that nobody is in the photo
                photo_id = self.tab.read_form(values)[self.tab.photo_control.field.name]
                yield {**self.view.no_change(), **self.view.show_consent(state.asks_consent(photo_id))}
            opened = self.follower.resume_last_job(request, state)
        else:
            yield self.view.offer_saved_names(self.access.identify_visitor(request)) or self.view.no_change()
            consent = {CONSENT_FIELD: True} if given.has_consent else {}
            handoff = TabHandoff(given.photo_id, given.given_at, consent, is_new=True)
            opened = self.uploads.receive_handoff(request, handoff, state, *values)
        async for updates in opened:
            yield updates
        yield self.view.no_change()

    def generate_on(self, listener: Any, handler: Callable[..., Any] | None = None) -> Any:
        """Generate the full-size picture of the present form when `listener` reports; return the last event.

        `handler` takes the place of the follower's own.
        """
        form_inputs = [self.tab.state, *self.tab.value_components()]
        return self.update_actions_after(self.listen(listener, handler or self.follower.generate, form_inputs))

    def update_actions_after(self, event: Any, handler: Callable[..., Updates] | None = None) -> Any:
        """Let the page ask for the buttons and the picture once more when `event` has ended."""
        return event.then(
            handler or self.follower.update_actions,
            [self.tab.state, self.tab.result.variation],
            self.view.list_action_components(),
            **PRIVATE_EVENT,
            queue=False,
        )

    def list_form_changes(self) -> list[Any]:
        """List the events with which a visitor changes a field, without choices that words override."""
        overridden = [chosen for _, chosen in self.tab.list_overrides()]
        controls = [control for control in self.tab.controls.values() if control not in overridden]
        return [listener for control in controls for listener in list_change_events(control)]

    def _wire_override(self, written: Control, chosen: Control, form_inputs: list[Component]) -> None:
        """Let the last one count: a choice empties the words, then the draft is drawn; words unselect the choice."""
        options: dict[str, Any] = {**PRIVATE_EVENT, "queue": False}
        for choose in list_change_events(chosen):
            emptied = choose(lambda: "", [], [written.value], **options)  # pyrefly: ignore[not-callable]
            if self.follower.draws_drafts:
                emptied = self.listen(emptied.then, self.follower.draw_draft, form_inputs)
            self.draft_events.append(emptied)
        for write in list_change_events(written):
            write(  # pyrefly: ignore[not-callable]
                lambda words, choice: None if words.strip() else choice or chosen.field.start,
                [written.value, chosen.value],
                [chosen.value],
                **options,
            )

    def _wire_picture_field(self, control: Control, form_inputs: list[Component]) -> None:
        if control.field.kind == "picture" and not control.lock_reason:
            display: Any = control.display
            handler = self.uploads.make_upload_handler(control)
            self.draft_after_upload(
                control, self.listen(display.upload, handler, [control.display, *form_inputs]), form_inputs
            )
            self.listen(display.clear, self.uploads.make_clear_handler(control), form_inputs)

    def draft_after_upload(self, control: Control, upload: Any, form_inputs: list[Component]) -> None:
        """Draw the draft of `upload` anew if the form is another one by then."""
        if control is self.tab.photo_control and self.follower.draws_drafts:
            self.listen(upload.then, self.uploads.draft_with_late_changes, form_inputs)

    def _wire_model_words(self) -> None:
        """Show the written words when their field is entered, and leave them to the form if nothing was changed."""
        control = self.tab.controls.get("model_words")
        if control is None or control.lock_reason:
            return
        field: Any = control.value
        for listener, handler in ((field.focus, self.show_model_words), (field.blur, self.keep_model_words)):
            listener(handler, self.tab.value_components(), [field], **PRIVATE_EVENT, queue=False)

    def show_model_words(self, request: gr.Request, *values: Any) -> Any:
        """Fill the empty field with the words that are written from the form."""
        form = self.tab.read_form(values)
        return gr.skip() if form["model_words"] else self._write_model_words(request, form)

    def keep_model_words(self, request: gr.Request, *values: Any) -> Any:
        """Empty the field again where it has what would be written anyway, so that it follows the form."""
        form = self.tab.read_form(values)
        return "" if form["model_words"] == self._write_model_words(request, form) else gr.skip()

    def _write_model_words(self, request: gr.Request, form: dict[str, Any]) -> str:
        form = self.tab.leave_out_untouched(form)
        try:
            return self.service.write_model_words(self.tab.tool.id, form, self.access.identify_visitor(request))
        except BadInput:  # a brand kit that is not saved: Generate says so
            return ""

    def listen(
        self,
        listener: Any,
        handler: Callable[..., Any],
        inputs: list[Component],
        more_outputs: list[Component] | None = None,
    ) -> Any:
        """Attach `handler`, which may change the whole tab and `more_outputs`; return the event for `.then`."""
        return listener(
            handler,
            inputs,
            [*self.tab.output_components(), *(more_outputs or [])],
            trigger_mode="multiple",
            **PRIVATE_EVENT,
            queue=True,
        )
