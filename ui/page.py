"""The Gradio page: all tabs, the events between them, and the arguments for its launch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import gradio as gr
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pipelines.core.tools import Tool
from pipelines.engines.gpu_quota import QUOTA_SCOPE, GpuQuota, QuotaReader
from pipelines.engines.zerogpu import is_zerogpu_space
from pipelines.service.settings_link import parse_link
from pipelines.service.studio_service import StudioService
from ui import gradio_client_api, i18n, settings_tab, verify_tab
from ui.api.auth.access import AccessControl
from ui.api_tab import page as api_tab_page
from ui.batch_tab import events as batch_tab_events
from ui.batch_tab.events import BatchTabEvents
from ui.components.event_options import PRIVATE_EVENT
from ui.components.pictures import DELETE_CACHE_SECONDS
from ui.components.row_commands import build_command_field
from ui.gradio_patches import (
    assert_patched_names_exist,
    coalesce_updates,
    frontend_script,
    page_template,
    session_memory,
)
from ui.gradio_patches.full_updates import send_full_updates
from ui.gradio_patches.upload_folders import separate_uploads
from ui.home_tab import cards
from ui.home_tab.quick_start import OTHER_TOOLS, QuickStart
from ui.learn_tab import events as learn_tab_events
from ui.library_tab.events import LibraryTabEvents
from ui.library_tab.layout import TITLE as LIBRARY_TITLE
from ui.navigation import NavigationLink, render_navigation
from ui.saved_tab import TITLE as SAVED_TITLE
from ui.saved_tab import SavedTab
from ui.theme import FAVICON, FONT_PATH, build_theme, render_head, send_font
from ui.tool_tab import text
from ui.tool_tab.code_panel import CodePanelEvents
from ui.tool_tab.events import ToolTabEvents
from ui.tool_tab.layout import TILES_FOLDER, ToolTab, render_example_css, render_tile_css
from ui.tool_tab.mask_editor import MaskEditorEvents
from ui.tool_tab.multi_upload import MultiUploadEvents
from ui.tool_tab.pointing import PointingEvents
from ui.tool_tab.state import TabHandoff, TabState
from ui.tool_tab.team_portraits import TeamPanelEvents
from ui.tool_tab.updates import keep_consent

GONE_TEXT = "That picture is no longer here."
TITLE = "DesignerBox"
UPLOAD_LIMIT = "64mb"
"""Gradio's upload limit, above that of ingest, so that a file that is too large gets ingest's error."""


@dataclass(frozen=True)
class PageTab:
    """A tab that is no tool. `build` builds it inside the open Gradio tab and attaches its listeners."""

    id: str
    title: str
    build: Callable[[gr.Tab, StudioService, AccessControl], object]


PAGE_TABS: tuple[PageTab, ...] = (
    PageTab("batch", "Batch", batch_tab_events.build_tab),
    PageTab("verify", "Verify", verify_tab.build_tab),
    PageTab("learn", learn_tab_events.TITLE, learn_tab_events.build_tab),
    PageTab("api", api_tab_page.TITLE, api_tab_page.build_tab),
    PageTab("settings", settings_tab.TITLE, settings_tab.build_tab),
)
"""The tabs after the tools, in order."""


def build_page(service: StudioService, access: AccessControl) -> gr.Blocks:
    """Build the page. Launch it with `build_launch_arguments()`, and serve `build_static_routes()` beside it."""
    assert_patched_names_exist()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE_SECONDS, fill_width=True) as page:
        styles = "".join(render_tile_css(tool) for tool in service.tools)
        styles += render_example_css(service.uploads.list_examples())
        others = [("library", LIBRARY_TITLE), ("batch", "Batch"), ("kept", SAVED_TITLE)]
        others += [(row.id, row.title) for row in PAGE_TABS if row.id != "batch"]
        links = [NavigationLink(*row) for row in others]
        gr.HTML(
            f"<style>{styles}</style>{render_navigation(service.tools, links, dict(OTHER_TOOLS))}",
            elem_classes=["dbx-brand"],
        )
        coalesce_updates.add_visibility_buttons()
        if service.settings.oauth:
            _add_sign_in()
        quota = gr.HTML(elem_id="dbx-gpu-left") if service.settings.oauth and is_zerogpu_space() else None
        command_field = build_command_field()
        with gr.Tabs(elem_id="dbx-tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Home", id="home", elem_id="tab-home") as home_tab:
                start = QuickStart(service, access, cards.render_header())
                gr.HTML(cards.render_cards(service.tools, service.profile))
            events = [_build_tool_tab(tool, service, access, start) for tool in service.tools]
            handoffs = {each.tab.tool.id: each.tab.handoff for each in events}
            with gr.Tab(LIBRARY_TITLE, id="library", elem_id="tab-library") as tab:
                library = LibraryTabEvents(service, access)
                library.wire(tab)
            with gr.Tab(SAVED_TITLE, id="kept", elem_id="tab-kept") as tab:
                SavedTab(service, access).wire(tab, tabs, handoffs)
            built: dict[str, Any] = {}
            for row in PAGE_TABS:
                with gr.Tab(row.title, id=row.id, elem_id=f"tab-{row.id}") as tab:
                    built[row.id] = row.build(tab, service, access)
        start.wire(home_tab, tabs, handoffs)
        jobs_to_show = library.wire_reuse_button(tabs, events)
        for each in events:
            _wire_send_to(tabs, each, handoffs)
            _wire_apply_to_folder(tabs, each, built["batch"])
            each.offer_batch_rows(
                built["batch"].batches, built["batch"].sheet.find_next_row_to_check, tabs, jobs_to_show
            )
        built["batch"].wire_row_commands(command_field, tabs, jobs_to_show)
        library.wire_send_to(tabs, handoffs)
        _wire_settings_link(page, tabs, handoffs, service)
        if quota is not None:
            _wire_quota(page, quota, events, access)
    _hide_progress(page)
    send_full_updates(page)
    separate_uploads()
    gradio_client_api.add_tool_events(page, service, access)
    names = {row.id for row in service.tools}
    for event in page.fns.values():  # Gradio's own events are public by default
        if event.page != gradio_client_api.CLIENTS_PAGE or event.api_name not in names:
            event.api_visibility = "private"
    return page


def build_launch_arguments() -> dict[str, Any]:
    """Patch Gradio, and return the arguments of `launch` besides host, port, share, auth and routes."""
    page_template.patch_templates()
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
        "max_file_size": UPLOAD_LIMIT,
        "pwa": False,
        "mcp_server": False,
        "show_error": False,
        # Otherwise Gradio requests the page once more, and does not start if that takes over three seconds. It has
        # already requested its own start-up events, which shows that the server works.
        "_frontend": False,
    }


def build_static_routes() -> list[BaseRoute]:
    """Build the public routes of the page: tile pictures, German translation, and patched scripts."""
    TILES_FOLDER.mkdir(parents=True, exist_ok=True)
    tiles = Mount("/assets/tiles", app=StaticFiles(directory=TILES_FOLDER))
    return [
        Route(i18n.SCRIPT_PATH, i18n.send_script),
        Route(FONT_PATH, send_font),
        *frontend_script.build_script_routes(),
        tiles,
    ]


def _hide_progress(page: gr.Blocks) -> None:
    """Show Gradio's progress bars on no component instead of on every output.

    CSS hides them anyway, but Gradio's page walks the whole tree for each of them at every step of an event. With
    eighty outputs and sixteen tabs an upload blocked the browser for seconds.
    """
    for event in page.fns.values():
        event.show_progress_on = []


def _add_sign_in() -> None:
    """Add the sign-in button of a Space. Visitors who sign in find their pictures on every device."""
    gr.LoginButton(
        "Sign in with Hugging Face", logout_value="Sign out ({})", size="sm", elem_id="dbx-sign-in", min_width=200
    )


def _wire_quota(page: gr.Blocks, line: gr.HTML, events: Sequence[ToolTabEvents], access: AccessControl) -> None:
    """Say what the visitor has left of ZeroGPU's seconds, when the page opens and after each Generate."""
    reader = QuotaReader()

    async def show_quota(request: gr.Request) -> str:
        found = access.find_hf_token(request, QUOTA_SCOPE)
        quota = await reader.read(*found) if found is not None else None
        return "" if quota is None else render_quota(quota)

    page.load(show_quota, [], [line], **PRIVATE_EVENT, queue=False)
    for source in events:
        source.generated.then(show_quota, [], [line], **PRIVATE_EVENT, queue=False)


