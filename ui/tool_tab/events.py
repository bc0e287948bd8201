"""The listeners of a tool tab: which component calls which handler."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.tool_tab.form_controls import Control, list_change_events
from ui.tool_tab.layout import ToolTab
from ui.tool_tab.updates import TabView, Updates


class ToolTabEvents:
    """All listeners of one tab, and the handlers that they call."""

    def __init__(self, tab: ToolTab, service: StudioService, access: Access) -> None:
        self.tab = tab
        self.service = service
        self.access = access
        self.view = TabView(tab, service, access)
        self.follower = JobFollower(tab, service, access, self.view)
        self.uploads = UploadHandlers(self.follower)
        self.results = ResultActions(self.follower)
        self.draft_event: Any = None

    def wire(self) -> None:
        """Attach every listener. All are private to the page and none waits for another."""
        tab = self.tab
        everything = [tab.state, *tab.value_components()]
        self._update_buttons_after(self.listen(tab.generate.click, self.follower.generate, everything))
        self._update_buttons_after(self.listen(tab.stop.click, self.follower.stop_job, [tab.state]), self.show_stopped)
        self.listen(tab.result.variation.input, self.results.show_variation, [tab.state, tab.result.variation])
        versus: Any = tab.result.compare_with
        self.listen(
            versus.input, self.results.compare_variations, [tab.state, tab.result.variation, tab.result.compare_with]
        )
        for name, part in (("format", tab.result.file_format), ("size", tab.result.image_size)):
            kind: Any = part
            self._update_buttons_after(
                self.listen(kind.input, self.results.make_remake_handler(name), [tab.state, part])
            )
        self.listen(tab.result.reuse_settings.click, self.results.reuse_settings, [tab.state])
        self.listen(tab.handoff.change, self.uploads.receive_handoff, [tab.handoff, *everything])
        for made in tab.controls.values():
            self._wire_picture_field(made, everything)
        if self.follower.draws_drafts and (moved := self.list_form_changes()):
            # One listener for all: the page carries, and looks through, every listener once for each component.
            self.draft_event = self.listen(partial(gr.on, moved), self.follower.draw_draft, everything)
        for example, button in tab.examples:
            self.listen(button.click, self.uploads.make_example_handler(example.file_id), everything)

    def _update_buttons_after(self, told: Any, settled: Callable[..., Updates] | None = None) -> None:
        told.then(
            settled or self.follower.update_buttons, [self.tab.state], self.view.list_action_components(), api_visibility="private",
            concurrency_limit=None, show_progress="hidden", queue=False,
        )  # fmt: skip

    def list_form_changes(self) -> list[Any]:
        """The events by which a visitor has changed any field."""
        return [listener for made in self.tab.controls.values() for listener in list_change_events(made)]

    def _wire_picture_field(self, made: Control, everything: list[Component]) -> None:
        if made.field.kind == "picture" and not made.lock_reason:
            shown: Any = made.display
            self.listen(shown.upload, self.uploads.make_upload_handler(made), [made.display, *everything])
            self.listen(shown.clear, self.uploads.make_clear_handler(made), everything)

    def listen(
        self, listener: Any, handler: Callable[..., Any], inputs: list[Component], more: list[Component] | None = None
    ) -> Any:
        """Attach `handler`, which may change everything of this tab and `more`; returns what `.then` hangs on."""
        return listener(
            handler, inputs, [*self.tab.output_components(), *(more or [])], api_visibility="private", concurrency_limit=None,
            trigger_mode="multiple", show_progress="hidden", queue=True,
        )  # fmt: skip
