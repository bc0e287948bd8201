"""The Library as it is laid out and what it says: filters, a page of tiles, what is picked; looks nothing up."""

from __future__ import annotations

import re
import time
from abc import ABCMeta
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any

import gradio as gr
from gradio import Timer
from gradio.component_meta import ComponentMeta
from gradio.components import Component

from pipelines.jobs.queue import JobRow
from pipelines.jobs.search import JobFilter, StateFilter
from pipelines.service.orders import StudioService
from ui.components.pictures import LivePicture, encode_data_url
from ui.tool_tab import text as tool_tab_text

TITLE = "Library"
LEDE = "Everything you made, and what is being made."
NONE_PICKED_TEXT = "Pick one to look at it, two to compare."
PAGE_TILE_COUNT = 24
"""Tiles on one page."""
POLL_SECONDS = 2.0
"""Seconds between two looks while something waits or runs."""
EMPTY_TEXT = "Nothing here yet. What you make with any tool appears here by itself."
NO_MATCH_TEXT = "Nothing fits these filters."
SHOW_CHOICES: tuple[tuple[str, StateFilter], ...] = (
    ("Everything", "all"), ("Starred", "starred"), ("Single pictures", "single"), ("Batch rows", "batch"),
    ("Waiting and working", "going"), ("Failed", "failed"),
)  # fmt: skip
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
.gradio-container .dbx-library .dbx-filters input[role=listbox] { font-size: 15px; text-overflow: ellipsis; }
@media (max-width: 899px) { .gradio-container .dbx-library .dbx-filters input[role=listbox] { font-size: 14px; } }
.gradio-container .dbx-library .dbx-tiles.pictured > .wrap {
  grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); }
.dbx-library .dbx-tiles.pictured > .wrap label::before { background-size: contain; background-repeat: no-repeat;
  background-position: 50% 50%; }
