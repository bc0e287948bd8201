"""What a tool is handed, one per job, and `finish`, which no tool can skip; does not know which tool it serves."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from pipelines.codecs.encode import (
    ENDING,
    MATTE_SOURCE,
    SIGNED_AS,
    Format,
    Origin,
    archive,
    encode,
    encode_png,
    origin_of,
    source_type,
    xmp,
)
from pipelines.compositing.registration import settled
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Alpha, Crop, Cutout, Face, Frame, Image, PlacedSubject
from pipelines.core.job import Emit, File, Job, Result
from pipelines.core.models import ModelSpec
from pipelines.core.params import Subject, Verb
from pipelines.core.rendering import Adapter, Draft, Extra, Images, ModelStep, Render, Scenery
from pipelines.framing.resample import over, resample, resampling
from pipelines.matting.cutout import cutout as cut_out
from pipelines.matting.tiled_refinement import shows_more
from pipelines.models import oom_fallback
from pipelines.models.hub_download import Item
from pipelines.models.model_cache import Cache
from pipelines.models.registry import spec
from pipelines.provenance import watermark
from pipelines.provenance.c2pa import PHOTO, Ingredient, Made, past, sign, source_of, trained
from pipelines.provenance.signing_key import Seal
from pipelines.quality.output_checks import Edit, Look, explained, run_checks, worst
from pipelines.runtime.progress import WAITS, Emitter, jpeg
from pipelines.security.content_filter import Gate, flat
from pipelines.security.prompt_filter import neutral
from pipelines.storage.file_index import Files

T = TypeVar("T")
MEMO_BYTES = 256 * 2**20
BACKDROPS = "backdrops"
DRAWING, SCENE = "Drawing", "Setting the scene"
"""Stages in which a model draws."""
UNLOOKED = "No face was looked for or protected. If a person is in the photo, confirm their consent."
FACES = "face-mesh"
ASIDE = ("matte", "mask", "reference")
"""Fields whose picture is looked at and is not in the result."""


class Memo:
    """The last few costly results by what they were made from; least recently used goes first."""

    def __init__(self, limit: int = MEMO_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The kept value, else `make()`, kept if it fits."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]  # pyright: ignore[reportReturnType]
        value = make()
        with self._lock:
            self._kept[key] = (value, size(value))
            while sum(bytes_ for _, bytes_ in self._kept.values()) > self._limit and self._kept:
                self._kept.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


@dataclass(eq=False)
class Work:
    """What went into pictures: models that were used, what edit models made of what, what was said, kinds of scenes.

    `laid_over`: an edit model drew around a subject whose own pixels the tool laid over it again. `together`: pictures
    in the fullest call of a model.
    """

    used: dict[str, ModelSpec] = field(default_factory=dict[str, ModelSpec])
    edits: list[Edit] = field(default_factory=list[Edit])
    notices: list[str] = field(default_factory=list[str])
    scenery: set[Scenery] = field(default_factory=set[Scenery])
    laid_over: bool = False
    together: int = 1

    def add(self, more: Work) -> None:
        """This work and `more`."""
        self.used |= more.used
        self.edits += more.edits
        self.notices += more.notices
        self.scenery |= more.scenery
        self.laid_over |= more.laid_over
        self.together = max(self.together, more.together)

    @property
    def nbytes(self) -> int:
        """Bytes of the pictures that it keeps."""
        return sum(edit.source.nbytes + edit.result.nbytes for edit in self.edits)


class JobStudio:
    """The `Studio` of one job."""

    def __init__(
        self,
        job: Job,
        cache: Cache,
        files: Files,
        memo: Memo,
        stream_emit: Emitter,
        seal: Seal,
        gate: Gate,
        draws: oom_fallback.Draws | None = None,
    ) -> None:
        self.job = job
        self.seed = job.seed
        self.draft = job.draft
        self._cache = cache
        self._files = files
        self._memo = memo
        self._emit = stream_emit
        self._seal = seal
        self._gate = gate
        self._on_file = partial(arriving, stream_emit)
        self._draws = draws or oom_fallback.here(cache, self._on_file)
        # The job's own, then one for each costly result that is being made just now.
        self._works = [Work()]
        self._params: dict[str, Any] = job.params
        self._adapters = tuple(Adapter(source, weight) for source, weight in job.adapters.items())
        self._faces: dict[str, int] = {}
        self._unlooked = False
        self._emit.passes = self._first

    # ------------------------------------------------------------ what tools call

    def open(self, file_id: str) -> Image:
        """H x W x 3; where the upload was transparent it is laid on white."""
        return flat(self._original(file_id))

    def cutout(self, params: Subject, emit: Emit) -> Cutout:
        """The subject of `params.photo`, kept by photo, matte and pick. Raises `no_subject`."""
        agreed = self._agreed(params.photo)
        # A draft does not wait for what only a large picture shows.
        closely = not self.draft and params.matte is None and shows_more(self.open(params.photo))
        key = ("cutout", params.photo, params.matte, params.pick, self.job.specs["matte"], agreed, closely)
        return self._remembered(
            key, lambda: self._cut(params, closely, emit), lambda c: c.colour.nbytes + c.alpha.nbytes
        )

    def _cut(self, params: Subject, closely: bool, emit: Emit) -> Cutout:
        original = self._original(params.photo)
        matte = self._matte(params.matte, original)
        faces = self._found(params.photo) if self._agreed(params.photo) else ()
        emit("Reading the photo", 1, 1)
        photo = self.open(params.photo)

        def seen(alpha: Alpha) -> None:
            emit("Cutting out", 1, 2, lambda: over(photo, alpha))

        def looked(number: int, of: int) -> None:
            emit("Looking closer", number, of)

        with self.borrow(self.job.specs["matte"]) as net:
            return cut_out(
                photo, net, matte=matte, pick=params.pick, faces=faces, closely=looked if closely else None, seen=seen
            )

    def _matte(self, file_id: str | None, original: Image) -> Alpha | None:
        """The user's own matte, or the transparency the upload came with."""
        if file_id is not None:
            return self.mask(file_id)
        if original.shape[2] == 4:
            return np.asarray(original[..., 3] / np.float32(255), np.float32)
        return None

    def layer(self, file_id: str) -> Image:
        """H x W x 4: a picture with its transparency, such as a logo."""
        image = self._original(file_id)
        return image if image.shape[2] == 4 else np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])

    def mask(self, file_id: str) -> Alpha:
        """A picture read as a mask: brushes draw white on transparent, a saved matte is grey."""
        drawn = self._original(file_id)
        grey = drawn[..., :3].mean(axis=2) * (drawn[..., 3] / 255 if drawn.shape[2] == 4 else 1)
        return np.asarray(grey / 255, np.float32)

    def keep(self, key: tuple[object, ...], make: Callable[[], Image]) -> Image:
        """A costly picture, kept by what it was made from, and by whether faces could be looked for."""
        # A model draws otherwise with an adapter, and so does another model.
        drawn_by = tuple(sorted(self.job.specs.items())), self._adapters, self._agreed(*self._pictures())
        return self._remembered(("picture", *key, *drawn_by), make, lambda image: image.nbytes)

    def _remembered(self, key: tuple[object, ...], make: Callable[[], T], size: Callable[[T], int]) -> T:
        """`make()` or what was kept of it; either way what went into it counts as this job's work."""
        fresh: list[Work] = []

        def making() -> tuple[T, Work]:
            fresh.append(work := Work())
            self._works.append(work)
            try:
                return make(), work
            finally:
                self._works.pop()

        value, work = self._memo.get(key, making, lambda made: size(made[0]) + made[1].nbytes)
        if not fresh:
            self._took(work)
        return value

    def _took(self, more: Work) -> None:
        """`more` was done for this job, and for whatever of it is being remembered."""
        for work in self._works:
            work.add(more)
        if any(generative(row) for row in more.used.values()):
            self._emit.passes = self._gate.shows

    def faces(self, file_id: str) -> tuple[Face, ...]:
        """Faces, largest first; none where nobody said that whoever is in the picture agrees."""
        if self._agreed(file_id):
            return self._found(file_id)
        self._unlooked = True
        return ()

    def _agreed(self, *file_ids: str) -> bool:
        """Whether faces may be looked for: with consent, and in the studio's own examples."""
        return self.job.consent is not None or all(self._files.is_example(file_id) for file_id in file_ids)

    def _found(self, file_id: str) -> tuple[Face, ...]:
        def find() -> tuple[Face, ...]:
            with self.borrow(FACES) as net:
                return net.faces(self.open(file_id))

        found = self._remembered(("faces", file_id), find, lambda _: 4096)
        self._faces[file_id] = len(found)
        return found

    def has(self, verb: Verb) -> bool:
        """Whether the profile serves `verb`."""
        return verb in self.job.specs

    def draw(self, render: Render, emit: Emit) -> Images:
        """Run the profile's model for `render.verb`; one event per model step."""
        if not self.has(render.verb):
            raise ModelUnavailable(f"The profile '{self.job.profile}' has no model for '{render.verb}'.")
        stage = SCENE if render.verb == "backdrop" else DRAWING

        def on_step(step: ModelStep) -> None:
            emit(stage, step.index, step.total, step.preview)

        def begun(row: ModelSpec) -> None:
            self._emit.mark(WAITS)
            self._took(Work({row.id: row}))

        render = replace(render, prompt=neutral(render.prompt), negative_prompt=neutral(render.negative_prompt))
        render = replace(render, adapters=(*render.adapters, *self._adapters))
        own = render.backdrop is not None and render.backdrop.picture is not None
        # The user's own picture is fitted, not drawn, whichever model the profile has.
        drawn = self._draws(BACKDROPS if own else self.job.specs[render.verb], render, on_step, begun)
        stays = render.verb == "edit" and render.images and not render.anew
        made = self._settled(render, drawn) if stays else drawn
        # Here and not by the tools, so that none can leave out that memory gave out or a picture had slid.
        scenery: set[Scenery] = {drawn.scenery} if drawn.scenery else set()
        self._took(Work(notices=list(made.notices), scenery=scenery, together=drawn.together))
        return made

    def _settled(self, render: Render, drawn: Images) -> Images:
        """Edits put back to where the first image has things; what is left of the drift goes to the checks."""
        edits = [settled(render.images[0], image, render.stays) for image in drawn.images]
        if render.stays is None:
            kept = [(edit.source, edit.image) for edit in edits if edit.source is not None]
            self._took(Work(edits=[Edit(source, image, self._finds()) for source, image in kept]))
        else:  # what the model made of the subject is not seen: the finished picture is compared
            self._took(Work(laid_over=True))
        notices = dict.fromkeys(edit.sentence for edit in edits if edit.sentence)
        return Images(tuple(edit.image for edit in edits), (*drawn.notices, *notices))

    def _finds(self) -> Callable[[Image], tuple[Face, ...]]:
        """How to find faces in what was made of this job's pictures; of the cache alone, for what outlives the job."""
        # What was made of somebody's photo shows the same face.
        return partial(_faces_in, self._cache) if self._agreed(*self._pictures()) else _nobody

    @contextmanager
    def borrow(self, spec_id: str) -> Iterator[Any]:
        """A loaded model of the cache; what was borrowed is named in the receipt."""
        with self._cache.borrow(spec_id, self._on_file) as model:
            self._took(Work({spec_id: model.spec}))
            yield model

    def serves(self, role: str) -> str:
        """The id of the spec for `role`."""
        return self.job.specs.get(role, role)

    def _original(self, file_id: str) -> Image:
        """The stored pixels, once they passed the gate: nothing is made, or shown, from a picture that did not."""
        image = self._memo.get(("file", file_id), lambda: self._files.open(file_id), lambda image: image.nbytes)
        self._gate.admit(image, self.job.owner, self._files.info(file_id).sha256)
        self._shows()
        return image

    def _first(self, image: Image) -> bool:
        """Whether a frame may be seen before any picture of this job has passed the gate: only if it does itself."""
        if passed := self._gate.shows(image):
            self._shows()
        return passed

    def _shows(self) -> None:
        """From here on frames are seen as they come, unless a generative model invents them."""
        if not self._invented():
            self._emit.passes = None

    def _invented(self) -> bool:
        return any(generative(row) for row in self._works[0].used.values())

    # ------------------------------------------------------------ the end of every job

    def finish(self, draft: Draft, seconds: Callable[[], float]) -> Result:
        """Check, mark, write. `draft.images` and `extras` become files; the matte rides along."""
        self._params = {**self.job.params, **draft.settled}
        content = self._released(draft)
        looks = self._looks(draft)
        checks = [run_checks(look) for look in looks]
        if any(look.edits for look in looks) and self._agreed(*self._pictures()):  # faces were compared
            self._took(Work({FACES: spec(FACES)}))
        receipt = self._receipt(draft, {**worst(checks), **content})
        if self.job.draft:
            self._emit.last(jpeg(flat(shown(draft)[0])))
            return Result((), receipt, seconds())
        format, quality = self.job.params.get("format", "png"), int(self.job.params.get("quality", 95))
        if format == "jpeg" or (format == "webp" and quality < 100):
            receipt["notices"].append(
                "Encoded lossy: the file's pixels differ from the checked ones by its compression."
            )
        draft = self._marked(draft, receipt)
        files = [self._write(image, n, draft, receipt, format, quality) for n, image in enumerate(draft.images)]
        extras = draft.extras if not draft.archive else (self._archive(draft, files), *draft.extras)
        files += [self._write_extra(extra, draft) for extra in extras]
        files += [self._write_matte(alpha) for alpha in draft.alphas]
        self._emit("Writing", 1, 1)
        receipt["timings"] = dict(self._emit.timings)
        receipt["files"] = [{"id": file.id, "role": file.role, "pixels_sha256": file.pixels_sha256} for file in files]
        return Result(tuple(files), receipt, seconds())

    def _marked(self, draft: Draft, receipt: dict[str, Any]) -> Draft:
        """The pictures with the invisible mark, where the studio's owner wants it and no pixel was promised to stay."""
        if not self.job.watermark or draft.exact or not draft.markable or not draft.images:
            return draft
        mark = self._seal.pair().mark
        receipt["watermark"] = f"{mark:04x}"
        receipt["notices"].append(watermark.NOTICE)
        return replace(draft, images=tuple(watermark.marked(image, mark) for image in draft.images))

    def _released(self, draft: Draft) -> dict[str, float]:
        """The content check of every finished picture, before anything is shown or written."""
        inputs = [row["sha256"] for row in self._inputs()]
        return {"content_score": round(self._gate.release(shown(draft), self.job.owner, inputs), 4)}

    def _looks(self, draft: Draft) -> list[Look]:
        """Every image with the photo and the placed subject that it was made from."""
        own = (str(self._params.get("photo")), draft.source) if draft.source is not None else None
        rows = draft.sources or (own,) * len(draft.images)
        looks = [self._look(draft, image, row) for image, row in zip(draft.images, rows, strict=True)]
        crops = draft.crops or (None,) * len(looks)
        return [replace(look, crop=crop) for look, crop in zip(looks, crops, strict=True)]

    def _look(self, draft: Draft, image: Image, row: tuple[str, PlacedSubject] | None) -> Look:
        edits = tuple(self._works[0].edits)
        if row is None:
            return Look(image, replace(draft, source=None), None, edits)
        photo = self.open(row[0])
        compared = self._params.get("light") == "relit" or self._works[0].laid_over
        if compared and not self.job.draft:
            edits = (*edits, Edit(resample(photo, row[1].frame), image, self._finds()))
        return Look(image, replace(draft, source=row[1]), photo, edits)

    def _receipt(self, draft: Draft, checks: dict[str, float]) -> dict[str, Any]:
        frame = draft.source.frame if draft.source else None
        unlooked = (UNLOOKED,) if self._unlooked else ()
        several = {"placements": [_placement(row[1].frame if row else None) for row in draft.sources]}
        return {
            "tool": self.job.tool,
            "params": self._params,
            "seed": self.job.seed,
            "profile": self.job.profile,
            "models": [
                {"id": row.id, "revision": row.revision or _digest(row), "licence": row.licence}
                for row in self._works[0].used.values()
            ],
            "inputs": self._inputs(),
            **({"faces": max(self._faces.values())} if self._faces else {}),  # in the photo that shows most
            "placement": _placement(frame),
            **(several if draft.sources else {}),
            **({"crops": [_crop(crop) for crop in draft.crops]} if draft.crops else {}),
            **({"drawn_together": self._works[0].together} if self._works[0].together > 1 else {}),
            "mode": "exact" if draft.exact else "relit",
            "checks": checks,
            "explained": explained(checks),
            "notices": list(dict.fromkeys((*self.job.notices, *draft.notices, *self._works[0].notices, *unlooked))),
            "consent": self.job.consent,
            "timings": {},
            "files": [],
        }

    def _inputs(self) -> list[dict[str, str]]:
        """The pictures that went in, by field."""
        return [
            {"param": name, "id": file_id, "sha256": self._files.info(file_id).sha256}
            for name, file_id in named_pictures(self._params)
        ]

    def _pictures(self) -> list[str]:
        """Ids of the pictures that went in."""
        return [file_id for _, file_id in named_pictures(self.job.params)]

    def _write(
        self, image: Image, n: int, draft: Draft, receipt: dict[str, Any], format: Format, quality: int
    ) -> File:  # fmt: skip
        inside = {**receipt, "variation": n, "files": None, "timings": None}
        made = self._made(draft)
        data = self._signed(encode(image, format, xmp(inside, made), quality), format, source_type(made))
        name = self._named(draft.names[n], format) if draft.names else ""
        file_id = self._files.add_encoded(data, image, format, self.job.owner, "result", name, later=self.job.waited)
        return self._file(file_id, "result")

    def _made(self, draft: Draft) -> Origin:
        """What made the pixels: what was done here, and what is in the pictures that went in."""
        scenery = self._works[0].scenery
        made = Origin(
            generative=self._invented(),
            photographed=bool(scenery & {"photographed", "mixed"}),
            computed=draft.computed or bool(scenery & {"computed", "mixed"}),
        )
        for row in self._inputs():
            if row["param"] not in ASIDE:
                made |= self._origin(row["id"])
        return made

    def _origin(self, file_id: str) -> Origin:
        """What is in a picture that went in: one made here says it in its file, an upload where it has credentials."""
        info = self._files.info(file_id, self.job.owner)
        if info.role == "result":
            return origin_of(source_of(self._files.read(file_id, self.job.owner)))
        past = self._files.past(file_id, self.job.owner)
        return Origin(photographed=True, generative=past is not None and trained(past))

    def _named(self, word: str, format: str) -> str:
        return f"{self.job.tool}-{word}.{ENDING.get(format, format)}"

    def _archive(self, draft: Draft, files: list[File]) -> Extra:
        """The pictures as they were written, credentials and all, under their names."""
        infos = [self._files.info(file.id, self.job.owner) for file in files]
        data = archive([(info.name, self._files.read(info.id, self.job.owner)) for info in infos])
        return Extra("result", "zip", data, draft.images[:1], draft.archive)

    def _write_extra(self, extra: Extra, draft: Draft) -> File:
        data = self._signed(extra.data, extra.format, source_type(self._made(draft)))
        name = self._named(extra.name, extra.format)
        owner, frame, later = self.job.owner, extra.frames[0], self.job.waited
        return self._file(
            self._files.add_encoded(data, frame, extra.format, owner, extra.role, name, later=later), extra.role
        )

    def _write_matte(self, alpha: Alpha) -> File:
        grey = np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)
        image = np.repeat(grey[..., None], 3, axis=2)
        data = self._signed(encode_png(image), "png", MATTE_SOURCE)
        return self._file(
            self._files.add_encoded(data, image, "png", self.job.owner, "matte", later=self.job.waited), "matte"
        )

    def _signed(self, data: bytes, format: str, source: str) -> bytes:
        """The file with its content credentials: the last thing that is done to it."""
        rows = [row for row in self._inputs() if row["param"] not in ("matte", "mask")]
        photo = next((row for row in rows if row["param"] == PHOTO), None)
        placed = [row for row in rows if row is not photo]
        made = Made(
            source,
            photo=Ingredient(PHOTO, photo["sha256"], self._past(photo["id"])) if photo else None,
            placed=tuple(
                Ingredient(f"{row['param']}-{n}", row["sha256"], self._past(row["id"], placed=True))
                for n, row in enumerate(placed, 1)
            ),
        )
        return sign(data, SIGNED_AS[format], made, self._seal.pair())

    def _past(self, file_id: str, *, placed: bool = False) -> bytes | None:
        """What a picture said of itself when it came in; one that was made here says it in its file."""
        info = self._files.info(file_id, self.job.owner)
        if info.role == "result":
            return past(self._files.read(file_id, self.job.owner), placed)
        return self._files.past(file_id, self.job.owner, placed=placed)

    def _file(self, file_id: str, role: Any) -> File:
        info = self._files.info(file_id, self.job.owner)
        name = "" if info.path.stem == file_id else info.name
        return File(file_id, role, info.width, info.height, info.format, info.sha256, name)


