"""The panel "Code for the API" under every Generate button: the present form as runnable code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from pipelines.core.tools import Tool
from ui.api.auth.access import AccessControl
from ui.api.documentation.code_snippets import SNIPPET_LANGUAGES, find_snippet_language, make_snippet_request
from ui.components.event_options import PRIVATE_EVENT
from ui.components.page_address import page_address

if TYPE_CHECKING:
    from ui.tool_tab.events import ToolTabEvents

TITLE = "Code for the API"
HELP_TEXT = "The settings above as code that runs as it is. Your pictures appear as files next to it."


class CodePanel:
    """Components of the panel, built inside the open Gradio layout."""

    def __init__(self, tool: Tool) -> None:
        self.is_open = gr.State(False)
        classes, elem_id = ["dbx-more"], f"{tool.id}-as-code"
        with gr.Accordion(TITLE, open=False, elem_classes=classes, elem_id=elem_id) as self.accordion:
            choices: list[Any] = [(language.title, language.id) for language in SNIPPET_LANGUAGES]
            self.variant = gr.Radio(
                choices,
                value=SNIPPET_LANGUAGES[0].id,
                label="With",
                info=HELP_TEXT,
                elem_classes=["dbx-segments"],
                elem_id=f"{tool.id}-code-with",
            )
            self.code = gr.Code(
                "",
                language="shell",
                show_label=False,
                label=TITLE,
                interactive=False,
                max_lines=30,
                elem_id=f"{tool.id}-code-text",
            )


class CodePanelEvents:
    """Listeners of the panel. The code is rendered only while the panel is open.

    Gradio evaluates the annotations of its handlers at run time, so they must not use the type-checking import above.
    """

    def __init__(self, events: ToolTabEvents, access: AccessControl) -> None:
        self.panel = events.tab.code_panel
        self.events = events
        self.access = access

    def wire(self) -> None:
        """Render the code when the panel is opened, and while it is open after each change."""
        panel, tab = self.panel, self.events.tab
        options: dict[str, Any] = {**PRIVATE_EVENT, "queue": False}
        form = [panel.variant, *tab.value_components()]
        accordion: Any = panel.accordion
        accordion.expand(self.open_panel, form, [panel.is_open, panel.code], **options)
        accordion.collapse(lambda: False, [], [panel.is_open], **options)
        variant: Any = panel.variant
        picture_states: list[Any] = [c.value for c in tab.controls.values() if c.value is not c.display]
        triggers = [variant.input, *(state.change for state in picture_states)]
        # Where each change draws a draft, the code follows the draft event: Gradio's page goes through every listener
        # once for each component, so a second listener on each field would be slow.
        if not self.events.follower.draws_drafts:
            triggers += self.events.list_form_changes()
        arguments = (self.update_code, [panel.is_open, *form], [panel.code])
        gr.on(triggers, *arguments, trigger_mode="always_last", **options)
        for event in self.events.draft_events:
            event.then(*arguments, **options)

    def open_panel(self, request: gr.Request, variant: str, *values: Any) -> dict[Any, Any]:
        """Show the code when the panel is opened."""
        return {self.panel.is_open: True, self.panel.code: self._render_code(request, variant, values)}

    def update_code(self, request: gr.Request, is_open: bool, variant: str, *values: Any) -> Any:
        """Render the code of the present form while the panel is open."""
        return self._render_code(request, variant, values) if is_open else gr.skip()

    def _render_code(self, request: gr.Request, variant: str, values: tuple[Any, ...]) -> Any:
        tab, files = self.events.tab, self.events.service.files
        form = tab.leave_out_untouched(tab.read_form(values))
        snippet = make_snippet_request(tab.tool, form, files.is_example)
        language = find_snippet_language(variant)
        return gr.update(
            value=language.write(snippet, self.access.describe_connection(page_address(request))),
            language=language.highlight,
        )
