"""The page: home and one tab per tool, wired to the service; knows no particular tool and no model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pipelines.service.orders import StudioService
from ui import gradio_client_api, i18n, settings_tab, verify_tab
from ui.api.auth.access import Access
from ui.api_tab import page as api_tab_page
from ui.batch_tab import events as batch_tab_events
from ui.batch_tab.events import BatchTabEvents
from ui.components.pictures import DELETE_CACHE_SECONDS
from ui.gradio_patches import coalesce_updates, frontend_script, session_memory
from ui.gradio_patches.full_updates import send_full_updates
from ui.home_tab import cards
from ui.home_tab.quick_start import QuickStart
from ui.learn_tab import events as learn_tab_events
from ui.library_tab.events import LibraryTabEvents
from ui.library_tab.layout import TITLE as TITLE_OF_LIBRARY
from ui.saved_tab import TITLE as TITLE_OF_KEPT
from ui.saved_tab import SavedTab
from ui.theme import FAVICON, build_theme, patch_templates, render_head
from ui.tool_tab.code_panel_events import CodePanelEvents
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import TILES_FOLDER, TabHandoff, TabState, build_tool_tab, render_tile_css
from ui.tool_tab.mask_editor import MaskEditorEvents
from ui.tool_tab.multi_upload import MultiUploadEvents
from ui.tool_tab.settings_link import parse_link

TITLE = "DesignerBox"
UPLOAD_LIMIT_SIZE = "64mb"
"""A little more than ingest takes, so that a file which is too large gets ingest's sentence."""