def render_quota(quota: GpuQuota) -> str:
    """Return the line that says what is left; the time is UTC."""
    text = f"GPU seconds left: {quota.remaining_seconds:.0f} of {quota.base_seconds:.0f}"
    if quota.resets_at is not None:
        text += f" · more from {quota.resets_at.astimezone(UTC):%H:%M} UTC"
    return f'<p role="status">{text}</p>'


def _build_tool_tab(tool: Tool, service: StudioService, access: AccessControl, start: QuickStart) -> ToolTabEvents:
    with gr.Tab(tool.title, id=tool.id, elem_id=f"tab-{tool.id}") as tab:
        events = ToolTabEvents(ToolTab(tool, service), service, access)
    events.wire()
    CodePanelEvents(events, access).wire()
    for mask_editor in events.tab.mask_editors:
        MaskEditorEvents(mask_editor, events).wire()
    if events.tab.result.pointing is not None:
        PointingEvents(events.tab.result.pointing, events).wire()
    if events.tab.team_panel is not None:
        TeamPanelEvents(events.tab.team_panel, events).wire()
    for control in events.tab.controls.values():
        if control.field.kind == "pictures" and not control.lock_reason:
            MultiUploadEvents(control, events).wire()
    tab.select(
        events.open_tab,
        [start.state, start.visited_at, events.tab.state, *events.tab.value_components()],
        events.tab.output_components(),
        **PRIVATE_EVENT,
        trigger_mode="multiple",
    )
    return events


