"""Cards of the home tab: one for each tool, for batches and for the API."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipelines.core.models import Profile
from pipelines.core.tools import Tool
from ui.tool_tab.form_controls import list_form_fields
from ui.tool_tab.layout import TILES_FOLDER, TILES_URL

HEADLINE = "Studio pictures from the photos you have"
INTRO_TEXT = (
    "Professional headshots, product photos, new backgrounds, erased things, larger photos and pictures for every "
    "platform. "
    "Your subject is cut out and not redrawn, unless you ask for it."
)
EMBEDDED_BANNER = (
    "This studio runs without a graphics card: cut-outs, backdrops, crops, light, styles and layouts in seconds. New "
    "outfits, expressions, poses and invented scenes need one. Your photo goes to no outside service."
)
PAIRS: tuple[tuple[str, str, str], ...] = (
    ("headshot", "astronaut", "A headshot from a photo you have"),
    ("product", "coffee", "A product on marble"),
    ("background", "hopper", "Another place behind you"),
    ("style", "coffee", "A photo as a watercolour"),
)
"""Before and after on the home tab: the tool, whose card is the result, the example photo, and a sentence."""
BATCH_FEATURES = ("Multiple images", "Automated workflow", "Consistent results", "Time efficient", "Bulk operations")
BATCH_LIMITS = ("Less to choose for each row than on a tool's tab", "People's own pictures go first in the queue")
API_FEATURES = ("Developer friendly", "Custom integration", "Scalable", "Real-time", "Documentation")
API_LIMITS = ("Setting up takes a key and a few lines of code", "Each key can have its own limits")


SEARCH_WORDS: dict[str, str] = {
    "headshot": "portrait application cv profile linkedin selfie casting passport bewerbung lebenslauf profilbild",
    "product": "shop ebay etsy amazon white packshot ware verkaufen weiß",
    "background": "replace scene place remove hintergrund ersetzen ort",
    "style": "painting drawing filter art cartoon gemälde zeichnung kunst",
    "character": "avatar mascot figure maskottchen figur",
    "fashion": "lookbook clothes outfit model mode kleidung",
    "business": "team company group staff firma gruppe mitarbeiter",
    "kit": "post headline instagram flyer poster banner story text title caption social media facebook linkedin tiktok "
    "youtube thumbnail ad advert invitation beitrag überschrift schlagzeile plakat werbung anzeige einladung titel",
    "motion": "video gif animation film bewegung",
    "cutout": "transparent remove background png sticker freistellen hintergrund entfernen",
    "upscale": "enlarge sharpen larger print resolution vergrößern schärfen druck auflösung",
    "expand": "uncrop wider zoom out erweitern breiter",
    "retouch": "erase eraser erasing remove removal delete object thing person people tourist stain inpaint mend "
    "entfernen radieren radiergummi löschen wegmachen gegenstand objekt ding person leute menschen fleck",
    "batch": "folder many csv zip bulk ordner viele serie stapel",
    "api": "rest http code key programming schnittstelle schlüssel",
}
"""By tab: what people call what it makes, in English and German, for the search of all tools."""
FIND_HTML = (
    '<input type="search" class="dbx-find" aria-label="Find a tool" '
    'placeholder="What do you want to make? A post …">'
    '<p class="dbx-none" role="status" hidden>No tool is called so. Here are all.</p>'
)


def render_header() -> str:
    """Render the headline beside the photo field."""
    return f'<header class="dbx-hello"><h1>{HEADLINE}</h1><p class="dbx-lede">{INTRO_TEXT}</p></header>'


def render_cards(tools: Sequence[Tool], profile: Profile) -> str:
    """Render before and after, all cards, and the line about this studio's profile."""
    cards = [*(_render_tool_card(tool, profile) for tool in tools), _render_batch_card(), _render_api_card()]
    return (
        f'<div class="dbx-home">{_render_pairs(tools)}<h2>All tools</h2>{FIND_HTML}'
        f'<ul class="dbx-cards">{"".join(cards)}</ul>{render_banner(profile)}</div>'
    )


