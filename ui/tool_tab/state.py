"""Session state of a tool tab, and the hand-off by which other tabs fill its form."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ui.components.row_commands import DEFAULT_SET_ASIDE

MARK_FIELDS = ("pick", "keep", "drop", "box", "cut_by")
"""The fields of a form that pointing changes."""


@dataclass
class TabState:
    """Session state of one tool tab in one browser tab.

    `job_id` and `draft_id` are the full-size job and the draft that wait or run, `shown_job_id` the job whose result is
    shown. `request_number` counts requests, so that a handler can tell whether a newer one has replaced it.
    `upload_number` does the same for uploads to a field of several pictures. `unconfirmed_uploads` are uploads that the
    page has not reported back yet, from path to file id ("" while the upload is ingested). `was_opened` is set once the
    tab was visible, `skips_draft` where a mask was not changed, or the error of its upload should stay on the page.
    `generate_clicked_at` is on the monotonic clock. `last_request` are form values and seed of the last picture:
    if `last_was_draft`, Generate makes that same one at full size. `generated` are the last job that Generate ordered
    here, the form of then, and `photo_number`. `drafted_form` are the form values of the last draft that was tried,
    `drafted_doubts` what is told of its cut-out, None before it is shown, `drafted_picture` the checksum of its JPEG.
    `batch_row` is the batch and the row whose picture was opened here, `row_changed_at` when another took its place, on
    the monotonic clock, `row_pressed_at` when it was pressed, by the browser's. `batch_set_aside` is the uncertainty of
    a cut-out from which the batch's sheet sets it aside. `settled_row` is the row of that batch that was mended or
    found right before, 0 for none.
    `before_marks` are the finished job that was shown when somebody began to point at the subject, and the form of
    then; `last_kept` is the matte that the marks made last (`pack_matte`), "" at first, `last_marks` those by kind,
    `last_cut` by which nets it was cut out.
    `look_tiles` are tiles (JPEG, by look) of the photo and its marks `look_tiles_of`, as the form's looks show it,
    `stale_looks` those of earlier marks, `are_tiles_slow` where drawing one took too long.
    `restored_form` are the form values of the last job, which the page showed by itself. `placed_request_number` is the
    number of the draft that followed the last photo. `photo_number` counts the changes of the photo's field,
    `photo_changed_at` is when the last one came, on the monotonic clock, `has_photo` whether it brought one: the page
    may not have heard of it yet. `continues_result`: it is a picture that was made here. `removal_counts`
    say how often a field of one picture was emptied. `home_photo` is what the home tab was given.
    """

    job_id: str = ""
    draft_id: str = ""
    shown_job_id: str = ""
    request_number: int = 0
    upload_number: int = 0
    unconfirmed_uploads: dict[str, str] = field(default_factory=dict[str, str])
    was_opened: bool = False
    skips_draft: bool = False
    generate_clicked_at: float = 0.0
    last_request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    last_was_draft: bool = False
    generated: tuple[str, Mapping[str, Any], int] | None = None
    drafted_form: Mapping[str, Any] = field(default_factory=dict[str, Any])
    drafted_doubts: tuple[str, ...] | None = None
    drafted_picture: int = 0
    batch_row: tuple[str, int] | None = None
    batch_set_aside: float = DEFAULT_SET_ASIDE
    settled_row: int = 0
    row_changed_at: float = 0.0
    row_pressed_at: int = 0
    before_marks: tuple[str, Mapping[str, Any]] | None = None
    last_kept: str = ""
    last_cut: str = "all"
    last_marks: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict[str, Sequence[Sequence[float]]])
    look_tiles: dict[str, bytes] = field(default_factory=dict[str, bytes])
    look_tiles_of: tuple[tuple[str, ...], ...] = ()
    stale_looks: set[str] = field(default_factory=set[str])
    are_tiles_slow: bool = False
    restored_form: Mapping[str, Any] = field(default_factory=dict[str, Any])
    placed_request_number: int = 0
    photo_number: int = 0
    has_photo: bool = False
    continues_result: bool = False
    removal_counts: Counter[str] = field(default_factory=Counter[str])
    photo_changed_at: float = 0.0
    home_photo: GivenPhoto | None = None

    def note_photo(self, *, has_photo: bool = False) -> int:
        """Note that the photo's field gets another content, and forget its tiles; return the number of this change."""
        self.has_photo = has_photo
        self.look_tiles, self.stale_looks, self.last_kept, self.are_tiles_slow = {}, set(), "", False
        self.photo_number, self.photo_changed_at = self.photo_number + 1, time.monotonic()
        return self.photo_number

    def record_tiles(self, tiles: Mapping[str, bytes]) -> None:
        """Note tiles of looks that were drawn of the present photo and marks."""
        self.look_tiles = {**self.look_tiles, **tiles}
        self.stale_looks -= tiles.keys()

    def note_removal(self, *fields: str) -> None:
        """Note that the visitor emptied `fields` of pictures: one that is still being read does not come back."""
        self.removal_counts.update(fields)

    def use_home_photo(self) -> None:
        """Note that the visitor works with a photo in this tab: that of the home tab waits for no tool any more."""
        if self.home_photo is not None:
            self.home_photo.awaits_tool = False

    def asks_consent(self, photo_id: str | None) -> bool:
        """Whether to ask if people in this photo agreed: not where Home was told that nobody is in it."""
        home = self.home_photo
        return home is None or not home.is_without_people or home.photo_id != photo_id

    def record_request(self, values: dict[str, Any], seed: int, *, draft: bool) -> None:
        """Remember that a picture of the form `values` was ordered with `seed`."""
        self.last_request = {**values, "seed": seed} if "seed" in values else {}
        self.last_was_draft = draft

    def shows_picture_of(self, values: Mapping[str, Any]) -> bool:
        """Whether Generate made the finished picture that is shown of these form values; not if a photo came since."""
        return bool(self.shown_job_id) and self.generated == (self.shown_job_id, values, self.photo_number)

    def with_last_seed(self, values: dict[str, Any], reblends: Collection[str] = ()) -> dict[str, Any]:
        """Return `values` with the last picture's seed where the form has no seed and repeats that picture.

        It repeats the picture if only `reblends` fields changed, or if nothing changed and the last picture was a
        draft: Generate then makes that draft at full size. A second Generate without a change makes another picture.
        """
        if not self.last_request or values.get("seed", 0) is not None:
            return values
        changed = {name for name, value in values.items() if name != "seed" and value != self.last_request.get(name)}
        again = changed <= set(reblends) if changed else self.last_was_draft
        return {**values, "seed": self.last_request["seed"]} if again else values


