"""Looks chosen for one photo: those in which least of the cut shows, each on the visitor's own photo."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import PIL.Image

from pipelines.core.errors import JobCancelled, StudioError
from pipelines.core.geometry import Float32Array
from pipelines.core.job import Job, Result, Step
from pipelines.core.stream import Stream
from pipelines.core.tools import Tool
from pipelines.runtime.context import CLOSER_DRAFT_ROLES
from ui.components.pictures import encode_data_url, encode_page_jpeg
from ui.tool_tab.form_controls import FormField, list_form_fields

LOOK_COUNT = 3
LOOK_TILES_PAUSE_SECONDS = 1.5
"""How long a visitor does nothing before the tiles are drawn of the own photo."""
MAX_TILE_SECONDS = 2.0
"""Where a draft takes longer, the tiles stay examples."""
TILE_SIDE_PX = 160
TILES_AT_ONCE_COUNT = 3
"""Tiles that the page is told of together: it is told of all again each time."""
EXTRA_LOOKS_SECONDS = 1.0
"""Time for trying further looks after the first three; a model that draws scenes is slow."""
OUTLINE_CHECK = "outline_delta_e"
"""The check by which looks are ranked: the lower, the less visible is the edge of the cut-out."""
SAME_BORDER_LEVELS = 5.0
"""Mean difference of two borders, of 255 levels, below which one sees the same ground."""
MIN_OUTLINE_DELTA_E = 12.0
"""Smallest contrast of the outline; below it the subject does not stand out from the background."""
_SCENE_FIELDS = ("prompt", "background", "backdrop", "setting", "colour", "look", "brand")
"""Fields by which a form says itself what stands behind the subject."""


@dataclass(frozen=True)
class TriedDraft:
    """A draft in one look, its seed, and how visible the edge of its cut-out is; infinite if that is not measured."""

    picture: bytes | None
    settings: Mapping[str, str]
    edge_visibility: float
    seed: int = 0


def find_tile_field(tool: Tool) -> FormField | None:
    """Return the form's first choice with tiles: the looks."""
    return next((field for field in list_form_fields(tool.params) if field.has_tiles), None)


