"""Texts of the batch tab as escaped HTML: progress, faults, and the contact sheet."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from html import escape
from itertools import zip_longest
from typing import Any, NamedTuple

from pipelines.batch.batch_service import BatchProgress
from pipelines.batch.batch_table import Batch
from pipelines.batch.dry_run import DryRunReport
from pipelines.batch.format_amounts import NO_ROOM_NOTE, SCALED_COST_NOTE, format_bytes, format_duration
from pipelines.batch.row_values import PHOTO_FIELD
from pipelines.core.params import POINTED_KINDS, Params
from pipelines.core.tools import Tool
from pipelines.quality.softness import SOFT_BEGINNING
from ui.components.pictures import encode_data_url
from ui.components.row_commands import (
    APPROVE_LABEL,
    APPROVED_LABEL,
    REPAIR_LABEL,
    RowAction,
    command_attributes,
    render_command_button,
)
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.form_controls import FormField, list_form_fields

IDLE_TEXT = "Add pictures, a ZIP or a table to begin."
FILES_TEXT = "Start makes the pictures. Check only looks for mistakes first, and says how long it takes."
CHECKED_TEXT = "Checked and kept: {}. Start makes the pictures, Cancel forgets them."
NO_TOOL_LABEL = "Choose what to make"
TOOL_WORDS: dict[str, str] = {
    "product": "Product Photos: people or things on plain white",
    "cutout": "Cut-out: remove the background, transparent",
    "headshot": "Professional Headshots: application, profile",
    "background": "Background Generator: another place",
    "kit": "Social and Marketing Kit: Instagram post, story",
    "upscale": "Upscale: enlarge",
    "expand": "Expand: a wider picture",
    "style": "Style Transfer: painting, film",
    "business": "Business Photos: a team",
    "fashion": "Fashion Photos: lookbook",
    "motion": "Motion Portrait: short film",
    "character": "Character Creator: mascot",
    "retouch": "Retouch: erase a thing",
}
"""What each tool is called in the list, with the words that people look for; the most used in batches comes first."""
NO_TOOL_TEXT = (
    "Choose a tool: Product Photos for people or things on plain white, Professional Headshots for portraits, Cut-out "
    "for transparent."
)
NO_TOOL_ERROR = "Choose a tool first: what is to be made of each picture?"
TYPED_TEXT = "type it below"
SETTINGS_LABEL = "Settings for all: choose any"
ASIDE_TEXT = "In the ZIP they are in a folder of their own, set-aside. Press one to repair it, or say that it is fine."
CHECK_TEXT = "Press a picture to repair it and put it back, or say that it is fine."
MORE_PIXELS_TEXT = "Some photos have the pixels for larger pictures."
LARGER_LABEL = "Make them again with up to {} px"
LARGER_SET_TEXT = (
    "The size is set to {} px. Add the photos again and press Start: a new batch, without repairs of this one."
)
SAME_PHOTOS_LABEL = "Take the same photos again"
DOWNLOAD_LABEL = "Download all (ZIP)"
PART_DOWNLOAD_LABEL = "Download so far"
SHOWN_FAULT_COUNT = 100
ROW_NAME_LENGTH = 60
"""Longest name of a row, in characters."""
STYLE_HTML = """<style>
#batch-files { border: 1.5px dashed var(--input-border-color) !important; border-radius: 12px !important;
  background: var(--dbx-card) !important; }
.option-list:has(.dbx-typed) [role=option] { background: none !important;
  &.dbx-typed { background: var(--dbx-tint) !important; } }
.dbx-faults { overflow-x: auto; max-height: 340px; }
.gradio-container .dbx-faults table { border-collapse: collapse; width: 100%; font-size: 14px; margin: 8px 0; }
.gradio-container .dbx-faults :is(table, tr) { border: 0; }
.gradio-container .dbx-faults :is(th, td) { text-align: left; padding: 6px 10px 6px 0; vertical-align: top; border: 0;
  border-bottom: 1px solid var(--border-color-primary); }
@media (max-width: 600px) {
  .gradio-container .dbx-faults { & th { display: none; } & td { display: block; border: 0; padding: 2px 0; }
    & tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--border-color-primary); }
    & td:first-child { font-weight: 600; } & td:empty { display: none; } }
}
.gradio-container #batch-tool:not(:has(.file-preview)) #batch-start { background: var(--dbx-card);
  border-color: var(--input-border-color); color: var(--body-text-color); }
