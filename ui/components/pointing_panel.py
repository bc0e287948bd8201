"""The panel over a tool's picture in which one points at the subject; pointing.js brings it to life."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import gradio as gr

from pipelines.core.geometry import Area
from pipelines.core.tools import Tool

FINE_TEXT = "Right as it is: hide this"
FINE_BUTTON = f'<button type="button" data-do="fine" title="{FINE_TEXT}" aria-label="{FINE_TEXT}">OK</button>'
"""Takes the words away, from this photo, until something else is doubted."""
CUT_LABELS = "Next cut-out 1/3", "Next cut-out 2/3", "Next cut-out 3/3"
"""That of all nets, of the careful one and of the quick one; pointing.js goes from one to the next."""
CUT_FIELD = "cut_by"
PANEL_HTML = f"""<div class="dbx-point">
<div class="dbx-doubt">{FINE_BUTTON}<p></p><button type="button" data-do="shape" hidden></button>
<button type="button" data-do="start">Repair</button></div>
<div class="dbx-doubt-place" hidden></div>
<div class="dbx-point-layer" hidden></div>
<p class="dbx-point-row" hidden></p>
<p class="dbx-point-effect" role="status">
<span hidden data-effect="little">Little changed. Not right yet? Mark more of it, or come closer.</span>
<span hidden data-effect="settled">Hardly a change here, or it was so already. Come closer to see it.</span>
<span hidden data-effect="choose">Choose Keep or Drop first.</span>
<span hidden data-effect="elsewhere">Your mark also changed what is in the frame. If that is wrong, press Undo.</span>
<span hidden data-effect="same">This cut-out is nearly the same.</span>
<span hidden data-effect="ask">Press on what is meant, or draw a box around it.</span>
<span hidden data-effect="refused"></span></p>
<div class="dbx-point-zoom" hidden>
<button type="button" data-do="closer" title="Come closer; arrow keys, the wheel or two fingers move it"
aria-label="Come closer">+</button>
<button type="button" data-do="farther" title="Go farther away" aria-label="Go farther away">−</button>
<button type="button" data-do="photo" title="The photo itself, and back">Original</button>
<button type="button" data-do="move" aria-pressed="false" title="Drag the picture">Move</button>
</div>
<div class="dbx-point-bar" role="toolbar" aria-label="Point at the subject" hidden>
<button type="button" data-do="keep" aria-pressed="true" title="Belongs to it">Keep</button>
<button type="button" data-do="drop" aria-pressed="false" title="Does not belong">Drop</button>
<button type="button" data-do="area" aria-pressed="false" title="Box around it: drag, or tap two corners">Box</button>
<button type="button" data-do="cut" title="Another cut-out of this photo">{CUT_LABELS[0]}</button>
<button type="button" data-do="undo" title="Take the last mark back">Undo</button>
<button type="button" data-do="clear">Remove all marks</button>
<button type="button" data-do="cancel" title="Leave everything as it was">Cancel</button>
<button type="button" data-do="done">Apply</button>
</div></div>"""


_CUT_BUTTON = re.compile(r'<button type="button" data-do="cut"[^\n]*\n')
ERASED_FIELD = "mask"
"""The field of a tool that erases what is painted: its finished picture can be the next photo."""
KEEP_IN_CROP_LABEL = "Mark what stays whole"
KEEP_IN_CROP_BAR_LABEL = "Mark what must not be cut off"
KEEP_IN_CROP_HELP = "Press on what no format may cut off. Without a choice it is the faces, else the main subject."
ERASE_BUTTONS = """<button type="button" data-do="more">Erase more</button>
<button type="button" class="dbx-fill-again" data-press="#{}-fill-again" hidden
title="Fills the place in another way">Another fill</button>"""
DOUBT_HTML = (
    f'<div class="dbx-point"><div class="dbx-doubt">{FINE_BUTTON}<p></p>{{}}</div>'
    '<div class="dbx-doubt-place" hidden></div></div>'
)
"""The part of the panel that says what is to be looked at, for a tool that has no cut-out to repair."""


@dataclass(frozen=True)
class MarkEffect:
    """What new marks did that is worth a sentence.

    They changed next to nothing ("little"), or the place was so already ("settled"), or `places` (in shares of the
    photo) that lie apart from all marks changed with theirs ("elsewhere"); another cut-out is the "same"; "" where
    nothing is to be said.
    """

    kind: Literal["", "little", "settled", "elsewhere", "same"]
    places: tuple[Area, ...] = ()


NO_EFFECT = MarkEffect("")


@dataclass(frozen=True)
class PointingPanel:
    """Components of one tab's pointing. `places` tells pointing.js where people are; the buttons are its messengers."""

    places: gr.HTML
    look: gr.Button
    done: gr.Button


