"""Texts of the tool tab as escaped HTML: status line, alerts, comparison, receipt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, NamedTuple

from pipelines.codecs.file_names import name_download
from pipelines.core.errors import StudioError
from pipelines.core.geometry import DOUBTFUL_UNCERTAINTY, Size
from pipelines.core.job import CLOSER_LOOK_STAGE, FIRST_LOOK_STAGE, File, Job, QueuePosition, Result, Step
from pipelines.matting.cutout_notices import UNSETTLED_NOTICE, choose_mark_mode, choose_marked_boxes
from pipelines.quality.subject_checks import STILL_UNCLEAR_NOTICE, UNCLEAR_NOTICE
from pipelines.runtime.receipt import OTHER_DOUBTS
from pipelines.tools.retouch import CONTINUED_DOUBT
from ui.api.routes.abuse_report_page import render_report_link

ADD_PHOTO_TEXT = "Add a photo to begin."
READY_TEXT = "Generate makes one; every choice is optional."
OPTIONAL_PHOTO_TEXT = "A photo is optional: Generate works without one, too."
AWAITS_CONSENT_TEXT = "A draft comes once the permission is ticked."
READING_TEXT = "Reading your photo"
LAST_RESULT_TEXT = "Last result"
STARTED_TEXT = "Starting"
DRAFT_TEXT = "Draft"
MEASURED_TEXT = "Measured on this picture:"
MEASURED_CUTOUT_TEXT = "Measured on this picture (whether the outline is right, only you can see):"
FINISHED_DRAFT_TEXT = "Draft, small for speed; the finished picture is full size."
SAME_DRAFT_TEXT = "Draft, small for speed. It looks the same as before."
SKETCH_TEXT = "Draft, small for speed, a sketch: at full size this place is drawn anew."
DRAFT_PART_TEXTS: dict[str, str] = {
    "middle": "Draft, small for speed, of your photo's middle alone.",
    "first": "Draft, small for speed: the first picture of several.",
}
REPAIR_LABEL = "Repair the cut-out by hand"
PAINT_LABEL = "Mark the place"
UPLOAD_CUTOUT_LABEL = "Upload a cut-out"
UPLOAD_MASK_LABEL = "Upload a black-and-white picture"
UPLOAD_MASK_HELP = "In place of painting, a picture from another program: white is erased, black stays."
REPAIR_HINT = "Grey is dropped. Paint green what stays, red what goes."
DISCARD_CUTOUT_LABEL = "Back to automatic"
DISCARD_MASK_LABEL = "Start over"
NOTHING_PAINTED_TEXT = "Nothing is painted yet."
PAINT_HINT = "Press on what should go, again for more, or paint over all of it, its shadow too. Then Preview."
PHOTO_READY_TEXT = "Photo loaded."
CONTINUED_TEXT = "The picture just made is the photo now."
FILLED_AGAIN_TEXT = "Filled in another way: the one before is below"
PAINT_FIRST_TEXT = "Press on what should go, or paint over it, then Preview."
SMALL_DOUBT_TAG, STILL_DOUBTED_TAG = "Small doubt", "Still doubtful"
"""What stands before the words of a doubt: of a small one, of one that is there after somebody has marked."""
FILL_AGAIN_MARK = "<i hidden data-fill-again></i>"
"""Tells pointing.js that a place of the finished picture can be filled in another way."""
STOPPED_TEXT = "Stopped. Nothing was written."
CREDENTIALS_NOTE = (
    "The file carries a signed note of how it was made (content credentials); platforms may show a badge."
)
SEED_NOTE = "Seed {}: the same number and settings make the same picture again."
MIN_SHOWN_SECONDS = 2
"""Shortest remaining time that is shown."""
PHOTO_READY_MARK = '<i hidden class="dbx-photo-ready"></i>'
"""Lets the style take the sentence away once something is painted."""
FIRST_LOOK_MARK = '<i hidden class="dbx-first-look"></i>'
"""Lets the style write on the picture that its cut-out may still change."""
SCENE_TILES_URL = "assets/tiles/scenes"
CHECKERBOARD_HTML = '<i class="see-through"></i>'
"""Background under a picture with transparency."""


def render_status(
    text: str, *, busy: bool = False, share: float | None = None, notes: Iterable[str] = (), details: str = ""
) -> str:
    """Render the status line, the first of the `notes`, and a fold with all notes and `details` (HTML).

    `share` (0 to 1) fills its progress bar; None with `busy` animates it.
    """
    width = "" if share is None else f' style="--share:{min(max(share, 0), 1):.3f}"'
    css_class = "dbx-line busy" if busy else "dbx-line"
    css_class += " part" if busy and share is not None else ""
    line = f'<div class="{css_class}" role="status"><p>{escape(text)}</p><span{width}></span></div>'
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    if not items and not details:
        return line
    note_list = f'<ul class="dbx-notes">{items}</ul>' if items else ""
    close = '<button type="button" class="dbx-close" aria-label="Close">×</button>'
    panel = f"<div>{close}{note_list}{details}</div>"
    return f'{line}<details class="dbx-details"><summary>Details</summary>{panel}</details>'


def render_progress(
    event: QueuePosition | Step,
    *,
    draft: bool,
    closer: bool = False,
    share: float | None = None,
    seconds_left: float | None = None,
) -> str:
    """Render the status line of a waiting or running job.

    While the small net's cut-out is shown, also all through a `closer` draft, the picture says that it may still
    change. `share` (0 to 1) of the whole job and `seconds_left` are estimates, None where they are unknown.
    """
    is_first_look = closer or (isinstance(event, Step) and event.stage in (FIRST_LOOK_STAGE, CLOSER_LOOK_STAGE))
    mark = FIRST_LOOK_MARK if is_first_look else ""
    if isinstance(event, QueuePosition):
        position = "next in line" if event.position <= 1 else f"place {event.position} in line"
        return render_status(f"Waiting: {position}", busy=True) + mark
    parts = [event.stage] if event.stage != DRAFT_TEXT or not draft else []
    parts = [DRAFT_TEXT, *parts] if draft else parts
    if share is not None:
        parts.append(f"{round(100 * share)} %")
    elif event.total > 1:
        parts.append(f"step {event.index} of {event.total}")
        share = event.index / event.total
    if seconds_left is not None and seconds_left >= MIN_SHOWN_SECONDS:
        parts.append(f"about {seconds_left:.0f} s left")
    return render_status(" · ".join(parts), busy=True, share=share) + mark


NO_BREAK_SPACE = "\u00a0"
MIN_TOLD_TURN_DEGREES = 0.5
"""Less than that nobody sees."""


def render_result_status(job: Job, result: Result, variation: int, prefix: str = "") -> str:
    """Render the status line of a finished job after `prefix`, with notices and measurements from its receipt."""
    file = result.files[variation]
    text = f"{prefix} · " if prefix else ""
    size = f"{file.width} × {file.height} px".replace(" ", NO_BREAK_SPACE)
    text += f"Done in {result.seconds:.1f} s · {size} · {file.format.upper()}"
    said = describe_turn(result.receipt), describe_pixel_change(job, result.receipt)
    notes = (
        *result.receipt.get("notices", ()),
        *filter(None, said),
        CREDENTIALS_NOTE,
        SEED_NOTE.format(job.seed),
    )
    details = render_measurements(result.receipt) + render_report_link("Report this picture", job=job.id)
    status = render_status(text, notes=notes, details=details) + render_closest_scenes(result.receipt)
    status += FILL_AGAIN_MARK if CONTINUED_DOUBT in result.receipt.get("fill_doubts", ()) else ""
    return status + render_crop_data(result.receipt, variation) + render_doubt(result.receipt, variation)


def render_closest_scenes(receipt: Mapping[str, Any]) -> str:
    """Render a button with a picture for each closest scene; page.js writes its title into the field of the wish and
    generates anew. "" where the wish was found, or nothing was wished."""
    match = receipt.get("scene_match") or {}
    field = next((name for name, value in receipt.get("params", {}).items() if _is_wish(value, match)), "")
    if match.get("found", True) or not field:
        return ""
    target = escape(f"{receipt['tool']}-{field}")
    buttons = "".join(
        f'<button type="button" data-words="{escape(row["title"])}" data-field="{target}">'
        f'<img src="{SCENE_TILES_URL}/{row["id"]}.webp" alt="" loading="lazy">{escape(row["title"])}</button>'
        for row in match["closest"]
    )
    return f'<p class="dbx-measured">No such scene here. Closest three:</p><div class="dbx-closest">{buttons}</div>'


def _is_wish(value: object, match: Mapping[str, Any]) -> bool:
    return isinstance(value, str) and bool(value.strip()) and " ".join(value.split()) == match.get("wish")


def render_crop_data(receipt: Mapping[str, Any], number: int = 0) -> str:
    """Render, for page.js, the crop of picture `number`: its box in the photo and in the picture, as eight shares."""
    crops = receipt.get("crops", ())
    shares = " ".join(str(share) for share in (*crops[number]["box"], *crops[number]["at"])) if crops else ""
    return f'<i hidden data-crop="{shares}"></i>' if shares else ""


def render_doubt(receipt: Mapping[str, Any], number: int = 0) -> str:
    """Render, for pointing.js, why picture `number` should be looked at, a line for each doubt, and where.

    "" where there is no doubt. `data-mode`: which marks mend it. `data-small`: it is told quietly. `data-tag` stands
    before the words.
    """
    lines = "\n".join(list_doubts(receipt))
    shape, boxes = receipt.get("better_shape"), list_doubt_boxes(receipt, number)
    offered = f' data-shape="{escape(shape)}"' if shape else ""
    placed = f' data-boxes="{json.dumps(boxes)}"' if boxes else ""
    told = describe_doubt(receipt)
    other = "" if told else " data-other"  # nothing of it is the cut-out's
    marks = choose_mark_mode(told)
    mode = f' data-mode="{marks}"' if marks else ""
    small = " data-small" if is_small_doubt(receipt) else ""
    is_marked = bool(told) and any(receipt.get("params", {}).get(name) for name in ("keep", "drop", "box"))
    tag = STILL_DOUBTED_TAG if is_marked else SMALL_DOUBT_TAG if small else ""
    tagged = f' data-tag="{tag}"' if tag else ""
    return f'<i hidden data-doubt="{escape(lines)}"{offered}{placed}{other}{mode}{small}{tagged}></i>' if lines else ""


def list_doubt_boxes(receipt: Mapping[str, Any], number: int) -> list[list[float]]:
    """List where in picture `number` the doubt that is told lies: left, top, right, bottom, ratios of the picture.

    After it what was filled and is doubted. Nothing where the picture does not show it or no place is known, and no box
    that is nearly all of the picture.
    """
    told, placements = next(iter(receipt.get("cutout_doubts", ())), ""), receipt.get("placements")
    placed = placements[number] if placements and number < len(placements) else receipt.get("placement")
    rows = (placed or {}).get("doubts", ())
    told_boxes = {row["doubt"]: row["boxes"] for row in rows if row["doubt"] == told}
    return choose_marked_boxes({**told_boxes, "filled": receipt.get("fill_places", ())})


def list_doubts(receipt: Mapping[str, Any]) -> list[str]:
    """List in sentences why the picture should be looked at: its cut-out, its framing, what was filled."""
    others = [sentence for kind in OTHER_DOUBTS for sentence in receipt.get(kind, ())]
    return [*_list_cutout_doubts(receipt), *others]


def is_small_doubt(receipt: Mapping[str, Any]) -> bool:
    """Tell whether all that is doubted is a place in a cut-out which is fairly certain as a whole.

    Of 75 such cut-outs with a truth 14 had an IoU up to 0.9, of 192 less certain ones 94, of 114 without a doubt 3.
    """
    is_certain = (receipt.get("cutout_uncertainty") or 0.0) <= DOUBTFUL_UNCERTAINTY
    return is_certain and bool(describe_doubt(receipt)) and len(list_doubts(receipt)) == 1


class RowDoubt(NamedTuple):
    """Whether a picture of a batch has a doubt, if it is a small one, and how uncertain its cut-out is (0 to 1)."""

    has_doubt: bool
    is_small: bool
    uncertainty: float

    def is_aside(self, set_aside: float) -> bool:
        """Whether the picture is set aside above the uncertainty `set_aside`."""
        return self.uncertainty > set_aside

    def is_to_be_checked(self, set_aside: float) -> bool:
        """Whether somebody should look at the picture, unless he has found it right."""
        return self.has_doubt or self.is_aside(set_aside)


def read_row_doubt(receipt: Mapping[str, Any]) -> RowDoubt:
    """Return what is doubted of a batch's picture, whether the batch made it or somebody put it there."""
    uncertainty = receipt.get("cutout_uncertainty") or 0.0
    return RowDoubt(bool(list_doubts(receipt)), is_small_doubt(receipt), uncertainty)


