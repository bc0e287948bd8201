"""API Access: the page's tab with the address, working code, and keys for whoever administers; knows no tool's form."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.core.errors import BadInput
from pipelines.core.tools import Tool
from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.api.auth.keys import NAME_LENGTH, SCOPES, USUAL, Bounds, Key, Used, scopes_of
from ui.api.code_snippets import WAYS, Door, asked
from ui.api_tab import console
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.updates import Updates, page_address

TITLE = "API Access"
LEDE = "Every tool over HTTP, in the shape that OpenAI's clients already speak."
EXAMPLE_PROMPT = "forest in the morning"
"""What the examples ask for; anybody may run them as they stand."""
SHOWN_ONCE_TEXT = "Copy it now: it is shown this once, and only its hash is kept."
ADMIN_ONLY_TEXT = "Keys are made by whoever runs this studio: python app.py key new NAME"
NAME_MISSING_TEXT = "Give the key a name first: it tells you later whose it is."
KEY_GONE_TEXT = "Choose a key that still works."
SCOPE_MISSING_TEXT = "A key that may nothing opens nothing: tick what it may."
SCOPE_LABELS = {"read": "Read", "create": "Create", "admin": "Administer"}
SCOPE_INFO = "Read: own jobs and files. Create: make and stop them. Administer: keys and figures."

SAMPLE_TOOL = "background"
"""The tool that the examples use, where there is one of this id; else the first."""


def write_samples(tool: Tool, door: Door) -> list[str]:
    """The same picture in every way there is. A key is named where one is needed, and never shown."""
    tool_tab_text = tool.params.fields_of_kind("prompt")[:1] if tool.id == SAMPLE_TOOL else ()
    what = asked(tool, dict.fromkeys(tool_tab_text, EXAMPLE_PROMPT), lambda _: True)
    return [row.write(what, door) for row in WAYS]


def render_about(base: str, needs_key: bool) -> str:
    """Where the API is and what it asks for, as HTML."""
    key = (
        "Every call needs a key: <code>Authorization: Bearer sk-dbx-…</code>"
        if needs_key
        else "No key is needed from this machine. With <code>--require-key</code>, every call needs one."
    )
    return (
        f'<div class="dbx-facts"><p>Base address <code id="api-base">{escape(base)}/v1</code></p><p>{key}</p>'
        "<p>No usage limits but those that you give a key. "
        '<a href="v1/docs" target="_blank" rel="noopener">All routes and error codes</a></p>'
        f"<p>For agents, the same tools over MCP: <code>{escape(base)}/mcp</code>, with the same keys.</p></div>"
    )


def render_keys(keys: Sequence[Key], usage: Mapping[str, Sequence[Used]] | None = None) -> str:
    """The keys, newest first, without their secrets; names are a person's text and are escaped."""
    if not keys:
        return "<p>There is no key yet.</p>"
    rows = "".join(_render_key(key, (usage or {}).get(key.id, ())) for key in reversed(keys))
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Key", "It may", "Made", "State"))
    return f'<table class="dbx-keys"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _render_key(key: Key, usage: Sequence[Used]) -> str:
    may = [" · ".join(SCOPE_LABELS[scope] for scope in key.scopes), *_describe_limits(key.bounds)]
    made = [f"{row.pictures} × {escape(row.tool)}" for row in usage] or ["Nothing yet"]
    state = f"Revoked {_format_day(key.revoked)}" if key.revoked else "Works"
    used = f"Last used {_format_day(key.used)}" if key.used else "Never used"
    cells = (
        f"{escape(key.name)}<br><code>sk-dbx-{key.id[:6]}…</code>", "<br>".join(may), "<br>".join(made),
        f"{state}<br>{used}<br>Made {_format_day(key.created)}",
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _describe_limits(bounds: Bounds) -> list[str]:
    said = (
        (bounds.per_minute, "requests a minute"), (bounds.per_day, "pictures a day"), (bounds.at_once, "jobs at once"),
    )  # fmt: skip
    return [f"{amount} {tool_tab_text}" for amount, tool_tab_text in said if amount is not None] or ["No limits"]


def _format_day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(when))