def shown(draft: Draft) -> tuple[Image, ...]:
    """Every picture that would leave: the images, and what is inside the extras beside them."""
    images = draft.images
    inside = [frame for extra in draft.extras for frame in extra.frames]
    return (*images, *(frame for frame in inside if not any(frame is image for image in images)))


def arriving(emit: Emitter, items: Sequence[Item], at: int) -> None:
    """Tell a job that files of a model come from the hub. Raises `Cancelled` once the job is closed."""
    item, whole = items[at], max(sum(each.bytes for each in items), 1)
    unit, size = ("GB", 1e9) if item.bytes >= 1e8 else ("MB", 1e6)
    words = f"Downloading {item.name}, {item.done / size:.1f} of {item.bytes / size:.1f} {unit}"
    emit.waiting("Downloading", words, sum(each.done for each in items) / whole)


def named_pictures(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each picture of a form's values with the field it stands in."""
    for name, value in params.items():
        for file_id in value if isinstance(value, list) else [value]:
            if isinstance(file_id, str) and file_id.startswith("file-"):
                yield name, file_id


def _faces_in(cache: Cache, image: Image) -> tuple[Face, ...]:
    with cache.borrow(FACES) as net:
        return net.faces(image)


def _nobody(image: Image) -> tuple[Face, ...]:
    return ()


def _placement(frame: Frame | None) -> dict[str, Any]:
    return {
        "box": [round(side, 2) for side in frame.box] if frame else None,
        "scale": round(frame.scale, 5) if frame else None,
        "roll": round(frame.roll, 3) if frame else None,
        "resampling": resampling(frame) if frame else "none",
    }


def _crop(crop: Crop) -> dict[str, list[float]]:
    return {"box": [round(side, 6) for side in crop.box], "at": [round(side, 6) for side in crop.at]}


def _digest(row: ModelSpec) -> str:
    return row.files[0][1][:12] if row.files else ""


def generative(row: ModelSpec) -> bool:
    """Whether a model of this row invents what it draws; the built-in scenes and the nets do not."""
    return any(verb in row.verbs for verb in ("text", "edit", "image", "control"))