def describe_doubt(receipt: Mapping[str, Any]) -> str:
    """Say in one sentence why the cut-out should be looked at; "" where there is no doubt."""
    return next(iter(_list_cutout_doubts(receipt)), "")


def _list_cutout_doubts(receipt: Mapping[str, Any]) -> list[str]:
    """List why the cut-out should be looked at: one sentence, and one that names a place if the first doubts all."""
    unnamed = (UNSETTLED_NOTICE,) if receipt.get("cutout_uncertainty", 0) > DOUBTFUL_UNCERTAINTY else ()
    doubts = receipt.get("cutout_doubts", unnamed)  # none left: what is doubted is not in the picture
    told = doubts[: 2 if doubts[:1] and doubts[0] in (UNCLEAR_NOTICE, STILL_UNCLEAR_NOTICE) else 1]
    # What to do is told in the notice.
    return [doubt.split(". ")[0].removesuffix(".") + "." for doubt in told]


def render_measurements(receipt: Mapping[str, Any]) -> str:
    """Render a list that explains the receipt's measurements."""
    explained = receipt.get("explained", {})
    rows = "".join(f"<li>{escape(sentence)}</li>" for sentence in explained.values())
    heading = MEASURED_CUTOUT_TEXT if "core_share" in explained else MEASURED_TEXT
    return f'<p class="dbx-measured">{heading}</p><ul class="dbx-notes">{rows}</ul>' if rows else ""


