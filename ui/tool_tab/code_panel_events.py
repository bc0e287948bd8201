"""Copy as code: the form as it stands, written anew while the panel is open; orders nothing and knows no tool."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ui.api.auth.access import Access
from ui.api.code_snippets import asked, way
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.updates import Updates, page_address


class CodePanelEvents:
    """The panel's listeners."""

    def __init__(self, events: ToolTabEvents, access: Access) -> None:
        self.panel = events.tab.code_panel
        self.events = events
        self.access = access

    def wire(self) -> None:
        """Write when it is opened, when another way is chosen, and when the form has changed while it is open."""
        panel, tab = self.panel, self.events.tab
        quiet: dict[str, Any] = {
            "api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden", "queue": False,
        }  # fmt: skip
        form = [panel.variant, *tab.value_components()]
        fold: Any = panel.accordion
        fold.expand(self.open_panel, form, [panel.is_open, panel.code], **quiet)
        fold.collapse(lambda: False, [], [panel.is_open], **quiet)
        which: Any = panel.variant
        held: list[Any] = [made.value for made in tab.controls.values() if made.value is not made.display]
        # Where a change draws a draft, the code comes after it: each listener is looked through for each component.
        moved = [] if self.events.draft_event else self.events.list_form_changes()
        gr.on([which.input, *(state.change for state in held), *moved], self.update_code, [panel.is_open, *form], [panel.code],
              trigger_mode="always_last", **quiet)  # fmt: skip
        if self.events.draft_event:
            self.events.draft_event.then(self.update_code, [panel.is_open, *form], [panel.code], **quiet)

    def open_panel(self, request: gr.Request, which: str, *values: Any) -> Updates:
        """The panel is open now, with the code in it."""
        return {self.panel.is_open: True, self.panel.code: self._render_code(request, which, values)}

    def update_code(self, request: gr.Request, opened: bool, which: str, *values: Any) -> Any:
        """The code for the form as it stands, where somebody looks."""
        return self._render_code(request, which, values) if opened else gr.skip()

    def _render_code(self, request: gr.Request, which: str, values: tuple[Any, ...]) -> Any:
        files = self.events.service.files
        what = asked(self.events.tab.tool, self.events.read_form(values), files.is_example)
        chosen = way(which)
        return gr.update(value=chosen.write(what, self.access.door(page_address(request))), language=chosen.language)
