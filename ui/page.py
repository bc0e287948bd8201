"""The page: home and one tab per tool, wired to the desk; knows no particular tool and no model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pipelines.service.orders import Desk
from ui import gradio_client_api, i18n, settings_tab, verify_tab
from ui.api.auth.access import Access
from ui.api_tab import page as api_tab_page
from ui.batch_tab import events as batch_tab_events
from ui.batch_tab.events import BatchEvents
from ui.components.pictures import TEMPORARY
from ui.gradio_patches import coalesce_updates, frontend_script, session_memory
from ui.gradio_patches.full_updates import whole
from ui.home_tab import cards
from ui.home_tab.quick_start import Start
from ui.learn_tab import events as learn_tab_events
from ui.library_tab.events import LibraryEvents
from ui.library_tab.layout import TITLE as TITLE_OF_LIBRARY
from ui.saved_tab import TITLE as TITLE_OF_KEPT
from ui.saved_tab import KeptPage
from ui.theme import FAVICON, dress, head, theme
from ui.tool_tab.code_panel_events import CodeEvents
from ui.tool_tab.events import Events
from ui.tool_tab.layout import TILES, Handed, Seat, lay_out, tile_styles
from ui.tool_tab.mask_editor import BrushEvents
from ui.tool_tab.multi_upload import GalleryEvents
from ui.tool_tab.settings_link import read

TITLE = "DesignerBox"
UPLOAD_LIMIT = "64mb"
"""A little more than ingest takes, so that a file which is too large gets ingest's sentence."""

SHORT = {
    "headshot": "Headshots",
    "product": "Product",
    "background": "Background",
    "style": "Style",
    "character": "Character",
    "business": "Business",
    "kit": "Social kit",
    "motion": "Motion",
}
"""What a tab says where a title is long, so that the tabs fit on two lines; others say their tool's title."""


@dataclass(frozen=True)
class Page:
    """A tab that is no tool. `build` lays it out inside the tab it is handed, which is open, and wires it."""

    id: str
    title: str
    build: Callable[[gr.Tab, Desk, Access], object]


PAGES: tuple[Page, ...] = (
    Page("batch", "Batch", batch_tab_events.fill),
    Page("verify", "Verify", verify_tab.fill),
    Page("learn", learn_tab_events.TITLE, learn_tab_events.fill),
    Page("api", api_tab_page.TITLE, api_tab_page.fill),
    Page("settings", settings_tab.TITLE, settings_tab.fill),
)
"""One row a page, in the order of their tabs, after the tools."""


def build(desk: Desk, access: Access) -> gr.Blocks:
    """The whole page. Launch it with `launch_arguments()`, and serve `routes()` beside it."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=TEMPORARY, fill_width=True) as page:
        styles = "".join(tile_styles(tool) for tool in desk.tools)
        gr.HTML(f"<style>{styles}</style>{_brand()}", elem_classes=["dbx-brand"])
        coalesce_updates.watch()
        if desk.settings.oauth:
            _sign_in()
        with gr.Tabs(elem_id="dbx-tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Home", id="home", elem_id="tab-home"):
                start = Start(desk, access, cards.header())
                gr.HTML(cards.page(desk.tools, desk.profile))
            events = [_tool_tab(row.id, SHORT.get(row.id, row.title), desk, access) for row in desk.tools]
            with gr.Tab(TITLE_OF_LIBRARY, id="library", elem_id="tab-library") as tab:
                library = LibraryEvents(desk, access)
                library.wire(tab)
            with gr.Tab(TITLE_OF_KEPT, id="kept", elem_id="tab-kept") as tab:
                KeptPage(desk, access).wire(tab, tabs, events)
            built: dict[str, Any] = {}
            for row in PAGES:
                with gr.Tab(row.title, id=row.id, elem_id=f"tab-{row.id}") as tab:
                    built[row.id] = row.build(tab, desk, access)
        _connect(tabs, events)
        _to_folder(tabs, events, built["batch"])
        start.wire(tabs, {each.tab.tool.id: each.tab.incoming for each in events})
        library.connect(tabs, events)
        _ask_once(start, events)
        _follow_link(page, tabs, events, desk)
    _show_no_progress(page)
    whole(page)
    gradio_client_api.add(page, desk, access)
    names = {row.id for row in desk.tools}
    for event in page.fns.values():  # those that Gradio adds by itself are public unless told otherwise
        if event.page != gradio_client_api.PAGE or event.api_name not in names:
            event.api_visibility = "private"
    return page


def launch_arguments() -> dict[str, Any]:
    """What `launch` must be given beside host, port, share, auth and routes."""
    dress()
    session_memory.keep_small()
    return {
        "favicon_path": str(FAVICON),
        "theme": theme(),
        "head": head(),
        "footer_links": [],
        "run_history": False,
        "ssr_mode": False,
        "enable_monitoring": False,
        "state_session_capacity": session_memory.CAPACITY,
        "max_file_size": UPLOAD_LIMIT,
        "pwa": False,
        "mcp_server": False,
        "show_error": False,
        # Else Gradio asks for the page once more and refuses to start where that takes over three seconds; it has
        # asked its own server for the start-up events by then, which is proof enough.
        "_frontend": False,
    }


def routes() -> list[BaseRoute]:
    """The page's pictures, its German and its lightened script; open to everybody, like its style."""
    TILES.mkdir(parents=True, exist_ok=True)
    tiles = Mount("/assets/tiles", app=StaticFiles(directory=TILES))
    return [Route(i18n.ADDRESS, i18n.script), *frontend_script.routes(), tiles]


