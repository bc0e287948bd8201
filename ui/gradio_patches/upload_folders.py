"""Patches `GradioUploadFile`: every upload lies in a folder of its own.

Gradio names an upload's folder by its content. The same photo, uploaded twice, is then one file: a tool that has read
it deletes it, and it is gone for a batch or for another visitor who still needs it.
"""

from __future__ import annotations

import secrets
from typing import Any

from gradio import route_utils

PATCHED_NAMES = ("gradio.route_utils:GradioUploadFile", "gradio.route_utils:GradioUploadFile.sha")

_GradioUpload: type[Any] = route_utils.GradioUploadFile


class _UploadInOwnFolder(_GradioUpload):
    """An upload whose folder has a random name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sha.update(secrets.token_bytes(16))


def separate_uploads() -> None:
    """Patch Gradio's route for uploads, for all pages of this process."""
    route_utils.GradioUploadFile = _UploadInOwnFolder  # pyrefly: ignore[bad-assignment]
