"""What Gradio and its web server would print goes through the log, in the log's one form; knows no page and no event.

Gradio prints the traceback of an event that fails, words of its caller included, and in places what stood in an
address; uvicorn brings a handler of its own. Neither asks how this studio writes its log.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

log = logging.getLogger("designerbox.page")
_SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class _LoggedTraceback:
    """Python's module `traceback`, but that it prints no failure: it logs it."""

    def print_exc(self, *_: Any, **__: Any) -> None:
        """The failure that is being handled, as a record."""
        log.error("an event of the page failed", exc_info=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)


def _log_print(*_: Any, **__: Any) -> None:
    """Stands for `print`. The line quotes what a stranger sent, so it is not kept."""
    log.debug("the page had something to print")


def redirect_to_log() -> None:
    """From here on; after the web server was made, which sets its handlers up. Doing so twice is doing so once."""
    from gradio import queueing, route_utils, routes

    for module in (queueing, routes, route_utils):
        vars(module).update(traceback=_LoggedTraceback(), print=_log_print)
    for name in _SERVER_LOGGERS:
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
