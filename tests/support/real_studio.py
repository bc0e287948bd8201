"""A real service with queue, engine and files in a folder, for tests and benches of whole jobs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import PIL.Image

from pipelines.core.geometry import Face, Image
from pipelines.core.job import Job, Result
from pipelines.core.models import Profile
from pipelines.core.stream import wait_for_result
from pipelines.core.tools import Tool
from pipelines.engines.local import LocalEngine
from pipelines.jobs.queue import JobQueue
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.models.profiles import EMBEDDED
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from pipelines.tools import TOOLS
from tests.support.shared_resources import take_decoder_pool

OWNER = "me"
EMPTY_PROFILE = Profile("embedded", {}, "Embedded", "There is no GPU here.")


class RealStudio:
    """A studio on the CPU whose data lies in `root`; closes at the end of a `with` block.

    `engine` is the class of the engine; `together` jobs may share a call of a model. `matting`: the nets that cut out,
    else those of the settings. `default_size_px`: the size of a picture where values name none, else the tool's own.
    """

    def __init__(
        self,
        root: Path,
        tools: Sequence[Tool] = TOOLS,
        *,
        cache: ModelCache | None = None,
        profile: Profile = EMBEDDED,
        engine: type[LocalEngine] = LocalEngine,
        together: int = 0,
        max_waiting: int = 16,
        database: str = "",
        owner: str = OWNER,
        matting: Literal["both", "small"] | None = None,
        default_size_px: int | None = None,
    ) -> None:
        self.root, self.owner, self.default_size_px = root, owner, default_size_px
        self.cache = cache or ModelCache(FAMILIES)
        self.files = FileIndex(root, database)
        self.engine = engine(self.cache, self.files, tools, together=together)
        self.jobs = JobQueue(root, self.engine, max_waiting=max_waiting, database=database)
        self.decoder_pool = take_decoder_pool()
        settings = Settings(data=root, database=database)
        settings = settings.model_copy(update={"matting": matting}) if matting else settings
        self.service = StudioService(settings, self.jobs, self.files, profile, self.decoder_pool, tools)

    @cached_property
    def photos(self) -> dict[str, str]:
        """The file ids of the example photos by their name."""
        return {example.name: example.file_id for example in self.service.uploads.list_examples()}

    def add_image(self, picture: Image) -> str:
        """Store a picture as an upload of the owner and return its file id."""
        return self.files.add_image(picture, self.owner, "upload")

    def create_job(self, tool: str, *, draft: bool = False, **values: Any) -> Job:
        """Return a job of the owner that is not submitted yet."""
        size = self.service.find_tool(tool).params.model_fields.get("size")
        if self.default_size_px and size is not None and size.annotation is int:
            values = {"size": self.default_size_px, **values}
        return self.service.create_job(tool, values, self.owner, draft=draft)

    def run_job(self, job: Job) -> Result:
        """Submit a job, wait for its end and return its result."""
        return wait_for_result(self.jobs.submit_and_watch(job))

    def make(self, tool: str, *, draft: bool = False, **values: Any) -> Result:
        """Create a job from a form's values, run it and return its result."""
        return self.run_job(self.create_job(tool, draft=draft, **values))

    def open_result(self, result: Result, n: int = 0) -> Image:
        """Return the pixels of the n-th file of a result."""
        with PIL.Image.open(self.files.local_path(result.files[n].id)) as picture:
            return np.asarray(picture)

    def find_faces(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that the face mesh finds, largest first."""
        with self.cache.borrow_model("face-mesh") as net:
            return net.find_faces(image)

    def close(self) -> None:
        """Stop the queue with its engine, the decoders and the files."""
        self.jobs.close()
        self.decoder_pool.close()
        self.files.close()

    def __enter__(self):
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