def spread_indices(count: int) -> list[int]:
    """Order `count` looks so that stopping early still covers all kinds: each round is denser than the last."""
    first_count = min(LOOK_COUNT, count)
    indices = [n * count // parts for parts in (first_count, 2 * first_count, count) for n in range(parts)]
    return list(dict.fromkeys(indices))


async def wait_for_draft(stream: Stream) -> tuple[bytes | None, Result] | StudioError | None:
    """Return a draft's last preview and result, why it cannot be made, or None if it was cancelled; close `stream`."""
    last_preview: bytes | None = None
    try:
        async for event in stream:
            if isinstance(event, Result):
                return last_preview, event
            last_preview = event.preview or last_preview if isinstance(event, Step) else last_preview
    except JobCancelled:
        return None
    except StudioError as error:
        return error
    finally:
        stream.close()
    return None


def measure_edge_visibility(result: Result) -> float:
    """Return how visible the edge of the cut-out is; infinite if unknown or if the subject does not stand out."""
    delta_e = result.receipt.get("checks", {}).get(OUTLINE_CHECK, 0.0)
    return delta_e if delta_e >= MIN_OUTLINE_DELTA_E else float("inf")


def select_least_visible(
    drafts: Iterable[TriedDraft], count: int, beside: Sequence[TriedDraft] = ()
) -> list[TriedDraft]:
    """Select the `count` drafts with the least visible edge, best first; of equal ones the earlier.

    Those that look like a better one or like one `beside` them come last: four papers are white.
    """
    others: list[TriedDraft] = []
    alike: list[TriedDraft] = []
    for draft in sorted(drafts, key=lambda each: each.edge_visibility):
        is_alike = any(_has_same_border(draft, other) for other in (*beside, *others))
        (alike if is_alike else others).append(draft)
    return [*others, *alike][:count]


def _has_same_border(one: TriedDraft, other: TriedDraft) -> bool:
    """Whether two drafts show the same ground: their borders differ little. The subjects are the same anyway."""
    if one.picture is None or other.picture is None:
        return False
    borders = [_read_border(each.picture) for each in (one, other) if each.picture]
    return float(np.abs(borders[0] - borders[1]).mean()) < SAME_BORDER_LEVELS


def _read_border(picture: bytes) -> Float32Array:
    """Return the pixels of a small copy's border, N x 3 levels."""
    small = PIL.Image.open(io.BytesIO(picture)).convert("RGB").resize((16, 16), PIL.Image.Resampling.BOX)
    levels = np.asarray(small, np.float32)
    return np.concatenate((levels[0], levels[-1], levels[:, 0], levels[:, -1]))


def list_places_to_try(tool: Tool, form: Mapping[str, Any]) -> list[dict[str, str]]:
    """List the tool's looks that show a place, where the form has its photo and leaves the scene to a plain look."""
    field = find_tile_field(tool)
    if field is None or form.get(field.name) != field.default or not _leaves_scene_to_look(tool, form, field):
        return []
    places = tool.place_looks if field.default not in tool.place_looks else ()
    return [{field.name: places[n]} for n in spread_indices(len(places))]


def list_looks_of_photo(tool: Tool, form: Mapping[str, Any]) -> list[str]:
    """List the looks whose tiles can show the form's photo; none where the form says itself what stands behind it."""
    field = find_tile_field(tool)
    if field is None or not tool.has_photo_tiles or not _leaves_scene_to_look(tool, form, field):
        return []
    return [value for _, value in field.options]


def _leaves_scene_to_look(tool: Tool, form: Mapping[str, Any], look: FormField) -> bool:
    """Whether the form has its photo, and nothing beside the `look` says what stands behind the subject."""
    pictures = tool.params.fields_of_kind("picture", "pictures")
    if not pictures or not form.get(pictures[0]):
        return False
    others = [each for each in list_form_fields(tool.params) if each.name in _SCENE_FIELDS and each.name != look.name]
    return all(form.get(each.name) in (None, "", each.default) for each in others)


def shrink_to_tile(draft: bytes) -> bytes:
    """Shrink a draft (JPEG, or WebP where it is transparent) to the size of a look's tile, as JPEG."""
    picture = np.asarray(PIL.Image.open(io.BytesIO(draft)).convert("RGBA"))
    return encode_page_jpeg(picture, TILE_SIDE_PX, shows_transparency=True)


def render_look_tiles(tool: Tool, tiles: Mapping[str, bytes]) -> str:
    """Render CSS that shows, on the looks' tiles, the visitor's own photo (JPEG by look) in place of the example."""
    field = find_tile_field(tool)
    if field is None or not tiles:
        return ""
    rules = ""
    for number, (_, value) in enumerate(field.options, 1):
        if value in tiles:
            selector = f"#{tool.id}-{field.name} label:nth-of-type({number})::before"
            rules += f"{selector}{{background-image:url({encode_data_url(tiles[value])})}}"
    return f"<style>{rules}</style>"


def render_suggested_looks(tool: Tool, drafts: Sequence[TriedDraft]) -> str:
    """Render a button for each look, with the visitor's photo in it; page.js presses the look's tile."""
    field = find_tile_field(tool)
    if field is None or not drafts:
        return ""
    numbers = {value: (number, label) for number, (label, value) in enumerate(field.options, 1)}
    buttons = ""
    for draft in drafts:
        number, label = numbers[draft.settings[field.name]]
        picture = f'<img src="{encode_data_url(draft.picture)}" alt="">' if draft.picture else ""
        tile = f"#{tool.id}-{field.name} label:nth-of-type({number}) input"
        buttons += f'<button type="button" data-press="{tile}">{picture}{escape(label)}</button>'
    return f'<p class="dbx-measured">Places, on your photo:</p><div class="dbx-closest">{buttons}</div>'


def is_rough(job: Job, draft: Result) -> bool:
    """Whether a net that a closer draft takes has not seen the photo that the draft cuts out, or arranges words on.

    Beside a painted mask the net is only asked what else stands there; somebody may have chosen one net.
    """
    used = {row["id"] for row in draft.receipt.get("models", ())}
    nets = {job.specs[role] for role in CLOSER_DRAFT_ROLES if role in job.specs}
    is_chosen = job.params.get("mask") or job.params.get("cut_by", "all") != "all"
    return not is_chosen and bool(used & nets) and not used >= nets
