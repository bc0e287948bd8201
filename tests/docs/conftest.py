"""One served page with quick tools for the code that the documentation shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.settings import Settings
from tests.support.served_app import ServedApp, serve_page
from tests.support.snippet_runner import make_quick_tools


@pytest.fixture(scope="package")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    root = tmp_path_factory.mktemp("docs")
    with serve_page(root, Settings(data=root), make_quick_tools(("headshot", "background", "kit"))) as (_, app, _):
        yield app
