"""The fold "Ask your team for portraits" of Business Photos: its components."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pipelines.service.studio_service import StudioService
from pipelines.service.teams import DEFAULT_DAYS, MAX_DAYS, MAX_NAME_LENGTH

TITLE = "Ask your team for portraits"
ABOUT_TEXT = "Colleagues open a link, send their own portrait and agree to its use. You approve it or ask again."
THIS_MACHINE_TEXT = "Only this machine can open the link now: start the studio with --host and --auth to let others in."
PREFIX = "business-team"
"""First part of the HTML ids."""


class TeamPanel:
    """Components of the fold, built inside the open Gradio layout; `management` is hidden while there is no team."""

    def __init__(self, service: StudioService) -> None:
        with gr.Accordion(TITLE, open=False, elem_classes=["dbx-more"], elem_id=f"{PREFIX}-fold") as self.accordion:
            hint = "" if service.settings.is_public else f"<p>{THIS_MACHINE_TEXT}</p>"
            gr.HTML(f"<p>{ABOUT_TEXT}</p>{hint}", elem_classes=["dbx-hint"])
            with gr.Row(elem_classes=["dbx-pair"]):
                self.name = gr.Textbox(
                    label="Name of the team", max_length=MAX_NAME_LENGTH, max_lines=1, elem_id=f"{PREFIX}-name"
                )
                self.days = gr.Number(
                    DEFAULT_DAYS, label="Days", minimum=1, maximum=MAX_DAYS, precision=0, elem_id=f"{PREFIX}-days"
                )
            self.create = gr.Button("Make a link", elem_id=f"{PREFIX}-create")
            self.alerts = gr.HTML("", elem_classes=["dbx-alerts"], elem_id=f"{PREFIX}-said")
            self.management: Any = gr.Column(visible=False)
            with self.management:
                self.team = gr.Dropdown([], label="Team", value=None, elem_id=f"{PREFIX}-choice")
                self.link = _build_link("Link for your colleagues", "link")
                self.portraits = gr.HTML("", elem_id=f"{PREFIX}-portraits")
                self.refresh = gr.Button("Look for new portraits", size="sm", elem_id=f"{PREFIX}-refresh")
                self.member = gr.Dropdown([], label="Portrait", value=None, elem_id=f"{PREFIX}-member")
                self.note = gr.Textbox(
                    label="What should be different", max_length=200, max_lines=2, elem_id=f"{PREFIX}-note"
                )
                with gr.Row():
                    self.approve = gr.Button("Approve", size="sm", min_width=90, elem_id=f"{PREFIX}-approve")
                    self.ask_again = gr.Button("Ask again", size="sm", min_width=90, elem_id=f"{PREFIX}-ask")
                    self.refuse = gr.Button("Refuse and delete", size="sm", min_width=90, elem_id=f"{PREFIX}-refuse")
                self.member_link = _build_link(
                    "Link for this colleague, for one portrait", "member-link", visible=False
                )
                self.use = gr.Button("Use approved portraits", elem_id=f"{PREFIX}-use")
                with gr.Row():
                    self.renew = gr.Button(
                        "New link, end the old one", size="sm", min_width=140, elem_id=f"{PREFIX}-renew"
                    )
                    self.delete = gr.Button(
                        "Delete the team and its photos", size="sm", min_width=140, elem_id=f"{PREFIX}-delete"
                    )

    def list_outputs(self) -> list[Any]:
        """List the components that the events change."""
        return [
            self.name,
            self.alerts,
            self.management,
            self.team,
            self.link,
            self.portraits,
            self.member,
            self.note,
            self.member_link,
        ]


def _build_link(label: str, name: str, **options: Any) -> gr.Textbox:
    elem_id = f"{PREFIX}-{name}"
    return gr.Textbox(label=label, interactive=False, buttons=["copy"], max_lines=3, elem_id=elem_id, **options)
