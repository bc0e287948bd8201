"""How the log is written: readable lines or JSON objects; never a key, a picture, a prompt or the name of a file."""

from __future__ import annotations

import json
import logging
import re
import traceback
from contextvars import ContextVar
from typing import Literal, TypeAlias

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered, "" outside of one."""

LogFormat: TypeAlias = Literal["text", "json"]
_TEXT_FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"
# What must never stand in a log, whoever wrote the line: keys, pictures as text, links that open by themselves.
_SECRET_PATTERNS = (
    (re.compile(r"sk-dbx-[0-9A-Za-z]+"), "sk-dbx-…"),
    (re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=]+"), "data:…"),
    (re.compile(r"/s/[0-9a-f]{16}\.[0-9.a-f]+"), "/s/…"),
)


def redact_secrets(text: str) -> str:
    """The same without what must not be written down."""
    for pattern, instead in _SECRET_PATTERNS:
        text = pattern.sub(instead, text)
    return text


class TextFormatter(logging.Formatter):
    """One line for people, with the request's id where there is one; a failure with its traceback."""

    def __init__(self) -> None:
        super().__init__(_TEXT_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = redact_secrets(super().format(record))
        request_id = REQUEST_ID.get()
        return f"{text} [{request_id}]" if request_id else text


class JsonFormatter(logging.Formatter):
    """One JSON object a line. Of a failure: its kind and where it happened, not its words, which may quote anything."""

    def format(self, record: logging.LogRecord) -> str:
        """The object: time, level, logger, message, request_id, about, error, where."""
        row: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_secrets(record.getMessage()),
        }
        if request_id := REQUEST_ID.get():
            row["request_id"] = request_id
        row.update(getattr(record, "about", {}))
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            row["error"] = type(error).__name__
            row["where"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        return json.dumps(row, ensure_ascii=False)


def configure_logging(kind: LogFormat, level: int = logging.INFO) -> None:
    """Write everything from `level` up to standard error, in this form alone."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if kind == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
