"""The first page: what the studio is, and every tool as a card; what is not built yet says so and is no link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pipelines.core.models import Profile
from pipelines.core.tools import Tool
from ui.tool_tab.form_controls import fields_of
from ui.tool_tab.layout import TILES, TILES_URL

HEADLINE = "Studio pictures from the photos you have"
LEDE = (
    "Professional headshots, product photos, marketing visuals and pictures for every platform, made on this machine. "
    "What makes your subject yours stays pixel for pixel."
)
ALL = '<p class="dbx-all"><a href="#all-tools">See all tools</a></p>'
BANNER = (
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

BATCH_TICKS = ("Multiple images", "Automated workflow", "Consistent results", "Time efficient", "Bulk operations")
BATCH_LIMITS = ("Less to choose for each row than on a tool's tab", "People's own pictures go first in the queue")
API_TICKS = ("Developer friendly", "Custom integration", "Scalable", "Real-time", "Documentation")
API_LIMITS = ("Setting up takes a key and a few lines of code", "Each key may have its bounds")


def header() -> str:
    """What the studio is, beside the place for a photo."""
    return f'<header class="dbx-hello"><h1>{HEADLINE}</h1><p class="dbx-lede">{LEDE}</p>{ALL}</header>'


def page(tools: Sequence[Tool], profile: Profile) -> str:
    """What this studio can do and every tool, as HTML."""
    made = {tool.id for tool in tools}
    cards = [_card(tool, profile) for tool in tools]
    cards += [_batch_card(), _api_card(), *(_coming_card(row) for row in COMING if row.id not in made)]
    return (
        f'<div class="dbx-home">{banner(profile)}<h2 id="all-tools">All tools</h2>'
        f'<ul class="dbx-cards">{"".join(cards)}</ul></div>'
    )


def banner(profile: Profile) -> str:
    """What this studio can do as it runs now, and why."""
    if profile.id == "embedded":
        # Who has a GPU, or asked for a profile, is told why it does not serve.
        why = f" {escape(profile.reason)}" if profile.fallen else ""
        return f'<p class="dbx-banner">{BANNER}{why}</p>'
    return f'<p class="dbx-banner">Running {escape(profile.title)}. {escape(profile.reason)}</p>'


def _card(tool: Tool, profile: Profile) -> str:
    badge = '<span class="dbx-badge">Popular</span>' if tool.popular else ""
    return (
        f'<li class="dbx-card">{_picture(tool)}<div><h3><a href="#{tool.id}">{escape(tool.title)}</a>{badge}</h3>'
        f"<p>{escape(tool.summary)}</p>{_can(tool.strengths, there(tool, profile), tool.limits)}</div></li>"
    )


def _batch_card() -> str:
    return (
        f'<li class="dbx-card">{_image("batch/card", "Nine results of one batch")}'
        '<div><h3><a href="#batch">Batch Processing</a></h3>'
        "<p>A folder, a ZIP or a table of pictures, one set of rules, no waiting at the screen.</p>"
        f"{_can(BATCH_TICKS, (), BATCH_LIMITS)}</div></li>"
    )


def _api_card() -> str:
    return (
        f'<li class="dbx-card">{_image("api/card", "A request, and the picture that it is answered with")}'
        '<div><h3><a href="#api">API Access</a></h3>'
        "<p>Every tool over HTTP, with the shape OpenAI's clients already speak: address, keys and working code.</p>"
        f"{_can(API_TICKS, (), API_LIMITS)}</div></li>"
    )


def _coming_card(row: Coming) -> str:
    return (
        f'<li class="dbx-card plain coming"><div><h3>{row.title}<span class="dbx-badge calm">Not built yet</span></h3>'
        f"<p>{row.summary}</p>{_ticks(row.ticks, planned=True)}</div></li>"
    )


def there(tool: Tool, profile: Profile) -> tuple[tuple[str, bool], ...]:
    """What a tool does beside its strengths where a model draws, and whether this studio's profile has that model."""
    return tuple((words, verb in profile.specs) for words, verb in tool.with_model)


def _can(strengths: Sequence[str], drawn: Sequence[tuple[str, bool]], limits: Sequence[str]) -> str:
    """Ticks and limits; on a phone page.js folds them under how many there are."""
    here = len(strengths) + sum(there for _, there in drawn)
    away = len(strengths) + len(drawn) - here
    counts = f"{here} features here" + (f" · {away} with a GPU" if away else "")
    told = f"{_ticks(strengths, drawn)}{_limits(limits)}"
    return f'<details class="dbx-can" open><summary>{counts}</summary>{told}</details>'


def _limits(limits: Sequence[str]) -> str:
    rows = "".join(f"<li>{escape(limit)}</li>" for limit in limits)
    return f'<ul class="dbx-limits" aria-label="Limits">{rows}</ul>' if rows else ""


def _ticks(strengths: Sequence[str], drawn: Sequence[tuple[str, bool]] = (), *, planned: bool = False) -> str:
    """Each tick says where it is done: here, or on a GPU that this studio does not have."""
    ticks = [(words, True) for words in strengths] + list(drawn)
    rows = "".join(_tick(words, "" if planned else "here" if here else "GPU") for words, here in ticks)
    name, kind = ("Planned", " planned") if planned else ("What it does", "")
    return f'<ul class="dbx-ticks{kind}" aria-label="{name}">{rows}</ul>'


def _tick(words: str, where: str) -> str:
    badge = f"<em>{where}</em>" if where else ""
    return f"<li{' class=gpu' if where == 'GPU' else ''}>{escape(words)}{badge}</li>"


def _picture(tool: Tool) -> str:
    """A result made by the tool: its own card picture, else its first preset's tile."""
    looks = [value for row in fields_of(tool.params) if row.tiles for _, value in row.options]
    found = next((name for name in ("card", *looks) if (TILES / tool.id / f"{name}.webp").exists()), None)
    return "" if found is None else _image(f"{tool.id}/{found}", f"Made with {tool.title}")


def _image(name: str, alt: str) -> str:
    return f'<img src="{TILES_URL}/{name}.webp" alt="{escape(alt)}" loading="lazy">'
