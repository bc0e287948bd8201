"""The first page: what the studio is, and every tool as a card; what is not built yet says so and is no link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pipelines.core.models import Profile
from pipelines.core.tools import Tool
from ui.tool_tab.form_controls import list_form_fields
from ui.tool_tab.layout import TILES_FOLDER, TILES_URL

HEADLINE = "Studio pictures from the photos you have"
LEDE = (
    "Professional headshots, product photos, marketing visuals and pictures for every platform, made on this machine. "
    "What makes your subject yours stays pixel for pixel."
)
ALL_TOOLS_HTML = '<p class="dbx-all"><a href="#all-tools">See all tools</a></p>'
EMBEDDED_BANNER = (
    "Running without a GPU model; your photo goes to no outside service. In seconds, from your own pixels: cut-outs, "
    "backdrops, crops, light, styles, layouts. New outfits, expressions, poses and invented scenes need a GPU."
)


@dataclass(frozen=True)
class Coming:
    """A tool that is promised and not built yet."""

    id: str
    title: str
    summary: str
    ticks: tuple[str, ...]


COMING: tuple[Coming, ...] = (
    Coming("style", "Style Transfer", "Oil, ink, riso, film and more, over the drawing of your own photo.",
           ("Artistic filters", "Multiple styles", "Preserves details", "Creative control", "Batch")),
    Coming("character", "Character Creator", "A character that stays the same person from picture to picture.",
           ("Unique designs", "Customizable traits", "Multiple poses", "Consistent style", "Commercial use")),
    Coming("fashion", "Fashion Photos", "Seasonal looks, covers and flat lays for a brand.",
           ("Lifestyle imagery", "Brand alignment", "Model variety", "Seasonal themes", "High-fashion looks")),
    Coming("business", "Business Photos", "Team grids, speaker cards and press kits from single portraits.",
           ("Professional settings", "Corporate style", "Team photos", "Office environments", "Brand consistency")),
)  # fmt: skip

BATCH_FEATURES = ("Multiple images", "Automated workflow", "Consistent results", "Time efficient", "Bulk operations")
BATCH_LIMITS = ("Less to choose for each row than on a tool's tab", "People's own pictures go first in the queue")
API_FEATURES = ("Developer friendly", "Custom integration", "Scalable", "Real-time", "Documentation")
API_LIMITS = ("Setting up takes a key and a few lines of code", "Each key may have its bounds")


def render_header() -> str:
    """What the studio is, beside the place for a photo."""
    return f'<header class="dbx-hello"><h1>{HEADLINE}</h1><p class="dbx-lede">{LEDE}</p>{ALL_TOOLS_HTML}</header>'


def render_cards(tools: Sequence[Tool], profile: Profile) -> str:
    """What this studio can do and every tool, as HTML."""
    made = {tool.id for tool in tools}
    cards = [_render_tool_card(tool, profile) for tool in tools]
    cards += [_render_batch_card(), _render_api_card(), *(_coming_card(row) for row in COMING if row.id not in made)]
    return (
        f'<div class="dbx-home">{render_banner(profile)}<h2 id="all-tools">All tools</h2>'
        f'<ul class="dbx-cards">{"".join(cards)}</ul></div>'
    )


def render_banner(profile: Profile) -> str:
    """What this studio can do as it runs now, and why."""
    if profile.id == "embedded":
        # Who has a GPU, or asked for a profile, is told why it does not serve.
        why = f" {escape(profile.reason)}" if profile.is_fallback else ""
        return f'<p class="dbx-banner">{EMBEDDED_BANNER}{why}</p>'
    return f'<p class="dbx-banner">Running {escape(profile.title)}. {escape(profile.reason)}</p>'


def _render_tool_card(tool: Tool, profile: Profile) -> str:
    badge = '<span class="dbx-badge">Popular</span>' if tool.popular else ""
    return (
        f'<li class="dbx-card">{_find_card_image(tool)}<div><h3><a href="#{tool.id}">{escape(tool.title)}</a>{badge}</h3>'
        f"<p>{escape(tool.summary)}</p>{_render_features(tool.strengths, list_model_features(tool, profile), tool.limits)}</div></li>"
    )


def _render_batch_card() -> str:
    return (
        f'<li class="dbx-card">{_render_image("batch/card", "Nine results of one batch")}'
        '<div><h3><a href="#batch">Batch Processing</a></h3>'
        "<p>A folder, a ZIP or a table of pictures, one set of rules, no waiting at the screen.</p>"
        f"{_render_features(BATCH_FEATURES, (), BATCH_LIMITS)}</div></li>"
    )


def _render_api_card() -> str:
    return (
        f'<li class="dbx-card">{_render_image("api/card", "A request, and the picture that it is answered with")}'
        '<div><h3><a href="#api">API Access</a></h3>'
        "<p>Every tool over HTTP, with the shape OpenAI's clients already speak: address, keys and working code.</p>"
        f"{_render_features(API_FEATURES, (), API_LIMITS)}</div></li>"
    )


def _coming_card(row: Coming) -> str:
    return (
        f'<li class="dbx-card plain coming"><div><h3>{row.title}<span class="dbx-badge calm">Not built yet</span></h3>'
        f"<p>{row.summary}</p>{_render_ticks(row.ticks, planned=True)}</div></li>"
    )


def list_model_features(tool: Tool, profile: Profile) -> tuple[tuple[str, bool], ...]:
    """What a tool does beside its strengths where a model draws, and whether this studio's profile has that model."""
    return tuple((words, verb in profile.specs) for words, verb in tool.model_strengths)


