"""One real studio for all tests of tools, and four photos of a team."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.examples import change_exposure, load_example
from tests.support.real_studio import RealStudio

SIZE_PX = 256
"""Longer side where a test names none: the least that all tools take."""


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    with RealStudio(tmp_path_factory.mktemp("studio"), default_size_px=SIZE_PX) as studio:
        yield studio


@pytest.fixture(scope="package")
def team(studio: RealStudio) -> list[str]:
    """The file ids of four photos of two people, which differ in size, side and exposure."""
    woman, admiral = load_example("astronaut"), load_example("hopper")
    mirrored = np.ascontiguousarray(woman[12:, ::-1])
    pictures = woman, admiral, change_exposure(mirrored, 1.1), change_exposure(woman, 0.85)
    return [studio.add_image(picture) for picture in pictures]