.gradio-container .dbx-library .dbx-tiles > .wrap label > span { overflow-wrap: anywhere; line-height: 1.3; }
.gradio-container .dbx-library .dbx-pager { align-items: center; gap: 10px; flex-wrap: nowrap; }
.dbx-library .dbx-pager p { text-align: center; font-size: 14px; color: var(--body-text-color-subdued); margin: 0; }
.dbx-library :is(.dbx-pager, .dbx-acts) button { min-height: 44px; }
.dbx-library .dbx-pager:not(:has(button:enabled)) button { display: none; }
.dbx-library .dbx-form:not(:has(#library-grid label)) .dbx-pager:has(#library-every) { display: none; }
.gradio-container .dbx-library .dbx-acts { gap: 8px; }
.dbx-library .dbx-acts > * { flex: 1 1 96px; min-width: 0 !important; font-size: 15px; white-space: nowrap; }
.dbx-library .dbx-acts > :first-child { flex-basis: 100%; }
.gradio-container .dbx-library .dbx-lasting p { margin: 6px 0; font-size: 15px; overflow-wrap: anywhere; }
@media (max-width: 899px) { .dbx-library .dbx-box:not(:has(img)) { display: none !important; }
  .dbx-library .dbx-acts:not(:has(button:enabled)) { display: none; }
  .dbx-library .dbx-acts { order: -1; } .dbx-library .dbx-lasting { order: -1; }
  .gradio-container .dbx-library .dbx-tiles.pictured > .wrap { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
</style>"""


class _AnyIds:
    """Takes any ids: those of a page that was just turned are not among the choices any more."""

    def get_block_name(self) -> str:
        return "checkboxgroup"

    def preprocess(self, payload: list[object] | None) -> list[str]:
        """Job ids, as the page claims them."""
        return [str(job_id) for job_id in payload or ()]


# Made like this for the reason that `ui.components.pictures` gives.
JobTiles = ABCMeta.__new__(
    ComponentMeta, "Tiles", (_AnyIds, gr.CheckboxGroup), {"__module__": __name__, "__doc__": _AnyIds.__doc__}
)


@dataclass
class LibraryState:
    """What one visitor's open Library shows; one per browser tab, kept in the session.

    `ids` are the tiles in order, `picked` what is picked on this page and on others, `turn` counts looks at what is
    picked, so that an older look gives way. `sure` is what Delete was pressed for once; `seen` the tiles as sent;
    `packed` names the last ZIP.
    """

    first_tile: int = 0
    tile_ids: tuple[str, ...] = ()
    picked_ids: tuple[str, ...] = ()
    look_number: int = 0
    delete_pressed_ids: tuple[str, ...] = ()
    sent_tiles: str = ""
    zip_key: str = ""


@dataclass(frozen=True)
class LibraryTab:
    """Every component of the page."""

    state: gr.State
    text: gr.Textbox
    tool: gr.Dropdown
    when: gr.Dropdown
    show: gr.Dropdown
    pictures: gr.HTML
    grid: gr.CheckboxGroup
    newer: gr.Button
    position: gr.HTML
    older: gr.Button
    pick_page: gr.Button
    pick_none: gr.Button
    picture: gr.Image
    comparison: gr.HTML
    status: gr.HTML
    facts: gr.HTML
    reuse: gr.Button
    star: gr.Button
    make_zip: gr.Button
    delete: gr.Button
    download: gr.DownloadButton
    timer: Timer
    refresh: gr.Button

    def list_filters(self) -> list[Component]:
        """What says which jobs are wanted."""
        return [self.text, self.tool, self.when, self.show]


def describe_retention(days: float) -> str:
    """How long what is here stays, as a sentence; nothing where it stays for good."""
    if not days:
        return ""
    span = f"{days:g} days" if days != 1 else "a day"
    return f" Pictures are forgotten after {span}; starred ones stay."


def build_library_tab(service: StudioService) -> LibraryTab:
    """The page's components, in the layout that is open."""
    gr.HTML(
        f'{_STYLE}<header class="dbx-head"><h1>{TITLE}</h1><p>{LEDE}{describe_retention(service.settings.keep_days)}</p></header>'
    )
    tools = [("All tools", ""), *((tool.title, tool.id) for tool in service.tools)]
    with gr.Row(elem_classes=["dbx-tool", "dbx-library"]):
        with gr.Column(scale=7, min_width=320, elem_classes=["dbx-form"]):
            with gr.Row(elem_classes=["dbx-filters"]):
                text = gr.Textbox(label="Search", placeholder="Words, a seed, or a day: 2026-11-25", max_length=200,
                                  elem_id="library-text")  # fmt: skip
                tool = gr.Dropdown(tools, value="", label="Tool", elem_id="library-tool")
                when = gr.Dropdown(list(WHEN_CHOICES), value="", label="When", elem_id="library-when")
                show = gr.Dropdown(list(SHOW_CHOICES), value="all", label="Show", elem_id="library-show")
            pictures = gr.HTML("", elem_id="library-pictures")
            grid: Any = JobTiles([], label="Jobs", show_label=False, elem_id="library-grid",
                                    elem_classes=["dbx-tiles", "pictured"])  # fmt: skip
            with gr.Row(elem_classes=["dbx-pager"]):
                back = gr.Button("Newer", size="sm", interactive=False, elem_id="library-back", min_width=80)
                where = gr.HTML("", elem_id="library-where")
                forth = gr.Button("Older", size="sm", interactive=False, elem_id="library-forth", min_width=80)
            with gr.Row(elem_classes=["dbx-pager"]):
                every = gr.Button("Pick whole page", size="sm", elem_id="library-every")
                none = gr.Button("Pick none", size="sm", elem_id="library-none")
        with gr.Column(scale=5, min_width=320, elem_classes=["dbx-side"]):
            with gr.Column(elem_classes=["dbx-box"], elem_id="library-box"):
                live = LivePicture(
                    show_label=False, interactive=False, buttons=["fullscreen"], container=False,
                    elem_id="library-live", elem_classes=["dbx-live"], alt_text="The picture that is picked",
                    label="The picture that is picked",
                )  # fmt: skip
                over = gr.HTML("", elem_classes=["dbx-wiper"], elem_id="library-over")
            stage = gr.HTML(
                tool_tab_text.render_status(NONE_PICKED_TEXT), elem_classes=["dbx-stage"], elem_id="library-stage"
            )
            with gr.Row(elem_classes=["dbx-acts"]):
                reuse = gr.Button("Reuse settings", variant="primary", interactive=False, elem_id="library-reuse")
                star = gr.Button("Star", interactive=False, elem_id="library-star")
                pack = gr.Button("Make ZIP", interactive=False, elem_id="library-pack")
                delete = gr.Button("Delete", variant="stop", interactive=False, elem_id="library-delete")
            save = gr.DownloadButton("Download ZIP", variant="primary", visible=False, elem_id="library-save")
            facts = gr.HTML("", elem_classes=["dbx-lasting"], elem_id="library-facts")
            again = gr.Button("Look again", elem_id="library-again", elem_classes=["dbx-again"])
    return LibraryTab(
        gr.State(LibraryState()), text, tool, when, show, pictures, grid, back, where, forth, every, none, live, over, stage,
        facts, reuse, star, pack, delete, save, Timer(POLL_SECONDS, active=False), again,
    )  # fmt: skip


# ---------------------------------------------------------------- what is wanted


def parse_filters(text: str | None, tool: str | None, when: str | None, show: StateFilter | None) -> JobFilter:
    """The form as a question. Words like 2026-11 or 2026-11-25 are days of this machine's time, all others words."""
    said = (text or "").split()
    days = [span for span in map(parse_time_span, said) if span is not None]
    since = max([day[0] for day in days], default=0.0)
    until = min([day[1] for day in days], default=float("inf"))
    if when:
        today = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        since = max(since, (today - timedelta(days=int(when))).timestamp())
    plain = " ".join(word for word in said if parse_time_span(word) is None)
    return JobFilter(plain, tool or "", since, until, show or "all")


def parse_time_span(word: str) -> tuple[float, float] | None:
    """First and last moment of the month or day that `word` is, as Unix seconds; None for any other word."""
    found = _DAY_PATTERN.fullmatch(word)
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2]), int(found[3] or 1)
    try:
        first = datetime(year, month, day)
    except ValueError:
        return None
    after = first + timedelta(days=1) if found[3] else (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return first.timestamp(), after.timestamp()


# ---------------------------------------------------------------- what is said


def label_tile(row: JobRow, title: str) -> str:
    """A tile's name: what it is, how it stands, and when it was made."""
    star = "★ " if row.starred else ""
    standing = {"queued": "Waiting", "running": "Working", "failed": "Failed", "cancelled": "Stopped"}.get(row.status)
    if row.status == "running" and row.step is not None and row.step.total > 1:
        standing = f"Working, {round(100 * row.step.index / row.step.total)} %"
    return f"{star}{title} · {standing or _format_time(row.created)}"


def _format_time(created: float) -> str:
    then, now = time.localtime(created), time.localtime()
    if then[:3] == now[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%d %b %H:%M" if then[0] == now[0] else "%d %b %Y", then)


def render_thumbnail_style(jpegs: Iterable[bytes | None]) -> str:
    """The tiles' pictures as a style, in the order of the tiles; inside the page, so that they have no address."""
    rules = [
        f'#library-grid label:nth-of-type({place})::before{{background-image:url("{encode_data_url(jpeg)}")}}'
        for place, jpeg in enumerate(jpegs, 1)
        if jpeg is not None
    ]
    return f"<style>{''.join(rules)}</style>"


def render_position(start: int, shown: int, total: int, filtered: bool) -> str:
    """`25–48 of 5,012`."""
    if not total:
        return f"<p>{NO_MATCH_TEXT if filtered else EMPTY_TEXT}</p>"
    return f"<p>{start + 1}–{start + shown} of {total:,}</p>"


def render_facts(row: JobRow, title: str) -> str:
    """What a job was asked for, escaped: words are a person's own."""
    asked = [f"<strong>{escape(title)}</strong> · {time.strftime('%Y-%m-%d %H:%M', time.localtime(row.created))}"]
    said = [str(value) for value in row.job.params.values() if isinstance(value, str) and value]
    said = [text for text in said if not text.startswith("file-")]
    if said:
        asked.append(escape(" · ".join(said))[:600])
    asked.append(f"Seed {row.job.seed} · <code>{row.job.id}</code>")
    return "".join(f"<p>{line}</p>" for line in asked)


def render_job_status(row: JobRow) -> str:
    """The stage line of one job."""
    if row.status == "done" and row.result is not None and row.result.files:
        return tool_tab_text.render_result_status(row.job, row.result, 0)
    if row.error is not None:
        return tool_tab_text.render_status(str(row.error["message"]))
    return tool_tab_text.render_status(
        {"queued": "Waiting", "running": "Working"}.get(row.status, "Stopped"), busy=row.finished is None
    )


def render_comparison_status(left: str, right: str) -> str:
    """The stage line under two pictures."""
    return tool_tab_text.render_status(f"Left: {left}. Right: {right}. Move the slider.")


def render_picked_status(count: int) -> str:
    """The stage line when several, or none, are picked."""
    return tool_tab_text.render_status(NONE_PICKED_TEXT if not count else f"{count} picked")


def show_actions(parts: LibraryTab, rows: Sequence[JobRow]) -> dict[Component, gr.Button | gr.DownloadButton]:
    """What can be done with what is picked."""
    starred = bool(rows) and all(row.starred for row in rows)
    done = any(row.status == "done" for row in rows)
    return {
        parts.reuse: gr.Button(interactive=len(rows) == 1),
        parts.star: gr.Button("Take star away" if starred else "Star", interactive=bool(rows)),
        parts.make_zip: gr.Button("Make ZIP", interactive=done),
        parts.delete: gr.Button("Delete", interactive=bool(rows)),
        parts.download: gr.DownloadButton(visible=False),
    }
