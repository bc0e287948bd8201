"""The API tab: address, example code, console, and API keys for administrators."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.core.errors import BadInput
from pipelines.core.tools import Tool
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl, ConnectionInfo
from ui.api.auth.keys import DEFAULT_SCOPES, NAME_MAX_LENGTH, SCOPES, ApiKey, KeyLimits, ToolUsage, parse_scopes
from ui.api.documentation.code_snippets import SNIPPET_LANGUAGES, make_snippet_request
from ui.api_tab import console
from ui.components.event_options import PRIVATE_EVENT
from ui.components.page_address import page_address
from ui.components.tables import render_table
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.updates import Updates

TITLE = "API Access"
INTRO_TEXT = "For programmers: every tool from a program of your own, in the form that OpenAI's clients already speak."
EXAMPLE_PROMPT = "forest in the morning"
"""Prompt of the examples, which run as they are."""
SHOWN_ONCE_TEXT = "Copy it now: it is shown only once. The studio keeps no copy of it."
ADMIN_ONLY_TEXT = "Keys are made by whoever runs this studio: python app.py key new NAME"
NAME_MISSING_TEXT = "Give the key a name first."
KEY_GONE_TEXT = "Choose a key that still works."
SCOPE_MISSING_TEXT = "Choose at least one permission."
SCOPE_LABELS = {"read": "Read", "create": "Create", "admin": "Administer"}
SCOPE_INFO = "Read: own jobs and files. Create: make and stop them. Administer: keys and statistics."
SAMPLE_TOOL = "background"
"""Tool of the examples; if it is missing, the first tool is used."""


def write_samples(tool: Tool, connection: ConnectionInfo) -> list[str]:
    """Write the example request in every snippet language. The code names the key's variable, never a key."""
    prompt_fields = tool.params.fields_of_kind("prompt")[:1] if tool.id == SAMPLE_TOOL else ()
    request = make_snippet_request(tool, dict.fromkeys(prompt_fields, EXAMPLE_PROMPT), lambda _: True)
    return [language.write(request, connection) for language in SNIPPET_LANGUAGES]


def render_about(base: str, needs_key: bool) -> str:
    """Render the address of the API and whether it needs a key."""
    key = (
        "Every call needs a key: <code>Authorization: Bearer sk-dbx-…</code>"
        if needs_key
        else "No key is needed from this machine. With <code>--require-key</code>, every call needs one."
    )
    return (
        f'<div class="dbx-facts"><p>Base address <code id="api-base">{escape(base)}/v1</code></p><p>{key}</p>'
        "<p>No usage limits but those that you give a key. "
        '<a href="v1/docs" target="_blank" rel="noopener">All routes and error codes</a></p>'
        f"<p>For AI assistants, the same tools over MCP: <code>{escape(base)}/mcp</code>, with the same keys.</p></div>"
    )


def render_keys(keys: Sequence[ApiKey], usage: Mapping[str, Sequence[ToolUsage]] | None = None) -> str:
    """Render the keys without their secrets, newest first."""
    if not keys:
        return "<p>There is no key yet.</p>"
    rows = (_describe_key(key, (usage or {}).get(key.id, ())) for key in reversed(keys))
    return render_table(("Key", "Permissions", "Made", "State"), rows)


def _describe_key(key: ApiKey, usage: Sequence[ToolUsage]) -> Sequence[str]:
    """Return the table cells of a key, as escaped HTML."""
    permissions = [" · ".join(SCOPE_LABELS[scope] for scope in key.scopes), *_describe_limits(key.limits)]
    made = [f"{row.pictures} × {escape(row.tool)}" for row in usage] or ["Nothing yet"]
    state = f"Revoked {_format_day(key.revoked)}" if key.revoked else "Works"
    used = f"Last used {_format_day(key.used)}" if key.used else "Never used"
    return (
        f"{escape(key.name)}<br><code>sk-dbx-{key.id[:6]}…</code>",
        "<br>".join(permissions),
        "<br>".join(made),
        f"{state}<br>{used}<br>Made {_format_day(key.created)}",
    )


def _describe_limits(limits: KeyLimits) -> list[str]:
    amounts = zip(astuple(limits), ("requests a minute", "pictures a day", "jobs at once"), strict=True)
    return [f"{amount} {unit}" for amount, unit in amounts if amount is not None] or ["No limits"]


def _format_day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(when))


