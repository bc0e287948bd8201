"""Copy as code: the form as it stands, written anew while the panel is open; orders nothing and knows no tool."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ui.api.auth.access import Access
from ui.api.code_snippets import asked, way
from ui.tool_tab.events import Events
from ui.tool_tab.updates import Updates, address


class CodeEvents:
    """The panel's listeners."""

    def __init__(self, events: Events, access: Access) -> None:
        self.panel = events.tab.panel
        self.events = events
        self.access = access

    def wire(self) -> None:
        """Write when it is opened, when another way is chosen, and when the form has changed while it is open."""
        panel, tab = self.panel, self.events.tab
        quiet: dict[str, Any] = {
            "api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden", "queue": False,
        }  # fmt: skip
        form = [panel.which, *tab.values()]
        fold: Any = panel.fold
        fold.expand(self.open, form, [panel.opened, panel.code], **quiet)
        fold.collapse(lambda: False, [], [panel.opened], **quiet)
        which: Any = panel.which
        held: list[Any] = [made.value for made in tab.controls.values() if made.value is not made.shown]
        # Where a change draws a draft, the code comes after it: each listener is looked through for each component.
        moved = [] if self.events.drafting else self.events.moved()
        gr.on([which.input, *(state.change for state in held), *moved], self.write, [panel.opened, *form], [panel.code],
              trigger_mode="always_last", **quiet)  # fmt: skip
        if self.events.drafting:
            self.events.drafting.then(self.write, [panel.opened, *form], [panel.code], **quiet)

    def open(self, request: gr.Request, which: str, *values: Any) -> Updates:
        """The panel is open now, with the code in it."""
        return {self.panel.opened: True, self.panel.code: self._written(request, which, values)}

    def write(self, request: gr.Request, opened: bool, which: str, *values: Any) -> Any:
        """The code for the form as it stands, where somebody looks."""
        return self._written(request, which, values) if opened else gr.skip()

    def _written(self, request: gr.Request, which: str, values: tuple[Any, ...]) -> Any:
        files = self.events.desk.files
        what = asked(self.events.tab.tool, self.events.form(values), files.is_example)
        chosen = way(which)
        return gr.update(value=chosen.write(what, self.access.door(address(request))), language=chosen.language)
