"""One kit over all rows: a batch looks as its kit did when the batch was made, whatever becomes of the kit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.batch.dry_run import dry_run
from pipelines.core.errors import BadInput
from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params, choice_field, colour_field, picture_field, prompt_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from tests.support.batch_rows import OWNER, BatchStudio
from tests.support.batch_rows import write_picture as picture_file


class Poster(Params):
    """A photo, and most of what a kit has."""

    photo: str = picture_field("Photo", "One.", required=True)
    colour: str | None = colour_field("Colour", "One.")
    logo: str | None = picture_field("Logo", "One.")
    framing: str = choice_field("Framing", "One.", "classic", labels={"classic": "Classic", "wide": "Wide"})
    preset: str = choice_field("Look", "One.", "grey", labels={"grey": "Grey", "white": "White"}, start="white")
    brand: str = prompt_field("Brand kit", "One.", saved_kind="brand")
    look: str = prompt_field("Your look", "One.", saved_kind="look")


def _run(params: Poster, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    return ToolOutput(images=(context.open_image(params.photo),))


POSTER = Tool("poster", "Poster", "For tests.", Poster, _run)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[BatchStudio]:
    with BatchStudio(tmp_path / "data", tools=(POSTER,)) as built:
        yield built


def table(folder: Path, text: str) -> Path:
    """A jobs file with two photos beside it."""
    for n, name in enumerate(("a.png", "b.png")):
        picture_file(folder / name, 50 + 50 * n)
    path = folder / "jobs.csv"
    path.write_text(text)
    return path


def made(here: BatchStudio, batch_id: str) -> list[dict[str, object]]:
    """What each row's job was asked for."""
    rows = [here.service.jobs.get_job(row.job_id or "") for row in here.batches.iter_rows(batch_id)]
    return [dict(row.job.params) for row in rows if row is not None]


def test_a_kit_that_is_edited_in_mid_batch_does_not_split_the_look(here: BatchStudio, tmp_path: Path) -> None:
    logo = here.service.files.add_image(np.full((8, 8, 3), 9, np.uint8), OWNER, "upload")
    here.service.saved_items.save_brand_kit("Acme", {"colour": "#112233", "logo": logo, "framing": "wide"}, OWNER)
    path = table(tmp_path / "in", "photo,colour,framing\na.png,,\nb.png,#ffffff,classic\na.png,,\n")
    batch = here.create_batch(path, "poster", brand="Acme")
    here.service.saved_items.save_brand_kit("Acme", {"colour": "#445566"}, OWNER)
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "done"
    rows = made(here, batch.id)
    assert [(row["colour"], row["framing"], row["logo"], row["brand"]) for row in rows] == [
        ("#112233", "wide", logo, ""),
        ("#ffffff", "classic", logo, ""),
        ("#112233", "wide", logo, ""),
    ]
    job = here.service.jobs.get_job(next(here.batches.iter_rows(batch.id)).job_id or "")
    assert job is not None
    assert "Brand kit 'Acme': colour, logo, framing." in job.job.notices


def test_a_kit_that_is_deleted_before_the_start_is_in_the_batch_all_the_same(here: BatchStudio, tmp_path: Path) -> None:
    here.service.saved_items.save_brand_kit("Acme", {"colour": "#112233"}, OWNER)
    batch = here.create_batch(table(tmp_path / "in", "photo\na.png\n"), "poster", brand="Acme")
    here.service.saved_items.delete_item(OWNER, "brand", "Acme")
    here.batches.start(batch.id)
    assert here.wait_for_batch(batch) == "done"
    assert made(here, batch.id)[0]["colour"] == "#112233"


def test_a_row_may_name_a_kit_of_its_own_and_one_that_is_not_kept_is_that_rows_fault(
    here: BatchStudio, tmp_path: Path
) -> None:
    here.service.saved_items.save_brand_kit("Acme", {"colour": "#112233"}, OWNER)
    here.service.saved_items.save_brand_kit("Other", {"colour": "#998877"}, OWNER)
    path = table(tmp_path / "in", "photo,brand\na.png,\nb.png,Other\na.png,Nobody\n")
    batch = here.create_batch(path, "poster", brand="Acme")
    report = dry_run(here.batches, batch)
    assert [(fault.row, fault.column) for fault in report.faults] == [(3, "brand")]
    assert report.remarks == ()
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    assert [row["colour"] for row in made(here, batch.id)] == ["#112233", "#998877"]


def test_a_look_that_a_row_names_wins_over_what_the_page_began_with(here: BatchStudio, tmp_path: Path) -> None:
    here.service.saved_items.save_look("Quiet", "poster", {"framing": "wide"}, OWNER)  # its preset is the default
    path = table(tmp_path / "in", "photo,look,preset\na.png,,\nb.png,Quiet,\na.png,Quiet,white\n")
    batch = here.create_batch(path, "poster", preset="white")
    here.batches.start(batch.id)
    here.wait_for_batch(batch)
    rows = [(row["preset"], row["framing"]) for row in made(here, batch.id)]
    assert rows == [("white", "classic"), ("grey", "wide"), ("white", "wide")]


def test_a_kit_for_all_rows_that_is_not_kept_is_said_before_anything_is_kept(here: BatchStudio, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        here.create_batch(table(tmp_path / "in", "photo\na.png\n"), "poster", brand="Nobody")
    assert caught.value.param == "brand"
    assert here.batches.list_batches(OWNER) == []
