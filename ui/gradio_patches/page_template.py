"""Patches Gradio's page template: our social card, font, `static/shell.css` and `static/before_gradio.js`.

Gradio has no option for these: what `launch(head=...)` is given is put in by Gradio's script, when its frame is there
already, and Gradio's own card stays.
"""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import FunctionLoader

PATCHED_NAMES = ("gradio.routes:templates.env",)
_STATIC = Path(__file__).parents[1] / "static"
_FONT_LINK = '<link rel="preload" as="font" type="font/woff2" crossorigin href="assets/inter.woff2">'
_GRADIO_CARD_PATTERN = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>')
_SOCIAL_CARD = """<meta property="og:type" content="website">
<meta property="og:title" content="DesignerBox">
<meta property="og:description" name="description" content="Studio pictures from the photos you have.">
<meta property="og:image" content="{{ config.get('root', '') }}/assets/tiles/social.jpg">
<meta property="og:image:width" content="1200"><meta property="og:image:height" content="630">
<meta name="twitter:card" content="summary_large_image">"""


def patch_template(page: str) -> str:
    """Replace Gradio's social card in the template by ours, and add what must be there before Gradio's script."""
    style, script = ((_STATIC / name).read_text(encoding="utf-8") for name in ("shell.css", "before_gradio.js"))
    page = _GRADIO_CARD_PATTERN.sub("", page).replace("<head>", f"<head>{_SOCIAL_CARD}", 1)
    return page.replace("</head>", f"{_FONT_LINK}<style>{style}</style><script>{script}</script></head>", 1)


def patch_templates() -> None:
    """Patch every template that Gradio loads from now on. A second call changes nothing."""
    from gradio.routes import templates

    loader, env = templates.env.loader, templates.env
    if loader is not None and not isinstance(loader, FunctionLoader):
        env.loader = FunctionLoader(lambda name: patch_template(loader.get_source(env, name)[0]))
