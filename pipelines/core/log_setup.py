"""Logging set-up: text lines or JSON objects, without keys, pictures, prompts and file names."""

from __future__ import annotations

import json
import logging
import re
import traceback
from contextvars import ContextVar
from typing import Literal, TypeAlias

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that is being answered, "" outside of one."""

LogFormat: TypeAlias = Literal["text", "json"]
_TEXT_FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"
# Patterns that no log line may contain, and their replacements: API keys, pictures as data URLs, share links.
_SECRET_PATTERNS = (
    (re.compile(r"sk-dbx-[0-9A-Za-z]+"), "sk-dbx-…"),
    (re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=]+"), "data:…"),
    (re.compile(r"/s/[0-9a-f]{16}\.[0-9.a-f]+"), "/s/…"),
)


def redact_secrets(text: str) -> str:
    """Replace API keys, data URLs and share links in `text`."""
    for pattern, replacement in _SECRET_PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class TextFormatter(logging.Formatter):
    """Writes a record as a text line with the request's id, and a failure with its traceback."""

    def __init__(self) -> None:
        super().__init__(_TEXT_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """Format one record as text."""
        text = redact_secrets(super().format(record))
        request_id = REQUEST_ID.get()
        return f"{text} [{request_id}]" if request_id else text


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object. A failure has type and place, but no message, which may quote anything."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record as JSON: time, level, logger, message, request_id, `about`'s entries, error, where."""
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


def configure_logging(kind: LogFormat) -> None:
    """Send every record from INFO up to standard error, as text or as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if kind == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