def build_tab(page: gr.Tab, service: StudioService, access: Access) -> None:
    """Lay the page out in its tab, and wire it."""
    ApiTab(access, service).wire(page)


class ApiTab:
    """The tab's parts and what happens when they are touched. Every handler asks anew who is there."""

    def __init__(self, access: Access, service: StudioService) -> None:
        self.access = access
        self.tool = next((row for row in service.tools if row.id == SAMPLE_TOOL), service.tools[0])
        gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{LEDE}</p></header>')
        with gr.Row(elem_classes=["dbx-access"]):
            with gr.Column(scale=7, min_width=320):
                self.about_html = gr.HTML("", elem_id="api-about")
                gr.HTML(console.render_console(service), elem_id="api-console")
                gr.HTML("<h2>Code</h2><p>Every tool has its own under Generate, for what is set there.</p>")
                languages: list[Any] = [row.language for row in WAYS]
                self.codes = [
                    gr.Code("", language=language, label=row.title, interactive=False, elem_id=f"api-{row.id}")
                    for row, language in zip(WAYS, languages, strict=True)
                ]
            with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
                gr.HTML("<h2>Keys</h2>")
                self.admin_only = gr.HTML(f"<p>{escape(ADMIN_ONLY_TEXT)}</p>", elem_id="api-not-yours")
                with gr.Column(visible=False) as self.admin_column:
                    self._lay_out_keys()

    def _lay_out_keys(self) -> None:
        self.name = gr.Textbox(label="Name of the key", info="Whose it is, or what for.", max_length=NAME_LENGTH,
                               elem_id="api-name")  # fmt: skip
        self.scopes = gr.CheckboxGroup(
            [(SCOPE_LABELS[scope], scope) for scope in SCOPES], value=list(USUAL), label="It may", info=SCOPE_INFO,
            elem_id="api-scopes",
        )  # fmt: skip
        self.limits: list[gr.Number] = []
        with gr.Accordion("Limits: none unless you set them", open=False, elem_id="api-limits"):
            for label in ("Requests a minute", "Pictures a day", "Jobs at once"):
                self.limits.append(gr.Number(0, label=label, minimum=0, precision=0, info="0: no limit"))
        self.alerts = gr.HTML("", elem_classes=["dbx-alerts"])
        self.create = gr.Button("Make a key", variant="primary", elem_id="api-new")
        self.new_key = gr.Textbox(
            label="Your new key",
            info=SHOWN_ONCE_TEXT,
            interactive=False,
            visible=False,
            buttons=["copy"],
            elem_id="api-secret",
        )
        self.key_table = gr.HTML("", elem_id="api-keys")
        self.key_choice = gr.Dropdown([], label="Change or revoke a key", elem_id="api-which",
                                 info="What it may and its limits appear above, to be saved anew.")  # fmt: skip
        with gr.Row():
            self.save = gr.Button("Save changes", elem_id="api-save")
            self.revoke = gr.Button("Revoke for good", variant="stop", elem_id="api-revoke")

    def wire(self, opened: gr.Tab) -> None:
        """Attach the listeners, all private to the page."""
        form: list[Component] = [self.name, self.scopes, *self.limits]
        keys: list[Component] = [*form, self.alerts, self.new_key, self.key_table, self.key_choice]
        everything: list[Any] = [self.about_html, *self.codes, self.admin_column, self.admin_only, *keys]
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
        opened.select(self.refresh, [], everything, **quiet)
        for listener in (self.create.click, self.name.submit):
            listener(self.create_key, form, keys, **quiet)
        self.key_choice.input(self.choose_key, [self.key_choice], keys, **quiet)
        self.save.click(self.change_key, [self.key_choice, *form], keys, **quiet)
        self.revoke.click(self.revoke_key, [self.key_choice], keys, **quiet)

    def refresh(self, request: gr.Request) -> dict[Any, Any]:
        """Fill the tab; a key that was shown before is not shown again."""
        base, needed = page_address(request), self.access.needs_key
        allowed = self.access.administers(request)
        filled: dict[Any, Any] = {
            self.about_html: render_about(base, needed),
            **dict(zip(self.codes, write_samples(self.tool, self.access.door(base)), strict=True)),
            self.admin_column: gr.update(visible=allowed),
            self.admin_only: gr.update(visible=not allowed),
        }
        return {**filled, **self._show_keys()} if allowed else filled

    def create_key(self, request: gr.Request, name: str, scopes: Sequence[str], *bounds: float | None) -> Updates:
        """Make a key and show it this once."""
        self._require_admin(request)
        wrong = _find_form_error(name, scopes)
        if wrong is not None:
            return {self.alerts: wrong}
        text = self.access.keys.new(_clean_name(name), scopes_of(scopes), _to_limits(bounds))
        return {**self._show_keys(), **self._clear_form(), self.new_key: gr.update(value=text, visible=True)}

    def choose_key(self, request: gr.Request, key_id: str | None) -> Updates:
        """What a key is called and may, in the form."""
        self._require_admin(request)
        key = self.access.keys.get(key_id or "")
        if key is None:
            return self._clear_form()
        amounts = (key.bounds.per_minute, key.bounds.per_day, key.bounds.at_once)
        return {
            self.name: key.name,
            self.scopes: list(key.scopes),
            **{number: amount or 0 for number, amount in zip(self.limits, amounts, strict=True)},
        }

    def change_key(
        self, request: gr.Request, key_id: str | None, name: str, scopes: Sequence[str], *bounds: float | None
    ) -> Updates:
        """Name, scope and bound a key anew; it opens as before, within the new bounds from the next call on."""
        self._require_admin(request)
        wrong = _find_form_error(name, scopes)
        if wrong is not None:
            return {self.alerts: wrong}
        done = self.access.keys.change(key_id or "", _clean_name(name), scopes_of(scopes), _to_limits(bounds))
        return (
            {**self._show_keys(), **self._clear_form()}
            if done
            else {self.alerts: tool_tab_text.render_alert(KEY_GONE_TEXT, "api-which")}
        )

    def revoke_key(self, request: gr.Request, key_id: str | None) -> Updates:
        """Revoke a key; REST and page refuse it from the next call on."""
        self._require_admin(request)
        done = key_id is not None and self.access.keys.revoke(key_id)
        return {
            **self._show_keys(),
            **self._clear_form(),
            self.alerts: "" if done else tool_tab_text.render_alert(KEY_GONE_TEXT, "api-which"),
        }

    def _clear_form(self) -> Updates:
        return {self.name: "", self.scopes: list(USUAL), **dict.fromkeys(self.limits, 0)}

    def _require_admin(self, request: gr.Request) -> None:
        if not self.access.administers(request):
            raise BadInput(ADMIN_ONLY_TEXT)

    def _show_keys(self) -> Updates:
        keys = self.access.keys.list()
        choices = [(f"{key.name} · sk-dbx-{key.id}…", key.id) for key in keys if key.revoked is None]
        return {
            self.alerts: "",
            self.new_key: gr.update(value="", visible=False),
            self.key_table: render_keys(keys, {key.id: self.access.keys.usage(key.id) for key in keys}),
            self.key_choice: gr.update(choices=choices, value=None),
        }


def _clean_name(name: str) -> str:
    return (name or "").strip()[:NAME_LENGTH]


def _find_form_error(name: str, scopes: Sequence[str]) -> str | None:
    """What to say about a form that cannot be taken."""
    if not _clean_name(name):
        return tool_tab_text.render_alert(NAME_MISSING_TEXT, "api-name")
    return None if scopes_of(scopes or ()) else tool_tab_text.render_alert(SCOPE_MISSING_TEXT, "api-scopes")


def _to_limits(bounds: Sequence[float | None]) -> Bounds:
    return Bounds(*(int(amount) if amount and amount >= 1 else None for amount in bounds))