def _render_pairs(tools: Sequence[Tool]) -> str:
    """Render large results, each with the photo that it was made from."""
    ids = {tool.id for tool in tools}
    rows = "".join(
        f'<li><a href="#{tool}">{_render_image(f"{tool}/card", sentence)}'
        f"{_render_image(f'examples/{photo}', 'Before')}<b>{escape(sentence)}</b></a></li>"
        for tool, photo, sentence in PAIRS
        if tool in ids
    )
    return f'<ul class="dbx-pairs">{rows}</ul>' if rows else ""


def render_banner(profile: Profile) -> str:
    """Render what this studio can do with its profile, and why that profile was chosen."""
    if profile.id == "embedded":
        # If a GPU or a requested profile cannot be used, the reason is shown.
        why = f" <span>{escape(profile.reason)}</span>" if profile.is_fallback else ""
        return f'<p class="dbx-banner">{EMBEDDED_BANNER}{why}</p>'
    return f'<p class="dbx-banner">Running {escape(profile.title)}. {escape(profile.reason)}</p>'


def _render_tool_card(tool: Tool, profile: Profile) -> str:
    badge = '<span class="dbx-badge">Popular</span>' if tool.popular else ""
    model_features = [(words, verb in profile.specs) for words, verb in tool.model_strengths]
    features = _render_features(tool.strengths, model_features, tool.limits)
    return _render_card(_find_card_image(tool), tool.id, tool.title, tool.summary, features, badge)


def _render_batch_card() -> str:
    return _render_card(
        _render_image("batch/thumb", "Nine results of one batch"),
        "batch",
        "Batch Processing",
        "A folder, a ZIP or a table of pictures, one set of rules, no waiting at the screen.",
        _render_features(BATCH_FEATURES, (), BATCH_LIMITS),
    )


def _render_api_card() -> str:
    return _render_card(
        _render_image("api/thumb", "A request, and the picture that it is answered with"),
        "api",
        "API Access",
        "For programmers: every tool from a program of your own. Address, keys and code that runs.",
        _render_features(API_FEATURES, (), API_LIMITS),
    )


def _render_card(image: str, tab_id: str, title: str, summary: str, features: str, badge: str = "") -> str:
    """Render one card; `image`, `features` and `badge` are HTML already."""
    words = SEARCH_WORDS.get(tab_id, "")
    return (
        f'<li class="dbx-card" data-find="{words}">{image}<div><h3><a href="#{tab_id}">{escape(title)}</a>{badge}</h3>'
        f"<p>{escape(summary, quote=False)}</p>{features}</div></li>"
    )


def _render_features(
    strengths: Sequence[str], model_features: Sequence[tuple[str, bool]], limits: Sequence[str]
) -> str:
    """Render features, each with where it is available, and limits, folded."""
    ticks = "".join(_render_tick(*row) for row in (*((words, True) for words in strengths), *model_features))
    rows = "".join(f"<li>{escape(limit)}</li>" for limit in limits)
    limit_list = f'<ul class="dbx-limits" aria-label="Limits">{rows}</ul>' if rows else ""
    return (
        '<details class="dbx-can"><summary>What it can do</summary>'
        f'<ul class="dbx-ticks" aria-label="What it does">{ticks}</ul>{limit_list}</details>'
    )


def _render_tick(words: str, available: bool) -> str:
    where, css_class = ("here", "") if available else ("graphics card", " class=gpu")
    return f"<li{css_class}>{escape(words)}<em>{where}</em></li>"


def _find_card_image(tool: Tool) -> str:
    """Render a picture made with the tool: its card picture, else the tile of its first preset."""
    looks = [value for row in list_form_fields(tool.params) if row.has_tiles for _, value in row.options]
    names = (name for name in ("thumb", *looks) if (TILES_FOLDER / tool.id / f"{name}.webp").exists())
    return next((_render_image(f"{tool.id}/{name}", f"Made with {tool.title}") for name in names), "")


def _render_image(name: str, alt: str) -> str:
    return f'<img src="{TILES_URL}/{name}.webp" alt="{escape(alt)}" loading="lazy">'
