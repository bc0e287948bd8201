"""The address under which a visitor sees the page."""

from __future__ import annotations

import gradio as gr


def page_address(request: gr.Request) -> str:
    """Return the address under which the visitor's browser opened the page, without a final slash."""
    url = request.request.url if request.request else None
    return f"{url.scheme}://{url.netloc}" if url else ""
