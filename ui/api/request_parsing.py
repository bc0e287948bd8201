"""Parses request bodies (multipart, JSON, URL-encoded) within limits, and fills a tool's form with the values."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from pipelines.core.errors import BadInput, InvalidParams, PolicyRefusal, StudioError, name_listed_photo
from pipelines.core.params import Params
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES, check_file_size
from pipelines.service.studio_service import StudioService
from ui.api.errors import to_invalid_params
from ui.api.json_schema import document_json_body

ModelT = TypeVar("ModelT", bound=BaseModel)
MAX_PICTURE_COUNT = 16
MAX_BODY_BYTES = MAX_PICTURE_COUNT * MAX_FILE_BYTES * 4 // 3
"""Bytes of one request: as many pictures as any tool takes, as base64."""
DRAIN_BYTES = 2 * MAX_BODY_BYTES
"""Bytes that are read at most; what is over the limit is dropped, because a client that is cut off sees no answer."""
TEXT_PART_BYTES = 1 << 20
"""Bytes of one text part of a multipart body."""
INLINE_JSON_BYTES = 1 << 14
"""Bytes of JSON that is parsed without a change of threads."""
MODEL_BODY_BYTES = 1 << 16
"""Bytes of JSON that holds a few words and numbers."""
MAX_FIELD_COUNT = 200
# Decoding a picture takes seconds, finding a job takes none: uploads must not hold every thread.
_DECODE_LIMITER = CapacityLimiter(4)
DATA_URL_PATTERN = re.compile(r"data:[a-z0-9.+/-]*;base64,", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class RequestForm:
    """The values of a request body: a list for each name, in order. A multipart file is an `UploadFile`."""

    values: dict[str, list[object]]

    def get_one(self, name: str) -> object | None:
        """Get the only value, or None when there is none. Raises `InvalidParams` when the name was sent twice."""
        found = self.values.get(name, [])
        if len(found) > 1:
            raise InvalidParams(f"'{name}' was sent more than once.", param=name)
        return found[0] if found else None

    def get_many(self, name: str) -> list[object]:
        """Get all values; a JSON list counts as its items."""
        found = self.values.get(name, [])
        return found[0] if len(found) == 1 and isinstance(found[0], list) else found

    def rename_field(self, old: str, new: str) -> RequestForm:
        """Copy the form with the field `old` renamed to `new`. Raises `InvalidParams` when both were sent."""
        if old not in self.values:
            return self
        if new in self.values:
            raise InvalidParams(f"Send '{new}' or '{old}', not both.", param=new)
        return RequestForm({new if name == old else name: value for name, value in self.values.items()})

    def without_fields(self, *names: str) -> RequestForm:
        """Copy the form without these fields."""
        return RequestForm({name: value for name, value in self.values.items() if name not in names})


def read_flag(form: RequestForm, name: str) -> bool:
    """Return a true or false value, false where there is none. Raises `InvalidParams` for anything else."""
    # Multipart has no booleans: the official client sends the word "true" or "false".
    value = form.get_one(name)
    if value in (None, "", False, "false", "False"):
        return False
    if value in (True, "true", "True"):
        return True
    raise InvalidParams(f"'{name}' is true or false.", param=name)


def rename_steps(form: RequestForm, params: type[Params]) -> RequestForm:
    """Accept `steps` as a short name of `num_inference_steps`, where the tool has that field."""
    known = "num_inference_steps" in params.model_fields
    return form.rename_field("steps", "num_inference_steps") if known else form


# ---------------------------------------------------------------- reading


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[RequestForm]:
    """Read the body as a form whose files are open inside the block.

    Raises `BadInput`, and `StudioError` (`image_too_large`) for a body over the limit.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data":
        if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
            raise BadInput("Multipart text must be UTF-8.")
        async with _read_multipart(request) as form:
            yield form
    elif kind == b"application/json":
        body = await _read_body(request)
        inline = len(body) <= INLINE_JSON_BYTES
        yield _parse_json_form(body) if inline else await to_thread.run_sync(_parse_json_form, body)
    elif kind == b"application/x-www-form-urlencoded":  # HTML forms and curl send this when there is no file
        yield _parse_urlencoded(await _read_body(request))
    else:
        raise BadInput("Send multipart/form-data or application/json.")