def build_pointing_panel(tool: Tool) -> PointingPanel | None:
    """Build the panel over the picture inside the open Gradio layout; None, and doubts alone, without a cut-out."""
    can_repair = {"keep", "matte"} <= tool.params.model_fields.keys()
    buttons = ERASE_BUTTONS.format(tool.id) if ERASED_FIELD in tool.params.model_fields else ""
    panel = PANEL_HTML if CUT_FIELD in tool.params.model_fields else _CUT_BUTTON.sub("", PANEL_HTML)
    html = panel if can_repair else DOUBT_HTML.format(buttons)
    if "focus_x" in tool.params.model_fields:  # a crop: nothing is cut out, the marks say what no crop may cut
        html = _word_for_crop(html)
    gr.HTML(html, elem_classes=["dbx-point-over"], elem_id=f"{tool.id}-point")
    if not can_repair:
        return None
    places = gr.HTML("", elem_classes=["dbx-point-told"], elem_id=f"{tool.id}-point-places")
    look, done = (
        gr.Button(name, elem_classes=["dbx-point-told"], elem_id=f"{tool.id}-point-{name}") for name in ("look", "done")
    )
    return PointingPanel(places, look, done)


def _word_for_crop(html: str) -> str:
    """Return the panel's page in the words of a crop, where marks cut nothing out."""
    start = f' class="in-crop" title="{KEEP_IN_CROP_HELP}" data-do="start">{KEEP_IN_CROP_LABEL}<'
    words = {
        ' data-do="start">Repair<': start,
        "Point at the subject": KEEP_IN_CROP_BAR_LABEL,
        '<div class="dbx-point-bar"': f'<p class="dbx-point-help">{KEEP_IN_CROP_HELP}</p>\n<div class="dbx-point-bar"',
        'title="Belongs to it">Keep<': 'title="No format cuts it off">Stays whole<',
        'title="Does not belong">Drop<': 'title="A format may cut it off">May be cut<',
    }
    for old, new in words.items():
        html = html.replace(old, new)
    return html


def render_look(
    places: Sequence[Any], doubts: Sequence[Any], number: int, *, effect: MarkEffect = NO_EFFECT, refusal: str = ""
) -> str:
    """Render, for pointing.js, that look `number` ended and what is known of the photo, in shares of it.

    `places` are where people are whom a click can choose, `doubts` boxes where the cut-out may be wrong. `effect` is
    what new marks did that is worth a sentence. `refusal` is why there is no look.
    """
    values = f' data-places="{escape(json.dumps(places))}" data-doubts="{escape(json.dumps(doubts))}"'
    told = f' data-effect="{effect.kind}" data-changes="{escape(json.dumps(effect.places))}"' if effect.kind else ""
    if refusal:
        told = f' data-effect="refused" data-refusal="{escape(refusal)}"'
    return f'<i hidden data-look="{number}"{values}{told}></i>'


def render_closing() -> str:
    """Render, for pointing.js, that another job is shown: the open panel closes, and its marks are of no use there."""
    return f'<i hidden data-look="closed-{secrets.token_hex(4)}" data-closed></i>'
