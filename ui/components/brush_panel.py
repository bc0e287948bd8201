"""The panel in which one paints on a photo, in the place of the large picture; brush.js brings it to life."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from html import escape

import gradio as gr

_PANEL_HTML = """<div class="dbx-brush{kind}" data-tool="{tool}" hidden>
<div class="dbx-brush-head"><p role="status">{hint}</p>
<button type="button" id="{tool}-brush-use">{use}</button>
<button type="button" id="{tool}-brush-cancel">Cancel</button>
<button type="button" id="{tool}-brush-drop">{discard}</button></div>
<div class="dbx-brush-view"><div class="dbx-brush-sheet">
<img alt="Your photo"><canvas class="dbx-brush-layer" aria-hidden="true"></canvas><i class="dbx-brush-tip"></i>
</div></div>
<div class="dbx-brush-bar" role="toolbar" aria-label="Brush">{modes}{steps}
<label>Size<input type="range" min="4" max="120" value="28" aria-label="Size of the brush" title="Size of the brush">
</label>{views}</div></div>"""
_BRUSH_MODES = {
    False: (("thing", "Whole thing", "Press on a thing to mark all of it; dragging paints"), ("keep", "Brush", "Paint"),
            ("drop", "Eraser", "Take paint away")),
    True: (("keep", "Keep", "Paint what stays"), ("drop", "Drop", "Paint what goes"),
           ("erase", "Eraser", "Take paint away")),
}  # fmt: skip
"""What a press does with name and tooltip, by whether a cut-out is repaired. The first is chosen at the beginning."""
_HISTORY_BUTTONS = (
    ("undo", "Undo", "M9 6 4 11l5 5M4 11h10a5 5 0 0 1 0 10h-2"),
    ("redo", "Redo", "m15 6 5 5-5 5M20 11H10a5 5 0 0 0 0 10h2"),
)
"""What a button does, its name, and the path of its icon."""
_VIEW_BUTTONS = (
    ("out", "Zoom out", "M5 12h14"),
    ("in", "Zoom in", "M12 5v14M5 12h14"),
    ("full", "Fullscreen", "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"),
)
"""The same for what changes the view."""


class BrushPanel:
    """Components of one brush, built inside the open Gradio layout. `hint`, `use` and `discard` are the panel's words.

    The panel's script puts its strokes into `strokes` and clicks one of the buttons, which are its messengers;
    `message` tells it to open, to close, or to go on. `pressed` is the number of a press on a thing and where it was,
    and `look` asks for its outline.
    """

    def __init__(self, tool_id: str, hint: str, use: str, discard: str, *, is_cutout: bool) -> None:
        modes = "".join(
            f'<button type="button" data-mode="{mode}" title="{title}" aria-pressed="{str(number == 0).lower()}">{name}'
            "</button>"
            for number, (mode, name, title) in enumerate(_BRUSH_MODES[is_cutout])
        )
        html = _PANEL_HTML.format(
            tool=tool_id,
            kind=" of-cutout" if is_cutout else "",
            hint=escape(hint),
            use=use,
            discard=discard,
            modes=modes,
            steps="".join(_render_icon_button(*row) for row in _HISTORY_BUTTONS),
            views="".join(_render_icon_button(*row) for row in _VIEW_BUTTONS),
        )
        gr.HTML(html, elem_classes=["dbx-painting"], elem_id=f"{tool_id}-editor")
        self.strokes, self.pressed = (
            gr.Textbox(value="", label=label, elem_classes=["dbx-marks"], elem_id=f"{tool_id}-brush-{name}")
            for name, label in (("strokes", "Strokes"), ("pressed", "Pressed"))
        )
        self.message = gr.HTML("", elem_classes=["dbx-point-told"], elem_id=f"{tool_id}-brush-message")
        self.use, self.use_and_generate, self.discard, self.look = (
            gr.Button(name, elem_classes=["dbx-point-told"], elem_id=f"{tool_id}-brush-{name}")
            for name in ("send", "generate", "discard", "look")
        )


def _render_icon_button(action: str, name: str, path: str) -> str:
    return (
        f'<button type="button" data-do="{action}" aria-label="{name}" title="{name}">'
        f'<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{path}"/></svg></button>'
    )


def render_opening(ground: str = "", painted: str = "", *, can_cancel: bool) -> str:
    """Render, for brush.js, that painting begins.

    `ground` is a picture to paint on ("": the photo as the form shows it) and `painted` one of what is painted
    already, both as data URLs.
    """
    return _render_message("open", f' data-ground="{ground}" data-painted="{painted}" data-cancel="{int(can_cancel)}"')


def render_closing(*, awaits_picture: bool = False) -> str:
    """Render that painting ends; with `awaits_picture` what is painted is seen until the next picture comes."""
    return _render_message("close", f' data-awaits="{int(awaits_picture)}"')


def render_staying() -> str:
    """Render that painting goes on after something was sent that cannot be used."""
    return _render_message("stay")


def render_thing(outline: Sequence[Sequence[float]], press: str) -> str:
    """Render the outline of the thing on which somebody pressed, in shares of the photo.

    `press` is the press's number as brush.js sent it: an answer that comes late is not taken for a later press's.
    """
    return _render_message("thing", f' data-press="{escape(press)}" data-outline="{json.dumps(outline)}"')


def render_no_thing(sentence: str, press: str) -> str:
    """Render why nothing was found where somebody pressed: the dab stays."""
    return _render_message("thing", f' data-press="{escape(press)}" data-sentence="{escape(sentence)}"')


def _render_message(what: str, more: str = "") -> str:
    # Gradio sends no value that is the same as before, and the script answers each number once.
    return f'<i hidden data-brush="{what}" data-number="{time.time_ns()}"{more}></i>'
