"""What the tool tab says: stage line, alerts, receipt, code, as text and escaped HTML; knows no component."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from pipelines.core.errors import StudioError
from pipelines.core.job import Job, QueuePosition, Result, Step
from ui.api.routes.abuse_report_page import anchor

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


def render_status(text: str, *, busy: bool = False, share: float | None = None, notes: Iterable[str] = ()) -> str:
    """The stage line; `share` 0 to 1 fills its bar, None with `busy` lets it run."""
    width = "" if share is None else f' style="--share:{min(max(share, 0), 1):.3f}"'
    state = "dbx-line busy" if busy else "dbx-line"
    state += " part" if busy and share is not None else ""
    told = "".join(f"<li>{escape(note)}</li>" for note in notes)
    extra = f'<ul class="dbx-notes">{told}</ul>' if told else ""
    return f'<div class="{state}" role="status"><p>{escape(text)}</p><span{width}></span></div>{extra}'


MIN_SHOWN_SECONDS = 2
"""Seconds: what is over sooner needs no clock."""


def render_progress(event: QueuePosition | Step, *, draft: bool, seconds_left: float | None = None) -> str:
    """The stage line while a job waits or runs; `left` are the seconds it should still take, None where unknown."""
    clock = (
        f" · about {seconds_left:.0f} s left" if seconds_left is not None and seconds_left >= MIN_SHOWN_SECONDS else ""
    )
    if isinstance(event, QueuePosition):
        place = "next in line" if event.position <= 1 else f"place {event.position} in line"
        return render_status(f"Waiting: {place}{clock}", busy=True)
    kind = "Draft · " if draft else ""
    if event.total <= 1:
        return render_status(f"{kind}{event.stage}{clock}", busy=True)
    step = f"step {event.index} of {event.total}"
    return render_status(f"{kind}{event.stage} · {step}{clock}", busy=True, share=event.index / event.total)


CREDENTIALS_NOTE = "The file carries content credentials; platforms may show a badge."


def render_result_status(job: Job, result: Result, variation: int) -> str:
    """The stage line of a finished job, with what the receipt has to say."""
    file = result.files[variation]
    text = f"Done in {result.seconds:.1f} s · {file.width} × {file.height} px · {file.format.upper()}"
    told = render_status(
        text, notes=(describe_pixel_change(job, result.receipt), *result.receipt.get("notices", ()), CREDENTIALS_NOTE)
    )
    return (
        told
        + render_measurements(result.receipt)
        + render_crop_data(result.receipt, variation)
        + anchor("Report this picture", job=job.id)
    )


def render_crop_data(receipt: Mapping[str, Any], number: int = 0) -> str:
    """For page.js: what of the photo picture `number` shows and where that lies in it, as eight shares, if anything."""
    rows = receipt.get("crops", ())
    shares = " ".join(str(share) for share in (*rows[number]["box"], *rows[number]["at"])) if rows else ""
    return f'<i hidden data-crop="{shares}"></i>' if shares else ""


def render_measurements(receipt: Mapping[str, Any]) -> str:
    """What each number of the receipt means, folded away."""
    rows = "".join(f"<li>{escape(sentence)}</li>" for sentence in receipt.get("explained", {}).values())
    title = "Measured on this picture"
    return f'<details class="dbx-measured"><summary>{title}</summary><ul>{rows}</ul></details>' if rows else ""


def describe_pixel_change(job: Job, receipt: Mapping[str, Any]) -> str:
    """One sentence on what happened to the subject's pixels."""
    scene = job.specs.get("backdrop") in {row["id"] for row in receipt.get("models", ())}
    if scene and receipt.get("mode") == "relit":
        return "Relit: your colours were fitted to the scene."
    if receipt.get("mode") == "relit" or receipt.get("checks", {}).get("core_changed_pixels") != 0:
        return f"Seed {job.seed}."
    return "Your pixels unchanged; the background was fitted to you." if scene else "Your pixels unchanged."


def render_draft_status(result: Result) -> str:
    """The stage line under a finished draft."""
    notices = result.receipt.get("notices", ())
    return render_status("Draft, 512 px. Generate writes the full size.", notes=notices) + render_crop_data(
        result.receipt
    )


def render_error(error: StudioError, target: str = "") -> str:
    """Why something was not done; what the content gate refused can be reported as harmless."""
    told = render_alert(error.message, target)
    return told + anchor("There is nothing wrong with it: tell the owner") if error.code == "content_policy" else told


def render_alert(sentence: str, target: str = "") -> str:
    """A sentence that page.js sets beside the element with the id `target`; empty takes it away."""
    if not sentence:
        return ""
    return f'<p class="dbx-alert" role="alert" data-for="{escape(target)}">{escape(sentence)}</p>'


def render_notice(sentences: Iterable[str], target: str) -> str:
    """Remarks about a picture that was taken all the same."""
    text = " ".join(sentences)
    return f'<p class="dbx-alert calm" role="status" data-for="{escape(target)}">{escape(text)}</p>' if text else ""


def render_mask_status(is_own: bool, is_cutout: bool) -> str:
    """Which mask is in use; a cut-out has an automatic one, any other none."""
    text = "Your own cut-out is in use." if is_cutout else "Your mask is in use."
    if not is_own:
        text = "The automatic cut-out is in use." if is_cutout else "Nothing is painted yet."
    return f'<p class="dbx-matte">{text}</p>'


CHECKERBOARD_HTML = '<i class="see-through"></i>'
"""Lays a chequered ground under a picture with transparency."""


def render_comparison(picture: str, alt: str, sides: tuple[str, str] = ("Before", "After"), share: int = 0) -> str:
    """A picture over the one in the box, cut by a slider that arrow keys move; `share` % of it is seen at first."""
    return (
        f'<div class="dbx-before"><img src="{picture}" alt="{escape(alt)}"></div>'
        f'<label class="dbx-wipe"><span>{sides[0]}</span>'
        f'<input type="range" min="0" max="100" value="{share}" aria-label="{escape(alt)}: how much, from the left">'
        f"<span>{sides[1]}</span></label>"
    )


def render_tile_style(field: str, pictures: Iterable[str]) -> str:
    """Style that gives each option of a radio its picture, a data URL of our own making."""
    rules = "".join(
        f"#{field} label:nth-of-type({n})::before{{background-image:url({picture})}}"
        for n, picture in enumerate(pictures, 1)
    )
    return f"<style>{rules}</style>"


def format_receipt(receipt: Mapping[str, Any]) -> str:
    """The receipt, readable."""
    return json.dumps(receipt, indent=2, ensure_ascii=False)


def make_file_name(tool: str, params: Mapping[str, Any], number: int, format: str) -> str:
    """`headshot-linkedin-1.png`."""
    look = str(params.get("preset") or "picture")
    return f"{tool}-{look}-{number}.{'jpg' if format == 'jpeg' else format}"