def describe_turn(receipt: Mapping[str, Any]) -> str:
    """Say by how much a head was turned upright; "" where it was not."""
    degrees = abs((receipt.get("placement") or {}).get("roll") or 0.0)
    return f"Turned by {degrees:.1f}° so that the eyes are level." if degrees >= MIN_TOLD_TURN_DEGREES else ""


def describe_pixel_change(job: Job, receipt: Mapping[str, Any]) -> str:
    """Say in one sentence whether the subject's pixels were changed; "" where nothing is to be said."""
    scene = job.specs.get("backdrop") in {row["id"] for row in receipt.get("models", ())}
    if receipt.get("mode") == "relit" and job.params.get("light") == "relit":
        return "Relit: your colours were fitted to the scene." if scene else ""
    if describe_doubt(receipt):  # no praise beside a doubt
        return ""
    if receipt.get("mode") != "exact" or receipt.get("checks", {}).get("core_changed_pixels") != 0:
        return ""
    placements = (receipt.get("placement"), *receipt.get("placements", ()))
    if any(placed and placed.get("enlarged_too_far") for placed in placements):
        return "Your subject was enlarged, not redrawn."
    return "Your pixels unchanged; the background was fitted to you." if scene else "Your pixels unchanged."


def render_draft_status(result: Result, tool_id: str, *, is_same: bool = False, is_first_look: bool = False) -> str:
    """Render the status line of a finished draft, and a button that generates, then downloads.

    `is_same`: it looks as the one before, although something else was chosen. `is_first_look`: one net alone has seen
    the photo, so how sure the cut-out is comes with the closer draft, as do its doubts.
    """
    line = DRAFT_PART_TEXTS.get(result.receipt.get("draft_part", ""), FINISHED_DRAFT_TEXT)
    line = SKETCH_TEXT if result.receipt.get("sketch") else line
    line = SAME_DRAFT_TEXT if is_same and line == FINISHED_DRAFT_TEXT else line
    status = render_status(line, notes=result.receipt.get("notices", ()))
    status += render_closest_scenes(result.receipt)
    status += render_finish_button(tool_id)
    doubt = FIRST_LOOK_MARK if is_first_look else render_doubt(result.receipt)
    return status + render_crop_data(result.receipt) + doubt


