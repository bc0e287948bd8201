"""Layout and texts of the library tab: filters, a page of tiles, and the picked jobs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any

import gradio as gr
from gradio import Timer
from gradio.components import Component

from pipelines.jobs.queue import JobRow
from pipelines.jobs.search import JobFilter, StateFilter
from pipelines.service.studio_service import StudioService
from ui.components.pictures import build_live_picture, encode_data_url, make_component
from ui.components.zip_downloads import build_file_carrier
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.form_controls import FormField
from ui.tool_tab.layout import takes_picture

TITLE = "Library"
INTRO_TEXT = "Everything you made, and what is being made."
NONE_PICKED_TEXT = "Pick one to look at it; with “Pick several”, two to compare."
PAGE_TILE_COUNT = 24
"""Tiles shown on one page."""
POLL_SECONDS = 2.0
"""Interval at which the page is refreshed while a job waits or runs."""
EMPTY_TEXT = "Nothing here yet. What you make with any tool appears here by itself."
NO_MATCH_TEXT = "Nothing fits these filters."
SHOW_CHOICES: tuple[tuple[str, StateFilter], ...] = (
    ("Everything", "all"),
    ("Starred", "starred"),
    ("Single pictures", "single"),
    ("Batch rows", "batch"),
    ("Waiting and working", "going"),
    ("Failed", "failed"),
)
WHEN_CHOICES = (
    ("Any time", ""),
    ("Today", "0"),
    ("Last 7 days", "6"),
    ("Last 30 days", "29"),
    ("Last 365 days", "364"),
)
_DAY_PATTERN = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)
_STYLE = """<style>
.gradio-container .dbx-library .dbx-filters { gap: 12px; align-items: flex-end; }
.gradio-container .dbx-library .dbx-filters > .form { flex-direction: row; flex-wrap: wrap; gap: 12px; width: 100%; }
.dbx-library .dbx-filters .form > * { flex: 1 1 132px; min-width: 0 !important; }
.gradio-container .dbx-library #library-text { flex-basis: 100%; }
.gradio-container .dbx-library .dbx-filters input[role=combobox] { font-size: 15px; text-overflow: ellipsis; }
@media (max-width: 899px) { .gradio-container .dbx-library .dbx-filters input[role=combobox] { font-size: 14px; } }
.gradio-container #library-grid > .wrap { grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: 8px; }
.gradio-container #library-grid > .wrap label { font-size: 13px; letter-spacing: normal; padding: 5px; }
.dbx-library .dbx-tiles.pictured > .wrap label::before { background-size: contain; background-repeat: no-repeat;
  background-position: 50% 50%; }
.gradio-container .dbx-library .dbx-tiles.pictured > .wrap label::before { display: grid; place-items: center;
  font-size: 32px; color: var(--body-text-color-subdued); }
