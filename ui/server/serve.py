"""Starts the web server: the page, `/v1` and `/healthz` on one port."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from pipelines.core.errors import StudioError
from pipelines.models.devices import start_detection
from pipelines.settings import Settings
from pipelines.storage.database import DatabaseUnavailable
from ui.api.auth.access import find_unsafe_setting
from ui.gradio_patches import log_redirect
from ui.server.factory import build_studio
from ui.server.middleware import remove_gradio_cors

log = logging.getLogger("designerbox")


def serve_studio(settings: Settings) -> int:
    """Serve until interrupted. Returns 2 and logs why where the settings let strangers in or cannot be met."""
    sentence = find_unsafe_setting(settings) or find_unusable_place(settings)
    if sentence is not None:
        log.error(sentence)
        return 2
    if settings.engine == "local":
        start_detection()  # goes on beside the imports of the page
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Gradio sums up all its calls after each one with pandas, for a page that nobody asks for.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")
    # In the data folder, so that pictures can be hard links and no other program clears them.
    served = Path(os.environ.setdefault("GRADIO_TEMP_DIR", str(settings.data.resolve() / "page")))
    from ui import page as ui_page

    try:
        studio = build_studio(settings)
    except (StudioError, DatabaseUnavailable) as error:
        log.error("%s", error)
        return 2
    from ui.components.pictures import DELETE_CACHE_SECONDS
    from ui.gradio_patches.light_start import build_without_app, launch_with_one_config
    from ui.gradio_patches.stream_keeper import keep_stream_open

    _delete_old_files(served, DELETE_CACHE_SECONDS[1])

    try:
        with build_without_app():
            page = ui_page.build_page(studio.service, studio.access)
            page.queue(default_concurrency_limit=None, max_size=None)
        with launch_with_one_config():
            keep_stream_open(page).launch(
                server_name=settings.host,
                server_port=settings.port,
                share=settings.share,
                auth=studio.access.make_gradio_auth(),
                app_kwargs={
                    "routes": [*studio.build_routes(), *ui_page.build_static_routes()],
                    "middleware": studio.build_middleware(),
                },
                prevent_thread_lock=True,
                **ui_page.build_launch_arguments(),
            )
        remove_gradio_cors(page.app)
        log_redirect.redirect_to_log()
        page.block_thread()
    finally:
        studio.close()
    return 0


def find_unusable_place(settings: Settings) -> str | None:
    """Return why nothing can be written in the data folder, or listened to at the address; None where both can."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.data):
            pass
    except OSError as error:
        return f"The folder {settings.data} cannot be used: {error.strerror}. Name another with --data DIR."
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # in brackets stands the address once more
        return f"Port {settings.port} of {settings.host} cannot be used: {reason}. Name another with --port PORT."
    return None


def _delete_old_files(folder: Path, max_age_seconds: float) -> None:
    """Delete files that a killed process left in `folder`."""
    oldest = time.time() - max_age_seconds
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process may clear the same folder
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()