def build_tab(gradio_tab: gr.Tab, service: StudioService, access: AccessControl) -> None:
    """Build the API tab inside `gradio_tab` and attach its listeners."""
    ApiTab(access, service).wire(gradio_tab)


class ApiTab:
    """Components and listeners of the tab. Every handler checks that the visitor may administer."""

    def __init__(self, access: AccessControl, service: StudioService) -> None:
        self.access = access
        self.tool = next((row for row in service.tools if row.id == SAMPLE_TOOL), service.tools[0])
        gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{INTRO_TEXT}</p></header>')
        with gr.Row(elem_classes=["dbx-access"]):
            with gr.Column(scale=6, min_width=320, elem_classes=["dbx-form"]):
                self.about_html = gr.HTML("", elem_id="api-about")
                gr.HTML("<h2>Keys</h2>")
                self.admin_only = gr.HTML(f"<p>{escape(ADMIN_ONLY_TEXT)}</p>", elem_id="api-not-yours")
                with gr.Column(visible=False) as self.admin_column:
                    self._lay_out_keys()
            with gr.Column(scale=6, min_width=320):
                gr.HTML(console.render_console(service), elem_id="api-console")
                gr.HTML("<h2>Code</h2><p>Every tool has its own under Generate, for what is set there.</p>")
                languages: list[Any] = [row.highlight for row in SNIPPET_LANGUAGES]
                self.codes: list[gr.Code] = []
                with gr.Tabs(elem_classes=["dbx-languages"]):
                    for row, language in zip(SNIPPET_LANGUAGES, languages, strict=True):
                        with gr.Tab(row.title):
                            code = gr.Code("", language=language, interactive=False, elem_id=f"api-{row.id}")
                            self.codes.append(code)

    def _lay_out_keys(self) -> None:
        self.name = gr.Textbox(
            label="Name of the key", info="Whose it is, or what for.", max_length=NAME_MAX_LENGTH, elem_id="api-name"
        )
        self.scopes = gr.CheckboxGroup(
            [(SCOPE_LABELS[scope], scope) for scope in SCOPES],
            value=list(DEFAULT_SCOPES),
            label="Permissions",
            info=SCOPE_INFO,
            elem_id="api-scopes",
        )
        self.limits: list[gr.Number] = []
        with gr.Accordion(
            "Limits: none unless you set them", open=False, elem_classes=["dbx-more"], elem_id="api-limits"
        ):
            for label in ("Requests a minute", "Pictures a day", "Jobs at once"):
                self.limits.append(gr.Number(0, label=label, minimum=0, precision=0, info="0: no limit"))
        self.alerts = gr.HTML("", elem_classes=["dbx-alerts"])
        self.create = gr.Button("Create a key", variant="primary", elem_id="api-new")
        self.new_key = gr.Textbox(
            label="Your new key",
            info=SHOWN_ONCE_TEXT,
            interactive=False,
            visible=False,
            buttons=["copy"],
            elem_id="api-secret",
        )
        self.key_table = gr.HTML("", elem_id="api-keys")
        self.key_choice = gr.Dropdown(
            [],
            label="Change or revoke a key",
            elem_id="api-which",
            info="Its permissions and limits appear above. Change them there and save.",
        )
        with gr.Row():
            self.save = gr.Button("Save changes", interactive=False, elem_id="api-save")
            self.revoke = gr.Button("Revoke", variant="stop", interactive=False, elem_id="api-revoke")

    def wire(self, gradio_tab: gr.Tab) -> None:
        """Attach the listeners."""
        form: list[Component] = [self.name, self.scopes, *self.limits]
        key_outputs: list[Component] = [*form, self.alerts, self.new_key, self.key_table, self.key_choice]
        key_outputs += [self.save, self.revoke]
        outputs: list[Any] = [self.about_html, *self.codes, self.admin_column, self.admin_only, *key_outputs]
        gradio_tab.select(self.refresh, [], outputs, **PRIVATE_EVENT)
        for listener in (self.create.click, self.name.submit):
            listener(self.create_key, form, key_outputs, **PRIVATE_EVENT)
        self.key_choice.input(self.choose_key, [self.key_choice], key_outputs, **PRIVATE_EVENT)
        self.save.click(self.change_key, [self.key_choice, *form], key_outputs, **PRIVATE_EVENT)
        self.revoke.click(self.revoke_key, [self.key_choice], key_outputs, **PRIVATE_EVENT)

    def refresh(self, request: gr.Request) -> dict[Any, Any]:
        """Fill the tab, and hide a new key that was shown before."""
        base, needed = page_address(request), self.access.needs_key
        allowed = self.access.may_administer(request)
        filled: dict[Any, Any] = {
            self.about_html: render_about(base, needed),
            **dict(zip(self.codes, write_samples(self.tool, self.access.describe_connection(base)), strict=True)),
            self.admin_column: gr.update(visible=allowed),
            self.admin_only: gr.update(visible=not allowed),
        }
        return {**filled, **self._show_keys()} if allowed else filled

    def create_key(self, request: gr.Request, name: str, scopes: Sequence[str], *limits: float | None) -> Updates:
        """Create a key and show it once."""
        self._require_admin(request)
        error = _find_form_error(name, scopes)
        if error is not None:
            return {self.alerts: error}
        secret = self.access.keys.create_key(_clean_name(name), parse_scopes(scopes), _to_limits(limits))
        return {**self._show_keys(), **self._clear_form(), self.new_key: gr.update(value=secret, visible=True)}

    def choose_key(self, request: gr.Request, key_id: str | None) -> Updates:
        """Show name, permissions and limits of a key in the form."""
        self._require_admin(request)
        key = self.access.keys.get_key(key_id or "")
        if key is None:
            return {**self._clear_form(), **self._enable_changes(is_chosen=False)}
        return {
            **self._enable_changes(is_chosen=True),
            self.name: key.name,
            self.scopes: list(key.scopes),
            **{number: amount or 0 for number, amount in zip(self.limits, astuple(key.limits), strict=True)},
        }

    def change_key(
        self, request: gr.Request, key_id: str | None, name: str, scopes: Sequence[str], *limits: float | None
    ) -> Updates:
        """Change name, permissions and limits of a key. They apply from the next call on."""
        self._require_admin(request)
        error = _find_form_error(name, scopes)
        if error is not None:
            return {self.alerts: error}
        done = self.access.keys.change_key(key_id or "", _clean_name(name), parse_scopes(scopes), _to_limits(limits))
        if not done:
            return {self.alerts: tool_tab_text.render_alert(KEY_GONE_TEXT, "api-which")}
        return {**self._show_keys(), **self._clear_form()}

    def revoke_key(self, request: gr.Request, key_id: str | None) -> Updates:
        """Revoke a key. It is refused from the next call on."""
        self._require_admin(request)
        done = key_id is not None and self.access.keys.revoke_key(key_id)
        return {
            **self._show_keys(),
            **self._clear_form(),
            self.alerts: "" if done else tool_tab_text.render_alert(KEY_GONE_TEXT, "api-which"),
        }

    def _clear_form(self) -> Updates:
        return {self.name: "", self.scopes: list(DEFAULT_SCOPES), **dict.fromkeys(self.limits, 0)}

    def _enable_changes(self, *, is_chosen: bool) -> Updates:
        return dict.fromkeys((self.save, self.revoke), gr.Button(interactive=is_chosen))

    def _require_admin(self, request: gr.Request) -> None:
        if not self.access.may_administer(request):
            raise BadInput(ADMIN_ONLY_TEXT)

    def _show_keys(self) -> Updates:
        keys = self.access.keys.list_keys()
        choices = [(f"{key.name} · sk-dbx-{key.id}…", key.id) for key in keys if key.revoked is None]
        return {
            **self._enable_changes(is_chosen=False),
            self.alerts: "",
            self.new_key: gr.update(value="", visible=False),
            self.key_table: render_keys(keys, {key.id: self.access.keys.list_key_usage(key.id) for key in keys}),
            self.key_choice: gr.update(choices=choices, value=None),
        }


def _clean_name(name: str) -> str:
    return (name or "").strip()[:NAME_MAX_LENGTH]


def _find_form_error(name: str, scopes: Sequence[str]) -> str | None:
    """Return an alert for an incomplete form, else None."""
    if not _clean_name(name):
        return tool_tab_text.render_alert(NAME_MISSING_TEXT, "api-name")
    return None if parse_scopes(scopes or ()) else tool_tab_text.render_alert(SCOPE_MISSING_TEXT, "api-scopes")


def _to_limits(limits: Sequence[float | None]) -> KeyLimits:
    return KeyLimits(*(int(amount) if amount and amount >= 1 else None for amount in limits))