#batch-tool:not(:has(.dbx-sheet)) #batch-doubts { display: none; } /* no picture counts as anything yet */
/* In the empty field: nothing moves when it comes and goes. */
#batch-drop { position: relative; gap: 0; }
.gradio-container #batch-same { position: absolute; left: 50%; bottom: 14px; transform: translateX(-50%); width: auto;
  min-height: 44px; z-index: 2; }
#batch-tool:has(.file-preview) #batch-same { display: none; }
/* As high with files as without, so that nothing below moves under a pointer when they arrive. */
#batch-files { height: 266px !important; & .file-preview-holder { max-height: 220px !important; } }
@media (min-width: 900px) { #batch-files .file-preview-holder { max-height: 234px !important; } }
.gradio-container #batch-files .file-preview td { height: 54px; padding-block: 5px; }
#batch-files .filename::before { content: ""; flex: none; width: 44px; height: 44px; margin-right: 10px;
  border-radius: 6px; background: var(--dbx-well) center / cover;
  background-image: var(--dbx-file, url("data:image/svg+xml,\
%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 44 44' fill='none' stroke='%23888' stroke-width='1.5'%3E\
%3Cpath d='M15 11h9l5 5v17H15zM24 11v5h5'/%3E%3C/svg%3E")); }
@media (max-width: 899px) {
  #batch-drop { order: -4; }
  #batch-tool:has(.dbx-acts button:enabled) #batch-stage, #batch-stage:has(.busy) { order: -3; }
  #batch-tool:not(:has(.file-preview)) :is(.dbx-acts, .dbx-pages, #batch-sheet, #batch-zip-note) { order: -2; }
  #batch-told, #batch-aside, #batch-larger { order: -2; }
  #batch-tool .dbx-acts { flex-wrap: wrap; }
  .dbx-acts button { flex: 1 1 40%; }
  .dbx-acts:not(:has(button:enabled)), .gradio-container .dbx-acts button:disabled { display: none; }
  .dbx-faults td:first-child { overflow-wrap: anywhere; } }
.dbx-sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px 10px;
  list-style: none; margin: 0 !important; padding: 0 !important; }
.dbx-sheet li { margin: 0; }
.gradio-container .dbx-sheet button { display: block; width: 100%; padding: 0; border: 0; background: none;
  position: relative; cursor: pointer; }
.gradio-container .dbx-sheet b { position: absolute; top: 4px; left: 4px; padding: 1px 6px; border-radius: 6px;
  font-size: 12px; background: #ffcf66; color: #3d2a00 !important; }
.gradio-container .dbx-sheet b.small { background: var(--dbx-card); color: var(--body-text-color) !important;
  box-shadow: 0 0 0 1px var(--input-border-color); }
.dbx-sheet i { display: block; aspect-ratio: 1; border-radius: 6px; border: 1.5px dashed var(--input-border-color);
  &[style] { border: 0; background: var(--dbx-file) center / cover; opacity: 0.5; } }
.dbx-sheet img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 6px;
  background: var(--dbx-well); display: block; }
.dbx-sheet small { display: block; overflow-wrap: anywhere; margin-top: 4px; font-size: 12px; font-weight: 400;
  line-height: 1.3; text-align: left; color: var(--body-text-color); }
.gradio-container .dbx-sheet p { font-size: 12px; margin: 0; color: var(--body-text-color-subdued); }
.gradio-container .dbx-sheet em { font-size: 12px; font-style: normal; font-weight: 600; color: var(--dbx-on); }
.dbx-sheet span { font-size: 12px; color: var(--body-text-color-subdued); display: block; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; }
.gradio-container .dbx-pages { align-items: center; gap: 10px; flex-wrap: nowrap; }
.gradio-container #batch-zip-note p { font-size: 13px; color: var(--body-text-color-subdued); margin: 0; }
#batch-tool:not(:has(#batch-save:enabled)) #batch-zip-note { display: none; }
.dbx-pages p { text-align: center; font-size: 14px; color: var(--body-text-color-subdued); margin: 0; }
.dbx-pages button { min-height: 44px; } .dbx-pages:not(:has(button)) { display: none; }
</style>"""

SIZE_STEPS_PX = (512, 1024, 1536, 2048, 3072, 4096)
MAX_LISTED_NUMBER_COUNT = 10
SOFT_TEXT = "Soft at its full size."
"""Of what takes three lines on a card; the tool tells the whole of it."""
"""Longest span of whole numbers that are offered one by one; of a longer one there are five steps."""
_PLACE_FIELDS = {"pick", "placement_x", "placement_y"}
"""Fields of one photo's subject: they mean something else in the next photo."""

