"""One real studio for all tests of provenance that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.core.job import Result
from tests.support.real_studio import RealStudio


class SignedStudio(RealStudio):
    """A studio whose files are read back as bytes."""

    def read_files(self, result: Result) -> list[bytes]:
        return [self.files.read_bytes(file.id) for file in result.files]


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedStudio]:
    with SignedStudio(tmp_path_factory.mktemp("studio"), owner="ann") as studio:
        yield studio
