"""Patches Gradio's page template: our social card, and the script `static/light.js` before Gradio's own.

Gradio has no option for either: `launch(head=...)` adds to the head but keeps Gradio's own card.
"""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import FunctionLoader

PATCHED_NAMES = ("gradio.routes:templates.env",)
_EARLY_SCRIPT = Path(__file__).parents[1] / "static" / "light.js"
_GRADIO_CARD_PATTERN = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>')
_SOCIAL_CARD = """<meta property="og:type" content="website">
<meta property="og:title" content="DesignerBox">
<meta property="og:description" name="description" content="Studio pictures from the photos you have.">
<meta property="og:image" content="{{ config.get('root', '') }}/assets/tiles/social.jpg">
<meta property="og:image:width" content="1200"><meta property="og:image:height" content="630">
<meta name="twitter:card" content="summary_large_image">"""


def patch_template(page: str) -> str:
    """Replace Gradio's social card in the template by ours, and add the script that must run before Gradio's."""
    script = f"<script>{_EARLY_SCRIPT.read_text(encoding='utf-8')}</script>"
    page = _GRADIO_CARD_PATTERN.sub("", page).replace("<head>", f"<head>{_SOCIAL_CARD}", 1)
    return page.replace("</head>", f"{script}</head>", 1)


def patch_templates() -> None:
    """Patch every template that Gradio loads from now on. A second call changes nothing."""
    from gradio.routes import templates

    loader, env = templates.env.loader, templates.env
    if loader is not None and not isinstance(loader, FunctionLoader):
        env.loader = FunctionLoader(lambda name: patch_template(loader.get_source(env, name)[0]))
