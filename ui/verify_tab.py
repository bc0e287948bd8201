"""Verify a picture: the page's tab that says what a file says about itself; keeps nothing and knows no tool."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from pipelines.core.errors import StudioError
from pipelines.provenance.c2pa import CredentialReport
from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.components.pictures import PhotoUpload, read_upload
from ui.tool_tab import text as tool_tab_text

TITLE = "Verify a picture"
LEDE = (
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
    "compositeCapture": "put together from photographs; no generative model drew",
    "compositeSynthetic": "photographs with computed scenery; no generative model drew",
    "compositeWithTrainedAlgorithmicMedia": "a photograph together with what a generative model drew",
    "trainedAlgorithmicMedia": "drawn by a generative model",
    "algorithmicMedia": "computed by a fixed rule",
    "digitalCapture": "taken by a camera",
}
_ACTION_NAMES = {
    "c2pa.created": "created",
    "c2pa.opened": "made from a picture",
    "c2pa.edited": "edited",
    "c2pa.placed": "another picture placed",
}


def build_tab(page: gr.Tab, service: StudioService, access: Access) -> None:
    """Lay the page out in its tab, and wire it."""
    gr.HTML(f'<header class="dbx-head"><h1>{TITLE}</h1><p>{LEDE}</p></header>')
    with gr.Row(elem_classes=["dbx-tool"]):
        with gr.Column(scale=5, min_width=320, elem_classes=["dbx-form"]):
            picture: Any = PhotoUpload(
                label="Picture", sources=["upload"], placeholder="Drop a picture, or click to choose", buttons=[],
                elem_id="verify-picture", elem_classes=["dbx-photo"], alt_text="Picture to verify",
            )  # fmt: skip
        with gr.Column(scale=7, min_width=320):
            answer = gr.HTML("", elem_id="verify-answer")

    async def look(path: str | None) -> tuple[None, str]:
        return None, "" if path is None else await run_in_threadpool(verify_upload, service, path)

    picture.upload(
        look, [picture], [picture, answer], api_visibility="private", concurrency_limit=None, show_progress="hidden"
    )


def verify_upload(service: StudioService, path: str) -> str:
    """What the upload at `path` says, as HTML; the upload is deleted."""
    try:
        return render_report(service.uploads.verify_picture(read_upload(path)))
    except StudioError as error:
        return tool_tab_text.render_alert(error.message, "verify-picture")


def render_report(found: CredentialReport) -> str:
    """Sentences, and the receipt behind a fold. Whatever the file says is a stranger's text: all of it is escaped."""
    standing = _CREDENTIALS_TEXTS[found.status].format(signer=found.signer or "somebody unnamed")
    rows = [f"<h2>{escape(standing)}</h2>"]
    rows.append(f'<ul class="dbx-notes">{"".join(f"<li>{escape(line)}</li>" for line in _list_findings(found))}</ul>')
    if found.receipt is not None:
        text = escape(json.dumps(found.receipt, indent=2, ensure_ascii=False))
        rows.append(f"<details><summary>Receipt</summary><pre>{text}</pre></details>")
    return f'<div class="dbx-said" role="status" data-standing="{found.status}">{"".join(rows)}</div>'


_WATERMARK_TEXTS = {
    "ours": "An invisible mark in its pixels says that it was made in this studio.",
    "another": "An invisible mark in its pixels says that it was made in another DesignerBox.",
}


def _list_findings(found: CredentialReport) -> list[str]:
    lines = [_WATERMARK_TEXTS[found.watermark]] if found.watermark else []
    if found.signer:
        lines.append(f"Named as signer: {found.signer}")
    if found.source_type:
        lines.append(
            f"Digital source type: {found.source_type} ({_SOURCE_NAMES.get(found.source_type, 'see the IPTC list')})"
        )
    if found.actions:
        lines.append("History: " + ", ".join(_ACTION_NAMES.get(action, action) for action in found.actions))
    if found.parents:
        lines.append("Made from: " + ", ".join(found.parents))
    return lines
