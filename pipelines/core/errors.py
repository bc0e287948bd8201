"""Exceptions with a message that users may read, an error code and the HTTP status of the public API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUG_MESSAGE = "Something broke inside the studio. Whoever runs it finds the cause in the log."
"""What a person reads in place of an error that is no `StudioError`."""

STATUS_BY_CODE: Mapping[str, int] = {
    "invalid_request": 400,
    "unsupported_image": 400,
    "corrupt_image": 400,
    "too_many_pixels": 400,
    "nothing_visible": 400,
    "no_subject": 400,
    "no_face": 400,
    "consent_required": 400,
    "content_policy": 400,
    "invalid_api_key": 401,
    "permission_denied": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "image_too_large": 413,
    "queue_full": 429,
    "rate_limited": 429,
    "model_unavailable": 503,
    "out_of_memory": 503,
    "disk_full": 503,
    "storage_unavailable": 503,
    "internal_error": 500,
}


class StudioError(Exception):
    """A failure with a message that users may read. `code` is part of the public API; `param` names a form field.

    `useless_tool` is the id of a tool that is offered next to a photo and does not help here, "" for none.

    Raises `ValueError` for a code that is not in `STATUS_BY_CODE`.
    """

    code = "internal_error"

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, useless_tool: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.useless_tool = useless_tool
        if self.code not in STATUS_BY_CODE:
            raise ValueError(f"unknown error code {self.code!r}")

    @property
    def status(self) -> int:
        """The HTTP status that the API answers with."""
        return 422 if isinstance(self, InvalidParams) else STATUS_BY_CODE[self.code]


class BadInput(StudioError):
    """The request is wrong; the message says what to change."""

    code = "invalid_request"


class InvalidParams(BadInput):
    """A form value is out of bounds or of the wrong type. Its status is 422, that of other bad input 400."""


class NotFound(StudioError):
    """There is no such job, file or tool, or its owner is somebody else."""

    code = "not_found"


class PolicyRefusal(StudioError):
    """The request is well formed, but consent is missing or the content filter rejects it."""

    code = "content_policy"


class ModelUnavailable(StudioError):
    """A field or a tool needs a model that the current profile does not have."""

    code = "model_unavailable"


class OutOfMemory(StudioError):
    """The device ran out of memory, and one retry with less memory failed as well."""

    code = "out_of_memory"


class QueueFull(StudioError):
    """The queue holds as many waiting jobs as it may."""

    code = "queue_full"


class JobCancelled(Exception):
    """The job was cancelled: by Stop, DELETE, or a caller that waited and left. Never shown as an error."""


def name_listed_photo(error: StudioError, number: int | str, param: str) -> StudioError:
    """Return the error about one photo of a field that takes several (`param`) with its number, from 1, before it.

    Where several photos have the same fault, `number` lists them: "2, 5".
    """
    sentence = f"Photo {number}: {error.message}"
    return type(error)(sentence, code=error.code, param=param, useless_tool=error.useless_tool)


def error_to_json(error: StudioError) -> dict[str, Any]:
    """Return the error as `code`, `message` and `param`, and `useless_tool` where there is one."""
    useless = {"useless_tool": error.useless_tool} if error.useless_tool else {}
    return {"code": error.code, "message": error.message, "param": error.param, **useless}


def error_from_json(data: Mapping[str, Any]) -> StudioError:
    """Rebuild the error that `error_to_json` wrote, or a table row that also says `invalid`."""
    if data.get("invalid"):
        return InvalidParams(data["message"], param=data.get("param"))
    return StudioError(
        data["message"], code=data["code"], param=data.get("param"), useless_tool=data.get("useless_tool", "")
    )
