"""The three closest scenes of a wish that no scene shows, as pictures to click."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

SCENE_TILES_URL = "assets/tiles/scenes"


def render_closest_scenes(receipt: Mapping[str, Any]) -> str:
    """Render a button with a picture for each closest scene; page.js writes its title into the field of the wish and
    generates anew. "" where the wish was found, or nothing was wished."""
    match = receipt.get("scene_match") or {}
    field = next((name for name, value in receipt.get("params", {}).items() if _is_wish(value, match)), "")
    if match.get("found", True) or not field:
        return ""
    target = escape(f"{receipt['tool']}-{field}")
    buttons = "".join(
        f'<button type="button" data-words="{escape(row["title"])}" data-field="{target}">'
        f'<img src="{SCENE_TILES_URL}/{row["id"]}.webp" alt="" loading="lazy">{escape(row["title"])}</button>'
        for row in match["closest"]
    )
    return f'<p class="dbx-measured">No such scene here. Closest three:</p><div class="dbx-closest">{buttons}</div>'


def _is_wish(value: object, match: Mapping[str, Any]) -> bool:
    return isinstance(value, str) and bool(value.strip()) and " ".join(value.split()) == match.get("wish")
