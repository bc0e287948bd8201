"""Progress of a model that is being read: whoever waits for it hears of each part, and may give it up between two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

OnPart = Callable[[int, int], None]
"""Called with the number of parts that were read, and of all parts; what it raises ends the loading."""

_LISTENER: ContextVar[OnPart | None] = ContextVar("loading_listener", default=None)


@contextmanager
def listen_to_parts(on_part: OnPart) -> Iterator[None]:
    """Call `on_part` for each part of a model that this thread loads while the context is open."""
    token = _LISTENER.set(on_part)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def report_part(done: int, total: int) -> None:
    """Tell whoever listens that `done` of `total` parts were read."""
    if (listener := _LISTENER.get()) is not None:
        listener(done, total)
