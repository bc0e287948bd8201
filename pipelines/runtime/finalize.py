"""The end of every job: pictures are checked, marked, encoded, signed and stored, so that no tool can skip it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from pipelines.codecs.encode import (
    C2PA_MIME_TYPES,
    COMPUTED_SOURCE_TYPE,
    FILE_EXTENSIONS,
    ImageFormat,
    PixelOrigin,
    build_xmp,
    build_zip,
    encode_image,
    encode_png,
    parse_origin,
    source_type_uri,
)
from pipelines.codecs.file_names import name_download
from pipelines.codecs.master_files import encode_master, master_format
from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import Alpha, Image, Mask, PixelArray, PlacedSubject
from pipelines.core.job import File, FileRole, Result
from pipelines.core.rendering import EncodedFile, ToolOutput
from pipelines.framing.resample import resample
from pipelines.models.families.text_reader import TEXT_READER
from pipelines.models.nets import text_reader
from pipelines.models.registry import get_spec
from pipelines.provenance import watermark
from pipelines.provenance.c2pa import (
    PHOTO_INGREDIENT,
    Ingredient,
    Provenance,
    names_generative_model,
    read_ingredient_archive,
    read_source_type,
    sign,
)
from pipelines.quality.label_words import (
    WHOLE_CROP,
    Label,
    compare_label,
    find_label_mask,
    place_photo_crop,
    read_label,
)
from pipelines.quality.output_checks import CheckInput, ModelEdit, run_checks, worst_results
from pipelines.runtime.context import FACE_SPEC_ID, JobContext, iter_pictures
from pipelines.runtime.master_pictures import MasterWriter
from pipelines.runtime.model_usage import ModelUsage
from pipelines.runtime.progress import PREVIEW_SIDE_PX, encode_preview
from pipelines.runtime.receipt import FLATTENED_NOTICE, LOSSY_NOTICE, build_receipt

GUIDE_FIELDS = ("matte", "mask", "reference")  # fields whose picture guides the work and is not seen in the result


class Finalizer:
    """Turns one job's `ToolOutput` into a `Result` with files and a receipt."""

    def __init__(self, context: JobContext, output: ToolOutput) -> None:
        self._context = context
        self._output = output
        self._job = context.job
        self._files = context.resources.files
        self._params: dict[str, Any] = {**context.job.params, **output.resolved_params}
        self._inputs = [
            {"param": name, "id": file_id, "sha256": self._files.get_info(file_id).sha256}
            for name, file_id in iter_pictures(self._params)
        ]

    def finish(self, elapsed: Callable[[], float]) -> Result:
        """Check, mark, write and sign; a draft is only shown. `elapsed`: seconds so far. Raises `PolicyRefusal`."""
        content_score = self._filter_content()
        check_inputs = self._build_check_inputs()
        check_inputs = self._read_labels(check_inputs)
        checks = [run_checks(check_input) for check_input in check_inputs]
        compared_faces = any(check_input.edits for check_input in check_inputs)
        if compared_faces and self._context.may_search_all_inputs:
            self._context.record_usage(ModelUsage({FACE_SPEC_ID: get_spec(FACE_SPEC_ID)}))
        measured = {**worst_results(checks), "content_score": content_score}
        labels = [check_input.label for check_input in check_inputs]
        receipt = build_receipt(self._context, self._output, self._params, self._inputs, measured, labels)
        if self._job.draft:
            first = list_output_pictures(self._output)[0]
            # One comes close to the picture in which one points.
            side_px = max(first.shape[:2]) if self._job.helper else PREVIEW_SIDE_PX
            self._context.progress.send_draft(encode_preview(first, side_px))
            return Result((), receipt, elapsed())
        files = self._write_files(receipt)
        self._context.progress("Writing", 1, 1)
        receipt["timings"] = dict(self._context.progress.timings)
        receipt["files"] = [{"id": file.id, "role": file.role, "pixels_sha256": file.pixels_sha256} for file in files]
        return Result(tuple(files), receipt, elapsed())

    def _filter_content(self) -> float:
        """Run the content filter on every picture before anything is shown or written; the highest score."""
        hashes = [row["sha256"] for row in self._inputs]
        pictures = list_output_pictures(self._output)
        is_composed = bool(hashes) and not self._context.usage.is_generative
        content_filter = self._context.resources.content_filter
        return round(content_filter.check_results(pictures, self._job.owner, hashes, is_composed=is_composed), 4)

    def _build_check_inputs(self) -> list[CheckInput]:
        """Every image with the photo and the placed subject that it was made from."""
        output = self._output
        own = (str(self._params.get("photo")), output.source) if output.source is not None else None
        sources = output.sources or (own,) * len(output.images)
        crops = output.crops or (None,) * len(output.images)
        rows = zip(output.images, sources, crops, strict=True)
        return [replace(self._check_input(image, source), crop=crop) for image, source, crop in rows]

    def _check_input(self, image: Image, source: tuple[str, PlacedSubject] | None) -> CheckInput:
        usage = self._context.usage
        edits = tuple(usage.edits)
        if source is None:
            return CheckInput(image, replace(self._output, source=None), None, edits)
        file_id, placed = source
        photo = self._context.open_image(file_id)
        subject_may_differ = self._params.get("light") == "relit" or usage.subject_pasted_back
        if subject_may_differ and not self._job.draft:
            edits = (*edits, ModelEdit(resample(photo, placed.frame), image, self._context.face_finder()))
        return CheckInput(image, replace(self._output, source=placed), photo, edits)

    def _read_labels(self, rows: list[CheckInput]) -> list[CheckInput]:
        """Read the words of the photo and of each picture, where the tool keeps them and a reader is installed."""
        keys = [self._label_cache_key(row) for row in rows]
        if self._job.draft or not self._output.keeps_words or not any(keys) or not text_reader.is_installed():
            return rows
        self._context.progress("Reading the label", 1, 1)
        known: dict[Hashable, Label] = {}
        read: list[CheckInput] = []
        try:
            with self._context.borrow_model(TEXT_READER.id) as reader:
                for key, row in zip(keys, rows, strict=True):
                    if key is not None and key not in known:
                        known[key] = read_label(reader, *self._place_source_photo(row))
                    label = None if key is None else compare_label(reader, known[key], row.image)
                    read.append(replace(row, label=label))
        except ModelUnavailable as error:
            self._context.record_usage(ModelUsage(notices=[f"The label was not checked. {error.message}"]))
            return rows
        return read

    def _label_cache_key(self, row: CheckInput) -> Hashable | None:
        """What pictures share that show the photo at the same place; None for one that is not of the photo."""
        if row.output.source is not None:
            return id(row.output.source)
        is_of_photo = not self._output.sources and self._params.get("photo")
        return (row.crop, row.image.shape) if is_of_photo else None

    def _place_source_photo(self, row: CheckInput) -> tuple[Image, Mask]:
        """The photo as it lies in a picture, and where its words count."""
        placed = row.output.source
        if placed is not None and row.photo is not None:
            return resample(row.photo, placed.frame), find_label_mask(placed.alpha)
        return place_photo_crop(
            self._context.open_image(str(self._params["photo"])), row.crop or WHOLE_CROP, row.image.shape
        )

    def _write_files(self, receipt: dict[str, Any]) -> list[File]:
        output = self._output
        format, quality = self._job.params.get("format", "png"), int(self._job.params.get("quality", 95))
        if format in ("jpeg", "avif") or (format == "webp" and quality < 100):
            receipt["notices"].append(LOSSY_NOTICE)
        if format == "jpeg" and any(image.shape[2] == 4 for image in output.images):
            receipt["notices"].append(FLATTENED_NOTICE)
        images = self._mark_images(receipt)
        files = [self._write_image(image, n, receipt, format, quality) for n, image in enumerate(images)]
        if output.archive_name:
            files.append(self._write_encoded(self._build_archive(files, images)))
        files += self._write_masters(images, receipt)
        files += [self._write_encoded(extra) for extra in output.extras]
        return files + [self._write_matte(alpha) for alpha in output.alphas]

    def _mark_images(self, receipt: dict[str, Any]) -> tuple[Image, ...]:
        """Embed the invisible mark where the operator wants it and no pixel was promised to stay."""
        output = self._output
        if not self._job.watermark or output.exact or not output.allows_watermark or not output.images:
            return output.images
        mark = self._context.resources.signing_keys.load_key().watermark_id
        receipt["watermark"] = f"{mark:04x}"
        receipt["notices"].append(watermark.NOTICE)
        return tuple(watermark.embed_watermark(image, mark) for image in output.images)

    def _write_image(
        self, image: Image, number: int, receipt: dict[str, Any], format: ImageFormat, quality: int
    ) -> File:
        encoded = encode_image(image, format, self._build_packet(number, receipt), quality)
        data = self._sign(encoded, format, source_type_uri(self._pixel_origin))
        name = self._file_name(self._output.names[number], format) if self._output.names else ""
        return self._store(data, image, format, "result", name, number + 1)

    def _build_packet(self, number: int, receipt: dict[str, Any]) -> bytes:
        return build_xmp({**receipt, "variation": number, "files": None, "timings": None}, self._pixel_origin)

    def _write_masters(self, images: tuple[Image, ...], receipt: dict[str, Any]) -> list[File]:
        """Write each picture once more as the form's master file, where it asks for one."""
        kind = self._params.get("master", "none")
        if kind == "none":
            return []
        space = self._params.get("master_profile", "srgb")
        writer = MasterWriter(self._context, self._output, kind, space)
        receipt["notices"] += [each for each in writer.list_notices() if each not in receipt["notices"]]
        files: list[File] = []
        for number, image in enumerate(images):
            pixels = writer.make_pixels(number, image)
            packet = self._build_packet(number, receipt)
            data = encode_master(pixels, kind, space, packet, int(self._params.get("quality", 95)))
            format = master_format(kind)
            word = f"{self._output.names[number]}-master" if self._output.names else "master"
            word = f"{word}-{number + 1}" if len(images) > 1 and not self._output.names else word
            signed = self._sign(data, format, source_type_uri(self._pixel_origin))
            files.append(self._store(signed, pixels, format, "master", self._file_name(word, format)))
        return files

    def _build_archive(self, files: list[File], images: tuple[Image, ...]) -> EncodedFile:
        """A ZIP of the pictures as they were written, with credentials, under their names."""
        data = build_zip([(file.name, self._files.read_bytes(file.id, self._job.owner)) for file in files])
        return EncodedFile("result", "zip", data, images[:1], self._output.archive_name)

    def _write_encoded(self, extra: EncodedFile) -> File:
        data = self._sign(extra.data, extra.format, source_type_uri(self._pixel_origin))
        return self._store(data, extra.frames[0], extra.format, extra.role, self._file_name(extra.name, extra.format))

    def _write_matte(self, alpha: Alpha) -> File:
        grey = np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)
        image = np.repeat(grey[..., None], 3, axis=2)
        return self._store(self._sign(encode_png(image), "png", COMPUTED_SOURCE_TYPE), image, "png", "matte")

    def _file_name(self, word: str, format: str) -> str:
        return f"{self._job.tool}-{word}.{FILE_EXTENSIONS.get(format, format)}"

    def _store(
        self,
        data: bytes,
        frame: PixelArray,
        format: str,
        role: FileRole,
        name: str = "",
        number: int = 1,
    ) -> File:
        """Store a finished file; `frame` stands for its pixels, `name` is the one that the tool gave it."""
        job = self._job
        look = self._params if role == "result" else {"preset": role}
        shown_name = name_download(job.label, job.tool, look, number, format, own_name=name)
        file_id = self._files.add_encoded(data, frame, format, job.owner, role, shown_name, defer_sync=job.waited)
        info = self._files.get_info(file_id, job.owner)
        return File(file_id, role, info.width, info.height, info.format, info.sha256, name)

    @cached_property
    def _pixel_origin(self) -> PixelOrigin:
        """What made the pixels: this job's models and scenes, and whatever made the pictures that went in."""
        usage = self._context.usage
        origin = PixelOrigin(
            generative=usage.is_generative,
            photographed=bool(usage.scenery & {"photographed", "mixed"}),
            computed=self._output.is_procedural or bool(usage.scenery & {"computed", "mixed"}),
            enhanced=self._output.is_enhanced,
        )
        for row in self._inputs:
            if row["param"] not in GUIDE_FIELDS:
                origin |= self._input_origin(row["id"])
        return origin

    def _input_origin(self, file_id: str) -> PixelOrigin:
        """What made a picture that went in: a result says it in its file, an upload where it has credentials."""
        owner = self._job.owner
        if self._files.get_info(file_id, owner).role == "result":
            return parse_origin(read_source_type(self._files.read_bytes(file_id, owner)))
        credentials = self._files.load_provenance(file_id, owner)
        return PixelOrigin(
            photographed=True, generative=credentials is not None and names_generative_model(credentials)
        )

    def _sign(self, data: bytes, format: str, source_type: str) -> bytes:
        """Add the content credentials, which must be the last change of a file."""
        photo, placed = self._ingredients
        provenance = Provenance(source_type, photo=photo, placed=placed)
        return sign(data, C2PA_MIME_TYPES[format], provenance, self._context.resources.signing_keys.load_key())

    @cached_property
    def _ingredients(self) -> tuple[Ingredient | None, tuple[Ingredient, ...]]:
        """The photo, if there is one, and every other picture that is seen in the result."""
        rows = [row for row in self._inputs if row["param"] not in ("matte", "mask")]
        photo = next((row for row in rows if row["param"] == PHOTO_INGREDIENT), None)
        others = [row for row in rows if row is not photo]
        return (
            Ingredient(PHOTO_INGREDIENT, photo["sha256"], self._input_credentials(photo["id"])) if photo else None,
            tuple(
                Ingredient(f"{row['param']}-{n}", row["sha256"], self._input_credentials(row["id"], placed=True))
                for n, row in enumerate(others, 1)
            ),
        )

    def _input_credentials(self, file_id: str, *, placed: bool = False) -> bytes | None:
        """The credentials that a picture came with; a result of an earlier job has them in its file."""
        owner = self._job.owner
        if self._files.get_info(file_id, owner).role == "result":
            return read_ingredient_archive(self._files.read_bytes(file_id, owner), placed)
        return self._files.load_provenance(file_id, owner, as_component=placed)


def list_output_pictures(output: ToolOutput) -> tuple[Image, ...]:
    """List every picture that would leave the studio: the images, and the frames inside the other files."""
    images = output.images
    frames = [frame for extra in output.extras for frame in extra.frames]
    return (*images, *(frame for frame in frames if not any(frame is image for image in images)))
