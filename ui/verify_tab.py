"""The verify tab: content credentials, watermark and receipt of an uploaded picture."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.provenance.c2pa import CredentialReport
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.components.event_options import PRIVATE_EVENT
from ui.components.pictures import build_photo_upload, encode_page_jpeg, read_upload
from ui.tool_tab import text as tool_tab_text

TITLE = "Verify a picture"
INTRO_TEXT = (
    "What a file says about itself: who signed it, whether it was changed since, and what made it. From here or from "
    "anywhere else; nothing of it is kept."
)
_CREDENTIALS_TEXTS = {
    "ours": "Signed by this studio and unchanged since.",
    "valid": "Signed by {signer} and unchanged since. Whether that signer is to be trusted is not known here.",
    "tampered": "Changed since it was signed: what it says of itself may no longer be true.",
    "unreadable": "It carries content credentials that cannot be read.",
    "none": "It carries no content credentials. They are easily lost on the way: this proves nothing.",
}
_SOURCE_NAMES = {
    "compositeCapture": "put together from photographs; no AI drew",
    "compositeSynthetic": "photographs with computed scenery; no AI drew",
    "algorithmicallyEnhanced": "with fine detail that AI added in enlarging; nothing new was drawn",
    "compositeWithTrainedAlgorithmicMedia": "a photograph together with what AI drew",
    "trainedAlgorithmicMedia": "drawn by AI",
    "algorithmicMedia": "computed by a fixed rule",
    "digitalCapture": "taken by a camera",
}
_ACTION_NAMES = {
    "c2pa.created": "created",
    "c2pa.opened": "made from a picture",
    "c2pa.edited": "edited",
    "c2pa.placed": "another picture placed",
}
_WATERMARK_TEXTS = {
    "ours": "An invisible mark in its pixels says that it was made in this studio.",
    "another": "An invisible mark in its pixels says that it was made in another DesignerBox.",
}


def build_tab(gradio_tab: gr.Tab, service: StudioService, access: AccessControl) -> None:
    """Build the verify tab inside `gradio_tab` and attach its listener."""
    gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{INTRO_TEXT}</p></header>')
    with gr.Row(elem_classes=["dbx-tool"]):
        with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
            picture: Any = build_photo_upload(
                "Picture", "Drop a picture, or click to choose", "verify-picture", alt_text="Picture to verify"
            )
        with gr.Column(scale=7, min_width=320):
            answer = gr.HTML("", elem_id="verify-answer")

    async def verify(path: str | None) -> tuple[bytes | None, str]:
        return (None, "") if path is None else await run_in_threadpool(verify_upload, service, path)

    picture.upload(verify, [picture], [picture, answer], **PRIVATE_EVENT)
    picture.clear(lambda: "", [], [answer], **PRIVATE_EVENT)


def verify_upload(service: StudioService, path: str) -> tuple[bytes | None, str]:
    """Return a JPEG of the upload at `path`, and what it says about itself as HTML. The upload is deleted."""
    try:
        data = read_upload(path)
        report = render_report(service.uploads.verify_picture(data))
        return encode_page_jpeg(service.uploads.decode_picture(data)), report
    except StudioError as error:
        return None, tool_tab_text.render_alert(error.message, "verify-picture")


def render_report(report: CredentialReport) -> str:
    """Render the findings and the folded receipt. All texts of the file come from strangers and are escaped."""
    sentence = _CREDENTIALS_TEXTS[report.status].format(signer=report.signer or "somebody unnamed")
    rows = [f"<h2>{escape(sentence)}</h2>"]
    rows.append(f'<ul class="dbx-notes">{"".join(f"<li>{escape(line)}</li>" for line in _list_findings(report))}</ul>')
    if report.receipt is not None:
        text = escape(json.dumps(report.receipt, indent=2, ensure_ascii=False))
        rows.append(f"<details><summary>How it was made, in full (receipt)</summary><pre>{text}</pre></details>")
    return f'<div class="dbx-said" role="status" data-standing="{report.status}">{"".join(rows)}</div>'


def _list_findings(report: CredentialReport) -> list[str]:
    lines = [_WATERMARK_TEXTS[report.watermark]] if report.watermark else []
    if report.signer:
        lines.append(f"Signed, as it says, by: {report.signer}")
    if report.source_type:
        source = _SOURCE_NAMES.get(report.source_type, "see the IPTC list")
        lines.append(f"How it was made: {source} (IPTC: {report.source_type})")
    if report.actions:
        lines.append("History: " + " · ".join(_ACTION_NAMES.get(action, action) for action in report.actions))
    if report.parents:
        lines.append("Made from: " + ", ".join(report.parents))
    return lines
