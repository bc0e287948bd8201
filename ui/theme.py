"""Gradio theme of the page: neutral surfaces, one accent colour, one font of our own, no other hosts."""

from __future__ import annotations

from pathlib import Path

from gradio import themes
from gradio.themes.utils.colors import Color
from starlette.requests import Request
from starlette.responses import FileResponse

STATIC = Path(__file__).parent / "static"
STYLES = ("page.css", "pointing.css", "brush.css")
SCRIPTS = ("page.js", "console.js", "learn.js", "find.js", "pointing.js", "brush.js", "result.js", "batch.js")
FAVICON = STATIC / "favicon.png"
FONT = STATIC / "inter.woff2"
FONT_PATH = "/assets/inter.woff2"
FONT_CACHE_SECONDS = 30 * 86400
"""Time that a browser may cache the page's font."""

# Surrounding colours change how a picture looks, so surfaces are neutral and there is one accent colour.
_GREY = Color(
    "#fafafa", "#f4f4f3", "#e6e6e4", "#d2d2cf", "#a3a39f", "#6f6f6b", "#53534f", "#3c3c39", "#262624", "#1a1a19",
    "#121211", name="paper",
)  # fmt: skip
_TEAL = Color(
    "#eef8f6", "#d5eeea", "#aeddd6", "#7cc7bd", "#4aaca0", "#2a8f84", "#0f6e65", "#0d5a53", "#0c4843", "#0a3935",
    "#062522", name="studio",
)  # fmt: skip
_FONTS = (
    "Inter",
    "ui-sans-serif",
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
)
_MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")
_LIGHT_AND_DARK = {
    "body_background_fill": ("*neutral_50", "*neutral_950"),
    "body_text_color": ("*neutral_900", "*neutral_100"),
    "body_text_color_subdued": ("*neutral_600", "#b9b9b4"),
    "block_background_fill": ("transparent", "transparent"),
    "block_info_text_color": ("*neutral_600", "#b9b9b4"),
    "block_label_background_fill": ("transparent", "transparent"),
    "block_label_text_color": ("*neutral_900", "*neutral_100"),
    "block_title_text_color": ("*neutral_900", "*neutral_100"),
    "panel_background_fill": ("transparent", "transparent"),
    "border_color_primary": ("*neutral_300", "#4a4a46"),
    "input_background_fill": ("white", "*neutral_900"),
    "input_border_color": ("*neutral_400", "#6a6a65"),
    "checkbox_label_border_color": ("*neutral_400", "#6a6a65"),
    "checkbox_border_color": ("*neutral_500", "#8a8a85"),
    "checkbox_border_color_hover": ("*primary_600", "#7cc7bd"),
    "input_placeholder_color": ("*neutral_500", "#a3a39f"),
    "button_primary_background_fill": ("*primary_600", "#7cc7bd"),
    "button_primary_background_fill_hover": ("*primary_700", "#aeddd6"),
    "button_primary_text_color": ("white", "*neutral_950"),
    "button_secondary_background_fill": ("white", "*neutral_800"),
    "button_secondary_background_fill_hover": ("*neutral_100", "*neutral_700"),
    "button_secondary_border_color": ("*neutral_400", "#6a6a65"),
    "button_cancel_background_fill": ("white", "*neutral_800"),
    "button_cancel_text_color": ("#9b1c1c", "#ffb4ab"),
    "button_cancel_border_color": ("#9b1c1c", "#ffb4ab"),
    "slider_color": ("*primary_600", "#7cc7bd"),
    "link_text_color": ("*primary_700", "#7cc7bd"),
    "color_accent_soft": ("*primary_100", "*primary_900"),
}
"""Values that differ between light and dark mode, or from Gradio's own in both."""


def build_theme() -> themes.Base:
    """Build the theme for light and dark mode. Text has a contrast of at least 4.5:1 on every surface."""
    base = themes.Base(
        primary_hue=_TEAL, secondary_hue=_TEAL, neutral_hue=_GREY, font=_FONTS, font_mono=_MONO_FONTS,
        radius_size=themes.sizes.radius_md, text_size=themes.sizes.text_md,
    )  # fmt: skip
    return base.set(
        **{name: light for name, (light, _) in _LIGHT_AND_DARK.items()},
        **{f"{name}_dark": dark for name, (_, dark) in _LIGHT_AND_DARK.items()},
        block_border_width="0px",
        block_padding="0px",
        block_label_border_width="0px",
        block_title_text_weight="600",
        input_border_width="1px",
        button_border_width="1px",
        color_accent="*primary_600",
        checkbox_background_color_selected_dark="#7cc7bd",
        checkbox_border_color_selected_dark="#7cc7bd",
    )


def render_head() -> str:
    """Render the page's style and script inline, which saves requests."""
    css, js = ("".join((STATIC / name).read_text(encoding="utf-8") for name in names) for names in (STYLES, SCRIPTS))
    return f"<style>{css}</style><script>{js}</script>"


async def send_font(request: Request) -> FileResponse:
    """Send the page's font."""
    return FileResponse(FONT, headers={"Cache-Control": f"public, max-age={FONT_CACHE_SECONDS}, immutable"})
