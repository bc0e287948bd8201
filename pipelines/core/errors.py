"""Errors whose sentence may be shown, each with a code and an HTTP status of the outside contract."""

from __future__ import annotations

from collections.abc import Mapping

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
    """A failure whose message is safe to show and whose code is part of the outside contract."""

    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        if self.code not in STATUS_BY_CODE:
            raise ValueError(f"unknown error code {self.code!r}")

    @property
    def status(self) -> int:
        """The HTTP status of the contract."""
        return 422 if isinstance(self, InvalidParams) else STATUS_BY_CODE[self.code]


class BadInput(StudioError):
    """The request cannot be carried out as it stands; the sentence says what to change."""

    code = "invalid_request"


class InvalidParams(BadInput):
    """A value is out of its field's bounds or of the wrong type: 422 where other bad input is 400."""


class NotFound(StudioError):
    """No such job, file or tool, or none that this owner may see."""

    code = "not_found"


class PolicyRefusal(StudioError):
    """The request could be carried out and will not be: consent is missing, or the content gate said no."""

    code = "content_policy"


class ModelUnavailable(StudioError):
    """A field or tool needs a model that this profile does not have."""

    code = "model_unavailable"


class OutOfMemory(StudioError):
    """The device ran out of memory and one retry at a lower setting did not help."""

    code = "out_of_memory"


class QueueFull(StudioError):
    """As many jobs wait as may wait."""

    code = "queue_full"


class JobCancelled(Exception):
    """The stream was closed by whoever owns the job. Not an error, and never shown as one."""