_STATES = {
    "ready": "Ready to start",
    "running": "Working",
    "paused": "Paused",
    "cancelled": "Cancelled",
    "done": "Done",
}


def list_tool_options(tools: Sequence[Tool]) -> list[tuple[str, str]]:
    """List the name and the id of each tool as the field for it offers them, with none of them first."""
    order = list(TOOL_WORDS)
    known = sorted((tool for tool in tools if tool.id in TOOL_WORDS), key=lambda tool: order.index(tool.id))
    others = [(tool.title, tool.id) for tool in tools if tool.id not in TOOL_WORDS]
    return [(NO_TOOL_LABEL, ""), *((TOOL_WORDS[tool.id], tool.id) for tool in known), *others]


class DoubtCounts(NamedTuple):
    """How many pictures of a batch are to be checked, how many others the ZIP sets aside, how many were looked at.

    `small`: of how many others a small place is doubted.
    """

    to_check: int = 0
    small: int = 0
    set_aside: int = 0
    looked_at: int = 0


def render_status(batch: Batch, progress: BatchProgress, counts: DoubtCounts = DoubtCounts()) -> str:
    """Render the progress of a batch as its status line, with what should be looked at.

    A batch of which every picture was deleted has none.
    """
    if not progress.total and batch.state in ("done", "cancelled"):
        return tool_tab_text.render_status(IDLE_TEXT)
    ended = progress.total - progress.rows_left
    good = progress.done if progress.failed else ended
    parts = [f"{_STATES.get(batch.state, batch.state)}: {good} of {progress.total}"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if batch.state == "running" and progress.per_minute and progress.seconds_left is not None:
        parts.append(f"{progress.per_minute:g} a minute, {format_duration(progress.seconds_left)} left")
    parts += [f"{counts.to_check} to check"] if counts.to_check else []
    parts += [f"{counts.small} with a small doubt"] if counts.small else []
    parts += [f"{counts.set_aside} probably wrong"] if counts.set_aside else []
    parts += ["the doubtful ones were checked"] if counts.looked_at and not any(counts[:3]) else []
    busy = batch.state in ("running", "paused")
    notes = [batch.note] if batch.note else []
    return tool_tab_text.render_status(" · ".join(parts), busy=busy, share=ended / max(1, progress.total), notes=notes)


def render_aside(counts: DoubtCounts, *, can_be_larger: bool = False) -> str:
    """Say where the pictures are that were set aside, or how one is mended, and if photos have more pixels to give."""
    line = f"{counts.set_aside} probably wrong. {ASIDE_TEXT}" if counts.set_aside else ""
    line = line or (CHECK_TEXT if counts.to_check or counts.small else "")
    lines = [line, MORE_PIXELS_TEXT if can_be_larger else ""]
    return "".join(f'<p class="dbx-measured">{each}</p>' for each in lines if each)


def render_report(report: DryRunReport) -> str:
    """Render the report of a dry run: every fault by row and column, and what was corrected."""
    summary = f"{report.rows} checked: {report.good} can be done, {report.bad_count} cannot."
    if report.seconds is None or report.bytes is None:
        cost = "Time and disk are not known: not one row could be done to measure them."
    else:
        size = format_bytes(report.bytes)
        cost = f"About {format_duration(report.seconds)}, {size}; {format_bytes(report.free)} are free."
    if report.guessed:
        cost += f" {SCALED_COST_NOTE.format(report.guessed)}"
    if not report.fits_on_disk:
        cost += f" {NO_ROOM_NOTE}"
    rows = [(label_row(f.row, f.label), f.column or "", f.message) for f in report.faults]
    remarks = [
        f"Row {escape(label_row(each.row, each.label))}: {escape(each.message)}"
        for each in report.remarks[:SHOWN_FAULT_COUNT]
    ]
    corrections = f"<p>{'<br>'.join(remarks)}</p>" if remarks else ""
    return f"<p><strong>{summary}</strong> {cost}</p>{render_faults(rows)}{corrections}"


def label_row(row: int, called: str) -> str:
    """Return the row's number and name; of a dropped folder, the owner knows only names."""
    return f"{row} · {called[:ROW_NAME_LENGTH]}" if called else str(row)


def render_faults(rows: Sequence[tuple[str, str, str]], buttons: Sequence[str] = ()) -> str:
    """Render a table of faults: row, column, sentence; `buttons` (HTML) stand beside the sentences.

    Of pictures alone there are no columns to be told.
    """
    if not rows:
        return ""
    names_columns = any(column not in ("", "photo") for _, column, _ in rows)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row[: 1 + names_columns])}"
        f"<td>{escape(row[2])} {button}</td></tr>"
        for row, button in zip_longest(rows[:SHOWN_FAULT_COUNT], buttons, fillvalue="")
    )
    more = f"<p>And {len(rows) - SHOWN_FAULT_COUNT} more.</p>" if len(rows) > SHOWN_FAULT_COUNT else ""
    names = ("Row", "Column", "What is wrong") if names_columns else ("Picture", "What is wrong")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f'<div class="dbx-faults" tabindex="0"><table><tr>{head}</tr>{body}</table></div>{more}'


