"""The app over HTTP on loopback: the REST API alone over uvicorn, or with the page over Gradio."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import uvicorn
from starlette.applications import Starlette

from pipelines.core import params as core_params
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image
from pipelines.core.job import ProgressCallback
from pipelines.core.models import Profile
from pipelines.core.params import Params, picture_field, prompt_field
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import Tool, ToolContext
from pipelines.engines.local import LocalEngine
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.storage.cached_store import open_store
from pipelines.storage.file_index import FileIndex
from tests.support.app_process import find_free_port
from tests.support.examples import make_noise
from tests.support.gated_tool import Gate
from tests.support.gradio_loop import build_in_event_loop
from tests.support.real_studio import EMPTY_PROFILE
from tests.support.shared_resources import take_decoder_pool
from ui.api.auth.access import AccessControl
from ui.api.auth.keys import KeyStore
from ui.server.factory import RunningStudio, connect_services


class SceneParams(Params):
    """The names that the real background tool has, and whatever else a form can hold."""

    prompt: str = core_params.prompt_field("Words", "What to draw.")
    photo: str | None = core_params.picture_field("Photo", "A picture.")
    photos: tuple[str, ...] = core_params.pictures_field("Photos", "Several.", min_count=0, max_count=4)
    mask: str | None = core_params.mask_field("Mask", "Where.")
    size: int = core_params.number_field("Size", "Longer side.", 64, ge=32, le=512)
    ratio: Literal["photo", "1:1", "3:2"] = core_params.choice_field("Shape", "Width to height.", "photo")
    variations: int = core_params.number_field("Variations", "How many.", 1, ge=1, le=4)
    format: Literal["png", "jpeg", "webp", "avif"] = core_params.choice_field("File", "Kind.", "png")
    quality: int = core_params.number_field("Quality", "For JPEG.", 95, ge=50, le=100)
    num_inference_steps: int = core_params.number_field("Steps", "How many.", 3, ge=1, le=1000)
    strength: float = core_params.number_field("Strength", "How much.", 0.5, ge=0, le=1, step=0.01)
    fault: str = core_params.prompt_field("Fault", "no_face or bug.")
    seed: int | None = core_params.seed_field()


def make_scene_tool(gate: Gate) -> Tool:
    """A tool with the id `background`: each step waits at the gate and shows the picture as it stands."""

    def run(params: SceneParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        if params.fault == "no_face":
            raise BadInput("No face was found.", code="no_face", param="photo")
        if params.fault == "bug":
            raise ZeroDivisionError
        for n in range(params.num_inference_steps):
            gate.entered += 1
            gate.open.wait(timeout=30)
            time.sleep(gate.pause)
            emit("Drawing", n + 1, params.num_inference_steps, lambda: draw_noise(params, 0))
        return ToolOutput(images=tuple(draw_noise(params, context.seed + n) for n in range(params.variations)))

    return Tool("background", "Background Generator", "For tests.", SceneParams, run)


def draw_noise(params: SceneParams, seed: int) -> Image:
    """Noise of the size that was asked for."""
    rows = params.size * 2 // 3 if params.ratio == "3:2" else params.size
    return np.random.default_rng(seed).integers(0, 255, (rows, params.size, 3), np.uint8)


@dataclass
class ServedApp:
    """A studio that answers at `url`."""

    url: str
    service: StudioService
    gate: Gate
    keys: KeyStore
    studio: RunningStudio

    def open_client(self, **options: object) -> httpx.Client:
        """A client whose base is the server."""
        return httpx.Client(base_url=self.url, timeout=30, **options)  # pyrefly: ignore[bad-argument-type]

    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return self.service.jobs.count_jobs() == (0, 0)


@contextmanager
def run_studio(settings: Settings, tools: Sequence[Tool], profile: Profile = EMPTY_PROFILE) -> Iterator[RunningStudio]:
    """Connect the services of a studio without a server, and close them at the end."""
    files = FileIndex(settings.data, store=open_store(settings.files, settings.data))
    engine = LocalEngine(ModelCache(FAMILIES), files, tools)
    studio = connect_services(settings, engine, files, profile, take_decoder_pool(), tools)
    try:
        yield studio
    finally:
        studio.close()


@contextmanager
def serve_app(
    root: Path, *, settings: Settings | None = None, tools: Sequence[Tool] | None = None, waiting: int | None = None
) -> Iterator[ServedApp]:
    """Serve the REST API with the gated scene tool, or `tools` (`pipelines.tools.TOOLS` for the shipped ones).

    At most `waiting` jobs wait.
    """
    gate = Gate()
    settings = settings or Settings(data=root)
    settings = settings if waiting is None else settings.model_copy(update={"queue": waiting})
    rows = (make_scene_tool(gate),) if tools is None else tuple(tools)
    with run_studio(settings, rows) as studio:
        app = Starlette(routes=studio.build_routes(), middleware=studio.build_middleware())
        try:
            with serve_starlette(app) as url:
                yield ServedApp(url, studio.service, gate, studio.access.keys, studio)
        finally:
            gate.open.set()


@contextmanager
def serve_starlette(app: Starlette) -> Iterator[str]:
    """`app` on a free port of loopback; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait for `condition`; the seconds it took.

    What takes long is looked at more seldom: a look is a request or a query.
    """
    since = time.monotonic()
    while not condition():
        waited = time.monotonic() - since
        assert waited < seconds, "did not happen in time"
        time.sleep(min(0.005 + waited / 20, 0.1))
    return time.monotonic() - since


class NoteParams(Params):
    """A form."""

    photo: str | None = picture_field("Photo", "Any.")
    note: str = prompt_field("Note", "Any words.")


def _run_note(params: NoteParams, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    emit("Noting", 1, 1)
    return ToolOutput(images=(context.open_image(params.photo) if params.photo else make_noise(64, 64),))


NOTE = Tool("note", "Note", "For tests.", NoteParams, _run_note)


@contextmanager
def serve_public_page(root: Path) -> Iterator[tuple[str, ServedApp, AccessControl]]:
    """Serve the page as on a Space, open to strangers, with the note tool."""
    with serve_page(root, Settings(data=root, host="0.0.0.0", spaces=True), (NOTE,)) as page:
        yield page


@contextmanager
def serve_page(root: Path, settings: Settings, tools: Sequence[Tool]) -> Iterator[tuple[str, ServedApp, AccessControl]]:
    """Serve page and REST API; yields the address, the app and its access control."""
    with run_studio(settings, tools) as studio, launch_page(studio) as url:
        yield url, ServedApp(url, studio.service, Gate(), studio.access.keys, studio), studio.access


@contextmanager
def launch_page(studio: RunningStudio) -> Iterator[str]:
    """Serve page and REST API of a studio on one free port as `ui.server.serve` does; yields the address."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Gradio sums up all its calls after each one with pandas, for a page that nobody asks for.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"
    # Imported here, because the page takes seconds to import and tests of the REST API do without it.
    from ui import page as ui_page
    from ui.gradio_patches.light_start import build_without_app, launch_with_one_config
    from ui.gradio_patches.stream_keeper import keep_stream_open

    def build() -> Any:
        with build_without_app():
            return ui_page.build_page(studio.service, studio.access).queue(default_concurrency_limit=None)

    gc.freeze()  # so that the collections below look at the page, and not at everything that was imported
    page = build_in_event_loop(build)
    try:
        with launch_with_one_config():
            _, url, _ = keep_stream_open(page).launch(
                server_name="127.0.0.1",
                # Gradio's own search for a port takes what a test beside it is about to take.
                server_port=find_free_port(),
                prevent_thread_lock=True,
                quiet=True,
                inbrowser=False,
                auth=studio.access.make_gradio_auth(),
                app_kwargs={
                    "routes": [*studio.build_routes(), *ui_page.build_static_routes()],
                    "middleware": studio.build_middleware(),
                },
                **ui_page.build_launch_arguments(),
            )
        gc.collect()
        yield url.rstrip("/")
    finally:
        page.close(verbose=False)
        del page
        gc.collect()  # of what Gradio leaves to the collector, with its warnings