SHORT_TITLES = {
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
class PageTab:
    """A tab that is no tool. `build` lays it out inside the tab it is handed, which is open, and wires it."""

    id: str
    title: str
    build: Callable[[gr.Tab, StudioService, Access], object]


PAGE_TABS: tuple[PageTab, ...] = (
    PageTab("batch", "Batch", batch_tab_events.build_tab),
    PageTab("verify", "Verify", verify_tab.build_tab),
    PageTab("learn", learn_tab_events.TITLE, learn_tab_events.build_tab),
    PageTab("api", api_tab_page.TITLE, api_tab_page.build_tab),
    PageTab("settings", settings_tab.TITLE, settings_tab.build_tab),
)
"""One row a page, in the order of their tabs, after the tools."""


def build_page(service: StudioService, access: Access) -> gr.Blocks:
    """The whole page. Launch it with `launch_arguments()`, and serve `routes()` beside it."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE_SECONDS, fill_width=True) as page:
        styles = "".join(render_tile_css(tool) for tool in service.tools)
        gr.HTML(f"<style>{styles}</style>{_render_brand()}", elem_classes=["dbx-brand"])
        coalesce_updates.add_visibility_buttons()
        if service.settings.oauth:
            _add_sign_in()
        with gr.Tabs(elem_id="dbx-tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Home", id="home", elem_id="tab-home"):
                start = QuickStart(service, access, cards.render_header())
                gr.HTML(cards.render_cards(service.tools, service.profile))
            events = [
                _build_tool_tab(row.id, SHORT_TITLES.get(row.id, row.title), service, access) for row in service.tools
            ]
            with gr.Tab(TITLE_OF_LIBRARY, id="library", elem_id="tab-library") as tab:
                library = LibraryTabEvents(service, access)
                library.wire(tab)
            with gr.Tab(TITLE_OF_KEPT, id="kept", elem_id="tab-kept") as tab:
                SavedTab(service, access).wire(tab, tabs, events)
            built: dict[str, Any] = {}
            for row in PAGE_TABS:
                with gr.Tab(row.title, id=row.id, elem_id=f"tab-{row.id}") as tab:
                    built[row.id] = row.build(tab, service, access)
        _wire_send_to(tabs, events)
        _wire_apply_to_folder(tabs, events, built["batch"])
        start.wire(tabs, {each.tab.tool.id: each.tab.handoff for each in events})
        library.wire_reuse(tabs, events)
        _wire_shared_consent(start, events)
        _wire_settings_link(page, tabs, events, service)
    _hide_progress(page)
    send_full_updates(page)
    gradio_client_api.add_tool_events(page, service, access)
    names = {row.id for row in service.tools}
    for event in page.fns.values():  # those that Gradio adds by itself are public unless told otherwise
        if event.page != gradio_client_api.CLIENTS_PAGE or event.api_name not in names:
            event.api_visibility = "private"
    return page


def build_launch_arguments() -> dict[str, Any]:
    """What `launch` must be given beside host, port, share, auth and routes."""
    patch_templates()
    session_memory.shrink_sessions()
    return {
        "favicon_path": str(FAVICON),
        "theme": build_theme(),
        "head": render_head(),
        "footer_links": [],
        "run_history": False,
        "ssr_mode": False,
        "enable_monitoring": False,
        "state_session_capacity": session_memory.MAX_SESSION_COUNT,
        "max_file_size": UPLOAD_LIMIT_SIZE,
        "pwa": False,
        "mcp_server": False,
        "show_error": False,
        # Else Gradio asks for the page once more and refuses to start where that takes over three seconds; it has
        # asked its own server for the start-up events by then, which is proof enough.
        "_frontend": False,
    }


def build_static_routes() -> list[BaseRoute]:
    """The page's pictures, its German and its lightened script; open to everybody, like its style."""
    TILES_FOLDER.mkdir(parents=True, exist_ok=True)
    tiles = Mount("/assets/tiles", app=StaticFiles(directory=TILES_FOLDER))
    return [Route(i18n.SCRIPT_PATH, i18n.send_script), *frontend_script.build_script_routes(), tiles]


def _hide_progress(page: gr.Blocks) -> None:
    """Gradio's own signs of progress, which we hide, on no component instead of on every output.

    For each of them its page walks the whole tree at every turn of every event: with eighty outputs on a page of
    sixteen tabs an upload kept the browser busy for many seconds.
    """
    for event in page.fns.values():
        event.show_progress_on = []


def _render_brand() -> str:
    return '<a class="dbx-mark" href="#home">DesignerBox</a>'


def _add_sign_in() -> None:
    """For visitors of a Space: who signs in finds their pictures again, wherever they are."""
    gr.LoginButton(
        "Sign in with Hugging Face", logout_value="Sign out ({})", size="sm", elem_id="dbx-sign-in", min_width=200
    )


def _build_tool_tab(tool_id: str, title: str, service: StudioService, access: Access) -> ToolTabEvents:
    with gr.Tab(title, id=tool_id, elem_id=f"tab-{tool_id}") as tab:
        events = ToolTabEvents(build_tool_tab(service.find_tool(tool_id), service), service, access)
    events.wire()
    CodePanelEvents(events, access).wire()
    for brush in events.tab.mask_editors:
        MaskEditorEvents(brush, events).wire()
    for made in events.tab.controls.values():
        if made.field.kind == "pictures" and not made.lock_reason:
            MultiUploadEvents(made, events).wire()
    tab.select(
        events.resume_last_job, [events.tab.state], events.tab.output_components(), api_visibility="private", concurrency_limit=None,
        show_progress="hidden", trigger_mode="multiple",
    )  # fmt: skip
    return events


def _wire_send_to(tabs: gr.Tabs, events: Sequence[ToolTabEvents]) -> None:
    """Send to: the shown picture becomes another tab's photo, and that tab comes to the front."""
    incoming = {each.tab.tool.id: each.tab.handoff for each in events}
    for each in events:
        each.tab.result.send_to.input(
            _make_send_handler(each, tabs, incoming), [each.tab.state, each.tab.result.send_to, each.tab.result.variation],
            [tabs, each.tab.result.send_to, *incoming.values()], api_visibility="private", concurrency_limit=None,
            show_progress="hidden",
        )  # fmt: skip


def _wire_apply_to_folder(tabs: gr.Tabs, events: Sequence[ToolTabEvents], batch: BatchTabEvents) -> None:
    """Apply to a folder: the batch tab comes to the front with the shown picture's tool and settings."""
    for each in events:
        parts: list[Any] = list(vars(batch.tab).values())
        each.tab.result.apply_to_folder.click(
            _make_apply_handler(each, tabs, batch), [each.tab.state], [tabs, *parts], api_visibility="private",
            concurrency_limit=None, show_progress="hidden",
        )  # fmt: skip


def _make_apply_handler(events: ToolTabEvents, tabs: gr.Tabs, batch: BatchTabEvents) -> Callable[..., dict[Any, Any]]:
    def apply(request: gr.Request, seat: TabState) -> dict[Any, Any]:
        made = events.read_shown_settings(seat, request)
        if made is None:
            return {tabs: gr.skip()}
        return {tabs: gr.Tabs(selected="batch"), **batch.take_settings(events.tab.tool.id, *made)}

    return apply


def _make_send_handler(
    events: ToolTabEvents, tabs: gr.Tabs, incoming: dict[str, gr.State]
) -> Callable[..., dict[Any, Any]]:
    def send(request: gr.Request, seat: TabState, to: str, variation: str | None) -> dict[Any, Any]:
        file_id = events.find_shown_file(seat, int(variation or 1) - 1, request)
        if to not in incoming or file_id is None:
            return {events.tab.result.send_to: ""}
        return {
            tabs: gr.Tabs(selected=to),
            events.tab.result.send_to: "",
            incoming[to]: TabHandoff(file_id, time.time()),
        }

    return send


def _wire_settings_link(
    page: gr.Blocks, tabs: gr.Tabs, events: Sequence[ToolTabEvents], service: StudioService
) -> None:
    """An address with a tool and settings in its query opens that tool with them."""
    incoming = {each.tab.tool.id: each.tab.handoff for each in events}

    def follow(request: gr.Request) -> dict[Any, Any]:
        link = parse_link(dict(request.query_params), service.tools)
        if link is None:
            return {tabs: gr.skip()}
        return {tabs: gr.Tabs(selected=link.tool), incoming[link.tool]: TabHandoff(None, time.time(), link.values)}

    page.load(follow, [], [tabs, *incoming.values()], api_visibility="private", show_progress="hidden")


def _wire_shared_consent(start: QuickStart, events: Sequence[ToolTabEvents]) -> None:
    """Consent is asked once per visit: the box of one tab ticks those of the others."""
    boxes = [each.tab.controls["consent"].value for each in events if "consent" in each.tab.controls]
    boxes = [start.consent, *boxes]
    for box in boxes:
        others = [other for other in boxes if other is not box]
        if others:
            tick: Any = box
            echo = f"(v) => [{', '.join('v' for _ in others)}]" if len(others) > 1 else "(v) => v"
            tick.input(None, [box], others, js=echo, api_visibility="private")
