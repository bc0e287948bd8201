"""Pictures that come in, and copies of results that go out with content credentials of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image

from pipelines.codecs.encode import (
    C2PA_MIME_TYPES,
    COLLECTION_SOURCE_TYPE,
    COMPUTED_SOURCE_TYPE,
    build_xmp_packet,
    encode_image,
    encode_png,
    source_type_from_word,
)
from pipelines.codecs.file_names import make_label
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.jobs.queue import JobQueue
from pipelines.provenance import c2pa, watermark
from pipelines.provenance.signing_key import SigningKeyStore
from pipelines.storage.file_index import PUBLIC_OWNER, FileIndex, FileInfo, pixels_sha256
from pipelines.storage.local_store import atomic_write

EXAMPLES_DIR = Path(__file__).parents[2] / "assets" / "examples"
CREDENTIALS_KEPT_NOTICE = "This picture carries content credentials; what is made from it names them as its origin."
EXAMPLE_TITLES = {"chelsea": "Cat", "coffee": "Coffee", "astronaut": "Astronaut", "hopper": "Officer"}
"""Names of the example photos for visitors, who do not know a file's name."""
GENERATED_ROLES = ("result", "matte", "master")


@dataclass(frozen=True)
class Example:
    """One of the studio's own photos to try things on."""

    name: str
    file_id: str
    path: Path

    @property
    def title(self) -> str:
        """What the photo shows, in a word."""
        return EXAMPLE_TITLES.get(self.name, self.name.replace("-", " ").capitalize())


class UploadService:
    """Decodes, filters and stores uploads; reads and writes content credentials."""

    def __init__(
        self, jobs: JobQueue, files: FileIndex, decoder_pool: DecoderPool, signing_keys: SigningKeyStore
    ) -> None:
        self._jobs = jobs
        self._files = files
        self._decoder_pool = decoder_pool
        self._signing_keys = signing_keys
        self._examples: tuple[Example, ...] | None = None

    def ingest_picture(self, data: bytes, owner: str, name: str = "") -> tuple[str, tuple[str, ...]]:
        """Decode, filter and store an upload: its file id and notices.

        Of its file `name` only what `make_label` leaves is kept. Raises `BadInput` with one of the image codes, and
        `PolicyRefusal` where the content filter refuses: then nothing is stored.
        """
        decoded = self._decoder_pool.decode_picture(data)
        self._jobs.engine.check_picture(decoded.image, owner, pixels_sha256(decoded.image))
        file_id = self._files.add_image(decoded.image, owner, "upload")
        if decoded.wide is not None:
            self._files.save_wide_copy(file_id, owner, encode_png(decoded.wide))
        if name:
            self._files.save_display_name(file_id, owner, make_label(name))
        return file_id, (*decoded.notices, *self._store_content_credentials(data, file_id, owner))

    def _store_content_credentials(self, data: bytes, file_id: str, owner: str) -> tuple[str, ...]:
        """Store the upload's content credentials beside it, as only its pixels are stored themselves."""
        archive = self._decoder_pool.read_ingredient_archive(data) if c2pa.C2PA_MARKER in data else None
        if archive is None:
            return ()
        placed = self._decoder_pool.read_ingredient_archive(data, placed=True)
        self._files.save_provenance(file_id, owner, archive, placed)
        return (CREDENTIALS_KEPT_NOTICE,)

    def verify_picture(self, data: bytes) -> c2pa.CredentialReport:
        """Report what a picture says about its origin; nothing is stored. Raises `BadInput` with an image code."""
        key = self._signing_keys.load_key()
        report = self._decoder_pool.verify_credentials(data, key.root_certificate)
        try:
            found = watermark.detect_watermark(self._decoder_pool.decode_picture(data).image)
        except BadInput:  # the credentials can be read although the picture itself is of no kind that is taken here
            return report
        if found is None:
            return report
        return replace(report, watermark="ours" if found.belongs_to(key.watermark_id) else "another")

    def decode_picture(self, data: bytes) -> Image:
        """Decode a picture without storing it. Raises `BadInput` with an image code."""
        return self._decoder_pool.decode_picture(data).image

    def sign_derived_copy(self, copy: bytes, mime: str, info: FileInfo) -> bytes:
        """Sign a smaller copy of a result, the result as its parent; an upload's copy is returned as it is."""
        if info.role not in GENERATED_ROLES:
            return copy
        return self._sign_with_parent(copy, mime, info, self._files.read_bytes(info.id))

    def store_derived_image(self, image: Image, parent_id: str, owner: str) -> str:
        """Store a PNG made of a result, with the result's receipt and the result as its parent; the new file's id."""
        info, parent = self._files.get_info(parent_id, owner), self._files.read_bytes(parent_id, owner)
        xmp = build_xmp_packet(_source_type_of(parent), c2pa.read_receipt(parent) or {})
        data = self._sign_with_parent(encode_image(image, "png", xmp), "image/png", info, parent)
        return self._files.add_encoded(data, image, "png", owner, "result")

    def _sign_with_parent(self, data: bytes, mime: str, info: FileInfo, parent: bytes) -> bytes:
        ingredient = c2pa.Ingredient(c2pa.PHOTO_INGREDIENT, info.sha256, c2pa.read_ingredient_archive(parent))
        provenance = c2pa.Provenance(_source_type_of(parent), photo=ingredient)
        return c2pa.sign(data, mime, provenance, self._signing_keys.load_key())

    def sign_archive(self, path: Path) -> None:
        """Sign a ZIP of results in place, whatever its size; some 20 seconds a gigabyte."""
        mime, provenance = C2PA_MIME_TYPES["zip"], c2pa.Provenance(COLLECTION_SOURCE_TYPE)
        with atomic_write(path) as signed, path.open("rb") as data, signed.open("w+b") as out:
            c2pa.sign_stream(data, out, mime, provenance, self._signing_keys.load_key())

    def list_examples(self) -> tuple[Example, ...]:
        """List the studio's own example photos; anybody may use them, and nobody's consent is needed."""
        if self._examples is None:
            paths = sorted(path for path in EXAMPLES_DIR.iterdir() if path.suffix in (".jpg", ".png"))
            self._examples = tuple(Example(path.stem, self._store_example(path), path) for path in paths)
        return self._examples

    def _store_example(self, path: Path) -> str:
        with PIL.Image.open(path) as picture:
            file_id = self._files.add_image(np.asarray(picture.convert("RGB")), PUBLIC_OWNER, "example")
        self._files.save_display_name(file_id, PUBLIC_OWNER, make_label(path.name))
        return file_id


def _source_type_of(data: bytes) -> str:
    """The digital source type that a result names; a matte names none, and is computed."""
    return source_type_from_word(c2pa.read_source_type(data)) or COMPUTED_SOURCE_TYPE