async def read_json_model(request: Request, kind: type[ModelT]) -> ModelT:
    """Read a small JSON body as `kind`. Raises `BadInput`, `InvalidParams`, `StudioError` (over 64 kB).

    Routes call this instead of declaring a body, because FastAPI reads a declared body before it checks the key.
    """
    if parse_options_header(request.headers.get("content-type", ""))[0] != b"application/json":
        raise BadInput("Send application/json.")
    values = _parse_json_object(await _read_body(request, MODEL_BODY_BYTES))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise to_invalid_params(error.errors(include_url=False)) from None


def document_body(kind: type[BaseModel]) -> dict[str, Any]:
    """Document a body that `read_json_model` reads, for a route's `openapi_extra`."""
    return document_json_body(kind.model_json_schema())


@asynccontextmanager
async def _read_multipart(request: Request) -> AsyncIterator[RequestForm]:
    parser = MultiPartParser(
        request.headers,
        _stream_limited(request),
        max_files=2 * MAX_PICTURE_COUNT,
        max_fields=MAX_FIELD_COUNT,
        max_part_size=TEXT_PART_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadInput("The multipart body cannot be read.") from error
    try:
        # A browser sends an empty part for a file that was not chosen.
        yield _collect_values(
            (n, v) for n, v in form.multi_items() if not isinstance(v, UploadFile) or v.filename or v.size
        )
    finally:
        await form.close()


def _collect_values(pairs: Iterable[tuple[str, object]]) -> RequestForm:
    values: dict[str, list[object]] = {}
    for name, value in pairs:
        check_text([name, value])
        values.setdefault(name, []).append(value)
    return RequestForm(values)


async def _read_body(request: Request, most: int | None = None) -> bytes:
    body = bytearray()
    async for chunk in _stream_limited(request, most):
        body += chunk
    return bytes(body)


def _parse_urlencoded(body: bytes) -> RequestForm:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELD_COUNT, errors="strict")
    except ValueError as error:
        raise BadInput("The form cannot be read.") from error
    return _collect_values(pairs)


def _parse_json_form(body: bytes) -> RequestForm:
    return RequestForm({name: [value] for name, value in _parse_json_object(body).items() if value is not None})


