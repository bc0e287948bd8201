"""What a tool tab shows, as updates of its components; orders nothing and follows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import gradio as gr
from gradio.components import Component

from pipelines.codecs.encode import STILL_FORMATS
from pipelines.core.errors import NotFound, StudioError
from pipelines.core.job import File, Job, QueuePosition, Result, Step
from pipelines.jobs.queue import JobRow
from pipelines.service.orders import StudioService
from ui.api.auth.access import Access
from ui.api.code_snippets import asked, curl
from ui.components.pictures import NamedFile, PictureTile, encode_data_url, publish_file, render_before, small
from ui.tool_tab import text
from ui.tool_tab.form_controls import Control, describe_mask, to_component_value
from ui.tool_tab.layout import ToolTab, list_output_sides
from ui.tool_tab.settings_link import build_link

Updates: TypeAlias = dict[Component, Any]
TILE_SIDE_PX = 320
"""Longer side of one picture of several, in pixels."""
YOUR_PHOTO = "Your photo"
"""What a picture is compared with at first."""


class TabView:
    """One tab's states: the same for a job just ordered, one found again, and one that was kept."""

    def __init__(self, tab: ToolTab, service: StudioService, access: Access) -> None:
        self.tab = tab
        self.service = service
        self.access = access

    # ------------------------------------------------------------ states

    def no_change(self) -> Updates:
        """No change.

        Gradio empties every output of a handler that hands over nothing, and sends the last thing it was handed once
        more when the handler ends, which may be after another has spoken: so every generator ends with this.
        """
        return {self.tab.alerts: gr.skip()}

    def show_idle(self, stage: str | None = None) -> Updates:
        """Nothing runs for this tab."""
        updates: Updates = {
            self.tab.generate: gr.update(interactive=True),
            self.tab.stop: gr.update(interactive=False),
        }
        return updates if stage is None else {**updates, self.tab.result.status: stage}

    def show_actions(self, job: Job | None) -> Updates:
        """Nothing runs, and the box shows a picture of `job`, or none that could be taken home: the buttons alone."""
        board = self.tab.result
        actions: list[Component] = [board.download, board.reuse_settings, board.file_format, board.apply_to_folder]
        ready = dict.fromkeys(actions, job is not None)
        ready[board.send_to] = job is not None and bool(self.tab.send_targets)
        ready[board.image_size] = job is not None and isinstance(job.params.get("size"), int)
        return {**self.show_idle(), **{part: gr.update(interactive=there) for part, there in ready.items()}}

    def list_action_components(self) -> list[Component]:
        """What `at_rest` changes, and what stays the `same`."""
        return [*self.show_actions(None), *self.no_change(), self.tab.result.status]

    def show_draft_started(self) -> Updates:
        """Nothing finished is in the box: its actions rest, and old complaints go."""
        board = self.tab.result
        return {
            self.tab.alerts: "",
            board.status: text.render_status(text.STARTED_TEXT, busy=True),
            board.comparison: "",
            board.variation: gr.update(visible=False),
            board.compare_with: gr.update(visible=False),
            board.download: gr.update(interactive=False),
            board.reuse_settings: gr.update(interactive=False),
            board.send_to: gr.update(interactive=False),
            board.file_format: gr.update(interactive=False),
            board.apply_to_folder: gr.update(interactive=False),
            board.image_size: gr.update(interactive=False),
            board.other_files: gr.update(value=None, visible=False),
        }

    def show_started(self) -> Updates:
        """The full size is under way."""
        return {
            **self.show_draft_started(),
            self.tab.generate: gr.update(interactive=False),
            self.tab.stop: gr.update(interactive=True),
        }

    def show_progress(self, event: QueuePosition | Step, *, draft: bool, left: float | None = None) -> Updates:
        """Stage, step, place in the queue, seconds left where they are known, and the preview when there is one."""
        updates: Updates = {self.tab.result.status: text.render_progress(event, draft=draft, seconds_left=left)}
        if isinstance(event, Step) and event.preview is not None:
            updates[self.tab.result.picture] = event.preview
        return updates

    def show_error(self, error: StudioError, param: str | None = None) -> Updates:
        """The sentence beside its field; what was entered stays."""
        target = self.field_element_id(error.param or param or "")
        return {**self.show_idle(text.render_status("")), self.tab.alerts: text.render_error(error, target)}

    def field_element_id(self, name: str) -> str:
        """The HTML id of a field, "" for one that is not here."""
        return f"{self.tab.tool.id}-{name}" if name in self.tab.controls else ""

    # ------------------------------------------------------------ the form

    def fill_form(self, params: Mapping[str, Any], seed: int) -> Updates:
        """A job's exact settings in the form, its seed included."""
        filled: Updates = {}
        for name, made in self.tab.controls.items():
            value: Any = seed if made.field.kind == "seed" else params.get(name, made.field.default)
            filled |= self.set_picture(made, value) if made.display is not made.value else self._set_value(made, value)
        return filled

    def fill_fields(self, values: Mapping[str, Any]) -> Updates:
        """Only these settings; pictures are not among them, and a locked field stays as it is."""
        rows = [(self.tab.controls[name], value) for name, value in values.items() if name in self.tab.controls]
        filled: Updates = {}
        for made, value in rows:
            if made.display is made.value and not made.lock_reason:
                filled |= self._set_value(made, value)
        return filled

    def offer_saved_names(self, owner: str) -> Updates:
        """The names that the owner keeps, in the fields that take one."""
        updates: Updates = {}
        for made in self.tab.controls.values():
            if made.field.saved_kind:
                rows = self.service.saved_items.list_items(owner, made.field.saved_kind)
                updates[made.value] = gr.update(choices=[("None", ""), *((row.name, row.name) for row in rows)])
        return updates

    def _set_value(self, made: Control, value: Any) -> Updates:
        empty = value is None and made.field.kind in ("colour", "seed")
        return {made.value: "" if empty else to_component_value(made.field, value)}

    def set_picture(self, made: Control, file_id: Any) -> Updates:
        """A file in a picture's or a mask's field, or several in that of several; nothing where a file is gone."""
        if made.field.kind == "pictures":
            return self._set_pictures(made, file_id or ())
        if made.field.kind == "mask":
            return {made.value: file_id, made.display: describe_mask(made.field, file_id is not None)}
        with suppress(NotFound):
            return {
                made.value: file_id,
                made.display: small(self.service.files.open_image(file_id)) if file_id else None,
            }
        return {made.value: None, made.display: None}

    def _set_pictures(self, made: Control, file_ids: Sequence[str]) -> Updates:
        tiles: list[PictureTile] = []
        for file_id in file_ids:
            with suppress(NotFound):
                tiles.append(PictureTile(small(self.service.files.open_image(file_id), TILE_SIDE_PX), file_id))
        return {made.value: tuple(tile.file_id for tile in tiles), made.display: tiles}

    # ------------------------------------------------------------ the finished job

    def show_draft(self, result: Result, last_preview: bytes | None) -> Updates:
        """The draft stays in the box. Its last preview, `seen`, comes again.

        Gradio's page puts together what arrives within one frame and keeps only the latest word on each component, and
        a quick draft's last preview and its end arrive within one frame.
        """
        shown: Updates = {} if last_preview is None else {self.tab.result.picture: last_preview}
        return {**shown, self.tab.result.status: text.render_draft_status(result)}

    def show_result(self, row: JobRow, result: Result, base: str) -> Updates:
        """The first picture of a job, and how many there are."""
        files, board = list_result_pictures(result), self.tab.result
        numbers = [str(n + 1) for n in range(len(files))]
        several = len(files) > 1
        return {
            **self.show_idle(),
            **self.show_variation(row.job, result, 0, base),
            board.variation_tiles: self._render_variation_tiles(files) if several else "",
            board.variation: gr.update(choices=numbers, value="1", visible=several),
            board.compare_with: gr.update(choices=[YOUR_PHOTO, *numbers], value=YOUR_PHOTO, visible=several),
        }

    def _render_variation_tiles(self, files: Sequence[File]) -> str:
        """The pictures of the contact sheet, as the style of its tiles."""
        tiles = [encode_data_url(small(self.service.files.open_image(file.id), TILE_SIDE_PX)) for file in files]
        return text.render_tile_style(f"{self.tab.tool.id}-variation", tiles)

    def show_comparison(self, result: Result, variation: int, other: int | None) -> Updates:
        """Another picture of the same job over the shown one; None: the photo again."""
        files = list_result_pictures(result)
        if other is None or other >= len(files):
            return {self.tab.result.comparison: self._render_photo_overlay(result, files[variation])}
        laid = encode_data_url(small(self.service.files.open_image(files[other].id)))
        numbers = str(other + 1), str(variation + 1)
        return {self.tab.result.comparison: text.render_comparison(laid, f"Variation {other + 1}", numbers, share=50)}

    def show_variation(self, job: Job, result: Result, variation: int, base: str) -> Updates:
        """Picture number `variation` with everything that can be done with it. `base` is the page's own address."""
        board, file = self.tab.result, list_result_pictures(result)[variation]
        named = self._name_file(job, file, variation)
        return {
            board.picture: named,
            board.comparison: self._render_photo_overlay(result, file),
            board.compare_with: gr.update(value=YOUR_PHOTO),
            board.status: text.render_result_status(job, result, variation),
            board.download: gr.update(value=publish_file(named, board.download.GRADIO_CACHE), interactive=True),
            board.reuse_settings: gr.update(interactive=True),
            board.send_to: gr.update(value="", interactive=bool(self.tab.send_targets)),
            board.file_format: gr.update(value=file.format, interactive=True),
            board.apply_to_folder: gr.update(interactive=True),
            board.image_size: self._list_sizes(job, file),
            board.api_code: self._render_api_code(job, base),
            board.settings_link: build_link(base, self.tab.tool, job.params, job.seed),
            board.receipt: text.format_receipt(result.receipt),
            board.other_files: self._list_other_files(job, result),
        }

    def _list_sizes(self, job: Job, file: File) -> dict[str, Any]:
        """The size that this picture was asked for, among those it can be had in; 0 left it to the look."""
        asked, made = job.params.get("size"), max(file.width, file.height)
        if not isinstance(asked, int):
            return gr.update(interactive=False)
        labels = {**{side: side for side in list_output_sides(self.tab.tool.params) if side != made}, asked: made}
        choices = [(f"{label} px", side) for side, label in sorted(labels.items(), key=lambda row: row[1])]
        return gr.update(choices=choices, value=asked, interactive=True)

    def _name_file(self, job: Job, file: File, number: int) -> NamedFile:
        return NamedFile(
            self.service.files.local_path(file.id),
            file.name or text.make_file_name(job.tool, job.params, number + 1, file.format),
        )

    def _list_other_files(self, job: Job, result: Result) -> dict[str, Any]:
        """Everything else there is to take home: archives, films, pages, layers, the cut-out."""
        rows = [file for file in result.files if file not in list_result_pictures(result)]
        named = [
            NamedFile(
                self.service.files.local_path(file.id),
                file.name or text.make_file_name(job.tool, {"preset": file.role}, n, file.format),
            )
            for n, file in enumerate(rows, 1)
        ]
        paths = [publish_file(each, self.tab.result.other_files.GRADIO_CACHE) for each in named]
        return gr.update(value=paths or None, visible=bool(paths))

    def _render_photo_overlay(self, result: Result, file: File) -> str:
        """What lies over the result: the photo, to compare. Under it, a ground that shows transparency."""
        ground = text.CHECKERBOARD_HTML if self.service.files.open_image(file.id).shape[2] == 4 else ""
        photo = result.receipt["params"].get("photo")
        with suppress(NotFound):
            if photo:
                number = list_result_pictures(result).index(file)
                laid = render_before(
                    self.service.files.open_image(photo), result.receipt, (file.width, file.height), number
                )
                return ground + text.render_comparison(encode_data_url(laid), "Your photo, before")
        return ground

    def _render_api_code(self, job: Job, base: str) -> str:
        values = {**job.params, **({"seed": job.seed} if "seed" in job.params else {})}
        return curl(asked(self.tab.tool, values, self.service.files.is_example), self.access.door(base))


def list_result_pictures(result: Result) -> list[File]:
    """The pictures a visitor asked for: what the box can show."""
    return [file for file in result.files if file.role == "result" and file.format in STILL_FORMATS]


def page_address(request: gr.Request) -> str:
    """Where the visitor's browser found this page, without a slash at the end."""
    url = request.request.url if request.request else None
    return f"{url.scheme}://{url.netloc}" if url else ""
