"""Checks of a filled-in form: field values, the owner's pictures, refused words, consent, and verbs of the profile."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipelines.core.errors import BadInput, InvalidParams, ModelUnavailable, NotFound, PolicyRefusal
from pipelines.core.models import Profile
from pipelines.core.params import Params, Verb
from pipelines.core.tools import Tool
from pipelines.imaging.fonts import find_missing_signs
from pipelines.security.audit_log import AuditLog
from pipelines.security.prompt_filter import find_refusal_message
from pipelines.storage.file_index import FileIndex

CONSENT_REQUIRED_MESSAGE = "Please confirm that you have this person's permission and that they are 18 or over."
MAX_LISTED_SIGNS = 12
"""Signs without a font that an error names."""


class FormChecks:
    """Checks that need to know the files, the profile and the audit log."""

    def __init__(self, files: FileIndex, profile: Profile, audit_log: AuditLog) -> None:
        self._files = files
        self._profile = profile
        self._audit_log = audit_log

    def missing_verbs(self, params: type[Params], name: str) -> tuple[Verb, ...]:
        """List the verbs that field `name` needs and this profile does not serve."""
        extra = params.schema_extra(name)
        needs: Sequence[Verb] = extra.get("x-needs", ())
        missing: tuple[Verb, ...] = tuple(verb for verb in needs if verb not in self._profile.specs)
        return () if extra.get("x-needs-any", False) and len(missing) < len(needs) else missing

    def locking_verbs(self, params: type[Params], name: str) -> tuple[Verb, ...]:
        """List the verbs for want of which the page greys field `name`: none here serves it, or follows its words."""
        followed_by: Sequence[Verb] = params.schema_extra(name).get("x-followed-by", ())
        is_unused = bool(followed_by) and not set(followed_by) & set(self._profile.specs)
        return tuple(followed_by) if is_unused else self.missing_verbs(params, name)

    def check_verbs(self, params: Params) -> None:
        """Raise `ModelUnavailable` for a field that was set and that this profile cannot serve."""
        for name, field in type(params).model_fields.items():
            missing = self.missing_verbs(type(params), name)
            if missing and getattr(params, name) != field.default:
                verbs = verb_conjunction(type(params), name).join(missing)
                raise ModelUnavailable(
                    f"'{field.title}' needs a model for: {verbs}. The profile '{self._profile.id}' has none.",
                    param=name,
                )

    def check_pictures(self, params: Params, owner: str) -> None:
        """Raise `BadInput` for a picture that is not the owner's."""
        for name in params.fields_of_kind("picture", "pictures", "mask"):
            for file_id in _file_ids(params, name):
                try:
                    info = self._files.get_info(file_id, owner)
                except NotFound as error:
                    raise BadInput(f"'{name}' names no picture of yours: send it first.", param=name) from error
                if info.role == "master":  # it may be in Display P3, which would be read as sRGB here
                    raise BadInput(f"'{name}' names a master file: use the picture that it was made with.", param=name)

    def check_prompts(self, tool: Tool, params: Params, owner: str) -> None:
        """Raise `PolicyRefusal` for words that the prompt filter refuses; the audit log notes it."""
        for name in params.fields_of_kind("prompt"):
            objection = find_refusal_message(getattr(params, name), people=tool.person)
            if objection is not None:
                self._audit_log.record_refusal("words", owner, [])
                raise PolicyRefusal(objection, param=name)

    def check_consent(self, tool: Tool, params: Params) -> float | None:
        """Return the consent's Unix time, None where none is needed. Raises `PolicyRefusal` where it is missing."""
        if getattr(params, "consent", False):
            return time.time()
        if not tool.person:  # such a tool searches no faces then, unless the picture is an example
            return None
        pictures = (i for name in params.fields_of_kind("picture", "pictures") for i in _file_ids(params, name))
        if all(self._files.is_example(file_id) for file_id in pictures):
            return None
        raise PolicyRefusal(CONSENT_REQUIRED_MESSAGE, code="consent_required", param="consent")


def verb_conjunction(params: type[Params], name: str) -> str:
    """What stands between the verbs that field `name` needs: " or " where one of them is enough, else " and "."""
    extra = params.schema_extra(name)
    return " or " if extra.get("x-needs-any") or "x-followed-by" in extra else " and "


def validate_form(params: type[Params], values: Mapping[str, Any]) -> Params:
    """Build the form from its values. Raises `InvalidParams` for the first field that is not valid."""
    try:
        form = params.model_validate(dict(values))
    except ValidationError as error:
        raise _validation_errors(params, error)[0] from None
    for unwritable in _list_font_errors(form):
        raise unwritable
    return form


def list_form_errors(params: type[Params], values: Mapping[str, Any]) -> list[InvalidParams]:
    """List an error for every field that is not valid."""
    try:
        return _list_font_errors(params.model_validate(dict(values)))
    except ValidationError as error:
        return _validation_errors(params, error)


def _list_font_errors(form: Params) -> list[InvalidParams]:
    """List an error for every text that is drawn into the picture and has signs that no shipped font has."""
    drawn = (name for name in form.fields_of_kind("prompt") if form.schema_extra(name).get("x-drawn"))
    errors = (find_font_error(getattr(form, name), type(form).model_fields[name].title or name, name) for name in drawn)
    return [error for error in errors if error is not None]


def find_font_error(text: str, label: str, param: str) -> InvalidParams | None:
    """Return an error for a text with signs that no shipped font has, which names the field by its `label`."""
    listed = " ".join(find_missing_signs(text)[:MAX_LISTED_SIGNS])
    return InvalidParams(f"'{label}' has signs that no font here can draw: {listed}", param=param) if listed else None


def _file_ids(params: Params, name: str) -> tuple[str, ...]:
    value = getattr(params, name)
    return value if isinstance(value, tuple) else (value,) if value else ()


def _validation_errors(params: type[Params], error: ValidationError) -> list[InvalidParams]:
    details = error.errors(include_url=False, include_input=False)
    return [_validation_error(params, detail) for detail in details]


def _validation_error(params: type[Params], error: ErrorDetails) -> InvalidParams:
    """A clear sentence that never repeats what was sent."""
    name = str(error["loc"][0]) if error["loc"] else ""
    if name not in params.model_fields:
        fields = ", ".join(params.model_fields)
        return InvalidParams(f"There is a field that this tool does not have. Its fields: {fields}.", param=None)
    label = params.model_fields[name].title or name
    if error["type"] == "missing":
        return InvalidParams(f"'{label}' is missing.", param=name)
    if error["type"] == "string_too_long":
        most = error.get("ctx", {}).get("max_length")
        return InvalidParams(f"'{label}' is too long: at most {most} characters.", param=name)
    return InvalidParams(f"'{label}' is not valid: {error['msg']}.", param=name)
