"""A request's body as named values, multipart and JSON alike, within limits; knows a tool's fields by their kinds."""

from __future__ import annotations

import base64
import binascii
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

from pipelines.core.errors import BadInput, InvalidParams, StudioError
from pipelines.core.params import Params
from pipelines.ingest.decoder_pool import MAX_FILE_BYTES
from pipelines.service.orders import StudioService
from ui.api.errors import first_problem

M = TypeVar("M", bound=BaseModel)
MAX_PICTURES = 16
BODY_BYTES = MAX_PICTURES * MAX_FILE_BYTES * 4 // 3
"""Of one request: as many pictures as any tool takes, base64 included."""
DRAIN_BYTES = 2 * BODY_BYTES
"""Read and thrown away past the limit, since a sender that is cut off never sees the answer that says why."""
TEXT_BYTES = 1 << 20
SMALL_BYTES = 1 << 14
"""Of JSON that is read sooner than a thread is found for it."""
MODEL_BYTES = 1 << 16
"""Of JSON that holds a few words and numbers."""
MAX_FIELDS = 200
# Decoding a picture takes seconds where finding a job takes none: uploads must not hold every thread there is.
_DECODING = CapacityLimiter(4)
DATA_URL = re.compile(r"data:[a-z0-9.+/-]*;base64,", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """What was sent: under each name every value, in order. A multipart file is an `UploadFile`."""

    values: dict[str, list[object]]

    def one(self, name: str) -> object | None:
        """The only value, or None when there is none. Raises `InvalidParams` when the name came twice."""
        found = self.values.get(name, [])
        if len(found) > 1:
            raise InvalidParams(f"'{name}' was sent more than once.", param=name)
        return found[0] if found else None

    def many(self, name: str) -> list[object]:
        """All values; a JSON list counts as its items."""
        found = self.values.get(name, [])
        return found[0] if len(found) == 1 and isinstance(found[0], list) else found

    def moved(self, old: str, new: str) -> Form:
        """The same with `old` renamed to `new`. Raises `InvalidParams` when both were sent."""
        if old not in self.values:
            return self
        if new in self.values:
            raise InvalidParams(f"Send '{new}' or '{old}', not both.", param=new)
        return Form({new if name == old else name: value for name, value in self.values.items()})

    def without(self, *names: str) -> Form:
        """The same less these names."""
        return Form({name: value for name, value in self.values.items() if name not in names})


# ---------------------------------------------------------------- reading


@asynccontextmanager
async def opened(request: Request) -> AsyncIterator[Form]:
    """The body, its files open while the block lasts.

    Raises `invalid_request`, or `image_too_large` past the limits of a request and of one picture.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data":
        if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
            raise BadInput("Multipart text must be UTF-8.")
        async with _multipart(request) as form:
            yield form
    elif kind == b"application/json":
        body = await _whole(request)
        yield _json(body) if len(body) <= SMALL_BYTES else await to_thread.run_sync(_json, body)
    elif kind == b"application/x-www-form-urlencoded":  # what HTML forms and curl send where there is no file
        yield _urlencoded(await _whole(request))
    else:
        raise BadInput("Send multipart/form-data or application/json.")


async def model(request: Request, kind: type[M]) -> M:
    """A small JSON body as `kind`. Raises `BadInput`, `InvalidParams`, or `image_too_large` past 64 kB.

    Called by a route instead of being declared on it: a declared body is read before the caller's key is looked at.
    """
    if parse_options_header(request.headers.get("content-type", ""))[0] != b"application/json":
        raise BadInput("Send application/json.")
    values = _object(await _whole(request, MODEL_BYTES))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise first_problem(error.errors(include_url=False)) from None


def body_of(kind: type[BaseModel]) -> dict[str, Any]:
    """What the documentation says of a body that `model` reads; for a route's `openapi_extra`."""
    content = {"application/json": {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


@asynccontextmanager
async def _multipart(request: Request) -> AsyncIterator[Form]:
    parser = MultiPartParser(
        request.headers, _limited(request), max_files=2 * MAX_PICTURES, max_fields=MAX_FIELDS, max_part_size=TEXT_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadInput("The multipart body cannot be read.") from error
    try:
        # A browser sends an empty part for a file that was not chosen.
        yield _gathered((n, v) for n, v in form.multi_items() if not isinstance(v, UploadFile) or v.filename or v.size)
    finally:
        await form.close()


def _gathered(pairs: Iterable[tuple[str, object]]) -> Form:
    values: dict[str, list[object]] = {}
    for name, value in pairs:
        check_text([name, value])
        values.setdefault(name, []).append(value)
    return Form(values)


async def _whole(request: Request, most: int | None = None) -> bytes:
    body = bytearray()
    async for chunk in _limited(request, most):
        body += chunk
    return bytes(body)


def _urlencoded(body: bytes) -> Form:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise BadInput("The form cannot be read.") from error
    return _gathered(pairs)


def _json(body: bytes) -> Form:
    return Form({name: [value] for name, value in _object(body).items() if value is not None})


def _object(body: bytes) -> dict[str, object]:
    try:
        values = from_json(body, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        raise BadInput("The body is not valid JSON.") from error
    if not isinstance(values, dict):
        raise BadInput("The body must be a JSON object.")
    check_text(values)
    return {str(name): value for name, value in values.items()}


async def _limited(request: Request, most: int | None = None) -> AsyncGenerator[bytes, None]:
    most = BODY_BYTES if most is None else most
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
    """Raises `InvalidParams` for what cannot be stored or sent on: NUL, half a character, an infinity."""
    for leaf in _leaves(value):
        if isinstance(leaf, str) and ("\x00" in leaf or not _encodable(leaf)):
            raise InvalidParams("Text must not hold NUL or half a character.")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise InvalidParams("Numbers must be finite.")


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for name, inside in value.items():
            yield name
            yield from _leaves(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _leaves(inside)
    else:
        yield value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ---------------------------------------------------------------- values for a tool


@dataclass(frozen=True)
class Filled:
    """A tool's form, pictures taken in. `notices` are what the door has to say about them."""

    values: dict[str, object]
    notices: tuple[str, ...]


async def fill(form: Form, params: type[Params], service: StudioService, owner: str) -> Filled:
    """Values as `StudioService.create_job` takes them: each picture becomes a file id. Raises `InvalidParams`, `BadInput`."""
    values: dict[str, object] = {}
    notices: list[str] = []
    for name, sent in form.values.items():
        kind = params.kind_of(name) if name in params.model_fields else None
        if sent == [""] and kind != "prompt":
            continue  # how an HTML form says "nothing chosen"
        if kind == "pictures":
            taken = [await take(value, name, service, owner) for value in form.many(name)[: MAX_PICTURES + 1]]
            values[name] = [file_id for file_id, _ in taken]
            notices += [said for _, saying in taken for said in saying]
        elif kind in ("picture", "mask"):
            values[name], said = await take(form.one(name), name, service, owner)
            notices += said
        else:
            values[name] = _plain(form.one(name), name)
    return Filled(values, tuple(notices))


def _plain(value: object, name: str) -> object:
    if isinstance(value, UploadFile):
        raise InvalidParams(f"'{name}' takes words or a number, not a file.", param=name)
    return value


async def take(value: object, name: str, service: StudioService, owner: str) -> tuple[str, tuple[str, ...]]:
    """A file part, a data URL, a file id or a character's id -> id and notices. Addresses are refused as all else."""
    if isinstance(value, UploadFile):
        if (value.size or 0) > MAX_FILE_BYTES:
            raise BadInput(f"The file is larger than {MAX_FILE_BYTES // 10**6} MB.", code="image_too_large", param=name)
        return await _ingest(await value.read(), name, service, owner)
    if not isinstance(value, str):
        raise InvalidParams(f"'{name}' takes a picture: a file, a data URL or a file id.", param=name)
    if head := DATA_URL.match(value):
        data = await to_thread.run_sync(decoded, value, head.end(), name)
        return await _ingest(data, name, service, owner)
    if not value.startswith(("file-", "char-")):
        raise BadInput(f"'{name}' takes a file, a data URL or a file id; addresses are not fetched.", param=name)
    return value, ()


def decoded(value: str, start: int, name: str) -> bytes:
    """The bytes of a data URL whose base64 begins at `start`. Raises `BadInput`."""
    try:
        return base64.b64decode(value[start:], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput(f"'{name}' is not valid base64.", param=name) from error


async def _ingest(data: bytes, name: str, service: StudioService, owner: str) -> tuple[str, tuple[str, ...]]:
    try:
        return await to_thread.run_sync(service.uploads.ingest_picture, data, owner, limiter=_DECODING)
    except BadInput as error:
        raise BadInput(error.message, code=error.code, param=error.param or name) from error