def render_finish_button(tool_id: str) -> str:
    """Render the button beside a draft that generates, then downloads: a draft has no file."""
    return f'<button type="button" class="dbx-finish" data-press="#{tool_id}-generate">Generate and download</button>'


def render_error(error: StudioError, element_id: str = "") -> str:
    """Render an error as an alert. A refusal of the content filter can be reported as wrong."""
    alert = render_alert(error.message, element_id)
    if error.code != "content_policy":
        return alert
    return alert + render_report_link("There is nothing wrong with it: tell the owner")


def render_alert(sentence: str, element_id: str = "", *, is_calm: bool = False) -> str:
    """Render an alert that page.js moves to the element `element_id`; an empty sentence removes it.

    `is_calm`: nobody did anything wrong yet.
    """
    if not sentence:
        return ""
    css_class = "dbx-alert calm" if is_calm else "dbx-alert"
    return f'<p class="{css_class}" role="alert" data-for="{escape(element_id)}">{escape(sentence)}</p>'


def render_notice(sentences: Iterable[str], element_id: str) -> str:
    """Render remarks about a picture that was accepted."""
    text = " ".join(sentences)
    return f'<p class="dbx-alert calm" role="status" data-for="{escape(element_id)}">{escape(text)}</p>' if text else ""


def render_mask_status(is_own: bool, is_cutout: bool) -> str:
    """Render which mask is in use: the visitor's own, which can be given up, the automatic cut-out, or none."""
    text = "Your own cut-out is in use." if is_cutout else "What you marked is in use."
    if not is_own:
        text = "The automatic cut-out is in use, with any marks." if is_cutout else NOTHING_PAINTED_TEXT
    button = DISCARD_CUTOUT_LABEL if is_cutout else DISCARD_MASK_LABEL
    back = f' <button type="button" class="dbx-matte-back">{button}</button>' if is_own else ""
    return f'<p class="dbx-matte">{text}{back}</p>'


