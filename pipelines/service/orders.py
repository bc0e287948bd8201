"""Hop one: bytes become a file id, values become a `Job`; knows no HTTP and no widget, so every door is alike."""

from __future__ import annotations

import os
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipelines.codecs.encode import (
    COLLECTION_SOURCE,
    COMPUTED_SOURCE,
    SIGNED_AS,
    encode,
    packet,
    read_receipt,
    source_named,
)
from pipelines.core.errors import BadInput, InvalidParams, ModelUnavailable, NotFound, Refused
from pipelines.core.job import Job
from pipelines.core.models import Profile
from pipelines.core.params import MAX_SEED, Params, Verb
from pipelines.core.tools import Tool
from pipelines.ingest.decoder_pool import Ingest
from pipelines.jobs.queue import Jobs
from pipelines.models.bundled_weights import present
from pipelines.models.lora import Shelf
from pipelines.models.nets import control_annotators
from pipelines.models.registry import spec
from pipelines.provenance import c2pa, watermark
from pipelines.provenance.signing_key import Seal
from pipelines.security.abuse_reports import Reports
from pipelines.security.audit_log import Audit
from pipelines.security.prompt_filter import objection
from pipelines.service.saved_items import BrandKit, Keepsake, Kept, settle
from pipelines.settings import Settings
from pipelines.storage.file_index import PUBLIC, FileInfo, Files, pixels_sha256
from pipelines.tools import HELPERS, TOOLS, tool

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
PAST_KEPT = "This picture carries content credentials; what is made from it names them as its origin."
MADE_HERE = ("result", "matte")
CHARACTER = "character"
PASSPORT = ("character", "preset", "art", "prompt", "name", "colour", "behind_colour", "reference")
"""Fields of a character that are kept with it; how it is laid out and written is not."""
CONSENT = "Please confirm that you have this person's permission and that they are 18 or over."


@dataclass(frozen=True)
class Example:
    """A picture of ours to try things on."""

    name: str
    file_id: str
    path: Path