.gradio-container .dbx-library .dbx-tiles > .wrap label > span { overflow-wrap: anywhere; line-height: 1.3; }
.gradio-container .dbx-library .dbx-pager { align-items: center; gap: 10px; flex-wrap: nowrap; }
.gradio-container .dbx-library .dbx-picks { flex-wrap: wrap; }
.gradio-container #library-several { flex: 1 0 max-content; min-width: max-content !important; white-space: nowrap; }
.dbx-library .dbx-pager p { text-align: center; font-size: 14px; color: var(--body-text-color-subdued); margin: 0; }
.dbx-library :is(.dbx-pager, .dbx-acts) button { min-height: 44px; }
.dbx-library .dbx-pager:not(:has(button:enabled)) button { display: none; }
.dbx-library .dbx-form:not(:has(#library-grid label)) .dbx-pager:has(#library-every) { display: none; }
.dbx-library:not(:has(#library-grid label)) .dbx-side:not(:has(.dbx-live img, .dbx-acts button:enabled))
  :is(.dbx-box, .dbx-acts) { display: none !important; }
.dbx-library:not(:has(#library-grid label)) .dbx-unpicked { display: none; }
.gradio-container .dbx-library .dbx-acts { gap: 8px; align-items: stretch; }
.dbx-library .dbx-acts > * { flex: 1 1 auto; min-width: 0 !important; padding: 0 10px; font-size: 15px;
  white-space: nowrap; }
.dbx-library .dbx-acts > :first-child { flex-basis: 100%; }
.gradio-container .dbx-library .dbx-lasting p { margin: 6px 0; font-size: 15px; overflow-wrap: anywhere; }
@media (max-width: 899px) { .dbx-library .dbx-box:not(:has(img)) { display: none !important; }
  .dbx-library .dbx-acts:not(:has(button:enabled)) { display: none; }
  .dbx-library .dbx-acts { order: -1; } .dbx-library .dbx-lasting { order: -1; }
  .gradio-container #library-grid > .wrap { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .gradio-container #library-grid > .wrap label { padding: 5px 1px; letter-spacing: -.02em; }
  .gradio-container .dbx-library .dbx-tiles > .wrap label > span { font-size: 12px; } }
</style>"""


class _AnyIds:
    """Accepts ids that are not among the choices: the visitor may have just turned the page."""

    def get_block_name(self) -> str:
        return "checkboxgroup"

    def preprocess(self, payload: list[object] | None) -> list[str]:
        """Return job ids as the page sends them, unchecked."""
        return [str(job_id) for job_id in payload or ()]


JobTiles = make_component("Tiles", _AnyIds, gr.CheckboxGroup)


@dataclass
class LibraryState:
    """Session state of the library in one browser tab.

    `tile_ids` are the jobs of the shown page in order, `picked_ids` the picked jobs of all pages. `look_number` counts
    changes of the selection, so that an older handler gives way. `delete_pressed_ids` are the jobs for which Delete was
    pressed once, `deleted_ids` those that were deleted last, which Undo brings back for a minute. `sent_tiles`
    identifies the tiles that were sent last, `zip_key` is the key of the last ZIP.
    """

    first_tile: int = 0
    tile_ids: tuple[str, ...] = ()
    picked_ids: tuple[str, ...] = ()
    look_number: int = 0
    delete_pressed_ids: tuple[str, ...] = ()
    deleted_ids: tuple[str, ...] = ()
    sent_tiles: str = ""
    zip_key: str = ""

    def merge_picks(self, checked: Sequence[str], several: bool) -> tuple[str, ...]:
        """Return the picked jobs of all pages if `checked` are those of the shown page in the order of their picks.

        Only the last one, unless `several` may be picked.
        """
        if not several:
            return tuple(checked[-1:])
        return (*(job_id for job_id in self.picked_ids if job_id not in self.tile_ids), *checked)


def describe_retention(days: float) -> str:
    """Say how long pictures are kept; empty if they are kept without limit."""
    if not days:
        return ""
    span = f"{days:g} days" if days != 1 else "a day"
    return f" Pictures are deleted after {span}; starred ones stay."


class LibraryTab:
    """All components of the tab, built inside the open Gradio layout."""

    def __init__(self, service: StudioService) -> None:
        self.state = gr.State(LibraryState())
        self.timer = Timer(POLL_SECONDS, active=False)
        lede = INTRO_TEXT + describe_retention(service.settings.keep_days)
        gr.HTML(f'{_STYLE}<header class="dbx-head"><h1>{TITLE}</h1><p>{lede}</p></header>')
        tools = [("All tools", ""), *((tool.title, tool.id) for tool in service.tools)]
        with gr.Row(elem_classes=["dbx-tool", "dbx-library"]):
            with gr.Column(scale=7, min_width=320, elem_classes=["dbx-form"]):
                with gr.Row(elem_classes=["dbx-filters"]):
                    self.text = gr.Textbox(
                        label="Search",
                        placeholder="Words, a file, or a day: 2026-11-25",
                        max_length=200,
                        elem_id="library-text",
                    )
                    self.tool = gr.Dropdown(tools, value="", label="Tool", elem_id="library-tool")
                    self.when = gr.Dropdown(list(WHEN_CHOICES), value="", label="When", elem_id="library-when")
                    self.show = gr.Dropdown(list(SHOW_CHOICES), value="all", label="Show", elem_id="library-show")
                with gr.Row(elem_classes=["dbx-pager", "dbx-picks"]):
                    self.pick_several = gr.Checkbox(
                        label="Pick several", container=False, min_width=130, elem_id="library-several"
                    )
                    self.pick_page = gr.Button("Pick whole page", size="sm", elem_id="library-every")
                    self.pick_none = gr.Button("Pick none", size="sm", elem_id="library-none")
                self.pictures = gr.HTML("", elem_id="library-pictures")
                self.grid = JobTiles(
                    [], label="Jobs", show_label=False, elem_id="library-grid", elem_classes=["dbx-tiles", "pictured"]
                )
                with gr.Row(elem_classes=["dbx-pager"]):
                    self.newer = gr.Button("Newer", size="sm", interactive=False, elem_id="library-back", min_width=80)
                    self.position = gr.HTML("", elem_id="library-where")
                    self.older = gr.Button("Older", size="sm", interactive=False, elem_id="library-forth", min_width=80)
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-side"]):
                with gr.Column(elem_classes=["dbx-box"], elem_id="library-box"):
                    self.picture = build_live_picture("The picture that is picked", "library-live")
                    self.comparison = gr.HTML("", elem_classes=["dbx-wiper"], elem_id="library-over")
                self.status = gr.HTML(render_picked_status(0), elem_classes=["dbx-stage"], elem_id="library-stage")
                with gr.Row(elem_classes=["dbx-acts"]):
                    self.make_zip = gr.Button("Download", variant="primary", interactive=False, elem_id="library-save")
                    self.reuse = gr.Button("Reuse settings", interactive=False, elem_id="library-reuse")
                    self.star = gr.Button("Star", interactive=False, elem_id="library-star")
                    self.send_to = gr.Dropdown(
                        [("Send to", ""), *((tool.title, tool.id) for tool in service.tools if takes_picture(tool))],
                        value="",
                        show_label=False,
                        label="Send to another tool",
                        interactive=False,
                        container=False,
                        elem_id="library-send",
                    )
                    self.delete = gr.Button("Delete", variant="stop", interactive=False, elem_id="library-delete")
                    self.undo = gr.Button("Undo delete", visible=False, elem_id="library-undo")
                self.download = build_file_carrier("library-file")
                self.facts = gr.HTML("", elem_classes=["dbx-lasting"], elem_id="library-facts")
                self.refresh = gr.Button("Look again", elem_id="library-again", elem_classes=["dbx-again"])

    def list_filters(self) -> list[Component]:
        """List the components that say which jobs are wanted."""
        return [self.text, self.tool, self.when, self.show]

    def list_outputs(self) -> list[Any]:
        """List all components but the state."""
        return [component for component in vars(self).values() if component is not self.state]


# ---------------------------------------------------------------- filters


def parse_filters(text: str | None, tool: str | None, when: str | None, show: StateFilter | None) -> JobFilter:
    """Read the filter fields. Words like 2026-11 or 2026-11-25 are days in local time, all others are searched for."""
    words = (text or "").split()
    days = [span for span in map(parse_time_span, words) if span is not None]
    since = max([day[0] for day in days], default=0.0)
    until = min([day[1] for day in days], default=float("inf"))
    if when:
        today = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        since = max(since, (today - timedelta(days=int(when))).timestamp())
    plain = " ".join(word for word in words if parse_time_span(word) is None)
    return JobFilter(plain, tool or "", since, until, show or "all")


def parse_time_span(word: str) -> tuple[float, float] | None:
    """Return start and end of the month or day that `word` names, as Unix seconds; None for any other word."""
    match = _DAY_PATTERN.fullmatch(word)
    if match is None:
        return None
    year, month, day = int(match[1]), int(match[2]), int(match[3] or 1)
    try:
        first = datetime(year, month, day)
    except ValueError:
        return None
    next_first = first + timedelta(days=1) if match[3] else (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return first.timestamp(), next_first.timestamp()


# ---------------------------------------------------------------- texts


def label_tile(row: JobRow, title: str) -> str:
    """Name a tile: the tool, and the job's status or the time when it was made."""
    star = "★ " if row.starred else ""
    status = {"queued": "Waiting", "running": "Working", "failed": "Failed", "cancelled": "Stopped"}.get(row.status)
    if row.status == "running" and row.step is not None and row.step.total > 1:
        status = f"Working, {round(100 * row.step.index / row.step.total)} %"
    return f"{star}{title} · {status or _format_time(row.created)}"


def _format_time(created: float) -> str:
    then, now = time.localtime(created), time.localtime()
    if then[:3] == now[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%d %b %H:%M" if then[0] == now[0] else "%d %b %Y", then)


def render_thumbnail_style(jpegs: Iterable[bytes | None]) -> str:
    """Render the tiles' pictures as CSS in the order of the tiles; as data URLs, so that they have no address.

    A job without a picture has a cross in its tile.
    """
    rules = [
        f"#library-grid label:nth-of-type({number})::before{{"
        + (f'background-image:url("{encode_data_url(jpeg)}")' if jpeg else 'content:"×"')
        + "}"
        for number, jpeg in enumerate(jpegs, 1)
    ]
    return f"<style>{''.join(rules)}</style>"


def render_position(start: int, shown_count: int, total: int, is_filtered: bool) -> str:
    """Render the position, such as `25–48 of 5,012`."""
    if not total:
        return f"<p>{NO_MATCH_TEXT if is_filtered else EMPTY_TEXT}</p>"
    return f"<p>{start + 1}–{start + shown_count} of {total:,}</p>"


def render_facts(row: JobRow, title: str, fields: Sequence[FormField] = ()) -> str:
    """Render tool, time, the photo's name, choices and seed of a job; what a visitor gave is escaped.

    Of `fields`, the tool's form, the look and what differs from the default is told, as the form calls it.
    """
    lines = [f"<strong>{escape(title)}</strong> · {time.strftime('%Y-%m-%d %H:%M', time.localtime(row.created))}"]
    known = {field.name: field for field in fields}
    texts = []
    for name, value in row.job.params.items():
        field = known.get(name)
        if not isinstance(value, str) or not value or value.startswith("file-"):
            continue
        if field is None or name == "preset" or value != field.default:
            labels = {option: label for label, option in field.options} if field else {}
            texts.append(labels.get(value, value))
    if row.job.label:
        lines.append(escape(row.job.label))
    if texts:
        lines.append(escape(" · ".join(texts))[:600])
    lines.append(f"Seed {row.job.seed} · <code>{row.job.id}</code>")
    return "".join(f"<p>{line}</p>" for line in lines)


def render_job_status(row: JobRow) -> str:
    """Render the status line of one job."""
    if row.status == "done" and row.result is not None and row.result.files:
        doubts = tool_tab_text.list_doubts(row.result.receipt)
        return tool_tab_text.render_result_status(row.job, row.result, 0) + tool_tab_text.render_notice(doubts, "")
    if row.error is not None:
        return tool_tab_text.render_status(str(row.error["message"]))
    return tool_tab_text.render_status(
        {"queued": "Waiting", "running": "Working"}.get(row.status, "Stopped"), busy=row.finished is None
    )


def render_comparison_status(left: str, right: str, unseen_count: int = 0) -> str:
    """Render the status line under two compared pictures, of which `unseen_count` are not among the tiles."""
    return tool_tab_text.render_status(
        f"Left: {left}. Right: {right}. Move the slider.{_describe_unseen(unseen_count)}"
    )


def render_picked_status(count: int, unseen_count: int = 0) -> str:
    """Render the status line when no job is picked, or several that cannot be compared."""
    if not count:
        return f'<div class="dbx-unpicked">{tool_tab_text.render_status(NONE_PICKED_TEXT)}</div>'
    return tool_tab_text.render_status(f"{count} picked{_describe_unseen(unseen_count)}")


def _describe_unseen(count: int) -> str:
    """Say that what was picked before another search, or on another page, is still picked."""
    return f" · {count} of them not on this page" if count else ""


def show_actions(tab: LibraryTab, rows: Sequence[JobRow]) -> dict[Component, Any]:
    """Update the buttons to what can be done with the picked jobs."""
    starred = bool(rows) and all(row.starred for row in rows)
    any_done = any(row.status == "done" for row in rows)
    return {
        tab.reuse: gr.Button(interactive=len(rows) == 1),
        tab.star: gr.Button("Remove star" if starred else "Star", interactive=bool(rows)),
        tab.make_zip: gr.Button("Download" if len(rows) == 1 else "Download ZIP", interactive=any_done),
        tab.delete: gr.Button("Delete", interactive=bool(rows)),
        tab.send_to: gr.update(value="", interactive=len(rows) == 1 and any_done),
    }