def _wire_send_to(tabs: gr.Tabs, events: ToolTabEvents, handoffs: Mapping[str, gr.State]) -> None:
    """Attach "Send to": the shown picture becomes the photo of another tool's tab, which opens, or of the same tool."""
    tab, panel = events.tab, events.tab.result

    def send_to(request: gr.Request, state: TabState, tool_id: str, variation: str | None) -> dict[Any, Any]:
        file_id = events.results.find_shown_file(state, int(variation or 1) - 1, request)
        if tool_id not in handoffs or file_id is None:
            return {panel.send_to: ""}
        consent = keep_consent(events.follower.find_own_job(state.shown_job_id, request))
        handoff = TabHandoff(file_id, time.time(), consent)
        return {tabs: gr.Tabs(selected=tool_id), panel.send_to: "", handoffs[tool_id]: handoff}

    def continue_with_result(request: gr.Request, state: TabState) -> dict[Any, Any]:
        file_id = events.results.find_shown_file(state, 0, request)
        if file_id is None:
            return {tab.alerts: text.render_alert(GONE_TEXT), tab.handoff: gr.skip()}
        consent = keep_consent(events.follower.find_own_job(state.shown_job_id, request))
        return {tab.handoff: TabHandoff(file_id, time.time(), consent, stays_in_row=True)}

    inputs = [tab.state, panel.send_to, panel.variation]
    panel.send_to.input(send_to, inputs, [tabs, panel.send_to, *handoffs.values()], **PRIVATE_EVENT)
    if panel.continue_here is not None:
        panel.continue_here.click(continue_with_result, [tab.state], [tab.handoff, tab.alerts], **PRIVATE_EVENT)


def _wire_apply_to_folder(tabs: gr.Tabs, events: ToolTabEvents, batch: BatchTabEvents) -> None:
    """Attach "Apply to a folder": the batch tab opens with the shown picture's tool and settings."""

    def apply_to_folder(request: gr.Request, state: TabState) -> dict[Any, Any]:
        settings = events.results.read_shown_settings(state, request)
        if settings is None:
            return {tabs: gr.skip()}
        return {tabs: gr.Tabs(selected="batch"), **batch.fill_from_job_settings(events.tab.tool.id, *settings)}

    outputs = [tabs, *batch.tab.list_components()]
    events.tab.result.apply_to_folder.click(apply_to_folder, [events.tab.state], outputs, **PRIVATE_EVENT)


def _wire_settings_link(
    page: gr.Blocks, tabs: gr.Tabs, handoffs: Mapping[str, gr.State], service: StudioService
) -> None:
    """Open the tool and the settings in the query of the page's address."""

    def open_link(request: gr.Request) -> dict[Any, Any]:
        link = parse_link(dict(request.query_params), service.tools)
        if link is None:
            return {tabs: gr.skip()}
        return {tabs: gr.Tabs(selected=link.tool), handoffs[link.tool]: TabHandoff(None, time.time(), link.values)}

    page.load(open_link, [], [tabs, *handoffs.values()], api_visibility="private", show_progress="hidden")
