"""The pages of docs/models are what the rows say, and every model of a profile has one."""

from __future__ import annotations

from assets import model_pages
from pipelines.models.profiles import PROFILES
from pipelines.models.registry import get_spec


def test_the_pages_are_current() -> None:
    """After a change of a row: python -m assets.model_pages."""
    written = {path.name: path.read_text("utf-8") for path in model_pages.FOLDER.glob("*.md")}
    assert written == model_pages.build_pages()


def test_every_model_that_is_fetched_has_a_page() -> None:
    named = {spec_id for profile in PROFILES for spec_id in profile.specs.values() if get_spec(spec_id).repo}
    assert named == set(model_pages.TITLES)


def test_a_page_says_who_may_use_the_pictures() -> None:
    pages = model_pages.build_pages()
    assert "below US$ 1 million of revenue a year only" in pages["krea-2-turbo.md"]
    assert "Not commercially" in pages["sdxl-turbo.md"]
    assert "Everybody" in pages["klein.md"]
