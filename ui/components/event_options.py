"""Options that the listeners of the page share."""

from __future__ import annotations

from typing import Any

PRIVATE_EVENT: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
"""An event that is no API endpoint, waits for no other event, and shows no progress bar of Gradio's."""