class Desk:
    """Takes pictures and orders for every door."""

    def __init__(
        self,
        settings: Settings,
        jobs: Jobs,
        files: Files,
        profile: Profile,
        ingest: Ingest,
        tools: Sequence[Tool] = TOOLS,
    ) -> None:
        self.settings = settings
        self.jobs = jobs
        self.files = files
        self.kept = Kept(jobs.table)
        self.ordered: Callable[[str, str], None] = lambda owner, subject: None
        """Told of each job or batch that an owner orders at a door that says no address of its own."""
        self.profile = profile
        self.tools = tuple(tools)
        self._ingest = ingest
        self.loras = Shelf(settings.data / "loras")
        self._audit = Audit(settings.data)
        self._reports = Reports(self._audit)
        self._seal = Seal(settings.data)
        self._examples: tuple[Example, ...] | None = None

    def take(self, data: bytes, owner: str) -> tuple[str, tuple[str, ...]]:
        """Ingest a picture at the door: its file id and notices.

        Raises `BadInput` with one of the image codes, `Refused` where the content check does: then nothing is kept.
        """
        ingested = self._ingest.picture(data)
        self.jobs.engine.admit(ingested.image, owner, pixels_sha256(ingested.image))
        file_id = self.files.add(ingested.image, owner, "upload")
        return file_id, (*ingested.notices, *self._keep_past(data, file_id, owner))

    def _keep_past(self, data: bytes, file_id: str, owner: str) -> tuple[str, ...]:
        """What the picture says of itself is read before it is lost: only pixels come through the door."""
        past = self._ingest.past(data) if c2pa.MARK in data else None
        if past is None:
            return ()
        self.files.keep_past(file_id, owner, past, self._ingest.past(data, placed=True))
        return (PAST_KEPT,)

    def verify(self, data: bytes) -> c2pa.Said:
        """What a picture says about itself; nothing of it is kept. Raises `BadInput` with one of the image codes."""
        said, pair = self._ingest.said(data, self._seal.pair().root), self._seal.pair()
        try:
            found = watermark.found(self._ingest.picture(data).image)
        except BadInput:  # the file may speak for itself although its picture is not one that is taken here
            return said
        return said if found is None else replace(said, mark="ours" if found.of(pair.mark) else "another")

    def vouched(self, copy: bytes, mime: str, info: FileInfo) -> bytes:
        """A smaller copy of what was made here, signed, the file itself its parent; an upload's copy stays bare.

        For doors that hand over a copy where somebody may take it for the result.
        """
        return self._derived(copy, mime, info, self.files.read(info.id)) if info.role in MADE_HERE else copy

    def _derived(self, data: bytes, mime: str, info: FileInfo, whole: bytes) -> bytes:
        """`data` signed, with the file that it was made from, `whole`, as its parent."""
        parent = c2pa.Ingredient(c2pa.PHOTO, info.sha256, c2pa.past(whole))
        made = c2pa.Made(_source_of(whole), photo=parent)
        return c2pa.sign(data, mime, made, self._seal.pair())

    def sign_archive(self, path: Path) -> None:
        """Sign a ZIP of what was made here, in place, whatever its size. Takes some 20 seconds a gigabyte."""
        part, made = path.with_name(f"{path.name}.signed"), c2pa.Made(COLLECTION_SOURCE)
        try:
            with path.open("rb") as data, part.open("w+b") as out:
                c2pa.sign_stream(data, out, SIGNED_AS["zip"], made, self._seal.pair())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def report(self, reason: str, subject: str, owner: str, sha256: Sequence[str] = ()) -> None:
        """Write down that somebody points at a picture or a refusal; `reason` is one of `reports.REASONS`.

        Raises `InvalidParams` for another reason, `Busy` when more come than anybody reads.
        """
        self._reports.take(reason, subject, owner, sha256)

    def examples(self) -> tuple[Example, ...]:
        """The studio's own example photos; anybody may use them, and nobody's consent is needed."""
        if self._examples is None:
            paths = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".jpg", ".png"))
            self._examples = tuple(Example(path.stem, self._keep_example(path), path) for path in paths)
        return self._examples

    def _keep_example(self, path: Path) -> str:
        with PIL.Image.open(path) as picture:
            return self.files.add(np.asarray(picture.convert("RGB")), PUBLIC, "example")

    def keep_character(self, job_id: str, name: str, owner: str) -> Keepsake:
        """Keep the character of a finished job under `name`. Raises `NotFound`, `BadInput`."""
        row = self.jobs.get(job_id)
        if row is None or row.job.owner != owner:
            raise NotFound("There is no such job.")
        if row.job.tool != CHARACTER or row.result is None:
            raise BadInput("Only a finished character can be kept.", param="job")
        made = [file for file in row.result.files if file.role == "result"]
        mattes = [file for file in row.result.files if file.role == "matte"]
        image, info = self.files.open(made[0].id), self.files.info(made[0].id, owner)
        if image.shape[2] == 3 and mattes:
            image = np.dstack([image, self.files.open(mattes[0].id)[..., 0]])
        whole = self.files.read(info.id, owner)
        said = packet(_source_of(whole), read_receipt(whole) or {})
        data = self._derived(encode(image, "png", said), "image/png", info, whole)
        picture = self.files.add_encoded(data, image, "png", owner, "result")
        params = {name: value for name, value in row.result.receipt["params"].items() if name in PASSPORT and value}
        return self.kept.keep(owner, "character", name, {"params": params, "picture": picture})

    def bring_back(self, name: str, params: Mapping[str, Any], picture: str, owner: str) -> Keepsake:
        """Keep a character that came in from outside, checked as a form is. Raises `BadInput`, `InvalidParams`."""
        row = self.tool(CHARACTER)
        known = {field: value for field, value in params.items() if field in PASSPORT}
        checked = _validated(row.params, known)
        self._check_pictures(checked, owner)
        self._check_words(row, checked, owner)
        line = known.get("character")
        if not isinstance(line, str) or "=" not in line:
            raise BadInput("This is no passport of a character.", param="character")
        return self.kept.keep(owner, "character", name, {"params": known, "picture": picture})

    def keep_brand(self, name: str, values: Mapping[str, Any], owner: str) -> Keepsake:
        """Keep a brand kit under `name`. Raises `BadInput`, `InvalidParams`."""
        kit = _validated(BrandKit, values)
        self._check_pictures(kit, owner)
        return self.kept.keep(owner, "brand", name, kit.model_dump(mode="json"))

    def tool(self, tool_id: str) -> Tool:
        """The row. Raises `NotFound`."""
        return tool(tool_id, self.tools)

    def order(
        self, tool_id: str, values: Mapping[str, Any], owner: str, *, draft: bool = False, batch: bool = False
    ) -> Job:
        """A job from a form's values; nothing ambient is read later.

        Raises `InvalidParams` with the field's name, `BadInput` for a picture that is not the owner's, `Refused` for a
        missing consent and for words that are not taken, `ModelUnavailable` for a field that this profile cannot serve.
        """
        return self._ordered(self.tool(tool_id), values, owner, draft=draft, batch=batch)

    def objections(self, tool_id: str, values: Mapping[str, Any]) -> list[InvalidParams]:
        """All that the tool's form objects to, where `order` raises the first; none says that it can be ordered."""
        params = self.tool(tool_id).params
        try:
            params.model_validate(dict(values))
        except ValidationError as error:
            return _sentences(params, error)
        return []

    def help(self, tool_id: str, values: Mapping[str, Any], owner: str) -> Job:
        """A job of one of `HELPERS`, for a page's own use: on no list, and leaving no file. Raises as `order`."""
        job = self._ordered(tool(tool_id, HELPERS), values, owner, draft=True, batch=False)
        return job.model_copy(update={"helper": True})

    def _ordered(self, row: Tool, values: Mapping[str, Any], owner: str, *, draft: bool, batch: bool) -> Job:
        form = settle(row.params, values, owner, self.kept)
        params = _validated(row.params, form.values)
        self._check_pictures(params, owner)
        self._check_needs(params)
        self._check_words(row, params, owner)
        consent = self._consent(row, params)
        seed = getattr(params, "seed", None)
        return Job(
            id=f"job-{uuid.uuid4().hex}",
            tool=row.id,
            params=params.model_dump(mode="json"),
            seed=secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
            profile=self.profile.id,
            specs=self._specs(),
            owner=owner,
            created=time.time(),
            consent=consent,
            notices=form.notices,
            draft=draft,
            batch=batch,
            watermark=self.settings.watermark,
            adapters=self._adapters(params),
        )

    def _specs(self) -> dict[str, str]:
        """Which model serves what, settled now: the profile's, and the best nets that are on this machine."""
        nets = {"matte": "u2net" if present(spec("u2net")) else "u2netp"}
        if "control" in self.profile.specs:
            nets["map-pose"] = control_annotators.pose_here()
        return {**self.profile.specs, **nets}

    def _adapters(self, params: Params) -> dict[str, float]:
        """The LoRA that the form names, by where it lies."""
        name, weight = getattr(params, "adapter", ""), getattr(params, "adapter_weight", 1.0)
        if not name:
            return {}
        try:
            return {self.loras.source(name): weight}
        except BadInput as error:
            raise BadInput(error.message, param="adapter") from error

    def lacks(self, params: type[Params], name: str) -> tuple[Verb, ...]:
        """The verbs that field `name` needs and this profile has not; the page greys such a field."""
        extra = params.schema_extra(name)
        needs: Sequence[Verb] = extra.get("x-needs", ())
        missing: tuple[Verb, ...] = tuple(verb for verb in needs if verb not in self.profile.specs)
        return () if extra.get("x-needs-any", False) and len(missing) < len(needs) else missing

    def _check_needs(self, params: Params) -> None:
        for name, field in type(params).model_fields.items():
            missing = self.lacks(type(params), name)
            if missing and getattr(params, name) != field.default:
                verbs = either(type(params), name).join(missing)
                raise ModelUnavailable(
                    f"'{field.title}' needs a model for: {verbs}. The profile '{self.profile.id}' has none.", param=name
                )

    def _check_pictures(self, params: Params, owner: str) -> None:
        for name in params.fields_of_kind("picture", "pictures", "mask"):
            value = getattr(params, name)
            for file_id in value if isinstance(value, tuple) else [value] if value else []:
                try:
                    self.files.info(file_id, owner)
                except NotFound as error:
                    raise BadInput(f"'{name}' names no picture of yours: send it first.", param=name) from error

    def _check_words(self, row: Tool, params: Params, owner: str) -> None:
        for name in params.fields_of_kind("prompt"):
            sentence = objection(getattr(params, name), people=row.person)
            if sentence is not None:
                self._audit.refused("words", owner, [])
                raise Refused(sentence, param=name)

    def _consent(self, row: Tool, params: Params) -> float | None:
        if getattr(params, "consent", False):
            return time.time()
        if not row.person:  # such a tool looks for no face then, unless the picture is an example
            return None
        pictures = [getattr(params, name) for name in params.fields_of_kind("picture", "pictures")]
        flat = [i for value in pictures if value for i in (value if isinstance(value, tuple) else (value,))]
        if all(self.files.is_example(file_id) for file_id in flat):
            return None
        raise Refused(CONSENT, code="consent_required", param="consent")


def _source_of(whole: bytes) -> str:
    return source_named(c2pa.source_of(whole)) or COMPUTED_SOURCE  # a matte names none: it is computed


def either(params: type[Params], name: str) -> str:
    """What stands between the verbs that field `name` needs: whether one of them is enough."""
    return " or " if params.schema_extra(name).get("x-needs-any") else " and "


def _validated(params: type[Params], values: Mapping[str, Any]) -> Params:
    try:
        return params.model_validate(dict(values))
    except ValidationError as error:
        raise _sentences(params, error)[0] from None


def _sentences(params: type[Params], error: ValidationError) -> list[InvalidParams]:
    told = error.errors(include_url=False, include_context=False, include_input=False)
    return [_sentence(params, each) for each in told]


def _sentence(params: type[Params], error: ErrorDetails) -> InvalidParams:
    """A clear sentence that never repeats what was sent."""
    name = str(error["loc"][0]) if error["loc"] else ""
    if name not in params.model_fields:
        return InvalidParams("There is a field that this tool does not have.", param=None)
    label = params.model_fields[name].title or name
    if error["type"] == "missing":
        return InvalidParams(f"'{label}' is missing.", param=name)
    return InvalidParams(f"'{label}' is not valid: {error['msg']}.", param=name)
