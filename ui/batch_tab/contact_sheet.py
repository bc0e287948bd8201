"""The contact sheet of a batch: pages of thumbnails, and what is doubted of each picture."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import gradio as gr

from pipelines.batch.batch_service import BatchProgress, BatchService
from pipelines.batch.batch_table import Batch, RowState
from pipelines.batch.manifest import format_replacement_time, format_time, picture_name, result_files, row_label
from pipelines.service.studio_service import StudioService
from ui.batch_tab import text
from ui.batch_tab.layout import BatchTab, BatchTabState
from ui.components.pictures import encode_page_jpeg
from ui.tool_tab import text as tool_tab_text
from ui.tool_tab.form_controls import list_form_fields
from ui.tool_tab.text import RowDoubt

SHEET_PICTURE_COUNT = 48
"""Pictures on one page of the contact sheet."""
SHEET_REFRESH_SECONDS = 8.0
"""Interval at which a full sheet is sent again while rows are being done; it has some hundred kilobytes."""
THUMBNAIL_SIDE_PX = 240
OPEN_STATES = ("running", "paused")
Updates = dict[Any, Any]  # not components alone: the page's tabs, too


class ContactSheet:
    """What the tab shows of a batch's rows. What was read stays in memory until a row changes."""

    def __init__(self, tab: BatchTab, service: StudioService, batches: BatchService) -> None:
        self.tab = tab
        self.service = service
        self.batches = batches
        self._read_doubts = lru_cache(maxsize=16)(self._read_all_doubts)
        self._find_larger_side_once = lru_cache(maxsize=16)(self._find_larger_side)
        self._thumbnail = lru_cache(maxsize=1024)(self._encode_thumbnail)  # a few kilobytes each

    def show_page(self, batch: Batch, progress: BatchProgress, state: BatchTabState) -> Updates:
        """Show a page of the contact sheet; no update if nothing has changed.

        While a batch of several pages runs its newest pictures come first; on a single page each one keeps its place.
        """
        done_count = progress.done
        is_open = batch.state in OPEN_STATES
        newest_first = is_open and progress.total > SHEET_PICTURE_COUNT
        state.first_picture = min(
            state.first_picture, max(0, (done_count - 1) // SHEET_PICTURE_COUNT * SHEET_PICTURE_COUNT)
        )
        page_key, sheet_key = self._write_keys(batch, progress, state)
        is_other_page = not state.sent_sheet.startswith(f"{page_key} ")
        is_recent = time.monotonic() - state.sent_at < SHEET_REFRESH_SECONDS * min(
            1.0, done_count / SHEET_PICTURE_COUNT
        )
        if state.sent_sheet == sheet_key or (not is_other_page and (is_recent or state.first_picture)):
            return {}  # later pages are not refreshed: their pictures would move while the visitor looks at them
        state.sent_sheet, state.sent_at, state.changed_rows = sheet_key, time.monotonic(), {}
        state.sent_count += 1
        number = state.sent_count
        rows = self.batches.table.list_rows(
            batch.id, limit=SHEET_PICTURE_COUNT, status="done", newest=newest_first, skip=state.first_picture
        )
        tab, has_pages = self.tab, done_count > SHEET_PICTURE_COUNT
        room = SHEET_PICTURE_COUNT - len(rows) if is_open and not state.first_picture else 0
        waiting = self.batches.table.list_unfinished_rows(batch.id, room) if room else ()
        return {
            tab.sheet: text.render_sheet(
                self._read_thumbnails(batch.id, rows, state.set_aside),
                [(name_row(row), PurePosixPath(picture_name(row.cells)).name) for row in waiting],
                batch.id,
                number,
            ),
            tab.changed_cells: "",
            tab.position: text.render_position(state.first_picture, len(rows), done_count, newest=newest_first),
            tab.previous: gr.Button(visible=has_pages, interactive=state.first_picture > 0),
            tab.next: gr.Button(visible=has_pages, interactive=state.first_picture + SHEET_PICTURE_COUNT < done_count),
        }

    def key_page(self, batch_id: str, state: BatchTabState) -> str:
        """Say what the page of the sheet would show now that it was sent on; "" where there is no batch."""
        batch = self.batches.table.get_batch(batch_id) if batch_id else None
        return "" if batch is None else self._write_keys(batch, self.batches.get_progress(batch_id), state)[1]

    def _write_keys(self, batch: Batch, progress: BatchProgress, state: BatchTabState) -> tuple[str, str]:
        """Return what identifies the page of the sheet, and what is on it.

        That changes, too, when a row of the batch is replaced or approved, or that is undone.
        """
        version = self._compute_replacements_version(batch.id)
        version += sum(self.batches.table.list_approvals(batch.id).values())
        page_key = f"{batch.id} {batch.state in OPEN_STATES} {state.first_picture}"
        return page_key, f"{page_key} {progress.done} {progress.failed} {version}"

    def render_changed_rows(self, batch_id: str, state: BatchTabState) -> str:
        """Render the rows that changed since the whole sheet was sent: the page may have missed one's last answer."""
        found = self.list_rows(batch_id, state.changed_rows)
        pictures = self._read_thumbnails(batch_id, found, state.set_aside, are_sent=False)
        return text.render_changed_cells(pictures, batch_id, state.changed_rows)

    def list_rows(self, batch_id: str, numbers: Iterable[int]) -> list[RowState]:
        """List the rows of these numbers, without those that the batch does not have."""
        found = ((n, row) for n in numbers for row in self.batches.table.list_rows(batch_id, n - 1, limit=1))
        return [row for n, row in found if row.row == n]

    def find_next_row_to_check(self, batch_id: str, row: int, set_aside: float) -> int:
        """Return the next row after `row` that is to be checked, going on from the first; 0 where none is.

        Small doubts come after all others, and pictures that somebody has mended already come last.
        """
        doubts = self.read_open_doubts(batch_id, self.batches.get_progress(batch_id).done)
        mended = self.batches.table.list_replacements(batch_id)
        others = [n for n, doubt in doubts.items() if n != row and doubt.is_to_be_checked(set_aside)]
        return min(others, key=lambda n: (n in mended, doubts[n].is_small, n < row, n), default=0)

    def read_open_doubts(self, batch_id: str, done_count: int) -> dict[int, RowDoubt]:
        """Return, by row, what is doubted of each picture that nobody has approved."""
        approvals = self.batches.table.list_approvals(batch_id)
        doubts = self._read_doubts(batch_id, done_count, self._compute_replacements_version(batch_id))
        return {row: doubt for row, doubt in doubts.items() if row not in approvals}

    def _read_all_doubts(self, batch_id: str, done_count: int, stamp: float) -> dict[int, RowDoubt]:
        """Return, by row, what is doubted; the other arguments say when what was read before no longer holds."""
        receipts = self.batches.table.iter_receipts(batch_id)
        return {row: tool_tab_text.read_row_doubt(receipt) for row, receipt in receipts}

    def read_larger_side(self, batch: Batch, done_count: int) -> int:
        replaced = self._compute_replacements_version(batch.id)
        return self._find_larger_side_once(batch.id, batch.tool, done_count, replaced)

    def _find_larger_side(self, batch_id: str, tool_id: str, done_count: int, stamp: float) -> int:
        """Find the longer side up to which the first rows' pictures would have more of their photos' own pixels.

        It is 0 where none would, where the tool has no field for the size, or where rows say a size of their own.
        `done_count` and `stamp` say when what was found before no longer holds.
        """
        tool = next((tool for tool in self.service.tools if tool.id == tool_id), None)
        fields = list_form_fields(tool.params) if tool is not None else ()
        largest = next((int(field.maximum) for field in fields if field.name == "size"), 0)
        found = 0
        for row in self.batches.table.list_rows(batch_id, limit=SHEET_PICTURE_COUNT if largest else 0, status="done"):
            job = self.service.jobs.get_job(row.job_id) if row.job_id else None
            files = result_files(job)
            placement = (job.result.receipt.get("placement") or {}) if job is not None and job.result else {}
            scale = placement.get("scale")  # of the photo's pixels in the picture, which may show a part of it
            if files and scale and scale < 1 and not row.cells.get("size"):
                found = max(found, min(largest, round(max(files[0].width, files[0].height) / scale)))
        return found

    def _read_thumbnails(
        self, batch_id: str, rows: Iterable[RowState], set_aside: float, *, are_sent: bool = True
    ) -> Iterator[text.SheetPicture]:
        table = self.batches.table
        replacements, approvals = table.list_replacements(batch_id), table.list_approvals(batch_id)
        for row in rows:
            job = self.service.jobs.get_job(row.job_id) if row.job_id else None
            if job is None or not (files := result_files(job)):
                continue
            replaced = format_replacement_time(replacements.get(row.row, ()))
            receipt = job.result.receipt if job.result else {}
            doubt, sentences = tool_tab_text.read_row_doubt(receipt), tool_tab_text.list_doubts(receipt)
            approved = format_time(approvals.get(row.row))
            is_aside = doubt.is_aside(set_aside)
            jpeg = self._thumbnail(files[0].id) if are_sent else b""
            size = (files[0].width, files[0].height)
            yield text.SheetPicture(
                row.row, name_row(row), jpeg, sentences, replaced, is_aside, approved, size, doubt.is_small
            )

    def _encode_thumbnail(self, file_id: str) -> bytes:
        return encode_page_jpeg(self.service.files.open_image(file_id), THUMBNAIL_SIDE_PX, shows_transparency=True)

    def _compute_replacements_version(self, batch_id: str) -> float:
        rows = self.batches.table.list_replacements(batch_id).values()
        return sum(entry.replaced_at for row in rows for entry in row)


def name_row(row: RowState) -> str:
    """Return the row's number and name."""
    return text.label_row(row.row, row_label(row.row, row.key, row.cells))
