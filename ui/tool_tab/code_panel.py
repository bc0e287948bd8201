"""Copy as code, under every Generate button: the folded panel and its parts; knows no form and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core.tools import Tool
from ui.api.code_snippets import WAYS

TITLE = "Copy as code"
HELP_TEXT = "What is set above, as code that runs as it stands. Pictures of yours stand as files beside it."


@dataclass(frozen=True)
class CodePanel:
    """The folded panel. `opened` says whether it is: what nobody sees is not written."""

    accordion: gr.Accordion
    is_open: gr.State
    variant: gr.Radio
    code: gr.Code


def build_code_panel(tool: Tool) -> CodePanel:
    """The panel, in the layout that is open."""
    opened = gr.State(False)
    with gr.Accordion(TITLE, open=False, elem_classes=["dbx-more"], elem_id=f"{tool.id}-as-code") as fold:
        choices: list[Any] = [(row.title, row.id) for row in WAYS]
        which = gr.Radio(
            choices, value=WAYS[0].id, label="With", info=HELP_TEXT, elem_classes=["dbx-segments"],
            elem_id=f"{tool.id}-code-with",
        )  # fmt: skip
        code = gr.Code("", language="shell", show_label=False, label=TITLE, interactive=False, max_lines=30,
                       elem_id=f"{tool.id}-code-text")  # fmt: skip
    return CodePanel(fold, opened, which, code)