@dataclass
class GivenPhoto:
    """The photo that the visitor gave the home tab: its file id ("" for none), when, and whether with consent,
    or said to be without people.

    `given_at` is on the monotonic clock. `reading_count` counts the photos that are still being read. The photo
    `awaits_tool` until a picture is generated or another photo chosen in a tool, and again from the home tab on;
    `visited_at` is the visit there that is known, by the browser's clock, `seen_at` when a tool was opened after it.
    """

    photo_id: str = ""
    given_at: float = 0.0
    has_consent: bool = False
    is_without_people: bool = False
    reading_count: int = 0
    awaits_tool: bool = True
    visited_at: float = 0.0
    seen_at: float = 0.0

    def note_visit(self, visited_at: float | None) -> None:
        """Let the next tool take the photo too if the visitor was at the home tab meanwhile, and saw it there."""
        if (visited_at or 0.0) != self.visited_at:
            self.visited_at, self.seen_at, self.awaits_tool = visited_at or 0.0, time.monotonic(), True


class TabHandoff(NamedTuple):
    """A picture, settings, or both, sent to a tool's tab by another tab, the home tab or a link.

    `photo` is a file id. `created_at` makes two equal hand-offs differ, so that Gradio reports a change. `values` are
    by field, as Params takes them, without pictures. `is_new` says that the form begins anew with this photo: what was
    filled in for another one goes; `stays_in_row` that it is of the same row of a batch as the one before.
    """

    photo: str | None
    created_at: float
    values: Mapping[str, Any] = {}
    is_new: bool = False
    stays_in_row: bool = False
