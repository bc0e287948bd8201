"""The studio that the tests of a file share: its tools are quick, and a gate holds them where a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.served_app import ServedApp, serve_app, wait_until


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """Served on a port of its own until the last test of the file has ended."""
    with serve_app(tmp_path_factory.mktemp("studio")) as built:
        yield built


@pytest.fixture
def here(studio: ServedApp) -> Iterator[ServedApp]:
    """The same studio, which has nothing to do and an open gate before the next test."""
    yield studio
    studio.gate.pause = 0.0
    studio.gate.open.set()
    wait_until(studio.is_idle)


@pytest.fixture
def client(here: ServedApp) -> Iterator[httpx.Client]:
    """A client of the studio that keeps its cookies."""
    with here.open_client() as made:
        yield made