def _show_no_progress(page: gr.Blocks) -> None:
    """Gradio's own signs of progress, which we hide, on no component instead of on every output.

    For each of them its page walks the whole tree at every turn of every event: with eighty outputs on a page of
    sixteen tabs an upload kept the browser busy for many seconds.
    """
    for event in page.fns.values():
        event.show_progress_on = []


def _brand() -> str:
    return '<a class="dbx-mark" href="#home">DesignerBox</a>'


def _sign_in() -> None:
    """For visitors of a Space: who signs in finds their pictures again, wherever they are."""
    gr.LoginButton(
        "Sign in with Hugging Face", logout_value="Sign out ({})", size="sm", elem_id="dbx-sign-in", min_width=200
    )


def _tool_tab(tool_id: str, title: str, desk: Desk, access: Access) -> Events:
    with gr.Tab(title, id=tool_id, elem_id=f"tab-{tool_id}") as tab:
        events = Events(lay_out(desk.tool(tool_id), desk), desk, access)
    events.wire()
    CodeEvents(events, access).wire()
    for brush in events.tab.brushes:
        BrushEvents(brush, events).wire()
    for made in events.tab.controls.values():
        if made.field.kind == "pictures" and not made.locked:
            GalleryEvents(made, events).wire()
    tab.select(
        events.resume, [events.tab.seat], events.tab.outputs(), api_visibility="private", concurrency_limit=None,
        show_progress="hidden", trigger_mode="multiple",
    )  # fmt: skip
    return events


def _connect(tabs: gr.Tabs, events: Sequence[Events]) -> None:
    """Send to: the shown picture becomes another tab's photo, and that tab comes to the front."""
    incoming = {each.tab.tool.id: each.tab.incoming for each in events}
    for each in events:
        each.tab.board.send.input(
            _sender(each, tabs, incoming), [each.tab.seat, each.tab.board.send, each.tab.board.variation],
            [tabs, each.tab.board.send, *incoming.values()], api_visibility="private", concurrency_limit=None,
            show_progress="hidden",
        )  # fmt: skip


def _to_folder(tabs: gr.Tabs, events: Sequence[Events], batch: BatchEvents) -> None:
    """Apply to a folder: the batch tab comes to the front with the shown picture's tool and settings."""
    for each in events:
        parts: list[Any] = list(vars(batch.parts).values())
        each.tab.board.folder.click(
            _applier(each, tabs, batch), [each.tab.seat], [tabs, *parts], api_visibility="private",
            concurrency_limit=None, show_progress="hidden",
        )  # fmt: skip


def _applier(events: Events, tabs: gr.Tabs, batch: BatchEvents) -> Callable[..., dict[Any, Any]]:
    def apply(request: gr.Request, seat: Seat) -> dict[Any, Any]:
        made = events.shown_settings(seat, request)
        if made is None:
            return {tabs: gr.skip()}
        return {tabs: gr.Tabs(selected="batch"), **batch.take(events.tab.tool.id, *made)}

    return apply


def _sender(events: Events, tabs: gr.Tabs, incoming: dict[str, gr.State]) -> Callable[..., dict[Any, Any]]:
    def send(request: gr.Request, seat: Seat, to: str, variation: str | None) -> dict[Any, Any]:
        file_id = events.shown_file(seat, int(variation or 1) - 1, request)
        if to not in incoming or file_id is None:
            return {events.tab.board.send: ""}
        return {tabs: gr.Tabs(selected=to), events.tab.board.send: "", incoming[to]: Handed(file_id, time.time())}

    return send


def _follow_link(page: gr.Blocks, tabs: gr.Tabs, events: Sequence[Events], desk: Desk) -> None:
    """An address with a tool and settings in its query opens that tool with them."""
    incoming = {each.tab.tool.id: each.tab.incoming for each in events}

    def follow(request: gr.Request) -> dict[Any, Any]:
        link = read(dict(request.query_params), desk.tools)
        if link is None:
            return {tabs: gr.skip()}
        return {tabs: gr.Tabs(selected=link.tool), incoming[link.tool]: Handed(None, time.time(), link.values)}

    page.load(follow, [], [tabs, *incoming.values()], api_visibility="private", show_progress="hidden")


def _ask_once(start: Start, events: Sequence[Events]) -> None:
    """Consent is asked once per visit: the box of one tab ticks those of the others."""
    boxes = [each.tab.controls["consent"].value for each in events if "consent" in each.tab.controls]
    boxes = [start.consent, *boxes]
    for box in boxes:
        others = [other for other in boxes if other is not box]
        if others:
            tick: Any = box
            echo = f"(v) => [{', '.join('v' for _ in others)}]" if len(others) > 1 else "(v) => v"
            tick.input(None, [box], others, js=echo, api_visibility="private")