def _render_features(strengths: Sequence[str], drawn: Sequence[tuple[str, bool]], limits: Sequence[str]) -> str:
    """Ticks and limits; on a phone page.js folds them under how many there are."""
    here = len(strengths) + sum(there for _, there in drawn)
    away = len(strengths) + len(drawn) - here
    counts = f"{here} features here" + (f" · {away} with a GPU" if away else "")
    told = f"{_render_ticks(strengths, drawn)}{_render_limits(limits)}"
    return f'<details class="dbx-can" open><summary>{counts}</summary>{told}</details>'


def _render_limits(limits: Sequence[str]) -> str:
    rows = "".join(f"<li>{escape(limit)}</li>" for limit in limits)
    return f'<ul class="dbx-limits" aria-label="Limits">{rows}</ul>' if rows else ""


def _render_ticks(strengths: Sequence[str], drawn: Sequence[tuple[str, bool]] = (), *, planned: bool = False) -> str:
    """Each tick says where it is done: here, or on a GPU that this studio does not have."""
    ticks = [(words, True) for words in strengths] + list(drawn)
    rows = "".join(_render_tick(words, "" if planned else "here" if here else "GPU") for words, here in ticks)
    name, kind = ("Planned", " planned") if planned else ("What it does", "")
    return f'<ul class="dbx-ticks{kind}" aria-label="{name}">{rows}</ul>'


def _render_tick(words: str, where: str) -> str:
    badge = f"<em>{where}</em>" if where else ""
    return f"<li{' class=gpu' if where == 'GPU' else ''}>{escape(words)}{badge}</li>"


def _find_card_image(tool: Tool) -> str:
    """A result made by the tool: its own card picture, else its first preset's tile."""
    looks = [value for row in list_form_fields(tool.params) if row.has_tiles for _, value in row.options]
    found = next((name for name in ("card", *looks) if (TILES_FOLDER / tool.id / f"{name}.webp").exists()), None)
    return "" if found is None else _render_image(f"{tool.id}/{found}", f"Made with {tool.title}")


def _render_image(name: str, alt: str) -> str:
    return f'<img src="{TILES_URL}/{name}.webp" alt="{escape(alt)}" loading="lazy">'