def render_comparison(picture: str, alt: str, sides: tuple[str, str] = ("Before", "After"), share: int = 0) -> str:
    """Render a picture over the shown one, left of a line that is dragged; at first it covers `share` percent."""
    return (
        f'<div class="dbx-before"><img src="{picture}" alt="{escape(alt)}"></div>'
        f'<b class="dbx-side-of">{sides[0]}</b><b class="dbx-side-of">{sides[1]}</b>'
        f'<div class="dbx-wipe"><input type="range" min="0" max="100" value="{share}" '
        f'aria-label="{escape(alt)}: how much, from the left"></div>'
    )


def render_tile_style(field: str, pictures: Iterable[tuple[str, Size]]) -> str:
    """Render CSS that gives each option of the radio with the id `field` its picture, a data URL, in its own shape."""
    rules = "".join(
        f"#{field} label:nth-of-type({n})::before{{background-image:url({picture});aspect-ratio:{width}/{height}}}"
        for n, (picture, (width, height)) in enumerate(pictures, 1)
    )
    return f"<style>{rules}</style>"


def make_file_name(job: Job, file: File, number: int) -> str:
    """Make a file name such as `anna_headshot-linkedin-1.png`; `number` is that of the file in the job."""
    look = job.params if file.role == "result" else {"preset": file.role}
    return name_download(job.label, job.tool, look, number, file.format, own_name=file.name)