class SheetPicture(NamedTuple):
    """A row's number, its name and thumbnail, and sentences that say why its picture should be looked at.

    `replaced` is when another picture took the row's place, `approved` when somebody found it right, "" where nobody
    did. `is_aside`: the ZIP sets it aside, unless it is approved. `is_small`: what is doubted is a small place. `size`:
    width and height in pixels. Without a `jpeg` the page keeps the one that it has.
    """

    row: int
    name: str
    jpeg: bytes
    doubts: Sequence[str] = ()
    replaced: str = ""
    is_aside: bool = False
    approved: str = ""
    size: tuple[int, int] = (0, 0)
    is_small: bool = False


def render_sheet(
    pictures: Iterable[SheetPicture], waiting: Iterable[tuple[str, str]] = (), batch_id: str = "", number: int = 0
) -> str:
    """Render the contact sheet of a batch: a button with each row's thumbnail, which opens the row.

    Doubtful ones have a word for it. Rows that are still `waiting` follow, by their name and their photo's: batch.js
    shows the photo if it was chosen on this page. page.js writes what the buttons say into the field
    `COMMAND_FIELD_ID`. `number` counts what was sent of the sheet: batch.js knows by it which changed cells are newer.
    """
    cells = "".join(_render_cell(picture, batch_id) for picture in pictures)
    cells += "".join(
        f'<li><i data-photo="{escape(photo)}"></i><span title="{escape(name)}">{escape(name)}</span></li>'
        for name, photo in waiting
    )
    about = f'data-sent="{number}" data-batch="{escape(batch_id)}"'
    return f'<ul class="dbx-sheet" aria-label="Results" {about}>{cells}</ul>' if cells else ""


def render_changed_cells(pictures: Iterable[SheetPicture], batch_id: str, numbers: Mapping[int, int]) -> str:
    """Render cells that batch.js puts in place of the sheet's own, each with the number of when it was sent."""
    return "".join(_render_cell(each, batch_id, f' data-sent="{numbers[each.row]}"') for each in pictures)


def _render_cell(picture: SheetPicture, batch_id: str, attributes: str = "") -> str:
    name, why = escape(picture.name), escape(" · ".join(picture.doubts))
    told = "<br>".join(SOFT_TEXT if each.startswith(SOFT_BEGINNING) else escape(each) for each in picture.doubts)
    word = "Probably wrong" if picture.is_aside else tool_tab_text.SMALL_DOUBT_TAG if picture.is_small else "Check"
    css_class = " class=small" if word == tool_tab_text.SMALL_DOUBT_TAG else ""
    # The reason is read with the button's name; of a picture that somebody found right there is nothing to say.
    is_open = bool(why or picture.is_aside) and not picture.approved
    badge = f"<b{css_class}>{word}</b><small>{told}</small>" if is_open else ""
    replaced = "Replaced, still to check" if is_open else "Replaced"
    seen = ((picture.replaced, replaced), (picture.approved, APPROVED_LABEL))
    marks = "".join(f'<em title="{escape(since)}">{label}</em>' for since, label in seen if since)
    size = "<p>{} × {} px</p>".format(*picture.size) if all(picture.size) else ""
    # Of one without a doubt too somebody may see more than the studio does.
    commands: list[tuple[str, RowAction]] = [(REPAIR_LABEL, "open")]
    if is_open:
        commands.append((APPROVE_LABEL, "approve"))
    buttons = "".join(render_command_button(label, action, picture.row, batch_id) for label, action in commands)
    source = f'src="{encode_data_url(picture.jpeg)}" ' if picture.jpeg else ""
    return (
        f'<li{attributes}><button type="button" {command_attributes("open", picture.row, batch_id)} '
        f'title="{why if is_open else ""}">'
        f'<img {source}alt="Row {name}">{badge}</button>'
        f'<span title="{name}">{name}</span>{size}{marks}{buttons}</li>'
    )


