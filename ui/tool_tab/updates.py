"""View of a tool tab: each state of a job as updates of the tab's components."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeAlias

import gradio as gr
from gradio.components import Component

from pipelines.codecs.encode import STILL_FORMATS
from pipelines.codecs.file_names import name_download, number_version
from pipelines.core.errors import NotFound, StudioError
from pipelines.core.job import File, Job, QueuePosition, Result, Step
from pipelines.jobs.queue import JobRow
from pipelines.service.settings_link import build_link
from pipelines.service.studio_service import StudioService
from ui.api.auth.access import AccessControl
from ui.components.pictures import (
    NamedFile,
    PictureTile,
    encode_data_url,
    encode_page_jpeg,
    publish_file,
    render_before,
)
from ui.tool_tab import text
from ui.tool_tab.form_controls import (
    Control,
    describe_mask,
    list_form_fields,
    to_component_value,
    to_param_value,
)
from ui.tool_tab.layout import CONSENT_FIELD, ToolTab, describe_first_step, list_output_sides
from ui.tool_tab.progress_times import Estimate

Updates: TypeAlias = dict[Component, Any]
TILE_SIDE_PX = 320
"""Longer side of a tile that shows one picture of several."""
HISTORY_SIDE_PX = 128
"""The same of one in the strip of earlier pictures."""
HISTORY_COUNT = 8
"""Pictures in that strip."""
LOOKED_AT_JOB_COUNT = 24
"""Last jobs of a tool among which they are looked for: some may have failed or be of a batch."""
YOUR_PHOTO = "Your photo"
"""First choice of "Compare with"."""


MAX_VERSION_COUNT = 50  # of a tool's last jobs, among which pictures of one name are counted


class TabView:
    """Updates for one tab. New jobs, restored jobs and library jobs all use the same ones."""

    def __init__(self, tab: ToolTab, service: StudioService, access: AccessControl) -> None:
        self.tab = tab
        self.service = service
        self.access = access
        self._find_version = lru_cache(maxsize=256)(self._count_version)
        self._find_history_tile = lru_cache(maxsize=256)(self._encode_history_tile)  # a few kilobytes each

    # ------------------------------------------------------------ states

    def no_change(self) -> Updates:
        """Return an update that changes nothing. Every generator handler must end with it.

        Gradio clears all outputs of a handler that yields nothing, and repeats a handler's last update when it ends,
        possibly over the newer update of another handler.
        """
        return {self.tab.alerts: gr.skip()}

    def show_idle(self, status_html: str | None = None) -> Updates:
        """Show that no job of this tab runs."""
        updates: Updates = {self.tab.generate: gr.update(interactive=True), self.tab.stop: gr.update(interactive=False)}
        return updates if status_html is None else {**updates, self.tab.result.status: status_html}

    def show_actions(self, job: Job | None) -> Updates:
        """Enable the buttons that fit while no job runs and a picture of `job` is shown; None: no finished picture."""
        result = self.tab.result
        enabled = dict.fromkeys(self._result_actions(), job is not None)
        enabled[result.send_to] = job is not None and bool(self.tab.send_targets)
        enabled[result.image_size] = job is not None and isinstance(job.params.get("size"), int)
        return {**self.show_idle(), **{action: gr.update(interactive=on) for action, on in enabled.items()}}

    def _result_actions(self) -> list[Component]:
        result = self.tab.result
        return [
            result.start_new,
            result.download,
            result.download_all,
            result.reuse_settings,
            result.send_to,
            result.file_format,
            result.apply_to_folder,
            result.image_size,
        ]

    def list_action_components(self) -> list[Component]:
        """List the outputs of `show_actions`, `repeat_picture`, `no_change`, the status line and that of a batch."""
        result = self.tab.result
        lines = [result.picture, result.status, result.batch_row, result.put_in_batch]
        return [*self.show_actions(None), *self.no_change(), *lines]

    def show_draft_started(self) -> Updates:
        """Show that a draft has started: disable the actions on a finished picture, and clear old alerts."""
        result = self.tab.result
        return {
            self.tab.alerts: "",
            result.status: text.render_status(text.STARTED_TEXT, busy=True),
            result.comparison: "",
            result.history: gr.update(value=None),  # the last finished picture can be chosen again
            result.variation: gr.update(visible=False),
            result.compare_with: gr.update(visible=False),
            **{action: gr.update(interactive=False) for action in self._result_actions()},
            result.other_files: gr.update(value=None, visible=False),
        }

    def show_started(self) -> Updates:
        """Show that the full-size job has started."""
        return {
            **self.show_draft_started(),
            self.tab.generate: gr.update(interactive=False),
            self.tab.stop: gr.update(interactive=True),
        }

    def show_progress(
        self, event: QueuePosition | Step, estimate: Estimate, *, draft: bool, closer: bool = False
    ) -> Updates:
        """Show the stage and step or the place in the queue, what is left if known, and the preview if any.

        While a `closer` draft is drawn, the first one says on the picture that its cut-out may still change.
        """
        share, seconds_left = estimate
        line = text.render_progress(event, draft=draft, closer=closer, share=share, seconds_left=seconds_left)
        # The first draft is there to be taken: nobody has to wait for the closer one.
        line += text.render_finish_button(self.tab.tool.id) if closer else ""
        updates: Updates = {self.tab.result.status: line}
        if isinstance(event, Step) and event.preview is not None:
            updates[self.tab.result.picture] = event.preview
        return updates

    def show_error(self, error: StudioError, param: str | None = None) -> Updates:
        """Show the error's sentence beside its field, over the picture where it has none. The form keeps its values."""
        element_id = self.field_element_id(error.param or param or "")
        return {**self.show_idle(text.render_status("")), self.tab.alerts: text.render_error(error, element_id)}

    def show_draft_error(self, error: StudioError) -> Updates:
        """Show an error of the present form without the picture of an earlier one.

        Consent that is not given yet is no mistake of somebody who has just chosen a photo.
        """
        updates = {**self.show_error(error), **self.show_no_picture()}
        if error.code == "consent_required":
            updates[self.tab.alerts] = text.render_alert(error.message, self.field_element_id("consent"), is_calm=True)
            updates[self.tab.result.status] = text.render_status(text.AWAITS_CONSENT_TEXT)
        return updates

    def show_no_picture(self) -> Updates:
        """Empty the place of the picture."""
        result = self.tab.result
        hidden = gr.update(visible=False)
        return {
            result.picture: None,
            result.comparison: "",
            result.suggested_looks: "",
            result.variation_tiles: "",
            result.variation: hidden,
            result.compare_with: hidden,
            result.download_all: hidden,
            result.other_files: gr.update(value=None, visible=False),
        }

    def show_cleared_tab(self) -> Updates:
        """Empty the form and the place of the picture."""
        line = text.render_status(describe_first_step(self.tab.tool))
        return {
            **self.empty_fields(self.tab.controls),
            **self.show_actions(None),
            **self.show_no_picture(),
            self.tab.alerts: "",
            self.tab.result.status: line,
            self.tab.result.look_tiles: "",
        }

    def field_element_id(self, name: str) -> str:
        """Return the HTML id of a field, "" if the form has no such field."""
        return f"{self.tab.tool.id}-{name}" if name in self.tab.controls else ""

    # ------------------------------------------------------------ the form

    def fill_form(self, params: Mapping[str, Any], seed: int, form: Mapping[str, Any] | None = None) -> Updates:
        """Fill the form with a job's exact settings and its seed, without pictures that `form` has in their fields."""
        values = self.list_form_values(params, seed)
        for name, held in (form or {}).items():
            field = self.tab.controls[name].field
            if field.holds_pictures and to_param_value(field, values[name]) == held:
                del values[name]
        return self._set_fields(values)

    def fill_new_form(self, params: Mapping[str, Any], seed: int) -> Updates:
        """Fill a form that was just opened with a job's settings, without those that an empty form has.

        They are there already; what the visitor has typed into such a field meanwhile stays. A consent does not: it
        was for another photo.
        """
        values = self.list_form_values(params, seed)
        starts = {name: control.field.start for name, control in self.tab.controls.items()}
        return self._set_fields(
            {name: value for name, value in values.items() if value != starts[name] or name == CONSENT_FIELD}
        )

    def list_form_values(self, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """List by field what a job's settings and its seed mean to this form."""
        fields = [control.field for control in self.tab.controls.values()]
        return {row.name: seed if row.kind == "seed" else params.get(row.name, row.default) for row in fields}

    def empty_fields(self, names: Iterable[str]) -> Updates:
        """Give each of these fields what an empty form has."""
        return self._set_fields({name: self.tab.controls[name].field.start for name in names})

    def _set_fields(self, values: Mapping[str, Any]) -> Updates:
        filled: Updates = {}
        for name, value in values.items():
            control = self.tab.controls[name]
            value = control.field.start if control.lock_reason else value
            if control.display is control.value:
                filled |= self._set_value(control, value)
            else:
                filled |= self.set_picture(control, value)
                filled |= self.show_consent() if control is self.tab.photo_control else {}
        return filled | self._unselect_overridden(filled)

    def fill_fields(self, values: Mapping[str, Any]) -> Updates:
        """Fill only these fields. Pictures and locked fields are left out."""
        chosen = [(self.tab.controls[name], value) for name, value in values.items() if name in self.tab.controls]
        filled: Updates = {}
        for control, value in chosen:
            if control.display is control.value and not control.lock_reason:
                filled |= self._set_value(control, value)
        for written, chosen in self.tab.list_overrides():
            if chosen.field.name in values and written.field.name not in values:
                filled[written.value] = ""
        return filled | self._unselect_overridden(filled)

    def _unselect_overridden(self, filled: Updates) -> Updates:
        """Unselect the choices that words of `filled` override."""
        return {chosen.value: None for written, chosen in self.tab.list_overrides() if filled.get(written.value)}

    def offer_saved_names(self, owner: str) -> Updates:
        """Offer the names of the owner's saved items in the fields that take one."""
        updates: Updates = {}
        for control in self.tab.controls.values():
            if control.field.saved_kind:
                rows = self.service.saved_items.list_items(owner, control.field.saved_kind)
                if control.field.saved_kind == "look":
                    rows = [row for row in rows if row.value["tool"] == self.tab.tool.id]
                updates[control.value] = gr.update(choices=[("None", ""), *((row.name, row.name) for row in rows)])
        return updates

    def _set_value(self, control: Control, value: Any) -> Updates:
        empty = value is None and control.field.kind in ("colour", "seed")
        return {control.value: "" if empty else to_component_value(control.field, value)}

    def show_consent(self, is_asked: bool = True) -> Updates:
        """Show the question whether people in the photo agreed; not asked, and no, where nobody is in it.

        A tool about people asks always: it makes nothing without.
        """
        consent, box = self.tab.controls.get(CONSENT_FIELD), self.tab.consent_box
        if consent is None or box is None or self.tab.tool.person:
            return {}
        return {box: gr.update(visible=is_asked)} | ({} if is_asked else {consent.value: False})

    def set_picture(self, control: Control, file_id: Any) -> Updates:
        """Set the file of a picture or mask field, or the files of a field of several; deleted files are left out."""
        if control.lock_reason:
            return {}
        if control.field.kind == "pictures":
            return self._set_pictures(control, file_id or ())
        if control.field.kind == "mask":
            return {control.value: file_id, control.display: describe_mask(control.field, file_id is not None)}
        with suppress(NotFound):
            return {
                control.value: file_id,
                control.display: encode_page_jpeg(self.service.files.open_image(file_id)) if file_id else None,
            }
        return {control.value: None, control.display: None}

    def _set_pictures(self, control: Control, file_ids: Sequence[str]) -> Updates:
        tiles: list[PictureTile] = []
        for file_id in file_ids:
            with suppress(NotFound):
                picture = self.service.files.open_image(file_id)
                tiles.append(PictureTile(encode_page_jpeg(picture, TILE_SIDE_PX), file_id))
        return {control.value: tuple(tile.file_id for tile in tiles), control.display: tiles}

    # ------------------------------------------------------------ the finished job

    def show_draft(self, result: Result, last_preview: bytes | None, *, is_first_look: bool) -> Updates:
        """Show that the draft is finished, and repeat its last preview; of a first look a closer draft follows.

        Gradio's page merges all updates within one frame and keeps the newest one of each component. A quick draft's
        last preview and its end arrive within one frame.
        """
        preview: Updates = {} if last_preview is None else {self.tab.result.picture: last_preview}
        panel = self.tab.result
        status = text.render_draft_status(result, self.tab.tool.id, is_first_look=is_first_look)
        return {**preview, panel.status: status, panel.suggested_looks: ""}

    def show_result(self, row: JobRow, result: Result, base: str, shown: int = 0) -> Updates:
        """Show picture number `shown` of a finished job, and tiles of all pictures if there are several."""
        files, panel = list_result_pictures(result), self.tab.result
        shown = min(shown, len(files) - 1)
        names = [(self._name_picture(file, n), str(n)) for n, file in enumerate(files, 1)]
        several = len(files) > 1
        return {
            **self.show_idle(),
            **self.show_variation(row.job, result, shown, base),
            **self._offer_archive(row.job, result),
            **self._offer_history(row.job),
            panel.suggested_looks: "",
            panel.variation_tiles: self._render_variation_tiles(files) if several else "",
            panel.variation: gr.update(choices=names, value=str(shown + 1), visible=several),
            panel.compare_with: gr.update(
                choices=[(YOUR_PHOTO, YOUR_PHOTO), *names], value=YOUR_PHOTO, visible=several
            ),
        }

    def _offer_history(self, shown: Job) -> Updates:
        """Offer the visitor's last finished pictures of this tool, the oldest first; hidden where `shown` is alone.

        Of what goes on with a batch's row, only what was made for the same row.
        """
        panel, tiles, options = self.tab.result, [], []
        rows = self.service.jobs.list_jobs(shown.owner, LOOKED_AT_JOB_COUNT, tool=shown.tool)
        for row in rows:
            files = list_result_pictures(row.result) if row.status == "done" and row.result is not None else []
            if (
                row.job.batch
                or not files
                or len(tiles) == HISTORY_COUNT
                or shown.for_row not in (None, row.job.for_row)
            ):
                continue
            with suppress(NotFound):  # the file has been deleted
                tiles.append((self._find_history_tile(files[0].id), (1, 1)))
                options.append(row.job.id)
        options.reverse()
        is_offered = len(options) > 1 and shown.id in options
        return {
            panel.history_tiles: text.render_tile_style(f"{self.tab.tool.id}-history", reversed(tiles)),
            panel.history: gr.update(
                choices=[(str(number), option) for number, option in enumerate(options, 1)],
                value=shown.id if is_offered else None,
                visible=is_offered,
            ),
        }

    def _encode_history_tile(self, file_id: str) -> str:
        picture = self.service.files.open_image(file_id)
        return encode_data_url(encode_page_jpeg(picture, HISTORY_SIDE_PX, shows_transparency=True))

    def _name_picture(self, file: File, number: int) -> str:
        """Name a picture of several by the preset that it was made for, else by its number."""
        stem = file.name.rpartition(".")[0]
        fields = list_form_fields(self.tab.tool.params)
        labels = {value: label for field in fields if field.has_tiles for label, value in field.options}
        return next((label for value, label in labels.items() if stem.endswith(f"-{value}")), str(number))

    def _offer_archive(self, job: Job, result: Result) -> Updates:
        """Offer all pictures at once, beside the one that is looked at, where the tool packed them."""
        button = self.tab.result.download_all
        archive = next((file for file in result.files if file.format == "zip" and file.role == "result"), None)
        if archive is None:
            return {button: gr.update(visible=False)}
        path = publish_file(self._name_file(archive, job, 1), button.GRADIO_CACHE)
        label = f"All {len(list_result_pictures(result))} (ZIP)"
        return {button: gr.update(label=label, value=path, visible=True, interactive=True)}

    def _render_variation_tiles(self, files: Sequence[File]) -> str:
        """Render the variations' pictures as CSS for the tiles."""
        open_image = self.service.files.open_image
        tiles = [
            (encode_data_url(encode_page_jpeg(open_image(file.id), TILE_SIDE_PX)), (file.width, file.height))
            for file in files
        ]
        return text.render_tile_style(f"{self.tab.tool.id}-variation", tiles)

    def repeat_picture(self, row: JobRow, variation: int) -> Updates:
        """Show the finished picture number `variation` again, and nothing else; no change where its file is deleted."""
        files = list_result_pictures(row.result) if row.result is not None else []
        with suppress(NotFound):
            if variation < len(files):
                return {self.tab.result.picture: self._name_file(files[variation], row.job, variation + 1)}
        return {}

    def show_comparison(self, result: Result, variation: int, other: int | None) -> Updates:
        """Lay picture `other` of the same job over the shown one; None: the photo."""
        files = list_result_pictures(result)
        if other is None or other >= len(files):
            return {self.tab.result.comparison: self._render_photo_overlay(result, files[variation])}
        picture = encode_data_url(encode_page_jpeg(self.service.files.open_image(files[other].id)))
        numbers = str(other + 1), str(variation + 1)
        comparison = text.render_comparison(picture, f"Variation {other + 1}", numbers, share=50)
        return {self.tab.result.comparison: comparison}

    def show_variation(self, job: Job, result: Result, variation: int, base: str) -> Updates:
        """Show picture number `variation` with its actions, link, code and receipt. `base` is the page's address."""
        panel, file = self.tab.result, list_result_pictures(result)[variation]
        download = self._name_file(file, job, variation + 1)
        return {
            panel.picture: download,
            panel.comparison: self._render_photo_overlay(result, file),
            panel.compare_with: gr.update(value=YOUR_PHOTO),
            panel.status: text.render_result_status(job, result, variation),
            panel.download: gr.update(
                label="Download", value=publish_file(download, panel.download.GRADIO_CACHE), interactive=True
            ),
            panel.start_new: gr.update(interactive=True),
            panel.reuse_settings: gr.update(interactive=True),
            panel.send_to: gr.update(value="", interactive=bool(self.tab.send_targets)),
            panel.file_format: gr.update(value=file.format, interactive=True),
            panel.apply_to_folder: gr.update(interactive=True),
            panel.image_size: self._list_sizes(job, file),
            panel.settings_link: build_link(base, self.tab.tool, job.params, job.seed),
            panel.receipt: json.dumps(result.receipt, indent=2, ensure_ascii=False),
            panel.other_files: self._list_other_files(job, result),
        }

    def _list_sizes(self, job: Job, file: File) -> dict[str, Any]:
        """List the sizes that the picture can be remade in, with the requested one (0: the look's size) selected."""
        requested, present = job.params.get("size"), max(file.width, file.height)
        if not isinstance(requested, int):
            return gr.update(interactive=False)
        labels = {side: side for side in list_output_sides(self.tab.tool.params) if side != present}
        labels[requested] = present
        choices = [(f"{label} px", side) for side, label in sorted(labels.items(), key=lambda row: row[1])]
        return gr.update(choices=choices, value=requested, interactive=True)

    def _name_file(self, file: File, job: Job, number: int) -> NamedFile:
        name = number_version(text.make_file_name(job, file, number), self._find_version(job.id))
        return NamedFile(self.service.files.local_path(file.id), name)

    def _count_version(self, job_id: str) -> int:
        """Return which of the owner's pictures of one name this one is, from 1 on: two downloads need two names.

        It counts what is there of the last jobs: once one was deleted, or is too long ago, a number may come again.
        """
        row = self.service.jobs.get_job(job_id)
        if row is None or row.job.batch:
            return 1
        name = _name_job(row.job)
        rows = self.service.jobs.list_jobs(row.job.owner, MAX_VERSION_COUNT, before=job_id, tool=row.job.tool)
        earlier = [each.job for each in rows if each.status == "done" and not each.job.batch]
        return 1 + sum(_name_job(job) == name for job in earlier)

    def _list_other_files(self, job: Job, result: Result) -> dict[str, Any]:
        """List the files that are no result pictures: archives, films, pages, layers, the cut-out."""
        files = [file for file in result.files if file not in list_result_pictures(result)]
        named = [self._name_file(file, job, n) for n, file in enumerate(files, 1)]
        paths = [publish_file(each, self.tab.result.other_files.GRADIO_CACHE) for each in named]
        return gr.update(value=paths or None, visible=bool(paths))

    def _render_photo_overlay(self, result: Result, file: File) -> str:
        """Render the photo as an overlay to compare with, and a checkerboard under a picture with transparency."""
        image = self.service.files.open_image(file.id)
        background = text.CHECKERBOARD_HTML if image.shape[2] == 4 and (image[..., 3] < 255).any() else ""
        photo = result.receipt["params"].get("photo")
        with suppress(NotFound):
            if photo:
                number, size = list_result_pictures(result).index(file), (file.width, file.height)
                picture = render_before(self.service.files.open_image(photo), result.receipt, size, number)
                return background + text.render_comparison(encode_data_url(picture), "Your photo, before")
        return background


def _name_job(job: Job) -> str:
    """Return what the names of a job's files have in common with those of another version."""
    return name_download(job.label, job.tool, job.params, 1, job.params.get("format", ""))


def keep_consent(row: JobRow | None) -> dict[str, Any]:
    """Return the consent that a job was made with, as a form's value."""
    return {CONSENT_FIELD: True} if row is not None and row.job.consent is not None else {}


def list_result_pictures(result: Result) -> list[File]:
    """List the result pictures, which the page can show, without archives, mattes and films."""
    return [file for file in result.files if file.role == "result" and file.format in STILL_FORMATS]
