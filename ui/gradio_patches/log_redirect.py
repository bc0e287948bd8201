"""Patches `print` and `traceback` in Gradio's modules: what Gradio and uvicorn print goes to the log in its format.

Gradio prints tracebacks of failed events, which quote the visitor's input, and parts of addresses. uvicorn has its own
log handler. Both ignore how this studio writes its log.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

PATCHED_NAMES = ("gradio.queueing:traceback", "gradio.routes:traceback", "gradio.route_utils:traceback")
log = logging.getLogger("designerbox.page")
_SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class _LoggedTraceback:
    """Python's module `traceback`, except that `print_exc` logs."""

    def print_exc(self, *_: Any, **__: Any) -> None:
        """Log the exception that is being handled."""
        log.error("an event of the page failed", exc_info=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)


def _log_print(*_: Any, **__: Any) -> None:
    """Replaces `print`. The text is dropped because it may quote what a visitor sent."""
    log.debug("the page had something to print")


def redirect_to_log() -> None:
    """Patch Gradio's modules and uvicorn's loggers. Call it after the server is made; a second call changes nothing."""
    from gradio import queueing, route_utils, routes

    for module in (queueing, routes, route_utils):
        vars(module).update(traceback=_LoggedTraceback(), print=_log_print)
    for name in _SERVER_LOGGERS:
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