def _parse_json_object(body: bytes) -> dict[str, object]:
    try:
        values = from_json(body, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        raise BadInput("The body is not valid JSON.") from error
    if not isinstance(values, dict):
        raise BadInput("The body must be a JSON object.")
    check_text(values)
    return {str(name): value for name, value in values.items()}


async def _stream_limited(request: Request, most: int | None = None) -> AsyncGenerator[bytes, None]:
    most = MAX_BODY_BYTES if most is None else most
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > DRAIN_BYTES:
            break
        if total <= most:
            yield chunk
    if total > most:
        size = f"{most // 10**6} MB" if most >= 10**6 else f"{most // 1000} kB"
        raise StudioError(f"The request is larger than {size}.", code="image_too_large")


def check_text(value: object) -> None:
    """Refuse text and numbers that cannot be stored or sent on: NUL, a lone surrogate, NaN or infinity.

    Raises `InvalidParams`.
    """
    for leaf in _walk_leaves(value):
        if isinstance(leaf, str) and ("\x00" in leaf or not _is_encodable(leaf)):
            raise InvalidParams("Text must not hold NUL or half a character.")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise InvalidParams("Numbers must be finite.")


def _walk_leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for name, inside in value.items():
            yield name
            yield from _walk_leaves(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _walk_leaves(inside)
    else:
        yield value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ---------------------------------------------------------------- values for a tool


@dataclass(frozen=True)
class FilledForm:
    """A tool's form whose pictures are file ids. `notices`: sentences about the pictures, for the receipt."""

    values: dict[str, object]
    notices: tuple[str, ...]


async def fill_form(form: RequestForm, params: type[Params], service: StudioService, owner: str) -> FilledForm:
    """Fill a tool's form as `StudioService.create_job` takes it: each picture becomes a file id.

    Raises `InvalidParams`, `BadInput`, `PolicyRefusal`, whose sentence names the picture of several.
    """
    values: dict[str, object] = {}
    notices: list[str] = []
    for name, sent in form.values.items():
        kind = params.kind_of(name) if name in params.model_fields else None
        if sent == [""] and kind != "prompt":
            continue  # an HTML form says "nothing chosen" like this
        if kind == "pictures":
            file_ids: list[str] = []
            pictures = form.get_many(name)[: MAX_PICTURE_COUNT + 1]
            for number, value in enumerate(pictures, 1):
                try:
                    file_id, new_notices = await ingest_value(value, name, service, owner)
                except PolicyRefusal as error:
                    if len(pictures) == 1:
                        raise
                    raise name_listed_photo(error, number, name) from error
                file_ids.append(file_id)
                notices += new_notices
            values[name] = file_ids
        elif kind in ("picture", "mask"):
            values[name], new_notices = await ingest_value(form.get_one(name), name, service, owner)
            notices += new_notices
        else:
            values[name] = _require_plain(form.get_one(name), name)
    return FilledForm(values, tuple(notices))


def _require_plain(value: object, name: str) -> object:
    if isinstance(value, UploadFile):
        raise InvalidParams(f"'{name}' takes words or a number, not a file.", param=name)
    return value


async def ingest_value(value: object, name: str, service: StudioService, owner: str) -> tuple[str, tuple[str, ...]]:
    """Ingest a file part or a data URL, or take a file id or a character's id as it is; returns the id and notices.

    Raises `InvalidParams`, `BadInput`, also for an address: addresses are not fetched.
    """
    if isinstance(value, UploadFile):
        return await _ingest_picture(await read_upload(value, name), name, service, owner, value.filename or "")
    if not isinstance(value, str):
        raise InvalidParams(f"'{name}' takes a picture: a file, a data URL or a file id.", param=name)
    if DATA_URL_PATTERN.match(value):
        return await _ingest_picture(await to_thread.run_sync(decode_data_url, value, name), name, service, owner)
    if not value.startswith(("file-", "char-")):
        raise BadInput(f"'{name}' takes a file, a data URL or a file id; addresses are not fetched.", param=name)
    return value, ()


async def read_upload(upload: UploadFile, name: str, most: int = MAX_FILE_BYTES) -> bytes:
    """Read a file part of at most `most` bytes. Raises `BadInput` (`image_too_large`)."""
    check_file_size(upload.size or 0, name, most)
    return await upload.read()


def decode_data_url(value: object, name: str) -> bytes:
    """Decode a data URL. Raises `BadInput`."""
    head = DATA_URL_PATTERN.match(value) if isinstance(value, str) else None
    if head is None:
        raise BadInput(f"'{name}' must be a data URL.", param=name)
    try:
        return base64.b64decode(head.string[head.end() :], validate=True)
    except ValueError as error:
        raise BadInput(f"'{name}' is not valid base64.", param=name) from error


async def _ingest_picture(
    data: bytes, name: str, service: StudioService, owner: str, file_name: str = ""
) -> tuple[str, tuple[str, ...]]:
    try:
        return await to_thread.run_sync(service.uploads.ingest_picture, data, owner, file_name, limiter=_DECODE_LIMITER)
    except BadInput as error:
        raise BadInput(error.message, code=error.code, param=error.param or name) from error
