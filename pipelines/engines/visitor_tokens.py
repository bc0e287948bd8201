"""Visitors' tokens on ZeroGPU: whose seconds a lent GPU costs, from the request of a visitor to the call for their job.

Hugging Face's proxy adds the token to each request as a header, and `spaces` sends it when it asks for a GPU. Without
it all visitors share what a visitor without an account gets, about two minutes a day. Tokens are kept in memory, never
in a table, and are valid for a few minutes only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace

TOKEN_HEADER = "x-ip-token"
TOKEN_SECONDS = 600.0  # how long a token is kept; it expires sooner, but then the service's own answer says so
REQUEST_TOKEN: ContextVar[str] = ContextVar("request_token", default="")
"""The token of the HTTP request that is answered now; an event of the page has its own request instead."""


class VisitorTokens:
    """The token of each job that waits or runs. Safe from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[float, str]] = {}

    def store_request_token(self, job_id: str) -> None:
        """Keep the token of the request that is answered now for this job."""
        token = read_current_token()
        with self._lock:
            oldest = self._clock() - TOKEN_SECONDS
            self._tokens = {key: row for key, row in self._tokens.items() if row[0] > oldest}
            if token:
                self._tokens[job_id] = (self._clock(), token)

    def take_token(self, job_id: str) -> str:
        """Return a job's token and forget it; empty where there is none."""
        with self._lock:
            return self._tokens.pop(job_id, (0.0, ""))[1]


def read_current_token() -> str:
    """Read the token of the page's event or the HTTP request that is answered now; empty where there is none."""
    from gradio.context import LocalContext

    headers = getattr(LocalContext.request.get(None), "headers", None)
    return (headers.get(TOKEN_HEADER) if headers is not None else None) or REQUEST_TOKEN.get()


@contextmanager
def call_for_visitor(token: str) -> Iterator[None]:
    """Let `spaces` find the visitor's token where it looks for it: in the request of the page's event."""
    if not token:
        yield
        return
    from gradio.context import LocalContext
    from starlette.datastructures import Headers

    request = SimpleNamespace(headers=Headers({TOKEN_HEADER: token, "x-gradio-user": "app"}))
    reset = LocalContext.request.set(request)  # pyrefly: ignore[bad-argument-type]
    try:
        yield
    finally:
        LocalContext.request.reset(reset)
