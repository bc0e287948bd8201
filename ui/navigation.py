"""The page's navigation: five groups above the tabs on a wide screen, a bar at the bottom on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import NamedTuple

from pipelines.core.tools import Tool


class NavigationLink(NamedTuple):
    """A tab that can be opened: its id, its name, a sentence about it, and what Home calls it."""

    tab_id: str
    title: str
    summary: str = ""
    home_words: str = ""


_ICON_PATHS = {
    "Home": "M3 10.5 12 3l9 7.5V21h-6v-6H9v6H3z",
    "Create": "M12 4v16M4 12h16",
    "Edit": "M4 20l1-5L16 4l4 4L9 19z",
    "Library": "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
    "Batch": "M4 8h12v12H4zM8 8V4h12v12h-4",
    "More": "M5 12h.01M12 12h.01M19 12h.01",
}
_SWITCHES = (
    ("theme", "light", "Light theme"),
    ("theme", "dark", "Dark theme"),
    ("language", "en", "English"),
    ("language", "de", "Deutsch"),
)
"""What page.js can set for this browser: the setting, its value and its name."""

_CLOSE_BUTTON = '<button type="button" class="dbx-close">Close</button>'
"""Closes the sheet of a group on a phone, where it lies over the page."""
_KEYS = (
    ("Ctrl+Enter", "Generate"),
    ("Esc", "Stop, close"),
    ("Ctrl+V", "Paste a photo"),
    ("Ctrl+Z", "The picture before; with Shift the next"),
    ("Ctrl+wheel", "Resize the subject"),
    ("Double click", "Zoom in"),
    ("← →", "Compare, on the line"),
    ("?", "This list"),
)
"""What the keyboard and the mouse do, for the overview."""


def render_navigation(
    tools: Sequence[Tool], other_tabs: Sequence[NavigationLink], home_words: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Render the skip link, the brand, and the groups; page.js marks the open tab and moves by arrow keys.

    `other_tabs` are those that are no tool; Library and Batch stand alone, the rest is under More. `home_words` is what
    Home calls some tools, by id.
    """
    links = {tool.id: NavigationLink(tool.id, tool.title, tool.summary, home_words.get(tool.id, "")) for tool in tools}
    create, edit = ([links[tool.id] for tool in tools if tool.is_edit is is_edit] for is_edit in (False, True))
    more = [link for link in other_tabs if link.tab_id not in ("library", "batch")]
    items = (
        _render_link(NavigationLink("home", "Home")),
        _render_menu("Create", create),
        _render_menu("Edit", edit),
        *(_render_link(link) for link in other_tabs if link.tab_id in ("library", "batch")),
        _render_menu("More", more, _render_switches()),
    )
    return (
        '<a class="dbx-skip" href="#dbx-tabs">Skip to the content</a>'
        '<a class="dbx-mark" href="#home">DesignerBox</a>'
        f'<nav class="dbx-nav" aria-label="Tools"><ul>{"".join(f"<li>{item}</li>" for item in items)}</ul></nav>'
        f"{_render_keys()}"
    )


def _render_icon(title: str) -> str:
    return f'<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{_ICON_PATHS[title]}"/></svg>'


def _render_link(link: NavigationLink) -> str:
    return f'<a href="#{link.tab_id}">{_render_icon(link.title)}<b>{escape(link.title)}</b></a>'


def _render_menu(title: str, links: Sequence[NavigationLink], more: str = "") -> str:
    rows = "".join(
        f'<li><a href="#{link.tab_id}">{escape(link.title)}'
        f"{f' <small>{escape(link.home_words)}</small>' if link.home_words else ''}</a>"
        f"{f'<p>{escape(link.summary, quote=False)}</p>' if link.summary else ''}</li>"
        for link in links
    )
    head = f"<summary>{_render_icon(title)}<b>{title}</b></summary>"
    sheet = f'<div class="dbx-sheet-of"><ul>{rows}</ul>{more}{_CLOSE_BUTTON}</div>'
    return f'<details name="dbx-nav">{head}{sheet}</details>'


def _render_switches() -> str:
    buttons = "".join(
        f'<button type="button" data-set="{setting}" data-to="{value}">{name}</button>'
        for setting, value, name in _SWITCHES
    )
    keys = '<button type="button" popovertarget="dbx-keys">Keyboard</button>'
    return f'<div class="dbx-switches">{buttons}{keys}</div>'


def _render_keys() -> str:
    """Render the overview of keys, which the browser itself opens over the page and closes."""
    rows = "".join(f"<dt><kbd>{key}</kbd></dt><dd>{what}</dd>" for key, what in _KEYS)
    close = '<button type="button" popovertarget="dbx-keys" popovertargetaction="hide" autofocus>Close</button>'
    head = "<h2>Keyboard and mouse</h2>"
    return (
        f'<div id="dbx-keys" popover role="dialog" aria-label="Keyboard and mouse">{head}<dl>{rows}</dl>{close}</div>'
    )
