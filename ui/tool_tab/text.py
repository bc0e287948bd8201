"""Texts of the tool tab as escaped HTML: status line, alerts, comparison, receipt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from pipelines.core.errors import StudioError
from pipelines.core.job import Job, QueuePosition, Result, Step
from ui.api.routes.abuse_report_page import render_report_link

ADD_PHOTO_TEXT = "Add a photo to begin."
READY_TEXT = "Generate makes one; every choice is optional."
STARTED_TEXT = "Starting"
REPAIR_LABEL = "Repair the cut-out by hand"
PAINT_LABEL = "Paint the mask"
UPLOAD_CUTOUT_LABEL = "Upload a cut-out"
UPLOAD_MASK_LABEL = "Upload a mask"
PAINT_HINT = "Paint green over the place to change; red or the eraser takes paint away."
REPAIR_HINT = "Greyed parts are dropped. Paint green over what to keep, red over what to drop; erase to undo a stroke."
STOPPED_TEXT = "Stopped. Nothing was written."
CREDENTIALS_NOTE = "The file carries content credentials; platforms may show a badge."
MIN_SHOWN_SECONDS = 2
"""Shortest remaining time that is shown."""
CHECKERBOARD_HTML = '<i class="see-through"></i>'
"""Background under a picture with transparency."""


def render_status(text: str, *, busy: bool = False, share: float | None = None, notes: Iterable[str] = ()) -> str:
    """Render the status line. `share` (0 to 1) fills its progress bar; None with `busy` animates it."""
    width = "" if share is None else f' style="--share:{min(max(share, 0), 1):.3f}"'
    css_class = "dbx-line busy" if busy else "dbx-line"
    css_class += " part" if busy and share is not None else ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    note_list = f'<ul class="dbx-notes">{items}</ul>' if items else ""
    return f'<div class="{css_class}" role="status"><p>{escape(text)}</p><span{width}></span></div>{note_list}'


def render_progress(event: QueuePosition | Step, *, draft: bool, seconds_left: float | None = None) -> str:
    """Render the status line of a waiting or running job; `seconds_left` is an estimate, None if unknown."""
    time_left = "" if (seconds_left or 0) < MIN_SHOWN_SECONDS else f" · about {seconds_left:.0f} s left"
    if isinstance(event, QueuePosition):
        position = "next in line" if event.position <= 1 else f"place {event.position} in line"
        return render_status(f"Waiting: {position}{time_left}", busy=True)
    prefix = "Draft · " if draft else ""
    if event.total <= 1:
        return render_status(f"{prefix}{event.stage}{time_left}", busy=True)
    step = f"step {event.index} of {event.total}"
    return render_status(f"{prefix}{event.stage} · {step}{time_left}", busy=True, share=event.index / event.total)


def render_result_status(job: Job, result: Result, variation: int) -> str:
    """Render the status line of a finished job, with notices and measurements from its receipt."""
    file = result.files[variation]
    text = f"Done in {result.seconds:.1f} s · {file.width} × {file.height} px · {file.format.upper()}"
    notes = (describe_pixel_change(job, result.receipt), *result.receipt.get("notices", ()), CREDENTIALS_NOTE)
    return (
        render_status(text, notes=notes)
        + render_measurements(result.receipt)
        + render_crop_data(result.receipt, variation)
        + render_report_link("Report this picture", job=job.id)
    )


def render_crop_data(receipt: Mapping[str, Any], number: int = 0) -> str:
    """Render, for page.js, the crop of picture `number`: its box in the photo and in the picture, as eight shares."""
    crops = receipt.get("crops", ())
    shares = " ".join(str(share) for share in (*crops[number]["box"], *crops[number]["at"])) if crops else ""
    return f'<i hidden data-crop="{shares}"></i>' if shares else ""


def render_measurements(receipt: Mapping[str, Any]) -> str:
    """Render a folded list that explains the receipt's measurements."""
    rows = "".join(f"<li>{escape(sentence)}</li>" for sentence in receipt.get("explained", {}).values())
    title = "Measured on this picture"
    return f'<details class="dbx-measured"><summary>{title}</summary><ul>{rows}</ul></details>' if rows else ""


def describe_pixel_change(job: Job, receipt: Mapping[str, Any]) -> str:
    """Say in one sentence whether the subject's pixels were changed."""
    scene = job.specs.get("backdrop") in {row["id"] for row in receipt.get("models", ())}
    if scene and receipt.get("mode") == "relit":
        return "Relit: your colours were fitted to the scene."
    if receipt.get("mode") == "relit" or receipt.get("checks", {}).get("core_changed_pixels") != 0:
        return f"Seed {job.seed}."
    return "Your pixels unchanged; the background was fitted to you." if scene else "Your pixels unchanged."


def render_draft_status(result: Result) -> str:
    """Render the status line of a finished draft."""
    status = render_status("Draft, 512 px. Generate writes the full size.", notes=result.receipt.get("notices", ()))
    return status + render_crop_data(result.receipt)


def render_error(error: StudioError, element_id: str = "") -> str:
    """Render an error as an alert. A refusal of the content filter can be reported as wrong."""
    alert = render_alert(error.message, element_id)
    if error.code != "content_policy":
        return alert
    return alert + render_report_link("There is nothing wrong with it: tell the owner")


def render_alert(sentence: str, element_id: str = "") -> str:
    """Render an alert that page.js moves to the element `element_id`; an empty sentence removes it."""
    if not sentence:
        return ""
    return f'<p class="dbx-alert" role="alert" data-for="{escape(element_id)}">{escape(sentence)}</p>'


def render_notice(sentences: Iterable[str], element_id: str) -> str:
    """Render remarks about a picture that was accepted."""
    text = " ".join(sentences)
    return f'<p class="dbx-alert calm" role="status" data-for="{escape(element_id)}">{escape(text)}</p>' if text else ""


def render_mask_status(is_own: bool, is_cutout: bool) -> str:
    """Render which mask is in use: the visitor's own, the automatic cut-out, or none."""
    text = "Your own cut-out is in use." if is_cutout else "Your mask is in use."
    if not is_own:
        text = "The automatic cut-out is in use." if is_cutout else "Nothing is painted yet."
    return f'<p class="dbx-matte">{text}</p>'


def render_comparison(picture: str, alt: str, sides: tuple[str, str] = ("Before", "After"), share: int = 0) -> str:
    """Render a picture over the shown one, with a slider between them; at first it covers `share` percent."""
    return (
        f'<div class="dbx-before"><img src="{picture}" alt="{escape(alt)}"></div>'
        f'<label class="dbx-wipe"><span>{sides[0]}</span>'
        f'<input type="range" min="0" max="100" value="{share}" aria-label="{escape(alt)}: how much, from the left">'
        f"<span>{sides[1]}</span></label>"
    )


def render_tile_style(field: str, pictures: Iterable[str]) -> str:
    """Render CSS that gives each option of the radio with the id `field` its picture, a data URL."""
    rules = "".join(
        f"#{field} label:nth-of-type({n})::before{{background-image:url({picture})}}"
        for n, picture in enumerate(pictures, 1)
    )
    return f"<style>{rules}</style>"


def format_receipt(receipt: Mapping[str, Any]) -> str:
    """Format the receipt as indented JSON."""
    return json.dumps(receipt, indent=2, ensure_ascii=False)


def make_file_name(tool: str, params: Mapping[str, Any], number: int, format: str) -> str:
    """Make a file name such as `headshot-linkedin-1.png`."""
    look = str(params.get("preset") or "picture")
    return f"{tool}-{look}-{number}.{'jpg' if format == 'jpeg' else format}"