def render_position(start: int, shown: int, total: int, *, newest: bool) -> str:
    """Render the position, such as `49–96 of 200`; empty if one page shows all."""
    order = ", the latest first" if newest else ""
    return f"<p>{start + 1}–{start + shown} of {total:,}{order}</p>" if total > shown else ""


def format_settings(params: type[Params], values: Mapping[str, Any]) -> str:
    """Format the `values` that differ from the tool's defaults, one `field = value` a line.

    Logo, backdrop and reference are included. The photo, its mask and the marks in it are left out because the files
    of the folder replace them, consent because it was given for one person, and the look because it has a field of its
    own.
    """
    skip = _list_own_fields(params)
    rows = []
    for name, field in params.model_fields.items():
        value = values.get(name, field.default)
        if name not in skip and value != field.default:
            rows.append(f"{name} = {_format_value(value)}")
    return "\n".join(rows)


def list_setting_choices(params: type[Params]) -> list[tuple[str, str]]:
    """List what may be set for all rows: words to choose by, and the line `field = value` of each.

    Each option of a choice and each step of a number but the usual one has a line of its own. The line of free words
    ends with `=`: its value is typed. What the form of the tool shows at first comes first.
    """
    skip = _list_own_fields(params) | set(params.fields_of_kind("picture")) | _PLACE_FIELDS
    choices: list[tuple[str, str]] = []
    for field in sorted(list_form_fields(params), key=lambda field: field.is_advanced):
        if field.name in skip or field.saved_kind:
            continue
        options = field.options
        if isinstance(field.default, bool):
            options = (("on", "true"),) if not field.default else (("off", "false"),)
        elif not options and field.maximum and field.kind != "seed":
            options = tuple((f"{step:g} {field.unit}".rstrip(), f"{step:g}") for step in _list_steps(field))
        if options:
            rows = [(f"{field.label} → {label}", value) for label, value in options if value != str(field.default)]
        else:
            rows = [(f"{field.label} → {TYPED_TEXT}", "")]
        choices += [(words, f"{field.name} = {value}".rstrip()) for words, value in rows]
    return choices


def split_settings(params: type[Params], lines: str) -> tuple[list[str], str]:
    """Split lines `field = value` into those that are options of `list_setting_choices`, and the others."""
    options = {line for _, line in list_setting_choices(params) if not line.endswith("=")}
    written = [line.strip() for line in lines.splitlines() if line.strip()]
    return [line for line in written if line in options], "\n".join(line for line in written if line not in options)


def name_field(line: str) -> str:
    """Return the field of a line `field = value`."""
    return line.partition("=")[0].strip()


def list_lines_without(lines: str, names: Container[str]) -> list[str]:
    """List the lines `field = value` that are not of one of the fields `names`, without empty ones."""
    return [line for line in lines.splitlines() if line.strip() and name_field(line) not in names]


def _list_steps(field: FormField) -> list[float]:
    """List values of a number to choose from, the usual one left out: sides in pixels, whole numbers, or quarters."""
    span = field.maximum - field.minimum
    if field.name == "size":
        steps = [side for side in SIZE_STEPS_PX if field.minimum <= side <= field.maximum]
    elif isinstance(field.default, int) and span <= MAX_LISTED_NUMBER_COUNT:
        steps = [field.minimum + number for number in range(int(span) + 1)]
    else:
        steps = [field.minimum + round(span * share / 4 / field.step) * field.step for share in range(5)]
    return [step for step in steps if step != field.default]


def _list_own_fields(params: type[Params]) -> set[str]:
    """List fields that each row has for itself, and those that the form of the batch has beside its lines."""
    return {PHOTO_FIELD, *params.fields_of_kind("pictures", "mask", *POINTED_KINDS), "consent", "preset"}


def _format_value(value: Any) -> str:
    """Format a value on one line; the tools read semicolons as line breaks."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "; ".join(line.strip() for line in text.splitlines())
