"""The tools that ship with German words, pictures on their cards and example pictures in docs/tools.md.

A new tool works without them; its id is added here once it has them.
"""

from __future__ import annotations

SHIPPED_TOOL_IDS = (
    "headshot", "product", "background", "style", "character", "fashion", "business", "kit", "motion", "cutout",
    "upscale", "expand", "retouch",
)  # fmt: skip
